"""Instruction sets: which one is used, and that all of them give the same bits."""

from __future__ import annotations

import json
import textwrap

import pytest

import gradstep
from helpers.configuration import DICTS, python, sections

AVAILABLE: list[str] = gradstep.show_config(mode="dicts")["instruction set"]["available"]


def test_instruction_set_of_itself() -> None:
    found = sections()["instruction set"]
    assert found == {"used": AVAILABLE[-1], "why": "the strongest available", "available": AVAILABLE}
    assert AVAILABLE[0] == "portable"


@pytest.mark.parametrize("isa", AVAILABLE)
def test_instruction_set_forced(isa: str) -> None:
    assert sections(GRADSTEP_ISA=isa)["instruction set"] == {"used": isa, "why": "GRADSTEP_ISA", "available": AVAILABLE}


def test_instruction_set_is_decided_once() -> None:
    code = f"import gradstep, os; gradstep.sigmoid(0.0); os.environ['GRADSTEP_ISA'] = 'portable'; {DICTS}"
    found = json.loads(python(code).stdout)["instruction set"]
    assert found["used"] == AVAILABLE[-1]
    assert found["why"] == ("the strongest available" if len(AVAILABLE) > 1 else "GRADSTEP_ISA")


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx-512", "", *sorted({"avx2", "avx512"} - set(AVAILABLE))])
@pytest.mark.parametrize("call", ["sigmoid(0.0)", "loss_gradient([[1.0]], [1], [0.0])", "show_config()"])
def test_instruction_set_that_is_not_there(name: str, call: str) -> None:
    done = python(f"import gradstep; gradstep.{call}", GRADSTEP_ISA=name)
    message = f"ValueError: GRADSTEP_ISA must be one of {', '.join(AVAILABLE)} on this machine, got '{name}'"
    assert done.stderr.splitlines()[-1] == message


SCRIPTS = {
    "fit": """
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=(3000, 11)), random.random(3000)
        for A in (X, X.astype("f4"), X[:, :3]):
            for solver in ("lbfgs", "gd"):
                best = gradstep.fit(A, y, l2=1e-3, solver=solver, tol=1e-6, n_threads=1)
                print(solver, best.weights.tobytes().hex(), best.bias.hex(), best.gap.hex(), best.passes)
    """,
    "fit, several classes": """
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=(3000, 11)), random.integers(0, 4, 3000)
        for A in (X, X.astype("f4"), X[:, :3]):
            for solver in ("lbfgs", "gd"):
                best = gradstep.fit(A, y, l2=1e-3, solver=solver, tol=1e-6, n_threads=1)
                print(solver, best.weights.tobytes().hex(), best.bias.tobytes().hex(), best.gap.hex(), best.passes)
    """,
    "fit, more columns than rows": """
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=(70, 3001)), random.random(70)
        for A in (X, X.astype("f4"), np.asfortranarray(X)):
            best = gradstep.fit(A, y, l2=1e-3, n_threads=1)
            print(best.weights.tobytes().hex(), best.bias.hex(), best.gap.hex(), best.passes)
    """,
    "formulas of several classes": """
        import numpy as np, gradstep
        from scipy import sparse
        random = np.random.default_rng(0)
        for m, n, K in [(300, 3, 3), (500, 130, 10), (90, 29, 7)]:
            X, y = random.normal(size=(m, n)), random.integers(0, K, m)
            W, b = random.normal(size=(K, n)), random.normal(size=K)
            for A in (X, X.astype("f4"), np.asfortranarray(X), sparse.csr_array(X)):
                result = gradstep.loss_gradient(A, y, W, b, n_threads=1)
                print(result.loss.hex(), result.weights.tobytes().hex(), result.bias.tobytes().hex())
                print(gradstep.predict_proba(A, W, b).tobytes().hex())
    """,
    "fit, sparse": """
        import numpy as np, scipy.sparse, gradstep
        random = np.random.default_rng(0)
        X = scipy.sparse.random_array((3000, 40), density=0.2, rng=random, format="csr")
        y = random.random(3000)
        for A in (X, X.astype("f4")):
            for solver in ("lbfgs", "gd"):
                best = gradstep.fit(A, y, l2=1e-3, solver=solver, tol=1e-6, n_threads=1)
                print(solver, best.weights.tobytes().hex(), best.bias.hex(), best.gap.hex(), best.passes)
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_same_bits_on_every_instruction_set(script: str) -> None:
    seen = set()
    for isa in ("portable", "avx2", "avx512"):
        run = python(textwrap.dedent(script), GRADSTEP_ISA=isa)
        if "GRADSTEP_ISA must be one of" not in run.stderr:  # else this machine does not have the set
            assert run.returncode == 0, run.stderr
            seen.add(run.stdout)
    assert len(seen) == 1
