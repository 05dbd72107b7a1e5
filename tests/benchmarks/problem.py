"""Random problems; their loss and gradient by NumPy and by scikit-learn; and the memory's speed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Problem(NamedTuple):
    X: Array
    y: Array
    weights: Array
    bias: float


def random_problem(m: int, n: int, dtype: Any = np.float64) -> Problem:
    """Standard normal features and labels of a model whose predictors have a standard deviation of 2."""
    random = np.random.default_rng(7)
    X = np.empty((m, n), dtype)
    weights = random.standard_normal(n)
    weights *= 2 / np.linalg.norm(weights)
    y = np.empty(m, dtype)
    for first in range(0, m, 1 << 16):  # piece by piece: no second X in memory
        rows = slice(first, min(first + (1 << 16), m))
        piece = random.standard_normal((rows.stop - first, n))
        X[rows] = piece
        y[rows] = random.random(rows.stop - first) < 1 / (1 + np.exp(0.5 - piece @ weights))
    return Problem(X, y, weights.astype(dtype), -0.5)


def formulas(problem: Problem) -> tuple[Any, Any, Any]:
    """Loss and gradient in NumPy, in the fewest operations."""
    X, y, weights, bias = problem
    z = X @ weights + bias
    residual = 1 / (1 + np.exp(-z)) - y
    return np.mean(np.logaddexp(0, z) - y * z), X.T @ residual / len(y), residual.mean()


def scikit_learn(problem: Problem, n_threads: int) -> Callable[[], object]:
    """The loss and gradient that scikit-learn's LogisticRegression minimises."""
    from sklearn._loss.loss import HalfBinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    X, y, weights, bias = problem
    model = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)
    coef = np.append(weights, X.dtype.type(bias))
    return lambda: model.loss_gradient(coef, X, y, n_threads=n_threads)


class Reader:
    """Reads an array once, in two threads, and only adds its numbers: this is the memory's speed."""

    def __init__(self, array: Array) -> None:
        flat = array.reshape(-1, order="A")  # a view, in the order that it lies in memory
        middle = len(flat) // 2
        self.halves = (flat[:middle], flat[middle:])
        self.pool = ThreadPoolExecutor(2)

    def __call__(self) -> float:
        return float(sum(self.pool.map(np.add.reduce, self.halves)))
