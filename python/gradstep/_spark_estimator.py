"""The estimator for a Spark DataFrame: `gradstep.LogisticRegression`, fitted by `gradstep.spark.fit`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from gradstep import _cluster_estimator
from gradstep._extras import extra
from gradstep._frames import is_of

TYPES = {
    "f4": "FloatType", "f8": "DoubleType", "b1": "BooleanType",
    "i1": "ByteType", "i2": "ShortType", "i4": "IntegerType", "i8": "LongType",
}  # fmt: skip
"""The types of Spark for those types of NumPy, except texts, that classes and probabilities may have."""


class LogisticRegression(_cluster_estimator.LogisticRegression):
    """`gradstep.LogisticRegression` for DataFrames of Spark (extras ``spark`` and ``sklearn``).

    It takes the parameters of `gradstep.LogisticRegression`, and has its attributes. ``early_stopping``,
    ``standard_errors`` and `partial_fit` are refused, since they need all rows in one place. Every class must have a
    row of positive weight.

    Predictions for a DataFrame of Spark are this DataFrame with one more column, not yet computed. Predictions for rows
    in memory are arrays.

    Examples
    --------
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.getOrCreate()
    >>> rows = [(1, 0.0, "no"), (2, 1.0, "yes"), (3, 2.0, "no"), (4, 3.0, "yes")]
    >>> df = session.createDataFrame(rows, ["number", "price", "bought"])
    >>> model = gradstep.spark.LogisticRegression(l2=0.1).fit(df, "bought", order="number")
    >>> model.predict_proba(df).columns
    ['number', 'price', 'bought', 'probability']
    """

    _cluster = "Spark"

    def fit(
        self, X: Any, y: str, sample_weight: str | None = None, offset: str | None = None, order: Any = None
    ) -> Any:
        """Find the optimum.

        Parameters
        ----------
        X : pyspark.sql.DataFrame
        y : str
            The column with labels of two or more classes: numbers, texts or truth values.
        sample_weight : str, optional
            A column with weights >= 0.
        offset : str, optional
            A column with numbers that are added to the scores, for two classes.
        order : str or sequence of str, optional
            As in `gradstep.spark.fit`.

        Returns
        -------
        LogisticRegression
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            As `gradstep.spark.fit`, and `gradstep.LogisticRegression.fit`.
        """

        with _needed():
            from gradstep._spark_rows import Partitions

        def made() -> Partitions:
            return Partitions(X, y, sample_weight, offset, order, wants_numbers=False)

        return self._fit_on(made, X, y, sample_weight)

    def decision_function(self, X: Any, offset: Any = None) -> Any:
        """The scores, z = X·W + b + offset, of each row, as column "score": a number, or an array for K > 2 classes."""
        return self._lazily("decision_function", X, offset, "score")

    def predict(self, X: Any, offset: Any = None) -> Any:
        """The most probable class of each row, as column "prediction"; if several are equally probable, the first."""
        return self._lazily("predict", X, offset, "prediction")

    def predict_proba(self, X: Any, offset: Any = None) -> Any:
        """The probability of each class, in the order of `classes_`, as column "probability", of arrays."""
        return self._lazily("predict_proba", X, offset, "probability")

    def predict_log_proba(self, X: Any, offset: Any = None) -> Any:
        """The logarithms of the probabilities, as column "log_probability"; finite wherever the scores are."""
        return self._lazily("predict_log_proba", X, offset, "log_probability")

    def _lazily(self, method: str, X: Any, offset: Any, column: str) -> Any:
        """A DataFrame with the result of a method as one more column; for an X in memory, the result itself."""
        if not is_of(X, "pyspark"):
            return getattr(super(), method)(X, offset)
        self._refuse_offset(offset)
        with _needed():
            from pyspark.sql.types import StructType

            from gradstep._spark_records import Predicting
        model = self._in_memory()
        names = list(model.feature_names_in_)
        if missing := [name for name in names if name not in X.columns]:
            raise ValueError(f"X must have the columns of the fit, got none that is named {missing[0]!r}")
        if column in X.columns:
            raise ValueError(f"X must have no column {column!r}, which the result gets: rename it, or leave it out")
        found = getattr(model, method)(_one_row(names))
        schema = StructType([*X.schema.fields]).add(column, _type(found))
        return X.mapInArrow(Predicting(model, method, names, column), schema)


def _one_row(names: list[str]) -> Any:
    import pyarrow as pa

    return pa.table({name: np.zeros(1) for name in names})


def _type(found: Any) -> Any:
    """The type of Spark for the elements of an array, or for its rows."""
    from pyspark.sql import types

    of_elements = getattr(types, TYPES.get(found.dtype.str[1:], "StringType"))()
    return of_elements if found.ndim == 1 else types.ArrayType(of_elements)


def _needed() -> AbstractContextManager[None]:
    return extra("spark", "gradstep.spark needs Spark for Python, and pyarrow", "pyspark", "pyarrow")
