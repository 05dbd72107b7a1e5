"""Code as users of scikit-learn write it. Only the line that imports LogisticRegression is changed.

scikit-learn's own class gets a tolerance by which it comes near the optimum; gradstep is there with any tolerance.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as peers

DATA = """
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_breast_cancer, load_iris, load_wine
    from sklearn.pipeline import make_pipeline, Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler, scale
    iris, wine = load_iris(), load_wine()
    cancer = scale(load_breast_cancer().data[:, :8]), load_breast_cancer().target
"""

SNIPPETS = {
    "fit and predict": """
        X, y = cancer
        model = LogisticRegression(random_state=0).fit(X, y)
        result = [model.predict_proba(X), model.decision_function(X), model.coef_, model.intercept_, model.score(X, y)]
    """,
    "pipeline": """
        model = make_pipeline(StandardScaler(), LogisticRegression(C=10))
        result = model.fit(wine.data, wine.target).predict_log_proba(wine.data)
    """,
    "grid over penalty and C": """
        from sklearn.model_selection import GridSearchCV
        grid = {"penalty": [None, "l2"], "C": [0.01, 0.1, 1.0]}
        X, y = cancer
        search = GridSearchCV(LogisticRegression(solver="newton-cholesky"), grid, scoring="neg_log_loss", cv=3)
        search.fit(X, y)
        assert search.best_params_["penalty"] == "l2"
        result = [search.cv_results_["mean_test_score"], search.best_params_["C"], search.predict_proba(X)]
    """,
    "columns of several kinds": """
        from sklearn.compose import ColumnTransformer
        frame = pd.DataFrame({"length": iris.data[:, 0], "wide": iris.data[:, 1] > 3, "size": "small"})
        frame.loc[iris.data[:, 2] > 4, "size"] = "large"
        transform = ColumnTransformer([("number", StandardScaler(), ["length"]), ("word", OneHotEncoder(), ["size"])],
                                      remainder="passthrough")
        model = Pipeline([("transform", transform), ("classify", LogisticRegression(max_iter=1000))])
        result = model.fit(frame, iris.target_names[iris.target]).predict_proba(frame)
    """,
    "calibration": """
        from sklearn.calibration import CalibratedClassifierCV
        X, y = cancer
        result = CalibratedClassifierCV(LogisticRegression(C=0.1), cv=3).fit(X, y).predict_proba(X)
    """,
    "stacking": """
        from sklearn.ensemble import StackingClassifier
        from sklearn.tree import DecisionTreeClassifier
        X, y = cancer
        base = [("tree", DecisionTreeClassifier(max_depth=2, random_state=0)), ("linear", LogisticRegression())]
        model = StackingClassifier(base, final_estimator=LogisticRegression())
        result = model.fit(X, y).predict_proba(X)
    """,
    "cross_val_score": """
        from sklearn.model_selection import cross_val_score
        result = cross_val_score(LogisticRegression(C=0.5), *cancer, cv=5, scoring="neg_log_loss")
    """,
    "permutation_importance": """
        from sklearn.inspection import permutation_importance
        X, y = cancer
        model = LogisticRegression().fit(X, y)
        found = permutation_importance(model, X, y, n_repeats=2, random_state=0, scoring="neg_log_loss")
        result = found.importances_mean
    """,
    "set_output": """
        X = pd.DataFrame(iris.data, columns=iris.feature_names)
        model = make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform="pandas")
        model.fit(X, iris.target)
        assert list(model[-1].feature_names_in_) == iris.feature_names
        result = model[-1].coef_ - model[-1].coef_.mean(axis=0)
    """,
    "joblib": """
        import joblib
        joblib.dump(LogisticRegression().fit(*cancer), "model.joblib")
        result = joblib.load("model.joblib").predict_proba(cancer[0])
    """,
    "one against the rest": """
        from sklearn.multiclass import OneVsRestClassifier
        result = OneVsRestClassifier(LogisticRegression(class_weight="balanced")).fit(scale(wine.data), wine.target)
        result = result.predict_proba(scale(wine.data))
    """,
    "recursive elimination": """
        from sklearn.feature_selection import RFE
        selector = RFE(LogisticRegression(), n_features_to_select=3).fit(*cancer)
        result = selector.ranking_
    """,
    "columns chosen by l1": """
        from sklearn.feature_selection import SelectFromModel
        X, y = cancer
        selector = SelectFromModel(LogisticRegression(penalty="l1", C=0.05, solver="saga", random_state=0)).fit(X, y)
        result = [selector.get_support(), selector.estimator_.coef_]
    """,
    "elastic net": """
        X, y = cancer
        model = LogisticRegression(penalty="elasticnet", l1_ratio=0.5, C=0.1, solver="saga", random_state=0).fit(X, y)
        result = model.sparsify().predict_proba(X)
    """,
    "predictions for rows left out": """
        from sklearn.model_selection import cross_val_predict, StratifiedKFold
        folds = StratifiedKFold(4, shuffle=True, random_state=1)
        result = cross_val_predict(LogisticRegression(n_jobs=None), *cancer, cv=folds, method="predict_proba")
    """,
    "voting": """
        from sklearn.ensemble import VotingClassifier
        from sklearn.naive_bayes import GaussianNB
        model = VotingClassifier([("linear", LogisticRegression()), ("bayes", GaussianNB())], voting="soft")
        result = model.fit(iris.data, iris.target).predict_proba(iris.data)
    """,
    "rare class": """
        from sklearn.metrics import roc_auc_score
        X, y = cancer[0][150:], cancer[1][150:]
        model = LogisticRegression(class_weight="balanced", fit_intercept=True).fit(X, y)
        result = [roc_auc_score(y, model.predict_proba(X)[:, 1]), model.coef_]
    """,
    "words": """
        from sklearn.feature_extraction.text import TfidfVectorizer
        texts = ["a good film", "a bad film", "good acting", "what a bad plot", "good good plot", "bad, just bad"]
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=5))
        result = model.fit(texts, ["yes", "no"] * 3).predict_proba(["good plot", "bad film"])
    """,
    "boosting": """
        from sklearn.ensemble import AdaBoostClassifier
        model = AdaBoostClassifier(LogisticRegression(), n_estimators=5, random_state=0).fit(*cancer)
        result = model.predict_proba(cancer[0])
    """,
    "parameters": """
        from sklearn.base import clone
        model = clone(LogisticRegression("l2", dual=False, intercept_scaling=1)).set_params(C=3.0, fit_intercept=False)
        assert model.get_params()["C"] == 3.0 and not model.get_params()["fit_intercept"]
        result = model.fit(*cancer, sample_weight=np.arange(len(cancer[1])) % 3).coef_
    """,
    "curve over C": """
        from sklearn.model_selection import validation_curve
        _, result = validation_curve(LogisticRegression(), *cancer, param_name="C", param_range=[0.01, 1.0], cv=3,
                                     scoring="neg_log_loss")
    """,
    "penalty by cross-validation": """
        model = LogisticRegressionCV(Cs=5, cv=4, scoring="neg_log_loss").fit(*cancer)
        result = [model.C_, model.Cs_, model.scores_[1], model.coefs_paths_[1], model.predict_proba(cancer[0])]
    """,
    "several outputs": """
        from sklearn.multioutput import MultiOutputClassifier
        X = scale(iris.data)
        targets = np.column_stack([iris.target > 0, iris.data[:, 1] > 3])
        result = MultiOutputClassifier(LogisticRegression(C=0.3)).fit(X, targets).predict_proba(X)
    """,
}

ours = pytest.mark.filterwarnings(
    "ignore:.*(penalty|l1_ratio|scoring|use_legacy_attributes).*:FutureWarning",
    "ignore:.*(C and l1_ratio|l1_ratio|is not used|is taken for).*:UserWarning",
)


@ours
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_import_alone_is_changed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for peer in (peers.LogisticRegression, peers.LogisticRegressionCV):
        tight = {"tol": 1e-12, "max_iter": 100_000, "solver": "newton-cholesky"}
        monkeypatch.setattr(peer.__init__, "__kwdefaults__", peer.__init__.__kwdefaults__ | tight)
    want, got = (result_of(name, module) for module in ("sklearn.linear_model", "gradstep"))
    assert len(want) == len(got)
    for theirs, mine in zip(want, got, strict=True):
        assert np.shape(theirs) == np.shape(mine)
        np.testing.assert_allclose(np.asarray(mine, float), np.asarray(theirs, float), atol=1e-6, rtol=1e-6)


def result_of(name: str, module: str) -> list[Any]:
    """What a snippet finds, with both classes imported from a module."""
    imports = f"from {module} import LogisticRegression, LogisticRegressionCV"
    names: dict[str, Any] = {}
    exec("\n".join([textwrap.dedent(DATA), imports, textwrap.dedent(SNIPPETS[name])]), names)
    result = names["result"]
    return result if isinstance(result, list) else [result]
