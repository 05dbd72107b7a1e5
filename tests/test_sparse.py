"""X as SciPy's CSR or CSC: the dense answer, without ever being dense."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
import oracle
from problems import DTYPES, Problem, bits, cases, problems, rounding_of_a_step, sample_weights, tolerance

Array = npt.NDArray[Any]

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
CONTAINERS = [scipy.sparse.csr_array, scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.csc_matrix]


def retyped(X: Any, integers: Any) -> Any:
    """The same matrix with indices of another type, which SciPy's own constructors would change back."""
    X.indices, X.indptr = X.indices.astype(integers), X.indptr.astype(integers)
    return X


def text_like(m: int, n: int, dtype: Any = np.float64, seed: int = 0, density: float = 0.05) -> Any:
    """CSR with popular and rare columns, some of them empty, and some empty rows."""
    random = np.random.default_rng([m, n, seed])
    popular = density * n / np.arange(1, n + 1) ** 0.7
    popular *= density * n / popular.sum()
    X = np.where(random.random((m, n)) < np.minimum(popular, 1.0), random.normal(size=(m, n)), 0.0)
    X[::7] = 0.0
    X[:, :: max(n // 3, 2)] = 0.0
    return scipy.sparse.csr_array(X.astype(dtype))


def labelled(X: Any, dtype: Any = np.float64, seed: int = 0) -> Problem:
    random = np.random.default_rng([*X.shape, seed])
    m, n = X.shape
    return Problem(X, random.integers(0, 2, m).astype(dtype), random.normal(size=n).astype(dtype), 0.25)


def scattered(X: Any, seed: int = 0) -> Any:
    """The same CSR matrix with the columns of each row in another order, and some elements in two exact halves."""
    random = np.random.default_rng(seed)
    data, indices, indptr = [], [], [0]
    for first, last in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        values, columns = X.data[first:last], X.indices[first:last]
        twice = random.random(len(values)) < 0.3
        values = np.concatenate([np.where(twice, values / 2, values), values[twice] / 2])
        columns = np.concatenate([columns, columns[twice]])
        order = random.permutation(len(values))
        data.append(values[order])
        indices.append(columns[order])
        indptr.append(indptr[-1] + len(values))
    if not data:
        return X
    parts = np.concatenate(data).astype(X.dtype), np.concatenate(indices), np.array(indptr)
    return scipy.sparse.csr_array(parts, shape=X.shape)


def everything(problem: Problem, **options: Any) -> list[bytes]:
    """The bits of every formula's result."""
    weightless = {name: value for name, value in options.items() if name != "sample_weight"}
    return [
        *bits(gradstep.decision_function(problem.X, problem.weights, problem.bias, **weightless)),
        *bits(gradstep.predict_proba(problem.X, problem.weights, problem.bias, **weightless)),
        *bits(gradstep.loss(*problem, **options)),
        *bits(gradstep.gradient(*problem, **options)),
        *bits(gradstep.loss_gradient(*problem, **options)),
        *bits(gradstep.gradient_step(*problem, 0.5, **options)),
    ]


# --- parity with the textbook -----------------------------------------------------------------------------------------


@both_dtypes
def test_formulas_match_the_oracle_on_the_dense_matrix(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=cases(1000))
    @given(problems(dtype), st.data())
    def check(problem: Problem, data: st.DataObject) -> None:
        count_case()
        X, y, weights, bias = problem
        kept = np.frombuffer(data.draw(st.binary(min_size=X.size, max_size=X.size)), np.uint8).reshape(X.shape)
        X = np.where(kept % 3 == 0, X, dtype(0))
        dense = problem._replace(X=X)
        integers = data.draw(st.sampled_from([np.int32, np.int64]))
        sparse = retyped(data.draw(st.sampled_from(CONTAINERS))(X), integers)
        if sparse.format == "csr" and data.draw(st.booleans()):
            sparse = retyped(scattered(sparse), integers)
        assert np.array_equal(sparse.toarray(), X)
        weight = data.draw(st.none() | sample_weights(len(y), dtype))

        near = tolerance(dense, dtype, weight)
        y_hat = gradstep.predict_proba(sparse, weights, bias)
        assert bits(gradstep.sigmoid(gradstep.decision_function(sparse, weights, bias))) == bits(y_hat)
        assert y_hat.dtype == dtype
        assert (np.abs(y_hat - oracle.predict_proba(X, weights, bias)) <= near.y_hat).all()
        got, want = (
            gradstep.loss_gradient(sparse, y, weights, bias, sample_weight=weight),
            oracle.gradient(*dense, weight),
        )
        assert got.weights.dtype == dtype
        assert abs(got.loss - oracle.loss(*dense, weight)) <= near.loss
        assert (np.abs(got.weights - want.weights) <= near.weights).all()
        assert abs(got.bias - want.bias) <= near.bias
        assert got.loss == gradstep.loss(sparse, y, weights, bias, sample_weight=weight)
        assert bits(gradstep.gradient(sparse, y, weights, bias, sample_weight=weight)) == bits(tuple(got[1:]))

    check()


@both_dtypes
@pytest.mark.parametrize("one_sided", [False, True])
def test_many_rows(dtype: Any, one_sided: bool) -> None:
    """The error of a mean over 200 000 rows does not grow with their number, and not with that of the columns."""
    random = np.random.default_rng(1)
    columns = np.column_stack([random.integers(0, 300, (200_000, 6)), np.full(200_000, 300)])
    values = np.abs(random.normal(size=columns.size)).astype(dtype)
    X = scipy.sparse.csr_array((values, columns.ravel(), np.arange(0, columns.size + 1, 7)), (200_000, 301))
    problem = labelled(X, dtype)
    if one_sided:
        problem = problem._replace(y=np.zeros_like(problem.y))
    got = gradstep.loss_gradient(*problem)
    exact, y, weights = X.astype(np.float64), problem.y.astype(np.float64), problem.weights.astype(np.float64)
    z = exact @ weights + problem.bias
    residual = 1 / (1 + np.exp(-z)) - y
    want = exact.T @ residual / len(y)
    # As for dense matrices: dz and 8·eps of each term, and room for a few additions in a row, not for 200 000.
    eps = float(np.finfo(dtype).eps)
    dz = 12 * eps * (abs(exact) @ np.abs(weights) + abs(problem.bias))
    each = dz / 4 + (8 + 32) * eps * np.abs(residual)
    # The oracle's own sum, over rows in order.
    drift = np.sqrt(len(y)) * np.finfo(np.float64).eps * (abs(exact).T @ np.abs(residual)) / len(y)
    assert (np.abs(got.weights - want) <= abs(exact).T @ each / len(y) + eps * np.abs(want) + drift).all()
    assert abs(got.bias - residual.mean()) <= each.mean() + eps


# --- same bits --------------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 1), (40, 3), (300, 2000), (5000, 40), (30_000, 200)])
def test_same_bits_for_threads_indices_and_orientations(m: int, n: int, dtype: Any) -> None:
    problem = labelled(text_like(m, n, dtype), dtype)
    weight = np.linspace(2, 0.5, m).astype(dtype)
    plain, weighted = everything(problem), everything(problem, sample_weight=weight)
    for container in CONTAINERS:
        for integers in (np.int32, np.int64):
            same = problem._replace(X=retyped(container(problem.X), integers))
            for n_threads in (None, 1, 2, 3, 8):
                assert everything(same, n_threads=n_threads) == plain, (container, integers, n_threads)
            assert everything(same, sample_weight=weight, n_threads=3) == weighted


@pytest.mark.parametrize("batch_size", [None, 1, 7, 200])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_same_bits_in_descent(batch_size: int | None, l2: float) -> None:
    problem = labelled(text_like(600, 900))
    options = {"batch_size": batch_size, "l2": l2, "shuffle": True, "seed": 3}
    want = gradstep.Trainer(0.25, 3, **options).fit(*problem)
    for X in (problem.X.tocsc(), retyped(problem.X.copy(), np.int64), scipy.sparse.csr_matrix(problem.X)):
        for n_threads in (1, 2, 3, 8):
            got = gradstep.Trainer(0.25, 3, n_threads=n_threads, **options).fit(X, *problem[1:])
            assert bits(got[:4]) == bits(want[:4])


@pytest.mark.parametrize("batch_size", [None, 1, 7, 200])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_tracing_changes_nothing(batch_size: int | None, l2: float) -> None:
    problem = labelled(text_like(60, 400))
    want = gradstep.Trainer(0.25, 2, batch_size=batch_size, l2=l2).fit(*problem)
    got = gradstep.Trainer(0.25, 2, batch_size=batch_size, l2=l2, trace=True).fit(*problem)
    assert bits(got[:4]) == bits(want[:4])
    assert np.array_equal(got.trace["weights"][-1], got.weights)


# --- descent ----------------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 3, 40])
@pytest.mark.parametrize("l2", [0.0, 0.25])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_descent_matches_oracle(dtype: Any, batch_size: int | None, l2: float, reduction: str) -> None:
    """Wide enough that small batches store less than a number per column, and large ones more."""
    X, y, weights, bias = labelled(text_like(50, 300, dtype), dtype)
    dense, m = X.toarray(), len(y)
    longest = float(np.sqrt((dense.astype(float) ** 2).sum(axis=1) + 1).max())
    rate = float(dtype(1 / (longest**2 / 4 + l2)))  # as for dense matrices: no update spreads two states apart
    largest = min(batch_size or m, m)
    trainer = gradstep.Trainer(
        rate / largest if reduction == "sum" else rate, 3, batch_size=batch_size, reduction=reduction, l2=l2, trace=True
    )
    fit = trainer.fit(X, y, weights, bias)
    room, losses, near = 0.0, [], []
    options = {"learning_rate": trainer.learning_rate, "reduction": reduction, "l2": l2}
    steps = oracle.updates(dense, y, weights, bias, orders=[range(m)] * 3, batch_size=batch_size, **options)
    for record, update in zip(fit.trace, steps, strict=True):
        batch = Problem(dense[update.rows], y[update.rows], *update.before)
        step = trainer.learning_rate * (len(update.rows) if reduction == "sum" else 1)
        spread = rounding_of_a_step(batch, step, l2, dtype)
        room += float(np.hypot(np.linalg.norm(spread[0]), spread[1]))
        rows = np.atleast_1d(record["row"])
        assert rows[rows >= 0].tolist() == list(update.rows)
        # Twice: the penalty's factor, kept apart, rounds once more.
        assert np.linalg.norm(record["weights"] - update.after.weights) <= 2 * room
        change = record["delta_weights"] - (update.after.weights - update.before.weights)
        assert np.linalg.norm(change) <= 4 * room
        z = dense[update.rows].astype(float) @ update.before.weights + update.before.bias
        assert (np.abs(np.atleast_1d(record["z"])[: len(rows[rows >= 0])] - z) <= 4 * longest * room).all()
        if update.rows[-1] == m - 1:
            whole = Problem(dense, y, *update.after)
            losses.append(oracle.loss(*whole))
            near.append(tolerance(whole, dtype).loss + 2 * longest * room)
    distance = np.hypot(np.linalg.norm(fit.weights - update.after.weights), fit.bias - update.after.bias)
    assert distance <= 2 * room
    assert (np.abs(fit.history - losses) <= near).all()


@pytest.mark.parametrize("l2", [0.0, 1.0, 3.9, 4.0, 5.0])
def test_a_strong_penalty(l2: float) -> None:
    """The penalty's factor 1 - α·l2 is one, shrinks, nearly vanishes, is zero, is negative."""
    problem = labelled(text_like(40, 500))
    sparse = gradstep.Trainer(0.25, 5, batch_size=1, l2=l2).fit(*problem)
    dense = gradstep.Trainer(0.25, 5, batch_size=1, l2=l2).fit(problem.X.toarray(), *problem[1:])
    # 200 updates, in each a few roundings of weights and scores of a few units.
    assert np.abs(sparse.weights - dense.weights).max() <= 200 * 64 * np.finfo(np.float64).eps
    assert np.abs(sparse.history - dense.history).max() <= 200 * 64 * np.finfo(np.float64).eps


@pytest.mark.parametrize("batch_size", [None, 1, 5])
def test_the_perceptron(batch_size: int | None) -> None:
    """Small integers: every sum is exact, and sparse and dense have the same weights to the last bit."""
    X = np.rint(text_like(40, 500).toarray() * 2)
    y = (X @ np.arange(500) >= 0).astype(float)
    options = {"activation": "step", "reduction": "sum", "batch_size": batch_size}
    sparse = gradstep.Trainer(1.0, 4, **options).fit(scipy.sparse.csr_array(X), y)
    dense = gradstep.Trainer(1.0, 4, **options).fit(X, y)
    assert bits(sparse[:4]) == bits(dense[:4])


def test_weights_are_repetitions() -> None:
    X, y, weights, bias = labelled(text_like(200, 50))
    times = np.arange(200) % 4
    repeated = Problem(X.tocsr()[np.repeat(np.arange(200), times)], np.repeat(y, times), weights, bias)
    got, want = gradstep.loss_gradient(X, y, weights, bias, sample_weight=times), gradstep.loss_gradient(*repeated)
    near = tolerance(repeated._replace(X=repeated.X.toarray()), np.float64)
    assert abs(got.loss - want.loss) <= 2 * near.loss
    assert (np.abs(got.weights - want.weights) <= 2 * near.weights).all()


# --- what containers hold ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, bool])
def test_other_types_are_float64(kind: Any) -> None:
    X = np.random.default_rng(0).integers(0, 2 if kind is bool else 100, (30, 8)).astype(kind)
    X[:, 3] = 0
    problem = labelled(scipy.sparse.csr_array(X))
    problem = problem._replace(weights=problem.weights / 100)
    assert everything(problem) == everything(problem._replace(X=problem.X.astype(np.float64)))
    assert everything(problem) == everything(problem._replace(X=problem.X.tocsc()))


def test_bytes_other_than_0_and_1_are_true() -> None:
    X = text_like(30, 8)
    sloppy = scipy.sparse.csr_array((np.full(X.nnz, 2, np.uint8).view(bool), X.indices, X.indptr), X.shape)
    ones = scipy.sparse.csr_array((np.ones(X.nnz), X.indices, X.indptr), X.shape)
    assert everything(labelled(sloppy)) == everything(labelled(ones))


def test_arrays_in_any_layout_and_longer_than_needed() -> None:
    problem = labelled(text_like(50, 20))
    X, want = problem.X, everything(problem)
    for name, change in [
        ("strided", lambda values: np.repeat(values, 2)[::2]),
        ("reversed", lambda values: values[::-1].copy()[::-1]),
        ("byte-swapped", lambda values: values.astype(values.dtype.newbyteorder())),
        ("misaligned", lambda values: np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:].view(values.dtype)),
        ("read-only", lambda values: np.frombuffer(values.tobytes(), values.dtype)),
    ]:
        view = X.copy()
        view.data, view.indices, view.indptr = change(X.data), change(X.indices), change(X.indptr)
        assert everything(problem._replace(X=view)) == want, name
    for integers in (np.int8, np.uint32, np.uint64):
        view = X.copy()
        view.indices, view.indptr = X.indices.astype(integers), X.indptr.astype(np.int16)
        assert everything(problem._replace(X=view)) == want, integers
    view = X.copy()
    view.data, view.indices = np.append(X.data, np.nan), np.append(X.indices, -7)
    assert everything(problem._replace(X=view)) == want


def test_what_is_stored_is_computed_with() -> None:
    """An explicit zero meets an infinite weight as arithmetic has it; a zero that is not stored does not."""
    X = scipy.sparse.csr_array(([0.0, 1.0, 1.0], [0, 1, 1], [0, 2, 3]), (2, 2))
    assert np.isnan(gradstep.predict_proba(X, [np.inf, 1.0])).tolist() == [True, False]
    X = scipy.sparse.csr_array(([np.nan, 1.0, 1.0], [0, 1, 1], [0, 2, 3]), (2, 2))
    got = gradstep.loss_gradient(X, [0, 1], [0.5, 0.5])
    assert np.isnan(got.loss) and np.isnan(got.weights).all()


def test_nothing_stored_at_all() -> None:
    for container in CONTAINERS:
        got = gradstep.loss_gradient(container((4, 3)), [0, 1, 1, 1], np.ones(3), 0.0)
        assert got.weights.tolist() == [0, 0, 0] and got.bias == -0.25
        assert abs(got.loss - np.log(2)) <= np.finfo(float).eps


def test_never_dense() -> None:
    """Ten billion elements of which two are stored."""
    X = scipy.sparse.csr_array(([1.0, -1.0], [70_000, 99_999], np.minimum(np.arange(100_001), 2)), (100_000, 100_000))
    y = np.ones(100_000)
    assert gradstep.loss_gradient(X, y, np.zeros(100_000)).weights[70_000] == -0.5 / 100_000
    fit = gradstep.Trainer(1.0, 1, batch_size=1).fit(X.tocsc(), y)
    assert fit.weights[70_000] == 0.5 and np.count_nonzero(fit.weights) == 2


def test_inputs_are_not_changed() -> None:
    for container in (scipy.sparse.csr_array, scipy.sparse.csc_array):
        problem = labelled(container(text_like(60, 200)))
        before = [part.tobytes() for part in (problem.X.data, problem.X.indices, problem.X.indptr)]
        everything(problem)
        gradstep.Trainer(0.1, 2, batch_size=3).fit(*problem)
        assert [part.tobytes() for part in (problem.X.data, problem.X.indices, problem.X.indptr)] == before


# --- what is refused --------------------------------------------------------------------------------------------------


def broken(format: str, **parts: Any) -> Any:
    """A 3 × 4 matrix (4 × 3, for CSC) with other parts than its own."""
    X = scipy.sparse.csr_array(np.array([[1.0, 0, 2, 0], [0, 0, 0, 3], [4, 5, 0, 0]]))
    if format == "csc":
        X = X.T
    for name, value in parts.items():
        setattr(X, name, np.array(value))
    return X


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
@pytest.mark.parametrize("format", ["csr", "csc"])
def test_trainer_names_what_is_not_finite(value: float, batch_size: int | None, format: str) -> None:
    X = np.zeros((5, 300))
    X[:, ::100] = 1.0
    X[3, 200] = value
    X = scipy.sparse.csr_array(X).asformat(format)
    with pytest.raises(ValueError, match=r"X must be finite, got .* at row 3, column 200"):
        gradstep.Trainer(0.1, 2, batch_size=batch_size).fit(X, [0, 1, 0, 1, 1])


def test_scipy_is_not_imported() -> None:
    """A container is known by what it says of itself."""
    code = "import sys, gradstep; gradstep.loss([[1.0]], [1], [0.0]); assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
