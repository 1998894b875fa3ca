//! A driver's request as the host sends it, and the answer on its way back.

use http::Method;
use regent_transport::{Request, Response, TransportError, collect};
use url::Url;

use crate::abi::message::{give_headers, take_headers};
use crate::abi::values::{give_bytes, take_bytes};
use crate::abi::{Ext, WireRequest, WireResponse, WireTransportError};

pub(crate) fn take_request(wire: WireRequest) -> Result<Request, TransportError> {
    let invalid = |reason: String| TransportError::Invalid { reason };
    let method = Method::from_bytes(wire.method.as_bytes()).map_err(|_| invalid("its method".to_owned()))?;
    let url = Url::parse(&wire.url).map_err(|e| invalid(format!("its URL: {e}")))?;
    let mut request = Request::new(method, url);
    request.headers = take_headers(wire.headers).map_err(invalid)?;
    request.body = take_bytes(wire.body);
    request.timeout = wire.timeout.into();
    request.max_body_bytes = wire.max_body_bytes;
    Ok(request)
}

/// Reads the whole body: drivers get it in one piece.
pub(crate) async fn give_response(response: Response) -> Result<WireResponse, TransportError> {
    Ok(WireResponse {
        status: response.status.as_u16(),
        headers: give_headers(&response.headers),
        body: give_bytes(collect(response.body).await?),
        ext: Ext::new(),
    })
}

pub(crate) fn give_transport_error(error: TransportError) -> WireTransportError {
    let (kind, host, reason, limit_bytes) = match error {
        TransportError::Refused { host, rule } => (1, host, rule, 0),
        TransportError::Invalid { reason } => (2, String::new(), reason, 0),
        TransportError::Connect { host, reason } => (3, host, reason, 0),
        TransportError::Tls { host, reason } => (4, host, reason, 0),
        TransportError::Timeout { host } => (5, host, String::new(), 0),
        TransportError::Broken { host, reason } => (6, host, reason, 0),
        TransportError::TooLarge { host, limit_bytes } => (7, host, String::new(), limit_bytes),
        other => (6, String::new(), other.to_string(), 0),
    };
    WireTransportError { kind, host: host.into(), reason: reason.into(), limit_bytes, ext: Ext::new() }
}
