"""The command line in this process; what imports this is skipped where the extra `cli` is not installed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click")
pl = pytest.importorskip("polars")
pytest.importorskip("rich")

from gradstep import _files as reading  # noqa: E402
from gradstep._cli import demo_points, run  # noqa: E402

__all__ = ["codes", "demo_points", "pl", "problem", "reading", "run", "trained"]


def trained(capfd: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    """The model that train prints with --json, trained in this process."""
    code = run(["train", *map(str, args), "--json"])
    out, err = capfd.readouterr()
    assert (code, "error" in err) == (0, False), err
    model: dict[str, Any] = json.loads(out)
    return model


def problem(rows: int = 60, classes: int = 2) -> Any:
    """A data frame with a float, an integer and a boolean feature, and a target in two or three words."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=rows) / 3
    label = np.where(a + rng.normal(size=rows) > 0, "yes", "no")
    frame = pl.DataFrame({"a": a, "count": rng.integers(0, 9, rows), "flag": rng.random(rows) < 0.5, "answer": label})
    if classes == 2:
        return frame
    doubt = frame["count"].to_numpy() > rng.integers(0, 12, rows)
    return frame.with_columns(answer=np.where(doubt, "maybe", label))


def codes(frame: Any) -> Any:
    """The target of `problem` as the places of its words in sorted order."""
    return np.unique(frame["answer"].to_numpy(), return_inverse=True)[1].astype(float)
