"""The optimum of two classes: problems, a solver in extended precision, and checks of a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import gradstep
from helpers import oracle
from helpers.problems import Problem
from helpers.tolerances import tolerance

Array = npt.NDArray[Any]

SOLVERS = ["lbfgs", "gd"]

both_solvers = pytest.mark.parametrize("solver", SOLVERS)

EPS = float(np.finfo(np.float64).eps)


def overlapping(m: int, n: int, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Labels drawn from a logistic model: no hyperplane separates them, at these sizes."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(m, n))
    z = X @ random.normal(size=n) / np.sqrt(n) - 0.3
    return X.astype(dtype), (random.random(m) < oracle.sigmoid(z)).astype(np.float64)


class Exact(NamedTuple):
    """Objective and optimum in 80 bits."""

    weights: Array
    bias: np.longdouble
    objective: np.longdouble


def extended(X: Array, y: Array, weights: Any, bias: Any, l2: float, s: Array) -> tuple[Any, Array, Array]:
    """Objective, gradient and Hessian by (w, b), the first two in 80 bits."""
    wide = np.longdouble
    A = np.column_stack([X, np.ones(len(X))]).astype(wide)
    v = np.append(np.asarray(weights, wide), wide(bias))
    penalty = np.append(np.full(X.shape[1], wide(l2)), wide(0))
    z, s, y = A @ v, s.astype(wide), y.astype(wide)
    t = np.exp(-np.abs(z))
    error = np.log1p(t) + np.where(z > 0, (1 - y) * z, -y * z)
    sigma = np.where(z > 0, 1 / (1 + t), t / (1 + t))
    loss = (s * error).sum() / s.sum()  # `sum` adds in pairs; a product of vectors would add one by one
    objective = loss + wide(0.5) * (penalty * v) @ v
    gradient = A.T @ (s * (sigma - y)) / s.sum() + penalty * v
    d = (s * t / (1 + t) ** 2 / s.sum()).astype(np.float64)
    B = A.astype(np.float64)
    return objective, gradient, B.T @ (B * d[:, None]) + np.diag(penalty.astype(np.float64))


def exact_optimum(X: Array, y: Array, l2: float, s: Array, fit_bias: bool = True) -> Exact:
    """The optimum by Newton's method, with the gradient in 80 bits. The Hessian in 64 only slows the last steps."""
    free = X.shape[1] + int(fit_bias)
    v = np.zeros(X.shape[1] + 1, np.longdouble)
    value, gradient, hessian = extended(X, y, v[:-1], v[-1], l2, s)
    for _ in range(200):
        step = np.zeros_like(v)
        step[:free] = np.linalg.solve(hessian[:free, :free], gradient[:free].astype(np.float64))
        length = np.longdouble(1)
        while True:
            trial = extended(X, y, (v - length * step)[:-1], (v - length * step)[-1], l2, s)
            if trial[0] <= value or length < 1e-3:
                break
            length /= 2
        v -= length * step
        value, gradient, hessian = trial
        if np.abs(step).max() <= 1e-17 * np.abs(v).max():
            break
    assert np.abs(gradient[:free]).max() < 1e-16 * (1 + np.abs(X).max())
    return Exact(v[:-1], v[-1], value)


def check_certificate(
    X: Any, y: Any, l2: float, s: Array | None, best: gradstep.Optimum, tol: float, fit_bias: bool = True
) -> None:
    """Check that loss, objective and gradient are those of the returned weights, within the rounding of evaluation."""
    at = Problem(np.asarray(X), np.asarray(y), best.weights, best.bias)
    near = tolerance(at, best.weights.dtype, s)
    w = best.weights.astype(np.float64)
    assert abs(best.loss - oracle.loss(*at, sample_weight=s)) <= 2 * near.loss
    penalty = 0.5 * l2 * float(w @ w)
    assert abs(best.objective - best.loss - penalty) <= 4 * EPS * best.objective
    want = oracle.gradient(*at, sample_weight=s)
    norm = np.abs(np.append(want.weights + l2 * w, want.bias if fit_bias else 0.0)).max()
    room = max(float((2 * near.weights + 4 * EPS * l2 * np.abs(w)).max()), 2 * near.bias)
    assert abs(best.gradient_norm - norm) <= room
    assert best.converged == (best.gap <= 1e-8 * best.objective)


def check_separation(X: Any, y: Any, best: gradstep.Optimum, noise: float = 0.0) -> None:
    """Check that no row is on the wrong side, by more than rounding or `noise`, and that some are on the right side."""
    assert best.stop_reason == "separated" and not best.converged and best.gap == np.inf
    assert best.separation is not None
    weights, bias = best.separation
    assert max(np.abs(weights).max(), abs(bias)) == 1.0
    margin = (2 * np.asarray(y) - 1) * (np.asarray(X) @ weights + bias)
    size = np.abs(X) @ np.abs(weights) + abs(bias)
    assert (margin >= -1e-8 * size - noise).all()
    assert (margin > 1e-8 * size + noise).any()
    assert np.isfinite(best.weights).all() and np.isfinite(best.bias) and np.isfinite(best.objective)


def check_huge_rows_of_weight_zero(X: Array, y: Array, held: Any, solver: Any) -> None:
    """Check that rows of weight 0 change nothing, although their scores overflow, and are NaN if partial sums overflow
    with opposite signs."""
    X = X / 16  # so that weights are larger than 1
    s = np.ones(len(y))
    s[[3, 20]] = 0
    X[3], X[20] = 1.7e308, np.where(np.arange(X.shape[1]) % 2, -1.7e308, 1.7e308)
    best = gradstep.fit(held(X), y, l2=1e-4, sample_weight=s, solver=solver)
    without = gradstep.fit(held(X[s > 0]), y[s > 0], l2=1e-4, solver=solver)
    assert np.isnan(gradstep.predict_proba(X[[3, 20]], best.weights, best.bias)).all()
    assert best.converged and best.gap <= 1e-12
    assert np.allclose(best.weights, without.weights, rtol=0, atol=1e-7)
    assert np.allclose(best.bias, without.bias, rtol=0, atol=1e-7)
