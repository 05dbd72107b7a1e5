"""The weighted Gram matrix XᵀDX, which the Hessian is, against NumPy's product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import gradstep
from problem import Array, random_problem
from timing import Figure, Settings, at_least, medians


def figures(settings: Settings) -> Iterator[Figure]:
    for n in (200, 1000):
        X, _, weights, bias = random_problem(settings.rows(20_000), n)
        d: Array = gradstep.sigmoid_derivative(X @ weights + bias)  # `hessian` computes σ' itself, and has the bias
        rivals = {
            "gradstep": lambda X=X, weights=weights, bias=bias: gradstep.hessian(X, weights, bias),
            "NumPy": lambda X=X, d=d: (X * d[:, np.newaxis]).T @ X,
        }
        seconds = medians(rivals, settings.repeats(15))
        yield at_least(1.0, f"hessian f64 {X.shape[0]}×{n}: NumPy's XᵀDX ÷ gradstep", seconds, "NumPy")
