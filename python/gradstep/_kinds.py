"""The kind of each column of a table: numbers, dates or categories.

Training finds the kinds out. The model keeps them, and reads the columns of new tables by them.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradstep import _cells
from gradstep._encoding import MISSING, Column, Encoding, are_finite
from gradstep._spelling import Spelling
from gradstep._table import Fault, Table, TableError, few, short

Array: TypeAlias = NDArray[np.float64]

FILLS = MISSING[1:]
"""The ways to treat missing values, other than to refuse them: the values of the option `missing`."""
MOST_LEVELS = 100
"""A column of text with at most this many different texts is taken for categories, without a question to the user, if
each text has two rows or more on average."""
LONGEST = 1000
"""If a text of a column has more characters than this, the user is asked before the column is taken for categories.
Such a text would become a part of the name of a feature."""
LONGEST_MISSING = 50
"""A message proposes to take a text for a missing value only if it has at most this many characters."""
MOST_STRANGE = 3
"""If a column of numbers also has words, and at most this many different ones, a message proposes to take the words for
missing values. If there are more words, the message proposes to take all values for categories, or to leave the column
out."""
LEAST_NUMBERED = 20
"""In a table with at least this many rows, a column that numbers the rows (by consecutive integers, in any order) is
more likely an id than a measurement."""
NUMBERS_ROWS = "numbers the rows"
"""The remark on a column that numbers the rows."""
SAMPLED = 64
"""In the search for equal columns, columns are first compared at no more than this many rows. They are compared at all
rows only if these rows show no difference."""


@dataclass(frozen=True)
class Asked:
    """The options by which the user says what the columns are."""

    features: Sequence[str] = ()
    """The columns to take as features; empty for all columns."""
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    ids: Sequence[str] = ()
    weight: str | None = None
    offset: str | None = None
    positive: str | None = None
    """The one of the two values of the target whose probability the model predicts."""
    missing: str | None = None
    date_format: str | None = None

    def named(self, table: Table) -> Asked:
        """The same options, with a text that has commas between the names of columns split into these names."""
        for name in (self.weight, self.offset):
            if name is not None:
                table.check_name(name)
        return replace(
            self,
            features=table.named_by(self.features),
            drop=table.named_by(self.drop),
            categorical=table.named_by(self.categorical),
            ids=table.named_by(self.ids),
        )


@dataclass(frozen=True)
class Learnt:
    """The encoding of a table, its columns as numbers, and what the user should know about the columns."""

    encoding: Encoding
    values: list[Array]
    """The numbers of each column, as `Encoding.matrix` takes them."""
    notes: list[str]
    remarks: dict[str, str] = field(default_factory=dict)
    """Remarks on columns that are constant, the same as another one, or number the rows; by the column's name."""


class _Found(NamedTuple):
    """The kind of a column, and a number for each cell: for categories, the position in `Column.levels`; for a missing
    value, NaN."""

    column: Column
    values: Array
    written: str | None = None
    """A cell that is written as people write numbers but computers do not, such as 1,234; None if there is none."""


def learn(table: Table, others: Sequence[str], asked: Asked, faults: Sequence[Fault] = ()) -> Learnt:
    """Find out the kind of each column of a table, except `others`, which are no features.

    Raises
    ------
    ValueError
        If the user must decide something first. The one error lists everything that must be decided. It includes
        `faults`, which the caller has found before.
    """
    left_out = {*others, *asked.drop, *asked.ids}
    names = [name for name in asked.features or table.frame.columns if name not in left_out]
    if stray := [name for name in asked.categorical if name not in names]:
        raise table.error(f"{table.spelling.name('categorical')} must name a feature, got {few(stray)}")
    if not names:
        raise table.error(f"must have a feature column beside {few(others)}, got none")
    found, faults = [], [*table.faults, *faults]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # polars and NumPy let other threads run
        looks = list(threads.map(lambda name: _look(table, table.frame[name], asked), names))
    for seen in looks:
        if isinstance(seen, Fault):
            faults.append(seen)
        else:
            found.append(seen)
    if faults:
        raise TableError(table.where, faults, table.spelling)
    notes = []
    if unusual := {each.column.name: each for each in found if each.written is not None}:
        said = ", ".join(f"{name!r} ({each.written})" for name, each in unusual.items())
        notes.append(f"numbers as people write them: {said}")
    encoding = Encoding([each.column for each in found], asked.missing or "refuse", list(asked.ids), table.format)
    features = encoding.features
    if not features:
        raise table.error(f"must have a feature column of two values or more, got only {few(names)}")
    if len(set(features)) < len(features):
        twice = next(name for j, name in enumerate(features) if name in features[:j])
        drop = table.spelling.name("drop")
        raise table.error(f"two features would be named {twice!r}: rename a column, or leave one out with {drop}")
    values = [each.values for each in found]
    return Learnt(encoding, values, [*notes, *encoding.describe()], _remarks(encoding, values))


def values(table: Table, names: Sequence[str], encoding: Encoding, unknown: str | None = None) -> list[Array]:
    """The columns of a table as numbers, NaN where missing, by the encoding of a model.

    `names` has for each column of the encoding its name in this table. A category that the model does not know is taken
    for the reference if `unknown` is "reference"; otherwise it is refused.

    Raises
    ------
    ValueError
        If the user must decide something about the table first; or for the first cell that does not fit the encoding.
    """
    if table.faults:
        raise TableError(table.where, table.faults, table.spelling)
    return [
        _read(table, table.frame[name], column, unknown) for name, column in zip(names, encoding.columns, strict=True)
    ]


def _look(table: Table, column: pl.Series, asked: Asked) -> _Found | Fault:
    """The kind and the numbers of a column; a fault if the user must decide something about it."""
    name, decimal = column.name, table.format.decimal or "."
    drop = ("drop", name)
    if column.null_count() == len(column):
        return Fault(f"column {name!r}, data row 1: missing value, and so are all others", (drop,))
    if name in asked.categorical:
        text = column.cast(pl.String)
        return _with_missing(_categories(table, text, text.unique().drop_nulls()), asked, table.spelling)
    if column.dtype.is_temporal() and column.dtype in (pl.Date, pl.Datetime):
        return _with_missing(_dates(column, None), asked, table.spelling)
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return _finite(
            column, _with_missing(_Found(Column(name), _plain_numbers(table, column)), asked, table.spelling)
        )
    if not _has_text(column):
        return Fault(f"column {name!r} must hold numbers, text or dates, got values of type {column.dtype}", (drop,))

    text = _text(column)
    read = _cells.numbers(text, decimal, table.format.na)
    if not len(read.strange):
        found = _Found(Column(name), _array(read.values), read.written)
        if np.isnan(found.values).all():
            return Fault(f"column {name!r}, data row 1: missing value, and so are all others", (drop,))
        if doubt := _doubt(table, name, read.written):
            return doubt
        return _finite(column, _with_missing(found, asked, table.spelling))
    return _words(table, text, read, asked)


def _words(table: Table, text: pl.Series, read: _cells.Numbers, asked: Asked) -> _Found | Fault:
    """The kind and the numbers of a column of text with cells that are no numbers: dates or categories; or a fault."""
    name, na, drop, spelling = text.name, table.format.na, ("drop", text.name), table.spelling
    dropping, as_categories = spelling.name("drop"), spelling.name("categorical")
    different, counts = read.different, read.counts
    if counts.sum() < len(text) - text.null_count():
        different, counts = _cells.counted(text)
    cells = _cells.text(different, na)
    distinct, present = cells.drop_nulls().unique(), int(counts.filter(cells.is_not_null()).sum())
    if formats := _cells.date_formats(distinct, [*filter(None, [asked.date_format]), *_cells.DATES]):
        return _with_missing(_dates(text, formats[0]), asked, table.spelling)

    strange = _cells.text(read.strange)
    doubtful = [] if asked.date_format else _cells.date_formats(distinct, _cells.DOUBTFUL_DATES)
    has_commas = table.format.decimal is None and not len(_cells.numbers(strange, ",").strange)
    is_mixed = 2 * read.numbered > present
    longest: Any = distinct.str.len_chars().max() or 0
    is_few = len(distinct) <= MOST_LEVELS and 2 * len(distinct) <= present and longest <= LONGEST
    if is_few and not (doubtful or has_commas or is_mixed):
        return _with_missing(_categories(table, text, different), asked, table.spelling)

    row = text.is_in(read.strange.implode()).arg_max() or 0
    place, cell = f"column {name!r}, data row {row + 1}", short(text[row].strip()) + table.hint(row)
    if doubtful:
        which = " or ".join(spelling.given("date_format", format) for format in doubtful)
        return Fault(f"{place}: a date, {cell}: {which} reads it", (("date_format", doubtful[0]),))
    if has_commas:
        return Fault(
            f"{place}: a decimal comma in {cell}: {spelling.given('decimal', ',')} reads it", (("decimal", ","),)
        )
    if not is_mixed:
        length = f" of up to {longest} characters" if longest > LONGEST else ""
        words = f"{place}: text with {len(distinct)} different values{length} in {present} rows, such as {cell}"
        leaving_out = f"{dropping} or {spelling.name('ids')} leaves it out"
        return Fault(f"{words}: {leaving_out}, {as_categories} takes it all the same", (drop,))
    words = f"{place}: must hold numbers, as most of the column does, got {cell}: {dropping} leaves the column out, "
    if len(strange) > MOST_STRANGE:
        return Fault(f"{words}{as_categories} takes its values for categories", (drop,))
    options = _as_missing(strange.sort().to_list(), drop)
    return Fault(f"{words}{spelling.name('na')} takes this for a missing value", options)


def _categories(table: Table, text: pl.Series, different: pl.Series) -> _Found:
    """A column of text as categories, the first of which in sorted order is the reference.

    `different` are the different cells of the column.
    """
    levels = _cells.text(different, table.format.na).drop_nulls().unique().sort().to_list()
    places, _ = _cells.codes(text, different, levels, table.format.na)
    return _Found(Column(text.name, "categories", levels), _array(places))


def _dates(column: pl.Series, format: str | None) -> _Found:
    """Dates, as days since the first of them."""
    moments = column if format is None else _cells.parsed(column.str.strip_chars(), format)
    first: Any = moments.min()
    since = datetime.date(first.year, first.month, first.day)
    days = _array(_cells.days(column, format, since))
    return _Found(Column(column.name, "date", since=since.isoformat(), format=format), days)


def _with_missing(found: _Found, asked: Asked, spelling: Spelling) -> _Found | Fault:
    """The column with the value that fills missing ones, and whether a feature indicates them; a fault if values are
    missing and the option `missing` is not given."""
    column, values, _ = found
    if are_finite(values) or asked.missing == "drop":
        return found
    missing = np.isnan(values)
    count = int(missing.sum())
    if not count:
        return found
    if asked.missing is None:
        share = f"{count} of {len(values)} are missing" if count > 1 else f"the only one of {len(values)}"
        most = 2 * count > len(values)
        choice = ("drop", column.name) if most else ("missing", "drop")
        ways = spelling.choices("missing", *FILLS) + (f", or {spelling.given(*choice)}" if most else "")
        place = f"column {column.name!r}, data row {missing.argmax() + 1}"
        return Fault(f"{place}: missing value, {share}: {ways}", (choice,))
    fill: float | str | None
    if column.kind == "categories":
        most_frequent = column.levels[int(np.bincount(values[~missing].astype(np.intp)).argmax())]
        fill = None if asked.missing == "indicator" else most_frequent
    else:
        with np.errstate(all="ignore"):
            fill = float(np.nanmean(values))
    return found._replace(column=replace(column, fill=fill, indicator=asked.missing == "indicator"))


def _finite(cells: pl.Series, found: _Found | Fault) -> _Found | Fault:
    """The column; a fault if one of its numbers, or the mean that fills missing values, is infinite."""
    if isinstance(found, Fault) or are_finite(found.values):
        return found
    name, drop = found.column.name, ("drop", found.column.name)
    infinite = np.isinf(found.values)
    if infinite.any():
        row = int(infinite.argmax())
        cell = cells[row]
        words = f"column {name!r}, data row {row + 1}: must hold finite numbers, got {short(cell)}"
        return Fault(words, _as_missing([cell], drop))
    if found.column.fill is not None and not math.isfinite(float(found.column.fill)):
        return Fault(f"column {name!r}: numbers too large for a mean", (drop,))
    return found


def _as_missing(cells: Sequence[Any], drop: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """The options that take these cells for missing values; `drop` if a cell is no text, or too long to be written."""
    are_short = all(isinstance(cell, str) and len(cell) <= LONGEST_MISSING for cell in cells)
    return tuple(("na", cell) for cell in cells) if are_short else (drop,)


def _doubt(table: Table, name: str, cell: str | None) -> Fault | None:
    """A fault about a cell with a comma that may be a decimal comma or a thousands separator; None without doubt.

    There is no doubt if the decimal sign is given, or if commas separate the cells of the file.
    """
    if cell is None or "," not in cell or table.format.decimal is not None or table.delimiter == ",":
        return None
    ways = " or ".join(table.spelling.given("decimal", sign) for sign in ",.")
    words = f"column {name!r}: {short(cell)} may have a decimal comma or a thousands separator: {ways}"
    return Fault(words, (("decimal", ","),))


def _read(table: Table, column: pl.Series, spec: Column, unknown: str | None) -> Array:
    """A column as numbers, by its kind when the model was trained; a ValueError for a cell that does not fit."""
    na, place = table.format.na, f"column {spec.name!r}"

    def refuse(strange: pl.Series, expected: str, advice: str = "") -> TableError:
        row = text.is_in(strange.implode()).arg_max() or 0
        got = f"got {short(text[row].strip())}{table.hint(row)}{advice}"
        return table.error(f"{place}, data row {row + 1}: must hold {expected}, {got}")

    is_day = column.dtype in (pl.Date, pl.Datetime)
    if spec.kind == "number" and (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return _plain_numbers(table, column)
    if spec.kind == "date" and is_day:
        return _array(_cells.days(column, None, datetime.date.fromisoformat(str(spec.since))))
    if spec.kind == "categories" and not _has_text(column):
        column = column.cast(pl.String)
    if not _has_text(column):
        expected = {"number": "numbers", "date": "dates", "categories": "categories"}[spec.kind]
        raise table.error(f"{place} must hold {expected}, got values of type {column.dtype}")
    text = _text(column)
    if spec.kind == "number":
        read = _cells.numbers(text, table.format.decimal or ".", na)
        if len(read.strange):
            has_commas = table.format.decimal is None and not len(_cells.numbers(read.strange, ",").strange)
            advice = f": a decimal comma, {table.spelling.given('decimal', ',')} reads it" if has_commas else ""
            raise refuse(read.strange, "numbers", advice)
        if doubt := _doubt(table, spec.name, read.written):
            raise TableError(table.where, [doubt], table.spelling)
        return _array(read.values)
    if spec.kind == "date":
        format = spec.format or _cells.DATES[0]
        days = _cells.days(text, format, datetime.date.fromisoformat(str(spec.since)))
        wrong = text.filter(days.is_null() & _cells.text(text, na).is_not_null())
        if len(wrong):
            raise refuse(wrong, f"dates as {format}")
        return _array(days)
    places, strange = _cells.codes(text, text.unique().drop_nulls(), spec.levels, na)
    if len(strange) and unknown != "reference":
        reference = spec.levels[0]
        advice = f"; {table.spelling.given('unknown', 'reference')} takes it for {reference!r}"
        raise refuse(strange, f"one of the categories {few(spec.levels)}", advice)
    if len(strange):
        places = places.fill_null(_cells.mapped(text, strange, pl.repeat(0.0, len(strange), eager=True)))
    return _array(places)


def _has_text(column: pl.Series) -> bool:
    return column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)


def _text(column: pl.Series) -> pl.Series:
    return column if column.dtype == pl.String else column.cast(pl.String)


def _plain_numbers(table: Table, column: pl.Series) -> Array:
    """A column that holds numbers as float64; NaN for null, and for numbers that stand for missing values."""
    numbers = _array(column.cast(pl.Float64))
    if table.format.na:
        for missing in _cells.numbers(pl.Series(table.format.na)).values.drop_nulls():
            numbers = np.where(numbers == missing, math.nan, numbers)
    return numbers


def _array(column: pl.Series) -> Array:
    """The column as an array, with NaN for null."""
    return column.fill_null(math.nan).to_numpy() if column.null_count() else column.to_numpy()


def _counts(numbers: Array) -> bool:
    """Whether the numbers are least, least + 1, least + 2, …, in some order."""
    least, most, rows = float(numbers.min()), float(numbers.max()), len(numbers)
    return most - least == rows - 1 and np.array_equal(np.sort(numbers), least + np.arange(rows))


def _remarks(encoding: Encoding, values: Sequence[Array]) -> dict[str, str]:
    """Remarks on columns that are constant, the same as one before them, or number the rows; by the column's name."""
    remarks: dict[str, str] = {}
    seen: dict[tuple[float, ...], list[tuple[str, Array]]] = {}
    for column, numbers in zip(encoding.columns, values, strict=True):
        # For most columns, a few rows already show that they are neither constant nor the same as another one.
        sample = numbers[:: len(numbers) // SAMPLED + 1]
        key = tuple(sample.tolist())
        same = [name for name, other in seen.get(key, []) if np.array_equal(numbers, other)]
        seen.setdefault(key, []).append((column.name, numbers))
        if (sample == sample[0]).all() and (numbers == numbers[0]).all():
            remarks[column.name] = "is constant"
        elif same:
            remarks[column.name] = f"is the same as {same[0]!r}"
        elif len(numbers) >= LEAST_NUMBERED and (sample % 1 == 0).all() and _counts(numbers):
            remarks[column.name] = NUMBERS_ROWS
    return remarks
