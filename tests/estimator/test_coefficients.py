"""Coefficients of LogisticRegression: those of scikit-learn, of `fit`, and of repeated rows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as peers
from sklearn.base import clone

import gradstep
from gradstep import LogisticRegression
from helpers.estimators import problem, weights_of_samples


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"ash": 3.0, "beech": 0.5, "cedar": 1.0}])
@pytest.mark.parametrize("C", [None, 0.05, 10.0])
def test_c_means_what_it_means_to_scikit_learn(
    classes: int, weighted: bool, class_weight: Any, C: float | None
) -> None:
    X, y = problem(classes)
    X = X / np.logspace(0, 1, 4)  # on columns of similar scales, scikit-learn's solver converges
    if isinstance(class_weight, dict):
        class_weight = {name: class_weight[name] for name in np.unique(y)}
    sample_weight = weights_of_samples(len(y)) if weighted else None
    ours = LogisticRegression(C=C, class_weight=class_weight).fit(X, y, sample_weight)
    if class_weight == "balanced":  # older versions of scikit-learn ignore sample weights in "balanced"
        s = np.ones(len(y)) if sample_weight is None else sample_weight
        class_weight = {name: s.sum() / classes / s[y == name].sum() for name in np.unique(y)}
    peer = peers.LogisticRegression(
        C=1.0 if C is None else C, class_weight=class_weight, solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(X, y, sample_weight)
    # Both fits end where no component of the gradient is above 1e-8, and the objective curves by more than 1e-2.
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_ - ours.intercept_.mean() * (classes > 2),
                               peer.intercept_ - peer.intercept_.mean() * (classes > 2), atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    assert list(ours.predict(X)) == list(peer.predict(X))


@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_l1_ratio_means_what_it_means_to_scikit_learn(ratio: float) -> None:
    X, y = problem(2)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    C = 16.0 / len(y)
    ours = LogisticRegression(C=C, l1_ratio=ratio, gap_tol=1e-11).fit(X, y)
    options: dict[str, Any] = {"l1_ratio": ratio}
    if sklearn.__version__.startswith(("1.6", "1.7")):  # these versions use l1_ratio only with this penalty
        options["penalty"] = "elasticnet"
    peer = peers.LogisticRegression(C=C, solver="saga", tol=1e-11, max_iter=100_000, **options).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-6)
    assert ours.converged_ and (0.0 in ours.coef_) == (ratio == 1.0)
    strengths = LogisticRegression(l1=ratio / C / len(y), l2=(1 - ratio) / C / len(y), gap_tol=1e-11).fit(X, y)
    np.testing.assert_allclose(strengths.coef_, ours.coef_, atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"l1": 0.1, "C": 1.0}, "l1 must be None where C is given, got l1=0.1 and C=1.0"),
        ({"l1": -0.1}, "l1 must be finite and not negative, got -0.1"),
        ({"l1_ratio": 1.5}, "l1_ratio must be between 0 and 1, got 1.5"),
        ({"l2": 0.1, "l1_ratio": 0.5}, "l1_ratio must be 0 where l2 or l1 is given, got 0.5"),
    ],
)
def test_penalties_that_exclude_each_other(parameters: dict[str, Any], message: str) -> None:
    X, y = problem(2)
    with pytest.raises(ValueError, match=re.escape(message)):
        LogisticRegression(**parameters).fit(X, y)


def test_partial_fit_knows_no_l1() -> None:
    X, y = problem(2)
    for name in ("l1", "l1_ratio"):
        with pytest.raises(ValueError, match=rf"{name} must not be given for partial_fit, got 0\.1"):
            LogisticRegression(**{name: 0.1}).partial_fit(X, y)


@pytest.mark.parametrize("classes", [2, 3])
def test_is_the_optimum_of_fit(classes: int) -> None:
    X, y = problem(classes)
    names, codes = np.unique(y, return_inverse=True)
    best = gradstep.fit(X, codes, l2=0.01)
    model = LogisticRegression(l2=0.01).fit(X, y)
    assert model.coef_.tolist() == np.atleast_2d(best.weights).tolist()
    assert model.intercept_.tolist() == np.atleast_1d(best.bias).tolist()
    assert (model.objective_, model.gap_, model.n_iter_) == (best.objective, best.gap, best.n_iterations)
    assert (model.gradient_norm_, str(model.stop_reason_)) == (best.gradient_norm, "tolerance")
    assert model.converged_ is best.converged is True and model.aliased_ == best.aliased == ()
    assert model.classes_.tolist() == names.tolist() and len(model.history_) == model.n_iter_
    probability = model.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(probability), atol=1e-12)
    want = gradstep.predict_proba(X, best.weights, best.bias)
    assert (probability[:, 1] if classes == 2 else probability).tolist() == want.tolist()
    assert model.decision_function(X).tolist() == gradstep.decision_function(X, best.weights, best.bias).tolist()


def test_log_probabilities_are_finite_where_predictors_are() -> None:
    model = LogisticRegression(l2=1.0).fit([[0.0], [1.0]], [0, 1])
    assert np.isfinite(model.predict_log_proba([[1e6], [-1e6]])).all()


def test_l2_does_not_see_a_common_factor_of_weights_and_c_does() -> None:
    X, y = problem()
    twice = {"ash": 2.0, "beech": 2.0}
    plain = LogisticRegression(l2=0.1).fit(X, y)
    np.testing.assert_allclose(LogisticRegression(l2=0.1, class_weight=twice).fit(X, y).coef_, plain.coef_, atol=1e-8)
    stronger = LogisticRegression(C=2.0).fit(X, y).coef_
    np.testing.assert_allclose(LogisticRegression(C=1.0, class_weight=twice).fit(X, y).coef_, stronger, atol=1e-8)


@pytest.mark.parametrize("C", [None, 0.3])
def test_integer_weights_are_repeated_rows_also_when_balanced(C: float | None) -> None:
    X, y = problem(3)
    count = weights_of_samples(len(y))
    repeated = np.repeat(np.arange(len(y)), count.astype(int))
    model = LogisticRegression(C=C, class_weight="balanced")
    want = clone(model).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(model.fit(X, y, count).coef_, want.coef_, atol=1e-7)


def test_sample_weights_that_are_refused_are_named() -> None:
    X, y = [[1.0], [2.0], [3.0], [4.0]], [0, 1, 0, 1]
    for weight, message in [
        ([1, 1, -1, -1], "sample_weight must be finite and not negative, got -1 at row 2"),
        ([1, np.inf, 1, 1], "sample_weight|infinity"),
        ([1e-310] * 4, r"C must be large enough for its penalty, .* got C=1.0 and a sum of 4e-310"),
        ([1e308] * 4, "sample_weight"),
    ]:
        with pytest.raises(ValueError, match=message):
            gradstep.LogisticRegression().fit(X, y, sample_weight=weight)
