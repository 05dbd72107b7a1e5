"""How far float arithmetic may be from exact: bounds derived from the rounding of each operation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from helpers import oracle
from helpers.problems import ClassProblem, Problem

Array = npt.NDArray[Any]


class Tolerance(NamedTuple):
    y_hat: Array
    loss: float
    weights: Array
    bias: float


def tolerance(problem: Problem, dtype: Any, sample_weight: Any = None) -> Tolerance:
    r"""How far two evaluations in `dtype` may be apart, in whatever order they add.

    With u = eps/2 the unit roundoff, first order in u:

    * z = x · w + b is a sum of n + 1 terms: each evaluation errs by at most (n + 1)·u·(|x|·|w| + |b|)
      (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1), two of them by dz = (n + 2)·eps·(…).
      A product that underflows adds half the smallest number.
    * d ln σ/dz = 1 - σ and d ln(1 - σ)/dz = -σ lie in [-1, 1], so a shift dz changes σ by at most
      min(σ, 1 - σ)·(e^dz - 1); d ln softplus/du = σ(u)/softplus(u) ≤ 1, so it changes E_i, a combination of
      softplus(z) and softplus(-z) with coefficients ≥ 0, by at most E_i·(e^dz - 1), and also by dz, as |E_i'| ≤ 1.
    * Evaluating from z: exp within 2 ULP, then at most four roundings, one evaluation; the oracle's route has as many.
      8·eps covers both for ŷ, for E_i, and for the two terms (1 - y)·σ and y·(1 - σ) whose difference is the
      residual. The oracle subtracts ŷ - y, in float64: eps64·(ŷ + y) more, and its e^-z overflows where the true
      σ is still nonzero, a subnormal below 1/max.
    * A mean of m terms, weighted, divided, and rounded to the result's type: (m + 3)·eps of the sum of magnitudes.
    """
    X, y, w = (np.asarray(values, dtype=np.float64) for values in problem[:3])
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    m, n = X.shape
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)

    z = X @ w + problem.bias
    dz = (n + 2) * (eps * (np.abs(X) @ np.abs(w) + abs(problem.bias)) + tiny)
    with np.errstate(over="ignore"):
        growth = np.expm1(np.minimum(dz, 700.0))
        sigma, tail = 1.0 / (1.0 + np.exp(-z)), 1.0 / (1.0 + np.exp(z))
    tiny += 1.0 / float(np.finfo(np.float64).max)
    y_hat = np.minimum(np.minimum(sigma, tail) * growth, 1.0) + 8 * eps * sigma + tiny

    errors = y * np.logaddexp(0.0, -z) + (1.0 - y) * np.logaddexp(0.0, z)
    each = np.minimum(errors * growth, dz) + (m + 3 + 8) * eps * errors + tiny
    loss = float(s @ each / s.sum())

    terms = (1.0 - y) * sigma + y * tail
    residual = (
        np.minimum(np.minimum(sigma, tail) * growth, 1.0) + 8 * eps * terms + np.finfo(np.float64).eps * (sigma + y)
    )
    spread = residual + (m + 3) * eps * np.abs(sigma - y) + tiny
    return Tolerance(y_hat, loss, (s * spread) @ np.abs(X) / s.sum() + tiny, float(s @ spread / s.sum() + tiny))


def class_tolerance(problem: ClassProblem, dtype: Any, sample_weight: Any = None) -> Tolerance:
    r"""`tolerance` for several classes; the bounds of `weights` and `bias` are those of their rows.

    * Scores are as in `tolerance`. The differences z_k - z_l, of which exponentials are taken, and the oracle's
      logarithms are rounded, too, at magnitudes up to 2·max|z|. Let d be the largest change of a row's scores by all
      these roundings.
    * Then p_k = 1/Σ_l e^(z_l - z_k) changes by at most min(p_k, 1 - p_k)·(e^2d - 1), as does p_k - [y = k], and
      E_i = ln(1 + Σ_{l ≠ y} e^(z_l - z_y)) by at most E_i·(e^2d - 1), and by 2d.
    * From z: as in `tolerance`, and K - 1 additions of positive terms.
    * A mean of m terms, as in `tolerance`.
    """
    X, w, b = (np.asarray(values, dtype=np.float64) for values in (problem.X, problem.weights, problem.biases))
    y = np.asarray(problem.y).astype(int)
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    (m, n), classes = X.shape, len(b)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)

    z = X @ w.T + b
    size = np.abs(X) @ np.abs(w).T + np.abs(b)
    dz = ((n + 2) * (eps * size + tiny)).max(axis=1) + 4 * eps * np.abs(z).max(axis=1)
    with np.errstate(over="ignore"):
        growth = np.expm1(np.minimum(2 * dz, 700.0))[:, None]
    tiny += 1.0 / float(np.finfo(np.float64).max)
    p, errors = oracle.softmax(z), oracle.class_errors(z, y)
    is_label = np.eye(classes)[y]
    others = np.where(is_label > 0, -np.expm1(-errors)[:, None], 1 - p)  # 1 - p_k, for the label without cancellation
    terms = (8 + classes) * eps
    change = np.minimum(np.minimum(p, others) * growth, 1.0)
    y_hat = change + terms * p + tiny

    each = np.minimum(errors * growth[:, 0], 2 * dz) + (m + 3) * eps * errors + terms * errors + tiny
    loss = float(s @ each / s.sum())
    magnitude = np.where(is_label > 0, others, p)
    residual = change + (terms + (m + 3) * eps) * magnitude + 2 * np.finfo(np.float64).eps * is_label + tiny
    rows = s[:, None] * residual / s.sum()
    return Tolerance(y_hat, loss, rows.T @ np.abs(X) + tiny, rows.sum(axis=0) + tiny)  # type: ignore[arg-type]


def shift(delta: Any, weights: Any, dtype: Any) -> Any:
    """How far two evaluations of w + delta may be apart by rounding or underflow; delta is itself rounded."""
    finfo = np.finfo(dtype)
    size = np.abs(np.asarray(weights, np.float64)) + 2 * np.abs(delta)
    return finfo.eps * size + 2 * float(finfo.smallest_subnormal)


def rounding_of_a_step(
    batch: Problem | ClassProblem, rate: float, l2: float, dtype: Any, scaled: bool = False
) -> tuple[Array, Any]:
    """How far one computed update of the mean may be from the exact one, started from the same weights.

    A penalised descent point by point is `scaled`: it keeps its weights as a scale times values. An update rounds the
    scale and the values, and their product is rounded when it is read, before the update and after it: four times
    eps/2·|w|, of which the addition alone has two.
    """
    if isinstance(batch, ClassProblem):
        grad, near, before = oracle.class_gradient(*batch), class_tolerance(batch, dtype), batch.biases
    else:
        grad, near, before = oracle.gradient(*batch), tolerance(batch, dtype), np.float64(batch.bias)
    penalty = l2 * np.abs(batch.weights.astype(np.float64))
    # The gradient's own bound, five roundings of α, l2, k and their products, and the addition to the weights.
    eps = float(np.finfo(dtype).eps)
    size = rate * (np.abs(grad.weights) + penalty)
    weights = rate * near.weights + 5 * eps * size + shift(size, batch.weights, dtype)
    if scaled and l2 > 0:
        weights = weights + eps * np.abs(batch.weights.astype(np.float64))
    size_b = rate * np.abs(grad.bias)
    bias = rate * near.bias + 5 * eps * size_b + shift(size_b, before, dtype)
    return weights, bias
