//! Random numbers that a seed tells: SplitMix64, of Steele, Lea and Flood (2014).

/// A sequence of random numbers.
pub(super) struct Chance(u64);

impl Chance {
    /// Returns the sequence of a seed.
    pub(super) fn of(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number of a range, whose ends can come.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most.max(least) - least + 1)
    }

    /// Returns one of these.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let last = choices.len() as u64 - 1;
        choices[self.between(0, last) as usize]
    }
}
