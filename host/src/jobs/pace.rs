//! How fast operations end, for an honest answer to one who finds the queue full.

use std::time::Duration;

use tokio::time::Instant;

/// What is said before anything has ended: a scan takes some seconds.
const AT_FIRST: Duration = Duration::from_secs(30);
/// The least and the most that is said.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// The mean time between the ends of operations, the last ones counting most.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    mean: Option<Duration>,
}

impl Pace {
    /// An operation has ended.
    pub(super) fn ended(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let took = now.duration_since(last);
            self.mean = Some(self.mean.map_or(took, |mean| (mean * 7 + took) / 8));
        }
    }

    /// When there will be room again, as things go. An operation that takes longer than usual counts as soon as it does.
    pub(super) fn until_room(&self) -> Duration {
        let (Some(last), Some(mean)) = (self.last, self.mean) else { return AT_FIRST };
        mean.max(last.elapsed()).clamp(BOUNDS.0, BOUNDS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_follows_how_fast_operations_end() {
        let mut pace = Pace::default();
        assert_eq!(pace.until_room(), AT_FIRST);
        for _ in 0..3 {
            pace.ended();
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(pace.until_room(), Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(pace.until_room(), Duration::from_secs(40));
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(pace.until_room(), BOUNDS.1);
    }
}
