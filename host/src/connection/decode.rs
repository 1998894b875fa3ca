//! Text → connection.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Connection, ConnectionError};

/// Levels of objects inside a connection. The known ones have two.
const MAX_DEPTH: usize = 8;

/// Base64 as people and programs write it: padded or not, stray bits at the end ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A connection, and what an operator should know about how it was read.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The connection.
    pub connection: Connection,
    /// Something to log, without a secret.
    pub notice: Option<Notice>,
}

/// What an operator should know about how a connection was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It was no JSON and was read by the known order of its fields.
    Recovered,
    /// The password holds a control character: the mark of a backslash that the broker did not escape (`\n` in a
    /// password arrives as a line feed), and then the registry will reject it.
    ControlCharacter,
}

impl Notice {
    /// The line for the log.
    pub fn message(self) -> &'static str {
        match self {
            Self::Recovered => {
                "the connection is not valid JSON (a quote or backslash in a value, which the broker does not escape); \
                 it was read by the order of its fields"
            }
            Self::ControlCharacter => {
                "the connection's password holds a control character; a backslash in a password must be written as \
                 two in the broker's settings"
            }
        }
    }
}

/// Reads a connection from a request: base64 of a JSON object, or the object's text itself.
///
/// # Errors
/// [`ConnectionError::Malformed`] with the part that is wrong; [`ConnectionError::Missing`] for an empty text or the
/// placeholder that a broker left in place.
pub fn decode(text: &str, place: &'static str) -> Result<Decoded, ConnectionError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ConnectionError::Missing { reason: "what it names is empty" });
    }
    if text == "${CR_CREDENTIALS}" {
        return Err(ConnectionError::Missing {
            reason: "the broker left ${CR_CREDENTIALS} as it is, so it has no credentials set or was not asked to \
                     fill them in",
        });
    }
    let malformed = |part: &str| ConnectionError::Malformed { place, part: part.to_owned() };
    if text.starts_with('{') {
        return from_json(text, place);
    }
    let bytes: Vec<u8> = text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| match b {
            b'-' => b'+', // the URL-safe alphabet
            b'_' => b'/',
            other => other,
        })
        .collect();
    let bytes = LENIENT.decode(bytes).map_err(|_| malformed("it is not base64"))?;
    let json = String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8 behind its base64"))?;
    from_json(json.trim(), place)
}

/// Reads a connection from the object that a request's body holds.
///
/// # Errors
/// As [`decode`].
pub(super) fn from_object(
    object: Map<String, Value>,
    place: &'static str,
) -> Result<Decoded, ConnectionError> {
    let mut fields = Vec::new();
    flatten("", object, 0, &mut fields).map_err(|part| ConnectionError::Malformed { place, part })?;
    let position = fields.iter().position(|(name, _)| name == "type");
    let registry_type = position.map(|at| fields.swap_remove(at).1).unwrap_or_default();
    if registry_type.trim().is_empty() {
        return Err(ConnectionError::Malformed { place, part: "it has no type".to_owned() });
    }
    let control =
        fields.iter().any(|(name, value)| name == "password" && value.chars().any(char::is_control));
    let fields = fields.into_iter().map(|(name, value)| (name, SecretString::from(value)));
    Ok(Decoded {
        connection: Connection::new(registry_type.trim(), fields),
        notice: control.then_some(Notice::ControlCharacter),
    })
}

fn from_json(text: &str, place: &'static str) -> Result<Decoded, ConnectionError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => from_object(object, place),
        Ok(_) => Err(ConnectionError::Malformed { place, part: "it is not a JSON object".to_owned() }),
        Err(_) => recover(text).ok_or_else(|| ConnectionError::Malformed {
            place,
            part: "it is not valid JSON, and its fields are not the known ones in their known order either"
                .to_owned(),
        }),
    }
}

/// Nested objects become names with dots; everything else becomes text.
fn flatten(
    prefix: &str,
    object: Map<String, Value>,
    depth: usize,
    into: &mut Vec<(String, String)>,
) -> Result<(), String> {
    if depth == MAX_DEPTH {
        return Err(format!("it has more than {MAX_DEPTH} levels"));
    }
    for (name, value) in object {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Null => {}
            Value::String(text) => into.push((name, text)),
            Value::Object(inner) => flatten(&name, inner, depth + 1, into)?,
            other => into.push((name, other.to_string())),
        }
    }
    Ok(())
}

/// Reads what the broker's start script makes of values that it should have escaped: the four known keys in their
/// known order, each value raw. The separators tell where a value ends, so a password may hold quotes, backslashes and
/// even a whole JSON document; it lies between the first separator before it and the last behind it.
fn recover(text: &str) -> Option<Decoded> {
    let rest = text.strip_prefix(r#"{"type":""#)?;
    let (registry_type, rest) = rest.split_once(r#"", "username":""#)?;
    let (username, rest) = rest.split_once(r#"", "password":""#)?;
    let (password, rest) = rest.rsplit_once(r#"", "registryBase":""#)?;
    let base = rest.strip_suffix(r#""}"#)?;
    // A type or base with a quote in it means that the separators were not what they seem.
    if registry_type.trim().is_empty() || registry_type.contains('"') || base.contains('"') {
        return None;
    }
    let fields = [("username", username), ("password", password), ("registryBase", base)]
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    Some(Decoded {
        connection: Connection::new(registry_type.trim(), fields),
        notice: Some(Notice::Recovered),
    })
}
