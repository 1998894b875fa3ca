//! The way in: one accept loop, plain or TLS, HTTP/1.1 and HTTP/2.
//!
//! Routing is warp's; everything around it is here, since warp 0.4 serves no TLS, panics when the port is taken, sets no
//! time limit for request heads, and waits without end when it is stopped.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::settings::CertificateFiles;
use crate::shutdown::Shutdown;

mod certificate;

pub use certificate::{Certificate, CertificateError};

/// Requests at once on one HTTP/2 connection: bounds what its bodies may hold.
const MAX_STREAMS: u32 = 64;
/// Time for a request's head, and for the TLS handshake. Slow clients hold a connection no longer than this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections at once. The one client is a broker with some keep-alive connections; this only bounds memory.
const MAX_CONNECTIONS: usize = 1024;
/// Pause after a failed accept: out of file descriptors, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the agent can't serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address can't be listened on.
    #[error(
        "can't listen on {address}: {source}; is another program using the port? (SNYK_PORT, REGENT_LISTEN)"
    )]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The certificate can't be served.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
}

impl Server {
    /// Listens. Without an address on all interfaces, IPv6 and IPv4 where both are there.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn bind(
        listen: Option<IpAddr>,
        port: u16,
        certificate: Option<&CertificateFiles>,
    ) -> Result<Self, ServerError> {
        let certificate = certificate.map(Certificate::load).transpose()?.map(Arc::new);
        let any = (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let address = SocketAddr::new(listen.unwrap_or(any.0), port);
        let listener = match TcpListener::bind(address).await {
            // A machine without IPv6. A port that is taken fails here again, with the right message.
            Err(_) if listen.is_none() => bind(SocketAddr::new(any.1, port)).await?,
            Err(source) => return Err(ServerError::Bind { address, source }),
            Ok(listener) => listener,
        };
        Ok(Self { listener, certificate })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// `http`, or `https` with a certificate.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// Answers requests until `shutdown` closes the door; lets the running ones end within `grace` of its first step, and
    /// cuts what is left.
    pub async fn run<S, B>(self, service: S, mut shutdown: Shutdown, grace: Duration)
    where
        S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tls = self.certificate.clone().map(|c| TlsAcceptor::from(c.server_config()));
        let mut connections = JoinSet::new();
        let mut reloads = JoinSet::new();
        if let Some(certificate) = self.certificate {
            reloads.spawn(certificate.reload_forever());
        }
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = shutdown.closing() => break,
                accepted = accept(&self.listener, &permits) => accepted,
            };
            let (stream, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, service, watcher) = (tls.clone(), service.clone(), graceful.watcher());
            connections.spawn(async move {
                if let Some(tls) = tls {
                    match timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => answer(stream, service, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake took too long"),
                    }
                } else {
                    answer(stream, service, watcher).await;
                }
                drop(permit);
            });
        }
        drop(self.listener);
        let end = shutdown.requested_at().unwrap_or_else(Instant::now) + grace;
        if timeout_at(end, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests that were still running were cut off");
        }
        connections.shutdown().await;
        reloads.shutdown().await;
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { address, source })
}

/// Waits for room, then for a connection.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    Ok((stream, permit))
}

/// Answers the requests of one connection. A client that hangs up drops the future of its running request.
async fn answer<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    watcher: Watcher,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
