//! Which drivers run in a process of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a driver's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// On a thread of its own in the agent's process.
    #[default]
    Thread,
    /// In a process of its own.
    Process,
}

impl Isolation {
    /// The word of `REGENT_DRIVER_ISOLATION`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
        }
    }

    /// The isolation of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Thread, Self::Process].into_iter().find(|isolation| isolation.as_str() == word)
    }
}

/// The isolation of each driver, and what a driver's process is started with.
#[derive(Debug, Clone)]
pub struct Isolations {
    /// Of the drivers that are not named.
    pub others: Isolation,
    /// By the driver's name.
    pub named: BTreeMap<String, Isolation>,
    /// The most memory that a driver's process may take for data, in bytes.
    pub memory_bytes: Option<u64>,
    /// The program that is started as a driver's process: this very one.
    pub program: PathBuf,
}

impl Default for Isolations {
    fn default() -> Self {
        Self {
            others: Isolation::Thread,
            named: BTreeMap::new(),
            memory_bytes: None,
            // Also when its file was replaced meanwhile.
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}

impl Isolations {
    /// Where the driver of this name runs.
    pub fn of(&self, driver: &str) -> Isolation {
        self.named.get(driver).copied().unwrap_or(self.others)
    }
}
