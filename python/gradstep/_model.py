"""A trained model and its file: JSON that anyone can read, and that a hostile writer cannot abuse.

Needs NumPy alone, so that a model of numbers can be used without the command line's libraries.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _document as document
from gradstep._arrays import real
from gradstep._document import Scalar, Setting
from gradstep._encoding import Encoding
from gradstep._extras import extra
from gradstep._frames import check_different, column_names
from gradstep._options import kind

if TYPE_CHECKING:
    from gradstep._report import Report

FORMAT = "gradstep-model"
VERSIONS = (1, 2)
"""The versions of model files. Files with an `encoding` have version 2, as readers of version 1 do not know it."""
MOST_NAMED = 8
"""The largest number of names in the message that says which columns are missing."""
MAX_BYTES = 64 * 2**20

Fact: TypeAlias = Scalar | list[str]
Class: TypeAlias = bool | int | float | str

_TWO = "probability of classes[1] = 1 / (1 + exp(-(bias + sum over j of weights[j] * x[j]))), with x[j] = "
_MORE = (
    "probability of classes[k] = exp(z[k]) / (sum over c of exp(z[c])), "
    "with z[k] = bias[k] + sum over j of weights[k][j] * x[j] and x[j] = "
)
_STEP = (
    "label = classes[1] if bias + (sum over j of weights[j] * x[j]) >= 0, else classes[0] (a perceptron), with x[j] = "
)
_PLAIN = "the value of features[j]"
_STANDARDIZED = "(the value of features[j] - standardize.mean[j]) / standardize.scale[j]"
_OFFSET = "; the number of the row in the column named by options.offset is added to bias"
_ENCODED = (
    "; of a column c in encoding.columns the values are: its number (of a date, the days since 'since'), or of "
    "categories 1 for 'c=level' where it is that level, else 0, and with 'fill' in place of a missing value; "
    "'c missing' is 1 where the value is missing, else 0"
)


@dataclass(frozen=True)
class Standardize:
    """`x = (value - mean) / scale`, one number per feature."""

    mean: list[float]
    scale: list[float]

    @classmethod
    def of(cls, X: NDArray[np.float64], weight: NDArray[np.float64] | None = None) -> Standardize:
        """Mean and population standard deviation of every column, by weights of the rows; scale 1 where constant."""
        with np.errstate(all="ignore"):
            if weight is None:
                mean, scale = X.mean(axis=0), X.std(axis=0)
            else:
                mean = np.average(X, axis=0, weights=weight)
                scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
        # The computed mean of equal numbers may be off by a rounding, which would leave a tiny scale instead of 0.
        constant = (X[:1] == X).all(axis=0)
        mean[constant] = X[0, constant]
        scale[constant | (scale == 0)] = 1.0
        return cls(mean.tolist(), scale.tolist())

    def apply(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            x: NDArray[np.float64] = (X - np.array(self.mean)) / np.array(self.scale)
        return x


@dataclass(frozen=True)
class Model:
    """A trained model, which predicts from the columns of a table: trained by `gradstep train`, or by an estimator.

    Attributes
    ----------
    features : list of str
        The names of the features.
    target : str
        The column that is predicted.
    classes : list
        The values of the target: strings, numbers or booleans.
    weights : list
        One number per feature; for K >= 3 classes one such list per class.
    bias : float or list of float
        One number; for K >= 3 classes one per class.
    standardize : Standardize or None
        Mean and scale of each feature, which is (value - mean) / scale before its weight is applied.
    options, result : dict
        How it was trained, and what came of it.
    gradstep : str
        The version that trained it.
    activation : {"sigmoid", "step"}
        "step" for a perceptron, whose probabilities are 0 or 1. With K >= 3 classes "sigmoid" is softmax.
    encoding : Encoding or None
        How the columns of a table become features; None if each feature is the number in the column of its name.
    standard_errors : list of list, or None
        One list with the standard errors of the weights and then of the bias. For K >= 3 classes there is a list for
        each class but the first, with the errors of the differences from the first class. A coefficient without a
        standard error has None in its list. The attribute itself is None with a penalty, for a descent, without a
        proved optimum, or if there would be more than 1000 errors.

    Examples
    --------
    >>> estimator = gradstep.LogisticRegression(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"])
    >>> model = estimator.to_model(features=["hours"], target="passed")
    >>> model.predict_proba({"hours": [0.5, 2.5]}).round(3)
    array([0.346, 0.654])
    >>> model.predict({"hours": [0.5, 2.5]})
    array(['no', 'yes'], dtype='<U3')
    """

    features: list[str]
    target: str
    classes: list[Class]
    weights: list[float] | list[list[float]]
    bias: float | list[float]
    standardize: Standardize | None
    options: dict[str, Setting]
    result: dict[str, Fact]
    gradstep: str
    activation: str = "sigmoid"
    encoding: Encoding | None = None
    standard_errors: list[list[float | None]] | None = None

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of `classes[1]` for every row, shape (m,); for K >= 3 classes that of each, (m, K).

        Parameters
        ----------
        X : data frame, mapping of names to columns, or array_like of shape (m, n)
            In a frame (pandas, polars, pyarrow) the columns are found by name, and others are ignored. An array has the
            features, in their order. A model with an offset needs a frame that has its column.

        Returns
        -------
        ndarray
            NaN for a row that lacks a value, where the model was trained with missing values left out.

        Raises
        ------
        ValueError
            If a column is not there, or a cell is not what the model was trained on; the message names both.
        ImportError
            If columns of text are given without polars (extra ``cli``).
        """
        return self.probabilities(*self._parts(X))[0]

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every row, shape (m,); None where `predict_proba` is NaN."""
        probability, codes = self.probabilities(*self._parts(X))
        labels = np.array(self.classes)
        if labels.tolist() != self.classes:  # integers that have no integer dtype in common
            labels = np.array(self.classes, dtype=object)
        unknown = np.isnan(probability) if len(self.classes) == 2 else np.isnan(probability).any(axis=-1)
        if not unknown.any():
            return np.asarray(labels[codes])
        some = labels.astype(object)[codes]
        some[unknown] = None
        return some

    def report(
        self,
        data: Any,
        *,
        folds: int | None = None,
        weight: str | None = None,
        missing: Literal["drop"] | None = None,
        unknown: Literal["reference"] | None = None,
        header: bool | None = None,
        delimiter: str | None = None,
        decimal: Literal[".", ","] | None = None,
        encoding: str | None = None,
        na: Sequence[str] = (),
    ) -> Report:
        """How sure the coefficients are, and how good the predictions on rows whose target is known: a `Report`.

        If `data` are what the model was trained on, `Report.evaluated_on` says so. If a part of them was held out
        (``test`` of `gradstep.train`), only that part is reported on.

        Parameters
        ----------
        data : path, data frame, or mapping of names to columns
            A CSV or Parquet file or a frame, with the columns of the model and the target.
        folds : int, optional
            Cross-validate: train so many models with the options of this one, each without one part of the rows, and
            report on the predictions that each model makes for the part it was trained without.
        weight : str, optional
            The column with the weights of the rows; by default that of the training, if the data have it.
        missing : {"drop"}, optional
            Leave out rows that lack a value. By default missing values are treated as in training: they are refused if
            training refused them.
        unknown : {"reference"}, optional
            Take categories that the model does not know for the reference; by default they are refused.
        header, delimiter, decimal, encoding, na
            How the file is written, as in `gradstep.train`; by default as the file of the training.

        Returns
        -------
        Report

        Raises
        ------
        OSError
            If the file cannot be read.
        TypeError, ValueError
            If an argument is not what it should be, a column is not there, or a cell is not what the model was trained
            on; the message names both.
        ImportError
            Without polars (extra ``cli``).
        """
        with extra("cli", "Model.report needs polars", "polars"):
            from gradstep._report._making import report_of_data
            from gradstep._train import format_of
        format = format_of(delimiter, decimal, encoding, na)
        return report_of_data(self, data, folds, weight, missing, unknown, header, format)

    @property
    def offset(self) -> str | None:
        """The column whose numbers are added to the scores of the rows; None without one."""
        name = self.options.get("offset")
        return name if isinstance(name, str) else None

    def probabilities(
        self, X: ArrayLike, offset: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """For every row of an array of features: the result of `predict_proba`, and the position in `classes` of the
        result of `predict`. `offset` has the offsets of the rows."""
        from gradstep import decision_function, sigmoid, softmax
        from gradstep._fitted import codes_of

        x = X if self.standardize is None else self.standardize.apply(np.asarray(X, np.float64))
        z = decision_function(x, np.array(self.weights), self.bias)
        z = z if offset is None else z + offset
        codes = codes_of(z, by_class=np.ndim(self.bias) == 1, activation=self.activation)
        if self.activation == "step":
            return np.where(np.isnan(z), z, codes), codes
        return softmax(z) if np.ndim(self.bias) else sigmoid(z), codes

    def table_encoding(self) -> Encoding:
        """How the columns of a table become features."""
        return self.encoding or Encoding.of_numbers(self.features)

    def _parts(self, X: Any) -> tuple[Any, NDArray[np.float64] | None]:
        """The features: from the columns of `X`, or `X` itself if it is an array; and the offsets, or None."""
        names = list(X) if isinstance(X, Mapping) else column_names(X)
        if names is None:
            if self.offset is not None:
                raise ValueError(f"X must be a frame with the column {self.offset!r}, the offset, got {kind(X)}")
            return X, None
        encoding = self.table_encoding()
        every = [*encoding.names, *([self.offset] if self.offset is not None else [])]
        needed = {str(name): name for name in names if str(name) in every}
        if absent := [repr(name) for name in every if name not in needed]:
            known = ", ".join(map(repr, names[:MOST_NAMED])) + ", …" * (len(names) > MOST_NAMED)
            raise ValueError(f"X: lacks {', '.join(absent)}, needed by the model; the columns are {known}")
        check_different("X", (name for name in names if str(name) in needed))
        columns = [np.asarray(X[needed[name]]) for name in encoding.names]
        if encoding.is_numbers and all(column.dtype.kind in "biuf" for column in columns):
            values = [column.astype(np.float64) for column in columns]
        else:
            with extra("cli", "columns of a frame that do not hold numbers need polars", "polars"):
                from gradstep import _kinds, _table
            table = _table.of_frame(X, [needed[name] for name in encoding.names], encoding.format)
            values = _kinds.values(table, encoding.names, encoding)
        encoding.check(values, "X", refuse=encoding.missing != "drop")
        if self.offset is None:
            return encoding.matrix(values), None
        offset = np.asarray(real("X", X[needed[self.offset]]), np.float64)
        Encoding.of_numbers([self.offset]).check([offset], "X", refuse=True)
        return encoding.matrix(values), offset

    def to_json(self) -> str:
        """The text of the model file; floats are written so that they read back to the last bit."""
        formula = _STEP if self.activation == "step" else _TWO if len(self.classes) == 2 else _MORE
        formula += _PLAIN if self.standardize is None else _STANDARDIZED
        formula += "" if self.offset is None else _OFFSET
        parts = {"format": FORMAT, "version": VERSIONS[0], "formula": formula, **asdict(self)}
        if self.activation == "sigmoid":
            del parts["activation"]
        del parts["encoding"]
        if self.standard_errors is None:
            del parts["standard_errors"]
        if self.encoding is not None:
            parts |= {"version": VERSIONS[1], "formula": formula + _ENCODED, "encoding": self.encoding.to_document()}
        return json.dumps(parts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Model:
        """The model that `text` describes; unknown fields are ignored, so that later versions may add fields.

        Raises
        ------
        ValueError
            If `text` is not such a model; the message says what was expected and what came.
        """
        parts = document.mapping(document.parse(text))
        document.field(parts, "format", lambda value: document.equal(value, FORMAT))
        version = document.field(parts, "version", _version)
        document.field(parts, "formula", document.text)
        features = document.field(parts, "features", document.names)
        classes = document.field(parts, "classes", _classes)

        def numbers(value: object) -> list[float]:
            return document.items(value, document.number, len(features))

        def weights(value: object) -> list[float] | list[list[float]]:
            return numbers(value) if len(classes) == 2 else document.items(value, numbers, len(classes))

        def bias(value: object) -> float | list[float]:
            return document.number(value) if len(classes) == 2 else document.items(value, document.number, len(classes))

        def standardize(value: object) -> Standardize | None:
            if value is None:
                return None
            pair = document.mapping(value)
            scale = document.field(pair, "scale", numbers)
            if min(scale) <= 0:
                raise document.refusal("hold positive numbers in field 'scale'", min(scale))
            return Standardize(document.field(pair, "mean", numbers), scale)

        def error(value: object) -> float | None:
            if value is None:
                return None
            if (size := document.number(value)) < 0:
                raise document.refusal("hold numbers from 0 on", size)
            return size

        def errors(value: object) -> list[float | None]:
            return document.items(value, error, len(features) + 1)

        def standard_errors(value: object) -> list[list[float | None]] | None:
            return None if value is None else document.items(value, errors, max(len(classes) - 1, 1))

        def activation(value: object) -> str:
            return document.choice(value, ("sigmoid", "step") if len(classes) == 2 else ("sigmoid",))

        def encoding(value: object) -> Encoding:
            read = Encoding.from_document(value)
            if read.features != features:
                raise document.refusal("make of its columns the names in field 'features'", read.features)
            return read

        return cls(
            features=features,
            target=document.field(parts, "target", document.text),
            classes=classes,
            weights=document.field(parts, "weights", weights),
            bias=document.field(parts, "bias", bias),
            standardize=document.field(parts, "standardize", standardize),
            options=document.field(parts, "options", lambda value: document.members(value, document.setting)),
            result=document.field(parts, "result", lambda value: document.members(value, _fact)),
            gradstep=document.field(parts, "gradstep", document.text),
            activation=document.field({"activation": "sigmoid", **parts}, "activation", activation),
            encoding=document.field(parts, "encoding", encoding) if version == VERSIONS[1] else None,
            standard_errors=document.field({"standard_errors": None, **parts}, "standard_errors", standard_errors),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If it would be too large to be read again.
        """
        path = Path(path)
        data = self.to_json().encode()
        if len(data) > MAX_BYTES:
            raise ValueError(f"model file {path} must have at most {MAX_BYTES} bytes, got {len(data)}")
        write_file(path, data)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model file, as `gradstep train --out` and `Model.save` write it.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Model

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a model file; the message says what was expected and what came.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> estimator = gradstep.LogisticRegression(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.json")
    ...     estimator.to_model(features=["hours"]).save(path)
    ...     model = gradstep.load(path)
    >>> model.features, model.classes, model.predict_proba({"hours": [0.5]}).round(3)
    (['hours'], ['no', 'yes'], array([0.346]))
    """
    path = Path(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # Pipes and devices have no size: so the bytes that are read are counted, too.
        if size > MAX_BYTES or len(text := file.read(MAX_BYTES + 1)) > MAX_BYTES:
            raise ValueError(f"model file {path} must have at most {MAX_BYTES} bytes, got {size or 'more'}")
    try:
        return Model.from_json(text)
    except document.Refused as error:
        raise ValueError(f"model file {path} {error}") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, which then takes its place."""
    # If the path is a symbolic link, its target is replaced, not the link. Devices and pipes are refused.
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: must be a regular file")
    temporary = path.with_name(f".gradstep-{secrets.token_hex(8)}.tmp")
    file = open(temporary, "xb")  # noqa: SIM115 - opened before the try: a file that is not ours is not removed
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _version(value: object) -> int:
    if type(value) is not int or value not in VERSIONS:
        raise document.refusal(f"be {' or '.join(map(str, VERSIONS))}", value)
    return value


def _fact(value: object) -> Fact:
    return document.items(value, document.text) if isinstance(value, list) else document.scalar(value)


def _classes(value: object) -> list[Class]:
    items = document.items(value, document.scalar)
    classes = [item for item in items if item is not None]
    kinds = {"number" if type(item) in (int, float) else type(item).__name__ for item in classes}
    if len(items) < 2 or len(set(classes)) != len(items) or len(kinds) != 1:
        raise document.refusal("hold two or more different strings, numbers or booleans", value)
    if any(type(item) is int and not -(2**63) <= item < 2**64 for item in classes):
        raise document.refusal("hold integers of 64 bits", value)
    return classes
