#![no_main]
//! Lock files and specifications of gems. The first byte chooses the kind.

use libfuzzer_sys::fuzz_target;
use regent_scan::parse;

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    if kind % 2 == 0 {
        let _ = parse::gemfile_lock(data);
    } else {
        let _ = parse::gemspec(data);
    }
});
