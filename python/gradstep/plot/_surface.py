"""The picture of the error over two weights: surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gradstep import _formulas
from gradstep._arrays import Features, real
from gradstep._descent import Descent
from gradstep._optimum import fit
from gradstep._options import number
from gradstep._valley import around, errors, least_error
from gradstep.plot import _canvas
from gradstep.plot._results import Model, Plane, Table


def surface(
    X: Features,
    y: ArrayLike,
    *,
    descent: Descent | None = None,
    l2: float = 0.0,
    columns: Sequence[int] = (0, 1),
    limits: Sequence[Sequence[float]] | None = None,
    grid_resolution: int = 60,
    names: Sequence[object] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Contours of the error as a function of two weights, with the best bias for each pair, and a descent's path.

    The star is the optimum, found by `gradstep.fit`. All weights that are not drawn have their values at the optimum.
    If a hyperplane separates the labels, there is no optimum and no star.

    Parameters
    ----------
    X : features, shape (m, n)
    y : array_like, shape (m,)
        Labels in [0, 1], not all 0 and not all 1, since there would be no best bias.
    descent : Descent, optional
        Its path is drawn: the two weights after each epoch. If the path was not kept, only the last weights.
    l2 : float, default 0.0
        Strength of the penalty (l2/2) ||w||², which is added to the error.
    columns : two int, default (0, 1)
        The columns whose weights are drawn.
    limits : ((float, float), (float, float)), optional
        Limits of the picture for each weight. By default they include zero, the path and the optimum. Then both
        weights, each from its lower to its upper limit, change the scores by the same amount (standard deviation).
    grid_resolution : int, default 60
        Number of grid points along either weight. Each grid point takes about as long as twenty evaluations of E.
    names : list of str, optional
        A name per column of `X`; by default the names in a data frame.
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
    walked = np.empty((0, 2))
    if descent is not None:
        model = Model.of("descent", descent).of_two_classes("descent")
        model.labels(table.X, labels)
        walked = model.path.weights[:, pair]
    optimum = best.weights[None, pair] if best.separation is None else np.empty((0, 2))

    seen = np.concatenate([np.zeros((1, 2)), walked, optimum])
    (left, right), (bottom, top) = around(seen, plane.points) if limits is None else _limits(limits)
    resolution = _canvas.resolution(grid_resolution)
    across, up = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    penalty = l2 / 2 * ((grid**2).sum(axis=1) + (others**2).sum())
    heights = (errors(plane.points, labels, grid, rest, least_error) + penalty).reshape(resolution, resolution)
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


def _limits(limits: Any) -> list[tuple[float, float]]:
    try:
        first, second = limits
    except (TypeError, ValueError):
        raise TypeError(f"limits must be two pairs of real numbers, got {limits!r}") from None
    return [_canvas.interval("limits", first), _canvas.interval("limits", second)]
