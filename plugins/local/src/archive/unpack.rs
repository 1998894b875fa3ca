//! Archives that are compressed as a whole: gzip, zlib or zstd, up to three times over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write as _};
use std::path::Path;

use crate::error::{Error, Result};
use crate::section::FromStart;

/// How many compressions may be wrapped around each other: registry exports that were gzipped again by hand have two.
const MAX_LEVELS: usize = 3;
/// The most that any level may unpack to, in bytes.
const MAX_UNPACKED_BYTES: u64 = 32 << 30;
/// The most that any level may unpack to, as a multiple of the file's size. Deflate reaches 1032 on zeros; only
/// compressions around each other, or crafted zstd, get beyond.
const MAX_RATIO: u64 = 1100;
/// What any file may unpack to, whatever its size: small files of zeros are legitimate.
const FREE_BYTES: u64 = 64 << 20;
/// How many bytes tell what a stream is: up to the end of a tar header's magic.
const HEAD: usize = 262;
/// How much is written at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A temporary file with what is in this one; `None` when it is not compressed.
///
/// # Errors
/// [`Error::Damaged`] when it does not decompress, [`Error::Limit`] when it gets too large.
pub(super) fn unpack(file: &File, path: &Path) -> Result<Option<File>> {
    let io = |action| move |source| Error::Io { action, path: path.to_owned(), source };
    let stored = file.metadata().map_err(io("read"))?.len();
    let limit = MAX_UNPACKED_BYTES.min(stored.saturating_mul(MAX_RATIO).max(FREE_BYTES));
    let mut level = 0;
    let mut stream: Box<dyn BufRead + '_> = Box::new(BufReader::new(FromStart::new(file)));
    loop {
        let head = head(&mut stream).map_err(|e| broken(&e, path, limit))?;
        let compression = compression(&head);
        let whole = BufReader::new(Cursor::new(head).chain(stream));
        stream = match compression {
            None if level == 0 => return Ok(None),
            None => return copy(whole, path, limit).map(Some),
            Some(_) if level == MAX_LEVELS => {
                let what = format!("over {MAX_LEVELS} compressions around each other");
                return Err(Error::Limit { what, path: path.to_owned(), limit: MAX_LEVELS as u64 });
            }
            Some(Compression::Gzip) => bounded(flate2::bufread::MultiGzDecoder::new(whole), limit),
            Some(Compression::Zlib) => bounded(flate2::bufread::ZlibDecoder::new(whole), limit),
            Some(Compression::Zstd) => {
                let decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(io("decompress"))?;
                bounded(decoder, limit)
            }
        };
        level += 1;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zlib,
    Zstd,
}

/// By its first bytes. The two bytes of zlib are also the beginning of a tar file with a name like `x^1`, hence the
/// look for tar's own mark.
fn compression(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] if head.get(257..HEAD) != Some(b"ustar") => {
            Some(Compression::Zlib)
        }
        _ => None,
    }
}

fn head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    stream.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn bounded<'a>(reader: impl Read + 'a, limit_bytes: u64) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(CHUNK_BYTES, Bounded { reader, left: limit_bytes }))
}

/// Fails instead of going beyond a number of bytes.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.left =
            self.left.checked_sub(n as u64).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(n)
    }
}

fn copy(mut from: impl BufRead, path: &Path, limit: u64) -> Result<File> {
    let full = |source| Error::Io { action: "unpack into a temporary file", path: path.to_owned(), source };
    let mut out = tempfile::tempfile().map_err(full)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(n) => out.write_all(chunk.get(..n).unwrap_or_default()).map_err(full)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broken(&e, path, limit)),
        }
    }
}

fn broken(error: &io::Error, path: &Path, limit: u64) -> Error {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::FileTooLarge => {
            Error::Limit { what: "too much in it when unpacked".into(), path, limit }
        }
        io::ErrorKind::UnexpectedEof => Error::Truncated { path, within: "its compressed data".into() },
        _ => Error::Damaged { path, reason: "its compressed data can't be decoded".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_told_by_their_first_bytes() {
        let mut tar_named_like_zlib = vec![0; 512];
        tar_named_like_zlib[..3].copy_from_slice(b"x^1");
        tar_named_like_zlib[257..262].copy_from_slice(b"ustar");
        let rows: [(&[u8], Option<Compression>); 6] = [
            (&[0x1f, 0x8b, 8], Some(Compression::Gzip)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0], Some(Compression::Zstd)),
            (&[0x78, 0x9c, 1], Some(Compression::Zlib)),
            (&tar_named_like_zlib, None),
            (b"manifest.json", None),
            (b"", None),
        ];
        for (head, expected) in rows {
            assert_eq!(compression(head), expected, "{:?}", &head[..head.len().min(5)]);
        }
    }
}
