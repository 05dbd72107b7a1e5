"""How the tests run: profiles of hypothesis, what is printed at the end, and fixtures for all folders."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A case is quick, but a busy machine may be slow: no deadline. In CI the same cases run every time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# SciPy reads this variable when it is first imported. Without it scikit-learn skips one of its checks of estimators.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# NumPy's BLAS reads this variable when it is first imported. The workers of pytest-xdist use all processors already:
# more threads in each worker would wait for one another, which takes most of the time of products of small matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Pictures are drawn into memory, not on a screen.
os.environ.setdefault("MPLBACKEND", "agg")

# pytest shows the values in failed assertions of helpers as it does for tests.
pytest.register_assert_rewrite("helpers")

MEASURED: list[str] = []
CASES: Counter[str] = Counter()


@pytest.fixture(scope="session")
def measured() -> Callable[[str], None]:
    """A function: each line that it is called with is printed at the end of the run."""
    return MEASURED.append


@pytest.fixture(scope="module")
def count_case(request: pytest.FixtureRequest) -> Callable[[], None]:
    """A function to call once in every hypothesis case; the number of calls is printed at the end of the run."""
    module = request.module.__name__

    def count() -> None:
        CASES[module] += 1

    return count


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what is to be printed, in a worker process of pytest-xdist."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"measured": MEASURED, "cases": dict(CASES)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})  # missing if the worker has crashed
    MEASURED.extend(output.get("measured", []))
    CASES.update(output.get("cases", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None] | None:
    if MEASURED or CASES:
        terminalreporter.section("measured")
        for line in MEASURED:
            terminalreporter.write_line(line)
        if CASES:
            each = ", ".join(f"{module} {count}" for module, count in CASES.items())
            terminalreporter.write_line(f"hypothesis cases run: {sum(CASES.values())} ({each})")
    return None


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    """Close what a test, or an example that it runs, has drawn."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of reference data, which is not part of the project."""
    folder = os.environ.get("GRADSTEP_DATA")
    if not folder:
        pytest.skip("GRADSTEP_DATA does not name a folder with the reference data")
    assert Path(folder).is_dir(), f"GRADSTEP_DATA must name a folder, got {folder!r}"
    return Path(folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
