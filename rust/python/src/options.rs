//! Scalar arguments as Python has them: numbers, counts, flags, words; and how messages speak of Python's objects.
//!
//! Each reader takes the argument's name and the object, and refuses what does not fit: a TypeError if it is of another
//! kind, a ValueError if it is of that kind and out of range, both reading "`<argument>` must `<what was expected>`, got
//! `<what came>`". Nothing is coerced that would lose something: no text to numbers, no fractions to counts, no numbers
//! to truth values. What a value must be beyond its kind (a learning rate positive and finite) is the core's to say.

use std::convert::Infallible;

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyModule, PyString, PyType};
use pyo3::{Borrowed, intern};

/// An argument with a default other than None, for which None is as wrong as any other value.
pub(crate) struct Given<'py>(pub Option<Bound<'py, PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Given(Some(object.to_owned())))
    }
}

impl<'py> Given<'py> {
    /// What `read` makes of the argument; `default` if there was none.
    pub(crate) fn or<T>(
        self,
        default: T,
        argument: &'static str,
        read: impl FnOnce(&'static str, &Bound<'py, PyAny>) -> PyResult<T>,
    ) -> PyResult<T> {
        self.0.map_or(Ok(default), |object| read(argument, &object))
    }
}

/// Anything that stands for one real number, NaN and infinities among them.
pub(crate) fn number(argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    let refused =
        |got: String| PyTypeError::new_err(format!("{argument} must be a real number, got {got}"));
    if let Ok(float) = object.cast_exact::<PyFloat>() {
        return Ok(float.value());
    }
    let py = object.py();
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        if array.ndim() != 0 {
            return Err(refused(format!(
                "{} of shape {}",
                type_name(object),
                shape_text(array.shape())
            )));
        }
        if is_masked(object)? {
            return Err(refused("a masked array".to_owned()));
        }
    }
    // NumPy would make numbers of strings, dates and complex numbers, too.
    if object.is_instance_of::<PyUntypedArray>() || object.is_instance(&numpy(py, "generic")?)? {
        let dtype = object.getattr("dtype")?;
        let kind = dtype.getattr("kind")?.extract::<String>()?;
        if !matches!(kind.as_str(), "b" | "i" | "u" | "f") {
            return Err(refused(format!("dtype {}", text(&dtype))));
        }
    }
    object.extract::<f64>().map_err(|error| {
        if error.is_instance_of::<PyTypeError>(py) {
            refused(type_name(object))
        } else if error.is_instance_of::<PyOverflowError>(py) {
            PyValueError::new_err(format!(
                "{argument} must be a number within the range of float64, got a larger one"
            ))
        } else {
            error
        }
    })
}

/// A positive integer.
pub(crate) fn positive(argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    let integer = index(argument, object)?;
    match integer.extract::<usize>() {
        Ok(value) if value > 0 => Ok(value),
        _ if integer.gt(0)? => Err(PyValueError::new_err(format!(
            "{argument} must be an integer of at most {}, got {}",
            usize::MAX,
            text(&integer)
        ))),
        _ => Err(PyValueError::new_err(format!(
            "{argument} must be a positive integer (at least 1), got {}",
            text(&integer)
        ))),
    }
}

/// A positive integer or None.
pub(crate) fn optional_positive(
    argument: &'static str,
    object: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<usize>> {
    object.map(|object| positive(argument, object)).transpose()
}

/// The seed of a random number generator.
pub(crate) fn seed(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    let integer = index("seed", object)?;
    integer.extract().map_err(|_| {
        let got = text(&integer);
        PyValueError::new_err(format!(
            "seed must be None or an integer from 0 to {}, got {got}",
            u64::MAX
        ))
    })
}

/// True or False, Python's or NumPy's.
pub(crate) fn flag(argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().map_err(|_| {
        PyTypeError::new_err(format!(
            "{argument} must be True or False, got {}",
            type_name(object)
        ))
    })
}

/// Whether a callback asks for the end, by what it returned.
pub(crate) fn stops(returned: &Bound<'_, PyAny>) -> PyResult<bool> {
    if returned.is_none() {
        return Ok(false);
    }
    returned.extract().map_err(|_| {
        PyTypeError::new_err(format!(
            "callback must return True, False or None, got {}",
            type_name(returned)
        ))
    })
}

/// A word, to be chosen from a few.
pub(crate) fn word(argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyString>() {
        Ok(word) => Ok(word.to_string_lossy().into_owned()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{argument} must be a str, got {}",
            type_name(object)
        ))),
    }
}

/// `operator.index`
fn index<'py>(argument: &'static str, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    py.import(intern!(py, "operator"))?
        .getattr(intern!(py, "index"))?
        .call1((object,))
        .map_err(|error| {
            if error.is_instance_of::<PyTypeError>(py) {
                PyTypeError::new_err(format!(
                    "{argument} must be an integer, got {}",
                    type_name(object)
                ))
            } else {
                error
            }
        })
}

// --- words for messages, and NumPy's own functions --------------------------------------------------------------------

/// A function or type of NumPy.
pub(crate) fn numpy<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("numpy").map(Bound::unbind);
    NUMPY.get_or_try_init(py, import)?.bind(py).getattr(name)
}

/// Whether this is a masked array, whose mask every computation here would overlook.
pub(crate) fn is_masked(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static MASKED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = object.py();
    if object.is_exact_instance_of::<PyUntypedArray>() {
        return Ok(false);
    }
    object.is_instance(MASKED.import(py, "numpy.ma", "MaskedArray")?)
}

/// The name of its type.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(
        |_| "an object".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// `str(object)`
pub(crate) fn text(object: &Bound<'_, PyAny>) -> String {
    object.str().map_or_else(
        |_| format!("a huge {}", type_name(object)),
        |text| text.to_string_lossy().into_owned(),
    )
}

/// As Python writes a tuple; that of a scalar, easily overlooked, with a word on what it means.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    match shape {
        [] => "() (0-dimensional)".to_owned(),
        [length] => format!("({length},)"),
        _ => format!(
            "({})",
            shape
                .iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
