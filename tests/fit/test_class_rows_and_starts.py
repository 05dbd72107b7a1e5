"""Several classes: what a fit does not depend on, and what it tells meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import gradstep
from helpers.class_optima import check_certificate, overlapping
from helpers.layouts import layouts
from helpers.optima import EPS, SOLVERS, both_solvers, check_huge_rows_of_weight_zero
from helpers.problems import both_dtypes, cases
from helpers.results import bits, numbers

Array = npt.NDArray[Any]


@both_solvers
@both_dtypes
def test_same_bits_for_any_layout(solver: Any, dtype: Any, tmp_path: Path) -> None:
    X, y = overlapping(700, 11, 4, dtype=dtype)
    want = numbers(gradstep.fit(X, y, l2=1e-2, solver=solver))
    for name, layout in layouts(X, tmp_path):
        assert numbers(gradstep.fit(layout, y, l2=1e-2, solver=solver)) == want, name


@both_dtypes
def test_sparse_features(dtype: Any) -> None:
    X, y = overlapping(3000, 40, 4, dtype=dtype)
    X[np.abs(X) < 1] = 0
    options: dict[str, Any] = {"l2": 1e-3, "tol": 1e-8 if dtype == np.float64 else 1e-5}
    dense = gradstep.fit(X, y, **options)
    thin = gradstep.fit(sparse.csr_array(X), y, **options)
    assert thin.converged
    check_certificate(X, y, 1e-3, None, thin, options["tol"])
    assert np.allclose(thin.weights, dense.weights, rtol=0, atol=1e-6 if dtype == np.float64 else 1e-2)
    for matrix in (sparse.csc_array(X), sparse.csr_matrix(X)):
        assert numbers(gradstep.fit(matrix, y, **options)) == numbers(thin)
    for n_threads in (1, 2, 3, 8):
        assert numbers(gradstep.fit(sparse.csr_array(X), y, n_threads=n_threads, **options)) == numbers(thin)


def test_samples_do_not_need_shuffled_rows() -> None:
    X, y = overlapping(60_000, 5, 3)
    mixed = gradstep.fit(X, y, l2=1e-4)
    order = np.argsort(y, kind="stable")
    sorted_ = gradstep.fit(X[order], y[order], l2=1e-4)
    assert sorted_.history["rows"].min() < len(X)
    assert sorted_.converged and sorted_.passes <= mixed.passes + 6
    assert np.allclose(sorted_.weights, mixed.weights, rtol=0, atol=1e-7)


class Weighted(NamedTuple):
    X: Array
    y: Array
    times: Array
    l2: float
    fit_bias: bool


@st.composite
def weighted(draw: st.DrawFn) -> Weighted:
    classes = draw(st.integers(3, 5))
    m, n = draw(st.integers(classes, 20)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    X = np.round(random.normal(size=(m, n)) * 4) / 4
    y, times = random.integers(0, classes, m), random.integers(0, 4, m)
    times[:classes], y[:classes] = 1, np.arange(classes)
    return Weighted(X, y, times, draw(st.sampled_from([1e-3, 0.1, 1.0])), draw(st.booleans()))


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=cases(1000))
@given(problem=weighted())
def test_weights_are_repetition(solver: Any, problem: Weighted, count_case: Callable[[], None]) -> None:
    """The objective curves by at least l2 along the weights, so both fits are within √(2·gap/l2) of the one optimum."""
    count_case()
    X, y, times, l2, fit_bias = problem
    options: dict[str, Any] = {"l2": l2, "fit_bias": fit_bias, "solver": solver}
    once = gradstep.fit(X, y, sample_weight=times, **options)
    repeated = gradstep.fit(np.repeat(X, times, axis=0), np.repeat(y, times), **options)
    assert max(once.gap, repeated.gap) <= 1e-12
    radius = np.sqrt(2 * once.gap / l2) + np.sqrt(2 * repeated.gap / l2)
    assert np.linalg.norm(once.weights - repeated.weights) <= radius
    assert abs(once.objective - repeated.objective) <= max(once.gap, repeated.gap) + 16 * EPS


@both_solvers
@pytest.mark.parametrize("held", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_a_row_of_weight_zero_may_be_huge(solver: Any, held: Any) -> None:
    check_huge_rows_of_weight_zero(*overlapping(400, 100, 3), held, solver)


@both_solvers
def test_a_warm_start_saves_passes(solver: Any) -> None:
    X, y = overlapping(2000, 10, 4)
    cold = gradstep.fit(X, y, l2=1e-2, solver=solver)
    for common in (0.0, 3.0):  # a vector common to all classes must change nothing
        warm = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=cold.weights + common, bias=cold.bias - common)
        assert warm.converged and warm.n_iterations <= 1 and warm.passes < cold.passes
    far = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=1e6 * cold.weights)
    assert far.converged and np.allclose(far.weights, cold.weights, rtol=0, atol=1e-7)


@both_solvers
@both_dtypes
def test_history_and_callback_tell_the_same(solver: Any, dtype: Any) -> None:
    X, y = overlapping(30_000, 6, 3, dtype=dtype)
    seen: list[gradstep.Iteration] = []
    best = gradstep.fit(X, y, l2=1e-3, solver=solver, tol=1e-5, callback=seen.append)
    assert len(best.history) == best.n_iterations == len(seen)
    assert seen[-1].weights.shape == (3, 6) and seen[-1].bias.shape == (3,)
    assert seen[-1].weights.dtype == seen[-1].bias.dtype == dtype
    assert bits((seen[-1].weights,)) == bits((best.weights,))
    assert seen[-1].objective == best.history["objective"][-1]
    # The returned objective is evaluated again, in float64 at the rounded weights.
    assert abs(seen[-1].objective - best.objective) <= 64 * np.finfo(dtype).eps * best.objective
    stopped = gradstep.fit(X, y, l2=1e-3, solver=solver, callback=lambda iteration: iteration.number == 1)
    assert stopped.stop_reason == "callback" and stopped.n_iterations == 2
    check_certificate(X, y, 1e-3, None, stopped, 1e-8)


@both_solvers
@pytest.mark.parametrize("limit", [1, 4, 8])
def test_passes_are_limited(solver: Any, limit: float) -> None:
    X, y = overlapping(3000, 20, 3)
    best = gradstep.fit(X * 10.0 ** np.linspace(-3, 3, 20), y, l2=1e-6, tol=1e-14, solver=solver, max_passes=limit)
    assert best.stop_reason == "passes"
    # Beyond the limit, the iteration under way is finished, with a Hessian of each class, and the certificate is made:
    # by duality, and then by the Hessian, which is a matrix for each of six pairs of classes and one for the columns.
    assert best.passes <= limit + 19
    assert np.isfinite(best.objective)
