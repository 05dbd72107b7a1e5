"""From the columns of a table to a trained model: its optimum, or where a descent arrives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep import Trainer, __version__, _table, fit, predict_proba
from gradstep._model import Class, Model, Scalar, Standardize, labels
from gradstep._results import Iteration

Array: TypeAlias = NDArray[np.float64]
OptimumCallback: TypeAlias = Callable[[Iteration], None]
DescentCallback: TypeAlias = Callable[[int, float, Array, float], None]


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


def optimum(
    problem: Problem, options: dict[str, Scalar], standardize: bool, callback: OptimumCallback | None = None
) -> Model:
    """The model at its optimum, with the certificate; `options` are those of `gradstep.fit`.

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
            too_large = np.isinf((x * x).sum(axis=0))
        if not too_large.any():
            raise
        name = problem.features[too_large.argmax()]
        raise ValueError(f"column {name!r}: numbers too large, the sum of their squares is not finite") from None
    if best.stop_reason == "separated":
        raise ValueError(_separated(problem, best.separation and best.separation.weights))
    result: dict[str, Scalar] = {
        "objective": best.objective,
        "gradient_norm": best.gradient_norm,
        "gap": None if best.gap is None or math.isinf(best.gap) else best.gap,
        "converged": best.converged,
        "passes": best.passes,
        "n_iterations": best.n_iterations,
        "solver": best.solver,
        "stop_reason": str(best.stop_reason),
    }
    return _model(problem, x, scaling, best.weights, best.bias, options, best.loss, result)


def descent(
    problem: Problem, options: dict[str, Scalar], standardize: bool, callback: DescentCallback | None = None
) -> Model:
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
    result: dict[str, Scalar] = {"n_epochs": int(end.n_epochs), "stop_reason": str(end.stop_reason)}
    return _model(problem, x, scaling, end.weights, end.bias, options, float(end.history[-1]), result)


def accuracy(y: Array, probability: Array) -> float:
    """Fraction of the rows whose label is right."""
    return float(np.mean(labels(probability) == y))


def remark(problem: Problem, model: Model) -> str | None:
    """What the user should know of a model that is not as good as it could be."""
    result = model.result
    if result["stop_reason"] == "passes" and float(result["gradient_norm"] or 0) <= float(model.options["tol"] or 0):
        return "the weights still grow: the classes are separated, or nearly so, and the penalty is next to none"
    if result["stop_reason"] == "passes":
        return (
            f"after {result['passes']:.0f} passes the gradient is {result['gradient_norm']:.1e}, "
            f"larger than --tol {model.options['tol']:.1e}; a larger --max-passes goes on"
        )
    _, counts = np.unique(problem.y, return_counts=True)
    shares = counts / len(problem.y)
    constant = float(-(shares * np.log(shares)).sum())
    if "n_epochs" in result and float(result["loss"] or 0) > constant:
        advice = "more --epochs or a smaller --learning-rate" + ("" if model.standardize else ", or --standardize")
        return f"a constant prediction has a smaller loss ({constant:.6f}); try {advice}"
    return None


def _separated(problem: Problem, weights: Array | None) -> str:
    if weights is None:
        reason = "a hyperplane separates some or all labels from the others"
    else:
        columns = np.flatnonzero(np.atleast_2d(weights).any(axis=0))
        names = _table.few([problem.features[j] for j in columns])
        reason = f"along column{'s' * (len(columns) > 1)} {names} some or all labels are separated from the others"
    return f"no optimum: {reason}, so that larger weights are always better; try a penalty, such as --l2 0.001"


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
    result: dict[str, Scalar],
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
