"""The commands: arguments in, one fit or one prediction, results to stdout and messages to stderr."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from gradstep import _table
from gradstep._model import Class, Model, Scalar, Standardize, write_file

Array: TypeAlias = NDArray[np.float64]
Callback: TypeAlias = Callable[[int, float, Array, float], bool | None]

BAD_DATA, INTERRUPTED, CLOSED_PIPE = 1, 130, 141
DEMO_SEED = 7
DEMO_ROWS = 100


class FiniteRange(click.FloatRange):
    """A range without nan and inf, which pass every comparison or none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Whole(click.ParamType[Any]):
    """A whole number in a range, or one of some words instead."""

    name = "integer"

    def __init__(self, minimum: int, bits: int, *words: str) -> None:
        self.minimum = minimum
        self.maximum = 2**bits - 1
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value in self.words:
            return str(value)
        try:
            number = int(value)
        except ValueError:
            number = self.minimum - 1
        if not self.minimum <= number <= self.maximum:
            words = "".join(f" or {word!r}" for word in self.words)
            self.fail(f"{value!r} is not a whole number from {self.minimum} to {self.maximum}{words}.", param, ctx)
        return number


COUNT = Whole(1, 63)
BATCH_SIZE = Whole(1, 63, "full")
SEED = Whole(0, 64)
POSITIVE = FiniteRange(min=0, min_open=True)
NOT_NEGATIVE = FiniteRange(min=0)
PATH = click.Path(path_type=Path)

header_option = click.option(
    "--header/--no-header", default=None, help="Whether the first row of a CSV file names the columns.  [default: look]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("gradstep"), prog_name="gradstep")
def cli() -> None:
    """Logistic regression by gradient descent, from a data file to trained weights."""


@cli.command()
@click.option("--epochs", metavar="N", type=COUNT, default=100, show_default=True, help="Passes over the points.")
@click.option(
    "--learning-rate", metavar="A", type=POSITIVE, default=0.01, show_default=True, help="Factor of the steps."
)
@click.option("--seed", metavar="S", type=SEED, default=DEMO_SEED, show_default=True, help="Seed of the points.")
@json_option
def demo(epochs: int, learning_rate: float, seed: int, as_json: bool) -> None:
    """Train on 100 built-in points, one point at a time.

    The points are two overlapping clouds in the plane. Shows the loss and the accuracy on the way, and the line
    that separates the clouds in the end.
    """
    X, y = demo_points(seed)
    history: list[dict[str, float]] = []

    def record(epoch: int, loss: float, weights: Array, bias: float) -> None:
        done = epoch + 1
        if done in (1, epochs) or done % max(1, epochs // 10) == 0:
            history.append({"epoch": done, "loss": loss, "accuracy": accuracy(y, probabilities(X, weights, bias))})

    options = descent_options(learning_rate=learning_rate, epochs=epochs, batch_size=1)
    model = train_model(X, y, ["x1", "x2"], "y", [0, 1], options, standardize=False, callback=record)
    if as_json:
        emit(json.dumps({**json.loads(model.to_json()), "history": history}, indent=2) + "\n")
        return
    rows = [(f"{at['epoch']:.0f}", f"{at['loss']:.6f}", percent(at["accuracy"])) for at in history]
    facts = [("accuracy", f"{rows[-1][-1]} of {len(y)} points"), ("line", "w1·x1 + w2·x2 + b = 0"), ("", line(model))]
    emit(grid(("epoch", "loss", "accuracy"), rows) + "\n" + grid(None, facts))


@cli.command()
@click.argument("file", type=PATH)
@click.option("--target", metavar="COLUMN", help="Column to predict; it has two values.  [default: the last]")
@click.option(
    "--learning-rate", metavar="A", type=POSITIVE, default=0.1, show_default=True, help="Factor of the steps."
)
@click.option("--epochs", metavar="N", type=COUNT, default=100, show_default=True, help="Passes over the rows.")
@click.option(
    "--batch-size", metavar="N|full", type=BATCH_SIZE, default="full", show_default=True, help="Rows per step."
)
@click.option("--shuffle", is_flag=True, help="Take the rows in a new random order in every epoch.")
@click.option("--seed", metavar="S", type=SEED, help="Seed of that order.  [default: drawn, and kept in the model]")
@click.option("--l2", metavar="L", type=NOT_NEGATIVE, default=0.0, help="Add L/2·‖weights‖² to the loss.  [default: 0]")
@click.option(
    "--tol", metavar="T", type=NOT_NEGATIVE, default=0.0, help="Stop once the gradient is within ±T everywhere."
)
@click.option("--standardize", is_flag=True, help="Bring every feature to mean 0 and standard deviation 1 first.")
@header_option
@click.option("--out", type=PATH, metavar="MODEL", help="Write the model to this file, as JSON.")
@json_option
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def train(
    file: Path,
    target: str | None,
    learning_rate: float,
    epochs: int,
    batch_size: int | str,
    shuffle: bool,
    seed: int | None,
    l2: float,
    tol: float,
    standardize: bool,
    header: bool | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train on FILE, CSV or Parquet, and show what was learnt.

    The columns of a CSV file are separated by commas, or by tabs or semicolons if its first line has no comma.
    Every column but the target is a feature and must hold numbers or booleans. The target may hold numbers, text
    or booleans; its two values in sorted order are the classes, and the model gives the probability of the second.
    """
    if seed is not None and not shuffle:
        raise click.UsageError("--seed needs --shuffle.")
    if as_json and quiet:
        raise click.UsageError("--json and --quiet exclude each other.")
    check_out(out, file)

    table = _table.read(file, header)
    target = table.frame.columns[-1] if target is None else target
    y, classes = table.target(target)
    features = [name for name in table.frame.columns if name != target]
    if not features:
        raise ValueError(f"{file}: must have a feature column beside the target {target!r}, got none")
    X = table.features(features)

    seed = secrets.randbits(32) if shuffle and seed is None else seed
    options = descent_options(
        learning_rate=learning_rate, epochs=epochs, batch_size=batch_size, shuffle=shuffle, seed=seed, l2=l2, tol=tol
    )
    with progress(epochs, show=sys.stderr is not None and sys.stderr.isatty() and not quiet) as callback:
        model = train_model(X, y, features, target, classes, options, standardize, callback)

    share = float(y.mean())
    constant = -share * math.log(share) - (1 - share) * math.log(1 - share)
    if not quiet and float(model.result["loss"] or 0) > constant:
        advice = "more --epochs or a smaller --learning-rate" + ("" if standardize else ", or --standardize")
        say(f"note: a constant prediction has a smaller loss ({constant:.6f}); try {advice}")
    if out:
        model.save(out)
    if as_json:
        emit(model.to_json())
    elif not quiet:
        emit(summary(model))


@cli.command()
@click.argument("model_file", metavar="MODEL", type=PATH)
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="Write to this file, .csv or .parquet, instead of stdout.")
@header_option
@json_option
def predict(model_file: Path, file: Path, out: Path | None, header: bool | None, as_json: bool) -> None:
    """Apply MODEL, as written by train, to the rows of FILE.

    Gives one row for each row of FILE: the probability of the model's second class, and the label, which is that
    class from a probability of 0.5 on. Columns are found by name; those that the model does not know are ignored.
    Without a header they are found by position, or by the names column_1, column_2, … that train gave them.
    """
    if out and as_json:
        raise click.UsageError("--json prints to stdout; --out chooses its format by the file's suffix.")
    if out and out.suffix.lower() not in (".csv", *_table.PARQUET_SUFFIXES):
        raise click.BadParameter("must end in .csv or .parquet.", param_hint="'--out'")
    check_out(out, file, model_file)

    model = Model.load(model_file)
    table = _table.read(file, header)
    probability = model.predict_proba(table.features(table.names_for(model.features)))
    if np.isnan(probability).any():
        raise ValueError(f"{file}: data row {np.isnan(probability).argmax() + 1}: numbers too large for the model")
    labels = pl.Series("label", model.classes, strict=False)[(probability >= 0.5).astype(np.int64)]
    frame = pl.DataFrame({"probability": probability, "label": labels})

    if as_json:
        emit(json.dumps(frame.to_dicts(), ensure_ascii=False) + "\n")
        return
    buffer = io.BytesIO()
    if out and out.suffix.lower() in _table.PARQUET_SUFFIXES:
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    if out:
        write_file(out, buffer.getvalue())
    else:
        emit(buffer.getvalue())


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code: 0, 1 for bad data, 2 for bad usage."""
    # A standard stream that the caller has closed would give its number to the next file opened.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    try:
        code = cli.main(args, prog_name="gradstep", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        name = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        say(f"error: {name}{error.strerror or error}")
    except MemoryError:
        say("error: not enough memory")
    except (ValueError, pl.exceptions.PolarsError) as error:
        say(f"error: {error}")
    return BAD_DATA


def demo_points(seed: int) -> tuple[Array, Array]:
    """Two overlapping clouds of points in the plane, in mixed order, and the cloud that each belongs to."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(DEMO_ROWS) % 2).astype(np.float64)
    centres = np.array([[0.0, 0.5], [1.5, 2.0]])
    return centres[y.astype(np.int64)] + 0.6 * rng.standard_normal((DEMO_ROWS, 2)), y


def descent_options(
    *,
    learning_rate: float,
    epochs: int,
    batch_size: int | str,
    shuffle: bool = False,
    seed: int | None = None,
    l2: float = 0.0,
    tol: float = 0.0,
) -> dict[str, Scalar]:
    """The options of a descent as the model file keeps them."""
    return {
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "seed": seed,
        "l2": l2,
        "tol": tol,
        "reduction": "mean",
    }


def train_model(
    X: Array,
    y: Array,
    features: list[str],
    target: str,
    classes: list[Class],
    options: dict[str, Scalar],
    standardize: bool,
    callback: Callback | None,
) -> Model:
    """Fit and describe the fit; a descent that diverged is an error."""
    from gradstep import Trainer

    scaling = Standardize.of(X) if standardize else None
    x = scaling.apply(X) if scaling else X
    usable = np.isfinite(x).all(axis=0) & np.isfinite(scaling.scale if scaling else 1.0)
    if not usable.all():
        raise ValueError(f"column {features[usable.argmin()]!r}: numbers too large to standardize")

    batch_size = options["batch_size"]
    arguments: dict[str, Any] = {**options, "batch_size": None if batch_size == "full" else batch_size}
    fit = Trainer(**arguments).fit(x, y, callback=callback)
    if fit.stop_reason == "diverged":
        advice = "a smaller --learning-rate" + ("" if standardize else " or --standardize")
        raise ValueError(f"diverged in epoch {fit.n_epochs + 1}: its numbers are no longer finite; try {advice}")

    result: dict[str, Scalar] = {
        "rows": len(y),
        "loss": float(fit.history[-1]),
        "accuracy": accuracy(y, probabilities(x, fit.weights, fit.bias)),
        "n_epochs": int(fit.n_epochs),
        "stop_reason": str(fit.stop_reason),
    }
    return Model(
        features, target, classes, fit.weights.tolist(), float(fit.bias), scaling, options, result, version("gradstep")
    )


def probabilities(X: Array, weights: Array, bias: float) -> Array:
    from gradstep import predict_proba

    probability: Array = predict_proba(X, weights, bias)
    return probability


def accuracy(y: Array, probability: Array) -> float:
    """Fraction of the rows whose label, class 1 from a probability of 0.5 on, is right."""
    return float(np.mean((probability >= 0.5) == (y == 1.0)))


@contextmanager
def progress(epochs: int, show: bool) -> Iterator[Callback | None]:
    """A progress bar on stderr and the callback that moves it, or None."""
    if not show:
        yield None
        return
    loss = TextColumn("loss {task.fields[loss]}")
    columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), loss, TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("epoch", total=epochs, loss="…")
        shown = -math.inf

        def move(epoch: int, loss: float, weights: Array, bias: float) -> None:
            nonlocal shown
            # Many epochs take microseconds; the bar must not be what takes the time.
            if time.monotonic() - shown > 0.05:
                bar.update(task, completed=epoch + 1, loss=f"{loss:.6f}")
                shown = time.monotonic()

        yield move


def check_out(out: Path | None, *inputs: Path) -> None:
    """Refuse an output file that cannot be meant or made, before any work is done."""
    if out is None:
        return
    if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
        raise click.BadParameter("is one of the files to read.", param_hint="'--out'")
    if out.exists() and not out.is_file():
        raise ValueError(f"{out}: must be a regular file")
    folder = Path(os.path.realpath(out)).parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", str(folder))
    for path in (folder, out):
        if path.exists() and not os.access(path, os.W_OK):  # a file that may not be written may not be replaced either
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def summary(model: Model) -> str:
    """What was trained and how well, and one line for every weight."""
    result = model.result
    facts = [
        ("rows", f"{result['rows']}"),
        ("features", f"{len(model.features)}"),
        ("target", model.target),
        ("standardized", "yes" if model.standardize else "no"),
        ("classes", ", ".join(f"{value} ({code})" for code, value in enumerate(model.classes))),
        ("loss", f"{result['loss']:.6f}"),
        ("accuracy", percent(float(result["accuracy"] or 0))),
        ("epochs", f"{result['n_epochs']}"),
        ("stopped by", f"{result['stop_reason']}"),
    ]
    weights = [(name, f"{weight:.6g}") for name, weight in zip(model.features, model.weights, strict=True)]
    return grid(None, facts) + "\n" + grid(("feature", "weight"), [*weights, ("(bias)", f"{model.bias:.6g}")])


def line(model: Model) -> str:
    """The line where both classes are equally probable."""
    w1, w2 = model.weights
    return f"{w1:.6f}·x1 {w2:+.6f}·x2 {model.bias:+.6f} = 0".replace(" +", " + ").replace(" -", " - ")


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def visible(text: str) -> str:
    """The text with every character that would move the cursor, or worse, written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def grid(header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns as plain text, never cut or wrapped, whatever the width of the terminal."""
    table = Grid(box=None, show_header=header is not None, pad_edge=False, padding=(0, 2, 0, 0))
    for j, name in enumerate(header or rows[0]):
        right = header is not None and (j > 0 or name == "epoch")
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=1_000_000, color_system=None, legacy_windows=False).print(table)
    return "".join(f"{text.rstrip()}\n" for text in buffer.getvalue().splitlines())


def emit(result: str | bytes) -> None:
    """Write a result to stdout, at once, so that an error in writing is noticed here."""
    if sys.stdout is None:  # closed by the caller
        return
    data = result.encode(sys.stdout.encoding, "replace") if isinstance(result, str) else result
    try:
        sys.stdout.flush()
        rest = memoryview(data)
        while (
            rest
        ):  # an unbuffered stream may take no more than a part of it, when a disk gets full or a pipe is closed
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would fail a second time when the interpreter ends.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(CLOSED_PIPE) from None
        raise OSError(error.errno, error.strerror, "standard output") from None


def say(message: str) -> None:
    """Write one line to stderr."""
    click.echo(f"gradstep: {visible(message)}", err=True)
