//! A small HTTP server for tests, on a loopback port of its own; with TLS on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) type TestBody = UnsyncBoxBody<Bytes, Infallible>;
type Handler = dyn Fn(&Parts) -> http::Response<TestBody> + Send + Sync;

/// Serves until it is dropped.
pub(crate) struct TestServer {
    address: SocketAddr,
    scheme: &'static str,
    /// `GET /path` of each request.
    seen: Arc<Mutex<Vec<String>>>,
    n_connections: Arc<AtomicUsize>,
    /// The certificate, for a client's bundle.
    pub(crate) certificate_pem: String,
    _tasks: JoinSet<()>,
}

impl TestServer {
    pub(crate) async fn plain(
        handler: impl Fn(&Parts) -> http::Response<TestBody> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(handler), None).await
    }

    /// With a certificate of its own for these names.
    pub(crate) async fn tls(
        names: &[&str],
        handler: impl Fn(&Parts) -> http::Response<TestBody> + Send + Sync + 'static,
    ) -> Self {
        super::install_tls_provider();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        Self::start(Arc::new(handler), Some(acceptor(names, config))).await
    }

    /// With a certificate of its own, and for those alone that show this one.
    pub(crate) async fn mutual_tls(
        names: &[&str],
        trusted: rustls_pki_types::CertificateDer<'static>,
        handler: impl Fn(&Parts) -> http::Response<TestBody> + Send + Sync + 'static,
    ) -> Self {
        super::install_tls_provider();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let config = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
        Self::start(Arc::new(handler), Some(acceptor(names, config))).await
    }

    async fn start(handler: Arc<Handler>, tls: Option<(TlsAcceptor, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, certificate_pem) = tls.unzip();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        let (log, n_connections) = (Arc::clone(&seen), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&n_connections);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let (handler, log, acceptor) = (Arc::clone(&handler), Arc::clone(&log), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, handler, log).await;
                            }
                        }
                        None => serve(stream, handler, log).await,
                    }
                });
            }
        });
        let certificate_pem = certificate_pem.unwrap_or_default();
        Self { address, scheme, seen, n_connections, certificate_pem, _tasks: tasks }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL on this server, by address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Request lines so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections that were accepted.
    pub(crate) fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::Relaxed)
    }
}

/// TLS with a certificate for these names, and that certificate.
fn acceptor(
    names: &[&str],
    config: rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert>,
) -> (TlsAcceptor, String) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<Handler>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
        async move {
            let (parts, _) = request.into_parts();
            log.lock().unwrap().push(format!("{} {}", parts.method, parts.uri));
            Ok::<_, Infallible>(handler(&parts))
        }
    });
    // A client that hangs up is part of the tests.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An answer with this status and body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> http::Response<TestBody> {
    let body = Full::new(body.into()).boxed_unsync();
    http::Response::builder().status(status).body(body).unwrap()
}

/// An answer whose body never comes.
pub(crate) fn silent_body() -> http::Response<TestBody> {
    let body = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<hyper::body::Frame<Bytes>, Infallible>,
    >());
    http::Response::builder().status(200).body(body.boxed_unsync()).unwrap()
}
