//! Signatures of version 4, held against the request as it arrived ("Create a signed AWS API request", IAM User Guide).

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::vendor::message::Received;

/// What a signature says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose secret it was made with.
    pub access_key_id: String,
    date: String,
    /// For requests to this region.
    pub region: String,
    /// For requests to this service.
    pub service: String,
    signed_headers: Vec<String>,
    code: String,
}

impl Signature {
    /// Reads the header `Authorization`.
    pub fn read(request: &Received) -> Option<Self> {
        Self::parse(request.header("authorization")?)
    }

    /// Whether a header's value has the form of a signature.
    pub fn is_one(value: &str) -> bool {
        Self::parse(value).is_some()
    }

    fn parse(value: &str) -> Option<Self> {
        let parts = value.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',').map(str::trim);
        let pairs: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let part = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let scope: Vec<&str> = part("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else { return None };
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            code: part("Signature")?.to_owned(),
        })
    }

    /// Whether it was made for this request, less than five minutes ago, with this secret.
    pub fn is_by(&self, secret: &str, request: &Received) -> bool {
        let Some(stamp) = request.header("x-amz-date") else { return false };
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let Ok(made) = time::PrimitiveDateTime::parse(stamp, format) else { return false };
        let age = (OffsetDateTime::from(request.at) - made.assume_utc()).unsigned_abs();
        let must_be_signed =
            ["host", "x-amz-date"].iter().all(|name| self.signed_headers.iter().any(|h| h == name))
                && (!request.headers.contains_key("x-amz-security-token")
                    || self.signed_headers.iter().any(|h| h == "x-amz-security-token"));
        let fresh = age < Duration::from_mins(5) && stamp.starts_with(&self.date) && must_be_signed;
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let hashed = hex(&Sha256::digest(self.canonical(request)));
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}");
        let key = [&self.date, &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        fresh && hex(&hmac(&key, text.as_bytes())) == self.code
    }

    fn canonical(&self, request: &Received) -> String {
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
        let mut query: Vec<String> = request
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        query.sort();
        let mut text = format!("{}\n{}\n{}\n", request.method, request.path, query.join("&"));
        for name in &self.signed_headers {
            let value = if name == "host" { &request.host } else { request.header(name).unwrap_or_default() };
            let _ = writeln!(text, "{name}:{}", value.trim());
        }
        let _ = write!(text, "\n{}\n{}", self.signed_headers.join(";"), hex(&Sha256::digest(&request.body)));
        text
    }
}

/// RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// When a request was made, as a signature has it.
pub fn stamp(at: SystemTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from(at).format(format).unwrap()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    /// The example "get-vanilla" of AWS's own test suite for signatures.
    #[test]
    fn the_vendors_own_example_is_taken_and_a_changed_one_is_not() {
        let at = time::macros::datetime!(2015-08-30 12:36:00 UTC).into();
        let mut request = Received::new(Method::GET, "example.amazonaws.com", "/", at);
        request.headers.insert("x-amz-date", stamp(at).parse().unwrap());
        let signature = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                         SignedHeaders=host;x-amz-date, \
                         Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        request.headers.insert("authorization", signature.parse().unwrap());
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let read = Signature::read(&request).unwrap();
        assert!(read.is_by(secret, &request));
        assert!(!read.is_by("another", &request));
        let mut changed = request.clone();
        changed.host = "other.amazonaws.com".to_owned();
        assert!(!read.is_by(secret, &changed));
        request.at += Duration::from_mins(6);
        assert!(!read.is_by(secret, &request));
    }
}
