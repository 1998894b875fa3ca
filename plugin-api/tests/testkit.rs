//! The test kit finds what it is there to find.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::http::{HeaderValue, StatusCode};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::testkit::{Exchange, Script, contract};
use regent_plugin_api::transport::{Class, Request, Transport, collect};
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, HostServices, Outcome, Page, PageRequest,
    Result, Settings, Validation,
};

/// A driver with one fault, named by its connection type.
struct Faulty {
    fault: String,
    served: AtomicUsize,
    held: Mutex<bool>,
}

mod export {
    regent_plugin_api::export_driver! {
        super::Faulty, name: "faulty", summary: "Has one fault", types: ["faulty"],
    }
}

impl Faulty {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }
}

impl Driver for Faulty {
    fn connect(settings: Settings, _: Host) -> Result<Self> {
        let fault = settings.registry_type().to_owned();
        Ok(Self { fault, served: AtomicUsize::new(0), held: Mutex::new(false) })
    }

    async fn validate(&self) -> Result<Validation> {
        if self.is("held") {
            // A mark that a dropped call leaves behind.
            let taken = std::mem::replace(&mut *self.held.lock().expect("not poisoned"), true);
            if taken {
                return Err(Error::new(Class::Internal, "busy", "still busy"));
            }
            std::future::pending::<()>().await;
        }
        if self.is("code") {
            return Err(Error::new(Class::Internal, "Bad Code", "x"));
        }
        let detail = if self.is("silent") { "" } else { "give it the role reader" };
        let check = Check { name: "list".into(), outcome: Outcome::Denied, detail: detail.into() };
        let checks = if self.is("blind") { Vec::new() } else { vec![check] };
        Ok(Validation { registry: "r".into(), checks })
    }

    async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
        Ok(Page::only(vec!["a".parse().expect("a name")]))
    }

    async fn tags(&self, _: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let all = ["1", "2", "3", "4"].map(|tag| tag.parse::<Tag>().expect("a tag"));
        let mut start = page.after.map_or(0, |Cursor(c)| c.parse().expect("ours"));
        if self.is("stateful") && start > 0 {
            start = self.served.fetch_add(1, Ordering::Relaxed) % 4;
        }
        let size = if self.is("lossy") && page.size == 1 { 2 } else { page.size as usize };
        let shown = if self.is("lossy") && page.size == 1 { 1 } else { size };
        let items: Vec<Tag> = all.iter().skip(start).take(shown).cloned().collect();
        let end = start + size;
        let next = match self.fault.as_str() {
            "endless" => Some(Cursor((end + 1).to_string())),
            "circular" => Some(Cursor((end % 4).to_string())),
            _ => (end < 4).then(|| Cursor(end.to_string())),
        };
        let items = if self.is("double") { items.iter().chain(&items).cloned().collect() } else { items };
        Ok(Page { items, next })
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let mut token = HeaderValue::from_static("Bearer x");
        token.set_sensitive(!self.is("unmarked"));
        Ok(Authorization {
            endpoint: "https://r/".parse().expect("a URL"),
            repository: access.repository,
            headers: vec![(AUTHORIZATION, token)],
            expires: None,
        })
    }
}

#[test]
fn each_fault_is_found() {
    let rows = [
        ("held", "validate fails: still busy"),
        ("code", "lower case and underscores only"),
        ("silent", "does not say why"),
        ("blind", "looks at nothing"),
        ("stateful", "cursor"),
        ("lossy", "lists other items"),
        ("endless", "does not end"),
        ("circular", "comes back to cursor"),
        ("double", "twice"),
        ("unmarked", "without the mark for secrets"),
    ];
    for (fault, sentence) in rows {
        let settings = Settings::new(fault, [], false);
        let driver = export::DRIVER.connect(settings, Script::new().shared()).expect("it connects");
        let breaches = block_on(contract(&*driver, &export::DRIVER.description())).join("\n");
        assert!(breaches.contains(sentence), "{fault}: {breaches}");
    }
    let driver = export::DRIVER.connect(Settings::new("none", [], false), Script::new().shared());
    let breaches = block_on(contract(&*driver.expect("it connects"), &export::DRIVER.description()));
    assert!(breaches.is_empty(), "{breaches:?}");
}

fn get(url: &str) -> Request {
    Request::get(url.parse().expect("a URL"))
}

#[test]
fn a_script_answers_what_it_expects_in_order() {
    let host = Script::new()
        .then(Exchange::get("https://r/a?x=1&y=2").answer(StatusCode::CREATED, "first"))
        .then(Exchange::get("https://r/b").with_secret_header(AUTHORIZATION, "s").expect("a header"))
        .variable("NAME", "value");
    let first = block_on(host.send(get("https://r/a?y=2&x=1"))).expect("expected");
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(&*block_on(collect(first.body)).expect("whole"), b"first");
    let second = get("https://r/b").secret_header(AUTHORIZATION, "s").expect("a header");
    block_on(host.send(second)).expect("expected");
    block_on(host.sleep(Duration::from_mins(1)));
    assert_eq!(host.slept(), Duration::from_mins(1));
    assert_eq!(host.env("NAME").as_deref(), Some("value"));
    assert_eq!(host.env("OTHER"), None);
    assert_eq!(host.requests().len(), 2);
    host.assert_finished();
}

#[test]
fn a_request_off_the_script_fails_and_is_told_at_the_end() {
    let expected = || Exchange::get("https://r/a").without_header(AUTHORIZATION);
    let secret = |exchange: Exchange| exchange.with_secret_header(AUTHORIZATION, "s").expect("a header");
    let plain = HeaderValue::from_static("s");
    let rows = [
        ("another path", expected(), get("https://r/b")),
        ("another query", expected(), get("https://r/a?x=1")),
        ("another host", expected(), get("https://other/a")),
        ("a header too many", expected(), get("https://r/a").header(AUTHORIZATION, plain.clone())),
        ("no header", secret(Exchange::get("https://r/a")), get("https://r/a")),
        ("no mark", secret(Exchange::get("https://r/a")), get("https://r/a").header(AUTHORIZATION, plain)),
        ("another body", Exchange::get("https://r/a").with_body("x"), get("https://r/a")),
    ];
    for (name, exchange, request) in rows {
        let host = Script::new().then(exchange);
        assert!(block_on(host.send(request)).is_err(), "{name}");
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.assert_finished()));
        assert!(told.is_err(), "{name}");
    }
    let unsent = Script::new().then(expected());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unsent.assert_finished())).is_err());
}
