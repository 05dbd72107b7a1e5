"""What is refused: one table for every argument of every public function.

Every message reads "<argument> must <what was expected>, got <what came>". A row is: where, the type of the
exception, the argument, a regular expression for the facts the message has to state (expected before got), the call.
Messages about files and the command line have tables of their own in `test_model.py` and `test_cli.py`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse

import gradstep
from test_sparse import broken

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
    refuse(name, TypeError, "out", "array.*got a masked array$", function, Z, out=np.ma.zeros(3))

# --- X, y, weights, bias and the rest, wherever they are taken --------------------------------------------------------
Taking = Callable[..., Any]
TAKING: list[tuple[str, Taking]] = [
    ("decision_function", lambda X=X, y=Y, weights=W, bias=0.5, **o: gradstep.decision_function(X, weights, bias, **o)),
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
    if name in ("decision_function", "predict_proba"):
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
        for returned, facts in [("no", "str"), (0.5, "float"), (X, "ndarray")]:
            facts = f"return True, False or None, got {facts}$"
            refuse(name, TypeError, "callback", facts, take, callback=lambda *_, answer=returned: answer)
        continue

    for value, facts in NOT_REAL[:-1]:
        refuse(name, TypeError, "sample_weight", facts, take, X=X[:3], y=Y[:3], sample_weight=value)

# --- sample_weight, learning_rate, reduction --------------------------------------------------------------------------
WEIGHING: list[tuple[str, Taking]] = [(name, take) for name, take in TAKING[2:6]]
for name, take in WEIGHING:
    for weight, facts in [
        ([1.0, 1e39, 1.0, 1.0], r"finite in float32, as X is, got 1e39 at row 1$"),
        (np.full(4, 1e-50), r"a finite sum of at least 1e-31, got a sum of 4e-50$"),
    ]:
        refuse(f"{name}, float32", ValueError, "sample_weight", facts, take, X=X.astype("f4"), sample_weight=weight)
WEIGHING += [("cross_entropy", lambda **o: gradstep.cross_entropy(Y, [0.1, 0.2, 0.3, 0.4], **o))]
for name, take in WEIGHING:
    for weight, facts in [
        (np.ones(3), r"4.*got.*3"),
        (np.ones((4, 1)), r"got.*(2|4, 1)"),
        (2.0, r"got.*0"),
        ([1.0, 1.0, -0.5, 1.0], r"got -0\.5.*row 2"),
        ([1.0, np.nan, 1.0, 1.0], r"got nan.*row 1"),
        ([1.0, 1.0, 1.0, np.inf], r"got inf.*row 3"),
        (np.zeros(4), r"a positive sum, got only zeros$"),
        (np.full(4, 1e308), r"a finite sum of at least 1e-292, got a sum of inf$"),
        (np.full(4, 5e-324), r"a finite sum of at least 1e-292, got a sum of 2e-323$"),
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
refuse("Trainer", ValueError, "learning_rate", r"range of float64.*got a larger one", gradstep.Trainer, 10**400)
for option, expected, came in [
    ({"batch_size": 1}, "None", "1"),
    ({"shuffle": True}, "False", "True"),
    ({"reduction": "sum"}, "'mean'", "'sum'"),
    ({"activation": "step"}, "'sigmoid'", "'step'"),
    ({"trace": True}, "False", "True"),
]:
    facts = f"{expected} with learning_rate='auto', got {came}$"
    refuse("Trainer", ValueError, next(iter(option)), facts, partial(gradstep.Trainer, "auto"), **option)
refuse(
    "Trainer", ValueError, "weights", r"small enough for the error and its gradient to be finite, got 1e308$",
    gradstep.Trainer("auto").fit, X, Y, np.full(3, 1e308),
)  # fmt: skip
refuse("Trainer", TypeError, "learning_rate", "'auto'.*got the str 'best'", gradstep.Trainer, learning_rate="best")

# --- fit --------------------------------------------------------------------------------------------------------------
for solver in ("lbfgs", "gd"):

    def optimum(X: Any = X, y: Any = Y, solver: Any = solver, **options: Any) -> Any:
        return gradstep.fit(X, y, solver=solver, **options)

    for kind, argument, facts, options in [
        (ValueError, "X", r"finite, got nan at row 2, column 1$", {"X": replaced(X, (2, 1), np.nan)}),
        (ValueError, "X", r"finite, got -inf at row 0, column 0$", {"X": replaced(X, (0, 0), -np.inf)}),
        (ValueError, "X", r"small enough for sums of its squares to be finite, got 1.375e300$",
         {"X": X * 1e300, "l2": 0.1}),
        (ValueError, "X", r"at least one row and one column, got shape \(0, 3\)$", {"X": X[:0], "y": []}),
        (ValueError, "X", r"2-dimensional, got shape \(4,\)", {"X": Y}),
        (TypeError, "X", r"an array of real numbers, got dtype complex", {"X": X + 0j}),
        (ValueError, "y", r"length 4 \(one label per row of X\), got length 3$", {"y": Y[:3]}),
        (ValueError, "y", r"labels in \[0, 1\], got nan at row 3$", {"y": replaced(Y, 3, np.nan)}),
        (ValueError, "y", r"labels in \[0, 1\], got 2.5 at row 1$", {"y": [0, 2.5, 1, 0]}),
        (ValueError, "y", r"labels in \[0, 1\], got -1 at row 0$", {"y": [-1, 1, 1, -1]}),
        (ValueError, "sample_weight", r"length 4 \(.*\), got length 2", {"sample_weight": [1, 1]}),
        (ValueError, "sample_weight", r"finite and not negative, got -1 at row 1$", {"sample_weight": -Y}),
        (ValueError, "sample_weight", r"a positive sum, got only zeros$", {"sample_weight": np.zeros(4)}),
        (ValueError, "sample_weight", r"a finite sum .*, got a sum of inf$", {"sample_weight": np.full(4, 1e308)}),
        (ValueError, "l2", r"finite and not negative, got -1$", {"l2": -1}),
        (ValueError, "l2", r"finite and not negative, got inf$", {"l2": np.inf}),
        (TypeError, "l2", r"a real number, got str$", {"l2": "1"}),
        (ValueError, "tol", r"finite and not negative, got nan$", {"tol": np.nan}),
        (ValueError, "tol", r"finite and not negative, got -1$", {"tol": -1}),
        (TypeError, "tol", r"a real number, got str$", {"tol": "1e-8"}),
        (ValueError, "gap_tol", r"finite and not negative, got -1e-8$", {"gap_tol": -1e-8}),
        (ValueError, "gap_tol", r"finite and not negative, got inf$", {"gap_tol": np.inf}),
        (TypeError, "gap_tol", r"a real number, got NoneType$", {"gap_tol": None}),
        (TypeError, "certify", r"True or False, got int$", {"certify": 0}),
        (TypeError, "certify", r"True or False, got NoneType$", {"certify": None}),
        (ValueError, "max_passes", r"positive, got 0$", {"max_passes": 0}),
        (TypeError, "fit_bias", r"True or False, got int$", {"fit_bias": 1}),
        (ValueError, "weights", r"length 3 \(one weight per column of X\), got length 4$", {"weights": Y}),
        (ValueError, "weights", r"finite in the dtype .*, got nan at index 1$", {"weights": replaced(W, 1, np.nan)}),
        (ValueError, "weights", r"finite .*, got inf at index 0$", {"X": X.astype("f4"), "weights": [1e300, 0, 0]}),
        (ValueError, "bias", r"finite in the dtype of the computation, got inf$", {"weights": W, "bias": np.inf}),
        (ValueError, "bias", r"None without weights, got 1$", {"bias": 1}),
        (ValueError, "bias", r"None with fit_bias=False, got 1$", {"bias": 1, "fit_bias": False}),
        (ValueError, "n_threads", r"a positive integer \(at least 1\), got 0$", {"n_threads": 0}),
        (ValueError, "n_threads", r"an integer of at most \d+, got 18446744073709551616$", {"n_threads": 2**64}),
        (TypeError, "callback", r"callable or None, got int$", {"callback": 3}),
        (TypeError, "callback", r"return True, False or None, got float$",
         {"y": [0, 1, 1, 1], "l2": 0.1, "callback": lambda best: best.objective}),
    ]:  # fmt: skip
        refuse(f"fit, {solver}", kind, argument, facts, optimum, **options)
refuse(
    "fit, lbfgs", ValueError, "sample_weight", r"finite in float32, as X is, got 1e39 at row 0$",
    gradstep.fit, X.astype("f4"), Y, sample_weight=[1e39, 0, 1, 1],
)  # fmt: skip
refuse("fit", ValueError, "solver", r"one of 'auto', 'lbfgs', 'gd', got 'newton'$", gradstep.fit, X, Y, solver="newton")
refuse("fit", TypeError, "solver", r"a str, got int$", gradstep.fit, X, Y, solver=2)

# --- several classes --------------------------------------------------------------------------------------------------
refuse("softmax", ValueError, "z", "one axis, the last one of classes, got a scalar$", gradstep.softmax, 1.0)
for dtype in (np.float32, np.float64):
    z = X.astype(dtype)
    refuse("softmax", ValueError, "out", r"shape \(4, 3\), got shape \(3, 4\)$", gradstep.softmax, z, out=z.T)

CLASSES: dict[str, Any] = {"X": X, "y": [0, 1, 2, 0], "weights": np.ones((3, 3)), "bias": np.zeros(3)}
for formula in (gradstep.loss, gradstep.gradient, gradstep.loss_gradient):
    for kind, argument, facts, changed in [
        (ValueError, "y", r"class codes from 0 to 2, got 3 at row 1$", [0, 3, 1, 2]),
        (ValueError, "y", r"class codes from 0 to 2, got -1 at row 0$", [-1, 0, 1, 2]),
        (ValueError, "y", r"class codes from 0 to 2, got 0.5 at row 3$", [0, 0, 1, 0.5]),
        (ValueError, "y", r"class codes from 0 to 2, got nan at row 2$", [0, 0, np.nan, 1]),
        (ValueError, "y", r"length 4 \(one label per row of X\), got length 2$", [0, 1]),
        (ValueError, "weights", r"a row per class and 3 columns .* got shape \(3, 4\)$", np.ones((3, 4))),
        (ValueError, "weights", r"at least one row, got shape \(0, 3\)$", np.ones((0, 3))),
        (ValueError, "weights", r"1-dimensional, got shape \(3, 3, 1\)$", np.ones((3, 3, 1))),
        (ValueError, "bias", r"shape \(3,\) \(one per row of weights\), got shape \(2,\)$", [1, 2]),
        (ValueError, "bias", r"1-dimensional, got shape \(3, 1\)$", np.ones((3, 1))),
        (TypeError, "bias", r"an array of real numbers, got dtype <U1$", ["1", "2", "3"]),
        (ValueError, "sample_weight", r"finite and not negative, got -1 at row 2$", [1, 1, -1, 1]),
        (ValueError, "sample_weight", r"a positive sum, got only zeros$", [0, 0, 0, 0]),
    ]:
        refuse(f"{formula.__name__}, classes", kind, argument, facts, formula, **{**CLASSES, argument: changed})
refuse(
    "gradient_step, classes", ValueError, "weights", r"1-dimensional, got shape \(3, 3\)$",
    gradstep.gradient_step, **{**CLASSES, "learning_rate": 0.1},
)  # fmt: skip

for argument, facts, options in [
    ("y", r"class codes without gaps, .*, got none of class 1 among those from 0 to 3$", {"y": [0, 3, 2, 0]}),
    ("y", r"class codes without gaps, .*, got none of class 0 among those from 0 to 3$", {"y": [1, 2, 3, 3]}),
    ("y", r"class codes without gaps, .*, got none of class 3 among those from 0 to ", {"y": [0, 1, 1e15, 2]}),
    ("y", r"class codes .*, got none of class 2 among those from 0 to 2$", {"sample_weight": [1, 1, 0, 1]}),
    ("y", r"class codes .* labels in \[0, 1\], got 0.5 at row 3$", {"y": [0, 1, 2, 0.5]}),
    ("y", r"class codes .* labels in \[0, 1\], got -1 at row 3$", {"y": [0, 1, 2, -1]}),
    ("sample_weight", r"finite and not negative, got -1 at row 3$", {"sample_weight": [1, 1, 1, -1]}),
    ("sample_weight", r"a positive sum, got only zeros$", {"sample_weight": [0, 0, 0, 0]}),
    ("weights", r"one-dimensional for labels .*, and a row per class .*, got one dimension", {"weights": [1, 2, 3]}),
    ("weights", r"got 4 rows$", {"weights": np.ones((4, 3))}),
    ("weights", r"length 3 \(one per column of X, in each row .*\), got length 1$", {"weights": np.ones((3, 1))}),
    ("bias", r"shape \(3,\) .*, got shape \(2,\)$", {"weights": np.ones((3, 3)), "bias": [1, 2]}),
    ("bias", r"finite in the dtype .*, got nan", {"weights": np.ones((3, 3)), "bias": [1, 2, np.nan]}),
    ("bias", r"None without weights, got \[1, 2, 3\]$", {"bias": [1, 2, 3]}),
]:  # fmt: skip
    refuse("fit, classes", ValueError, argument, facts, gradstep.fit, **{"X": X, "y": [0, 1, 2, 1], **options})

# --- sparse X ---------------------------------------------------------------------------------------------------------
DENSE_OR = "a dense array, or a SciPy CSR or CSC array or matrix, got scipy.sparse "
ONE_DIMENSION = scipy.sparse.csr_array(np.ones(3))
SPARSE: list[tuple[Any, Kind, str, str]] = [
    (scipy.sparse.coo_array(X), TypeError, "X", rf"{DENSE_OR}coo_array: convert it with .tocsr\(\)$"),
    (scipy.sparse.lil_matrix(X), TypeError, "X", rf"{DENSE_OR}lil_matrix: convert it with .tocsr\(\)$"),
    (scipy.sparse.bsr_array(X), TypeError, "X", rf"{DENSE_OR}bsr_array: convert it with .tocsr\(\)$"),
    (ONE_DIMENSION, ValueError, "X", r"2-dimensional, got shape \(3,\)$"),
    (scipy.sparse.csr_array(X * 1j), TypeError, "X.data", r"an array of real numbers, got dtype complex128$"),
    (scipy.sparse.csr_array((0, 3)), ValueError, "X", r"at least one row and one column, got shape \(0, 3\)$"),
    (scipy.sparse.csc_array((3, 0)), ValueError, "X", r"at least one row and one column, got shape \(3, 0\)$"),
]
for form, part, kind, facts, values in [
    ("csr", "indices", TypeError, "an array of integers, got dtype float64$", [0.0, 2, 3, 0, 1]),
    ("csr", "indices", ValueError, r"columns from 0 to 3, got 4 at position 2 \(row 1\)$", [0, 2, 4, 0, 1]),
    ("csr", "indices", ValueError, r"columns from 0 to 3, got -1 at position 3 \(row 2\)$", [0, 2, 3, -1, 1]),
    ("csr", "indices", ValueError, rf"columns from 0 to 3, got {2**62} at position 3 \(row 2\)$", [0, 2, 3, 2**62, 1]),
    ("csc", "indices", ValueError, r"rows from 0 to 3, got 4 at position 2 \(column 1\)$", [0, 2, 4, 0, 1]),
    ("csr", "indices", ValueError, r"length 5 \(one index per element of X.data\), got length 3$", [0, 2, 3]),
    ("csr", "indptr", ValueError, r"start at 0, got 1 at position 0$", [1, 2, 3, 5]),
    ("csr", "indptr", ValueError, r"not decrease, got 2 at position 2$", [0, 3, 2, 5]),
    ("csr", "indptr", ValueError, r"end within X.indices and X.data, got 6 at position 3$", [0, 2, 3, 6]),
    ("csr", "indptr", ValueError, r"length 4 \(one more than the rows of X\), got length 3$", [0, 2, 5]),
    ("csc", "indptr", ValueError, r"length 4 \(one more than the columns of X\), got length 3$", [0, 2, 5]),
    ("csr", "data", ValueError, r"1-dimensional, got shape \(1, 5\)$", [[1.0, 2, 3, 4, 5]]),
]:
    SPARSE.append((broken(form, **{part: values}), kind, f"X.{part}", facts))

negative = scipy.sparse.csr_array((3, 4))
negative._shape = (3, -4)
SPARSE.append((negative, ValueError, "X.shape", r"two integers from 0 on, got \(3, -4\)$"))
for matrix, kind, argument, facts in SPARSE:
    m, n = (max(1, length) for length in (*matrix.shape, 1)[:2])
    labels = np.arange(m) % 2
    for name, call in {
        "loss": lambda X, y, weights: gradstep.loss(X, y, weights),
        "loss_gradient": lambda X, y, weights: gradstep.loss_gradient(X, y, weights),
        "predict_proba": lambda X, y, weights: gradstep.predict_proba(X, weights),
        "fit": lambda X, y, weights: gradstep.fit(X, y),
        "fit, gd": lambda X, y, weights: gradstep.fit(X, y, solver="gd"),
        "Trainer": lambda X, y, weights: gradstep.Trainer(0.1, 1).fit(X, y),
        "Trainer, point by point": lambda X, y, weights: gradstep.Trainer(0.1, 1, batch_size=1).fit(X, y),
        "Trainer, traced": lambda X, y, weights: gradstep.Trainer(0.1, 1, batch_size=2, trace=True).fit(X, y),
    }.items():
        refuse(f"{name}, sparse", kind, argument, facts, call, matrix, labels, np.zeros(n))

CSR = scipy.sparse.csr_array(X)
refuse("loss, sparse", ValueError, "y", r"length 4 .*, got length 3$", gradstep.loss, CSR, Y[:3], W)
refuse("loss, sparse", ValueError, "weights", r"length 3 .*, got length 4$", gradstep.loss, CSR, Y, np.ones(4))
refuse("loss, sparse", ValueError, "y", r"\[0, 1\], got 2 at row 1$", gradstep.loss, CSR, [1, 2, 0, 0], W)
refuse("loss, sparse", TypeError, "y", "a dense array, got scipy.sparse csr_array$", gradstep.loss, CSR, CSR, W)

# --- the rest of the functions ----------------------------------------------------------------------------------------
refuse("hessian", ValueError, "weights", r"length 3 .*, got length 2$", gradstep.hessian, X, W[:2])
refuse("hessian", ValueError, "sample_weight", r"got -1 at row 1$", gradstep.hessian, X, W, sample_weight=-Y)
SQUARE = np.array([[1.0, 2.0], [3.0, -1.0], [-1.0, 0.5], [0.0, 4.0]])
for kind, argument, facts, changed in [
    (ValueError, "X", r"no linear combinations of one another.*, got column 1, which is constant$",
     {"X": SQUARE[:, :1] ** [1, 0]}),
    (ValueError, "X", r"got column 1, which column 0 determines$", {"X": SQUARE[:, :1] * [1, 2], "bias": 3}),
    (ValueError, "X", r"got column 2, which columns 0, 1 determine$",
     {"X": SQUARE @ [[1, 0, 1], [0, 1, -2]], "weights": W}),
    (ValueError, "X", r"finite, got nan at row 1, column 0$", {"X": replaced(SQUARE, (1, 0), np.nan)}),
    (ValueError, "X", r"in units in which its covariance is finite, got .* too small$", {"X": SQUARE * 1e-310}),
    (ValueError, "X", r"at least one row and one column, got shape \(0, 2\)$", {"X": SQUARE[:0]}),
    (ValueError, "weights", r"length 2 \(one weight per column of X\), got length 3$", {"weights": W}),
    (ValueError, "weights", r"1-dimensional, got shape \(2, 1\)$", {"weights": W[:2, None]}),
    (TypeError, "bias", r"a real number, got list$", {"bias": [0.5]}),
    (ValueError, "sample_weight", r"finite and not negative, got -1 at row 1$", {"sample_weight": -Y}),
    (ValueError, "sample_weight", r"a positive sum, got only zeros$", {"sample_weight": np.zeros(4)}),
    (TypeError, "fit_bias", r"True or False, got int$", {"fit_bias": 1}),
    (ValueError, "n_threads", r"a positive integer \(at least 1\), got 0$", {"n_threads": 0}),
]:  # fmt: skip
    refuse("covariance", kind, argument, facts, gradstep.covariance, **{"X": SQUARE, "weights": W[:2], **changed})
refuse("show_config", ValueError, "mode", r"'stdout', 'dicts', got 'json'$", gradstep.show_config, mode="json")


def with_variable(name: str, value: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
            patch.delenv(variable, raising=False)
        patch.setenv(name, value)
        return gradstep.sigmoid(Z)


for name in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
    refuse("sigmoid", ValueError, name, "a positive integer, got 'two'$", with_variable, name, "two")

# --- what memory cannot hold: a shape costs nothing to write down -----------------------------------------------------
ZERO = np.zeros(1)
refuse(
    "sigmoid",
    MemoryError,
    "z",
    rf"fit into memory, got shape \({2**55},\)$",
    gradstep.sigmoid,
    np.broadcast_to(ZERO, 2**55),
)
FAR = np.lib.stride_tricks.as_strided(ZERO, (3, 3), (2**62, 8))
refuse("predict_proba", ValueError, "X", "address space, got strides that leave it$", gradstep.predict_proba, FAR, W)
TALL, LONG, BROAD = (np.broadcast_to(ZERO, shape) for shape in ((2**45, 1), 2**45, (1, 2**45)))
for name, argument, facts, call, *given in [
    ("Trainer", "weights", f"got {2**45} columns of X$", gradstep.Trainer().fit, BROAD, [1]),
    ("Trainer", "trace", f"got {2**45 * 100} updates", gradstep.Trainer(batch_size=1, trace=True).fit, TALL, LONG),
    ("Trainer", "trace", f"got {10**18} updates to record$", gradstep.Trainer(epochs=10**18, trace=True).fit, X, Y),
    ("Trainer", "shuffle", f"got {2**45} rows", gradstep.Trainer(batch_size=1, shuffle=True).fit, TALL, LONG),
    ("Trainer", "weights", f"got {2**60} columns", gradstep.Trainer().fit, scipy.sparse.csr_array((2, 2**60)), [0, 1]),
    ("loss", "X", rf"got {2**60 + 1} row starts$", gradstep.loss, scipy.sparse.csc_array((2**60, 2)), [0, 1], W[:2]),
    (
        "hessian",
        "X",
        r"got \d+ elements of its Hessian$",
        gradstep.hessian,
        scipy.sparse.csr_array((1, 2**20)),
        np.zeros(2**20),
    ),
    (
        "covariance",
        "X",
        r"got \d+ elements of its covariance$",
        gradstep.covariance,
        scipy.sparse.csr_array((1, 2**20)),
        np.zeros(2**20),
    ),
]:
    refuse(name, MemoryError, argument, f"fit into memory, {facts}", call, *given)

# --- the estimator ----------------------------------------------------------------------------------------------------
POINTS = np.random.default_rng(0).normal(size=(40, 2))
NAMES = np.resize(["ash", "beech"], 40)


def estimate(X: Any = POINTS, y: Any = NAMES, data: dict[str, Any] | None = None, **options: Any) -> Any:
    return gradstep.LogisticRegression(**options).fit(X, y, **(data or {}))


def learn(X: Any = POINTS, y: Any = NAMES, classes: Any = ("ash", "beech"), **options: Any) -> Any:
    return gradstep.LogisticRegression(**options).partial_fit(X, y, classes=classes)


def go_on(method: str, X: Any = POINTS, y: Any = NAMES, **data: Any) -> Any:
    model = gradstep.LogisticRegression(warm_start=True).partial_fit(POINTS, NAMES, classes=["ash", "beech"])
    return getattr(model, method)(X, y, **data)


for option, kind, facts, value in [
    ("alpha", ValueError, r"finite and not negative, got -1.0$", -1.0),
    ("alpha", ValueError, r"finite and not negative, got nan$", np.nan),
    ("alpha", TypeError, r"a real number, got str$", "1"),
    ("C", ValueError, r"positive, got 0.0$", 0.0),
    ("C", ValueError, r"positive, got nan$", np.nan),
    ("C", ValueError, r"large enough for its penalty, .* got C=5e-324 and a sum of 40", 5e-324),
    ("tol", ValueError, r"finite and not negative, got -1$", -1.0),
    ("gap_tol", ValueError, r"finite and not negative, got nan$", np.nan),
    ("gap_tol", TypeError, r"a real number, got NoneType$", None),
    ("max_iter", ValueError, r"positive, got 0$", 0),
    ("max_iter", ValueError, r"range of float64, got a larger one$", 10**400),
    ("class_weight", ValueError, r"finite and not negative, got -1.0 for 'beech'$", {"ash": 1, "beech": -1}),
    ("validation_fraction", ValueError, r"between 0 and 1, got 1.5$", 1.5),
    ("validation_fraction", TypeError, r"a real number, got NoneType$", None),
    ("learning_rate", ValueError, r"finite and positive, got inf$", np.inf),
    ("n_iter_no_change", ValueError, r"a positive integer, got 0$", 0),
    ("n_iter_no_change", ValueError, r"a positive integer, got 1.5$", 1.5),
    ("n_threads", ValueError, r"a positive integer \(at least 1\), got 0$", 0),
    ("solver", ValueError, r"'auto', 'lbfgs', 'gd', got 'newton'$", "newton"),
    *(
        (flag, TypeError, "True or False, got str$", "no")
        for flag in ("fit_intercept", "certify", "warm_start", "early_stopping", "standard_errors")
    ),
    ("callback", TypeError, r"callable or None, got str$", "print"),
    ("callback", TypeError, r"return True, False or None, got float$", lambda best: best.objective),
]:
    refuse("LogisticRegression", kind, option, facts, estimate, **{option: value})
refuse("LogisticRegression", ValueError, "alpha", "None where C is given, got alpha=1.*C=2", estimate, alpha=1, C=2)
refuse("LogisticRegression", ValueError, "y", "two or more classes, got one class", estimate, y=np.zeros(40))
for class_weight in (None, "balanced"):
    refuse(
        "LogisticRegression", ValueError, "sample_weight", r"each class, got only zeros for \['ash'\]$",
        estimate, data={"sample_weight": NAMES != "ash"}, class_weight=class_weight,
    )  # fmt: skip
for data, argument, facts in [
    ({"X_val": X, "y_val": Y}, "X_val|y_val", "None without early_stopping=True"),
    ({"X_val": X}, "X_val", "None without early_stopping=True"),
]:
    refuse("LogisticRegression", ValueError, argument, facts, estimate, data=data)
for data, argument, facts in [
    ({"X_val": POINTS}, "y_val", "given together with X_val, got None$"),
    ({"y_val": NAMES}, "X_val", "given together with y_val, got None$"),
    ({"X_val": POINTS[:1], "y_val": ["oak"]}, "y_val", r"\['ash', 'beech'\], got also \['oak'\]$"),
]:
    refuse("LogisticRegression", ValueError, argument, facts, estimate, data=data, early_stopping=True)
for fraction in (0.01, 0.99):
    refuse(
        "LogisticRegression", ValueError, "validation_fraction", rf"each class.*, got {fraction} of 40 samples: ",
        estimate, early_stopping=True, validation_fraction=fraction,
    )  # fmt: skip
of_last_fit = "of the last fit.*, with warm_start=True, got "
refuse("warm start", ValueError, "y", of_last_fit + r"\[0, 1\]$", go_on, "fit", y=np.arange(40) % 2)
refuse("warm start", ValueError, "X", of_last_fit + "1$", go_on, "fit", POINTS[:, :1])

refuse("partial_fit", ValueError, "C", "None for partial_fit, got 1.0", learn, C=1.0)
steep = r"small enough for coefficients to stay finite, got 1e.308 with alpha=None$"
refuse("partial_fit", ValueError, "learning_rate", steep, learn, 1e9 * POINTS, learning_rate=1e308)
refuse("partial_fit", ValueError, "class_weight", "None or a dict.*got 'balanced'", learn, class_weight="balanced")
refuse("partial_fit", ValueError, "classes", "given in the first call of partial_fit, got None$", learn, classes=None)
refuse("partial_fit", ValueError, "classes", r"two or more classes, got \['ash'\]", learn, classes=["ash"])
refuse("partial_fit", ValueError, "classes", "first call.*got.*oak", go_on, "partial_fit", classes=["ash", "oak"])
refuse("partial_fit", ValueError, "y", r"\['ash', 'beech'\], got also \['oak'\]$", learn, POINTS[:2], ["ash", "oak"])

WIDE = np.column_stack([POINTS, POINTS[:, 0] - POINTS[:, 1]])
for facts, options in [
    ("with a penalty, here alpha=0.025,", {}),
    ("with class_weight", {"class_weight": "balanced"}),
    ("with early_stopping", {"early_stopping": True}),
    ("for 3 classes", {"y": np.arange(40) % 3}),
    (r"with aliased columns \(column 2 is column 0 - column 1\)", {"X": WIDE}),
    (r"with aliased columns \(column 2 is constant\)", {"X": WIDE * [1, 1, 0]}),
    ("without a proved optimum, as the fit was stopped by 'separated'", {"X": [[0.0], [1]], "y": [0, 1]}),
    ("without a proved optimum, as the fit was stopped by 'passes'", {"max_iter": 1, "solver": "gd"}),
    ("without a proved optimum, as the fit was stopped by 'uncertified'", {"certify": False}),
]:
    options = {"alpha": 0, **options} if options else {"C": 1.0}
    refuse("standard errors", ValueError, "standard_errors", facts, estimate, standard_errors=True, **options)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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
    assert type(caught.value) in (ValueError, TypeError, MemoryError)


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


SOURCES = Path(__file__).parents[1]
NOT_HERE = (
    "GRADSTEP_ISA must",  # decided once for each process: in test_config.py
    ".* must be unchanged during the call",  # while another thread writes: in test_processes.py
    ".* must lie within its buffer",  # of slices in Rust: no array of NumPy does not
    ".* must be a positive integer or None",  # of counts in Rust: those of Python are read before
)


def templates() -> set[str]:
    """Every message "… must …, got …" in the sources, and what its "…" may be, as regular expressions."""
    found = set()
    files = [file for file in SOURCES.glob("rust/*/src/**/*.rs") if file.name != "tests.rs"]
    for file in [*files, SOURCES / "python/gradstep/_estimator.py"]:
        code = re.split(r"#\[cfg\(test\)\]\s*(?:#\[allow.*\]\s*)?mod tests \{", file.read_text())[0]
        code = re.sub(r"\\\n\s*|\"\n\s*f?\"|^ *//.*$", "", code, flags=re.MULTILINE)  # strings over several lines
        found |= set(re.findall(r'"([^"\n]* must [^"\n]*, got [^"\n]*)"', code))
        found |= {f"{{}} must be {words}, got {{}}" for words in re.findall(r'expected: "([^"\n]*)"', code)}
    found = {re.sub(r"\\{.*?\\}", ".*", re.escape(text)).replace("\\ ", " ") for text in found}
    return {text for text in found if not text.startswith(NOT_HERE)}


def test_every_message_is_in_the_table() -> None:
    """Of the sources, which an installed wheel does not bring along."""
    if not (SOURCES / "python/gradstep/_estimator.py").is_file():
        pytest.skip("the sources are not here")
    messages = []
    for row in ROWS:
        call, kind, *_ = row.values
        with warnings.catch_warnings(action="ignore"), pytest.raises(kind) as caught:
            call()
        messages.append(str(caught.value))
    assert len(templates()) > 50
    assert [text for text in templates() if not any(re.fullmatch(text, message) for message in messages)] == []
