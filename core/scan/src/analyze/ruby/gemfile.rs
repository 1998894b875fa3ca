//! `Gemfile.lock` (Bundler, `lockfile_parser.rb`): sections at the margin, sources of gems with their gems indented by
//! four, and what each of those needs by six.

use std::collections::HashMap;

use crate::application::{Component, Ecosystem, HashAlgorithm};
use crate::overlay::OverlayFile;

/// Gems of one lock file, at most. The largest real ones have some thousand.
const MAX_GEMS: usize = 50_000;

/// Why a lock file can't be used, in words that complete "the file …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::analyze) struct Unreadable(pub(in crate::analyze) &'static str);

/// Where a section's gems are from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// A registry of gems.
    Registry,
    /// A repository.
    Git,
    /// A directory: the application's own gems, which no registry knows.
    Path,
    Checksums,
    Other,
}

/// The gems of a lock file but for those of the application itself, with what they depend on.
pub(in crate::analyze) fn read(text: &str, file: &OverlayFile) -> Result<Vec<Component>, Unreadable> {
    let mut lock = Lock::default();
    let mut has_sections = false;
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let indented = line.trim_start_matches(' ');
        match line.len() - indented.len() {
            0 if line.starts_with("<<<<<<<") => {
                return Err(Unreadable("has a conflict of versions that nobody settled"));
            }
            0 => {
                lock.begin(line);
                has_sections |= lock.section != Section::Other || ENDS.contains(&line);
            }
            2 if lock.section == Section::Checksums => lock.add_checksum(indented),
            2 => lock.add_property(indented),
            4 => lock.add_gem(indented, file)?,
            6 => lock.add_dependency(indented),
            _ => {}
        }
    }
    if !has_sections {
        return Err(Unreadable("has none of the sections of a lock file"));
    }
    Ok(lock.finish())
}

/// Sections that say nothing of gems.
const ENDS: [&str; 4] = ["PLATFORMS", "DEPENDENCIES", "RUBY VERSION", "BUNDLED WITH"];

struct Lock<'a> {
    section: Section,
    remote: Option<&'a str>,
    revision: Option<&'a str>,
    components: Vec<Component>,
    /// Name of each gem with what is said of its version, platform included, by their place.
    places: HashMap<(&'a str, &'a str), usize>,
    /// The first gem of a name. Of several, others are for other platforms.
    by_name: HashMap<&'a str, usize>,
    /// Gems with the name of one that they need.
    edges: Vec<(usize, &'a str)>,
    /// The gem whose dependencies are listed.
    current: Option<usize>,
}

impl Default for Lock<'_> {
    fn default() -> Self {
        Self {
            section: Section::Other,
            remote: None,
            revision: None,
            components: Vec::new(),
            places: HashMap::new(),
            by_name: HashMap::new(),
            edges: Vec::new(),
            current: None,
        }
    }
}

impl<'a> Lock<'a> {
    fn begin(&mut self, name: &str) {
        self.section = match name {
            "GEM" | "PLUGIN SOURCE" => Section::Registry,
            "GIT" => Section::Git,
            "PATH" => Section::Path,
            "CHECKSUMS" => Section::Checksums,
            _ => Section::Other,
        };
        (self.remote, self.revision, self.current) = (None, None, None);
    }

    fn add_property(&mut self, line: &'a str) {
        if let Some(remote) = line.strip_prefix("remote: ") {
            self.remote = Some(remote);
        } else if let Some(revision) = line.strip_prefix("revision: ") {
            self.revision = Some(revision);
        }
    }

    /// `name (version)` or `name (version-platform)`.
    fn add_gem(&mut self, line: &'a str, file: &OverlayFile) -> Result<(), Unreadable> {
        self.current = None;
        if !matches!(self.section, Section::Registry | Section::Git) {
            return Ok(());
        }
        let Some((name, full_version)) = gem(line) else { return Ok(()) };
        if self.components.len() == MAX_GEMS {
            return Err(Unreadable("has more gems than are read"));
        }
        // No version has a hyphen in it.
        let (version, platform) =
            full_version.split_once('-').map_or((full_version, None), |(v, p)| (v, Some(p)));
        let mut component =
            Component::new(Ecosystem::Gem, name, Some(version.to_owned()), file.path.clone(), file.layer);
        if let Some(platform) = platform {
            component.qualifiers.insert("platform", platform.to_owned());
        }
        if let (Section::Git, Some(remote), Some(revision)) = (self.section, self.remote, self.revision) {
            component.qualifiers.insert("vcs_url", format!("git+{remote}@{revision}"));
        }
        let place = self.components.len();
        self.current = Some(place);
        self.places.insert((name, full_version), place);
        self.by_name.entry(name).or_insert(place);
        self.components.push(component);
        Ok(())
    }

    /// `name`, or `name (requirements)`.
    fn add_dependency(&mut self, line: &'a str) {
        let name = line.split(' ').next().unwrap_or(line).trim_end_matches('!');
        self.edges.extend(self.current.map(|gem| (gem, name)));
    }

    /// `name (version) sha256=…`.
    fn add_checksum(&mut self, line: &str) {
        let Some((gem_of_line, checksums)) = line.rsplit_once(' ') else { return };
        let component = gem(gem_of_line)
            .and_then(|gem| self.places.get(&gem))
            .and_then(|&place| self.components.get_mut(place));
        let Some(component) = component else { return };
        let hashes = checksums.split(',').filter_map(|checksum| checksum.strip_prefix("sha256="));
        let is_hash = |hash: &&str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        component
            .hashes
            .extend(hashes.filter(is_hash).map(|hash| (HashAlgorithm::Sha256, hash.to_ascii_lowercase())));
    }

    fn finish(mut self) -> Vec<Component> {
        for (gem, name) in self.edges {
            if let (Some(&place), Some(component)) = (self.by_name.get(name), self.components.get_mut(gem))
                && place != gem
            {
                component.depends.push(place);
            }
        }
        self.components
    }
}

fn gem(line: &str) -> Option<(&str, &str)> {
    let (name, version) = line.split_once(" (")?;
    Some((name, version.strip_suffix(')')?)).filter(|(name, version)| !name.is_empty() && !version.is_empty())
}
