"""How good predictions of known labels are: errors, the ROC curve, calibration, and which labels are confused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BINS = 10


class Calibration(NamedTuple):
    """Predicted probabilities in bins, and how often they come true. Shapes are (bins,), without empty bins.

    Attributes
    ----------
    weight : ndarray
        The weight of the rows in each bin; without sample weights their number.
    predicted, observed : ndarray
        For each bin the mean of the predicted probabilities, and the fraction of the rows, by weight, that are of the
        class whose probability was predicted.
    """

    weight: Array
    predicted: Array
    observed: Array


class Roc(NamedTuple):
    """The ROC curve: rates of false and true positives, from (0, 0) to (1, 1), and the area below it.

    Attributes
    ----------
    false, true : ndarray
        The rates, at every corner of the curve.
    area : float
        The chance that a row of label 1 gets a larger predicted probability than a row of label 0; ties count half.
    """

    false: Array
    true: Array
    area: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good predictions are on some rows. Every mean is by the weights of the rows.

    Attributes
    ----------
    rows : int
        The number of rows.
    weights : ndarray, shape (K,)
        For each class the weight of its rows; without sample weights their number.
    log_loss : float or None
        The mean of -ln p, with the probability p of the row's label, computed by `gradstep.loss`. For a
        perceptron, whose predictions are no probabilities, `log_loss`, `brier_score` and `auc` are None.
    brier_score : float or None
        For two classes the mean of (p - y)² (0 to 1); for K >= 3 the mean of the sum of (p - y)² over the classes (0 to
        2).
    auc : float or None
        The area under the ROC curve; for K >= 3 classes the mean of the areas of each class against the others. None if
        the rows lack a class.
    accuracy : float
        The fraction of the rows whose most probable class is their label.
    confusion : ndarray, shape (K, K)
        The weight of the rows of each class (row) that are predicted to be of each class (column).
    roc : tuple of Roc
        The curve; for K >= 3 classes that of each class against the others. Empty where `auc` is None.
    calibration : Calibration or None
        For two classes, the calibration of the probability of the second class; for K >= 3 classes, that of the
        probability of the most probable class.

    Notes
    -----
    Brier, 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2. The area is the statistic of Mann and Whitney:
    Hanley and McNeil, 1982, doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> table = {"hours": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], "passed": ["no", "no", "yes", "no", "yes", "yes"]}
    >>> evaluation = gradstep.train(table).report(table).evaluation
    >>> round(evaluation.auc, 3), evaluation.confusion.tolist()
    (0.889, [[2.0, 1.0], [1.0, 2.0]])
    """

    rows: int
    weights: Array
    log_loss: float | None
    brier_score: float | None
    auc: float | None
    accuracy: float
    confusion: Array
    roc: tuple[Roc, ...]
    calibration: Calibration | None


MOST_NAMED = 8
METRICS = ("log_loss", "brier_score", "auc", "accuracy")
"""The fields of an `Evaluation` that are one number."""


class Predicted(NamedTuple):
    """Labels, and what was predicted for them."""

    y: Array
    """Codes 0, …, K - 1."""
    probability: Array
    """The probability of label 1, shape (m,); for K >= 3 classes that of each class, shape (m, K)."""
    codes: NDArray[np.intp]
    """The code of the class that is predicted."""
    weight: Array | None
    log_loss: float | None
    """The mean cross-entropy; None for a perceptron, whose predictions are no probabilities."""


def evaluate(seen: Predicted, classes: int) -> Evaluation:
    """How good these predictions are."""
    y = seen.y.astype(np.intp)
    weight = np.ones(len(y)) if seen.weight is None else seen.weight
    confusion = _sums(y * classes + seen.codes, weight, classes**2).reshape(classes, classes)
    of_class = confusion.sum(axis=1)
    has_probability = seen.log_loss is not None
    curves: tuple[Roc, ...] = ()
    if has_probability and (of_class > 0).all():
        scored = [seen.probability] if classes == 2 else list(seen.probability.T)
        curves = tuple(roc(y == code, p, weight) for code, p in enumerate(scored, classes == 2))
    return Evaluation(
        rows=len(y),
        weights=of_class,
        log_loss=seen.log_loss,
        brier_score=_brier_score(y, seen.probability, weight) if has_probability else None,
        auc=float(np.mean([curve.area for curve in curves])) if curves else None,
        accuracy=float(np.trace(confusion) / confusion.sum()),
        confusion=confusion,
        roc=curves,
        calibration=_calibration(y, seen, weight) if has_probability else None,
    )


def without_curve(found: Evaluation, classes: Sequence[object]) -> str | None:
    """Words on why there is no ROC curve: the classes that have no row of positive weight. None if there is a curve, or
    if the predictions are those of a perceptron, which are no probabilities."""
    if found.roc or found.calibration is None:
        return None
    absent = [repr(value) for value, weight in zip(classes, found.weights, strict=True) if not weight]
    more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
    return f"no ROC curve and no AUC: no row that counts is of class {', '.join(absent[:MOST_NAMED])}{more}"


def _brier_score(y: NDArray[np.intp], probability: Array, weight: Array) -> float:
    if probability.ndim == 1:
        return float(np.average((probability - y) ** 2, weights=weight))
    labels = np.eye(probability.shape[1])[y]
    return float(np.average(((probability - labels) ** 2).sum(axis=1), weights=weight))


def _calibration(y: NDArray[np.intp], seen: Predicted, weight: Array) -> Calibration:
    if seen.probability.ndim == 1:
        return calibration(y == 1, seen.probability, weight)
    return calibration(y == seen.codes, seen.probability.max(axis=1), weight)


def roc(is_one: NDArray[np.bool_], p: Array, weight: Array) -> Roc:
    """The ROC curve of `p`, the predicted probabilities of label 1; both labels must have rows of positive weight."""
    _, place = np.unique(-p, return_inverse=True)
    sides = [_sums(place, weight * side) for side in (is_one, ~is_one)]
    ones, zeros = (side[sides[0] + sides[1] > 0] for side in sides)
    true, false = np.cumsum(ones), np.cumsum(zeros)
    # For each row of label 0, the rows of label 1 with a larger probability are counted, and half of the rows of label
    # 1 with an equal probability.
    area = min(float(zeros @ (true - ones / 2) / (true[-1] * false[-1])), 1.0)
    # Only corners are kept, where the slope changes: points on a straight line between two others are left out.
    turns = np.ones(len(true), bool)
    turns[:-1] = ones[:-1] * zeros[1:] != ones[1:] * zeros[:-1]
    true, false = (np.append(0.0, side[turns] / side[-1]) for side in (true, false))
    return Roc(false, true, area)


def calibration(
    is_one: NDArray[np.bool_], p: Array, weight: Array, bins: int = BINS, strategy: str = "quantile"
) -> Calibration:
    """The calibration in bins of equal weight ("quantile") or of equal width ("uniform").

    With "quantile", each distinct probability gets a place from 0 to 1: the fraction of the total weight in rows with
    smaller probabilities, plus half the fraction in rows with this probability. Bins are equal intervals of the places,
    so equal probabilities share a bin.
    """
    values, place = np.unique(p, return_inverse=True)
    if strategy == "quantile":
        own = _sums(place, weight)
        middle = (np.cumsum(own) - own / 2) / own.sum()
    else:
        middle = values
    of_row = np.minimum((bins * middle).astype(np.intp), bins - 1)[place]
    sums = [_sums(of_row, weight * each, bins) for each in (1.0, p, is_one)]
    total, predicted, observed = (each[sums[0] > 0] for each in sums)
    return Calibration(total, np.minimum(predicted / total, 1.0), np.minimum(observed / total, 1.0))


def _sums(place: NDArray[np.intp], values: Array, length: int = 0) -> Array:
    """The sum of the values at each place 0, 1, …; `place` has the place of each value."""
    sums: Any = np.bincount(place, weights=values, minlength=length)
    return np.asarray(sums, np.float64)


def joined(parts: Sequence[Predicted]) -> Predicted:
    """The predictions for several parts of the rows, joined into one `Predicted`."""
    weights = [len(part.y) if part.weight is None else float(part.weight.sum()) for part in parts]
    losses = [part.log_loss for part in parts if part.log_loss is not None]
    return Predicted(
        y=np.concatenate([part.y for part in parts]),
        probability=np.concatenate([part.probability for part in parts]),
        codes=np.concatenate([part.codes for part in parts]),
        weight=None if parts[0].weight is None else np.concatenate([part.weight for part in parts]),
        log_loss=float(np.average(losses, weights=weights)) if losses else None,
    )
