//! The formulas over all samples as Python functions.

#![allow(non_snake_case)] // X is what everybody calls it.

use gradstep_core::{ClassGradient, Error, Features, Monitor, Reduction, Threads, Vector};
use numpy::PyArrayMethods;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::arrays::{Number, Real, View, pack};
use crate::options::{Given, flag, number, optional_positive, word};
use crate::parameters::{Parameters, pack_biases, pack_weights};
use crate::sparse::Samples;
use crate::{run, value_error};

/// An instance of a class of `gradstep._results`.
macro_rules! result {
    ($py:expr, $class:literal, $fields:expr) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS
            .import($py, "gradstep._results", $class)?
            .call1($fields)
    }};
}
pub(crate) use result;

/// The mean cross-entropy of probabilities, E = -Σ s_i (y_i ln ŷ_i + (1 - y_i) ln(1 - ŷ_i)) / Σ s_i.
///
/// Nothing is clipped: 0 ln 0 is 0, and a prediction that is certain and wrong costs inf. Where predictors are at
/// hand, `loss` is more accurate: it never forms 1 - ŷ.
///
/// Parameters
/// ----------
/// y : array_like, shape (m,)
///     Labels in [0, 1].
/// y_hat : array_like, shape (m,)
///     Predicted probabilities in [0, 1].
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
///
/// Returns
/// -------
/// float
///     E in nats per sample, computed in float64.
///
/// Raises
/// ------
/// TypeError
///     If an array does not hold real numbers.
/// ValueError
///     If the arrays are not vectors of one length, are empty, or hold values out of range.
///
/// Notes
/// -----
/// The negative log-likelihood of independent Bernoulli trials, per sample.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> round(gradstep.cross_entropy([1, 0], [0.5, 0.5]), 6)
/// 0.693147
#[pyfunction]
#[pyo3(signature = (y, y_hat, *, sample_weight=None))]
pub(crate) fn cross_entropy(
    y: &Bound<'_, PyAny>,
    y_hat: &Bound<'_, PyAny>,
    sample_weight: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    let py = y.py();
    let (y, y_hat) = (View::new("y", y, 1)?, View::new("y_hat", y_hat, 1)?);
    let sample_weight = sample_weight
        .map(|s| View::new("sample_weight", s, 1))
        .transpose()?;
    let threads = Threads::new(None).map_err(value_error)?;
    let (y, y_hat) = (y.vector()?, y_hat.vector()?);
    let sample_weight = sample_weight.as_ref().map(View::vector).transpose()?;
    run(py, |monitor| {
        gradstep_core::cross_entropy(&y, &y_hat, sample_weight.as_ref(), threads, monitor)
    })
}

/// The arguments of a formula over a data set, taken apart in the order that errors are reported in.
struct Arguments<'py> {
    x: Samples<'py>,
    y: View<'py>,
    parameters: Parameters<'py>,
    sample_weight: Option<View<'py>>,
    threads: Threads,
}

impl<'py> Arguments<'py> {
    fn new(
        X: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        weights: &Bound<'py, PyAny>,
        bias: Given<'py>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        n_threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Arguments {
            x: Samples::new(X)?,
            y: View::new("y", y, 1)?,
            parameters: Parameters::new(weights, bias)?,
            sample_weight: sample_weight
                .map(|s| View::new("sample_weight", s, 1))
                .transpose()?,
            threads: threads(n_threads)?,
        })
    }

    /// Runs a kernel on them without the interpreter.
    fn run<F: Number, T: Send>(
        &self,
        py: Python<'py>,
        kernel: impl Send
        + FnOnce(
            &Features<'_>,
            &Vector<'_>,
            Option<&Vector<'_>>,
            &[F],
            &[F],
            Threads,
            &mut dyn Monitor,
        ) -> Result<T, Error>,
    ) -> PyResult<T> {
        let threads = self.threads;
        let rows = self.x.rows::<F>(py, threads)?;
        let (x, y) = (rows.features()?, self.y.vector()?);
        let sample_weight = self.sample_weight.as_ref().map(View::vector).transpose()?;
        let (weights, biases) = self.parameters.to_vecs::<F>(x.columns())?;
        run(py, |monitor| {
            kernel(
                &x,
                &y,
                sample_weight.as_ref(),
                &weights,
                &biases,
                threads,
                monitor,
            )
        })
    }
}

pub(crate) fn threads(n_threads: Option<&Bound<'_, PyAny>>) -> PyResult<Threads> {
    Threads::new(optional_positive("n_threads", n_threads)?).map_err(value_error)
}

pub(crate) fn vector<'py>(
    argument: &'static str,
    object: &Bound<'py, PyAny>,
) -> PyResult<Real<'py>> {
    let vector = Real::new(argument, object)?;
    vector.check_dimensions(1)?;
    Ok(vector)
}

/// The mean cross-entropy of a model, E = Σ s_i (ln(1 + e^z_i) - y_i z_i) / Σ s_i with z = X w + b.
///
/// With weights of K classes, E = Σ s_i (ln Σ_k e^z_ik - z_iy) / Σ s_i, y being the row's class and z = X Wᵀ + b.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// y : array_like, shape (m,)
///     Labels in [0, 1]; class codes 0, 1, …, K - 1 for weights of shape (K, n).
/// weights : array_like, shape (n,) or (K, n)
///     Weights w, nats per unit of each feature; a row per class for softmax.
/// bias : float or array_like of shape (K,), default 0.0
///     Bias b in nats, one per class for softmax.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// float
///     E in nats per sample; never formed from probabilities, hence finite for finite predictors.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty, or labels or sample weights are out of range.
///
/// Notes
/// -----
/// The negative log-likelihood of logistic regression per sample, with -ln σ(z) = ln(1 + e^-z); Berkson, 1944.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> round(gradstep.loss([[1.0], [-1.0]], [1, 0], [0.0]), 6)
/// 0.693147
/// >>> round(gradstep.loss([[1.0], [-1.0]], [2, 0], [[0.0], [0.0], [0.0]]), 6)
/// 1.098612
#[pyfunction]
#[pyo3(signature = (X, y, weights, bias=Given(None), *, sample_weight=None, n_threads=None),
       text_signature = "(X, y, weights, bias=0.0, *, sample_weight=None, n_threads=None)")]
pub(crate) fn loss<'py>(
    X: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<f64> {
    let arguments = Arguments::new(X, y, weights, bias, sample_weight, n_threads)?;
    if arguments.x.is_single() {
        loss_in::<f32>(X.py(), &arguments)
    } else {
        loss_in::<f64>(X.py(), &arguments)
    }
}

fn loss_in<'py, F: Number>(py: Python<'py>, arguments: &Arguments<'py>) -> PyResult<f64> {
    let of_classes = arguments.parameters.is_of_classes();
    arguments.run(py, |x, y, s, weights: &[F], biases, threads, monitor| {
        if of_classes {
            gradstep_core::class_loss(x, y, s, weights, biases, threads, monitor)
        } else {
            gradstep_core::loss(x, y, s, weights, only(biases), threads, monitor)
        }
    })
}

/// The only bias there is.
pub(crate) fn only<F: Number>(biases: &[F]) -> F {
    biases.first().copied().unwrap_or(F::ZERO)
}

/// Loss, gradient along the weights in the dtype of the computation, gradient along the bias.
type Packed<'py> = (f64, Bound<'py, PyAny>, Bound<'py, PyAny>);

fn evaluate<'py>(py: Python<'py>, arguments: &Arguments<'py>) -> PyResult<Packed<'py>> {
    if arguments.x.is_single() {
        evaluate_in::<f32>(py, arguments)
    } else {
        evaluate_in::<f64>(py, arguments)
    }
}

fn evaluate_in<'py, F: Number>(
    py: Python<'py>,
    arguments: &Arguments<'py>,
) -> PyResult<Packed<'py>> {
    let parameters = &arguments.parameters;
    let classes = parameters
        .is_of_classes()
        .then_some(parameters.predictors());
    let result = arguments.run(py, |x, y, s, weights: &[F], biases, threads, monitor| {
        if classes.is_some() {
            return gradstep_core::class_loss_gradient(x, y, s, weights, biases, threads, monitor);
        }
        let bias = only(biases);
        let result = gradstep_core::loss_gradient(x, y, s, weights, bias, threads, monitor)?;
        let gradient = ClassGradient {
            weights: result.gradient.weights,
            biases: vec![result.gradient.bias],
        };
        Ok((result.loss, gradient))
    })?;
    let (loss, gradient) = result;
    Ok((
        loss,
        pack_weights(py, &gradient.weights, classes)?,
        pack_biases(py, &gradient.biases, classes)?,
    ))
}

/// The gradient of the mean cross-entropy, ∇E = Σ s_i (ŷ_i - y_i) x_i / Σ s_i, and the same without x_i for the bias.
///
/// With weights of K classes, ŷ and y have a column per class: the probabilities, and 1 for the row's class, else 0.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// y : array_like, shape (m,)
///     Labels in [0, 1]; class codes 0, 1, …, K - 1 for weights of shape (K, n).
/// weights : array_like, shape (n,) or (K, n)
///     Weights w, nats per unit of each feature; a row per class for softmax.
/// bias : float or array_like of shape (K,), default 0.0
///     Bias b in nats, one per class for softmax.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// Gradient
///     Named tuple of `weights`, ndarray of the shape of `weights` in units of each feature, float32 if `X` is, else
///     float64; and `bias`, float, or ndarray of shape (K,).
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty, or labels or sample weights are out of range.
///
/// Notes
/// -----
/// σ'(z) = ŷ (1 - ŷ) cancels against the derivative of the cross-entropy, which leaves ŷ - y.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.gradient([[1.0], [-1.0]], [1, 0], [0.0])
/// Gradient(weights=array([-0.5]), bias=0.0)
/// >>> gradstep.gradient([[1.0], [-1.0]], [1, 0], [[0.0], [0.0]]).weights
/// array([[ 0.5],
///        [-0.5]])
#[pyfunction]
#[pyo3(signature = (X, y, weights, bias=Given(None), *, sample_weight=None, n_threads=None),
       text_signature = "(X, y, weights, bias=0.0, *, sample_weight=None, n_threads=None)")]
pub(crate) fn gradient<'py>(
    X: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = X.py();
    let (_, weights, bias) = evaluate(
        py,
        &Arguments::new(X, y, weights, bias, sample_weight, n_threads)?,
    )?;
    result!(py, "Gradient", (weights, bias))
}

/// The mean cross-entropy and its gradient in one pass over `X`; see `loss` and `gradient` for the formulas.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// y : array_like, shape (m,)
///     Labels in [0, 1]; class codes 0, 1, …, K - 1 for weights of shape (K, n).
/// weights : array_like, shape (n,) or (K, n)
///     Weights w, nats per unit of each feature; a row per class for softmax.
/// bias : float or array_like of shape (K,), default 0.0
///     Bias b in nats, one per class for softmax.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// LossGradient
///     Named tuple of `loss`, float in nats per sample; `weights`, ndarray of the shape of `weights`, float32 if `X` is,
///     else float64; and `bias`, float, or ndarray of shape (K,).
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty, or labels or sample weights are out of range.
///
/// Notes
/// -----
/// What optimisers such as `scipy.optimize.minimize` ask for.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> result = gradstep.loss_gradient([[1.0], [-1.0]], [1, 0], [0.0])
/// >>> round(result.loss, 6), result.weights, result.bias
/// (0.693147, array([-0.5]), 0.0)
#[pyfunction]
#[pyo3(signature = (X, y, weights, bias=Given(None), *, sample_weight=None, n_threads=None),
       text_signature = "(X, y, weights, bias=0.0, *, sample_weight=None, n_threads=None)")]
pub(crate) fn loss_gradient<'py>(
    X: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = X.py();
    let packed = evaluate(
        py,
        &Arguments::new(X, y, weights, bias, sample_weight, n_threads)?,
    )?;
    result!(py, "LossGradient", packed)
}

/// The Hessian of the mean cross-entropy by weights and bias, H = Σ s_i σ'(z_i) (x_i, 1) (x_i, 1)ᵀ / Σ s_i.
///
/// It does not depend on the labels. The Fisher information of the samples is Σ s_i times this, and the inverse of that
/// the covariance of weights and bias that maximise the likelihood.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// weights : array_like, shape (n,)
///     Weights w, nats per unit of each feature.
/// bias : float, default 0.0
///     Bias b in nats.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// ndarray of float64, shape (n + 1, n + 1)
///     Symmetric; the last row and column are those of the bias. Also float32 features are computed in float64.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty, or sample weights are out of range.
/// MemoryError
///     If there is no room for n + 1 by n + 1 numbers.
///
/// Notes
/// -----
/// Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*, equation 4.25, per sample.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.hessian([[1.0], [-1.0]], [0.0])
/// array([[0.25, 0.  ],
///        [0.  , 0.25]])
#[pyfunction]
#[pyo3(signature = (X, weights, bias=Given(None), *, sample_weight=None, n_threads=None),
       text_signature = "(X, weights, bias=0.0, *, sample_weight=None, n_threads=None)")]
pub(crate) fn hessian<'py>(
    X: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = X.py();
    let x = Samples::new(X)?;
    let weights = vector("weights", weights)?.to_vec::<f64>()?;
    let bias = bias.or(0.0, "bias", number)?;
    let sample_weight = sample_weight
        .map(|s| View::new("sample_weight", s, 1))
        .transpose()?;
    let threads = threads(n_threads)?;
    let rows = x.rows::<f64>(py, threads)?;
    let (x, sample_weight) = (
        rows.features()?,
        sample_weight.as_ref().map(View::vector).transpose()?,
    );
    let order = x.columns() + 1;
    let matrix = run(py, |monitor| {
        gradstep_core::hessian(x, sample_weight.as_ref(), &weights, bias, threads, monitor)
    })?;
    Ok(pack(py, matrix).reshape([order, order])?.into_any())
}

/// The covariance of the weights and the bias that maximise the likelihood: the inverse of the Fisher information.
///
/// The information is Σ s_i σ'(z_i) (x_i, 1) (x_i, 1)ᵀ, which is `hessian` times Σ s_i. Its inverse is right to nearly all
/// digits however far columns are from zero, and however nearly they are combinations of one another, where inverting
/// `hessian` would lose them.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Finite features, a row per sample. Also float32 is computed in float64.
/// weights : array_like, shape (n,)
///     Weights w at the optimum without penalty.
/// bias : float, default 0.0
///     Bias b there.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default. A weight counts as so many samples.
/// fit_bias : bool, default True
///     Whether the bias was estimated, too.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// ndarray of float64, shape (n + 1, n + 1); without bias (n, n)
///     Symmetric; the last row and column are those of the bias. The roots of its diagonal are Wald standard errors.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty or not finite, sample weights are out of range, or columns are linear combinations
///     of others.
/// MemoryError
///     If there is no room for n + 1 by n + 1 numbers.
///
/// Notes
/// -----
/// McCullagh and Nelder, *Generalized Linear Models*, 2nd ed., section 4.4.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.covariance([[1.0], [-1.0]], [0.0])
/// array([[2., 0.],
///        [0., 2.]])
#[pyfunction]
#[pyo3(signature = (X, weights, bias=Given(None), *, sample_weight=None, fit_bias=Given(None), n_threads=None),
       text_signature = "(X, weights, bias=0.0, *, sample_weight=None, fit_bias=True, n_threads=None)")]
pub(crate) fn covariance<'py>(
    X: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    fit_bias: Given<'py>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = X.py();
    let x = Samples::new(X)?;
    let weights = vector("weights", weights)?.to_vec::<f64>()?;
    let bias = bias.or(0.0, "bias", number)?;
    let sample_weight = sample_weight
        .map(|s| View::new("sample_weight", s, 1))
        .transpose()?;
    let fit_bias = fit_bias.or(true, "fit_bias", flag)?;
    let threads = threads(n_threads)?;
    let rows = x.rows::<f64>(py, threads)?;
    let (x, sample_weight) = (
        rows.features()?,
        sample_weight.as_ref().map(View::vector).transpose()?,
    );
    let order = x.columns() + usize::from(fit_bias);
    let matrix = run(py, |monitor| {
        let s = sample_weight.as_ref();
        gradstep_core::covariance(x, s, &weights, bias, fit_bias, threads, monitor)
    })?;
    Ok(pack(py, matrix).reshape([order, order])?.into_any())
}

/// One step of gradient descent from `weights` and `bias`, which are not modified.
///
/// ``reduction="mean"``: w - α ∇E, with the gradient of the mean error. ``reduction="sum"``:
/// w + α Σ s_i (y_i - ŷ_i) x_i, the same without division by Σ s_i. The bias alike, without x_i.
///
/// Parameters
/// ----------
/// X : array_like or sparse array or matrix, shape (m, n)
///     Features, a row per sample; any layout, read in place. SciPy's CSR is read in place, CSC by way of its rows; none
///     is ever made dense.
/// y : array_like, shape (m,)
///     Labels in [0, 1].
/// weights : array_like, shape (n,)
///     Weights w, nats per unit of each feature.
/// bias : float
///     Bias b in nats.
/// learning_rate : float
///     Step size α > 0.
/// reduction : {"mean", "sum"}, default "mean"
///     Whether α multiplies the gradient of the mean error or of the sum.
/// sample_weight : array_like, shape (m,), optional
///     Weights s_i >= 0 of the samples, not all zero; all 1 by default.
/// n_threads : int, optional
///     Threads to use; by default GRADSTEP_NUM_THREADS, OMP_NUM_THREADS or the processors available. The result does
///     not depend on it.
///
/// Returns
/// -------
/// Step
///     Named tuple of the new `weights`, ndarray of shape (n,), float32 if `X` is, else float64; and `bias`, float.
///
/// Raises
/// ------
/// TypeError
///     If an argument does not hold real numbers.
/// ValueError
///     If shapes do not fit, `X` is empty, values are out of range, or `reduction` is another word.
///
/// Notes
/// -----
/// Cauchy, 1847.
///
/// Examples
/// --------
/// >>> import gradstep
/// >>> gradstep.gradient_step([[1.0], [-1.0]], [1, 0], [0.0], 0.0, 0.5)
/// Step(weights=array([0.25]), bias=0.0)
#[pyfunction]
#[pyo3(signature = (X, y, weights, bias, learning_rate, *, reduction=Given(None), sample_weight=None, n_threads=None),
       text_signature = "(X, y, weights, bias, learning_rate, *, reduction='mean', sample_weight=None, n_threads=None)")]
pub(crate) fn gradient_step<'py>(
    X: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    bias: Given<'py>,
    learning_rate: &Bound<'py, PyAny>,
    reduction: Given<'py>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    n_threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = Arguments::new(X, y, weights, bias, sample_weight, n_threads)?;
    arguments.parameters.check_one_predictor()?;
    let learning_rate = number("learning_rate", learning_rate)?;
    let reduction = reduction.or("mean".to_owned(), "reduction", word)?;
    let reduction = Reduction::parse(&reduction).map_err(value_error)?;
    if arguments.x.is_single() {
        step_in::<f32>(X.py(), &arguments, learning_rate, reduction)
    } else {
        step_in::<f64>(X.py(), &arguments, learning_rate, reduction)
    }
}

fn step_in<'py, F: Number>(
    py: Python<'py>,
    arguments: &Arguments<'py>,
    learning_rate: f64,
    reduction: Reduction,
) -> PyResult<Bound<'py, PyAny>> {
    let step = arguments.run(
        py,
        |x, y, sample_weight, weights: &[F], biases, threads, monitor| {
            gradstep_core::gradient_step(
                x,
                y,
                sample_weight,
                weights,
                only(biases),
                learning_rate,
                reduction,
                threads,
                monitor,
            )
        },
    )?;
    result!(py, "Step", (pack(py, step.weights), step.bias.to_f64()))
}
