//! Maps of text to text in the order of the file.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::loose::LooseText;

/// Names with a text each, in the order of the file: dependencies with their ranges.
///
/// Of a name that comes twice the last text counts, at the place of the first, as JSON readers have it. What is no
/// text is left out, and what is no map is empty: one mangled field doesn't cost the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// The text of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that they take, about.
    pub(crate) fn cost_bytes(&self) -> usize {
        self.iter().map(|(name, text)| name.len() + text.len() + 2 * size_of::<String>()).sum()
    }
}

impl FromIterator<(String, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut places = std::collections::HashMap::new();
        let mut list: Vec<(String, String)> = Vec::new();
        for (name, text) in pairs {
            let place = *places.entry(name.clone()).or_insert(list.len());
            match list.get_mut(place) {
                Some((_, old)) => *old = text,
                None => list.push((name, text)),
            }
        }
        Self(list)
    }
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_map(self.iter())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(PairsVisitor)
        } else {
            // Compact forms don't say what comes next, and hold only what was written from here.
            Vec::<(String, String)>::deserialize(deserializer).map(Self::from_iter)
        }
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names with a text each")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, LooseText>()? {
            if let LooseText(Some(text)) = value {
                pairs.push((name, text));
            }
        }
        Ok(pairs.into_iter().collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pairs, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Pairs::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_unit<E>(self) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_of_a_name_counts_at_the_place_of_the_first() {
        let pairs: Pairs = serde_json::from_str(r#"{"b":"1","a":"2","c":3,"b":"4"}"#).unwrap();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("b", "4"), ("a", "2")]);
        assert_eq!(pairs.get("a"), Some("2"));
        assert_eq!(serde_json::to_string(&pairs).unwrap(), r#"{"b":"4","a":"2"}"#);
    }

    #[test]
    fn what_is_no_map_is_empty() {
        for text in ["[1]", "null", "1", "-1", "1.5", "true", "\"a\""] {
            assert!(serde_json::from_str::<Pairs>(text).unwrap().is_empty(), "{text}");
        }
    }
}
