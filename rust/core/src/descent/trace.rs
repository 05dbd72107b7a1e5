//! The record of the updates of a descent.

use super::iterate::Iterate;
use super::step::Step;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::{self, Dataset, PointUpdate};
use crate::loss::Loss;

/// The record of every update of a descent. Each field is an array, with the numbers of one update after the other.
/// With K ≥ 3 classes, there are K numbers in place of each score, prediction, residual and bias, and K rows of
/// weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace<F> {
    /// Points per batch. A last batch with fewer points is padded: with −1 in `row`, and with NaN for the other
    /// numbers.
    pub batch: usize,
    /// The number of columns n.
    pub columns: usize,
    /// Scores per point: 1, or the number of classes K.
    pub scores: usize,
    /// The epoch of each update, counted from 0; shape (updates).
    pub epoch: Vec<i64>,
    /// The points of each update, as numbers of rows in `X`; shape (updates, batch).
    pub row: Vec<i64>,
    /// The label of each point, converted to `F`; shape (updates, batch).
    pub y: Vec<F>,
    /// The scores w·x + b of each point before the update; shape (updates, batch, scores).
    pub z: Vec<F>,
    /// The predictions for each point before the update; shape (updates, batch, scores).
    pub y_hat: Vec<F>,
    /// The residuals y − ŷ of each point before the update, computed without cancellation; with K classes, [y = k] −
    /// p_k. Shape (updates, batch, scores).
    pub residual: Vec<F>,
    /// The mean error of the batch before the update; shape (updates).
    pub error: Vec<f64>,
    /// The change Δw of the weights; shape (updates, scores, n).
    pub delta_weights: Vec<F>,
    /// The change Δb of the biases; shape (updates, scores).
    pub delta_bias: Vec<F>,
    /// The weights w after the update; shape (updates, scores, n).
    pub weights: Vec<F>,
    /// The biases b after the update; shape (updates, scores).
    pub bias: Vec<F>,
}

impl<F: Float> Trace<F> {
    /// An empty trace for a descent of at most `updates` updates. If `certain`, nothing can end the descent early, and
    /// memory for all updates is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the whole trace would be larger than the address space or, if `certain`, cannot be
    /// allocated.
    pub(super) fn new(
        batch: usize,
        columns: usize,
        scores: usize,
        updates: u128,
        certain: bool,
    ) -> Result<Self, Error> {
        let mut trace = Trace {
            batch,
            columns,
            scores,
            ..Trace::default()
        };
        // Bytes per update. The epoch and the error together take 16 bytes. For each score, Δb and b are recorded, and
        // Δw and w for each column. For each point, its row number and its label are recorded, and z, ŷ and y − ŷ for
        // each score.
        let (number, scores_of_point) = (size_of::<F>() as u128, scores as u128);
        let record = 16
            + 2 * number * scores_of_point * (1 + columns as u128)
            + batch as u128 * (8 + number * (1 + 3 * scores_of_point));
        let bytes = updates.saturating_mul(record);
        if bytes > isize::MAX as u128 {
            return Err(too_many_updates(updates));
        }
        if certain {
            // First allocates all the memory in one piece, and frees it again. This fails if the memory is too small.
            // Several smaller pieces might be granted by the operating system although it has less memory in all.
            Vec::<u8>::new()
                .try_reserve_exact(bytes as usize)
                .map_err(|_| too_many_updates(updates))?;
            trace.reserve(updates as usize)?; // no truncation: a record is more than a byte
        }
        Ok(trace)
    }

    /// Allocates memory for `updates` more updates.
    pub(super) fn reserve(&mut self, updates: usize) -> Result<(), Error> {
        let count = self.epoch.len() as u128 + updates as u128;
        let too_large = |_| too_many_updates(count);
        let points = updates.saturating_mul(self.batch);
        let scores = updates.saturating_mul(self.scores);
        let scores_of_points = points.saturating_mul(self.scores);
        let weights = scores.saturating_mul(self.columns);
        self.epoch.try_reserve(updates).map_err(too_large)?;
        self.error.try_reserve(updates).map_err(too_large)?;
        self.row.try_reserve(points).map_err(too_large)?;
        for (values, more) in [
            (&mut self.y, points),
            (&mut self.z, scores_of_points),
            (&mut self.y_hat, scores_of_points),
            (&mut self.residual, scores_of_points),
            (&mut self.delta_weights, weights),
            (&mut self.weights, weights),
            (&mut self.delta_bias, scores),
            (&mut self.bias, scores),
        ] {
            values.try_reserve(more).map_err(too_large)?;
        }
        Ok(())
    }

    /// Adds an update by the batch `dataset`, with the scores, predictions and mean error of the batch before the
    /// update.
    pub(super) fn push(
        &mut self,
        epoch: usize,
        loss: Loss,
        dataset: &Dataset<'_>,
        [z, y_hat]: [&[F]; 2],
        error: f64,
    ) -> Result<(), Error> {
        let points = kernel::rows_of(dataset);
        let mut y = vec![F::ZERO; points];
        dataset.y.copy(dataset.rows, 0, &mut y);
        let residual = kernel::residuals_of_scores(loss, z, &y)?;
        let missing = self.batch - points;
        let numbers = (0..points).map(|i| dataset.rows.at(i) as i64);
        self.epoch.push(epoch as i64);
        self.row
            .extend(numbers.chain(std::iter::repeat_n(-1, missing)));
        for (all, values, padding) in [
            (&mut self.y, &*y, missing),
            (&mut self.z, z, missing * self.scores),
            (&mut self.y_hat, y_hat, missing * self.scores),
            (&mut self.residual, &residual, missing * self.scores),
        ] {
            all.extend_from_slice(values);
            all.extend(std::iter::repeat_n(F::NAN, padding));
        }
        self.error.push(error);
        Ok(())
    }

    pub(super) fn push_point(&mut self, epoch: usize, update: &PointUpdate<'_, F>) {
        self.epoch.push(epoch as i64);
        self.row.push(update.row as i64);
        self.y.push(update.y);
        self.z.extend_from_slice(update.z);
        self.y_hat.extend_from_slice(update.y_hat);
        self.residual.extend_from_slice(update.residual);
        self.error.push(update.error.to_f64());
        self.delta_weights.extend_from_slice(update.delta_weights);
        self.delta_bias.extend_from_slice(update.delta_biases);
        self.weights.extend_from_slice(update.weights);
        self.bias.extend_from_slice(update.biases);
    }

    pub(super) fn push_update(&mut self, deltas: &Step<F>, iterate: &Iterate<F>) {
        self.delta_weights.extend_from_slice(&deltas.weights);
        self.delta_bias.extend_from_slice(&deltas.biases);
        self.weights.extend_from_slice(&iterate.weights);
        self.bias.extend_from_slice(&iterate.biases);
    }
}

fn too_many_updates(count: u128) -> Error {
    Error::Memory {
        argument: "trace",
        count,
        unit: "updates to record",
    }
}
