"""A Trainer without a learning rate: the fit chooses its steps."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from helpers.optima import SOLVERS, overlapping
from helpers.problems import both_dtypes


@both_dtypes
def test_a_trainer_without_a_learning_rate_ends_at_the_optimum(dtype: Any) -> None:
    X, y = overlapping(500, 5, dtype=dtype)
    X = X * np.array([1, 1e3, 1e-3, 1, 1], dtype)
    tol = 1e-8 if dtype == np.float64 else 1e-3
    seen = []
    trainer = gradstep.Trainer("auto", 200, l2=1e-4, tol=tol)
    fit = trainer.fit(X, y, callback=lambda *epoch: seen.append(epoch))
    assert fit.stop_reason == "tolerance" and fit.n_epochs < 60
    assert fit.weights.dtype == dtype and fit.trace is None
    best = gradstep.fit(X, y, l2=1e-4, tol=tol)
    assert np.allclose(fit.weights, best.weights, rtol=1e-5 if dtype == np.float64 else 0.05)
    assert [epoch for epoch, *_ in seen] == list(range(fit.n_epochs))
    assert [loss for _, loss, *_ in seen] == fit.history.tolist()
    assert fit.history[-1] == gradstep.loss(X, y, fit.weights, fit.bias)
    penalised = fit.history + [0.5e-4 * float(w.astype(float) @ w.astype(float)) for _, _, w, _ in seen]
    assert (np.diff(penalised) <= 64 * np.finfo(dtype).eps).all()
    assert str(trainer).startswith("Trainer(learning_rate='auto', epochs=200") and trainer.learning_rate == "auto"


def test_a_trainer_without_a_learning_rate_counts_epochs() -> None:
    X, y = overlapping(500, 5)
    trainer = gradstep.Trainer("auto", 3)
    fit = trainer.fit(X, y)
    assert fit.stop_reason == "epochs" and fit.n_epochs == 3
    # The first step is the best one along the gradient of standardised columns; the next ones have momentum.
    assert (np.diff(fit.history) < 0).all()
    for at in (1, 2):  # the callback can also end the last epoch
        stopped = trainer.fit(X, y, callback=lambda epoch, *_, at=at: epoch == at)
        assert stopped.stop_reason == "callback" and stopped.n_epochs == at + 1
    reached = gradstep.Trainer("auto", 100, tol=1e-3).fit(X, y)
    exactly = gradstep.Trainer("auto", reached.n_epochs, tol=1e-3).fit(X, y)
    assert exactly.stop_reason == reached.stop_reason == "tolerance" and exactly.n_epochs == reached.n_epochs
    on = trainer.fit(X, y, fit.weights, fit.bias)
    assert on.history[0] < fit.history[-1]
    separable = gradstep.Trainer("auto", 1000).fit([[0.0], [1.0]], [0, 1])
    assert separable.stop_reason == "separated" and np.isfinite(separable.weights).all()


def test_a_start_where_every_prediction_is_certain_is_left() -> None:
    X, y = np.array([[-1.0], [1.0]]), [0, 1]
    best = gradstep.fit(X, y, l2=0.1)
    far = gradstep.Trainer("auto", 1000, l2=0.1, tol=1e-9).fit(X, y, weights=[800.0])
    assert far.stop_reason == "tolerance" and np.allclose(far.weights, best.weights, rtol=0, atol=1e-7)
    for solver in SOLVERS:
        far = gradstep.fit(1e6 * X, y, l2=1.0, solver=solver, weights=[1e-3], bias=0.0)
        assert far.converged and far.gap <= 1e-12
