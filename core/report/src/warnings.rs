//! The fact `pluginWarnings`: what a reader must know to trust the rest.

use regent_scan::Gap;
use serde_json::{Map, Value, json};

/// A layer of an archive that has another digest than its manifest names. From a registry such a layer is refused.
const CHANGED_LAYER: &str = "digest_mismatch";

/// A layer that is not in its archive: in the results, unless the archive was changed by hand, which recorded results
/// don't tell either.
const MISSING_LAYER: &str = "layer_missing";

/// Gaps that tables and logs show and results don't carry.
///
/// Archives that were changed by hand disagree with their own manifest about the layers' digests and diff IDs, and nothing
/// in them is unread for that; recorded results that have to be equal say nothing of it. Broken `package.json` files, lock
/// files and Java archives are common among the test data that packages bring along, and the scanner being replaced passes
/// over them; as it does over others, or doesn't look at them at all.
const NOT_IN_RESULTS: [&str; 8] = [
    CHANGED_LAYER,
    "diff_id_mismatch",
    "archive_unreadable",
    "node_file_unreadable",
    "python_metadata_unreadable",
    "python_lock_unreadable",
    "conda_record_unreadable",
    "dotnet_file_unreadable",
];

/// Collected while a result is made.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    /// About the options.
    pub(crate) parameter_checks: Vec<String>,
    /// About layers that packages are attributed to.
    pub(crate) layer_attribution: Vec<String>,
    /// About what was left out to bound the result.
    pub(crate) limits: Vec<&'static str>,
}

impl Warnings {
    /// The fact's data; `None` where there is nothing to warn of.
    pub(crate) fn into_fact(self, gaps: &[Gap], truncated: &Map<String, Value>) -> Option<Value> {
        let is_changed = gaps.iter().any(|gap| gap.code == CHANGED_LAYER);
        let is_passed_over =
            |gap: &Gap| NOT_IN_RESULTS.contains(&gap.code) || (is_changed && gap.code == MISSING_LAYER);
        let unreadable: Vec<Value> = gaps
            .iter()
            .filter(|gap| !is_passed_over(gap))
            .map(|gap| json!({ "path": gap.path.as_str(), "code": gap.code, "reason": gap.reason }))
            .collect();
        let parts = [
            ("parameterChecks", json!(self.parameter_checks), self.parameter_checks.is_empty()),
            ("unreadableFiles", json!(unreadable), unreadable.is_empty()),
            ("layerAttribution", json!(self.layer_attribution), self.layer_attribution.is_empty()),
            ("limits", json!(self.limits), self.limits.is_empty()),
            ("truncatedFacts", json!(truncated), truncated.is_empty()),
        ];
        let data: Map<String, Value> = parts
            .into_iter()
            .filter(|(_, _, is_empty)| !is_empty)
            .map(|(name, value, _)| (name.to_owned(), value))
            .collect();
        (!data.is_empty()).then_some(Value::Object(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regent_scan::LayerPath;

    #[test]
    fn a_missing_layer_is_told_unless_the_archive_was_changed_by_hand() {
        let gap = |code| Gap { path: LayerPath::new("/"), code, reason: String::new() };
        let rows = [
            (vec![gap("layer_missing")], Some("layer_missing")),
            (vec![gap("digest_mismatch"), gap("layer_missing")], None),
            (vec![gap("digest_mismatch"), gap("rpm_database_unreadable")], Some("rpm_database_unreadable")),
        ];
        for (gaps, expected) in rows {
            let fact = Warnings::default().into_fact(&gaps, &Map::new());
            let code = fact.as_ref().and_then(|fact| fact["unreadableFiles"][0]["code"].as_str());
            assert_eq!(code, expected, "{gaps:?}");
        }
    }
}
