//! Directories with archives, over merged views.

use super::super::tests::{file, overlay_of};
use super::*;
use crate::application::JarIdentity;
use crate::distil::java_archive_fixture::{RawEntry, ZipBuilder, jar, pom};
use crate::interest::Interest;

fn findings(files: &[(&str, Vec<u8>)]) -> Findings {
    let files = files.iter().map(|(path, content)| file(path, content)).collect();
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

/// Each archive as `depth location = identity +dependencies`.
fn fingerprints(application: &Application) -> Vec<String> {
    let Content::Jars { fingerprints, .. } = &application.content else { panic!("jars") };
    let line = |jar: &JarFingerprint| {
        let own = match &jar.identity {
            JarIdentity::Coordinates(own) => format!("{}:{}:{}", own.group, own.artifact, own.version),
            JarIdentity::Sha1(_) => "sha1".to_owned(),
        };
        let merged: Vec<_> =
            jar.dependencies.iter().map(|d| format!(" +{}:{}", d.artifact, d.version)).collect();
        format!("{} {} = {own}{}", jar.depth, jar.location, merged.concat())
    };
    fingerprints.iter().map(line).collect()
}

/// Each component as `group:artifact:version -> dependencies`.
fn components(application: &Application) -> Vec<String> {
    let name = |c: &Component| {
        format!(
            "{}:{}:{}",
            c.namespace.as_deref().unwrap_or("?"),
            c.name,
            c.version.as_deref().unwrap_or("?")
        )
    };
    let list = &application.components;
    let line = |c: &Component| {
        let depends: Vec<_> = c.depends.iter().map(|&at| format!(" {}", list[at].name)).collect();
        if depends.is_empty() { name(c) } else { format!("{} ->{}", name(c), depends.concat()) }
    };
    list.iter().map(line).collect()
}

#[test]
fn archives_are_grouped_by_directory_in_merge_order_each_followed_by_those_in_it() {
    let leaf = jar("com.acme", "leaf", "1.0", &[]);
    let inner = ZipBuilder::default().with(&[("lib/leaf-1.0.jar", &leaf)]).finish();
    let fat = jar("com.acme", "shop", "3.1.0", &[("BOOT-INF/lib/inner.jar", &inner), ("x.war", &leaf)]);
    let war = jar("com.acme", "web", "1", &[("WEB-INF/lib/leaf.jar", &leaf)]);
    let findings = findings(&[
        ("/app/shop-3.1.0.jar", fat),
        ("/opt/tomcat/webapps/web.war", war),
        ("/app/lib/broken.jar", b"PK\x03\x04".to_vec()),
        ("/app/empty.jar", Vec::new()),
        ("/top.jar", leaf),
    ]);
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/app/lib/broken.jar", "archive_unreadable")]);
    let results: Vec<_> =
        findings.applications.iter().map(|a| (a.target_file.as_str(), fingerprints(a))).collect();
    let expected: [(&str, &[&str]); 4] = [
        (
            "/app",
            &[
                "0 /app/shop-3.1.0.jar = com.acme:shop:3.1.0",
                "1 /app/shop-3.1.0.jar/BOOT-INF/lib/inner.jar = sha1",
                "2 /app/shop-3.1.0.jar/BOOT-INF/lib/inner.jar/lib/leaf-1.0.jar = com.acme:leaf:1.0",
                "0 /app/empty.jar = sha1",
            ],
        ),
        ("/opt/tomcat/webapps", &["1 /opt/tomcat/webapps/web.war/WEB-INF/lib/leaf.jar = com.acme:leaf:1.0"]),
        ("/app/lib", &["0 /app/lib/broken.jar = sha1"]),
        ("/", &["0 /top.jar = sha1 +leaf:1.0"]),
    ];
    let expected =
        expected.map(|(directory, lines)| (directory, lines.iter().map(ToString::to_string).collect()));
    assert_eq!(results, expected);
    assert_eq!(
        components(&findings.applications[0]),
        ["com.acme:shop:3.1.0 -> inner leaf", "?:inner:? -> leaf", "com.acme:leaf:1.0"]
    );
    assert_eq!(components(&findings.applications[1]), ["com.acme:web:1 -> leaf", "com.acme:leaf:1.0"]);
}

#[test]
fn an_archive_is_what_its_file_is_named_after_and_the_rest_was_merged_into_it() {
    let named = |names: &[(&str, &str)]| {
        let mut builder = ZipBuilder::default();
        for (artifact, version) in names {
            builder = builder.with(&[("META-INF/pom.properties", &pom("org.x", artifact, version))]);
        }
        builder.finish()
    };
    let findings = findings(&[
        ("/opt/gson/lib/tool.jar", named(&[("tool", "2.0"), ("gson", "2.8.9")])),
        ("/opt/core-utils.jar", named(&[("core", "1.0"), ("core-utils", "2.0"), ("utils", "3.0")])),
        ("/opt/mssql-jdbc.jar", jar("com.microsoft.sqlserver", "mssql-jdbc", "9.2.1", &[])),
    ]);
    assert_eq!(
        fingerprints(&findings.applications[0]),
        ["0 /opt/gson/lib/tool.jar = org.x:tool:2.0 +gson:2.8.9"]
    );
    assert_eq!(
        fingerprints(&findings.applications[1]),
        ["0 /opt/core-utils.jar = org.x:core-utils:2.0 +core:1.0 +utils:3.0", "0 /opt/mssql-jdbc.jar = sha1"]
    );
    assert_eq!(
        components(&findings.applications[1])[3],
        "com.microsoft.sqlserver:mssql-jdbc:9.2.1",
        "what is there is listed all the same"
    );
}

#[test]
fn a_damaged_entry_leaves_the_digest_and_is_named() {
    let entry =
        RawEntry { data: vec![0xff; 60], ..RawEntry::deflated("pom.properties", &pom("g", "a", "1")) };
    let findings = findings(&[
        ("/app/broken-entry.jar", ZipBuilder::default().with_raw(&entry).finish()),
        ("/app/good-1.0.jar", jar("com.acme", "good", "1.0", &[])),
    ]);
    assert_eq!(
        fingerprints(&findings.applications[0]),
        ["0 /app/broken-entry.jar = sha1", "0 /app/good-1.0.jar = com.acme:good:1.0"]
    );
    let gaps: Vec<_> = findings.gaps.iter().map(|g| (g.path.as_str(), g.code, g.reason.as_str())).collect();
    let reason = "the entry pom.properties was not read: its data can't be inflated";
    assert_eq!(gaps, [("/app/broken-entry.jar", "archive_entry_unreadable", reason)]);
}

#[test]
fn suffix_and_directory_decide_where_an_archive_is_reported() {
    let rows = [
        ("/app/a.jar", Some(Scope::Reported)),
        ("/.jar", Some(Scope::Reported)),
        ("/usr/lib.jar", Some(Scope::Reported)),
        ("/usr/share/java/a.war", Some(Scope::Reported)),
        ("/usr/lib/a.jar", Some(Scope::System)),
        ("/opt/usr/lib64/a.jar", Some(Scope::System)),
        ("/usr/lib/gradle/cache/a.jar", Some(Scope::System)),
        ("/root/.gradle/caches/a.jar", Some(Scope::Unreported)),
        ("/app/a.ear", Some(Scope::Unreported)),
        ("/app/A.JAR", Some(Scope::Unreported)),
        ("/app/a.jar.bak", None),
        ("/jar", None),
        ("/app/äjar", None),
    ];
    for (path, scope) in rows {
        let is_wanted = pattern(path).any();
        assert_eq!(is_wanted.then(|| Scope::of(&LayerPath::new(path))), scope, "{path}");
    }
}

#[test]
fn archives_that_results_leave_out_are_components_all_the_same() {
    let ear = jar("com.acme", "shop", "1", &[("web.war", &jar("com.acme", "web", "1", &[]))]);
    let findings = findings(&[
        ("/app/shop.ear", ear),
        ("/app/lib-1.0.JAR", ZipBuilder::default().finish()),
        ("/app/none.ear", b"no archive".to_vec()),
        ("/app/a.jar", jar("com.acme", "a", "1", &[])),
        ("/root/.gradle/caches/none.jar", Vec::new()),
    ]);
    let [unreported, reported] = findings.applications.as_slice() else { panic!("two applications") };
    assert_eq!(unreported.content, Content::Unreported);
    assert_eq!(components(unreported), ["com.acme:shop:1 -> web", "com.acme:web:1", "?:lib:1.0"]);
    assert_eq!(unreported.components[1].qualifiers.get("type").map(String::as_str), Some("war"));
    assert_eq!(components(reported), ["com.acme:a:1"]);
    assert!(reported.components[0].qualifiers.is_empty());
    let component = &reported.components[0];
    assert_eq!(component.hashes.len(), 1);
    assert_eq!(component.evidence, [LayerPath::new("/app/a.jar")]);
}

#[test]
fn archives_with_very_many_in_them_under_a_long_path_are_reported_as_far_as_there_is_room() {
    let inner = RawEntry::stored("n.jar", &ZipBuilder::default().finish());
    let mut builder = ZipBuilder::default().with_raw(&inner);
    for _ in 1..9_000 {
        builder = builder.with_header(&RawEntry { offset: Some(0), ..inner.clone() });
    }
    let bytes = builder.finish();
    let directory = "d".repeat(4000);
    let files = [("0", &bytes), ("1", &bytes), ("2", &bytes)];
    let files = files.map(|(name, bytes)| (format!("/{directory}/{name}.jar"), bytes.clone()));
    let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    let findings = findings(&files);
    let Content::Jars { fingerprints, .. } = &findings.applications[0].content else { panic!("jars") };
    assert!(fingerprints.len() < 9_000);
    assert_eq!(findings.gaps.iter().map(|gap| gap.code).collect::<Vec<_>>(), ["finding_limit_reached"]);
}
