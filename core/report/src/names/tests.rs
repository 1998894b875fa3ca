use super::*;

fn sha256(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

#[test]
fn the_root_package_is_split_at_the_last_colon() {
    let by_digest = format!("demo/app@{}", sha256("c"));
    let by_both = format!("demo/app:v1@{}", sha256("d"));
    let rows = [
        ("demo/app:v1", "demo/app", Some("v1")),
        ("registry.example.org:5000/team/app:1.2.3", "registry.example.org:5000/team/app", Some("1.2.3")),
        ("library/redis", "library/redis", Some("latest")),
        (&by_digest, "demo/app", None),
        (&by_both, "demo/app:v1", None),
        ("localhost:5000/demo/app", "localhost", Some("5000/demo/app")),
        ("image.tar", "image.tar", None),
        ("a:b.tar", "a", Some("b.tar")),
    ];
    for (name, root, version) in rows {
        assert_eq!(
            root_package(name),
            (format!("docker-image|{root}"), version.map(str::to_owned)),
            "{name}"
        );
    }
}

#[test]
fn names_are_listed_in_order_and_once() {
    let (a, b) = (sha256("a"), sha256("b"));
    let both = GivenDigests { manifest: Some(a.clone()), index: Some(b.clone()) };
    let one = GivenDigests { manifest: Some(a.clone()), index: None };
    let by_digest = format!("demo/app@{a}");
    let tagged = format!("demo/app:v1@{a}");
    let rows = [
        (None, Some(&both), None, vec![]),
        (Some("redis:7"), None, None, vec!["redis:7".to_owned()]),
        (Some("localhost:5000/a"), None, None, vec!["localhost:5000/a:latest".into()]),
        (Some("Demo/App:V1"), None, None, vec!["Demo/App:V1".into()]),
        (
            Some("h:1/a:2"),
            Some(&both),
            None,
            vec!["h:1/a:2".into(), format!("h:1/a@{a}"), format!("h:1/a@{b}")],
        ),
        (Some(by_digest.as_str()), Some(&one), None, vec![by_digest.clone()]),
        (Some(tagged.as_str()), None, None, vec!["demo/app:v1".into(), by_digest.clone()]),
        (Some("demo/app:v1"), None, Some(by_digest.as_str()), vec!["demo/app:v1".into(), by_digest.clone()]),
        (Some("x:1"), Some(&one), Some(by_digest.as_str()), vec!["x:1".into(), format!("x@{a}")]),
        (Some("x:1"), None, Some("x:1"), vec!["x:1".into()]),
    ];
    for (name, digests, second, expected) in rows {
        assert_eq!(image_names(name, digests, second), Ok(expected), "{name:?}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "a".repeat(256);
    let rows =
        ["Demo App:v1", "", "/a", "a/", "a::b", "a:", "a@", "-a", "a//b", "a:b/c:d", "a\n", "ä", &long];
    for name in rows {
        assert_eq!(image_names(Some(name), None, None), Err(Error::ImageReference), "{name}");
    }
    assert_eq!(Error::ImageReference.to_string(), "invalid image reference format");
}

#[test]
fn what_is_no_digest_is_refused() {
    let upper = sha256("A");
    let rows = ["", "sha256:", "sha256:aa", "md5:00000000000000000000000000000000", &upper];
    for digest in rows {
        let digests = GivenDigests { manifest: Some(digest.to_owned()), index: None };
        let result = image_names(Some("a"), Some(&digests), None);
        assert_eq!(result, Err(Error::ImageDigest { place: "the manifest digest" }), "{digest}");
    }
    for (algorithm, digits) in [("sha384", 96), ("sha512", 128)] {
        let digests =
            GivenDigests { manifest: None, index: Some(format!("{algorithm}:{}", "0".repeat(digits))) };
        assert!(image_names(Some("a"), Some(&digests), None).is_ok(), "{algorithm}");
    }
}

#[test]
fn a_registry_knows_the_image_by_its_full_name() {
    let digests = GivenDigests { manifest: Some(sha256("a")), index: Some(sha256("b")) };
    let rows = [
        ("redis:7", Some(("docker.io", "library/redis", Some("7")))),
        ("team/app", Some(("docker.io", "team/app", None))),
        ("registry.example.org:5000/team/app:1", Some(("registry.example.org:5000", "team/app", Some("1")))),
        ("localhost/app", Some(("localhost", "app", None))),
        ("docker.io/redis", Some(("docker.io", "library/redis", None))),
        ("index.docker.io/redis", Some(("docker.io", "library/redis", None))),
        ("Team/app", None),
        ("not a name", None),
    ];
    for (name, expected) in rows {
        let metadata = distribution_metadata(name, &digests);
        let found = metadata
            .as_ref()
            .map(|m| (m.registry_host.as_str(), m.repository.as_str(), m.image_tag.as_deref()));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn without_usable_digests_there_is_no_registry() {
    let rows = [
        (None, None, false),
        (Some(sha256("a")), None, true),
        (Some(sha256("A")), None, false),
        (Some(format!("sha512:{}", "0".repeat(128))), None, false),
        (Some(sha256("a")), Some("x".to_owned()), false),
    ];
    for (manifest, index, is_some) in rows {
        let digests = GivenDigests { manifest, index };
        assert_eq!(distribution_metadata("a:1", &digests).is_some(), is_some, "{digests:?}");
    }
}
