"""The encoding of the columns of a table as features. It is kept in the model file, and applied again to new rows."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep import _document as document

Array: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["number", "categories", "date"]

KINDS = ("number", "categories", "date")
BLOCK = 4096
"""The number of rows in a block of `Encoding.matrix`."""
MISSING = ("refuse", "drop", "mean", "indicator")
"""The ways to treat missing values."""


@dataclass(frozen=True)
class Column:
    """A column of the table, and the features that it becomes."""

    name: str
    kind: Kind = "number"
    levels: list[str] = field(default_factory=list)
    """For categories, all values. The first is the reference, without a feature. Each other value has a feature, which
    is 1 in the rows with this value, else 0."""
    since: str | None = None
    """For dates: the day from which days are counted, in the form 2024-01-31."""
    format: str | None = None
    """For dates in a text file: their format, written as for strftime."""
    fill: float | str | None = None
    """The value that replaces a missing value: a number (for dates, a number of days), or for categories a level."""
    indicator: bool = False
    """Whether the last feature is 1 where the value is missing, else 0."""

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        own = [f"{self.name}={level}" for level in self.levels[1:]] if self.kind == "categories" else [self.name]
        return [*own, f"{self.name} missing"] if self.indicator else own

    @property
    def takes_missing(self) -> bool:
        """Whether the column has an encoding for missing values. A missing value is encoded as the value `fill`; or, in
        categories with an indicator, by the indicator alone: 1, with 0 in all other features."""
        return self.fill is not None or (self.indicator and self.kind == "categories")

    def write(self, values: Array, X: Array) -> None:
        """Write the features, which are the columns of `X`.

        `values` has the column's numbers: for categories the positions in `levels`. There, NaN is a missing value. If
        the column has no encoding for missing values, its features are NaN in such a row, except the indicator.
        """
        missing = np.isnan(values)
        if self.fill is not None and missing.any():
            fill = self.levels.index(str(self.fill)) if self.kind == "categories" else self.fill
            values = np.where(missing, fill, values)
        if self.indicator:
            X[:, -1] = missing
        if self.kind != "categories":
            X[:, 0] = values
            return
        for j in range(1, len(self.levels)):
            X[:, j - 1] = values == j
        if not self.indicator:
            X[np.isnan(values)] = np.nan

    def describe(self) -> list[tuple[str, str]]:
        """All that is done to the column, in words, as pairs: a kind of treatment, and the column with the details.

        Empty for a column whose numbers are taken as they are.
        """
        name, said = repr(self.name), []
        if self.kind == "categories":
            said.append(("categories", f"{name} (against {self.levels[0]!r})"))
        if self.kind == "date":
            said.append(("dates, as days", f"{name} (since {self.since})"))
        if self.indicator:
            said.append(("missing values", f"{name} (a feature says where)"))
        elif self.fill is not None:
            fill = f"{self.fill:.6g}" if isinstance(self.fill, float) else repr(self.fill)
            said.append(("missing values", f"{name} ({fill})"))
        return said

    def to_document(self) -> dict[str, Any]:
        """The column as the model file has it. Fields that do not apply to the column are left out."""
        parts: dict[str, Any] = {"name": self.name, "kind": self.kind}
        for name in ("levels", "since", "format", "fill", "indicator"):
            value = getattr(self, name)
            if not (value is None or value is False or value == []):
                parts[name] = value
        return parts

    @classmethod
    def from_document(cls, value: object) -> Column:
        """The column that a part of a model file describes; ValueError if it describes none."""
        parts: dict[str, object] = {"levels": [], "since": None, "format": None, "fill": None, "indicator": False}
        parts |= document.mapping(value)
        kind: Any = document.field(parts, "kind", lambda value: document.choice(value, KINDS))
        levels = document.field(parts, "levels", document.names if kind == "categories" else _nothing) or []

        def fill(value: object) -> float | str | None:
            if value is None:
                return None
            return document.choice(value, levels) if kind == "categories" else document.number(value)

        return cls(
            name=document.field(parts, "name", document.text),
            kind=kind,
            levels=levels,
            since=document.field(parts, "since", _day if kind == "date" else _nothing),
            format=document.field(parts, "format", _text_or_none if kind == "date" else _nothing),
            fill=document.field(parts, "fill", fill),
            indicator=document.field(parts, "indicator", document.flag),
        )


@dataclass(frozen=True)
class Format:
    """How a text file is written. None in a field means the usual way."""

    delimiter: str | None = None
    """The character between cells; usual is a comma or, if the first line has no comma, a tab, semicolon or |."""
    decimal: str | None = None
    """The decimal sign, "." or ","; a point is usual."""
    encoding: str | None = None
    """Python's name for the encoding of the text; UTF-8 is usual."""
    na: list[str] = field(default_factory=list)
    """Texts that stand for a missing value, in addition to the usual ones."""

    def over(self, other: Format) -> Format:
        """This format, with the values of `other` where this one has None or an empty list."""
        return Format(*(own or others for own, others in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Encoding:
    """How a table becomes a matrix of features."""

    columns: list[Column]
    missing: str = "refuse"
    """The way in which missing values were treated in training: one of `MISSING`."""
    ids: list[str] = field(default_factory=list)
    """Columns that identify the rows: no features, but kept beside predictions."""
    format: Format = field(default_factory=Format)

    @classmethod
    def of_numbers(cls, names: Sequence[str]) -> Encoding:
        """Columns of numbers, which are taken as they are."""
        return cls([Column(name) for name in names])

    @property
    def names(self) -> list[str]:
        """The names of the columns that are read from the table."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return [feature for column in self.columns for feature in column.features]

    @property
    def is_numbers(self) -> bool:
        """Whether every column holds numbers."""
        return all(column.kind == "number" for column in self.columns)

    def check(self, values: Sequence[Array], where: str, *, refuse: bool, advice: str = "") -> None:
        """Raise a ValueError for the first infinite number. With `refuse`, raise it also for the first missing value of
        a column that has no encoding for missing values."""
        for column, numbers in zip(self.columns, values, strict=True):
            if are_finite(numbers):
                continue
            bad = ~np.isfinite(numbers) if refuse and not column.takes_missing else np.isinf(numbers)
            if bad.any():
                row = int(bad.argmax())
                missing = f"missing value{advice}"
                what = missing if np.isnan(numbers[row]) else f"must hold finite numbers, got {numbers[row]}"
                raise ValueError(f"{where}: column {column.name!r}, data row {row + 1}: {what}")

    def incomplete(self, values: Sequence[Array]) -> NDArray[np.bool_]:
        """Which rows have a missing value in a column that has no encoding for missing values."""
        rows = np.zeros(len(values[0]), dtype=bool)
        for column, numbers in zip(self.columns, values, strict=True):
            if not column.takes_missing and not are_finite(numbers):
                rows |= np.isnan(numbers)
        return rows

    def matrix(self, values: Sequence[Array]) -> Array:
        """The features of every row, from the numbers of the columns.

        Where a column has no encoding for missing values, a missing value stays NaN.
        """
        X = np.empty((len(values[0]), len(self.features)))
        ends = np.cumsum([len(column.features) for column in self.columns]).tolist()
        # X is written by blocks of rows: a block stays in the cache while column after column is written into it.
        for rows in (slice(first, first + BLOCK) for first in range(0, len(X), BLOCK)):
            for column, numbers, end in zip(self.columns, values, ends, strict=True):
                column.write(numbers[rows], X[rows, end - len(column.features) : end])
        return X

    def describe(self) -> list[str]:
        """All that is done to the columns, in words: a line for each kind of treatment."""
        lines: dict[str, list[str]] = {}
        for column in self.columns:
            for what, said in column.describe():
                lines.setdefault(what, []).append(said)
        return [f"{what}: {', '.join(said)}" for what, said in lines.items()]

    def to_document(self) -> dict[str, Any]:
        """The encoding as the model file has it."""
        return {
            "columns": [column.to_document() for column in self.columns],
            "missing": self.missing,
            "ids": self.ids,
            "format": vars(self.format),
        }

    @classmethod
    def from_document(cls, value: object) -> Encoding:
        """The encoding that a part of a model file describes; ValueError if it describes none."""
        parts = document.mapping(value)
        format = document.field(parts, "format", document.mapping)

        def written(name: str, is_one: Callable[[str], bool]) -> str | None:
            def read(value: object) -> str | None:
                if (words := _text_or_none(value)) is not None and not is_one(words):
                    raise document.refusal("be one that can be read with", words)
                return words

            return document.field(format, name, read)

        def decimal(value: object) -> str | None:
            return None if value is None else document.choice(value, (".", ","))

        def texts(value: object) -> list[str]:
            return document.items(value, document.text)

        columns = document.field(parts, "columns", lambda value: document.items(value, Column.from_document))
        document.names([column.name for column in columns])
        return cls(
            columns=columns,
            missing=document.field(parts, "missing", lambda value: document.choice(value, MISSING)),
            ids=document.field(parts, "ids", texts),
            format=Format(
                delimiter=written("delimiter", is_delimiter),
                decimal=document.field(format, "decimal", decimal),
                encoding=written("encoding", is_text_encoding),
                na=document.field(format, "na", texts),
            ),
        )


def are_finite(numbers: Array) -> bool:
    """Whether the sum of the numbers is finite: then all numbers are finite. The test is quick, but also False if a sum
    of finite numbers overflows."""
    with np.errstate(all="ignore"):
        return math.isfinite(numbers.sum())


def is_delimiter(text: str) -> bool:
    """Whether this text may separate the cells of a file."""
    return len(text) == 1 and text.isascii() and text not in '"\r\n'


def is_text_encoding(name: str) -> bool:
    """Whether Python has an encoding of text by this name."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _nothing(value: object) -> None:
    if value not in (None, []):
        raise document.refusal("be left out where it does not apply", value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else document.text(value)


def _day(value: object) -> str:
    day = document.text(value)
    try:
        is_day = datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        is_day = False
    if not is_day:
        raise document.refusal("be a day such as 2024-01-31", day)
    return day
