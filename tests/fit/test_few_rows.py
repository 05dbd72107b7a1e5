"""More columns than rows: Newton's method with one unknown for each row finds the optimum in a few passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

import gradstep
from helpers import oracle
from helpers.layouts import layouts
from helpers.results import numbers

Array = npt.NDArray[Any]

SHAPES = [(2, 3), (7, 9), (17, 130), (40, 400), (60, 900)]
"""Rows so few that no other iterations go before."""


def problem(m: int, n: int, dtype: Any = np.float64) -> tuple[Array, Array]:
    random = np.random.default_rng([m, n])
    X = random.normal(size=(m, n))
    y = (random.random(m) < oracle.sigmoid(2 * X @ random.normal(size=n) / np.sqrt(n))).astype(np.float64)
    y[:2] = [0, 1]  # both labels
    return X.astype(dtype), y


def newton(
    X: Array, y: Array, l2: Array, s: Array, prior: Array, offset: Array, fit_bias: bool
) -> tuple[Array, np.longdouble]:
    """Weights with the bias, and the objective, by Newton's method in all columns; the gradient is in 80 bits."""
    wide = np.longdouble
    A = np.column_stack([X, np.ones(len(X))]).astype(wide)
    penalty, centre = np.append(l2, 0).astype(wide), np.append(prior, 0).astype(wide)
    free = X.shape[1] + int(fit_bias)

    def value(v: Array) -> Any:
        z = A @ v + offset
        errors = np.log1p(np.exp(-np.abs(z))) + np.where(z > 0, (1 - y) * z, -y * z)
        return (s * errors).sum() / s.sum() + ((v - centre) ** 2 * penalty).sum() / 2

    v = centre.copy()
    for _ in range(100):
        p = 1 / (1 + np.exp(-(A @ v + offset)))
        gradient = A.T @ (s * (p - y)) / s.sum() + penalty * (v - centre)
        d = (s * p * (1 - p) / s.sum()).astype(np.float64)
        B = A.astype(np.float64)
        hessian = B.T @ (B * d[:, None]) + np.diag(penalty.astype(np.float64))
        step = np.zeros_like(v)
        step[:free] = np.linalg.solve(hessian[:free, :free], gradient[:free].astype(np.float64))
        length = wide(1)
        while value(v - length * step) > value(v) and length > 1e-3:
            length /= 2
        v = v - length * step
        if np.abs(step).max() <= 1e-17 * np.abs(v).max():
            break
    return v, value(v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("options", ["plain", "columns", "rows", "no bias"])
def test_the_optimum_is_that_of_newton_in_all_columns(m: int, n: int, dtype: Any, options: str) -> None:
    X, y = problem(m, n, dtype)
    random = np.random.default_rng(n)
    l2, s, prior, offset = np.full(n, 1e-2), np.ones(m), np.zeros(n), np.zeros(m)
    given: dict[str, Any] = {}
    if options == "columns":
        factors, prior = random.uniform(0.2, 5, n), random.normal(size=n) / n
        given, l2 = {"penalty_factors": factors, "prior": prior}, l2 * factors
    if options == "rows":
        s, offset = random.integers(0, 4, m).astype(float), random.normal(size=m).astype(dtype).astype(float)
        s[:2] = 1
        y[2::5] = 0.25
        given = {"sample_weight": s, "offset": offset}
    fit_bias = options != "no bias"
    best = gradstep.fit(X, y, l2=1e-2, fit_bias=fit_bias, **given)
    assert best.converged and best.stop_reason == "tolerance" and best.weights.dtype == dtype
    assert best.n_iterations == 1 and best.passes <= 8
    want, least = newton(X.astype(float), y, l2, s, prior, offset, fit_bias)
    near = 1e-11 if dtype == np.float64 else 2e-7
    assert np.abs(best.weights - want[:-1]).max() <= near * (1 + np.abs(want).max())
    assert abs(best.bias - want[-1]) <= 4 * near * (1 + np.abs(want).max())
    assert -1e-15 <= float(best.objective - least) <= best.gap + 1e-15
    assert fit_bias or best.bias == 0


@pytest.mark.parametrize(("m", "n"), [(40, 60), (64, 300)])
def test_rows_that_are_no_longer_few_have_the_same_optimum(m: int, n: int) -> None:
    """Rows repeated, with the weight shared, are the same objective, which other iterations then minimise."""
    X, y = problem(m, n)
    X *= 10.0 ** np.linspace(-2, 2, n)
    few = gradstep.fit(X, y, l2=1e-3)
    many = gradstep.fit(np.tile(X, (2, 1)), np.tile(y, 2), l2=1e-3)
    assert few.converged and many.converged and many.n_iterations > 13 > few.n_iterations - 1
    assert abs(few.objective - many.objective) <= few.gap + many.gap + 1e-15
    np.testing.assert_allclose(few.weights, many.weights, atol=1e-6)


@pytest.mark.parametrize("scale", [0, 3])
def test_columns_of_any_scale_and_far_from_zero_take_a_few_passes(scale: int) -> None:
    X, y = problem(60, 900)
    random = np.random.default_rng(scale)
    X = (X + 1e3 * random.normal(size=900)) * 10.0 ** random.uniform(-scale, scale, 900)
    best = gradstep.fit(X, y, l2=1e-3)
    assert best.converged and best.passes <= 12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_threads_and_batches_do_not_change_a_bit(dtype: Any, tmp_path: Path) -> None:
    X, y = problem(70, 2100, dtype)
    random = np.random.default_rng(0)
    s, prior = random.integers(0, 3, 70).astype(float), random.normal(size=2100) / 2100
    s[:2] = 1
    options: dict[str, Any] = {"l2": 1e-3, "prior": prior}
    want = numbers(gradstep.fit(X, y, sample_weight=s, **options))
    for name, layout in layouts(X, tmp_path):
        assert numbers(gradstep.fit(layout, y, sample_weight=s, **options)) == want, name
    for threads in (1, 2, 3):
        assert numbers(gradstep.fit(X, y, sample_weight=s, n_threads=threads, **options)) == want

    def batches() -> Iterator[tuple[Array, Array, Array]]:
        return ((X[at : at + 33], y[at : at + 33], s[at : at + 33]) for at in range(0, 70, 33))

    assert numbers(gradstep.fit(batches, None, **options)) == want
    several = gradstep.fit_many(X, np.column_stack([y, 1 - y]), l2=1e-3)
    assert numbers(several[0]) == numbers(gradstep.fit(X, y, l2=1e-3))


def test_a_start_at_the_optimum_is_kept_and_another_one_is_left() -> None:
    X, y = problem(50, 400)
    best = gradstep.fit(X, y, l2=1e-2)
    again = gradstep.fit(X, y, l2=1e-2, weights=best.weights, bias=best.bias)
    assert again.converged and again.n_iterations == 0 and np.array_equal(again.weights, best.weights)
    other = gradstep.fit(X, y, l2=1e-3, weights=best.weights, bias=best.bias)
    assert other.converged and other.n_iterations == 1
    np.testing.assert_allclose(other.weights, gradstep.fit(X, y, l2=1e-3).weights, atol=1e-12)


def test_a_callback_sees_the_one_iteration_and_may_stop_it() -> None:
    X, y = problem(50, 400)
    seen = []
    best = gradstep.fit(X, y, l2=1e-2, callback=lambda iteration: bool(seen.append(iteration)) or True)
    assert best.stop_reason == "callback" and [each.number for each in seen] == [0]
    assert best.converged and seen[0].rows == 50 and np.array_equal(seen[0].weights, best.weights)
    short = gradstep.fit(X, y, l2=1e-2, max_passes=2)
    assert short.stop_reason == "passes" and not short.converged


def test_what_the_method_is_not_for_is_fitted_otherwise() -> None:
    X, y = problem(50, 120)
    plain = gradstep.fit(X, y, l2=1e-2)
    one_free = gradstep.fit(X, y, l2=1e-2, penalty_factors=np.append(0.0, np.ones(119)))
    assert one_free.n_iterations > 1 and one_free.objective < plain.objective
    far = np.vstack([X, np.full(120, 1e300)])  # a row of weight 0 may hold any number
    weights = np.append(np.ones(50), 0.0)
    same = gradstep.fit(far, np.append(y, 1.0), l2=1e-2, sample_weight=weights)
    assert same.converged
    np.testing.assert_allclose(same.weights, plain.weights, atol=1e-6)


def test_sparse_rows() -> None:
    random = np.random.default_rng(4)
    X = sparse.random(30, 9000, density=0.02, random_state=random, format="csr")
    y = (random.random(30) < 0.5).astype(float)
    best, dense = gradstep.fit(X, y, l2=1e-3), gradstep.fit(X.toarray(), y, l2=1e-3)
    assert best.converged and best.n_iterations == 1 and best.passes <= 8
    np.testing.assert_allclose(best.weights, dense.weights, atol=1e-11)
    assert numbers(gradstep.fit(X.tocsc(), y, l2=1e-3)) == numbers(best)
    for threads in (1, 3):
        assert numbers(gradstep.fit(X, y, l2=1e-3, n_threads=threads)) == numbers(best)
