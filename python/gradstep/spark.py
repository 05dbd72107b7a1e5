"""Fits over the rows of a Spark DataFrame (extra ``spark``).

Spark reads the rows, keeps them and runs the tasks; gradstep computes in its Python workers. A pass is one job, whose
tasks return little, whatever the number of rows. The optimum, with its certificate, is that of the same rows in one
array, to the last bit, however they are cut into partitions, if `fit` is told their order.

Labels, sample weights and offsets, a number for each row, come to the driver. Of the features, only samples of the
rows, of 256 MB at most, come to the driver.

Examples
--------
>>> from pyspark.sql import SparkSession
>>> session = SparkSession.builder.getOrCreate()
>>> rows = [(1, 0.0, "no"), (2, 1.0, "yes"), (3, 2.0, "no"), (4, 3.0, "yes")]
>>> df = session.createDataFrame(rows, ["number", "price", "bought"])
>>> model = gradstep.spark.LogisticRegression(l2=0.1).fit(df, "bought", order="number")
>>> [row.prediction for row in model.predict(df).sort("number").collect()]
['no', 'no', 'yes', 'yes']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradstep._extras import extra
from gradstep._optimum import Optimum

if TYPE_CHECKING:
    from gradstep._spark_estimator import LogisticRegression as LogisticRegression

__all__ = ["FILES", "LogisticRegression", "fit"]

FILES = ("_metadata.file_path", "_metadata.row_index")
"""As `order` of `fit`: the order of the Parquet files that a DataFrame is read from, by their paths, and of their rows.
"""


def __getattr__(name: str) -> Any:
    if name == "LogisticRegression":
        with extra("sklearn", "gradstep.spark.LogisticRegression needs scikit-learn 1.6 or newer", "scipy", "sklearn"):
            from gradstep._spark_estimator import LogisticRegression

        return LogisticRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def fit(
    X: Any,
    y: str,
    *,
    sample_weight: str | None = None,
    offset: str | None = None,
    order: str | Sequence[str] | None = None,
    **options: Any,
) -> Optimum:
    """`gradstep.fit` of the rows of a Spark DataFrame.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
        All columns are features, but for those that other arguments name; they must be of numbers or truth values,
        finite, without nulls. If all are float (32 bits), the fit is one of float32.
    y : str
        The column with labels in [0, 1], or class codes 0, 1, …, K - 1.
    sample_weight, offset : str, optional
        Columns, as in `gradstep.fit`.
    order : str or sequence of str, optional
        The columns by which rows are sorted. No two rows may have the same values there. With `FILES`, the rows of
        Parquet files are taken in the order of the paths of these files, and of the rows in each: nothing is sorted.
        So no operation on the DataFrame may have changed the order, as ``repartition`` does; operations that leave out
        columns or rows are allowed. Without `order`, rows are taken in the order in which Spark has them at the time.
        Where Spark has another order the next time, the optimum is the same within the gap that is proved, but its last
        bits are not.
    **options
        Those of `gradstep.fit`, from `l1` to `checkpoint`, but for `cache`: Spark keeps the rows. `n_threads` is by
        default the number of processors of a task (``spark.task.cpus``).

    Returns
    -------
    Optimum

    Raises
    ------
    ImportError
        If Spark for Python or pyarrow is not installed.
    TypeError
        If `X` is no DataFrame of Spark's, or a column does not hold real numbers.
    ValueError
        If the session of `X` is stopped, or an argument names no column; if values are missing, not finite or out of
        range, with the partition and row; if rows are not the same when Spark computes them again; if `order` does not
        tell the order.

    Notes
    -----
    The DataFrame is computed once, and with `order` sorted once. Its rows are kept as bytes until the fit ends, at
    ``StorageLevel.MEMORY_AND_DISK``. If an executor is lost, Spark computes its rows again; it is an error if they
    differ then. To persist the DataFrame itself helps only if it has no fixed order, or is used for more than a fit.

    Examples
    --------
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.getOrCreate()
    >>> rows = [(1, 0.0, 0), (2, 1.0, 1), (3, 2.0, 0), (4, 3.0, 1)]
    >>> df = session.createDataFrame(rows, ["number", "price", "bought"])
    >>> best = gradstep.spark.fit(df, "bought", l2=0.1, order="number")
    >>> best.weights.round(6), best.converged
    (array([0.636706]), True)
    """
    with extra("spark", "gradstep.spark needs Spark for Python, and pyarrow", "pyspark", "pyarrow"):
        from gradstep._spark_rows import Partitions

    return Partitions(X, y, sample_weight, offset, order).fit(options)
