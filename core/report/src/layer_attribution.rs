//! The option `layer-attribution`: which layer brought a package of the distribution.

use std::collections::HashMap;

use regent_oci::ImageConfig;
use regent_scan::{Package, Tree};
use serde_json::Value;

use crate::os_tree::display_name;

/// Labels every place of a package with the diff ID of the layer that brought it. The configuration names those.
pub(crate) fn label(tree: &mut Tree, packages: &[Package], config: &ImageConfig) {
    let diff_ids = config.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.diff_ids);
    let by_package: HashMap<(String, &str), &String> = packages
        .iter()
        .filter_map(|package| {
            let diff_id = diff_ids.get(package.layer?)?;
            Some(((display_name(package), package.version.as_deref().unwrap_or_default()), diff_id))
        })
        .collect();
    for node in tree.nodes_mut() {
        let key = (node.name.clone(), node.version.as_deref().unwrap_or_default());
        if let Some(diff_id) = by_package.get(&key) {
            node.labels.insert("dockerLayerDiffId", (*diff_id).clone());
        }
    }
}

/// What is to be said where the history can't tell which instruction made which layer.
pub(crate) fn warning(config: &ImageConfig) -> Option<String> {
    let is_empty = |key: &str, entry: &regent_oci::History| entry.get(key) == Some(&Value::Bool(true));
    let history = config.history.as_deref().unwrap_or_default();
    let n_steps = history.iter().filter(|entry| !is_empty("empty_layer", entry)).count();
    let n_layers = config.rootfs.as_ref().map_or(0, |rootfs| rootfs.diff_ids.len());
    (n_steps != n_layers).then(|| {
        format!(
            "the history has {n_steps} entries with a layer and the image has {n_layers} layers: instructions can't \
             be told from the layers that packages are attributed to"
        )
    })
}

#[cfg(test)]
mod tests {
    use regent_scan::{PackageDetail, Source, TreeNode};

    use super::*;

    fn package(name: &str, source: Option<&str>, layer: Option<usize>) -> Package {
        Package {
            source: source.map(|name| Source { name: name.into(), version: None }),
            layer,
            ..Package::new(name, Some("1".into()), PackageDetail::Deb)
        }
    }

    fn config(history: &str) -> ImageConfig {
        let text = format!(r#"{{"rootfs":{{"diff_ids":["sha256:aa","sha256:bb"]}},"history":{history}}}"#);
        ImageConfig::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_place_is_labelled_with_the_layer_of_its_version_and_what_is_of_no_known_layer_is_not() {
        let packages = [
            package("a", Some("src"), Some(1)),
            package("b", None, Some(0)),
            package("c", None, None),
            package("d", None, Some(7)),
        ];
        let mut tree = Tree::default();
        for (name, version) in
            [("src/a", "1"), ("src/a", "0"), ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]
        {
            let node = TreeNode { name: name.into(), version: Some(version.into()), ..TreeNode::default() };
            tree.insert(node);
        }
        label(&mut tree, &packages, &config("[]"));
        let labels: Vec<_> =
            tree.nodes_mut().map(|node| node.labels.get("dockerLayerDiffId").cloned()).collect();
        let expected = [Some("sha256:bb"), None, None, Some("sha256:aa"), None, None];
        assert_eq!(labels, expected.map(|label| label.map(str::to_owned)));
    }

    #[test]
    fn a_history_with_a_step_for_each_layer_needs_no_warning() {
        let rows = [
            (r#"[{"created_by":"a"},{"empty_layer":true},{"empty_layer":false}]"#, false),
            (r#"[{"created_by":"a"},{"created_by":"b"},{"created_by":"c"}]"#, true),
            ("[]", true),
            ("null", true),
        ];
        for (history, is_warned_of) in rows {
            assert_eq!(warning(&config(history)).is_some(), is_warned_of, "{history}");
        }
    }
}
