//! Scores and predicted probabilities of rows.

use gradstep_core::Threads;
use pyo3::prelude::*;

use crate::arrays::{Array, Fresh, Number};
use crate::features::GivenFeatures;
use crate::monitor::run;
use crate::parameters::Parameters;
use crate::value_error;

#[pyfunction]
pub(crate) fn decision_function<'py>(
    x: &Bound<'py, PyAny>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    predicted(Prediction::Score, x, weights, bias, n_threads)
}

#[pyfunction]
pub(crate) fn predict_proba<'py>(
    x: &Bound<'py, PyAny>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    predicted(Prediction::Probability, x, weights, bias, n_threads)
}

#[derive(Clone, Copy)]
enum Prediction {
    Score,
    Probability,
}

fn predicted<'py>(
    prediction: Prediction,
    x: &Bound<'py, PyAny>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, x) = (x.py(), GivenFeatures::new(x)?);
    let parameters = Parameters::new(weights, bias)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    if x.is_single() {
        predicted_in::<f32>(py, prediction, &x, &parameters, threads)
    } else {
        predicted_in::<f64>(py, prediction, &x, &parameters, threads)
    }
}

fn predicted_in<'py, F: Number>(
    py: Python<'py>,
    prediction: Prediction,
    x: &GivenFeatures<'_>,
    parameters: &Parameters<'_>,
    threads: Threads,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = x.rows::<F>(py, threads)?;
    let x = rows.features()?;
    let (weights, biases) = parameters.to_vecs::<F>(x.columns())?;
    let at = parameters.at(&weights, &biases);
    let mut shape = vec![x.rows()];
    shape.extend(parameters.classes());
    let mut result = Fresh::empty(py, &shape)?;
    let out = result.slice()?;
    run(py, threads, |job| match prediction {
        Prediction::Score => gradstep_core::decision_function(x, &at, out, job),
        Prediction::Probability => gradstep_core::predict_proba(x, &at, out, job),
    })?;
    Ok(result.into_array().into_any())
}
