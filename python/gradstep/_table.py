"""Data files: CSV or Parquet to numbers, with every doubt about the data raised here."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradstep._model import Class

MISSING = ("", "NA", "N/A", "NaN", "nan", "null")
PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".tsv", ".txt")
MAX_CLASSES = 1000
TRUTH = {"true": True, "false": False}

_BOM = codecs.BOM_UTF8
_ZLIB = (b"x^", b"x\x01")
"""First bytes of a zlib stream that are also text."""


@dataclass(frozen=True)
class Table:
    """The columns of a data file, not yet converted."""

    path: Path
    frame: pl.DataFrame
    named: bool
    """Whether the file itself names its columns; otherwise they are column_1, column_2, …"""

    def features(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The columns `names` as a C-contiguous matrix of finite numbers."""
        X = np.empty((self.frame.height, len(names)))
        for j, name in enumerate(names):
            X[:, j] = self._numbers(self.frame[name])
        return X

    def target(self, name: str) -> tuple[NDArray[np.float64], list[Class]]:
        """The column `name` as codes 0, 1, …, and the values that these stand for, in sorted order."""
        if name not in self.frame.columns:
            raise self._error(f"has no column {name!r}; the columns are {few(self.frame.columns)}{self._hint()}")
        values = self._values(self.frame[name])
        classes = values.unique().sort()
        if problem := _no_classes(classes, len(values)):
            hint = self._hint() if values.dtype == pl.String else ""
            raise self._error(f"target {name!r} {problem}, got {len(classes)}: {few(classes)}{hint}")
        codes = values.replace_strict(classes, np.arange(len(classes)), return_dtype=pl.Float64)
        return codes.to_numpy(), classes.to_list()

    def names_for(self, features: Sequence[str]) -> Sequence[str]:
        """The columns of this file that hold `features`: by name, or by position where the file has no header."""
        columns = self.frame.columns
        if not self.named and len(columns) == len(features):
            return columns
        absent = [name for name in features if name not in columns]
        if absent and not self.named:
            needed = f"the model needs {len(features)}: {few(features)}"
            raise self._error(f"has {len(columns)} columns and no header; {needed}")
        if absent:
            raise self._error(f"lacks {few(absent)}, needed by the model; the columns are {few(columns)}")
        return features

    def _numbers(self, column: pl.Series) -> NDArray[np.float64]:
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            values = column.cast(pl.Float64)
        else:
            text = self._text(column, "numbers")
            values = text.cast(pl.Float64, strict=False)
            if values.null_count():
                values = values.fill_null(_truth(text).cast(pl.Float64))
        self._check(column, values, "numbers")
        return values.to_numpy()

    def _values(self, column: pl.Series) -> pl.Series:
        """The column as integers, floats, booleans or text, whichever is the first that all its cells are."""
        values = column
        if column.dtype.is_decimal() or column.dtype == pl.Int128 or column.dtype == pl.UInt128:
            values = column.cast(pl.Float64)
        elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            values = self._text(column, "classes")
            self._check(column, values.replace(list(MISSING), None), "classes")
            # What is text as a number, such as 01, or has more digits than a float, is one class for each spelling.
            spelt, long = (values.str.contains(spelling).any() for spelling in (r"^[+-]?0\d", r"^[+-]?\d{16}"))
            kinds = () if spelt else (pl.Int64, pl.UInt64) if long else (pl.Int64, pl.UInt64, pl.Float64)
            tries = [values.cast(kind, strict=False) for kind in kinds]
            values = next((other for other in (*tries, _truth(values)) if not other.null_count()), values)
        self._check(column, values, "classes")
        return values

    def _text(self, column: pl.Series, expected: str) -> pl.Series:
        if column.dtype == pl.Null:
            return column.cast(pl.String)
        if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
            raise self._error(f"column {column.name!r} must hold {expected}, got values of type {column.dtype}")
        return column.cast(pl.String).str.strip_chars()

    def _check(self, column: pl.Series, values: pl.Series, expected: str) -> None:
        """Raise an error about the first cell of `column` that is null or not finite in `values`."""
        bad = values.is_null() | ~values.is_finite() if values.dtype.is_float() else values.is_null()
        row = bad.arg_max()
        if row is None or not bad[row]:
            return
        cell = column[row]
        place = f"column {column.name!r}, data row {row + 1}"
        if cell is None or str(cell).strip() in MISSING:
            raise self._error(f"{place}: missing value")
        if isinstance(values[row], float) and math.isinf(values[row]):
            raise self._error(f"{place}: must hold finite numbers, got {_short(cell)}")
        hint = self._hint() if row == 0 else ""
        raise self._error(f"{place}: must hold {expected}, got {_short(cell)}{hint}")

    def _hint(self) -> str:
        return "" if self.named else " (if the first row is a header, say --header)"

    def _error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}: {message}")


def read(path: Path, header: bool | None = None, names: Sequence[str] = ()) -> Table:
    """Read a data file; `header=None` looks at the first row of a CSV file to see whether it is one.

    It is one if it holds all `names`, or no number. With a number in it, it is data, unless text stands above numbers:
    then it may be either.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is neither CSV in UTF-8 nor Parquet, or not a table with at least one row, or may have a header or not.
    """
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):  # a device may have no end
            raise ValueError(f"{path}: must be a file or a pipe")
        try:
            source: BinaryIO = file if file.seekable() else io.BytesIO(file.read())
            suffix = path.suffix.lower()
            magic = source.read(4)
            source.seek(0)
            if suffix in PARQUET_SUFFIXES or (magic == b"PAR1" and suffix not in CSV_SUFFIXES):
                table = _read_parquet(path, source)
            else:
                table = _read_csv(path, source, header, names)
        except OSError as error:  # of a file already open: its name is not in it
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from None
    if not table.frame.height:
        raise ValueError(f"{path}: has no data rows")
    return table


def _read_parquet(path: Path, source: BinaryIO) -> Table:
    try:
        with _silence():
            return Table(path, pl.read_parquet(source), named=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise ValueError(f"{path}: not a readable Parquet file") from None


def _read_csv(path: Path, source: BinaryIO, header: bool | None, names: Sequence[str]) -> Table:
    head = source.read(1 << 16)
    source.seek(0)
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16, compressed, or no text at all
        raise ValueError(f"{path}: not a CSV file in UTF-8")
    separator = _separator(path.suffix.lower(), text.partition("\n")[0])
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    if head.startswith(_ZLIB):  # a byte order mark keeps the reader from decompressing it
        source = io.BytesIO(_BOM + source.read())
    try:
        # As text: each column is converted once, by rules of our own that can name the cell they refuse.
        frame = pl.read_csv(source, has_header=False, infer_schema=False, separator=separator, eol_char=end)
    except pl.exceptions.NoDataError:
        raise ValueError(f"{path}: is empty") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if "utf-8" in str(error):
            raise ValueError(f"{path}: not a CSV file in UTF-8") from None
        problem = _ragged(source, separator) or str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a table: {problem}") from None

    while frame.height and not any(frame.row(-1)):  # blank lines at the end
        frame = frame.head(-1)
    if not frame.height:
        raise ValueError(f"{path}: is empty")

    # A line with too few cells has been filled up; one with too many has been refused above.
    last = frame.to_series(-1)
    if last.null_count() and (reason := _ragged(source, separator)):
        raise ValueError(f"{path}: not a table: {reason}")

    first = [(cell or "").strip() for cell in frame.row(0)]
    if header is None:
        header = (names and set(names) <= set(first)) or not any(_is_number(cell) for cell in first)
        if not header and (name := _text_above_numbers(first, frame)):
            raise ValueError(
                f"{path}: the first row may be a header, as {_short(name)} stands above numbers, or data, as it has a "
                "number itself: say --header or --no-header"
            )
    if not header:
        frame.columns = [f"column_{j}" for j in range(1, frame.width + 1)]
        return Table(path, frame, named=False)
    if len(set(first)) < len(first):
        twice = next(name for j, name in enumerate(first) if name in first[:j])
        raise ValueError(f"{path}: two columns are named {twice!r}")
    frame.columns = first
    return Table(path, frame.slice(1), named=True)


def _separator(suffix: str, line: str) -> str:
    """A tab where the suffix says so; else a comma, or what the first line has instead of one."""
    if suffix == ".tsv" or (suffix == ".txt" and "\t" in line):
        return "\t"
    return next((separator for separator in (",", "\t", ";") if separator in line), ",")


def _ragged(source: BinaryIO, separator: str) -> str | None:
    """What is wrong with the first line that has not as many cells as the first one."""
    source.seek(0)
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        with suppress(csv.Error, UnicodeDecodeError):
            rows = csv.reader(text, delimiter=separator)
            width = len(next(rows))
            for row in rows:
                if row and len(row) != width:
                    return f"line {rows.line_num} has {len(row)} cells, line 1 has {width}"
        return None
    finally:
        text.detach()  # the source is the caller's to close


def _is_number(cell: str) -> bool:
    try:
        return cell.lower() in TRUTH or math.isfinite(float(cell))
    except ValueError:
        return False


def _text_above_numbers(first: Sequence[str], frame: pl.DataFrame) -> str | None:
    """The first cell of the first row that is neither a number nor missing, in a column of numbers below it."""
    for cell, column in zip(first, frame.iter_columns(), strict=True):
        below = column.slice(1).str.strip_chars().replace(list(MISSING), None).drop_nulls()
        is_text = cell not in MISSING and not _is_number(cell)
        if is_text and len(below) and not below.cast(pl.Float64, strict=False).null_count():
            return cell
    return None


def _truth(text: pl.Series) -> pl.Series:
    """Booleans where the text is true or false in any case, else null."""
    return text.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)


def _no_classes(values: pl.Series, rows: int) -> str | None:
    """Why the different values of a target cannot be classes."""
    if len(values) < 2:
        return "must have two values or more"
    if len(values) == 2:
        return None
    if values.dtype.is_float() and (values != values.round()).any():
        return "is continuous: fractions can be classes only where there are two values"
    if len(values) > MAX_CLASSES:
        return f"must have at most {MAX_CLASSES} values"
    if 2 * len(values) > rows:
        return f"must have at most half as many values as there are rows, {rows}"
    return None


def few(values: Sequence[object] | pl.Series, most: int = 8) -> str:
    """The values as an error message names them: the first of them, and how many there are."""
    shown = [_short(value) for value in values[:most]]
    return ", ".join(shown if len(values) <= most else [*shown, f"… ({len(values)} in all)"])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[0] * (text[0] in "'\"")


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what native code writes to stderr: a damaged file may make a reading thread report its panic there."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
