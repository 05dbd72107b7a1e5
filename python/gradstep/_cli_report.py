"""The command `report`: how sure a model's coefficients are, and how good its predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gradstep import _cli_columns, _files
from gradstep._cli_options import FOLDS, PATH, header_option, json_option
from gradstep._cli_outputs import check_out, check_picture, check_suffix, picture_of_report
from gradstep._model import load, write_file
from gradstep._output import emit, say, tables, visible
from gradstep._report._making import problem_of, report, text_columns


@click.command("report")
@click.argument("model_file", metavar="MODEL", type=PATH)
@click.argument("file", type=PATH)
@click.option(
    "--folds",
    metavar="K",
    type=FOLDS,
    help="Cross-validate: predict each of K parts of the rows by a model that is trained on the others.",
)
@click.option(
    "--weight", metavar="COLUMN", help="Column with the weights of the rows.  [default: that of the training]"
)
@click.option(
    "--missing",
    type=click.Choice(("drop",)),
    help="Leave out rows that lack a value.  [default: what train was told]",
)
@click.option(
    "--unknown",
    type=click.Choice(("reference",)),
    help="Take categories that the model does not know for the reference.  [default: refuse them]",
)
@click.option(
    "--plot",
    "picture",
    type=PATH,
    metavar="FILE",
    help="Draw the ROC curve and the calibration into this file, .png, .svg or .pdf.",
)
@click.option(
    "--html", type=PATH, metavar="PAGE", help="Write the report to this file, as a page that needs no network."
)
@header_option
@json_option
@_cli_columns.options(*_cli_columns.FORMAT)
def report_command(
    model_file: Path,
    file: Path,
    folds: int | None,
    weight: str | None,
    missing: str | None,
    unknown: str | None,
    picture: Path | None,
    html: Path | None,
    header: bool | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Report on MODEL, as written by train, and on its predictions for the rows of FILE, which has the target.

    Shows the coefficients with standard errors and 95 % intervals, where there are any; and log-loss, Brier score, AUC,
    accuracy, which classes are confused, and the calibration. The report says whether the model was trained on the
    rows. Where FILE is that of train --test, it is on the rows that were held out.
    """
    check_suffix(html, "--html", ".html")
    check_out(html, file, model_file, option="--html")
    check_picture(picture, file, model_file, *([html] if html else []))

    model = load(model_file)
    encoding = model.table_encoding()
    format = _cli_columns.format_of(columns).over(encoding.format)
    as_text = text_columns(model) | {weight or ""}
    table = _files.read(file, header, [*encoding.names, model.target], format, as_text)
    told = report(model, problem_of(model, table, weight, missing, unknown), str(file), folds)
    for note in told.notes:
        say(f"note: {note}")
    if html:
        write_file(html, told.to_html().encode())
    if as_json:
        emit(json.dumps(told.to_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        emit(f"{visible(told.title)}\n\n{tables(told.sections())}")
    if picture:  # last, since it raises for a perceptron, which has no such picture
        write_file(picture, picture_of_report(told, picture.suffix.lower()))
