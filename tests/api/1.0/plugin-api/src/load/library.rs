//! Loading, once and for ever.

#![expect(unsafe_code, reason = "dlopen, dlsym and a layout that was checked by hand")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, LibHeader};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use regent_oci::Digest;
use semver::Version;

use super::file::LibraryFile;
use super::layout;
use super::object::{host_api, root_symbol};
use super::on_disk::OnDisk;
use super::refusal::Refusal;
use super::sealed::{Sealed, SealedLibrary};
use crate::abi::DriverModuleRef;
use crate::abi::host_side::{self, Session};
use crate::description::Description;
use crate::error;
use crate::host::HostServices;
use crate::settings::Settings;

/// A library whose code is in this process, and stays.
pub struct LoadedLibrary {
    module: DriverModuleRef,
    description: Description,
    digest: Digest,
    // Wakers, vtables and threads point into the code: neither is ever freed.
    _library: ManuallyDrop<Library>,
    _memory: ManuallyDrop<Option<Sealed>>,
}

impl fmt::Debug for LoadedLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedLibrary")
            .field("description", &self.description)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Loads a library from a sealed copy of the bytes that were read. Its initializers run here, with all rights of this
/// process.
///
/// ```
/// use std::path::Path;
///
/// use regent_plugin_api::load::{FilePolicy, LibraryFile, LoadedLibrary, Refusal, load};
///
/// fn open(path: &Path, plugins: &Path) -> Result<LoadedLibrary, Refusal> {
///     let file = LibraryFile::read(path, &FilePolicy::in_directory(plugins))?; // runs no code of it
///     println!("{} {} has {}", file.description().name, file.description().version, file.digest());
///     load(&file) // does
/// }
///
/// let plugins = Path::new("/usr/lib/regent/no-such-folder");
/// assert_eq!(open(&plugins.join("libacme.so"), plugins).unwrap_err().code(), "unreadable");
/// ```
///
/// # Errors
/// A [`Refusal`].
pub fn load(file: &LibraryFile) -> Result<LoadedLibrary, Refusal> {
    load_copy(Copied::of(file)?, file.description().clone(), file.digest().clone())
}

/// The same from memory that is sealed already, such as another process gives.
///
/// # Errors
/// A [`Refusal`].
pub fn load_sealed(sealed: SealedLibrary) -> Result<LoadedLibrary, Refusal> {
    let SealedLibrary { memory, description, digest } = sealed;
    load_copy(Copied::Memory(memory), description, digest)
}

fn load_copy(copy: Copied, description: Description, digest: Digest) -> Result<LoadedLibrary, Refusal> {
    // Also in case of a refusal further down: code that ran once may have left pointers to itself.
    let memory = ManuallyDrop::new(copy);
    // SAFETY: initializers of the library run here. They are trusted like all of its code; that the bytes are a
    // whole library of this machine was checked as they were read, and the seals keep them as they were, or a directory that
    // nobody else may use.
    let library = unsafe { Library::open(Some(memory.path()), RTLD_NOW | RTLD_LOCAL) };
    let memory = ManuallyDrop::new(ManuallyDrop::into_inner(memory).loaded());
    let library = ManuallyDrop::new(library.map_err(|e| refused(&e))?);
    let module = if description.is_c() {
        c_module(&library, &description)?
    } else {
        let header = header(&library, &description)?;
        check_layout(header)?;
        // SAFETY: the layout of the module was compared with ours, in the direction of the two versions.
        let module = unsafe { header.init_root_module_with_unchecked_layout::<DriverModuleRef>() };
        module.map_err(|e| Refusal::RootFailed { reason: e.to_string() })?
    };
    Ok(LoadedLibrary { module, description, digest, _library: library, _memory: memory })
}

impl LoadedLibrary {
    /// What the library says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// SHA-256 of the bytes that were loaded.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Makes a session: [`Driver::connect`](crate::Driver::connect) in the library. Runs code of the driver, so call it
    /// on the driver's thread.
    ///
    /// # Errors
    /// What the driver returns; a panic of it has the code [`PANICKED`](crate::PANICKED).
    pub fn connect(&self, settings: &Settings, host: Arc<dyn HostServices>) -> error::Result<Session> {
        host_side::connect(self.module, settings, host)
    }
}

/// What a library is loaded from.
enum Copied {
    Memory(Sealed),
    Disk(OnDisk),
}

impl Copied {
    /// A copy in sealed memory, or where there is none in the directory for it.
    fn of(file: &LibraryFile) -> Result<Self, Refusal> {
        let forbidden = match Sealed::copy(file) {
            Ok(memory) => return Ok(Self::Memory(memory)),
            Err(refusal) => refusal,
        };
        let directory = file.copies().ok_or(forbidden)?;
        let (name, digest) = (&file.description().name, file.digest());
        OnDisk::copy(directory, name, digest, file.bytes()).map(Self::Disk)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Memory(memory) => memory.path().into(),
            Self::Disk(copy) => copy.path().to_owned(),
        }
    }

    /// It is mapped, or never will be: what has a name on the disk loses it.
    fn loaded(self) -> Option<Sealed> {
        match self {
            Self::Memory(memory) => Some(memory),
            Self::Disk(_) => None,
        }
    }
}

/// The module of a library in C is a static of its own.
fn c_module(library: &Library, description: &Description) -> Result<DriverModuleRef, Refusal> {
    let symbol = root_symbol(description);
    // SAFETY: the header of C makes this symbol a `struct regent_driver`, whose layout was agreed on by its name as the
    // description was read; a `DriverModuleRef` is a pointer to that. The library is never unloaded.
    let found = unsafe { library.get::<DriverModuleRef>(&*symbol) };
    Ok(*found.map_err(|_| Refusal::NoRootSymbol { symbol: symbol.clone() })?)
}

fn header(library: &Library, description: &Description) -> Result<&'static LibHeader, Refusal> {
    let symbol = root_symbol(description);
    // SAFETY: `export_driver!` makes this symbol a `LibHeader`, which begins with the `AbiHeader` that this points to;
    // `upgrade` checks its magic before anything else is read. The library is never unloaded.
    let found = unsafe { library.get::<AbiHeaderRef>(&*symbol) };
    let header = *found.map_err(|_| Refusal::NoRootSymbol { symbol: symbol.clone() })?;
    header.upgrade().map_err(|e| Refusal::RootFailed { reason: e.to_string() })
}

fn check_layout(header: &'static LibHeader) -> Result<(), Refusal> {
    let host = host_api();
    let told = header.version_strings().version.as_str();
    let driver = Version::parse(told).map_err(|e| Refusal::BadDescription { reason: e.to_string() })?;
    let Some(theirs) = header.layout() else {
        return Err(Refusal::RootFailed { reason: "it has no layout to check".to_owned() });
    };
    let ours = <DriverModuleRef as StableAbi>::LAYOUT;
    let (older, newer) = if driver < host { (theirs, ours) } else { (ours, theirs) };
    layout::check(older, newer).map_err(|m| Refusal::LayoutMismatch {
        driver,
        host,
        summary: m.summary,
        report: m.report,
    })
}

/// The linker's reason, which the error keeps a level down.
fn refused(error: &libloading::Error) -> Refusal {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Refusal::DlopenFailed { reason }
}
