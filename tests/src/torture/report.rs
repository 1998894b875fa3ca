//! What came of a run.

use std::fmt;
use std::time::Duration;

/// The tally of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What was run.
    pub name: String,
    /// Operations that were accepted.
    pub operations: usize,
    /// Processes that were killed.
    pub kills: usize,
    /// Of them, while operations were open.
    pub kills_at_work: usize,
    /// Times that a network was cut.
    pub cuts: usize,
    /// Callbacks that were taken, each counted once.
    pub taken: usize,
    /// Callbacks that were taken again under the same key.
    pub duplicates: usize,
    /// Callbacks of a second run, after the store had lost the outcome of the first: the same content under the same key.
    pub anew: usize,
    /// Callbacks that the sink refused, or left without its answer.
    pub refused: usize,
    /// Requests that were sent again since they got no answer.
    pub repeated: usize,
    /// Requests that were answered 429 or 503.
    pub put_off: usize,
    /// Operations that were accepted and whose last callback never came.
    pub lost: usize,
    /// What may not happen.
    pub wrong: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// Whether nothing is lost and nothing wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong.is_empty()
    }

    /// Panics with the tally unless the run is clean.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for (name, number) in [
            ("operations", self.operations),
            ("kills", self.kills),
            ("  while operations were open", self.kills_at_work),
            ("network cuts", self.cuts),
            ("callbacks taken", self.taken),
            ("  again under the same key", self.duplicates),
            ("  of another run", self.anew),
            ("callbacks refused", self.refused),
            ("requests repeated", self.repeated),
            ("requests put off (429, 503)", self.put_off),
            ("lost", self.lost),
            ("wrong", self.wrong.len()),
        ] {
            writeln!(f, "{name:<30} {number:>7}")?;
        }
        writeln!(f, "{:<30} {:>7.1}", "seconds", self.time.as_secs_f64())?;
        for wrong in self.wrong.iter().take(20) {
            writeln!(f, "  {wrong}")?;
        }
        Ok(())
    }
}
