"""The optimum of real data: coefficients of independent tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.optima import EPS, both_solvers, check_separation
from helpers.reference_sets import BINARY_SETS, read


@pytest.mark.parametrize("name", BINARY_SETS)
@both_solvers
def test_coefficients_of_the_reference_sets(
    name: str, solver: Any, data_folder: Path, measured: Callable[[str], None]
) -> None:
    """Raw columns, default options, no warning: the coefficients of an 80-bit Newton solve to 1e-8 of the largest.

    Gradient descent reaches them, too, except for the thirty collinear columns of wdbc: there it must not claim to.
    """
    folder = data_folder / "sets" / name
    reference = json.loads((folder / "oracle.json").read_text())
    raw, y, weight = read(folder)
    hard = solver == "gd" and name == "wdbc"
    worst, passes = 0.0, []
    for key, problem in reference["problems"].items():
        X, l2 = raw, problem["l2"]
        if problem["scaling"] == "std":
            X = (raw - np.array(reference["standardize"]["mean"])) / np.array(reference["standardize"]["sd"])
        best = gradstep.fit(X, y, l2=l2, sample_weight=weight, fit_bias=problem["intercept"], solver=solver)
        want = np.append(problem["coef"][0], problem["intercept_value"][0])
        got = np.append(best.weights, best.bias)
        difference = np.abs(got - want).max() / np.abs(want).max()
        if l2 > 0:
            # The objectives of the reference and of gradstep are rounded to float64.
            assert best.gap >= best.objective - problem["objective"] - 4 * EPS * best.objective, key
        if hard and best.gradient_norm > 1e-8:
            assert best.stop_reason in ("passes", "precision") or best.converged, key
            continue
        assert best.converged and best.stop_reason == "tolerance", key
        assert best.gradient_norm <= 1e-8, key
        if not hard:
            agreed = max(problem.get("agree_rel") or [0.0])
            assert difference <= max(1e-8, agreed), key
            worst = max(worst, float(difference))
        passes.append(best.passes)
    measured(
        f"{name}, {solver}: {len(passes)} of {len(reference['problems'])} optima, coefficients within {worst:.1e}, "
        f"{min(passes, default=0):.1f} to {max(passes, default=0):.1f} passes"
    )


def test_a_separable_reference_set(data_folder: Path) -> None:
    X, y, _ = read(data_folder / "sets" / "wdbc")
    best = gradstep.fit(X, y)
    assert best.stop_reason == "separated" and not best.converged
    check_separation(X, y, best)
