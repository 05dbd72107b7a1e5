"""From a model and rows with labels to its report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from gradstep import _kinds, _options
from gradstep._encoding import Format
from gradstep._evaluation import METRICS, Evaluation, Predicted, evaluate, joined, without_curve
from gradstep._files import of_data
from gradstep._formulas import loss
from gradstep._model import Model
from gradstep._report import Report, Where
from gradstep._split import dealt, digest, held_out
from gradstep._table import Table
from gradstep._train import Plan
from gradstep._training import MOST_ERRORS, Problem, numbers_of, weights_of
from gradstep._wald import Coefficients

BIAS = "(bias)"


def report_of_data(
    model: Model,
    data: Any,
    folds: int | None,
    weight: str | None,
    missing: str | None,
    unknown: str | None,
    header: bool | None,
    format: Format,
) -> Report:
    """The report that `Model.report` describes, on a file or a frame."""
    count = None if folds is None else _options.count("folds", folds)
    if count == 1:
        raise ValueError("folds must be an integer of at least 2, got 1")
    named = None if weight is None else _options.word("weight", weight)
    for name, value, word in (("missing", missing, "drop"), ("unknown", unknown, "reference")):
        if value not in (None, word):
            raise ValueError(f"{name} must be {word!r} or None, got {value!r}")
    encoding = model.table_encoding()
    names = [*encoding.names, model.target]
    table = of_data("data", data, header, format.over(encoding.format), text_columns(model), names)
    return report(model, problem_of(model, table, named, missing, unknown), table.where, count)


def text_columns(model: Model) -> set[str]:
    """The columns of a file that are to be read as text."""
    encoding = model.table_encoding()
    return {column.name for column in encoding.columns if column.kind != "number"} | {*encoding.ids, model.target}


def problem_of(model: Model, table: Table, weight: str | None, missing: str | None, unknown: str | None) -> Problem:
    """The rows of a table as the model sees them, with their labels.

    Raises
    ------
    ValueError
        If a column is not there, or a cell is not what the model was trained on; the message names both.
    """
    encoding = model.table_encoding()
    labels = table.labels(model.target, model.classes)
    values = _kinds.values(table, table.names_for(encoding.names), encoding, unknown)
    drops = missing == "drop" or encoding.missing == "drop"
    way = table.spelling.given("missing", "drop")
    encoding.check(values, table.where, refuse=not drops, advice=f"; {way} leaves the row out")
    notes = []
    trained_with = model.options.get("weight")
    if weight is None and isinstance(trained_with, str):
        weight = trained_with if trained_with in table.frame.columns else None
        notes += [f"there is no column {trained_with!r}, the weights of training: every row counts once"] * (not weight)
    for name in (weight, model.offset):
        if name is not None:
            table.check_name(name)
    offset = None if model.offset is None else numbers_of(table, model.offset)
    weights = None if weight is None else weights_of(table, weight)
    incomplete = encoding.incomplete(values)
    unlabelled = np.isnan(labels)
    kept = ~(incomplete | unlabelled)
    if not kept.any():
        raise table.error("must have a row with a target that lacks no value, got none")
    if incomplete.any():
        notes.append(f"{incomplete.sum()} of {len(kept)} rows lack a value and are left out")
    if (unlabelled & ~incomplete).any():
        notes.append(f"{(unlabelled & ~incomplete).sum()} of {len(kept)} rows have no target and are left out")
    if not kept.all():
        labels, values = labels[kept], [column[kept] for column in values]
        weights, offset = (None if given is None else given[kept] for given in (weights, offset))
    if weights is not None and not weights.any():
        raise table.error(f"column {weight!r}: must have a weight above 0, got only 0")
    return Problem(
        X=encoding.matrix(values),
        y=labels,
        features=model.features,
        target=model.target,
        classes=model.classes,
        weight=weights,
        weight_name=weight,
        offset=offset,
        offset_name=model.offset,
        encoding=model.encoding,
        notes=notes,
        spelling=table.spelling,
    )


def report(model: Model, problem: Problem, data: str, folds: int | None = None) -> Report:
    """The report of a model on rows with labels; with `folds`, each row is predicted by a model of the other folds."""
    where, seen = _held_out(model, problem)
    if folds is None:
        found, errors = evaluate(_predicted(model, seen), len(model.classes)), None
    else:
        where = "left out in turn"
        found, errors = _cross_validated(model, problem, folds)
    lacking = without_curve(found, model.classes)
    notes = (*problem.notes, *([lacking] if lacking else []))
    return Report(model, data, where, found, errors, _coefficients(model), _no_errors(model), notes)


def _held_out(model: Model, problem: Problem) -> tuple[Where, Problem]:
    """The value of `Report.evaluated_on`, and the rows to report on.

    These are all rows, unless the model is known to be trained on a part of them: then they are the rows held out.
    """
    trained_on, split_from = model.result.get("trained_on"), model.result.get("split_from")
    if trained_on is None:
        return "unknown", problem
    found = digest(problem.X, problem.y)
    if found == trained_on:
        return "trained on", problem
    fraction, seed = model.options.get("test"), model.options.get("test_seed")
    if found == split_from and isinstance(fraction, float) and 0 < fraction < 1 and isinstance(seed, int):
        out = held_out(problem, fraction, seed % 2**64)
        rest = problem.part(~out)
        if digest(rest.X, rest.y) == trained_on:
            return "held out", problem.part(out)
    return "other", problem


def _predicted(model: Model, problem: Problem) -> Predicted:
    probability, codes = model.probabilities(problem.X, problem.offset)
    if np.isnan(probability).any():
        row = int(np.isnan(probability).reshape(len(codes), -1).any(axis=1).argmax())
        raise ValueError(f"row {row + 1}: numbers too large for the model")
    error = None
    if model.activation == "sigmoid":
        x = problem.X if model.standardize is None else model.standardize.apply(problem.X)
        error = loss(x, problem.y, np.array(model.weights), model.bias, **problem.of_rows)
    return Predicted(problem.y, probability, codes, problem.weight, error)


def _cross_validated(model: Model, problem: Problem, folds: int) -> tuple[Evaluation, dict[str, float]]:
    """The evaluation of all rows, each predicted by the model of the other folds; standard errors over the folds."""
    plan = Plan.of(model)
    if plan is None:
        raise ValueError(
            f"{problem.spelling.name('folds')} trains the model again, which takes the options of gradstep.train or of "
            "gradstep train: this model has others"
        )
    fold = dealt(problem, folds, "folds")
    seen: list[Predicted] = []
    for number in range(folds):
        try:
            trained, _ = plan.train(replace(problem.part(fold != number), notes=[]))
        except (TypeError, ValueError) as error:
            raise ValueError(f"without fold {number + 1} of {folds}: {error}") from None
        seen.append(_predicted(trained.model, problem.part(fold == number)))
    classes = len(model.classes)
    whole, each = evaluate(joined(seen), classes), [evaluate(part, classes) for part in seen]
    means: dict[str, Any] = dict.fromkeys(METRICS)
    errors = {}
    for name in METRICS:
        values = [getattr(part, name) for part in each]
        if None not in values:
            means[name] = float(np.mean(values))
            errors[name] = float(np.std(values, ddof=1) / math.sqrt(folds))
    return replace(whole, **means), errors


def _coefficients(model: Model) -> Coefficients:
    weights, bias = np.atleast_2d(model.weights), np.atleast_1d(model.bias)
    table = np.column_stack([weights, bias])
    classes = [str(value) for value in model.classes]
    if len(classes) > 2:
        table = table[1:] - table[0]
    errors = model.standard_errors
    known = np.full(table.shape, np.nan) if errors is None else np.array(errors, np.float64)
    estimates = table.ravel()
    return Coefficients(
        names=(*model.features, BIAS) * len(table),
        classes=tuple(value for value in classes[1:] for _ in range(table.shape[1])),
        reference=classes[0],
        estimates=estimates,
        standard_errors=known.ravel(),
    )


def _no_errors(model: Model) -> str | None:
    """Why the model has no standard errors, and what may be used instead."""
    if model.standard_errors is not None:
        return None
    options, result = model.options, model.result
    if options.get("l1") or options.get("l2"):
        return (
            "no standard errors: a penalty biases the weights, which they would not show; train without a penalty, or "
            "draw rows with replacement and train each time (bootstrap)"
        )
    if options.get("lower") or options.get("upper"):
        return "no standard errors: bounds hold weights back, which they would not show; train without bounds"
    if "learning_rate" in options:
        return "no standard errors: a descent ends before the optimum; train without its options"
    if "trained_on" not in result:
        return "no standard errors: the model file has none; gradstep.inference has those of a fit"
    if result.get("converged") is not True:
        return "no standard errors: the optimum is not proved; train with a larger max_passes, and without tol"
    if max(len(model.classes) - 1, 1) * (len(model.features) + 1) > MOST_ERRORS:
        return f"no standard errors: of more than {MOST_ERRORS} coefficients, gradstep.inference has them"
    return "no standard errors: the optimum is not near enough; train with a smaller gap_tol"
