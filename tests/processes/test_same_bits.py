"""One answer, whatever computes it: instruction sets, numbers of threads and memory layouts give the same bits.

Each instruction set has a process of its own, because a process chooses its set once. The process runs
`helpers/digests.py`: it reads cases and answers with digests of the results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers import digests
from helpers.digests import DENSE, SPARSE, Case, digest
from helpers.problems import cases

THREADS = (1, 2, 3, 8)
FORMULAS = ("loss_gradient", "predict_proba", "classes", "hessian", "covariance", "descent", "descent of classes")


class Process:
    """Computes with one instruction set."""

    def __init__(self, isa: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", digests.__file__],
            env={**os.environ, "GRADSTEP_ISA": isa},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def digest(self, case: Case) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(case)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert len(answer) == 64, f"no answer: exit code {self.process.wait(10)}"
        return answer

    def end(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def processes() -> Iterator[dict[str, Process]]:
    """A process for each instruction set of this machine."""
    names = gradstep.show_config(mode="dicts")["instruction set"]["available"]
    every = {name: Process(name) for name in names}
    yield every
    for process in every.values():
        process.end()


@st.composite
def drawn_cases(draw: st.DrawFn) -> Case:
    layout = draw(st.sampled_from(DENSE + SPARSE))
    return Case(
        formula=draw(st.sampled_from(FORMULAS)),
        m=draw(st.integers(1, 300) | st.integers(1, 12_000)),
        n=draw(st.integers(1, 40) | st.sampled_from([64, 100, 129, 300])),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        layout=layout,
        n_threads=draw(st.sampled_from(THREADS)),
        weighted=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@settings(max_examples=cases(120))
@given(case=drawn_cases())
def test_drawn_cases(processes: dict[str, Process], case: Case) -> None:
    plain = digest(replace(case, layout="csr" if case.layout in SPARSE else "C", n_threads=1))
    assert digest(case) == plain
    if case.n_threads * case.m * case.n > 1_000_000:  # without fused multiply-adds, large cases are too slow
        processes = {name: process for name, process in processes.items() if name != "portable"}
    assert {name: process.digest(case) for name, process in processes.items()} == dict.fromkeys(processes, plain)


LARGE = [
    Case("loss_gradient", 1_000_000, 28, "float64", "C", 1),
    Case("loss_gradient", 2_000_000, 28, "float32", "C", 1),
    Case("loss_gradient", 60_000, 600, "float64", "C", 1),  # 600 columns: a tile of columns is several parts
    Case("loss_gradient", 4_000_000, 3, "float64", "C", 1),
    Case("loss_gradient", 200_000, 100, "float64", "csr", 1),
]


@pytest.mark.parametrize("case", LARGE, ids=lambda case: f"{case.m}x{case.n}-{case.dtype}-{case.layout}")
def test_data_larger_than_caches(processes: dict[str, Process], case: Case) -> None:
    plain = digest(case)
    for layout in ("csr64", "csc") if case.layout == "csr" else ("C", "F", "strided"):
        for n_threads in THREADS if layout in ("C", "csr64") else (2,):
            assert digest(replace(case, layout=layout, n_threads=n_threads)) == plain, (layout, n_threads)
    for name, process in processes.items():
        assert process.digest(replace(case, n_threads=2)) == plain, name
