"""matplotlib is an extra: it is loaded when it is asked for, and what is refused leaves no figure behind."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import pyplot

import gradstep
from helpers.refusals import ROWS


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)


def test_import_does_not_load_matplotlib() -> None:
    program = "import gradstep, sys; assert 'plot' in dir(gradstep); assert 'matplotlib' not in sys.modules"
    assert run(program).stderr == ""


def test_pictures_load_neither_pyplot_nor_scikit_learn_before_they_need_them() -> None:
    program = (
        "import gradstep, sys; gradstep.plot.lines; assert not {'matplotlib.pyplot', 'sklearn'} & set(sys.modules)"
    )
    assert run(program).stderr == ""


@pytest.mark.parametrize("statement", ["gradstep.plot", "import gradstep.plot", "from gradstep import plot"])
def test_without_matplotlib_an_error_names_the_extra(statement: str) -> None:
    done = run(f"import sys; sys.modules['matplotlib'] = None; import gradstep; {statement}")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: gradstep.plot needs matplotlib 3.8 or newer: pip install 'gradstep[plot]'"
    )


@pytest.mark.parametrize("call", ["calibration([0, 1], [0.5, 0.5])", "roc([0, 1], [0.5, 0.5])"])
def test_they_draw_without_scikit_learn(call: str) -> None:
    done = run(f"import sys; sys.modules['sklearn'] = None; import gradstep; gradstep.plot.{call}; print('drawn')")
    assert done.stdout == "drawn\n"


def test_settings_of_matplotlib_stay_as_they_are() -> None:
    before = dict(mpl.rcParams)
    gradstep.plot.sigmoid()
    gradstep.plot.perceptron([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [0, 0, 1])
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("call", "kind"), [row.values[:2] for row in ROWS if row.id.startswith("plot.")], ids=lambda value: ""
)
def test_what_is_refused_leaves_no_figure(call: Any, kind: Any) -> None:
    with pytest.raises(kind):
        call()
    assert pyplot.get_fignums() == []
