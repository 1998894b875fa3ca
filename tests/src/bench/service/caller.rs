//! A client on one kept connection that takes the time of each answer. It has its thread to itself: no executor stands
//! between the answer and the clock.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

/// The connection.
#[derive(Debug)]
pub struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    /// A connection to this port.
    pub fn to(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Milliseconds until the whole answer to a GET was there.
    ///
    /// # Panics
    /// When the answer is none of success.
    pub fn get(&mut self, path: &str, headers: &str) -> f64 {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        let begin = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length, mut head) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "the answer is cut off");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{}", String::from_utf8_lossy(&body));
        milliseconds
    }
}
