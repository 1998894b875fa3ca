//! Package URLs as the standard has them (ECMA-427; package-url/purl-spec). Scan results have other ones: those of the
//! scanner being replaced.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use regent_scan::{Component, Ecosystem, OsRelease, Package, PackageDetail};

/// All but letters, digits, the four punctuation characters and the colon are encoded (ECMA-427, "Character encoding").
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');

/// A package URL under construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purl {
    kind: &'static str,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    /// In the order of their keys, as the standard demands. Empty ones are left out.
    qualifiers: BTreeMap<&'static str, String>,
}

impl Purl {
    fn new(kind: &'static str, name: &str, version: Option<&str>) -> Self {
        Self {
            kind,
            namespace: None,
            name: name.to_owned(),
            version: version.map(str::to_owned),
            qualifiers: BTreeMap::new(),
        }
    }

    fn with(mut self, key: &'static str, value: Option<String>) -> Self {
        self.qualifiers.extend(value.filter(|value| !value.is_empty()).map(|value| (key, value)));
        self
    }

    /// Of an application's package. Names are as case-insensitive as their type's definition has them.
    pub(crate) fn of_component(component: &Component) -> Self {
        let lower_case =
            matches!(component.ecosystem, Ecosystem::Composer | Ecosystem::Hex | Ecosystem::Pypi);
        let cased = |text: &str| if lower_case { text.to_lowercase() } else { text.to_owned() };
        let mut name = cased(&component.name);
        if component.ecosystem == Ecosystem::Pypi {
            name = name.replace('_', "-");
        }
        Self {
            namespace: component.namespace.as_deref().map(cased),
            qualifiers: component.qualifiers.clone(),
            ..Self::new(component.ecosystem.purl_type(), &name, component.version.as_deref())
        }
    }

    /// Of a distribution's package. The release is that of the image, where it tells one.
    pub(crate) fn of_package(package: &Package, os: Option<&OsRelease>) -> Self {
        let distro = os.map(|os| match os.version.as_str() {
            "" => os.name.clone(),
            version => format!("{}-{version}", os.name),
        });
        let vendor = os.map(|os| os.name.to_lowercase());
        let version = package.version.as_deref();
        let source = package.source.as_ref().map(|source| match &source.version {
            Some(version) => format!("{}@{version}", source.name),
            None => source.name.clone(),
        });
        let purl = match &package.detail {
            PackageDetail::Rpm { epoch, modularity, source_rpm } => {
                // The epoch is a qualifier, not part of the version.
                let bare = version.map(|version| version.split_once(':').map_or(version, |(_, rest)| rest));
                Self::new("rpm", &package.name, bare)
                    .with(
                        "epoch",
                        epoch.filter(|epoch| *epoch != 0).map(|epoch| epoch.cast_unsigned().to_string()),
                    )
                    .with("rpmmod", modularity.clone())
                    .with("upstream", source_rpm.clone())
            }
            PackageDetail::Apk => {
                Self::new("apk", &package.name.to_lowercase(), version).with("upstream", source)
            }
            _ => Self::new("deb", &package.name.to_lowercase(), version).with("upstream", source),
        };
        let vendor = match &package.detail {
            // Chisel slices packages of Ubuntu.
            PackageDetail::Chisel => vendor.or_else(|| Some("ubuntu".to_owned())),
            _ => vendor,
        };
        Self { namespace: vendor, ..purl.with("arch", package.architecture.clone()).with("distro", distro) }
    }
}

/// Of an image in a registry.
pub(crate) fn image_purl(
    name: &str,
    digest: &str,
    repository: &str,
    tag: Option<&str>,
    architecture: Option<&str>,
) -> String {
    Purl::new("oci", &name.to_lowercase(), Some(digest))
        .with("arch", architecture.map(str::to_owned))
        .with("repository_url", Some(repository.to_owned()))
        .with("tag", tag.map(str::to_owned))
        .to_string()
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, &ENCODED)
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for segment in self.namespace.iter().flat_map(|namespace| namespace.split('/')) {
            if !segment.is_empty() {
                write!(f, "{}/", encoded(segment))?;
            }
        }
        write!(f, "{}", encoded(&self.name))?;
        if let Some(version) = self.version.as_deref().filter(|version| !version.is_empty()) {
            write!(f, "@{}", encoded(version))?;
        }
        let filled = self.qualifiers.iter().filter(|(_, value)| !value.is_empty());
        for (n, (key, value)) in filled.enumerate() {
            write!(f, "{}{key}={}", if n == 0 { '?' } else { '&' }, encoded(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regent_scan::{LayerPath, Source};

    #[test]
    fn urls_of_applications_packages() {
        // The standard's own examples, where it has one.
        let rows = [
            (Ecosystem::Npm, "@angular/animation", Some("12.3.1"), "pkg:npm/%40angular/animation@12.3.1"),
            (Ecosystem::Npm, "JSONStream", Some("1.3.5"), "pkg:npm/JSONStream@1.3.5"),
            (Ecosystem::Pypi, "Django_package", Some("1.11.1.dev1"), "pkg:pypi/django-package@1.11.1.dev1"),
            (
                Ecosystem::Golang,
                "github.com/BurntSushi/toml",
                Some("v1.2.3+incompatible"),
                "pkg:golang/github.com/BurntSushi/toml@v1.2.3%2Bincompatible",
            ),
            (Ecosystem::Golang, "stdlib", None, "pkg:golang/stdlib"),
            (
                Ecosystem::Maven,
                "org.apache.xmlgraphics/batik-anim",
                Some("1.9.1"),
                "pkg:maven/org.apache.xmlgraphics/batik-anim@1.9.1",
            ),
            (Ecosystem::Composer, "Laravel/Laravel", Some("5.5.0"), "pkg:composer/laravel/laravel@5.5.0"),
            (
                Ecosystem::Nuget,
                "EnterpriseLibrary.Common",
                Some("6.0.1304"),
                "pkg:nuget/EnterpriseLibrary.Common@6.0.1304",
            ),
            (Ecosystem::Hex, "Acme/Foo", Some("2.3"), "pkg:hex/acme/foo@2.3"),
            (Ecosystem::Gem, "rails", Some("7.0/ä"), "pkg:gem/rails@7.0%2F%C3%A4"),
            (
                Ecosystem::Swift,
                "github.com/Alamofire/Alamofire",
                Some("5.4.3"),
                "pkg:swift/github.com/Alamofire/Alamofire@5.4.3",
            ),
            (Ecosystem::Cargo, "rand", Some(""), "pkg:cargo/rand"),
        ];
        for (ecosystem, name, version, expected) in rows {
            let version = version.map(str::to_owned);
            let component =
                Component::new(ecosystem, "", version, LayerPath::new("/a"), 0).with_full_name(name);
            assert_eq!(Purl::of_component(&component).to_string(), expected);
        }
        let mut conda =
            Component::new(Ecosystem::Conda, "absl-py", Some("0.4.1".into()), LayerPath::new("/a"), 0);
        conda.qualifiers.extend([
            ("subdir", "linux-64".into()),
            ("build", "py36_0".into()),
            ("type", String::new()),
        ]);
        assert_eq!(
            Purl::of_component(&conda).to_string(),
            "pkg:conda/absl-py@0.4.1?build=py36_0&subdir=linux-64"
        );
    }

    #[test]
    fn urls_of_distributions_packages() {
        let rpm = |epoch, modularity: Option<&str>, source: Option<&str>| PackageDetail::Rpm {
            epoch,
            modularity: modularity.map(Into::into),
            source_rpm: source.map(Into::into),
        };
        let rows = [
            (
                ("curl", "7.83.0-r0", PackageDetail::Apk),
                (Some(("alpine", "3.18.4")), Some("x86"), Some(("curl", None))),
                "pkg:apk/alpine/curl@7.83.0-r0?arch=x86&distro=alpine-3.18.4&upstream=curl",
            ),
            (
                ("attr", "1:2.4.47-2+b1", PackageDetail::Deb),
                (Some(("debian", "12")), Some("amd64"), Some(("attr-src", Some("1:2.4.47-2")))),
                "pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64&distro=debian-12&upstream=attr-src%401:2.4.47-2",
            ),
            (("tar", "1", PackageDetail::Deb), (None, None, None), "pkg:deb/tar@1"),
            (
                ("tar", "1", PackageDetail::Chisel),
                (None, Some("amd64"), None),
                "pkg:deb/ubuntu/tar@1?arch=amd64",
            ),
            (
                ("centerim", "1:4.22.10-1.el6", rpm(Some(1), None, Some("centerim-4.22.10-1.el6.src.rpm"))),
                (Some(("fedora", "25")), Some("i686"), None),
                "pkg:rpm/fedora/centerim@4.22.10-1.el6?arch=i686&distro=fedora-25&epoch=1&upstream=centerim-4.22.10-1.el6.src.rpm",
            ),
            (
                ("node", "18-1", rpm(Some(0), Some("nodejs:18:920:rhel9"), None)),
                (Some(("rhel", "")), None, None),
                "pkg:rpm/rhel/node@18-1?distro=rhel&rpmmod=nodejs:18:920:rhel9",
            ),
        ];
        for ((name, version, detail), (os, architecture, source), expected) in rows {
            let mut package = Package::new(name, Some(version.into()), detail);
            package.architecture = architecture.map(Into::into);
            package.source =
                source.map(|(name, version)| Source { name: name.into(), version: version.map(Into::into) });
            let os = os.map(|(name, version): (&str, &str)| OsRelease {
                name: name.into(),
                version: version.into(),
                pretty_name: String::new(),
            });
            assert_eq!(Purl::of_package(&package, os.as_ref()).to_string(), expected);
        }
    }

    #[test]
    fn the_url_of_an_image() {
        let url =
            image_purl("Debian", "sha256:244f", "docker.io/library/debian", Some("latest"), Some("amd64"));
        let expected =
            "pkg:oci/debian@sha256:244f?arch=amd64&repository_url=docker.io%2Flibrary%2Fdebian&tag=latest";
        assert_eq!(url, expected);
    }
}
