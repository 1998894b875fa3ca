use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn config(directory: &Path) -> DiskCacheConfig {
    let directory = directory.join("captures");
    DiskCacheConfig { directory, max_bytes: 1 << 20, max_age: 10 * HOUR, reserve_bytes: 0 }
}

async fn open_at(directory: &Path) -> DiskCache {
    open_with(config(directory)).await
}

async fn open_with(config: DiskCacheConfig) -> DiskCache {
    let cache = DiskCache::open(config);
    cache.settle().await;
    cache
}

fn name(text: &str) -> EntryName {
    EntryName::new("test", &[text])
}

async fn put(cache: &DiskCache, text: &str, content: Vec<u8>) {
    cache.write(name(text), content.len() as u64, move || Some(content));
    cache.settle().await;
}

async fn get(cache: &DiskCache, text: &str) -> Option<Vec<u8>> {
    cache.read(name(text), |content| Some(content.to_vec())).await
}

fn path(cache: &DiskCache, text: &str) -> PathBuf {
    cache.shared.path(&name(text))
}

fn set_age(path: &Path, age: Duration) {
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// What the files of a cache take.
fn taken_bytes(cache: &DiskCache) -> u64 {
    let sweep =
        Sweep { max_bytes: u64::MAX, coming_bytes: 0, max_age: Duration::MAX, now: SystemTime::now() };
    sweep.run(&cache.shared.config.directory).unwrap().kept_bytes
}

#[tokio::test]
async fn what_one_process_keeps_the_next_one_finds_and_nobody_else_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_at(folder.path()).await;
    put(&first, "a", b"content".to_vec()).await;
    assert_eq!(mode(&first.shared.config.directory), 0o700);
    assert_eq!(mode(&path(&first, "a")), 0o600);
    let second = open_at(folder.path()).await;
    assert_eq!(get(&second, "a").await.as_deref(), Some(b"content".as_slice()));
    assert_eq!(get(&second, "b").await, None);
}

#[tokio::test]
async fn a_directory_that_others_may_read_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = config(folder.path()).directory;
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    open_at(folder.path()).await;
    assert_eq!(mode(&directory), 0o700);
}

#[tokio::test]
async fn what_is_not_as_it_was_written_is_not_there_and_is_deleted() {
    type Damage = fn(&Path);
    let rows: [(&str, Damage); 8] = [
        ("another byte", |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| File::options().write(true).open(path).unwrap().set_len(20).unwrap()),
        ("empty", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
        ("without an end", |path| File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap()),
        ("foreign", |path| fs::write(path, vec![7; 1000]).unwrap()),
        ("another entry", |path| {
            let other = name("other").file_name();
            fs::write(path, frame::framed(b"content", &other)).unwrap();
        }),
        ("a link", |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/hostname", path).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let cache = open_at(folder.path()).await;
    for (what, damage) in rows {
        put(&cache, "a", b"content".to_vec()).await;
        assert!(get(&cache, "a").await.is_some(), "{what}");
        damage(&path(&cache, "a"));
        assert_eq!(get(&cache, "a").await, None, "{what}");
        assert!(path(&cache, "a").symlink_metadata().is_err(), "{what}: it is still there");
    }
    put(&cache, "a", b"content".to_vec()).await;
    assert_eq!(cache.read(name("a"), |_| None::<()>).await, None);
    assert!(!path(&cache, "a").exists(), "nobody can make anything of it");
}

#[tokio::test]
async fn the_least_recently_used_leave_when_there_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_with(DiskCacheConfig { max_bytes: 100 << 12, ..config(folder.path()) }).await;
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    // Each of two blocks, and older than those that come.
    for name in &names {
        put(&cache, name, vec![0; 5000]).await;
        set_age(&path(&cache, name), HOUR);
    }
    for number in 20..200 {
        put(&cache, &number.to_string(), vec![0; 5000]).await;
        assert!(taken_bytes(&cache) <= 100 << 12);
    }
    assert!(get(&cache, "199").await.is_some());
    let left = names.iter().filter(|name| path(&cache, name).exists());
    assert_eq!(left.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn what_was_used_leaves_after_what_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_with(DiskCacheConfig { max_bytes: 4 << 12, ..config(folder.path()) }).await;
    for (name, age) in [("old", 3), ("older", 4), ("used", 5)] {
        put(&cache, name, vec![0; 1000]).await;
        set_age(&path(&cache, name), age * HOUR);
    }
    assert!(get(&cache, "used").await.is_some());
    for name in ["new", "newer"] {
        put(&cache, name, vec![0; 1000]).await;
    }
    let there = ["used", "new", "newer", "old", "older"].map(|name| path(&cache, name).exists());
    assert_eq!(there, [true, true, true, false, false]);
}

#[tokio::test]
async fn what_nobody_uses_for_too_long_is_not_there_and_leaves_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_at(folder.path()).await;
    for (name, age) in [("young", 9), ("old", 11), ("looked for", 11)] {
        put(&cache, name, b"content".to_vec()).await;
        set_age(&path(&cache, name), age * HOUR);
    }
    assert_eq!(get(&cache, "looked for").await, None);
    assert!(!path(&cache, "looked for").exists());
    assert!(path(&cache, "old").exists());
    let next = open_at(folder.path()).await;
    assert!(!path(&next, "old").exists());
    assert!(get(&next, "young").await.is_some());
}

#[tokio::test]
async fn leftovers_and_other_releases_are_swept_at_the_start_and_what_is_foreign_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_at(folder.path()).await;
    let file = |name: &str| cache.shared.config.directory.join(name);
    let other_release = format!("{}-1-0.0.0.kept", name("a"));
    let names = [".kept-old.part", ".kept-now.part", other_release.as_str(), "notes.txt"];
    for name in names {
        fs::write(file(name), "x").unwrap();
    }
    for name in [".kept-old.part", "notes.txt"] {
        set_age(&file(name), 100 * HOUR);
    }
    open_at(folder.path()).await;
    assert_eq!(names.map(|name| file(name).exists()), [false, true, false, true]);
}

#[tokio::test]
async fn a_disk_that_can_not_be_used_makes_it_useless_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("captures"), "a file where the directory should be").unwrap();
    let cache = open_at(folder.path()).await;
    put(&cache, "a", b"content".to_vec()).await;
    assert_eq!(get(&cache, "a").await, None);
    assert!(cache.shared.has_warned.load(Ordering::Relaxed));
    assert!(folder.path().join("captures").is_file());
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_with(DiskCacheConfig { reserve_bytes: u64::MAX / 2, ..config(folder.path()) }).await;
    put(&cache, "a", b"content".to_vec()).await;
    assert_eq!(get(&cache, "a").await, None);
}

#[tokio::test]
async fn what_is_too_large_is_not_kept_and_too_much_at_once_neither() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_at(folder.path()).await;
    put(&cache, "large", vec![0; (1 << 18) + 1]).await;
    assert_eq!(get(&cache, "large").await, None);
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let waiting_bytes = u64::from(MAX_WAITING_KIB) * 1024 - 2048;
    cache.write(name("slow"), waiting_bytes, move || {
        wait.recv().unwrap();
        Some(b"content".to_vec())
    });
    cache.write(name("second"), 4096, || Some(b"content".to_vec()));
    go.send(()).unwrap();
    cache.settle().await;
    assert!(get(&cache, "slow").await.is_some());
    assert_eq!(get(&cache, "second").await, None);
}

#[tokio::test]
async fn a_directory_that_is_deleted_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open_at(folder.path()).await;
    fs::remove_dir_all(&cache.shared.config.directory).unwrap();
    assert_eq!(get(&cache, "a").await, None);
    put(&cache, "a", b"content".to_vec()).await;
    assert!(get(&cache, "a").await.is_some());
    assert_eq!(mode(&cache.shared.config.directory), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_that_share_a_directory_never_see_a_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    // Small enough that each sweeps under the others' hands.
    let small = DiskCacheConfig { max_bytes: 40 << 12, ..config(folder.path()) };
    let content = |number: usize| vec![u8::try_from(number).unwrap(); 2000 + number];
    let mut work = JoinSet::new();
    for _ in 0..4 {
        let cache = open_with(small.clone()).await;
        work.spawn(async move {
            for round in 0..100 {
                let number = round % 25;
                cache.write(name(&number.to_string()), 4096, move || Some(content(number)));
                if let Some(found) = get(&cache, &number.to_string()).await {
                    assert_eq!(found, content(number));
                }
            }
            cache.settle().await;
            assert!(!cache.shared.has_warned.load(Ordering::Relaxed));
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    let unfinished = fs::read_dir(&small.directory).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name::Found::of(name.to_str().unwrap()) == name::Found::Unfinished
    });
    assert_eq!(unfinished.count(), 0);
}
