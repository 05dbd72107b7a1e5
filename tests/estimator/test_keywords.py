"""The keywords of scikit-learn's LogisticRegression: what they mean here, and what changes nothing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as peers
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.fixes import parse_version

import gradstep
from gradstep import LogisticRegression, LogisticRegressionCV, _classifier
from helpers.estimators import problem


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"penalty": "l2", "C": 0.1}, {"C": 0.1}),
        ({"penalty": "l1", "C": 0.1}, {"C": 0.1, "l1_ratio": 1.0}),
        ({"penalty": "elasticnet", "C": 0.1, "l1_ratio": 0.3}, {"C": 0.1, "l1_ratio": 0.3}),
        ({"penalty": None}, {"l2": 0}),
        ({"C": np.inf}, {"l2": 0}),
        ({"C": 0.1, "l1_ratio": None}, {"C": 0.1}),
        ({"C": 0.1, "dual": True, "intercept_scaling": 10, "n_jobs": 2}, {"C": 0.1}),
    ],
)
def test_penalties_by_their_older_words(given: dict[str, Any], meant: dict[str, Any]) -> None:
    X, y = problem()
    got, want = LogisticRegression(**given).fit(X, y), LogisticRegression(**meant).fit(X, y)
    assert got.coef_.tolist() == want.coef_.tolist() and got.intercept_ == want.intercept_
    assert LogisticRegression("l1").penalty == "l1"  # as the first argument


@pytest.mark.parametrize(
    ("given", "meant", "message"),
    [
        ({"penalty": "l2", "l1_ratio": 0.5}, {}, r"penalty='l2' holds: l1_ratio=0.5 is not used"),
        ({"penalty": "l1", "l1_ratio": 0.5}, {"l1_ratio": 1.0}, r"penalty='l1' holds: l1_ratio=0.5 is not used"),
        ({"penalty": None, "C": 4.0}, {"l2": 0}, r"with penalty=None there is no penalty: C=4.0 is not used"),
    ],
)
def test_a_penalty_that_disagrees_holds(given: dict[str, Any], meant: dict[str, Any], message: str) -> None:
    X, y = problem()
    with pytest.warns(UserWarning, match=message) as caught:
        got = LogisticRegression(**given).fit(X, y)
    assert caught[0].filename == __file__
    assert got.coef_.tolist() == LogisticRegression(**meant).fit(X, y).coef_.tolist()


@pytest.mark.filterwarnings("ignore:with penalty=None there is no penalty:UserWarning")
def test_a_grid_over_penalties_and_strengths() -> None:
    X, y = problem(m=120)
    grid = {"penalty": [None, "l1", "l2"], "C": [0.01, 1.0]}
    search = GridSearchCV(LogisticRegression(), grid, cv=3, scoring="neg_log_loss").fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all() and len(set(scores.round(9))) == 5  # penalty=None has one score, whatever C is


@pytest.mark.parametrize("solver", ["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_solvers_of_scikit_learn_are_the_default_one_and_are_noted_once(solver: str, l1_ratio: float) -> None:
    X, y = problem()
    _classifier._note_peer.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            model = LogisticRegression(solver=solver, C=0.1, l1_ratio=l1_ratio).fit(X, y)
    notes = [str(warning.message) for warning in caught]
    assert notes == [] if solver == "lbfgs" else len(notes) == 1 and f"solver={solver!r} is taken for" in notes[0]
    assert ("the intercept is not penalised" in "".join(notes)) == (solver == "liblinear")
    assert model.coef_.tolist() == LogisticRegression(C=0.1, l1_ratio=l1_ratio).fit(X, y).coef_.tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_max_iter_counts_iterations(classes: int) -> None:
    X, y = problem(classes)
    seen: list[gradstep.Iteration] = []
    whole = LogisticRegression(C=10, callback=seen.append).fit(X, y)
    assert whole.n_iter_.shape == (1,) and whole.n_iter_.dtype == np.int32 and whole.n_iter_[0] == len(seen) > 2
    message = r"\(stopped by 'iterations', max_iter=2\): .* a larger max_iter goes on"
    with pytest.warns(ConvergenceWarning, match=message):
        model = LogisticRegression(C=10, max_iter=2).fit(X, y)
    assert model.n_iter_[0] == 2 and model.stop_reason_ == "iterations" and not model.converged_
    assert model.coef_.tolist() == np.atleast_2d(seen[1].weights).tolist()
    assert whole.objective_ < model.objective_ <= whole.objective_ + model.gap_
    enough = LogisticRegression(C=10, max_iter=1000).fit(X, y)
    assert enough.stop_reason_ == "tolerance" and enough.coef_.tolist() == whole.coef_.tolist()


@pytest.mark.parametrize("options", [{}, {"C": np.inf}, {"l1": 0.1}, {"firth": True}, {"classes": 3}])
def test_no_iterations_leave_the_start(options: dict[str, Any]) -> None:
    X, y = problem(options.pop("classes", 2))
    y[:3] = "ash"  # so that the best intercept is not zero
    with pytest.warns(ConvergenceWarning, match="'iterations', max_iter=0"):
        model = LogisticRegression(max_iter=0, **options).fit(X, y)
    assert not model.coef_.any() and not model.intercept_.any()
    assert model.n_iter_ == 0 and not len(model.history_) and not model.converged_
    classes = len(model.classes_)
    assert (model.predict_proba(X) == 1 / classes).all()
    if "firth" not in options:
        assert abs(model.objective_ - np.log(classes)) < 1e-12
    model.set_params(max_iter=None, warm_start=True).fit(X, y)
    want = model.coef_, model.intercept_
    again = model.set_params(max_iter=0).fit(X, y)
    for got, known in zip((again.coef_, again.intercept_), want, strict=True):
        np.testing.assert_allclose(got, known, rtol=1e-13)  # with several classes, means are subtracted again
    assert again.n_iter_ == 0


def test_no_iterations_of_a_cross_validation() -> None:
    X, y = problem()
    with pytest.warns(ConvergenceWarning, match="11 by 'iterations'"):
        model = LogisticRegressionCV(Cs=[0.1, 1.0], max_iter=0).fit(X, y)
    assert not model.coef_.any() and not model.intercept_.any() and not model.n_iter_.any()


@pytest.mark.parametrize("classes", [2, 3])
def test_coefficients_may_be_sparse(classes: int) -> None:
    X, y = problem(classes)
    model = LogisticRegression(C=0.1, l1_ratio=float(classes == 2), warm_start=True).fit(X, y)
    dense, scores = model.coef_, model.decision_function(X)
    assert model.sparsify() is model and isinstance(model.coef_, sparse.csr_array)
    assert model.decision_function(X).tolist() == scores.tolist()
    assert model.densify() is model and model.coef_.tolist() == dense.tolist()
    np.testing.assert_allclose(model.sparsify().fit(X, y).coef_, dense, rtol=1e-3)
    with pytest.raises(NotFittedError):
        LogisticRegression().sparsify()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_class_without_weight_has_probability_zero(fit_intercept: bool) -> None:
    X, y = problem(3)
    codes = np.unique(y, return_inverse=True)[1]
    for without in ({"class_weight": {"beech": 0}}, {"data": (codes != 1).astype(float)}):
        data = without.pop("data", None)
        options = {"C": 0.5, "fit_intercept": fit_intercept, **without}
        with pytest.warns(UserWarning, match="class 'beech' has no sample of positive weight: its probability is 0"):
            model = LogisticRegression(**options).fit(X, y, data)
        assert model.converged_ and model.classes_.tolist() == ["ash", "beech", "cedar"]
        p = model.predict_proba(X)
        assert not p[:, 1].any() and np.isneginf(model.predict_log_proba(X)[:, 1]).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)
        assert "beech" not in model.predict(X) and np.isneginf(model.intercept_[1])
        # A softmax over the other two classes has W_0 = −W_2 = −w/2, with the weights w of a sigmoid: ‖W‖² = ‖w‖²/2.
        rest = LogisticRegression(C=1.0, fit_intercept=fit_intercept).fit(X[codes != 1], y[codes != 1])
        np.testing.assert_allclose(model.coef_, np.outer([-0.5, 0, 0.5], rest.coef_[0]), atol=1e-6)
        np.testing.assert_allclose(p[:, 2], rest.predict_proba(X)[:, 1], atol=1e-6)
    if fit_intercept:  # scikit-learn's intercept goes towards −∞, but not far
        theirs = peers.LogisticRegression(C=0.5, class_weight={"beech": 0, "ash": 1, "cedar": 1}, tol=1e-10,
                                          solver="newton-cholesky").fit(X, y)  # fmt: skip
        np.testing.assert_allclose(theirs.predict_proba(X), p, atol=1e-4)


def test_only_one_class_with_weight_is_certain() -> None:
    X, y = problem(3)
    codes = np.unique(y, return_inverse=True)[1]
    with pytest.warns(UserWarning, match="classes 'ash', 'cedar' have no sample of positive weight"):
        model = LogisticRegression().fit(X, y, codes == 1)
    assert (model.predict_proba(X) == [0, 1, 0]).all() and set(model.predict(X)) == {"beech"}
    X, y = problem(2)
    for code, name in enumerate(["ash", "beech"]):
        with pytest.warns(UserWarning, match="has no sample of positive weight"):
            model = LogisticRegression().fit(X, y, y == name)
        assert (model.predict_proba(X)[:, code] == 1).all() and set(model.predict(X)) == {name}
        assert model.converged_ and model.gap_ == 0 and model.n_iter_ == 0


@pytest.mark.filterwarnings("ignore:class 'beech' has no sample:UserWarning")
def test_a_class_that_had_no_weight_may_get_it_in_a_warm_start() -> None:
    X, y = problem(3)
    model = LogisticRegression(warm_start=True).fit(X, y, y != "beech")
    np.testing.assert_allclose(model.fit(X, y).coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-6)
    model.fit(X, y, y != "beech")
    assert model.converged_ and not model.predict_proba(X)[:, 1].any()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["plain", "l1", "cv", "sparse"])
def test_from_sklearn_predicts_the_same(classes: int, kind: str) -> None:
    X, y = problem(classes)
    if kind == "cv":
        theirs = peers.LogisticRegressionCV(Cs=[0.1, 1.0], cv=3, max_iter=1000)
    else:
        theirs = peers.LogisticRegression(C=0.3, fit_intercept=kind != "sparse", max_iter=1000)
    with warnings.catch_warnings(action="ignore"):
        theirs.fit(X, y)
    if kind == "sparse":
        theirs.sparsify()
    ours = LogisticRegression.from_sklearn(theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist() and ours.n_features_in_ == 4
    assert (float(theirs.C_[0]) if kind == "cv" else 0.3) == ours.C and not hasattr(ours, "gap_")
    # The coefficients are near the optimum of the same problem: a warm start goes on from them.
    again = ours.set_params(warm_start=True).fit(X, y)
    np.testing.assert_allclose(again.coef_, ours.set_params(warm_start=False).fit(X, y).coef_, atol=1e-5)


def test_from_sklearn_keeps_names() -> None:
    pd = pytest.importorskip("pandas")
    X, y = problem(n=2)
    frame = pd.DataFrame(X, columns=["height", "girth"])
    ours = LogisticRegression.from_sklearn(
        peers.LogisticRegression(class_weight="balanced", solver="newton-cg").fit(frame, y)
    )
    assert ours.feature_names_in_.tolist() == ["height", "girth"] and ours.class_weight == "balanced"
    with pytest.raises(NotFittedError):
        LogisticRegression.from_sklearn(peers.LogisticRegression())


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="this scikit-learn has no callbacks"
)
@pytest.mark.parametrize("classes", [2, 3])
def test_callbacks_are_told_of_each_iteration(classes: int) -> None:
    X, y = problem(classes)
    told: list[tuple[str, Any]] = []

    class Recorder:
        def setup(self, estimator: Any, context: Any) -> None:
            told.append(("setup", None))

        def teardown(self, estimator: Any, context: Any) -> None:
            told.append(("teardown", None))

        def on_fit_task_begin(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
            told.append(("begin", fitted_estimator and fitted_estimator.predict_proba(X)))

        def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
            told.append(("end", fitted_estimator and fitted_estimator.predict_proba(X)))
            return len(told) >= stop

    seen: list[gradstep.Iteration] = []
    stop = 10**9
    model = LogisticRegression(C=10, callback=seen.append).set_callbacks(Recorder()).fit(X, y)
    kinds = [kind for kind, _ in told]
    n = int(model.n_iter_[0])
    assert kinds == ["setup", "begin", *["begin", "end"] * (n + 1), "end", "teardown"]
    ends = [p for kind, p in told if kind == "end"][:n]
    for iteration, p in zip(seen, ends, strict=True):
        want = gradstep.predict_proba(X, iteration.weights, iteration.bias)
        np.testing.assert_allclose(p[:, 1] if classes == 2 else p, want, atol=1e-14)
    told.clear()
    stop = 6  # the call at the end of the second iteration
    with warnings.catch_warnings(action="ignore"):
        assert LogisticRegression(C=10).set_callbacks(Recorder()).fit(X, y).n_iter_[0] == 2
    assert told[-1][0] == "teardown"
    told.clear()
    stop = 10**9
    with warnings.catch_warnings(action="ignore"):
        assert LogisticRegression(max_iter=0).set_callbacks(Recorder()).fit(X, y).n_iter_[0] == 0
    assert [kind for kind, _ in told] == ["setup", "begin", *["begin", "end"] * 2, "end", "teardown"]
