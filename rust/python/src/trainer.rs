//! Gradient descent over epochs, as a Python class.

#![allow(non_snake_case)] // X is what everybody calls it.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use gradstep_core::{
    Activation, Descent, Monitor, Observer, Options, Reduction, StopReason, Threads, Trace,
    descend, descend_with_best_steps,
};
use numpy::{Element, PyArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyDict, PyFloat, PyList, PyString, PyTuple, PyType};

use crate::arrays::{Number, View, pack};
use crate::formulas::{result, vector};
use crate::options::{
    Given, flag, number, numpy, optional_positive, positive, seed, stops, type_name, word,
};
use crate::sparse::Samples;
use crate::{Signals, value_error};

/// Gradient descent: w <- w - α ∇E, batch by batch, epoch after epoch.
///
/// Parameters
/// ----------
/// learning_rate : float or "auto", default 0.1
///     Step size α > 0. "auto": descent over full batches, along the gradient by columns brought to unit curvature, with
///     the step and the momentum that lower the objective most in each epoch. It ends at the optimum.
/// epochs : int, default 100
///     Passes over all rows.
/// batch_size : int, optional
///     Rows of one update: None for all of them, 1 for point by point, k for mini-batches, the last of which may be short.
/// shuffle : bool, default False
///     Visit the rows in a new random order in every epoch.
/// seed : int, optional
///     Seed of that order, 0 to 2**64 - 1; only with ``shuffle=True``, where None draws a fresh one for every fit.
/// reduction : {"mean", "sum"}, default "mean"
///     Whether α multiplies the gradient of the batch's mean error or of its sum, Σ (ŷ_i - y_i) x_i.
/// activation : {"sigmoid", "step"}, default "sigmoid"
///     ŷ = σ(z), logistic regression; or ŷ = 1 if z >= 0 else 0, the perceptron.
/// l2 : float, default 0.0
///     Strength λ >= 0 of the penalty (λ/2) ||w||² added to the mean error. The bias is not penalised.
/// tol : float, default 0.0
///     Stop after an epoch where the largest component of the objective's gradient over all rows is at most this; 0 never
///     stops, but that "auto" ends where rounding leaves nothing to gain ("precision"), and where there is no optimum
///     ("separated").
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
/// trace : bool, default False
///     Record every update. A trace too large for any memory is refused before the first epoch.
///
/// Raises
/// ------
/// TypeError
///     If an option is of another type.
/// ValueError
///     If an option is out of range, `seed` is given without ``shuffle=True``, or ``learning_rate="auto"`` comes with an
///     option that has no meaning for it: `batch_size`, `shuffle`, `reduction`, `activation` or `trace`.
///
/// Notes
/// -----
/// Trainers with the same options are equal. They can be copied and pickled.
///
/// Gradient descent is Cauchy's, 1847; by batches, Robbins and Monro's, 1951; the perceptron, Rosenblatt's, 1958.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.Trainer(0.5, epochs=2).fit([[1.0], [-1.0]], [1, 0]).n_epochs
/// 2
#[pyclass(frozen, eq, module = "gradstep")]
#[derive(PartialEq)]
pub(crate) struct Trainer {
    /// None: the best of each epoch.
    learning_rate: Option<f64>,
    epochs: usize,
    batch_size: Option<usize>,
    shuffle: bool,
    seed: Option<u64>,
    reduction: Reduction,
    activation: Activation,
    l2: f64,
    tol: f64,
    n_threads: Option<usize>,
    trace: bool,
}

impl Trainer {
    /// What the constructor takes, in its order.
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<[(&'static str, Bound<'py, PyAny>); 11]> {
        Ok([
            ("learning_rate", self.learning_rate(py)),
            ("epochs", self.epochs.into_bound_py_any(py)?),
            ("batch_size", self.batch_size.into_bound_py_any(py)?),
            ("shuffle", self.shuffle.into_bound_py_any(py)?),
            ("seed", self.seed.into_bound_py_any(py)?),
            ("reduction", self.reduction.name().into_bound_py_any(py)?),
            ("activation", self.activation.name().into_bound_py_any(py)?),
            ("l2", self.l2.into_bound_py_any(py)?),
            ("tol", self.tol.into_bound_py_any(py)?),
            ("n_threads", self.n_threads.into_bound_py_any(py)?),
            ("trace", self.trace.into_bound_py_any(py)?),
        ])
    }

    /// Options that ask for something else than descent over full batches along the mean error's gradient.
    fn check_auto(&self) -> PyResult<()> {
        let conflicts = [
            ("batch_size", "None", self.batch_size.map(|k| k.to_string())),
            ("shuffle", "False", self.shuffle.then(|| "True".to_owned())),
            (
                "reduction",
                "'mean'",
                (self.reduction != Reduction::Mean).then(|| quoted(self.reduction.name())),
            ),
            (
                "activation",
                "'sigmoid'",
                (self.activation != Activation::Sigmoid).then(|| quoted(self.activation.name())),
            ),
            ("trace", "False", self.trace.then(|| "True".to_owned())),
        ];
        for (argument, expected, got) in conflicts {
            if let (None, Some(got)) = (self.learning_rate, got) {
                return Err(PyValueError::new_err(format!(
                    "{argument} must be {expected} with learning_rate='{AUTO}', got {got}"
                )));
            }
        }
        Ok(())
    }

    fn options(&self, threads: Threads) -> Options {
        Options {
            learning_rate: self.learning_rate.unwrap_or(1.0),
            epochs: self.epochs,
            batch_size: self.batch_size,
            // RandomState's keys come from the operating system's entropy, and differ from one to the next.
            shuffle: self
                .shuffle
                .then(|| self.seed.unwrap_or_else(|| RandomState::new().hash_one(0))),
            reduction: self.reduction,
            activation: self.activation,
            l2: self.l2,
            tol: self.tol,
            threads,
            trace: self.trace,
        }
    }

    fn fit_in<'py, F: Number>(
        &self,
        py: Python<'py>,
        x: &Samples<'py>,
        y: &View<'py>,
        weights: Option<Vec<F>>,
        bias: f64,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = self.options(Threads::new(self.n_threads).map_err(value_error)?);
        let rows = x.rows::<F>(py, options.threads)?;
        let (x, y) = (rows.features()?, y.vector()?);
        let weights = match weights {
            Some(weights) => weights,
            // A view may have more columns than memory could hold.
            None => {
                gradstep_core::zeros("weights", x.columns(), "columns of X").map_err(value_error)?
            }
        };
        let mut watcher = Watcher {
            signals: Signals::new(),
            callback,
        };
        let bias = F::from_f64(bias);
        let is_auto = self.learning_rate.is_none();
        let descent = py.detach(|| {
            if is_auto {
                descend_with_best_steps(x, &y, weights, bias, &options, &mut watcher)
            } else {
                descend(x, &y, weights, bias, &options, &mut watcher)
            }
        });
        match descent {
            Err(error) => Err(watcher.signals.exception(error)),
            Ok(descent) => match watcher.signals.error {
                Some(raised) => Err(raised),
                None => pack_fit(py, descent, self.batch_size == Some(1)),
            },
        }
    }
}

#[pymethods]
impl Trainer {
    #[new]
    #[pyo3(signature = (learning_rate=Given(None), epochs=Given(None), *, batch_size=None, shuffle=Given(None), seed=None,
                        reduction=Given(None), activation=Given(None), l2=Given(None), tol=Given(None), n_threads=None,
                        trace=Given(None)),
           text_signature = "(learning_rate=0.1, epochs=100, *, batch_size=None, shuffle=False, seed=None, \
                             reduction='mean', activation='sigmoid', l2=0.0, tol=0.0, n_threads=None, trace=False)")]
    fn new<'py>(
        learning_rate: Given<'py>,
        epochs: Given<'py>,
        batch_size: Option<&Bound<'py, PyAny>>,
        shuffle: Given<'py>,
        seed: Option<&Bound<'py, PyAny>>,
        reduction: Given<'py>,
        activation: Given<'py>,
        l2: Given<'py>,
        tol: Given<'py>,
        n_threads: Option<&Bound<'py, PyAny>>,
        trace: Given<'py>,
    ) -> PyResult<Self> {
        let trainer = Trainer {
            learning_rate: learning_rate.or(Some(0.1), "learning_rate", self::learning_rate)?,
            epochs: epochs.or(100, "epochs", positive)?,
            batch_size: optional_positive("batch_size", batch_size)?,
            shuffle: shuffle.or(false, "shuffle", flag)?,
            seed: seed.map(self::seed).transpose()?,
            reduction: Reduction::parse(&reduction.or("mean".to_owned(), "reduction", word)?)
                .map_err(value_error)?,
            activation: Activation::parse(&activation.or(
                "sigmoid".to_owned(),
                "activation",
                word,
            )?)
            .map_err(value_error)?,
            l2: l2.or(0.0, "l2", number)?,
            tol: tol.or(0.0, "tol", number)?,
            n_threads: optional_positive("n_threads", n_threads)?,
            trace: trace.or(false, "trace", flag)?,
        };
        if let (false, Some(seed)) = (trainer.shuffle, trainer.seed) {
            return Err(PyValueError::new_err(format!(
                "seed must be None unless shuffle=True, got {seed}"
            )));
        }
        trainer.options(Threads::ONE).check().map_err(value_error)?;
        trainer.check_auto()?;
        Ok(trainer)
    }

    /// float or "auto": step size α > 0.
    #[getter]
    fn learning_rate<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self.learning_rate {
            Some(rate) => PyFloat::new(py, rate).into_any(),
            None => PyString::new(py, AUTO).into_any(),
        }
    }

    /// int: passes over all rows.
    #[getter]
    fn epochs(&self) -> usize {
        self.epochs
    }

    /// int or None: rows of one update, None for all.
    #[getter]
    fn batch_size(&self) -> Option<usize> {
        self.batch_size
    }

    /// bool: whether every epoch visits the rows in a new random order.
    #[getter]
    fn shuffle(&self) -> bool {
        self.shuffle
    }

    /// int or None: seed of that order.
    #[getter]
    fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// str: "mean" or "sum", what of the batch's errors α multiplies the gradient of.
    #[getter]
    fn reduction(&self) -> &'static str {
        self.reduction.name()
    }

    /// str: "sigmoid" or "step".
    #[getter]
    fn activation(&self) -> &'static str {
        self.activation.name()
    }

    /// float: strength λ >= 0 of the penalty (λ/2) ||w||².
    #[getter]
    fn l2(&self) -> f64 {
        self.l2
    }

    /// float: largest component of the gradient at which to stop, 0 for never.
    #[getter]
    fn tol(&self) -> f64 {
        self.tol
    }

    /// int or None: threads to use.
    #[getter]
    fn n_threads(&self) -> Option<usize> {
        self.n_threads
    }

    /// bool: whether every update is recorded.
    #[getter]
    fn trace(&self) -> bool {
        self.trace
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown = self
            .arguments(py)?
            .iter()
            .map(|(name, value)| Ok(format!("{name}={}", value.repr()?.to_str()?)))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(format!("Trainer({})", shown.join(", ")))
    }

    /// In accord with `==`; Python hashes equal numbers alike.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(py, self.arguments(py)?)?.hash()
    }

    /// How `copy` and `pickle` make another one: the arguments, by name.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::empty(py), self.arguments(py)?.into_py_dict(py)?))
    }

    /// Descends from `weights` and `bias`, which are not modified.
    ///
    /// Every update is w <- w - α (∇E + λ w) of its batch, b <- b - α ∂E/∂b.
    ///
    /// Parameters
    /// ----------
    /// X : array_like or sparse array or matrix, shape (m, n)
    ///     Finite features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its
    ///     rows, which are gathered once; none is ever made dense. float32 is trained on in float32, any other type in
    ///     float64.
    /// y : array_like, shape (m,)
    ///     Labels in [0, 1].
    /// weights : array_like, shape (n,), optional
    ///     Finite weights to start from; zeros by default.
    /// bias : float, default 0.0
    ///     Finite bias to start from, in nats.
    /// callback : callable, optional
    ///     Called after every epoch as ``callback(epoch, loss, weights, bias)``, with epochs counted from 0 and a copy of
    ///     the weights. Training stops when it returns True; what it raises ends the fit.
    ///
    /// Returns
    /// -------
    /// Fit
    ///     Named tuple of `weights`, ndarray of shape (n,); `bias`, float; `history`, float64 ndarray with the mean error
    ///     over all rows after each epoch, nats per sample (the fraction misclassified for ``activation="step"``);
    ///     `n_epochs`, int; `stop_reason`, StopReason; `trace`, None or a structured array with one record per update.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If an argument does not hold real numbers, or `callback` cannot be called.
    /// ValueError
    ///     If shapes do not fit, `X` is empty, or values are not finite or out of range.
    /// MemoryError
    ///     If the trace does not fit into memory: before the first epoch if neither `tol` nor `callback` could end the fit
    ///     before all of it is recorded, or if no memory could hold all of it.
    ///
    /// Notes
    /// -----
    /// A `gradient_step` for each batch, epoch after epoch.
    ///
    /// Examples
    /// --------
    /// >>> import gradstep
    /// >>> fit = gradstep.Trainer(0.5, epochs=1).fit([[1.0], [-1.0]], [1, 0])
    /// >>> fit.weights, fit.bias, str(fit.stop_reason)
    /// (array([0.25]), 0.0, 'epochs')
    #[pyo3(signature = (X, y, weights=None, bias=Given(None), *, callback=None),
           text_signature = "($self, X, y, weights=None, bias=0.0, *, callback=None)")]
    fn fit<'py>(
        &self,
        X: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        bias: Given<'py>,
        callback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = X.py();
        let (x, y) = (Samples::new(X)?, View::new("y", y, 1)?);
        let weights = weights
            .map(|weights| vector("weights", weights))
            .transpose()?;
        let bias = bias.or(0.0, "bias", number)?;
        if let Some(callback) = callback.filter(|callback| !callback.is_callable()) {
            let got = type_name(callback);
            return Err(PyTypeError::new_err(format!(
                "callback must be callable or None, got {got}"
            )));
        }
        let callback = callback.map(|callback| callback.clone().unbind());
        if x.is_single() {
            let weights = weights.map(|weights| weights.to_vec()).transpose()?;
            self.fit_in::<f32>(py, &x, &y, weights, bias, callback)
        } else {
            let weights = weights.map(|weights| weights.to_vec()).transpose()?;
            self.fit_in::<f64>(py, &x, &y, weights, bias, callback)
        }
    }
}

/// The word for the best step of each epoch.
const AUTO: &str = "auto";

fn quoted(word: &str) -> String {
    format!("'{word}'")
}

/// A number, or None for "auto".
fn learning_rate(argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if !object.is_instance_of::<PyString>() {
        return number(argument, object).map(Some);
    }
    match word(argument, object)?.as_str() {
        AUTO => Ok(None),
        other => Err(PyTypeError::new_err(format!(
            "{argument} must be a real number or '{AUTO}', got the str '{other}'"
        ))),
    }
}

/// Stands between the core and Python while a descent runs.
struct Watcher {
    signals: Signals,
    callback: Option<Py<PyAny>>,
}

impl Monitor for Watcher {
    fn poll(&mut self) -> ControlFlow<()> {
        self.signals.poll()
    }
}

impl<F: Number> Observer<F> for Watcher {
    fn may_stop(&self) -> bool {
        self.callback.is_some()
    }

    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], bias: F) -> ControlFlow<()> {
        let Some(callback) = &self.callback else {
            return ControlFlow::Continue(());
        };
        let stop = Python::attach(|py| {
            let weights = pack(py, weights.to_vec());
            let call = (epoch, loss, weights, bias.to_f64());
            stops(&callback.bind(py).call1(call)?)
        });
        match stop {
            Ok(false) => ControlFlow::Continue(()),
            Ok(true) => ControlFlow::Break(()),
            Err(error) => {
                self.signals.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

fn pack_fit<F: Number>(
    py: Python<'_>,
    descent: Descent<F>,
    point_by_point: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let n_epochs = descent.history.len();
    let trace = descent
        .trace
        .map(|trace| pack_trace(py, trace, point_by_point))
        .transpose()?;
    let stop_reason = pack_stop_reason(py, descent.stop_reason)?;
    let (weights, history) = (pack(py, descent.weights), pack(py, descent.history));
    result!(
        py,
        "Fit",
        (
            weights,
            descent.bias.to_f64(),
            history,
            n_epochs,
            stop_reason,
            trace
        )
    )
}

fn pack_stop_reason(py: Python<'_>, reason: StopReason) -> PyResult<Bound<'_, PyAny>> {
    result!(py, "StopReason", (reason.name(),))
}

/// A structured array, one record per update.
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

/// `array[field] = values`, in the field's shape; frees the values.
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
