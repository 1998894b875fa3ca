//! Logs and metrics. Neither ever holds a secret: connections and requests print without their values.

use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::admission::AdmissionMetrics;
use crate::breaker::BreakerMetrics;
use crate::callbacks::DeliveryMetrics;
use crate::drivers::DriverMetrics;
use crate::http::HttpMetrics;
use crate::jobs::Summary;
use crate::settings::{LogFormat, LogSettings};

/// Starts logging to stderr. A second call changes nothing.
pub fn start_logging(settings: LogSettings) {
    use tracing_subscriber::EnvFilter;
    // Other crates at debug level tell more of headers and keys than an agent's log should.
    let filter =
        format!("warn,regent={level},regent_host={level}", level = settings.level.as_str().to_lowercase());
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(started);
}

/// One row of the table of metrics in `docs/operating.md`.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

const fn metric(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, labels, help }
}

const BUILD_INFO: Metric = metric("regent_build_info", &["version"], "Always 1; the label tells the version");
const REQUESTS: Metric =
    metric("regent_requests_total", &["route", "status"], "Requests answered, by route and status");
const REQUEST_SECONDS: Metric = metric("regent_request_seconds", &["route"], "Time to answer a request");
const OPERATIONS: Metric = metric("regent_operations", &["state"], "Operations in the queue, by state");
const QUEUE_CAPACITY: Metric = metric(
    "regent_queue_capacity",
    &[],
    "Operations that may be `queued`, `running` and `delivering` in all",
);
const ENDED: Metric = metric(
    "regent_operations_ended_total",
    &["kind", "outcome"],
    "Operations ended, by kind and outcome: `succeeded`, or the code of the failure",
);
const OPERATION_SECONDS: Metric = metric(
    "regent_operation_seconds",
    &["phase"],
    "Time of operations that succeeded, by phase: `queued`, `resolving`, `reading`, `analyzing`",
);
const LAYER_BYTES: Metric =
    metric("regent_layer_fetched_bytes_total", &[], "Layer bytes read from registries");
const LAYERS: Metric = metric(
    "regent_layers_total",
    &["source"],
    "Layers of images, by where they came from: `cache` or `registry`",
);
const DRIVER_CALLS: Metric = metric(
    "regent_driver_calls_total",
    &["driver", "outcome"],
    "Calls to drivers: `ok`, or the code of the failure such as `driver_panicked` and `driver_timeout`",
);
const DRIVER_LIBRARIES: Metric = metric(
    "regent_driver_libraries",
    &[],
    "Driver libraries in memory: those that serve and those that did before an upgrade, since none is ever unloaded",
);
const DRIVER_CHANGES: Metric = metric(
    "regent_driver_changes_total",
    &["driver", "change"],
    "What became of drivers that served when their files changed: `upgraded`, `refused` (the old one serves on), `removed`",
);
const DRIVER_RESTARTS: Metric = metric(
    "regent_driver_restarts_total",
    &["driver"],
    "Times that a driver's thread hung, or its own process ended, and was replaced or given up",
);
const CALLBACKS: Metric = metric(
    "regent_callbacks_total",
    &["outcome"],
    "Tries to deliver a callback: `delivered`, `retried`, `failed`",
);
const REFUSALS: Metric = metric(
    "regent_refusals_total",
    &["reason"],
    "Operations that were not accepted for want of `disk` or `memory`, and `requests` that were too many",
);
const BREAKERS_OPEN: Metric = metric(
    "regent_breakers_open",
    &["side"],
    "Hosts that are left alone since they keep failing, by side: `registry` or `callback`",
);
const BREAKER_REFUSALS: Metric = metric(
    "regent_breaker_refusals_total",
    &["side"],
    "Calls that were not made since their host is left alone, by side",
);
const HTTP_REQUESTS: Metric =
    metric("regent_http_requests_total", &["outcome"], "Outgoing requests, by status class or error code");
const HTTP_BYTES: Metric = metric("regent_http_received_bytes_total", &[], "Bytes of bodies received");
const HTTP_SECONDS: Metric = metric("regent_http_response_seconds", &[], "Time until the head of an answer");

/// All metrics, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    BUILD_INFO,
    REQUESTS,
    REQUEST_SECONDS,
    OPERATIONS,
    QUEUE_CAPACITY,
    ENDED,
    OPERATION_SECONDS,
    LAYER_BYTES,
    LAYERS,
    DRIVER_CALLS,
    DRIVER_LIBRARIES,
    DRIVER_CHANGES,
    DRIVER_RESTARTS,
    CALLBACKS,
    REFUSALS,
    BREAKERS_OPEN,
    BREAKER_REFUSALS,
    HTTP_REQUESTS,
    HTTP_BYTES,
    HTTP_SECONDS,
];

/// All metrics as a Markdown table, exactly as it stands in `docs/operating.md`.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| metric | labels | what it counts |\n| --- | --- | --- |\n");
    for m in METRICS {
        let labels: Vec<_> = m.labels.iter().map(|l| format!("`{l}`")).collect();
        let _ = writeln!(text, "| `{}` | {} | {} |", m.name, labels.join(", "), m.help);
    }
    text
}

/// The counters of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    operations: IntGaugeVec,
    queue_capacity: IntGauge,
    ended: IntCounterVec,
    operation_seconds: HistogramVec,
    layer_bytes: IntCounter,
    layers: IntCounterVec,
    driver_calls: IntCounterVec,
    driver_libraries: IntGauge,
    driver_changes: IntCounterVec,
    driver_restarts: IntCounterVec,
    callbacks: IntCounterVec,
    refusals: IntCounterVec,
    breakers_open: IntGaugeVec,
    breaker_refusals: IntCounterVec,
}

impl Metrics {
    /// Counters at zero, with those of outgoing HTTP beside them.
    ///
    /// # Errors
    /// When `http` was registered under the same names elsewhere.
    pub fn new(http: Option<&HttpMetrics>) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: counters(REQUESTS)?,
            request_seconds: histograms(REQUEST_SECONDS)?,
            operations: IntGaugeVec::new(opts(OPERATIONS), OPERATIONS.labels)?,
            queue_capacity: IntGauge::with_opts(opts(QUEUE_CAPACITY))?,
            ended: counters(ENDED)?,
            operation_seconds: histograms(OPERATION_SECONDS)?,
            layer_bytes: IntCounter::with_opts(opts(LAYER_BYTES))?,
            layers: counters(LAYERS)?,
            driver_calls: counters(DRIVER_CALLS)?,
            driver_libraries: IntGauge::with_opts(opts(DRIVER_LIBRARIES))?,
            driver_changes: counters(DRIVER_CHANGES)?,
            driver_restarts: counters(DRIVER_RESTARTS)?,
            callbacks: counters(CALLBACKS)?,
            refusals: counters(REFUSALS)?,
            breakers_open: IntGaugeVec::new(opts(BREAKERS_OPEN), BREAKERS_OPEN.labels)?,
            breaker_refusals: counters(BREAKER_REFUSALS)?,
        };
        let build = IntGaugeVec::new(opts(BUILD_INFO), BUILD_INFO.labels)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let registry = &metrics.registry;
        registry.register(Box::new(build))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.operations.clone()))?;
        registry.register(Box::new(metrics.queue_capacity.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.operation_seconds.clone()))?;
        registry.register(Box::new(metrics.layer_bytes.clone()))?;
        registry.register(Box::new(metrics.layers.clone()))?;
        registry.register(Box::new(metrics.driver_calls.clone()))?;
        registry.register(Box::new(metrics.driver_libraries.clone()))?;
        registry.register(Box::new(metrics.driver_changes.clone()))?;
        registry.register(Box::new(metrics.driver_restarts.clone()))?;
        registry.register(Box::new(metrics.callbacks.clone()))?;
        registry.register(Box::new(metrics.refusals.clone()))?;
        registry.register(Box::new(metrics.breakers_open.clone()))?;
        registry.register(Box::new(metrics.breaker_refusals.clone()))?;
        if let Some(http) = http {
            http.register(registry)?;
        }
        Ok(metrics)
    }

    /// A request was answered. `route` is the route's pattern, never the path: names would be without number.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// How many operations are in a state now.
    pub fn operations(&self, state: &'static str, count: usize) {
        self.operations.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many operations there may be that have not ended.
    pub fn queue_capacity(&self, capacity: usize) {
        self.queue_capacity.set(i64::try_from(capacity).unwrap_or(i64::MAX));
    }

    /// An operation succeeded, at this cost.
    pub fn succeeded(&self, kind: &str, summary: &Summary) {
        self.ended.with_label_values(&[kind, "succeeded"]).inc();
        let phases = [
            ("queued", summary.queued),
            ("resolving", summary.resolving),
            ("reading", summary.reading),
            ("analyzing", summary.analyzing),
        ];
        for (phase, took) in phases {
            self.operation_seconds.with_label_values(&[phase]).observe(took.as_secs_f64());
        }
        self.layer_bytes.inc_by(summary.fetched_bytes);
        self.layers.with_label_values(&["cache"]).inc_by(summary.n_cached_layers as u64);
        let read = summary.n_layers.saturating_sub(summary.n_cached_layers);
        self.layers.with_label_values(&["registry"]).inc_by(read as u64);
    }

    /// An operation failed, with this code.
    pub fn failed(&self, kind: &str, code: &str) {
        self.ended.with_label_values(&[kind, code]).inc();
    }

    /// A driver was called: `ok`, or the code of its failure.
    pub fn driver_call(&self, driver: &str, outcome: &str) {
        self.driver_calls.with_label_values(&[driver, outcome]).inc();
    }

    /// Drivers in memory, and what became of them so far.
    pub fn drivers(&self, so_far: &DriverMetrics) {
        self.driver_libraries.set(i64::try_from(so_far.libraries).unwrap_or(i64::MAX));
        for (driver, change, count) in &so_far.changes {
            raise(&self.driver_changes.with_label_values(&[driver.as_str(), change]), *count);
        }
        for (driver, count) in &so_far.restarts {
            raise(&self.driver_restarts.with_label_values(&[driver.as_str()]), *count);
        }
    }

    /// Callbacks so far.
    pub fn callbacks(&self, so_far: DeliveryMetrics) {
        let DeliveryMetrics { delivered, retried, failed } = so_far;
        for (outcome, count) in [("delivered", delivered), ("retried", retried), ("failed", failed)] {
            raise(&self.callbacks.with_label_values(&[outcome]), count);
        }
    }

    /// What was refused for want of room so far.
    pub fn refusals(&self, so_far: AdmissionMetrics) {
        let AdmissionMetrics { disk, memory, requests } = so_far;
        for (reason, count) in [("disk", disk), ("memory", memory), ("requests", requests)] {
            raise(&self.refusals.with_label_values(&[reason]), count);
        }
    }

    /// Breakers of one side, `registry` or `callback`, so far.
    pub fn breakers(&self, side: &'static str, so_far: BreakerMetrics) {
        let open = i64::try_from(so_far.open).unwrap_or(i64::MAX);
        self.breakers_open.with_label_values(&[side]).set(open);
        raise(&self.breaker_refusals.with_label_values(&[side]), so_far.refused);
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Brings a counter to what was counted elsewhere.
fn raise(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn opts(metric: Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn counters(metric: Metric) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(opts(metric), metric.labels)
}

/// From a quick HEAD to a scan of minutes.
fn histograms(metric: Metric) -> Result<HistogramVec, prometheus::Error> {
    let buckets = vec![0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];
    HistogramVec::new(HistogramOpts::new(metric.name, metric.help).buckets(buckets), metric.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HttpClient, HttpConfig};

    #[test]
    fn what_was_counted_is_in_the_text_and_in_the_table() {
        let http = HttpClient::new(&HttpConfig::default()).unwrap();
        let metrics = Metrics::new(Some(http.metrics())).unwrap();
        metrics.request("/list", 200, Duration::from_millis(3));
        metrics.operations("queued", 2);
        metrics.queue_capacity(10);
        metrics.succeeded("scan", &Summary { n_layers: 3, n_cached_layers: 1, ..Summary::default() });
        metrics.failed("pull", "image_too_large");
        metrics.driver_call("harbor", "driver_panicked");
        let changes = vec![("harbor".to_owned(), "upgraded", 2)];
        metrics.drivers(&DriverMetrics {
            libraries: 3,
            max_libraries: 64,
            changes,
            restarts: vec![("quay".to_owned(), 1)],
        });
        for delivered in [1, 4] {
            metrics.callbacks(DeliveryMetrics { delivered, retried: 0, failed: 0 });
        }
        let text = metrics.text().unwrap();
        for line in [
            "regent_requests_total{route=\"/list\",status=\"200\"} 1",
            "regent_operations{state=\"queued\"} 2",
            "regent_queue_capacity 10",
            "regent_layers_total{source=\"registry\"} 2",
            "regent_operations_ended_total{kind=\"pull\",outcome=\"image_too_large\"} 1",
            "regent_callbacks_total{outcome=\"delivered\"} 4",
            "regent_driver_libraries 3",
            "regent_driver_changes_total{change=\"upgraded\",driver=\"harbor\"} 2",
            "regent_driver_restarts_total{driver=\"quay\"} 1",
            "regent_driver_calls_total{driver=\"harbor\",outcome=\"driver_panicked\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let told = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next());
        for name in told {
            assert!(METRICS.iter().any(|m| m.name == name), "{name} is not in the table");
        }
    }
}
