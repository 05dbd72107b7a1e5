"""The trace: every update that a Trainer made, as the textbook loop makes it."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import gradstep
from gradstep import _descent
from helpers import oracle
from helpers.problems import Problem, blobs, both_dtypes
from helpers.results import bits, parts
from helpers.tolerances import rounding_of_a_step, tolerance

FIELDS = ("epoch", "row", "y", "z", "y_hat", "error", "residual", "delta_weights", "delta_bias", "weights", "bias")


@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 4, 13, 50])
def test_trace_is_the_oracles_replay(dtype: Any, reduction: str, shuffle: bool, batch_size: int | None) -> None:
    """Every field of every record is that of a textbook step, from the weights that the record before has."""
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
        of_rows = ("row", "y", "z", "y_hat", "residual")
        shape = rows_shape if name in of_rows else (3,) if name in ("delta_weights", "weights") else ()
        assert trace[name].dtype == kind, name
        assert trace[name].shape[1:] == shape, name

    state, seen = oracle.Parameters(start, 0.5), []
    for number, record in enumerate(trace):
        assert record["epoch"] == number // -(-m // k)
        rows, labels, z, y_hat, residual = (np.atleast_1d(record[name]) for name in of_rows)
        size = min(k, m - number % -(-m // k) * k)
        assert (rows[size:] == -1).all() and np.isnan([labels[size:], z[size:], y_hat[size:], residual[size:]]).all()
        rows, labels, z, y_hat, residual = (each[:size] for each in (rows, labels, z, y_hat, residual))
        seen.extend(rows.tolist())

        batch = Problem(X[rows], y[rows], *state)
        total = size if reduction == "sum" else 1
        near = tolerance(batch, dtype)
        dz = (3 + 2) * eps * (np.abs(batch.X) @ np.abs(state.weights) + abs(state.bias))
        assert (np.abs(z - oracle.score(batch.X, *state)) <= dz).all()
        assert (np.abs(y_hat - oracle.sigmoid(z)) <= 8 * eps * y_hat).all()
        assert labels.tolist() == y[rows].tolist()
        # ŷ and 1 - ŷ each have a relative error of 8 eps. For a label of 1/4 the residual is a difference of the two.
        assert (np.abs(residual - (labels - oracle.sigmoid(z))) <= 8 * eps).all()
        assert abs(record["error"] - oracle.loss(*batch)) <= near.loss

        want = oracle.gradient_step(*batch, rate, reduction, l2=l2)
        room = rounding_of_a_step(batch, rate * total, l2, dtype, scaled=k == 1)
        assert (np.abs(record["weights"] - want.weights) <= room[0]).all()
        assert abs(record["bias"] - want.bias) <= room[1]
        # Δw is compared by itself, without the rounding of w + Δw: w may be a thousand times larger than Δw.
        delta = rate * total * (oracle.gradient(*batch).weights + l2 * state.weights)
        size_of_delta = rate * total * (np.abs(oracle.gradient(*batch).weights) + l2 * np.abs(state.weights))
        assert (np.abs(record["delta_weights"] + delta) <= rate * total * near.weights + 6 * eps * size_of_delta).all()
        delta_b = rate * total * oracle.gradient(*batch).bias
        assert abs(record["delta_bias"] + delta_b) <= rate * total * near.bias + 6 * eps * abs(delta_b)
        # w after = w before + Δw, in one rounding (or one more, if Δw was rounded on its own).
        after = state.weights.astype(float) + record["delta_weights"]
        rounding = eps * (np.abs(after) + np.abs(delta))
        if k == 1:
            # The weights are a rounded scale times rounded values, and this product is rounded, before and after the
            # update. The values change by α/scale·residual·x, with three roundings. Δw, rounded as well, is that
            # change of the weights minus α·l2·w.
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
    # The changes add up to the whole change of the weights, up to a rounding of the weights for each.
    way = trace["delta_weights"].sum(axis=0, dtype=float)
    largest = max(np.abs(trace["weights"]).max(), np.abs(start).max())
    assert np.abs(start.astype(float) + way - fit.weights).max() <= 2 * len(trace) * eps * largest
    largest = max(np.abs(trace["bias"]).max(), 0.5)
    assert abs(0.5 + trace["delta_bias"].sum(dtype=float) - fit.bias) <= 2 * len(trace) * eps * largest


WEIGHTS = [f"weights_{j}" for j in range(3)]
FLAT = {
    1: [*FIELDS[:7], *(f"delta_{name}" for name in WEIGHTS), "delta_bias", *WEIGHTS, "bias"],
    2: [
        *("epoch", "row_0", "row_1", "y_0", "y_1", "z_0", "z_1", "y_hat_0", "y_hat_1", "error"),
        *("residual_0", "residual_1"),
        *(f"delta_{name}" for name in WEIGHTS),
        *("delta_bias", *WEIGHTS, "bias"),
    ],
}


@both_dtypes
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("missing", [[], ["pandas"], ["pandas", "polars"]])
def test_the_frame_of_a_trace_has_a_column_for_each_number(
    dtype: Any, batch_size: int, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = blobs(5, 3, dtype)
    descent = gradstep.Trainer(0.5, 2, batch_size=batch_size, trace=True).fit(X, y)
    for package in missing:
        monkeypatch.setitem(sys.modules, package, None)  # importing the package fails now
    frame = descent.trace_frame()
    kind = {0: "pandas", 1: "polars", 2: "numpy"}[len(missing)]
    assert type(frame).__module__.split(".")[0] == kind
    names = list(frame.dtype.names if kind == "numpy" else frame.columns)
    assert names == FLAT[batch_size] and len(frame) == len(descent.trace)
    for name in names:
        field, _, number = name.rpartition("_") if name[-1].isdigit() else (name, "", "")
        want = descent.trace[field][:, int(number)] if number else descent.trace[field]
        got = np.asarray(frame[name])
        assert got.dtype == want.dtype and np.array_equal(got, want, equal_nan=want.dtype.kind == "f"), name


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 4])
@pytest.mark.parametrize("sparse", [False, True])
def test_residuals_keep_their_digits_as_the_change_does(dtype: Any, batch_size: int | None, sparse: bool) -> None:
    """Even if ŷ rounds to 0 or 1, y - ŷ is σ(-|z|) to all digits, and α (y - ŷ) x is the change of the weights."""
    z = np.array([40.0, -40.0, 60.0, -60.0], dtype)
    X, y = np.pad(z[:, None], ((0, 0), (0, 9 * sparse))), [1, 0, 1, 0]
    start, eps = np.eye(X.shape[1])[0], float(np.finfo(dtype).eps)
    trainer = gradstep.Trainer(0.5, 1, batch_size=batch_size, trace=True)
    trace = trainer.fit(scipy.sparse.csr_array(X) if sparse else X, y, start.astype(dtype)).trace
    residual = trace["residual"].ravel().astype(float)
    assert trace["z"].ravel().tolist() == z.tolist() and trace["y"].ravel().tolist() == y
    np.testing.assert_allclose(residual, np.exp(-np.abs(z, dtype=float)) * [1, -1, 1, -1], rtol=8 * eps)
    change = 0.5 * (residual * z).reshape(len(trace), -1).mean(axis=1)
    np.testing.assert_allclose(trace["delta_weights"][:, 0], change, rtol=8 * eps)
    np.testing.assert_allclose(trace["delta_bias"], 0.5 * residual.reshape(len(trace), -1).mean(axis=1), rtol=8 * eps)
    explained = gradstep.explain(X[2], 1, start.astype(dtype), 0.0, learning_rate=0.5)
    if batch_size != 1:  # then all rows are of the first update, from the start
        assert residual[2] == explained.residual


@pytest.mark.parametrize("batch_size", [None, 1])
def test_residuals_of_a_perceptron_are_whole(batch_size: int | None) -> None:
    trainer = gradstep.Trainer(1.0, 1, batch_size=batch_size, activation="step", trace=True)
    trace = trainer.fit([[1.0], [1.0], [-3.0], [2.0]], [1, 0, 1, 0], sample_weight=[2, 2, 2, 2]).trace
    want = {None: [0.0, -1.0, 0.0, -1.0], 1: [0.0, -1.0, 0.0, 0.0]}[batch_size]
    assert trace["residual"].ravel().tolist() == want and not np.signbit(trace["residual"].ravel()[0])


def test_the_rise_of_a_loss_is_its_first_epoch() -> None:
    X, y = np.array([[0.5], [1.0], [1.5], [2.0], [2.5], [3.0]]), [0, 0, 1, 0, 1, 1]
    wild = gradstep.Trainer(10.0, 8).fit(X, y)
    assert wild.start_loss == pytest.approx(np.log(2), rel=1e-15) and wild.rose_in == 0
    later = gradstep.Trainer(10.0, 8).fit(X, y, wild.path.weights[0], wild.path.bias[0])
    assert later.start_loss == wild.history[0] and later.rose_in == 0
    late = gradstep.Trainer(10.0, 8).fit(X, y, wild.path.weights[2], wild.path.bias[2])
    assert late.start_loss > late.history[0] and late.rose_in == 1 == np.flatnonzero(np.diff(late.history) > 0)[0] + 1
    assert gradstep.Trainer(0.1, 500).fit(X, y).rose_in is None
    wild = dataclasses.replace(wild, start_loss=1.0)
    for history, rise in [
        ([1.0, 0.5, 0.25, 0.5, 0.75], 3),
        ([1.0, 0.5, 0.5 * (1 + 1e-7), 0.5], None),  # so small a rise may be rounding
        ([1.0, 0.5, 0.5 * (1 + 2e-6), 0.5], 2),
        ([1.0, np.inf], 1),
        ([0.0, 0.0], None),
        ([0.0, 1e-300], 1),
        ([1.0], None),
        ([1.0 + 1e-7, 0.5], None),
        ([1.0 + 2e-6, 0.5], 0),
        ([np.inf], 0),
        ([], None),
    ]:
        assert dataclasses.replace(wild, history=np.array(history)).rose_in == rise
    assert dataclasses.replace(wild, trainer=gradstep.Trainer(activation="step")).rose_in is None


def test_tracing_changes_nothing() -> None:
    X, y = blobs(29, 3)
    for options in ({}, {"batch_size": 1}, {"batch_size": 8, "shuffle": True, "seed": 1}, {"activation": "step"}):
        plain = gradstep.Trainer(0.5, 4, **options).fit(X, y)
        assert bits(parts(gradstep.Trainer(0.5, 4, trace=True, **options).fit(X, y))[:4]) == bits(parts(plain)[:4])


@pytest.mark.parametrize(
    ("options", "updates"),
    [
        ({"epochs": 10**15}, 10**15),  # nothing can end the descent, and no machine has the memory
        ({"epochs": 10**18}, 10**18),
        ({"epochs": 2**64 - 1, "batch_size": 1}, 2 * (2**64 - 1)),
    ],
)
def test_a_trace_that_cannot_fit_is_refused_at_once(options: dict[str, Any], updates: int) -> None:
    X, y = [[1.0], [2.0]], [0, 1]
    # The bytes of an update: epoch and error, two numbers for the weight, two for the bias, and five for each row.
    size = updates * (16 + 32 + 40 * options.get("batch_size", 2)) / 2**30
    words = f"trace must take at most 1 GiB, got {updates} updates that take {size:.4g} GiB: "
    with pytest.raises(MemoryError, match="^" + re.escape(words)):
        gradstep.Trainer(trace=True, **options).fit(X, y)


@both_dtypes
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_the_largest_trace_is_1_gib(
    dtype: Any, sparse: bool, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace of exactly as many bytes as the limit is kept; with a limit of one byte less it is refused."""
    X, y = blobs(9, 3, dtype)
    given = scipy.sparse.csr_array(X) if sparse else X
    trainer = gradstep.Trainer(0.1, 5, batch_size=batch_size, trace=True)
    trace = trainer.fit(given, y).trace
    size = len(trace) * sum(trace[name][0].nbytes for name in FIELDS)
    monkeypatch.setattr(_descent, "LARGEST_RECORD", size)
    assert len(trainer.fit(given, y).trace) == len(trace)
    monkeypatch.setattr(_descent, "LARGEST_RECORD", size - 1)
    with pytest.raises(MemoryError, match=rf"^trace must take at most .*, got {len(trace)} updates that take .* GiB: "):
        trainer.fit(given, y)
    stopped = trainer.fit(given, y, callback=lambda *seen: True)
    assert len(stopped.trace) == len(trace) // 5, "a callback may end it before it is large"


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
    # With a tolerance or a callback, which may stop the descent in time, such a trace is not refused.
    stopped = gradstep.Trainer(epochs=10**15, trace=True).fit(X, y, callback=first_only)
    assert (stopped.stop_reason, len(stopped.trace)) == ("callback", 1)
    stopped = gradstep.Trainer(epochs=10**15, trace=True, tol=10.0).fit(X, y)
    assert (stopped.stop_reason, len(stopped.trace)) == ("tolerance", 1)
