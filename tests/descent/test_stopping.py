"""The history of a descent, and the ways to stop it: tolerance, callback, divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradstep
from helpers import oracle
from helpers.problems import Problem, blobs, both_dtypes
from helpers.results import bits, parts
from helpers.tolerances import tolerance

Array = npt.NDArray[Any]


@both_dtypes
@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_history_is_the_loss_on_all_rows_after_each_epoch(dtype: Any, batch_size: int | None, l2: float) -> None:
    """The history is the cross-entropy alone, without the penalty."""
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
        # The tolerance is halfway between the norm of this epoch and the smallest before it, far from rounding.
        earlier, now = min(norms[:epoch]), norms[epoch]
        if now > earlier * 0.99:
            continue  # with mini-batches the norm may have been as small in an earlier epoch
        tol = (earlier + now) / 2
        fit = gradstep.Trainer(l2=l2, tol=tol, **options).fit(X, y)
        assert fit.stop_reason == "tolerance"
        assert fit.n_epochs == epoch + 1 == len(fit.history)
        stops += 1
    assert stops >= 1
    never = gradstep.Trainer(l2=l2, tol=min(norms) * 0.99, **options).fit(X, y)
    assert never.stop_reason == "epochs" and never.n_epochs == 60


def test_tolerance_counts_the_bias_too() -> None:
    # One column of zeros: the gradient by its weight is always 0, and only the bias changes.
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
        assert bits((weights, bias)) == bits(parts(shorter)[:2])


@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_callback_cannot_reach_into_the_fit(batch_size: int | None) -> None:
    X, y = blobs(30, 4)
    kept: list[Array] = []

    def vandal(epoch: int, loss: float, weights: Array, bias: float) -> bool | None:
        kept.append(weights)
        weights[:] = np.nan
        return [None, False][epoch % 2]  # neither None nor False stops the descent

    trainer = gradstep.Trainer(0.5, 6, batch_size=batch_size)
    got = trainer.fit(X, y, callback=vandal)
    assert bits(parts(got)[:4]) == bits(parts(trainer.fit(X, y))[:4])
    assert got.stop_reason == "epochs"
    assert all(np.isnan(weights).all() for weights in kept)


@pytest.mark.parametrize("last", [0, 3])
def test_callback_stops(last: int) -> None:
    X, y = blobs(30, 4)
    fit = gradstep.Trainer(0.5, 10, trace=True).fit(X, y, callback=lambda epoch, *_: epoch == last)
    assert fit.stop_reason == "callback"
    assert fit.n_epochs == last + 1 == len(fit.history) == len(fit.trace)
    shorter = gradstep.Trainer(0.5, last + 1).fit(X, y)
    assert bits(parts(fit)[:4]) == bits(parts(shorter)[:4])


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
    assert trainer.fit(X, y).n_epochs == 10  # the trainer is not changed by the exception


def test_callback_may_train() -> None:
    X, y = blobs(30, 4)
    trainer = gradstep.Trainer(0.5, 3)
    inner = []
    outer = trainer.fit(X, y, callback=lambda *_: inner.append(trainer.fit(X, y)))
    assert len(inner) == 3
    for fit in inner:
        assert bits(parts(fit)[:4]) == bits(parts(outer)[:4])


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
    # The epoch that was left out really diverges: a new fit from these weights has no finite epoch, and keeps them.
    beyond = gradstep.Trainer(1.0, 1, **options).fit(X, y, fit.weights, fit.bias)
    assert beyond.stop_reason == "diverged"
    assert beyond.n_epochs == 0 and beyond.history.shape == (0,) and beyond.history.dtype == np.float64
    assert bits((beyond.weights, beyond.bias)) == bits((fit.weights, fit.bias))
    # The epochs before did not diverge.
    before = gradstep.Trainer(1.0, fit.n_epochs, **options).fit(X, y, [1.0])
    assert before.stop_reason == "epochs" and bits(parts(before)[:3]) == bits(parts(fit)[:3])


def test_a_large_learning_rate_alone_is_no_divergence() -> None:
    """The gradient is bounded: the loss jumps about, but stays finite."""
    fit = gradstep.Trainer(1e6, 50).fit(*blobs(40, 3))
    assert fit.stop_reason == "epochs"
    assert np.isfinite(fit.history).all()
