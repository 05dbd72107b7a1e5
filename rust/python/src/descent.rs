//! `Trainer.fit`, gradient descent over epochs: unpacks the options, calls the core, and packs the result as a dict.

use std::ops::ControlFlow;

use gradstep_core::{
    Activation, Dataset, Descent, Error, Monitor, Observer, Options, Penalty, Reduction, Threads,
    Trace, Vector, descend_with_best_steps,
};
use numpy::{Element, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::arrays::{Array, Number, View, numpy, pack};
use crate::features::GivenFeatures;
use crate::formulas::{GivenRows, OfRows, vector};
use crate::monitor::PythonMonitor;
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

/// Runs gradient descent. Returns a dict with the fields of `gradstep.Descent`; the stop reason is a word.
#[pyfunction]
pub(crate) fn descend<'py>(
    given: GivenOptions<'py>,
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    of_rows: GivenRows<'py>,
    start: (Option<Array<'py>>, f64),
    callback: Option<Py<PyAny>>,
    keeps_path: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let py = x.py();
    let (x, y) = (GivenFeatures::new(x)?, View::new("y", y, 1)?);
    let of_rows = OfRows::new(of_rows)?;
    let (weights, bias) = start;
    let weights = weights
        .map(|weights| vector("weights", &weights))
        .transpose()?;
    let (options, best_steps, n_threads) = unpack(given)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    let run = Run {
        options: Options { threads, ..options },
        best_steps,
        x: &x,
        y: &y,
        of_rows: &of_rows,
        bias,
        callback,
        keeps_path,
    };
    if x.is_single() {
        let weights = weights.map(|weights| weights.to_vec()).transpose()?;
        run.descend::<f32>(py, weights)
    } else {
        let weights = weights.map(|weights| weights.to_vec()).transpose()?;
        run.descend::<f64>(py, weights)
    }
}

struct Run<'a, 'py> {
    options: Options,
    best_steps: bool,
    x: &'a GivenFeatures<'py>,
    y: &'a View<'py>,
    of_rows: &'a OfRows<'py>,
    bias: f64,
    callback: Option<Py<PyAny>>,
    keeps_path: bool,
}

impl<'py> Run<'_, 'py> {
    fn descend<F: Number>(
        self,
        py: Python<'py>,
        weights: Option<Vec<F>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let options = self.options;
        let rows = self.x.rows::<F>(py, options.threads)?;
        let (x, y) = (rows.features()?, self.y.vector()?);
        let sample_weight = self.of_rows.sample_weight()?;
        let offset = self.of_rows.offset::<F>()?;
        let offset = offset.as_deref().map(Vector::from_slice);
        let weights = match weights {
            Some(weights) => weights,
            // Fails with MemoryError: an array with a stride of 0 may have more columns than memory could hold.
            None => {
                gradstep_core::zeros("weights", x.columns(), "columns of X").map_err(value_error)?
            }
        };
        let (bias, best_steps) = (F::from_f64(self.bias), self.best_steps);
        let columns = x.columns();
        let start = (pack(py, weights.clone()), bias.to_f64());
        let mut watch = Watch {
            monitor: PythonMonitor::new(self.callback),
            path: self.keeps_path.then(Path::default),
            is_out_of_memory: false,
        };
        let descent = py.detach(|| {
            let dataset = Dataset::new(x, &y, sample_weight.as_ref())?;
            let dataset = dataset.with_offset(offset.as_ref())?;
            let descent = if best_steps {
                descend_with_best_steps(&dataset, weights, bias, &options, &mut watch)
            } else {
                gradstep_core::descend(&dataset, weights, bias, &options, &mut watch)
            }?;
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
        let found = pack_descent(py, descent, options.batch_size == Some(1))?;
        found.set_item("start", start)?;
        let path = watch.path.map(|path| path.pack(py, columns)).transpose()?;
        found.set_item("path", path)?;
        Ok(found)
    }
}

/// The weights and the bias at the end of each epoch, one epoch behind the other.
#[derive(Default)]
struct Path<F> {
    weights: Vec<F>,
    biases: Vec<F>,
}

impl<F: Number> Path<F> {
    /// Adds those of an epoch; whether there was memory for them.
    fn push(&mut self, weights: &[F], bias: F) -> bool {
        let room = self
            .weights
            .try_reserve(weights.len())
            .and_then(|()| self.biases.try_reserve(1));
        if room.is_ok() {
            self.weights.extend_from_slice(weights);
            self.biases.push(bias);
        }
        room.is_ok()
    }

    /// An array of shape (epochs, n), and one of shape (epochs).
    fn pack(self, py: Python<'_>, columns: usize) -> PyResult<Bound<'_, PyTuple>> {
        let shape = [self.biases.len(), columns];
        let weights = pack(py, self.weights).reshape(shape)?;
        (weights, pack(py, self.biases)).into_pyobject(py)
    }
}

/// Lets Ctrl-C through, calls the callback, and keeps the path if it is asked for.
struct Watch<F> {
    monitor: PythonMonitor,
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

    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], bias: F) -> ControlFlow<()> {
        if let Some(path) = &mut self.path
            && !path.push(weights, bias)
        {
            self.is_out_of_memory = true;
            return ControlFlow::Break(());
        }
        self.monitor.call(|py| {
            let weights = pack(py, weights.to_vec());
            (epoch, loss, weights, bias.to_f64()).into_pyobject(py)
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
    let found = PyDict::new(py);
    found.set_item("n_epochs", descent.history.len())?;
    found.set_item("weights", pack(py, descent.weights))?;
    found.set_item("bias", descent.bias.to_f64())?;
    found.set_item("history", pack(py, descent.history))?;
    found.set_item("stop_reason", descent.stop_reason.name())?;
    found.set_item("trace", trace)?;
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
    let (batch, columns) = (vec![trace.batch], vec![trace.columns]);
    let batch = if point_by_point { Vec::new() } else { batch };
    let fields = [
        ("epoch", &integer, Vec::new()),
        ("row", &integer, batch.clone()),
        ("z", &number, batch.clone()),
        ("y_hat", &number, batch.clone()),
        ("error", &float, Vec::new()),
        ("delta_weights", &number, columns.clone()),
        ("delta_bias", &number, Vec::new()),
        ("weights", &number, columns.clone()),
        ("bias", &number, Vec::new()),
    ];
    let types = PyList::empty(py);
    for (name, dtype, shape) in fields {
        types.append((name, dtype, PyTuple::new(py, shape)?))?;
    }
    let array = numpy(py, "empty")?.call1((records, types))?;
    assign(&array, "epoch", trace.epoch, &[])?;
    assign(&array, "row", trace.row, &batch)?;
    assign(&array, "z", trace.z, &batch)?;
    assign(&array, "y_hat", trace.y_hat, &batch)?;
    assign(&array, "error", trace.error, &[])?;
    assign(&array, "delta_weights", trace.delta_weights, &columns)?;
    assign(&array, "delta_bias", trace.delta_bias, &[])?;
    assign(&array, "weights", trace.weights, &columns)?;
    assign(&array, "bias", trace.bias, &[])?;
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
