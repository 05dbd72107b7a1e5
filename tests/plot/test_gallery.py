"""The script makes each picture that the gallery shows, and the gallery shows each function."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from matplotlib import pyplot

import gradstep
from helpers.pages import PAGES, ROOT

SCRIPT = ROOT / "docs" / "pictures.py"
PICTURES = re.findall(r'^<img src="([^"]+)" width="\d+" alt="[^"]+">$', PAGES["docs/gallery.md"], re.MULTILINE)


def test_each_function_has_a_picture() -> None:
    assert sorted(PICTURES) == [f"pictures/{name}.png" for name in gradstep.plot.__all__]
    assert PAGES["docs/gallery.md"].count("<img") == len(PICTURES)


def test_the_script_makes_each_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == sorted(PICTURES)
    for picture in PICTURES:
        pixels = pyplot.imread(tmp_path / picture)
        assert min(pixels.shape[:2]) > 200 and pixels[..., :3].std() > 0.01, picture


def test_each_picture_is_behind_the_example_that_draws_it() -> None:
    parts = re.split(r'^<img src="pictures/(\w+)\.png".*$', PAGES["docs/gallery.md"], flags=re.MULTILINE)
    for before, name in zip(parts[::2], parts[1::2], strict=False):
        assert f"gradstep.plot.{name}(" in before, name
