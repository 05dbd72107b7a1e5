"""Rows of the table of refusals about the options of Trainer and fit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import gradstep
from helpers.refusals.rows import W, X, Y, refuse, replaced

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

refuse(
    "trace_frame", ValueError, "trace", r"recorded for a frame of it, by Trainer\(trace=True\), got None$",
    gradstep.Trainer(epochs=1).fit(X, Y).trace_frame,
)  # fmt: skip

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
        (ValueError, "y", r"labels in \[0, 1\], got -1 at row 0: labels are -1 and 1: use 0 and 1 for them, or Log",
         {"y": [-1, 1, 1, -1]}),
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
refuse(
    "fit", ValueError, "solver", r"one of 'auto', 'lbfgs', 'gd', 'proximal', got 'newton'$",
    gradstep.fit, X, Y, solver="newton",
)  # fmt: skip
refuse(
    "fit", ValueError, "lower",
    r"one number per column of X, or a row of them for each of three classes or more, got 2 rows for 3 classes$",
    gradstep.fit, [[0.0], [1.0], [2.0]], [0, 1, 2], lower=[[0.1], [0.2]],
)  # fmt: skip
refuse(
    "fit", ValueError, "grouped", r"False with bounds, got True$",
    gradstep.fit, [[0.0], [1.0], [2.0]], [0, 1, 2], l1=0.1, grouped=True, lower=0.0,
)  # fmt: skip
refuse(
    "fit", ValueError, "prior",
    r"have shape \(1,\) \(one number per column of X\), or a row of 1 numbers for each class, got shape \(1, 2\)$",
    gradstep.fit, [[0.0], [1.0], [2.0]], [0, 1, 2], prior=[[0.1, 0.2]],
)  # fmt: skip
refuse(
    "fit", ValueError, "offset",
    r"one number for each row, or of three classes or more a row of one number for each class, "
    r"got one number for each row, for 3 classes$",
    gradstep.fit, [[0.0], [1.0], [2.0]], [0, 1, 2], offset=[0, 0, 0],
)  # fmt: skip
refuse("fit", TypeError, "solver", r"a str, got int$", gradstep.fit, X, Y, solver=2)

# Firth's penalised likelihood.
for argument, kind, facts, options in [
    *(
        (name, ValueError, rf"left out with firth, which is a penalty of its own, got {value:g}$", {name: value})
        for name, value in (("l1", 0.5), ("l2", 2), ("prior", 1), ("lower", 0), ("upper", 3))
    ),
    ("solver", ValueError, r"'auto' with firth, got 'gd'$", {"solver": "gd"}),
    ("firth", ValueError, r"False for three classes or more, got True for 3 classes$", {"y": [0, 1, 2, 2]}),
    ("firth", TypeError, r"True or False, got int$", {"firth": 1}),
    ("offset", ValueError, r"not all predictions are certain, with firth, got offsets with which they are$",
     {"offset": [1e4, -1e4, 1e4, -1e4]}),
    ("X", ValueError, r"finite, got nan at row 2, column 1$", {"X": replaced(X, (2, 1), np.nan)}),
]:  # fmt: skip
    refuse("fit, firth", kind, argument, facts, gradstep.fit, **({"X": X, "y": Y, "firth": True} | options))

# Penalty factors, a prior, bounds and offsets.
for argument, facts, value in [
    ("penalty_factors", "finite and not negative, got -1 at index 1$", [1, -1, 1]),
    ("prior", "between −1e100 and 1e100, got nan at index 0$", [np.nan, 0, 0]),
    ("lower", "between −1e100 and 1e100, or −∞, got inf at index 0$", np.inf),
    ("upper", "between −1e100 and 1e100, or ∞, got -inf at index 0$", -np.inf),
    ("offset", "between −1e100 and 1e100, got inf at row 1$", [0, np.inf, 0, 0]),
]:
    refuse("fit", ValueError, argument, facts, gradstep.fit, X, Y, **{argument: value})
refuse(
    "fit", ValueError, "upper", "at least the lower bounds, got 0.5 at index 1$",
    gradstep.fit, X, Y, lower=1, upper=[2, 0.5, 2],
)  # fmt: skip
refuse(
    "fit", ValueError, "lower", "so near to zero that the penalty is finite, got 1e99 at index 0$",
    gradstep.fit, X, Y, l2=1e200, lower=1e99,
)  # fmt: skip
OPTIMUM = gradstep.fit(X, Y, l2=1.0)
refuse(
    "predict", ValueError, "offset", r"shape \(4,\) \(one per row of X\), got shape \(1,\)$",
    OPTIMUM.predict, X, offset=[0.0],
)  # fmt: skip
refuse(
    "predict", ValueError, "offset", r"shape \(3, 3\) \(one per row of X and class\), got shape \(3,\)$",
    gradstep.fit([[0.0], [1.0], [2.0]], [0, 1, 2], l2=1.0).predict, [[0.0], [1.0], [2.0]], offset=[0, 0, 0],
)  # fmt: skip
refuse(
    "Trainer.fit", ValueError, "bias", r"0 with fit_bias=False, got 1\.0$",
    gradstep.Trainer(fit_bias=False).fit, X, Y, bias=1.0,
)  # fmt: skip
