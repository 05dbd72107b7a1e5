"""Frames as arrays of real numbers: of pandas, polars, pyarrow, and other libraries that can hand over their columns.

A library of frames is imported only to convert a frame of an unknown library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep._options import kind

KNOWN = ("pandas", "polars", "pyarrow")
READERS = {
    "__arrow_c_stream__": (("pyarrow", "table"), ("polars", "DataFrame")),
    "__dataframe__": (("pyarrow.interchange", "from_dataframe"), ("pandas.api.interchange", "from_dataframe")),
}
"""Protocols by which other libraries hand over a frame; for each protocol the functions that can read such a frame, as
(module, function)."""
MOST_LETTERS = 40
"""The largest number of letters of a text that a message shows."""
DATES = ("Timestamp", "date", "datetime")
REAL_OBJECTS = (int, float, np.bool_, np.integer, np.floating)
"""The types of real numbers in an array of dtype object, beside Decimal."""


def is_of(value: object, package: str) -> bool:
    """Whether the value's class, or a base class, is from a package. The package need not be installed."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in type(value).__mro__)


def frame_of(value: Any, name: str = "X") -> Any:
    """The value as a frame of a known library; None if it is no frame.

    A frame of another library is converted to one of a known library, by a protocol.

    Raises
    ------
    TypeError
        If no library is installed that reads the protocol; if the value is a lazy frame of polars; or if `name` is "X",
        and the value is a path or a function: only fits read these.
    """
    if isinstance(value, np.ndarray):
        return None
    if name == "X" and (isinstance(value, (str, os.PathLike)) or _is_function(value)):
        raise TypeError(
            f"X must be an array of real numbers, got {kind(value)}: files, and the batches of a function, are read "
            "by fit, path, Trainer.fit and LogisticRegression.fit"
        )
    if any(is_of(value, package) for package in KNOWN):
        if kind(value) == "LazyFrame":
            raise TypeError(
                f"{name} must be an array of real numbers, got LazyFrame: .collect() makes a frame of it; gradstep.fit "
                "reads it in batches where y is the name of a column"
            )
        return value if len(getattr(value, "shape", ())) == 2 and hasattr(value, "columns") else None
    protocol = next((name for name in READERS if hasattr(value, name)), None)
    if protocol is None:
        return None
    from importlib.util import find_spec

    for module, function in READERS[protocol]:
        if find_spec(module.partition(".")[0]):
            return getattr(import_module(module), function)(value)
    raise TypeError(
        f"{name} must be a frame of pandas, polars or pyarrow, or come with pyarrow installed, got {kind(value)}"
    )


def _is_function(value: Any) -> bool:
    return callable(value) and not hasattr(value, "__array__") and not any(hasattr(value, name) for name in READERS)


def column_names(value: Any) -> list[Any] | None:
    """The names of the columns of a frame, of pandas, polars or pyarrow; None if the value is no frame."""
    names = getattr(value, "column_names", getattr(value, "columns", None))
    if names is None or callable(names):
        frame = frame_of(value)
        return None if frame is None else column_names(frame)
    return list(names)


def check_different(argument: str, names: Iterable[Any]) -> None:
    """Raise a ValueError if two columns have the same name, as text."""
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            raise ValueError(f"{argument} must have columns of different names, got two that are named {name!r}")
        seen.add(name)


def feature_names(X: Any) -> tuple[str, ...] | None:
    """The names of the columns of a frame, as text; None if `X` is no frame."""
    if isinstance(X, np.ndarray) or (frame := frame_of(X)) is None:
        return None
    return tuple(map(str, column_names(frame) or ()))


def array_of(frame: Any, name: str = "X") -> NDArray[Any]:
    """The columns of a known frame as one array, in the dtype that holds the numbers of all columns.

    Raises
    ------
    TypeError
        If a column does not hold real numbers; the message has the column, the first wrong element, and what to do.
    """
    if is_of(frame, "pandas"):
        dtypes = list(frame.dtypes)
        if len(set(dtypes)) == 1 and isinstance(dtypes[0], np.dtype) and dtypes[0].kind in "biuf":
            return np.asarray(frame)
    columns = [_column(frame, j, name) for j in range(frame.shape[1])]
    if not columns:
        return np.empty(frame.shape)
    matrix = np.empty(frame.shape, np.result_type(*columns), order="F")
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return matrix


def _column(frame: Any, j: int, name: str) -> NDArray[Any]:
    series = _series(frame, j)
    column = real_numbers(np.asarray(series))
    if column.dtype.kind in "biuf":
        return column
    dtype = column.dtype if column.dtype.kind in "cmM" else np.dtype(object)
    strange = range(len(column)) if column.dtype.kind in "cmM" else (
        row for row, value in enumerate(column.tolist()) if not is_real(value)
    )  # fmt: skip
    row = next(iter(strange), 0)
    where = f"row {row}, {column_text(column_names(frame), j)}"
    raise TypeError(
        f"{name} must be an array of real numbers, got dtype {dtype}: {where} {what_is_wrong(_item(series, row), True)}"
    )


def _series(frame: Any, j: int) -> Any:
    if is_of(frame, "pandas"):
        return frame.iloc[:, j]
    return frame.to_series(j) if is_of(frame, "polars") else frame.column(j)


def _item(series: Any, row: int) -> Any:
    """An element of a column, as the frame has it. In a NumPy array of the column, a number may have replaced it."""
    value = series.iloc[row] if is_of(series, "pandas") else series[row]
    return value.as_py() if is_of(value, "pyarrow") else value


def sparse_parts(frame: Any) -> tuple[bool, tuple[int, int], NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """The parts of a CSC matrix from a pandas frame whose columns are all sparse with the fill value 0; else None."""
    if not is_of(frame, "pandas") or not frame.shape[1]:
        return None
    for dtype in frame.dtypes:
        fill = getattr(dtype, "fill_value", None)
        if kind(dtype) != "SparseDtype" or dtype.subtype.kind not in "biuf" or fill != 0:
            return None
    arrays = [frame.iloc[:, j].array for j in range(frame.shape[1])]
    data = [array.sp_values for array in arrays]
    starts = np.cumsum([0, *map(len, data)])
    rows = [np.asarray(array.sp_index.to_int_index().indices, np.int64) for array in arrays]
    values = np.concatenate([values.astype(np.result_type(*data), copy=False) for values in data])
    return True, frame.shape, values, np.concatenate(rows), starts.astype(np.int64)


def is_real(value: object) -> bool:
    """Whether an element of an array of dtype object is a real number."""
    if isinstance(value, REAL_OBJECTS):
        return True
    decimal = sys.modules.get("decimal")
    return decimal is not None and isinstance(value, decimal.Decimal)


def real_numbers(objects: NDArray[Any]) -> NDArray[Any]:
    """Converts an array of objects that are all real numbers to float64; returns any other array unchanged."""
    if objects.dtype == object and all(map(is_real, objects.flat)):
        return objects.astype(np.float64)
    return objects


def column_text(names: list[Any] | None, j: int) -> str:
    """A column as messages call it: by its name if that is text, else by its number."""
    name = None if names is None else names[j]
    return f"column {name!r}" if isinstance(name, str) else f"column {j}"


def what_is_wrong(value: Any, of_frame: bool = False) -> str:
    """Words about an element that is no real number: what it holds, and what to do."""
    does = " (gradstep.train does)" if of_frame else ""
    if isinstance(value, str | bytes):
        text = str(value) if len(value) <= MOST_LETTERS else f"{value[:MOST_LETTERS]!s}…"
        return f"holds text ({text!r}); encode it as numbers, or leave it out{does}"
    if value is None or kind(value) in ("NAType", "NaTType"):
        return f"has a missing value ({value}); fill it in, or leave its row out{does}"
    shown = str(value)
    if not of_frame or len(shown) > MOST_LETTERS or "\n" in shown:
        return f"holds a {kind(value)}"
    does = does if kind(value) in DATES else ""
    return f"holds a {kind(value)} ({shown}); make a number of it, or leave it out{does}"
