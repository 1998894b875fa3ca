//! The contract suite finds what it is there to find.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_executor::block_on;
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::http::{HeaderValue, StatusCode};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::secrecy::ExposeSecret as _;
use regent_plugin_api::testkit::{Exchange, Script, Suite};
use regent_plugin_api::transport::{Class, Fault as _, Request, Retry, collect};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, LogLevel, Page, PageRequest, Result, Settings,
    Validation,
};

/// Hosts that a driver does not let go of.
static KEPT: Mutex<Vec<Host>> = Mutex::new(Vec::new());

/// A driver with one fault, named by a setting.
struct Faulty {
    host: Host,
    fault: String,
    password: String,
    busy: AtomicBool,
    stuck: AtomicBool,
    token: Mutex<Option<SystemTime>>,
}

mod export {
    regent_plugin_api::export_driver! {
        super::Faulty, name: "faulty", summary: "Has one fault", types: ["faulty"],
        settings: [
            { name: "registryBase", required: true, secret: false, help: "host" },
            { name: "fault", required: false, secret: false, help: "which" },
            { name: "password", required: true, secret: true, help: "password" },
        ],
    }
}

mod wide {
    regent_plugin_api::export_driver! {
        super::Faulty, name: "faulty-wide", summary: "Declares too much", types: ["faulty"],
        settings: [
            { name: "registryBase", required: true, secret: false, help: "host" },
            { name: "fault", required: false, secret: false, help: "which" },
            { name: "password", required: true, secret: true, help: "password" },
        ],
        egress: ["elsewhere.example.com"],
    }
}

/// Ends a call, also one that is dropped.
struct Free<'a>(&'a AtomicBool);

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Faulty {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    async fn send(&self, path: &str) -> Result<(StatusCode, String)> {
        let registry = if self.is("wandering") { "other.example.com" } else { "r.example.com" };
        let url = format!("https://{registry}/{path}").parse().expect("a URL");
        let call = self.host.http(Request::get(url));
        let response = if self.is("blocking") { block_on(call) } else { call.await };
        let response = response.map_err(|error| match self.fault.as_str() {
            "confused" => Error::bad_answer("something is wrong"),
            _ => Error::new(error.class(), "transport_failed", "no answer was had"),
        })?;
        let body = collect(response.body).await?;
        Ok((response.status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn lines(&self, path: &str) -> Result<Vec<String>> {
        if self.busy.swap(true, Ordering::SeqCst) && self.is("exclusive") {
            return Err(Error::new(Class::Unavailable, "busy", "another call is under way"));
        }
        let _free = Free(&self.busy);
        let mut asked = self.send(path).await;
        while self.is("hasty") && asked.as_ref().is_ok_and(|(status, _)| status.as_u16() == 429) {
            asked = self.send(path).await;
        }
        let (status, body) = asked?;
        assert!(!self.is("panicking") || status.is_success(), "there is no such page");
        match status.as_u16() {
            200 if !body.starts_with('<') => Ok(body.lines().map(str::to_owned).collect()),
            _ if self.is("blind") => Ok(Vec::new()),
            200 if self.is("chatty") => Err(Error::bad_answer(body)),
            401 if self.is("indiscreet") => {
                Err(Error::credentials_rejected(format!("not {}", self.password)))
            }
            401 => Err(Error::credentials_rejected("the password is wrong")),
            403 => Err(Error::permission_missing("grant the role reader")),
            404 => Err(Error::not_found("there is no such repository")),
            429 => {
                let error = Error::new(Class::Throttled, "throttled", "asked too often");
                let pause = Retry::After(Duration::from_secs(7));
                Err(if self.is("forgetful") { error } else { error.with_retry(pause) })
            }
            503 => Err(Error::new(Class::Unavailable, "unavailable", "the registry is down")),
            status => Err(Error::bad_answer(format!("status {status}"))),
        }
    }
}

impl Driver for Faulty {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let fault = settings.text("fault").unwrap_or_default().to_owned();
        settings.required_text("registryBase")?;
        let password = match settings.password() {
            Some(password) => password.expose_secret().to_owned(),
            None if fault == "lax" => String::new(),
            None => return Err(Error::invalid_setting("password", "is missing")),
        };
        match fault.as_str() {
            "loud" => host.log(LogLevel::Info, format_args!("the password is {password}")),
            "lingering" => KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(host.clone()),
            _ => {}
        }
        let (busy, stuck) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { host, fault, password, busy, stuck, token: Mutex::default() })
    }

    async fn validate(&self) -> Result<Validation> {
        self.lines("repositories").await?;
        let checks = vec![Check::passed(Check::LIST, "it lists")];
        Ok(Validation { registry: "r.example.com".into(), checks })
    }

    async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
        let lines = self.lines("repositories").await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
        let lines = self.lines("tags").await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let now = self.host.now();
        let known = *self.token.lock().expect("not poisoned");
        let known =
            known.filter(|end| self.is("stale") || *end > now && (self.is("cached") || !access.renew));
        if known.is_none() {
            self.lines("token").await?;
        }
        if self.is("sticky") {
            if self.stuck.swap(true, Ordering::SeqCst) {
                return Err(Error::new(Class::Unavailable, "busy", "another call is under way"));
            }
            self.lines("token").await?;
            self.stuck.store(false, Ordering::SeqCst);
        }
        let expires = known.or_else(|| now.checked_add(Duration::from_mins(5)));
        *self.token.lock().expect("not poisoned") = expires;
        let mut token = HeaderValue::from_static("Bearer x");
        token.set_sensitive(true);
        Ok(Authorization {
            endpoint: "https://r.example.com/".parse().expect("a URL"),
            repository: access.repository,
            headers: vec![(AUTHORIZATION, token)],
            expires,
        })
    }
}

fn registry() -> Script {
    let at = |path: &str, body: &'static str| {
        Exchange::get(&format!("https://r.example.com/{path}")).answer(StatusCode::OK, body)
    };
    Script::new()
        .always(at("repositories", "team/app"))
        .always(at("tags", "1.0\nlatest"))
        .always(at("token", "x"))
}

fn breaches(fault: &str, patience: Duration) -> String {
    let settings = [("registryBase", "r.example.com"), ("fault", fault), ("password", "s3cr3t")];
    Suite::new(export::DRIVER, &settings, registry).patience(patience).linked().join("\n")
}

#[test]
fn each_fault_is_found_and_none_where_there_is_none() {
    assert_eq!(breaches("none", Duration::from_secs(30)), "");
    let rows = [
        ("lax", "without password, which is required"),
        ("blind", "lists as if nothing were wrong"),
        ("confused", "tags at no connection has an error of class Corrupt"),
        ("chatty", "the registry's own words"),
        ("indiscreet", "a secret in its error"),
        ("panicking", "panics: "),
        ("hasty", "goes on at once where the registry asked for a pause"),
        ("forgetful", "does not tell how long a pause"),
        ("cached", "answers from its cache"),
        ("stale", "that have run out since"),
        ("sticky", "authorize does not work after one was dropped at its await"),
        ("exclusive", "when other calls run beside it"),
        ("wandering", "other.example.com:443 is neither the registry nor"),
        ("loud", "a secret is in the log"),
        ("lingering", "keeps its host when it has ended"),
    ];
    for (fault, sentence) in rows {
        let found = breaches(fault, Duration::from_secs(30));
        assert!(found.contains(sentence), "{fault}: {found}");
    }
}

#[test]
fn a_driver_that_blocks_its_thread_is_told_from_one_that_waits() {
    let found = breaches("blocking", Duration::from_millis(200));
    assert!(found.contains("the driver blocks its thread"), "{found}");
}

#[test]
fn what_is_declared_and_not_used_is_named() {
    let settings = [("registryBase", "r.example.com"), ("password", "s3cr3t")];
    let found = Suite::new(wide::DRIVER, &settings, registry).linked();
    assert_eq!(
        found,
        ["the egress elsewhere.example.com is declared, and no request of the suite goes there"]
    );
}

#[test]
fn a_connection_that_is_not_in_the_description_is_named() {
    let settings = [("registryBase", "r.example.com"), ("password", "s3cr3t"), ("team", "x")];
    let found = Suite::new(export::DRIVER, &settings, registry).linked();
    assert_eq!(found, ["the description has no setting team, which this connection uses"]);
}
