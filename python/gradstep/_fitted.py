"""Base classes of the results of `fit` and `Trainer.fit`: predictions, comparison and short printing; StopReason."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep._arrays import Array, Features, real, shape_text
from gradstep._formulas import decision_function, predict_proba, sigmoid, softmax
from gradstep._frames import feature_names

SHOWN = 8
"""The largest number of weights that are printed in full."""


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
    """The goal is reached: the gap is proved to be small, or no component of the gradient is larger than `tol`."""
    CALLBACK = "callback"
    """The callback returned True."""
    DIVERGED = "diverged"
    """The loss or the weights were no longer finite."""
    PRECISION = "precision"
    """Rounding errors prevent any further improvement of the weights."""
    PASSES = "passes"
    """The allowed number of passes over the data is used up."""
    ITERATIONS = "iterations"
    """The allowed number of iterations is used up."""
    SEPARATED = "separated"
    """A hyperplane separates the labels: the loss has no minimum."""
    UNCERTIFIED = "uncertified"
    """The gradient is small enough, but the optimum was not proved, because that would take too long."""
    STRENGTHS = "strengths"
    """All strengths of a path were fitted."""
    DEVIANCE = "deviance"
    """The deviance explained no longer changes along a path."""
    VALIDATION = "validation"
    """The error of validation data has stopped falling."""


class Result:
    """Base class of results: dataclasses that are equal if all their fields are equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, with NaN equal to NaN. Times in seconds are ignored."""
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)


class Fitted(Result):
    """Base class of `Optimum` and `Descent`: weights and a bias, and predictions from them."""

    __slots__ = ()

    weights: Array
    bias: Any
    feature_names: tuple[str, ...] | None

    def decision_function(self, X: Features, *, offset: ArrayLike | None = None, n_threads: int | None = None) -> Array:
        """The score of every row of `X`, or of `X` if it is one row, plus offset: see `gradstep.decision_function`."""
        self._check_names(X)
        z = decision_function(X, self.weights, self.bias, n_threads=n_threads)
        return z if offset is None else shifted(z, offset)

    def predict_proba(self, X: Features, *, offset: ArrayLike | None = None, n_threads: int | None = None) -> Array:
        """The probability of label 1 for every row, or for `X` if it is one row: see `gradstep.predict_proba`.

        With an `offset` for each row, shape (m,), the probability is σ of the score plus the offset. With offsets of
        shape (m, K), the probabilities of K classes are the softmax of the scores plus the offsets.
        """
        if offset is None:
            self._check_names(X)
            return predict_proba(X, self.weights, self.bias, n_threads=n_threads)
        z = self.decision_function(X, offset=offset, n_threads=n_threads)
        return softmax(z) if self.weights.ndim == 2 else sigmoid(z)

    def predict(
        self, X: Features, *, offset: ArrayLike | None = None, n_threads: int | None = None
    ) -> NDArray[np.intp]:
        """The more probable label of every row of `X`, shape (m,): 1 if the score is positive, else 0.

        For one row, shape (n,), a scalar. With weights of K classes, the code of the most probable class; if several
        are equally probable, the first.
        """
        z = self.decision_function(X, offset=offset, n_threads=n_threads)
        return codes_of(z, by_class=self.weights.ndim == 2)

    def _check_names(self, X: Features) -> None:
        """Raise a ValueError if `X` is a frame with other columns than the frame of the fit, or in another order."""
        if self.feature_names is None or (names := feature_names(X)) is None or names == self.feature_names:
            return
        places = (j for j, pair in enumerate(zip_longest(self.feature_names, names)) if pair[0] != pair[1])
        j = next(places)
        expected, got = (repr(each[j]) if j < len(each) else "none" for each in (self.feature_names, names))
        raise ValueError(
            f"X must have the columns of the fit in their order: column {j} is {expected} there, got {got}"
        )

    def _facts(self) -> dict[str, str]:
        """Names and values that the printed result shows below its first line."""
        return {"weights": _numbers(self.weights), "bias": _numbers(np.asarray(self.bias))}

    def _headline(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(map(len, facts))
        lines = [f"  {name:{width}}  {fact}" for name, fact in facts.items()]
        return "\n".join([f"{type(self).__name__}: {self._headline()}", *lines])

    def _drawing(self) -> str:
        """HTML that a notebook shows below the facts."""
        return ""

    def _repr_html_(self) -> str:
        from gradstep import _notebook

        return _notebook.table(type(self).__name__, self._headline(), self._facts(), self._drawing())


def shifted(z: Array, offset: Any) -> Array:
    """Scores plus their offsets, one for each score, in the dtype of the scores."""
    found: Array = z + finite_offsets(offset, z.shape).astype(z.dtype)
    return found


def finite_offsets(offset: Any, shape: tuple[int, ...]) -> Array:
    """Offsets for scores of this shape: (m,), or (m, K) for K > 2 classes."""
    offsets = real("offset", offset)
    if offsets.shape != shape:
        expected, got = shape_text(shape), shape_text(offsets.shape)
        each = "row of X and class" if len(shape) == 2 else "row of X"
        raise ValueError(f"offset must have shape {expected} (one per {each}), got shape {got}")
    wrong = ~np.isfinite(offsets)
    if wrong.any():
        place = np.argwhere(wrong)[0]
        raise ValueError(
            f"offset must be finite, got {offsets[tuple(place)]:g} at row {int(place[0]) if len(place) else 0}"
        )
    return offsets


def codes_of(z: Any, *, by_class: bool, activation: str = "sigmoid") -> NDArray[np.intp]:
    """The predicted labels for scores `z`: 1 if z > 0 (for a perceptron: z >= 0), else 0.

    With `by_class`, the last axis of `z` has a score per class, and the result is the class with the largest score; if
    several are equal, the first.
    """
    if by_class:
        codes: NDArray[np.intp] = z.argmax(axis=-1)
        return codes
    return np.asarray(z >= 0 if activation == "step" else z > 0).astype(np.intp)[()]


def _numbers(array: Array) -> str:
    """A number, or a vector's numbers in one line; for arrays of more dimensions their shape."""
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
