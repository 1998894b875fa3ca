//! What IMAGE names: an image of a registry, or one on disk.

use std::path::Path;

use regent_oci::ImageRef;

use super::Failure;
use crate::connection::Connection;

/// Where an image is.
#[derive(Debug)]
pub(super) enum Source {
    /// In the registry that the flags name.
    Registry(ImageRef),
    /// On disk, through the driver of local images.
    Local {
        /// The connection to the "registry" on disk.
        connection: Connection,
        /// The image in it.
        image: ImageRef,
        /// Name of the file or directory: the image's name where none is given.
        file_name: String,
    },
}

/// The repository by which the driver of local images knows the only image of an archive or layout.
const LOCAL_REPOSITORY: &str = "image";
const KINDS: [&str; 4] = ["oci-layout", "docker-archive", "oci-archive", "kaniko-archive"];

/// Parses IMAGE.
pub(super) fn parse(text: &str) -> Result<Source, Failure> {
    if let Some((kind, rest)) = text.split_once(':')
        && KINDS.contains(&kind)
    {
        return match rest.rsplit_once(':') {
            Some((path, tag)) if kind == "oci-layout" && !tag.contains('/') && !Path::new(rest).exists() => {
                local(kind, path, tag)
            }
            _ => local(kind, rest, "latest"),
        };
    }
    let looks_like_a_path = text.starts_with(['/', '.'])
        || [".tar", ".tar.gz", ".tgz"].iter().any(|ending| text.ends_with(ending));
    if looks_like_a_path || Path::new(text).is_file() {
        let kind = if Path::new(text).is_dir() { "oci-layout" } else { "docker-archive" };
        return local(kind, text, "latest");
    }
    let image = ImageRef::parse_or_latest(text).map_err(|e| Failure::usage(e.to_string()))?;
    Ok(Source::Registry(image))
}

fn local(kind: &str, path: &str, tag: &str) -> Result<Source, Failure> {
    let absolute = std::path::absolute(path)
        .map_err(|e| Failure::usage(format!("{path} is no path: {e}")))?
        .into_os_string()
        .into_string()
        .map_err(|_| Failure::usage(format!("{path} is not UTF-8")))?;
    if !Path::new(&absolute).exists() {
        return Err(Failure::not_there(format!("{path} does not exist")));
    }
    let image = format!("{LOCAL_REPOSITORY}:{tag}").parse().map_err(|e| Failure::usage(format!("{e}")))?;
    let file_name = Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let connection = Connection::new(kind, [("registryBase".to_owned(), absolute.into())]);
    Ok(Source::Local { connection, image, file_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_registries_and_disks_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("image.tar"), b"").unwrap();
        std::fs::create_dir(folder.path().join("lay:out")).unwrap();
        let rows = [
            ("team/app:1.4".to_owned(), "registry", "team/app:1.4"),
            ("app".to_owned(), "registry", "app:latest"),
            (format!("{root}/image.tar"), "docker-archive", "image:latest"),
            (format!("oci-archive:{root}/image.tar"), "oci-archive", "image:latest"),
            (format!("oci-layout:{root}:1.4"), "oci-layout", "image:1.4"),
            (format!("oci-layout:{root}/lay:out"), "oci-layout", "image:latest"),
            (root.to_owned(), "oci-layout", "image:latest"),
        ];
        for (text, kind, expected) in rows {
            let (is, image) = match parse(&text).unwrap() {
                Source::Registry(image) => ("registry".to_owned(), image),
                Source::Local { connection, image, .. } => (connection.registry_type, image),
            };
            assert_eq!((is.as_str(), image.to_string().as_str()), (kind, expected), "{text}");
        }
        for bad in ["Team/App:1", "./no-such.tar", "docker-archive:/no/such", "team/app@sha256:12"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
