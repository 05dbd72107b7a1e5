"""Several fits over one X, which is read once for all of them: `fit_many`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from gradstep import _native
from gradstep._arrays import Array, Features, explained, features, optional_real, real
from gradstep._docs import suggests_names
from gradstep._frames import feature_names
from gradstep._optimum import GAP_TOL, MAX_PASSES, Optimum, columns_of, options_of, packed, start_of
from gradstep._options import kind, optional_count


@suggests_names
def fit_many(
    X: Features,
    y: ArrayLike,
    *,
    l1: ArrayLike = 0.0,
    l2: ArrayLike = 0.0,
    grouped: bool = False,
    penalty_factors: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    fit_bias: bool = True,
    solver: Literal["auto", "lbfgs", "gd", "proximal"] = "auto",
    weights: Sequence[ArrayLike] | None = None,
    bias: Sequence[Any] | None = None,
    gap_tol: float = GAP_TOL,
    tol: float | None = None,
    certify: bool = True,
    max_passes: float = MAX_PASSES,
    n_threads: int | None = None,
) -> tuple[Optimum, ...]:
    """Fit several models to the same `X`, which is read once for all of them.

    The models differ in their labels, sample weights, offsets or penalties. There may be one model for each target; for
    each class against the rest; for each fold of a cross-validation, with weight 0 for the rows of the fold; or for
    each bootstrap sample, where the weight of a row is how often the sample has it. An argument that is the same for
    all models is given once. Each result is that of `fit` for this model alone, to the last bit.

    Parameters
    ----------
    X : features, shape (m, n)
        As in `fit`, in memory.
    y : array_like, shape (m,) or (m, t)
        Labels as in `fit`: the same for all models, or a column for each of t models.
    l1, l2 : float or array_like of shape (t,), default 0.0
        Strengths of the penalty: the same for all models, or one for each.
    grouped, penalty_factors, prior, lower, upper
        As in `fit`, the same for all models.
    sample_weight : array_like, shape (m,) or (m, t), optional
        Weights of the rows: the same for all models, or a column for each.
    offset : array_like, shape (m,) or (m, t), or (m, t, K) for K classes, optional
        Numbers that are added to the scores of the rows: the same for all models, or a column for each.
    weights : sequence of t array_likes, optional
        Weights that each fit starts from, as in `fit`: an array of shape (t, n), say.
    bias : sequence of t floats or array_likes, optional
        The biases to start from.
    fit_bias, solver, gap_tol, tol, certify, max_passes
        As in `fit`, the same for all models.
    n_threads : int, optional
        As in `gradstep`. Results do not depend on it.

    Returns
    -------
    tuple of t Optimum
        In the order of the models.

    Raises
    ------
    TypeError, ValueError
        As `fit` does, with the number of the model; and if the arguments differ in the number of models.

    See Also
    --------
    fit : One model.
    path : One model for each of many strengths of the penalty.

    Notes
    -----
    Models wait for each other to evaluate the loss together, up to 32 of them: five models of 28 columns take 2.7 times
    as long as one of them, where X does not fit a processor's cache. Samples of the rows, Hessians and proofs are
    computed for each model by itself. Labels and sample weights are kept for each.

    Examples
    --------
    >>> X = [[0.0], [1.0], [2.0], [3.0]]
    >>> first, second = gradstep.fit_many(X, [[0, 0], [1, 0], [0, 1], [1, 1]], l2=0.1)
    >>> first.weights, second.weights
    (array([0.63670632]), array([1.50767367]))
    >>> second == gradstep.fit(X, [0, 0, 1, 1], l2=0.1)
    True
    """
    matrix = features(X)
    columns = columns_of(matrix)
    labels, of_rows = real("y", y), (optional_real("sample_weight", sample_weight), optional_real("offset", offset))
    strengths = real("l1", l1), real("l2", l2)
    count = _count(labels, *of_rows, *strengths, weights, bias)
    options = [
        options_of(
            columns,
            l1=of_l1,
            l2=of_l2,
            grouped=grouped,
            penalty_factors=penalty_factors,
            prior=prior,
            lower=lower,
            upper=upper,
            firth=False,
            fit_bias=fit_bias,
            solver=solver,
            gap_tol=gap_tol,
            tol=tol,
            certify=certify,
            max_passes=max_passes,
            n_threads=n_threads,
        )
        for of_l1, of_l2 in zip(*(np.broadcast_to(strength, count).tolist() for strength in strengths), strict=True)
    ]
    starts = zip([None] * count if weights is None else weights, [None] * count if bias is None else bias, strict=True)
    fits = [
        (
            _column(labels, k),
            [None if array is None else _column(array, k) for array in of_rows],
            options[k],
            start_of(first_weights, first_bias, fit_bias),
        )
        for k, (first_weights, first_bias) in enumerate(starts)
    ]
    try:
        found = _native.fit_many(matrix, fits, optional_count("n_threads", n_threads))
    except ValueError as error:
        if len(error.args) == 1:
            raise
        message, place = error.args
        raise ValueError(f"{explained(ValueError(message), X, _column(labels, place))}, in model {place}") from None
    names = feature_names(X)
    return tuple(packed(one, names) for one in found)


def _count(
    labels: Array, sample_weight: Array | None, offset: Array | None, l1: Array, l2: Array, weights: Any, bias: Any
) -> int:
    """The number of models; raises a ValueError if the arguments disagree on it."""
    given: dict[str, int] = {}
    # Arrays with numbers of the rows have a first dimension for the rows, and may have a second for the models.
    of_rows = {"y": labels, "sample_weight": sample_weight, "offset": offset}
    for name, array, own in [*((name, array, 1) for name, array in of_rows.items()), ("l1", l1, 0), ("l2", l2, 0)]:
        if array is None or array.ndim <= own:
            continue
        most = 3 if name == "offset" else own + 1
        if array.ndim > most:
            raise ValueError(f"{name} must have at most {most} dimensions, got {array.ndim}")
        given[name] = array.shape[own]
    for name, starts in (("weights", weights), ("bias", bias)):
        if starts is not None:
            if not hasattr(starts, "__len__"):
                raise TypeError(f"{name} must be a sequence with a start for each model, got {kind(starts)}")
            given[name] = len(starts)
    if not given:
        raise ValueError("y must have a column for each model, if no other argument has one, got one column: use fit")
    first, count = next(iter(given.items()))
    for name, other in given.items():
        if other != count:
            raise ValueError(f"{name} must be for {count} models, as {first} is, got {other}")
    if not count:
        raise ValueError(f"{first} must be for at least one model, got none")
    return count


def _column(array: Array, k: int) -> Array:
    return array[:, k] if array.ndim > 1 else array
