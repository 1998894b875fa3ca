//! Layers with a table of contents, read in parts and as a whole.

use std::process::Command;

use regent_oci::{Descriptor, Digest, MediaType};
use serde_json::json;

use crate::image::{push_blob, push_manifest};
use crate::registry::{Auth, Registry};

use super::chunked::{Built, Format, Node, build, file, go_program, program};
use super::content::Content;
use super::report::{Section, Table, Target};
use super::scans::Scans;
use super::{Subject, progress};

const REPOSITORY: &str = "bench/lazy";
const RATIO_LIMIT: f64 = 20.0;
const CHUNK_BYTES: usize = 64 << 10;
const MIB: usize = 1 << 20;

/// A scan in parts and one as a whole, of an image in each format.
pub async fn measure(subject: &Subject) -> Section {
    let registry = Registry::start(Auth::None).await;
    let mut table =
        Table::new(["format", "layer MB", "fetched in parts MB", "as a whole MB", "ratio", "same findings"]);
    let mut targets = Vec::new();
    let nodes = nodes(subject.or_quick(400, 100));
    for (name, format) in [("eStargz", Format::STARGZ), ("zstd:chunked", Format::ZstdChunked)] {
        progress(name);
        let layer = tokio::task::block_in_place(|| build(&nodes, format, CHUNK_BYTES));
        let tag = name.replace(':', "-");
        push(&registry.authority(), &layer, &tag).await;
        let (few, in_parts) = fetched(subject, &registry.authority(), &tag, "true").await;
        let (all, as_a_whole) = fetched(subject, &registry.authority(), &tag, "false").await;
        let ratio = all / few;
        let is_same = in_parts == as_a_whole && !in_parts.is_empty();
        table.row([
            name.to_owned(),
            format!("{:.1}", megabytes(layer.bytes.len() as u64)),
            format!("{few:.2}"),
            format!("{all:.1}"),
            format!("{ratio:.0}"),
            if is_same { "yes" } else { "no" }.to_owned(),
        ]);
        targets.push(Target::at_least(
            &format!("{name}: whole / parts, in bytes"),
            RATIO_LIMIT,
            " ×",
            ratio,
            format!("{ratio:.0}"),
        ));
        let said = if is_same { "the same" } else { "different" };
        targets.push(Target::holds(&format!("{name}: findings"), "the same", said.to_owned(), is_same));
    }
    Section {
        subject: "One layer of sources and data with a few programs and libraries, in the two formats; bytes by the agent's own count."
            .to_owned(),
        tables: vec![table],
        targets,
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes in bytes, to be shown in MB")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Some packages, programs and lock files among about so many MiB of what nobody looks for.
fn nodes(mebibytes: usize) -> Vec<Node> {
    let mut content = Content::new(3);
    let stanzas: Vec<String> = (0..300)
        .map(|i| {
            format!(
                "Package: package-{i}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{i}-1\n\
                 Depends: package-{} (>= 1)\nDescription: {}\n\n",
                i / 2,
                String::from_utf8_lossy(&content.text(200)).replace('\n', " ")
            )
        })
        .collect();
    let mut nodes = vec![
        file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
        file("var/lib/dpkg/status", stanzas.concat()),
    ];
    let lock = json!({
        "name": "app", "version": "1.0.0", "lockfileVersion": 3,
        "packages": {
            "": {"name": "app", "version": "1.0.0", "dependencies": {"six": "^1.0.0"}},
            "node_modules/six": {"version": "1.2.3"},
        },
    });
    nodes.extend([
        file("app/package.json", r#"{"name":"app","version":"1.0.0","dependencies":{"six":"^1.0.0"}}"#),
        file("app/package-lock.json", lock.to_string()),
    ]);
    for i in 0..mebibytes {
        // About a MiB each, of sources and a part of a model.
        nodes.extend((0..10).map(|j| file(&format!("srv/{i}/{j}.py"), content.text(40 << 10))));
        nodes.push(file(&format!("srv/{i}/model.bin"), content.packed(640 << 10)));
        if i % 20 == 0 {
            nodes.push(file(&format!("usr/lib/x86_64-linux-gnu/lib{i}.so.1"), content.code(300 << 10)));
        }
        if i % 100 == 0 {
            let mut tool = go_program(&format!("example.org/module-{i}"));
            tool.extend(content.code(MIB));
            nodes.push(program(&format!("usr/local/bin/tool-{i}"), tool));
        }
    }
    nodes
}

async fn push(registry: &str, layer: &Built, tag: &str) {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
        "config": Descriptor::of(MediaType::OCI_CONFIG, config), "layers": [layer.descriptor],
    });
    for content in [config.as_slice(), &layer.bytes] {
        push_blob(registry, REPOSITORY, &Digest::sha256(content), content.to_vec(), None).await;
    }
    let manifest = manifest.to_string();
    push_manifest(registry, REPOSITORY, tag, MediaType::OCI_MANIFEST, manifest.as_bytes(), None).await;
}

/// Megabytes that an agent which knows nothing has fetched for a scan, and the results.
async fn fetched(subject: &Subject, registry: &str, tag: &str, is_lazy: &str) -> (f64, Vec<String>) {
    let (command, data) = (Command::new(&subject.regent), tempfile::tempdir().unwrap());
    let scans = Scans::start(subject, command, registry, data, &[("REGENT_LAZY_LAYERS", is_lazy)]).await;
    let operation = scans.scan(&format!("{REPOSITORY}:{tag}")).await;
    (megabytes(scans.fetched_bytes().await), scans.results(&operation))
}
