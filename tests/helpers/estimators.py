"""Problems for the estimator, whose classes have names."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def problem(classes: int = 2, m: int = 200, n: int = 4, seed: int = 0) -> tuple[Array, Array]:
    """Overlapping classes with names, in columns of different scales."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, m)
    X = rng.normal(size=(m, n)) + 0.7 * codes[:, None] * rng.normal(size=n)
    return X * np.logspace(0, 1, n), np.array(["ash", "beech", "cedar", "date"])[codes]


def weights_of_samples(m: int) -> Array:
    return np.random.default_rng(1).integers(0, 4, m).astype(float)
