//! Gradient descent by epochs and batches, and their order.

mod sparse;
mod trace;

use std::ops::ControlFlow;

pub use self::trace::Trace;
use crate::activation::Activation;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, PointDescent, PointUpdate, Points, Recorder, Sums, Want};
use crate::math::larger;
use crate::matrix::Matrix;
use crate::parallel::{Monitor, Threads, Unmonitored};
use crate::shuffle::Random;
use crate::simd;
use crate::step::{self, Reduction};
use crate::vector::{RowSet, Vector};

/// How to descend.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// α > 0.
    pub learning_rate: f64,
    /// Passes over all points, at least 1.
    pub epochs: usize,
    /// Points of one update; all of them if `None`.
    pub batch_size: Option<usize>,
    /// Seed of the order of the points; the order they come in if `None`.
    pub shuffle: Option<u64>,
    /// Whether α is divided by the batch's size.
    pub reduction: Reduction,
    /// What turns predictors into predictions.
    pub activation: Activation,
    /// λ ≥ 0 of the penalty (λ/2)‖w‖² on the mean error.
    pub l2: f64,
    /// Stop once the max-norm of the objective's gradient is at most this; 0 never stops.
    pub tol: f64,
    /// Threads for batches of more than one point.
    pub threads: Threads,
    /// Record every update.
    pub trace: bool,
}

impl Options {
    /// # Errors
    ///
    /// [`Error::Number`] naming the first option that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        step::check_learning_rate(self.learning_rate)?;
        for (argument, count) in [
            ("epochs", Some(self.epochs)),
            ("batch_size", self.batch_size),
        ] {
            if count == Some(0) {
                return Err(Error::Number {
                    argument,
                    expected: "a positive integer",
                    got: 0.0,
                });
            }
        }
        for (argument, got) in [("l2", self.l2), ("tol", self.tol)] {
            if !(0.0..f64::INFINITY).contains(&got) {
                return Err(Error::Number {
                    argument,
                    expected: "finite and not negative",
                    got,
                });
            }
        }
        Ok(())
    }
}

/// Why a descent or a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs were run.
    Epochs,
    /// The gradient's max-norm was at most `tol`.
    Tolerance,
    /// The observer asked for it.
    Callback,
    /// Loss or weights were no longer finite; the result is that of the last epoch where they were.
    Diverged,
    /// The arithmetic's rounding admits no better weights.
    Precision,
    /// The passes over the data that were allowed are used up.
    Passes,
    /// A hyperplane separates the labels: the loss has no minimum.
    Separated,
    /// The gradient is as small as it should be, but a proof of the optimum was too dear.
    Uncertified,
}

impl StopReason {
    /// The reason in a word.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Epochs => "epochs",
            StopReason::Tolerance => "tolerance",
            StopReason::Callback => "callback",
            StopReason::Diverged => "diverged",
            StopReason::Precision => "precision",
            StopReason::Passes => "passes",
            StopReason::Separated => "separated",
            StopReason::Uncertified => "uncertified",
        }
    }
}

/// Watches a descent.
pub trait Observer<F>: Monitor {
    /// Whether [`Observer::epoch`] may end the descent.
    fn may_stop(&self) -> bool {
        true
    }

    /// Called after each epoch, counted from 0; [`ControlFlow::Break`] ends the descent there.
    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], bias: F) -> ControlFlow<()>;
}

impl<F> Observer<F> for Unmonitored {
    fn may_stop(&self) -> bool {
        false
    }

    fn epoch(&mut self, _: usize, _: f64, _: &[F], _: F) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// What a descent ends with.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent<F> {
    /// w, shape (n).
    pub weights: Vec<F>,
    /// b
    pub bias: F,
    /// Mean error over all points after each epoch, without the penalty.
    pub history: Vec<f64>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Every update, if asked for.
    pub trace: Option<Trace<F>>,
}

/// Gradient descent from `weights` and `bias`.
///
/// Each epoch visits every point once, in batches; each batch steps along its gradient. With batches of one point, in
/// order, this is w ← w + α(y − ŷ)x, b ← b + α(y − ŷ), point by point. A batch of all points is summed in the order of
/// the rows, shuffled or not.
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit `x`; [`Error::Element`] for a label outside [0, 1];
/// [`Error::NotFinite`] if the loss is not finite because `x` is not; [`Error::Weight`] or [`Error::Number`] if what it
/// starts from is not; [`Error::Memory`]; [`Error::Interrupted`] by the observer; and those of [`Options::check`].
///
/// A trace that could never fit is refused before anything is computed. It is allocated as a whole where all of it is
/// certain to come, because neither a tolerance nor the observer can end the descent; else epoch by epoch.
pub fn descend<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    weights: Vec<F>,
    bias: F,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let x = x.into();
    kernel::check_length(
        "weights",
        weights.len(),
        x.columns(),
        "one weight per column of X",
    )?;
    let points = Points::new(x, y, None)?;
    check_start(&weights, bias)?;
    let model = Model { weights, bias };
    run(points, model, options, observer)
}

/// Whether the weights and the bias that a descent starts from are finite.
pub(crate) fn check_start<F: Float>(weights: &[F], bias: F) -> Result<(), Error> {
    const EXPECTED: &str = "finite in the dtype of the computation";
    if let Some(index) = weights.iter().position(|w| !w.is_finite()) {
        return Err(Error::Weight {
            expected: EXPECTED,
            got: weights[index].to_f64(),
            index,
        });
    }
    if !bias.is_finite() {
        return Err(Error::Number {
            argument: "bias",
            expected: EXPECTED,
            got: bias.to_f64(),
        });
    }
    Ok(())
}

#[derive(Clone)]
struct Model<F> {
    weights: Vec<F>,
    bias: F,
}

impl<F: Float> Model<F> {
    fn is_finite(&self) -> bool {
        self.bias.is_finite() && self.weights.iter().all(|w| w.is_finite())
    }

    fn add(&mut self, delta_weights: &[F], delta_bias: F) {
        for (w, &delta) in self.weights.iter_mut().zip(delta_weights) {
            *w += delta;
        }
        self.bias += delta_bias;
    }
}

fn run<F: Float>(
    points: Points<'_>,
    mut model: Model<F>,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    let m = points.x.rows();
    let batch = options.batch_size.map_or(m, |size| size.min(m));
    let full = batch == m && m > 1;
    // A full batch's loss comes with the gradient of the next step; otherwise the gradient is only needed to compare.
    let want = if full || options.tol > 0.0 {
        Want::LossAndGradient
    } else {
        Want::Loss
    };
    let mut trace = if options.trace {
        let updates = options.epochs as u128 * m.div_ceil(batch) as u128;
        let certain = options.tol == 0.0 && !observer.may_stop();
        Some(Trace::new(batch, points.x.columns(), updates, certain)?)
    } else {
        None
    };
    let mut random = options.shuffle.map(Random::new);
    let mut listed = match &random {
        Some(_) if !full => Some(in_order(m)?),
        _ => None,
    };
    if !full {
        // Sooner than the first evaluation over all points, which does, too.
        points.check_labels(options.threads, &mut Polling(observer))?;
    }
    let mut history = Vec::new();
    let mut stop_reason = StopReason::Epochs;

    let all = |model: &Model<F>, want, observer: &mut dyn Observer<F>| {
        kernel::evaluate(
            &points,
            &model.weights,
            model.bias,
            options.activation,
            want,
            options.threads,
            &mut Polling(observer),
        )
    };
    let mut sums = if full {
        Some(all(&model, want, observer)?)
    } else {
        None
    };
    for epoch in 0..options.epochs {
        let last = model.clone();
        if let Some(trace) = &mut trace {
            trace.reserve(m.div_ceil(batch))?;
        }
        if let Some(sums) = &sums {
            update(&points, sums, &mut model, options, epoch, &mut trace)?;
        } else {
            if let (Some(random), Some(listed)) = (&mut random, &mut listed) {
                random.shuffle(listed, &mut Polling(observer))?;
            }
            let order = listed.as_deref().map_or(RowSet::All, RowSet::Listed);
            match points.x {
                Features::Sparse(x) => sparse::epoch(
                    &points.with(x),
                    order,
                    batch,
                    &mut model,
                    options,
                    epoch,
                    &mut trace,
                    observer,
                )?,
                Features::Dense(x) if batch == 1 => point_epoch(
                    &points.with(x),
                    order,
                    &mut model,
                    options,
                    epoch,
                    &mut trace,
                    observer,
                )?,
                Features::Dense(_) => {
                    for first in (0..m).step_by(batch) {
                        let part = Points {
                            rows: order.part(first..m.min(first.saturating_add(batch))),
                            ..points
                        };
                        batch_step(&part, &mut model, options, epoch, &mut trace, observer)?;
                    }
                }
            }
        }
        let after = all(&model, want, observer)?;
        let loss = after.mean_error();
        if !loss.is_finite() || !model.is_finite() {
            points.check_finite()?;
            model = last;
            stop_reason = StopReason::Diverged;
            break;
        }
        history.push(loss);
        if observer
            .epoch(epoch, loss, &model.weights, model.bias)
            .is_break()
        {
            stop_reason = StopReason::Callback;
            break;
        }
        if options.tol > 0.0 && gradient_norm(&after, &model.weights, options.l2) <= options.tol {
            stop_reason = StopReason::Tolerance;
            break;
        }
        if full {
            sums = Some(after);
        }
    }
    Ok(Descent {
        weights: model.weights,
        bias: model.bias,
        history,
        stop_reason,
        trace,
    })
}

/// 0, 1, … m − 1
fn in_order(m: usize) -> Result<Vec<usize>, Error> {
    let mut order = Vec::new();
    order.try_reserve_exact(m).map_err(|_| Error::Memory {
        argument: "shuffle",
        count: m as u128,
        unit: "rows to order",
    })?;
    order.extend(0..m);
    Ok(order)
}

/// Lends an observer to a kernel as its monitor.
struct Polling<'a, F>(&'a mut dyn Observer<F>);

impl<F> Monitor for Polling<'_, F> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.0.poll()
    }
}

/// Max-norm of the gradient of the penalised mean error.
fn gradient_norm<F: Float>(sums: &Sums, weights: &[F], l2: f64) -> f64 {
    sums.weights
        .iter()
        .zip(weights)
        .map(|(sum, w)| sum / sums.weight + l2 * w.to_f64())
        .chain([sums.bias / sums.weight])
        .fold(0.0, larger)
}

/// One step of the batch `points`.
fn batch_step<F: Float>(
    points: &Points<'_>,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let sums = kernel::evaluate(
        points,
        &model.weights,
        model.bias,
        options.activation,
        Want::LossAndGradient,
        options.threads,
        &mut Polling(observer),
    )?;
    update(points, &sums, model, options, epoch, trace)
}

/// One step of the batch `points`, whose sums are known.
fn update<F: Float>(
    points: &Points<'_>,
    sums: &Sums,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
) -> Result<(), Error> {
    if let Some(trace) = trace {
        let mut z = vec![F::ZERO; points.rows.count(points.x.rows())];
        let mut y_hat = z.clone();
        kernel::predict_rows(
            &points.x,
            points.rows,
            &model.weights,
            model.bias,
            options.activation,
            &mut z,
            &mut y_hat,
        )?;
        trace.push(epoch, points.rows, &z, &y_hat, sums.mean_error());
    }
    let (delta_weights, delta_bias) = step::deltas(
        sums,
        &model.weights,
        options.learning_rate,
        options.l2,
        options.reduction,
    );
    model.add(&delta_weights, delta_bias);
    if let Some(trace) = trace {
        trace.push_update(&delta_weights, delta_bias, model);
    }
    Ok(())
}

/// One epoch of batches of one point. The mean and the sum of one are the same.
fn point_epoch<F: Float>(
    points: &Points<'_, Matrix<'_>>,
    order: RowSet<'_>,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    /// Elements between two polls: well under a millisecond.
    const CHUNK: usize = 1 << 17;
    let level = simd::level()?;
    let (m, n) = (points.x.rows(), points.x.columns());
    let chunk = (CHUNK / n).max(1);
    let mut descent = PointDescent::new(
        &mut model.weights,
        &mut model.bias,
        options.learning_rate,
        options.learning_rate * options.l2,
    );
    let mut record = trace
        .as_mut()
        .map(|trace| move |update: PointUpdate<'_, F>| trace.push_point(epoch, &update));
    for first in (0..m).step_by(chunk) {
        let part = Points {
            rows: order.part(first..m.min(first + chunk)),
            ..*points
        };
        let recorder = record.as_mut().map(|record| record as Recorder<'_, F>);
        descent.visit(level, options.activation, &part, recorder);
        if observer.poll().is_break() {
            return Err(Error::Interrupted);
        }
    }
    descent.finish();
    Ok(())
}
