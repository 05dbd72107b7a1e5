"""How an option of the training is written where it is given: on the command line, or as an argument in Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from gradstep._document import Scalar

LISTS = ("drop", "na")
"""Options that may hold several values."""


_SINGULAR = {"ids": "id", "penalty_factors": "penalty_factor"}
"""Options whose names on the command line are singular, since each is given once for a column."""


class Spelling(NamedTuple):
    """Writes options as in Python, or as on the command line. They are named as the arguments of `gradstep.train`."""

    is_python: bool

    def name(self, option: str) -> str:
        """The option alone: "--max-passes" or "max_passes"."""
        if self.is_python:
            return option
        return f"--{_SINGULAR.get(option, option).replace('_', '-')}"

    def given(self, option: str, value: Scalar) -> str:
        """The option with a value: "--missing drop" or "missing='drop'"; if the value is True or False, "--no-bias"."""
        if self.is_python:
            return f"{option}={[value] if option in LISTS else value!r}"
        if isinstance(value, bool):
            return self.name(option if value else f"no_{option.removeprefix('fit_')}")
        if isinstance(value, float):
            return f"{self.name(option)} {value:g}"
        text = str(value)
        return f"{self.name(option)} {text if re.fullmatch(r'[^%]+', text) else repr(text)}"

    def choices(self, option: str, *values: str) -> str:
        """The option with each of some values: "--missing drop, mean or indicator"."""
        shown = [repr(value) for value in values] if self.is_python else values
        words = f"{', '.join(shown[:-1])} or {shown[-1]}"
        return f"{option}={words}" if self.is_python else f"{self.name(option)} {words}"

    def advice(self, options: Iterable[tuple[str, str]]) -> str:
        """Several options with their values, in one text. If an option takes one value, only its first is written."""
        values: dict[str, list[str]] = {}
        for name, value in dict.fromkeys(options):
            values.setdefault(name, []).append(value)
        if self.is_python:
            return ", ".join(f"{name}={given if name in LISTS else repr(given[0])}" for name, given in values.items())
        words = []
        for name, given in values.items():
            if name == "drop":
                plain = [value for value in given if "," not in value]
                given = [",".join(plain)] * bool(plain) + [value for value in given if "," in value]
            elif name != "na":
                given = given[:1]
            for value in map(shlex.quote, given):
                words.append(f"{self.name(name)}{'=' if value.startswith('-') else ' '}{value}")
        return " ".join(words)


COMMAND_LINE = Spelling(False)
PYTHON = Spelling(True)
