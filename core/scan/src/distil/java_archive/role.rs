//! Which entries of an archive are read.

/// What an entry is read for.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// Coordinates of Maven.
    Pom,
    /// The archive's manifest.
    Manifest,
    /// An archive in it.
    Archive,
}

impl Role {
    /// By the entry's name; `None` for those that are not.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        if name.ends_with(b"pom.properties") {
            Some(Self::Pom)
        } else if name.eq_ignore_ascii_case(b"META-INF/MANIFEST.MF") {
            Some(Self::Manifest)
        } else {
            let suffix = name.get(name.len().checked_sub(4)?..)?;
            let is_archive =
                [b".jar", b".war", b".ear"].iter().any(|known| suffix.eq_ignore_ascii_case(*known));
            is_archive.then_some(Self::Archive)
        }
    }
}
