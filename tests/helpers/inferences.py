"""Small tables for tests of inference: the same numbers on every machine, by integer arithmetic alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import gradstep
from gradstep.inference import Inference, infer

Array = npt.NDArray[Any]

SHARP = 1e-24
"""A `gap_tol` with which coefficients are right to nearly all digits."""


class Table(NamedTuple):
    X: Array
    y: Array
    classes: Array
    counts: Array
    clusters: Array


def table() -> Table:
    """120 rows of three columns of different units, with labels, classes 0 to 2, counts of rows, and 17 clusters."""
    i = np.arange(120)
    X = np.column_stack([i * 37 % 101 / 50 - 1, i * 53 % 97 * 10 + 300, i * i % 89 / 8900])
    y = (i * i * 17 + i * 5) % 31 < 11 + 7 * (X[:, 0] > 0) - 5 * (X[:, 1] > 800)
    classes = ((i * i * 7 + i * 11) % 43 + 9 * (X[:, 0] > 0.3)) % 52 // 18
    return Table(X, y.astype(float), classes.astype(float), i * 7 % 4, i * i % 17 + 8 * (i % 2))


def inferred(X: Any, y: Any, **options: Any) -> Inference:
    """The inference from a fit that is as exact as can be."""
    fitting = {name: options[name] for name in ("sample_weight", "offset", "fit_bias") if name in options}
    return infer(gradstep.fit(X, y, gap_tol=SHARP, **fitting), X, y, **options)
