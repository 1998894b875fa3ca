#![no_main]
//! `package.json` and `package-lock.json` of a hostile image, with a NUL between them; the lock also as npm's record of
//! what it installed.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut files = data.splitn(2, |&byte| byte == 0);
    let (Some(manifest), Some(lock)) = (files.next(), files.next()) else { return };
    let _ = regent_scan::parse::node_lock("package-lock.json", manifest, lock);
    let _ = regent_scan::parse::npm_record(lock);
});
