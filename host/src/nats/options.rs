//! How the agent reaches NATS servers and shows itself to them.
//!
//! The library reads files of certificates at each connection, so that renewed ones are used, and names neither the file nor
//! its setting when that fails. So they are read here once before.

use std::path::Path;
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use nkeys::KeyPair;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};

use super::{ANSWER, NatsError};
use crate::settings::{CertificateFiles, NatsSettings, NatsUser};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is there. Two of these without an answer end the connection.
const PING_EVERY: Duration = Duration::from_secs(4);

/// What these settings say of a connection.
///
/// # Errors
/// [`NatsError::File`].
pub(super) async fn options(settings: &NatsSettings) -> Result<ConnectOptions, NatsError> {
    // Who says whom to trust, or shows a certificate, does not want a connection without TLS.
    let needs_tls =
        settings.servers.needs_tls || settings.authorities.is_some() || settings.certificate.is_some();
    let mut options = ConnectOptions::new()
        .name("regent")
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING_EVERY)
        .require_tls(needs_tls)
        .event_callback(|event| async move { log(&event) });
    match &settings.servers.user {
        Some(NatsUser::Token(token)) => options = options.token(token.expose_secret().to_owned()),
        Some(NatsUser::Password(user, password)) => {
            options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        }
        None => {}
    }
    if let Some(path) = &settings.credentials {
        let setting = "REGENT_QUEUE_CREDENTIALS";
        let text = read(setting, path).await?;
        // What the library says of it may quote it.
        let wrong = |_| file_error(setting, path, &"it holds no JWT with its seed");
        options = options.credentials(text.expose_secret()).map_err(wrong)?;
    }
    if let Some(path) = &settings.nkey {
        let setting = "REGENT_QUEUE_NKEY";
        let text = read(setting, path).await?;
        let seed = text.expose_secret().trim();
        KeyPair::from_seed(seed).map_err(|_| file_error(setting, path, &"it holds no seed of an NKEY"))?;
        options = options.nkey(seed.to_owned());
    }
    if let Some(path) = &settings.authorities {
        check_authorities(path).await?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some(files) = &settings.certificate {
        check_certificate(files).await?;
        options = options.add_client_certificate(files.certificate.clone(), files.key.clone());
    }
    Ok(options)
}

async fn check_authorities(path: &Path) -> Result<(), NatsError> {
    let setting = "REGENT_QUEUE_CA";
    let mut store = RootCertStore::empty();
    for authority in certificates(setting, path).await? {
        store.add(authority).map_err(|error| file_error(setting, path, &error))?;
    }
    Ok(())
}

async fn check_certificate(files: &CertificateFiles) -> Result<(), NatsError> {
    let setting = "REGENT_QUEUE_KEY";
    let chain = certificates("REGENT_QUEUE_CERT", &files.certificate).await?;
    let text = read(setting, &files.key).await?;
    let key = PrivateKeyDer::from_pem_slice(text.expose_secret().as_bytes())
        .map_err(|error| file_error(setting, &files.key, &error))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map(drop).map_err(|error| {
        let reason = format!("can't be used together with REGENT_QUEUE_CERT: {error}");
        NatsError::File { setting, reason }
    })
}

async fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, NatsError> {
    let text = read(setting, path).await?;
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(text.expose_secret().as_bytes()).collect();
    let found = found.map_err(|error| file_error(setting, path, &error))?;
    if found.is_empty() { Err(file_error(setting, path, &"it holds no certificate")) } else { Ok(found) }
}

async fn read(setting: &'static str, path: &Path) -> Result<SecretString, NatsError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map(SecretString::from).map_err(|error| file_error(setting, path, &error))
}

fn file_error(setting: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> NatsError {
    NatsError::File { setting, reason: format!("{}: {reason}", path.display()) }
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
        Event::SlowConsumer(_) => tracing::warn!("NATS sends faster than the agent reads"),
        Event::ServerError(error) => tracing::warn!(%error, "the NATS server reports an error"),
        Event::ClientError(error) => tracing::warn!(%error, "the connection to NATS has an error"),
        _ => {}
    }
}
