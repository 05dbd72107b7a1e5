//! One pass over the rows of a dense matrix: predictors, errors and residuals, and their products with the rows while
//! these are still in cache.
//!
//! Rows are summed in three levels: lanes over a stripe of [`STRIPE`] rows in the type computed in, stripes over a block
//! in `f64`, blocks in a fixed tree. So `float32` sums do not lose accuracy as rows grow, and tiles, which are only what
//! fits the cache, do not show in the result.
//!
//! A row with at least a vector's worth of columns is summed along its columns; of narrower matrices, whose rows would
//! leave lanes empty, a vector's worth of rows is computed at a time. So it is of wide matrices whose columns are what
//! lies contiguously, with the same additions in the same order.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::columns::Columns;
use super::model::{GradientLanes, Model};
use super::rows::Rows;
use super::stripe::Stripe;
use super::{Activation, Points, Sums};
use crate::float::Float;
use crate::matrix::{Matrix, Packed, RowSet};
use crate::parallel::STRIPE;
use crate::simd::is_roomy;

/// Of rows up to this many bytes, twice as many are in flight where there are registers for them.
const SHORT_ROW_BYTES: usize = 512;

/// Memory that a thread reuses for all of its blocks.
pub(crate) struct Scratch<F: Float> {
    packed: Packed<F>,
    gradient: GradientLanes<F>,
    chains: Vec<F>,
    z: [F; STRIPE],
    y: [F; STRIPE],
    sample_weight: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::ZERO; STRIPE];
        Scratch {
            packed: Packed::new(),
            gradient: GradientLanes::none(),
            chains: Vec::new(),
            z: zeros,
            y: zeros,
            sample_weight: zeros,
            residual: zeros,
        }
    }
}

/// Sums of error, residual and residual × row over the block.
#[inline(always)]
pub(crate) fn block<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_, Matrix<'_>>,
    model: &Model<'_, F>,
    block: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
) -> Sums {
    let mut sums = Sums::zero(if gradient { model.columns() } else { 0 });
    let mut first = block.start;
    while first < block.end {
        let count = STRIPE.min(block.end - first);
        let mut stripe = Stripe::<F, S>::new(simd);
        let part = Part {
            points,
            model,
            first,
            count,
            gradient,
        };
        if !model.is_wide() || points.x.runs_down_columns(points.rows) {
            part.by_columns::<A, S>(simd, scratch, &mut stripe, &mut sums);
        } else if is_roomy(simd) && model.row_bytes() <= SHORT_ROW_BYTES {
            part.by_rows::<A, S, 8>(simd, scratch, &mut stripe, &mut sums);
        } else {
            part.by_rows::<A, S, 4>(simd, scratch, &mut stripe, &mut sums);
        }
        stripe.add_to(&mut sums);
        first += count;
    }
    sums
}

/// Predictors `z = X w + b` of the block.
#[inline(always)]
pub(crate) fn predictors<F: Float, S: Simd>(
    simd: S,
    x: &Matrix<'_>,
    rows: RowSet<'_>,
    model: &Model<'_, F>,
    first: usize,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) {
    let Scratch {
        packed, chains, z, ..
    } = scratch;
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
    points: &'a Points<'a, Matrix<'a>>,
    model: &'a Model<'a, F>,
    first: usize,
    count: usize,
    gradient: bool,
}

impl<F: Float> Part<'_, F> {
    /// Rows that lie contiguously, or nearly, a few at a time: the products of the next with the weights go along with
    /// those of the last with their residuals, so that memory is read all the time.
    #[inline(always)]
    fn by_rows<A: Activation, S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        scratch: &mut Scratch<F>,
        stripe: &mut Stripe<F, S>,
        sums: &mut Sums,
    ) {
        let Part {
            points,
            model,
            first,
            count,
            gradient,
        } = *self;
        let Scratch {
            packed,
            gradient: lanes,
            z,
            y,
            sample_weight,
            residual,
            ..
        } = scratch;
        let x = points.x;
        let y = points.labels(first, count, y);
        let sample_weight = points.sample_weights(first, count, sample_weight, &mut sums.weight);
        if gradient {
            lanes.clear(model.columns());
        }
        let in_place = x.rows_in_place::<F>(points.rows);
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
                x.row_tile(points.rows, at, rows, packed)
            } else {
                x.padded_tile(points.rows, at, rows, F::LANES, packed)
            };
            let tile = Rows::<F, S, ROWS>::new(simd, model, tile);
            let far = at.saturating_add(model.rows_ahead());
            let ahead = &mut x.ahead(points.rows, far, rows);
            tile.multiply(simd, 0, unit.min(rows), z);
            pad(z, unit.min(rows));
            for last in (0..rows).step_by(unit) {
                let count = unit.min(rows - last);
                let sample_weight = sample_weight.map(|s| &s[start + last..]);
                stripe.samples::<A>(simd, z, &y[start + last..], sample_weight, count, residual);
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
            lanes.add_to(&mut sums.weights);
        }
    }

    /// Columns that lie contiguously, or nearly, and rows too short for a vector: a tile at a time, forward and back.
    #[inline(always)]
    fn by_columns<A: Activation, S: Simd>(
        &self,
        simd: S,
        scratch: &mut Scratch<F>,
        stripe: &mut Stripe<F, S>,
        sums: &mut Sums,
    ) {
        let Part {
            points,
            model,
            first,
            count,
            gradient,
        } = *self;
        let Scratch {
            packed,
            gradient: lanes,
            chains,
            z,
            y,
            sample_weight,
            residual,
        } = scratch;
        let x = points.x;
        let wide = model.is_wide();
        let y = points.labels(first, count, y);
        let sample_weight = points.sample_weights(first, count, sample_weight, &mut sums.weight);
        if gradient && wide {
            lanes.clear(model.columns());
        }
        let tile_rows = if wide { model.tile_rows() } else { STRIPE };
        for start in (0..count).step_by(tile_rows) {
            let (at, count) = (first + start, tile_rows.min(count - start));
            let tile = x.column_tile(simd, points.rows, at, count, packed);
            let columns = Columns { model, tile, count };
            if wide {
                columns.multiply(simd, chains, z);
            } else {
                columns.multiply_narrow(simd, z);
            }
            pad(z, count);
            let sample_weight = sample_weight.map(|s| &s[start..]);
            stripe.samples::<A>(simd, z, &y[start..], sample_weight, count, residual);
            if gradient && wide {
                let ahead = &mut x.ahead(points.rows, at + count, tile_rows);
                columns.add(simd, residual, lanes, ahead);
            } else if gradient {
                columns.add_narrow(simd, residual, &mut sums.weights);
            }
        }
        if gradient && wide {
            lanes.add_to(&mut sums.weights);
        }
    }
}

/// Lanes beyond the last row: a certain and right prediction, which adds exactly nothing to any sum.
#[inline(always)]
pub(super) fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}
