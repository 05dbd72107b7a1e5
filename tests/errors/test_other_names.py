"""Arguments by a wrong name: the error suggests which one may be meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import gradstep

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
LogisticRegression = gradstep.LogisticRegression


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        (gradstep.Trainer, "lr", "Trainer has no 'lr': did you mean learning_rate?"),
        (gradstep.Trainer, "batchsize", "Trainer has no 'batchsize': did you mean batch_size?"),
        (gradstep.Trainer, "n_epochs", "Trainer has no 'n_epochs': did you mean epochs?"),
        (gradstep.Trainer().fit, "weight", "Trainer.fit has no 'weight': did you mean weights?"),
        (gradstep.fit, "max_pass", "fit has no 'max_pass': did you mean max_passes?"),
        (gradstep.fit, "sample_weights", "fit has no 'sample_weights': did you mean sample_weight?"),
        (gradstep.gradient_step, "lr", "gradient_step has no 'lr': did you mean learning_rate?"),
        (gradstep.explain, "lr", "explain has no 'lr': did you mean learning_rate?"),
        (
            LogisticRegression,
            "fit_intercepts",
            "LogisticRegression has no 'fit_intercepts': did you mean fit_intercept?",
        ),
        (
            gradstep.Trainer().fit,
            "zzz",
            "Trainer.fit has no 'zzz': it has X, y, weights, bias, sample_weight, offset, callback, cache",
        ),
    ],
)
def test_the_name_that_may_be_meant(call: Callable[..., Any], name: str, message: str) -> None:
    for arguments in ((), (X, Y)):
        with pytest.raises(TypeError) as caught:
            call(*arguments, **{name: 1})
        assert str(caught.value) == message and type(caught.value) is TypeError


def test_signatures_are_as_they_are_written() -> None:
    """The decorator must keep signatures: help, editors and scikit-learn read parameters from them."""
    assert list(inspect.signature(gradstep.fit).parameters)[:4] == ["X", "y", "l1", "l2"]
    assert list(inspect.signature(gradstep.explain).parameters) == ["x", "y", "weights", "bias", "learning_rate"]
    assert list(inspect.signature(gradstep.Trainer.fit).parameters) == [
        "self", "X", "y", "weights", "bias", "sample_weight", "offset", "callback", "cache",
    ]  # fmt: skip
    assert "l2" in LogisticRegression().get_params()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        gradstep.fit(X)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional argument"):
        gradstep.Trainer(0.1, 2, 3)  # type: ignore[misc]
