"""Several classes: the gap is an upper bound, against a solve in extended precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradstep
from helpers.class_optima import check_certificate, exact_optimum, extended, overlapping
from helpers.optima import EPS, both_solvers
from helpers.problems import both_dtypes

Array = npt.NDArray[Any]


def random_problem(seed: int) -> tuple[Array, Array, float, Array, bool]:
    """A small problem of any scale, centred or not, weighted or not, some classes rare: X, y, l2, sample weights, and
    whether there is a bias."""
    random = np.random.default_rng(seed)
    classes = int(random.integers(3, 7))
    m, n = int(random.integers(classes, 60)), int(random.integers(1, 7))
    scale = 10.0 ** random.uniform(-2, 2, n)
    X = (random.normal(size=(m, n)) + random.choice([0.0, 3.0]) * random.normal(size=n)) * scale
    y = (classes * random.random(m) ** random.choice([1.0, 2.0])).astype(int)
    y[:classes] = np.arange(classes)
    s = random.integers(0, 4, m).astype(float) if seed % 3 == 0 else np.ones(m)
    s[:classes] = 1
    return X, y, float(10.0 ** random.uniform(-5, 0)), s, seed % 7 != 0


@functools.cache
def random_optimum(seed: int) -> Any:
    return exact_optimum(*random_problem(seed))[1]


@both_solvers
@pytest.mark.parametrize("block", range(3))
def test_the_gap_is_an_upper_bound(solver: Any, block: int, measured: Callable[[str], None]) -> None:
    """Wherever the fit stops: against the optimum in 80 bits."""
    ratios = []
    for seed in range(30 * block, 30 * block + 30):
        X, y, l2, s, fit_bias = random_problem(seed)
        optimum = random_optimum(seed)
        random = np.random.default_rng(seed)
        tol = float(10.0 ** random.uniform(-10, -1))
        limit = float(random.choice([3, 6, 1000]))
        best = gradstep.fit(X, y, l2=l2, sample_weight=s, fit_bias=fit_bias, solver=solver, tol=tol, max_passes=limit)
        check_certificate(X, y, l2, s, best, tol, fit_bias)
        at, _, _ = extended(X, y, np.column_stack([best.weights, best.bias]), l2, s, fit_bias)
        true = float(at - optimum)
        rounding = 64 * float(np.finfo(np.longdouble).eps * at)  # the rounding of the two objectives
        assert best.gap >= 0
        assert true >= -rounding
        assert best.gap >= true - rounding, f"seed {seed}: {best.gap} < {true}"
        if true > 1e3 * rounding and np.isfinite(best.gap):
            ratios.append(best.gap / true)
    if block == 0:
        measured(f"{solver}: reported gap / true gap, median {np.median(ratios):.1f}, largest {max(ratios):.1f}")


def test_three_classes_told_apart_by_the_time_between_two_columns() -> None:
    """With start and end in seconds since 1970 as columns, the loss is that of columns centred and made orthogonal."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        start, took, other = 1.6e9 + 1e7 * random.random(600), random.normal(300, 300, 600), random.normal(size=600)
        z = np.outer(took / 300, [1, -1, 0]) + np.outer(other, [0, 1, -1])
        y = (z + random.gumbel(size=(600, 3))).argmax(axis=1)
        X = np.column_stack([start, start + took, other])
        easy = np.column_stack([(start - start.mean()) / 1e7, (X[:, 1] - start - 300) / 300, other])
        best, want = gradstep.fit(X, y), gradstep.fit(easy, y)
        assert best.converged and want.converged and best.aliased == ()
        assert abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS


def test_a_near_copy_of_a_column_separates_nothing() -> None:
    """One column is another plus noise, down to 2^-26 of it. The optimum is that with the noise alone in its place."""
    proved = 0
    for seed in range(40):
        random = np.random.default_rng([seed, 12])
        m, n, small = int(random.integers(100, 1000)), int(random.integers(2, 7)), 2.0 ** -int(random.integers(10, 27))
        X = random.normal(size=(m, n))
        y = (X @ random.normal(size=(n, 3)) + random.gumbel(size=(m, 3))).argmax(axis=1)
        first, noise = (np.round(64 * X[:, j]) / 64 for j in (0, -1))  # so that sums are exact
        easy = np.column_stack([first, X[:, 1:-1], noise])
        best = gradstep.fit(np.column_stack([first, X[:, 1:-1], first + small * noise]), y)
        want = gradstep.fit(easy, y)
        assert (best.stop_reason == "separated") == (want.stop_reason == "separated"), seed
        if want.converged:
            assert best.converged and abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS, seed
            proved += 1
    assert proved > 20


def test_biases_far_from_their_optimum_leave_a_finite_gap() -> None:
    """From these biases the bound would be infinite. One Newton step first brings them near their optimum."""
    X, y = overlapping(300, 3, 4)
    best = gradstep.fit(X + 2, y, l2=1e-2, solver="gd", tol=1e-12, max_passes=6)
    assert best.stop_reason == "passes" and best.gap < 10


@both_solvers
@both_dtypes
@pytest.mark.parametrize(
    ("m", "n", "classes", "l2"),
    [
        (m, n, classes, l2)
        for m, n, classes in [(60, 1, 3), (200, 7, 4), (400, 17, 5), (40, 50, 3), (12_000, 5, 3)]
        for l2 in [0.0, 1e-3]
        if l2 > 0 or n <= m  # with more columns than rows, the labels would be separable
    ],
)
@pytest.mark.parametrize("fit_bias", [True, False])
def test_optimum_and_certificate(
    solver: Any, dtype: Any, m: int, n: int, classes: int, l2: float, fit_bias: bool
) -> None:
    X, y = overlapping(m, n, classes, dtype=dtype)
    tol = 1e-8 if dtype == np.float64 else 1e-5
    best = gradstep.fit(X, y, l2=l2, fit_bias=fit_bias, solver=solver, tol=tol)
    assert best.stop_reason == "tolerance" and best.converged and best.separation is None
    assert best.weights.dtype == best.bias.dtype == dtype
    assert best.weights.shape == (classes, n) and best.bias.shape == (classes,)
    assert best.solver == solver
    check_certificate(X, y, l2, None, best, tol, fit_bias)
    assert fit_bias or not best.bias.any()
    double, ones = X.astype(np.float64), np.ones(m)
    _, optimum = exact_optimum(double, y, l2, ones, fit_bias)
    at, _, _ = extended(double, y, np.column_stack([best.weights, best.bias]), l2, ones, fit_bias)
    true, rounding = float(at - optimum), 64 * float(np.finfo(np.longdouble).eps * at)
    assert true >= -rounding
    assert true - rounding <= best.gap
    assert true <= (1e-14 if dtype == np.float64 else 1e-8)


def test_units_of_the_columns_do_not_matter() -> None:
    X, y = overlapping(500, 4, 3)
    plain = gradstep.fit(X, y)
    scale, shift = np.array([1e-7, 1e-2, 1e3, 1e6]), np.array([1e-6, -1.0, 5e3, 0.0])
    best = gradstep.fit(X * scale + shift, y)
    assert best.converged
    assert np.allclose(best.weights * scale, plain.weights, rtol=1e-6, atol=0)


@both_solvers
@both_dtypes
def test_what_rounding_forbids_ends_by_its_own_reason(solver: Any, dtype: Any) -> None:
    X, y = overlapping(300, 5, 4, dtype=dtype)
    best = gradstep.fit(X, y, tol=0, solver=solver)
    assert best.stop_reason == "precision" and best.converged  # rounding stops the fit, but the optimum is proved
    assert best.gradient_norm <= 60 * np.finfo(dtype).eps
    assert best.history["passes"][-1] < 600  # fewer than a search for a separation takes


def test_weights_sum_to_zero_over_the_classes() -> None:
    """They do up to rounding, also where only a small penalty decides what all classes have in common."""
    for X, y, l2 in [
        ([[1000.0], [-2], [2]], [0, 1, 2], 1e-6),
        (
            [[3.84, 0.35], [1.17, 0.12], [10.61, 0.39], [0.0, 235.13], [0.0, 0.46], [2.43, 6.25]],
            [0, 1, 2, 3, 4, 4],
            1e-8,
        ),
    ]:
        best = gradstep.fit(X, y, l2=l2)
        assert best.converged
        assert np.abs(best.weights.sum(axis=0)).max() <= 64 * np.finfo(float).eps * np.abs(best.weights).max()
        assert abs(best.bias.sum()) <= 64 * np.finfo(float).eps * max(
            np.abs(best.bias).max(), np.abs(best.weights).max()
        )


def test_one_far_value_among_classes() -> None:
    """Where L-BFGS is very slow, Newton's method goes on, with half of the passes."""
    X = [[3.8439, 0.3525], [1.1728, 0.1209], [10.6131, 0.3886], [0.0015, 235.133], [0.0006, 0.4578], [2.4303, 6.2532],
         [0.0154, 7.1277]]  # fmt: skip
    best = gradstep.fit(X, [0, 1, 2, 3, 4, 4, 4], l2=1e-8)
    assert best.converged and best.objective < 4.75e-6


@pytest.mark.parametrize("K", [20, 60])
def test_many_classes_take_no_hessian_that_passes_do_not_allow(K: int) -> None:
    X = np.random.default_rng(K).normal(size=(20 * K, 3))
    best = gradstep.fit(X, np.arange(20 * K) % K, max_passes=1)
    assert best.stop_reason == "passes" and best.passes <= 2 * K + 10


def test_many_classes_take_few_passes_and_their_proof_one() -> None:
    random = np.random.default_rng(5)
    X = random.normal(size=(3000, 10))
    z = X @ random.normal(size=(10, 120)) + random.gumbel(size=(3000, 120))
    _, y = np.unique(z.argmax(axis=1), return_inverse=True)
    best = gradstep.fit(X, y, l2=1e-3)
    assert best.converged and best.passes < 60
    assert best.passes - best.history["passes"][-1] == 1
