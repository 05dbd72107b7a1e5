"""Rows that are read in batches, as often as they are needed, so that they need not fit into memory.

A source is a table that comes in Arrow batches (see `_arrow`), files of NumPy, or a function that returns an iterator
of batches. The labels, sample weights and offsets of all rows are kept in memory; of the features, only a part is in
memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradstep._arrays import Array, features, optional_real, real, shape_text
from gradstep._arrow import BATCH_ROWS, Table, is_dataset, is_lazy, is_stream, table_of
from gradstep._frames import feature_names
from gradstep._options import kind
from gradstep._reading import Block, Reader, Rows, go_through


@dataclass(frozen=True, slots=True)
class Source:
    """Rows for native code.

    Attributes
    ----------
    rows : Rows
        The features.
    y, sample_weight, offset : ndarray, shape (m,)
        The labels, sample weights and offsets of all rows; None where there are none.
    column_names : list of str
        The names of the columns; empty where they have none.
    classes : ndarray of str, optional
        If the labels are texts: the different texts. `y` has the position of each label here.
    reader : Reader, optional
        The reader of the features, if several fits share one.
    """

    rows: Rows
    y: Array
    sample_weight: Array | None
    offset: Array | None
    column_names: list[str]
    classes: Array | None = None
    reader: Reader | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """m and n."""
        return self.rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that features are computed in."""
        return self.rows.dtype

    @property
    def is_single(self) -> bool:
        """Whether the features are float32."""
        return self.dtype == np.float32

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns; None where they have none."""
        return tuple(self.column_names) or None


@contextmanager
def shared(X: Any, y: Any, sample_weight: Any, offset: Any, cache: Any) -> Iterator[Source]:
    """The source that `opened` makes, for several fits: all of them read it by one reader and one `cache`."""
    source = opened(X, y, sample_weight, offset)
    with Reader(source.rows, cache) as reader:
        yield replace(source, reader=reader)


def native_rows(read: Reader, source: Source, log: Any = None) -> tuple[Reader, bool, int, bool, Any]:
    """The rows of a source, read by `read`, as native code takes them. `log` is the checkpoint of a fit."""
    return read, False, source.shape[1], source.is_single, log


def is_source(X: Any, y: Any) -> bool:
    """Whether the features are to be read from `X` in batches. From a frame they are if `y` is the name of a column."""
    if isinstance(X, np.ndarray):
        return False
    if isinstance(X, (str, os.PathLike, Iterator)) or callable(X) or is_dataset(X):
        return True
    if isinstance(X, (list, tuple)):
        return bool(X) and (_are_paths(X) or all(isinstance(part, np.memmap) and part.ndim == 2 for part in X))
    return isinstance(y, str) and (is_stream(X) or is_lazy(X))


def opened(X: Any, y: Any, sample_weight: Any, offset: Any, may_be_text: bool = False) -> Source:
    """Read labels, sample weights and offsets from a source, and find how to read its features.

    `y`, `sample_weight` and `offset` are names of columns if `X` is a table, and arrays if `X` is files of NumPy. For a
    function they are None: a batch is a tuple of features, labels and, if there are any, sample weights. A function
    that returns a stream of Arrow's, or a lazy frame, is a table. If `may_be_text`, a table's labels may be texts.
    """
    if isinstance(X, Iterator) and not is_stream(X):
        raise TypeError(
            f"X must be what can be read again, got {kind(X)}, whose rows come once: give a function that returns "
            "a new iterator each time"
        )
    if callable(X) and not isinstance(y, str):
        return _of_function(X, y, sample_weight, offset)
    parts = X if isinstance(X, (list, tuple)) else [X]
    if isinstance(parts[0], np.memmap) or (_are_paths(parts) and os.fspath(parts[0]).endswith(".npy")):
        return _of_arrays(parts, y, sample_weight, offset)
    return _of_table(table_of(X), y, sample_weight, offset, may_be_text)


def _are_paths(X: Sequence[Any]) -> bool:
    return all(isinstance(path, (str, os.PathLike)) for path in X)


def _unchanged(files: list[str]) -> Callable[[], None]:
    """A function that raises a ValueError if one of the files has changed since this call."""
    then = _states(files)

    def check() -> None:
        changed = [file for file, was, now in zip(files, then, _states(files), strict=True) if was != now]
        if changed:
            raise ValueError(f"X must not change while it is fitted, got another size or time of {changed[0]!r}")

    return check


def _states(files: list[str]) -> list[tuple[int, int] | None]:
    """The size of each file, and when it was written; None for a file that is not there."""
    states: list[tuple[int, int] | None] = []
    for file in files:
        try:
            found = os.stat(file)
            states.append((found.st_size, found.st_mtime_ns))
        except OSError:
            states.append(None)
    return states


def _is_single(rows: Array) -> bool:
    """Whether these are 32-bit floats, in any order of bytes."""
    return rows.dtype.kind == "f" and rows.dtype.itemsize == 4


def _same(
    what: str, then: Array, now: Array, first: int, where: str = "", shown: Callable[[Any], str] | None = None
) -> None:
    """Raise a ValueError unless `now`, numbers of the rows from `first` on, equal those of the first read.

    `then` has the numbers of all rows at the first read.
    """
    before = then[first : first + len(now)]
    if len(before) < len(now) or np.array_equal(before, now, equal_nan=True):
        return  # if there are more rows than the first time, another message says so
    row = int((before != now).argmax())
    shown = shown or "{:g}".format
    raise ValueError(
        f"X must have the same {what} whenever it is read, got {shown(now[row])} in row {first + row}{where}, and "
        f"{shown(before[row])} the first time"
    )


def _same_features(then: Any, now: Array) -> None:
    """Raise a ValueError unless `now`, row 0 of this read, equals `then`, row 0 of the first read.

    Other rows are not compared.
    """
    if not np.array_equal(then, now, equal_nan=True):
        column = int(((then != now) & ((then == then) | (now == now))).argmax())
        raise ValueError(
            f"X must have the same features whenever it is read, got {now[column]:g} in row 0, column {column}, and "
            f"{then[column]:g} the first time"
        )


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
    columns, names, single, first = None, None, True, 0
    row_zero: Array | None = None
    for number, batch in enumerate(_iterated(X)):
        where = f"batch {number}, from row {first} on"
        rows, of_rows = _parts(batch, where)
        columns = rows.shape[1] if columns is None else columns
        if rows.shape[1] != columns:
            raise ValueError(
                f"X must return batches of {columns} columns, as the first, got {rows.shape[1]} in {where}"
            )
        names = _same_names(batch[0], names, where) if number else feature_names(batch[0])
        single &= _is_single(rows)
        if not first and len(rows):
            row_zero = np.array(rows[0])
        labels.append(of_rows[0].copy())
        weights += (numbers.copy() for numbers in of_rows[1:])
        if weights and len(weights) != len(labels):
            raise ValueError(
                f"X must return sample weights in every batch or in none, got them in {len(weights)} of {number + 1}"
            )
        first += len(rows)
    if columns is None or not first:
        raise ValueError("X must return at least one row, got none")
    kept = [np.concatenate(labels), *([np.concatenate(weights)] if weights else [])]
    dtype = np.dtype(np.float32 if single else np.float64)

    def blocks(size: int) -> Iterator[Block]:
        first = 0
        for number, batch in enumerate(_iterated(X)):
            where = f"batch {number}, from row {first} on"
            rows, of_rows = _parts(batch, where)
            _same_names(batch[0], names, where)
            if rows.shape[1] != columns or len(of_rows) != len(kept) or (single and not _is_single(rows)):
                raise ValueError(
                    f"X must have {columns} columns{' of float32' * single} and {len(kept) - 1} of sample weights "
                    f"whenever it is read, as the first time, got {rows.shape[1]} of {rows.dtype} and "
                    f"{len(of_rows) - 1} in {where}"
                )
            for what, then, now in zip(_OF_ROWS, kept, of_rows, strict=False):
                _same(what, then, now, first, f" (batch {number})")
            if not first and len(rows):
                _same_features(row_zero, rows[0])
            yield _block(rows)
            first += len(rows)

    return Source(
        rows=Rows(blocks, (first, columns), dtype, by_columns=False, on_a_thread=False),
        y=kept[0],
        sample_weight=kept[1] if weights else None,
        offset=None,
        column_names=list(names or []),
    )


_OF_ROWS = ("labels", "sample weights")


def _iterated(X: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    batches = X()
    if not isinstance(batches, Iterable):
        raise TypeError(
            f"X must be a function that returns an iterator of batches, got one that returns {kind(batches)}"
        )
    return iter(batches)


def _parts(batch: Any, where: str) -> tuple[Array, list[Array]]:
    """The features of a batch, and its labels and sample weights."""
    if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 3:
        raise TypeError(f"X must return batches (X, y) or (X, y, sample_weight), got {kind(batch)} as {where}")
    try:
        rows = features(batch[0])
        of_rows = [real("y", batch[1]), *(real("sample_weight", weights) for weights in batch[2:])]
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (in {where})") from None
    if isinstance(rows, tuple) or rows.ndim != 2:
        got = "a sparse matrix" if isinstance(rows, tuple) else f"shape {shape_text(rows.shape)}"
        raise ValueError(f"X must return batches of dense rows, shape (rows, n), got {got} in {where}")
    for what, numbers in zip(_OF_ROWS, of_rows, strict=False):
        if numbers.shape != (len(rows),):
            raise ValueError(
                f"X must return batches with as many {what} as rows, got shapes {shape_text(rows.shape)} and "
                f"{shape_text(numbers.shape)} in {where}"
            )
    return rows, of_rows


def _same_names(rows: Any, names: tuple[str, ...] | None, where: str) -> tuple[str, ...] | None:
    """The names of a frame's columns, which must be those of the first batch."""
    got = feature_names(rows)
    if got != names:
        raise ValueError(f"X must return frames with the columns of the first, got {got} in {where}")
    return got


def _block(rows: Array) -> Block:
    """A block of the rows of an array."""

    def copy(out: Array, first: int) -> None:
        out[...] = rows[first : first + len(out)]

    return Block(len(rows), copy)


# --- files of NumPy ---------------------------------------------------------------------------------------------------


def _of_arrays(given: Sequence[Any], y: Any, sample_weight: Any, offset: Any) -> Source:
    files = [os.fspath(part) for part in given if not isinstance(part, np.memmap)]
    missing = [path for path in files if not os.path.exists(path)]
    if missing:
        raise FileNotFoundError(f"X names a file that does not exist: {missing[0]!r}")
    check = _unchanged(files)
    parts = [_mapped(given, place) for place in range(len(given))]
    columns = parts[0].shape[1]
    wrong = next((place for place, part in enumerate(parts) if part.shape[1] != columns), None)
    if wrong is not None:
        raise ValueError(
            f"X must have arrays of {columns} columns, as the first, got {parts[wrong].shape[1]} in "
            f"{_named(given, wrong)}"
        )
    dtype = np.dtype(np.float32 if all(map(_is_single, parts)) else np.float64)
    shape = (sum(map(len, parts)), columns)
    if not shape[0]:
        raise ValueError("X must have at least one row, got none")
    labels = real("y", y)
    if labels.shape != shape[:1]:
        raise ValueError(f"y must have shape {shape[:1]}, one label for each row of X, got {shape_text(labels.shape)}")
    del parts

    def blocks(size: int) -> Iterator[Block]:
        check()
        for place in range(len(given)):
            array = _mapped(given, place)
            in_order = array.flags.c_contiguous and not isinstance(given[place], np.memmap)
            yield _block_of_file(given[place], array) if in_order else _block(array)
        check()

    return Source(
        rows=Rows(blocks, shape, dtype, by_columns=False, on_a_thread=True),
        y=labels,
        sample_weight=optional_real("sample_weight", sample_weight),
        offset=optional_real("offset", offset),
        column_names=[],
    )


def _mapped(given: Sequence[Any], place: int) -> Array:
    """The rows of a file as a memory map: they are read when they are needed."""
    part, name = given[place], _named(given, place)
    try:
        array = part if isinstance(part, np.memmap) else np.load(part, mmap_mode="r")
    except ValueError as error:
        raise ValueError(f"X must name files of NumPy with numbers, got {name}: {error}") from None
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"X must have arrays of real numbers, shape (rows, n), got dtype {array.dtype}, shape "
            f"{shape_text(array.shape)} in {name}"
        )
    return array


def _block_of_file(path: Any, array: Any) -> Block:
    """A block of the rows of a file in C order, whose memory map is `array`.

    The rows are read from the file itself, which is faster than by the map.
    """

    def copy(out: Array, first: int) -> None:
        numbers = out if out.dtype == array.dtype else np.empty(out.shape, array.dtype)
        with open(path, "rb", buffering=0) as file:
            file.seek(array.offset + first * array.strides[0])
            go_through(numbers, file.readinto)
        if numbers is not out:
            out[...] = numbers

    return Block(len(array), copy)


def _named(given: Sequence[Any], place: int) -> str:
    return f"array {place}" if isinstance(given[place], np.memmap) else repr(os.fspath(given[place]))


# --- tables ----------------------------------------------------------------------------------------------------------


def _of_table(table: Table, y: Any, sample_weight: Any, offset: Any, may_be_text: bool) -> Source:
    schema = table.schema
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        raise ValueError(f"X must have a name for each column of its own, got {twice[0]!r} twice")
    own = {"y": y, "sample_weight": sample_weight, "offset": offset}
    chosen: dict[str, list[str]] = {}
    for name, given_name in own.items():
        if given_name is None and name != "y":
            continue
        is_list = name == "offset" and isinstance(given_name, (list, tuple)) and len(given_name)
        chosen[name] = list(given_name) if is_list else [given_name]
        for column in chosen[name]:
            if not isinstance(column, str):
                wanted = "a column, or a list of the names for each class," if name == "offset" else "a column"
                raise TypeError(f"{name} must be the name of {wanted} where X is read from a file, got {kind(column)}")
            if column not in schema.names:
                raise ValueError(f"{name} must be one of the columns {', '.join(schema.names)}, got {column!r}")
    taken = [column for columns in chosen.values() for column in columns]
    index = (schema.pandas_metadata or {}).get("index_columns", [])  # the index of a frame of pandas is no feature
    names = [name for name in schema.names if name not in taken and name not in index]
    if not names:
        raise ValueError(f"X must have columns beside {', '.join(taken)}, got none")
    texts = _Texts() if may_be_text and _is_text(schema.field(y).type) else None
    for argument, columns in {"X": names, **chosen}.items():
        for column in columns if argument != "y" or texts is None else ():
            _check_number(argument, schema.field(column))

    def labels(first: int, batch: Any) -> Array:
        field = schema.field(y)
        return _numbers("y", first, batch, field) if texts is None else texts.codes(_column("y", first, batch, field))

    check = _unchanged(table.files or [])
    given: dict[str, list[Array]] = {name: [] for name in chosen}
    first = 0
    for batch in table.batches(list(dict.fromkeys(taken)), BATCH_ROWS):
        given["y"].append(labels(first, batch).copy())
        for name, columns in chosen.items():
            if name != "y":
                numbers = [_numbers(name, first, batch, schema.field(column)) for column in columns]
                given[name].append(
                    np.column_stack(numbers) if isinstance(own[name], list | tuple) else numbers[0].copy()
                )
        first += batch.num_rows
    if not first:
        raise ValueError("X must have at least one row, got none")
    of_rows = {name: np.concatenate(parts) for name, parts in given.items()}
    del given
    # Changed files have another size or time. Other sources are checked by their labels, which each pass reads again.
    compared = [y] if table.files is None else []

    def blocks(size: int) -> Iterator[Block]:
        check()
        first = 0
        for batch in table.batches(names + compared, size):
            if compared:
                shown = None if texts is None else texts.shown
                _same("labels", of_rows["y"], labels(first, batch), first, shown=shown)
            yield _block_of_columns([_numbers("X", first, batch, schema.field(name)) for name in names], batch.num_rows)
            first += batch.num_rows
        check()

    dtype = np.dtype(np.float32 if all(str(schema.field(name).type) == "float" for name in names) else np.float64)
    source = Source(
        rows=Rows(blocks, (first, len(names)), dtype, by_columns=True, on_a_thread=True),
        y=of_rows["y"],
        sample_weight=of_rows.get("sample_weight"),
        offset=of_rows.get("offset"),
        column_names=names,
    )
    return source if texts is None else texts.sorted_codes(source)


def _check_number(argument: str, field: Any) -> None:
    from pyarrow import types

    is_number = types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type)
    if not is_number:
        raise TypeError(
            f"{argument} must have numbers, got column {field.name!r} of type {field.type}: encode it"
            + ("" if argument != "X" else ", or leave it out of the file")
        )


def _is_text(type: Any) -> bool:
    from pyarrow import types

    values = type.value_type if types.is_dictionary(type) else type
    return bool(types.is_string(values) or types.is_large_string(values) or types.is_string_view(values))


class _Texts:
    """Codes of texts, in the order in which they are first met."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def codes(self, column: Any) -> Array:
        """The codes of a column of Arrow's."""
        from pyarrow import types

        encoded = column if types.is_dictionary(column.type) else column.cast("large_string").dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        codes = np.array([self._known.setdefault(text, len(self._known)) for text in texts], np.int32)
        found: Array = codes[encoded.indices.to_numpy(zero_copy_only=False)]
        return found

    def shown(self, code: int) -> str:
        """The text of a code."""
        return repr(list(self._known)[code])

    def sorted_codes(self, source: Source) -> Source:
        """The source with codes in the sorted order of the texts, and with the sorted texts as its classes."""
        classes, ranks = np.unique(list(self._known), return_inverse=True)
        return replace(source, y=ranks[source.y], classes=classes)


def _numbers(argument: str, first: int, batch: Any, field: Any) -> Array:
    """A column of numbers of a batch whose first row is number `first`."""
    numbers: Array = _column(argument, first, batch, field).to_numpy(zero_copy_only=False)
    return numbers


def _column(argument: str, first: int, batch: Any, field: Any) -> Any:
    """A column of a batch whose first row is number `first`."""
    place = batch.schema.get_field_index(field.name)
    column = batch.column(place) if place >= 0 else None
    if column is None or column.type != field.type:
        raise TypeError(
            f"{argument} must have the columns and types of its schema whenever it is read, got {field.name!r} as "
            f"{'none' if column is None else column.type} from row {first} on, and as {field.type} in the schema"
        )
    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(
            f"{argument} must have no missing values, got one in column {field.name!r}, row {row}: fill them, or leave "
            "these rows out"
        )
    return column


def _block_of_columns(columns: list[Array], rows: int) -> Block:
    """A block of rows whose columns are arrays."""

    def copy(out: Array, first: int) -> None:
        for j, column in enumerate(columns):
            out[:, j] = column[first : first + len(out)]

    return Block(rows, copy, columns if all(column.flags.c_contiguous for column in columns) else None)
