//! Every place where a driver or the host may panic, native and loaded. A panic that gets through ends this process.

#![expect(clippy::panic, reason = "that is what is tested")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_executor::block_on;
use regent_plugin_api::testkit::Script;
use regent_plugin_api::transport::{BoxFuture, Class, Request, Response, Transport, TransportError};
use regent_plugin_api::{DynDriver, HostServices, LogLevel, PANICKED, PageRequest, Result};

use crate::{loaded, log_of, settings, start_and_drop};

type Connect<'a> = &'a dyn Fn(&str, Arc<Script>) -> Result<Arc<dyn DynDriver>>;

/// `place` marks what only a loaded driver knows, thanks to its own hook: where it happened.
fn panics_stay_in_their_call(connect: Connect<'_>, place: &str) {
    for (at, message) in [
        ("before-await", "a panic before the first await: None"),
        ("after-await", "a panic after an await"),
        ("payload", "a panic without a message"),
    ] {
        let host = Script::new().shared();
        let driver = connect(at, host.clone()).expect("it connects");
        let error = block_on(driver.validate()).expect_err("it panics");
        assert_eq!((error.code(), error.class()), (PANICKED, Class::Internal), "{at}");
        assert!(error.message().contains(message), "{at}: {}", error.message());
        assert!(error.message().contains(place), "{at}: {}", error.message());
        assert!(log_of(&host).contains(message), "{at}: {}", log_of(&host));
        assert!(block_on(driver.repositories(PageRequest::first())).is_ok(), "{at}: the next call works");
    }
}

fn panics_of_drops_are_logged(connect: Connect<'_>) {
    let host = Script::new().shared();
    let driver = connect("local-drop", host.clone()).expect("it connects");
    start_and_drop(driver.validate());
    assert!(log_of(&host).contains("a panic in a local's drop"), "{}", log_of(&host));
    assert!(block_on(driver.repositories(PageRequest::first())).is_ok());

    let host = Script::new().shared();
    let driver = connect("drop", host.clone()).expect("it connects");
    let call = driver.repositories(PageRequest::first());
    drop(driver);
    assert!(block_on(call).is_ok(), "a call outlives its session");
    assert!(log_of(&host).contains("a panic in the driver's own drop"), "{}", log_of(&host));
}

fn a_panic_in_connect_is_an_error(connect: Connect<'_>, place: &str) {
    let error = connect("connect", Script::new().shared()).err().expect("it panics");
    assert_eq!(error.code(), PANICKED);
    assert!(error.message().contains("a panic in connect"), "{}", error.message());
    assert!(error.message().contains(place), "{}", error.message());
}

#[test]
fn a_loaded_driver_can_panic_anywhere() {
    let library = loaded("fixture-panic");
    let connect = |place: &str, host: Arc<Script>| -> Result<Arc<dyn DynDriver>> {
        Ok(Arc::new(library.connect(&settings("fixture-panic", &[("where", place)]), host)?))
    };
    panics_stay_in_their_call(&connect, "src/lib.rs:");
    panics_of_drops_are_logged(&connect);
    a_panic_in_connect_is_an_error(&connect, "src/lib.rs:");

    let host = Script::new().shared();
    let driver = connect("thread", host.clone()).expect("it connects");
    let error = block_on(driver.validate()).expect_err("by design");
    assert!(error.message().contains("the thread ended well: false"), "{}", error.message());
    assert!(
        log_of(&host).contains("a thread of the driver panicked: a panic in a thread"),
        "{}",
        log_of(&host)
    );
}

#[test]
fn a_linked_driver_can_panic_anywhere() {
    let connect = |place: &str, host: Arc<Script>| -> Result<Arc<dyn DynDriver>> {
        fixture_panic::DRIVER.connect(settings("fixture-panic", &[("where", place)]), host)
    };
    panics_stay_in_their_call(&connect, "");
    panics_of_drops_are_logged(&connect);
    a_panic_in_connect_is_an_error(&connect, "");
}

/// A host all of whose services panic, and whose drop does.
struct Broken;

impl Transport for Broken {
    fn send(&self, _: Request) -> BoxFuture<'_, std::result::Result<Response, TransportError>> {
        Box::pin(async { panic!("the host's client") })
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        panic!("the host's timer")
    }

    fn now(&self) -> SystemTime {
        panic!("the host's clock")
    }

    fn jitter(&self) -> f64 {
        panic!("the host's dice")
    }
}

impl HostServices for Broken {
    fn log(&self, _: LogLevel, _: &str) {
        panic!("the host's log")
    }

    fn env(&self, _: &str) -> Option<String> {
        panic!("the host's environment")
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        panic!("the host's end")
    }
}

#[test]
fn a_panic_of_the_host_does_not_unwind_into_the_driver() {
    let library = loaded("fixture-echo");
    let values = [("registryBase", "registry.example.com"), ("repositories", "a"), ("tags", "x")];
    let session = library.connect(&settings("fixture-echo", &values), Arc::new(Broken)).expect("it connects");
    let error = block_on(session.validate()).expect_err("HTTP does not work");
    assert_eq!(error.code(), "connection_broken");
    assert!(error.message().contains("the host's client"), "{}", error.message());
    let repository = "a".parse().expect("a name");
    // Sleep, clock and log fail under these, and have something to fall back on.
    let page = block_on(session.tag_details(&repository, PageRequest::first())).expect("listed");
    assert!(page.items[0].pushed.is_some());
    drop(session);
}
