//! Packages that build instructions install: what `apt-get install …` and its like name, in the history of an image
//! or in a Dockerfile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regent_oci::History;
use regex::Regex;
use serde::Serialize;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The packages and layers of recognised instructions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instructions {
    /// By the name that the instruction gives.
    pub(crate) dockerfile_packages: BTreeMap<String, Installed>,
    /// By the base64 form of the instruction.
    dockerfile_layers: BTreeMap<String, Layer>,
    /// Whether something was left out for want of room.
    #[serde(skip)]
    pub(crate) is_cut: bool,
}

/// How a package came into the image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Installed {
    /// The whole instruction.
    pub(crate) instruction: String,
    /// The one command of it.
    pub(crate) install_command: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Layer {
    instruction: String,
}

/// What a layer is called where nothing but its instruction is known.
pub(crate) fn layer_id(instruction: &str) -> String {
    BASE64.encode(instruction)
}

/// A longer instruction is not analysed.
const MAX_INSTRUCTION: usize = 32 * 1024;
/// Each package carries its instruction along. What that may add up to, in bytes.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

impl Installed {
    /// What it adds to a result, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.instruction.len() + self.install_command.len()
    }
}

impl Instructions {
    /// Reads instructions, oldest first. Of two that install a package the later counts.
    pub(crate) fn parse(texts: impl IntoIterator<Item = String>) -> Self {
        let mut instructions = Self::default();
        let mut bytes = 0;
        for text in texts {
            if text.len() > MAX_INSTRUCTION {
                instructions.is_cut = true;
                continue;
            }
            let commands = Commands::parse(&text);
            for name in commands.packages() {
                let installed = commands.installed(name);
                bytes += installed.len_bytes();
                if bytes > MAX_BYTES {
                    instructions.is_cut = true;
                    break;
                }
                instructions.dockerfile_packages.insert(name.to_owned(), installed);
            }
        }
        let texts: BTreeSet<&String> =
            instructions.dockerfile_packages.values().map(|installed| &installed.instruction).collect();
        instructions.dockerfile_layers =
            texts.into_iter().map(|text| (layer_id(text), Layer { instruction: text.clone() })).collect();
        instructions
    }

    /// Whether there is anything.
    pub(crate) fn is_recognised(&self) -> bool {
        !self.dockerfile_packages.is_empty() && !self.dockerfile_layers.is_empty()
    }

    /// Reads the instructions that came on top of a base image: those within five hours of the last one. None, where
    /// that is all of them, since then nothing tells base image and user apart.
    pub(crate) fn of_user(history: &[History]) -> Self {
        let created = |entry: &History| {
            entry.get("created").and_then(Value::as_str).and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok())
        };
        let Some(last) = history.last().and_then(created) else { return Self::default() };
        let recent: Vec<&History> = history
            .iter()
            .filter(|entry| created(entry).is_some_and(|time| (last - time).abs() <= USER_WINDOW))
            .collect();
        if recent.len() == history.len() {
            return Self::default();
        }
        Self::parse(
            recent
                .into_iter()
                .filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)))
                .filter_map(|entry| entry.get("created_by").and_then(Value::as_str))
                .map(|text| text.replacen("# buildkit", "", 1)),
        )
    }
}

const USER_WINDOW: Duration = Duration::hours(5);

/// An install command up to the white space behind it. One list of options is for either side of the verb.
static INSTALL: LazyLock<Regex> = LazyLock::new(|| {
    let apk = "(?:--update|-u|--no-cache)";
    let apt = "(?:--assume-yes|--yes|-y)";
    let dnf = "(?:--assumeyes|--best|--nodocs|--allowerasing|-y)";
    let microdnf = "(?:--nodocs|--best|--assumeyes|-y)";
    Regex::new(
        &[
            r"(?:rpm\s+(?:-i|--install)".to_owned(),
            format!(r"apk\s+(?:{apk}\s+)*add(?:\s+{apk})*"),
            format!(r"apt-get\s+(?:{apt}\s+)*install(?:\s+{apt})*"),
            format!(r"apt\s+(?:{apt}\s+)*install"),
            format!(r"microdnf\s+(?:{microdnf}\s+)*install(?:\s+{microdnf})*"),
            format!(r"dnf\s+(?:{dnf}\s+)*install(?:\s+{dnf})*"),
            r"yum\s+install".to_owned(),
            r"aptitude\s+install)\s+".to_owned(),
        ]
        .join("|"),
    )
    .expect("the pattern is valid")
});

/// The install commands of an instruction.
struct Commands<'a> {
    instruction: &'a str,
    /// Each command, and what stands behind the words that make it one.
    commands: Vec<(&'a str, &'a str)>,
}

impl<'a> Commands<'a> {
    fn parse(instruction: &'a str) -> Self {
        let commands = shell_text(instruction)
            .split([';', '\n'])
            .flat_map(|part| part.split("&&"))
            .filter_map(|command| Some((command, command.split_at(INSTALL.find(command)?.end()).1)))
            .collect();
        Self { instruction, commands }
    }

    /// The names of the packages, in order. Words in front of an install command are none.
    fn packages(&self) -> impl Iterator<Item = &'a str> {
        self.commands
            .iter()
            .flat_map(|(_, words)| words.split_whitespace())
            .filter(|word| !word.starts_with('-'))
            .map(|word| {
                let name = word.split('=').next().unwrap_or_default();
                name.strip_prefix('$').unwrap_or(name)
            })
            .filter(|name| !name.is_empty())
    }

    fn installed(&self, name: &str) -> Installed {
        let mut commands = self.commands.iter().map(|(command, _)| *command);
        let command = commands.find(|command| command.contains(name)).unwrap_or("Unknown");
        Installed {
            instruction: self.instruction.to_owned(),
            install_command: command.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

/// The command line of an instruction, without the builder's wrapping.
fn shell_text(instruction: &str) -> &str {
    let strip = |text, prefix| str::strip_prefix(text, prefix).unwrap_or(text);
    let mut text = strip(instruction, "RUN ");
    // `|1 NAME=value /bin/sh -c …`: build arguments, whose number is told first.
    let mut letters = text.chars();
    if text != instruction
        && letters.next() == Some('|')
        && letters.next().is_some_and(|c| c.is_ascii_digit())
    {
        text = INSTALL.find(text).map_or(text, |found| text.split_at(found.start()).1);
    }
    strip(strip(text, "/bin/sh "), "-c ")
}

#[cfg(test)]
mod tests;
