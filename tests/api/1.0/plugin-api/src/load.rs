//! The host's side: reading a library's description, loading it, calling it. (Feature `load`.)
//!
//! 1. [`LibraryFile::read`] reads the file once, computes its digest and reads its [`Description`](crate::Description)
//!    from those bytes, **without running any code of it**.
//! 2. Whoever decides about trust looks at [`LibraryFile::digest`], which a [`Lock`] may pin, at
//!    [`LibraryFile::signer`], and at the description.
//! 3. [`load`] gives a sealed copy of *those bytes* (in memory, or where that is forbidden in a private directory) to the
//!    dynamic linker, checks the layouts of all that crosses, and
//!    returns the [`LoadedLibrary`].
//! 4. [`LoadedLibrary::connect`] makes sessions.
//!
//! A loaded library is never unloaded and its file on disk no longer matters: it may be overwritten, truncated or
//! replaced, and a second generation of it loads beside the first. Why not `abi_stable`'s own loader:
//! `docs/decisions/0001-own-the-load-path.md`.
//!
//! A process that is to load a library on behalf of another is given its [`SealedLibrary`], and what it says in the
//! driver's name is held against the same bounds by [`Checked`].
//!
//! What loads runs with all rights of this process. Checks before loading tell good files from broken ones and known ones
//! from unknown ones; they do not make a bad driver good.

mod file;
mod layout;
mod library;
mod lock;
mod object;
mod on_disk;
mod refusal;
mod safety;
mod sealed;
mod signature;

pub use crate::abi::host_side::Session;
pub use crate::abi::values::Checked;
pub use file::{FilePolicy, LibraryFile, read_safe, read_trusted};
pub use library::{LoadedLibrary, load, load_sealed};
pub use lock::{Lock, LockError, Pin, Pinned};
pub use refusal::Refusal;
pub use sealed::{COPY_PREFIX, SealedLibrary};
pub use signature::{KeyError, KeyId, MAX_SIGNATURE_BYTES, PublicKeys, Trusted, Unsigned, signature_file};
