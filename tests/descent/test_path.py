"""Where a descent starts, the path that it keeps, and the trainer that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import gradstep
from gradstep import _descent
from helpers.problems import blobs
from helpers.results import bits

START = ([0.5, -0.25, 1 / 3], 0.125)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 7, "shuffle": True, "seed": 3, "l2": 0.1, "reduction": "sum"},
        {"batch_size": 1, "activation": "step", "shuffle": True, "seed": 1},
        {"learning_rate": "auto"},
        {"tol": 0.05},
        {"trace": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [np.float32, np.float64, "csr_array"])
def test_the_path_is_what_a_callback_sees(options: dict[str, Any], form: Any) -> None:
    X, y = blobs(29, 3)
    X = getattr(scipy.sparse, form)(X) if isinstance(form, str) else X.astype(form)
    trainer = gradstep.Trainer(**{"learning_rate": 0.25, "epochs": 12, **options})
    seen: list[Any] = []
    watched = trainer.fit(X, y, *START, callback=lambda epoch, loss, weights, bias: seen.append((weights, bias)))
    weights, biases = zip(*seen, strict=True)
    for descent in (watched, trainer.fit(X, y, *START)):
        assert type(descent.path) is type(descent.start) is gradstep.Parameters
        assert bits(descent.path.weights) == bits(np.array(weights))
        assert descent.path.bias.tolist() == list(biases)
        assert descent.path.weights.shape == (descent.n_epochs, 3)
        assert (
            descent.path.weights.dtype
            == descent.path.bias.dtype
            == descent.start.weights.dtype
            == descent.weights.dtype
        )
        assert bits(descent.start.weights) == bits(np.array(START[0], descent.weights.dtype))
        assert type(descent.start.bias) is float and descent.start.bias == START[1]
        if trainer.learning_rate == "auto":  # it returns the best of the last iterates, which differ by rounding
            np.testing.assert_allclose(descent.path.weights[-1], descent.weights, rtol=1e-6)
        else:
            assert bits(descent.path.weights[-1]) == bits(descent.weights) and descent.path.bias[-1] == descent.bias
        assert bits(trainer.fit(X, y, *descent.start).weights) == bits(descent.weights)


@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("form", [np.float32, np.float64, "csr_array"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_at_the_start_is_that_of_its_weights(batch_size: int | None, form: Any, weighted: bool) -> None:
    """The loss at the start does not depend on the learning rate, the penalty or the order of the rows."""
    X, y = blobs(29, 3)
    X = getattr(scipy.sparse, form)(X) if isinstance(form, str) else X.astype(form)
    s = np.arange(1.0, 30.0) if weighted else None
    want = gradstep.loss(X, y, *START, sample_weight=s)
    rest: dict[str, Any] = {"batch_size": batch_size, "shuffle": True, "l2": 0.1, "l1": 0.01}
    for rate, epochs in [(1e-3, 3), (100.0, 1), (1e300, 9)]:
        descent = gradstep.Trainer(rate, epochs, **rest).fit(X, y, *START, sample_weight=s)
        assert type(descent.start_loss) is float and descent.start_loss == want
        again = gradstep.Trainer(rate, epochs, **rest).fit(X, y, *START, sample_weight=s, callback=lambda *_: True)
        assert again.start_loss == want
    if batch_size is None:
        automatic = gradstep.Trainer("auto", 3).fit(X, y, *START, sample_weight=s).start_loss
        assert automatic == pytest.approx(want, rel=1e-6 if form is np.float32 else 1e-14)
    step = gradstep.Trainer(0.1, 2, batch_size=batch_size, activation="step").fit(X, y, *START, sample_weight=s)
    wrong = (gradstep.decision_function(X, *START) >= 0) != y
    assert step.start_loss == pytest.approx(np.average(wrong, weights=s), rel=1e-15)


def test_it_starts_at_zero_and_what_was_given_is_not_kept() -> None:
    X, y = blobs(20, 2)
    descent = gradstep.Trainer(epochs=2).fit(X, y)
    assert descent.start.weights.tolist() == [0.0, 0.0] and descent.start.bias == 0.0
    given = np.ones(2)
    descent = gradstep.Trainer(epochs=2).fit(X, y, given)
    given[:] = 7.0
    assert descent.start.weights.tolist() == [1.0, 1.0]


def test_which_paths_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs(20, 2)
    trainer = gradstep.Trainer(epochs=10)
    size = 10 * 3 * 8
    for limit, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(_descent, "SMALL_PATH", limit)
        assert (trainer.fit(X, y).path is not None) == kept
        assert trainer.fit(X.astype(np.float32), y).path is not None, "half the size"
        assert replace(trainer, path=True).fit(X, y).path is not None
        assert replace(trainer, trace=True).fit(X, y).path is not None
        assert replace(trainer, path=False).fit(X, y).path is None
        assert replace(trainer, path=False, trace=True).fit(X, y).path is None
    assert gradstep.Trainer(epochs=10**12, tol=0.01).fit(X, y).path is None
    kept_anyway = gradstep.Trainer(epochs=10**12, tol=0.01, path=True).fit(X, y)
    assert len(kept_anyway.path.bias) == kept_anyway.n_epochs
    assert bits(trainer.fit(X, y).weights) == bits(replace(trainer, path=False).fit(X, y).weights)


def test_a_path_that_is_too_large_is_refused_unless_it_may_end_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs(20, 2)
    monkeypatch.setattr(_descent, "LARGEST_RECORD", 10 * 3 * 8)
    assert gradstep.Trainer(epochs=10, path=True).fit(X, y).path is not None
    with pytest.raises(MemoryError, match=r"^path must take at most .* GiB, got 11 epochs that take "):
        gradstep.Trainer(epochs=11, path=True).fit(X, y)
    assert gradstep.Trainer(epochs=11, path=True, tol=1e-9).fit(X, y).path is not None
    assert gradstep.Trainer(epochs=11, path=True).fit(X, y, callback=lambda *_: None).path is not None


def test_a_descent_that_diverged_has_the_epochs_before() -> None:
    X, y = blobs(20, 2)
    descent = gradstep.Trainer(1e300, 50, l2=10.0).fit(X * 1e5, y)
    assert descent.stop_reason == "diverged"
    assert len(descent.path.bias) == descent.n_epochs == len(descent.history)


def test_the_trainer_is_that_of_the_fit_with_the_seed_that_was_drawn() -> None:
    X, y = blobs(20, 2)
    trainer = gradstep.Trainer(epochs=3, batch_size=4)
    assert trainer.fit(X, y).trainer == trainer
    drawn = replace(trainer, shuffle=True)
    one, other = drawn.fit(X, y), drawn.fit(X, y)
    assert one.trainer.seed is not None and one.trainer.seed != other.trainer.seed
    assert replace(one.trainer, seed=None) == drawn
    assert one.trainer.fit(X, y) == one
    assert bits(one.weights) != bits(other.weights)
    assert one.activation == "sigmoid" and replace(trainer, activation="step").fit(X, y).activation == "step"
