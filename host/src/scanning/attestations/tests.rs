use bytes::Bytes;
use regent_oci::{Digest, MediaType};
use serde_json::{Value, json};

use super::super::tests::registry;
use super::*;
use crate::drivers::fixtures::shelf;

/// An index of one image with attestations, each with a reference and the statements that it holds.
#[derive(Default)]
struct Shelved {
    contents: shelf::Contents,
    listed: Vec<Value>,
}

impl Shelved {
    fn blob(&mut self, bytes: Bytes) {
        self.contents.blobs.insert(Digest::sha256(&bytes), bytes);
    }

    fn manifest(&mut self, layers: &[Descriptor]) -> Descriptor {
        let config = Bytes::from_static(br#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]}}"#);
        let config_descriptor = Descriptor::of(MediaType::OCI_CONFIG, &config);
        self.blob(config);
        let manifest = json!({"schemaVersion": 2, "config": config_descriptor, "layers": layers}).to_string();
        let manifest = Bytes::from(manifest);
        let descriptor = Descriptor::of(MediaType::OCI_MANIFEST, &manifest);
        let content = (MediaType::OCI_MANIFEST, manifest);
        self.contents.manifests.insert(descriptor.digest.to_string(), content);
        descriptor
    }

    fn list(&mut self, descriptor: &Descriptor, platform: &str, annotations: &Value) {
        let mut entry = json!(descriptor);
        entry["platform"] = json!({"os": platform, "architecture": platform.replace("linux", "amd64")});
        entry["annotations"] = annotations.clone();
        self.listed.push(entry);
    }

    /// Lists an attestation about `attested` and says which manifest holds it.
    fn attest(&mut self, attested: Option<&Digest>, layers: &[Descriptor]) -> Digest {
        let manifest = self.manifest(layers);
        let mut annotations = json!({"vnd.docker.reference.type": "attestation-manifest"});
        if let Some(digest) = attested {
            annotations[REFERENCE_DIGEST] = json!(digest);
        }
        self.list(&manifest, "unknown", &annotations);
        manifest.digest
    }

    async fn read(mut self, shelf: &str) -> (Vec<Attestation>, Vec<Gap>) {
        let index = json!({"schemaVersion": 2, "manifests": self.listed}).to_string();
        self.contents.manifests.insert("1".into(), (MediaType::OCI_INDEX, index.into()));
        shelf::put(shelf, self.contents);
        let registry = registry(shelf).await;
        let resolved = registry.resolve(&"app:1".parse().unwrap(), None).await.unwrap();
        read(&registry, &resolved).await.unwrap()
    }
}

fn statement(text: &'static str, predicate: Option<&str>) -> Descriptor {
    let mut descriptor = Descriptor::of(STATEMENT, text.as_bytes());
    descriptor.annotations.extend(predicate.map(|kind| (PREDICATE_TYPE.to_owned(), kind.to_owned())));
    descriptor
}

const V1: Option<&str> = Some("https://slsa.dev/provenance/v1");

#[tokio::test]
async fn statements_about_the_image_and_about_nothing_are_read_in_the_order_of_digests() {
    let mut shelved = Shelved::default();
    let image = shelved.manifest(&[]);
    shelved.list(&image, "linux", &json!({}));
    for text in ["one", "two", "three"] {
        shelved.blob(Bytes::from_static(text.as_bytes()));
    }
    let of_image = [
        statement("one", V1),
        statement("two", None),
        statement("an SBOM", Some("https://spdx.dev/Document")),
        Descriptor::of(MediaType::OCI_LAYER, b"no statement"),
    ];
    let first = shelved.attest(Some(&image.digest), &of_image);
    let second = shelved.attest(None, &[statement("three", V1)]);
    shelved.attest(Some(&Digest::sha256(b"another image")), &[statement("four", V1)]);
    let (found, gaps) = shelved.read("attested").await;
    assert_eq!(gaps, []);
    let mut expected = [
        (first.clone(), Digest::sha256(b"one"), Some(image.digest.to_string())),
        (first, Digest::sha256(b"two"), Some(image.digest.to_string())),
        (second, Digest::sha256(b"three"), None),
    ];
    expected.sort();
    let found: Vec<_> = found.into_iter().map(|a| (a.manifest, a.layer, a.attested)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_statement_that_is_not_there_or_too_large_is_a_gap_and_the_others_are_read() {
    let mut shelved = Shelved::default();
    let image = shelved.manifest(&[]);
    shelved.list(&image, "linux", &json!({}));
    shelved.blob(Bytes::from_static(b"one"));
    let large = Descriptor { size_bytes: MAX_BYTES + 1, ..statement("large", V1) };
    shelved.attest(Some(&image.digest), &[statement("one", V1), statement("lost", V1), large]);
    let nowhere = Descriptor::of(MediaType::OCI_MANIFEST, b"nowhere");
    shelved.list(&nowhere, "unknown", &json!({"vnd.docker.reference.type": "attestation-manifest"}));
    let (found, gaps) = shelved.read("attested-in-part").await;
    assert_eq!(found.len(), 1);
    let mut reasons: Vec<_> = gaps.iter().map(|gap| (gap.code, gap.reason.as_str())).collect();
    reasons.sort_unstable();
    for (digest, part) in [("large", "more than"), ("lost", "no such blob"), ("nowhere", "no such manifest")]
    {
        let digest = Digest::sha256(digest.as_bytes());
        let is_said = |(code, reason): &&(&str, &str)| {
            *code == "attestation_unreadable" && reason.starts_with(digest.as_str()) && reason.contains(part)
        };
        assert_eq!(reasons.iter().filter(is_said).count(), 1, "{part}: {reasons:?}");
    }
    assert_eq!(reasons.len(), 3);
}

#[tokio::test]
async fn no_more_than_so_many_statements_are_read() {
    let mut shelved = Shelved::default();
    let image = shelved.manifest(&[]);
    shelved.list(&image, "linux", &json!({}));
    shelved.blob(Bytes::from_static(b"one"));
    let many = vec![statement("one", V1); MAX_STATEMENTS + 5];
    shelved.attest(Some(&image.digest), &many);
    let (found, gaps) = shelved.read("attested-often").await;
    assert_eq!((found.len(), gaps.len()), (MAX_STATEMENTS, 0));
}
