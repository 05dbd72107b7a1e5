"""Check the types of options of the public functions: numbers, counts, flags, words, callbacks.

Every message reads `<argument> must <what was expected>, got <what came>`. Conversions that could hide a mistake are
refused: text to numbers, fractions to counts, numbers to truth values. The range of a value (a learning rate must be
finite and positive) is checked by the core.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

LARGEST_COUNT = 2 * sys.maxsize + 1
LARGEST_SEED = 2**64 - 1


def number(name: str, value: Any) -> float:
    """One real number as a float; NaN and infinities are accepted."""
    if type(value) is float:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.ndim:
            raise TypeError(f"{name} must be a real number, got {kind(value)} of shape {value.shape}")
        if is_masked(value):
            raise TypeError(f"{name} must be a real number, got a masked array")
        # float() would also convert strings, dates and complex numbers.
        if value.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be a real number, got dtype {value.dtype}")
    elif not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError(f"{name} must be a real number, got {kind(value)}")
    try:
        return float(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a real number, got {kind(value)}") from error
    except OverflowError:
        raise ValueError(f"{name} must be a number within the range of float64, got a larger one") from None


def optional_number(name: str, value: Any) -> float | None:
    """A real number or None."""
    return None if value is None else number(name, value)


def count(name: str, value: Any) -> int:
    """A positive integer."""
    integer = _integer(name, value)
    if 0 < integer <= LARGEST_COUNT:
        return integer
    if integer > 0:
        raise ValueError(f"{name} must be an integer of at most {LARGEST_COUNT}, got {text(integer)}")
    raise ValueError(f"{name} must be a positive integer (at least 1), got {text(integer)}")


def optional_count(name: str, value: Any) -> int | None:
    """A positive integer or None."""
    return None if value is None else count(name, value)


def optional_seed(name: str, value: Any) -> int | None:
    """An unsigned 64-bit integer, or None."""
    if value is None:
        return None
    integer = _integer(name, value)
    if not 0 <= integer <= LARGEST_SEED:
        raise ValueError(f"{name} must be None or an integer from 0 to {LARGEST_SEED}, got {text(integer)}")
    return integer


def flag(name: str, value: Any) -> bool:
    """True or False, Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {kind(value)}")
    return bool(value)


def optional_flag(name: str, value: Any) -> bool | None:
    """True, False, or None."""
    return None if value is None else flag(name, value)


def word(name: str, value: Any) -> str:
    """A string; whether it is one of the allowed words is checked later."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {kind(value)}")
    return str(value)


def names(argument: str, value: Any, length: int, each: str) -> list[str]:
    """A list of `length` names; `each`, such as "column of X", says in messages what has a name."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{argument} must be a list of names, got {kind(value)}")
    found = [str(name) for name in value]
    if len(found) != length:
        raise ValueError(f"{argument} must have length {length} (one per {each}), got length {len(found)}")
    return found


def two_columns(value: Any, n: int) -> tuple[int, int]:
    """Two different columns of a matrix that has `n`."""
    try:
        i, j = map(operator.index, value)
    except (TypeError, ValueError):
        raise TypeError(f"columns must be two integers, got {value!r}") from None
    if not (0 <= i < n and 0 <= j < n and i != j):
        raise ValueError(f"columns must be two different columns from 0 to {n - 1}, got {i} and {j}")
    return i, j


def observer(callback: Any, make: Callable[..., tuple[Any, ...]]) -> Callable[..., bool] | None:
    """The function that native code calls: it converts its arguments by `make`, calls the callback with them, and
    returns True, which stops the run, if the callback does. None for no callback.

    Raises
    ------
    TypeError
        If `callback` cannot be called; and later, if it returns something else than True, False or None.
    """
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be callable or None, got {kind(callback)}")

    def call(*seen: Any) -> bool:
        answer = callback(*make(*seen))
        if answer is None:
            return False
        if not isinstance(answer, (bool, np.bool_)):
            raise TypeError(f"callback must return True, False or None, got {kind(answer)}")
        return bool(answer)

    return call


def is_masked(value: object) -> bool:
    """Whether this is one of NumPy's masked arrays, which are refused because the formulas would ignore the mask."""
    return "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray)


def kind(value: object) -> str:
    """The name of the value's type, for messages."""
    return type(value).__name__


def text(value: object) -> str:
    """The value as text, for messages."""
    try:
        return str(value)
    except ValueError:  # an integer with more digits than Python converts
        return f"a huge {kind(value)}"


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {kind(value)}") from None
