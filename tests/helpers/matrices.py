"""Sparse matrices: how SciPy holds them, with labels, and broken ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

import gradstep
from helpers import oracle
from helpers.problems import Problem
from helpers.results import bits, every_formula

Array = npt.NDArray[Any]

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


def drawn_labels(X: Any, seed: int = 0) -> Array:
    """Labels that no hyperplane separates, at these sizes."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=X.shape[1]) / np.sqrt(X.shape[1])
    return (random.random(X.shape[0]) < oracle.sigmoid(3 * (X @ weights) - 0.3)).astype(np.float64)


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


def broken(format: str, **parts: Any) -> Any:
    """A 3 × 4 CSR matrix (4 × 3 for CSC), in which the arrays `parts` replace its own: data, indices or indptr."""
    X = scipy.sparse.csr_array(np.array([[1.0, 0, 2, 0], [0, 0, 0, 3], [4, 5, 0, 0]]))
    if format == "csc":
        X = X.T
    for name, value in parts.items():
        setattr(X, name, np.array(value))
    return X


def everything(problem: Problem, **options: Any) -> list[bytes]:
    """The bits of every formula's result, and of a step's."""
    return [*every_formula(problem, **options), *bits(gradstep.gradient_step(*problem, 0.5, **options))]
