//! All samples: the formulas over a whole data set, in one pass over `X`.

mod basis;
mod columns;
mod cross_entropy;
mod curvature;
mod dense;
mod gram;
mod labels;
mod model;
mod plane;
mod point;
mod points;
mod precise;
mod ranges;
mod rows;
pub(crate) mod softmax;
pub(crate) mod sparse;
mod stripe;
mod subset;
#[cfg(test)]
mod tests;

use std::ops::Range;

use fearless_simd::prelude::*;

pub(crate) use self::basis::Basis;
pub use self::cross_entropy::cross_entropy;
pub(crate) use self::curvature::{Curvature, curvature, curvature_of};
use self::dense::Scratch;
pub use self::gram::hessian;
pub(crate) use self::gram::{Gram, gram, gram_of};
pub(crate) use self::labels::{ClassCounts, Labels, Target, labels, target};
use self::model::Model;
pub(crate) use self::plane::{Plane, plane};
pub(crate) use self::point::{PointDescent, PointUpdate, Recorder};
use self::points::{LABELS, WEIGHTS, is_label, is_weight};
pub(crate) use self::points::{Points, rows_of};
pub(crate) use self::precise::{
    Curvatures, Scores, curvatures, gather, moments, residuals, scores, sum_rows,
};
pub(crate) use self::ranges::{Ranges, Span, ranges};
pub use self::softmax::{
    ClassGradient, class_decision_function, class_loss, class_loss_gradient, predict_classes,
    softmax_in_place,
};
pub(crate) use self::subset::{Subset, stratified};
use crate::activation::Activation;
use crate::elementwise::{self, Function};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::matrix::Matrix;
use crate::parallel::{self, Monitor, Threads, Unmonitored};
use crate::simd::{self, Level, dispatch};
use crate::vector::{RowSet, Vector};

/// Sums over samples of weight, error, residual, and residual × row.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub weight: f64,
    pub error: f64,
    pub weights: Vec<f64>,
    pub bias: f64,
    pub valid: bool,
}

impl Sums {
    pub(crate) fn zero(columns: usize) -> Self {
        Sums {
            weight: 0.0,
            error: 0.0,
            weights: vec![0.0; columns],
            bias: 0.0,
            valid: true,
        }
    }

    fn add(&mut self, other: Sums) {
        self.weight += other.weight;
        self.error += other.error;
        self.bias += other.bias;
        self.valid &= other.valid;
        for (sum, x) in self.weights.iter_mut().zip(&other.weights) {
            *sum += x;
        }
    }

    /// Mean error in nats (or fraction misclassified).
    pub(crate) fn mean_error(&self) -> f64 {
        self.error / self.weight
    }
}

/// Whether the products of residuals and rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Loss,
    LossAndGradient,
}

/// The sums over all samples, in one pass over `X`.
///
/// # Errors
///
/// [`Error::Length`] if `weights` does not fit; [`Error::Element`] for a label or sample weight out of range;
/// [`Error::Index`] for a column of a sparse matrix out of range; [`Error::TotalWeight`]; [`Error::Interrupted`].
pub(crate) fn evaluate<F: Float>(
    points: &Points<'_>,
    weights: &[F],
    bias: F,
    activation: Activation,
    want: Want,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sums, Error> {
    evaluate_on(
        simd::level()?,
        points,
        weights,
        bias,
        activation,
        want,
        threads,
        monitor,
    )
}

/// [`evaluate`] on a given instruction set.
fn evaluate_on<F: Float>(
    level: Level,
    points: &Points<'_>,
    weights: &[F],
    bias: F,
    activation: Activation,
    want: Want,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sums, Error> {
    check_length(
        "weights",
        weights.len(),
        points.x.columns(),
        "one weight per column of X",
    )?;
    let gradient = want == Want::LossAndGradient;
    let partials = match points.x {
        Features::Dense(x) => {
            let points = points.with(x);
            let model = Model::new(weights, bias);
            let count = points.rows.count(x.rows());
            parallel::map(
                threads,
                parallel::blocks(count, x.columns()),
                Scratch::<F>::new,
                |scratch, block: Range<usize>| dispatch!(level, simd => dense::block(simd, &points, &model, activation, block, gradient, scratch)),
                monitor,
            )?
        }
        Features::Sparse(x) => sparse::evaluate(
            level,
            &points.with(x),
            weights,
            bias,
            activation,
            gradient,
            threads,
            monitor,
        )?,
    };
    let sums = parallel::combine(partials, Sums::add).unwrap_or_else(|| Sums::zero(0));
    if !sums.valid {
        return Err(points.first_invalid::<F>());
    }
    points.check_total::<F>(sums.weight)?;
    Ok(sums)
}

/// Gradient of the mean cross-entropy.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient<F> {
    /// ∂E/∂w, shape (n).
    pub weights: Vec<F>,
    /// ∂E/∂b.
    pub bias: F,
}

/// Mean cross-entropy in nats per sample, and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct LossGradient<F> {
    /// E.
    pub loss: f64,
    /// ∇E.
    pub gradient: Gradient<F>,
}

/// Mean cross-entropy, from one pass over `x`: E = Σ s_i E_i / Σ s_i, in nats per sample.
///
/// With `z_i = x_i · w + b`: `E_i = ln(1 + exp(z_i)) − y_i z_i`, for any finite `z_i`.
///
/// Shapes: `x` is (m, n), `y` and `sample_weight` are (m), `weights` is (n).
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit `x`; [`Error::Element`] for a label outside [0, 1] or a sample weight that
/// is negative or not finite; [`Error::Index`] for a column of a sparse `x` out of range; [`Error::TotalWeight`] if the
/// sample weights have no usable sum; [`Error::Interrupted`] by the monitor.
pub fn loss<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[F],
    bias: F,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<f64, Error> {
    let points = Points::new(x, y, sample_weight)?;
    Ok(evaluate(
        &points,
        weights,
        bias,
        Activation::Sigmoid,
        Want::Loss,
        threads,
        monitor,
    )?
    .mean_error())
}

/// Mean cross-entropy and its gradient, in one pass over the rows of `x`.
///
/// ```text
/// E    = Σ_i s_i (ln(1 + exp(z_i)) − y_i z_i) / Σ_i s_i      nats per sample
/// ∂w   = Σ_i s_i (σ(z_i) − y_i) x_i / Σ_i s_i
/// ∂b   = Σ_i s_i (σ(z_i) − y_i) / Σ_i s_i
/// ```
///
/// Source: Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, 2nd ed., eqs. (4.20)–(4.21), divided
/// by −m.
///
/// # Errors
///
/// As [`loss`].
pub fn loss_gradient<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[F],
    bias: F,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<LossGradient<F>, Error> {
    let points = Points::new(x, y, sample_weight)?;
    let sums = evaluate(
        &points,
        weights,
        bias,
        Activation::Sigmoid,
        Want::LossAndGradient,
        threads,
        monitor,
    )?;
    let gradient = Gradient {
        weights: sums
            .weights
            .iter()
            .map(|sum| F::from_f64(sum / sums.weight))
            .collect(),
        bias: F::from_f64(sums.bias / sums.weight),
    };
    Ok(LossGradient {
        loss: sums.mean_error(),
        gradient,
    })
}

/// ŷ = σ(X w + b), shape (m), written to `out`.
///
/// # Errors
///
/// [`Error::Length`] if `weights` or `out` does not fit `x`; [`Error::Index`] for a column of a sparse `x` out of range;
/// [`Error::Interrupted`] by the monitor.
pub fn predict_proba<'a, F: Float>(
    x: impl Into<Features<'a>>,
    weights: &[F],
    bias: F,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let (x, turn) = (x.into(), Some(Function::Sigmoid));
    map_rows(x, RowSet::All, weights, bias, turn, out, threads, monitor)
}

/// z = X w + b, shape (m), written to `out`.
///
/// # Errors
///
/// As [`predict_proba`].
pub fn decision_function<'a, F: Float>(
    x: impl Into<Features<'a>>,
    weights: &[F],
    bias: F,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let x = x.into();
    map_rows(x, RowSet::All, weights, bias, None, out, threads, monitor)
}

/// `z = X w + b` of every sample, in `f64` whatever `X` holds, written to `out`.
///
/// # Errors
///
/// As [`predict_proba`].
pub(crate) fn predictors(
    points: &Points<'_>,
    weights: &[f64],
    bias: f64,
    out: &mut [f64],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let (x, rows) = (points.x, points.rows);
    map_rows(x, rows, weights, bias, None, out, threads, monitor)
}

/// What `turn` makes of the predictor of every one of the rows.
fn map_rows<F: Float>(
    x: Features<'_>,
    rows: RowSet<'_>,
    weights: &[F],
    bias: F,
    turn: Option<Function>,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    check_length(
        "weights",
        weights.len(),
        x.columns(),
        "one weight per column of X",
    )?;
    let count = rows.count(x.rows());
    check_length("out", out.len(), count, "one prediction per row of X")?;
    let level = simd::level()?;
    let x = match x {
        Features::Dense(x) => x,
        Features::Sparse(x) => {
            sparse::predictors(level, &x, rows, weights, bias, out, threads, monitor)?;
            return turn.map_or(Ok(()), |turn| {
                elementwise::apply_in_place(turn, out, threads, monitor)
            });
        }
    };
    let model = Model::new(weights, bias);
    let blocks = parallel::blocks(count, x.columns());
    let size = blocks.first().map_or(1, ExactSizeIterator::len);
    let items = blocks
        .iter()
        .map(|block| block.start)
        .zip(out.chunks_mut(size))
        .collect();
    parallel::map(
        threads,
        items,
        Scratch::<F>::new,
        |scratch, (first, out): (usize, &mut [F])| dispatch!(level, simd => map_block::<F, _>(simd, &x, rows, &model, turn, first, out, scratch)),
        monitor,
    )?;
    Ok(())
}

#[inline(always)]
fn map_block<F: Float, S: Simd>(
    simd: S,
    x: &Matrix<'_>,
    rows: RowSet<'_>,
    model: &Model<'_, F>,
    turn: Option<Function>,
    first: usize,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) {
    dense::predictors(simd, x, rows, model, first, out, scratch);
    if let Some(turn) = turn {
        elementwise::map_in_place(simd, out, turn);
    }
}

/// Predictors and predictions of a batch, for a trace.
pub(crate) fn predict_rows<F: Float>(
    x: &Features<'_>,
    rows: RowSet<'_>,
    weights: &[F],
    bias: F,
    activation: Activation,
    z: &mut [F],
    y_hat: &mut [F],
) -> Result<(), Error> {
    let (threads, monitor) = (Threads::ONE, &mut Unmonitored);
    map_rows(*x, rows, weights, bias, None, z, threads, monitor)?;
    let level = simd::level()?;
    dispatch!(level, simd => predictions(simd, activation, z, y_hat));
    Ok(())
}

#[inline(always)]
pub(crate) fn predictions<F: Float, S: Simd>(
    simd: S,
    activation: Activation,
    z: &[F],
    y_hat: &mut [F],
) {
    for (y_hat, &z) in y_hat.iter_mut().zip(z) {
        *y_hat = activation
            .predict(F::Single::<S>::splat(simd, z))
            .as_slice()[0];
    }
}

pub(crate) fn check_length(
    argument: &'static str,
    got: usize,
    expected: usize,
    unit: &'static str,
) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Length {
            argument,
            expected,
            unit,
            got,
        })
    }
}
