"""Rows that are on other machines, as `gradstep.fit` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep._arrays import Array


@dataclass(frozen=True, slots=True)
class Distant:
    """Rows on other machines, which answer the requests of a fit there.

    Attributes
    ----------
    ask : callable
        ``ask(request)`` returns the answers of all rows to the bytes of a request, in the order of the rows. Each
        answer is that of some consecutive rows, made by ``_native.answer``.
    shape : tuple of int
        m and n.
    is_single : bool
        Whether the features are float32.
    y, sample_weight, offset : ndarray, shape (m,)
        Labels, sample weights and offsets of all rows, with which the answers are computed. None for those that the fit
        does not have.
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
