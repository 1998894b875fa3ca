//! What is not as it should be is never accepted.

use serde_json::{Value, json};

use super::*;

fn spec_of(built: &Built) -> LayerSpec {
    LayerSpec::new(built.descriptor.clone())
}

/// Why the layer is not read in parts.
fn reason(bytes: &[u8], spec: &LayerSpec) -> (String, bool) {
    match in_parts(bytes, spec, &Limits::default()) {
        Ok(_) => panic!("it was read"),
        Err(unfit) => (unfit.to_string(), unfit.is_suspicious()),
    }
}

#[test]
fn a_chunk_with_another_content_is_refused() {
    for format in FORMATS {
        let built = build(&nodes(), format, 700);
        // Well compressed, and as long.
        let mut other = nodes();
        let node = other.iter_mut().find(|node| node.name == "usr/bin/node").unwrap();
        let Kind::File(content) = &mut node.kind else { panic!("a file") };
        content[4500] ^= 1;
        let forged = build(&other, format, 700);
        assert_eq!(built.places, forged.places);
        let end = built.places["srv/data-3.bin"];
        let bytes = [&forged.bytes[..end], &built.bytes[end..]].concat();
        let (why, is_suspicious) = reason(&bytes, &spec_of(&built));
        assert!(why.contains("a chunk does not have the digest") && is_suspicious, "{format:?}: {why}");
        // Damaged.
        for name in ["usr/bin/node", "usr/bin/app", "var/lib/dpkg/status"] {
            let mut damaged = built.bytes.clone();
            damaged[built.places[name] + 15..][..20].fill(0xa5);
            let (why, is_suspicious) = reason(&damaged, &spec_of(&built));
            assert!(is_suspicious, "{format:?} {name}: {why}");
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_looked_at() {
    let built = build(&nodes(), Format::STARGZ, 4 << 20);
    let mut damaged = built.bytes.clone();
    damaged[built.places["srv/data-2.bin"] + (100 << 10)] ^= 1;
    let (layer, _) = in_parts(&damaged, &spec_of(&built), &Limits::default()).unwrap();
    let whole = capture_layer(&spec_of(&built), built.bytes.as_slice(), &Limits::default()).unwrap();
    assert_eq!(layer.capture(), whole.capture());
    assert!(capture_layer(&spec_of(&built), damaged.as_slice(), &Limits::default()).is_err());
}

#[test]
fn another_table_of_contents_than_the_pinned_one_is_refused() {
    for format in FORMATS {
        let built = build(&nodes(), format, 4 << 20);
        let mut changed = nodes();
        changed[2].mode = 0o600;
        let other = build(&changed, format, 4 << 20);
        let mut spec = spec_of(&other);
        for (name, value) in &mut spec.descriptor.annotations {
            if !name.ends_with("position") {
                value.clone_from(&built.descriptor.annotations[name]);
            }
        }
        let (reason, is_suspicious) = reason(&other.bytes, &spec);
        assert!(reason.contains("does not have the digest") && is_suspicious, "{format:?}: {reason}");
    }
}

#[test]
fn a_table_of_contents_that_can_not_be_believed_is_refused() {
    type Change = fn(&mut Vec<Value>);
    fn file<'a>(entries: &'a mut [Value], name: &str) -> &'a mut Value {
        entries.iter_mut().find(|entry| entry["name"] == name).unwrap()
    }
    let rows: [(&str, Change, &str); 17] = [
        ("no offset", |e| drop(file(e, "usr/bin/node")["offset"].take()), "no such JSON"),
        ("a place before", |e| file(e, "usr/bin/node")["offset"] = json!(1), "order of the layer"),
        (
            "a place behind",
            |e| file(e, "srv/data-3.bin")["offset"] = json!(1_u64 << 40),
            "order of the layer",
        ),
        ("a negative place", |e| file(e, "usr/bin/node")["offset"] = json!(-1), "no such JSON"),
        (
            "an inner place",
            |e| file(e, "usr/bin/node")["innerOffset"] = json!(u64::MAX),
            "order of the layer",
        ),
        ("a larger file", |e| file(e, "usr/bin/node")["size"] = json!(9000), "lacks chunks"),
        ("a smaller file", |e| file(e, "usr/bin/node")["size"] = json!(10), "don't fit"),
        ("no size", |e| file(e, "usr/bin/node")["size"] = json!(0), "no file"),
        ("no chunk digest", |e| file(e, "usr/bin/node")["chunkDigest"] = json!(""), "no digest"),
        ("a kind of its own", |e| file(e, "usr/bin/node")["type"] = json!("block2"), "no such JSON"),
        ("a chunk type", |e| file(e, "usr/bin/node")["chunkType"] = json!("x"), "unknown type"),
        ("a hole", |e| file(e, "usr/bin/node")["chunkType"] = json!("zeros"), "does not have the digest"),
        ("a chunk first", |e| e.insert(0, json!({"type": "chunk", "name": "x"})), "no file"),
        ("a chunk of another", |e| file(e, "usr/bin/node")["name"] = json!("usr/bin/mode"), "no file"),
        ("no text", |e| file(e, "etc/hosts")["name"] = json!("etc/\u{fffd}"), "no text"),
        ("a long name", |e| file(e, "etc/hosts")["name"] = json!("x".repeat(5000)), "too long"),
        ("a long link", |e| file(e, "usr/bin/nodejs")["linkName"] = json!("x".repeat(5000)), "too long"),
    ];
    for (name, change, expected) in rows {
        for format in [Format::STARGZ, Format::ZstdChunked] {
            let built = build_with(&nodes(), format, 700, change);
            let (reason, _) = reason(&built.bytes, &spec_of(&built));
            // The last chunk of a file in eStargz goes to wherever that ends.
            let is_told = reason.contains(expected)
                || (format == Format::STARGZ
                    && expected == "lacks chunks"
                    && reason.contains("chunk is shorter"));
            assert!(is_told, "{name}: {reason}");
        }
    }
    // A chunk that is said to be shorter is another chunk; its digest tells.
    let built = build_with(&nodes(), Format::STARGZ, 4 << 20, |entries| {
        let node = file(entries, "usr/bin/node");
        (node["size"], node["chunkSize"]) = (json!(4999), json!(4999));
    });
    assert!(reason(&built.bytes, &spec_of(&built)).0.contains("does not have the digest"));
}

#[test]
fn a_layer_of_which_much_is_wanted_is_read_as_a_whole() {
    let mut all = nodes();
    all.push(program("usr/bin/large", noise(9, 1 << 20)));
    let built = build(&all, Format::STARGZ, 4 << 20);
    let (reason, is_suspicious) = reason(&built.bytes, &spec_of(&built));
    assert!(
        reason.ends_with(&format!("of its {} bytes are wanted", built.bytes.len())) && !is_suspicious,
        "{reason}"
    );
}

#[test]
fn an_annotation_without_a_table_of_contents_is_no_reason_to_fail() {
    let plain = noise(5, 2 << 20);
    let mut spec = spec_of(&build(&nodes(), Format::STARGZ, 4 << 20));
    spec.descriptor.size_bytes = plain.len() as u64;
    assert!(reason(&plain, &spec).0.contains("no footer"));
    let pointing = |place: u64| {
        let footer = format!("{place:016x}STARGZ");
        let head = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0, b'S', b'G', 22, 0];
        let tail = [&head[..], footer.as_bytes(), &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        [&plain[..plain.len() - tail.len()], &tail].concat()
    };
    assert!(reason(&pointing(1 << 20), &spec).0.contains("can't be inflated"));
    assert!(reason(&pointing(1 << 40), &spec).0.contains("not in the layer"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_damage_makes_another_capture(
        format in prop::sample::select(FORMATS.to_vec()),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        is_at_end: bool,
    ) {
        static BUILT: std::sync::LazyLock<Vec<(Built, Capture)>> = std::sync::LazyLock::new(|| {
            FORMATS.iter().map(|&format| {
                let built = build(&nodes(), format, 700);
                let whole = capture_layer(&spec_of(&built), built.bytes.as_slice(), &Limits::default()).unwrap();
                (built, whole.capture().clone())
            }).collect()
        });
        let place = FORMATS.iter().position(|&other| other == format).unwrap();
        let (built, whole) = &BUILT[place];
        let mut damaged = built.bytes.clone();
        // Half of the damage where it is looked at.
        let at = if is_at_end { damaged.len() - 1 - at.index(8 << 10) } else { at.index(damaged.len()) };
        damaged[at] ^= flip;
        if let Ok((layer, _)) = in_parts(&damaged, &spec_of(built), &Limits::default()) {
            prop_assert_eq!(layer.capture(), whole);
        }
    }
}
