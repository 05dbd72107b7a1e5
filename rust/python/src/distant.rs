//! Rows that are not arrays in memory: the solver calls a function of Python that either reads the rows, or sends the
//! solver's requests to the processes that hold the rows. Also the log of a fit; and `answer`, which computes the
//! answer of some of the rows to a request.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use gradstep_core::{Chunks, Dataset, DistantRows, Error, Job, Log, Matrix, ReadRows, Threads};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::arrays::{Array, HeldColumns, HeldMatrix, View};
use crate::formulas::{GivenRows, OfRows};
use crate::monitor::run;
use crate::value_error;

/// Rows as Python gives them: `(function, is_asked, n, is_single, log)`. There are `n` columns. If `is_single`, scores
/// are computed in `f32`, else in `f64`.
///
/// If `is_asked` is False, the function reads rows. It is called as `function(first, count, next_first, next_count)`
/// and returns `count` rows from row `first` on: an array of shape (count, n), or a list of n arrays of shape (count,),
/// one for each column. Nobody changes these arrays before the next call. `next_first` and `next_count` say in the same
/// way which rows the next call will ask for; `next_count` is 0 if that is not known.
///
/// If `is_asked` is True, the function passes requests on. It is called as `function(request)` and returns the answers
/// of all rows, each made by [`answer`], in the order of the rows.
///
/// The log has `recall(request)`, which returns an answer or None, and `record(request, answer)`.
pub(crate) type GivenDistant = (Py<PyAny>, bool, usize, bool, Option<Py<PyAny>>);

/// Rows on disk or on other machines. A function of Python reads them, or passes requests on to them.
pub(crate) struct InPython {
    function: Py<PyAny>,
    is_asked: bool,
    pub(crate) columns: usize,
    pub(crate) is_single: bool,
    log: Option<Py<PyAny>>,
    /// The exception that `function` or the log has raised.
    raised: Mutex<Option<PyErr>>,
}

impl InPython {
    pub(crate) fn new((function, is_asked, columns, is_single, log): GivenDistant) -> Self {
        InPython {
            function,
            is_asked,
            columns,
            is_single,
            log,
            raised: Mutex::new(None),
        }
    }

    /// The exception that `function` or the log has raised. It is taken out: a second call returns `None`.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.take()
    }

    /// Calls `work` with the GIL. If `work` raises, keeps the exception and returns [`Error::Interrupted`].
    fn with_gil<T>(&self, work: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T, Error> {
        Python::attach(work).map_err(|error| {
            *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Error::Interrupted
        })
    }

    /// Calls `work` with the rows and the log. If `function` reads rows, requests are answered here, chunk by chunk.
    pub(crate) fn with_rows<T>(
        &self,
        labels: &Dataset<'_>,
        work: impl FnOnce(&dyn DistantRows, Option<&dyn Log>) -> T,
    ) -> T {
        let log = self.log.as_ref().map(|log| Recording { log, rows: self });
        let log = log.as_ref().map(|log| log as &dyn Log);
        match self.is_asked {
            true => work(self, log),
            false => work(&Chunks::new(self, *labels), log),
        }
    }
}

impl ReadRows for InPython {
    fn read(
        &self,
        rows: Range<usize>,
        next: Range<usize>,
        work: &mut dyn FnMut(&Matrix<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let held = self.with_gil(|py| {
            let asked = (rows.start, rows.len(), next.start, next.len());
            let x = self.function.bind(py).call1(asked)?;
            Ok(match x.cast::<PyList>() {
                Ok(columns) => {
                    let columns: Vec<Array<'_>> = columns.extract()?;
                    Held::Columns(HeldColumns::new("X", &columns, rows.len())?)
                }
                Err(_) => {
                    let shape = (rows.len(), self.columns);
                    Held::Matrix(HeldMatrix::new("X", x.cast()?, shape)?)
                }
            })
        })?;
        match &held {
            Held::Matrix(held) => work(&held.matrix()?),
            Held::Columns(held) => work(&Matrix::from_columns(&held.elements())?),
        }
    }
}

/// Rows that Python has returned.
enum Held {
    Matrix(HeldMatrix),
    Columns(HeldColumns),
}

impl DistantRows for InPython {
    fn ask(
        &self,
        request: &[u8],
        _: &mut Job<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let answers: Vec<PyBackedBytes> = self.with_gil(|py| {
            let request = PyBytes::new(py, request);
            self.function.bind(py).call1((request,))?.extract()
        })?;
        answers.iter().try_for_each(|answer| take(answer))
    }
}

/// The log of a fit. An exception that the log raises is kept in `rows`, the rows of the fit.
struct Recording<'a> {
    log: &'a Py<PyAny>,
    rows: &'a InPython,
}

impl Log for Recording<'_> {
    fn recall(&self, request: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.rows.with_gil(|py| {
            let request = PyBytes::new(py, request);
            let answer = self.log.bind(py).call_method1("recall", (request,))?;
            let answer: Option<PyBackedBytes> = answer.extract()?;
            Ok(answer.map(|answer| answer.to_vec()))
        })
    }

    fn record(&self, request: &[u8], answer: &[u8]) -> Result<(), Error> {
        self.rows.with_gil(|py| {
            let (request, answer) = (PyBytes::new(py, request), PyBytes::new(py, answer));
            self.log
                .bind(py)
                .call_method1("record", (request, answer))?;
            Ok(())
        })
    }
}

/// The answer of some consecutive rows to a request, as bytes. `first` is the number of the first of these rows among
/// all rows, a multiple of `UNIT`.
#[pyfunction]
pub(crate) fn answer<'py>(
    request: &[u8],
    first: usize,
    x: &Array<'py>,
    y: &Array<'py>,
    of_rows: GivenRows<'py>,
    is_single: bool,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = x.py();
    let (x, y) = (View::new("X", x, 2)?, View::new("y", y, 1)?);
    let of_rows = OfRows::new(of_rows)?;
    let offsets = match is_single {
        true => of_rows.offsets::<f32>()?,
        false => of_rows.offsets::<f64>()?,
    };
    let (x, y, sample_weight) = (x.matrix()?, y.vector()?, of_rows.sample_weight()?);
    let threads = Threads::new(n_threads).map_err(value_error)?;
    let answer = run(py, threads, |job| {
        let labels = Dataset::of_labels(x.columns(), &y, sample_weight.as_ref())?;
        let offsets = offsets.vectors()?;
        let labels = labels.with_offsets(&offsets)?;
        gradstep_core::answer(request, first, &x, &labels, job)
    })?;
    Ok(PyBytes::new(py, &answer))
}
