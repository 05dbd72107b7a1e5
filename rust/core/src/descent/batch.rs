//! The state of a descent between two steps, and the step by one batch.

use super::iterate::Iterate;
use super::options::{Observer, Options, Polling};
use super::step;
use super::trace::Trace;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::{self, Dataset, Sums, Want};
use crate::reduce::Job;

/// The state of a descent: the options, the epoch, the weights and biases, and the record of the updates so far.
pub(super) struct Progress<'a, F> {
    pub(super) options: &'a Options,
    pub(super) epoch: usize,
    pub(super) iterate: Iterate<F>,
    pub(super) trace: Option<Trace<F>>,
    /// The mean of the sample weights. A row whose sample weight is this mean counts as one row of a batch.
    pub(super) mean_weight: f64,
}

impl<F: Float> Progress<'_, F> {
    /// The sums over the rows of `dataset` at the current weights and biases. Error and gradient follow from them.
    pub(super) fn evaluate(
        &self,
        dataset: &Dataset<'_>,
        want: Want,
        observer: &mut dyn Observer<F>,
    ) -> Result<Sums, Error> {
        kernel::evaluate(
            dataset,
            &self.iterate.parameters(),
            want,
            &mut Job::new(self.options.threads, &mut Polling(observer))?,
        )
    }

    /// The divisor and the factor (see [`step::scales`]) of the step by a batch of `rows` rows.
    pub(super) fn scales(&self, rows: usize) -> (f64, f64) {
        step::scales(rows as f64 * self.mean_weight, self.options.reduction)
    }

    /// Makes the step by the batch `dataset`.
    pub(super) fn step(
        &mut self,
        dataset: &Dataset<'_>,
        observer: &mut dyn Observer<F>,
    ) -> Result<(), Error> {
        let is_empty = dataset.sample_weight.is_some() && dataset.weight() == 0.0;
        let sums = match is_empty {
            true => Sums::zero(self.iterate.weights.len(), self.iterate.biases.len()),
            false => self.evaluate(dataset, Want::LossAndGradient, observer)?,
        };
        self.step_by(dataset, &sums)
    }

    /// Makes the step by the batch `dataset`. `sums` are the sums over its rows at the current weights and biases.
    pub(super) fn step_by(&mut self, dataset: &Dataset<'_>, sums: &Sums) -> Result<(), Error> {
        let scales = self.scales(kernel::rows_of(dataset));
        let Progress {
            options,
            epoch,
            iterate,
            trace,
            ..
        } = self;
        if let Some(trace) = trace {
            let mut z = vec![F::ZERO; kernel::rows_of(dataset) * iterate.biases.len()];
            let mut y_hat = z.clone();
            kernel::predict_rows(dataset, &iterate.parameters(), &mut z, &mut y_hat)?;
            trace.push(
                *epoch,
                iterate.loss,
                dataset,
                [&z, &y_hat],
                sums.mean_error(),
            )?;
        }
        let mut deltas = step::deltas(
            sums,
            &iterate.weights,
            options.learning_rate,
            &options.penalty,
            scales,
        );
        if !options.fit_bias {
            deltas.biases.fill(F::ZERO);
        }
        iterate.add(&deltas);
        if let Some(trace) = trace {
            trace.push_update(&deltas, iterate);
        }
        Ok(())
    }
}
