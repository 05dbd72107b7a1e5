"""Pictures of formulas: sigmoid, gradient_sizes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gradstep import _formulas
from gradstep._arrays import real
from gradstep._options import number
from gradstep.plot import _canvas


def sigmoid(*, limits: tuple[float, float] = (-8.0, 8.0), ax: Axes | None = None) -> Axes:
    """The logistic function σ(z), and its slope σ′(z).

    Parameters
    ----------
    limits : (float, float), default (-8, 8)
        The smallest and the largest score z.
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
        If `limits` are not finite or not in order.

    Examples
    --------
    >>> ax = gradstep.plot.sigmoid()
    >>> [line.get_label() for line in ax.lines]
    ['σ(z)', 'σ′(z), per nat']
    """
    low, high = _canvas.interval("limits", limits)
    z = np.linspace(low, high, 401)
    ax = _canvas.axes(ax)
    ax.plot(z, _formulas.sigmoid(z), label="σ(z)", **_canvas.curve_style(0))
    ax.plot(z, _formulas.sigmoid_derivative(z), label="σ′(z), per nat", **_canvas.curve_style(1))
    ax.set(xlim=(low, high), ylim=(-0.02, 1.02), xlabel="score z (nats)", ylabel="probability", title="Sigmoid")
    ax.legend(loc="best")
    return ax


def gradient_sizes(
    X: ArrayLike, y: ArrayLike, weights: ArrayLike, bias: float = 0.0, *, ax: Axes | None = None
) -> Axes:
    """The size of each row's gradient, ‖∇E_i‖, against |y - ŷ|: it is |y - ŷ| times ‖(x, 1)‖.

    There is a point per row, computed by `gradient` and `predict_proba`. The two lines have as slopes the smallest and
    the largest ‖(x, 1)‖ of a row, so that all points are between them.

    Parameters
    ----------
    X : array_like, shape (m, n)
        Dense features.
    y : array_like, shape (m,)
    weights : array_like, shape (n,)
    bias : float, default 0.0
        Described in `gradstep`.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        As `gradstep.gradient_step`.

    Examples
    --------
    >>> ax = gradstep.plot.gradient_sizes([[3.0], [0.0]], [1, 0], [0.0])
    >>> ax.collections[0].get_offsets().data.round(3)
    array([[0.5  , 1.581],
           [0.5  , 0.5  ]])
    """
    X, y, weights = real("X", X), np.atleast_1d(real("y", y)), real("weights", weights)
    X = X[np.newaxis] if X.ndim == 1 else X
    bias = number("bias", bias)
    if weights.ndim == 2:
        raise ValueError(f"weights must be 1-dimensional, got shape {weights.shape}")
    _formulas.gradient_step(X, y, weights, bias, 1.0)  # only for its checks of the arguments
    distances = np.abs(y - _formulas.predict_proba(X, weights, bias))
    sizes = np.empty(len(X))
    for row in range(len(X)):
        slope = _formulas.gradient(X[row : row + 1], y[row : row + 1], weights, bias)
        sizes[row] = np.hypot(np.linalg.norm(slope.weights), slope.bias)
    norms = np.hypot(np.linalg.norm(X, axis=1), 1.0)
    ax = _canvas.axes(ax)

    drawn = ax.scatter(
        distances, sizes, c=norms, cmap="cividis", s=20, edgecolors="white", linewidths=0.4, zorder=2.5,
        rasterized=len(X) >= _canvas.MANY,
    )  # fmt: skip
    far = np.array([0.0, distances.max()])
    for name, norm, style in (("longest", norms.max(), "-"), ("shortest", norms.min(), "--")):
        ax.plot(far, norm * far, style, color=_canvas.STRONG, linewidth=1.2, label=f"{name} row, slope {norm:.3g}")
    ax.figure.colorbar(drawn, ax=ax, label="‖(x, 1)‖")
    ax.set(xlabel="distance |y − ŷ| of label and prediction", ylabel="size ‖∇E$_i$‖ of the row's gradient")
    ax.set_title("‖∇E$_i$‖ = |y − ŷ| ‖(x, 1)‖")
    ax.legend(loc="upper left")
    return ax
