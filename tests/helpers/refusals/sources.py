"""What `fit` refuses of rows that are read in batches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import gradstep
from gradstep import _native
from gradstep._distant import Distant
from helpers.refusals.rows import refuse

try:
    import pyarrow.parquet

    HAS_PYARROW = bool(pyarrow.parquet)
except ImportError:  # not installed, or it needs a newer NumPy
    HAS_PYARROW = False

ROWS_OF_TWO = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
LABELS = np.array([0.0, 1.0, 1.0])
DISTANT = Distant(lambda request: [], ROWS_OF_TWO.shape, False, LABELS, None, None, [])


def _function(*batches: Any) -> Callable[[], Any]:
    return lambda: gradstep.fit(lambda: iter(batches), None, l2=0.1)


def _recorded(path: Any, change: str = "") -> Callable[[], Any]:
    """A fit with a checkpoint file of another fit, or with a file that is no checkpoint."""

    def call() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows"
            if path == "text":
                file.write_text("no checkpoint")
            if change:
                stop = {"callback": lambda _: 1 / 0, "checkpoint": file}
                with suppress(ZeroDivisionError):
                    gradstep.fit(lambda: iter([(ROWS_OF_TWO, LABELS)]), None, l2=0.1, **stop)  # type: ignore[arg-type]
            y = 1 - LABELS if change == "labels" else LABELS
            l2, at = 0.2 if change == "number" else 0.1, file if isinstance(path, str) else path
            return gradstep.fit(lambda: iter([(ROWS_OF_TWO, y)]), None, l2=l2, checkpoint=at)

    return call


def _once() -> Any:
    batches = iter([(ROWS_OF_TWO, LABELS)])
    return gradstep.fit(lambda: batches, None, l2=0.1)


def _growing() -> Any:
    times: list[int] = []

    def batches() -> Any:
        times.append(1)
        return iter([(ROWS_OF_TWO, LABELS)] * (1 + (len(times) > 1)))

    return gradstep.fit(batches, None, l2=0.1)


def _changing(first: Any, then: Any) -> Callable[[], Any]:
    """A function that returns one batch: `first` at the first call, `then` at later calls."""

    def call() -> Any:
        times: list[int] = []

        def batches() -> Any:
            times.append(1)
            return iter([first if len(times) == 1 else then])

        return gradstep.fit(batches, None, l2=0.1)

    return call


def _files_of_numpy(*arrays: Any, y: Any = LABELS) -> Callable[[], Any]:
    def call() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{place}.npy" for place in range(len(arrays))]
            for path, array in zip(paths, arrays, strict=True):
                np.save(path, array)
            return gradstep.fit(paths, y, l2=0.1)

    return call


def _touched() -> Any:
    """A fit of a file that changes during the fit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, ROWS_OF_TWO)
        return gradstep.fit([path], LABELS, l2=0.1, callback=lambda _: os.utime(path, (1, 1)))


class LazyFrame:
    """A lazy frame of a polars that cannot collect batches."""


LazyFrame.__module__ = "polars.lazyframe.frame"


def _full_disk() -> Any:
    """A cache on a disk that has no room."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("shutil.disk_usage", return_value=mock.Mock(free=10)):
        return gradstep.fit(lambda: iter([(ROWS_OF_TWO, LABELS)]), None, l2=0.1, cache=folder)


def _with_cache(cache: Any, X: Any = lambda: iter([(ROWS_OF_TWO, LABELS)]), y: Any = None) -> Callable[[], Any]:
    return lambda: gradstep.fit(X, y, l2=0.1, cache=cache)


def _renamed() -> Any:
    frames = [pd.DataFrame(ROWS_OF_TWO, columns=names) for names in (["a", "b"], ["b", "a"])]
    return gradstep.fit(lambda: ((frame, LABELS) for frame in frames), None, l2=0.1)


def _files(first: dict[str, Any], second: dict[str, Any]) -> Callable[[], Any]:
    def call() -> Any:
        import pyarrow
        from pyarrow import parquet

        with tempfile.TemporaryDirectory() as folder:
            for name, columns in (("1", first), ("2", second)):
                parquet.write_table(pyarrow.table(columns), Path(folder) / f"{name}.parquet")
            return gradstep.fit(f"{folder}/*.parquet", "y", l2=0.1)

    return call


def _text() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rows.csv").write_text("x,y\n1,0\n")
        return gradstep.fit(f"{folder}/rows.csv", "y")


def _file(label: Any = "y", **columns: Any) -> Callable[[], Any]:
    def call() -> Any:
        import pyarrow
        from pyarrow import parquet

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            parquet.write_table(pyarrow.table(columns), path)
            return gradstep.fit(path, label, l2=0.1)

    return call


def _once_of_arrow() -> Any:
    import pyarrow

    return gradstep.fit(pyarrow.table({"x": [1.0], "y": [0]}).to_reader(), "y")


def _arrow_that_changes(then: dict[str, Any]) -> Callable[[], Any]:
    """A function whose table changes at the third call, after calls for the schema and for the labels."""
    first = {"x": [1.0, 2.0], "y": [0, 1]}

    def call() -> Any:
        import pyarrow

        times: list[int] = []

        def table() -> Any:
            times.append(1)
            return pyarrow.table(first if len(times) < 3 else then)

        return gradstep.fit(table, "y", l2=0.1)  # type: ignore[arg-type]

    return call


def _twice_the_same_name() -> Any:
    import pyarrow

    return gradstep.fit(pyarrow.Table.from_arrays([[1.0], [2.0], [0]], names=["x", "x", "y"]), "y")


for call, kind, argument, facts in [
    (lambda: gradstep.fit(lambda: 5, None), TypeError, "X", "got one that returns int$"),  # type: ignore[arg-type]
    (_function(ROWS_OF_TWO), TypeError, "X", "batches .* as batch 0"),
    (_function((ROWS_OF_TWO, LABELS), (ROWS_OF_TWO[:, :1], LABELS)), ValueError, "X", "2 columns.* got 1 in batch 1"),
    (_function((ROWS_OF_TWO, LABELS[:2])), ValueError, "X", "as many labels as rows"),
    (_function((ROWS_OF_TWO[0], LABELS)), ValueError, "X", r"shape \(2,\) in batch 0"),
    (_function((ROWS_OF_TWO, LABELS, LABELS), (ROWS_OF_TWO, LABELS)), ValueError, "X", "got them in 1 of 2$"),
    (_function(), ValueError, "X", "at least one row"),
    (_once, ValueError, "X", "3 rows whenever .* new iterator each time"),
    (_growing, ValueError, "X", "3 rows whenever .* got more"),
    (_renamed, ValueError, "X", r"columns of the first, got \('b', 'a'\) in batch 1"),
    (_changing((ROWS_OF_TWO, LABELS), (ROWS_OF_TWO[:, :1], LABELS)), ValueError, "X", "2 columns and .* got 1 of"),
    (
        _changing((ROWS_OF_TWO.astype(np.float32), LABELS), (ROWS_OF_TWO, LABELS)),
        ValueError,
        "X",
        "of float32 and .* of float64 and 0 in batch 0, from row 0 on",
    ),
    (_changing((ROWS_OF_TWO, LABELS, LABELS), (ROWS_OF_TWO, LABELS)), ValueError, "X", "1 of sample weights .* and 0"),
    (
        _changing((ROWS_OF_TWO, LABELS), (ROWS_OF_TWO, 1 - LABELS)),
        ValueError,
        "X",
        r"same labels .* got 1 in row 0 \(batch 0\), and 0 the first time",
    ),
    (
        _changing((ROWS_OF_TWO, LABELS), (np.add(ROWS_OF_TWO, [0.0, 0.5]), LABELS)),
        ValueError,
        "X",
        "same features .* got 1.5 in row 0, column 1, and 1 the first time$",
    ),
    (
        _changing((ROWS_OF_TWO, LABELS, [1, 2, 3]), (ROWS_OF_TWO, LABELS, [1, 2, 4])),
        ValueError,
        "X",
        r"same sample weights .* got 4 in row 2",
    ),
    (
        _function((ROWS_OF_TWO, LABELS), ([[1.0, 2.0], [3.0]], [0, 1])),
        ValueError,
        "X",
        r"\(in batch 1, from row 3 on\)$",
    ),
    (_function((ROWS_OF_TWO, LABELS), ([["a", "b"]], [0])), TypeError, "X", r"text .*\(in batch 1, from row 3 on\)$"),
    (_function((ROWS_OF_TWO, LABELS), (ROWS_OF_TWO, [0, None, 1])), TypeError, "y", r"missing .*\(in batch 1, from"),
    (_function((ROWS_OF_TWO, LABELS), (ROWS_OF_TWO, [0, np.nan, 1])), ValueError, "y", "got nan at row 4$"),
    (lambda: gradstep.fit(iter([(ROWS_OF_TWO, LABELS)]), None), TypeError, "X", "again, got list_iterator"),
    (
        _function((ROWS_OF_TWO, LABELS), (np.full((3, 2), np.nan), LABELS)),
        ValueError,
        "X",
        "finite, got nan at row 3, column 0",
    ),
    (_files_of_numpy(ROWS_OF_TWO, ROWS_OF_TWO[:, :1]), ValueError, "X", "2 columns, .* got 1 in '.*1.npy'"),
    (_files_of_numpy(ROWS_OF_TWO[0]), ValueError, "X", r"shape \(2,\) in '.*0.npy'"),
    (_files_of_numpy(np.array([["a"]])), ValueError, "X", "dtype <U1"),
    (_files_of_numpy(np.array([[None]], object)), ValueError, "X", "numbers, got '.*0.npy'"),
    (_files_of_numpy(ROWS_OF_TWO[:0]), ValueError, "X", "at least one row"),
    (_files_of_numpy(ROWS_OF_TWO, ROWS_OF_TWO), ValueError, "y", r"shape \(6,\), .* got \(3,\)"),
    (_files_of_numpy(ROWS_OF_TWO, y="label"), TypeError, "y", "got str"),
    (_touched, ValueError, "X", "size or time of '.*rows.npy'"),
    (_with_cache(5), TypeError, "cache", "got int"),
    (_with_cache("no folder"), ValueError, "cache", "got 'no folder'"),
    (_with_cache(".", ROWS_OF_TWO, LABELS), ValueError, "cache", "in memory, got"),
    (_with_cache(".", DISTANT), ValueError, "cache", "None where the rows stay on other machines, got"),
    (_full_disk, ValueError, "cache", "4.8e-08 GB, got .* with 1e-08 GB"),
    (lambda: gradstep.fit(lambda: iter([]), LABELS), TypeError, "y", "None where X is a function"),
    (lambda: gradstep.fit(ROWS_OF_TWO, LABELS, checkpoint="x"), ValueError, "checkpoint", "None where X is in memory"),
    (_recorded(5), TypeError, "checkpoint", "path of a file, got int$"),
    (_recorded("text"), ValueError, "checkpoint", "new file, .* got '.*', which is neither$"),
    (_recorded("words", "number"), ValueError, "checkpoint", "got one with l2=0.1 instead of 0.2: '"),
    (_recorded("words", "labels"), ValueError, "checkpoint", "got one with another y: '"),
    (lambda: _native.answer(b"no", 0, ROWS_OF_TWO, LABELS, [None] * 2, False, 1), ValueError, "X", "one version"),
]:
    refuse("fit", kind, argument, facts, call)
FUNCTION: Any = lambda: iter([(ROWS_OF_TWO, LABELS)])  # noqa: E731
for name, call, kind, argument, facts in [
    (
        "Trainer.fit",
        lambda: gradstep.Trainer(0.1, 1, batch_size=1, shuffle=True).fit(FUNCTION, None),
        ValueError,
        "shuffle",
        "False where X is read in batches: .* random order once, got True$",
    ),
    (
        "Trainer.fit",
        lambda: gradstep.Trainer(0.1, 1).fit(ROWS_OF_TWO, LABELS, cache="."),
        ValueError,
        "cache",
        "in memory, got",
    ),
    ("path", lambda: gradstep.path(ROWS_OF_TWO, LABELS, cache="."), ValueError, "cache", "in memory, got"),
    (
        "LogisticRegression.partial_fit",
        lambda: gradstep.LogisticRegression(l2=0.1).partial_fit(FUNCTION, None, classes=[0, 1]),
        ValueError,
        "X",
        "in memory for partial_fit, got function",
    ),
    (
        "LogisticRegression.fit",
        lambda: gradstep.LogisticRegression(early_stopping=True).fit(FUNCTION, None),
        ValueError,
        "early_stopping",
        "False where X is read in batches, got True",
    ),
]:
    refuse(name, kind, argument, facts, call)
if HAS_PYARROW:
    for call, kind, argument, facts in [
        (_file(5, x=[1.0], y=[0]), TypeError, "y", "name of a column"),
        (_file("z", x=[1.0], y=[0]), ValueError, "y", "columns x, y, got 'z'"),
        (_file(y=[0, 1]), ValueError, "X", "columns beside y"),
        (_file(x=["a", "b"], y=[0, 1]), TypeError, "X", "'x' of type string"),
        (_file(x=[1.0, None], y=[0, 1]), ValueError, "X", "one in column 'x', row 1: fill"),
        (_file(x=np.empty(0), y=np.empty(0)), ValueError, "X", "at least one row"),
        (_file(x=[1.0, 2.0], y=["a", "b"]), TypeError, "y", "'y' of type string: encode it$"),
        (_file(x=[1.0, 2.0], y=[0, None]), ValueError, "y", "one in column 'y', row 1"),
        (
            _files({"x": [1.0], "y": [0]}, {"x": [1], "y": [1]}),
            ValueError,
            "X",
            "'x' as int64 in .*2.parquet and as double",
        ),
        (_files({"x": [1.0], "y": [0]}, {"y": [1]}), ValueError, "X", "'x' as none in .*2.parquet"),
        (
            _files({"y": [0], "x": [1.0]}, {"x": [1.0], "y": [1], "z": [1]}),
            ValueError,
            "X",
            "'z' in .*2.parquet and not",
        ),
        (_text, ValueError, "X", "rows.csv'.*gradstep.train"),
        (_once_of_arrow, TypeError, "X", "got RecordBatchReader, .* a new one each time"),
        (lambda: gradstep.fit(lambda: 5, "y"), TypeError, "X", "a lazy frame .* got one that returns int$"),  # type: ignore[arg-type]
        (lambda: gradstep.fit(LazyFrame(), "y"), TypeError, "X", "older polars: .*sink_parquet"),  # type: ignore[arg-type]
        (
            _arrow_that_changes({"x": [1, 2], "y": [0, 1]}),
            TypeError,
            "X",
            "'x' as int64",
        ),
        (
            _arrow_that_changes({"z": [1.0, 2.0], "y": [0, 1]}),
            TypeError,
            "X",
            "'x' as none",
        ),
        (
            _arrow_that_changes({"x": [1.0, 2.0], "y": [1, 1]}),
            ValueError,
            "X",
            "same labels .* got 1 in row 0",
        ),
        (_twice_the_same_name, ValueError, "X", "of its own, got 'x' twice"),
    ]:
        refuse("fit", kind, argument, facts, call)
