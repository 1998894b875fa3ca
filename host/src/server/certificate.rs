//! The served certificate, read again while running.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};

use crate::settings::CertificateFiles;

/// How often the files are looked at. Renewed certificates overlap by days.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file that holds no certificate or key, or can't be read.
    #[error("{setting}: {path} can't be used: {reason}")]
    File {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not. Holds nothing of its content.
        reason: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not served.
    #[error("HTTPS_CERT and HTTPS_KEY can't be used together: {0}")]
    Pair(rustls::Error),
}

/// A certificate with its key, from files that may change.
pub struct Certificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(files: &CertificateFiles) -> Result<Self, CertificateError> {
        Ok(Self { files: files.clone(), current: ArcSwap::from_pointee(read(files)?) })
    }

    /// A TLS configuration that serves whatever is current.
    pub fn server_config(self: Arc<Self>) -> Arc<ServerConfig> {
        crate::http::install_tls_provider();
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Reads the files again. What can't be used leaves the current certificate in place.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Reads the files again when they change, and on SIGHUP.
    pub(super) async fn reload_forever(self: Arc<Self>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!(%error, "the certificate will not be read again"),
        };
        let mut seen = self.changed();
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => if self.changed() == seen { continue },
            }
            seen = self.changed();
            match self.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!(%error, "the certificate was not replaced"),
            }
        }
    }

    /// What is served now.
    #[cfg(test)]
    pub(super) fn current_chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().cert.clone()
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.files.certificate, &self.files.key]
            .map(|f| std::fs::metadata(f).and_then(|m| m.modified()).ok())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let wrong = |setting, path: &PathBuf, reason: String| CertificateError::File {
        setting,
        path: path.clone(),
        reason,
    };
    let certificate = |reason| wrong("HTTPS_CERT", &files.certificate, reason);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| certificate(e.to_string()))?;
    if chain.is_empty() {
        return Err(certificate("it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| wrong("HTTPS_KEY", &files.key, e.to_string()))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(CertificateError::Pair)
}
