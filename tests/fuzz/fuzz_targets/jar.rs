#![no_main]
//! A Java archive of a hostile image, there as a whole and as it passes.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some(whole)) = regent_scan::parse::java_archive(data) else { return };
    for size in [1, 61, 4096] {
        let Ok(passed) = regent_scan::parse::passing_java_archive(data.chunks(size)) else { return };
        assert!(passed.is_not_kept() || passed == whole, "in pieces of {size}: {passed:#?} and not {whole:#?}");
    }
});
