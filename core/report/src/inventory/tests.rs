use regent_scan::{
    Application, ApplicationKind, Content, Ecosystem, LayerPath, OsRelease, Package, PackageDetail,
    PackageFormat, Packages, Source,
};

use super::*;

fn package(name: &str, depends: &[&str]) -> Package {
    let mut package = Package::new(name, Some("1".into()), PackageDetail::Deb);
    package.depends = depends.iter().map(|&name| name.to_owned()).collect();
    package
}

fn database(list: Vec<Package>) -> Packages {
    Packages { format: PackageFormat::Deb, path: LayerPath::new("/status"), list, ..Packages::default() }
}

fn application(kind: ApplicationKind, components: Vec<Component>) -> Application {
    Application { kind, target_file: "/lock".into(), content: Content::Unreported, components }
}

fn component(ecosystem: Ecosystem, name: &str, path: &str, layer: usize) -> Component {
    Component::new(ecosystem, "", Some("1".into()), LayerPath::new(path), layer).with_full_name(name)
}

/// `name(what it depends on)` of each package.
fn drawn(findings: &Findings) -> Vec<String> {
    let inventory = Inventory::new(findings, &Options::default());
    let name = |place: &usize| inventory.items[*place].full_name();
    let drawn = |item: &Item<'_>| {
        let depends: Vec<_> = item.depends.iter().map(name).collect();
        format!("{}({})", item.full_name(), depends.join(" "))
    };
    inventory.items.iter().map(drawn).collect()
}

#[test]
fn a_distributions_packages_need_what_they_really_need() {
    let apk = |mut package: Package| {
        package.detail = PackageDetail::Apk;
        package
    };
    let mut provider = package("mail", &[]);
    provider.provides = vec!["mta".into()];
    let mut choosing = package("choosing", &["gone", "b", "c", "a"]);
    choosing.alternatives = vec![1, 2];
    let mut replacing = apk(package("replacing", &["b", "c", "b"]));
    replacing.replaced = vec![0, 1];
    let rpm = |name: &str, depends: &[&str]| {
        let detail = PackageDetail::Rpm { epoch: None, modularity: None, source_rpm: None };
        Package { detail, ..package(name, depends) }
    };
    let mut glibc = rpm("glibc", &["glibc"]);
    glibc.provides = vec!["libc.so.6(GLIBC_2.34)(64bit)".into()];
    let rows: [(&str, Vec<Package>, &[&str]); 5] = [
        (
            "of alternatives the first that is there",
            vec![package("a", &[]), package("b", &[]), package("c", &[]), choosing],
            &["a()", "b()", "c()", "choosing(a b)"],
        ),
        (
            "an architecture after the name",
            vec![package("a", &["b:any", "c:amd64"]), package("b", &[])],
            &["a(b)", "b()"],
        ),
        (
            "conditions, and what is replaced",
            vec![
                apk(package("a", &["b>", "c~1.2"])),
                apk(package("b", &[])),
                apk(package("c", &[])),
                replacing,
            ],
            &["a(b c)", "b()", "c()", "replacing(b)"],
        ),
        ("what another provides", vec![package("a", &["mta"]), provider], &["a(mail)", "mail()"]),
        (
            "rpm's requirements",
            vec![rpm("bash", &["libc.so.6(GLIBC_2.34)(64bit)", "rpmlib(X)"]), glibc, rpm("gpg-pubkey", &[])],
            &["bash(glibc)", "glibc()"],
        ),
    ];
    for (name, list, expected) in rows {
        let findings = Findings { packages: database(list), ..Findings::default() };
        assert_eq!(drawn(&findings), expected, "{name}");
    }
}

#[test]
fn every_architecture_is_listed_and_needs_its_own() {
    let of = |architecture: &str, name: &str, depends: &[&str]| {
        let architecture = Some(architecture.to_owned());
        Package { architecture, ..package(name, depends) }
    };
    let list = vec![
        of("amd64", "libc6", &[]),
        of("i386", "libc6", &[]),
        of("amd64", "app", &["libc6"]),
        of("i386", "app", &["libc6"]),
    ];
    let findings = Findings { packages: database(list), ..Findings::default() };
    let inventory = Inventory::new(&findings, &Options::default());
    let purls: Vec<_> = inventory.items.iter().map(|item| item.purl.as_str()).collect();
    let expected = ["app@1?arch=amd64", "app@1?arch=i386", "libc6@1?arch=amd64", "libc6@1?arch=i386"];
    assert_eq!(purls, expected.map(|end| format!("pkg:deb/{end}")));
    let needs: Vec<_> = inventory.items.iter().map(|item| item.depends.clone()).collect();
    assert_eq!(needs, [vec![2], vec![3], vec![], vec![]]);
}

#[test]
fn removed_packages_are_left_out_and_further_databases_are_not() {
    let removed = Package { is_removed: true, ..package("removed", &[]) };
    let mut sourced = package("zlib1g", &["removed"]);
    sourced.source = Some(Source { name: "zlib".into(), version: None });
    let apk = Packages {
        format: PackageFormat::Apk,
        list: vec![Package { detail: PackageDetail::Apk, ..package("musl", &["zlib1g"]) }],
        ..database(Vec::new())
    };
    let os = OsRelease { name: "debian".into(), version: "12".into(), pretty_name: String::new() };
    let findings = Findings {
        os: Some(os),
        packages: database(vec![sourced, removed]),
        further_packages: vec![apk],
        ..Findings::default()
    };
    assert_eq!(drawn(&findings), ["musl()", "zlib1g()"]);
    let inventory = Inventory::new(&findings, &Options::default());
    assert_eq!(inventory.items[1].purl, "pkg:deb/debian/zlib1g@1?distro=debian-12&upstream=zlib");
}

#[test]
fn a_package_of_several_applications_is_one_with_all_it_needs() {
    let with_hash = |mut component: Component, digit: &str| {
        component.hashes.insert((HashAlgorithm::Sha256, digit.repeat(64)));
        component
    };
    let npm = |name: &str, path: &str, layer| component(Ecosystem::Npm, name, path, layer);
    let mut locked = with_hash(npm("a", "/lock", 3), "1");
    locked.licenses = vec!["MIT".into()];
    locked.depends = vec![1];
    let mut installed = npm("a", "/node_modules/a/package.json", 2);
    installed.licenses = vec!["ISC".into(), "MIT".into()];
    installed.depends = vec![1, 0];
    let findings = Findings {
        applications: vec![
            application(ApplicationKind::Npm, vec![locked, npm("b", "/lock", 3)]),
            application(ApplicationKind::NodeModules, vec![installed, npm("c", "/c", 1)]),
            application(ApplicationKind::Npm, vec![with_hash(npm("a", "/other", 4), "2")]),
            application(ApplicationKind::Npm, vec![with_hash(npm("a", "/third", 4), "1")]),
        ],
        ..Findings::default()
    };
    assert_eq!(drawn(&findings), ["a(b c)", "a()", "b()", "c()"]);
    let inventory = Inventory::new(&findings, &Options::default());
    let first = &inventory.items[0];
    assert_eq!(first.licenses, [License::Id("MIT"), License::Id("ISC")]);
    assert_eq!(
        first.found,
        [("/lock", Some(3)), ("/node_modules/a/package.json", Some(2)), ("/third", Some(4))]
    );
    assert_eq!((first.layer(), first.hashes.len()), (Some(2), 1));

    let without = |text: &str| {
        let options = serde_json::json!({ text: true });
        let options = Options::parse(options.as_object().unwrap()).unwrap();
        Inventory::new(&findings, &options).items.len()
    };
    assert_eq!((without("exclude-node-modules"), without("exclude-app-vulns")), (3, 0));
}

#[test]
fn what_a_distributions_package_has_is_no_package_of_its_own() {
    let owned = |mut component: Component, package| {
        component.owner = Some(PackagePlace { database: 0, package });
        component
    };
    let pypi = |name: &str| component(Ecosystem::Pypi, name, "/a", 0);
    let mut own = pypi("app");
    own.depends = vec![1];
    let mut six = owned(pypi("six"), 1);
    six.depends = vec![0];
    let removed = Package { is_removed: true, ..package("removed", &[]) };
    let findings = Findings {
        packages: database(vec![removed, package("python3-six", &[])]),
        applications: vec![application(ApplicationKind::Npm, vec![own, six, owned(pypi("left"), 0)])],
        ..Findings::default()
    };
    assert_eq!(drawn(&findings), ["python3-six()", "app(python3-six)", "left()"]);
}

#[test]
fn hashes_that_cannot_be_ones_and_those_of_several_files_are_left_out() {
    let mut component = component(Ecosystem::Pypi, "a", "/a", 0);
    for (algorithm, hex) in [
        (HashAlgorithm::Sha256, "ab".repeat(32)),
        (HashAlgorithm::Sha1, "ab".repeat(32)),
        (HashAlgorithm::Md5, "AB".repeat(16)),
        (HashAlgorithm::Sha512, String::new()),
        (HashAlgorithm::Sha384, "01".repeat(48)),
        (HashAlgorithm::Sha384, "02".repeat(48)),
    ] {
        component.hashes.insert((algorithm, hex));
    }
    assert_eq!(checked(&component.hashes), [(HashAlgorithm::Sha256, "ab".repeat(32).as_str())]);
}

#[test]
fn everything_is_reached_from_the_top_level() {
    let rows: [(&str, &[&str], &[&str]); 4] = [
        ("nothing", &[], &[]),
        ("a chain", &["a b", "b c", "c"], &["a"]),
        ("a circle", &["a b", "b a"], &["a"]),
        (
            "a circle below one, and one beside it",
            &["a b", "b c", "c b", "d e", "e d", "f"],
            &["a", "f", "d"],
        ),
    ];
    for (name, packages, expected) in rows {
        let list = packages.iter().map(|text| {
            let mut words = text.split(' ');
            package(words.next().unwrap(), &words.collect::<Vec<_>>())
        });
        let findings = Findings { packages: database(list.collect()), ..Findings::default() };
        let inventory = Inventory::new(&findings, &Options::default());
        let top: Vec<_> = inventory.top_level().iter().map(|&n| inventory.items[n].name).collect();
        assert_eq!(top, expected, "{name}");
    }
}
