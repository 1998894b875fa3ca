//! Blobs: redirects, broken connections, wrong bytes.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use regent_distribution::{BlobStream, Error, Verify};
use regent_oci::{Algorithm, Descriptor, Digest, MediaType};
use regent_transport::{Class, Fault as _, TransportError};

use crate::script::{Reply, Script, bearer_challenge, broken, fails, ok, redirect, reply, robot, run, token};

const CONTENT: &[u8] = b"0123456789";
const CDN: &str = "https://cdn.example/blob?sig=x";

fn descriptor() -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER_GZIP, CONTENT)
}

fn open(script: &Arc<Script>, descriptor: &Descriptor, verify: Verify) -> BlobStream {
    script.session(robot()).client("team/app".parse().unwrap()).blob(descriptor, verify)
}

fn read(stream: &mut BlobStream) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    while let Some(chunk) = run(stream.chunk())? {
        assert!(!chunk.is_empty());
        whole.extend_from_slice(&chunk);
    }
    assert!(run(stream.chunk())?.is_none(), "the end is final");
    Ok(whole)
}

/// Reads the blob of ten digits.
fn read_from(script: &Arc<Script>) -> Result<Vec<u8>, Error> {
    read(&mut open(script, &descriptor(), Verify::AtEnd))
}

fn partial(from: u64, body: &'static [u8]) -> Reply {
    reply(206).header("content-range", &format!("bytes {from}-9/10")).body(body)
}

#[test]
fn nothing_is_asked_for_before_it_is_read() {
    let script = Script::new([]);
    let stream = open(&script, &descriptor(), Verify::AtEnd);
    assert_eq!((stream.position(), script.seen().len()), (0, 0));
    let script = Script::new([ok(CONTENT)]);
    assert_eq!(read_from(&script).unwrap(), CONTENT);
    let seen = script.seen();
    assert_eq!(seen[0].line, format!("GET https://r.example/v2/team/app/blobs/{}", descriptor().digest));
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
    assert_eq!(seen[0].header("range"), None);
}

#[test]
fn a_redirect_to_storage_is_followed_without_the_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let script = Script::new([bearer_challenge(), token("t"), redirect(status, CDN), ok(CONTENT)]);
        assert_eq!(read_from(&script).unwrap(), CONTENT);
        let seen = script.seen();
        assert_eq!(seen[2].authorization(), Some("Bearer t"));
        assert_eq!(seen[3].line, format!("GET {CDN}"), "{status}");
        let names: Vec<&str> = seen[3].headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["accept-encoding"], "{status}");
    }
}

#[test]
fn a_redirect_on_the_registry_keeps_the_credentials_also_after_the_challenge() {
    let script =
        Script::new([bearer_challenge(), token("t"), redirect(302, "/artifacts-downloads/x"), ok(CONTENT)]);
    assert_eq!(read_from(&script).unwrap(), CONTENT);
    let seen = script.seen();
    assert_eq!(seen[3].line, "GET https://r.example/artifacts-downloads/x");
    assert_eq!(seen[3].authorization(), Some("Bearer t"));
    // Once elsewhere they do not come back.
    let back = redirect(302, "https://r.example/x");
    let script = Script::new([bearer_challenge(), token("t"), redirect(302, CDN), back, ok(CONTENT)]);
    assert_eq!(read_from(&script).unwrap(), CONTENT);
    assert_eq!(script.seen()[4].authorization(), None);
}

#[test]
fn redirects_that_are_refused() {
    let rows = [
        "http://cdn.example/x",
        "http://r.example/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://user:pw@cdn.example/x",
    ];
    for target in rows {
        let script = Script::new([redirect(307, target)]);
        assert_eq!(read_from(&script).unwrap_err().code(), "redirect_refused", "{target}");
        assert_eq!(script.seen().len(), 1, "{target}");
    }
    let script = Script::new((0..6).map(|_| redirect(307, "/again")));
    assert_eq!(read_from(&script).unwrap_err().code(), "redirect_refused");
    script.seen();
    let script = Script::new([reply(307)]);
    assert_eq!(read_from(&script).unwrap_err().code(), "registry_answer_invalid");
}

#[test]
fn the_401_of_a_redirect_target_is_not_the_registrys_challenge() {
    let target = || reply(401).header("www-authenticate", r#"Basic realm="give me""#);
    let script = Script::new((0..8).map(|i| if i % 2 == 0 { redirect(307, CDN) } else { target() }));
    let error = read_from(&script).unwrap_err();
    assert_eq!((error.code(), error.class()), ("redirect_target_failed", Class::Unavailable));
    assert!(!error.to_string().contains("sig"), "{error}");
    assert!(script.seen().iter().all(|s| s.authorization().is_none()));
}

#[test]
fn a_signed_url_that_has_expired_is_asked_for_anew() {
    let script = Script::new([
        redirect(307, CDN),
        ok(&b"0123"[..]).breaks(broken()),
        redirect(307, CDN),
        reply(403).body("<Error>Request has expired</Error>"),
        redirect(307, "https://cdn.example/blob?sig=y"),
        partial(4, b"456789"),
    ]);
    assert_eq!(read_from(&script).unwrap(), CONTENT);
    let seen = script.seen();
    assert_eq!(seen[4].line, format!("GET https://r.example/v2/team/app/blobs/{}", descriptor().digest));
    assert_eq!(seen[5].header("range"), Some("bytes=4-"));
}

#[test]
fn a_stream_that_breaks_goes_on_where_it_was() {
    let unsatisfiable = || reply(416);
    let cut = || ok(&b"0123"[..]).breaks(broken());
    let rows: Vec<(&str, Vec<Reply>)> = vec![
        ("continued", vec![cut(), partial(4, b"456789")]),
        ("ended early as if it were whole", vec![ok(&b"0123"[..]), partial(4, b"456789")]),
        (
            "no answer in time",
            vec![
                ok(&b"0123"[..]).breaks(TransportError::Timeout { host: "r.example".into() }),
                partial(4, b"456789"),
            ],
        ),
        ("broken twice", vec![cut(), partial(4, b"45").breaks(broken()), partial(6, b"6789")]),
        ("broken before the first byte", vec![ok("").breaks(broken()), ok(CONTENT)]),
        ("broken after the last byte", vec![ok(CONTENT).breaks(broken())]),
        ("a server without ranges", vec![cut(), ok(CONTENT)]),
        ("a server without ranges, in pieces", vec![cut(), ok("01").body("234").body("56789")]),
        (
            "a server without ranges, broken again",
            vec![cut(), ok("01").breaks(broken()), partial(4, b"456789")],
        ),
        ("416", vec![cut(), unsatisfiable(), ok(CONTENT)]),
        (
            "the token is refused meanwhile",
            vec![cut(), bearer_challenge(), token("t"), partial(4, b"456789")],
        ),
        ("the server fails meanwhile", vec![cut(), reply(503), fails(broken()), partial(4, b"456789")]),
    ];
    for (name, replies) in rows {
        let script = Script::new(replies);
        match read_from(&script) {
            Ok(content) => assert_eq!(content, CONTENT, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
        script.seen();
    }
}

#[test]
fn a_range_other_than_the_one_asked_for_is_refused() {
    for answer in [partial(0, CONTENT), partial(5, b"56789"), reply(206).body("456789")] {
        let script = Script::new([ok(&b"0123"[..]).breaks(broken()), answer]);
        assert_eq!(read_from(&script).unwrap_err().code(), "registry_answer_invalid");
    }
    // Nor is one given that no one asked for.
    let script = Script::new([partial(0, CONTENT)]);
    assert_eq!(read_from(&script).unwrap_err().code(), "registry_answer_invalid");
}

/// Reads digits 2 to 5 of ten.
fn read_part_from(script: &Arc<Script>) -> Result<Vec<u8>, Error> {
    read(&mut script.session(robot()).client("team/app".parse().unwrap()).blob_part(&descriptor(), 2..6))
}

fn part(from: u64, body: &'static [u8]) -> Reply {
    reply(206).header("content-range", &format!("bytes {from}-5/10")).body(body)
}

#[test]
fn a_part_is_asked_for_by_its_range_and_goes_on_where_it_was() {
    let script = Script::new([redirect(307, CDN), part(2, b"23").breaks(broken()), part(4, b"45")]);
    assert_eq!(read_part_from(&script).unwrap(), b"2345");
    let seen = script.seen();
    let ranges: Vec<_> = seen.iter().map(|request| request.header("range").unwrap()).collect();
    assert_eq!(ranges, ["bytes=2-5", "bytes=2-5", "bytes=4-5"]);
}

#[test]
fn what_is_not_the_part_asked_for_is_refused() {
    let rows: Vec<(&str, Reply, &str)> = vec![
        ("the whole blob", ok(CONTENT), "registry_answer_invalid"),
        ("another part", part(1, b"12345"), "registry_answer_invalid"),
        ("a longer part", partial(2, b"23456789"), "registry_answer_invalid"),
        ("a byte too many", part(2, b"23456"), "size_mismatch"),
        ("no part that it can tell", reply(206).body("2345"), "registry_answer_invalid"),
        ("not there", reply(404), "not_found"),
    ];
    for (name, answer, code) in rows {
        let script = Script::new([answer]);
        assert_eq!(read_part_from(&script).unwrap_err().code(), code, "{name}");
    }
    let script = Script::new([reply(416)]);
    assert!(read_part_from(&script).is_err(), "ranges are refused");
}

#[test]
fn wrong_content_never_reaches_its_end() {
    let rows: Vec<(&str, Vec<Reply>, &str)> = vec![
        ("a flipped byte", vec![ok("0123456788")], "digest_mismatch"),
        (
            "a flipped byte in the continued part",
            vec![ok("0123").breaks(broken()), partial(4, b"456788")],
            "digest_mismatch",
        ),
        ("a byte too many", vec![ok("01234567890")], "size_mismatch"),
        ("a byte too many in a piece of its own", vec![ok(CONTENT).body("0")], "size_mismatch"),
        (
            "more announced than there may be",
            vec![ok(CONTENT).header("content-length", "11")],
            "size_mismatch",
        ),
        (
            "the transport's own limit",
            vec![ok("0123").breaks(TransportError::TooLarge { host: "r.example".into(), limit_bytes: 10 })],
            "size_mismatch",
        ),
        ("not there", vec![reply(404).body(r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)], "not_found"),
        ("gone meanwhile", vec![ok("0123").breaks(broken()), reply(404)], "not_found"),
        ("truncated for good", vec![ok("0123"), ok("0123"), ok("0123"), ok("0123")], "blob_truncated"),
    ];
    for (name, replies, expected) in rows {
        let script = Script::new(replies);
        let mut stream = open(&script, &descriptor(), Verify::AtEnd);
        assert_eq!(read(&mut stream).unwrap_err().code(), expected, "{name}");
        assert_eq!(run(stream.chunk()).unwrap_err().code(), expected, "{name}: an error is final");
        script.seen();
    }
}

#[test]
fn progress_earns_new_attempts_and_even_that_has_an_end() {
    for (n_bytes, expected) in [(101, ""), (102, "blob_truncated")] {
        let drop_of = |i: usize| {
            let first = if i == 0 {
                reply(200)
            } else {
                reply(206).header("content-range", &format!("bytes {i}-/*"))
            };
            first.body("0").breaks(broken())
        };
        let script = Script::new((0..101).map(drop_of));
        let blob = Descriptor::of(MediaType::OCI_LAYER, &vec![b'0'; n_bytes]);
        let outcome = read(&mut open(&script, &blob, Verify::AtEnd));
        assert_eq!(outcome.map_or_else(|e| e.code().to_owned(), |_| String::new()), expected, "{n_bytes}");
        script.seen();
    }
}

#[test]
fn who_verifies_is_the_readers_choice() {
    let script = Script::new([ok("0123456788"), ok(CONTENT)]);
    for (expected, ending) in [(&b"0123456788"[..], Some("digest_mismatch")), (CONTENT, None)] {
        let mut stream = open(&script, &descriptor(), Verify::ByConsumer);
        let mut verifier = stream.verifier();
        let content = read(&mut stream).unwrap();
        assert_eq!(content, expected);
        let (head, tail) = content.split_at(3);
        verifier.update(head);
        assert_eq!(verifier.clone().finish().unwrap_err().code(), "blob_truncated");
        verifier.update(tail);
        let mut too_long = verifier.clone();
        too_long.update(b"x");
        assert_eq!(too_long.finish().unwrap_err().code(), "size_mismatch");
        assert_eq!(verifier.finish().err().map(|e| e.code().to_owned()).as_deref(), ending);
    }
}

#[test]
fn sizes_and_algorithms_at_the_edge() {
    let script = Script::new([ok(""), ok(CONTENT)]);
    let empty = Descriptor::of(MediaType::OCI_LAYER, b"");
    assert_eq!(read(&mut open(&script, &empty, Verify::AtEnd)).unwrap(), b"");
    let long = Descriptor { digest: Digest::of(Algorithm::Sha512, CONTENT), ..descriptor() };
    assert_eq!(read(&mut open(&script, &long, Verify::AtEnd)).unwrap(), CONTENT);
}

#[test]
fn a_piece_that_was_waited_for_in_vain_is_not_lost() {
    let script = Script::new([ok("01234").body("56789")]);
    let mut stream = open(&script, &descriptor(), Verify::AtEnd);
    assert_eq!(run(stream.chunk()).unwrap().unwrap(), "01234");
    {
        let mut abandoned = std::pin::pin!(stream.chunk());
        let waker = futures_util::task::noop_waker();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(std::future::Future::poll(abandoned.as_mut(), &mut context).is_pending());
    }
    assert_eq!(read(&mut stream).unwrap(), b"56789");
}

/// The content cut at these places, and broken off where the flag says so.
fn scripted(content: &[u8], cuts: &[(prop::sample::Index, bool)], ranges: bool) -> Arc<Script> {
    let mut places: Vec<(usize, bool)> =
        cuts.iter().map(|(at, breaks)| (at.index(content.len() + 1), *breaks)).collect();
    places.sort_unstable();
    let mut replies = Vec::new();
    let mut current = ok("");
    let mut at = 0;
    for (place, breaks) in places {
        current = current.body(Bytes::copy_from_slice(&content[at..place]));
        at = place;
        if breaks {
            replies.push(current.breaks(broken()));
            current = if ranges && place > 0 {
                reply(206)
                    .header("content-range", &format!("bytes {place}-{}/{}", content.len(), content.len()))
            } else {
                ok(Bytes::copy_from_slice(&content[..place]))
            };
        }
    }
    replies.push(current.body(Bytes::copy_from_slice(&content[at..])));
    Script::new(replies)
}

proptest! {
    #[test]
    fn any_chunking_and_up_to_three_breaks_give_the_same_blob(
        content in prop::collection::vec(any::<u8>(), 0..200),
        whole_cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        breaks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ranges: bool,
    ) {
        let cuts: Vec<_> = whole_cuts.into_iter().map(|c| (c, false)).chain(breaks.into_iter().map(|b| (b, true))).collect();
        let script = scripted(&content, &cuts, ranges);
        let descriptor = Descriptor::of(MediaType::OCI_LAYER, &content);
        prop_assert_eq!(read(&mut open(&script, &descriptor, Verify::AtEnd)).unwrap(), content);
    }
}
