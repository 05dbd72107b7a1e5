"""Rows on a cluster of any kind: what the process that runs the fit keeps of the rows, and passes to `gradstep.fit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradstep._arrays import Array
from gradstep._distant import Distant
from gradstep._optimum import Optimum, fit
from gradstep._partitions import Rows, are_names, labelled


class ClusterRows:
    """Rows that are on the workers of a cluster, and have been checked there.

    There is a subclass for each kind of cluster. It lets the workers check and describe the rows, passes the
    descriptions to `_hold`, and implements `_asker`, by which requests reach the workers. As a context manager, it lets
    the cluster free the memory of the rows when the block ends.

    Attributes
    ----------
    names : list of str
        The names of the columns that are features; empty where they have no names.
    y, sample_weight, offset : ndarray, shape (m,)
        The labels, sample weights and offsets of all rows; None where there are none.
    """

    names: list[str]
    y: Array
    sample_weight: Array | None
    offset: Array | None

    def __enter__(self) -> ClusterRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def fit(self, options: dict[str, Any]) -> Optimum:
        """Fit the rows with these options of `gradstep.fit`, and then let the cluster free their memory."""
        with self:
            distant = self.distant(n_threads=options.pop("n_threads", None))
            return fit(distant, None, **options)  # type: ignore[arg-type]

    def distant(
        self, classes: Array | None = None, factors: Array | None = None, n_threads: int | None = None
    ) -> Distant:
        """The rows as `gradstep.fit` takes them.

        With `classes`, each label becomes its position in `classes`. With `factors`, one for each class, each sample
        weight is multiplied by the factor of its row's class.
        """
        ask = self._asker(classes, factors, n_threads)
        labels = labelled(Rows(np.empty((0, 0)), self.y, self.sample_weight, self.offset), classes, factors)
        return Distant(
            ask=ask,
            shape=(len(labels.y), self._columns),
            is_single=self._is_single,
            y=labels.y,
            sample_weight=labels.sample_weight,
            offset=labels.offset,
            column_names=self.names,
        )

    def _hold(self, names: Sequence[Any] | None, described: Iterable[Any]) -> None:
        """Set the attributes from what `_partitions.described` returns for each partition, in the order of the rows.

        Raises
        ------
        ValueError
            If there is no row, or partitions have different numbers of columns.
        """
        self.names = [] if names is None else [str(name) for name in names]
        counts, columns, singles, *of_rows = zip(*described, strict=True)
        self._counts = list(counts)
        self._is_single = all(single for single, count in zip(singles, counts, strict=True) if count)
        self._columns = columns[0]
        for number, got in enumerate(columns):
            if got != columns[0]:
                raise ValueError(
                    f"X must have {columns[0]} columns, as in partition 0, got {got} in partition {number}"
                )
        if not sum(counts):
            raise no_rows()
        y, *others = of_rows
        self.y = np.concatenate(y)
        self.sample_weight, self.offset = (None if arrays[0] is None else np.concatenate(arrays) for arrays in others)

    def _asker(self, classes: Any, factors: Any, n_threads: int | None) -> Callable[[bytes], list[bytes]]:
        """A function that sends a request to the workers, and returns the answers in the order of the rows. The workers
        convert labels and sample weights by `classes` and `factors`, as `distant` does."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Let the cluster free the memory of the rows."""


def no_rows() -> ValueError:
    return ValueError("X must have at least one row, got none")


def features_of(columns: Mapping[Any, str | None], named: Mapping[str, Any]) -> list[Any]:
    """The columns of a dataframe that are features: all that no argument names.

    Parameters
    ----------
    columns : mapping
        For each name of a column, its type in words if it does not hold numbers, else None.
    named : mapping
        For each argument that may name a column, or a column for each class, its value: a text or a list of texts.
        Other values name none.

    Raises
    ------
    ValueError
        If an argument names something that is no column, or if no column is left as a feature.
    TypeError
        If a feature does not hold numbers.
    """
    chosen = []
    for argument, given in named.items():
        for name in [given] if isinstance(given, str) else given if are_names(given) else []:
            if name not in columns:
                raise ValueError(f"{argument} must be one of the columns {', '.join(map(str, columns))}, got {name!r}")
            chosen.append(name)
    names = [name for name in columns if name not in chosen]
    if not names:
        raise ValueError(f"X must have columns beside {', '.join(chosen)}, got none")
    for name in names:
        if columns[name] is not None:
            raise TypeError(
                f"X must have numbers, got column {name!r} of type {columns[name]}: encode it, or leave it out"
            )
    return names
