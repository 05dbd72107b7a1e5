"""The table of what is refused, which the modules beside this one fill row by row, and what its rows share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]

X = np.arange(12.0).reshape(4, 3) / 8
Y = np.array([0.0, 1.0, 1.0, 0.0])
W = np.array([0.5, -0.5, 0.25])
Z = np.array([-1.0, 0.0, 2.0])
EVERYTHING = (X, Y, W, Z)


def replaced(values: Array, index: Any, value: float) -> Array:
    copy = values.copy()
    copy[index] = value
    return copy


def read_only(values: Array) -> Array:
    copy = values.copy()
    copy.flags.writeable = False
    return copy


Kind = type[Exception] | tuple[type[Exception], ...]
ROWS: list[Any] = []


def refuse(
    name: str, kind: Kind, argument: str, facts: str, call: Callable[..., Any], *args: Any, **options: Any
) -> None:
    """One row of the table: `call(*args, **options)` is refused."""
    ROWS.append(
        pytest.param(partial(call, *args, **options), kind, argument, facts, id=f"{name}-{argument}-{len(ROWS)}")
    )


NOT_REAL: list[tuple[Any, str]] = [
    (np.array([1j, 0, 1]), "complex"),
    (np.array([None, 1.0, 2.0], dtype=object), "object"),
    (np.array(["0", "1", "2"]), ""),
    (np.array(["2001-01-01", "2001-01-02", "2001-01-03"], dtype="datetime64[D]"), "datetime64"),
    (np.array([1, 2, 3], dtype="timedelta64[s]"), "timedelta64"),
    (np.array([b"0", b"1", b"2"]), ""),
    (np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False]), "mask"),
    (np.zeros(3, dtype=[("a", "f8")]), ""),
    ({"a": 1}, ""),
    (None, "None|object"),
]
