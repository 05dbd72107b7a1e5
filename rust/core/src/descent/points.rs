//! The rows of a descent: arrays in memory, or rows that are read in chunks.

use std::ops::Range;

use super::iterate::Iterate;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::{self, Dataset, LossGradient, Parameters, Sums, Want, rows_of};
use crate::reduce::Job;
use crate::source::{Arrays, Chunks, Distant, Source};

/// The rows of a descent.
pub enum Points<'a> {
    /// In memory.
    Arrays(Dataset<'a>),
    /// Read in each pass anew.
    Read(Chunks<'a>),
}

/// Scores and predictions of some rows.
pub(super) type Predicted<F> = [Vec<F>; 2];

impl<'a> Points<'a> {
    /// All rows. If they are not in memory, only their labels, sample weights and offsets may be read.
    pub(crate) fn labels(&self) -> &Dataset<'a> {
        match self {
            Points::Arrays(dataset) => dataset,
            Points::Read(chunks) => chunks.labels(),
        }
    }

    /// Calls `work` with the rows as a source.
    pub(crate) fn with_source<T>(&self, work: impl FnOnce(&dyn Source) -> T) -> T {
        match self {
            Points::Arrays(dataset) => work(&Arrays(*dataset, None)),
            Points::Read(chunks) => work(&Distant::new(chunks, None, *chunks.labels())),
        }
    }

    /// The sums over all rows, from which error and gradient follow.
    pub(super) fn evaluate<F: Float>(
        &self,
        at: &Parameters<'_, F>,
        want: Want,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        match self {
            Points::Arrays(dataset) => kernel::evaluate(dataset, at, want, job),
            Points::Read(chunks) => {
                let all = 0..rows_of(chunks.labels());
                sums_of_read(chunks, all, at, want, job, &mut |_, _| Ok(()))
            }
        }
    }

    /// The mean error over all rows and its gradient: [`loss_gradient`](kernel::loss_gradient).
    ///
    /// # Errors
    ///
    /// As [`loss_gradient`](kernel::loss_gradient).
    pub fn loss_gradient<F: Float>(
        &self,
        at: &Parameters<'_, F>,
        job: &mut Job<'_>,
    ) -> Result<LossGradient<F>, Error> {
        self.labels().check_offsets_of(at.scores())?;
        let sums = self.evaluate(at, Want::LossAndGradient, job)?;
        Ok(LossGradient::of(&sums))
    }

    /// Scores and predictions of all rows.
    pub(super) fn predict<F: Float>(&self, iterate: &Iterate<F>) -> Result<Predicted<F>, Error> {
        let all = 0..rows_of(self.labels());
        let mut predicted = predicted(iterate, all.len());
        match self {
            Points::Arrays(dataset) => predict(dataset, iterate, 0, &mut predicted)?,
            Points::Read(chunks) => chunks.each(all, chunks.size(), &mut |first, _, rows| {
                predict(rows, iterate, first, &mut predicted)
            })?,
        }
        Ok(predicted)
    }

    /// # Errors
    ///
    /// Names the first feature or label that is NaN or infinite.
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        let Points::Read(chunks) = self else {
            return self.labels().check_finite();
        };
        let all = 0..rows_of(chunks.labels());
        chunks.each(all, chunks.size(), &mut |first, _, rows| {
            rows.check_finite().map_err(|error| error.after_rows(first))
        })
    }
}

/// Room for scores and predictions of some rows.
pub(super) fn predicted<F: Float>(iterate: &Iterate<F>, rows: usize) -> Predicted<F> {
    let z = vec![F::ZERO; rows * iterate.biases.len()];
    [z.clone(), z]
}

/// Writes the scores and predictions of a dataset. The scores and predictions of its first row are written as row
/// `first` of `z` and `y_hat`.
pub(super) fn predict<F: Float>(
    dataset: &Dataset<'_>,
    iterate: &Iterate<F>,
    first: usize,
    [z, y_hat]: &mut Predicted<F>,
) -> Result<(), Error> {
    let scores = iterate.biases.len();
    let range = first * scores..(first + rows_of(dataset)) * scores;
    let at = iterate.parameters();
    kernel::predict_rows(dataset, &at, &mut z[range.clone()], &mut y_hat[range])
}

/// The sums over the consecutive rows `rows`, which are read in chunks. `with` is called with each chunk and the number
/// of its first row.
pub(super) fn sums_of_read<F: Float>(
    chunks: &Chunks<'_>,
    rows: Range<usize>,
    at: &Parameters<'_, F>,
    want: Want,
    job: &mut Job<'_>,
    with: &mut dyn FnMut(usize, &Dataset<'_>) -> Result<(), Error>,
) -> Result<Sums, Error> {
    let each = |first: usize, rows: &Arrays<'_>, job: &mut Job<'_>| {
        let sums = kernel::sums(&rows.0, at, want, job);
        sums.map_err(|error| error.after_rows(first))
    };
    let sums = chunks.sum(rows, job, each, with)?;
    chunks.labels().check_total::<F>(sums.weight)?;
    Ok(sums)
}
