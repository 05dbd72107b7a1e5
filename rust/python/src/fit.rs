//! `fit` and `fit_many`: unpack the options, call the core and the callback, and pack each optimum as a dict.

use std::ops::ControlFlow;

use gradstep_core::{
    Alias, ColumnOptions, Dataset, Error, FitObserver, FitOptions, Float, IsLast, Iteration,
    Monitor, Optimum, Penalty, Record, Solver, Start, Threads, Vector,
};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyDict, PyList, PyString, PyTuple};

use crate::arrays::{Array, Number, Real, View, numpy, shape_text};
use crate::distant::{GivenDistant, InPython};
use crate::features::GivenFeatures;
use crate::formulas::{GivenRows, OfRows, Offsets, vector};
use crate::monitor::PythonMonitor;
use crate::parameters::{GivenStart, pack_parameters, unpack_start};
use crate::value_error;

/// If X stores at most this many elements and `n_threads` is None, the fit uses one thread: to count the processors
/// would take longer than the fit.
const ONE_THREAD: usize = 1 << 15;

/// The options of `gradstep.fit`, in the order of its parameters.
type GivenOptions<'py> = (
    (f64, f64, bool), // l1, l2, grouped
    GivenColumns<'py>,
    bool, // firth
    bool,
    Bound<'py, PyString>,
    f64, // gap_tol
    Option<f64>,
    bool,
    f64, // max_passes
    Option<usize>,
);

/// Penalty factors, prior, lower and upper bounds: each an array of one number per column, or None. The prior and the
/// bounds may also have shape (K, n), with a row for each class.
type GivenColumns<'py> = [Option<Array<'py>>; 4];

/// The options of one or more fits, which differ in the strengths of the penalty alone.
struct AllOptions {
    /// All but the penalty and the solver.
    options: FitOptions,
    columns: usize,
    is_grouped: bool,
    own: ColumnOptions,
    solver: String,
    is_firth: bool,
}

impl AllOptions {
    /// The options with these strengths, l1 and l2.
    ///
    /// # Errors
    ///
    /// Those of [`Penalty`] and of [`Solver::parse`].
    fn with(&self, [l1, l2]: [f64; 2]) -> Result<FitOptions, Error> {
        let penalty = Penalty::new(l2)?.with_l1(l1)?;
        let penalty = penalty.with_groups(self.columns, self.is_grouped);
        let penalty = penalty.with_columns(self.columns, &self.own)?;
        Ok(FitOptions {
            solver: Solver::parse(&self.solver, &penalty, self.is_firth)?,
            penalty,
            ..self.options.clone()
        })
    }
}

/// Returns the core's options of a fit of `columns` columns, and the requested number of threads.
fn unpack(given: GivenOptions<'_>, columns: usize) -> PyResult<(FitOptions, Option<usize>)> {
    let (all, strengths, n_threads) = unpack_all(given, columns)?;
    Ok((all.with(strengths).map_err(value_error)?, n_threads))
}

/// Returns the options of fits, the strengths l1 and l2 among them, and the requested number of threads.
fn unpack_all(
    given: GivenOptions<'_>,
    columns: usize,
) -> PyResult<(AllOptions, [f64; 2], Option<usize>)> {
    let (
        (l1, l2, grouped),
        own,
        firth,
        fit_bias,
        solver,
        gap_tol,
        tol,
        certify,
        max_passes,
        n_threads,
    ) = given;
    let all = AllOptions {
        columns,
        is_grouped: grouped,
        own: unpack_columns(&own, columns)?,
        solver: solver.to_string_lossy().into_owned(),
        is_firth: firth,
        options: FitOptions {
            penalty: Penalty::NONE,
            solver: Solver::Lbfgs,
            threads: Threads::new(n_threads).map_err(value_error)?,
            fit_bias,
            tol,
            gap_tol,
            certify,
            max_passes,
        },
    };
    Ok((all, [l1, l2], n_threads))
}

fn unpack_columns(
    [factors, prior, lower, upper]: &GivenColumns<'_>,
    columns: usize,
) -> PyResult<ColumnOptions> {
    let factors = factors
        .as_ref()
        .map(|given| vector("penalty_factors", given)?.to_vec::<f64>());
    let numbers = |argument, given: &Option<Array<'_>>| {
        let numbers = given
            .as_ref()
            .map(|given| by_column(argument, given, columns));
        numbers.transpose()
    };
    Ok(ColumnOptions {
        factors: factors.transpose()?,
        prior: numbers("prior", prior)?,
        lower: numbers("lower", lower)?,
        upper: numbers("upper", upper)?,
    })
}

/// Numbers of shape (n,), or of shape (K, n) with a row for each class.
///
/// # Errors
///
/// ValueError for another shape.
fn by_column(argument: &'static str, given: &Array<'_>, columns: usize) -> PyResult<Vec<f64>> {
    let numbers = Real::new(argument, given)?;
    match *numbers.shape() {
        [rows, width] if rows > 0 && width == columns => numbers.to_vec::<f64>(),
        [_, _] => Err(PyValueError::new_err(format!(
            "{argument} must have shape ({columns},) (one number per column of X), or a row of {columns} numbers for each \
             class, got shape {}",
            shape_text(numbers.shape())
        ))),
        _ => vector(argument, given)?.to_vec::<f64>(),
    }
}

/// Fits, and returns a dict with the fields of `gradstep.Optimum`. A field that is a named tuple in Python is a plain
/// tuple here; the stop reason is a word.
#[pyfunction]
pub(crate) fn fit<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    of_rows: GivenRows<'py>,
    given: GivenOptions<'py>,
    start: GivenStart<'py>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let found = fit_with(x, (y, of_rows), given, start, callback, None)?;
    let mut found = found.into_iter();
    Ok(found
        .next()
        .unwrap_or_else(|| unreachable!("one fit has one result")))
}

/// Fits for one pair of `strengths`, l1 and l2, after the other, each from the optimum before it. Returns a dict for
/// each, as [`fit`] does. `is_last` is called with the loss of each optimum, and returns True to end the fits. The
/// strengths in `given` are not used.
#[pyfunction]
pub(crate) fn fit_along<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    of_rows: GivenRows<'py>,
    given: GivenOptions<'py>,
    start: GivenStart<'py>,
    strengths: Vec<[f64; 2]>,
    is_last: Py<PyAny>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let along = Some((strengths, is_last));
    fit_with(x, (y, of_rows), given, start, None, along)
}

/// One fit; or with `along`, one for each of its strengths.
fn fit_with<'py>(
    x: &Bound<'py, PyAny>,
    (y, of_rows): (&Array<'py>, GivenRows<'py>),
    given: GivenOptions<'py>,
    start: GivenStart<'py>,
    callback: Option<Py<PyAny>>,
    along: Option<(Vec<[f64; 2]>, Py<PyAny>)>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let py = x.py();
    let y = View::new("y", y, 1)?;
    let of_rows = OfRows::new(of_rows)?;
    if let Ok(distant) = x.extract::<GivenDistant>() {
        let rows = InPython::new(distant);
        let (all, strengths, _) = unpack_all(given, rows.columns)?;
        let arguments = Arguments {
            x: &rows,
            y: &y,
            of_rows: &of_rows,
            start: unpack_start(start)?,
            options: all.with(strengths).map_err(value_error)?,
            along: along.map(|(strengths, is_last)| Along {
                all,
                strengths,
                is_last,
                raised: None,
            }),
            callback,
        };
        return match rows.is_single {
            true => arguments.fit_distant::<f32>(py),
            false => arguments.fit_distant::<f64>(py),
        };
    }
    let x = GivenFeatures::new(x)?;
    let (mut all, strengths, n_threads) = unpack_all(given, x.columns()?)?;
    if n_threads.is_none() && x.stored()? <= ONE_THREAD {
        all.options.threads = Threads::ONE;
    }
    let arguments = Arguments {
        x: &x,
        y: &y,
        of_rows: &of_rows,
        start: unpack_start(start)?,
        options: all.with(strengths).map_err(value_error)?,
        along: along.map(|(strengths, is_last)| Along {
            all,
            strengths,
            is_last,
            raised: None,
        }),
        callback,
    };
    match x.is_single() {
        true => arguments.fit::<f32>(py),
        false => arguments.fit::<f64>(py),
    }
}

/// Several fits, each from the optimum before it.
struct Along {
    all: AllOptions,
    /// l1 and l2 of each fit.
    strengths: Vec<[f64; 2]>,
    /// A function of Python. It is called with the loss of each optimum, and returns True to end the fits.
    is_last: Py<PyAny>,
    /// What `is_last` has raised.
    raised: Option<PyErr>,
}

impl Along {
    /// Calls `work` with the options of each fit, and with a function that calls `is_last`.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Iterator<Item = FitOptions>, IsLast<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut refused = Ok(());
        let mut options = self.strengths.iter().map_while(|strengths| {
            let options = self.all.with(*strengths);
            options.map_err(|error| refused = Err(error)).ok()
        });
        let found = work(&mut options, &mut |optimum| {
            let answer = Python::attach(|py| {
                let answer = self.is_last.bind(py).call1((optimum.loss,))?;
                answer.extract::<bool>()
            });
            answer.unwrap_or_else(|error| {
                self.raised = Some(error);
                true
            })
        });
        refused.and(found)
    }
}

/// One of several fits over the same X: its labels, its sample weights and offsets, its options and its start.
type GivenFit<'py> = (
    Array<'py>,
    GivenRows<'py>,
    GivenOptions<'py>,
    GivenStart<'py>,
);

/// Runs several fits over the same X, and returns for each fit the dict that [`fit`] returns. One pass over X serves
/// all fits. A ValueError about one of the fits has two arguments: a message and the index of the fit.
#[pyfunction]
pub(crate) fn fit_many<'py>(
    x: &Bound<'py, PyAny>,
    fits: Vec<GivenFit<'py>>,
    n_threads: Option<usize>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let py = x.py();
    let x = GivenFeatures::new(x)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    match x.is_single() {
        true => fit_each::<f32>(py, &x, fits, threads),
        false => fit_each::<f64>(py, &x, fits, threads),
    }
}

fn fit_each<'py, F: Number>(
    py: Python<'py>,
    x: &GivenFeatures<'py>,
    fits: Vec<GivenFit<'py>>,
    threads: Threads,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let columns = x.columns()?;
    let (mut of_rows, mut options, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for (y, given_rows, given, start) in fits {
        of_rows.push((View::new("y", &y, 1)?, OfRows::new(given_rows)?));
        options.push(unpack(given, columns)?.0);
        starts.push(unpack_start(start)?);
    }
    let rows = x.rows::<F>(py, threads)?;
    let x = rows.features()?;
    let vectors = of_rows.iter().map(|(y, of_rows)| {
        Ok((
            y.vector()?,
            of_rows.sample_weight()?,
            of_rows.offsets::<F>()?,
        ))
    });
    let vectors: Vec<(Vector<'_>, Option<Vector<'_>>, Offsets)> =
        vectors.collect::<PyResult<_>>()?;
    let offsets = vectors.iter().map(|(.., offsets)| offsets.vectors());
    let offsets: Vec<Vec<Vector<'_>>> = offsets.collect::<Result<_, _>>().map_err(value_error)?;
    let mut monitor = PythonMonitor::new(None);
    let optima = py.detach(|| {
        let fits = vectors.iter().zip(&offsets).enumerate();
        let datasets = fits.map(|(place, ((y, sample_weight, _), offsets))| {
            let dataset = Dataset::new(x, y, sample_weight.as_ref());
            let dataset = dataset.and_then(|dataset| dataset.with_offsets(offsets));
            dataset.map_err(|error| (Some(place), error))
        });
        let datasets: Vec<Dataset<'_>> = datasets.collect::<Result<_, _>>()?;
        gradstep_core::fit_many::<F>(&datasets, &starts, &options, threads, &mut monitor)
    });
    let optima = match optima {
        Err((Some(place), error)) if !matches!(error, Error::Memory { .. }) => {
            return Err(PyValueError::new_err((error.to_string(), place)));
        }
        optima => monitor.finish(optima.map_err(|(_, error)| error))?,
    };
    let single = F::PRECISION == f32::PRECISION;
    let packed = optima
        .into_iter()
        .map(|optimum| pack_optimum(py, optimum, single));
    packed.collect()
}

/// The arguments of one fit or several. `X` is [`GivenFeatures`] for arrays, or [`InPython`] for rows that are not arrays
/// in memory.
struct Arguments<'a, 'py, X> {
    x: &'a X,
    y: &'a View<'py>,
    of_rows: &'a OfRows<'py>,
    start: Start,
    options: FitOptions,
    /// If there are several fits.
    along: Option<Along>,
    callback: Option<Py<PyAny>>,
}

impl<'py> Arguments<'_, 'py, GivenFeatures<'py>> {
    fn fit<F: Number>(self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = self.x.rows::<F>(py, self.options.threads)?;
        let (x, y) = (rows.features()?, self.y.vector()?);
        let sample_weight = self.of_rows.sample_weight()?;
        let offsets = self.of_rows.offsets::<F>()?;
        let (start, options, mut along) = (self.start, self.options, self.along);
        let mut watched = Watched {
            monitor: PythonMonitor::new(self.callback),
            single: self.x.is_single(),
        };
        let optima = py.detach(|| {
            let dataset = Dataset::new(x, &y, sample_weight.as_ref())?;
            let offsets = offsets.vectors()?;
            let dataset = dataset.with_offsets(&offsets)?;
            let watched = &mut watched;
            match &mut along {
                Some(along) => along.with(|options, is_last| {
                    gradstep_core::fit_along::<F>(&dataset, start, options, watched, is_last)
                }),
                None => gradstep_core::fit::<F>(&dataset, start, &options, watched)
                    .map(|optimum| vec![optimum]),
            }
        });
        pack_optima(py, optima, along, watched)
    }
}

impl<'py> Arguments<'_, 'py, InPython> {
    fn fit_distant<F: Number>(self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let y = self.y.vector()?;
        let sample_weight = self.of_rows.sample_weight()?;
        let offsets = self.of_rows.offsets::<F>()?;
        let (start, options, mut along) = (self.start, self.options, self.along);
        let mut watched = Watched {
            monitor: PythonMonitor::new(self.callback),
            single: F::PRECISION == f32::PRECISION,
        };
        let x = self.x;
        let optima = py.detach(|| {
            let labels = Dataset::of_labels(x.columns, &y, sample_weight.as_ref())?;
            let offsets = offsets.vectors()?;
            let labels = labels.with_offsets(&offsets)?;
            let watched = &mut watched;
            x.with_rows(&labels, |rows, log| match &mut along {
                Some(along) => along.with(|options, is_last| {
                    let labels = &labels;
                    gradstep_core::fit_distant_along::<F>(
                        (rows, labels, log),
                        start,
                        options,
                        watched,
                        is_last,
                    )
                }),
                None => {
                    gradstep_core::fit_distant::<F>(rows, &labels, log, start, &options, watched)
                        .map(|optimum| vec![optimum])
                }
            })
        });
        if let Some(raised) = x.raised() {
            return Err(raised);
        }
        pack_optima(py, optima, along, watched)
    }
}

/// The results of the core as dicts, or the exception that was raised during the fits.
fn pack_optima<'py>(
    py: Python<'py>,
    optima: Result<Vec<Optimum>, Error>,
    along: Option<Along>,
    watched: Watched,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    if let Some(raised) = along.and_then(|along| along.raised) {
        return Err(raised);
    }
    let optima = watched.monitor.finish(optima)?;
    let packed = optima
        .into_iter()
        .map(|optimum| pack_optimum(py, optimum, watched.single));
    packed.collect()
}

/// The observer of a fit: lets Python handle Ctrl-C, and calls the callback after each iteration. If `single`, the
/// callback gets weights as `f32`, the type in which the fit returns them; else as `f64`.
struct Watched {
    monitor: PythonMonitor,
    single: bool,
}

impl Monitor for Watched {
    fn poll(&mut self) -> ControlFlow<()> {
        self.monitor.poll()
    }
}

impl FitObserver for Watched {
    fn iteration(&mut self, iteration: &Iteration<'_>) -> ControlFlow<()> {
        let single = self.single;
        self.monitor
            .call(|py| pack_iteration(py, iteration, single))
    }
}

/// A tuple of the fields of `gradstep.Iteration`.
fn pack_iteration<'py>(
    py: Python<'py>,
    iteration: &Iteration<'_>,
    single: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let (weights, biases) = pack_rounded(py, (iteration.weights, iteration.biases), single)?;
    let record = &iteration.record;
    (
        iteration.number,
        record.objective,
        record.gradient_norm,
        record.step,
        record.seconds,
        record.passes,
        record.rows,
        weights,
        biases,
    )
        .into_pyobject(py)
}

/// Weights and biases for Python, rounded to `f32` if `single`.
fn pack_rounded<'py>(
    py: Python<'py>,
    (weights, biases): (&[f64], &[f64]),
    single: bool,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if single {
        let typed = |v: &[f64]| -> Vec<f32> { v.iter().map(|&v| f32::from_f64(v)).collect() };
        pack_parameters(py, &typed(weights), &typed(biases))
    } else {
        pack_parameters(py, weights, biases)
    }
}

fn pack_optimum(py: Python<'_>, optimum: Optimum, single: bool) -> PyResult<Bound<'_, PyDict>> {
    let separation = optimum
        .separation
        .map(|(weights, biases)| pack_rounded(py, (&weights, &biases), false))
        .transpose()?;
    let (weights, bias) = pack_rounded(py, (&optimum.weights, &optimum.biases), single)?;
    let found = PyDict::new(py);
    found.set_item(intern!(py, "weights"), weights)?;
    found.set_item(intern!(py, "bias"), bias)?;
    found.set_item(intern!(py, "loss"), optimum.loss)?;
    found.set_item(intern!(py, "objective"), optimum.objective)?;
    found.set_item(intern!(py, "gradient_norm"), optimum.gradient_norm)?;
    found.set_item(intern!(py, "gap"), optimum.gap)?;
    found.set_item(intern!(py, "converged"), optimum.converged)?;
    found.set_item(intern!(py, "stop_reason"), optimum.stop_reason.name())?;
    found.set_item(intern!(py, "passes"), optimum.passes)?;
    found.set_item(intern!(py, "n_iterations"), optimum.history.len())?;
    found.set_item(intern!(py, "solver"), optimum.solver.name())?;
    found.set_item(intern!(py, "history"), pack_history(py, &optimum.history)?)?;
    found.set_item(intern!(py, "separation"), separation)?;
    found.set_item(intern!(py, "aliased"), pack_aliased(py, optimum.aliased)?)?;
    Ok(found)
}

/// A tuple with one element per alias: a tuple of the fields of `gradstep.Alias`.
fn pack_aliased(py: Python<'_>, aliased: Vec<Alias>) -> PyResult<Bound<'_, PyTuple>> {
    let all = aliased.into_iter().map(|alias| {
        let columns = PyTuple::new(py, alias.columns)?;
        let coefficients = PyTuple::new(py, alias.coefficients)?;
        Ok((alias.column, columns, coefficients, alias.constant))
    });
    PyTuple::new(py, all.collect::<PyResult<Vec<_>>>()?)
}

/// The history as a structured array, one record per iteration.
fn pack_history<'py>(py: Python<'py>, history: &[Record]) -> PyResult<Bound<'py, PyAny>> {
    static DTYPE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let dtype = DTYPE.get_or_try_init(py, || {
        let types = PyList::empty(py);
        for name in ["objective", "gradient_norm", "step", "seconds", "passes"] {
            types.append((name, numpy::dtype::<f64>(py)))?;
        }
        types.append(("rows", numpy::dtype::<i64>(py)))?;
        numpy(py, "dtype")?.call1((types,)).map(Bound::unbind)
    })?;
    // The records are written as bytes, six fields of eight bytes each, without gaps. NumPy is then called only once:
    // several calls would take as long as a small fit.
    let mut bytes = Vec::with_capacity(48 * history.len());
    for record in history {
        for value in [
            record.objective,
            record.gradient_norm,
            record.step,
            record.seconds,
            record.passes,
        ] {
            bytes.extend_from_slice(&value.to_ne_bytes());
        }
        bytes.extend_from_slice(&(record.rows as i64).to_ne_bytes());
    }
    if bytes.is_empty() {
        return numpy(py, "empty")?.call1((0, dtype));
    }
    numpy(py, "frombuffer")?.call1((PyByteArray::new(py, &bytes), dtype))
}
