//! What drivers answer, as it crosses.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use regent_oci::{Digest, MediaType, RepositoryName, Tag};
use regent_plugin_api::bounds::CONTRACT_BROKEN;
use regent_plugin_api::load::Checked;
use regent_plugin_api::{
    Authorization, BlobHandle, Check, Content, Cursor, Error, Outcome, Page, Result as CallResult, TagDetail,
    Validation,
};
use regent_transport::{Class, Retry};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::Header;

/// What came of a call.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Connected,
    Validation { registry: String, checks: Vec<Looked> },
    Repositories { items: Vec<RepositoryName>, next: Option<String> },
    Tags { items: Vec<Tag>, next: Option<String> },
    TagDetails { items: Vec<Detail>, next: Option<String> },
    Authorization { endpoint: Url, repository: RepositoryName, headers: Vec<Header>, expires: Option<Time> },
    Content { media_type: MediaType, bytes: Bytes },
    Blob { handle: u64 },
    Bytes(Bytes),
    Closed,
}

/// `Check`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Looked {
    name: String,
    outcome: Seen,
    detail: String,
}

/// `Outcome`.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Seen {
    Passed,
    Denied,
    Failed,
    Skipped,
}

/// `TagDetail`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Detail {
    tag: Tag,
    digest: Digest,
    pushed: Option<Time>,
    size_bytes: Option<u64>,
}

/// A time, which may be before 1970: registries say such.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Time {
    is_before_1970: bool,
    distance: Duration,
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(distance) => Self { is_before_1970: false, distance },
            Err(before) => Self { is_before_1970: true, distance: before.duration() },
        }
    }
}

impl Time {
    /// The time, unless it is out of what the system can say.
    fn take(self) -> Option<SystemTime> {
        if self.is_before_1970 {
            SystemTime::UNIX_EPOCH.checked_sub(self.distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(self.distance)
        }
    }
}

/// A value that an answer carries.
pub(crate) trait Carried: Checked {
    fn give(self) -> Answer;
    /// `None` where the answer is one to something else.
    fn take(answer: Answer) -> Option<Self>;
}

/// The value of an answer, held against the bounds of what drivers answer.
///
/// # Errors
/// Code `driver_contract_broken`.
pub(crate) fn checked<T: Carried>(answer: Answer) -> CallResult<T> {
    T::take(answer).ok_or_else(|| broken("an answer to something else"))?.checked()
}

/// The driver's process did what its side of this program never does.
pub(crate) fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Class::Internal, CONTRACT_BROKEN, format!("the driver broke its contract: {what}"))
}

/// Cuts text at a character's boundary.
pub(crate) fn cut(mut text: String, max_bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

impl Carried for Validation {
    fn give(self) -> Answer {
        let checks = self.checks.into_iter().map(|check| Looked {
            name: check.name,
            outcome: match check.outcome {
                Outcome::Passed => Seen::Passed,
                Outcome::Denied => Seen::Denied,
                Outcome::Skipped => Seen::Skipped,
                _ => Seen::Failed,
            },
            detail: check.detail,
        });
        Answer::Validation { registry: self.registry, checks: checks.collect() }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Validation { registry, checks } = answer else { return None };
        let checks = checks.into_iter().map(|check| Check {
            name: check.name,
            outcome: match check.outcome {
                Seen::Passed => Outcome::Passed,
                Seen::Denied => Outcome::Denied,
                Seen::Failed => Outcome::Failed,
                Seen::Skipped => Outcome::Skipped,
            },
            detail: check.detail,
        });
        Some(Self { registry, checks: checks.collect() })
    }
}

fn page<T>(items: Vec<T>, next: Option<String>) -> Page<T> {
    Page { items, next: next.map(Cursor) }
}

fn text(cursor: Option<Cursor>) -> Option<String> {
    cursor.map(|Cursor(text)| text)
}

impl Carried for Page<RepositoryName> {
    fn give(self) -> Answer {
        Answer::Repositories { items: self.items, next: text(self.next) }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Repositories { items, next } = answer else { return None };
        Some(page(items, next))
    }
}

impl Carried for Page<Tag> {
    fn give(self) -> Answer {
        Answer::Tags { items: self.items, next: text(self.next) }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Tags { items, next } = answer else { return None };
        Some(page(items, next))
    }
}

impl Carried for Page<TagDetail> {
    fn give(self) -> Answer {
        let items = self.items.into_iter().map(|item| Detail {
            tag: item.tag,
            digest: item.digest,
            pushed: item.pushed.map(Time::from),
            size_bytes: item.size_bytes,
        });
        Answer::TagDetails { items: items.collect(), next: text(self.next) }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::TagDetails { items, next } = answer else { return None };
        let items = items.into_iter().map(|item| TagDetail {
            tag: item.tag,
            digest: item.digest,
            pushed: item.pushed.and_then(Time::take),
            size_bytes: item.size_bytes,
        });
        Some(page(items.collect(), next))
    }
}

impl Carried for Authorization {
    fn give(self) -> Answer {
        Answer::Authorization {
            endpoint: self.endpoint,
            repository: self.repository,
            headers: self.headers.iter().map(|(name, value)| Header::new(name, value)).collect(),
            expires: self.expires.map(Time::from),
        }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Authorization { endpoint, repository, headers, expires } = answer else { return None };
        let headers = headers.into_iter().map(Header::take).collect::<Option<_>>()?;
        // A time that can't be said is as good as never.
        Some(Self { endpoint, repository, headers, expires: expires.and_then(Time::take) })
    }
}

impl Carried for Content {
    fn give(self) -> Answer {
        Answer::Content { media_type: self.media_type, bytes: self.bytes }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Content { media_type, bytes } = answer else { return None };
        Some(Self { media_type, bytes })
    }
}

impl Carried for BlobHandle {
    fn give(self) -> Answer {
        Answer::Blob { handle: self.0 }
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Blob { handle } = answer else { return None };
        Some(Self(handle))
    }
}

impl Carried for Bytes {
    fn give(self) -> Answer {
        Answer::Bytes(self)
    }

    fn take(answer: Answer) -> Option<Self> {
        let Answer::Bytes(bytes) = answer else { return None };
        Some(bytes)
    }
}

impl Carried for () {
    fn give(self) -> Answer {
        Answer::Closed
    }

    fn take(answer: Answer) -> Option<Self> {
        matches!(answer, Answer::Closed).then_some(())
    }
}

/// Takes an answer for each value that it may be. For fuzzing.
pub(crate) fn take_all(answer: &Answer) {
    drop(checked::<Validation>(answer.clone()));
    drop(checked::<Page<RepositoryName>>(answer.clone()));
    drop(checked::<Page<Tag>>(answer.clone()));
    drop(checked::<Page<TagDetail>>(answer.clone()));
    drop(checked::<Authorization>(answer.clone()));
    drop(checked::<Content>(answer.clone()));
    drop(checked::<BlobHandle>(answer.clone()));
    drop(checked::<Bytes>(answer.clone()));
    drop(checked::<()>(answer.clone()));
}

/// A driver's error.
#[derive(Serialize, Deserialize)]
pub(crate) struct Failure {
    class: u32,
    code: String,
    message: String,
    retry: Again,
    details: Vec<(String, String)>,
}

/// `Retry`.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Again {
    Never,
    Backoff,
    After(Duration),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            class: error.class().number(),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            retry: match error.retry() {
                Retry::Never => Again::Never,
                Retry::Backoff => Again::Backoff,
                Retry::After(time) => Again::After(time),
            },
            details: error.details.into_iter().collect(),
        }
    }
}

impl Failure {
    /// The error, with texts that are as long as an error's may be.
    pub(crate) fn take(self) -> Error {
        let mut error = Error::new(Class::from_number(self.class), self.code, self.message);
        error.details = self.details.into_iter().collect();
        let error = error.with_retry(match self.retry {
            Again::Never => Retry::Never,
            Again::Backoff => Retry::Backoff,
            Again::After(time) => Retry::After(time),
        });
        error.checked().unwrap_or_else(|error| error)
    }
}
