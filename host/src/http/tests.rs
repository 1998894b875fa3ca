use std::io::Write as _;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use regent_transport::{Body, Request, Response, Transport as _, TransportError, collect};

use super::test_server::{TestServer, answer, silent_body};
use super::*;
use crate::threads::Threads;

fn client() -> HttpClient {
    HttpClient::new(&HttpConfig::default()).unwrap()
}

/// A transport for a registry at this base, which may be plain HTTP and loopback.
fn at(client: &HttpClient, base: &str) -> HttpTransport {
    client.with(Egress::control(Some(base), &[], &base.parse().unwrap()), Purpose::Registry)
}

fn get(url: &str) -> Request {
    Request::get(url.parse().unwrap())
}

async fn text(body: Body) -> String {
    String::from_utf8(collect(body).await.unwrap().to_vec()).unwrap()
}

fn bundle(pem: &str) -> (tempfile::NamedTempFile, CaBundle) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let path = file.path().to_owned();
    (file, CaBundle { setting: "NODE_EXTRA_CA_CERTS", path })
}

#[tokio::test]
async fn an_answer_comes_with_status_headers_and_body_and_is_counted() {
    let server = TestServer::plain(|parts| {
        let agent = parts.headers.get("user-agent").unwrap().to_str().unwrap().to_owned();
        answer(418, agent)
    })
    .await;
    let client = client();
    let response = at(&client, &server.authority()).send(get(&server.url("/v2/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::IM_A_TEAPOT);
    assert!(text(response.body).await.starts_with("regent/"));
    assert_eq!((client.metrics().requests("4xx"), client.metrics().requests("2xx")), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = TestServer::plain(|_| {
        let mut response = answer(307, "");
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/elsewhere"));
        response
    })
    .await;
    let response = at(&client(), &server.authority()).send(get(&server.url("/v2/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(response.header(&LOCATION), Some("/elsewhere"));
    assert_eq!(server.seen(), ["GET /v2/"]);
}

#[tokio::test]
async fn a_body_above_the_limit_is_an_error_while_it_is_read() {
    let server = TestServer::plain(|_| answer(200, vec![b'x'; 100_000])).await;
    let transport = at(&client(), &server.authority());
    let rows = [(100_000, true), (99_999, false), (0, false)];
    for (limit, allowed) in rows {
        let mut request = get(&server.url("/"));
        request.max_body_bytes = limit;
        let response = transport.send(request).await.unwrap();
        match collect(response.body).await {
            Ok(body) => assert!(allowed && body.len() == 100_000, "{limit}"),
            Err(TransportError::TooLarge { limit_bytes, .. }) => {
                assert!(!allowed && limit_bytes == limit, "{limit}");
            }
            Err(other) => panic!("{limit}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_a_timeout() {
    let server = TestServer::plain(|_| silent_body()).await;
    let mut request = get(&server.url("/"));
    request.timeout = Duration::from_millis(50);
    let Response { status, mut body, .. } = at(&client(), &server.authority()).send(request).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(matches!(body.chunk().await, Err(TransportError::Timeout { .. })));
}

#[tokio::test]
async fn a_port_where_no_one_listens_is_told_plainly() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let base = free.to_string();
    let error = at(&client(), &base).send(get(&format!("http://{base}/v2/?token=secret"))).await.unwrap_err();
    assert_eq!(error.to_string(), format!("can't connect to {base}: connection refused"));
}

#[tokio::test]
async fn only_permitted_hosts_see_a_request() {
    let server = TestServer::plain(|_| answer(200, "")).await;
    let client = client();
    let by_name = format!("http://localhost:{}/v2/", server.port());
    // Not the registry; a loopback name and address without an entry in the list.
    let foreign = at(&client, "registry.example.com");
    let public = Egress::content(Some("8.8.8.8"), &[], &InsecureRegistries::default());
    let redirected = client.with(public, Purpose::Registry);
    let declared = [Declared::Host(format!("localhost:{}", server.port()))];
    let named = Egress::control(None, &declared, &InsecureRegistries::default());
    let rows = [
        (&foreign, server.url("/v2/")),
        (&foreign, by_name.clone()),
        (&redirected, server.url("/blob").replace("http:", "https:")),
        // The name is permitted as such; what it resolves to is not.
        (&redirected, by_name.replace("http:", "https:")),
        (&client.with(named, Purpose::Registry), by_name.replace("http:", "https:")),
    ];
    for (transport, url) in rows {
        match transport.send(get(&url)).await {
            Err(TransportError::Refused { .. }) => {}
            other => panic!("{url}: {other:?}"),
        }
    }
    assert_eq!(server.seen(), [""; 0]);
    assert_eq!(client.metrics().requests("egress_refused"), 5);
}

#[tokio::test]
async fn credentials_do_not_go_to_where_a_redirect_leads() {
    let server = TestServer::plain(|_| answer(200, "")).await;
    let listed = server.authority().parse().unwrap();
    let content =
        client().with(Egress::content(Some("registry.example.com"), &[], &listed), Purpose::Registry);
    let request = get(&server.url("/blob")).secret_header(AUTHORIZATION, "Bearer x").unwrap();
    let error = content.send(request).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Refused { rule, .. } if rule.contains("credentials")),
        "{error}"
    );
    assert_eq!(server.seen(), [""; 0]);
}

#[tokio::test]
async fn a_bundle_makes_an_authority_known_and_nothing_else_does() {
    let server = TestServer::tls(&["127.0.0.1"], |_| answer(200, "hello")).await;
    let (_file, bundle) = bundle(&server.certificate_pem);
    let knowing = HttpConfig { ca_bundles: vec![bundle], ..HttpConfig::default() };
    let knowing = HttpClient::new(&knowing).unwrap();
    let response = at(&knowing, &server.authority()).send(get(&server.url("/"))).await.unwrap();
    assert_eq!(text(response.body).await, "hello");
    let error = at(&client(), &server.authority()).send(get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("NODE_EXTRA_CA_CERTS"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_server_without_tls_are_told_apart() {
    let server = TestServer::tls(&["other.example"], |_| answer(200, "")).await;
    let (_file, bundle) = bundle(&server.certificate_pem);
    let knowing = HttpClient::new(&HttpConfig { ca_bundles: vec![bundle], ..HttpConfig::default() }).unwrap();
    let error = at(&knowing, &server.authority()).send(get(&server.url("/"))).await.unwrap_err();
    assert!(error.to_string().contains("for another name"), "{error}");
    let plain = TestServer::plain(|_| answer(200, "")).await;
    let url = plain.url("/").replace("http:", "https:");
    let error = at(&knowing, &plain.authority()).send(get(&url)).await.unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_registry_is_shown_the_certificate_that_is_for_it() {
    let ours = rcgen::generate_simple_self_signed(["regent".to_owned()]).unwrap();
    let pem = format!("{}{}", ours.cert.pem(), ours.signing_key.serialize_pem());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let server =
        TestServer::mutual_tls(&["127.0.0.1"], ours.cert.der().clone(), |_| answer(200, "hello")).await;
    let (_file, authority) = bundle(&server.certificate_pem);
    for (host, shown) in [
        (server.authority(), true),
        ("127.0.0.1".to_owned(), true),
        ("127.0.0.1:1".to_owned(), false),
        ("other.example".to_owned(), false),
    ] {
        let certificate = ClientCertificate { host: host.clone(), path: file.path().to_owned() };
        let config = HttpConfig {
            ca_bundles: vec![authority.clone()],
            client_certificates: vec![certificate],
            ..HttpConfig::default()
        };
        let client = HttpClient::new(&config).unwrap();
        let answered = at(&client, &server.authority()).send(get(&server.url("/"))).await;
        assert_eq!(answered.is_ok(), shown, "{host}: {answered:?}");
    }
    let certificate = |path: &str| ClientCertificate { host: "x".to_owned(), path: path.into() };
    let (only_certificate, _) = bundle(&ours.cert.pem());
    for (path, part) in [
        ("/does/not/exist.pem", "can't be read"),
        (only_certificate.path().to_str().unwrap(), "does not hold a certificate and its private key"),
    ] {
        let config = HttpConfig { client_certificates: vec![certificate(path)], ..HttpConfig::default() };
        let error = HttpClient::new(&config).unwrap_err().to_string();
        assert!(error.starts_with("REGENT_CLIENT_CERTIFICATES: ") && error.contains(part), "{error}");
    }
}

#[test]
fn a_bundle_that_is_none_is_an_error_that_names_the_setting() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, part) in [("", "no certificate"), ("no PEM", "no certificate"), (broken, "")] {
        let (_file, bundle) = bundle(pem);
        let error = HttpClient::new(&HttpConfig { ca_bundles: vec![bundle], ..HttpConfig::default() });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{pem:?}: {error}");
    }
    let missing = CaBundle { setting: "CA_CERT", path: "/does/not/exist.pem".into() };
    let error =
        HttpClient::new(&HttpConfig { ca_bundles: vec![missing], ..HttpConfig::default() }).unwrap_err();
    assert_eq!(error.to_string(), "CA_CERT: /does/not/exist.pem can't be read");
}

#[tokio::test]
async fn a_proxy_is_used_but_for_hosts_that_are_exempt() {
    let proxy = TestServer::plain(|_| answer(200, "by proxy")).await;
    let server = TestServer::plain(|_| answer(200, "direct")).await;
    let config = |no_proxy: Option<&str>| HttpConfig {
        proxy: ProxyConfig {
            http: Some(format!("http://user:secret@{}", proxy.authority()).into()),
            https: None,
            no_proxy: no_proxy.map(str::to_owned),
        },
        ..HttpConfig::default()
    };
    let rows = [
        (None, "by proxy"),
        (Some("127.0.0.1"), "direct"),
        (Some("*"), "direct"),
        (Some("other"), "by proxy"),
    ];
    for (no_proxy, expected) in rows {
        let client = HttpClient::new(&config(no_proxy)).unwrap();
        let response = at(&client, &server.authority()).send(get(&server.url("/v2/"))).await.unwrap();
        assert_eq!(text(response.body).await, expected, "{no_proxy:?}");
    }
    // Names are not resolved here when a proxy does it.
    let client = HttpClient::new(&config(None)).unwrap();
    let name = "registry.invalid:80";
    let response = at(&client, name).send(get("http://registry.invalid/v2/")).await.unwrap();
    assert_eq!(text(response.body).await, "by proxy");
    assert!(proxy.seen().contains(&"GET http://registry.invalid/v2/".to_owned()));
    assert!(!format!("{:?}", config(None)).contains("secret"));
    // A proxy would ask for the credentials of its own machine.
    let declared = [Declared::Metadata(server.authority())];
    let egress = Egress::control(None, &declared, &InsecureRegistries::default());
    let response = client.with(egress, Purpose::Registry).send(get(&server.url("/latest"))).await.unwrap();
    assert_eq!(text(response.body).await, "direct");
}

#[test]
fn a_proxy_address_that_is_none_is_an_error_without_its_password() {
    let proxy =
        ProxyConfig { https: Some("ftp://user:secret@h".to_owned().into()), ..ProxyConfig::default() };
    let error = HttpClient::new(&HttpConfig { proxy, ..HttpConfig::default() }).unwrap_err().to_string();
    assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_request_with_a_body_says_its_length_and_goes_to_the_broker_over_http() {
    let server = TestServer::plain(|parts| {
        let header =
            |name: HeaderName| parts.headers.get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
        answer(
            200,
            format!("{} {}", header(http::header::CONTENT_LENGTH), header(http::header::TRANSFER_ENCODING)),
        )
    })
    .await;
    let broker = client().with(Egress::callbacks(), Purpose::Broker);
    let mut request = Request::new(http::Method::POST, server.url("/api/v2/import/done").parse().unwrap());
    request.body = "{}".into();
    let response = broker.send(request).await.unwrap();
    assert_eq!(text(response.body).await, "2 -");
}

#[tokio::test]
async fn operations_have_connections_of_their_own_which_their_threads_serve() {
    let server = TestServer::plain(|_| answer(200, "content")).await;
    let (client, threads, url) = (client(), Threads::own(), server.url("/v2/"));
    let transport = at(&client, &server.authority());
    let ask = async |request| text(transport.send(request).await.unwrap().body).await;
    for _ in 0..2 {
        assert_eq!(ask(get(&url)).await, "content");
    }
    assert_eq!(server.n_connections(), 1, "one is kept");
    for _ in 0..2 {
        let (transport, request) = (transport.clone(), get(&url));
        let there = async move { text(transport.send(request).await.unwrap().body).await };
        assert_eq!(threads.handle().spawn(there).await.unwrap(), "content");
    }
    assert_eq!(server.n_connections(), 2, "the threads of operations have made one, and kept it");
}
