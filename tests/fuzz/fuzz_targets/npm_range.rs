#![no_main]
//! Version ranges of npm packages in a hostile image: two ranges and a version, each on a line.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (Some(range), Some(whole), Some(version)) = (lines.next(), lines.next(), lines.next()) else { return };
    let answer = regent_scan::parse::npm_range(range, whole, version);
    // A range lies within itself, and what it accepts a range around it accepts.
    if answer.is_some() {
        assert_eq!(regent_scan::parse::npm_range(range, range, version).map(|(within, _)| within), Some(true));
    }
    // But for a prerelease, which npm accepts by one part of a range and then not by the others: `1.2 1.2.3-beta` accepts
    // 1.2.3-beta, and is within every range.
    if answer == Some((true, true)) && !version.contains('-') {
        let accepted = regent_scan::parse::npm_range(whole, range, version).map(|(_, accepted)| accepted);
        assert_eq!(accepted, Some(true), "{range:?} in {whole:?}: {version:?}");
    }
});
