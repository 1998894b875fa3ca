//! Bringing a stored outcome to the Broker Client, part by part.

use std::time::Duration;

use regent_transport::{Fault as _, Retry};
use tokio::time::Instant;

use super::{Worker, failed};
use crate::api::problem::Problem;
use crate::callbacks::{Callback, DeliveryError, Part};
use crate::crash_point::{CrashPoint, reached};
use crate::jobs::{Delivery, Lease, QueueError, Step};

/// Parts that have arrived are noted when they have so many bytes together: so much is sent again at most when the process
/// dies, under the same keys. To note each part would be a durable write for each.
const NOTE_AFTER_BYTES: usize = 1 << 20;

impl Worker {
    /// Sends what has not arrived yet, in its order. One that does not arrive ends it: the next part would come too early.
    pub(super) async fn deliver(&self, lease: &Lease, delivery: &Delivery) -> Result<Step, QueueError> {
        let started = Instant::now();
        let (mut n_noted, mut unnoted_bytes) = (delivery.n_delivered, 0);
        for (number, part) in delivery.parts.iter().enumerate().skip(delivery.n_delivered) {
            let body = match self.parts.queue.body(lease, number).await {
                // It will not be there the next time either.
                Err(error @ QueueError::Damaged { .. }) => return Ok(lost(delivery, &error)),
                body => body?,
            };
            unnoted_bytes += body.len();
            let callback = Callback::new(lease.id, &delivery.target, *part, body);
            if let Err(error) = self.parts.deliveries.send(&callback).await {
                let is_first = number == delivery.n_delivered;
                // Counted since a part last arrived, as the queue does.
                let n_tries = if is_first { delivery.n_tries.saturating_add(1) } else { 1 };
                let elapsed = delivery.elapsed + started.elapsed();
                if number > n_noted {
                    self.parts.queue.record(lease, Step::Delivered(number)).await?;
                }
                return Ok(self.not_arrived(delivery, *part, &error, (n_tries, elapsed)));
            }
            reached(CrashPoint::CallbackTaken);
            // With the first one the other side has shown that it is there, and tries are counted anew.
            let is_due = number == delivery.n_delivered || unnoted_bytes >= NOTE_AFTER_BYTES;
            if is_due && number + 1 < delivery.parts.len() {
                self.parts.queue.record(lease, Step::Delivered(number + 1)).await?;
                (n_noted, unnoted_bytes) = (number + 1, 0);
                reached(CrashPoint::CallbackNoted);
            }
        }
        reached(CrashPoint::BeforeEnd);
        Ok(Step::Finish)
    }

    /// After so many tries in this time.
    fn not_arrived(
        &self,
        delivery: &Delivery,
        part: Part,
        error: &DeliveryError,
        (n_tries, elapsed): (u32, Duration),
    ) -> Step {
        let problem = Problem::of(error);
        let wait = self.parts.deliveries.wait(n_tries, elapsed, error);
        match (error, part) {
            // The other side is there, but does not take this: it is to know that something is missing.
            (DeliveryError::Rejected { .. }, Part::Result(_)) => {
                return failed(delivery.kind, &delivery.about, problem);
            }
            // It was not tried. How long that goes on is bounded by the time for all tries.
            (DeliveryError::LeftAlone(open), _) if wait.is_some() => {
                return Step::Defer(open.retry_after, problem);
            }
            _ => {}
        }
        match wait {
            Some(wait) => Step::Postpone(wait, error.to_string()),
            None if error.retry() == Retry::Never => Step::DeadLetter(problem),
            None => {
                let why = match (&delivery.last_failure, error) {
                    (Some(last), DeliveryError::LeftAlone(_)) => last.clone(),
                    _ => error.to_string(),
                };
                let detail = format!("{why}; there is no time left to try again");
                Step::DeadLetter(Problem::new("callback_undeliverable", detail))
            }
        }
    }
}

/// What is to be done where the store has lost what was to be delivered.
fn lost(delivery: &Delivery, error: &QueueError) -> Step {
    let problem = Problem::of(error);
    if delivery.may_run_anew { Step::Anew(problem) } else { failed(delivery.kind, &delivery.about, problem) }
}
