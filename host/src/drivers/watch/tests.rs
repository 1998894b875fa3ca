use std::fs;
use std::time::Duration;

use super::*;

/// Far longer than the kernel takes to tell.
const PATIENCE: Duration = Duration::from_secs(30);

async fn told(signs: &Signs) {
    tokio::time::timeout(PATIENCE, signs.next()).await.expect("the kernel tells");
    signs.clear();
}

#[tokio::test]
async fn the_kernel_tells_of_files_that_come_change_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let directories = [folder.path().to_owned()];
    let signs = Signs::new(Watch::Notify, &directories);
    assert!(signs.listen(&directories));
    let path = folder.path().join("a.so");
    let (aside, moved) = (folder.path().join(".part"), folder.path().join("b.so"));
    let changes: [(&str, &dyn Fn()); 5] = [
        ("written", &|| fs::write(&path, "one").unwrap()),
        ("written over", &|| fs::write(&path, "two").unwrap()),
        ("written aside", &|| fs::write(&aside, "three").unwrap()),
        ("renamed", &|| fs::rename(&aside, &moved).unwrap()),
        ("removed", &|| fs::remove_file(&path).unwrap()),
    ];
    for (change, make) in changes {
        make();
        told(&signs).await;
        let again = tokio::time::timeout(Duration::ZERO, signs.next()).await;
        assert!(again.is_err(), "all signs of a file {change} were read");
    }
}

#[tokio::test]
async fn a_directory_that_comes_later_or_is_replaced_is_listened_to_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    let directories = [plugins.clone()];
    let signs = Signs::new(Watch::Notify, &directories);
    assert!(!signs.listen(&directories), "it has to be looked at until it is there");
    fs::create_dir(&plugins).unwrap();
    assert!(signs.listen(&directories));
    fs::rename(&plugins, folder.path().join("old")).unwrap();
    told(&signs).await;
    fs::create_dir(&plugins).unwrap();
    assert!(signs.listen(&directories));
    fs::write(plugins.join("a.so"), "").unwrap();
    told(&signs).await;
}

#[tokio::test]
async fn where_only_looking_is_wanted_the_kernel_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let signs = Signs::new(Watch::Poll, &[folder.path().to_owned()]);
    assert!(!signs.listen(&[folder.path().to_owned()]));
    assert!(!is_remote(folder.path()));
}
