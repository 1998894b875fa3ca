//! The one policy for trying again: until when, and how long to wait between.

use std::future::Future;
use std::time::{Duration, SystemTime};

use crate::{Fault, Retry, Transport};

/// Waits that double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Where doubling stops.
    pub longest: Duration,
}

/// When trying again ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this many tries, the first included. 0 counts as 1.
    Tries(u32),
    /// When the next try would begin this long after the first one, or later.
    Elapsed(Duration),
}

/// What becomes of a pause that the other side asks for ([`Retry::After`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is kept, unless it is longer than this: then the error is returned, and its [`Fault::retry`] says when to come
    /// back. For a caller who waits.
    GiveUpBeyond(Duration),
    /// It is kept, but no longer than this. A header set by mistake, as to the seconds of a day, would else end at the
    /// first try what has a day's time.
    AtMost(Duration),
}

/// Exponential backoff with full jitter, on top of what the other side asks for.
///
/// It reads [`Fault::retry`] and nothing else. With full jitter a wait is a random part of the backoff, so that those who
/// failed together, or were all told to come back in a minute, do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// When it ends.
    pub until: Until,
    /// The longest wait after each failure.
    pub backoff: Backoff,
    /// What becomes of a pause that is asked for.
    pub pause: Pause,
}

impl Default for RetryPolicy {
    /// For a request: four tries within some seconds; with pauses of up to a minute if the registry asks for them.
    fn default() -> Self {
        Self {
            until: Until::Tries(4),
            backoff: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(10) },
            pause: Pause::GiveUpBeyond(Duration::from_mins(1)),
        }
    }
}

impl Backoff {
    /// After this many failures in a row; after none as after one.
    pub fn after(self, n_failures: u32) -> Duration {
        let doublings = n_failures.saturating_sub(1).min(20);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

impl RetryPolicy {
    /// One try.
    pub const fn never() -> Self {
        let none = Duration::ZERO;
        Self {
            until: Until::Tries(1),
            backoff: Backoff { first: none, longest: none },
            pause: Pause::GiveUpBeyond(none),
        }
    }

    /// How long to wait after this many tries, of which the last one failed with `retry`; `None` when that failure is to
    /// be returned. `elapsed` is since the first try began, `jitter` from 0 to 1.
    pub fn next(&self, n_tries: u32, elapsed: Duration, retry: Retry, jitter: f64) -> Option<Duration> {
        let asked = match (retry, self.pause) {
            (Retry::Never, _) => return None,
            (Retry::Backoff, _) => Duration::ZERO,
            (Retry::After(asked), Pause::GiveUpBeyond(longest)) if asked > longest => return None,
            (Retry::After(asked), Pause::GiveUpBeyond(_)) => asked,
            (Retry::After(asked), Pause::AtMost(longest)) => asked.min(longest),
        };
        let wait = asked.saturating_add(self.backoff.after(n_tries).mul_f64(jitter.clamp(0.0, 1.0)));
        let again = match self.until {
            Until::Tries(tries) => n_tries < tries,
            Until::Elapsed(time) => elapsed.saturating_add(wait) < time,
        };
        again.then_some(wait)
    }

    /// Runs an idempotent operation until it succeeds or the policy gives up. The operation is given the number of
    /// the try, from 1.
    ///
    /// # Errors
    /// The last error of the operation.
    pub async fn run<T, E, F, Fut>(&self, transport: &dyn Transport, mut operation: F) -> Result<T, E>
    where
        E: Fault,
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let begun = transport.now();
        let mut n_tries = 1;
        loop {
            let error = match operation(n_tries).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let elapsed = since(begun, transport);
            let Some(wait) = self.next(n_tries, elapsed, error.retry(), transport.jitter()) else {
                return Err(error);
            };
            transport.sleep(wait).await;
            n_tries = n_tries.saturating_add(1);
        }
    }
}

/// The time since then; none if the clock was set back.
fn since(then: SystemTime, transport: &dyn Transport) -> Duration {
    transport.now().duration_since(then).unwrap_or_default()
}
