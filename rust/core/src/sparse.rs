//! Sparse matrices in SciPy's CSR format (compressed rows), read in place. Matrices in CSC format are converted to CSR.
//!
//! Row `i` has the values `data[starts[i] .. starts[i + 1]]` in the columns `indices[starts[i] .. starts[i + 1]]`; all
//! other elements are zero. The columns of a row may be in any order. If a column is stored twice, the values add up.
//!
//! Lengths are checked once, when the matrix is made. Indices are checked whenever a kernel uses them, because another
//! thread may write to the caller's arrays while the kernel runs. An index out of range gives an error, and never a
//! read outside of the arrays.

use std::borrow::Cow;
use std::ops::Range;

use crate::elements::Elements;
use crate::error::{Error, zeros};
use crate::float::Float;
use crate::reduce::{self, Job};
use crate::vector::{RowSet, Vector};

/// An array of indices or positions, in one of the two types that SciPy uses.
#[derive(Clone, Copy, Debug)]
pub enum Indices<'a> {
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

/// Runs `$body` with `$slice` bound to the slice in an [`Indices`].
macro_rules! with_indices {
    ($indices:expr, $slice:ident => $body:expr) => {
        match $indices {
            $crate::sparse::Indices::I32($slice) => $body,
            $crate::sparse::Indices::I64($slice) => $body,
        }
    };
}
pub(crate) use with_indices;

/// Runs `$body`, in which `$rows` is a [`SparseRows`]: the rows `$set`, a [`RowSet`], of the matrix `$x`, a [`Sparse`].
/// Elements are `f32` if they are stored as `f32`, otherwise `f64`.
macro_rules! with_rows {
    ($x:expr, $set:expr, $rows:ident => $body:expr) => {
        if $x.is_single() {
            let values = $x.values::<f32>();
            $crate::sparse::with_indices!($x.indices(), indices => {
                let $rows = $crate::sparse::SparseRows::new($x, $set, &values, indices);
                $body
            })
        } else {
            let values = $x.values::<f64>();
            $crate::sparse::with_indices!($x.indices(), indices => {
                let $rows = $crate::sparse::SparseRows::new($x, $set, &values, indices);
                $body
            })
        }
    };
}
pub(crate) use with_rows;

/// The cost of reading a row without its elements. The unit is the cost of reading one stored element.
pub(crate) const ROW: usize = 8;

impl Indices<'_> {
    fn len(&self) -> usize {
        with_indices!(self, slice => slice.len())
    }

    #[inline(always)]
    fn get(&self, at: usize) -> Option<i64> {
        match self {
            Indices::I32(slice) => slice.get(at).copied().map(i64::from),
            Indices::I64(slice) => slice.get(at).copied(),
        }
    }
}

/// An integer that is used as an index. [`Index::at`] gives it as `usize`. A negative index becomes a number that is
/// out of bounds for every slice.
pub(crate) trait Index: Copy + Default + Send + Sync {
    fn at(self) -> usize;
    fn to_i64(self) -> i64;
    /// `at` must be small enough for the type.
    fn from_usize(at: usize) -> Self;
}

impl Index for i32 {
    #[inline(always)]
    fn at(self) -> usize {
        i64::from(self).at()
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self)
    }
    #[inline(always)]
    fn from_usize(at: usize) -> Self {
        at as i32
    }
}

impl Index for i64 {
    #[inline(always)]
    fn at(self) -> usize {
        usize::try_from(self as u64).unwrap_or(usize::MAX)
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self
    }
    #[inline(always)]
    fn from_usize(at: usize) -> Self {
        at as i64
    }
}

/// The axis along which a matrix is compressed: rows for CSR, columns for CSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Row,
    Column,
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Axis::Row => "row",
            Axis::Column => "column",
        }
    }

    fn other(self) -> Axis {
        match self {
            Axis::Row => Axis::Column,
            Axis::Column => Axis::Row,
        }
    }
}

/// A matrix in CSR or CSC format. It has `lines` rows (CSR) or columns (CSC), each with the indices and values that it
/// stores.
#[derive(Clone, Copy, Debug)]
struct Compressed<'a> {
    data: Elements<'a>,
    indices: Indices<'a>,
    starts: Indices<'a>,
    lines: usize,
    /// The number of columns (CSR) or rows (CSC). Indices must be below it.
    width: usize,
    axis: Axis,
}

impl<'a> Compressed<'a> {
    fn new(
        data: Elements<'a>,
        indices: Indices<'a>,
        starts: Indices<'a>,
        (lines, width): (usize, usize),
        axis: Axis,
    ) -> Result<Self, Error> {
        if lines == 0 || width == 0 {
            let (rows, columns) = match axis {
                Axis::Row => (lines, width),
                Axis::Column => (width, lines),
            };
            return Err(Error::Empty { rows, columns });
        }
        if starts.len().checked_sub(1) != Some(lines) {
            return Err(Error::Length {
                argument: "X.indptr",
                expected: lines.saturating_add(1),
                unit: match axis {
                    Axis::Row => "one more than the rows of X",
                    Axis::Column => "one more than the columns of X",
                },
                got: starts.len(),
            });
        }
        if indices.len() != data.len() {
            return Err(Error::Length {
                argument: "X.indices",
                expected: data.len(),
                unit: "one index per element of X.data",
                got: indices.len(),
            });
        }
        let matrix = Compressed {
            data,
            indices,
            starts,
            lines,
            width,
            axis,
        };
        with_indices!(starts, starts => matrix.check_starts(starts))?;
        Ok(matrix)
    }

    fn check_starts<I: Index>(&self, starts: &[I]) -> Result<(), Error> {
        let wrong = |expected, position, got: i64| Error::Starts {
            expected,
            got,
            position,
        };
        let pairs = || starts.iter().zip(starts.iter().skip(1));
        let first = starts.first().map_or(0, |start| start.to_i64());
        if first != 0 {
            return Err(wrong("start at 0", 0, first));
        }
        // First, all pairs are checked without branches. Only if that fails, the first wrong pair is searched for.
        if !pairs().fold(true, |ascends, (a, b)| ascends & (a.to_i64() <= b.to_i64())) {
            let descends = pairs().position(|(a, b)| a.to_i64() > b.to_i64());
            let position = descends.map_or(0, |before| before + 1);
            let got = starts.get(position).map_or(0, |start| start.to_i64());
            return Err(wrong("not decrease", position, got));
        }
        let last = starts.last().map_or(0, |start| start.to_i64());
        if last.at() > self.data.len() {
            return Err(wrong(
                "end within X.indices and X.data",
                starts.len() - 1,
                last,
            ));
        }
        Ok(())
    }

    /// How many elements are stored in the lines before line `i`.
    #[inline(always)]
    fn stored_before(&self, i: usize) -> usize {
        self.starts
            .get(i)
            .map_or(0, |start| start.at().min(self.data.len()))
    }

    /// The error for the first index that is out of range, in the order of the lines.
    fn first_invalid(&self) -> Option<Error> {
        for line in 0..self.lines {
            for position in self.stored_before(line)..self.stored_before(line + 1) {
                if let Some(got) = self.indices.get(position).filter(|i| i.at() >= self.width) {
                    return Some(self.invalid(line, position, got));
                }
            }
        }
        None
    }

    fn invalid(&self, line: usize, position: usize, got: i64) -> Error {
        Error::Index {
            axis: self.axis.other().name(),
            bound: self.width,
            got,
            position,
            line_axis: self.axis.name(),
            line,
        }
    }
}

/// A sparse matrix in CSR format.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a>(Compressed<'a>);

impl<'a> Sparse<'a> {
    /// A view of the three arrays of SciPy's CSR format: the stored elements (`data`), the column of each (`indices`),
    /// and, for each row, the position of its first stored element (`indptr`).
    ///
    /// All of `indptr` is checked, but no index. `data` and `indices` may be longer than the last element of `indptr`
    /// says.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if there are no rows or no columns; [`Error::Length`] if the arrays do not fit one another;
    /// [`Error::Starts`] if `indptr` does not ascend from 0 to at most the length of `data`.
    pub fn new(
        data: Elements<'a>,
        indices: Indices<'a>,
        indptr: Indices<'a>,
        (rows, columns): (usize, usize),
    ) -> Result<Self, Error> {
        Compressed::new(data, indices, indptr, (rows, columns), Axis::Row).map(Sparse)
    }

    /// m, the number of rows.
    pub fn rows(&self) -> usize {
        self.0.lines
    }

    /// n, the number of columns.
    pub fn columns(&self) -> usize {
        self.0.width
    }

    /// How many elements are stored in the rows before row number `row`. For `row` = m, how many in all.
    #[inline(always)]
    pub(crate) fn stored_before(&self, row: usize) -> usize {
        self.0.stored_before(row)
    }

    pub(crate) fn indices(&self) -> Indices<'a> {
        self.0.indices
    }

    /// The stored elements as `F`: in place if they have this type, otherwise a converted copy.
    pub(crate) fn values<F: Float>(&self) -> Cow<'a, [F]> {
        values(&self.0.data)
    }

    pub(crate) fn is_single(&self) -> bool {
        matches!(self.0.data, Elements::F32(_))
    }

    /// The transpose: its rows are the columns of this matrix.
    ///
    /// # Errors
    ///
    /// Those of [`Transposed::new`].
    pub(crate) fn transposed<F: Float>(&self, job: &mut Job<'_>) -> Result<Transposed<F>, Error> {
        let Compressed {
            data,
            indices,
            starts,
            lines,
            width,
            ..
        } = self.0;
        Transposed::new(data, indices, starts, (width, lines), job)
    }

    /// The largest number of elements that a row stores.
    pub(crate) fn longest_row(&self) -> usize {
        (0..self.rows())
            .map(|i| {
                self.stored_before(i + 1)
                    .saturating_sub(self.stored_before(i))
            })
            .fold(0, usize::max)
    }

    /// The largest magnitude of an element.
    pub(crate) fn largest(&self) -> f64 {
        let values = self.values::<f64>();
        let stored = values.iter().take(self.stored_before(self.rows()));
        stored.fold(0.0, |largest, x| x.abs().max(largest))
    }

    /// The error for the first element that is NaN or infinite, in the order of the rows.
    pub(crate) fn first_not_finite(&self) -> Option<Error> {
        let values = self.values::<f64>();
        for row in 0..self.rows() {
            for position in self.stored_before(row)..self.stored_before(row + 1) {
                let got = values.get(position).copied().filter(|x| !x.is_finite());
                if let (Some(got), Some(column)) = (got, self.0.indices.get(position)) {
                    return Some(Error::NotFinite {
                        got,
                        row,
                        column: column.at(),
                    });
                }
            }
        }
        None
    }

    /// The error for the first column index out of range.
    pub(crate) fn first_invalid(&self) -> Option<Error> {
        self.0.first_invalid()
    }
}

fn values<'a, F: Float>(data: &Elements<'a>) -> Cow<'a, [F]> {
    match data.slice::<F>() {
        Some(values) => Cow::Borrowed(values),
        None => {
            let mut values = vec![F::ZERO; data.len()];
            Vector::whole(*data).copy(RowSet::All, 0, &mut values);
            Cow::Owned(values)
        }
    }
}

/// A sparse matrix in CSR format that owns its arrays. It was converted from CSC format.
#[derive(Clone, Debug)]
pub struct Transposed<F> {
    values: Vec<F>,
    indices: OwnIndices,
    starts: Vec<i64>,
    columns: usize,
}

#[derive(Clone, Debug)]
enum OwnIndices {
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl<F: Float> Transposed<F> {
    /// Converts a matrix in SciPy's CSC format, where `indices` holds row numbers and `indptr` the places at which the
    /// columns start. In the result, the columns of each row ascend. If there are several threads, each converts some
    /// of the rows.
    ///
    /// # Errors
    ///
    /// As [`Sparse::new`]; [`Error::Index`] for a row index out of range; [`Error::Interrupted`] by the monitor.
    pub fn new(
        data: Elements<'_>,
        indices: Indices<'_>,
        indptr: Indices<'_>,
        (rows, columns): (usize, usize),
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        let matrix = Compressed::new(data, indices, indptr, (columns, rows), Axis::Column)?;
        let values = values(&data);
        with_indices!(indices, slice => {
            let starts = matrix.row_starts(slice)?;
            let (values, indices) = if i32::try_from(columns).is_ok() {
                let (values, indices) = matrix.by_rows(slice, &values, &starts, job)?;
                (values, OwnIndices::I32(indices))
            } else {
                let (values, indices) = matrix.by_rows(slice, &values, &starts, job)?;
                (values, OwnIndices::I64(indices))
            };
            let starts = starts.into_iter().map(|start| start as i64).collect();
            Ok(Transposed { values, indices, starts, columns })
        })
    }

    /// The elements row by row, the column of each element, and, for each row, the position of its first element.
    pub(crate) fn into_parts(self) -> (Vec<F>, Vec<usize>, Vec<usize>) {
        let indices = match self.indices {
            OwnIndices::I32(indices) => indices.into_iter().map(Index::at).collect(),
            OwnIndices::I64(indices) => indices.into_iter().map(Index::at).collect(),
        };
        let starts = self.starts.into_iter().map(Index::at).collect();
        (self.values, indices, starts)
    }

    /// The converted matrix.
    ///
    /// # Errors
    ///
    /// The errors of [`Sparse::new`], none of which can occur here.
    pub fn view(&self) -> Result<Sparse<'_>, Error> {
        let indices = match &self.indices {
            OwnIndices::I32(indices) => Indices::I32(indices),
            OwnIndices::I64(indices) => Indices::I64(indices),
        };
        let shape = (self.starts.len().saturating_sub(1), self.columns);
        Sparse::new(
            Elements::of(&self.values),
            indices,
            Indices::I64(&self.starts),
            shape,
        )
    }
}

/// Consecutive rows whose elements one thread collects from a matrix in CSC format; and the memory for these elements.
struct Share<'a, F, J> {
    rows: Range<usize>,
    values: &'a mut [F],
    columns: &'a mut [J],
}

impl Compressed<'_> {
    /// For a matrix in CSC format: the place at which each row will start in CSR format.
    fn row_starts<I: Index>(&self, indices: &[I]) -> Result<Vec<usize>, Error> {
        let mut starts: Vec<usize> = zeros("X", self.width.saturating_add(1), "row starts")?;
        let stored = self.stored_before(self.lines);
        for row in indices.iter().take(stored) {
            match starts.get_mut(row.at().saturating_add(1)) {
                Some(count) => *count += 1,
                None => return Err(self.first_invalid().unwrap_or_else(changed)),
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Ok(starts)
    }

    /// For a matrix in CSC format: the values and columns of all rows in CSR format.
    fn by_rows<F: Float, I: Index, J: Index>(
        &self,
        indices: &[I],
        values: &[F],
        starts: &[usize],
        job: &mut Job<'_>,
    ) -> Result<(Vec<F>, Vec<J>), Error> {
        /// The least number of elements per thread for which another thread is worth starting.
        const WORTH: usize = 1 << 16;
        let stored = starts[self.width];
        let (mut out_values, mut out_columns) = (
            zeros("X", stored, "stored elements")?,
            zeros("X", stored, "stored elements")?,
        );
        let count = job.threads().get().min(stored / WORTH).clamp(1, 8);
        let (mut rest_values, mut rest_columns) = (&mut out_values[..], &mut out_columns[..]);
        let mut first = 0;
        let mut shares = Vec::new();
        for share in 1..=count {
            let last = if share == count {
                self.width
            } else {
                starts.partition_point(|&start| start < stored / count * share)
            };
            let size = starts[last] - starts[first];
            let (values, after) = rest_values.split_at_mut(size);
            rest_values = after;
            let (columns, after) = rest_columns.split_at_mut(size);
            rest_columns = after;
            shares.push(Share {
                rows: first..last,
                values,
                columns,
            });
            first = last;
        }
        let complete = reduce::map(
            job,
            shares,
            || (),
            |(), share: Share<'_, F, J>| self.fill(share, starts, indices, values),
        )?;
        if complete.contains(&Some(false)) || complete.contains(&None) {
            return Err(changed());
        }
        Ok((out_values, out_columns))
    }

    /// Fills one share by reading all columns. Returns whether the share has as many elements as were counted before.
    /// `None` or false mean that the arrays have changed meanwhile.
    fn fill<F: Float, I: Index, J: Index>(
        &self,
        share: Share<'_, F, J>,
        starts: &[usize],
        indices: &[I],
        values: &[F],
    ) -> Option<bool> {
        let Share {
            rows,
            values: values_out,
            columns: columns_out,
        } = share;
        let start = starts[rows.start];
        let mut next: Vec<usize> = starts[rows.clone()].iter().map(|s| s - start).collect();
        let mut taken = 0;
        for column in 0..self.lines {
            let stored = self.stored_before(column)..self.stored_before(column + 1);
            let indices = indices.get(stored.clone())?;
            for (row, &value) in indices.iter().zip(values.get(stored)?) {
                if let Some(next) = next.get_mut(row.at().wrapping_sub(rows.start)) {
                    *values_out.get_mut(*next)? = value;
                    *columns_out.get_mut(*next)? = J::from_usize(column);
                    *next += 1;
                    taken += 1;
                }
            }
        }
        Some(taken == values_out.len())
    }
}

/// The error to report if a kernel has found an invalid element, and a second look finds none. Another thread must have
/// changed the arrays during the call.
pub(crate) fn changed() -> Error {
    Error::Conflict {
        argument: "X and y",
        expected: "unchanged during the call",
        got: "other values meanwhile".to_owned(),
    }
}

/// Some rows of a sparse matrix, in a given order, with the values and indices as slices of a known type. In arguments,
/// a row is named by its place in this order, not by its number in the matrix.
#[derive(Clone, Copy)]
pub(crate) struct SparseRows<'a, F, I> {
    matrix: Sparse<'a>,
    rows: RowSet<'a>,
    values: &'a [F],
    indices: &'a [I],
}

impl<'a, F: Float, I: Index> SparseRows<'a, F, I> {
    pub(crate) fn new(
        matrix: &Sparse<'a>,
        rows: RowSet<'a>,
        values: &'a [F],
        indices: &'a [I],
    ) -> Self {
        SparseRows {
            matrix: *matrix,
            rows,
            values,
            indices,
        }
    }

    /// The columns and values that a row stores; `None` only if another thread has changed `indptr` during the call.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> Option<(&'a [I], &'a [F])> {
        let (i, starts) = (self.rows.at(i), &self.matrix.0.starts);
        let stored = starts.get(i)?.at()..starts.get(i + 1)?.at();
        Some((self.indices.get(stored.clone())?, self.values.get(stored)?))
    }

    /// Calls `visit` with each column that a row stores, and with the value there. If a column is stored several times,
    /// its values are added up first. `parts` is scratch memory.
    #[inline(always)]
    pub(crate) fn visit(
        &self,
        row: usize,
        parts: &mut Vec<(usize, f64)>,
        mut visit: impl FnMut(usize, f64),
    ) {
        let (columns, values) = self.row(row).unwrap_or_default();
        let elements = columns.iter().zip(values);
        let elements = elements.map(|(column, value)| (column.at(), value.to_f64()));
        if columns.is_sorted_by(|a, b| a.at() < b.at()) {
            elements.for_each(|(column, value)| visit(column, value));
            return;
        }
        parts.clear();
        parts.extend(elements);
        join(parts);
        for &(column, value) in parts.iter() {
            visit(column, value);
        }
    }

    /// The elements of a row in the columns that have a place: the place and the value of each, in the order of their
    /// places. `places` has the place of each column, and a negative number for the other columns. If a column is
    /// stored several times, its values are added up. `parts` is scratch memory.
    #[inline(always)]
    pub(crate) fn in_places<'p>(
        &self,
        row: usize,
        places: &[i32],
        parts: &'p mut Vec<(i32, f64)>,
    ) -> &'p [(i32, f64)] {
        let (columns, values) = self.row(row).unwrap_or_default();
        parts.clear();
        parts.resize(columns.len(), (0, 0.0));
        // Every element is written, and the next one overwrites it if it has no place: a branch that cannot be
        // predicted would take longer.
        let mut count = 0;
        for (column, value) in columns.iter().zip(values) {
            let place = places.get(column.at()).copied().unwrap_or(-1);
            parts[count] = (place, value.to_f64());
            count += usize::from(place >= 0);
        }
        parts.truncate(count);
        if !parts.is_sorted_by(|a, b| a.0 < b.0) {
            join(parts);
        }
        parts
    }
}

/// Sorts (column, value) pairs by column, and adds up the values of the same column.
fn join<C: Copy + Ord>(parts: &mut Vec<(C, f64)>) {
    parts.sort_by_key(|&(column, _)| column);
    parts.dedup_by(|next, first| {
        let is_same = next.0 == first.0;
        if is_same {
            first.1 += next.1;
        }
        is_same
    });
}
