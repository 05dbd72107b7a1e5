"""show_config, and the environment variables that it tells of."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gradstep

VARIABLES = ("GRADSTEP_ISA", "GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS")
DICTS = "import gradstep, json; print(json.dumps(gradstep.show_config(mode='dicts')))"
AVAILABLE: list[str] = gradstep.show_config(mode="dicts")["instruction set"]["available"]


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def sections(**variables: str) -> dict[str, Any]:
    done = python(DICTS, **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_printed_is_what_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    gradstep.show_config()
    printed = capsys.readouterr().out
    for title, section in gradstep.show_config(mode="dicts").items():
        assert f"{title}:\n" in printed
        for name, value in section.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            assert f"  {name}: {shown}\n" in printed


def test_versions() -> None:
    config = gradstep.show_config(mode="dicts")
    assert config["gradstep"]["version"] == gradstep.__version__
    assert config["numpy"]["version"] == np.__version__
    assert config["python"]["version"] == platform.python_version()


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


def test_threads_of_the_process() -> None:
    found = sections()["threads"]
    assert 1 <= found["n_threads=None means"] == found["CPUs available"] <= found["CPUs in the affinity"]
    assert "NUM_THREADS" not in found["why"]


@pytest.mark.parametrize("variable", ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_of_the_environment(variable: str) -> None:
    found = sections(**{variable: "1"})["threads"]
    assert (found["n_threads=None means"], found["why"], found[variable]) == (1, variable, "1")
    found = sections(**{variable: "100000"})["threads"]
    assert found["n_threads=None means"] == found["CPUs available"]
    assert found["why"].startswith(f"{variable}=100000, but not more than ")


def test_the_first_variable_counts() -> None:
    found = sections(GRADSTEP_NUM_THREADS="1", OMP_NUM_THREADS="2")["threads"]
    assert (found["n_threads=None means"], found["why"]) == (1, "GRADSTEP_NUM_THREADS")
    found = sections(GRADSTEP_NUM_THREADS="", OMP_NUM_THREADS="1")["threads"]
    assert (found["n_threads=None means"], found["why"]) == (1, "OMP_NUM_THREADS")
    assert sections(OMP_NUM_THREADS="1,2")["threads"]["n_threads=None means"] == 1  # one number a nesting level


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_of_the_affinity() -> None:
    """It is asked for again: one that is set while the process runs counts."""
    cpu = min(os.sched_getaffinity(0))
    done = python(f"import gradstep, os; gradstep.show_config(); os.sched_setaffinity(0, [{cpu}]); {DICTS}")
    found = json.loads(done.stdout.splitlines()[-1])["threads"]
    assert (found["n_threads=None means"], found["CPUs in the affinity"]) == (1, 1)
    if (os.cpu_count() or 1) > 1:
        assert found["why"] == "the CPU affinity"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize("variable", ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_that_are_none(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen by every call, however small its work."""
    for name in VARIABLES[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    message = rf"{variable} must be a positive integer, got '{value}'"
    for call in (
        lambda: gradstep.show_config(),
        lambda: gradstep.sigmoid([0.0]),
        lambda: gradstep.loss([[1.0]], [1], [0.0]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


COUNT_THREADS = """
import os, threading, time
import numpy as np
import gradstep

X, y, weights = np.ones((400_000, 28)), np.ones(400_000), np.zeros(28)
done = threading.Event()

def call():
    while not done.is_set():
        gradstep.loss_gradient(X, y, weights)

def threads():
    return len(os.listdir("/proc/self/task"))

def most_seen(seconds, enough=1000):
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and most < enough:
        most = max(most, threads() - alone)
    return most

caller = threading.Thread(target=call)
alone = threads() + 1
caller.start()
shared = most_seen(30, enough=1)
os.sched_setaffinity(caller.native_id, [min(os.sched_getaffinity(0))])
time.sleep(1)
print(shared, most_seen(1))
done.set()
caller.join()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_set_while_the_process_runs() -> None:
    """Helpers come while there are several CPUs, and none once there is one."""
    if gradstep.show_config(mode="dicts")["threads"]["CPUs available"] == 1:
        pytest.skip("one CPU")
    done = python(COUNT_THREADS)
    assert done.returncode == 0, done.stderr
    shared, alone = map(int, done.stdout.split())
    assert shared >= 1
    assert alone == 0
