"""Tables in the format of Arrow: Parquet files, datasets of pyarrow, Arrow streams, lazy frames of polars.

A table can be read again and again, in batches. All batches have the columns and types of the table's schema.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gradstep._frames import is_of
from gradstep._options import kind

BATCH_ROWS = 1 << 16
"""The number of rows of labels that are read at once."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read in batches."""

    schema: Any
    """The schema of pyarrow."""
    batches: Callable[[list[str], int], Iterator[Any]]
    """``batches(columns, rows)`` returns a new iterator of batches. Each batch has at least these columns, and about
    `rows` rows."""
    files: list[str] | None = None
    """The files that the table is read from; None if some rows may come from elsewhere, or if the files are unknown."""


def is_dataset(X: Any) -> bool:
    """Whether `X` is a dataset of pyarrow. This does not import pyarrow."""
    return any(base.__module__ == "pyarrow._dataset" and base.__name__ == "Dataset" for base in type(X).__mro__)


def is_lazy(X: Any) -> bool:
    """Whether `X` is a lazy frame of polars. This does not import polars."""
    return is_of(X, "polars") and kind(X) == "LazyFrame"


def is_stream(X: Any) -> bool:
    """Whether `X` can hand over its columns as an Arrow stream."""
    return hasattr(X, "__arrow_c_stream__")


# --- what a table is made of -----------------------------------------------------------------------------------------


def table_of(X: Any) -> Table:
    """The table of a path, pattern or list of paths, of a dataset, a stream or a lazy frame, or of a function.

    Raises
    ------
    TypeError, ValueError
        If `X` is none of these, or can be read only once.
    """
    with _needed():
        import pyarrow
    if callable(X):
        return Table(_of_call(X).schema, lambda columns, rows: _of_call(X).batches(columns, rows))
    if is_dataset(X):
        return _of_dataset(X)
    if is_lazy(X):
        return _of_lazy(X)
    if isinstance(X, pyarrow.RecordBatchReader):
        raise TypeError(
            "X must be what can be read again, got RecordBatchReader, whose rows come once: give the table, dataset or "
            "file that it reads, or a function that returns a new one each time"
        )
    if is_stream(X):
        return _of_stream(X)
    return _of_files(X)


def _of_call(X: Callable[[], Any]) -> Table:
    """The table that a function returns."""
    found = X()
    if is_lazy(found):
        return _of_lazy(found)
    if is_stream(found):
        return _of_stream(found)
    raise TypeError(
        "X must be a function that returns a stream of Arrow's or a lazy frame where y is the name of a column, got "
        f"one that returns {kind(found)}"
    )


def _of_stream(X: Any) -> Table:
    from pyarrow import RecordBatchReader

    reader = [RecordBatchReader.from_stream(X)]

    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        with reader.pop() if reader else RecordBatchReader.from_stream(X) as opened:
            yield from opened

    return Table(reader[0].schema, batches)


def _of_lazy(X: Any) -> Table:
    if not hasattr(X, "collect_batches"):
        raise TypeError(
            "X must be a lazy frame of a polars with LazyFrame.collect_batches, got one of an older polars: write it "
            "to a file with .sink_parquet(path), and give that"
        )
    import polars

    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        frames = X.select(columns).collect_batches(chunk_size=rows, maintain_order=True)
        for frame in frames:
            yield from frame.to_arrow().to_batches()

    return Table(polars.DataFrame(schema=X.collect_schema()).to_arrow().schema, batches)


def _of_dataset(X: Any) -> Table:
    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        return iter(X.to_batches(columns=columns, batch_size=rows, batch_readahead=1, fragment_readahead=1))

    return Table(X.schema, batches)


def _of_files(X: Any) -> Table:
    """The table of the Parquet files that a path, a pattern or a list of paths names."""
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile, read_schema  # pyarrow.dataset takes a second to be imported

    paths = [os.fspath(path) for path in (X if isinstance(X, (list, tuple)) else [X])]
    files = [file for path in paths for file in _files_of(path)]
    missing = [file for file in files if not os.path.exists(file)]
    if missing or not files:
        raise FileNotFoundError(f"X names a file that does not exist: {(missing or paths)[0]!r}")
    try:
        schema = read_schema(files[0])
        for file in files:
            _check_file(file, read_schema(file), schema)
    except ArrowInvalid as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"X must name files of Parquet, got {paths[0]!r}: {why}; of CSV, see gradstep.train") from None

    def batches(columns: list[str], rows: int) -> Iterator[Any]:
        for file in files:
            # To save memory, 256 KiB of each column are read at a time, and a batch is decoded only when it is needed.
            with ParquetFile(file, buffer_size=1 << 18, pre_buffer=False) as opened:
                yield from opened.iter_batches(rows, columns=columns, use_threads=True)

    return Table(schema, batches, files)


def _files_of(path: str) -> list[str]:
    """The files that a path, a pattern or a folder names, sorted; for a folder, all below it that are not hidden."""
    if os.path.isdir(path):
        below = sorted(glob.glob(os.path.join(glob.escape(path), "**"), recursive=True))
        parts = [os.path.relpath(file, path).split(os.sep) for file in below]
        hidden = [any(part.startswith((".", "_")) for part in names) for names in parts]
        return [file for file, is_hidden in zip(below, hidden, strict=True) if os.path.isfile(file) and not is_hidden]
    return sorted(glob.glob(path)) if glob.has_magic(path) and not os.path.exists(path) else [path]


def _check_file(file: str, own: Any, schema: Any) -> None:
    """Raise a ValueError unless `own`, the schema of a file, has all columns of the first file's schema, `schema`."""
    for field in schema:
        place = own.get_field_index(field.name)
        type = own.field(place).type if place >= 0 else "none"
        if type != field.type:
            raise ValueError(
                f"X must have files of the same columns and types, got column {field.name!r} as {type} in {file} and "
                f"as {field.type} in the first"
            )
    if more := set(own.names) - set(schema.names):
        raise ValueError(
            f"X must have files of the same columns and types, got column {min(more)!r} in {file} and not in the first"
        )


def _needed() -> Any:
    from gradstep._extras import extra

    return extra("parquet", "X is read with pyarrow", "pyarrow")
