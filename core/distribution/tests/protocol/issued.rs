//! Tokens from an issuer of a vendor's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join;
use regent_distribution::{Error, IssuedToken, IssuedTokens, Issuer, Scope, Session, Subject};
use regent_transport::{BoxFuture, Fault as _, Request};

use crate::script::{Pause, Script, endpoint, ok, reply, run};

/// Issues `t1`, `t2`, … which live 100 seconds; nothing at all beyond as many as it has.
#[derive(Clone)]
struct Desk {
    left: Arc<AtomicUsize>,
    issued: Arc<AtomicUsize>,
}

impl Issuer for Desk {
    fn issue(&self) -> BoxFuture<'_, Result<IssuedToken, Error>> {
        Box::pin(async {
            Pause::default().await; // whoever asks at the side does so now
            let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err() {
                return Err(Error::CredentialsRejected { host: "r.example".into(), registry_code: None });
            }
            let secret = format!("t{number}").into();
            Ok(IssuedToken { secret, life: Some(Duration::from_secs(100)) })
        })
    }
}

fn session(script: &Arc<Script>, tokens: usize) -> (Session, Desk) {
    let desk = Desk { left: Arc::new(AtomicUsize::new(tokens)), issued: Arc::default() };
    let authorizer = IssuedTokens::new(script.clone(), endpoint("r.example"), desk.clone());
    (Session::new(script.clone(), endpoint("r.example"), Arc::new(authorizer)), desk)
}

async fn ask(session: &Session) -> String {
    let request = Request::get(session.endpoint().below(["api"]));
    let answer = session.fetch(request, &Scope::none(), &Subject::Registry).await;
    answer.map_or_else(|error| error.code().to_owned(), |_| String::new())
}

#[test]
fn a_token_is_kept_until_nine_tenths_of_its_life_are_over() {
    let script = Script::new([ok("1"), ok("2"), ok("3")]);
    let (session, _) = session(&script, 9);
    assert_eq!(run(ask(&session)), "");
    script.pass(89);
    assert_eq!(run(ask(&session)), "");
    script.pass(1);
    assert_eq!(run(ask(&session)), "");
    let seen = script.seen();
    let sent: Vec<_> = seen.iter().map(|request| request.authorization().unwrap()).collect();
    assert_eq!(sent, ["Bearer t1", "Bearer t1", "Bearer t2"]);
}

#[test]
fn a_refused_token_is_renewed_once_and_then_a_right_is_missing() {
    let script = Script::new([reply(401), ok("1"), reply(401), reply(401)]);
    let (session, desk) = session(&script, 9);
    assert_eq!(run(ask(&session)), "");
    assert_eq!(run(ask(&session)), "permission_missing");
    assert_eq!(desk.issued.load(Ordering::Relaxed), 3);
    script.seen();
}

#[test]
fn requests_side_by_side_share_one_issue_and_its_failure() {
    let script = Script::new([ok("1"), ok("2")]);
    let (good, desk) = session(&script, 9);
    assert_eq!(run(join(ask(&good), ask(&good))), (String::new(), String::new()));
    assert_eq!(desk.issued.load(Ordering::Relaxed), 1);
    script.seen();

    let script = Script::new([]);
    let (bad, desk) = session(&script, 0);
    let refused = || "credentials_rejected".to_owned();
    assert_eq!(run(join(ask(&bad), ask(&bad))), (refused(), refused()));
    assert_eq!(desk.issued.load(Ordering::Relaxed), 1);
}
