"""One row, X of shape (n,), with a scalar y, gives bit for bit what the matrix of this one row gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers.problems import cases, class_problems, problems
from helpers.results import bits

PREDICTIONS: list[Callable[..., Any]] = [gradstep.decision_function, gradstep.predict_proba]
OF_LABELS: list[Callable[..., Any]] = [gradstep.loss, gradstep.gradient, gradstep.loss_gradient]


def forms(row: Any) -> list[Any]:
    """The row as users may hand it over: the same numbers, to be computed in the same precision."""
    wide = np.repeat(row, 2)[::2]
    return [row, wide, row[::-1].copy()[::-1], pd.Series(row, index=[f"x{j}" for j in range(len(row))])]


@settings(max_examples=cases(150))
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), several=st.booleans())
def test_a_row_is_the_matrix_of_one_row(data: st.DataObject, dtype: Any, several: bool) -> None:
    X, y, weights, bias = data.draw(class_problems(dtype) if several else problems(dtype))
    row, label, matrix = X[0], y[0], X[:1]
    scalar = data.draw(st.sampled_from([label, label.item(), np.asarray(label)]))
    count = data.draw(st.sampled_from([None, 3.0, np.float32(0.5), [3.0]]))
    counts = None if count is None else np.atleast_1d(count)
    for x in forms(row):
        for function in PREDICTIONS:
            want = function(matrix, weights, bias)[0]
            got = function(x, weights, bias)
            assert got.dtype == want.dtype == dtype and np.shape(got) == np.shape(want)
            assert np.ndim(got) == several and got.tobytes() == want.tobytes()
        for function in OF_LABELS:
            want = function(matrix, [label], weights, bias, sample_weight=counts)
            got = function(x, scalar, weights, bias, sample_weight=count)
            assert type(got) is type(want) and bits(got) == bits(want)
        if not several:
            for reduction in ("mean", "sum"):
                options = {"learning_rate": 0.5, "reduction": reduction}
                want = gradstep.gradient_step(matrix, [label], weights, bias, sample_weight=counts, **options)
                assert bits(gradstep.gradient_step(x, scalar, weights, bias, sample_weight=count, **options)) == bits(
                    want
                )


X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0], [0.5, 2.0], [2.5, 0.5]])
RESULTS = {
    "optimum": gradstep.fit(X, [0, 1, 0, 1, 0, 1], l2=0.1),
    "classes": gradstep.fit(X, [0, 1, 2, 1, 0, 2], l2=0.1),
    "descent": gradstep.Trainer(0.5, 20).fit(X, [0, 1, 0, 1, 0, 1]),
    "perceptron": gradstep.Trainer(1.0, 4, batch_size=1, activation="step").fit(X, [0, 1, 0, 1, 0, 1]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_predict_one_row(name: str) -> None:
    result = RESULTS[name]
    for row in [*X, np.zeros(2), X[0].tolist(), pd.Series(X[1]), pl.Series(X[2])]:
        matrix = np.asarray(row)[None]
        for method in ("decision_function", "predict_proba", "predict"):
            got, want = getattr(result, method)(row), getattr(result, method)(matrix)[0]
            assert np.shape(got) == np.shape(want) and got.dtype == want.dtype and got.tobytes() == want.tobytes()
        assert type(result.predict(row)) is np.intp


def test_a_row_of_integers_or_booleans_is_computed_in_float64() -> None:
    for row in ([1, 0], [True, False], np.array([1, 0], np.int8), pd.Series([1, 0], dtype="Int64")):
        assert gradstep.predict_proba(row, [2.0, 1.0]) == gradstep.sigmoid(2.0)
        assert gradstep.loss(row, True, [2.0, 1.0]) == gradstep.loss([[1.0, 0.0]], [1.0], [2.0, 1.0])


@pytest.mark.parametrize("function", [*OF_LABELS, gradstep.gradient_step])
@pytest.mark.parametrize("y", [[1], [1, 0], [[1]], []])
def test_a_row_with_labels_of_several_rows_is_refused(function: Callable[..., Any], y: Any) -> None:
    rest = (0.0, 0.5) if function is gradstep.gradient_step else ()
    shape = str(np.shape(y)).replace("(", r"\(").replace(")", r"\)")
    words = rf"^X must be 2-dimensional, or one row with a scalar y, got shape \(2,\) with y of shape {shape}$"
    with pytest.raises(ValueError, match=words):
        function([1.0, 2.0], y, [0.5, 0.5], *rest)
    with pytest.raises(ValueError, match=r"^y must be 1-dimensional, got shape \(\)"):
        function([[1.0, 2.0]], 1, [0.5, 0.5], *rest)
