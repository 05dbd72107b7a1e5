//! One step of a batch.

use super::model::Model;
use super::options::{Observer, Options, Polling};
use super::step;
use super::trace::Trace;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::{self, Dataset, Sums, Want};
use crate::reduce::Job;

/// One step of the batch `dataset`.
pub(super) fn batch_step<F: Float>(
    dataset: &Dataset<'_>,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let sums = kernel::evaluate(
        dataset,
        &model.parameters(options.activation),
        Want::LossAndGradient,
        &mut Job::new(options.threads, &mut Polling(observer))?,
    )?;
    update(dataset, &sums, model, options, epoch, trace)
}

/// One step of the batch `dataset`, whose sums are known.
pub(super) fn update<F: Float>(
    dataset: &Dataset<'_>,
    sums: &Sums,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
) -> Result<(), Error> {
    if let Some(trace) = trace {
        let mut z = vec![F::ZERO; dataset.rows.count(dataset.x.rows())];
        let mut y_hat = z.clone();
        kernel::predict_rows(
            &dataset.x,
            dataset.rows,
            &model.weights,
            model.bias,
            options.activation,
            &mut z,
            &mut y_hat,
        )?;
        trace.push(epoch, dataset.rows, &z, &y_hat, sums.mean_error());
    }
    let step = step::deltas(
        sums,
        &model.weights,
        options.learning_rate,
        options.penalty,
        options.reduction,
    );
    let delta_bias = step.biases[0];
    model.add(&step.weights, delta_bias);
    if let Some(trace) = trace {
        trace.push_update(&step.weights, delta_bias, model);
    }
    Ok(())
}
