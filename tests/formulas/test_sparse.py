"""Formulas for SciPy's CSR or CSC give what they give for the dense matrix, which is never made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers import oracle
from helpers.matrices import CONTAINERS, everything, labelled, retyped, scattered, text_like
from helpers.problems import Problem, both_dtypes, cases, problems, sample_weights
from helpers.results import bits
from helpers.tolerances import tolerance


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
    """The error of a mean over 200 000 rows grows neither with the number of rows nor with that of columns."""
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
    # The rounding of the oracle's sum, which adds the rows one after the other.
    drift = np.sqrt(len(y)) * np.finfo(np.float64).eps * (abs(exact).T @ np.abs(residual)) / len(y)
    assert (np.abs(got.weights - want) <= abs(exact).T @ each / len(y) + eps * np.abs(want) + drift).all()
    assert abs(got.bias - residual.mean()) <= each.mean() + eps


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
    """A zero that is stored gives NaN with an infinite weight; a zero that is not stored adds nothing."""
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


def test_scipy_is_not_imported() -> None:
    """Sparse containers are recognised by the module of their class, without SciPy."""
    code = "import sys, gradstep; gradstep.loss([[1.0]], [1], [0.0]); assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
