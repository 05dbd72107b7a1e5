"""Progress on a terminal; pipes that are read, closed or full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.commands import problem
from helpers.program import PROGRAM, ROWS, heard, ok, on_a_terminal, one_line, program


def test_no_progress_bar_in_a_pipe(folder: Path) -> None:
    problem().write_csv("data.csv")
    assert program("train", "data.csv", "--epochs", 300, cwd=folder).stderr == ""


def test_progress_bar_on_a_terminal(folder: Path) -> None:
    problem().write_csv("data.csv")
    with on_a_terminal("train", "data.csv", "--epochs", 500, "--json", cwd=folder) as (process, terminal):
        said = heard(terminal)
        assert process.stdout
        model = json.loads(process.stdout.read())
        assert process.wait(60) == 0
    assert b"epoch" in said
    assert b"/500" in said
    assert b"loss" in said
    assert model == json.loads(ok("train", "data.csv", "--epochs", 500, "--json", cwd=folder)), "the same fit"
    for args in (["--epochs", 500], []):
        with on_a_terminal("train", "data.csv", *args, "--quiet", cwd=folder) as (process, terminal):
            assert heard(terminal) == b""
            assert process.wait(60) == 0


def test_progress_of_the_optimum_on_a_terminal(folder: Path) -> None:
    problem().write_csv("data.csv")
    with on_a_terminal("train", "data.csv", "--l2", 0.01, "--json", cwd=folder) as (process, terminal):
        said = heard(terminal)
        assert process.stdout
        model = json.loads(process.stdout.read())
        assert process.wait(60) == 0
    for word in (b"passes", b"objective 0.", b"gradient"):
        assert word in said
    assert model == json.loads(ok("train", "data.csv", "--l2", 0.01, "--json", cwd=folder)), "the same fit"


def test_closed_pipe(folder: Path) -> None:
    (folder / "data.csv").write_text(ROWS)
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "predict", "model.json", "data.csv"]
    done = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_closed_in_the_middle(folder: Path, unbuffered: str) -> None:
    """The output is more than the pipe holds. Unbuffered, Python's own write would write a part and raise nothing."""
    (folder / "data.csv").write_text(ROWS + ROWS.partition("\n")[2] * 20_000)
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    command = [*PROGRAM, "predict", "model.json", "data.csv"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1)
        time.sleep(0.2)  # by now the pipe is full, and the program waits
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_pipes_are_read(folder: Path) -> None:
    (folder / "data.csv").write_text(ROWS)
    want = ok("train", "data.csv", "--json", cwd=folder)
    command = f"cat data.csv | '{sys.executable}' -m gradstep train /dev/stdin --json"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, want, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "demo"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert one_line(done.stderr) == "gradstep: error: standard output: No space left on device\n"


def test_closed_streams(folder: Path) -> None:
    problem().write_parquet("data.parquet")
    command = f"'{sys.executable}' -m gradstep train data.parquet --out model.json <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0
    assert json.loads((folder / "model.json").read_text())["features"] == ["a", "count", "flag"]
