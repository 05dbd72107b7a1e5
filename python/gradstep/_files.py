"""Data files, CSV or Parquet, as tables; and tables as files."""

from __future__ import annotations

import codecs
import csv
import errno
import gzip
import io
import math
import os
import re
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import polars as pl

from gradstep._cells import MISSING, TRUTH
from gradstep._encoding import Format
from gradstep._frames import frame_of
from gradstep._options import kind
from gradstep._spelling import COMMAND_LINE, PYTHON, Spelling
from gradstep._table import Fault, Table, frame_columns, meant, of_frame, short

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".gz")
HEAD = 1 << 16
"""The number of bytes at the start of a file that are looked at to find out how the file is written."""
_BOM = codecs.BOM_UTF8
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP = b"\x1f\x8b"
_ZLIB = (b"x^", b"x\x01")
"""First bytes of a zlib stream that are also text."""
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that are in no text."""
_ROW_LABELS = r"^__index_level_\d+__$"
"""The name under which pandas writes the labels of the rows to a Parquet file. They are no column of the table."""


def read(
    path: Path,
    header: bool | None = None,
    names: Sequence[str] = (),
    format: Format | None = None,
    as_text: Collection[str] = (),
    spelling: Spelling = COMMAND_LINE,
) -> Table:
    """Read a data file; with `header=None` the first row of a CSV file shows whether it is a header.

    The first row is a header if it holds all `names`, or no number. Otherwise it is data. But if such a row of data has
    text above a column of numbers, it may also be a header, and the file is refused. The columns of a CSV file are
    text. In a long file, columns of numbers may be float64, except the last column and the columns named in `as_text`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is neither CSV nor Parquet, or not a table with at least one row, or if its first row may be a header.
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
                table = _read_parquet(path, source, spelling)
            else:
                if magic.startswith(_GZIP):
                    source = _unzipped(path, source)
                    suffix = Path(path.stem).suffix.lower()
                table = _read_csv(path, source, suffix, _Told(header, names, format or Format(), as_text, spelling))
        except OSError as error:  # raised after the file was opened, it does not name the file
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from None
    if not table.frame.height:
        raise ValueError(f"{path}: has no data rows")
    return table


def of_data(
    argument: str, data: Any, header: bool | None, format: Format, as_text: Collection[str], names: Sequence[str] = ()
) -> Table:
    """The table that an argument in Python stands for: the path of a data file, which `read` reads, or a frame."""
    if isinstance(data, str | os.PathLike):
        return read(Path(data), header, names, format, meant([*as_text]), PYTHON)
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if not isinstance(data, Mapping) and (frame := frame_of(data, argument)) is not None:
        data = frame
    if (columns := frame_columns(data)) is None:
        raise TypeError(f"{argument} must be a path, a data frame, or a mapping of names to columns, got {kind(data)}")
    table = of_frame(data, columns, format, argument)
    if not (table.frame.width and table.frame.height):
        raise ValueError(f"{argument} must have at least one column and one row, got shape {table.frame.shape}")
    return table


def _unzipped(path: Path, source: BinaryIO) -> BinaryIO:
    try:
        return io.BytesIO(gzip.GzipFile(fileobj=source).read())
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise ValueError(f"{path}: a damaged gzip file") from None


def _read_parquet(path: Path, source: BinaryIO, spelling: Spelling) -> Table:
    try:
        with _silence():
            _check_size(path, source)
            frame = pl.read_parquet(source)
    except pl.exceptions.DuplicateError as error:
        raise ValueError(f"{path}: {error}") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise ValueError(f"{path}: not a readable Parquet file") from None
    return Table(
        str(path), frame.drop(name for name in frame.columns if re.match(_ROW_LABELS, name)), spelling=spelling
    )


def _check_size(path: Path, source: BinaryIO) -> None:
    """Raise if the columns of a Parquet file need more than half of the memory. The features made from the columns need
    as much memory again."""
    rows = pl.scan_parquet(source).select(pl.len()).collect().item()
    source.seek(0)
    columns = len(pl.read_parquet_schema(source))
    source.seek(0)
    needed, memory = 8 * rows * columns, _memory()
    if memory is not None and 2 * needed > memory:
        raise ValueError(
            f"{path}: has {rows} rows of {columns} columns, {needed / 1e9:.3g} GB as numbers, more than half of "
            f"the memory of {memory / 1e9:.3g} GB: in Python, gradstep.fit reads a file of numbers in batches"
        )


def _memory() -> int | None:
    """The bytes of memory of this machine; None if the operating system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _read_csv(
    path: Path,
    source: BinaryIO,
    suffix: str,
    told: _Told,
    faults: tuple[Fault, ...] = (),
) -> Table:
    format, spelling = told.format, told.spelling

    def in_another_encoding() -> Table:
        """The table, read in the likely encoding, with a `Fault` that advises the user to give this encoding."""
        source.seek(0)
        likely = _likely_encoding(source.read())
        words = f"not a CSV file in UTF-8: {spelling.given('encoding', likely)} may read it"
        source.seek(0)
        again = told._replace(format=replace(format, encoding=likely))
        return _read_csv(path, source, suffix, again, (Fault(words, (("encoding", likely),)),))

    if format.encoding is not None:
        source = _decoded(path, source, format.encoding)
    head = source.read(HEAD)
    source.seek(0)
    try:
        start = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        if not _BINARY.search(head):
            return in_another_encoding()
        start = "\0"
    if "\0" in start:  # the file is compressed, or no text at all
        add = spelling.given("encoding", "utf-16")
        advice = f"; for example, add: {add}" if head.startswith(_UTF16) else ""
        raise ValueError(f"{path}: not a CSV file in UTF-8{advice}")
    separator = format.delimiter or _separator(suffix, start.partition("\n")[0])
    end = "\r" if "\r" in start and "\n" not in start else "\n"
    if head.startswith(_ZLIB):  # a byte order mark keeps the reader from decompressing it
        source = io.BytesIO(_BOM + source.read())
    written = _Written(separator, end)
    if len(head) == HEAD and format.decimal != "," and not format.na:
        frame, is_named = _read_long(path, source, start, written, told)
        if frame is not None:
            return Table(str(path), frame, is_named, format, separator, faults, spelling)
    try:
        # All cells are read as text. gradstep converts columns later, and its errors name the cell that is refused.
        frame = written.read(source)
    except pl.exceptions.NoDataError:
        raise ValueError(f"{path}: is empty") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if "utf-8" in str(error):
            return in_another_encoding()
        problem = _ragged(source, separator) or str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a table: {problem}") from None

    while frame.height and not any(frame.row(-1)):  # blank lines at the end
        frame = frame.head(-1)
    if not frame.height:
        raise ValueError(f"{path}: is empty")

    # Where a line had too few cells, polars has added nulls. A line with too many cells has been refused above.
    last = frame.to_series(-1)
    if last.null_count():
        if reason := _ragged(source, separator):
            raise ValueError(f"{path}: not a table: {reason}")
        frame = _without_blank_lines(frame, source, separator)

    header = _has_header(path, frame, told)
    frame = _named(path, frame, header)
    return Table(str(path), frame, header, format, separator, faults, spelling)


class _Told(NamedTuple):
    """The arguments of `read` about a CSV file."""

    header: bool | None
    names: Sequence[str]
    format: Format
    as_text: Collection[str]
    spelling: Spelling


class _Written(NamedTuple):
    """The characters between the cells, and at the end of the lines, of a CSV file."""

    separator: str
    end: str

    def read(self, source: BinaryIO, has_header: bool = False, types: Sequence[Any] | None = None) -> pl.DataFrame:
        """The columns of the file as text, or as `types`, one for each column."""
        source.seek(0)
        return pl.read_csv(
            source,
            has_header=has_header,
            infer_schema=False,
            schema_overrides=types,
            separator=self.separator,
            eol_char=self.end,
        )


def _read_long(
    path: Path,
    source: BinaryIO,
    start: str,
    written: _Written,
    told: _Told,
) -> tuple[pl.DataFrame | None, bool]:
    """A long file, and whether it has a header. Columns that are numbers in the first lines are read as float64.

    Instead of the file, None is returned if such a column holds something else further down, or if anything else is
    wrong. The file must then be read as text, to find out what is wrong.
    """
    lines = start[: start.rfind(written.end) + 1].encode()
    try:
        sample = written.read(io.BytesIO(lines))
        header = _has_header(path, sample, told)
        sample = _named(path, sample, header)
        types = [
            pl.Float64 if column.name not in told.as_text and _holds_numbers(column) else pl.String
            for column in sample.iter_columns()
        ]
        types[-1] = pl.String
        frame = written.read(source, header, types)
    except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None, False
    finally:
        source.seek(0)
    # The file is also read as text if a value is missing in the last column, since a line may be blank or too short. It
    # is read as text if a number is infinite, since the error shows this number as it is written in the file.
    infinite = frame.select(pl.col(pl.Float64).is_infinite().any())
    if any(column.any() for column in infinite.iter_columns()) or frame.to_series(-1).null_count():
        return None, False
    frame.columns = sample.columns
    return frame, header


def _holds_numbers(column: pl.Series) -> bool:
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.null_count() == column.null_count() < len(column)


def _has_header(path: Path, frame: pl.DataFrame, told: _Told) -> bool:
    """Whether the first row has the names of the columns: as the user says, or else found out."""
    if told.header is not None:
        return told.header
    first = _first_row(frame)
    header = bool(told.names and set(told.names) <= set(first)) or not any(_is_number(cell) for cell in first)
    if not header and (name := _text_above_numbers(first, frame)):
        raise ValueError(
            f"{path}: the first row may be a header, as {short(name)} stands above numbers, or data, as it has a "
            f"number itself: say {' or '.join(told.spelling.given('header', is_one) for is_one in (True, False))}"
        )
    return header


def _named(path: Path, frame: pl.DataFrame, header: bool) -> pl.DataFrame:
    """The rows of data, with the names of the first row, or column_1, column_2, …"""
    if not header:
        return frame.rename(dict(zip(frame.columns, (f"column_{j}" for j in range(1, frame.width + 1)), strict=True)))
    first = _first_row(frame)
    if len(set(first)) < len(first):
        twice = next(name for j, name in enumerate(first) if name in first[:j])
        raise ValueError(f"{path}: two columns are named {twice!r}")
    return frame.slice(1).rename(dict(zip(frame.columns, first, strict=True)))


def _first_row(frame: pl.DataFrame) -> list[str]:
    return [(cell or "").strip() for cell in frame.row(0)]


def _decoded(path: Path, source: BinaryIO, encoding: str) -> BinaryIO:
    """The file, converted from this encoding to UTF-8."""
    try:
        return io.BytesIO(source.read().decode(encoding).encode())
    except UnicodeError as error:
        raise ValueError(f"{path}: not text in {encoding!r}: {error}") from None


def _likely_encoding(data: bytes) -> str:
    """The likely encoding of text that is not UTF-8: Latin-1, or Windows-1252 if bytes are no characters of Latin-1."""
    if re.search(rb"[\x80-\x9f]", data):
        with suppress(UnicodeDecodeError):
            data.decode("cp1252")
            return "cp1252"
    return "latin-1"


def _without_blank_lines(frame: pl.DataFrame, source: BinaryIO, separator: str) -> pl.DataFrame:
    """The rows that do not come from blank lines. A line of delimiters is not blank. A table with a single column keeps
    all its rows."""
    if frame.width == 1 or not frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        return frame
    with _lines(source, separator) as lines:
        kept = [number for number, line in enumerate(lines) if line]
    return frame[np.array([number for number in kept if number < frame.height])]


@contextmanager
def _lines(source: BinaryIO, separator: str) -> Iterator[Any]:
    """The lines of a CSV file, cut into cells one by one."""
    source.seek(0)
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        yield csv.reader(text, delimiter=separator)
    finally:
        text.detach()  # leaves it to the caller to close the source


def _separator(suffix: str, line: str) -> str:
    """The character between cells: a tab if the suffix says so; else a comma, or what the first line has instead."""
    if suffix == ".tsv" or (suffix == ".txt" and "\t" in line):
        return "\t"
    return next((separator for separator in (",", "\t", ";", "|") if separator in line), ",")


def _ragged(source: BinaryIO, separator: str) -> str | None:
    """Words about the first line that has another number of cells than line 1; None if there is no such line."""
    with _lines(source, separator) as lines, suppress(csv.Error, UnicodeDecodeError):
        width = len(next(lines))
        for cells in lines:
            if cells and len(cells) != width:
                return f"line {lines.line_num} has {len(cells)} cells, line 1 has {width}"
    return None


def _is_number(cell: str) -> bool:
    try:
        return cell.lower() in TRUTH or math.isfinite(float(cell))
    except ValueError:
        return False


def _text_above_numbers(first: Sequence[str], frame: pl.DataFrame) -> str | None:
    """The first cell of the first row that is text and has nothing but numbers below it; None if there is none."""
    for cell, column in zip(first, frame.iter_columns(), strict=True):
        below = column.slice(1).str.strip_chars().replace(list(MISSING), None).drop_nulls()
        is_text = cell not in MISSING and not _is_number(cell)
        if is_text and len(below) and not below.cast(pl.Float64, strict=False).null_count():
            return cell
    return None


def encoded(frame: pl.DataFrame, path: Path | None) -> bytes:
    """The frame as Parquet if the suffix of `path` says so, else as CSV."""
    buffer = io.BytesIO()
    if path and path.suffix.lower() in PARQUET_SUFFIXES:
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    return buffer.getvalue()


@contextmanager
def _silence() -> Iterator[None]:
    """A context in which stderr is dropped: for a damaged file, a thread of polars may report its panic on stderr."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
