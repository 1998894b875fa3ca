//! The tokens of one credential, and one request for each at a time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::lock::Mutex as AsyncMutex;
use http::HeaderValue;
use secrecy::ExposeSecret;

use crate::error::Error;
use crate::scope::Scope;
use crate::token::{Token, TokenService};

/// The most tokens that are kept: a registry with more repositories in use at once pays with token requests.
const MAX_TOKENS: usize = 1024;

/// What a token is kept under. Never the host alone: two repositories are two tokens.
type Key = (TokenService, Scope);

/// Tokens of **one** credential; sharing a cache between credentials would share their rights.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    // A std lock: it is held for a look-up, never over an await.
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// What a token must not be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stale<'a> {
    /// Any that has not passed its time for renewal will do.
    Nothing,
    /// Nothing that is at hand will do.
    Any,
    /// Not the one in this `Authorization` header.
    This(Option<&'a HeaderValue>),
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts finished requests, so that who waited for one can tell.
    finished: AtomicU64,
    // An async lock, held over the token request: who comes second waits for it and takes its outcome.
    state: AsyncMutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    failed: Option<Error>,
}

impl TokenCache {
    /// The token for this service and scope; `request` is called, with the scopes to ask for, if there is none that
    /// will do. `challenged` are scopes that the registry asked for beyond the request's own.
    ///
    /// Callers side by side make one request and share its outcome, a failure too: a hundred requests with a wrong
    /// password must not become a hundred failed logins. Dropping the future lets the next one make the request.
    pub(crate) async fn token<F, Fut>(
        &self,
        service: &TokenService,
        scope: &Scope,
        challenged: &str,
        stale: Stale<'_>,
        now: SystemTime,
        request: F,
    ) -> Result<Token, Error>
    where
        F: FnOnce(Scope) -> Fut,
        Fut: Future<Output = Result<Token, Error>>,
    {
        let slot = self.slot((service.clone(), scope.clone()), now);
        let finished_before = slot.finished.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        let waited = slot.finished.load(Ordering::Acquire) != finished_before;
        if waited && let Some(error) = &state.failed {
            return Err(error.clone());
        }
        // What was asked for last time is asked for again: the registry's challenge said that it is needed.
        let asked_before = state.token.as_ref().map_or(scope, |token| &token.asked);
        let wanted = asked_before.with_challenged(challenged);
        if let Some(token) = &state.token
            && token.asked == wanted
            && now < token.renew_at
            && (waited || !stale.covers(token))
        {
            return Ok(token.clone());
        }
        let outcome = request(wanted).await;
        match &outcome {
            Ok(token) => *state = State { token: Some(token.clone()), failed: None },
            Err(error) => state.failed = Some(error.clone()),
        }
        slot.finished.fetch_add(1, Ordering::Release);
        outcome
    }

    fn slot(&self, key: Key, now: SystemTime) -> Arc<Slot> {
        // A panic while it was held can't have left the map half changed.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_TOKENS && !slots.contains_key(&key) {
            slots.retain(|_, slot| slot.is_in_use(now));
            if slots.len() >= MAX_TOKENS {
                slots.clear(); // callers keep their own hold on a slot
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

impl Stale<'_> {
    fn covers(self, token: &Token) -> bool {
        match self {
            Self::Nothing => false,
            Self::Any => true,
            Self::This(sent) => {
                let sent = sent.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                sent == Some(token.secret.expose_secret().as_bytes())
            }
        }
    }
}

impl Slot {
    fn is_in_use(&self, now: SystemTime) -> bool {
        self.state.try_lock().is_none_or(|state| state.token.as_ref().is_some_and(|t| now < t.renew_at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use futures_util::FutureExt as _;

    use super::*;

    fn service() -> TokenService {
        TokenService { realm: "https://h/token".parse().unwrap(), service: None }
    }

    fn token(asked: Scope, now: SystemTime) -> Token {
        Token {
            secret: "t".to_owned().into(),
            asked,
            renew_at: now + Duration::from_secs(54),
            expires: now + Duration::from_mins(1),
        }
    }

    #[test]
    fn the_cache_is_bounded_and_lets_go_of_what_has_expired() {
        let cache = TokenCache::default();
        let get = |i: usize, now: SystemTime| {
            let scope = Scope::of([format!("repository:x{i}:pull")]);
            let request = |asked| async move { Ok(token(asked, now)) };
            let service = service();
            let token = cache.token(&service, &scope, "", Stale::Nothing, now, request);
            token.now_or_never().unwrap().unwrap();
        };
        for i in 0..MAX_TOKENS {
            get(i, UNIX_EPOCH);
        }
        get(MAX_TOKENS, UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(cache.slots.lock().unwrap().len(), 1);
        for i in 0..3 * MAX_TOKENS {
            get(i, UNIX_EPOCH);
            assert!(cache.slots.lock().unwrap().len() <= MAX_TOKENS);
        }
    }
}
