//! The state of a descent between two steps, and the step by one batch.

use std::ops::Range;

use super::iterate::Iterate;
use super::options::{Observer, Options, Polling};
use super::points::{self, Points, Predicted};
use super::step;
use super::trace::Trace;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::{self, Dataset, Sums, Want};
use crate::reduce::Job;
use crate::source::Chunks;

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
    fn evaluate(
        &self,
        dataset: &Dataset<'_>,
        want: Want,
        observer: &mut dyn Observer<F>,
    ) -> Result<Sums, Error> {
        let mut polling = Polling(observer);
        let mut job = Job::new(self.options.threads, &mut polling)?;
        kernel::evaluate(dataset, &self.iterate.parameters(), want, &mut job)
    }

    /// [`Progress::evaluate`] over all rows.
    pub(super) fn evaluate_all(
        &self,
        points: &Points<'_>,
        want: Want,
        observer: &mut dyn Observer<F>,
    ) -> Result<Sums, Error> {
        let mut polling = Polling(observer);
        let mut job = Job::new(self.options.threads, &mut polling)?;
        points.evaluate(&self.iterate.parameters(), want, &mut job)
    }

    /// The divisor and the factor (see [`step::scales`]) of the step by a batch of `rows` rows.
    pub(super) fn scales(&self, rows: usize) -> (f64, f64) {
        step::scales(rows as f64 * self.mean_weight, self.options.reduction)
    }

    /// Makes the step for the batch `dataset`. `named` has the same rows, numbered as among all rows; the trace records
    /// these numbers.
    pub(super) fn step(
        &mut self,
        dataset: &Dataset<'_>,
        named: &Dataset<'_>,
        observer: &mut dyn Observer<F>,
    ) -> Result<(), Error> {
        let sums = match is_empty(dataset) {
            true => self.no_sums(),
            false => self.evaluate(dataset, Want::LossAndGradient, observer)?,
        };
        let predicted = match self.trace {
            None => None,
            Some(_) => {
                let mut room = points::predicted(&self.iterate, kernel::rows_of(dataset));
                points::predict(dataset, &self.iterate, 0, &mut room)?;
                Some(room)
            }
        };
        self.step_by(named, &sums, predicted)
    }

    /// Makes the step for a batch that consists of the consecutive rows `rows`, and reads them in several chunks.
    pub(super) fn step_over(
        &mut self,
        chunks: &Chunks<'_>,
        rows: Range<usize>,
        observer: &mut dyn Observer<F>,
    ) -> Result<(), Error> {
        let named = chunks.labels().part(rows.clone());
        let mut room = match self.trace {
            None => None,
            Some(_) => Some(points::predicted(&self.iterate, rows.len())),
        };
        let mut predict = |first: usize, part: &Dataset<'_>| match &mut room {
            None => Ok(()),
            Some(room) => points::predict(part, &self.iterate, first - rows.start, room),
        };
        let at = self.iterate.parameters();
        let sums = match is_empty(&named) {
            true => {
                let size = chunks.size();
                chunks.each(rows.clone(), size, &mut |first, _, part| {
                    predict(first, part)
                })?;
                self.no_sums()
            }
            false => {
                let mut polling = Polling(observer);
                let mut job = Job::new(self.options.threads, &mut polling)?;
                let want = Want::LossAndGradient;
                points::sums_of_read(chunks, rows.clone(), &at, want, &mut job, &mut predict)?
            }
        };
        self.step_by(&named, &sums, room)
    }

    /// The sums over a batch whose rows all have sample weight 0: all sums are 0.
    fn no_sums(&self) -> Sums {
        Sums::zero(self.iterate.weights.len(), self.iterate.biases.len())
    }

    /// Makes the step for a batch with these `sums` at the current weights and biases. If there is a trace, `predicted`
    /// must have the scores and predictions of the batch's rows. `named` has the labels of these rows, and their
    /// numbers among all rows; the X of `named` is not read.
    pub(super) fn step_by(
        &mut self,
        named: &Dataset<'_>,
        sums: &Sums,
        predicted: Option<Predicted<F>>,
    ) -> Result<(), Error> {
        let scales = self.scales(kernel::rows_of(named));
        let Progress {
            options,
            epoch,
            iterate,
            trace,
            ..
        } = self;
        if let (Some(trace), Some([z, y_hat])) = (&mut *trace, &predicted) {
            let error = sums.mean_error();
            trace.push(*epoch, iterate.loss, named, [z, y_hat], error)?;
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

/// Whether all rows of a batch have weight 0.
fn is_empty(dataset: &Dataset<'_>) -> bool {
    dataset.sample_weight.is_some() && dataset.weight() == 0.0
}
