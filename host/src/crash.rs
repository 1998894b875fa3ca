//! What a process leaves behind when it crashes: signal, thread and stack, for its parent to read.
//!
//! The process itself does as little as can be done then ([`handler`]): registers, what is mapped where, and the top of
//! the stack go into a pipe. Its parent reads that after the end ([`Fault`]), follows the return addresses with the unwind
//! tables of the files ([`unwind`]), and keeps a report ([`report`]). The copy of the stack is never written anywhere: what
//! is kept are places in code, as module and offset, with the name of the function where the file has one.

mod handler;
mod mapping;
mod record;
mod report;
mod symbols;
mod unwind;

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};

pub(crate) use handler::{install, signal_name};
pub(crate) use record::{Cause, Fault};
pub(crate) use report::{Report, in_words};
pub(crate) use unwind::{Files, Frame, unwind};

/// A pipe for one process: the end that its parent reads from, and the one that it inherits by its number. The latter is
/// closed as soon as the process has been started, since everything that is started before has it as well.
///
/// # Errors
/// Those of `pipe(2)`.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    fcntl_setfl(&read, OFlags::NONBLOCK)?;
    fcntl_setfl(&write, OFlags::NONBLOCK)?;
    fcntl_setfd(&write, FdFlags::empty())?;
    Ok((read.into(), write.into()))
}
