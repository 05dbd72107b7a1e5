"""Trains a model on the columns of a table: to its optimum, or by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradstep import (
    Descent,
    Optimum,
    Trainer,
    __version__,
    _files,
    _formulas,
    _kinds,
    _table,
    _words,
    decision_function,
    fit,
)
from gradstep._document import Scalar, Setting
from gradstep._encoding import Encoding, Format
from gradstep._fitted import codes_of
from gradstep._kinds import Asked
from gradstep._model import Class, Fact, Model, Standardize
from gradstep._of_features import OfFeatures
from gradstep._optimum import Alias, Iteration, Separation
from gradstep._spelling import COMMAND_LINE, Spelling
from gradstep._split import digest
from gradstep._table import Fault, Table

Array: TypeAlias = NDArray[np.float64]
Found = TypeVar("Found", Optimum, Descent)
OptimumCallback: TypeAlias = Callable[[Iteration], None]
DescentCallback: TypeAlias = Callable[[int, float, Array, Any], None]
Record: TypeAlias = dict[str, float]
"""The record of an epoch, counted from 1, or of the start, which is epoch 0. It has "epoch", "loss" (for a perceptron
"misclassified" instead) and "accuracy"."""

MOST_ALIASES = 3
MOST_ERRORS = 1000
"""The standard errors of a model are computed with it only if there are at most this many coefficients."""
PLAIN = OfFeatures()
"""The default penalty factors, bounds and prior weights, which are the same for all features."""
ZERO = "zero"
"""A start from weights and bias of 0."""


@dataclass(frozen=True)
class Problem:
    """The rows that a model is trained on, with the names of features and classes."""

    X: Array
    y: Array
    """Codes 0, 1, … of `classes`."""
    features: list[str]
    target: str
    classes: list[Class]
    weight: Array | None = None
    """The weights of the rows. The column that has them is named `weight_name`."""
    weight_name: str | None = None
    offset: Array | None = None
    """Numbers that are added to the scores of the rows. The column that has them is named `offset_name`."""
    offset_name: str | None = None
    encoding: Encoding | None = None
    """How the features were made of the columns; None if the features are the columns themselves."""
    notes: list[str] = field(default_factory=list)
    """Notes for the user about what was done to the table."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Remarks on columns that are constant, the same as another one, or number the rows; by the column's name."""
    spelling: Spelling = COMMAND_LINE
    """How messages write options."""

    def column(self, name: str) -> int:
        """The number of the feature of that name."""
        if name not in self.features:
            raise ValueError(f"there is no feature {name!r}; the features are {_table.few(self.features)}")
        return self.features.index(name)

    def part(self, rows: NDArray[Any]) -> Problem:
        """The problem of some of the rows."""
        weight, offset = (None if given is None else given[rows] for given in (self.weight, self.offset))
        return replace(self, X=self.X[rows], y=self.y[rows], weight=weight, offset=offset)

    @property
    def of_rows(self) -> dict[str, Any]:
        """The weights and offsets of the rows, as arguments of `fit`."""
        return {"sample_weight": self.weight, "offset": self.offset}

    @classmethod
    def read(
        cls,
        file: Path,
        header: bool | None = None,
        target: str | None = None,
        asked: Asked | None = None,
        format: Format | None = None,
        spelling: Spelling = COMMAND_LINE,
    ) -> Problem:
        """The problem of a data file. If no target is named, it is the last column that is not left out, and is neither
        an id nor the weights or the offsets."""
        asked = asked or Asked()
        as_text = _table.meant([target or "", *asked.categorical])
        return cls.of(_files.read(file, header, format=format, as_text=as_text, spelling=spelling), target, asked)

    @classmethod
    def of(cls, table: Table, target: str | None, asked: Asked) -> Problem:
        """The problem of a table, as `read` describes it."""
        asked = asked.named(table)
        taken = {*asked.drop, *asked.ids, asked.weight, asked.offset}
        if target is None:
            target = next((name for name in reversed(table.frame.columns) if name not in taken), "")
        table.check_name(target)
        codes, classes = table.target(target)
        unlabelled = np.isnan(codes)
        faults = [] if asked.missing or not unlabelled.any() else [_unlabelled(table, target, unlabelled)]
        others = [name for name in (target, asked.weight, asked.offset) if name is not None]
        learnt = _kinds.learn(table, others, asked, faults)
        kept = ~(unlabelled | learnt.encoding.incomplete(learnt.values))
        y, values, notes = codes, learnt.values, learnt.notes
        weight = None if asked.weight is None else weights_of(table, asked.weight)
        offset = None if asked.offset is None else numbers_of(table, asked.offset)
        if offset is not None and len(classes) > 2:
            option = table.spelling.name("offset")
            raise table.error(f"{option} is for a target with two values, and {target!r} has {len(classes)}")
        if not kept.all():
            notes = [*notes, f"{len(kept) - kept.sum()} of {len(kept)} rows lack a value and are left out"]
            y, values = codes[kept], [column[kept] for column in values]
            weight, offset = (None if given is None else given[kept] for given in (weight, offset))
        absent = [value for k, value in enumerate(classes) if not (y == k).any()]
        if absent:
            raise table.error(f"target {target!r} is never {_table.few(absent)} in the rows that lack no value")
        if asked.positive is not None:
            y, classes = _with_positive(table, target, y, classes, asked.positive)
        encoding = learnt.encoding
        return cls(
            X=encoding.matrix(values),
            y=y,
            features=encoding.features,
            target=target,
            classes=classes,
            weight=weight,
            weight_name=asked.weight,
            offset=offset,
            offset_name=asked.offset,
            encoding=None if encoding == Encoding.of_numbers(encoding.names) else encoding,
            notes=notes,
            remarks=learnt.remarks,
            spelling=table.spelling,
        )


def _unlabelled(table: Table, target: str, missing: NDArray[np.bool_]) -> Fault:
    rows = f"{missing.sum()} of {len(missing)} rows have no target" if missing.sum() > 1 else "the row has no target"
    way = ("missing", "drop")
    place = f"column {target!r}, data row {missing.argmax() + 1}"
    return Fault(f"{place}: missing value, {rows}: {table.spelling.given(*way)} leaves them out", (way,))


def numbers_of(table: Table, name: str) -> Array:
    """The numbers of a column; a ValueError if one is missing or not finite."""
    encoding = Encoding.of_numbers([name])
    numbers = _kinds.values(table, [name], encoding)
    encoding.check(numbers, table.where, refuse=True)
    return numbers[0]


def weights_of(table: Table, name: str) -> Array:
    """The weights of the rows, from a column; a ValueError if one is missing, not finite or negative."""
    weights = numbers_of(table, name)
    if (weights < 0).any():
        row = int((weights < 0).argmax())
        raise table.error(f"column {name!r}, data row {row + 1}: a weight must not be negative, got {weights[row]:g}")
    return weights


def _with_positive(
    table: Table, target: str, y: Array, classes: list[Class], positive: str
) -> tuple[Array, list[Class]]:
    """The codes and the classes, exchanged if need be: the class that is written `positive` becomes the second."""
    option = table.spelling.name("positive")
    if len(classes) != 2:
        raise table.error(f"{option} is for a target with two values, and {target!r} has {len(classes)}")
    place = next((k for k, value in enumerate(classes) if _table.stands_for(positive, value)), None)
    if place is None:
        raise table.error(f"{option} must be a value of the target {target!r}, {_table.few(classes)}, got {positive!r}")
    return (y, classes) if place == 1 else (1 - y, classes[::-1])


class Trained(NamedTuple, Generic[Found]):
    """A model, and what it was made of."""

    model: Model
    notes: list[str]
    """Notes for the user: what was done to the table, and the `warnings`."""
    warnings: list[str]
    """What is wrong with the fit: the optimum is not proved, say, or the loss has risen."""
    result: Found
    """What `gradstep.fit` or `Trainer.fit` has found."""
    problem: Problem
    """The rows that the model was trained on."""
    X: Array
    """The features of these rows, standardized if that was asked for."""


def optimum(
    problem: Problem,
    options: dict[str, Scalar],
    standardize: bool,
    callback: OptimumCallback | None = None,
    of_features: OfFeatures = PLAIN,
) -> Trained[Optimum]:
    """The model at its optimum, with what is proved of it; `options` are those of `gradstep.fit`.

    Raises
    ------
    ValueError
        If there is no optimum, since the classes are separated and there is no penalty.
    """
    x, scaling = scaled(problem, standardize)
    arguments: dict[str, Any] = options | problem.of_rows | of_features.arguments(problem, scaling)
    try:
        best = fit(x, problem.y, callback=callback, **arguments)
    except ValueError:
        with np.errstate(over="ignore"):
            too_large = np.isinf((x * x).sum(axis=0)).any()
        if not too_large:
            raise
        name = problem.features[np.abs(x).max(axis=0).argmax()]
        raise ValueError(f"column {name!r}: numbers too large, the sum of their squares is not finite") from None
    if best.separation is not None:
        raise ValueError(_separated(problem, best.separation))
    result: dict[str, Fact] = {
        "objective": best.objective,
        "gradient_norm": best.gradient_norm,
        "gap": None if math.isinf(best.gap) else best.gap,
        "converged": best.converged,
        "aliased": [problem.features[alias.column] for alias in best.aliased],
        "passes": best.passes,
        "n_iterations": best.n_iterations,
        "solver": best.solver,
        "stop_reason": str(best.stop_reason),
    }
    said_of_features = options | of_features.kept()
    model = _model(problem, x, scaling, best.weights, best.bias, said_of_features, {"loss": best.loss, **result})
    if not (of_features.lower or of_features.upper):
        model = replace(model, standard_errors=_standard_errors(best, problem, x, bool(options["fit_bias"])))
    asked = _words.Asked(
        name=problem.spelling.name,
        given=lambda name: problem.spelling.given(name, options[name]),
        certify=bool(options["certify"]),
        remedy="" if standardize else problem.spelling.given("standardize", True),
    )
    missing = _words.shortfall(best, asked)
    lacking = [missing] if missing else []
    said = {problem.features[alias.column] for alias in best.aliased}
    notes = [*problem.notes, *_remarks(problem, said), *_aliased(problem, scaling, best.aliased), *lacking]
    return Trained(model, notes, lacking, best, problem, x)


def _standard_errors(best: Optimum, problem: Problem, x: Array, fit_bias: bool) -> list[list[float | None]] | None:
    """Standard errors for the model file, as `Model` describes them; None where there are none, or too many."""
    scores = max(len(problem.classes) - 1, 1)
    if best.objective != best.loss or not best.converged or scores * (x.shape[1] + 1) > MOST_ERRORS:
        return None
    from gradstep.inference import infer

    try:
        found = infer(best, x, problem.y, fit_bias=fit_bias, **problem.of_rows).standard_errors
    except ValueError:  # the weights are not near enough to the optimum
        return None
    rows = [row if fit_bias else [*row, math.nan] for row in found.reshape(scores, -1).tolist()]
    return [[error if math.isfinite(error) else None for error in row] for row in rows]


def descent(
    problem: Problem,
    options: dict[str, Scalar],
    standardize: bool,
    callback: DescentCallback | None = None,
    log: Callable[[Record], None] | None = None,
    log_every: int = 1,
) -> Trained[Descent]:
    """The model at the end of gradient descent; `options` are those of `gradstep.Trainer`, and "start".

    `log` is called with a record of the start, as epoch 0, of the first epoch, every `log_every`-th, and the last.

    Raises
    ------
    ValueError
        If the descent diverges; if a perceptron has more than two classes; or if the start is not one weight for each
        feature and a bias (for three classes or more, the weights and the bias of one class after another).
    """
    if len(problem.classes) > 2 and options["activation"] == "step":
        raise ValueError(
            f"target {problem.target!r} has {len(problem.classes)} values: a perceptron, --activation step, is for two"
        )
    x, scaling = scaled(problem, standardize)
    batch_size, activation = options["batch_size"], str(options["activation"])
    arguments: dict[str, Any] = {**options, "batch_size": None if batch_size == "full" else batch_size}
    start = _start(problem, arguments.pop("start"))
    error = "misclassified" if activation == "step" else "loss"
    logged = 0

    def record(epoch: int, loss: float, weights: Array, bias: Any) -> None:
        nonlocal logged
        if log and epoch > logged:
            logged = epoch
            log({"epoch": epoch, error: loss, "accuracy": _accuracy(problem, x, weights, bias, activation)})

    def watch(epoch: int, loss: float, weights: Array, bias: Any) -> None:
        if epoch == 0 or (epoch + 1) % log_every == 0:
            record(epoch + 1, loss, weights, bias)
        if callback:
            callback(epoch, loss, weights, bias)

    if log:
        right = _accuracy(problem, x, *start, activation)
        loss = 1 - right if activation == "step" else _formulas.loss(x, problem.y, *start, **problem.of_rows)
        log({"epoch": 0, error: loss, "accuracy": right})
    watched = watch if log or callback else None
    end = Trainer(**arguments).fit(x, problem.y, *start, callback=watched, **problem.of_rows)
    if end.stop_reason == "diverged":
        name, given = problem.spelling.name, problem.spelling.given
        advice = f"a smaller {name('learning_rate')}" + ("" if standardize else f" or {given('standardize', True)}")
        raise ValueError(f"diverged in epoch {end.n_epochs + 1}: its numbers are no longer finite; try {advice}")
    last = float(end.history[-1])
    record(end.n_epochs, last, end.weights, end.bias)
    result: dict[str, Fact] = {"n_epochs": end.n_epochs, "stop_reason": str(end.stop_reason)}
    model = _model(problem, x, scaling, end.weights, end.bias, options, {error: last, **result})
    worse = [] if activation == "step" else _worse_than_a_constant(problem, last, standardize)
    rise = [] if options["l1"] or options["l2"] else _rise(end)  # with a penalty the loss alone may rise all the same
    warnings = [*rise, *worse]
    return Trained(model, [*problem.notes, *_remarks(problem), *warnings], warnings, end, problem, x)


def _remarks(problem: Problem, said: Collection[str] = ()) -> list[str]:
    """A note on all columns with remarks, except those in `said`, on which there is another note."""
    remarks = {name: why for name, why in problem.remarks.items() if name not in said}
    if not remarks:
        return []
    words = ", ".join(f"column {_table.few([name])} {why}" for name, why in remarks.items())
    them = "it" if len(remarks) == 1 else "them"
    too = f", as {problem.spelling.name('ids')} does" if _kinds.NUMBERS_ROWS in remarks.values() else ""
    return [f"{words}: {problem.spelling.advice(('drop', name) for name in remarks)} leaves {them} out{too}"]


def _start(problem: Problem, text: str) -> tuple[Array, Any]:
    """Weights and bias to start from, read from a text with the weights of the features and then the bias. For three
    classes or more, the text has the weights and the bias of one class after another."""
    scores = 1 if len(problem.classes) == 2 else len(problem.classes)
    zeros = np.zeros(scores * (len(problem.features) + 1))
    values = zeros if text == ZERO else np.array([float(value) for value in text.split(",")])
    if len(values) != len(zeros):
        columns = f"{len(problem.features)} features ({_table.few(problem.features)})"
        classes = "" if scores == 1 else f", of each of {scores} classes one after the other"
        raise ValueError(
            f"{problem.spelling.name('start')} must have a weight for each of {columns}, and the bias{classes}, "
            f"got {len(values)} numbers"
        )
    if scores == 1:
        return values[:-1], float(values[-1])
    of_classes = values.reshape(scores, -1)
    return of_classes[:, :-1], of_classes[:, -1]


def _rise(end: Descent) -> list[str]:
    """Advice if the loss of a descent has risen; else nothing."""
    epoch = end.rose_in
    if epoch is None:
        return []
    before, after = np.append(end.start_loss, end.history)[epoch : epoch + 2]
    return [f"the loss rose from {before:.7g} to {after:.7g} in epoch {epoch + 1}: a smaller learning rate?"]


def _accuracy(problem: Problem, x: Array, weights: Array, bias: Any, activation: str) -> float:
    """The fraction of the rows, by weight, whose label is predicted."""
    z = decision_function(x, weights, bias)
    z = z if problem.offset is None else z + problem.offset
    is_right = codes_of(z, by_class=z.ndim == 2, activation=activation) == problem.y
    return float(np.average(is_right, weights=problem.weight))


def _aliased(problem: Problem, scaling: Standardize | None, aliased: tuple[Alias, ...]) -> list[str]:
    """A note on the columns that the fit left out, and why."""
    if not aliased:
        return []

    def name(column: int) -> str:
        return _table.few([problem.features[column]])

    shown = [
        f"column {name(alias.column)} is {_words.combination(_unscaled(alias, scaling), name, problem.X)}"
        for alias in aliased[:MOST_ALIASES]
    ]
    if len(aliased) == 1:
        return [f"{shown[0]}, its weight is 0"]
    more = f", and {len(aliased) - MOST_ALIASES} more" if len(aliased) > MOST_ALIASES else ""
    return [f"{', '.join(shown)}{more}: their weights are 0"]


def _unscaled(alias: Alias, scaling: Standardize | None) -> Alias:
    """The same combination for the columns before they were standardized."""
    if scaling is None:
        return alias
    mean, scale = np.array(scaling.mean), np.array(scaling.scale)
    own, others = alias.column, list(alias.columns)
    coefficients = np.array(alias.coefficients) * scale[own] / scale[others]
    constant = mean[own] + scale[own] * alias.constant - coefficients @ mean[others]
    return alias._replace(coefficients=tuple(coefficients.tolist()), constant=float(constant))


def _worse_than_a_constant(problem: Problem, loss: float, standardize: bool) -> list[str]:
    """Advice if a prediction that is the same for all rows would have a smaller loss; else nothing."""
    codes = range(len(problem.classes))
    shares = np.array([np.average(problem.y == code, weights=problem.weight) for code in codes])
    shares = shares[shares > 0]
    constant = float(-(shares * np.log(shares)).sum())
    if not loss > constant:
        return []
    name, given = problem.spelling.name, problem.spelling.given
    advice = f"more {name('epochs')} or a smaller {name('learning_rate')}"
    advice += "" if standardize else f", or {given('standardize', True)}"
    return [f"a constant prediction has a smaller loss ({constant:.6f}); try {advice}"]


def _separated(problem: Problem, separation: Separation) -> str:
    columns = np.flatnonzero(np.atleast_2d(separation.weights).any(axis=0))
    names = _table.few([problem.features[j] for j in columns])
    penalty = f"such as {problem.spelling.given('l2', 0.001)}"
    firth = problem.spelling.given("firth", True) if len(problem.classes) == 2 else None
    return f"no optimum: {_words.separated(len(columns), names, penalty, firth)}"


def scaled(problem: Problem, standardize: bool) -> tuple[Array, Standardize | None]:
    """The features for a fit, and the means and scales by which they were standardized; None if they were not."""
    if not standardize:
        return problem.X, None
    scaling = Standardize.of(problem.X, problem.weight)
    x = scaling.apply(problem.X)
    usable = np.isfinite(x).all(axis=0) & np.isfinite(scaling.scale)
    if not usable.all():
        raise ValueError(f"column {problem.features[usable.argmin()]!r}: numbers too large to standardize")
    return x, scaling


def _model(
    problem: Problem,
    x: Array,
    scaling: Standardize | None,
    weights: Array,
    bias: Any,
    options: Mapping[str, Setting],
    result: dict[str, Fact],
) -> Model:
    activation = str(options.get("activation", "sigmoid"))
    accuracy = _accuracy(problem, x, weights, bias, activation)
    columns = {"weight": problem.weight_name, "offset": problem.offset_name}
    return Model(
        features=problem.features,
        target=problem.target,
        classes=problem.classes,
        weights=weights.tolist(),
        bias=np.asarray(bias).tolist(),
        standardize=scaling,
        options={**options, **{option: name for option, name in columns.items() if name is not None}},
        result={"rows": len(x), "accuracy": accuracy, **result, "trained_on": digest(problem.X, problem.y)},
        gradstep=__version__,
        activation=activation,
        encoding=problem.encoding,
    )
