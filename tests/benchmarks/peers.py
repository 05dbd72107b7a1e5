"""Other solvers of the same problems: how each is called with a tolerance, whose meaning differs between them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from regimes import Samples

Solution = tuple[Any, Any]
"""Weights and bias."""

FOREVER = 1_000_000
"""A number of iterations that no solver needs."""


@dataclass(frozen=True)
class Contender:
    """A solver: `solve(samples, tol)`, for problems of these kinds. It needs `package` to be installed."""

    package: str
    kinds: tuple[str, ...]
    solve: Callable[[Samples, float], Solution]
    by_columns: bool = False
    """Whether X is stored column by column for it, before the time is taken."""

    def prepared(self, samples: Samples) -> Samples:
        """The samples as this solver likes to read them."""
        if not self.by_columns:
            return samples
        X = samples.X
        return samples._replace(X=X.tocsc() if scipy.sparse.issparse(X) else np.asfortranarray(X))


def ours(samples: Samples, tol: float) -> Solution:
    import gradstep

    if samples.l1 > 0:  # a gap of 1e-8 of the objective is proved, whatever the tolerance
        best = gradstep.fit(samples.X, samples.y, l1=samples.l1)
    else:
        best = gradstep.fit(samples.X, samples.y, l2=samples.l2, tol=tol)
    return best.weights, best.bias


def scikit_learn(solver: str, samples: Samples, tol: float) -> Solution:
    from sklearn.linear_model import LogisticRegression

    # liblinear penalises its bias. With this scaling the penalty of the bias is negligible.
    options = {"intercept_scaling": 10} if solver == "liblinear" else {}
    C = 1 / (samples.l2 * len(samples.y))
    model = LogisticRegression(C=C, solver=solver, tol=tol, max_iter=FOREVER, **options).fit(samples.X, samples.y)
    return model.coef_, model.intercept_


def one_dal(samples: Samples, tol: float) -> Solution:
    from sklearnex.linear_model import LogisticRegression

    C = 1 / (samples.l2 * len(samples.y))
    model = LogisticRegression(C=C, tol=tol, max_iter=FOREVER).fit(samples.X, samples.y)
    return model.coef_, model.intercept_


def glum(solver: str, samples: Samples, tol: float) -> Solution:
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial",
        alpha=samples.l2 + samples.l1,
        l1_ratio=float(samples.l1 > 0),
        solver=solver,
        gradient_tol=tol,
        max_iter=10_000,
    ).fit(samples.X, samples.y)
    return model.coef_, model.intercept_


def adelie(samples: Samples, tol: float) -> Solution:
    import adelie as ad

    matrix = ad.matrix.sparse if scipy.sparse.issparse(samples.X) else ad.matrix.dense
    state = ad.grpnet(
        matrix(samples.X, n_threads=2),
        ad.glm.binomial(samples.y),
        lmda_path=np.array([samples.l1]),
        tol=tol,
        irls_tol=tol,
        early_exit=False,
        progress_bar=False,
        n_threads=2,
    )
    return state.betas.toarray().ravel(), state.intercepts


def skglm(samples: Samples, tol: float) -> Solution:
    from skglm import SparseLogisticRegression

    model = SparseLogisticRegression(alpha=samples.l1, tol=tol, max_iter=1000, max_epochs=100_000)
    model.fit(samples.X, samples.y)
    return model.coef_, model.intercept_


def snap_ml(samples: Samples, tol: float) -> Solution:
    import snapml

    # snapml penalises its bias. With any `intercept_scaling` but 1 its result is far off, unlike that of liblinear.
    model = snapml.LogisticRegression(
        regularizer=samples.l2 * len(samples.y),
        dual=True,
        fit_intercept=True,
        tol=tol,
        max_iter=100_000,
        n_jobs=2,
        normalize=False,
    ).fit(samples.X, samples.y)
    return model.coef_, model.intercept_


def cyanure(samples: Samples, tol: float) -> Solution:
    from cyanure.estimators import Classifier

    model = Classifier(
        loss="logistic" if samples.classes == 2 else "multiclass-logistic",
        penalty="l2",
        lambda_1=samples.l2,
        fit_intercept=True,
        tol=tol,
        max_iter=100_000,
        duality_gap_interval=5,
        verbose=False,
    ).fit(samples.X, samples.y)
    return np.asarray(model.coef_), np.asarray(model.intercept_)


def statsmodels(samples: Samples, tol: float) -> Solution:
    import statsmodels.api as sm

    m, n = samples.X.shape
    X = np.column_stack([samples.X, np.ones(m)])
    alpha = np.append(np.full(n, samples.l2), 0.0)
    model = sm.GLM(samples.y, X, family=sm.families.Binomial())
    # SciPy's minimiser, by SciPy's name for it, with no tolerance to set.
    params = model.fit_regularized(alpha=alpha, L1_wt=0, opt_method="BFGS" if n < 100 else "L-BFGS-B").params
    return params[:n], params[n:]


ALL, DENSE, L1 = ("dense", "sparse", "softmax"), ("dense",), ("dense l1", "sparse l1")
"""Kinds of problems, as `Samples.kind` names them."""

CONTENDERS: dict[str, Contender] = {
    "gradstep": Contender("gradstep", ALL + L1, ours),
    **{
        f"scikit-learn {solver}": Contender("scikit-learn", kinds, partial(scikit_learn, solver))
        for solver, kinds in {
            "lbfgs": ALL,
            "newton-cholesky": ("dense", "softmax"),
            "newton-cg": ALL,
            "saga": ALL,
            "liblinear": ("dense", "sparse"),
        }.items()
    },
    "oneDAL": Contender("scikit-learn-intelex", ("dense", "softmax"), one_dal),
    "glum irls": Contender("glum", ("dense", "sparse"), partial(glum, "irls-ls")),
    "glum lbfgs": Contender("glum", ("dense", "sparse"), partial(glum, "lbfgs")),
    "glum cd": Contender("glum", L1, partial(glum, "irls-cd")),
    "adelie": Contender("adelie", L1, adelie, by_columns=True),
    "skglm": Contender("skglm", L1, skglm, by_columns=True),
    "Snap ML": Contender("snapml", ("dense", "sparse"), snap_ml),
    "cyanure": Contender("cyanure", ALL, cyanure),
    "statsmodels": Contender("statsmodels", DENSE, statsmodels),
}


def quietly(contender: Contender, samples: Samples, tol: float) -> Solution:
    """The solution of a contender, without the warnings that a tolerance too tight brings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return contender.solve(samples, tol)
