//! `X`, dense or sparse.

use crate::error::Error;
use crate::matrix::Matrix;
use crate::sparse::{ROW, Sparse};

/// The feature matrix `X`, shape (m, n).
#[derive(Clone, Copy, Debug)]
pub enum Features<'a> {
    /// A dense matrix: every element is stored.
    Dense(Matrix<'a>),
    /// A sparse matrix: only some elements are stored, and the others are zero.
    Sparse(Sparse<'a>),
}

impl Features<'_> {
    /// m, the number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Features::Dense(x) => x.rows(),
            Features::Sparse(x) => x.rows(),
        }
    }

    /// n, the number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Features::Dense(x) => x.columns(),
            Features::Sparse(x) => x.columns(),
        }
    }

    /// The cost of reading `rows` rows. The unit is the cost of reading one element of a dense matrix.
    pub(crate) fn reads(&self, rows: usize) -> usize {
        match self {
            Features::Dense(x) => rows.saturating_mul(x.columns()),
            Features::Sparse(x) => {
                let stored = x.stored_before(x.rows()) as f64 / x.rows() as f64;
                (rows as f64 * (stored + ROW as f64)) as usize
            }
        }
    }

    /// The largest magnitude of an element.
    pub(crate) fn largest(&self) -> f64 {
        match self {
            Features::Dense(x) => x.largest(),
            Features::Sparse(x) => x.largest(),
        }
    }

    /// The error for the first element that is NaN or infinite, in the order of the rows; `None` if all are finite.
    pub(crate) fn first_not_finite(&self) -> Option<Error> {
        match self {
            Features::Dense(x) => x.first_not_finite(),
            Features::Sparse(x) => x.first_not_finite(),
        }
    }
}

impl<'a> From<&Features<'a>> for Features<'a> {
    fn from(x: &Features<'a>) -> Self {
        *x
    }
}

impl<'a> From<&Matrix<'a>> for Features<'a> {
    fn from(x: &Matrix<'a>) -> Self {
        Features::Dense(*x)
    }
}

impl<'a> From<&Sparse<'a>> for Features<'a> {
    fn from(x: &Sparse<'a>) -> Self {
        Features::Sparse(*x)
    }
}
