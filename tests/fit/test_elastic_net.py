"""Fits with an l1 penalty: where they end, what is proved of it, and that zeros are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

import gradstep
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes

EPS = np.finfo(np.float64).eps


def problem(seed: int, m: int = 80, n: int = 9, *, noise: float = 1.0) -> tuple[Array, Array]:
    """Features and labels. Columns have different scales and offsets; the labels depend on a third of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-1, 1, n) + rng.normal(size=n)
    w = np.where(rng.random(n) < 0.4, rng.normal(size=n), 0.0) / X.std(axis=0)
    z = (X - X.mean(axis=0)) @ w * 2 + noise * rng.logistic(size=m)
    y = (z > 0).astype(float)
    y[:2] = [0.0, 1.0]
    return X, y


def largest_l1(X: Array, y: Array, sample_weight: Array | None = None, *, fit_bias: bool = True) -> float:
    """The least l1 for which all weights are 0: the largest slope at weights of 0 and the best bias for them."""
    mean = np.average(y, weights=sample_weight)
    bias = float(np.log(mean / (1 - mean))) if fit_bias else 0.0
    slopes = gradstep.gradient(X, y, np.zeros(X.shape[1]), bias, sample_weight=sample_weight)
    return float(np.abs(slopes.weights).max())


def objective(X: Any, y: Array, best: gradstep.Optimum, l1: float, l2: float, s: Array | None = None) -> float:
    w = best.weights.astype(np.float64)
    loss = gradstep.loss(X, y, w, float(best.bias), sample_weight=s)
    return float(loss + l1 * np.abs(w).sum() + 0.5 * l2 * w @ w)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_no_slope_is_left_and_the_gap_is_a_bound(seed: int, l2: float) -> None:
    rng = np.random.default_rng(1000 + seed)
    X, y = problem(seed, m=int(rng.integers(20, 200)), n=int(rng.integers(1, 30)))
    s = rng.integers(0, 4, len(y)).astype(float) if seed % 3 == 0 else None
    fit_bias = seed % 4 != 1
    if s is not None:
        s[:2] = 1.0
    l1 = largest_l1(X, y, s, fit_bias=fit_bias) * 10.0 ** rng.uniform(-3, 0)
    options: dict[str, Any] = {"l1": l1, "l2": l2, "sample_weight": s, "fit_bias": fit_bias}
    best = gradstep.fit(X, y, **options)
    assert best.converged and best.stop_reason == "tolerance" and best.solver == "proximal"
    assert 0 <= best.gap <= 1e-8 * best.objective
    # The objective is a sum of positive terms, each right to a few ε.
    np.testing.assert_allclose(best.objective, objective(X, y, best, l1, l2, s), rtol=1e-12)

    # A step by a coordinate decreases the objective by slope² / (2 curvature) at least, and σ' ≤ 1/4.
    loss = gradstep.gradient(X, y, best.weights, best.bias, sample_weight=s)
    slopes = loss.weights + l2 * best.weights
    left = np.where(best.weights == 0, np.maximum(np.abs(slopes) - l1, 0), slopes + l1 * np.sign(best.weights))
    curvature = 0.25 * np.average(X**2, axis=0, weights=s) + l2
    assert (left**2 / (2 * curvature) <= best.gap + 4 * EPS * best.objective).all()
    np.testing.assert_allclose(best.gradient_norm, max(np.abs(left).max(), abs(loss.bias) * fit_bias), atol=1e-12)

    # Sums of residual × x have errors of some ε of their terms, which cancel. Beside a small l1, these errors are what
    # is left of the gap.
    closer = gradstep.fit(X, y, **options, gap_tol=1e-11)
    assert best.objective - closer.objective <= best.gap + 8 * EPS * best.objective
    assert closer.gap <= 1e-10 * closer.objective


def test_the_gap_bounds_what_is_missing_long_before_the_end() -> None:
    tight = []
    for seed in range(20):
        X, y = problem(seed, m=150, n=12)
        l1 = 0.05 * largest_l1(X, y)
        best = gradstep.fit(X, y, l1=l1, gap_tol=1e-12)
        for stop in range(1, 5):
            early = gradstep.fit(X, y, l1=l1, callback=lambda seen, stop=stop: seen.number + 1 >= stop)
            missing = early.objective - best.objective
            assert missing <= early.gap + best.gap
            if missing > 1e-6 and np.isfinite(early.gap):
                tight.append(early.gap / missing)
    print(f"gap over what is missing: median {np.median(tight):.1f}, largest {np.max(tight):.1f}, of {len(tight)}")
    assert len(tight) > 10


@both_dtypes
@pytest.mark.parametrize("n", [7, 400], ids=["all columns", "sets of columns"])
def test_zeros_are_exact_and_the_same_everywhere(dtype: Any, n: int, tmp_path: Path) -> None:
    X, y = problem(5, m=120, n=n)
    X = X.astype(dtype)
    l1 = 0.2 * largest_l1(X, y)
    best = gradstep.fit(X, y, l1=l1, n_threads=1)
    assert 0 < np.count_nonzero(best.weights) < n
    assert best.weights.dtype == dtype
    for name, same in layouts(X, tmp_path):
        for threads in (1, 3):
            other = gradstep.fit(same, y, l1=l1, n_threads=threads)
            assert_array_equal(other.weights, best.weights, err_msg=name)
            assert other == best


@pytest.mark.parametrize("n", [12, 500])
def test_sparse_and_dense_end_at_the_same_optimum(n: int) -> None:
    rng = np.random.default_rng(8)
    X = sp.random_array((300, n), density=0.05, rng=rng, format="csr")
    y = (X @ rng.normal(size=n) + 0.3 * rng.logistic(size=300) > 0).astype(float)
    l1 = 0.1 * largest_l1(X, y)
    sparse, dense = gradstep.fit(X, y, l1=l1, gap_tol=1e-10), gradstep.fit(X.toarray(), y, l1=l1, gap_tol=1e-10)
    assert sparse.converged and dense.converged
    # Both are within 1e-10 of the minimum.
    np.testing.assert_allclose(sparse.objective, dense.objective, rtol=2e-10)
    assert_array_equal(sparse.weights != 0, dense.weights != 0)


@pytest.mark.parametrize("seed", range(24))
def test_few_elements_in_many_columns(seed: int) -> None:
    """Coordinate descent by sparse columns ends where the fit of the dense matrix ends, with any option."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(20, 150)), int(rng.integers(40, 700))
    X = sp.random_array((m, n), density=min(0.9, 4 / n), rng=rng, format="csr")
    y = (X @ (rng.normal(size=n) * (rng.random(n) < 0.3)) + 0.5 * rng.logistic(size=m) > 0).astype(float)
    y[:2] = [0.0, 1.0]
    l1 = 10.0 ** rng.uniform(-2, 0) * largest_l1(X, y)
    options: dict[str, Any] = {"l1": l1, "l2": [0.0, 1e-3][seed % 2], "fit_bias": seed % 3 > 0}
    if seed % 4 == 1:
        options |= {"lower": 0.0, "offset": rng.normal(size=m)}
    if seed % 4 == 2:
        options["sample_weight"] = np.append([1, 1], rng.integers(0, 3, m - 2))
    if seed % 4 == 3:
        options["penalty_factors"] = rng.choice([0.5, 1.0, 2.0], n)
    sparse, dense = gradstep.fit(X, y, **options), gradstep.fit(X.toarray(), y, **options)
    assert sparse.converged and dense.converged
    assert abs(sparse.objective - dense.objective) <= max(sparse.gap, dense.gap) + 8 * EPS
    assert gradstep.fit(X, y, **options, n_threads=3) == sparse
    assert gradstep.fit(X.tocsc(), y, **options) == sparse


@pytest.mark.parametrize(
    ("m", "n", "part", "passes"),
    [(20_000, 20, 0.03, 11), (5000, 310, 0.1, 9), (3000, 400, 0.3, 9), (400, 800, 0.03, 20)],
)
def test_the_gap_is_proved_at_the_first_attempt(m: int, n: int, part: float, passes: float) -> None:
    """A second proof costs another read, and where columns are copied, another copy."""
    X, y = problem(5, m=m, n=n)
    best = gradstep.fit(X, y, l1=part * largest_l1(X, y))
    assert best.converged and best.passes <= passes


def test_nearly_dependent_sparse_columns() -> None:
    """Pairs of words that nearly always come together: coordinate descent alone would take thousands of sweeps."""
    rng = np.random.default_rng(0)
    m, n, words = 1000, 600, 6
    first = rng.integers(0, n // 2, m * words)
    rows = np.repeat(np.arange(m), words)
    both = rng.random(first.size) < 0.97
    rows, columns = np.append(rows, rows[both]), np.append(first, first[both] + n // 2)
    X = sp.csr_array((np.ones(rows.size), (rows, columns)), (m, n))
    X.data[:] = 1.0
    y = (X @ (2 * rng.standard_normal(n)) + rng.logistic(size=m) > 0).astype(float)
    best = gradstep.fit(X, y, l1=0.01 * largest_l1(X, y))
    assert best.converged and best.passes <= 100


def test_rows_that_store_columns_twice_and_out_of_order() -> None:
    rng = np.random.default_rng(2)
    m, n, stored = 4000, 2000, 30
    columns = (n * rng.random((m, stored)) ** 3).astype(int)
    X = sp.csr_array((rng.random(m * stored), columns.ravel(), np.arange(0, m * stored + 1, stored)), (m, n))
    tidy = X.copy()
    tidy.sum_duplicates()
    assert tidy.nnz < X.nnz
    y = (tidy @ (3 * rng.standard_normal(n)) + rng.logistic(size=m) > 0).astype(float)
    l1 = 0.1 * largest_l1(tidy, y)
    messy, best = gradstep.fit(X, y, l1=l1), gradstep.fit(tidy, y, l1=l1)
    assert messy.converged and best.converged and messy.passes <= 15
    assert abs(messy.objective - best.objective) <= max(messy.gap, best.gap)
    assert_array_equal(messy.weights != 0, best.weights != 0)
    assert gradstep.fit(X, y, l1=l1, n_threads=3) == messy


def test_weights_of_rows_are_repetitions() -> None:
    X, y = problem(3)
    s = np.random.default_rng(0).integers(0, 4, len(y))
    s[:2] = 1
    l1 = 0.1 * largest_l1(X, y, s.astype(float))
    weighted = gradstep.fit(X, y, l1=l1, sample_weight=s, gap_tol=1e-11)
    repeated = gradstep.fit(np.repeat(X, s, axis=0), np.repeat(y, s), l1=l1, gap_tol=1e-11)
    assert_array_equal(weighted.weights != 0, repeated.weights != 0)
    # Each fit is within its gap of the minimum. From the minimum, a change δ of the bias and of the weights that are
    # not 0 raises the objective by δᵀ H δ / 2, with its Hessian H; 5 % are allowed for third derivatives.
    far = np.sqrt(2 * max(weighted.gap, repeated.gap))
    used = np.append(weighted.weights != 0, True)
    H = gradstep.hessian(X, weighted.weights, weighted.bias, sample_weight=s)[np.ix_(used, used)]
    apart = np.append(weighted.weights - repeated.weights, weighted.bias - repeated.bias)[used]
    assert np.sqrt(apart @ H @ apart) <= 2.1 * far
    assert abs(weighted.objective - repeated.objective) <= weighted.gap + repeated.gap + 8 * EPS


@pytest.mark.parametrize("fit_bias", [True, False])
def test_at_the_largest_l1_all_weights_are_zero(fit_bias: bool) -> None:
    X, y = problem(11)
    l1 = largest_l1(X, y, fit_bias=fit_bias)
    above = gradstep.fit(X, y, l1=l1 * (1 + 1e-9), fit_bias=fit_bias)
    assert not above.weights.any() and above.converged
    mean = y.mean()
    np.testing.assert_allclose(above.bias, np.log(mean / (1 - mean)) if fit_bias else 0.0, rtol=1e-9)
    assert gradstep.fit(X, y, l1=0.9 * l1, fit_bias=fit_bias).weights.any()


def test_scikit_learn_finds_no_better_optimum() -> None:
    sklearn = pytest.importorskip("sklearn")
    linear_model = pytest.importorskip("sklearn.linear_model")
    for seed in range(4):
        X, y = problem(seed, m=100, n=6)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        l1, l2 = 0.1 * largest_l1(X, y), 1e-3
        best = gradstep.fit(X, y, l1=l1, l2=l2, gap_tol=1e-12)
        options: dict[str, Any] = {"C": 1 / (len(y) * (l1 + l2)), "l1_ratio": l1 / (l1 + l2)}
        if sklearn.__version__.startswith(("1.6", "1.7")):  # these versions use l1_ratio only with this penalty
            options["penalty"] = "elasticnet"
        peer = linear_model.LogisticRegression(solver="saga", tol=1e-10, max_iter=100_000, **options)
        peer.fit(X, y)
        np.testing.assert_allclose(best.weights, peer.coef_[0], atol=1e-6)
        np.testing.assert_allclose(best.bias, peer.intercept_[0], atol=1e-6)


def test_separated_labels_have_an_optimum() -> None:
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    best = gradstep.fit(X, [0, 0, 1, 1], l1=0.01)
    assert best.converged and best.separation is None


@pytest.mark.parametrize("l1", [0.003, 0.05])
def test_float32_and_far_offsets_are_proved(l1: float) -> None:
    """The bound by duality is made of the weights before they are rounded, and of columns shifted near their means."""
    rng = np.random.default_rng(12)
    X = rng.normal(size=(500, 10))
    y = X[:, 0] - X[:, 1] + rng.logistic(size=500) > 0
    single = gradstep.fit(X.astype(np.float32), y, l1=l1)
    assert single.converged and single.weights.dtype == np.float32
    exact = gradstep.fit(X.astype(np.float32).astype(np.float64), y, l1=l1, gap_tol=1e-11)
    assert single.objective - exact.objective <= single.gap + exact.gap
    far = gradstep.fit(X + 1e4, y, l1=l1)
    assert far.converged
    assert_array_equal(far.weights != 0, gradstep.fit(X, y, l1=l1).weights != 0)


def test_the_gap_is_never_above_the_objective() -> None:
    """No objective is negative, so that the gap is at most the objective. On powers of a number the solver is slow."""
    x = np.linspace(0, 10, 200)
    X, y = np.column_stack([x**k for k in range(1, 8)]), np.sin(x) > np.cos(3 * x)
    early = gradstep.fit(X, y, l1=1e-3, l2=1e-3, max_passes=5)
    assert early.gap <= early.objective * (1 + 1e-6)


def test_labels_of_one_class_have_none() -> None:
    best = gradstep.fit([[0.0], [1.0]], [1, 1], l1=0.1)
    assert not best.converged and best.stop_reason == "separated"


def test_it_starts_where_it_is_told() -> None:
    X, y = problem(2, m=400)
    l1 = 0.05 * largest_l1(X, y)
    best = gradstep.fit(X, y, l1=l1)
    again = gradstep.fit(X, y, l1=l1, weights=best.weights, bias=best.bias)
    assert again.converged and again.n_iterations <= 1


@pytest.mark.parametrize("n", [9, 400])
def test_the_callback_sees_all_weights_and_may_stop(n: int) -> None:
    X, y = problem(4, n=n)
    seen: list[gradstep.Iteration] = []

    def stop(iteration: gradstep.Iteration) -> bool:
        seen.append(iteration)
        return len(seen) == 2

    best = gradstep.fit(X, y, l1=0.05 * largest_l1(X, y), callback=stop)
    assert best.stop_reason == "callback" and len(seen) == best.n_iterations == 2
    assert all(iteration.weights.shape == (n,) for iteration in seen)
    assert seen[1].objective < seen[0].objective


def test_the_callback_stops_samples_of_the_rows_too() -> None:
    X, y = problem(4, m=20_000)
    seen: list[int] = []
    best = gradstep.fit(X, y, l1=0.05 * largest_l1(X, y), callback=lambda it: seen.append(it.rows) or True)
    assert best.stop_reason == "callback" and len(seen) == best.n_iterations == 1
    assert seen[0] < len(X)


@pytest.mark.parametrize("passes", range(1, 12))
def test_passes_are_limited(passes: int) -> None:
    X, y = problem(6, n=30)
    best = gradstep.fit(X, y, l1=1e-4 * largest_l1(X, y), max_passes=passes)
    assert best.stop_reason == "passes" and not best.converged
    assert best.passes < passes + 9  # the iteration under way is finished, and a proof is made


def test_tol_stops_at_a_small_subgradient() -> None:
    X, y = problem(7)
    l1 = 0.05 * largest_l1(X, y)
    best = gradstep.fit(X, y, l1=l1, tol=1e-3)
    assert best.stop_reason == "tolerance" and 1e-10 < best.gradient_norm <= 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1.0}, "l1 must be finite and not negative, got -1"),
        ({"l1": np.inf}, "l1 must be finite and not negative, got inf"),
        ({"l1": "much"}, "l1 must be a real number, got str"),
        ({"l1": 0.1, "solver": "lbfgs"}, 'solver must be "auto" or "proximal" with l1 > 0 or bounds, got "lbfgs"'),
        ({"l1": 0.1, "solver": "gd"}, 'solver must be "auto" or "proximal" with l1 > 0 or bounds, got "gd"'),
        ({"solver": "proximal"}, 'solver must be "auto", "lbfgs" or "gd" without l1 and bounds, got "proximal"'),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as refusal:
        gradstep.fit([[0.0], [1.0]], [0, 1], **options)
    assert message in str(refusal.value)
