"""What `fit_many` refuses beyond what `fit` does."""

from __future__ import annotations

import numpy as np

import gradstep
from helpers.refusals.rows import W, X, Y, refuse

TWO = np.column_stack([Y, 1 - Y])

for argument, facts, y, options in [
    ("y", "a column for each model, .* got one column", Y, {}),
    ("y", "at most 2 dimensions, got 3$", TWO[:, :, None], {}),
    ("l2", "at most 1 dimensions, got 2$", TWO, {"l2": [[0.1, 0.2]]}),
    ("y", "for at least one model, got none$", TWO[:, :0], {}),
    ("sample_weight", "for 2 models, as y is, got 1$", TWO, {"sample_weight": Y[:, None]}),
    ("l1", "for 2 models, as y is, got 3$", TWO, {"l1": [0.1, 0.2, 0.3]}),
    ("weights", "for 2 models, as y is, got 1$", TWO, {"weights": [W]}),
    ("bias", "None without weights, got", TWO, {"bias": [0.0, 0.0]}),
    ("bias", "None with fit_bias=False, got", TWO, {"weights": [W, W], "bias": [0.0, 0.0], "fit_bias": False}),
    ("y", r"labels in \[0, 1\].* got -1 at row 2, in model 1$", TWO - [[0, 0], [0, 0], [0, 1], [0, 0]], {}),
]:
    refuse("fit_many", ValueError, argument, facts, gradstep.fit_many, X, y, **options)
refuse("fit_many", TypeError, "weights", "a start for each model, got float$", gradstep.fit_many, X, TWO, weights=0.5)
