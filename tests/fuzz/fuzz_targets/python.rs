#![no_main]
//! Metadata of installed Python distributions and requirements, of a hostile image. Zero bytes part the files.

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 4] = [
    "/app/requirements.txt",
    "/usr/lib/python3/dist-packages/a-1.dist-info/METADATA",
    "/usr/lib/python3/dist-packages/b-2.dist-info/METADATA",
    "/usr/lib/python3/dist-packages/c.egg-info",
];

fuzz_target!(|data: &[u8]| {
    let contents = data.splitn(FILES.len(), |&byte| byte == 0);
    let files: Vec<_> = FILES.into_iter().zip(contents).collect();
    let _ = regent_scan::parse::image_of(&files);
});
