//! The sums over dense rows. Scores, errors and residuals are computed, and then residual × row while the rows are
//! still in the cache.
//!
//! Sums have three levels: over a stripe of [`STRIPE`] rows in SIMD lanes, in the type of the computation; over the
//! stripes of a leaf (consecutive rows for one thread) in `f64`; and over leaves in a tree. Therefore `float32` sums do
//! not lose accuracy as the number of rows grows. The size of tiles, the blocks of rows that fit the cache, does not
//! change the result.
//!
//! A SIMD vector holds consecutive columns of one row if a row has at least `LANES` columns. Narrower rows would leave
//! lanes empty, so that a vector holds `LANES` rows of one column instead. If the elements of a vector are not
//! contiguous in memory, tiles are transposed first.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::columns::ColumnTile;
use super::dataset::{LabelBuffers, StripeLabels};
use super::pass::Pass;
use super::rows::RowTile;
use super::stripe::StripeSums;
use super::sums::Sums;
use super::weights::{PaddedWeights, add_lanes};
use crate::error::Error;
use crate::float::Float;
use crate::matrix::{DenseRows, Packed};
use crate::reduce::{Job, Leaves, STRIPE, map_reduce};
use crate::simd::dispatch;

/// Scratch memory of one thread.
pub(crate) struct DenseScratch<F: Float> {
    labels: LabelBuffers<F>,
    buffers: Buffers<F>,
}

/// Scores, residuals and sums of the gradient for a stripe (up to 256 rows), and memory for copies of its rows.
struct Buffers<F: Float> {
    packed: Packed<F>,
    z: [F; STRIPE],
    residual: [F; STRIPE],
    gradient: Vec<F::Array>,
}

impl<F: Float> DenseScratch<F> {
    pub(crate) fn new() -> Self {
        DenseScratch {
            labels: LabelBuffers::new(),
            buffers: Buffers {
                packed: Packed::new(),
                z: [F::ZERO; STRIPE],
                residual: [F::ZERO; STRIPE],
                gradient: Vec::new(),
            },
        }
    }
}

impl<'a, F: Float> Pass<'a, DenseRows<'a>, PaddedWeights<'a, F>> {
    /// Sums over all rows of errors, residuals and, if wanted, residual × row. `zero` returns sums of value 0, to which
    /// the sums of the leaves are added.
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

    /// Adds the errors, residuals and, if wanted, residual × row of the consecutive rows `rows` (a leaf) to `sums`.
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
            if self.weights.is_wide() {
                stripe.by_rows(buffers, &mut stripe_sums, gradient);
            } else {
                stripe.by_columns(buffers, &mut stripe_sums, gradient);
            }
            stripe_sums.add_to(sums);
            first += count;
        }
    }
}

/// Writes the scores `z = X w + b` of the rows from `first` on to `out`, one for each element of `out`.
#[inline(always)]
pub(crate) fn scores<F: Float, S: Simd>(
    simd: S,
    x: &DenseRows<'_>,
    weights: &PaddedWeights<'_, F>,
    first: usize,
    out: &mut [F],
    scratch: &mut DenseScratch<F>,
) {
    let Buffers { packed, z, .. } = &mut scratch.buffers;
    let wide = weights.is_wide();
    let tile_rows = if wide { weights.tile_rows() } else { STRIPE };
    for (t, out) in out.chunks_mut(tile_rows).enumerate() {
        let (first, count) = (first + t * tile_rows, out.len());
        if wide {
            let rows = x.transposed_row_tile(simd, first, count, packed);
            RowTile::new(simd, weights, rows).multiply(0..count, z);
        } else {
            let columns = x.column_tile(simd, first, count, packed);
            let tile = ColumnTile {
                simd,
                weights,
                columns,
            };
            tile.multiply(z);
        }
        out.copy_from_slice(&z[..count]);
    }
}

/// A stripe: up to 256 consecutive rows, from `first` on, with their labels.
struct Stripe<'s, 'a, F: Float, S: Simd> {
    pass: &'s Pass<'a, DenseRows<'a>, PaddedWeights<'a, F>>,
    simd: S,
    first: usize,
    labels: StripeLabels<'s, F>,
}

impl<F: Float, S: Simd> Stripe<'_, '_, F, S> {
    /// Adds the stripe, for rows of at least one SIMD vector, to `sums` and `gradient`. Rows are processed in groups
    /// that are still in the cache when they are read the second time, for the gradient.
    #[inline(always)]
    fn by_rows(&self, buffers: &mut Buffers<F>, sums: &mut StripeSums<F, S>, gradient: &mut [f64]) {
        let Stripe { pass, simd, .. } = *self;
        let Buffers {
            packed,
            z,
            residual,
            gradient: lanes,
        } = buffers;
        let weights = &pass.weights;
        lanes.clear();
        lanes.resize(weights.vectors(), F::ZEROS);
        let (tile_rows, group_rows) = (weights.tile_rows(), weights.group_rows());
        for start in (0..self.labels.count).step_by(tile_rows) {
            let count = tile_rows.min(self.labels.count - start);
            let rows = pass
                .x
                .transposed_row_tile(simd, self.first + start, count, packed);
            let tile = RowTile::new(simd, weights, rows);
            for at in (0..count).step_by(group_rows) {
                let group = at..count.min(at + group_rows);
                tile.multiply(group.clone(), z);
                pad(z, group.len());
                let labels = self.labels.part(start + at, group.len());
                sums.add(simd, z, &labels, residual);
                if pass.wants_gradient() {
                    tile.add(group, residual, lanes);
                }
            }
        }
        if pass.wants_gradient() {
            add_lanes::<F>(lanes, gradient);
        }
    }

    /// Adds the stripe, for rows with fewer columns than a SIMD vector has lanes, to `sums` and `gradient`.
    #[inline(always)]
    fn by_columns(
        &self,
        buffers: &mut Buffers<F>,
        sums: &mut StripeSums<F, S>,
        gradient: &mut [f64],
    ) {
        let Stripe { pass, simd, .. } = *self;
        let Buffers {
            packed,
            z,
            residual,
            ..
        } = buffers;
        let count = self.labels.count;
        let tile = ColumnTile {
            simd,
            weights: &pass.weights,
            columns: pass.x.column_tile(simd, self.first, count, packed),
        };
        tile.multiply(z);
        pad(z, count);
        sums.add(simd, z, &self.labels, residual);
        if pass.wants_gradient() {
            tile.add(residual, gradient);
        }
    }
}

/// Sets the scores beyond the last row, up to a whole vector, to −∞. Labels are 0 there, so that error and residual are
/// exactly 0 and add nothing to any sum.
#[inline(always)]
pub(super) fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}
