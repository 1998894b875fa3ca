//! What a process takes of the system, as the kernel accounts for it.

use std::fs;
use std::path::PathBuf;

/// At one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory.
    pub resident_kib: u64,
    /// Open file descriptors, sockets included.
    pub files: usize,
    /// Threads.
    pub threads: usize,
}

impl Footprint {
    /// Of a running process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn of(pid: i32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(folder.join("status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            resident_kib: number("VmRSS:"),
            files: fs::read_dir(folder.join("fd")).unwrap().count(),
            threads: usize::try_from(number("Threads:")).unwrap(),
        }
    }
}
