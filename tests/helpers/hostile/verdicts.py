"""What a fit claimed, compared with the truth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import gradstep
from helpers.hostile.integers import PRIME, Wide, exact_columns, exact_scores, find_basis, quiet, rank_profile
from helpers.hostile.oracles import TINY, counted, find_truth, objective
from helpers.hostile.tables import Table

Array = npt.NDArray[Any]
TOLERANCE = 1e-8  # a fit that converged claims gap <= TOLERANCE · objective
# A column may be left out if no more than this part of its length is orthogonal to the columns before it.
ALIASED = {"float64": 64 * 2.0**-52, "float32": 64 * 2.0**-23}
PARAMETERS = 1024  # with at most this many weights and biases, a fit must find a separation


class Verdict(NamedTuple):
    """A word for a fit, its faults, notes on it, and the numbers that these come from."""

    word: str
    faults: list[str]
    notes: list[str]
    numbers: dict[str, Any]


def fit(table: Table) -> Any:
    """The optimum that gradstep finds, or the exception it raises."""
    try:
        return gradstep.fit(table.X, table.y, n_threads=1, **table.options)
    except Exception as error:
        return error


def own_part(X: Array, others: list[int], column: int, bias: bool) -> float:
    """The distance of a column from the nearest combination of others, relative to the column's length."""
    whole, _ = exact_columns(X[:, [*others, column]], bias)
    profile = rank_profile((whole % PRIME).astype(np.int64))
    if whole.shape[1] - 1 not in profile:
        return 0.0
    return float(find_basis(whole[:, profile], np.zeros(len(profile)))[2][-1])


def _aliases(table: Table, best: Any) -> tuple[list[int], list[str], list[str]]:
    """Columns that a fit has left out, and what is wrong with its reasons: faults, and notes."""
    X, faults, notes = counted(table)[0], [], []
    aliases, limit = list(getattr(best, "aliased", None) or ()), ALIASED[str(table.X.dtype)]
    aliased = [int(alias.column) for alias in aliases]
    kept = [j for j in range(X.shape[1]) if j not in aliased]
    s = table.options.get("sample_weight", np.ones(len(table.y)))
    for alias in aliases:
        if np.any(np.atleast_2d(best.weights)[:, alias.column] != 0):
            faults.append("weight of an aliased column")
        w = np.zeros(X.shape[1])
        w[np.asarray(alias.columns, int)] = alias.coefficients
        terms = np.abs(X).astype(Wide) @ np.abs(w) + abs(alias.constant)
        w[alias.column] -= 1
        residual, x = exact_scores(X, alias.constant, w)[:, 0] ** 2, X[:, alias.column].astype(Wide) ** 2
        bias, sizes = table.options["fit_bias"], (np.ones(len(X)), s[s > 0])
        # The residual is compared with the lengths of the column and of the terms of the combination, with or without
        # the weights of the rows.
        near = any((r * residual).sum() <= limit**2 * (r * (x + terms**2)).sum() for r in sizes)
        if near and (bias or alias.constant == 0):
            continue
        stretch = np.sqrt(1 + (terms**2).sum() / x.sum())
        if not own_part(X, kept, alias.column, bias) <= limit * stretch:
            faults.append(f"false alias, {table.X.dtype}")
        elif not residual.sum() <= limit**2 * (x + terms**2).sum():
            notes.append("rough alias")  # the column is a combination, but another one
    return aliased, faults, notes


def _separates(table: Table, separation: Any) -> bool:
    """Whether a direction puts no row clearly on the wrong side, and some on the right one."""
    X, row, labels, _, classes = counted(table)
    scores = exact_scores(X, separation.bias, separation.weights)[row]
    size = (np.abs(X).astype(Wide) @ np.abs(np.atleast_2d(separation.weights)).T + np.abs(separation.bias))[row]
    if classes == 2:
        scores, size = np.column_stack([0 * scores, scores]), np.column_stack([0 * size, size])
    margins = scores[np.arange(len(labels)), labels][:, None] - scores
    # Margins of rows on the hyperplane may be rounding errors: scores are known to some 1e-13 of a row (x, 1).
    least = np.maximum(1e-9 * size.max(axis=1, keepdims=True), 1e-12 * np.abs(separation.weights).max())
    return bool((margins >= -least).all() and (margins > 0).any())


@quiet
def judge(table: Table, best: Any) -> Verdict:
    """Compares what a fit claims with the truth about the columns it kept."""
    if isinstance(best, Exception):
        named = isinstance(best, ValueError) and str(best).startswith(("X", "y", "l2", "sample_weight"))
        words = " ".join(word for word in str(best).split() if word.isalpha())
        return Verdict(f"refused: {words}" if named else "error", ["error"] * (not named), [], {"error": repr(best)})
    gap, converged, reason = best.gap, bool(best.converged), str(best.stop_reason)
    if gap is None:  # without a gap, "converged" claims this much
        gap = TOLERANCE * best.objective if converged else np.inf
    if not (np.isfinite(best.weights).all() and np.isfinite(best.bias).all() and gap >= 0):
        return Verdict("not finite", ["not finite"], [], {"gap": gap, "reason": reason})
    aliased, faults, notes = _aliases(table, best)
    truth = find_truth(table, [j for j in range(table.X.shape[1]) if j not in aliased])
    J, rounding = objective(table, best.weights, best.bias)
    true, unsure, off = J - truth.minimum, rounding + truth.error, abs(best.objective - J)
    rounded = 8 * float(np.finfo(np.float64).eps) * J  # a false gap by less than this is another kind of fault
    classes = np.size(best.bias) if np.size(best.bias) > 1 else 1
    wrong = gap + 1e-7 * max(J, 1) if np.asarray(best.weights).dtype == np.float32 else 1e-9 * J + unsure
    checks = {
        "false converged": converged and true > gap + unsure + rounded,
        "false gap": not converged and true > gap + unsure + rounded,
        "false gap, by rounding": gap + unsure < true <= gap + unsure + rounded,
        "converged without an optimum": converged and truth.exists is False,
        "converged without a gap": converged and not gap <= TOLERANCE * best.objective * (1 + 1e-12),
        "false separated": reason == "separated" and truth.exists,
        "wrong direction": reason == "separated"
        and (best.separation is None or not _separates(table, best.separation)),
        "missed separation": reason != "separated" and truth.exists is False and not converged
        and classes * (table.X.shape[1] + 1) <= PARAMETERS,
        "wrong objective": off > wrong and (off > gap or converged),
        "the truth is wrong": true < -unsure - truth.below and "weight of an aliased column" not in faults,
    }  # fmt: skip
    faults += [fault for fault, found in checks.items() if found]
    checks = {
        "wrong objective, not claimed": off > wrong and not (off > gap or converged),
        "unnamed": converged and table.options["l2"] == 0 and len(truth.dependent) > 0,
    }  # fmt: skip
    notes += [note for note, found in checks.items() if found]
    bucket = next((f"< {part}" for part in (1e-8, 1e-4) if true < part * max(truth.minimum, TINY)), ">= 0.0001")
    if faults:
        word = faults[0]
    elif truth.exists is None:
        word = "unclear"
    elif reason == "separated":
        word = "separated"
    elif converged:
        word = "proved, aliased" if aliased else "proved"
    else:
        word = f"{'uncertified' if reason == 'uncertified' else f'short, {reason}'}, true gap {bucket}"
    numbers = {"reason": reason, "gap": float(gap), "true gap": float(true), "J": float(J), "unsure": float(unsure),
               "minimum": float(truth.minimum), "exists": truth.exists, "below": float(truth.below),
               "objective": float(best.objective), "aliased": aliased, "dependent": truth.dependent}  # fmt: skip
    return Verdict(word, faults, notes, numbers)
