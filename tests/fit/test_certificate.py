"""The gap is an upper bound: against a solve in extended precision, with and without penalty."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

import gradstep
from helpers.optima import EPS, SOLVERS, both_solvers, check_certificate, exact_optimum, extended, overlapping
from helpers.problems import both_dtypes
from helpers.results import bits, parts

Array = npt.NDArray[Any]


def random_problem(seed: int) -> tuple[Array, Array, float, Array, bool]:
    """A small problem of any scale, centred or not, weighted or not, with labels 0 and 1 or between: X, y, l2, sample
    weights, and whether there is a bias."""
    random = np.random.default_rng(seed)
    m, n = int(random.integers(3, 60)), int(random.integers(1, 9))
    scale = 10.0 ** random.uniform(-2, 2, n)
    X = (random.normal(size=(m, n)) + random.choice([0.0, 3.0]) * random.normal(size=n)) * scale
    y = random.random(m) if seed % 5 == 0 else (random.random(m) < 0.3 + 0.4 * random.random()).astype(float)
    y[:2] = [0, 1]  # with one label alone there is no optimum
    s = random.integers(0, 4, m).astype(float) if seed % 3 == 0 else np.ones(m)
    s[:2] = 1
    return X, y, float(10.0 ** random.uniform(-5, 0)), s, seed % 7 != 0


@both_solvers
@pytest.mark.parametrize("block", range(10))
def test_the_gap_is_an_upper_bound(solver: Any, block: int, measured: Callable[[str], None]) -> None:
    """Wherever the fit stops: a thousand problems, against the optimum in 80 bits."""
    ratios = []
    for seed in range(100 * block, 100 * block + 100):
        X, y, l2, s, fit_bias = random_problem(seed)
        optimum = exact_optimum(X, y, l2, s, fit_bias)
        random = np.random.default_rng(seed)
        tol = float(10.0 ** random.uniform(-10, -1))
        limit = float(random.choice([3, 6, 1000]))
        best = gradstep.fit(X, y, l2=l2, sample_weight=s, fit_bias=fit_bias, solver=solver, tol=tol, max_passes=limit)
        check_certificate(X, y, l2, s, best, tol, fit_bias)
        at, _, _ = extended(X, y, best.weights, best.bias, l2, s)
        true = float(at - optimum.objective)
        rounding = 32 * float(np.finfo(np.longdouble).eps * at)  # the rounding of the two objectives
        assert best.gap >= 0
        assert true >= -rounding
        assert best.gap >= true - rounding, f"seed {seed}: {best.gap} < {true}"
        if true > 1e3 * rounding and np.isfinite(best.gap):
            ratios.append(best.gap / true)
    if block == 0:
        measured(f"{solver}: reported gap / true gap, median {np.median(ratios):.1f}, largest {max(ratios):.1f}")


def test_a_proof_may_be_too_dear() -> None:
    X, y = overlapping(300, 3)
    best = gradstep.fit(X, y, certify=False)
    assert best.stop_reason == "uncertified" and not best.converged and best.gap == np.inf
    proved = gradstep.fit(X, y)
    assert proved.converged and abs(best.loss - proved.loss) <= proved.gap + 8 * EPS
    assert gradstep.fit(X, y, l2=0.1, certify=False).converged  # proved by duality
    # So many columns that no Hessian is made. Labels between 0 and 1 cannot be separated.
    random = np.random.default_rng(0)
    many = sparse.random(200, 5000, density=0.01, random_state=random, format="csr")
    best = gradstep.fit(many, random.random(200), max_passes=200)
    assert best.stop_reason in ("uncertified", "passes") and not best.converged and best.gap == np.inf


def test_a_gap_that_was_not_asked_for_is_told_all_the_same() -> None:
    X, y = overlapping(400, 6)
    best = gradstep.fit(X, y, tol=1e-2)
    assert best.stop_reason == "tolerance" and not best.converged
    assert 1e-8 * best.objective < best.gap < 1e-3 * best.objective
    loose = gradstep.fit(X, y, tol=1e-2, gap_tol=1e-3)
    assert loose.converged and loose.gap == best.gap


@pytest.mark.parametrize("block", range(4))
def test_the_gap_is_an_upper_bound_without_penalty(block: int, measured: Callable[[str], None]) -> None:
    """Wherever the fit stops, if an optimum exists; against the optimum in 80 bits."""
    ratios = []
    for seed in range(100 * block, 100 * block + 100):
        X, y, _, s, fit_bias = random_problem(seed)
        random = np.random.default_rng(seed)
        best = gradstep.fit(X, y, sample_weight=s, fit_bias=fit_bias, tol=10.0 ** random.uniform(-10, -1))
        if not np.isfinite(best.gap):
            continue  # the fit claims nothing
        kept = np.setdiff1d(np.arange(X.shape[1]), [alias.column for alias in best.aliased])
        optimum = exact_optimum(X[:, kept], y, 0.0, s, fit_bias)
        at, _, _ = extended(X, y, best.weights, best.bias, 0.0, s)
        true = float(at - optimum.objective)
        rounding = 32 * float(np.finfo(np.longdouble).eps * at)
        assert -rounding <= true <= best.gap + rounding, seed
        if true > 1e-12:
            ratios.append(best.gap / true)
    assert np.median(ratios) < 2
    if block == 0:
        measured(f"without penalty: reported gap / true gap, median {np.median(ratios):.2f}, largest {max(ratios):.1f}")


@both_solvers
@both_dtypes
@pytest.mark.parametrize(
    ("m", "n", "l2"),
    [
        (m, n, l2)
        for m, n in [(30, 1), (80, 7), (80, 8), (200, 17), (40, 60), (9000, 5)]
        for l2 in [0.0, 1e-3, 1.0]
        if l2 > 0 or n <= m  # with more columns than rows, the labels would be separable
    ],
)
@pytest.mark.parametrize("fit_bias", [True, False])
def test_optimum_and_certificate(solver: Any, dtype: Any, m: int, n: int, l2: float, fit_bias: bool) -> None:
    X, y = overlapping(m, n, seed=m + n, dtype=dtype)
    tol = 1e-8 if dtype == np.float64 else 1e-5
    best = gradstep.fit(X, y, l2=l2, fit_bias=fit_bias, solver=solver, tol=tol)
    assert best.stop_reason == "tolerance" and best.converged and best.separation is None
    assert best.weights.dtype == dtype and best.weights.shape == (n,)
    assert best.solver == solver
    check_certificate(X, y, l2, None, best, tol, fit_bias)
    assert fit_bias or best.bias == 0.0
    double = X.astype(np.float64)
    optimum = exact_optimum(double, y, l2, np.ones(m), fit_bias)
    at, _, _ = extended(double, y, best.weights, best.bias, l2, np.ones(m))
    true = float(at - optimum.objective)
    rounding = 32 * float(np.finfo(np.longdouble).eps * at)  # the rounding of the two objectives
    assert true >= -rounding
    assert true - rounding <= best.gap
    assert true <= (1e-14 if dtype == np.float64 else 1e-8)


def test_auto_is_lbfgs() -> None:
    X, y = overlapping(50, 3)
    auto, named = gradstep.fit(X, y), gradstep.fit(X, y, solver="lbfgs")
    assert auto.solver == named.solver == "lbfgs"
    assert bits(parts(auto)[:5]) == bits(parts(named)[:5])


def test_tolerance_means_the_gradient_for_both() -> None:
    X, y = overlapping(400, 6)
    for tol in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        for solver in SOLVERS:
            best = gradstep.fit(X, y, l2=1e-2, tol=tol, solver=solver)  # type: ignore[arg-type]
            assert best.gradient_norm <= tol and best.stop_reason == "tolerance"
            assert best.converged == (best.gap <= 1e-8 * best.objective) and best.converged >= (tol <= 1e-6)


@both_solvers
@both_dtypes
def test_what_rounding_forbids_ends_by_its_own_reason(solver: Any, dtype: Any) -> None:
    X, y = overlapping(300, 5, dtype=dtype)
    best = gradstep.fit(X, y, tol=0, solver=solver)
    assert best.stop_reason == "precision" and best.converged  # rounding stops the fit, but the optimum is proved
    assert best.gradient_norm <= 30 * np.finfo(dtype).eps
    assert best.passes < 400


def test_a_gap_is_no_larger_than_the_objective() -> None:
    X, y = [[1.0], [2.0], [3.0], [4.0]], [0, 1, 0, 1]
    for l2, passes in itertools.product((1e-6, 1e-3), (0.5, 1, 2)):
        best = gradstep.fit(X, y, l2=l2, max_passes=passes)
        assert best.gap <= best.objective * (1 + 1e-11)
    assert gradstep.fit(X, y, l2=1e-6, max_passes=0.5).gap < np.inf


@pytest.mark.parametrize("classes", [2, 3])
def test_saturated_predictions_leave_the_objective_as_a_bound(classes: int) -> None:
    """The prior makes every prediction certain, so that no bound by derivatives holds."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = (X[:, 0] > 0).astype(int) if classes == 2 else np.digitize(X[:, 0], [-0.5, 0.5])
    prior = np.array([1e8, 0, 0]) if classes == 2 else np.array([[-1e8, 0, 0], [0, 0, 0], [1e8, 0, 0]])
    best = gradstep.fit(X, y, l2=0.1, prior=prior)
    assert best.objective <= best.gap < np.inf and not best.converged


def test_without_a_proof_no_hessian_is_made() -> None:
    """Beside the solver's own passes X is read twice: to search for separation along single columns, and to evaluate
    the result."""
    X, y = overlapping(300, 3)
    best = gradstep.fit(X, y, certify=False)
    assert best.stop_reason == "uncertified"
    assert best.passes <= best.history["passes"][-1] + 2 < gradstep.fit(X, y).passes
    rare = (np.arange(300) == 7).astype(float)
    best = gradstep.fit(np.column_stack([X, rare]), y, certify=False)
    assert best.stop_reason == "separated" and best.separation is not None
    assert np.flatnonzero(best.separation.weights).tolist() == [3]
