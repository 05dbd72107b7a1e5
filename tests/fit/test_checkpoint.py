"""A fit over batches that was ended goes on from its checkpoint, and reads no rows for answers that are in the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.results import numbers

M = 40_000
OPTIONS: list[dict[str, Any]] = [{"l2": 1e-3}, {}, {"l1": 1e-2}, {"l2": 1e-3, "solver": "gd"}, {"firth": True}]


def problem() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(21)
    X = random.standard_normal((M, 6))
    y = (X[:, 0] - X[:, 1] + random.logistic(size=M) > 0).astype(float)
    return X, y, 0.5 + random.random(M)


def batches(reads: list[int], die_in: int | None = None) -> Callable[[], Iterator[tuple[Any, ...]]]:
    """A function that returns batches, and adds each call to `reads`. With `die_in`, it kills the process in the middle
    of this read."""
    X, y, s = problem()

    def read() -> Iterator[tuple[Any, ...]]:
        reads.append(len(reads))
        for at in range(0, M, 7000):
            if len(reads) == die_in and at > M // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield X[at : at + 7000], y[at : at + 7000], s[at : at + 7000]

    return read


def killed(path: Path, die_in: int, options: dict[str, Any]) -> None:
    """Begin a fit in a process of its own, which is killed in the read number `die_in`."""
    code = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parents[1]), str(Path(__file__).parent)]!r}\n"
        f"import gradstep, test_checkpoint\n"
        f"gradstep.fit(test_checkpoint.batches([], {die_in}), None, checkpoint={str(path)!r}, **{options!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_fit_that_was_killed_goes_on(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    reads: list[int] = []
    want = gradstep.fit(batches(reads), None, checkpoint=path, **options)
    assert not path.exists()  # the fit has returned, and removed its file
    X, y, s = problem()
    assert numbers(want) == numbers(gradstep.fit(X, y, sample_weight=s, **options))
    all_reads, die_in = len(reads), len(reads) // 2 + 2
    killed(path, die_in, options)
    reads.clear()
    assert numbers(gradstep.fit(batches(reads), None, checkpoint=path, **options)) == numbers(want)
    # Read again: the labels, and what was not answered yet. Of the die_in reads, the first was for the labels, and the
    # last was not finished.
    assert len(reads) == 1 + (all_reads - 1) - (die_in - 2)
    assert not path.exists()


def left(path: Path, iterations: int = 3) -> gradstep.Optimum:
    """Leave the checkpoint of a fit whose callback raised; returns the optimum that the fit would have found."""

    def callback(iteration: gradstep.Iteration) -> None:
        if iteration.number == iterations:
            raise OSError("stop")

    with pytest.raises(OSError, match="stop"):
        gradstep.fit(batches([]), None, l2=1e-3, checkpoint=path, callback=callback)
    return gradstep.fit(batches([]), None, l2=1e-3)


@pytest.mark.parametrize("lost", [1, 7, 100, 3000, 10**9])
def test_a_record_that_was_not_written_to_its_end_is_left_out(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    want = left(path)
    data = path.read_bytes()
    path.write_bytes(data[: max(len(data) - lost, 0)])
    assert numbers(gradstep.fit(batches([]), None, l2=1e-3, checkpoint=path)) == numbers(want)


@pytest.mark.parametrize("at", [-1, -2000, 30])
def test_a_damaged_record_is_left_out(at: int, tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    want = left(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert numbers(gradstep.fit(batches([]), None, l2=1e-3, checkpoint=path)) == numbers(want)


def test_a_file_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    left(path)
    before = path.read_bytes()
    for options, what in (
        ({"l2": 2e-3}, r"l2=0\.001 instead of 0\.002"),
        ({"l2": 1e-3, "lower": 0.0}, "another lower"),
    ):
        with pytest.raises(ValueError, match=rf"^checkpoint must be a file of this fit, got one with {what}"):
            gradstep.fit(batches([]), None, checkpoint=path, **options)
    X, y, s = problem()
    with pytest.raises(ValueError, match="another y"):
        gradstep.fit(lambda: [(X, 1 - y, s)], None, l2=1e-3, checkpoint=path)
    with pytest.raises(ValueError, match="columns"):
        gradstep.fit(lambda: [(X[:, :3], y, s)], None, l2=1e-3, checkpoint=path)
    assert path.read_bytes() == before
    other = tmp_path / "none.txt"
    other.write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"^checkpoint must be a new file, .* which is neither$"):
        gradstep.fit(batches([]), None, checkpoint=other)
    assert other.read_text() == "no checkpoint"


def test_threads_may_be_others(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    want = left(path)
    reads: list[int] = []
    assert numbers(gradstep.fit(batches(reads), None, l2=1e-3, checkpoint=path, n_threads=2)) == numbers(want)
    full: list[int] = []
    gradstep.fit(batches(full), None, l2=1e-3)
    assert len(reads) < len(full)
