"""Random problems, their number, and their types."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

Array = npt.NDArray[Any]

DTYPES = [np.float32, np.float64]

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)

# One vector is 8 doubles or 16 floats: sizes reach 2 · 16 + 3, so that every tail of one and of two vectors occurs.
LARGEST = 35

# Each byte that hypothesis draws picks a value of a table. So a problem is one short string, which hypothesis can
# shrink towards zeros.
_RANDOM = np.random.default_rng(20240229)

_ORDINARY = np.concatenate([[0.0, 1.0, -1.0, 0.5], _RANDOM.normal(scale=1.5, size=252)])

_EXTREME = np.concatenate(
    [
        [0.0, -0.0, 1.0, -1.0, 1e3, -1e3, 1e-30, -1e-30, 36.74, 37.43, -88.72, 103.97, -708.4, 745.13, 17.33, 1e-7],
        _RANDOM.normal(size=240) * 10.0 ** _RANDOM.uniform(-6, 3, size=240),
    ]
)


def cases(count: int) -> int:
    """How many cases hypothesis draws of a test: `count`, times the number in the environment's GRADSTEP_CASES."""
    return max(1, round(count * float(os.environ.get("GRADSTEP_CASES", "1"))))


class Problem(NamedTuple):
    X: Array
    y: Array
    weights: Array
    bias: float


@st.composite
def problems(draw: st.DrawFn, dtype: Any, largest: int = LARGEST, tame: bool = False) -> Problem:
    """A problem in `dtype`: labels 0 and 1 or anything between; saturated, unless `tame`."""
    m = draw(st.integers(1, largest))
    n = draw(st.integers(1, largest))
    table = _ORDINARY if tame or draw(st.booleans()) else _EXTREME
    values = table[np.frombuffer(draw(st.binary(min_size=(m + 1) * n + 1, max_size=(m + 1) * n + 1)), np.uint8)]
    labels = np.frombuffer(draw(st.binary(min_size=m, max_size=m)), np.uint8)
    y = labels / 255.0 if draw(st.booleans()) else labels % 2
    scale = draw(st.sampled_from([0.125, 1.0]))  # a power of two keeps the values exact
    return Problem(
        X=values[: m * n].reshape(m, n).astype(dtype),
        y=y.astype(dtype),
        weights=(values[m * n : -1] * scale).astype(dtype),
        bias=float(dtype(values[-1])),  # representable, so that reading it as float32 changes nothing
    )


class ClassProblem(NamedTuple):
    X: Array
    y: Array
    weights: Array
    biases: Array


@st.composite
def class_problems(draw: st.DrawFn, dtype: Any, largest: int = LARGEST) -> ClassProblem:
    """A problem of 1 to 11 classes in `dtype`, saturated or not; not every class need have a sample."""
    m, n, classes = draw(st.integers(1, largest)), draw(st.integers(1, largest)), draw(st.integers(1, 11))
    table = draw(st.sampled_from([_ORDINARY, _EXTREME]))
    count = m * n + classes * (n + 1)
    values = table[np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)]
    labels = np.frombuffer(draw(st.binary(min_size=m, max_size=m)), np.uint8)
    scale = draw(st.sampled_from([0.125, 1.0]))  # a power of two keeps the values exact
    return ClassProblem(
        X=values[: m * n].reshape(m, n).astype(dtype),
        y=labels % classes,
        weights=(values[m * n : -classes] * scale).reshape(classes, n).astype(dtype),
        biases=values[-classes:].astype(dtype),
    )


def sample_weights(m: int, dtype: Any) -> st.SearchStrategy[Array]:
    """Weights with zeros among them, never all zero."""
    return (
        st.binary(min_size=m, max_size=m)
        .map(lambda raw: (np.frombuffer(raw, np.uint8) % 5 * 0.75).astype(dtype))
        .filter(lambda weights: bool(weights.any()))
    )


def ordinary_problem(m: int, n: int, dtype: Any = np.float64, seed: int = 0) -> Problem:
    """An ordinary problem: standard normal points, labels 0 and 1, scores of a few units."""
    random = np.random.default_rng([m, n, seed])
    X = random.normal(size=(m, n)).astype(dtype)
    y = random.integers(0, 2, m).astype(dtype)
    return Problem(X, y, (random.normal(size=n) / np.sqrt(n)).astype(dtype), float(dtype(random.normal())))


# Rows, columns, classes: one number, tails of vectors, panels, tiles and blocks of classes, one wide row.
CLASS_SHAPES = [(1, 1, 1), (1, 9, 3), (3, 2, 2), (19, 17, 5), (701, 13, 26), (300, 130, 10), (70, 800, 4), (3, 5001, 6)]


def ordinary_class_problem(m: int, n: int, classes: int, dtype: Any = np.float64, seed: int = 0) -> ClassProblem:
    """An ordinary problem: standard normal points, predictors of a few units."""
    random = np.random.default_rng([m, n, classes, seed])
    X = random.normal(size=(m, n)).astype(dtype)
    weights = (2 * random.normal(size=(classes, n)) / np.sqrt(n)).astype(dtype)
    return ClassProblem(X, random.integers(0, classes, m), weights, random.normal(size=classes).astype(dtype))


def blobs(m: int, n: int, dtype: Any = np.float64, seed: int = 0) -> tuple[Array, Array]:
    """Two overlapping clouds of points, in no order."""
    random = np.random.default_rng([m, n, seed])
    y = random.integers(0, 2, m)
    return (random.normal(size=(m, n)) + y[:, None] - 0.5).astype(dtype), y.astype(dtype)


def in_file_order(m: int, epochs: int) -> list[range]:
    return [range(m)] * epochs
