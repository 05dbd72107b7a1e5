"""Every public name is there, is documented, and its examples are true."""

from __future__ import annotations

import doctest
import pydoc
from importlib.metadata import version
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradstep
import gradstep.inference

NAMES = [
    *(name for name in gradstep.__all__ if name != "__version__"), "LogisticRegression",
    "dask", *(f"dask.{name}" for name in gradstep.dask.__all__),
    "plot", *(f"plot.{name}" for name in gradstep.plot.__all__),
]  # fmt: skip


def examples(name: str, text: str, globs: dict[str, Any]) -> doctest.TestResults:
    """Run the examples of a docstring; pytest shows what the failed ones printed."""
    test = doctest.DocTestParser().get_doctest(text, globs, name, None, None)
    return doctest.DocTestRunner(verbose=False).run(test)


def test_every_public_name_is_there_once() -> None:
    assert len(set(gradstep.__all__)) == len(gradstep.__all__)
    for name in gradstep.__all__:
        assert hasattr(gradstep, name), name


def test_version_is_that_of_the_package() -> None:
    assert gradstep.__version__ == version("gradstep")


@pytest.mark.parametrize("name", NAMES)
def test_documented_by_examples_that_are_true(name: str) -> None:
    text = attrgetter(name)(gradstep).__doc__ or ""
    assert "Examples" in text
    result = examples(name, text, {"gradstep": gradstep, "np": np})
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(attrgetter(name)(gradstep), "_fields")])
def test_fields_of_tuples_are_documented(name: str) -> None:
    """`help` shows for each field what the class says of it, instead of "Alias for field number 0"."""
    described = attrgetter(name)(gradstep)
    for field in described._fields:
        text = getattr(described, field).__doc__
        kind, _, words = text.partition(": ")
        assert f"{field} : {kind}\n" in described.__doc__ and words.split()[0] in described.__doc__
    assert "Alias for field" not in pydoc.render_doc(described)


def test_fit_is_documented() -> None:
    text = gradstep.Trainer.fit.__doc__ or ""
    assert text.strip()
    assert examples("Trainer.fit", text, {"gradstep": gradstep, "np": np}).failed == 0


@pytest.mark.parametrize("name", gradstep.inference.__all__)
def test_inference_is_documented_by_examples_that_are_true(name: str) -> None:
    result = examples(name, getattr(gradstep.inference, name).__doc__ or "", {"gradstep": gradstep, "np": np})
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("module", [gradstep, gradstep.inference], ids=lambda module: module.__name__)
def test_the_modules_themselves(module: ModuleType) -> None:
    result = examples(module.__name__, module.__doc__ or "", {})
    assert result.attempted > 0
    assert result.failed == 0
