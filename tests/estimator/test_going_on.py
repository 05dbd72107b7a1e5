"""Fits that go on: warm start, early stopping and partial_fit."""

from __future__ import annotations

import numpy as np
import pytest

import gradstep
from gradstep import LogisticRegression
from helpers import oracle
from helpers.estimators import problem


def test_warm_start_goes_on_from_the_last_coefficients() -> None:
    X, y = problem(3)
    model = LogisticRegression(l2=1e-3, warm_start=True).fit(X, y)
    cold, optimum = model.n_iter_, model.coef_
    assert model.fit(X, y).n_iter_ < cold
    np.testing.assert_allclose(model.coef_, optimum, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("given", [False, True])
def test_early_stopping_restores_the_best_coefficients(classes: int, given: bool) -> None:
    X, y = problem(classes, m=60, n=20, seed=3)
    X_val, y_val = problem(classes, m=60, n=20, seed=4)
    options = {"X_val": X_val, "y_val": y_val} if given else {}
    seen: list[gradstep.Iteration] = []
    model = LogisticRegression(
        l2=1e-6, solver="gd", early_stopping=True, n_iter_no_change=3, random_state=0, callback=seen.append
    ).fit(X, y, **options)
    best = int(model.validation_history_.argmin())
    assert str(model.stop_reason_) == "validation" and len(seen) == best + 4
    assert model.coef_.tolist() == np.atleast_2d(seen[best].weights).tolist()
    assert model.objective_ == seen[best].objective
    assert (model.gap_, model.converged_, model.aliased_) == (np.inf, False, ())
    if given:
        rows = np.arange(60), np.searchsorted(model.classes_, y_val)
        assert abs(-model.predict_log_proba(X_val)[rows].mean() - model.validation_history_[best]) < 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_partial_fit_is_a_gradient_step(classes: int) -> None:
    X, y = problem(classes)
    model = LogisticRegression(l2=0.2, learning_rate=0.05)
    names, codes = np.unique(y, return_inverse=True)
    W, b = np.zeros((classes, X.shape[1])), np.zeros(classes)
    for batch in np.array_split(np.arange(len(y)), 5):
        model.partial_fit(X[batch], y[batch], classes=names)
        if classes == 2:
            w = oracle.gradient_step(X[batch], codes[batch], W[1], b[1], 0.05, l2=0.2)
            W[1], b[1] = w.weights, w.bias
        else:
            z = X[batch] @ W.T + b
            residual = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(classes)[codes[batch]]
            W, b = W - 0.05 * (residual.T @ X[batch] / len(batch) + 0.2 * W), b - 0.05 * residual.mean(axis=0)
    np.testing.assert_allclose(model.coef_, W[1:] if classes == 2 else W, atol=1e-13)
    np.testing.assert_allclose(model.intercept_, b[1:] if classes == 2 else b, atol=1e-13)


def test_what_is_refused_leaves_the_last_fit() -> None:
    X, y = problem()
    model = LogisticRegression(l2=0.1).fit(X, y)
    want = model.predict(X).tolist(), model.gap_
    other = np.arange(len(y)) % 3
    for data in ({"X_val": X, "y_val": other}, {"sample_weight": -np.ones(len(y))}):
        with pytest.raises(ValueError, match="must"):
            model.fit(X, other, **data)
        assert (model.predict(X).tolist(), model.gap_) == want
    for fresh in (model, LogisticRegression()):
        with pytest.raises(ValueError, match="must"):
            fresh.partial_fit(X, y, classes=np.unique(y), sample_weight=-np.ones(len(y)))
    assert (model.predict(X).tolist(), model.gap_) == want
    assert not hasattr(fresh, "coef_")
    wider = np.column_stack([X, X])
    with pytest.raises(ValueError, match=r"^standard_errors must be False with aliased columns"):
        model.set_params(l2=0, standard_errors=True).fit(wider, other > 0)
    with pytest.raises(ValueError, match="must"):
        model.fit(wider, other > 0, sample_weight=-np.ones(len(y)))
    assert (model.predict(X).tolist(), model.gap_) == want


def test_partial_fit_that_diverges_is_refused() -> None:
    X, y = problem()
    model = LogisticRegression(l2=100, learning_rate=0.1)  # each step multiplies the weights by -9
    for _ in range(200):
        model.partial_fit(X, y, classes=np.unique(y))
    model.set_params(learning_rate=1e200)
    with pytest.raises(ValueError, match=r"^learning_rate must be small enough .* finite, got 1e.200 with l2=100$"):
        model.partial_fit(X, y)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()


def test_partial_fit_drops_a_certificate_that_no_longer_holds() -> None:
    X, y = problem()
    model = LogisticRegression(l2=0.1).fit(X, y).partial_fit(X, y)
    assert not any(hasattr(model, name) for name in ("gap_", "converged_", "aliased_", "gradient_norm_"))
