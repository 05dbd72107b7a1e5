"""training: how the error fell, and the result, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from gradstep._arrays import Features
from gradstep.plot import _canvas
from gradstep.plot._columns import lines, regions
from gradstep.plot._evaluation import draw_weights, weights_height
from gradstep.plot._history import Curve, loss
from gradstep.plot._results import Model, Result, Table

MOST = 20
"""The largest number of weights that are drawn."""


def training(
    result: Result,
    X: Features,
    y: ArrayLike,
    names: Sequence[object] | None = None,
    *,
    axes: Sequence[Axes] | None = None,
) -> NDArray[Any]:
    """A fit at a glance: on the left how the error fell (`loss`), on the right the result.

    For two columns the result is drawn as `lines`, or as `regions` if there are three or more classes. Otherwise the
    weights are drawn as `coefficients`; of more than 20, the 20 that are largest in magnitude.

    Parameters
    ----------
    result : Descent, Optimum or fitted LogisticRegression
    X : features, shape (m, n)
    y : array_like, shape (m,)
        The data to which it was fitted.
    names : list of str, optional
        A name per column of `X`; by default the names in a data frame.
    axes : two matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ndarray of two matplotlib Axes

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes do not fit, or values are out of range.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
    >>> axes = gradstep.plot.training(gradstep.fit(X, y), X, y, ["dose"])
    >>> [ax.get_title() for ax in axes]
    ['Objective by iteration', 'Weights']
    """
    model, table = Model.of("result", result), Table.of(X, names)
    _, labels = model.labels(table.X, y)
    Curve.of("result", result)
    n = table.X.shape[1]
    if n == 2:
        found = _canvas.pair(axes)
        loss(result, ax=found[0])
        (lines if model.weights.ndim == 1 else regions)(result, X, y, names=names, ax=found[1])
        return found
    weights = np.atleast_2d(model.weights)
    largest = np.sort(np.argsort(-np.abs(weights).max(axis=0), kind="stable")[:MOST])
    found = _canvas.pair(axes, np.clip(weights_height(len(largest), len(weights)), 4.2, 7.0))
    loss(result, ax=found[0])
    draw_weights(found[1], [table.names[column] for column in largest], model.weights[..., largest], labels)
    if n > MOST:
        found[1].set_title(f"The {MOST} largest of {n} weights")
    return found
