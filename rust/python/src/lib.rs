//! The Python module `gradstep._native`: unpacks arguments, releases the GIL, calls `gradstep_core`, and packs results.
//!
//! The functions of the module take all arguments by position. The Python package calls them. It checks the types
//! of the arguments, and has the public functions, with the names, defaults and documentation of their arguments.

#[expect(unsafe_code, reason = "NumPy's memory as slices")]
mod arrays;
mod config;
mod descent;
mod distant;
mod elementwise;
mod features;
mod fit;
mod formulas;
mod monitor;
mod parameters;
mod predictions;

use gradstep_core::Error;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

/// Logistic regression by gradient descent, compiled.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::config::configuration;
    #[pymodule_export]
    use crate::descent::{check_descent, descend};
    #[pymodule_export]
    use crate::distant::answer;
    #[pymodule_export]
    use crate::elementwise::{log_sigmoid, sigmoid, sigmoid_derivative, softmax};
    #[pymodule_export]
    use crate::fit::{fit, fit_along, fit_many};
    #[pymodule_export]
    use crate::formulas::{
        covariance, cross_entropy, gradient, gradient_step, hessian, loss, loss_gradient,
    };
    #[pymodule_export]
    use crate::predictions::{decision_function, predict_proba};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.py().import("numpy")?; // if NumPy is missing: an ImportError now instead of a panic later
        module.add("UNIT", gradstep_core::UNIT)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The Python exception for an error of the core: MemoryError for [`Error::Memory`], ValueError for all others.
fn value_error(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Memory { .. } => PyMemoryError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}
