//! The optimum, as a Python function.

#![allow(non_snake_case)] // X is what everybody calls it.

use std::ops::ControlFlow;

use gradstep_core::{
    Alias, FitObserver, FitOptions, Float, Iteration, Monitor, Optimum, Record, Solver, Start,
    Threads,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyList, PyTuple, PyType};

use crate::arrays::{Number, View};
use crate::formulas::result;
use crate::options::{Given, flag, number, numpy, optional_positive, stops, text, type_name, word};
use crate::parameters::{biases, pack_biases, pack_weights, weights_of};
use crate::sparse::Samples;
use crate::{Signals, value_error};

/// Elements up to which one thread does all of the work: counting processors would take longer.
const ONE_THREAD: usize = 1 << 15;

/// The weights and bias that minimise E + (l2/2) ||w||², and a proof of how close they are.
///
/// E = Σ s_i E_i / Σ s_i is the mean cross-entropy; the bias is never penalised. Columns may be of any scale and at any
/// offset. For labels in [0, 1], E is `loss` with weights of shape (n,); for the codes of K >= 3 classes with weights of
/// shape (K, n): softmax.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Finite features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its
///     rows, which are gathered once; none is ever made dense. Weights are float32 for float32, else float64.
/// y : array_like, shape (m,)
///     Labels in [0, 1], or class codes 0, 1, …, K - 1 with K >= 3, each of them with a sample of positive weight.
/// l2 : float, default 0.0
///     Strength λ >= 0 of the penalty (λ/2) ||w||² on the mean error.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default. An integer weight means a repeated row.
/// fit_bias : bool, default True
///     Whether there is a bias; it is 0 if not.
/// solver : {"auto", "lbfgs", "gd"}, default "auto"
///     "auto" is "lbfgs": preconditioned L-BFGS, first on samples of the rows where there are many. "gd" is gradient
///     descent with the best step and momentum of each iteration.
/// gap_tol : float, default 1e-8
///     The fit has converged once it is proved that the objective is at most this part of itself above its minimum.
/// tol : float, optional
///     Stop as soon as no component of the objective's gradient is larger, whether the optimum is proved or not. By
///     default the fit goes on until it is proved, or until no step improves on the weights.
/// certify : bool, default True
///     Whether a Hessian of all rows may be made for the proof, which takes m times n² operations. Without it, and
///     without penalty, nothing is proved.
/// max_passes : float, default 1000
///     Stop once so much of `X` has been read, in passes over all rows; what is under way then is finished, and a few
///     more passes prove what can be proved, or look for what separates the labels.
/// weights : array_like, shape (n,) or (K, n), optional
///     Finite weights to start from, near the optimum: samples are then left out. Where weights of zero have the smaller
///     objective, the fit starts from these.
/// bias : float or array_like of shape (K,), optional
///     Finite bias to start from together with weights; by default the one that is best for weights of zero.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
/// callback : callable, optional
///     Called after every iteration with an `Iteration`. The fit stops when it returns True; what it raises ends the fit.
///
/// Returns
/// -------
/// Optimum
///     Named tuple of `weights`, `bias`, `loss`, `objective`, `gradient_norm`, `gap`, `converged`, `stop_reason`,
///     `passes`, `n_iterations`, `solver`, `history`, `separation` and `aliased`. `gap` is a proved upper bound on how
///     far the objective is above its minimum, and `converged` says whether it is within `gap_tol`.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers, or `callback` cannot be called.
/// ValueError
///     If shapes do not fit, `X` is empty, or values are not finite or out of range.
///
/// Notes
/// -----
/// With a penalty, `gap` is a duality gap or, where that is too large, a bound from the Hessian; without one it is the
/// latter: over a step that changes no score by more than t, the curvature of E changes by a factor of e^t at most (Bach,
/// 2010, doi:10.1214/09-EJS521). Either counts the rounding of its own computation. It is that of the exact objective at
/// the weights as they are returned.
///
/// The fit ends with ``stop_reason="uncertified"`` where the gradient is small and nothing speaks against the optimum, but
/// no Hessian was made: with ``certify=False``, or for more than 4096 weights and biases. It ends with "precision" where
/// no step improves on the weights, as far as rounding lets see; with `tol`, `converged` may be True then.
///
/// Without penalty there may be no optimum: where a hyperplane separates the labels, or some of them from the rest, the
/// fit ends with ``stop_reason="separated"``, and `separation` is a direction that does it, by few columns. It is proved
/// before it is said. Among up to 1024 weights and biases every separation is found, unless the search takes more than
/// 64 passes and more than twice those of the fit; among more, every one along a single column. With a bias and labels
/// that are all equal there is no optimum under any penalty.
///
/// Without penalty there may be many optima: a column that is constant, or a combination of columns before it, up to 32
/// units in the last place of its size, says nothing new. It is left out: its weight is 0, `aliased` says what it is, and
/// `gap` and `converged` are about the model without it.
///
/// Of K classes, what is added to all weights of a column, or to all biases, changes no probability: weights and biases
/// are those that sum to zero over the classes, with and without penalty.
///
/// With float32 features the weights are found in float64 and rounded once; `loss`, `objective`, `gradient_norm` and `gap`
/// are those of the rounded weights, in float64.
///
/// The optimum is that of Berkson, 1944, and Theil, 1969; the solvers are those of Nocedal, 1980, and Narkiss and
/// Zibulevsky, 2005.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
/// >>> best.weights.round(6), round(best.bias, 6), str(best.stop_reason)
/// (array([0.636706]), -0.955059, 'tolerance')
/// >>> best.gradient_norm <= 1e-8, best.gap <= 1e-12
/// (True, True)
/// >>> gradstep.fit([[0.0], [1.0], [1.0], [3.0]], [0, 1, 2, 2], l2=0.1).weights.round(6)
/// array([[-1.092827],
///        [ 0.117145],
///        [ 0.975682]])
#[pyfunction]
#[pyo3(signature = (X, y, *, l2=Given(None), sample_weight=None, fit_bias=Given(None), solver=Given(None),
                    gap_tol=Given(None), tol=None, certify=Given(None), max_passes=Given(None), weights=None, bias=None,
                    n_threads=None, callback=None),
       text_signature = "(X, y, *, l2=0.0, sample_weight=None, fit_bias=True, solver='auto', gap_tol=1e-08, tol=None, \
                         certify=True, max_passes=1000, weights=None, bias=None, n_threads=None, callback=None)")]
pub(crate) fn fit<'py>(
    X: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    l2: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    fit_bias: Given<'py>,
    solver: Given<'py>,
    gap_tol: Given<'py>,
    tol: Option<&Bound<'py, PyAny>>,
    certify: Given<'py>,
    max_passes: Given<'py>,
    weights: Option<&Bound<'py, PyAny>>,
    bias: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
    callback: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (x, y) = (Samples::new(X)?, View::new("y", y, 1)?);
    let l2 = l2.or(0.0, "l2", number)?;
    let sample_weight = sample_weight
        .map(|s| View::new("sample_weight", s, 1))
        .transpose()?;
    let fit_bias = fit_bias.or(true, "fit_bias", flag)?;
    let solver = solver.or("auto".to_owned(), "solver", word)?;
    let solver = Solver::parse(&solver).map_err(value_error)?;
    let gap_tol = gap_tol.or(1e-8, "gap_tol", number)?;
    let tol = tol.map(|tol| number("tol", tol)).transpose()?;
    let certify = certify.or(true, "certify", flag)?;
    let max_passes = max_passes.or(1000.0, "max_passes", number)?;
    let weights = weights.map(weights_of).transpose()?;
    let rows = weights.as_ref().and_then(|weights| match *weights.shape() {
        [rows, _] => Some(rows),
        _ => None,
    });
    let unwanted = |bias, when| {
        let got = text(bias);
        PyValueError::new_err(format!("bias must be None {when}, got {got}"))
    };
    let biases = match bias {
        None => None,
        Some(bias) if !fit_bias => return Err(unwanted(bias, "with fit_bias=False")),
        Some(bias) if weights.is_none() => return Err(unwanted(bias, "without weights")),
        Some(bias) => Some(match rows {
            Some(classes) => biases(bias, classes)?,
            None => vec![number("bias", bias)?],
        }),
    };
    let weights = weights.map(|weights| weights.to_vec::<f64>()).transpose()?;
    let n_threads = optional_positive("n_threads", n_threads)?;
    if let Some(callback) = callback.filter(|callback| !callback.is_callable()) {
        let got = type_name(callback);
        return Err(PyTypeError::new_err(format!(
            "callback must be callable or None, got {got}"
        )));
    }
    let mut threads = Threads::new(n_threads).map_err(value_error)?;
    if n_threads.is_none() && x.stored()? <= ONE_THREAD {
        threads = Threads::ONE;
    }
    let arguments = Arguments {
        x: &x,
        y: &y,
        sample_weight: sample_weight.as_ref(),
        start: Start {
            weights,
            rows,
            biases,
        },
        options: FitOptions {
            l2,
            fit_bias,
            solver,
            tol,
            gap_tol,
            certify,
            max_passes,
            threads,
        },
        callback: callback.map(|callback| callback.clone().unbind()),
    };
    if x.is_single() {
        arguments.fit::<f32>(X.py())
    } else {
        arguments.fit::<f64>(X.py())
    }
}

struct Arguments<'a, 'py> {
    x: &'a Samples<'py>,
    y: &'a View<'py>,
    sample_weight: Option<&'a View<'py>>,
    start: Start,
    options: FitOptions,
    callback: Option<Py<PyAny>>,
}

impl<'py> Arguments<'_, 'py> {
    fn fit<F: Number>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let rows = self.x.rows::<F>(py, self.options.threads)?;
        let (x, y) = (rows.features()?, self.y.vector()?);
        let sample_weight = self.sample_weight.map(View::vector).transpose()?;
        let (start, options) = (self.start, self.options);
        let mut watcher = Watcher {
            signals: Signals::new(),
            callback: self.callback,
            single: self.x.is_single(),
        };
        let optimum = py.detach(|| {
            gradstep_core::fit::<F>(x, &y, sample_weight.as_ref(), start, &options, &mut watcher)
        });
        match optimum {
            Err(error) => Err(watcher.signals.exception(error)),
            Ok(optimum) => match watcher.signals.error {
                Some(raised) => Err(raised),
                None => pack_optimum(py, optimum, options.solver),
            },
        }
    }
}

/// Stands between the core and Python while a fit runs.
struct Watcher {
    signals: Signals,
    callback: Option<Py<PyAny>>,
    single: bool,
}

impl Monitor for Watcher {
    fn poll(&mut self) -> ControlFlow<()> {
        self.signals.poll()
    }
}

impl FitObserver for Watcher {
    fn iteration(&mut self, iteration: &Iteration<'_>) -> ControlFlow<()> {
        let Some(callback) = &self.callback else {
            return ControlFlow::Continue(());
        };
        let stop = Python::attach(|py| {
            let iteration = pack_iteration(py, iteration, self.single)?;
            stops(&callback.bind(py).call1((iteration,))?)
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

fn pack_iteration<'py>(
    py: Python<'py>,
    iteration: &Iteration<'_>,
    single: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let Record {
        objective,
        gradient_norm,
        step,
        seconds,
        passes,
        rows,
    } = iteration.record;
    let classes = classes_of(iteration.biases.len());
    let (weights, biases) = if single {
        let typed = |v: &[f64]| -> Vec<f32> { v.iter().map(|&v| f32::from_f64(v)).collect() };
        (
            pack_weights(py, &typed(iteration.weights), classes)?,
            pack_biases(py, &typed(iteration.biases), classes)?,
        )
    } else {
        (
            pack_weights(py, iteration.weights, classes)?,
            pack_biases(py, iteration.biases, classes)?,
        )
    };
    result!(
        py,
        "Iteration",
        (
            iteration.number,
            objective,
            gradient_norm,
            step,
            seconds,
            passes,
            rows,
            weights,
            biases
        )
    )
}

/// One predictor is none of several classes.
fn classes_of(predictors: usize) -> Option<usize> {
    (predictors > 1).then_some(predictors)
}

fn pack_optimum<F: Number>(
    py: Python<'_>,
    optimum: Optimum<F>,
    solver: Solver,
) -> PyResult<Bound<'_, PyAny>> {
    let stop_reason = result!(py, "StopReason", (optimum.stop_reason.name(),))?;
    let classes = classes_of(optimum.classes);
    let separation = optimum
        .separation
        .map(|(weights, biases)| {
            let weights = pack_weights(py, &weights, classes)?;
            result!(
                py,
                "Separation",
                (weights, pack_biases(py, &biases, classes)?)
            )
        })
        .transpose()?;
    let n_iterations = optimum.history.len();
    let history = pack_history(py, &optimum.history)?;
    // More fields than a Rust tuple can be handed over with.
    let fields = PyList::empty(py);
    fields.append(pack_weights(py, &optimum.weights, classes)?)?;
    fields.append(pack_biases(py, &optimum.biases, classes)?)?;
    fields.append(optimum.loss)?;
    fields.append(optimum.objective)?;
    fields.append(optimum.gradient_norm)?;
    fields.append(optimum.gap)?;
    fields.append(optimum.converged)?;
    fields.append(stop_reason)?;
    fields.append(optimum.passes)?;
    fields.append(n_iterations)?;
    fields.append(solver.name())?;
    fields.append(history)?;
    fields.append(separation)?;
    fields.append(pack_aliased(py, optimum.aliased)?)?;
    result!(py, "Optimum", fields.to_tuple())
}

/// A tuple of `Alias`.
fn pack_aliased(py: Python<'_>, aliased: Vec<Alias>) -> PyResult<Bound<'_, PyTuple>> {
    let all = aliased.into_iter().map(|alias| {
        let columns = PyTuple::new(py, alias.columns)?;
        let coefficients = PyTuple::new(py, alias.coefficients)?;
        let fields = (alias.column, columns, coefficients, alias.constant);
        result!(py, "Alias", fields)
    });
    PyTuple::new(py, all.collect::<PyResult<Vec<_>>>()?)
}

/// A structured array, one record per iteration.
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
    // All fields are of eight bytes, without gaps. One call, for a small fit takes no longer than several.
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
