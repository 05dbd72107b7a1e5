"""LogisticRegressionCV: the strength of the penalty by cross-validation, in the idiom of scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)  # fmt: skip
from sklearn.utils.parallel import Parallel, delayed

from gradstep._arrays import optional_real
from gradstep._classifier import (
    RATIOS,
    Array,
    Classifier,
    Samples,
    all_or_nothing,
    check_number,
    fit_present,
    penalties,
    warn,
)  # fmt: skip
from gradstep._docs import suggests_names
from gradstep._fitted import StopReason
from gradstep._frames import frame_of
from gradstep._many import fit_many
from gradstep._optimum import GAP_TOL, MAX_PASSES, Optimum, per_column
from gradstep._options import flag
from gradstep._path import MOST_STRENGTHS, along, first_of_path, without_columns
from gradstep._scoring import Score, WithOffset

GRID = 1e-3
"""The smallest strength divided by the largest, if only the number of strengths is given. `gradstep.path` has the same
default."""
MOST_COPIED = 2**28
"""If the features have at most this many bytes, the rows that a fit needs are copied for it. Otherwise the fit gets all
rows, and the rows that it does not need have weight 0: this saves the copy, and takes up to a tenth more time."""
LEAST_SHARED = 2**22
"""Folds are fitted together, so that features are read once for all of them, if the features are dense and have this
many bytes or more. Smaller features stay in a processor's cache: then it is faster to fit one fold after the other."""


@suggests_names
class LogisticRegressionCV(Classifier):
    """Logistic regression whose penalty is chosen by cross-validation, as an estimator of scikit-learn.

    For each fold and each strength, a model is fitted to the samples of the other folds; a fit starts from the result
    for the strength before. The models are scored on the samples of the fold. The final fit, to all samples, is at the
    strength whose scores are best on average. The class stands in for scikit-learn's of the same name, and takes its
    keywords.

    Parameters
    ----------
    Cs : int or array_like, default 10
        What scikit-learn calls C, as for `LogisticRegression`; an int is the number of values, from 1e-4 to 1e4. In the
        fit of a fold, too, ``l1 + l2 = 1 / (C * sum of the sample weights it is fitted to)``.
    strengths : int or array_like, optional
        Values of l1 + l2 on the mean error, in place of `Cs`. Their meaning does not depend on the number of samples.
        An int is the number of strengths; as for `gradstep.path`, the largest strength is the least that makes all
        coefficients 0, and the smallest is a thousandth of it.
    l1_ratios : array_like, optional
        Values of l1 / (l1 + l2). Each is tried with each strength; by default there is only the value 0.
    penalty_factors, prior, lower, upper, grouped
        As for `LogisticRegression`, in every fit. If `strengths` is an int and there is an l1
        penalty, `prior` must be 0.
    fit_intercept : bool, default True
        Whether there is an intercept.
    cv : int, cross-validation generator or iterable, optional
        The folds, as everywhere in scikit-learn; by default five that are stratified.
    scoring : str, callable or None, default None
        The score, the larger the better, as everywhere in scikit-learn. None is "accuracy"; "neg_log_loss" is minus the
        mean error itself, and tells more.
    refit : bool, default True
        Whether to fit all samples at the strength that is chosen. Otherwise the coefficients are means over the folds:
        of each fold, the coefficients at the strength whose score is best on this fold.
    one_standard_error : bool, default False
        Whether to choose, with `refit`, the largest strength whose mean score is within one standard error of the best.
    use_legacy_attributes : bool, default True
        Whether `scores_` and `coefs_paths_` are dicts by class, and `C_` and `l1_ratio_` arrays, as scikit-learn has
        them before version 1.10.
    penalty : {"deprecated", "l2", "l1", "elasticnet"}, default "deprecated"
        scikit-learn's older word for `l1_ratios`: "l2" is a ratio of 0, "l1" a ratio of 1, and "elasticnet" takes
        `l1_ratios` as given.
    class_weight, solver, gap_tol, tol, certify, max_iter, max_passes, n_threads
        As for `LogisticRegression`. "balanced" is about all samples.
    n_jobs : int, optional
        Folds to work on at the same time, in threads; -1 for one per processor. Where there are several, a fit takes
        one thread if `n_threads` does not say how many. The result does not depend on it.
    verbose : int, default 0
        As for joblib's Parallel.
    dual, intercept_scaling, random_state
        Taken because scikit-learn takes them; they change nothing.

    Attributes
    ----------
    coef_, intercept_, classes_, n_features_in_, feature_names_in_
        As of `LogisticRegression`.
    C_, l1_ratio_ : float, or ndarrays of shape (1,) or (K,) with ``use_legacy_attributes=True``
        The values that were chosen. Without `refit`, the means of the values that are best on each fold.
    strength_ : float
        The chosen C as a strength: l1 + l2 on the mean error.
    Cs_, strengths_ : ndarrays, shape (n_Cs,)
        All values that were tried, in the order given, as C and as strengths. One of the two was given, and the other
        is computed by ``C = 1 / (strength * sum of all sample weights)``.
    l1_ratios_ : ndarray, shape (n_l1_ratios,)
    scores_ : ndarray, shape (n_folds, n_l1_ratios, n_Cs)
        The score of each fit on the fold that was left out. With ``use_legacy_attributes=True`` a dict that has for
        each class (of two, the second) the same ndarray of shape (n_folds, n_Cs, n_l1_ratios), without the last axis if
        `l1_ratios` is None.
    coefs_paths_ : ndarray, shape (n_folds, n_l1_ratios, n_Cs, K, n + 1)
        The coefficients of these fits, and the intercept if there is one; with K = 1 for two classes. With
        ``use_legacy_attributes=True`` a dict that has for each class an ndarray of shape
        (n_folds, n_Cs, n_l1_ratios, n + 1), or without the third axis.
    n_iter_ : ndarray of int, shape (n_folds, n_l1_ratios, n_Cs)
        Iterations of these fits; with ``use_legacy_attributes=True`` of shape (1, n_folds, n_Cs, n_l1_ratios), or
        without the last axis.
    gap_, converged_, objective_, stop_reason_
        As of `LogisticRegression`, of the fit to all samples; only with `refit`.

    Raises
    ------
    ImportError
        Without scikit-learn 1.6 or newer (extra ``sklearn``).

    Notes
    -----
    Of several values that are equally good, the first is chosen. A class that only samples of one fold have gets
    probability 0 from the fit to the other folds.

    The rule of one standard error is that of Breiman, Friedman, Olshen and Stone, 1984, section 3.4.3.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> X = rng.normal(size=(300, 10))
    >>> y = rng.random(300) < gradstep.sigmoid(X[:, 4] - 2 * X[:, 7])
    >>> model = gradstep.LogisticRegressionCV(
    ...     strengths=20, l1_ratios=[1.0], scoring="neg_log_loss", one_standard_error=True
    ... ).fit(X, y)
    >>> np.flatnonzero(model.coef_), model.converged_
    (array([4, 7]), True)
    """

    __metadata_request__score: ClassVar = {"sample_weight": UNUSED}  # for the scorer alone

    C_: Any
    l1_ratio_: Any
    coefs_paths_: Any
    scores_: Any

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 10,
        strengths: int | ArrayLike | None = None,
        l1_ratios: ArrayLike | None = None,
        penalty_factors: ArrayLike | None = None,
        prior: ArrayLike | None = None,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        grouped: bool = False,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        refit: bool = True,
        one_standard_error: bool = False,
        use_legacy_attributes: bool = True,
        penalty: str = "deprecated",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        solver: str = "auto",
        gap_tol: float = GAP_TOL,
        tol: float | None = None,
        certify: bool = True,
        max_iter: int | None = None,
        max_passes: float = MAX_PASSES,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        dual: bool = False,
        intercept_scaling: float = 1.0,
        random_state: Any = None,
    ) -> None:
        self.Cs = Cs
        self.strengths = strengths
        self.l1_ratios = l1_ratios
        self.penalty_factors = penalty_factors
        self.prior = prior
        self.lower = lower
        self.upper = upper
        self.grouped = grouped
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.one_standard_error = one_standard_error
        self.use_legacy_attributes = use_legacy_attributes
        self.penalty = penalty
        self.class_weight = class_weight
        self.solver = solver
        self.gap_tol = gap_tol
        self.tol = tol
        self.certify = certify
        self.max_iter = max_iter
        self.max_passes = max_passes
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.dual = dual
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, **params: Any) -> LogisticRegressionCV:
        """Choose the penalty, and fit.

        Parameters
        ----------
        X : array_like, sparse or data frame, shape (m, n)
            Finite features. CSR and CSC are never made dense.
        y : array_like, shape (m,)
            Labels of two or more classes: numbers, strings or booleans.
        sample_weight : array_like, shape (m,), optional
            Weights >= 0, of the fits and of the scores. An integer weight means a repeated row.
        offset : array_like, shape (m,), or (m, K) for K > 2 classes, optional
            Finite numbers that are added to the scores of the rows, both in the fits and when models are evaluated.
        **params
            What is routed to the splitter and to the scorer, where scikit-learn's metadata routing is enabled.

        Returns
        -------
        LogisticRegressionCV
            The estimator itself.

        Raises
        ------
        ValueError
            If data or parameters are out of range.

        Warns
        -----
        ConvergenceWarning
            If some optima are not proved, with their number.
        UserWarning
            If a class has no weight, if `penalty` disagrees with `l1_ratios`, or if `solver` is one of scikit-learn's.
        """
        _raise_for_params(params, self, "fit")
        ratios = self._check_parameters()
        samples = self._validated_classes(X, y, sample_weight, offset)
        labels = samples.classes[samples.codes]
        routed = self._routed("fit", sample_weight, params)
        X = X if (frame := frame_of(X)) is None else frame
        folds = [
            (np.arange(len(labels))[train], np.arange(len(labels))[test])
            for train, test in check_cv(self.cv, labels, classifier=True).split(X, labels, **routed.splitter.split)
        ]
        grid = self._grid(samples, ratios)
        score = Score(self.scoring, samples, labels, routed.scorer.score)

        if self._fits_together(samples, folds):
            of_ratios = [self._run_together(samples, folds, ratio, grid, score) for ratio in ratios]
            runs = [run for of_fold in zip(*of_ratios, strict=True) for run in of_fold]
        else:
            runs = Parallel(n_jobs=self.n_jobs, verbose=self.verbose, prefer="threads")(
                delayed(self._run)(samples, train, test, ratio, grid, score)
                for train, test in folds
                for ratio in ratios
            )
        shape = len(folds), len(ratios), len(grid.values)
        coefs, scores, n_iter = (
            np.stack([getattr(run, name) for run in runs]) for name in ("coefficients", "scores", "n_iter")
        )
        coefs, scores, n_iter = coefs.reshape(*shape, *coefs.shape[2:]), scores.reshape(shape), n_iter.reshape(shape)
        fits = [optimum for run in runs for optimum in run.ends]

        for name in ("gap_", "converged_", "objective_", "stop_reason_"):
            self.__dict__.pop(name, None)
        self.classes_ = samples.classes
        self.Cs_, self.strengths_ = grid.both(samples.total)
        self.l1_ratios_ = np.array(ratios)
        if self.refit:
            places = [_best(scores, self.strengths_, bool(self.one_standard_error))]
            fits.append(self._refit(samples, grid, places[0], coefs))
        else:
            places = [_best(one[None], self.strengths_, False) for one in scores]
            mean = np.mean([coefs[(fold, *place)] for fold, place in enumerate(places)], axis=0)
            self._set_coefficients(*self._split_up(mean))
        of_ratios, of_strengths = np.transpose(places)
        self.strength_ = float(self.strengths_[of_strengths].mean())
        C, ratio = self.Cs_[of_strengths].mean(), self.l1_ratios_[of_ratios].mean()
        self._set_results(float(C), float(ratio), coefs, scores, n_iter)
        self._warn(fits)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, **params: Any) -> float:
        """The score on other samples, by `scoring`; `params` are passed on to the scorer."""
        _raise_for_params(params, self, "score")
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            given = process_routing(self, "score", **given, **params).scorer.score
        model: Any = self
        if offset is not None:
            model = WithOffset(offset, n_threads=self.n_threads)
            for name, value in vars(self).items():
                if name.endswith("_"):
                    setattr(model, name, value)
        return float(self._get_scorer()(model, X, y, **given))

    def get_metadata_routing(self) -> Any:
        """The arguments that `fit` and `score` pass on to the splitter and the scorer, for scikit-learn's routing."""
        to_scorer = MethodMapping().add(caller="score", callee="score").add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
            .add(scorer=self._get_scorer(), method_mapping=to_scorer)
        )

    def _get_scorer(self) -> Any:
        return get_scorer(self.scoring or "accuracy")

    def _routed(self, method: str, sample_weight: Any, params: dict[str, Any]) -> Any:
        if _routing_enabled():
            return process_routing(self, method, sample_weight=sample_weight, **params)
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=given))

    def _check_parameters(self) -> list[float]:
        """Raise for parameters that are out of range. Returns the values of l1 / (l1 + l2) to try."""
        self._check_peer_options()
        if self.penalty is None:
            raise ValueError("penalty must be 'l2', 'l1' or 'elasticnet', got None: Cs=[inf] are fits without penalty")
        for name in ("certify", "refit", "one_standard_error", "use_legacy_attributes"):
            flag(name, getattr(self, name))
        ratios = [] if self.l1_ratios is None else _numbers("l1_ratios", self.l1_ratios).tolist()
        for ratio in ratios:
            check_number("l1_ratios", ratio, "between 0 and 1", lambda ratio: 0 <= ratio <= 1)
        if self.penalty in RATIOS:
            if any(ratio != RATIOS[self.penalty] for ratio in ratios):
                warn(f"penalty={self.penalty!r} holds: l1_ratios={self.l1_ratios!r} is not used")
            return [RATIOS[self.penalty]]
        if self.penalty == "elasticnet" and not ratios:
            raise ValueError("l1_ratios must be numbers between 0 and 1 with penalty='elasticnet', got None")
        return ratios or [0.0]

    def _grid(self, samples: Samples, ratios: Sequence[float]) -> _Grid:
        if self.strengths is None:
            if isinstance(self.Cs, (int, np.integer)):
                return _Grid(np.logspace(-4, 4, _count("Cs", self.Cs)), are_strengths=False)
            Cs = _numbers("Cs", self.Cs)
            for C in Cs:
                check_number("Cs", C, "positive", lambda C: C > 0)
            return _Grid(Cs, are_strengths=False)
        if not isinstance(self.strengths, (int, np.integer)):
            strengths = _numbers("strengths", self.strengths)
            for strength in strengths:
                check_number("strengths", strength, "finite and not negative", lambda at: 0 <= at < np.inf)
            return _Grid(strengths, are_strengths=True)
        number = _count("strengths", self.strengths)
        if len(ratios) > 1:
            raise ValueError(
                f"strengths must be an array with several l1_ratios, each of which has a largest one, got {number}"
            )
        columns = samples.X.shape[1]
        options = self._of_columns() | {
            "sample_weight": samples.weight,
            "offset": samples.offset,
            "fit_bias": bool(self.fit_intercept),
            "n_threads": self.n_threads,
        }
        options["penalty_factors"] = optional_real("penalty_factors", self.penalty_factors)
        for name in ("prior", "lower", "upper"):
            options[name] = per_column(columns, name, options[name])
        null = without_columns(samples.X, samples.codes, **options)
        _, most = first_of_path(samples.X, samples.codes, null, ratios[0], **options)
        return _Grid(most * np.geomspace(1, GRID, number), are_strengths=True)

    def _run(self, samples: Samples, train: Array, test: Array, ratio: float, grid: _Grid, score: Score) -> _Run:
        """Fit the samples `train` at every strength, for one fold, and score the optima on the samples `test`."""
        rest = _only(samples, train)
        several = self.n_jobs not in (None, 1)
        n_threads = 1 if several and self.n_threads is None else self.n_threads

        def solve(l1: float, l2: float, start: Any) -> Optimum:
            return self._solve(rest, l1, l2, start, n_threads)

        strengths = (grid.penalty(at, ratio, rest.total) for at in grid.order)
        return self._measured(grid.order, along(strengths, solve, None), score.of_rows(test, n_threads))

    def _fits_together(self, samples: Samples, folds: Sequence[tuple[Array, Array]]) -> bool:
        """Whether the folds are fitted together.

        They are if features are dense and not small, the training samples of every fold have all classes, and neither
        `n_jobs` nor `max_iter` is given.
        """
        if self.n_jobs not in (None, 1) or self.max_iter is not None or issparse(samples.X):
            return False
        every = len(samples.classes)
        return samples.X.nbytes >= LEAST_SHARED and all(
            len(_weighted(samples, train).present) == every for train, _ in folds
        )

    def _run_together(
        self, samples: Samples, folds: Sequence[tuple[Array, Array]], ratio: float, grid: _Grid, score: Score
    ) -> list[_Run]:
        """What `_run` returns, for each fold. All folds are fitted together at one strength, and then at the next."""
        rest = [_weighted(samples, train) for train, _ in folds]
        optima: list[tuple[Optimum, ...]] = []
        for at in grid.order:
            strengths = [grid.penalty(at, ratio, fold.total) for fold in rest]
            start: dict[str, Any] = {"weights": [best.weights for best in optima[-1]]} if optima else {}
            if optima and self.fit_intercept:
                start["bias"] = [best.bias for best in optima[-1]]
            l1, l2 = np.transpose(strengths)
            offset = samples.offset
            if offset is not None and offset.ndim > 1:
                offset = np.broadcast_to(offset[:, None], (len(offset), len(folds), offset.shape[1]))
            found = fit_many(
                samples.X,
                samples.codes,
                l1=l1,
                l2=l2,
                sample_weight=np.stack([np.asarray(fold.weight) for fold in rest], axis=1),
                offset=offset,
                n_threads=self.n_threads,
                **start,
                **self._options(),
            )
            optima.append(found)
        of_folds = zip(*optima, strict=True)
        return [
            self._measured(grid.order, of_fold, score.of_rows(test, self.n_threads))
            for of_fold, (_, test) in zip(of_folds, folds, strict=True)
        ]

    def _measured(self, order: list[int], optima: Iterable[Optimum], measure: Callable[[Array, Any], float]) -> _Run:
        """The results of a fold, in the order of the grid's values. `measure` computes the scores.

        The optima come in another order: `order` has, for each optimum, its position on the grid.
        """
        coefficients: list[Any] = [None] * len(order)
        ends: list[Any] = [None] * len(order)
        scores, n_iter = np.zeros(len(order)), np.zeros(len(order), np.int32)
        for at, optimum in zip(order, optima, strict=True):
            scores[at] = measure(optimum.weights, optimum.bias)
            weights, bias = np.atleast_2d(optimum.weights), np.atleast_1d(optimum.bias)[:, None]
            coefficients[at] = np.concatenate([weights, bias] if self.fit_intercept else [weights], axis=1)
            n_iter[at], ends[at] = optimum.n_iterations, _End.of(optimum)
        return _Run(np.stack(coefficients), scores, n_iter, ends)

    def _refit(self, samples: Samples, grid: _Grid, place: tuple[int, int], coefs: Array) -> _End:
        """Fit all samples at the ratio and strength of `place`, started from the mean of the folds' coefficients."""
        with np.errstate(invalid="ignore"):  # the mean of ∞ and −∞, which intercepts may be, is NaN
            start = self._split_up(coefs[(slice(None), *place)].mean(axis=0))
        l1, l2 = grid.penalty(place[1], float(self.l1_ratios_[place[0]]), samples.total)
        optimum = self._solve(samples, l1, l2, start, self.n_threads)
        self._set_coefficients(optimum.weights, optimum.bias)
        self.gap_, self.converged_, self.objective_ = optimum.gap, optimum.converged, optimum.objective
        self.stop_reason_ = optimum.stop_reason
        return _End.of(optimum)

    def _solve(self, samples: Samples, l1: float, l2: float, start: Any, n_threads: int | None) -> Optimum:
        most = self.max_iter
        return fit_present(
            samples,
            l1,
            l2,
            start=start,
            max_iter=most,
            n_threads=n_threads,
            callback=None if most is None else lambda iteration: iteration.number + 1 >= most,
            **self._options(),
        )

    def _options(self) -> dict[str, Any]:
        """The options that all fits have in common."""
        return self._of_columns() | {
            "fit_bias": bool(self.fit_intercept),
            "solver": self._solver(),
            "gap_tol": self.gap_tol,
            "tol": self.tol,
            "certify": bool(self.certify),
            "max_passes": self.max_passes,
        }

    def _split_up(self, coefficients: Array) -> tuple[Array, Any]:
        """Weights and bias, as `gradstep.fit` takes them, from rows of `coefs_paths_`."""
        classes = len(coefficients)
        weights, bias = coefficients, np.zeros(classes, coefficients.dtype)
        if self.fit_intercept:
            weights, bias = coefficients[:, :-1], coefficients[:, -1]
        return (weights[0], float(bias[0])) if classes == 1 else (weights, bias)

    def _set_results(self, C: float, ratio: float, coefs: Array, scores: Array, n_iter: Array) -> None:
        if not self.use_legacy_attributes:
            self.C_, self.l1_ratio_ = C, ratio
            self.coefs_paths_, self.scores_, self.n_iter_ = coefs, scores, n_iter
            return
        keys = self.classes_[-coefs.shape[3] :]  # the keys of the dicts: of two classes, only the second
        self.C_, self.l1_ratio_ = np.full(len(keys), C), np.full(len(keys), ratio)
        last: Any = 0 if self.l1_ratios is None else slice(None)  # without `l1_ratios`, their axis is dropped
        coefs, scores, n_iter = (np.swapaxes(array, 1, 2)[:, :, last] for array in (coefs, scores, n_iter))
        self.coefs_paths_ = {key: coefs[..., k, :] for k, key in enumerate(keys)}
        self.scores_ = {key: scores.copy() for key in keys}
        self.n_iter_ = n_iter[None]

    def _warn(self, ends: list[_End]) -> None:
        """Warn of optima that are not proved. There is no warning where a fit stopped by `tol`, or where the Hessian
        for a proof was not made: with ``certify=False``, or because that would take too long."""
        lacking = Counter(end.reason for end in ends if not end.proved)
        del lacking[StopReason.TOLERANCE], lacking[StopReason.UNCERTIFIED]
        if lacking:
            reasons = ", ".join(f"{count} by '{_STOPPED.get(reason, reason)}'" for reason, count in lacking.items())
            message = f"of {len(ends)} optima {lacking.total()} are not proved (stopped {reasons})"
            warn(message, ConvergenceWarning)


_STOPPED = {StopReason.CALLBACK: StopReason.ITERATIONS}
"""Other names of stop reasons for the warning. Here a callback only stops a fit after `max_iter` iterations."""


class _End(NamedTuple):
    """How a fit ended."""

    proved: bool
    reason: StopReason

    @classmethod
    def of(cls, optimum: Optimum) -> _End:
        return cls(optimum.converged, optimum.stop_reason)


class _Run(NamedTuple):
    """The results of the fits for one fold and one ratio: a fit for each strength."""

    coefficients: Array
    scores: NDArray[np.float64]
    n_iter: NDArray[np.int32]
    ends: list[_End]


class _Grid(NamedTuple):
    """The values of C, or the strengths, that are tried."""

    values: NDArray[np.float64]
    are_strengths: bool

    @property
    def order(self) -> list[int]:
        """The positions of the values, from the strongest penalty to the weakest."""
        rising: list[int] = np.argsort(self.values, kind="stable").tolist()
        return rising[::-1] if self.are_strengths else rising

    def penalty(self, place: int, ratio: float, total: float) -> tuple[float, float]:
        """l1 and l2 on the mean error for the value at `place`; `total` is the sum of the sample weights."""
        value = float(self.values[place])
        return (ratio * value, (1 - ratio) * value) if self.are_strengths else penalties(value, ratio, total)

    def both(self, total: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All values as C, and as strengths; `total` is the sum of the sample weights."""
        with np.errstate(divide="ignore"):
            other = 1.0 / (self.values * total)
        return (other, self.values) if self.are_strengths else (self.values, other)


def _only(samples: Samples, rows: NDArray[np.intp]) -> Samples:
    """The samples of some rows; each row counts as often as it is in `rows`."""
    return samples.rows(rows) if samples.X.data.nbytes <= MOST_COPIED else _weighted(samples, rows)


def _weighted(samples: Samples, rows: NDArray[np.intp]) -> Samples:
    """The same as `_only`, by weights: all samples, each with its weight times how often its row is in `rows`."""
    times = np.bincount(rows, minlength=len(samples.codes)).astype(np.float64)
    return samples._replace(weight=times if samples.weight is None else times * samples.weight)


def _best(scores: NDArray[np.float64], strengths: NDArray[np.float64], one_standard_error: bool) -> tuple[int, int]:
    """The places of the ratio and of the strength to choose, from scores of shape (folds, ratios, strengths)."""
    mean = scores.mean(axis=0)
    place, ratio = (int(at) for at in np.unravel_index(mean.T.argmax(), mean.T.shape))
    if one_standard_error and len(scores) > 1:
        error = scores[:, ratio, place].std(ddof=1) / np.sqrt(len(scores))
        near = mean[ratio] >= mean[ratio, place] - error
        place = int(np.argmax(np.where(near, strengths, -np.inf)))
    return ratio, place


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    """One or more numbers, in one dimension."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(values, object)
    if array.dtype.kind not in "biuf" or array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must be a list of numbers, got {values!r}")
    return array.astype(np.float64)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not 1 <= value <= MOST_STRENGTHS:
        got = f"a list of numbers or a positive integer of at most {MOST_STRENGTHS}, got {value!r}"
        raise ValueError(f"{name} must be {got}")
    return int(value)
