"""Tables of data files and frames: columns that are not yet converted, and the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradstep._cells import mapped, text, truth
from gradstep._encoding import Format
from gradstep._frames import check_different, column_names
from gradstep._model import Class
from gradstep._spelling import COMMAND_LINE, PYTHON, Spelling

MAX_CLASSES = 1000


class Fault(NamedTuple):
    """Something in a table that must be decided before it can be used."""

    words: str
    options: tuple[tuple[str, str], ...] = ()
    """Options that would settle this fault: pairs of a name and an example value. The names are those of the
    arguments of `gradstep.train`."""


class TableError(ValueError):
    """A table cannot be used. The message has all reasons at once, and an example of options that settle them."""

    def __init__(self, where: str, faults: Sequence[Fault], spelling: Spelling) -> None:
        advice = spelling.advice(option for fault in faults for option in fault.options)
        add = f"for example, add: {advice}"
        self.lines = [f"{where}: {faults[0].words}" + (f"; {add}" if advice else "")]
        if len(faults) > 1:
            self.lines = [f"{where}: {len(faults)} things to decide", *(fault.words for fault in faults), add]
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True)
class Table:
    """The columns of a data file or of a frame, not yet converted."""

    where: str
    """The name of the table in messages: the path of the file, or the name of an argument."""
    frame: pl.DataFrame
    named: bool = True
    """Whether the file itself names its columns; otherwise they are column_1, column_2, …"""
    format: Format = field(default_factory=Format)
    """How the file is written, as far as options say it."""
    delimiter: str = ","
    """The character between the cells of the file."""
    faults: tuple[Fault, ...] = ()
    """What the user must decide before the table is used, although the file could be read."""
    spelling: Spelling = COMMAND_LINE
    """How messages write options."""

    def target(self, name: str) -> tuple[NDArray[np.float64], list[Class]]:
        """The column `name` as codes 0, 1, …, NaN where missing; and the classes that the codes stand for, sorted."""
        column = self.frame[name]
        cells = column.unique(maintain_order=True).drop_nulls()
        values = self._values(column, cells)
        classes = values.drop_nulls().unique().sort()
        places = values.replace_strict(classes, np.arange(len(classes)), default=None, return_dtype=pl.Float64)
        codes = mapped(column, cells, places)
        if problem := _no_classes(classes, len(codes) - codes.null_count()):
            hint = self.hint() if values.dtype == pl.String else ""
            got = f"{len(classes)}: {few(classes)}" if len(classes) else "only missing values"
            raise self.error(f"target {name!r} {problem}, got {got}{hint}")
        return codes.fill_null(math.nan).to_numpy(), classes.to_list()

    def labels(self, name: str, classes: Sequence[Class]) -> NDArray[np.float64]:
        """The column `name` as places in `classes`, NaN where missing.

        Raises
        ------
        ValueError
            If there is no such column, or a cell is none of the classes; the message names the row.
        """
        self.check_name(name)
        column = self.frame[name]
        cells = column.unique(maintain_order=True).drop_nulls()
        shown = cells if column.dtype.is_numeric() or column.dtype == pl.Boolean else text(cells, self.format.na)
        places = {}
        for cell, value in zip(cells, shown, strict=True):
            if value is None or value != value:
                continue
            place = next((k for k, known in enumerate(classes) if stands_for(value, known)), None)
            if place is None:
                where = f"column {name!r}, data row {(column == cell).arg_max() + 1}"
                raise self.error(f"{where}: must hold one of the classes {few(classes)}, got {short(value)}")
            places[cell] = float(place)
        if not places:
            raise self.error(f"column {name!r}: must hold the classes {few(classes)}, got only missing values")
        found = column.replace_strict(places, default=None, return_dtype=pl.Float64)
        return found.fill_null(math.nan).to_numpy()

    def named_by(self, values: Sequence[str]) -> list[str]:
        """The columns that an option names: each value is a name, or names with commas between them."""
        names = [name for value in values for name in ([value] if value in self.frame.columns else value.split(","))]
        for name in names:
            self.check_name(name)
        return names

    def check_name(self, name: str) -> None:
        """Raise a ValueError unless there is a column of this name."""
        if name not in self.frame.columns:
            raise self.error(f"has no column {name!r}; the columns are {few(self.frame.columns)}{self.hint()}")

    def names_for(self, needed: Sequence[str]) -> Sequence[str]:
        """The columns that hold what a model needs: by name, or by position where the file has no header."""
        columns = self.frame.columns
        if not self.named and len(columns) == len(needed):
            return columns
        absent = [name for name in needed if name not in columns]
        if absent and not self.named:
            raise self.error(f"has {len(columns)} columns and no header; the model needs {len(needed)}: {few(needed)}")
        if absent:
            raise self.error(f"lacks {few(absent)}, needed by the model; the columns are {few(columns)}")
        return needed

    def _values(self, column: pl.Series, cells: pl.Series) -> pl.Series:
        """The different cells as integers, floats, booleans or text: the first of these kinds that fits all cells.

        Null where a value is missing.
        """
        values = cells
        if column.dtype.is_decimal() or column.dtype == pl.Int128 or column.dtype == pl.UInt128:
            values = cells.cast(pl.Float64)
        elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
                raise self.error(f"column {column.name!r} must hold classes, got values of type {column.dtype}")
            values = text(cells, self.format.na)
            # If a number has a leading zero, such as 01, no cell is read as a number: 01 and 1 are different classes.
            # If a number has more digits than a float can hold, cells are read as integers, but not as floats.
            spelt, long = (values.str.contains(spelling).any() for spelling in (r"^[+-]?0\d", r"^[+-]?\d{16}"))
            kinds = () if spelt else (pl.Int64, pl.UInt64) if long else (pl.Int64, pl.UInt64, pl.Float64)
            tries = (*(values.cast(kind, strict=False) for kind in kinds), truth(values))
            values = next((other for other in tries if other.null_count() == values.null_count()), values)
        if values.dtype.is_float():
            values = values.fill_nan(None)
            infinite = values.is_infinite().fill_null(False)
            if infinite.any():
                cell = cells.filter(infinite)[0]
                place = f"column {column.name!r}, data row {(column == cell).arg_max() + 1}"
                raise self.error(f"{place}: must hold finite numbers, got {short(cell)}")
        return values

    def hint(self, row: int = 0) -> str:
        """Words for a message about a cell in this row: how to say that the first row is a header.

        Empty for other rows than the first, and if the table has names already.
        """
        said = self.spelling.given("header", True)
        return f" (if the first row is a header, say {said})" if row == 0 and not self.named else ""

    def error(self, words: str) -> TableError:
        """The error about this table."""
        return TableError(self.where, [*self.faults, Fault(words)], self.spelling)


def meant(values: Sequence[str]) -> set[str]:
    """The columns that an option may name: each value, and its parts between commas."""
    return {name for value in values for name in (value, *value.split(","))}


def frame_columns(data: Any) -> list[Any] | None:
    """The names of the columns of a frame, or of a mapping of names to columns; None for anything else."""
    return list(data) if isinstance(data, Mapping) else column_names(data)


def of_frame(data: Any, names: Sequence[Any], format: Format, argument: str = "X") -> Table:
    """These columns of a frame, or of any mapping of names to columns."""
    check_different(argument, names)
    try:
        frame = pl.DataFrame([_series(str(name), data[name]) for name in names])
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{argument} must have columns of one length, got {error}") from None
    return Table(argument, frame, format=format, spelling=PYTHON)


def _series(name: str, column: Any) -> pl.Series:
    if isinstance(column, pl.Series):
        return column.rename(name)
    values = np.asarray(column)
    if values.dtype.kind in "biufM":
        return pl.Series(name, values)
    missing = column.isna() if hasattr(column, "isna") else [value is None for value in values.tolist()]
    cells = [None if none else value for none, value in zip(missing, values.tolist(), strict=True)]
    return pl.Series(name, cells, strict=False)


def _no_classes(values: pl.Series, rows: int) -> str | None:
    """Why the different values of a target cannot be classes; None if they can."""
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


def stands_for(cell: Any, value: Class) -> bool:
    """Whether a cell, text or another value, stands for the class."""
    if isinstance(value, str) or not isinstance(cell, str):
        return isinstance(cell, bool) == isinstance(value, bool) and cell == value
    if isinstance(value, bool):
        return str(value).lower() == cell.lower()
    try:
        return float(cell) == value
    except ValueError:
        return False


def few(values: Sequence[object] | pl.Series, most: int = 8) -> str:
    """The values as an error message names them: the first of them, and how many there are."""
    shown = [short(value) for value in values[:most]]
    return ", ".join(shown if len(values) <= most else [*shown, f"… ({len(values)} in all)"])


def short(value: object) -> str:
    """A value as an error message shows it, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[0] * (text[0] in "'\"")
