//! Images in which a distribution's packages have packages of other ecosystems.

use crate::analyze::tests::{captured_layers, file, sqlite_with_files};
use crate::application::{Application, ApplicationKind, Component, Content, Ecosystem};
use crate::attribution::attribute;
use crate::capture::{Entry, EntryKind};
use crate::finding::{Findings, OsRelease};
use crate::limits::Limits;
use crate::overlay::Overlay;
use crate::path::LayerPath;
use crate::{Interest, analyze};

/// An application with components that these files tell of, as if analyzers had found them.
fn application(kind: ApplicationKind, evidence: &[(&str, &[&str], usize)]) -> Application {
    let component = |(name, paths, layer): &(&str, &[&str], usize)| Component {
        evidence: paths.iter().map(|path| LayerPath::new(path)).collect(),
        ..Component::new(Ecosystem::Npm, *name, Some("1".into()), LayerPath::new("/"), *layer)
    };
    Application {
        kind,
        target_file: "/app/composer.lock".into(),
        content: Content::Unreported,
        components: evidence.iter().map(component).collect(),
    }
}

/// What is found in these layers, and of this application in them.
fn attributed(layers: Vec<Vec<Entry>>, applications: Vec<Application>) -> Findings {
    let layers = captured_layers(layers.into_iter());
    let (overlay, _) = Overlay::new(&layers, &Limits::default());
    let mut findings = analyze(&overlay, &Interest::default());
    findings.applications = applications;
    attribute(&mut findings, overlay, &layers, &Limits::default());
    findings
}

/// Names of the components with those of the packages that have them.
fn owners(findings: &Findings) -> Vec<(&str, Option<&str>)> {
    let databases: Vec<_> = findings.databases().collect();
    let components = findings.applications.iter().flat_map(|application| &application.components);
    components
        .map(|component| {
            let owner = component.owner.map(|place| &*databases[place.database].list[place.package].name);
            (component.name.as_str(), owner)
        })
        .collect()
}

fn link(path: &str, target: &str) -> Entry {
    Entry { path: LayerPath::new(path), kind: EntryKind::Symlink(target.into()) }
}

const APK: &[u8] =
    b"P:npm\nV:10.5.2-r0\no:npm\nF:usr/lib/node_modules/npm\nR:package.json\nF:usr/bin\nR:npm\n\n\
    P:node\nV:20.1-r0\no:nodejs\nF:usr/bin\nR:node\nF:usr/lib\n\n";

#[test]
fn a_package_of_apk_has_the_files_in_its_directories() {
    let evidence: &[(&str, &[&str], usize)] = &[
        ("npm", &["/usr/lib/node_modules/npm/package.json"], 0),
        ("other", &["/usr/lib/node_modules/other/package.json"], 0),
        ("both", &["/usr/bin/npm", "/usr/bin/node"], 0),
        ("node", &["/usr/bin/node", "/usr/bin/node"], 0),
    ];
    let layer = vec![file("/lib/apk/db/installed", APK)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::NodeModules, evidence)]);
    let expected = [("npm", Some("npm")), ("other", None), ("both", None), ("node", Some("node"))];
    assert_eq!(owners(&findings), expected);
}

#[test]
fn a_package_of_dpkg_has_the_files_of_its_list_of_its_architecture() {
    let status = b"Package: liba\nArchitecture: amd64\nVersion: 1\nStatus: install ok installed\n\n\
        Package: liba\nArchitecture: arm64\nVersion: 2\nStatus: install ok installed\n\n\
        Package: python3-requests\nArchitecture: all\nVersion: 2.28\nStatus: install ok installed\n\n\
        Package: gone\nArchitecture: all\nVersion: 1\nStatus: deinstall ok config-files\n\n";
    let metadata = "/usr/lib/python3/dist-packages/requests-2.28.egg-info/PKG-INFO";
    let layer = vec![
        file("/var/lib/dpkg/status", status),
        file("/var/lib/dpkg/info/python3-requests.list", format!("/.\n/usr\n{metadata}\n").as_bytes()),
        file("/var/lib/dpkg/info/liba:arm64.list", b"/usr/lib/arm/a.jar\n"),
        file("/var/lib/dpkg/info/gone.list", b"/usr/share/gone.jar\n"),
    ];
    let evidence: &[(&str, &[&str], usize)] = &[
        ("requests", &[metadata], 0),
        ("a", &["/usr/lib/arm/a.jar"], 0),
        ("gone", &["/usr/share/gone.jar"], 0),
    ];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    let expected = [("requests", Some("python3-requests")), ("a", Some("liba")), ("gone", None)];
    assert_eq!(owners(&findings), expected);
    assert_eq!(findings.applications[0].components[1].owner.map(|place| place.package), Some(1));
}

#[test]
fn a_distroless_package_has_the_files_with_its_checksums() {
    let layer = vec![
        file("/var/lib/dpkg/status.d/libpython3", b"Package: libpython3\nVersion: 3.11\n"),
        file(
            "/var/lib/dpkg/status.d/libpython3.md5sums",
            b"d41d8cd98f00b204e9800998ecf8427e  usr/lib/a.jar\n",
        ),
    ];
    let evidence: &[(&str, &[&str], usize)] = &[("a", &["/usr/lib/a.jar"], 0), ("b", &["/usr/lib/b.jar"], 0)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    assert_eq!(owners(&findings), [("a", Some("libpython3")), ("b", None)]);
}

#[test]
fn a_package_of_rpm_has_the_files_of_its_header() {
    let database = sqlite_with_files("python3-six", &[("/usr/lib/six/", "METADATA")]);
    let layer = vec![file("/usr/lib/sysimage/rpm/rpmdb.sqlite", &database)];
    let evidence: &[(&str, &[&str], usize)] =
        &[("six", &["/usr/lib/six/METADATA"], 0), ("seven", &["/usr/lib/seven/METADATA"], 0)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    assert_eq!(owners(&findings), [("six", Some("python3-six")), ("seven", None)]);
}

#[test]
fn a_chiselled_package_has_the_files_of_its_slices() {
    let lines = br#"{"kind":"package","name":"libjs","version":"1","sha256":"ab","arch":"amd64"}
{"kind":"content","slice":"libjs_all","path":"/usr/share/js/package.json"}
{"kind":"path","path":"/usr/share/other/package.json","slices":["libjs_all"]}
"#;
    let manifest = zstd::encode_all(&lines[..], 0).unwrap();
    let layer = vec![file("/var/lib/chisel/manifest.wall", &manifest)];
    let evidence: &[(&str, &[&str], usize)] =
        &[("js", &["/usr/share/js/package.json"], 0), ("x", &["/usr/share/js/x"], 0)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    assert_eq!(owners(&findings), [("js", Some("libjs")), ("x", None)]);
}

#[test]
fn links_to_directories_make_no_difference_on_either_side() {
    let apk = b"P:a\nV:1\nF:lib\nR:a.jar\nF:usr/lib\nR:b.jar\n\n";
    // Links count where files lie that something wants, as in images of which any application was found.
    let below = file("/usr/lib/jvm/release", b"JAVA_VERSION=17\n");
    let layer = vec![file("/lib/apk/db/installed", apk), link("/lib", "usr/lib"), below];
    let evidence: &[(&str, &[&str], usize)] =
        &[("a", &["/usr/lib/a.jar"], 0), ("b", &["/lib/b.jar"], 0), ("c", &["/usr/lib/c.jar"], 0)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    assert_eq!(owners(&findings), [("a", Some("a")), ("b", Some("a")), ("c", None)]);
}

#[test]
fn what_a_newer_layer_put_in_a_packages_place_is_not_the_packages() {
    let path = "/usr/lib/node_modules/npm/package.json";
    for (layer, expected) in [(0, Some("npm")), (1, None)] {
        let layers = vec![vec![file("/lib/apk/db/installed", APK)], vec![file("/usr/bin/node", b"node")]];
        let evidence: &[(&str, &[&str], usize)] = &[("npm", &[path], layer)];
        let findings = attributed(layers, vec![application(ApplicationKind::NodeModules, evidence)]);
        assert_eq!(owners(&findings), [("npm", expected)]);
    }
}

#[test]
fn of_a_file_that_two_packages_have_the_main_one_is_the_owner() {
    let apk = b"P:a-doc\nV:1\no:a\nF:x\nR:y.jar\n\nP:a\nV:1\no:a\nF:x\nR:y.jar\n\n";
    let evidence: &[(&str, &[&str], usize)] = &[("y", &["/x/y.jar"], 0)];
    let layer = vec![file("/lib/apk/db/installed", apk)];
    let findings = attributed(vec![layer], vec![application(ApplicationKind::Composer, evidence)]);
    assert_eq!(owners(&findings), [("y", Some("a"))]);
}

/// What of an application belongs to packages, in the words of results.
fn told(os: &str, installed: &[u8], application: Application) -> Vec<(String, usize)> {
    let layers = vec![vec![
        file("/etc/os-release", format!("ID={os}\nVERSION_ID=1\n").as_bytes()),
        file("/lib/apk/db/installed", installed),
    ]];
    let findings = attributed(layers, vec![application]);
    assert_eq!(findings.os.as_ref().map(|os: &OsRelease| os.name.as_str()), Some(os));
    findings
        .apk_owned
        .into_iter()
        .map(|owned| {
            let paths: Vec<&str> = owned.paths.iter().map(LayerPath::as_str).collect();
            (paths.join(" "), owned.package)
        })
        .collect()
}

#[test]
fn results_of_wolfi_tell_owners_by_the_deepest_directory_that_one_package_has() {
    let evidence: &[(&str, &[&str], usize)] = &[
        ("npm", &["/usr/lib/node_modules/npm/package.json"], 0),
        ("semver", &["/usr/lib/node_modules/npm/node_modules/semver/package.json"], 0),
        ("semver", &["/usr/lib/node_modules/npm/node_modules/z/node_modules/semver/package.json"], 0),
        ("mine", &["/srv/node_modules/mine/package.json"], 0),
    ];
    let mut application = application(ApplicationKind::NodeModules, evidence);
    application.content = Content::Dependencies {
        root: crate::Root::default(),
        dependencies: crate::Dependencies::Tree(crate::Tree::default()),
        tested_files: crate::TestedFiles::None,
    };
    let expected = [
        ("/usr/lib/node_modules/npm".to_owned(), 0),
        ("/usr/lib/node_modules/npm/node_modules/semver".to_owned(), 0),
    ];
    assert_eq!(told("wolfi", APK, application.clone()), expected);
    assert_eq!(told("alpine", APK, application), []);
}

#[test]
fn the_files_of_an_application_are_those_that_its_result_tells_of() {
    let jar = |location: &str, depth| crate::JarFingerprint {
        location: location.into(),
        depth,
        identity: crate::JarIdentity::Sha1("ab".into()),
        dependencies: Vec::new(),
    };
    let jars = vec![jar("/app/a.jar", 0), jar("/app/a.jar/in.jar", 1), jar("/app/b.jar", 0)];
    let rows = [
        (Content::Jars { fingerprints: jars, is_system: false }, "/app/a.jar /app/b.jar"),
        (
            Content::Files { language: "node", paths: vec!["a.js".into(), "b/c.js".into()] },
            "/app/a.js /app/b/c.js",
        ),
    ];
    for (content, expected) in rows {
        let mut application = application(ApplicationKind::Java, &[]);
        (application.target_file, application.content) = ("/app".into(), content);
        let told = told("wolfi", b"P:app\nV:1\nF:app\n\n", application);
        assert_eq!(told, [(expected.to_owned(), 0)]);
    }
}

#[test]
fn an_application_as_a_whole_belongs_to_the_package_that_has_all_its_files() {
    let rows: &[(&[u8], &[&str], usize)] = &[
        (b"P:app\nV:1\nF:app\nR:composer.json\nR:composer.lock\n\n", &["composer.json", "composer.lock"], 1),
        (b"P:app\nV:1\nF:app\nR:composer.json\n\n", &["composer.json", "composer.lock"], 1),
        (
            b"P:app\nV:1\nF:app\nR:composer.json\n\nP:b\nV:1\nF:app\nR:composer.lock\n\n",
            &["composer.json", "composer.lock"],
            0,
        ),
        (b"P:a\nV:1\nF:app\n\nP:b\nV:1\nF:app\n\n", &["composer.lock"], 0),
    ];
    for (installed, names, n_owned) in rows {
        let mut application = application(ApplicationKind::Composer, &[("a", &["/app/composer.lock"], 0)]);
        application.content = Content::Dependencies {
            root: crate::Root::default(),
            dependencies: crate::Dependencies::Tree(crate::Tree::default()),
            tested_files: crate::TestedFiles::List(names.iter().map(|&name| name.to_owned()).collect()),
        };
        let told = told("chainguard", installed, application);
        assert_eq!(told.len(), *n_owned, "{}", String::from_utf8_lossy(installed));
    }
}
