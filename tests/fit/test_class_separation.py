"""Several classes, where there is no optimum because a hyperplane separates labels, or where there are many optima."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers.class_optima import check_separation, overlapping
from helpers.optima import SOLVERS, both_solvers
from helpers.problems import both_dtypes, cases
from helpers.tables import is_separable, table


@both_solvers
@both_dtypes
@pytest.mark.parametrize("fit_bias", [True, False])
@pytest.mark.parametrize(("m", "n"), [(30, 2), (100, 3), (30, 40), (5000, 4)])
def test_complete_separation(solver: Any, dtype: Any, fit_bias: bool, m: int, n: int) -> None:
    X, _ = overlapping(m, n, 3, dtype=dtype)
    y = np.argmax(X[:, :2] @ [[1, 0, -1], [0, 1, -1]], axis=1)
    best = gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, max_passes=5000)
    check_separation(X, y, best)
    assert np.abs(best.weights).max() < 1e6
    # With a penalty there is an optimum.
    assert gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, l2=0.1, tol=1e-4).converged


@pytest.mark.parametrize("m", [300, 20_000])
def test_one_class_apart_from_two_that_overlap(m: int) -> None:
    X, y = overlapping(m, 3, 3)
    X[:, 1] += 10.0 * (y == 2)
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    # A column that is nonzero in one class only separates this class.
    X, y = overlapping(m, 3, 3)
    X = np.column_stack([X, (y == 1) & (np.arange(m) % 3 == 0)])
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    assert best.separation is not None
    assert not best.separation.weights[:, :3].any() and not best.separation.bias.any()


def test_a_column_that_says_nothing_new_changes_no_prediction() -> None:
    X, y = overlapping(300, 3, 4)
    want = gradstep.fit(X, y)
    for extra in (np.full(300, 5.0), np.zeros(300), X[:, 1], X @ [1.0, -2.0, 0.5] + 3):
        best = gradstep.fit(np.column_stack([X, extra]), y)
        assert best.converged
        assert np.isfinite(best.weights).all()
        assert abs(best.objective - want.objective) <= 1e-14


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
@pytest.mark.parametrize("seed", [17, 50, 138, 948, 1286, 1341])
def test_ties_at_the_mean_of_a_column(seed: int, scale: float) -> None:
    """In rows at the mean, centring leaves only the rounding of the mean: it must not be scaled up to a column."""
    random = np.random.default_rng(seed)
    m, n = int(random.integers(3, 13)), int(random.integers(1, 7))
    X = scale * random.integers(-1, 2, (m, n))
    y = np.append([0, 1, 2], random.integers(0, 3, m - 3))
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    assert np.abs(best.weights).max() * scale <= 1e7  # some 1e6 per standard deviation of a column


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("classes", [3, 4])
def test_separated_is_what_a_linear_program_can_separate(classes: int, scale: float) -> None:
    separable = 0
    for seed in range(150):
        X, y, options, rows, labels = table(seed, classes, scale)
        expected = is_separable(rows, labels, options.get("fit_bias", True))
        separable += expected
        for solver in SOLVERS:
            best = gradstep.fit(X, y, solver=solver, **options)  # type: ignore[arg-type]
            if solver == "gd" and best.stop_reason == "passes":
                continue  # "gd" has not come far enough to tell
            assert (best.stop_reason == "separated") == expected, (seed, solver)
            if expected:
                check_separation(rows, labels, best)
    assert 25 < separable < 125


@settings(max_examples=cases(150))
@given(data=st.data())
def test_degenerate_tables_get_an_answer(data: st.DataObject, count_case: Callable[[], None]) -> None:
    """Small integers: constant, repeated, dependent and separating columns in any mixture. Never NaN."""
    count_case()
    m, n = data.draw(st.integers(3, 12)), data.draw(st.integers(1, 6))
    cells = st.integers(-1, 1)
    X = np.array(data.draw(st.lists(st.lists(cells, min_size=n, max_size=n), min_size=m, max_size=m)), float)
    y = np.array([0, 1, 2, *data.draw(st.lists(st.integers(0, 2), min_size=m - 3, max_size=m - 3))])
    scale = data.draw(st.sampled_from([1.0, 1e-5, 1e5]))
    for l2 in (0.0, 1e-3):
        best = gradstep.fit(X * scale, y, l2=l2)
        assert np.isfinite(best.weights).all() and np.isfinite(best.bias).all()
        assert np.isfinite(best.objective) and np.isfinite(best.gradient_norm)
        if best.stop_reason == "separated":
            assert l2 == 0
            check_separation(X * scale, y, best)
        else:
            assert best.stop_reason in ("tolerance", "precision")
            assert best.gradient_norm <= 1e-8 * max(1.0, scale)
