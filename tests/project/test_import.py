"""`import gradstep` loads nothing but the native module: each name loads its own module when it is first used."""

from __future__ import annotations

import ast
import inspect
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path

import gradstep

PUBLIC = {*gradstep.__all__, *gradstep.ESTIMATORS, *gradstep.MODULES}


def printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.stdout.split()


def test_it_loads_the_native_module_and_nothing_more() -> None:
    """Beside what NumPy loads: for example no dataclasses, which compile each of their classes, and no numpy.typing."""
    program = "import sys, numpy; before = set(sys.modules); import gradstep; print(*sorted({*sys.modules} - before))"
    assert printed(program) == ["gradstep", "gradstep._native"]


def test_a_name_loads_its_own_module_once() -> None:
    program = "import sys, gradstep; f = gradstep.sigmoid; assert f is gradstep.sigmoid is vars(gradstep)['sigmoid']; "
    loaded = printed(f"{program} print(*(name for name in sys.modules if name.startswith('gradstep')))")
    assert "gradstep._formulas" in loaded
    assert not {f"gradstep.{name}" for name in ("_descent", "_optimum", "_path", "_sources", "_config")} & {*loaded}


def test_all_names_can_be_completed_and_imported() -> None:
    assert {*printed("import gradstep; print(*dir(gradstep))")} >= PUBLIC
    assert {*printed("from gradstep import *; print(*dir())")} >= {*gradstep.__all__}
    assert not hasattr(gradstep, "sigmiod")


def test_type_checkers_see_each_name_in_the_module_that_has_it() -> None:
    tree = ast.parse(Path(inspect.getfile(gradstep)).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: f"{node.module}" for node in imports for alias in node.names}
    assert {*seen, "__version__"} == PUBLIC
    for name in seen.keys() - {*gradstep.MODULES}:
        assert getattr(gradstep, name).__module__ == seen[name]


def test_help_has_all_functions() -> None:
    text = pydoc.plain(pydoc.render_doc(gradstep))
    assert all(name in text for name in gradstep.__all__)


def test_results_are_unpickled_where_gradstep_was_not_imported() -> None:
    descent = gradstep.Trainer(0.5, epochs=2).fit([[0.0], [1.0]], [0, 1])
    assert printed(f"import pickle; print(pickle.loads({pickle.dumps(descent)!r}).n_epochs)") == ["2"]
