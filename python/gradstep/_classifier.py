"""What the estimators of scikit-learn have in common: samples, scikit-learn's keywords, and predictions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, wraps
from numbers import Integral
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_X_y
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gradstep._arrays import finite_matrix
from gradstep._fitted import StopReason, codes_of, finite_offsets, shifted
from gradstep._formulas import decision_function, log_sigmoid, sigmoid, softmax
from gradstep._frames import check_different, column_names, frame_of
from gradstep._model import Model
from gradstep._native import __version__
from gradstep._optimum import Iteration, Optimum, Separation, fit
from gradstep._options import flag, kind, number, text
from gradstep._path import GENEROUS, NONE

FORMATS = ("csr", "csc")
DTYPES = (np.float64, np.float32)
DEFAULT_C = 1.0
PENALTIES = ("deprecated", "l2", "l1", "elasticnet", None)
"""The values of scikit-learn's `penalty`. With "deprecated", its default, `l1_ratio` and `C` choose the penalty."""
RATIOS = {"l2": 0.0, "l1": 1.0}
"""The `l1_ratio` that these values of scikit-learn's `penalty` stand for."""
PEERS = ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")
"""scikit-learn's solvers. Each is accepted, and taken for "auto"."""

Array = NDArray[Any]
Callback = Callable[[Iteration], bool | None]
Method = TypeVar("Method", bound=Callable[..., Any])


def all_or_nothing(method: Method) -> Method:
    """Decorates a method: if it raises an Exception, the estimator is left as it was."""

    @wraps(method)
    def attempt(self: BaseEstimator, *args: Any, **kwargs: Any) -> Any:
        last = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except Exception:
            vars(self).clear()
            vars(self).update(last)
            raise

    return cast(Method, attempt)


class Samples(NamedTuple):
    """Validated samples: labels as codes, and sample weights multiplied by the factors of `class_weight`."""

    X: Any
    codes: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    classes: Array
    factors: NDArray[np.float64] | None
    offset: Array | None = None

    @property
    def total(self) -> float:
        with np.errstate(over="ignore"):
            return float(len(self.codes) if self.weight is None else self.weight.sum())

    @property
    def present(self) -> NDArray[np.intp]:
        """The codes of the classes that have weight."""
        return np.flatnonzero(np.bincount(self.codes, self.weight, minlength=len(self.classes)))

    def rows(self, rows: NDArray[np.intp]) -> Samples:
        weight, offset = (None if given is None else given[rows] for given in (self.weight, self.offset))
        return self._replace(X=self.X[rows], codes=self.codes[rows], weight=weight, offset=offset)


class Present(NamedTuple):
    """The classes that have samples of positive weight, among K classes. A fit is over these classes alone.

    "Parameters of a fit" are weights and bias as `gradstep.fit` takes them, for the classes of the fit alone.
    "Parameters of all classes" have the shapes of `coef_` and `intercept_`, but without the first axis if there are two
    classes. There, a class that has no samples of positive weight gets the coefficients 0 and the bias −∞. This is the
    limit of its bias, which is not penalised; the probability of the class is 0.
    """

    codes: NDArray[np.intp]
    classes: int
    """K."""

    @property
    def two_of_many(self) -> bool:
        """Whether two of K > 2 classes are fitted, by one sigmoid.

        If the sigmoid has the weights w, the two classes have the weights W = (-w/2, w/2). So ‖W‖² is ‖w‖²/2, and the
        norm of the two weights of a column is |w|/√2.
        """
        return len(self.codes) == 2 < self.classes

    def offsets(self, given: Array | None) -> Array | None:
        """Offsets for a fit, made from the offsets of all classes."""
        if given is None or given.ndim < 2 or len(self.codes) == self.classes:
            return given
        return given[:, self.codes[1]] - given[:, self.codes[0]] if self.two_of_many else given[:, self.codes]

    def labels(self, codes: NDArray[np.intp]) -> NDArray[np.intp]:
        """For each row, the position of its class among the classes of the fit. Rows of other classes, which all have
        weight 0, get an arbitrary position."""
        if len(self.codes) == self.classes:
            return codes
        return np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)

    def narrowed(self, weights: Array, bias: Any) -> tuple[Array, Any]:
        """Parameters of a fit, made from parameters of all classes."""
        if len(self.codes) == self.classes:
            return weights, bias
        weights, bias = weights[self.codes], bias[self.codes]
        return (weights[1] - weights[0], bias[1] - bias[0]) if self.two_of_many else (weights, bias)

    def widened(self, weights: Array, bias: Any, absent: float = -np.inf) -> tuple[Array, Any]:
        """Parameters of all classes, made from parameters of a fit; `absent` is the bias of a class outside the fit."""
        if len(self.codes) == self.classes:
            return weights, bias
        if self.two_of_many:
            weights, bias = np.stack([-weights / 2, weights / 2]), np.array([-bias / 2, bias / 2])
        wide, biases = np.zeros((self.classes, weights.shape[1]), weights.dtype), np.full(self.classes, absent)
        wide[self.codes], biases[self.codes] = weights, bias
        return wide, biases.astype(weights.dtype)

    def certain(self, columns: int, dtype: Any) -> Optimum:
        """An `Optimum` made without a fit, where only one class has weight: that class has probability 1 everywhere."""
        if self.classes == 2:
            weights, bias = np.zeros(columns, dtype), np.inf if self.codes[0] else -np.inf
        else:
            weights, bias = self.widened(np.zeros((1, columns), dtype), np.zeros(1))
        no_history = np.zeros(0, [(name, float) for name in HISTORY])
        return Optimum(
            weights, bias, 0.0, 0.0, 0.0, 0.0, True, StopReason.TOLERANCE, 0.0, 0, "none", no_history, None, ()
        )  # fmt: skip


HISTORY = ("objective", "gradient_norm", "step", "seconds", "passes", "rows")


def fit_present(
    samples: Samples,
    l1: float,
    l2: float,
    *,
    start: tuple[Array, Any] | None = None,
    max_iter: int | None = None,
    callback: Callback | None = None,
    **options: Any,
) -> Optimum:
    """The optimum over the classes that have samples of positive weight.

    The parameters in `start` and in the result are those of all classes, as in `Present`. With ``max_iter=0`` no
    iteration is made: the result has the parameters of `start`, by default zeros. A larger `max_iter` is ignored here:
    `callback` must count the iterations.
    """
    classes = len(samples.classes)
    if max_iter == 0:
        start = start or zeros(classes, samples.X)
        options |= {"tol": GENEROUS, "max_passes": NONE}
    # Firth's penalised likelihood has a maximum even if one of two classes has no weight, so both classes are fitted.
    present = Present(np.arange(2) if classes == 2 and options.get("firth") else samples.present, classes)
    if len(present.codes) < classes:
        for name in ("prior", "lower", "upper"):
            if options.get(name) is not None:
                raise ValueError(f"{name} must be None where a class has no weight, got one for {classes} classes")
    if len(present.codes) == 1:
        return present.certain(samples.X.shape[1], samples.X.dtype)
    if len(present.codes) == present.classes:
        watch = callback
    else:

        def watch(iteration: Iteration) -> bool | None:
            weights, bias = present.widened(iteration.weights, iteration.bias)
            return callback(iteration._replace(weights=weights, bias=bias)) if callback else None

    if start is not None:
        weights, bias = present.narrowed(*start)
        if np.isfinite(bias).all():  # the bias of a class that had no weight before is infinite: no start
            options |= {"weights": weights, "bias": bias} if options.get("fit_bias", True) else {"weights": weights}
    if present.two_of_many:
        l1, l2 = l1 / np.sqrt(2) if options.get("grouped") else l1, l2 / 2
    best = fit(
        samples.X,
        present.labels(samples.codes),
        l1=l1,
        l2=l2,
        sample_weight=samples.weight,
        offset=present.offsets(samples.offset),
        callback=watch,
        **options,
    )
    weights, bias = present.widened(best.weights, best.bias)
    separation, reason = best.separation, best.stop_reason
    if separation is not None:
        separation = Separation(*present.widened(separation.weights, separation.bias, absent=0.0))
    elif max_iter == 0:
        reason = StopReason.ITERATIONS
    return replace(best, weights=weights, bias=bias, separation=separation, stop_reason=reason)


class Classifier(ClassifierMixin, BaseEstimator):
    """Base class of the estimators, with the classes, the coefficients, and predictions from them."""

    coef_: Any
    intercept_: Array
    classes_: Array
    grouped: bool

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """The scores, z = X·W + b + offset.

        Parameters
        ----------
        X : array_like, sparse or data frame, shape (m, n)
        offset : array_like, shape (m,), or (m, K) for K > 2 classes, optional
            Finite numbers that are added to the scores.

        Returns
        -------
        ndarray, shape (m,), or (m, K) for K > 2 classes
        """
        check_is_fitted(self, "coef_")
        z = decision_function(self._validated_features(X), *self._parameters(), n_threads=self.n_threads)
        return z if offset is None else shifted(z, offset)

    def predict(self, X: Any, offset: Any = None) -> Array:
        """The most probable class of each row, shape (m,); if several are equally probable, the first."""
        z = self.decision_function(X, offset)
        return np.asarray(self.classes_[codes_of(z, by_class=z.ndim == 2)])

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """The accuracy: the share of the rows whose label `predict` finds."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X, offset), sample_weight=sample_weight))

    def predict_proba(self, X: Any, offset: Any = None) -> Array:
        """The probability of each class, shape (m, K), in the order of `classes_`."""
        z = self.decision_function(X, offset)
        return np.asarray(softmax(z) if z.ndim == 2 else np.column_stack([sigmoid(-z), sigmoid(z)]))

    def predict_log_proba(self, X: Any, offset: Any = None) -> Array:
        """The logarithms of the probabilities, shape (m, K), finite wherever the scores are."""
        z = self.decision_function(X, offset)
        return np.asarray(log_softmax(z, axis=1) if z.ndim == 2 else np.column_stack([log_sigmoid(-z), log_sigmoid(z)]))

    def sparsify(self) -> Any:
        """Make `coef_` a CSR array, which takes less room where many coefficients are 0. Returns the estimator."""
        check_is_fitted(self, "coef_")
        self.coef_ = sparse.csr_array(self.coef_)
        return self

    def densify(self) -> Any:
        """Make `coef_` an ndarray again. Returns the estimator."""
        check_is_fitted(self, "coef_")
        self.coef_ = self._dense_coefficients()
        return self

    def to_onnx(self) -> Any:
        """The fitted estimator as a model of ONNX, which programs without Python can run (extra ``onnx``).

        Returns
        -------
        onnx.ModelProto
            Its input "X" has rows in the dtype of `coef_`. Its outputs are "label", what `predict` returns, and
            "probabilities", what `predict_proba` returns. ``onnx.save`` writes the model.

        Raises
        ------
        ImportError
            Without onnx 1.16 or newer.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> model = gradstep.LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"])
        >>> [output.name for output in model.to_onnx().graph.output]
        ['label', 'probabilities']
        """
        from gradstep import _onnx

        check_is_fitted(self, "coef_")
        return _onnx.model(self._dense_coefficients(), self.intercept_, self.classes_)

    def to_model(self, features: Sequence[str] | None = None, target: str = "target") -> Model:
        """The model that `gradstep train` would write: it predicts without scikit-learn, and is saved as JSON.

        Parameters
        ----------
        features : sequence of str, optional
            Names of the columns; by default those of the frame that was fitted, or column_1, column_2, …
        target : str, default "target"
            The name of what is predicted.

        Returns
        -------
        Model
            It computes in float64.

        Raises
        ------
        ValueError
            If there is not one name for each column.

        Examples
        --------
        >>> estimator = gradstep.LogisticRegression(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
        >>> estimator.to_model(features=["hours"]).predict({"hours": [0.5, 2.5]})
        array([0, 1])
        """
        check_is_fitted(self, "coef_")
        columns = self.coef_.shape[1]
        if features is None and hasattr(self, "feature_names_in_"):
            features = [str(name) for name in self.feature_names_in_]
        elif features is None:
            features = [f"column_{j}" for j in range(1, columns + 1)]
        if len(features) != columns or len(set(features)) < columns:
            raise ValueError(f"features must hold {columns} different names, got {list(features)}")
        weights, bias = self._parameters()
        facts = {name: getattr(self, f"{name}_", None) for name in ("objective", "gradient_norm", "converged")}
        if hasattr(self, "history_"):
            facts |= {
                "gap": self.gap_ if np.isfinite(self.gap_) else None,
                "n_iterations": int(np.max(self.n_iter_)),
                "stop_reason": str(self.stop_reason_),
                "aliased": [features[alias.column] for alias in self.aliased_],
            }
        return Model(
            features=list(features),
            target=target,
            classes=self.classes_.tolist(),
            weights=weights.tolist(),
            bias=np.asarray(bias).tolist(),
            standardize=None,
            options={
                name: value
                for name, value in self.get_params().items()
                if value is None or isinstance(value, bool | int | float | str)
            },
            result={name: value for name, value in facts.items() if value is not None or name == "gap"},
            gradstep=__version__,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _dense_coefficients(self) -> Array:
        return np.asarray(self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_)

    def _parameters(self) -> tuple[Array, Any]:
        """Weights and bias as the native functions take them: without the first axis for two classes."""
        weights = self._dense_coefficients()
        if len(self.classes_) == 2:
            return weights[0], float(self.intercept_[0])
        return weights, self.intercept_

    def _set_coefficients(self, weights: Array, bias: Any) -> None:
        self.coef_ = np.atleast_2d(weights)
        self.intercept_ = np.atleast_1d(np.asarray(bias, self.coef_.dtype))

    def _validated_features(self, X: Any) -> Any:
        if (frame := frame_of(X)) is None:
            return validate_data(self, X, reset=False, accept_sparse=FORMATS, dtype=DTYPES)
        check_different("X", column_names(frame) or ())
        validate_data(self, frame, reset=False, skip_check_array=True)
        return check_array(finite_matrix(frame), accept_sparse=FORMATS, dtype=DTYPES, estimator=self, input_name="X")

    def _validated(
        self, X: Any, y: Any, sample_weight: Any, offset: Any, reset: bool, classes: Array | None = None
    ) -> Samples:
        if (frame := frame_of(X)) is None:
            X, y = validate_data(self, X, y, reset=reset, accept_sparse=FORMATS, dtype=DTYPES)
        else:
            check_different("X", column_names(frame) or ())
            validate_data(self, frame, y, reset=reset, skip_check_array=True)
            X, y = check_X_y(finite_matrix(frame), y, accept_sparse=FORMATS, dtype=DTYPES, estimator=self)
        try:
            check_classification_targets(y)
            labels, codes = np.unique(y, return_inverse=True)
        except TypeError:  # labels that cannot be sorted
            kinds = sorted({kind(label) for label in y.tolist()})
            raise ValueError(f"y must hold labels of one kind, got {' and '.join(kinds)}") from None
        classes, codes = (labels, codes) if classes is None else (classes, codes_in("y", y, classes))
        scores = (len(codes), len(classes)) if len(classes) > 2 else (len(codes),)
        shift = None if offset is None else finite_offsets(offset, scores)
        if sample_weight is None and self.class_weight is None:
            return Samples(X, codes, None, classes, None, shift)
        return self._weighted(X, codes, classes, _check_sample_weight(sample_weight, X, dtype=np.float64), shift)

    def _weighted(self, X: Any, codes: Array, classes: Array, weight: Array, offset: Array | None) -> Samples:
        """The samples, with these sample weights multiplied by the factors of `class_weight`."""
        wrong = ~((weight >= 0) & (weight < np.inf))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"sample_weight must be finite and not negative, got {weight[row]:g} at row {row}")
        factors = self._factors(classes, codes, weight)
        return Samples(X, codes, weight * factors[codes], classes, factors, offset)

    def _factors(self, classes: Array, codes: Array, weight: Array) -> Array:
        """The factors that `class_weight` means, one for each class: sample weights are multiplied by them."""
        if self.class_weight == "balanced":
            totals = len(classes) * np.bincount(codes, weight)
            return np.asarray(np.divide(weight.sum(), totals, out=np.zeros(len(classes)), where=totals > 0))
        factors = compute_class_weight(self.class_weight, classes=classes, y=classes[codes])
        for name, factor in zip(classes.tolist(), factors.tolist(), strict=True):
            if not 0 <= factor < np.inf:
                raise ValueError(f"class_weight must be finite and not negative, got {factor} for {name!r}")
        return np.asarray(factors)

    def _validated_classes(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> Samples:
        """The samples, checked. There must be two classes or more; a warning names the classes that have no weight."""
        samples = self._validated(X, y, sample_weight, offset, reset=True)
        if len(samples.classes) < 2:
            raise ValueError(f"y must hold two or more classes, got one class: {samples.classes.tolist()}")
        present = samples.present
        if not len(present):
            name = "sample_weight" if self.class_weight is None else "class_weight"
            raise ValueError(f"{name} must be positive for some sample, got only zeros")
        is_finite = len(samples.classes) == 2 and getattr(self, "firth", False)
        if len(present) < len(samples.classes) and not is_finite:
            absent = np.delete(samples.classes, present).tolist()
            plural = len(absent) > 1
            names = ", ".join(map(repr, absent))
            warn(
                f"class{'es' * plural} {names} {'have' if plural else 'has'} no sample of positive weight: "
                f"{'their' if plural else 'its'} probability is 0"
            )
        return samples

    def _check_peer_options(self) -> None:
        """Check the keywords that all estimators have. Warn, once in each process, if `solver` is scikit-learn's."""
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty must be 'l2', 'l1', 'elasticnet' or None, got {text(self.penalty)!r}")
        for name in ("fit_intercept", "grouped", "dual"):
            flag(name, getattr(self, name))
        check_number("intercept_scaling", self.intercept_scaling, "finite and positive", lambda at: 0 < at < np.inf)
        for name, least in (("max_iter", 0), ("n_jobs", None)):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Integral) or (least is not None and value < least):
                expected = "an integer" if least is None else "an integer that is not negative"
                raise ValueError(f"{name} must be None or {expected}, got {value!r}")
        check_number("max_passes", self.max_passes, "positive", lambda passes: passes > 0)
        if self.solver in PEERS[1:]:
            _note_peer(self.solver)

    def _of_columns(self) -> dict[str, Any]:
        """The options of `gradstep.fit` about columns."""
        options = {name: getattr(self, name) for name in ("penalty_factors", "prior", "lower", "upper")}
        return {**options, "grouped": bool(self.grouped)}

    def _solver(self) -> str:
        """The solver as `gradstep.fit` knows it."""
        return "auto" if self.solver in PEERS else self.solver


@cache
def _note_peer(solver: str) -> None:
    """Warn, once in each process, that a solver of scikit-learn is taken for "auto"."""
    bias = "; the intercept is not penalised" if solver == "liblinear" else ""
    warn(f"solver={solver!r} is taken for solver='auto', which finds the same optimum{bias}")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn. The warning names the user's line that called an estimator, directly or through scikit-learn."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("gradstep", "sklearn", "joblib"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def zeros(classes: int, X: Any) -> tuple[Array, Any]:
    """Weights and bias of 0, in the shapes that `Classifier._parameters` returns."""
    if classes == 2:
        return np.zeros(X.shape[1], X.dtype), 0.0
    return np.zeros((classes, X.shape[1]), X.dtype), np.zeros(classes, X.dtype)


def codes_in(argument: str, y: Array, classes: Array) -> NDArray[np.intp]:
    """The position of each label in `classes`."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(f"{argument} must be of the classes {classes.tolist()}, got also {unknown.tolist()}")
    return np.searchsorted(classes, y)


def penalties(C: float, l1_ratio: float, total: float) -> tuple[float, float]:
    """The strengths of l1 and l2 on the mean error for scikit-learn's `C`; `total` is the sum of the sample weights."""
    strength = 1.0 / C / total
    if strength == np.inf:
        raise ValueError(
            "C must be large enough for its penalty, 1 / (C * sum of the sample weights), to be finite, "
            f"got C={C} and a sum of {total}; l2 is a penalty that does not depend on it"
        )
    return l1_ratio * strength, (1.0 - l1_ratio) * strength


def check_number(name: str, value: object, expected: str, holds: Callable[[float], bool]) -> None:
    if not holds(number(name, value)):
        raise ValueError(f"{name} must be {expected}, got {value}")
