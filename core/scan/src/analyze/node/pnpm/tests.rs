//! Projects with lock files as the versions of pnpm write them.

use super::super::tests::{edges, project};

const MANIFEST: &str = r#"{"name":"shop","version":"1.0.0",
  "dependencies":{"@s/a":"^1.0.0","lodash3":"npm:lodash@3.10.1","tool":"github:o/tool","linked":"link:../linked",
    "gone":"^9.0.0","dev":"1"},
  "optionalDependencies":{"fsevents":"^2.3.2"},"devDependencies":{"dev":"1"}}"#;

const V5: &str = "lockfileVersion: 5.4

specifiers:
  '@s/a': ^1.0.0

dependencies:
  '@s/a': 1.0.0_react@17.0.2
  linked: link:../linked
  lodash3: /lodash/3.10.1
  tool: github.com/o/tool/0123

optionalDependencies:
  fsevents: 2.3.3

devDependencies:
  dev: 1.0.0

packages:

  /@s/a/1.0.0_react@17.0.2:
    resolution: {integrity: sha512-PYAthTa2m2VKxuvSD3DPC/Gy+U+sOA1LAuT8mkmRuvw+NACSaeXEQ+NHcVF7rONl6qcaxV3Uuemwawk+7+SJLw==}
    dependencies:
      react: 17.0.2
      shop: 1.0.0
    optionalDependencies:
      fsevents: 2.3.3
    dev: false

  /dev/1.0.0:
    dev: true

  /fsevents/2.3.3:
    resolution: {integrity: sha1-C/C+Eltn}
    requiresBuild: true
    dev: false
    optional: true

  /lodash/3.10.1:
    dev: false

  /react/17.0.2:
    dev: false

  /shop/1.0.0:
    dependencies:
      react: 17.0.2

  github.com/o/tool/0123:
    name: tool
    version: 0.1.0
    dependencies:
      local: file:local
    dev: false

  file:local:
    resolution: {directory: local, type: directory}
    name: local
";

const EXPECTED: [&str; 9] = [
    "shop@1.0.0 > @s/a@1.0.0",
    "shop@1.0.0 > fsevents@2.3.3",
    "shop@1.0.0 > gone@^9.0.0",
    "shop@1.0.0 > linked@link:../linked",
    "shop@1.0.0 > lodash@3.10.1",
    "shop@1.0.0 > tool@0.1.0",
    "@s/a@1.0.0 > fsevents@2.3.3",
    "@s/a@1.0.0 > react@17.0.2",
    "@s/a@1.0.0 > shop@1.0.0 shop@1.0.0:pruned",
];

/// The same project as other versions of pnpm write it.
fn v6() -> String {
    let text = V5.replace("lockfileVersion: 5.4", "lockfileVersion: '6.0'");
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line
            .replace("/1.0.0_react@17.0.2", "@1.0.0(react@17.0.2)")
            .replace("1.0.0_react@17.0.2", "1.0.0(react@17.0.2)")
            .replace("/lodash/", "/lodash@");
        let line = ["dev", "fsevents", "react", "shop"]
            .iter()
            .fold(line, |line, name| line.replace(&format!("  /{name}/"), &format!("  /{name}@")));
        match line.split_once(": ") {
            Some((name, version)) if name.starts_with("  ") && !name.starts_with("   ") => {
                lines.push(format!("{name}:\n    specifier: '*'\n    version: {version}"));
            }
            _ => lines.push(line),
        }
    }
    lines.join("\n")
}

#[test]
fn versions_5_and_6_tell_the_same_of_the_same_project() {
    for lock in [V5.to_owned(), v6()] {
        let application = project("pnpm-lock.yaml", MANIFEST, &lock).unwrap();
        let edges = edges(&application);
        assert_eq!(edges[..9], EXPECTED, "{lock}");
        assert_eq!(edges[9..], ["tool@0.1.0 > local@undefined"]);
    }
}

const V9: &str = "---
lockfileVersion: '9.0'

importers:

  .:
    configDependencies: {}
    packageManagerDependencies:
      pnpm:
        specifier: 11.0.0
        version: 11.0.0
---
lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      '@s/a':
        specifier: ^1.0.0
        version: 1.0.0(react@17.0.2)
      linked:
        specifier: link:../linked
        version: link:../linked
      lodash3:
        specifier: npm:lodash@3.10.1
        version: lodash@3.10.1
      tool:
        specifier: github:o/tool
        version: https://codeload.github.com/o/tool/tar.gz/0123
    optionalDependencies:
      fsevents:
        specifier: ^2.3.2
        version: 2.3.3

  packages/other:
    dependencies:
      '@s/a':
        specifier: ^1.0.0
        version: 1.0.0(react@18.0.0)

packages:

  '@s/a@1.0.0':
    resolution: {integrity: sha512-PYAthTa2m2VKxuvSD3DPC/Gy+U+sOA1LAuT8mkmRuvw+NACSaeXEQ+NHcVF7rONl6qcaxV3Uuemwawk+7+SJLw==}
    peerDependencies:
      react: '*'

  fsevents@2.3.3:
    resolution: {integrity: sha1-C/C+Eltn}
    os: [darwin]

  lodash@3.10.1: {}

  react@17.0.2: {}

  react@18.0.0: {}

  shop@1.0.0: {}

  tool@https://codeload.github.com/o/tool/tar.gz/0123:
    resolution: {tarball: https://codeload.github.com/o/tool/tar.gz/0123}
    version: 0.1.0

snapshots:

  '@s/a@1.0.0(react@17.0.2)':
    dependencies:
      react: 17.0.2
      shop: 1.0.0
    optionalDependencies:
      fsevents: 2.3.3

  fsevents@2.3.3:
    optional: true

  lodash@3.10.1: {}

  react@17.0.2: {}

  react@18.0.0: {}

  shop@1.0.0: {}

  tool@https://codeload.github.com/o/tool/tar.gz/0123: {}
";

#[test]
fn version_9_has_snapshots_importers_and_a_document_about_pnpm_itself() {
    let application = project("pnpm-lock.yaml", MANIFEST, V9).unwrap();
    assert_eq!(edges(&application), EXPECTED);
    let component = |name: &str| application.components.iter().find(|component| component.name == name);
    let a = component("a").unwrap();
    assert_eq!(
        (a.namespace.as_deref(), a.version.as_deref(), a.hashes.len()),
        (Some("@s"), Some("1.0.0"), 1)
    );
    assert!(component("lodash3").is_none());
    assert_eq!(component("lodash").unwrap().version.as_deref(), Some("3.10.1"));
    assert!(component("gone").is_none(), "what is not locked is not there");
}

#[test]
fn of_one_package_with_several_sets_of_peers_the_last_is_reported_and_the_right_one_is_a_component() {
    let snapshot = "
  '@s/a@1.0.0(react@18.0.0)':
    dependencies:
      react: 18.0.0
";
    let lock = V9.replace(
        "\n  fsevents@2.3.3:\n    optional: true\n",
        &format!("{snapshot}\n  fsevents@2.3.3: {{}}\n"),
    );
    let application = project("pnpm-lock.yaml", MANIFEST, &lock).unwrap();
    assert!(edges(&application).contains(&"@s/a@1.0.0 > react@18.0.0".to_owned()));
    let react: Vec<_> = application.components.iter().filter(|component| component.name == "react").collect();
    assert_eq!(react.len(), 1);
    assert_eq!(react[0].version.as_deref(), Some("17.0.2"));
}

#[test]
fn a_lock_file_that_is_none_or_of_another_version_is_a_gap() {
    for lock in ["lockfileVersion: '7.0'\n", "a: [", "- 1\n", "# nothing\n", "lockfileVersion: {}\n"] {
        let gaps = project("pnpm-lock.yaml", MANIFEST, lock).unwrap_err();
        assert_eq!(gaps[0].code, "node_file_unreadable", "{lock}");
    }
    let many = format!("lockfileVersion: 5.4\npackages: {{{}}}\n", "a,".repeat(600_000));
    assert_eq!(project("pnpm-lock.yaml", MANIFEST, &many).unwrap_err()[0].code, "dependency_limit_reached");
}
