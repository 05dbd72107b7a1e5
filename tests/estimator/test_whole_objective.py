"""Penalty factors, a prior, bounds, grouped l1 and offsets in the estimators: the fits are those of `gradstep.fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold

import gradstep
from gradstep import LogisticRegression, LogisticRegressionCV
from helpers.estimators import problem, weights_of_samples

OPTIONS: list[dict[str, Any]] = [
    {"l2": 0.1, "penalty_factors": [0.0, 1.0, 2.0, 0.5], "prior": [1.0, 0.0, -0.5, 0.0]},
    {"l1": 0.01, "l2": 0.02, "lower": -0.1, "upper": [0.3, np.inf, 0.2, 0.1]},
    {"C": 0.05, "l1_ratio": 0.5, "penalty_factors": [2.0, 1.0, 1.0, 0.1]},
    {"l1": 0.02, "grouped": True},
]


def offsets(m: int, classes: int) -> Any:
    return np.random.default_rng(3).normal(size=m if classes == 2 else (m, classes))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("form", ["dense", "sparse", "frame"])
def test_it_is_the_fit_of_gradstep(options: dict[str, Any], classes: int, form: str) -> None:
    X, y = problem(classes)
    codes, s, offset = np.unique(y, return_inverse=True)[1], weights_of_samples(200), offsets(200, classes)
    rows: Any = {"dense": X, "sparse": sparse.csr_array(X), "frame": pd.DataFrame(X, columns=list("abcd"))}[form]
    model = LogisticRegression(**options).fit(rows, y, s, offset=offset)
    meant = dict(options)
    if "C" in meant:
        strength = 1 / meant.pop("C") / s.sum()
        ratio = meant.pop("l1_ratio")
        meant |= {"l1": ratio * strength, "l2": (1 - ratio) * strength}
    best = gradstep.fit(rows, codes, sample_weight=s, offset=offset, **meant)
    np.testing.assert_array_equal(model.coef_, np.atleast_2d(best.weights))
    np.testing.assert_array_equal(model.intercept_, best.bias)
    assert (model.objective_, model.gap_, model.converged_) == (best.objective, best.gap, best.converged)
    z = best.decision_function(rows, offset=offset)
    np.testing.assert_array_equal(model.decision_function(rows, offset=offset), z)
    p = best.predict_proba(rows, offset=offset)
    np.testing.assert_array_equal(model.predict_proba(rows, offset=offset)[:, -1], p if classes == 2 else p[:, -1])
    np.testing.assert_array_equal(model.predict(rows, offset=offset), model.classes_[best.predict(rows, offset=offset)])
    np.testing.assert_allclose(
        model.predict_log_proba(rows, offset=offset), np.log(model.predict_proba(rows, offset=offset)), rtol=1e-9
    )
    assert (model.predict(rows) != model.predict(rows, offset=offset)).any()


def test_parameters_can_be_read_set_and_cloned() -> None:
    factors = np.array([0.0, 1.0, 1.0, 1.0])
    for model in (LogisticRegression(penalty_factors=factors), LogisticRegressionCV(penalty_factors=factors)):
        assert clone(model).get_params()["penalty_factors"].tolist() == factors.tolist()
        model.set_params(lower=0.0, upper=np.ones(4), prior=None, grouped=False)
        assert clone(model).lower == 0.0
    X, y = problem()
    search = GridSearchCV(LogisticRegression(l2=0.1), {"lower": [None, 0.0], "penalty_factors": [None, factors]}, cv=3)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_a_class_without_weight_narrows_offsets_and_groups() -> None:
    X, y = problem(3)
    s, offset = weights_of_samples(200) * (y != "beech"), offsets(200, 3)
    options: dict[str, Any] = {"l1": 0.02, "grouped": True, "penalty_factors": [0.5, 1, 1, 1]}
    with pytest.warns(UserWarning, match="class 'beech' has no sample"):
        model = LogisticRegression(**options).fit(X, y, s, offset=offset)
    with pytest.warns(UserWarning, match="classes 'beech', 'date' have no sample"):
        many = LogisticRegression(**options).fit(
            np.vstack([X, X[:1]]), np.append(y, "date"), np.append(s, 0.0), offset=np.pad(offset, ((0, 1), (0, 1)))
        )
    present = y != "beech"
    pair = offset[present][:, [0, 2]]
    best = gradstep.fit(
        X[present], (y[present] == "cedar").astype(int), sample_weight=s[present], offset=pair[:, 1] - pair[:, 0],
        l1=0.02 / np.sqrt(2), penalty_factors=[0.5, 1, 1, 1],
    )  # fmt: skip
    np.testing.assert_allclose(model.coef_[2] - model.coef_[0], best.weights, atol=1e-6)
    np.testing.assert_allclose(many.coef_[:3], model.coef_, atol=1e-6)


def test_early_stopping_standard_errors_and_warm_starts_take_offsets() -> None:
    X, y = problem()
    offset = offsets(200, 2)
    early = LogisticRegression(l2=0.001, early_stopping=True, random_state=0).fit(X, y, offset=offset)
    assert np.isfinite(early.validation_history_).all()
    other = LogisticRegression(l2=0.001, early_stopping=True, random_state=0).fit(X, y)
    assert early.validation_history_[0] != other.validation_history_[0]
    model = LogisticRegression(l2=0, standard_errors=True, warm_start=True).fit(X, y, offset=offset)
    wide = LogisticRegression(l2=0, standard_errors=True).fit(X, y)
    known = LogisticRegression(l2=0, standard_errors=True).fit(X, y, offset=X @ [1.0, 0, 0, 0])
    np.testing.assert_allclose(known.standard_errors_, wide.standard_errors_, rtol=1e-6)
    assert model.fit(X, y, offset=offset).n_iter_[0] <= 1
    with pytest.raises(ValueError, match="standard_errors must be False with bounds"):
        LogisticRegression(l2=0, standard_errors=True, lower=0.0).fit(X, y)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scoring", [None, "neg_log_loss", "balanced_accuracy"])
@pytest.mark.parametrize("shared", [False, True])
def test_cross_validation(classes: int, scoring: Any, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fit of a fold, its score, and the last fit; also where all folds are fitted together."""
    monkeypatch.setattr("gradstep._cross_validation.LEAST_SHARED", 0 if shared else 2**60)
    X, y = problem(classes)
    s, offset = weights_of_samples(200), offsets(200, classes)
    options: dict[str, Any] = {"penalty_factors": [2.0, 1.0, 0.5, 1.0], "lower": -0.05, "upper": 0.5}
    folds = list(StratifiedKFold(3).split(X, y))
    model = LogisticRegressionCV(
        strengths=[0.1, 0.01], l1_ratios=[0.5], cv=folds, scoring=scoring, use_legacy_attributes=False, gap_tol=1e-10,
        **options,
    ).fit(X, y, s, offset=offset)  # fmt: skip
    # The last steps of a fit converge fast. So coefficients that differ by their starts alone agree far closer than
    # gap_tol = 1e-10 of the objective demands (about its square root, 1e-5).
    for k, (train, test) in enumerate(folds):
        single = LogisticRegression(l1=0.005, l2=0.005, gap_tol=1e-10, **options)
        single.fit(X[train], y[train], s[train], offset=offset[train])
        np.testing.assert_allclose(model.coefs_paths_[k, 0, 1, :, :-1], single.coef_, atol=1e-6)
        if scoring == "neg_log_loss":
            p = single.predict_proba(X[test], offset=offset[test])
            want = -log_loss(y[test], p, sample_weight=s[test], labels=single.classes_)
            np.testing.assert_allclose(model.scores_[k, 0, 1], want, atol=1e-6)
        if scoring is None:
            hits = single.predict(X[test], offset=offset[test]) == y[test]
            np.testing.assert_allclose(model.scores_[k, 0, 1], np.average(hits, weights=s[test]), rtol=1e-12)
    strength = model.strength_
    last = LogisticRegression(l1=strength / 2, l2=strength / 2, gap_tol=1e-10, **options).fit(X, y, s, offset=offset)
    np.testing.assert_allclose(model.coef_, last.coef_, atol=1e-6)
    assert model.converged_ and model.score(X, y, s, offset=offset) != model.score(X, y, s)


def test_a_grid_of_strengths_begins_where_all_penalised_coefficients_are_zero() -> None:
    X, y = problem()
    options: dict[str, Any] = {"penalty_factors": [0.0, 1.0, 2.0, 1.0], "upper": 0.4}
    offset = offsets(200, 2)
    model = LogisticRegressionCV(strengths=5, l1_ratios=[1.0], **options).fit(X, y, offset=offset)
    path = gradstep.path(X, (y == "beech").astype(int), n=5, offset=offset, **options)
    np.testing.assert_allclose(model.strengths_[0], path.strengths[0], rtol=1e-12)
    grouped = LogisticRegressionCV(strengths=5, l1_ratios=[1.0], grouped=True).fit(*problem(3))
    assert set(np.count_nonzero(grouped.coef_, axis=0)) <= {0, 3}


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), LogisticRegression(early_stopping=True), LogisticRegressionCV(Cs=2, refit=False)],
    ids=str,
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda offset: offset[:-5], r"offset must have shape \(200,\) .* got shape \(195,\)"),
        (lambda offset: np.append(offset, 1.0), r"offset must have shape \(200,\) .* got shape \(201,\)"),
        (lambda offset: offset[:, None], r"offset must have shape \(200,\) .* got shape \(200, 1\)"),
        (lambda offset: offset[0], r"offset must have shape \(200,\) .* got shape \(\)"),
        (lambda offset: np.where(np.arange(200) == 3, np.nan, offset), "offset must be finite, got nan at row 3"),
    ],
)
def test_offsets_are_checked_before_rows_are_split(model: Any, change: Any, message: str) -> None:
    X, y = problem()
    with pytest.raises(ValueError, match=message):
        clone(model).fit(X, y, offset=change(offsets(200, 2)))


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_take_offsets(classes: int) -> None:
    X, y = problem(classes)
    s, offset = weights_of_samples(200), offsets(200, classes)
    model = LogisticRegression(l2=0.1).fit(X, y, offset=offset)
    assert model.score(X, y, s, offset=offset) == np.average(model.predict(X, offset=offset) == y, weights=s)
    assert model.score(X, y) == np.mean(model.predict(X) == y)
