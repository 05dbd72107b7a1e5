"""What the results of `fit` and of `Trainer.fit` have in common: they predict, compare, and show themselves briefly."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep._arrays import Array, Features
from gradstep._formulas import decision_function, predict_proba

SHOWN = 8
"""Weights that a result shows of itself, at most."""


class StopReason(StrEnum):
    """Why a fit stopped. Each member equals its string.

    Examples
    --------
    >>> descent = gradstep.Trainer(epochs=3).fit([[0.0], [2.0]], [0, 1])
    >>> descent.stop_reason
    <StopReason.EPOCHS: 'epochs'>
    >>> descent.stop_reason == "epochs"
    True
    """

    EPOCHS = "epochs"
    """All epochs were run."""
    TOLERANCE = "tolerance"
    """What was asked for is reached: the gap is proved, or no component of the gradient is larger than `tol`."""
    CALLBACK = "callback"
    """The callback returned True."""
    DIVERGED = "diverged"
    """The loss or the weights were no longer finite."""
    PRECISION = "precision"
    """No step improves on the weights, as far as rounding lets see."""
    PASSES = "passes"
    """The passes over the data that were allowed are used up."""
    SEPARATED = "separated"
    """A hyperplane separates the labels: the loss has no minimum."""
    UNCERTIFIED = "uncertified"
    """The gradient is small and nothing speaks against the optimum, but it was not proved: that would take too long."""
    VALIDATION = "validation"
    """The error of validation data has stopped falling."""


class Result:
    """Base of the results that are dataclasses: they are equal if all their parts are."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Whether all parts are equal, NaN equalling NaN. How long it took is no part of a result."""
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)


class Fitted(Result):
    """Base of `Optimum` and `Descent`: weights and a bias, which predict."""

    __slots__ = ()

    weights: Array
    bias: Any

    def decision_function(self, X: Features, *, n_threads: int | None = None) -> Array:
        """The score of every row of `X`, or of the one that it is: `gradstep.decision_function`."""
        return decision_function(X, self.weights, self.bias, n_threads=n_threads)

    def predict_proba(self, X: Features, *, n_threads: int | None = None) -> Array:
        """The probability of label 1 for every row of `X`, or for the one that it is: `gradstep.predict_proba`."""
        return predict_proba(X, self.weights, self.bias, n_threads=n_threads)

    def predict(self, X: Features, *, n_threads: int | None = None) -> NDArray[np.intp]:
        """The more probable label of every row of `X`, shape (m,): 1 where the score is positive, else 0.

        Of one row, shape (n,), its label. With weights of K classes the code of the most probable class; of several
        that are, the first.
        """
        return codes_of(self.decision_function(X, n_threads=n_threads), by_class=self.weights.ndim == 2)

    def _facts(self) -> dict[str, str]:
        """What is shown below the first line, by name."""
        return {"weights": _numbers(self.weights), "bias": _numbers(np.asarray(self.bias))}

    def _headline(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(map(len, facts))
        lines = [f"  {name:{width}}  {fact}" for name, fact in facts.items()]
        return "\n".join([f"{type(self).__name__}: {self._headline()}", *lines])

    def _drawing(self) -> str:
        """What a notebook shows below the facts."""
        return ""

    def _repr_html_(self) -> str:
        from gradstep import _notebook

        return _notebook.table(type(self).__name__, self._headline(), self._facts(), self._drawing())


def codes_of(z: Any, *, by_class: bool, activation: str = "sigmoid") -> NDArray[np.intp]:
    """The labels that scores speak for: 1 where z > 0 (of a perceptron: z >= 0), else 0.

    With `by_class` there is a score for each class, along the last axis: the class of the largest; of several that are,
    the first.
    """
    if by_class:
        codes: NDArray[np.intp] = z.argmax(axis=-1)
        return codes
    return np.asarray(z >= 0 if activation == "step" else z > 0).astype(np.intp)[()]


def _numbers(array: Array) -> str:
    """The numbers of a vector in one line; of a larger array its shape."""
    if array.ndim > 1:
        return f"shape {array.shape}, {array.dtype}"
    if not array.ndim:
        return f"{array:.6g}"
    if len(array) <= SHOWN:
        return f"[{_listed(array)}]"
    return f"[{_listed(array[:3])}, …, {_listed(array[-3:])}], {len(array)} in all"


def _listed(array: Array) -> str:
    return ", ".join(f"{value:.6g}" for value in array.tolist())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if type(one) is not type(other) or one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.names:
            return all(_same(one[name], other[name]) for name in one.dtype.names if name != "seconds")
        return np.array_equal(one, other, equal_nan=True)
    if isinstance(one, tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other or (one != one and other != other))
