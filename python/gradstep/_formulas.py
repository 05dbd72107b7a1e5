"""The formulas as functions of arrays. Arguments that several share are described in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _native
from gradstep._arrays import (
    Array,
    Features,
    check_out,
    dataset,
    explained,
    features,
    optional_real,
    parameters,
    real,
    rows,
    shape_text,
)
from gradstep._docs import documented_fields, suggests_names
from gradstep._options import flag, number, optional_count, word


@documented_fields
class Gradient(NamedTuple):
    """Gradient of the mean cross-entropy, returned by `gradient`.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        Derivatives by the weights, in the dtype of the computation; shape (K, n) for weights of K classes.
    bias : float
        Derivative by the bias; for weights of K classes an ndarray of shape (K,).

    Examples
    --------
    >>> gradstep.gradient([[0.0], [2.0]], [0, 1], [0.0])
    Gradient(weights=array([-0.5]), bias=0.0)
    """

    weights: Array
    bias: Any


@documented_fields
class LossGradient(NamedTuple):
    """Mean cross-entropy and its gradient, returned by `loss_gradient`.

    Attributes
    ----------
    loss : float
        Mean cross-entropy.
    weights : ndarray, shape (n,)
        Derivatives by the weights, in the dtype of the computation; shape (K, n) for weights of K classes.
    bias : float
        Derivative by the bias; for weights of K classes an ndarray of shape (K,).

    Examples
    --------
    >>> loss, weights, bias = gradstep.loss_gradient([[0.0], [2.0]], [0, 1], [0.0])
    >>> round(loss, 6), weights, bias
    (0.693147, array([-0.5]), 0.0)
    """

    loss: float
    weights: Array
    bias: Any


@documented_fields
class Step(NamedTuple):
    """Weights and bias after one step of gradient descent, returned by `gradient_step`.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        The new weights, in the dtype of the computation; shape (K, n) for weights of K classes.
    bias : float
        The new bias; for weights of K classes an ndarray of shape (K,).

    Examples
    --------
    >>> gradstep.gradient_step([[2.0], [4.0]], [1, 1], [0.0], 0.0, 0.5)
    Step(weights=array([0.75]), bias=0.25)
    """

    weights: Array
    bias: Any


def sigmoid(z: ArrayLike, *, out: Array | None = None) -> Any:
    """The logistic function, σ(z) = 1 / (1 + e^-z), which turns a score into a probability.

    Within 1 ULP of the exact value for every float, and monotone. There are no warnings: σ(-inf) = 0, σ(inf) = 1,
    σ(nan) = nan.

    Parameters
    ----------
    z : array_like of real numbers, any shape
        Scores (log-odds).
    out : ndarray, optional
        Where to put the result; see `gradstep`.

    Returns
    -------
    ndarray, or a NumPy scalar for a scalar
        Probabilities, shape of `z`; float32 if `z` is, else float64. `out` itself if given.

    Raises
    ------
    TypeError
        If `z` does not hold real numbers, or `out` is not an array of the right dtype.
    ValueError
        If `out` has another shape or is read-only.

    Notes
    -----
    The function is due to Verhulst, 1845.

    Examples
    --------
    >>> gradstep.sigmoid([0.0, float("inf")])
    array([0.5, 1. ])
    """
    return _elementwise(_native.sigmoid, z, out)


def sigmoid_derivative(z: ArrayLike, *, out: Array | None = None) -> Any:
    """The slope of the logistic function, σ'(z) = σ(z) (1 - σ(z)).

    Within 1 ULP of the exact value, even for large |z|, where computing 1 - σ(z) would cancel digits. σ'(-z) = σ'(z),
    and the largest value is σ'(0) = 1/4.

    Parameters
    ----------
    z : array_like of real numbers, any shape
        Scores (log-odds).
    out : ndarray, optional
        Where to put the result; see `gradstep`.

    Returns
    -------
    ndarray, or a NumPy scalar for a scalar
        Slopes, shape of `z`; float32 if `z` is, else float64. `out` itself if given.

    Raises
    ------
    TypeError, ValueError
        As `sigmoid`.

    Notes
    -----
    Computed from dσ/dz = e^-z / (1 + e^-z)².

    Examples
    --------
    >>> float(gradstep.sigmoid_derivative(0))
    0.25
    """
    return _elementwise(_native.sigmoid_derivative, z, out)


def log_sigmoid(z: ArrayLike, *, out: Array | None = None) -> Any:
    """The logarithm of the logistic function, ln σ(z) = -ln(1 + e^-z).

    Within 1 ULP of the exact value, and finite for every finite `z`, even if σ(z) rounds to 0. Use ``log_sigmoid(-z)``
    for ln(1 - σ(z)).

    Parameters
    ----------
    z : array_like of real numbers, any shape
        Scores (log-odds).
    out : ndarray, optional
        Where to put the result; see `gradstep`.

    Returns
    -------
    ndarray, or a NumPy scalar for a scalar
        Log-probabilities, shape of `z`; float32 if `z` is, else float64. `out` itself if given.

    Raises
    ------
    TypeError, ValueError
        As `sigmoid`.

    Notes
    -----
    Evaluated as min(z, 0) - log1p(e^-|z|), see Mächler, "Accurately computing log(1 - exp(-|a|))", 2012.

    Examples
    --------
    >>> float(gradstep.log_sigmoid(-1000))
    -1000.0
    """
    return _elementwise(_native.log_sigmoid, z, out)


def softmax(z: ArrayLike, *, out: Array | None = None) -> Array:
    """The softmax along the last axis, p_k = e^z_k / Σ_l e^z_l, which turns scores of classes into probabilities.

    The largest score is subtracted first, so that nothing overflows. Apart from the rounding of these differences, even
    tiny probabilities have an error of only a few ULP.

    Parameters
    ----------
    z : array_like of real numbers, shape (..., K)
        Scores, one per class along the last axis.
    out : ndarray, optional
        Where to put the result; see `gradstep`.

    Returns
    -------
    ndarray
        Probabilities, shape of `z`; float32 if `z` is, else float64. `out` itself if given. Along the last axis they
        add up to 1, up to rounding. Classes with z = inf share the probability; a NaN makes its whole row NaN.

    Raises
    ------
    TypeError
        If `z` does not hold real numbers, or `out` is not an array of the right dtype.
    ValueError
        If `z` is a scalar, or `out` has another shape or is read-only.

    Notes
    -----
    For two classes, p_1 is ``sigmoid(z_1 - z_0)``. Sources: Boltzmann, 1868; Bridle, 1990.

    Examples
    --------
    >>> gradstep.softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    z = real("z", z)
    if not z.ndim:
        raise ValueError("z must have at least one axis, the last one of classes, got a scalar")
    probabilities: Array = _elementwise(_native.softmax, z, out)
    return probabilities


def decision_function(X: Features, weights: ArrayLike, bias: ArrayLike = 0.0, *, n_threads: int | None = None) -> Array:
    """The score of every row, z = X w + b: the log-odds of label 1. The predicted probability is ``sigmoid(z)``.

    With weights of K classes, K scores for every row, X Wᵀ + b. The predicted probabilities are their `softmax`.

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,), default 0.0
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    ndarray, shape (m,) or (m, K); of one row a scalar or shape (K,)
        Scores; float32 if `X` is, else float64.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit or `X` is empty.

    Notes
    -----
    The name "logit" for the log-odds is due to Berkson, 1944.

    Examples
    --------
    >>> gradstep.decision_function([[1.0, 2.0], [0.0, 1.0]], [2.0, -1.0], 0.5)
    array([ 0.5, -0.5])
    >>> gradstep.decision_function([[0.0], [1.0]], [[0.0], [2.0], [-1.0]])
    array([[ 0.,  0.,  0.],
           [ 0.,  2., -1.]])
    """
    weights, bias = parameters(weights, bias)
    matrix, is_row = rows(X)
    z = _native.decision_function(matrix, weights, bias, optional_count("n_threads", n_threads))
    return z[0] if is_row else z


def predict_proba(X: Features, weights: ArrayLike, bias: ArrayLike = 0.0, *, n_threads: int | None = None) -> Array:
    """The predicted probability of label 1 for every row, ŷ = σ(X w + b).

    With weights of K classes the probability of every class, softmax(X Wᵀ + b).

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,), default 0.0
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    ndarray, shape (m,) or (m, K); of one row a scalar or shape (K,)
        Probabilities; float32 if `X` is, else float64.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit or `X` is empty.

    Notes
    -----
    The model is due to Berkson, 1944.

    Examples
    --------
    >>> gradstep.predict_proba([[1.0, 2.0], [0.0, 0.0]], [2.0, -1.0])
    array([0.5, 0.5])
    >>> gradstep.predict_proba([[0.0], [1.0]], [[0.0], [0.0], [1.0]]).round(3)
    array([[0.333, 0.333, 0.333],
           [0.212, 0.212, 0.576]])
    """
    weights, bias = parameters(weights, bias)
    matrix, is_row = rows(X)
    y_hat = _native.predict_proba(matrix, weights, bias, optional_count("n_threads", n_threads))
    return y_hat[0] if is_row else y_hat


def cross_entropy(y: ArrayLike, y_hat: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean cross-entropy of probabilities, E = -Σ s_i (y_i ln ŷ_i + (1 - y_i) ln(1 - ŷ_i)) / Σ s_i.

    s_i are the sample weights, and 0 ln 0 is taken as 0. Probabilities are not clipped, so a prediction of 0 or 1 that
    is wrong gives inf. With probabilities of K classes it is -Σ s_i ln ŷ_iy / Σ s_i, where y is the row's class. If you
    have the weights instead of probabilities, `loss` is more accurate, because it does not compute 1 - ŷ.

    Parameters
    ----------
    y : array_like, shape (m,)
        Labels in [0, 1]; or codes 0, 1, … K - 1 of the classes.
    y_hat : array_like, shape (m,), or (m, K) with K >= 2
        Predicted probabilities in [0, 1]; of classes a column for each.
    sample_weight : array_like, shape (m,), optional
        Described in `gradstep`.

    Returns
    -------
    float
        E in nats per row, computed in float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If the lengths of the arrays differ, or they are empty or hold values out of range.

    Notes
    -----
    This is the negative log-likelihood of independent Bernoulli trials, divided by their number; with K classes, of
    draws from K classes.

    Examples
    --------
    >>> round(gradstep.cross_entropy([1, 0], [0.5, 0.5]), 6)
    0.693147
    >>> round(gradstep.cross_entropy([2, 0], [[0.25, 0.25, 0.5], [0.5, 0.5, 0.0]]), 6)
    0.693147
    """
    y, y_hat = real("y", y), real("y_hat", y_hat)
    if y_hat.ndim == 2 and y_hat.shape[1] > 1:
        y, y_hat = np.ones(len(y_hat)), _of_labels(y, y_hat)
    return _native.cross_entropy(y, y_hat, optional_real("sample_weight", sample_weight))


def _of_labels(y: Array, y_hat: Array) -> Array:
    """The probability of each row's own class; `y_hat` has shape (m, K)."""
    m, classes = y_hat.shape
    if y.shape != (m,):
        raise ValueError(f"y must have shape ({m},) (one label per row of y_hat), got shape {shape_text(y.shape)}")
    is_class = (y >= 0) & (y < classes) & (y == np.trunc(y))
    if not is_class.all():
        row = int(is_class.argmin())
        raise ValueError(f"y must be class codes from 0 to {classes - 1}, got {y[row]:g} at row {row}")
    outside = (y_hat < 0) | (y_hat > 1)  # NaN propagates
    if outside.any():
        row, column = np.argwhere(outside)[0].tolist()
        got = f"{y_hat[row, column]:g} at row {row}, column {column}"
        raise ValueError(f"y_hat must be probabilities in [0, 1], got {got}")
    return y_hat[np.arange(m), y.astype(np.intp)]


def loss(
    X: Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    n_threads: int | None = None,
) -> float:
    """The mean cross-entropy of a model, E = Σ s_i (ln(1 + e^z_i) - y_i z_i) / Σ s_i with z = X w + b.

    s_i are the sample weights, and offsets are added to z. With weights of K classes,
    E = Σ s_i (ln Σ_k e^z_ik - z_iy) / Σ s_i with z = X Wᵀ + b, where y is the row's class.

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    y : array_like, shape (m,); of one row a scalar
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,), default 0.0
    sample_weight : array_like, shape (m,), optional
    offset : array_like, shape (m,) or (m, K), optional
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    float
        E in nats per row. It is not computed from probabilities, so it is finite for finite scores.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, `X` is empty, or labels, sample weights or offsets are out of range.

    Notes
    -----
    This is the negative log-likelihood of logistic regression, divided by Σ s_i; Berkson, 1944.

    Examples
    --------
    >>> round(gradstep.loss([[1.0], [-1.0]], [1, 0], [0.0]), 6)
    0.693147
    >>> round(gradstep.loss([[1.0], [-1.0]], [2, 0], [[0.0], [0.0], [0.0]]), 6)
    1.098612
    """
    weights, bias = parameters(weights, bias)
    matrix, labels, of_rows = dataset(X, y, sample_weight, offset)
    try:
        return _native.loss(matrix, labels, weights, bias, of_rows, optional_count("n_threads", n_threads))
    except ValueError as error:
        raise explained(error, X, labels) from None


def gradient(
    X: Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Gradient:
    """The gradient of the mean cross-entropy, ∂E/∂w = Σ s_i (ŷ_i - y_i) x_i / Σ s_i; ∂E/∂b is the same without x_i.

    s_i are the sample weights, and ŷ_i = σ(w · x_i + b) the predictions. With weights of K classes, the same formula
    gives a row for each class: ŷ_i is then the probability of the class, and y_i is 1 if the row is of that class,
    else 0.

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    y : array_like, shape (m,); of one row a scalar
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,), default 0.0
    sample_weight : array_like, shape (m,), optional
    offset : array_like, shape (m,) or (m, K), optional
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    Gradient
        Named tuple of `weights`, ndarray of the shape of `weights`, float32 if `X` is, else float64; and `bias`, float,
        or ndarray of shape (K,).

    Raises
    ------
    TypeError, ValueError
        As `loss`.

    Notes
    -----
    By the chain rule, the derivative of E by z is that of E by ŷ times σ'(z) = ŷ (1 - ŷ); this simplifies to ŷ - y.

    Examples
    --------
    >>> gradstep.gradient([[1.0], [-1.0]], [1, 0], [0.0])
    Gradient(weights=array([-0.5]), bias=0.0)
    >>> gradstep.gradient([[1.0], [-1.0]], [1, 0], [[0.0], [0.0]]).weights
    array([[ 0.5],
           [-0.5]])
    """
    weights, bias = parameters(weights, bias)
    matrix, labels, of_rows = dataset(X, y, sample_weight, offset)
    try:
        parts = _native.gradient(matrix, labels, weights, bias, of_rows, optional_count("n_threads", n_threads))
    except ValueError as error:
        raise explained(error, X, labels) from None
    return Gradient._make(parts)


def loss_gradient(
    X: Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    n_threads: int | None = None,
) -> LossGradient:
    """The mean cross-entropy and its gradient in one pass over `X`; see `loss` and `gradient` for the formulas.

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    y : array_like, shape (m,); of one row a scalar
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,), default 0.0
    sample_weight : array_like, shape (m,), optional
    offset : array_like, shape (m,) or (m, K), optional
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    LossGradient
        Named tuple of `loss`, float; `weights`, ndarray of the shape of `weights`, float32 if `X` is,
        else float64; and `bias`, float, or ndarray of shape (K,).

    Raises
    ------
    TypeError, ValueError
        As `loss`.

    Notes
    -----
    Optimisers such as `scipy.optimize.minimize` need both.

    Examples
    --------
    >>> result = gradstep.loss_gradient([[1.0], [-1.0]], [1, 0], [0.0])
    >>> round(result.loss, 6), result.weights, result.bias
    (0.693147, array([-0.5]), 0.0)
    """
    weights, bias = parameters(weights, bias)
    matrix, labels, of_rows = dataset(X, y, sample_weight, offset)
    try:
        parts = _native.loss_gradient(matrix, labels, weights, bias, of_rows, optional_count("n_threads", n_threads))
    except ValueError as error:
        raise explained(error, X, labels) from None
    return LossGradient._make(parts)


def hessian(
    X: Features,
    weights: ArrayLike,
    bias: float = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """The second derivatives of the mean cross-entropy, H = Σ s_i σ'(z_i) (x_i, 1) (x_i, 1)ᵀ / Σ s_i with z = X w + b.

    s_i are the sample weights. H does not depend on the labels. The Fisher information is H · Σ s_i; its inverse is the
    covariance of the weights and the bias that maximise the likelihood, see `covariance`.

    Parameters
    ----------
    X : features, shape (m, n)
    weights : array_like, shape (n,)
    bias : float, default 0.0
    sample_weight : array_like, shape (m,), optional
    offset : array_like, shape (m,), optional
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    ndarray of float64, shape (n + 1, n + 1)
        Symmetric; the last row and column belong to the bias. Computed in float64 even if `X` is float32.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, `X` is empty, or sample weights or offsets are out of range.
    MemoryError
        If (n + 1) × (n + 1) numbers do not fit into memory.

    Notes
    -----
    Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*, equation 4.25, divided by -Σ s_i.

    Examples
    --------
    >>> gradstep.hessian([[1.0], [-1.0]], [0.0])
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """
    return _native.hessian(
        features(X),
        real("weights", weights),
        number("bias", bias),
        [optional_real("sample_weight", sample_weight), optional_real("offset", offset)],
        optional_count("n_threads", n_threads),
    )


def covariance(
    X: Features,
    weights: ArrayLike,
    bias: float = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    fit_bias: bool = True,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """The covariance of the weights and the bias that maximise the likelihood: the inverse of the Fisher information.

    The information is Σ s_i σ'(z_i) (x_i, 1) (x_i, 1)ᵀ with z = X w + b, which is `hessian` times Σ s_i. Nearly all
    digits of the result are right even if columns are far from zero or nearly linear combinations of one another;
    inverting `hessian` would lose digits there.

    Parameters
    ----------
    X : features, shape (m, n)
        Must be finite. Computed in float64 even if `X` is float32.
    weights : array_like, shape (n,)
        The weights at the optimum without penalty.
    bias : float, default 0.0
        The bias at that optimum.
    sample_weight : array_like, shape (m,), optional
        Frequencies: a row with weight 3 counts as three rows.
    offset : array_like, shape (m,), optional
        As in `gradstep`.
    fit_bias : bool, default True
        Whether the bias was estimated.
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    ndarray of float64, shape (n + 1, n + 1); without bias (n, n)
        Symmetric; the last row and column belong to the bias. Square roots of the diagonal are Wald standard errors.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, `X` is empty or not finite, sample weights or offsets are out of range, or columns are
        linear combinations of others.
    MemoryError
        If (n + 1) × (n + 1) numbers do not fit into memory.

    Notes
    -----
    McCullagh and Nelder, *Generalized Linear Models*, 2nd ed., section 4.4.

    Examples
    --------
    >>> gradstep.covariance([[1.0], [-1.0]], [0.0])
    array([[2., 0.],
           [0., 2.]])
    """
    return _native.covariance(
        features(X),
        real("weights", weights),
        number("bias", bias),
        [optional_real("sample_weight", sample_weight), optional_real("offset", offset)],
        flag("fit_bias", fit_bias),
        optional_count("n_threads", n_threads),
    )


@suggests_names
def gradient_step(
    X: Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike,
    learning_rate: float,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Step:
    """One step of gradient descent from `weights` and `bias`, which are not modified.

    With ``reduction="mean"`` the new weights are w - α ∇E, where ∇E is the gradient of the mean error; with
    ``reduction="sum"``, w + α Σ s_i (y_i - ŷ_i) x_i, which is the same without division by Σ s_i. The bias changes
    likewise, without x_i. With K classes, the weights and the bias of class k change likewise, with [y_i = k] - p_ik in
    place of y_i - ŷ_i: [y_i = k] is 1 if the label of row i is k, else 0, and p_ik is the predicted probability of k.

    Parameters
    ----------
    X : features, shape (m, n), or (n,) for one row
    y : array_like, shape (m,); of one row a scalar
    weights : array_like, shape (n,) or (K, n)
    bias : float or array_like of shape (K,)
        Described in `gradstep`.
    learning_rate : float
        The learning rate α, finite and positive.
    reduction : {"mean", "sum"}, default "mean"
        Whether the gradient is averaged or summed over the rows.
    sample_weight : array_like, shape (m,), optional
    offset : array_like, shape (m,) or (m, K), optional
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    Step
        Named tuple of the new `weights`, ndarray of shape (n,) or (K, n), float32 if `X` is, else float64; and `bias`,
        float or ndarray of shape (K,).

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, `X` is empty, values are out of range, or `reduction` is another word.

    Notes
    -----
    Gradient descent is due to Cauchy, 1847.

    Examples
    --------
    >>> gradstep.gradient_step([[1.0], [-1.0]], [1, 0], [0.0], 0.0, 0.5)
    Step(weights=array([0.25]), bias=0.0)
    """
    weights, start = parameters(weights, bias)
    matrix, labels, of_rows = dataset(X, y, sample_weight, offset)
    try:
        parts = _native.gradient_step(
            matrix,
            labels,
            weights,
            start,
            number("learning_rate", learning_rate),
            word("reduction", reduction),
            of_rows,
            optional_count("n_threads", n_threads),
        )
    except ValueError as error:
        raise explained(error, X, labels) from None
    return Step._make(parts)


def _elementwise(native: Callable[[Array, Array | None], Any], z: ArrayLike, out: Array | None) -> Any:
    z = real("z", z)
    if out is not None:
        check_out(z, out)
    return native(z, out)
