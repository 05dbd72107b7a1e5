"""Trainer and its results as Python objects: options, copies, pickles, equality."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.problems import blobs
from helpers.results import bits, parts

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
    "path": True,
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
    "l1": 0.0,
    "fit_bias": True,
    "tol": 0.0,
    "n_threads": None,
    "trace": False,
    "path": None,
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
        assert bits(parts(copies[-1].fit(X, y))[:4]) == bits(parts(trainer.fit(X, y))[:4])


def test_trainers_are_equal_by_their_options() -> None:
    trainer = gradstep.Trainer(**OPTIONS)
    others: dict[str, Any] = {"reduction": "mean", "activation": "sigmoid", "trace": False, "path": False, "seed": None}
    for name, value in OPTIONS.items():
        if name == "shuffle":
            continue  # a seed needs shuffle=True
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
    assert bits(parts(got)[:4]) == bits(parts(theirs.fit(X, y, [1, 1], 0.5))[:4])


@pytest.mark.parametrize("trace", [False, True])
def test_what_a_descent_holds(trace: bool) -> None:
    fit = gradstep.Trainer(epochs=3, batch_size=4, trace=trace).fit(*blobs(10, 2))
    assert is_dataclass(fit) and type(fit) is gradstep.Descent
    names = tuple(field.name for field in fields(fit))
    assert names == (
        "weights", "bias", "history", "n_epochs", "stop_reason", "trace", "trainer", "start", "start_loss", "path",
        "feature_names",
    )  # fmt: skip
    assert type(fit.n_epochs) is int and type(fit.bias) is float
    again = pickle.loads(pickle.dumps(fit))
    assert type(again) is gradstep.Descent
    assert bits(parts(again)[:4]) == bits(parts(fit)[:4])
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
    of_a_path, of_an_estimator = {"strengths", "deviance"}, {"iterations", "validation"}
    every = of_a_descent | of_a_fit | of_a_path | of_an_estimator
    assert {reason.value for reason in gradstep.StopReason} == every
    reason = gradstep.Trainer(epochs=1).fit([[1.0]], [1]).stop_reason
    assert type(reason) is gradstep.StopReason
    assert reason == "epochs" and str(reason) == "epochs" and f"{reason}" == "epochs"
