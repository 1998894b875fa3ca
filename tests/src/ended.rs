//! Commands that have ended: what they said, and with which number.

use std::process::Output;

use serde_json::Value;

/// A command that has ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// The number that it ended with.
    pub exit: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Ended {
    /// Panics where a signal ended it, or where it wrote other than UTF-8.
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ended {
    /// Its data, after checking that it succeeded.
    pub fn data(&self) -> &str {
        assert_eq!(self.exit, 0, "{self:?}");
        &self.out
    }

    /// The same, as the JSON that it is.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.data()).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The same, line by line.
    pub fn lines(&self) -> Vec<&str> {
        self.data().lines().collect()
    }
}
