//! How much disk and memory there is.

use std::fs;
use std::path::Path;

/// Where the kernel tells of control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What there is at a time, in bytes. `None` for what can't be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// What this user may still write to the data directory's file system.
    pub(super) free_disk: Option<u64>,
    /// The process's resident set.
    pub(super) resident: Option<u64>,
    /// What it may be; without a limit too.
    pub(super) max_memory: Option<u64>,
}

impl Measured {
    /// Measures. `max_memory` is the operator's word, without which the container's counts. Blocking.
    pub(super) fn now(data_dir: &Path, max_memory: Option<u64>) -> Self {
        let groups = || fs::read_to_string("/proc/self/cgroup").ok();
        Self {
            free_disk: free_disk_bytes(data_dir),
            resident: fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_bytes(&text)),
            // Read each time: limits of running containers can be changed.
            max_memory: max_memory.or_else(|| smallest_limit(&groups()?, Path::new(CGROUPS))),
        }
    }
}

fn free_disk_bytes(data_dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(data_dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// `VmRSS` of `/proc/self/status` (proc(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The smallest limit of the process's control group and those around it. `groups` is the text of `/proc/self/cgroup`
/// (cgroups(7)); version 1 has a line with the controller's name, version 2 one that begins with `0::`.
///
/// In a container the named groups are those of the machine as a rule, and are not seen: then the root is the container's.
fn smallest_limit(groups: &str, root: &Path) -> Option<u64> {
    let found = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let (root, files): (_, &[&str]) = if controllers.is_empty() {
            (root.to_owned(), &["memory.max", "memory.high"])
        } else if controllers.split(',').any(|name| name == "memory") {
            (root.join("memory"), &["memory.limit_in_bytes"])
        } else {
            return None;
        };
        let group = root.join(group.trim_start_matches('/'));
        let directories = group.ancestors().take_while(|directory| directory.starts_with(&root));
        directories
            .flat_map(|directory| files.iter().filter_map(move |file| limit(&directory.join(file))))
            .min()
    });
    found.min()
}

/// A limit as the kernel writes it: a number, or `max`. Version 1 says nearly `i64::MAX` for that.
fn limit(file: &Path) -> Option<u64> {
    const NONE: u64 = 1 << 60;
    let bytes = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < NONE).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_and_this_disk_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        let measured = Measured::now(folder.path(), Some(7));
        assert!(measured.free_disk.is_some());
        assert!(measured.resident.is_some_and(|bytes| bytes > 1 << 20), "{measured:?}");
        assert_eq!(measured.max_memory, Some(7));
        assert_eq!(Measured::now(&folder.path().join("gone"), None).free_disk, None);
    }

    #[test]
    fn the_resident_set_stands_in_the_status() {
        let rows = [
            ("Name:\tregent\nVmPeak:\t  9 kB\nVmRSS:\t  51200 kB\nRssAnon:\t 1 kB\n", Some(51_200 << 10)),
            ("Name:\tregent\n", None),
            ("VmRSS:\tmuch\n", None),
        ];
        for (status, expected) in rows {
            assert_eq!(resident_bytes(status), expected, "{status}");
        }
    }

    #[test]
    fn the_smallest_limit_of_the_groups_around_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |file: &str, text: &str| {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pod/agent/memory.max", "max\n");
        write("pod/agent/memory.high", "700\n");
        write("pod/memory.max", "500\n");
        write("pod/memory.high", "max\n");
        write("lone/memory.max", "max\n");
        write("memory/old/memory.limit_in_bytes", "300\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let rows = [
            ("0::/pod/agent\n", Some(500)),
            ("0::/lone\n", None),
            ("0::/not/seen\n", None),
            ("0::/../..\n", None),
            ("12:cpu,cpuacct:/old\n4:memory:/old\n1:name=systemd:/\n", Some(300)),
            ("4:memory:/\n", None),
            ("nonsense\n", None),
            ("", None),
        ];
        for (groups, expected) in rows {
            assert_eq!(smallest_limit(groups, root), expected, "{groups}");
        }
        write("memory.max", "900\n");
        for (groups, expected) in [("0::/\n", Some(900)), ("0::/not/seen\n", Some(900))] {
            assert_eq!(smallest_limit(groups, root), expected, "{groups}");
        }
    }
}
