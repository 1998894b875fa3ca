//! Tar archives as GNU tar writes them.

/// An archive that is being written.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.entry(path, b'0', "", mode, data);
    }

    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(&format!("{path}/"), b'5', "", 0o755, b"");
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, b'2', target, 0o777, b"");
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    fn entry(&mut self, path: &str, type_flag: u8, target: &str, mode: u32, data: &[u8]) {
        if path.len() > 100 {
            let name = [path.as_bytes(), b"\0"].concat();
            self.block("././@LongLink", b'L', "", 0o644, &name);
        }
        self.block(path.get(..path.len().min(100)).unwrap(), type_flag, target, mode, data);
    }

    fn block(&mut self, name: &str, type_flag: u8, target: &str, mode: u32, data: &[u8]) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", data.len()).as_bytes());
        put(136, b"14371573112\0");
        put(148, b"        ");
        put(156, &[type_flag]);
        put(157, target.as_bytes());
        put(257, b"ustar  \0");
        put(265, b"root");
        put(297, b"root");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }
}
