//! Exponentials, errors and residuals of a stripe (up to 256 rows) for all classes, for one SIMD vector of rows at a
//! time.
//!
//! In the arrays here, class k of row i is at `k · STRIPE + i`.

use std::ops::Range;

use fearless_simd::prelude::*;

use crate::float::Float;
use crate::kernel::dataset::StripeLabels;
use crate::lanes::sum_lanes;
use crate::math;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;

/// Replaces the scores z_k of the rows in one SIMD vector by `e_k = exp(z_k − max z)`. Returns Σ_k e_k − 1 for each
/// row, computed without cancellation.
///
/// Calls `each` with every class k and the difference `max z − z_k`. The difference is 0 for the largest score, even if
/// the score is infinite, and positive for the others.
#[inline(always)]
fn exponentials<F: Float, S: Simd>(
    simd: S,
    z: &mut [F],
    classes: usize,
    at: usize,
    mut each: impl FnMut(usize, F::Lanes<S>),
) -> F::Lanes<S> {
    let zero = F::Lanes::<S>::splat(simd, F::ZERO);
    let one = F::Lanes::<S>::splat(simd, F::ONE);
    let mut largest = F::Lanes::<S>::from_slice(simd, &z[at..at + F::LANES]);
    for k in 1..classes {
        let other = F::Lanes::<S>::from_slice(simd, &z[k * STRIPE + at..][..F::LANES]);
        largest = other.simd_gt(largest).select(other, largest);
    }
    let (mut below, mut equal) = (zero, zero);
    for k in 0..classes {
        let out = &mut z[k * STRIPE + at..][..F::LANES];
        let other = F::Lanes::<S>::from_slice(simd, out);
        let is_largest = other.simd_eq(largest);
        let distance = is_largest.select(zero, largest - other);
        each(k, distance);
        let e = math::exp_neg(distance);
        below += is_largest.select(zero, e);
        equal += is_largest.select(one, zero);
        e.store_slice(out);
    }
    below + (equal - one)
}

/// `Σ_{l ≠ k} e_l`, computed without cancellation from `e = e_k` and `rest = Σ_l e_l − 1`.
#[inline(always)]
fn others<F: Float, S: Simd>(simd: S, e: F::Lanes<S>, rest: F::Lanes<S>) -> F::Lanes<S> {
    let one = F::Lanes::<S>::splat(simd, F::ONE);
    e.simd_eq(one).select(rest, rest + (one - e))
}

/// Sets the scores beyond the last row, up to a whole vector: 0 for class 0, −∞ for the other classes. The label is 0
/// there, so that errors and residuals are exactly 0.
#[inline(always)]
pub(in crate::kernel) fn pad<F: Float>(z: &mut [F], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    for (k, z) in z.chunks_exact_mut(STRIPE).enumerate() {
        z[count..end].fill(if k == 0 { F::ZERO } else { -F::INFINITY });
    }
}

/// Replaces the scores z_k of `count` rows by `visit(place, p_k, 1 − p_k)`, with the probabilities p_k. z_k is a SIMD
/// vector with the score of class k for several rows, and `place` is its range in `z`. Both p_k and 1 − p_k are
/// computed without cancellation.
#[inline(always)]
fn each_probability<F: Float, S: Simd>(
    simd: S,
    z: &mut [F],
    classes: usize,
    count: usize,
    mut visit: impl FnMut(Range<usize>, F::Lanes<S>, F::Lanes<S>) -> F::Lanes<S>,
) {
    let one = F::Lanes::<S>::splat(simd, F::ONE);
    for at in (0..count).step_by(F::LANES) {
        let rest = exponentials(simd, z, classes, at, |_, _| ());
        let sum = rest + one;
        for k in 0..classes {
            let place = k * STRIPE + at..k * STRIPE + at + F::LANES;
            let e = F::Lanes::<S>::from_slice(simd, &z[place.clone()]);
            let complement = others::<F, S>(simd, e, rest) / sum;
            visit(place.clone(), e / sum, complement).store_slice(&mut z[place]);
        }
    }
}

/// Replaces the scores z_k by the probabilities p_k.
#[inline(always)]
pub(in crate::kernel) fn probabilities<F: Float, S: Simd>(
    simd: S,
    z: &mut [F],
    classes: usize,
    count: usize,
) {
    each_probability(
        simd,
        z,
        classes,
        count,
        #[inline(always)]
        |_, p, _| p,
    );
}

/// Replaces the scores z_k by `p_k (1 − p_k)`, with the probabilities p_k.
#[inline(always)]
pub(in crate::kernel) fn slopes<F: Float, S: Simd>(
    simd: S,
    z: &mut [F],
    classes: usize,
    count: usize,
) {
    each_probability(
        simd,
        z,
        classes,
        count,
        #[inline(always)]
        |_, p, complement| p * complement,
    );
}

/// Replaces the scores z_k by the probabilities p_k, and writes `p_k (1 − p_k)` to `slopes`.
#[inline(always)]
pub(in crate::kernel) fn probabilities_and_slopes<F: Float, S: Simd>(
    simd: S,
    z: &mut [F],
    slopes: &mut [F],
    classes: usize,
    count: usize,
) {
    each_probability(
        simd,
        z,
        classes,
        count,
        #[inline(always)]
        |place, p, complement| {
            (p * complement).store_slice(&mut slopes[place]);
            p
        },
    );
}

/// For all pairs of classes l < k, subtracts `Σ_i a_ik b_il` from the element (k, l) of `matrix`, shape (K, K). `a` and
/// `b` must be 0 beyond the last row, up to a whole vector.
#[inline(always)]
pub(in crate::kernel) fn subtract_products<S: Simd>(
    simd: S,
    a: &[f64],
    b: &[f64],
    classes: usize,
    count: usize,
    matrix: &mut [f64],
) {
    let of_class = |x: &'_ [f64], k: usize, at: usize| {
        <f64 as Float>::Lanes::<S>::from_slice(simd, &x[k * STRIPE + at..][..f64::LANES])
    };
    let zero = <f64 as Float>::Lanes::<S>::splat(simd, 0.0);
    for k in 1..classes {
        for first in (0..k).step_by(4) {
            // If fewer than four classes are left, the last is repeated, and the sums of the repetitions are not used.
            let others = [0, 1, 2, 3].map(|c| (first + c).min(k - 1));
            let mut sums = [zero; 4];
            for at in (0..count).step_by(f64::LANES) {
                let own = of_class(a, k, at);
                for c in 0..4 {
                    sums[c] = of_class(b, others[c], at).mul_add_fused(own, sums[c]);
                }
            }
            let row = &mut matrix[k * classes + first..k * classes + k];
            for (out, sum) in row.iter_mut().zip(sums) {
                *out -= sum_lanes::<f64, S>(sum);
            }
        }
    }
}

/// The sum of the errors of a stripe of rows. Each lane of a vector sums the errors of some of the rows.
pub(in crate::kernel) struct StripeSums<F: Float, S: Simd> {
    error: F::Lanes<S>,
    /// The lanes in which some row had a label that is no class, or a sample weight out of range.
    invalid: <F::Lanes<S> as SimdBase<S>>::Mask,
}

impl<F: Float, S: Simd> StripeSums<F, S> {
    #[inline(always)]
    pub(in crate::kernel) fn new(simd: S) -> Self {
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        StripeSums {
            error: zero,
            invalid: zero.simd_gt(zero),
        }
    }

    /// Replaces the scores `z` by residuals times sample weights, and adds the errors to the sums.
    ///
    /// With `e_k = exp(z_k − max z)` and `S = Σ e_k`:
    ///
    /// ```text
    /// error      = ln S + (max z − z_y)
    /// residual_k = e_k / S            for k ≠ y
    ///            = −Σ_{l ≠ y} e_l / S for k = y
    /// ```
    ///
    /// The scores beyond the last row must have been set by [`pad`].
    #[inline(always)]
    pub(in crate::kernel) fn residuals(
        &mut self,
        simd: S,
        z: &mut [F],
        classes: usize,
        labels: &StripeLabels<'_, F>,
    ) {
        let StripeLabels {
            count,
            y,
            sample_weight,
            offset: _, // already added to the scores
        } = *labels;
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        let one = F::Lanes::<S>::splat(simd, F::ONE);
        let infinity = F::Lanes::<S>::splat(simd, F::INFINITY);
        for at in (0..count).step_by(F::LANES) {
            let y = F::Lanes::<S>::from_slice(simd, &y[at..at + F::LANES]);
            let s = sample_weight.map(|s| F::Lanes::<S>::from_slice(simd, &s[at..at + F::LANES]));
            if let Some(s) = s {
                // The scores of a row of weight 0 may have overflowed. They are replaced by 0, so that error and
                // residuals are finite.
                for z in z.chunks_exact_mut(STRIPE) {
                    let z = &mut z[at..at + F::LANES];
                    let score = F::Lanes::<S>::from_slice(simd, z);
                    s.simd_eq(zero).select(zero, score).store_slice(z);
                }
            }
            let mut distance = zero;
            let mut is_known = zero.simd_gt(zero);
            let rest = exponentials::<F, S>(simd, z, classes, at, |k, d| {
                let is_label = y.simd_eq(F::from_f64(k as f64));
                distance = is_label.select(d, distance);
                is_known |= is_label;
            });
            self.invalid |= !is_known;
            let error = math::log1p(rest) + distance;
            let mut factor = one / (rest + one);
            if let Some(s) = s {
                self.invalid |= !(s.simd_ge(zero) & s.simd_lt(infinity));
                self.error = error.mul_add_fused(s, self.error);
                factor *= s;
            } else {
                self.error += error;
            }
            for k in 0..classes {
                let out = &mut z[k * STRIPE + at..][..F::LANES];
                let e = F::Lanes::<S>::from_slice(simd, out);
                let is_label = y.simd_eq(F::from_f64(k as f64));
                let numerator = is_label.select(-others::<F, S>(simd, e, rest), e);
                (numerator * factor).store_slice(out);
            }
        }
    }

    /// The sum of the errors, and whether all labels and sample weights were in range.
    #[inline(always)]
    pub(in crate::kernel) fn finish(self) -> (f64, bool) {
        (
            sum_lanes::<F, S>(self.error),
            self.invalid.to_bitmask() == 0,
        )
    }
}

/// The sum of the residuals of one class over `count` rows. The rows that pad the last vector add 0.
#[inline(always)]
pub(in crate::kernel) fn class_sum<F: Float, S: Simd>(
    simd: S,
    residual: &[F],
    count: usize,
) -> f64 {
    let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
    for at in (0..count).step_by(F::LANES) {
        sum += F::Lanes::<S>::from_slice(simd, &residual[at..at + F::LANES]);
    }
    sum_lanes::<F, S>(sum)
}
