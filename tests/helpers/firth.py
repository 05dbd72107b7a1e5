"""Firth's penalised likelihood by its textbook formulas, in 80 bits, and two published tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WIDE = np.longdouble

# Case, age, oc, vic, vicl, vis, dia and how many women: urinary tract infection and contraceptives, 239 women.
# R's logistf has them as `sex2`.
SEX2 = """
0010000 42, 1010000 44, 0110000 14, 1110000 5, 0001000 2, 1001000 14, 1101000 2, 0011000 1, 1011000 15, 0111000 1,
1111000 3, 0001100 8, 1001100 10, 0101100 2, 1101100 1, 0011100 5, 1011100 7, 0000010 1, 1000010 1, 0010010 1,
0110010 1, 0001010 1, 1001010 3, 1101010 1, 1011010 2, 0001110 18, 1001110 12, 0101110 4, 0011110 6, 1011110 3,
0111110 2, 1010001 3, 1011001 1, 1101011 1, 1001111 1, 1101111 1
"""

# Histology grade, neovasculation, pulsatility index, 100 · endometrium height: endometrial cancer, 79 patients.
# Heinze and Schemper, 2002, doi:10.1002/sim.1047; R's brglm2 has them as `endometrial`.
ENDOMETRIAL = """
00 13 164, 00 16 226, 00 8 314, 00 34 268, 00 20 128, 00 5 231, 00 17 180, 00 10 168, 00 26 156, 00 17 231, 00 8 201,
00 7 189, 00 20 315, 00 10 123, 00 18 127, 00 16 176, 00 18 200, 10 8 264, 10 29 88, 10 12 127, 10 20 137, 11 38 97,
11 22 114, 11 7 88, 11 25 91, 11 15 58, 10 7 97, 00 28 150, 00 11 133, 00 19 237, 00 10 182, 00 10 313, 00 18 131,
00 14 192, 00 21 164, 00 11 201, 00 17 188, 00 25 193, 00 16 211, 00 19 129, 00 15 172, 00 33 75, 00 24 192,
10 48 184, 10 12 111, 10 19 161, 10 2 118, 11 22 144, 11 40 118, 11 5 93, 11 0 117, 10 21 119, 10 15 106, 00 29 202,
00 15 229, 00 12 233, 00 3 290, 00 20 170, 00 23 141, 00 12 225, 00 22 154, 00 42 197, 00 15 175, 00 13 216,
00 14 257, 00 19 137, 00 12 361, 00 13 204, 00 10 217, 10 12 169, 11 49 27, 10 6 184, 10 5 130, 10 17 96, 11 11 101,
11 21 98, 10 5 35, 11 19 102, 10 33 85
"""


def sex2() -> tuple[Array, Array, Array]:
    """Columns, labels, and how often each row occurs."""
    rows = [entry.split() for entry in SEX2.split(",")]
    table = np.array([[int(digit) for digit in pattern] for pattern, _ in rows], float)
    return table[:, 1:], table[:, 0], np.array([float(count) for _, count in rows])


def endometrial() -> tuple[Array, Array]:
    """NV, PI and EH, and whether the grade is high. No patient with a low grade has NV = 1."""
    rows = [entry.split() for entry in ENDOMETRIAL.split(",")]
    X = np.array([[int(codes[1]), int(pi), int(eh) / 100] for codes, pi, eh in rows])
    return X, np.array([float(codes[0]) for codes, _, _ in rows])


class Terms(NamedTuple):
    """The terms of Firth's equations, in 80 bits."""

    value: Any
    """The logarithm of likelihood times √det I."""
    score: Array
    """Σ (s (y − p) + h (1/2 − p)) x, with leverages h."""
    information: Array


def terms(A: Array, y: Array, s: Array, offset: Array, v: Array) -> Terms:
    """The terms at the coefficients `v` of the columns of `A`, one of which is constant if there is a bias."""
    z = A @ v + offset
    t = np.exp(-np.abs(z))
    p = np.where(z > 0, 1 / (1 + t), t / (1 + t))
    d = s * t / (1 + t) ** 2
    information = A.T @ (d[:, None] * A)
    root = cholesky(information)
    h = d * (forwards(root, A.T) ** 2).sum(axis=0)
    loss = s * (np.log1p(t) + np.where(z > 0, (1 - y) * z, -y * z))
    return Terms(np.log(np.diagonal(root)).sum() - loss.sum(), A.T @ (s * (y - p) + h * (0.5 - p)), information)


def cholesky(matrix: Array) -> Array:
    """The Cholesky factor in 80 bits; NumPy's has 64."""
    root = np.zeros_like(matrix)
    for j in range(len(matrix)):
        root[j, j] = np.sqrt(matrix[j, j] - root[j, :j] @ root[j, :j])
        root[j + 1 :, j] = (matrix[j + 1 :, j] - root[j + 1 :, :j] @ root[j, :j]) / root[j, j]
    return root


def forwards(root: Array, B: Array) -> Array:
    solved = B.copy()
    for j in range(len(root)):
        solved[j] = (B[j] - root[j, :j] @ solved[:j]) / root[j, j]
    return solved


def solved(matrix: Array, b: Array) -> Array:
    root = cholesky(matrix)
    x = forwards(root, b)
    for j in reversed(range(len(root))):
        x[j] = (x[j] - root[j + 1 :, j] @ x[j + 1 :]) / root[j, j]
    return x


class Maximum(NamedTuple):
    """Coefficients, the value there, and standard errors."""

    v: Array
    value: Any
    errors: Array


def columns(X: Array, fit_bias: bool = True) -> Array:
    X = np.asarray(X, WIDE)
    return np.column_stack([X, np.ones(len(X), WIDE)]) if fit_bias else X


def maximum(
    X: Array,
    y: Array,
    s: Any = 1.0,
    offset: Any = 0.0,
    fit_bias: bool = True,
    fixed: dict[int, float] | None = None,
    start: Array | None = None,
) -> Maximum:
    """The maximum over the coefficients that are not `fixed`, from zero or `start`. Steps are those of modified scores
    with halving, as in Heinze and Schemper, and at the end Newton's, with a Jacobian by differences."""
    A = columns(X, fit_bias)
    y, s, offset = np.asarray(y, WIDE), np.broadcast_to(np.asarray(s, WIDE), len(A)), np.asarray(offset, WIDE)
    v = np.zeros(A.shape[1], WIDE) if start is None else start.copy()
    for at, value in (fixed or {}).items():
        v[at] = value
    free = [at for at in range(len(v)) if at not in (fixed or {})]
    here = terms(A, y, s, offset, v)
    for _ in range(2000 if free else 0):
        step = np.zeros_like(v)
        step[free] = solved(here.information[np.ix_(free, free)], here.score[free])
        length = min(WIDE(1), 3 / np.abs(A @ step).max())
        while (then := terms(A, y, s, offset, v + length * step)).value < here.value and length > 1e-12:
            length /= 2
        gain = then.value - here.value
        v, here = v + length * step, then
        if gain < 1e-9:
            break
    for _ in range(30 if free else 0):
        errors = 1 / np.sqrt(np.diagonal(here.information))
        J = np.empty((len(free), len(free)))
        for k, at in enumerate(free):
            h = np.zeros_like(v)
            h[at] = 1e-6 * errors[at]
            ahead, behind = (terms(A, y, s, offset, v + way * h).score[free] for way in (1, -1))
            J[:, k] = (behind - ahead) / (2 * h[at])
        unit = errors[free].astype(float)
        step = np.zeros_like(v)
        step[free] = unit * np.linalg.solve(J * np.outer(unit, unit), (unit * here.score[free]).astype(float))
        v = v + step
        here = terms(A, y, s, offset, v)
        if np.abs(step[free] / unit).max() < 1e-15:
            break
    inverse = np.column_stack([solved(here.information, column) for column in np.eye(len(v), dtype=WIDE)])
    return Maximum(v, here.value, np.sqrt(np.diagonal(inverse)))
