//! Several classes: softmax of a predictor per class, and the formulas over a whole data set, in one pass over `X`.
//!
//! Rows go by in tiles: their predictors, one per class, become residuals and then gradients while the tile is in cache.
//! Sums have the three levels of the kernel for two classes: lanes or rows over a stripe, stripes over a block, blocks in
//! a fixed tree.

mod dense;
mod sparse;
mod stripe;

use std::borrow::Cow;
use std::ops::Range;

use fearless_simd::prelude::*;

use self::dense::Dense;
use self::sparse::SparseSamples;
use self::stripe::Totals;
use super::{Plane, Points, Want, check_length, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::matrix::{Packed, Vector};
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{self, Level, dispatch};
use crate::sparse::{changed, with_rows};

/// W, class by class, and b.
#[derive(Clone, Copy)]
pub(crate) struct Classes<'a, F> {
    weights: &'a [F],
    biases: &'a [F],
    columns: usize,
}

impl<'a, F> Classes<'a, F> {
    /// # Errors
    ///
    /// [`Error::Length`] if `weights` are not `columns` for each of `biases`, or these are none.
    pub(crate) fn new(weights: &'a [F], biases: &'a [F], columns: usize) -> Result<Self, Error> {
        check_length("bias", biases.len(), biases.len().max(1), "one per class")?;
        let expected = biases.len().saturating_mul(columns);
        let unit = "one weight per class and column of X";
        check_length("weights", weights.len(), expected, unit)?;
        Ok(Classes {
            weights,
            biases,
            columns,
        })
    }

    /// K
    fn count(&self) -> usize {
        self.biases.len()
    }

    fn weights_of(&self, class: usize) -> &'a [F] {
        &self.weights[class * self.columns..][..self.columns]
    }
}

/// Sums over samples of weight, error, residual, and residual × row, the last two class by class.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub weight: f64,
    pub error: f64,
    /// Shape (K, n), or none.
    pub weights: Vec<f64>,
    /// Shape (K).
    pub biases: Vec<f64>,
    valid: bool,
}

impl Sums {
    fn zero(weights: usize, classes: usize) -> Self {
        Sums {
            weight: 0.0,
            error: 0.0,
            weights: vec![0.0; weights],
            biases: vec![0.0; classes],
            valid: true,
        }
    }

    fn add(&mut self, other: Sums) {
        self.weight += other.weight;
        self.error += other.error;
        self.valid &= other.valid;
        for (sums, more) in [
            (&mut self.weights, other.weights),
            (&mut self.biases, other.biases),
        ] {
            for (sum, x) in sums.iter_mut().zip(more) {
                *sum += x;
            }
        }
    }
}

/// Memory that a thread reuses for all of its blocks.
struct Scratch<F: Float> {
    packed: Packed<F>,
    panel: Vec<F>,
    tail: Vec<F>,
    lanes: Vec<F>,
    /// Predictors, or what became of them: class k of row i of the tile is at `k · STRIPE + i`.
    z: Vec<F>,
}

impl<F: Float> Scratch<F> {
    fn new(classes: usize) -> Self {
        Scratch {
            packed: Packed::new(),
            panel: Vec::new(),
            tail: Vec::new(),
            lanes: Vec::new(),
            z: vec![F::ZERO; classes * STRIPE],
        }
    }
}

/// Features with a model, tile by tile.
trait Samples<F: Float>: Sync {
    /// Rows of a tile: whole vectors, and a whole number of tiles a stripe.
    fn tile_rows(&self) -> usize;

    /// Predictors of a tile; what `turn` makes of them are residuals, whose products with the rows are added to the sums.
    /// Whether all columns were in range.
    fn tile<S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        scratch: &mut Scratch<F>,
        gradient: Option<&mut Sums>,
        turn: impl FnOnce(&mut [F]),
    ) -> bool;

    /// Adds what a stripe has left in the scratch.
    fn end_stripe(&self, _scratch: &mut Scratch<F>, _sums: &mut Sums) {}

    /// Puts the sums into their order.
    fn end_block(&self, _sums: &mut Sums) {}
}

/// Runs `$body` with `$samples` bound to the features' [`Samples`] of a model.
macro_rules! with_samples {
    ($points:expr, $model:expr, $samples:ident => $body:expr) => {
        match $points.x {
            Features::Dense(x) => {
                let $samples = Dense {
                    x,
                    rows: $points.rows,
                    model: *$model,
                };
                $body
            }
            Features::Sparse(x) => with_rows!(&x, rows => {
                let $samples = SparseSamples {
                    x: rows,
                    rows: $points.rows,
                    turned: Cow::Owned(sparse::turned($model.weights, $model.columns)),
                    biases: $model.biases.iter().map(|b| b.to_f64()).collect(),
                };
                $body
            }),
        }
    };
}

fn blocks(points: &Points<'_>, classes: usize) -> Vec<Range<usize>> {
    match &points.x {
        Features::Dense(x) => {
            parallel::blocks(rows_of(points), x.columns().saturating_mul(classes))
        }
        Features::Sparse(x) => sparse::blocks(x, points.rows, classes),
    }
}

/// The sums over all samples, in one pass over `X`.
///
/// # Errors
///
/// [`Error::Class`] for a label that is no class; [`Error::Element`] for a sample weight out of range; [`Error::Index`] for
/// a column of a sparse matrix out of range; [`Error::NoWeight`]; [`Error::Interrupted`].
pub(crate) fn evaluate<F: Float>(
    points: &Points<'_>,
    model: &Classes<'_, F>,
    want: Want,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sums, Error> {
    evaluate_on(simd::level()?, points, model, want, threads, monitor)
}

/// [`evaluate`] on a given instruction set.
fn evaluate_on<F: Float>(
    level: Level,
    points: &Points<'_>,
    model: &Classes<'_, F>,
    want: Want,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sums, Error> {
    let partials = with_samples!(points, model, samples => parallel::map(
        threads,
        blocks(points, model.count()),
        || Scratch::new(model.count()),
        |scratch, block| dispatch!(level, simd => block_sums::<F, _, _>(simd, points, &samples, model, want, block, scratch)),
        monitor,
    ))?;
    let sums = parallel::combine(partials, Sums::add).unwrap_or_else(|| Sums::zero(0, 0));
    if !sums.valid {
        return Err(first_invalid(points, model.count()));
    }
    if sums.weight <= 0.0 {
        return Err(Error::NoWeight);
    }
    Ok(sums)
}

/// What is out of range.
fn first_invalid(points: &Points<'_>, classes: usize) -> Error {
    let is_class = |y: f64| y >= 0.0 && y < classes as f64 && y == y.trunc();
    match (&points.x, points.y.first_failing(is_class)) {
        (Features::Sparse(x), None) if x.first_invalid().is_some() => points.first_invalid(),
        (_, Some((index, got))) => Error::Class {
            classes,
            got,
            index,
        },
        _ => points.first_invalid_weight().unwrap_or_else(changed),
    }
}

#[inline(always)]
fn block_sums<F: Float, X: Samples<F>, S: Simd>(
    simd: S,
    points: &Points<'_>,
    samples: &X,
    model: &Classes<'_, F>,
    want: Want,
    block: Range<usize>,
    scratch: &mut Scratch<F>,
) -> Sums {
    let classes = model.count();
    let gradient = want == Want::LossAndGradient;
    let mut sums = Sums::zero(if gradient { model.weights.len() } else { 0 }, classes);
    let mut biases = vec![0.0; classes];
    for first in block.clone().step_by(STRIPE) {
        let stripe = STRIPE.min(block.end - first);
        let (mut y, mut s) = ([F::ZERO; STRIPE], [F::ZERO; STRIPE]);
        let y = points.labels(first, stripe, &mut y);
        let s = points.sample_weights(first, stripe, &mut s, &mut sums.weight);
        let mut totals = Totals::<F, S>::new(simd);
        for start in (0..stripe).step_by(samples.tile_rows()) {
            let count = samples.tile_rows().min(stripe - start);
            let target = gradient.then_some(&mut sums);
            let valid = samples.tile(
                simd,
                first + start,
                count,
                scratch,
                target,
                #[inline(always)]
                |z| {
                    stripe::pad(z, count);
                    let s = s.map(|s| &s[start..]);
                    totals.residuals(simd, z, classes, &y[start..], s, count);
                    for (sum, z) in biases.iter_mut().zip(z.chunks_exact(STRIPE)) {
                        *sum += stripe::class_sum::<F, S>(simd, z, count);
                    }
                },
            );
            sums.valid &= valid;
        }
        let (error, valid) = totals.finish();
        sums.error += error;
        sums.valid &= valid;
        if gradient {
            samples.end_stripe(scratch, &mut sums);
        }
    }
    sums.biases = biases;
    samples.end_block(&mut sums);
    sums
}

/// What the predictors of every row become, shape (m, K), written to `out`.
fn map_rows<F: Float>(
    points: &Points<'_>,
    model: &Classes<'_, F>,
    turn: impl Turn<F>,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let level = simd::level()?;
    let classes = model.count();
    let (mut items, mut rest) = (Vec::new(), out);
    for block in blocks(points, classes) {
        let (out, after) = rest.split_at_mut(block.len() * classes);
        items.push((block, out));
        rest = after;
    }
    let valid = with_samples!(points, model, samples => parallel::map(
        threads,
        items,
        || Scratch::new(classes),
        |scratch, (block, out): (Range<usize>, &mut [F])| {
            dispatch!(level, simd => block_rows::<F, _, _>(simd, &samples, turn, classes, block, out, scratch))
        },
        monitor,
    ))?;
    match (&points.x, valid.contains(&false)) {
        (Features::Sparse(x), true) => Err(x.first_invalid().unwrap_or_else(changed)),
        _ => Ok(()),
    }
}

#[inline(always)]
fn block_rows<F: Float, X: Samples<F>, S: Simd>(
    simd: S,
    samples: &X,
    turn: impl Turn<F>,
    classes: usize,
    block: Range<usize>,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) -> bool {
    let mut valid = true;
    let rows = samples.tile_rows();
    for (first, out) in block.step_by(rows).zip(out.chunks_mut(rows * classes)) {
        let count = out.len() / classes;
        valid &= samples.tile(
            simd,
            first,
            count,
            scratch,
            None,
            #[inline(always)]
            |z| {
                stripe::pad(z, count);
                turn.turn(simd, z, classes, count);
                for (i, row) in out.chunks_exact_mut(classes).enumerate() {
                    for (k, out) in row.iter_mut().enumerate() {
                        *out = z[k * STRIPE + i];
                    }
                }
            },
        );
    }
    valid
}

/// What predictors become.
trait Turn<F: Float>: Copy + Send + Sync {
    fn turn<S: Simd>(self, simd: S, z: &mut [F], classes: usize, count: usize);
}

/// `z_k`
#[derive(Clone, Copy)]
struct Predictors;

impl<F: Float> Turn<F> for Predictors {
    #[inline(always)]
    fn turn<S: Simd>(self, _simd: S, _z: &mut [F], _classes: usize, _count: usize) {}
}

/// `p_k`
#[derive(Clone, Copy)]
struct Probabilities;

impl<F: Float> Turn<F> for Probabilities {
    #[inline(always)]
    fn turn<S: Simd>(self, simd: S, z: &mut [F], classes: usize, count: usize) {
        stripe::probabilities(simd, z, classes, count);
    }
}

/// `p_k (1 − p_k)`
#[derive(Clone, Copy)]
struct Slopes;

impl Turn<f64> for Slopes {
    #[inline(always)]
    fn turn<S: Simd>(self, simd: S, z: &mut [f64], classes: usize, count: usize) {
        stripe::slopes(simd, z, classes, count);
    }
}

/// `z_ik = x_i · w_k + b_k`, shape (m, K), written to `out`; in `f64` whatever `X` holds.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn predictors(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    out: &mut [f64],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    map_rows(points, model, Predictors, out, threads, monitor)
}

/// [`kernel::plane`](super::plane()) for several classes: the predictors of a sample are K in a row.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn plane(
    points: &Points<'_>,
    predictors: [&[f64]; 3],
    at: [f64; 2],
    classes: usize,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Plane, Error> {
    let level = simd::level()?;
    let partials = parallel::map(
        threads,
        parallel::blocks(rows_of(points), classes.saturating_mul(4)),
        || [vec![0.0; classes * STRIPE], vec![0.0; classes * STRIPE]],
        |scratch, block: Range<usize>| dispatch!(level, simd => plane_block(simd, points, predictors, at, block, scratch)),
        monitor,
    )?;
    Ok(parallel::combine(partials, Plane::add).unwrap_or_default())
}

#[inline(always)]
fn plane_block<S: Simd>(
    simd: S,
    points: &Points<'_>,
    [z, p, q]: [&[f64]; 3],
    [alpha, beta]: [f64; 2],
    block: Range<usize>,
    [residuals, probabilities]: &mut [Vec<f64>; 2],
) -> Plane {
    let classes = residuals.len() / STRIPE;
    let mut sums = Plane::default();
    for first in block.clone().step_by(STRIPE) {
        let count = STRIPE.min(block.end - first);
        for i in 0..count {
            for k in 0..classes {
                let at = (first + i) * classes + k;
                residuals[k * STRIPE + i] = beta.mul_add(q[at], alpha.mul_add(p[at], z[at]));
            }
        }
        stripe::pad(residuals, count);
        probabilities.copy_from_slice(residuals);
        let (mut y, mut s, mut weight) = ([0.0; STRIPE], [0.0; STRIPE], 0.0);
        let y = points.labels(first, count, &mut y);
        let s = points.sample_weights(first, count, &mut s, &mut weight);
        let mut totals = Totals::<f64, S>::new(simd);
        totals.residuals(simd, residuals, classes, y, s, count);
        stripe::probabilities(simd, probabilities, classes, count);
        sums.error += totals.finish().0;
        for i in 0..count {
            let moved = |k: usize| {
                let at = (first + i) * classes + k;
                (p[at], q[at])
            };
            let (mut mean_p, mut mean_q) = (0.0, 0.0);
            for k in 0..classes {
                let ((p, q), r) = (moved(k), residuals[k * STRIPE + i]);
                sums.slope[0] += r * p;
                sums.slope[1] += r * q;
                mean_p += probabilities[k * STRIPE + i] * p;
                mean_q += probabilities[k * STRIPE + i] * q;
            }
            for k in 0..classes {
                let (p, q) = moved(k);
                let (p, q) = (p - mean_p, q - mean_q);
                let d = s.map_or(1.0, |s| s[i]) * probabilities[k * STRIPE + i];
                sums.curvature[0] += d * p * p;
                sums.curvature[1] += d * p * q;
                sums.curvature[2] += d * q * q;
            }
        }
    }
    sums
}

/// `d_ik = s_i p_ik (1 − p_ik)` of every sample, shape (K, m); in `f64` whatever `X` holds.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn slopes(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (rows_of(points), model.count());
    let unit = "numbers of rows and classes";
    let mut by_rows = crate::error::zeros("X", rows.saturating_mul(classes), unit)?;
    map_rows(points, model, Slopes, &mut by_rows, threads, monitor)?;
    let mut s = vec![1.0; rows];
    if let Some(weights) = points.sample_weight {
        weights.copy(points.rows, 0, &mut s);
    }
    let mut by_classes = vec![0.0; by_rows.len()];
    for (k, out) in by_classes.chunks_exact_mut(rows.max(1)).enumerate() {
        for ((out, d), &s) in out.iter_mut().zip(by_rows.chunks_exact(classes)).zip(&s) {
            // Without weight, what is not a number must not count.
            *out = if s == 0.0 { 0.0 } else { d[k] * s };
        }
    }
    Ok(by_classes)
}

/// `Σ_i s_i (diag(p_i) − p_i p_iᵀ)`, the Hessian of Σ s_i E_i by the biases, of which `slopes` give the diagonal; only the
/// lower triangle is filled.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn bias_hessian(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    slopes: &[f64],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (rows_of(points), model.count());
    let unit = "numbers of rows and classes";
    let mut p = crate::error::zeros("X", rows.saturating_mul(classes), unit)?;
    map_rows(points, model, Probabilities, &mut p, threads, monitor)?;
    let partials = parallel::map(
        threads,
        parallel::blocks(rows, classes.saturating_mul(classes)),
        || (),
        |(), block: Range<usize>| {
            let mut sums = vec![0.0; classes * classes];
            for i in block {
                let s = points
                    .sample_weight
                    .map_or(1.0, |s| s.get(points.rows.at(i)));
                let p = &p[i * classes..][..classes];
                for (k, sums) in sums.chunks_exact_mut(classes).enumerate() {
                    let factor = if s == 0.0 { 0.0 } else { -s * p[k] };
                    for (sum, p) in sums[..k].iter_mut().zip(p) {
                        *sum += if factor == 0.0 { 0.0 } else { factor * p };
                    }
                }
            }
            sums
        },
        monitor,
    )?;
    let mut hessian = parallel::combine(partials, |left: &mut Vec<f64>, right| {
        for (sum, x) in left.iter_mut().zip(right) {
            *sum += x;
        }
    })
    .unwrap_or_default();
    for (k, slopes) in slopes.chunks_exact(rows.max(1)).enumerate() {
        hessian[k * classes + k] = slopes.iter().sum();
    }
    Ok(hessian)
}

/// Gradient of the mean cross-entropy of several classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassGradient<F> {
    /// ∂E/∂W, shape (K, n).
    pub weights: Vec<F>,
    /// ∂E/∂b, shape (K).
    pub biases: Vec<F>,
}

/// Mean cross-entropy of several classes, from one pass over `x`: E = Σ s_i E_i / Σ s_i, in nats per sample.
///
/// With `z_ik = x_i · w_k + b_k`: `E_i = ln Σ_k exp(z_ik) − z_iy`, for any finite `z`.
///
/// Shapes: `x` is (m, n), `y` and `sample_weight` are (m), `weights` is (K, n) and `biases` (K).
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit; [`Error::Class`] for a label other than 0 … K − 1; [`Error::Element`] for a
/// sample weight that is negative or not finite; [`Error::Index`] for a column of a sparse `x` out of range;
/// [`Error::NoWeight`] if the sample weights are all zero; [`Error::Interrupted`] by the monitor.
pub fn class_loss<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[F],
    biases: &[F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<f64, Error> {
    let points = Points::new(x, y, sample_weight)?;
    let model = Classes::new(weights, biases, points.x.columns())?;
    let sums = evaluate(&points, &model, Want::Loss, threads, monitor)?;
    Ok(sums.error / sums.weight)
}

/// Mean cross-entropy of several classes and its gradient, in one pass over the rows of `x`.
///
/// ```text
/// E    = Σ_i s_i (ln Σ_k exp(z_ik) − z_iy) / Σ_i s_i      nats per sample
/// ∂w_k = Σ_i s_i (p_ik − [y_i = k]) x_i / Σ_i s_i         p_ik = exp(z_ik) / Σ_l exp(z_il)
/// ∂b_k = Σ_i s_i (p_ik − [y_i = k]) / Σ_i s_i
/// ```
///
/// Source: C. Bishop, *Pattern Recognition and Machine Learning* (2006), eqs. (4.104), (4.108) and (4.109).
///
/// # Errors
///
/// As [`class_loss`].
pub fn class_loss_gradient<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[F],
    biases: &[F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(f64, ClassGradient<F>), Error> {
    let points = Points::new(x, y, sample_weight)?;
    let model = Classes::new(weights, biases, points.x.columns())?;
    let sums = evaluate(&points, &model, Want::LossAndGradient, threads, monitor)?;
    let mean = |sums_of: &[f64]| {
        let mean = sums_of.iter().map(|sum| F::from_f64(sum / sums.weight));
        mean.collect()
    };
    let gradient = ClassGradient {
        weights: mean(&sums.weights),
        biases: mean(&sums.biases),
    };
    Ok((sums.error / sums.weight, gradient))
}

/// Predicted probabilities of several classes, `p_ik = exp(z_ik) / Σ_l exp(z_il)`, shape (m, K), written to `out`.
///
/// # Errors
///
/// [`Error::Length`] if `weights` or `out` does not fit; [`Error::Index`] for a column of a sparse `x` out of range;
/// [`Error::Interrupted`] by the monitor.
pub fn predict_classes<'a, F: Float>(
    x: impl Into<Features<'a>>,
    weights: &[F],
    biases: &[F],
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let x = x.into();
    let model = Classes::new(weights, biases, x.columns())?;
    let expected = x.rows().saturating_mul(model.count());
    check_length("out", out.len(), expected, "one per row of X and class")?;
    let none = Vector::from_slice(&[]);
    let points = Points {
        x,
        y: &none,
        sample_weight: None,
        rows: crate::matrix::RowSet::All,
    };
    map_rows(&points, &model, Probabilities, out, threads, monitor)
}

/// Softmax of every row of `classes` numbers, `exp(z_k) / Σ_l exp(z_l)`, in place.
///
/// # Errors
///
/// [`Error::Length`] if these are not whole rows; [`Error::Interrupted`] by the monitor.
pub fn softmax_in_place<F: Float>(
    values: &mut [F],
    classes: usize,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    /// Elements a thread takes at a time: some thirty microseconds of work.
    const BLOCK: usize = 1 << 15;
    if classes == 0 || !values.len().is_multiple_of(classes) {
        return Err(Error::Length {
            argument: "z",
            expected: values.len().next_multiple_of(classes.max(1)),
            unit: "whole rows of classes",
            got: values.len(),
        });
    }
    let level = simd::level()?;
    let size = (BLOCK / classes).max(1) * classes;
    parallel::map(
        threads,
        values.chunks_mut(size).collect(),
        || vec![F::ZERO; classes * STRIPE],
        |z, block: &mut [F]| dispatch!(level, simd => softmax_of_rows(simd, block, classes, z)),
        monitor,
    )?;
    Ok(())
}

#[inline(always)]
fn softmax_of_rows<F: Float, S: Simd>(simd: S, values: &mut [F], classes: usize, z: &mut [F]) {
    for rows in values.chunks_mut(STRIPE * classes) {
        let count = rows.len() / classes;
        for (i, row) in rows.chunks_exact(classes).enumerate() {
            for (k, &x) in row.iter().enumerate() {
                z[k * STRIPE + i] = x;
            }
        }
        stripe::pad(z, count);
        stripe::probabilities(simd, z, classes, count);
        for (i, row) in rows.chunks_exact_mut(classes).enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                *x = z[k * STRIPE + i];
            }
        }
    }
}
