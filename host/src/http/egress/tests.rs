use super::*;

async fn verdict(egress: &Egress, url: &str, secrets: bool) -> Result<Reach, String> {
    let proxies = Proxies::new(&crate::http::ProxyConfig::default()).unwrap();
    egress.judge(&url.parse().unwrap(), secrets, &proxies).await
}

#[tokio::test]
async fn control_requests_go_to_the_registry_and_to_declared_hosts() {
    let insecure = "localhost:5000 10.0.0.9:5000 auth.lan".parse().unwrap();
    let hosts = ["auth.example.com", "*.amazonaws.com", "*.dkr.ecr.*.example.net", "auth.lan", "*"];
    let metadata = ["169.254.170.2", "[fd00:ec2::23]", "127.0.0.1:9911", "credentials.lan:443"];
    let declared: Vec<_> = (hosts.map(|h| Declared::Host(h.to_owned())).into_iter())
        .chain(metadata.map(|h| Declared::Metadata(h.to_owned())))
        .collect();
    let egress = |base: &str| Egress::control(Some(base), &declared, &insecure);
    let rows = [
        ("r.example.com", "https://r.example.com/v2/", Ok(Reach::Private)),
        ("r.example.com", "https://R.example.com:8443/token", Err("neither")),
        ("r.example.com:8443", "https://R.example.com:8443/token", Ok(Reach::Private)),
        ("r.example.com:8443", "https://r.example.com/v2/", Err("neither")),
        ("https://r.example.com:443", "https://r.example.com/v2/", Ok(Reach::Private)),
        ("auth.lan", "http://auth.lan/v2/", Ok(Reach::Loopback)),
        ("r.example.com", "http://r.example.com/v2/", Err("plain http")),
        ("r.example.com", "https://auth.example.com/token", Ok(Reach::Private)),
        ("r.example.com", "https://auth.example.com:444/token", Err("neither")),
        ("r.example.com", "http://auth.lan/token", Ok(Reach::Loopback)),
        ("r.example.com", "https://ecr.eu-west-1.amazonaws.com/", Ok(Reach::Private)),
        ("r.example.com", "https://amazonaws.com/", Err("neither")),
        ("r.example.com", "https://evilamazonaws.com/", Err("neither")),
        ("r.example.com", "https://r.example.com.evil.com/", Err("neither")),
        ("r.example.com", "https://1.dkr.ecr.eu-1.example.net/", Ok(Reach::Private)),
        ("r.example.com", "https://a.b.dkr.ecr.eu-1.example.net/", Ok(Reach::Private)),
        ("r.example.com", "https://dkr.ecr.eu-1.example.net/", Err("neither")),
        ("r.example.com", "https://1.dkr.ecr.evil.x.example.net/", Err("neither")),
        ("r.example.com", "https://1.dkr.ecr..example.net/", Err("neither")),
        ("r.example.com", "http://169.254.170.2/v2/credentials", Ok(Reach::Metadata)),
        ("r.example.com", "http://169.254.170.2:81/v2/credentials", Err("neither")),
        ("r.example.com", "http://[fd00:ec2::23]/v1/credentials", Ok(Reach::Metadata)),
        ("r.example.com", "http://127.0.0.1:9911/latest", Ok(Reach::Metadata)),
        ("127.0.0.1:5000", "http://127.0.0.1:9911/latest", Ok(Reach::Metadata)),
        ("r.example.com", "http://127.0.0.1/latest", Err("neither")),
        ("r.example.com", "http://credentials.lan:443/", Err("plain http")),
        ("r.example.com", "https://credentials.lan/", Ok(Reach::Private)),
        ("r.example.com", "http://169.254.169.254/latest", Err("neither")),
        ("169.254.169.254", "https://169.254.169.254/v2/", Err("link-local")),
        ("169.254.169.254", "http://169.254.169.254/v2/", Err("plain http")),
        ("10.0.0.8", "https://10.0.0.8/v2/", Ok(Reach::Private)),
        ("10.0.0.9:5000", "http://10.0.0.9:5000/v2/", Ok(Reach::Loopback)),
        ("127.0.0.1", "https://127.0.0.1/v2/", Err("loopback")),
        ("localhost:5000", "http://localhost:5000/v2/", Ok(Reach::Loopback)),
        ("localhost:5001", "http://localhost:5001/v2/", Err("plain http")),
        ("r.example.com", "ftp://r.example.com/", Err("only https")),
    ];
    for (base, url, expected) in rows {
        match (verdict(&egress(base), url, true).await, expected) {
            (Ok(reach), Ok(expected)) => assert_eq!(reach, expected, "{base} {url}"),
            (Err(rule), Err(part)) => assert!(rule.contains(part), "{base} {url}: {rule}"),
            (got, _) => panic!("{base} {url}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn content_may_be_redirected_without_secrets_within_the_registrys_network() {
    let insecure = "127.0.0.1:5000".parse().unwrap();
    let declared = ["169.254.169.254", "127.0.0.1:9911"].map(|h| Declared::Metadata(h.to_owned()));
    let egress = |base: &str| Egress::content(Some(base), &declared, &insecure);
    let rows = [
        ("8.8.8.8", "http://169.254.169.254/latest", false, Err("https only")),
        ("8.8.8.8", "http://127.0.0.1:9911/latest", false, Err("https only")),
        ("8.8.8.8", "https://blobs.example.com/x", false, Ok(Reach::Public)),
        ("8.8.8.8", "https://blobs.example.com/x", true, Err("credentials")),
        ("8.8.8.8", "http://blobs.example.com/x", false, Err("https only")),
        ("8.8.8.8", "https://10.0.0.1/x", false, Err("private")),
        ("8.8.8.8", "https://127.0.0.1/x", false, Err("loopback")),
        ("10.0.0.8", "https://10.0.0.1/x", false, Ok(Reach::Private)),
        ("10.0.0.8", "https://127.0.0.1/x", false, Err("loopback")),
        ("10.0.0.8", "https://169.254.169.254/x", false, Err("link-local")),
        ("127.0.0.1:5000", "http://127.0.0.1:9000/x", false, Ok(Reach::Loopback)),
        ("127.0.0.1:5000", "http://169.254.169.254/x", false, Err("link-local")),
    ];
    for (base, url, secrets, expected) in rows {
        match (verdict(&egress(base), url, secrets).await, expected) {
            (Ok(reach), Ok(expected)) => assert_eq!(reach, expected, "{base} {url}"),
            (Err(rule), Err(part)) => assert!(rule.contains(part), "{base} {url}: {rule}"),
            (got, _) => panic!("{base} {url}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn callbacks_go_anywhere_but_to_metadata() {
    let egress = Egress::callbacks();
    assert!(verdict(&egress, "http://broker:8000/api", false).await.is_ok());
    assert!(verdict(&egress, "http://127.0.0.1:8000/api", false).await.is_ok());
    assert!(verdict(&egress, "http://169.254.169.254/api", false).await.is_err());
}

#[tokio::test]
async fn the_operators_limit_takes_away_and_adds_nothing_and_a_refusal_names_the_driver() {
    let limit: EgressLimit =
        "r.example.com evil.example 169.254.169.254 blobs.example.com oci=auth.example.com".parse().unwrap();
    let limit = Arc::new(limit);
    let declared = ["auth.example.com", "api.example.com"].map(|h| Declared::Host(h.to_owned()));
    let declared = [&declared[..], &[Declared::Metadata("169.254.170.2".to_owned())]].concat();
    let insecure = InsecureRegistries::default();
    let control =
        |driver: &str| Egress::control(Some("r.example.com"), &declared, &insecure).of_driver(driver, &limit);
    let content = Egress::content(Some("r.example.com"), &declared, &insecure).of_driver("oci", &limit);
    let rows = [
        (control("oci"), "https://r.example.com/v2/", None),
        (control("oci"), "https://auth.example.com/token", None),
        (
            control("harbor"),
            "https://auth.example.com/token",
            Some("REGENT_EGRESS does not name it (driver harbor)"),
        ),
        (control("oci"), "https://api.example.com/", Some("REGENT_EGRESS does not name it (driver oci)")),
        (control("oci"), "http://169.254.170.2/v2", Some("REGENT_EGRESS does not name it (driver oci)")),
        // What is named there and not declared stays out of reach.
        (
            control("oci"),
            "https://evil.example/",
            Some("neither the registry nor a host that the driver declares (driver oci)"),
        ),
        (control("oci"), "http://169.254.169.254/", Some("declares (driver oci)")),
        (content.clone(), "https://blobs.example.com/x", None),
        (content.clone(), "https://other.example.com/x", Some("REGENT_EGRESS does not name it (driver oci)")),
        (content, "http://blobs.example.com/x", Some("https only (driver oci)")),
    ];
    for (egress, url, refused) in rows {
        match (verdict(&egress, url, false).await, refused) {
            (Ok(_), None) => {}
            (Err(rule), Some(words)) => assert!(rule.ends_with(words), "{url}: {rule}"),
            (got, _) => panic!("{url}: {got:?}"),
        }
    }
}
