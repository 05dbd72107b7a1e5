"""Report: what a model is, how sure its coefficients are, and how good its predictions are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from gradstep._evaluation import METRICS, Evaluation
from gradstep._model import Model
from gradstep._report._page import fragment, page
from gradstep._report._sections import Section, sections, text
from gradstep._wald import Coefficients

FORMAT = "gradstep-report"
MOST_CORNERS = 200
"""The largest number of corners of an ROC curve in a document."""

Where: TypeAlias = Literal["trained on", "held out", "left out in turn", "other", "unknown"]


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a model is, how sure its coefficients are, and how good its predictions are; made by `Model.report`.

    It prints itself, shows itself in a notebook, and is written by ``gradstep report``.

    Attributes
    ----------
    model : Model
        The model.
    data : str
        The data that the model is evaluated on: the path of the file, or "data".
    evaluated_on : {"trained on", "held out", "left out in turn", "other", "unknown"}
        How the rows that the model is evaluated on are related to its training. "trained on": they are the rows that it
        was trained on. "held out": they are those that ``test`` held out. "left out in turn": each row was predicted by
        a model of the other folds. "other": the table is not the one that the model was trained on, or is only a part
        of it. "unknown": the model does not tell what it was trained on.
    evaluation : Evaluation
        How good the predictions are.
    fold_errors : dict of float, or None
        With folds, the standard errors of "log_loss", "brier_score", "auc" and "accuracy". In `evaluation` these four
        are then means over the folds, and the rest is of all rows, each predicted once.
    coefficients : Coefficients
        The coefficients with what is known of their errors.
    no_errors : str or None
        Why there are no standard errors, and what may be used instead.
    notes : tuple of str
        What else is to be known, such as rows that were left out.

    Examples
    --------
    >>> table = {"hours": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], "passed": [0, 0, 1, 0, 1, 0, 1, 1]}
    >>> report = gradstep.train(table).report(table)
    >>> report.evaluated_on, round(report.evaluation.log_loss, 4), round(report.evaluation.auc, 4)
    ('trained on', 0.5281, 0.8125)
    >>> report.coefficients.odds_ratios.round(3)
    array([3.281, 0.069])
    """

    model: Model
    data: str
    evaluated_on: Where
    evaluation: Evaluation
    fold_errors: dict[str, float] | None
    coefficients: Coefficients
    no_errors: str | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as a dict for JSON, described by docs/report.schema.json. An ROC curve has at most 200 corners."""
        found, errors = self.evaluation, self.fold_errors or {}
        model = self.model
        metrics = {name: _number(getattr(found, name)) for name in METRICS}
        return {
            "format": FORMAT,
            "version": 1,
            "gradstep": model.gradstep,
            "data": self.data,
            "rows": found.rows,
            "evaluated_on": self.evaluated_on,
            "target": model.target,
            "classes": model.classes,
            "weights": _numbers(found.weights),
            "options": model.options,
            "result": model.result,
            "coefficients": _coefficients(self.coefficients),
            "no_errors": self.no_errors,
            "metrics": {
                name: {"value": value, "standard_error": _number(errors.get(name))} for name, value in metrics.items()
            },
            "confusion": [_numbers(row) for row in found.confusion],
            "calibration": None
            if found.calibration is None
            else [
                dict(zip(found.calibration._fields, map(float, each), strict=True))
                for each in zip(*found.calibration, strict=True)
            ],
            "roc": [
                {"class": value, "area": curve.area, "false": _thinned(curve.false), "true": _thinned(curve.true)}
                for value, curve in zip(self.curve_classes, found.roc, strict=True)
            ],
            "notes": list(self.notes),
        }

    @property
    def title(self) -> str:
        """What the report is about."""
        return f"Report: {self.model.target} in {self.data}"

    @property
    def curve_classes(self) -> Sequence[Any]:
        """The class of each ROC curve of the evaluation."""
        if not self.evaluation.roc:
            return ()
        return self.model.classes[1:] if len(self.model.classes) == 2 else self.model.classes

    def to_html(self) -> str:
        """The report as an HTML page, without network or script; light or dark, as the reader's system is."""
        return page(self)

    def sections(self) -> list[Section]:
        """The tables of the report, as they are printed."""
        return sections(self)

    def _repr_html_(self) -> str:
        return fragment(self)

    def __repr__(self) -> str:
        return text(self)


def _coefficients(found: Coefficients) -> list[dict[str, Any]]:
    parts = (found.estimates, found.standard_errors, found.z, found.p, found.odds_ratios)
    names = ("estimate", "standard_error", "z", "p", "odds_ratio")
    ends = found.wald_intervals()
    with np.errstate(over="ignore"):
        odds = np.exp(ends)
    return [
        {"name": name, "class": value, "reference": found.reference}
        | {key: _number(number) for key, number in zip(names, numbers, strict=True)}
        | {"interval": _numbers(interval), "odds_interval": _numbers(ratios)}
        for name, value, numbers, interval, ratios in zip(
            found.names, found.classes, zip(*parts, strict=True), ends, odds, strict=True
        )
    ]


def _number(value: Any) -> float | None:
    """The number as a float; None if it is None, or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in values]


def _thinned(rates: Any) -> list[float]:
    """The rates at up to `MOST_CORNERS` corners, which are chosen evenly, with the first and the last."""
    chosen = np.unique(np.linspace(0, len(rates) - 1, min(len(rates), MOST_CORNERS)).astype(np.intp))
    return [float(rate) for rate in rates[chosen]]
