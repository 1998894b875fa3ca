//! The contract suite: a driver in fair weather, in foul weather, interrupted, and side by side with itself.

use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use regent_oci::RepositoryName;
use regent_transport::Class;
use url::Url;

use super::content::content;
use super::contract::contract;
use super::faults::{self, FOREIGN, PAUSE, keeps_pause};
use super::stage::{Ended, Fault, Stage};
use super::subject::{Call, Session, Subject, text_of, timeless};
use super::watch::Progress;
use crate::driver::{Access, PageRequest};
use crate::error::{Error, Result};
use crate::guard::PANICKED;

/// More requests than one call needs when every one of them fails.
const MAX_REQUESTS: usize = 60;
/// More requests than a call of a test has.
const MAX_POLLS: usize = 40;

/// What a driver did.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// What it broke, one sentence each.
    pub(super) breaches: Vec<String>,
    /// Each answer, log and request, in order.
    pub(super) transcript: Vec<String>,
    sent: Vec<Url>,
    endpoints: Vec<Url>,
}

type Answer = Result<String>;

impl Conduct {
    /// All checks, with a registry that works.
    pub(super) fn of(subject: &Subject<'_>, progress: &Progress) -> Self {
        let mut conduct = Self::default();
        progress.begins("connect");
        conduct.settings(subject);
        progress.begins("the calls of the contract");
        let Some(repository) = conduct.fair(subject) else { return conduct };
        for call in Call::ALL {
            progress.begins(call.name());
            let Some(expected) = conduct.alone(subject, call, &repository) else { continue };
            progress.begins(format!("{} when it is dropped", call.name()));
            conduct.interrupted(subject, call, &repository, &expected);
            progress.begins(format!("{} when the registry fails", call.name()));
            conduct.foul(subject, call, &repository, Some(&expected));
            conduct.throttled(subject, call, &repository);
        }
        if subject.about.serves_content() {
            progress.begins("manifests and blobs");
            conduct.content(subject, &repository);
        }
        progress.begins("authorize when it is to be renewed");
        conduct.renewal(subject, &repository);
        progress.begins("all calls at once");
        conduct.side_by_side(subject, &repository);
        conduct.egress(subject);
        conduct.breaches.dedup();
        conduct
    }

    /// What can be looked at without a registry that works, and without knowing the driver.
    pub(super) fn of_unknown(subject: &Subject<'_>, progress: &Progress) -> Self {
        let mut conduct = Self::default();
        progress.begins("connect");
        conduct.settings(subject);
        if subject.session().is_err() {
            return conduct;
        }
        let repository: RepositoryName = "library/app".parse().expect("it is a name");
        for call in Call::ALL {
            progress.begins(format!("{} when the registry fails", call.name()));
            conduct.foul(subject, call, &repository, None);
        }
        conduct.breaches.dedup();
        conduct
    }

    fn say(&mut self, what: impl Into<String>) {
        self.breaches.push(what.into());
    }

    /// A connection without what it requires is refused by name, and none sends anything.
    fn settings(&mut self, subject: &Subject<'_>) {
        for setting in subject.about.settings.iter().filter(|setting| setting.required) {
            let name = setting.name.as_str();
            match subject.connect(subject.settings_without(Some(name))).1 {
                Ok(_) => self.say(format!("connect takes a connection without {name}, which is required")),
                Err(error) if error.class() != Class::Invalid => {
                    self.error(subject, "connect", &error);
                    self.say(format!(
                        "connect without {name} has an error of class {:?}: use invalid_setting",
                        error.class()
                    ));
                }
                // One of the others may have to be of another kind then.
                Err(error) if !error.message().contains(name) && !error.details.contains_key("setting") => {
                    self.say(format!("connect without {name} has an error that names no setting"));
                }
                Err(_) => {}
            }
        }
        for (name, _) in &subject.values {
            if !subject.about.settings.iter().any(|setting| setting.name == *name) {
                self.say(format!("the description has no setting {name}, which this connection uses"));
            }
        }
        let (stage, driver) = subject.connect(subject.settings_without(None));
        if let Err(error) = driver {
            self.error(subject, "connect", &error);
        }
        if stage.n_sent() > 0 {
            self.say("connect sends requests");
        }
    }

    /// The contract while all is well; a repository to go on with.
    fn fair(&mut self, subject: &Subject<'_>) -> Option<RepositoryName> {
        let session = self.session(subject)?;
        match session.stage.run(contract(&*session.driver, &subject.about)) {
            Ended::With(breaches) => self.breaches.extend(breaches),
            Ended::Stuck => self.say("a call of the contract waits for something that is not its host"),
            Ended::Endless => self.say("a call of the contract does not end"),
        }
        for objection in session.stage.script().objections() {
            self.say(format!("a request off the script: {objection}"));
        }
        let listed = session.stage.run(session.driver.repositories(PageRequest::first()));
        let first = match listed {
            Ended::With(Ok(page)) => page.items.into_iter().next(),
            _ => None,
        };
        if first.is_none() {
            self.say("there is no repository in the first page: have the script list one with a tag");
        }
        self.close(subject, session);
        first
    }

    /// One call in a session of its own.
    fn alone(&mut self, subject: &Subject<'_>, call: Call, repository: &RepositoryName) -> Option<String> {
        let session = self.session(subject)?;
        let answer = self.end(subject, &session, call, repository);
        self.close(subject, session);
        match answer? {
            Ok(text) => Some(text),
            Err(error) if error.class() == Class::Unsupported => None,
            Err(error) => {
                self.say(format!("{} fails: {}", call.name(), error.message()));
                None
            }
        }
    }

    /// Dropped at each of its requests, it leaves nothing behind that the next call would trip over.
    fn interrupted(
        &mut self,
        subject: &Subject<'_>,
        call: Call,
        repository: &RepositoryName,
        expected: &str,
    ) {
        for polls in 1..MAX_POLLS {
            let Some(session) = self.session(subject) else { return };
            let ended = session.stage.drop_after(polls, call.of(&*session.driver, repository));
            let again = self.end(subject, &session, call, repository);
            if again.is_some_and(|answer| answer.as_ref().ok().is_none_or(|text| text != expected)) {
                self.say(format!("{} does not work after one was dropped at its await {polls}", call.name()));
            }
            self.close(subject, session);
            if ended {
                return;
            }
        }
    }

    /// What it says of each fault, and whether it works when that is over.
    fn foul(
        &mut self,
        subject: &Subject<'_>,
        call: Call,
        repository: &RepositoryName,
        expected: Option<&str>,
    ) {
        for weather in faults::all() {
            let Some(session) = self.session(subject) else { return };
            session.stage.set(Some(weather.fault), false);
            let name = format!("{} at {}", call.name(), weather.name);
            match self.end(subject, &session, call, repository) {
                Some(_) if session.stage.n_sent() == 0 => {}
                Some(Ok(_)) if call.is_listing() => {
                    self.say(format!("{name} lists as if nothing were wrong"));
                }
                // Details of tags are for the host to find by itself, then.
                Some(Err(error)) if call == Call::TagDetails && error.class() == Class::Unsupported => {}
                Some(Err(error)) if !weather.classes.contains(&error.class()) => {
                    let (class, classes) = (error.class(), weather.classes);
                    self.say(format!(
                        "{name} has an error of class {class:?}, which is one of {classes:?}: {error}"
                    ));
                }
                _ => {}
            }
            if session.stage.n_sent() > MAX_REQUESTS {
                self.say(format!("{name} sends {} requests", session.stage.n_sent()));
            }
            self.close(subject, session);
        }
        // No answer at all: the host drops the call at its deadline.
        let Some(session) = self.session(subject) else { return };
        session.stage.set(Some(Fault::Never), false);
        if session.stage.run(call.of(&*session.driver, repository)) == Ended::Endless {
            self.say(format!("{} without an answer does not wait", call.name()));
        }
        session.stage.set(None, false);
        let again =
            expected.and_then(|expected| Some((expected, self.end(subject, &session, call, repository)?)));
        if again.is_some_and(|(expected, answer)| answer.as_deref() != Ok(expected)) {
            self.say(format!("{} does not work after one was given up", call.name()));
        }
        self.close(subject, session);
    }

    /// A registry that asks for a pause once has it: by the driver, or by the host.
    fn throttled(&mut self, subject: &Subject<'_>, call: Call, repository: &RepositoryName) {
        let Some(session) = self.session(subject) else { return };
        session.stage.set(Some(faults::throttled()), true);
        let answer = self.end(subject, &session, call, repository);
        let slept = session.stage.script().slept();
        match answer {
            Some(_) if session.stage.n_sent() == 0 => {}
            Some(Ok(_)) if slept < PAUSE => {
                self.say(format!("{} goes on at once where the registry asked for a pause", call.name()));
            }
            Some(Err(error)) if !keeps_pause(&error) => {
                self.say(format!(
                    "{} does not tell how long a pause the registry asked for: {error:?}",
                    call.name()
                ));
            }
            _ => {}
        }
        self.close(subject, session);
    }

    /// A renewal is no answer from a cache, and neither is one when what was given has run out.
    fn renewal(&mut self, subject: &Subject<'_>, repository: &RepositoryName) {
        let Some(session) = self.session(subject) else { return };
        let Session { driver, stage } = &session;
        let authorize =
            |renew| match stage.run(driver.authorize(Access { repository: repository.clone(), renew })) {
                Ended::With(Ok(authorization)) => Some(authorization),
                _ => None,
            };
        if let Some(first) = authorize(false) {
            self.endpoints.push(first.endpoint.clone());
            let asked = stage.n_sent();
            if authorize(true).is_none() {
                self.say("authorize can't be renewed");
            } else if asked > 0 && first.expires.is_some() && stage.n_sent() == asked {
                self.say("authorize answers from its cache what the registry has refused");
            }
            if let Some(end) = first.expires {
                self.expiry(stage, end, || authorize(false).and_then(|second| second.expires));
            }
        }
        self.close(subject, session);
    }

    fn expiry(&mut self, stage: &Stage, end: SystemTime, again: impl Fn() -> Option<SystemTime>) {
        use regent_transport::Transport as _;
        let Ok(left) = end.duration_since(stage.now()) else {
            return self.say("authorize gives headers that have run out");
        };
        stage.skip(left.saturating_add(Duration::from_secs(1)));
        if again().is_none_or(|later| later <= stage.now()) {
            self.say("authorize gives headers again that have run out since");
        }
    }

    /// Manifests and blobs, of a driver that serves them.
    fn content(&mut self, subject: &Subject<'_>, repository: &RepositoryName) {
        let Some(session) = self.session(subject) else { return };
        match session.stage.run(content(&*session.driver, repository)) {
            Ended::With(Ok(breaches)) => self.breaches.extend(breaches),
            Ended::With(Err(error)) => {
                self.error(subject, "a manifest or blob", &error);
                self.say(format!("an image can't be read: {}", error.message()));
            }
            Ended::Stuck | Ended::Endless => self.say("reading an image does not end"),
        }
        self.close(subject, session);
    }

    /// All calls at the same time have the answers that each has alone, times aside: a pause of one call moves the clock of all.
    fn side_by_side(&mut self, subject: &Subject<'_>, repository: &RepositoryName) {
        let alone: Vec<_> = Call::ALL.iter().map(|call| Self::quiet(subject, *call, repository)).collect();
        let Some(session) = self.session(subject) else { return };
        let mut calls: Vec<_> =
            Call::ALL.iter().map(|call| (call.of(&*session.driver, repository), None)).collect();
        let together = std::future::poll_fn(|context| {
            for (call, answer) in &mut calls {
                if answer.is_none()
                    && let Poll::Ready(ended) = Pin::new(call).poll(context)
                {
                    *answer = Some(timeless(&text_of(&ended)));
                }
            }
            let all = calls.iter().all(|(_, answer)| answer.is_some());
            if all { Poll::Ready(()) } else { Poll::Pending }
        });
        if session.stage.run(together) != Ended::With(()) {
            self.say("calls wait for each other for ever when they are made side by side");
        }
        for ((call, alone), (_, answer)) in Call::ALL.iter().zip(alone).zip(calls) {
            if answer.is_some() && answer != alone {
                self.say(format!("{} answers otherwise when other calls run beside it", call.name()));
            }
        }
        self.close(subject, session);
    }

    fn quiet(subject: &Subject<'_>, call: Call, repository: &RepositoryName) -> Option<String> {
        let session = subject.session().ok()?;
        match session.stage.run(call.of(&*session.driver, repository)) {
            Ended::With(answer) => Some(timeless(&text_of(&answer))),
            _ => None,
        }
    }

    /// What is declared is what is used.
    fn egress(&mut self, subject: &Subject<'_>) {
        let Some(session) = self.session(subject) else { return };
        let used: Vec<_> = self.sent.iter().chain(&self.endpoints).cloned().collect();
        for entry in session.stage.unused_egress(&used) {
            self.say(format!("the egress {entry} is declared, and no request of the suite goes there"));
        }
    }

    fn session(&mut self, subject: &Subject<'_>) -> Option<Session> {
        match subject.session() {
            Ok(session) => Some(session),
            Err(error) => {
                self.error(subject, "connect", &error);
                self.say(format!("connect fails: {}", error.message()));
                None
            }
        }
    }

    /// Runs a call to its end, looks at an error, and notes the answer.
    fn end(
        &mut self,
        subject: &Subject<'_>,
        session: &Session,
        call: Call,
        repository: &RepositoryName,
    ) -> Option<Answer> {
        let answer = match session.stage.run(call.of(&*session.driver, repository)) {
            Ended::With(answer) => answer,
            Ended::Stuck => {
                self.say(format!("{} waits for something that is not its host", call.name()));
                return None;
            }
            Ended::Endless => {
                self.say(format!("{} does not end", call.name()));
                return None;
            }
        };
        if let Err(error) = &answer {
            self.error(subject, call.name(), error);
        }
        self.transcript.push(format!("{} {}", call.name(), text_of(&answer)));
        Some(answer)
    }

    /// What no error may be.
    fn error(&mut self, subject: &Subject<'_>, call: &str, error: &Error) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let text = format!("{error:?}");
        if error.code() == PANICKED {
            self.say(format!("{call} panics: {}", error.message()));
        }
        if error.code().is_empty() || !error.code().bytes().all(plain) {
            self.say(format!(
                "{call} has the error code {:?}: lower case and underscores only",
                error.code()
            ));
        }
        if error.message().trim().is_empty() {
            self.say(format!("{call} has an error without a message"));
        }
        if text.contains(FOREIGN) {
            self.say(format!("{call} passes on the registry's own words: nobody knows what is in them"));
        }
        if subject.secrets().any(|secret| text.contains(secret)) {
            self.say(format!("{call} has a secret in its error"));
        }
    }

    /// Ends a session: nothing of it is left, and its log and requests are looked at.
    fn close(&mut self, subject: &Subject<'_>, session: Session) {
        let Session { driver, stage } = session;
        drop(driver);
        if !stage.comes_to_be(|| std::sync::Arc::strong_count(&stage) == 1) {
            self.say("a session keeps its host when it has ended: nothing of it may go on");
        }
        for (_, line) in stage.script().log_lines() {
            if subject.secrets().any(|secret| line.contains(secret)) {
                self.say("a secret is in the log");
            }
            if line.contains("the driver panicked") {
                self.say(line.clone());
            }
            self.transcript.push(line);
        }
        self.breaches.extend(stage.undeclared());
        let sent = stage.sent();
        self.transcript.extend(sent.iter().map(Url::to_string));
        self.sent.extend(sent);
    }
}
