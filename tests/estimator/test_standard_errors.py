"""Standard errors: roots of the inverse information."""

from __future__ import annotations

import numpy as np
import pytest

import gradstep
from gradstep import LogisticRegression
from helpers.estimators import problem, weights_of_samples


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_standard_errors_are_roots_of_the_inverse_information(weighted: bool, fit_intercept: bool) -> None:
    X, y = problem()
    s = weights_of_samples(len(y)) if weighted else np.ones(len(y))
    model = LogisticRegression(l2=0, standard_errors=True, fit_intercept=fit_intercept).fit(X, y, s)
    points = np.column_stack([X, np.ones(len(y))]) if fit_intercept else X
    p = model.predict_proba(X)[:, 1]
    want = np.sqrt(np.diag(np.linalg.inv(points.T @ (points * (s * p * (1 - p))[:, None]))))
    np.testing.assert_allclose(model.standard_errors_[0], want[:4], rtol=1e-9)
    if fit_intercept:
        np.testing.assert_allclose(model.intercept_standard_error_, want[4:], rtol=1e-9)
    else:
        assert not hasattr(model, "intercept_standard_error_")


# Scores at such an offset are rounded to offset · eps times the weights. This leaves a gap of some 1e-9: the weights,
# and with them the standard errors, are right to the root of 1e-9.
@pytest.mark.parametrize(("offset", "rtol"), [(5e5, 1e-8), (1.7e12, 1e-3)])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_standard_errors_are_those_of_centred_columns(offset: float, rtol: float, fit_intercept: bool) -> None:
    X, y = problem()
    X = X / X.std(axis=0) + offset
    if not fit_intercept:  # one column is the intercept
        X[:, 0] = offset
    far = LogisticRegression(l2=0, standard_errors=True, fit_intercept=fit_intercept).fit(X, y)
    near = LogisticRegression(l2=0, standard_errors=True).fit(X[:, not fit_intercept :] - offset, y)
    np.testing.assert_allclose(far.standard_errors_[0, not fit_intercept :], near.standard_errors_[0], rtol=rtol)
    # Weights w and intercept b of centred columns make the scores that w and b - offset · Σ w make here.
    C = gradstep.covariance(X[:, not fit_intercept :] - offset, near.coef_[0], near.intercept_[0])
    shift = np.append(np.full(len(C) - 1, -offset), 1)
    error = far.intercept_standard_error_[0] if fit_intercept else far.standard_errors_[0, 0] * offset
    np.testing.assert_allclose(error, np.sqrt(shift @ C @ shift), rtol=rtol)
