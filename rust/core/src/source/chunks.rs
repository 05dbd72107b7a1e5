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
    /// Calls `work` once with the rows `rows`, a matrix of shape (count, n) in any layout and type of elements. In
    /// every pass, rows are asked for in ascending order, from row 0 on. `next` are the rows that will be asked for
    /// next if the passes go on; they can be read ahead.
    ///
    /// # Errors
    ///
    /// The error of `work`, or any error of the reader. It ends the call that needs the rows.
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

    /// The labels, sample weights and offsets of all rows. The X of this dataset is not read.
    pub(crate) fn labels(&self) -> &Dataset<'a> {
        &self.labels
    }

    /// About how many rows are read at once.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Reads the consecutive rows `rows`, `size` of them at a time. Calls `work` each time, with the number of the
    /// first of these rows, their X, and the rows as a dataset. Also tells the reader which rows will be read next:
    /// those that follow or, after the last of all rows, the first rows in a new pass.
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

    /// The sum over the consecutive rows `rows`, with the same bits as if these rows were an array in memory. `each`
    /// computes the sum over some of the rows; its first argument is the number of the first of them. `with` is called
    /// with each chunk and the number of its first row.
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
