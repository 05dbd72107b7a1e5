"""Rows of Spark as records: the work of Spark's Python workers, which get the rows in batches of Arrow.

A record is consecutive rows as bytes, of some MB. Spark keeps records, so that a pass need not make them again. Workers
keep their features in files, too, so that a pass need not even bring them from Spark to the worker.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradstep._arrays import Array
from gradstep._partitions import UNIT, Rows, answer, checked, labelled, runs

PARTITION, FILE, ROW = (f"gradstep: {what}" for what in ("partition", "file", "row"))
"""The columns that are added to those of the caller: the number of the partition; the file, and the row in it."""
RECORD_BYTES = 16 << 20
MOST_TURNS = 100
"""If the rows of about one record change to another file, or go back within a file, about this often, they count as
unordered."""
STORED = "partition int, number long, digest long, X binary, of_rows binary, problem string"
"""The columns of a record that a pass needs. `number` counts the records of a partition. Records of partition -1 have
been cut from other records: `number` is that of their first row. A record that cannot be made has a problem and nothing
else."""
RECORD = f"{STORED}, rows long, dtype string, file string, first long, last long"
ANSWER = "first long, rows long, answer binary, problem string, missing int"
"""The answer of a run of rows; or a problem; or `missing`: the number of a partition that lacks a file on this
machine."""


@dataclass(frozen=True, slots=True)
class Files:
    """Files with the features of records, on the machine of a worker, in a folder that Spark removes when it ends.

    A file is missing if it could not be written, or if the worker is not on the machine that the file was written on.

    Attributes
    ----------
    name : str
        The beginning of the names of the files of a fit.
    """

    name: str

    def path(self, row: Mapping[str, Any]) -> str:
        """The file of a record. With other rows, the record has another digest, and its file another name."""
        folder = os.environ.get("SPARK_LOCAL_DIRS", "").partition(",")[0] or tempfile.gettempdir()
        return os.path.join(folder, f"{self.name}-{row['partition']}-{row['number']}-{row['digest']}")

    def write(self, row: Mapping[str, Any], X: Any) -> None:
        """Write the bytes of a record, if there is room. Until it is whole, the file has another name."""
        path = self.path(row)
        begun = f"{path}.{os.getpid()}"
        try:
            with open(begun, "wb") as file:
                file.write(X)
            os.replace(begun, path)
        except OSError:
            with suppress(OSError):
                os.remove(begun)

    def missing(self, batches: Iterable[pa.RecordBatch]) -> int | None:
        """The number of the partition if one of its records comes without features and has no file; else None."""
        for batch in batches:
            facts = batch.select(["partition", "number", "digest"]).to_pylist()
            for row, X in zip(facts, batch.column("X"), strict=True):
                if not X.is_valid and not os.path.exists(self.path(row)):
                    return int(row["partition"])
        return None

    def remove(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Remove the files of records; nothing is returned."""
        for batch in batches:
            for row in batch.to_pylist():
                with suppress(OSError):
                    os.remove(self.path(row))
        yield from ()


@dataclass(frozen=True, slots=True)
class Packing:
    """Makes records of the rows of a partition.

    Attributes
    ----------
    version, names, wants_numbers
        As for `_partitions.checked`.
    of_rows : tuple of (str or None)
        The columns of the labels, sample weights and offsets.
    keys : list of str
        The columns that the rows are sorted by.
    is_of_files : bool
        Whether the rows have the columns `FILE` and `ROW`, and their order follows from them.
    files : Files
        Where features are written to.
    """

    version: str
    names: list[str]
    wants_numbers: bool
    of_rows: tuple[str | None, ...]
    keys: list[str]
    is_of_files: bool
    files: Files

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The records of a partition; the last one has the problem if the rows cannot be fitted."""
        partition = number = first = 0
        last: pa.Table | None = None
        try:
            for table in self._tables(batches):
                partition = table[PARTITION][0].as_py()
                self._check_keys(table, last, partition, first)
                given = self.version, partition, self.names, self.wants_numbers, table, *self.of_rows
                rows = checked(*given, first=first)
                facts = {"rows": len(rows), "dtype": str(rows.X.dtype)}
                if self.is_of_files:
                    facts |= {
                        "file": table[FILE][0].as_py(),
                        "first": table[ROW][0].as_py(),
                        "last": table[ROW][-1].as_py(),
                    }
                record = _stored(partition, number, rows)
                self.files.write(record, record["X"])
                yield _batch(RECORD, **record, **facts)
                number, first, last = number + 1, first + len(rows), table.slice(len(rows) - 1)
        except (TypeError, ValueError, RuntimeError) as error:
            yield _batch(RECORD, partition=partition, number=number, problem=described(error))

    def _tables(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        """The rows of a partition in tables of about `RECORD_BYTES`. If `is_of_files`, they are cut further: each
        then has consecutive rows of one file."""
        most = max(1, RECORD_BYTES // (8 * len(self.names)))
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting += [batch] if len(batch) else []
            if sum(map(len, waiting)) >= most:
                yield from self._cut(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            yield from self._cut(pa.Table.from_batches(waiting))

    def _cut(self, table: pa.Table) -> Iterator[pa.Table]:
        if not self.is_of_files:
            yield table
            return
        file, row = table[FILE].combine_chunks(), table[ROW].to_numpy()
        turns = np.asarray(pc.not_equal(file[1:], file[:-1])) | (row[1:] <= row[:-1])
        starts = [0, *(np.flatnonzero(turns) + 1).tolist(), len(table)]
        if len(starts) > MOST_TURNS:
            raise ValueError(not_in_files(file[0].as_py()))
        for start, stop in pairwise(starts):
            yield table.slice(start, stop - start)

    def _check_keys(self, table: pa.Table, last: pa.Table | None, partition: int, first: int) -> None:
        if not self.keys:
            return
        text = ", ".join(self.keys)
        columns = pa.concat_tables([last, table] if last else [table]).select(self.keys).combine_chunks()
        where = f"in partition {partition} of the sorted rows"
        for name in self.keys:
            if pc.any(pc.is_null(columns[name], nan_is_null=True)).as_py():
                raise ValueError(f"order must have no missing values, got one in column {name!r} ({where})")
        same = np.ones(max(len(columns) - 1, 0), bool)
        for column in columns.columns:
            same &= np.asarray(pc.equal(column[1:], column[:-1]))
        if same.any():
            row = columns.slice(int(np.argmax(same)), 1).to_pylist()[0]
            got = ", ".join(map(str, row.values()))
            raise ValueError(
                f"order must differ from row to row, got {text} = {got} in several rows ({where}): add a column"
            )


def described(error: Exception) -> str:
    """An error as text, from which `raised` makes it again."""
    return f"{type(error).__name__}: {error}"


def raised(problem: str) -> Exception:
    kind, _, message = problem.partition(": ")
    return {"TypeError": TypeError, "ValueError": ValueError}.get(kind, RuntimeError)(message)


def not_in_files(file: str) -> str:
    return (
        f"order must be that of columns, got gradstep.spark.FILES for rows that do not come in the order of {file}, as "
        "after repartition(): name columns that tell the order"
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a record are among all rows.

    Attributes
    ----------
    first : int
        The number of the first row.
    begin, stop : int
        The rows of the record, counted from its first, that belong to units whose rows are all in its partition.
    digest : int
        The digest that the record had when it was first made.
    """

    first: int
    begin: int
    stop: int
    digest: int


Places = Mapping[tuple[int, int], Place]
"""For the partition and number of each record."""


def cut(batches: Iterable[pa.RecordBatch], *, places: Places, dtype: str, columns: int) -> Iterator[pa.RecordBatch]:
    """Those rows that share a unit with rows of another partition, as new records, each of them within one unit."""
    try:
        for row, rows in _records(batches, dtype, columns):
            place = _place(places, row)
            for start, stop in ((0, place.begin), (place.stop, len(rows))):
                while start < stop:
                    end = min(stop, start + UNIT - (place.first + start) % UNIT)
                    yield _batch(STORED, **_stored(-1, place.first + start, rows.part(start, end)))
                    start = end
    except ValueError as error:
        yield _batch(STORED, partition=-1, number=0, problem=described(error))


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to the records of a partition.

    Attributes
    ----------
    request : bytes
    places, dtype, columns, is_single
        What is known of the records.
    classes, factors
        As for `_partitions.labelled`.
    n_threads : int or None
        None for as many as Spark gives processors to a task.
    files : Files
        The files with the features of those records that come without features. If a record comes with its
        features, they are written to such a file, unless the record was cut from another one.
    """

    request: bytes
    places: Places
    dtype: str
    columns: int
    is_single: bool
    classes: Array | None
    factors: Array | None
    n_threads: int | None
    files: Files
    has_features: bool = False
    """Whether all records come with their features. Then the first is answered before the others are read."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        if not self.has_features:
            batches = list(batches)
            if (missing := self.files.missing(batches)) is not None:
                yield _batch(ANSWER, missing=missing)
                return

        task = TaskContext.get()
        n_threads = self.n_threads or (task.cpus() if task is not None else 1)
        try:
            for first, part in consecutive(self._parts(batches)):
                rows = labelled(part, self.classes, self.factors)
                found = answer(first, rows, self.request, self.is_single, n_threads)
                yield _batch(ANSWER, first=first, rows=len(rows), answer=found)
        except ValueError as error:
            yield _batch(ANSWER, problem=described(error))

    def _parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Rows]]:
        for row, rows in _records(batches, self.dtype, self.columns, self.files):
            if row["partition"] < 0:
                yield row["number"], rows
                continue
            place = _place(self.places, row)
            if place.begin < place.stop:
                yield place.first + place.begin, rows.part(place.begin, place.stop)


def consecutive(parts: Iterator[tuple[int, Rows]]) -> Iterator[tuple[int, Rows]]:
    """Parts, each with the number of its first row, cut into `runs`. Parts that follow each other are joined."""
    part = next(parts, None)

    def following(expected: int) -> Iterator[Rows]:
        nonlocal part
        while part is not None and part[0] == expected:
            yield part[1]
            expected += len(part[1])
            part = next(parts, None)

    while part is not None:
        yield from runs(part[0], following(part[0]))


def rows_of(data: Any, X: Array) -> Rows:
    """The rows with the features `X`, and with the labels, sample weights and offsets in `data`, bytes of a record."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        table = stream.read_all()
    # The arrays are copied: those in the record may be at any address.
    arrays = {name: np.array(table[name].to_numpy()) for name in table.column_names}
    return Rows(X, *(arrays.get(name) for name in ("y", "sample_weight", "offset")))  # type: ignore[arg-type]


def changed(partition: int) -> ValueError:
    return ValueError(
        f"X must have the same rows each time that Spark computes them, got others for partition {partition}: its data "
        "has changed, or its rows have no fixed order: persist the frame, or name the order of rows"
    )


def _records(
    batches: Iterable[pa.RecordBatch], dtype: str, columns: int, files: Files | None = None
) -> Iterator[tuple[dict[str, Any], Rows]]:
    for batch in batches:
        facts = batch.select(["partition", "number", "digest", "problem"]).to_pylist()
        for row, X, of_rows in zip(facts, batch.column("X"), batch.column("of_rows"), strict=True):
            if row["problem"]:
                raise raised(row["problem"])
            if X.is_valid:
                flat = np.frombuffer(X.as_buffer(), dtype)
                if files is not None and row["partition"] >= 0:
                    files.write(row, X.as_buffer())
            else:
                assert files is not None
                flat = np.asarray(np.memmap(files.path(row), dtype, "r"))
            yield row, rows_of(of_rows.as_buffer(), flat.reshape(-1, columns))


def _place(places: Places, row: Mapping[str, Any]) -> Place:
    place = places.get((row["partition"], row["number"]))
    if place is None or place.digest != row["digest"]:
        raise changed(row["partition"])
    return place


def _stored(partition: int, number: int, rows: Rows) -> dict[str, Any]:
    arrays = {"y": rows.y, "sample_weight": rows.sample_weight, "offset": rows.offset}
    table = pa.table({name: pa.array(array) for name, array in arrays.items() if array is not None})
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        of_rows = sink.getvalue().to_pybytes()
    X = np.ascontiguousarray(rows.X).data.cast("B")
    return {"partition": partition, "number": number, "digest": crc32(of_rows, crc32(X)), "X": X, "of_rows": of_rows}


_TYPES: dict[str, Callable[[], pa.DataType]] = {
    "int": pa.int32, "long": pa.int64, "string": pa.string, "binary": pa.binary
}  # fmt: skip


def _batch(schema: str, **values: Any) -> pa.RecordBatch:
    """One row of a schema; values that are not given are missing."""
    fields = [field.split() for field in schema.split(", ")]
    arrays = [pa.array([values.get(name)], _TYPES[type_]()) for name, type_ in fields]
    return pa.RecordBatch.from_arrays(arrays, [name for name, _ in fields])


# --- predictions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Predicting:
    """Adds the result of a method of an estimator, as a column of this name, to batches of rows."""

    model: Any
    method: str
    names: list[str]
    column: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                found = getattr(self.model, self.method)(pa.Table.from_batches([batch]).select(self.names))
                yield pa.RecordBatch.from_arrays([*batch.columns, _column(found)], [*batch.schema.names, self.column])


def _column(found: Array) -> pa.Array:
    if found.ndim == 1:
        return pa.array(found)
    starts = np.arange(len(found) + 1, dtype=np.int32) * found.shape[1]
    return pa.ListArray.from_arrays(starts, np.ravel(found))
