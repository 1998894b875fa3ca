#![no_main]
//! Locks of Python of a hostile image. The first byte chooses one; a zero byte parts Poetry's manifest and lock.

use libfuzzer_sys::fuzz_target;
use regent_scan::parse::image_of;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let manifest = parts.next().unwrap_or_default();
    let _ = match choice % 4 {
        0 => image_of(&[("/a/uv.lock", data)]),
        1 => image_of(&[("/a/pdm.lock", data)]),
        2 => image_of(&[("/a/Pipfile.lock", data)]),
        _ => {
            let lock = parts.next().unwrap_or_default();
            image_of(&[("/a/pyproject.toml", manifest), ("/a/poetry.lock", lock)])
        }
    };
});
