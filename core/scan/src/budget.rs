//! What the layers of one image may cost together. They are read side by side, and share one budget.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::Limits;

/// Names of the limits that hold for an image, fields of [`Limits`].
pub(crate) const KEPT_IMAGE_BYTES: &str = "kept_image_bytes";
pub(crate) const SPOOLED_IMAGE_BYTES: &str = "spooled_image_bytes";

/// What is left for the layers of one image.
#[derive(Debug)]
pub struct ImageBudget {
    /// Of [`Limits::kept_image_bytes`].
    pub kept: Budget,
    /// Of [`Limits::spooled_image_bytes`]. Nothing of it is given back, since a disk that was written to has had the work; but
    /// what a reading in parts took that is followed by one of the whole layer.
    pub spooled: Budget,
}

/// Bytes that may still be taken.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    left_bytes: AtomicU64,
}

impl ImageBudget {
    /// That of an image of which nothing was read yet.
    pub fn new(limits: &Limits) -> Self {
        Self { kept: Budget::new(limits.kept_image_bytes), spooled: Budget::new(limits.spooled_image_bytes) }
    }
}

impl Budget {
    /// A budget of that many bytes.
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
