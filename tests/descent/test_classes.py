"""Trainer with three classes or more: softmax regression, update by update as the textbook loop does it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import gradstep
from gradstep import _descent
from helpers import oracle
from helpers.layouts import layouts
from helpers.problems import Array, ClassProblem, both_dtypes, cases, in_file_order, ordinary_class_problem
from helpers.results import bits, parts
from helpers.tolerances import class_tolerance, rounding_of_a_step

SIZES = [None, 1, 3, 8]


def problem(m: int, n: int, classes: int, dtype: Any = np.float64, seed: int = 0) -> ClassProblem:
    """An ordinary problem in which every class has a row, and weights of about 1."""
    X, y, weights, biases = ordinary_class_problem(m, n, classes, dtype, seed)
    y[:classes] = np.arange(classes)
    return ClassProblem(X, y, weights, biases)


def farthest(distance: oracle.Parameters | tuple[Array, Array]) -> float:
    return float(np.hypot(*(np.linalg.norm(part) for part in distance)))


# --- against the textbook ---------------------------------------------------------------------------------------------
@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_descent_matches_oracle(dtype: Any, reduction: str, count_case: Callable[[], None]) -> None:
    """Full batch, mini-batches with a short last one, point by point; with and without penalty."""

    @settings(max_examples=cases(120))
    @given(
        st.tuples(st.integers(0, 12), st.integers(1, 35), st.integers(3, 19), st.integers(0, 2**32 - 1)),
        st.sampled_from([None, 1, 2, 3, 8, 100]),
        st.sampled_from([0.0, 0.25]),
        st.integers(1, 3),
        st.booleans(),
    )
    def check(
        drawn: tuple[int, int, int, int], batch_size: int | None, l2: float, epochs: int, is_sparse: bool
    ) -> None:
        count_case()
        more, n, classes, seed = drawn
        X, y, weights, biases = problem(classes + more, n, classes, dtype, seed)
        if is_sparse:
            X[np.random.default_rng(seed).random(X.shape) < 0.7] = 0
        m, longest = len(y), float(np.sqrt((X.astype(float) ** 2).sum(axis=1) + 1).max())
        largest = min(batch_size or m, m)
        # diag(p) - p pᵀ has no eigenvalue above 1/2. So with this learning rate no update moves two vectors of weights
        # further apart: rounding errors add up, but do not grow.
        rate = float(dtype(1 / (longest**2 / 2 + l2)))
        trainer = gradstep.Trainer(
            rate / largest if reduction == "sum" else rate, epochs, batch_size=batch_size, reduction=reduction, l2=l2
        )
        fit = trainer.fit(sp.csr_array(X) if is_sparse else X, y, weights, biases)

        room, losses, near = 0.0, [], []
        options = {"learning_rate": trainer.learning_rate, "reduction": reduction, "l2": l2}
        orders = in_file_order(m, epochs)
        for update in oracle.updates(X, y, weights, biases, orders=orders, batch_size=batch_size, **options):
            batch = ClassProblem(X[update.rows], y[update.rows], *update.before)
            step = trainer.learning_rate * (len(update.rows) if reduction == "sum" else 1)
            # Twice the rounding: the penalty's factor is kept apart from the weights, also in small sparse batches.
            room += 2 * farthest(rounding_of_a_step(batch, step, l2, dtype, scaled=True))
            if update.rows[-1] == m - 1:
                whole = ClassProblem(X, y, *update.after)
                losses.append(oracle.class_loss(*whole))
                # |E(θ + δ) - E(θ)| ≤ √2·max‖(x, 1)‖·‖δ‖, as the residuals of a row have at most the norm √2.
                near.append(class_tolerance(whole, dtype).loss + 2**0.5 * longest * room)

        assert fit.weights.dtype == fit.bias.dtype == dtype
        assert fit.weights.shape == weights.shape and fit.bias.shape == biases.shape
        assert farthest((fit.weights - update.after.weights, fit.bias - update.after.bias)) <= room
        assert fit.history.dtype == np.float64
        assert (np.abs(fit.history - losses) <= near).all()
        assert fit.n_epochs == epochs and fit.stop_reason == "epochs" and fit.trace is None

    check()


@both_dtypes
@pytest.mark.parametrize("shrinkage", [0.0, 1e-9, 0.03125, 0.5, 1.0, 1.5])
def test_point_by_point_however_a_penalty_shrinks_the_weights(dtype: Any, shrinkage: float) -> None:
    """With l2 = 1/α every update sets the weights to 0 before the step; with a larger l2 it changes their signs."""
    for n in (1, 2, 7, 8, 9, 15, 16, 17, 33, 70):
        X, y, weights, biases = problem(23, n, 5, dtype)
        X = (X * (2 / np.sqrt((X**2).sum(axis=1).max()))).astype(dtype)
        rate = 0.125
        l2 = shrinkage / rate
        # ‖(x, 1)‖² ≤ 5: the objective of a row curves by at most 5/2 + l2, and α times that is at most 2.
        fit = gradstep.Trainer(rate, 10, batch_size=1, l2=l2).fit(X, y, weights, biases)
        room = 0.0
        options = {"batch_size": 1, "learning_rate": rate, "l2": l2}
        for update in oracle.updates(X, y, weights, biases, orders=in_file_order(23, 10), **options):
            batch = ClassProblem(X[update.rows], y[update.rows], *update.before)
            room += farthest(rounding_of_a_step(batch, rate, l2, dtype, scaled=True))
        assert farthest((fit.weights - update.after.weights, fit.bias - update.after.bias)) <= room, n


def textbook(X: Array, y: Array, options: dict[str, Any], s: Array, offset: Any) -> tuple[Array, Array, list[float]]:
    """The loop as it is written on paper."""
    (m, n), classes = X.shape, int(y.max()) + 1
    W, b, history = np.zeros((classes, n)), np.zeros(classes), []
    mean, alpha = s.mean(), options["learning_rate"]
    l1, l2 = options.get("l1", 0.0), options.get("l2", 0.0)
    size = options["batch_size"] or m
    for _ in range(options["epochs"]):
        for first in range(0, m, size):
            rows = slice(first, first + size)
            count = len(X[rows])
            e = np.exp(X[rows] @ W.T + b + offset[rows])
            p = e / e.sum(axis=1, keepdims=True)
            r = (s[rows] / mean)[:, None] * (p - (y[rows, None] == np.arange(classes)))
            divisor, times = (count, 1.0) if options["reduction"] == "mean" else (1 / mean, mean * count)
            W = W - alpha * (r.T @ X[rows] / divisor + times * l2 * W)
            W = np.sign(W) * np.maximum(np.abs(W) - alpha * times * l1, 0)
            if options.get("fit_bias", True):
                b = b - alpha * r.sum(axis=0) / divisor
        history.append(np.average(oracle.class_errors(X @ W.T + b + offset, y), weights=s))
    return W, b, history


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "more",
    [{}, {"l2": 0.1}, {"l1": 0.05}, {"l1": 0.02, "l2": 0.1, "fit_bias": False}, {"fit_bias": False}],
    ids=lambda more: ",".join(more) or "plain",
)
@pytest.mark.parametrize("given", ["neither", "weights", "offsets", "both"])
def test_every_update_is_that_of_the_formulas(
    batch_size: Any, reduction: str, more: dict[str, Any], given: str
) -> None:
    X, y, *_ = problem(19, 3, 4)
    rng = np.random.default_rng(5)
    s, offset = rng.integers(0, 4, 19).astype(float), rng.normal(size=(19, 4))
    s[:4] = 1.0
    of_rows: dict[str, Any] = {}
    if given in ("weights", "both"):
        of_rows["sample_weight"] = s
    if given in ("offsets", "both"):
        of_rows["offset"] = offset
    s, offset = of_rows.get("sample_weight", np.ones(19)), of_rows.get("offset", np.zeros((19, 4)))
    options: dict[str, Any] = {"learning_rate": 0.1, "epochs": 3, "batch_size": batch_size, "reduction": reduction}
    options |= more
    W, b, history = textbook(X, y, options, s, offset)
    wide = np.pad(X, ((0, 0), (0, 60)))  # small batches store fewer numbers than there are columns
    for features in (X, sp.csr_array(X), sp.csc_array(wide), wide):
        descent = gradstep.Trainer(**options).fit(features, y, **of_rows)
        assert_allclose(descent.weights[:, :3], W, atol=1e-13)
        assert not descent.weights[:, 3:].any()
        assert_allclose(descent.bias, b, atol=1e-13)
        assert_allclose(descent.history, history, rtol=1e-12)
        assert_array_equal(descent.weights[:, :3] == 0, W == 0)


def test_a_shuffled_descent_visits_the_rows_in_the_order_of_one_of_two_classes() -> None:
    X, y, *_ = problem(23, 4, 3)
    for size in (1, 5):
        trainer = gradstep.Trainer(0.2, 3, batch_size=size, shuffle=True, seed=11, trace=True)
        trace = trainer.fit(X, y).trace
        assert_array_equal(trace["row"], trainer.fit(X, y == 1).trace["row"])
        orders = np.concatenate([np.atleast_1d(rows)[np.atleast_1d(rows) >= 0] for rows in trace["row"]]).reshape(3, 23)
        *_, last = oracle.updates(
            X, y, np.zeros((3, 4)), np.zeros(3), orders=orders, batch_size=size, learning_rate=0.2
        )
        assert_allclose(trace["weights"][-1], last.after.weights, atol=1e-13)


# --- the trace --------------------------------------------------------------------------------------------------------
@both_dtypes
@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("batch_size", [None, 1, 4])
@pytest.mark.parametrize("more", [{}, {"l2": 0.125}, {"l1": 0.01}, {"fit_bias": False}], ids=str)
def test_the_trace_has_the_numbers_of_every_class(dtype: Any, form: str, batch_size: Any, more: dict[str, Any]) -> None:
    X, y, weights, biases = problem(13, 3, 4, dtype)
    if "fit_bias" in more:
        biases = np.zeros(4, dtype)
    rows = np.pad(X, ((0, 0), (0, 80))) if form == "sparse" else X
    weights = np.pad(weights, ((0, 0), (0, rows.shape[1] - 3)))
    features = sp.csr_array(rows) if form == "sparse" else X
    trainer = gradstep.Trainer(0.0625, 2, batch_size=batch_size, trace=True, **more)
    fit = trainer.fit(features, y, weights, biases)
    trace, k, n = fit.trace, batch_size or 13, rows.shape[1]
    untraced = gradstep.Trainer(0.0625, 2, batch_size=batch_size, **more).fit(features, y, weights, biases)
    assert bits(parts(untraced)[:4]) == bits(parts(fit)[:4])

    of_rows = () if batch_size == 1 else (k,)
    shapes = dict.fromkeys(("z", "y_hat", "residual"), (*of_rows, 4))
    shapes |= {"row": of_rows, "y": of_rows, "epoch": (), "error": ()}
    shapes |= {"delta_weights": (4, n), "weights": (4, n), "delta_bias": (4,), "bias": (4,)}
    assert {name: trace.dtype[name].shape for name in trace.dtype.names} == shapes
    assert trace["z"].dtype == trace["weights"].dtype == trace["bias"].dtype == dtype
    # A dozen roundings of numbers of a few units.
    room = 64 * float(np.finfo(dtype).eps)
    before = oracle.Parameters(weights, biases)
    for record in trace:
        kept = np.atleast_1d(record["row"]) >= 0
        z, p, residual = (record[name].reshape(-1, 4) for name in ("z", "y_hat", "residual"))
        labels = np.atleast_1d(record["y"])
        assert np.isnan(labels[~kept]).all() and np.isnan([z[~kept], p[~kept], residual[~kept]]).all()
        batch = np.atleast_1d(record["row"])[kept]
        assert_allclose(z[kept], oracle.class_score(rows[batch], *before), rtol=0, atol=room)
        assert_allclose(p[kept], oracle.softmax(z[kept]), rtol=room)
        assert labels[kept].tolist() == y[batch].tolist()
        assert_allclose(residual[kept], np.eye(4)[y[batch]] - oracle.softmax(z[kept]), rtol=0, atol=room)
        assert_allclose(record["error"], oracle.class_loss(rows[batch], y[batch], *before), rtol=room)
        after = oracle.gradient_step(rows[batch], y[batch], *before, 0.0625, l2=more.get("l2", 0.0))
        shrunk = np.sign(after.weights) * np.maximum(np.abs(after.weights) - 0.0625 * more.get("l1", 0.0), 0)
        assert_allclose(record["weights"], shrunk, rtol=0, atol=room)
        assert_allclose(record["bias"], after.bias if "fit_bias" not in more else 0 * biases, rtol=0, atol=room)
        assert_allclose(record["delta_weights"], record["weights"] - before.weights, rtol=0, atol=room)
        assert_allclose(record["delta_bias"], record["bias"] - before.bias, rtol=0, atol=room)
        before = oracle.Parameters(record["weights"], record["bias"])
    assert bits((before.weights, before.bias)) == bits((fit.weights, fit.bias))


@pytest.mark.parametrize("missing", [[], ["pandas", "polars"]])
def test_the_frame_of_a_trace_names_row_class_and_column(missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for package in missing:
        monkeypatch.setitem(sys.modules, package, None)
    X, y, *_ = problem(5, 2, 3)
    names = [f"{k}_{j}" for k in range(3) for j in range(2)]
    for size, rows, scores in [(1, ["row"], ["0", "1", "2"]), (2, ["row_0", "row_1"], names[:0])]:
        descent = gradstep.Trainer(0.5, 2, batch_size=size, trace=True).fit(X, y)
        frame = descent.trace_frame()
        scores = scores or [f"{i}_{k}" for i in range(2) for k in range(3)]
        want = ["epoch", *rows, *(row.replace("row", "y") for row in rows), *(f"z_{k}" for k in scores)]
        want += [*(f"y_hat_{k}" for k in scores), "error", *(f"residual_{k}" for k in scores)]
        want += [*(f"delta_weights_{name}" for name in names), *(f"delta_bias_{k}" for k in range(3))]
        want += [*(f"weights_{name}" for name in names), *(f"bias_{k}" for k in range(3))]
        assert list(frame.dtype.names if missing else frame.columns) == want
        assert_array_equal(frame["weights_2_1"], descent.trace["weights"][:, 2, 1])
        assert_array_equal(frame["bias_1"], descent.trace["bias"][:, 1])
        column, place = ("z_2", (2,)) if size == 1 else ("z_1_2", (1, 2))
        assert_array_equal(frame[column], descent.trace["z"][:, *place])


# --- what stays the same ----------------------------------------------------------------------------------------------
@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 16])
@pytest.mark.parametrize("n", [3, 19, 40])
def test_same_bits_for_every_layout_and_thread_count(
    dtype: Any, batch_size: int | None, n: int, tmp_path: Path
) -> None:
    X, y, *_ = problem(353, n, 5, dtype)
    for more in ({}, {"trace": True}, {"shuffle": True, "seed": 3}, {"l1": 0.01, "fit_bias": False}):
        trainer = gradstep.Trainer(0.25, 2, batch_size=batch_size, l2=0.01, n_threads=1, **more)
        want = bits(parts(trainer.fit(X, y))[:4])
        for name, view in layouts(X, tmp_path):
            assert bits(parts(trainer.fit(view, y))[:4]) == want, name
        for threads in (2, 3):
            assert bits(parts(gradstep.Trainer(**{**fields(trainer), "n_threads": threads}).fit(X, y))[:4]) == want
    for labels in (y.astype(np.int8), y.astype(float), y.tolist(), np.repeat(y, 2)[::2]):
        assert bits(parts(trainer.fit(X, labels))[:4]) == want


def fields(trainer: gradstep.Trainer) -> dict[str, Any]:
    return {name: getattr(trainer, name) for name in trainer.__dataclass_fields__ if name != "_"}


def test_two_classes_have_one_score() -> None:
    X, y, *_ = problem(30, 3, 3)
    for labels in (y == 1, (y == 1).astype(int), np.zeros(30), np.minimum(y, 1) / 2):
        descent = gradstep.Trainer(0.1, 2, trace=True, batch_size=1).fit(X, labels)
        assert descent.weights.shape == (3,) and type(descent.bias) is float
        assert descent.path.weights.shape == (2, 3) and descent.trace["z"].shape == (60,)


def test_the_descent_goes_on_where_another_ended() -> None:
    X, y, *_ = problem(40, 3, 4)
    for size in SIZES:
        whole = gradstep.Trainer(0.2, 6, batch_size=size).fit(X, y)
        half = gradstep.Trainer(0.2, 3, batch_size=size).fit(X, y)
        rest = gradstep.Trainer(0.2, 3, batch_size=size).fit(X, y, half.weights, half.bias)
        assert bits((rest.weights, rest.bias)) == bits((whole.weights, whole.bias))
        assert bits(rest.start) == bits((half.weights, half.bias))
        assert bits(gradstep.Trainer(0.2, 3, batch_size=size).fit(X, y, *half.start).weights) == bits(half.weights)


def test_a_bias_is_an_array_or_one_number_for_all_classes() -> None:
    X, y, *_ = problem(20, 2, 3)
    trainer = gradstep.Trainer(0.1, 2)
    one = trainer.fit(X, y, bias=0.25)
    assert one.start.weights.tolist() == [[0.0, 0.0]] * 3 and one.start.bias.tolist() == [0.25] * 3
    for each in (trainer.fit(X, y, bias=[0.25] * 3), trainer.fit(X, y, np.zeros((3, 2)), 0.25)):
        assert each == one
    other = trainer.fit(X, y, bias=np.array([0.5, 0.0, -0.5], np.float32))
    assert other.start.bias.tolist() == [0.5, 0.0, -0.5]


def test_the_path_is_what_a_callback_sees() -> None:
    X, y, *_ = problem(29, 3, 4)
    for options in ({}, {"batch_size": 1}, {"batch_size": 7, "l2": 0.1}, {"learning_rate": "auto"}, {"trace": True}):
        trainer = gradstep.Trainer(**{"learning_rate": 0.25, "epochs": 5, **options})
        seen: list[Any] = []
        fit = trainer.fit(X, y, callback=lambda *epoch, seen=seen: seen.append(epoch))
        epochs, losses, weights, biases = zip(*seen, strict=True)
        assert list(epochs) == list(range(fit.n_epochs)) and list(losses) == fit.history.tolist()
        assert fit.path.weights.shape == (fit.n_epochs, 4, 3) and fit.path.bias.shape == (fit.n_epochs, 4)
        assert bits(fit.path) == bits((np.array(weights), np.array(biases)))
        assert fit.history[-1] == gradstep.loss(X, y, fit.path.weights[-1], fit.path.bias[-1])
    stopped = gradstep.Trainer(0.1, 50).fit(X, y, callback=lambda epoch, *_: epoch == 2)
    assert stopped.n_epochs == 3 and stopped.stop_reason == "callback"


def test_a_path_or_trace_counts_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, *_ = problem(20, 2, 3)
    size = 10 * 3 * 3 * 8
    for limit, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(_descent, "SMALL_PATH", limit)
        assert (gradstep.Trainer(epochs=10).fit(X, y).path is not None) == kept
    monkeypatch.setattr(_descent, "LARGEST_RECORD", size)
    assert gradstep.Trainer(epochs=10, path=True).fit(X, y).path is not None
    with pytest.raises(MemoryError, match=r"^path must take at most .* GiB, got 11 epochs that take "):
        gradstep.Trainer(epochs=11, path=True).fit(X, y)
    monkeypatch.undo()
    trace = gradstep.Trainer(epochs=2, batch_size=3, trace=True).fit(X, y).trace
    monkeypatch.setattr(_descent, "LARGEST_RECORD", trace.nbytes - 1)
    with pytest.raises(MemoryError, match=r"^trace must take at most .* GiB, got 14 updates that take "):
        gradstep.Trainer(epochs=2, batch_size=3, trace=True, path=False).fit(X, y)
    monkeypatch.setattr(_descent, "LARGEST_RECORD", trace.nbytes)
    gradstep.Trainer(epochs=2, batch_size=3, trace=True, path=False).fit(X, y)


# --- the end ----------------------------------------------------------------------------------------------------------
@both_dtypes
def test_a_descent_ends_at_the_optimum_of_fit(dtype: Any) -> None:
    X, y, *_ = problem(300, 4, 5, dtype)
    tol = 1e-9 if dtype == np.float64 else 1e-4
    best = gradstep.fit(X, y, l2=0.05)
    for rate in (0.5, "auto"):
        fit = gradstep.Trainer(rate, 20_000, l2=0.05, tol=tol).fit(X, y)
        assert fit.stop_reason == "tolerance" and fit.weights.dtype == dtype
        # The objective is 0.05-strongly convex in the weights: the distance is at most the gradient's norm over 0.05.
        assert np.linalg.norm(fit.weights - best.weights) <= tol * np.sqrt(20) / 0.05 + 100 * np.finfo(dtype).eps
        grad = gradstep.gradient(X.astype(float), y, fit.weights, fit.bias)
        assert max(np.abs(grad.weights + 0.05 * fit.weights).max(), np.abs(grad.bias).max()) <= 1.5 * tol
    sparse = gradstep.fit(X.astype(float), y, l1=0.02)
    fit = gradstep.Trainer(0.5, 50_000, l1=0.02, tol=1e-11).fit(X.astype(float), y)
    assert fit.stop_reason == "tolerance"
    assert_array_equal(fit.weights != 0, sparse.weights != 0)
    assert_allclose(fit.history[-1] + 0.02 * np.abs(fit.weights).sum(), sparse.objective, rtol=1e-9)


def test_the_best_steps_of_classes() -> None:
    X, y, *_ = problem(200, 3, 4)
    fit = gradstep.Trainer("auto", 4).fit(X, y)
    assert fit.n_epochs == 4 and fit.stop_reason == "epochs" and (np.diff(fit.history) < 0).all()
    without = gradstep.Trainer("auto", 500, fit_bias=False, l2=0.1, tol=1e-9).fit(X, y)
    assert not without.bias.any()
    assert_allclose(without.weights, gradstep.fit(X, y, fit_bias=False, l2=0.1).weights, atol=1e-7)
    separable = gradstep.Trainer("auto", 1000).fit([[0.0], [1.0], [2.0]], [0, 1, 2])
    assert separable.stop_reason == "separated" and np.isfinite(separable.weights).all()


def test_a_descent_that_diverges_keeps_the_last_finite_weights() -> None:
    X, y, *_ = problem(20, 2, 3)
    for size in SIZES:
        fit = gradstep.Trainer(1e300, 50, l2=10.0, batch_size=size).fit(X * 1e5, y)
        assert fit.stop_reason == "diverged" and np.isfinite(fit.weights).all() and np.isfinite(fit.bias).all()
        assert len(fit.path.bias) == fit.n_epochs == len(fit.history)


@pytest.mark.parametrize("size", SIZES)
def test_certain_predictions_are_no_nan(size: Any) -> None:
    """Scores of thousands, whose exponentials overflow: residuals of exactly 0 and 1."""
    X, y = np.array([[1.0], [1.0], [1.0]]), [0, 1, 2]
    fit = gradstep.Trainer(0.5, 1, batch_size=size).fit(X, y, [[5000.0], [0.0], [0.0]])
    rate = 0.5 if size == 1 else 0.5 / 3
    # Both rows of another class move its weight, and all biases, which are added to the scores.
    assert_allclose(fit.weights[:, 0], [5000 - 2 * rate, rate, rate], rtol=1e-15)
    assert_allclose(fit.bias, [-2 * rate, rate, rate], rtol=1e-14)
    assert_allclose(fit.history, [2 / 3 * (5000 - 6 * rate)], rtol=1e-15)


def test_it_predicts_and_shows_itself() -> None:
    X, y, *_ = problem(60, 3, 4)
    fit = gradstep.Trainer(0.5, 30, batch_size=1).fit(X, y)
    z = fit.decision_function(X)
    assert bits(z) == bits(gradstep.decision_function(X, fit.weights, fit.bias))
    p = fit.predict_proba(X)
    assert p.shape == (60, 4) and bits(p) == bits(gradstep.predict_proba(X, fit.weights, fit.bias))
    assert fit.predict(X).tolist() == z.argmax(axis=1).tolist()
    assert fit.predict(X[0]) == z[0].argmax() and fit.predict_proba(X[0]).shape == (4,)
    assert str(fit).splitlines()[2] == "  weights  shape (4, 3), float64"
    assert fit.activation == "sigmoid" and "<svg" in fit._repr_html_()
    assert pickle.loads(pickle.dumps(fit)) == copy.deepcopy(fit) == fit
    assert fit != gradstep.Trainer(0.5, 29, batch_size=1).fit(X, y)
    risen = gradstep.Trainer(50.0, 20).fit(X, y)
    losses = [risen.start_loss, *risen.history]
    assert losses[0] == gradstep.loss(X, y, *risen.start)
    assert risen.rose_in == int(np.flatnonzero(np.diff(losses) > 0)[0])


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_the_trace_shows_scores_with_offsets(batch_size: Any) -> None:
    X, y, *_ = problem(13, 3, 4)
    offset = np.random.default_rng(6).normal(size=(13, 4))
    for features in (X, sp.csr_array(np.pad(X, ((0, 0), (0, 80))))):
        trace = gradstep.Trainer(0.1, 2, batch_size=batch_size, trace=True).fit(features, y, offset=offset).trace
        rows = features.toarray() if sp.issparse(features) else features
        weights, bias = np.zeros((4, rows.shape[1])), np.zeros(4)
        for update in trace:
            batch = np.atleast_1d(update["row"])[np.atleast_1d(update["row"]) >= 0]
            z = rows[batch] @ weights.T + bias + offset[batch]
            p = gradstep.softmax(z)
            assert_allclose(update["z"].reshape(-1, 4)[: len(batch)], z, atol=1e-13)
            assert_allclose(update["y_hat"].reshape(-1, 4)[: len(batch)], p, atol=1e-13)
            weights, bias = update["weights"], update["bias"]


def test_the_best_steps_take_offsets() -> None:
    X, y, *_ = problem(60, 3, 4)
    offset = np.random.default_rng(7).normal(size=(60, 4))
    descent = gradstep.Trainer("auto", 500, l2=0.1, tol=1e-9).fit(X, y, offset=offset)
    best = gradstep.fit(X, y, l2=0.1, offset=offset)
    assert_allclose(descent.weights, best.weights, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [0.1, "auto"])
def test_refusals(size: Any, rate: Any) -> None:
    if rate == "auto" and size:
        return
    X, y, *_ = problem(19, 3, 4)
    trainer = gradstep.Trainer(rate, 2, batch_size=size)
    for options, message in [
        ({"y": np.where(y == 2, 3, y)}, "y must be class codes without gaps, .*got none of class 2"),
        ({"y": np.where(np.arange(19) == 18, 1.5, y)}, "y must be class codes 0, 1, 2, .*, got 1.5 at row 18"),
        ({"y": y - 1}, r"y must be labels in \[0, 1\], got -1 at row 0"),
        ({"y": y + 1}, "y must be class codes without gaps.*labels are 1, 2, 3 and 4: subtract 1"),
        ({"offset": np.zeros(19)}, "offset must be one number .*, got one number for each row, for 4 classes"),
        ({"offset": np.zeros((19, 3))}, "offset must be one number .*, got rows of 3 numbers, for 4 classes"),
        ({"offset": np.where(np.arange(19) == 7, np.nan, 0)[:, None] + np.zeros(4)}, "offset must be .* nan at row 7"),
        ({"weights": np.zeros(3)}, "weights must be one-dimensional for labels .* class codes, got one dimension"),
        ({"weights": np.zeros((3, 3))}, "weights must be .* a row per class for class codes, got 3 rows"),
        ({"weights": np.zeros((4, 2))}, r"weights must have length 3 \(one per column of X, in each row of weights\)"),
        ({"weights": np.full((4, 3), np.nan)}, "weights must be finite in the dtype of the computation, got nan"),
        ({"bias": np.zeros(3)}, r"bias must have length 4 \(one per class\), got length 3"),
        ({"weights": np.zeros((4, 3)), "bias": np.zeros(3)}, r"bias must have shape \(4,\)"),
        ({"bias": [0, 0, 0, np.inf]}, "bias must be finite in the dtype of the computation, got inf"),
        ({"sample_weight": (y != 2).astype(float)}, "y must be class codes without gaps, .*got none of class 2"),
        ({"y": y == 1, "weights": np.zeros((2, 3))}, "weights must be one-dimensional for labels in .*, got 2 rows"),
        ({"X": np.where(X[5, 1] == X, np.nan, X)}, "X must be finite, got nan at row 5, column 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.fit(**{"X": X, "y": y, **options})
    if rate == 0.1:
        with pytest.raises(ValueError, match="activation must be 'sigmoid' for three classes or more, got 4 classes"):
            gradstep.Trainer(activation="step", batch_size=size).fit(X, y)
    with pytest.raises(ValueError, match=r"bias must be 0 with fit_bias=False, got \[0 0 1 0\]"):
        gradstep.Trainer(fit_bias=False, batch_size=size).fit(X, y, bias=[0, 0, 1, 0])
    with pytest.raises(ValueError, match=r"offset must have shape \(19, 4\) .*, got shape \(19,\)"):
        trainer.fit(X, y).predict(X, offset=np.zeros(19))
