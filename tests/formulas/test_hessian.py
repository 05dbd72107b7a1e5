"""hessian and covariance: the textbook, and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep
from helpers import oracle


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (300, 9), (70, 65)])
def test_hessian_matches_the_textbook(dtype: Any, make: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    X, w, b, s = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[1]), 0.3, rng.integers(1, 4, shape[0])
    points = np.column_stack([oracle.f64(X), np.ones(shape[0])])
    p = oracle.predict_proba(X, w, b)
    d = s * p * (1 - p)
    got = gradstep.hessian(make(X), w, b, sample_weight=s)
    # Each element is a sum of m products. Their factors σ'(z) are as exact as z, which has n + 2 roundings of
    # |x|·|w| + |b|.
    size = (np.abs(points).T * d) @ np.abs(points) / s.sum()
    roundings = shape[0] + 8 + (shape[1] + 2) * (np.abs(oracle.f64(X)) @ np.abs(w) + b).max()
    assert got.shape == (shape[1] + 1,) * 2 and got.dtype == np.float64
    assert (np.abs(got - (points.T * d) @ points / s.sum()) <= roundings * np.finfo(float).eps * size).all()
    assert got.tobytes() == gradstep.hessian(make(X), w, b, sample_weight=s, n_threads=3).tobytes()


def test_rows_without_weight_may_hold_anything_in_a_hessian() -> None:
    X, weights = np.array([[1.0, 2.0], [np.inf, np.nan], [-1.0, 0.5]]), [0.5, -1.0]
    got = gradstep.hessian(X, weights, 0.25, sample_weight=[1, 0, 2])
    assert got.tobytes() == gradstep.hessian(X[[0, 2]], weights, 0.25, sample_weight=[1, 2]).tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("shape", [(7, 3), (300, 9), (90, 65)])
@pytest.mark.parametrize("fit_bias", [False, True])
def test_covariance_matches_the_textbook(dtype: Any, make: Any, shape: tuple[int, int], fit_bias: bool) -> None:
    rng = np.random.default_rng(5)
    X, w, b, s = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[1]), 0.3, rng.integers(1, 4, shape[0])
    w /= np.sqrt(shape[1])
    points = np.column_stack([oracle.f64(X), np.ones(shape[0])])[:, : shape[1] + fit_bias]
    p = oracle.predict_proba(X, w, b)
    information = points.T @ (points * (s * p * (1 - p))[:, None])
    got = gradstep.covariance(make(X), w, b, sample_weight=s, fit_bias=fit_bias)
    assert got.dtype == np.float64 and (got == got.T).all()
    # Two inverses of matrices that differ by m + n + 8 roundings: they differ by as many, times the condition.
    units = (sum(shape) + 8) * np.finfo(float).eps * np.linalg.cond(information)
    assert np.abs(got - np.linalg.inv(information)).max() <= units * np.abs(got).max()
    again = gradstep.covariance(make(X), w, b, sample_weight=s, fit_bias=fit_bias, n_threads=3)
    assert got.tobytes() == again.tobytes()


def inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    rows = [[*row, *(Fraction(i == j) for j in range(len(matrix)))] for i, row in enumerate(matrix)]
    for k in range(len(rows)):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[len(matrix) :] for row in rows]


def test_covariance_of_columns_far_from_zero_and_nearly_alike() -> None:
    """Against exact arithmetic of fractions: 12 digits are right, although the information is singular in float64."""
    rng = np.random.default_rng(6)
    start = 1_700_000_000 + rng.integers(0, 10**6, 40)
    X = np.column_stack([start, start + rng.integers(1, 100, 40)]).astype(float)
    w = [1e-6, -1e-6]  # scores of almost 0
    p = oracle.predict_proba(X, w, 0.0)
    points = [[Fraction(value) for value in (*row, 1.0)] for row in X]
    information = [
        [sum(Fraction(d) * row[i] * row[j] for d, row in zip(p * (1 - p), points, strict=True)) for j in range(3)]
        for i in range(3)
    ]
    want = np.array([[float(value) for value in row] for row in inverse(information)])
    np.testing.assert_allclose(gradstep.covariance(X, w), want, rtol=1e-12)
    assert np.linalg.cond(gradstep.hessian(X, w)) > 1e16


def test_covariance_says_why_it_is_refused() -> None:
    """If all predictions are certain, the information is nearly 0. This makes no column a combination of others."""
    X = np.random.default_rng(0).normal(size=(25, 3))
    for size in (200.0, 1000.0):
        with pytest.raises(ValueError, match="got predictions so certain"):
            gradstep.covariance(X, [size, 2 * size, -size])
    with pytest.raises(ValueError, match="numbers are too small"):
        gradstep.covariance(X * 1e-310, [1, 1, 1])
    with pytest.raises(ValueError, match="column 3, which column 1 determines"):
        gradstep.covariance(np.column_stack([X, 2 * X[:, 1]]), [1, 1, 1, 0])
