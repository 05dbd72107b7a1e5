"""Decorators: documentation for the fields of named tuples, and suggestions for misspelt argument names."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Any, TypeVar

Named = TypeVar("Named", bound=Callable[..., Any])
Tuple = TypeVar("Tuple", bound=type)


def documented_fields(cls: Tuple) -> Tuple:
    """Give each field of a named tuple a docstring, taken from "Attributes" in the docstring of the class."""
    attributes = cleandoc(cls.__doc__ or "").partition("Attributes\n----------\n")[2].partition("\n\n")[0]
    for entry in attributes.replace("\n    ", "\t").splitlines():  # "name : type", and its text after tabs
        name, _, described = entry.partition(" : ")
        kind, *lines = described.split("\t")
        getattr(cls, name).__doc__ = f"{kind}: {' '.join(lines)}"
    return cls


def suggests_names(called: Named) -> Named:
    """Make a function or class raise, for an unknown keyword argument, a TypeError that suggests the right name."""
    function = vars(called)["__init__"] if isinstance(called, type) else called
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in names:
                known = [known for known in names if known != "self"]
                raise TypeError(f"{called.__qualname__} has no {name!r}{_suggestion(name, known)}")
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
