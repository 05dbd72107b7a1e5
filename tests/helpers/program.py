"""The command line as users get it: the real program, in a pipe or on a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = [sys.executable, "-m", "gradstep"]

ROWS = "x1,x2,y\n0.5,1,no\n1.5,-2,yes\n0.25,3,no\n2.5,0,no\n1,1,yes\n"
"""A CSV file. No line separates its labels: the last row, a yes, is within the triangle of the rows with no."""


def program(*args: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The real program, in a process of its own."""
    command = [*PROGRAM, *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def ok(*args: object, cwd: Path) -> str:
    """What the real program prints; it must succeed, and say nothing on stderr."""
    done = program(*args, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def one_line(err: str) -> str:
    assert err.startswith("gradstep: error: "), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err


@contextmanager
def on_a_terminal(*args: object, cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program with its stderr on a terminal; yields the process and the other end of the terminal."""
    import pty  # imported here, since Windows lacks it

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    command = [*PROGRAM, *map(str, args)]
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def heard(terminal: int, until: bytes | None = None, seconds: float = 60) -> bytes:
    """What the program writes to the terminal, up to the text `until`, or up to the end."""
    said = b""
    end = time.monotonic() + seconds
    while (until is None or until not in said) and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # on Linux: the other end is closed
                break
            if not more:
                break
            said += more
    return said
