"""Which files of the core each file of the core uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from helpers.pages import ROOT

CORE = "rust/core/src"


def code(file: str) -> str:
    """A file of the core, without its tests and its comments."""
    text = (ROOT / CORE / file).read_text(encoding="utf-8")
    text = re.split(r"^mod tests \{", text, flags=re.MULTILINE)[0]
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


def used(file: str, files: set[str]) -> set[str]:
    """The files whose items a file brings in by `use`. A `mod.rs` only passes on items of others: it is not counted."""
    module = file.removesuffix(".rs").removesuffix("/mod").split("/")
    found = set()
    for statement in re.findall(r"\buse ([^;]+);", code(file)):
        for path in _expanded("".join(statement.split())):
            names = path.split("::")
            if names[0] == "crate":
                names = names[1:]
            elif names[0] in ("self", "super"):
                ups = names.count("super")
                names = module[: len(module) - ups] + names[ups + names.count("self") :]
            else:
                continue
            beginnings = ("/".join(names[:length]) + ".rs" for length in range(len(names), 0, -1))
            found.add(next((beginning for beginning in beginnings if beginning in files), file))
    return found - {file}


def _expanded(path: str) -> Iterator[str]:
    """`a::{b, c::{d, e}}` as a::b, a::c::d and a::c::e."""
    head, brace, rest = path.partition("{")
    if not brace:
        yield path
        return
    depth, start = 0, 0
    inside = rest[: rest.rindex("}")] + ","
    for at, character in enumerate(inside):
        depth += (character == "{") - (character == "}")
        if character == "," and not depth:
            if inside[start:at]:
                yield from (head + each for each in _expanded(inside[start:at]))
            start = at + 1
