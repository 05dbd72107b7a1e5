//! Arrays as callers hold them, in any layout and any element type, handed to kernels in tiles of one layout and type.
//!
//! A tile whose rows (or, for narrow matrices, columns) already lie contiguous in the type computed in is used in place;
//! any other is packed into a small scratch. No array is ever copied whole, and what a kernel computes from a tile does
//! not depend on where the tile came from.

use std::ops::Range;

use crate::elements::Elements;
use crate::error::Error;
use crate::float::Float;

/// Runs `$body` with `$slice` bound to the typed buffer and `$convert` to the conversion of one element.
macro_rules! with_elements {
    ($elements:expr, $slice:ident, $convert:ident => $body:expr) => {
        match $elements {
            Elements::F64($slice) => {
                let $convert = |x: f64| F::from_f64(x);
                $body
            }
            Elements::F32($slice) => {
                let $convert = |x: f32| F::from_f32(x);
                $body
            }
            Elements::I8($slice) => {
                let $convert = |x: i8| F::from_f64(f64::from(x));
                $body
            }
            Elements::I16($slice) => {
                let $convert = |x: i16| F::from_f64(f64::from(x));
                $body
            }
            Elements::I32($slice) => {
                let $convert = |x: i32| F::from_f64(f64::from(x));
                $body
            }
            Elements::I64($slice) => {
                let $convert = |x: i64| F::from_f64(x as f64);
                $body
            }
            Elements::U8($slice) => {
                let $convert = |x: u8| F::from_f64(f64::from(x));
                $body
            }
            Elements::U16($slice) => {
                let $convert = |x: u16| F::from_f64(f64::from(x));
                $body
            }
            Elements::U32($slice) => {
                let $convert = |x: u32| F::from_f64(f64::from(x));
                $body
            }
            Elements::U64($slice) => {
                let $convert = |x: u64| F::from_f64(x as f64);
                $body
            }
            Elements::Bool($slice) => {
                let $convert = |x: u8| if x == 0 { F::ZERO } else { F::ONE };
                $body
            }
        }
    };
}

/// `rows × columns` elements of a buffer: element (i, j) lies at `offset + i·row_stride + j·column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: Elements<'a>,
    offset: usize,
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// A view of a buffer; strides count elements and may be negative or zero.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] without rows or columns, [`Error::View`] if any element would lie outside the buffer.
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
            elements,
            offset,
            rows,
            columns,
            row_stride,
            column_stride,
        })
    }

    /// Rows in C order.
    ///
    /// # Errors
    ///
    /// As [`Matrix::new`].
    pub fn from_rows(elements: Elements<'a>, rows: usize, columns: usize) -> Result<Self, Error> {
        Matrix::new(elements, 0, (rows, columns), (columns as isize, 1))
    }

    /// m
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// n
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Position in the buffer; only for `row < rows`, `column < columns`, which [`Matrix::new`] has checked.
    #[inline(always)]
    fn position(&self, row: usize, column: usize) -> usize {
        self.offset.wrapping_add_signed(
            row as isize * self.row_stride + column as isize * self.column_stride,
        )
    }

    /// `count` rows as contiguous slices, packed into `scratch` where they are not.
    #[inline(always)]
    pub(crate) fn row_tile<'t, F: Float>(
        &self,
        rows: RowSet<'_>,
        first: usize,
        count: usize,
        scratch: &'t mut Vec<F>,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        if let (true, Some(data)) = (self.rows_in_place::<F>(rows), F::slice(&self.elements)) {
            let start = self.position(rows.at(first), 0);
            return Strips {
                data,
                start,
                stride: self.row_stride,
                length: self.columns,
            };
        }
        scratch.resize(count * self.columns, F::ZERO);
        self.pack(rows, first, count, scratch, (self.columns, 1));
        Strips {
            data: scratch,
            start: 0,
            stride: self.columns as isize,
            length: self.columns,
        }
    }

    /// Whether [`Matrix::row_tile`] packs nothing.
    pub(crate) fn rows_in_place<F: Float>(&self, rows: RowSet<'_>) -> bool {
        rows.are_consecutive()
            && (self.column_stride == 1 || self.columns == 1)
            && F::slice(&self.elements).is_some()
    }

    /// The columns of `count` rows as contiguous slices, packed into `scratch` where they are not.
    #[inline(always)]
    pub(crate) fn column_tile<'t, F: Float>(
        &self,
        rows: RowSet<'_>,
        first: usize,
        count: usize,
        scratch: &'t mut Vec<F>,
    ) -> Strips<'t, F>
    where
        'a: 't,
    {
        let in_place = rows.are_consecutive() && (self.row_stride == 1 || self.rows == 1);
        if let (true, Some(data)) = (in_place, F::slice(&self.elements)) {
            let start = self.position(rows.at(first), 0);
            return Strips {
                data,
                start,
                stride: self.column_stride,
                length: count,
            };
        }
        scratch.resize(count * self.columns, F::ZERO);
        self.pack(rows, first, count, scratch, (1, count));
        Strips {
            data: scratch,
            start: 0,
            stride: count as isize,
            length: count,
        }
    }

    /// Copies one row, converted.
    #[inline(always)]
    pub(crate) fn copy_row<F: Float>(&self, row: usize, out: &mut [F]) {
        self.pack(RowSet::All, row, 1, out, (self.columns, 1));
    }

    /// Copies `count` rows to `out`, where element (i, j) goes to `i·strides.0 + j·strides.1`.
    #[inline(never)] // eleven element types: once for each type computed in, not once for each kernel
    fn pack<F: Float>(
        &self,
        rows: RowSet<'_>,
        first: usize,
        count: usize,
        out: &mut [F],
        strides: (usize, usize),
    ) {
        with_elements!(self.elements, source, convert => {
            // Along the shorter stride of the source, so that whole cache lines are read.
            if self.row_stride.unsigned_abs() < self.column_stride.unsigned_abs() {
                for j in 0..self.columns {
                    for i in 0..count {
                        out[i * strides.0 + j * strides.1] = convert(source[self.position(rows.at(first + i), j)]);
                    }
                }
            } else {
                for i in 0..count {
                    let row = rows.at(first + i);
                    for j in 0..self.columns {
                        out[i * strides.0 + j * strides.1] = convert(source[self.position(row, j)]);
                    }
                }
            }
        });
    }

    /// The first element, in row order, that is NaN or infinite.
    pub(crate) fn first_not_finite(&self) -> Option<Error> {
        if !matches!(self.elements, Elements::F32(_) | Elements::F64(_)) {
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

/// `len` elements of a buffer, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    elements: Elements<'a>,
    offset: usize,
    len: usize,
    stride: isize,
}

impl<'a> Vector<'a> {
    /// A view of a buffer; the stride counts elements and may be negative or zero.
    ///
    /// # Errors
    ///
    /// [`Error::View`], naming `argument`, if any element would lie outside the buffer.
    pub fn new(
        argument: &'static str,
        elements: Elements<'a>,
        offset: usize,
        len: usize,
        stride: isize,
    ) -> Result<Self, Error> {
        let last = offset as i128 + (len as i128 - 1) * stride as i128;
        let buffer = elements.len() as i128;
        if len > 0 && (offset as i128 >= buffer || last < 0 || last >= buffer) {
            return Err(Error::View { argument });
        }
        Ok(Vector {
            elements,
            offset,
            len,
            stride,
        })
    }

    /// A whole slice of `f64`.
    pub fn from_slice(values: &'a [f64]) -> Self {
        Vector {
            elements: Elements::F64(values),
            offset: 0,
            len: values.len(),
            stride: 1,
        }
    }

    /// Elements in the vector.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No elements at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the elements of rows `first ..` of the set, converted.
    #[inline(never)] // as Matrix::pack
    pub(crate) fn copy<F: Float>(&self, rows: RowSet<'_>, first: usize, out: &mut [F]) {
        with_elements!(self.elements, source, convert => {
            if rows.are_consecutive() && self.stride == 1 && !out.is_empty() {
                let start = self.offset + rows.at(first);
                let source = &source[start..start + out.len()];
                for (out, &x) in out.iter_mut().zip(source) {
                    *out = convert(x);
                }
            } else {
                let position = |row: usize| self.offset.wrapping_add_signed(row as isize * self.stride);
                let end = first + out.len();
                match rows {
                    RowSet::Listed(rows) => for (out, &row) in out.iter_mut().zip(&rows[first..end]) {
                        *out = convert(source[position(row)]);
                    }
                    _ => for (i, out) in out.iter_mut().enumerate() {
                        *out = convert(source[position(rows.at(first + i))]);
                    }
                }
            }
        });
    }

    /// One element, converted.
    #[inline(always)]
    pub(crate) fn get<F: Float>(&self, row: usize) -> F {
        let mut out = [F::ZERO];
        self.copy(RowSet::All, row, &mut out);
        out[0]
    }

    /// The first element that fails the test.
    pub(crate) fn first_failing(&self, test: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
        (0..self.len)
            .map(|i| (i, self.get::<f64>(i)))
            .find(|&(_, x)| !test(x))
    }
}

/// Which rows, in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowSet<'a> {
    /// All of them, as they come.
    All,
    /// `count` consecutive ones.
    Range {
        /// The first of them.
        first: usize,
        count: usize,
    },
    /// These.
    Listed(&'a [usize]),
}

impl<'a> RowSet<'a> {
    /// How many, of a matrix of `rows` rows.
    pub(crate) fn count(self, rows: usize) -> usize {
        match self {
            RowSet::All => rows,
            RowSet::Range { count, .. } => count,
            RowSet::Listed(listed) => listed.len(),
        }
    }

    /// The row at a place in the order.
    #[inline(always)]
    pub(crate) fn at(self, i: usize) -> usize {
        match self {
            RowSet::Listed(rows) => rows[i],
            RowSet::All => i,
            RowSet::Range { first, .. } => first + i,
        }
    }

    /// Those at the places `range` in the order.
    pub(crate) fn part(self, range: Range<usize>) -> RowSet<'a> {
        match self {
            RowSet::All | RowSet::Range { .. } => RowSet::Range {
                first: self.at(range.start),
                count: range.len(),
            },
            RowSet::Listed(rows) => RowSet::Listed(&rows[range]),
        }
    }

    /// Whether neighbours in the order are neighbours in memory.
    #[inline(always)]
    fn are_consecutive(self) -> bool {
        !matches!(self, RowSet::Listed(_))
    }
}

/// Rows or columns of a tile: contiguous strips at a fixed distance.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'t, F> {
    data: &'t [F],
    start: usize,
    stride: isize,
    length: usize,
}

impl<'t, F> Strips<'t, F> {
    #[inline(always)]
    pub(crate) fn strip(&self, i: usize) -> &'t [F] {
        let start = self.start.wrapping_add_signed(i as isize * self.stride);
        &self.data[start..start + self.length]
    }
}
