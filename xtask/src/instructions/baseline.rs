//! What reading layers may cost.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::Deserialize;

/// More than this is a regression.
const TOLERANCE_PERCENT: u64 = 5;
/// What a layer costs on top of its floor is next to nothing for some: less than this part of the floor is none of it.
const NOISE_DIVISOR: u64 = 1000;

/// How the file begins.
const HEAD: &str = "# Instructions to hash and inflate a layer, and what reading it takes on top of that.\n\
    # Written by `cargo xtask instructions --accept`.\n";

/// The costs of layers, by name.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Baseline(pub(super) BTreeMap<String, Cost>);

/// Instructions that a layer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    /// To hash and inflate it.
    pub(super) floor: u64,
    /// For the rest of reading it.
    pub(super) own: u64,
}

impl Baseline {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    pub(super) fn to_text(&self) -> String {
        let rows = self
            .0
            .iter()
            .map(|(name, Cost { floor, own })| format!("{name} = {{ floor = {floor}, own = {own} }}\n"));
        std::iter::once(HEAD.to_owned()).chain(rows).collect()
    }

    /// What takes more now, in words.
    pub(super) fn regressions(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, now) in &now.0 {
            let Some(accepted) = self.0.get(name) else {
                found.push(format!("{name}: not there"));
                continue;
            };
            let noise = accepted.floor / NOISE_DIVISOR;
            for (part, accepted, now, noise) in [
                ("to hash and inflate", accepted.floor, now.floor, 0),
                ("on top of that", accepted.own, now.own, noise),
            ] {
                if now > accepted + accepted * TOLERANCE_PERCENT / 100 + noise {
                    let tenths = (now - accepted) * 1000 / accepted.max(1);
                    found.push(format!(
                        "{name}, {part}: {now} instead of {accepted}, {}.{} % more",
                        tenths / 10,
                        tenths % 10
                    ));
                }
            }
        }
        found.extend(
            self.0.keys().filter(|name| !now.0.contains_key(*name)).map(|name| format!("{name}: gone")),
        );
        found
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10} {:>14} {:>12} {:>7}", "layer", "floor", "on top", "ratio")?;
        for (name, Cost { floor, own }) in &self.0 {
            let thousandths = (floor + own) * 1000 / (*floor).max(1);
            let (whole, rest) = (thousandths / 1000, thousandths % 1000);
            write!(f, "\n{name:<10} {floor:>14} {own:>12} {whole:>3}.{rest:03}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(costs: &[(&str, u64, u64)]) -> Baseline {
        Baseline(costs.iter().map(|&(name, floor, own)| (name.to_owned(), Cost { floor, own })).collect())
    }

    #[test]
    fn more_than_five_percent_more_is_a_regression_of_either_part() {
        let accepted = baseline(&[("many", 1_000_000, 100_000)]);
        let rows: [(u64, u64, &[&str]); 6] = [
            (1_000_000, 100_000, &[]),
            (1_050_000, 106_000, &[]),
            (900_000, 10, &[]),
            (1_050_001, 100_000, &["many, to hash and inflate: 1050001 instead of 1000000, 5.0 % more"]),
            (1_000_000, 106_001, &["many, on top of that: 106001 instead of 100000, 6.0 % more"]),
            (
                2_000_000,
                200_000,
                &[
                    "many, to hash and inflate: 2000000 instead of 1000000, 100.0 % more",
                    "many, on top of that: 200000 instead of 100000, 100.0 % more",
                ],
            ),
        ];
        for (floor, own, expected) in rows {
            assert_eq!(accepted.regressions(&baseline(&[("many", floor, own)])), expected, "{floor} {own}");
        }
    }

    #[test]
    fn layers_that_are_not_held_or_gone_are_told() {
        let regressions =
            baseline(&[("a", 1, 1), ("b", 1, 1)]).regressions(&baseline(&[("b", 1, 1), ("c", 1, 1)]));
        assert_eq!(regressions, ["c: not there", "a: gone"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let costs = baseline(&[("a", 10, 1), ("b", 20, 0)]);
        assert_eq!(Baseline::parse(&costs.to_text()).unwrap(), costs);
        assert!(Baseline::parse("a = { floor = 1 }").is_err());
    }
}
