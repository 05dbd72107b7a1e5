"""The picture of the error over two weights: surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from gradstep import _formulas
from gradstep._arrays import Array, Features, real
from gradstep._descent import Descent
from gradstep._optimum import fit
from gradstep._options import number
from gradstep.plot import _canvas
from gradstep.plot._results import Model, Path, Plane, Table

ELEMENTS = 2**20
"""How many scores (rows × grid points) are computed at once."""

STEPS = 100
"""The largest number of Newton steps for the bias. Bisection alone would take about 60."""


def surface(
    X: Features,
    y: ArrayLike,
    *,
    descent: Descent | None = None,
    path: Path | None = None,
    l2: float = 0.0,
    columns: Sequence[int] = (0, 1),
    limits: Sequence[Sequence[float]] | None = None,
    grid_resolution: int = 60,
    names: Sequence[object] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Contours of the error as a function of two weights, with the best bias for each pair, and a descent's path.

    The star is the optimum, found by `gradstep.fit`; all other weights have their values there. If a hyperplane
    separates the labels, there is no optimum and no star.

    Parameters
    ----------
    X : features, shape (m, n)
    y : array_like, shape (m,)
        Labels in [0, 1], not all 0 and not all 1, since there would be no best bias.
    descent : Descent, optional
        Its path is drawn: the two weights after each epoch, from its trace; without a trace, only the last ones.
    path : (weights, biases), optional
        The weights, shape (p, n), and biases, shape (p,), after each of p epochs of `descent`, as a callback sees them.
    l2 : float, default 0.0
        Strength of the penalty (l2/2) ||w||², which is added to the error.
    columns : two int, default (0, 1)
        The columns whose weights are drawn.
    limits : ((float, float), (float, float)), optional
        Limits of the picture for each weight. By default they include zero, the path and the optimum, and are such that
        scores change as much along either weight.
    grid_resolution : int, default 60
        Number of grid points along either weight. Each grid point takes about as long as twenty evaluations of E.
    names : list of str, optional
        A name per column of `X`; by default those of a data frame.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        As `gradstep.fit` and `lines`.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 3.0], [1.0, 1.0]], [0, 0, 0, 1, 1]
    >>> ax = gradstep.plot.surface(X, y, l2=0.1)
    >>> best = gradstep.fit(X, y, l2=0.1)
    >>> bool((ax.lines[-1].get_xydata() == best.weights).all())
    True
    """
    table, labels, l2 = Table.of(X, names), real("y", y), number("l2", l2)
    best = fit(table.X, labels, l2=l2)
    if best.weights.ndim == 2:
        raise ValueError(f"y must be labels in [0, 1], got the codes of {len(best.weights)} classes")
    if not 0 < (share := labels.mean()) < 1:
        raise ValueError(f"y must not be all 0 or all 1, got only {share:g}")
    plane = Plane.of(table, columns)
    pair, others = list(plane.columns), best.weights.astype(np.float64)
    others[pair] = 0.0
    rest = _formulas.decision_function(table.X, others)
    walked = _walked(descent, path, table.X, labels)[:, pair]
    optimum = best.weights[None, pair] if best.separation is None else np.empty((0, 2))

    seen = np.concatenate([np.zeros((1, 2)), walked, optimum])
    (left, right), (bottom, top) = _around(seen, plane.points) if limits is None else _limits(limits)
    resolution = _canvas.resolution(grid_resolution)
    across, up = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    penalty = l2 / 2 * ((grid**2).sum(axis=1) + (others**2).sum())
    heights = (_errors(plane.points, labels, grid, rest) + penalty).reshape(resolution, resolution)
    if np.ptp(heights) <= 1e-12 * heights.max():
        raise ValueError(f"columns must be two whose weights change the error, got {plane.columns}, which do not")
    ax = _canvas.axes(ax)

    # Contours are closer to one another near the minimum, where a descent is slow.
    levels = heights.min() + np.ptp(heights) * np.linspace(0, 1, 16) ** 2
    filled = ax.contourf(across, up, heights, levels=levels, cmap="cividis", alpha=0.85)
    ax.contour(across, up, heights, levels=levels, colors="white", linewidths=0.4)
    ax.figure.colorbar(filled, ax=ax, label="objective (nats)" if l2 else _canvas.E_LABEL, format="%.3g")
    if len(walked):
        ax.plot(*walked.T, ".-", color=_canvas.COLOURS[1], linewidth=1.5, markersize=4, label="descent, by epoch")
    if len(optimum):
        ax.plot(*optimum.T, "*", color="white", markeredgecolor="black", markersize=14, label="optimum")
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel=f"weight of {plane.names[0]} (nats per unit)", ylabel=f"weight of {plane.names[1]} (nats per unit)")
    ax.set_title(f"{'Objective' if l2 else 'Error'}, with the best bias")
    if ax.lines:
        ax.legend(loc="best")
    return ax


def _around(weights: Array, points: Array) -> list[tuple[float, float]]:
    """Limits around pairs of weights, such that scores change as much along one weight as along the other."""
    weights = weights[np.isfinite(weights).all(axis=1)]
    spread = points.std(axis=0)
    spread[spread == 0] = 1.0
    low, high = weights.min(axis=0), weights.max(axis=0)
    half = (0.8 * float(((high - low) * spread).max()) or 1.0) / spread
    middle = (low + high) / 2
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


def _limits(limits: Any) -> list[tuple[float, float]]:
    try:
        first, second = limits
    except (TypeError, ValueError):
        raise TypeError(f"limits must be two pairs of real numbers, got {limits!r}") from None
    return [_canvas.interval("limits", first), _canvas.interval("limits", second)]


def _walked(descent: Descent | None, path: Path | None, X: Any, y: Array) -> Array:
    """The weights after each epoch of the descent, shape (p, n); shape (0, n) without a descent."""
    if descent is not None:
        model = Model.of("descent", descent).of_two_classes("descent")
        model.labels(X, y)
        return model.path(path)[0]
    if path is not None:
        raise ValueError("descent must be given together with path, got None")
    return np.empty((0, X.shape[1]))


def _errors(points: Array, y: Array, grid: Array, rest: Array) -> NDArray[np.float64]:
    """For each pair of weights in `grid`, the mean cross-entropy with the best bias.

    `rest` is the part of each row's score that comes from the other weights.
    """
    cells = max(1, ELEMENTS // len(points))
    parts = (grid[start : start + cells] for start in range(0, len(grid), cells))
    return np.concatenate(
        [_least(_formulas.decision_function(points, part) + rest[:, None], y[:, None]) for part in parts]
    )


def _least(scores: Array, y: Array) -> NDArray[np.float64]:
    """The mean cross-entropy with the best bias, for each column of scores, shape (m, cells).

    The best bias is the zero of the derivative Σ (σ(z + b) - y) / m, which increases with b; it is found by Newton's
    method. It lies between the log-odds of the mean label minus the largest score and minus the smallest score. The
    sign of each derivative narrows this bracket, and a Newton step out of it is replaced by its middle.
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
    z = scores + bias
    return np.asarray(-(y * _formulas.log_sigmoid(z) + (1 - y) * _formulas.log_sigmoid(-z)).mean(axis=0))
