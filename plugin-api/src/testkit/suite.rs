//! [`contract_tests!`](crate::contract_tests): the suite as tests of a driver's crate.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::conduct::Conduct;
use super::script::Script;
use super::subject::{Connect, Subject};
use super::watch::{PATIENCE, Progress, watched};
use crate::description::Description;
use crate::dyn_driver::DynDriver;
use crate::error::Result;
use crate::host::HostServices;
use crate::load::{LibraryFile, LoadedLibrary, load};
use crate::native::NativeDriver;
use crate::settings::Settings;

/// How long a driver that runs elsewhere has for what it does between two polls. Only one that hangs needs so long.
const APART: Duration = Duration::from_secs(10);

/// A driver with a connection and a registry that is scripted, for [`contract_tests!`](crate::contract_tests).
#[derive(Debug, Clone)]
pub struct Suite {
    driver: NativeDriver,
    values: Vec<(String, SecretString)>,
    plain_http: bool,
    registry: fn() -> Script,
    patience: Duration,
}

impl Suite {
    /// This driver, connected with these settings to what the script says: at least one repository with a tag, as
    /// exchanges that may happen at any time ([`Script::always`]).
    pub fn new(driver: NativeDriver, settings: &[(&str, &str)], registry: fn() -> Script) -> Self {
        let values = settings.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
        Self { driver, values: values.collect(), plain_http: false, registry, patience: PATIENCE }
    }

    /// The operator allows plain HTTP for the registry.
    #[must_use]
    pub fn plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// How long one step may take until the driver counts as one that blocks its thread: 30 seconds unless told otherwise,
    /// for the slowest of machines. Steps wait for nothing.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What the linked driver breaks, one sentence each.
    pub fn linked(&self) -> Vec<String> {
        self.conduct_of_linked().map_or_else(|hung| vec![hung], |conduct| conduct.breaches)
    }

    /// What the driver's library breaks: all of the same, and answers, requests or log lines that are not the linked
    /// driver's.
    pub fn loaded(&self) -> Vec<String> {
        let library = match self.library() {
            Ok(library) => library,
            Err(reason) => return vec![reason],
        };
        let about = library.description().clone();
        if about != self.driver.description() {
            return vec!["the library is of another build: run `cargo clean`".to_owned()];
        }
        let connect = move |settings: Settings, host: Arc<dyn HostServices>| -> Result<Arc<dyn DynDriver>> {
            Ok(Arc::new(library.connect(&settings, host)?))
        };
        let loaded = self.clone().conduct(about, Duration::ZERO, connect);
        let (linked, loaded) = match (self.conduct_of_linked(), loaded) {
            (Ok(linked), Ok(loaded)) => (linked, loaded),
            (Err(hung), _) | (_, Err(hung)) => return vec![hung],
        };
        let mut breaches = loaded.breaches;
        breaches.extend(difference(&linked.transcript, &loaded.transcript));
        breaches
    }

    /// What the driver breaks where it runs on another thread, or in another process, and is called from here: all of the
    /// same, and answers, requests or log lines that the linked driver does not have. How often and in which order it does
    /// things may differ, since it is not known where a call is when it is dropped.
    pub fn apart(
        &self,
        connect: impl Fn(Settings, Arc<dyn HostServices>) -> Result<Arc<dyn DynDriver>> + Send + 'static,
    ) -> Vec<String> {
        let apart = self.clone().conduct(self.driver.description(), APART, connect);
        let (linked, apart) = match (self.conduct_of_linked(), apart) {
            (Ok(linked), Ok(apart)) => (linked, apart),
            (Err(hung), _) | (_, Err(hung)) => return vec![hung],
        };
        let once = |mut lines: Vec<String>| {
            lines.sort();
            lines.dedup();
            lines
        };
        let mut breaches = apart.breaches;
        breaches.extend(difference(&once(linked.transcript), &once(apart.transcript)));
        breaches
    }

    fn conduct_of_linked(&self) -> std::result::Result<Conduct, String> {
        let driver = self.driver;
        let connect = move |settings, host| driver.connect(settings, host);
        self.clone().conduct(driver.description(), Duration::ZERO, connect)
    }

    fn conduct(
        self,
        about: Description,
        apart: Duration,
        connect: impl Fn(Settings, Arc<dyn HostServices>) -> Result<Arc<dyn DynDriver>> + Send + 'static,
    ) -> std::result::Result<Conduct, String> {
        let patience = self.patience;
        let work = move |progress: &Progress| {
            let Self { values, plain_http, registry, .. } = self;
            let connect: Connect<'_> = &connect;
            let subject = Subject { about, connect, values, plain_http, patience: apart, script: &registry };
            Conduct::of(&subject, progress)
        };
        watched(work, patience)
    }

    /// The library that Cargo built for this very test: it stands beside the test's own program.
    fn library(&self) -> std::result::Result<LoadedLibrary, String> {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let file = format!("{prefix}{}{suffix}", self.driver.crate_name());
        let test = std::env::current_exe().map_err(|e| e.to_string())?;
        let places = test.ancestors().skip(1).take(2).map(|folder| folder.join(&file));
        let place = places.into_iter().find(|place| place.is_file()).ok_or_else(|| {
            format!(
                "there is no {file} beside this test: its crate has crate-type = [\"cdylib\", \"rlib\"], and the test \
                 stands in the folder tests/ of it"
            )
        })?;
        let bytes = std::fs::read(&place).map_err(|e| format!("{}: {e}", place.display()))?;
        let library = LibraryFile::from_bytes(&place, bytes).and_then(|library| load(&library));
        library.map_err(|refusal| refusal.to_string())
    }
}

/// Where the two first part.
fn difference(linked: &[String], loaded: &[String]) -> Option<String> {
    let at = linked.iter().zip(loaded).position(|(linked, loaded)| linked != loaded);
    let at = at.or_else(|| (linked.len() != loaded.len()).then(|| linked.len().min(loaded.len())))?;
    let line = |of: &[String]| of.get(at).cloned().unwrap_or_else(|| "nothing more".to_owned());
    Some(format!("the library does\n  {}\nand the linked driver\n  {}", line(loaded), line(linked)))
}

/// Makes two tests of a driver: `the_linked_driver_keeps_the_contract`, and `the_loaded_driver_keeps_the_contract`, which
/// loads the library that Cargo has built and expects of it the linked driver's answers.
///
/// It belongs into a file of the crate's folder `tests`, since Cargo builds the library for those alone. The crate needs
/// `crate-type = ["cdylib", "rlib"]`, and in its `dev-dependencies` this crate with the feature `load`.
///
/// ```no_run
/// # mod my_driver {
/// # use regent_plugin_api::{Access, Authorization, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation};
/// # use regent_plugin_api::oci::{RepositoryName, Tag};
/// # struct My;
/// # impl Driver for My {
/// #     fn connect(_: Settings, _: Host) -> Result<Self> { Ok(Self) }
/// #     async fn validate(&self) -> Result<Validation> { Err(Error::unsupported("it")) }
/// #     async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> { Err(Error::unsupported("it")) }
/// #     async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> { Err(Error::unsupported("it")) }
/// #     async fn authorize(&self, _: Access) -> Result<Authorization> { Err(Error::unsupported("it")) }
/// # }
/// # regent_plugin_api::export_driver! { My, name: "my", summary: "x", types: ["my"] }
/// # }
/// use regent_plugin_api::http::StatusCode;
/// use regent_plugin_api::testkit::{Exchange, Script};
///
/// /// A registry with one repository and one tag. Pages of 1000, of 100 and of 1 are asked for.
/// fn registry() -> Script {
///     let at = |path: &str| Exchange::get(&format!("https://registry.example.com{path}"));
///     Script::new()
///         .always(at("/repositories").with_any_query().answer(StatusCode::OK, "team/app"))
///         .always(at("/repositories/team/app/tags").with_any_query().answer(StatusCode::OK, "1.0"))
/// }
///
/// regent_plugin_api::contract_tests! {
///     driver: my_driver::DRIVER,
///     settings: [("registryBase", "registry.example.com"), ("password", "s3cr3t")],
///     registry: registry,
/// }
/// ```
///
/// What is looked at, besides all of [`contract`](crate::testkit::contract):
/// - *settings*: a connection without one that is required is refused by its name, before any request;
/// - *errors*: of statuses 401, 403, 404, 429 and 503, of HTML where there should be a listing, and of a transport that
///   fails; their class, code and message, without a secret and without the registry's own words;
/// - *limits*: a registry that asks for a pause has it, by the driver or by the host, which is told how long it is;
/// - *renewal*: an authorization that ran out, or was refused, is not given again;
/// - *cancellation*: each call may be dropped at each of its requests, and the next one works;
/// - *no blocking*: a call that waits gives its thread back, and all calls together have the answers that each has alone;
/// - *egress*: requests go to the registry and to what the description declares, and all that it declares is used;
/// - *the end*: a session that is dropped leaves nothing behind.
#[macro_export]
macro_rules! contract_tests {
    (
        driver: $driver:expr,
        settings: [$(($name:expr, $value:expr)),* $(,)?],
        registry: $registry:expr
        $(,)?
    ) => {
        fn regent_contract_suite() -> $crate::testkit::Suite {
            $crate::testkit::Suite::new($driver, &[$(($name, $value)),*], $registry)
        }

        #[test]
        fn the_linked_driver_keeps_the_contract() {
            let breaches = regent_contract_suite().linked();
            ::core::assert!(breaches.is_empty(), "{}", breaches.join("\n"));
        }

        #[test]
        fn the_loaded_driver_keeps_the_contract() {
            let breaches = regent_contract_suite().loaded();
            ::core::assert!(breaches.is_empty(), "{}", breaches.join("\n"));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown() {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let rows = [
            ("abc", "abc", None),
            ("abc", "axc", Some("x")),
            ("abc", "ab", Some("nothing more")),
            ("", "a", Some("a")),
        ];
        for (linked, loaded, shown) in rows {
            let found = difference(&lines(linked), &lines(loaded));
            let expected = shown.map(|shown| format!("the library does\n  {shown}\n"));
            match (found, expected) {
                (Some(found), Some(expected)) => assert!(found.starts_with(&expected), "{found}"),
                (found, expected) => assert_eq!(found, expected, "{linked} {loaded}"),
            }
        }
    }
}
