"""The estimator for rows on a Dask cluster: `gradstep.LogisticRegression`, fitted by `gradstep.dask.fit`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gradstep import _cluster_estimator
from gradstep.dask import TIMEOUT, Partitions, is_collection


class LogisticRegression(_cluster_estimator.LogisticRegression):
    """`gradstep.LogisticRegression` for dataframes and arrays of Dask (extras ``dask`` and ``sklearn``).

    It takes the parameters of `gradstep.LogisticRegression`, and has its attributes. ``early_stopping``,
    ``standard_errors`` and `partial_fit` are refused, since they need all rows in one place. Every class must have a
    row of positive weight.

    Predictions for a collection of Dask are collections, not yet computed. For a dataframe they are a series of classes
    or a dataframe of probabilities, with the same index; for an array, an array. Predictions for rows in memory are
    arrays.

    Examples
    --------
    >>> import dask.array, distributed
    >>> with distributed.Client(processes=False, dashboard_address=":0") as client:
    ...     X = dask.array.from_array(np.array([[0.0], [1.0], [2.0], [3.0]]), chunks=(2, 1))
    ...     y = dask.array.from_array(np.array(["no", "yes", "no", "yes"]), chunks=2)
    ...     model = gradstep.dask.LogisticRegression(l2=0.1).fit(X, y)
    ...     model.coef_.round(6), model.predict(X).compute().tolist()
    (array([[0.636706]]), ['no', 'no', 'yes', 'yes'])
    """

    _cluster = "Dask"

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        client: Any = None,
        timeout: float = TIMEOUT,
    ) -> Any:
        """Find the optimum.

        Parameters
        ----------
        X : dask.dataframe.DataFrame or dask.array.Array, shape (m, n)
        y : str, dask.dataframe.Series or dask.array.Array
            Labels of two or more classes: a column of the dataframe, by its name, or a collection.
        sample_weight : like `y`, optional
            Weights >= 0.
        offset : like `y`, or for K > 2 classes K columns, optional
            As in `gradstep.dask.fit`.
        client, timeout
            As in `gradstep.dask.fit`.

        Returns
        -------
        LogisticRegression
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, TimeoutError
            As `gradstep.dask.fit`, and `gradstep.LogisticRegression.fit`.
        """

        def made() -> Partitions:
            return Partitions(X, y, sample_weight, offset, client, timeout, wants_numbers=False)

        return self._fit_on(made, X, y, sample_weight)

    def decision_function(self, X: Any, offset: Any = None) -> Any:
        """The scores, z = X·W + b + offset, shape (m,), or (m, K) for K > 2 classes."""
        columns = self.classes_ if len(self.classes_) > 2 else None
        return self._lazily("decision_function", X, offset, columns)

    def predict(self, X: Any, offset: Any = None) -> Any:
        """The most probable class of each row, shape (m,); if several are equally probable, the first."""
        return self._lazily("predict", X, offset, None)

    def predict_proba(self, X: Any, offset: Any = None) -> Any:
        """The probability of each class, shape (m, K), in the order of `classes_`."""
        return self._lazily("predict_proba", X, offset, self.classes_)

    def predict_log_proba(self, X: Any, offset: Any = None) -> Any:
        """The logarithms of the probabilities, shape (m, K), finite wherever the scores are."""
        return self._lazily("predict_log_proba", X, offset, self.classes_)

    def _lazily(self, method: str, X: Any, offset: Any, columns: Any) -> Any:
        """The result of a method for each partition of X, not yet computed; for an X in memory, the result itself.

        The result has these `columns`; if they are None, it has one value for each row.

        Raises
        ------
        ValueError
            If `offset` is given for a collection.
        """
        if not is_collection(X):
            return getattr(super(), method)(X, offset)
        self._refuse_offset(offset)
        function = partial(_of_partition, self._in_memory(), method, columns)
        if hasattr(X, "columns"):
            return X.map_partitions(function, meta=function(X._meta_nonempty).iloc[:0])
        dtype = function(np.zeros((1, X.shape[1]), self.coef_.dtype)).dtype
        X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
        if columns is None:
            return X.map_blocks(function, dtype=dtype, drop_axis=1)
        return X.map_blocks(function, dtype=dtype, chunks=(X.chunks[0], (len(columns),)))


def _of_partition(model: Any, method: str, columns: Any, X: Any) -> Any:
    """The result of a method of the model for some rows. For a frame, it is a frame or series with the same index."""
    names = getattr(model, "feature_names_in_", None)
    is_frame = hasattr(X, "columns")
    rows = X[list(names)] if is_frame and names is not None and set(names) <= set(X.columns) else X
    if not len(rows):
        found = np.empty((0, *getattr(model, method)(np.zeros((1, model.n_features_in_))).shape[1:]))
    else:
        found = getattr(model, method)(rows)
    if not is_frame:
        return found
    import pandas as pd

    return pd.Series(found, X.index) if columns is None else pd.DataFrame(found, X.index, columns)
