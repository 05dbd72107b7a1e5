"""Labels that a hyperplane separates, so that there is no optimum: found exactly where a linear program finds them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import gradstep
from helpers import oracle
from helpers.optima import EPS, SOLVERS, both_solvers, check_separation, exact_optimum, overlapping
from helpers.problems import both_dtypes, cases
from helpers.tables import is_separable, table


@both_solvers
@both_dtypes
@pytest.mark.parametrize("fit_bias", [True, False])
@pytest.mark.parametrize(("m", "n"), [(20, 1), (100, 3), (30, 40), (5000, 4)])
def test_complete_separation(solver: Any, dtype: Any, fit_bias: bool, m: int, n: int) -> None:
    X, _ = overlapping(m, n, seed=m, dtype=dtype)
    y = (X[:, 0] > 0).astype(float)
    best = gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, max_passes=5000)
    check_separation(X, y, best)
    assert np.abs(best.weights).max() < 1e6
    # With a penalty there is an optimum.
    assert gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, l2=0.1, tol=1e-4).converged


@pytest.mark.parametrize("m", [300, 20_000])
def test_quasi_complete_separation_names_the_columns(m: int) -> None:
    X, y = overlapping(m, 3)
    dummy = np.arange(m) % 10 == 0
    y[dummy] = 1
    best = gradstep.fit(np.column_stack([X, dummy]), y)
    check_separation(np.column_stack([X, dummy]), y, best)
    assert best.separation is not None
    assert best.separation.weights.tolist() == [0, 0, 0, 1] and best.separation.bias == 0
    # Here only a combination of columns separates.
    mixed = np.column_stack([X, dummy + X[:, 0]])
    best = gradstep.fit(mixed, y)
    check_separation(mixed, y, best)
    assert best.separation is not None
    assert (best.separation.weights != 0).tolist() == [True, False, False, True]


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("m", [500, 2000, 10_000])
def test_a_rare_dummy_separates(m: int, rows: int) -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        X = np.column_stack([random.normal(size=m), np.zeros(m)])
        y = (random.random(m) < oracle.sigmoid(X[:, 0])).astype(float)
        X[-rows:, 1] = y[-rows:] = 1
        best = gradstep.fit(X, y)
        check_separation(X, y, best)
        assert best.separation is not None and best.separation.weights.tolist() == [0, 1]
        y[-1] = 0  # now one of these rows has the other label
        if rows > 1:
            assert gradstep.fit(X, y).converged


def test_a_column_of_one_class_among_any_number() -> None:
    random = np.random.default_rng(0)
    X = sparse.random(400, 6000, density=0.01, random_state=random, format="csr")
    y = (random.random(400) < 0.5).astype(float)
    best = gradstep.fit(X, y)
    check_separation(X.toarray(), y, best)
    assert best.separation is not None
    assert np.count_nonzero(best.separation.weights) == 1 and best.passes < 100


def test_separation_is_shown_along_few_columns() -> None:
    """There are forty columns of noise, and three whose sum separates the labels, except for ties."""
    random = np.random.default_rng(5)
    X = random.integers(-3, 4, (400, 43)).astype(float)
    score = X[:, 10] + X[:, 20] + X[:, 30]
    y = np.where(score == 0, random.random(400) < 0.5, score > 0).astype(float)
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    assert best.separation is not None
    assert np.flatnonzero(best.separation.weights).tolist() == [10, 20, 30]


def test_overlap_by_a_hair_is_not_separated() -> None:
    """One row is on the wrong side by the last bit: an optimum exists, however far it is."""
    x = np.array([0.0, 1.0, np.nextafter(1.0, 2.0), 3.0])
    assert gradstep.fit(x[:, None], [0, 0, 1, 1]).stop_reason == "separated"
    assert gradstep.fit(x[:, None], [0, 1, 0, 1]).stop_reason != "separated"
    assert gradstep.fit(np.array([[0.0], [1.0], [1.0], [3.0]]), [0, 0, 1, 1]).stop_reason == "separated"


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("l2", [0.0, 1.0])
@both_solvers
def test_one_class_has_no_optimal_bias(label: int, l2: float, solver: Any) -> None:
    X, _ = overlapping(20, 2)
    y = np.full(20, label)
    best = gradstep.fit(X, y, l2=l2, solver=solver)
    check_separation(X, y, best)
    assert best.separation is not None
    assert best.separation.weights.tolist() == [0, 0] and best.separation.bias == 2 * label - 1
    # A row of weight 0 does not count as a row of a second class.
    best = gradstep.fit(X, np.r_[1 - label, y[1:]], l2=l2, sample_weight=np.r_[0, np.ones(19)], solver=solver)
    assert best.stop_reason == "separated"
    # Without a bias, there is an optimum.
    assert gradstep.fit(X, y, l2=1.0, fit_bias=False, solver=solver).converged


@pytest.mark.parametrize("seed", range(20))
def test_nearly_separable_is_not_separated(seed: int) -> None:
    """One row on the wrong side, among rows that are far away: the optimum exists, and is found."""
    random = np.random.default_rng(seed)
    X = random.standard_t(1, size=(60, 2))
    y = (X[:, 0] > 0).astype(float)
    wrong = np.argsort(np.abs(X[:, 0]))[:6]
    y[wrong] = 1 - y[wrong]
    best = gradstep.fit(X, y)
    assert best.converged and best.separation is None
    optimum = exact_optimum(X, y, 0.0, np.ones(60))
    assert np.allclose(best.weights, optimum.weights.astype(float), rtol=1e-6)


@both_solvers
def test_fractional_labels_do_not_separate(solver: Any) -> None:
    X, _ = overlapping(30, 2)
    y = np.where(X[:, 0] > 0, 0.9, 0.1)
    assert gradstep.fit(X, y, solver=solver).converged
    assert gradstep.fit(X, np.full(30, 0.3), solver=solver).weights.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("offset", [1e3, 1e7])
def test_separated_is_the_same_far_from_zero(offset: float) -> None:
    separable = 0
    for seed in range(100):
        X, y, options, rows, labels = table(seed, 2, 1.0)
        if not options.get("fit_bias", True):
            continue  # without a bias, the distance from zero matters
        expected = is_separable(rows, labels, True)
        separable += expected
        X = oracle.f64(X if isinstance(X, np.ndarray) else X.toarray()) + offset
        for solver in SOLVERS:
            best = gradstep.fit(X, y, solver=solver, **options)  # type: ignore[arg-type]
            assert (best.stop_reason == "separated") == expected, (seed, solver)
            if expected:
                assert best.separation is not None
                weights, bias = best.separation
                largest = max(np.abs(weights).max(), abs(bias + offset * weights.sum()))
                near = gradstep.Separation(weights / largest, (bias + offset * weights.sum()) / largest)
                check_separation(rows, labels, replace(best, separation=near), noise=4 * EPS * offset)
    assert separable > 20


@pytest.mark.parametrize("scale", [1.0, 1e5, 1e-5])
def test_separated_is_what_a_linear_program_can_separate(scale: float) -> None:
    """Along a separation the curvature of separated rows vanishes. In the end only the rows that no hyperplane
    separates have any."""
    separable = 0
    for seed in range(300):
        X, y, options, rows, labels = table(seed, 2, scale)
        expected = is_separable(rows, labels, options.get("fit_bias", True))
        separable += expected
        for solver in SOLVERS:
            best = gradstep.fit(X, y, solver=solver, **options)  # type: ignore[arg-type]
            assert (best.stop_reason == "separated") == expected, (seed, solver)
            if expected:
                check_separation(rows, labels, best)
    assert 50 < separable < 250


@both_solvers
@settings(max_examples=cases(300))
@given(data=st.data())
def test_degenerate_tables_get_an_answer(solver: Any, data: st.DataObject, count_case: Callable[[], None]) -> None:
    """Small integers: constant, repeated, dependent and separating columns in any mixture. Never NaN."""
    count_case()
    m, n = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6))
    cells = st.integers(-1, 1)
    X = np.array(data.draw(st.lists(st.lists(cells, min_size=n, max_size=n), min_size=m, max_size=m)), float)
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=m, max_size=m)), float)
    scale = data.draw(st.sampled_from([1.0, 1e-5, 1e5]))
    for l2 in (0.0, 1e-3):
        best = gradstep.fit(X * scale, y, l2=l2, solver=solver)
        assert np.isfinite(best.weights).all() and np.isfinite(best.bias)
        assert np.isfinite(best.objective) and np.isfinite(best.gradient_norm)
        if best.stop_reason == "separated":
            check_separation(X * scale, y, best)
        elif solver == "lbfgs":
            assert best.stop_reason in ("tolerance", "precision")
            assert best.gradient_norm <= 1e-8 * max(1.0, scale)


def test_all_labels_alike_and_no_bias() -> None:
    """The sign of a column separates, in whichever direction it points."""
    for sign, label in itertools.product((1.0, -1.0), (0, 1)):
        X, y = np.array([[1.0], [2.0]]) * sign, [label, label]
        best = gradstep.fit(X, y, fit_bias=False)
        assert best.stop_reason == "separated" and best.separation is not None
        assert best.separation.weights.tolist() == [sign if label else -sign]


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_weights_that_predict_every_label_are_a_separation(solver: Any) -> None:
    """Values are so far apart that a search for directions of unit length would see no margin."""
    for X, y in [
        ([[1e11, 1e11], [3, 3], [1e11, 0], [1e11, 1e11], [2, 1]], [1, 0, 1, 1, 1]),
        ([[0, 1e12], [-3, -3], [-2, 0], [-1, 1], [0, 3], [-2, 1], [1e12, 3]], [0, 1, 1, 1, 0, 0, 1]),
    ]:
        best = gradstep.fit(X, y, solver=solver)
        predicted = np.array(X) @ best.weights + best.bias > 0
        if np.array_equal(predicted, np.array(y) == 1):
            assert best.stop_reason == "separated" and best.separation is not None
            exact = exact_signs(X, best.separation.weights, best.separation.bias)
            assert exact == [1 if label else -1 for label in y]


def exact_signs(X: Any, weights: Any, bias: float) -> list[int]:
    """The signs of the scores, in rational numbers."""
    scores = [sum(Fraction(a) * Fraction(b) for a, b in zip(row, weights, strict=True)) + Fraction(bias) for row in X]
    return [(score > 0) - (score < 0) for score in scores]
