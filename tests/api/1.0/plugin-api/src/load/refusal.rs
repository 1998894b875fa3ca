//! Why a library is not loaded.

use std::path::PathBuf;

use semver::Version;

/// Why a library was refused. The text says which side to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file can't be read.
    #[error("{path} can't be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// A directory, device or pipe.
    #[error("{path} is not a regular file")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// A link that leads out of the plugin directory.
    #[error("{path} leads to {target}, outside of the plugin directory: copy the file into it")]
    OutsideDirectory {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Others than its owner may write to it.
    #[error("{path} is writable by group or others (mode {mode:03o}): run `chmod go-w` on it")]
    WorldWritable {
        /// The file or its directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may put something else into the place of the file or its directory.
    #[error(
        "{path}, on the way to it, is writable by group or others (mode {mode:03o}): run `chmod go-w` on it"
    )]
    ParentWritable {
        /// The directory above.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to someone else.
    #[error(
        "{path} belongs to user {owner}: it has to belong to root or to the user that this program runs as"
    )]
    NotOwner {
        /// The file or its directory.
        path: PathBuf,
        /// The owner's number.
        owner: u32,
    },
    /// Larger than allowed.
    #[error("{path} has {size_bytes} bytes, more than the {limit_bytes} allowed")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// No shared library at all.
    #[error("not a shared library for this system (no ELF)")]
    NotElf,
    /// A shared library whose end is missing.
    #[error("the file is cut short or damaged: copy it again ({reason})")]
    Truncated {
        /// What could not be read.
        reason: String,
    },
    /// For another kind of processor.
    #[error("built for another machine ({found}): take the library for this one ({expected})")]
    WrongMachine {
        /// What the file says.
        found: String,
        /// What this program runs on.
        expected: String,
    },
    /// No description: not a driver.
    #[error("not a Regent driver: it has no section `.regent.meta`")]
    MissingSection,
    /// A description that can't be read.
    #[error("its description can't be read: {reason}")]
    BadDescription {
        /// What is wrong with it.
        reason: String,
    },
    /// For another target triple.
    #[error("built for {found}: take the library for {expected}")]
    WrongTarget {
        /// The driver's triple.
        found: String,
        /// This program's triple.
        expected: String,
    },
    /// It needs a newer host.
    #[error(
        "needs plugin API {required} and this program has {host}: upgrade Regent, or take an older driver"
    )]
    ApiTooNew {
        /// The oldest API of a host that the driver accepts, or its own where the major differs.
        required: Version,
        /// This program's API.
        host: Version,
    },
    /// It was built for an older major version.
    #[error("built with plugin API {driver} and this program has {host}: upgrade the driver")]
    ApiTooOld {
        /// The driver's API.
        driver: Version,
        /// This program's API.
        host: Version,
    },
    /// No entry point under the name that the description implies.
    #[error("it has no entry point `{symbol}`: build it with `export_driver!`, as a cdylib")]
    NoRootSymbol {
        /// The symbol looked for.
        symbol: String,
    },
    /// This system does not give sealed memory.
    #[error("no sealed memory to load it from: {reason}")]
    Unsealed {
        /// The system's word.
        reason: String,
    },
    /// The dynamic linker refused it.
    #[error("the dynamic linker refuses it: {reason}")]
    DlopenFailed {
        /// The linker's word.
        reason: String,
    },
    /// What crosses the ABI has another layout in the driver.
    #[error(
        "plugin API {driver} of the driver does not fit {host} of this program: rebuild the driver ({summary})"
    )]
    LayoutMismatch {
        /// The driver's API.
        driver: Version,
        /// This program's API.
        host: Version,
        /// The first difference.
        summary: Box<str>,
        /// The whole report, some tens of kilobytes. For a debug log.
        report: Box<str>,
    },
    /// A library in C whose header is none that was released.
    #[error(
        "its header, of plugin API {driver}, is none that this program ({host}) knows: build it with the regent_driver.h of a release"
    )]
    LayoutsUnknown {
        /// The driver's API.
        driver: Version,
        /// This program's API.
        host: Version,
    },
    /// Its entry point failed.
    #[error("its entry point failed: {reason}")]
    RootFailed {
        /// What it said.
        reason: String,
    },
}

impl Refusal {
    /// A stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NotRegular { .. } => "not_regular",
            Self::OutsideDirectory { .. } => "outside_directory",
            Self::WorldWritable { .. } => "world_writable",
            Self::ParentWritable { .. } => "parent_writable",
            Self::NotOwner { .. } => "not_owner",
            Self::TooLarge { .. } => "too_large",
            Self::NotElf => "not_elf",
            Self::Truncated { .. } => "truncated",
            Self::WrongMachine { .. } => "wrong_machine",
            Self::MissingSection => "missing_section",
            Self::BadDescription { .. } => "bad_description",
            Self::WrongTarget { .. } => "wrong_target",
            Self::ApiTooNew { .. } => "api_too_new",
            Self::ApiTooOld { .. } => "api_too_old",
            Self::NoRootSymbol { .. } => "no_root_symbol",
            Self::Unsealed { .. } => "unsealed",
            Self::DlopenFailed { .. } => "dlopen_failed",
            Self::LayoutMismatch { .. } => "layout_mismatch",
            Self::LayoutsUnknown { .. } => "layouts_unknown",
            Self::RootFailed { .. } => "root_failed",
        }
    }
}
