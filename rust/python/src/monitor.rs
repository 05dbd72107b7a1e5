//! Monitors for the core while it runs without the GIL: they let Python handle signals such as Ctrl-C, and call the
//! user's callback.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gradstep_core::{Error, Job, Monitor, Threads};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::value_error;

/// The least time between two checks for Python signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A monitor that runs Python's signal handlers (such as that of Ctrl-C) while the GIL is released, and ends the call
/// if one of them raises.
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

    /// The Python exception for an error of the core. For [`Error::Interrupted`], it is the exception kept in
    /// `self.error`, or KeyboardInterrupt if there is none.
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
        // `None` means that the interpreter is shutting down; there are no handlers to run.
        match Python::try_attach(|py| py.check_signals()) {
            Some(Err(error)) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
            Some(Ok(())) | None => ControlFlow::Continue(()),
        }
    }
}

/// Runs a function of the core without the GIL; signal handlers still run.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    threads: Threads,
    kernel: impl FnOnce(&mut Job<'_>) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let mut signals = Signals::new();
    py.detach(|| kernel(&mut Job::new(threads, &mut signals)?))
        .map_err(|error| signals.exception(error))
}

/// The monitor of a descent or a fit: runs Python's signal handlers, and calls the user's callback.
pub(crate) struct PythonMonitor {
    signals: Signals,
    callback: Option<Py<PyAny>>,
}

impl PythonMonitor {
    pub(crate) fn new(callback: Option<Py<PyAny>>) -> Self {
        PythonMonitor {
            signals: Signals::new(),
            callback,
        }
    }

    pub(crate) fn has_callback(&self) -> bool {
        self.callback.is_some()
    }

    /// Calls the callback, if there is one, with these arguments. Returns `Break` if the callback returns True or
    /// raises.
    pub(crate) fn call(
        &mut self,
        arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>>,
    ) -> ControlFlow<()> {
        let Some(callback) = &self.callback else {
            return ControlFlow::Continue(());
        };
        let stop = Python::attach(|py| {
            let arguments = arguments(py)?;
            callback.bind(py).call1(arguments)?.extract::<bool>()
        });
        match self.answer(stop) {
            ControlFlow::Continue(false) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    /// Calls a function of Python with `number`, and returns its answer, True or False; `Break` if the function raises.
    pub(crate) fn ask(&mut self, function: &Py<PyAny>, number: usize) -> ControlFlow<(), bool> {
        let answer = Python::attach(|py| function.bind(py).call1((number,))?.extract::<bool>());
        self.answer(answer)
    }

    /// The answer of a function of Python; `Break` if the function has raised. The exception is kept for
    /// [`PythonMonitor::finish`].
    fn answer(&mut self, answer: PyResult<bool>) -> ControlFlow<(), bool> {
        match answer {
            Ok(answer) => ControlFlow::Continue(answer),
            Err(error) => {
                self.signals.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The result of the core, or the exception to raise in Python.
    ///
    /// # Errors
    ///
    /// If the core was interrupted, or ended early with a result: the exception that the callback or a signal handler
    /// has raised. If the core failed for another reason: the exception for its error.
    pub(crate) fn finish<T>(self, result: Result<T, Error>) -> PyResult<T> {
        match (result, self.signals) {
            (Err(error), signals) => Err(signals.exception(error)),
            (
                Ok(_),
                Signals {
                    error: Some(raised),
                    ..
                },
            ) => Err(raised),
            (Ok(result), _) => Ok(result),
        }
    }
}

impl Monitor for PythonMonitor {
    fn poll(&mut self) -> ControlFlow<()> {
        self.signals.poll()
    }
}
