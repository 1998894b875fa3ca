//! The one thing that is done in a process that crashes: what is known goes into a pipe that its parent reads.
//!
//! A signal handler may run at any instruction of any code, so it calls what is safe there (`signal-safety(7)`) and
//! nothing else: no memory is taken, no lock, nothing of the standard library that might. It runs on the alternate stack that
//! the standard library gives to each thread, since a stack that has overflowed has no room for it. A thread that a driver
//! starts by itself has none: where such a thread overflows its stack, nothing is written.

#![expect(unsafe_code, reason = "a signal handler is given raw pointers, and is installed by raw calls")]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::record::{HEAD_BYTES, MAGIC, MAX_GUARD_PAGES, MAX_STACK_BYTES, NAME_BYTES, PAGE};

/// Signals by which a process ends that does what it must not (`signal(7)`).
const SIGNALS: [(i32, &str); 7] = [
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGSYS, "SIGSYS"),
];

/// The name of one of them.
pub(crate) fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS.iter().find(|(signal, _)| *signal == number).map(|(_, name)| *name)
}

/// What the pipe may hold: what the system gives to everyone (`pipe(7)`).
const MAX_PIPE_BYTES: c_int = 1 << 20;

/// The pipe.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// The first thread that crashes is the one that is told of.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Has crashes of this process told to the other end of a pipe, whose number it inherited. The pipe does not block.
///
/// # Errors
/// Those of `fcntl(2)` and `sigaction(2)`.
pub(crate) fn install(pipe: RawFd) -> io::Result<()> {
    // SAFETY: a number that is no open file is an error, and changes nothing.
    let kept = unsafe { libc::fcntl(pipe, libc::F_SETFD, libc::FD_CLOEXEC) };
    if kept == -1 {
        return Err(io::Error::last_os_error());
    }
    // All of it has to fit in, since it is read after the end of this process. In a smaller pipe it is less.
    // SAFETY: as above.
    unsafe { libc::fcntl(pipe, libc::F_SETPIPE_SZ, MAX_PIPE_BYTES) };
    PIPE.store(pipe, Ordering::SeqCst);
    for (signal, _) in SIGNALS {
        // SAFETY: all-zero bytes are a `sigaction` with the default action and an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_crash as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the mask is one of ours. With all signals blocked a fault in the handler ends the process at once.
        unsafe { libc::sigfillset(&raw mut action.sa_mask) };
        // SAFETY: `on_crash` has the signature that SA_SIGINFO asks for, and only does what is safe in a handler.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Writes what is known, and lets the signal end the process as if nobody had looked.
extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if IS_TAKEN.swap(true, Ordering::SeqCst) {
        loop {
            // SAFETY: waiting is safe in a handler. The thread that came first ends the process.
            unsafe { libc::pause() };
        }
    }
    tell(signal, info, context.cast());
    // SAFETY: both may be called in a handler. Blocked as it is here, the signal comes when the handler returns.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}

fn tell(signal: c_int, info: *mut libc::siginfo_t, context: *const libc::ucontext_t) {
    let pipe = PIPE.load(Ordering::SeqCst);
    // SAFETY: with SA_SIGINFO the kernel gives a whole `siginfo_t`, which nobody else has.
    let info = unsafe { &*info };
    // SAFETY: what it means depends on the code, which the reader looks at; it is a number in any case.
    let address = unsafe { info.si_addr() };
    // SAFETY: as above.
    let sender = unsafe { info.si_pid() };
    // SAFETY: a system call without arguments.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let [pc, sp, fp, lr] = registers(context);
    let word = |number: c_int| i64::from(number).cast_unsigned();
    let numbers = [
        MAGIC,
        word(signal),
        word(info.si_code),
        word(sender),
        thread.cast_unsigned(),
        address.addr() as u64,
        pc,
        sp,
        fp,
        lr,
    ];
    let mut head = [0_u8; HEAD_BYTES];
    for (word, number) in head.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
        *word = number.to_ne_bytes();
    }
    let mut name = [0_u8; NAME_BYTES];
    // SAFETY: a system call that writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let is_told = write_all(pipe, head.as_ptr(), head.len()) && write_all(pipe, name.as_ptr(), name.len());
    if is_told {
        write_mappings(pipe);
        write_stack(pipe, usize::try_from(sp).unwrap_or_default() & !7);
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(context: *const libc::ucontext_t) -> [u64; 4] {
    // SAFETY: with SA_SIGINFO the kernel gives a whole `ucontext_t`.
    let gregs = unsafe { (*context).uc_mcontext.gregs };
    let of = |register: c_int| {
        let value = usize::try_from(register).ok().and_then(|register| gregs.get(register));
        value.map_or(0, |value| value.cast_unsigned())
    };
    [of(libc::REG_RIP), of(libc::REG_RSP), of(libc::REG_RBP), 0]
}

#[cfg(target_arch = "aarch64")]
fn registers(context: *const libc::ucontext_t) -> [u64; 4] {
    // SAFETY: with SA_SIGINFO the kernel gives a whole `ucontext_t`.
    let machine = unsafe { &(*context).uc_mcontext };
    let of = |register: usize| machine.regs.get(register).copied().unwrap_or(0);
    [machine.pc, machine.sp, of(29), of(30)]
}

/// What is mapped where, and a zero byte as its end.
fn write_mappings(pipe: RawFd) {
    // SAFETY: opening may be done in a handler, and the path is a C string.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut piece = [0_u8; 1024];
    loop {
        // SAFETY: the kernel writes at most the length that it is told, and nothing where the file is not open.
        let read = unsafe { libc::read(file, piece.as_mut_ptr().cast(), piece.len()) };
        let Ok(read @ 1..) = usize::try_from(read) else { break };
        if !write_all(pipe, piece.as_ptr(), read) {
            break;
        }
    }
    write_all(pipe, [0_u8].as_ptr(), 1);
}

/// The stack from `start` on, or from the first page above it that can be read. The kernel looks whether it can, and a page
/// that is not there is an error of the call.
fn write_stack(pipe: RawFd, start: usize) {
    let mut from = start;
    for _ in 0..MAX_GUARD_PAGES {
        if write_all(pipe, from as *const u8, PAGE - from % PAGE) {
            break;
        }
        from = (from & !(PAGE - 1)).wrapping_add(PAGE);
    }
    let mut at = (from & !(PAGE - 1)).wrapping_add(PAGE);
    while at.wrapping_sub(start) < MAX_STACK_BYTES && write_all(pipe, at as *const u8, PAGE) {
        at = at.wrapping_add(PAGE);
    }
}

/// Whether all of it was written. What a full pipe does not take is left out.
fn write_all(pipe: RawFd, from: *const u8, bytes: usize) -> bool {
    let mut written = 0;
    while written < bytes {
        // SAFETY: the kernel reads the memory, and says so where there is none.
        let n = unsafe { libc::write(pipe, from.wrapping_add(written).cast(), bytes - written) };
        match usize::try_from(n) {
            Ok(n @ 1..) => written += n,
            _ => return false,
        }
    }
    true
}
