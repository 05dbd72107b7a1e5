"""Rows that are on other machines, as `gradstep.fit` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep._arrays import Array


@dataclass(frozen=True, slots=True)
class Distant:
    """Rows that answer requests where they are.

    Attributes
    ----------
    ask : callable
        ``ask(request)`` returns the answers of all rows to the bytes of a request, in the order of the rows. Any number
        of consecutive rows make one answer, by ``_native.answer``.
    shape : tuple of int
        m and n.
    is_single : bool
        Whether the features are float32.
    y, sample_weight, offset : ndarray, shape (m,)
        Labels, sample weights and offsets of all rows: those that the answers are computed with. None where there are
        none.
    column_names : list of str
        The names of the columns; empty where they have none.
    """

    ask: Callable[[bytes], list[bytes]]
    shape: tuple[int, int]
    is_single: bool
    y: Array
    sample_weight: Array | None
    offset: Array | None
    column_names: list[str]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that weights are returned in."""
        return np.dtype(np.float32 if self.is_single else np.float64)
