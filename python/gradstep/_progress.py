"""Progress on stderr: a bar for a descent, whose number of epochs is known; a line for a fit, whose end is not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from gradstep._optimum import Iteration

INTERVAL = 0.05
"""Least time in seconds between two updates of the display. Iterations may take only microseconds, much less than an
update of the display."""


@contextmanager
def of_epochs(epochs: int) -> Iterator[Callable[[int, float, Any, Any], None]]:
    """Show a progress bar, and yield the callback for a descent that moves it."""
    columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), _text("loss"), TimeRemainingColumn()
    with _bar(epochs, *columns, loss="…") as update:
        yield lambda epoch, loss, weights, bias: update(completed=epoch + 1, loss=f"{loss:.6f}")


@contextmanager
def of_passes() -> Iterator[Callable[[Iteration], None]]:
    """Show a line of numbers, and yield the callback for a fit that updates them."""
    names = ("passes", "objective", "gradient")
    with _bar(None, BarColumn(), *(_text(name) for name in names), **dict.fromkeys(names, "…")) as update:
        yield lambda iteration: update(
            passes=f"{iteration.passes:.1f}",
            objective=f"{iteration.objective:.6f}",
            gradient=f"{iteration.gradient_norm:.1e}",
        )


def _text(name: str) -> TextColumn:
    return TextColumn(f"{name} {{task.fields[{name}]}}")


@contextmanager
def _bar(total: int | None, *columns: ProgressColumn, **fields: str) -> Iterator[Callable[..., None]]:
    console = Console(stderr=True)
    shows = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, transient=True, disable=not shows) as bar:
        task = bar.add_task("", total=total, **fields)  # type: ignore[arg-type]
        shown = -math.inf

        def update(**changes: object) -> None:
            nonlocal shown
            if time.monotonic() - shown > INTERVAL:
                bar.update(task, **changes)  # type: ignore[arg-type]
                shown = time.monotonic()

        yield update
