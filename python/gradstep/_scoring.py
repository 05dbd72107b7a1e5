"""The scores of a cross-validation: how good an optimum is on the samples of a fold, by the option `scoring`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils.validation import _check_method_params

from gradstep._classifier import Array, Samples
from gradstep._estimator import LogisticRegression
from gradstep._fitted import codes_of, shifted
from gradstep._formulas import decision_function, sigmoid, softmax


def _hits(z: Array, codes: NDArray[np.intp]) -> Array:
    """For each row, whether the most probable class is that of the label."""
    return np.asarray(codes_of(z, by_class=z.ndim == 2) == codes)


def _log_likelihood(z: Array, codes: NDArray[np.intp]) -> Array:
    """For each row, ln max(p, eps) with the probability p of its label, as in scikit-learn; eps is the dtype's."""
    p = softmax(z)[np.arange(len(z)), codes] if z.ndim == 2 else sigmoid(np.where(codes, z, -z))
    return np.asarray(np.log(np.maximum(p, np.finfo(p.dtype).eps)))


_DIRECT = {None: _hits, "accuracy": _hits, "neg_log_loss": _log_likelihood}
"""Scores that are means over rows, and are computed here. The scorers of scikit-learn for them take longer than a fit,
since they check and encode labels each time."""


class Score(NamedTuple):
    """The scoring of fits: the scorer, the samples of all folds with their labels, and arguments for the scorer."""

    scoring: Any
    samples: Samples
    labels: Array
    params: dict[str, Any]

    def of_rows(self, rows: Array, n_threads: int | None) -> Callable[[Array, Any], float]:
        """The score of weights and bias on some rows."""
        X, classes, offset = self.samples.X[rows], self.samples.classes, self.samples.offset
        offset = None if offset is None else offset[rows]
        params = _check_method_params(self.samples.X, self.params, indices=rows)
        known = self.scoring is None or isinstance(self.scoring, str)
        mean_of = _DIRECT.get(self.scoring) if known and params.keys() <= {"sample_weight"} else None
        if mean_of:
            codes, weight = self.samples.codes[rows], params.get("sample_weight")

            def direct(weights: Array, bias: Any) -> float:
                z = decision_function(X, weights, bias, n_threads=n_threads)
                z = z if offset is None else shifted(z, offset)
                return float(np.average(mean_of(z, codes), weights=weight))

            return direct

        labels, scorer = self.labels[rows], _of_all_classes(get_scorer(self.scoring), classes)
        model = WithOffset(offset, n_threads=n_threads)
        model.classes_, model.n_features_in_ = classes, X.shape[1]

        def by_scorer(weights: Array, bias: Any) -> float:
            model._set_coefficients(weights, bias)
            return float(scorer(model, X, labels, **params))

        return by_scorer


class WithOffset(LogisticRegression):
    """An estimator that adds the offsets of certain rows to their scores, whichever of its predictions is asked for."""

    def __init__(self, rows_offset: Any = None, n_threads: int | None = None) -> None:
        super().__init__(n_threads=n_threads)
        self.rows_offset = rows_offset

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """The scores of the rows."""
        return super().decision_function(X, self.rows_offset if offset is None else offset)


def _of_all_classes(scorer: Any, classes: Array) -> Any:
    """The scorer with all classes as its argument `labels`, if it has one, since a fold may lack some classes."""
    function = getattr(scorer, "_score_func", None)
    names = inspect.signature(function).parameters if function else {}
    if "labels" not in names:
        return scorer
    known = {"labels": classes} | ({"pos_label": classes[-1]} if len(classes) == 2 and "pos_label" in names else {})
    return make_scorer(
        function,
        greater_is_better=scorer._sign > 0,
        response_method=scorer._response_method,
        **{**known, **scorer._kwargs},
    )
