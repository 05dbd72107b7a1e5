"""The README has the two commands, every public name, examples of both kinds, and fits on a few screens."""

from __future__ import annotations

import re

import gradstep
from helpers.pages import PAGES, blocks, commands

README = PAGES["README.md"]
LINES = 200


def test_it_is_short() -> None:
    assert README.count("\n") <= LINES


def test_it_shows_what_is_run() -> None:
    assert len([command for block in blocks("README.md", "console") for command in commands(block)]) >= 4
    assert len(blocks("README.md", "python")) >= 3


def test_no_public_name_is_left_out() -> None:
    absent = [name for name in gradstep.__all__ if name != "__version__" and name not in README]
    assert absent == []


def test_one_command_to_try_and_one_to_test() -> None:
    assert len(re.findall(r"^python3 -m venv .*demo$", README, re.MULTILINE)) == 1
    assert len(re.findall(r"^python3 -m venv .*pytest -n auto$", README, re.MULTILINE)) == 1
