//! A Go program: its modules, and which packages of them were linked.

use std::io;

use serde::{Deserialize, Serialize};

use super::build_info;
use super::elf::Elf;
use super::file_table::FileTable;
use super::packages;
use super::spool::{Spool, damaged, readable};

/// Modules of one program, at most. The largest have some thousand.
const MAX_MODULES: usize = 50_000;

/// What a Go program says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoProgram {
    /// The toolchain that built it, e.g. `go1.21.13`.
    pub version: String,
    /// Whether it was built with any knowledge of modules. If not, the rest is empty.
    pub has_modules: bool,
    /// The import path of its main package; empty where it is not told.
    pub path: String,
    /// The main module. `None` for programs that were built outside of one.
    pub main: Option<GoModule>,
    /// The modules that it depends on, in the order of the text.
    pub modules: Vec<GoModule>,
    /// The packages of these modules that were linked. `None` where the program doesn't tell.
    pub packages: Option<Vec<GoPackage>>,
}

/// A module as it was built in: where another one replaces it, that one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoModule {
    /// Its path.
    pub name: String,
    /// Its version, with `v`; empty where it has none.
    pub version: String,
    /// Whether a directory took its place, whose version nothing tells.
    pub is_local: bool,
}

/// A linked package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GoPackage {
    /// The place of its module in [`GoProgram::modules`].
    pub module: usize,
    /// Its import path.
    pub name: String,
}

impl GoProgram {
    pub(super) fn cost_bytes(&self) -> usize {
        let modules = self.modules.iter().chain(&self.main);
        let packages = self.packages.iter().flatten();
        self.version.len()
            + self.path.len()
            + modules
                .map(|module| size_of::<GoModule>() + module.name.len() + module.version.len())
                .sum::<usize>()
            + packages.map(|package| size_of::<GoPackage>() + package.name.len()).sum::<usize>()
    }

    /// Reads the text of a build information (the format of Go's `runtime/debug.BuildInfo.String`).
    fn parse(version: String, text: &str) -> io::Result<Self> {
        let mut program = Self { version, has_modules: !text.is_empty(), ..Self::default() };
        for (n, line) in text.split('\n').enumerate() {
            let mut fields = line.split('\t');
            let kind = fields.next().unwrap_or_default();
            let name = fields.next().unwrap_or_default();
            let version = fields.next().unwrap_or_default();
            let module = || GoModule { name: name.to_owned(), version: version.to_owned(), is_local: false };
            match kind {
                "path" if n == 0 => name.clone_into(&mut program.path),
                "mod" if n == 1 => program.main = Some(module()),
                "dep" if program.modules.len() == MAX_MODULES => return Err(damaged()),
                "dep" => program.modules.push(module()),
                "=>" => {
                    if let Some(replaced) = program.modules.last_mut() {
                        if version.is_empty() {
                            replaced.is_local = true;
                        } else {
                            *replaced = module();
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(program)
    }
}

/// Reads a program. `None` if it isn't one.
pub(super) fn read(elf: &Elf, file: &mut Spool) -> io::Result<Option<GoProgram>> {
    let Some(info) = build_info::read(elf, file)? else { return Ok(None) };
    let mut program = GoProgram::parse(info.version, &info.text)?;
    if let Some(section) = elf.section(b".gopclntab")
        && !program.modules.is_empty()
    {
        // A table that can't be read costs the packages' names; the modules are told all the same.
        let linked = FileTable::read(elf, section, file)
            .and_then(|table| packages::linked(&table, &program.modules, file));
        program.packages = readable(linked)?;
    }
    Ok(Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_modules_are_what_replaces_them_and_other_lines_are_passed_over() {
        let text = "path\texample.org/app/cmd\nmod\texample.org/app\t(devel)\t\n\
            dep\tgithub.com/a/b\tv1.0.0\n=>\tgithub.com/fork/b\tv1.0.1\th1:x=\n\
            dep\tgithub.com/c/d\tv2.0.0\n=>\t./d\t\t\ndep\tgithub.com/e/f\tv3.0.0\th1:y=\nbuild\t-compiler=gc\n";
        let program = GoProgram::parse("go1.24.1".into(), text).unwrap();
        assert_eq!(program.path, "example.org/app/cmd");
        assert_eq!(program.main.map(|module| module.name).as_deref(), Some("example.org/app"));
        let modules: Vec<_> =
            program.modules.iter().map(|m| (m.name.as_str(), m.version.as_str(), m.is_local)).collect();
        assert_eq!(
            modules,
            [
                ("github.com/fork/b", "v1.0.1", false),
                ("github.com/c/d", "v2.0.0", true),
                ("github.com/e/f", "v3.0.0", false)
            ]
        );
    }

    #[test]
    fn a_program_outside_of_a_module_has_no_main_module() {
        let program =
            GoProgram::parse("go1.19.8".into(), "path\tgithub.com/a/b\nbuild\t-trimpath=true\n").unwrap();
        assert_eq!((program.path.as_str(), program.main), ("github.com/a/b", None));
    }
}
