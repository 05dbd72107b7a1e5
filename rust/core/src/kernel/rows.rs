//! Products along rows: of rows with the weights, each in a vector of interleaved chains whose ends are added in a tree of
//! neighbours; and of residuals with rows, one row after another.

use fearless_simd::prelude::*;

use super::model::{GradientLanes, Model};
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes_of_each};
use crate::matrix::Ahead;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;
use crate::strips::Strips;

/// A tile of contiguous rows that fill their vectors, in whole vectors of rows.
pub(crate) struct Rows<'a, F: Float, S: Simd, const ROWS: usize> {
    model: &'a Model<'a, F>,
    tile: Strips<'a, F>,
    /// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
    taken: Mask<F, S>,
}

impl<'a, F: Float, S: Simd, const ROWS: usize> Rows<'a, F, S, ROWS> {
    #[inline(always)]
    pub(super) fn new(simd: S, model: &'a Model<'a, F>, tile: Strips<'a, F>) -> Self {
        let taken = taken_lanes::<F, S>(simd, model.columns());
        Rows { model, tile, taken }
    }

    /// `z_i = x_i · w + b` of `count` rows, each along its columns.
    #[inline(always)]
    pub(super) fn multiply(&self, simd: S, first: usize, count: usize, z: &mut [F; STRIPE]) {
        for at in (0..count).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
            for i in (0..F::LANES).step_by(ROWS) {
                let rows = self.tile.strips(first + at + i);
                let some = self.pass::<false, true>(
                    simd,
                    rows,
                    [sums[0]; ROWS],
                    rows,
                    &mut GradientLanes::none(),
                    &mut Ahead::none(),
                );
                sums[i..i + ROWS].copy_from_slice(&some);
            }
            let sum = sum_lanes_of_each::<F, S>(&mut sums);
            (sum + self.model.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// `lanes += Σ_i r_i x_i` of `count` rows, in order.
    #[inline(always)]
    pub(super) fn add(
        &self,
        simd: S,
        first: usize,
        count: usize,
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
    ) {
        for i in (0..count).step_by(ROWS) {
            let rows = self.tile.strips(first + i);
            self.pass::<true, false>(simd, rows, splats(simd, residual, i), rows, lanes, ahead);
        }
    }

    /// Both: [`Rows::add`] of the last rows and [`Rows::multiply`] of the next.
    #[inline(always)]
    pub(super) fn add_and_multiply(
        &self,
        simd: S,
        (last, count): (usize, usize),
        (next, more): (usize, usize),
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
        z: &mut [F; STRIPE],
    ) {
        for at in (0..more).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
            for i in (0..F::LANES).step_by(ROWS) {
                let (last, next) = (
                    self.tile.strips(last + at + i),
                    self.tile.strips(next + at + i),
                );
                let some = self.pass::<true, true>(
                    simd,
                    last,
                    splats(simd, residual, at + i),
                    next,
                    lanes,
                    ahead,
                );
                sums[i..i + ROWS].copy_from_slice(&some);
            }
            let sum = sum_lanes_of_each::<F, S>(&mut sums);
            (sum + self.model.bias).store_slice(&mut z[at..at + F::LANES]);
        }
        for i in (more..count).step_by(ROWS) {
            let rows = self.tile.strips(last + i);
            self.pass::<true, false>(simd, rows, splats(simd, residual, i), rows, lanes, ahead);
        }
    }

    /// Once along the columns: `lanes += Σ_i r_i x_i` of the last rows, and the lane sums of `x · w` of the next.
    #[inline(always)]
    fn pass<const ADD: bool, const MULTIPLY: bool>(
        &self,
        simd: S,
        last: [&[F]; ROWS],
        r: [F::Lanes<S>; ROWS],
        next: [&[F]; ROWS],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
    ) -> [F::Lanes<S>; ROWS] {
        let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); ROWS];
        let weights = F::arrays(self.model.weights);
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
                ahead.fetch::<ROWS>();
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
        if let Some(w) = &self.model.rest {
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

/// Some residuals, each in all lanes.
#[inline(always)]
fn splats<F: Float, S: Simd, const ROWS: usize>(
    simd: S,
    residual: &[F; STRIPE],
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

/// The last vector's worth of a row, zero where it overlaps the vector before: ∞ there must not meet the weight 0.
#[inline(always)]
pub(super) fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
