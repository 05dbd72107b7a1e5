//! Dense rows that are read in chunks, of which only one is in memory at a time.

use std::ops::Range;

use super::DistantRows;
use super::request::{answer, rows_at_once};
use crate::error::Error;
use crate::kernel::{Dataset, rows_of};
use crate::matrix::Matrix;
use crate::reduce::Job;

/// Dense rows that are read some at a time.
pub trait ReadRows {
    /// Calls `work` once with these rows, in any layout and type of elements: shape (count, n). They are asked for in
    /// ascending order, many times from row 0 on.
    ///
    /// # Errors
    ///
    /// Any, which ends what the rows are read for; and that of `work`.
    fn read(
        &self,
        rows: Range<usize>,
        work: &mut dyn FnMut(&Matrix<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Rows that are read in chunks. Each chunk answers a request by itself.
pub struct Chunks<'a> {
    reader: &'a dyn ReadRows,
    labels: Dataset<'a>,
    /// Rows of a chunk.
    size: usize,
}

impl<'a> Chunks<'a> {
    /// `labels` are those of the rows: [`Dataset::of_labels`].
    pub fn new(reader: &'a dyn ReadRows, labels: Dataset<'a>) -> Self {
        Chunks::of_size(reader, labels, rows_at_once(labels.x.columns()))
    }

    /// [`Chunks::new`] with so many rows to a chunk.
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
        for first in (0..m).step_by(self.size) {
            let rows = first..m.min(first + self.size);
            self.reader.read(rows.clone(), &mut |x| {
                let answer = |labels: &Dataset<'_>| answer(request, first, x, labels, job);
                take(&self.labels.with_part(x, rows.clone(), answer)?)
            })?;
        }
        Ok(())
    }
}
