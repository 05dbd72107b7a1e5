"""Options that say how a file is written and what its columns are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gradstep._encoding import Format, is_delimiter, is_text_encoding
from gradstep._kinds import Asked

Command = TypeVar("Command", bound=Callable[..., Any])


class Delimiter(click.ParamType[Any]):
    """One character; a tab may be written as a word."""

    name = "character"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        character = {"tab": "\t", "\\t": "\t"}.get(value, str(value))
        if not is_delimiter(character):
            self.fail(f"{value!r} is not one ASCII character, or tab.", param, ctx)
        return character


class TextEncoding(click.ParamType[Any]):
    """An encoding of text that Python knows."""

    name = "encoding"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_text_encoding(value):
            self.fail(f"{value!r} is not an encoding that Python knows, such as utf-8, latin-1 or cp1252.", param, ctx)
        return str(value)


def _several(name: str, dest: str, help: str) -> Callable[[Command], Command]:
    return click.option(name, dest, metavar="COLUMN,…", multiple=True, help=help)


FORMAT = (
    click.option("--delimiter", metavar="C", type=Delimiter(), help="What is between cells, or tab.  [default: look]"),
    click.option("--decimal", type=click.Choice((".", ",")), help="The decimal sign.  [default: .]"),
    click.option("--encoding", metavar="NAME", type=TextEncoding(), help="Of the file's text.  [default: utf-8]"),
    click.option("--na", metavar="TEXT", multiple=True, help="Stands for a missing value, beside NA, ? and such."),
)
"""Options of the commands that read a file. `train` keeps them in the model. `predict` and `report` use the options in
the model; if a file is written in another way than the file of the training, they can be given options instead."""

WEIGHT = click.option("--weight", metavar="COLUMN", help="Column with the weights of the rows, such as counts.")
OFFSET = click.option(
    "--offset", metavar="COLUMN", help="Column with the part of the log-odds that is known. Two classes."
)
COLUMNS = (
    _several("--features", "features", "The columns to train on.  [default: all but the target]"),
    _several("--drop", "drop", "Columns to leave out."),
    _several("--categorical", "categorical", "Columns whose values are categories, though they are numbers or many."),
    _several("--id", "ids", "Columns that say which row it is: not trained on, and kept by predict."),
    WEIGHT,
    OFFSET,
    click.option(
        "--positive",
        metavar="VALUE",
        help="Of two classes, the one whose probability is given.  [default: the second]",
    ),
    click.option(
        "--missing",
        type=click.Choice(("drop", "mean", "indicator")),
        help="Where values are missing: drop the row; or put in the mean, or the most frequent category; or that, and "
        "a feature that says where.  [default: refuse them]",
    ),
    click.option("--date-format", metavar="FORMAT", help="How dates are written, such as %d/%m/%Y.  [default: look]"),
)


NAMES = ("features", "drop", "categorical", "ids", "positive", "missing", "date_format")
FORMAT_NAMES = ("delimiter", "decimal", "encoding", "na")
"""The names that options have in Python: `NAMES` those of `COLUMNS`, except weight and offset; `FORMAT_NAMES` those of
`FORMAT`."""


def options(*several: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Give a command these options, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


def format_of(given: dict[str, Any]) -> Format:
    """The `Format` of a file by the options for it."""
    names = ("delimiter", "decimal", "encoding")
    return Format(**{name: given[name] for name in names}, na=list(given["na"]))


def asked_of(given: dict[str, Any]) -> Asked:
    """The options about columns, as `Asked`."""
    return Asked(weight=given.get("weight"), offset=given.get("offset"), **{name: given[name] for name in NAMES})
