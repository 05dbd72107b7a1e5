"""Penalty factors, a prior, bounds of the weights, and offsets of the rows: where such fits end, and what is proved."""

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
BOUNDS = (("lower", -np.inf), ("upper", np.inf))


def problem(seed: int, m: int = 80, n: int = 6) -> tuple[Array, Array]:
    """Features and labels; the labels depend on about half of the columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    w = rng.normal(size=n) * (rng.random(n) < 0.5)
    y = (X @ w + rng.logistic(size=m) > 0).astype(float)
    y[:2] = [0.0, 1.0]
    return X, y


class Whole:
    """The whole objective in NumPy, at weights split into two parts that are not negative: w = p - q."""

    def __init__(self, X: Array, y: Array, options: dict[str, Any]) -> None:
        m, self.n = X.shape
        self.X, self.y = X, y
        self.l1, self.l2 = options.get("l1", 0.0), options.get("l2", 0.0)
        self.s = options.get("sample_weight", np.ones(m))
        self.offset = options.get("offset", np.zeros(m))
        self.factors = options.get("penalty_factors", np.ones(self.n))
        self.prior = np.broadcast_to(options.get("prior", 0.0), self.n)
        self.lower = np.broadcast_to(options.get("lower", -np.inf), self.n)
        self.upper = np.broadcast_to(options.get("upper", np.inf), self.n)
        self.fit_bias = options.get("fit_bias", True)

    def at(self, w: Array, bias: float) -> float:
        z = self.X @ w + bias + self.offset
        errors = np.logaddexp(0, z) - self.y * z
        penalty = self.factors * (self.l1 * np.abs(w) + 0.5 * self.l2 * (w - self.prior) ** 2)
        return float(np.average(errors, weights=self.s) + penalty.sum())

    def smooth(self, v: Array) -> tuple[float, Array]:
        p, q, bias = v[: self.n], v[self.n : -1], v[-1]
        w = p - q
        z = self.X @ w + bias + self.offset
        r = self.s * (gradstep.sigmoid(z) - self.y) / self.s.sum()
        g = self.X.T @ r + self.factors * self.l2 * (w - self.prior)
        errors = np.logaddexp(0, z) - self.y * z
        square = 0.5 * self.l2 * self.factors * (w - self.prior) ** 2
        value = np.average(errors, weights=self.s) + np.sum(self.factors * self.l1 * (p + q) + square)
        by_bias = r.sum() if self.fit_bias else 0.0
        return float(value), np.concatenate([g + self.factors * self.l1, self.factors * self.l1 - g, [by_bias]])

    def least(self, w: Array, bias: float) -> float:
        """The least value that SciPy's minimiser finds from these weights and this bias."""
        bounds = [
            *zip(np.maximum(self.lower, 0), np.maximum(self.upper, 0), strict=True),
            *zip(np.maximum(-self.upper, 0), np.maximum(-self.lower, 0), strict=True),
            (-np.inf, np.inf),
        ]
        v = np.concatenate([np.maximum(w, 0), np.maximum(-w, 0), [bias]])
        options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-17, "gtol": 1e-13}
        for _ in range(3):
            v = minimize(self.smooth, v, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return self.at(v[: self.n] - v[self.n : -1], float(v[-1]))


def drawn(seed: int) -> tuple[Array, Array, dict[str, Any]]:
    """A random problem, and some of all options."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(30, 120)), int(rng.integers(1, 10))
    X, y = problem(seed, m, n)
    options: dict[str, Any] = {"fit_bias": bool(rng.random() < 0.8)}
    if rng.random() < 0.6:
        options["l1"] = 0.1 * 10.0 ** rng.uniform(-2, 0)
    if rng.random() < 0.6:
        options["l2"] = 10.0 ** rng.uniform(-4, 0)
    if rng.random() < 0.5:
        options["penalty_factors"] = rng.choice([0.0, 0.5, 1.0, 3.0], n)
    if rng.random() < 0.4:
        options["prior"] = rng.normal(size=n)
    if rng.random() < 0.5:
        options["lower"] = np.where(rng.random(n) < 0.5, rng.choice([0.0, -0.5, 0.1]), -np.inf)
    if rng.random() < 0.4:
        lower = options.get("lower", -np.inf)
        options["upper"] = np.where(rng.random(n) < 0.4, np.maximum(lower, 0) + rng.choice([0.0, 0.3, 1.0]), np.inf)
    if rng.random() < 0.4:
        options["offset"] = 2 * rng.normal(size=m)
    if rng.random() < 0.5:
        options["sample_weight"] = np.append([1.0, 1.0], rng.integers(0, 4, m - 2))
    if rng.random() < 0.2:
        y = rng.random(m)
    return X, y, options


@pytest.mark.parametrize("seed", range(120))
def test_no_other_solver_goes_below_the_gap(seed: int) -> None:
    X, y, options = drawn(seed)
    whole = Whole(X, y, options)
    best = gradstep.fit(X, y, **options)
    assert (best.weights >= whole.lower).all() and (best.weights <= whole.upper).all()
    value = whole.at(best.weights, best.bias)
    assert_allclose(best.objective, value, rtol=1e-12)
    assert best.converged or best.stop_reason == "separated"
    assert value - whole.least(best.weights, best.bias) <= best.gap + 8 * EPS * value


def test_early_gaps_are_bounds_and_most_are_near_what_is_missing() -> None:
    ratios = []
    for seed in range(40):
        X, y, options = drawn(1000 + seed)
        best = gradstep.fit(X, y, **options)
        for stop in (1, 2, 3):
            early = gradstep.fit(X, y, **options, callback=lambda seen, stop=stop: seen.number + 1 >= stop)
            missing = early.objective - best.objective
            assert missing <= early.gap + best.gap
            if missing > 1e-6 and np.isfinite(early.gap):
                ratios.append(early.gap / missing)
    print(f"gap over what is missing: median {np.median(ratios):.1f} of {len(ratios)}")
    assert len(ratios) > 40


def test_options_without_effect_change_no_bit() -> None:
    X, y = problem(1)
    for strengths in ({"l2": 0.1}, {"l1": 0.02}, {}):
        plain = gradstep.fit(X, y, **strengths)
        idle: list[dict[str, Any]] = [
            {"penalty_factors": np.ones(6)},
            {"lower": -np.inf, "upper": np.inf},
            {"lower": None, "prior": None, "offset": None},
        ]
        for options in idle:
            assert gradstep.fit(X, y, **strengths, **options) == plain


def test_factors_multiply_the_strengths() -> None:
    X, y = problem(2)
    whole = gradstep.fit(X, y, l1=0.02, l2=0.2)
    parts = gradstep.fit(X, y, l1=0.04, l2=0.4, penalty_factors=np.full(6, 0.5))
    assert_array_equal(parts.weights, whole.weights)
    only = gradstep.fit(X, y, l1=10.0, penalty_factors=[0, 1, 1, 0, 1, 1], gap_tol=1e-12)
    free = gradstep.fit(X[:, [0, 3]], y, gap_tol=1e-12)
    assert_array_equal(np.flatnonzero(only.weights), [0, 3])
    assert_allclose(only.weights[[0, 3]], free.weights, atol=1e-5)
    assert only.converged and free.converged


def test_a_prior_is_a_shift() -> None:
    """With w = μ + u, l2 draws u to 0, and X @ μ is an offset."""
    X, y = problem(3)
    prior = np.linspace(-1, 1, 6)
    for strengths in ({"l2": 0.3}, {"l2": 0.3, "penalty_factors": np.array([0, 1, 2, 1, 1, 0.5])}):
        drawn_to = gradstep.fit(X, y, **strengths, prior=prior, gap_tol=1e-12)
        shifted = gradstep.fit(X, y, **strengths, offset=X @ prior, gap_tol=1e-12)
        assert drawn_to.converged and shifted.converged
        assert_allclose(drawn_to.weights, shifted.weights + prior, atol=1e-5)
        assert_allclose(drawn_to.objective, shifted.objective, rtol=1e-11)
    assert_allclose(gradstep.fit(X, y, l2=1e9, prior=prior).weights, prior, atol=1e-8)


def test_an_offset_is_a_column_of_known_weight() -> None:
    X, y = problem(4)
    offset = np.linspace(-3, 3, len(y))
    wider = np.column_stack([X, offset])
    known = np.append(np.full(6, -np.inf), 1.0), np.append(np.full(6, np.inf), 1.0)
    for strengths in ({"l1": 0.01}, {"l2": 0.01}, {"l1": 0.01, "l2": 0.01}):
        strengths = {**strengths, "gap_tol": 1e-12}
        with_offset = gradstep.fit(X, y, **strengths, offset=offset)
        factors = np.append(np.ones(6), 0.0)
        pinned = gradstep.fit(wider, y, **strengths, lower=known[0], upper=known[1], penalty_factors=factors)
        assert pinned.weights[6] == 1 and pinned.solver == "proximal"
        assert_allclose(with_offset.weights, pinned.weights[:6], atol=1e-5)
        assert_allclose(with_offset.objective, pinned.objective, rtol=1e-11)
    by_steps = gradstep.fit(X, y, l2=0.01, offset=offset, solver="gd")
    assert by_steps.converged
    assert_allclose(by_steps.objective, gradstep.fit(X, y, l2=0.01, offset=offset).objective, rtol=2e-8)


def test_predictions_take_offsets() -> None:
    X, y = problem(17)
    offset = np.linspace(-2, 2, 80)
    best = gradstep.fit(X, y, l2=0.1, offset=offset)
    z = gradstep.decision_function(X, best.weights, best.bias) + offset
    assert_array_equal(best.decision_function(X, offset=offset), z)
    assert_array_equal(best.predict_proba(X, offset=offset), gradstep.sigmoid(z))
    assert_array_equal(best.predict(X, offset=offset), z > 0)
    assert best.predict_proba(X[0], offset=1.0) == gradstep.sigmoid(z[0] - offset[0] + 1.0)
    with pytest.raises(ValueError, match=r"offset must have shape \(80,\) .*got shape \(3,\)"):
        best.predict(X, offset=np.zeros(3))
    single = gradstep.fit(X.astype(np.float32), y, l2=0.1, offset=offset)
    assert single.predict_proba(X.astype(np.float32), offset=offset).dtype == np.float32


def test_an_offset_that_predicts_every_label_separates_nothing() -> None:
    X, y = problem(5)
    offset = 30.0 * (2 * y - 1)
    best = gradstep.fit(X, y, offset=offset)
    assert best.stop_reason != "separated" and best.separation is None
    separable = gradstep.fit(X, (X[:, 0] > 0).astype(float), offset=offset)
    assert separable.stop_reason == "separated"


def test_weights_of_rows_are_repetitions_with_every_option() -> None:
    rng = np.random.default_rng(6)
    X, y = problem(6, m=100)
    s = np.append([1, 1], rng.integers(0, 4, 98))
    offset = rng.normal(size=100)
    options: dict[str, Any] = {
        "l1": 0.01,
        "l2": 0.1,
        "penalty_factors": np.array([1, 0, 1, 2, 1, 1.0]),
        "prior": np.array([0, 0, 0.5, 0, -0.5, 0]),
        "lower": np.array([0, -np.inf, -np.inf, -0.1, -np.inf, 0]),
        "upper": 0.8,
        "gap_tol": 1e-12,
    }
    weighted = gradstep.fit(X, y, **options, sample_weight=s, offset=offset)
    repeated = gradstep.fit(np.repeat(X, s, axis=0), np.repeat(y, s), **options, offset=np.repeat(offset, s))
    assert weighted.converged and repeated.converged
    assert_allclose(weighted.objective, repeated.objective, rtol=1e-11)
    assert_allclose(weighted.weights, repeated.weights, atol=1e-5)


def test_monotone_weights_of_a_large_table() -> None:
    rng = np.random.default_rng(7)
    X = rng.random(size=(3000, 400))
    w = np.where(rng.random(400) < 0.05, 3 * rng.random(400), 0.0)
    y = (X @ w - X.mean(axis=0) @ w + rng.logistic(size=3000) > 0).astype(float)
    best = gradstep.fit(X, y, l1=2e-3, lower=0)
    assert best.converged and (best.weights >= 0).all()
    assert 0 < np.count_nonzero(best.weights) < 400
    slopes = gradstep.gradient(X, y, best.weights, best.bias).weights + 2e-3
    # Slopes are 0, except at weights on the bound, where the objective falls only beyond the bound.
    assert (slopes[best.weights == 0] > -1e-4).all() and (np.abs(slopes[best.weights > 0]) < 1e-4).all()


@both_dtypes
def test_the_same_bits_in_every_layout(dtype: Any, tmp_path: Path) -> None:
    X, y = problem(8, m=150, n=20)
    X = X.astype(dtype)
    bounded: dict[str, Any] = {"l1": 0.01, "lower": -0.1, "upper": 0.3, "offset": np.linspace(-1, 1, 150)}
    smooth: dict[str, Any] = {"l2": 0.1, "prior": 0.1, "offset": np.linspace(-1, 1, 150)}
    for options in (bounded, smooth):
        best = gradstep.fit(X, y, **options, n_threads=1)
        assert best.converged and best.weights.dtype == dtype
        for name, same in layouts(X, tmp_path):
            for threads in (1, 3):
                other = gradstep.fit(same, y, **options, n_threads=threads)
                assert_array_equal(other.weights, best.weights, err_msg=name)
                assert other == best
    assert (best.weights.astype(np.float64) <= 0.3).all() or "prior" in options


def test_float32_weights_stay_within_bounds_of_float64() -> None:
    X, y = problem(9)
    upper, lower = 0.1, -0.1
    best = gradstep.fit(X.astype(np.float32), y, lower=lower, upper=upper)
    assert np.abs(best.weights).max() > 0.0999
    assert (best.weights.astype(np.float64) <= upper).all() and (best.weights.astype(np.float64) >= lower).all()


def test_sparse_rows() -> None:
    rng = np.random.default_rng(10)
    X = sp.random_array((300, 40), density=0.1, rng=rng, format="csr")
    y = (X @ rng.normal(size=40) + 0.3 * rng.logistic(size=300) > 0).astype(float)
    options: dict[str, Any] = {"l2": 0.01, "lower": 0, "offset": rng.normal(size=300), "gap_tol": 1e-11}
    sparse, dense = gradstep.fit(X, y, **options), gradstep.fit(X.toarray(), y, **options)
    assert sparse.converged and dense.converged
    assert_allclose(sparse.objective, dense.objective, rtol=1e-10)


def test_a_start_outside_the_bounds_is_moved_to_them() -> None:
    X, y = problem(11)
    best = gradstep.fit(X, y, l1=0.01, upper=0.2)
    again = gradstep.fit(X, y, l1=0.01, upper=0.2, weights=np.full(6, 5.0), bias=0.0)
    assert again.converged and (again.weights <= 0.2).all()
    assert_allclose(again.objective, best.objective, rtol=2e-8)
    warm = gradstep.fit(X, y, l1=0.01, upper=0.2, weights=best.weights, bias=best.bias)
    assert warm.converged and warm.passes < best.passes


def test_columns_without_penalty_that_separate_are_found() -> None:
    X, y = problem(12)
    X[:, 2] = np.where(y == 1, 1 + np.arange(len(y)), -1.0)
    for strengths in ({"l2": 0.1}, {"l1": 0.01}):
        best = gradstep.fit(X, y, **strengths, penalty_factors=[1, 1, 0, 1, 1, 1])
        assert best.stop_reason == "separated" and not best.converged
        assert best.separation is not None
        assert_array_equal(np.flatnonzero(best.separation.weights), [2])
        assert gradstep.fit(X, y, **strengths).converged


@pytest.mark.parametrize("options", [{"lower": 0.0}, {"l1": 0.01, "penalty_factors": [1, 1, 0, 1]}])
def test_a_constant_column_without_penalty_is_left_out(options: dict[str, Any]) -> None:
    """The bias can do all that its weight can. If the column stayed, both might grow for ever."""
    X, y = problem(3, n=4)
    X[:, 2] = 5.0
    best = gradstep.fit(X, y, **options)
    assert best.converged
    assert [(alias.column, alias.columns, alias.constant) for alias in best.aliased] == [(2, (), 5.0)]
    others = [0, 1, 3]
    if "penalty_factors" in options:
        options = {"l1": 0.01}
    without = gradstep.fit(X[:, others], y, **options)
    assert best.weights[2] == 0.0
    assert_allclose(best.weights[others], without.weights, rtol=1e-6, atol=1e-9)
    assert_allclose(best.objective, without.objective, rtol=1e-8)


def test_a_constant_column_whose_bounds_leave_out_zero_is_kept() -> None:
    X, y = problem(3, n=4)
    X[:, 2] = 5.0
    best = gradstep.fit(X, y, lower=[-np.inf, -np.inf, 0.1, -np.inf], upper=[np.inf, np.inf, 0.2, np.inf])
    assert 0.1 <= best.weights[2] <= 0.2
    assert not best.aliased


def test_columns_without_penalty_that_are_combinations_are_left_out() -> None:
    X, y = problem(4, n=5)
    X[:, 3] = X[:, 0] - 2 * X[:, 1]
    best = gradstep.fit(X, y, l1=0.01, penalty_factors=[0, 0, 1, 0, 1])
    assert best.converged
    assert best.weights[3] == 0.0
    ((column, columns, coefficients, constant),) = best.aliased
    assert (column, columns) == (3, (0, 1))
    assert_allclose(coefficients, [1.0, -2.0], rtol=1e-9)
    assert_allclose(constant, 0.0, atol=1e-9)
    without = gradstep.fit(X[:, [0, 1, 2, 4]], y, l1=0.01, penalty_factors=[0, 0, 1, 1])
    assert_allclose(best.objective, without.objective, rtol=1e-8)


def test_a_combination_of_penalised_columns_is_kept() -> None:
    """The weight of the combination has no penalty; the weights of the columns that it is made of have one."""
    X, y = problem(4, n=4)
    X[:, 3] = X[:, 0] + X[:, 1]
    best = gradstep.fit(X, y, l1=0.01, penalty_factors=[1, 1, 1, 0])
    assert not best.aliased
    assert best.weights[3] != 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"lower": 0.0},
        {"lower": [-np.inf, 0.0, 0.0, 0.0]},
        {"upper": [np.inf, 0.0, 0.0, 0.0]},
        {"l1": 0.01, "penalty_factors": [0, 1, 1, 1]},
    ],
)
def test_labels_that_a_weight_without_penalty_separates(options: dict[str, Any]) -> None:
    """The direction keeps to the bounds, and no error grows along it."""
    X = np.random.default_rng(0).normal(size=(300, 4))
    y = X[:, 0] > 0
    best = gradstep.fit(X, y, **options)
    assert best.stop_reason == "separated"
    assert not best.converged
    assert best.passes < 100
    assert best.separation is not None
    direction = best.separation.weights
    lower, upper = (np.broadcast_to(options.get(name, default), 4) for name, default in BOUNDS)
    assert np.all((direction >= 0) | np.isneginf(lower))
    assert np.all((direction <= 0) | np.isposinf(upper))
    assert np.all(direction[np.array(options.get("penalty_factors", [0] * 4)) > 0] == 0)
    z = X @ direction + best.separation.bias
    assert np.all(z[y] > 0)
    assert np.all(z[~y] < 0)


def test_labels_that_only_a_weight_out_of_bounds_separates() -> None:
    X = np.random.default_rng(0).normal(size=(300, 4))
    best = gradstep.fit(X, X[:, 0] > 0, upper=[0.0, np.inf, np.inf, np.inf])
    assert best.converged
    assert best.separation is None
    assert best.weights[0] == 0.0


def test_factors_for_classes() -> None:
    rng = np.random.default_rng(13)
    X = rng.normal(size=(120, 4))
    y = np.argmax(X[:, :3] + rng.gumbel(size=(120, 3)), axis=1)
    best = gradstep.fit(X, y, l2=0.2, penalty_factors=[1, 0, 2, 1], gap_tol=1e-11)
    assert best.converged
    slopes = gradstep.gradient(X, y, best.weights, best.bias).weights
    assert_allclose(slopes + 0.2 * np.array([1, 0, 2, 1]) * best.weights, 0, atol=1e-5)
    scaled = gradstep.fit(X / np.sqrt([1, 1, 2, 1]), y, l2=0.2, penalty_factors=[1, 0, 1, 1], gap_tol=1e-11)
    assert_allclose(scaled.objective, best.objective, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty_factors": [1, 1]}, "penalty_factors must have length 6 .*got length 2"),
        ({"penalty_factors": [1, 1, -1, 1, 1, 1]}, "penalty_factors must be finite and not negative, got -1 at"),
        ({"penalty_factors": [1, 1, np.inf, 1, 1, 1]}, "penalty_factors must be finite and not negative, got inf"),
        ({"penalty_factors": 2.0}, "penalty_factors must be 1-dimensional"),
        ({"prior": [np.nan] * 6}, "prior must be between −1e100 and 1e100, got nan at index 0"),
        ({"prior": np.zeros((2, 3))}, r"prior must have shape \(6,\) .*, got shape \(2, 3\)"),
        ({"lower": np.nan}, "lower must be .*got nan at index 0"),
        ({"lower": np.inf}, "lower must be .*got inf at index 0"),
        ({"upper": -np.inf}, "upper must be .* or ∞, got -inf at index 0"),
        ({"lower": 1, "upper": [2, 2, 0.5, 2, 2, 2]}, "upper must be at least the lower bounds, got 0.5 at index 2"),
        ({"offset": np.zeros(3)}, "offset must have length 80 .*got length 3"),
        ({"offset": 1.0}, "offset must be 1-dimensional"),
        ({"offset": np.where(np.arange(80) == 7, np.nan, 0.0)}, "offset must be between .*, got nan at row 7"),
        ({"lower": 0, "solver": "lbfgs"}, "solver must be \"auto\" or \"proximal\" with l1 > 0 or bounds"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], message: str) -> None:
    X, y = problem(14)
    with pytest.raises(ValueError, match=message):
        gradstep.fit(X, y, **options)


def test_labels_that_are_all_equal_have_no_optimum() -> None:
    X, _ = problem(16)
    best = gradstep.fit(X, np.ones(80), l2=0.1, prior=0.5, upper=0.3)
    assert best.stop_reason == "separated"
    assert_array_equal(best.weights, np.full(6, 0.3))
