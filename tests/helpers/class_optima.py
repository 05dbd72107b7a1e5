"""The optimum of several classes: problems, a solver in extended precision, and checks of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import gradstep
from helpers import oracle
from helpers.optima import EPS
from helpers.problems import ClassProblem
from helpers.tolerances import class_tolerance

Array = npt.NDArray[Any]


def overlapping(m: int, n: int, classes: int, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Labels drawn from a softmax model, each class among them: nothing separates them, at these sizes."""
    random = np.random.default_rng([seed, m, n, classes])
    X = random.normal(size=(m, n))
    p = oracle.softmax(X @ random.normal(size=(n, classes)) / np.sqrt(n) - 0.3 * np.arange(classes) / classes)
    y = (random.random(m)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    y[:classes] = np.arange(classes)
    return X.astype(dtype), y


def extended(X: Array, y: Array, V: Array, l2: float, s: Array, fit_bias: bool) -> tuple[Any, Array, Array]:
    """Objective, gradient and Hessian by V = (W, b), shape (K, n + 1); the first two in 80 bits."""
    wide = np.longdouble
    A = np.column_stack([X, np.ones(len(X)) if fit_bias else np.zeros(len(X))]).astype(wide)
    V, s, K = V.astype(wide), s.astype(wide) / s.sum(), len(V)
    z = A @ V.T
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    is_label = np.eye(K, dtype=wide)[y]
    distance = z - (z * is_label).sum(axis=1, keepdims=True)
    error = np.log1p((np.exp(distance) * (1 - is_label)).sum(axis=1))  # without cancellation
    penalty = np.append(np.full(X.shape[1], wide(l2)), wide(0))
    objective = (s * error).sum() + wide(0.5) * (penalty * V * V).sum()
    gradient = (s[:, None] * (p - is_label)).T @ A + penalty * V
    q, B = p.astype(np.float64), A.astype(np.float64)
    d = (np.eye(K)[None] * q[:, :, None] - q[:, :, None] * q[:, None, :]) * s.astype(np.float64)[:, None, None]
    hessian = np.einsum("ikl,ia,ib->kalb", d, B, B, optimize=True).reshape(V.size, V.size)
    return objective, gradient, hessian + np.diag(np.tile(penalty.astype(np.float64), K))


def exact_optimum(X: Array, y: Array, l2: float, s: Array, fit_bias: bool = True) -> tuple[Array, Any]:
    """The optimum by Newton's method, and the objective there. A vector common to all classes changes nothing; the
    pseudo-inverse leaves it at 0."""
    V = np.zeros((int(y.max()) + 1, X.shape[1] + 1), np.longdouble)
    value, gradient, hessian = extended(X, y, V, l2, s, fit_bias)
    for _ in range(100):
        diagonal = np.diag(hessian)
        scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), 0)
        scaled = hessian * scale * scale[:, None]
        step = scale * (np.linalg.pinv(scaled, rcond=1e-13, hermitian=True) @ (scale * gradient.ravel().astype(float)))
        step = step.reshape(V.shape)
        step -= step.mean(axis=0)
        length = np.longdouble(1)
        while True:
            trial = extended(X, y, V - length * step, l2, s, fit_bias)
            if trial[0] <= value or length < 1e-3:
                break
            length /= 2
        V = V - length * step
        value, gradient, hessian = trial
        if np.abs(step).max() <= 1e-17 * np.abs(V).max():
            break
    assert np.abs(gradient).max() < 1e-15 * (1 + np.abs(X).max())
    return V, value


def check_certificate(
    X: Any, y: Any, l2: float, s: Array | None, best: gradstep.Optimum, tol: float, fit_bias: bool = True
) -> None:
    """Check that loss, objective and gradient are those of the returned weights, which sum to zero over the classes."""
    at = ClassProblem(np.asarray(X), np.asarray(y), best.weights, best.bias)
    near = class_tolerance(at, best.weights.dtype, s)
    w, b = best.weights.astype(np.float64), best.bias.astype(np.float64)
    assert abs(best.loss - oracle.class_loss(*at, sample_weight=s)) <= 2 * near.loss
    assert abs(best.objective - best.loss - 0.5 * l2 * float((w * w).sum())) <= 4 * EPS * best.objective
    by_weights, by_bias = oracle.class_gradient(*at, sample_weight=s)
    norm = max(np.abs(by_weights + l2 * w).max(), np.abs(by_bias).max() if fit_bias else 0.0)
    room = max(float((2 * near.weights + 4 * EPS * l2 * np.abs(w)).max()), float(np.max(2 * near.bias)))
    assert abs(best.gradient_norm - norm) <= room
    assert best.converged == (best.gap <= 1e-8 * best.objective)
    # The start and each step round the weights of each class once, and are centred over the classes once.
    eps = len(b) * (best.n_iterations + 2) * float(np.finfo(best.weights.dtype).eps)
    assert np.abs(w.sum(axis=0)).max() <= eps * (np.abs(w).max() + 1)
    assert abs(b.sum()) <= eps * (np.abs(b).max() + 1)


def check_separation(X: Any, y: Any, best: gradstep.Optimum, tie: float = 1e-8) -> None:
    """Check that along the separation no class is above the class of a row, and some are below. Scores count as equal
    if they differ by less than the part `tie` of their terms."""
    assert best.stop_reason == "separated" and not best.converged and best.gap == np.inf
    assert best.separation is not None
    weights, bias = best.separation
    assert weights.shape == best.weights.shape and bias.shape == best.bias.shape
    assert max(np.abs(weights).max(), np.abs(bias).max()) == 1.0
    z, y = oracle.class_score(X, weights, bias), np.asarray(y).astype(int)
    margin = z[np.arange(len(y)), y][:, None] - z
    size = np.abs(X) @ np.abs(weights).T + np.abs(bias)
    size = size[np.arange(len(y)), y][:, None] + size
    assert (margin >= -tie * size).all()
    assert (margin > tie * size).any()
    assert np.isfinite(best.weights).all() and np.isfinite(best.bias).all() and np.isfinite(best.objective)
