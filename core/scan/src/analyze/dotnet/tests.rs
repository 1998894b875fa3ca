//! Files as `dotnet publish` writes them.

use super::super::tests::{file, overlay_of};
use super::*;
use crate::application::HashAlgorithm;
use crate::interest::Interest;

const HASH: &str =
    "sha512-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

fn shop(dependencies: &str) -> String {
    format!(
        r#"{{"runtimeTarget":{{"name":".NETCoreApp,Version=v8.0/linux-x64","signature":""}},"compilationOptions":{{}},
        "targets":{{".NETCoreApp,Version=v8.0":{{}},".NETCoreApp,Version=v8.0/linux-x64":{{
          "Shop/1.0.0":{{{dependencies}"runtime":{{"Shop.dll":{{}}}}}},
          "Shop.Core/1.0.0":{{"dependencies":{{"Dapper":"2.0.0","Missing":"1.0.0"}}}},
          "Dapper/2.1.24":{{"dependencies":{{"shop":"1.0.0","Dapper":"1"}}}},
          "Unused/3.0.0":{{}},
          "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1":{{}}}}}},
        "libraries":{{"Shop/1.0.0":{{"type":"project","sha512":""}},"Shop.Core/1.0.0":{{"type":"project"}},
          "Dapper/2.1.24":{{"type":"package","sha512":"{HASH}"}},"Unused/3.0.0":{{"type":"package","sha512":"sha512-x"}}}}}}"#
    )
}

const DEPENDENCIES: &str =
    r#""dependencies":{"Shop.Core":"1.0.0","runtimepack.Microsoft.NETCore.App.Runtime.linux-x64":"8.0.1"},"#;

fn findings(files: &[(&str, &str)]) -> Findings {
    let files = files.iter().map(|(path, content)| file(path, content.as_bytes())).collect();
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

#[test]
fn the_graph_follows_names_whatever_their_case_and_the_versions_asked_for() {
    let findings = findings(&[("/app/Shop.deps.json", &shop(DEPENDENCIES))]);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    let Content::Dependencies { root, dependencies: Dependencies::Graph(graph), tested_files } =
        &application.content
    else {
        panic!("a graph")
    };
    assert_eq!((root.name.as_str(), root.version.as_deref()), ("Shop", Some("1.0.0")));
    assert_eq!(*tested_files, TestedFiles::List(vec!["Shop.deps.json".into()]));
    let id = |place: &GraphPlace| graph.node(*place).unwrap().id.as_str();
    let direct: Vec<_> = graph.root().iter().map(id).collect();
    assert_eq!(direct, ["Shop.Core@1.0.0", "Microsoft.NETCore.App.Runtime.linux-x64@8.0.1"]);
    let edges: Vec<_> = graph
        .nodes()
        .flat_map(|(place, node)| graph.depends(place).iter().map(move |child| (node.id.as_str(), id(child))))
        .collect();
    let expected = [
        ("Shop.Core@1.0.0", "Dapper@2.1.24"),
        ("Dapper@2.1.24", "Shop@1.0.0"),
        ("Dapper@2.1.24", "Dapper@2.1.24"),
        ("Shop@1.0.0", "Shop.Core@1.0.0"),
        ("Shop@1.0.0", "Microsoft.NETCore.App.Runtime.linux-x64@8.0.1"),
    ];
    assert_eq!(edges, expected);
}

#[test]
fn components_are_all_packages_of_the_target_with_their_hashes() {
    let findings = findings(&[("/app/Shop.deps.json", &shop(DEPENDENCIES))]);
    let components = &findings.applications[0].components;
    let names: Vec<_> = components.iter().map(|c| (c.name.as_str(), c.version.as_deref().unwrap())).collect();
    let expected =
        [("Dapper", "2.1.24"), ("Unused", "3.0.0"), ("Microsoft.NETCore.App.Runtime.linux-x64", "8.0.1")];
    assert_eq!(names, expected);
    let (algorithm, hash) = components[0].hashes.first().unwrap();
    assert_eq!((*algorithm, hash.len(), hash.starts_with("00010203")), (HashAlgorithm::Sha512, 128, true));
    assert!(components[1].hashes.is_empty());
}

#[test]
fn without_a_project_with_dependencies_and_for_shared_frameworks_there_is_no_result() {
    let shared = "/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/Microsoft.NETCore.App.deps.json";
    let package = shop(DEPENDENCIES).replace("\"project\"", "\"package\"");
    let bare = shop("");
    // The first project decides.
    for (path, content) in
        [("/app/a.deps.json", &package), ("/app/a.deps.json", &bare), (shared, &shop(DEPENDENCIES))]
    {
        let findings = findings(&[(path, content)]);
        assert_eq!(findings.applications[0].content, Content::Unreported, "{path}");
        assert!(!findings.applications[0].components.is_empty());
    }
    let no_target = findings(&[("/app/a.deps.json", r#"{"runtimeTarget":{"name":"x"},"targets":{}}"#)]);
    assert_eq!((no_target.applications.len(), no_target.gaps.len()), (0, 0));
}

#[test]
fn a_damaged_file_is_named_and_costs_itself_only() {
    let findings = findings(&[("/app/bad.deps.json", "{"), ("/app/Shop.deps.json", &shop(DEPENDENCIES))]);
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/app/bad.deps.json", "dotnet_file_unreadable")]);
    assert_eq!(findings.applications.len(), 1);
}
