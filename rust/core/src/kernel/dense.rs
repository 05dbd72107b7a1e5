//! The sums over dense rows: scores, errors, residuals, and then residual × row while the rows are still in cache.
//!
//! Sums have three levels: over a stripe of [`STRIPE`] rows in SIMD lanes, in the type of the computation; over the
//! stripes of a leaf (consecutive rows for one thread) in `f64`; and over leaves in a tree. So `float32` sums do not
//! lose accuracy as the number of rows grows. The size of tiles, the blocks of rows that fit the cache, does not change
//! the result.
//!
//! A SIMD vector holds consecutive columns of one row if a row has at least `LANES` columns. Narrower rows would leave
//! lanes empty, so a vector then holds one column of `LANES` rows. Wide matrices with contiguous columns are also read
//! in vectors of rows, but with the additions of the first case in the same order.

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

/// Rows of at most this many bytes are read eight at once instead of four, if the CPU has enough registers.
const SHORT_ROW_BYTES: usize = 512;

/// Prefetch distance, in columns.
const COLUMNS_AHEAD: usize = 32;

/// Scratch memory of one thread.
pub(crate) struct DenseScratch<F: Float> {
    labels: LabelBuffers<F>,
    buffers: Buffers<F>,
}

/// Scores, residuals and gradient sums of a stripe (up to 256 rows), and memory for copies of its rows.
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
    /// Sums over all rows of errors, residuals and, if wanted, residual × row; added leaf by leaf to sums made by
    /// `zero`.
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

    /// Adds errors, residuals and residual × row of the consecutive `rows` (a leaf) to `sums`.
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

/// Scores `z = X w + b` of the rows from `first` on, as many as `out` has elements.
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

/// A stripe: up to 256 consecutive rows from `first` on, with their labels.
struct Stripe<'s, 'a, F: Float, S: Simd> {
    pass: &'s Pass<'a, DenseRows<'a>, PaddedWeights<'a, F>>,
    simd: S,
    first: usize,
    labels: StripeLabels<'s, F>,
}

impl<F: Float, S: Simd> Stripe<'_, '_, F, S> {
    /// The stripe's sums, for rows that are contiguous in memory, or can be copied so cheaply. `ROWS` rows are read at
    /// once. While residual × row of one group of rows is added to the gradient, the scores of the next group are
    /// computed, so that memory is read all the time.
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

    /// The stripe's sums, for columns that are contiguous in memory, or nearly. As in `by_rows`, the scores of the next
    /// group of rows are computed while the gradient of the last is added.
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

    /// The stripe's sums, for rows with fewer columns than a SIMD vector has lanes: the scores of the whole stripe,
    /// then its gradient.
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

/// Fills the scores beyond the last row, up to a whole vector, with −∞. Labels are 0 there, so the error and the
/// residual are exactly 0 and add nothing to any sum.
#[inline(always)]
pub(super) fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}
