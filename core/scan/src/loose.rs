//! Fields that should be text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of which only text counts: anything else is passed over without being kept, however large it is. One mangled
/// field doesn't cost the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LooseText(pub(crate) Option<String>);

impl LooseText {
    /// The text, if it isn't empty.
    pub(crate) fn filled(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = LooseText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<LooseText, E> {
        Ok(LooseText(Some(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<LooseText, E> {
        Ok(LooseText(Some(text)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<LooseText, E> {
        Ok(LooseText::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<LooseText, E> {
        Ok(LooseText::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<LooseText, E> {
        Ok(LooseText::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<LooseText, E> {
        Ok(LooseText::default())
    }

    fn visit_unit<E>(self) -> Result<LooseText, E> {
        Ok(LooseText::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LooseText, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(LooseText::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LooseText, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(LooseText::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_counts() {
        for text in ["1", "-1", "1.5", "null", "true", "[1,[2]]", "{\"a\":{}}"] {
            assert_eq!(serde_json::from_str::<LooseText>(text).unwrap(), LooseText::default(), "{text}");
        }
        assert_eq!(serde_json::from_str::<LooseText>("\"a\\n\"").unwrap().filled().as_deref(), Some("a\n"));
        assert_eq!(serde_json::from_str::<LooseText>("\"\"").unwrap().filled(), None);
    }
}
