//! Converts weights and bias between Python's arrays and the core's vectors, for one score or one score per class.

use gradstep_core::{Activation, Parameters as CoreParameters, Start};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{Array, Fresh, Number, Real, shape_text};

/// Weights of shape (n,) and one bias, or weights of shape (K, n) and K biases for K classes.
pub(crate) struct Parameters<'py> {
    weights: Real<'py>,
    biases: Vec<f64>,
}

impl<'py> Parameters<'py> {
    /// `bias` is an array of one number per class, or a number that is used for all classes.
    ///
    /// # Errors
    ///
    /// ValueError if the weights are neither a vector nor a matrix, or there is not one bias per row of the matrix.
    pub(crate) fn new(weights: &Array<'py>, bias: &Bound<'py, PyAny>) -> PyResult<Self> {
        let weights = weights_of(weights)?;
        let classes = rows_of(&weights).unwrap_or(1);
        let biases = biases(bias, Some(classes))?;
        Ok(Parameters { weights, biases })
    }

    /// The number of classes K, or `None` for weights of one score.
    pub(crate) fn classes(&self) -> Option<usize> {
        rows_of(&self.weights)
    }

    /// The core's parameters, made from the vectors of [`Parameters::to_vecs`].
    pub(crate) fn at<'a, F>(&self, weights: &'a [F], biases: &'a [F]) -> CoreParameters<'a, F> {
        match (self.classes(), biases) {
            (None, [bias]) => CoreParameters::of_one_score(Activation::Sigmoid, weights, bias),
            _ => CoreParameters::of_classes(weights, biases),
        }
    }

    /// The weights, class by class, and the biases, converted to `F`; `columns` is the number of columns of X.
    ///
    /// # Errors
    ///
    /// ValueError if weights of shape (K, n) have not as many columns as X.
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

/// The start of a fit or a descent as Python gives it: weights of shape (n,) or (K, n), or None; and one bias, K
/// biases, or None.
pub(crate) type GivenStart<'py> = (Option<Array<'py>>, Option<Bound<'py, PyAny>>);

/// # Errors
///
/// The ValueErrors of [`weights_of`] and [`biases`].
pub(crate) fn unpack_start((weights, bias): GivenStart<'_>) -> PyResult<Start> {
    let weights = weights.as_ref().map(weights_of).transpose()?;
    let rows = weights.as_ref().and_then(rows_of);
    let classes = weights.as_ref().map(|_| rows.unwrap_or(1));
    let biases = bias.map(|bias| biases(&bias, classes)).transpose()?;
    Ok(Start {
        weights: weights.map(|weights| weights.to_vec::<f64>()).transpose()?,
        rows,
        biases,
    })
}

/// The weights with their shape checked: (n,) for one score, (K, n) for K classes.
///
/// # Errors
///
/// ValueError if they have neither one nor two dimensions, or two dimensions but no rows.
fn weights_of<'py>(array: &Array<'py>) -> PyResult<Real<'py>> {
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

/// The number of classes K if the weights have shape (K, n); `None` if they are a vector.
fn rows_of(weights: &Real<'_>) -> Option<usize> {
    match *weights.shape() {
        [rows, _] => Some(rows),
        _ => None,
    }
}

/// One bias per class, from an array, or from a number that is used for all classes. If `classes` is `None`, the number
/// of classes is not known: a number then gives one bias, and an array may have any length.
///
/// # Errors
///
/// ValueError if `bias` is an array that is not a vector of length `classes`.
fn biases(bias: &Bound<'_, PyAny>, classes: Option<usize>) -> PyResult<Vec<f64>> {
    let Ok(array) = bias.cast::<PyUntypedArray>() else {
        return Ok(vec![bias.extract()?; classes.unwrap_or(1)]);
    };
    let biases = Real::new("bias", array)?;
    biases.check_dimensions(1)?;
    if let Some(classes) = classes
        && biases.shape() != [classes]
    {
        let got = shape_text(biases.shape());
        return Err(PyValueError::new_err(format!(
            "bias must have shape ({classes},) (one per row of weights), got shape {got}"
        )));
    }
    biases.to_vec::<f64>()
}

/// The number of classes: K for K scores, `None` for one score.
pub(crate) fn classes_of(scores: usize) -> Option<usize> {
    (scores > 1).then_some(scores)
}

/// A NumPy array of weights: a vector, or a matrix with a row per class if `classes` is given.
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

/// The bias for Python: a float, or a NumPy vector of one bias per class if `classes` is given.
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

/// The weights and the bias of a fit or a descent for Python. Several biases are those of K classes: then `weights` has
/// the weights class by class, and becomes a matrix of shape (K, n).
pub(crate) fn pack_parameters<'py, F: Number>(
    py: Python<'py>,
    weights: &[F],
    biases: &[F],
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let classes = classes_of(biases.len());
    Ok((
        pack_weights(py, weights, classes)?,
        pack_biases(py, biases, classes)?,
    ))
}
