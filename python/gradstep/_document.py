"""JSON that someone else wrote: read, checked part by part, and refused in words that name the field."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

Scalar: TypeAlias = bool | int | float | str | None
Setting: TypeAlias = Scalar | dict[str, float | list[float]]
"""An option of a training: one value; or for features by name a number, or a list with a number for each class."""
MOST_SHOWN = 5
"""The largest number of words that a message lists."""
T = TypeVar("T")


class Refused(ValueError):
    """The error for a document that is refused: `expected` says what it must do, `got` what was found instead."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"must {expected}, got {got}")
        self.expected = expected
        self.got = got


def refusal(expected: str, got: object) -> Refused:
    """The error that refuses the value `got`. If the value is long, only a part of it is shown."""
    return Refused(expected, reprlib.repr(got))


def parse(text: str | bytes) -> object:
    """The values of a JSON text. Numbers must be finite, and no object may have the same field twice."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        document: dict[str, object] = {}
        for name, value in pairs:
            if name in document:
                raise refusal("name every field once", name)
            document[name] = value
        return document

    def constant(name: str) -> object:
        raise Refused("hold finite numbers", name)

    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=members, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise Refused("be UTF-8 text", f"{error.object[error.start]:#04x} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Refused("be JSON", f"{error.msg!r} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise Refused("be JSON of a few levels", "too many") from None
    except ValueError as error:
        if isinstance(error, Refused):
            raise
        raise Refused("hold numbers of 64 bits", "an integer of thousands of digits") from None


def field(document: Mapping[str, object], name: str, read: Callable[[object], T]) -> T:
    """The value of a field, as `read` returns it; the field must be there."""
    if name not in document:
        raise Refused(f"have a field {name!r}", "none")
    try:
        return read(document[name])
    except Refused as error:
        raise Refused(f"{error.expected} in field {name!r}", error.got) from None


def equal(value: object, expected: object) -> None:
    if type(value) is not type(expected) or value != expected:
        raise refusal(f"be {expected!r}", value)


def choice(value: object, words: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in words:
        shown = [*map(reprlib.repr, words[:MOST_SHOWN]), *["…"] * (len(words) > MOST_SHOWN)]
        raise refusal(f"be {' or '.join(shown)}", value)
    return value


def mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise refusal("be an object", value)
    return value


def items(value: object, read: Callable[[object], T], length: int | None = None) -> list[T]:
    if not isinstance(value, list):
        raise refusal("be a list", value)
    if length is not None and len(value) != length:
        raise refusal(f"have {length} values", len(value))
    return [read(item) for item in value]


def number(value: object) -> float:
    if type(value) not in (int, float):
        raise refusal("hold numbers", value)
    digits: Any = value
    with suppress(OverflowError):
        if math.isfinite(result := float(digits)):
            return result
    raise refusal("hold finite numbers", value)


def text(value: object) -> str:
    if not isinstance(value, str):
        raise refusal("hold strings", value)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, written as an escape
        raise refusal("hold Unicode text", value) from None
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise refusal("be true or false", value)
    return value


def names(value: object) -> list[str]:
    different = items(value, text)
    if not different or len(set(different)) < len(different):
        raise refusal("hold one or more different names", different)
    return different


def scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    finite = number(value)
    return value if isinstance(value, int) else finite


def setting(value: object) -> Setting:
    if not isinstance(value, dict):
        return scalar(value)
    return members(value, lambda each: items(each, number) if isinstance(each, list) else number(each))


def members(value: object, read: Callable[[object], T]) -> dict[str, T]:
    return {text(name): read(item) for name, item in mapping(value).items()}
