//! Stopping: one signal, seen by everyone who has to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Asks everyone to stop.
#[derive(Debug, Clone)]
pub struct Trigger(watch::Sender<bool>);

/// Told when to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger with what it tells.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Asks for the stop. More than once is as good as once.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Asks for the stop at SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the process can't listen for signals.
    pub async fn on_signal(self) -> io::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        self.request();
        Ok(())
    }
}

impl Shutdown {
    /// Returns when the stop was asked for, or no one is left to ask. Cancel-safe.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, and with it the program.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_is_told_also_one_that_asks_later() {
        let (trigger, mut first) = channel();
        let mut second = first.clone();
        assert!(!first.is_requested());
        trigger.request();
        first.requested().await;
        second.requested().await;
        assert!(second.is_requested());
    }

    #[tokio::test]
    async fn without_a_trigger_nobody_waits_for_ever() {
        let (trigger, mut shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
    }
}
