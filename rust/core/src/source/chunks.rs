//! Dense rows that are read in chunks. Only one chunk is in memory at a time.

use std::ops::Range;

use super::request::{Part, Requests, rows_at_once};
use super::{Arrays, DistantRows};
use crate::error::Error;
use crate::kernel::{Dataset, rows_of};
use crate::matrix::Matrix;
use crate::reduce::{Forest, Job, Sum};

/// Reads any consecutive rows of a dense X.
pub trait ReadRows {
    /// Calls `work` once with these rows, a matrix of shape (count, n) in any layout and type of elements. Rows are
    /// asked for in ascending order, and again from row 0 on for every pass. `next` are those that will be asked for
    /// next, if any.
    ///
    /// # Errors
    ///
    /// Any error, which ends the call that reads the rows; and the error of `work`.
    fn read(
        &self,
        rows: Range<usize>,
        next: Range<usize>,
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

    /// The labels, sample weights and offsets of all rows. Its X is not read.
    pub(crate) fn labels(&self) -> &Dataset<'a> {
        &self.labels
    }

    /// About how many rows are read at once.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Calls `work` with consecutive rows, `size` of them at a time: with the number of the first of them, and the rows.
    /// The rows after them will be read next, or the first rows in a new pass.
    ///
    /// # Errors
    ///
    /// Those of the reader and of `work`.
    pub(crate) fn each(
        &self,
        rows: Range<usize>,
        size: usize,
        work: &mut dyn FnMut(usize, &Matrix<'_>, &Dataset<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let m = rows_of(&self.labels);
        for first in rows.clone().step_by(size) {
            let part = first..rows.end.min(first + size);
            let next = match part.end {
                end if end == m => 0..m.min(self.size),
                end if end < rows.end => end..rows.end.min(end + size),
                end => end..m.min(end + size),
            };
            self.reader.read(part.clone(), next, &mut |x| {
                let work = |dataset: &Dataset<'_>| work(first, x, dataset);
                self.labels.with_part(x, part.clone(), work)
            })?;
        }
        Ok(())
    }

    /// The sum over consecutive rows, with the bits that it has if these rows are an array. `each` computes it for some
    /// of the rows, whose first has the number that it is called with. `with` is called with each chunk.
    ///
    /// # Errors
    ///
    /// Those of the reader, of `each` and of `with`.
    pub(crate) fn sum<T: Sum>(
        &self,
        rows: Range<usize>,
        job: &mut Job<'_>,
        each: impl Fn(usize, &Arrays<'_>, &mut Job<'_>) -> Result<T, Error>,
        with: &mut dyn FnMut(usize, &Dataset<'_>) -> Result<(), Error>,
    ) -> Result<T, Error> {
        let mut all = Forest::new();
        self.each(rows.clone(), self.size, &mut |first, x, labels| {
            with(first, labels)?;
            let part = Part {
                first: first - rows.start,
                x: *x,
                labels,
                columns: None,
            };
            let sums = part.sums(job, |first, part, job| each(rows.start + first, part, job))?;
            all.append(sums);
            Ok(())
        })?;
        all.total().ok_or(Error::Bytes)
    }
}

impl DistantRows for Chunks<'_> {
    fn ask(
        &self,
        request: &[u8],
        job: &mut Job<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let requests = Requests::from_bytes(request)?;
        let all = 0..rows_of(&self.labels);
        self.each(all, self.size, &mut |first, x, labels| {
            take(&requests.answer(first, x, labels, job)?)
        })
    }
}
