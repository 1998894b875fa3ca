//! What is kept of all layers of one image, bounded together.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that may still be kept of one image. Its layers, which are read side by side, share one.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    left_bytes: AtomicU64,
}

impl Budget {
    /// A budget of that many bytes ([`Limits::kept_image_bytes`](crate::Limits)).
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, left_bytes: AtomicU64::new(limit_bytes) }
    }

    /// What it was in the beginning, in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Takes some. False, and nothing is taken, if that is more than there is left.
    #[must_use]
    pub fn spend(&self, n_bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(n_bytes);
        self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives back what was taken and isn't kept.
    pub fn give_back(&self, n_bytes: u64) {
        self.left_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_left_is_not_given_and_costs_nothing() {
        let budget = Budget::new(10);
        assert!(budget.spend(6));
        assert!(!budget.spend(5));
        assert!(budget.spend(4));
        budget.give_back(3);
        assert!(budget.spend(3) && !budget.spend(1));
    }
}
