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
        Derivatives by the weights, in the dtype of the computation.
    bias : float
        Derivative by the bias.

    Examples
    --------
    >>> gradstep.gradient([[0.0], [2.0]], [0, 1], [0.0])
    Gradient(weights=array([-0.5]), bias=0.0)
    """

    weights: NDArray[Any]
    bias: float


class LossGradient(NamedTuple):
    """Mean cross-entropy and its gradient, from one pass over the rows.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats per row.
    weights : ndarray, shape (n,)
        Derivatives by the weights, in the dtype of the computation.
    bias : float
        Derivative by the bias.

    Examples
    --------
    >>> loss, weights, bias = gradstep.loss_gradient([[0.0], [2.0]], [0, 1], [0.0])
    >>> round(loss, 6), weights, bias
    (0.693147, array([-0.5]), 0.0)
    """

    loss: float
    weights: NDArray[Any]
    bias: float


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
    """No component of the gradient was larger than `tol`."""
    CALLBACK = "callback"
    """The callback returned True."""
    DIVERGED = "diverged"
    """The loss or the weights were no longer finite."""


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
