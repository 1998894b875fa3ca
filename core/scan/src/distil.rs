//! Files that are too large or too many to be kept, reduced to what analyzers need while they pass.
//!
//! A distiller sees a file's bytes once, in pieces, and what it makes of them depends on nothing else: it is part of
//! the layer's capture. One file here for each kind; `Distil` and `Distilled` name them all.

mod conda_record;
mod debian_copyright;
pub(crate) mod executable;
mod gemspec;
mod java_archive;
mod npm_record;
mod package_json;
mod parts;
mod path_list;
mod python_metadata;
pub(crate) mod scratch;
mod whole_text;
mod zip;

use std::io;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

pub use conda_record::CondaRecord;
pub use debian_copyright::DebianCopyright;
pub use executable::{Crate, Executable, ExecutableFault, GoModule, GoPackage, GoProgram};
pub use gemspec::Gemspec;
#[cfg(test)]
pub(crate) use java_archive::fixture as java_archive_fixture;
pub(crate) use java_archive::in_pieces as java_archive_in_pieces;
pub use java_archive::{
    ArchiveContent, ArchiveFault, ArchiveFaultKind, Coordinates, JarManifest, JavaArchive, NestedArchive,
};
pub use npm_record::{NpmRecord, RecordedPackage};
pub use package_json::InstalledManifest;
pub use path_list::PathList;
pub use python_metadata::PythonMetadata;
use scratch::Scratch;
use whole_text::WholeText;

/// The kinds of distillers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distil {
    /// Executables and libraries, told by their content.
    Executable,
    /// The same, of one that a reading before has shown to be needed as a whole.
    WholeExecutable,
    /// A `package.json` below `node_modules`.
    PackageJson,
    /// npm's record of what it installed.
    NpmRecord,
    /// A Debian package's `copyright`.
    DebianCopyright,
    /// A list of paths.
    PathList,
    /// A jar, war or ear.
    JavaArchive,
    /// The same, of one that a reading before has shown to be needed as a whole.
    WholeJavaArchive,
    /// The specification of an installed gem.
    Gemspec,
    /// `METADATA` or `PKG-INFO` of an installed Python distribution.
    PythonMetadata,
    /// A record in `conda-meta`.
    CondaRecord,
}

/// What a distiller made of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Distilled {
    /// An executable or library that says what it was built from.
    Executable(Executable),
    /// A `package.json` below `node_modules`.
    PackageJson(InstalledManifest),
    /// npm's record of what it installed.
    NpmRecord(NpmRecord),
    /// A Debian package's `copyright`.
    DebianCopyright(DebianCopyright),
    /// A list of paths.
    PathList(PathList),
    /// A jar, war or ear.
    JavaArchive(Box<JavaArchive>),
    /// The specification of an installed gem.
    Gemspec(Gemspec),
    /// `METADATA` or `PKG-INFO` of an installed Python distribution.
    PythonMetadata(Box<PythonMetadata>),
    /// A record in `conda-meta`.
    CondaRecord(Box<CondaRecord>),
}

/// Something that reads a file as it passes.
pub(crate) trait Distiller {
    /// Takes the next piece. False: nothing more is needed, the rest of the file is skipped.
    fn take(&mut self, piece: &[u8]) -> bool;

    /// What it made of the file. `None`: it is not what its name promised, and is treated like any other file.
    ///
    /// # Errors
    /// Where it needed the disk and that failed. The layer can't be read then: a capture depends on nothing but the
    /// layer's bytes, so a full disk must not become a part of it.
    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>>;
}

impl Distil {
    /// Whether it is asked of files of any name, and passes over most of them once it has seen their first bytes.
    pub(crate) fn is_of_any_name(self) -> bool {
        self == Self::Executable
    }

    /// Whether it asks for a file as a whole, since what another one kept of it was too little.
    pub(crate) fn is_of_whole(self) -> bool {
        matches!(self, Self::WholeExecutable | Self::WholeJavaArchive)
    }

    /// Begins with a file of that size.
    pub(crate) fn start(self, size_bytes: u64, scratch: &Scratch) -> Box<dyn Distiller> {
        match self {
            Self::Executable => Box::new(executable::Reader::new(size_bytes, false, scratch)),
            Self::WholeExecutable => Box::new(executable::Reader::new(size_bytes, true, scratch)),
            Self::PackageJson => {
                Box::new(WholeText::new(size_bytes, package_json::MAX_BYTES, package_json::distil))
            }
            Self::NpmRecord => {
                Box::new(WholeText::new(size_bytes, npm_record::MAX_BYTES, npm_record::distil))
            }
            Self::DebianCopyright => Box::new(debian_copyright::Reader::default()),
            Self::PathList => Box::new(path_list::Reader::default()),
            Self::JavaArchive => Box::new(java_archive::Reader::new(size_bytes, false, scratch)),
            Self::WholeJavaArchive => Box::new(java_archive::Reader::new(size_bytes, true, scratch)),
            Self::Gemspec => Box::new(gemspec::Reader::default()),
            Self::PythonMetadata => Box::new(python_metadata::Reader::default()),
            Self::CondaRecord => {
                Box::new(WholeText::new(size_bytes, conda_record::MAX_BYTES, conda_record::distil))
            }
        }
    }

    /// The same for a file that was kept as a whole.
    pub(crate) fn of_content(self, content: &[u8]) -> io::Result<Option<Distilled>> {
        let scratch = Scratch::new(&Limits::default());
        let mut distiller = self.start(content.len() as u64, &scratch);
        distiller.take(content);
        distiller.finish()
    }
}

impl Distilled {
    /// Bytes that it takes in memory, about: counted as kept bytes of its layer.
    pub(crate) fn cost_bytes(&self) -> usize {
        match self {
            Self::Executable(executable) => executable.cost_bytes(),
            Self::PackageJson(manifest) => manifest.cost_bytes(),
            Self::NpmRecord(record) => record.cost_bytes(),
            Self::DebianCopyright(copyright) => copyright.cost_bytes(),
            Self::PathList(list) => list.cost_bytes(),
            Self::JavaArchive(archive) => archive.cost_bytes(),
            Self::Gemspec(spec) => spec.cost_bytes(),
            Self::PythonMetadata(metadata) => metadata.cost_bytes(),
            Self::CondaRecord(record) => record.cost_bytes(),
        }
    }
}
