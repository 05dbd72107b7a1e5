//! `X`, dense or sparse.

use crate::error::Error;
use crate::matrix::Matrix;
use crate::sparse::Sparse;

/// The features, a row per sample.
#[derive(Clone, Copy, Debug)]
pub enum Features<'a> {
    /// Every element is stored.
    Dense(Matrix<'a>),
    /// Only some are; the others are zero.
    Sparse(Sparse<'a>),
}

impl Features<'_> {
    /// m
    pub fn rows(&self) -> usize {
        match self {
            Features::Dense(x) => x.rows(),
            Features::Sparse(x) => x.rows(),
        }
    }

    /// n
    pub fn columns(&self) -> usize {
        match self {
            Features::Dense(x) => x.columns(),
            Features::Sparse(x) => x.columns(),
        }
    }

    /// The first element, in row order, that is NaN or infinite.
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
