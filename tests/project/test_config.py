"""show_config: what is printed is what is returned."""

from __future__ import annotations

import platform

import numpy as np
import pytest

import gradstep


def test_printed_is_what_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    gradstep.show_config()
    printed = capsys.readouterr().out
    for title, section in gradstep.show_config(mode="dicts").items():
        assert f"{title}:\n" in printed
        for name, value in section.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            assert f"  {name}: {shown}\n" in printed


def test_versions() -> None:
    config = gradstep.show_config(mode="dicts")
    assert config["gradstep"]["version"] == gradstep.__version__
    assert config["numpy"]["version"] == np.__version__
    assert config["python"]["version"] == platform.python_version()
