//! How a scan goes, for people: bars on a terminal, quiet lines otherwise.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::say;
use crate::scanning::{Progress, ProgressEvent};

/// Progress on standard error.
pub(super) struct Shown {
    bars: Option<MultiProgress>,
    // Held for a few instructions; never over an await.
    layers: Mutex<Vec<ProgressBar>>,
}

impl Shown {
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, layers: Mutex::default() }
    }
}

impl Progress for Shown {
    fn event(&self, event: ProgressEvent<'_>) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        match (event, &self.bars) {
            (ProgressEvent::Resolved(image), Some(bars)) => {
                let style = ProgressStyle::with_template(
                    "{prefix:.dim} {wide_bar} {bytes:>10}/{total_bytes:<10} {msg}",
                );
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                for layer in &image.image.layers {
                    let bar = bars.add(ProgressBar::new(layer.size_bytes).with_style(style.clone()));
                    bar.set_prefix(layer.digest.hex().chars().take(12).collect::<String>());
                    layers.push(bar);
                }
            }
            (ProgressEvent::Resolved(image), None) => {
                let n = image.image.layers.len();
                say(format_args!("regent: {n} layers, {} bytes", image.layers_size_bytes()));
            }
            (ProgressEvent::LayerBytes { layer, n_bytes }, _) => {
                if let Some(bar) = layers.get(layer) {
                    bar.inc(n_bytes);
                }
            }
            (ProgressEvent::LayerDone { layer, cached }, _) => {
                if let Some(bar) = layers.get(layer) {
                    bar.finish_with_message(if cached { "known" } else { "read" });
                }
            }
            (ProgressEvent::LayerHeld { .. } | ProgressEvent::Analyzing, _) => {}
        }
    }
}
