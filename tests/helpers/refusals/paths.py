"""Rows of the table of refusals about `path`."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from helpers.refusals.rows import X, refuse, replaced

RISING = np.array([0.0, 0.0, 1.0, 1.0])


def find(X: Any = X, y: Any = RISING, **options: Any) -> Any:
    return gradstep.path(X, y, **options)


for option, kind, facts, value in [
    ("l1_ratio", ValueError, r"between 0 and 1, got 1.5$", 1.5),
    ("l1_ratio", ValueError, r"between 0 and 1, got nan$", np.nan),
    ("l1_ratio", TypeError, r"a real number, got str$", "1"),
    ("n", ValueError, r"a positive integer \(at least 1\), got 0$", 0),
    ("n", TypeError, r"an integer, got float$", 1.5),
    ("ratio", ValueError, r"above 0 and below 1, got 1$", 1),
    ("ratio", ValueError, r"above 0 and below 1, got nan$", np.nan),
    ("strengths", ValueError, r"finite and not negative, got -1$", [1.0, -1.0]),
    ("strengths", ValueError, r"finite and not negative, got inf$", [1.0, np.inf]),
    ("strengths", ValueError, r"1-dimensional and not empty, got shape \(0,\)$", []),
    ("strengths", ValueError, r"1-dimensional and not empty, got shape \(1, 1\)$", [[1.0]]),
    ("strengths", TypeError, r"an array of real numbers, got", ["much"]),
    ("fit_bias", TypeError, r"True or False, got str$", "no"),
    ("gap_tol", ValueError, r"finite and not negative, got -1$", -1.0),
    ("max_passes", ValueError, r"positive, got 0$", 0),
    ("n_threads", ValueError, r"a positive integer \(at least 1\), got 0$", 0),
    ("sample_weight", ValueError, r"length 4 .*, got length 3$", np.ones(3)),
    ("offset", ValueError, r"length 4 .*, got length 3$", np.ones(3)),
    ("offset", ValueError, r"between .*, got nan at row 2$", [0.0, 0.0, np.nan, 0.0]),
    ("penalty_factors", ValueError, r"length 3 .*, got length 2$", np.ones(2)),
    ("penalty_factors", ValueError, r"finite and not negative, got -1 at index 1$", [1.0, -1.0, 1.0]),
    ("penalty_factors", ValueError, r"positive for a column, got 0 for all of them: use fit$", np.zeros(3)),
    ("penalty_factors", ValueError, r"positive for columns that separate the labels, got 0 for columns \[0\]$",
     [0.0, 1.0, 1.0]),
    ("prior", ValueError, r"0 with l1_ratio > 0, .*, got another one: give strengths, or l1_ratio=0$", 1.0),
    ("lower", ValueError, r"length 3|shape \(3,\)", np.zeros(2)),
    ("lower", ValueError, r"leave a column whose weight lowers the error, got none: give strengths$", 1e6),
    ("grouped", TypeError, r"True or False, got str$", "yes"),
]:  # fmt: skip
    refuse("path", kind, option, facts, find, **{option: value})
refuse("path", ValueError, "X", r"finite, got nan at row 1, column 2$", find, replaced(X, (1, 2), np.nan))
refuse("path", ValueError, "X", r"a column that tells labels apart, got slopes of 0", find, np.zeros((4, 2)))
refuse("path", ValueError, "y", r"two or more different labels, got only 1$", find, y=np.ones(4))
refuse("path", ValueError, "y", r"length 4 .*, got length 3$", find, y=RISING[:3])
refuse("path", ValueError, "y", r"class codes .*got", find, y=[0.0, 5.0, 1.0, 0.5], l1_ratio=0)
refuse("path", ValueError, "grouped", r"False with bounds, got True$", find, y=[0, 1, 2, 0], grouped=True, lower=0.0)
refuse("path", ValueError, "n", "at most 100000, got 1000000000$", find, n=10**9)
