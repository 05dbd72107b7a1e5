"""Rows of the table of refusals about several classes."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from helpers.refusals.rows import X, refuse

refuse("softmax", ValueError, "z", "one axis, the last one of classes, got a scalar$", gradstep.softmax, 1.0)
for dtype in (np.float32, np.float64):
    z = X.astype(dtype)
    refuse("softmax", ValueError, "out", r"shape \(4, 3\), got shape \(3, 4\)$", gradstep.softmax, z, out=z.T)

CLASSES: dict[str, Any] = {"X": X, "y": [0, 1, 2, 0], "weights": np.ones((3, 3)), "bias": np.zeros(3)}


def step(**arguments: Any) -> Any:
    return gradstep.gradient_step(learning_rate=0.1, **arguments)


for formula in (gradstep.loss, gradstep.gradient, gradstep.loss_gradient, step):
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

# What a fit and a descent refuse of labels, sample weights and a start.
STARTS: list[tuple[str, str, dict[str, Any]]] = [
    ("y", r"class codes without gaps, .*, got none of class 1 among those from 0 to 3$", {"y": [0, 3, 2, 0]}),
    ("y", r"class codes without gaps, .*, got none of class 0 among those .* 3: labels are 1, 2 and 3: subtract 1",
     {"y": [1, 2, 3, 3]}),
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
]  # fmt: skip
LABELS: dict[str, Any] = {"X": X, "y": [0, 1, 2, 1]}
for argument, facts, options in STARTS:
    refuse("fit, classes", ValueError, argument, facts, gradstep.fit, **{**LABELS, **options})
    for trainer in (gradstep.Trainer(), gradstep.Trainer(batch_size=1), gradstep.Trainer("auto")):
        refuse("Trainer, classes", ValueError, argument, facts, trainer.fit, **{**LABELS, **options})
refuse(
    "Trainer, classes", ValueError, "offset", "one number for each row.*, got rows of 2 numbers, for 3 classes$",
    gradstep.Trainer().fit, **LABELS, offset=np.zeros((4, 2)),
)  # fmt: skip
refuse(
    "fit, classes", ValueError, "bias", r"None without weights, got \[1, 2, 3\]$",
    gradstep.fit, **LABELS, bias=[1, 2, 3],
)  # fmt: skip
for argument, facts, options in [
    ("bias", r"length 3 \(one per class\), got length 2$", {"bias": [1, 2]}),
    ("bias", r"1-dimensional, got shape \(1, 3\)$", {"bias": [[1, 2, 3]]}),
    ("bias", r"length 1 \(one per class\), got length 3$", {"y": [0, 1, 1, 0], "bias": [1, 2, 3]}),
    ("weights", r"one-dimensional for labels in \[0, 1\], .*, got 3 rows$",
     {"y": [0, 1, 1, 0], "weights": np.ones((3, 3))}),
]:  # fmt: skip
    refuse("Trainer, classes", ValueError, argument, facts, gradstep.Trainer().fit, **{**LABELS, **options})
refuse(
    "Trainer, classes", ValueError, "activation", "'sigmoid' for three classes or more, got 3 classes$",
    gradstep.Trainer(activation="step").fit, **LABELS,
)  # fmt: skip
refuse(
    "Trainer, classes", ValueError, "bias", r"0 with fit_bias=False, got \[0 0 1\]$",
    gradstep.Trainer(fit_bias=False).fit, **LABELS, bias=[0, 0, 1],
)  # fmt: skip
refuse(
    "explain, classes", ValueError, "y", "class codes from 0 to 2, got 3 at row 0$",
    gradstep.explain, [1.0, 2.0], 3, np.ones((3, 2)), 0.0, 0.1,
)  # fmt: skip

CERTAIN = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
for argument, facts, y, y_hat in [
    ("y", r"shape \(2,\) \(one label per row of y_hat\), got shape \(3,\)$", [0, 1, 2], CERTAIN),
    ("y", "class codes from 0 to 2, got 3 at row 1$", [0, 3], CERTAIN),
    ("y", "class codes from 0 to 2, got nan at row 0$", [np.nan, 3], CERTAIN),
    ("y_hat", r"probabilities in \[0, 1\], got 1.25 at row 1, column 2$", [0, 1], CERTAIN * [1, 1, 1.25]),
    ("y", r"at least 1|length", [], CERTAIN[:0]),
]:
    refuse("cross_entropy, classes", ValueError, argument, facts, gradstep.cross_entropy, y, y_hat)
