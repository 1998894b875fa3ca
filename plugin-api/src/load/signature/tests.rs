use minisign::KeyPair;

use super::*;

/// A key of minisign's own documentation, and its signatures of `test`: an ordinary one, and one of the old form.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const OLD: &str = "untrusted comment: signature from minisign secret key\n\
    RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
    trusted comment: timestamp:1555779966\tfile:test\n\
    QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";

fn pair() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(Some(&pair.pk), &pair.sk, bytes, None, None).unwrap().into_string()
}

fn keys(pairs: &[&KeyPair]) -> PublicKeys {
    let mut keys = PublicKeys::default();
    for pair in pairs {
        keys.add(&pair.pk.to_box().unwrap().into_string()).unwrap();
    }
    keys
}

#[test]
fn a_signature_counts_when_it_is_of_these_bytes_and_by_a_trusted_key() {
    let (ours, theirs, stranger) = (pair(), pair(), pair());
    let trusted = keys(&[&ours, &theirs]);
    let (first, second) = (trusted.ids().next().unwrap(), trusted.ids().nth(1).unwrap());
    let unknown = keys(&[&stranger]).ids().next().unwrap();
    let of_ours = sign(&ours, b"library");
    let cut: String = of_ours.lines().take(3).collect::<Vec<_>>().join("\n");
    let other_comment = of_ours.replace("trusted comment: ", "trusted comment: not what was signed ");
    let untrusted = format!(
        "it is signed with key {unknown}, which is not trusted; signatures of keys {first}, {second} are"
    );
    let rows = [
        (of_ours.as_str(), Ok(first)),
        (&sign(&theirs, b"library"), Ok(second)),
        (&sign(&stranger, b"library"), Err(("signature_untrusted", untrusted.as_str()))),
        (&sign(&ours, b"another"), Err(("signature_wrong", "not of these bytes"))),
        (&other_comment, Err(("signature_wrong", "not of these bytes"))),
        (&cut, Err(("signature_malformed", "no minisign signature"))),
        ("", Err(("signature_malformed", "no minisign signature"))),
        ("a\nb\nc\nd", Err(("signature_malformed", "no minisign signature"))),
    ];
    for (signature, expected) in rows {
        match (trusted.signer(b"library", signature), expected) {
            (Ok(key), Ok(expected)) => assert_eq!(key, expected),
            (Err(unsigned), Err((code, words))) => {
                assert_eq!(unsigned.code(), code, "{unsigned}");
                assert!(unsigned.to_string().contains(words), "{unsigned}");
            }
            (got, expected) => panic!("{signature}: {got:?}, not {expected:?}"),
        }
    }
    let missing = trusted.missing(signature_file(Path::new("/p/x.so"))).to_string();
    assert!(missing.contains("/p/x.so.minisig") && missing.contains(&first.to_string()), "{missing}");
}

#[test]
fn the_old_form_of_signatures_is_refused_with_what_to_do() {
    let mut trusted = PublicKeys::default();
    trusted.add(KEY).unwrap();
    let unsigned = trusted.signer(b"test", OLD).unwrap_err();
    assert_eq!(unsigned.code(), "signature_malformed");
    assert!(unsigned.to_string().contains("minisign 0.10"), "{unsigned}");
}

#[test]
fn a_text_may_hold_several_keys_with_comments() {
    let other = pair();
    let text =
        format!("# ours\nuntrusted comment: minisign public key\n{KEY}\n\n{}\n{KEY}", other.pk.to_base64());
    let mut trusted = PublicKeys::default();
    trusted.add(&text).unwrap();
    let ids: Vec<String> = trusted.ids().map(|id| id.to_string()).collect();
    assert_eq!(ids.len(), 2, "the same key counts once");
    assert_eq!(ids[0], "E7620F1842B4E81F", "as minisign prints it");
    assert_eq!(trusted.add("# nothing\n"), Err(KeyError::Empty));
    for text in ["RWQf6LRCGA9i53mlYecO4Iz", "/etc/keys", "untrusted\n"] {
        assert!(matches!(trusted.add(text), Err(KeyError::Malformed { .. })), "{text}");
    }
}

#[test]
fn a_second_key_of_the_same_name_does_not_hide_the_first() {
    let (ours, mut twin) = (pair(), PublicKeys::default());
    // The name of ours, with another key: anyone can make that.
    let mut bytes = STANDARD.decode(pair().pk.to_base64()).unwrap();
    bytes[2..10].copy_from_slice(&STANDARD.decode(ours.pk.to_base64()).unwrap()[2..10]);
    twin.add(&STANDARD.encode(bytes)).unwrap();
    let signature = sign(&ours, b"library");
    assert_eq!(twin.signer(b"library", &signature).unwrap_err().code(), "signature_wrong");
    twin.add(&ours.pk.to_base64()).unwrap();
    assert!(twin.signer(b"library", &signature).is_ok());
}
