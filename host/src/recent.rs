//! What was used lately, in memory up to so many bytes: the least recently used leave first.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key. Nothing in it is needed: what has left is made again.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    max_bytes: u64,
    kept: HashMap<K, Kept<V>>,
    kept_bytes: u64,
    clock: u64,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    size_bytes: u64,
    used: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// Nothing yet.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, kept: HashMap::new(), kept_bytes: 0, clock: 0 }
    }

    /// The value of a key, if it is there.
    pub(crate) fn find(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let kept = self.kept.get_mut(key)?;
        kept.used = self.clock;
        Some(kept.value.clone())
    }

    /// Keeps a value of so many bytes in the place of what its key had. One that takes more than a quarter of all there is
    /// room for is not worth what it pushes out.
    pub(crate) fn keep(&mut self, key: K, value: V, size_bytes: u64) {
        self.clock += 1;
        if let Some(old) = self.kept.remove(&key) {
            self.kept_bytes -= old.size_bytes;
        }
        if size_bytes > self.max_bytes / 4 {
            return;
        }
        self.kept.insert(key, Kept { value, size_bytes, used: self.clock });
        self.kept_bytes += size_bytes;
        while self.kept_bytes > self.max_bytes {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            let Some(gone) = oldest.and_then(|oldest| self.kept.remove(&oldest)) else { break };
            self.kept_bytes -= gone.size_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_leave_first_and_large_ones_never_come() {
        let mut recent = Recent::new(100);
        for name in ["a", "b", "c", "d"] {
            recent.keep(name, name, 25);
        }
        assert_eq!((recent.find(&"a"), recent.find(&"d")), (Some("a"), Some("d")));
        recent.keep("e", "e", 25);
        assert_eq!(["a", "b", "e"].map(|name| recent.find(&name)), [Some("a"), None, Some("e")]);
        recent.keep("huge", "huge", 26);
        assert_eq!((recent.find(&"huge"), recent.find(&"a")), (None, Some("a")));
        recent.keep("a", "another", 1); // replaced, not counted twice
        recent.keep("f", "f", 24);
        assert_eq!(
            ["a", "c", "d", "e", "f"].map(|name| recent.find(&name)),
            [Some("another"), Some("c"), Some("d"), Some("e"), Some("f")]
        );
        recent.keep("a", "large", 26);
        assert_eq!(recent.find(&"a"), None, "and the old one is not it");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut recent = Recent::new(0);
        recent.keep("a", "a", 1);
        assert_eq!(recent.find(&"a"), None);
    }
}
