"""Pictures of how good predictions are, and of weights: calibration, roc, coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gradstep import _formulas
from gradstep._arrays import Array, real
from gradstep._options import count, word
from gradstep.plot import _canvas

DIAGONAL = "diagonal"


def calibration(
    y: ArrayLike,
    y_hat: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: Literal["quantile", "uniform"] = "quantile",
    label: object = None,
    ax: Axes | None = None,
) -> Axes:
    """How often the label is 1 against the predicted probability; on the diagonal if predictions are calibrated.

    There is a point per bin of predictions, computed by scikit-learn's `calibration_curve`. Several curves can be drawn
    into the same Axes.

    Parameters
    ----------
    y : array_like, shape (m,)
        Labels 0 and 1.
    y_hat : array_like, shape (m,)
        Predicted probabilities of label 1.
    n_bins : int, default 10
        Number of bins.
    strategy : {"quantile", "uniform"}, default "quantile"
        Whether bins have equal numbers of rows, or equal widths.
    label : str, optional
        A name for the predictions.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without scikit-learn (extra ``sklearn``).
    TypeError
        If an argument is of another kind.
    ValueError
        If shapes do not fit, or values are out of range.

    Examples
    --------
    >>> ax = gradstep.plot.calibration([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9], n_bins=2)
    >>> ax.lines[-1].get_xydata()
    array([[0.2, 0.5],
           [0.9, 1. ]])
    """
    y, y_hat = _evaluated(y, y_hat)
    if word("strategy", strategy) not in ("quantile", "uniform"):
        raise ValueError(f"strategy must be 'quantile' or 'uniform', got '{strategy}'")
    curve = _scikit_learn("calibration").calibration_curve
    fractions, means = curve(y, y_hat, n_bins=count("n_bins", n_bins), strategy=strategy)
    ax = _square(ax)
    ax.plot(means, fractions, marker="o", markersize=5, **_next(ax, label))
    ax.set(xlabel="mean predicted probability of label 1", ylabel="fraction of rows with label 1", title="Calibration")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left")
    return ax


def roc(y: ArrayLike, y_hat: ArrayLike, *, label: object = None, ax: Axes | None = None) -> Axes:
    """The ROC curve: rates of true against false positives over all thresholds, with the area under the curve (AUC).

    Computed by scikit-learn's `roc_curve` and `auc`. Several curves can be drawn into the same Axes.

    Parameters
    ----------
    y : array_like, shape (m,)
        Labels 0 and 1, both of them.
    y_hat : array_like, shape (m,)
        Predicted probabilities of label 1.
    label : str, optional
        A name for the predictions.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without scikit-learn (extra ``sklearn``).
    TypeError
        If an argument is of another kind.
    ValueError
        If shapes do not fit, or values are out of range.

    Examples
    --------
    >>> ax = gradstep.plot.roc([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], label="model")
    >>> ax.lines[-1].get_label()
    'model (AUC = 0.75)'
    """
    y, y_hat = _evaluated(y, y_hat)
    if len(labels := np.unique(y)) < 2:
        raise ValueError(f"y must hold both labels, 0 and 1, got only {labels[0]:g}")
    metrics = _scikit_learn("metrics")
    false, true, _ = metrics.roc_curve(y, y_hat)
    area = f"AUC = {metrics.auc(false, true):.2f}"
    ax = _square(ax)
    ax.plot(false, true, **_next(ax, area if label is None else f"{label} ({area})"))
    ax.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    ax.legend(loc="lower right")
    return ax


def coefficients(
    names: Sequence[object], estimates: ArrayLike, intervals: ArrayLike | None = None, *, ax: Axes | None = None
) -> Axes:
    """The weights as points, one below the other, each with its interval as a line.

    Parameters
    ----------
    names : list of str
        A name per weight.
    estimates : array_like, shape (n,) or (K, n)
        The weights; of K classes a row per class.
    intervals : array_like, shape (n, 2), optional
        Lower and upper end of an interval for each weight, computed elsewhere; shape (K, n, 2) for K classes.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure, whose height depends on the number of weights.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If shapes do not fit, or an interval does not contain its weight.

    Examples
    --------
    >>> ax = gradstep.plot.coefficients(["age", "dose"], [0.5, -1.0], [[0.2, 0.8], [-1.5, -0.5]])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['age', 'dose']
    """
    values = real("estimates", estimates)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"estimates must have shape (n,) or (K, n), got shape {values.shape}")
    classes, n = np.atleast_2d(values).shape
    shown = _canvas.texts("names", names, n, "estimate")
    bounds = None if intervals is None else _bounds(values, real("intervals", intervals))
    labels = [f"class {code}" for code in range(classes)]
    return draw_weights(_canvas.axes(ax, weights_height(n, classes)), shown, values, labels, bounds)


def weights_height(n: int, classes: int) -> float:
    """The height, in inches, of a figure in which this many weights can be told apart."""
    return 1.2 + 0.3 * max(n, 3) * (1 + 0.3 * (classes - 1))


def draw_weights(
    ax: Axes, names: Sequence[str], values: Array, labels: Sequence[str], bounds: Array | None = None
) -> Axes:
    """Draws what `coefficients` draws, from checked arguments; `labels` are the names of the classes."""
    classes, n = np.atleast_2d(values).shape
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.axvline(0.0, color=_canvas.FAINT, linewidth=1)
    offsets = np.linspace(-0.25, 0.25, classes) if classes > 1 else np.zeros(1)
    for code, (row, offset) in enumerate(zip(np.atleast_2d(values), offsets, strict=True)):
        places = np.arange(n) + offset
        colour, marker = (each[code % len(each)] for each in (_canvas.COLOURS, _canvas.MARKERS))
        if bounds is not None:
            low, high = bounds.reshape(classes, n, 2)[code].T
            ax.hlines(places, low, high, colors=colour, linewidth=2)
        ax.plot(row, places, marker, color=colour, label=labels[code])
    ax.set_yticks(np.arange(n), names)
    ax.set(ylim=(n - 0.5, -0.5), xlabel=_canvas.WEIGHT_LABEL, title="Weights")
    if classes > 1:
        ax.legend(loc="best")
    return ax


def _evaluated(y: ArrayLike, y_hat: ArrayLike) -> tuple[Array, Array]:
    """Labels and probabilities, after checks of both."""
    y, y_hat = real("y", y), real("y_hat", y_hat)
    if y_hat.ndim == 2:
        raise ValueError(f"y_hat must be 1-dimensional, got shape {y_hat.shape}")
    _formulas.cross_entropy(y, y_hat)  # only for its checks of the arguments
    wrong = ~np.isin(y, (0, 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"y must hold labels 0 and 1, got {y[row]:g} at row {row}")
    wrong = np.isnan(y_hat)
    if wrong.any():
        raise ValueError(f"y_hat must be finite, got nan at row {int(wrong.argmax())}")
    return y, y_hat


def _bounds(values: Array, bounds: Array) -> Array:
    if bounds.shape != (*values.shape, 2):
        raise ValueError(f"intervals must have shape {(*values.shape, 2)}, got shape {bounds.shape}")
    out = (bounds[..., 0] > values) | (bounds[..., 1] < values)
    if out.any():
        place = np.argwhere(out)[0].tolist()
        low, high = bounds[tuple(place)]
        raise ValueError(
            f"intervals must hold their estimates, {values[tuple(place)]:g} at {place}, got {low:g} to {high:g}"
        )
    return bounds


def _scikit_learn(module: str) -> ModuleType:
    """A module of scikit-learn, which computes the curves; ImportError with advice if it is not installed."""
    try:
        import sklearn.calibration
        import sklearn.metrics
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("scipy", "sklearn"):
            raise
        needed = "calibration and roc need scikit-learn 1.6 or newer: pip install 'gradstep[plot,sklearn]'"
        raise ImportError(needed, name=error.name) from error
    found: ModuleType = getattr(sklearn, module)
    return found


def _square(ax: Axes | None) -> Axes:
    """Axes with limits from 0 to 1 and a diagonal, which is drawn only once."""
    ax = _canvas.axes(ax)
    if not any(line.get_gid() == DIAGONAL for line in ax.lines):
        ax.plot([0, 1], [0, 1], ":", color=_canvas.FAINT, linewidth=1, gid=DIAGONAL)
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return ax


def _next(ax: Axes, label: object) -> dict[str, Any]:
    """Style and label for the next curve in these Axes."""
    curves = sum(line.get_gid() != DIAGONAL for line in ax.lines)
    return {**_canvas.curve_style(curves), "label": None if label is None else _canvas.text(label)}
