//! One pass over the rows of a dense matrix: predictors, errors and residuals, and their products with the rows while
//! these are still in cache.
//!
//! Rows are summed in three levels: lanes over a stripe of [`STRIPE`] rows in the type computed in, stripes over a block
//! in `f64`, blocks in a fixed tree. So `float32` sums do not lose accuracy as rows grow, and tiles, which are only what
//! fits the cache, do not show in the result.
//!
//! A row with at least a vector's worth of columns is summed along its columns; of narrower matrices, whose rows would
//! leave lanes empty, a vector's worth of rows is computed at a time.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::{Activation, Points, Sums};
use crate::float::Float;
use crate::matrix::{Matrix, RowSet, Strips};
use crate::parallel::STRIPE;
use crate::simd::{MulAdd, sum_lanes, sum_lanes_of_each};

/// Rows in flight: independent chains enough to hide a fused multiply-add's latency, few enough for 16 registers.
const ROWS: usize = 4;

/// Bytes of a tile that stays in the first-level cache between its two uses.
const IN_PLACE_BYTES: usize = 24 << 10;
/// Bytes of a packed tile: long runs of each column are read at once; it stays in the second-level cache.
const PACKED_BYTES: usize = 192 << 10;

/// Memory that a thread reuses for all of its blocks.
pub(crate) struct Scratch<F> {
    tile: Vec<F>,
    /// Gradient lanes of the current stripe.
    gradient: Vec<F>,
    z: [F; STRIPE],
    y: [F; STRIPE],
    sample_weight: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::ZERO; STRIPE];
        Scratch {
            tile: Vec::new(),
            gradient: Vec::new(),
            z: zeros,
            y: zeros,
            sample_weight: zeros,
            residual: zeros,
        }
    }
}

/// Weights as the lanes take them: whole vectors, then the last columns once more, those already taken being zero.
pub(crate) struct Model<F> {
    /// (n), padded to whole vectors.
    lanes: Vec<F>,
    columns: usize,
    bias: F,
}

impl<F: Float> Model<F> {
    pub(crate) fn new(weights: &[F], bias: F) -> Self {
        let columns = weights.len();
        let whole = columns / F::LANES * F::LANES;
        let mut lanes = weights.to_vec();
        if columns > whole && columns > F::LANES {
            lanes.truncate(whole);
            lanes.resize(2 * whole + F::LANES - columns, F::ZERO);
            lanes.extend_from_slice(&weights[whole..]);
        }
        Model {
            lanes,
            columns,
            bias,
        }
    }

    /// Rows are summed along their columns.
    fn is_wide(&self) -> bool {
        self.columns >= F::LANES
    }

    /// Rows a tile holds: a whole number of vectors.
    fn tile_rows(&self, in_place: bool) -> usize {
        let bytes = if in_place {
            IN_PLACE_BYTES
        } else {
            PACKED_BYTES
        };
        let rows = bytes / (self.columns * size_of::<F>()) / F::LANES * F::LANES;
        rows.clamp(F::LANES, STRIPE)
    }
}

/// Sums of error, residual and residual × row over the block.
#[inline(always)]
pub(crate) fn block<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_>,
    model: &Model<F>,
    block: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
) -> Sums {
    let mut sums = Sums::zero(if gradient { model.columns } else { 0 });
    let mut first = block.start;
    while first < block.end {
        let count = STRIPE.min(block.end - first);
        if model.is_wide() {
            wide_stripe::<F, A, S>(
                simd, points, model, first, count, gradient, scratch, &mut sums,
            );
        } else {
            narrow_stripe::<F, A, S>(
                simd, points, model, first, count, gradient, scratch, &mut sums,
            );
        }
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
    model: &Model<F>,
    first: usize,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) {
    for (k, out) in out.chunks_mut(STRIPE).enumerate() {
        let first = first + k * STRIPE;
        if model.is_wide() {
            let tile_rows = model.tile_rows(x.rows_in_place::<F>(rows));
            for (t, out) in out.chunks_mut(tile_rows).enumerate() {
                let tile = x.row_tile(rows, first + t * tile_rows, out.len(), &mut scratch.tile);
                row_products(simd, &tile, model, out.len(), &mut scratch.z);
                out.copy_from_slice(&scratch.z[..out.len()]);
            }
        } else {
            let tile = x.column_tile(rows, first, out.len(), &mut scratch.tile);
            column_products(simd, &tile, model, out.len(), &mut scratch.z);
            out.copy_from_slice(&scratch.z[..out.len()]);
        }
    }
}

/// A stripe of rows that fill their vectors: tile by tile, forward and back.
#[inline(always)]
fn wide_stripe<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_>,
    model: &Model<F>,
    first: usize,
    count: usize,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    points.load(
        first,
        count,
        &mut scratch.y,
        &mut scratch.sample_weight,
        sums,
    );
    let Scratch {
        tile: packed,
        gradient: lanes,
        z,
        y,
        sample_weight,
        residual,
    } = scratch;
    lanes.clear();
    lanes.resize(model.lanes.len(), F::ZERO);
    let weighted = points.sample_weight.is_some();
    let tile_rows = model.tile_rows(points.x.rows_in_place::<F>(points.rows));
    let mut stripe = Stripe::<F, S>::new(simd);
    let mut start = 0;
    while start < count {
        let rows = tile_rows.min(count - start);
        let tile = points.x.row_tile(points.rows, first + start, rows, packed);
        row_products(simd, &tile, model, rows, z);
        pad(z, rows);
        stripe.samples::<A>(
            simd,
            &z[..],
            &y[start..],
            weighted.then_some(&sample_weight[start..]),
            rows,
            residual,
        );
        if gradient {
            add_rows(simd, &tile, model, &residual[..rows], lanes);
        }
        start += rows;
    }
    stripe.finish(sums);
    if gradient {
        add_lanes(model.columns, lanes, &mut sums.weights);
    }
}

/// A stripe of rows too short for a vector: a vector's worth of rows at a time, column by column.
#[inline(always)]
fn narrow_stripe<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_>,
    model: &Model<F>,
    first: usize,
    count: usize,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    points.load(
        first,
        count,
        &mut scratch.y,
        &mut scratch.sample_weight,
        sums,
    );
    let Scratch {
        tile: packed,
        z,
        y,
        sample_weight,
        residual,
        ..
    } = scratch;
    let weighted = points.sample_weight.is_some();
    let tile = points.x.column_tile(points.rows, first, count, packed);
    column_products(simd, &tile, model, count, z);
    pad(z, count);
    let mut stripe = Stripe::<F, S>::new(simd);
    stripe.samples::<A>(
        simd,
        &z[..],
        &y[..],
        weighted.then_some(&sample_weight[..]),
        count,
        residual,
    );
    stripe.finish(sums);
    if gradient {
        for (j, sum) in sums.weights.iter_mut().enumerate() {
            *sum += sum_lanes::<F, S>(dot(simd, tile.strip(j), &residual[..count]));
        }
    }
}

/// Lanes beyond the last row: a certain and right prediction, which adds exactly nothing to any sum.
#[inline(always)]
fn pad<F: Float>(z: &mut [F; STRIPE], count: usize) {
    let end = count.next_multiple_of(F::LANES);
    z[count..end].fill(-F::INFINITY);
}

/// A whole vector of a slice, or the rest of it and zeros.
#[inline(always)]
fn load<F: Float, S: Simd>(simd: S, x: &[F], at: usize) -> F::Lanes<S> {
    match x.get(at..at + F::LANES) {
        Some(lanes) => F::Lanes::<S>::from_slice(simd, lanes),
        None => {
            let mut lanes = [F::ZERO; 16];
            lanes[..x.len() - at].copy_from_slice(&x[at..]);
            F::Lanes::<S>::from_slice(simd, &lanes[..F::LANES])
        }
    }
}

/// Lane sums of `a · b`.
#[inline(always)]
fn dot<F: Float, S: Simd>(simd: S, a: &[F], b: &[F]) -> F::Lanes<S> {
    let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
    for at in (0..a.len()).step_by(F::LANES) {
        sum = load(simd, a, at).mul_add_fused(load(simd, b, at), sum);
    }
    sum
}

/// `z = Σ_j w_j x_j + b`, column by column over lanes of rows.
#[inline(always)]
fn column_products<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    model: &Model<F>,
    count: usize,
    z: &mut [F; STRIPE],
) {
    for at in (0..count).step_by(F::LANES) {
        let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
        for (j, &weight) in model.lanes.iter().enumerate() {
            sum = load(simd, tile.strip(j), at).mul_add_fused(weight, sum);
        }
        (sum + model.bias).store_slice(&mut z[at..at + F::LANES]);
    }
}

/// `x · w + b` of one row, in the order of the kernels above.
#[inline(always)]
pub(crate) fn row_product<F: Float, S: Simd>(simd: S, row: &[F], weights: &[F], bias: F) -> F {
    if row.len() < F::LANES {
        let sum = row
            .iter()
            .zip(weights)
            .fold(F::ZERO, |sum, (&x, &w)| x.mul_add(w, sum));
        return sum + bias;
    }
    let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); 16];
    for (x, w) in row
        .chunks_exact(F::LANES)
        .zip(weights.chunks_exact(F::LANES))
    {
        let w = F::Lanes::<S>::from_slice(simd, w);
        sums[0] = F::Lanes::<S>::from_slice(simd, x).mul_add_fused(w, sums[0]);
    }
    if !row.len().is_multiple_of(F::LANES) {
        let taken = taken_lanes::<F, S>(simd, row.len());
        let w = last_lanes::<F, S>(simd, weights, taken);
        sums[0] = last_lanes::<F, S>(simd, row, taken).mul_add_fused(w, sums[0]);
    }
    sum_lanes_of_each::<F, S>(&mut sums[..F::LANES]).as_slice()[0] + bias
}

/// `z_i = x_i · w + b`, each row along its columns, [`ROWS`] rows at a time.
#[inline(always)]
fn row_products<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    model: &Model<F>,
    count: usize,
    z: &mut [F; STRIPE],
) {
    let taken = taken_lanes::<F, S>(simd, model.columns);
    let mut group = 0;
    while group < count {
        let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); 16];
        for i in (0..F::LANES).step_by(ROWS) {
            // Beyond the last row the last is computed again; its sums are overwritten or cut off.
            let row = |k: usize| tile.strip((group + i + k).min(count - 1));
            let four = row_sums::<F, S>(simd, [row(0), row(1), row(2), row(3)], model, taken);
            sums[i..i + ROWS].copy_from_slice(&four);
        }
        let sum = sum_lanes_of_each::<F, S>(&mut sums[..F::LANES]);
        (sum + model.bias).store_slice(&mut z[group..group + F::LANES]);
        group += F::LANES;
    }
}

/// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
#[inline(always)]
fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> <F::Lanes<S> as SimdBase<S>>::Mask {
    let rest = columns % F::LANES;
    let fresh = F::Lanes::<S>::from_fn(simd, |lane| {
        if lane + rest >= F::LANES {
            F::ONE
        } else {
            F::ZERO
        }
    });
    fresh.simd_eq(F::ZERO)
}

/// Lane sums of `x · w` of four rows.
#[inline(always)]
fn row_sums<F: Float, S: Simd>(
    simd: S,
    rows: [&[F]; ROWS],
    model: &Model<F>,
    taken: <F::Lanes<S> as SimdBase<S>>::Mask,
) -> [F::Lanes<S>; ROWS] {
    let zero = F::Lanes::<S>::splat(simd, F::ZERO);
    let [mut s0, mut s1, mut s2, mut s3] = [zero; ROWS];
    let [r0, r1, r2, r3] = rows;
    let chunks = r0
        .chunks_exact(F::LANES)
        .zip(r1.chunks_exact(F::LANES))
        .zip(r2.chunks_exact(F::LANES))
        .zip(r3.chunks_exact(F::LANES))
        .zip(model.lanes.chunks_exact(F::LANES));
    for ((((x0, x1), x2), x3), w) in chunks {
        let w = F::Lanes::<S>::from_slice(simd, w);
        s0 = F::Lanes::<S>::from_slice(simd, x0).mul_add_fused(w, s0);
        s1 = F::Lanes::<S>::from_slice(simd, x1).mul_add_fused(w, s1);
        s2 = F::Lanes::<S>::from_slice(simd, x2).mul_add_fused(w, s2);
        s3 = F::Lanes::<S>::from_slice(simd, x3).mul_add_fused(w, s3);
    }
    if !model.columns.is_multiple_of(F::LANES) {
        let w = F::Lanes::<S>::from_slice(simd, &model.lanes[model.lanes.len() - F::LANES..]);
        s0 = last_lanes::<F, S>(simd, r0, taken).mul_add_fused(w, s0);
        s1 = last_lanes::<F, S>(simd, r1, taken).mul_add_fused(w, s1);
        s2 = last_lanes::<F, S>(simd, r2, taken).mul_add_fused(w, s2);
        s3 = last_lanes::<F, S>(simd, r3, taken).mul_add_fused(w, s3);
    }
    [s0, s1, s2, s3]
}

/// The last vector's worth of a row, zero where it overlaps the vector before: ∞ there must not meet the weight 0.
#[inline(always)]
fn last_lanes<F: Float, S: Simd>(
    simd: S,
    row: &[F],
    taken: <F::Lanes<S> as SimdBase<S>>::Mask,
) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}

/// `lanes += Σ_i r_i x_i`, rows in order.
#[inline(always)]
fn add_rows<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    model: &Model<F>,
    residual: &[F],
    lanes: &mut [F],
) {
    let taken = taken_lanes::<F, S>(simd, model.columns);
    let has_rest = !model.columns.is_multiple_of(F::LANES);
    let last = lanes.len() - F::LANES;
    let fours = residual.chunks_exact(ROWS);
    let singles = residual.len() - fours.remainder().len();
    for (k, r) in fours.enumerate() {
        let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|i| F::Lanes::<S>::splat(simd, r[i]));
        let [x0, x1, x2, x3] = [0, 1, 2, 3].map(|i| tile.strip(k * ROWS + i));
        let chunks = x0
            .chunks_exact(F::LANES)
            .zip(x1.chunks_exact(F::LANES))
            .zip(x2.chunks_exact(F::LANES))
            .zip(x3.chunks_exact(F::LANES))
            .zip(lanes.chunks_exact_mut(F::LANES));
        for ((((a, b), c), d), out) in chunks {
            let mut sum = F::Lanes::<S>::from_slice(simd, out);
            sum = F::Lanes::<S>::from_slice(simd, a).mul_add_fused(r0, sum);
            sum = F::Lanes::<S>::from_slice(simd, b).mul_add_fused(r1, sum);
            sum = F::Lanes::<S>::from_slice(simd, c).mul_add_fused(r2, sum);
            sum = F::Lanes::<S>::from_slice(simd, d).mul_add_fused(r3, sum);
            sum.store_slice(out);
        }
        if has_rest {
            let mut sum = F::Lanes::<S>::from_slice(simd, &lanes[last..]);
            sum = last_lanes::<F, S>(simd, x0, taken).mul_add_fused(r0, sum);
            sum = last_lanes::<F, S>(simd, x1, taken).mul_add_fused(r1, sum);
            sum = last_lanes::<F, S>(simd, x2, taken).mul_add_fused(r2, sum);
            sum = last_lanes::<F, S>(simd, x3, taken).mul_add_fused(r3, sum);
            sum.store_slice(&mut lanes[last..]);
        }
    }
    for i in singles..residual.len() {
        let r = F::Lanes::<S>::splat(simd, residual[i]);
        let row = tile.strip(i);
        for (x, out) in row
            .chunks_exact(F::LANES)
            .zip(lanes.chunks_exact_mut(F::LANES))
        {
            let sum = F::Lanes::<S>::from_slice(simd, out);
            F::Lanes::<S>::from_slice(simd, x)
                .mul_add_fused(r, sum)
                .store_slice(out);
        }
        if has_rest {
            let sum = F::Lanes::<S>::from_slice(simd, &lanes[last..]);
            last_lanes::<F, S>(simd, row, taken)
                .mul_add_fused(r, sum)
                .store_slice(&mut lanes[last..]);
        }
    }
}

/// Adds a stripe's gradient lanes to the block's sums.
#[inline(always)]
fn add_lanes<F: Float>(columns: usize, lanes: &[F], sums: &mut [f64]) {
    let whole = columns / F::LANES * F::LANES;
    for (sum, lane) in sums.iter_mut().zip(&lanes[..whole]) {
        *sum += lane.to_f64();
    }
    let rest = columns - whole;
    for (sum, lane) in sums[whole..].iter_mut().zip(&lanes[lanes.len() - rest..]) {
        *sum += lane.to_f64();
    }
}

/// Sums over a stripe's rows, in lanes.
struct Stripe<F: Float, S: Simd> {
    /// Π(1 + t) − 1: the error's logarithms in one.
    product: F::Lanes<S>,
    /// The error's linear terms; with sample weights, all of it.
    error: F::Lanes<S>,
    residual: F::Lanes<S>,
}

impl<F: Float, S: Simd> Stripe<F, S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        Stripe {
            product: zero,
            error: zero,
            residual: zero,
        }
    }

    /// Residuals of `count` rows, and their sums; `z` is padded to whole vectors.
    #[inline(always)]
    fn samples<A: Activation>(
        &mut self,
        simd: S,
        z: &[F],
        y: &[F],
        sample_weight: Option<&[F]>,
        count: usize,
        residual: &mut [F; STRIPE],
    ) {
        for at in (0..count).step_by(F::LANES) {
            let lanes = at..at + F::LANES;
            let z = F::Lanes::<S>::from_slice(simd, &z[lanes.clone()]);
            let y = F::Lanes::<S>::from_slice(simd, &y[lanes.clone()]);
            let sample = A::sample(z, y);
            let mut r = sample.residual;
            if let Some(s) = sample_weight {
                let s = F::Lanes::<S>::from_slice(simd, &s[lanes.clone()]);
                r *= s;
                self.error =
                    (crate::math::log1p(sample.t) + sample.linear).mul_add_fused(s, self.error);
            } else {
                self.product = self
                    .product
                    .mul_add_fused(sample.t, self.product + sample.t);
                self.error += sample.linear;
            }
            self.residual += r;
            r.store_slice(&mut residual[lanes]);
        }
    }

    /// ln(1 + product) is the sum of the rows' logarithms: at most 32 factors of at most 2 a lane cannot overflow.
    #[inline(always)]
    fn finish(self, sums: &mut Sums) {
        sums.error +=
            sum_lanes::<F, S>(crate::math::log1p(self.product)) + sum_lanes::<F, S>(self.error);
        sums.bias += sum_lanes::<F, S>(self.residual);
    }
}
