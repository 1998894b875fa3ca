//! What an answer that is no success means (distribution-spec 1.1, "Error Codes").

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use regent_transport::{Body, Response, Transport, TransportError};
use serde_json::Value;

use crate::error::{Error, RegistryCode, Subject};
use crate::retry_after::{is_limited, retry_after};

/// The most of an error's body that is read, in bytes.
pub(crate) const MAX_ERROR_BYTES: u64 = 64 << 10;

/// What is known of a refusal: never its words.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// The first code of the body, if it is one.
    pub(crate) code: Option<RegistryCode>,
    /// The body says that the authorization has expired, as ECR's 403 does.
    pub(crate) says_expired: bool,
    /// The body says that a rate limit is exceeded, as GitHub's 403 does.
    pub(crate) says_limited: bool,
}

impl Failure {
    /// Reads the body, as far as it comes: a broken one is as good as none.
    pub(crate) async fn read(body: Body) -> Self {
        let mut body = body;
        let mut bytes = BytesMut::new();
        while let Ok(Some(chunk)) = body.chunk().await {
            let room = usize::try_from(MAX_ERROR_BYTES).unwrap_or(usize::MAX).saturating_sub(bytes.len());
            bytes.extend(chunk.iter().take(room));
            if chunk.len() > room {
                break;
            }
        }
        Self::of(&bytes)
    }

    pub(crate) fn of(body: &[u8]) -> Self {
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        let code = parsed.as_ref().and_then(|body| registry_code(body).or_else(|| google_code(body)));
        let says = |words: &[u8]| body.windows(words.len()).any(|w| w.eq_ignore_ascii_case(words));
        Self { code, says_expired: says(b"expired"), says_limited: says(b"rate limit") }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_ref().is_some_and(|c| c.as_str() == code)
    }

    /// The error that this status stands for, authorization and trying again being done with.
    pub(crate) fn into_error(self, status: StatusCode, subject: &Subject) -> Error {
        let (subject, registry_code) = (subject.clone(), self.code);
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { subject, registry_code },
            StatusCode::FORBIDDEN => Error::PermissionMissing { subject, registry_code },
            _ => Error::UnexpectedStatus { subject, status, registry_code },
        }
    }
}

/// The first code of `{"errors":[{"code": …}]}`.
fn registry_code(body: &Value) -> Option<RegistryCode> {
    let errors = body.get("errors")?.as_array()?;
    errors.iter().find_map(|error| RegistryCode::new(error.get("code")?.as_str()?))
}

/// Google's APIs have `{"error":{"status": …,"details":[{"reason": …}]}}` (google.rpc.Status, google.rpc.ErrorInfo). The
/// reason tells an API that is not enabled from a right that is missing.
fn google_code(body: &Value) -> Option<RegistryCode> {
    let error = body.get("error")?;
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let mut reasons = details.filter_map(|detail| RegistryCode::new(detail.get("reason")?.as_str()?));
    reasons.next().or_else(|| RegistryCode::new(error.get("status")?.as_str()?))
}

/// The error of an answer that says "later": 408, 429, 5xx, and a 403 that says so in its headers.
pub(crate) fn transient(
    host: &str,
    status: StatusCode,
    headers: &HeaderMap,
    transport: &dyn Transport,
) -> Option<Error> {
    let after = || retry_after(headers, transport.now());
    let host = host.to_owned();
    match status {
        StatusCode::FORBIDDEN if is_limited(headers) => Some(Error::RateLimited { host, after: after() }),
        StatusCode::TOO_MANY_REQUESTS => Some(Error::RateLimited { host, after: after() }),
        // "Not implemented" and "version not supported" do not get better by waiting.
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => None,
        StatusCode::REQUEST_TIMEOUT => Some(Error::Unavailable { host, status, after: after() }),
        _ if status.is_server_error() => Some(Error::Unavailable { host, status, after: after() }),
        _ => None,
    }
}

/// Reads a body up to a limit, whatever the transport makes of it.
pub(crate) async fn read_bounded(
    mut body: Body,
    limit_bytes: u64,
    subject: &Subject,
) -> Result<Bytes, Error> {
    let too_large = || Error::TooLarge { subject: subject.clone(), limit_bytes };
    let mut whole = BytesMut::new();
    loop {
        match body.chunk().await {
            Ok(Some(chunk)) => {
                if (whole.len() as u64).saturating_add(chunk.len() as u64) > limit_bytes {
                    return Err(too_large());
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(None) => return Ok(whole.freeze()),
            Err(TransportError::TooLarge { .. }) => return Err(too_large()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// The body of a successful answer; else the error it stands for.
pub(crate) async fn success(response: Response, limit_bytes: u64, subject: &Subject) -> Result<Bytes, Error> {
    if response.status == StatusCode::OK {
        return read_bounded(response.body, limit_bytes, subject).await;
    }
    Err(Failure::read(response.body).await.into_error(response.status, subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_foreign_body_only_a_wellformed_code_is_kept() {
        let rows: &[(&str, Option<&str>, bool)] = &[
            (
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"m","detail":{}}]}"#,
                Some("NAME_UNKNOWN"),
                false,
            ),
            (r#"{"errors":[{"code":"<script>"},{"code":"DENIED"}]}"#, Some("DENIED"), false),
            (r#"{"errors":[{"code":17}]}"#, None, false),
            (r#"{"errors":[{"message":"no code"}]}"#, None, false),
            (r#"{"errors":[]}"#, None, false),
            (r#"{"errors":null}"#, None, false),
            ("<html>", None, false),
            ("Not Authorized", None, false),
            ("Your Authorization Token has EXPIRED. Reauthenticate", None, true),
            (r#"{"errors":[{"code":"DENIED","message":"token expired"}]}"#, Some("DENIED"), true),
            ("", None, false),
            (
                r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"m"}}"#,
                Some("PERMISSION_DENIED"),
                false,
            ),
            (
                r#"{"error":{"status":"PERMISSION_DENIED","details":[{},{"reason":"SERVICE_DISABLED"}]}}"#,
                Some("SERVICE_DISABLED"),
                false,
            ),
            (r#"{"error":"invalid_grant"}"#, None, false),
            (r#"{"error":{"details":{}}}"#, None, false),
        ];
        for (body, code, expired) in rows {
            let failure = Failure::of(body.as_bytes());
            assert_eq!(failure.code.as_ref().map(RegistryCode::as_str), *code, "{body}");
            assert_eq!(failure.says_expired, *expired, "{body}");
        }
        assert!(
            Failure::of(format!(r#"{{"errors":[{{"code":"{}"}}]}}"#, "A".repeat(65)).as_bytes())
                .code
                .is_none()
        );
    }
}
