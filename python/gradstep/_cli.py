"""The commands: arguments in, one fit or one prediction, results to stdout and messages to stderr."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from gradstep import __version__, _cli_columns, _files, _kinds, _progress, _selection, _table
from gradstep._cli_options import (
    COUNT,
    FOLDS,
    FRACTION,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    RATIO,
    SEED,
    FiniteRange,
    descent_options,
    feature_options,
    header_option,
    json_option,
    l2_option,
    standardize_option,
    target_option,
)  # fmt: skip
from gradstep._cli_outputs import check_out, check_picture, check_suffix, picture_of_training
from gradstep._cli_report import report_command
from gradstep._document import Scalar
from gradstep._model import Class, load, write_file
from gradstep._of_features import OfFeatures, prior_of
from gradstep._output import Log, emit, errors, extended, grid, line, percent, say, summary, tables
from gradstep._report._making import report
from gradstep._spelling import COMMAND_LINE
from gradstep._train import DESCENT, OPTIMUM, SOLVERS, Plan
from gradstep._training import Array, Problem, Trained, descent, numbers_of

BAD_DATA, INTERRUPTED = 1, 130
DEMO_SEED = 7
DEMO_ROWS = 100
LESSON = "--learning-rate 0.01 --epochs 100 --batch-size 1 --log-every 10"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gradstep")
def cli() -> None:
    """Logistic regression by gradient descent, from a data file to trained weights."""


@cli.command()
@click.argument("file", metavar="", required=False)
@click.option(
    "--epochs", metavar="N", type=COUNT, default=DESCENT["epochs"], show_default=True, help="Passes over the points."
)
@click.option("--learning-rate", metavar="A", type=POSITIVE, default=0.01, show_default=True, help="The learning rate.")
@click.option("--seed", metavar="S", type=SEED, default=DEMO_SEED, show_default=True, help="Seed of the points.")
@json_option
def demo(file: str | None, epochs: int, learning_rate: float, seed: int, as_json: bool) -> None:
    """Train on 100 built-in points, one point at a time.

    The points are two overlapping clouds in the plane. Shows the loss and the accuracy on the way, and the line
    that separates the clouds in the end. With points of your own: train.
    """
    if file is not None:
        raise click.UsageError(f"demo has points of its own. For those of a file: gradstep train {file} {LESSON}")
    X, y = demo_points(seed)
    problem = Problem(X, y, ["x1", "x2"], "y", [0, 1])
    options = {**DESCENT, "learning_rate": learning_rate, "epochs": epochs, "batch_size": 1}
    log = Log(prints=not as_json)
    model, notes, *_ = descent(problem, options, standardize=False, log=log, log_every=max(1, epochs // 10))
    for note in notes:
        say(f"note: {note}")
    if as_json:
        emit(log.with_history(model))
        return
    accuracy = percent(log.records[-1]["accuracy"])
    facts = [("accuracy", f"{accuracy} of {len(y)} points"), ("line", "w1·x1 + w2·x2 + b = 0"), ("", line(model))]
    emit("\n" + grid(None, facts))


@cli.command()
@click.argument("file", type=PATH)
@target_option
@_cli_columns.options(*_cli_columns.COLUMNS, *_cli_columns.FORMAT)
@l2_option
@click.option(
    "--l1",
    metavar="L",
    type=NOT_NEGATIVE,
    help="Add L·Σ|weight| to the loss: unneeded weights are exactly 0.  [default: 0]",
)
@_cli_columns.options(*feature_options)
@click.option(
    "--firth",
    is_flag=True,
    help="Maximise Firth's penalised likelihood, also where the classes are separated. Two classes.",
)
@click.option(
    "--cv",
    metavar="K",
    type=FOLDS,
    help="Choose the strength of the penalty by the loss on K parts of the rows, each left out in turn.",
)
@click.option(
    "--l1-ratio",
    metavar="R",
    type=RATIO,
    help="Of --cv and --path: the part of the strength that is l1, the rest being l2.  [default: 1]",
)
@click.option(
    "--path",
    "path_file",
    metavar="FILE",
    type=PATH,
    help="Write the weights at every strength of the penalty to this file, .csv or .parquet. Two classes.",
)
@click.option(
    "--test",
    metavar="F",
    type=FRACTION,
    help="Hold out this fraction of each class, train on the rest, and report on the rows held out.",
)
@click.option(
    "--folds",
    metavar="K",
    type=FOLDS,
    help="Train on all rows, and report on K parts of them, each predicted by a model of the others.",
)
@click.option(
    "--tol",
    metavar="T",
    type=NOT_NEGATIVE,
    help="Stop once the gradient is within ±T everywhere.  [default: go on until the optimum is proved; descent: 0]",
)
@click.option(
    "--gap-tol",
    metavar="G",
    type=NOT_NEGATIVE,
    help=f"Prove the objective to be within G times itself of its minimum.  [default: {OPTIMUM['gap_tol']}]",
)
@click.option("--no-certify", is_flag=True, help="Leave the proof out where it takes a Hessian, as without --l2.")
@click.option("--solver", type=click.Choice(SOLVERS), help="How to find it.  [default: lbfgs; with --l1: proximal]")
@click.option(
    "--max-passes",
    metavar="N",
    type=POSITIVE,
    help=f"Give up after N passes over the rows.  [default: {OPTIMUM['max_passes']:g}]",
)
@click.option("--no-bias", is_flag=True, help="Leave out the bias.")
@descent_options("Descent: ")
@click.option(
    "--log-every",
    metavar="N",
    type=COUNT,
    help="Descent: print the loss and the accuracy at the start and after every N-th epoch.",
)
@standardize_option
@header_option
@click.option("--out", type=PATH, metavar="MODEL", help="Write the model to this file, as JSON.")
@click.option(
    "--plot",
    "picture",
    type=PATH,
    metavar="FILE",
    help="Draw the fit into this file, .png, .svg or .pdf: how the loss fell, and the line or the weights.",
)
@click.option(
    "--details", is_flag=True, help="Show also how the optimum was found: objective, gradient, passes, solver."
)
@json_option
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def train(
    file: Path,
    target: str | None,
    l2: float,
    l1: float | None,
    penalty_factors: Sequence[tuple[str, float]],
    lower: Sequence[tuple[str, float]],
    upper: Sequence[tuple[str, float]],
    prior: Path | None,
    grouped: bool,
    firth: bool,
    cv: int | None,
    l1_ratio: float | None,
    path_file: Path | None,
    test: float | None,
    folds: int | None,
    tol: float | None,
    gap_tol: float | None,
    no_certify: bool,
    solver: str | None,
    max_passes: float | None,
    no_bias: bool,
    learning_rate: float | None,
    epochs: int | None,
    batch_size: int | str | None,
    reduction: str | None,
    activation: str | None,
    start: str | None,
    log_every: int | None,
    shuffle: bool,
    seed: int | None,
    standardize: bool,
    header: bool | None,
    out: Path | None,
    picture: Path | None,
    details: bool,
    as_json: bool,
    quiet: bool,
    **columns: Any,
) -> None:
    """Train on FILE, CSV or Parquet, and show what was learnt.

    The weights are those that minimise the loss, and what is shown with them says how close they are proved to be. Any
    of the options of a descent takes gradient descent instead, as far as it gets.

    The columns of a CSV file are separated by commas, or by tabs, semicolons or | if its first line has no comma.
    Every column but the target is a feature: numbers are taken as they are, dates as days, and of text with few
    values each value but the first is 0 or 1. What cannot be told is asked, all at once. The target may hold
    numbers, text or booleans; its values in sorted order are the classes. Of two, the model gives the probability
    of the second; of more, that of each.
    """
    asked = _cli_columns.asked_of(columns)
    selects = given(cv=cv, path=None if path_file is None else str(path_file))
    for_descent = given(
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        reduction=reduction,
        activation=activation,
        start=start,
        shuffle=shuffle or None,
    )
    for_optimum = given(
        firth=firth or None,
        solver=solver,
        max_passes=max_passes,
        gap_tol=gap_tol,
        certify=False if no_certify else None,
        grouped=grouped or None,
    )
    of_features = OfFeatures(penalty_factors=dict(penalty_factors), lower=dict(lower), upper=dict(upper))
    said_of_features = given(**dict.fromkeys(of_features.kept(), True), prior=None if prior is None else str(prior))
    for_both = given(l1=l1, l2=l2, tol=tol, fit_bias=False if no_bias else None)
    is_descent = bool(for_descent or log_every)
    if is_descent and (only_optimum := for_optimum | said_of_features | selects):
        one, other = option(for_descent or given(log_every=log_every)), option(only_optimum)
        raise click.UsageError(f"{one} is for a descent, {other} for the optimum: they exclude each other.")
    if seed is not None and not shuffle and test is None:
        raise click.UsageError("--seed needs --shuffle or --test.")
    if test is not None and folds:
        raise click.UsageError("--test and --folds exclude each other.")
    if as_json and quiet:
        raise click.UsageError("--json and --quiet exclude each other.")
    if l1_ratio is not None and not selects:
        raise click.UsageError("--l1-ratio needs --cv or --path.")
    if firth and (excluded := given(l1=l1 or None, l2=l2 or None, solver=solver) | said_of_features | selects):
        raise click.UsageError(f"--firth has a penalty and a solver of its own: it excludes {option(excluded)}.")
    if cv and (l1 or l2):
        raise click.UsageError(f"--cv chooses the strength of the penalty: it excludes {'--l1' if l1 else '--l2'}.")
    if prior and selects and l1_ratio != 0:
        raise click.UsageError(f"--prior is for l2 alone: with {option(selects)} it needs --l1-ratio 0.")
    if prior and not selects and not l2:
        raise click.UsageError("--prior needs --l2, which draws the weights to those of its model.")
    if grouped and (l1_ratio == 0 if selects else not l1):
        raise click.UsageError("--grouped needs a strength of l1, which it applies to groups of weights.")
    if penalty_factors and not (selects or l1 or l2):
        raise click.UsageError("--penalty-factor needs --l1 or --l2, which it multiplies.")
    check_out(out, file)
    check_picture(picture, file, *([out] if out else []))
    check_suffix(path_file, "--path")
    check_out(path_file, file, *([out] if out else []), *([picture] if picture else []), option="--path")

    problem = Problem.read(file, header, target, asked, _cli_columns.format_of(columns))
    if path_file and len(problem.classes) > 2:
        raise click.UsageError(f"--path is for two classes, target {problem.target!r} has {len(problem.classes)}.")
    if firth and len(problem.classes) > 2:
        raise click.UsageError(f"--firth is for two classes, target {problem.target!r} has {len(problem.classes)}.")
    if grouped and len(problem.classes) == 2:
        raise click.UsageError(f"--grouped is for three classes or more, target {problem.target!r} has 2.")
    if prior:
        numbers, absent = prior_of(load(prior), problem)
        of_features = replace(of_features, prior=numbers)
        problem.notes.extend([f"{prior} has no weight for {_table.few(absent)}: drawn to 0"] * bool(absent))
    ratio = 1.0 if l1_ratio is None else l1_ratio
    held: dict[str, Any] = {"test": test, "seed": seed or 0}
    show = sys.stderr is not None and sys.stderr.isatty() and not quiet
    log = None
    watching: Any = nullcontext()
    if is_descent:
        log = Log(prints=not as_json) if log_every and not quiet else None
        order = secrets.randbits(32) if shuffle and seed is None else seed
        plan = Plan(DESCENT | for_descent | for_both | given(seed=order if shuffle else None), standardize, **held)
        if show and not log:
            watching = _progress.of_epochs(int(plan.options["epochs"] or 0))
    else:
        held |= {"of_features": of_features}
        plan = Plan(OPTIMUM | for_optimum | for_both, standardize, cv=cv, l1_ratio=ratio, **held)
        if show:
            watching = _progress.of_passes()
    with watching as callback:
        records = {"log": log, "log_every": log_every or 1} if is_descent else {}
        trained, curve = plan.train(problem, callback=callback, **records)
    model = trained.model
    if path_file:
        found = _selection.whole_path(trained.problem, ratio, standardize, plan.options, of_features)
        write_file(path_file, _files.encoded(_selection.table(trained.problem, found), path_file))
    told = None
    if (test is not None or folds) and not quiet:
        told = report(model, replace(problem, notes=[]), str(file), folds)

    for note in [*trained.notes, *_said_of_rows(problem, trained, folds)] if not quiet else []:
        say(f"note: {note}")
    if out:
        model.save(out)
    if picture:
        write_file(picture, picture_of_training(trained, picture.suffix.lower()))
    if as_json:
        parts = {"history": log.records} if log else {}
        parts |= {"cross_validation": curve.records()} if curve else {}
        emit(extended(model, **parts, **({"report": told.to_dict()} if told else {})))
    elif not quiet:
        shown = f"{errors(curve.records())}\n" if curve else ""
        emit("\n" * bool(log) + shown + summary(model, details, weights=told is None))
        emit(f"\n{tables(told.sections()[1:])}" if told else "")


def _said_of_rows(problem: Problem, trained: Trained[Any], folds: int | None) -> list[str]:
    """A note on the rows that the model was trained on, if the report is on other predictions: for rows that were held
    out, or from cross-validation. Else no note."""
    rows, kept = len(problem.y), len(trained.problem.y)
    if folds:
        return [f"the model is trained on all {rows} rows; the predictions reported are of {folds} others"]
    return [f"{rows - kept} of {rows} rows are held out; the model is trained on the other {kept}"] * (kept < rows)


@cli.command()
@click.argument("model_file", metavar="MODEL", type=PATH)
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="Write to this file, .csv or .parquet, instead of stdout.")
@header_option
@json_option
@click.option("--keep", metavar="COLUMN,…", multiple=True, help="Columns of FILE to keep beside the predictions.")
@click.option(
    "--threshold",
    metavar="P",
    type=FiniteRange(0, 1),
    help="Label a row with the class whose probability is given where that is above P.  [default: 0.5]",
)
@click.option(
    "--missing",
    type=click.Choice(("empty",)),
    help="Leave the probability of rows that lack a value empty.  [default: what train was told]",
)
@click.option(
    "--unknown",
    type=click.Choice(("reference",)),
    help="Take categories that the model does not know for the reference.  [default: refuse them]",
)
@_cli_columns.options(*_cli_columns.FORMAT)
def predict(
    model_file: Path,
    file: Path,
    out: Path | None,
    header: bool | None,
    as_json: bool,
    keep: Sequence[str],
    threshold: float | None,
    missing: str | None,
    unknown: str | None,
    **columns: Any,
) -> None:
    """Apply MODEL, as written by train, to the rows of FILE.

    Gives one row for each row of FILE: the columns that train was told to be ids, those to keep, the probability of
    the model's second class, named probability_CLASS, and the label, which is that class where the probability is
    above 0.5; of a model with three classes or more the probability of each, and the label of the greatest. Columns
    are found by name; those that the model does not know are ignored. Without a header they are found by position,
    or by the names column_1, column_2, … that train gave them. The file is read as the one that train was given.
    """
    if out and as_json:
        raise click.UsageError("--json prints to stdout; --out chooses its format by the file's suffix.")
    check_suffix(out, "--out")
    check_out(out, file, model_file)

    model = load(model_file)
    encoding = model.table_encoding()
    if threshold is not None and len(model.classes) > 2:
        raise click.UsageError(f"--threshold is for a model of two classes; {model_file} has {len(model.classes)}.")
    format = _cli_columns.format_of(columns).over(encoding.format)
    words = [column.name for column in encoding.columns if column.kind != "number"]
    needed = [*encoding.names, *([model.offset] if model.offset is not None else [])]
    table = _files.read(file, header, needed, format, as_text={*words, *encoding.ids, *_table.meant(keep)})
    kept = [*(name for name in encoding.ids if name in table.frame.columns), *table.named_by(keep)]
    names = table.names_for(needed)
    values = _kinds.values(table, names[: len(encoding.names)], encoding, unknown)
    offset = None if model.offset is None else numbers_of(table, names[-1])
    is_refused = missing is None and encoding.missing != "drop"
    encoding.check(values, table.where, refuse=is_refused, advice="; --missing empty leaves its prediction empty")
    lacking = encoding.incomplete(values)
    probability, codes = model.probabilities(encoding.matrix(values), offset)
    undefined = np.isnan(probability).reshape(len(lacking), -1).any(axis=1) & ~lacking
    if undefined.any():
        raise ValueError(f"{file}: data row {undefined.argmax() + 1}: numbers too large for the model")
    if threshold is not None:
        codes = (probability > threshold).astype(np.intp)
    if lacking.any():
        say(f"note: {lacking.sum()} of {len(lacking)} rows lack a value, and their predictions are empty")

    shown = model.classes[1:] if len(model.classes) == 2 else model.classes
    predictions = pl.DataFrame(probability, schema=[probability_of(value) for value in shown], orient="row")
    label = pl.Series("label", model.classes, strict=False)[codes]
    predictions = predictions.with_columns(label).with_columns(
        pl.when(~pl.lit(pl.Series(lacking))).then(pl.all()).name.keep()
    )
    if taken := [name for name in kept if name in predictions.columns]:
        raise ValueError(f"{file}: column {taken[0]!r} cannot be kept: a column of the predictions has its name")
    frame = pl.DataFrame([*(table.frame[name] for name in dict.fromkeys(kept)), *predictions.iter_columns()])

    if as_json:
        emit(json.dumps(frame.to_dicts(), ensure_ascii=False, default=str) + "\n")
        return
    data = _files.encoded(frame, out)
    if out:
        write_file(out, data)
    else:
        emit(data)


@cli.command("show")
@click.argument("file", type=PATH)
@target_option
@_cli_columns.options(
    *(option for option in _cli_columns.COLUMNS if option not in (_cli_columns.WEIGHT, _cli_columns.OFFSET)),
    *_cli_columns.FORMAT,
)
@click.option(
    "--columns",
    "drawn",
    metavar="COLUMN COLUMN",
    nargs=2,
    help="The two columns to draw, with all others at their means.  [default: those that change the scores most]",
)
@descent_options()
@l2_option
@standardize_option
@header_option
@click.option("--out", type=PATH, metavar="PAGE", help="Write the page to this file.  [default: a temporary one]")
@click.option("--no-open", is_flag=True, help="Do not open the page in the browser.")
def show_descent(
    file: Path,
    target: str | None,
    drawn: tuple[str, str] | None,
    l2: float,
    shuffle: bool,
    seed: int | None,
    standardize: bool,
    header: bool | None,
    out: Path | None,
    no_open: bool,
    **options: Any,
) -> None:
    """Make a page that shows gradient descent on FILE update by update, and open it.

    The page is one HTML file that needs no network: points, line, error, and the formulas with their numbers, for many
    learning rates, with the sigmoid and as a perceptron. It begins with those that are given here. Its name is printed.
    FILE is read as train does, but rows have no weights; the target has two values.
    """
    from gradstep import show

    if seed is not None and not shuffle:
        raise click.UsageError("--seed needs --shuffle.")
    check_out(out, file)
    columns = {name: options.pop(name) for name in (*_cli_columns.NAMES, *_cli_columns.FORMAT_NAMES)}
    problem = Problem.read(file, header, target, _cli_columns.asked_of(columns), _cli_columns.format_of(columns))
    if len(problem.classes) > 2:
        raise ValueError(
            f"target {problem.target!r} has {len(problem.classes)} values: the page is for two; "
            "gradstep train --plot draws the regions of more"
        )
    pair = None if drawn is None else [problem.column(name) for name in drawn]
    options = DESCENT | given(**options, shuffle=shuffle, seed=seed, l2=l2)
    trained = descent(problem, options, standardize)
    page = show(
        trained.result,
        trained.X,
        trained.problem.y,
        columns=pair,
        names=problem.features,
        labels=problem.classes,
        title=f"{problem.target} in {file.name}",
        file=out,
        open_browser=not no_open,
    )
    for note in trained.notes:
        say(f"note: {note}")
    emit(f"{page}\n")


cli.add_command(report_command)


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code: 0, 1 for bad data, 2 for bad usage."""
    # The caller may have closed standard streams. Their numbers, 0 to 2, are taken here: else the next files opened
    # would get these numbers.
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
    except _table.TableError as error:
        first, *more = error.lines
        say(f"error: {first}", more)
    except (ValueError, pl.exceptions.PolarsError) as error:
        say(f"error: {error}")
    return BAD_DATA


def demo_points(seed: int) -> tuple[Array, Array]:
    """The points of two overlapping clouds in the plane, in mixed order; and for each point the number of its cloud."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(DEMO_ROWS) % 2).astype(np.float64)
    centres = np.array([[0.0, 0.5], [1.5, 2.0]])
    return centres[y.astype(np.int64)] + 0.6 * rng.standard_normal((DEMO_ROWS, 2)), y


def probability_of(value: Class) -> str:
    """The name of the column with the probability of a class."""
    return f"probability_{str(value).lower() if isinstance(value, bool) else value}"


def given(**options: Scalar) -> dict[str, Scalar]:
    """The options that are not None, by name."""
    return {name: value for name, value in options.items() if value is not None}


def option(options: dict[str, Scalar]) -> str:
    """The first of the options as it is written on the command line."""
    name, value = next(iter(options.items()))
    return COMMAND_LINE.given(name, value).partition(" ")[0]
