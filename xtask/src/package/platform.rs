//! The platforms that Regent ships for, and what building for another one than this takes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, is_installed, rustc_says};
use crate::tools;

/// One platform, by the names that others have for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Platform {
    /// Rust's.
    pub(super) triple: &'static str,
    /// In names of files; Debian's for folders of libraries, too.
    pub(super) name: &'static str,
    /// Debian's for packages.
    pub(super) debian: &'static str,
    /// The image specification's: those of Go.
    pub(super) oci: &'static str,
    /// The same, where the processor has one.
    pub(super) variant: Option<&'static str>,
    /// `e_machine` of its programs.
    machine: u16,
    /// What runs its programs elsewhere.
    emulator: &'static str,
    /// Debian's packages of the compiler and of the C library that build for it elsewhere.
    compiler_packages: [&'static str; 2],
}

/// What a build for another platform is told; nothing for this one.
#[derive(Debug, Default)]
pub(super) struct CrossBuild {
    /// For the compiler.
    pub(super) flags: Vec<String>,
    /// For cargo.
    pub(super) environment: Vec<(String, String)>,
}

/// All of them.
static PLATFORMS: [Platform; 2] = [
    Platform {
        triple: "x86_64-unknown-linux-gnu",
        name: "x86_64-linux-gnu",
        debian: "amd64",
        oci: "amd64",
        variant: None,
        machine: 62,
        emulator: "qemu-x86_64",
        compiler_packages: ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
    },
    Platform {
        triple: "aarch64-unknown-linux-gnu",
        name: "aarch64-linux-gnu",
        debian: "arm64",
        oci: "arm64",
        variant: Some("v8"),
        machine: 183,
        emulator: "qemu-aarch64",
        compiler_packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    },
];

impl Platform {
    /// The one of this Rust target.
    pub(super) fn of_triple(triple: &str) -> Result<&'static Self> {
        let known: Vec<_> = PLATFORMS.iter().map(|platform| platform.triple).collect();
        let found = PLATFORMS.iter().find(|platform| platform.triple == triple);
        found.with_context(|| format!("{triple} is not packaged: there are {}", known.join(" and ")))
    }

    /// The one that this program runs on.
    pub(super) fn here() -> Result<&'static Self> {
        let version = rustc_says(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        Self::of_triple(host.context("rustc does not say its host")?)
    }

    /// The one that a program was built for, by its header.
    pub(super) fn of_program(program: &Path) -> Result<&'static Self> {
        let mut header = [0; 20];
        File::open(program)
            .and_then(|mut file| file.read_exact(&mut header))
            .with_context(|| format!("reading {}", program.display()))?;
        Self::of_header(&header).with_context(|| format!("{}: of no platform of ours", program.display()))
    }

    fn of_header(header: &[u8; 20]) -> Option<&'static Self> {
        let machine = u16::from_le_bytes([header[18], header[19]]);
        header.starts_with(b"\x7fELF\x02\x01").then_some(())?;
        PLATFORMS.iter().find(|platform| platform.machine == machine)
    }

    /// Whether its programs run on this machine as they are.
    pub(super) fn is_here(&self) -> Result<bool> {
        Ok(*self == *Self::here()?)
    }

    /// The compiler that links for it elsewhere.
    fn compiler(&self) -> String {
        format!("{}-gcc", self.name)
    }

    /// Where the libraries are that its programs run over here, as an emulator sees them.
    pub(super) fn libraries(&self) -> PathBuf {
        Path::new("/usr").join(self.name)
    }

    /// A command that runs one of its programs, elsewhere by an emulator, over the libraries of a folder.
    pub(super) fn command(&self, libraries: &Path, program: &Path) -> Result<Command> {
        if self.is_here()? {
            return Ok(Command::new(program));
        }
        tools::install_packages(&[(self.emulator, "qemu-user")])?;
        let mut command = Command::new(self.emulator);
        command.arg("-L").arg(libraries).arg(program);
        Ok(command)
    }

    /// Has all that building for it takes.
    pub(super) fn prepare(&self) -> Result<CrossBuild> {
        if self.is_here()? {
            return Ok(CrossBuild::default());
        }
        let has_headers = self.libraries().join("include/stdlib.h").is_file();
        if !is_installed(&self.compiler()) || !has_headers {
            tools::install_from_debian(&self.compiler_packages)?;
        }
        let sysroot = rustc_says(&["--print", "sysroot"])?;
        let libraries = Path::new(sysroot.trim_end()).join("lib/rustlib");
        if !libraries.join(self.triple).join("lib").is_dir() {
            if !is_installed("rustup") {
                bail!(
                    "the compiler has no standard library for {}, and there is no rustup to add it",
                    self.triple
                );
            }
            command::run(Command::new("rustup").args(["target", "add", self.triple]))?;
        }
        // Rust's own lld, as it links with on x86-64 by itself: what drivers ask for is not in every GNU ld.
        let linker = libraries.join(Self::here()?.triple).join("bin/gcc-ld");
        let flags = vec!["-Clink-arg=-fuse-ld=lld".to_owned(), format!("-Clink-arg=-B{}", linker.display())];
        let upper = self.triple.replace('-', "_").to_uppercase();
        let environment = vec![(format!("CARGO_TARGET_{upper}_LINKER"), self.compiler())];
        Ok(CrossBuild { flags, environment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_tells_its_platform() {
        let mut header = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0";
        assert_eq!(Platform::of_header(&header).unwrap().triple, "aarch64-unknown-linux-gnu");
        header[18] = 62;
        assert_eq!(Platform::of_header(&header).unwrap().triple, "x86_64-unknown-linux-gnu");
        header[18] = 3;
        assert_eq!(Platform::of_header(&header), None, "32 bits");
        assert_eq!(Platform::of_header(b"#!/bin/sh\nexec true\n"), None);
    }
}
