"""Rows of the table of refusals about the pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

import gradstep
from gradstep import plot
from helpers.refusals.rows import W, X, Y, refuse, replaced

DESCENT = gradstep.Trainer(0.1, 3, trace=True).fit(X, Y)
OPTIMUM = gradstep.fit(X, Y, l2=0.1)
OF_THREE = gradstep.fit(X, [0, 1, 2, 0], l2=0.1)
PERCEPTRON = gradstep.Trainer(0.1, 3, activation="step").fit(X, Y)
NAMED = gradstep.LogisticRegression().fit(X, np.where(Y > 0, "yes", "no"))
STEPPED = gradstep.LogisticRegression().partial_fit(X, Y, classes=[0, 1])

for name, options in {
    "lines": {"descent": DESCENT, "X": X, "y": Y},
    "regions": {"model": OPTIMUM, "X": X, "y": Y},
    "training": {"result": OPTIMUM, "X": X, "y": Y},
}.items():
    draw = getattr(plot, name)
    first = next(iter(options))
    for kind, argument, facts, changed in [
        (TypeError, first, r"a Descent, an Optimum or a fitted LogisticRegression, got ndarray$", {first: W}),
        (ValueError, first, r"fitted, got a LogisticRegression", {first: gradstep.LogisticRegression()}),
        (ValueError, "X", r"2-dimensional, got shape \(4,\)$", {"X": X[:, 0]}),
        (ValueError, "weights", r"length 2 \(one weight per column of X\), got length 3$", {"X": X[:, :2]}),
        (ValueError, "y", r"length 4 .*, got length 2$", {"y": Y[:2]}),
        (ValueError, "y", r"labels in \[0, 1\], got 2 at row 1$", {"y": [0, 2, 1, 0]}),
        (ValueError, "y", r"the classes \['no', 'yes'\], got also \['maybe'\]$",
         {first: NAMED, "y": ["yes", "maybe", "no", "no"]}),
        (ValueError, "names", r"length 3 \(one per column of X\), got length 2$", {"names": ["a", "b"]}),
        (TypeError, "names", r"a list of names, got str$", {"names": "abc"}),
    ]:  # fmt: skip
        refuse(f"plot.{name}", kind, argument, facts, draw, **{**options, **changed})
    if name == "training":
        continue
    refuse(f"plot.{name}", TypeError, "ax", "an Axes of matplotlib or None, got str$", draw, **options, ax="here")
    for kind, facts, columns in [
        (ValueError, r"two different columns from 0 to 2, got 1 and 3$", (1, 3)),
        (ValueError, r"two different columns from 0 to 2, got -1 and 0$", (-1, 0)),
        (ValueError, r"two different columns from 0 to 2, got 1 and 1$", (1, 1)),
        (TypeError, r"two integers, got 1$", 1),
        (TypeError, r"two integers, got \(0, 1, 2\)$", (0, 1, 2)),
        (TypeError, r"two integers, got \(0, 1.5\)$", (0, 1.5)),
    ]:
        refuse(f"plot.{name}", kind, "columns", facts, draw, **options, columns=columns)
    bad = {**options, "X": replaced(X, (2, 1), np.nan)}
    refuse(f"plot.{name}", ValueError, "X", "finite, got nan or an infinity in column 1$", draw, **bad)
    narrow = {**options, first: gradstep.fit(X[:, :1], Y, l2=0.1), "X": X[:, :1]}
    refuse(f"plot.{name}", ValueError, "X", "at least two columns, got 1$", draw, **narrow)

for kind, argument, facts, options in [
    (ValueError, "descent", "of two classes, got 3: regions draws them$", {"descent": OF_THREE}),
    (ValueError, "n_lines", r"a positive integer \(at least 1\), got 0$", {"n_lines": 0}),
]:
    refuse("plot.lines", kind, argument, facts, plot.lines, **{"descent": DESCENT, "X": X, "y": Y, **options})
refuse("plot.regions", ValueError, "grid_resolution", "got 0$", plot.regions, OPTIMUM, X, Y, grid_resolution=0)

refuse("plot.perceptron", TypeError, "trainer", "a Trainer, got float$", plot.perceptron, X, Y, trainer=0.1)
refuse("plot.perceptron", ValueError, "X", "at least two columns, got 1$", plot.perceptron, X[:, :1], Y)
refuse("plot.perceptron", ValueError, "y", r"labels in \[0, 1\], got 2 at row 3$", plot.perceptron, X, [0, 1, 0, 2])
for axes, got in [("ab", r"str of shape \(\)"), ([None, None], r"list of shape \(2,\)"), ([1, 2, 3], "list of shape")]:
    facts = rf"two Axes of matplotlib or None, got {got}"
    refuse("plot.perceptron", TypeError, "axes", facts, plot.perceptron, X, Y, axes=axes)
    refuse("plot.training", TypeError, "axes", facts, plot.training, OPTIMUM, X, Y, axes=axes)
refuse(
    "plot.training", TypeError, "result", "a LogisticRegression after its fit, got LogisticRegression$",
    plot.training, STEPPED, X, Y,
)  # fmt: skip

for kind, argument, facts, results, options in [
    (ValueError, "results", "at least one Descent or Optimum, got none$", [], {}),
    (TypeError, "results", "a Descent, an Optimum or a LogisticRegression after its fit, got ndarray$", [W], {}),
    (TypeError, "results", "after its fit, got LogisticRegression$", [STEPPED], {}),
    (ValueError, "results", r"one kind of error, got mean .* and objective", [DESCENT, OPTIMUM], {}),
    (ValueError, "results", r"one kind of error, got mean .* and misclassified", [DESCENT, PERCEPTRON], {}),
    (ValueError, "labels", r"length 1 \(one per result\), got length 2$", [DESCENT], {"labels": ["a", "b"]}),
    (TypeError, "labels", r"a list of names, got int$", [DESCENT], {"labels": 1}),
    (TypeError, "log", r"True or False, got str$", [DESCENT], {"log": "yes"}),
    (TypeError, "ax", r"an Axes of matplotlib or None, got int$", [DESCENT], {"ax": 1}),
]:
    refuse("plot.loss", kind, argument, facts, plot.loss, *results, **options)

for kind, argument, facts, options in [
    (TypeError, "trainer", "a Trainer, got Descent$", {"trainer": DESCENT}),
    (TypeError, "rates", "a list of learning rates, got float$", {"rates": 0.1}),
    (TypeError, "rates", "a list of learning rates, got str$", {"rates": "auto"}),
    (TypeError, "rates", "a real number, got list$", {"rates": [[0.1]]}),
    (ValueError, "rates", "at least one learning rate, got none$", {"rates": []}),
    (ValueError, "learning_rate", "positive and finite, got -1$", {"rates": [0.1, -1]}),
    (ValueError, "y", r"labels in \[0, 1\], got 1.5 at row 0$", {"y": [1.5, 0, 1, 0]}),
]:
    refuse(
        "plot.learning_rates", kind, argument, facts, plot.learning_rates, **{"X": X, "y": Y, "rates": [1], **options}
    )

for kind, argument, facts, options in [
    (ValueError, "y", r"labels in \[0, 1\], got the codes of 3 classes$", {"y": [0, 1, 2, 0]}),
    (ValueError, "y", "not be all 0 or all 1, got only 1$", {"y": np.ones(4)}),
    (ValueError, "y", "not be all 0 or all 1, got only 0$", {"y": np.zeros(4)}),
    (ValueError, "X", "finite, got nan at row 2, column 1$", {"X": replaced(X, (2, 1), np.nan)}),
    (ValueError, "X", "at least two columns, got 1$", {"X": X[:, :1]}),
    (
        ValueError,
        "columns",
        r"change the error, got \(0, 1\), which do not$",
        {"X": [[3, 1, 2], [3, 1, 1], [3, 1, 4], [3, 1, 0]]},
    ),
    (ValueError, "l2", "finite and not negative, got -1$", {"l2": -1}),
    (TypeError, "descent", "a Descent, an Optimum or .*, got tuple$", {"descent": (W, 0.0)}),
    (ValueError, "descent", "of two classes, got 3: regions draws them$", {"descent": OF_THREE}),
    (ValueError, "grid_resolution", r"at least 2, got 1$", {"grid_resolution": 1}),
    (TypeError, "limits", r"two pairs of real numbers, got 1$", {"limits": 1}),
    (TypeError, "limits", r"two pairs of real numbers, got \[\(0, 1\)\]$", {"limits": [(0, 1)]}),
    (TypeError, "limits", r"two real numbers, got 0$", {"limits": (0, 1)}),
    (ValueError, "limits", r"finite and the first the smaller one, got 2 and 1$", {"limits": [(0, 1), (2, 1)]}),
]:
    refuse("plot.surface", kind, argument, facts, plot.surface, **{"X": X, "y": Y, "grid_resolution": 3, **options})

for kind, argument, facts, limits in [
    (TypeError, "limits", r"two real numbers, got 1$", 1),
    (TypeError, "limits", r"two real numbers, got \(1, 2, 3\)$", (1, 2, 3)),
    (TypeError, "limits", r"a real number, got str$", ("a", "b")),
    (ValueError, "limits", r"finite and the first the smaller one, got 1 and 1$", (1, 1)),
    (ValueError, "limits", r"finite and the first the smaller one, got 0 and inf$", (0, np.inf)),
]:
    refuse("plot.sigmoid", kind, argument, facts, plot.sigmoid, limits=limits)
for kind, argument, facts, options in [
    (TypeError, "X", "a dense array, got scipy.sparse csr_array$", {"X": scipy.sparse.csr_array(X)}),
    (ValueError, "y", r"length 4 .*, got length 2$", {"y": Y[:2]}),
    (ValueError, "weights", r"1-dimensional, got shape \(3, 3\)$", {"weights": np.ones((3, 3))}),
    (TypeError, "bias", r"a real number, got list$", {"bias": [0.5]}),
]:
    refuse(
        "plot.gradient_sizes", kind, argument, facts, plot.gradient_sizes, **{"X": X, "y": Y, "weights": W, **options}
    )

for draw in (plot.calibration, plot.roc):
    for kind, argument, facts, data in [
        (ValueError, "y", "labels 0 and 1, got 0.5 at row 1$", ([0, 0.5], [0.5, 0.5])),
        (ValueError, "y_hat", r"in \[0, 1\], got 1.5 at row 1$", ([0, 1], [0.5, 1.5])),
        (ValueError, "y_hat", "finite, got nan at row 0$", ([0, 1], [np.nan, 0.5])),
        (ValueError, "y_hat", r"1-dimensional, got shape \(2, 2\)$", ([0, 1], np.ones((2, 2)))),
        (ValueError, "y_hat", r"length 2 .*, got length 3$", ([0, 1], np.ones(3))),
        (TypeError, "y", r"an array of real numbers, got words \('yes', 'no'\)", (["yes", "no"], [1, 0])),
    ]:
        refuse(f"plot.{draw.__name__}", kind, argument, facts, draw, *data)
refuse("plot.roc", ValueError, "y", "both labels, 0 and 1, got only 1$", plot.roc, [1, 1], [0.5, 0.5])
for kind, argument, facts, option in [
    (ValueError, "strategy", "'quantile' or 'uniform', got 'equal'$", {"strategy": "equal"}),
    (TypeError, "strategy", "a str, got int$", {"strategy": 1}),
    (ValueError, "n_bins", r"a positive integer \(at least 1\), got 0$", {"n_bins": 0}),
]:
    refuse("plot.calibration", kind, argument, facts, plot.calibration, [0, 1], [0.5, 0.5], **option)


def weights_drawn(names: Any = ("a", "b"), estimates: Any = (1.0, 2.0), intervals: Any = None, **options: Any) -> Any:
    return plot.coefficients(names, estimates, intervals, **options)


for kind, argument, facts, options in [
    (ValueError, "names", r"length 2 \(one per estimate\), got length 1$", {"names": ["a"]}),
    (TypeError, "names", "a list of names, got NoneType$", {"names": None}),
    (ValueError, "estimates", r"shape \(n,\) or \(K, n\), got shape \(\)$", {"estimates": 1.0}),
    (ValueError, "estimates", r"shape \(n,\) or \(K, n\), got shape \(0,\)$", {"estimates": []}),
    (ValueError, "intervals", r"shape \(2, 2\), got shape \(2,\)$", {"intervals": [0.0, 1.0]}),
    (
        ValueError,
        "intervals",
        r"hold their estimates, 2 at \[1\], got 3 to 4$",
        {"intervals": [[0.0, 1.0], [3.0, 4.0]]},
    ),
    (TypeError, "ax", "an Axes of matplotlib or None, got int$", {"ax": 1}),
]:
    refuse("plot.coefficients", kind, argument, facts, weights_drawn, **options)

TABLE = {"x": [0, 1, 2, 3], "y": [0, 1, 0, 1]}
STEP_REPORT = gradstep.train(TABLE, trainer=gradstep.Trainer(0.1, 3, activation="step")).report(TABLE)
refuse("plot.evaluation", TypeError, "report", "a Report, got Optimum$", plot.evaluation, OPTIMUM)
of_a_perceptron = "probabilities to be drawn, got that of a perceptron$"
refuse("plot.evaluation", ValueError, "report", of_a_perceptron, plot.evaluation, STEP_REPORT)

refuse("path", TypeError, "path", "a Path, got Optimum$", plot.path, OPTIMUM)
refuse("path", ValueError, "path", "of two classes, got 3$", plot.path, gradstep.path(X, [0, 1, 2, 0], l1_ratio=0))
few = "two strengths or more that are not 0, got 1$"
refuse("path", ValueError, "path", few, plot.path, gradstep.path(X, Y, strengths=[0.1, 0.0]))
names = r"length 3 \(one per column\), got length 2$"
refuse("path", ValueError, "names", names, plot.path, gradstep.path(X, Y, strengths=[0.2, 0.1]), names=["a", "b"])
