"""The model file: JSON that anyone can read, and that a hostile writer cannot abuse.

Needs NumPy alone, so that a trained model can be used without the command line's libraries.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

FORMAT = "gradstep-model"
VERSION = 1
MAX_BYTES = 64 * 2**20

Scalar: TypeAlias = bool | int | float | str | None
Fact: TypeAlias = Scalar | list[str]
Class: TypeAlias = bool | int | float | str
T = TypeVar("T")

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


@dataclass(frozen=True)
class Standardize:
    """`x = (value - mean) / scale`, one number per feature."""

    mean: list[float]
    scale: list[float]

    @classmethod
    def of(cls, X: NDArray[np.float64]) -> Standardize:
        """Mean and population standard deviation of every column; scale 1 for a constant column."""
        with np.errstate(all="ignore"):
            mean, scale = X.mean(axis=0), X.std(axis=0)
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
    """A trained model. Of two classes it gives the probability of `classes[1]`, of K >= 3 that of every class."""

    features: list[str]
    target: str
    classes: list[Class]
    weights: list[float] | list[list[float]]
    """One number per feature; for K >= 3 classes one such list per class."""
    bias: float | list[float]
    """One number; for K >= 3 classes one per class."""
    standardize: Standardize | None
    options: dict[str, Scalar]
    result: dict[str, Fact]
    gradstep: str
    activation: str = "sigmoid"
    """"sigmoid" (for K >= 3 classes: softmax), or "step" for a perceptron, which alone has it in its file."""

    def predict(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Probabilities and labels for every row of `X`, shape (m, n) with the columns of `features`.

        Probabilities have shape (m,), of `classes[1]`, a perceptron's being 0 or 1; for K >= 3 classes (m, K), a column
        per class. Labels are places in `classes`.
        """
        from gradstep import decision_function, sigmoid, softmax
        from gradstep._fitted import codes_of

        x = X if self.standardize is None else self.standardize.apply(X)
        z = decision_function(x, np.array(self.weights), self.bias)
        codes = codes_of(z, by_class=z.ndim == 2, activation=self.activation)
        if self.activation == "step":
            return np.where(np.isnan(z), z, codes), codes
        return softmax(z) if z.ndim == 2 else sigmoid(z), codes

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities alone."""
        return self.predict(X)[0]

    def to_json(self) -> str:
        """The text of the model file; floats are written so that they read back to the last bit."""
        formula = _STEP if self.activation == "step" else _TWO if len(self.classes) == 2 else _MORE
        formula += _PLAIN if self.standardize is None else _STANDARDIZED
        document = {"format": FORMAT, "version": VERSION, "formula": formula, **asdict(self)}
        if self.activation == "sigmoid":
            del document["activation"]
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Model:
        """The model that `text` describes; unknown fields are ignored, so that later ones may be added.

        Raises
        ------
        ValueError
            If `text` is not such a model; the message says what was expected and what came.
        """
        document = _object(_parse(text))
        _field(document, "format", lambda value: _equal(value, FORMAT))
        _field(document, "version", lambda value: _equal(value, VERSION))
        _field(document, "formula", _text)
        features = _field(document, "features", _names)
        classes = _field(document, "classes", _classes)

        def numbers(value: object) -> list[float]:
            return _list(value, _number, len(features))

        def weights(value: object) -> list[float] | list[list[float]]:
            return numbers(value) if len(classes) == 2 else _list(value, numbers, len(classes))

        def bias(value: object) -> float | list[float]:
            return _number(value) if len(classes) == 2 else _list(value, _number, len(classes))

        def standardize(value: object) -> Standardize | None:
            if value is None:
                return None
            parts = _object(value)
            scale = _field(parts, "scale", numbers)
            if min(scale) <= 0:
                raise _refusal("hold positive numbers in field 'scale'", min(scale))
            return Standardize(_field(parts, "mean", numbers), scale)

        def activation(value: object) -> str:
            return _choice(value, ("sigmoid", "step") if len(classes) == 2 else ("sigmoid",))

        return cls(
            features=features,
            target=_field(document, "target", _text),
            classes=classes,
            weights=_field(document, "weights", weights),
            bias=_field(document, "bias", bias),
            standardize=_field(document, "standardize", standardize),
            options=_field(document, "options", lambda value: _members(value, _scalar)),
            result=_field(document, "result", lambda value: _members(value, _fact)),
            gradstep=_field(document, "gradstep", _text),
            activation=_field({"activation": "sigmoid", **document}, "activation", activation),
        )

    def save(self, path: Path) -> None:
        """Write the model file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If it would be too large to be read again.
        """
        data = self.to_json().encode()
        if len(data) > MAX_BYTES:
            raise ValueError(f"model file {path} must have at most {MAX_BYTES} bytes, got {len(data)}")
        write_file(path, data)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model file.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a model file.
        """
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            # The second look is for pipes and devices, which have no size.
            if size > MAX_BYTES or len(text := file.read(MAX_BYTES + 1)) > MAX_BYTES:
                raise ValueError(f"model file {path} must have at most {MAX_BYTES} bytes, got {size or 'more'}")
        try:
            return cls.from_json(text)
        except _Refused as error:
            raise ValueError(f"model file {path} {error}") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, which then takes its place."""
    # Through a symbolic link its target is replaced, not the link. Devices and pipes are refused.
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


class _Refused(ValueError):
    """What the model file must do, and what came instead."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"must {expected}, got {got}")
        self.expected = expected
        self.got = got


def _refusal(expected: str, got: object) -> _Refused:
    return _Refused(expected, reprlib.repr(got))


def _parse(text: str | bytes) -> object:
    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        document: dict[str, object] = {}
        for name, value in pairs:
            if name in document:
                raise _refusal("name every field once", name)
            document[name] = value
        return document

    def constant(name: str) -> object:
        raise _Refused("hold finite numbers", name)

    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=members, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise _Refused("be UTF-8 text", f"{error.object[error.start]:#04x} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _Refused("be JSON", f"{error.msg!r} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise _Refused("be JSON of a few levels", "too many") from None
    except ValueError as error:
        if isinstance(error, _Refused):
            raise
        raise _Refused("hold numbers of 64 bits", "an integer of thousands of digits") from None


def _field(document: Mapping[str, object], name: str, read: Callable[[object], T]) -> T:
    if name not in document:
        raise _Refused(f"have a field {name!r}", "none")
    try:
        return read(document[name])
    except _Refused as error:
        raise _Refused(f"{error.expected} in field {name!r}", error.got) from None


def _equal(value: object, expected: object) -> None:
    if type(value) is not type(expected) or value != expected:
        raise _refusal(f"be {expected!r}", value)


def _choice(value: object, words: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise _refusal(f"be {' or '.join(map(repr, words))}", value)
    return value


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _refusal("be an object", value)
    return value


def _list(value: object, read: Callable[[object], T], length: int | None = None) -> list[T]:
    if not isinstance(value, list):
        raise _refusal("be a list", value)
    if length is not None and len(value) != length:
        raise _refusal(f"have {length} values", len(value))
    return [read(item) for item in value]


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise _refusal("hold numbers", value)
    number: Any = value
    with suppress(OverflowError):
        if math.isfinite(result := float(number)):
            return result
    raise _refusal("hold finite numbers", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _refusal("hold strings", value)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, written as an escape
        raise _refusal("hold Unicode text", value) from None
    return value


def _names(value: object) -> list[str]:
    names = _list(value, _text)
    if not names or len(set(names)) < len(names):
        raise _refusal("hold one or more different names", names)
    return names


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    number = _number(value)
    return value if isinstance(value, int) else number


def _fact(value: object) -> Fact:
    return _list(value, _text) if isinstance(value, list) else _scalar(value)


def _members(value: object, read: Callable[[object], T]) -> dict[str, T]:
    return {_text(name): read(item) for name, item in _object(value).items()}


def _classes(value: object) -> list[Class]:
    items = _list(value, _scalar)
    classes = [item for item in items if item is not None]
    kinds = {"number" if type(item) in (int, float) else type(item).__name__ for item in classes}
    if len(items) < 2 or len(set(classes)) != len(items) or len(kinds) != 1:
        raise _refusal("hold two or more different strings, numbers or booleans", value)
    if any(type(item) is int and not -(2**63) <= item < 2**64 for item in classes):
        raise _refusal("hold integers of 64 bits", value)
    return classes
