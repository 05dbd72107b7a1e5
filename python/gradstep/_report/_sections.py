"""The tables of a report, in words and numbers: one text for the terminal, for Python and for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradstep import _words
from gradstep._evaluation import METRICS

if TYPE_CHECKING:
    from gradstep._report import Report

MOST_CLASSES = 20
"""The confusion of the classes is shown if there are at most this many classes."""
SHOWN = 20
"""The largest number of rows of a table that Python prints."""

WHERE = {
    "trained on": "on the rows trained on: on others it may be worse",
    "held out": "on rows held out of the training",
    "left out in turn": "on all rows, each predicted by a model of the other folds",
    "other": "on another table than the one trained on",
    "unknown": "on rows of which the model does not tell whether it was trained on them",
}
NAMES = {"log_loss": "log-loss (nats)", "brier_score": "Brier score", "auc": "AUC", "accuracy": "accuracy"}


class Section(NamedTuple):
    """A table: its title, a remark on it, the names of its columns (empty without names), and its rows of text."""

    title: str
    said: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sections(report: Report) -> list[Section]:
    """The tables of a report: the model, its coefficients, and how good its predictions are."""
    found = [_model(report), _coefficients(report), _quality(report), _confusion(report), _calibration(report)]
    return [section for section in found if section.rows]


def text(report: Report) -> str:
    """The report as Python prints it."""
    lines = [report.title]
    for section in sections(report):
        lines += [f"{section.title}{': ' * bool(section.said)}{section.said}"]
        rows, side = ([section.header, *section.rows], ">") if section.header else (section.rows, "<")
        lines += [f"  {line}" for line in _words.aligned(rows[: SHOWN + bool(section.header)], side)]
        lines += [f"  … ({len(section.rows)} in all)"] * (len(section.rows) > SHOWN)
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])


def _model(report: Report) -> Section:
    model, result = report.model, report.model.result
    facts = [("target", model.target)]
    counts = [
        f"{value} ({weight:.10g})" for value, weight in zip(model.classes, report.evaluation.weights, strict=True)
    ]
    facts.append(("classes", ", ".join(counts[:SHOWN]) + f", … ({len(counts)} in all)" * (len(counts) > SHOWN)))
    if len(model.classes) == 2:
        facts.append(("predicts" if model.activation == "step" else "probability of", str(model.classes[1])))
    if "rows" in result:
        facts.append(("trained on", f"{result['rows']} rows"))
    if "weight" in model.options:
        facts.append(("weights of rows", str(model.options["weight"])))
    if model.offset is not None:
        facts.append(("offset", model.offset))
    if model.standardize:
        facts.append(("standardized", "yes"))
    penalty = [f"{name} = {value:.6g}" for name in ("l1", "l2") if (value := _real(model.options.get(name)))]
    facts += [("penalty", ", ".join(penalty))] * bool(penalty)
    if "converged" in result:
        gap = _real(result.get("gap"))
        state = _words.state(
            bool(result["converged"]), math.inf if gap is None else gap, str(result.get("stop_reason"))
        )
        facts.append(("optimum", state))
    elif "n_epochs" in result:
        facts.append(("gradient descent", f"{result['n_epochs']} epochs"))
    return Section("Model", "", (), facts)


def _real(value: Any) -> float | None:
    """The value as a float; None if it is no number, since a model file may hold anything there."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _coefficients(report: Report) -> Section:
    found = report.coefficients
    several = len(report.model.classes) > 2
    said = [f"log-odds of each class against {found.reference}"] * several
    said += ["per standard deviation of the feature"] * bool(report.model.standardize)
    if report.no_errors:
        said.append(report.no_errors)
        header: tuple[str, ...] = ("feature", "estimate", "odds ratio")
        rows: list[tuple[str, ...]] = [
            (name, f"{estimate:.6g}", f"{ratio:.6g}")
            for name, estimate, ratio in zip(found.names, found.estimates, found.odds_ratios, strict=True)
        ]
    else:
        header = ("feature", "estimate", "std. error", "z", "p", "95 % interval", "odds ratio", "95 % interval")
        rows = [
            (
                name, f"{estimate:.6g}", _known(error), _known(z, ".2f"), _known(p, ".3g"), _interval(*ends),
                f"{ratio:.6g}", _interval(*map(_exp, ends)),
            )
            for name, estimate, error, z, p, ends, ratio in zip(
                found.names, found.estimates, found.standard_errors, found.z, found.p, found.wald_intervals().tolist(),
                found.odds_ratios, strict=True,
            )
        ]  # fmt: skip
    if several:
        header = ("class", *header)
        rows = [(value, *row) for value, row in zip(found.classes, rows, strict=True)]
    return Section("Coefficients", "; ".join(said), header, rows)


def _known(value: float, form: str = ".6g") -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{low:.6g} to {high:.6g}"


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _quality(report: Report) -> Section:
    found = report.evaluation
    rows: list[tuple[str, ...]] = [("rows", str(found.rows))]
    for name in METRICS:
        value = getattr(found, name)
        if value is None:
            continue
        shown = f"{100 * value:.2f} %" if name == "accuracy" else f"{value:.6f}"
        if report.fold_errors is not None:
            error = report.fold_errors[name]
            shown += f" ± {100 * error:.2f} %" if name == "accuracy" else f" ± {error:.6f}"
        rows.append((NAMES[name], shown))
    said = WHERE[report.evaluated_on]
    if report.fold_errors is not None:
        said += "; ± is the standard error of the mean over the folds"
    return Section("Predictions", said, (), rows)


def _confusion(report: Report) -> Section:
    classes = [str(value) for value in report.model.classes]
    if len(classes) > MOST_CLASSES:
        return Section("Confusion", "", (), [])
    rows = [
        (name, *(f"{weight:.10g}" for weight in weights))
        for name, weights in zip(classes, report.evaluation.confusion, strict=True)
    ]
    return Section("Confusion", "a row for each class, a column for each prediction", ("class", *classes), rows)


def _calibration(report: Report) -> Section:
    found = report.evaluation.calibration
    of = (
        f"probability of {report.model.classes[1]}"
        if len(report.model.classes) == 2
        else "probability of the prediction"
    )
    said = f"{of}, in ten bins of equal weight: its mean, and how often it is so"
    header = ("rows", "predicted", "observed")
    if found is None:
        return Section("Calibration", said, header, [])
    rows = [(f"{weight:.10g}", f"{p:.4f}", f"{seen:.4f}") for weight, p, seen in zip(*found, strict=True)]
    return Section("Calibration", said, header, rows)
