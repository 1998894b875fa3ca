//! Runs a program that may have no memory as a file: `memfd_create(2)` fails in it, as hardened sandboxes have it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

fn main() {
    let forbidden = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap());
    let filter = SeccompFilter::new(
        [(libc::SYS_memfd_create, Vec::new())].into(),
        SeccompAction::Allow,
        forbidden,
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    apply_filter(&filter).unwrap();
    let mut words = std::env::args_os().skip(1);
    let mut program = Command::new(words.next().expect("a program"));
    panic!("{}", program.args(words).exec());
}
