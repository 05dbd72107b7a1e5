"""LogisticRegression: `fit` as an estimator of scikit-learn. scikit-learn checks arguments, gradstep computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from gradstep import _words
from gradstep._classifier import (
    DEFAULT_C,
    DTYPES,
    FORMATS,
    RATIOS,
    Array,
    Callback,
    Classifier,
    Samples,
    all_or_nothing,
    check_number,
    codes_in,
    fit_present,
    penalties,
    warn,
    zeros,
)  # fmt: skip
from gradstep._docs import suggests_names
from gradstep._fitted import StopReason
from gradstep._formulas import covariance, gradient, loss
from gradstep._optimum import GAP_TOL, MAX_PASSES, Alias, Iteration, Optimum, Separation
from gradstep._options import flag, kind, observer
from gradstep._sources import is_source, opened
from gradstep._tasks import CallbackSupportMixin, Tasks, with_callbacks

CERTIFICATE = (
    "n_iter_", "history_", "objective_", "gradient_norm_", "gap_", "converged_", "stop_reason_", "separation_",
    "aliased_", "validation_history_", "standard_errors_", "intercept_standard_error_",
)  # fmt: skip


@suggests_names
class LogisticRegression(CallbackSupportMixin, Classifier):
    """Logistic regression at its proved optimum, as an estimator of scikit-learn.

    Minimises E + l1 Σ |w_j| + (l2/2) ||W||², with E = Σ s_i E_i / Σ s_i the mean cross-entropy, by `gradstep.fit`.
    Penalty factors, a prior, bounds and offsets change this problem as in `gradstep.fit`.
    Two classes are one sigmoid, more are a softmax. The intercept is never penalised, and columns may be of any
    scale and any offset. It stands in for scikit-learn's class of the same name, whose keywords it takes.

    Parameters
    ----------
    penalty : {"deprecated", "l2", "l1", "elasticnet", None}, default "deprecated"
        scikit-learn's older word for what `l1_ratio` and `C` say: "l2" and "l1" are ratios of 0 and 1, "elasticnet"
        takes `l1_ratio`, and None is ``C=inf``. If `penalty` disagrees with `l1_ratio` or `C`, `penalty` is followed,
        and a UserWarning says so.
    l2 : float, optional
        Strength >= 0 of the penalty on the mean error. It does not change its meaning with the number of samples.
    l1 : float, optional
        Strength >= 0 of the penalty l1 Σ |w_j|, which makes coefficients exactly 0.
    C : float, optional
        What scikit-learn calls C: ``l1 + l2 = 1 / (C * sum of the sample weights)``, with the factors of `class_weight`
        in the weights. It may not be given with `l2` or `l1`; without any of the three C is 1, as in scikit-learn.
    l1_ratio : float or None, default 0.0
        As in scikit-learn, the ratio l1 / (l1 + l2), where `C` says what l1 + l2 is. None is 0.
    firth : bool, default False
        Whether to maximise Firth's penalised likelihood instead, as in `gradstep.fit`: two classes that are separated
        have finite coefficients then. There is no other penalty: C is not 1 by default, and none may be given. Sample
        and class weights are frequencies.
    penalty_factors : array_like, shape (n,), optional
        Factors >= 0 of l1 and l2, one for each column: by default 1, and 0 for a column that is not penalised.
    prior, lower, upper : float or array_like of shape (n,) or (K, n), optional
        The coefficients towards which l2 draws, and their bounds, as in `gradstep.fit`: one number for each column, or
        for K > 2 classes also a row for each class.
    grouped : bool, default False
        Whether l1 penalises the coefficients of all of K > 2 classes for a column together, as in `gradstep.fit`.
    fit_intercept : bool, default True
        Whether there is an intercept; it is 0 if not.
    class_weight : dict, "balanced" or None, default None
        Factors of the sample weights, by class. "balanced" is Σ s_i / (K * Σ s_i of the class), which leaves Σ s_i as
        it is. A factor common to all classes changes nothing with `l2`, since E is a mean; with `C` it multiplies C.
    solver : {"auto", "gd", "proximal"}, default "auto"
        As in `gradstep.fit`. The solvers of scikit-learn, from "lbfgs" to "saga", are taken for "auto": one UserWarning
        in each process says so.
    gap_tol : float, default 1e-8
        The fit has converged once the objective is proved to be above its minimum by at most `gap_tol` times the
        objective.
    tol : float, optional
        Stop as soon as no component of the objective's gradient is larger than `tol`, proved or not. By default the fit
        goes on until the optimum is proved, or no step improves on the coefficients.
    certify : bool, default True
        Whether a Hessian of all samples may be made for the proof. Without it, and without penalty, nothing is proved.
    max_iter : int, optional
        Stop after this many iterations, those on samples of the rows included. With 0 the coefficients are 0, or those
        of the last fit with `warm_start`.
    max_passes : float, default 1000
        Stop after this many passes over all rows.
    warm_start : bool, default False
        Whether `fit` starts from the coefficients of the last fit.
    early_stopping : bool, default False
        Whether to stop once the error of validation data, given to `fit` or kept out, has stopped falling, and to
        restore the coefficients for which it was smallest.
    validation_fraction : float, default 0.1
        Part of the samples to keep out, of each class alike.
    n_iter_no_change : int, default 5
        Stop after this many iterations over all rows without a smaller validation error.
    learning_rate : float, default 0.1
        α of `partial_fit`.
    standard_errors : bool, default False
        Whether to compute `standard_errors_`.
    n_threads : int, optional
        Threads of the fit. The result does not depend on it.
    random_state : int, RandomState or None, default None
        Chooses the samples that are kept out.
    callback : callable, optional
        Called after every iteration with an `Iteration`. The fit stops when it returns True. An exception that it
        raises ends the fit.
    verbose : bool, default False
        Whether to show the progress on stderr (extra ``progress``).
    dual, intercept_scaling, n_jobs
        Taken because scikit-learn takes them; they change nothing. An intercept that is not penalised has no scale,
        and `n_threads` chooses the threads.

    Attributes
    ----------
    coef_ : ndarray, shape (1, n), or (K, n) for K > 2 classes
        Weights; float32 for float32 features, else float64. A CSR array after `sparsify`.
    intercept_ : ndarray, shape (1,) or (K,)
        Bias.
    classes_ : ndarray, shape (K,)
        The labels, sorted.
    n_iter_ : ndarray of int, shape (1,)
        Number of iterations.
    history_ : structured ndarray, shape (n_iter_[0],)
        ``objective, gradient_norm, step, seconds, passes, rows`` after each iteration.
    objective_ : float
        E plus penalty at the optimum.
    gradient_norm_ : float
        Largest component of the objective's gradient, in magnitude.
    gap_ : float
        Proved upper bound on how far `objective_` is above its minimum; rounding is counted. inf where nothing is
        proved, also with `firth`, and where coefficients of an earlier iteration were restored.
    converged_ : bool
        Whether the optimum is proved: `gap_` is at most `gap_tol` of `objective_`. Never for separated classes. With
        `firth`, whether the coefficients are near a local optimum.
    stop_reason_ : StopReason
        As of `Optimum`, or "iterations" or "validation".
    separation_ : Separation or None
        Where there is no optimum, the direction that separates the classes.
    aliased_ : tuple of Alias
        In a fit without penalty, the columns that are constant or combinations of columns before them: these are left
        out, with coefficient 0, and the optimum is that over the others. Empty where coefficients of an earlier
        iteration were restored.
    validation_history_ : ndarray, with ``early_stopping=True``
        Mean cross-entropy of the validation data after each iteration over all rows.
    standard_errors_, intercept_standard_error_ : ndarrays, shapes (1, n) and (1,), with ``standard_errors=True``
        Wald standard errors: roots of the diagonal of the inverse Fisher information. A sample of weight s counts as s
        samples. Without an intercept there is no standard error of the intercept.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where `X` names its columns

    Raises
    ------
    ImportError
        Without scikit-learn 1.6 or newer (extra ``sklearn``), or with ``verbose=True`` without rich.

    Notes
    -----
    A class whose samples all have weight 0 gets probability 0, by an intercept of −∞, and a UserWarning: that is the
    limit of fits to ever smaller weights. `objective_` and what is proved are about the other classes.

    `set_callbacks` takes scikit-learn's callbacks, from version 1.9 on. They get a task for the fit, and one for each
    iteration.

    After Ctrl-C during `fit`, a KeyboardInterrupt, `coef_` and `intercept_` are the best so far, without certificate.

    Without penalty a proof needs a Hessian of all samples. It is not made for more than 4096 coefficients and
    intercepts, nor with ``certify=False``: then ``stop_reason_ == "uncertified"``, which is not warned of.

    Wald standard errors are refused with a ValueError where they mean nothing: with a penalty, class weights, early
    stopping, more than two classes, bounds, aliased columns, or without a proved optimum. Columns may be at any offset.

    Examples
    --------
    >>> model = gradstep.LogisticRegression(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"])
    >>> model.coef_.round(6), model.intercept_.round(6), str(model.stop_reason_), model.gap_ < 1e-12
    (array([[0.636706]]), array([-0.955059]), 'tolerance', True)
    >>> model.predict([[0.5], [2.5]])
    array(['no', 'yes'], dtype='<U3')
    """

    def __init__(
        self,
        penalty: str | None = "deprecated",
        *,
        l2: float | None = None,
        l1: float | None = None,
        C: float | None = None,
        l1_ratio: float | None = 0.0,
        firth: bool = False,
        penalty_factors: Any = None,
        prior: Any = None,
        lower: Any = None,
        upper: Any = None,
        grouped: bool = False,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        solver: str = "auto",
        gap_tol: float = GAP_TOL,
        tol: float | None = None,
        certify: bool = True,
        max_iter: int | None = None,
        max_passes: float = MAX_PASSES,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        learning_rate: float = 0.1,
        standard_errors: bool = False,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Callback | None = None,
        verbose: bool = False,
        dual: bool = False,
        intercept_scaling: float = 1.0,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.l2 = l2
        self.l1 = l1
        self.C = C
        self.l1_ratio = l1_ratio
        self.firth = firth
        self.penalty_factors = penalty_factors
        self.prior = prior
        self.lower = lower
        self.upper = upper
        self.grouped = grouped
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.gap_tol = gap_tol
        self.tol = tol
        self.certify = certify
        self.max_iter = max_iter
        self.max_passes = max_passes
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.learning_rate = learning_rate
        self.standard_errors = standard_errors
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose
        self.dual = dual
        self.intercept_scaling = intercept_scaling
        self.n_jobs = n_jobs

    @classmethod
    def from_sklearn(cls, fitted: Any) -> LogisticRegression:
        """An estimator with the coefficients of a fitted one of scikit-learn, and the parameters that mean the same.

        Parameters
        ----------
        fitted : sklearn.linear_model.LogisticRegression or LogisticRegressionCV
            A fitted estimator. Its `tol`, `max_iter` and `solver` are not taken over. Nothing is proved of the
            coefficients until the new estimator is fitted; with ``warm_start=True`` that fit starts from them.

        Returns
        -------
        LogisticRegression

        Raises
        ------
        TypeError
            If it is no such estimator.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If its probabilities are not a sigmoid or a softmax of its scores, as in a one-vs-rest model.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"]
        >>> theirs = LogisticRegression(C=0.5).fit(X, y)
        >>> ours = gradstep.LogisticRegression.from_sklearn(theirs)
        >>> ours.C, np.allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-14)
        (0.5, True)
        """
        from sklearn.linear_model import LogisticRegression as Single
        from sklearn.linear_model import LogisticRegressionCV as Several

        if not isinstance(fitted, (Single, Several)):
            raise TypeError(f"fitted must be a LogisticRegression of scikit-learn, got {kind(fitted)}")
        check_is_fitted(fitted, "coef_")
        several = len(fitted.classes_) > 2
        word = getattr(fitted, "multi_class", None)
        if several and ("ovr" in (word, getattr(fitted, "_multi_class", None)) or fitted.solver == "liblinear"):
            got = f"one-vs-rest for {len(fitted.classes_)} classes"
            raise ValueError(f"fitted must be a sigmoid or a softmax, got {got}")
        if not several and word == "multinomial":
            raise ValueError("fitted must be a sigmoid or a softmax, got multi_class='multinomial' for two classes")
        options = fitted.get_params()
        if isinstance(fitted, Several):
            ratio = np.ravel(fitted.l1_ratio_)[0]
            options |= {"C": float(np.ravel(fitted.C_)[0]), "l1_ratio": float(ratio or 0.0)}
        names = {"penalty", "C", "l1_ratio", "fit_intercept", "class_weight", "random_state", "warm_start"}
        model = cls(**{name: value for name, value in options.items() if name in names})
        model.classes_, model.n_features_in_ = fitted.classes_, fitted.n_features_in_
        if hasattr(fitted, "feature_names_in_"):
            model.feature_names_in_ = fitted.feature_names_in_
        model.coef_ = fitted.coef_.copy()
        model.intercept_ = np.full(len(model.classes_[fitted.coef_.shape[0] == 1 :]), fitted.intercept_)
        return model

    @all_or_nothing
    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None, offset: Any = None
    ) -> LogisticRegression:
        """Find the optimum.

        Parameters
        ----------
        X : array_like, sparse or data frame, shape (m, n)
            Finite features. CSR and CSC are never made dense. Rows that do not fit into memory are read in batches,
            from any source that `gradstep.fit` can read, such as a Parquet file of which `X` is the path.
        y : array_like, shape (m,)
            Labels of two or more classes: numbers, strings or booleans. If `X` is a table that is read in batches, `y`,
            `sample_weight` and `offset` are names of its columns; all its other columns are features.
        sample_weight : array_like, shape (m,), optional
            Weights >= 0. An integer weight means a repeated row.
        X_val, y_val : like `X` and `y`, optional
            Validation data for ``early_stopping=True``; without them a fraction of the samples is kept out.
        offset : array_like, shape (m,), or (m, K) for K > 2 classes, optional
            Finite numbers that are added to the scores of the rows: the part of the scores that is known. Predictions
            have an argument for the offsets of their own rows. Offsets cannot be given together with `X_val`.

        Returns
        -------
        LogisticRegression
            The estimator itself.

        Raises
        ------
        ValueError
            If data or parameters are out of range, or standard errors are asked for where they mean nothing.

        Warns
        -----
        ConvergenceWarning
            If the fit ended without a proof of the optimum, because `max_iter` iterations or `max_passes` passes were
            made, or because no step improves the coefficients; or if the classes are separated, so there is no optimum.
        UserWarning
            If a class has no weight, if `penalty` disagrees with `C` or `l1_ratio`, or if `solver` is one of
            scikit-learn's.
        """
        self._check_parameters()
        if offset is not None and X_val is not None:
            raise ValueError(
                "offset must be None with X_val, got offsets: leave X_val out, and a part of X is kept out"
            )
        data = self._validated_classes(X, y, sample_weight, offset)
        start = self._start(data)
        validation = self._validation(X_val, y_val, data.classes, data.factors)
        if self.early_stopping and validation is None:
            data, validation = self._split(data)
        l1, l2 = self._penalties(data.total)
        if self.standard_errors:
            self._check_standard_errors(l1, l2, data)

        with _progress(self.verbose) as show:
            first = zeros(len(data.classes), data.X) if start is None else start
            tasks = Tasks(self, data, sample_weight, *first)
            monitor = _Monitor(self, len(data.codes), validation, show, tasks)
            try:
                optimum = fit_present(
                    data,
                    l1,
                    l2,
                    start=start,
                    firth=bool(self.firth),
                    **self._of_columns(),
                    fit_bias=bool(self.fit_intercept),
                    solver=self._solver(),
                    gap_tol=self.gap_tol,
                    tol=self.tol,
                    certify=bool(self.certify),
                    max_passes=self.max_passes,
                    max_iter=self.max_iter,
                    n_threads=self.n_threads,
                    callback=monitor,
                )
            except KeyboardInterrupt:
                if monitor.best:
                    self._set_anew(data.classes, monitor.best.weights, monitor.best.bias)
                raise
        if monitor.is_spent:
            optimum = replace(optimum, stop_reason=StopReason.ITERATIONS)
        self._set_anew(data.classes, optimum.weights, optimum.bias)
        self._set_certificate(optimum, monitor)
        self._warn(optimum, data.X.dtype)
        if self.standard_errors:
            self._set_standard_errors(data)
        tasks.end()
        return self

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> LogisticRegression:
        """Take one step of gradient descent on the mean error of a batch, plus the penalty.

        Starts from zero, or from the coefficients that the last `fit` or `partial_fit` has left. The penalty is that of
        `l2`, none by default. `C` is refused: its penalty depends on the sum of all sample weights, of all batches.

        Parameters
        ----------
        X : array_like, sparse or data frame, shape (m, n)
            The features of the batch.
        y : array_like, shape (m,)
            The labels of the batch.
        classes : array_like, shape (K,), optional
            All labels that may come; needed in the first call.
        sample_weight : array_like, shape (m,), optional
            Weights >= 0, not all zero.

        Returns
        -------
        LogisticRegression
            The estimator itself.

        Raises
        ------
        ValueError
            If data or parameters are out of range; with `C`, `l1`, `l1_ratio`, `penalty`, `firth`, penalty factors, a
            prior or bounds; and with ``class_weight="balanced"``.
        """
        self._check_parameters()
        if self.firth:
            raise ValueError("firth must be False for partial_fit, got True: its penalty is not a sum over samples")
        if self.C is not None:
            raise ValueError(f"C must be None for partial_fit, got {self.C}: give l2, which is per sample")
        for name, none in (("l1", None), ("l1_ratio", None), ("penalty", "deprecated")):
            if (strength := getattr(self, name)) and strength != none:
                why = "gradient descent leaves no weight at 0"
                raise ValueError(f"{name} must not be given for partial_fit, got {strength}: {why}")
        for name, value in self._of_columns().items():
            if value is not None and value is not False:
                raise ValueError(f"{name} must not be given for partial_fit, got one: fit takes it")
        if isinstance(self.class_weight, str):
            raise ValueError(f"class_weight must be None or a dict for partial_fit, got {self.class_weight!r}")
        first = not hasattr(self, "coef_")
        known = self._known_classes(classes, first)
        data = self._validated(X, y, sample_weight, None, reset=first, classes=known)
        weights, bias = zeros(len(known), data.X) if first else self._parameters()
        slope = gradient(data.X, data.codes, weights, bias, sample_weight=data.weight, n_threads=self.n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = weights - float(self.learning_rate) * (slope.weights + float(self.l2 or 0.0) * weights)
        bias = bias - float(self.learning_rate) * slope.bias if self.fit_intercept else bias
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError(
                f"learning_rate must be small enough for coefficients to stay finite, got {self.learning_rate} with "
                f"l2={self.l2}"
            )
        self._set_anew(known, weights, bias)
        return self

    def _validated(
        self, X: Any, y: Any, sample_weight: Any, offset: Any, reset: bool, classes: Array | None = None
    ) -> Samples:
        if not is_source(X, y):
            return super()._validated(X, y, sample_weight, offset, reset, classes)
        if classes is not None:
            raise ValueError(f"X must be in memory for partial_fit, got {kind(X)}, which is read in batches")
        for name in ("early_stopping", "standard_errors"):
            if getattr(self, name):
                raise ValueError(f"{name} must be False where X is read in batches, got True: it needs rows in memory")
        source = opened(X, y, sample_weight, offset, may_be_text=True)
        if source.classes is None:
            check_classification_targets(source.y)
            classes, codes = np.unique(source.y, return_inverse=True)
        else:
            classes, codes = source.classes, source.y
        self.n_features_in_ = source.shape[1]
        self.__dict__.pop("feature_names_in_", None)
        if source.feature_names:
            self.feature_names_in_ = np.array(source.feature_names, dtype=object)
        weight = source.sample_weight
        if weight is None and self.class_weight is None:
            return Samples(source, codes, None, classes, None, source.offset)
        weight = np.ones(len(codes)) if weight is None else weight.astype(float)
        return self._weighted(source, codes, classes, weight, source.offset)

    def _check_parameters(self) -> None:
        """Raise for bad values of the parameters that `gradstep.fit` does not have, or has under another name."""
        self._check_peer_options()
        for name in ("l2", "l1"):
            strength = getattr(self, name)
            if strength is None:
                continue
            if self.C is not None:
                raise ValueError(f"{name} must be None where C is given, got {name}={strength} and C={self.C}")
            if self.penalty != "deprecated":
                raise ValueError(f"penalty must not be given where {name} is, got {self.penalty!r}")
            check_number(name, strength, "finite and not negative", lambda strength: 0 <= strength < np.inf)
        if self.l1_ratio is not None:
            check_number("l1_ratio", self.l1_ratio, "between 0 and 1", lambda ratio: 0 <= ratio <= 1)
        elif self.penalty == "elasticnet":
            raise ValueError("l1_ratio must be between 0 and 1 with penalty='elasticnet', got None")
        if self.l1_ratio and not (self.l2 is None and self.l1 is None):
            raise ValueError(f"l1_ratio must be 0 where l2 or l1 is given, got {self.l1_ratio}")
        if self.C is not None:
            check_number("C", self.C, "positive", lambda C: C > 0)
        check_number("learning_rate", self.learning_rate, "finite and positive", lambda rate: 0 < rate < np.inf)
        check_number("validation_fraction", self.validation_fraction, "between 0 and 1", lambda part: 0 < part < 1)
        if not isinstance(self.n_iter_no_change, Integral) or self.n_iter_no_change < 1:
            raise ValueError(f"n_iter_no_change must be a positive integer, got {self.n_iter_no_change!r}")
        for name in ("firth", "certify", "warm_start", "early_stopping", "standard_errors"):
            flag(name, getattr(self, name))
        observer(self.callback, tuple)
        if not self.firth:
            return
        for name, without in (("l2", 0), ("l1", 0), ("C", np.inf), ("l1_ratio", 0)):
            if (strength := getattr(self, name)) is not None and strength != without:
                raise ValueError(f"{name} must not be given with firth=True, a penalty of its own, got {strength}")
        if self.penalty not in ("deprecated", None):
            raise ValueError(f"penalty must not be given with firth=True, a penalty of its own, got {self.penalty!r}")

    def _known_classes(self, classes: Any, first: bool) -> Array:
        """All classes that batches may hold, checked against those that are known already."""
        if classes is None:
            if first:
                raise ValueError("classes must be given in the first call of partial_fit, got None")
            return np.asarray(self.classes_)
        given = np.unique(classes)
        if first and len(given) < 2:
            raise ValueError(f"classes must hold two or more classes, got {given.tolist()}")
        if not first and not np.array_equal(given, self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_.tolist()}, got {given.tolist()}")
        return given

    def _validation(self, X: Any, y: Any, classes: Array, factors: Array | None) -> Samples | None:
        if X is None and y is None:
            return None
        if not self.early_stopping:
            raise ValueError(f"{'X_val' if y is None else 'y_val'} must be None without early_stopping=True, got data")
        if X is None or y is None:
            given, missing = ("X_val", "y_val") if y is None else ("y_val", "X_val")
            raise ValueError(f"{missing} must be given together with {given}, got None")
        X, y = validate_data(self, X, y, reset=False, accept_sparse=FORMATS, dtype=DTYPES)
        codes = codes_in("y_val", y, classes)
        return Samples(X, codes, None if factors is None else factors[codes], classes, factors)

    def _split(self, data: Samples) -> tuple[Samples, Samples]:
        """The data for training and the data for validation."""
        check_random_state(self.random_state)
        try:
            rows = train_test_split(
                np.arange(len(data.codes)),
                test_size=self.validation_fraction,
                stratify=data.codes,
                random_state=self.random_state,
            )
            training, validation = (data.rows(np.sort(part)) for part in rows)
            for part in (training, validation):
                if len(part.present) < len(data.present):
                    raise ValueError("in one of the two parts a class has no weight")
        except ValueError as error:
            raise ValueError(
                f"validation_fraction must leave samples of each class to learn from and to validate by, "
                f"got {self.validation_fraction} of {len(data.codes)} samples: {error}"
            ) from error
        return training, validation

    def _penalties(self, total: float) -> tuple[float, float]:
        """The strengths of l1 and l2; `total` is the sum of the sample weights."""
        if self.firth:
            return 0.0, 0.0
        if self.l2 is not None or self.l1 is not None:
            return float(self.l1 or 0.0), float(self.l2 or 0.0)
        C, ratio = DEFAULT_C if self.C is None else float(self.C), float(self.l1_ratio or 0.0)
        if self.penalty is None:
            if C != DEFAULT_C:
                warn(f"with penalty=None there is no penalty: C={C} is not used")
            return 0.0, 0.0
        if self.penalty in RATIOS:
            if ratio not in (0.0, RATIOS[self.penalty]):
                warn(f"penalty={self.penalty!r} holds: l1_ratio={ratio} is not used")
            ratio = RATIOS[self.penalty]
        return penalties(C, ratio, total)

    def _start(self, data: Samples) -> tuple[Array, Any] | None:
        """The weights and bias that a fit with ``warm_start=True`` starts from; None for any other fit."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        if not np.array_equal(self.classes_, data.classes):
            raise ValueError(
                f"y must hold the classes of the last fit, {self.classes_.tolist()}, with warm_start=True, "
                f"got {data.classes.tolist()}"
            )
        if self.coef_.shape[1] != data.X.shape[1]:
            raise ValueError(
                f"X must have the columns of the last fit, {self.coef_.shape[1]}, with warm_start=True, "
                f"got {data.X.shape[1]}"
            )
        return self._parameters()

    def _set_anew(self, classes: Array, weights: Array, bias: Any) -> None:
        """Set new coefficients, and remove what the last fit found out about the old ones."""
        for name in CERTIFICATE:
            self.__dict__.pop(name, None)
        self.classes_ = classes
        self._set_coefficients(weights, bias)

    def _set_certificate(self, optimum: Optimum, monitor: _Monitor) -> None:
        self.n_iter_ = np.array([optimum.n_iterations], np.int32)
        self.history_ = optimum.history
        self.objective_, self.gradient_norm_ = optimum.objective, optimum.gradient_norm
        self.gap_, self.converged_, self.stop_reason_ = optimum.gap, optimum.converged, optimum.stop_reason
        self.separation_, self.aliased_ = optimum.separation, optimum.aliased
        if not self.early_stopping:
            return
        self.validation_history_ = np.array(monitor.losses)
        if monitor.is_exhausted:
            self.stop_reason_ = StopReason.VALIDATION
        best = monitor.best
        if monitor.losses and best and best.number + 1 < optimum.n_iterations:
            self._set_coefficients(best.weights, best.bias)
            self.objective_, self.gradient_norm_ = best.objective, best.gradient_norm
            self.gap_, self.converged_, self.aliased_ = np.inf, False, ()

    def _warn(self, optimum: Optimum, dtype: Any) -> None:
        """Warn where the proof that was asked for is missing, and where there is no optimum."""
        if optimum.converged or self.stop_reason_ != optimum.stop_reason:
            return
        if optimum.separation is not None:
            message = f"there is no optimum (stopped by 'separated'): {self._separated(optimum.separation)}"
        elif optimum.stop_reason == StopReason.TOLERANCE:  # the `tol` that the user has set is reached
            return
        else:
            asked = _words.Asked(
                name=str,
                given=lambda name: f"{name}={getattr(self, name)}",
                certify=bool(self.certify),
                remedy="features in float64" if dtype == np.float32 else "columns nearer to zero",
            )
            message = _words.shortfall(optimum, asked) or ""
        if message:
            warn(message, ConvergenceWarning)

    def _separated(self, separation: Separation) -> str:
        columns = np.flatnonzero((np.atleast_2d(separation.weights) != 0).any(axis=0)).tolist()
        names = [str(self._name(column)) for column in columns]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        firth = "firth=True" if len(self.classes_) == 2 else None
        return _words.separated(len(names), f"{', '.join(names[:8])}{more}", "l2 > 0", firth)

    def _in_words(self, alias: Alias, X: Any) -> str:
        """An aliased column in words: its name, and the combination of other columns that equals it."""
        plain = "" if hasattr(self, "feature_names_in_") else "column "
        what = _words.combination(alias, lambda column: f"{plain}{self._name(column)!r}", X)
        return f"column {self._name(alias.column)!r} is {what}"

    def _name(self, column: int) -> str | int:
        """The name of a column, if columns have names; else its number."""
        return str(self.feature_names_in_[column]) if hasattr(self, "feature_names_in_") else column

    def _check_standard_errors(self, l1: float, l2: float, data: Samples) -> None:
        classes = len(data.classes)
        reasons = {
            f"with a penalty, here l1={l1:.3g}": l1 > 0,
            f"with a penalty, here l2={l2:.3g}": l2 > 0,
            "with bounds": self.lower is not None or self.upper is not None,
            "with class_weight": self.class_weight is not None,
            "with early_stopping": self.early_stopping,
            f"for {classes} classes": classes > 2,
            "with a class without weight": len(data.present) < classes,
        }
        for reason, holds in reasons.items():
            if holds:
                raise _without_meaning(reason)

    def _set_standard_errors(self, data: Samples) -> None:
        if not self.converged_:
            raise _without_meaning(f"without a proved optimum, as the fit was stopped by {str(self.stop_reason_)!r}")
        if self.aliased_:
            raise _without_meaning(f"with aliased columns ({self._in_words(self.aliased_[0], data.X)})")
        matrix = covariance(
            data.X,
            *self._parameters(),
            sample_weight=data.weight,
            offset=data.offset,
            fit_bias=bool(self.fit_intercept),
            n_threads=self.n_threads,
        )
        errors = np.sqrt(np.diagonal(matrix))
        columns = data.X.shape[1]
        self.standard_errors_ = errors[None, :columns]
        if self.fit_intercept:
            self.intercept_standard_error_ = errors[columns:]


class _Monitor:
    """The callback of a fit: keeps the best coefficients, and says when to stop."""

    def __init__(
        self,
        estimator: LogisticRegression,
        rows: int,
        validation: Samples | None,
        show: Callable[[Iteration], None] | None,
        tasks: Tasks,
    ) -> None:
        self.rows = rows
        self.validation = validation
        self.patience = estimator.n_iter_no_change
        self.most = estimator.max_iter
        self.callback = estimator.callback
        self.show = show
        self.tasks = tasks
        self.best: Iteration | None = None
        self.losses: list[float] = []
        self.is_exhausted = False
        self.is_spent = False

    def __call__(self, iteration: Iteration) -> bool | None:
        if self.show:
            self.show(iteration)
        if self.validation is None or iteration.rows < self.rows:
            self.best = iteration  # an iteration never makes the objective worse
        else:
            X, codes, weight, _, _, offset = self.validation
            of_rows: dict[str, Any] = {"sample_weight": weight, "offset": offset}
            self._validate(loss(X, codes, iteration.weights, iteration.bias, **of_rows), iteration)
        stop = self.callback(iteration) if self.callback else None
        if self.tasks.end_iteration(iteration) or self.is_exhausted:
            return True
        self.is_spent = not stop and self.most is not None and iteration.number + 1 >= self.most
        return True if self.is_spent else stop

    def _validate(self, error: float, iteration: Iteration) -> None:
        if not self.losses or error < min(self.losses):
            self.best = iteration
        self.losses.append(error)
        self.is_exhausted = len(self.losses) - 1 - int(np.argmin(self.losses)) >= self.patience


def _without_meaning(reason: str) -> ValueError:
    return ValueError(f"standard_errors must be False {reason}, where they mean nothing, got True")


def _progress(verbose: bool) -> AbstractContextManager[Callable[[Iteration], None] | None]:
    if not verbose:
        return nullcontext()
    try:
        from gradstep import _progress
    except ModuleNotFoundError as error:
        raise ImportError("verbose=True needs rich: pip install 'gradstep[progress]'") from error
    return _progress.of_passes()
