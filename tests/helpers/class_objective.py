"""The objective of several classes in NumPy, with every option of the penalty but those that have no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from helpers.problems import Array


class ClassObjective:
    """The mean error plus (l2/2) Σ p_j (w_kj - prior_kj)², with the options that `fit` has."""

    def __init__(self, X: Array, y: Array, options: dict[str, Any]) -> None:
        m, n = X.shape
        self.X, self.y, self.shape = X, y, (int(y.max()) + 1, n)
        self.l1, self.l2 = options.get("l1", 0.0), options.get("l2", 0.0)
        weights = options.get("sample_weight", np.ones(m))
        self.s = weights / weights.sum()
        self.offset = options.get("offset", np.zeros((m, self.shape[0])))
        self.factors = options.get("penalty_factors", np.ones(n))
        self.prior, self.lower, self.upper = (
            np.broadcast_to(options.get(name, missing), self.shape)
            for name, missing in (("prior", 0.0), ("lower", -np.inf), ("upper", np.inf))
        )
        self.fit_bias = options.get("fit_bias", True)

    def smooth(self, W: Array, b: Array) -> tuple[float, Array, Array]:
        """The objective without l1, and its gradient by weights and biases; 0 by biases that are not fitted."""
        z = self.X @ W.T + b + self.offset
        rows = np.arange(len(self.y))
        errors = np.logaddexp.reduce(z, axis=1) - z[rows, self.y]
        r = gradstep.softmax(z)
        r[rows, self.y] -= 1
        r *= self.s[:, None]
        away = W - self.prior
        value = self.s @ errors + 0.5 * self.l2 * (self.factors * away**2).sum()
        return value, r.T @ self.X + self.l2 * self.factors * away, r.sum(axis=0) * self.fit_bias
