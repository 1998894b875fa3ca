//! The least that reading images can cost: GET each distinct layer, hash it, inflate it, and nothing else.
//!
//! `floor HOST:PORT REPOSITORY:TAG…`, over plain HTTP. As many layers side by side as there are cores to run on, two at
//! most: each on one thread, from the socket into the hash and the inflater, without a queue or a copy in between. With
//! the same crates as the scanner.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

use flate2::bufread::MultiGzDecoder;
use regent_oci::{Descriptor, Digest, Digester, Document, Manifest, MediaType};

const SIDE_BY_SIDE: usize = 2;
const BUFFER_BYTES: usize = 256 << 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().expect("usage: floor HOST:PORT REPOSITORY:TAG…");
    // By size, so that the largest goes first.
    let mut layers = BTreeMap::new();
    let mut connection = Connection::open(&host);
    for image in arguments {
        let (repository, tag) = image.split_once(':').expect("REPOSITORY:TAG");
        let accept = MediaType::MANIFESTS.join(", ");
        let mut answer = connection.get(&format!("/v2/{repository}/manifests/{tag}"), &accept);
        let mut text = Vec::new();
        answer.read_to_end(&mut text).unwrap();
        let Document::Image(image) = Manifest::parse(text.into(), None).unwrap().document else {
            unreachable!("the benchmark's images are no indexes")
        };
        for layer in image.layers {
            layers.insert((layer.size_bytes, layer.digest.clone()), (repository.to_owned(), layer));
        }
    }
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(SIDE_BY_SIDE);
    let todo = Mutex::new(layers);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| work(&host, &todo));
        }
    });
}

type Todo = Mutex<BTreeMap<(u64, Digest), (String, Descriptor)>>;

fn work(host: &str, todo: &Todo) {
    let mut connection = Connection::open(host);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let next = todo.lock().unwrap().pop_last();
        let Some((_, (repository, layer))) = next else { return };
        let url = format!("/v2/{repository}/blobs/{}", layer.digest);
        let body = connection.get(&url, "*/*");
        assert_eq!(body.left, layer.size_bytes, "{url}");
        let hashed = Hashed { body, digester: layer.digest.algorithm().digester() };
        let mut decoder = MultiGzDecoder::new(hashed);
        while decoder.read(&mut buffer).unwrap() > 0 {}
        let Hashed { body, digester } = decoder.into_inner();
        assert_eq!((body.left, digester.finish()), (0, layer.digest), "{url}");
    }
}

/// A connection that is kept for one request after the other.
struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(host: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { host: host.to_owned(), stream: BufReader::with_capacity(BUFFER_BYTES, stream) }
    }

    fn get(&mut self, path: &str, accept: &str) -> Body<'_> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{path}: {line}");
        let mut left = None;
        while line != "\r\n" {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "{path}: the answer is cut off");
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                left = Some(length.trim().parse().unwrap());
            }
        }
        Body { stream: &mut self.stream, left: left.expect("a registry says how long its answers are") }
    }
}

/// The body of an answer.
struct Body<'a> {
    stream: &'a mut BufReader<TcpStream>,
    left: u64,
}

impl BufRead for Body<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let there = self.stream.fill_buf()?;
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(there.len());
        Ok(&there[..n])
    }

    fn consume(&mut self, n_bytes: usize) {
        self.left -= n_bytes as u64;
        self.stream.consume(n_bytes);
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut there = self.fill_buf()?;
        let n = there.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

/// A body whose bytes are hashed as they are used up: in pieces that are in the processor's cache.
struct Hashed<'a> {
    body: Body<'a>,
    digester: Digester,
}

impl BufRead for Hashed<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.body.fill_buf()
    }

    fn consume(&mut self, n_bytes: usize) {
        let used = self.body.fill_buf().expect("it is there already");
        self.digester.update(&used[..n_bytes]);
        self.body.consume(n_bytes);
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut there = self.fill_buf()?;
        let n = there.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}
