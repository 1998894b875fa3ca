//! The fact `jarFingerprints`: the Java archives of one directory.

use regent_scan::{Coordinates, JarFingerprint, JarIdentity};
use serde::Serialize;

use crate::options::Options;

/// The fact's data.
#[derive(Serialize)]
pub(crate) struct JarFingerprints<'a> {
    fingerprints: Vec<Fingerprint<'a>>,
    /// The image's name as it was given.
    origin: &'a str,
    /// The directory.
    path: &'a str,
}

#[derive(Serialize)]
struct Fingerprint<'a> {
    location: &'a str,
    /// Null where the coordinates are known.
    digest: Option<&'a str>,
    dependencies: Vec<Artifact<'a>>,
    #[serde(flatten)]
    coordinates: Option<Artifact<'a>>,
}

#[derive(Serialize)]
struct Artifact<'a> {
    #[serde(rename = "groupId")]
    group: &'a str,
    #[serde(rename = "artifactId")]
    id: &'a str,
    version: &'a str,
}

impl<'a> JarFingerprints<'a> {
    /// Archives as deep inside others as the options ask for.
    pub(crate) fn new(
        found: &'a [JarFingerprint],
        origin: &'a str,
        path: &'a str,
        options: &Options,
    ) -> Self {
        let wanted = found.iter().filter(|jar| jar.depth <= options.nested_jars_depth);
        Self { fingerprints: wanted.map(Fingerprint::new).collect(), origin, path }
    }
}

impl<'a> Fingerprint<'a> {
    fn new(jar: &'a JarFingerprint) -> Self {
        let (coordinates, digest) = match &jar.identity {
            JarIdentity::Coordinates(coordinates) => (Some(Artifact::new(coordinates)), None),
            JarIdentity::Sha1(digest) => (None, Some(digest.as_str())),
        };
        let dependencies = jar.dependencies.iter().map(Artifact::new).collect();
        Self { location: &jar.location, digest, dependencies, coordinates }
    }
}

impl<'a> Artifact<'a> {
    fn new(coordinates: &'a Coordinates) -> Self {
        let Coordinates { group, artifact, version } = coordinates;
        Self { group, id: artifact, version }
    }
}

#[cfg(test)]
mod tests {
    use regent_scan::JarIdentity::{Coordinates as Known, Sha1};
    use serde_json::json;

    use super::*;

    fn coordinates(artifact: &str) -> Coordinates {
        Coordinates { group: "com.acme".into(), artifact: artifact.into(), version: "1.0".into() }
    }

    #[test]
    fn archives_deeper_than_asked_for_are_left_out() {
        let jar = |location: &str, depth, identity, dependencies| JarFingerprint {
            location: location.into(),
            depth,
            identity,
            dependencies,
        };
        let found = [
            jar("/app/a.jar", 0, Known(coordinates("a")), vec![coordinates("shaded")]),
            jar("/app/a.jar/lib/b.jar", 1, Sha1("b1".into()), Vec::new()),
            jar("/app/a.jar/lib/b.jar/c.jar", 2, Known(coordinates("c")), Vec::new()),
            jar("/app/d.jar", 0, Sha1("d1".into()), Vec::new()),
        ];
        let locations = |nested_jars_depth| {
            let options = Options { nested_jars_depth, ..Options::default() };
            let data = JarFingerprints::new(&found, "demo/app:v1", "/app", &options);
            data.fingerprints.iter().map(|f| f.location.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(locations(0), ["/app/a.jar", "/app/d.jar"]);
        assert_eq!(locations(1), ["/app/a.jar", "/app/a.jar/lib/b.jar", "/app/d.jar"]);
        assert_eq!(locations(u32::MAX).len(), 4);

        let options = Options { nested_jars_depth: 0, ..Options::default() };
        assert_eq!(
            json!(JarFingerprints::new(&found, "demo/app:v1", "/app", &options)),
            json!({ "origin": "demo/app:v1", "path": "/app", "fingerprints": [
                { "location": "/app/a.jar", "digest": null, "groupId": "com.acme", "artifactId": "a",
                  "version": "1.0",
                  "dependencies": [{ "groupId": "com.acme", "artifactId": "shaded", "version": "1.0" }] },
                { "location": "/app/d.jar", "digest": "d1", "dependencies": [] },
            ]})
        );
    }
}
