//! Conda: the records of installed packages.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Ecosystem, HashAlgorithm};
use crate::distil::{CondaRecord, Distil, Distilled};
use crate::finding::{Findings, Gap};
use crate::overlay::OverlayFile;
use crate::path::LayerPath;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Conda packages",
        detects: "Installed packages, by environment, with their licences and the hashes of their files.",
        files: &["**/conda-meta/*.json"],
        limits: &["16 MiB a record", "4,096 dependencies a record"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &[".json"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    let is_record = path
        .strip_suffix(".json")
        .and_then(|path| path.rsplit_once('/'))
        .is_some_and(|(directory, _)| directory.ends_with("/conda-meta"));
    if is_record { Want::distilled(Distil::CondaRecord) } else { Want::NOTHING }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let mut order = Vec::new();
    let mut environments: HashMap<LayerPath, Vec<(Component, &[String])>> = HashMap::new();
    for file in view.overlay.files() {
        let Some(Distilled::CondaRecord(record)) = &file.kept.distilled else { continue };
        let component = if record.is_readable { Some(component(file, record)) } else { named(file) };
        if !record.is_readable {
            let reason = "the record is too large or not what its name says; its file name alone is used";
            findings.gaps.push(Gap {
                path: file.path.clone(),
                code: "conda_record_unreadable",
                reason: reason.to_owned(),
            });
        }
        let Some(component) = component else { continue };
        let directory = file.path.parent();
        let environment = environments.entry(directory.clone()).or_insert_with(|| {
            order.push(directory);
            Vec::new()
        });
        environment.push((component, &record.depends));
    }
    for directory in order {
        let Some(packages) = environments.remove(&directory) else { continue };
        findings.add(Application::unreported(ApplicationKind::Conda, &directory, connected(packages)));
    }
}

fn component(file: &OverlayFile, record: &CondaRecord) -> Component {
    let version = Some(record.version.clone());
    let mut component =
        Component::new(Ecosystem::Conda, record.name.as_str(), version, file.path.clone(), file.layer);
    component.licenses = record.license.iter().cloned().collect();
    let hashes = [(HashAlgorithm::Md5, &record.md5, 32), (HashAlgorithm::Sha256, &record.sha256, 64)];
    component.hashes = hashes
        .into_iter()
        .filter_map(|(algorithm, hash, length)| Some((algorithm, hash.as_ref()?.to_lowercase(), length)))
        .filter(|(_, hash, length)| {
            hash.len() == *length && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
        .map(|(algorithm, hash, _)| (algorithm, hash))
        .collect::<BTreeSet<_>>();
    let kind = record.file_name.as_deref().and_then(|name| {
        ["tar.bz2", "conda"].into_iter().find(|kind| name.ends_with(kind)).map(str::to_owned)
    });
    // package-url/purl-spec, PURL-TYPES, conda.
    let qualifiers = [
        ("build", record.build.clone()),
        (
            "channel",
            record.channel.as_deref().and_then(|channel| channel_name(channel, record.subdir.as_deref())),
        ),
        ("subdir", record.subdir.clone()),
        ("type", kind),
    ];
    component.qualifiers =
        qualifiers.into_iter().filter_map(|(key, value)| Some((key, value?))).collect::<BTreeMap<_, _>>();
    component
}

/// `conda-forge` of `https://conda.anaconda.org/conda-forge/linux-64`: never the whole URL, which may hold a token.
fn channel_name(channel: &str, subdir: Option<&str>) -> Option<String> {
    let mut parts = channel.rsplit('/').filter(|part| !part.is_empty());
    parts.find(|part| Some(*part) != subdir).map(str::to_owned)
}

/// What the name of a record, `NAME-VERSION-BUILD.json`, tells.
fn named(file: &OverlayFile) -> Option<Component> {
    let mut parts = file.path.file_name().strip_suffix(".json")?.rsplitn(3, '-');
    let (build, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    let version = Some(version.to_owned());
    let mut component = Component::new(Ecosystem::Conda, name, version, file.path.clone(), file.layer);
    component.qualifiers.insert("build", build.to_owned());
    Some(component)
}

/// The packages of an environment, of which each name is there once, with the dependencies among them.
fn connected(packages: Vec<(Component, &[String])>) -> Vec<Component> {
    let places: HashMap<String, usize> =
        packages.iter().enumerate().map(|(place, (component, _))| (component.name.clone(), place)).collect();
    let connect = |(place, (mut component, depends)): (usize, (Component, &[String]))| {
        let mut known = HashSet::from([place]);
        let names = depends.iter().filter_map(|text| text.split_whitespace().next());
        component.depends =
            names.filter_map(|name| places.get(name).copied()).filter(|other| known.insert(*other)).collect();
        component
    };
    packages.into_iter().enumerate().map(connect).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, overlay_of};
    use super::*;
    use crate::interest::Interest;

    #[test]
    fn packages_of_an_environment_are_listed_with_what_their_records_say() {
        let zlib =
            br#"{"name":"zlib","version":"1.3.1","build":"hb9d3cd8_2","subdir":"linux-64","license":"Zlib",
            "channel":"https://user:secret@conda.anaconda.org/t/token/conda-forge/linux-64",
            "fn":"zlib-1.3.1-hb9d3cd8_2.conda","md5":"C9F075AB2F33B3BBEE9E62D4AD0A6CD8","sha256":"short",
            "depends":["__glibc >=2.17","libzlib 1.3.1 hb9d3cd8_2"]}"#;
        let libzlib = br#"{"name":"libzlib","version":"1.3.1","channel":"defaults"}"#;
        let files = vec![
            file("/opt/conda/conda-meta/zlib-1.3.1-hb9d3cd8_2.json", zlib),
            file("/opt/conda/conda-meta/libzlib-1.3.1-hb9d3cd8_2.json", libzlib),
            file("/opt/conda/conda-meta/a-b-1.0-0.json", b"["),
        ];
        let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
        let [application] = findings.applications.as_slice() else { panic!("one application") };
        assert_eq!(application.target_file, "/opt/conda/conda-meta");
        let [zlib, libzlib, named] = application.components.as_slice() else { panic!("three") };
        assert_eq!((zlib.name.as_str(), zlib.version.as_deref()), ("zlib", Some("1.3.1")));
        assert_eq!((zlib.licenses.as_slice(), zlib.depends.as_slice()), (&["Zlib".to_owned()][..], &[1][..]));
        let hash = (HashAlgorithm::Md5, "c9f075ab2f33b3bbee9e62d4ad0a6cd8".to_owned());
        assert_eq!(zlib.hashes, BTreeSet::from([hash]));
        let qualifiers: Vec<_> = zlib.qualifiers.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let expected =
            [("build", "hb9d3cd8_2"), ("channel", "conda-forge"), ("subdir", "linux-64"), ("type", "conda")];
        assert_eq!(qualifiers, expected);
        assert_eq!(libzlib.qualifiers["channel"], "defaults");
        assert_eq!((named.name.as_str(), named.version.as_deref()), ("a-b", Some("1.0")));
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [("/opt/conda/conda-meta/a-b-1.0-0.json", "conda_record_unreadable")]);
    }
}
