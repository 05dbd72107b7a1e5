"""Trainer: descent, epoch by epoch, exactly as the textbook loop does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers import oracle
from helpers.layouts import layouts, other_types
from helpers.problems import Problem, blobs, both_dtypes, cases, in_file_order, problems
from helpers.results import bits, parts
from helpers.tolerances import rounding_of_a_step, tolerance


@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_descent_matches_oracle(dtype: Any, reduction: str, count_case: Callable[[], None]) -> None:
    """Full batch, mini-batches with a short last one, point by point; with and without penalty."""

    @settings(max_examples=cases(250))
    @given(
        problems(dtype, largest=19, tame=True),
        st.sampled_from([None, 1, 2, 3, 8, 100]),
        st.sampled_from([0.0, 0.25]),
        st.integers(1, 4),
    )
    def check(problem: Problem, batch_size: int | None, l2: float, epochs: int) -> None:
        count_case()
        X, y, weights, bias = problem
        m = len(y)
        largest = min(batch_size or m, m)
        longest = float(np.sqrt((X.astype(float) ** 2).sum(axis=1) + 1).max())
        # The objective of a batch curves by at most the inverse of this rate. So no update moves two vectors of weights
        # further apart: rounding errors add up over the updates, but do not grow.
        rate = float(dtype(1 / (longest**2 / 4 + l2)))
        trainer = gradstep.Trainer(
            rate / largest if reduction == "sum" else rate, epochs, batch_size=batch_size, reduction=reduction, l2=l2
        )
        fit = trainer.fit(X, y, weights, bias)

        room, losses, near = 0.0, [], []
        options = {"learning_rate": trainer.learning_rate, "reduction": reduction, "l2": l2}
        orders = in_file_order(m, epochs)
        for update in oracle.updates(X, y, weights, bias, orders=orders, batch_size=batch_size, **options):
            batch = Problem(X[update.rows], y[update.rows], *update.before)
            step = trainer.learning_rate * (len(update.rows) if reduction == "sum" else 1)
            spread = rounding_of_a_step(batch, step, l2, dtype, scaled=largest == 1)
            room += float(np.hypot(np.linalg.norm(spread[0]), spread[1]))
            if update.rows[-1] == m - 1:
                whole = Problem(X, y, *update.after)
                losses.append(oracle.loss(*whole))
                # |E(θ + δ) - E(θ)| ≤ max‖(x, 1)‖·‖δ‖, as |dE_i/dz| ≤ 1.
                near.append(tolerance(whole, dtype).loss + longest * room)

        assert fit.weights.dtype == dtype
        assert fit.weights.shape == weights.shape
        assert type(fit.bias) is float
        distance = np.hypot(np.linalg.norm(fit.weights - update.after.weights), fit.bias - update.after.bias)
        assert distance <= room
        assert fit.history.dtype == np.float64
        assert fit.history.shape == (epochs,)
        assert (np.abs(fit.history - losses) <= near).all()
        assert fit.n_epochs == epochs
        assert fit.stop_reason == "epochs"
        assert fit.trace is None

    check()


def point_by_point(n: int, epochs: int, shrinkage: float, dtype: Any) -> None:
    """Weights, bias and loss of a descent with α·l2 = `shrinkage`, against the textbook's."""
    X, y = blobs(23, n)
    X = (X * (3 / np.sqrt((X**2).sum(axis=1).max()))).astype(dtype)
    y = y.astype(dtype)
    y[::5] = 0.25
    rate, m = 0.125, len(y)
    l2 = shrinkage / rate
    # ‖(x, 1)‖² ≤ 10: the objective of a row curves by at most 10/4 + l2. α times that is at most 2: no error grows.
    assert rate * 2.5 + shrinkage <= 2
    start = np.linspace(-1, 1, n).astype(dtype)
    fit = gradstep.Trainer(rate, epochs, batch_size=1, l2=l2).fit(X, y, start, 0.5)

    room = 0.0
    for update in oracle.updates(
        X, y, start, 0.5, orders=in_file_order(m, epochs), batch_size=1, learning_rate=rate, l2=l2
    ):
        batch = Problem(X[update.rows], y[update.rows], *update.before)
        spread = rounding_of_a_step(batch, rate, l2, dtype, scaled=True)
        room += float(np.hypot(np.linalg.norm(spread[0]), spread[1]))
    distance = np.hypot(np.linalg.norm(fit.weights - update.after.weights), fit.bias - update.after.bias)
    assert distance <= room, n
    whole = Problem(X, y, *update.after)
    assert abs(fit.history[-1] - oracle.loss(*whole)) <= tolerance(whole, dtype).loss + np.sqrt(10) * room


@both_dtypes
@pytest.mark.parametrize("shrinkage", [0.0, 0.03125, 0.5, 1.0, 1.5])
def test_point_by_point_whatever_the_number_of_columns(dtype: Any, shrinkage: float) -> None:
    """Few columns are summed in another way than many. With l2 = 1/α an update forgets the weights; with a larger l2 it
    changes their signs."""
    for n in range(1, 41):
        point_by_point(n, 2, shrinkage, dtype)


@both_dtypes
@pytest.mark.parametrize("shrinkage", [1e-9, 0.03125, 0.25, 0.96875])
def test_point_by_point_however_long_a_penalty_shrinks_the_weights(dtype: Any, shrinkage: float) -> None:
    """Over a thousand updates, the penalty's factor would fall to 1e-13 and below if nothing put it back to 1."""
    for n in (2, 28, 50):
        point_by_point(n, 50, shrinkage, dtype)


def test_defaults_start_at_zero() -> None:
    X, y = blobs(30, 3)
    got = gradstep.Trainer().fit(X, y)
    assert bits(parts(got)[:4]) == bits(parts(gradstep.Trainer(0.1, 100).fit(X, y, np.zeros(3), 0.0))[:4])
    assert got.n_epochs == 100
    # The gradient at zero is the mean of (1/2 - y)·(x, 1): the first step, by hand.
    first = gradstep.Trainer(0.5, 1).fit([[2.0], [4.0]], [1, 1])
    assert first.weights.tolist() == [0.75] and first.bias == 0.25
    first = gradstep.Trainer(0.5, 1, reduction="sum").fit([[2.0], [4.0]], [1, 1])
    assert first.weights.tolist() == [1.5] and first.bias == 0.5


@both_dtypes
def test_one_epoch_of_the_full_batch_is_one_gradient_step(dtype: Any) -> None:
    X, y = blobs(37, 5, dtype)
    weights, bias = np.linspace(-1, 1, 5).astype(dtype), 0.25
    room = rounding_of_a_step(Problem(X, y, weights, bias), 0.5, 0.0, dtype)
    for reduction, rate in (("mean", 0.5), ("sum", 0.5 / 37)):
        fit = gradstep.Trainer(rate, 1, reduction=reduction).fit(X, y, weights, bias)
        want = gradstep.gradient_step(X, y, weights, bias, rate, reduction=reduction)
        assert (np.abs(fit.weights - want.weights) <= 2 * room[0]).all()
        assert abs(fit.bias - want.bias) <= 2 * room[1]


def test_a_batch_size_beyond_the_data_is_the_full_batch() -> None:
    X, y = blobs(20, 3)
    full = gradstep.Trainer(epochs=5).fit(X, y)
    for batch_size in (20, 21, 10**6):
        assert bits(parts(gradstep.Trainer(epochs=5, batch_size=batch_size).fit(X, y))[:4]) == bits(parts(full)[:4])


@pytest.mark.parametrize("batch_size", [None, 1, 4, 7])
def test_sum_with_a_over_k_is_mean_with_a(batch_size: int | None) -> None:
    """Also with l2: "sum" multiplies the penalty of a batch of k rows by k, too. 28 rows leave no short batch."""
    X, y = blobs(28, 4)
    k = batch_size or 28
    mean = gradstep.Trainer(0.25, 20, batch_size=batch_size, l2=0.125).fit(X, y)
    total = gradstep.Trainer(0.25 / k, 20, batch_size=batch_size, l2=0.125, reduction="sum").fit(X, y)
    # At most 28 · 20 updates, each of at most 0.25·(max|x| + l2·|w|) < 2, with an error of some 40·eps of it. No error
    # grows.
    room = 28 * 20 * 2 * 40 * np.finfo(np.float64).eps
    assert np.abs(mean.weights - total.weights).max() <= room
    assert abs(mean.bias - total.bias) <= room
    assert np.abs(mean.history - total.history).max() <= room * np.abs(X).max() * 4


def test_mean_of_a_short_batch_divides_by_its_own_size() -> None:
    # From zero, the first batch of two has residuals +1/2 and -1/2 on equal points and moves nothing at all;
    # the third point, alone, has residual -1/2.
    fit = gradstep.Trainer(1.0, 1, batch_size=2).fit([[1.0], [1.0], [1.0]], [0, 1, 1])
    assert fit.weights.tolist() == [0.5] and fit.bias == 0.5


def test_the_bias_is_never_penalised() -> None:
    # The one column is all zeros: only the bias learns, and it reaches the log-odds ln(3/1) whatever the penalty.
    fit = gradstep.Trainer(2.0, 500, l2=0.25).fit(np.zeros((4, 1)), [1, 1, 1, 0], [3.0])
    assert abs(fit.bias - np.log(3)) < 1e-12  # the error shrinks by 1 - 2·3/16 in each epoch
    # … while the weight shrinks by 1 - α·l2 = 1/2 exactly each epoch, to zero.
    shrunk = gradstep.Trainer(2.0, 10, l2=0.25).fit(np.zeros((4, 1)), [1, 1, 1, 0], [3.0])
    assert shrunk.weights.tolist() == [3.0 / 1024]


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 16])
def test_same_bits_for_every_layout_type_and_thread_count(dtype: Any, batch_size: int | None, tmp_path: Path) -> None:
    X, y = blobs(53, 7, dtype)
    trainer = gradstep.Trainer(0.5, 3, batch_size=batch_size, l2=0.01)
    want = bits(parts(trainer.fit(X, y))[:4])
    for name, view in layouts(X, tmp_path):
        assert bits(parts(trainer.fit(view, y))[:4]) == want, name
    for labels in (y.astype(bool), y.astype(np.int8), y.astype(int).tolist(), np.repeat(y, 2)[::2]):
        assert bits(parts(trainer.fit(X, labels))[:4]) == want
    small = gradstep.Trainer(1e-22, 2, batch_size=batch_size)  # columns that span all integers of a type are large
    for name, other, same in other_types(53, 7):
        assert bits(parts(small.fit(other, y))[:4]) == bits(parts(small.fit(same, y))[:4]), name


def test_inputs_are_not_changed() -> None:
    X, y = blobs(30, 3)
    weights = np.array([1.0, 2.0, 3.0])
    before = [values.tobytes() for values in (X, y, weights)]
    for batch_size in (None, 1, 7):
        fit = gradstep.Trainer(epochs=3, batch_size=batch_size).fit(X, y, weights, 1.0)
        assert not np.shares_memory(fit.weights, weights)
        assert [values.tobytes() for values in (X, y, weights)] == before
    for values in (X, y, weights):
        values.flags.writeable = False
    gradstep.Trainer(epochs=3).fit(X, y, weights)
