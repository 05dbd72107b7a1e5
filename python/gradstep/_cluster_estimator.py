"""The estimator for rows on a cluster of any kind: `gradstep.LogisticRegression`, fitted where the rows are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from gradstep import _estimator
from gradstep._classifier import Samples
from gradstep._cluster import ClusterRows
from gradstep._options import kind


class LogisticRegression(_estimator.LogisticRegression):
    """`gradstep.LogisticRegression` for rows on a cluster. A subclass for each kind of cluster makes `ClusterRows`."""

    _cluster: ClassVar[str]
    """The name of the library that holds the rows, for messages."""

    def _fit_on(self, made: Callable[[], ClusterRows], X: Any, y: Any, sample_weight: Any) -> Any:
        for name in ("early_stopping", "standard_errors"):
            if getattr(self, name):
                raise ValueError(
                    f"{name} must be False for rows of {self._cluster}, got True: it needs them in one place"
                )
        with made() as self._rows:
            try:
                return super().fit(X, y, sample_weight)
            finally:
                del self._rows

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Raise a ValueError: a step of gradient descent needs rows in memory."""
        raise ValueError(
            f"X must be in memory for partial_fit, of gradstep.LogisticRegression, got rows of {self._cluster}"
        )

    def _validated(self, X: Any, y: Any, sample_weight: Any, offset: Any, reset: bool, classes: Any = None) -> Samples:
        rows = self._rows
        classes, codes = np.unique(rows.y, return_inverse=True)
        weight, factors = rows.sample_weight, None
        if self.class_weight is not None:
            factors = self._factors(classes, codes, np.ones(len(codes)) if weight is None else weight)
        absent = classes[np.bincount(codes, weight) == 0] if weight is not None else []
        if len(absent):
            got = f"got only zeros for {', '.join(map(str, absent))}"
            raise ValueError(f"sample_weight must be positive for a row of each class, {got}")
        distant = rows.distant(classes, factors, self.n_threads)
        self.n_features_in_ = distant.shape[1]
        if rows.names:
            self.feature_names_in_ = np.array(rows.names, dtype=object)
        return Samples(distant, codes, distant.sample_weight, classes, factors)

    def _refuse_offset(self, offset: Any) -> None:
        """Raise a ValueError if offsets are given for predictions of rows on the cluster."""
        if offset is not None:
            got = f"{kind(offset)}: add it to decision_function(X)"
            raise ValueError(f"offset must be None for predictions of rows of {self._cluster}, got {got}")

    def _in_memory(self) -> _estimator.LogisticRegression:
        """A copy of the fitted estimator that takes rows in memory. The workers predict with it."""
        check_is_fitted(self, "coef_")
        model = _estimator.LogisticRegression(**self.get_params())
        for name, value in vars(self).items():
            if name.endswith("_"):
                setattr(model, name, value)
        return model
