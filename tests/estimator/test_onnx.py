"""to_onnx: onnxruntime computes what the estimator does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradstep import LogisticRegression, LogisticRegressionCV, register_skl2onnx
from helpers.estimators import problem

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(model: Any, X: Any) -> Any:
    session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["label", "probabilities"], {"X": X})


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", ["words", "integers", "booleans", "floats"])
def test_it_predicts_the_same(labels: str, dtype: Any, classes: int) -> None:
    X, y = problem(classes)
    X = X.astype(dtype)
    codes = np.unique(y, return_inverse=True)[1]
    if labels != "words":
        y = {"integers": codes * 10 - 10, "booleans": codes > 0, "floats": codes * 2.0}[labels]
    model = LogisticRegression(l2=0.01).fit(X, y)
    label, probabilities = run(model, X)
    # Scores are sums of five products, added in another order: they differ by some units in the last place of the
    # largest product, and probabilities by at most a quarter of that.
    bound = 8 * np.finfo(dtype).eps * (np.abs(X) @ np.abs(model.coef_.T) + np.abs(model.intercept_)).max()
    assert bound < 1e-4 and probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=bound)
    sure = np.abs(np.partition(probabilities, -2, axis=1)[:, -2:] @ [1, -1]) > 2 * bound
    assert sure.mean() > 0.9 and label[sure].tolist() == model.predict(X)[sure].tolist()
    if dtype == np.float64:
        np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-6)


def test_a_tie_is_the_first_class_as_in_predict() -> None:
    for classes in (2, 3):
        X, y = problem(classes)
        model = LogisticRegression(fit_intercept=False).fit(X, y)
        label, probabilities = run(model, np.zeros((1, 4)))
        assert label.tolist() == model.predict(np.zeros((1, 4))).tolist() == ["ash"]
        np.testing.assert_allclose(probabilities, 1 / classes, rtol=1e-15)


@pytest.mark.filterwarnings("ignore:class 'beech' has no sample:UserWarning")
def test_sparse_coefficients_and_classes_without_weight() -> None:
    X, y = problem(3)
    model = LogisticRegression().fit(X, y, y != "beech").sparsify()
    _, probabilities = run(model, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-12)
    assert not probabilities[:, 1].any()
    chosen = LogisticRegressionCV(Cs=2, cv=2).fit(X, y)
    np.testing.assert_allclose(run(chosen, X)[1], chosen.predict_proba(X), atol=1e-12)


def test_what_it_needs_is_said() -> None:
    with pytest.raises(NotFittedError):
        LogisticRegression().to_onnx()
    program = (
        "import sys; sys.modules['onnx'] = None; import gradstep;"
        "gradstep.LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 0]).to_onnx()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    *_, last = done.stderr.splitlines()
    assert last.startswith("ImportError: to_onnx needs onnx 1.16") and "gradstep[onnx]" in last


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("labels", ["words", "integers", "booleans", "floats"])
def test_skl2onnx_converts_a_pipeline(labels: str, dtype: Any, classes: int) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    X, y = problem(classes)
    X = (10 * X).astype(dtype)
    codes = np.unique(y, return_inverse=True)[1]
    if labels != "words":
        y = {"integers": codes * 10 - 10, "booleans": codes > 0, "floats": codes * 2.0}[labels]
    register_skl2onnx()
    for estimator in (LogisticRegression(l2=0.01), LogisticRegressionCV(Cs=2, cv=2)):
        steps = make_pipeline(StandardScaler(), estimator).fit(X, y)
        converted = skl2onnx.to_onnx(steps, X[:1], options={"zipmap": False})
        session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
        label, probabilities = session.run(["label", "probabilities"], {"X": X})
        # skl2onnx scales float32 and integers in float32.
        np.testing.assert_allclose(probabilities, steps.predict_proba(X), atol=1e-12 if dtype == np.float64 else 1e-6)
        sure = np.abs(np.partition(probabilities, -2, axis=1)[:, -2:] @ [1, -1]) > 1e-5
        assert sure.mean() > 0.9 and label[sure].tolist() == steps.predict(X)[sure].tolist()
