//! A driver under test: how it is connected, and its calls as text.

use std::sync::Arc;
use std::time::Duration;

use regent_oci::RepositoryName;
use regent_transport::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::egress::Rules;
use super::script::Script;
use super::stage::Stage;
use crate::description::Description;
use crate::driver::{Access, Authorization, PageRequest};
use crate::dyn_driver::DynDriver;
use crate::error::{Error, Result};
use crate::host::HostServices;
use crate::settings::Settings;

/// Something that connects: a linked driver or a loaded library.
pub(super) type Connect<'a> = &'a dyn Fn(Settings, Arc<dyn HostServices>) -> Result<Arc<dyn DynDriver>>;

/// A driver with a connection that works.
pub(super) struct Subject<'a> {
    pub(super) about: Description,
    pub(super) connect: Connect<'a>,
    pub(super) values: Vec<(String, SecretString)>,
    pub(super) plain_http: bool,
    /// How long another thread or process, in which the driver runs, has for what it does. None for one that runs in the
    /// thread of the suite, which has done all it can when it was polled.
    pub(super) patience: Duration,
    /// The registry, anew for each session.
    pub(super) script: &'a dyn Fn() -> Script,
}

/// A connected driver and the host that it was given.
pub(super) struct Session {
    pub(super) driver: Arc<dyn DynDriver>,
    pub(super) stage: Arc<Stage>,
}

impl Subject<'_> {
    /// The connection without one of its values.
    pub(super) fn settings_without(&self, name: Option<&str>) -> Settings {
        let values = self.values.iter().filter(|(n, _)| Some(n.as_str()) != name).cloned();
        let registry_type = self.about.types.first().cloned().unwrap_or_default();
        Settings::new(registry_type, values, self.plain_http)
    }

    pub(super) fn connect(&self, settings: Settings) -> (Arc<Stage>, Result<Arc<dyn DynDriver>>) {
        let script = (self.script)();
        let rules = Rules::new(&self.about, &settings, &script);
        let stage = Stage::new(script, rules, self.patience);
        let driver = (self.connect)(settings, stage.clone());
        (stage, driver)
    }

    pub(super) fn session(&self) -> Result<Session> {
        let (stage, driver) = self.connect(self.settings_without(None));
        Ok(Session { driver: driver?, stage })
    }

    /// Values that no one may see. Very short ones stand in any text by chance.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &str| self.about.settings.iter().any(|s| s.name == name && s.secret);
        let secret = self.values.iter().filter(move |(name, _)| is_secret(name));
        secret.map(|(_, value)| value.expose_secret()).filter(|value| value.len() >= 4)
    }
}

/// The same text without its times.
pub(super) fn timeless(answer: &str) -> String {
    const TIME: &str = "SystemTime {";
    let mut parts = answer.split(TIME);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + TIME + part.split_once('}').map_or(part, |(_, rest)| rest))
}

/// A call of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Validate,
    Repositories,
    Tags,
    TagDetails,
    Authorize,
}

impl Call {
    pub(super) const ALL: [Self; 5] =
        [Self::Validate, Self::Repositories, Self::Tags, Self::TagDetails, Self::Authorize];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Repositories => "repositories",
            Self::Tags => "tags",
            Self::TagDetails => "tag_details",
            Self::Authorize => "authorize",
        }
    }

    pub(super) fn is_listing(self) -> bool {
        matches!(self, Self::Repositories | Self::Tags | Self::TagDetails)
    }

    /// The call, with its answer as text.
    pub(super) fn of(
        self,
        driver: &dyn DynDriver,
        repository: &RepositoryName,
    ) -> BoxFuture<'static, Result<String>> {
        let page = PageRequest::first();
        match self {
            Self::Validate => shown(driver.validate()),
            Self::Repositories => shown(driver.repositories(page)),
            Self::Tags => shown(driver.tags(repository, page)),
            Self::TagDetails => shown(driver.tag_details(repository, page)),
            Self::Authorize => {
                let call = driver.authorize(Access { repository: repository.clone(), renew: false });
                Box::pin(async move { call.await.map(|authorization| headers_shown(&authorization)) })
            }
        }
    }
}

fn shown<T: std::fmt::Debug + 'static>(
    call: BoxFuture<'static, Result<T>>,
) -> BoxFuture<'static, Result<String>> {
    Box::pin(async move { call.await.map(|answer| format!("{answer:?}")) })
}

/// With the values of headers, which `Debug` leaves out: both sides of a comparison have the same ones.
fn headers_shown(authorization: &Authorization) -> String {
    let headers = authorization.headers.iter();
    let headers: Vec<_> =
        headers.map(|(name, v)| format!("{name}={:?},{}", v.as_bytes(), v.is_sensitive())).collect();
    format!("{authorization:?} {headers:?}")
}

/// An answer as text, whatever it is.
pub(super) fn text_of(answer: &std::result::Result<String, Error>) -> String {
    match answer {
        Ok(text) => format!("Ok: {text}"),
        Err(error) => format!("{error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::timeless;

    #[test]
    fn answers_at_two_times_are_the_same_but_for_them() {
        let answer = |name: &str, seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            timeless(&format!("{:?}", (Some(time), name, time)))
        };
        assert_eq!(answer("app", 1), answer("app", 2));
        assert_ne!(answer("app", 1), answer("other", 1));
        assert_eq!(timeless("no time"), "no time");
    }
}
