"""Columns of text converted to numbers, booleans and days; a cell that cannot be converted becomes null."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

HEAD = 1000
"""The number of cells at the start of a column that decide whether the column is taken for numbers or for words."""
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "?")
"""Texts that stand for a missing value."""
TRUTH = {"true": True, "false": False}

DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
)
"""Formats of dates that can be read in one way only."""
DOUBTFUL_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
"""Formats in which the same text may mean two different days, or which have words of one language."""

_DATE = r"^(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2} [A-Za-z]{3} \d{4}$|[A-Za-z]{3} \d{1,2}, \d{4}$)"
_CURRENCY = "[$€£¥₹]"
_SPACES = r"\s'’"
"""Characters that may separate groups of three digits, beside comma and point; \\s includes non-breaking spaces."""
_MICROSECONDS_OF_A_DAY = 86_400_000_000


class Numbers(NamedTuple):
    """A column of text as numbers."""

    values: pl.Series
    """The numbers, float64: null where a cell is no number, and null or NaN where a value is missing."""
    strange: pl.Series
    """The distinct cells that are neither numbers nor texts for a missing value."""
    numbered: int
    """How many cells are numbers."""
    written: str | None
    """A cell that people read as a number and computers do not, such as 1,234; None if there is none."""
    different: pl.Series
    counts: pl.Series
    """`different` has the distinct cells that are not numbers as computers write them, and `counts` how often each of
    them occurs."""


def text(column: pl.Series, na: Sequence[str] = ()) -> pl.Series:
    """The cells without spaces around them, null where a value is missing."""
    return column.cast(pl.String).str.strip_chars().replace([*MISSING, *na], None)


def truth(column: pl.Series) -> pl.Series:
    """Booleans where the text is true or false in any case, else null."""
    return column.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)


def numbers(column: pl.Series, decimal: str = ".", na: Sequence[str] = ()) -> Numbers:
    """The cells of a column of text as numbers; true is 1, and false is 0."""
    if na:
        column = _unless(column.str.strip_chars().is_in(list(na)).fill_null(False), column)
    # If most of the first cells are words, the other cells are likely to be words too. Words repeat, so each distinct
    # cell is then converted only once.
    are_words = _plain(column.head(HEAD), decimal).null_count() > HEAD // 2
    values = pl.repeat(None, len(column), dtype=pl.Float64, eager=True) if are_words else _plain(column, decimal)
    odd = column if are_words else column.filter(values.is_null())
    plain = len(column) - values.null_count()
    different, counts = counted(odd)
    if not len(different):
        return Numbers(values, different, plain, None, different, counts)
    cells = text(different, na)
    usual = truth(cells).cast(pl.Float64).fill_null(_plain(cells, decimal))
    read = usual.fill_null(_as_people_write(cells, decimal))
    is_read = read.is_not_null()
    if is_read.any():
        values = values.fill_null(mapped(column, different.filter(is_read), read.filter(is_read)))
    unusual = cells.filter(is_read & usual.is_null())
    return Numbers(
        values,
        different.filter(cells.is_not_null() & ~is_read),
        plain + int(counts.filter(is_read).sum()),
        _first(unusual),
        different,
        counts,
    )


def _first(cells: pl.Series) -> str | None:
    """The first, in sorted order, of the cells with a comma, which may be a decimal sign or separate groups of digits.
    If no cell has a comma, the first of all cells; None if there are no cells."""
    with_comma = cells.filter(cells.str.contains(",", literal=True))
    cell = (with_comma if len(with_comma) else cells).min()
    return None if cell is None else str(cell)


def counted(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The distinct cells that are not null, and how often each of them occurs."""
    counts = column.rename("cell").value_counts(name="count").filter(pl.nth(0).is_not_null())
    return counts.to_series(0), counts["count"]


def _plain(column: pl.Series, decimal: str) -> pl.Series:
    """Numbers as computers write them, else null."""
    if decimal != ".":  # then a point separates groups of digits, or is wrong
        column = _unless(column.str.contains(".", literal=True).fill_null(False), column)
        column = column.str.replace(decimal, ".", literal=True)
    return column.cast(pl.Float64, strict=False)


def _as_people_write(cells: pl.Series, decimal: str) -> pl.Series:
    """The numbers in cells with groups of three digits, a currency sign or a per cent sign; null for other cells. A
    number with a per cent sign is divided by 100."""
    group = "," if decimal == "." else "."
    pattern = (
        rf"^[-+−]?\s*{_CURRENCY}?\s*(?:[1-9]\d{{0,2}}(?:[{group}{_SPACES}]\d{{3}})+|\d+)?(?:\{decimal}\d*)?"
        rf"(?:[eE][-+]?\d+)?\s*(?:{_CURRENCY}|%)?$"
    )
    digits = _unless(~cells.str.contains(pattern), cells).str.replace_all(rf"[{group}{_SPACES}%$€£¥₹]", "")
    digits = digits.str.replace("−", "-", literal=True).str.replace(decimal, ".", literal=True)
    hundredth = cells.str.ends_with("%").cast(pl.Int32)
    return digits.cast(pl.Float64, strict=False) / (1 + 99 * hundredth)


def _unless(mask: pl.Series, column: pl.Series) -> pl.Series:
    """The column, with null where the mask is true."""
    return pl.select(pl.when(~mask).then(column)).to_series()


def mapped(column: pl.Series, old: pl.Series, new: pl.Series) -> pl.Series:
    """The column with each of the cells `old` replaced by the number at its place in `new`, and all others by null."""
    if column.dtype != pl.String or old.null_count():
        return column.replace_strict(old, new, default=None, return_dtype=pl.Float64)
    # A cast to an Enum of the few distinct texts gives the position of each cell in `old`, faster than a replacement.
    return new.cast(pl.Float64).gather(column.cast(pl.Enum(old), strict=False).to_physical())


def codes(
    column: pl.Series, cells: pl.Series, levels: Sequence[str], na: Sequence[str] = ()
) -> tuple[pl.Series, pl.Series]:
    """The position in `levels` of each cell of a column, null for a cell that is no level; and the strange cells.

    `cells` are the distinct cells of the column. A cell is strange if it is neither a level nor a missing value.
    """
    stripped = text(cells, na)
    places = stripped.replace_strict(list(levels), list(range(len(levels))), default=None, return_dtype=pl.Float64)
    return mapped(column, cells, places), cells.filter(stripped.is_not_null() & places.is_null())


def days(column: pl.Series, format: str | None, since: datetime.date) -> pl.Series:
    """The days, with fractions, from the day `since` to each date; null where a cell is no date.

    `format` is the format of the dates if the column is text, and None if polars has the column as dates.
    """
    moments = column if format is None else parsed(column.str.strip_chars(), format)
    start = datetime.datetime(since.year, since.month, since.day)
    return (moments.cast(pl.Datetime("us")) - start).dt.total_microseconds() / _MICROSECONDS_OF_A_DAY


def parsed(cells: pl.Series, format: str) -> pl.Series:
    """The dates and times that texts in this format mean; null for other texts."""
    if any(part in format for part in ("%H", "%I", "%T", "%R")):
        return cells.str.to_datetime(format, time_unit="us", strict=False)
    return cells.str.to_date(format, strict=False).cast(pl.Datetime("us"))


def date_formats(cells: pl.Series, formats: Iterable[str]) -> list[str]:
    """The formats in which all the cells are dates."""
    first = cells.first()
    if not isinstance(first, str) or not re.match(_DATE, first):
        return []
    return [format for format in formats if not parsed(cells, format).null_count()]
