//! Every setting, once.

/// One setting: a row of the table in `docs/operating.md`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Other names that are read where the first is unset, in this order.
    pub aliases: &'static [&'static str],
    /// What its value is.
    pub kind: Kind,
    /// The value where it is unset, in words; empty for none.
    pub default: &'static str,
    /// Why that default, or what being unset means.
    pub reason: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path of this machine.
    Path,
    /// An `http` or `https` URL.
    Url,
    /// A TCP port.
    Port,
    /// An IP address.
    Address,
    /// A number of bytes.
    Bytes,
    /// A whole number from 1.
    Count,
    /// `90s`, `15m`, `24h`, `500ms`; a bare number counts seconds.
    Duration,
    /// `true` or `false` (also `1`, `0`, `yes`, `no`, `on`, `off`).
    Switch,
    /// Items with commas or blanks between them.
    List,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// The kind as the table names it.
    pub fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Port => "port".to_owned(),
            Self::Address => "IP address".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Count => "count".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Switch => "switch".to_owned(),
            Self::List => "list".to_owned(),
            Self::OneOf(words) => words.join(" \\| "),
        }
    }
}

const fn setting(name: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { name, aliases: &[], kind, default: "", reason: "", help, secret: false }
}

impl Setting {
    const fn default(mut self, default: &'static str, reason: &'static str) -> Self {
        self.default = default;
        self.reason = reason;
        self
    }
    const fn unset(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }
    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Words that `LOG_LEVEL` takes.
pub(super) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// All settings, in the order of the documentation: what the replaced agent had first.
pub const SETTINGS: &[Setting] = &[
    setting("SNYK_PORT", Kind::Port, "Port that the agent listens on.")
        .default("17500", "the replaced agent's"),
    setting("SNYK_MAX_IMAGE_SIZE_IN_BYTES", Kind::Bytes, "Images whose layers add up to more are refused before a layer is fetched.")
        .default("2147483648", "the replaced agent's"),
    setting("BROKER_CLIENT_URL", Kind::Url, "Where results go when a request names no callback; its host is also the one that callbacks may go to.")
        .unset("requests name their callback"),
    setting("SNYK_DISABLE_LIST_REPOS", Kind::Switch, "Answers `/list` with an empty list.")
        .default("false", "the replaced agent's"),
    setting("MAX_ACTIVE_OPERATIONS", Kind::Count, "Scans and pulls that run at once.")
        .default("number of cores", "a scan keeps one core busy"),
    setting("LOG_LEVEL", Kind::OneOf(LOG_LEVELS), "How much is logged.").default("info", "the replaced agent's"),
    setting("DEBUG", Kind::Text, "Any value (as `*`) raises the log level to `debug`.").unset("`LOG_LEVEL` decides"),
    setting("HTTPS_CERT", Kind::Path, "Certificate chain (PEM) that the agent serves; read again when it changes or on SIGHUP.")
        .unset("plain HTTP"),
    setting("HTTPS_KEY", Kind::Path, "Private key (PEM) of `HTTPS_CERT`.").unset("plain HTTP"),
    setting("NODE_EXTRA_CA_CERTS", Kind::Path, "Bundle (PEM) of authorities trusted besides the system's.")
        .aliases(&["CA_CERT"])
        .unset("the system's authorities only"),
    setting("REGENT_CLIENT_CERTIFICATES", Kind::List, "`host[:port]=file` pairs: to that host Regent shows the certificate whose chain and private key (PEM) are in the file.")
        .unset("none"),
    setting("HTTP_PROXY", Kind::Url, "Proxy for `http` targets.").aliases(&["http_proxy"]).unset("no proxy").secret(),
    setting("HTTPS_PROXY", Kind::Url, "Proxy for `https` targets.").aliases(&["https_proxy"]).unset("no proxy").secret(),
    setting("NO_PROXY", Kind::List, "Hosts, domain suffixes and networks that are reached without proxy; `*` for all.")
        .aliases(&["no_proxy"])
        .unset("none"),
    setting("CR_TYPE", Kind::Text, "Type of the agent's own connection, for use without a Broker Client.")
        .unset("connections come with requests"),
    setting("CR_BASE", Kind::Text, "Registry of the own connection, `host[:port][/path]`."),
    setting("CR_USERNAME", Kind::Text, "User of the own connection."),
    setting("CR_PASSWORD", Kind::Text, "Password of the own connection.").secret(),
    setting("CR_TOKEN", Kind::Text, "Token of the own connection, where the registry takes one for user and password.")
        .secret(),
    setting("CR_ROLE_ARN", Kind::Text, "Role that the own connection assumes (AWS)."),
    setting("CR_REGION", Kind::Text, "Region of the own connection (AWS)."),
    setting("CR_EXTERNAL_ID", Kind::Text, "External ID of the own connection's role (AWS).").secret(),
    setting("CR_CREDENTIALS", Kind::Text, "The whole own connection, as base64 of its JSON; used instead of the single settings above.")
        .secret(),
    setting("REGENT_LISTEN", Kind::Address, "Address that the agent listens on.")
        .default("all interfaces", "the replaced agent's"),
    setting("REGENT_PLUGIN_DIR", Kind::Path, "Directory of the drivers.")
        .default("`plugins` beside the program, else `/usr/lib/regent/plugins`", "archive and package installs"),
    setting("REGENT_DATA_DIR", Kind::Path, "Directory for captures, pulled layers and state.")
        .default("`$XDG_STATE_HOME/regent`, for root `/var/lib/regent`", "the usual places"),
    setting("REGENT_DRIVER_BINDINGS", Kind::List, "`type=driver` pairs that settle which of two different drivers serves a type.")
        .unset("a type that two drivers claim is refused"),
    setting("REGENT_DRIVER_TRUST", Kind::OneOf(&["directory", "pinned", "signed"]), "Which libraries load: every safe file of the directory, only those whose digest stands in its `plugins.lock`, or only those with a signature by one of `REGENT_DRIVER_KEYS`.")
        .default("directory", "works out of the box"),
    setting("REGENT_DRIVER_KEYS", Kind::List, "Public keys (minisign) whose signatures of drivers count: the keys themselves, and paths of files with keys.")
        .unset("signatures are shown, and not checked"),
    setting("REGENT_DRIVER_WATCH", Kind::OneOf(&["auto", "notify", "poll"]), "How changes of the plugin directory are noticed: by the kernel's word (`notify`), by looking every 2 s (`poll`), or by looking where the directory is on a network file system and by the kernel's word elsewhere (`auto`).")
        .default("auto", "the kernel is not told of what other machines change"),
    setting("REGENT_DRIVER_REMOVAL_GRACE", Kind::Duration, "How long a driver serves on whose file was removed, or is no longer trusted.")
        .default("10s", "a removal is often the first half of a replacement"),
    setting("REGENT_DRIVER_TIMEOUT", Kind::Duration, "How long one call of a driver may take.")
        .default("60s", "a slow registry with its retries"),
    setting("REGENT_DRIVER_ISOLATION", Kind::List, "Where drivers run: `thread` or `process` for all, `driver=process` or `driver=thread` for one. A driver in a process of its own takes nothing down but itself.")
        .default("thread", "a call has a shorter way"),
    setting("REGENT_DRIVER_MEMORY", Kind::Bytes, "The most memory that a driver in a process of its own may take for data.")
        .unset("as much as the agent may take"),
    setting("REGENT_SUPERVISED", Kind::Switch, "Runs the agent as a child process that is started anew when it crashes; the driver whose code ran is quarantined.")
        .default("false", "the orchestrator starts it anew, with the same drivers"),
    setting("REGENT_DRIVER_QUARANTINE", Kind::Duration, "How long a driver is out of use after it has crashed a supervised agent for the first time; twice as long after each further crash, up to a day.")
        .default("15m", "long enough to be noticed, short enough for a registry to be waited for"),
    setting("REGENT_INSECURE_REGISTRIES", Kind::List, "`host:port` of registries that are reached over plain HTTP or on loopback.")
        .unset("HTTPS only"),
    setting("REGENT_EGRESS", Kind::List, "`host` or `host:port` (`*.example.com` for all below) that drivers may reach, of those that they declare; `driver=host` for one driver alone. Registries and the hosts that they send for content have to be among them.")
        .unset("each driver reaches its registry and what it declares"),
    setting("REGENT_TOKEN_SERVICES", Kind::List, "`host` or `host:port` of token services on other hosts than their registry, for connections that name none themselves.")
        .unset("passwords go to the registry's own host and port only"),
    setting("REGENT_CALLBACK_HOSTS", Kind::List, "`host` or `host:port` that callbacks may go to, besides the one of `BROKER_CLIENT_URL`.")
        .unset("only the host of `BROKER_CLIENT_URL`; with neither set any host but link-local ones"),
    setting("REGENT_CALLBACK_DEADLINE", Kind::Duration, "How long the delivery of a result is retried before it is dead-lettered.")
        .default("24h", "outlasts a night's outage"),
    setting("REGENT_CALLBACK_TIMEOUT", Kind::Duration, "How long one callback may take.")
        .default("2m", "the broker has no limit of its own, and hangs while its connection is down"),
    setting("REGENT_QUEUE_LENGTH", Kind::Count, "Operations that may wait, run or be delivered; more are answered 429.")
        .default("10000", "some MiB of disk, and as many images as a bulk import has"),
    setting("REGENT_MIN_FREE_DISK", Kind::Bytes, "Free space of the data directory below which no operation is accepted.")
        .default("268435456", "what runs goes on, and its outcome has to be kept"),
    setting("REGENT_MAX_MEMORY", Kind::Bytes, "Memory of the agent; no operation is accepted while it uses more than 90 % of it.")
        .unset("the container's limit (`memory.max`, `memory.high`), if it has one"),
    setting("REGENT_MAX_REQUESTS", Kind::Count, "Requests that are answered at once; more get 503. `/healthcheck`, `/readiness` and `/metrics` are always answered.")
        .default("512", "a Broker Client has some tens"),
    setting("REGENT_SCAN_DEADLINE", Kind::Duration, "How long one run of a scan or pull may take.")
        .default("2h", "2 GiB at 300 KB/s"),
    setting("REGENT_SCAN_RETRY", Kind::Duration, "How long an operation is begun again whose registry fails in a way that passes, before it is reported as failed.")
        .default("15m", "outlasts a registry's restart"),
    setting("REGENT_SEAL_KEY", Kind::List, "Keys that seal what is stored of connections: base64 of 32 bytes each. The first one seals, all of them open.")
        .unset("`REGENT_SEAL_KEY_FILE`, else a key made at the first start in `seal.key` of the data directory")
        .secret(),
    setting("REGENT_SEAL_KEY_FILE", Kind::Path, "File with the keys of `REGENT_SEAL_KEY`, which others may not read.")
        .unset("see `REGENT_SEAL_KEY`"),
    setting("REGENT_QUEUE", Kind::List, "NATS servers with JetStream that keep the queue, for several agents: `nats://host:4222` or `tls://host:4222`, with user and password or a token where they want one.")
        .unset("a file of the data directory, for one agent")
        .secret(),
    setting("REGENT_QUEUE_PREFIX", Kind::Text, "What the names of streams, buckets and subjects begin with there.")
        .default("regent", "agents with the same prefix share a queue"),
    setting("REGENT_QUEUE_REPLICAS", Kind::Count, "On how many of the servers each thing is stored: 1, 3 or 5.")
        .default("1", "a single server"),
    setting("REGENT_QUEUE_LEASE", Kind::Duration, "After how long without a sign of life of an agent others go on with what it had. At least 3 s, and the same for all agents.")
        .default("1m", "a server of the cluster, or the network, may be away for a while"),
    setting("REGENT_QUEUE_CREDENTIALS", Kind::Path, "Credentials file (`.creds`) for the servers.").unset("none"),
    setting("REGENT_QUEUE_NKEY", Kind::Path, "File with the seed of an NKEY for the servers.").unset("none"),
    setting("REGENT_QUEUE_CA", Kind::Path, "Bundle (PEM) of authorities trusted for the servers, in place of the system's.")
        .unset("the system's authorities"),
    setting("REGENT_QUEUE_CERT", Kind::Path, "Certificate chain (PEM) that the agent shows to the servers.").unset("none"),
    setting("REGENT_QUEUE_KEY", Kind::Path, "Private key (PEM) of `REGENT_QUEUE_CERT`.").unset("none"),
    setting("REGENT_SHARED_CAPTURES", Kind::Bytes, "What captures of layers may take at the NATS servers, where one agent of the fleet reads a layer for all; `0` shares none.")
        .default("536870912", "some thousand layers"),
    setting("REGENT_CAPTURE_CACHE", Kind::Bytes, "What is kept in `captures` of the data directory of layers and images that were read, so that they need not be read again, also after a restart; `0` keeps nothing. `regent scan` keeps something where this is set.")
        .default("268435456", "some thousand layers"),
    setting("REGENT_CAPTURE_CACHE_AGE", Kind::Duration, "How long it is kept when nobody uses it.")
        .default("30d", "base images are replaced about monthly"),
    setting("REGENT_LOCAL_ROOT", Kind::Path, "Directory below which requests may name local images.")
        .unset("requests may not name local images"),
    setting("REGENT_LAZY_LAYERS", Kind::Switch, "Reads of a layer in eStargz or zstd:chunked only what is wanted, where the manifest pins its table of contents. Otherwise every layer is read to its end.")
        .default("true", "a fraction of the bytes, and each of them verified"),
    setting("REGENT_SCAN_COMPAT", Kind::OneOf(&["9.8", "9.20"]), "Release of the scanner being replaced whose results are matched.")
        .default("9.8", "the one that the replaced agent uses"),
    setting("REGENT_LOG_FORMAT", Kind::OneOf(&["text", "json"]), "Form of the log lines.").default("text", "read by people first"),
    setting("REGENT_SHUTDOWN_GRACE", Kind::Duration, "How long requests and operations may go on after SIGTERM.")
        .default("25s", "below the 30 s after which Kubernetes kills"),
    setting("REGENT_SHUTDOWN_DELAY", Kind::Duration, "How long after SIGTERM requests are still taken, with `/readiness` red; at most half of the grace, of which it is a part.")
        .default("2s", "whoever sends requests has looked at `/readiness` by then"),
    setting("REGENT_CRASH_POINT", Kind::Text, "For tests of recovery: the agent kills itself when it comes to the point of this name.")
        .unset("it does not"),
];
