"""What is refused of the arguments of the formulas, in every function that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradstep
from helpers.refusals.rows import NOT_REAL, W, X, Y, Z, read_only, refuse, replaced

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
    if name not in ("decision_function", "predict_proba"):  # these take X[0] for one row
        refuse(name, ValueError, "X", r"2.*got.*(1|3)", take, X=X[0], y=Y[:3])
    refuse(name, ValueError, "X", r"2.*got.*(3|1, 4, 3)", take, X=X[None])
    refuse(name, ValueError, "X", r"2.*got shape \(\)", take, X=1.0)
    refuse(name, ValueError, "X", r"row.*got.*0", take, X=np.empty((0, 3)), y=Y[:0])
    refuse(name, ValueError, "X", r"column.*got.*0", take, X=np.empty((4, 0)), weights=W[:0])
    refuse(name, ValueError, "X", r"got.*0", take, X=np.empty((0, 0)), y=Y[:0], weights=W[:0])
    refuse(name, (TypeError, ValueError), "X", "", take, X=[[1.0, 2.0, 3.0], [1.0]])
    refuse(name, ValueError, "weights", r"3.*got.*2", take, weights=W[:2])
    refuse(name, ValueError, "weights", r"3.*got.*4", take, weights=np.ones(4))
    refuse(name, ValueError, "weights", r"got 3 rows$" if training else r"got.*(2|3, 1)", take, weights=W[:, None])
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
    if training:  # Trainer takes these labels for codes of classes
        refuse(name, ValueError, "weights", "a row per class .*, got one dimension$", take, y=[0, 1, 2, 3])
        facts = "without gaps.*got none of class 2 among those from 0 to 200$"
        refuse(name, ValueError, "y", facts, take, y=np.array([0, 1, 200, 1], np.uint8))
    else:
        refuse(name, ValueError, "y", r"\[0, 1\].*got 2.*row 2", take, y=[0, 1, 2, 3])
        refuse(name, ValueError, "y", r"\[0, 1\].*got 200.*row 2", take, y=np.array([0, 1, 200, 1], np.uint8))
    refuse(name, ValueError, "y", r"\[0, 1\].*got -1.*row 1", take, y=[0, -1, 1, -1])
    refuse(name, ValueError, "y", r"\[0, 1\].*got 1\.00000.*row 3", take, y=replaced(Y, 3, 1 + 1e-12))
    refuse(name, ValueError, "y", r"got inf.*row 2", take, y=replaced(Y, 2, np.inf))
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
