//! The table of contents as it is stored: verified, inflated and parsed as a stream, entry by entry.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use regent_oci::{Digest, Digester};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Unfit;
use super::pin::{Form, MAX_JSON_BYTES, TocPin};
use super::table::{RawEntry, Table};
use crate::layer::Fault;
use crate::layer::header::{BLOCK_BYTES, Header, TypeFlag};

/// The name of the table of contents among the files of an eStargz layer (`estargz.TOCTarName`).
const NAME: &[u8] = b"stargz.index.json";
/// The version that both formats have.
const VERSION: u64 = 1;

/// Reads the entries into the table, and verifies that they are those that the manifest pins. What is in the table
/// counts only if this succeeds.
pub(super) fn read(pin: &TocPin, compressed: &[u8], table: &mut Table<'_>) -> Result<(), Unfit> {
    match pin.form() {
        Form::Stargz => {
            // As stored it is a file of the layer's tar, alone in its gzip member. Its digest is that of the file.
            let mut member = GzDecoder::new(compressed);
            let mut block = [0; BLOCK_BYTES];
            member.read_exact(&mut block).map_err(|_| Unfit::Toc("it can't be inflated"))?;
            let json_bytes = stargz_bytes(&block).ok_or(Unfit::Toc("there is another file in its place"))?;
            let mut json = Hashing { reader: member.take(json_bytes), digester: hasher(pin), n_bytes: 0 };
            let parsed = parse(&mut json, table);
            // Other bytes are told as such, also where they can't be parsed.
            io::copy(&mut json, &mut io::sink()).map_err(|_| Unfit::Toc("it can't be inflated"))?;
            check_length(json.n_bytes, json_bytes)?;
            if json.digester.finish() != *pin.digest() {
                return Err(Unfit::WrongToc);
            }
            parsed
        }
        Form::ZstdChunked { json_bytes, .. } => {
            if Digest::of(pin.digest().algorithm(), compressed) != *pin.digest() {
                return Err(Unfit::WrongToc);
            }
            let json_bytes = bounded(*json_bytes).ok_or(Unfit::Toc("it is too large"))?;
            let inflated = zstd::stream::read::Decoder::new(compressed)
                .map_err(|_| Unfit::Toc("it can't be inflated"))?;
            let mut json = Counting { reader: inflated.take(json_bytes + 1), n_bytes: 0 };
            parse(&mut json, table)?;
            io::copy(&mut json, &mut io::sink()).map_err(|_| Unfit::Toc("it can't be inflated"))?;
            check_length(json.n_bytes, json_bytes)
        }
    }
}

/// The size of the table of contents, from its tar header.
fn stargz_bytes(block: &[u8; BLOCK_BYTES]) -> Option<u64> {
    let header: Result<Header<'_>, Fault> = Header::parse(block);
    let header = header.ok()?;
    let is_it = header.type_flag == TypeFlag::Regular && header.prefix.is_empty() && header.name == NAME;
    if is_it { bounded(header.size_bytes) } else { None }
}

fn bounded(json_bytes: u64) -> Option<u64> {
    (json_bytes <= MAX_JSON_BYTES).then_some(json_bytes)
}

fn check_length(actual: u64, expected: u64) -> Result<(), Unfit> {
    if actual == expected { Ok(()) } else { Err(Unfit::Toc("it has another length than it should")) }
}

fn hasher(pin: &TocPin) -> Digester {
    pin.digest().algorithm().digester()
}

/// `{"version": 1, "entries": […]}`, in any order, with whatever else.
fn parse(json: impl Read, table: &mut Table<'_>) -> Result<(), Unfit> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, json));
    let mut refusal = None;
    let document = Document { table, refusal: &mut refusal };
    let parsed = document.deserialize(&mut json).and_then(|()| json.end());
    match (parsed, refusal) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(unfit)) => Err(unfit),
        (Err(_), None) => Err(Unfit::Toc("it is no such JSON")),
    }
}

/// The document; its entries go to the table one by one, whose refusal ends it.
struct Document<'d, 't> {
    table: &'d mut Table<'t>,
    refusal: &'d mut Option<Unfit>,
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of contents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut version, mut has_entries) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" if version.is_none() => version = Some(map.next_value::<u64>()?),
                "entries" if !has_entries => {
                    has_entries = true;
                    map.next_value_seed(Entries { table: self.table, refusal: self.refusal })?;
                }
                "version" | "entries" => return Err(A::Error::custom("a key stands twice")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if version == Some(VERSION) && has_entries {
            Ok(())
        } else {
            Err(A::Error::custom("another version"))
        }
    }
}

/// The list of entries.
struct Entries<'d, 't> {
    table: &'d mut Table<'t>,
    refusal: &'d mut Option<Unfit>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<RawEntry>()? {
            if let Err(unfit) = self.table.push(&entry) {
                *self.refusal = Some(unfit);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// Counts and hashes what is read.
struct Hashing<R> {
    reader: R,
    digester: Digester,
    n_bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.digester.update(buffer.get(..n).unwrap_or_default());
        self.n_bytes += n as u64;
        Ok(n)
    }
}

/// Counts what is read.
struct Counting<R> {
    reader: R,
    n_bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.n_bytes += n as u64;
        Ok(n)
    }
}
