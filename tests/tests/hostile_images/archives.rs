//! Java archives made to hurt, each as it is and behind so much that it goes through a temporary file.

use regent_tests::image::{Layer, noise};
use regent_tests::zip::{Header, Zip, crc, deflate, local_header};

use super::{End, check, one};

/// More of an archive than stays in memory, in bytes.
const LARGE_BYTES: usize = 5 << 20;

const LIMIT: &str = "archive_limit_reached";
const DAMAGED: &str = "archive_entry_unreadable";
const NO_DIRECTORY: &str = "archive_unreadable";

/// Scans the archive that `build` makes of an empty one, and of one with a large entry in it.
#[track_caller]
fn check_archive(name: &str, code: &'static str, build: impl Fn(Zip) -> Vec<u8>) {
    for (size, zip) in [("small", Zip::new()), ("large", Zip::new().stored("noise", &noise(LARGE_BYTES)))] {
        let layer = Layer::new().file("srv/a.jar", build(zip));
        check(&format!("{name}, {size}"), one(layer), &End::Warning("/srv/a.jar", code));
    }
}

/// A deflated entry, and further ones in the directory that share its data.
fn many(zip: Zip, n_entries: usize, name: &str, content: &[u8]) -> Zip {
    let data = deflate(content);
    let header = Header {
        name,
        method: 8,
        crc: crc(content),
        stored_bytes: data.len().try_into().unwrap(),
        size_bytes: content.len().try_into().unwrap(),
        offset: zip.data_bytes(),
    };
    zip.bytes(&local_header(&header)).bytes(&data).headers(&header, n_entries)
}

#[test]
fn entries_that_share_their_data_end() {
    check_archive("the same data", LIMIT, |zip| many(zip, 60_000, "a.jar", &vec![0; 1 << 20]).build());
}

/// Each entry's data quote the next one's local header and go on with its data, so that all of them share one piece of
/// deflated bytes, and none of them quite the same range (Fifield, "A better zip bomb", 2019).
fn quoting(zip: Zip) -> Vec<u8> {
    let kernel = vec![0; 1 << 20];
    let at = |offset, stored_bytes, content: &[u8]| Header {
        name: "lib/a.jar",
        method: 8,
        crc: crc(content),
        stored_bytes,
        size_bytes: content.len().try_into().unwrap(),
        offset,
    };
    let local = local_header(&at(0, 0, b""));
    let length = u16::try_from(local.len()).unwrap();
    let quote = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    let n_entries: u32 = 80;
    let stride = u32::try_from(local.len() + quote.len()).unwrap();
    let start = zip.data_bytes();
    let data = deflate(&kernel);
    let mut zip = (1..n_entries).fold(zip, |zip, _| zip.bytes(&local).bytes(&quote));
    zip = zip.bytes(&local).bytes(&data);
    let mut content = kernel;
    for n in 0..n_entries {
        let stored_bytes = u32::try_from(data.len()).unwrap() + n * stride;
        zip = zip.header(&at(start + (n_entries - 1 - n) * stride, stored_bytes, &content));
        content.splice(0..0, local.iter().copied());
    }
    zip.build()
}

#[test]
fn entries_that_overlap_end() {
    check_archive("quoted headers", LIMIT, quoting);
}

#[test]
fn archives_in_archives_that_each_inflate_end() {
    check_archive("ten million archives", LIMIT, |zip| {
        let innermost = many(Zip::new(), 10, "a.jar", &vec![0; 4 << 20]).build();
        // Each has two MiB beside the next: more than stays in memory of a nested one.
        let inner = (0..5).fold(innermost, |inner, _| {
            many(Zip::new().stored("zeros", &vec![0; 2 << 20]), 10, "a.jar", &inner).build()
        });
        many(zip, 10, "a.jar", &inner).build()
    });
    check_archive("thirty levels", LIMIT, |zip| {
        let innermost = Zip::new().stored("noise", &noise(2 << 20)).build();
        let inner = (0..30).fold(innermost, |inner, _| Zip::new().deflated("a.jar", &inner).build());
        zip.deflated("a.jar", &inner).build()
    });
}

#[test]
fn absurd_directories_end() {
    let class = |zip: Zip| zip.deflated("A.class", b"class");
    check_archive("outside", NO_DIRECTORY, |zip| class(zip).ending(u32::MAX - 1, u32::MAX - 1));
    check_archive("far outside", NO_DIRECTORY, |zip| {
        class(zip).ending_wide(u64::MAX, u64::MAX - 1, u64::MAX - 1)
    });
    check_archive("names without end", DAMAGED, |zip| {
        let mut header = [0; 46];
        header[..4].copy_from_slice(b"PK\x01\x02");
        header[28..34].fill(0xff); // of name, extra fields and comment
        class(zip).directory_bytes(&header).build()
    });
    check_archive("long names", LIMIT, |zip| {
        let name = format!("{}.jar", "n".repeat(65_000));
        many(zip, 1000, &name, b"").build()
    });
    check_archive("two million archives", LIMIT, |zip| many(zip, 2_000_000, "a.jar", b"").build());
    let names = many(Zip::new(), 2_000_000, "A.class", b"").build();
    check("two million names", one(Layer::new().file("srv/a.jar", names)), &End::Result);
}
