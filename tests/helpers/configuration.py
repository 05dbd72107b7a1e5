"""What show_config returns in a process of its own, with environment variables of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

VARIABLES = ("GRADSTEP_ISA", "GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS")

DICTS = "import gradstep, json; print(json.dumps(gradstep.show_config(mode='dicts')))"


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
