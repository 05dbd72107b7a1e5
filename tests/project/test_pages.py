"""The examples in the README and in the pages of docs give the output shown, and what the pages name exists."""

from __future__ import annotations

import dataclasses
import doctest
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gradstep
import gradstep.inference
from helpers.pages import PAGES, ROOT, TESTS, anchors, blocks, commands, links, spans

CONTRIBUTING = "docs/contributing.md"
PROMISES = "docs/promises.md"

each_page = pytest.mark.parametrize("page", PAGES)
beside_the_sources = pytest.mark.skipif(
    not (ROOT / "rust" / "core" / "Cargo.toml").is_file(), reason="the sources are not here"
)


def test_the_pages_are_found() -> None:
    assert {"README.md", "docs/lesson.md", "docs/optimum.md", "docs/practice.md", PROMISES, CONTRIBUTING} <= set(PAGES)


@each_page
def test_python_blocks(page: str) -> None:
    """The Python blocks of a page run in order, as one session."""
    session: dict[str, object] = {}
    for block in blocks(page, "python"):
        parts = doctest.DocTestParser().get_doctest(block.text, session, page, page, block.line - 1)
        assert parts.examples, f"{page}, line {block.line}: no >>> in this block"
        result = doctest.DocTestRunner(verbose=False).run(parts, clear_globs=False)
        session = parts.globs
        assert result.failed == 0, f"{page}, line {block.line}"


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell")
@each_page
def test_console_blocks(page: str, tmp_path: Path) -> None:
    """The console blocks of a page run in order, in one folder, with the program installed with the package."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONIOENCODING": "utf-8"}
    for command in [command for block in blocks(page, "console") for command in commands(block)]:
        done = subprocess.run(
            ["sh", "-c", command.text],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        assert done.stdout.decode() == command.output, f"{page}, line {command.line}: {command.text}"
        assert done.returncode == 0, f"{page}, line {command.line}: {command.text}"


@each_page
def test_no_block_escapes(page: str) -> None:
    """Every fenced block is an example that is run, a command for a shell, or plain text."""
    assert PAGES[page].count("```") == 2 * len(blocks(page))
    assert {block.language for block in blocks(page)} <= {"python", "console", "sh", "text"}
    assert not [block for block in blocks(page, "text") if ">>>" in block.text or block.text.startswith("$ ")]


@each_page
def test_public_names_exist(page: str) -> None:
    named = set(re.findall(r"(?<![\w/])gradstep\.([A-Za-z]\w*)", PAGES[page])) - {"contributors"}
    assert named <= {*gradstep.__all__, "LogisticRegression", "LogisticRegressionCV", *gradstep.MODULES}


def test_results_and_options_are_described_in_full() -> None:
    described = {
        gradstep.Trainer: "docs/lesson.md",
        gradstep.Descent: "docs/lesson.md",
        gradstep.Optimum: "docs/optimum.md",
        gradstep.inference.Inference: "docs/inference.md",
    }
    for described_class, page in described.items():
        for field in dataclasses.fields(described_class):
            if field.name.startswith("_"):
                continue
            assert re.search(rf"`{field.name}`|^\.\.\.     {field.name}=", PAGES[page], re.MULTILINE), (
                page,
                field.name,
            )
    text = "".join(PAGES.values())
    assert [reason for reason in gradstep.StopReason if f'"{reason}"`' not in text] == []


@each_page
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        if target.startswith("https:") or (target and not target.endswith(".md")):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.is_file(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(path.resolve().relative_to(ROOT).as_posix()), f"{page}: {link}"


@beside_the_sources
@each_page
def test_links_to_files_lead_somewhere(page: str) -> None:
    for link in links(page):
        if not link.startswith(("https:", "#")):
            assert ((ROOT / page).parent / link.partition("#")[0]).exists(), f"{page}: {link}"


@beside_the_sources
@each_page
def test_paths_from_the_top_folder_exist(page: str) -> None:
    """A span that begins with one of the top folders is a path, perhaps with arguments or placeholders after it."""
    for span in spans(page):
        path = re.match(r"(?:rust|python|tests|docs|\.ci|\.github)/[\w./-]*", span)
        assert not path or (ROOT / path[0]).exists(), f"{page}: {span}"


@each_page
def test_every_page_can_be_reached_from_the_readme(page: str) -> None:
    assert page == "README.md" or page in links("README.md")


def test_folders_exist() -> None:
    table = next(block.text for block in blocks(CONTRIBUTING, "text") if "rust/core" in block.text)
    for line in table.splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def test_checks_to_run_are_those_of_ci() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8") + "".join(b.text for b in blocks("README.md", "sh"))
    asked = [
        line for block in blocks(CONTRIBUTING, "sh") for line in block.text.splitlines() if "venv .venv" not in line
    ]
    assert len(asked) >= 11
    assert [line for line in asked if line not in ci] == []


def test_benchmarks_that_are_named_are_there() -> None:
    named = set(re.findall(r"tests/[\w/]+\.py", PAGES[CONTRIBUTING]))
    assert {"tests/benchmarks/kernels.py", "tests/benchmarks/solvers.py"} <= named
    assert [
        name for page in PAGES.values() for name in re.findall(r"tests/[\w/]+\.py", page) if not (ROOT / name).is_file()
    ] == []


def test_promises_name_the_tests_and_leave_none_out() -> None:
    promises = PAGES[PROMISES]
    assert re.findall(r"^(\d+)\. ", promises, re.MULTILINE) == [str(number) for number in range(1, 32)]
    named = set(re.findall(r"`([\w/]+\.py)`", promises))
    there = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py")}
    assert named <= there
    assert {name for name in there if Path(name).name.startswith("test_")} <= named
    for path in re.findall(r"`(\.ci/\w+|Cargo\.toml)`", promises):
        assert (ROOT / path).is_file(), path


def test_every_promise_names_what_holds_it() -> None:
    for promise in re.split(r"^\d+\. ", PAGES[PROMISES], flags=re.MULTILINE)[1:]:
        assert re.search(r"`[\w/]+\.py`|`\.ci/\w+`|`Cargo\.toml`", promise), promise
