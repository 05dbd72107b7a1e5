"""What the native functions return: named tuples, and the reasons for which a fit stops."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Gradient(NamedTuple):
    """Gradient of the mean cross-entropy.

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

    weights: NDArray[Any]
    bias: Any


class LossGradient(NamedTuple):
    """Mean cross-entropy and its gradient, from one pass over the rows.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats per row.
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
    weights: NDArray[Any]
    bias: Any


class Step(NamedTuple):
    """Weights and bias after one step of gradient descent.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        The new weights, in the dtype of the computation.
    bias : float
        The new bias.

    Examples
    --------
    >>> gradstep.gradient_step([[2.0], [4.0]], [1, 1], [0.0], 0.0, 0.5)
    Step(weights=array([0.75]), bias=0.25)
    """

    weights: NDArray[Any]
    bias: float


class StopReason(StrEnum):
    """Why a fit stopped. Each member equals its string.

    Examples
    --------
    >>> fit = gradstep.Trainer(epochs=3).fit([[0.0], [2.0]], [0, 1])
    >>> fit.stop_reason
    <StopReason.EPOCHS: 'epochs'>
    >>> fit.stop_reason == "epochs"
    True
    """

    EPOCHS = "epochs"
    """All epochs were run."""
    TOLERANCE = "tolerance"
    """What was asked for is reached: the gap is proved, or no component of the gradient is larger than `tol`."""
    CALLBACK = "callback"
    """The callback returned True."""
    DIVERGED = "diverged"
    """The loss or the weights were no longer finite."""
    PRECISION = "precision"
    """No step improves on the weights, as far as rounding lets see."""
    PASSES = "passes"
    """The passes over the data that were allowed are used up."""
    SEPARATED = "separated"
    """A hyperplane separates the labels: the loss has no minimum."""
    UNCERTIFIED = "uncertified"
    """The gradient is small and nothing speaks against the optimum, but it was not proved: that was too dear."""
    VALIDATION = "validation"
    """The error of validation data has stopped falling."""


class Fit(NamedTuple):
    """What a descent arrived at, and how.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        The weights after the last epoch, in the dtype of the computation; after the last finite one where the descent
        diverged.
    bias : float
        The bias that goes with them.
    history : ndarray of float64, shape (n_epochs,)
        Mean cross-entropy over all rows after each epoch, without the penalty; with ``activation="step"`` the fraction
        of the rows that are misclassified.
    n_epochs : int
        Number of epochs in `history`.
    stop_reason : StopReason
        Why the descent ended.
    trace : structured ndarray or None
        With ``trace=True`` one record per update: ``epoch, row, z, y_hat, error, delta_weights, delta_bias, weights,
        bias``, the last two after the update.

    Examples
    --------
    >>> fit = gradstep.Trainer(learning_rate=0.5, epochs=1).fit([[2.0], [4.0]], [1, 1])
    >>> fit.weights, fit.bias, fit.n_epochs, str(fit.stop_reason)
    (array([0.75]), 0.25, 1, 'epochs')
    """

    weights: NDArray[Any]
    bias: float
    history: NDArray[np.float64]
    n_epochs: int
    stop_reason: StopReason
    trace: NDArray[np.void] | None


class Iteration(NamedTuple):
    """What the callback of a fit is shown after each iteration.

    Attributes
    ----------
    number : int
        Number of the iteration, from 0.
    objective : float
        Mean cross-entropy plus penalty, over `rows` rows.
    gradient_norm : float
        Largest component of its gradient, in magnitude.
    step : float
        Length of the step, in units of the one proposed.
    seconds : float
        Time since the fit began.
    passes : float
        Data read since the fit began, in passes over all rows.
    rows : int
        Rows that it was computed from: all of them, or a sample.
    weights : ndarray, shape (n,)
        The weights after it; shape (K, n) for K >= 3 classes.
    bias : float
        The bias after it; for K >= 3 classes an ndarray of shape (K,).

    Examples
    --------
    >>> seen = []
    >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], callback=seen.append)
    >>> seen[-1].number + 1 == len(seen) == best.n_iterations
    True
    """

    number: int
    objective: float
    gradient_norm: float
    step: float
    seconds: float
    passes: float
    rows: int
    weights: NDArray[Any]
    bias: Any


class Separation(NamedTuple):
    """A direction along which no prediction gets worse, and some get better, for ever.

    With ``z = X @ weights + bias``, z >= 0 for every row labelled 1, z <= 0 for every row labelled 0, up to rounding,
    and z is not 0 for all rows. The columns that separate are those where `weights` is not 0. Of K >= 3 classes, with
    ``z = X @ weights.T + bias``, no other class's z is above that of a row's label, up to rounding, and some are below.

    Attributes
    ----------
    weights : ndarray of float64, shape (n,)
        The direction's weights; shape (K, n) for K >= 3 classes. The largest component of the whole direction is 1 or
        -1.
    bias : float
        The direction's bias; for K >= 3 classes an ndarray of shape (K,).

    Examples
    --------
    >>> gradstep.fit([[1.0, 0], [2.0, 0], [1.0, 0], [2.0, 0], [1.0, 1]], [0, 1, 1, 0, 1]).separation
    Separation(weights=array([0., 1.]), bias=0.0)
    """

    weights: NDArray[np.float64]
    bias: Any


class Alias(NamedTuple):
    """A column that is a combination of the columns before it, and is left out: its weight is 0.

    In all rows of positive weight, ``X[:, column] == X[:, columns] @ coefficients + constant``, up to 32 units in the
    last place of the column's size. Such a column tells a model nothing new. R's glm gives it the coefficient NA.

    Attributes
    ----------
    column : int
        The column.
    columns : tuple of int
        The columns that it is a combination of; empty if it is constant.
    coefficients : tuple of float
        Their coefficients.
    constant : float
        What is added to them; 0 without a bias.

    Examples
    --------
    >>> gradstep.fit([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0], [3.0, 7.0]], [0, 1, 0, 1]).aliased
    (Alias(column=1, columns=(0,), coefficients=(2.0,), constant=1.0),)
    """

    column: int
    columns: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float


class Optimum(NamedTuple):
    """The optimum that a fit arrived at, and what is proved of it.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        The weights, float32 for float32 `X`, else float64; shape (K, n) for K >= 3 classes, over which they sum to 0.
    bias : float
        The bias; for K >= 3 classes an ndarray of shape (K,), which sums to zero.
    loss : float
        Mean cross-entropy, in nats per row.
    objective : float
        The loss plus the penalty (l2/2) ||w||².
    gradient_norm : float
        Largest component, in magnitude, of the objective's gradient by weights and bias.
    gap : float
        Proved upper bound on how far the objective is above its minimum, whatever `stop_reason` is, with rounding
        counted. inf where nothing is proved. The minimum is that over the columns that are not `aliased`.
    converged : bool
        Whether the optimum is proved: the gap is at most `gap_tol` of the objective. Never for separated labels.
    stop_reason : StopReason
        "tolerance", "uncertified", "precision", "passes", "callback" or "separated".
    passes : float
        Data read, in passes over all rows: samples count by their rows, and making a preconditioner and the proof
        counts too.
    n_iterations : int
        Number of iterations.
    solver : str
        "lbfgs" or "gd".
    history : structured ndarray, shape (n_iterations,)
        ``objective, gradient_norm, step, seconds, passes, rows`` after each iteration. Objective and gradient are over
        `rows` rows: fewer than all of them in the first iterations of a large fit.
    separation : Separation or None
        With ``stop_reason="separated"`` a direction that separates the labels, by few columns.
    aliased : tuple of Alias
        In a fit without penalty, the columns that are constant or combinations of columns before them: these are left
        out, with weight 0. Not looked for with ``certify=False``, nor among more than 4096 weights and biases.

    Examples
    --------
    >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
    >>> best.converged, str(best.stop_reason), 0 <= best.gap <= 1e-8 * best.objective
    (True, 'tolerance', True)
    """

    weights: NDArray[Any]
    bias: Any
    loss: float
    objective: float
    gradient_norm: float
    gap: float
    converged: bool
    stop_reason: StopReason
    passes: float
    n_iterations: int
    solver: str
    history: NDArray[np.void]
    separation: Separation | None
    aliased: tuple[Alias, ...]
