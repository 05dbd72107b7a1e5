"""Trainer: descent, epoch by epoch, exactly as the textbook loop does it."""

from __future__ import annotations

import copy
import csv
import inspect
import json
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
import oracle
from problems import DTYPES, Problem, bits, cases, layouts, other_types, problems, rounding_of_a_step, tolerance

Array = npt.NDArray[Any]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def blobs(m: int, n: int, dtype: Any = np.float64, seed: int = 0) -> tuple[Array, Array]:
    """Two overlapping clouds of points, in no order."""
    random = np.random.default_rng([m, n, seed])
    y = random.integers(0, 2, m)
    return (random.normal(size=(m, n)) + y[:, None] - 0.5).astype(dtype), y.astype(dtype)


def in_file_order(m: int, epochs: int) -> list[range]:
    return [range(m)] * epochs


# --- parity with the textbook loop ------------------------------------------------------------------------------------


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
        # No batch's objective curves more than this, so with α below its inverse no update spreads two states
        # further apart: rounding errors add up over the updates and never grow.
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
    # ‖(x, 1)‖² ≤ 10: no step is steeper than 10/4 + l2, and α times that is at most 2, so that no error grows.
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
    """Few columns and many are summed differently; a penalty of 1/α forgets all, a larger one changes the signs."""
    for n in range(1, 41):
        point_by_point(n, 2, shrinkage, dtype)


@both_dtypes
@pytest.mark.parametrize("shrinkage", [1e-9, 0.03125, 0.25, 0.96875])
def test_point_by_point_however_long_a_penalty_shrinks_the_weights(dtype: Any, shrinkage: float) -> None:
    """Over a thousand updates: a factor that goes down to 1e-13 and further if nothing puts it back to 1."""
    for n in (2, 28, 50):
        point_by_point(n, 50, shrinkage, dtype)


def test_defaults_start_at_zero() -> None:
    X, y = blobs(30, 3)
    got = gradstep.Trainer().fit(X, y)
    assert bits(got[:4]) == bits(gradstep.Trainer(0.1, 100).fit(X, y, np.zeros(3), 0.0)[:4])
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
        assert bits(gradstep.Trainer(epochs=5, batch_size=batch_size).fit(X, y)[:4]) == bits(full[:4])


@pytest.mark.parametrize("batch_size", [None, 1, 4, 7])
def test_sum_with_a_over_k_is_mean_with_a(batch_size: int | None) -> None:
    """l2 included: "sum" multiplies the penalty of a batch of k rows by k as well. 28 rows leave no short batch."""
    X, y = blobs(28, 4)
    k = batch_size or 28
    mean = gradstep.Trainer(0.25, 20, batch_size=batch_size, l2=0.125).fit(X, y)
    total = gradstep.Trainer(0.25 / k, 20, batch_size=batch_size, l2=0.125, reduction="sum").fit(X, y)
    # Fewer than 28 · 20 updates of at most 0.25·(max|x| + l2·|w|) < 2, each off by some 40·eps of that, none grows.
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
    assert abs(fit.bias - np.log(3)) < 1e-12  # contraction by 1 - 2·3/16 an epoch, to the last bits
    # … while the weight shrinks by 1 - α·l2 = 1/2 exactly each epoch, to zero.
    shrunk = gradstep.Trainer(2.0, 10, l2=0.25).fit(np.zeros((4, 1)), [1, 1, 1, 0], [3.0])
    assert shrunk.weights.tolist() == [3.0 / 1024]


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 16])
def test_same_bits_for_every_layout_type_and_thread_count(dtype: Any, batch_size: int | None, tmp_path: Path) -> None:
    X, y = blobs(53, 7, dtype)
    trainer = gradstep.Trainer(0.5, 3, batch_size=batch_size, l2=0.01)
    want = bits(trainer.fit(X, y)[:4])
    for name, view in layouts(X, tmp_path):
        assert bits(trainer.fit(view, y)[:4]) == want, name
    for labels in (y.astype(bool), y.astype(np.int8), y.astype(int).tolist(), np.repeat(y, 2)[::2]):
        assert bits(trainer.fit(X, labels)[:4]) == want
    small = gradstep.Trainer(1e-22, 2, batch_size=batch_size)  # whole ranges of integers are large points
    for name, other, same in other_types(53, 7):
        assert bits(small.fit(other, y)[:4]) == bits(small.fit(same, y)[:4]), name


@pytest.mark.parametrize("batch_size", [None, 1, 5000])
def test_same_bits_on_any_number_of_threads(batch_size: int | None) -> None:
    X, y = blobs(40_001, 3)
    fits = [gradstep.Trainer(0.5, 2, batch_size=batch_size, n_threads=k).fit(X, y) for k in (1, 2, 3, 8, None)]
    for fit in fits[1:]:
        assert bits(fit[:4]) == bits(fits[0][:4])


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


# --- the trace --------------------------------------------------------------------------------------------------------

FIELDS = ("epoch", "row", "z", "y_hat", "error", "delta_weights", "delta_bias", "weights", "bias")


@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 4, 13, 50])
def test_trace_is_the_oracles_replay(dtype: Any, reduction: str, shuffle: bool, batch_size: int | None) -> None:
    """Every field of every record: one textbook step from the state that the record before it left."""
    epochs, l2, rate, start = 3, 0.125, 0.0625, np.linspace(-1, 1, 3).astype(dtype)
    X, y = blobs(13, 3, dtype)
    y[::3] = 0.25
    m, eps = len(y), float(np.finfo(dtype).eps)
    seed = 3 if shuffle else None
    options = {"batch_size": batch_size, "reduction": reduction, "l2": l2, "shuffle": shuffle, "seed": seed}
    fit = gradstep.Trainer(rate, epochs, trace=True, **options).fit(X, y, start, 0.5)
    trace, k = fit.trace, min(batch_size or m, m)

    assert trace.dtype.names == FIELDS
    assert trace.shape == (epochs * -(-m // k),)
    rows_shape = () if batch_size == 1 else (k,)
    for name in FIELDS:
        kind = np.int64 if name in ("epoch", "row") else np.float64 if name == "error" else dtype
        shape = rows_shape if name in ("row", "z", "y_hat") else (3,) if name in ("delta_weights", "weights") else ()
        assert trace[name].dtype == kind, name
        assert trace[name].shape[1:] == shape, name

    state, seen = oracle.Parameters(start, 0.5), []
    for number, record in enumerate(trace):
        assert record["epoch"] == number // -(-m // k)
        rows, z, y_hat = (np.atleast_1d(record[name]) for name in ("row", "z", "y_hat"))
        size = min(k, m - number % -(-m // k) * k)
        assert (rows[size:] == -1).all() and np.isnan(z[size:]).all() and np.isnan(y_hat[size:]).all()
        rows, z, y_hat = rows[:size], z[:size], y_hat[:size]
        seen.extend(rows.tolist())

        batch = Problem(X[rows], y[rows], *state)
        total = size if reduction == "sum" else 1
        near = tolerance(batch, dtype)
        dz = (3 + 2) * eps * (np.abs(batch.X) @ np.abs(state.weights) + abs(state.bias))
        assert (np.abs(z - oracle.score(batch.X, *state)) <= dz).all()
        assert (np.abs(y_hat - oracle.sigmoid(z)) <= 8 * eps * y_hat).all()
        assert abs(record["error"] - oracle.loss(*batch)) <= near.loss

        want = oracle.gradient_step(*batch, rate, reduction, l2=l2)
        room = rounding_of_a_step(batch, rate * total, l2, dtype, scaled=k == 1)
        assert (np.abs(record["weights"] - want.weights) <= room[0]).all()
        assert abs(record["bias"] - want.bias) <= room[1]
        # The step alone, without the rounding of the addition: w may be a thousand times larger than Δw.
        delta = rate * total * (oracle.gradient(*batch).weights + l2 * state.weights)
        size_of_delta = rate * total * (np.abs(oracle.gradient(*batch).weights) + l2 * np.abs(state.weights))
        assert (np.abs(record["delta_weights"] + delta) <= rate * total * near.weights + 6 * eps * size_of_delta).all()
        delta_b = rate * total * oracle.gradient(*batch).bias
        assert abs(record["delta_bias"] + delta_b) <= rate * total * near.bias + 6 * eps * abs(delta_b)
        # w after = w before + Δw, in one rounding (or one more, if Δw was rounded on its own).
        after = state.weights.astype(float) + record["delta_weights"]
        rounding = eps * (np.abs(after) + np.abs(delta))
        if k == 1:
            # The weights, before and after, are a rounded scale times rounded values, rounded; the values have moved by
            # α/scale·residual·x, in three roundings, while Δw, rounded as well, adds -α·l2·w to -α·residual·x.
            rounding += eps * (2 * np.abs(state.weights) + 3 * size_of_delta)
        assert (np.abs(record["weights"] - after) <= rounding).all()
        after_b = state.bias + float(record["delta_bias"])
        assert abs(record["bias"] - after_b) <= eps * (abs(after_b) + abs(delta_b))
        state = oracle.Parameters(record["weights"], float(record["bias"]))

    for epoch in range(epochs):
        order = seen[epoch * m : (epoch + 1) * m]
        assert sorted(order) == list(range(m))
        assert shuffle or order == list(range(m))
    np.testing.assert_array_equal(fit.weights, trace["weights"][-1])
    assert fit.bias == trace["bias"][-1]
    # The deltas add up to the whole way, one rounding of the weights for each.
    way = trace["delta_weights"].sum(axis=0, dtype=float)
    largest = max(np.abs(trace["weights"]).max(), np.abs(start).max())
    assert np.abs(start.astype(float) + way - fit.weights).max() <= 2 * len(trace) * eps * largest
    largest = max(np.abs(trace["bias"]).max(), 0.5)
    assert abs(0.5 + trace["delta_bias"].sum(dtype=float) - fit.bias) <= 2 * len(trace) * eps * largest


def test_tracing_changes_nothing() -> None:
    X, y = blobs(29, 3)
    for options in ({}, {"batch_size": 1}, {"batch_size": 8, "shuffle": True, "seed": 1}, {"activation": "step"}):
        plain = gradstep.Trainer(0.5, 4, **options).fit(X, y)
        assert bits(gradstep.Trainer(0.5, 4, trace=True, **options).fit(X, y)[:4]) == bits(plain[:4])


@pytest.mark.parametrize(
    ("options", "updates"),
    [
        ({"epochs": 10**15}, 10**15),  # addressable, but nothing can end it and no machine holds it
        ({"epochs": 10**18}, 10**18),
        ({"epochs": 2**64 - 1, "batch_size": 1}, 2 * (2**64 - 1)),
    ],
)
def test_a_trace_that_cannot_fit_is_refused_at_once(options: dict[str, Any], updates: int) -> None:
    X, y = [[1.0], [2.0]], [0, 1]
    with pytest.raises(MemoryError, match=rf"^trace must fit into memory, got {updates} updates to record$"):
        gradstep.Trainer(trace=True, **options).fit(X, y)


def test_a_trace_that_could_never_fit_is_refused_even_where_the_fit_may_stop_early() -> None:
    X, y = [[1.0], [2.0]], [0, 1]
    calls: list[int] = []

    def first_only(epoch: int, *_: Any) -> bool:
        calls.append(epoch)
        return True

    for tol in (0.0, 0.5):
        with pytest.raises(MemoryError, match=r"^trace must fit"):
            gradstep.Trainer(epochs=2**60, trace=True, tol=tol).fit(X, y, callback=first_only)
    assert calls == []
    # What could be addressed may stop in time: that is what the tolerance and the callback are for.
    stopped = gradstep.Trainer(epochs=10**15, trace=True).fit(X, y, callback=first_only)
    assert (stopped.stop_reason, len(stopped.trace)) == ("callback", 1)
    stopped = gradstep.Trainer(epochs=10**15, trace=True, tol=10.0).fit(X, y)
    assert (stopped.stop_reason, len(stopped.trace)) == ("tolerance", 1)


# --- history and the ways to stop -------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_history_is_the_loss_on_all_rows_after_each_epoch(dtype: Any, batch_size: int | None, l2: float) -> None:
    """… of the cross-entropy alone: the penalty is not in it."""
    X, y = blobs(30, 4, dtype)
    states: list[tuple[Array, float]] = []

    def keep(epoch: int, loss: float, weights: Array, bias: float) -> None:
        states.append((weights, bias))

    fit = gradstep.Trainer(0.5, 6, batch_size=batch_size, l2=l2).fit(X, y, callback=keep)
    assert len(states) == fit.n_epochs == len(fit.history) == 6
    for loss, (weights, bias) in zip(fit.history, states, strict=True):
        problem = Problem(X, y, weights, bias)
        assert abs(loss - oracle.loss(*problem)) <= tolerance(problem, dtype).loss


def gradient_norms(X: Array, y: Array, l2: float, **options: Any) -> list[float]:
    """The max-norm of the objective's gradient on all rows, bias included, after each epoch."""
    norms: list[float] = []

    def keep(epoch: int, loss: float, weights: Array, bias: float) -> None:
        grad = oracle.gradient(X, y, weights, bias)
        norms.append(max(float(np.abs(grad.weights + l2 * weights).max()), abs(grad.bias)))

    gradstep.Trainer(l2=l2, **options).fit(X, y, callback=keep)
    return norms


@both_dtypes
@pytest.mark.parametrize("l2", [0.0, 0.25])
@pytest.mark.parametrize(("batch_size", "reduction"), [(None, "mean"), (None, "sum"), (8, "mean")])
def test_tolerance_is_the_norm_of_the_objectives_gradient(
    dtype: Any, l2: float, batch_size: int | None, reduction: str
) -> None:
    X, y = blobs(40, 3, dtype)
    rate = 0.05 if batch_size else 0.5
    options: dict[str, Any] = {"learning_rate": rate if reduction == "mean" else rate / 40}
    options |= {"epochs": 60, "batch_size": batch_size, "reduction": reduction}
    norms = gradient_norms(X, y, l2, **options)
    stops = 0
    for epoch in (3, 10, 25):
        # Halfway between the norm of this epoch and the smallest before it, far from the rounding of either.
        earlier, now = min(norms[:epoch]), norms[epoch]
        if now > earlier * 0.99:
            continue  # mini-batches do not settle: such a tolerance would be met before
        tol = (earlier + now) / 2
        fit = gradstep.Trainer(l2=l2, tol=tol, **options).fit(X, y)
        assert fit.stop_reason == "tolerance"
        assert fit.n_epochs == epoch + 1 == len(fit.history)
        stops += 1
    assert stops >= 1
    never = gradstep.Trainer(l2=l2, tol=min(norms) * 0.99, **options).fit(X, y)
    assert never.stop_reason == "epochs" and never.n_epochs == 60


def test_tolerance_counts_the_bias_too() -> None:
    # One column of zeros: the weights' gradient is 0 throughout, and only the bias has a way to go.
    fit = gradstep.Trainer(1.0, 60, tol=1e-3).fit(np.zeros((4, 1)), [1, 1, 1, 0])
    want = gradient_norms(np.zeros((4, 1)), np.array([1, 1, 1, 0]), 0.0, learning_rate=1.0, epochs=60)
    assert fit.n_epochs == int(np.argmax(np.array(want) <= 1e-3)) + 1 > 3
    assert fit.stop_reason == "tolerance"


def test_zero_switches_the_tolerance_off() -> None:
    fit = gradstep.Trainer(1.0, 5, tol=0.0).fit([[1.0], [1.0]], [0.5, 0.5])  # the gradient is 0 from the start
    assert fit.stop_reason == "epochs" and fit.n_epochs == 5
    fit = gradstep.Trainer(1.0, 5, tol=1e-300).fit([[1.0], [1.0]], [0.5, 0.5])
    assert fit.stop_reason == "tolerance" and fit.n_epochs == 1


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_callback_sees_every_epoch(dtype: Any, batch_size: int | None) -> None:
    X, y = blobs(30, 4, dtype)
    calls: list[tuple[Any, ...]] = []

    def record(*arguments: Any) -> None:
        calls.append(arguments)

    fit = gradstep.Trainer(0.5, 6, batch_size=batch_size).fit(X, y, callback=record)
    assert [call[0] for call in calls] == list(range(6))
    for epoch, loss, weights, bias in calls:
        assert type(epoch) is int and type(loss) is float and type(bias) is float
        assert isinstance(weights, np.ndarray) and weights.dtype == dtype and weights.shape == (4,)
        assert loss == fit.history[epoch]
        shorter = gradstep.Trainer(0.5, epoch + 1, batch_size=batch_size).fit(X, y)
        assert bits((weights, bias)) == bits(shorter[:2])


@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_callback_cannot_reach_into_the_fit(batch_size: int | None) -> None:
    X, y = blobs(30, 4)
    kept: list[Array] = []

    def vandal(epoch: int, loss: float, weights: Array, bias: float) -> bool | None:
        kept.append(weights)
        weights[:] = np.nan
        return [None, False][epoch % 2]  # neither stops

    trainer = gradstep.Trainer(0.5, 6, batch_size=batch_size)
    got = trainer.fit(X, y, callback=vandal)
    assert bits(got[:4]) == bits(trainer.fit(X, y)[:4])
    assert got.stop_reason == "epochs"
    assert all(np.isnan(weights).all() for weights in kept)


@pytest.mark.parametrize("last", [0, 3])
def test_callback_stops(last: int) -> None:
    X, y = blobs(30, 4)
    fit = gradstep.Trainer(0.5, 10, trace=True).fit(X, y, callback=lambda epoch, *_: epoch == last)
    assert fit.stop_reason == "callback"
    assert fit.n_epochs == last + 1 == len(fit.history) == len(fit.trace)
    shorter = gradstep.Trainer(0.5, last + 1).fit(X, y)
    assert bits(fit[:4]) == bits(shorter[:4])


@pytest.mark.parametrize("kind", [ValueError, KeyError, KeyboardInterrupt, StopIteration, SystemExit, MemoryError])
def test_an_exception_of_the_callback_propagates_unchanged(kind: type[BaseException]) -> None:
    X, y = blobs(30, 4)
    raised = kind("from the callback")
    calls = []

    def fail(epoch: int, *_: Any) -> None:
        calls.append(epoch)
        if epoch == 2:
            raise raised

    trainer = gradstep.Trainer(0.5, 10)
    with pytest.raises(kind) as caught:
        trainer.fit(X, y, callback=fail)
    assert caught.value is raised
    assert calls == [0, 1, 2]
    assert trainer.fit(X, y).n_epochs == 10  # and the trainer is as good as before


def test_callback_may_train() -> None:
    X, y = blobs(30, 4)
    trainer = gradstep.Trainer(0.5, 3)
    inner = []
    outer = trainer.fit(X, y, callback=lambda *_: inner.append(trainer.fit(X, y)))
    assert len(inner) == 3
    for fit in inner:
        assert bits(fit[:4]) == bits(outer[:4])


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_divergence_keeps_the_last_finite_weights(dtype: Any, batch_size: int | None) -> None:
    # Each update multiplies the weights by about 1 - α·l2 = -999, until they or the loss overflow.
    X, y = np.array([[1.0], [-1.0], [2.0]], dtype), np.array([1, 0, 0], dtype)
    options: dict[str, Any] = {"l2": 1000.0, "batch_size": batch_size}
    calls: list[tuple[float, Array, float]] = []
    trainer = gradstep.Trainer(1.0, 1000, **options)
    fit = trainer.fit(X, y, [1.0], callback=lambda epoch, *rest: calls.append(rest))
    assert fit.stop_reason == "diverged"
    assert 3 <= fit.n_epochs < 1000
    assert len(fit.history) == fit.n_epochs == len(calls)
    assert np.isfinite(fit.history).all()
    assert np.isfinite(fit.weights).all() and np.isfinite(fit.bias)
    assert bits((fit.weights, fit.bias)) == bits(calls[-1][1:])
    # One epoch more is really too much: from there, a fresh fit has not one finite epoch, and stays where it was.
    beyond = gradstep.Trainer(1.0, 1, **options).fit(X, y, fit.weights, fit.bias)
    assert beyond.stop_reason == "diverged"
    assert beyond.n_epochs == 0 and beyond.history.shape == (0,) and beyond.history.dtype == np.float64
    assert bits((beyond.weights, beyond.bias)) == bits((fit.weights, fit.bias))
    # One epoch less was fine.
    before = gradstep.Trainer(1.0, fit.n_epochs, **options).fit(X, y, [1.0])
    assert before.stop_reason == "epochs" and bits(before[:3]) == bits(fit[:3])


def test_a_large_learning_rate_alone_is_no_divergence() -> None:
    """The gradient is bounded: the loss jumps about, but stays finite."""
    fit = gradstep.Trainer(1e6, 50).fit(*blobs(40, 3))
    assert fit.stop_reason == "epochs"
    assert np.isfinite(fit.history).all()


# --- the perceptron ---------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 4, 5])
@pytest.mark.parametrize("seed", range(10))
def test_the_perceptron_is_the_same_update_with_a_step(dtype: Any, batch_size: int | None, seed: int) -> None:
    """Small integers and powers of two: every operation is exact, and so is the comparison."""
    random = np.random.default_rng(seed)
    X, y = random.integers(-4, 5, size=(16, 3)).astype(dtype), random.integers(0, 2, 16).astype(dtype)
    start = random.integers(-2, 3, size=3).astype(dtype)
    reduction = "sum" if batch_size in (1, 5) else "mean"  # a mean of 5 would round
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
    np.testing.assert_array_equal(fit.history, history)  # the fraction misclassified: sixteenths, exact


def test_the_perceptron_says_1_at_a_score_of_0() -> None:
    fit = gradstep.Trainer(1.0, 1, batch_size=1, activation="step", trace=True).fit([[1.0], [1.0]], [1, 0])
    assert fit.trace["y_hat"].tolist() == [1.0, 1.0]
    assert fit.trace["delta_weights"].tolist() == [[0.0], [-1.0]]  # right, then wrong
    assert fit.weights.tolist() == [-1.0] and fit.bias == -1.0
    assert fit.history.tolist() == [0.5]


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_perceptron_separates_what_can_be_separated(shuffle: bool) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    score = X @ [1.0, -2.0, 0.5] + 0.25
    X, y = X[np.abs(score) > 0.5], (score > 0)[np.abs(score) > 0.5]
    # Novikoff: at most (‖θ‖·max‖(x, 1)‖/margin)² mistakes, and no epoch without one until it is done.
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


# --- shuffling --------------------------------------------------------------------------------------------------------

# For ten rows and two epochs. Frozen: a seed means the same order in every version.
GOLDEN_ORDERS = {
    0: [[4, 9, 2, 5, 1, 7, 6, 0, 3, 8], [4, 1, 9, 2, 7, 0, 3, 6, 5, 8]],
    42: [[8, 3, 6, 5, 4, 0, 9, 2, 1, 7], [1, 6, 4, 8, 0, 7, 2, 5, 3, 9]],
}


def splitmix64(seed: int) -> Iterator[int]:
    """Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; it starts at the seed."""
    mask, state = 2**64 - 1, seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def below(random: Iterator[int], n: int) -> int:
    """Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019: unbiased, by rejection."""
    while True:
        product = next(random) * n
        low = product % 2**64
        if low >= n or low >= (2**64 - n) % n:
            return product >> 64


def shuffled(seed: int, m: int, epochs: int) -> list[list[int]]:
    """Fisher–Yates from the last place down; each epoch goes on from the order that the one before it left."""
    random, order, orders = splitmix64(seed), list(range(m)), []
    for _ in range(epochs):
        for i in range(m - 1, 0, -1):
            j = below(random, i + 1)
            order[i], order[j] = order[j], order[i]
        orders.append(order.copy())
    return orders


def orders_of(fit: Any, m: int) -> list[list[int]]:
    rows = np.asarray(fit.trace["row"]).ravel()
    return rows[rows >= 0].reshape(-1, m).tolist()  # type: ignore[no-any-return]


def test_splitmix64_is_the_published_one() -> None:
    random = splitmix64(1234567)
    assert [next(random) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("seed", list(GOLDEN_ORDERS))
@pytest.mark.parametrize("batch_size", [1, 3, 9])
def test_frozen_shuffled_orders(seed: int, batch_size: int) -> None:
    fit = gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=seed, trace=True).fit(*blobs(10, 2))
    assert orders_of(fit, 10) == GOLDEN_ORDERS[seed]
    assert shuffled(seed, 10, 2) == GOLDEN_ORDERS[seed]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("m", [1, 2, 3, 64, 1000])
def test_shuffled_orders_are_the_documented_algorithm(seed: int, m: int) -> None:
    fit = gradstep.Trainer(epochs=3, batch_size=1, shuffle=True, seed=seed, trace=True).fit(*blobs(m, 1))
    orders = orders_of(fit, m)
    assert orders == shuffled(seed, m, 3)
    for order in orders:
        assert sorted(order) == list(range(m))


@pytest.mark.parametrize("batch_size", [1, 7])
def test_seeds(batch_size: int) -> None:
    X, y = blobs(50, 2)

    def train(seed: int | None) -> Any:
        return gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=seed, trace=True).fit(X, y)

    assert bits(train(7)[:4]) == bits(train(7)[:4])
    assert orders_of(train(7), 50) != orders_of(train(8), 50)
    first = orders_of(train(7), 50)
    assert first[0] != first[1] != list(range(50))
    trainer = gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=7, trace=True)
    assert orders_of(trainer.fit(X, y), 50) == orders_of(trainer.fit(X, y), 50) == first  # every fit starts anew
    assert orders_of(train(None), 50) != orders_of(train(None), 50)  # alike once in 50! ≈ 3e64 runs


# --- the object -------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "learning_rate": 0.25,
    "epochs": 7,
    "batch_size": 3,
    "shuffle": True,
    "seed": 12345,
    "reduction": "sum",
    "activation": "step",
    "l2": 0.0625,
    "tol": 0.001953125,
    "n_threads": 2,
    "trace": True,
}
DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.1,
    "epochs": 100,
    "batch_size": None,
    "shuffle": False,
    "seed": None,
    "reduction": "mean",
    "activation": "sigmoid",
    "l2": 0.0,
    "tol": 0.0,
    "n_threads": None,
    "trace": False,
}


@pytest.mark.parametrize(("given_", "expected"), [({}, DEFAULTS), (OPTIONS, OPTIONS)], ids=["defaults", "options"])
def test_options_are_readable(given_: dict[str, Any], expected: dict[str, Any]) -> None:
    trainer = gradstep.Trainer(**given_)
    text = repr(trainer)
    assert text.startswith("Trainer(") or text.startswith("gradstep.Trainer(")
    for name, value in expected.items():
        assert getattr(trainer, name) == value, name
        assert type(getattr(trainer, name)) is type(value), name
        shown = f"{name}={value}" if isinstance(value, str) else f"{name}={value!r}"
        assert shown in text.replace("'", "").replace('"', ""), name
    rebuilt = eval(text, {"Trainer": gradstep.Trainer, "gradstep": gradstep})
    assert repr(rebuilt) == text


@pytest.mark.parametrize("given_", [{}, OPTIONS, {"shuffle": True}, {"learning_rate": 1 / 3, "l2": 5e-324}])
def test_a_trainer_can_be_copied_and_pickled(given_: dict[str, Any]) -> None:
    trainer = gradstep.Trainer(**given_)
    copies = [copy.copy(trainer), copy.deepcopy(trainer)]
    copies += [pickle.loads(pickle.dumps(trainer, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for again in copies:
        assert type(again) is gradstep.Trainer
        assert again is not trainer
        assert repr(again) == repr(trainer)
        assert again == trainer and hash(again) == hash(trainer)
    if not trainer.shuffle or trainer.seed is not None:
        X, y = blobs(20, 2)
        assert bits(copies[-1].fit(X, y)[:4]) == bits(trainer.fit(X, y)[:4])


def test_trainers_are_equal_by_their_options() -> None:
    trainer = gradstep.Trainer(**OPTIONS)
    others: dict[str, Any] = {"reduction": "mean", "activation": "sigmoid", "trace": False, "seed": None}
    for name, value in OPTIONS.items():
        if name == "shuffle":
            continue  # not without the seed
        other = gradstep.Trainer(**{**OPTIONS, name: others[name] if name in others else value * 2})
        assert other != trainer, name
        assert hash(other) != hash(trainer), name
    assert gradstep.Trainer(shuffle=True) != gradstep.Trainer()
    assert trainer == gradstep.Trainer(**OPTIONS)
    assert gradstep.Trainer() == gradstep.Trainer(**DEFAULTS)
    zeros = gradstep.Trainer(l2=0.0), gradstep.Trainer(l2=-0.0)
    assert zeros[0] == zeros[1] and hash(zeros[0]) == hash(zeros[1])
    assert trainer != 3 and trainer != repr(trainer)
    assert {gradstep.Trainer(), gradstep.Trainer()} == {gradstep.Trainer()}
    with pytest.raises(TypeError):
        trainer < trainer  # noqa: B015


def test_signatures() -> None:
    parameters = list(inspect.signature(gradstep.Trainer).parameters.values())
    assert [parameter.name for parameter in parameters] == list(DEFAULTS)
    assert {parameter.name: parameter.default for parameter in parameters} == DEFAULTS
    keyword = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    assert keyword == list(DEFAULTS)[2:]


def test_options_take_numpys_numbers() -> None:
    X, y = blobs(20, 2)
    ours = gradstep.Trainer(
        np.float64(0.5), np.int64(4), batch_size=np.int32(3), l2=np.float64(0.25), n_threads=np.uint8(1)
    )
    theirs = gradstep.Trainer(0.5, 4, batch_size=3, l2=0.25)
    got = ours.fit(X, y, np.ones(2), np.float64(0.5))
    assert bits(got[:4]) == bits(theirs.fit(X, y, [1, 1], 0.5)[:4])


@pytest.mark.parametrize("trace", [False, True])
def test_fit_is_a_plain_named_tuple(trace: bool) -> None:
    fit = gradstep.Trainer(epochs=3, batch_size=4, trace=trace).fit(*blobs(10, 2))
    assert isinstance(fit, tuple) and isinstance(fit, gradstep.Fit)
    assert fit._fields == ("weights", "bias", "history", "n_epochs", "stop_reason", "trace")
    assert type(fit.n_epochs) is int and type(fit.bias) is float
    again = pickle.loads(pickle.dumps(fit))
    assert type(again) is gradstep.Fit
    assert bits(again[:4]) == bits(fit[:4])
    assert again.stop_reason is fit.stop_reason
    if trace:
        assert again.trace.dtype == fit.trace.dtype and again.trace.tobytes() == fit.trace.tobytes()
    else:
        assert again.trace is None


def test_other_results_pickle() -> None:
    X, y = blobs(10, 2)
    for result in (
        gradstep.gradient(X, y, [1, 2]),
        gradstep.loss_gradient(X, y, [1, 2]),
        gradstep.gradient_step(X, y, [1, 2], 0, 1),
    ):
        again = pickle.loads(pickle.dumps(result))
        assert type(again) is type(result)
        assert bits(again) == bits(result)


def test_stop_reasons_read_as_strings() -> None:
    of_a_descent = {"epochs", "tolerance", "callback", "diverged"}
    of_a_fit = {"tolerance", "uncertified", "callback", "precision", "passes", "separated"}
    of_an_estimator = {"validation"}
    assert {reason.value for reason in gradstep.StopReason} == of_a_descent | of_a_fit | of_an_estimator
    reason = gradstep.Trainer(epochs=1).fit([[1.0]], [1]).stop_reason
    assert type(reason) is gradstep.StopReason
    assert reason == "epochs" and str(reason) == "epochs" and f"{reason}" == "epochs"


# --- the rest of the process ------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (100, "batch_size=1"),
        (100, "batch_size=7"),
        (1, ""),
        (300_000, ""),
        (300_000, "batch_size=1, shuffle=True, seed=1"),
    ],
)
def test_ctrl_c_ends_a_long_fit(rows: int, options: str) -> None:
    script = textwrap.dedent(f"""
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=({rows}, 3)), random.integers(0, 2, {rows})
        trainer = gradstep.Trainer(0.01, 10**9, {options})
        print("ready", flush=True)
        try:
            trainer.fit(X, y)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)  # well inside the fit
            assert process.poll() is None
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - started < 1.0
            assert process.wait(10) == 0
        finally:
            process.kill()
            timer.cancel()


def longest_silence(work: Callable[[], Any]) -> tuple[float, float]:
    """How long `work` takes, and the longest time in it that another thread had to wait for its turn."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        while len(ticks) < 3:
            time.sleep(0.001)
        started = time.monotonic()
        work()
        ended = time.monotonic()
    finally:
        stop.set()
        thread.join()
    inside = [started, *(moment for moment in ticks if started < moment < ended), ended]
    return ended - started, float(np.diff(inside).max())


def test_other_threads_run_during_a_fit() -> None:
    X, y = blobs(2000, 3)
    epochs = 10
    while True:  # however fast the machine, the fit shall last long enough to tell
        trainer = gradstep.Trainer(0.01, epochs, batch_size=1, n_threads=1)
        whole, silence = longest_silence(partial(trainer.fit, X, y))
        if whole > 0.4:
            break
        epochs *= 2
    # With the lock held there would be one silence as long as the fit; a busy machine may still pause a thread.
    assert silence < whole / 2


def test_other_threads_run_during_a_formula() -> None:
    rows = 100_000
    while True:
        X, y = np.broadcast_to(np.linspace(-1, 1, 8), (rows, 8)), np.ones(rows, bool)
        whole, silence = longest_silence(partial(gradstep.loss_gradient, X, y, np.ones(8), n_threads=1))
        if whole > 0.4:
            break
        rows *= 2
    assert silence < whole / 2


def test_fits_side_by_side_on_one_array() -> None:
    X, y = blobs(3000, 5)
    trainer = gradstep.Trainer(0.01, 5, batch_size=1)
    want = bits(trainer.fit(X, y)[:4])
    got: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: got.append(bits(trainer.fit(X, y)[:4]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [want] * 6


# --- numbers recorded elsewhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_hundred_recorded_epochs(data_folder: Path, reduction: str, measured: Callable[[str], None]) -> None:
    """Point by point in file order, as they were recorded: one point's mean is its sum."""
    expected = json.loads((data_folder / "udacity" / "expected.json").read_text())
    points = np.loadtxt(data_folder / "udacity" / "data.csv", delimiter=",")
    got: list[tuple[int, float, Array, float]] = []
    trainer = gradstep.Trainer(learning_rate=0.01, epochs=100, batch_size=1, reduction=reduction)
    fit = trainer.fit(
        points[:, :2], points[:, 2], expected["initial_weights"], expected["initial_bias"],
        callback=lambda *call: got.append(call),
    )  # fmt: skip
    assert fit.n_epochs == len(got) == len(expected["epochs"]) == 100
    worst = 0.0
    for (epoch, loss, weights, bias), want in zip(got, expected["epochs"], strict=True):
        assert epoch == want["epoch"]
        difference = [loss - want["loss"], *(weights - want["w"]), bias - want["b"]]
        worst = max(worst, float(np.abs(difference).max()))
        accuracy = ((gradstep.predict_proba(points[:, :2], weights, bias) > 0.5) == points[:, 2]).mean()
        assert accuracy == want["accuracy"]
    measured(f"100 recorded epochs, {reduction}: weights, bias and loss within {worst:.1e} of the recorded ones")
    assert worst <= 1e-12
    # What was printed then, to the digits printed.
    for line in expected["printed"]:
        assert abs(fit.history[line["epoch"]] - float(line["loss"])) <= 1e-12


def test_recorded_epochs_without_a_bias(data_folder: Path) -> None:
    """Full batch, summed gradient, and no bias: a bias of 0 in every step, or points mirrored to make it stay 0."""
    expected = json.loads((data_folder / "udacity" / "expected_admissions.json").read_text())["all_rows"]
    with open(data_folder / "udacity" / "student_data.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ranks = [[float(int(float(row["rank"])) == rank) for rank in (1, 2, 3, 4)] for row in rows]
    X = np.column_stack([[float(r["gre"]) / 800 for r in rows], [float(r["gpa"]) / 4 for r in rows], ranks])
    y = np.array([float(row["admit"]) for row in rows])
    assert X.shape == (expected["n"], 6)
    rate, epochs = 0.0001, expected["printed"][-1]["epoch"] + 1

    weights, recorded = np.array(expected["initial"]), {line["epoch"]: line for line in expected["printed"]}
    for epoch in range(epochs):
        weights = gradstep.gradient_step(X, y, weights, 0.0, rate, reduction="sum").weights
        if epoch in recorded:
            assert np.abs(weights - recorded[epoch]["w"]).max() <= 1e-12
            assert abs(gradstep.loss(X, y, weights) - recorded[epoch]["loss"]) <= 1e-12

    # (-x, 1 - y) has the gradient of (x, y) in the weights and the opposite one in the bias: twice the step, no bias.
    seen: dict[int, tuple[float, Array, float]] = {}
    gradstep.Trainer(rate / 2, epochs, reduction="sum").fit(
        np.vstack([X, -X]), np.concatenate([y, 1 - y]), expected["initial"],
        callback=lambda epoch, *rest: seen.update({epoch: rest}),
    )  # fmt: skip
    for epoch, line in recorded.items():
        loss, weights, bias = seen[epoch]
        assert np.abs(weights - line["w"]).max() <= 1e-12
        assert abs(loss - line["loss"]) <= 1e-12
        assert abs(bias) <= 1e-12
