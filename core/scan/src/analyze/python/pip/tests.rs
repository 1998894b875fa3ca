//! Environments as pip installs them, and requirements as people write them.

use super::super::super::tests::{file, overlay_of};
use super::*;
use crate::capture::Entry;
use crate::interest::Interest;

const SITE: &str = "/usr/local/lib/python3.11/site-packages";

/// Metadata in the form of today's tools.
fn installed(site: &str, name: &str, version: &str, more: &str) -> Entry {
    let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n\nAbout {name}.\n");
    file(&format!("{site}/{name}-{version}.dist-info/METADATA"), text.as_bytes())
}

fn findings(files: Vec<Entry>) -> Findings {
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

/// `parent -> child` of the result for the requirements, the root without a name.
fn edges(findings: &Findings) -> Vec<String> {
    let application = findings.applications.iter().find(|found| found.kind == ApplicationKind::Pip).unwrap();
    let Content::Dependencies { dependencies: Dependencies::Graph(graph), .. } = &application.content else {
        panic!("a graph")
    };
    let id = |place: &GraphPlace| graph.node(*place).unwrap().id.clone();
    let direct = graph.root().iter().map(|child| format!("-> {}", id(child)));
    let deeper = graph.nodes().flat_map(|(place, node)| {
        graph.depends(place).iter().map(move |child| format!("{} -> {}", node.id, id(child)))
    });
    direct.chain(deeper).collect()
}

#[test]
fn requirements_lead_to_what_is_installed_with_extras_and_without_regard_to_markers() {
    let flask = "Requires-Dist: Werkzeug (>=3.0.0)\nRequires-Dist: importlib-metadata ; python_version < '3.10'\n\
                 Requires-Dist: python-dotenv ; extra == 'dotenv'\nProvides-Extra: dotenv\n\
                 Requires-Dist: six; extra == 'unknown'";
    let files = vec![
        installed(SITE, "Flask", "3.0.0", flask),
        installed(SITE, "Werkzeug", "3.1", "Requires-Dist: flask[dotenv]"),
        installed(SITE, "python-dotenv", "1.2.4.post1", ""),
        installed(SITE, "six", "1.17.0", ""),
        file(
            "/app/requirements.txt",
            b"# direct\r\nflask[dotenv, async]>=3\r\nnot-installed==1.0\n-r other.txt\n",
        ),
    ];
    let expected = [
        "-> flask@3.0.0:dotenv,async",
        "flask@3.0.0:dotenv,async -> werkzeug@3.1.0",
        "flask@3.0.0:dotenv,async -> python-dotenv@1.2.4",
        "flask@3.0.0:dotenv,async -> six@1.17.0",
        "werkzeug@3.1.0 -> flask@3.0.0:dotenv",
        "flask@3.0.0:dotenv -> werkzeug@3.1.0",
        "flask@3.0.0:dotenv -> python-dotenv@1.2.4",
        "flask@3.0.0:dotenv -> six@1.17.0",
    ];
    assert_eq!(edges(&findings(files)), expected);
}

#[test]
fn the_first_version_that_fits_counts_and_else_the_highest() {
    let venv = "/opt/venv/lib/python3.9/site-packages";
    let rows = [
        ("a", "-> a@10.0.0"),
        ("a==2.0.0", "-> a@2.0.0"),
        ("a<10", "-> a@2.0.0"),
        ("a~=2.0", "-> a@2.0.0"),
        ("a!=10.0.0", "-> a@10.0.0"),
        ("a==1.0.0", "-> a@10.0.0"),
        ("a == 2.0.0", "-> a@10.0.0"),
        ("A_==2", ""),
    ];
    for (line, expected) in rows {
        let files = vec![
            installed(SITE, "a", "2.0.0", ""),
            installed(venv, "A", "10", ""),
            file("/app/requirements.txt", line.as_bytes()),
        ];
        assert_eq!(edges(&findings(files)).join(","), expected, "{line}");
    }
}

#[test]
fn only_metadata_below_a_python_library_counts_for_results() {
    let rows = [
        ("/usr/lib/python3/dist-packages", 1),
        ("/opt/lib/python3.11/lib/site-packages/x/_vendor", 1),
        ("/usr/lib64/python3.9/site-packages", 0),
        ("/app/lib", 0),
    ];
    for (site, expected) in rows {
        let requirements = file("/x/requirements.txt", b"six\n");
        let findings = findings(vec![installed(site, "six", "1.16.0", ""), requirements]);
        let results = findings.applications.iter().filter(|found| found.kind == ApplicationKind::Pip).count();
        assert_eq!(results, expected, "{site}");
        let environment = findings.applications.last().unwrap();
        assert_eq!((environment.target_file.as_str(), environment.components.len()), (site, 1));
    }
}

#[test]
fn a_distribution_whose_name_begins_like_a_whiteout_is_there() {
    let files = vec![
        installed(SITE, "wheel", "0.42.0", ""),
        installed(SITE, "six", "1.16.0", ""),
        file("/app/requirements.txt", b"wheel==0.42.0\nsix==1.16.0\n"),
    ];
    assert_eq!(edges(&findings(files)), ["-> wheel@0.42.0", "-> six@1.16.0"]);
}

#[test]
fn requirements_without_lines_or_without_installed_packages_give_no_result() {
    let empty =
        findings(vec![installed(SITE, "six", "1.16.0", ""), file("/app/requirements.txt", b"# nothing\n")]);
    assert_eq!(empty.applications.len(), 1);
    let bare = findings(vec![file("/app/requirements.txt", b"six\n")]);
    assert_eq!((bare.applications.len(), bare.gaps.len()), (0, 0));
    let none =
        findings(vec![installed(SITE, "six", "1.16.0", ""), file("/app/requirements.txt", b"other\n")]);
    assert_eq!(edges(&none), [""; 0]);
}

#[test]
fn components_are_what_is_installed_in_each_environment() {
    let yaml = "License: MIT\nRequires-Dist: typing.extensions>=4 ; python_version < '3'\nRequires-Dist: six; extra == 'x'";
    let files = vec![
        installed(SITE, "ruamel.yaml", "0.18.5", yaml),
        installed(SITE, "typing_extensions", "4.9.0.post1", "License-Expression: PSF-2.0"),
        file(
            &format!("{SITE}/six.egg-info/PKG-INFO"),
            b"Metadata-Version: 1.1\nName: six\nVersion: 1.0rc1\n",
        ),
        file(
            &format!("{SITE}/old-0.1-py3.11.egg/EGG-INFO/PKG-INFO"),
            b"Metadata-Version: 1.0\nName: old\nVersion: 0.1\n",
        ),
        file("/usr/lib/python3/dist-packages/PyGObject-3.42.egg-info", b"Summary: damaged\n"),
        file("/usr/lib/python3/dist-packages/.egg-info", b"Summary: damaged\n"),
    ];
    let findings = findings(files);
    let [site, dist] = findings.applications.as_slice() else { panic!("two environments") };
    let listed: Vec<_> = site
        .components
        .iter()
        .map(|c| (c.name.as_str(), c.version.as_deref().unwrap(), c.licenses.concat(), c.depends.as_slice()))
        .collect();
    let expected: [(&str, &str, String, &[usize]); 4] = [
        ("ruamel-yaml", "0.18.5", "MIT".into(), &[1]),
        ("typing-extensions", "4.9.0.post1", "PSF-2.0".into(), &[]),
        ("six", "1.0rc1", String::new(), &[]),
        ("old", "0.1", String::new(), &[]),
    ];
    assert_eq!(listed, expected);
    assert_eq!(site.target_file, SITE);
    let [named] = dist.components.as_slice() else { panic!("one") };
    assert_eq!((named.name.as_str(), named.version.as_deref()), ("pygobject", Some("3.42")));
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/usr/lib/python3/dist-packages/.egg-info", "python_metadata_unreadable")]);
}

#[test]
fn packages_that_all_require_each_other_with_every_extra_end_within_the_limits() {
    let requires: Vec<String> = (0..1500).map(|n| format!("Requires-Dist: p{}[e{n}]", n % 50)).collect();
    let requires = requires.join("\n");
    let mut files: Vec<Entry> =
        (0..50).map(|n| installed(SITE, &format!("p{n}"), "1.0", &requires)).collect();
    files.push(file("/app/requirements.txt", b"p1\n"));
    files.push(file("/other/requirements.txt", b"nothing\n"));
    let findings = findings(files);
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/app/requirements.txt", "dependency_limit_reached")]);
    assert_eq!(findings.applications.len(), 2, "the other file, and the environment");
}
