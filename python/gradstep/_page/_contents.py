"""What the page of a descent holds: rows, the path and the errors of each run, and the errors over two weights."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep import _options, _valley
from gradstep._arrays import Array, Features
from gradstep._descent import Descent, Trainer
from gradstep._frames import column_names
from gradstep._native import __version__
from gradstep._optimum import fit
from gradstep._page._runs import Activation, Data, Run, choices, order, runs_of, same_again

CELLS = 32
"""The number of cells of a map of errors along either weight."""
WIDER = 4.0
"""The factor by which the limits of a map are widened, as often as is needed until they hold a path."""

LARGEST = 1e50
"""Errors are mapped only if weights and features are below this: their squares and scores are far from overflowing."""

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def contents(
    descent: Descent,
    X: Features,
    y: ArrayLike,
    columns: Sequence[int] | None,
    names: Sequence[object] | None,
    labels: Sequence[object],
    title: str,
) -> dict[str, Any]:
    """Everything that the page's script reads, as JSON can hold it; arrays are base64 of little-endian bytes."""
    if descent.trainer.learning_rate == "auto":
        raise ValueError("descent must have a learning rate of its own, got 'auto'")
    if descent.weights.ndim == 2:
        got = f"{len(descent.weights)}: gradstep.plot.regions draws them"
        raise ValueError(f"descent must be of two classes for a page, got {got}")
    named = column_names(X) if names is None else names
    trainer, own = same_again(descent, X, y)
    data = Data.of(X, y, trainer)
    n = data.X.shape[1]
    pair = _pair(own, data) if columns is None else list(_options.two_columns(columns, n))
    rates, activations = choices(trainer, *data.X.shape)
    runs = {activation: runs_of(trainer, activation, rates, own, data) for activation in activations}
    shuffled = order(trainer, data)
    return {
        "version": __version__,
        "title": str(title),
        "facts": _facts(trainer, data),
        "names": [f"x{j}".translate(SUBSCRIPTS) for j in range(1, n + 1)]
        if named is None
        else _options.names("names", named, n, "column of X"),
        "labels": _options.names("labels", labels, 2, "label"),
        "columns": pair,
        "means": _floats(np.asarray(data.X.mean(axis=0, dtype=np.float64)).reshape(n)),
        "rows": data.rows.tolist(),
        "rowsInAll": data.X.shape[0],
        "X": _floats(data.shown),
        "y": _floats(data.y[data.rows]),
        "isWhole": data.is_whole,
        "batch": min(trainer.batch_size or data.X.shape[0], data.X.shape[0]),
        "averages": trainer.reduction == "mean",
        "l2": trainer.l2,
        "order": None if shuffled is None else _base64(shuffled),
        "rates": rates,
        "rate": rates.index(float(trainer.learning_rate)),
        "activation": trainer.activation,
        "runs": {activation: [_packed(each) for each in of_rates] for activation, of_rates in runs.items()},
        "valleys": _valleys(runs, own, data, pair),
    }


def _facts(trainer: Trainer, data: Data) -> str:
    """The text below the title."""
    m, n = data.X.shape
    size = min(trainer.batch_size or m, m)
    steps = "point by point" if size == 1 else "all rows at once" if size == m else f"{size} rows at a time"
    facts = [f"{m} rows", steps, *["shuffled"] * trainer.shuffle, *[f"penalty l2 = {trainer.l2:g}"] * bool(trainer.l2)]
    others = f" {n - 2} more column{'s are' if n > 3 else ' is'} drawn at the mean." if n > 2 else ""
    sample = f" A sample of {len(data.rows)} rows is shown; the descent is of all." if len(data.rows) < m else ""
    return f"{', '.join(facts)}.{others}{sample}"


def _pair(own: Descent, data: Data) -> list[int]:
    """The two columns that change the scores most; a single column if `X` has only one."""
    change = np.abs(own.weights) * data.shown.std(axis=0)
    return sorted(np.argsort(-change, kind="stable")[:2].tolist())


def _packed(run: Run) -> dict[str, Any]:
    rise = run.descent.rose_in
    return {
        "path": _floats(run.path),
        "errors": _floats(run.errors),
        "rise": None if rise is None else rise + 1,
        "marks": run.marks.tolist(),
        "marked": _floats(run.marked),
    }


def _valleys(runs: dict[Activation, list[Run]], own: Descent, data: Data, pair: list[int]) -> dict[str, Any] | None:
    """For each activation, maps of the error over two weights, and for each run the map that holds its path; also the
    two weights of the optimum, if there is one.

    At each point of a map, the bias is the best one for the two weights. All other weights are those of the optimum or,
    if there is none, those at the end of the descent. With a single column, the maps are over its weight and the bias.
    The result is None if all labels are the same, so that no bias would be the best, or if numbers are too large for a
    map.
    """
    y = data.y[data.rows].astype(np.float64)
    largest = max(np.abs(run.path).max() for of_rates in runs.values() for run in of_rates)
    if not (0 < y.mean() < 1 and max(largest, np.abs(data.shown).max()) < LARGEST):
        return None
    best = fit(data.X, data.y, l2=own.trainer.l2, certify=False)
    end = best if best.separation is None else own
    weights, shown, rest = end.weights.astype(np.float64), data.shown, np.zeros(len(y))
    if len(pair) == 1:
        shown, pair, weights = np.column_stack([shown, np.ones(len(y))]), [0, 1], np.append(weights, end.bias)
        error = {"sigmoid": _valley.mean_error, "step": _valley.misclassified}
    else:
        rest = shown @ np.where(np.isin(np.arange(len(weights)), pair), 0.0, weights)
        error = {"sigmoid": _valley.least_error, "step": _valley.least_misclassified}
    optimum = weights[pair] if end is best else None

    (own_path,) = (run.path for run in runs[own.activation] if run.descent.trainer == own.trainer)
    seen = [np.zeros((1, 2)), own_path[:, pair], *([] if optimum is None else [optimum[None]])]
    low, high = np.array(_valley.around(np.concatenate(seen), shown[:, pair])).T
    middle, half = (low + high) / 2, (high - low) / 2
    found: dict[str, Any] = {"optimum": None if optimum is None else optimum.tolist()}
    for activation, of_rates in runs.items():
        powers = [_power(float(np.abs((run.path[:, pair] - middle) / half).max())) for run in of_rates]
        maps = {}
        for power in sorted(set(powers)):
            limits = np.column_stack([middle - half * WIDER**power, middle + half * WIDER**power])
            across, up = (np.linspace(low, high, CELLS) for low, high in limits.tolist())
            grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
            heights = _valley.errors(shown[:, pair], y, grid, rest, error[activation])
            if activation == "sigmoid" and own.trainer.l2:
                others = weights @ weights - weights[pair] @ weights[pair]
                heights = heights + own.trainer.l2 / 2 * ((grid[:, : data.X.shape[1]] ** 2).sum(axis=1) + others)
            maps[power] = _map(limits, heights)
        found[activation] = {"maps": list(maps.values()), "of": [list(maps).index(power) for power in powers]}
    return found


def _power(reach: float) -> int:
    """How often the limits of a map must be widened by `WIDER` to hold a path. From the middle of the map, the path
    reaches `reach` times as far as the limits."""
    return 0 if reach <= 1 else int(np.ceil(np.log(reach) / np.log(WIDER)))


def _map(limits: Array, heights: Array) -> dict[str, Any]:
    """A byte from 0 to 255 for each height, proportional to the square root of the height above the least one.

    So the bytes tell heights best apart near the least height, where a descent is slow.
    """
    low, high = float(heights.min()), float(heights.max())
    roots = np.sqrt((heights - low) / (high - low or 1.0))
    return {"limits": limits.tolist(), "low": low, "high": high, "cells": _base64(np.rint(255 * roots).astype("u1"))}


def _floats(values: ArrayLike) -> str:
    return _base64(np.asarray(values, "<f8"))


def _base64(values: Array) -> str:
    return base64.b64encode(values.tobytes()).decode()
