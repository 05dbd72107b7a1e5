"""Pages of descents: problems to show, and what a page holds."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import gradstep

Array = npt.NDArray[Any]

RNG = np.random.default_rng(11)
Y = np.arange(100.0) % 2
X = RNG.normal(size=(100, 2)) * [0.9, 0.6] + np.outer(Y - 0.5, [1.5, 1.0])
START = [-0.5, 0.75]
LESSON = gradstep.Trainer(0.01, 100, batch_size=1)


def html(descent: gradstep.Descent, X: Any, y: Any, folder: Path, **options: Any) -> str:
    """The text of the page, which no browser has opened."""
    page = gradstep.show(descent, X, y, file=folder / "page.html", open_browser=False, **options)
    return page.read_text(encoding="utf-8")


def held(text: str) -> dict[str, Any]:
    """What a page holds as JSON."""
    found = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return dict(json.loads(found[0]))


def numbers(text: str, dtype: str = "<f8") -> Array:
    return np.frombuffer(base64.b64decode(text), dtype)
