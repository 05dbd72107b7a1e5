"""A picture of a path: path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from gradstep._options import kind
from gradstep._path import Path
from gradstep.plot import _canvas


def path(path: Path, *, names: Sequence[object] | None = None, ax: Axes | None = None) -> Axes:
    """The weights at each strength of a penalty, which becomes weaker from left to right: more columns get a weight.

    The columns that get a weight first have colours, and are named.

    Parameters
    ----------
    path : Path
        Of two classes, with two strengths or more.
    names : list of str, optional
        A name for each column; by default x_1, x_2, …
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the path is of three classes or more or has one strength, or `names` has another length.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0], [4.0, 0.0]], [0, 1, 0, 1, 1]
    >>> ax = gradstep.plot.path(gradstep.path(X, y), names=["dose", "sex"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['dose', 'sex']
    """
    if not isinstance(path, Path):
        raise TypeError(f"path must be a Path, got {kind(path)}")
    if path.bias.ndim == 2:
        raise ValueError(f"path must be of two classes, got {path.bias.shape[1]}")
    positive = path.strengths > 0  # a logarithmic axis has no 0
    if positive.sum() < 2:
        raise ValueError(f"path must have two strengths or more that are not 0, got {positive.sum()}")
    weights = path.weights if isinstance(path.weights, np.ndarray) else path.weights.toarray()
    n = weights.shape[1]
    shown = [f"$x_{{{j + 1}}}$" for j in range(n)] if names is None else _canvas.texts("names", names, n, "column")
    ax = _canvas.axes(ax)

    ax.axhline(0.0, color=_canvas.FAINT, linewidth=1)
    used = weights != 0
    entry = np.where(used.any(axis=0), used.argmax(axis=0), len(weights))
    order = [j for j in np.argsort(entry, kind="stable").tolist() if entry[j] < len(weights)]
    for place, j in enumerate(order):
        named = place < len(_canvas.COLOURS)
        style = _canvas.curve_style(place) if named else {"color": _canvas.FAINT, "linewidth": 0.8, "zorder": 1.5}
        label = shown[j] if named else None
        ax.plot(path.strengths[positive], weights[positive, j], label=label, **style)
    ax.set(xscale="log", xlabel="strength of the penalty", ylabel=_canvas.WEIGHT_LABEL)
    ax.set_xlim(path.strengths[0], path.strengths[positive][-1])
    ax.set_title("Weights by strength")
    if order:
        ax.legend(loc="best")
    return ax
