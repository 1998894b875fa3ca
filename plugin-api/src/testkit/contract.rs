//! What every driver has to keep to.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::task::{Context, Waker};

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use regent_oci::{Reference, RepositoryName, Tag};
use regent_transport::{BoxFuture, Class};

use crate::description::Description;
use crate::driver::{Access, Cursor, Outcome, Page, PageRequest, TagDetail};
use crate::dyn_driver::DynDriver;
use crate::error::{Error, Result};
use crate::guard::PANICKED;

/// More pages than a test's listing has.
const MAX_PAGES: usize = 1000;

/// Runs the checks that every connected driver has to pass, and returns what it broke, one sentence each.
///
/// The connection has to work: the host behind it should hold at least one repository with a tag, and answer in any
/// order ([`Script::always`](super::Script::always)); pages of 1000 and of 1 are asked for. Checked are
/// - validation: something is looked at, by distinct names, and whatever did not pass says what to do;
/// - listings: they end, pages of any size give the same items, none twice, and a cursor means the same when it is
///   used again (the driver keeps no place in its memory);
/// - authorizations: for the endpoint and repository, with secrets marked as sensitive;
/// - errors: a code of lower case letters, a sentence, no panic;
/// - calls: any one may be dropped after its first poll, and the next works.
pub async fn contract(driver: &dyn DynDriver, description: &Description) -> Vec<String> {
    let mut breaches = Breaches(Vec::new());
    start(driver.validate());
    start(driver.repositories(WHOLE));
    breaches.validation(driver).await;
    let repositories = breaches.listing("repositories", &|page| driver.repositories(page)).await;
    for repository in repositories.iter().take(2) {
        breaches.repository(driver, description, repository).await;
    }
    breaches.0
}

/// Starts a call and drops it. What this breaks shows in the checks that follow.
fn start<T>(mut call: BoxFuture<'static, T>) {
    let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// A page larger than any listing of a test.
const WHOLE: PageRequest = PageRequest { size: 1000, after: None };

struct Breaches(Vec<String>);

impl Breaches {
    fn say(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    fn error(&mut self, call: &str, error: &Error) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if error.code() == PANICKED {
            self.say(format!("{call} panicked: {}", error.message()));
        } else if error.code().is_empty() || !error.code().bytes().all(plain) {
            self.say(format!(
                "{call} has the error code {:?}: lower case and underscores only",
                error.code()
            ));
        }
        if error.message().trim().is_empty() {
            self.say(format!("{call} has an error without a message"));
        }
    }

    async fn validation(&mut self, driver: &dyn DynDriver) {
        let validation = match driver.validate().await {
            Ok(validation) => validation,
            Err(error) => {
                self.error("validate", &error);
                return self.say(format!("validate fails: {}", error.message()));
            }
        };
        if validation.registry.trim().is_empty() {
            self.say("validate names no registry");
        }
        if validation.checks.is_empty() {
            self.say("validate looks at nothing");
        }
        let mut names = HashSet::new();
        for check in &validation.checks {
            if check.name.is_empty() || !names.insert(&check.name) {
                self.say(format!("validate has a check {:?} without a name of its own", check.name));
            }
            if check.outcome != Outcome::Passed && check.detail.trim().is_empty() {
                self.say(format!("check {:?} did not pass and does not say why", check.name));
            }
        }
    }

    async fn repository(&mut self, driver: &dyn DynDriver, about: &Description, repository: &RepositoryName) {
        start(driver.tags(repository, WHOLE));
        start(driver.tag_details(repository, WHOLE));
        start(driver.authorize(Access { repository: repository.clone(), renew: false }));
        let tags: Vec<Tag> = self.listing("tags", &|page| driver.tags(repository, page)).await;
        let details: Vec<TagDetail> = match driver.tag_details(repository, WHOLE).await {
            Err(error) if error.class() == Class::Unsupported => Vec::new(),
            _ => self.listing("tag_details", &|page| driver.tag_details(repository, page)).await,
        };
        let detailed: HashSet<_> = details.iter().map(|detail| &detail.tag).collect();
        if !details.is_empty() && detailed != tags.iter().collect() {
            self.say(format!("tag_details and tags of {repository} list different tags"));
        }
        self.authorization(driver, about, repository).await;
        if let (true, Some(tag)) = (about.serves_content(), tags.first()) {
            match driver.manifest(repository, &Reference::Tag(tag.clone())).await {
                Ok(content) if content.bytes.is_empty() => self.say(format!("manifest of {tag} is empty")),
                Ok(_) => {}
                Err(error) => {
                    self.error("manifest", &error);
                    self.say(format!("manifest of a listed tag fails: {}", error.message()));
                }
            }
        }
    }

    async fn authorization(&mut self, driver: &dyn DynDriver, about: &Description, name: &RepositoryName) {
        for renew in [false, true] {
            let authorization = match driver.authorize(Access { repository: name.clone(), renew }).await {
                Ok(authorization) => authorization,
                Err(error) if about.serves_content() && error.class() == Class::Unsupported => return,
                Err(error) => {
                    self.error("authorize", &error);
                    return self.say(format!("authorize of a listed repository fails: {}", error.message()));
                }
            };
            for (header, value) in &authorization.headers {
                let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(header);
                if secret && !value.is_sensitive() {
                    self.say(format!("authorize gives {header} without the mark for secrets"));
                }
            }
        }
    }

    /// Walks a listing in several ways.
    async fn listing<T, K: Item<Key = T>>(&mut self, call: &str, fetch: &Fetch<'_, K>) -> Vec<K>
    where
        T: Eq + Hash + Debug,
    {
        let Some((whole, _)) = self.walk(call, WHOLE.size, fetch).await else { return Vec::new() };
        let mut keys = HashSet::new();
        for item in &whole {
            if !keys.insert(item.key()) {
                self.say(format!("{call} lists {:?} twice", item.key()));
            }
        }
        let Some((small, cursors)) = self.walk(call, 1, fetch).await else { return whole };
        if !small.iter().map(Item::key).eq(whole.iter().map(Item::key)) {
            self.say(format!("{call} lists other items with pages of one than with pages of 1000"));
        }
        // From the last cursor back to the first: a place kept in memory would be elsewhere by now.
        for (cursor, expected) in cursors.iter().rev().take(5) {
            match fetch(PageRequest { size: 1, after: Some(cursor.clone()) }).await {
                Ok(page) if page.items.first().map(Item::key) == *expected => {}
                _ => self.say(format!("{call} gives another page when cursor {:?} is used again", cursor.0)),
            }
        }
        whole
    }

    /// All items, and each cursor with the item that came first after it.
    async fn walk<K: Item>(&mut self, call: &str, size: u32, fetch: &Fetch<'_, K>) -> Option<Walk<K>> {
        let (mut items, mut cursors, mut after) = (Vec::new(), Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = match fetch(PageRequest { size, after: after.clone() }).await {
                Ok(page) => page,
                Err(error) => {
                    self.error(call, &error);
                    if error.class() != Class::Unsupported || after.is_some() {
                        self.say(format!("{call} fails: {}", error.message()));
                    }
                    return None;
                }
            };
            if let Some(cursor) = after {
                cursors.push((cursor, page.items.first().map(Item::key)));
            }
            items.extend(page.items);
            after = page.next;
            let Some(next) = &after else { return Some((items, cursors)) };
            if cursors.iter().any(|(seen, _)| seen == next) {
                self.say(format!("{call} comes back to cursor {:?}", next.0));
                return None;
            }
        }
        self.say(format!("{call} does not end within {MAX_PAGES} pages"));
        None
    }
}

type Fetch<'a, K> = dyn Fn(PageRequest) -> BoxFuture<'static, Result<Page<K>>> + Sync + 'a;
type Walk<K> = (Vec<K>, Vec<(Cursor, Option<<K as Item>::Key>)>);

/// What is listed; two are the same when their keys are.
trait Item: Send {
    type Key: Eq + Hash + Debug + Send;
    fn key(&self) -> Self::Key;
}

impl Item for RepositoryName {
    type Key = Self;
    fn key(&self) -> Self {
        self.clone()
    }
}

impl Item for Tag {
    type Key = Self;
    fn key(&self) -> Self {
        self.clone()
    }
}

impl Item for TagDetail {
    type Key = Tag;
    fn key(&self) -> Tag {
        self.tag.clone()
    }
}
