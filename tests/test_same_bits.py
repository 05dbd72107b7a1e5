"""One answer, whatever computes it: instruction sets, numbers of threads and memory layouts give the same bits.

Each instruction set has a process of its own, because a process chooses one once. It runs this file, is told cases and
answers with digests of the results.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from problems import cases

THREADS = (1, 2, 3, 8)
DENSE = ("C", "F", "strided", "reversed", "frame")
SPARSE = ("csr", "csr64", "csc")


@dataclass(frozen=True)
class Case:
    """What is computed (`formula`, of random numbers) and how (`layout`, `n_threads`)."""

    formula: str
    m: int
    n: int
    dtype: str
    layout: str
    n_threads: int
    weighted: bool = False
    seed: int = 7


def digest(case: Case) -> str:
    random = np.random.default_rng(case.seed)
    dtype = np.dtype(case.dtype)
    X = random.standard_normal((case.m, case.n), dtype=dtype)
    if case.layout in SPARSE:
        X[random.random(X.shape) < 0.8] = 0
    K = 3 if case.formula == "classes" else 1
    y = random.integers(0, max(K, 2), case.m).astype(dtype)
    weights = (random.standard_normal((K, case.n)) / case.n**0.5).astype(dtype)
    bias = np.linspace(-0.3, 0.2, K).astype(dtype)
    if K == 1:
        weights, bias = weights[0], bias[0]
    options: dict[str, Any] = {"n_threads": case.n_threads}
    if case.weighted:
        options["sample_weight"] = random.integers(0, 4, case.m).astype(dtype) + dtype.type(0.5)
    x = laid_out(X, case.layout)
    if case.formula == "hessian":
        results = (gradstep.hessian(x, weights, bias, **options),)
    elif case.formula == "covariance":
        try:
            results = (gradstep.covariance(x, weights, bias, **options),)
        except ValueError as error:  # too few rows
            results = (np.array([str(error)]),)
    elif case.formula == "predict_proba":
        z = gradstep.decision_function(x, weights, bias, n_threads=case.n_threads)
        results = (z, gradstep.predict_proba(x, weights, bias, n_threads=case.n_threads))
    else:
        results = gradstep.loss_gradient(x, y, weights, bias, **options)
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in results)).hexdigest()


def laid_out(X: Any, layout: str) -> Any:
    m, n = X.shape
    match layout:
        case "C":
            return X
        case "F":
            return np.asfortranarray(X)
        case "strided":
            wide = np.full((m, 2 * n + 1), np.nan, X.dtype)
            wide[:, 1::2] = X
            return wide[:, 1::2]
        case "reversed":
            return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
        case "frame":
            return pd.DataFrame(X)
        case "csr" | "csr64":
            rows = scipy.sparse.csr_array(X)
            if layout == "csr64":
                rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
            return rows
        case _:
            return scipy.sparse.csc_array(X)


class Process:
    """Computes with one instruction set."""

    def __init__(self, isa: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
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
        formula=draw(st.sampled_from(("loss_gradient", "predict_proba", "classes", "hessian", "covariance"))),
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
    if case.n_threads * case.m * case.n > 1_000_000:  # without fused multiply-adds too slow for all of them
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


if __name__ == "__main__":
    for line in sys.stdin:
        print(digest(Case(**json.loads(line))), flush=True)
