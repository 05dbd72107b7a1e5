"""Fits over rows that are on the workers of a Dask cluster (extra ``dask``).

The rows stay where they are. A pass is one task for each block of rows; there are about as many blocks as workers. A
task returns little, whatever the number of rows. The optimum, with its certificate, is that of the same rows in one
array, to the last bit, on any number of workers, however the rows are cut into partitions, and also where workers are
lost.

Labels, sample weights and offsets, a number for each row, come to the client. Of the features, only samples of the
rows, of 256 MB at most, come to the client.

Examples
--------
>>> import dask.array, distributed
>>> with distributed.Client(processes=False, dashboard_address=":0"):
...     X = dask.array.from_array(np.array([[0.0], [1.0], [2.0], [3.0]]), chunks=(2, 1))
...     y = dask.array.from_array(np.array([0, 1, 0, 1]), chunks=2)
...     best = gradstep.dask.fit(X, y, l2=0.1)
...     gradstep.dask.LogisticRegression(l2=0.1).fit(X, y).predict(X).compute()
array([0, 0, 1, 1])
>>> best.converged, best.passes > 0
(True, True)
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from gradstep import _native, _partitions
from gradstep._cluster import ClusterRows, features_of
from gradstep._extras import extra
from gradstep._optimum import Optimum
from gradstep._options import kind, number

with extra("dask", "gradstep.dask needs Dask and its distributed scheduler", "dask", "distributed"):
    import dask
    import distributed

if TYPE_CHECKING:
    from gradstep._dask_estimator import LogisticRegression as LogisticRegression

__all__ = ["LogisticRegression", "fit"]

TIMEOUT = 300.0
"""Seconds without any worker after which a fit ends."""


def __getattr__(name: str) -> Any:
    if name == "LogisticRegression":
        with extra("sklearn", "gradstep.dask.LogisticRegression needs scikit-learn 1.6 or newer", "scipy", "sklearn"):
            from gradstep._dask_estimator import LogisticRegression

        return LogisticRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def fit(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    client: distributed.Client | None = None,
    timeout: float = TIMEOUT,
    **options: Any,
) -> Optimum:
    """`gradstep.fit` of the rows of a Dask dataframe or array.

    Parameters
    ----------
    X : dask.dataframe.DataFrame or dask.array.Array, shape (m, n)
        Finite features. All columns of a dataframe are features, but for those that other arguments name. If all are
        float32, the fit is one of float32.
    y : str, dask.dataframe.Series or dask.array.Array
        Labels in [0, 1], or class codes 0, 1, …, K - 1: a column of the dataframe, by its name, or a collection with a
        number for each row. A collection of unknown chunks must have as many partitions as `X`, with the same rows.
    sample_weight, offset : like `y`, optional
        As in `gradstep.fit`. Offsets of K classes are a list of K names of columns, or an array of shape (m, K).
    client : distributed.Client, optional
        By default the one that was made last.
    timeout : float, default 300
        The fit ends with a TimeoutError after so many seconds without any worker.
    **options
        Those of `gradstep.fit`, from `l1` to `checkpoint`, but for `cache`: rows stay with the workers. `n_threads` is
        by default that of the worker.

    Returns
    -------
    Optimum

    Raises
    ------
    TypeError
        If `X` is no collection of Dask's, or something does not hold real numbers; with the partition and row.
    ValueError
        If there is no client, partitions do not fit each other, or values are missing, not finite or out of range; with
        the partition and row.
    TimeoutError
        If there is no worker for so long.

    Notes
    -----
    Workers hold a copy of the features in one array for each partition, until the fit ends. If a worker is lost, Dask
    computes its partitions again, from the collection's own source.

    Examples
    --------
    >>> import dask.array, distributed
    >>> with distributed.Client(processes=False, dashboard_address=":0") as client:
    ...     X = dask.array.from_array(np.array([[0.0], [1.0], [2.0], [3.0]]), chunks=(2, 1))
    ...     y = dask.array.from_array(np.array([0, 1, 0, 1]), chunks=2)
    ...     best = gradstep.dask.fit(X, y, l2=0.1)
    >>> best.weights.round(6), best.converged
    (array([0.636706]), True)
    """
    return Partitions(X, y, sample_weight, offset, client, number("timeout", timeout)).fit(options)


class Partitions(ClusterRows):
    """The partitions of a collection, checked, on the workers."""

    def __init__(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        offset: Any,
        client: distributed.Client | None,
        timeout: float,
        wants_numbers: bool = True,
    ) -> None:
        self._client = _client(client)
        self._timeout = timeout
        names, parts = _delayed(X, {"y": y, "sample_weight": sample_weight, "offset": offset})
        self._parts: list[Any] = []
        if not (workers := self._workers()):
            self._client.wait_for_workers(1, timeout=timeout)
            workers = self._workers()
        groups = np.array_split(np.arange(len(parts)), min(len(parts), len(workers)))
        checked = dask.delayed(_partitions.checked, pure=False)
        for group, worker in zip(groups, workers, strict=False):
            tasks = [checked(_native.__version__, int(k), names, wants_numbers, *parts[k]) for k in group]
            self._parts += self._client.compute(tasks, workers=[worker], allow_other_workers=True)
        described = self._gathered([self._client.submit(_partitions.described, part) for part in self._parts])
        self._hold(names, described)

    def _asker(self, classes: Any, factors: Any, n_threads: int | None) -> Callable[[bytes], list[bytes]]:
        begins = _partitions.cuts(self._counts, len(self._workers()))
        blocks = []
        for start, stop, worker in zip(begins, begins[1:], self._workers(), strict=False):
            parts = [self._part(*piece) for piece in _partitions.pieces(self._counts, start, stop)]
            given = (_partitions.block, start, self._is_single, classes, factors, *parts)
            blocks.append(self._client.submit(*given, workers=[worker], allow_other_workers=True, pure=False))
        self._gathered([self._client.submit(len, block) for block in blocks])  # waits for blocks; partitions may go now
        self._parts = []

        def ask(request: bytes) -> list[bytes]:
            name = f"gradstep-{uuid4().hex}"
            tasks = [
                self._client.submit(_answers, block, request, n_threads, key=f"{name}-{k}", pure=False)
                for k, block in enumerate(blocks)
            ]
            return [answer for answers in self._gathered(tasks) for answer in answers]

        return ask

    def _part(self, number: int, start: int, stop: int) -> Any:
        whole = self._parts[number]
        if stop - start == self._counts[number]:
            return whole
        return self._client.submit(_partitions.part, whole, start, stop)

    def _gathered(self, tasks: list[Any]) -> list[Any]:
        """The results of tasks.

        Raises
        ------
        TimeoutError
            If there is no worker for the time of `timeout`.
        """
        seen = monotonic()
        while True:
            try:
                distributed.wait(tasks, timeout=1.0)
            except (TimeoutError, OSError):
                if self._workers():
                    seen = monotonic()
                elif monotonic() - seen > self._timeout:
                    raise TimeoutError(
                        f"the cluster must have a worker, got none for {self._timeout:g} seconds: see whether it runs"
                    ) from None
            else:
                if failed := next((task for task in tasks if task.status == "error"), None):
                    failed.result()  # raises the exception of the first task that has failed
                return list(self._client.gather(tasks))

    def _workers(self) -> list[str]:
        """The addresses of the workers; none if the scheduler does not answer."""
        try:
            return sorted(self._client.nthreads())
        except (TimeoutError, OSError):
            return []


def _answers(block: _partitions.Block, request: bytes, n_threads: int | None) -> list[bytes]:
    return _partitions.answers(block, request, n_threads or distributed.get_worker().state.nthreads)


def _client(client: Any) -> Any:
    if client is None:
        try:
            return distributed.default_client()
        except ValueError:
            raise ValueError("client must be a client of a cluster, got none: distributed.Client() makes one") from None
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client must be a distributed.Client, got {kind(client)}")
    return client


def is_collection(X: Any) -> bool:
    """Whether these are rows of Dask: a dataframe, or an array."""
    return dask.is_dask_collection(X) and hasattr(X, "to_delayed") and hasattr(X, "ndim")


def _delayed(X: Any, of_rows: dict[str, Any]) -> tuple[list[Any] | None, list[tuple[Any, ...]]]:
    """The names of the features, None for an array; and for each partition its part of X and of each of `of_rows`."""
    if not is_collection(X) or X.ndim != 2:
        advice = "" if dask.is_dask_collection(X) else ", which gradstep.fit takes" * hasattr(X, "shape")
        raise TypeError(f"X must be a dataframe or an array of Dask with rows and columns, got {kind(X)}{advice}")
    names = None
    if hasattr(X, "columns"):
        names = _features(X, of_rows)
        parts = X.to_delayed()
    else:
        X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
        parts = X.to_delayed()[:, 0].tolist()
    aligned = (_aligned(argument, values, X, len(parts)) for argument, values in of_rows.items())
    return names, list(zip(parts, *aligned, strict=True))


def _features(X: Any, of_rows: dict[str, Any]) -> list[Any]:
    """The columns of a dataframe that no argument names, which must be of numbers."""
    types = {name: X.dtypes[name] for name in X.columns}
    numbers = {name: None if getattr(type_, "kind", "O") in "biuf" else str(type_) for name, type_ in types.items()}
    return features_of(numbers, of_rows)


def _aligned(argument: str, values: Any, X: Any, count: int) -> list[Any]:
    """For each partition, the numbers of its rows for this argument: None, a column's name, or a delayed array."""
    is_frame = hasattr(X, "columns")
    has_classes = argument == "offset"  # of K classes: K columns
    is_named = isinstance(values, str) or (has_classes and _partitions.are_names(values))
    if (values is None and argument != "y") or (is_frame and is_named):
        return [values] * count
    if not is_collection(values) or values.ndim > 1 + has_classes:
        names = "the name of a column, or " if is_frame else ""
        raise TypeError(
            f"{argument} must be {names}a collection of Dask with a number for each row, got {kind(values)}"
        )
    if hasattr(values, "rechunk") and values.ndim == 2:
        values = values.rechunk({1: -1})
    if not is_frame and hasattr(values, "rechunk") and not np.isnan([*X.shape[:1], *values.shape[:1]]).any():
        if len(values) != len(X):
            raise ValueError(f"{argument} must have the length of X, {len(X)}, got {len(values)}")
        values = values.rechunk({0: X.chunks[0]})
    if values.npartitions != count:
        raise ValueError(
            f"{argument} must have the partitions of X, which are {count}, got {values.npartitions}: make it a column "
            "of X, or repartition it"
        )
    return list(np.ravel(values.to_delayed()))
