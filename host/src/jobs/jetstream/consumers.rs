//! The consumers of the lanes, and those that have gone blind.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::sleep;

use super::super::QueueError;
use super::lane::Lane;
use super::ledger::unwritable;
use super::{AT_ONCE, Shared};
use crate::nats::NatsError;

/// What the server counts and what is in the stream may differ for a moment.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

impl Shared {
    /// Makes the consumers of all lanes, where they are not there.
    pub(super) async fn make_consumers(&self) -> Result<(), NatsError> {
        let made = stream::iter(Lane::all()).map(|lane| self.make_consumer(lane));
        made.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn make_consumer(&self, lane: Lane) -> Result<(), NatsError> {
        let made = self.jobs.create_consumer(self.names.consumer_config(lane, self.lease)).await;
        made.map(drop).map_err(|error| self.nats.refused(format!("consumer {}", lane.consumer()), &error))
    }

    /// Makes consumers anew that don't give out what is in their lane.
    ///
    /// A cluster whose servers were killed may come up with a stream that ends before what a consumer believes to have given out.
    /// New signs have numbers that the consumer skips then, and nobody ever gets them. What a consumer that is made anew gives
    /// out twice does no harm: the records say who has what.
    pub(super) async fn revive_consumers(&self) -> Result<(), QueueError> {
        let suspects = self.blind(Lane::all().collect()).await?;
        if suspects.is_empty() {
            return Ok(());
        }
        sleep(LOOK_AGAIN).await;
        for lane in self.blind(suspects).await? {
            let name = lane.consumer();
            tracing::warn!(consumer = name, "a consumer gives out less than there is: it is made anew");
            let refused = |error: &dyn std::error::Error| {
                unwritable(self.nats.refused(format!("consumer {name}"), error))
            };
            self.jobs.delete_consumer(&name).await.map_err(|error| refused(&error))?;
            self.make_consumer(lane).await.map_err(unwritable)?;
        }
        Ok(())
    }

    /// Those of the lanes that have more signs than their consumers will give out or have given out.
    async fn blind(&self, lanes: Vec<Lane>) -> Result<Vec<Lane>, QueueError> {
        let mut signs: HashMap<String, u64> = HashMap::new();
        for subject in self.subjects(&self.jobs).await? {
            let lane = subject.rsplit_once('.').map(|(lane, _)| lane.to_owned()).unwrap_or_default();
            *signs.entry(lane).or_default() += 1;
        }
        let mut blind = Vec::new();
        for lane in lanes {
            let Some(n_signs) = signs.get(&self.names.lane(lane)).copied() else { continue };
            let told = self.jobs.consumer_info(lane.consumer()).await;
            let told = told.map_err(|error| {
                unwritable(self.nats.refused(format!("consumer {}", lane.consumer()), &error))
            })?;
            if told.num_pending + (told.num_ack_pending as u64) < n_signs {
                blind.push(lane);
            }
        }
        Ok(blind)
    }
}
