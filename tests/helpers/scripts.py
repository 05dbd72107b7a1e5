"""Scripts that run in a process of their own, with a hard limit of time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="there are no forks, limits of memory or signals to one process"
)


PROBLEM = """
import gc, os, sys, threading, time
import numpy as np
import gradstep

random = np.random.default_rng(0)
SMALL = random.normal(size=(1, 3)), np.array([1.0]), np.zeros(3)
LARGE = random.normal(size=(300_000, 10)), random.integers(0, 2, 300_000), random.normal(size=10)

def both():
    return [part.tobytes() if hasattr(part, "tobytes") else part
            for problem in (SMALL, LARGE) for part in gradstep.loss_gradient(*problem, n_threads=4)]
"""
"""The beginning of each script. `both()` makes a call that stays in its thread, and one that starts others."""


def run(script: str, timeout: float = 60, **environment: str) -> str:
    code = PROBLEM + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
