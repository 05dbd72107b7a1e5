"""The error as a function of two weights, mostly with the best bias for each pair of weights, for pictures of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradstep import _formulas
from gradstep._arrays import Array

ELEMENTS = 2**20
"""The largest number of scores that are computed at once: the number of rows times the number of points of the grid."""

STEPS = 100
"""The largest number of Newton steps. If every step only halved the bracket, about 60 steps would do."""


def around(weights: Array, points: Array) -> list[tuple[float, float]]:
    """The limits of a picture around pairs of weights: (low, high) of the first weight, and of the second.

    The width high - low of the first weight, times the standard deviation of the first column of `points`, is equal to
    this product for the second weight. So from low to high, both weights change the scores by the same amount. Pairs
    that are not finite are ignored.
    """
    weights = weights[np.isfinite(weights).all(axis=1)]
    spread = points.std(axis=0)
    spread[spread == 0] = 1.0
    low, high = weights.min(axis=0), weights.max(axis=0)
    half = (0.8 * float(((high - low) * spread).max()) or 1.0) / spread
    middle = (low + high) / 2
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


def errors(
    points: Array, y: Array, grid: Array, rest: Array, error: Callable[[Array, Array], Array]
) -> NDArray[np.float64]:
    """The error for each pair of weights in `grid`, by `error`, which is one of the functions below.

    `rest`, shape (m,), is what all other weights add to the score of each row.
    """
    cells = max(1, ELEMENTS // len(points))
    parts = (grid[start : start + cells] for start in range(0, len(grid), cells))
    return np.concatenate(
        [error(_formulas.decision_function(points, part) + rest[:, None], y[:, None]) for part in parts]
    )


def least_error(scores: Array, y: Array) -> NDArray[np.float64]:
    """The least mean cross-entropy over all biases, for each column of scores of shape (m, cells).

    Newton's method finds the zero of the derivative by the bias b, Σ (σ(z + b) - y) / m, which grows with b. With the
    log-odds o of the mean label, the zero is in the bracket from o - max z to o - min z. The sign of the derivative at
    each step shrinks the bracket. If a step leaves the bracket, it goes to the middle of the bracket instead.
    """
    share = y.mean()
    odds = np.log(share / (1 - share))
    low, high = odds - scores.max(axis=0), odds - scores.min(axis=0)
    bias = odds - scores.mean(axis=0)
    for _ in range(STEPS):
        slope = (_formulas.sigmoid(scores + bias) - y).mean(axis=0)
        low, high = np.where(slope < 0, bias, low), np.where(slope > 0, bias, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = bias - slope / _formulas.sigmoid_derivative(scores + bias).mean(axis=0)
        following = np.where((step >= low) & (step <= high), step, low + (high - low) / 2)
        moved = np.abs(following - bias) > 1e-9 * (1 + np.abs(bias))
        bias = following
        if not moved.any():
            break
    return mean_error(scores + bias, y)


def mean_error(z: Array, y: Array) -> NDArray[np.float64]:
    """The mean cross-entropy of each column of scores."""
    return np.asarray(-(y * _formulas.log_sigmoid(z) + (1 - y) * _formulas.log_sigmoid(-z)).mean(axis=0))


def least_misclassified(scores: Array, y: Array) -> NDArray[np.float64]:
    """The least fraction of rows on the wrong side of 0 over all biases, for each column of scores.

    With the rows sorted by score, a bias predicts 0 for the first of them and 1 for all others. Rows of equal scores
    have the same prediction.
    """
    order = np.argsort(scores, axis=0)
    ranked, labels = np.take_along_axis(scores, order, axis=0), y[order, 0]
    edge = np.zeros((1, scores.shape[1]))
    below = np.concatenate([edge, (labels != 0).cumsum(axis=0)])
    above = np.concatenate([edge, (labels != 1)[::-1].cumsum(axis=0)])[::-1]
    wrong = below + above
    wrong[1:-1][ranked[1:] == ranked[:-1]] = np.inf
    return np.asarray(wrong.min(axis=0) / len(scores))


def misclassified(scores: Array, y: Array) -> NDArray[np.float64]:
    """The fraction of rows on the wrong side of 0, for each column of scores."""
    return np.asarray(((scores >= 0) != y).mean(axis=0))
