"""Correctly rounded values by the standard library's decimal arithmetic, which shares nothing with gradstep.

ULP here means one spacing of the floating-point numbers at the correctly rounded value, subnormals included:
`|got - rounded| ≤ 1 spacing(rounded)` is "at most 1 ULP".
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# 60 digits: 40 more than float64 has. They decide the rounding, unless a value lies within 1e-40 of a tie.
CONTEXT = decimal.Context(prec=60, Emin=-999999, Emax=999999)
SATURATED = 800  # e^-800 rounds to 0, and 1 + e^-800 to 1, in float64 and in float32


def _exp_minus_abs(z: Decimal) -> Decimal:
    return CONTEXT.exp(CONTEXT.minus(CONTEXT.abs(z)))


def _log1p(t: Decimal) -> Decimal:
    with decimal.localcontext(CONTEXT) as context:
        context.prec = 90
        if t < Decimal("1e-25"):  # 1 + t would lose digits of t. The first term of the series that is left out is t⁴/4
            return t - t * t / 2 + t * t * t / 3
        return (1 + t).ln()


def sigmoid(z: float) -> Decimal:
    if abs(z) > SATURATED:
        return Decimal(int(z > 0))
    t = _exp_minus_abs(Decimal(z))
    return CONTEXT.divide(Decimal(1) if z > 0 else t, CONTEXT.add(1, t))


def sigmoid_derivative(z: float) -> Decimal:
    if abs(z) > SATURATED:
        return Decimal(0)
    t = _exp_minus_abs(Decimal(z))
    return CONTEXT.divide(t, CONTEXT.power(CONTEXT.add(1, t), 2))


def log_sigmoid(z: float) -> Decimal:
    if abs(z) > SATURATED:
        return Decimal(min(z, 0.0))
    return CONTEXT.subtract(Decimal(min(z, 0.0)), _log1p(_exp_minus_abs(Decimal(z))))


LIMITS: dict[Callable[[float], Decimal], tuple[float, float]] = {  # values at -inf and +inf
    sigmoid: (0.0, 1.0),
    sigmoid_derivative: (0.0, 0.0),
    log_sigmoid: (-np.inf, 0.0),
}


def _round(exact: Decimal, dtype: Any) -> Any:
    nearest = dtype(float(exact))  # exact for float64: Python rounds decimal strings correctly
    if dtype is np.float64:
        return nearest
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(nearest, dtype(-np.inf)), nearest, np.nextafter(nearest, dtype(np.inf))]
    finite = [value for value in neighbours if np.isfinite(value)]
    return min(finite, key=lambda value: CONTEXT.abs(CONTEXT.subtract(Decimal(float(value)), exact)))


def rounded(function: Callable[[float], Decimal], z: Any, dtype: Any) -> Array:
    """`function` at every element of `z`, correctly rounded to `dtype`."""

    def one(value: float) -> Any:
        if np.isnan(value):
            return np.nan
        if np.isinf(value):
            return LIMITS[function][int(value > 0)]
        return _round(function(value), dtype)

    return np.array([one(float(value)) for value in np.ravel(z)], dtype=dtype).reshape(np.shape(z))


def spacing(values: Any) -> Array:
    """Distance to the next number away from zero, defined at the largest finite number too; in float64."""
    size = np.abs(np.asarray(values))
    before_last = np.nextafter(np.finfo(size.dtype).max, size.dtype.type(0))
    return np.spacing(np.minimum(size, before_last)).astype(np.float64)


def ulps(got: Any, want: Any) -> Array:
    """Distance in spacings of `want`, the correctly rounded value; 0 where both are the same infinity or NaN."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        # Computed in float64: in float32, a difference divided by a subnormal could overflow.
        distance = np.abs(got.astype(np.float64) - want.astype(np.float64)) / spacing(want)
    return np.asarray(np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance)))
