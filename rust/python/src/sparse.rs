//! `X` as Python has it: an array, or one of SciPy's sparse containers. These are known by their attributes, so that
//! SciPy need not be installed.

use gradstep_core::{Features, Sparse, Threads, Transposed};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::{Buffer, Number, View, sparse_name};
use crate::options::{shape_text, text};
use crate::{run, value_error};

/// The features, a row per sample.
pub(crate) enum Samples<'py> {
    Dense(View<'py>),
    Sparse(Compressed<'py>),
}

impl<'py> Samples<'py> {
    /// # Errors
    ///
    /// TypeError if these are not real numbers or come in a sparse format other than CSR and CSC, ValueError if they
    /// have not two dimensions.
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyUntypedArray>() {
            return Ok(Samples::Dense(View::new("X", object, 2)?));
        }
        match sparse_name(object)? {
            None => Ok(Samples::Dense(View::new("X", object, 2)?)),
            Some(name) => Ok(Samples::Sparse(Compressed::new(object, &name)?)),
        }
    }

    /// Whether formulas over these are computed in `f32`.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            Samples::Dense(view) => view.is_single(),
            Samples::Sparse(matrix) => matrix.data.is_single(),
        }
    }

    /// Elements in memory.
    pub(crate) fn stored(&self) -> PyResult<usize> {
        match self {
            Samples::Dense(view) => {
                let matrix = view.matrix()?;
                Ok(matrix.rows().saturating_mul(matrix.columns()))
            }
            Samples::Sparse(matrix) => Ok(matrix.data.len()),
        }
    }

    /// The rows: in place, but for CSC, whose rows are gathered here once.
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
            Samples::Dense(view) => Ok(Rows::InPlace(Features::Dense(view.matrix()?))),
            Samples::Sparse(matrix) => matrix.rows(py, threads),
        }
    }
}

/// The features as the core takes them.
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

/// SciPy's CSR or CSC.
pub(crate) struct Compressed<'py> {
    by_columns: bool,
    shape: (usize, usize),
    data: Buffer<'py>,
    indices: Buffer<'py>,
    indptr: Buffer<'py>,
}

impl<'py> Compressed<'py> {
    fn new(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let py = object.py();
        let format = object.getattr(intern!(py, "format"))?;
        let by_columns = match format.extract::<String>()?.as_str() {
            "csr" => false,
            "csc" => true,
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "X must be a dense array, or a SciPy CSR or CSC array or matrix, got {name}: convert it with .tocsr()"
                )));
            }
        };
        let shape = object.getattr(intern!(py, "shape"))?;
        let shape: Vec<usize> = shape.extract().map_err(|_| {
            PyValueError::new_err(format!(
                "X.shape must be two integers from 0 on, got {}",
                text(&shape)
            ))
        })?;
        let &[rows, columns] = shape.as_slice() else {
            return Err(PyValueError::new_err(format!(
                "X must be 2-dimensional, got shape {}",
                shape_text(&shape)
            )));
        };
        Ok(Compressed {
            by_columns,
            shape: (rows, columns),
            data: Buffer::of_floats("X.data", &object.getattr(intern!(py, "data"))?)?,
            indices: Buffer::of_indices("X.indices", &object.getattr(intern!(py, "indices"))?)?,
            indptr: Buffer::of_indices("X.indptr", &object.getattr(intern!(py, "indptr"))?)?,
        })
    }

    fn rows<F: Number>(&self, py: Python<'_>, threads: Threads) -> PyResult<Rows<'_, F>> {
        let data = self.data.elements();
        let (indices, indptr) = (self.indices.indices()?, self.indptr.indices()?);
        let shape = self.shape;
        if self.by_columns {
            let rows = run(py, |monitor| {
                Transposed::new(data, indices, indptr, shape, threads, monitor)
            })?;
            Ok(Rows::Gathered(rows))
        } else {
            let matrix = Sparse::new(data, indices, indptr, shape).map_err(value_error)?;
            Ok(Rows::InPlace(Features::Sparse(matrix)))
        }
    }
}
