"""Rows that are read in batches, as often as they are needed, so that they need not fit into memory.

A source is a file of Parquet or several, a dataset of pyarrow, or a function that returns an iterator of batches. The
labels, sample weights and offsets of all rows are kept in memory; of the features, one batch is.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep._arrays import Array, features, real, shape_text
from gradstep._frames import feature_names
from gradstep._options import kind

BATCH_ROWS = 1 << 16
"""Rows that are read at once from a file."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows for native code.

    Attributes
    ----------
    read : callable
        ``read(first, count)`` returns so many rows, shape (count, n). They are asked for in ascending order, and from
        row 0 again for every pass.
    n_columns : int
        n.
    is_single : bool
        Whether the features are float32.
    y, sample_weight, offset : ndarray, shape (m,)
        The numbers of all rows; None where there are none.
    column_names : list of str
        The names of the columns; empty where they have none.
    """

    read: Callable[[int, int], Array]
    n_columns: int
    is_single: bool
    y: Array
    sample_weight: Array | None
    offset: Array | None
    column_names: list[str]


def is_source(X: Any) -> bool:
    """Whether the features are to be read from `X` in batches."""
    if isinstance(X, np.ndarray):
        return False
    if isinstance(X, (str, os.PathLike)) or callable(X):
        return True
    if isinstance(X, (list, tuple)):
        return bool(X) and all(isinstance(path, (str, os.PathLike)) for path in X)
    return _is_dataset(X)


def opened(X: Any, y: Any, sample_weight: Any, offset: Any) -> Source:
    """Read labels, sample weights and offsets from a source, and find how to read its features.

    Of files and datasets, `y`, `sample_weight` and `offset` are names of columns. Of a function, they are None: a batch
    is a tuple of features, labels and, if there are any, sample weights.
    """
    if callable(X):
        return _of_function(X, y, sample_weight, offset)
    return _of_tables(X, y, sample_weight, offset)


# --- functions that return batches -----------------------------------------------------------------------------------


def _of_function(X: Callable[[], Iterable[Any]], y: Any, sample_weight: Any, offset: Any) -> Source:
    for name, given in (("y", y), ("sample_weight", sample_weight), ("offset", offset)):
        if given is not None:
            raise TypeError(
                f"{name} must be None where X is a function: its batches are tuples (X, y) or (X, y, sample_weight), "
                f"got {kind(given)}"
            )
    labels: list[Array] = []
    weights: list[Array] = []
    columns, names, single = None, None, True
    for number, batch in enumerate(_iterated(X)):
        rows, of_rows = _parts(batch, number)
        columns = _same_columns(rows, columns, number)
        names = _same_names(batch[0], names, number)
        single &= rows.dtype == np.float32
        for what, numbers in zip(("labels", "sample weights"), of_rows, strict=False):
            if numbers.shape != (len(rows),):
                raise ValueError(
                    f"X must return batches with as many {what} as rows, got shapes {shape_text(rows.shape)} and "
                    f"{shape_text(numbers.shape)} in batch {number}"
                )
        labels.append(of_rows[0].copy())
        if len(of_rows) > 1:
            weights.append(of_rows[1].copy())
        if weights and len(weights) != len(labels):
            raise ValueError(
                f"X must return sample weights in every batch or in none, got them in {len(weights)} of {number + 1}"
            )
    if columns is None or not sum(map(len, labels)):
        raise ValueError("X must return at least one row, got none")

    def matrices() -> Iterator[Array]:
        for number, batch in enumerate(_iterated(X)):
            _same_names(batch[0], names, number)
            yield _parts(batch, number)[0]

    return Source(
        read=_Rows(matrices, columns, np.dtype(np.float32 if single else np.float64), sum(map(len, labels))),
        n_columns=columns,
        is_single=single,
        y=np.concatenate(labels),
        sample_weight=np.concatenate(weights) if weights else None,
        offset=None,
        column_names=list(names or []),
    )


def _iterated(X: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    batches = X()
    if not isinstance(batches, Iterable):
        raise TypeError(
            f"X must be a function that returns an iterator of batches, got one that returns {kind(batches)}"
        )
    return iter(batches)


def _parts(batch: Any, number: int) -> tuple[Array, list[Array]]:
    """The features of a batch, and its labels and sample weights."""
    if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 3:
        raise TypeError(f"X must return batches (X, y) or (X, y, sample_weight), got {kind(batch)} as batch {number}")
    rows = features(batch[0])
    if isinstance(rows, tuple) or rows.ndim != 2:
        got = "a sparse matrix" if isinstance(rows, tuple) else f"shape {shape_text(rows.shape)}"
        raise ValueError(f"X must return batches of dense rows, shape (rows, n), got {got} in batch {number}")
    return rows, [real("y", batch[1]), *(real("sample_weight", weights) for weights in batch[2:])]


def _same_columns(rows: Array, columns: int | None, number: int) -> int:
    got = int(rows.shape[1])
    if columns not in (None, got):
        raise ValueError(f"X must return batches of {columns} columns, as the first, got {got} in batch {number}")
    return got


def _same_names(rows: Any, names: tuple[str, ...] | None, number: int) -> tuple[str, ...] | None:
    """The names of a frame's columns, which must be those of the first batch."""
    got = feature_names(rows)
    if number and got != names:
        raise ValueError(f"X must return frames with the columns of the first, got {got} in batch {number}")
    return got


# --- tables ----------------------------------------------------------------------------------------------------------


def _is_dataset(X: Any) -> bool:
    """Whether `X` is a dataset of pyarrow, without importing it."""
    return any(base.__module__ == "pyarrow._dataset" and base.__name__ == "Dataset" for base in type(X).__mro__)


def _of_tables(X: Any, y: Any, sample_weight: Any, offset: Any) -> Source:
    table = X if _is_dataset(X) else _files(X)
    schema = table.schema
    own = {"y": y, "sample_weight": sample_weight, "offset": offset}
    for name, column in own.items():
        if column is None and name != "y":
            continue
        if not isinstance(column, str):
            raise TypeError(f"{name} must be the name of a column where X is read from a file, got {kind(column)}")
        if column not in schema.names:
            raise ValueError(f"{name} must be one of the columns {', '.join(schema.names)}, got {column!r}")
    chosen = {name: column for name, column in own.items() if column is not None}
    index = (schema.pandas_metadata or {}).get("index_columns", [])  # of a frame of pandas, no column
    names = [name for name in schema.names if name not in chosen.values() and name not in index]
    if not names:
        raise ValueError(f"X must have columns beside {', '.join(chosen.values())}, got none")
    for argument, column in [*(("X", name) for name in names), *chosen.items()]:
        _check_number(argument, schema.field(column))
    single = all(str(schema.field(name).type) == "float" for name in names)
    dtype = np.dtype(np.float32 if single else np.float64)
    given: dict[str, list[Array]] = {name: [] for name in chosen}
    for first, batch in _batches(table, list(chosen.values())):
        for name, column in chosen.items():
            given[name].append(_numbers(name, first, batch, column, np.dtype(np.float64)).copy())
    rows = {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in given.items()}
    if not len(rows["y"]):
        raise ValueError("X must have at least one row, got none")

    def matrices() -> Iterator[Array]:
        for first, batch in _batches(table, names):
            matrix = np.empty((batch.num_rows, len(names)), dtype)
            for j, name in enumerate(names):
                matrix[:, j] = _numbers("X", first, batch, name, dtype)
            yield matrix

    return Source(
        read=_Rows(matrices, len(names), dtype, len(rows["y"])),
        n_columns=len(names),
        is_single=single,
        y=rows["y"],
        sample_weight=rows.get("sample_weight"),
        offset=rows.get("offset"),
        column_names=names,
    )


def _files(X: Any) -> Any:
    """The dataset of the files of Parquet that a path, a pattern or a list of paths names."""
    try:
        from pyarrow import ArrowInvalid, dataset
    except ImportError:
        raise ImportError("X is a file: reading it needs pyarrow, pip install 'gradstep[parquet]'") from None
    paths = [os.fspath(path) for path in (X if isinstance(X, (list, tuple)) else [X])]
    found = [
        file
        for path in paths
        for file in (sorted(glob.glob(path)) if glob.has_magic(path) and not os.path.exists(path) else [path])
    ]
    missing = [path for path in found if not os.path.exists(path)]
    if missing or not found:
        raise FileNotFoundError(f"X names a file that does not exist: {(missing or paths)[0]!r}")
    try:
        table = dataset.dataset(found if len(found) > 1 else found[0], format="parquet")
        _check_files(table)
    except ArrowInvalid as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"X must name files of Parquet, got {paths[0]!r}: {why}; of CSV, see gradstep.train") from None
    return table


def _check_files(table: Any) -> None:
    """Raise unless all files have the same columns, of the same types."""
    for fragment in table.get_fragments():
        for field in table.schema:
            place = fragment.physical_schema.get_field_index(field.name)
            type = fragment.physical_schema.field(place).type if place >= 0 else "none"
            if type != field.type and field.name not in _partitions(table, fragment):
                raise ValueError(
                    f"X must have files of the same columns and types, got column {field.name!r} as {type} in "
                    f"{fragment.path} and as {field.type} in the first"
                )
        if more := set(fragment.physical_schema.names) - set(table.schema.names):
            raise ValueError(
                f"X must have files of the same columns and types, got column {min(more)!r} in {fragment.path} and not "
                "in the first"
            )


def _partitions(table: Any, fragment: Any) -> Any:
    """The columns of the table that a file has in its path and not in itself."""
    from pyarrow import dataset

    return dataset.get_partition_keys(fragment.partition_expression)


def _check_number(argument: str, field: Any) -> None:
    from pyarrow import types

    is_number = types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type)
    if not is_number:
        raise TypeError(
            f"{argument} must have numbers, got column {field.name!r} of type {field.type}: encode it"
            + ("" if argument != "X" else ", or leave it out of the file")
        )


def _batches(table: Any, columns: list[str]) -> Iterator[tuple[int, Any]]:
    """Batches of these columns in the order of the rows, each with the number of its first row.

    Little is read ahead, and of a file of Parquet no more than 1 MiB at once, so that memory stays small.
    """
    from pyarrow.dataset import ParquetFileFormat, ParquetFragmentScanOptions

    options = {"batch_size": BATCH_ROWS, "batch_readahead": 1, "fragment_readahead": 1}
    if isinstance(getattr(table, "format", None), ParquetFileFormat):
        options["fragment_scan_options"] = ParquetFragmentScanOptions(
            use_buffered_stream=True, buffer_size=1 << 20, pre_buffer=False
        )
    first = 0
    for batch in table.to_batches(columns=columns, **options):
        yield first, batch
        first += batch.num_rows


def _numbers(argument: str, first: int, batch: Any, name: str, dtype: np.dtype[Any]) -> Array:
    column = batch.column(batch.schema.get_field_index(name))
    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(
            f"{argument} must have no missing values, got one in column {name!r}, row {row}: fill them, or leave these "
            "rows out"
        )
    numbers: Array = column.to_numpy(zero_copy_only=False)
    return numbers.astype(dtype, copy=False)


# --- any batches, cut anew --------------------------------------------------------------------------------------------


class _Rows:
    """Rows by their numbers, ascending, from batches of any size."""

    def __init__(self, batches: Callable[[], Iterator[Array]], columns: int, dtype: np.dtype[Any], count: int) -> None:
        self._batches = batches
        self._columns = columns
        self._dtype = dtype
        self._count = count
        self._begin()

    def _begin(self) -> None:
        self._iterator = self._batches()
        self._next = 0
        self._rest = np.empty((0, self._columns), self._dtype)

    def __call__(self, first: int, count: int) -> Array:
        if first < self._next:
            self._begin()
        out = np.empty((count, self._columns), self._dtype)
        while self._next < first + count:
            if not len(self._rest):
                self._rest = self._following()
            skipped = min(max(first - self._next, 0), len(self._rest))
            self._next, self._rest = self._next + skipped, self._rest[skipped:]
            taken = self._rest[: first + count - self._next]
            out[self._next - first :][: len(taken)] = taken
            self._next, self._rest = self._next + len(taken), self._rest[len(taken) :]
        if self._next == self._count and (len(self._rest) or any(len(batch) for batch in self._iterator)):
            raise ValueError(f"X must have {self._count} rows whenever it is read, as the first time, got more")
        return out

    def _following(self) -> Array:
        for batch in self._iterator:
            if batch.shape[1] != self._columns:
                raise ValueError(
                    f"X must have {self._columns} columns whenever it is read, as the first time, got {batch.shape[1]}"
                )
            if len(batch):
                return batch
        raise ValueError(
            f"X must have {self._count} rows whenever it is read, as the first time, got {self._next}: a function must "
            "return a new iterator each time"
        )
