"""What is refused: one table for every argument of every public function.

Every message reads "<argument> must <what was expected>, got <what came>". A row is: where, the type of the
exception, the argument, a regular expression for the facts the message has to state (expected before got), the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradstep

Array = npt.NDArray[Any]

X = np.arange(12.0).reshape(4, 3) / 8
Y = np.array([0.0, 1.0, 1.0, 0.0])
W = np.array([0.5, -0.5, 0.25])
Z = np.array([-1.0, 0.0, 2.0])
EVERYTHING = (X, Y, W, Z)


def replaced(values: Array, index: Any, value: float) -> Array:
    copy = values.copy()
    copy[index] = value
    return copy


def read_only(values: Array) -> Array:
    copy = values.copy()
    copy.flags.writeable = False
    return copy


Kind = type[Exception] | tuple[type[Exception], ...]
ROWS: list[Any] = []


def refuse(
    name: str, kind: Kind, argument: str, facts: str, call: Callable[..., Any], *args: Any, **options: Any
) -> None:
    """One row of the table: `call(*args, **options)` is refused."""
    ROWS.append(
        pytest.param(partial(call, *args, **options), kind, argument, facts, id=f"{name}-{argument}-{len(ROWS)}")
    )


NOT_REAL: list[tuple[Any, str]] = [
    (np.array([1j, 0, 1]), "complex"),
    (np.array([None, 1.0, 2.0], dtype=object), "object"),
    (np.array(["0", "1", "2"]), ""),
    (np.array(["2001-01-01", "2001-01-02", "2001-01-03"], dtype="datetime64[D]"), "datetime64"),
    (np.array([1, 2, 3], dtype="timedelta64[s]"), "timedelta64"),
    (np.array([b"0", b"1", b"2"]), ""),
    (np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False]), "mask"),
    (np.zeros(3, dtype=[("a", "f8")]), ""),
    ({"a": 1}, ""),
    (None, "None|object"),
]

# --- elementwise ------------------------------------------------------------------------------------------------------
for function in (gradstep.sigmoid, gradstep.sigmoid_derivative, gradstep.log_sigmoid):
    name = function.__name__
    for value, facts in NOT_REAL:
        refuse(name, TypeError, "z", facts, function, value)
    refuse(name, TypeError, "z", "complex", function, 1 + 2j)
    refuse(name, TypeError, "z", "", function, "1.5")
    refuse(name, (TypeError, ValueError), "z", "", function, [[1.0, 2.0], [3.0]])
    refuse(name, ValueError, "out", r"3.*got.*4", function, Z, out=np.empty(4))
    refuse(name, ValueError, "out", r"3.*got.*3, 1", function, Z, out=np.empty((3, 1)))
    refuse(name, ValueError, "out", r"got.*1", function, 0.5, out=np.empty(1))
    refuse(name, (TypeError, ValueError), "out", "float64.*got.*float32", function, Z, out=np.empty(3, np.float32))
    refuse(name, (TypeError, ValueError), "out", "float32.*got.*float64", function, Z.astype(np.float32), out=Z)
    refuse(name, (TypeError, ValueError), "out", "float64.*got.*int64", function, Z, out=np.empty(3, np.int64))
    refuse(name, ValueError, "out", "writ.*got.*read-only", function, Z, out=read_only(Z))
    refuse(name, TypeError, "out", "array.*got.*list", function, Z, out=[0.0, 0.0, 0.0])

# --- X, y, weights, bias and the rest, wherever they are taken --------------------------------------------------------
Taking = Callable[..., Any]
TAKING: list[tuple[str, Taking]] = [
    ("predict_proba", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.predict_proba(X, weights, bias, **o)),
    ("loss", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.loss(X, y, weights, bias, **o)),
    ("gradient", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.gradient(X, y, weights, bias, **o)),
    ("loss_gradient", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.loss_gradient(X, y, weights, bias, **o)),
    (
        "gradient_step",
        lambda X=X, y=Y, weights=W, bias=0.5, learning_rate=0.1, **o: gradstep.gradient_step(
            X, y, weights, bias, learning_rate, **o
        ),
    ),
    ("fit", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.Trainer(0.1, 2).fit(X, y, weights, bias, **o)),
    (
        "fit, point by point",
        lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.Trainer(0.1, 2, batch_size=1).fit(X, y, weights, bias, **o),
    ),
]

for name, take in TAKING:
    training = name.startswith("fit")
    for value, facts in NOT_REAL:
        matrix = value if value is None or isinstance(value, dict) else value.reshape(1, 3)
        refuse(name, (TypeError, ValueError) if value is None else TypeError, "X", facts, take, X=matrix, y=Y[:1])
        if not (training and value is None):
            refuse(name, TypeError, "weights", facts, take, weights=value)
    refuse(name, ValueError, "X", r"2.*got.*(1|3)", take, X=X[0], y=Y[:3])
    refuse(name, ValueError, "X", r"2.*got.*(3|1, 4, 3)", take, X=X[None])
    refuse(name, ValueError, "X", r"2.*got shape \(\)", take, X=1.0)
    refuse(name, ValueError, "X", r"row.*got.*0", take, X=np.empty((0, 3)), y=Y[:0])
    refuse(name, ValueError, "X", r"column.*got.*0", take, X=np.empty((4, 0)), weights=W[:0])
    refuse(name, ValueError, "X", r"got.*0", take, X=np.empty((0, 0)), y=Y[:0], weights=W[:0])
    refuse(name, (TypeError, ValueError), "X", "", take, X=[[1.0, 2.0, 3.0], [1.0]])
    refuse(name, ValueError, "weights", r"3.*got.*2", take, weights=W[:2])
    refuse(name, ValueError, "weights", r"3.*got.*4", take, weights=np.ones(4))
    refuse(name, ValueError, "weights", r"got.*(2|3, 1)", take, weights=W[:, None])
    refuse(name, ValueError, "weights", r"1.*got shape \(\)", take, weights=0.5)
    refuse(name, TypeError, "bias", "number.*got.*str", take, bias="1")
    refuse(name, TypeError, "bias", "number.*got.*complex", take, bias=1j)
    refuse(name, TypeError, "bias", "number.*got.*None", take, bias=None)
    refuse(name, TypeError, "bias", "number.*got.*list", take, bias=[0.5])
    if not training:
        refuse(name, ValueError, "n_threads", r"1.*got 0", take, n_threads=0)
        refuse(name, ValueError, "n_threads", r"1.*got -2", take, n_threads=-2)
        refuse(name, TypeError, "n_threads", "integer.*got.*str", take, n_threads="two")
        refuse(name, TypeError, "n_threads", "integer.*got.*float", take, n_threads=1.5)
    if name == "predict_proba":
        continue

    for value, facts in NOT_REAL:
        refuse(name, (TypeError, ValueError) if value is None else TypeError, "y", facts, take, X=X[:3], y=value)
    refuse(name, ValueError, "y", r"4.*got.*3", take, y=Y[:3])
    refuse(name, ValueError, "y", r"4.*got.*5", take, y=np.ones(5))
    refuse(name, ValueError, "y", r"4.*got.*0", take, y=Y[:0])
    refuse(name, ValueError, "y", r"1.*got.*(2|4, 1)", take, y=Y[:, None])
    refuse(name, ValueError, "y", r"1.*got shape \(\)", take, y=1.0)
    refuse(name, ValueError, "y", r"\[0, 1\].*got 2.*row 2", take, y=[0, 1, 2, 3])
    refuse(name, ValueError, "y", r"\[0, 1\].*got -1.*row 1", take, y=[0, -1, 1, -1])
    refuse(name, ValueError, "y", r"\[0, 1\].*got 1\.00000.*row 3", take, y=replaced(Y, 3, 1 + 1e-12))
    refuse(name, ValueError, "y", r"got inf.*row 2", take, y=replaced(Y, 2, np.inf))
    refuse(name, ValueError, "y", r"\[0, 1\].*got 200.*row 2", take, y=np.array([0, 1, 200, 1], np.uint8))
    if training:
        refuse(name, ValueError, "y", r"got nan.*row 2", take, y=replaced(Y, 2, np.nan))
        for row, column, value in [(0, 0, np.nan), (3, 2, np.inf), (2, 1, -np.inf)]:
            facts = rf"finite.*got {value}.*row {row}, column {column}"
            refuse(name, ValueError, "X", facts, take, X=replaced(X, (row, column), value))
        twice = replaced(replaced(X, (2, 0), np.inf), (1, 2), np.nan)
        refuse(name, ValueError, "X", "row 1, column 2", take, X=twice)
        refuse(name, ValueError, "X", "row 1, column 2", take, X=np.asfortranarray(twice))
        refuse(name, ValueError, "X", "row 1, column 2", take, X=twice.astype(np.float32))
        refuse(name, ValueError, "weights", r"finite.*got nan at index 1", take, weights=replaced(W, 1, np.nan))
        refuse(name, ValueError, "weights", r"finite.*got inf at index 2", take, weights=replaced(W, 2, np.inf))
        refuse(name, ValueError, "bias", r"finite.*got.*nan", take, bias=np.nan)
        refuse(name, ValueError, "bias", r"finite.*got.*-inf", take, bias=-np.inf)
        refuse(name, TypeError, "callback", "callable.*got.*int", take, callback=3)
        refuse(name, TypeError, "callback", "callable.*got.*str", take, callback="print")
        continue

    for value, facts in NOT_REAL[:-1]:
        refuse(name, TypeError, "sample_weight", facts, take, X=X[:3], y=Y[:3], sample_weight=value)

# --- sample_weight, learning_rate, reduction --------------------------------------------------------------------------
WEIGHING: list[tuple[str, Taking]] = [(name, take) for name, take in TAKING[1:5]]
WEIGHING += [("cross_entropy", lambda **o: gradstep.cross_entropy(Y, [0.1, 0.2, 0.3, 0.4], **o))]
for name, take in WEIGHING:
    for weight, facts in [
        (np.ones(3), r"4.*got.*3"),
        (np.ones((4, 1)), r"got.*(2|4, 1)"),
        (2.0, r"got.*0"),
        ([1.0, 1.0, -0.5, 1.0], r"got -0\.5.*row 2"),
        ([1.0, np.nan, 1.0, 1.0], r"got nan.*row 1"),
        ([1.0, 1.0, 1.0, np.inf], r"got inf.*row 3"),
        (np.zeros(4), r"got.*(0|zero)"),
    ]:
        refuse(name, ValueError, "sample_weight", facts, take, sample_weight=weight)


def step(**options: Any) -> Any:
    return gradstep.gradient_step(X, Y, W, 0.0, **{"learning_rate": 0.1, **options})


for name, call in (("gradient_step", step), ("Trainer", gradstep.Trainer)):
    for rate, facts in [(0.0, "0"), (-0.5, r"-0\.5"), (np.inf, "inf"), (np.nan, "nan"), (-np.inf, "-inf")]:
        refuse(name, ValueError, "learning_rate", f"finite.*got {facts}", call, learning_rate=rate)
    refuse(name, TypeError, "learning_rate", "number.*got.*str", call, learning_rate="fast")
    refuse(name, TypeError, "learning_rate", "number.*got.*None", call, learning_rate=None)
    refuse(name, ValueError, "reduction", "mean.*sum.*got.*total", call, reduction="total")
    refuse(name, ValueError, "reduction", "mean.*sum.*got", call, reduction="")
    refuse(name, TypeError, "reduction", "got.*None", call, reduction=None)

# --- cross_entropy ----------------------------------------------------------------------------------------------------
for value, facts in NOT_REAL:
    refuse("cross_entropy", TypeError, "y_hat", facts, gradstep.cross_entropy, [0, 1, 1], value)
    refuse("cross_entropy", TypeError, "y", facts, gradstep.cross_entropy, value, [0.5, 0.5, 0.5])
refuse("cross_entropy", ValueError, "y|y_hat", r"(4.*got.*3|3.*got.*4)", gradstep.cross_entropy, Y, np.full(3, 0.5))
refuse("cross_entropy", ValueError, "y", r"got 2.*row 2", gradstep.cross_entropy, [0, 1, 2], np.full(3, 0.5))
refuse("cross_entropy", ValueError, "y_hat", r"got.*(2|4, 1)", gradstep.cross_entropy, Y, np.full((4, 1), 0.5))
refuse("cross_entropy", ValueError, "y", r"got.*(2|2, 1)", gradstep.cross_entropy, [[0], [1]], [0.5, 0.5])
refuse("cross_entropy", ValueError, "y|y_hat", r"got.*(0|empty)", gradstep.cross_entropy, [], [])

# --- Trainer ----------------------------------------------------------------------------------------------------------
for option in ("epochs", "batch_size", "n_threads"):
    refuse("Trainer", ValueError, option, "1.*got 0", gradstep.Trainer, **{option: 0})
    refuse("Trainer", ValueError, option, "1.*got -3", gradstep.Trainer, **{option: -3})
    refuse("Trainer", TypeError, option, "integer.*got.*float", gradstep.Trainer, **{option: 1.5})
    refuse("Trainer", TypeError, option, "integer.*got.*str", gradstep.Trainer, **{option: "7"})
refuse("Trainer", TypeError, "epochs", "integer.*got.*None", gradstep.Trainer, epochs=None)
for option in ("l2", "tol"):
    refuse("Trainer", ValueError, option, r"got -0\.25", gradstep.Trainer, **{option: -0.25})
    refuse("Trainer", ValueError, option, "got nan", gradstep.Trainer, **{option: np.nan})
    refuse("Trainer", ValueError, option, "got inf", gradstep.Trainer, **{option: np.inf})
    refuse("Trainer", TypeError, option, "number.*got.*str", gradstep.Trainer, **{option: "0"})
    refuse("Trainer", TypeError, option, "number.*got.*None", gradstep.Trainer, **{option: None})
for option in ("shuffle", "trace"):
    refuse("Trainer", TypeError, option, "got.*str", gradstep.Trainer, **{option: "yes"})
    refuse("Trainer", TypeError, option, "got.*None", gradstep.Trainer, **{option: None})
refuse("Trainer", ValueError, "activation", "sigmoid.*step.*got.*tanh", gradstep.Trainer, activation="tanh")
refuse("Trainer", TypeError, "activation", "got.*ufunc", gradstep.Trainer, activation=np.tanh)
refuse("Trainer", ValueError, "seed", "None.*shuffle=True.*got 1", gradstep.Trainer, seed=1)
refuse("Trainer", ValueError, "seed", "None.*shuffle=True.*got 0", gradstep.Trainer, seed=0, shuffle=False)
refuse("Trainer", ValueError, "seed", "got -1", gradstep.Trainer, seed=-1, shuffle=True)
refuse("Trainer", ValueError, "seed", "got 18446744073709551616", gradstep.Trainer, seed=2**64, shuffle=True)
refuse("Trainer", TypeError, "seed", "integer.*got.*str", gradstep.Trainer, seed="lucky", shuffle=True)
refuse("Trainer", TypeError, "seed", "integer.*got.*float", gradstep.Trainer, seed=1.5, shuffle=True)


@pytest.mark.parametrize(("call", "kind", "argument", "facts"), ROWS)
def test_refused(call: Callable[[], Any], kind: type[Exception], argument: str, facts: str) -> None:
    before = [values.tobytes() for values in EVERYTHING]
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert re.fullmatch(rf"({argument}) must \S.*, got \S.*", message), message
    assert re.search(facts, message), message
    assert [values.tobytes() for values in EVERYTHING] == before
    # The exact type: UnicodeDecodeError is a ValueError, but not one for callers.
    assert type(caught.value) in (ValueError, TypeError)


def test_out_is_untouched_when_refused() -> None:
    for z, out in [
        (np.zeros(3), np.full(4, 7.0)),
        (np.zeros(3), np.full(3, 7.0, np.float32)),
        (np.array([1j, 1j]), np.full(2, 7.0)),
    ]:
        before = out.tobytes()
        with pytest.raises((TypeError, ValueError)):
            gradstep.sigmoid(z, out=out)
        assert out.tobytes() == before


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_the_callback_is_not_called_for_a_fit_that_is_refused(batch_size: int | None) -> None:
    calls: list[Any] = []
    trainer = gradstep.Trainer(0.1, 5, batch_size=batch_size)
    with pytest.raises(ValueError, match=r"^X must"):
        trainer.fit(replaced(X, (3, 2), np.nan), Y, callback=lambda *call: calls.append(call))
    assert calls == []


def test_the_first_bad_entry_is_named_in_a_large_array() -> None:
    """… by row first, in every layout, however the search is cut into pieces."""
    large = np.zeros((30_000, 5))
    large[29_999, 0] = large[17_001, 4] = large[17_001, 2] = large[20_000, 1] = np.nan
    y = np.zeros(30_000)
    for view in (large, np.asfortranarray(large), large.astype(np.float32), np.repeat(large, 2, axis=0)[::2]):
        for options in ({}, {"batch_size": 1}, {"batch_size": 64, "shuffle": True, "seed": 0}):
            with pytest.raises(ValueError, match=r"^X must .*row 17001, column 2"):
                gradstep.Trainer(epochs=1, **options).fit(view, y)
    y[25_000] = y[25_001] = -0.5
    with pytest.raises(ValueError, match=r"^y must .*row 25000"):
        gradstep.loss(np.zeros((30_000, 5)), y, np.zeros(5))
    with pytest.raises(ValueError, match=r"^y must .*row 25000"):
        gradstep.Trainer(epochs=1).fit(np.zeros((30_000, 5)), y)
