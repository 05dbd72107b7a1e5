"""Columns as exact integers times powers of two: scores, ranks and nearly orthonormal bases of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, solve_triangular

Array = npt.NDArray[Any]
Wide = np.longdouble
EPS = Wide(np.finfo(Wide).eps)
PRIME = 2147483629  # below 2^31: the product of two residues is an int64
quiet = np.errstate(all="ignore")

_length = np.frompyfunc(lambda value: abs(value).bit_length(), 1, 1)
_shift = np.frompyfunc(lambda value, bits: value << bits if bits >= 0 else (value + (1 << (-bits - 1))) >> -bits, 2, 1)
_int = np.frompyfunc(int, 1, 1)


def _integers(values: Array) -> tuple[Array, Array]:
    """Floats as Python's integers, and the exponent of two of each column."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    exponent = np.where(values == 0, 10**6, exponent.astype(int) - 53)
    least = exponent.min(axis=0) * (values != 0).any(axis=0)
    return _shift(_int(np.ldexp(mantissa, 53)), np.where(values == 0, 0, exponent - least).astype(object)), least


def exact_columns(X: Array, bias: bool) -> tuple[Array, Array]:
    """The columns of `X`, with `bias` after a column of ones, as integers times powers of two: the integers, and an
    exponent for each column. The largest integer of each column has the same number of bits."""
    whole, exponents = _integers(np.column_stack([np.ones(len(X)), X]) if bias else X)
    lengths = _length(whole).max(axis=0).astype(int)
    more = np.where(lengths > 0, lengths.max() - lengths, 0)
    return _shift(whole, more.astype(object)), exponents - more


def _extended(whole: Array, exponents: Any) -> Array:
    """Integers times powers of two, correctly rounded to extended precision or nearly so."""
    excess = max(int(_length(whole).max(initial=0)) - 1000, 0)
    whole = _shift(whole, -excess) if excess else whole
    high = whole.astype(np.float64)
    low = (whole - _int(high)).astype(np.float64)
    return np.ldexp(high.astype(Wide) + low.astype(Wide), np.asarray(exponents) + excess)


def exact_scores(X: Array, bias: Any, weights: Any) -> Array:
    """Scores of float64 weights (K, n) or (n,), by exact arithmetic, rounded once to extended precision: (m, K)."""
    whole, exponents = exact_columns(X, True)
    scores = []
    for b, w in zip(np.atleast_1d(bias), np.atleast_2d(weights), strict=True):
        factors, exponent = _integers(np.append(b, w).astype(np.float64)[:, None])
        shifts = np.where(factors[:, 0] == 0, 0, exponents)
        factors = _shift(factors[:, 0], (shifts - shifts.min()).astype(object))
        scores.append(_extended(whole @ factors, int(exponent[0] + shifts.min())))
    return np.column_stack(scores)


def rank_profile(residues: Array) -> list[int]:
    """Columns that are no combination of the columns before them, by elimination modulo PRIME."""
    left, independent = residues.copy(), []
    for j in range(left.shape[1]):
        pivots = np.flatnonzero(left[:, j])
        if len(pivots) > 0:
            independent.append(j)
            row = left[pivots[0]] * pow(int(left[pivots[0], j]), -1, PRIME) % PRIME
            left = np.delete(left, pivots[0], axis=0)
            left[:, j:] = (left[:, j:] - left[:, [j]] * row[j:]) % PRIME
    return independent


def find_basis(whole: Array, penalty: Array) -> tuple[Array, Array, Array]:
    """Matrices A and P in new parameters θ: scores are `A` θ, the penalty is ½ |`P` θ|², and the columns of A and P,
    one above the other, are nearly orthonormal. Without penalty also the part of each column that is orthogonal to the
    columns before it, relative to its length.

    The triangular factor is inverted again and again, as Rump does for matrices of any condition. `penalty` holds the
    roots of the penalties of the columns, which are integers.
    """
    r, length = whole.shape[1], int(_length(whole).max())
    lengths = np.sqrt((_extended(whole, -length) ** 2).sum(axis=0))
    T, exponents = np.eye(r, dtype=int).astype(object), np.full(r, -length)
    for turn in range(1, 9):
        A = _extended(whole @ T if turn > 1 else whole, exponents)
        P = (penalty[:, None] * _extended(T, exponents))[penalty > 0]
        norms = np.sqrt((A**2).sum(axis=0) + (P**2).sum(axis=0))
        R = qr((np.vstack([A, P]) / norms).astype(np.float64), mode="r")[0][:r]
        if np.linalg.cond(R) < 1e3:
            diagonal = np.abs(_extended(np.diag(T), exponents))
            return A, P, np.abs(np.diag(R)) * norms / diagonal / np.ldexp(lengths, length)
        R[np.diag_indices(r)] = np.where(np.abs(np.diag(R)) < 1e-17, 1e-17, np.diag(R))
        S = (solve_triangular(R, np.eye(r)) / norms[:, None]).astype(np.float64)
        shift = 80 - np.frexp(np.abs(S).max(axis=0))[1].astype(int)
        T = _shift(T, (exponents - exponents.min()).astype(object)) @ _int(np.rint(np.ldexp(S, shift)))
        trim = np.minimum(60 * (turn + 1) - _length(T).max(axis=0).astype(int), 0)
        T, exponents = _shift(T, trim.astype(object)), exponents.min() - shift - trim
    raise ArithmeticError("no basis was found")
