//! Converts the argument `X` from Python, a NumPy array or the parts of a CSR or CSC matrix, to the core's features.

use gradstep_core::{Features, Sparse, Threads, Transposed};
use pyo3::prelude::*;

use crate::arrays::{Array, Buffer, Number, View};
use crate::monitor::run;
use crate::value_error;

/// The argument `X`, with its arrays checked but not yet converted to the core's type.
pub(crate) enum GivenFeatures<'py> {
    Dense(View<'py>),
    Sparse(Compressed<'py>),
}

impl<'py> GivenFeatures<'py> {
    /// `object` must be an array, or the tuple `(by_columns, (rows, columns), data, indices, indptr)`.
    ///
    /// # Errors
    ///
    /// ValueError if an array has the wrong number of dimensions.
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.cast() {
            return Ok(GivenFeatures::Dense(View::new("X", array, 2)?));
        }
        let (by_columns, shape, data, indices, indptr) = object.extract::<Parts<'py>>()?;
        Ok(GivenFeatures::Sparse(Compressed {
            by_columns,
            shape,
            data: Buffer::of_floats("X.data", &data)?,
            indices: Buffer::of_indices("X.indices", &indices)?,
            indptr: Buffer::of_indices("X.indptr", &indptr)?,
        }))
    }

    /// Whether formulas of these features are computed in `f32`.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            GivenFeatures::Dense(view) => view.is_single(),
            GivenFeatures::Sparse(matrix) => matrix.data.is_single(),
        }
    }

    /// n, the number of columns.
    pub(crate) fn columns(&self) -> PyResult<usize> {
        match self {
            GivenFeatures::Dense(view) => Ok(view.matrix()?.columns()),
            GivenFeatures::Sparse(matrix) => Ok(matrix.shape.1),
        }
    }

    /// The number of elements in memory: m·n of a dense X, the stored ones of a sparse X.
    pub(crate) fn stored(&self) -> PyResult<usize> {
        match self {
            GivenFeatures::Dense(view) => {
                let matrix = view.matrix()?;
                Ok(matrix.rows().saturating_mul(matrix.columns()))
            }
            GivenFeatures::Sparse(matrix) => Ok(matrix.data.len()),
        }
    }

    /// The features for the core: in place, except that a CSC matrix is converted to CSR.
    ///
    /// # Errors
    ///
    /// ValueError if a sparse container's arrays do not fit one another.
    pub(crate) fn rows<F: Number>(
        &self,
        py: Python<'_>,
        threads: Threads,
    ) -> PyResult<Rows<'_, F>> {
        match self {
            GivenFeatures::Dense(view) => Ok(Rows::InPlace(Features::Dense(view.matrix()?))),
            GivenFeatures::Sparse(matrix) => matrix.rows(py, threads),
        }
    }
}

/// Features that the core can read: a view of Python's arrays, or a converted matrix.
pub(crate) enum Rows<'a, F> {
    InPlace(Features<'a>),
    Gathered(Transposed<F>),
}

impl<F: Number> Rows<'_, F> {
    pub(crate) fn features(&self) -> PyResult<Features<'_>> {
        match self {
            Rows::InPlace(features) => Ok(*features),
            Rows::Gathered(rows) => rows.view().map(Features::Sparse).map_err(value_error),
        }
    }
}

type Parts<'py> = (bool, (usize, usize), Array<'py>, Array<'py>, Array<'py>);

/// The parts of a CSR matrix or, if `by_columns`, of a CSC matrix.
pub(crate) struct Compressed<'py> {
    by_columns: bool,
    shape: (usize, usize),
    data: Buffer<'py>,
    indices: Buffer<'py>,
    indptr: Buffer<'py>,
}

impl Compressed<'_> {
    fn rows<F: Number>(&self, py: Python<'_>, threads: Threads) -> PyResult<Rows<'_, F>> {
        let data = self.data.elements();
        let (indices, indptr) = (self.indices.indices()?, self.indptr.indices()?);
        let shape = self.shape;
        if self.by_columns {
            let rows = run(py, threads, |job| {
                Transposed::new(data, indices, indptr, shape, job)
            })?;
            Ok(Rows::Gathered(rows))
        } else {
            let matrix = Sparse::new(data, indices, indptr, shape).map_err(value_error)?;
            Ok(Rows::InPlace(Features::Sparse(matrix)))
        }
    }
}
