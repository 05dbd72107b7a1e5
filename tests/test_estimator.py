"""The estimator: scikit-learn's own checks, its LogisticRegression as an oracle, and what it adds to `fit`."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from fractions import Fraction
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import sklearn.linear_model as peers
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

import gradstep
import oracle
from gradstep import LogisticRegression

Array = Any


CHECKS = parametrize_with_checks([LogisticRegression(), LogisticRegression(alpha=0.1, solver="gd")])


# Older versions hand a generator to pytest, newer ones of which refuse it.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), ids=CHECKS.kwargs["ids"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix for nan or inf.:UserWarning")
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def problem(classes: int = 2, m: int = 200, n: int = 4, seed: int = 0) -> tuple[Array, Array]:
    """Overlapping classes with names, in columns of different scales."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, m)
    X = rng.normal(size=(m, n)) + 0.7 * codes[:, None] * rng.normal(size=n)
    return X * np.logspace(0, 1, n), np.array(["ash", "beech", "cedar", "date"])[codes]


def weights_of_samples(m: int) -> Array:
    return np.random.default_rng(1).integers(0, 4, m).astype(float)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"ash": 3.0, "beech": 0.5, "cedar": 1.0}])
@pytest.mark.parametrize("C", [None, 0.05, 10.0])
def test_c_means_what_it_means_to_scikit_learn(
    classes: int, weighted: bool, class_weight: Any, C: float | None
) -> None:
    X, y = problem(classes)
    X = X / np.logspace(0, 1, 4)  # the peer converges on columns of one scale
    if isinstance(class_weight, dict):
        class_weight = {name: class_weight[name] for name in np.unique(y)}
    sample_weight = weights_of_samples(len(y)) if weighted else None
    ours = LogisticRegression(C=C, class_weight=class_weight).fit(X, y, sample_weight)
    if class_weight == "balanced":  # older versions overlook the sample weights there
        s = np.ones(len(y)) if sample_weight is None else sample_weight
        class_weight = {name: s.sum() / classes / s[y == name].sum() for name in np.unique(y)}
    peer = peers.LogisticRegression(
        C=1.0 if C is None else C, class_weight=class_weight, solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(X, y, sample_weight)
    # Both end where no component of the gradient is above 1e-8; the curvature is above 1e-2 here.
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_ - ours.intercept_.mean() * (classes > 2),
                               peer.intercept_ - peer.intercept_.mean() * (classes > 2), atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    assert list(ours.predict(X)) == list(peer.predict(X))


@pytest.mark.parametrize("classes", [2, 3])
def test_is_the_optimum_of_fit(classes: int) -> None:
    X, y = problem(classes)
    names, codes = np.unique(y, return_inverse=True)
    best = gradstep.fit(X, codes, l2=0.01)
    model = LogisticRegression(alpha=0.01).fit(X, y)
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
    model = LogisticRegression(alpha=1.0).fit([[0.0], [1.0]], [0, 1])
    assert np.isfinite(model.predict_log_proba([[1e6], [-1e6]])).all()


def test_alpha_does_not_see_a_common_factor_of_weights_and_c_does() -> None:
    X, y = problem()
    twice = {"ash": 2.0, "beech": 2.0}
    plain = LogisticRegression(alpha=0.1).fit(X, y)
    np.testing.assert_allclose(
        LogisticRegression(alpha=0.1, class_weight=twice).fit(X, y).coef_, plain.coef_, atol=1e-8
    )
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


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, np.asfortranarray, pd.DataFrame]
)
def test_containers_give_the_same_coefficients(make: Any) -> None:
    X, y = problem()
    want = LogisticRegression(alpha=0.1).fit(X, y)
    got = LogisticRegression(alpha=0.1).fit(make(X), y) if make is not pd.DataFrame else (
        LogisticRegression(alpha=0.1).fit(pd.DataFrame(X), pd.Series(y))
    )  # fmt: skip
    np.testing.assert_allclose(got.coef_, want.coef_, rtol=1e-9)


reads_polars = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="this scikit-learn reads no names from polars"
)


@pytest.mark.parametrize("frame", [pd.DataFrame, pytest.param(pl.DataFrame, marks=reads_polars)])
def test_frames_name_their_columns(frame: Any) -> None:
    X, y = problem(n=2)
    data = frame({"height": X[:, 0], "girth": X[:, 1]})
    model = LogisticRegression().fit(data, y)
    assert model.feature_names_in_.tolist() == ["height", "girth"]
    assert list(model.predict(data)) == list(LogisticRegression().fit(X, y).predict(X))


def test_float32_stays_float32_without_a_warning() -> None:
    X, y = problem()
    model = LogisticRegression(alpha=0.01).fit(X.astype(np.float32), y)
    assert model.coef_.dtype == model.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_lives_in_scikit_learns_tools(tmp_path: Any) -> None:
    X, y = problem(3)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, n_jobs=2, cv=3
    ).fit(X, y)
    assert search.best_score_ > 0.4
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (len(X), 3)
    model = LogisticRegression().fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert again.predict_proba(X).tolist() == model.predict_proba(X).tolist() and again.stop_reason_ == "tolerance"
    joblib.dump(model, tmp_path / "model")
    assert joblib.load(tmp_path / "model").coef_.tolist() == model.coef_.tolist()


def test_metadata_is_routed() -> None:
    X, y = problem()
    weight = weights_of_samples(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, model).fit(X, y, sample_weight=weight)
    want = LogisticRegression().fit(StandardScaler().fit_transform(X), y, weight)
    assert routed[-1].coef_.tolist() == want.coef_.tolist()


def test_separated_classes_are_a_warning_that_names_columns() -> None:
    data = pd.DataFrame({"length": [1, 2, 1, 2, 1], "is_big": [0, 0, 0, 0, 1]})
    with pytest.warns(ConvergenceWarning, match=r"'separated'.*along column is_big some or all labels are separated"):
        model = LogisticRegression(alpha=0).fit(data, [0, 1, 1, 0, 1])
    assert np.isfinite(model.coef_).all() and model.separation_.weights.tolist() == [0, 1]
    assert model.predict(data)[-1] == 1 and (model.gap_, model.converged_) == (np.inf, False)


def test_a_rare_dummy_that_separates_is_named() -> None:
    """All three rows where it is 1 have one label, among 500 that nothing else separates."""
    X, y = problem(m=500, n=2)
    data = pd.DataFrame(X, columns=["height", "girth"]).assign(is_rare=np.isin(np.arange(500), [7, 100, 300]))
    y[[7, 100, 300]] = "beech"
    model = LogisticRegression(alpha=0)
    with pytest.warns(ConvergenceWarning, match=r"no optimum \(stopped by 'separated'\): along column is_rare some"):
        model.fit(data, y)
    assert np.flatnonzero(model.separation_.weights).tolist() == [2]
    with (
        pytest.warns(ConvergenceWarning, match="along column is_rare"),
        pytest.raises(ValueError, match=r"^standard_errors must be False without a proved optimum, .*'separated'"),
    ):
        model.set_params(standard_errors=True).fit(data, y)


def test_too_few_passes_are_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"'passes' after max_iter=1 passes") as caught:
        model = LogisticRegression(solver="gd", max_iter=1).fit(*problem())
    assert not model.converged_ and model.gap_ > 1e-8 * model.objective_
    assert f"the objective may be up to {model.gap_:.1e} above its minimum" in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("dtype", "advice"), [(np.float64, "columns nearer to zero"), (np.float32, "features in float64")]
)
def test_what_rounding_leaves_of_the_gap_is_a_warning(dtype: Any, advice: str) -> None:
    X, y = problem()
    words = rf"'precision'.* may be up to \d.\de-\d\d above its minimum, more than gap_tol=0 allows; {advice}"
    with pytest.warns(ConvergenceWarning, match=words):
        model = LogisticRegression(alpha=0, gap_tol=0).fit(X.astype(dtype), y)
    assert (str(model.stop_reason_), model.converged_) == ("precision", False) and 0 < model.gap_ < 1e-12


def test_what_was_not_asked_to_be_proved_is_no_warning() -> None:
    X, y = problem()
    model = LogisticRegression(alpha=0, certify=False).fit(X, y)
    assert (str(model.stop_reason_), model.gap_, model.converged_) == ("uncertified", np.inf, False)
    assert model.gradient_norm_ <= 1e-8
    model = LogisticRegression(alpha=0.1, certify=False).fit(X, y)  # where duality is enough
    assert (str(model.stop_reason_), model.converged_) == ("tolerance", True)
    model = LogisticRegression(alpha=0, tol=0.1).fit(X, y)
    assert (str(model.stop_reason_), model.converged_) == ("tolerance", False)
    assert 1e-8 < model.gradient_norm_ <= 0.1 and 1e-8 * model.objective_ < model.gap_ < np.inf
    looser = LogisticRegression(alpha=0, tol=0.1, gap_tol=1.0).fit(X, y)
    assert looser.gap_ == model.gap_ and looser.converged_
    stricter = LogisticRegression(alpha=0, tol=0).fit(X, y)  # proved, though rounding leaves a gradient
    assert (str(stricter.stop_reason_), stricter.converged_) == ("precision", True)


def times(m: int = 400) -> tuple[Array, Array]:
    """Start and end of rides, in seconds since 1970; labels that depend on how long they take."""
    rng = np.random.default_rng(0)
    start, duration = 1_700_000_000 + rng.integers(0, 10**7, m), rng.integers(60, 3600, m)
    y = rng.random(m) < gradstep.sigmoid((duration - 1800) / 600)
    return np.column_stack([start, start + duration]).astype(float), y


def test_times_since_1970_reach_the_loss_of_centred_columns() -> None:
    X, y = times()
    model = LogisticRegression(alpha=0).fit(X, y)
    start, duration = X[:, 0] - X[0, 0], X[:, 1] - X[:, 0]
    want = LogisticRegression(alpha=0).fit(np.column_stack([start, duration / 600]), y)
    assert model.converged_ and want.converged_ and model.aliased_ == ()
    # Of objectives that are evaluated in float64 a few units in the last place are rounding.
    assert abs(model.objective_ - want.objective_) <= model.gap_ + want.gap_ + 1e-14
    np.testing.assert_allclose(model.coef_[0, 1], want.coef_[0, 1] / 600, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), want.predict_proba(np.column_stack([start, duration / 600])),
                               atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_columns_that_others_make_up_are_told_and_weigh_nothing(solver: Any) -> None:
    X, y = problem()
    level = np.eye(3)[np.random.default_rng(2).integers(0, 3, len(y))]
    model = LogisticRegression(alpha=0, solver=solver).fit(np.column_stack([X, level, X[:, 0] - 2 * X[:, 1]]), y)
    assert [(alias.column, alias.columns) for alias in model.aliased_] == [(6, (4, 5)), (7, (0, 1))]
    np.testing.assert_allclose(model.aliased_[1].coefficients, [1, -2], rtol=1e-12)
    assert model.converged_ and model.coef_[0, 6:].tolist() == [0, 0]
    want = LogisticRegression(alpha=0, solver=solver).fit(np.column_stack([X, level[:, :2]]), y)
    np.testing.assert_allclose(model.coef_[:, :6], want.coef_, atol=1e-6)
    with_penalty = LogisticRegression(alpha=0.1).fit(np.column_stack([X, X[:, 0]]), y)
    assert with_penalty.aliased_ == () and with_penalty.coef_[0, 4] != 0


def test_warm_start_goes_on_from_the_last_coefficients() -> None:
    X, y = problem(3)
    model = LogisticRegression(alpha=1e-3, warm_start=True).fit(X, y)
    cold, optimum = model.n_iter_, model.coef_
    assert model.fit(X, y).n_iter_ < cold
    np.testing.assert_allclose(model.coef_, optimum, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("given", [False, True])
def test_early_stopping_restores_the_best_coefficients(classes: int, given: bool) -> None:
    X, y = problem(classes, m=60, n=20, seed=3)
    X_val, y_val = problem(classes, m=60, n=20, seed=4)
    options = {"X_val": X_val, "y_val": y_val} if given else {}
    seen: list[gradstep.Iteration] = []
    model = LogisticRegression(
        alpha=1e-6, solver="gd", early_stopping=True, n_iter_no_change=3, random_state=0, callback=seen.append
    ).fit(X, y, **options)
    best = int(model.validation_history_.argmin())
    assert str(model.stop_reason_) == "validation" and len(seen) == best + 4
    assert model.coef_.tolist() == np.atleast_2d(seen[best].weights).tolist()
    assert model.objective_ == seen[best].objective
    assert (model.gap_, model.converged_, model.aliased_) == (np.inf, False, ())
    if given:
        rows = np.arange(60), np.searchsorted(model.classes_, y_val)
        assert abs(-model.predict_log_proba(X_val)[rows].mean() - model.validation_history_[best]) < 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_partial_fit_is_a_gradient_step(classes: int) -> None:
    X, y = problem(classes)
    model = LogisticRegression(alpha=0.2, learning_rate=0.05)
    names, codes = np.unique(y, return_inverse=True)
    W, b = np.zeros((classes, X.shape[1])), np.zeros(classes)
    for batch in np.array_split(np.arange(len(y)), 5):
        model.partial_fit(X[batch], y[batch], classes=names)
        if classes == 2:
            w = oracle.gradient_step(X[batch], codes[batch], W[1], b[1], 0.05, l2=0.2)
            W[1], b[1] = w.weights, w.bias
        else:
            z = X[batch] @ W.T + b
            residual = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(classes)[codes[batch]]
            W, b = W - 0.05 * (residual.T @ X[batch] / len(batch) + 0.2 * W), b - 0.05 * residual.mean(axis=0)
    np.testing.assert_allclose(model.coef_, W[1:] if classes == 2 else W, atol=1e-13)
    np.testing.assert_allclose(model.intercept_, b[1:] if classes == 2 else b, atol=1e-13)


def test_what_is_refused_leaves_the_last_fit() -> None:
    X, y = problem()
    model = LogisticRegression(alpha=0.1).fit(X, y)
    want = model.predict(X).tolist(), model.gap_
    other = np.arange(len(y)) % 3
    for data in ({"X_val": X, "y_val": other}, {"sample_weight": -np.ones(len(y))}):
        with pytest.raises(ValueError, match="must"):
            model.fit(X, other, **data)
        assert (model.predict(X).tolist(), model.gap_) == want
    for fresh in (model, LogisticRegression()):
        with pytest.raises(ValueError, match="must"):
            fresh.partial_fit(X, y, classes=np.unique(y), sample_weight=-np.ones(len(y)))
    assert (model.predict(X).tolist(), model.gap_) == want
    assert not hasattr(fresh, "coef_")
    wider = np.column_stack([X, X])
    with pytest.raises(ValueError, match=r"^standard_errors must be False with aliased columns"):
        model.set_params(alpha=0, standard_errors=True).fit(wider, other > 0)
    with pytest.raises(ValueError, match="must"):
        model.fit(wider, other > 0, sample_weight=-np.ones(len(y)))
    assert (model.predict(X).tolist(), model.gap_) == want


def test_partial_fit_that_diverges_is_refused() -> None:
    X, y = problem()
    model = LogisticRegression(alpha=100, learning_rate=0.1)  # w grows by a factor of 9 in each step
    for _ in range(200):
        model.partial_fit(X, y, classes=np.unique(y))
    model.set_params(learning_rate=1e200)
    with pytest.raises(ValueError, match=r"^learning_rate must be small enough .* finite, got 1e.200 with alpha=100$"):
        model.partial_fit(X, y)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()


def test_a_penalty_next_to_none_is_a_warning() -> None:
    far = "the gradient is .*, and how far the objective is above its minimum is not known"
    with pytest.warns(ConvergenceWarning, match=f"'passes' after max_iter=300 .*: {far}; a larger max_iter goes on"):
        model = LogisticRegression(alpha=1e-300, max_iter=300).fit([[0.0], [1.0]], [0, 1])
    assert model.gradient_norm_ <= 1e-8 and model.gap_ == np.inf
    with pytest.warns(ConvergenceWarning, match=f"'precision'.*: {far}; the classes may nearly be separated"):
        model = LogisticRegression(alpha=1e-100).fit([[0.0], [1.0]], [0, 1])
    with pytest.warns(ConvergenceWarning, match=f"'precision'.*: {far}; certify=False leaves the proof out"):
        LogisticRegression(alpha=0, certify=False).fit(*times())


def test_partial_fit_drops_a_certificate_that_no_longer_holds() -> None:
    X, y = problem()
    model = LogisticRegression(alpha=0.1).fit(X, y).partial_fit(X, y)
    assert not any(hasattr(model, name) for name in ("gap_", "converged_", "aliased_", "gradient_norm_"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_standard_errors_are_roots_of_the_inverse_information(weighted: bool, fit_intercept: bool) -> None:
    X, y = problem()
    s = weights_of_samples(len(y)) if weighted else np.ones(len(y))
    model = LogisticRegression(alpha=0, standard_errors=True, fit_intercept=fit_intercept).fit(X, y, s)
    points = np.column_stack([X, np.ones(len(y))]) if fit_intercept else X
    p = model.predict_proba(X)[:, 1]
    want = np.sqrt(np.diag(np.linalg.inv(points.T @ (points * (s * p * (1 - p))[:, None]))))
    np.testing.assert_allclose(model.standard_errors_[0], want[:4], rtol=1e-9)
    if fit_intercept:
        np.testing.assert_allclose(model.intercept_standard_error_, want[4:], rtol=1e-9)
    else:
        assert not hasattr(model, "intercept_standard_error_")


# Scores at such an offset are rounded to offset · eps times the weights, and the gap that this leaves is some 1e-9: the
# weights, and with them what predictions are uncertain of, are right to the root of that.
@pytest.mark.parametrize(("offset", "rtol"), [(5e5, 1e-8), (1.7e12, 1e-3)])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_standard_errors_are_those_of_centred_columns(offset: float, rtol: float, fit_intercept: bool) -> None:
    X, y = problem()
    X = X / X.std(axis=0) + offset
    if not fit_intercept:  # one column is the intercept
        X[:, 0] = offset
    far = LogisticRegression(alpha=0, standard_errors=True, fit_intercept=fit_intercept).fit(X, y)
    near = LogisticRegression(alpha=0, standard_errors=True).fit(X[:, not fit_intercept :] - offset, y)
    np.testing.assert_allclose(far.standard_errors_[0, not fit_intercept :], near.standard_errors_[0], rtol=rtol)
    # Centred, weights w and intercept b make scores as w and b - offset · Σ w do here.
    C = gradstep.covariance(X[:, not fit_intercept :] - offset, near.coef_[0], near.intercept_[0])
    shift = np.append(np.full(len(C) - 1, -offset), 1)
    error = far.intercept_standard_error_[0] if fit_intercept else far.standard_errors_[0, 0] * offset
    np.testing.assert_allclose(error, np.sqrt(shift @ C @ shift), rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("shape", [(7, 3), (300, 9), (90, 65)])
@pytest.mark.parametrize("fit_bias", [False, True])
def test_covariance_matches_the_textbook(dtype: Any, make: Any, shape: tuple[int, int], fit_bias: bool) -> None:
    rng = np.random.default_rng(5)
    X, w, b, s = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[1]), 0.3, rng.integers(1, 4, shape[0])
    w /= np.sqrt(shape[1])
    points = np.column_stack([oracle.f64(X), np.ones(shape[0])])[:, : shape[1] + fit_bias]
    p = oracle.predict_proba(X, w, b)
    information = points.T @ (points * (s * p * (1 - p))[:, None])
    got = gradstep.covariance(make(X), w, b, sample_weight=s, fit_bias=fit_bias)
    assert got.dtype == np.float64 and (got == got.T).all()
    # Two inverses of a matrix that rounding changes by a part of m + n + 8 units: its condition times as many.
    units = (sum(shape) + 8) * np.finfo(float).eps * np.linalg.cond(information)
    assert np.abs(got - np.linalg.inv(information)).max() <= units * np.abs(got).max()
    again = gradstep.covariance(make(X), w, b, sample_weight=s, fit_bias=fit_bias, n_threads=3)
    assert got.tobytes() == again.tobytes()


def test_covariance_of_columns_far_from_zero_and_nearly_alike() -> None:
    """By exact arithmetic of fractions, 12 digits are right of columns whose information is singular in float64."""
    rng = np.random.default_rng(6)
    start = 1_700_000_000 + rng.integers(0, 10**6, 40)
    X = np.column_stack([start, start + rng.integers(1, 100, 40)]).astype(float)
    w = [1e-6, -1e-6]  # scores of almost 0
    p = oracle.predict_proba(X, w, 0.0)
    points = [[Fraction(value) for value in (*row, 1.0)] for row in X]
    information = [
        [sum(Fraction(d) * row[i] * row[j] for d, row in zip(p * (1 - p), points, strict=True)) for j in range(3)]
        for i in range(3)
    ]
    want = np.array([[float(value) for value in row] for row in inverse(information)])
    np.testing.assert_allclose(gradstep.covariance(X, w), want, rtol=1e-12)
    assert np.linalg.cond(gradstep.hessian(X, w)) > 1e16


def inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    rows = [[*row, *(Fraction(i == j) for j in range(len(matrix)))] for i, row in enumerate(matrix)]
    for k in range(len(rows)):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[len(matrix) :] for row in rows]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (300, 9), (70, 65)])
def test_hessian_matches_the_textbook(dtype: Any, make: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    X, w, b, s = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[1]), 0.3, rng.integers(1, 4, shape[0])
    points = np.column_stack([oracle.f64(X), np.ones(shape[0])])
    p = oracle.predict_proba(X, w, b)
    d = s * p * (1 - p)
    got = gradstep.hessian(make(X), w, b, sample_weight=s)
    # A sum of m products, whose factors are known to within the rounding of z: n + 2 roundings of |x|·|w| + |b|.
    size = (np.abs(points).T * d) @ np.abs(points) / s.sum()
    roundings = shape[0] + 8 + (shape[1] + 2) * (np.abs(oracle.f64(X)) @ np.abs(w) + b).max()
    assert got.shape == (shape[1] + 1,) * 2 and got.dtype == np.float64
    assert (np.abs(got - (points.T * d) @ points / s.sum()) <= roundings * np.finfo(float).eps * size).all()
    assert got.tobytes() == gradstep.hessian(make(X), w, b, sample_weight=s, n_threads=3).tobytes()


def test_rows_without_weight_may_hold_anything_in_a_hessian() -> None:
    X, weights = np.array([[1.0, 2.0], [np.inf, np.nan], [-1.0, 0.5]]), [0.5, -1.0]
    got = gradstep.hessian(X, weights, 0.25, sample_weight=[1, 0, 2])
    assert got.tobytes() == gradstep.hessian(X[[0, 2]], weights, 0.25, sample_weight=[1, 2]).tobytes()


def test_ctrl_c_leaves_the_best_coefficients() -> None:
    program = textwrap.dedent("""
        import os, signal, numpy as np, gradstep
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(2000, 5)), rng.integers(0, 2, 2000)
        seen = []
        def interrupt(iteration):
            seen.append(iteration)
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGINT)
        model = gradstep.LogisticRegression(alpha=0, solver="gd", callback=interrupt)
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            assert model.coef_.tolist() == [seen[-1].weights.tolist()] and not hasattr(model, "gap_")
            print(model.predict_proba(X[:1]).shape)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("(1, 2)\n", "")


def test_verbose_shows_progress_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    LogisticRegression(verbose=True).fit(*problem())
    assert "gradient" in capsys.readouterr().err
    LogisticRegression().fit(*problem())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("sklearn", "gradstep.LogisticRegression", "gradstep[sklearn]"),
        ("rich", "gradstep.LogisticRegression(verbose=True).fit([[0.0], [1.0]], [0, 1])", "gradstep[progress]"),
    ],
)
def test_without_the_extra_an_error_names_it(library: str, call: str, extra: str) -> None:
    program = f"import sys; sys.modules[{library!r}] = None; import gradstep; {call}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "ImportError" in done.stderr.splitlines()[-1] and extra in done.stderr.splitlines()[-1]


def test_scikit_learn_is_not_imported_before_it_is_needed() -> None:
    program = "import gradstep, sys; assert 'sklearn' not in sys.modules; assert 'LogisticRegression' in dir(gradstep)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


def test_covariance_says_why_it_is_refused() -> None:
    """Predictions that are certain leave no column to tell from others; that does not make one a combination."""
    X = np.random.default_rng(0).normal(size=(25, 3))
    for size in (200.0, 1000.0):
        with pytest.raises(ValueError, match="got predictions so certain"):
            gradstep.covariance(X, [size, 2 * size, -size])
    with pytest.raises(ValueError, match="numbers are too small"):
        gradstep.covariance(X * 1e-310, [1, 1, 1])
    with pytest.raises(ValueError, match="column 3, which column 1 determines"):
        gradstep.covariance(np.column_stack([X, 2 * X[:, 1]]), [1, 1, 1, 0])


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
