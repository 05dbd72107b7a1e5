"""The optimum for SciPy's CSR and CSC is that for the dense matrix, which is never made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import gradstep
from helpers import oracle
from helpers.matrices import drawn_labels, scattered, text_like
from helpers.optima import both_solvers, check_certificate, check_separation, exact_optimum, extended
from helpers.problems import both_dtypes


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n", "density"), [(80, 7, 0.4), (300, 40, 0.1), (40, 200, 0.05), (9000, 5, 0.5)])
@pytest.mark.parametrize("fit_bias", [True, False])
def test_optimum_and_certificate(solver: Any, dtype: Any, m: int, n: int, density: float, fit_bias: bool) -> None:
    X = text_like(m, n, dtype, density=density)
    y, l2, ones = drawn_labels(X), 1e-2, np.ones(m)
    tol = 1e-8 if dtype == np.float64 else 1e-5
    optimum = exact_optimum(X.toarray().astype(np.float64), y, l2, ones, fit_bias)
    for matrix in (X, scattered(X)):
        best = gradstep.fit(matrix, y, l2=l2, fit_bias=fit_bias, solver=solver, tol=tol)
        assert best.stop_reason == "tolerance" and best.converged and best.weights.dtype == dtype
        dense = matrix.toarray()
        check_certificate(dense, y, l2, None, best, tol, fit_bias)
        at, _, _ = extended(dense.astype(np.float64), y, best.weights, best.bias, l2, ones)
        true = float(at - optimum.objective)
        rounding = 32 * float(np.finfo(np.longdouble).eps * at)
        assert -rounding <= true <= (1e-14 if dtype == np.float64 else 1e-8)
        assert best.gap >= true - rounding
        same = gradstep.fit(dense, y, l2=l2, fit_bias=fit_bias, solver=solver, tol=tol)
        assert abs(best.objective - same.objective) <= (1e-14 if dtype == np.float64 else 1e-7)


@both_solvers
def test_the_gap_is_an_upper_bound(solver: Any) -> None:
    """Wherever the fit stops, and also if elements of X are stored in several parts, which must be added."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        m, n = int(random.integers(3, 60)), int(random.integers(1, 9))
        X = text_like(m, n, seed=seed, density=float(random.uniform(0.1, 1.0))) * 10.0 ** random.uniform(-2, 2, n)
        X = scattered(scipy.sparse.csr_array(X), seed)
        y, s = random.integers(0, 2, m).astype(float), random.integers(0, 4, m).astype(float)
        y[:2], s[:2] = [0, 1], 1
        l2, tol = float(10.0 ** random.uniform(-5, 0)), float(10.0 ** random.uniform(-10, -1))
        limit = float(random.choice([3, 6, 1000]))
        best = gradstep.fit(X, y, l2=l2, sample_weight=s, solver=solver, tol=tol, max_passes=limit)
        dense = X.toarray()
        optimum = exact_optimum(dense, y, l2, s)
        at, _, _ = extended(dense, y, best.weights, best.bias, l2, s)
        true = float(at - optimum.objective)
        rounding = 32 * float(np.finfo(np.longdouble).eps * at)
        assert true >= -rounding
        assert best.gap >= true - rounding, f"seed {seed}: {best.gap} < {true}"


@pytest.mark.parametrize("n", [20, 200])
def test_samples_of_many_rows(n: int) -> None:
    X = text_like(60_000, n, density=0.1)
    y = drawn_labels(X)
    best = gradstep.fit(X, y)
    assert best.converged and best.history["rows"][0] < 60_000
    want = oracle.gradient(X.toarray(), y, best.weights, best.bias)
    assert max(np.abs(want.weights).max(), abs(want.bias)) <= 2e-8


def test_a_warm_start_saves_passes() -> None:
    X = text_like(3000, 30, density=0.2)
    y = drawn_labels(X)
    first = gradstep.fit(X, y, l2=1e-3)
    again = gradstep.fit(X, y, l2=1e-3, weights=first.weights, bias=first.bias)
    assert again.converged and again.passes < first.passes / 2


@both_dtypes
def test_a_trainer_without_a_learning_rate_ends_at_the_optimum(dtype: Any) -> None:
    X = text_like(500, 30, dtype, density=0.2)
    y = drawn_labels(X)
    fit = gradstep.Trainer("auto", 500, l2=1e-2).fit(X, y)
    best = gradstep.fit(X.astype(np.float64), y, l2=1e-2)
    assert np.allclose(fit.weights, best.weights, atol=1e-6 if dtype == np.float64 else 1e-3)


@both_solvers
def test_weights_are_repetition(solver: Any) -> None:
    X = text_like(400, 15, density=0.3)
    y = drawn_labels(X)
    s = np.random.default_rng(0).integers(0, 4, 400)
    best = gradstep.fit(X, y, l2=1e-3, sample_weight=s, solver=solver)
    rows = np.repeat(np.arange(400), s)
    repeated = gradstep.fit(X[rows], y[rows], l2=1e-3, solver=solver)
    assert abs(best.objective - repeated.objective) <= 1e-14
    assert np.allclose(best.weights, repeated.weights, atol=1e-6)


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(60, 5), (50, 300)])
def test_separation(solver: Any, dtype: Any, m: int, n: int) -> None:
    X = text_like(m, n, dtype, density=0.3)
    y = (X @ np.random.default_rng(1).normal(size=n) > 0.1).astype(float)
    best = gradstep.fit(X, y, solver=solver, max_passes=5000)
    check_separation(X.toarray(), y, best)


def test_a_column_that_only_one_class_has() -> None:
    X = text_like(2000, 4, density=0.5).toarray()
    X[:, 0] = np.arange(2000) % 10 == 0
    y = drawn_labels(scipy.sparse.csr_array(X[:, 1:]))
    y[X[:, 0] == 1] = 1
    best = gradstep.fit(scipy.sparse.csr_array(X), y)
    check_separation(X, y, best)
    assert best.separation is not None and best.separation.weights.tolist() == [1, 0, 0, 0]


@both_solvers
def test_values_that_are_refused(solver: Any) -> None:
    X = text_like(20, 6, density=0.5)
    y = np.arange(20) % 2
    X.data[3] = np.nan
    row = int(np.searchsorted(X.indptr, 3, side="right")) - 1
    with pytest.raises(ValueError, match=rf"^X must be finite, got nan at row {row}, column {X.indices[3]}$"):
        gradstep.fit(X, y, solver=solver)
    X.data[3] = 1e300
    with pytest.raises(ValueError, match=r"^X must be small enough for sums of its squares to be finite, got 1e300$"):
        gradstep.fit(X, y, l2=1e-3, solver=solver)


@both_solvers
def test_never_dense(solver: Any) -> None:
    """As a dense array X would take 64 GB, and the Hessian 8 TB."""
    m, n = 8000, 1_000_000
    random = np.random.default_rng(0)
    columns = np.sort(random.integers(0, n, (m, 20)), axis=1)
    X = scipy.sparse.csr_array((random.normal(size=20 * m), columns.ravel(), np.arange(0, 20 * m + 1, 20)), (m, n))
    y = random.integers(0, 2, m)
    best = gradstep.fit(X, y, l2=1e-3, tol=1e-6, solver=solver)
    assert best.converged and best.gap < 1e-6


def test_inputs_are_not_changed() -> None:
    X = text_like(200, 20, density=0.2)
    before = [part.tobytes() for part in (X.data, X.indices, X.indptr)]
    gradstep.fit(X, drawn_labels(X), l2=1e-2)
    assert [part.tobytes() for part in (X.data, X.indices, X.indptr)] == before
