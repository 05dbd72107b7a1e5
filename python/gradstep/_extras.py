"""Optional libraries: what is said where one is needed and is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, needed: str, *libraries: str) -> Iterator[None]:
    """Around an import: where one of these libraries is not there, say what is needed, and the extra that has it."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in libraries:
            raise
        raise ImportError(f"{needed}: pip install 'gradstep[{name}]'", name=error.name) from error
