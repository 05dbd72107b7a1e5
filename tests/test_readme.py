"""What the README shows is what happens."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import gradstep

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """A fenced block: the language behind the fence, the line of the README it starts in, and its text."""

    language: str
    line: int
    text: str


class Command(NamedTuple):
    """A command of a console block, with the text that it prints."""

    line: int
    text: str
    output: str


def blocks(language: str) -> list[Block]:
    fenced = re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    found = [Block(each[1], README.count("\n", 0, each.start(2)) + 1, each[2]) for each in fenced]
    return [block for block in found if block.language == language]


def commands(block: Block) -> list[Command]:
    """`$ ` begins a command, `> ` goes on with it, everything else is output."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(keepends=True), block.line):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1] = found[-1]._replace(text=found[-1].text + line[2:])
        else:
            found[-1] = found[-1]._replace(output=found[-1].output + line)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell")
def test_console_blocks(tmp_path: Path) -> None:
    """All of them in order, in one folder, by the program that was installed with the package."""
    shown = [command for block in blocks("console") for command in commands(block)]
    assert len(shown) >= 4
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONIOENCODING": "utf-8"}
    for command in shown:
        done = subprocess.run(
            ["sh", "-c", command.text],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        assert done.stdout.decode() == command.output, f"README.md, line {command.line}: {command.text}"
        assert done.returncode == 0, f"README.md, line {command.line}: {command.text}"


def test_python_blocks() -> None:
    """All of them in order, as one session."""
    shown = blocks("python")
    assert len(shown) >= 3
    session: dict[str, object] = {}
    for block in shown:
        parts = doctest.DocTestParser().get_doctest(block.text, session, "README.md", "README.md", block.line - 1)
        assert parts.examples, f"README.md, line {block.line}: no >>> in this block"
        result = doctest.DocTestRunner(verbose=False).run(parts, clear_globs=False)
        session = parts.globs
        assert result.failed == 0, f"README.md, line {block.line}"


def test_names_exist_and_none_is_left_out() -> None:
    named = set(re.findall(r"\bgradstep\.([A-Za-z]\w*)", README)) - {"contributors"}
    assert named <= {*gradstep.__all__, "LogisticRegression"}
    absent = [name for name in gradstep.__all__ if name != "__version__" and name not in README]
    assert absent == []


def test_folders_exist() -> None:
    root = Path(__file__).parents[1]
    table = next(block.text for block in blocks("text") if "rust/core" in block.text)
    for line in table.splitlines():
        assert (root / line.split()[0]).exists(), line


def test_one_command_to_try_and_one_to_test() -> None:
    assert len(re.findall(r"^python3 -m venv .*demo$", README, re.MULTILINE)) == 1
    assert len(re.findall(r"^python3 -m venv .*pytest -n auto$", README, re.MULTILINE)) == 1


def test_promises_name_the_tests_and_leave_none_out() -> None:
    promises = README[README.index("## What it promises") : README.index("### What is supported")]
    assert re.findall(r"^(\d+)\. ", promises, re.MULTILINE) == [str(number) for number in range(1, 29)]
    named = set(re.findall(r"`(\w+\.py)`", promises))
    there = {path.name for path in Path(__file__).parent.glob("*.py")}
    assert named <= there
    assert {name for name in there if name.startswith("test_")} <= named
    for path in re.findall(r"`(\.ci/\w+|Cargo\.toml)`", promises):
        assert (Path(__file__).parents[1] / path).is_file(), path


def test_tests_and_benchmarks_that_it_names_are_there() -> None:
    named = set(re.findall(r"tests/[\w/]+\.py", README))
    assert {"tests/benchmarks/kernels.py", "tests/benchmarks/solvers.py"} <= named
    assert [name for name in named if not (Path(__file__).parents[1] / name).is_file()] == []
