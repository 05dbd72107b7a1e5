"""Twice the rows take twice the time, and no memory beside X."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import gradstep
from problem import random_problem
from timing import Figure, Settings, at_most, medians

COLUMNS = 28
MEBIBYTE = 1 << 20


def figures(settings: Settings) -> Iterator[Figure]:
    largest = settings.rows(10_000_000)
    X, y, weights, bias = random_problem(largest, COLUMNS)
    sizes = [largest]
    while sizes[-1] >= 200_000:
        sizes.append(sizes[-1] // 2)
    sizes.reverse()

    beside = peak_beside(lambda: gradstep.loss_gradient(X, y, weights, bias))
    if beside is not None:
        name = f"loss_gradient f64 {largest}×{COLUMNS}: MiB beside X"
        yield at_most(8, name, beside / MEBIBYTE, {})

    calls = {str(m): lambda m=m: gradstep.loss_gradient(X[:m], y[:m], weights, bias) for m in sizes}
    seconds = medians(calls, settings.repeats(25))
    for m, twice in pairwise(sizes):
        pair = {str(m): seconds[str(m)], str(twice): seconds[str(twice)]}
        growth = pair[str(twice)] / pair[str(m)] * m / twice
        yield at_most(1.1, f"loss_gradient f64 {m} → {twice} rows ×{COLUMNS}: growth ÷ rows'", growth, pair)


def peak_beside(run: Callable[[], object]) -> int | None:
    """How many bytes the resident memory grows by, at its peak, while `run` runs; None without Linux."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        reset.write_text("5")  # the peak starts again from what is resident now
    except OSError:
        return None

    def kilobytes(field: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(f"{field}:"))

    before = kilobytes("VmRSS")
    run()
    return max(kilobytes("VmHWM") - before, 0) * 1024
