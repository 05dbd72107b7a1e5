"""Penalty factors, bounds and prior weights of single features: by their names, and as the arrays that `fit` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep._model import Model, Standardize
from gradstep._table import few

if TYPE_CHECKING:
    from gradstep._training import Problem

EVERY = ""
"""The key for all features, in place of a name."""
Numbers: TypeAlias = dict[str, Any]
"""A number for each name; for prior weights of three classes or more, a list with a number for each class."""
DEFAULTS = {"penalty_factors": 1.0, "prior": 0.0, "lower": -np.inf, "upper": np.inf}


@dataclass(frozen=True)
class OfFeatures:
    """Penalty factors, bounds and prior weights of single features, by names. A name is that of a feature, or that of a
    column for all features made of it, or `EVERY`. A number for a feature takes precedence over one for its column, and
    both over one for `EVERY`."""

    penalty_factors: Numbers = field(default_factory=dict)
    lower: Numbers = field(default_factory=dict)
    upper: Numbers = field(default_factory=dict)
    prior: Numbers = field(default_factory=dict)
    """The weights that l2 draws towards: those for the features as they are before they are standardized."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> OfFeatures:
        """The numbers of single features that are among the options of a model."""
        return cls(**{name: options[name] for name in NAMES if isinstance(options.get(name), dict)})

    def kept(self) -> dict[str, Any]:
        """These numbers as options of a model, without empty ones."""
        return {name: numbers for name in NAMES if (numbers := getattr(self, name))}

    def arguments(self, problem: Problem, scaling: Standardize | None) -> dict[str, Any]:
        """The arguments of `fit` for the features of a problem. `scaling` is how they are standardized; None if not.

        Raises
        ------
        ValueError
            If a name is neither a feature nor a column.
        """
        found = {name: _array(problem, name, numbers) for name, numbers in self.kept().items()}
        if scaling is not None and "prior" in found:
            found["prior"] = found["prior"] * np.array(scaling.scale)
        return found


NAMES = tuple(each.name for each in fields(OfFeatures))
"""The names of the options, as `fit` has them."""


def prior_of(model: Model, problem: Problem) -> tuple[Numbers, list[str]]:
    """The weights of a model for those features of a problem that the model has; and the features that it lacks.

    Raises
    ------
    ValueError
        If the model has other classes, none of the features, or another reference category for a column.
    """
    name = problem.spelling.name("prior")
    if model.classes != problem.classes:
        got = f"{few(model.classes)}, the training {few(problem.classes)}"
        raise ValueError(f"{name} must be a model of the classes of the training, in their order: it has {got}")
    known = {column.name: column for column in model.encoding.columns} if model.encoding else {}
    for column in problem.encoding.columns if problem.encoding else []:
        other = known.get(column.name)
        if other and column.levels and other.levels and column.levels[0] != other.levels[0]:
            got = f"{other.levels[0]!r} there, {column.levels[0]!r} here"
            raise ValueError(f"{name} must compare the categories of {column.name!r} with the same one: it is {got}")
    weights = np.array(model.weights)
    if model.standardize is not None:
        weights = weights / np.array(model.standardize.scale)
    shared = {feature: j for j, feature in enumerate(model.features) if feature in problem.features}
    if not shared:
        raise ValueError(f"{name} must be a model of some of the features, got one of {few(model.features)}")
    numbers = {feature: weights[..., j].tolist() for feature, j in shared.items()}
    return numbers, [feature for feature in problem.features if feature not in shared]


def _array(problem: Problem, name: str, numbers: Numbers) -> NDArray[np.float64]:
    """The numbers as an array, shape (n,) for n features; for prior weights of K >= 3 classes, shape (K, n)."""
    of_classes = name == "prior" and len(problem.classes) > 2
    found = np.full(
        (len(problem.classes), len(problem.features)) if of_classes else len(problem.features), DEFAULTS[name]
    )
    of_columns = {column.name: column.features for column in problem.encoding.columns} if problem.encoding else {}

    def rank(given: str) -> int:
        return 0 if given == EVERY else 2 if given in problem.features else 1

    for given in sorted(numbers, key=rank):
        features = problem.features if given == EVERY else [given] if rank(given) == 2 else of_columns.get(given)
        if features is None:
            option = problem.spelling.name(name)
            raise ValueError(f"{option} must name a feature, got {given!r}; the features are {few(problem.features)}")
        places = [problem.features.index(feature) for feature in features]
        found[..., places] = np.array(numbers[given], np.float64)[..., None]
    return found
