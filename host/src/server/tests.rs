use std::path::Path;

use hyper_util::service::TowerToHyperService;
use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use warp::Filter as _;

use super::*;
use crate::shutdown::{self, Trigger};

/// Echoes bodies; `/slow` answers when `release` is told, `/never` never.
async fn start(
    certificate: Option<&CertificateFiles>,
    grace: Duration,
) -> (SocketAddr, Trigger, JoinSet<()>) {
    let server = Server::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, certificate).await.unwrap();
    let address = server.address().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let never = warp::path("never").then(std::future::pending::<String>);
    let echo = warp::body::bytes().map(|body: bytes::Bytes| body);
    let routes = never
        .map(warp::reply::Reply::into_response)
        .or(echo.map(|body: bytes::Bytes| warp::reply::Response::new(body.into())))
        .unify();
    let service =
        TowerToHyperService::new(warp::service(routes.map(warp::reply::Reply::into_response).boxed()));
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(service, shutdown, grace));
    (address, trigger, tasks)
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_with_both_a_length_and_chunks_is_read_by_its_chunks() {
    // What the broker makes of a caller's chunked request.
    let (address, _trigger, _tasks) = start(None, Duration::from_secs(1)).await;
    for (first, second) in [
        ("transfer-encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "transfer-encoding: chunked"),
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\n{first}\r\n{second}\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let answer = exchange(address, &request).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{first}, {second}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let (address, _trigger, _tasks) = start(None, Duration::from_secs(1)).await;
    let error = Server::bind(Some(address.ip()), address.port(), None).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn between_the_two_steps_of_a_stop_requests_are_answered() {
    let (address, trigger, mut tasks) = start(None, Duration::from_hours(1)).await;
    let trigger = trigger.with_delay(Duration::from_mins(30));
    trigger.request();
    let request = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    assert!(exchange(address, request).await.ends_with("hi"));
    trigger.request_at_once();
    tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn stopping_cuts_what_outlasts_the_grace() {
    let (address, trigger, mut tasks) = start(None, Duration::from_millis(20)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The answer to another connection's request says that the first was accepted as well.
    exchange(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    trigger.request();
    tasks.join_next().await.unwrap().unwrap();
    let mut rest = Vec::new();
    assert!(matches!(stream.read_to_end(&mut rest).await, Ok(0) | Err(_)), "the connection was cut");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

fn write_pair(dir: &Path, name: &str) -> (CertificateFiles, rustls_pki_types::CertificateDer<'static>) {
    let Generated { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let files = CertificateFiles { certificate: dir.join("tls.crt"), key: dir.join("tls.key") };
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (files, cert.der().clone())
}

async fn handshake(
    address: SocketAddr,
    root: rustls_pki_types::CertificateDer<'static>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("agent.test").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.map_err(|e| e.to_string())?;
    let request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    // A peer that closes without TLS' own goodbye is as good for a test.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn tls_is_served_from_files() {
    crate::http::install_tls_provider();
    let dir = tempfile::tempdir().unwrap();
    let (files, root) = write_pair(dir.path(), "agent.test");
    let (address, _trigger, _tasks) = start(Some(&files), Duration::from_secs(1)).await;
    let answer = handshake(address, root).await.unwrap();
    assert!(answer.ends_with("hi"), "{answer}");
}

#[test]
fn a_reload_takes_a_new_pair_and_refuses_a_mismatched_one() {
    let dir = tempfile::tempdir().unwrap();
    let (files, first) = write_pair(dir.path(), "agent.test");
    let certificate = Certificate::load(&files).unwrap();
    let served = |c: &Certificate| c.current_chain().first().cloned().unwrap();
    assert_eq!(served(&certificate), first);

    let key = std::fs::read(&files.key).unwrap();
    let (_, second) = write_pair(dir.path(), "agent.test");
    certificate.reload().unwrap();
    assert_eq!(served(&certificate), second);

    std::fs::write(&files.key, key).unwrap();
    let error = certificate.reload().unwrap_err();
    assert!(matches!(error, CertificateError::Pair(_)), "{error}");
    assert_eq!(served(&certificate), second);
}

#[test]
fn files_without_certificate_or_key_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = write_pair(dir.path(), "agent.test");
    std::fs::write(&files.certificate, "not PEM").unwrap();
    assert!(Certificate::load(&files).unwrap_err().to_string().starts_with("HTTPS_CERT: "));
    let (files, _) = write_pair(dir.path(), "agent.test");
    std::fs::write(&files.key, "not PEM").unwrap();
    assert!(Certificate::load(&files).unwrap_err().to_string().starts_with("HTTPS_KEY: "));
}
