//! Images in eStargz and zstd:chunked at a real registry: little is fetched, and all is found.

#[path = "../../core/scan/tests/layer/chunked/build.rs"]
mod build;

use std::fs;

use regent_oci::{Descriptor, Digest, MediaType};
use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::estargz::estargz;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer, push_blob, push_manifest};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use regent_tests::skopeo::skopeo;
use serde_json::{Value, json};

use self::build::{Format, Kind, Node, build, build_with, file, go_program, node, noise, program};

const FORMATS: [Format; 3] = [
    Format::STARGZ,
    Format::Stargz { is_lossless: true, has_shared_members: true, has_legacy_footer: false },
    Format::ZstdChunked,
];

/// A layer of some 40 MiB: packages, programs and a lock file among data.
fn nodes() -> Vec<Node> {
    let status = "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36-9+deb12u4\n\n\
         Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b2\nDepends: libc6 (>= 2.36)\n";
    let lock = json!({
        "name": "app", "version": "1.0.0", "lockfileVersion": 3,
        "packages": {
            "": {"name": "app", "version": "1.0.0", "dependencies": {"six": "^1.0.0"}},
            "node_modules/six": {"version": "1.2.3"},
        },
    });
    let mut nodes = vec![
        node("usr/bin/", Kind::Directory),
        node("etc/os-release", Kind::Symlink("../usr/lib/os-release".to_owned())),
        file(
            "usr/lib/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        ),
        file("var/lib/dpkg/status", status),
        program("usr/bin/tool", go_program("example.org/module")),
        node("usr/bin/second", Kind::HardLink("usr/bin/tool".to_owned())),
        node("run/pipe", Kind::Pipe),
    ];
    nodes.extend((0..40).map(|seed| file(&format!("srv/{seed}.bin"), noise(seed, 1 << 20))));
    nodes.insert(
        27,
        file("app/package.json", r#"{"name":"app","version":"1.0.0","dependencies":{"six":"^1.0.0"}}"#),
    );
    nodes.push(program("usr/local/bin/node", noise(99, 300 << 10)));
    nodes.push(file("app/package-lock.json", lock.to_string()));
    nodes
}

struct Scene {
    registry: Registry,
    sink: Sink,
    connection: Connection,
    plugins: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let registry = Registry::start(Auth::None).await;
        let connection = Connection::anonymous("oci-cr", &registry.authority());
        Self { registry, sink: Sink::start().await, connection, plugins: plugin_directory(&["oci"]) }
    }

    async fn push(&self, layer: &[u8], descriptor: &Descriptor, tag: &str) {
        let registry = self.registry.authority();
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
            "config": Descriptor::of(MediaType::OCI_CONFIG, config), "layers": [descriptor],
        });
        for content in [config.as_slice(), layer] {
            push_blob(&registry, "team/app", &Digest::sha256(content), content.to_vec(), None).await;
        }
        let manifest = manifest.to_string();
        push_manifest(&registry, "team/app", tag, MediaType::OCI_MANIFEST, manifest.as_bytes(), None).await;
    }

    /// An agent that knows no layer yet.
    async fn agent(&self, is_lazy: bool) -> Agent {
        let environment = [
            ("REGENT_INSECURE_REGISTRIES", self.registry.authority()),
            ("BROKER_CLIENT_URL", self.sink.url()),
            ("REGENT_LAZY_LAYERS", is_lazy.to_string()),
        ];
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Agent::start(self.plugins.path(), &environment).await
    }

    /// A twentieth of the layer is fetched, for the same results.
    async fn is_read_in_parts(&self, tag: &str) {
        let (lazy, whole) = (self.agent(true).await, self.agent(false).await);
        let (in_parts, done) = self.scan(&lazy, tag).await;
        assert_eq!(done["status"], "succeeded", "{done}");
        assert!(!in_parts.is_empty());
        assert_eq!(in_parts, self.scan(&whole, tag).await.0, "{tag}");
        let (few, all) = (fetched_bytes(&lazy).await, fetched_bytes(&whole).await);
        assert!(few > 0 && few * 20 < all, "{few} of {all} bytes");
    }

    /// The results of a scan, and its end.
    async fn scan(&self, agent: &Agent, tag: &str) -> (Vec<Value>, Value) {
        let body = json!({ "image": format!("team/app:{tag}"), "credentials": self.connection.0 });
        let accepted = agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap();
        let done = self.sink.wait_for("/api/v2/import/done", operation).await.body;
        let of_scan = self.sink.received().into_iter().filter(|callback| {
            callback.path.ends_with("/result") && callback.body.to_string().contains(operation)
        });
        // Each result names its operation, which is another one for each scan.
        let results = of_scan.map(|callback| {
            let text = callback.body.to_string().replace(operation, "operation");
            serde_json::from_str(&text).unwrap()
        });
        (results.collect(), done)
    }
}

/// Layer bytes that an agent has read, by its own count.
async fn fetched_bytes(agent: &Agent) -> u64 {
    agent.metric("regent_layer_fetched_bytes_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twentieth_of_a_large_image_is_fetched_for_the_same_results() {
    let scene = Scene::set().await;
    for (tag, format) in ["stargz", "lossless", "zstd"].into_iter().zip(FORMATS) {
        let layer = build(&nodes(), format, 64 << 10);
        scene.push(&layer.bytes, &layer.descriptor, tag).await;
        let (lazy, whole) = (scene.agent(true).await, scene.agent(false).await);
        let (in_parts, done) = scene.scan(&lazy, tag).await;
        assert_eq!(done["status"], "succeeded", "{done}");
        let (expected, _) = scene.scan(&whole, tag).await;
        assert!(expected.len() >= 2, "of the distribution, and of an application at least: {expected:?}");
        assert_eq!(in_parts, expected, "{tag}");
        let (few, all) = (fetched_bytes(&lazy).await, fetched_bytes(&whole).await);
        assert_eq!(all, layer.bytes.len() as u64);
        assert!(few > 0 && few * 20 < all, "{few} of {all} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_skopeo_has_written_is_read_in_parts() {
    let scene = Scene::set().await;
    let layout = tempfile::tempdir().unwrap();
    // Not compressed: what is compressed already skopeo leaves as it is.
    let content = noise(0, 6 << 20);
    let layer = debian_layer().file("srv/data.bin", content);
    let image = ImageBuilder::new(Flavor::Oci).layer(layer, Compression::None).build();
    image.write_layout(layout.path(), "1");
    let source = format!("oci:{}:1", layout.path().display());
    let target = format!("docker://{}/team/app:skopeo", scene.registry.authority());
    let copy = ["copy", "--dest-tls-verify=false", "--dest-compress-format", "zstd:chunked"];
    skopeo(&[&copy[..], &[&source, &target]].concat());
    let written = skopeo(&["inspect", "--raw", "--tls-verify=false", &target]);
    assert!(written.contains("io.containers.zstd-chunked.manifest-checksum"), "{written}");

    scene.is_read_in_parts("skopeo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_writer_of_estargz_has_written_is_read_in_parts() {
    let scene = Scene::set().await;
    let tar = debian_layer().file("srv/data.bin", noise(0, 6 << 20)).build();
    let written = estargz(&tar);
    let mut descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &written.bytes);
    let pin = "containerd.io/snapshot/stargz/toc.digest";
    descriptor.annotations.insert(pin.to_owned(), written.toc.as_str().to_owned());
    scene.push(&written.bytes, &descriptor, "written").await;
    scene.is_read_in_parts("written").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_with_another_digest_is_never_scanned() {
    let scene = Scene::set().await;
    let lying = build_with(&nodes(), Format::STARGZ, 4 << 20, |entries| {
        let tool = entries.iter_mut().find(|entry| entry["name"] == "usr/bin/tool").unwrap();
        tool["chunkDigest"] = Digest::sha256(b"other").as_str().into();
    });
    scene.push(&lying.bytes, &lying.descriptor, "lying").await;
    let (lazy, whole) = (scene.agent(true).await, scene.agent(false).await);
    assert_eq!(scene.scan(&lazy, "lying").await.0, scene.scan(&whole, "lying").await.0);
    assert!(fetched_bytes(&lazy).await > lying.bytes.len() as u64, "the whole layer, after some of it");

    let layer = build(&nodes(), Format::STARGZ, 4 << 20);
    scene.push(&layer.bytes, &layer.descriptor, "damaged").await;
    let hex = layer.descriptor.digest.hex().to_owned();
    let (start, _) = hex.split_at(2);
    let stored = scene.registry.data().join(format!("docker/registry/v2/blobs/sha256/{start}/{hex}/data"));
    let mut damaged = layer.bytes.clone();
    damaged[layer.places["usr/local/bin/node"] + 1000] ^= 1;
    fs::write(stored, damaged).unwrap();
    let (results, done) = scene.scan(&lazy, "damaged").await;
    assert_eq!((done["status"].as_str(), results.as_slice()), (Some("failed"), &[][..]), "{done}");
    assert_eq!(done["error"]["type"], "digest_mismatch", "{done}");
}
