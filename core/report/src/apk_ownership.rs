//! The fact `apkPackageOwnership`: which parts of an application belong to packages of Wolfi or Chainguard.

use regent_scan::{ApkOwned, Findings};
use serde_json::{Map, Value, json};

/// The fact's data for one of the findings' applications; `None` where nothing of it belongs to a package.
pub(crate) fn ownership(findings: &Findings, application: usize) -> Option<Value> {
    let distribution = &findings.os.as_ref()?.name;
    let owned = findings.apk_owned.iter().filter(|owned| owned.application == application);
    let owned: Vec<Value> = owned.filter_map(|owned| entry(findings, owned)).collect();
    (!owned.is_empty()).then(|| json!({ "distroId": distribution, "ownedPackages": owned }))
}

fn entry(findings: &Findings, owned: &ApkOwned) -> Option<Value> {
    let package = findings.packages.list.get(owned.package)?;
    let origin = package.source.as_ref().map_or(&package.name, |source| &source.name);
    let mut entry = Map::new();
    let paths: Vec<&str> = owned.paths.iter().map(regent_scan::LayerPath::as_str).collect();
    entry.insert("evidencePaths".to_owned(), json!(paths));
    entry.insert("apkPackageName".to_owned(), json!(package.name));
    entry.insert("apkPackageVersion".to_owned(), json!(package.version.as_deref().unwrap_or_default()));
    entry.insert("originPackage".to_owned(), json!(origin));
    if let Some((name, version)) = &owned.component {
        entry.insert("name".to_owned(), json!(name));
        entry.extend(version.as_ref().map(|version| ("version".to_owned(), json!(version))));
    }
    Some(Value::Object(entry))
}

#[cfg(test)]
mod tests {
    use regent_scan::{LayerPath, OsRelease, Package, PackageDetail, PackageFormat, Packages, Source};

    use super::*;

    #[test]
    fn what_belongs_to_a_package_is_told_with_the_application_that_it_is_of() {
        let npm = Package {
            source: Some(Source { name: "nodejs".into(), version: None }),
            ..Package::new("npm", Some("10.5.2-r0".into()), PackageDetail::Apk)
        };
        let yarn = Package::new("yarn", Some("1.22.22-r0".into()), PackageDetail::Apk);
        let owned = |application, path: &str, package, component| ApkOwned {
            application,
            paths: vec![LayerPath::new(path)],
            package,
            component,
        };
        let semver = ("semver".to_owned(), Some("7.6.0".to_owned()));
        let findings = Findings {
            os: Some(OsRelease { name: "wolfi".into(), version: "1".into(), pretty_name: String::new() }),
            packages: Packages { format: PackageFormat::Apk, list: vec![npm, yarn], ..Packages::default() },
            apk_owned: vec![
                owned(2, "/usr/lib/node_modules/npm/node_modules/semver", 0, Some(semver)),
                owned(2, "/usr/lib/node_modules/odd", 0, Some(("odd".to_owned(), None))),
                owned(0, "/usr/share/app/requirements.txt", 1, None),
            ],
            ..Findings::default()
        };
        let of_npm = json!({"distroId": "wolfi", "ownedPackages": [
            {
                "evidencePaths": ["/usr/lib/node_modules/npm/node_modules/semver"], "apkPackageName": "npm",
                "apkPackageVersion": "10.5.2-r0", "originPackage": "nodejs", "name": "semver", "version": "7.6.0",
            },
            {
                "evidencePaths": ["/usr/lib/node_modules/odd"], "apkPackageName": "npm",
                "apkPackageVersion": "10.5.2-r0", "originPackage": "nodejs", "name": "odd",
            },
        ]});
        let of_pip = json!({"distroId": "wolfi", "ownedPackages": [{
            "evidencePaths": ["/usr/share/app/requirements.txt"], "apkPackageName": "yarn",
            "apkPackageVersion": "1.22.22-r0", "originPackage": "yarn",
        }]});
        assert_eq!(ownership(&findings, 2), Some(of_npm));
        assert_eq!(ownership(&findings, 0), Some(of_pip));
        assert_eq!(ownership(&findings, 1), None);
    }
}
