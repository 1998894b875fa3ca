//! Which packages were linked: source files, assigned to modules.
//!
//! Files lie in the module cache (`ROOT/MODULE@VERSION/…`), in a vendor directory (`ROOT/vendor/MODULE/…`), or, in
//! programs built with `-trimpath`, nowhere (`MODULE@VERSION/…`). Names of modules end where a component of a path ends;
//! where one module lies inside another, the inner one counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use super::file_table::FileTable;
use super::program::{GoModule, GoPackage};
use super::spool::{Spool, damaged};

/// Packages of one program, at most, and the length of their names together, in bytes. The largest programs have
/// some thousand.
const MAX_PACKAGES: usize = 100_000;
const MAX_NAMES_BYTES: usize = 16 << 20;
/// Components of a module's name, and its length with its version, in bytes: longer ones match nothing. With the two
/// below it bounds what one hostile path can cost.
const MAX_COMPONENTS: usize = 16;
const MAX_NAME_BYTES: usize = 320;
/// Places in one path where a module's version, or what is vendored, may begin.
const MAX_STARTS: usize = 3;
/// Vendor directories that are considered.
const MAX_VENDOR_DIRECTORIES: usize = 16;
/// A file that each program contains, in the source of the standard library. That has a vendor directory too, whose
/// packages belong to no module.
const STANDARD_LIBRARY_FILE: &str = "runtime/proc.go";

/// The packages of the modules, sorted.
pub(super) fn linked(
    table: &FileTable,
    modules: &[GoModule],
    file: &mut Spool,
) -> io::Result<Vec<GoPackage>> {
    let names = Names::new(modules);
    let roots = Roots::find(table, &names, file)?;
    let mut packages = BTreeSet::new();
    let mut names_bytes = 0;
    table.each(file, &mut |path| {
        let Some((module, rest)) = roots.assign(path, &names) else { return };
        let Some(name) = modules.get(module).map(|module| package_name(&module.name, rest)) else { return };
        let length = name.len();
        if packages.insert(GoPackage { module, name }) {
            names_bytes += length;
        }
        // What is too much is noticed below; here it only must not grow.
        if packages.len() > MAX_PACKAGES || names_bytes > MAX_NAMES_BYTES {
            packages.pop_last();
        }
    })?;
    if packages.len() >= MAX_PACKAGES || names_bytes > MAX_NAMES_BYTES {
        return Err(damaged());
    }
    Ok(packages.into_iter().collect())
}

/// The import path of the package that a file belongs to. `rest` is its path in the module, with a leading slash.
fn package_name(module: &str, rest: &str) -> String {
    format!("{module}{}", rest.rsplit_once('/').map_or("", |(directory, _)| directory))
}

/// The modules by their names.
struct Names<'a> {
    by_name: HashMap<&'a str, usize>,
    by_name_and_version: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    fn new(modules: &'a [GoModule]) -> Self {
        let places = || modules.iter().enumerate().filter(|(_, module)| !module.name.is_empty());
        Self {
            by_name: places().map(|(place, module)| (module.name.as_str(), place)).collect(),
            by_name_and_version: places()
                .map(|(place, module)| (format!("{}@{}", module.name, module.version), place))
                .collect(),
        }
    }

    /// The module whose files lie at `MODULE@VERSION/`, and what follows, from the slash on.
    fn versioned<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let (at, _) = path.match_indices('@').next()?;
        let end = at + path.get(at..)?.find('/')?;
        let (name, rest) = path.split_at_checked(end)?;
        Some((*self.by_name_and_version.get(name)?, rest))
    }

    /// The module with the longest name for which files lie at `MODULE/`.
    fn unversioned<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let ends = path.match_indices('/').take(MAX_COMPONENTS).take_while(|(end, _)| *end <= MAX_NAME_BYTES);
        let found = ends.filter_map(|(end, _)| {
            let (name, rest) = path.split_at_checked(end)?;
            Some((*self.by_name.get(name)?, rest))
        });
        found.last()
    }
}

/// Where files lie.
enum Roots {
    /// Nowhere.
    Trimmed,
    /// Each with a slash at its end.
    Directories { cache: Option<String>, vendor: Option<String> },
}

impl Roots {
    fn find(table: &FileTable, names: &Names<'_>, file: &mut Spool) -> io::Result<Self> {
        let mut is_trimmed = true;
        let mut cache = None;
        let mut vendors = BTreeMap::new();
        let mut order = 0_usize;
        table.each(file, &mut |path| {
            is_trimmed = is_trimmed && !path.starts_with('/');
            cache = cache.take().or_else(|| cache_root(path, names).map(str::to_owned));
            for (at, _) in path.match_indices("/vendor/").take(MAX_STARTS) {
                let Some((root, inside)) = path.split_at_checked(at + "/vendor/".len()) else { continue };
                if vendors.len() < MAX_VENDOR_DIRECTORIES
                    && !vendors.contains_key(root)
                    && names.unversioned(inside).is_some()
                {
                    vendors.insert(root.to_owned(), order);
                    order += 1;
                }
            }
        })?;
        if is_trimmed {
            return Ok(Self::Trimmed);
        }
        // The directory of a vendored project has files of its own.
        let (mut of_projects, mut of_standard_library) = (BTreeSet::new(), BTreeSet::new());
        if !vendors.is_empty() {
            table.each(file, &mut |path| {
                for root in vendors.keys() {
                    let parent = root.strip_suffix("vendor/").unwrap_or(root);
                    let Some(inside) = path.strip_prefix(parent) else { continue };
                    if !inside.starts_with("vendor/") {
                        of_projects.insert(root.clone());
                    }
                    if inside == STANDARD_LIBRARY_FILE {
                        of_standard_library.insert(root.clone());
                    }
                }
            })?;
        }
        let counts = |root: &str| of_projects.contains(root) && !of_standard_library.contains(root);
        let first = vendors.iter().filter(|(root, _)| counts(root)).min_by_key(|(_, order)| **order);
        Ok(Self::Directories { cache, vendor: first.map(|(root, _)| root.clone()) })
    }

    /// The module of a file, and the file's path in it.
    fn assign<'p>(&self, path: &'p str, names: &Names<'_>) -> Option<(usize, &'p str)> {
        match self {
            Self::Trimmed => names.versioned(path),
            Self::Directories { cache, vendor } => {
                let below =
                    |root: &Option<String>| root.as_ref().and_then(|root| path.strip_prefix(root.as_str()));
                match below(vendor) {
                    Some(inside) => names.unversioned(inside),
                    None => names.versioned(below(cache)?),
                }
            }
        }
    }
}

/// What precedes `MODULE@VERSION/` in a path, up to and with the slash there.
fn cache_root<'p>(path: &'p str, names: &Names<'_>) -> Option<&'p str> {
    for (at, _) in path.match_indices('@').take(MAX_STARTS) {
        let end = at + path.get(at..)?.find('/')?;
        let starts = path.get(..at)?.rmatch_indices('/').take(MAX_COMPONENTS);
        let mut found = starts.filter(|(start, _)| {
            path.get(start + 1..end).is_some_and(|name| {
                name.len() <= MAX_NAME_BYTES && names.by_name_and_version.contains_key(name)
            })
        });
        if let Some((start, _)) = found.next() {
            return path.get(..=start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules_end_where_components_end_and_the_inner_module_counts() {
        let module = |name: &str, version: &str| GoModule {
            name: name.into(),
            version: version.into(),
            is_local: false,
        };
        let modules =
            [module("x.org/lib", "v1"), module("x.org/lib-extra", "v2"), module("x.org/lib/in", "v3")];
        let names = Names::new(&modules);
        let rows = [
            ("x.org/lib/a.go", Some((0, "/a.go"))),
            ("x.org/lib-extra/sub/b.go", Some((1, "/sub/b.go"))),
            ("x.org/lib/in/c/d.go", Some((2, "/c/d.go"))),
            ("x.org/library/a.go", None),
            ("x.org/lib", None),
        ];
        for (path, expected) in rows {
            assert_eq!(names.unversioned(path), expected, "{path}");
        }
        let rows = [
            ("x.org/lib@v1/a.go", Some((0, "/a.go"))),
            ("x.org/lib/in@v3/c/d.go", Some((2, "/c/d.go"))),
            ("x.org/lib@v10/a.go", None),
            ("x.org/lib@v1", None),
        ];
        for (path, expected) in rows {
            assert_eq!(names.versioned(path), expected, "{path}");
        }
        assert_eq!(
            cache_root("/home/me@work/go/pkg/mod/x.org/lib@v1/a.go", &names),
            Some("/home/me@work/go/pkg/mod/")
        );
        assert_eq!(package_name("x.org/lib", "/a.go"), "x.org/lib");
        assert_eq!(package_name("x.org/lib", "/in/c/a.go"), "x.org/lib/in/c");
    }

    #[test]
    fn a_path_of_many_components_costs_little() {
        let modules = [GoModule { name: "x.org/lib".into(), version: "v1".into(), is_local: false }];
        let names = Names::new(&modules);
        let deep = "/a".repeat(2000);
        for path in [deep.clone(), "/vendor/@".repeat(400), format!("{deep}@v1/x.go")] {
            assert_eq!(
                (names.unversioned(&path), names.versioned(&path), cache_root(&path, &names)),
                (None, None, None)
            );
        }
        let root = format!("{deep}/");
        assert_eq!(cache_root(&format!("{root}x.org/lib@v1/a.go"), &names), Some(root.as_str()));
    }
}
