//! The options of a scan: loose JSON in, checked values out.
//!
//! Every option has the name that the command line of the scanner being replaced gives it (`exclude-app-vulns`,
//! `imageNameAndTag`) and the same name in the other spelling (`excludeAppVulns`, `image-name-and-tag`). Values may
//! be text where they are not. Names that mean nothing here are passed over: requests carry more than scan options.

use std::collections::BTreeSet;

use regent_oci::Platform;
use regent_scan::{GlobSet, Interest};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::input::Compat;

/// The options of a scan, after the request's spellings have been understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `imageNameAndTag`.
    pub image_name: NameOption,
    /// `imageNameAndDigest`: a second name, for the list of names only.
    pub image_name_and_digest: Option<String>,
    /// `digests`: those of the image, as given. They are checked when the names are computed.
    pub digests: Option<GivenDigests>,
    /// `platform`: the platform that was asked for.
    pub platform: Option<Platform>,
    /// `file`: the Dockerfile's path. Reading it is the caller's part, and for a caller's request from outside not
    /// to be done.
    pub file: Option<String>,
    /// The Dockerfile's text. Not an option by itself: whoever reads [`Self::file`] puts it here.
    pub dockerfile: Option<String>,
    /// The switches that are on.
    pub flags: BTreeSet<Flag>,
    /// `nested-jars-depth`, or `shaded-jars-depth`: levels of jars inside jars.
    pub nested_jars_depth: u32,
    /// `globsToFind`: the files to hand out.
    pub globs: GlobSet,
    /// `target-reference`: copied to every result.
    pub target_reference: Option<String>,
    /// Warnings about the options themselves, which results repeat.
    pub warnings: Vec<String>,
    /// Which release to match. Not part of a request: the operator's choice.
    pub compat: Compat,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image_name: NameOption::default(),
            image_name_and_digest: None,
            digests: None,
            platform: None,
            file: None,
            dockerfile: None,
            flags: BTreeSet::new(),
            nested_jars_depth: DEFAULT_JARS_DEPTH,
            globs: GlobSet::default(),
            target_reference: None,
            warnings: Vec::new(),
            compat: Compat::default(),
        }
    }
}

/// What `imageNameAndTag` says. Absent and null are two things: null takes a name away that was given otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameOption {
    /// The option is absent.
    #[default]
    Absent,
    /// Null or empty: the image has no name.
    NoName,
    /// The image's name.
    Name(String),
}

/// The option `digests`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenDigests {
    /// Of the image manifest.
    pub manifest: Option<String>,
    /// Of the index that led to it.
    pub index: Option<String>,
}

/// A switch: on exactly when its text, lower-cased, is `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `exclude-app-vulns`: only the operating system's result.
    ExcludeAppVulns,
    /// `exclude-node-modules`: no results from `node_modules`.
    ExcludeNodeModules,
    /// `include-system-jars`: also jars below `/usr/lib`.
    IncludeSystemJars,
    /// `collect-application-files`: lists of source files.
    CollectApplicationFiles,
    /// `exclude-base-image-vulns`: only packages that user instructions installed.
    ExcludeBaseImageVulns,
    /// `layer-attribution`: which layer brought a package.
    LayerAttribution,
}

const FLAGS: [(&str, Flag); 6] = [
    ("exclude-app-vulns", Flag::ExcludeAppVulns),
    ("exclude-node-modules", Flag::ExcludeNodeModules),
    ("include-system-jars", Flag::IncludeSystemJars),
    ("collect-application-files", Flag::CollectApplicationFiles),
    ("exclude-base-image-vulns", Flag::ExcludeBaseImageVulns),
    ("layer-attribution", Flag::LayerAttribution),
];

const DEFAULT_JARS_DEPTH: u32 = 1;
const JARS_DEPTH: &str = "nested-jars-depth";
const OLD_JARS_DEPTH: &str = "shaded-jars-depth";

impl Options {
    /// Reads options, in kebab or camel case; where both spellings are there, the kebab one counts.
    ///
    /// # Errors
    /// [`Error::Option`] when a value has the wrong type, a depth is negative or no number, or options contradict
    /// each other.
    pub fn parse(options: &Map<String, Value>) -> Result<Self, Error> {
        let given = Given(options);
        let flags: BTreeSet<Flag> =
            FLAGS.iter().filter(|(name, _)| given.is_on(name)).map(|(_, flag)| *flag).collect();
        let (nested_jars_depth, warnings) = jars_depth(&given, flags.contains(&Flag::ExcludeAppVulns))?;
        Ok(Self {
            image_name: match given.text("image-name-and-tag")? {
                Some(name) => NameOption::Name(name),
                None if given.value("image-name-and-tag").is_some() => NameOption::NoName,
                None => NameOption::Absent,
            },
            image_name_and_digest: given.text("image-name-and-digest")?,
            digests: digests(&given)?,
            platform: given
                .text("platform")?
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| wrong("platform", "must be os/architecture or os/architecture/variant"))?,
            file: given.text("file")?,
            dockerfile: None,
            flags,
            nested_jars_depth,
            globs: globs(&given)?,
            target_reference: given.text("target-reference")?,
            warnings,
            compat: Compat::default(),
        })
    }

    /// What layers have to be read for beyond the packages.
    pub fn interest(&self) -> Interest {
        Interest { application_files: self.has(Flag::CollectApplicationFiles), globs: self.globs.clone() }
    }

    /// Whether a switch is on.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}

/// A request's options, looked up in both spellings.
struct Given<'a>(&'a Map<String, Value>);

impl Given<'_> {
    fn value(&self, kebab: &str) -> Option<&Value> {
        self.0.get(kebab).or_else(|| self.0.get(&camel(kebab)))
    }

    /// Text that is not empty. A number is taken for its digits, since JSON writers differ.
    fn text(&self, name: &'static str) -> Result<Option<String>, Error> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(wrong(name, "must be text")),
        }
    }

    fn is_on(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Bool(on)) => *on,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }
}

/// `exclude-app-vulns` → `excludeAppVulns`.
fn camel(kebab: &str) -> String {
    let mut parts = kebab.split('-');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        name.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

fn wrong(name: &'static str, reason: &'static str) -> Error {
    Error::Option { name, reason }
}

fn digests(given: &Given<'_>) -> Result<Option<GivenDigests>, Error> {
    match given.value("digests") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => {
            let object = Given(object);
            Ok(Some(GivenDigests { manifest: object.text("manifest")?, index: object.text("index")? }))
        }
        Some(_) => Err(wrong("digests", "must be an object with the texts manifest and index")),
    }
}

/// Globs for composer files are left out, as by the scanner being replaced.
fn globs(given: &Given<'_>) -> Result<GlobSet, Error> {
    let list = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|i| i.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let malformed = || wrong("globsToFind", "must be an object with the lists of text include and exclude");
    match given.value("globs-to-find") {
        None | Some(Value::Null) => Ok(GlobSet::default()),
        Some(Value::Object(object)) => {
            let mut include = list(object.get("include")).ok_or_else(malformed)?;
            include.retain(|glob| !glob.contains("composer"));
            let exclude = list(object.get("exclude")).ok_or_else(malformed)?;
            GlobSet::new(&include, &exclude).map_err(|error| wrong("globsToFind", error.expectation()))
        }
        Some(_) => Err(malformed()),
    }
}

/// The depth, and the warnings about how it was given.
fn jars_depth(given: &Given<'_>, without_applications: bool) -> Result<(u32, Vec<String>), Error> {
    let filled = |name: &str| {
        given
            .value(name)
            .filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.is_empty()))
    };
    let mut warnings = Vec::new();
    if filled(OLD_JARS_DEPTH).is_some() {
        warnings.push("--shaded-jars-depth is deprecated, use --nested-jars-depth instead".to_owned());
    }
    let Some(value) = filled(JARS_DEPTH).or_else(|| filled(OLD_JARS_DEPTH)) else {
        return Ok((DEFAULT_JARS_DEPTH, warnings));
    };
    let reason = "accepts only numbers greater than or equal to 0";
    let depth = match value {
        Value::Bool(true) => None,
        Value::String(text) if text.eq_ignore_ascii_case("true") => None,
        Value::Number(number) => number.as_f64(),
        Value::String(text) => Some(number(text).ok_or_else(|| wrong(JARS_DEPTH, reason))?),
        _ => return Err(wrong(JARS_DEPTH, reason)),
    };
    if depth.is_some_and(|depth| depth < 0.0) {
        return Err(wrong(JARS_DEPTH, reason));
    }
    if without_applications {
        return Err(wrong(JARS_DEPTH, "can't be used together with exclude-app-vulns"));
    }
    if depth.is_none() {
        warnings.push(
            "Non-numeric inputs for --nested-jars-depth are deprecated, replace with a numeric input"
                .to_owned(),
        );
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; the cast saturates, and no jar is that deep"
    )]
    Ok((depth.map_or(DEFAULT_JARS_DEPTH, |depth| depth as u32), warnings))
}

/// A finite decimal number. `str::parse` would take `inf` and `nan` as well.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let decimal = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    text.parse().ok().filter(|n: &f64| n.is_finite() && text.bytes().all(decimal))
}

#[cfg(test)]
mod tests;
