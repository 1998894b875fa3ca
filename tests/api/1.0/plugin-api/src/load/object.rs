//! What a library says about itself, read from its bytes.

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{ElfFile, FileHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ObjectSymbol};
use semver::Version;

use super::refusal::Refusal;
use crate::abi::layouts::agreed;
use crate::description::Description;
use crate::export::meta::{API_VERSION, TARGET};

/// The largest description that is parsed, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 64 << 10;
/// The only version of the description's form.
const FORMAT: u32 = 1;

/// The symbol of a driver's entry.
pub(super) fn root_symbol(description: &Description) -> String {
    let kind = if description.is_c() { "c" } else { "root" };
    format!("regent_driver_{kind}_v1.{}", description.name)
}

/// This host's API.
pub(super) fn host_api() -> Version {
    Version::parse(API_VERSION).expect("Cargo checks package versions")
}

/// Reads the description and refuses what would not run here.
pub(super) fn describe(bytes: &[u8]) -> Result<Description, Refusal> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err(Refusal::NotElf);
    }
    let (description, symbols) = match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => read::<FileHeader64<Endianness>>(bytes)?,
        Ok(FileKind::Elf32) => read::<FileHeader32<Endianness>>(bytes)?,
        Ok(_) => return Err(Refusal::NotElf),
        Err(e) => return Err(Refusal::Truncated { reason: e.to_string() }),
    };
    check(&description, &host_api())?;
    let symbol = root_symbol(&description);
    if !symbols.contains(&symbol) {
        return Err(Refusal::NoRootSymbol { symbol });
    }
    Ok(description)
}

fn read<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<(Description, Vec<String>), Refusal> {
    let truncated = |e: object::Error| Refusal::Truncated { reason: e.to_string() };
    let file = ElfFile::<H>::parse(bytes).map_err(truncated)?;
    check_machine(&file)?;
    // Segments are what the linker maps; a file that ends before them would end this process.
    let header = file.elf_header();
    for segment in file.elf_program_headers() {
        use object::read::elf::ProgramHeader;
        let (offset, size) = segment.file_range(file.endian());
        if offset.checked_add(size).is_none_or(|end| end > bytes.len() as u64) {
            return Err(Refusal::Truncated { reason: "a segment ends after the file".to_owned() });
        }
    }
    if header.e_type(file.endian()) != object::elf::ET_DYN {
        return Err(Refusal::NotElf);
    }
    let section = file.section_by_name(".regent.meta").ok_or(Refusal::MissingSection)?;
    let json = section.data().map_err(truncated)?;
    if json.len() > MAX_DESCRIPTION_BYTES {
        return Err(Refusal::BadDescription { reason: format!("{} bytes", json.len()) });
    }
    let description: Description =
        serde_json::from_slice(json).map_err(|e| Refusal::BadDescription { reason: e.to_string() })?;
    let entry = root_symbol(&description);
    let defined = file.dynamic_symbols().filter(|s| !s.is_undefined());
    let names = defined.filter_map(|s| s.name().ok()).filter(|n| *n == entry).map(str::to_owned);
    Ok((description, names.collect()))
}

fn check_machine<H: FileHeader<Endian = Endianness>>(file: &ElfFile<'_, H>) -> Result<(), Refusal> {
    let found = format!("{:?}, {} bits", file.architecture(), if file.is_64() { 64 } else { 32 });
    let ours = if cfg!(target_arch = "x86_64") {
        object::Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        object::Architecture::Aarch64
    } else {
        object::Architecture::Unknown
    };
    let expected = format!("{ours:?}, {} bits", usize::BITS);
    let little = file.is_little_endian() == cfg!(target_endian = "little");
    if found != expected || !little {
        return Err(Refusal::WrongMachine { found, expected });
    }
    Ok(())
}

fn check(description: &Description, host: &Version) -> Result<(), Refusal> {
    let bad = |reason: &str| Err(Refusal::BadDescription { reason: reason.to_owned() });
    if description.format != FORMAT {
        return bad(&format!("it has format {}, this program reads {FORMAT}", description.format));
    }
    let name = description.name.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    if name.is_empty() || name.len() > 32 || !name.iter().all(plain) {
        return bad("its name is not lower case letters, digits and hyphens");
    }
    if description.types.is_empty() || description.types.iter().any(|t| t.trim().is_empty()) {
        return bad("it names no connection type");
    }
    if description.target != TARGET {
        let (found, expected) = (description.target.clone(), TARGET.to_owned());
        return Err(Refusal::WrongTarget { found, expected });
    }
    let host = host.clone();
    if description.api.major < host.major {
        return Err(Refusal::ApiTooOld { driver: description.api.clone(), host });
    }
    if description.api.major > host.major {
        return Err(Refusal::ApiTooNew { required: description.api.clone(), host });
    }
    if description.requires_api > host {
        return Err(Refusal::ApiTooNew { required: description.requires_api.clone(), host });
    }
    if description.is_c() && agreed(&description.layouts, &description.api, &host).is_none() {
        return Err(Refusal::LayoutsUnknown { driver: description.api.clone(), host });
    }
    Ok(())
}
