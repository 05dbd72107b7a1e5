//! Scores, and sums over rows, that are accurate to nearly the last bit. Error bounds are proved from them.
//!
//! Each dot product and each sum over rows is kept in two numbers: its rounded value, and the rounding error of this
//! value. The result is as if computed with twice the digits and then rounded once. This takes several times the
//! additions of the fast kernels, but no more reads of `X`.
//!
//! Source: T. Ogita, S. Rump & S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005),
//! doi:10.1137/030601818, algorithms 3.1 and 5.3.

use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::dataset::{Dataset, LabelBuffers, rows_of};
use super::each_row::{for_counted, sum_rows};
use super::leaves::sparse_leaves;
use super::softmax;
use super::twofold::Twofold;
use crate::elementwise::{self, Function};
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::math;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_into, map_reduce, map_reduce_into};
use crate::simd::{MulAdd, dispatch};
use crate::sparse::with_rows;

const LANES: usize = 8;

/// The scores `z_ik = x_i · w_k + b_k`, plus offsets, of all rows i.
#[derive(Clone, Debug)]
pub(crate) struct ExactScores {
    /// The scores, shape (m, K). 0 in rows of weight 0, whose scores must not count even if they overflow.
    pub z: Vec<f64>,
    /// The largest Σ_j |x_ij w_kj| + |b_k| + |offset_ik| over the rows i of positive weight and the classes k.
    /// [`score_error`] needs it.
    pub magnitude: f64,
}

/// Upper bound on the error that a score of [`exact_scores`] has before it is rounded to `f64`. `magnitude` is
/// [`ExactScores::magnitude`], and `columns` is n.
pub(crate) fn score_error(magnitude: f64, columns: usize) -> f64 {
    let terms = columns as f64 + 3.0;
    (terms * f64::EPSILON).powi(2) * magnitude
}

/// The scores of all rows at `weights`, shape (K, n), and K biases.
///
/// # Errors
///
/// [`Error::Memory`] if the scores cannot be allocated; [`Error::Interrupted`] by the monitor.
pub(crate) fn exact_scores(
    dataset: &Dataset<'_>,
    weights: &[f64],
    biases: &[f64],
    job: &mut Job<'_>,
) -> Result<ExactScores, Error> {
    let level = job.level();
    let (m, n, classes) = (rows_of(dataset), dataset.x.columns(), biases.len());
    let mut z = zeros("X", m.saturating_mul(classes), "scores")?;
    let leaves = Leaves::new(m, n.saturating_mul(4 * classes));
    let out = (z.as_mut_slice(), classes);
    let scratch = || {
        (
            vec![0.0; n.next_multiple_of(LANES)],
            Vec::new(),
            vec![0.0; classes],
        )
    };
    let padded: Vec<f64> = weights
        .chunks_exact(n)
        .flat_map(|w| w.iter().copied().chain(padding(n)))
        .collect();
    let padded = &padded;
    let is_counted = |i: usize| {
        dataset
            .sample_weight
            .is_none_or(|s| s.get::<f64>(dataset.rows.at(i)) != 0.0)
    };
    let offsets = |i: usize, out: &mut [f64]| {
        if !dataset.offsets.is_empty() {
            let row = dataset.rows.at(i);
            (out.iter_mut().enumerate()).for_each(|(k, out)| *out = dataset.offset_of(row, k));
        }
    };
    let largest = match dataset.x {
        Features::Dense(x) => map_into(
            job,
            leaves,
            out,
            scratch,
            |(row, _, shift): &mut (Vec<f64>, Vec<_>, Vec<f64>), stretch, out| {
                let mut largest: f64 = 0.0;
                for (i, out) in stretch.zip(out.chunks_exact_mut(classes)) {
                    if is_counted(i) {
                        x.copy_row(dataset.rows.at(i), &mut row[..n]);
                        offsets(i, shift);
                        let at = (padded.as_slice(), biases, shift.as_slice());
                        let magnitude = dispatch!(level, simd => row_scores(simd, row, at, out));
                        largest = largest.max(magnitude);
                    }
                }
                largest
            },
        ),
        Features::Sparse(x) => with_rows!(&x, dataset.rows, rows => map_into(
            job,
            leaves,
            out,
            scratch,
            |(_, parts, shift): &mut (Vec<f64>, Vec<_>, Vec<f64>), stretch, out| {
                let mut largest: f64 = 0.0;
                let mut sums = vec![(Twofold::default(), 0.0); classes];
                for (i, out) in stretch.zip(out.chunks_exact_mut(classes)) {
                    if !is_counted(i) {
                        continue;
                    }
                    offsets(i, shift);
                    for (sum, (&b, offset)) in sums.iter_mut().zip(biases.iter().zip(&*shift)) {
                        *sum = (Twofold::new(b), b.abs() + offset.abs());
                        sum.0.add(*offset);
                    }
                    rows.visit(i, parts, |column, x| {
                        for (k, (sum, magnitude)) in sums.iter_mut().enumerate() {
                            let Some(&w) = weights.get(k * n + column) else { continue };
                            sum.add_product(x, w);
                            *magnitude += (x * w).abs();
                        }
                    });
                    for (out, (sum, magnitude)) in out.iter_mut().zip(&sums) {
                        *out = sum.value();
                        largest = largest.max(*magnitude);
                    }
                }
                largest
            },
        )),
    }?;
    Ok(ExactScores {
        z,
        magnitude: largest.into_iter().fold(0.0, f64::max),
    })
}

fn padding(n: usize) -> impl Iterator<Item = f64> {
    std::iter::repeat_n(0.0, n.next_multiple_of(LANES) - n)
}

/// Writes the scores of a row to `out`. Returns the largest Σ_j |x_j w_kj| + |b_k| + |offset_k| over the classes k. The
/// row and the weights must be padded with zeros to whole vectors.
#[inline(always)]
fn row_scores<S: Simd>(
    simd: S,
    row: &[f64],
    (weights, biases, offsets): (&[f64], &[f64], &[f64]),
    out: &mut [f64],
) -> f64 {
    let zero = f64x8::<S>::splat(simd, 0.0);
    let mut largest: f64 = 0.0;
    let starts = biases.iter().zip(offsets);
    for ((w, (&b, &offset)), out) in weights.chunks_exact(row.len()).zip(starts).zip(out) {
        let [mut high, mut low, mut magnitude] = [zero; 3];
        for (x, w) in row.chunks_exact(LANES).zip(w.chunks_exact(LANES)) {
            let x = f64x8::<S>::from_slice(simd, x);
            let w = f64x8::<S>::from_slice(simd, w);
            let product = x * w;
            let sum = high + product;
            let taken = sum - high;
            low += (high - (sum - taken)) + (product - taken);
            low += x.mul_add_fused(w, -product);
            high = sum;
            magnitude += product.abs();
        }
        let mut sum = Twofold::new(b);
        sum.add(offset);
        for (high, low) in high.as_slice().iter().zip(low.as_slice()) {
            sum.add(*high);
            sum.low += low;
        }
        *out = sum.value();
        let magnitude = magnitude.as_slice().iter().sum::<f64>() + b.abs() + offset.abs();
        largest = largest.max(magnitude);
    }
    largest
}

/// Residuals of all rows, computed from their scores; and sums of the errors of the rows.
#[derive(Clone, Debug)]
pub(crate) struct Residuals {
    /// The residuals s_i (ŷ_ik − y_ik), shape (m, K); 0 in rows of weight 0. Their relative error is at most 4 ε, where
    /// ε is `f64::EPSILON`; if a label lies strictly between 0 and 1, their absolute error is at most 4 ε s_i.
    pub values: Vec<f64>,
    /// The sums of the rows' errors.
    pub errors: Errors,
}

/// The residuals and errors of all rows, from the scores `z`, shape (m, K).
///
/// # Errors
///
/// [`Error::Memory`] if the residuals cannot be allocated; [`Error::Interrupted`] by the monitor.
pub(crate) fn residuals(
    dataset: &Dataset<'_>,
    z: &[f64],
    job: &mut Job<'_>,
) -> Result<Residuals, Error> {
    let level = job.level();
    let m = rows_of(dataset);
    let classes = z.len() / m.max(1);
    let mut values = zeros("X", z.len(), "residuals")?;
    let sums = map_reduce_into(
        job,
        Leaves::new(m, 4 * classes),
        (&mut values, classes),
        || vec![0.0; classes * STRIPE],
        Errors::default,
        |scratch, sums, leaf, out| {
            let z = &z[leaf.start * classes..leaf.end * classes];
            let stripes = z
                .chunks(STRIPE * classes)
                .zip(out.chunks_mut(STRIPE * classes));
            for (k, (z, out)) in stripes.enumerate() {
                let first = leaf.start + k * STRIPE;
                let [weight, error] = dispatch!(level, simd => stripe_residuals(simd, dataset, first, z, scratch, out));
                sums.weight.add(weight);
                sums.error.add(error);
                let labels = first..first + z.len() / classes;
                let y = labels.map(|i| dataset.y.get::<f64>(dataset.rows.at(i)));
                sums.is_fractional |= classes == 1 && y.into_iter().any(|y| 0.0 < y && y < 1.0);
            }
        },
    )?;
    Ok(Residuals {
        values,
        errors: sums,
    })
}

/// Sums over some rows: of the sample weights, and of the weighted errors; and whether a label lies strictly between 0
/// and 1.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Errors {
    weight: Twofold,
    error: Twofold,
    /// Whether a label of a model with one score lies strictly between 0 and 1.
    pub is_fractional: bool,
}

impl Errors {
    /// Σ s_i E_i, the weighted sum of the errors of the rows; and Σ s_i, the sum of the sample weights.
    pub(crate) fn error_and_weight(&self) -> (f64, f64) {
        (self.error.value(), self.weight.value())
    }
}

impl Sum for Errors {
    fn add(&mut self, right: &Self) {
        self.weight.add_twofold(right.weight);
        self.error.add_twofold(right.error);
        self.is_fractional |= right.is_fractional;
    }

    fn clear(&mut self) {
        *self = Errors::default();
    }
}

/// Writes the residuals of up to 256 rows to `out`, from the scores `z` of these rows. Returns the sums of their sample
/// weights and of their weighted errors.
#[inline(always)]
fn stripe_residuals<S: Simd>(
    simd: S,
    dataset: &Dataset<'_>,
    first: usize,
    z: &[f64],
    scratch: &mut [f64],
    out: &mut [f64],
) -> [f64; 2] {
    let classes = scratch.len() / STRIPE;
    let count = z.len() / classes;
    for (i, row) in z.chunks_exact(classes).enumerate() {
        for (k, &z) in row.iter().enumerate() {
            scratch[k * STRIPE + i] = z;
        }
    }
    let mut buffers = LabelBuffers::new();
    let labels = dataset.labels(first..first + count, &mut buffers);
    let mut error = 0.0;
    if classes > 1 {
        error = softmax::stripe_residuals(simd, scratch, classes, &labels);
    } else {
        for at in (0..count).step_by(LANES) {
            let z = f64x8::<S>::from_slice(simd, &scratch[at..at + LANES]);
            let y = f64x8::<S>::from_slice(simd, &labels.y[at..at + LANES]);
            let sample = math::cross_entropy(z, y);
            let one = (math::log1p(sample.t) + sample.linear, sample.residual);
            for i in at..count.min(at + LANES) {
                let s = labels.sample_weight.map_or(1.0, |s| s[i]);
                scratch[i] = s * one.1.as_slice()[i - at];
                error += s * one.0.as_slice()[i - at];
            }
        }
    }
    for (i, row) in out.chunks_exact_mut(classes).enumerate() {
        for (k, out) in row.iter_mut().enumerate() {
            *out = scratch[k * STRIPE + i];
        }
    }
    [labels.total(), error]
}

/// Pearson's χ² of a model with one score: Σ s_i (ŷ_i − y_i)² / (ŷ_i (1 − ŷ_i)), from the scores `z` of all rows.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn chi_square(
    dataset: &Dataset<'_>,
    z: &[f64],
    job: &mut Job<'_>,
) -> Result<f64, Error> {
    let level = job.level();
    map_reduce(
        job,
        Leaves::new(z.len(), 4),
        || (),
        || 0.0,
        |(), sum, leaf| {
            for first in leaf.clone().step_by(STRIPE) {
                let z = &z[first..leaf.end.min(first + STRIPE)];
                *sum += dispatch!(level, simd => stripe_chi_square(simd, dataset, first, z));
            }
        },
    )
}

#[inline(always)]
fn stripe_chi_square<S: Simd>(simd: S, dataset: &Dataset<'_>, first: usize, z: &[f64]) -> f64 {
    let count = z.len();
    let mut scores = [0.0; STRIPE];
    scores[..count].copy_from_slice(z);
    let mut buffers = LabelBuffers::new();
    let labels = dataset.labels(first..first + count, &mut buffers);
    let mut sum = 0.0;
    for at in (0..count).step_by(LANES) {
        let z = f64x8::<S>::from_slice(simd, &scores[at..at + LANES]);
        let y = f64x8::<S>::from_slice(simd, &labels.y[at..at + LANES]);
        let sample = math::cross_entropy(z, y);
        // With t = exp(−|z|): ŷ (1 − ŷ) = t / (1 + t)².
        let root = sample.residual * (sample.t + 1.0);
        let squares = root * root / sample.t;
        for (i, square) in (at..count).zip(squares.as_slice()) {
            match labels.sample_weight.map_or(1.0, |s| s[i]) {
                0.0 => {}
                s => sum += s * square,
            }
        }
    }
    sum
}

/// The second derivatives of s_i E_i by the scores of row i, for every row i.
pub(crate) struct Curvatures {
    classes: usize,
    /// For one score s_i σ'(z_i), shape (m). For several classes s_i p_ik, shape (m, K), with the probabilities p_ik.
    values: Vec<f64>,
    /// For several classes, the probabilities p_ik; otherwise empty.
    probabilities: Vec<f64>,
}

/// The second derivatives of s_i E_i by the scores of row i, for every row i. `z` has the scores, shape (m, K).
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn curvatures(
    dataset: &Dataset<'_>,
    z: &[f64],
    job: &mut Job<'_>,
) -> Result<Curvatures, Error> {
    let classes = z.len() / rows_of(dataset).max(1);
    let mut values = z.to_vec();
    let mut probabilities = Vec::new();
    if classes == 1 {
        elementwise::apply_in_place(Function::SigmoidDerivative, &mut values, job)?;
    } else {
        softmax::softmax_in_place(&mut values, classes, job)?;
        probabilities = values.clone();
    }
    if let Some(s) = dataset.sample_weight {
        for (i, values) in values.chunks_exact_mut(classes).enumerate() {
            let s: f64 = s.get(dataset.rows.at(i));
            for d in values {
                *d = if s == 0.0 { 0.0 } else { *d * s };
            }
        }
    }
    Ok(Curvatures {
        classes,
        values,
        probabilities,
    })
}

impl Curvatures {
    /// For each row, the second derivative by its scores z_k and z_l: s p_k (1 − p_k) if k = l, and −s p_k p_l
    /// otherwise, with the sample weight s and the probabilities p_k. For a model with one score, s σ'(z).
    pub(crate) fn of_pair(&self, k: usize, l: usize) -> Vec<f64> {
        if self.classes == 1 {
            return self.values.clone();
        }
        let rows = self.values.chunks_exact(self.classes);
        let rows = rows.zip(self.probabilities.chunks_exact(self.classes));
        rows.map(|(sp, p)| match k == l {
            // 1 − p_k is computed as the sum of the other probabilities p_l, because digits of the difference would
            // cancel for p_k near 1.
            true => {
                sp[k]
                    * (0..self.classes)
                        .filter(|&l| l != k)
                        .map(|l| p[l])
                        .sum::<f64>()
            }
            false => -sp[k] * p[l],
        })
        .collect()
    }

    /// For each row, the trace of its second derivatives: Σ_k ∂²(s E)/∂z_k².
    pub(crate) fn traces(&self) -> Vec<f64> {
        let mut traces = self.of_pair(0, 0);
        for k in 1..self.classes {
            let of_class = self.of_pair(k, k);
            traces
                .iter_mut()
                .zip(of_class)
                .for_each(|(sum, d)| *sum += d);
        }
        traces
    }
}

/// Σ residual × row over all rows, and numbers from which bounds on its rounding error follow. x̃_i is row i as
/// transformed by a basis. r_ik is s_i (ŷ_ik − y_ik), the weighted residual of row i for class k.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// Σ s_i, the sum of the sample weights.
    pub weight: f64,
    /// Σ s_i E_i, the weighted sum of the errors of the rows.
    pub error: f64,
    /// Σ residual × (row, 1), shape (K, n + 1). For each class k: Σ_i r_ik x̃_ij for all columns j, and last Σ_i r_ik.
    pub sums: Vec<f64>,
    /// Sums over the rows of |r_ik x̃_ij| and |r_ik|, which bound rounding errors: the error of `sums` is at most 16 ε
    /// times these numbers. If labels lie strictly between 0 and 1, s_i replaces |r_ik|, because digits of ŷ − y may
    /// then cancel.
    pub magnitudes: Vec<f64>,
    /// The largest squared norm of (x̃_i, 1) ∘ `scale` over the rows i of positive weight, where ∘ multiplies
    /// componentwise.
    pub longest: f64,
}

impl Moments {
    /// The moments of all rows, from `errors`, the sums of the rows' errors, and `sums`, the result of [`moment_sums`]
    /// over all rows.
    pub(crate) fn new(errors: &Errors, sums: MomentSums) -> Self {
        let (error, weight) = errors.error_and_weight();
        Moments {
            weight,
            error,
            sums: sums.sums.into_iter().map(Twofold::value).collect(),
            magnitudes: sums.magnitudes,
            longest: sums.longest,
        }
    }
}

/// The sums of [`Moments`] over the rows of a dataset, transformed by `basis`. `residuals` has the weighted residuals
/// r_ik of these rows, shape (m, K), and `is_fractional` says whether some labels lie strictly between 0 and 1.
/// `scale`, shape (n + 1), has a factor for each column, and last a factor for the bias. Only [`Moments::longest`]
/// depends on `scale`.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn moment_sums(
    dataset: &Dataset<'_>,
    basis: &Basis,
    (residuals, is_fractional): (&[f64], bool),
    scale: &[f64],
    job: &mut Job<'_>,
) -> Result<MomentSums, Error> {
    let n = basis.columns();
    let order = n + 1;
    let classes = residuals.len() / rows_of(dataset).max(1);
    let cancelled = |i: usize, r: f64| {
        let s = dataset.sample_weight.filter(|_| is_fractional);
        match (is_fractional, s) {
            (false, _) => r.abs(),
            (true, None) => 1.0,
            (true, Some(s)) => s.get(dataset.rows.at(i)),
        }
    };
    let zero = || MomentSums {
        sums: vec![Twofold::default(); classes * order],
        magnitudes: vec![0.0; classes * order],
        longest: 0.0,
    };
    let of_row = |i: usize| &residuals[i * classes..][..classes];
    match dataset.x {
        Features::Sparse(x) if !basis.is_combined() => {
            // An element that is not stored is 0, and adds nothing if the origin of its column is zero.
            let (origin, per_unit) = (basis.origin(), basis.per_unit());
            let shifted: Vec<usize> = (0..n).filter(|&j| origin[j] != 0.0).collect();
            with_rows!(&x, dataset.rows, rows => map_reduce(
                job,
                sparse_leaves(&x, dataset.rows, classes),
                || (Vec::new(), vec![0.0; shifted.len()]),
                zero,
                |(parts, values), total, leaf| for_counted(dataset, leaf, |i| {
                    let mut squares = 0.0;
                    let mut add = |column: usize, x: f64| {
                        squares += (x * scale[column]) * (x * scale[column]);
                        for (k, &r) in of_row(i).iter().enumerate() {
                            total.sums[k * order + column].add(r * x);
                            total.magnitudes[k * order + column] += cancelled(i, r) * x.abs();
                        }
                    };
                    values.fill(0.0);
                    rows.visit(i, parts, |column, x| match shifted.binary_search(&column) {
                        Ok(at) => values[at] = x,
                        Err(_) if column < n => add(column, x * per_unit[column]),
                        Err(_) => {}
                    });
                    for (&column, x) in shifted.iter().zip(&*values) {
                        add(column, (x - origin[column]) * per_unit[column]);
                    }
                    add(n, 1.0);
                    total.longest = total.longest.max(squares);
                }),
            ))
        }
        _ => sum_rows(
            dataset,
            4 * (classes + 1),
            || vec![0.0; order],
            zero,
            |low, total, i, row| {
                basis.enter(&mut row[..n], low);
                row[n] = 1.0;
                let squares = row.iter().zip(scale).map(|(x, s)| (x * s) * (x * s));
                total.longest = total.longest.max(squares.sum());
                for (k, &r) in of_row(i).iter().enumerate() {
                    let range = k * order..(k + 1) * order;
                    for (sum, x) in total.sums[range.clone()].iter_mut().zip(&*row) {
                        sum.add(r * x);
                    }
                    let r = cancelled(i, r);
                    for (sum, x) in total.magnitudes[range].iter_mut().zip(&*row) {
                        *sum += r * x.abs();
                    }
                }
            },
            job,
        ),
    }
}

/// The sums over some rows from which [`Moments`] are made.
#[derive(Deserialize, Serialize)]
pub(crate) struct MomentSums {
    sums: Vec<Twofold>,
    magnitudes: Vec<f64>,
    longest: f64,
}

impl Sum for MomentSums {
    fn add(&mut self, right: &Self) {
        for (sum, &x) in self.sums.iter_mut().zip(&right.sums) {
            sum.add_twofold(x);
        }
        self.magnitudes.add(&right.magnitudes);
        self.longest = self.longest.max(right.longest);
    }

    fn clear(&mut self) {
        self.sums.fill(Twofold::default());
        self.magnitudes.fill(0.0);
        self.longest = 0.0;
    }
}
