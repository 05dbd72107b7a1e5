//! Weights and bias as Python has them: of one score, or of one score per class.

use gradstep_core::{Activation, Parameters as CoreParameters};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{Array, Fresh, Number, Real, shape_text};

/// Weights of shape (n,) and a number, or weights of shape (K, n) and K biases.
pub(crate) struct Parameters<'py> {
    weights: Real<'py>,
    biases: Vec<f64>,
}

impl<'py> Parameters<'py> {
    /// A bias that is a number is that of every class.
    ///
    /// # Errors
    ///
    /// ValueError if the weights are neither a vector nor a matrix, or the biases are not one per row of it.
    pub(crate) fn new(weights: &Array<'py>, bias: &Bound<'py, PyAny>) -> PyResult<Self> {
        let weights = weights_of(weights)?;
        let classes = rows_of(&weights).unwrap_or(1);
        let biases = biases(bias, classes)?;
        Ok(Parameters { weights, biases })
    }

    /// K, if there is a score per class.
    pub(crate) fn classes(&self) -> Option<usize> {
        rows_of(&self.weights)
    }

    /// As the core takes what [`Parameters::to_vecs`] gives.
    pub(crate) fn at<'a, F>(&self, weights: &'a [F], biases: &'a [F]) -> CoreParameters<'a, F> {
        match (self.classes(), biases) {
            (None, [bias]) => CoreParameters::of_one_score(Activation::Sigmoid, weights, bias),
            _ => CoreParameters::of_classes(weights, biases),
        }
    }

    /// # Errors
    ///
    /// ValueError for a score per class.
    pub(crate) fn check_one_score(&self) -> PyResult<()> {
        self.weights.check_dimensions(1)
    }

    /// Weights, class by class, and biases, for features of so many columns.
    ///
    /// # Errors
    ///
    /// ValueError if a class has not one weight per column.
    pub(crate) fn to_vecs<F: Number>(&self, columns: usize) -> PyResult<(Vec<F>, Vec<F>)> {
        if let &[_, width] = self.weights.shape()
            && width != columns
        {
            let got = shape_text(self.weights.shape());
            return Err(PyValueError::new_err(format!(
                "weights must have a row per class and {columns} columns (one weight per column of X), got shape {got}"
            )));
        }
        let biases = self.biases.iter().map(|&b| F::from_f64(b)).collect();
        Ok((self.weights.to_vec::<F>()?, biases))
    }
}

/// The weights as given: shape (n,) of one score, (K, n) of K classes.
///
/// # Errors
///
/// ValueError if they have neither one dimension nor two, or two and no rows.
pub(crate) fn weights_of<'py>(array: &Array<'py>) -> PyResult<Real<'py>> {
    let weights = Real::new("weights", array)?;
    match weights.shape() {
        [0, _] => Err(PyValueError::new_err(format!(
            "weights must have at least one row, got shape {}",
            shape_text(weights.shape())
        ))),
        [_, _] => Ok(weights),
        _ => weights.check_dimensions(1).map(|()| weights),
    }
}

/// K, if the weights are those of K classes.
pub(crate) fn rows_of(weights: &Real<'_>) -> Option<usize> {
    match *weights.shape() {
        [rows, _] => Some(rows),
        _ => None,
    }
}

/// One bias per class: an array, or a number that is that of every class.
///
/// # Errors
///
/// ValueError if an array is no vector of this length.
pub(crate) fn biases(bias: &Bound<'_, PyAny>, classes: usize) -> PyResult<Vec<f64>> {
    let Ok(array) = bias.cast::<PyUntypedArray>() else {
        return Ok(vec![bias.extract()?; classes]);
    };
    let biases = Real::new("bias", array)?;
    biases.check_dimensions(1)?;
    if biases.shape() != [classes] {
        let got = shape_text(biases.shape());
        return Err(PyValueError::new_err(format!(
            "bias must have shape ({classes},) (one per row of weights), got shape {got}"
        )));
    }
    biases.to_vec::<f64>()
}

/// Weights for Python: a vector, or a row per class.
pub(crate) fn pack_weights<'py, F: Number>(
    py: Python<'py>,
    values: &[F],
    classes: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let shape = match classes {
        Some(classes) => vec![classes, values.len() / classes.max(1)],
        None => vec![values.len()],
    };
    let mut array = Fresh::empty(py, &shape)?;
    array.slice()?.copy_from_slice(values);
    Ok(array.into_array().into_any())
}

/// Biases for Python: a number, or one per class.
pub(crate) fn pack_biases<'py, F: Number>(
    py: Python<'py>,
    values: &[F],
    classes: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    match (classes, values) {
        (None, [bias]) => Ok(bias.to_f64().into_pyobject(py)?.into_any()),
        _ => pack_weights(py, values, None),
    }
}
