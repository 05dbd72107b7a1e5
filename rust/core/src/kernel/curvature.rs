//! The diagonal of the Hessian of the cross-entropy with respect to (w, b), and the Hessian's row for the bias b, in
//! one pass over `X`.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::columns::load;
use super::dataset::{Dataset, rows_of};
use super::dense::{self, DenseScratch};
use super::leaves::sparse_leaves;
use super::parameters::Parameters;
use super::softmax::dense::DenseTiles;
use super::softmax::sparse::SparseTiles;
use super::softmax::{ClassScratch, ClassWeights, add_traces};
use super::sparse::{self, ScaledWeights};
use super::weights::PaddedWeights;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::lanes::sum_lanes;
use crate::math;
use crate::matrix::{DenseRows, Matrix, Packed};
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::simd::dispatch;
use crate::sparse::{Index, Sparse, SparseRows, with_rows};

/// Sums over the rows i. `d_i = s_i σ'(z_i)` is the curvature of a row, with its sample weight s_i and its score z_i,
/// offset included.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Curvature {
    /// Σ s_i, the total weight.
    pub weight: f64,
    /// Σ d_i: the element of the Hessian's diagonal for the bias.
    pub bias: f64,
    /// Σ d_i x_i: the Hessian's row for the bias, shape (n).
    pub cross: Vec<f64>,
    /// Σ d_i x_ij² for each column j: the Hessian's diagonal, shape (n).
    pub diagonal: Vec<f64>,
    /// Σ s_i x_ij² for each column j, with sample weights s_i; shape (n).
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

    /// Adds an element `x` in `column`, of a row with the curvature `d` and the sample weight `s`.
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

    /// Changes the sums as if each column were multiplied by its factor. The factors must be powers of two, so that no
    /// product is rounded.
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

/// [`Curvature`] at `weights` and `bias`. Computed in `f64`, whatever the type of `X`, so that squares of finite `f32`
/// numbers are finite.
///
/// Here, x_ij is `(element − origin) / unit` with the origins and units of `basis`; combinations in `basis` are not
/// subtracted. If the origins are near the means of the columns, variances that are computed from these sums lose no
/// digits by cancellation.
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
    match dataset.x {
        Features::Dense(x) => {
            let weights = PaddedWeights::new(weights, bias);
            dense_sums(dataset, &x, RowCurvatures::At(weights), basis, job)
        }
        Features::Sparse(x) => {
            let weights = ScaledWeights::new(weights, bias);
            sparse_sums(dataset, &x, RowCurvatures::At(weights), basis, job)
        }
    }
}

/// [`Curvature`] with given curvatures `d`, one number per row, instead of curvatures computed at some weights.
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
    match dataset.x {
        Features::Dense(x) => dense_sums(dataset, &x, RowCurvatures::Given(0, d), basis, job),
        Features::Sparse(x) => sparse_sums(dataset, &x, RowCurvatures::Given(0, d), basis, job),
    }
}

/// [`Curvature`] of a model of K classes. The curvature d_i of row i is the trace of the second derivatives of s_i E_i
/// by the scores of the row: `d_i = s_i Σ_k p_ik (1 − p_ik)`. Also returns the Hessian of Σ s_i E_i by the biases,
/// shape (K, K), of which only the lower triangle is filled.
///
/// # Errors
///
/// As [`curvature`].
pub(crate) fn curvature_of_classes(
    dataset: &Dataset<'_>,
    at: &Parameters<'_, f64>,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<(Curvature, Vec<f64>), Error> {
    let (level, classes, columns) = (job.level(), at.scores(), dataset.x.columns());
    let weights = ClassWeights::new(at, columns);
    let hessian = || vec![0.0; classes * classes];
    let scratch = || (ClassScratch::<f64>::new(classes), Vec::new(), Vec::new());
    // Each leaf of rows is read twice: first for the traces, then, while it is in the cache, for the curvature.
    macro_rules! sums {
        ($tiles:expr, $x:expr, $leaves:expr, $memory:expr, $zero:expr) => {{
            let tiles = $tiles;
            map_reduce(
                job,
                $leaves,
                || (scratch(), $memory),
                || ($zero, hessian()),
                |((scratch, slopes, d), memory), (sums, hessian), leaf| {
                    d.resize(leaf.len(), 0.0);
                    dispatch!(level, simd => {
                        add_traces(
                            simd,
                            dataset,
                            &tiles,
                            leaf.clone(),
                            (&mut *scratch, &mut *slopes),
                            d,
                            hessian,
                        );
                        let curvatures = RowCurvatures::Given(leaf.start, &*d);
                        let pass = CurvaturePass { dataset, x: $x, curvatures, basis };
                        pass.leaf(simd, leaf, memory, sums);
                    });
                },
            )
        }};
    }
    match dataset.x {
        Features::Dense(x) => {
            let leaves = Leaves::new(rows_of(dataset), columns + classes * classes);
            let x = x.select(dataset.rows);
            let tiles = DenseTiles::new(x, weights);
            sums!(
                tiles,
                x,
                leaves,
                CurvatureScratch::new(),
                Curvature::zero(columns)
            )
        }
        Features::Sparse(x) => {
            let leaves = sparse_leaves(&x, dataset.rows, classes);
            let (sums, hessian) = with_rows!(&x, dataset.rows, rows => {
                let tiles = SparseTiles::new(rows, &weights);
                sums!(tiles, rows, leaves, Vec::new(), StoredCurvature::zero(basis))
            })?;
            Ok((sums.complete(basis), hessian))
        }
    }
}

/// Where a pass finds the curvatures d_i of the rows: it computes them at weights of the type `W`, or they are given.
enum RowCurvatures<'a, W> {
    At(W),
    /// The number of a row, and the curvatures of the rows from this row on.
    Given(usize, &'a [f64]),
}

/// The inputs of a pass over the rows that computes [`Curvature`].
struct CurvaturePass<'a, X, W> {
    dataset: &'a Dataset<'a>,
    x: X,
    curvatures: RowCurvatures<'a, W>,
    basis: &'a Basis,
}

fn dense_sums(
    dataset: &Dataset<'_>,
    x: &Matrix<'_>,
    curvatures: RowCurvatures<'_, PaddedWeights<'_, f64>>,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Curvature, Error> {
    let level = job.level();
    let pass = CurvaturePass {
        dataset,
        x: x.select(dataset.rows),
        curvatures,
        basis,
    };
    map_reduce(
        job,
        Leaves::new(rows_of(dataset), x.columns()),
        CurvatureScratch::new,
        || Curvature::zero(x.columns()),
        |scratch, sums, leaf| dispatch!(level, simd => pass.leaf(simd, leaf, scratch, sums)),
    )
}

fn sparse_sums(
    dataset: &Dataset<'_>,
    x: &Sparse<'_>,
    curvatures: RowCurvatures<'_, ScaledWeights<'_, f64>>,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Curvature, Error> {
    let level = job.level();
    let sums = with_rows!(x, dataset.rows, rows => {
        let pass = CurvaturePass { dataset, x: rows, curvatures, basis };
        map_reduce(
            job,
            sparse_leaves(x, dataset.rows, 1),
            Vec::new,
            || StoredCurvature::zero(basis),
            |parts, sums, leaf| dispatch!(level, simd => pass.leaf(simd, leaf, parts, sums)),
        )
    })?;
    Ok(sums.complete(basis))
}

/// Scratch memory of one thread.
struct CurvatureScratch {
    scores: DenseScratch<f64>,
    packed: Packed<f64>,
}

impl CurvatureScratch {
    fn new() -> Self {
        CurvatureScratch {
            scores: DenseScratch::new(),
            packed: Packed::new(),
        }
    }
}

/// Curvatures d_i and sample weights s_i of up to 256 rows (a stripe), from row `first` on.
struct StripeCurvatures {
    first: usize,
    count: usize,
    d: [f64; STRIPE],
    s: [f64; STRIPE],
}

impl<X, W> CurvaturePass<'_, X, W> {
    /// Returns the curvatures and sample weights of the rows `rows`, a stripe. Also adds the sum of the curvatures and
    /// the sum of the weights to `sums`. If curvatures are computed from scores, `d` must hold the scores of the rows.
    #[inline(always)]
    fn stripe<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        mut d: [f64; STRIPE],
        sums: &mut Curvature,
    ) -> StripeCurvatures {
        let (first, count) = (rows.start, rows.len());
        let mut s = [0.0; STRIPE];
        let z = &mut d[..count];
        match &self.curvatures {
            RowCurvatures::At(_) => {
                row_curvatures(simd, self.dataset, first, z, &mut s[..count]);
            }
            RowCurvatures::Given(start, d) => {
                z.copy_from_slice(&d[rows.start - start..rows.end - start]);
                row_weights(self.dataset, first, &mut s[..count]);
            }
        }
        sums.bias += lane_sum(simd, &d[..count]);
        sums.weight += lane_sum(simd, &s[..count]);
        StripeCurvatures { first, count, d, s }
    }
}

/// For at most 256 rows, from `first` on: replaces the scores in `d` (without offsets) by the curvatures
/// `d_i = s_i σ'(z_i)`, and writes the sample weights s_i to `sample_weight`.
#[inline(always)]
pub(super) fn row_curvatures<X, S: Simd>(
    simd: S,
    dataset: &Dataset<'_, X>,
    first: usize,
    d: &mut [f64],
    sample_weight: &mut [f64],
) {
    dataset.add_offsets(first, d);
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

/// Writes the sample weights s_i of the rows from `first` on, or ones if there are no sample weights.
#[inline(always)]
fn row_weights<X>(dataset: &Dataset<'_, X>, first: usize, sample_weight: &mut [f64]) {
    match dataset.sample_weight {
        None => sample_weight.fill(1.0),
        Some(s) => s.copy(dataset.rows, first, sample_weight),
    }
}

impl CurvaturePass<'_, DenseRows<'_>, PaddedWeights<'_, f64>> {
    /// Adds the rows of `leaf` to `sums`.
    #[inline(always)]
    fn leaf<S: Simd>(
        &self,
        simd: S,
        leaf: Range<usize>,
        scratch: &mut CurvatureScratch,
        sums: &mut Curvature,
    ) {
        let CurvatureScratch { scores, packed } = scratch;
        for first in leaf.clone().step_by(STRIPE) {
            let rows = first..leaf.end.min(first + STRIPE);
            let mut z = [0.0; STRIPE];
            if let RowCurvatures::At(weights) = &self.curvatures {
                dense::scores(simd, &self.x, weights, first, &mut z[..rows.len()], scores);
            }
            let stripe = self.stripe(simd, rows, z, sums);
            if self.basis.columns() < 8 {
                self.add_narrow_columns(simd, &stripe, packed, sums);
            } else {
                self.add_rows(simd, &stripe, packed, sums);
            }
        }
    }

    /// Adds a stripe of rows to `sums`, column by column. For rows that are shorter than a SIMD vector.
    #[inline(always)]
    fn add_narrow_columns<S: Simd>(
        &self,
        simd: S,
        stripe: &StripeCurvatures,
        packed: &mut Packed<f64>,
        sums: &mut Curvature,
    ) {
        let (origin, per_unit) = (self.basis.origin(), self.basis.per_unit());
        let tile = self.x.column_tile(simd, stripe.first, stripe.count, packed);
        for j in 0..self.basis.columns() {
            let [cross, diagonal, squares] =
                stripe.column_sums(simd, tile.strip(j), origin[j], per_unit[j]);
            sums.cross[j] += cross;
            sums.diagonal[j] += diagonal;
            sums.squares[j] += squares;
        }
    }

    /// Adds a stripe of rows to `sums`, row by row. For rows that fill a SIMD vector.
    #[inline(always)]
    fn add_rows<S: Simd>(
        &self,
        simd: S,
        stripe: &StripeCurvatures,
        packed: &mut Packed<f64>,
        sums: &mut Curvature,
    ) {
        /// How many rows are copied at once, if they cannot be used in place.
        const ROWS: usize = 32;
        let StripeCurvatures { first, count, d, s } = stripe;
        let (basis, columns) = (self.basis, self.basis.columns());
        let (origin, per_unit) = (&basis.origin()[..columns], &basis.per_unit()[..columns]);
        for start in (0..*count).step_by(ROWS) {
            let rows = ROWS.min(count - start);
            let first = first + start;
            let tile = self.x.transposed_row_tile(simd, first, rows, packed);
            for i in 0..rows {
                let (row, d, s) = (tile.strip(i), d[start + i], s[start + i]);
                if s == 0.0 {
                    continue; // a row of weight 0 may hold NaN or ∞
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
}

/// [`Curvature`] over the stored elements of sparse rows. Also the numbers that are needed to add the elements that are
/// not stored, the zeros.
#[derive(Clone, Debug)]
struct StoredCurvature {
    /// The sums over the stored elements. With a [moderate](Basis::is_moderate) basis, units are applied at the end, to
    /// the sums instead of to each element.
    sums: Curvature,
    /// The number of rows of positive weight.
    rows: usize,
    /// For each column, sums over the rows that store it. Empty with a moderate basis: all its origins are zero, so
    /// that elements that are not stored add nothing.
    stored: Vec<Stored>,
}

/// The rows that store a column: their number, and sums over them.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    rows: usize,
    /// The sum of the curvatures of the rows that store the column.
    d: f64,
    /// The sum of the sample weights of the rows that store the column.
    s: f64,
}

impl Sum for StoredCurvature {
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

impl StoredCurvature {
    fn zero(basis: &Basis) -> Self {
        let columns = basis.columns();
        let is_plain = basis.is_moderate();
        StoredCurvature {
            sums: Curvature::zero(columns),
            rows: 0,
            stored: vec![Stored::default(); if is_plain { 0 } else { columns }],
        }
    }

    /// The sums over all elements: the stored ones, and the zeros that are not stored.
    fn complete(self, basis: &Basis) -> Curvature {
        let (origin, per_unit) = (basis.origin(), basis.per_unit());
        let mut sums = self.sums;
        if self.stored.is_empty() {
            sums.multiply_columns(per_unit);
        }
        for (column, stored) in self.stored.iter().enumerate() {
            // Whether some row does not store the column is decided by the numbers of rows. The sums of curvatures
            // would not tell: the sum over all rows minus the sum over the rows that store the column may be nothing
            // but rounding error.
            if stored.rows < self.rows && origin[column] != 0.0 {
                let x = -origin[column] * per_unit[column];
                sums.add_element(column, x, sums.bias - stored.d, sums.weight - stored.s);
            }
        }
        sums
    }
}

impl<F: Float, I: Index> CurvaturePass<'_, SparseRows<'_, F, I>, ScaledWeights<'_, f64>> {
    /// Adds the rows of `leaf` to `sums`.
    #[inline(always)]
    fn leaf<S: Simd>(
        &self,
        simd: S,
        leaf: Range<usize>,
        parts: &mut Vec<(usize, f64)>,
        sums: &mut StoredCurvature,
    ) {
        let (origin, per_unit) = (self.basis.origin(), self.basis.per_unit());
        for first in leaf.clone().step_by(STRIPE) {
            let rows = first..leaf.end.min(first + STRIPE);
            let mut z = [0.0; STRIPE];
            if let RowCurvatures::At(weights) = &self.curvatures {
                // Column indices out of range are skipped here and below.
                sparse::row_products(&self.x, weights, first, &mut z[..rows.len()]);
            }
            let StripeCurvatures { count, d, s, .. } = self.stripe(simd, rows, z, &mut sums.sums);
            for i in 0..count {
                let (d, s) = (d[i], s[i]);
                if s == 0.0 {
                    continue; // a row of weight 0 may hold NaN or ∞
                }
                sums.rows += 1;
                // `visit` adds up the parts of an element that is stored several times, so that squares are squares of
                // whole elements.
                if sums.stored.is_empty() {
                    self.x.visit(first + i, parts, |column, x| {
                        sums.sums.add_element(column, x, d, s);
                    });
                    continue;
                }
                self.x.visit(first + i, parts, |column, x| {
                    let (Some(origin), Some(per_unit)) = (origin.get(column), per_unit.get(column))
                    else {
                        return;
                    };
                    sums.sums.add_element(column, (x - origin) * per_unit, d, s);
                    if let Some(stored) = sums.stored.get_mut(column) {
                        stored.rows += 1;
                        stored.d += d;
                        stored.s += s;
                    }
                });
            }
        }
    }
}

impl StripeCurvatures {
    /// Sums of one column over the rows of the stripe: Σ d x, Σ d x² and Σ s x². Here x is (element − origin) ·
    /// per_unit, d the curvature and s the sample weight of a row.
    #[inline(always)]
    fn column_sums<S: Simd>(&self, simd: S, x: &[f64], origin: f64, per_unit: f64) -> [f64; 3] {
        let zero = f64x8::<S>::splat(simd, 0.0);
        let [mut cross, mut diagonal, mut squares] = [zero; 3];
        for at in (0..x.len()).step_by(8) {
            let [x, d, s] = [x, &self.d, &self.s].map(|x| load::<f64, S>(simd, x, at));
            let x = s.simd_eq(zero).select(zero, (x - origin) * per_unit);
            let dx = d * x;
            cross += dx;
            diagonal += dx * x;
            squares += s * x * x;
        }
        [cross, diagonal, squares].map(sum_lanes::<f64, S>)
    }
}

/// The sum of `values`. Eight partial sums, each of every eighth value, are computed first and then added.
#[inline(always)]
fn lane_sum<S: Simd>(simd: S, values: &[f64]) -> f64 {
    let zero = f64x8::<S>::splat(simd, 0.0);
    let lanes = (0..values.len()).step_by(8);
    sum_lanes::<f64, S>(lanes.fold(zero, |sum, at| sum + load::<f64, S>(simd, values, at)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::elements::Elements;
    use crate::kernel::softmax::slopes;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;
    use crate::vector::Vector;

    /// The pass over the rows of K classes gives the sums of [`curvature_of`], and the Hessian by the biases.
    #[test]
    fn sums_of_classes_are_those_of_their_curvatures() {
        for (m, n, classes) in [(1, 1, 3), (300, 3, 5), (2500, 12, 9), (520, 130, 6)] {
            let mut random = Random::new((m * n * classes) as u64);
            let mut number = || random.uniform() * 4.0 - 2.0;
            let mut x: Vec<f64> = (0..m * n).map(|_| number()).collect();
            let s: Vec<f64> = (0..m)
                .map(|i| (i % 4) as f64 * 0.5 + f64::from(m == 1))
                .collect();
            let weights: Vec<f64> = (0..classes * n).map(|_| number() / n as f64).collect();
            let biases: Vec<f64> = (0..classes).map(|_| number()).collect();
            x[0] = if m > 1 { f64::INFINITY } else { x[0] }; // of weight 0
            let y = vec![0.0; m];
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
            let dataset = Dataset::new(&matrix, &y, Some(&s)).unwrap();
            let at = Parameters::of_classes(&weights, &biases);
            let basis = Basis::new(vec![0.25; n], vec![2.0; n]);
            let mut first: Option<(Curvature, Vec<f64>)> = None;
            for threads in [1, 2, 7] {
                let mut monitor = Unmonitored;
                let threads = Threads::new(Some(threads)).unwrap();
                let mut job = Job::new(threads, &mut monitor).unwrap();
                let (sums, hessian) =
                    curvature_of_classes(&dataset, &at, &basis, &mut job).unwrap();
                let by_class = slopes(&dataset, &at, &mut job).unwrap();
                let mut traces = vec![0.0; m];
                for d in by_class.chunks_exact(m) {
                    traces.iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
                }
                let want = curvature_of(&dataset, &traces, &basis, &mut job).unwrap();
                let close = |got: f64, want: f64| (got - want).abs() <= 1e-11 * (1.0 + want.abs());
                let pairs = [
                    (&sums.cross, &want.cross),
                    (&sums.diagonal, &want.diagonal),
                    (&sums.squares, &want.squares),
                ];
                for (got, want) in pairs {
                    assert!(got.iter().zip(want).all(|(got, want)| close(*got, *want)));
                }
                assert!(close(sums.bias, want.bias) && close(sums.weight, want.weight));
                // Each row of the Hessian sums to zero over the classes.
                for k in 0..classes {
                    let place = |l: usize| k.max(l) * classes + k.min(l);
                    let sum: f64 = (0..classes).map(|l| hessian[place(l)]).sum();
                    let diagonal: f64 = by_class[k * m..(k + 1) * m].iter().sum();
                    assert!(close(hessian[place(k)], diagonal) && sum.abs() <= 1e-11 * m as f64);
                }
                match &first {
                    None => first = Some((sums, hessian)),
                    Some((other, others)) => {
                        assert!(sums.diagonal == other.diagonal && sums.cross == other.cross);
                        assert_eq!(hessian, *others);
                    }
                }
            }
        }
    }
}
