//! The dependency tree of what is installed, as the scanner being replaced makes it.

use std::collections::HashMap;

use super::super::Unreadable;
use super::super::unroll::{Shape, Unroll};
use super::Installed;
use super::extraneous::Extraneous;
use super::physical::Physical;
use crate::application::Root;
use crate::distil::InstalledManifest;
use crate::path::LayerPath;
use crate::tree::{Tree, TreeNode};

/// The tree of a project's packages, without those for development.
pub(super) fn of(
    root: &Root,
    manifest: &InstalledManifest,
    directory: &LayerPath,
    packages: &[Installed<'_>],
) -> Result<Tree, Unreadable> {
    let physical = Physical::new((&root.name, manifest), directory, packages);
    let Some(mut children) = physical.resolve() else {
        return Err(Unreadable::limit("the installed packages have more dependencies than are followed"));
    };
    let identity = identities(root, &physical);
    // The project is on every way.
    for list in &mut children {
        list.retain(|&child| identity.get(child) != Some(&0));
    }
    let node = |number: usize| {
        physical.0.get(number).map_or_else(TreeNode::default, |package| TreeNode {
            name: package.name.to_owned(),
            version: package.manifest.version.clone(),
            ..TreeNode::default()
        })
    };
    let mut tree = Tree::default();
    let mut unroll = Unroll::new(Shape { children: &children, identity: &identity, node: &node, cut: None });
    let mut extraneous = Extraneous::default();
    for &start in children.first().into_iter().flatten() {
        let made = unroll.make(&mut tree, start)?;
        if physical.0.get(start).is_some_and(|package| is_for_development(manifest, package.name)) {
            extraneous.pass_over(start);
        } else {
            extraneous.attach(&mut tree, None, made);
        }
    }
    extraneous.add(&physical, &mut unroll, &mut tree)?;
    Ok(tree)
}

fn is_for_development(manifest: &InstalledManifest, name: &str) -> bool {
    manifest.dev_dependencies.get(name).is_some()
        && manifest.dependencies.get(name).is_none()
        && manifest.optional_dependencies.get(name).is_none()
}

/// Packages of one name and version are one: a number for each, the project's being 0.
fn identities(root: &Root, physical: &Physical<'_>) -> Vec<usize> {
    let mut numbers = HashMap::from([((root.name.as_str(), root.version.as_deref()), 0)]);
    let packages = physical.0.iter().enumerate();
    packages
        .map(|(number, package)| {
            *numbers.entry((package.name, package.manifest.version.as_deref())).or_insert(number)
        })
        .collect()
}
