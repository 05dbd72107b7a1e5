"""The formulas of the textbook in float64, each written as it is read.

The package is compared with these functions, so nothing here is clever: no loss is rearranged, residuals may cancel,
sums are not in blocks. The tolerances of the comparisons include the rounding errors of these functions. Every function
takes inputs of any type and computes in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Parameters(NamedTuple):
    weights: Array
    """Shape (n,), or (K, n) of K classes, which have K biases."""
    bias: Any


class Update(NamedTuple):
    """One parameter update: the rows it saw, and the state before and after."""

    epoch: int
    rows: Array
    before: Parameters
    after: Parameters


def f64(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64)


def sigmoid(z: Any) -> Array:
    with np.errstate(over="ignore"):  # exp(800) is inf, and 1 / (1 + inf) is the 0 that is wanted
        return f64(1.0 / (1.0 + np.exp(-f64(z))))


def step(z: Any) -> Array:
    return f64(f64(z) >= 0)


def score(X: Any, weights: Any, bias: float) -> Array:
    return f64(f64(X) @ f64(weights) + bias)


def predict_proba(X: Any, weights: Any, bias: float = 0.0) -> Array:
    return sigmoid(score(X, weights, bias))


def errors(z: Any, y: Any) -> Array:
    """E_i = -y ln ŷ - (1 - y) ln(1 - ŷ), with ln ŷ = -ln(1 + e^-z) and ln(1 - ŷ) = -ln(1 + e^z)."""
    z, y = f64(z), f64(y)
    return f64(y * np.logaddexp(0.0, -z) + (1.0 - y) * np.logaddexp(0.0, z))


def cross_entropy(y: Any, y_hat: Any, sample_weight: Any = None) -> float:
    y, y_hat = f64(y), f64(y_hat)
    with np.errstate(divide="ignore", invalid="ignore"):
        certain_1 = np.where(y == 0, 0.0, -y * np.log(y_hat))  # 0 · ln 0 = 0
        certain_0 = np.where(y == 1, 0.0, -(1.0 - y) * np.log(1.0 - y_hat))
    return float(np.average(certain_1 + certain_0, weights=sample_weight))


def loss(X: Any, y: Any, weights: Any, bias: float = 0.0, sample_weight: Any = None) -> float:
    return float(np.average(errors(score(X, weights, bias), y), weights=sample_weight))


def gradient(
    X: Any,
    y: Any,
    weights: Any,
    bias: float = 0.0,
    sample_weight: Any = None,
    activation: Callable[[Any], Array] = sigmoid,
) -> Parameters:
    X, y = f64(X), f64(y)
    s = np.ones(len(y)) if sample_weight is None else f64(sample_weight)
    residual = s * (activation(score(X, weights, bias)) - y)
    return Parameters(X.T @ residual / s.sum(), float(residual.sum() / s.sum()))


def gradient_step(
    X: Any,
    y: Any,
    weights: Any,
    bias: Any,
    learning_rate: float,
    reduction: str = "mean",
    sample_weight: Any = None,
    l2: float = 0.0,
    activation: Callable[[Any], Array] = sigmoid,
) -> Parameters:
    """w ← w - α (∂E + l2 w) and b ← b - α ∂E; "sum" steps along the sum instead of the mean of the rows."""
    total = len(y) if sample_weight is None else f64(sample_weight).sum()
    rate = learning_rate * (total if reduction == "sum" else 1.0)
    if np.ndim(weights) == 2:
        grad = class_gradient(X, y, weights, bias, sample_weight)
    else:
        grad = gradient(X, y, weights, bias, sample_weight, activation)
    after = f64(bias) - rate * grad.bias
    return Parameters(f64(weights) - rate * (grad.weights + l2 * f64(weights)), after if after.ndim else float(after))


def updates(
    X: Any,
    y: Any,
    weights: Any,
    bias: Any,
    *,
    learning_rate: float,
    orders: Iterable[Any],
    batch_size: int | None = None,
    **options: Any,
) -> Iterator[Update]:
    """Yields the updates of gradient descent: in each epoch, in its order of the rows, one step for each batch."""
    X, y = f64(X), f64(y)
    state = Parameters(f64(weights), f64(bias) if np.ndim(bias) else float(bias))
    for epoch, order in enumerate(orders):
        order = np.asarray(order)
        size = len(order) if batch_size is None else batch_size
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            after = gradient_step(X[rows], y[rows], *state, learning_rate, **options)
            yield Update(epoch, rows, state, after)
            state = after


def softmax(z: Any) -> Array:
    """p_k = e^z_k / Σ_l e^z_l = 1 / Σ_l e^(z_l - z_k), along the last axis."""
    z = f64(z)
    with np.errstate(over="ignore"):  # exp(800) is inf, and 1 / inf is the 0 that is wanted
        return f64(1.0 / np.exp(z[..., None, :] - z[..., :, None]).sum(axis=-1))


def class_score(X: Any, weights: Any, biases: Any) -> Array:
    return f64(f64(X) @ f64(weights).T + f64(biases))


def class_errors(z: Any, y: Any) -> Array:
    """E_i = -ln p_y = ln(1 + Σ_{k ≠ y} e^(z_k - z_y))."""
    z, y = f64(z), np.asarray(y).astype(int)
    rows = np.arange(len(y))
    distance = z - z[rows, y][:, None]
    distance[rows, y] = -np.inf
    return f64(np.logaddexp(0.0, np.logaddexp.reduce(distance, axis=1)))


def class_loss(X: Any, y: Any, weights: Any, biases: Any, sample_weight: Any = None) -> float:
    return float(np.average(class_errors(class_score(X, weights, biases), y), weights=sample_weight))


def class_gradient(X: Any, y: Any, weights: Any, biases: Any, sample_weight: Any = None) -> Parameters:
    X, y = f64(X), np.asarray(y).astype(int)
    s = np.ones(len(y)) if sample_weight is None else f64(sample_weight)
    residual = s[:, None] * (softmax(class_score(X, weights, biases)) - np.eye(len(biases))[y])
    return Parameters(residual.T @ X / s.sum(), f64(residual.sum(axis=0) / s.sum()))


def lipschitz(X: Any, sample_weight: Any = None) -> float:
    """Largest curvature of E anywhere: λmax of [X 1]ᵀ S [X 1] / (4 Σ s), because σ' ≤ 1/4."""
    points = np.column_stack([f64(X), np.ones(len(X))])
    s = np.ones(len(X)) if sample_weight is None else f64(sample_weight)
    return float(np.linalg.eigvalsh(points.T @ (points * s[:, None]))[-1] / (4.0 * s.sum()))
