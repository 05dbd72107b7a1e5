"""The optimum of real data of several classes: coefficients of independent tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import gradstep
from helpers import oracle
from helpers.class_optima import check_separation
from helpers.optima import EPS
from helpers.reference_sets import read_classes

SETS = ["digits", "hsb2", "iris", "letter", "trec"]


def test_the_list_of_sets_is_complete(data_folder: Path) -> None:
    folders = sorted((data_folder / "sets").iterdir())
    assert [f.name for f in folders if json.loads((f / "oracle.json").read_text())["K"] > 2] == SETS


@pytest.mark.parametrize("name", SETS)
def test_coefficients_of_the_reference_sets(name: str, data_folder: Path, measured: Callable[[str], None]) -> None:
    """Raw columns, default options: the coefficients of an 80-bit Newton solve, as far as the tools agree on them."""
    folder = data_folder / "sets" / name
    reference = json.loads((folder / "oracle.json").read_text())
    raw, y, weight = read_classes(folder, reference["p"])
    worst, passes = 0.0, []
    for key, problem in reference["problems"].items():
        X, l2 = raw, problem["l2"]
        if problem["scaling"] == "std":
            X = (raw - np.array(reference["standardize"]["mean"])) / np.array(reference["standardize"]["sd"])
        best = gradstep.fit(X, y, l2=l2, sample_weight=weight, fit_bias=problem["intercept"])
        coefficients = problem["coef"]
        if isinstance(coefficients, str):
            coefficients = np.load(folder / "oracle_coefs.npz")[f"{key}_coef"]
        want = np.column_stack([coefficients, problem["intercept_value"]])
        difference = np.abs(np.column_stack([best.weights, best.bias]) - want).max() / np.abs(want).max()
        assert best.converged and best.stop_reason == "tolerance" and best.gradient_norm <= 1e-8, key
        assert difference <= max(1e-8, *problem["agree_rel"]), (key, difference)
        if l2 > 0:
            # The reference objective is rounded to float64. That of gradstep is summed again in more digits, so that
            # its rounding does not count.
            W = best.weights.astype(np.longdouble)
            errors = oracle.class_errors(X @ best.weights.T + best.bias, y).astype(np.longdouble)
            objective = np.average(errors, weights=weight) + l2 / 2 * (W * W).sum()
            assert best.gap >= objective - problem["objective"] - 4 * EPS * objective, key
            assert best.gap <= 1e-10, key
        worst = max(worst, float(difference))
        passes.append(best.passes)
    measured(f"{name}: coefficients within {worst:.1e}, {min(passes):.1f} to {max(passes):.1f} passes")


@pytest.mark.parametrize("name", ["digits", "iris", "trec"])
def test_separable_reference_sets(name: str, data_folder: Path) -> None:
    reference = json.loads((data_folder / "sets" / name / "oracle.json").read_text())
    X, y, _ = read_classes(data_folder / "sets" / name, reference["p"])
    best = gradstep.fit(X, y)
    assert best.stop_reason == "separated" and not best.converged and best.gap == np.inf
    assert np.isfinite(best.weights).all() and np.isfinite(best.objective)
    assert np.abs(best.weights).max() < 1e6
    check_separation(X.toarray() if sparse.issparse(X) else X, y, best)
