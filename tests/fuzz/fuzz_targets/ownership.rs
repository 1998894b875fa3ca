#![no_main]
//! What package databases of a hostile image say of files. The first byte chooses the kind.

use libfuzzer_sys::fuzz_target;
use regent_scan::parse;

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let _ = match kind % 3 {
        0 => parse::apk_files(data),
        1 => parse::rpm_files(data),
        _ => parse::dpkg_list(data),
    };
});
