//! The one source of everything that varies in a run.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, quick, and the same everywhere.
#[derive(Default)]
pub struct Chance(u64);

impl Chance {
    /// The source that follows from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `bound - 1`; 0 when the bound is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.next();
        match drawn.checked_rem(bound) {
            Some(value) => value,
            None => 0,
        }
    }

    /// True once in `bound` times.
    pub const fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// An index into something so long; 0 when it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(length)).unwrap_or(0)
    }

    /// One of them, if there is any.
    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        let index = self.index(items.len());
        items.get(index)
    }

    /// So many bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0_u8; N];
        for chunk in bytes.chunks_mut(8) {
            for (slot, byte) in chunk.iter_mut().zip(self.next().to_be_bytes()) {
                *slot = byte;
            }
        }
        bytes
    }
}
