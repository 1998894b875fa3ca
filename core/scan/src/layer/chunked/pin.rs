//! What a manifest says of a layer's table of contents.

use std::ops::Range;

use regent_oci::{Descriptor, Digest};

use super::{Unfit, footer};

/// A smaller layer is read as a whole, in bytes: the two or three requests for its parts cost more.
const LEAST_LAYER_BYTES: u64 = 1 << 20;
/// Read of the end of an eStargz layer at first, in bytes: the footer, and most tables of contents of small layers.
const TAIL_BYTES: u64 = 32 << 10;
/// Largest table of contents that is read, compressed and not, in bytes.
const MAX_TOC_BYTES: u64 = 16 << 20;
pub(super) const MAX_JSON_BYTES: u64 = 512 << 20;

/// Digest of an eStargz layer's table of contents, inflated (`docs/estargz.md`, "Content Verification").
const STARGZ_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The annotations of zstd:chunked by containers/storage (`pkg/chunked/internal/minimal`), and the same by its older releases and
/// stargz-snapshotter. The digest is over the table of contents as it is stored.
const ZSTD_PREFIXES: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];
const ZSTD_DIGEST: &str = "manifest-checksum";
/// `offset:length:inflated length:type`.
const ZSTD_PLACE: &str = "manifest-position";
/// The one type there is, a table of contents as CRFS has it.
const ZSTD_TYPE: u64 = 1;

/// That a manifest pins a layer's table of contents: where it is, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TocPin {
    digest: Digest,
    layer_bytes: u64,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The layer's footer says where it is.
    Stargz,
    /// The annotation does.
    ZstdChunked { place: Range<u64>, json_bytes: u64 },
}

/// How a layer's chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

impl TocPin {
    /// What the annotations of this layer pin. `None` for an ordinary layer, one that is too small to be worth it, and one
    /// whose annotations make no sense.
    pub fn of(layer: &Descriptor) -> Option<Self> {
        if layer.size_bytes < LEAST_LAYER_BYTES {
            return None;
        }
        let annotation = |name: &str| layer.annotations.get(name);
        let zstd = ZSTD_PREFIXES.iter().find_map(|prefix| {
            let digest = annotation(&format!("{prefix}{ZSTD_DIGEST}"))?;
            Some((digest, zstd_place(annotation(&format!("{prefix}{ZSTD_PLACE}"))?, layer.size_bytes)?))
        });
        let (digest, form) = match zstd {
            Some(pinned) => pinned,
            None => (annotation(STARGZ_DIGEST)?, Form::Stargz),
        };
        Some(Self { digest: digest.parse().ok()?, layer_bytes: layer.size_bytes, form })
    }

    /// The digest that is pinned. A capture that is made by it depends on it.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What is to be read of the layer first.
    pub fn first_part(&self) -> Range<u64> {
        match &self.form {
            Form::Stargz => self.layer_bytes.saturating_sub(TAIL_BYTES)..self.layer_bytes,
            Form::ZstdChunked { place, .. } => place.clone(),
        }
    }

    /// What stands in front of the first part and is to be read as well. It may be empty.
    ///
    /// # Errors
    /// [`Unfit::Toc`].
    pub fn missing_part(&self, first_part: &[u8]) -> Result<Range<u64>, Unfit> {
        let start = self.first_part().start;
        let (place, _) = self.place(first_part)?;
        Ok(place.start.min(start)..start)
    }

    /// Where the table of contents is, and its bytes, of all that was read.
    pub(super) fn toc<'a>(&self, read: &'a [u8]) -> Result<(Range<u64>, &'a [u8]), Unfit> {
        let (place, behind) = self.place(read)?;
        let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        let end = read.len().checked_sub(behind);
        let bytes = end.and_then(|end| read.get(end.checked_sub(length)?..end));
        bytes.map(|bytes| (place, bytes)).ok_or(Unfit::Toc("it is not there"))
    }

    /// Where the table of contents is, and how many bytes are behind it.
    fn place(&self, tail: &[u8]) -> Result<(Range<u64>, usize), Unfit> {
        let (place, behind) = match &self.form {
            Form::Stargz => {
                let (start, footer_bytes) = footer::read(tail).ok_or(Unfit::Toc("there is no footer"))?;
                (start..self.layer_bytes.saturating_sub(footer_bytes as u64), footer_bytes)
            }
            Form::ZstdChunked { place, .. } => (place.clone(), 0),
        };
        if place.is_empty() {
            return Err(Unfit::Toc("its place is not in the layer"));
        }
        if place.end - place.start > MAX_TOC_BYTES {
            return Err(Unfit::Toc("it is too large"));
        }
        Ok((place, behind))
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    pub(super) fn coding(&self) -> Coding {
        match self.form {
            Form::Stargz => Coding::Gzip,
            Form::ZstdChunked { .. } => Coding::Zstd,
        }
    }
}

fn zstd_place(text: &str, layer_bytes: u64) -> Option<Form> {
    let numbers: Vec<u64> = text.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [offset, length @ ..=MAX_TOC_BYTES, json_bytes, ZSTD_TYPE] = *numbers.as_slice() else { return None };
    let place = offset..offset.checked_add(length).filter(|end| *end <= layer_bytes)?;
    Some(Form::ZstdChunked { place, json_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 2 << 20;

    fn pin(annotations: &[(&str, &str)], size_bytes: u64) -> Option<TocPin> {
        let mut layer = Descriptor::of("", b"");
        layer.size_bytes = size_bytes;
        layer.annotations = annotations.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        TocPin::of(&layer)
    }

    #[test]
    fn annotations_pin_a_table_of_contents() {
        let digest = Digest::sha256(b"toc");
        let stargz = (STARGZ_DIGEST, digest.as_str());
        let pinned = pin(&[stargz], SIZE).unwrap();
        assert_eq!((pinned.digest(), pinned.first_part()), (&digest, SIZE - TAIL_BYTES..SIZE));
        for prefix in ZSTD_PREFIXES {
            let (name, place) = (format!("{prefix}{ZSTD_DIGEST}"), format!("{prefix}{ZSTD_PLACE}"));
            let pinned = pin(&[stargz, (&name, digest.as_str()), (&place, "1000:200:3000:1")], SIZE).unwrap();
            assert_eq!(pinned.first_part(), 1000..1200);
            assert_eq!(pinned.missing_part(&[0; 200]).unwrap(), 1000..1000);
        }
    }

    #[test]
    fn what_makes_no_sense_pins_nothing() {
        let digest = Digest::sha256(b"toc");
        let stargz = (STARGZ_DIGEST, digest.as_str());
        assert_eq!(pin(&[], SIZE), None);
        assert_eq!(pin(&[(STARGZ_DIGEST, "sha256:00")], SIZE), None);
        assert_eq!(pin(&[stargz], LEAST_LAYER_BYTES - 1), None);
        let name = format!("{}{ZSTD_DIGEST}", ZSTD_PREFIXES[0]);
        let place = format!("{}{ZSTD_PLACE}", ZSTD_PREFIXES[0]);
        let rows = [
            "",
            "1:2:3",
            "1:2:3:2",
            "1:2:3:1:1",
            "a:2:3:1",
            "-1:2:3:1",
            "2097151:2:3:1",
            "1:16777217:3:1",
            "18446744073709551615:2:3:1",
        ];
        for text in rows {
            assert_eq!(pin(&[(&name, digest.as_str()), (&place, text)], SIZE), None, "{text}");
        }
        let empty = pin(&[(&name, digest.as_str()), (&place, "5:0:0:1")], SIZE).unwrap();
        assert!(empty.missing_part(b"").is_err());
        assert!(pin(&[stargz], SIZE).unwrap().missing_part(&[0; 100]).is_err());
    }
}
