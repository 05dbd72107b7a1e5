"""Rows of a table held out of a training, or dealt out to folds; and how a model knows the rows again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gradstep._training import Problem


Array = NDArray[np.float64]
BLOCK = 1 << 14
"""Rows that are read at once."""


def held_out(problem: Problem, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: of each class this fraction, at least one and not all, at random.

    The order of the classes' rows is that of NumPy's `RandomState`, whose streams are frozen.

    Raises
    ------
    ValueError
        If a class has fewer than two rows.
    """
    generator = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    out = np.zeros(len(problem.y), bool)
    for code, value in enumerate(problem.classes):
        rows = np.flatnonzero(problem.y == code)
        if len(rows) < 2:
            option = problem.spelling.given("test", fraction)
            raise ValueError(
                f"target {problem.target!r} has {len(rows)} rows with {value!r}: {option} needs two of each class"
            )
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        out[generator.permutation(rows)[:count]] = True
    return out


def dealt(problem: Problem, folds: int, option: str) -> NDArray[np.intp]:
    """The fold of each row: each class is dealt out to the folds in turn, for the option of that name.

    Raises
    ------
    ValueError
        If a class has fewer rows than there are folds.
    """
    fold = np.empty(len(problem.y), np.intp)
    for code, value in enumerate(problem.classes):
        rows = np.flatnonzero(problem.y == code)
        if len(rows) < folds:
            few = f"fewer than {problem.spelling.given(option, folds)}: take fewer folds"
            raise ValueError(f"target {problem.target!r} has {len(rows)} rows with {value!r}, {few}")
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def digest(X: Array, y: Array) -> str:
    """SHA-256 of features and codes of classes, in the order of the rows, by which a model knows them again.

    Only of all rows together: a digest of each row would tell who holds the model which rows it was trained on.
    """
    found = hashlib.sha256(f"{X.shape}".encode())
    for part in (X, y):
        # Adding 0 makes no difference between 0 and -0, which formats of files write differently.
        for start in range(0, len(part), BLOCK):
            found.update((np.ascontiguousarray(part[start : start + BLOCK], "<f8") + 0.0).tobytes())
    return f"sha256:{found.hexdigest()}"
