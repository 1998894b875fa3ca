#![no_main]
//! Records of conda packages of a hostile image. Zero bytes part the files.

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 2] = ["/opt/conda/conda-meta/a-1-0.json", "/opt/conda/conda-meta/b-2-0.json"];

fuzz_target!(|data: &[u8]| {
    let contents = data.splitn(FILES.len(), |&byte| byte == 0);
    let files: Vec<_> = FILES.into_iter().zip(contents).collect();
    let _ = regent_scan::parse::image_of(&files);
});
