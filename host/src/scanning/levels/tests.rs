use std::sync::Mutex;
use std::time::Duration;

use regent_oci::Digest;
use regent_scan::{CAPTURE_VERSION, Capture};

use super::*;
use crate::disk_cache::{DiskCache, DiskCacheConfig};

/// A fleet that has what it was given, and counts who asks.
#[derive(Default)]
struct Fleet {
    has: Mutex<Vec<(CaptureKey, CapturedLayer)>>,
    n_asked: Mutex<usize>,
    is_away: bool,
}

impl CaptureStore for Fleet {
    fn look<'a>(&'a self, key: &'a CaptureKey) -> BoxFuture<'a, Sighting> {
        *self.n_asked.lock().unwrap() += 1;
        let found =
            self.has.lock().unwrap().iter().find(|(has, _)| has == key).map(|(_, layer)| layer.clone());
        let sighting = match found {
            Some(layer) => Sighting::Found(layer),
            None if self.is_away => Sighting::Unknown,
            None => Sighting::Missing(Turn::new().0),
        };
        Box::pin(std::future::ready(sighting))
    }

    fn keep(&self, key: &CaptureKey, layer: &CapturedLayer, turn: Option<Turn>) {
        if turn.is_some() {
            self.has.lock().unwrap().push((key.clone(), layer.clone()));
        }
    }
}

struct Scene {
    fleet: Arc<Fleet>,
    cache: DiskCache,
    levels: Levels,
    layer: CapturedLayer,
    key: CaptureKey,
    _folder: tempfile::TempDir,
}

fn scene(fleet: Fleet) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::open(DiskCacheConfig {
        directory: folder.path().join("captures"),
        max_bytes: 1 << 20,
        max_age: Duration::from_hours(1),
        reserve_bytes: 0,
    });
    let capture = Capture {
        version: CAPTURE_VERSION,
        entries: Vec::new(),
        hidden_by_files: vec![1],
        hidden_by_directories: Vec::new(),
        spooled_bytes: 0,
    };
    let layer = CapturedLayer::from_cache(Digest::sha256(b"x"), capture).unwrap();
    let key = CaptureKey::whole(layer.digest());
    let fleet = Arc::new(fleet);
    let levels = Levels::new(DiskCaptures::new(cache.clone()), fleet.clone());
    Scene { fleet, cache, levels, layer, key, _folder: folder }
}

#[tokio::test]
async fn what_was_read_goes_to_both_and_the_fleet_is_not_asked_for_what_the_disk_has() {
    let scene = scene(Fleet::default());
    let Sighting::Missing(turn) = scene.levels.look(&scene.key).await else { panic!() };
    scene.levels.keep(&scene.key, &scene.layer, Some(turn));
    scene.cache.settle().await;
    assert_eq!(scene.fleet.has.lock().unwrap().len(), 1);
    let Sighting::Found(found) = scene.levels.look(&scene.key).await else { panic!() };
    assert_eq!(found.capture(), scene.layer.capture());
    assert_eq!(*scene.fleet.n_asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn what_the_fleet_has_is_put_on_the_disk() {
    let scene = scene(Fleet::default());
    scene.fleet.keep(&scene.key, &scene.layer, Some(Turn::new().0));
    for _ in 0..2 {
        assert!(matches!(scene.levels.look(&scene.key).await, Sighting::Found(_)));
        scene.cache.settle().await;
    }
    assert_eq!(*scene.fleet.n_asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn without_the_fleet_the_disk_keeps_what_was_read() {
    let scene = scene(Fleet { is_away: true, ..Fleet::default() });
    assert!(matches!(scene.levels.look(&scene.key).await, Sighting::Unknown));
    scene.levels.keep(&scene.key, &scene.layer, None);
    scene.cache.settle().await;
    assert!(matches!(scene.levels.look(&scene.key).await, Sighting::Found(_)));
}
