//! The record of a descent's updates.

use super::iterate::Iterate;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::PointUpdate;
use crate::vector::RowSet;

/// The record of every update of a descent. Each field is an array with the numbers of one update after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace<F> {
    /// Points per batch. A shorter last batch is padded with row −1, score NaN and prediction NaN.
    pub batch: usize,
    /// The number of columns n.
    pub columns: usize,
    /// Epoch of each update, counted from 0; shape (updates).
    pub epoch: Vec<i64>,
    /// The points of each update, by row number in `X`; shape (updates, batch).
    pub row: Vec<i64>,
    /// The score w·x + b of each point before the update; shape (updates, batch).
    pub z: Vec<F>,
    /// The prediction for each point before the update; shape (updates, batch).
    pub y_hat: Vec<F>,
    /// Mean error of the batch before the update; shape (updates).
    pub error: Vec<f64>,
    /// The change Δw of the weights; shape (updates, n).
    pub delta_weights: Vec<F>,
    /// The change Δb of the bias; shape (updates).
    pub delta_bias: Vec<F>,
    /// The weights w after the update; shape (updates, n).
    pub weights: Vec<F>,
    /// The bias b after the update; shape (updates).
    pub bias: Vec<F>,
}

impl<F: Float> Trace<F> {
    /// An empty trace for a descent of at most `updates` updates. If `certain`, all of them will come, and memory for
    /// them is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the whole trace would be larger than the address space or, if `certain`, cannot be
    /// allocated.
    pub(super) fn new(
        batch: usize,
        columns: usize,
        updates: u128,
        certain: bool,
    ) -> Result<Self, Error> {
        let mut trace = Trace {
            batch,
            columns,
            ..Trace::default()
        };
        // Bytes per update: epoch, error, Δb and b; for each point row, z and ŷ; for each column Δw and w.
        let number = size_of::<F>() as u128;
        let record =
            16 + 2 * number + batch as u128 * (8 + 2 * number) + columns as u128 * 2 * number;
        let bytes = updates.saturating_mul(record);
        if bytes > isize::MAX as u128 {
            return Err(too_many_updates(updates));
        }
        if certain {
            // First allocates all of it in one piece, and frees it: if asked for several smaller pieces, an operating
            // system may grant more memory than it has.
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
        let (points, columns) = (
            updates.saturating_mul(self.batch),
            updates.saturating_mul(self.columns),
        );
        self.epoch.try_reserve(updates).map_err(too_large)?;
        self.error.try_reserve(updates).map_err(too_large)?;
        self.row.try_reserve(points).map_err(too_large)?;
        for (values, more) in [
            (&mut self.z, points),
            (&mut self.y_hat, points),
            (&mut self.delta_weights, columns),
            (&mut self.weights, columns),
            (&mut self.delta_bias, updates),
            (&mut self.bias, updates),
        ] {
            values.try_reserve(more).map_err(too_large)?;
        }
        Ok(())
    }

    pub(super) fn push(
        &mut self,
        epoch: usize,
        rows: RowSet<'_>,
        z: &[F],
        y_hat: &[F],
        error: f64,
    ) {
        let padding = self.batch - z.len();
        self.epoch.push(epoch as i64);
        self.row.extend(
            (0..z.len())
                .map(|i| rows.at(i) as i64)
                .chain(std::iter::repeat_n(-1, padding)),
        );
        self.z.extend(
            z.iter()
                .copied()
                .chain(std::iter::repeat_n(F::NAN, padding)),
        );
        self.y_hat.extend(
            y_hat
                .iter()
                .copied()
                .chain(std::iter::repeat_n(F::NAN, padding)),
        );
        self.error.push(error);
    }

    pub(super) fn push_point(&mut self, epoch: usize, update: &PointUpdate<'_, F>) {
        self.epoch.push(epoch as i64);
        self.row.push(update.row as i64);
        self.z.push(update.z);
        self.y_hat.push(update.y_hat);
        self.error.push(update.error.to_f64());
        self.delta_weights.extend_from_slice(update.delta_weights);
        self.delta_bias.push(update.delta_bias);
        self.weights.extend_from_slice(update.weights);
        self.bias.push(update.bias);
    }

    pub(super) fn push_update(&mut self, delta_weights: &[F], delta_bias: F, iterate: &Iterate<F>) {
        self.delta_weights.extend_from_slice(delta_weights);
        self.delta_bias.push(delta_bias);
        self.weights.extend_from_slice(&iterate.weights);
        self.bias.push(iterate.bias);
    }
}

fn too_many_updates(count: u128) -> Error {
    Error::Memory {
        argument: "trace",
        count,
        unit: "updates to record",
    }
}
