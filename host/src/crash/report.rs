//! What is kept of a crash: a small file for each, the last ones only.
//!
//! There is nothing of the memory in it but where in the code the thread was: no registers, no addresses of data.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::unwind::Frame;
use crate::drivers::Suspect;
use crate::settings::create_private_dir;
use crate::told_time::in_seconds;

/// The directory, in the data directory.
const DIRECTORY: &str = "crashes";
/// Reports that are kept.
const MAX_REPORTS: usize = 16;
/// Frames that are told in words.
const FRAMES_IN_WORDS: usize = 6;

/// One crash.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// When it was seen, by RFC 3339.
    time: String,
    /// The program's version.
    regent: &'static str,
    /// What happened, in words: the signal.
    how: String,
    /// The name of the thread, and its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    /// Drivers that are held to be the cause.
    blamed: Vec<Suspect>,
    /// Other drivers whose code ran.
    beside: Vec<Suspect>,
    /// The stack of the thread, the innermost frame first.
    stack: Vec<Told>,
}

/// A frame as it is kept.
#[derive(Debug, Clone, Serialize)]
struct Told {
    module: String,
    offset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
}

impl Report {
    /// A report of now.
    pub(crate) fn new(
        how: &str,
        thread: Option<String>,
        (blamed, beside): (Vec<Suspect>, Vec<Suspect>),
        stack: &[Frame],
    ) -> Self {
        let told = |frame: &Frame| Told {
            module: frame.module.clone(),
            offset: format!("{:#x}", frame.offset),
            function: frame.function.clone(),
        };
        let now = OffsetDateTime::now_utc();
        Self {
            time: in_seconds(now),
            regent: env!("CARGO_PKG_VERSION"),
            how: how.to_owned(),
            thread,
            blamed,
            beside,
            stack: stack.iter().map(told).collect(),
        }
    }

    /// Keeps it, for the agent's user alone, and lets go of the oldest. Returns the file's name below the data directory.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn keep(&self, data_dir: &Path) -> io::Result<String> {
        let directory = data_dir.join(DIRECTORY);
        create_private_dir(&directory)?;
        let now = OffsetDateTime::now_utc();
        let form = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:6]Z");
        let stamp = now.format(form).map_err(io::Error::other)?;
        let driver = self.blamed.first().map_or("none", |suspect| suspect.driver.as_str());
        let name = format!("{stamp}-{driver}.json");
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(&name))?;
        file.write_all((serde_json::to_string_pretty(self)? + "\n").as_bytes())?;
        file.sync_all()?;
        let mut known: Vec<_> =
            fs::read_dir(&directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        known.retain(|path| path.extension().is_some_and(|end| end == "json"));
        known.sort(); // by the time in their names
        for old in known.iter().rev().skip(MAX_REPORTS) {
            fs::remove_file(old)?;
        }
        Ok(format!("{DIRECTORY}/{name}"))
    }
}

/// The innermost frames, in a line. From the first one of a driver on, where there is one: what is further in is how a process
/// ends.
pub(crate) fn in_words(stack: &[Frame]) -> String {
    let first = stack.iter().position(|frame| frame.driver.is_some()).unwrap_or(0);
    let frames: Vec<String> =
        stack.iter().skip(first).take(FRAMES_IN_WORDS).map(ToString::to_string).collect();
    frames.join(" < ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use regent_oci::Digest;

    use super::*;

    fn frame(module: &str, function: Option<&str>, driver: bool) -> Frame {
        Frame {
            module: module.to_owned(),
            offset: 0x1234,
            function: function.map(str::to_owned),
            driver: driver.then(|| Digest::sha256(b"d")),
        }
    }

    #[test]
    fn the_last_ones_are_kept_for_the_agents_user() {
        let data = tempfile::tempdir().unwrap();
        let stack = [frame("libc.so.6", None, false), frame("d.so", Some("d::inner"), true)];
        let report = Report::new("it crashed with SIGSEGV", None, (Vec::new(), Vec::new()), &stack);
        let mut last = String::new();
        for _ in 0..MAX_REPORTS + 3 {
            last = report.keep(data.path()).unwrap();
        }
        assert_eq!(fs::read_dir(data.path().join(DIRECTORY)).unwrap().count(), MAX_REPORTS);
        let file = data.path().join(&last);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(kept["stack"][1]["function"], "d::inner");
        assert_eq!(kept["stack"][0]["offset"], "0x1234");
        assert_eq!(in_words(&stack), "d.so+0x1234 d::inner", "what abort calls is not told");
        assert_eq!(in_words(&stack[..1]), "libc.so.6+0x1234");
    }
}
