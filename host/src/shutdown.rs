//! Stopping, in two steps that everyone is told: first nothing new is begun, then nobody comes in any more.
//!
//! Between the two lies a delay in which `/readiness` is red and requests are still answered, so that whoever sends them
//! has looked at it before the port is closed.

use std::io;
use std::time::Duration;

use regent_transport::{Class, Fault, Retry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// After which time to ask again: those who send requests look elsewhere by then, or the agent has been started anew.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Asks everyone to stop.
#[derive(Debug, Clone)]
pub struct Trigger {
    sender: watch::Sender<Option<Asked>>,
    delay: Duration,
}

/// Told when to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Option<Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    closing: Instant,
}

/// Nothing new is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent is stopping and takes no more operations")]
pub struct Stopping;

/// A trigger with what it tells. There is no delay between the steps.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(None);
    (Trigger { sender, delay: Duration::ZERO }, Shutdown(receiver))
}

impl Trigger {
    /// The same trigger with this time between the steps.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Asks for the stop. More than once is as good as once.
    pub fn request(&self) {
        let at = Instant::now();
        self.sender.send_if_modified(|asked| {
            let is_first = asked.is_none();
            asked.get_or_insert(Asked { at, closing: at + self.delay });
            is_first
        });
    }

    /// Asks for both steps now, also if the first has been asked for.
    pub fn request_at_once(&self) {
        let now = Instant::now();
        self.sender.send_modify(|asked| {
            let at = asked.map_or(now, |asked| asked.at);
            *asked = Some(Asked { at, closing: now });
        });
    }

    /// Asks for the stop at SIGTERM; at once at SIGINT, which a person sends, and at any second signal.
    ///
    /// # Errors
    /// When the process can't listen for signals.
    pub async fn on_signal(self) -> io::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let is_interrupted = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => true,
        };
        tracing::info!(signal = if is_interrupted { "SIGINT" } else { "SIGTERM" }, "stopping");
        if !is_interrupted {
            self.request();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        self.request_at_once();
        Ok(())
    }
}

impl Shutdown {
    /// Returns when the stop was asked for, or no one is left to ask. Cancel-safe.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, and with it the program.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// When the stop was asked for.
    pub fn requested_at(&self) -> Option<Instant> {
        self.0.borrow().map(|asked| asked.at)
    }

    /// Returns when nobody is to come in any more, or no one is left to ask for it. Cancel-safe.
    pub async fn closing(&mut self) {
        loop {
            let asked = *self.0.borrow_and_update();
            let time = async {
                match asked {
                    Some(asked) => sleep_until(asked.closing).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => return,
                changed = self.0.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether something new may be begun.
    ///
    /// # Errors
    /// [`Stopping`]: the stop was asked for.
    pub fn check(&self) -> Result<(), Stopping> {
        if self.is_requested() { Err(Stopping) } else { Ok(()) }
    }
}

impl Fault for Stopping {
    fn class(&self) -> Class {
        Class::Unavailable
    }

    fn retry(&self) -> Retry {
        Retry::After(RETRY_AFTER)
    }

    fn code(&self) -> &'static str {
        "agent_stopping"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_is_told_also_one_that_asks_later() {
        let (trigger, mut first) = channel();
        let mut second = first.clone();
        assert!(!first.is_requested() && first.check().is_ok());
        trigger.request();
        first.requested().await;
        first.closing().await;
        second.requested().await;
        assert!(second.is_requested());
        assert_eq!(second.check().unwrap_err().code(), "agent_stopping");
    }

    #[tokio::test]
    async fn without_a_trigger_nobody_waits_for_ever() {
        let (trigger, mut shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
        shutdown.closing().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_step_comes_after_the_delay_or_when_it_is_asked_for() {
        let delay = Duration::from_secs(2);
        // (how long after the first time it is asked again, whether at once, how long the delay is then)
        let rows = [
            (None, delay),
            (Some((1, false)), delay),
            (Some((1, true)), Duration::from_secs(1)),
            (Some((0, true)), Duration::ZERO),
        ];
        for (again, expected) in rows {
            let (trigger, mut shutdown) = channel();
            let trigger = trigger.with_delay(delay);
            let begun = Instant::now();
            trigger.request();
            shutdown.requested().await;
            assert_eq!(begun.elapsed(), Duration::ZERO);
            let ask = async {
                if let Some((after, at_once)) = again {
                    tokio::time::sleep(Duration::from_secs(after)).await;
                    if at_once { trigger.request_at_once() } else { trigger.request() }
                }
            };
            tokio::join!(shutdown.closing(), ask);
            assert_eq!(begun.elapsed(), expected, "{again:?}");
            assert_eq!(shutdown.requested_at(), Some(begun));
        }
    }
}
