"""What is refused of several classes."""

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
    ("bias", r"None without weights, got \[1, 2, 3\]$", {"bias": [1, 2, 3]}),
]:  # fmt: skip
    refuse("fit, classes", ValueError, argument, facts, gradstep.fit, **{"X": X, "y": [0, 1, 2, 1], **options})
