//! What files are made of.

/// A source of words and noise.
pub(crate) struct Content {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Content {
    /// Another one for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mut content = Self { state, words: Vec::new() };
        for _ in 0..2048 {
            let length = 3 + content.below(9);
            let word = (0..length).map(|_| b'a' + u8::try_from(content.below(26)).unwrap()).collect();
            content.words.push(word);
        }
        content
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Words.
    pub(crate) fn text(&mut self, size: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size + 16);
        while text.len() < size {
            let word = self.below(2048);
            text.extend_from_slice(&self.words[word]);
            text.push(b' ');
        }
        text.truncate(size);
        text
    }

    /// What does not deflate.
    pub(crate) fn noise(&mut self, size: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(size + 8);
        while noise.len() < size {
            noise.extend_from_slice(&self.next().to_le_bytes());
        }
        noise.truncate(size);
        noise
    }

    /// What deflates as machine code does: many short repetitions, and zeros.
    pub(crate) fn code(&mut self, size: usize) -> Vec<u8> {
        let mut code = Vec::with_capacity(size + 32);
        while code.len() < size {
            match self.below(8) {
                0..=3 => {
                    let word = self.below(256);
                    code.extend_from_slice(&self.words[word]);
                }
                4 | 5 => code.extend_from_slice(&self.next().to_le_bytes()[..3]),
                6 => code.extend_from_slice(&[0; 6]),
                _ => code.extend_from_slice(&[0x48, 0x8b, 0x44, 0x24]),
            }
        }
        code.truncate(size);
        code
    }
}
