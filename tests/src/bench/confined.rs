//! A process on one core and in so much memory, as a small container has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TASKSET: &str = "/usr/bin/taskset";
const CGROUPS: &str = "/sys/fs/cgroup";

/// A command that runs a program on the first core alone.
pub fn on_one_core(program: &Path) -> Command {
    let mut command = Command::new(TASKSET);
    command.args(["-c", "0"]).arg(program);
    command
}

/// The same of a command with its arguments.
pub fn command_on_one_core(whole: &Command) -> Command {
    let mut command = on_one_core(Path::new(whole.get_program()));
    command.args(whole.get_args());
    command
}

/// A control group with a limit of memory, removed on drop. The processes in it have to end first.
#[derive(Debug)]
pub struct Confinement {
    folder: PathBuf,
}

impl Confinement {
    /// One of version 1 or 2, where this process may make it.
    pub fn of_memory(bytes: u64) -> Option<Self> {
        let name = format!("regent-bench-{}", std::process::id());
        let root = Path::new(CGROUPS);
        let ways = [(root.join("memory"), "memory.limit_in_bytes"), (root.to_owned(), "memory.max")];
        ways.into_iter().find_map(|(parent, limit)| {
            let folder = parent.join(&name);
            fs::create_dir(&folder).ok()?;
            let group = Self { folder };
            // Dropped, and so removed, where there is no such limit.
            fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    /// Puts a process into it, with what it starts from now on.
    pub fn take(&self, pid: i32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        // Where a process is still in it, it stays, and harms nobody.
        let _ = fs::remove_dir(&self.folder);
    }
}
