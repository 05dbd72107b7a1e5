"""docs/architecture.md names every file once; its rooms use only rooms below them; functions that it names exist."""

from __future__ import annotations

import graphlib
import re

import pytest

from helpers.pages import ROOT, blocks, prose, spans
from helpers.sources import CORE, code, used

PAGE = "docs/architecture.md"
FOLDERS = ("python/gradstep", "rust/python/src", CORE)
SUFFIXES = (".rs", ".py", ".pyi", ".html", ".css", ".js")

pytestmark = pytest.mark.skipif(not (ROOT / CORE / "lib.rs").is_file(), reason="the sources are not here")


def rooms(folder: str) -> list[list[str]]:
    """The files of a folder as the page lists them, a list for each room."""
    text = next(block.text for block in blocks(PAGE, "text") if block.text.startswith(f"{folder}\n"))
    return [
        [word for line in room.splitlines() for word in line.split() if word.endswith(SUFFIXES)]
        for room in text.split("\n\n")[1:]
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_listed_once(folder: str) -> None:
    top = ROOT / folder
    there = [path.relative_to(top).as_posix() for path in top.rglob("*") if path.suffix in SUFFIXES]
    assert sorted(file for room in rooms(folder) for file in room) == sorted(there)


def test_a_room_uses_only_those_below() -> None:
    place = {file: number for number, room in enumerate(rooms(CORE)) for file in room}
    modules = {file.removesuffix(".rs").split("/")[0]: number for file, number in place.items()}
    for file, number in place.items():
        if file == "lib.rs":
            continue
        text = (ROOT / CORE / file).read_text(encoding="utf-8")
        for module in set(re.findall(r"\bcrate::(\w+)\b", text)) & set(modules):
            assert modules[module] >= number, f"{file} uses {module}"


def test_no_file_uses_another_that_uses_it() -> None:
    files = {file for room in rooms(CORE) for file in room if not file.endswith(("mod.rs", "tests.rs", "lib.rs"))}
    graph = {file: used(file, files) for file in files}
    assert sum(map(len, graph.values())) > 200
    graphlib.TopologicalSorter(graph).prepare()  # CycleError


def path_of(name: str) -> str | None:
    """A file as the page names it, from the top folder."""
    return next((path for path in (name, f"{CORE}/{name}") if (ROOT / path).is_file()), None)


def test_files_that_are_named_are_there() -> None:
    for span in spans(PAGE):
        if re.fullmatch(r"[\w/]+\.(rs|pyi?|txt)", span):
            assert path_of(span), span


def test_functions_and_types_that_are_named_are_in_their_files() -> None:
    named = re.findall(r"`(\w+)!?` in\s+`([\w/]+\.\w+)`", prose(PAGE))
    assert len(named) >= 40
    for name, file in named:
        path = path_of(file)
        assert path, file
        text = (ROOT / path).read_text(encoding="utf-8")
        kinds = r"fn|struct|enum|trait|type|macro_rules!|def|class"
        assert re.search(rf"^\s*(?:pub(?:\([^)]*\))? )?(?:{kinds}) {name}\b", text, re.MULTILINE), (
            f"`{name}` in `{file}`"
        )


def test_unsafe_code_is_where_it_is_said_to_be() -> None:
    for folder, file in ((CORE, "strips.rs"), ("rust/python/src", "arrays.rs")):
        holds = {
            path.name
            for path in (ROOT / folder).rglob("*.rs")
            if re.search(r"\bunsafe \{", path.read_text(encoding="utf-8"))
        }
        assert holds == {file}


def test_the_penalty_is_a_number_in_one_file() -> None:
    """Only penalty.rs names l2; other files ask it for values, gradients and curvatures."""
    files = [file for room in rooms(CORE) for file in room if not file.endswith("tests.rs")]
    assert [file for file in files if re.search(r"\bl2\b", code(file).replace('"l2"', ""))] == ["penalty.rs"]
