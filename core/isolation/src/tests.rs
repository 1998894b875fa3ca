//! A driver behind the connection, in a thread of this process: it answers as one that is called directly.

use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use regent_plugin_api::testkit::{Exchange, Script, Suite};
use regent_plugin_api::{DynDriver, HostServices, LogLevel, PageRequest, Result as CallResult, Settings};
use regent_transport::{BoxFuture, Request, Response, Transport, TransportError};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::frame::{Frame, Frames};
use crate::message::{ToAgent, ToDriver};
use crate::{Broken, Connect, Link, MAX_FRAME_BYTES, Within, read_from_a_driver, serve};

const SETTINGS: [(&str, &str); 5] = [
    ("registryBase", "registry.example"),
    ("token", "s3cr3t"),
    ("repositories", "team/app"),
    ("tags", "1.0"),
    ("farewell", "goodbye"),
];

fn settings() -> Settings {
    let values = SETTINGS.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    Settings::new("fixture-echo", values, false)
}

fn registry() -> Script {
    let token = Exchange::get("https://registry.example/v2/")
        .with_secret_header(http::header::AUTHORIZATION, "Bearer s3cr3t")
        .unwrap();
    Script::new().always(token.answer(http::StatusCode::OK, "{}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The host that the session is for which is opened now.
static STAGE: Mutex<Option<Weak<dyn HostServices>>> = Mutex::new(None);

/// Sessions are opened one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// What comes over the connection, but for time: it is the test's, which moves it.
struct Timed {
    host: Arc<dyn HostServices>,
    stage: Weak<dyn HostServices>,
}

impl Transport for Timed {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.host.send(request)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self.stage.upgrade() {
                Some(stage) => stage.sleep(duration).await,
                None => self.host.sleep(duration).await,
            }
        })
    }

    fn now(&self) -> SystemTime {
        self.stage.upgrade().map_or_else(|| self.host.now(), |stage| stage.now())
    }

    fn jitter(&self) -> f64 {
        self.host.jitter()
    }
}

impl HostServices for Timed {
    fn log(&self, level: LogLevel, message: &str) {
        self.host.log(level, message);
    }

    fn env(&self, name: &str) -> Option<String> {
        self.host.env(name)
    }
}

fn echo() -> Link {
    ends(Link::default(), || {
        Ok(Box::new(|settings, host| {
            let stage = STAGE.lock().unwrap().clone().unwrap();
            fixture_echo::DRIVER.connect(settings, Arc::new(Timed { host, stage }))
        }))
    })
}

/// Both ends on threads of their own. Those end with the link's last clone and session.
fn ends(link: Link, load: impl FnOnce() -> Result<Connect, String> + Send + 'static) -> Link {
    let running = link.clone();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        runtime().block_on(async { serve(UnixStream::from_std(theirs).unwrap(), load).await })
    });
    thread::spawn(move || {
        runtime().block_on(async { running.run(UnixStream::from_std(ours).unwrap()).await })
    });
    link
}

fn connect(link: &Link, settings: Settings, host: Arc<dyn HostServices>) -> CallResult<Arc<dyn DynDriver>> {
    let _one_after_the_other = TURN.lock().unwrap();
    *STAGE.lock().unwrap() = Some(Arc::downgrade(&host));
    runtime().block_on(link.connect(settings, host, Vec::new()))
}

#[test]
fn a_driver_behind_the_connection_keeps_the_contract_as_the_linked_one_does() {
    let link = echo();
    let suite = Suite::new(fixture_echo::DRIVER, &SETTINGS, registry);
    // The fixture has faults of its own, and each of them at some number of awaits.
    let known: Vec<String> = suite.linked().iter().map(|breach| unnumbered(breach)).collect();
    let mut breaches = suite.apart(move |settings, host| connect(&link, settings, host));
    breaches.retain(|breach| !known.contains(&unnumbered(breach)));
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

fn unnumbered(breach: &str) -> String {
    breach.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
}

#[test]
fn after_the_end_of_the_other_side_calls_fail_and_do_not_wait() {
    let link = echo();
    let host = registry().shared();
    let driver = connect(&link, settings(), host).unwrap();
    runtime().block_on(async {
        assert_eq!(link.ready().await, Ok(()));
        assert!(driver.repositories(PageRequest::first()).await.is_ok());
        link.close();
        let error = loop {
            // What was asked before is still answered.
            match driver.repositories(PageRequest::first()).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), Link::GONE);
    });
}

/// A link whose other side is the test.
fn scripted() -> (Link, UnixStream, tokio::task::JoinHandle<Result<(), Broken>>) {
    let link = Link::default();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let running = link.clone();
    let run = tokio::task::spawn_local(async move { running.run(ours).await });
    (link, theirs, run)
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection() {
    let whole = |message: &ToAgent| Frame::of(message).ok().unwrap().bytes().to_vec();
    let pong = whole(&ToAgent::Pong { number: 1 });
    let too_long = u32::try_from(MAX_FRAME_BYTES + 1).unwrap().to_le_bytes().to_vec();
    let with_a_tail = [&[3, 0, 0, 0], &pong[4..], &[0]].concat();
    let rows: [(&str, Vec<u8>, Result<(), Broken>); 6] = [
        ("nothing", Vec::new(), Ok(())),
        ("a message", pong.clone(), Ok(())),
        ("a length that is too long", too_long, Err(Broken::TooLong { bytes: MAX_FRAME_BYTES + 1 })),
        ("a message of no kind", vec![1, 0, 0, 0, 99], Err(Broken::Unreadable)),
        ("more than a message", with_a_tail, Err(Broken::Unreadable)),
        ("half a message", pong[..5].to_vec(), Err(Broken::CutOff)),
    ];
    for (case, bytes, expected) in rows {
        let outcome = local(async {
            let (_link, mut theirs, run) = scripted();
            theirs.write_all(&bytes).await.unwrap();
            drop(theirs);
            run.await.unwrap()
        });
        assert_eq!(outcome.await, expected, "{case}");
    }
}

#[tokio::test]
async fn a_length_that_is_announced_takes_no_memory() {
    let mut frames = Frames::default();
    let mut announced = u32::try_from(MAX_FRAME_BYTES).unwrap().to_le_bytes().to_vec();
    announced.push(0);
    let mut read = announced.as_slice();
    assert_eq!(frames.fill(&mut read).await, Ok(true));
    assert!(frames.next::<ToAgent>().unwrap().is_none());
    assert_eq!(frames.fill(&mut read).await, Err(Broken::CutOff));
    assert!(frames.capacity() <= 4 << 20, "{}", frames.capacity());
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_and_a_session_is_closed_after_its_last_call() {
    local(async {
        let (link, mut theirs, _run) = scripted();
        let mut frames = Frames::default();
        let mut hear = async || loop {
            if let Some(message) = frames.next::<ToDriver>().unwrap() {
                break message;
            }
            assert!(frames.fill(&mut theirs).await.unwrap());
        };
        let connecting = link.connect(settings(), registry().shared(), Vec::new());
        tokio::pin!(connecting);
        let message = tokio::select! {
            _ = &mut connecting => panic!("nobody has answered"),
            message = hear() => message,
        };
        assert!(matches!(message, ToDriver::Connect { call: 1, session: 0, .. }));
        let connected = ToAgent::Answer { call: 1, answer: Ok(crate::values::Answer::Connected) };
        theirs.write_all(Frame::of(&connected).ok().unwrap().bytes()).await.unwrap();
        let driver = connecting.await.unwrap();

        let mut hear = async || loop {
            if let Some(message) = frames.next::<ToDriver>().unwrap() {
                break message;
            }
            assert!(frames.fill(&mut theirs).await.unwrap());
        };
        let call = driver.validate();
        drop(driver);
        tokio::select! {
            _ = call => panic!("nobody has answered"),
            message = hear() => assert!(matches!(message, ToDriver::Call { call: 2, session: 0, .. })),
        }
        assert!(matches!(hear().await, ToDriver::Cancel { call: 2 }));
        assert!(matches!(hear().await, ToDriver::Close { session: 0 }));
        link.close();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    })
    .await;
}

static WITHIN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes what was sent within the call.
struct Noted;

impl Within for Noted {
    fn send(
        self: Arc<Self>,
        services: &dyn HostServices,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, TransportError>> {
        WITHIN.lock().unwrap().push(request.url.path().to_owned());
        services.send(request)
    }
}

#[tokio::test]
async fn a_request_is_sent_within_the_call_that_the_driver_is_in() {
    let link = ends(Link::new(|| Some(Arc::new(Noted))), || {
        Ok(Box::new(|settings, host| fixture_echo::DRIVER.connect(settings, host)))
    });
    let driver = link.connect(settings(), registry().shared(), Vec::new()).await.unwrap();
    driver.validate().await.unwrap();
    assert_eq!(*WITHIN.lock().unwrap(), ["/v2/"]);
}

#[tokio::test]
async fn a_sign_of_life_is_asked_for_once_and_waited_for_until_it_comes() {
    local(async {
        let (link, mut theirs, _run) = scripted();
        assert_eq!(link.silent_for(), None);
        link.ping();
        link.ping();
        assert!(link.silent_for().is_some());
        let mut frames = Frames::default();
        assert!(frames.fill(&mut theirs).await.unwrap());
        let Some(ToDriver::Ping { number }) = frames.next().unwrap() else { panic!("no ping") };
        for pong in [number + 1, number] {
            assert!(link.silent_for().is_some());
            let pong = Frame::of(&ToAgent::Pong { number: pong }).ok().unwrap();
            theirs.write_all(pong.bytes()).await.unwrap();
        }
        while link.silent_for().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(frames.next::<ToDriver>().unwrap().is_none(), "one was enough");
    })
    .await;
}

proptest! {
    #[test]
    fn any_bytes_of_a_driver_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read_from_a_driver(&bytes);
    }

    #[test]
    fn mangled_messages_of_a_driver_can_be_read(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let answer = Ok(crate::values::Answer::Tags {
            items: vec!["1.0".parse().unwrap(), "latest".parse().unwrap()],
            next: Some("there".to_owned()),
        });
        let frame = Frame::of(&ToAgent::Answer { call: 7, answer }).ok().unwrap();
        let mut bytes = frame.bytes().repeat(2);
        *at.get_mut(&mut bytes) = byte;
        prop_assert!(read_from_a_driver(&bytes) <= 2);
    }
}
