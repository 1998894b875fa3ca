//! What was mapped where (`proc_pid_maps(5)`).

use std::ops::Range;

/// Mappings that are read: a process with as many drivers as it may load has some thousand.
const MAX_MAPPINGS: usize = 16_384;
/// The file of memory has this end, since it has no name in a directory.
const GONE: &str = " (deleted)";

/// A part of the address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) addresses: Range<u64>,
    pub(super) is_readable: bool,
    pub(super) is_executable: bool,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Of the file; 0 for none.
    pub(super) inode: u64,
    /// The file, or a name such as `[stack]`; empty for neither.
    pub(super) path: String,
}

impl Mapping {
    fn parse(line: &str) -> Option<Self> {
        // `start-end perms offset device inode      path`
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let addresses = hex(start)?..hex(end)?;
        let permissions = words.next()?;
        let offset = hex(words.next()?)?;
        let _device = words.next()?;
        let inode = words.next()?.parse().ok()?;
        let path = words.next().unwrap_or_default().trim_start();
        Some(Self {
            addresses,
            is_readable: permissions.starts_with('r'),
            is_executable: permissions.contains('x'),
            offset,
            inode,
            path: path.strip_suffix(GONE).unwrap_or(path).to_owned(),
        })
    }

    /// All that can be read of a text that may have been cut.
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).take(MAX_MAPPINGS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read_and_cut_ones_left_out() {
        let text = "7f2c4a000000-7f2c4a021000 r-xp 00001000 00:01 2063                       /memfd:regent-driver-a (deleted)\n\
                    7ffd1c9f0000-7ffd1ca11000 rw-p 00000000 00:00 0                          [stack]\n\
                    7f2c50000000-7f2c50001000 ---p 00000000 00:00 0 \n\
                    7f2c4b000000-7f2c";
        let found = Mapping::parse_all(text);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found[0],
            Mapping {
                addresses: 0x7f2c_4a00_0000..0x7f2c_4a02_1000,
                is_readable: true,
                is_executable: true,
                offset: 0x1000,
                inode: 2063,
                path: "/memfd:regent-driver-a".to_owned(),
            }
        );
        assert_eq!((found[1].path.as_str(), found[1].is_executable), ("[stack]", false));
        assert_eq!((found[2].path.as_str(), found[2].is_readable), ("", false));
        // This very process has its program mapped.
        let own = Mapping::parse_all(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let program = std::env::current_exe().unwrap();
        assert!(own.iter().any(|m| m.is_executable && m.path == program.to_string_lossy()));
    }
}
