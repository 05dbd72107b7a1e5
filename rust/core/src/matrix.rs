//! Dense matrices, in any memory layout and with any type of elements; and tiles: blocks of rows in the layout and type
//! that a kernel needs.
//!
//! A tile is used in place if the matrix has the type that the kernel needs and the rows are contiguous (or the
//! columns, for a kernel that reads column by column). Otherwise the tile is copied ("packed") into scratch memory. The
//! whole matrix is never copied, and results do not depend on whether a tile is packed.

use std::ops::Range;

use fearless_simd::prelude::*;

use crate::elements::Elements;
use crate::error::Error;
use crate::float::Float;
use crate::lanes::{MAX_LANES, transpose};
use crate::strips::{Strips, prefetch};
use crate::vector::RowSet;

/// Scratch memory for tiles that cannot be used in place. It is used again for the next tile.
pub(crate) struct Packed<F> {
    tile: Vec<F>,
    /// A few rows, converted to the type of the tile before they are transposed into it.
    strips: Vec<F>,
}

impl<F: Float> Packed<F> {
    pub(crate) fn new() -> Self {
        Packed {
            tile: Vec::new(),
            strips: Vec::new(),
        }
    }

    #[inline(always)]
    fn make_room(&mut self, rows: usize, columns: usize) -> (&mut [F], &mut Vec<F>) {
        let size = rows * columns;
        if self.tile.len() < size {
            self.tile.resize(size, F::ZERO);
        }
        (&mut self.tile[..size], &mut self.strips)
    }
}

/// Where the elements of a matrix are stored.
#[derive(Clone, Copy, Debug)]
enum Storage<'a> {
    /// All in one buffer.
    One(Elements<'a>),
    /// Each column in a buffer of its own, in a type of its own.
    OfColumns(&'a [Elements<'a>]),
}

/// `rows × columns` elements. In one buffer, element (i, j) lies at `offset + i·row_stride + j·column_stride`. If each
/// column has a buffer of its own, element (i, j) lies at `offset + i` of buffer j.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    storage: Storage<'a>,
    offset: usize,
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// A view of `elements`. Strides are counted in elements and may be negative or zero.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if there are no rows or no columns; [`Error::View`] if some element would lie outside of the
    /// buffer.
    pub fn new(
        elements: Elements<'a>,
        offset: usize,
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (isize, isize),
    ) -> Result<Self, Error> {
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { rows, columns });
        }
        let reach = |count: usize, stride: isize| (count as i128 - 1) * stride as i128;
        let (down, across) = (reach(rows, row_stride), reach(columns, column_stride));
        let lowest = offset as i128 + down.min(0) + across.min(0);
        let highest = offset as i128 + down.max(0) + across.max(0);
        if lowest < 0 || highest >= elements.len() as i128 {
            return Err(Error::View { argument: "X" });
        }
        Ok(Matrix {
            storage: Storage::One(elements),
            offset,
            rows,
            columns,
            row_stride,
            column_stride,
        })
    }

    /// A view of rows in C order, one after the other without gaps.
    ///
    /// # Errors
    ///
    /// As [`Matrix::new`].
    pub fn from_rows(elements: Elements<'a>, rows: usize, columns: usize) -> Result<Self, Error> {
        Matrix::new(elements, 0, (rows, columns), (columns as isize, 1))
    }

    /// A view of columns, each in a buffer of its own. The length of the buffers is the number of rows.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if there are no rows or no columns, [`Error::View`] if the buffers are not of equal length.
    pub fn from_columns(columns: &'a [Elements<'a>]) -> Result<Self, Error> {
        let rows = columns.first().map_or(0, Elements::len);
        if rows == 0 {
            let columns = columns.len();
            return Err(Error::Empty { rows, columns });
        }
        if columns.iter().any(|column| column.len() != rows) {
            return Err(Error::View { argument: "X" });
        }
        Ok(Matrix {
            storage: Storage::OfColumns(columns),
            offset: 0,
            rows,
            columns: columns.len(),
            row_stride: 1,
            column_stride: 0,
        })
    }

    /// m, the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// n, the number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Position of an element in its buffer. When the matrix was made, it was checked that all positions with `row <
    /// rows` and `column < columns` are inside the buffer.
    #[inline(always)]
    fn position(&self, row: usize, column: usize) -> usize {
        self.offset.wrapping_add_signed(
            row as isize * self.row_stride + column as isize * self.column_stride,
        )
    }

    /// Consecutive rows, at least one, as a matrix.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        Matrix {
            offset: self.position(rows.start, 0),
            rows: rows.len(),
            ..*self
        }
    }

    /// The transpose, as a view of the same elements.
    pub(crate) fn transposed(&self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..*self
        }
    }

    /// The rows of the set `rows`.
    #[inline(always)]
    pub(crate) fn select(&self, rows: RowSet<'a>) -> DenseRows<'a> {
        DenseRows {
            matrix: *self,
            rows,
        }
    }

    /// Copies row number `row` to `out`, converted to `F`.
    #[inline(always)]
    pub(crate) fn copy_row<F: Float>(&self, row: usize, out: &mut [F]) {
        match self.storage {
            Storage::One(elements) => {
                elements.copy_run(self.position(row, 0), self.column_stride, out);
            }
            Storage::OfColumns(columns) => {
                let row = self.position(row, 0);
                for (column, out) in columns.iter().zip(out) {
                    *out = column.get(row);
                }
            }
        }
    }

    /// Copies elements of one column, from row number `row` on, to `out`, converted to `F`.
    #[inline(always)]
    fn copy_of_column<F: Float>(&self, row: usize, column: usize, out: &mut [F]) {
        let start = self.position(row, column);
        match self.storage {
            Storage::One(elements) => elements.copy_run(start, self.row_stride, out),
            Storage::OfColumns(columns) => columns[column].copy_run(start, 1, out),
        }
    }

    /// Elements of one column, from row number `row` on, if they have type `F` and lie next to each other.
    #[inline(always)]
    fn run_of_column<F: Float>(&self, row: usize, column: usize, count: usize) -> Option<&'a [F]> {
        let start = self.position(row, column);
        match self.storage {
            Storage::One(elements) => {
                let data = elements.slice::<F>().filter(|_| self.row_stride == 1)?;
                data.get(start..start + count)
            }
            Storage::OfColumns(columns) => columns[column].slice::<F>()?.get(start..start + count),
        }
    }

    /// Whether some elements are floats, which may be infinite or NaN.
    fn has_floats(&self) -> bool {
        let is_float =
            |elements: &Elements<'_>| matches!(elements, Elements::F32(_) | Elements::F64(_));
        match &self.storage {
            Storage::One(elements) => is_float(elements),
            Storage::OfColumns(columns) => columns.iter().any(is_float),
        }
    }

    /// The largest magnitude of an element.
    pub(crate) fn largest(&self) -> f64 {
        let mut row = vec![0.0; self.columns];
        (0..self.rows).fold(0.0, |largest, i| {
            self.copy_row::<f64>(i, &mut row);
            row.iter()
                .fold(largest, |largest: f64, x| largest.max(x.abs()))
        })
    }

    /// The error for the first element that is NaN or infinite, in the order of the rows.
    pub(crate) fn first_not_finite(&self) -> Option<Error> {
        if !self.has_floats() {
            return None;
        }
        let mut row = vec![0.0; self.columns];
        for i in 0..self.rows {
            self.copy_row::<f64>(i, &mut row);
            if let Some(j) = row.iter().position(|x| !x.is_finite()) {
                return Some(Error::NotFinite {
                    got: row[j],
                    row: i,
                    column: j,
                });
            }
        }
        None
    }
}

/// Some rows of a dense matrix, in a given order. In arguments, a row is named by its place in this order, not by its
/// number in the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenseRows<'a> {
    matrix: Matrix<'a>,
    rows: RowSet<'a>,
}

impl<'a> DenseRows<'a> {
    /// n, the number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.matrix.columns
    }

    /// Position of an element in the buffer. `row` is a place in the order of the selected rows.
    #[inline(always)]
    fn position(&self, row: usize, column: usize) -> usize {
        self.matrix.position(self.rows.at(row), column)
    }

    /// Copies the row at place `row` in the order of the selected rows to `out`, converted to `F`.
    #[inline(always)]
    pub(crate) fn copy<F: Float>(&self, row: usize, out: &mut [F]) {
        self.matrix.copy_row(self.rows.at(row), out);
    }

    /// The `count` rows from `first` on, each as a contiguous slice. Rows that are not contiguous in memory are copied
    /// to `packed`.
    #[inline(always)]
    pub(crate) fn row_tile<'t, F: Float>(
        &self,
        first: usize,
        count: usize,
        packed: &'t mut Packed<F>,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        self.row_tile_by(first, count, packed, |_, _| 0)
    }

    /// As [`row_tile`](Self::row_tile), but faster if columns are contiguous: these are transposed in registers.
    #[inline(always)]
    pub(crate) fn transposed_row_tile<'t, F: Float, S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        packed: &'t mut Packed<F>,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        self.row_tile_by(
            first,
            count,
            packed,
            #[inline(always)]
            |tile, strips| {
                if count.min(self.matrix.columns) < F::LANES || !self.runs_down_columns() {
                    return 0;
                }
                let rows = count / F::LANES * F::LANES;
                let tile = &mut tile[..rows * self.matrix.columns];
                self.transpose_columns(simd, first, strips, tile);
                rows
            },
        )
    }

    /// As [`row_tile`](Self::row_tile), but if rows must be copied, `fill` may copy some of them in a faster way. It
    /// copies rows from the first one on, and returns how many; the others are copied one by one.
    #[inline(always)]
    fn row_tile_by<'t, F: Float>(
        &self,
        first: usize,
        count: usize,
        packed: &'t mut Packed<F>,
        fill: impl FnOnce(&mut [F], &mut Vec<F>) -> usize,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        let columns = self.matrix.columns;
        if let Some(data) = self.rows_in_place::<F>() {
            let start = self.position(first, 0);
            return Strips::new(data, start, self.matrix.row_stride, count, columns);
        }
        let (tile, strips) = packed.make_room(count, columns);
        let filled = fill(tile, strips);
        for (i, row) in tile.chunks_exact_mut(columns).enumerate().skip(filled) {
            self.copy(first + i, row);
        }
        Strips::new(tile, 0, columns as isize, count, columns)
    }

    /// Copies the rows from `first` on to `tile`. In the matrix, neighbours in memory must be elements of the same
    /// column. The number of rows must be a multiple of [`Float::LANES`], and a row must have at least [`Float::LANES`]
    /// elements.
    #[inline(always)]
    fn transpose_columns<F: Float, S: Simd>(
        &self,
        simd: S,
        first: usize,
        strips: &mut Vec<F>,
        tile: &mut [F],
    ) {
        let columns = self.matrix.columns;
        let count = tile.len() / columns;
        let first = self.rows.at(first);
        strips.resize(F::LANES * count, F::ZERO);
        for j in (0..columns).step_by(F::LANES) {
            let j = j.min(columns - F::LANES); // the last columns may be copied twice
            let mut runs: [&[F]; MAX_LANES] = [&[]; MAX_LANES];
            for (k, copy) in strips.chunks_exact_mut(count).enumerate() {
                runs[k] = match self.matrix.run_of_column(first, j + k, count) {
                    Some(run) => run,
                    None => {
                        self.matrix.copy_of_column(first, j + k, copy);
                        copy
                    }
                };
            }
            for i in (0..count).step_by(F::LANES) {
                let mut square = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
                for k in 0..F::LANES {
                    let run = &runs[k][i..];
                    prefetch(run, count as isize);
                    square[k] = F::Lanes::<S>::from_slice(simd, &run[..F::LANES]);
                }
                transpose::<F, S>(&mut square);
                for k in 0..F::LANES {
                    square[k].store_slice(&mut tile[(i + k) * columns + j..][..F::LANES]);
                }
            }
        }
    }

    /// The buffer of the matrix, if [`DenseRows::row_tile`] uses it in place; otherwise `None`.
    #[inline(always)]
    pub(crate) fn rows_in_place<F: Float>(&self) -> Option<&'a [F]> {
        let contiguous = self.matrix.column_stride == 1 || self.matrix.columns == 1;
        self.consecutive().filter(|_| contiguous)
    }

    /// The buffer of the matrix, if it has elements of type `F` and the selected rows are consecutive; otherwise
    /// `None`.
    #[inline(always)]
    fn consecutive<F: Float>(&self) -> Option<&'a [F]> {
        match self.matrix.storage {
            Storage::One(elements) if self.rows.are_consecutive() => elements.slice::<F>(),
            _ => None,
        }
    }

    /// Whether neighbours in memory are elements of the same column and not of the same row.
    #[inline(always)]
    pub(crate) fn runs_down_columns(&self) -> bool {
        let (down, across) = (self.matrix.row_stride, self.matrix.column_stride);
        self.rows.are_consecutive()
            && match self.matrix.storage {
                Storage::One(_) => down.unsigned_abs() < across.unsigned_abs(),
                Storage::OfColumns(_) => true,
            }
    }

    /// The buffer of the matrix, if [`DenseRows::column_tile`] uses it in place; otherwise `None`.
    #[inline(always)]
    pub(crate) fn columns_in_place<F: Float>(&self) -> Option<&'a [F]> {
        let contiguous = self.matrix.row_stride == 1 || self.matrix.rows == 1;
        self.consecutive().filter(|_| contiguous)
    }

    /// The columns of the `count` rows from `first` on, each as a contiguous slice. Columns that are not contiguous in
    /// memory are copied to `packed`.
    #[inline(always)]
    pub(crate) fn column_tile<'t, F: Float, S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        packed: &'t mut Packed<F>,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        if let Some(data) = self.columns_in_place::<F>() {
            let start = self.position(first, 0);
            return Strips::new(
                data,
                start,
                self.matrix.column_stride,
                self.matrix.columns,
                count,
            );
        }
        let (tile, strips) = packed.make_room(count, self.matrix.columns);
        if self.runs_down_columns() || (self.rows.are_consecutive() && self.matrix.columns == 1) {
            for (j, out) in tile.chunks_exact_mut(count).enumerate() {
                self.matrix.copy_of_column(self.rows.at(first), j, out);
            }
        } else {
            self.transpose_rows(simd, first, count, strips, tile);
        }
        Strips::new(tile, 0, count as isize, self.matrix.columns, count)
    }

    /// Copies the columns of `count` rows to `tile`, each as a contiguous slice. The rows must have fewer elements than
    /// a SIMD vector has lanes.
    #[inline(always)]
    fn transpose_rows<F: Float, S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        strips: &mut Vec<F>,
        tile: &mut [F],
    ) {
        let in_place = self.rows_in_place::<F>();
        let pairs = self.matrix.columns == 2 && self.matrix.row_stride == 2;
        strips.clear();
        strips.resize(F::LANES * F::LANES, F::ZERO);
        let mut last_lanes = [F::ZERO; MAX_LANES];
        for row in (0..count).step_by(F::LANES) {
            let taken = F::LANES.min(count - row);
            // A SIMD vector is longer than a row. If the vectors that begin at these rows lie inside the buffer, each
            // row is loaded as one vector, and the elements beyond the end of the row are ignored.
            let start = self.position(first + row, 0);
            let last = start.wrapping_add_signed((F::LANES as isize - 1) * self.matrix.row_stride);
            let whole = in_place.filter(|data| {
                taken == F::LANES && start.max(last).saturating_add(F::LANES) <= data.len()
            });
            let mut square = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
            match whole {
                Some(data) if pairs => {
                    let a = F::Lanes::<S>::from_slice(simd, &data[start..start + F::LANES]);
                    let next = start + F::LANES;
                    let b = F::Lanes::<S>::from_slice(simd, &data[next..next + F::LANES]);
                    square[0] = a.unzip_low(b);
                    square[1] = a.unzip_high(b);
                }
                Some(data) => {
                    for i in 0..F::LANES {
                        let at = start.wrapping_add_signed(i as isize * self.matrix.row_stride);
                        square[i] = F::Lanes::<S>::from_slice(simd, &data[at..at + F::LANES]);
                    }
                    transpose::<F, S>(&mut square);
                }
                None => {
                    for i in 0..taken {
                        let out = &mut strips[i * F::LANES..][..self.matrix.columns];
                        self.copy(first + row + i, out);
                    }
                    for i in 0..F::LANES {
                        let lanes = &strips[i * F::LANES..][..F::LANES];
                        square[i] = F::Lanes::<S>::from_slice(simd, lanes);
                    }
                    transpose::<F, S>(&mut square);
                }
            }
            for (j, column) in tile.chunks_exact_mut(count).enumerate() {
                match column.get_mut(row..row + F::LANES) {
                    Some(out) => square[j].store_slice(out),
                    None => {
                        square[j].store_slice(&mut last_lanes[..F::LANES]);
                        column[row..].copy_from_slice(&last_lanes[..taken]);
                    }
                }
            }
        }
    }
}
