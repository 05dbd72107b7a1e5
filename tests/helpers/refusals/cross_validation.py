"""Rows of the table of refusals about LogisticRegressionCV."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from helpers.refusals.estimator import NAMES, POINTS
from helpers.refusals.rows import refuse


def choose(y: Any = NAMES, data: dict[str, Any] | None = None, **options: Any) -> Any:
    return gradstep.LogisticRegressionCV(**options).fit(POINTS, y, **(data or {}))


for option, kind, facts, value in [
    ("Cs", ValueError, r"a list of numbers or a positive integer of at most 100000, got 0$", 0),
    ("Cs", ValueError, r"a list of numbers, got 'many'$", "many"),
    ("Cs", ValueError, r"a list of numbers, got \[\]$", []),
    ("Cs", ValueError, r"a list of numbers, got \[\[1\], \[1, 2\]\]$", [[1], [1, 2]]),
    ("Cs", ValueError, r"positive, got 0.0$", [1.0, 0.0]),
    ("strengths", ValueError, r"a list of numbers or a positive integer of at most 100000, got False$", False),
    ("strengths", ValueError, r"finite and not negative, got -1.0$", [-1.0]),
    ("l1_ratios", ValueError, r"between 0 and 1, got 1.5$", [0.5, 1.5]),
    ("l1_ratios", ValueError, r"a list of numbers, got 0.5$", 0.5),
    ("penalty", ValueError, r"'l2', 'l1' or 'elasticnet', got None: Cs=\[inf\]", None),
    ("penalty", ValueError, r"'l2', 'l1', 'elasticnet' or None, got 'none'$", "none"),
    ("max_iter", ValueError, "None or an integer that is not negative, got -1$", -1),
    ("max_passes", ValueError, "positive, got 0$", 0),
    ("n_jobs", ValueError, "None or an integer, got 1.5$", 1.5),
    *(
        (flag, TypeError, "True or False, got str$", "no")
        for flag in ("fit_intercept", "dual", "certify", "refit", "one_standard_error", "use_legacy_attributes")
    ),
]:
    refuse("LogisticRegressionCV", kind, option, facts, choose, **{option: value})
elastic = r"numbers between 0 and 1 with penalty='elasticnet', got None$"
refuse("LogisticRegressionCV", ValueError, "l1_ratios", elastic, choose, penalty="elasticnet")
several = "an array with several l1_ratios, .* got 5$"
refuse("LogisticRegressionCV", ValueError, "strengths", several, choose, strengths=5, l1_ratios=[0.5, 1.0])
refuse("LogisticRegressionCV", ValueError, "y", "two or more classes, got one class", choose, y=np.zeros(40))
negative = {"sample_weight": -np.ones(40)}
refuse("LogisticRegressionCV", ValueError, "sample_weight", "finite and not negative, got -1", choose, data=negative)
small = {"sample_weight": np.full(40, 1e-310)}
refuse("LogisticRegressionCV", ValueError, "C", "large enough for its penalty", choose, Cs=[1.0], data=small)
