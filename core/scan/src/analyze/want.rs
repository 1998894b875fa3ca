//! What is to be kept of a file.

use crate::distil::Distil;
use crate::limits::Limits;

/// What is to be kept of a regular file at some path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Its content, if it has no more bytes than this; 0 keeps none.
    pub(crate) content_bytes: u64,
    /// The SHA-256 of its content.
    pub(crate) sha256: bool,
    /// That it is there, and how large it is.
    pub(crate) presence: bool,
    /// What is made of its content as it passes, for files that are too large or too many to be kept.
    pub(crate) distil: Option<Distil>,
}

/// Largest lock file or manifest of an application that is read, in bytes. The largest real ones have some 10 MiB.
const APPLICATION_FILE_BYTES: u64 = 16 << 20;

impl Want {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { content_bytes: 0, sha256: false, presence: false, distil: None };
    /// The content, up to the limit for all kept files.
    pub(crate) const CONTENT: Self = Self { content_bytes: u64::MAX, ..Self::NOTHING };
    /// The content of an application's lock file or manifest.
    pub(crate) const APPLICATION_FILE: Self = Self { content_bytes: APPLICATION_FILE_BYTES, ..Self::NOTHING };
    /// The hash.
    pub(crate) const SHA256: Self = Self { sha256: true, ..Self::NOTHING };
    /// That it is there.
    pub(crate) const PRESENCE: Self = Self { presence: true, ..Self::NOTHING };

    /// What a distiller makes of it.
    pub(crate) const fn distilled(distil: Distil) -> Self {
        Self { distil: Some(distil), ..Self::NOTHING }
    }

    /// The same without what is told by the content of a file alone, and asked of files of any name.
    #[must_use]
    pub(crate) fn by_name(self) -> Self {
        Self { distil: self.by_name_distil(), ..self }
    }

    /// Whether the content of a file of that size is kept.
    pub(crate) fn keeps_content(self, size_bytes: u64, limits: &Limits) -> bool {
        self.content_bytes > 0 && size_bytes <= self.content_bytes.min(limits.kept_file_bytes)
    }

    /// Whether the data of a file of that size has to be read.
    pub(crate) fn needs_data(self, size_bytes: u64, limits: &Limits) -> bool {
        self.keeps_content(size_bytes, limits) || self.sha256 || self.distil.is_some()
    }

    /// Whether anything is to be kept.
    pub(crate) fn any(self) -> bool {
        self != Self::NOTHING
    }

    /// Whether this asks for all that `other` asks for.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.and(other) == self && (other.distil.is_none() || self.distil == other.distil)
    }

    fn by_name_distil(self) -> Option<Distil> {
        self.distil.filter(|distil| !distil.is_of_any_name())
    }

    /// Both. A file has one distiller: one that asks for it as a whole, or else the first that asks for it by its name, or
    /// else one that asks for files of any name.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            content_bytes: self.content_bytes.max(other.content_bytes),
            sha256: self.sha256 || other.sha256,
            presence: self.presence || other.presence,
            distil: (other.distil.filter(|distil| distil.is_of_whole()))
                .or(self.by_name_distil())
                .or(other.distil)
                .or(self.distil),
        }
    }
}
