//! npm's version ranges: `^1.2`, `~1`, `1.x || >=2.5.0 <3`, `1.2 - 2`.
//!
//! Crates for this exist, and differ from npm where it matters here: which prereleases a range takes, what is no range
//! at all, and whether one range lies within another.

use super::version::{Identifier, Version, next, number, prerelease};

/// Longest range that is read. npm has no bound; real ranges have some dozen bytes.
const MAX_LENGTH: usize = 4096;

/// Which versions are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// Any of these.
    sets: Vec<Set>,
}

/// All of these.
type Set = Vec<Comparator>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparator {
    /// Every version. In itself it takes no prereleases, as any comparator of a release.
    Any,
    Compare(Op, Version),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
}

impl Range {
    /// `None` for what is no range: a tag, an address, a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let mut sets = text.split("||").map(parse_set).collect::<Option<Vec<Set>>>()?;
        if sets.len() > 1 {
            let first = sets.first().cloned()?;
            sets.retain(|set| !set.first().is_some_and(Comparator::is_nothing));
            if sets.is_empty() {
                sets.push(first);
            } else if sets.iter().any(|set| *set == [Comparator::Any]) {
                sets = vec![vec![Comparator::Any]];
            }
        }
        Some(Self { sets })
    }

    /// Whether it accepts the version. A prerelease only where the range names one of the same release.
    pub(super) fn accepts(&self, version: &Version) -> bool {
        self.sets.iter().any(|set| accepts(set, version))
    }

    /// How much there is to compare.
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(Vec::len).sum()
    }

    /// Whether `whole` accepts everything that this accepts, as far as npm can tell.
    pub(super) fn is_within(&self, whole: &Self) -> bool {
        if self == whole {
            return true;
        }
        let mut is_something = false;
        for part in &self.sets {
            let mut is_part_within = false;
            for set in &whole.sets {
                let within = is_set_within(part, set);
                is_something |= within != Within::Nothing;
                if within == Within::Yes {
                    is_part_within = true;
                    break;
                }
            }
            // Parts that accept nothing are passed over, unless all are such.
            if !is_part_within && is_something {
                return false;
            }
        }
        true
    }
}

impl Comparator {
    fn accepts(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Compare(op, bound) => match op {
                Op::Less => version < bound,
                Op::LessEqual => version <= bound,
                Op::Greater => version > bound,
                Op::GreaterEqual => version >= bound,
                Op::Equal => version == bound,
            },
        }
    }

    /// `<0.0.0-0`, which accepts nothing.
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Compare(Op::Less, version)
            if version.numbers == [0; 3] && version.pre == [Identifier::Number(0)])
    }

    fn is_prerelease_of(&self, release: &Version) -> bool {
        matches!(self, Self::Compare(_, version) if !version.pre.is_empty() && version.is_same_release(release))
    }
}

fn accepts(set: &[Comparator], version: &Version) -> bool {
    set.iter().all(|comparator| comparator.accepts(version))
        && (version.pre.is_empty() || set.iter().any(|comparator| comparator.is_prerelease_of(version)))
}

fn parse_set(text: &str) -> Option<Set> {
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    if let [from, "-", to] = words.as_slice() {
        let (from, to) = (Partial::parse(from)?, Partial::parse(to)?);
        let mut set = from.at_least();
        set.extend(to.at_most()?);
        return Some(tidy(set));
    }
    let mut set = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        // An operator may stand apart from its version.
        let word = match word {
            "<" | "<=" | ">" | ">=" | "=" | "~" | "~>" | "^" => format!("{word}{}", words.next()?),
            word => word.to_owned(),
        };
        set.extend(parse_word(&word)?);
    }
    Some(tidy(set))
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Each comparator once, none that accepts everything beside others, and alone the one that accepts nothing.
fn tidy(set: Set) -> Set {
    if let Some(nothing) = set.iter().find(|comparator| comparator.is_nothing()) {
        return vec![nothing.clone()];
    }
    let mut tidied: Set = Vec::new();
    let everything = Comparator::Compare(Op::GreaterEqual, Version { numbers: [0; 3], pre: Vec::new() });
    for comparator in set.into_iter().filter(|comparator| *comparator != everything) {
        if !tidied.contains(&comparator) && comparator != Comparator::Any {
            tidied.push(comparator);
        }
    }
    if tidied.is_empty() {
        tidied.push(Comparator::Any);
    }
    tidied
}

fn parse_word(word: &str) -> Option<Set> {
    if let Some(rest) = word.strip_prefix('^') {
        return Partial::parse(rest)?.caret();
    }
    if let Some(rest) = word.strip_prefix('~') {
        return Partial::parse(rest.strip_prefix('>').unwrap_or(rest))?.tilde();
    }
    let (op, rest) = [
        ("<=", Op::LessEqual),
        (">=", Op::GreaterEqual),
        ("<", Op::Less),
        (">", Op::Greater),
        ("=", Op::Equal),
    ]
    .into_iter()
    .find_map(|(sign, op)| Some((op, word.strip_prefix(sign)?)))
    .unwrap_or((Op::Equal, word));
    let partial = Partial::parse(rest)?;
    if partial.numbers.len() == 3 {
        // Whole versions may have nothing but a `v` in front.
        let version = Version::parse(rest)?;
        return Some(vec![Comparator::Compare(op, version)]);
    }
    partial.compare(op)
}

/// A version of which the end may be open: `1.2`, `1.x`, `*`.
struct Partial {
    /// The numbers up to the first open one.
    numbers: Vec<u64>,
    pre: Vec<Identifier>,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['v', '=']);
        let text = text.split('+').next().unwrap_or(text);
        let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let parts: Vec<Option<u64>> = core
            .split('.')
            .map(|part| if matches!(part, "x" | "X" | "*") { Some(None) } else { number(part).map(Some) })
            .collect::<Option<_>>()?;
        if parts.len() > 3 || (pre.is_some() && parts.len() < 3) {
            return None;
        }
        let numbers = parts.into_iter().map_while(|part| part).collect();
        Some(Self { numbers, pre: pre.map_or(Some(Vec::new()), prerelease)? })
    }

    fn version(&self) -> Version {
        let at = |place: usize| self.numbers.get(place).copied().unwrap_or(0);
        let pre = if self.numbers.len() == 3 { self.pre.clone() } else { Vec::new() };
        Version { numbers: [at(0), at(1), at(2)], pre }
    }

    /// From this version up to the next one at `place`.
    fn up_to_next(&self, place: usize) -> Option<Set> {
        Some(vec![Comparator::Compare(Op::GreaterEqual, self.version()), self.below_next(place)?])
    }

    fn below_next(&self, place: usize) -> Option<Comparator> {
        Some(Comparator::Compare(Op::Less, Version { pre: vec![Identifier::Number(0)], ..self.next(place)? }))
    }

    /// The first release with the next number at `place`.
    fn next(&self, place: usize) -> Option<Version> {
        let mut numbers = self.version().numbers;
        for (at, number) in numbers.iter_mut().enumerate().skip(place) {
            *number = if at == place { next(*number)? } else { 0 };
        }
        Some(Version { numbers, pre: Vec::new() })
    }

    fn caret(&self) -> Option<Set> {
        let place = match self.numbers.as_slice() {
            [] => return Some(vec![Comparator::Any]),
            [0, 0, _] => 2,
            [0, _, ..] => 1,
            _ => 0,
        };
        self.up_to_next(place)
    }

    fn tilde(&self) -> Option<Set> {
        match self.numbers.len() {
            0 => Some(vec![Comparator::Any]),
            1 => self.up_to_next(0),
            _ => self.up_to_next(1),
        }
    }

    /// An operator in front of a version with an open end.
    fn compare(&self, op: Op) -> Option<Set> {
        let place = match self.numbers.len() {
            0 => {
                return Some(vec![match op {
                    Op::Less | Op::Greater => Comparator::Compare(
                        Op::Less,
                        Version { numbers: [0; 3], pre: vec![Identifier::Number(0)] },
                    ),
                    _ => Comparator::Any,
                }]);
            }
            length => length - 1,
        };
        let lowest = || Version { pre: vec![Identifier::Number(0)], ..self.version() };
        Some(match op {
            Op::Equal => self.up_to_next(place)?,
            Op::Greater => vec![Comparator::Compare(Op::GreaterEqual, self.next(place)?)],
            Op::GreaterEqual => vec![Comparator::Compare(Op::GreaterEqual, self.version())],
            Op::Less => vec![Comparator::Compare(Op::Less, lowest())],
            Op::LessEqual => vec![self.below_next(place)?],
        })
    }

    /// The lower end of a hyphen range.
    fn at_least(&self) -> Set {
        match self.numbers.len() {
            0 => vec![Comparator::Any],
            _ => vec![Comparator::Compare(Op::GreaterEqual, self.version())],
        }
    }

    /// The upper end of a hyphen range.
    fn at_most(&self) -> Option<Set> {
        Some(vec![match self.numbers.len() {
            0 => Comparator::Any,
            3 => Comparator::Compare(Op::LessEqual, self.version()),
            length => self.below_next(length - 1)?,
        }])
    }
}

/// Whether one set lies within another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Yes,
    No,
    /// The set accepts nothing at all.
    Nothing,
}

/// The ends of a set.
#[derive(Default)]
struct Ends<'a> {
    lower: Option<(Op, &'a Version)>,
    upper: Option<(Op, &'a Version)>,
    equal: Vec<&'a Version>,
}

impl<'a> Ends<'a> {
    fn of(set: &'a [Comparator]) -> Self {
        let mut ends = Self::default();
        for comparator in set {
            let Comparator::Compare(op, version) = comparator else { continue };
            let this = (*op, version);
            match op {
                Op::Greater | Op::GreaterEqual => {
                    if ends.lower.is_none_or(|known| is_stricter_below(this, known)) {
                        ends.lower = Some(this);
                    }
                }
                Op::Less | Op::LessEqual => {
                    if ends.upper.is_none_or(|known| is_stricter_above(this, known)) {
                        ends.upper = Some(this);
                    }
                }
                Op::Equal => {
                    if !ends.equal.contains(&version) {
                        ends.equal.push(version);
                    }
                }
            }
        }
        ends
    }
}

fn is_stricter_below(this: (Op, &Version), known: (Op, &Version)) -> bool {
    this.1 > known.1 || (this.1 == known.1 && this.0 == Op::Greater && known.0 == Op::GreaterEqual)
}

fn is_stricter_above(this: (Op, &Version), known: (Op, &Version)) -> bool {
    this.1 < known.1 || (this.1 == known.1 && this.0 == Op::Less && known.0 == Op::LessEqual)
}

fn is_set_within(part: &[Comparator], whole: &[Comparator]) -> Within {
    let everything = [Comparator::Compare(Op::GreaterEqual, Version { numbers: [0; 3], pre: Vec::new() })];
    let is_any = |set: &[Comparator]| *set == [Comparator::Any];
    if part == whole || (is_any(part) && is_any(whole)) {
        return Within::Yes;
    }
    let part = if is_any(part) { &everything } else { part };
    let whole = if is_any(whole) { &everything } else { whole };
    let ends = Ends::of(part);
    if ends.equal.len() > 1 {
        return Within::Nothing;
    }
    let is_point = match (ends.lower, ends.upper) {
        (Some(lower), Some(upper)) => {
            let is_closed = lower.0 == Op::GreaterEqual && upper.0 == Op::LessEqual;
            if lower.1 > upper.1 || (lower.1 == upper.1 && !is_closed) {
                return Within::Nothing;
            }
            lower.1 == upper.1
        }
        _ => false,
    };
    let accepts_one =
        |comparator: &Comparator, version: &Version| accepts(std::slice::from_ref(comparator), version);
    if let Some(equal) = ends.equal.first() {
        let is_inside = [ends.lower, ends.upper]
            .into_iter()
            .flatten()
            .all(|(op, bound)| accepts_one(&Comparator::Compare(op, bound.clone()), equal));
        return if !is_inside {
            Within::Nothing
        } else if whole.iter().all(|comparator| accepts_one(comparator, equal)) {
            Within::Yes
        } else {
            Within::No
        };
    }
    if is_bounded_by(&ends, whole, is_point, &accepts_one) { Within::Yes } else { Within::No }
}

fn is_bounded_by(
    ends: &Ends<'_>,
    whole: &[Comparator],
    is_point: bool,
    accepts_one: &dyn Fn(&Comparator, &Version) -> bool,
) -> bool {
    // A prerelease at an end lets prereleases of that release in: the other has to do so as well. `<1.2.3-0` lets
    // none in.
    let lets_prereleases_in = |end: &(Op, &Version)| {
        let is_lowest = end.0 == Op::Less && end.1.pre == [Identifier::Number(0)];
        !end.1.pre.is_empty() && !is_lowest
    };
    for end in [ends.lower, ends.upper].iter().flatten().filter(|end| lets_prereleases_in(end)) {
        if !whole.iter().any(|comparator| comparator.is_prerelease_of(end.1)) {
            return false;
        }
    }
    let mut has = [false; 2];
    for comparator in whole {
        let Comparator::Compare(op, version) = comparator else { continue };
        let this = (*op, version);
        let (is_lower, is_upper) =
            (matches!(op, Op::Greater | Op::GreaterEqual), matches!(op, Op::Less | Op::LessEqual));
        has = [has[0] | is_lower, has[1] | is_upper];
        if let Some(lower) = ends.lower {
            let is_outside = if is_lower {
                is_stricter_below(this, lower)
            } else {
                lower.0 == Op::GreaterEqual && !accepts_one(comparator, lower.1)
            };
            if is_outside {
                return false;
            }
        }
        if let Some(upper) = ends.upper {
            let is_outside = if is_upper {
                is_stricter_above(this, upper)
            } else {
                upper.0 == Op::LessEqual && !accepts_one(comparator, upper.1)
            };
            if is_outside {
                return false;
            }
        }
        if *op == Op::Equal && !is_point {
            return false;
        }
    }
    let [has_lower, has_upper] = has;
    let is_open_above = ends.lower.is_some() && ends.upper.is_none() && has_upper;
    let is_open_below = ends.upper.is_some() && ends.lower.is_none() && has_lower;
    !is_open_above && !is_open_below
}

#[cfg(test)]
mod tests;
