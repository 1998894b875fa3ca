//! What the handler writes, as its reader understands it.
//!
//! Numbers of 8 bytes, the thread's name, the text of `/proc/self/maps` with a zero byte behind, and the stack from the
//! stack pointer on, or from the first page above it that can be read. It ends where the pipe was full.

use std::io::{self, Read};

use regent_oci::Digest;
use secrecy::zeroize::Zeroizing;

use super::handler::signal_name;
use super::mapping::Mapping;

/// The first number.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"RegCrsh1");
/// Bytes of all numbers.
pub(super) const HEAD_BYTES: usize = 10 * 8;
/// Bytes of a thread's name (`prctl(2)`, `PR_GET_NAME`).
pub(super) const NAME_BYTES: usize = 16;
/// The most of a stack that is copied.
pub(super) const MAX_STACK_BYTES: usize = 64 << 10;
/// A page, as far as reading goes: the smallest one there is.
pub(super) const PAGE: usize = 4096;
/// Pages above a stack pointer that may be unreadable: the guard of a stack that has overflowed.
pub(super) const MAX_GUARD_PAGES: usize = 16;
/// The most that is read: what the pipe holds.
const MAX_BYTES: u64 = 1 << 20;
/// An access so far from the stack pointer is one of the stack's own.
const NEAR_THE_STACK: u64 = (MAX_GUARD_PAGES * PAGE) as u64;
/// `si_code` of a signal that a call has sent (`sigaction(2)`, `SI_TKILL`); those of the kernel are positive.
const SENT_TO_A_THREAD: i32 = -6;

/// A crash, as the process has seen it.
pub(crate) struct Fault {
    /// The signal's number.
    pub(crate) signal: i32,
    /// The id of the thread that it came to.
    pub(crate) thread: u32,
    /// The thread's name, as far as the system keeps it.
    pub(crate) thread_name: String,
    code: i32,
    sender: i32,
    address: u64,
    pub(super) registers: Registers,
    pub(super) mappings: Vec<Mapping>,
    pub(super) stack: Stack,
}

/// Registers that a stack is followed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) pc: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    /// Of aarch64 alone.
    pub(super) lr: u64,
}

/// The top of a stack. Wiped when it is dropped: there may be anything in it.
#[derive(Default)]
pub(super) struct Stack {
    start: u64,
    bytes: Zeroizing<Vec<u8>>,
}

/// Why a signal came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody has sent it, who is not the process: its id, 0 from outside of a container.
    Sent(i32),
    /// The thread has done it.
    Own(String),
}

impl Fault {
    /// Reads what a process has left in its pipe, which is empty where it has not crashed.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(pipe: impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Zeroizing::new(Vec::new());
        let mut pipe = pipe.take(MAX_BYTES);
        match pipe.read_to_end(&mut bytes) {
            // A pipe that does not block, and whose other end somebody has open yet.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (name, rest) = rest.split_at_checked(NAME_BYTES)?;
        let mut numbers = head.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        let mut next = || numbers.next();
        if next()? != MAGIC {
            return None;
        }
        let small = |number: u64| i32::try_from(number.cast_signed()).ok();
        let (signal, code, sender) = (small(next()?)?, small(next()?)?, small(next()?)?);
        let thread = u32::try_from(next()?).ok()?;
        let address = next()?;
        let registers = Registers { pc: next()?, sp: next()?, fp: next()?, lr: next()? };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let mappings = Mapping::parse_all(&String::from_utf8_lossy(parts.next().unwrap_or_default()));
        let start = stack_start(&mappings, registers.sp);
        let stack = Stack { start, bytes: Zeroizing::new(parts.next().unwrap_or_default().to_vec()) };
        let thread_name = String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect();
        Some(Self { signal, thread, thread_name, code, sender, address, registers, mappings, stack })
    }

    /// Why the signal came. `own` is the id of the process.
    pub(crate) fn cause(&self, own: u32) -> Cause {
        if self.code <= 0 && !(self.code == SENT_TO_A_THREAD && u32::try_from(self.sender) == Ok(own)) {
            return Cause::Sent(self.sender);
        }
        let name = signal_name(self.signal).unwrap_or("a signal");
        let more = if self.is_overflow() { " (the stack of the thread has overflowed)" } else { "" };
        Cause::Own(format!("{name}{more}"))
    }

    /// Whether the thread has used up its stack: it touched what can't be read, next to its stack pointer.
    fn is_overflow(&self) -> bool {
        let is_fault = self.code > 0 && matches!(self.signal, libc::SIGSEGV | libc::SIGBUS);
        let is_readable = |at: u64| self.mappings.iter().any(|m| m.is_readable && m.addresses.contains(&at));
        is_fault
            && !self.mappings.is_empty()
            && self.address.abs_diff(self.registers.sp) <= NEAR_THE_STACK
            && !is_readable(self.address)
    }
}

/// Where the copied part begins: as the handler looks for it.
fn stack_start(mappings: &[Mapping], sp: u64) -> u64 {
    let is_readable = |at: &u64| mappings.iter().any(|m| m.is_readable && m.addresses.contains(at));
    let page = PAGE as u64;
    let aligned = sp & !7;
    let above = (1..MAX_GUARD_PAGES as u64).map(|n| (aligned & !(page - 1)).wrapping_add(n * page));
    std::iter::once(aligned).chain(above).find(is_readable).unwrap_or(aligned)
}

impl Stack {
    /// The number at an address.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(word.try_into().ok()?))
    }
}

/// The digest of a driver's bytes in the name that its copy in memory has.
pub(crate) fn driver_of(path: &str) -> Option<Digest> {
    let (_, named) = path.rsplit_once(regent_plugin_api::load::COPY_PREFIX)?;
    let hex = named.strip_suffix(".so").unwrap_or(named).rsplit('-').next()?;
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(signal: i32, code: i32, sender: i32, address: u64, sp: u64) -> Vec<u8> {
        let word = |n: i32| i64::from(n).cast_unsigned();
        let numbers = [MAGIC, word(signal), word(code), word(sender), 77, address, 0x1010, sp, 0, 0];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        bytes.extend(b"driver-fixture-\0");
        bytes.extend(b"1000-2000 r-xp 00000000 00:01 7   /memfd:x (deleted)\n");
        bytes.extend(b"8000-9000 ---p 00000000 00:00 0 \n9000-a000 rw-p 00000000 00:00 0 \n\0");
        bytes.extend((0..8_u64).flat_map(u64::to_ne_bytes));
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let fault = Fault::read(&*record(libc::SIGSEGV, 1, 0, 0x5000_0000, 0x9000)).unwrap().unwrap();
        assert_eq!((fault.signal, fault.thread, fault.thread_name.as_str()), (11, 77, "driver-fixture-"));
        assert_eq!(fault.mappings.len(), 3);
        assert_eq!((fault.stack.word(0x9000), fault.stack.word(0x9038)), (Some(0), Some(7)));
        assert_eq!((fault.stack.word(0x8ff8), fault.stack.word(0x9040)), (None, None));
        assert_eq!(fault.cause(1), Cause::Own("SIGSEGV".to_owned()));
        // Nothing of a process that ended otherwise, and nothing of one that could not write all of it.
        assert!(Fault::read(&b""[..]).unwrap().is_none());
        assert!(Fault::read(&record(11, 1, 0, 0, 0)[..60]).unwrap().is_none());
        let cut = Fault::read(&record(11, 1, 0, 0, 0)[..HEAD_BYTES + NAME_BYTES + 30]).unwrap().unwrap();
        assert!(cut.mappings.len() < 2 && cut.stack.word(0x9000).is_none());
    }

    #[test]
    fn a_signal_that_was_sent_is_nobodys_doing_and_an_overflow_is_told() {
        let cause = |signal, code, sender, address, sp| {
            Fault::parse(&record(signal, code, sender, address, sp)).unwrap().cause(50)
        };
        let own = |words: &str| Cause::Own(words.to_owned());
        assert_eq!(cause(libc::SIGSEGV, 0, 9, 0, 0x9000), Cause::Sent(9), "kill");
        assert_eq!(
            cause(libc::SIGABRT, -6, 50, 0, 0x9000),
            own("SIGABRT"),
            "abort sends it to its own thread"
        );
        assert_eq!(cause(libc::SIGABRT, -6, 51, 0, 0x9000), Cause::Sent(51), "another process's tgkill");
        let overflow = own("SIGSEGV (the stack of the thread has overflowed)");
        assert_eq!(cause(libc::SIGSEGV, 2, 0, 0x8ff8, 0x9000), overflow, "a push below the last page");
        assert_eq!(cause(libc::SIGSEGV, 2, 0, 0x8100, 0x8100), overflow, "a probe of a large frame");
        assert_eq!(cause(libc::SIGSEGV, 1, 0, 0x5000_0000, 0x9000), own("SIGSEGV"));
    }

    #[test]
    fn the_stack_begins_at_the_first_page_that_can_be_read() {
        let fault = Fault::parse(&record(libc::SIGSEGV, 2, 0, 0x8100, 0x8100)).unwrap();
        assert_eq!((fault.stack.word(0x8ff8), fault.stack.word(0x9008)), (None, Some(1)));
    }

    #[test]
    fn a_copy_in_memory_tells_whose_it_is() {
        let digest = Digest::sha256(b"x");
        let hex = digest.hex();
        for path in [
            format!("/memfd:{}docker-hub-{hex}", regent_plugin_api::load::COPY_PREFIX),
            format!(
                "/var/lib/regent/libraries/{}docker-hub-0-{hex}.so",
                regent_plugin_api::load::COPY_PREFIX
            ),
        ] {
            assert_eq!(driver_of(&path), Some(digest.clone()), "{path}");
        }
        assert_eq!(driver_of("/usr/lib/libc.so.6"), None);
        assert_eq!(driver_of("/memfd:regent-driver-harbor"), None);
    }
}
