"""Pictures of rows by two of their columns: lines, regions, perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import ArrayLike, NDArray

from gradstep import _formulas
from gradstep._arrays import Array, Features
from gradstep._descent import Trainer
from gradstep._options import count, kind
from gradstep.plot import _canvas
from gradstep.plot._results import Model, Plane, Result, Table

POINT_BY_POINT = Trainer(0.1, 20, batch_size=1)


def lines(
    descent: Result,
    X: Features,
    y: ArrayLike,
    *,
    columns: Sequence[int] = (0, 1),
    n_lines: int = 5,
    names: Sequence[object] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The rows by two columns, and the lines W·x + b = 0 between the labels after some epochs; the last one is bold.

    Parameters
    ----------
    descent : Descent, Optimum or fitted LogisticRegression
        Of two classes. If it has kept its path, lines of its epochs are drawn; else only the last line.
    X : features, shape (m, n)
    y : array_like, shape (m,)
        The rows to draw, with labels as the result was fitted to.
    columns : two int, default (0, 1)
        The columns to draw. All others stay at their means.
    n_lines : int, default 5
        The largest number of lines before the last one. The first line is that of epoch 1. From each line to the next,
        the number of the epoch grows by about the same factor.
    names : list of str, optional
        A name per column of `X`; by default the names in a data frame.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `X` has a single column, shapes do not fit, or values are out of range.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
    >>> descent = gradstep.Trainer(0.5, epochs=3, batch_size=1).fit(X, y)
    >>> ax = gradstep.plot.lines(descent, X, y)
    >>> [line.get_label() for line in ax.lines]
    ['epoch 1', 'epoch 2', 'epoch 3']
    """
    model = Model.of("descent", descent).of_two_classes("descent")
    table = Table.of(X, names)
    codes, labels = model.labels(table.X, y)
    plane = Plane.of(table, columns)
    weights, biases = model.path
    shown = _spread(len(weights), count("n_lines", n_lines))
    ax = _canvas.axes(ax)

    _canvas.scatter(ax, plane.points, codes, labels)
    greys = np.linspace(0.75, 0.35, max(len(shown), 1))
    for epoch, grey in zip(shown, greys, strict=False):
        cut = plane.cut(weights[epoch - 1], biases[epoch - 1])
        _line(ax, plane, *cut, label=f"epoch {epoch}", color=str(grey), linewidth=1.2)
    last = f"epoch {len(weights)}" if len(weights) > 1 else "W·x + b = 0"
    _line(ax, plane, *plane.cut(model.weights, model.bias), label=last, color=_canvas.STRONG, linewidth=2.5, zorder=3)
    return _dress(ax, plane, "Decision line" + "s" * (len(shown) > 0))


def regions(
    model: Result,
    X: Features,
    y: ArrayLike,
    *,
    columns: Sequence[int] = (0, 1),
    grid_resolution: int = 300,
    names: Sequence[object] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The rows by two columns, and the most probable class at every place between them as background colour.

    Parameters
    ----------
    model : Descent, Optimum or fitted LogisticRegression
        A result for two or more classes.
    X : features, shape (m, n)
    y : array_like, shape (m,)
        The rows to draw, with labels as the model was fitted to.
    columns : two int, default (0, 1)
        The columns to draw. All others are set to their means.
    grid_resolution : int, default 300
        Number of grid points along either column.
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
        As `lines`.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 1, 2, 2]
    >>> ax = gradstep.plot.regions(gradstep.fit(X, y, l2=0.1), X, y)
    >>> [points.get_label() for points in ax.collections[1:]]
    ['class 0', 'class 1', 'class 2']
    """
    whole = Model.of("model", model)
    table = Table.of(X, names)
    codes, labels = whole.labels(table.X, y)
    plane = Plane.of(table, columns)
    weights, bias = plane.cut(whole.weights, whole.bias)
    across, up = (np.linspace(*limits, _canvas.resolution(grid_resolution)) for limits in plane.limits)
    places = np.stack(np.meshgrid(across, up), axis=-1)
    inside = whole._replace(weights=weights, bias=bias).codes(places.reshape(-1, 2)).reshape(places.shape[:2])
    ax = _canvas.axes(ax)

    colours = ListedColormap([_canvas.COLOURS[code % len(_canvas.COLOURS)] for code in range(len(labels))])
    ax.pcolormesh(across, up, inside, cmap=colours, vmin=-0.5, vmax=len(labels) - 0.5, alpha=0.25, rasterized=True)
    _canvas.scatter(ax, plane.points, codes, labels)
    return _dress(ax, plane, "Most probable class")


def perceptron(
    X: Features,
    y: ArrayLike,
    *,
    trainer: Trainer = POINT_BY_POINT,
    columns: Sequence[int] = (0, 1),
    names: Sequence[object] | None = None,
    axes: Sequence[Axes] | None = None,
) -> NDArray[Any]:
    """Two descents with the same options side by side: with the sigmoid, and with the perceptron's step.

    Parameters
    ----------
    X : features, shape (m, n)
    y : array_like, shape (m,)
    trainer : Trainer, default Trainer(0.1, 20, batch_size=1)
        The options of both descents, except `activation`.
    columns : two int, default (0, 1)
        The columns to draw. All others are set to their means.
    names : list of str, optional
        A name per column of `X`; by default the names in a data frame.
    axes : two matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ndarray of two matplotlib Axes
        The Axes of the sigmoid and the Axes of the step.

    Raises
    ------
    TypeError, ValueError
        As `Trainer.fit` and `lines`.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
    >>> axes = gradstep.plot.perceptron(X, y)
    >>> [ax.get_title() for ax in axes]
    ['Sigmoid: 0 of 4 rows wrong', 'Step: 0 of 4 rows wrong']
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a Trainer, got {kind(trainer)}")
    table = Table.of(X, names)
    Plane.of(table, columns)
    _formulas.loss(table.X, y, np.zeros(table.X.shape[1]))  # only for its check of the labels: there are two classes
    descents = [replace(trainer, activation=word).fit(table.X, y) for word in ("sigmoid", "step")]
    found = _canvas.pair(axes)
    for ax, descent in zip(found, descents, strict=True):
        lines(descent, X, y, columns=columns, names=names, ax=ax)
        wrong = descent.predict(table.X) != (np.asarray(y) >= 0.5)
        ax.set_title(f"{descent.activation.capitalize()}: {wrong.sum()} of {len(wrong)} rows wrong")
    return found


def _spread(epochs: int, most: int) -> list[int]:
    """At most `most` numbers of epochs before the last one, from 1 on, spaced geometrically."""
    return sorted({round(epoch) for epoch in np.geomspace(1, epochs, most + 1).tolist()} - {epochs})


def _line(ax: Axes, plane: Plane, weights: Array, bias: float, **style: Any) -> None:
    """Draw the line W·x + b = 0 across the picture; nothing if the weights are 0."""
    (left, right), (bottom, top) = plane.limits
    first, second = weights.tolist()
    with np.errstate(all="ignore"):
        if abs(second) * (top - bottom) >= abs(first) * (right - left):
            across = np.array([left, right])
            up = -(first * across + bias) / second
        else:
            up = np.array([bottom, top])
            across = -(second * up + bias) / first
    if np.isfinite([across, up]).all():
        ax.plot(across, up, **style)


def _dress(ax: Axes, plane: Plane, title: str) -> Axes:
    across, up = plane.limits
    ax.set(xlim=across, ylim=up, xlabel=plane.names[0], ylabel=plane.names[1], title=title)
    legend = ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))  # outside, so that it hides no points
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    return ax
