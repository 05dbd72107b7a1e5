//! Softmax, error and residuals of one row, with several classes in a SIMD vector: for descent point by point. The
//! numbers have the same bits as if the row were computed as part of a stripe (up to 256 rows), because the sum over
//! the classes has the same order.

use fearless_simd::prelude::*;

use crate::float::Float;
use crate::math;

/// The softmax of the scores z_k of one row: `e_k = exp(z_k − max z)` for each class k, and their sum.
pub(in crate::kernel) struct RowSoftmax<F> {
    /// e_k, padded to whole vectors.
    e: Vec<F>,
    /// `Σ_k e_k − 1`, computed without cancellation.
    rest: F,
    largest: F,
}

impl<F: Float> RowSoftmax<F> {
    pub(in crate::kernel) fn new(classes: usize) -> Self {
        RowSoftmax {
            e: vec![F::ZERO; classes.next_multiple_of(F::LANES)],
            rest: F::ZERO,
            largest: F::ZERO,
        }
    }

    /// Computes the softmax of the scores `z`.
    #[inline(always)]
    pub(in crate::kernel) fn set<S: Simd>(&mut self, simd: S, z: &[F]) {
        let greater = |largest: F, &z: &F| if z > largest { z } else { largest };
        self.largest = z.iter().fold(z[0], greater);
        let (scores, padding) = self.e.split_at_mut(z.len());
        scores.copy_from_slice(z);
        padding.fill(-F::INFINITY);
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        for e in self.e.chunks_exact_mut(F::LANES) {
            let z = F::Lanes::<S>::from_slice(simd, e);
            // The largest score must have the distance 0 from itself, even if it is infinite: ∞ − ∞ would be NaN.
            let distance = z.simd_eq(self.largest).select(zero, -z + self.largest);
            math::exp_neg(distance).store_slice(e);
        }
        let (mut below, mut equal) = (F::ZERO, F::ZERO);
        for (&z, &e) in z.iter().zip(&self.e) {
            if z == self.largest {
                equal += F::ONE;
            } else {
                below += e;
            }
        }
        self.rest = below + (equal - F::ONE);
    }

    /// The probabilities p_k.
    pub(in crate::kernel) fn probabilities(&self, out: &mut [F]) {
        let sum = self.rest + F::ONE;
        for (p, &e) in out.iter_mut().zip(&self.e) {
            *p = e / sum;
        }
    }

    /// Writes `factor · (p_k − [y = k])` for each class k, computed without cancellation for k = y.
    #[inline(always)]
    pub(in crate::kernel) fn scaled_residuals(&self, y: F, factor: F, out: &mut [F]) {
        let factor = factor / (self.rest + F::ONE);
        for (r, &e) in out.iter_mut().zip(&self.e) {
            *r = e * factor;
        }
        let label = class_of(y);
        if let (Some(r), Some(&e)) = (out.get_mut(label), self.e.get(label)) {
            let others = match e == F::ONE {
                true => self.rest,
                false => self.rest + (F::ONE - e),
            };
            *r = -others * factor;
        }
    }

    /// The error `ln Σ_k e_k + (max z − z_y)` for the scores `z`.
    pub(in crate::kernel) fn error<S: Simd>(&self, simd: S, z: &[F], y: F) -> F {
        let z_y = z.get(class_of(y)).copied().unwrap_or(F::NAN);
        let distance = match z_y == self.largest {
            true => F::ZERO,
            false => self.largest - z_y,
        };
        math::log1p(F::Single::<S>::splat(simd, self.rest)).as_slice()[0] + distance
    }
}

/// The class of the label `y`. Labels are the codes of classes.
fn class_of<F: Float>(y: F) -> usize {
    y.to_f64() as usize
}
