//! One leaf of dense rows: scores, errors and residuals, and residual × row while the rows are still in cache.
//!
//! Sums are made in three levels: lanes over a stripe of [`STRIPE`] rows in the type computed in, stripes over a leaf in
//! `f64`, leaves in their tree. So `float32` sums do not lose accuracy as rows grow, and tiles, which are only what fits the
//! cache, do not show in the result.
//!
//! A row with at least a vector's worth of columns is summed along its columns; of narrower matrices, whose rows would
//! leave lanes empty, a vector of rows is computed at a time. So it is of wide matrices whose columns lie contiguously,
//! with the same additions in the same order.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::columns::{ColumnTile, Scores};
use super::dataset::{LabelBuffers, StripeLabels};
use super::pass::Pass;
use super::rows::RowTile;
use super::stripe::StripeSums;
use super::sums::Sums;
use super::weights::{GradientLanes, PaddedWeights};
use crate::error::Error;
use crate::float::Float;
use crate::matrix::{Ahead, DenseRows, Packed};
use crate::reduce::{Job, Leaves, STRIPE, map_reduce};
use crate::simd::{dispatch, is_roomy};

/// Of rows of at most this many bytes, eight are read at once instead of four, where there are registers for them.
const SHORT_ROW_BYTES: usize = 512;

/// How many columns ahead of their use memory is fetched.
const COLUMNS_AHEAD: usize = 32;

/// Memory that a thread reuses for all of its leaves.
pub(crate) struct DenseScratch<F: Float> {
    labels: LabelBuffers<F>,
    buffers: Buffers<F>,
}

/// Scores, residuals and gradient of a stripe, and its packed tiles.
struct Buffers<F: Float> {
    packed: Packed<F>,
    scores: Scores<F>,
    residual: [F; STRIPE],
    lanes: GradientLanes<F>,
}

impl<F: Float> DenseScratch<F> {
    pub(crate) fn new() -> Self {
        DenseScratch {
            labels: LabelBuffers::new(),
            buffers: Buffers {
                packed: Packed::new(),
                scores: Scores::new(),
                residual: [F::ZERO; STRIPE],
                lanes: GradientLanes::none(),
            },
        }
    }
}

impl<'a, F: Float> Pass<'a, DenseRows<'a>, PaddedWeights<'a, F>> {
    /// The sums over all rows.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(super) fn sums(
        &self,
        leaves: Leaves,
        zero: impl Fn() -> Sums + Sync,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        let level = job.level();
        map_reduce(
            job,
            leaves,
            DenseScratch::<F>::new,
            zero,
            |scratch, sums, rows| dispatch!(level, simd => self.leaf(simd, rows, scratch, sums)),
        )
    }

    /// Adds error, residual and residual × row of a leaf's rows.
    #[inline(always)]
    fn leaf<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut DenseScratch<F>,
        sums: &mut Sums,
    ) {
        let DenseScratch { labels, buffers } = scratch;
        let mut first = rows.start;
        while first < rows.end {
            let count = STRIPE.min(rows.end - first);
            let stripe = Stripe {
                pass: self,
                simd,
                first,
                labels: self.dataset.labels(first..first + count, labels),
            };
            sums.weight += stripe.labels.total();
            let mut stripe_sums = StripeSums::<F, S>::new(simd, self.activation);
            let gradient = &mut sums.weights;
            if !self.weights.is_wide() {
                stripe.by_narrow_columns(buffers, &mut stripe_sums, gradient);
            } else if self.x.runs_down_columns() {
                stripe.by_columns(buffers, &mut stripe_sums, gradient);
            } else if is_roomy(simd) && self.weights.row_bytes() <= SHORT_ROW_BYTES {
                stripe.by_rows::<8>(buffers, &mut stripe_sums, gradient);
            } else {
                stripe.by_rows::<4>(buffers, &mut stripe_sums, gradient);
            }
            stripe_sums.add_to(sums);
            first += count;
        }
    }
}

/// Scores `z = X w + b` of some rows, from `first` on.
#[inline(always)]
pub(crate) fn scores<F: Float, S: Simd>(
    simd: S,
    x: &DenseRows<'_>,
    weights: &PaddedWeights<'_, F>,
    first: usize,
    out: &mut [F],
    scratch: &mut DenseScratch<F>,
) {
    let Buffers { packed, scores, .. } = &mut scratch.buffers;
    let wide = weights.is_wide();
    let tile_rows = if wide { weights.tile_rows() } else { STRIPE };
    for (t, out) in out.chunks_mut(tile_rows).enumerate() {
        let (first, count) = (first + t * tile_rows, out.len());
        if !wide || x.runs_down_columns() {
            let tile = ColumnTile {
                simd,
                weights,
                columns: x.column_tile(simd, first, count, packed),
            };
            if wide {
                tile.multiply(scores);
            } else {
                tile.multiply_narrow(&mut scores.z);
            }
            out.copy_from_slice(&scores.z[..count]);
            continue;
        }
        let z = &mut scores.z;
        let whole = count / F::LANES * F::LANES;
        if whole > 0 {
            let rows = x.row_tile(first, whole, packed);
            RowTile::<F, S, 4>::new(simd, weights, rows, Ahead::none()).multiply(0..whole, z);
            out[..whole].copy_from_slice(&z[..whole]);
        }
        if whole < count {
            let rows = x.padded_tile(first + whole, count - whole, F::LANES, packed);
            RowTile::<F, S, 4>::new(simd, weights, rows, Ahead::none()).multiply(0..F::LANES, z);
            out[whole..].copy_from_slice(&z[..count - whole]);
        }
    }
}

/// A stripe of rows in a pass.
struct Stripe<'s, 'a, F: Float, S: Simd> {
    pass: &'s Pass<'a, DenseRows<'a>, PaddedWeights<'a, F>>,
    simd: S,
    first: usize,
    labels: StripeLabels<'s, F>,
}

impl<F: Float, S: Simd> Stripe<'_, '_, F, S> {
    /// Rows that lie contiguously, or nearly, a few at a time: while the residuals of one group of rows are multiplied into
    /// the gradient, the scores of the next group are computed, so that memory is read all the time.
    #[inline(always)]
    fn by_rows<const ROWS: usize>(
        &self,
        buffers: &mut Buffers<F>,
        sums: &mut StripeSums<F, S>,
        gradient: &mut [f64],
    ) {
        let Stripe {
            pass,
            simd,
            first,
            labels,
        } = *self;
        let Buffers {
            packed,
            scores: Scores { z, .. },
            residual,
            lanes,
        } = buffers;
        let (x, weights, wants_gradient) = (pass.x, &pass.weights, pass.wants_gradient());
        if wants_gradient {
            lanes.clear(weights.columns());
        }
        let tile_rows = match x.rows_in_place::<F>() {
            Some(_) => STRIPE,
            None => weights.tile_rows(),
        };
        let group = weights.group_rows();
        let whole = labels.count / F::LANES * F::LANES;
        let mut start = 0;
        while start < labels.count {
            let (at, rows) = if start < whole {
                (first + start, tile_rows.min(whole - start))
            } else {
                (first + whole, labels.count - whole)
            };
            let tile = if start < whole {
                x.row_tile(at, rows, packed)
            } else {
                x.padded_tile(at, rows, F::LANES, packed)
            };
            let far = at.saturating_add(weights.rows_ahead());
            let ahead = x.ahead(far, rows);
            let mut tile = RowTile::<F, S, ROWS>::new(simd, weights, tile, ahead);
            tile.multiply(0..group.min(rows), z);
            pad(z, group.min(rows));
            for last in (0..rows).step_by(group) {
                let count = group.min(rows - last);
                sums.add(simd, z, &labels.part(start + last, count), residual);
                let next = last + count;
                let more = group.min(rows - next);
                if !wants_gradient {
                    tile.multiply(next..next + more, z);
                } else if more > 0 {
                    tile.add_and_multiply(last..next, next..next + more, residual, lanes, z);
                } else {
                    tile.add(last..next, residual, lanes);
                }
            }
            start += rows;
        }
        if wants_gradient {
            lanes.add_to(gradient);
        }
    }

    /// Columns that lie contiguously, or nearly, some rows at a time: as with rows, the products of the next go along with
    /// those of the last.
    #[inline(always)]
    fn by_columns(
        &self,
        buffers: &mut Buffers<F>,
        sums: &mut StripeSums<F, S>,
        gradient: &mut [f64],
    ) {
        let Stripe {
            pass,
            simd,
            first,
            labels,
        } = *self;
        let Buffers {
            packed,
            scores,
            residual,
            lanes,
        } = buffers;
        let (x, weights, wants_gradient) = (pass.x, &pass.weights, pass.wants_gradient());
        if wants_gradient {
            lanes.clear(weights.columns());
        }
        let group = weights.tile_rows();
        let tile_rows = match x.columns_in_place::<F>() {
            Some(_) => STRIPE,
            None => group,
        };
        for start in (0..labels.count).step_by(tile_rows) {
            let (at, rows) = (first + start, tile_rows.min(labels.count - start));
            let tile = ColumnTile {
                simd,
                weights,
                columns: x.column_tile(simd, at, rows, packed),
            };
            let mut part = tile.part(0, group.min(rows));
            part.multiply(scores);
            for last in (0..rows).step_by(group) {
                pad(&mut scores.z, part.count());
                let labels = labels.part(start + last, part.count());
                sums.add(simd, &scores.z, &labels, residual);
                let next = last + part.count();
                let more = group.min(rows - next);
                if more == 0 {
                    if wants_gradient {
                        part.add(residual, lanes, &mut x.ahead(at + next, group));
                    }
                    continue;
                }
                let following = tile.part(next, more);
                if wants_gradient {
                    let ahead = &mut x.ahead(at + next, more).beyond(COLUMNS_AHEAD);
                    part.add_and_multiply(residual, lanes, ahead, &following, scores);
                } else {
                    following.multiply(scores);
                }
                part = following;
            }
        }
        if wants_gradient {
            lanes.add_to(gradient);
        }
    }

    /// Rows too short for a vector: the scores of the whole stripe, then its gradient.
    #[inline(always)]
    fn by_narrow_columns(
        &self,
        buffers: &mut Buffers<F>,
        sums: &mut StripeSums<F, S>,
        gradient: &mut [f64],
    ) {
        let Stripe {
            pass,
            simd,
            first,
            labels,
        } = *self;
        let Buffers {
            packed,
            scores: Scores { z, .. },
            residual,
            ..
        } = buffers;
        let tile = ColumnTile {
            simd,
            weights: &pass.weights,
            columns: pass.x.column_tile(simd, first, labels.count, packed),
        };
        tile.multiply_narrow(z);
        pad(z, labels.count);
        sums.add(simd, z, &labels, residual);
        if pass.wants_gradient() {
            tile.add_narrow(residual, gradient);
        }
    }
}

/// Fills the lanes beyond the last row with −∞: with the labels there, which are 0, certain and right predictions, which add
/// exactly nothing to any sum.
#[inline(always)]
pub(super) fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}
