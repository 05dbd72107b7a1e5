"""The strength of a penalty on the command line: chosen by cross-validation, and the path of all strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradstep import Path, fit_many, loss, path
from gradstep._document import Scalar
from gradstep._of_features import OfFeatures
from gradstep._split import dealt
from gradstep._training import PLAIN, Array, Problem, scaled

STRENGTHS = 30
"""The number of strengths that a cross-validation tries."""
SHARED = ("gap_tol", "max_passes", "fit_bias", "grouped")
"""Options of `fit` that a path has, too."""


@dataclass(frozen=True)
class Curve:
    """The mean error on the rows that were left out, at each strength from the largest down."""

    l1_ratio: float
    strengths: Array
    n_nonzero: NDArray[np.intp]
    """The number of columns whose weight is not 0, in the fit to all rows at each strength."""
    mean: Array
    error: Array
    """The standard error of the mean over the folds."""

    @property
    def best(self) -> int:
        """The index of the strength with the least mean."""
        return int(self.mean.argmin())

    @property
    def simplest(self) -> int:
        """The index of the largest strength whose mean is within one standard error of the least mean."""
        return int(np.argmax(self.mean <= self.mean[self.best] + self.error[self.best]))

    def penalty(self, place: int) -> dict[str, Scalar]:
        """The options l1 and l2 of `fit` for the strength with this index."""
        strength = float(self.strengths[place])
        return {"l1": self.l1_ratio * strength, "l2": (1 - self.l1_ratio) * strength}

    def marks(self, place: int) -> str:
        """Whether the strength with this index is the best, or the simplest one, in words; else empty."""
        words = {"best": self.best, "within one standard error": self.simplest}
        return ", ".join(word for word, at in words.items() if at == place)

    def records(self) -> list[dict[str, Any]]:
        """A row for each strength."""
        return [
            {
                "strength": float(self.strengths[place]),
                **self.penalty(place),
                "nonzero": int(self.n_nonzero[place]),
                "loss": float(self.mean[place]),
                "standard_error": float(self.error[place]),
                "mark": self.marks(place),
            }
            for place in range(len(self.strengths))
        ]


def whole_path(
    problem: Problem,
    ratio: float,
    standardize: bool,
    options: dict[str, Scalar],
    of_features: OfFeatures = PLAIN,
    n: int = 100,
) -> Path:
    """The path over all rows."""
    x, scaling = scaled(problem, standardize)
    shared: dict[str, Any] = {name: options[name] for name in SHARED if name in options}
    shared |= problem.of_rows | of_features.arguments(problem, scaling)
    return path(x, problem.y, l1_ratio=ratio, n=n, **shared)


def cross_validated(
    problem: Problem,
    ratio: float,
    folds: int,
    standardize: bool,
    options: dict[str, Scalar],
    of_features: OfFeatures = PLAIN,
) -> Curve:
    """The mean error at each strength, on the rows of each fold, of a model fitted to the rows of the other folds.

    Each class is dealt out to the folds in turn. A fit leaves the rows of a fold out by giving them a weight of 0.

    Raises
    ------
    ValueError
        If a class has fewer rows than there are folds.
    """
    x, scaling = scaled(problem, standardize)
    whole = whole_path(problem, ratio, standardize, options, of_features, STRENGTHS)
    fold = dealt(problem, folds, "cv")
    weight = np.ones(len(fold)) if problem.weight is None else problem.weight
    arguments: dict[str, Any] = {
        name: value for name, value in options.items() if name not in ("l1", "l2", "solver", "firth")
    }
    arguments |= {"offset": problem.offset} | of_features.arguments(problem, scaling)
    ours = fold == np.arange(folds)[:, None]
    left, out = np.where(ours, 0.0, weight), np.where(ours, weight, 0.0)
    errors = np.empty((folds, len(whole.strengths)))
    start: dict[str, Any] = {}
    for place, strength in enumerate(whole.strengths.tolist()):
        l1, l2 = ratio * strength, (1 - ratio) * strength
        optima = fit_many(x, problem.y, l1=l1, l2=l2, sample_weight=left.T, **start, **arguments)
        start = {"weights": [best.weights for best in optima]}
        if arguments["fit_bias"]:
            start["bias"] = [best.bias for best in optima]
        for number, best in enumerate(optima):
            of_rows: dict[str, Any] = {"sample_weight": out[number], "offset": problem.offset}
            errors[number, place] = loss(x, problem.y, best.weights, best.bias, **of_rows)
    error = errors.std(axis=0, ddof=1) / np.sqrt(folds)
    return Curve(ratio, whole.strengths, whole.n_nonzero, errors.mean(axis=0), error)


def table(problem: Problem, found: Path) -> pl.DataFrame:
    """A table with a row for each strength: facts from the `Path`, the bias, and the weight of each column."""
    facts = ("strengths", "n_nonzero", "deviance_explained", "loss", "objective", "gap", "bias")
    names = ("strength", "nonzero", "deviance_explained", "loss", "objective", "gap", "bias")
    weights = zip(problem.features, found.weights.T, strict=True)
    return pl.DataFrame(
        {name: getattr(found, fact) for name, fact in zip(names, facts, strict=True)}
        | {f"weight_{name}": weight for name, weight in weights}
    )
