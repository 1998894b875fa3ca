//! What the image is called: the root package, the list of names, and the parts that a registry knows it by.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use crate::error::Error;
use crate::input::{Digests, ImageName};
use crate::options::{GivenDigests, NameOption, Options};

/// The name that counts, after the options had their say; `None` where the image has none.
pub(crate) fn effective_name<'a>(name: &'a ImageName, options: &'a Options) -> Option<&'a str> {
    match &options.image_name {
        NameOption::Name(name) => Some(name.as_str()),
        NameOption::NoName => None,
        NameOption::Absent => name.given.as_deref().filter(|name| !name.is_empty()),
    }
}

/// The digests that count.
pub(crate) fn effective_digests(digests: Option<&Digests>, options: &Options) -> Option<GivenDigests> {
    options.digests.clone().or_else(|| {
        digests.map(|digests| GivenDigests {
            manifest: Some(digests.manifest.as_str().to_owned()),
            index: digests.index.as_ref().map(|index| index.as_str().to_owned()),
        })
    })
}

/// Name and version of the root package. The name is split at the last colon wherever that is: consumers know
/// their targets by the outcome.
pub(crate) fn root_package(name: &str) -> (String, Option<String>) {
    let (name, version) = name.rsplit_once(':').unwrap_or((name, "latest"));
    if let Some(name) = name.strip_suffix("@sha256") {
        return (format!("docker-image|{name}"), None);
    }
    // Said as a pattern since it is about names, not about files: the case of letters counts.
    let is_archive = name.strip_suffix(".tar").is_some();
    let version = Some(version).filter(|version| !is_archive && !version.is_empty());
    (format!("docker-image|{name}"), version.map(str::to_owned))
}

/// `[host[:port]/]path[:tag][@digest]`, in any case.
struct Reference<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// As `distribution/reference` has it, but for the case of letters.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let component = "[A-Za-z0-9]+(?:(?:[._]|__|-*)[A-Za-z0-9]+)*";
    let label = "(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])";
    Regex::new(&format!(
        r"\A(?<name>(?:{label}(?:\.{label})*(?::[0-9]+)?/)?{component}(?:/{component})*)(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{{32,}}))?\z"
    ))
    .expect("the pattern is valid")
});

const MAX_NAME: usize = 255;

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        let captures = REFERENCE.captures(text).ok_or(Error::ImageReference)?;
        let part = |name| captures.name(name).map(|found| found.as_str());
        let name = part("name").filter(|name| name.len() <= MAX_NAME).ok_or(Error::ImageReference)?;
        let digest = part("digest");
        if let Some(digest) = digest {
            check_digest(digest, "the image name")?;
        }
        Ok(Self { name, tag: part("tag"), digest })
    }

    fn names(&self, digests: &GivenDigests) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        match (self.tag, self.digest) {
            (Some(tag), _) => names.push(format!("{}:{tag}", self.name)),
            (None, None) => names.push(format!("{}:latest", self.name)),
            (None, Some(_)) => {}
        }
        for (digest, place) in [
            (&digests.manifest, "the manifest digest"),
            (&digests.index, "the index digest"),
            (&self.digest.map(str::to_owned), "the image name"),
        ] {
            if let Some(digest) = digest {
                check_digest(digest, place)?;
                names.push(format!("{}@{digest}", self.name));
            }
        }
        Ok(names)
    }
}

fn check_digest(digest: &str, place: &'static str) -> Result<(), Error> {
    let length = match digest.split_once(':') {
        Some(("sha256", hex)) => (hex, 64),
        Some(("sha384", hex)) => (hex, 96),
        Some(("sha512", hex)) => (hex, 128),
        _ => return Err(Error::ImageDigest { place }),
    };
    let (hex, digits) = length;
    let is_hex = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex.len() == digits && is_hex { Ok(()) } else { Err(Error::ImageDigest { place }) }
}

/// All names of the image, each once. The host stays as it is: `redis:7` is not completed.
///
/// # Errors
/// [`Error::ImageReference`] and [`Error::ImageDigest`].
pub(crate) fn image_names(
    name: Option<&str>,
    digests: Option<&GivenDigests>,
    name_and_digest: Option<&str>,
) -> Result<Vec<String>, Error> {
    let Some(name) = name else { return Ok(Vec::new()) };
    let none = GivenDigests::default();
    let mut names = Reference::parse(name)?.names(digests.unwrap_or(&none))?;
    if let (None, Some(second)) = (digests, name_and_digest) {
        names.extend(Reference::parse(second)?.names(&none)?);
    }
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    Ok(unique)
}

/// Where a registry that speaks the distribution protocol has the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DistributionMetadata {
    registry_host: String,
    repository: String,
    manifest_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tag: Option<String>,
}

/// distribution-spec 1.1, "Pulling manifests".
static REPOSITORY: LazyLock<Regex> = LazyLock::new(|| {
    let component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
    Regex::new(&format!(r"\A{component}(?:/{component})*\z")).expect("the pattern is valid")
});

const MAX_HOST: usize = 255;
const MAX_REPOSITORY: usize = 2048;

/// Where a registry would have an image of some name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The name as it was given, without tag and digest.
    pub(crate) name: String,
    /// Host and port.
    pub(crate) host: String,
    /// The repository.
    pub(crate) repository: String,
    /// The tag, if the name has one.
    pub(crate) tag: Option<String>,
}

/// The name completed to its full form (`redis` is `docker.io/library/redis`). `None` where it is nothing that a registry
/// would take.
pub(crate) fn location(name: &str) -> Option<Location> {
    let reference = Reference::parse(name).ok()?;
    let (host, path) = match reference.name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", reference.name),
    };
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let repository =
        if host == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    let fits =
        host.len() <= MAX_HOST && repository.len() <= MAX_REPOSITORY && REPOSITORY.is_match(&repository);
    fits.then(|| Location {
        name: reference.name.to_owned(),
        host: host.to_owned(),
        repository,
        tag: reference.tag.map(str::to_owned),
    })
}

/// Host, repository and digests. `None` where the name or a digest is nothing that a registry would take.
pub(crate) fn distribution_metadata(name: &str, digests: &GivenDigests) -> Option<DistributionMetadata> {
    let location = location(name)?;
    let sha256 = |digest: &String| digest.starts_with("sha256:") && check_digest(digest, "").is_ok();
    let manifest_digest = digests.manifest.clone().filter(sha256)?;
    digests.index.as_ref().is_none_or(sha256).then(|| DistributionMetadata {
        registry_host: location.host,
        repository: location.repository,
        manifest_digest,
        index_digest: digests.index.clone(),
        image_tag: location.tag,
    })
}

#[cfg(test)]
mod tests;
