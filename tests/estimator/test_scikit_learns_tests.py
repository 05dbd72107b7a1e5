"""scikit-learn's own tests of l1, of elastic nets and of LogisticRegressionCV, run with the classes of gradstep.

They are the installed ones, of version 1.9: nothing of them is copied here. `EXCLUDED` says which do not apply, and
why.
"""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType
from typing import Any

import pytest
import sklearn
import sklearn.linear_model
from sklearn.utils.fixes import parse_version

import gradstep

MODULE = "sklearn.linear_model.tests.test_logistic"
ABOUT = re.compile(r"l1|elastic|enet|cv|scores|ratio", re.IGNORECASE)
"""What the names of the tests have in common."""
EXCLUDED = {
    "test_elastic_net_vs_l1_l2": "compares accuracies on other rows, which need not be better at a better optimum",
    "test_l1_ratio_non_elasticnet": "about the words of a warning, which are others here",
    "test_l1_ratio_None_deprecated": "about a warning of scikit-learn's next version",
    "test_logistic_cv_multinomial_score": "calls a private function of scikit-learn",
    "test_logisticregressioncv_warns_with_use_legacy_attributes": "about a warning of scikit-learn's next version",
    "test_lr_penalty_l1ratio_incompatible": "about the words of a warning, which are others here",
    "test_multinomial_cv_iris": "takes seconds; cross-validations of several classes are in the others",
    "test_scores_attribute_layout_elasticnet": "its tol is a tolerance of saga, and would end fits early here",
}


@pytest.fixture
def global_random_seed() -> int:
    """The seed of scikit-learn's own runs."""
    return 42


def theirs() -> ModuleType:
    """A copy of their module that was imported with the classes of gradstep in place of scikit-learn's."""
    spec = importlib.util.find_spec(MODULE)
    # Earlier versions have other tests under these names, which nobody has gone through.
    if spec is None or spec.loader is None or parse_version(sklearn.__version__).release[:2] != (1, 9):
        pytest.skip("the tests of scikit-learn 1.9 are not installed", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LogisticRegression", "LogisticRegressionCV"):
            patch.setattr(sklearn.linear_model, name, getattr(gradstep, name))
        spec.loader.exec_module(module)
    return module


def chosen() -> dict[str, Any]:
    """Their tests by name, except those that are excluded."""
    tests = {name: test for name, test in vars(theirs()).items() if name.startswith("test_") and ABOUT.search(name)}
    assert EXCLUDED.keys() <= tests.keys()
    return {name: test for name, test in tests.items() if name not in EXCLUDED}


pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:solver=.* is taken for:UserWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
globals().update(chosen())
