"""LogisticRegressionCV chooses what scikit-learn's does, on real tables with the same folds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as peers
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import scale
from sklearn.utils.fixes import parse_version

from gradstep import LogisticRegressionCV
from helpers.reference_sets import BINARY_SETS, read_classes

CLASS_SETS = ["digits", "hsb2", "iris", "letter"]
MOST_ROWS = 3_000
"""The most rows times classes: on more, the peer takes long to come near its optimum."""
LEAST_ROWS = 9
"""The least rows for each class, so that no fold lacks a class."""


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy"])
@pytest.mark.parametrize("name", [*BINARY_SETS, *CLASS_SETS])
def test_it_chooses_what_scikit_learn_chooses(name: str, scoring: str, data_folder: Path) -> None:
    X, y, weight = read_classes(data_folder / "sets" / name, 0)
    # Before scikit-learn 1.8, newton-cholesky ends at other coefficients for several classes if it starts from those of
    # another C.
    is_old = parse_version(sklearn.__version__) < parse_version("1.8")
    solver = "newton-cg" if y.max() > 1 and is_old else "newton-cholesky"
    classes = len(np.unique(y))
    rows = max(MOST_ROWS // classes, LEAST_ROWS * classes)
    some = np.random.default_rng(0).permutation(len(y))[:rows]
    X, y, weight = scale(X[some]), y[some], None if weight is None else weight[some]
    options: dict[str, Any] = {"Cs": np.logspace(-3, 1, 5), "cv": StratifiedKFold(3), "scoring": scoring}
    with warnings.catch_warnings(action="ignore"):
        peer = peers.LogisticRegressionCV(solver=solver, tol=1e-10, max_iter=50, **options)
        peer.fit(X, y, weight)
        model = LogisticRegressionCV(gap_tol=1e-11, **options).fit(X, y, weight)
    assert model.C_.tolist() == peer.C_.tolist()
    for key, scores in peer.scores_.items():
        np.testing.assert_allclose(model.scores_[key], scores, atol=1e-6 if scoring == "neg_log_loss" else 0)
