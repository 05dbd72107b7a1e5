"""The pages of the project, README.md and docs/*.md: their text, the fenced blocks in it, links and headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
LIST = ROOT / "docs" / "index.md"
"""The file with the list of the site's pages. It is not counted as a page."""
FILES = [ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {LIST})]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
"""The text of each page, by its path from the top folder."""

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: the language behind the fence, the line of the page it starts in, and its text."""

    language: str
    line: int
    text: str


class Command(NamedTuple):
    """A command of a console block, with the text that it prints."""

    line: int
    text: str
    output: str


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, or those of one language."""
    text = PAGES[page]
    found = [Block(each[1], text.count("\n", 0, each.start(2)) + 1, each[2]) for each in FENCED.finditer(text)]
    return [block for block in found if language in (None, block.language)]


def commands(block: Block) -> list[Command]:
    """The commands of a console block. `$ ` begins a command, `> ` continues it, and all other lines are output."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(keepends=True), block.line):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1] = found[-1]._replace(text=found[-1].text + line[2:])
        else:
            found[-1] = found[-1]._replace(output=found[-1].output + line)
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", PAGES[page])


def links(page: str) -> list[str]:
    """The targets of the links of a page, as they are written."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def spans(page: str) -> list[str]:
    """The texts of a page between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: str) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
