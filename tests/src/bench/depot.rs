//! A registry in the benchmark's own process: it serves images whose layers are put together from pieces in memory, and
//! counts what it is asked for. So there is room for more images than the disk has.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, Response};
use regent_oci::{Algorithm, Descriptor, Digest, MediaType};
use serde_json::json;

use crate::http::{Body, Server, answer, whole};

/// A layer: pieces that are gzip members each, served one after the other.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What a manifest says of it.
    pub descriptor: Descriptor,
    pieces: Arc<[Bytes]>,
}

impl Layer {
    /// Of these pieces.
    pub fn of(pieces: Vec<Bytes>) -> Self {
        let mut digester = Algorithm::Sha256.digester();
        for piece in &pieces {
            digester.update(piece);
        }
        let mut descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &[]);
        descriptor.digest = digester.finish();
        descriptor.size_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { descriptor, pieces: pieces.into() }
    }

    /// The same layer with its last byte changed, under the digest of the right one.
    #[must_use]
    pub fn with_a_changed_byte(&self) -> Self {
        let mut pieces = self.pieces.to_vec();
        // The size at the end of a gzip member is the last thing in it.
        let last = pieces.pop().unwrap();
        let (last, rest) = (last.slice(..last.len() - 1), [last[last.len() - 1] ^ 1]);
        pieces.extend([last, Bytes::copy_from_slice(&rest)]);
        Self { pieces: pieces.into(), ..self.clone() }
    }
}

/// What was asked for.
#[derive(Debug, Default, Clone)]
pub struct Asked {
    /// HEADs of manifests.
    pub heads: u64,
    /// GETs of manifests.
    pub manifests: u64,
    /// GETs of blobs, by digest.
    pub blobs: BTreeMap<Digest, u64>,
    /// All requests.
    pub requests: u64,
}

/// The running registry.
#[derive(Debug)]
pub struct Depot {
    server: Server,
    store: Arc<Store>,
}

#[derive(Debug, Default)]
struct Store {
    // std locks, held for a few instructions and never over an await.
    manifests: RwLock<HashMap<String, (Bytes, Digest)>>,
    blobs: RwLock<HashMap<Digest, Arc<[Bytes]>>>,
    asked: Mutex<Asked>,
}

impl Depot {
    /// Starts one without images.
    pub async fn start() -> Self {
        let store = Arc::new(Store::default());
        let shared = store.clone();
        let server = Server::start(move |request| {
            let answer = shared.answer(&request);
            async move { answer }
        });
        Self { server: server.await, store }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Adds an image.
    pub fn add(&self, repository: &str, tag: &str, layers: &[Layer]) {
        // No diff IDs: nobody looks at them, and finding them means to inflate everything.
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let config = Bytes::from(config.to_string());
        let descriptor = Descriptor::of(MediaType::OCI_CONFIG, &config);
        let of_layers: Vec<&Descriptor> = layers.iter().map(|layer| &layer.descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": descriptor, "layers": of_layers,
        });
        let manifest = Bytes::from(manifest.to_string());
        let digest = Digest::sha256(&manifest);
        let mut blobs = self.store.blobs.write().unwrap();
        blobs.insert(descriptor.digest, [config].into());
        blobs.extend(layers.iter().map(|layer| (layer.descriptor.digest.clone(), layer.pieces.clone())));
        let mut manifests = self.store.manifests.write().unwrap();
        for reference in [tag, digest.as_str()] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            manifests.insert(path, (manifest.clone(), digest.clone()));
        }
    }

    /// What was asked for since the last time.
    pub fn asked(&self) -> Asked {
        std::mem::take(&mut self.store.asked.lock().unwrap())
    }
}

impl Store {
    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let (path, is_head) = (request.uri().path(), *request.method() == Method::HEAD);
        self.asked.lock().unwrap().requests += 1;
        if path == "/v2/" {
            return answer(200, "application/json", "{}");
        }
        if let Some((manifest, digest)) = self.manifests.read().unwrap().get(path) {
            let mut asked = self.asked.lock().unwrap();
            *if is_head { &mut asked.heads } else { &mut asked.manifests } += 1;
            let body = if is_head { Bytes::new() } else { manifest.clone() };
            return Response::builder()
                .header("content-type", MediaType::OCI_MANIFEST)
                .header("docker-content-digest", digest.as_str())
                .header("content-length", manifest.len())
                .body(whole(body))
                .unwrap();
        }
        let digest: Option<Digest> = path.split_once("/blobs/").and_then(|(_, digest)| digest.parse().ok());
        let pieces = digest.as_ref().and_then(|digest| self.blobs.read().unwrap().get(digest).cloned());
        let (Some(digest), Some(pieces)) = (digest, pieces) else {
            return answer(404, "application/json", r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
        };
        if !is_head {
            *self.asked.lock().unwrap().blobs.entry(digest).or_default() += 1;
        }
        let n_bytes: usize = pieces.iter().map(Bytes::len).sum();
        let pieces = if is_head { [].into() } else { pieces };
        let frames = (0..pieces.len()).map(move |i| Ok(Frame::data(pieces[i].clone())));
        Response::builder()
            .header("content-type", "application/octet-stream")
            .header("content-length", n_bytes)
            .body(StreamBody::new(stream::iter(frames)).boxed())
            .unwrap()
    }
}
