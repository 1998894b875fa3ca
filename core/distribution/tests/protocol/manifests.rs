//! Manifests and small blobs: asked for rightly, verified always.

use std::sync::Arc;

use regent_distribution::{Client, Error, ManifestHead};
use regent_oci::{Descriptor, Digest, MediaType, Reference};
use regent_transport::Fault as _;

use crate::script::{Reply, Script, bearer_challenge, broken, ok, redirect, reply, robot, run, token};

const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

fn client(script: &Arc<Script>) -> Client {
    script.session(robot()).client("team/app".parse().unwrap())
}

fn digest() -> Digest {
    Digest::sha256(MANIFEST.as_bytes())
}

fn other() -> Digest {
    Digest::sha256(b"other")
}

fn by_tag() -> Reference {
    "v1".parse().unwrap()
}

fn typed(reply: Reply) -> Reply {
    reply.header("content-type", MediaType::OCI_MANIFEST)
}

fn stated(reply: Reply, digest: &Digest) -> Reply {
    reply.header("docker-content-digest", digest.as_str())
}

fn code<T>(outcome: Result<T, Error>) -> String {
    outcome.map_or_else(|e| e.code().to_owned(), |_| String::new())
}

#[test]
fn all_manifest_types_are_accepted_and_no_compression() {
    let script = Script::new([stated(typed(ok(MANIFEST)), &digest())]);
    let manifest = run(client(&script).manifest(&by_tag())).unwrap();
    assert_eq!(manifest.digest, digest());
    let seen = script.seen();
    assert_eq!(seen[0].line, "GET https://r.example/v2/team/app/manifests/v1");
    let accepted: Vec<&str> = seen[0].headers.get_all("accept").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(accepted, MediaType::MANIFESTS);
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
}

#[test]
fn a_manifest_is_what_its_digest_says_or_an_error() {
    let by_digest = || Reference::Digest(digest());
    let sha512 = Digest::of(regent_oci::Algorithm::Sha512, MANIFEST.as_bytes());
    let (start, rest) = MANIFEST.split_at(10);
    let rows: Vec<(&str, Reference, Reply, &str)> = vec![
        ("by tag, without a header", by_tag(), typed(ok(MANIFEST)), ""),
        ("by tag, with the right header", by_tag(), stated(typed(ok(MANIFEST)), &digest()), ""),
        ("by tag, with the right header of sha512", by_tag(), stated(typed(ok(MANIFEST)), &sha512), ""),
        ("by tag, with a wrong header", by_tag(), stated(typed(ok(MANIFEST)), &other()), "digest_mismatch"),
        (
            "by tag, with a header that is no digest",
            by_tag(),
            typed(ok(MANIFEST)).header("docker-content-digest", "md5:1"),
            "",
        ),
        ("by digest", by_digest(), typed(ok(MANIFEST)), ""),
        ("by digest of sha512", Reference::Digest(sha512.clone()), typed(ok(MANIFEST)), ""),
        ("by digest, with a wrong header", by_digest(), stated(typed(ok(MANIFEST)), &other()), ""),
        ("by digest, other content", Reference::Digest(other()), typed(ok(MANIFEST)), "digest_mismatch"),
        (
            "by digest, other content under the right header",
            Reference::Digest(other()),
            stated(typed(ok(MANIFEST)), &other()),
            "digest_mismatch",
        ),
        ("in pieces", by_digest(), typed(ok(start).body(rest)), ""),
        (
            "with another type than it says",
            by_tag(),
            ok(MANIFEST).header("content-type", MediaType::OCI_INDEX),
            "manifest_invalid",
        ),
        ("schema 1", by_tag(), ok(r#"{"schemaVersion":1,"fsLayers":[]}"#), "manifest_invalid"),
        ("a page for people", by_tag(), ok("<html>"), "manifest_invalid"),
        ("too large", by_tag(), ok(vec![b' '; (4 << 20) + 1]), "registry_answer_too_large"),
        ("unknown", by_tag(), reply(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#), "not_found"),
        ("forbidden", by_tag(), reply(403), "permission_missing"),
    ];
    for (name, reference, answer, expected) in rows {
        let script = Script::new([answer]);
        let outcome = run(client(&script).manifest(&reference));
        if let (Ok(manifest), Some(asked)) = (&outcome, reference.digest()) {
            assert_eq!(manifest.digest, *asked, "{name}");
        }
        assert_eq!(code(outcome), expected, "{name}");
    }
}

#[test]
fn a_head_says_what_a_tag_leads_to() {
    let answer = stated(typed(reply(200)), &digest()).header("content-length", "500");
    let script = Script::new([answer]);
    let head = run(client(&script).head_manifest(&by_tag())).unwrap();
    let media_type = MediaType::new(MediaType::OCI_MANIFEST);
    assert_eq!(head, ManifestHead { digest: digest(), media_type, size_bytes: Some(500) });
    let seen = script.seen();
    assert_eq!(seen[0].line, "HEAD https://r.example/v2/team/app/manifests/v1");
    assert_eq!(seen[0].headers.get_all("accept").iter().count(), 4);
}

#[test]
fn where_a_head_says_too_little_the_manifest_is_fetched_and_hashed() {
    let rows: Vec<(&str, Reply)> = vec![
        ("no digest header", typed(reply(200))),
        ("a broken digest header", typed(reply(200)).header("docker-content-digest", "x")),
        ("no type", stated(reply(200), &digest())),
        (
            "a type that says nothing",
            stated(reply(200), &digest()).header("content-type", "application/json"),
        ),
        ("no HEAD", reply(405)),
        ("404 although it is there", reply(404)),
        ("400", reply(400)),
    ];
    for (name, head) in rows {
        let script = Script::new([head, typed(ok(MANIFEST))]);
        let head = run(client(&script).head_manifest(&by_tag())).unwrap();
        assert_eq!((head.digest, head.size_bytes), (digest(), Some(MANIFEST.len() as u64)), "{name}");
        assert!(script.lines()[1].starts_with("GET "), "{name}");
    }
    // A HEAD by digest that names another one is not believed.
    let script = Script::new([stated(typed(reply(200)), &other()), typed(ok(MANIFEST))]);
    assert_eq!(run(client(&script).head_manifest(&Reference::Digest(digest()))).unwrap().digest, digest());
    let script = Script::new([reply(404), reply(404)]);
    assert_eq!(code(run(client(&script).head_manifest(&by_tag()))), "not_found");
    script.seen();
}

#[test]
fn the_digest_that_a_head_states_is_its_own_or_the_one_that_was_asked_for() {
    let (tag, by_digest, known) = (by_tag(), Reference::Digest(digest()), Some(digest()));
    let rows: Vec<(&str, &Reference, Reply, Option<Digest>)> = vec![
        ("by tag", &tag, stated(reply(200), &digest()), known.clone()),
        ("by tag, without a header", &tag, typed(reply(200)), None),
        ("by tag, a broken header", &tag, reply(200).header("docker-content-digest", "x"), None),
        ("by digest", &by_digest, stated(reply(200), &digest()), known.clone()),
        ("by digest, without a header", &by_digest, reply(200), known),
        ("by digest, another one", &by_digest, stated(reply(200), &other()), None),
        ("no HEAD", &by_digest, reply(405), None),
        ("not there", &by_digest, reply(404), None),
    ];
    for (name, reference, answer, expected) in rows {
        let script = Script::new([answer]);
        assert_eq!(run(client(&script).stated_digest(reference)).unwrap(), expected, "{name}");
        assert!(script.lines()[0].starts_with("HEAD "), "{name}");
    }
    let script = Script::new([reply(403)]);
    assert_eq!(code(run(client(&script).stated_digest(&by_digest))), "permission_missing");
    script.seen();
}

#[test]
fn a_manifest_may_be_redirected() {
    let script = Script::new([
        bearer_challenge(),
        token("t"),
        redirect(307, "https://cdn.example/v2/team/app/manifests/v1"),
        typed(ok(MANIFEST)),
    ]);
    run(client(&script).manifest(&by_tag())).unwrap();
    let seen = script.seen();
    assert_eq!(seen[2].authorization(), Some("Bearer t"));
    assert_eq!(seen[3].authorization(), None);
    assert_eq!(seen[3].headers.get_all("accept").iter().count(), 4);
}

#[test]
fn a_manifest_that_breaks_off_is_asked_for_again() {
    let script = Script::new([typed(ok(MANIFEST.split_at(10).0)).breaks(broken()), typed(ok(MANIFEST))]);
    assert_eq!(run(client(&script).manifest(&by_tag())).unwrap().digest, digest());
    assert_eq!(script.sleeps_ms(), [250]);
    script.seen();
}

#[test]
fn a_small_blob_is_read_whole_and_verified() {
    let config = Descriptor::of(MediaType::OCI_CONFIG, b"{}");
    let script = Script::new([ok("{").body("}")]);
    assert_eq!(run(client(&script).small_blob(&config, 100)).unwrap(), "{}");
    let script = Script::new([ok("[]")]);
    assert_eq!(code(run(client(&script).small_blob(&config, 100))), "digest_mismatch");
    let script = Script::new([]);
    assert_eq!(code(run(client(&script).small_blob(&config, 1))), "registry_answer_too_large");
    script.seen();
}
