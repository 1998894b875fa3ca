//! Packages that a user's instructions brought, told apart from those of the base image.

use crate::instructions::{Installed, Instructions, MAX_BYTES, layer_id};
use regent_scan::{Tree, TreeNode};

/// What was left undone for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfRoom;

fn first_segment(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// How a package was installed. Instructions name binary packages, results begin with the source's name: what has
/// another name than its source isn't recognised. Names count without the quotes that a shell would remove.
fn install<'a>(instructions: &'a Instructions, name: &str) -> Option<&'a Installed> {
    let packages = &instructions.dockerfile_packages;
    [name, first_segment(name)].into_iter().find_map(|name| {
        let quoted = || [format!("\"{name}\""), format!("'{name}'")];
        packages.get(name).or_else(|| quoted().iter().find_map(|name| packages.get(name)))
    })
}

/// Adds the packages that the installed ones brought along: all below them in the tree.
pub(crate) fn extend(instructions: &mut Instructions, tree: &Tree) -> Result<(), OutOfRoom> {
    let mut bytes = 0;
    for &child in tree.root() {
        let Some(installed) = install(instructions, first_segment(&tree[child].name)).cloned() else {
            continue;
        };
        for node in tree.below(child) {
            let name = first_segment(&tree[node].name);
            bytes += name.len() + installed.len_bytes();
            if bytes > MAX_BYTES {
                return Err(OutOfRoom);
            }
            instructions.dockerfile_packages.insert(name.to_owned(), installed.clone());
        }
    }
    Ok(())
}

/// Labels every place of an installed package with its layer.
pub(crate) fn label(tree: &mut Tree, instructions: &Instructions) -> Result<(), OutOfRoom> {
    let mut bytes = 0;
    for node in tree.nodes_mut() {
        let Some(installed) = install(instructions, &node.name) else { continue };
        let id = layer_id(&installed.instruction);
        bytes += id.len();
        if bytes > MAX_BYTES {
            return Err(OutOfRoom);
        }
        node.labels.insert("dockerLayerId", id);
    }
    Ok(())
}

/// Leaves out what no instruction installed.
///
/// Gives false, and keeps everything, where no instruction was recognised: then the packages can't be told apart, and
/// an image without packages would look like a clean one.
pub(crate) fn keep_installed(tree: &mut Tree, instructions: &Instructions) -> bool {
    if !instructions.is_recognised() {
        return false;
    }
    tree.retain_at_root(|node: &TreeNode| install(instructions, &node.name).is_some());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> TreeNode {
        TreeNode { name: name.into(), version: Some("1".into()), ..TreeNode::default() }
    }

    /// `app-src/app` over `lib` over `deep`, and `tool` and `other` beside.
    fn tree() -> Tree {
        let mut tree = Tree::default();
        let deep = tree.insert(node("deep"));
        let lib = tree.insert(TreeNode { children: vec![deep], ..node("lib") });
        let app = tree.insert(TreeNode { children: vec![lib], ..node("app-src/app") });
        for root in [app, tree.insert(node("tool")), tree.insert(node("other"))] {
            tree.attach_to_root(root);
        }
        tree
    }

    fn instructions(text: &str) -> Instructions {
        Instructions::parse([text.to_owned()])
    }

    fn root_names(tree: &Tree) -> Vec<&str> {
        tree.root().iter().map(|&n| tree[n].name.as_str()).collect()
    }

    #[test]
    fn packages_below_an_installed_one_are_installed_by_the_same_instruction() {
        let mut instructions = instructions("RUN apt-get install app-src");
        extend(&mut instructions, &tree()).unwrap();
        let names: Vec<_> = instructions.dockerfile_packages.keys().collect();
        assert_eq!(names, ["app-src", "deep", "lib"]);
        let commands: Vec<_> =
            instructions.dockerfile_packages.values().map(|i| i.install_command.as_str()).collect();
        assert_eq!(commands, ["apt-get install app-src"; 3]);
    }

    #[test]
    fn names_are_matched_by_source_and_without_quotes() {
        let rows = [
            ("RUN apt-get install app-src", vec!["app-src/app"]),
            ("RUN apt-get install app", vec![]),
            ("RUN apt-get install \"tool\" 'other'", vec!["tool", "other"]),
        ];
        for (text, expected) in rows {
            let mut tree = tree();
            label(&mut tree, &instructions(text)).unwrap();
            let labelled: Vec<_> =
                tree.nodes_mut().filter(|n| !n.labels.is_empty()).map(|n| n.name.clone()).collect();
            assert_eq!(labelled, expected, "{text}");
        }
    }

    #[test]
    fn only_installed_packages_are_kept() {
        let mut tree = tree();
        assert!(keep_installed(&mut tree, &instructions("RUN apt-get install tool")));
        assert_eq!(root_names(&tree), ["tool"]);
    }

    #[test]
    fn without_a_recognised_instruction_everything_is_kept() {
        let mut tree = tree();
        assert!(!keep_installed(&mut tree, &Instructions::default()));
        assert_eq!(root_names(&tree), ["app-src/app", "tool", "other"]);
    }

    #[test]
    fn a_long_instruction_is_not_repeated_without_end() {
        let mut tree = Tree::default();
        let children = (0..1000).map(|n| tree.insert(node(&format!("lib{n}")))).collect();
        let app = tree.insert(TreeNode { children, ..node("app") });
        tree.attach_to_root(app);
        let mut instructions = instructions(&format!("RUN apt-get install app {}", "x".repeat(30_000)));
        assert_eq!(extend(&mut instructions, &tree), Err(OutOfRoom));
        assert!(instructions.dockerfile_packages.len() < 600);
    }

    #[test]
    fn a_long_instruction_labels_only_so_many_packages() {
        let mut tree = Tree::default();
        for n in 0..600 {
            let child = tree.insert(node(&format!("app/{n}")));
            tree.attach_to_root(child);
        }
        let instructions = instructions(&format!("RUN apt-get install app {}", "x".repeat(30_000)));
        assert_eq!(label(&mut tree, &instructions), Err(OutOfRoom));
        assert!(tree.nodes_mut().any(|node| !node.labels.is_empty()));
    }
}
