"""Rows that are on other machines, as `gradstep.fit` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep._arrays import Array


@dataclass(frozen=True, slots=True)
class Distant:
    """Rows on other machines. The requests of a fit are answered there.

    Attributes
    ----------
    ask : callable
        ``ask(request)`` sends the bytes of a request to the other machines, and returns their answers in the order of
        the rows. Each answer is made by ``_native.answer`` from some consecutive rows.
    shape : tuple of int
        m and n.
    is_single : bool
        Whether the features are float32.
    y, sample_weight, offset : ndarray, shape (m,)
        Labels, sample weights and offsets of all rows, the same that the answers are computed with. None if the fit has
        no sample weights, or no offsets.
    column_names : list of str
        The names of the columns; empty if the columns have no names.
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
