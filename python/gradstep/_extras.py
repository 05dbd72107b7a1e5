"""Messages for optional libraries that are needed and not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, needed: str, *libraries: str) -> Iterator[None]:
    """A context for imports. If one of these libraries is missing, the ImportError says which extra installs it."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in libraries:
            raise
        raise ImportError(f"{needed}: pip install 'gradstep[{name}]'", name=error.name) from error
