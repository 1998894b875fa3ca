//! Author types to wire types and back. Whatever comes in is checked again: the other side is another build.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use abi_stable::std_types::{ROption, RResult, RString, RVec, Tuple2};
use bytes::Bytes;
use regent_oci::{Digest, MediaType, RepositoryName, Tag};
use regent_transport::{Class, Retry};
use secrecy::SecretString;
use secrecy::zeroize::Zeroize;
use url::Url;

use super::{
    Ext, WireAccess, WireAuthorization, WireBlob, WireBytes, WireCheck, WireContent, WireDuration, WireEmpty,
    WireError, WireNames, WirePageRequest, WireTagDetail, WireTagDetails, WireTime, WireValidation, message,
};
use crate::bounds::{
    CONTRACT_BROKEN, MAX_AUTHORIZATION_HEADERS, MAX_CHECKS, MAX_CURSOR_BYTES, MAX_DETAILS, MAX_HEADER_BYTES,
    MAX_MEDIA_TYPE_BYTES, MAX_NAME_BYTES, MAX_PAGE_ITEMS, MAX_URL_BYTES,
};
use crate::driver::{
    Access, Authorization, BlobHandle, Check, Content, Cursor, Outcome, Page, PageRequest, TagDetail,
    Validation,
};
use crate::error::{Error, Result};

/// A value with a form on the wire.
pub(crate) trait Wire: Sized {
    /// The form.
    type Form;

    fn to_wire(self) -> Self::Form;

    /// # Errors
    /// When the other side broke the contract.
    fn from_wire(form: Self::Form) -> Result<Self>;
}

/// A value of a driver that came in by another way than the ABI.
#[cfg(feature = "load")]
pub trait Checked: Sized {
    /// Holds it against the bounds of what crosses the ABI: texts are cut, and what is too much is an error with the code
    /// `driver_contract_broken`.
    ///
    /// # Errors
    /// The other side broke the contract.
    fn checked(self) -> Result<Self>;
}

#[cfg(feature = "load")]
impl<T: Wire> Checked for T {
    fn checked(self) -> Result<Self> {
        Self::from_wire(self.to_wire())
    }
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Class::Internal, CONTRACT_BROKEN, format!("the driver broke its contract: {what}"))
}

/// Cuts text at a character's boundary.
pub(crate) fn cut(text: RString, max_bytes: usize) -> String {
    let mut text = text.into_string();
    if text.len() > max_bytes {
        let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Moves a secret into its own type and wipes the buffer that it crossed in.
pub(crate) fn take_secret(text: RString) -> SecretString {
    let secret = SecretString::from(text.as_str());
    text.into_bytes().as_mut_slice().zeroize();
    secret
}

/// Moves bytes without a copy; the buffer knows how to free itself.
pub(crate) fn take_bytes(bytes: RVec<u8>) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(bytes) }
}

pub(crate) fn give_bytes(bytes: Bytes) -> RVec<u8> {
    Vec::from(bytes).into()
}

/// An answer as it crosses.
pub(crate) fn answer<T: Wire>(result: Result<T>) -> RResult<T::Form, WireError> {
    match result {
        Ok(value) => RResult::ROk(value.to_wire()),
        Err(error) => RResult::RErr(error.to_wire()),
    }
}

impl Wire for Error {
    type Form = WireError;

    fn to_wire(self) -> WireError {
        let (retry, after) = match self.retry() {
            Retry::Never => (0, Duration::ZERO),
            Retry::Backoff => (1, Duration::ZERO),
            Retry::After(after) => (2, after),
        };
        WireError {
            class: self.class().number(),
            code: self.code().into(),
            message: self.message().into(),
            retry,
            retry_after: after.into(),
            details: self.details.into_iter().map(|(n, v)| Tuple2(n.into(), v.into())).collect(),
            ext: Ext::new(),
        }
    }

    fn from_wire(form: WireError) -> Result<Self> {
        let retry = match form.retry {
            1 => Retry::Backoff,
            2 => Retry::After(form.retry_after.into()),
            _ => Retry::Never,
        };
        let class = Class::from_number(form.class);
        let mut error = Self::new(class, cut(form.code, MAX_NAME_BYTES), form.message.into_string());
        for Tuple2(name, value) in form.details.into_iter().take(MAX_DETAILS) {
            error.details.insert(cut(name, MAX_NAME_BYTES), cut(value, Self::MAX_MESSAGE_BYTES));
        }
        Ok(error.with_retry(retry))
    }
}

/// The error that came over.
pub(crate) fn take_error(form: WireError) -> Error {
    Error::from_wire(form).unwrap_or_else(|error| error)
}

impl From<Duration> for WireDuration {
    fn from(duration: Duration) -> Self {
        Self { seconds: duration.as_secs(), nanoseconds: duration.subsec_nanos() }
    }
}

impl From<WireDuration> for Duration {
    fn from(wire: WireDuration) -> Self {
        // An odd count of nanoseconds is cut: `Duration::new` panics where their carry overflows.
        Self::new(wire.seconds, wire.nanoseconds.min(999_999_999))
    }
}

impl From<SystemTime> for WireTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self { before_1970: false, distance: after.into() },
            Err(before) => Self { before_1970: true, distance: before.duration().into() },
        }
    }
}

/// The time, unless it is out of what the system can say.
pub(crate) fn take_time(wire: WireTime) -> Option<SystemTime> {
    let distance = Duration::from(wire.distance);
    if wire.before_1970 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

impl Wire for () {
    type Form = WireEmpty;

    fn to_wire(self) -> WireEmpty {
        WireEmpty::default()
    }

    fn from_wire(_: WireEmpty) -> Result<Self> {
        Ok(())
    }
}

impl Wire for PageRequest {
    type Form = WirePageRequest;

    fn to_wire(self) -> WirePageRequest {
        WirePageRequest { size: self.size, after: give_cursor(self.after), ext: Ext::new() }
    }

    fn from_wire(form: WirePageRequest) -> Result<Self> {
        Ok(Self { size: form.size, after: take_cursor(form.after)? })
    }
}

fn give_cursor(cursor: Option<Cursor>) -> ROption<RString> {
    cursor.map(|c| c.0.into()).into()
}

fn take_cursor(cursor: ROption<RString>) -> Result<Option<Cursor>> {
    match cursor.into_option() {
        Some(text) if text.len() > MAX_CURSOR_BYTES => {
            Err(broken(format_args!("a cursor of {} bytes, at most {MAX_CURSOR_BYTES}", text.len())))
        }
        cursor => Ok(cursor.map(|text| Cursor(text.into_string()))),
    }
}

fn bounded<T>(items: &RVec<T>, max: usize, what: &str) -> Result<()> {
    at_most(items.len(), max, what)
}

fn at_most(n: usize, max: usize, what: &str) -> Result<()> {
    if n > max {
        return Err(broken(format_args!("{n} {what}, at most {max}")));
    }
    Ok(())
}

/// Reads a name that a driver gave.
fn parse<T>(text: &RString, what: &str) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.as_str().parse().map_err(|e| broken(format_args!("a {what} that is none: {e}")))
}

/// What stands on pages of names.
pub(crate) trait Name: std::str::FromStr<Err: std::fmt::Display> {
    const WHAT: &str;
    fn as_text(&self) -> &str;
}

impl Name for RepositoryName {
    const WHAT: &str = "repository";
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl Name for Tag {
    const WHAT: &str = "tag";
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl<T: Name> Wire for Page<T> {
    type Form = WireNames;

    fn to_wire(self) -> WireNames {
        WireNames {
            items: self.items.iter().map(|item| item.as_text().into()).collect(),
            next: give_cursor(self.next),
            ext: Ext::new(),
        }
    }

    fn from_wire(form: WireNames) -> Result<Self> {
        bounded(&form.items, MAX_PAGE_ITEMS, "items on a page")?;
        let items = form.items.iter().map(|item| parse(item, T::WHAT)).collect::<Result<_>>()?;
        Ok(Self { items, next: take_cursor(form.next)? })
    }
}

impl Wire for Page<TagDetail> {
    type Form = WireTagDetails;

    fn to_wire(self) -> WireTagDetails {
        let items = self.items.into_iter().map(|item| WireTagDetail {
            tag: item.tag.as_str().into(),
            digest: item.digest.as_str().into(),
            pushed: item.pushed.map(WireTime::from).into(),
            size_bytes: item.size_bytes.into(),
            ext: Ext::new(),
        });
        WireTagDetails { items: items.collect(), next: give_cursor(self.next), ext: Ext::new() }
    }

    fn from_wire(form: WireTagDetails) -> Result<Self> {
        bounded(&form.items, MAX_PAGE_ITEMS, "items on a page")?;
        let items = form.items.into_iter().map(|item| {
            Ok(TagDetail {
                tag: parse(&item.tag, Tag::WHAT)?,
                digest: parse::<Digest>(&item.digest, "digest")?,
                pushed: item.pushed.into_option().and_then(take_time),
                size_bytes: item.size_bytes.into_option(),
            })
        });
        Ok(Self { items: items.collect::<Result<_>>()?, next: take_cursor(form.next)? })
    }
}

impl Wire for Validation {
    type Form = WireValidation;

    fn to_wire(self) -> WireValidation {
        let checks = self.checks.into_iter().map(|check| WireCheck {
            name: check.name.into(),
            outcome: match check.outcome {
                Outcome::Passed => 1,
                Outcome::Denied => 2,
                Outcome::Failed => 3,
                Outcome::Skipped => 4,
            },
            detail: check.detail.into(),
            ext: Ext::new(),
        });
        WireValidation { registry: self.registry.into(), checks: checks.collect(), ext: Ext::new() }
    }

    fn from_wire(form: WireValidation) -> Result<Self> {
        bounded(&form.checks, MAX_CHECKS, "checks")?;
        let checks = form.checks.into_iter().map(|check| Check {
            name: cut(check.name, MAX_NAME_BYTES),
            outcome: match check.outcome {
                1 => Outcome::Passed,
                2 => Outcome::Denied,
                4 => Outcome::Skipped,
                _ => Outcome::Failed,
            },
            detail: cut(check.detail, Error::MAX_MESSAGE_BYTES),
        });
        Ok(Self { registry: cut(form.registry, Error::MAX_MESSAGE_BYTES), checks: checks.collect() })
    }
}

impl Wire for Access {
    type Form = WireAccess;

    fn to_wire(self) -> WireAccess {
        WireAccess { repository: self.repository.as_str().into(), renew: self.renew, ext: Ext::new() }
    }

    fn from_wire(form: WireAccess) -> Result<Self> {
        Ok(Self { repository: parse(&form.repository, RepositoryName::WHAT)?, renew: form.renew })
    }
}

thread_local! {
    /// The endpoint that this thread has read last.
    static LAST_ENDPOINT: RefCell<Option<Url>> = const { RefCell::new(None) };
}

/// Reads an endpoint. A driver gives the same one again and again, and parsing it would be a fifth of its call: of the one that
/// was read last there is a copy.
fn take_endpoint(text: &str) -> Result<Url> {
    at_most(text.len(), MAX_URL_BYTES, "bytes of an endpoint")?;
    let is_known = |last: &&Url| last.as_str() == text;
    let known = LAST_ENDPOINT.try_with(|last| last.borrow().as_ref().filter(is_known).cloned());
    if let Ok(Some(endpoint)) = known {
        return Ok(endpoint);
    }
    let endpoint = Url::parse(text).map_err(|e| broken(format_args!("an endpoint: {e}")))?;
    if !matches!(endpoint.scheme(), "http" | "https") || !endpoint.has_host() {
        return Err(broken("an endpoint that is not http or https"));
    }
    // At its end a thread has no such place any more.
    let _ = LAST_ENDPOINT.try_with(|last| last.replace(Some(endpoint.clone())));
    Ok(endpoint)
}

impl Wire for Authorization {
    type Form = WireAuthorization;

    fn to_wire(self) -> WireAuthorization {
        WireAuthorization {
            endpoint: self.endpoint.as_str().into(),
            repository: self.repository.as_str().into(),
            headers: self.headers.iter().map(|(name, value)| message::give_header(name, value)).collect(),
            expires: self.expires.map(WireTime::from).into(),
            ext: Ext::new(),
        }
    }

    fn from_wire(form: WireAuthorization) -> Result<Self> {
        bounded(&form.headers, MAX_AUTHORIZATION_HEADERS, "headers")?;
        let bytes = form.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        at_most(bytes, MAX_HEADER_BYTES, "bytes of headers")?;
        let endpoint = take_endpoint(&form.endpoint)?;
        let headers = form.headers.into_iter().map(|h| message::take_header(h).map_err(broken));
        Ok(Self {
            endpoint,
            repository: parse(&form.repository, RepositoryName::WHAT)?,
            headers: headers.collect::<Result<_>>()?,
            // A time that can't be said is as good as never.
            expires: form.expires.into_option().and_then(take_time),
        })
    }
}

impl Wire for Content {
    type Form = WireContent;

    fn to_wire(self) -> WireContent {
        WireContent {
            media_type: self.media_type.as_str().into(),
            bytes: give_bytes(self.bytes),
            ext: Ext::new(),
        }
    }

    fn from_wire(form: WireContent) -> Result<Self> {
        bounded(&form.bytes, regent_oci::MAX_MANIFEST_BYTES, "bytes of a manifest")?;
        at_most(form.media_type.len(), MAX_MEDIA_TYPE_BYTES, "bytes of a media type")?;
        Ok(Self { media_type: MediaType::new(&form.media_type), bytes: take_bytes(form.bytes) })
    }
}

impl Wire for BlobHandle {
    type Form = WireBlob;

    fn to_wire(self) -> WireBlob {
        WireBlob { handle: self.0, ext: Ext::new() }
    }

    fn from_wire(form: WireBlob) -> Result<Self> {
        Ok(Self(form.handle))
    }
}

impl Wire for Bytes {
    type Form = WireBytes;

    fn to_wire(self) -> WireBytes {
        WireBytes { bytes: give_bytes(self), ext: Ext::new() }
    }

    fn from_wire(form: WireBytes) -> Result<Self> {
        Ok(take_bytes(form.bytes))
    }
}
