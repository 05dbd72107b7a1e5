"""train: trains a model on a file or a table, as `gradstep train` does; and how a model is trained again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from warnings import warn

from gradstep import _options
from gradstep._descent import Trainer
from gradstep._docs import suggests_names
from gradstep._document import Scalar
from gradstep._encoding import Format, is_delimiter, is_text_encoding
from gradstep._files import of_data
from gradstep._kinds import Asked
from gradstep._model import Model
from gradstep._of_features import EVERY, Numbers, OfFeatures, prior_of
from gradstep._optimum import fit
from gradstep._selection import Curve, cross_validated
from gradstep._split import digest, held_out
from gradstep._training import PLAIN, ZERO, Problem, Trained, descent, optimum


def defaults(function: Callable[..., Any], *names: str) -> dict[str, Scalar]:
    """The defaults of the parameters of `function` that have these names; the function is `fit` or `Trainer`."""
    parameters = inspect.signature(function).parameters
    return {name: parameters[name].default for name in names}


OPTIMUM = defaults(fit, "l1", "l2", "firth", "gap_tol", "tol", "certify", "max_passes", "fit_bias")
DESCENT = defaults(
    Trainer, "learning_rate", "epochs", "shuffle", "seed", "l1", "l2", "fit_bias", "tol", "reduction", "activation"
) | {"batch_size": "full", "start": ZERO}
SOLVERS = ("lbfgs", "gd", "proximal")


@dataclass(frozen=True)
class Plan:
    """How a model is trained, whatever the rows."""

    options: dict[str, Scalar]
    """The options of `gradstep.fit`, named as in `OPTIMUM`; or for a descent those of `gradstep.Trainer`, and "start",
    named as in `DESCENT`."""
    standardize: bool = False
    cv: int | None = None
    """The number of folds of the cross-validation that chooses the penalty; None for the penalty of `options`."""
    l1_ratio: float = 1.0
    test: float | None = None
    """The fraction of each class that is held out."""
    seed: int = 0
    """The seed of the choice of the rows that are held out."""
    of_features: OfFeatures = PLAIN

    @property
    def is_descent(self) -> bool:
        return "learning_rate" in self.options

    @classmethod
    def of(cls, model: Model) -> Plan | None:
        """How a model was trained, except what was held out (`test`); None if it was not trained from a table."""
        given = {
            name: value for name, value in model.options.items() if name not in _BESIDE and not isinstance(value, dict)
        }
        if not given.keys() >= DESCENT.keys() and not given.keys() >= OPTIMUM.keys():
            return None
        cv, ratio = model.options.get("cv"), model.options.get("l1_ratio")
        return cls(
            given,
            standardize=model.standardize is not None,
            cv=cv if isinstance(cv, int) else None,
            l1_ratio=float(ratio) if isinstance(ratio, int | float) else 1.0,
            of_features=OfFeatures.of(model.options),
        )

    def train(self, whole: Problem, **watching: Any) -> tuple[Trained[Any], Curve | None]:
        """Train a model on the rows that are not held out.

        Returns the model, and the errors of the cross-validation that chose its penalty, or None. The arguments
        `watching`, such as a callback, are passed on to `descent` or `optimum`.
        """
        problem = whole if self.test is None else whole.part(~held_out(whole, self.test, self.seed))
        curve, said = None, {}
        if self.is_descent:
            trained: Trained[Any] = descent(problem, self.options, self.standardize, **watching)
        else:
            options = self.options
            if self.cv:
                given = problem, self.l1_ratio, self.cv, self.standardize, options, self.of_features
                curve = cross_validated(*given)
                options = options | curve.penalty(curve.best)
                said = {"cv": self.cv, "l1_ratio": self.l1_ratio}
            is_proximal = options["l1"] or self.of_features.lower or self.of_features.upper
            own = "auto" if options["firth"] else SOLVERS[2 if is_proximal else 0]
            solver = options.get("solver") or own
            watching |= {"of_features": self.of_features}
            trained = optimum(problem, options | {"solver": solver}, self.standardize, **watching)
        model = trained.model
        if self.test is not None:
            said |= {"test": self.test, "test_seed": self.seed}
            model = replace(model, result={**model.result, "split_from": digest(whole.X, whole.y)})
        return trained._replace(model=replace(model, options={**model.options, **said})), curve


_BESIDE = ("weight", "offset", "cv", "l1_ratio", "test", "test_seed")
"""Options in a model file that neither `fit` nor `Trainer` has."""


@suggests_names
def train(
    data: Any,
    target: str | None = None,
    *,
    features: Sequence[str] = (),
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    ids: Sequence[str] = (),
    weight: str | None = None,
    offset: str | None = None,
    positive: str | None = None,
    missing: Literal["drop", "mean", "indicator"] | None = None,
    date_format: str | None = None,
    standardize: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    grouped: bool = False,
    penalty_factors: float | Mapping[str, float] | None = None,
    prior: Model | None = None,
    lower: float | Mapping[str, float] | None = None,
    upper: float | Mapping[str, float] | None = None,
    firth: bool = False,
    cv: int | None = None,
    l1_ratio: float = 1.0,
    fit_bias: bool = True,
    solver: Literal["lbfgs", "gd", "proximal"] | None = None,
    gap_tol: float = OPTIMUM["gap_tol"],  # type: ignore[assignment]
    tol: float = OPTIMUM["tol"],  # type: ignore[assignment]
    certify: bool = True,
    max_passes: float = OPTIMUM["max_passes"],  # type: ignore[assignment]
    trainer: Trainer | None = None,
    test: float | None = None,
    seed: int = 0,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: Literal[".", ","] | None = None,
    encoding: str | None = None,
    na: Sequence[str] = (),
) -> Model:
    """Train a model on a table with columns of numbers, text and dates: what `gradstep train` does, in Python.

    The kind of each column is found out from its cells. Numbers are taken as they are, and dates as days. Text with few
    values becomes a feature for each value but the first, which is 1 for this value, else 0. The model keeps the kinds
    of the columns, and treats the rows that it predicts in the same way.

    Parameters
    ----------
    data : path, data frame, or mapping of names to columns
        A CSV or Parquet file; or a frame of pandas, polars or pyarrow.
    target : str, optional
        The column to predict; by default the last one. Its values in sorted order are the classes.
    features : list of str, optional
        The columns to train on; by default all but the target.
    drop, categorical, ids : list of str, optional
        Columns to leave out; columns whose values are categories, though they are numbers or many different texts; and
        columns that identify the rows, which are kept beside predictions but not trained on.
    weight : str, optional
        The column with the weights of the rows, such as counts.
    offset : str, optional
        Of two classes, the column with numbers that are added to the scores of the rows: the part of the log-odds that
        is known. Rows to predict must have it, too.
    positive : str, optional
        Of two classes, the one whose probability is given, as it is written; by default the second.
    missing : {"drop", "mean", "indicator"}, optional
        What to do where values are missing. "drop": leave the row out. "mean": put in the mean or, for categories, the
        most frequent one. "indicator": add a feature that is 1 in these rows, and put in the mean or, for categories,
        0 in all their features. By default missing values are refused.
    date_format : str, optional
        How dates are written, such as "%d/%m/%Y".
    standardize : bool, default False
        Bring every feature to mean 0 and standard deviation 1 first.
    l1, l2, grouped, firth, fit_bias, solver, gap_tol, tol, certify, max_passes
        Those of `gradstep.fit`.
    penalty_factors, lower, upper : float or dict of str to float, optional
        Those of `gradstep.fit`: a number for all features, or numbers by the names of features, or of columns with all
        their features. Bounds are of the weights as the model has them: with `standardize`, of standardized features.
    prior : Model, optional
        The model of an earlier training, whose weights `l2` draws towards. Features that it does not have are drawn to
        0.
    cv : int, optional
        Choose the strength of the penalty by the loss on so many parts of the rows, each left out in turn.
    l1_ratio : float, default 1.0
        With `cv`, the part of the strength that is l1; the rest is l2.
    trainer : Trainer, optional
        Gradient descent by this `Trainer` instead of the optimum; its `l1`, `l2`, `fit_bias` and `tol` are used.
    test : float, optional
        The fraction of each class to hold out: the model is trained on the rest, and `Model.report` on the same data
        reports on the rows held out.
    seed : int, default 0
        Seed of the choice of the rows to hold out.
    header, delimiter, decimal, encoding, na
        How a file is written: whether its first row names the columns, the character between cells, the decimal sign,
        the encoding of its text, and texts that stand for a missing value. What is not given is found out.

    Returns
    -------
    Model
        It predicts (`Model.predict_proba`), reports (`Model.report`) and is saved (`Model.save`).
        ``Model.encoding.describe()`` says what was done to the columns; `Model.result` what came of the training.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If an argument is not what it should be; if something must be decided about the columns (the message has
        everything at once, with arguments that decide it); or if there is no optimum, since the classes are separated.
    ImportError
        Without polars (extra ``cli``).

    Warns
    -----
    UserWarning
        If the optimum is not proved, or the descent ended worse than it began; it says what to do.

    Examples
    --------
    >>> table = {
    ...     "hours": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
    ...     "school": ["west", "east", "east", "west", "east", "west", "west", "east"],
    ...     "passed": ["no", "no", "yes", "no", "yes", "no", "yes", "yes"],
    ... }
    >>> model = gradstep.train(table, "passed", l2=0.1)
    >>> model.features, model.result["converged"]
    (['hours', 'school=west'], True)
    >>> model.predict_proba({"hours": [3.0, 3.0], "school": ["east", "west"]}).round(2)
    array([0.74, 0.55])
    """
    asked = Asked(
        features=_names("features", features),
        drop=_names("drop", drop),
        categorical=_names("categorical", categorical),
        ids=_names("ids", ids),
        weight=_optional_word("weight", weight),
        offset=_optional_word("offset", offset),
        positive=None if positive is None else str(positive),
        missing=_choice("missing", missing, ("drop", "mean", "indicator")),
        date_format=_optional_word("date_format", date_format),
    )
    options = {
        "l1": l1,
        "l2": l2,
        "firth": _options.flag("firth", firth),
        "gap_tol": gap_tol,
        "tol": tol,
        "certify": certify,
    }
    options |= {"max_passes": max_passes, "fit_bias": fit_bias}
    options |= {"grouped": True} if _options.flag("grouped", grouped) else {}
    by_name = {"penalty_factors": penalty_factors, "lower": lower, "upper": upper}
    of_features = OfFeatures(**{name: _by_name(name, value) for name, value in by_name.items()})
    if prior is not None and not isinstance(prior, Model):
        raise TypeError(f"prior must be a Model, got {_options.kind(prior)}")
    if trainer is not None and (said := [name for name, value in by_name.items() if value is not None]):
        raise ValueError(f"trainer must come without {said[0]}, which is of the optimum")
    if trainer is not None and prior is not None:
        raise ValueError("trainer must come without prior, which is of the optimum")
    plan = Plan(
        options=_checked(options | {"solver": _choice("solver", solver, SOLVERS)}, trainer, cv),
        standardize=_options.flag("standardize", standardize),
        cv=None if cv is None else _at_least_two("cv", cv),
        l1_ratio=_fraction("l1_ratio", l1_ratio),
        test=None if test is None else _fraction("test", test, open=True),
        seed=_options.optional_seed("seed", seed) or 0,
    )
    as_text = [_optional_word("target", target) or "", *asked.categorical]
    format = format_of(delimiter, decimal, encoding, na)
    table = of_data("data", data, _options.optional_flag("header", header), format, as_text)
    problem = Problem.of(table, target, asked)
    if prior is not None:
        of_features = replace(of_features, prior=prior_of(prior, problem)[0])
    trained, _ = replace(plan, of_features=of_features).train(problem)
    for warning in trained.warnings:
        warn(warning, stacklevel=3)
    return trained.model


def format_of(delimiter: Any, decimal: Any, encoding: Any, na: Any) -> Format:
    """The format of a file by these arguments of `train`, which are checked."""
    if delimiter is not None and not is_delimiter(_options.word("delimiter", delimiter)):
        raise ValueError(f"delimiter must be one ASCII character, got {delimiter!r}")
    if encoding is not None and not is_text_encoding(_options.word("encoding", encoding)):
        raise ValueError(f"encoding must be one that Python knows, such as 'latin-1', got {encoding!r}")
    return Format(delimiter, _choice("decimal", decimal, (".", ",")), encoding, _names("na", na))


def _checked(options: dict[str, Any], trainer: Any, cv: Any) -> dict[str, Scalar]:
    """The options of a fit, checked. With a trainer, its options instead; options of a fit are then refused."""
    plain = _options
    if trainer is None:
        kinds: dict[str, Callable[[str, Any], Any]] = {"certify": plain.flag, "fit_bias": plain.flag}
        if cv is not None and (options["l1"] or options["l2"]):
            raise ValueError(f"cv chooses the strength of the penalty: it excludes {'l1' if options['l1'] else 'l2'}")
        numbers = ("l1", "l2", "gap_tol", "max_passes")
        kinds |= dict.fromkeys(numbers, plain.number) | {"tol": plain.optional_number}
        return {name: kinds[name](name, value) if name in kinds else value for name, value in options.items()}
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a Trainer, got {plain.kind(trainer)}")
    usual = OPTIMUM | {"solver": None, "grouped": False}
    if own := [name for name, value in options.items() if value != usual[name]] + ["cv"] * (cv is not None):
        raise ValueError(f"trainer must come without {own[0]}, which is of the optimum or the trainer's own")
    given = {name: getattr(trainer, name) for name in DESCENT if name != "start"}
    return DESCENT | given | {"batch_size": trainer.batch_size or "full"}


def _by_name(name: str, value: Any) -> Numbers:
    """Numbers of features by their names, checked; a number alone is for all features."""
    if value is None:
        return {}
    given = value if isinstance(value, Mapping) else {EVERY: value}
    if not all(isinstance(key, str) for key in given):
        raise TypeError(f"{name} must be a number, or numbers by the names of features, got {value!r}")
    numbers = {key: _options.number(name, number) for key, number in given.items()}
    for number in numbers.values():
        if not math.isfinite(number) or (name == "penalty_factors" and number < 0):
            expected = "finite and not negative" if name == "penalty_factors" else "finite"
            raise ValueError(f"{name} must be {expected}, got {number:g}")
    return numbers


def _names(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} must be a list of str, got {value!r}")
    return list(value)


def _optional_word(name: str, value: Any) -> str | None:
    return None if value is None else _options.word(name, value)


def _choice(name: str, value: Any, words: Sequence[str]) -> str | None:
    if value is not None and _options.word(name, value) not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, or None, got {value!r}")
    return _optional_word(name, value)


def _at_least_two(name: str, value: Any) -> int:
    if (number := _options.count(name, value)) < 2:
        raise ValueError(f"{name} must be an integer of at least 2, got {number}")
    return number


def _fraction(name: str, value: Any, *, open: bool = False) -> float:
    number = _options.number(name, value)
    if not (0 < number < 1 if open else 0 <= number <= 1):
        raise ValueError(
            f"{name} must be {'between' if open else 'from'} 0 {'and' if open else 'to'} 1, got {number:g}"
        )
    return number
