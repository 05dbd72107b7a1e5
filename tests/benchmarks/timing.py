"""Times rivals in turn, and writes the figures as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gradstep

Run = Callable[[], object]

TURN = 5
"""Timed repetitions of one rival in a row."""
WARM_UP = 0.15
"""Seconds of untimed repetitions before each turn."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: a ratio, the least (or largest) it should be, and the times it comes from."""

    name: str
    ratio: float
    target: float
    at_most: bool
    seconds: dict[str, float]

    @property
    def reached(self) -> bool:
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


@dataclass(frozen=True)
class Settings:
    """How thorough to be. `quick` takes a tenth of the rows and repeats nothing: only to see that everything runs."""

    quick: bool = False

    def rows(self, m: int) -> int:
        return m // 10 if self.quick else m

    def repeats(self, count: int) -> int:
        return 1 if self.quick else count


def medians(rivals: Mapping[str, Run], repeats: int, calls: int = 1) -> dict[str, float]:
    """Median seconds of a call of each rival."""
    return {name: statistics.median(each) for name, each in in_turn(rivals, repeats, calls).items()}


def best(rivals: Mapping[str, Run], repeats: int, calls: int = 1) -> dict[str, float]:
    """Least seconds of a call of each rival: what the call costs where nothing else runs."""
    return {name: min(each) for name, each in in_turn(rivals, repeats, calls).items()}


def in_turn(rivals: Mapping[str, Run], repeats: int, calls: int) -> dict[str, list[float]]:
    """Seconds of the calls of each rival; they take turns, so that a busy moment hits all of them.

    Every turn begins untimed, unless there are too few repetitions for one: a rival's idle threads keep a CPU busy for
    a while after its last call (those of BLAS for a tenth of a second), and a CPU that sleeps takes milliseconds to
    wake.
    """
    times: dict[str, list[float]] = {name: [] for name in rivals}
    turn, warm_up = (TURN, WARM_UP) if repeats >= TURN else (repeats, 0.0)
    for _ in range(-(-repeats // turn)):
        for name, run in rivals.items():
            settled = time.perf_counter() + warm_up
            while time.perf_counter() < settled:
                run()
            times[name] += [seconds(run, calls) for _ in range(turn)]
    return times


def seconds(run: Run, calls: int) -> float:
    """The mean seconds of one of several calls."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def at_least(target: float, name: str, seconds: dict[str, float], peer: str) -> Figure:
    """The figure of the peer's time divided by ours, which must be at least `target`."""
    return Figure(name, seconds[peer] / seconds["gradstep"], target, False, seconds)


def at_most(target: float, name: str, ratio: float, seconds: dict[str, float]) -> Figure:
    return Figure(name, ratio, target, True, seconds)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """A context in which these environment variables are set."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def line(figure: Figure) -> str:
    sign, verdict = "≤" if figure.at_most else "≥", "" if figure.reached else "missed"
    times = ", ".join(f"{name} {duration(seconds)}" for name, seconds in figure.seconds.items())
    return f"{figure.name:<58} {figure.ratio:6.2f} {sign} {figure.target:<5g}{verdict:<7} {times}"


def record(figures: list[Figure], settings: Settings) -> dict[str, Any]:
    packages = ("gradstep", "numpy", "scipy", "scikit-learn")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": settings.quick,
        "machine": {"cpu": cpu(), "load": os.getloadavg() if hasattr(os, "getloadavg") else None},
        "versions": {name: version(name) for name in packages},
        "config": gradstep.show_config(mode="dicts"),
        "figures": [{**asdict(figure), "reached": figure.reached} for figure in figures],
    }


def cpu() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((each.partition(":")[2].strip() for each in lines if each.startswith("model name")), "")


def write(path: Path, figures: list[Figure], settings: Settings) -> None:
    path.write_text(json.dumps(record(figures, settings), indent=2) + "\n", encoding="utf-8")
