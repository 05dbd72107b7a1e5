"""Firth's penalised likelihood: its maximum against 80 bits, published numbers and closed forms; what is claimed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csc_array, csr_array

import gradstep
from helpers import firth
from helpers.layouts import layouts
from helpers.optima import overlapping

Array = npt.NDArray[Any]

NEAR = 1e-9
"""How far coefficients may be from those in 80 bits, in standard errors. Newton's method stops some 1e-11 away; scores
are right to the last digit, and sums over at most 200 rows to some 1e-13."""


def compared(best: gradstep.Optimum, want: firth.Maximum, s: Any, fit_bias: bool = True, near: float = NEAR) -> None:
    v = np.append(best.weights, best.bias) if fit_bias else best.weights
    assert (np.abs(v - want.v) <= near * want.errors).all(), (v, want.v)
    assert abs(best.objective + float(want.value / s)) <= 1e-12 * (1 + abs(best.objective))
    assert best.converged and best.stop_reason == "tolerance" and best.gap == np.inf
    assert best.solver == "firth" and best.separation is None


def separated(m: int, n: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    return X, (X @ rng.normal(size=n) > 0.2).astype(float)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("labels", ["overlapping", "separated", "shares"])
def test_coefficients_are_those_in_80_bits(labels: str, seed: int) -> None:
    m, n = 20 + 15 * seed, 1 + seed % 5
    rng = np.random.default_rng(seed)
    X, y = overlapping(m, n, seed) if labels == "overlapping" else separated(m, n, seed)
    if labels == "shares":
        y = np.where(rng.random(m) < 0.5, y, rng.random(m).round(2))
    s = rng.integers(0, 4, m) if seed % 2 else np.ones(m)
    offset = rng.normal(size=m) if seed % 3 == 1 else np.zeros(m)
    fit_bias = seed % 4 != 3
    best = gradstep.fit(X, y, firth=True, sample_weight=s, offset=offset, fit_bias=fit_bias)
    compared(best, firth.maximum(X, y, s, offset, fit_bias), s.sum(), fit_bias)
    assert fit_bias or best.bias == 0


def test_published_coefficients_of_sex2() -> None:
    """Coefficients as R's logistf prints them. It stops once they change by less than 1e-5, which shows for dia."""
    X, y, counts = firth.sex2()
    best = gradstep.fit(X, y, firth=True, sample_weight=counts)
    printed = [-1.10598130, -0.06881673, 2.26887464, -2.11140816, -0.78831694, 3.09601263, 0.12025404]
    np.testing.assert_allclose(np.append(best.weights, best.bias), printed, rtol=0, atol=1e-6)
    np.testing.assert_allclose(best.bias, 0.12025404, rtol=0, atol=1e-8)
    compared(best, firth.maximum(X, y, counts), counts.sum())


def test_published_coefficients_of_the_endometrial_table() -> None:
    """Coefficients of R's brglm2 with type="AS_mean" and epsilon=1e-12. Without firth, the column NV separates."""
    X, y = firth.endometrial()
    assert gradstep.fit(X, y).stop_reason == "separated"
    best = gradstep.fit(X, y, firth=True)
    printed = [2.929273353197, -0.034751759870, -2.604163925294, 3.774559713647]
    np.testing.assert_allclose(np.append(best.weights, best.bias), printed, rtol=1e-10)


@pytest.mark.parametrize("counts", [(0, 5, 3, 4), (0, 9, 7, 0), (1, 1, 0, 1), (300, 20, 0, 1000)])
def test_of_two_groups_it_adds_half_a_row_to_each_label(counts: tuple[int, int, int, int]) -> None:
    """In a model with a coefficient for each group: Firth, 1993, section 3.2, and Haldane, 1956."""
    X, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 1, 0, 1])
    best = gradstep.fit(X, y, firth=True, sample_weight=counts)
    a, b, c, d = (np.log(count + 0.5) for count in counts)
    np.testing.assert_allclose([best.bias, best.bias + best.weights[0]], [b - a, d - c], rtol=0, atol=1e-10)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_equal_labels_have_a_finite_bias(m: int) -> None:
    best = gradstep.fit(np.ones((m, 1)), np.ones(m), firth=True)
    np.testing.assert_allclose(best.bias, np.log(2 * m + 1), rtol=1e-14)
    assert best.converged and [alias.column for alias in best.aliased] == [0] and best.weights[0] == 0


def test_columns_that_say_nothing_new_are_left_out() -> None:
    X, y = separated(30, 2, 5)
    want = gradstep.fit(X, y, firth=True)
    wide = np.column_stack([X[:, 0], np.full(30, 7.0), X[:, 1], X[:, 0] - 2 * X[:, 1] + 1])
    best = gradstep.fit(wide, y, firth=True)
    assert [(alias.column, alias.columns) for alias in best.aliased] == [(1, ()), (3, (0, 2))]
    np.testing.assert_allclose(best.weights[[0, 2]], want.weights, rtol=1e-9)
    assert (best.weights[[1, 3]] == 0).all() and best.converged
    np.testing.assert_allclose(best.objective, want.objective, rtol=1e-12)


def test_it_follows_shifts_and_units_of_columns() -> None:
    """Weights are per unit of the column, and ln det(I) / 2 gains the logarithm of each unit; also for columns that are
    1e6 deviations from zero."""
    X, y = separated(60, 3, 1)
    want = gradstep.fit(X, y, firth=True)
    unit, shift = np.array([1e-9, 1.0, 1e9]), np.array([0.0, 1e6, -1e15])
    best = gradstep.fit(X * unit + shift, y, firth=True)
    # The shifted columns are rounded, to 1e6 ε of their deviation.
    np.testing.assert_allclose(best.weights * unit, want.weights, rtol=1e-8)
    np.testing.assert_allclose(best.objective, want.objective - np.log(unit).sum() / 60, rtol=1e-9)
    assert best.converged


@pytest.mark.parametrize("seed", range(4))
def test_order_of_rows_and_columns_and_the_sign_of_labels(seed: int) -> None:
    X, y = separated(50, 4, seed)
    rng = np.random.default_rng(seed)
    want = gradstep.fit(X, y, firth=True)
    rows, columns = rng.permutation(50), rng.permutation(4)
    best = gradstep.fit(X[rows][:, columns], y[rows], firth=True)
    np.testing.assert_allclose(best.weights, want.weights[columns], rtol=1e-9)
    turned = gradstep.fit(X, 1 - y, firth=True)
    np.testing.assert_allclose(np.append(turned.weights, turned.bias), -np.append(want.weights, want.bias), rtol=1e-9)


def test_whole_sample_weights_are_repeated_rows() -> None:
    X, y = separated(40, 2, 3)
    s = np.arange(40) % 4
    one = gradstep.fit(X, y, firth=True, sample_weight=s)
    two = gradstep.fit(np.repeat(X, s, axis=0), np.repeat(y, s), firth=True)
    np.testing.assert_allclose(one.weights, two.weights, rtol=1e-9)
    np.testing.assert_allclose(one.objective, two.objective, rtol=1e-12)


def test_rows_of_weight_zero_say_nothing() -> None:
    X, y = separated(40, 2, 3)
    want = gradstep.fit(X, y, firth=True)
    more = np.vstack([X, [[1e300, -1e300]]])
    best = gradstep.fit(more, np.append(y, 1), firth=True, sample_weight=np.append(np.ones(40), 0))
    np.testing.assert_allclose(best.weights, want.weights, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layouts_and_threads_give_the_same_bits(dtype: Any, tmp_path: Path) -> None:
    X, y = separated(3000, 5, 0)
    X = X.astype(dtype)
    want = gradstep.fit(X, y, firth=True)
    assert want.weights.dtype == dtype and want.converged
    for layout, same in layouts(X, tmp_path):
        assert gradstep.fit(same, y, firth=True) == want, layout
    for n_threads in (1, 2, 5):
        assert gradstep.fit(X, y, firth=True, n_threads=n_threads) == want


def test_sparse_columns_and_float32_give_what_dense_ones_give() -> None:
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(200, 6)) * (rng.random((200, 6)) < 0.3), 3).astype(np.float32)
    y = (X.sum(axis=1) > 0.2).astype(float)
    want = gradstep.fit(X.astype(float), y, firth=True)
    for container in (csr_array, csc_array):
        best = gradstep.fit(container(X.astype(float)), y, firth=True)
        np.testing.assert_allclose(best.weights, want.weights, rtol=1e-9)
    single = gradstep.fit(X, y, firth=True)
    np.testing.assert_array_equal(single.weights, want.weights.astype(np.float32))
    assert single.converged


def test_offsets_that_are_far_from_zero() -> None:
    """An offset that all rows have is taken back by the bias. A row whose offset makes it certain changes nothing."""
    X, y = separated(30, 1, 2)
    want = gradstep.fit(X, y, firth=True)
    best = gradstep.fit(X, y, firth=True, offset=np.full(30, -1e6))
    np.testing.assert_allclose([best.weights[0], best.bias - 1e6], [want.weights[0], want.bias], rtol=1e-8)
    certain = gradstep.fit(X, y, firth=True, offset=np.where(np.arange(30) == 4, 1e5 * (2 * y[4] - 1), 0.0))
    rest = gradstep.fit(np.delete(X, 4, 0), np.delete(y, 4), firth=True)
    np.testing.assert_allclose(certain.weights, rest.weights, rtol=1e-9)


def two_maxima() -> tuple[Array, Array, Array]:
    """Columns of long tails, whose penalised likelihood has two maxima, and weights near the lower one."""
    rng = np.random.default_rng(22)
    m = rng.integers(4, 40)
    n = rng.integers(1, min(m // 2, 6) + 1)
    X = np.exp(rng.normal(size=(m, n)) * 2)
    w = rng.normal(size=n + 1) * 3
    return X, (X @ w[:n] + w[n] > 0).astype(float), np.array([0.2954, 0.1465, -1.482, 3.4287])


def test_there_may_be_several_maxima_and_none_is_called_the_highest() -> None:
    """From another start, a lower maximum is found. So the gap is infinite: nothing is proved of other maxima."""
    X, y, start = two_maxima()
    best = gradstep.fit(X, y, firth=True)
    other = gradstep.fit(X, y, firth=True, weights=start[:-1], bias=start[-1])
    assert best.converged and other.converged and best.gap == other.gap == np.inf
    assert other.objective > best.objective + 0.02
    for found in (best, other):
        v = np.append(found.weights, found.bias).astype(firth.WIDE)
        ones = np.ones(len(X), firth.WIDE)
        here = firth.terms(firth.columns(X), y.astype(firth.WIDE), ones, 0 * ones, v)
        decrement = here.score @ firth.solved(here.information, here.score)
        assert decrement < 1e-16
    assert "that no other is better is not proved" in repr(best)


def test_where_convexity_is_not_shown_it_is_said() -> None:
    """Without second derivatives there is only a bound of them. For separated labels it often shows no convexity."""
    X, y = separated(100, 3, 1)
    X[:, 0] *= 30
    y = (X[:, 0] > 0).astype(float)
    exact, bounded = (gradstep.fit(X, y, firth=True, certify=certify) for certify in (True, False))
    assert exact.converged and not bounded.converged
    assert bounded.stop_reason == "uncertified" and bounded.gap == np.inf
    np.testing.assert_allclose(bounded.weights, exact.weights, rtol=1e-6)
    wide, labels = overlapping(3000, 80, 0)
    assert gradstep.fit(wide, labels, firth=True).converged  # with many rows the bound is enough


def test_what_stops_it() -> None:
    X, y = separated(50, 2, 0)
    full = gradstep.fit(X, y, firth=True)
    early = gradstep.fit(X, y, firth=True, tol=0.01)
    assert early.stop_reason == "tolerance" and early.gradient_norm <= 0.01 and early.n_iterations < full.n_iterations
    assert not early.converged
    spent = gradstep.fit(X, y, firth=True, max_passes=5)
    assert spent.stop_reason == "passes" and not spent.converged
    seen: list[Any] = []
    stopped = gradstep.fit(X, y, firth=True, callback=lambda iteration: len(seen) == 2 or seen.append(iteration))
    assert stopped.stop_reason == "callback" and stopped.n_iterations == 3
    assert [iteration.objective for iteration in seen] == stopped.history["objective"][:2].tolist()
    assert (np.diff(full.history["objective"]) <= 1e-14).all()
    assert full.history["passes"][-1] <= full.passes


def test_it_starts_where_it_is_told_if_that_is_better() -> None:
    X, y = separated(50, 2, 0)
    full = gradstep.fit(X, y, firth=True)
    again = gradstep.fit(X, y, firth=True, weights=full.weights, bias=full.bias)
    assert again.n_iterations <= 1 and again.converged
    np.testing.assert_allclose(again.weights, full.weights, rtol=1e-10)
    zero = gradstep.fit(X, y, firth=True, weights=[1e3, -1e3])  # a start with a larger objective than zero
    np.testing.assert_array_equal(zero.weights, full.weights)


def test_the_gradient_is_that_of_the_objective() -> None:
    X, y = separated(40, 3, 7)
    X[:, 1] += 30
    early = gradstep.fit(X, y, firth=True, tol=0.05)
    v = np.append(early.weights, early.bias)
    ones = np.ones(40, firth.WIDE)
    here = firth.terms(firth.columns(X), y.astype(firth.WIDE), ones, 0 * ones, v.astype(firth.WIDE))
    np.testing.assert_allclose(early.gradient_norm, float(np.abs(here.score).max()) / 40, rtol=1e-9)
