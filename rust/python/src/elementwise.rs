//! Functions of one array: σ, σ' and ln σ element by element, and the softmax along the last axis.

use gradstep_core::{Function, Threads};
use pyo3::prelude::*;

use crate::arrays::{Array, Fresh, Number, Overlap, Real, Target, numpy};
use crate::monitor::run;
use crate::value_error;

#[pyfunction]
pub(crate) fn sigmoid<'py>(
    z: &Array<'py>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::Sigmoid, z, out)
}

#[pyfunction]
pub(crate) fn sigmoid_derivative<'py>(
    z: &Array<'py>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::SigmoidDerivative, z, out)
}

#[pyfunction]
pub(crate) fn log_sigmoid<'py>(
    z: &Array<'py>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    elementwise(Function::LogSigmoid, z, out)
}

#[pyfunction]
pub(crate) fn softmax<'py>(
    z: &Array<'py>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, z) = (z.py(), Real::new("z", z)?);
    if z.is_single() {
        softmax_in::<f32>(py, &z, out)
    } else {
        softmax_in::<f64>(py, &z, out)
    }
}

fn elementwise<'py>(
    function: Function,
    z: &Array<'py>,
    out: Option<&Array<'py>>,
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
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let threads = Threads::new(None).map_err(value_error)?;
    if let Some(out) = out
        && let Some(mut target) = Target::<F>::new(out)?
        && let Some(overlap) = target.beside(z)
    {
        run(py, threads, |job| match overlap {
            Overlap::None(z, out) => gradstep_core::apply(function, z, out, job),
            Overlap::Same(values) => gradstep_core::apply_in_place(function, values, job),
        })?;
        return Ok(out.clone().into_any());
    }
    let result = match z.contiguous::<F>() {
        Some(z_values) if out.is_none() => {
            let mut result = Fresh::<F>::empty(py, z.shape())?;
            let values = result.slice()?;
            run(py, threads, |job| {
                gradstep_core::apply(function, z_values, values, job)
            })?;
            result
        }
        // `z` has another type or memory order, or `out` cannot be written directly: computes in a copy of `z`.
        _ => {
            let mut result = z.copy::<F>()?;
            let values = result.slice()?;
            run(py, threads, |job| {
                gradstep_core::apply_in_place(function, values, job)
            })?;
            result
        }
    };
    if out.is_none() && z.shape().is_empty() {
        return result.into_array().get_item(()); // a scalar of NumPy instead of a 0-dimensional array
    }
    given_out(result, out)
}

fn softmax_in<'py, F: Number>(
    py: Python<'py>,
    z: &Real<'py>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let threads = Threads::new(None).map_err(value_error)?;
    let classes = z.shape().last().copied().unwrap_or(1);
    let compute = |values: &mut [F]| {
        if classes == 0 {
            return Ok(()); // no elements
        }
        run(py, threads, |job| {
            gradstep_core::softmax_in_place(values, classes, job)
        })
    };
    if let Some(out) = out
        && let Some(mut target) = Target::<F>::new(out)?
        && let Some(overlap) = target.beside(z)
    {
        match overlap {
            Overlap::None(z, out) => {
                out.copy_from_slice(z);
                compute(out)?;
            }
            Overlap::Same(values) => compute(values)?,
        }
        return Ok(out.clone().into_any());
    }
    let mut result = z.copy::<F>()?;
    compute(result.slice()?)?;
    given_out(result, out)
}

/// Returns the result. If `out` is given, copies the result to `out`, and returns `out`.
fn given_out<'py, F: Number>(
    result: Fresh<'py, F>,
    out: Option<&Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let result = result.into_array();
    match out {
        Some(out) => {
            numpy(out.py(), "copyto")?.call1((out, result))?;
            Ok(out.clone().into_any())
        }
        None => Ok(result.into_any()),
    }
}
