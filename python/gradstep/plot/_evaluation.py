"""Pictures of how good predictions are, and of weights: calibration, roc, evaluation, coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from gradstep import _evaluation, _formulas
from gradstep._arrays import Array, real
from gradstep._options import count, kind, word
from gradstep.plot import _canvas

if TYPE_CHECKING:
    from gradstep._report import Report

DIAGONAL = "diagonal"
MOST_CURVES = 20


def calibration(
    y: ArrayLike,
    y_hat: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: Literal["quantile", "uniform"] = "quantile",
    sample_weight: ArrayLike | None = None,
    label: object = None,
    ax: Axes | None = None,
) -> Axes:
    """How often the label is 1 against the predicted probability; on the diagonal if predictions are calibrated.

    There is a point per bin of predictions that is not empty. Several curves can be drawn into the same Axes.

    Parameters
    ----------
    y : array_like, shape (m,)
        Labels 0 and 1.
    y_hat : array_like, shape (m,)
        Predicted probabilities of label 1.
    n_bins : int, default 10
        Number of bins.
    strategy : {"quantile", "uniform"}, default "quantile"
        "quantile": all bins have about the same weight of rows; "uniform": all bins have the same width. Equal
        predictions are in one bin.
    sample_weight : array_like, shape (m,), optional
        Weights of the rows.
    label : str, optional
        A name for the predictions.
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
        If shapes do not fit, or values are out of range.

    Examples
    --------
    >>> ax = gradstep.plot.calibration([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9], n_bins=2)
    >>> ax.lines[-1].get_xydata()
    array([[0.2, 0.5],
           [0.9, 1. ]])
    """
    y, y_hat, weight = _evaluated(y, y_hat, sample_weight)
    if word("strategy", strategy) not in ("quantile", "uniform"):
        raise ValueError(f"strategy must be 'quantile' or 'uniform', got '{strategy}'")
    found = _evaluation.calibration(y, y_hat, weight, count("n_bins", n_bins), strategy)
    return _draw_calibration(_square(ax), found, label, "label 1")


def _draw_calibration(ax: Axes, found: _evaluation.Calibration, label: object, of: str) -> Axes:
    ax.plot(found.predicted, found.observed, marker="o", markersize=5, **_next(ax, label))
    ax.set(xlabel=f"mean predicted probability of {of}", ylabel=f"fraction of rows with {of}", title="Calibration")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left")
    return ax


def roc(
    y: ArrayLike,
    y_hat: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    label: object = None,
    ax: Axes | None = None,
) -> Axes:
    """The ROC curve: rates of true against false positives over all thresholds, with the area under the curve (AUC).

    Several curves can be drawn into the same Axes.

    Parameters
    ----------
    y : array_like, shape (m,)
        Labels 0 and 1, both of them.
    y_hat : array_like, shape (m,)
        Predicted probabilities of label 1.
    sample_weight : array_like, shape (m,), optional
        Weights of the rows.
    label : str, optional
        A name for the predictions.
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
        If shapes do not fit, or values are out of range.

    Examples
    --------
    >>> ax = gradstep.plot.roc([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], label="model")
    >>> ax.lines[-1].get_label()
    'model (AUC = 0.75)'
    """
    y, y_hat, weight = _evaluated(y, y_hat, sample_weight)
    if len(labels := np.unique(y[weight > 0])) < 2:
        raise ValueError(f"y must hold both labels, 0 and 1, got only {labels[0]:g}")
    return _draw_roc(_roc_axes(ax), _evaluation.roc(y == 1, y_hat, weight), label)


def _roc_axes(ax: Axes | None) -> Axes:
    ax = _square(ax)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    return ax


def _draw_roc(ax: Axes, curve: _evaluation.Roc, label: object) -> Axes:
    area = f"AUC = {curve.area:.2f}"
    ax.plot(curve.false, curve.true, **_next(ax, area if label is None else f"{label} ({area})"))
    ax.legend(loc="lower right")
    return ax


def evaluation(report: Report, *, axes: Sequence[Axes] | None = None) -> NDArray[Any]:
    """The ROC curve and the calibration of a report, side by side.

    For K >= 3 classes there is an ROC curve for each class against the others, but at most 20 curves. The calibration
    is then that of the most probable class.

    Parameters
    ----------
    report : Report
        As `Model.report` makes it.
    axes : two matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ndarray of two matplotlib Axes

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the report is that of a perceptron, which has no probabilities.

    Notes
    -----
    Where the rows lack a class there is no ROC curve, and its Axes say so.

    Examples
    --------
    >>> table = {"hours": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], "passed": ["no", "no", "yes", "no", "yes", "yes"]}
    >>> axes = gradstep.plot.evaluation(gradstep.train(table).report(table))
    >>> axes[0].lines[-1].get_label()
    'yes (AUC = 0.89)'
    """
    from gradstep._report import Report

    if not isinstance(report, Report):
        raise TypeError(f"report must be a Report, got {kind(report)}")
    found = report.evaluation
    if found.calibration is None:
        raise ValueError("report must have probabilities to be drawn, got that of a perceptron")
    pair = _canvas.pair(axes, 5.2)
    _roc_axes(pair[0])
    if lacking := _evaluation.without_curve(found, report.model.classes):
        pair[0].text(0.5, 0.5, _canvas.text(lacking), ha="center", va="center", wrap=True, backgroundcolor="white")
    for value, curve in list(zip(report.curve_classes, found.roc, strict=True))[:MOST_CURVES]:
        _draw_roc(pair[0], curve, value)
    of = _canvas.text(report.model.classes[1]) if len(report.model.classes) == 2 else "the prediction"
    _draw_calibration(_square(pair[1]), found.calibration, None, of)
    return pair


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
    """Draws weights as `coefficients` does, from checked arguments; `labels` are the names of the classes."""
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


def _evaluated(y: ArrayLike, y_hat: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Labels, probabilities and weights, after checks of them."""
    y, y_hat = real("y", y), real("y_hat", y_hat)
    if y_hat.ndim == 2:
        raise ValueError(f"y_hat must be 1-dimensional, got shape {y_hat.shape}")
    _formulas.cross_entropy(y, y_hat, sample_weight=sample_weight)  # only for its checks of the arguments
    wrong = ~np.isin(y, (0, 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"y must hold labels 0 and 1, got {y[row]:g} at row {row}")
    wrong = np.isnan(y_hat)
    if wrong.any():
        raise ValueError(f"y_hat must be finite, got nan at row {int(wrong.argmax())}")
    weight = np.ones(len(y)) if sample_weight is None else real("sample_weight", sample_weight).astype(np.float64)
    return y, y_hat.astype(np.float64), weight


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
