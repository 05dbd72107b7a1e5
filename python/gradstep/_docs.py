"""What `help` shows of fields, and what is said of arguments that do not exist."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Named = TypeVar("Named", bound=Callable[..., Any])
Tuple = TypeVar("Tuple", bound=type)


def documented_fields(cls: Tuple) -> Tuple:
    """A named tuple, each field of which is documented by what the class says of it under "Attributes"."""
    attributes = inspect.cleandoc(cls.__doc__ or "").partition("Attributes\n----------\n")[2].partition("\n\n")[0]
    for name, kind, text in re.findall(r"^(\w+) : (.*)((?:\n +.*)+)", attributes, re.MULTILINE):
        getattr(cls, name).__doc__ = f"{kind}: {' '.join(text.split())}"
    return cls


def suggests_names(called: Named) -> Named:
    """A function or class that says of an argument by another name which one may be meant."""
    function = vars(called)["__init__"] if isinstance(called, type) else called
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in names:
                raise TypeError(f"{called.__qualname__} has no {name!r}{_suggestion(name, names)}")
        return function(*args, **options)

    if isinstance(called, type):
        setattr(called, "__init__", call)  # noqa: B010 - an assignment is refused by mypy
        return called
    return call  # type: ignore[return-value]


def _suggestion(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    initials = {"".join(part[:1] for part in known.split("_")): known for known in names}
    near = next(iter(get_close_matches(name, names, 1)), initials.get(name))
    return f": did you mean {near}?" if near else f": it has {', '.join(names)}"
