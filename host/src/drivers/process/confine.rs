//! What a driver's process may not do, enforced by the kernel from before the first instruction of the library.
//!
//! A driver asks its host for requests, so it needs no socket; it runs no programs, and no other process is its concern. Files
//! it needs only where it says so in its description: it may read all that the agent may read then, and write to the
//! directory for temporary files. The system calls are a list of what is refused, not of what is allowed: a C library that is
//! newer than this program shall run, and what is refused are the ways out.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    Scope, path_beneath_rules,
};
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// What the newest kernels that are known can refuse. Older ones refuse less.
const NEWEST: ABI = ABI::V6;
/// Where the C library and its like are, which a library may be linked with.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];
/// What any program may read.
const HARMLESS: [&str; 5] =
    ["/dev/null", "/dev/urandom", "/proc/self", "/etc/localtime", "/usr/share/zoneinfo"];

/// System calls that are refused whatever their arguments are.
const REFUSED: &[c_long] = &[
    // Ways to the network, past the rules of the operator.
    libc::SYS_socket,
    libc::SYS_io_uring_setup,
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Other processes: the agent runs as the same user.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    // The system, for an agent that has more rights than it needs.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
];

/// System calls that name a process first, and are refused for any other than the driver's own.
const FOR_ITSELF: [c_long; 4] =
    [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];
/// The same, where 0 is the driver's own as well.
const FOR_ITSELF_OR_ZERO: [c_long; 4] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
];

/// How far it is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confined {
    /// In all that is said above.
    Fully,
    /// Not from files, and not from the agent's memory: the kernel has no Landlock.
    ButForFiles,
}

/// Confines this thread and those that it starts from now on.
///
/// # Errors
/// The kernel does not do it.
pub(super) fn confine(reads_files: bool, temporary: &Path) -> io::Result<Confined> {
    let confined = confine_files(reads_files, temporary).map_err(io::Error::other)?;
    // As if this kernel did not have it: the C library does without.
    let unknown = [(libc::SYS_clone3, Vec::new())].into();
    refuse(unknown, libc::ENOSYS)?;
    refuse(refused()?, libc::EPERM)?;
    Ok(confined)
}

fn confine_files(reads_files: bool, temporary: &Path) -> Result<Confined, landlock::RulesetError> {
    let read = AccessFs::from_read(NEWEST);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES, read))?
        .add_rules(path_beneath_rules(HARMLESS, read))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_file(NEWEST)))?;
    if reads_files {
        rules = rules
            .add_rules(path_beneath_rules(["/"], read))?
            .add_rules(path_beneath_rules([temporary], AccessFs::from_all(NEWEST)))?;
    }
    let status = rules.restrict_self()?;
    let is_enforced = status.ruleset != RulesetStatus::NotEnforced;
    Ok(if is_enforced { Confined::Fully } else { Confined::ButForFiles })
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn refused() -> io::Result<Rules> {
    let own = u64::from(std::process::id());
    let condition = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(io::Error::other)
    };
    let when = |conditions| SeccompRule::new(conditions).map_err(io::Error::other);
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for call in FOR_ITSELF {
        rules.insert(call, vec![when(vec![condition(0, SeccompCmpOp::Ne, own)?])?]);
    }
    for call in FOR_ITSELF_OR_ZERO {
        let another = vec![condition(0, SeccompCmpOp::Ne, own)?, condition(0, SeccompCmpOp::Ne, 0)?];
        rules.insert(call, vec![when(another)?]);
    }
    // A thread is one thing, a process another.
    let thread = SeccompCmpOp::MaskedEq(u64::try_from(libc::CLONE_THREAD).unwrap_or_default());
    rules.insert(libc::SYS_clone, vec![when(vec![condition(0, thread, 0)?])?]);
    // It ends with the agent.
    let death_signal = u64::try_from(libc::PR_SET_PDEATHSIG).unwrap_or_default();
    rules.insert(libc::SYS_prctl, vec![when(vec![condition(0, SeccompCmpOp::Eq, death_signal)?])?]);
    Ok(rules)
}

fn refuse(mut rules: Rules, error: i32) -> io::Result<()> {
    if cfg!(target_arch = "x86_64") {
        // The same by their numbers of the ABI with 32-bit pointers, which kernels may have.
        let short = rules.iter().map(|(call, when)| (call | 0x4000_0000, when.clone()));
        let short: Vec<_> = short.collect();
        rules.extend(short);
    }
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let action = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture);
    let program: BpfProgram = filter.map_err(io::Error::other)?.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
