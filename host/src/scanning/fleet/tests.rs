use regent_oci::{Descriptor, MediaType};
use regent_scan::{Capture, Entry, EntryKind, Extra, Kept, LayerPath, TocPin};

use super::*;
use crate::nats::test_server::NatsServer;

const MAX_BYTES: u64 = 64 << 20;

fn layer(name: &str, content: &[u8]) -> CapturedLayer {
    let kept = Kept {
        size_bytes: content.len() as u64,
        content: Some(content.to_vec().into()),
        sha256: Some(Digest::sha256(content)),
        distilled: None,
    };
    let path = |text: &str| regent_scan::LayerPath::from(text.to_owned());
    let capture = Capture {
        version: CAPTURE_VERSION,
        entries: vec![
            Entry { path: path("etc/os-release"), kind: EntryKind::File(kept.into()) },
            Entry { path: path("etc/link"), kind: EntryKind::Symlink("os-release".to_owned()) },
            Entry { path: path("etc/gone"), kind: EntryKind::Whiteout },
        ],
        hidden_by_files: vec![1, 2, u64::MAX],
        hidden_by_directories: vec![3],
        spooled_bytes: 7,
    };
    CapturedLayer::from_cache(Digest::sha256(name.as_bytes()), capture).unwrap()
}

fn key(layer: &CapturedLayer) -> CaptureKey {
    CaptureKey::whole(layer.digest())
}

#[test]
fn a_capture_has_a_name_of_its_own_for_each_table_of_contents_and_for_what_was_asked_beyond() {
    let mut layer = Descriptor::of(MediaType::OCI_LAYER, b"");
    layer.size_bytes = 1 << 30;
    let mut names = vec![name(&CaptureKey::whole(&layer.digest))];
    for toc in ["a", "b"] {
        let digest = Digest::sha256(toc.as_bytes()).to_string();
        layer.annotations.insert("containerd.io/snapshot/stargz/toc.digest".to_owned(), digest);
        names.push(name(&CaptureKey::parts(&layer.digest, &TocPin::of(&layer).unwrap())));
    }
    for path in ["a", "b"] {
        let extra = Extra::of_paths([LayerPath::new(path)]);
        names.push(name(&CaptureKey::whole(&layer.digest).with(&extra)));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5, "{names:?}");
}

async fn open(server: &NatsServer, keys: &SealKeys) -> FleetCaptures {
    let nats = Nats::connect(&server.settings("t")).await.unwrap();
    FleetCaptures::open(&nats, keys.clone(), MAX_BYTES).await.unwrap()
}

async fn turn(captures: &FleetCaptures, key: &CaptureKey) -> Turn {
    match captures.look(key).await {
        Sighting::Missing(turn) => turn,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_one_reads_is_there_for_all() {
    let (server, keys) = (NatsServer::start().await, SealKeys::generate());
    let (one, two) = (open(&server, &keys).await, open(&server, &keys).await);
    // Some of them go into many pieces.
    for (name, n_bytes) in [("small", 10), ("large", 3 << 20)] {
        let content: Vec<u8> = (0..n_bytes).map(|_| rand::random()).collect();
        let layer = layer(name, &content);
        let key = key(&layer);
        let turn = turn(&one, &key).await;
        let waiting = two.look(&key);
        one.keep(&key, &layer, Some(turn));
        let Sighting::Found(found) = waiting.await else { panic!() };
        assert_eq!(found.digest(), layer.digest());
        assert_eq!(found.capture(), layer.capture());
    }
    one.settle().await;
    assert!(!server.has("os-release"), "it is sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_its_turn_leaves_it_to_the_next_one() {
    let (server, keys) = (NatsServer::start().await, SealKeys::generate());
    let (one, two) = (open(&server, &keys).await, open(&server, &keys).await);
    let key = CaptureKey::whole(&Digest::sha256(b"x"));
    let first = turn(&one, &key).await;
    let waiting = two.look(&key);
    drop(first);
    assert!(matches!(waiting.await, Sighting::Missing(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_stored_is_not_used() {
    let (server, keys) = (NatsServer::start().await, SealKeys::generate());
    let captures = open(&server, &keys).await;
    let layers = ["one", "two"].map(|name| layer(name, &vec![b'x'; 1000]));
    for layer in &layers {
        captures.keep(&key(layer), layer, Some(turn(&captures, &key(layer)).await));
    }
    captures.settle().await;
    let objects = &captures.shared.objects;
    let [first, second] = layers.each_ref().map(|layer| name(&key(layer)));
    let mut sealed = Vec::new();
    objects.get(&first).await.unwrap().read_to_end(&mut sealed).await.unwrap();
    // Another layer's capture, bytes that were changed, and nothing of what its name promises.
    objects.put(second.as_str(), &mut sealed.as_slice()).await.unwrap();
    assert!(matches!(captures.look(&key(&layers[1])).await, Sighting::Missing(_)));
    *sealed.last_mut().unwrap() ^= 1;
    objects.put(first.as_str(), &mut sealed.as_slice()).await.unwrap();
    let again = turn(&captures, &key(&layers[0])).await;
    captures.keep(&key(&layers[0]), &layers[0], Some(again));
    captures.settle().await;
    assert!(matches!(captures.look(&key(&layers[0])).await, Sighting::Found(_)), "it is replaced");
    let other = open(&server, &SealKeys::generate()).await;
    assert!(matches!(other.look(&key(&layers[0])).await, Sighting::Missing(_)));
    captures.shared.stream.purge().filter("$O.t-captures.C.>").await.unwrap();
    assert!(matches!(captures.look(&key(&layers[0])).await, Sighting::Missing(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_each_one_reads_for_itself() {
    let (mut server, keys) = (NatsServer::start().await, SealKeys::generate());
    let captures = open(&server, &keys).await;
    let layer = layer("x", b"y");
    let key = key(&layer);
    let turn = turn(&captures, &key).await;
    server.kill();
    captures.keep(&key, &layer, Some(turn));
    assert!(matches!(captures.look(&key).await, Sighting::Unknown));
    assert!(captures.shared.has_failed(), "it is left alone for a while");
    assert!(matches!(captures.look(&key).await, Sighting::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_store_is_full_the_oldest_make_room() {
    let (server, keys) = (NatsServer::start().await, SealKeys::generate());
    let nats = Nats::connect(&server.settings("t")).await.unwrap();
    let captures = FleetCaptures::open(&nats, keys, 2 << 20).await.unwrap();
    let layers: Vec<_> = (0..4)
        .map(|number| {
            let content: Vec<u8> = (0..700 << 10).map(|_| rand::random()).collect();
            layer(&format!("layer {number}"), &content)
        })
        .collect();
    for layer in &layers {
        captures.keep(&key(layer), layer, Some(turn(&captures, &key(layer)).await));
        captures.settle().await;
    }
    assert!(matches!(captures.look(&key(&layers[0])).await, Sighting::Missing(_)));
    for layer in &layers[2..] {
        assert!(matches!(captures.look(&key(layer)).await, Sighting::Found(_)));
    }
}
