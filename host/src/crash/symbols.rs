//! What is known of one file that was mapped: where its code was, how its stack frames are left, names of functions.

use std::ops::Range;

use framehop::{ExplicitModuleSectionInfo, Module};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadRef, SymbolKind};

use super::mapping::Mapping;

/// Longest name of a function that is told, in characters.
const MAX_NAME: usize = 200;
/// Where the kernel begins to map: at the beginning of a page.
const PAGE: u64 = 4096;

/// A file with code, as it was mapped.
pub(super) struct Mapped<'a, R: ReadRef<'a>> {
    file: object::File<'a, R>,
    addresses: Range<u64>,
    /// What is added to an address in the file.
    bias: u64,
}

impl<'a, R: ReadRef<'a>> Mapped<'a, R> {
    /// The file with these bytes at these places. `None` for one that is no object, or not this one.
    pub(super) fn new(data: R, mappings: &[&Mapping]) -> Option<Self> {
        let file = object::File::parse(data).ok()?;
        let start = mappings.iter().map(|m| m.addresses.start).min()?;
        let end = mappings.iter().map(|m| m.addresses.end).max()?;
        let bias = mappings.iter().filter(|m| m.is_executable).find_map(|mapping| {
            // A page may have the end of one segment and the beginning of the next, at addresses of their own.
            let segment = file.segments().find(|segment| {
                let (offset, _) = segment.file_range();
                segment.permissions().executable() && offset & !(PAGE - 1) == mapping.offset
            })?;
            let (offset, _) = segment.file_range();
            // Both may be past the beginning of a page, by the same.
            let address = segment.address().wrapping_sub(offset).wrapping_add(mapping.offset);
            Some(mapping.addresses.start.wrapping_sub(address))
        })?;
        Some(Self { file, addresses: start..end, bias })
    }

    /// An address as the file says it.
    pub(super) fn place(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }

    /// For the unwinder.
    pub(super) fn module(&self) -> Module<&'a [u8]> {
        let range = |name| {
            let section = self.file.section_by_name(name)?;
            Some(section.address()..section.address().checked_add(section.size())?)
        };
        let data = |name| self.file.section_by_name(name).and_then(|section| section.data().ok());
        let sections = ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: range(".text"),
            got_svma: range(".got"),
            eh_frame_svma: range(".eh_frame"),
            eh_frame: data(".eh_frame"),
            eh_frame_hdr_svma: range(".eh_frame_hdr"),
            eh_frame_hdr: data(".eh_frame_hdr"),
            ..ExplicitModuleSectionInfo::default()
        };
        Module::new(String::new(), self.addresses.clone(), self.bias, sections)
    }

    /// The function at a place of the file, where its tables name one.
    pub(super) fn function(&self, place: u64) -> Option<String> {
        let symbols = self.file.symbols().chain(self.file.dynamic_symbols());
        let mut functions = symbols.filter(|s| s.kind() == SymbolKind::Text && s.is_definition());
        let found =
            functions.find(|s| (s.address()..s.address().saturating_add(s.size())).contains(&place))?;
        let name = format!("{:#}", rustc_demangle::demangle(found.name().ok()?));
        Some(name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use object::ReadCache;

    use super::*;

    #[inline(never)]
    fn a_function_to_find() -> u32 {
        std::hint::black_box(7)
    }

    #[test]
    fn a_function_of_this_very_program_is_found_by_its_address() {
        let all = Mapping::parse_all(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let program = std::env::current_exe().unwrap();
        let own: Vec<&Mapping> = all.iter().filter(|m| m.path == program.to_string_lossy()).collect();
        let cache = ReadCache::new(File::open(&program).unwrap());
        let mapped = Mapped::new(&cache, &own).unwrap();
        let address = (a_function_to_find as fn() -> u32 as *const ()).addr() as u64;
        let name = mapped.function(mapped.place(address)).unwrap();
        assert_eq!(name, "regent_host::crash::symbols::tests::a_function_to_find");
    }
}
