//! Files as images have them: text, machine code, and what is packed already.
//!
//! They deflate to about 30 %, 40 % and 100 % of their size, as their real counterparts do.

/// A source of files that are the same for the same seed.
#[derive(Debug)]
pub struct Content {
    state: u64,
    words: Vec<Vec<u8>>,
    instructions: Vec<[u8; 8]>,
}

/// How many there are of each; not all are equally frequent.
const WORDS: u64 = 1024;
const INSTRUCTIONS: u64 = 2048;

impl Content {
    /// A source with this seed.
    pub fn new(seed: u64) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mut content = Self { state, words: Vec::new(), instructions: Vec::new() };
        content.words = (0..WORDS)
            .map(|_| {
                let length = 2 + content.below(9);
                let mut word: Vec<u8> = (0..length).map(|_| b'a' + content.byte(26)).collect();
                word.push(if content.below(9) == 0 { b'\n' } else { b' ' });
                word
            })
            .collect();
        content.instructions = (0..INSTRUCTIONS).map(|_| content.next().to_le_bytes()).collect();
        content
    }

    fn next(&mut self) -> u64 {
        // xorshift64: it has to be quick, and need be no better.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    fn byte(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).expect("a byte has room for it")
    }

    /// A number below this one; smaller ones are more frequent, the more so the higher the power.
    fn low(&mut self, end: u64, power: u32) -> usize {
        let number = (1..power).fold(self.below(end), |number, _| number * self.below(end) / end);
        usize::try_from(number).expect("a small number")
    }

    /// A size between these two, small ones more frequent.
    pub fn size(&mut self, least: usize, most: usize) -> usize {
        least + self.low((most - least) as u64 + 1, 2)
    }

    /// Words, as in sources, documents and databases.
    pub fn text(&mut self, n_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(n_bytes + 16);
        while bytes.len() < n_bytes {
            let word = self.low(WORDS, 3);
            bytes.extend_from_slice(&self.words[word]);
        }
        bytes.truncate(n_bytes);
        bytes
    }

    /// Instructions with numbers in between, as in programs and libraries.
    pub fn code(&mut self, n_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(n_bytes + 16);
        while bytes.len() < n_bytes {
            let instruction = self.low(INSTRUCTIONS, 3);
            bytes.extend_from_slice(&self.instructions[instruction]);
            let number = self.next().to_le_bytes();
            let n_random = usize::from(number[7] % 3);
            bytes.extend_from_slice(&number[..n_random]);
        }
        bytes.truncate(n_bytes);
        bytes
    }

    /// Noise, as in pictures and archives.
    pub fn packed(&mut self, n_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(n_bytes + 8);
        while bytes.len() < n_bytes {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(n_bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn deflated_percent(bytes: &[u8]) -> usize {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap().len() * 100 / bytes.len()
    }

    #[test]
    fn each_kind_deflates_as_its_real_counterpart() {
        let mut content = Content::new(7);
        let kinds: [(&str, Vec<u8>, std::ops::RangeInclusive<usize>); 3] = [
            ("text", content.text(4 << 20), 25..=40),
            ("code", content.code(4 << 20), 30..=50),
            ("packed", content.packed(4 << 20), 99..=101),
        ];
        for (name, bytes, expected) in kinds {
            let percent = deflated_percent(&bytes);
            assert!(expected.contains(&percent), "{name}: {percent} %");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_files_and_another_one_others() {
        let of = |seed| Content::new(seed).code(1000);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
