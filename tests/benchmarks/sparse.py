"""loss_gradient on a sparse matrix like those of texts, against the formulas in SciPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse

import gradstep
from problem import Problem, formulas
from timing import Figure, Settings, at_least, medians


def figures(settings: Settings) -> Iterator[Figure]:
    random = np.random.default_rng(7)
    X = texts(random, settings.rows(200_000), 50_000)
    problem: Any = Problem(X, random.integers(0, 2, X.shape[0]).astype(float), random.standard_normal(X.shape[1]), -0.5)
    rivals = {"gradstep": lambda: gradstep.loss_gradient(*problem), "SciPy": lambda: formulas(problem)}
    name = f"loss_gradient sparse {X.shape[0]}×{X.shape[1]}, {X.nnz} nonzeros: SciPy ÷ gradstep"
    yield at_least(3.0, name, medians(rivals, settings.repeats(15)), "SciPy")


def texts(random: np.random.Generator, m: int, n: int, per_row: int = 60) -> scipy.sparse.csr_array:
    """Rows of unit length, columns as popular as words."""
    popularity = 1 / np.arange(1, n + 1) ** 0.9
    columns = random.choice(n, size=m * per_row, p=popularity / popularity.sum())
    rows = np.repeat(np.arange(m), per_row)
    values = np.abs(random.standard_normal(m * per_row)) + 0.1
    X = scipy.sparse.csr_array((values, (rows, columns)), shape=(m, n))
    lengths = np.sqrt(np.asarray((X * X).sum(axis=1))).ravel()
    return scipy.sparse.csr_array(scipy.sparse.diags_array(1 / lengths) @ X)
