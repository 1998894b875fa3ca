//! The least that reading an image can cost: GET each layer, hash it, inflate it, and nothing else.
//!
//! `floor http://HOST/v2/REPOSITORY TAG`: two layers at a time, each on a thread of its own, as the scanner reads them.

use std::io::Read;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use regent_oci::{Digest, Document, Manifest, MediaType};

/// Pieces on their way from the network to the inflating thread; the scanner has about as many.
const PIECES: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (repository, tag) = (arguments[1].clone(), arguments[2].clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let inflated = runtime.block_on(read(&repository, &tag));
    println!("{inflated} bytes inflated");
}

async fn read(repository: &str, tag: &str) -> u64 {
    let client = regent_tests::http::client();
    let answer = client
        .get(format!("{repository}/manifests/{tag}"))
        .header("accept", MediaType::MANIFESTS.join(", "))
        .send()
        .await
        .unwrap();
    let manifest = Manifest::parse(answer.bytes().await.unwrap(), None).unwrap();
    let Document::Image(image) = manifest.document else { unreachable!("the benchmark's image is no index") };
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(2));
    let mut layers = tokio::task::JoinSet::new();
    for layer in image.layers {
        let (client, gate, repository) = (client.clone(), gate.clone(), repository.to_owned());
        layers.spawn(async move {
            let _permit = gate.acquire().await.unwrap();
            let url = format!("{repository}/blobs/{}", layer.digest);
            let mut answer = client.get(url).send().await.unwrap();
            let (sender, receiver) = sync_channel(PIECES);
            let expected = layer.digest.clone();
            let thread = tokio::task::spawn_blocking(move || inflate(receiver, &expected));
            while let Some(piece) = answer.chunk().await.unwrap() {
                // Blocking here would be wrong for a server; here it is the backpressure.
                tokio::task::block_in_place(|| sender.send(piece)).unwrap();
            }
            drop(sender);
            thread.await.unwrap()
        });
    }
    let mut inflated = 0;
    while let Some(bytes) = layers.join_next().await {
        inflated += bytes.unwrap();
    }
    inflated
}

fn inflate(receiver: Receiver<Bytes>, expected: &Digest) -> u64 {
    let source = Source { receiver, piece: Bytes::new(), digester: Some(expected.algorithm().digester()) };
    let mut decoder = MultiGzDecoder::new(source);
    let mut buffer = vec![0; 256 << 10];
    let mut inflated = 0;
    loop {
        let n = decoder.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        inflated += n as u64;
    }
    let digest = decoder.get_mut().digester.take().unwrap().finish();
    assert_eq!(&digest, expected);
    inflated
}

struct Source {
    receiver: Receiver<Bytes>,
    piece: Bytes,
    digester: Option<regent_oci::Digester>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.piece.is_empty() {
            match self.receiver.recv() {
                Ok(piece) => {
                    self.digester.as_mut().unwrap().update(&piece);
                    self.piece = piece;
                }
                Err(_) => return Ok(0),
            }
        }
        let n = self.piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}
