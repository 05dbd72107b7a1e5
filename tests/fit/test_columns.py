"""Columns that are hard to fit: of any unit and offset, rare, nearly alike, or made up by others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

import gradstep
from helpers import oracle
from helpers.optima import EPS, both_solvers, check_certificate, overlapping
from helpers.problems import DTYPES

Array = npt.NDArray[Any]


def start_and_end(m: int = 2000) -> tuple[Array, Array]:
    """Calls with a start and an end in seconds since 1970. The label depends on the time between them."""
    random = np.random.default_rng(3)
    start, took = np.round(1.7e9 + random.uniform(0, 3.15e7, m)), random.integers(1, 600, m)
    return np.column_stack([start, start + took]), (random.random(m) < oracle.sigmoid(took / 100 - 3)).astype(float)


@both_solvers
@pytest.mark.parametrize("held", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_the_time_between_two_columns(solver: Any, held: Any) -> None:
    X, y = start_and_end()
    want = gradstep.fit(np.column_stack([X[:, 0] - X[:, 0].mean(), X[:, 1] - X[:, 0]]), y)
    best = gradstep.fit(held(X), y, solver=solver)
    assert want.converged and (best.converged or solver == "gd")
    assert abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS


@pytest.mark.parametrize("small", [2.0**-k for k in (10, 16, 20, 26, 32, 38)])
def test_a_near_copy_whose_noise_matters(small: float) -> None:
    """A near-copy is a column plus noise. The optimum is that of a model with the noise in place of the near-copy."""
    random = np.random.default_rng(7)
    X = np.round(random.normal(size=(1000, 3)) * 64) / 64
    noise = np.round(random.normal(size=1000) * 64) / 64
    y = (random.random(1000) < oracle.sigmoid(X @ [1, -2, 0.5] + 0.3 + 1.5 * noise)).astype(float)
    want = gradstep.fit(np.column_stack([X, noise]), y)
    best = gradstep.fit(np.column_stack([X, X[:, 0] + small * noise]), y)  # all sums of columns are exact
    assert want.converged and best.converged and best.aliased == ()
    assert abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-100, 1e100, 1e150])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e9])
def test_columns_of_any_scale_and_offset(scale: float, offset: float) -> None:
    X, y = overlapping(200, 3)
    X = np.round(X * 2**16) / 2**16
    moved = X.copy()
    moved[:, 1] = (X[:, 1] + offset) * 2.0 ** np.round(np.log2(scale))
    want = gradstep.fit(X, y)
    for held in (np.asarray, sparse.csr_array):
        best = gradstep.fit(held(moved), y)
        assert best.converged, best.stop_reason
        assert abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS
    if offset == 0:
        assert np.allclose(best.weights[[0, 2]], want.weights[[0, 2]], rtol=1e-6, atol=0)


def test_milliseconds_since_1970_within_seconds() -> None:
    random = np.random.default_rng(2)
    x = 1.7e12 + random.normal(size=300)
    y = (random.random(300) < oracle.sigmoid(2 * (x - 1.7e12))).astype(float)
    best, want = gradstep.fit(x[:, None], y), gradstep.fit((x - x.mean())[:, None], y)
    assert best.converged and abs(best.loss - want.loss) <= best.gap + want.gap


def heavy(seed: int, m: int = 1500, n: int = 30) -> tuple[Array, Array]:
    """float32 columns that are mostly zero, with heavy tails."""
    random = np.random.default_rng(seed)
    X = np.where(random.random((m, n)) < 0.2, np.exp(random.normal(0, 2, (m, n))), 0) * np.exp(random.normal(0, 2, n))
    z = np.log1p(X) @ random.normal(0, 0.7, n)
    return X.astype(np.float32), (random.random(m) < oracle.sigmoid(z - np.median(z))).astype(float)


@both_solvers
@pytest.mark.parametrize("held", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_no_start_improves_on_a_fit_in_single_precision(solver: Any, held: Any) -> None:
    for seed in (0, 33):
        X, y = heavy(seed)
        for l2 in (0.0, 1e-4):
            best = gradstep.fit(held(X), y, l2=l2, solver=solver)
            exact = gradstep.fit(held(X.astype(np.float64)), y, l2=l2)
            assert exact.converged and best.weights.dtype == np.float32
            assert best.converged or solver == "gd"
            rounding = 8 * EPS * exact.objective
            assert -exact.gap - rounding <= best.objective - exact.objective <= best.gap + rounding
            again = gradstep.fit(held(X), y, l2=l2, solver=solver, weights=best.weights, bias=best.bias)
            assert best.objective - again.objective <= best.gap + rounding


@both_solvers
@pytest.mark.parametrize("dtype", DTYPES)
def test_dependent_columns_are_named_and_have_no_weight(solver: Any, dtype: Any) -> None:
    X, y = overlapping(300, 3, dtype=dtype)
    X = np.round(X * 64) / 64
    extra = np.column_stack([np.full(300, 5), X[:, 0] - 2 * X[:, 1] + 3, np.zeros(300), X[:, 2]])
    wide = np.column_stack([X, extra]).astype(dtype)
    best, want = gradstep.fit(wide, y, solver=solver), gradstep.fit(X, y, solver=solver)
    assert [alias.column for alias in best.aliased] == [3, 4, 5, 6]
    assert [alias.columns for alias in best.aliased] == [(), (0, 1), (), (2,)]
    for alias in best.aliased:
        combination = wide[:, list(alias.columns)] @ np.array(alias.coefficients) + alias.constant
        assert np.allclose(wide[:, alias.column], combination, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-5)
    assert (best.weights[3:] == 0).all()
    assert best.converged and abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS
    assert gradstep.fit(wide, y, l2=0.1, solver=solver).aliased == ()  # with a penalty, equal columns share the weight


def test_units_of_the_columns_do_not_matter() -> None:
    """A column of small numbers has a small gradient, but its weight must be right all the same."""
    X, y = overlapping(500, 4, seed=3)
    plain = gradstep.fit(X, y)
    scale, shift = np.array([1e-7, 1e-2, 1e3, 1e6]), np.array([1e-6, -1.0, 5e3, 0.0])
    best = gradstep.fit(X * scale + shift, y)
    assert best.converged
    assert np.allclose(best.weights * scale, plain.weights, rtol=1e-7, atol=0)


@both_solvers
@pytest.mark.parametrize("offset", [1e5, 1e7, 1e9])
def test_columns_may_be_far_from_zero(solver: Any, offset: float) -> None:
    """Variances are computed about the mean, and lose no digits. Scores have the digits that the offset leaves."""
    X, y = overlapping(500, 3, seed=3)
    plain = gradstep.fit(X, y, solver=solver)
    best = gradstep.fit(X + offset * np.array([1, 0, -1]), y, solver=solver)
    noise = 64 * EPS * offset
    assert abs(best.loss - plain.loss) <= noise
    assert np.allclose(best.weights, plain.weights, rtol=0, atol=1e-5 + np.sqrt(noise))


def test_a_column_that_does_not_vary_may_be_far_from_zero() -> None:
    X, y = overlapping(500, 3, seed=3)
    plain = gradstep.fit(X, y)
    best = gradstep.fit(np.column_stack([X, np.full(500, 1e9 / 3)]), y)
    assert abs(best.weights[3]) < 1e-20 and np.allclose(best.weights[:3], plain.weights, rtol=1e-7)


def test_rare_columns_of_a_large_set() -> None:
    """A column that is zero in the samples, and one that is constant in them, get their weights all the same."""
    X, y = overlapping(400_000, 2)
    rows = np.array([17, 18, 90_001, 90_002, 230_000, 399_999])
    y[rows] = [0, 1, 1, 0, 1, 0]  # rare rows of a kind have both labels: they are not separated
    rare = np.tile([0.0, 2.0], (len(X), 1))
    rare[rows] = [[5, 2], [5, 2], [5, 3], [5, 3], [-4, 2], [3, 1]]
    X = np.column_stack([X, rare])
    best = gradstep.fit(X, y)
    assert best.converged and best.history["rows"].min() < len(X)
    assert best.passes < 30
    assert (np.abs(best.weights) > 1e-3).all()
    check_certificate(X, y, 0.0, None, best, 1e-8)


def test_a_column_that_says_nothing_new_keeps_its_weight() -> None:
    X, y = overlapping(200, 3)
    want = gradstep.fit(X, y)
    for extra in (np.full(200, 5.0), np.full(200, -1e6), np.zeros(200), X[:, 1], X @ [1.0, -2.0, 0.5] + 3):
        wide = np.column_stack([X, extra])
        best = gradstep.fit(wide, y)
        assert best.converged
        assert abs(best.weights[3]) * max(1.0, np.abs(extra).max()) <= 1e-7
        assert np.allclose(best.weights[:3], want.weights, rtol=1e-7)
        assert abs(best.objective - want.objective) <= 4 * EPS
        # With a penalty there is only one optimum, and both solvers find it.
        penalised = [gradstep.fit(wide, y, l2=0.1, tol=1e-6, solver=solver) for solver in ("lbfgs", "gd")]
        assert np.allclose(penalised[0].weights, penalised[1].weights, atol=1e-6)
