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

use super::stripe::Stripe;
use super::{Activation, Points, Sums};
use crate::float::Float;
use crate::matrix::{Ahead, Matrix, Packed, RowSet};
use crate::parallel::STRIPE;
use crate::simd::{MAX_LANES, MulAdd, is_roomy, sum_lanes, sum_lanes_of_each};
use crate::strips::Strips;

/// Bytes of the rows between their two uses: few enough for the first-level cache, enough that exponentials overlap.
const UNIT_BYTES: usize = 8 << 10;
/// How many bytes ahead of its use memory is fetched.
const AHEAD_BYTES: usize = 16 << 10;
/// Rows of more bytes are streams long enough for the hardware to fetch ahead by itself.
const LONG_ROW_BYTES: usize = 4 << 10;
/// Of rows up to this long, twice as many are in flight where there are registers for them.
const SHORT_ROW_BYTES: usize = 512;

/// Bytes of a packed tile: long runs of each column are read at once; it stays in the second-level cache.
const PACKED_BYTES: usize = 256 << 10;

/// Memory that a thread reuses for all of its blocks.
pub(crate) struct Scratch<F: Float> {
    packed: Packed<F>,
    gradient: GradientLanes<F>,
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
            z: zeros,
            y: zeros,
            sample_weight: zeros,
            residual: zeros,
        }
    }
}

/// Weights, and how the lanes take them.
pub(crate) struct Model<'a, F: Float> {
    weights: &'a [F],
    bias: F,
    /// The last vector's worth of weights if they do not fill whole vectors, zero where a whole vector has them already.
    rest: Option<F::Array>,
}

impl<'a, F: Float> Model<'a, F> {
    pub(crate) fn new(weights: &'a [F], bias: F) -> Self {
        let fresh = weights.len() % F::LANES;
        let rest = (fresh > 0 && weights.len() > F::LANES).then(|| {
            let mut rest = F::ZEROS;
            rest.as_mut()[F::LANES - fresh..].copy_from_slice(&weights[weights.len() - fresh..]);
            rest
        });
        Model {
            weights,
            bias,
            rest,
        }
    }

    fn columns(&self) -> usize {
        self.weights.len()
    }

    fn row_bytes(&self) -> usize {
        self.columns() * size_of::<F>()
    }

    /// Rows are summed along their columns.
    fn is_wide(&self) -> bool {
        self.columns() >= F::LANES
    }

    /// Rows between a row's two uses: enough that their exponentials overlap, few enough for the first-level cache.
    fn unit_rows(&self) -> usize {
        (UNIT_BYTES / self.row_bytes())
            .next_multiple_of(F::LANES)
            .clamp(F::LANES, STRIPE)
    }

    /// How far ahead of its use a row is fetched; of long rows the hardware does so by itself.
    fn rows_ahead(&self) -> usize {
        let row = self.row_bytes();
        if row > LONG_ROW_BYTES {
            usize::MAX / 2
        } else {
            AHEAD_BYTES / row
        }
    }

    /// Rows a packed tile holds: a whole number of vectors.
    fn packed_rows(&self) -> usize {
        let rows = PACKED_BYTES / self.row_bytes() / F::LANES * F::LANES;
        rows.clamp(F::LANES, STRIPE)
    }
}

/// Residuals × rows, summed over a stripe.
struct GradientLanes<F: Float> {
    /// As many as the columns' whole vectors.
    whole: Vec<F::Array>,
    /// The last columns, where [`Model::rest`] is not zero.
    rest: F::Array,
}

impl<F: Float> GradientLanes<F> {
    #[inline(always)]
    fn none() -> Self {
        GradientLanes {
            whole: Vec::new(),
            rest: F::ZEROS,
        }
    }

    #[inline(always)]
    fn clear(&mut self, columns: usize) {
        self.whole.clear();
        self.whole.resize(columns / F::LANES, F::ZEROS);
        self.rest = F::ZEROS;
    }

    /// Adds a stripe to its block.
    #[inline(always)]
    fn add_to(&self, sums: &mut [f64]) {
        let fresh = sums.len() % F::LANES;
        let (whole, rest) = sums.split_at_mut(sums.len() - fresh);
        for (sums, lanes) in whole.chunks_exact_mut(F::LANES).zip(&self.whole) {
            for (sum, lane) in sums.iter_mut().zip(lanes.as_ref()) {
                *sum += lane.to_f64();
            }
        }
        for (sum, lane) in rest.iter_mut().zip(&self.rest.as_ref()[F::LANES - fresh..]) {
            *sum += lane.to_f64();
        }
    }
}

/// Sums of error, residual and residual × row over the block.
#[inline(always)]
pub(crate) fn block<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_>,
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
        if !model.is_wide() {
            narrow_stripe::<F, A, S>(
                simd,
                points,
                model,
                first,
                count,
                gradient,
                scratch,
                &mut stripe,
                &mut sums,
            );
        } else if is_roomy(simd) && model.row_bytes() <= SHORT_ROW_BYTES {
            wide_stripe::<F, A, S, 8>(
                simd,
                points,
                model,
                first,
                count,
                gradient,
                scratch,
                &mut stripe,
                &mut sums,
            );
        } else {
            wide_stripe::<F, A, S, 4>(
                simd,
                points,
                model,
                first,
                count,
                gradient,
                scratch,
                &mut stripe,
                &mut sums,
            );
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
    let Scratch { packed, z, .. } = scratch;
    let tile_rows = if model.is_wide() {
        model.packed_rows()
    } else {
        STRIPE
    };
    for (t, out) in out.chunks_mut(tile_rows).enumerate() {
        let (first, count) = (first + t * tile_rows, out.len());
        if model.is_wide() {
            let whole = count / F::LANES * F::LANES;
            if whole > 0 {
                let tile = x.row_tile(simd, rows, first, whole, packed);
                Wide::<F, S, 4>::new(simd, model, tile).multiply(simd, 0, whole, z);
                out[..whole].copy_from_slice(&z[..whole]);
            }
            if whole < count {
                let tile = x.padded_tile(rows, first + whole, count - whole, F::LANES, packed);
                Wide::<F, S, 4>::new(simd, model, tile).multiply(simd, 0, F::LANES, z);
                out[whole..].copy_from_slice(&z[..count - whole]);
            }
        } else {
            let tile = x.column_tile(simd, rows, first, count, packed);
            column_products(simd, &tile, model, count, z);
            out.copy_from_slice(&z[..count]);
        }
    }
}

/// A stripe of rows that fill their vectors, a vector's worth of rows after another: the products of the next with the
/// weights go along with those of the last with its residuals, so that memory is read all the time.
#[inline(always)]
fn wide_stripe<F: Float, A: Activation, S: Simd, const ROWS: usize>(
    simd: S,
    points: &Points<'_>,
    model: &Model<'_, F>,
    first: usize,
    count: usize,
    gradient: bool,
    scratch: &mut Scratch<F>,
    stripe: &mut Stripe<F, S>,
    sums: &mut Sums,
) {
    let Scratch {
        packed,
        gradient: lanes,
        z,
        y,
        sample_weight,
        residual,
    } = scratch;
    let x = points.x;
    let y = points.labels(first, count, y);
    let sample_weight = points.sample_weights(first, count, sample_weight, &mut sums.weight);
    if gradient {
        lanes.clear(model.columns());
    }
    let in_place = x.rows_in_place::<F>(points.rows);
    let tile_rows = if in_place {
        STRIPE
    } else {
        model.packed_rows()
    };
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
            x.row_tile(simd, points.rows, at, rows, packed)
        } else {
            x.padded_tile(points.rows, at, rows, F::LANES, packed)
        };
        let wide = Wide::<F, S, ROWS>::new(simd, model, tile);
        let ahead = &mut if in_place {
            x.ahead(points.rows, at.saturating_add(model.rows_ahead()), rows)
        } else {
            x.ahead(points.rows, at + rows, tile_rows)
        };
        wide.multiply(simd, 0, unit.min(rows), z);
        pad(z, unit.min(rows));
        for last in (0..rows).step_by(unit) {
            let count = unit.min(rows - last);
            let sample_weight = sample_weight.map(|s| &s[start + last..]);
            stripe.samples::<A>(simd, z, &y[start + last..], sample_weight, count, residual);
            let next = last + count;
            if !gradient {
                wide.multiply(simd, next, unit.min(rows - next), z);
            } else if next < rows {
                let more = unit.min(rows - next);
                wide.add_and_multiply(simd, (last, count), (next, more), residual, lanes, ahead, z);
            } else {
                wide.add(simd, last, count, residual, lanes, ahead);
            }
        }
        start += rows;
    }
    if gradient {
        lanes.add_to(&mut sums.weights);
    }
}

/// A stripe of rows too short for a vector: a vector's worth of rows at a time, column by column.
#[inline(always)]
fn narrow_stripe<F: Float, A: Activation, S: Simd>(
    simd: S,
    points: &Points<'_>,
    model: &Model<'_, F>,
    first: usize,
    count: usize,
    gradient: bool,
    scratch: &mut Scratch<F>,
    stripe: &mut Stripe<F, S>,
    sums: &mut Sums,
) {
    let Scratch {
        packed,
        z,
        y,
        sample_weight,
        residual,
        ..
    } = scratch;
    let y = points.labels(first, count, y);
    let sample_weight = points.sample_weights(first, count, sample_weight, &mut sums.weight);
    let tile = points
        .x
        .column_tile(simd, points.rows, first, count, packed);
    column_products(simd, &tile, model, count, z);
    pad(z, count);
    stripe.samples::<A>(simd, z, y, sample_weight, count, residual);
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
            let mut lanes = F::ZEROS;
            lanes.as_mut()[..x.len() - at].copy_from_slice(&x[at..]);
            F::Lanes::<S>::load_array(simd, lanes)
        }
    }
}

/// Lane sums of `a · b`.
#[inline(always)]
fn dot<F: Float, S: Simd>(simd: S, a: &[F], b: &[F]) -> F::Lanes<S> {
    let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
    let (whole_a, whole_b) = (F::arrays(a), F::arrays(b));
    for (a, b) in whole_a.iter().zip(whole_b) {
        let a = F::Lanes::<S>::load_array_ref(simd, a);
        sum = a.mul_add_fused(F::Lanes::<S>::load_array_ref(simd, b), sum);
    }
    let at = whole_a.len() * F::LANES;
    if at < a.len() {
        sum = load(simd, a, at).mul_add_fused(load(simd, b, at), sum);
    }
    sum
}

/// `z = Σ_j w_j x_j + b`, column by column over lanes of rows.
#[inline(always)]
fn column_products<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    model: &Model<'_, F>,
    count: usize,
    z: &mut [F; STRIPE],
) {
    for at in (0..count).step_by(F::LANES) {
        let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
        for (j, &weight) in model.weights.iter().enumerate() {
            sum = load(simd, tile.strip(j), at).mul_add_fused(weight, sum);
        }
        (sum + model.bias).store_slice(&mut z[at..at + F::LANES]);
    }
}

/// `x · w + b` of one row, in the order of the kernels above.
#[inline(always)]
pub(crate) fn row_product<F: Float, S: Simd>(simd: S, row: &[F], weights: &[F], bias: F) -> F {
    let model = Model::new(weights, bias);
    if !model.is_wide() {
        let sum = row
            .iter()
            .zip(weights)
            .fold(F::ZERO, |sum, (&x, &w)| x.mul_add(w, sum));
        return sum + bias;
    }
    let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
    for (x, w) in F::arrays(row).iter().zip(F::arrays(weights)) {
        let w = F::Lanes::<S>::load_array_ref(simd, w);
        sums[0] = F::Lanes::<S>::load_array_ref(simd, x).mul_add_fused(w, sums[0]);
    }
    if let Some(w) = model.rest {
        let x = last_lanes::<F, S>(simd, row, taken_lanes::<F, S>(simd, row.len()));
        sums[0] = x.mul_add_fused(F::Lanes::<S>::load_array(simd, w), sums[0]);
    }
    sum_lanes_of_each::<F, S>(&mut sums).as_slice()[0] + bias
}

/// A tile of rows that fill their vectors, in whole vectors of rows.
struct Wide<'a, F: Float, S: Simd, const ROWS: usize> {
    model: &'a Model<'a, F>,
    tile: Strips<'a, F>,
    /// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
    taken: Mask<F, S>,
}

impl<'a, F: Float, S: Simd, const ROWS: usize> Wide<'a, F, S, ROWS> {
    #[inline(always)]
    fn new(simd: S, model: &'a Model<'a, F>, tile: Strips<'a, F>) -> Self {
        let taken = taken_lanes::<F, S>(simd, model.columns());
        Wide { model, tile, taken }
    }

    /// `z_i = x_i · w + b` of `count` rows, each along its columns.
    #[inline(always)]
    fn multiply(&self, simd: S, first: usize, count: usize, z: &mut [F; STRIPE]) {
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
    fn add(
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

    /// Both: [`Wide::add`] of the last rows and [`Wide::multiply`] of the next.
    #[inline(always)]
    fn add_and_multiply(
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

type Mask<F, S> = <<F as Float>::Lanes<S> as SimdBase<S>>::Mask;

/// Lanes of the last, overlapping vector of a row that an earlier vector has already taken.
#[inline(always)]
fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> Mask<F, S> {
    let mut fresh = F::ZEROS;
    fresh.as_mut()[F::LANES - columns % F::LANES..].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, fresh).simd_eq(F::ZERO)
}

/// The last vector's worth of a row, zero where it overlaps the vector before: ∞ there must not meet the weight 0.
#[inline(always)]
fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
