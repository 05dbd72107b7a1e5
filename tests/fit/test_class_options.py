"""A prior, bounds and offsets of several classes: where such fits end, and what is proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import gradstep
from helpers.class_objective import ClassObjective
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes


def problem(seed: int, m: int = 90, n: int = 4, classes: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    z = X @ rng.normal(size=(n, classes)) + rng.gumbel(size=(m, classes))
    y = z.argmax(axis=1)
    y[:classes] = np.arange(classes)
    return X, y


class Whole(ClassObjective):
    """The whole objective, and its minimum at weights split into two parts that are not negative: w = p - q."""

    def at(self, W: Array, b: Array) -> float:
        return float(self.smooth(W, b)[0] + self.l1 * (self.factors * np.abs(W)).sum())

    def minimum(self) -> float:
        """The least objective that L-BFGS-B finds."""
        size, classes = self.prior.size, self.shape[0]
        costs = self.l1 * np.broadcast_to(self.factors, self.shape).ravel()

        def function(v: Array) -> tuple[float, Array]:
            p, q, b = v[:size], v[size : 2 * size], v[2 * size :]
            value, by_weights, by_biases = self.smooth((p - q).reshape(self.shape), b)
            g = by_weights.ravel()
            return value + costs @ (p + q), np.concatenate([g + costs, costs - g, by_biases])

        lower, upper = self.lower.ravel(), self.upper.ravel()
        some = None if self.fit_bias else 0.0
        bounds = [
            *zip(np.maximum(lower, 0), np.maximum(upper, 0), strict=True),
            *zip(np.maximum(-upper, 0), np.maximum(-lower, 0), strict=True),
            *[(some, some)] * classes,
        ]
        start = np.array([0.0 if low is None or low <= 0 else low for low, _ in bounds])
        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-12}
        return float(minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).fun)


def options_of(rng: np.random.Generator, m: int, classes: int, n: int) -> dict[str, Any]:
    """Random options, each of them left out at times."""
    some = {
        "l1": 10 ** rng.uniform(-3, -1),
        "l2": 10 ** rng.uniform(-3, 0),
        "penalty_factors": rng.uniform(0.1, 3, n),
        "prior": rng.normal(size=(classes, n)) if rng.random() < 0.5 else rng.normal(size=n),
        "lower": -rng.random((classes, n)) if rng.random() < 0.5 else np.zeros(n),
        "upper": rng.random((classes, n)) if rng.random() < 0.5 else 0.5,
        "offset": rng.normal(size=(m, classes)),
        "sample_weight": rng.integers(0, 3, m) + 0.5 * (np.arange(m) < classes),
        "fit_bias": False,
    }
    return {name: value for name, value in some.items() if rng.random() < 0.5}


@pytest.mark.parametrize("seed", range(60))
def test_the_gap_is_an_upper_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(3, 6)), int(rng.integers(1, 6))
    X, y = problem(seed, n=n, classes=classes)
    options = options_of(rng, len(y), classes, n)
    if "l1" not in options:
        options["l2"] = options.get("l2", 0.1)
    best = gradstep.fit(X, y, **options)
    whole = Whole(X, y, options)
    assert best.converged
    assert_allclose(whole.at(best.weights, best.bias), best.objective, rtol=1e-12)
    assert best.objective - best.gap <= whole.minimum() * (1 + 1e-13)
    assert (whole.lower <= best.weights).all() and (best.weights <= whole.upper).all()
    few = gradstep.fit(X, y, **options, max_passes=3)
    assert few.objective - few.gap <= best.objective * (1 + 1e-13)


@pytest.mark.parametrize("strengths", [{"l2": 0.3}, {"l2": 0.3, "penalty_factors": np.array([0.5, 1, 2, 0])}], ids=str)
def test_a_prior_is_a_shift(strengths: dict[str, Any]) -> None:
    """With W = μ + U, l2 draws U to 0, and X μᵀ is an offset."""
    X, y = problem(1)
    for prior in (np.linspace(-1, 1, 12).reshape(3, 4), 100 + np.linspace(-1, 1, 12).reshape(3, 4), np.ones(4)):
        drawn = gradstep.fit(X, y, **strengths, prior=prior, gap_tol=1e-12)
        shifted = gradstep.fit(X, y, **strengths, offset=X @ np.broadcast_to(prior, (3, 4)).T, gap_tol=1e-12)
        assert drawn.converged and shifted.converged
        assert_allclose(drawn.objective, shifted.objective, rtol=1e-11)
        moved = (drawn.weights - shifted.weights - prior)[:, :3]
        assert_allclose(moved, 0 * moved, atol=1e-5)
    assert_allclose(gradstep.fit(X, y, l2=1e9, prior=prior).weights, np.ones((3, 4)), atol=1e-8)


def test_the_model_before_as_a_prior() -> None:
    X, y = problem(2, m=300)
    before = gradstep.fit(X[:200], y[:200], l2=0.1)
    after = gradstep.fit(X[200:], y[200:], l2=10.0, prior=before.weights)
    assert after.converged
    assert np.abs(after.weights - before.weights).max() < 0.05 < np.abs(after.weights).max()
    assert gradstep.fit(X, y, l2=0.1, prior=0.0) == gradstep.fit(X, y, l2=0.1)


def test_the_same_offset_for_all_classes_changes_nothing() -> None:
    X, y = problem(3)
    offset = np.random.default_rng(3).normal(size=(len(y), 3))
    alike = offset + np.arange(len(y))[:, None] % 7
    for strengths in ({}, {"l2": 0.1}, {"l1": 0.01}):
        options = {**strengths, "gap_tol": 1e-11}
        best, same = gradstep.fit(X, y, **options, offset=offset), gradstep.fit(X, y, **options, offset=alike)
        assert best.converged and same.converged
        assert_allclose(same.objective, best.objective, rtol=1e-10)
        # Gaps of 1e-11 leave weights apart by √(2e-11 / h), where curvatures h are at least 0.01 or so.
        assert_allclose(same.weights, best.weights, atol=1e-4)
        none = gradstep.fit(X, y, **options, offset=np.zeros((len(y), 3)))
        assert_allclose(none.objective, gradstep.fit(X, y, **options).objective, rtol=1e-10)


@pytest.mark.parametrize("strengths", [{}, {"l2": 1e-3}, {"l1": 1e-3}], ids=str)
def test_rounding_by_large_offsets_is_counted(strengths: dict[str, Any]) -> None:
    """Offsets that agree but for a few digits: the scores have lost the others, and the gap says so."""
    X, y = problem(4)
    offset = np.random.default_rng(4).normal(size=(len(y), 3))
    exact = gradstep.fit(X, y, **strengths, offset=offset, gap_tol=1e-12)
    for size in (1e9, 1e13):
        best = gradstep.fit(X, y, **strengths, offset=offset + size)
        least = min(exact.objective, best.objective)
        assert best.objective - best.gap <= least * (1 + 4 * np.finfo(float).eps * size)
        assert best.gap >= 1e-34 * size**2


def test_an_offset_that_predicts_every_label_separates_nothing() -> None:
    X, y = problem(5)
    best = gradstep.fit(X, y, offset=30.0 * np.eye(3)[y])
    assert best.stop_reason != "separated" and best.separation is None


@both_dtypes
def test_the_same_bits_in_every_layout(dtype: Any, tmp_path: Path) -> None:
    X, y = problem(6, m=400, n=12)
    X = X.astype(dtype)
    rng = np.random.default_rng(6)
    offset = rng.normal(size=(400, 3))
    for options in (
        {"l1": 0.01, "lower": -0.1, "upper": np.linspace(0.1, 0.4, 36).reshape(3, 12), "offset": offset},
        {"l2": 0.1, "prior": rng.normal(size=(3, 12)), "offset": np.asfortranarray(offset)},
        {"offset": offset},
    ):
        best = gradstep.fit(X, y, **options, n_threads=1)
        assert best.converged and best.weights.dtype == dtype
        for name, same in layouts(X, tmp_path):
            for threads in (1, 3):
                other = gradstep.fit(same, y, **options, n_threads=threads)
                assert other == best, name
    rows = (range(first, min(400, first + 90)) for first in range(0, 400, 90))
    parts = [(X[list(some)], y[list(some)]) for some in rows]
    options = {name: value for name, value in options.items() if name != "offset"}
    assert gradstep.fit(lambda: iter(parts), None, l2=0.1, prior=np.ones((3, 12))) == gradstep.fit(
        X, y, l2=0.1, prior=np.ones((3, 12))
    )


def test_files_of_numpy_with_offsets(tmp_path: Path) -> None:
    X, y = problem(7, m=3000, n=5)
    offset = np.random.default_rng(7).normal(size=(3000, 3))
    np.save(tmp_path / "X.npy", X)
    from_file = gradstep.fit([tmp_path / "X.npy"], y, l2=0.01, offset=offset)
    assert from_file == gradstep.fit(X, y, l2=0.01, offset=offset)


def test_columns_of_a_table_are_offsets() -> None:
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    pytest.importorskip("pyarrow", exc_type=ImportError)
    X, y = problem(7)
    offset = np.random.default_rng(7).normal(size=(90, 3))
    table = pd.DataFrame(np.column_stack([X, offset]), columns=[*"abcd", "o0", "o1", "o2"]).assign(kind=y)
    want = gradstep.fit(table[[*"abcd"]], y, l2=0.1, offset=offset)
    assert gradstep.fit(table, "kind", l2=0.1, offset=["o0", "o1", "o2"]) == want
    one = gradstep.fit(table.assign(kind=y > 0), "kind", l2=0.1, offset=["o0"])
    assert one == gradstep.fit(table.assign(kind=y > 0), "kind", l2=0.1, offset="o0")
    with pytest.raises(ValueError, match=r"offset must be one of the columns a, b, .*, got 'o3'"):
        gradstep.fit(table, "kind", l2=0.1, offset=["o0", "o1", "o3"])
    with pytest.raises(TypeError, match=r"offset must be the name of a column, or a list of the names .*, got list"):
        gradstep.fit(table, "kind", l2=0.1, offset=[])
    with pytest.raises(ValueError, match=r"offset must be one number .*, got rows of 2 numbers, for 3 classes"):
        gradstep.fit(table, "kind", l2=0.1, offset=["o0", "o1"])


def test_sparse_rows_and_both_solvers() -> None:
    rng = np.random.default_rng(8)
    X = sp.random_array((300, 30), density=0.2, rng=rng, format="csr")
    y = np.arange(300) % 4
    offset, prior = rng.normal(size=(300, 4)), rng.normal(size=(4, 30))
    options: dict[str, Any] = {"l2": 0.01, "prior": prior, "offset": offset, "gap_tol": 1e-10}
    sparse, dense = gradstep.fit(X, y, **options), gradstep.fit(X.toarray(), y, **options)
    by_steps = gradstep.fit(X.toarray(), y, **options, solver="gd")
    bounded = [gradstep.fit(Z, y, **options, lower=0.0) for Z in (X, X.toarray())]
    for one, other in ((sparse, dense), (by_steps, dense), bounded):
        assert one.converged and other.converged
        assert_allclose(one.objective, other.objective, rtol=1e-9)


def test_a_start_is_moved_to_the_bounds_of_its_class() -> None:
    X, y = problem(9)
    upper = np.full((3, 4), np.inf)
    upper[1] = 0.1
    best = gradstep.fit(X, y, l1=0.01, upper=upper)
    again = gradstep.fit(X, y, l1=0.01, upper=upper, weights=np.full((3, 4), 5.0), bias=np.zeros(3))
    assert (again.weights <= upper).all() and (best.weights[[0, 2]] > 0.1).any()
    assert_allclose(again.objective, best.objective, rtol=2e-8)


def test_predictions_take_offsets() -> None:
    X, y = problem(10)
    offset = np.random.default_rng(10).normal(size=(len(y), 3))
    best = gradstep.fit(X, y, l2=0.1, offset=offset)
    z = best.decision_function(X) + offset
    assert_array_equal(best.decision_function(X, offset=offset), z)
    assert_array_equal(best.predict_proba(X, offset=offset), gradstep.softmax(z))
    assert_array_equal(best.predict(X, offset=offset), z.argmax(axis=1))
    with pytest.raises(
        ValueError, match=r"offset must have shape \(90, 3\) \(one per row of X and class\), got shape \(90"
    ):
        best.predict(X, offset=offset[:, 0])


def test_many_models_have_offsets_of_their_own() -> None:
    X, y = problem(11)
    offset = np.random.default_rng(11).normal(size=(len(y), 2, 3))
    prior = np.ones((3, 4))
    each = gradstep.fit_many(X, y, l2=0.1, prior=prior, offset=offset)
    assert each == tuple(gradstep.fit(X, y, l2=0.1, prior=prior, offset=offset[:, k]) for k in range(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": np.zeros((2, 4))}, r"prior must be one number per column of X, or a row .*got 2 rows for 3 classes"),
        (
            {"lower": np.zeros((3, 5))},
            r"lower must have shape \(4,\) .*row of 4 numbers for each class, got shape",
        ),
        ({"upper": np.zeros((0, 4))}, r"upper must have shape \(4,\)"),
        ({"prior": np.zeros((3, 4)), "lower": np.zeros((4, 4))}, "prior must have length 16"),
        ({"penalty_factors": np.ones((3, 4))}, "penalty_factors must be 1-dimensional"),
        ({"prior": np.full((3, 4), np.nan)}, "prior must be between .*, got NaN at class 0, column 0"),
        ({"lower": np.ones((3, 4)), "upper": np.eye(3, 4)}, "upper must be at least .*, got 0 at class 0, column 1"),
        ({"offset": np.zeros(90)}, "offset must be one number .*, got one number for each row, for 3 classes"),
        ({"offset": np.zeros((90, 2))}, "offset must be one number .*, got rows of 2 numbers, for 3 classes"),
        ({"offset": np.zeros((80, 3))}, "offset must have length 90"),
        ({"offset": np.zeros((90, 0))}, "offset must be 1-dimensional"),
        ({"offset": np.zeros((90, 3, 1))}, "offset must be 1-dimensional"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    X, y = problem(12)
    with pytest.raises(ValueError, match=message):
        gradstep.fit(X, y, l2=0.1, **options)


def test_errors_for_labels_of_two_classes() -> None:
    X, y = problem(13)
    binary = (y > 0).astype(float)
    with pytest.raises(ValueError, match=r"prior must be .*, got 3 rows for labels in \[0, 1\]"):
        gradstep.fit(X, binary, l2=0.1, prior=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"offset must be .*, got rows of 2 numbers, for labels in \[0, 1\]"):
        gradstep.fit(X, binary, l2=0.1, offset=np.zeros((90, 2)))
    with pytest.raises(ValueError, match=r"offset must be .*, got rows of 2 numbers, for labels in \[0, 1\]"):
        gradstep.Trainer().fit(X, binary, offset=np.zeros((90, 2)))
    same = gradstep.fit(X, binary, l2=0.1, offset=np.ones((90, 1)), prior=np.ones((1, 4)))
    assert same == gradstep.fit(X, binary, l2=0.1, offset=np.ones(90), prior=np.ones(4))


@pytest.mark.parametrize("classes", [2, 3])
def test_columns_far_from_zero_with_weights_that_are_not(classes: int) -> None:
    """A start at a prior or at bounds, where every prediction would be certain, is none."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)) + 100, np.arange(40) % classes
    prior: Any = [[3.0, 1.0], [0.0, 0.0], [-1.0, 1.0]]
    for options in ({"l2": 0.1, "lower": 0.5}, {"l1": 0.01, "l2": 0.1, "prior": prior[0] if classes == 2 else prior}):
        best = gradstep.fit(X, y, **options)
        centred = gradstep.fit(X - 100, y, **options)
        assert best.converged and centred.converged
        assert_allclose(best.objective, centred.objective, rtol=2e-8)


def test_a_prior_far_from_the_optimum() -> None:
    rng = np.random.default_rng(0)
    X, y, prior = 100 * rng.normal(size=(60, 40)), np.arange(60) % 3, 10 * rng.normal(size=(3, 40))
    best = gradstep.fit(X, y, l2=0.01, prior=prior)
    assert best.converged
    assert best.objective <= gradstep.fit(X, y, l2=0.01, prior=prior, weights=np.zeros((3, 40))).objective * (1 + 1e-7)
