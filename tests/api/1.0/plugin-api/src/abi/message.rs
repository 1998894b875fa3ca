//! Requests and answers on the wire. The mark on sensitive header values crosses with them, both ways.

use abi_stable::std_types::RVec;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use regent_transport::{Body, Request, Response, TransportError};
use secrecy::zeroize::Zeroize;

use super::values::{cut, give_bytes, take_bytes};
use super::{Ext, WireHeader, WireRequest, WireResponse, WireTransportError};

/// Longest host, rule or reason of a transport error, in bytes.
const MAX_REASON_BYTES: usize = 512;

pub(crate) fn give_header(name: &HeaderName, value: &HeaderValue) -> WireHeader {
    WireHeader {
        name: name.as_str().into(),
        value: value.as_bytes().to_vec().into(),
        sensitive: value.is_sensitive(),
        ext: Ext::new(),
    }
}

/// # Errors
/// What is wrong with it, without the value.
pub(crate) fn take_header(mut wire: WireHeader) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(wire.name.as_bytes()).map_err(|_| "a header's name".to_owned())?;
    let value = HeaderValue::from_bytes(&wire.value);
    if wire.sensitive {
        wire.value.as_mut_slice().zeroize();
    }
    let mut value = value.map_err(|_| format!("the value of header {name}"))?;
    value.set_sensitive(wire.sensitive);
    Ok((name, value))
}

pub(crate) fn give_headers(headers: &HeaderMap) -> RVec<WireHeader> {
    headers.iter().map(|(name, value)| give_header(name, value)).collect()
}

pub(crate) fn take_headers(wire: RVec<WireHeader>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in wire {
        let (name, value) = take_header(header)?;
        headers.try_append(name, value).map_err(|e| e.to_string())?;
    }
    Ok(headers)
}

pub(crate) fn give_request(request: Request) -> WireRequest {
    WireRequest {
        method: request.method.as_str().into(),
        url: request.url.as_str().into(),
        headers: give_headers(&request.headers),
        body: give_bytes(request.body),
        timeout: request.timeout.into(),
        max_body_bytes: request.max_body_bytes,
        ext: Ext::new(),
    }
}

pub(crate) fn take_response(wire: WireResponse, host: &str) -> Result<Response, TransportError> {
    let broken = |reason: String| TransportError::Broken { host: host.to_owned(), reason };
    Ok(Response {
        status: StatusCode::from_u16(wire.status).map_err(|e| broken(e.to_string()))?,
        headers: take_headers(wire.headers).map_err(broken)?,
        body: Body::whole(take_bytes(wire.body)),
    })
}

pub(crate) fn take_transport_error(wire: WireTransportError) -> TransportError {
    let (host, reason) = (cut(wire.host, MAX_REASON_BYTES), cut(wire.reason, MAX_REASON_BYTES));
    match wire.kind {
        1 => TransportError::Refused { host, rule: reason },
        2 => TransportError::Invalid { reason },
        3 => TransportError::Connect { host, reason },
        4 => TransportError::Tls { host, reason },
        5 => TransportError::Timeout { host },
        7 => TransportError::TooLarge { host, limit_bytes: wire.limit_bytes },
        _ => TransportError::Broken { host, reason },
    }
}
