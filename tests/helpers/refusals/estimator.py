"""Rows of the table of refusals about the estimator LogisticRegression."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.linear_model

import gradstep
from helpers.refusals.rows import X, Y, refuse

POINTS = np.random.default_rng(0).normal(size=(40, 2))
NAMES = np.resize(["ash", "beech"], 40)


def estimate(X: Any = POINTS, y: Any = NAMES, data: dict[str, Any] | None = None, **options: Any) -> Any:
    return gradstep.LogisticRegression(**options).fit(X, y, **(data or {}))


def learn(X: Any = POINTS, y: Any = NAMES, classes: Any = ("ash", "beech"), **options: Any) -> Any:
    return gradstep.LogisticRegression(**options).partial_fit(X, y, classes=classes)


def go_on(method: str, X: Any = POINTS, y: Any = NAMES, **data: Any) -> Any:
    model = gradstep.LogisticRegression(warm_start=True).partial_fit(POINTS, NAMES, classes=["ash", "beech"])
    return getattr(model, method)(X, y, **data)


for option, kind, facts, value in [
    ("l2", ValueError, r"finite and not negative, got -1.0$", -1.0),
    ("l2", ValueError, r"finite and not negative, got nan$", np.nan),
    ("l2", TypeError, r"a real number, got str$", "1"),
    ("C", ValueError, r"positive, got 0.0$", 0.0),
    ("C", ValueError, r"positive, got nan$", np.nan),
    ("C", ValueError, r"large enough for its penalty, .* got C=5e-324 and a sum of 40", 5e-324),
    ("tol", ValueError, r"finite and not negative, got -1$", -1.0),
    ("gap_tol", ValueError, r"finite and not negative, got nan$", np.nan),
    ("gap_tol", TypeError, r"a real number, got NoneType$", None),
    ("max_passes", ValueError, r"positive, got 0$", 0),
    ("max_passes", ValueError, r"range of float64, got a larger one$", 10**400),
    ("class_weight", ValueError, r"finite and not negative, got -1.0 for 'beech'$", {"ash": 1, "beech": -1}),
    ("validation_fraction", ValueError, r"between 0 and 1, got 1.5$", 1.5),
    ("validation_fraction", TypeError, r"a real number, got NoneType$", None),
    ("learning_rate", ValueError, r"finite and positive, got inf$", np.inf),
    ("n_iter_no_change", ValueError, r"a positive integer, got 0$", 0),
    ("n_iter_no_change", ValueError, r"a positive integer, got 1.5$", 1.5),
    ("n_threads", ValueError, r"a positive integer \(at least 1\), got 0$", 0),
    ("solver", ValueError, r"'auto', 'lbfgs', 'gd', 'proximal', got 'newton'$", "newton"),
    *(
        (flag, TypeError, "True or False, got str$", "no")
        for flag in ("firth", "fit_intercept", "dual", "certify", "warm_start", "early_stopping", "standard_errors")
    ),
    ("penalty", ValueError, "'l2', 'l1', 'elasticnet' or None, got 'none'$", "none"),
    ("intercept_scaling", ValueError, "finite and positive, got 0$", 0),
    ("max_iter", ValueError, "None or an integer that is not negative, got -1$", -1),
    ("max_iter", ValueError, "None or an integer that is not negative, got 1.5$", 1.5),
    ("n_jobs", ValueError, "None or an integer, got 'all'$", "all"),
    ("callback", TypeError, r"callable or None, got str$", "print"),
    ("callback", TypeError, r"return True, False or None, got float$", lambda best: best.objective),
]:
    refuse("LogisticRegression", kind, option, facts, estimate, **{option: value})
refuse("LogisticRegression", ValueError, "l2", "None where C is given, got l2=1.*C=2", estimate, l2=1, C=2)
refuse("LogisticRegression", ValueError, "l1", "None where C is given, got l1=1.*C=2", estimate, l1=1, C=2)
refuse("LogisticRegression", ValueError, "l1_ratio", "0 where l2 or l1 is given, got 0.5", estimate, l2=1, l1_ratio=0.5)
refuse("LogisticRegression", ValueError, "penalty", "not be given where l2 is, got 'l1'$", estimate, l2=1, penalty="l1")
for option, value in [("l2", 0.1), ("l1", 0.1), ("C", 2.0), ("l1_ratio", 0.5), ("penalty", "l2")]:
    own = rf"not be given with firth=True, a penalty of its own, got {value!r}$"
    refuse("LogisticRegression", ValueError, option, own, estimate, firth=True, **{option: value})
three = "False for three classes or more, got True for 3 classes$"
refuse("LogisticRegression", ValueError, "firth", three, estimate, y=np.arange(40) % 3, firth=True)
elastic = r"between 0 and 1 with penalty='elasticnet', got None$"
refuse("LogisticRegression", ValueError, "l1_ratio", elastic, estimate, penalty="elasticnet", l1_ratio=None)
refuse("LogisticRegression", ValueError, "y", "two or more classes, got one class", estimate, y=np.zeros(40))
mixed = np.array(["ash", 1] * 20, dtype=object)
refuse("LogisticRegression", ValueError, "y", "labels of one kind, got int and str$", estimate, y=mixed)
some = "positive for some sample, got only zeros$"
refuse("LogisticRegression", ValueError, "class_weight", some, estimate, class_weight={"ash": 0, "beech": 0})
for data, argument, facts in [
    ({"X_val": X, "y_val": Y}, "X_val|y_val", "None without early_stopping=True"),
    ({"X_val": X}, "X_val", "None without early_stopping=True"),
]:
    refuse("LogisticRegression", ValueError, argument, facts, estimate, data=data)
for data, argument, facts in [
    ({"X_val": POINTS}, "y_val", "given together with X_val, got None$"),
    ({"y_val": NAMES}, "X_val", "given together with y_val, got None$"),
    ({"X_val": POINTS[:1], "y_val": ["oak"]}, "y_val", r"\['ash', 'beech'\], got also \['oak'\]$"),
]:
    refuse("LogisticRegression", ValueError, argument, facts, estimate, data=data, early_stopping=True)
for fraction in (0.01, 0.99):
    refuse(
        "LogisticRegression", ValueError, "validation_fraction", rf"each class.*, got {fraction} of 40 samples: ",
        estimate, early_stopping=True, validation_fraction=fraction,
    )  # fmt: skip
of_last_fit = "of the last fit.*, with warm_start=True, got "
refuse("warm start", ValueError, "y", of_last_fit + r"\[0, 1\]$", go_on, "fit", y=np.arange(40) % 2)
refuse("warm start", ValueError, "X", of_last_fit + "1$", go_on, "fit", POINTS[:, :1])

refuse("partial_fit", ValueError, "C", "None for partial_fit, got 1.0", learn, C=1.0)
refuse("partial_fit", ValueError, "firth", "False for partial_fit, got True: its penalty", learn, firth=True)
refuse("partial_fit", ValueError, "penalty", "not be given for partial_fit, got l2", learn, penalty="l2")
refuse("partial_fit", ValueError, "l1", "not be given for partial_fit, got 1.0: gradient descent", learn, l1=1.0)
steep = r"small enough for coefficients to stay finite, got 1e.308 with l2=None$"
refuse("partial_fit", ValueError, "learning_rate", steep, learn, 1e9 * POINTS, learning_rate=1e308)
refuse("partial_fit", ValueError, "class_weight", "None or a dict.*got 'balanced'", learn, class_weight="balanced")
refuse("partial_fit", ValueError, "classes", "given in the first call of partial_fit, got None$", learn, classes=None)
refuse("partial_fit", ValueError, "classes", r"two or more classes, got \['ash'\]", learn, classes=["ash"])
refuse("partial_fit", ValueError, "classes", "first call.*got.*oak", go_on, "partial_fit", classes=["ash", "oak"])
refuse("partial_fit", ValueError, "y", r"\['ash', 'beech'\], got also \['oak'\]$", learn, POINTS[:2], ["ash", "oak"])

WIDE = np.column_stack([POINTS, POINTS[:, 0] - POINTS[:, 1]])
for facts, options in [
    ("with a penalty, here l2=0.025,", {}),
    ("with a penalty, here l1=0.1,", {"l1": 0.1}),
    ("with class_weight", {"class_weight": "balanced"}),
    ("with early_stopping", {"early_stopping": True}),
    ("for 3 classes", {"y": np.arange(40) % 3}),
    ("with a class without weight", {"data": {"sample_weight": NAMES == "ash"}}),
    (r"with aliased columns \(column 2 is column 0 - column 1\)", {"X": WIDE}),
    (r"with aliased columns \(column 2 is constant\)", {"X": WIDE * [1, 1, 0]}),
    ("without a proved optimum, as the fit was stopped by 'separated'", {"X": [[0.0], [1]], "y": [0, 1]}),
    ("without a proved optimum, as the fit was stopped by 'passes'", {"max_passes": 1, "solver": "gd"}),
    ("without a proved optimum, as the fit was stopped by 'uncertified'", {"certify": False}),
]:
    options = {"l2": 0, **options} if options else {"C": 1.0}
    refuse("standard errors", ValueError, "standard_errors", facts, estimate, standard_errors=True, **options)

PEER = sklearn.linear_model.LogisticRegression(solver="newton-cg").fit(POINTS, NAMES)
PEER.multi_class = "multinomial"  # an attribute of versions before 1.8
SEVERAL = sklearn.linear_model.LogisticRegression(solver="newton-cg").fit(POINTS, np.arange(40) % 3)
SEVERAL.multi_class = "ovr"
for fitted, kind, facts in [
    (gradstep.LogisticRegression().fit(POINTS, NAMES), TypeError, "a LogisticRegression of scikit-learn, got Logistic"),
    (SEVERAL, ValueError, "a sigmoid or a softmax, got one-vs-rest for 3 classes"),
    (PEER, ValueError, "a sigmoid or a softmax, got multi_class='multinomial' for two classes"),
]:
    refuse("from_sklearn", kind, "fitted", facts, gradstep.LogisticRegression.from_sklearn, fitted)


def exported(features: list[str]) -> Any:
    return gradstep.LogisticRegression(l2=1.0).fit(POINTS, NAMES).to_model(features)


refuse("to_model", ValueError, "features", r"hold 2 different names, got \['a', 'a'\]$", exported, ["a", "a"])
refuse("to_model", ValueError, "features", r"hold 2 different names, got \['a'\]$", exported, ["a"])

# Penalty factors, a prior, bounds and offsets.
refuse("LogisticRegression", TypeError, "grouped", r"True or False, got str$", estimate, grouped="yes")
refuse("LogisticRegression", ValueError, "grouped", r"False with bounds, got True$", estimate,
       y=np.resize(["ash", "beech", "cedar"], 40), grouped=True, lower=0.0)  # fmt: skip
refuse("LogisticRegression", ValueError, "penalty_factors", r"length 2 .*, got length 3$", estimate,
       penalty_factors=np.ones(3))  # fmt: skip
for name, value in (("prior", 1.0), ("lower", 0.0), ("upper", 0.0)):
    absent = r"None where a class has no weight, got one for 2 classes$"
    refuse("LogisticRegression", ValueError, name, absent, estimate,
           data={"sample_weight": (NAMES == "ash").astype(float)}, **{name: value})  # fmt: skip
    refuse("partial_fit", ValueError, name, r"not be given for partial_fit, got one: fit takes it$", learn,
           **{name: value})  # fmt: skip
for facts, offset in [
    (r"shape \(40,\) .*, got shape \(3,\)$", np.zeros(3)),
    (r"finite, got nan at row 7$", np.where(np.arange(40) == 7, np.nan, 0.0)),
    (r"between .*, got 1e\+?200 at row 7$", np.where(np.arange(40) == 7, 1e200, 0.0)),
    (r"shape \(40,\) .*, got shape \(40, 2\)$", np.zeros((40, 2))),
]:
    refuse("LogisticRegression", ValueError, "offset", facts, estimate, data={"offset": offset})
refuse(
    "LogisticRegression", TypeError, "offset", r"an array of real numbers, got", estimate, data={"offset": ["a"] * 40}
)
refuse("LogisticRegression", ValueError, "offset", r"None with X_val, got offsets: leave X_val out", estimate,
       data={"offset": np.zeros(40), "X_val": POINTS, "y_val": NAMES}, early_stopping=True)  # fmt: skip
for name in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
    for offset, facts in (
        (np.zeros(3), r"shape \(40,\) .*, got shape \(3,\)$"),
        (np.full(40, np.inf), "finite, got inf at row 0$"),
    ):
        refuse("LogisticRegression", ValueError, "offset", facts, getattr(estimate(), name), POINTS, offset=offset)
