//! Dense rows that are read in chunks. Only one chunk is in memory at a time.

use std::ops::Range;

use super::DistantRows;
use super::request::{Requests, rows_at_once};
use crate::error::Error;
use crate::kernel::{Dataset, rows_of};
use crate::matrix::Matrix;
use crate::reduce::Job;

/// Reads any consecutive rows of a dense X.
pub trait ReadRows {
    /// Calls `work` once with the rows `rows`, as a matrix of shape (count, n) in any layout and type of elements. In
    /// each pass, rows are asked for in ascending order, from row 0 on.
    ///
    /// # Errors
    ///
    /// Any error, which ends the call that reads the rows; and the error of `work`.
    fn read(
        &self,
        rows: Range<usize>,
        work: &mut dyn FnMut(&Matrix<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Rows that are read in chunks. Each chunk gives its own answer to a request.
pub struct Chunks<'a> {
    reader: &'a dyn ReadRows,
    labels: Dataset<'a>,
    /// Number of rows of a chunk.
    size: usize,
}

impl<'a> Chunks<'a> {
    /// Rows that `reader` reads. `labels` has their labels, without X: see [`Dataset::of_labels`].
    pub fn new(reader: &'a dyn ReadRows, labels: Dataset<'a>) -> Self {
        Chunks::of_size(reader, labels, rows_at_once(labels.x.columns()))
    }

    /// [`Chunks::new`] with chunks of `size` rows.
    pub(crate) fn of_size(reader: &'a dyn ReadRows, labels: Dataset<'a>, size: usize) -> Self {
        Chunks {
            reader,
            labels,
            size,
        }
    }
}

impl DistantRows for Chunks<'_> {
    fn ask(
        &self,
        request: &[u8],
        job: &mut Job<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let m = rows_of(&self.labels);
        let requests = Requests::from_bytes(request)?;
        for first in (0..m).step_by(self.size) {
            let rows = first..m.min(first + self.size);
            self.reader.read(rows.clone(), &mut |x| {
                let answer = |labels: &Dataset<'_>| requests.answer(first, x, labels, job);
                take(&self.labels.with_part(x, rows.clone(), answer)?)
            })?;
        }
        Ok(())
    }
}
