"""scikit-learn's callbacks, from version 1.9 on: they are told of a fit and of each of its iterations."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstep._classifier import Samples
from gradstep._optimum import Iteration

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # a version of scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty base class: older versions of scikit-learn have no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Decorates nothing: returns the method itself."""
        return method


__all__ = ["CallbackSupportMixin", "Tasks", "with_callbacks"]


class Tasks:
    """Tells scikit-learn's callbacks of the tasks of a fit, as scikit-learn does.

    There is a task for the fit. Below it there is a task for each iteration, and one task if there are no iterations. A
    task begins as soon as the task before it has ended, so that after the last iteration an empty task is left.
    """

    def __init__(self, estimator: Any, samples: Samples, sample_weight: Any, weights: Any, bias: Any) -> None:
        self.are_watched = bool(getattr(estimator, "_skl_callbacks", None))
        if not self.are_watched:
            return
        self._estimator = estimator
        self._classes = samples.classes
        self._data = {
            "X": samples.X,
            "y": lambda: samples.classes[samples.codes],
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        self._fit = estimator._init_callback_context(max_subtasks=None)
        self._fit.call_on_fit_task_begin(estimator=estimator, **self._data)
        self._start = self._fitted(weights, bias)
        self._has_iterated = False
        self._iteration = self._begun(self._start)

    def end_iteration(self, iteration: Iteration) -> bool:
        """Tell of an iteration's end, and of the next one's begin. Returns whether a callback stops the fit."""
        if not self.are_watched:
            return False
        return self._go_on(self._fitted(iteration.weights, iteration.bias))

    def end(self) -> None:
        """Tell of the end of the fit."""
        if self.are_watched:
            if not self._has_iterated:
                self._go_on(self._start)
            self._iteration.call_on_fit_task_end(estimator=self._estimator)
            self._fit.call_on_fit_task_end(estimator=self._estimator, **self._data, reconstruction_attributes={})

    def _go_on(self, fitted: dict[str, Any]) -> bool:
        self._has_iterated = True
        stops = self._iteration.call_on_fit_task_end(
            estimator=self._estimator, **self._data, reconstruction_attributes=fitted
        )
        self._iteration = self._begun(fitted)
        return bool(stops)

    def _begun(self, fitted: dict[str, Any]) -> Any:
        task = self._fit.subcontext(task_name=f"{type(self._estimator).__name__} iteration")
        task.call_on_fit_task_begin(estimator=self._estimator, **self._data, reconstruction_attributes=fitted)
        return task

    def _fitted(self, weights: Any, bias: Any) -> dict[str, Any]:
        """The attributes of an estimator that predicts with these parameters."""
        coefficients = np.atleast_2d(weights)
        intercept = np.atleast_1d(np.asarray(bias, coefficients.dtype))
        return {"classes_": self._classes, "coef_": coefficients, "intercept_": intercept}
