"""Descent on CSR and CSC gives what descent on the dense matrix gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import gradstep
from helpers import oracle
from helpers.matrices import labelled, text_like
from helpers.problems import Problem, both_dtypes
from helpers.results import bits, parts
from helpers.tolerances import rounding_of_a_step, tolerance


@pytest.mark.parametrize("batch_size", [None, 1, 7, 200])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_tracing_changes_nothing(batch_size: int | None, l2: float) -> None:
    problem = labelled(text_like(60, 400))
    want = gradstep.Trainer(0.25, 2, batch_size=batch_size, l2=l2).fit(*problem)
    got = gradstep.Trainer(0.25, 2, batch_size=batch_size, l2=l2, trace=True).fit(*problem)
    assert bits(parts(got)[:4]) == bits(parts(want)[:4])
    assert np.array_equal(got.trace["weights"][-1], got.weights)


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 3, 40])
@pytest.mark.parametrize("l2", [0.0, 0.25])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_descent_matches_oracle(dtype: Any, batch_size: int | None, l2: float, reduction: str) -> None:
    """X has so many columns that small batches store fewer numbers than there are columns, and large batches more."""
    X, y, weights, bias = labelled(text_like(50, 300, dtype), dtype)
    dense, m = X.toarray(), len(y)
    longest = float(np.sqrt((dense.astype(float) ** 2).sum(axis=1) + 1).max())
    rate = float(dtype(1 / (longest**2 / 4 + l2)))  # as for dense matrices: no update spreads two states apart
    largest = min(batch_size or m, m)
    trainer = gradstep.Trainer(
        rate / largest if reduction == "sum" else rate, 3, batch_size=batch_size, reduction=reduction, l2=l2, trace=True
    )
    fit = trainer.fit(X, y, weights, bias)
    room, losses, near = 0.0, [], []
    options = {"learning_rate": trainer.learning_rate, "reduction": reduction, "l2": l2}
    steps = oracle.updates(dense, y, weights, bias, orders=[range(m)] * 3, batch_size=batch_size, **options)
    for record, update in zip(fit.trace, steps, strict=True):
        batch = Problem(dense[update.rows], y[update.rows], *update.before)
        step = trainer.learning_rate * (len(update.rows) if reduction == "sum" else 1)
        spread = rounding_of_a_step(batch, step, l2, dtype)
        room += float(np.hypot(np.linalg.norm(spread[0]), spread[1]))
        rows = np.atleast_1d(record["row"])
        assert rows[rows >= 0].tolist() == list(update.rows)
        # Twice the rounding: the penalty's factor, which is kept apart from the weights, rounds once more.
        assert np.linalg.norm(record["weights"] - update.after.weights) <= 2 * room
        change = record["delta_weights"] - (update.after.weights - update.before.weights)
        assert np.linalg.norm(change) <= 4 * room
        z = dense[update.rows].astype(float) @ update.before.weights + update.before.bias
        assert (np.abs(np.atleast_1d(record["z"])[: len(rows[rows >= 0])] - z) <= 4 * longest * room).all()
        if update.rows[-1] == m - 1:
            whole = Problem(dense, y, *update.after)
            losses.append(oracle.loss(*whole))
            near.append(tolerance(whole, dtype).loss + 2 * longest * room)
    distance = np.hypot(np.linalg.norm(fit.weights - update.after.weights), fit.bias - update.after.bias)
    assert distance <= 2 * room
    assert (np.abs(fit.history - losses) <= near).all()


@pytest.mark.parametrize("l2", [0.0, 1.0, 3.9, 4.0, 5.0])
def test_a_strong_penalty(l2: float) -> None:
    """The penalty's factor of an update, 1 - α·l2, is one, below one, nearly zero, zero, or negative."""
    problem = labelled(text_like(40, 500))
    sparse = gradstep.Trainer(0.25, 5, batch_size=1, l2=l2).fit(*problem)
    dense = gradstep.Trainer(0.25, 5, batch_size=1, l2=l2).fit(problem.X.toarray(), *problem[1:])
    # 200 updates, in each a few roundings of weights and scores of a few units.
    assert np.abs(sparse.weights - dense.weights).max() <= 200 * 64 * np.finfo(np.float64).eps
    assert np.abs(sparse.history - dense.history).max() <= 200 * 64 * np.finfo(np.float64).eps


@pytest.mark.parametrize("batch_size", [None, 1, 5])
def test_the_perceptron(batch_size: int | None) -> None:
    """Small integers: every sum is exact, and sparse and dense have the same weights to the last bit."""
    X = np.rint(text_like(40, 500).toarray() * 2)
    y = (X @ np.arange(500) >= 0).astype(float)
    options = {"activation": "step", "reduction": "sum", "batch_size": batch_size}
    sparse = gradstep.Trainer(1.0, 4, **options).fit(scipy.sparse.csr_array(X), y)
    dense = gradstep.Trainer(1.0, 4, **options).fit(X, y)
    assert bits(parts(sparse)[:4]) == bits(parts(dense)[:4])


def test_weights_are_repetitions() -> None:
    X, y, weights, bias = labelled(text_like(200, 50))
    times = np.arange(200) % 4
    repeated = Problem(X.tocsr()[np.repeat(np.arange(200), times)], np.repeat(y, times), weights, bias)
    got, want = gradstep.loss_gradient(X, y, weights, bias, sample_weight=times), gradstep.loss_gradient(*repeated)
    near = tolerance(repeated._replace(X=repeated.X.toarray()), np.float64)
    assert abs(got.loss - want.loss) <= 2 * near.loss
    assert (np.abs(got.weights - want.weights) <= 2 * near.weights).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
@pytest.mark.parametrize("format", ["csr", "csc"])
def test_trainer_names_what_is_not_finite(value: float, batch_size: int | None, format: str) -> None:
    X = np.zeros((5, 300))
    X[:, ::100] = 1.0
    X[3, 200] = value
    X = scipy.sparse.csr_array(X).asformat(format)
    with pytest.raises(ValueError, match=r"X must be finite, got .* at row 3, column 200"):
        gradstep.Trainer(0.1, 2, batch_size=batch_size).fit(X, [0, 1, 0, 1, 1])
