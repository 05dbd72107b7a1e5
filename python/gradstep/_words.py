"""What a fit has found, in words: for the estimator's warnings and errors, and for the command line's notes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstep._optimum import Alias

MOST_TERMS = 6
UNITS = 32
"""In the last place of the largest of a combination's terms: a constant below is rounding."""


def combination(alias: Alias, name: Callable[[int], str], X: Any) -> str:
    """What an aliased column of `X` is: "constant", or "column 0 - 2 * column 1 + 3" with such names."""
    if not alias.columns:
        return "constant"
    if len(alias.columns) > MOST_TERMS:
        first = ", ".join(name(column) for column in alias.columns[:MOST_TERMS])
        return f"a combination of {first}, … ({len(alias.columns)} in all)"
    factors = list(zip(alias.columns, alias.coefficients, strict=True))
    largest = max(abs(factor) * abs(X[:, [column]]).max() for column, factor in [(alias.column, 1.0), *factors])
    terms = [(factor, name(column)) for column, factor in factors]
    if abs(alias.constant) > UNITS * np.finfo(X.dtype).eps * largest:
        terms.append((alias.constant, ""))
    terms.sort(key=lambda term: term[0] < 0)  # "1 - a" rather than "-a + 1"
    text = " ".join(f"{'-' if factor < 0 else '+'} {_product(abs(factor), of)}" for factor, of in terms)
    return text.removeprefix("+ ") if terms[0][0] > 0 else text.replace("- ", "-", 1)


def distance(gap: float, gradient_norm: float) -> str:
    """How far a fit may be from the optimum."""
    if math.isinf(gap):
        return f"the gradient is {gradient_norm:.1e}, and how far the objective is above its minimum is not known"
    return f"the objective may be up to {gap:.1e} above its minimum"


def _product(factor: float, of: str) -> str:
    number = f"{factor:.6g}"
    return number if not of else of if number == "1" else f"{number} * {of}"
