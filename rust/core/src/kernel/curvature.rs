//! The diagonal of the Hessian, and its row of the bias, in one pass over `X`.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use super::basis::Basis;
use super::columns::load;
use super::dataset::{Dataset, rows_of};
use super::dense;
use super::leaves::sparse_leaves;
use super::model::Model;
use super::sparse::{self, Scaled};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::lanes::sum_lanes;
use crate::math;
use crate::matrix::{Matrix, Packed};
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::simd::dispatch;
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
}

impl Sum for Curvature {
    fn add(&mut self, right: &Self) {
        self.weight += right.weight;
        self.bias += right.bias;
        self.cross.add(&right.cross);
        self.diagonal.add(&right.diagonal);
        self.squares.add(&right.squares);
    }

    fn clear(&mut self) {
        (self.weight, self.bias) = (0.0, 0.0);
        for sums in [&mut self.cross, &mut self.diagonal, &mut self.squares] {
            Sum::clear(sums);
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
    dataset: &Dataset<'_>,
    weights: &[f64],
    bias: f64,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Curvature, Error> {
    let slopes = Slopes::OfModel((weights, bias));
    sums(dataset, &slopes, basis, job)
}

/// [`Curvature`] with given `d_i`, one per row.
///
/// # Errors
///
/// As [`curvature`].
pub(crate) fn curvature_of(
    dataset: &Dataset<'_>,
    d: &[f64],
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Curvature, Error> {
    sums(dataset, &Slopes::Given(d), basis, job)
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
    dataset: &Dataset<'_>,
    slopes: &Slopes<'a, (&'a [f64], f64)>,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Curvature, Error> {
    let (level, count, columns) = (job.level(), rows_of(dataset), dataset.x.columns());
    match dataset.x {
        Features::Dense(x) => {
            let (dataset, slopes) = (dataset.with(x), slopes.with(Model::new));
            map_reduce(
                job,
                Leaves::new(count, columns),
                Scratch::new,
                || Curvature::zero(columns),
                |scratch, sums, rows| dispatch!(level, simd => add_leaf(simd, &dataset, &slopes, basis, rows, scratch, sums)),
            )
        }
        Features::Sparse(x) => {
            let (dataset, slopes) = (dataset.with(x), slopes.with(Scaled::new));
            let sums = with_rows!(&x, stored => {
                map_reduce(
                    job,
                    sparse_leaves(&x, dataset.rows, 1),
                    Vec::new,
                    || SparseSums::zero(basis),
                    |parts, sums, rows| dispatch!(level, simd => sums.add_leaf(simd, &dataset, &stored, &slopes, basis, rows, parts)),
                )
            })?;
            Ok(sums.complete(basis))
        }
    }
}

/// Memory that a thread reuses for all of its leaves.
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
    dataset: &Dataset<'_, X>,
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
    row_weights(dataset, first, sample_weight);
    if dataset.sample_weight.is_some() {
        for (d, &s) in d.iter_mut().zip(sample_weight.iter()) {
            *d = if s == 0.0 { 0.0 } else { *d * s };
        }
    }
}

/// `s_i` of some samples.
#[inline(always)]
fn row_weights<X>(dataset: &Dataset<'_, X>, first: usize, sample_weight: &mut [f64]) {
    match dataset.sample_weight {
        None => sample_weight.fill(1.0),
        Some(s) => s.copy(dataset.rows, first, sample_weight),
    }
}

/// Adds the rows of a leaf.
#[inline(always)]
fn add_leaf<S: Simd>(
    simd: S,
    dataset: &Dataset<'_, Matrix<'_>>,
    slopes: &Slopes<'_, Model<'_, f64>>,
    basis: &Basis,
    leaf: Range<usize>,
    scratch: &mut Scratch,
    sums: &mut Curvature,
) {
    let Scratch { dense, packed } = scratch;
    let columns = basis.columns();
    let (origin, per_unit) = (basis.origin(), basis.per_unit());
    for first in leaf.clone().step_by(STRIPE) {
        let count = STRIPE.min(leaf.end - first);
        let ([mut d, mut s], rows) = ([[0.0; STRIPE]; 2], 0..count);
        let z = &mut d[rows.clone()];
        match slopes {
            Slopes::OfModel(model) => {
                dense::scores(simd, &dataset.x, dataset.rows, model, first, z, dense);
                row_curvatures(simd, dataset, first, z, &mut s[rows]);
            }
            Slopes::Given(d) => {
                z.copy_from_slice(&d[first..first + count]);
                row_weights(dataset, first, &mut s[rows]);
            }
        }
        sums.bias += lane_sum(simd, &d[..count]);
        sums.weight += lane_sum(simd, &s[..count]);
        if columns < 8 {
            let tile = dataset
                .x
                .column_tile(simd, dataset.rows, first, count, packed);
            for j in 0..columns {
                let [cross, diagonal, squares] =
                    column_sums(simd, tile.strip(j), origin[j], per_unit[j], &d, &s);
                sums.cross[j] += cross;
                sums.diagonal[j] += diagonal;
                sums.squares[j] += squares;
            }
        } else {
            add_rows(dataset, first, count, basis, &d, &s, packed, sums);
        }
    }
}

/// Rows of at least a vector, one after the other.
#[inline(always)]
fn add_rows(
    dataset: &Dataset<'_, Matrix<'_>>,
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
        let tile = dataset
            .x
            .row_tile(dataset.rows, first + start, rows, packed);
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

/// Sums over rows of a sparse matrix.
#[derive(Clone, Debug)]
struct SparseSums {
    /// Over what is stored: without origins of elements as they are, to be brought into units in the end.
    sums: Curvature,
    /// Rows of positive weight.
    rows: usize,
    /// Where a column that is not stored is not zero, what the rows that store it weigh.
    stored: Vec<Stored>,
}

/// The rows that store some column.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    rows: usize,
    /// Σ d_i and Σ s_i over these.
    d: f64,
    s: f64,
}

impl Sum for SparseSums {
    fn add(&mut self, right: &Self) {
        self.sums.add(&right.sums);
        self.rows += right.rows;
        for (sum, stored) in self.stored.iter_mut().zip(&right.stored) {
            sum.rows += stored.rows;
            sum.d += stored.d;
            sum.s += stored.s;
        }
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.rows = 0;
        self.stored.fill(Stored::default());
    }
}

impl SparseSums {
    fn zero(basis: &Basis) -> Self {
        let columns = basis.columns();
        let is_plain = basis.is_moderate();
        SparseSums {
            sums: Curvature::zero(columns),
            rows: 0,
            stored: vec![Stored::default(); if is_plain { 0 } else { columns }],
        }
    }

    /// Adds the rows of a leaf.
    #[inline(always)]
    fn add_leaf<F: Float, I: Index, S: Simd>(
        &mut self,
        simd: S,
        dataset: &Dataset<'_, Sparse<'_>>,
        x: &Rows<'_, F, I>,
        slopes: &Slopes<'_, Scaled<'_, f64>>,
        basis: &Basis,
        leaf: Range<usize>,
        parts: &mut Vec<(usize, f64)>,
    ) {
        let (origin, per_unit) = (basis.origin(), basis.per_unit());
        for first in leaf.clone().step_by(STRIPE) {
            let count = STRIPE.min(leaf.end - first);
            let ([mut d, mut s], rows) = ([[0.0; STRIPE]; 2], 0..count);
            let z = &mut d[rows.clone()];
            match slopes {
                Slopes::OfModel(model) => {
                    sparse::row_products(x, dataset.rows, model, first, z); // columns out of range are left out below
                    row_curvatures(simd, dataset, first, z, &mut s[rows]);
                }
                Slopes::Given(d) => {
                    z.copy_from_slice(&d[first..first + count]);
                    row_weights(dataset, first, &mut s[rows]);
                }
            }
            self.sums.bias += lane_sum(simd, &d[..count]);
            self.sums.weight += lane_sum(simd, &s[..count]);
            for i in 0..count {
                let (d, s) = (d[i], s[i]);
                if s == 0.0 {
                    continue; // a row without weight may hold anything
                }
                self.rows += 1;
                let row = dataset.rows.at(first + i);
                // A square needs the sum of what is stored in parts.
                if self.stored.is_empty() {
                    x.visit(row, parts, |column, x| {
                        self.sums.add_element(column, x, d, s)
                    });
                    continue;
                }
                x.visit(row, parts, |column, x| {
                    let (Some(origin), Some(per_unit)) = (origin.get(column), per_unit.get(column))
                    else {
                        return;
                    };
                    self.sums.add_element(column, (x - origin) * per_unit, d, s);
                    if let Some(stored) = self.stored.get_mut(column) {
                        stored.rows += 1;
                        stored.d += d;
                        stored.s += s;
                    }
                });
            }
        }
    }

    /// With what is not stored.
    fn complete(self, basis: &Basis) -> Curvature {
        let (origin, per_unit) = (basis.origin(), basis.per_unit());
        let mut sums = self.sums;
        if self.stored.is_empty() {
            sums.multiply_columns(per_unit);
        }
        for (column, stored) in self.stored.iter().enumerate() {
            // The count tells nothing left from what rounding leaves of a difference.
            if stored.rows < self.rows && origin[column] != 0.0 {
                let x = -origin[column] * per_unit[column];
                sums.add_element(column, x, sums.bias - stored.d, sums.weight - stored.s);
            }
        }
        sums
    }
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
