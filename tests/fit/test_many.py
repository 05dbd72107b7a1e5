"""`fit_many`: several models over one X, each with the bits that `fit` alone gives it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

import gradstep
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes


def problem(seed: int, m: int = 700, n: int = 12, count: int = 5) -> tuple[Array, Array, Array]:
    """X, labels of several targets, and weights of which some are 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    y = (X @ rng.normal(size=(n, count)) + 2 * rng.logistic(size=(m, count)) > 0).astype(float)
    return X, y, rng.integers(0, 4, (m, count)).astype(float)


def same(many: Any, alone: list[gradstep.Optimum]) -> None:
    assert len(many) == len(alone)
    for one, other in zip(many, alone, strict=True):
        assert one == other
        assert_array_equal(one.weights.view(np.uint8), other.weights.view(np.uint8))


@both_dtypes
@pytest.mark.parametrize("n_threads", [1, 2, 5, None])
@pytest.mark.parametrize("options", [{"l2": 1e-3}, {}, {"l1": 0.01, "l2": 1e-3}, {"l2": 0.1, "solver": "gd"}])
def test_each_model_has_the_bits_that_it_has_alone(dtype: Any, n_threads: int | None, options: dict[str, Any]) -> None:
    X, y, weight = problem(1, m=3000)
    X = X.astype(dtype)
    many = gradstep.fit_many(X, y, sample_weight=weight, n_threads=n_threads, **options)
    same(many, [gradstep.fit(X, y[:, k], sample_weight=weight[:, k], **options) for k in range(5)])
    assert all(one.converged for one in many)


def test_every_layout(tmp_path: Path) -> None:
    X, y, _ = problem(2, m=300)
    alone = [gradstep.fit(X, y[:, k], l2=0.01) for k in range(5)]
    for name, laid in layouts(X, tmp_path):
        many = gradstep.fit_many(laid, y, l2=0.01)
        assert [one == other for one, other in zip(many, alone, strict=True)] == [True] * 5, name


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix])
def test_sparse_rows(form: Any) -> None:
    X, y, _ = problem(3, m=2000, n=300)
    X = form(np.where(np.random.default_rng(0).random(X.shape) < 0.05, X, 0.0))
    for options in ({"l2": 1e-2}, {"l1": 1e-3}):
        same(gradstep.fit_many(X, y, **options), [gradstep.fit(X, y[:, k], **options) for k in range(5)])


def test_classes_beside_two_classes() -> None:
    X, y, _ = problem(4)
    labels = np.column_stack([y[:, 0], y[:, :3].sum(axis=1), y[:, :2].sum(axis=1)])
    same(gradstep.fit_many(X, labels, l2=0.05), [gradstep.fit(X, labels[:, k], l2=0.05) for k in range(3)])


def test_strengths_starts_and_offsets_of_each() -> None:
    X, y, _ = problem(5)
    offset = np.random.default_rng(5).normal(size=(len(X), 3))
    l1, l2 = [0.1, 0.0, 0.01], [0.0, 0.1, 0.01]
    first = gradstep.fit_many(X, y[:, 0], l1=l1, l2=l2, offset=offset)
    same(first, [gradstep.fit(X, y[:, 0], l1=l1[k], l2=l2[k], offset=offset[:, k]) for k in range(3)])
    weights, bias = [one.weights for one in first], [one.bias for one in first]
    again = gradstep.fit_many(X, y[:, 1], l2=l2, weights=weights, bias=bias)
    same(again, [gradstep.fit(X, y[:, 1], l2=l2[k], weights=weights[k], bias=bias[k]) for k in range(3)])
    same(
        gradstep.fit_many(X, y[:, 1], l2=l2, weights=np.stack(weights)),
        [gradstep.fit(X, y[:, 1], l2=l2[k], weights=weights[k]) for k in range(3)],
    )


def test_models_that_end_at_different_times() -> None:
    """Separated labels, labels of one class and a model that is found at once, beside others."""
    X, y, _ = problem(6)
    y[:, 0] = X[:, 0] > 0
    y[:, 1] = 1.0
    y[:, 2] = np.arange(len(X)) % 2
    X[:, 3] = 1.0
    same(gradstep.fit_many(X, y), [gradstep.fit(X, y[:, k]) for k in range(5)])
    assert gradstep.fit_many(X, y)[0].stop_reason == "separated"


def test_more_models_than_run_at_once() -> None:
    X, y, _ = problem(7, m=100, n=3, count=70)
    same(gradstep.fit_many(X, y, l2=0.1), [gradstep.fit(X, y[:, k], l2=0.1) for k in range(70)])


def test_one_model() -> None:
    X, y, _ = problem(8)
    same(gradstep.fit_many(X, y[:, :1], l2=0.1), [gradstep.fit(X, y[:, 0], l2=0.1)])


def test_columns_are_named() -> None:
    pd = pytest.importorskip("pandas")
    X, y, _ = problem(9, n=2)
    (best, *_) = gradstep.fit_many(pd.DataFrame(X, columns=["a", "b"]), y, l2=0.1)
    assert best.feature_names == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(4)}, r"y must have a column for each model"),
        ({"y": np.zeros((4, 2, 1))}, r"y must have at most 2 dimensions, got 3"),
        ({"y": np.zeros((4, 0))}, r"y must be for at least one model, got none"),
        ({"l2": [0.1, 0.2, 0.3]}, r"l2 must be for 2 models, as y is, got 3"),
        ({"l1": [[0.1, 0.2]]}, r"l1 must have at most 1 dimensions, got 2"),
        ({"sample_weight": np.ones((4, 3))}, r"sample_weight must be for 2 models, as y is, got 3"),
        ({"weights": [[0.0, 0.0]]}, r"weights must be for 2 models, as y is, got 1"),
        ({"bias": [0.0, 0.0]}, r"bias must be None without weights"),
        ({"y": [[0, 0], [1, 3], [0, 0], [1, 1]]}, r"y must be .*, in model 1$"),
        ({"y": [[0, 0], [1, 2], [0, 1], [1, 2]]}, r"offset .*, in model 1$"),
        ({"prior": np.zeros((2, 2))}, r"prior must be .*, got 2 rows for labels in \[0, 1\], in model 0$"),
        ({"l2": [0.1, -1.0]}, r"l2 must be"),
        ({"n_threads": 0}, r"n_threads must be"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"y": np.array([[0, 0], [1, 1], [0, 0], [1, 1]]), **change}
    if "offset" in message:
        arguments["offset"] = np.zeros(4)
    with pytest.raises(ValueError, match=message):
        gradstep.fit_many(np.arange(8.0).reshape(4, 2), **arguments)


def test_a_bad_row_is_named() -> None:
    X, y, _ = problem(10)
    X[7, 3] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite.*row 7.*column 3"):
        gradstep.fit_many(X, y)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
def test_ctrl_c_ends_all() -> None:
    X, y, _ = problem(11, m=200_000, n=50, count=8)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        gradstep.fit_many(X, y, tol=0.0, max_passes=1e6, solver="gd")
    timer.join()
