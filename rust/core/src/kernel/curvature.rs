//! The diagonal of the Hessian, and its row of the bias, in one pass over `X`.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use super::basis::Basis;
use super::columns::load;
use super::dense;
use super::model::Model;
use super::sparse::{self, Scaled};
use super::{Points, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::math;
use crate::matrix::{Matrix, Packed};
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{self, dispatch, sum_lanes};
use crate::sparse::{Index, Rows, Sparse, with_rows};

/// Sums over the samples, with `d_i = s_i σ'(z_i)` and `z = X w + b`.
#[derive(Clone, Debug)]
pub(crate) struct Curvature {
    /// Σ s_i
    pub weight: f64,
    /// Σ d_i
    pub bias: f64,
    /// Σ d_i x_i, shape (n).
    pub cross: Vec<f64>,
    /// Σ d_i x_ij², shape (n).
    pub diagonal: Vec<f64>,
    /// Σ s_i x_ij², shape (n).
    pub squares: Vec<f64>,
}

impl Curvature {
    fn zero(columns: usize) -> Self {
        Curvature {
            weight: 0.0,
            bias: 0.0,
            cross: vec![0.0; columns],
            diagonal: vec![0.0; columns],
            squares: vec![0.0; columns],
        }
    }

    /// Adds one element of a row.
    #[inline(always)]
    fn add_element(&mut self, column: usize, x: f64, d: f64, s: f64) {
        let (cross, diagonal) = (self.cross.get_mut(column), self.diagonal.get_mut(column));
        let squares = self.squares.get_mut(column);
        if let (Some(cross), Some(diagonal), Some(squares)) = (cross, diagonal, squares) {
            let dx = d * x;
            *cross += dx;
            *diagonal += dx * x;
            *squares += s * x * x;
        }
    }

    /// Multiplies the columns by powers of two.
    fn multiply_columns(&mut self, factors: &[f64]) {
        let sums = self
            .cross
            .iter_mut()
            .zip(&mut self.diagonal)
            .zip(&mut self.squares);
        for (((cross, diagonal), squares), factor) in sums.zip(factors) {
            *cross *= factor;
            *diagonal *= factor * factor;
            *squares *= factor * factor;
        }
    }

    fn add(&mut self, other: Curvature) {
        self.weight += other.weight;
        self.bias += other.bias;
        for (sums, more) in [
            (&mut self.cross, other.cross),
            (&mut self.diagonal, other.diagonal),
            (&mut self.squares, other.squares),
        ] {
            for (sum, x) in sums.iter_mut().zip(more) {
                *sum += x;
            }
        }
    }
}

/// [`Curvature`] at `weights` and `bias`, in `f64` whatever `X` holds: a square of a finite `f32` is then finite.
///
/// The columns are seen from the basis's origins, in its units; combinations are not taken out. From near their means, no
/// digits of their variance cancel.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn curvature(
    points: &Points<'_>,
    weights: &[f64],
    bias: f64,
    basis: &Basis,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Curvature, Error> {
    let slopes = Slopes::OfModel((weights, bias));
    sums(points, &slopes, basis, threads, monitor)
}

/// [`Curvature`] with given `d_i`, one per sample.
///
/// # Errors
///
/// As [`curvature`].
pub(crate) fn curvature_of(
    points: &Points<'_>,
    d: &[f64],
    basis: &Basis,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Curvature, Error> {
    sums(points, &Slopes::Given(d), basis, threads, monitor)
}

/// Where the `d_i` come from.
enum Slopes<'a, M> {
    OfModel(M),
    Given(&'a [f64]),
}

impl<'a> Slopes<'a, (&'a [f64], f64)> {
    /// The weights and bias in the form that a kernel reads.
    fn with<M>(&self, model: impl FnOnce(&'a [f64], f64) -> M) -> Slopes<'a, M> {
        match *self {
            Slopes::OfModel((weights, bias)) => Slopes::OfModel(model(weights, bias)),
            Slopes::Given(d) => Slopes::Given(d),
        }
    }
}

fn sums<'a>(
    points: &Points<'_>,
    slopes: &Slopes<'a, (&'a [f64], f64)>,
    basis: &Basis,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Curvature, Error> {
    let level = simd::level()?;
    let (samples, columns) = (rows_of(points), points.x.columns());
    let partials = match points.x {
        Features::Dense(x) => {
            let (points, slopes) = (points.with(x), slopes.with(Model::new));
            parallel::map(
                threads,
                parallel::blocks(samples, columns),
                Scratch::new,
                |scratch, block: Range<usize>| dispatch!(level, simd => block_sums(simd, &points, &slopes, basis, block, scratch)),
                monitor,
            )?
        }
        Features::Sparse(x) => {
            let (points, slopes) = (points.with(x), slopes.with(Scaled::new));
            with_rows!(&x, rows => {
                parallel::map(
                    threads,
                    sparse::blocks(&x, points.rows),
                    || (),
                    |(), block| dispatch!(level, simd => sparse_block_sums(simd, &points, &rows, &slopes, basis, block)),
                    monitor,
                )
            })?
        }
    };
    Ok(parallel::combine(partials, Curvature::add).unwrap_or_else(|| Curvature::zero(columns)))
}

/// Memory that a thread reuses for all of its blocks.
struct Scratch {
    dense: dense::Scratch<f64>,
    packed: Packed<f64>,
}

impl Scratch {
    fn new() -> Self {
        Scratch {
            dense: dense::Scratch::new(),
            packed: Packed::new(),
        }
    }
}

/// `d_i = s_i σ'(z_i)`, in place of `z_i`, and `s_i`, of up to a stripe of samples.
#[inline(always)]
pub(super) fn row_curvatures<X, S: Simd>(
    simd: S,
    points: &Points<'_, X>,
    first: usize,
    d: &mut [f64],
    sample_weight: &mut [f64],
) {
    for lanes in d.chunks_mut(8) {
        let mut z = [0.0; 8];
        z[..lanes.len()].copy_from_slice(lanes);
        let slope = math::sigmoid_derivative(f64x8::<S>::from_slice(simd, &z));
        lanes.copy_from_slice(&slope.as_slice()[..lanes.len()]);
    }
    row_weights(points, first, sample_weight);
    if points.sample_weight.is_some() {
        for (d, &s) in d.iter_mut().zip(sample_weight.iter()) {
            *d = if s == 0.0 { 0.0 } else { *d * s };
        }
    }
}

/// `s_i` of some samples.
#[inline(always)]
fn row_weights<X>(points: &Points<'_, X>, first: usize, sample_weight: &mut [f64]) {
    match points.sample_weight {
        None => sample_weight.fill(1.0),
        Some(s) => s.copy(points.rows, first, sample_weight),
    }
}

#[inline(always)]
fn block_sums<S: Simd>(
    simd: S,
    points: &Points<'_, Matrix<'_>>,
    slopes: &Slopes<'_, Model<'_, f64>>,
    basis: &Basis,
    block: Range<usize>,
    scratch: &mut Scratch,
) -> Curvature {
    let Scratch { dense, packed } = scratch;
    let columns = basis.columns();
    let (origin, per_unit) = (basis.origin(), basis.per_unit());
    let mut sums = Curvature::zero(columns);
    for first in block.clone().step_by(STRIPE) {
        let count = STRIPE.min(block.end - first);
        let ([mut d, mut s], rows) = ([[0.0; STRIPE]; 2], 0..count);
        let z = &mut d[rows.clone()];
        match slopes {
            Slopes::OfModel(model) => {
                dense::predictors(simd, &points.x, points.rows, model, first, z, dense);
                row_curvatures(simd, points, first, z, &mut s[rows]);
            }
            Slopes::Given(d) => {
                z.copy_from_slice(&d[first..first + count]);
                row_weights(points, first, &mut s[rows]);
            }
        }
        sums.bias += lane_sum(simd, &d[..count]);
        sums.weight += lane_sum(simd, &s[..count]);
        if columns < 8 {
            let tile = points
                .x
                .column_tile(simd, points.rows, first, count, packed);
            for j in 0..columns {
                let [cross, diagonal, squares] =
                    column_sums(simd, tile.strip(j), origin[j], per_unit[j], &d, &s);
                sums.cross[j] += cross;
                sums.diagonal[j] += diagonal;
                sums.squares[j] += squares;
            }
        } else {
            add_rows(points, first, count, basis, &d, &s, packed, &mut sums);
        }
    }
    sums
}

/// Rows of at least a vector, one after the other.
#[inline(always)]
fn add_rows(
    points: &Points<'_, Matrix<'_>>,
    first: usize,
    count: usize,
    basis: &Basis,
    d: &[f64; STRIPE],
    s: &[f64; STRIPE],
    packed: &mut Packed<f64>,
    sums: &mut Curvature,
) {
    /// Rows packed at once, where they have to be.
    const ROWS: usize = 32;
    let columns = basis.columns();
    let (origin, per_unit) = (&basis.origin()[..columns], &basis.per_unit()[..columns]);
    for start in (0..count).step_by(ROWS) {
        let rows = ROWS.min(count - start);
        let tile = points.x.row_tile(points.rows, first + start, rows, packed);
        for i in 0..rows {
            let (row, d, s) = (tile.strip(i), d[start + i], s[start + i]);
            if s == 0.0 {
                continue; // a row without weight may hold anything
            }
            let (cross, diagonal, squares) = (
                &mut sums.cross[..columns],
                &mut sums.diagonal[..columns],
                &mut sums.squares[..columns],
            );
            for j in 0..columns {
                let x = (row[j] - origin[j]) * per_unit[j];
                let dx = d * x;
                cross[j] += dx;
                diagonal[j] += dx * x;
                squares[j] += s * x * x;
            }
        }
    }
}

/// The same over rows of a sparse matrix.
#[inline(always)]
fn sparse_block_sums<F: Float, I: Index, S: Simd>(
    simd: S,
    points: &Points<'_, Sparse<'_>>,
    x: &Rows<'_, F, I>,
    slopes: &Slopes<'_, Scaled<'_, f64>>,
    basis: &Basis,
    block: Range<usize>,
) -> Curvature {
    let mut sums = Curvature::zero(points.x.columns());
    let mut parts = Vec::new();
    let (origin, per_unit) = (basis.origin(), basis.per_unit());
    // Without origins, the sums are of elements as they are stored, and brought into units in the end.
    let is_plain = basis.is_moderate();
    // What the rows that store a column weigh, where one that does not store it is not zero.
    let mut stored = vec![Stored::default(); if is_plain { 0 } else { origin.len() }];
    let mut counted = 0;
    for first in block.clone().step_by(STRIPE) {
        let count = STRIPE.min(block.end - first);
        let ([mut d, mut s], rows) = ([[0.0; STRIPE]; 2], 0..count);
        let z = &mut d[rows.clone()];
        match slopes {
            Slopes::OfModel(model) => {
                sparse::row_products(x, points.rows, model, first, z); // columns out of range are left out below
                row_curvatures(simd, points, first, z, &mut s[rows]);
            }
            Slopes::Given(d) => {
                z.copy_from_slice(&d[first..first + count]);
                row_weights(points, first, &mut s[rows]);
            }
        }
        sums.bias += lane_sum(simd, &d[..count]);
        sums.weight += lane_sum(simd, &s[..count]);
        for i in 0..count {
            let (d, s) = (d[i], s[i]);
            if s == 0.0 {
                continue; // a row without weight may hold anything
            }
            counted += 1;
            let row = points.rows.at(first + i);
            // A square needs the sum of what is stored in parts.
            if is_plain {
                x.visit(row, &mut parts, |column, x| {
                    sums.add_element(column, x, d, s)
                });
                continue;
            }
            x.visit(row, &mut parts, |column, x| {
                let (Some(origin), Some(per_unit)) = (origin.get(column), per_unit.get(column))
                else {
                    return;
                };
                sums.add_element(column, (x - origin) * per_unit, d, s);
                if let Some(stored) = stored.get_mut(column) {
                    stored.rows += 1;
                    stored.d += d;
                    stored.s += s;
                }
            });
        }
    }
    if is_plain {
        sums.multiply_columns(per_unit);
    }
    for (column, stored) in stored.iter().enumerate() {
        // The count tells nothing left from what rounding leaves of a difference.
        if stored.rows < counted && origin[column] != 0.0 {
            let x = -origin[column] * per_unit[column];
            sums.add_element(column, x, sums.bias - stored.d, sums.weight - stored.s);
        }
    }
    sums
}

/// The rows of a block that store some column.
#[derive(Clone, Copy, Default)]
struct Stored {
    rows: usize,
    /// Σ d_i and Σ s_i over these.
    d: f64,
    s: f64,
}

/// Σ d x, Σ d x², Σ s x² of one column, in eight interleaved sums.
#[inline(always)]
fn column_sums<S: Simd>(
    simd: S,
    x: &[f64],
    origin: f64,
    per_unit: f64,
    d: &[f64; STRIPE],
    s: &[f64; STRIPE],
) -> [f64; 3] {
    let zero = f64x8::<S>::splat(simd, 0.0);
    let [mut cross, mut diagonal, mut squares] = [zero; 3];
    for at in (0..x.len()).step_by(8) {
        let [x, d, s] = [x, d, s].map(|x| load::<f64, S>(simd, x, at));
        let x = s.simd_eq(zero).select(zero, (x - origin) * per_unit);
        let dx = d * x;
        cross += dx;
        diagonal += dx * x;
        squares += s * x * x;
    }
    [cross, diagonal, squares].map(sum_lanes::<f64, S>)
}

#[inline(always)]
fn lane_sum<S: Simd>(simd: S, values: &[f64]) -> f64 {
    let zero = f64x8::<S>::splat(simd, 0.0);
    let lanes = (0..values.len()).step_by(8);
    sum_lanes::<f64, S>(lanes.fold(zero, |sum, at| sum + load::<f64, S>(simd, values, at)))
}
