"""The site's lists leave out no page and no public name. That the site can be built is checked by `.ci/run`."""

from __future__ import annotations

import re

import gradstep
import gradstep.dask
import gradstep.inference
import gradstep.plot
import gradstep.spark
from helpers.pages import FILES, LIST, ROOT

NAMES = [
    *(name for name in gradstep.__all__ if name != "__version__"), *gradstep.ESTIMATORS,
    *(f"dask.{name}" for name in gradstep.dask.__all__),
    *(f"inference.{name}" for name in gradstep.inference.__all__), *(f"plot.{name}" for name in gradstep.plot.__all__),
    *(f"spark.{name}" for name in gradstep.spark.__all__),
]  # fmt: skip


def test_every_public_name_is_in_the_reference_once() -> None:
    listed = []
    text = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8")
    for section in re.split(r"^\.\. (?:currentmodule|automodule):: ", text, flags=re.MULTILINE)[1:]:
        module = section.partition("\n")[0].removeprefix("gradstep").removeprefix(".")
        for table in re.findall(r"^\.\. autosummary::\n(?:   :.*\n)+\n((?:   .+\n)+)", section, re.MULTILINE):
            listed += [f"{module}.{name}".removeprefix(".") for name in table.split()]
    assert sorted(listed) == sorted(NAMES)


def test_every_page_is_listed_once() -> None:
    listed = re.findall(
        r"^(?:.* <)?([\w-]+)>?$", LIST.read_text(encoding="utf-8").partition(":hidden:")[2], re.MULTILINE
    )
    pages = {path.stem for path in FILES if path.name != "README.md"} | {"exercises", "reference", "changelog"}
    assert sorted(listed) == sorted(pages)
