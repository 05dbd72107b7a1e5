"""Rows of the table of refusals about the page of a descent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import gradstep
from helpers.refusals.rows import W, X, Y, refuse

DESCENT = gradstep.Trainer(0.1, 3, batch_size=1).fit(X, Y)
AUTOMATIC = gradstep.Trainer("auto", 3).fit(X, Y)
CLASSES = gradstep.Trainer(0.1, 3).fit(X, [0, 1, 2, 0])
LONG = replace(DESCENT, trainer=gradstep.Trainer(0.1, 2**22))

for kind, argument, facts, changed in [
    (TypeError, "descent", "a Descent, got ndarray$", {"descent": W}),
    (TypeError, "descent", "a Descent, got Optimum$", {"descent": gradstep.fit(X, Y, l2=0.1)}),
    (ValueError, "descent", "a learning rate of its own, got 'auto'$", {"descent": AUTOMATIC}),
    (ValueError, "descent", "of two classes for a page, got 3: gradstep.plot.regions draws them$",
     {"descent": CLASSES, "y": [0, 1, 2, 0]}),
    (ValueError, "descent", "4194304 numbers for a page, got 4194304 epochs of 3 weights", {"descent": LONG}),
    (ValueError, "X and y", "what the descent was fitted to, got others", {"X": X + 1}),
    (ValueError, "X and y", "what the descent was fitted to, got others", {"y": 1 - Y}),
    (ValueError, "weights", r"length 2 \(one weight per column of X\), got length 3$", {"X": X[:, :2]}),
    (ValueError, "y", r"length 4 .*, got length 2$", {"y": Y[:2]}),
    (ValueError, "names", r"length 3 \(one per column of X\), got length 2$", {"names": ["a", "b"]}),
    (TypeError, "names", r"a list of names, got int$", {"names": 3}),
    (ValueError, "labels", r"length 2 \(one per label\), got length 3$", {"labels": ["a", "b", "c"]}),
    (TypeError, "labels", r"a list of names, got str$", {"labels": "ab"}),
    (ValueError, "columns", r"two different columns from 0 to 2, got 1 and 3$", {"columns": (1, 3)}),
    (TypeError, "columns", r"two integers, got \('a', 'b'\)$", {"columns": ("a", "b")}),
    (TypeError, "open_browser", r"True or False, got str$", {"open_browser": "no"}),
]:  # fmt: skip
    refuse("show", kind, argument, facts, gradstep.show, **{"descent": DESCENT, "X": X, "y": Y, **changed})

refuse("Trainer", TypeError, "path", "True or False, got str$", gradstep.Trainer, path="yes")
refuse(
    "Trainer", MemoryError, "path", r"at most 1 GiB, got 1000000000000 epochs that take 2.98e\+04 GiB: fewer epochs",
    gradstep.Trainer(0.1, 10**12, path=True).fit, X, Y,
)  # fmt: skip
refuse(
    "Trainer", ValueError, "y", r"length 4", gradstep.Trainer(0.1, 10, path=True).fit, X, np.zeros(3),
)  # fmt: skip
