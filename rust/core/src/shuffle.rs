//! A random order of the rows from a seed. It is the same on every machine and in every version.

use crate::error::Error;
use crate::reduce::Monitor;

/// A stream of random numbers: SplitMix64.
///
/// Source: G. L. Steele, D. Lea & C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// doi:10.1145/2660193.2660195.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A uniform number in [0, 1).
    #[cfg(test)]
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A uniform integer below `bound > 0`: the high half of the product of a random number and `bound`. If the low
    /// half is one of the few that would make some integers more frequent, another random number is drawn.
    ///
    /// Source: D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019), doi:10.1145/3230636.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// Shuffles `order` in place by the algorithm of Fisher and Yates, from the last index downwards.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(crate) fn shuffle(
        &mut self,
        order: &mut [usize],
        monitor: &mut dyn Monitor,
    ) -> Result<(), Error> {
        /// How many exchanges are made between two polls of the monitor: about a millisecond if each misses the cache.
        const CHUNK: usize = 1 << 14;
        for i in (1..order.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            order.swap(i, j);
            if i.is_multiple_of(CHUNK) && monitor.poll().is_break() {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::Unmonitored;

    #[test]
    fn first_numbers_of_seed_1234567() {
        let mut random = Random::new(1_234_567);
        let got: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            got,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut order: Vec<usize> = (0..100).collect();
        let done = Random::new(3).shuffle(&mut order, &mut Unmonitored);
        assert_eq!(done, Ok(()));
        assert!(order.iter().enumerate().any(|(i, &row)| i != row));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }
}
