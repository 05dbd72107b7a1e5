//! Products along dense rows. A score x·w is summed in one SIMD vector, whose lane l takes every `LANES`-th column; its
//! lanes are then added in pairs of neighbours, the pairs likewise, and so on. Residual × row is added one row after
//! another.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::weights::{GradientLanes, PaddedWeights};
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes_of_each};
use crate::matrix::Ahead;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;
use crate::strips::Strips;

/// A tile: a block of contiguous rows that fits the cache, each at least one SIMD vector long. The number of rows is a
/// multiple of the vector length; `ROWS` rows are read at once.
pub(crate) struct RowTile<'a, F: Float, S: Simd, const ROWS: usize> {
    simd: S,
    weights: &'a PaddedWeights<'a, F>,
    rows: Strips<'a, F>,
    /// Memory to prefetch while residual × row is added.
    ahead: Ahead<'a, F>,
    /// The last vector of a row has its last `LANES` columns, so it may overlap the vector before. True for the lanes
    /// that overlap.
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

    /// Writes `z_i = x_i · w + b` of `rows`, each summed along its columns.
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

    /// `lanes += Σ_i r_i x_i` over the given rows x_i in their order, with residuals r_i. `residual[0]` belongs to the
    /// first of these rows.
    #[inline(always)]
    pub(super) fn add(&mut self, rows: Range<usize>, residual: &[F], lanes: &mut GradientLanes<F>) {
        for i in (0..rows.len()).step_by(ROWS) {
            let last = self.rows.strips(rows.start + i);
            self.pass::<true, false>(last, splats(self.simd, residual, i), last, lanes);
        }
    }

    /// [`RowTile::add`] of the rows `last` and [`RowTile::multiply`] of the rows `next` at the same time; there are at
    /// most as many in `next` as in `last`.
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

    /// One pass along the columns. If `ADD`: `lanes += Σ_i r_i x_i` over the rows x_i in `last`, with residuals r_i. If
    /// `MULTIPLY`: returns `x · w` for each row x in `next`, as a vector whose lanes are still to be added.
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

/// The `ROWS` residuals from `first` on, each copied to all lanes of a vector.
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

/// The last vector of a row has its last `LANES` columns, so it may overlap the vector before. Returns a mask that is
/// true for the lanes that overlap.
#[inline(always)]
pub(super) fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> Mask<F, S> {
    let mut fresh = F::ZEROS;
    fresh.as_mut()[F::LANES - columns % F::LANES..].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, fresh).simd_eq(F::ZERO)
}

/// The last `LANES` columns of a row, with zeros for those already taken by the vectors before. Their padded weights
/// are 0, and ∞ × 0 would give NaN.
#[inline(always)]
pub(super) fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
