"""Trainer with sample weights, offsets, an l1 penalty or without a bias: every update follows the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import gradstep
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes

SIZES = [None, 1, 3, 8]


def problem(m: int = 19, n: int = 3) -> tuple[Array, Array, Array, Array]:
    """Rows, labels, sample weights, of which some are 0, and offsets."""
    rng = np.random.default_rng(m * n)
    X = rng.normal(size=(m, n))
    y = (X[:, 0] + rng.logistic(size=m) > 0).astype(float)
    s = rng.integers(0, 4, m).astype(float)
    s[0] = 1.0
    return X, y, s, rng.normal(size=m)


def textbook(X: Array, y: Array, options: dict[str, Any], s: Array, offset: Array) -> tuple[Array, float, list[float]]:
    """The loop as it is written on paper."""
    m, n = X.shape
    w, b, history = np.zeros(n), 0.0, []
    mean, alpha = s.mean(), options["learning_rate"]
    l1, l2 = options.get("l1", 0.0), options.get("l2", 0.0)
    size = options["batch_size"] or m
    for _ in range(options["epochs"]):
        for first in range(0, m, size):
            rows = slice(first, first + size)
            count = len(X[rows])
            y_hat = 1 / (1 + np.exp(-(X[rows] @ w + b + offset[rows])))
            r = s[rows] / mean * (y_hat - y[rows])
            # "sum": the gradient is the sum of s_i times the row, and the penalty counts as often as the rows do.
            divisor, times = (count, 1.0) if options["reduction"] == "mean" else (1 / mean, mean * count)
            w = w - alpha * (r @ X[rows] / divisor + times * l2 * w)
            w = np.sign(w) * np.maximum(np.abs(w) - alpha * times * l1, 0)
            if options.get("fit_bias", True):
                b = b - alpha * r.sum() / divisor
        z = X @ w + b + offset
        history.append(float(np.average(np.logaddexp(0, z) - y * z, weights=s)))
    return w, b, history


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "more",
    [{}, {"l2": 0.1}, {"l1": 0.05}, {"l1": 0.02, "l2": 0.1, "fit_bias": False}, {"fit_bias": False}],
    ids=lambda more: ",".join(more) or "plain",
)
@pytest.mark.parametrize("given", ["neither", "weights", "offsets", "both"])
def test_every_update_is_that_of_the_formulas(
    batch_size: Any, reduction: str, more: dict[str, Any], given: str
) -> None:
    X, y, s, offset = problem()
    options: dict[str, Any] = {"learning_rate": 0.1, "epochs": 3, "batch_size": batch_size, "reduction": reduction}
    options |= more
    of_rows: dict[str, Any] = {}
    if given in ("weights", "both"):
        of_rows["sample_weight"] = s
    if given in ("offsets", "both"):
        of_rows["offset"] = offset
    s, offset = of_rows.get("sample_weight", np.ones(19)), of_rows.get("offset", np.zeros(19))
    w, b, history = textbook(X, y, options, s, offset)
    for features in (X, sp.csr_array(X)):
        descent = gradstep.Trainer(**options).fit(features, y, **of_rows)
        assert_allclose(descent.weights, w, atol=1e-13)
        assert_allclose(descent.bias, b, atol=1e-13)
        assert_allclose(descent.history, history, rtol=1e-12)
        assert_array_equal(descent.weights == 0, w == 0)


def test_equal_weights_and_zero_offsets_change_nothing() -> None:
    X, y, _, _ = problem()
    for size in SIZES:
        trainer = gradstep.Trainer(0.3, 4, batch_size=size)
        plain = trainer.fit(X, y)
        weighted = trainer.fit(X, y, sample_weight=np.full(19, 2.5), offset=np.zeros(19))
        assert_allclose(weighted.weights, plain.weights, rtol=1e-13)
        assert_allclose(weighted.history, plain.history, rtol=1e-13)


def test_weights_of_full_batches_are_repetitions() -> None:
    X, y, s, _ = problem()
    repeat = s.astype(int)
    weighted = gradstep.Trainer(0.3, 5).fit(X, y, sample_weight=s)
    repeated = gradstep.Trainer(0.3, 5).fit(np.repeat(X, repeat, axis=0), np.repeat(y, repeat))
    assert_allclose(weighted.weights, repeated.weights, rtol=1e-12)
    assert_allclose(weighted.history, repeated.history, rtol=1e-12)


def test_the_trace_shows_scores_with_offsets_and_weighted_steps() -> None:
    X, y, s, offset = problem()
    for features in (X, sp.csr_array(np.pad(X, ((0, 0), (0, 40))))):
        trace = (
            gradstep.Trainer(0.1, 1, batch_size=1, trace=True).fit(features, y, sample_weight=s, offset=offset).trace
        )
        assert trace is not None
        weights, bias = np.zeros(features.shape[1]), 0.0
        rows = features.toarray() if sp.issparse(features) else features
        for i, update in enumerate(trace):
            z = rows[i] @ weights + bias + offset[i]
            assert_allclose(update["z"], z, atol=1e-14)
            assert_allclose(update["y_hat"], gradstep.sigmoid(z), atol=1e-14)
            step = 0.1 * s[i] / s.mean() * (y[i] - update["y_hat"])
            assert_allclose(update["delta_weights"], step * rows[i], atol=1e-15)
            weights, bias = update["weights"], update["bias"]


def test_a_long_descent_with_l1_ends_at_the_optimum_of_fit() -> None:
    X, y, s, offset = problem(200, 6)
    descent = gradstep.Trainer(0.5, 20_000, l1=0.05, tol=1e-12).fit(X, y, sample_weight=s, offset=offset)
    best = gradstep.fit(X, y, l1=0.05, sample_weight=s, offset=offset, gap_tol=1e-12)
    assert descent.stop_reason == "tolerance" and best.converged
    assert_array_equal(descent.weights != 0, best.weights != 0)
    assert_allclose(descent.weights, best.weights, atol=1e-6)


def test_the_best_steps_take_weights_offsets_and_no_bias() -> None:
    X, y, s, offset = problem(200, 6)
    for options in ({}, {"fit_bias": False}):
        descent = gradstep.Trainer("auto", 500, l2=0.1, tol=1e-9, **options).fit(X, y, sample_weight=s, offset=offset)
        best = gradstep.fit(X, y, l2=0.1, sample_weight=s, offset=offset, **options)
        assert_allclose(descent.weights, best.weights, atol=1e-6)
        assert bool(descent.bias) == options.get("fit_bias", True)


@both_dtypes
def test_the_same_bits_in_every_layout(dtype: Any, tmp_path: Path) -> None:
    X, y, s, offset = problem(60, 5)
    X = X.astype(dtype)
    for size in SIZES:
        trainer = gradstep.Trainer(0.2, 3, batch_size=size, l1=0.01)
        descent = trainer.fit(X, y, sample_weight=s, offset=offset)
        assert descent.weights.dtype == dtype
        for name, same in layouts(X, tmp_path):
            assert_array_equal(
                trainer.fit(same, y, sample_weight=s, offset=offset).weights, descent.weights, err_msg=name
            )


@pytest.mark.parametrize(
    ("of_rows", "message"),
    [
        ({"sample_weight": np.ones(3)}, "sample_weight must have length 19"),
        ({"sample_weight": -np.ones(19)}, "sample_weight must be finite and not negative, got -1 at row 0"),
        ({"sample_weight": np.zeros(19)}, "sample_weight must have a positive sum"),
        ({"offset": np.ones(3)}, "offset must have length 19"),
        ({"offset": np.full(19, np.nan)}, "offset must be between .*, got nan at row 0"),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_refusals(of_rows: dict[str, Any], message: str, size: Any) -> None:
    X, y, _, _ = problem()
    for rate in [0.1] if size else [0.1, "auto"]:
        with pytest.raises(ValueError, match=message):
            gradstep.Trainer(rate, 2, batch_size=size).fit(X, y, **of_rows)


def test_refused_options() -> None:
    X, y, _, _ = problem()
    with pytest.raises(ValueError, match="l1 must be finite and not negative, got -1"):
        gradstep.Trainer(l1=-1.0)
    with pytest.raises(ValueError, match=r"l1 must be 0\.0 with learning_rate='auto', got 0\.1"):
        gradstep.Trainer("auto", l1=0.1)
    with pytest.raises(ValueError, match=r"bias must be 0 with fit_bias=False, got 1\.0"):
        gradstep.Trainer(fit_bias=False).fit(X, y, bias=1.0)
    descent = gradstep.Trainer(l1=0.1, epochs=2).fit(X[:, :2], y)
    with pytest.raises(ValueError, match="descent must be without l1 and with a bias for a page"):
        gradstep.show(descent, X[:, :2], y, open_browser=False)
