//! Every setting, read once from the environment into a checked [`Settings`].
//!
//! The list is [`SETTINGS`]; `docs/operating.md` holds the table that [`markdown`] makes of it. Parsing takes a lookup
//! function, so that tests need no environment, and reports all that is wrong at once. This is the only module that
//! reads the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regent_report::Compat;
use secrecy::SecretString;
use url::Url;

use crate::crash_point::CrashPoint;
use crate::drivers::{Isolations, Watch};
use crate::http::{EgressLimit, InvalidEgress};
use crate::jobs::LEASE;
use crate::seal::KeySource;

mod document;
mod drivers;
mod nats;
mod parse;
mod table;

pub use document::markdown;
pub use nats::{NatsServers, NatsSettings, NatsUser};
pub use table::{Kind, SETTINGS, Setting};

/// What captures of layers may take at the servers of a shared queue, in bytes.
const DEFAULT_SHARED_CAPTURES_BYTES: u64 = 512 << 20;
/// Where packages put drivers.
const PACKAGED_PLUGIN_DIR: &str = "/usr/lib/regent/plugins";

/// The settings of the program, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `REGENT_LISTEN`; `None` for all interfaces.
    pub listen: Option<IpAddr>,
    /// `SNYK_PORT`.
    pub port: u16,
    /// `HTTPS_CERT` with `HTTPS_KEY`; `None` for plain HTTP.
    pub certificate: Option<CertificateFiles>,
    /// `SNYK_MAX_IMAGE_SIZE_IN_BYTES`.
    pub max_image_size_bytes: u64,
    /// `SNYK_DISABLE_LIST_REPOS`.
    pub list_disabled: bool,
    /// `MAX_ACTIVE_OPERATIONS`.
    pub max_active_operations: usize,
    /// `REGENT_QUEUE_LENGTH`.
    pub queue_length: usize,
    /// Up to where more is accepted.
    pub admission: AdmissionSettings,
    /// `REGENT_SCAN_DEADLINE`.
    pub scan_deadline: Duration,
    /// `REGENT_SCAN_RETRY`.
    pub scan_retry: Duration,
    /// `REGENT_SEAL_KEY`, `REGENT_SEAL_KEY_FILE`, or a file of the data directory.
    pub seal_keys: KeySource,
    /// `REGENT_QUEUE`; `None` for a queue in a file.
    pub nats: Option<NatsSettings>,
    /// `REGENT_SHARED_CAPTURES`; 0 for none.
    pub shared_captures_bytes: u64,
    /// What is kept on the disk of what was read.
    pub capture_cache: CaptureCacheSettings,
    /// `REGENT_CRASH_POINT`.
    pub crash_point: Option<CrashPoint>,
    /// `REGENT_LAZY_LAYERS`.
    pub lazy_layers: bool,
    /// `REGENT_SCAN_COMPAT`.
    pub compat: Compat,
    /// `REGENT_PLUGIN_DIR`.
    pub plugin_dir: Option<PathBuf>,
    /// `REGENT_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `REGENT_LOCAL_ROOT`.
    pub local_root: Option<PathBuf>,
    /// `REGENT_DRIVER_BINDINGS`: lower-case type → name of the driver.
    pub driver_bindings: BTreeMap<String, String>,
    /// `REGENT_DRIVER_TRUST`.
    pub driver_trust: DriverTrust,
    /// `REGENT_DRIVER_KEYS`: public keys, and paths of files with some.
    pub driver_keys: Vec<String>,
    /// `REGENT_DRIVER_ISOLATION`, `REGENT_DRIVER_MEMORY`.
    pub driver_isolations: Isolations,
    /// `REGENT_DRIVER_TIMEOUT`.
    pub driver_timeout: Duration,
    /// `REGENT_EGRESS`.
    pub egress: EgressLimit,
    /// Whether the agent runs as a child that is started anew when it crashes.
    pub supervised: bool,
    /// How changes of the plugin directory are noticed.
    pub driver_watch: Watch,
    /// How long a driver is quarantined after its first crash.
    pub driver_quarantine: Duration,
    /// How long a driver serves on whose file was removed.
    pub driver_removal_grace: Duration,
    /// `REGENT_TOKEN_SERVICES`, lower case.
    pub token_services: Vec<String>,
    /// `REGENT_INSECURE_REGISTRIES`, lower case.
    pub insecure_registries: Vec<String>,
    /// What `CR_…` says, by variable; empty without any.
    pub own_connection: BTreeMap<&'static str, SecretString>,
    /// Where callbacks may go, and for how long they are tried.
    pub callbacks: CallbackSettings,
    /// Authorities and proxies for all outgoing requests.
    pub network: NetworkSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// `REGENT_SHUTDOWN_GRACE`.
    pub shutdown_grace: Duration,
    /// `REGENT_SHUTDOWN_DELAY`.
    pub shutdown_delay: Duration,
    /// What is set, as it may be shown.
    set: Vec<(&'static str, String)>,
}

/// What is kept on the disk of layers and images that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureCacheSettings {
    /// `REGENT_CAPTURE_CACHE`, where it is set; 0 for none.
    pub max_bytes: Option<u64>,
    /// `REGENT_CAPTURE_CACHE_AGE`.
    pub max_age: Duration,
}

impl CaptureCacheSettings {
    /// What an agent keeps when nobody says otherwise, in bytes.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
}

/// The files of the served certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `HTTPS_CERT`.
    pub certificate: PathBuf,
    /// `HTTPS_KEY`.
    pub key: PathBuf,
}

/// Which driver libraries are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverTrust {
    /// Every safe file of the directory.
    Directory,
    /// Files whose digest stands in the directory's `plugins.lock`.
    Pinned,
    /// Files that one of `REGENT_DRIVER_KEYS` has signed.
    Signed,
}

/// Where callbacks may go, and for how long they are tried. `Debug` shows no password of the URL.
#[derive(Clone)]
pub struct CallbackSettings {
    /// `BROKER_CLIENT_URL`; may hold a password.
    pub broker_client_url: Option<Url>,
    /// `REGENT_CALLBACK_HOSTS`, lower case.
    pub hosts: Vec<String>,
    /// `REGENT_CALLBACK_DEADLINE`.
    pub deadline: Duration,
    /// `REGENT_CALLBACK_TIMEOUT`.
    pub timeout: Duration,
}

/// Up to where operations and requests are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// `REGENT_MIN_FREE_DISK`.
    pub min_free_disk_bytes: u64,
    /// `REGENT_MAX_MEMORY`; `None` for the container's limit, if it has one.
    pub max_memory_bytes: Option<u64>,
    /// `REGENT_MAX_REQUESTS`.
    pub max_requests: usize,
}

/// Authorities and proxies for outgoing requests.
#[derive(Debug, Clone, Default)]
pub struct NetworkSettings {
    /// `REGENT_CLIENT_CERTIFICATES`: host, with a port or without, and the file.
    pub client_certificates: Vec<(String, PathBuf)>,
    /// `NODE_EXTRA_CA_CERTS`.
    pub extra_authorities: Option<PathBuf>,
    /// `HTTP_PROXY`; may hold a password.
    pub http_proxy: Option<SecretString>,
    /// `HTTPS_PROXY`; may hold a password.
    pub https_proxy: Option<SecretString>,
    /// `NO_PROXY`, as written.
    pub no_proxy: Option<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// `LOG_LEVEL`, raised by `DEBUG`.
    pub level: tracing::Level,
    /// `REGENT_LOG_FORMAT`.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    /// The settings at fault with the reason, in the order of [`SETTINGS`].
    pub faults: Vec<(&'static str, String)>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(|(name, why)| format!("{name} {why}")).collect();
        write!(f, "settings: {}", faults.join("; "))
    }
}

impl Settings {
    /// Reads the environment of this process. The second value is a warning for each unknown `REGENT_…` name.
    ///
    /// # Errors
    /// [`SettingsError`], with all faults.
    pub fn from_environment() -> Result<(Self, Vec<String>), SettingsError> {
        let settings = Self::from_lookup(environment)?;
        let names: Vec<String> =
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        Ok((settings, unknown_names(names.iter().map(String::as_str))))
    }

    /// Reads settings through a function from name to value. An empty or blank value counts as unset.
    ///
    /// # Errors
    /// [`SettingsError`], with all faults.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut read = Reader { lookup: &lookup, faults: Vec::new(), set: Vec::new() };
        let data_dir = read.path("REGENT_DATA_DIR").unwrap_or_else(|| default_data_dir(&lookup));
        let seal_keys = read.seal_keys(&data_dir);
        let settings = Self {
            listen: read
                .parsed("REGENT_LISTEN", |t| t.parse().map_err(|_| "must be an IP address".to_owned())),
            port: read
                .parsed("SNYK_PORT", |t| t.parse().map_err(|_| "must be a port from 0 to 65535".to_owned()))
                .unwrap_or(17500),
            certificate: read.certificate("HTTPS_CERT", "HTTPS_KEY"),
            max_image_size_bytes: read
                .parsed("SNYK_MAX_IMAGE_SIZE_IN_BYTES", parse::positive)
                .unwrap_or(2_147_483_648),
            list_disabled: read.switch("SNYK_DISABLE_LIST_REPOS"),
            max_active_operations: read
                .count("MAX_ACTIVE_OPERATIONS")
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            admission: read.admission(),
            queue_length: read.count("REGENT_QUEUE_LENGTH").unwrap_or(10_000),
            scan_deadline: read
                .parsed("REGENT_SCAN_DEADLINE", parse::duration)
                .unwrap_or(Duration::from_hours(2)),
            scan_retry: read.parsed("REGENT_SCAN_RETRY", parse::duration).unwrap_or(Duration::from_mins(15)),
            nats: read.nats(&seal_keys),
            shared_captures_bytes: read
                .parsed("REGENT_SHARED_CAPTURES", parse::whole)
                .unwrap_or(DEFAULT_SHARED_CAPTURES_BYTES),
            capture_cache: CaptureCacheSettings {
                max_bytes: read.parsed("REGENT_CAPTURE_CACHE", parse::whole),
                max_age: read
                    .parsed("REGENT_CAPTURE_CACHE_AGE", parse::duration)
                    .unwrap_or(Duration::from_hours(30 * 24)),
            },
            seal_keys,
            crash_point: read.parsed("REGENT_CRASH_POINT", parse::crash_point),
            lazy_layers: read.parsed("REGENT_LAZY_LAYERS", parse::switch).unwrap_or(true),
            compat: read
                .word("REGENT_SCAN_COMPAT", |w| if w == "9.20" { Compat::V9_20 } else { Compat::V9_8 })
                .unwrap_or_default(),
            plugin_dir: read.path("REGENT_PLUGIN_DIR"),
            data_dir,
            local_root: read.path("REGENT_LOCAL_ROOT"),
            driver_bindings: read.bindings(),
            driver_trust: read.driver_trust(),
            driver_keys: read.driver_keys(),
            driver_isolations: read.driver_isolations(),
            supervised: read.switch("REGENT_SUPERVISED"),
            driver_watch: read.driver_watch(),
            driver_quarantine: read
                .parsed("REGENT_DRIVER_QUARANTINE", parse::duration)
                .unwrap_or(crate::drivers::DriversConfig::DEFAULT_QUARANTINE),
            driver_removal_grace: read
                .parsed("REGENT_DRIVER_REMOVAL_GRACE", parse::duration)
                .unwrap_or(crate::drivers::DriversConfig::DEFAULT_REMOVAL_GRACE),
            driver_timeout: read
                .parsed("REGENT_DRIVER_TIMEOUT", parse::duration)
                .unwrap_or(crate::drivers::DriversConfig::DEFAULT_CALL_TIMEOUT),
            egress: read
                .parsed("REGENT_EGRESS", |t| {
                    t.parse().map_err(|e: InvalidEgress| format!("can't be read: {e}"))
                })
                .unwrap_or_default(),
            token_services: read.list("REGENT_TOKEN_SERVICES"),
            insecure_registries: read.list("REGENT_INSECURE_REGISTRIES"),
            own_connection: read.own_connection(),
            callbacks: CallbackSettings {
                broker_client_url: read.parsed("BROKER_CLIENT_URL", parse::url),
                hosts: read.list("REGENT_CALLBACK_HOSTS"),
                deadline: read
                    .parsed("REGENT_CALLBACK_DEADLINE", parse::duration)
                    .unwrap_or(Duration::from_hours(24)),
                timeout: read
                    .parsed("REGENT_CALLBACK_TIMEOUT", parse::duration)
                    .unwrap_or(Duration::from_mins(2)),
            },
            network: NetworkSettings {
                client_certificates: read.client_certificates(),
                extra_authorities: read.path("NODE_EXTRA_CA_CERTS"),
                http_proxy: read.proxy("HTTP_PROXY"),
                https_proxy: read.proxy("HTTPS_PROXY"),
                no_proxy: read.text("NO_PROXY"),
            },
            log: read.log(),
            shutdown_grace: read
                .parsed("REGENT_SHUTDOWN_GRACE", parse::duration)
                .unwrap_or(Duration::from_secs(25)),
            shutdown_delay: read
                .parsed("REGENT_SHUTDOWN_DELAY", parse::duration)
                .unwrap_or(Duration::from_secs(2)),
            set: Vec::new(),
        };
        let Reader { mut faults, set, .. } = read;
        if faults.is_empty() {
            return Ok(Self { set, ..settings });
        }
        faults.sort_by_key(|(name, _)| SETTINGS.iter().position(|s| s.name == *name));
        Err(SettingsError { faults })
    }

    /// How long a lease of the queue lasts when it is not renewed.
    pub fn lease(&self) -> Duration {
        self.nats.as_ref().map_or(LEASE, |nats| nats.lease)
    }

    /// The directory of the drivers: the one that is set, else `plugins` beside the program if it is there, else the
    /// packaged one.
    pub fn plugin_dir(&self) -> PathBuf {
        self.plugin_dir.clone().unwrap_or_else(|| {
            let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("plugins")));
            beside.filter(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from(PACKAGED_PLUGIN_DIR))
        })
    }

    /// The settings that are set, with their values; secret ones as `set`. For the log at start-up.
    pub fn effective(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set.iter().map(|(name, shown)| (*name, shown.as_str()))
    }
}

impl fmt::Debug for CallbackSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSettings")
            .field("broker_client_url", &self.broker_client_url.as_ref().map(|url| shown_url(url.as_str())))
            .field("hosts", &self.hosts)
            .field("deadline", &self.deadline)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// What may be shown of a setting's value: of a secret that it is set, of a URL all but its user name and password.
fn shown(setting: &Setting, value: &str) -> String {
    match setting.kind {
        _ if setting.secret => "set".to_owned(),
        Kind::Url => shown_url(value),
        _ => value.to_owned(),
    }
}

fn shown_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "not a URL".to_owned() };
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    // Fails only for URLs without a host, which have neither.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// An environment variable of this process, for drivers whose description declares its name.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A warning for each name that begins like one of Regent's own and is none, with the name that was probably meant.
pub fn unknown_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    // What Kubernetes injects for a service called `regent`, and is no one's mistake.
    let injected = |n: &str| n.starts_with("REGENT_SERVICE_") || n.starts_with("REGENT_PORT");
    let mut warnings: Vec<String> = names
        .filter(|n| n.starts_with("REGENT_") && !injected(n) && !SETTINGS.iter().any(|s| s.name == *n))
        .map(|n| match parse::nearest(n, SETTINGS.iter().map(|s| s.name)) {
            Some(known) => format!("{n} is not a setting; did you mean {known}?"),
            None => format!("{n} is not a setting"),
        })
        .collect();
    warnings.sort();
    warnings
}

fn default_data_dir(lookup: &impl Fn(&str) -> Option<String>) -> PathBuf {
    // XDG Base Directory Specification: a relative path is to be ignored.
    let absolute = |name: &str| lookup(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/regent");
    }
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map_or_else(|| PathBuf::from("/var/lib/regent"), |state| state.join("regent"))
}

/// Reads settings by name and keeps what is wrong with them.
struct Reader<'a, L> {
    lookup: &'a L,
    faults: Vec<(&'static str, String)>,
    set: Vec<(&'static str, String)>,
}

impl<L: Fn(&str) -> Option<String>> Reader<'_, L> {
    /// The value of a setting, by its name or an alias, trimmed.
    fn text(&mut self, name: &str) -> Option<String> {
        let setting =
            SETTINGS.iter().find(|s| s.name == name).expect("every setting that is read is in the table");
        let names = std::iter::once(&setting.name).chain(setting.aliases);
        let value = names.filter_map(|n| (self.lookup)(n)).find(|v| !v.trim().is_empty())?;
        // A password may begin or end with a blank, so a secret stays as it is.
        let value = if setting.secret { value } else { value.trim().to_owned() };
        self.set.push((setting.name, shown(setting, &value)));
        Some(value)
    }

    fn parsed<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text(name)?.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push((name, why));
                None
            }
        }
    }

    fn count(&mut self, name: &'static str) -> Option<usize> {
        self.parsed(name, |t| parse::positive(t).map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn list(&mut self, name: &'static str) -> Vec<String> {
        self.text(name).map(|t| parse::list(&t.to_ascii_lowercase())).unwrap_or_default()
    }

    /// One of the words in the setting's row of the table.
    fn word<T>(&mut self, name: &'static str, make: impl Fn(&str) -> T) -> Option<T> {
        let kind = SETTINGS.iter().find(|s| s.name == name).map(|s| s.kind);
        let Some(Kind::OneOf(words)) = kind else { return None };
        self.parsed(name, |t| {
            let text = t.to_ascii_lowercase();
            if words.contains(&text.as_str()) {
                Ok(make(&text))
            } else {
                Err(format!("must be one of {}", words.join(", ")))
            }
        })
    }

    /// The files of a certificate and its key, by the names of two settings.
    fn certificate(&mut self, certificate: &'static str, key: &'static str) -> Option<CertificateFiles> {
        match (self.path(certificate), self.path(key)) {
            (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                self.faults.push((key, format!("must be set together with {certificate}")));
                None
            }
            (None, Some(_)) => {
                self.faults.push((certificate, format!("must be set together with {key}")));
                None
            }
        }
    }

    fn seal_keys(&mut self, data_dir: &Path) -> KeySource {
        match (self.text("REGENT_SEAL_KEY"), self.path("REGENT_SEAL_KEY_FILE")) {
            (Some(_), Some(_)) => {
                self.faults
                    .push(("REGENT_SEAL_KEY", "can't be set together with REGENT_SEAL_KEY_FILE".to_owned()));
                KeySource::Generated(data_dir.to_owned())
            }
            (Some(keys), None) => KeySource::Given(SecretString::from(keys)),
            (None, Some(path)) => KeySource::File(path),
            (None, None) => KeySource::Generated(data_dir.join("seal.key")),
        }
    }

    fn proxy(&mut self, name: &'static str) -> Option<SecretString> {
        // `host:port` without a scheme is what many environments hold.
        self.parsed(name, |t| {
            let text = if t.contains("://") { t.to_owned() } else { format!("http://{t}") };
            // The parser's own words could quote the password.
            parse::url(&text).map_err(|_| "must be a URL such as http://proxy:3128".to_owned())?;
            Ok(SecretString::from(text))
        })
    }

    fn own_connection(&mut self) -> BTreeMap<&'static str, SecretString> {
        SETTINGS
            .iter()
            .map(|s| s.name)
            .filter(|n| n.starts_with("CR_"))
            .filter_map(|n| Some((n, SecretString::from(self.text(n)?))))
            .collect()
    }

    fn switch(&mut self, name: &'static str) -> bool {
        self.parsed(name, parse::switch).unwrap_or(false)
    }

    fn admission(&mut self) -> AdmissionSettings {
        AdmissionSettings {
            min_free_disk_bytes: self.parsed("REGENT_MIN_FREE_DISK", parse::positive).unwrap_or(256 << 20),
            max_memory_bytes: self.parsed("REGENT_MAX_MEMORY", parse::positive),
            max_requests: self.count("REGENT_MAX_REQUESTS").unwrap_or(512),
        }
    }

    fn log(&mut self) -> LogSettings {
        let level = self.word("LOG_LEVEL", |w| w.parse().unwrap_or(tracing::Level::INFO));
        let level = level.unwrap_or(tracing::Level::INFO);
        let level = if self.text("DEBUG").is_some() { level.max(tracing::Level::DEBUG) } else { level };
        let format =
            self.word("REGENT_LOG_FORMAT", |w| if w == "json" { LogFormat::Json } else { LogFormat::Text });
        LogSettings { level, format: format.unwrap_or(LogFormat::Text) }
    }
}

/// Makes a directory that only this user may read, with its parents, if it is not there.
///
/// # Errors
/// The operating system's.
pub fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests;
