//! What the HTTP client's errors mean. Its own texts are not passed on: some hold URLs, and URLs hold signatures.

use std::error::Error;
use std::io;

use regent_transport::TransportError;

use super::resolver::{OutOfReach, Unresolved};
use crate::causes::chain;

/// Sorts an error of a request to `host`.
pub(super) fn sort(error: &reqwest::Error, host: &str) -> TransportError {
    let host = host.to_owned();
    if let Some(out_of_reach) = find::<OutOfReach>(error) {
        return TransportError::Refused { host, rule: out_of_reach.to_string() };
    }
    if error.is_builder() {
        return TransportError::Invalid { reason: "the URL or a header is not valid".to_owned() };
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return TransportError::Tls { host, reason: tls_reason(tls) };
    }
    if error.is_timeout() {
        return TransportError::Timeout { host };
    }
    if find::<Unresolved>(error).is_some() {
        return TransportError::Connect { host, reason: Unresolved.to_string() };
    }
    if error.is_connect() {
        return TransportError::Connect { host, reason: connect_reason(error) };
    }
    let reason = match io_kind(error) {
        Some(kind) => kind.to_string(),
        None => "the answer ended early or is not HTTP".to_owned(),
    };
    TransportError::Broken { host, reason }
}

fn connect_reason(error: &reqwest::Error) -> String {
    if let Some(kind) = io_kind(error) {
        return kind.to_string();
    }
    // A proxy that refuses to connect is told in words only, and these hold no secret.
    let text = chain(error).to_ascii_lowercase();
    if text.contains("proxy authorization required") || text.contains("407") {
        "the proxy wants credentials".to_owned()
    } else if text.contains("tunnel") || text.contains("proxy") {
        "the proxy does not connect".to_owned()
    } else {
        "no connection".to_owned()
    }
}

fn tls_reason(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            C::UnknownIssuer => {
                "the certificate's authority is not known: name its bundle in NODE_EXTRA_CA_CERTS".to_owned()
            }
            C::Expired | C::ExpiredContext { .. } => "the certificate has expired".to_owned(),
            C::NotValidYet | C::NotValidYetContext { .. } => "the certificate is not valid yet".to_owned(),
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "the certificate is for another name".to_owned()
            }
            C::Revoked => "the certificate is revoked".to_owned(),
            _ => "the certificate is not valid".to_owned(),
        },
        rustls::Error::AlertReceived(alert) => format!("the server refused the handshake ({alert:?})"),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        _ => "the handshake failed".to_owned(),
    }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    find::<io::Error>(error).map(io::Error::kind).filter(|kind| *kind != io::ErrorKind::Other)
}

/// The innermost error of this type among the causes, looking into I/O errors as well, which hide their source.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut found = None;
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<T>().or(found);
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|e| e as &(dyn Error + 'static)).or_else(|| error.source());
    }
    found
}
