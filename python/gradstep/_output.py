"""Output of the commands: results to stdout, messages of one line to stderr."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from gradstep import _words
from gradstep._model import Model
from gradstep._report._sections import Section
from gradstep._training import Record

CLOSED_PIPE = 141

_FACTS = {
    "start": ("start", "{}"),
    "loss": ("loss", "{:.6f}"),
    "misclassified": ("misclassified", "{:.2%}"),
    "accuracy": ("accuracy", "{:.2%}"),
    "optimum": ("optimum", "{}"),
    "epochs": ("n_epochs", "{}"),
}
"""Facts that are shown about a model: the name that is printed, the key in the result, and the format."""
_DETAILS = {
    "objective": ("objective", "{:.6f}"),
    "gradient norm": ("gradient_norm", "{:.1e}"),
    "passes": ("passes", "{:.1f}"),
    "solver": ("solver", "{}"),
    "stopped by": ("stop_reason", "{}"),
}


class Log:
    """Collects a record for each epoch of a descent; if `prints`, also prints each as a line of a table."""

    def __init__(self, prints: bool) -> None:
        self.prints = prints
        self.records: list[Record] = []

    def __call__(self, record: Record) -> None:
        self.records.append(record)
        if not self.prints:
            return
        epoch, (name, error), accuracy = record["epoch"], list(record.items())[1], percent(record["accuracy"])
        head = f"epoch  {name:>10}  accuracy\n" if len(self.records) == 1 else ""
        emit(f"{head}{epoch:5}  {error:>{max(10, len(name))}.6f}  {accuracy:>8}\n")

    def with_history(self, model: Model) -> str:
        """The text of the model file, with the records as a further field, "history"."""
        return extended(model, history=self.records)


def extended(model: Model, **more: Any) -> str:
    """The text of the model file, with further fields."""
    return json.dumps({**json.loads(model.to_json()), **more}, indent=2, ensure_ascii=False) + "\n"


def errors(records: Sequence[dict[str, Any]]) -> str:
    """The errors of a cross-validation, one line for each strength."""
    formats = {"strength": "{:.6g}", "nonzero": "{}", "loss": "{:.6f}", "standard_error": "{:.6f}", "mark": "{}"}
    rows = [[form.format(row[name]) for name, form in formats.items()] for row in records]
    return grid(["strength", "columns", "loss", "±", ""], rows)


def summary(model: Model, details: bool = False, weights: bool = True) -> str:
    """The facts of a model as a table: rows, columns, classes, errors; and below it the weights of each feature."""
    facts = [
        ("rows", f"{model.result['rows']}"),
        ("features", f"{len(model.features)}"),
        ("target", model.target),
        ("standardized", "yes" if model.standardize else "no"),
        _classes(model),
    ]
    result = {**model.result, "optimum": _optimum(model), "start": model.options.get("start")}
    for name, (key, form) in (_FACTS | _DETAILS if details else _FACTS).items():
        if (value := result.get(key)) is not None:
            facts.append((name, form.format(value).replace("%", " %")))
    if not weights:
        return grid(None, facts)
    header = ["feature", *(["weight"] if len(model.classes) == 2 else map(str, model.classes))]
    of_features, bias = np.atleast_2d(model.weights).T, np.atleast_1d(model.bias)
    rows = [
        (name, *(f"{value:.6g}" for value in values))
        for name, values in zip([*model.features, "(bias)"], [*of_features, bias], strict=True)
    ]
    return grid(None, facts) + "\n" + grid(header, rows)


def tables(sections: Sequence[Section]) -> str:
    """The tables of a report, each with its title."""
    shown = []
    for section in sections:
        title = f"{section.title}: {section.said}" if section.said else section.title
        shown.append(f"{visible(title)}\n{grid(section.header or None, section.rows)}")
    return "\n".join(shown)


def _classes(model: Model) -> tuple[str, str]:
    if len(model.classes) > 2:
        return "classes", ", ".join(map(str, model.classes))
    return "predicts" if model.activation == "step" else "probability of", str(model.classes[1])


def _optimum(model: Model) -> str | None:
    """Says whether the model is proved to be the optimum; None for a model trained by gradient descent."""
    result: dict[str, Any] = model.result
    if "converged" not in result:
        return None
    gap = math.inf if result["gap"] is None else result["gap"]
    return _words.state(result["converged"], gap, result["stop_reason"])


def line(model: Model) -> str:
    """The equation of the line on which both classes are equally probable; for two classes and two features."""
    w1, w2, b = np.append(model.weights, model.bias)
    return f"{w1:.6f}·x1 {w2:+.6f}·x2 {b:+.6f} = 0".replace(" +", " + ").replace(" -", " - ")


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def visible(text: str) -> str:
    """The text with unprintable characters, which could control the terminal, written as escape sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def grid(header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns as plain text, never cut or wrapped to the width of the terminal."""
    table = Grid(box=None, show_header=header is not None, pad_edge=False, padding=(0, 2, 0, 0))
    for j, name in enumerate(header or rows[0]):
        right = header is not None and (j > 0 or name == "epoch")
        table.add_column(Text(visible(name)), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=1_000_000, color_system=None, legacy_windows=False).print(table)
    return "".join(f"{text.rstrip()}\n" for text in buffer.getvalue().splitlines())


def emit(result: str | bytes) -> None:
    """Write a result to stdout and flush it, so that errors in writing are raised here."""
    if sys.stdout is None:  # the parent process has closed it
        return
    data = result.encode(sys.stdout.encoding, "replace") if isinstance(result, str) else result
    try:
        sys.stdout.flush()
        rest = memoryview(data)
        # An unbuffered stream may write only a part, if a disk gets full or a pipe is closed.
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        # Redirects stdout to the null device: writing the rest of the buffer when Python exits would fail again.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(CLOSED_PIPE) from None
        raise OSError(error.errno, error.strerror, "standard output") from None


def say(message: str, more: Sequence[str] = ()) -> None:
    """Write a message to stderr in one line, and the lines `more` below it."""
    click.echo("\n  ".join([f"gradstep: {visible(message)}", *map(visible, more)]), err=True)
