//! Commands that have ended: what they said, and with which number.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::artifacts::regent;

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

/// `regent drivers check --json` of a library, with nothing but the library known to it.
pub fn driver_check(library: &Path) -> Ended {
    let mut command = Command::new(regent());
    command.args(["drivers", "check", "--json"]).arg(library).env_clear().stdin(Stdio::null());
    command.output().expect("regent starts").into()
}
