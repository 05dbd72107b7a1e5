//! Transposes SIMD vectors. Adds the lanes of a vector, in an order that is the same on every instruction set.

use fearless_simd::prelude::*;

use crate::float::Float;

/// The largest number of lanes of a vector: 16, for `f32`.
pub(crate) const MAX_LANES: usize = 16;

/// Transposes the first `LANES` vectors: lane j of vector i becomes lane i of vector j.
///
/// Each round zips vector i with vector i + `LANES`/2. In binary, this moves the highest bit of an element's vector
/// number to the lowest place of its lane number, and the highest bit of the lane number to the lowest place of the
/// vector number. After one round for each bit, the two numbers are exchanged.
#[inline(always)]
pub(crate) fn transpose<F: Float, S: Simd>(vectors: &mut [F::Lanes<S>; MAX_LANES]) {
    let half = F::LANES / 2;
    let mut bits = F::LANES;
    while bits > 1 {
        let before = *vectors;
        for i in 0..half {
            vectors[2 * i] = before[i].zip_low(before[i + half]);
            vectors[2 * i + 1] = before[i].zip_high(before[i + half]);
        }
        bits /= 2;
    }
}

/// Sums the lanes of each of `LANES` vectors: lane i of the result is the sum of the lanes of vector i. Neighbouring
/// lanes are added in pairs, the sums of the pairs in pairs again, and so on: ((0+1)+(2+3))+((4+5)+(6+7)) …
#[inline(always)]
pub(crate) fn sum_lanes_of_each<F: Float, S: Simd>(vectors: &mut [F::Lanes<S>]) -> F::Lanes<S> {
    let mut width = F::LANES / 2;
    while width > 0 {
        for i in 0..width {
            let (a, b) = (vectors[2 * i], vectors[2 * i + 1]);
            vectors[i] = a.unzip_low(b) + a.unzip_high(b);
        }
        width /= 2;
    }
    vectors[0]
}

/// The sum of the lanes of one vector, in `f64`. The lanes are added in the order of [`sum_lanes_of_each`].
#[inline(always)]
pub(crate) fn sum_lanes<F: Float, S: Simd>(vector: F::Lanes<S>) -> f64 {
    let mut sums = [0.0; MAX_LANES];
    for (sum, &lane) in sums.iter_mut().zip(vector.as_slice()) {
        *sum = lane.to_f64();
    }
    let mut width = F::LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] = sums[2 * i] + sums[2 * i + 1];
        }
        width /= 2;
    }
    sums[0]
}
