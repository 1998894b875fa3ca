//! Counters over all requests.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// What Prometheus is told of outgoing HTTP.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    received_bytes: IntCounter,
    seconds: Histogram,
}

impl HttpMetrics {
    pub(super) fn new() -> Self {
        let requests = Opts::new(
            "regent_http_requests_total",
            "Outgoing requests by outcome: status class or error code",
        );
        let received = Opts::new("regent_http_received_bytes_total", "Bytes of bodies received");
        let seconds = HistogramOpts::new("regent_http_response_seconds", "Time until the head of an answer");
        Self {
            requests: IntCounterVec::new(requests, &["outcome"]).expect("the names are valid"),
            received_bytes: IntCounter::with_opts(received).expect("the name is valid"),
            seconds: Histogram::with_opts(seconds).expect("the name is valid"),
        }
    }

    /// Adds the counters to a registry of metrics.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.received_bytes.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }

    /// Requests with this outcome: `2xx` … `5xx`, or an error code such as `egress_refused`.
    pub fn requests(&self, outcome: &str) -> u64 {
        self.requests.with_label_values(&[outcome]).get()
    }

    pub(super) fn answered(&self, status: http::StatusCode, seconds: f64) {
        let class = match status.as_u16() / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        self.requests.with_label_values(&[class]).inc();
        self.seconds.observe(seconds);
    }

    pub(super) fn failed(&self, code: &str) {
        self.requests.with_label_values(&[code]).inc();
    }

    pub(super) fn received(&self, n_bytes: usize) {
        self.received_bytes.inc_by(n_bytes as u64);
    }
}
