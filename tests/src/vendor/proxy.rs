//! The internet of emulators for the agent as a process: an HTTPS proxy that stands in for every host.
//!
//! The agent connects by `CONNECT`, finds a certificate for the name it asked for, and speaks TLS and HTTP as it would
//! with the vendor. So host names, egress rules and redirects between hosts are the real ones.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::internet::Internet;
use super::message::Received;

/// A running proxy, stopped on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    authority: tempfile::NamedTempFile,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to this internet.
    pub async fn start(internet: &Internet) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (certificates, pem) = Certificates::new();
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), pem).unwrap();
        let (internet, certificates) = (internet.clone(), Arc::new(certificates));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, internet.clone(), Arc::clone(&certificates)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, authority, task }
    }

    /// `http://127.0.0.1:port`, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate that all others are signed by, a PEM file.
    pub fn authority(&self) -> String {
        self.authority.path().display().to_string()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Server configurations by host name, made at the first connection.
struct Certificates {
    issuer: Issuer<'static, KeyPair>,
    made: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

impl Certificates {
    fn new() -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (Self { issuer: Issuer::new(params, key), made: Mutex::default() }, pem)
    }

    fn config(&self, name: &str) -> Arc<ServerConfig> {
        let mut made = self.made.lock().unwrap();
        let config = made.entry(name.to_owned()).or_insert_with(|| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config =
                ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
        });
        Arc::clone(config)
    }
}

/// One connection. A client that hangs up is no fault of the test, so nothing here fails.
async fn serve(mut stream: TcpStream, internet: Internet, certificates: Arc<Certificates>) -> Option<()> {
    let authority = connect_target(&mut stream).await?;
    let (name, _) = authority.rsplit_once(':')?;
    let host = authority.strip_suffix(":443").unwrap_or(&authority).to_owned();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    let tls = TlsAcceptor::from(certificates.config(name)).accept(stream).await.ok()?;
    let service = service_fn(move |request| answer(internet.clone(), host.clone(), request));
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await.ok()
}

/// `host:port` of a `CONNECT`, its head read to the end.
async fn connect_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    head.strip_prefix("CONNECT ")?.split(' ').next().map(str::to_owned)
}

async fn answer(
    internet: Internet,
    host: String,
    request: Request<Incoming>,
) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut received = Received::new(head.method, &host, path, internet.now());
    received.headers = head.headers;
    received.body = body.collect().await?.to_bytes();
    let answer =
        internet.answer(&received).unwrap_or_else(|| super::message::text(502, "text/plain", "no such host"));
    Ok(answer.map(Full::new))
}
