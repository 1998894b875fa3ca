//! Every bound on hostile input, in one struct.

/// What a layer may cost at most. Enforced where the bytes come in; each is an error with the code `limit_exceeded`
/// that names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest kept file, in bytes. A wanted file above it is a gap, not an error.
    pub kept_file_bytes: u64,
    /// All that is kept of one layer, in bytes.
    pub kept_layer_bytes: u64,
    /// All that is kept of the layers of one image together, in bytes.
    pub kept_image_bytes: u64,
    /// What archives and executables of one layer have in temporary files at one time, in bytes. One that does not fit
    /// is a gap, not an error.
    pub spooled_at_once_bytes: u64,
    /// All that is written to temporary files for one layer, in bytes. What comes behind is a gap for each.
    pub spooled_layer_bytes: u64,
    /// All that is written to temporary files for the layers of one image together, in bytes.
    pub spooled_image_bytes: u64,
    /// Tar entries of one layer.
    pub entries: u64,
    /// Length of a path or link target, in bytes.
    pub path_bytes: usize,
    /// Inflated size of one layer, in bytes.
    pub inflated_bytes: u64,
    /// Inflated size per compressed byte, looked at after the first 10 MiB inflated.
    pub inflation_ratio: u64,
    /// Links followed to reach one file.
    pub link_depth: u32,
}

impl Default for Limits {
    /// Generous for real images (the largest package databases have some 50 MiB, layers of 20 GB exist, an image of a
    /// million files needs some 60 MiB), and such that a scan stays below 256 MiB whatever it reads.
    fn default() -> Self {
        Self {
            kept_file_bytes: 64 << 20,
            kept_layer_bytes: 96 << 20,
            kept_image_bytes: 96 << 20,
            spooled_at_once_bytes: 1 << 30,
            spooled_layer_bytes: 4 << 30,
            spooled_image_bytes: 16 << 30,
            entries: 2_000_000,
            path_bytes: 4096,
            inflated_bytes: 64 << 30,
            inflation_ratio: 1100, // deflate can't exceed 1032:1
            link_depth: 40,        // as Linux' own limit (path_resolution(7))
        }
    }
}
