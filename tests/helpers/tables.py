"""Small tables that may be separable, and a linear program that says whether they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_array

Array = npt.NDArray[Any]


class Table(NamedTuple):
    """The arguments of a fit, and the features and labels of the rows of positive weight."""

    X: Any
    y: Array
    options: dict[str, Any]
    rows: Array
    labels: Array


def table(seed: int, classes: int, scale: float) -> Table:
    """A table of a few rows, with labels that are more or less random. Every second table has small whole numbers; some
    have weights of zero, no bias, sparse features, or features in float32."""
    random = np.random.default_rng([seed, classes])
    m, n = int(random.integers(2 * classes, 40)), int(random.integers(1, 6))
    X = random.integers(-2, 3, (m, n)).astype(float) if seed % 2 else random.normal(size=(m, n))
    scores = (X - X.mean(axis=0)) @ random.normal(size=(n, classes)) * random.choice([0.3, 1.0, 3.0])
    y = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    X = scale * (X + (seed % 3 == 0) * np.round(random.normal(size=n) * 100))
    match seed % 5:
        case 1:
            s = random.integers(0, 3, m)
            s[:classes] = 1
            return Table(X, y, {"sample_weight": s}, X[s > 0], y[s > 0])
        case 2:
            return Table(X, y, {"fit_bias": False}, X, y)
        case 3:
            return Table(csr_array(X), y, {}, X, y)
        case 4:
            single = X.astype(np.float32)
            return Table(single, y, {}, single.astype(float), y)
    return Table(X, y, {}, X, y)


def is_separable(X: Array, y: Array, fit_bias: bool = True) -> bool:
    """Whether weights and biases exist that put no row on the wrong side between its label and another class, and some
    rows on the right side; by linear programming."""
    classes = np.arange(max(y) + 1)
    largest = np.abs(X).max(axis=0)
    rows = np.column_stack([X / np.where(largest > 0, largest, 1.0), np.full(len(X), float(fit_bias))])
    pairs = [(row, label, k) for row, label in zip(rows, y, strict=True) for k in classes if k != label]
    margins = np.zeros((len(pairs), len(classes), rows.shape[1]))
    for margin, (row, label, k) in zip(margins, pairs, strict=True):
        margin[label], margin[k] = row, -row
    margins = margins.reshape(len(pairs), -1)
    best = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=(-1, 1))
    assert best.status == 0
    # The solver allows errors of 1e-7 in each of the margins that are summed here; a separation gives a larger sum.
    return bool(-best.fun > 1e-5)
