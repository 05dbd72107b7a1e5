"""Describe the result of a fit in words, for `Optimum`, the estimator's warnings, and the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gradstep._optimum import Alias, Optimum

MOST_TERMS = 6
UNITS = 32
"""A constant term smaller than this many ULP of the combination's largest term is rounding error."""


class Asked(NamedTuple):
    """How the user writes the options of a fit: as Python arguments or on the command line."""

    name: Callable[[str], str]
    """Writes an option's name: "max_passes" or "--max-passes"."""
    given: Callable[[str], str]
    """Writes an option with its value: "max_passes=10" or "--max-passes 10"."""
    certify: bool
    remedy: str
    """What the user may do to reduce rounding errors; empty if nothing is known to help."""


def state(converged: bool, gap: float, stop_reason: str) -> str:
    """Say whether the optimum is reached, and if not, how far away it may be."""
    if converged and math.isinf(gap):  # with firth=True
        return "reached, a local one: that no other is better is not proved"
    if converged:
        return f"reached, proved within {gap:.1e} of the minimum"
    if stop_reason == "separated":
        return "there is none, since the labels are separated"
    without_hessian = " (no Hessian was made)" if stop_reason == "uncertified" else ""
    return f"not proved, {above(gap)}{without_hessian}"


def shortfall(best: Optimum, asked: Asked) -> str | None:
    """Say why the optimum is not proved and what to do. None if it is proved, or if the fit ended for a reason on which
    there is no advice here, such as "callback" or "uncertified".

    If the labels are separated, so that there is no optimum, `separated` says so instead.
    """
    if best.converged:
        return None
    reason, far = str(best.stop_reason), distance(best)
    match reason:
        case "passes":
            cause, advice = asked.given("max_passes"), f"; a larger {asked.name('max_passes')} goes on"
        case "iterations":
            cause, advice = asked.given("max_iter"), f"; a larger {asked.name('max_iter')} goes on"
        case "tolerance":
            cause, advice = asked.given("tol"), ""
        case "precision":
            cause, advice = "as no step improves", _rounding(best, asked)
        case _:
            return None
    return f"the optimum is not proved (stopped by '{reason}', {cause}): {far}{advice}"


def aligned(rows: Sequence[Sequence[str]], side: str = ">") -> list[str]:
    """The rows of a table as lines. The first column is aligned left; all others by `side`, right by default."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                f"{row[0]:{widths[0]}}",
                *(f"{cell:{side}{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]


def distance(best: Optimum) -> str:
    """Say how far a fit may be from the optimum."""
    far = above(best.gap)
    return f"the gradient is {best.gradient_norm:.1e}, and {far}" if math.isinf(best.gap) else far


def above(gap: float) -> str:
    """Say how far the objective may be above its minimum."""
    if math.isinf(gap):
        return "how far the objective is above its minimum is not known"
    return f"the objective may be up to {gap:.1e} above its minimum"


def _rounding(best: Optimum, asked: Asked) -> str:
    """Advise what to do if rounding errors ended a fit before its optimum was proved."""
    if best.solver == "firth":
        return ""
    if best.gap < best.objective:  # more is proved than that the objective is nowhere negative
        less = f"{asked.remedy} may leave less, and " if asked.remedy else ""
        return f", more than {asked.given('gap_tol')} allows; {less}a larger {asked.name('gap_tol')} accepts it"
    if not asked.certify:
        return f"; {asked.given('certify')} leaves the proof out"
    return (
        f"; the classes may nearly be separated, and a larger {asked.name('l2')} would help, "
        "or a column may hold values far beyond its others"
    )


def separated(count: int, columns: str, penalty: str, firth: str | None) -> str:
    """Say that a hyperplane separates the labels, along which columns, and that a penalty helps.

    `count` is the number of columns, `columns` their names, and `penalty` how to set one. `firth` is the option for
    Firth's penalised likelihood; None for three classes or more.
    """
    other = f" or {firth}" if firth else ""
    return (
        f"along column{'s' * (count > 1)} {columns} some or all labels are separated from the others, so that larger "
        f"weights are always better; a penalty, {penalty}{other}, makes them finite"
    )


def combination(alias: Alias, name: Callable[[int], str], X: Any) -> str:
    """Describe a column of `X` that is a linear combination of others: "constant", or "column 0 - 2 * column 1 + 3"."""
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


def _product(factor: float, of: str) -> str:
    number = f"{factor:.6g}"
    return number if not of else of if number == "1" else f"{number} * {of}"
