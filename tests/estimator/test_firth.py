"""LogisticRegression(firth=True): the optimum of gradstep.fit; and a class without weight is not left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import gradstep
from gradstep import LogisticRegression
from helpers import firth

SEPARATED = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["ash", "ash", "oak", "oak"])


def test_it_is_the_fit_without_a_default_penalty() -> None:
    X, y = firth.endometrial()
    want = gradstep.fit(X, y, firth=True)
    model = LogisticRegression(firth=True, standard_errors=True).fit(X, np.where(y == 1, "yes", "no"))
    np.testing.assert_array_equal(model.coef_, want.weights[None])
    assert model.converged_ and model.gap_ == np.inf and model.objective_ == want.objective
    found = gradstep.inference.infer(want, X, y)
    errors = np.append(model.standard_errors_, model.intercept_standard_error_)
    np.testing.assert_allclose(errors, found.standard_errors, rtol=1e-12)
    assert clone(model).get_params()["firth"] is True
    for none in ({"C": np.inf}, {"penalty": None}, {"l2": 0.0}):
        np.testing.assert_array_equal(LogisticRegression(firth=True, **none).fit(X, y).coef_, want.weights[None])


def test_class_weights_are_frequencies() -> None:
    X, y = SEPARATED
    model = LogisticRegression(firth=True, class_weight={"ash": 3, "oak": 1}).fit(X, y)
    want = gradstep.fit(np.repeat(X, [3, 3, 1, 1], axis=0), [0, 0, 0, 0, 0, 0, 1, 1], firth=True)
    np.testing.assert_allclose(model.coef_[0], want.weights, rtol=1e-9)


def test_a_class_without_weight_has_a_finite_intercept() -> None:
    """Firth's penalty adds half a row to each label; so no warning says that the class has probability 0."""
    y = SEPARATED[1]
    model = LogisticRegression(firth=True).fit(np.ones((4, 1)), y, sample_weight=[1, 1, 0, 0])
    np.testing.assert_allclose(model.intercept_, [-np.log(5)], rtol=1e-12)
    assert model.converged_


def test_separation_names_it_for_two_classes_only() -> None:
    X, y = SEPARATED
    with pytest.warns(ConvergenceWarning, match=r"a penalty, l2 > 0 or firth=True, makes them finite$"):
        LogisticRegression(l2=0).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"a penalty, l2 > 0, makes them finite$"):
        LogisticRegression(l2=0).fit(X[:3], ["ash", "elm", "oak"])
    assert "with l2 > 0 or firth=True there is an optimum" in repr(gradstep.fit(X, [0, 0, 1, 1]))
    assert "with l2 > 0 there is an optimum" in repr(gradstep.fit(X[:3], [0, 1, 2]))
