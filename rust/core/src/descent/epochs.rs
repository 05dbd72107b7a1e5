//! Gradient descent by epochs and batches, and their order.

use super::batch::{batch_step, update};
use super::model::Model;
use super::options::{Descent, Observer, Options, Polling, StopReason};
use super::sparse;
use super::trace::Trace;
use crate::error::{Error, check_length};
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, Dataset, PointDescent, PointUpdate, Recorder, Sums, Want};
use crate::math::larger;
use crate::matrix::Matrix;
use crate::penalty::Penalty;
use crate::reduce::Job;
use crate::shuffle::Random;
use crate::simd;
use crate::vector::RowSet;

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
pub fn descend<F: Float>(
    dataset: &Dataset<'_>,
    weights: Vec<F>,
    bias: F,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let unit = "one weight per column of X";
    check_length("weights", weights.len(), dataset.x.columns(), unit)?;
    check_start(&weights, bias)?;
    let model = Model { weights, bias };
    run(*dataset, model, options, observer)
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

fn run<F: Float>(
    dataset: Dataset<'_>,
    mut model: Model<F>,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    let m = dataset.x.rows();
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
        Some(Trace::new(batch, dataset.x.columns(), updates, certain)?)
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
        dataset.check_labels(&mut Job::new(options.threads, &mut Polling(observer))?)?;
    }
    let mut history = Vec::new();
    let mut stop_reason = StopReason::Epochs;

    let all = |model: &Model<F>, want, observer: &mut dyn Observer<F>| {
        kernel::evaluate(
            &dataset,
            &model.parameters(options.activation),
            want,
            &mut Job::new(options.threads, &mut Polling(observer))?,
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
            update(&dataset, sums, &mut model, options, epoch, &mut trace)?;
        } else {
            if let (Some(random), Some(listed)) = (&mut random, &mut listed) {
                random.shuffle(listed, &mut Polling(observer))?;
            }
            let order = listed.as_deref().map_or(RowSet::All, RowSet::Listed);
            match dataset.x {
                Features::Sparse(x) => sparse::epoch(
                    &dataset.with(x),
                    order,
                    batch,
                    &mut model,
                    options,
                    epoch,
                    &mut trace,
                    observer,
                )?,
                Features::Dense(x) if batch == 1 => point_epoch(
                    &dataset.with(x),
                    order,
                    &mut model,
                    options,
                    epoch,
                    &mut trace,
                    observer,
                )?,
                Features::Dense(_) => {
                    for first in (0..m).step_by(batch) {
                        let part = Dataset {
                            rows: order.part(first..m.min(first.saturating_add(batch))),
                            ..dataset
                        };
                        batch_step(&part, &mut model, options, epoch, &mut trace, observer)?;
                    }
                }
            }
        }
        let after = all(&model, want, observer)?;
        let loss = after.mean_error();
        if !loss.is_finite() || !model.is_finite() {
            dataset.check_finite()?;
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
        if options.tol > 0.0
            && gradient_norm(&after, &model.weights, options.penalty) <= options.tol
        {
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

/// Max-norm of the gradient of the penalised mean error.
fn gradient_norm<F: Float>(sums: &Sums, weights: &[F], penalty: Penalty) -> f64 {
    sums.weights
        .iter()
        .zip(weights)
        .map(|(sum, w)| sum / sums.weight + penalty.slope(w.to_f64()))
        .chain([sums.bias() / sums.weight])
        .fold(0.0, larger)
}

/// One epoch of batches of one point. The mean and the sum of one are the same.
fn point_epoch<F: Float>(
    dataset: &Dataset<'_, Matrix<'_>>,
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
    let (m, n) = (dataset.x.rows(), dataset.x.columns());
    let chunk = (CHUNK / n).max(1);
    let mut descent = PointDescent::new(
        &mut model.weights,
        &mut model.bias,
        options.learning_rate,
        options.penalty.shrinkage(options.learning_rate),
    );
    let mut record = trace
        .as_mut()
        .map(|trace| move |update: PointUpdate<'_, F>| trace.push_point(epoch, &update));
    for first in (0..m).step_by(chunk) {
        let part = Dataset {
            rows: order.part(first..m.min(first + chunk)),
            ..*dataset
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
