"""The optimum of the penalised loss: `fit`, and what it finds and proves."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _native
from gradstep._arrays import Array, Features, Parts, explained, features, optional_real, parameters, real
from gradstep._distant import Distant
from gradstep._docs import documented_fields, suggests_names
from gradstep._fitted import Fitted, StopReason
from gradstep._frames import feature_names
from gradstep._options import flag, number, observer, optional_count, optional_number, text, word
from gradstep._reading import Reader
from gradstep._sources import Source, is_source, native_rows, opened

GAP_TOL = 1e-8
MAX_PASSES = 1000.0
"""Defaults of `fit`, and of the estimator."""
FitOptions: TypeAlias = tuple[
    tuple[float, float, bool], list[Array | None], bool, bool, str, float, float | None, bool, float, int | None
]
"""The options of a fit as native code takes them: (l1, l2, grouped), the arrays with a number for each column, and the
others in the order of `fit`."""


@documented_fields
class Iteration(NamedTuple):
    """The state of a fit after an iteration: what its callback is given.

    Attributes
    ----------
    number : int
        Number of the iteration, from 0.
    objective : float
        Mean cross-entropy plus penalty, over `rows` rows.
    gradient_norm : float
        Largest component of the objective's gradient, in magnitude.
    step : float
        Length of the step, as a multiple of the length that the solver proposed.
    seconds : float
        Time since the fit began.
    passes : float
        Data read since the fit began, in passes over all rows.
    rows : int
        Rows that the objective was computed from: all of them, or a sample.
    weights : ndarray, shape (n,)
        The weights after the iteration; shape (K, n) for K >= 3 classes.
    bias : float
        The bias after the iteration; for K >= 3 classes an ndarray of shape (K,).

    Examples
    --------
    >>> seen = []
    >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], callback=seen.append)
    >>> seen[-1].number + 1 == len(seen) == best.n_iterations
    True
    """

    number: int
    objective: float
    gradient_norm: float
    step: float
    seconds: float
    passes: float
    rows: int
    weights: Array
    bias: Any


@documented_fields
class Separation(NamedTuple):
    """A direction that separates the labels: along it no prediction gets worse, and some get better without end.

    With ``z = X @ weights + bias``, z >= 0 for every row labelled 1, z <= 0 for every row labelled 0, up to rounding,
    and z is not 0 for all rows. The columns that separate are those where `weights` is not 0. Of K >= 3 classes, with
    ``z = X @ weights.T + bias``, in every row no class has a larger z than the class of the label, up to rounding;
    and in some rows a class has a smaller one.

    Attributes
    ----------
    weights : ndarray of float64, shape (n,)
        The direction's weights; shape (K, n) for K >= 3 classes. The largest component of the whole direction is 1 or
        -1.
    bias : float
        The direction's bias; for K >= 3 classes an ndarray of shape (K,).

    Examples
    --------
    >>> gradstep.fit([[1.0, 0], [2.0, 0], [1.0, 0], [2.0, 0], [1.0, 1]], [0, 1, 1, 0, 1]).separation
    Separation(weights=array([0., 1.]), bias=0.0)
    """

    weights: NDArray[np.float64]
    bias: Any


@documented_fields
class Alias(NamedTuple):
    """A column that is a combination of the columns before it, and is left out: its weight is 0.

    In all rows of positive weight, ``X[:, column] == X[:, columns] @ coefficients + constant``, up to 32 units in the
    last place of the column's size. Such a column tells a model nothing new. R's glm gives it the coefficient NA.

    Attributes
    ----------
    column : int
        The column.
    columns : tuple of int
        The columns that it is a combination of; empty if it is constant.
    coefficients : tuple of float
        Their coefficients.
    constant : float
        The number that is added to the combination; 0 without a bias.

    Examples
    --------
    >>> gradstep.fit([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0], [3.0, 7.0]], [0, 1, 0, 1]).aliased
    (Alias(column=1, columns=(0,), coefficients=(2.0,), constant=1.0),)
    """

    column: int
    columns: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Optimum(Fitted):
    """The optimum that `fit` arrived at, and what is proved of it.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        The weights, float32 for float32 `X`, else float64; shape (K, n) for K >= 3 classes, over which they sum to 0
        unless there is l1.
    bias : float
        The bias; for K >= 3 classes an ndarray of shape (K,), which sums to zero.
    loss : float
        Mean cross-entropy.
    objective : float
        The loss plus the penalty. With ``firth=True`` the penalty is -ln det(I) / 2 per row, which may be negative.
    gradient_norm : float
        Largest component, in magnitude, of the objective's gradient by weights and bias.
    gap : float
        Proved upper bound on how far the objective is above its minimum, whatever `stop_reason` is, with rounding
        counted. inf where nothing is proved, and with ``firth=True``. The minimum is that of the model without the
        columns in `aliased`.
    converged : bool
        Whether the optimum is proved: the gap is at most `gap_tol` of the objective. Never for separated labels. With
        ``firth=True``, whether the weights are near a local optimum: see the notes of `fit`.
    stop_reason : StopReason
        "tolerance", "uncertified", "precision", "passes", "callback" or "separated".
    passes : float
        Data read, in passes over all rows. A read of a sample counts as its share of the rows. Reads for the
        preconditioner and the proof are included.
    n_iterations : int
        Number of iterations.
    solver : str
        "lbfgs", "gd" or "proximal"; "firth" with ``firth=True``.
    history : structured ndarray, shape (n_iterations,)
        ``objective, gradient_norm, step, seconds, passes, rows`` after each iteration. Objective and gradient are over
        `rows` rows: fewer than all of them in the first iterations of a large fit.
    separation : Separation or None
        With ``stop_reason="separated"`` a direction that separates the labels, by few columns.
    aliased : tuple of Alias
        In a fit without penalty, the columns that are constant or combinations of columns before them: these are left
        out, with weight 0. Not looked for with ``certify=False``, nor among more than 4096 weights and biases.
    feature_names : tuple of str or None
        The columns of the frame that was fitted; None if `X` was no frame. Predictions refuse a frame with others.

    Notes
    -----
    `decision_function`, `predict_proba` and `predict` apply the weights to other rows. Optima are equal if all their
    parts are, but for the seconds of their histories; they can be copied and pickled.

    Examples
    --------
    >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
    >>> best.converged, str(best.stop_reason), 0 <= best.gap <= 1e-8 * best.objective
    (True, 'tolerance', True)
    >>> best.predict_proba([[0.5], [2.5]]).round(3)
    array([0.346, 0.654])
    >>> best.predict([[0.5], [2.5]])
    array([0, 1])
    """

    weights: Array
    bias: Any
    loss: float
    objective: float
    gradient_norm: float
    gap: float
    converged: bool
    stop_reason: StopReason
    passes: float
    n_iterations: int
    solver: str
    history: NDArray[np.void]
    separation: Separation | None
    aliased: tuple[Alias, ...]
    feature_names: tuple[str, ...] | None = None

    def _headline(self) -> str:
        from gradstep import _words

        return _words.state(self.converged, self.gap, self.stop_reason)

    def _facts(self) -> dict[str, str]:
        facts = {
            "objective": f"{self.objective:.6g}, of which loss {self.loss:.6g}",
            "gradient": f"{self.gradient_norm:.1e} in its largest component",
            **Fitted._facts(self),
            "stopped by": f"'{self.stop_reason}' after {self.n_iterations} iterations, {self.passes:.1f} passes",
        }
        if self.separation is not None:
            along = self._columns(np.flatnonzero(np.atleast_2d(self.separation.weights).any(axis=0)).tolist())
            remedy = "l2 > 0" if self.weights.ndim == 2 else "l2 > 0 or firth=True"
            if not np.any(self.separation.weights):
                along, remedy = "all labels are equal", "firth=True"
            facts["separated"] = f"{along}; with {remedy} there is an optimum"
        if self.aliased:
            facts["left out"] = self._columns([alias.column for alias in self.aliased])
        return facts

    def _columns(self, columns: list[int]) -> str:
        names = self.feature_names
        shown = ", ".join(str(column) if names is None else repr(names[column]) for column in columns[:8])
        more = f", … ({len(columns)} in all)" if len(columns) > 8 else ""
        return f"column{'s' * (len(columns) != 1)} {shown}{more}"


@suggests_names
def fit(
    X: Features,
    y: ArrayLike,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    grouped: bool = False,
    penalty_factors: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    firth: bool = False,
    fit_bias: bool = True,
    solver: Literal["auto", "lbfgs", "gd", "proximal"] = "auto",
    gap_tol: float = GAP_TOL,
    tol: float | None = None,
    certify: bool = True,
    max_passes: float = MAX_PASSES,
    weights: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    n_threads: int | None = None,
    callback: Callable[[Iteration], bool | None] | None = None,
    cache: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Optimum:
    """The weights and bias that minimise E + l1 ||w||₁ + (l2/2) ||w||², and a proof of how close they are.

    E = Σ s_i E_i / Σ s_i is the mean cross-entropy; the bias is never penalised. Columns may be of any scale, and far
    from zero. For labels in [0, 1], E is `loss` with weights of shape (n,); for the codes of K >= 3 classes with
    weights of shape (K, n): softmax.

    In full, with factors p, a prior μ, bounds, and offsets o of the scores ``X @ w + b + o``, the penalty is Σ_j p_j
    (l1 |w_j| + (l2/2) (w_j - μ_j)²), for weights with lower_j <= w_j <= upper_j. Of K classes it is the sum of the
    penalties on the weights of each.

    Parameters
    ----------
    X : features, shape (m, n)
        Finite; see `gradstep` for what they may be. Weights are float32 for float32, else float64. Rows that do not fit
        into memory are read in batches: `X` may be the path of a Parquet file, a pattern or a list of paths, a dataset
        of pyarrow, a lazy frame of polars, the paths of ``.npy`` files or a list of memory maps, or a function that
        returns a new iterator of batches ``(X, y)`` or ``(X, y, sample_weight)`` each time it is called. A frame, or a
        function that returns an Arrow stream, is read in batches, too, if `y` is the name of a column.
    y : array_like, shape (m,)
        Labels in [0, 1], or class codes 0, 1, …, K - 1 with K >= 3, each of them with a row of positive weight. If `X`
        is a table that is read in batches, `y`, `sample_weight` and `offset` are names of its columns, and all other
        columns are features. If `X` is a function that returns batches, `y` is None.
    l1 : float, default 0.0
        Strength >= 0 of the penalty l1 Σ |w_j| on the mean error: the larger, the more weights are exactly 0. A
        column should be centred if its distance from zero is more than some 1e5 times its spread.
    l2 : float, default 0.0
        Strength λ >= 0 of the penalty (λ/2) ||w||² on the mean error.
    grouped : bool, default False
        Whether `l1` penalises the weights that all of K classes give to a column together, l1 Σ_j ||(w_1j, …, w_Kj)||₂,
        so that a column has weights for all classes or for none (Yuan and Lin, 2006). Without bounds.
    penalty_factors : array_like, shape (n,), optional
        Factors >= 0 of `l1` and `l2`, one for each column; a column with factor 0 is not penalised. By default 1. With
        a factor of 0, nothing is proved for K classes with `l1` or bounds.
    prior : float or array_like of shape (n,) or (K, n), optional
        Weights that `l2` draws towards, instead of 0: those of an earlier fit, say. For K classes, a row for each, or
        one row for all classes.
    lower, upper : float or array_like of shape (n,) or (K, n), optional
        Bounds of the weights, perhaps infinite: ``lower=0`` for weights that are not negative. For K classes, a row for
        each class, or one row for all classes. With bounds and K classes, nothing is proved if there is a column
        without `l1` and `l2`. With float32 features, weights are float32 numbers, and bounds that are none are moved
        inwards to the next one: optimum and proof are those for these bounds.
    sample_weight : array_like, shape (m,), optional
        As in `gradstep`.
    offset : array_like, shape (m,), or (m, K) for K classes, optional
        Finite numbers that are added to the scores of the rows: the part of the scores that is known. With float32
        features they are rounded to float32. For a table, `offset` is the name of a column, or for K classes a list of
        K names.
    firth : bool, default False
        Whether to maximise Firth's penalised likelihood, which has a maximum also where a hyperplane separates the
        labels: the likelihood times the root of det(I), with the Fisher information I of weights and bias. Without l1,
        l2, prior and bounds, and only for labels in [0, 1].
    fit_bias : bool, default True
        Whether there is a bias; it is 0 if not.
    solver : {"auto", "lbfgs", "gd", "proximal"}, default "auto"
        "auto" is "lbfgs": preconditioned L-BFGS. Of many rows, it first uses samples. Where there is l2, and the rows
        are few and fewer than the columns, it starts after Newton's method with one unknown for each row, all of which
        counts as one iteration. "gd" is gradient descent with the best step and momentum of each iteration. With l1 or
        bounds, "auto" is "proximal": a proximal quasi-Newton method by coordinate descent. Of many columns, it descends
        over those that are likely to get a weight. With `firth`, `solver` must be "auto", and is Newton's method.
    gap_tol : float, default 1e-8
        The fit has converged once the objective is proved to be above its minimum by at most `gap_tol` times the
        objective.
    tol : float, optional
        Stop as soon as no component of the objective's gradient is larger than `tol`, proved or not. By default the fit
        goes on until the optimum is proved, or no step improves on the weights.
    certify : bool, default True
        Whether a Hessian of all rows may be made for the proof, which takes m times n² operations. If it may not be
        made and there is no penalty, nothing is proved; and where the gradient becomes small, only separations along a
        single column are looked for.
    max_passes : float, default 1000
        Stop after this many passes over all rows. The iteration under way is finished, and a few more passes go into
        the proof, or into the search for a separation.
    weights : array_like, shape (n,) or (K, n), optional
        Finite weights to start from, which should be near the optimum: no samples of the rows are used then. Where
        zero has the smaller objective, the fit starts from zero, unless `max_passes` is spent by then.
    bias : float or array_like of shape (K,), optional
        Finite bias to start from, together with weights; by default the best one for weights of zero.
    n_threads : int, optional
        As in `gradstep`.
    callback : callable, optional
        Called after every iteration with an `Iteration`. The fit stops when it returns True. An exception that it
        raises ends the fit.
    cache : str or path, optional
        A folder, for an `X` that is read in batches. The first read writes all features to a file there, as large as
        the features would be in memory, and later reads read this file. It is removed when the fit ends.
    checkpoint : str or path, optional
        A file, for an `X` that is read in batches. All that the fit learns of its rows is added to the file. If the fit
        was ended early, the same call with this file goes on from there, and finds the same bits; no row is read again
        for what is in the file. The file is removed when the fit returns, and stays if the fit raises or the program is
        killed.

    Returns
    -------
    Optimum
        Weights and bias, the objective, how close it is proved to be to its minimum, and how it was found. `gap` is a
        proved upper bound on how far the objective is above its minimum, and `converged` says whether it is within
        `gap_tol`. With `firth`, both say less: see the notes.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers, or `callback` cannot be called.
    ValueError
        If shapes do not fit, `X` is empty, or values are not finite or out of range. With `firth`, also for other
        penalties, for class codes of three classes or more, and for offsets with which all predictions are certain.

    Notes
    -----
    With l1 or bounds, `gradient_norm` is that of the smallest subgradient. With l1, there is an optimum unless the
    labels are all equal, or separated by columns that are not penalised. With a penalty, `gap` is a duality gap or, if
    that is too large, a bound from the Hessian. Without a penalty it is always a bound from the Hessian: over a step
    that changes no score by more than t, the curvature of E changes by a factor of e^t at most (Bach, 2010,
    doi:10.1214/09-EJS521). Both bounds include the rounding of their computation, and are about the exact objective at
    the returned weights.

    The fit ends with ``stop_reason="uncertified"`` where the gradient is small and nothing speaks against the optimum,
    but no Hessian was made: with ``certify=False``, for more than 4096 weights and biases, or where `max_passes` are
    used up and a Hessian of K classes, which takes K(K + 1)/2 passes, would alone take more than `max_passes`. It ends
    with "precision" where no step improves on the weights, as far as can be seen with rounding errors; with `tol`,
    `converged` may be True then.

    Without penalty there may be no optimum: where a hyperplane separates the labels, or some of them from the rest, the
    fit ends with ``stop_reason="separated"``, and `separation` is a direction that separates them, by few columns.
    A separation is proved before it is reported. With up to 1024 weights and biases every separation is found, unless
    the search takes more than 64 passes and also more than twice the passes of the fit. With more weights and biases,
    or with ``certify=False``, every separation along a single column is found. With a bias and labels that are all
    equal there is no optimum under any penalty.

    With `firth`, weights are finite for all labels, and their bias as estimates is of a smaller order in the number of
    rows than otherwise (Firth, 1993, doi:10.1093/biomet/80.1.27; Heinze and Schemper, 2002, doi:10.1002/sim.1047). A
    sample weight is a frequency. The objective is E - ln det(I) / (2 Σ s_i). It may have several local minima. Nothing
    is proved of minima far from the returned weights: `gap` is inf. `converged` says two things about the returned
    weights: the objective is convex there, by its second derivatives; and Newton's decrement, by which a quadratic
    model of the objective falls in a Newton step, is at most `gap_tol` times E. For more than 63 columns, or with
    ``certify=False``, a bound takes the place of the second derivatives; where it does not show convexity, the fit ends
    with "uncertified".

    Without penalty there may be many optima: a column that is constant, or a combination of columns before it, up to 32
    units in the last place of its size, says nothing new. It is left out: its weight is 0, `aliased` says what it is,
    and `gap` and `converged` are about the model without it.

    With K classes, a constant added to all weights of a column, or to all biases, changes no probability. The returned
    weights and biases are those that sum to zero over the classes, with l2 and without penalty. With l1 the weights are
    those of the least penalty.

    With float32 features the weights are found in float64 and rounded once; `loss`, `objective`, `gradient_norm` and
    `gap` are those of the rounded weights, in float64.

    The optimum is that of Berkson, 1944, and Theil, 1969; the solvers are those of Nocedal, 1980, and Narkiss and
    Zibulevsky, 2005.

    Examples
    --------
    >>> best = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
    >>> best.weights.round(6), round(best.bias, 6), str(best.stop_reason)
    (array([0.636706]), -0.955059, 'tolerance')
    >>> best.gradient_norm <= 1e-8, best.gap <= 1e-12
    (True, True)
    >>> gradstep.fit([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0]], [0, 1, 0, 1], l1=0.1).weights.round(3)
    array([0.5, 0. ])
    >>> gradstep.fit([[0.0], [1.0], [1.0], [3.0]], [0, 1, 2, 2], l2=0.1).weights.round(6)
    array([[-1.092827],
           [ 0.117145],
           [ 0.975682]])
    """
    start = start_of(weights, bias, fit_bias)
    matrix: Any
    given: Any = X
    distant: Source | Distant | None = None
    if isinstance(X, Distant):
        if cache is not None:
            raise ValueError(f"cache must be None where the rows stay on other machines, got {text(cache)}")
        distant = X
    elif isinstance(X, Source):
        of_rows = [optional_real("sample_weight", sample_weight), optional_real("offset", offset)]
        given = distant = replace(X, y=real("y", y), sample_weight=of_rows[0], offset=of_rows[1])
    elif is_source(X, y):
        given = distant = opened(X, y, sample_weight, offset)
    if distant is not None:
        labels, of_rows = distant.y, [distant.sample_weight, distant.offset]
        columns, names = distant.shape[1], tuple(distant.column_names) or None
    else:
        for name, folder in (("cache", cache), ("checkpoint", checkpoint)):
            if folder is not None:
                raise ValueError(f"{name} must be None where X is in memory, got {text(folder)}")
        matrix, labels = features(X), real("y", y)
        names = feature_names(X)
        of_rows = [optional_real("sample_weight", sample_weight), optional_real("offset", offset)]
        columns = columns_of(matrix)
    options = options_of(
        columns,
        l1=l1,
        l2=l2,
        grouped=grouped,
        penalty_factors=penalty_factors,
        prior=prior,
        lower=lower,
        upper=upper,
        firth=firth,
        fit_bias=fit_bias,
        solver=solver,
        gap_tol=gap_tol,
        tol=tol,
        certify=certify,
        max_passes=max_passes,
        n_threads=n_threads,
    )
    watching = observer(callback, lambda *seen: (Iteration._make(seen),))
    try:
        with ExitStack() as reading:
            if distant is not None:
                log = None
                if checkpoint is not None:
                    from gradstep._checkpoint import Checkpoint

                    log = reading.enter_context(Checkpoint(checkpoint, _problem(distant, options, start)))
                if isinstance(distant, Distant):
                    matrix = distant.ask, True, columns, distant.is_single, log
                else:
                    read = distant.reader or reading.enter_context(Reader(distant.rows, cache))
                    matrix = native_rows(read, distant, log)
            found = _native.fit(matrix, labels, of_rows, options, start, watching)
    except ValueError as error:
        raise explained(error, given, labels) from None
    return packed(found, names)


def bias_alone(y: Array, sample_weight: Array | None, offset: Array | None, fit_bias: bool) -> Optimum:
    """The optimum of a model without columns: of the bias beside the offsets. Its weights are those of one column of
    zeros."""
    zeros = np.zeros((len(y), 1))
    return fit(zeros, y, sample_weight=sample_weight, offset=offset, fit_bias=fit_bias, gap_tol=0.0)


def start_of(weights: ArrayLike | None, bias: Any, fit_bias: bool) -> tuple[Array | None, float | Array | None]:
    """The weights and the bias that a fit starts from, for native code; each is None if it is not given."""
    if bias is None:
        return optional_real("weights", weights), None
    if not flag("fit_bias", fit_bias):
        raise ValueError(f"bias must be None with fit_bias=False, got {text(bias)}")
    if weights is None:
        raise ValueError(f"bias must be None without weights, got {text(bias)}")
    return parameters(weights, bias)


def columns_of(matrix: Array | Parts) -> int:
    """The number of columns of X, as native code takes it."""
    shape = matrix[1] if isinstance(matrix, tuple) else matrix.shape
    return shape[-1] if shape else 0


def options_of(
    columns: int,
    *,
    l1: float,
    l2: float,
    grouped: bool,
    penalty_factors: ArrayLike | None,
    prior: ArrayLike | None,
    lower: ArrayLike | None,
    upper: ArrayLike | None,
    firth: bool,
    fit_bias: bool,
    solver: str,
    gap_tol: float,
    tol: float | None,
    certify: bool,
    max_passes: float,
    n_threads: int | None,
) -> FitOptions:
    """Checks the types of the options of a fit, and packs them for native code; `columns` is the number of columns."""
    of_columns = [
        optional_real("penalty_factors", penalty_factors),
        per_column(columns, "prior", prior),
        per_column(columns, "lower", lower),
        per_column(columns, "upper", upper),
    ]
    return (
        (number("l1", l1), number("l2", l2), flag("grouped", grouped)),
        of_columns,
        flag("firth", firth),
        flag("fit_bias", fit_bias),
        word("solver", solver),
        number("gap_tol", gap_tol),
        optional_number("tol", tol),
        flag("certify", certify),
        number("max_passes", max_passes),
        optional_count("n_threads", n_threads),
    )


def packed(found: dict[str, Any], names: tuple[str, ...] | None) -> Optimum:
    """The `Optimum` made of native code's result `found`; `names` are the names of the columns."""
    found["stop_reason"] = StopReason(found["stop_reason"])
    if found["separation"] is not None:
        found["separation"] = Separation._make(found["separation"])
    found["aliased"] = tuple(map(Alias._make, found["aliased"]))
    return Optimum(**found, feature_names=names)


def _problem(
    rows: Source | Distant, options: FitOptions, start: tuple[Array | None, float | Array | None]
) -> dict[str, Any]:
    """Everything that the requests of a fit and the answers of its rows depend on: by this, a checkpoint tells whether
    it is of the same fit.

    The number of threads and the callback are left out, as they change neither requests nor answers.
    """
    penalties, of_columns, firth, fit_bias, solver, gap_tol, tol, certify, max_passes, _ = options
    names = ("penalty_factors", "prior", "lower", "upper")
    return {
        "columns": [rows.shape[1], *rows.column_names],
        "is_single": rows.is_single,
        "y": rows.y,
        "sample_weight": rows.sample_weight,
        "offset": rows.offset,
        **dict(zip(("l1", "l2", "grouped"), penalties, strict=True)),
        **dict(zip(names, of_columns, strict=True)),
        "firth": firth,
        "fit_bias": fit_bias,
        "solver": solver,
        "gap_tol": gap_tol,
        "tol": tol,
        "certify": certify,
        "max_passes": max_passes,
        "weights": start[0],
        "bias": start[1],
    }


def per_column(columns: int, name: str, given: ArrayLike | None) -> Array | None:
    """An array with a number for each column; a single number is repeated for all columns."""
    if given is None:
        return None
    array = real(name, given)
    return array if array.ndim else np.full(columns, array, dtype=np.float64)
