//! `plugins.lock`: the files that an operator has pinned.

use std::collections::HashSet;
use std::path::Path;

use regent_oci::Digest;

use super::Refused;

/// Its name, in the plugin directory.
pub(super) const FILE: &str = "plugins.lock";
/// The largest that is read: thousands of lines.
const MAX_BYTES: u64 = 1 << 20;

/// The digests of one directory's lock, or why there are none.
pub(crate) struct Lock(Result<HashSet<Digest>, String>);

impl Lock {
    pub(super) fn read(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let size = std::fs::metadata(&path).map(|m| m.len());
        Self(match size {
            Ok(size) if size <= MAX_BYTES => std::fs::read_to_string(&path)
                .map_err(|e| format!("{FILE} can't be read: {e}"))
                .and_then(|text| parse(&text)),
            Ok(_) => Err(format!("{FILE} is larger than {MAX_BYTES} bytes")),
            Err(e) => Err(format!("{FILE} can't be read: {e}")),
        })
    }

    /// Why a file with this digest is not taken.
    pub(super) fn refuses(&self, digest: &Digest) -> Option<Refused> {
        let reason = match &self.0 {
            Ok(pinned) if pinned.contains(digest) => return None,
            Ok(_) => format!("its digest {digest} is not in {FILE}: add it there if you trust the file"),
            Err(reason) => reason.clone(),
        };
        Some(Refused { code: "not_pinned".to_owned(), reason })
    }
}

/// As `sha256sum` writes it: hex, blanks, a name. The name is for people: bytes are pinned, not names.
fn parse(text: &str) -> Result<HashSet<Digest>, String> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
    let digests = lines.map(|(i, line)| {
        let hex = line.split_whitespace().next().unwrap_or_default();
        let text = if hex.contains(':') { hex.to_owned() } else { format!("sha256:{hex}") };
        text.parse().map_err(|_| format!("{FILE}: line {} does not begin with a SHA-256 digest", i + 1))
    });
    digests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_sha256sum_is_a_lock() {
        let digest = Digest::sha256(b"x");
        let text = format!("# ours\n{}  libregent_driver_harbor.so\n\n{digest}\n", digest.hex());
        assert_eq!(parse(&text), Ok(HashSet::from([digest.clone()])));
        assert!(parse("nonsense").is_err());
        let lock = Lock(parse(&text));
        assert_eq!(lock.refuses(&digest), None);
        assert!(lock.refuses(&Digest::sha256(b"y")).unwrap().reason.contains("not in plugins.lock"));
    }
}
