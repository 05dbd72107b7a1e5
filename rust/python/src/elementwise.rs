//! The functions of arrays, element by element or along the last axis, as Python functions.

use gradstep_core::{Function, Threads};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{Fresh, Number, Overlap, Real, Target, check_out};
use crate::options::numpy;
use crate::{run, value_error};

fn elementwise<'py>(
    function: Function,
    z: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, z) = (z.py(), Real::new("z", z)?);
    if z.is_single() {
        elementwise_in::<f32>(py, function, &z, out)
    } else {
        elementwise_in::<f64>(py, function, &z, out)
    }
}

fn elementwise_in<'py, F: Number>(
    py: Python<'py>,
    function: Function,
    z: &Real<'py>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let threads = Threads::new(None).map_err(value_error)?;
    if let Some(out) = out {
        check_out::<F>(out, z.shape())?;
        if let Some(mut target) = Target::<F>::new(out)
            && let Some(overlap) = target.beside(z)
        {
            run(py, |monitor| match overlap {
                Overlap::None(z, out) => gradstep_core::apply(function, z, out, threads, monitor),
                Overlap::Same(values) => {
                    gradstep_core::apply_in_place(function, values, threads, monitor)
                }
            })?;
            return Ok(out.clone());
        }
    }
    let result = match z.contiguous::<F>() {
        Some(z_values) if out.is_none() => {
            let mut result = Fresh::<F>::empty(py, z.shape())?;
            let values = result.slice()?;
            run(py, |monitor| {
                gradstep_core::apply(function, z_values, values, threads, monitor)
            })?;
            result
        }
        // Converted, and put in C order; or into an array of its own first, since `out` may overlap `z` in any way.
        _ => {
            let mut result = z.copy::<F>()?;
            let values = result.slice()?;
            run(py, |monitor| {
                gradstep_core::apply_in_place(function, values, threads, monitor)
            })?;
            result
        }
    };
    let result = result.into_array();
    match out {
        Some(out) => {
            numpy(py, "copyto")?.call1((out, result))?;
            Ok(out.clone())
        }
        None if z.shape().is_empty() => result.get_item(()),
        None => Ok(result.into_any()),
    }
}

/// The logistic function, σ(z) = 1 / (1 + e^-z).
///
/// Within 1 ULP of the exact value for every float, monotone, and never a warning: σ(-inf) = 0, σ(inf) = 1,
/// σ(nan) = nan.
///
/// Parameters
/// ----------
/// z : array_like of real numbers, any shape
///     The predictor (log-odds, in nats).
/// out : ndarray, optional
///     Where to put the result: an array of the shape of `z` and the dtype of the computation. It may overlap `z`, or be
///     `z` itself, and is partly written if Ctrl-C interrupts the call.
///
/// Returns
/// -------
/// ndarray or NumPy scalar
///     Probabilities, shape of `z`; float32 if `z` is, else float64. `out` itself if given.
///
/// Raises
/// ------
/// TypeError
///     If `z` does not hold real numbers, or `out` is not an array of the right dtype.
/// ValueError
///     If `out` has another shape or is read-only.
///
/// Notes
/// -----
/// Verhulst, 1845.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.sigmoid([0.0, float("inf")])
/// array([0.5, 1. ])
#[pyfunction]
#[pyo3(signature = (z, *, out=None))]
pub(crate) fn sigmoid<'py>(
    z: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::Sigmoid, z, out)
}

/// The derivative of the logistic function, σ'(z) = σ(z) (1 - σ(z)).
///
/// Within 1 ULP of the exact value, in the tails too, where 1 - σ(z) would cancel. Even; at most 1/4.
///
/// Parameters
/// ----------
/// z : array_like of real numbers, any shape
///     The predictor (log-odds, in nats).
/// out : ndarray, optional
///     Where to put the result: an array of the shape of `z` and the dtype of the computation. It may overlap `z`, or be
///     `z` itself, and is partly written if Ctrl-C interrupts the call.
///
/// Returns
/// -------
/// ndarray or NumPy scalar
///     Probability per nat, shape of `z`; float32 if `z` is, else float64. `out` itself if given.
///
/// Raises
/// ------
/// TypeError
///     If `z` does not hold real numbers, or `out` is not an array of the right dtype.
/// ValueError
///     If `out` has another shape or is read-only.
///
/// Notes
/// -----
/// From dσ/dz = e^-z / (1 + e^-z)², the chain rule applied to σ.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> float(gradstep.sigmoid_derivative(0))
/// 0.25
#[pyfunction]
#[pyo3(signature = (z, *, out=None))]
pub(crate) fn sigmoid_derivative<'py>(
    z: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::SigmoidDerivative, z, out)
}

/// The logarithm of the logistic function, ln σ(z) = -ln(1 + e^-z).
///
/// Within 1 ULP of the exact value; finite for every finite `z`, even where σ(z) rounds to 0. ln(1 - σ(z)) is
/// ``log_sigmoid(-z)``.
///
/// Parameters
/// ----------
/// z : array_like of real numbers, any shape
///     The predictor (log-odds, in nats).
/// out : ndarray, optional
///     Where to put the result: an array of the shape of `z` and the dtype of the computation. It may overlap `z`, or be
///     `z` itself, and is partly written if Ctrl-C interrupts the call.
///
/// Returns
/// -------
/// ndarray or NumPy scalar
///     Log-probabilities in nats, shape of `z`; float32 if `z` is, else float64. `out` itself if given.
///
/// Raises
/// ------
/// TypeError
///     If `z` does not hold real numbers, or `out` is not an array of the right dtype.
/// ValueError
///     If `out` has another shape or is read-only.
///
/// Notes
/// -----
/// Evaluated as min(z, 0) - log1p(e^-|z|), see Mächler, "Accurately computing log(1 - exp(-|a|))", 2012.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> float(gradstep.log_sigmoid(-1000))
/// -1000.0
#[pyfunction]
#[pyo3(signature = (z, *, out=None))]
pub(crate) fn log_sigmoid<'py>(
    z: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::LogSigmoid, z, out)
}

// --- several classes -------------------------------------------------------------------------------------------------

/// The softmax of the last axis, p_k = e^z_k / Σ_l e^z_l.
///
/// The largest predictor is subtracted first: nothing overflows, and probabilities are right to a few ULP, those that
/// are tiny too, but for the rounding of that difference.
///
/// Parameters
/// ----------
/// z : array_like of real numbers, shape (..., K)
///     Predictors, one per class along the last axis, in nats.
/// out : ndarray, optional
///     Where to put the result: an array of the shape of `z` and the dtype of the computation. It may overlap `z`, or be
///     `z` itself, and is partly written if Ctrl-C interrupts the call.
///
/// Returns
/// -------
/// ndarray
///     Probabilities, shape of `z`; float32 if `z` is, else float64. `out` itself if given. Along the last axis they add
///     up to 1, up to rounding. Classes of z = inf share what there is; NaN makes its whole row NaN.
///
/// Raises
/// ------
/// TypeError
///     If `z` does not hold real numbers, or `out` is not an array of the right dtype.
/// ValueError
///     If `z` is a scalar, or `out` has another shape or is read-only.
///
/// Notes
/// -----
/// Of two classes, p_1 is ``sigmoid(z_1 - z_0)``. Boltzmann, 1868; Bridle, 1990.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.softmax([[0.0, 0.0], [1000.0, 0.0]])
/// array([[0.5, 0.5],
///        [1. , 0. ]])
#[pyfunction]
#[pyo3(signature = (z, *, out=None))]
pub(crate) fn softmax<'py>(
    z: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, z) = (z.py(), Real::new("z", z)?);
    let Some(&classes) = z.shape().last() else {
        return Err(PyValueError::new_err(
            "z must have at least one axis, the last one of classes, got a scalar",
        ));
    };
    if z.is_single() {
        softmax_in::<f32>(py, &z, classes, out)
    } else {
        softmax_in::<f64>(py, &z, classes, out)
    }
}

fn softmax_in<'py, F: Number>(
    py: Python<'py>,
    z: &Real<'py>,
    classes: usize,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let threads = Threads::new(None).map_err(value_error)?;
    let compute = |values: &mut [F]| {
        if classes == 0 {
            return Ok(()); // and nothing to compute
        }
        run(py, |monitor| {
            gradstep_core::softmax_in_place(values, classes, threads, monitor)
        })
    };
    if let Some(out) = out {
        check_out::<F>(out, z.shape())?;
        if let Some(mut target) = Target::<F>::new(out)
            && let Some(overlap) = target.beside(z)
        {
            match overlap {
                Overlap::None(z, out) => {
                    out.copy_from_slice(z);
                    compute(out)?;
                }
                Overlap::Same(values) => compute(values)?,
            }
            return Ok(out.clone());
        }
    }
    let mut result = z.copy::<F>()?;
    compute(result.slice()?)?;
    let result = result.into_array();
    match out {
        Some(out) => {
            numpy(py, "copyto")?.call1((out, result))?;
            Ok(out.clone())
        }
        None => Ok(result.into_any()),
    }
}
