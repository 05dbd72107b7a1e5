//! Products along dense rows: scores, each summed in a vector of interleaved chains whose ends are added in a tree of
//! neighbours; and residual × row, added one row after another.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::weights::{GradientLanes, PaddedWeights};
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes_of_each};
use crate::matrix::Ahead;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;
use crate::strips::Strips;

/// A tile of contiguous rows of at least a vector's length, in whole vectors of rows; `ROWS` of them are read at once.
pub(crate) struct RowTile<'a, F: Float, S: Simd, const ROWS: usize> {
    simd: S,
    weights: &'a PaddedWeights<'a, F>,
    rows: Strips<'a, F>,
    /// Memory that is fetched while residuals × rows are added.
    ahead: Ahead<'a, F>,
    /// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
    taken: Mask<F, S>,
}

impl<'a, F: Float, S: Simd, const ROWS: usize> RowTile<'a, F, S, ROWS> {
    #[inline(always)]
    pub(super) fn new(
        simd: S,
        weights: &'a PaddedWeights<'a, F>,
        rows: Strips<'a, F>,
        ahead: Ahead<'a, F>,
    ) -> Self {
        RowTile {
            simd,
            weights,
            rows,
            ahead,
            taken: taken_lanes::<F, S>(simd, weights.columns()),
        }
    }

    /// `z_i = x_i · w + b` of some rows, each along its columns.
    #[inline(always)]
    pub(super) fn multiply(&mut self, rows: Range<usize>, z: &mut [F; STRIPE]) {
        for at in (0..rows.len()).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
            for i in (0..F::LANES).step_by(ROWS) {
                let next = self.rows.strips(rows.start + at + i);
                let lanes = &mut GradientLanes::none();
                let some = self.pass::<false, true>(next, [sums[0]; ROWS], next, lanes);
                sums[i..i + ROWS].copy_from_slice(&some);
            }
            let sum = sum_lanes_of_each::<F, S>(&mut sums);
            (sum + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// `lanes += Σ_i r_i x_i` of some rows, in order; `residual` begins with that of the first of them.
    #[inline(always)]
    pub(super) fn add(&mut self, rows: Range<usize>, residual: &[F], lanes: &mut GradientLanes<F>) {
        for i in (0..rows.len()).step_by(ROWS) {
            let last = self.rows.strips(rows.start + i);
            self.pass::<true, false>(last, splats(self.simd, residual, i), last, lanes);
        }
    }

    /// Both: [`RowTile::add`] of the last rows and [`RowTile::multiply`] of the next, which are no more.
    #[inline(always)]
    pub(super) fn add_and_multiply(
        &mut self,
        last: Range<usize>,
        next: Range<usize>,
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        z: &mut [F; STRIPE],
    ) {
        for at in (0..next.len()).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
            for i in (0..F::LANES).step_by(ROWS) {
                let (last, next) = (
                    self.rows.strips(last.start + at + i),
                    self.rows.strips(next.start + at + i),
                );
                let r = splats(self.simd, residual, at + i);
                let some = self.pass::<true, true>(last, r, next, lanes);
                sums[i..i + ROWS].copy_from_slice(&some);
            }
            let sum = sum_lanes_of_each::<F, S>(&mut sums);
            (sum + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
        let more = next.len();
        self.add(last.start + more..last.end, &residual[more..], lanes);
    }

    /// Once along the columns: `lanes += Σ_i r_i x_i` of the last rows, and the lane sums of `x · w` of the next.
    #[inline(always)]
    fn pass<const ADD: bool, const MULTIPLY: bool>(
        &mut self,
        last: [&[F]; ROWS],
        r: [F::Lanes<S>; ROWS],
        next: [&[F]; ROWS],
        lanes: &mut GradientLanes<F>,
    ) -> [F::Lanes<S>; ROWS] {
        let (simd, padded) = (self.simd, self.weights);
        let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); ROWS];
        let weights = F::arrays(padded.weights);
        let mut whole_last: [&[F::Array]; ROWS] = [&[]; ROWS];
        let mut whole_next: [&[F::Array]; ROWS] = [&[]; ROWS];
        for i in 0..ROWS {
            whole_last[i] = &F::arrays(last[i])[..weights.len()];
            whole_next[i] = &F::arrays(next[i])[..weights.len()];
        }
        let whole = if ADD {
            &mut lanes.whole[..weights.len()]
        } else {
            &mut []
        };
        for c in 0..weights.len() {
            if ADD {
                self.ahead.fetch::<ROWS>();
                let mut sum = F::Lanes::<S>::load_array_ref(simd, &whole[c]);
                for i in 0..ROWS {
                    let x = F::Lanes::<S>::load_array_ref(simd, &whole_last[i][c]);
                    sum = x.mul_add_fused(r[i], sum);
                }
                sum.store_array(&mut whole[c]);
            }
            if MULTIPLY {
                let w = F::Lanes::<S>::load_array_ref(simd, &weights[c]);
                for i in 0..ROWS {
                    let x = F::Lanes::<S>::load_array_ref(simd, &whole_next[i][c]);
                    sums[i] = x.mul_add_fused(w, sums[i]);
                }
            }
        }
        if let Some(w) = &padded.rest {
            if ADD {
                let mut sum = F::Lanes::<S>::load_array_ref(simd, &lanes.rest);
                for i in 0..ROWS {
                    sum = last_lanes::<F, S>(simd, last[i], self.taken).mul_add_fused(r[i], sum);
                }
                sum.store_array(&mut lanes.rest);
            }
            if MULTIPLY {
                let w = F::Lanes::<S>::load_array_ref(simd, w);
                for i in 0..ROWS {
                    sums[i] =
                        last_lanes::<F, S>(simd, next[i], self.taken).mul_add_fused(w, sums[i]);
                }
            }
        }
        sums
    }
}

/// `ROWS` residuals from `first` on, each in all lanes of a vector.
#[inline(always)]
fn splats<F: Float, S: Simd, const ROWS: usize>(
    simd: S,
    residual: &[F],
    first: usize,
) -> [F::Lanes<S>; ROWS] {
    let mut splats = [F::Lanes::<S>::splat(simd, F::ZERO); ROWS];
    for (splat, &r) in splats.iter_mut().zip(&residual[first..first + ROWS]) {
        *splat = F::Lanes::<S>::splat(simd, r);
    }
    splats
}

pub(super) type Mask<F, S> = <<F as Float>::Lanes<S> as SimdBase<S>>::Mask;

/// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
#[inline(always)]
pub(super) fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> Mask<F, S> {
    let mut fresh = F::ZEROS;
    fresh.as_mut()[F::LANES - columns % F::LANES..].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, fresh).simd_eq(F::ZERO)
}

/// The last vector of a row, zero where it overlaps the vector before: an ∞ there must not be multiplied by the weight 0.
#[inline(always)]
pub(super) fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
