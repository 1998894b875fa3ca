//! What the tests of the single formats share.

use super::super::tests::{file, overlay_of};
use super::*;
use crate::graph::GraphNode;
use crate::interest::Interest;

/// The application of one project with a lock file of that name, or the gaps.
pub(super) fn project(lock_name: &str, manifest: &str, lock: &str) -> Result<Application, Vec<Gap>> {
    let files = vec![
        file("/app/package.json", manifest.as_bytes()),
        file(&format!("/app/{lock_name}"), lock.as_bytes()),
    ];
    let Findings { mut applications, gaps, .. } =
        crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
    match applications.pop() {
        Some(application) if gaps.is_empty() => Ok(application),
        _ => Err(gaps),
    }
}

/// The edges of an application's graph, those of the root first and then by text: packages, then the child's id where it
/// says more, and its labels without the scope.
pub(super) fn edges(application: &Application) -> Vec<String> {
    let Content::Dependencies { root, dependencies: Dependencies::Graph(graph), .. } = &application.content
    else {
        panic!("a graph")
    };
    let text = |node: &GraphNode| format!("{}@{}", node.name, node.version.as_deref().unwrap_or_default());
    let root = format!("{}@{}", root.name, root.version.as_deref().unwrap_or_default());
    let line = |parent: &str, child: &GraphNode| {
        assert_eq!(child.labels.get("scope").map(String::as_str), Some("prod"));
        let mut line = format!("{parent} > {}", text(child));
        if child.id != text(child) {
            line.extend([" ", &child.id]);
        }
        for (_, label) in child.labels.iter().filter(|(label, _)| !matches!(**label, "scope" | "pruned")) {
            line.extend([" [", label, "]"]);
        }
        line
    };
    let mut lines: Vec<_> =
        graph.root().iter().map(|place| line(&root, graph.node(*place).unwrap())).collect();
    lines.sort();
    let mut others = Vec::new();
    for (place, node) in graph.nodes() {
        let children =
            graph.depends(place).iter().map(|child| line(&text(node), graph.node(*child).unwrap()));
        others.extend(children);
    }
    others.sort();
    lines.extend(others);
    lines
}
