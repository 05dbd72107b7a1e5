//! The Python module `gradstep._native`: unpacks arguments, releases the GIL, calls `gradstep_core`, packs results.
//!
//! Its functions take all of their arguments by position, checked for their kinds by the package's Python, which also has
//! the names, the defaults and the documentation.

#[expect(unsafe_code, reason = "NumPy's memory as slices")]
mod arrays;
mod config;
mod descent;
mod elementwise;
mod fit;
mod formulas;
mod parameters;
mod predictions;
mod samples;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gradstep_core::{Error, Job, Monitor, Threads};
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyValueError};
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
    use crate::elementwise::{log_sigmoid, sigmoid, sigmoid_derivative, softmax};
    #[pymodule_export]
    use crate::fit::fit;
    #[pymodule_export]
    use crate::formulas::{
        covariance, cross_entropy, gradient, gradient_step, hessian, loss, loss_gradient,
    };
    #[pymodule_export]
    use crate::predictions::{decision_function, predict_proba};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.py().import("numpy")?; // an ImportError here, not a panic at the first array
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// How often a running kernel asks Python for signals, at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Lets Ctrl-C (and any other Python signal handler) through while the GIL is released.
struct Signals {
    next: Instant,
    error: Option<PyErr>,
}

impl Signals {
    fn new() -> Self {
        Signals {
            next: Instant::now() + SIGNAL_INTERVAL,
            error: None,
        }
    }

    /// The exception that a kernel's refusal is in Python.
    fn exception(self, error: Error) -> PyErr {
        match (self.error, error) {
            (Some(raised), Error::Interrupted) => raised,
            (None, Error::Interrupted) => PyKeyboardInterrupt::new_err(()),
            (_, error) => value_error(error),
        }
    }
}

impl Monitor for Signals {
    fn poll(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        if now < self.next {
            return ControlFlow::Continue(());
        }
        self.next = now + SIGNAL_INTERVAL;
        // None: the interpreter is shutting down and has no handlers to run.
        match Python::try_attach(|py| py.check_signals()) {
            Some(Err(error)) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
            Some(Ok(())) | None => ControlFlow::Continue(()),
        }
    }
}

/// Runs a kernel without the GIL.
fn run<T: Send>(
    py: Python<'_>,
    threads: Threads,
    kernel: impl FnOnce(&mut Job<'_>) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let mut signals = Signals::new();
    py.detach(|| kernel(&mut Job::new(threads, &mut signals)?))
        .map_err(|error| signals.exception(error))
}

/// A ValueError, or MemoryError where that was what lacked.
fn value_error(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Memory { .. } => PyMemoryError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}
