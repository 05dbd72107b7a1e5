"""What `fit` refuses of rows that are read in batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gradstep
from helpers.refusals.rows import refuse

try:
    import pyarrow.parquet

    HAS_PYARROW = bool(pyarrow.parquet)
except ImportError:  # also of one that needs a newer NumPy
    HAS_PYARROW = False

ROWS_OF_TWO = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
LABELS = np.array([0.0, 1.0, 1.0])


def _function(*batches: Any) -> Callable[[], Any]:
    return lambda: gradstep.fit(lambda: iter(batches), None, l2=0.1)


def _once() -> Any:
    batches = iter([(ROWS_OF_TWO, LABELS)])
    return gradstep.fit(lambda: batches, None, l2=0.1)


def _growing() -> Any:
    times: list[int] = []

    def batches() -> Any:
        times.append(1)
        return iter([(ROWS_OF_TWO, LABELS)] * (1 + (len(times) > 1)))

    return gradstep.fit(batches, None, l2=0.1)


def _narrowing() -> Any:
    times: list[int] = []

    def batches() -> Any:
        times.append(1)
        return iter([(ROWS_OF_TWO if len(times) == 1 else ROWS_OF_TWO[:, :1], LABELS)])

    return gradstep.fit(batches, None, l2=0.1)


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
    (_narrowing, ValueError, "X", "2 columns whenever .* got 1"),
    (lambda: gradstep.fit(lambda: iter([]), LABELS), TypeError, "y", "None where X is a function"),
]:
    refuse("fit", kind, argument, facts, call)
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
    ]:
        refuse("fit", kind, argument, facts, call)
