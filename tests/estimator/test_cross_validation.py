"""LogisticRegressionCV: scikit-learn's checks, its scores and its choice, and the rule of one standard error."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as peers
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.preprocessing import scale
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

import gradstep
from gradstep import LogisticRegression, LogisticRegressionCV, _cross_validation
from helpers.estimators import problem, weights_of_samples

CHECKS = parametrize_with_checks(
    [LogisticRegressionCV(Cs=3, cv=3), LogisticRegressionCV(strengths=[0.1, 0.01], cv=2, use_legacy_attributes=False)]
)
NEW = {"use_legacy_attributes": False, "scoring": "neg_log_loss"}


# Older versions of scikit-learn hand a generator to pytest, which newer versions of pytest refuse: hence the list.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), ids=CHECKS.kwargs["ids"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("units", ["C", "strengths"])
def test_scores_are_those_of_fits_to_the_other_folds(classes: int, weighted: bool, units: str) -> None:
    X, y = problem(classes, m=120)
    s = weights_of_samples(len(y)) if weighted else None
    values = [10.0, 0.1, 1.0] if units == "C" else [0.01, 1.0, 0.1]  # deliberately in no order
    ratios = [0.0, 1.0]
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    given = {"Cs": values} if units == "C" else {"strengths": values}
    model = LogisticRegressionCV(l1_ratios=ratios, cv=cv, **given, **NEW).fit(X, y, s)
    for fold, (train, test) in enumerate(cv.split(X, y)):
        for i, ratio in enumerate(ratios):
            for k, value in enumerate(values):
                options = (
                    {"C": value, "l1_ratio": ratio}
                    if units == "C"
                    else {"l1": ratio * value, "l2": (1 - ratio) * value}
                )
                one = LogisticRegression(**options).fit(X[train], y[train], None if s is None else s[train])
                p = one.predict_proba(X[test])
                score = -log_loss(y[test], p, labels=model.classes_, sample_weight=None if s is None else s[test])
                # Both fits are within 1e-8 of the minimum, and so weights within the root of 1e-8.
                assert model.scores_[fold, i, k] == pytest.approx(score, abs=1e-4)
                path = model.coefs_paths_[fold, i, k]
                np.testing.assert_allclose(path[:, :-1], one.coef_, atol=2e-3)
                np.testing.assert_allclose(path[:, -1], one.intercept_, atol=2e-3)
    mean = model.scores_.mean(axis=0)
    i, k = np.argwhere(mean == mean.max())[0]
    total = len(y) if s is None else s.sum()
    assert (model.l1_ratio_, model.C_, model.strength_) == (ratios[i], model.Cs_[k], model.strengths_[k])
    chosen = model.Cs_ if units == "C" else model.strengths_
    assert chosen.tolist() == values and np.allclose(model.Cs_ * model.strengths_, 1 / total, rtol=1e-14)
    want = LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_).fit(X, y, s)
    np.testing.assert_allclose(model.coef_, want.coef_, atol=2e-3)
    assert model.converged_ and abs(model.objective_ - want.objective_) <= model.gap_ + want.gap_ + 1e-15
    # Of two classes, scikit-learn's scorer is given the second column alone. The first is not 1 - p to the bit.
    p = model.predict_proba(X)
    assert model.score(X, y) == -log_loss(y, p[:, 1] if classes == 2 else p)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"])
def test_scores_are_those_of_scikit_learns_scorers(classes: int, scoring: str | None) -> None:
    X, y = problem(classes, m=90)
    s = weights_of_samples(len(y))
    folds = list(KFold(3).split(X))
    model = LogisticRegressionCV(Cs=[0.1, 1e9], cv=folds, scoring=scoring, use_legacy_attributes=False).fit(X, y, s)
    one = LogisticRegression().fit(X, y)
    for fold, (_, test) in enumerate(folds):
        for k in range(2):
            path = model.coefs_paths_[fold, 0, k]
            one.coef_, one.intercept_ = path[:, :-1], path[:, -1]
            want = get_scorer(scoring or "accuracy")(one, X[test], y[test], sample_weight=s[test])
            # Sums of thirty terms.
            assert model.scores_[fold, 0, k] == pytest.approx(want, rel=1e-13)
    seen: list[Any] = []

    def own(estimator: Any, X: Any, y: Any) -> float:
        seen.append((estimator.predict_proba(X).shape, y.tolist()))
        return -float(len(seen))

    model = LogisticRegressionCV(Cs=[0.1, 1.0], cv=folds, scoring=own, use_legacy_attributes=False).fit(X, y)
    assert model.scores_.ravel().tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    assert seen == [((30, classes), y[test].tolist()) for _, test in folds for _ in range(2)]
    assert model.score(X, y) == -7.0


def test_the_grid_of_a_number_of_strengths_is_that_of_a_path() -> None:
    X, y = problem(m=100)
    model = LogisticRegressionCV(strengths=6, l1_ratios=[0.5], **NEW).fit(X, y)
    want = gradstep.path(X, y == "beech", l1_ratio=0.5, n=6, ratio=1e-3)
    np.testing.assert_allclose(model.strengths_, want.strengths, rtol=1e-12)
    assert LogisticRegressionCV(Cs=5, **NEW).fit(X, y).Cs_.tolist() == np.logspace(-4, 4, 5).tolist()


def test_one_standard_error() -> None:
    X, y = problem(m=150)
    strengths = np.geomspace(0.3, 1e-4, 12)
    model = LogisticRegressionCV(strengths=strengths, l1_ratios=[1.0], cv=5, **NEW).fit(X, y)
    simple = clone(model).set_params(one_standard_error=True).fit(X, y)
    scores = model.scores_[:, 0]
    mean, error = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(5)
    best = mean.argmax()
    allowed = [k for k in range(12) if mean[k] >= mean[best] - error[best]]
    assert np.isclose(model.strength_, strengths[best], rtol=1e-14)
    assert np.isclose(simple.strength_, strengths[allowed].max(), rtol=1e-14) and simple.strength_ > model.strength_
    assert simple.scores_.tolist() == model.scores_.tolist()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ratios", [None, [0.0, 0.5]])
def test_attributes_as_scikit_learn_has_them_today(classes: int, ratios: Any) -> None:
    X, y = problem(classes, m=90)
    options: dict[str, Any] = {"Cs": [0.1, 1.0, 10.0], "cv": 4, "l1_ratios": ratios}
    new, old = (LogisticRegressionCV(use_legacy_attributes=legacy, **options).fit(X, y) for legacy in (False, True))
    rows = 1 if classes == 2 else 3
    keys = list(old.classes_[-rows:])
    assert list(old.scores_) == list(old.coefs_paths_) == keys
    assert old.C_.tolist() == [new.C_] * rows and old.l1_ratio_.tolist() == [new.l1_ratio_] * rows
    for k, key in enumerate(keys):
        scores, paths = np.swapaxes(new.scores_, 1, 2), np.swapaxes(new.coefs_paths_[..., k, :], 1, 2)
        if ratios is None:
            scores, paths = scores[:, :, 0], paths[:, :, 0]
        assert old.scores_[key].tolist() == scores.tolist() and old.coefs_paths_[key].tolist() == paths.tolist()
    n_iter = np.swapaxes(new.n_iter_, 1, 2)
    assert old.n_iter_.tolist() == [(n_iter[:, :, 0] if ratios is None else n_iter).tolist()]
    with warnings.catch_warnings(action="ignore"):
        peer = peers.LogisticRegressionCV(Cs=[0.1, 1.0, 10.0], cv=4, max_iter=30).fit(X, y)
    if ratios is None:
        for name in ("C_", "Cs_", "n_iter_", "coef_", "intercept_"):
            assert getattr(peer, name).shape == getattr(old, name).shape
        for name in ("scores_", "coefs_paths_"):
            for key in keys:
                assert getattr(peer, name)[key].shape == getattr(old, name)[key].shape


@pytest.mark.parametrize("classes", [2, 3])
def test_without_a_refit_coefficients_are_means(classes: int) -> None:
    X, y = problem(classes, m=90)
    model = LogisticRegressionCV(Cs=[0.01, 1.0, 100.0], cv=3, refit=False, **NEW).fit(X, y)
    best = model.scores_[:, 0].argmax(axis=1)
    mean = np.mean([model.coefs_paths_[fold, 0, k] for fold, k in enumerate(best)], axis=0)
    assert model.coef_.tolist() == mean[:, :-1].tolist() and model.intercept_.tolist() == mean[:, -1].tolist()
    assert np.mean(model.Cs_[best]) == model.C_ and not hasattr(model, "gap_")


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy"])
@pytest.mark.parametrize("name", ["cancer", "iris", "wine"])
def test_it_chooses_what_scikit_learn_chooses(name: str, scoring: str) -> None:
    from sklearn import datasets

    load = {"cancer": datasets.load_breast_cancer, "iris": datasets.load_iris, "wine": datasets.load_wine}[name]
    X, y = load(return_X_y=True)
    X = scale(X)
    # Before scikit-learn 1.8, newton-cholesky ends at other coefficients for several classes if it starts from those of
    # another C.
    is_old = parse_version(sklearn.__version__) < parse_version("1.8")
    solver = "newton-cg" if y.max() > 1 and is_old else "newton-cholesky"
    options: dict[str, Any] = {"Cs": np.logspace(-3, 1, 5), "cv": StratifiedKFold(4), "scoring": scoring}
    with warnings.catch_warnings(action="ignore"):
        peer = peers.LogisticRegressionCV(solver=solver, tol=1e-10, max_iter=1000, **options).fit(X, y)
    model = LogisticRegressionCV(gap_tol=1e-11, **options).fit(X, y)
    assert model.C_.tolist() == peer.C_.tolist()
    for key, scores in peer.scores_.items():
        np.testing.assert_allclose(model.scores_[key], scores, atol=1e-6 if scoring == "neg_log_loss" else 0)
        # The objective is within 1e-11 of its minimum, and so weights within the root of 1e-11 over the curvature.
        np.testing.assert_allclose(model.coefs_paths_[key], peer.coefs_paths_[key], atol=1e-4)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)


def test_it_is_a_grid_search() -> None:
    X, y = problem(m=100)
    Cs, ratios, cv = [0.01, 0.1, 1.0], [0.0, 0.5, 1.0], KFold(4)
    model = LogisticRegressionCV(Cs=Cs, l1_ratios=ratios, cv=cv, **NEW).fit(X, y)
    search = GridSearchCV(LogisticRegression(), {"C": Cs, "l1_ratio": ratios}, cv=cv, scoring="neg_log_loss").fit(X, y)
    assert search.best_params_ == {"C": model.C_, "l1_ratio": model.l1_ratio_}
    np.testing.assert_allclose(search.best_score_, model.scores_.mean(axis=0).max(), atol=1e-6)


def test_the_same_bits_from_any_number_of_jobs_and_threads() -> None:
    X, y = problem(3, m=200)
    models = [
        LogisticRegressionCV(Cs=4, n_jobs=n_jobs, n_threads=n_threads, **NEW).fit(X, y)
        for n_jobs, n_threads in [(None, 1), (None, 3), (2, None), (-1, 2)]
    ]
    for model in models[1:]:
        assert model.coefs_paths_.tobytes() == models[0].coefs_paths_.tobytes()
        assert model.scores_.tolist() == models[0].scores_.tolist() and model.coef_.tolist() == models[0].coef_.tolist()


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array, np.asfortranarray])
def test_containers_give_the_same(make: Any) -> None:
    X, y = problem(m=100)
    want, got = (LogisticRegressionCV(Cs=3, gap_tol=1e-11, **NEW).fit(data, y) for data in (X, make(X)))
    np.testing.assert_allclose(got.scores_, want.scores_, atol=1e-6)
    np.testing.assert_allclose(got.coef_, want.coef_, atol=1e-5)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_folds_of_large_features_are_weights(make: Any, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = problem(3, m=90)
    s = weights_of_samples(len(y)) if weighted else None
    folds = [(np.r_[0:60, 30:40], np.r_[60:90]), (np.r_[30:90], np.r_[0:30])]  # the first fold has some rows twice
    model = LogisticRegressionCV(Cs=[0.1, 10.0], cv=folds, gap_tol=1e-11, **NEW)
    copied = model.fit(make(X), y, s).coefs_paths_
    monkeypatch.setattr(_cross_validation, "MOST_COPIED", 0)
    weights = model.fit(make(X), y, s).coefs_paths_
    np.testing.assert_allclose(weights, copied, atol=1e-5)
    assert weights.tobytes() != copied.tobytes()


@pytest.mark.parametrize("options", [{}, {"fit_intercept": False}, {"l1_ratios": (0.5, 1.0), "gap_tol": 1e-8}])
@pytest.mark.parametrize("classes", [2, 3])
def test_folds_of_large_features_are_fitted_together(
    options: dict[str, Any], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem(classes, m=120)
    s = weights_of_samples(len(y))
    options = {"gap_tol": 1e-11, **NEW, **options}
    near = 1e-3 if "l1_ratios" in options else 1e-5
    model = LogisticRegressionCV(Cs=[0.1, 10.0], cv=3, **options)
    by_itself = model.fit(X, y, s)
    apart, scores = by_itself.coefs_paths_, by_itself.scores_
    monkeypatch.setattr(_cross_validation, "LEAST_SHARED", 0)
    shared = model.fit(X, y, s)
    np.testing.assert_allclose(shared.coefs_paths_, apart, atol=near)
    np.testing.assert_allclose(shared.scores_, scores, atol=near)
    assert shared.coefs_paths_.tobytes() != apart.tobytes()
    assert shared.n_iter_.shape == by_itself.n_iter_.shape

    monkeypatch.setattr(_cross_validation, "LEAST_SHARED", 2**62)
    monkeypatch.setattr(_cross_validation, "MOST_COPIED", 0)
    assert model.fit(X, y, s).coefs_paths_.tobytes() == shared.coefs_paths_.tobytes()  # folds fitted one by one


OWN_LOSS = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)


@pytest.mark.parametrize("scoring", ["neg_log_loss", OWN_LOSS], ids=["direct", "by a scorer"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_that_a_fold_lacks_has_probability_zero_there(n_classes: int, scoring: Any) -> None:
    y = np.repeat(["a", "b", "c"][:n_classes], 4)
    X = np.arange(len(y), dtype=float)[:, None]
    options: dict[str, Any] = {"scoring": scoring, "use_legacy_attributes": False}
    model = LogisticRegressionCV(Cs=[0.1, 1.0], cv=KFold(n_classes), **options).fit(X, y)
    for fold in range(n_classes):  # all rows of the fold are of one class, which the other folds lack
        intercepts = model.coefs_paths_[fold, 0, :, :, -1]
        lacking = {0: np.inf, 1: -np.inf}[fold] if n_classes == 2 else -np.inf
        assert (intercepts[:, 0 if n_classes == 2 else fold] == lacking).all()
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    np.testing.assert_allclose(model.scores_, np.log(np.finfo(float).eps), rtol=1e-12)


def test_optima_that_are_not_proved_are_counted() -> None:
    X, y = problem(m=100)
    with pytest.warns(ConvergenceWarning, match=r"of 7 optima \d are not proved \(stopped \d by 'iterations'\)") as got:
        LogisticRegressionCV(Cs=[1.0, 10.0], cv=3, max_iter=1).fit(X, y)
    assert got[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="1 by 'separated'"):
        LogisticRegressionCV(Cs=[1.0, np.inf], cv=2, refit=False).fit(
            [[0.0], [1], [2], [3], [1.4], [1.6]], [0, 0, 1, 1, 1, 0]
        )
