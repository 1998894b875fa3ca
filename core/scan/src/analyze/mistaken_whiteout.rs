//! Installed packages that the scanner being replaced takes for whiteouts, and so doesn't report.
//!
//! It looks for `wh` between any two characters of a path, so that npm's `which` in a layer above the base vanishes from
//! its results. Recorded results that have to be equal pin that; the packages are in tables and SBOMs all the same.

use crate::overlay::OverlayFile;

/// Whether results leave the file out. In a base layer a whiteout has nothing to hide, and names are read as names.
pub(super) fn is_mistaken(file: &OverlayFile) -> bool {
    file.layer > 0 && has_mark(file.path.as_str())
}

fn has_mark(path: &str) -> bool {
    path.match_indices("wh").any(|(at, mark)| at > 0 && at + mark.len() < path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_wh_between_two_characters() {
        let rows = [
            ("/app/node_modules/which/package.json", true),
            ("/app/node_modules/@scope/a-which/package.json", true),
            ("/lib/wheel-0.42.0.dist-info/METADATA", true),
            ("/app/node_modules/with/package.json", false),
            ("/app/wh", false),
            ("/app/hw/a", false),
        ];
        for (path, expected) in rows {
            assert_eq!(has_mark(path), expected, "{path}");
        }
    }
}
