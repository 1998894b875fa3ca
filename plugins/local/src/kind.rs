//! The connection types that this driver serves.

/// What a connection says its path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory: one OCI image layout, or layouts below it.
    OciLayout,
    /// A file written by `docker save` before version 25, or in its form.
    DockerArchive,
    /// An OCI image layout in a tar file.
    OciArchive,
    /// A file written by kaniko (`--tar-path`), or by a tool that shares its library.
    KanikoArchive,
}

impl Kind {
    /// The kinds of archive, in the order in which they are tried.
    pub(crate) const ARCHIVES: [Self; 3] = [Self::DockerArchive, Self::OciArchive, Self::KanikoArchive];

    /// By the connection's type, ignoring case.
    pub(crate) fn of_type(registry_type: &str) -> Option<Self> {
        let kind = match registry_type.to_ascii_lowercase().as_str() {
            "oci-layout" => Self::OciLayout,
            "docker-archive" => Self::DockerArchive,
            "oci-archive" => Self::OciArchive,
            "kaniko-archive" => Self::KanikoArchive,
            _ => return None,
        };
        Some(kind)
    }

    /// For messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::OciLayout => "OCI image layout",
            Self::DockerArchive => "docker archive",
            Self::OciArchive => "OCI archive",
            Self::KanikoArchive => "kaniko archive",
        }
    }
}
