//! Which rows of the table have to be asked about a path, told by its last bytes.

use super::Analyzer;

/// So many bytes of a path's end are looked at. With four, hardly a row is asked for nothing.
const LENGTH: usize = 4;

/// For each of the last bytes, the last one first, and each of its values: the rows that some path with that byte there
/// may have to do with. A path has to do with those that all its last bytes name.
pub(super) struct Ends([[u64; 256]; LENGTH]);

impl Ends {
    /// Of a table with at most 64 rows.
    pub(super) fn new<const N: usize>(analyzers: &[Analyzer; N]) -> Self {
        const { assert!(N <= u64::BITS as usize, "a row has a bit of a number") };
        let mut places = [[0; 256]; LENGTH];
        for (row, analyzer) in analyzers.iter().enumerate() {
            for end in analyzer.ends.iter().chain(analyzer.files) {
                let mut last_bytes = end.bytes().rev();
                for place in &mut places {
                    match last_bytes.next() {
                        Some(byte) => {
                            let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
                            for value in cases {
                                if let Some(rows) = place.get_mut(usize::from(value)) {
                                    *rows |= 1 << row;
                                }
                            }
                        }
                        // Before its beginning an end goes with every byte.
                        None => place.iter_mut().for_each(|rows| *rows |= 1 << row),
                    }
                }
            }
        }
        Self(places)
    }

    /// The rows to be asked, in their order.
    pub(super) fn rows(&self, path: &str) -> impl Iterator<Item = usize> {
        let last_bytes = path.bytes().rev().zip(&self.0);
        let mut rows = last_bytes.fold(u64::MAX, |rows, (byte, place)| {
            rows & place.get(usize::from(byte)).copied().unwrap_or(u64::MAX)
        });
        std::iter::from_fn(move || {
            let row = usize::try_from(rows.trailing_zeros()).ok().filter(|_| rows != 0);
            rows &= rows.wrapping_sub(1);
            row
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ANALYZERS, ANY_END, Want};
    use super::*;

    /// Files that a pattern wants: of each row, and with each end.
    const WANTED: [&str; 35] = [
        "/usr/share/doc/a/copyright",
        "/var/lib/dpkg/info/a.list",
        "/usr/lib/jvm/a/release",
        "/usr/bin/node",
        "/app/Main.java",
        "/app/package.json",
        "/app/node_modules/a/package.json",
        "/app/node_modules/.package-lock.json",
        "/app/package-lock.json",
        "/app/yarn.lock",
        "/app/pnpm-lock.yaml",
        "/app/npm-shrinkwrap.json",
        "/app/composer.json",
        "/app/composer.lock",
        "/app/pyproject.toml",
        "/app/poetry.lock",
        "/app/requirements.txt",
        "/app/a.dist-info/METADATA",
        "/app/a.egg-info/PKG-INFO",
        "/app/EGG-INFO/PKG-INFO",
        "/app/a.egg-info",
        "/app/a.deps.json",
        "/app/a.jar",
        "/app/a.WAR",
        "/app/a.Ear",
        "/app/Gemfile.lock",
        "/app/gems.locked",
        "/app/specifications/a.gemspec",
        "/app/Cargo.lock",
        "/app/Package.resolved",
        "/app/mix.lock",
        "/app/Pipfile.lock",
        "/app/uv.lock",
        "/app/pdm.lock",
        "/opt/conda/conda-meta/a.json",
    ];

    fn asked(path: &str) -> Vec<usize> {
        Ends::new(&ANALYZERS).rows(path).collect()
    }

    #[test]
    fn the_rows_that_want_a_file_are_asked() {
        for (row, analyzer) in ANALYZERS.iter().enumerate() {
            let by_pattern = WANTED.iter().filter(|path| (analyzer.pattern)(path) != Want::NOTHING);
            for path in by_pattern.chain(analyzer.files) {
                assert!(asked(path).contains(&row), "row {row} of {path}");
            }
            for end in analyzer.ends {
                let end = end.to_ascii_lowercase();
                let is_wanted = |path: &&str| {
                    path.to_ascii_lowercase().ends_with(&end) && (analyzer.pattern)(path) != Want::NOTHING
                };
                assert!(WANTED.iter().any(is_wanted), "row {row} wants nothing with {end:?}");
            }
        }
    }

    #[test]
    fn of_most_files_those_rows_alone_are_asked_that_ask_for_files_of_any_name() {
        let any = ANALYZERS.iter().enumerate().filter(|(_, analyzer)| analyzer.ends == ANY_END);
        let any: Vec<usize> = any.map(|(row, _)| row).collect();
        assert!(!any.is_empty());
        for path in ["/usr/lib/python3/os.py", "/app/node_modules/a/index.js", "/usr/share/man/man1/ls.1.gz"]
        {
            assert_eq!(asked(path), any, "{path}");
        }
    }
}
