//! What a model says of samples without labels, as Python functions.

#![allow(non_snake_case)] // X is what everybody calls it.

use gradstep_core::Threads;
use pyo3::prelude::*;

use crate::arrays::{Fresh, Number};
use crate::formulas::{only, threads};
use crate::options::Given;
use crate::parameters::Parameters;
use crate::run;
use crate::sparse::Samples;

/// The predicted probabilities, ŷ = σ(X w + b), or those of every class, softmax(X Wᵀ + b).
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// weights : array_like, shape (n,) or (K, n)
///     Weights w, nats per unit of each feature; a row per class for softmax.
/// bias : float or array_like of shape (K,), default 0.0
///     Bias b in nats, one per class for softmax.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// ndarray, shape (m,) or (m, K)
///     Probabilities; float32 if `X` is, else float64.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit or `X` is empty.
///
/// Notes
/// -----
/// The model of Berkson, 1944.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.predict_proba([[1.0, 2.0], [0.0, 0.0]], [2.0, -1.0])
/// array([0.5, 0.5])
/// >>> gradstep.predict_proba([[0.0], [1.0]], [[0.0], [0.0], [1.0]]).round(3)
/// array([[0.333, 0.333, 0.333],
///        [0.212, 0.212, 0.576]])
#[pyfunction]
#[pyo3(signature = (X, weights, bias=Given(None), *, n_threads=None),
       text_signature = "(X, weights, bias=0.0, *, n_threads=None)")]
pub(crate) fn predict_proba<'py>(
    X: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    predicted(Prediction::Probability, X, weights, bias, n_threads)
}

/// The score of every row, z = X w + b, or those of every class, X Wᵀ + b: the log-odds, of which ŷ is the sigmoid or the
/// softmax.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// weights : array_like, shape (n,) or (K, n)
///     Weights w, nats per unit of each feature; a row per class for softmax.
/// bias : float or array_like of shape (K,), default 0.0
///     Bias b in nats, one per class for softmax.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// ndarray, shape (m,) or (m, K)
///     Scores in nats; float32 if `X` is, else float64.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit or `X` is empty.
///
/// Notes
/// -----
/// The log-odds, which Berkson, 1944, called the logit.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.decision_function([[1.0, 2.0], [0.0, 1.0]], [2.0, -1.0], 0.5)
/// array([ 0.5, -0.5])
/// >>> gradstep.decision_function([[0.0], [1.0]], [[0.0], [2.0], [-1.0]])
/// array([[ 0.,  0.,  0.],
///        [ 0.,  2., -1.]])
#[pyfunction]
#[pyo3(signature = (X, weights, bias=Given(None), *, n_threads=None),
       text_signature = "(X, weights, bias=0.0, *, n_threads=None)")]
pub(crate) fn decision_function<'py>(
    X: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    predicted(Prediction::Score, X, weights, bias, n_threads)
}

#[derive(Clone, Copy)]
enum Prediction {
    Score,
    Probability,
}

fn predicted<'py>(
    prediction: Prediction,
    X: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Samples::new(X)?;
    let parameters = Parameters::new(weights, bias)?;
    let threads = threads(n_threads)?;
    let py = X.py();
    if x.is_single() {
        predicted_in::<f32>(py, prediction, &x, &parameters, threads)
    } else {
        predicted_in::<f64>(py, prediction, &x, &parameters, threads)
    }
}

fn predicted_in<'py, F: Number>(
    py: Python<'py>,
    prediction: Prediction,
    x: &Samples<'_>,
    parameters: &Parameters<'_>,
    threads: Threads,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = x.rows::<F>(py, threads)?;
    let x = rows.features()?;
    let (weights, biases) = parameters.to_vecs::<F>(x.columns())?;
    if parameters.is_of_classes() {
        let mut result = Fresh::empty(py, &[x.rows(), biases.len()])?;
        let out = result.slice()?;
        let predict = match prediction {
            Prediction::Score => gradstep_core::class_decision_function,
            Prediction::Probability => gradstep_core::predict_classes,
        };
        run(py, |monitor| {
            predict(x, &weights, &biases, out, threads, monitor)
        })?;
        return Ok(result.into_array().into_any());
    }
    let bias = only(&biases);
    let mut result = Fresh::zeros(py, x.rows())?;
    let out = result.slice()?;
    let predict = match prediction {
        Prediction::Score => gradstep_core::decision_function,
        Prediction::Probability => gradstep_core::predict_proba,
    };
    run(py, |monitor| {
        predict(x, &weights, bias, out, threads, monitor)
    })?;
    Ok(result.into_array().into_any())
}
