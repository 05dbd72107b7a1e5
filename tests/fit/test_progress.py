"""The history and the callback of a fit, and fits that end early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.optima import both_solvers, check_certificate, overlapping
from helpers.problems import both_dtypes
from helpers.results import bits


@both_solvers
@both_dtypes
def test_history_and_callback_tell_the_same(solver: Any, dtype: Any) -> None:
    X, y = overlapping(30_000, 6, dtype=dtype)
    seen: list[gradstep.Iteration] = []
    best = gradstep.fit(X, y, l2=1e-3, solver=solver, tol=1e-5, callback=seen.append)
    names = ("objective", "gradient_norm", "step", "seconds", "passes", "rows")
    assert best.history.dtype.names == names
    assert len(best.history) == best.n_iterations == len(seen)
    for index, (record, iteration) in enumerate(zip(best.history, seen, strict=True)):
        assert iteration.number == index
        assert tuple(record[name] for name in names) == iteration[1:7]
        assert iteration.weights.dtype == dtype
    assert (np.diff(best.history["seconds"]) >= 0).all()
    assert (np.diff(best.history["passes"]) > 0).all() and best.history["passes"][-1] <= best.passes
    full = best.history[best.history["rows"] == len(X)]
    assert (np.diff(full["objective"]) <= 64 * np.finfo(dtype).eps).all()
    last = seen[-1]
    assert last.rows == len(X)
    # The returned objective is evaluated again, in float64 at the rounded weights.
    assert abs(last.objective - best.objective) <= 64 * np.finfo(dtype).eps * best.objective
    assert bits((last.weights,)) == bits((best.weights,))
    assert abs(last.bias - best.bias) <= 4 * np.finfo(dtype).eps * abs(best.bias)


@both_solvers
def test_the_callback_may_stop_or_raise(solver: Any) -> None:
    X, y = overlapping(500, 6)
    best = gradstep.fit(X, y, l2=1e-3, solver=solver, callback=lambda iteration: iteration.number == 1)
    assert best.stop_reason == "callback" and best.n_iterations == 2
    check_certificate(X, y, 1e-3, None, best, 1e-8)
    raised = KeyError("from the callback")

    def fail(iteration: gradstep.Iteration) -> None:
        raise raised

    with pytest.raises(KeyError) as caught:
        gradstep.fit(X, y, solver=solver, callback=fail)
    assert caught.value is raised


def test_a_callback_in_a_sample_stops_with_the_truth_about_all_rows() -> None:
    X, y = overlapping(60_000, 4)
    best = gradstep.fit(X, y, l2=1e-3, callback=lambda iteration: True)
    assert best.stop_reason == "callback" and best.history["rows"][0] < len(X)
    check_certificate(X, y, 1e-3, None, best, 1e-8)


@both_solvers
@pytest.mark.parametrize("limit", [0.5, 1, 4, 8])
def test_passes_are_limited(solver: Any, limit: float) -> None:
    X, y = overlapping(3000, 40)
    best = gradstep.fit(X * 10.0 ** np.linspace(-3, 3, 40), y, l2=1e-6, tol=1e-14, solver=solver, max_passes=limit)
    assert best.stop_reason == "passes"
    assert best.converged == (best.gap <= 1e-8 * best.objective)
    # Beyond the limit, the iteration under way is finished, and the certificate made: by duality, then by the Hessian.
    assert best.passes <= limit + 7
    assert np.isfinite(best.objective)
