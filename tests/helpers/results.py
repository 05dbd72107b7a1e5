"""The raw bits of results."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

import gradstep
from helpers.problems import ClassProblem, Problem


def bits(result: Any) -> list[bytes]:
    """The raw bytes of every array and float of a result: equal to the last bit, the sign of zero and NaN included."""
    return [np.asarray(part).tobytes() for part in parts(result)]


def parts(result: Any) -> tuple[Any, ...]:
    """What a result holds, in its order."""
    if is_dataclass(result):
        return tuple(getattr(result, field.name) for field in fields(result))
    return result if isinstance(result, tuple) else (result,)


def every_formula(problem: Problem | ClassProblem, **options: Any) -> list[bytes]:
    """The bits of every formula's result."""
    X, y, weights, bias = problem
    weightless = {name: value for name, value in options.items() if name != "sample_weight"}
    return [
        *bits(gradstep.decision_function(X, weights, bias, **weightless)),
        *bits(gradstep.predict_proba(X, weights, bias, **weightless)),
        *bits(gradstep.loss(X, y, weights, bias, **options)),
        *bits(gradstep.gradient(X, y, weights, bias, **options)),
        *bits(gradstep.loss_gradient(X, y, weights, bias, **options)),
    ]


def numbers(best: gradstep.Optimum) -> list[bytes]:
    """The bits of all numbers of an optimum except times."""
    timeless = best.history[["objective", "gradient_norm", "step", "passes", "rows"]].tolist()
    return [*bits(parts(best)[:5]), str((best.gap, best.stop_reason, best.passes, timeless)).encode()]
