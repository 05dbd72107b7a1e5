//! Weights and bias as Python has them: of one predictor, or of one per class.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{Fresh, Number, Real};
use crate::options::{Given, number, shape_text};

/// Weights of shape (n,) and a number, or weights of shape (K, n) and K biases.
pub(crate) struct Parameters<'py> {
    weights: Real<'py>,
    biases: Vec<f64>,
}

impl<'py> Parameters<'py> {
    /// A bias that is not given is 0; a number is that of every class.
    ///
    /// # Errors
    ///
    /// TypeError if these are not real numbers, ValueError if the weights are neither a vector nor a matrix of one row
    /// per bias.
    pub(crate) fn new(weights: &Bound<'py, PyAny>, bias: Given<'py>) -> PyResult<Self> {
        let weights = weights_of(weights)?;
        let biases = match (weights.shape(), bias.0) {
            (&[classes, _], Some(bias)) => biases(&bias, classes)?,
            (&[classes, _], None) => vec![0.0; classes],
            (_, bias) => vec![Given(bias).or(0.0, "bias", number)?],
        };
        Ok(Parameters { weights, biases })
    }

    /// Whether there is a predictor per class.
    pub(crate) fn is_of_classes(&self) -> bool {
        self.weights.shape().len() == 2
    }

    /// K, or 1
    pub(crate) fn predictors(&self) -> usize {
        self.biases.len()
    }

    /// # Errors
    ///
    /// ValueError for a predictor per class.
    pub(crate) fn check_one_predictor(&self) -> PyResult<()> {
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

/// # Errors
///
/// TypeError if these are not real numbers, ValueError if they have neither one dimension nor two, or no rows.
pub(crate) fn weights_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Real<'py>> {
    let weights = Real::new("weights", object)?;
    match weights.shape() {
        [0, _] => Err(PyValueError::new_err(format!(
            "weights must have at least one row, got shape {}",
            shape_text(weights.shape())
        ))),
        [_, _] => Ok(weights),
        _ => weights.check_dimensions(1).map(|()| weights),
    }
}

/// One bias per class, or the same number for all.
///
/// # Errors
///
/// TypeError if these are not real numbers, ValueError if they are no vector of this length.
pub(crate) fn biases(object: &Bound<'_, PyAny>, classes: usize) -> PyResult<Vec<f64>> {
    let biases = Real::new("bias", object)?;
    if biases.shape().is_empty() {
        return Ok(vec![number("bias", object)?; classes]);
    }
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
