"""Prepare results and data for pictures: parameters, classes, the path of a descent, and the plane of two columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep import _formulas
from gradstep._arrays import Array, Features, matrix, real
from gradstep._descent import Descent, Parameters
from gradstep._fitted import codes_of
from gradstep._frames import column_names
from gradstep._optimum import Optimum
from gradstep._options import kind, two_columns
from gradstep.plot import _canvas

if TYPE_CHECKING:
    from gradstep._estimator import LogisticRegression

Result: TypeAlias = "Descent | Optimum | LogisticRegression"

MARGIN = 0.05
"""Margin on either side of a picture, as a fraction of the width of the data."""


def is_estimator(model: object) -> bool:
    """Whether this is a `LogisticRegression`, found without importing its module."""
    module = sys.modules.get("gradstep._estimator")
    return module is not None and isinstance(model, module.LogisticRegression)


class Model(NamedTuple):
    """The parts of a result that pictures need: parameters, names of classes if there are any, parameters by epoch."""

    weights: Array
    bias: Any
    classes: Array | None
    activation: str
    path: Parameters
    """The parameters after each epoch of a descent that has kept its path; else only those at the end."""

    @classmethod
    def of(cls, argument: str, result: Any) -> Model:
        if isinstance(result, Descent):
            path = result.path if result.n_epochs else None
            return cls(result.weights, result.bias, None, result.activation, path or _end(result))
        if isinstance(result, Optimum):
            return cls(result.weights, result.bias, None, "sigmoid", _end(result))
        if not is_estimator(result):
            raise TypeError(
                f"{argument} must be a Descent, an Optimum or a fitted LogisticRegression, got {kind(result)}"
            )
        if not hasattr(result, "coef_"):
            raise ValueError(f"{argument} must be fitted, got a LogisticRegression before its fit")
        weights, bias = result.coef_, result.intercept_
        if len(result.classes_) == 2:
            weights, bias = weights[0], float(bias[0])
        return cls(weights, bias, result.classes_, "sigmoid", Parameters(weights[None], np.array([bias])))

    def of_two_classes(self, argument: str) -> Model:
        if self.weights.ndim == 2:
            raise ValueError(f"{argument} must be of two classes, got {len(self.weights)}: regions draws them")
        return self

    def codes(self, X: Features) -> NDArray[np.intp]:
        """The code of the most probable class of every row; for a perceptron, 1 if the score is at least 0, else 0."""
        z = _formulas.decision_function(X, self.weights, self.bias)
        return codes_of(z, by_class=z.ndim == 2, activation=self.activation)

    def labels(self, X: Features, y: Any) -> tuple[NDArray[np.intp], list[str]]:
        """The code of each row's label, and a name for each code."""
        if self.classes is not None:
            given = np.asarray(y)
            if given.ndim == 1 and (unknown := np.setdiff1d(given, self.classes)).size:
                raise ValueError(f"y must be of the classes {self.classes.tolist()}, got also {unknown.tolist()}")
            y = np.searchsorted(self.classes, given)
        # Computed only for its checks: it raises an error if X, y, weights and bias do not fit together.
        _formulas.loss(X, y, self.weights, self.bias)
        if self.classes is not None:
            return y, [_canvas.text(name) for name in self.classes]
        y = real("y", y)
        if self.weights.ndim == 2:
            return y.astype(np.intp), [f"class {code}" for code in range(len(self.weights))]
        if np.isin(y, (0, 1)).all():
            return y.astype(np.intp), ["label 0", "label 1"]
        return (y >= 0.5).astype(np.intp), ["label below 0.5", "label of 0.5 and above"]


def _end(result: Descent | Optimum) -> Parameters:
    """The parameters at the end, as a path of one epoch."""
    return Parameters(result.weights[None], np.array([result.bias]))


class Table(NamedTuple):
    """The features (an array of real numbers, CSR or CSC) and the names of their columns, for matplotlib."""

    X: Any
    names: list[str]

    @classmethod
    def of(cls, X: Any, names: Sequence[object] | None) -> Table:
        """`X` with `names` for its columns; by default the names of a data frame, else x_1, x_2, …"""
        values = matrix(X)
        if len(values.shape) != 2:
            raise ValueError(f"X must be 2-dimensional, got shape {values.shape}")
        n = values.shape[1]
        if names is None:
            names = column_names(X)
        if names is None:
            return cls(values, [f"$x_{{{j + 1}}}$" for j in range(n)])
        return cls(values, _canvas.texts("names", names, n, "column of X"))


class Plane(NamedTuple):
    """The plane of two columns of a table, with all other columns at their means."""

    points: Array
    columns: tuple[int, int]
    others: Array
    """The means of all columns, but 0 in the two columns of the plane; shape (1, n)."""
    names: tuple[str, str]

    @classmethod
    def of(cls, table: Table, columns: Sequence[int]) -> Plane:
        X, n = table.X, table.X.shape[1]
        if n < 2:
            raise ValueError(f"X must have at least two columns, got {n}")
        i, j = two_columns(columns, n)
        points = X[:, [i, j]]
        points = np.asarray(points if isinstance(points, np.ndarray) else points.toarray(), np.float64)
        with np.errstate(all="ignore"):
            others = np.asarray(X.mean(axis=0), np.float64).reshape(1, n)
        wrong = ~np.isfinite(others[0])
        if wrong.any():
            raise ValueError(f"X must be finite, got nan or an infinity in column {int(wrong.argmax())}")
        others[0, [i, j]] = 0.0
        return cls(points, (i, j), others, (table.names[i], table.names[j]))

    def cut(self, weights: Array, bias: Any) -> tuple[Array, Any]:
        """Weights of the two columns, and a bias that includes the other columns' part of the scores."""
        weights = np.asarray(weights, np.float64)
        return weights[..., list(self.columns)], _formulas.decision_function(self.others, weights, bias)[0]

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The limits of the picture along the first and the second column."""
        first, second = map(_span, self.points.T)
        return first, second


def _span(values: Array) -> tuple[float, float]:
    """The least and the largest value, extended by a margin on either side; never an empty interval."""
    low, high = float(values.min()), float(values.max())
    wider = MARGIN * (high - low) or 0.5
    return low - wider, high + wider
