"""Rows of a table held out of a training, or dealt out to folds; and the digest by which a model knows rows again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gradstep._training import Problem


Array = NDArray[np.float64]
BLOCK = 1 << 14
"""The number of rows that are hashed at once."""


def held_out(problem: Problem, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: of each class this fraction, at least one and not all, at random.

    The random numbers are those of NumPy's `RandomState`, which are the same in all versions of NumPy.

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
    """The fold of each row: each class is dealt out to the folds in turn. `option` is the name for the message.

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
    """SHA-256 of the features and the codes of classes, in the order of the rows: a model knows the rows again by it.

    There is one digest of all rows together. Digests of single rows would let anyone who has the model find out whether
    it was trained on a given row.
    """
    found = hashlib.sha256(f"{X.shape}".encode())
    for part in (X, y):
        # Adding 0 turns -0 into 0: a file in another format may have lost the sign, and must give the same digest.
        for start in range(0, len(part), BLOCK):
            found.update((np.ascontiguousarray(part[start : start + BLOCK], "<f8") + 0.0).tobytes())
    return f"sha256:{found.hexdigest()}"
