//! npm's `overrides`: other ranges for dependencies, everywhere or below certain packages.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::Unreadable;
use super::super::manifest::NodeManifest;
use super::super::range::Range;
use super::place::Ancestors;

/// The rules of a manifest.
pub(super) struct Overrides<'a> {
    rules: Rules<'a>,
    manifest: &'a NodeManifest,
}

/// Rules for dependencies at one place, by name.
#[derive(Default)]
struct Rules<'a>(HashMap<&'a str, Vec<Rule<'a>>>);

struct Rule<'a> {
    /// Only for dependencies whose range lies within this one.
    range: Option<&'a str>,
    /// What counts instead of the dependency's range.
    instead: Option<&'a str>,
    /// Rules below the package.
    below: Rules<'a>,
}

impl<'a> Rules<'a> {
    /// As deep as the JSON reader lets maps be nested.
    fn new(map: &'a Map<String, Value>) -> Self {
        let mut rules: HashMap<&str, Vec<Rule<'_>>> = HashMap::new();
        for (key, value) in map.iter().filter(|(key, _)| *key != ".") {
            let (name, range) = match key.rsplit_once('@') {
                Some((name, range)) if !name.is_empty() => (name, Some(range)),
                _ => (key.as_str(), None),
            };
            let (instead, below) = match value {
                Value::String(instead) => (Some(instead.as_str()), Rules::default()),
                Value::Object(map) => (map.get(".").and_then(Value::as_str), Rules::new(map)),
                _ => continue,
            };
            let rule = Rule { range, instead: instead.filter(|text| !text.is_empty()), below };
            let list = rules.entry(name).or_default();
            // A rule without a range goes before those with one.
            let place = if range.is_none() { 0 } else { list.len() };
            list.insert(place, rule);
        }
        Self(rules)
    }

    /// The rule for a dependency or package of that name and range or version.
    fn rule(&self, name: &str, range: &str, steps: &mut usize) -> Option<&Rule<'a>> {
        *steps += 1;
        self.0.get(name)?.iter().find(|rule| {
            rule.range.is_none_or(|whole| {
                *steps += 1;
                whole == range
                    || matches!((Range::parse(range), Range::parse(whole)),
                        (Some(range), Some(whole)) if range.is_within(&whole))
            })
        })
    }

    /// What counts for the last package of the chain; each step inwards goes further along the chain.
    fn instead(&self, chain: &[(&str, &str)], steps: &mut usize) -> Option<&'a str> {
        for (at, (name, range)) in chain.iter().enumerate() {
            if *steps > MAX_STEPS {
                return None;
            }
            let Some(rule) = self.rule(name, range, steps) else { continue };
            let rest = chain.get(at + 1..).unwrap_or_default();
            let found = if rest.is_empty() { rule.instead } else { rule.below.instead(rest, steps) };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// Rules looked at for one dependency, at most: rules nested in themselves would make ever more of it.
const MAX_STEPS: usize = 100_000;

impl<'a> Overrides<'a> {
    pub(super) fn new(manifest: &'a NodeManifest) -> Self {
        Self { rules: Rules::new(&manifest.overrides), manifest }
    }

    /// The range that counts for dependency `name` below these packages.
    pub(super) fn range(
        &self,
        name: &'a str,
        range: &'a str,
        ancestors: &mut Ancestors<'_>,
    ) -> Result<&'a str, Unreadable> {
        if self.rules.0.is_empty() {
            return Ok(range);
        }
        ancestors.charge(ancestors.len())?;
        let chain: Vec<(&str, &str)> = ancestors.iter().chain([(name, range)]).collect();
        let mut steps = 0;
        let instead = self.rules.instead(&chain, &mut steps);
        ancestors.charge(steps)?;
        let Some(instead) = instead else { return Ok(range) };
        // `$name` stands for what the project itself asks for.
        let Some(reference) = instead.strip_prefix('$') else { return Ok(instead) };
        let manifest = self.manifest;
        let lists = [
            &manifest.dependencies,
            &manifest.dev_dependencies,
            &manifest.optional_dependencies,
            &manifest.peer_dependencies,
        ];
        Ok(lists.iter().find_map(|list| list.get(reference)).unwrap_or(instead))
    }
}
