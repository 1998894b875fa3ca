//! A vendor at work.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::internet::Site;
use super::message::{Answer, Received, json as answer_json, text};
use super::operation::{self, Operation, PathValues, Violation};

/// How a vendor answers requests that have the right form.
pub trait Vendor: Send + 'static {
    /// What it takes.
    fn operations(&self) -> Vec<Operation>;

    /// Its answer to a request for one of its operations.
    ///
    /// # Errors
    /// [`Violation`], for a rule that the table has no words for.
    fn answer(&mut self, operation: &str, path: &PathValues, request: &Received)
    -> Result<Answer, Violation>;

    /// How it says that there were too many requests: with a wait of a second.
    fn rate_limited(&self, request: &Received) -> Answer;

    /// How it refuses a request for its form.
    fn refusal(&self, violation: &Violation) -> Answer {
        answer_json(violation.status, &json!({ "message": "a message" }))
    }
}

/// A vendor's emulator. Clones are the same one; when the last is dropped, a test with violations fails.
pub struct Emulator<V: Vendor>(Arc<Inner<V>>);

struct Inner<V: Vendor> {
    table: Vec<Operation>,
    vendor: Mutex<V>,
    desk: Arc<Desk>,
}

impl<V: Vendor> Clone for Emulator<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V: Vendor> fmt::Debug for Emulator<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("desk", &self.0.desk).finish_non_exhaustive()
    }
}

impl<V: Vendor> Emulator<V> {
    /// A vendor that is open for requests.
    pub fn new(vendor: V) -> Self {
        let (table, vendor) = (vendor.operations(), Mutex::new(vendor));
        Self(Arc::new(Inner { table, vendor, desk: Arc::default() }))
    }

    /// Looks at or changes the vendor's state.
    pub fn with<R>(&self, look: impl FnOnce(&mut V) -> R) -> R {
        look(&mut lock(&self.0.vendor))
    }

    /// Its log and its moods.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.0.desk
    }

    /// What it takes.
    pub fn table(&self) -> &[Operation] {
        &self.0.table
    }
}

impl<V: Vendor> Site for Emulator<V> {
    fn hosts(&self) -> BTreeSet<String> {
        self.0.table.iter().map(|operation| operation.host.to_owned()).collect()
    }

    fn answer(&self, request: &Received) -> Answer {
        let found = operation::find(&self.0.table, request);
        let id = found.as_ref().ok().map(|(operation, _)| operation.id);
        match self.0.desk.receive(request, id) {
            Mood::Open => {}
            Mood::Limited => return lock(&self.0.vendor).rate_limited(request),
            Mood::Out => return text(503, "text/html", "<html>Service Unavailable</html>"),
        }
        let mut vendor = lock(&self.0.vendor);
        let answer = found.and_then(|(operation, path)| vendor.answer(operation.id, &path, request));
        answer.unwrap_or_else(|violation| {
            self.0.desk.violated(request, &violation);
            vendor.refusal(&violation)
        })
    }
}

impl<V: Vendor> Drop for Inner<V> {
    fn drop(&mut self) {
        let violations = self.desk.violations();
        if !std::thread::panicking() {
            assert!(
                violations.is_empty(),
                "requests that the vendor would refuse:\n{}",
                violations.join("\n")
            );
        }
    }
}

/// Where requests to an emulator are counted, and sometimes turned away.
#[derive(Debug, Default)]
pub struct Desk(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    requests: Vec<Logged>,
    violations: Vec<String>,
    to_limit: usize,
    is_out: bool,
}

/// A request in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Method and URL.
    pub line: String,
    /// The operation it was for, if any.
    pub operation: Option<&'static str>,
}

enum Mood {
    Open,
    Limited,
    Out,
}

impl Desk {
    /// Answers so many of the next requests with the vendor's word for too many.
    pub fn limit(&self, requests: usize) {
        lock(&self.0).to_limit = requests;
    }

    /// Answers everything with 503 until further notice.
    pub fn outage(&self, is_out: bool) {
        lock(&self.0).is_out = is_out;
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.0).requests.clone()
    }

    /// How many requests there were so far for one of these operations.
    pub fn count(&self, operations: &[&str]) -> usize {
        let book = lock(&self.0);
        book.requests.iter().filter(|r| r.operation.is_some_and(|id| operations.contains(&id))).count()
    }

    /// The requests so far that the vendor would refuse for their form.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.0).violations.clone()
    }

    /// Takes the violations out: for who has made them on purpose.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0).violations)
    }

    fn receive(&self, request: &Received, operation: Option<&'static str>) -> Mood {
        let mut book = lock(&self.0);
        book.requests.push(Logged { line: request.line(), operation });
        if book.is_out {
            return Mood::Out;
        }
        if book.to_limit > 0 {
            book.to_limit -= 1;
            return Mood::Limited;
        }
        Mood::Open
    }

    fn violated(&self, request: &Received, violation: &Violation) {
        lock(&self.0).violations.push(format!("{}: {}", request.line(), violation.rule));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A failed assertion of one test thread is that test's failure, not this one's.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
