"""Descent on the data that scikit-learn brings along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression

import gradstep
from helpers import oracle
from helpers.problems import DTYPES, Problem
from helpers.tolerances import tolerance

Array = npt.NDArray[Any]


def breast_cancer() -> tuple[Array, Array]:
    X, y = load_breast_cancer(return_X_y=True)
    return X, y


def iris() -> tuple[Array, Array]:
    """Versicolor against virginica, the two that overlap."""
    X, y = load_iris(return_X_y=True)
    return X[y > 0], y[y > 0] - 1


def standardised(X: Array) -> Array:
    return np.asarray((X - X.mean(axis=0)) / X.std(axis=0))


bundled = pytest.mark.parametrize("load", [breast_cancer, iris])


@bundled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [None, 1, 32])
def test_training_lowers_the_loss_and_the_gradient_is_the_oracles(
    load: Callable[[], tuple[Array, Array]], dtype: Any, batch_size: int | None
) -> None:
    raw, y = load()
    X = standardised(raw).astype(dtype)
    # α ≤ 1/L where every step sees all rows, and a cautious one otherwise.
    rate = 1 / oracle.lipschitz(X) if batch_size is None else 0.01
    fit = gradstep.Trainer(rate, 20, batch_size=batch_size).fit(X, y)
    assert fit.weights.dtype == dtype
    assert fit.history[0] < np.log(2)  # the loss at zero
    assert (np.diff(fit.history) < 0).all()

    problem = Problem(X, y, fit.weights, fit.bias)
    near = tolerance(problem, dtype)
    got, want = gradstep.loss_gradient(*problem), oracle.gradient(*problem)
    assert abs(got.loss - oracle.loss(*problem)) <= near.loss
    assert abs(got.loss - fit.history[-1]) <= 2 * near.loss
    assert (np.abs(got.weights - want.weights) <= near.weights).all()
    assert abs(got.bias - want.bias) <= near.bias
    right = (gradstep.predict_proba(X, fit.weights, fit.bias) > 0.5) == y
    assert right.mean() > 0.85


@bundled
def test_enough_epochs_reach_scikit_learns_optimum(load: Callable[[], tuple[Array, Array]]) -> None:
    raw, y = load()
    X, l2 = standardised(raw), 0.1
    rate = 1 / (oracle.lipschitz(X) + l2)
    fit = gradstep.Trainer(rate, 20_000, l2=l2, tol=1e-10).fit(X, y)
    assert fit.stop_reason == "tolerance"
    # Here E + l2/2·‖w‖² is scikit-learn's objective divided by m / l2, with C = 1 / (l2·m).
    model = LogisticRegression(C=1 / (l2 * len(y)), tol=1e-12, solver="newton-cholesky", max_iter=1000).fit(X, y)
    # The objective curves by l2 at least in the weights, so a gradient of 1e-10 leaves them within 1e-9·√n or so.
    assert np.abs(fit.weights - model.coef_[0]).max() <= 1e-6
    assert abs(fit.bias - model.intercept_[0]) <= 1e-6
