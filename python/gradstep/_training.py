"""From the columns of a table to a trained model: its optimum, or where a descent arrives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep import Trainer, __version__, _table, _words, fit, predict_proba
from gradstep._model import Class, Fact, Model, Scalar, Standardize, labels
from gradstep._optimum import Alias, Iteration, Optimum, Separation

Array: TypeAlias = NDArray[np.float64]
OptimumCallback: TypeAlias = Callable[[Iteration], None]
DescentCallback: TypeAlias = Callable[[int, float, Array, float], None]

MOST_ALIASES = 3


@dataclass(frozen=True)
class Problem:
    """What a model is trained on."""

    X: Array
    y: Array
    """Codes 0, 1, … of `classes`."""
    features: list[str]
    target: str
    classes: list[Class]

    @classmethod
    def read(cls, file: Path, header: bool | None, target: str | None) -> Problem:
        """The columns of a data file; the target is the last one if no other is named."""
        table = _table.read(file, header)
        target = table.frame.columns[-1] if target is None else target
        y, classes = table.target(target)
        features = [name for name in table.frame.columns if name != target]
        if not features:
            raise ValueError(f"{file}: must have a feature column beside the target {target!r}, got none")
        return cls(table.features(features), y, features, target, classes)


class Trained(NamedTuple):
    """A model, and what its user should know of it, in sentences."""

    model: Model
    notes: list[str]


def optimum(
    problem: Problem, options: dict[str, Scalar], standardize: bool, callback: OptimumCallback | None = None
) -> Trained:
    """The model at its optimum, with what is proved of it; `options` are those of `gradstep.fit`.

    Raises
    ------
    ValueError
        If there is no optimum, since the classes are separated and there is no penalty.
    """
    x, scaling = _scaled(problem, standardize)
    arguments: dict[str, Any] = options
    try:
        best = fit(x, problem.y, callback=callback, **arguments)
    except ValueError:
        with np.errstate(over="ignore"):
            too_large = np.isinf((x * x).sum(axis=0)).any()
        if not too_large:
            raise
        name = problem.features[np.abs(x).max(axis=0).argmax()]
        raise ValueError(f"column {name!r}: numbers too large, the sum of their squares is not finite") from None
    if best.separation is not None:
        raise ValueError(_separated(problem, best.separation))
    result: dict[str, Fact] = {
        "objective": best.objective,
        "gradient_norm": best.gradient_norm,
        "gap": None if math.isinf(best.gap) else best.gap,
        "converged": best.converged,
        "aliased": [problem.features[alias.column] for alias in best.aliased],
        "passes": best.passes,
        "n_iterations": best.n_iterations,
        "solver": best.solver,
        "stop_reason": str(best.stop_reason),
    }
    model = _model(problem, x, scaling, best.weights, best.bias, options, best.loss, result)
    return Trained(model, [*_aliased(problem, scaling, best.aliased), *_shortfall(best, options, standardize)])


def descent(
    problem: Problem, options: dict[str, Scalar], standardize: bool, callback: DescentCallback | None = None
) -> Trained:
    """The model where gradient descent arrives; `options` are those of `gradstep.Trainer`.

    Raises
    ------
    ValueError
        If it diverges, or there are more than two classes.
    """
    if len(problem.classes) > 2:
        raise ValueError(
            f"target {problem.target!r} has {len(problem.classes)} values: a descent is for two; "
            "without --learning-rate, --epochs, --batch-size and --shuffle there may be more"
        )
    x, scaling = _scaled(problem, standardize)
    batch_size = options["batch_size"]
    arguments: dict[str, Any] = {**options, "batch_size": None if batch_size == "full" else batch_size}
    end = Trainer(**arguments).fit(x, problem.y, callback=callback)
    if end.stop_reason == "diverged":
        advice = "a smaller --learning-rate" + ("" if standardize else " or --standardize")
        raise ValueError(f"diverged in epoch {end.n_epochs + 1}: its numbers are no longer finite; try {advice}")
    result: dict[str, Fact] = {"n_epochs": int(end.n_epochs), "stop_reason": str(end.stop_reason)}
    loss = float(end.history[-1])
    model = _model(problem, x, scaling, end.weights, end.bias, options, loss, result)
    return Trained(model, _worse_than_a_constant(problem.y, loss, standardize))


def accuracy(y: Array, probability: Array) -> float:
    """Fraction of the rows whose label is right."""
    return float(np.mean(labels(probability) == y))


def _aliased(problem: Problem, scaling: Standardize | None, aliased: tuple[Alias, ...]) -> list[str]:
    """Which columns are left out, and why."""
    if not aliased:
        return []

    def name(column: int) -> str:
        return _table.few([problem.features[column]])

    shown = [
        f"column {name(alias.column)} is {_words.combination(_unscaled(alias, scaling), name, problem.X)}"
        for alias in aliased[:MOST_ALIASES]
    ]
    if len(aliased) == 1:
        return [f"{shown[0]}, its weight is 0"]
    more = f", and {len(aliased) - MOST_ALIASES} more" if len(aliased) > MOST_ALIASES else ""
    return [f"{', '.join(shown)}{more}: their weights are 0"]


def _unscaled(alias: Alias, scaling: Standardize | None) -> Alias:
    """The combination of columns as they are in the file."""
    if scaling is None:
        return alias
    mean, scale = np.array(scaling.mean), np.array(scaling.scale)
    own, others = alias.column, list(alias.columns)
    coefficients = np.array(alias.coefficients) * scale[own] / scale[others]
    constant = mean[own] + scale[own] * alias.constant - coefficients @ mean[others]
    return alias._replace(coefficients=tuple(coefficients.tolist()), constant=float(constant))


def _shortfall(best: Optimum, options: dict[str, Scalar], standardize: bool) -> list[str]:
    """What is missing of the proof, unless it was not to be made."""
    far = _words.distance(best.gap, best.gradient_norm)
    if best.converged or best.stop_reason == "uncertified":
        return []
    if best.stop_reason == "passes":
        reason = f"after {best.passes:.0f} passes {far}; a larger --max-passes goes on"
    elif best.stop_reason == "tolerance":
        reason = f"stopped by --tol {options['tol']:g}, where {far}"
    elif best.gap < math.inf:
        reason = f"no step improves, and {far}, more than --gap-tol {options['gap_tol']:g} allows"
        reason += "" if standardize else "; --standardize may leave less"
    elif options["certify"]:
        reason = (
            f"no step improves, {far}; the classes may nearly be separated, and a larger --l2 would help, "
            "or a column may hold values far beyond its others"
        )
    else:
        reason = f"no step improves, {far}; --no-certify leaves the proof out"
    return [f"the optimum is not proved: {reason}"]


def _worse_than_a_constant(y: Array, loss: float, standardize: bool) -> list[str]:
    """Advice where descent has arrived at less than the shares of the classes tell."""
    _, counts = np.unique(y, return_counts=True)
    shares = counts / len(y)
    constant = float(-(shares * np.log(shares)).sum())
    if not loss > constant:
        return []
    advice = "more --epochs or a smaller --learning-rate" + ("" if standardize else ", or --standardize")
    return [f"a constant prediction has a smaller loss ({constant:.6f}); try {advice}"]


def _separated(problem: Problem, separation: Separation) -> str:
    columns = np.flatnonzero(np.atleast_2d(separation.weights).any(axis=0))
    names = _table.few([problem.features[j] for j in columns])
    return (
        f"no optimum: along column{'s' * (len(columns) > 1)} {names} some or all labels are separated from the others, "
        "so that larger weights are always better; try a penalty, such as --l2 0.001"
    )


def _scaled(problem: Problem, standardize: bool) -> tuple[Array, Standardize | None]:
    if not standardize:
        return problem.X, None
    scaling = Standardize.of(problem.X)
    x = scaling.apply(problem.X)
    usable = np.isfinite(x).all(axis=0) & np.isfinite(scaling.scale)
    if not usable.all():
        raise ValueError(f"column {problem.features[usable.argmin()]!r}: numbers too large to standardize")
    return x, scaling


def _model(
    problem: Problem,
    x: Array,
    scaling: Standardize | None,
    weights: Array,
    bias: Any,
    options: dict[str, Scalar],
    loss: float,
    result: dict[str, Fact],
) -> Model:
    result = {"rows": len(x), "loss": loss, "accuracy": accuracy(problem.y, predict_proba(x, weights, bias)), **result}
    return Model(
        features=problem.features,
        target=problem.target,
        classes=problem.classes,
        weights=weights.tolist(),
        bias=np.asarray(bias).tolist(),
        standardize=scaling,
        options=options,
        result=result,
        gradstep=__version__,
    )
