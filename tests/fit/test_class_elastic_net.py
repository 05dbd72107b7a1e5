"""Fits of several classes with an l1 penalty: where they end, and what is proved of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import gradstep
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes

EPS = np.finfo(np.float64).eps


def problem(seed: int, m: int = 90, n: int = 6, classes: int = 3, *, scales: float = 0.0) -> tuple[Array, Array]:
    """Features and classes. Columns have scales of powers of ten; the classes depend on about half of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-scales, scales, n)
    W = rng.normal(size=(classes, n)) * (rng.random(n) < 0.5) / X.std(axis=0)
    y = np.argmax(X @ W.T + rng.gumbel(size=(m, classes)), axis=1)
    y[:classes] = np.arange(classes)
    return X, y


def objective(X: Array, y: Array, weights: Array, bias: Array, options: dict[str, Any]) -> float:
    z = X @ weights.T + bias
    errors = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]
    strengths = options.get("penalty_factors", np.ones(X.shape[1]))
    penalty = strengths * (options.get("l1", 0) * np.abs(weights) + options.get("l2", 0) / 2 * weights**2)
    return float(np.average(errors, weights=options.get("sample_weight")) + penalty.sum())


def least(X: Array, y: Array, best: gradstep.Optimum, options: dict[str, Any]) -> float:
    """The least objective that SciPy's minimiser finds from the optimum, over W = P - Q with P, Q >= 0."""
    K, n = best.weights.shape
    factors = options.get("penalty_factors", np.ones(n))
    l1, l2, s = options.get("l1", 0) * factors, options.get("l2", 0) * factors, options.get("sample_weight")

    def smooth(v: Array) -> tuple[float, Array]:
        P, Q = v[: 2 * K * n].reshape(2, K, n)
        W, bias = P - Q, v[2 * K * n :]
        by_weights, by_bias = gradstep.gradient(X, y, W, bias, sample_weight=s)
        slopes = by_weights + l2 * W
        value = objective(X, y, W, bias, {**options, "l1": 0}) + np.sum(l1 * (P + Q))
        by_bias = by_bias if options.get("fit_bias", True) else 0 * by_bias
        return value, np.concatenate([(slopes + l1).ravel(), (l1 - slopes).ravel(), by_bias])

    parts = [np.maximum(best.weights, 0).ravel(), np.maximum(-best.weights, 0).ravel(), np.broadcast_to(best.bias, K)]
    bounds = [(0, np.inf)] * (2 * K * n) + [(-np.inf, np.inf)] * K
    v = np.concatenate(parts)
    for _ in range(2):
        options_of = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-17, "gtol": 1e-13}
        v = minimize(smooth, v, jac=True, method="L-BFGS-B", bounds=bounds, options=options_of).x
    P, Q = v[: 2 * K * n].reshape(2, K, n)
    return objective(X, y, P - Q, v[2 * K * n :], options)


@pytest.mark.parametrize("seed", range(40))
def test_no_slope_is_left_and_no_other_solver_goes_below_the_gap(seed: int) -> None:
    rng = np.random.default_rng(500 + seed)
    classes = int(rng.integers(3, 6))
    X, y = problem(seed, int(rng.integers(30, 120)), int(rng.integers(1, 9)), classes, scales=float(seed % 3))
    options: dict[str, Any] = {"l1": 0.1 * 10.0 ** rng.uniform(-2, 0), "l2": [0.0, 1e-3, 0.1][seed % 3]}
    if seed % 2:
        options["sample_weight"] = rng.integers(1, 4, len(y)).astype(float)
    if seed % 4 == 3:
        options["fit_bias"] = False
    if seed % 5 == 4:
        options["penalty_factors"] = rng.choice([0.5, 1.0, 2.0], X.shape[1])
    best = gradstep.fit(X, y, **options)
    assert best.converged and best.solver == "proximal"
    assert_allclose(best.objective, objective(X, y, best.weights, best.bias, options), rtol=1e-12)
    assert abs(np.sum(best.bias)) < 1e-12
    slopes = gradstep.gradient(X, y, best.weights, best.bias, sample_weight=options.get("sample_weight"))
    factors = options.get("penalty_factors", np.ones(X.shape[1]))
    l1, smooth = options["l1"] * factors, slopes.weights + options["l2"] * factors * best.weights
    left = np.where(best.weights == 0, np.maximum(np.abs(smooth) - l1, 0), smooth + l1 * np.sign(best.weights))
    curvature = np.average(X**2, axis=0, weights=options.get("sample_weight")) / 2 + options["l2"] * factors
    assert (left**2 / (2 * curvature) <= best.gap + 4 * EPS * best.objective).all()
    assert best.objective - least(X, y, best, options) <= best.gap + 8 * EPS * best.objective


def test_the_gap_bounds_what_is_missing_long_before_the_end() -> None:
    ratios = []
    for seed in range(12):
        X, y = problem(seed, m=150, n=8)
        best = gradstep.fit(X, y, l1=0.01)
        for stop in range(1, 5):
            early = gradstep.fit(X, y, l1=0.01, callback=lambda seen, stop=stop: seen.number + 1 >= stop)
            missing = early.objective - best.objective
            assert missing <= early.gap + best.gap
            if missing > 1e-6:
                ratios.append(early.gap / missing)
    print(f"gap over what is missing: median {np.median(ratios):.1f} of {len(ratios)}")
    assert len(ratios) > 10


def test_a_large_l1_leaves_no_weight() -> None:
    X, y = problem(1)
    shares = np.bincount(y) / len(y)
    slopes = gradstep.gradient(X, y, np.zeros((3, 6)), np.log(shares)).weights
    largest = float(np.abs(slopes).max())
    none = gradstep.fit(X, y, l1=largest * (1 + 1e-12))
    assert none.converged and not none.weights.any()
    assert_allclose(none.bias, np.log(shares) - np.log(shares).mean(), atol=1e-8)
    assert np.count_nonzero(gradstep.fit(X, y, l1=0.98 * largest).weights) > 0


@both_dtypes
@pytest.mark.parametrize("n", [5, 350], ids=["all columns", "sets of columns"])
def test_zeros_are_exact_and_the_same_everywhere(dtype: Any, n: int, tmp_path: Path) -> None:
    X, y = problem(2, m=120, n=n)
    X = X.astype(dtype)
    best = gradstep.fit(X, y, l1=0.03, n_threads=1)
    assert best.converged and best.weights.dtype == dtype
    assert 0 < np.count_nonzero(best.weights) < best.weights.size
    for name, same in layouts(X, tmp_path):
        for threads in (1, 3):
            other = gradstep.fit(same, y, l1=0.03, n_threads=threads)
            assert_array_equal(other.weights, best.weights, err_msg=name)
            assert other == best


def test_sparse_rows_and_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    X = sp.random_array((250, 30), density=0.15, rng=rng, format="csr")
    y = np.argmax(X @ rng.normal(size=(30, 4)) * 2 + rng.gumbel(size=(250, 4)), axis=1)
    options: dict[str, Any] = {"l1": 0.004, "gap_tol": 1e-10}
    sparse, dense = gradstep.fit(X, y, **options), gradstep.fit(X.toarray(), y, **options)
    assert sparse.converged and dense.converged
    assert_allclose(sparse.objective, dense.objective, rtol=3e-10)
    s = rng.integers(1, 4, 250)
    weighted = gradstep.fit(X.toarray(), y, **options, sample_weight=s)
    repeated = gradstep.fit(np.repeat(X.toarray(), s, axis=0), np.repeat(y, s), **options)
    assert_allclose(weighted.objective, repeated.objective, rtol=3e-10)
    assert_array_equal(weighted.weights != 0, repeated.weights != 0)


def test_a_hessian_that_does_not_fit_is_refused() -> None:
    y = np.arange(3000)
    X = np.random.default_rng(5).normal(size=(3000, 200))
    with pytest.raises(MemoryError, match=r"weights must fit into memory.*elements of their Hessian"):
        gradstep.fit(X, y, l1=0.1)


def test_a_start_passes_and_a_callback() -> None:
    X, y = problem(4, m=200, n=10)
    best = gradstep.fit(X, y, l1=0.01)
    again = gradstep.fit(X, y, l1=0.01, weights=best.weights, bias=best.bias)
    assert again.converged and again.passes < best.passes
    assert_allclose(again.objective, best.objective, rtol=2e-8)
    short = gradstep.fit(X, y, l1=1e-5, max_passes=2)
    assert short.stop_reason == "passes" and not short.converged
    seen: list[gradstep.Iteration] = []
    stopped = gradstep.fit(X, y, l1=0.01, callback=lambda at: seen.append(at) or len(seen) == 2)
    assert stopped.stop_reason == "callback" and len(seen) == 2
    assert seen[0].weights.shape == (3, 10) and seen[0].bias.shape == (3,)
