//! One pass over the rows of a dense matrix: scores, errors and residuals, and their products with the rows while
//! these are still in cache.
//!
//! Rows are summed in three levels: lanes over a stripe of [`STRIPE`] rows in the type computed in, stripes over a leaf
//! in `f64`, leaves in their tree. So `float32` sums do not lose accuracy as rows grow, and tiles, which are only what
//! fits the cache, do not show in the result.
//!
//! A row with at least a vector's worth of columns is summed along its columns; of narrower matrices, whose rows would
//! leave lanes empty, a vector's worth of rows is computed at a time. So it is of wide matrices whose columns are what
//! lies contiguously, with the same additions in the same order.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::columns::Columns;
use super::dataset::Dataset;
use super::model::{GradientLanes, Model};
use super::rows::Rows;
use super::stripe::Stripe;
use super::sums::Sums;
use crate::float::Float;
use crate::loss::Activation;
use crate::matrix::{Matrix, Packed};
use crate::reduce::STRIPE;
use crate::simd::is_roomy;
use crate::vector::RowSet;

/// Of rows up to this many bytes, twice as many are in flight where there are registers for them.
const SHORT_ROW_BYTES: usize = 512;

/// Columns ahead of their use that memory is fetched.
const COLUMNS_AHEAD: usize = 32;

/// Memory that a thread reuses for all of its leaves.
pub(crate) struct Scratch<F: Float> {
    y: [F; STRIPE],
    sample_weight: [F; STRIPE],
    buffers: Buffers<F>,
}

/// What the passes over a stripe write.
struct Buffers<F: Float> {
    packed: Packed<F>,
    gradient: GradientLanes<F>,
    chains: Vec<F>,
    z: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::ZERO; STRIPE];
        Scratch {
            y: zeros,
            sample_weight: zeros,
            buffers: Buffers {
                packed: Packed::new(),
                gradient: GradientLanes::none(),
                chains: Vec::new(),
                z: zeros,
                residual: zeros,
            },
        }
    }
}

/// Adds error, residual and residual × row of a leaf's rows.
#[inline(always)]
pub(crate) fn leaf<F: Float, S: Simd>(
    simd: S,
    dataset: &Dataset<'_, Matrix<'_>>,
    model: &Model<'_, F>,
    activation: Activation,
    rows: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    let mut first = rows.start;
    while first < rows.end {
        let count = STRIPE.min(rows.end - first);
        let mut stripe = Stripe::<F, S>::new(simd);
        let Scratch {
            y,
            sample_weight,
            buffers,
        } = scratch;
        let part = Part {
            dataset,
            model,
            activation,
            first,
            count,
            y: dataset.labels(first, count, y),
            sample_weight: dataset.sample_weights(first, count, sample_weight, &mut sums.weight),
            gradient,
        };
        let weights = &mut sums.weights;
        if !model.is_wide() {
            part.by_narrow_columns(simd, buffers, &mut stripe, weights);
        } else if dataset.x.runs_down_columns(dataset.rows) {
            part.by_columns(simd, buffers, &mut stripe, weights);
        } else if is_roomy(simd) && model.row_bytes() <= SHORT_ROW_BYTES {
            part.by_rows::<S, 8>(simd, buffers, &mut stripe, weights);
        } else {
            part.by_rows::<S, 4>(simd, buffers, &mut stripe, weights);
        }
        stripe.add_to(sums);
        first += count;
    }
}

/// Scores `z = X w + b` of some rows.
#[inline(always)]
pub(crate) fn scores<F: Float, S: Simd>(
    simd: S,
    x: &Matrix<'_>,
    rows: RowSet<'_>,
    model: &Model<'_, F>,
    first: usize,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) {
    let Buffers {
        packed, chains, z, ..
    } = &mut scratch.buffers;
    let wide = model.is_wide();
    let tile_rows = if wide { model.tile_rows() } else { STRIPE };
    for (t, out) in out.chunks_mut(tile_rows).enumerate() {
        let (first, count) = (first + t * tile_rows, out.len());
        if !wide || x.runs_down_columns(rows) {
            let tile = x.column_tile(simd, rows, first, count, packed);
            let columns = Columns { model, tile, count };
            if wide {
                columns.multiply(simd, chains, z);
            } else {
                columns.multiply_narrow(simd, z);
            }
            out.copy_from_slice(&z[..count]);
            continue;
        }
        let whole = count / F::LANES * F::LANES;
        if whole > 0 {
            let tile = x.row_tile(rows, first, whole, packed);
            Rows::<F, S, 4>::new(simd, model, tile).multiply(simd, 0, whole, z);
            out[..whole].copy_from_slice(&z[..whole]);
        }
        if whole < count {
            let tile = x.padded_tile(rows, first + whole, count - whole, F::LANES, packed);
            Rows::<F, S, 4>::new(simd, model, tile).multiply(simd, 0, F::LANES, z);
            out[whole..].copy_from_slice(&z[..count - whole]);
        }
    }
}

/// The rows of a stripe, and what is wanted of them.
struct Part<'a, F: Float> {
    dataset: &'a Dataset<'a, Matrix<'a>>,
    model: &'a Model<'a, F>,
    activation: Activation,
    first: usize,
    count: usize,
    y: &'a [F],
    sample_weight: Option<&'a [F]>,
    gradient: bool,
}

impl<F: Float> Part<'_, F> {
    /// Rows that lie contiguously, or nearly, a few at a time: while the residuals of one group of rows are multiplied into
    /// the gradient, the scores of the next group are computed, so that memory is read all the time.
    #[inline(always)]
    fn by_rows<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        buffers: &mut Buffers<F>,
        stripe: &mut Stripe<F, S>,
        sums: &mut [f64],
    ) {
        let Part {
            dataset,
            model,
            activation,
            first,
            count,
            y,
            sample_weight,
            gradient,
        } = *self;
        let Buffers {
            packed,
            gradient: lanes,
            z,
            residual,
            ..
        } = buffers;
        let x = dataset.x;
        if gradient {
            lanes.clear(model.columns());
        }
        let in_place = x.rows_in_place::<F>(dataset.rows);
        let tile_rows = if in_place { STRIPE } else { model.tile_rows() };
        let unit = model.unit_rows();
        let whole = count / F::LANES * F::LANES;
        let mut start = 0;
        while start < count {
            let (at, rows) = if start < whole {
                (first + start, tile_rows.min(whole - start))
            } else {
                (first + whole, count - whole)
            };
            let tile = if start < whole {
                x.row_tile(dataset.rows, at, rows, packed)
            } else {
                x.padded_tile(dataset.rows, at, rows, F::LANES, packed)
            };
            let tile = Rows::<F, S, ROWS>::new(simd, model, tile);
            let far = at.saturating_add(model.rows_ahead());
            let ahead = &mut x.ahead(dataset.rows, far, rows);
            tile.multiply(simd, 0, unit.min(rows), z);
            pad(z, unit.min(rows));
            for last in (0..rows).step_by(unit) {
                let count = unit.min(rows - last);
                let sample_weight = sample_weight.map(|s| &s[start + last..]);
                stripe.samples(
                    simd,
                    activation,
                    z,
                    &y[start + last..],
                    sample_weight,
                    count,
                    residual,
                );
                let next = last + count;
                let more = unit.min(rows - next);
                if !gradient {
                    tile.multiply(simd, next, more, z);
                } else if more > 0 {
                    let (last, next) = ((last, count), (next, more));
                    tile.add_and_multiply(simd, last, next, residual, lanes, ahead, z);
                } else {
                    tile.add(simd, last, count, residual, lanes, ahead);
                }
            }
            start += rows;
        }
        if gradient {
            lanes.add_to(sums);
        }
    }

    /// Columns that lie contiguously, or nearly, some rows at a time: as with rows, the products of the next go along with
    /// those of the last.
    #[inline(always)]
    fn by_columns<S: Simd>(
        &self,
        simd: S,
        buffers: &mut Buffers<F>,
        stripe: &mut Stripe<F, S>,
        sums: &mut [f64],
    ) {
        let Part {
            dataset,
            model,
            activation,
            first,
            count,
            y,
            sample_weight,
            gradient,
        } = *self;
        let Buffers {
            packed,
            gradient: lanes,
            chains,
            z,
            residual,
        } = buffers;
        let x = dataset.x;
        if gradient {
            lanes.clear(model.columns());
        }
        let in_place = x.columns_in_place::<F>(dataset.rows);
        let unit = model.tile_rows();
        let tile_rows = if in_place { STRIPE } else { unit };
        for start in (0..count).step_by(tile_rows) {
            let (at, rows) = (first + start, tile_rows.min(count - start));
            let tile = x.column_tile(simd, dataset.rows, at, rows, packed);
            let columns = Columns {
                model,
                tile,
                count: rows,
            };
            let mut part = columns.part(0, unit.min(rows));
            part.multiply(simd, chains, z);
            for last in (0..rows).step_by(unit) {
                pad(z, part.count);
                let sample_weight = sample_weight.map(|s| &s[start + last..]);
                stripe.samples(
                    simd,
                    activation,
                    z,
                    &y[start + last..],
                    sample_weight,
                    part.count,
                    residual,
                );
                let next = last + part.count;
                let more = unit.min(rows - next);
                if more == 0 {
                    if gradient {
                        let ahead = &mut x.ahead(dataset.rows, at + next, unit);
                        part.add(simd, residual, lanes, ahead);
                    }
                    continue;
                }
                let following = columns.part(next, more);
                if gradient {
                    let ahead = x.ahead(dataset.rows, at + next, more);
                    let ahead = &mut ahead.beyond(COLUMNS_AHEAD);
                    part.add_and_multiply(simd, residual, lanes, ahead, &following, chains, z);
                } else {
                    following.multiply(simd, chains, z);
                }
                part = following;
            }
        }
        if gradient {
            lanes.add_to(sums);
        }
    }

    /// Rows too short for a vector: a stripe forward and back.
    #[inline(always)]
    fn by_narrow_columns<S: Simd>(
        &self,
        simd: S,
        buffers: &mut Buffers<F>,
        stripe: &mut Stripe<F, S>,
        sums: &mut [f64],
    ) {
        let Part {
            dataset,
            model,
            activation,
            first,
            count,
            y,
            sample_weight,
            gradient,
        } = *self;
        let Buffers {
            packed,
            z,
            residual,
            ..
        } = buffers;
        let tile = dataset
            .x
            .column_tile(simd, dataset.rows, first, count, packed);
        let columns = Columns { model, tile, count };
        columns.multiply_narrow(simd, z);
        pad(z, count);
        stripe.samples(simd, activation, z, y, sample_weight, count, residual);
        if gradient {
            columns.add_narrow(simd, residual, sums);
        }
    }
}

/// Lanes beyond the last row: a certain and right prediction, which adds exactly nothing to any sum.
#[inline(always)]
pub(super) fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}
