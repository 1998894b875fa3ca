//! Answers: ASCII JSON with its length, never compressed, so that a broker can't damage them.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::problem::{PROBLEM_JSON, Problem};

/// The header that carries a request's id, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("snyk-request-id");

/// An answer to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

impl Answer {
    /// 200 with this value.
    pub(super) fn ok(value: &(impl Serialize + ?Sized)) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// This status with this value.
    pub(super) fn json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Self {
        match regent_report::to_ascii_json(value) {
            Ok(body) => Self { status, content_type: "application/json", headers: Vec::new(), body },
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Self::problem(&Problem::new("internal", "the answer could not be written"))
            }
        }
    }

    /// 200 with text of this type.
    pub(super) fn text(content_type: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, content_type, headers: Vec::new(), body }
    }

    /// 204.
    pub(super) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, content_type: "", headers: Vec::new(), body: String::new() }
    }

    /// A problem with its status and headers.
    pub(super) fn problem(problem: &Problem) -> Self {
        let mut headers = Vec::new();
        if let Some(seconds) = problem.retry_after_secs {
            headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if let Some(methods) = problem.allow {
            headers.push((ALLOW, HeaderValue::from_static(methods.as_str())));
        }
        let body = regent_report::to_ascii_json(problem).unwrap_or_default();
        Self { status: problem.status(), content_type: PROBLEM_JSON, headers, body }
    }

    /// As warp sends it.
    pub(super) fn into_response(self, request_id: &str) -> warp::reply::Response {
        let length = self.body.len();
        let mut response = warp::reply::Response::new(self.body.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)).collect::<Vec<_>>());
        response
    }
}
