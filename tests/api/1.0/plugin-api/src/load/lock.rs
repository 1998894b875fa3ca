//! `plugins.lock`: the files that an operator has pinned.

use std::fmt;

use regent_oci::{Algorithm, Digest};

/// The pinned files of one plugin directory, as `sha256sum` writes them: a digest in hex, blanks and a file name on each
/// line. Bytes are pinned, names are for people. Comments, from `#` on at the begin of a line, are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Pin(Pin),
    /// A comment or an empty line.
    Other(String),
}

/// One pinned file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its name when it was pinned; empty where the line names none.
    pub name: String,
}

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} does not begin with a SHA-256 digest")]
pub struct LockError {
    /// Its number, from 1.
    pub line: usize,
}

/// What pinning a file changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// It was pinned already.
    Unchanged,
    /// It was not there.
    Added,
    /// Other bytes were pinned under its name.
    Replaced(Digest),
}

impl Lock {
    /// Its name, in the plugin directory.
    pub const FILE: &str = "plugins.lock";
    /// The largest that is read, in bytes: thousands of lines.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Reads the text of a lock.
    ///
    /// # Errors
    /// [`LockError`], naming the line. A lock with a line that can't be read pins nothing.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let lines = text.lines().enumerate().map(|(i, line)| {
            if line.trim().is_empty() || line.starts_with('#') {
                return Ok(Line::Other(line.trim_end().to_owned()));
            }
            let (digest, name) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            let text = if digest.contains(':') { digest.to_owned() } else { format!("sha256:{digest}") };
            let digest: Option<Digest> = text.parse().ok();
            let digest = digest.filter(|digest| digest.algorithm() == Algorithm::Sha256);
            let digest = digest.ok_or(LockError { line: i + 1 })?;
            // A star before the name says that `sha256sum` read the file as it is.
            let name = name.trim_start();
            Ok(Line::Pin(Pin { digest, name: name.strip_prefix('*').unwrap_or(name).to_owned() }))
        });
        Ok(Self { lines: lines.collect::<Result<_, _>>()? })
    }

    /// The pinned files, in order.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.lines.iter().filter_map(|line| match line {
            Line::Pin(pin) => Some(pin),
            Line::Other(_) => None,
        })
    }

    /// Whether these bytes are pinned.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.pins().any(|pin| pin.digest == *digest)
    }

    /// Pins these bytes under this name, in the place of what was pinned under it.
    pub fn pin(&mut self, name: &str, digest: &Digest) -> Pinned {
        let pin = Pin { digest: digest.clone(), name: name.to_owned() };
        let known = self.lines.iter_mut().find_map(|line| match line {
            Line::Pin(known) if known.name == name => Some(known),
            _ => None,
        });
        match known {
            Some(known) if known.digest == *digest => Pinned::Unchanged,
            Some(known) => Pinned::Replaced(std::mem::replace(known, pin).digest),
            None => {
                self.lines.push(Line::Pin(pin));
                Pinned::Added
            }
        }
    }

    /// Forgets the pins that `keep` does not want, and returns them.
    pub fn retain(&mut self, keep: impl Fn(&Pin) -> bool) -> Vec<Pin> {
        let mut gone = Vec::new();
        self.lines.retain(|line| match line {
            Line::Pin(pin) if !keep(pin) => {
                gone.push(pin.clone());
                false
            }
            _ => true,
        });
        gone
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                Line::Pin(pin) => {
                    // A name that begins with a star or a blank needs the star that is taken off.
                    let is_bare = !pin.name.starts_with(|c: char| c == '*' || c.is_whitespace());
                    let mark = if is_bare { ' ' } else { '*' };
                    writeln!(f, "{} {mark}{}", pin.digest.hex(), pin.name)?;
                }
                Line::Other(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}
