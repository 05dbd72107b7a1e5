"""The notebook docs/exercises.ipynb: its cells run, its questions have the answers that it says, nothing is stored."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

import gradstep
from helpers.pages import ROOT

CELLS = json.loads((ROOT / "docs" / "exercises.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def shown(code: str, session: dict[str, Any]) -> Any:
    """Run a cell; gives the value of its last line, if that is an expression."""
    parts = ast.parse(code).body
    last = parts.pop() if isinstance(parts[-1], ast.Expr) else None
    exec(compile(ast.Module(parts, []), "<cell>", "exec"), session)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), session) if last else None


def test_no_output_is_stored() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)


def test_every_picture_is_described() -> None:
    for cell in CELLS:
        if cell["cell_type"] == "code" and "gradstep.plot." in "".join(cell["source"]):
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 30


def test_cells_run_and_show_what_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {}
    values = [shown(code, session) for code in CODE]
    pyplot.close("all")

    right, other = (value for value in values if isinstance(value, gradstep.Explanation))
    assert (right.y, other.y) == (1, 0) and abs(other.residual / right.residual) > 5
    checks = [value for value in values if isinstance(value, bool)]
    assert checks == [False, True], "the step that is to be written, and the answer"
    assert [value for value in values if isinstance(value, tuple) and value[0] is True] == [(True, 111), (True, True)]
    slow, good, large = (
        gradstep.Trainer(rate, epochs=40).fit(session["points"], session["labels"]) for rate in session["rates"]
    )
    assert slow.history[-1] > good.history[-1] and good.rose_in is None and large.rose_in is not None
    assert not session["perceptron"].history[-1] and session["perceptron"].history[0]
    np.testing.assert_allclose(session["slope"], -0.01 * session["best"].weights, atol=1e-5)
    assert (tmp_path / "flats.html").is_file()
