"""Formulas at the reference optima of real data: the recorded loss, and a gradient that vanishes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gradstep
from helpers.problems import Problem
from helpers.reference_sets import BINARY_SETS, read
from helpers.tolerances import tolerance


def test_the_list_of_sets_is_complete(data_folder: Path) -> None:
    binary = []
    for folder in sorted((data_folder / "sets").iterdir()):
        if (folder / "data.csv").exists() and json.loads((folder / "oracle.json").read_text())["K"] == 2:
            binary.append(folder.name)
    assert binary == BINARY_SETS


@pytest.mark.parametrize("name", BINARY_SETS)
def test_reference_optima(name: str, data_folder: Path, measured: Callable[[str], None]) -> None:
    """At the coefficients of an 80-bit Newton solve the loss is the recorded one and the gradient vanishes.

    A problem without intercept has a bias of 0, and its gradient by the bias is not checked. The standardised problems
    use the recorded means and deviations.
    """
    folder = data_folder / "sets" / name
    reference = json.loads((folder / "oracle.json").read_text())
    raw, y, weight = read(folder)
    assert raw.shape == (reference["n"], reference["p"])
    worst_loss = worst_gradient = 0.0
    for key, problem in reference["problems"].items():
        X = raw
        if problem["scaling"] == "std":
            X = (raw - np.array(reference["standardize"]["mean"])) / np.array(reference["standardize"]["sd"])
        coefficients, bias = np.array(problem["coef"][0]), float(problem["intercept_value"][0])
        at = Problem(X, y, coefficients, bias)
        near = tolerance(at, np.float64, weight)
        got = gradstep.loss_gradient(*at, sample_weight=weight)

        # The coefficients are rounded to float64: a shift of z by eps/2·(|x|·|w| + |b|), which is part of `near`.
        # Its worst case for the sum, (m + 3)·eps, would allow 5e-11 for the largest set; summed in blocks the rows
        # cannot drift like that, and 1e-13 = 450·eps has to do.
        room = 1e-13 * problem["mean_logloss"]
        z_room = near.loss - (len(y) + 3) * np.finfo(np.float64).eps * problem["mean_logloss"]
        difference = abs(got.loss - problem["mean_logloss"])
        assert difference <= room + z_room, key

        # At the optimum ∂E + l2·w = 0. The computed value differs from 0 by the rounding of the evaluation and of w and
        # b themselves: eps/2 of each coefficient, times the curvature, which the bound dz/4 of σ includes. l2·w adds
        # one rounding.
        left = got.weights + problem["l2"] * coefficients
        slack = problem["l2"] * np.abs(coefficients) * np.finfo(np.float64).eps + problem["grad_inf_at_80bit_solution"]
        assert (np.abs(left) <= 2 * near.weights + slack).all(), key
        if problem["intercept"]:
            assert abs(got.bias) <= 2 * near.bias + problem["grad_inf_at_80bit_solution"], key
            worst_gradient = max(
                worst_gradient, float((np.abs(left) / np.abs(X).max(axis=0).clip(1)).max()), abs(got.bias)
            )
        else:
            assert bias == 0.0
        # The bound is not too wide: a change of the coefficients by one part in a million would break it.
        moved = gradstep.gradient(X, y, coefficients * (1 + 1e-6), bias, sample_weight=weight)
        left = moved.weights + problem["l2"] * coefficients * (1 + 1e-6)
        assert (np.abs(left) > 2 * near.weights + slack).any(), key

        correct = (gradstep.predict_proba(X, coefficients, bias) > 0.5) == (y > 0.5)
        if weight is None and "n_correct" in problem:
            assert correct.sum() == problem["n_correct"], key
        worst_loss = max(worst_loss, difference)
    measured(
        f"{name}: {len(reference['problems'])} optima, loss within {worst_loss:.1e}, "
        f"gradient (per unit of the largest x) within {worst_gradient:.1e} of 0"
    )


@pytest.mark.parametrize("name", ["menarche", "titanic"])
def test_a_weighted_set_is_its_rows_repeated(name: str, data_folder: Path) -> None:
    X, y, weight = read(data_folder / "sets" / name)
    assert weight is not None
    times = weight.astype(int)
    assert (times == weight).all() and times.max() > 1
    w = np.linspace(-0.1, 0.1, X.shape[1])
    got = gradstep.loss_gradient(X, y, w, 0.5, sample_weight=weight)
    repeated = Problem(np.repeat(X, times, axis=0), np.repeat(y, times), w, 0.5)
    want, near = gradstep.loss_gradient(*repeated), tolerance(repeated, np.float64)
    assert abs(got.loss - want.loss) <= 2 * near.loss
    assert (np.abs(got.weights - want.weights) <= 2 * near.weights).all()
    assert abs(got.bias - want.bias) <= 2 * near.bias
