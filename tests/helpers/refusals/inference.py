"""Rows of the table of refusals about gradstep.inference."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradstep
from gradstep.inference import infer
from helpers.inferences import table
from helpers.refusals.rows import refuse

T = table()


def of(X: Any = T.X, y: Any = T.y, optimum: Any = None, fitting: Any = None, **options: Any) -> Any:
    """Infer from a fit of the table, with the options `fitting`, or from the `optimum` given."""
    if optimum is None:
        optimum = gradstep.fit(T.X, T.classes if np.array_equal(y, T.classes) else T.y, **(fitting or {}))
    return infer(optimum, X, y, **options)


SEPARABLE = np.column_stack([T.X[:, 0], T.X[:, 1] > 800])
APART = {"X": SEPARABLE, "y": SEPARABLE[:, 1], "names": ["a", "late"]}
QUARTERS = {"X": [[0.0], [1.0]], "y": [0.25, 0.75], "optimum": gradstep.fit([[0.0], [1.0]], [0.25, 0.75])}

for argument, kind, facts, changed in [
    ("optimum", TypeError, r"an Optimum, got Descent$", {"optimum": gradstep.Trainer(epochs=1).fit(T.X, T.y)}),
    ("optimum", ValueError, r"without penalty, .* penalty of 5\.41e-05 in .*: fit with l1=0 and l2=0, .*\(bootstrap\)$",
     {"fitting": {"l2": 100.0}}),
    ("optimum", ValueError, r"not separated, .* separated along late: leave .* or fit with firth=True$",
     {"optimum": gradstep.fit(SEPARABLE, SEPARABLE[:, 1]), **APART}),
    ("optimum", ValueError, r"not separated, .* separated along \(bias\): ",
     {"optimum": gradstep.fit(T.X, np.ones(120)), "y": np.ones(120)}),
    ("optimum", ValueError, r"not separated, .* or compare two classes at a time with firth=True$",
     {"optimum": gradstep.fit([[0.0], [1.0], [2.0]], [0, 1, 2]), "X": [[0.0], [1.0], [2.0]], "y": [0, 1, 2]}),
    ("optimum", ValueError, r"proved .* got one that was stopped by 'passes', where the gradient is .* is not known: ",
     {"fitting": {"max_passes": 5, "firth": True}}),
    ("covariance", ValueError, r"'fisher' for a fit with firth=True, got 'HC0'$",
     {"fitting": {"firth": True}, "covariance": "HC0"}),
    ("optimum", ValueError, r"proved .* got one that was stopped by 'passes', where the gradient is .*: fit with more",
     {"fitting": {"max_passes": 1, "solver": "gd"}}),
    ("optimum", ValueError, r"proved .* got one that was stopped by 'tolerance', where .*without tol$",
     {"fitting": {"tol": 10.0}}),
    ("optimum", ValueError, r"of the maximum of the likelihood .* some \d+ away: pass what was fitted", {"y": 1 - T.y}),
    ("optimum", ValueError, r"within 0.01 standard errors .* away: ", {"sample_weight": T.counts}),
    ("optimum", ValueError, r"within 0.01 standard errors .* with a bias if fit_bias, ",
     {"fitting": {"fit_bias": False}}),
    ("optimum", ValueError, r"within 0.01 standard errors ",
     {"optimum": gradstep.fit(T.X, T.classes), "y": T.classes[::-1]}),
    ("optimum", ValueError, r"a column or a bias that was not left out, got none$",
     {"fit_bias": False, "X": np.zeros((4, 1)), "y": [0, 1, 0, 1],
      "optimum": gradstep.fit(np.zeros((4, 1)), [0, 1, 0, 1], fit_bias=False)}),
    ("optimum", ValueError, r"within 0.01 standard errors .* sample_weight and offset, ",
     {"fitting": {"offset": T.X[:, 0]}}),
    ("fit_bias", ValueError, r"True for a fit with a bias, got False and a bias of 0\.5", {"fit_bias": False}),
    ("fit_bias", TypeError, r"True or False, got int$", {"fit_bias": 1}),
    ("X", ValueError, r"the 3 columns of the fit, got shape \(120, 2\)$", {"X": T.X[:, :2]}),
    ("X", ValueError, r"the 3 columns of the fit, got shape \(120,\)$", {"X": T.X[:, 0]}),
    ("y", ValueError, r"length 120 .*, got length 7$", {"y": T.y[:7]}),
    ("y", ValueError, r"got 2 at row ", {"y": T.y * 2}),
    ("sample_weight", ValueError, r"finite and not negative, got -1 at row", {"sample_weight": T.counts - 1}),
    ("names", ValueError, r"3 different ones .*, got \('a', 'b'\)$", {"names": ["a", "b"]}),
    ("names", ValueError, r"3 different ones .*, got \('a', 'b', 'a'\)$", {"names": ["a", "b", "a"]}),
    ("names", ValueError, r"none of them '\(bias\)', got ", {"names": ["a", "b", "(bias)"]}),
    ("names", ValueError, r"3 different ones .*, got \('abc',\)$", {"names": "abc"}),
    ("names", TypeError, r"of type str, got int$", {"names": ["a", "b", 3]}),
    ("reference", ValueError, r"from 0 to 0, got 1$", {"reference": 1}),
    ("reference", ValueError, r"from 0 to 2, got -1$", {"y": T.classes, "reference": -1}),
    ("reference", TypeError, r"an integer, got str$", {"reference": "0"}),
    ("covariance", ValueError, r"one of 'fisher', 'HC0', 'HC1', 'cluster', got 'HC3'$", {"covariance": "HC3"}),
    ("covariance", TypeError, r"a str, got NoneType$", {"covariance": None}),
    ("covariance", ValueError, r"'fisher' or 'HC0' for 2 rows, got 2 coefficients$", {**QUARTERS, "covariance": "HC1"}),
    ("clusters", ValueError, r"with covariance='cluster' and only then, got 'cluster'$", {"covariance": "cluster"}),
    ("clusters", ValueError, r"with covariance='cluster' and only then, got 'HC0'$",
     {"covariance": "HC0", "clusters": T.clusters}),
    *(
        ("clusters", kind, facts, {"covariance": "cluster", "clusters": clusters})
        for clusters, kind, facts in [
            (T.clusters[:7], ValueError, r"length 120 .*, got shape \(7,\)$"),
            (np.where(T.clusters == 4, np.nan, T.clusters), ValueError, r"cluster of every row, got nan at row \d+$"),
            (np.zeros(120), ValueError, r"at least two, got 1$"),
            ([None, *["a"] * 119], TypeError, r"all numbers or all text, got '<' not supported"),
        ]
    ),
    ("n_threads", ValueError, r"a positive integer \(at least 1\), got 0$", {"n_threads": 0}),
]:  # fmt: skip
    refuse("infer", kind, argument, facts, of, **changed)


def ask(of_it: str, *args: Any, covariance: str = "fisher", **options: Any) -> Any:
    return getattr(of(covariance=covariance), of_it)(*args, **options)


for facts, value in [(r"between 0 and 1, got 95.0$", 95), (r"between 0 and 1, got nan$", np.nan)]:
    refuse("confidence_intervals", ValueError, "level", facts, ask, "confidence_intervals", value)
refuse("confidence_intervals", TypeError, "level", r"a real number, got str$", ask, "confidence_intervals", "0.95")
for facts, options in [
    (r"'wald' or 'profile', got 'score'$", {"method": "score"}),
    (r"'wald'.*the model is right, got 'profile' with covariance=\"HC0\"$", {"method": "profile", "covariance": "HC0"}),
]:
    refuse("confidence_intervals", ValueError, "method", facts, ask, "confidence_intervals", **options)
for method in ("drop", "wald_test"):
    for kind, facts, columns in [
        (ValueError, r"at least one column, got none$", []),
        (ValueError, r"of 'x0', 'x1', 'x2', '\(bias\)', got 'x3'$", ["x0", "x3"]),
        (ValueError, r"from 0 to 2, got 3$", [3]),
        (ValueError, r"from 0 to 2, got -1$", [-1]),
        (TypeError, r"named, or integers, got float$", [1.0]),
        (TypeError, r"named, or integers, got bool$", [True]),
    ]:
        refuse(method, kind, "columns", facts, ask, method, *columns)
right = r"'fisher' for a likelihood-ratio test .*the model is right, got covariance=\"HC0\"$"
refuse("drop", ValueError, "covariance", right, ask, "drop", 0, covariance="HC0")


def left_out() -> Any:
    X = T.X * [1, 0, 1]
    return infer(gradstep.fit(X, T.y), X, T.y).drop(1)


refuse("drop", ValueError, "columns", r"did not leave out, got 'x1'$", left_out)


def compare(X: Any = T.X[:, :2], y: Any = T.y, **options: Any) -> Any:
    return of().likelihood_ratio_test(infer(gradstep.fit(X, y), X, y, **options))


for facts, changed in [
    (r"the same labels, sample weights and offsets, got others$", {"y": T.y[::-1]}),
    (r"fewer than 4 coefficients, got 4$", {"X": T.X}),
    (r"a special case of this model, got a log-likelihood that is larger by ", {"X": T.y[:, None] + T.X[:, :1]}),
]:
    refuse("likelihood_ratio_test", ValueError, "smaller", facts, compare, **changed)
refuse("likelihood_ratio_test", ValueError, "covariance", right, compare, covariance="HC0")

firths = infer(gradstep.fit(T.X[:, :2], T.y, firth=True), T.X[:, :2], T.y)
for call in (lambda: of().likelihood_ratio_test(firths), lambda: firths.likelihood_ratio_test(of())):
    refuse(
        "likelihood_ratio_test", ValueError, "smaller", r"of a fit without firth, .* firth=True, whose penalty", call
    )
refuse("likelihood_ratio_test", TypeError, "smaller", r"an Inference, got int$", ask, "likelihood_ratio_test", 3)
