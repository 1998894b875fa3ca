//! Package URLs (package-url/purl-spec), in the encoding that the scanner being replaced uses: consumers compare
//! them as text.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use regent_scan::{OsRelease, Package, PackageDetail, Packages};

/// What `encodeURIComponent` encodes.
const COMPONENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
const NAMESPACE: AsciiSet = COMPONENT.remove(b':').remove(b'/');
/// In names and versions the colon of an epoch stays.
const NAME: AsciiSet = COMPONENT.remove(b':');
const QUALIFIER: AsciiSet = COMPONENT.remove(b'/');

/// The URL of an operating system's package. None for a package without version, for Alpine's and for chisel slices.
pub(crate) fn purl(package: &Package, packages: &Packages, os: &OsRelease) -> Option<String> {
    let version = package.version.as_deref().filter(|version| !version.is_empty())?;
    match &package.detail {
        PackageDetail::Deb => {
            let upstream =
                package.source.as_ref().filter(|source| !source.name.is_empty()).map(|source| match &source
                    .version
                {
                    Some(version) => format!("{}@{version}", source.name),
                    None => source.name.clone(),
                });
            let distro = format!("{}-{}", os.name, code_name(&os.version));
            Some(url(
                "deb",
                &os.name,
                &package.name,
                version,
                &[("distro", Some(distro)), ("upstream", upstream)],
            ))
        }
        PackageDetail::Rpm { epoch, modularity, source_rpm } => {
            let module =
                modularity.as_ref().map(|label| label.split(':').take(2).collect::<Vec<_>>().join(":"));
            let qualifiers = [
                ("distro", Some(format!("{}-{}", os.name, os.version))),
                ("epoch", epoch.map(|epoch| epoch.to_string())),
                ("module", module),
                ("repositories", Some(packages.content_sets.join(","))),
                ("upstream", source_rpm.as_deref().and_then(rpm_upstream)),
            ];
            Some(url("rpm", &os.name, &package.name, version, &qualifiers))
        }
        _ => None,
    }
}

/// Debian's code names. They are applied by version alone, whatever the distribution is called.
fn code_name(version: &str) -> &str {
    match version {
        "8" => "jessie",
        "9" => "stretch",
        "10" => "buster",
        "11" => "bullseye",
        "12" => "bookworm",
        "13" => "trixie",
        "unstable" => "sid",
        other => other,
    }
}

/// `bash-5.1.8-9.el9.src.rpm` → `bash@5.1.8-9.el9`.
fn rpm_upstream(file: &str) -> Option<String> {
    let (rest, release) = file.strip_suffix(".src.rpm")?.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let filled = [name, version, release].iter().all(|part| !part.is_empty());
    filled.then(|| format!("{name}@{version}-{release}"))
}

/// Qualifiers must come sorted by key; empty ones are left out.
fn url(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, Option<String>)],
) -> String {
    let mut url = format!("pkg:{kind}/");
    if !namespace.is_empty() {
        let _ = write!(url, "{}/", utf8_percent_encode(namespace, &NAMESPACE));
    }
    let _ = write!(url, "{}@{}", utf8_percent_encode(name, &NAME), utf8_percent_encode(version, &NAME));
    let mut separator = '?';
    for (key, value) in qualifiers {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            let _ = write!(url, "{separator}{key}={}", utf8_percent_encode(value, &QUALIFIER));
            separator = '&';
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use regent_scan::Source;

    fn package(name: &str, version: &str, detail: PackageDetail) -> Package {
        Package::new(name, Some(version.into()).filter(|v: &String| !v.is_empty()), detail)
    }

    fn os(name: &str, version: &str) -> OsRelease {
        OsRelease { name: name.into(), version: version.into(), pretty_name: String::new() }
    }

    #[test]
    fn debian_packages() {
        let rows = [
            (
                ("tar", "1.34+dfsg-1.2", None),
                ("debian", "12"),
                "pkg:deb/debian/tar@1.34%2Bdfsg-1.2?distro=debian-bookworm",
            ),
            (
                ("libb", "1.2", Some(("libs", Some("1.2")))),
                ("debian", "12"),
                "pkg:deb/debian/libb@1.2?distro=debian-bookworm&upstream=libs%401.2",
            ),
            (
                ("app", "2:1.4~rc1", Some(("app-src", Some("2:1.4")))),
                ("ubuntu", "24.04"),
                "pkg:deb/ubuntu/app@2:1.4~rc1?distro=ubuntu-24.04&upstream=app-src%402%3A1.4",
            ),
            (
                ("name+plus", "1%2", Some(("n", None))),
                ("debian", "unstable"),
                "pkg:deb/debian/name%2Bplus@1%252?distro=debian-sid&upstream=n",
            ),
            (
                ("foo", "1.0", None),
                ("my distro", "1.2 beta"),
                "pkg:deb/my%20distro/foo@1.0?distro=my%20distro-1.2%20beta",
            ),
            (("foo", "1/2", None), ("a/b", "8"), "pkg:deb/a/b/foo@1%2F2?distro=a/b-jessie"),
            (("ü", "!~*'()", None), ("debian", "7"), "pkg:deb/debian/%C3%BC@!~*'()?distro=debian-7"),
        ];
        for ((name, version, source), (os_name, os_version), expected) in rows {
            let mut package = package(name, version, PackageDetail::Deb);
            package.source = source
                .map(|(name, version)| Source { name: name.into(), version: version.map(str::to_owned) });
            let url = purl(&package, &Packages::default(), &os(os_name, os_version));
            assert_eq!(url.as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn rpm_packages() {
        let rows = [
            (
                "5.1-9",
                None,
                None,
                Some("bash-5.1-9.src.rpm"),
                "pkg:rpm/rhel/p@5.1-9?distro=rhel-9.4&repositories=a%2Cb&upstream=bash%405.1-9",
            ),
            (
                "5.1-9",
                Some(0),
                None,
                Some("bash.src.rpm"),
                "pkg:rpm/rhel/p@5.1-9?distro=rhel-9.4&epoch=0&repositories=a%2Cb",
            ),
            (
                "1:5.1-9",
                Some(1),
                Some("nodejs:18:802:x"),
                Some("-1-2.src.rpm"),
                "pkg:rpm/rhel/p@1:5.1-9?distro=rhel-9.4&epoch=1&module=nodejs%3A18&repositories=a%2Cb",
            ),
            (
                "5.1-9",
                None,
                None,
                Some("bash-5.1-9.nosrc.rpm"),
                "pkg:rpm/rhel/p@5.1-9?distro=rhel-9.4&repositories=a%2Cb",
            ),
        ];
        let packages = Packages { content_sets: vec!["a".into(), "b".into()], ..Packages::default() };
        for (version, epoch, modularity, source_rpm, expected) in rows {
            let detail = PackageDetail::Rpm {
                epoch,
                modularity: modularity.map(str::to_owned),
                source_rpm: source_rpm.map(str::to_owned),
            };
            let url = purl(&package("p", version, detail), &packages, &os("rhel", "9.4"));
            assert_eq!(url.as_deref(), Some(expected));
        }
    }

    #[test]
    fn some_packages_have_none() {
        let rows = [("1", PackageDetail::Apk), ("1", PackageDetail::Chisel), ("", PackageDetail::Deb)];
        for (version, detail) in rows {
            assert_eq!(purl(&package("p", version, detail), &Packages::default(), &os("alpine", "3")), None);
        }
    }
}
