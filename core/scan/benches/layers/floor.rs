//! What reading a layer costs at least: its bytes hashed, and inflated by the same crates into one buffer.

use std::io::{self, BufReader, Read};

use regent_oci::{Descriptor, Digester, MediaType};

const INPUT_BYTES: usize = 128 << 10;
const OUTPUT_BYTES: usize = 256 << 10;

/// Hashes and inflates a layer, and returns how many bytes it inflates to.
pub(crate) fn floor(blob: &[u8], expected: &Descriptor) -> io::Result<u64> {
    let mut digester = expected.digest.algorithm().digester();
    let source = Hashed { rest: blob, digester: &mut digester };
    let n_bytes = match blob {
        [0x1f, 0x8b, ..] => {
            let source = BufReader::with_capacity(INPUT_BYTES, source);
            drain(flate2::bufread::MultiGzDecoder::new(source))?
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => drain(zstd::Decoder::new(source)?)?,
        _ => drain(source)?,
    };
    if digester.finish() == expected.digest { Ok(n_bytes) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// What a manifest says of a blob.
pub(crate) fn descriptor(blob: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER_GZIP, blob)
}

fn drain(mut reader: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; OUTPUT_BYTES];
    let mut n_bytes = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(n_bytes),
            n => n_bytes += n as u64,
        }
    }
}

struct Hashed<'a> {
    rest: &'a [u8],
    digester: &'a mut Digester,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.rest.read(buffer)?;
        self.digester.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}
