"""Rows in partitions: the work of a worker with the partitions that it has, for any kind of cluster.

Partitions are checked, and cut anew into blocks that begin at multiples of `UNIT` rows. A block answers requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from gradstep import _native
from gradstep._arrays import Array, features, finite_matrix, real
from gradstep._frames import column_names, is_of

UNIT = _native.UNIT


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows: features, shape (m, n); and labels, sample weights and offsets, shape (m,) or None.

    Offsets of K classes have shape (m, K).
    """

    X: Array
    y: Array
    sample_weight: Array | None
    offset: Array | None

    def __len__(self) -> int:
        return len(self.X)

    def part(self, start: int, stop: int) -> Rows:
        """Some of the rows, as views."""
        return Rows(*(None if array is None else array[start:stop] for array in self._arrays()))  # type: ignore[arg-type]

    def __sizeof__(self) -> int:
        """The bytes of the arrays, which a scheduler must know before it moves the rows."""
        return sum(array.nbytes for array in self._arrays() if array is not None)

    def _arrays(self) -> tuple[Array | None, ...]:
        return self.X, self.y, self.sample_weight, self.offset


def checked(
    version: str, number: int, names: list[str] | None, wants_numbers: bool, X: Any, *of_rows: Any, first: int = 0
) -> Rows:
    """The rows of a partition as arrays, in C order.

    Parameters
    ----------
    version : str
        The version of gradstep on the client, which must be that of the worker.
    number : int
        The number of the partition, which messages name.
    names : list of str or None
        Of a frame, the columns that are features.
    wants_numbers : bool
        Whether labels must be numbers.
    X : frame or ndarray
    *of_rows : str, array_like or None
        Labels, sample weights and offsets: a column of the frame, or an array.
    first : int, default 0
        How many rows of the partition come before these.

    Raises
    ------
    TypeError, ValueError
        If the rows cannot be fitted; with the partition's number.
    RuntimeError
        If the worker has another version of gradstep.
    """
    if version != _native.__version__:
        raise RuntimeError(f"gradstep must be of one version, got {_native.__version__} on a worker and {version} here")
    try:
        return _checked(names, wants_numbers, X, of_rows)
    except (TypeError, ValueError) as error:
        where = f"in partition {number}, whose rows are counted from {f'its row {first}' if first else 0}"
        raise type(error)(f"{error} ({where})") from None


def _checked(names: list[str] | None, wants_numbers: bool, X: Any, of_rows: Iterable[Any]) -> Rows:
    arguments = ("y", "sample_weight", "offset")
    given = [
        X[values] if isinstance(values, str) else X[list(values)] if are_names(values) else values for values in of_rows
    ]  # a string is the name of a column of the frame
    for argument, values in zip(arguments, given, strict=True):
        if values is not None and len(values) != len(X):
            raise ValueError(f"{argument} must have the length of X, {len(X)}, got {len(values)}")
    frame = X if names is None else X.select(names) if is_of(X, "pyarrow") else X[names]
    matrix = finite_matrix(frame) if column_names(frame) is not None else _finite(features(frame))
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2:
        got = "sparse rows" if not isinstance(matrix, np.ndarray) else f"{matrix.ndim} dimensions"
        raise TypeError(f"X must be dense, of two dimensions, got {got}")
    y, *others = (
        None if values is None else real(argument, values) if wants_numbers or argument != "y" else np.asarray(values)
        for argument, values in zip(arguments, given, strict=True)
    )
    for argument, values in zip(arguments, (y, *others), strict=True):
        if values is None:
            continue
        if values.ndim > 1 + (argument == "offset"):
            raise ValueError(f"{argument} must be 1-dimensional, got {values.ndim} dimensions")
        row = _missing(values)
        if row is not None:
            got = values[row] if values.ndim == 1 else values[row][~np.isfinite(values[row])][0]
            raise ValueError(f"{argument} must have no missing or infinite values, got {got} at row {row}")
    return Rows(np.ascontiguousarray(matrix), y, *others)  # type: ignore[arg-type]


def _finite(matrix: Any) -> Any:
    if isinstance(matrix, np.ndarray) and matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"X must be finite, got {matrix[row, column]:g} at row {row}, column {column}")
    return matrix


def are_names(values: Any) -> bool:
    """Whether these are names of columns: a list, with one for each class."""
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(name, str) for name in values)


def _missing(values: Array) -> int | None:
    """The first row whose number or label is missing or not finite; None if there is none."""
    if values.dtype.kind == "f":
        wrong = ~np.isfinite(values) if values.ndim == 1 else ~np.isfinite(values).all(axis=1)
    elif values.dtype.kind == "O":
        wrong = np.array([value is None or value != value for value in values], bool)
    else:
        return None
    return int(np.argmax(wrong)) if wrong.any() else None


def described(rows: Rows) -> tuple[int, int, bool, Array, Array | None, Array | None]:
    """The facts of a partition for the fit: m, n, whether features are float32; labels, sample weights and offsets."""
    return len(rows), rows.X.shape[1], rows.X.dtype == np.float32, rows.y, rows.sample_weight, rows.offset


def part(rows: Rows, start: int, stop: int) -> Rows:
    """Some of a partition's rows, copied, so that they can go to another machine without the rest."""
    some = rows.part(start, stop)
    return Rows(*(None if array is None else array.copy() for array in some._arrays()))  # type: ignore[arg-type]


# --- how partitions are cut into blocks ------------------------------------------------------------------------------


def cuts(counts: Sequence[int], blocks: int) -> list[int]:
    """The first row of each block, which is a multiple of `UNIT`, and at the end the number of all rows.

    Blocks are of about equal length. If a partition begins near the place for a block, the block begins there, up to
    the rounding to a multiple of `UNIT`: so few rows are moved.
    """
    starts = np.array([0, *accumulate(counts)])
    m = int(starts[-1])
    length = m / blocks
    found = [0]
    for k in range(1, blocks):
        near = int(starts[np.argmin(abs(starts - k * length))])
        at = near if abs(near - k * length) <= 0.1 * length else int(k * length)
        at -= at % UNIT
        if found[-1] < at < m:
            found.append(at)
    return [*found, m]


def pieces(counts: Sequence[int], start: int, stop: int) -> list[tuple[int, int, int]]:
    """For each partition that holds some of the rows from `start` to `stop`: the number of the partition, and which of
    its rows these are, as start and stop within the partition."""
    found, first = [], 0
    for number, count in enumerate(counts):
        begin, end = max(start - first, 0), min(stop - first, count)
        if begin < end:
            found.append((number, begin, end))
        first += count
    return found


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows that answer requests: runs of whole units, each with the number of its first row."""

    runs: list[tuple[int, Rows]]
    is_single: bool

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.runs)

    def __sizeof__(self) -> int:
        return sum(rows.__sizeof__() for _, rows in self.runs)


SMALL = 4 << 20
"""A partition is copied, and joined with its neighbours, if the features of its whole units have fewer bytes than this.
"""


def block(first: int, is_single: bool, classes: Array | None, factors: Array | None, *parts: Rows) -> Block:
    """The block of the rows of some partitions, one after the other. `first`, a multiple of `UNIT`, is the number of
    its first row.

    With `classes`, labels become their positions there. With `factors`, one for each class, sample weights are
    multiplied by them.
    """
    return Block([(first, labelled(rows, classes, factors)) for first, rows in runs(first, parts)], is_single)


def runs(first: int, parts: Iterable[Rows]) -> Iterator[tuple[int, Rows]]:
    """Consecutive rows as runs of whole units, each with the number of its first row.

    Only the last unit of the last run may have fewer rows.

    Parameters
    ----------
    first : int
        The number of the first row, a multiple of `UNIT`.
    parts : iterable of Rows
        One after the other. Large parts are not copied, except the units that they share with their neighbours.
    """
    waiting: list[Rows] = []
    for rows in parts:
        lacking = -sum(map(len, waiting)) % UNIT
        whole = (len(rows) - lacking) // UNIT * UNIT
        if whole * rows.X.strides[0] < SMALL:
            waiting.append(rows)
            continue
        for some in ([*waiting, rows.part(0, lacking)] if waiting else [], [rows.part(lacking, lacking + whole)]):
            if any(map(len, some)):
                joined = _joined(some)
                yield first, joined
                first += len(joined)
        waiting = [rows.part(lacking + whole, len(rows))]
    if any(map(len, waiting)):
        yield first, _joined(waiting)


def _joined(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(rows._arrays() for rows in parts), strict=True)
    return Rows(*(None if arrays[0] is None else np.concatenate(arrays) for arrays in columns))  # type: ignore[arg-type]


def labelled(rows: Rows, classes: Array | None, factors: Array | None) -> Rows:
    """The rows with codes of `classes` as labels, and weights multiplied by the factors of the classes.

    Without `classes`, the rows as they are.
    """
    if classes is None:
        return rows
    y = np.searchsorted(classes, rows.y)
    weight = rows.sample_weight
    if factors is not None:
        weight = factors[y] if weight is None else weight * factors[y]
    return Rows(rows.X, y, weight, rows.offset)


def answers(block: Block, request: bytes, n_threads: int | None) -> list[bytes]:
    """The answers of the runs of a block to a request."""
    return [answer(first, rows, request, block.is_single, n_threads) for first, rows in block.runs]


def answer(first: int, rows: Rows, request: bytes, is_single: bool, n_threads: int | None) -> bytes:
    """The answer of a run of rows to a request; `first` is the number of its first row."""
    return _native.answer(request, first, rows.X, rows.y, [rows.sample_weight, rows.offset], is_single, n_threads)
