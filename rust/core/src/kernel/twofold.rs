//! Compensated sums. Each sum is a pair: the rounded value, and its rounding error.
//!
//! Source: T. Ogita, S. Rump & S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005),
//! doi:10.1137/030601818, algorithms 3.1 and 5.3.

use serde::{Deserialize, Serialize};

/// The unevaluated sum `high + low`: a rounded value, and the sum of its rounding errors so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Twofold {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl Twofold {
    #[inline(always)]
    pub(crate) fn new(x: f64) -> Self {
        Twofold { high: x, low: 0.0 }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, x: f64) {
        let sum = self.high + x;
        let taken = sum - self.high;
        self.low += (self.high - (sum - taken)) + (x - taken);
        self.high = sum;
    }

    /// Adds `x` to `low` only. `x` must be no larger than the rounding errors of the sum.
    #[inline(always)]
    pub(crate) fn add_low(&mut self, x: f64) {
        self.low += x;
    }

    #[inline(always)]
    pub(crate) fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.low += a.mul_add(b, -product);
    }

    #[inline(always)]
    pub(crate) fn add_twofold(&mut self, other: Twofold) {
        self.add(other.high);
        self.low += other.low;
    }

    #[inline(always)]
    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    /// The sum rounded once, and the error of that rounding.
    #[inline(always)]
    pub(crate) fn parts(self) -> (f64, f64) {
        let value = self.value();
        (value, (self.high - value) + self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_keep_what_one_loses() {
        let small = f64::powi(2.0, -40);
        let mut sum = Twofold::new(1e16);
        for x in [1.0, small, -1e16] {
            sum.add(x);
        }
        assert_eq!(sum.value(), 1.0 + small);
        // (1 + ε)(1 − ε) − 1 = −ε², which would be 0 if the product were rounded.
        let mut sum = Twofold::new(-1.0);
        sum.add_product(1.0 + f64::EPSILON, 1.0 - f64::EPSILON);
        assert_eq!(sum.value(), -f64::EPSILON * f64::EPSILON);
    }
}
