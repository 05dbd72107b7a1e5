"""What a fit does not depend on: layout, order and repetition of rows, and where it starts."""

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
from helpers.layouts import layouts
from helpers.optima import EPS, SOLVERS, both_solvers, check_huge_rows_of_weight_zero, overlapping
from helpers.problems import both_dtypes, cases
from helpers.results import numbers

Array = npt.NDArray[Any]


@both_solvers
@both_dtypes
def test_same_bits_for_any_layout(solver: Any, dtype: Any, tmp_path: Path) -> None:
    X, y = overlapping(700, 11, dtype=dtype)
    want = numbers(gradstep.fit(X, y, l2=1e-2, solver=solver))
    for name, layout in layouts(X, tmp_path):
        assert numbers(gradstep.fit(layout, y, l2=1e-2, solver=solver)) == want, name


def test_samples_do_not_need_shuffled_rows() -> None:
    X, y = overlapping(60_000, 5)
    mixed = gradstep.fit(X, y, l2=1e-4)
    for order in (np.argsort(y, kind="stable"), np.argsort(X[:, 0]), np.argsort(-X[:, 1])):
        sorted_ = gradstep.fit(X[order], y[order], l2=1e-4)
        assert sorted_.history["rows"].min() < len(X)
        assert sorted_.converged and sorted_.passes <= mixed.passes + 4
        assert np.allclose(sorted_.weights, mixed.weights, rtol=1e-9, atol=1e-9)


class Weighted(NamedTuple):
    X: Array
    y: Array
    times: Array
    l2: float
    fit_bias: bool


@st.composite
def weighted(draw: st.DrawFn) -> Weighted:
    m, n = draw(st.integers(2, 20)), draw(st.integers(1, 10))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    X = np.round(random.normal(size=(m, n)) * 4) / 4
    y = random.integers(0, 2, m).astype(float) if draw(st.booleans()) else random.random(m)
    times = random.integers(0, 4, m)
    times[:2], y[:2] = 1, [0, 1]
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
    assert max(once.gap, repeated.gap) <= 1e-13
    radius = np.sqrt(2 * once.gap / l2) + np.sqrt(2 * repeated.gap / l2)
    assert np.linalg.norm(once.weights - repeated.weights) <= radius
    assert abs(once.objective - repeated.objective) <= max(once.gap, repeated.gap) + 16 * EPS


@both_solvers
@pytest.mark.parametrize("held", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_a_row_of_weight_zero_may_be_huge(solver: Any, held: Any) -> None:
    check_huge_rows_of_weight_zero(*overlapping(400, 100), held, solver)


def test_inputs_are_not_modified_and_lists_will_do() -> None:
    X, y = overlapping(40, 3)
    s, w = np.ones(40), np.zeros(3)
    before = [values.copy() for values in (X, y, s, w)]
    for values in (X, y, s, w):
        values.flags.writeable = False
    best = gradstep.fit(X, y, l2=0.1, sample_weight=s, weights=w, bias=0.0)
    assert all((now == then).all() for now, then in zip((X, y, s, w), before, strict=True))
    again = gradstep.fit(X.tolist(), y.astype(int).tolist(), l2=0.1, sample_weight=s.tolist(), weights=w.tolist())
    assert np.allclose(best.weights, again.weights, rtol=0, atol=1e-9)


@both_solvers
def test_a_warm_start_saves_passes(solver: Any) -> None:
    X, y = overlapping(2000, 10)
    cold = gradstep.fit(X, y, l2=1e-2, solver=solver)
    warm = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=cold.weights, bias=cold.bias)
    assert warm.converged and warm.n_iterations <= 1 and warm.passes < cold.passes
    far = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=1e6 * cold.weights)
    assert far.converged and np.allclose(far.weights, cold.weights, rtol=0, atol=1e-8)


@both_solvers
def test_a_start_too_far_for_its_loss_is_left_for_zero(solver: Any) -> None:
    X, y = overlapping(40, 3)
    best = gradstep.fit(X, y, solver=solver)
    for size in (1e200, 1e308):
        far = gradstep.fit(X, y, solver=solver, weights=np.full(3, size))
        assert far.converged and np.allclose(far.weights, best.weights, rtol=0, atol=1e-9)


@both_solvers
def test_the_row_that_is_not_finite_is_one_of_all_rows(solver: Any) -> None:
    X, y = overlapping(60_000, 3)
    X[54_321:, 1] = np.nan  # every sample of the rows has some of these
    with pytest.raises(ValueError, match=r"^X must be finite, got nan at row 54321, column 1$"):
        gradstep.fit(X, y, solver=solver)
