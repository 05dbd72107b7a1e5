"""The perceptron: the same update with a step in place of the sigmoid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradstep
from helpers import oracle
from helpers.problems import both_dtypes, in_file_order


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 4, 5])
@pytest.mark.parametrize("seed", range(10))
def test_the_perceptron_is_the_same_update_with_a_step(dtype: Any, batch_size: int | None, seed: int) -> None:
    """Small integers and powers of two: every operation is exact, and so is the comparison."""
    random = np.random.default_rng(seed)
    X, y = random.integers(-4, 5, size=(16, 3)).astype(dtype), random.integers(0, 2, 16).astype(dtype)
    start = random.integers(-2, 3, size=3).astype(dtype)
    reduction = "sum" if batch_size in (1, 5) else "mean"  # a mean of 5 would be rounded
    trainer = gradstep.Trainer(
        0.5, 4, batch_size=batch_size, reduction=reduction, activation="step", trace=True, shuffle=False
    )
    fit = trainer.fit(X, y, start, -1.0)
    updates = oracle.updates(
        X, y, start, -1.0, learning_rate=0.5, orders=in_file_order(16, 4), batch_size=batch_size,
        reduction=reduction, activation=oracle.step,
    )  # fmt: skip
    history = []
    for record, update in zip(fit.trace, updates, strict=True):
        scores = oracle.score(X[update.rows], *update.before)
        size = len(update.rows)
        np.testing.assert_array_equal(np.atleast_1d(record["z"])[:size], scores)
        np.testing.assert_array_equal(np.atleast_1d(record["y_hat"])[:size], scores >= 0)
        np.testing.assert_array_equal(record["delta_weights"], update.after.weights - update.before.weights)
        assert record["delta_bias"] == update.after.bias - update.before.bias
        np.testing.assert_array_equal(record["weights"], update.after.weights)
        assert record["bias"] == update.after.bias
        if update.rows[-1] == 15:
            history.append(float(np.mean((oracle.score(X, *update.after) >= 0) != y)))
    np.testing.assert_array_equal(fit.weights, update.after.weights)
    assert fit.bias == update.after.bias
    np.testing.assert_array_equal(fit.history, history)  # fractions misclassified, in sixteenths: exact


def test_the_perceptron_says_1_at_a_score_of_0() -> None:
    fit = gradstep.Trainer(1.0, 1, batch_size=1, activation="step", trace=True).fit([[1.0], [1.0]], [1, 0])
    assert fit.trace["y_hat"].tolist() == [1.0, 1.0]
    assert fit.trace["delta_weights"].tolist() == [[0.0], [-1.0]]  # the first prediction is right, the second wrong
    assert fit.weights.tolist() == [-1.0] and fit.bias == -1.0
    assert fit.history.tolist() == [0.5]


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_perceptron_separates_what_can_be_separated(shuffle: bool) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    score = X @ [1.0, -2.0, 0.5] + 0.25
    X, y = X[np.abs(score) > 0.5], (score > 0)[np.abs(score) > 0.5]
    # Novikoff: there are at most (‖θ‖·max‖(x, 1)‖/margin)² mistakes, and at least one in each epoch but the last.
    mistakes = (np.linalg.norm([1.0, -2.0, 0.5, 0.25]) / 0.5) ** 2 * ((X**2).sum(axis=1) + 1).max()
    seed = 5 if shuffle else None
    trainer = gradstep.Trainer(
        1.0, int(mistakes) + 1, batch_size=1, activation="step", shuffle=shuffle, seed=seed, trace=True
    )
    fit = trainer.fit(X, y)
    assert fit.history[0] > 0
    assert fit.history[-1] == 0
    done = int(np.argmax(fit.history == 0))
    assert not fit.history[done:].any()
    assert not fit.trace["delta_weights"][fit.trace["epoch"] > done].any()
