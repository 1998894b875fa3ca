//! What processes cost, as the operating system accounts for them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Ticks of the processor time in `/proc`: 100 a second on every Linux that programs see.
const TICKS: f64 = 100.0;
/// GNU time, whose `%O` counts blocks of this size.
const TIME: &str = "/usr/bin/time";
const BLOCK_BYTES: f64 = 512.0;

/// What a whole process has cost.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time, the kernel's share included.
    pub cpu: f64,
    /// The most memory that was resident, in MiB.
    pub peak_mib: f64,
    /// What was written to disks, in MB.
    pub written_mb: f64,
}

/// Runs a program to its end: the command's program, arguments and variables. The other one answers whether it ended well.
///
/// # Panics
/// When it can't be started.
pub fn run(command: &Command) -> (Run, Result<(), String>) {
    let mut timed = Command::new(TIME);
    timed.args(["-q", "-f", "%e %U %S %M %O"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let output = timed.output().expect("GNU time (Debian's package `time`) is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.trim_end().lines().last().unwrap_or_default();
    let figures: Vec<f64> = last.split(' ').filter_map(|figure| figure.parse().ok()).collect();
    let [wall, user, system, peak_kib, blocks] = figures.as_slice() else { panic!("no figures in: {text}") };
    let run = Run {
        wall: *wall,
        cpu: user + system,
        peak_mib: peak_kib / 1024.0,
        written_mb: blocks * BLOCK_BYTES / 1e6,
    };
    (run, if output.status.success() { Ok(()) } else { Err(text) })
}

/// The same of a program that has to end well.
///
/// # Panics
/// With what it said, when it does not.
pub fn run_well(command: &Command) -> Run {
    let (run, ended) = run(command);
    ended.unwrap_or_else(|said| panic!("{command:?} failed: {said}"));
    run
}

/// Seconds of processor time that a running process has used so far.
///
/// # Panics
/// When it does not run.
pub fn cpu_seconds(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in front may have anything in it but a closing bracket behind its own.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..=12].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// Memory of a running process in MiB: `VmRSS` now, `VmHWM` at the most so far.
///
/// # Panics
/// When it does not run.
pub fn memory_mib(pid: i32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Bytes of all files below a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { folder_bytes(&path) } else { path.metadata().map_or(0, |file| file.len()) }
    });
    sizes.sum()
}
