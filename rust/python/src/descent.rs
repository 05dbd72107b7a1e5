//! `Trainer.fit`, gradient descent over epochs: unpacks the options, calls the core, and packs the result as a dict.

use std::ops::ControlFlow;

use gradstep_core::{
    Activation, Chunks, Dataset, Descent, Error, Monitor, Observer, Options, Penalty, Points,
    Reduction, Start, Threads, Trace, Vector, descend_with_best_steps,
};
use numpy::{Element, PyArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::arrays::{Array, Number, View, numpy, pack};
use crate::distant::{GivenDistant, InPython};
use crate::features::GivenFeatures;
use crate::formulas::{GivenRows, OfRows};
use crate::monitor::PythonMonitor;
use crate::parameters::{GivenStart, classes_of, pack_parameters, unpack_start};
use crate::value_error;

/// The options of a `gradstep.Trainer` in the order of its parameters, except that `shuffle` and `seed` are one: the
/// seed, or None if points are not shuffled.
type GivenOptions<'py> = (
    Option<f64>, // learning_rate; None for "auto", the best step length and momentum of each epoch
    usize,
    Option<usize>,
    Option<u64>,
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    (f64, f64, bool), // l1, l2, fit_bias
    f64,
    Option<usize>,
    bool,
);

/// Returns the core's options (with one thread), whether `learning_rate` is "auto", and the requested number of
/// threads.
fn unpack(given: GivenOptions<'_>) -> PyResult<(Options, bool, Option<usize>)> {
    let (rate, epochs, batch_size, shuffle, reduction, activation, penalty, tol, n_threads, trace) =
        given;
    let (l1, l2, fit_bias) = penalty;
    let penalty = Penalty::new(l2).and_then(|penalty| penalty.with_l1(l1));
    let options = Options {
        learning_rate: rate.unwrap_or(1.0),
        epochs,
        batch_size,
        shuffle,
        reduction: Reduction::parse(&reduction.to_string_lossy()).map_err(value_error)?,
        activation: Activation::parse(&activation.to_string_lossy()).map_err(value_error)?,
        penalty: penalty.map_err(value_error)?,
        fit_bias,
        tol,
        threads: Threads::ONE,
        trace,
    };
    options.check().map_err(value_error)?;
    Ok((options, rate.is_none(), n_threads))
}

/// Raises ValueError if an option is out of range.
#[pyfunction]
pub(crate) fn check_descent(given: GivenOptions<'_>) -> PyResult<()> {
    unpack(given).map(|_| ())
}

/// Runs gradient descent. Returns a dict with the fields of `gradstep.Descent`; the stop reason is a word. The function
/// `keeps_path` gets the number of scores of a row, and returns whether to keep the weights and biases of every epoch.
#[pyfunction]
pub(crate) fn descend<'py>(
    given: GivenOptions<'py>,
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    of_rows: GivenRows<'py>,
    start: GivenStart<'py>,
    callback: Option<Py<PyAny>>,
    keeps_path: Py<PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = x.py();
    let y = View::new("y", y, 1)?;
    let of_rows = OfRows::new(of_rows)?;
    let (options, best_steps, n_threads) = unpack(given)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    let run = Run {
        options: Options { threads, ..options },
        best_steps,
        y: &y,
        of_rows: &of_rows,
        start: unpack_start(start)?,
        callback,
        keeps_path,
    };
    if let Ok(distant) = x.extract::<GivenDistant>() {
        let rows = InPython::new(distant);
        return match rows.is_single {
            true => run.over_rows_read::<f32>(py, &rows),
            false => run.over_rows_read::<f64>(py, &rows),
        };
    }
    let x = GivenFeatures::new(x)?;
    match x.is_single() {
        true => run.over_arrays::<f32>(py, &x),
        false => run.over_arrays::<f64>(py, &x),
    }
}

struct Run<'a, 'py> {
    options: Options,
    best_steps: bool,
    y: &'a View<'py>,
    of_rows: &'a OfRows<'py>,
    start: Start,
    callback: Option<Py<PyAny>>,
    keeps_path: Py<PyAny>,
}

impl<'py> Run<'_, 'py> {
    fn over_arrays<F: Number>(
        self,
        py: Python<'py>,
        x: &GivenFeatures<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let rows = x.rows::<F>(py, self.options.threads)?;
        let x = rows.features()?;
        self.descend::<F>(py, x.columns(), |y, sample_weight, offsets, work| {
            let dataset = Dataset::new(x, y, sample_weight)?.with_offsets(offsets)?;
            work(&Points::Arrays(dataset))
        })
    }

    fn over_rows_read<F: Number>(
        self,
        py: Python<'py>,
        x: &InPython,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = self.descend::<F>(py, x.columns, |y, sample_weight, offsets, work| {
            let labels = Dataset::of_labels(x.columns, y, sample_weight)?.with_offsets(offsets)?;
            work(&Points::Read(Chunks::new(x, labels)))
        });
        match x.raised() {
            Some(raised) => Err(raised),
            None => found,
        }
    }

    /// Runs the descent over rows of `columns` columns. `with_points` is called with the labels, sample weights and
    /// offsets, and with a function. It calls this function with the [`Points`] made of the rows and these vectors.
    fn descend<F: Number>(
        self,
        py: Python<'py>,
        columns: usize,
        with_points: impl Fn(
            &Vector<'_>,
            Option<&Vector<'_>>,
            &[Vector<'_>],
            &mut dyn FnMut(&Points<'_>) -> Result<Descent<F>, Error>,
        ) -> Result<Descent<F>, Error>
        + Sync,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (options, start) = (self.options, self.start);
        let y = self.y.vector()?;
        let sample_weight = self.of_rows.sample_weight()?;
        let offsets = self.of_rows.offsets::<F>()?;
        let best_steps = self.best_steps;
        let mut watch = Watch {
            monitor: PythonMonitor::new(self.callback),
            keeps_path: self.keeps_path,
            path: None,
            is_out_of_memory: false,
        };
        let descent = py.detach(|| {
            let mut descend = |points: &Points<'_>| match best_steps {
                true => descend_with_best_steps::<F>(points, &start, &options, &mut watch),
                false => gradstep_core::descend(points, &start, &options, &mut watch),
            };
            let offsets = offsets.vectors()?;
            let descent = with_points(&y, sample_weight.as_ref(), &offsets, &mut descend)?;
            match watch.is_out_of_memory {
                false => Ok(descent),
                true => Err(Error::Memory {
                    argument: "path",
                    count: descent.history.len() as u128,
                    unit: "epochs to keep",
                }),
            }
        });
        let descent = watch.monitor.finish(descent)?;
        let scores = descent.biases.len();
        let (weights, biases) = start
            .parameters::<F>(columns, scores)
            .map_err(value_error)?;
        let path = watch.path.map(|path| path.pack(py, columns, scores));
        let found = pack_descent(py, descent, options.batch_size == Some(1))?;
        found.set_item(
            intern!(py, "start"),
            pack_parameters(py, &weights, &biases)?,
        )?;
        found.set_item(intern!(py, "path"), path.transpose()?)?;
        Ok(found)
    }
}

/// The weights and biases at the end of each epoch, one epoch after another.
#[derive(Default)]
struct Path<F> {
    weights: Vec<F>,
    biases: Vec<F>,
}

impl<F: Number> Path<F> {
    /// Adds the weights and biases of an epoch; returns whether there was memory for them.
    fn push(&mut self, weights: &[F], biases: &[F]) -> bool {
        let room = self
            .weights
            .try_reserve(weights.len())
            .and_then(|()| self.biases.try_reserve(biases.len()));
        if room.is_ok() {
            self.weights.extend_from_slice(weights);
            self.biases.extend_from_slice(biases);
        }
        room.is_ok()
    }

    /// The weights and the biases as arrays of shapes (epochs, n) and (epochs,); with K classes (epochs, K, n) and
    /// (epochs, K).
    fn pack(self, py: Python<'_>, columns: usize, scores: usize) -> PyResult<Bound<'_, PyTuple>> {
        let mut shape = vec![self.biases.len() / scores];
        shape.extend(classes_of(scores));
        let biases = pack(py, self.biases).reshape(shape.clone())?;
        shape.push(columns);
        (pack(py, self.weights).reshape(shape)?, biases).into_pyobject(py)
    }
}

/// The observer of a descent: lets Python handle Ctrl-C, and calls the callback after each epoch. If the Python
/// function `keeps_path` has returned True, `path` has the weights and biases of each epoch.
struct Watch<F> {
    monitor: PythonMonitor,
    keeps_path: Py<PyAny>,
    path: Option<Path<F>>,
    is_out_of_memory: bool,
}

impl<F> Monitor for Watch<F> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.monitor.poll()
    }
}

impl<F: Number> Observer<F> for Watch<F> {
    fn may_stop(&self) -> bool {
        self.monitor.has_callback()
    }

    fn begin(&mut self, scores: usize) -> ControlFlow<()> {
        let keeps_path = self.monitor.ask(&self.keeps_path, scores)?;
        self.path = keeps_path.then(Path::default);
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], biases: &[F]) -> ControlFlow<()> {
        if let Some(path) = &mut self.path
            && !path.push(weights, biases)
        {
            self.is_out_of_memory = true;
            return ControlFlow::Break(());
        }
        self.monitor.call(|py| {
            let (weights, bias) = pack_parameters(py, weights, biases)?;
            (epoch, loss, weights, bias).into_pyobject(py)
        })
    }
}

fn pack_descent<F: Number>(
    py: Python<'_>,
    descent: Descent<F>,
    point_by_point: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let trace = descent
        .trace
        .map(|trace| pack_trace(py, trace, point_by_point))
        .transpose()?;
    let (weights, bias) = pack_parameters(py, &descent.weights, &descent.biases)?;
    let found = PyDict::new(py);
    found.set_item(intern!(py, "n_epochs"), descent.history.len())?;
    found.set_item(intern!(py, "weights"), weights)?;
    found.set_item(intern!(py, "bias"), bias)?;
    found.set_item(intern!(py, "start_loss"), descent.start_loss)?;
    found.set_item(intern!(py, "history"), pack(py, descent.history))?;
    found.set_item(intern!(py, "stop_reason"), descent.stop_reason.name())?;
    found.set_item(intern!(py, "trace"), trace)?;
    Ok(found)
}

/// The trace as a structured array with one record per update.
fn pack_trace<F: Number>(
    py: Python<'_>,
    trace: Trace<F>,
    point_by_point: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let records = trace.epoch.len();
    let (number, float, integer) = (
        numpy::dtype::<F>(py),
        numpy::dtype::<f64>(py),
        numpy::dtype::<i64>(py),
    );
    let batch = match point_by_point {
        true => Vec::new(),
        false => vec![trace.batch],
    };
    let scores: Vec<usize> = classes_of(trace.scores).into_iter().collect();
    let scores_of_batch = [batch.as_slice(), &scores].concat();
    let weights = [scores.as_slice(), &[trace.columns]].concat();
    let fields = [
        ("epoch", &integer, Vec::new()),
        ("row", &integer, batch.clone()),
        ("y", &number, batch.clone()),
        ("z", &number, scores_of_batch.clone()),
        ("y_hat", &number, scores_of_batch.clone()),
        ("error", &float, Vec::new()),
        ("residual", &number, scores_of_batch.clone()),
        ("delta_weights", &number, weights.clone()),
        ("delta_bias", &number, scores.clone()),
        ("weights", &number, weights.clone()),
        ("bias", &number, scores.clone()),
    ];
    let types = PyList::empty(py);
    for (name, dtype, shape) in fields {
        types.append((name, dtype, PyTuple::new(py, shape)?))?;
    }
    let array = numpy(py, "empty")?.call1((records, types))?;
    assign(&array, "epoch", trace.epoch, &[])?;
    assign(&array, "row", trace.row, &batch)?;
    assign(&array, "y", trace.y, &batch)?;
    assign(&array, "z", trace.z, &scores_of_batch)?;
    assign(&array, "y_hat", trace.y_hat, &scores_of_batch)?;
    assign(&array, "error", trace.error, &[])?;
    assign(&array, "residual", trace.residual, &scores_of_batch)?;
    assign(&array, "delta_weights", trace.delta_weights, &weights)?;
    assign(&array, "delta_bias", trace.delta_bias, &scores)?;
    assign(&array, "weights", trace.weights, &weights)?;
    assign(&array, "bias", trace.bias, &scores)?;
    Ok(array)
}

/// `array[field] = values`, with `values` reshaped to `shape` for each record.
fn assign<T: Element>(
    array: &Bound<'_, PyAny>,
    field: &str,
    values: Vec<T>,
    shape: &[usize],
) -> PyResult<()> {
    let values = pack(array.py(), values);
    let mut dimensions = vec![array.len()?];
    dimensions.extend_from_slice(shape);
    array.set_item(field, values.reshape(dimensions)?)
}
