"""Pictures of how the error falls: loss, learning_rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from gradstep._arrays import Features
from gradstep._descent import Descent, Trainer
from gradstep._fitted import StopReason
from gradstep._optimum import Optimum
from gradstep._options import flag, kind, number
from gradstep.plot import _canvas
from gradstep.plot._results import Result, is_estimator

HUNDRED_EPOCHS = Trainer()
FEW = 41
"""If a curve has at most this many values, each value is marked with a dot: 40 epochs and the start."""


class Curve(NamedTuple):
    """A falling curve: step numbers and values, and the names of both for the axes."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    step: str
    value: str

    @classmethod
    def of(cls, argument: str, result: Any) -> Curve:
        if isinstance(result, Descent):
            errors = np.append(result.start_loss, result.history)
            step = result.activation == "step"
            name = "misclassified rows (fraction)" if step else _canvas.E_LABEL
            return cls(np.arange(len(errors)), errors, "epoch", name)
        history = result.history if isinstance(result, Optimum) else getattr(result, "history_", None)
        if not (isinstance(result, Optimum) or is_estimator(result)) or history is None:
            raise TypeError(
                f"{argument} must be a Descent, an Optimum or a LogisticRegression after its fit, got {kind(result)}"
            )
        # The first iterations of a large fit use samples of the rows, whose objective is not comparable.
        whole = history["rows"] == history["rows"].max(initial=0)
        return cls(np.flatnonzero(whole) + 1, history["objective"][whole], "iteration", "objective (nats)")


def loss(*results: Result, labels: Sequence[object] | None = None, log: bool = False, ax: Axes | None = None) -> Axes:
    """How the error falls: E at the start and after each epoch of descents, or the objective after iterations of fits.

    Parameters
    ----------
    *results : Descent, or Optimum or fitted LogisticRegression
        One or more results with the same kind of error. For a perceptron, the fraction of misclassified rows is drawn;
        for a fit, only the iterations over all rows.
    labels : list of str, optional
        A name for each result.
    log : bool, default False
        Whether the axis of the error is logarithmic.
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
        If there are no results, or their errors cannot be compared, or `labels` has another length.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> slow, fast = (gradstep.Trainer(rate, epochs=3).fit(X, y) for rate in (0.1, 1.0))
    >>> ax = gradstep.plot.loss(slow, fast, labels=["α = 0.1", "α = 1"])
    >>> ax.lines[1].get_ydata().round(3)
    array([0.693, 0.545, 0.506, 0.471])
    """
    curves = [Curve.of("results", result) for result in results]
    if not curves:
        raise ValueError("results must be at least one Descent or Optimum, got none")
    kinds = sorted({curve.value for curve in curves})
    if len(kinds) > 1:
        raise ValueError(f"results must have one kind of error, got {' and '.join(kinds)}")
    numbers = range(1, len(curves) + 1)
    names = _canvas.texts("labels", numbers if labels is None else labels, len(curves), "result")
    log = flag("log", log)
    ax = _canvas.axes(ax)

    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        marker = "." if len(curve.steps) <= FEW else None
        ax.plot(curve.steps, curve.values, marker=marker, label=name, **_canvas.curve_style(place))
    ax.set(xlabel=curves[0].step, ylabel=curves[0].value, yscale="log" if log else "linear")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_title(f"{'Error' if curves[0].step == 'epoch' else 'Objective'} by {curves[0].step}")
    if labels is not None or len(curves) > 1:
        ax.legend(loc="best")
    return ax


def learning_rates(
    X: Features,
    y: ArrayLike,
    rates: Iterable[float | str],
    *,
    trainer: Trainer = HUNDRED_EPOCHS,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The mean cross-entropy E at the start and after each epoch of gradient descent, for several learning rates α.

    Parameters
    ----------
    X : features, shape (m, n)
    y : array_like, shape (m,)
    rates : iterable of float or "auto"
        The learning rates.
    trainer : Trainer, default Trainer()
        The options of all descents, except `learning_rate`.
    log : bool, default False
        Whether the axis of the error is logarithmic.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        As `Trainer` and `Trainer.fit`; and if `rates` is empty.

    Examples
    --------
    >>> ax = gradstep.plot.learning_rates([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], [0.1, 1, "auto"])
    >>> [line.get_label() for line in ax.lines]
    ['α = 0.1', 'α = 1', 'α = auto']
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a Trainer, got {kind(trainer)}")
    if isinstance(rates, str) or not isinstance(rates, Iterable):
        raise TypeError(f"rates must be a list of learning rates, got {kind(rates)}")
    descents, labels = [], []
    for rate in rates:
        alpha: Any = rate if isinstance(rate, str) else number("rates", rate)
        descents.append(replace(trainer, learning_rate=alpha).fit(X, y))
        diverged = ", diverged" * (descents[-1].stop_reason == StopReason.DIVERGED)
        labels.append(f"α = {alpha if isinstance(alpha, str) else format(alpha, 'g')}{diverged}")
    if not descents:
        raise ValueError("rates must hold at least one learning rate, got none")
    ax = loss(*descents, labels=labels, log=log, ax=ax)
    ax.set_title("Error by learning rate")
    return ax
