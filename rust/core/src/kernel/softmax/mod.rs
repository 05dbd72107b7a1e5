//! Several classes: softmax of a predictor per class, and the formulas over a whole data set, in one pass over `X`.
//!
//! Rows go by in tiles: their predictors, one per class, become residuals and then gradients while the tile is in cache.
//! Sums have the three levels of the kernel for two classes: lanes or rows over a stripe, stripes over a block, blocks in
//! a fixed tree.

mod dense;
mod predictors;
mod sparse;
mod stripe;

use std::ops::Range;

use fearless_simd::prelude::*;

use self::predictors::{Turn, map_rows};
pub(crate) use self::predictors::{bias_hessian, plane, predictors, slopes};
use self::stripe::Totals;
use super::{Points, Want, check_length, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::matrix::Packed;
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{self, Level, dispatch};
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

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
    /// Rows of a tile: whole vectors, and no more than a stripe.
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
            $crate::features::Features::Dense(x) => {
                let rows = $points.rows;
                let $samples = $crate::kernel::softmax::dense::Dense::new(x, rows, *$model);
                $body
            }
            $crate::features::Features::Sparse(x) => $crate::sparse::with_rows!(&x, x => {
                let rows = $points.rows;
                let $samples = $crate::kernel::softmax::sparse::SparseSamples::new(x, rows, $model);
                $body
            }),
        }
    };
}
use with_samples;

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
/// a column of a sparse matrix out of range; [`Error::TotalWeight`]; [`Error::Interrupted`].
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
        return Err(first_invalid::<F>(points, model.count()));
    }
    points.check_total::<F>(sums.weight)?;
    Ok(sums)
}

/// What is out of range.
fn first_invalid<F: Float>(points: &Points<'_>, classes: usize) -> Error {
    let is_class = |y: f64| y >= 0.0 && y < classes as f64 && y == y.trunc();
    match (&points.x, points.y.first_failing(is_class)) {
        (Features::Sparse(x), None) if x.first_invalid().is_some() => points.first_invalid::<F>(),
        (_, Some((index, got))) => Error::Class {
            classes,
            got,
            index,
        },
        _ => points.check_weights::<F>().err().unwrap_or_else(changed),
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

/// Residuals of a stripe of rows in place of their scores, class k of row i at `k · STRIPE + i`, times their sample weights;
/// returns the sum of their errors.
#[inline(always)]
pub(super) fn stripe_residuals<S: Simd>(
    simd: S,
    z: &mut [f64],
    classes: usize,
    y: &[f64],
    sample_weight: Option<&[f64]>,
    count: usize,
) -> f64 {
    stripe::pad(z, count);
    let mut totals = Totals::<f64, S>::new(simd);
    totals.residuals(simd, z, classes, y, sample_weight, count);
    totals.finish().0
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
/// [`Error::TotalWeight`] if the sample weights have no usable sum; [`Error::Interrupted`] by the monitor.
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
    let turn = Turn::Probabilities;
    map_features(x.into(), weights, biases, turn, out, threads, monitor)
}

/// `z_ik = x_i · w_k + b_k`, shape (m, K), written to `out`.
///
/// # Errors
///
/// As [`predict_classes`].
pub fn class_decision_function<'a, F: Float>(
    x: impl Into<Features<'a>>,
    weights: &[F],
    biases: &[F],
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let turn = Turn::Predictors;
    map_features(x.into(), weights, biases, turn, out, threads, monitor)
}

/// [`map_rows`] of features alone.
fn map_features<F: Float>(
    x: Features<'_>,
    weights: &[F],
    biases: &[F],
    turn: Turn,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let model = Classes::new(weights, biases, x.columns())?;
    let expected = x.rows().saturating_mul(model.count());
    check_length("out", out.len(), expected, "one per row of X and class")?;
    let none = Vector::from_slice(&[]);
    let points = Points {
        x,
        y: &none,
        sample_weight: None,
        rows: RowSet::All,
    };
    map_rows(&points, &model, turn, out, threads, monitor)
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
