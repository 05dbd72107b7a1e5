"""Optima along a series of strengths of the penalty: `path`, and the loop from one strength to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _native
from gradstep._arrays import Array, Features, features, optional_real, real
from gradstep._docs import suggests_names
from gradstep._fitted import Result, StopReason
from gradstep._formulas import cross_entropy, loss_gradient
from gradstep._optimum import (
    GAP_TOL,
    MAX_PASSES,
    Optimum,
    bias_alone,
    columns_of,
    fit,
    options_of,
    packed,
    per_column,
    start_of,
)
from gradstep._options import count, flag, number, text
from gradstep._sources import Source, is_source, native_rows, shared

LEAST_L1_RATIO = 1e-3
"""A path with a smaller `l1_ratio` than this begins with the strength with which a path of this ratio begins. Without
l1, no strength makes all weights 0."""
MOST_STRENGTHS = 100_000
"""The largest number of strengths of a path: the optimum of each is kept."""
FEWEST = 5
LEAST_CHANGE = 1e-5
MOST_EXPLAINED = 0.999
"""A path ends, as in glmnet, where the deviance no longer changes: after at least `FEWEST` strengths, as soon as the
part that is explained has grown by less than `LEAST_CHANGE`, or is above `MOST_EXPLAINED`."""
GENEROUS = float(np.finfo(np.float64).max)
NONE = 1e-9
"""A `tol` that the gradient of any weights satisfies, and a `max_passes` so small that no iteration is made."""

Start = tuple[Array, Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Path(Result):
    """The optima along a series of strengths, from the largest down.

    At strength s, E + l1 ||w||₁ + (l2/2) ||w||² is minimised, with ``l1 = l1_ratio * s`` and
    ``l2 = (1 - l1_ratio) * s``; with penalty factors, a prior and bounds as in `fit`.

    Attributes
    ----------
    strengths : ndarray, shape (k,)
        The strengths, falling.
    l1_ratio : float
        The part of a strength that is l1.
    weights : ndarray, shape (k, n)
        The weights at each strength; a csr_array of SciPy for sparse `X`; shape (k, K, n) for K >= 3 classes.
    bias : ndarray, shape (k,)
        The bias at each strength; shape (k, K) for K >= 3 classes.
    loss, objective : ndarrays, shape (k,)
        Mean cross-entropy, without and with the penalty.
    gap : ndarray, shape (k,)
        Proved upper bound on how far each objective is above its minimum.
    converged : ndarray of bool, shape (k,)
        Whether each optimum is proved: its gap is at most `gap_tol` of its objective.
    n_nonzero : ndarray of int, shape (k,)
        How many columns have a weight that is not 0.
    deviance_explained : ndarray, shape (k,)
        How much each model explains, from 0 to 1, of the deviance of the model without columns: bias and offsets alone.
    passes : ndarray, shape (k,)
        Data read for each fit, in passes over all rows.
    stop_reason : StopReason
        "strengths" if all strengths were fitted, "deviance" if the deviance no longer changed before.

    Notes
    -----
    Paths are equal if all their parts are; they can be copied and pickled. `gradstep.plot.path` draws one.

    Examples
    --------
    >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0], [4.0, 0.0]]
    >>> path = gradstep.path(X, [0, 1, 0, 1, 1], n=4, ratio=0.1)
    >>> path.strengths.round(3), path.n_nonzero
    (array([0.4  , 0.186, 0.086, 0.04 ]), array([0, 1, 1, 1]))
    >>> path.weights.round(2)
    array([[0.  , 0.  ],
           [0.48, 0.  ],
           [0.76, 0.  ],
           [0.92, 0.  ]])
    """

    strengths: NDArray[np.float64]
    l1_ratio: float
    weights: Any
    bias: NDArray[np.float64]
    loss: NDArray[np.float64]
    objective: NDArray[np.float64]
    gap: NDArray[np.float64]
    converged: NDArray[np.bool_]
    n_nonzero: NDArray[np.intp]
    deviance_explained: NDArray[np.float64]
    passes: NDArray[np.float64]
    stop_reason: StopReason

    def __repr__(self) -> str:
        first, last = self.strengths[[0, -1]]
        stopped = ", where the deviance no longer changes" if self.stop_reason == StopReason.DEVIANCE else ""
        proved = "all" if self.converged.all() else f"{self.converged.sum()}"
        return "\n".join(
            [
                f"Path: {len(self.strengths)} strengths from {first:.6g} to {last:.6g}{stopped}",
                f"  l1_ratio   {self.l1_ratio:g}",
                f"  columns    {self.n_nonzero[0]} to {self.n_nonzero.max()} with weights that are not 0",
                f"  explained  {self.deviance_explained[-1]:.2%} of the deviance at the last strength",
                f"  proved     {proved} of {len(self.strengths)}, the largest gap being {self.gap.max():.1e}",
            ]
        )


@suggests_names
def path(
    X: Features,
    y: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    n: int = 100,
    ratio: float = 1e-3,
    strengths: ArrayLike | None = None,
    grouped: bool = False,
    penalty_factors: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    fit_bias: bool = True,
    gap_tol: float = GAP_TOL,
    max_passes: float = MAX_PASSES,
    n_threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Path:
    """The optima along a series of strengths of the penalty, down from the one at which all penalised weights are 0.

    Each optimum is that of `fit` with ``l1 = l1_ratio * strength`` and ``l2 = (1 - l1_ratio) * strength``, and has a
    proof of its own. The search for it begins with the optimum before it and with what was computed there, so that the
    last bits are not always those of `fit`.

    Parameters
    ----------
    X : features, shape (m, n)
        As for `fit`, which also says how rows are read that do not fit into memory.
    y : array_like, shape (m,)
        Labels in [0, 1], not all of one class; or class codes 0, 1, …, K - 1 with K >= 3. As for `fit`, the name of a
        column of a table, and None of a function that returns batches.
    l1_ratio : float, default 1.0
        The part of each strength that is l1, from 0 to 1; the rest is l2.
    n : int, default 100
        How many strengths, at most 100 000, which fall by one factor from each to the next.
    ratio : float, default 1e-3
        The last strength as a part of the first.
    strengths : array_like, optional
        Strengths >= 0 to take instead, from the largest down. By default the first is the least at which all penalised
        weights are 0, or at the bound nearest to 0. At this strength, l1 is the largest slope of E by a weight, divided
        by the factor of its column, at the optimum of the columns that are not penalised. With an `l1_ratio` below
        0.001, the first strength is that for 0.001.
    grouped : bool, default False
        As for `fit`: whether a column has weights for all of K classes or for none.
    penalty_factors, prior, lower, upper : array_like, optional
        As for `fit`, at each strength. With a prior that is not 0, the largest strengths draw weights to it: `l1_ratio`
        must be 0, and weights start from the prior; or `strengths` must be given.
    sample_weight, offset : array_like, shape (m,), optional
        As for `fit`.
    fit_bias : bool, default True
        Whether there is a bias.
    gap_tol, max_passes : float
        As for `fit`, at each strength.
    n_threads : int, optional
        As in `gradstep`.
    cache : str or path, optional
        A folder, where `X` is read in batches: as for `fit`; all fits of the path read its file.

    Returns
    -------
    Path
        Strengths, weights and biases, and for each strength the objective, its proved gap, the number of columns with
        weights, and the part of the deviance that is explained.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, `X` is empty, or values are not finite or out of range; if labels are all of one class.
        Without `strengths`, also if no penalised column tells labels apart, if the columns with factor 0 separate them,
        and for a prior that is not 0 with ``l1_ratio > 0``.

    Notes
    -----
    Without `strengths`, the path ends early where the deviance no longer changes: after five strengths, as soon as the
    part explained has grown by less than 1e-5, or is above 0.999. Then `Path.stop_reason` is "deviance".
    Strengths, grid and these rules are those of glmnet (Friedman, Hastie and Tibshirani, 2010,
    doi:10.18637/jss.v033.i01). On a fine grid, columns that explain little may end the path early: give `strengths`.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> X = rng.normal(size=(500, 40))
    >>> y = rng.random(500) < gradstep.sigmoid(X[:, 4] - 2 * X[:, 17])
    >>> path = gradstep.path(X, y)
    >>> at = np.flatnonzero(path.n_nonzero == 2)[0]
    >>> np.flatnonzero(path.weights[at]), float(path.deviance_explained[at].round(2)), bool(path.converged.all())
    (array([ 4, 17]), 0.16, True)
    """
    l1_ratio = number("l1_ratio", l1_ratio)
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio must be between 0 and 1, got {l1_ratio:g}")
    options: dict[str, Any] = {
        "sample_weight": sample_weight,
        "offset": offset,
        "fit_bias": flag("fit_bias", fit_bias),
        "gap_tol": gap_tol,
        "max_passes": max_passes,
        "n_threads": n_threads,
    }
    grid = _given(strengths)
    length, last = count("n", n), number("ratio", ratio)
    if length > MOST_STRENGTHS:
        raise ValueError(f"n must be at most {MOST_STRENGTHS}, got {length}")
    if not 0 < last < 1:
        raise ValueError(f"ratio must be above 0 and below 1, got {last:g}")
    explained: list[float] = []
    with ExitStack() as reading:
        rows: Any = X
        if is_source(X, y):
            rows = reading.enter_context(shared(X, y, sample_weight, offset, cache))
            y = rows.y
            options |= {"sample_weight": rows.sample_weight, "offset": rows.offset}
        elif cache is not None:
            raise ValueError(f"cache must be None where X is in memory, got {text(cache)}")
        matrix: Any = rows if isinstance(rows, Source) else features(rows)
        columns = columns_of(matrix)
        options |= {
            "penalty_factors": optional_real("penalty_factors", penalty_factors),
            "prior": per_column(columns, "prior", prior),
            "lower": per_column(columns, "lower", lower),
            "upper": per_column(columns, "upper", upper),
            "grouped": flag("grouped", grouped),
        }
        null = without_columns(rows, y, **options)
        start: Start = null.weights, null.bias
        if grid is None:
            start, largest = first_of_path(rows, y, null, l1_ratio, **options)
            grid = largest * np.geomspace(1, last, length)
        explains = _explained(null, y, options["sample_weight"])

        def is_last(loss: float) -> bool:
            explained.append(explains(loss))
            return strengths is None and len(explained) < len(grid) and _no_longer_changes(explained)

        found = _fits(rows, y, [(l1_ratio * s, (1 - l1_ratio) * s) for s in grid.tolist()], start, is_last, options)
    reason = StopReason.DEVIANCE if len(found) < len(grid) else StopReason.STRENGTHS
    weights = [best.weights for best in found]
    return Path(
        strengths=grid[: len(found)],
        l1_ratio=l1_ratio,
        weights=_sparse(weights) if isinstance(matrix, tuple) and weights[0].ndim == 1 else np.stack(weights),
        bias=np.array([best.bias for best in found], np.float64),
        loss=np.array([best.loss for best in found]),
        objective=np.array([best.objective for best in found]),
        gap=np.array([best.gap for best in found]),
        converged=np.array([best.converged for best in found]),
        n_nonzero=np.array([np.count_nonzero(np.atleast_2d(best.weights).any(axis=0)) for best in found], np.intp),
        deviance_explained=np.array(explained),
        passes=np.array([best.passes for best in found]),
        stop_reason=reason,
    )


def _fits(
    X: Features,
    y: ArrayLike,
    penalties: list[tuple[float, float]],
    start: Start,
    is_last: Callable[[float], bool],
    options: dict[str, Any],
) -> tuple[Optimum, ...]:
    """The optimum for each l1 and l2 of `penalties`, each started from the optimum before it; the first from `start`.

    `is_last` is called with the loss of each, and says whether to end there.
    """
    weights, bias = start
    options = options.copy()
    of_rows = [optional_real(name, options.pop(name)) for name in ("sample_weight", "offset")]
    matrix: Any = native_rows(X.reader, X) if isinstance(X, Source) else features(X)
    labels = real("y", y)
    columns = X.shape[1] if isinstance(X, Source) else columns_of(matrix)
    of_fit = options_of(columns, l1=0.0, l2=0.0, firth=False, solver="auto", tol=None, certify=True, **options)
    first = start_of(weights, bias if options["fit_bias"] else None, options["fit_bias"])
    found = _native.fit_along(matrix, labels, of_rows, of_fit, first, penalties, is_last)
    return tuple(packed(one, None) for one in found)


def along(
    penalties: Iterable[tuple[float, float]], solve: Callable[[float, float, Any], Optimum], start: Any
) -> Iterator[Optimum]:
    """The optimum by `solve` for each l1 and l2, started from the optimum before it; the first from `start`."""
    for l1, l2 in penalties:
        best = solve(l1, l2, start)
        yield best
        start = best.weights, best.bias


def without_columns(X: Features, y: ArrayLike, **options: Any) -> Optimum:
    """The model whose weights are 0, with the best bias for them. All options are checked as `fit` does.

    Raises
    ------
    TypeError, ValueError
        As `fit` does, and where all labels are of one class.
    """
    labels = real("y", y)
    shares = np.unique(labels)
    if len(shares) == 1:
        raise ValueError(f"y must hold two or more different labels, got only {shares[0]:g}")
    # l2 keeps `fit` from looking for columns that depend on others, as it would with bounds: that takes long.
    null = fit(X, y, **{**options, "l2": 1.0, "tol": GENEROUS, "certify": False, "max_passes": NONE})
    offset = options.get("offset")
    if offset is None and not null.weights.any():
        return null
    best = bias_alone(labels, options.get("sample_weight"), offset, options["fit_bias"])
    return replace(best, weights=np.zeros_like(null.weights))


def first_of_path(
    X: Features,
    y: ArrayLike,
    null: Optimum,
    l1_ratio: float,
    *,
    penalty_factors: Array | None = None,
    prior: Array | None = None,
    lower: Array | None = None,
    upper: Array | None = None,
    grouped: bool = False,
    **options: Any,
) -> tuple[Start, float]:
    """The model at the beginning of a path, and its strength: the least at which all penalised weights are at their
    start.

    Weights start from 0, or from the bound nearest to 0; without l1, from the prior. `null` is the model whose weights
    are 0. Arrays of columns have one number for each of them, or a row for each class.

    Notes
    -----
    Let g be the slope of E by a weight at the optimum of the columns without penalty, p the factor of its column, t the
    start and μ the prior. At strength s, the slope of the objective by a larger weight is g + s p (l1_ratio +
    (1 - l1_ratio) |t - μ|), and by a smaller one the same with -g. The weight stays at t unless a change that keeps it
    within the bounds has a negative slope. If the weights of a column are grouped, ||g|| takes the place of |g|.

    Raises
    ------
    ValueError
        If there is no such strength.
    """
    shape = null.weights.shape
    factors = np.ones(shape[-1]) if penalty_factors is None else penalty_factors
    if not factors.any():
        raise ValueError("penalty_factors must be positive for a column, got 0 for all of them: use fit")
    if prior is not None and l1_ratio and (prior * factors).any():
        raise ValueError(
            "prior must be 0 with l1_ratio > 0, where no strength has all weights at 0, got another one: give "
            "strengths, or l1_ratio=0"
        )
    means, least, most = (
        np.broadcast_to(default if given is None else given, shape)
        for given, default in ((prior, 0.0), (lower, -np.inf), (upper, np.inf))
    )
    start = np.clip(0.0 if l1_ratio else means, least, most)
    is_free = np.broadcast_to(factors == 0, shape)
    first = null
    if start.any() or is_free.any():
        first = _within(X, y, np.where(is_free, least, start), np.where(is_free, most, start), options)
    if is_free.any() and first.separation is not None:
        got = f"0 for columns {np.flatnonzero(factors == 0).tolist()}"
        raise ValueError(f"penalty_factors must be positive for columns that separate the labels, got {got}")
    at = first.weights, first.bias
    if isinstance(X, Source):
        rows, threads = native_rows(X.reader, X), options["n_threads"]
        _, slopes, _ = _native.loss_gradient(rows, X.y, *at, [X.sample_weight, X.offset], threads)
    else:
        given: dict[str, Any] = {name: options.get(name) for name in ("sample_weight", "offset", "n_threads")}
        slopes = loss_gradient(X, y, *at, **given).weights
    slopes = np.asarray(slopes, np.float64)
    pull = max(l1_ratio, LEAST_L1_RATIO) + (1 - l1_ratio) * np.abs(start - means)
    if grouped and slopes.ndim > 1:
        leads, pull = np.linalg.norm(slopes, axis=0), pull[0]
    else:
        leads = np.maximum(np.where(start > least, slopes, 0.0), np.where(start < most, -slopes, 0.0))
    is_penalised = factors > 0
    largest = float((leads[..., is_penalised] / (factors * pull)[..., is_penalised]).max())
    if not largest > 0:
        given = {"lower": lower, "upper": upper, "penalty_factors": penalty_factors, "prior": prior, **options}
        names = ("lower", "upper", "penalty_factors", "prior", "offset")
        name = next((name for name in names if given.get(name) is not None), None)
        if name is None:
            raise ValueError("X must have a column that tells labels apart, got slopes of 0 for all of them")
        raise ValueError(f"{name} must leave a column whose weight lowers the error, got none: give strengths")
    return at, largest


def _within(X: Features, y: ArrayLike, lower: ArrayLike, upper: ArrayLike, options: dict[str, Any]) -> Optimum:
    """The optimum without penalty for weights between these bounds, to the last digits."""
    given = {name: options[name] for name in ("sample_weight", "offset", "fit_bias", "n_threads") if name in options}
    return fit(X, y, lower=lower, upper=upper, gap_tol=0.0, **given)


def _given(strengths: Any) -> NDArray[np.float64] | None:
    if strengths is None:
        return None
    given = np.atleast_1d(np.asarray(real("strengths", strengths), np.float64))
    if given.ndim != 1 or not given.size:
        raise ValueError(f"strengths must be 1-dimensional and not empty, got shape {given.shape}")
    wrong = ~((given >= 0) & (given < np.inf))
    if wrong.any():
        raise ValueError(f"strengths must be finite and not negative, got {given[wrong][0]:g}")
    return np.sort(given)[::-1]


def _explained(null: Optimum, y: ArrayLike, sample_weight: ArrayLike | None) -> Callable[[float], float]:
    """A function of the loss of a model: the part of the deviance of `null` that the model explains.

    The deviance of a model is 2 Σ s_i (loss - entropy). The entropy is the loss of predictions that equal the labels.
    """
    labels = real("y", y)
    two = null.weights.ndim == 1
    entropy = cross_entropy(labels, labels, sample_weight=optional_real("sample_weight", sample_weight)) if two else 0.0
    return lambda loss: float((null.loss - loss) / (null.loss - entropy))


def _no_longer_changes(explained: list[float]) -> bool:
    if len(explained) < FEWEST:
        return False
    return explained[-1] > MOST_EXPLAINED or explained[-1] - explained[-2] < LEAST_CHANGE


def _sparse(rows: list[Array]) -> Any:
    """Rows as a csr_array of SciPy, which is installed if `X` is sparse."""
    from scipy.sparse import csr_array

    columns = [np.flatnonzero(row) for row in rows]
    data = np.concatenate([row[places] for row, places in zip(rows, columns, strict=True)])
    ends = np.cumsum([0, *map(len, columns)])
    return csr_array((data, np.concatenate(columns), ends), shape=(len(rows), len(rows[0])))
