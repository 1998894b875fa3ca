//! From registers and the top of a stack to frames.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use framehop::Unwinder as _;
use object::ReadCache;
use regent_oci::Digest;

use super::mapping::Mapping;
use super::record::{Fault, Registers, driver_of};
use super::symbols::Mapped;

/// Frames that are told: of a deep recursion its inner end.
const MAX_FRAMES: usize = 64;
/// The largest library that is read again: what a driver may have.
const MAX_LIBRARY_BYTES: u64 = regent_plugin_api::load::FilePolicy::DEFAULT_MAX_BYTES;

/// One place in code, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The file's name; empty where there is none.
    pub(crate) module: String,
    /// The address as the file says it; 0 where there is no file.
    pub(crate) offset: u64,
    /// The function, where the file names it.
    pub(crate) function: Option<String>,
    /// The driver's bytes, where it is one.
    pub(crate) driver: Option<Digest>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.module.is_empty() {
            return f.write_str("(no file)");
        }
        write!(f, "{}+{:#x}", self.module, self.offset)?;
        self.function.as_ref().map_or(Ok(()), |function| write!(f, " {function}"))
    }
}

/// Where the files are that were mapped, as far as their names do not say it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// This very program, which the process was an instance of.
    pub(crate) program: Option<PathBuf>,
    /// Drivers' files by the digest of their bytes.
    pub(crate) drivers: BTreeMap<String, PathBuf>,
}

/// The bytes of a file.
enum Bytes {
    /// Of a driver, which are the ones that ran.
    Whole(Vec<u8>),
    /// Of a file that is what was mapped, read as far as needed.
    Cached(ReadCache<File>),
}

impl Files {
    /// The name that a file is told by, and its bytes, where they are still the ones that were mapped.
    fn find(&self, mapping: &Mapping) -> (String, Option<Bytes>) {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = Path::new(&mapping.path);
        if let Some(digest) = driver_of(&mapping.path) {
            let Some(file) = self.drivers.get(digest.as_str()) else { return (name(path), None) };
            let bytes = read_bounded(file).filter(|bytes| Digest::sha256(bytes) == digest);
            return (name(file), bytes.map(Bytes::Whole));
        }
        let file = if self.program.as_deref() == Some(path) {
            File::open("/proc/self/exe").ok()
        } else {
            let opened = File::open(path).ok();
            opened.filter(|file| file.metadata().is_ok_and(|m| m.ino() == mapping.inode && m.is_file()))
        };
        (name(path), file.map(|file| Bytes::Cached(ReadCache::new(file))))
    }
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_LIBRARY_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The frames of the thread that crashed, the innermost first. Reads the files that they are in. Blocking, some hundred
/// milliseconds.
pub(crate) fn unwind(fault: &Fault, files: &Files) -> Vec<Frame> {
    let mut by_file: BTreeMap<(u64, &str), Vec<&Mapping>> = BTreeMap::new();
    for mapping in fault.mappings.iter().filter(|m| m.inode != 0) {
        by_file.entry((mapping.inode, &mapping.path)).or_default().push(mapping);
    }
    by_file.retain(|_, mappings| mappings.iter().any(|m| m.is_executable));
    let found: Vec<(String, Option<Bytes>, Vec<&Mapping>)> = by_file
        .into_values()
        .filter_map(|mappings| {
            let (name, bytes) = files.find(mappings.first()?);
            Some((name, bytes, mappings))
        })
        .collect();
    let modules: Vec<Loaded<'_>> = found
        .iter()
        .map(|(name, bytes, mappings)| {
            let driver = mappings.first().and_then(|m| driver_of(&m.path));
            let code = match bytes {
                Some(Bytes::Whole(bytes)) => Mapped::new(&**bytes, mappings).map(Code::Whole),
                Some(Bytes::Cached(cache)) => Mapped::new(cache, mappings).map(Code::Cached),
                None => None,
            };
            Loaded { name, mappings, driver, code }
        })
        .collect();
    follow(fault, &modules).into_iter().map(|address| frame(address, &modules)).collect()
}

/// A file with code.
struct Loaded<'a> {
    name: &'a str,
    mappings: &'a [&'a Mapping],
    driver: Option<Digest>,
    code: Option<Code<'a>>,
}

enum Code<'a> {
    Whole(Mapped<'a, &'a [u8]>),
    Cached(Mapped<'a, &'a ReadCache<File>>),
}

/// An address, and the one to look up: of a return address the call before it.
type At = (u64, u64);

fn frame((address, looked_up): At, modules: &[Loaded<'_>]) -> Frame {
    let is_in =
        |m: &&Loaded<'_>| m.mappings.iter().any(|m| m.is_executable && m.addresses.contains(&looked_up));
    let Some(module) = modules.iter().find(is_in) else {
        return Frame { module: String::new(), offset: 0, function: None, driver: None };
    };
    let start = module.mappings.iter().map(|m| m.addresses.start).min().unwrap_or_default();
    let (offset, function) = match &module.code {
        Some(Code::Whole(code)) => (code.place(address), code.function(code.place(looked_up))),
        Some(Code::Cached(code)) => (code.place(address), code.function(code.place(looked_up))),
        None => (address.wrapping_sub(start), None),
    };
    Frame { module: module.name.to_owned(), offset, function, driver: module.driver.clone() }
}

#[cfg(target_arch = "x86_64")]
mod processor {
    pub(super) use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64, UnwinderX86_64 as Unwinder};

    pub(super) fn start(r: super::Registers) -> UnwindRegsX86_64 {
        UnwindRegsX86_64::new(r.pc, r.sp, r.fp)
    }
}

#[cfg(target_arch = "aarch64")]
mod processor {
    pub(super) use framehop::aarch64::{
        CacheAarch64 as Cache, UnwindRegsAarch64, UnwinderAarch64 as Unwinder,
    };

    pub(super) fn start(r: super::Registers) -> UnwindRegsAarch64 {
        UnwindRegsAarch64::new(r.lr, r.sp, r.fp)
    }
}

/// The addresses of all frames.
fn follow(fault: &Fault, modules: &[Loaded<'_>]) -> Vec<At> {
    let mut cache = processor::Cache::<_>::new();
    let mut unwinder = processor::Unwinder::new();
    for code in modules.iter().filter_map(|loaded| loaded.code.as_ref()) {
        unwinder.add_module(match code {
            Code::Whole(code) => code.module(),
            Code::Cached(code) => code.module(),
        });
    }
    let mut read = |address| fault.stack.word(address).ok_or(());
    let registers = fault.registers;
    let mut frames = unwinder.iter_frames(registers.pc, processor::start(registers), &mut cache, &mut read);
    // An error is the end of what can be followed.
    let next = || frames.next().ok().flatten().map(|f| (f.address(), f.address_for_lookup()));
    std::iter::from_fn(next).take(MAX_FRAMES).collect()
}
