"""scikit-learn's own checks of LogisticRegression, its tools and its containers."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from gradstep import LogisticRegression, LogisticRegressionCV
from helpers.estimators import problem, weights_of_samples

CHECKS = parametrize_with_checks([LogisticRegression(), LogisticRegression(l2=0.1, solver="gd")])


# Older versions of scikit-learn hand a generator to pytest, which newer versions of pytest refuse: hence the list.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), ids=CHECKS.kwargs["ids"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix for nan or inf.:UserWarning")
@pytest.mark.filterwarnings("ignore:.* no sample of positive weight:UserWarning")
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, np.asfortranarray, pd.DataFrame]
)
def test_containers_give_the_same_coefficients(make: Any) -> None:
    X, y = problem()
    want = LogisticRegression(l2=0.1).fit(X, y)
    got = LogisticRegression(l2=0.1).fit(make(X), y) if make is not pd.DataFrame else (
        LogisticRegression(l2=0.1).fit(pd.DataFrame(X), pd.Series(y))
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
    model = LogisticRegression(l2=0.01).fit(X.astype(np.float32), y)
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


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [((None, "a"), "NoneType and str"), ((0, "a"), "int and str")],
)
def test_labels_that_cannot_be_sorted_are_named(labels: tuple[Any, Any], kinds: str) -> None:
    X, y = problem()
    mixed = np.array(labels, object)[(y == "beech").astype(int)]
    for estimator in (LogisticRegression(), LogisticRegressionCV(cv=2)):
        with pytest.raises(ValueError, match=f"^y must hold labels of one kind, got {kinds}$"):
            estimator.fit(X, mixed)
