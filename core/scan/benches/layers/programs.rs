//! Executables: ELF files of the 64-bit kind.

use super::content::Content;

/// A program or library in C.
pub(crate) fn plain_program(content: &mut Content, size: usize) -> Vec<u8> {
    let mut file = header(3, 0, 0);
    file.extend(content.code(size / 2));
    file.extend(b"libc.so.6\0");
    file.extend(content.text(size / 2));
    file
}

/// A program in Go with its build information, without section headers.
pub(crate) fn go_program(content: &mut Content, size: usize) -> Vec<u8> {
    let data_at = 4096 + size;
    let module = |n| format!("dep\tgithub.com/example/module-{n}\tv1.{n}.0\th1:abcdefghijklmnop=\n");
    let modules: String = (0..80).map(module).collect();
    let modules = format!("path\texample.org/app\nmod\texample.org/app\t(devel)\t\n{modules}");
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    let version = b"go1.24.1";
    info.push(u8::try_from(version.len()).unwrap());
    info.extend(version);
    let text = [&[0; 16][..], modules.as_bytes(), &[0; 16]].concat();
    let [low, high, ..] = text.len().to_le_bytes();
    info.extend([low | 0x80, high << 1 | low >> 7]);
    info.extend(text);
    let mut file = header(2, data_at as u64, info.len() as u64);
    file.extend(b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0");
    file.resize(4096, 0);
    file.extend(content.code(size));
    file.extend(info);
    file
}

/// The header of a file, and a writable segment where there is one.
fn header(kind: u16, data_at: u64, length: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(kind.to_le_bytes());
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [0x40_0000_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    file.extend(6_u32.to_le_bytes());
    for word in [data_at, 0x40_0000, 0x40_0000, length, length, 4096] {
        file.extend(word.to_le_bytes());
    }
    file
}
