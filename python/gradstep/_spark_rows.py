"""Rows of a Spark DataFrame, as the driver sees them: how records are made, and asked.

Spark keeps the records (`_spark_records`) until the fit ends. A task gets records without their features, and
finds these in files on its machine. Where files of a partition are missing, the partition is asked again, with its
features. Only rows that share a unit with rows of another partition are moved, once. A request is one job.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
from pyspark import StorageLevel
from pyspark.errors import AnalysisException
from pyspark.sql import functions

from gradstep import _native
from gradstep import _spark_records as records
from gradstep._cluster import ClusterRows, features_of, no_rows
from gradstep._frames import check_different, is_of
from gradstep._options import kind
from gradstep._partitions import UNIT, described
from gradstep.spark import FILES

NUMBERS = ("boolean", "tinyint", "smallint", "int", "bigint", "float", "double")
"""The types of columns that may be features."""


class Partitions(ClusterRows):
    """The rows of a DataFrame, checked and kept by Spark."""

    def __init__(self, X: Any, y: Any, sample_weight: Any, offset: Any, order: Any, wants_numbers: bool = True) -> None:
        if not is_of(X, "pyspark") or not hasattr(X, "mapInArrow"):
            advice = ", which gradstep.fit takes" * hasattr(X, "shape")
            raise TypeError(f"X must be a DataFrame of Spark, got {kind(X)}{advice}")
        self._session = X.sparkSession
        self._check_running()
        of_rows = {"y": y, "sample_weight": sample_weight, "offset": offset}
        for argument, name in of_rows.items():
            if not isinstance(name, str) and (name is not None or argument == "y"):
                raise TypeError(f"{argument} must be the name of a column, got {kind(name)}")
        keys, is_of_files = _keys(order)
        named = {**of_rows, **{f"order[{k}]": key for k, key in enumerate(keys)}}
        check_different("X", X.columns)
        names = features_of({name: _no_number(type_) for name, type_ in X.dtypes}, named)
        self._files = records.Files(f"gradstep-{uuid4().hex}")
        columns = (y, sample_weight, offset)
        packing = records.Packing(_native.__version__, names, wants_numbers, columns, keys, is_of_files, self._files)
        self._records = (
            _selected(X, names, packing).mapInArrow(packing, records.RECORD).persist(StorageLevel.MEMORY_AND_DISK)
        )
        self._edges: Any = None
        try:
            self._plan(names)
        except BaseException:
            self._forget()
            raise

    def _plan(self, names: list[str]) -> None:
        """Let Spark make the records, and find where each is among all rows."""
        facts = self._collected(lambda: self._records.drop("X"))
        facts.sort(key=lambda row: (row.partition, row.number))
        if problem := next((row.problem for row in facts if row.problem), None):
            raise records.raised(problem)
        if not facts:
            raise no_rows()
        ordered = facts if facts[0].file is None else _by_files(facts)
        self._dtype = facts[0].dtype
        nothing = np.empty((0, len(names)), self._dtype)
        held = (records.rows_of(row.of_rows, nothing) for row in ordered)
        self._hold(names, ((row.rows, *described(rows)[1:]) for row, rows in zip(ordered, held, strict=True)))
        starts = np.cumsum([0, *self._counts]).tolist()
        firsts = {(row.partition, row.number): first for row, first in zip(ordered, starts, strict=False)}
        self._places = _places(facts, firsts, starts[-1])

    def _asker(self, classes: Any, factors: Any, n_threads: int | None) -> Callable[[bytes], list[bytes]]:
        kept = self._records.select([field.split()[0] for field in records.STORED.split(", ")])
        known = {"places": self._places, "dtype": self._dtype, "columns": self._columns}
        m = len(self.y)
        units = m - sum(place.stop - place.begin for place in self._places.values())
        if units:
            size = max(UNIT, records.RECORD_BYTES // (8 * self._columns))
            count = min(len({partition for partition, _ in self._places}), -(-units // size))
            pieces = kept.mapInArrow(partial(records.cut, **known), records.STORED)
            joined = pieces.repartition(count, functions.expr(f"number div {UNIT}")).sortWithinPartitions("number")
            self._edges = joined.persist(StorageLevel.MEMORY_AND_DISK)
        light = _without_features(kept)
        asked = light if self._edges is None else light.union(self._edges)

        def ask(request: bytes) -> list[bytes]:
            given = {"is_single": self._is_single, "classes": classes, "factors": factors, "n_threads": n_threads}
            asking = records.Asking(request, **known, **given, files=self._files)
            found = self._collected(lambda: asked.mapInArrow(asking, records.ANSWER))
            if missing := {row.missing for row in found} - {None}:
                rest = kept.where(functions.col("partition").isin(missing))
                again = replace(asking, has_features=True)
                found += self._collected(lambda: rest.mapInArrow(again, records.ANSWER))
            if problem := next((row.problem for row in found if row.problem), None):
                raise records.raised(problem)
            found = sorted((row for row in found if row.missing is None), key=lambda row: row.first)
            if sum(row.rows for row in found) != m:
                raise records.changed(0)
            return [bytes(row.answer) for row in found]

        return ask

    def _forget(self) -> None:
        if not _is_stopped(self._session):
            with suppress(Exception):  # Spark removes its folders at its end
                _without_features(self._records).mapInArrow(self._files.remove, "number long").collect()
        for frame in (self._records, self._edges):
            if frame is not None and not _is_stopped(self._session):
                frame.unpersist()

    def _collected(self, made: Callable[[], Any]) -> list[Any]:
        """The rows of a DataFrame that the function makes."""
        try:
            return list(made().collect())
        except Exception:
            self._check_running()  # Spark's own errors do not say that it was stopped
            raise

    def _check_running(self) -> None:
        if _is_stopped(self._session):
            raise ValueError(
                "X must be of a running session of Spark, got one that is stopped: make X again in a new one"
            )


def _without_features(kept: Any) -> Any:
    """The records with nothing instead of their features, so that Spark need not move the features."""
    columns = [field.split()[0] for field in records.STORED.split(", ")]
    return kept.select(*(functions.lit(None).cast("binary").alias(name) if name == "X" else name for name in columns))


def _is_stopped(session: Any) -> bool:
    if hasattr(session, "is_stopped"):  # a session of Spark Connect
        return bool(session.is_stopped)
    return session.sparkContext._jsc is None


def _keys(order: Any) -> tuple[list[str], bool]:
    """The columns that `order` names to sort by, and whether it is the order of files."""
    if order is None or order == FILES:
        return [], order is not None
    keys = [order] if isinstance(order, str) else order
    if not isinstance(keys, (list, tuple)) or not keys or not all(isinstance(key, str) for key in keys):
        raise TypeError(f"order must be the name of a column, a list of them, FILES or None, got {order!r}")
    return list(keys), False


def _no_number(type_: str) -> str | None:
    return None if type_ in NUMBERS else type_


def _column(name: str) -> Any:
    return functions.col("`" + name.replace("`", "``") + "`")


def _selected(X: Any, names: list[str], packing: records.Packing) -> Any:
    """The columns of the DataFrame that make records, sorted if there is an order, with the number of the partition."""
    chosen = [*names, *(name for name in packing.of_rows if name is not None), *packing.keys]
    columns = [_column(name) for name in dict.fromkeys(chosen)]
    if packing.keys:
        X = X.sort(*map(_column, packing.keys))
    if packing.is_of_files:
        columns += [
            functions.col(name).alias(alias) for name, alias in zip(FILES, (records.FILE, records.ROW), strict=True)
        ]
    try:
        return X.select(functions.spark_partition_id().alias(records.PARTITION), *columns)
    except AnalysisException:
        if not packing.is_of_files:
            raise
        raise ValueError(
            "order must be that of columns, got gradstep.spark.FILES for a DataFrame that is not read from Parquet"
        ) from None


def _by_files(facts: list[Any]) -> list[Any]:
    """The records in the order of their files, and of their rows in these; a ValueError if two have rows in common."""
    ordered = sorted(facts, key=lambda row: (row.file, row.first))
    for one, next_ in pairwise(ordered):
        if one.file == next_.file and one.last >= next_.first:
            raise ValueError(records.not_in_files(one.file))
    return ordered


def _places(facts: list[Any], firsts: dict[tuple[int, int], int], m: int) -> dict[tuple[int, int], records.Place]:
    """The place of each record among all `m` rows, from the number of its first row."""
    stretches: list[list[Any]] = []  # records that follow each other in one partition and among all rows
    end: tuple[int, int] | None = None
    for row in facts:
        first = firsts[row.partition, row.number]
        if end == (row.partition, first):
            stretches[-1].append(row)
        else:
            stretches.append([row])
        end = row.partition, first + row.rows
    places = {}
    for stretch in stretches:
        first = firsts[stretch[0].partition, stretch[0].number]
        stop = first + sum(row.rows for row in stretch)
        begin, stop = -(-first // UNIT) * UNIT, stop if stop == m else stop // UNIT * UNIT
        for row in stretch:
            at = firsts[row.partition, row.number]
            inside = min(max(begin - at, 0), row.rows), min(max(stop - at, 0), row.rows)
            places[row.partition, row.number] = records.Place(at, inside[0], max(inside), row.digest)
    return places
