use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::drivers::decisions::View;
use crate::drivers::error::Error;
use crate::drivers::fixtures::described;
use crate::drivers::info::DriverState;

fn entry(file: &str, outcome: Result<Description, Refused>) -> Arc<Entry> {
    let directory = PathBuf::from("/plugins");
    let digest = Some(Digest::sha256(file.as_bytes()));
    let source = Source::File { path: directory.join(file), directory };
    Arc::new(Entry { source, digest, signature: SignatureState::Missing, outcome })
}

fn refused(code: &str) -> Result<Description, Refused> {
    Err(Refused::new(code, format!("it is {code}")))
}

#[test]
fn the_type_decides_with_the_highest_version_and_the_operators_binding() {
    let snapshot = Snapshot {
        entries: vec![
            entry("harbor-1.so", Ok(described("harbor", "1.9.0", &["harbor-cr"]))),
            entry("harbor-2.so", Ok(described("harbor", "1.10.0", &["harbor-cr", "Harbor"]))),
            entry("x.so", Ok(described("x", "1.0.0", &["x", "shared", "bound"]))),
            entry("y.so", Ok(described("y", "1.0.0", &["y", "shared", "bound"]))),
            entry("libregent_driver_docker_hub.so", refused("api_too_new")),
        ],
    };
    let bindings = [("bound", "y"), ("harbor", "x")].map(|(t, d)| (t.to_owned(), d.to_owned())).into();
    let decided = View::default();
    let choice = Choice { snapshot: &snapshot, bindings: &bindings, decided: &decided };
    let rows = [
        ("harbor-cr", Ok("harbor-2.so")),
        ("HARBOR-CR", Ok("harbor-2.so")),
        ("x", Ok("x.so")),
        ("bound", Ok("y.so")),
        ("Bound", Ok("y.so")),
        ("shared", Err("several drivers claim type \"shared\" (x.so is x 1.0.0, y.so is y 1.0.0)")),
        ("harbor", Err("REGENT_DRIVER_BINDINGS: binds harbor to driver x, which is not there")),
        ("docker-hub", Err("libregent_driver_docker_hub.so: it is api_too_new")),
        ("docker-hub-v2", Err("libregent_driver_docker_hub.so: it is api_too_new")),
        (
            "docker",
            Err(
                "no driver serves connections of type \"docker\"; there are Harbor, bound, harbor-cr, shared, x, y",
            ),
        ),
    ];
    for (registry_type, expected) in rows {
        match (choice.of(registry_type), expected) {
            (Ok(entry), Ok(file)) => assert_eq!(entry.label(), file, "{registry_type}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{registry_type}: {error}"),
            (got, _) => panic!("{registry_type}: {got:?}"),
        }
    }
    let states: Vec<_> = snapshot.entries.iter().map(|e| choice.info(e).state).collect();
    assert_eq!(states[0], DriverState::Superseded { by: "harbor-2.so".to_owned() });
    assert_eq!(states[1], DriverState::Ready);
    assert_eq!(states[2], DriverState::Ambiguous { types: vec!["shared".to_owned()] });
    assert!(matches!(&states[4], DriverState::Refused { code, .. } if code == "api_too_new"));
}

#[test]
fn an_error_about_a_type_lists_every_file_and_why_it_was_not_taken() {
    let snapshot = Snapshot {
        entries: vec![
            entry("a.so", Ok(described("a", "1.0.0", &["a-cr"]))),
            entry("libregent_driver_b.so", refused("not_elf")),
        ],
    };
    let (bindings, decided) = (BTreeMap::new(), View::default());
    let choice = Choice { snapshot: &snapshot, bindings: &bindings, decided: &decided };
    match choice.of("b").unwrap_err() {
        Error::Unloadable { looked_at, .. } => {
            let text: Vec<String> = looked_at.iter().map(ToString::to_string).collect();
            assert_eq!(text, ["a.so: driver a serves a-cr", "libregent_driver_b.so: it is not_elf"]);
        }
        other => panic!("{other:?}"),
    }
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn labels(snapshot: &Snapshot) -> Vec<String> {
    snapshot.entries.iter().map(|e| e.label()).collect()
}

#[tokio::test(start_paused = true)]
async fn files_are_seen_as_they_come_change_and_go_and_unfinished_ones_never() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let index = Index::new(vec![directory.path().to_owned(), "/does/not/exist".into()], Trust::default());
    assert!(index.snapshot().entries.is_empty());

    for name in ["b.so", "a.so", ".hidden.so", "c.so.tmp", "d.so.part", "e.so~", "README"] {
        fs::write(path(name), "no library").unwrap();
    }
    assert!(index.snapshot().entries.is_empty(), "it was looked at just now");
    tokio::time::advance(LOOK_EVERY).await;
    assert!(index.snapshot().entries.is_empty(), "they may still be written");
    assert!(index.is_settling());
    tokio::time::advance(SETTLE).await;
    let first = index.snapshot();
    assert!(!index.is_settling());
    assert_eq!(labels(&first), ["a.so", "b.so"]);
    assert!(first.entries.iter().all(|e| e.outcome.as_ref().is_err_and(|r| r.code == "not_elf")));

    fs::write(path("b.so"), "no library, but longer").unwrap();
    tokio::time::advance(LOOK_EVERY).await;
    assert!(Arc::ptr_eq(&first, &index.snapshot()), "it may still be written");
    tokio::time::advance(SETTLE / 2).await;
    fs::write(path("b.so"), "no library, but longer still").unwrap();
    assert!(Arc::ptr_eq(&first, &index.look_now()));
    tokio::time::advance(SETTLE / 2).await;
    assert!(Arc::ptr_eq(&first, &index.look_now()), "it was written to in between");
    tokio::time::advance(SETTLE).await;
    let second = index.snapshot();
    assert!(Arc::ptr_eq(&first.entries[0], &second.entries[0]), "what did not change is not read again");
    assert!(!Arc::ptr_eq(&first.entries[1], &second.entries[1]));

    tokio::time::advance(LOOK_EVERY).await;
    assert!(Arc::ptr_eq(&second, &index.snapshot()));
    fs::remove_file(path("a.so")).unwrap();
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(labels(&index.snapshot()), ["b.so"]);
}
