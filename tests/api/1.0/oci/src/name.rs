//! Repository names, tags and references (distribution-spec 1.1, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Rule};

/// The longest repository name that is accepted, in bytes. Registries cut at 255 with the host in front.
const MAX_REPOSITORY: usize = 255;
/// distribution-spec 1.1: a tag is at most 128 characters.
const MAX_TAG: usize = 128;

/// Implements the one door into a checked string type.
macro_rules! checked_text {
    ($type:ident, $check:path) => {
        impl $type {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = Error;
            fn from_str(s: &str) -> Result<Self, Error> {
                $check(s)?;
                Ok(Self(s.into()))
            }
        }
        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(s: String) -> Result<Self, Error> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0.into()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The name of a repository within its registry: `[a-z0-9]+([._-]…)*(/…)*`, at most 255 bytes.
///
/// The grammar leaves no room for traversal (`..`), upper case, empty components or encoded slashes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Box<str>);

checked_text!(RepositoryName, check_repository);

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);

checked_text!(Tag, check_tag);

impl Tag {
    /// `latest`, for a caller that has decided to default to it. No parser does.
    pub fn latest() -> Self {
        Self("latest".into())
    }
}

/// What a manifest is asked for by: a tag or a digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// A name that the registry may point elsewhere tomorrow.
    Tag(Tag),
    /// Content, for ever.
    Digest(Digest),
}

impl Reference {
    /// The digest, if it is one.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }

    /// The text as it stands in a `/manifests/` path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// A text with a `:` is a digest, one without is a tag: no tag may hold a colon.
    fn from_str(s: &str) -> Result<Self, Error> {
        if s.contains(':') { s.parse().map(Self::Digest) } else { s.parse().map(Self::Tag) }
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.as_str().to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A repository and what to take from it: `repository:tag`, `repository@digest`, `repository:tag@digest`.
///
/// With both given the digest decides and the tag is kept for display. A registry host is not part of it:
/// the connection says which registry.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    repository: RepositoryName,
    tag: Option<Tag>,
    reference: Reference,
}

impl ImageRef {
    /// This reference in this repository.
    pub fn new(repository: RepositoryName, reference: Reference) -> Self {
        let tag = match &reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(_) => None,
        };
        Self { repository, tag, reference }
    }

    /// Parses, taking the tag `latest` where there is neither tag nor digest.
    ///
    /// # Errors
    /// [`Error::Grammar`].
    pub fn parse_or_latest(s: &str) -> Result<Self, Error> {
        match s.parse() {
            Err(Error::Grammar { rule: Rule::NoReference, .. }) => {
                Ok(Self::new(s.parse()?, Reference::Tag(Tag::latest())))
            }
            other => other,
        }
    }

    /// Which repository.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// What to ask for: the digest when there is one.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The tag, also when a digest decides.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let (rest, digest) = match s.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (s, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse::<Tag>()?)),
            None => (rest, None),
        };
        let repository = repository.parse()?;
        let reference = match (digest, &tag) {
            (Some(digest), _) => Reference::Digest(digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => return Err(Error::grammar("image", s, Rule::NoReference)),
        };
        Ok(Self { repository, tag, reference })
    }
}

impl TryFrom<String> for ImageRef {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Reference::Digest(digest) = &self.reference {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn check_tag(s: &str) -> Result<(), Error> {
    let fail = |rule| Err(Error::grammar("tag", s, rule));
    if s.is_empty() {
        return fail(Rule::Empty);
    }
    if s.len() > MAX_TAG {
        return fail(Rule::TooLong(MAX_TAG));
    }
    let allowed =
        |i: usize, b: u8| b.is_ascii_alphanumeric() || b == b'_' || (i > 0 && matches!(b, b'.' | b'-'));
    match s.bytes().enumerate().find(|&(i, b)| !allowed(i, b)) {
        Some((i, _)) => fail(Rule::Character(i)),
        None => Ok(()),
    }
}

fn check_repository(s: &str) -> Result<(), Error> {
    let fail = |rule| Err(Error::grammar("repository name", s, rule));
    if s.is_empty() {
        return fail(Rule::Empty);
    }
    if s.len() > MAX_REPOSITORY {
        return fail(Rule::TooLong(MAX_REPOSITORY));
    }
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if let Some(i) = s.bytes().position(|b| !allowed(b)) {
        return fail(Rule::Character(i));
    }
    let mut start = 0;
    for component in s.split('/') {
        if !component_is_wellformed(component) {
            return fail(Rule::Component(start));
        }
        start += component.len() + 1;
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, the characters being checked already.
fn component_is_wellformed(component: &str) -> bool {
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    if component.is_empty() || component.starts_with(is_separator) || component.ends_with(is_separator) {
        return false;
    }
    component
        .split(|c: char| !is_separator(c))
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}
