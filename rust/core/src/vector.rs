//! An array with one value per row, in any layout and with any type of elements; and sets of rows whose values are
//! read.

use std::ops::Range;

use crate::elements::Elements;
use crate::error::Error;
use crate::float::Float;
use crate::reduce::STRIPE;

/// `len` elements of a buffer that are `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    elements: Elements<'a>,
    offset: usize,
    len: usize,
    stride: isize,
}

impl<'a> Vector<'a> {
    /// A view of `len` elements of a buffer, from position `offset` on. The stride is counted in elements and may be
    /// negative or zero.
    ///
    /// # Errors
    ///
    /// [`Error::View`], naming `argument`, if some element would lie outside of the buffer.
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

    /// A view of a whole slice.
    pub fn from_slice(values: &'a [f64]) -> Self {
        Vector::whole(Elements::F64(values))
    }

    /// A view of a whole buffer.
    pub(crate) fn whole(elements: Elements<'a>) -> Self {
        Vector {
            elements,
            offset: 0,
            len: elements.len(),
            stride: 1,
        }
    }

    /// The elements of the rows `rows`.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        Vector {
            offset: self.position(rows.start),
            len: rows.len(),
            ..*self
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements at the places `first` to `first + count − 1` in the set of rows, as a slice. `None` if they are not
    /// consecutive in memory or not stored as `F`.
    #[inline(always)]
    pub(crate) fn in_place<F: Float>(
        &self,
        rows: RowSet<'_>,
        first: usize,
        count: usize,
    ) -> Option<&'a [F]> {
        if !rows.are_consecutive() || self.stride != 1 {
            return None;
        }
        let start = self.offset + rows.at(first);
        self.elements.slice::<F>()?.get(start..start + count)
    }

    /// Fills `out` with the elements of successive rows of the set, from place `first` in the set on, converted to `F`.
    #[inline(always)]
    pub(crate) fn copy<F: Float>(&self, rows: RowSet<'_>, first: usize, out: &mut [F]) {
        if rows.are_consecutive() && !out.is_empty() {
            let start = self.position(rows.at(first));
            self.elements.copy_run(start, self.stride, out);
        } else {
            for (i, out) in out.chunks_mut(1).enumerate() {
                self.elements
                    .copy_run(self.position(rows.at(first + i)), 1, out);
            }
        }
    }

    /// The position of the element of a row in the buffer. [`Vector::new`] has checked that the position lies inside
    /// the buffer for every `row < len`.
    #[inline(always)]
    fn position(&self, row: usize) -> usize {
        self.offset.wrapping_add_signed(row as isize * self.stride)
    }

    /// The element of a row, converted to `F`.
    #[inline(always)]
    pub(crate) fn get<F: Float>(&self, row: usize) -> F {
        let mut out = [F::ZERO];
        self.copy(RowSet::All, row, &mut out);
        out[0]
    }

    /// Checks every element by `test`.
    ///
    /// # Errors
    ///
    /// [`Error::Element`] for the first element that fails.
    pub(crate) fn check(
        &self,
        argument: &'static str,
        expected: &'static str,
        test: impl Fn(f64) -> bool,
    ) -> Result<(), Error> {
        match self.first_failing(test) {
            None => Ok(()),
            Some((index, got)) => Err(Error::Element {
                argument,
                expected,
                got,
                index,
            }),
        }
    }

    /// The index and value of the first element that fails `test`.
    pub(crate) fn first_failing(&self, test: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
        let mut values = [0.0; STRIPE];
        for first in (0..self.len).step_by(STRIPE) {
            let values = &mut values[..STRIPE.min(self.len - first)];
            self.copy(RowSet::All, first, values);
            if let Some(i) = values.iter().position(|&x| !test(x)) {
                return Some((first + i, values[i]));
            }
        }
        None
    }
}

/// An ordered set of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowSet<'a> {
    /// All rows, in order.
    All,
    /// Consecutive rows, `count` of them.
    Range {
        /// The first row.
        first: usize,
        count: usize,
    },
    /// The rows with these numbers, in this order.
    Listed(&'a [usize]),
}

impl<'a> RowSet<'a> {
    /// The number of rows in the set, for arrays of `rows` rows.
    pub(crate) fn count(self, rows: usize) -> usize {
        match self {
            RowSet::All => rows,
            RowSet::Range { count, .. } => count,
            RowSet::Listed(listed) => listed.len(),
        }
    }

    /// The number of the row at place `i` in the set.
    #[inline(always)]
    pub(crate) fn at(self, i: usize) -> usize {
        match self {
            RowSet::Listed(rows) => rows[i],
            RowSet::All => i,
            RowSet::Range { first, .. } => first + i,
        }
    }

    /// The rows at the places `range` in the order of the set.
    pub(crate) fn part(self, range: Range<usize>) -> RowSet<'a> {
        match self {
            RowSet::All | RowSet::Range { .. } => RowSet::Range {
                first: self.at(range.start),
                count: range.len(),
            },
            RowSet::Listed(rows) => RowSet::Listed(&rows[range]),
        }
    }

    /// Whether the rows are consecutive.
    #[inline(always)]
    pub(crate) fn are_consecutive(self) -> bool {
        !matches!(self, RowSet::Listed(_))
    }
}
