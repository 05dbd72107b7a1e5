"""Standard errors, tests and intervals of the coefficients of `gradstep.fit` without penalty, or with ``firth=True``.

The estimates are those of maximum likelihood: if the model is right and rows are many, they are normally distributed
around the true coefficients, and their covariance is the inverse Fisher information.

Examples
--------
>>> import gradstep
>>> X, y = [[0.5], [1.0], [1.5], [2.0], [2.5], [3.0], [3.5], [4.0]], [0, 0, 1, 0, 1, 0, 1, 1]
>>> gradstep.inference.infer(gradstep.fit(X, y), X, y, names=["hours"])
Inference: 8 rows, log-likelihood -4.22479, covariance "fisher"
          estimate  std. error      z      p         95 % interval  odds ratio
  hours    1.18817    0.864483   1.37  0.169  -0.506187 to 2.88252     3.28107
  (bias)  -2.67338     2.12073  -1.26  0.207   -6.82993 to 1.48317   0.0690186
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _formulas
from gradstep._arrays import Features, matrix, optional_real, real
from gradstep._formulas import decision_function, gradient, loss_gradient, sigmoid_derivative, softmax
from gradstep._frames import feature_names
from gradstep._likelihood import Basis, Likelihood, Numbers, PenalisedLikelihood
from gradstep._optimum import Optimum, bias_alone, fit
from gradstep._options import flag, kind, text, word
from gradstep._wald import Wald, quantile
from gradstep._words import aligned, distance

__all__ = ["ChiSquareTest", "Inference", "infer"]

BIAS = "(bias)"
COVARIANCES = ("fisher", "HC0", "HC1", "cluster")
SHOWN = 20
"""The largest number of coefficients that an `Inference` prints."""
SINGULAR = 1e-14
"""Eigenvalues of a correlation matrix below this are rounding errors."""
NEAR = 0.01
"""How far the weights may be from the maximum of the likelihood, in standard errors. A distance d from the maximum
means that the log-likelihood is d²/2 below it."""


class ChiSquareTest(NamedTuple):
    """A test whose statistic has a chi-squared distribution if the hypothesis is true and rows are many.

    Attributes
    ----------
    statistic : float
        The statistic.
    df : int
        Its degrees of freedom: the number of coefficients that the hypothesis sets to zero.
    p : float
        The probability of a larger statistic if the hypothesis is true; accurate even if tiny.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
    >>> test = gradstep.inference.infer(gradstep.fit(X, y), X, y).drop("x0")
    >>> round(test.statistic, 6), test.df, round(test.p, 6)
    (0.850204, 1, 0.356495)
    """

    statistic: float
    df: int
    p: float


@dataclass(frozen=True, eq=False, repr=False)
class Inference(Wald):
    """Estimated coefficients of a fit, with standard errors, tests and intervals; made by `infer`.

    The coefficients are those of the columns in their order, then that of the bias, if there is one. For K >= 3 classes
    they are given class by class, for each class except the reference: `estimates.reshape(K - 1, -1)` has a row per
    class. A coefficient is the change of the log-odds of its class against the reference per unit of the column.

    Attributes
    ----------
    names : tuple of str
        Names of the coefficients: "age", "(bias)"; for K >= 3 classes with the code of the class: "2:age".
    estimates : ndarray of float64, shape (q,)
        The coefficients. NaN for columns that the fit left out because they are linear combinations of others
        (`Optimum.aliased`).
    covariance : ndarray of float64, shape (q, q)
        The covariance of the estimates. NaN for columns that were left out.
    covariance_type : str
        "fisher", "HC0", "HC1" or "cluster".
    left_out : tuple of str
        Names of the columns that were left out.
    n_rows : float
        Number of rows, Σ s_i: a row with sample weight 3 counts as three.
    log_likelihood : float
        Σ s_i ln p_i with the probability p_i of the row's label. For labels y between 0 and 1,
        Σ s_i (y_i ln ŷ_i + (1 - y_i) ln(1 - ŷ_i)), without binomial coefficients.
    penalised_log_likelihood : float or None
        Of a fit with ``firth=True``: `log_likelihood` + ln det(I) / 2, with the Fisher information I. Compare it only
        between models with the same columns in the same units.
    null_log_likelihood : float
        The log-likelihood of the model with only a bias; if no bias is fitted, with equal probabilities.
    deviance, null_deviance : float
        2 (l - `log_likelihood`) and 2 (l - `null_log_likelihood`), where l is the log-likelihood of predictions that
        equal the labels. l is 0 if labels are 0 and 1 or class codes.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.5], [2.0, 0.0], [3.0, 1.5], [4.0, 0.5], [5.0, 1.0]], [0, 1, 0, 1, 0, 1]
    >>> found = gradstep.inference.infer(gradstep.fit(X, y), X, y)
    >>> found.names, found.standard_errors.round(3)
    (('x0', 'x1', '(bias)'), array([0.533, 2.549, 2.493]))
    >>> found.confidence_intervals(0.9, method="profile").round(3)
    array([[-0.566,  1.31 ],
           [-0.679,  8.591],
           [-8.414,  0.705]])
    """

    names: tuple[str, ...]
    estimates: Numbers
    covariance: Numbers
    covariance_type: str
    left_out: tuple[str, ...]
    n_rows: float
    log_likelihood: float
    penalised_log_likelihood: float | None
    null_log_likelihood: float
    deviance: float
    null_deviance: float
    _data: _Data

    @property
    def standard_errors(self) -> Numbers:
        """The standard errors, square roots of the covariance's diagonal, shape (q,)."""
        errors: Numbers = np.sqrt(np.diagonal(self.covariance))
        return errors

    @property
    def n_parameters(self) -> int:
        """The number of estimated coefficients, without those left out."""
        return int(np.isfinite(self.estimates).sum())

    @property
    def aic(self) -> float:
        """Akaike's information criterion, 2 `n_parameters` - 2 `log_likelihood`; doi:10.1109/TAC.1974.1100705."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, `n_parameters` ln `n_rows` - 2 `log_likelihood`; doi:10.1214/aos/1176344136."""
        return self.n_parameters * math.log(self.n_rows) - 2 * self.log_likelihood

    @property
    def mcfadden_r2(self) -> float:
        """McFadden's R², 1 - `log_likelihood` / `null_log_likelihood`; McFadden, 1974. NaN if all labels are equal."""
        if not self.null_log_likelihood:
            return math.nan
        return 1 - self.log_likelihood / self.null_log_likelihood

    def confidence_intervals(
        self,
        level: float = 0.95,
        *,
        method: Literal["wald", "profile"] = "wald",
        columns: Iterable[int | str] | int | str | None = None,
    ) -> Numbers:
        """Intervals that contain the true coefficients with probability `level`, if rows are many.

        "wald": the estimate ± the normal quantile times the standard error. "profile": the values that a
        likelihood-ratio test would not reject. Profile intervals are better if rows are few, and need not be symmetric;
        each takes about twenty passes over the rows. For a fit with ``firth=True`` they are those of its penalised
        likelihood, which may have several maxima for one value of the coefficient. The profile then follows one
        of them: the maximum to which the estimate moves as this value changes, as far as it can be told from the other
        maxima.

        Parameters
        ----------
        level : float, default 0.95
            The probability, between 0 and 1.
        method : {"wald", "profile"}, default "wald"
            How the intervals are computed.
        columns : int, str or iterable of these, optional
            Columns by their position or name, or "(bias)"; all coefficients by default.

        Returns
        -------
        ndarray of float64, shape (q, 2)
            Lower and upper ends, in the order of `names`; with `columns`, only for their coefficients. NaN for columns
            that were left out, and for an end of a profile interval that was not found.

        Raises
        ------
        TypeError, ValueError
            If `level` is not between 0 and 1, `method` is another word, there is no such column, or profile intervals
            are asked for with a robust covariance.

        Warns
        -----
        UserWarning
            If an end of a profile interval was not found, which may happen if the labels are nearly separated.

        Notes
        -----
        Profile intervals: Venzon and Moolgavkar, 1988, doi:10.2307/2347496. The error of their ends is about 1e-9 of
        the interval's width. For a `level` of some 1e-5 or less, rounding errors are larger than that.
        """
        margin = quantile(level)
        columns = (columns,) if isinstance(columns, (str, int, np.integer)) else columns
        wanted = np.arange(len(self.names)) if columns is None else self._coefficients(columns, estimated=False)
        if word("method", method) == "wald":
            return self.wald_intervals(level)[wanted]
        if method != "profile":
            raise ValueError(f"method must be 'wald' or 'profile', got {method!r}")
        self._needs_fisher("method", "'wald'", "'profile'")
        return self._data.profile(wanted, margin)

    def wald_test(self, *columns: int | str) -> ChiSquareTest:
        """Wald's test of the hypothesis that the coefficients of these columns are all zero.

        Parameters
        ----------
        *columns : int or str
            Columns by their position or name, or "(bias)"; for K >= 3 classes, their coefficients of all classes are
            tested. The fit must not have left the columns out.

        Returns
        -------
        ChiSquareTest
            The statistic is βᵀ V⁻¹ β with estimates β and covariance V. It is also valid with a robust covariance.

        Raises
        ------
        TypeError, ValueError
            If there is no such column, it was left out, or the covariance of the coefficients is singular.

        Notes
        -----
        Wald, 1943, doi:10.1090/S0002-9947-1943-0012401-3.
        """
        tested = self._coefficients(columns)
        errors = self.standard_errors[tested]
        correlations = self.covariance[np.ix_(tested, tested)] / np.outer(errors, errors)
        rank = int(np.linalg.matrix_rank(correlations, tol=SINGULAR, hermitian=True))
        if rank < len(tested):
            raise ValueError(
                f"columns must have at most {rank} coefficients, got {len(tested)}: their covariance is singular, as "
                "it is by clusters with fewer of these than coefficients"
            )
        z = self.estimates[tested] / errors
        return _test(float(z @ np.linalg.solve(correlations, z)), len(tested))

    def drop(self, *columns: int | str) -> ChiSquareTest:
        """Likelihood-ratio test of the model against the model without these columns, which is fitted for it.

        Of a fit with ``firth=True`` it is the penalised-likelihood-ratio test: the coefficients are zero, but the
        columns stay in the information I, as in R's logistf.

        Parameters
        ----------
        *columns : int or str
            As for `wald_test`. Columns that the fit has left out are left out of the new fit too.

        Returns
        -------
        ChiSquareTest
            The statistic is twice the difference of the log-likelihoods.

        Raises
        ------
        TypeError, ValueError
            As `wald_test`; also if the covariance is robust.

        Notes
        -----
        Wilks, 1938, doi:10.1214/aoms/1177732360; Heinze and Schemper, 2002, doi:10.1002/sim.1047.
        """
        self._needs_fisher("covariance", "'fisher' for a likelihood-ratio test (wald_test takes any)")
        tested = self._coefficients(columns)
        if self.penalised_log_likelihood is not None:
            return _test(self._data.penalised_ratio(tested), len(tested))
        smaller = self._data.log_likelihood_without(tested, self.null_log_likelihood)
        return _test(2 * (self.log_likelihood - smaller), len(tested))

    def likelihood_ratio_test(self, smaller: Inference) -> ChiSquareTest:
        """Likelihood-ratio test of this model against a special case of it that has fewer coefficients.

        Parameters
        ----------
        smaller : Inference
            The special case, for example a fit with some of the columns, with the same labels and sample weights.
            Checked is only that it has fewer coefficients and no larger likelihood.

        Returns
        -------
        ChiSquareTest
            The statistic is twice the difference of the log-likelihoods.

        Raises
        ------
        TypeError, ValueError
            If `smaller` is something else, or one of the two has a robust covariance or is of a fit with
            ``firth=True``: penalised likelihoods of different columns cannot be compared; `drop` makes that test.

        Notes
        -----
        Wilks, 1938, doi:10.1214/aoms/1177732360.
        """
        if not isinstance(smaller, Inference):
            raise TypeError(f"smaller must be an Inference, got {kind(smaller)}")
        for each in (self, smaller):
            if each.penalised_log_likelihood is not None:
                raise ValueError(
                    "smaller must be of a fit without firth, and so must this be, got a fit with firth=True, whose "
                    "penalty depends on the units of the columns: drop tests columns"
                )
            each._needs_fisher("covariance", "'fisher' for a likelihood-ratio test (wald_test takes any)")
        if not self._data.same_labels(smaller._data):
            raise ValueError("smaller must be of the same labels, sample weights and offsets, got others")
        df = self.n_parameters - smaller.n_parameters
        if df <= 0:
            raise ValueError(
                f"smaller must have fewer than {self.n_parameters} coefficients, got {smaller.n_parameters}"
            )
        statistic = 2 * (self.log_likelihood - smaller.log_likelihood)
        if statistic < -1e-6:
            raise ValueError(
                "smaller must be a special case of this model, "
                f"got a log-likelihood that is larger by {-statistic / 2:.3g}"
            )
        return _test(statistic, df)

    def leverage(self) -> Numbers:
        """The leverage h of each row, its influence on the fit: the diagonal of the hat matrix, shape (m,).

        It is between 0 and 1 for two classes. For K >= 3 classes it is the trace of the row's block in the hat matrix,
        between 0 and K - 1. A row of sample weight s counts as s rows, each with this leverage, so that Σ s_i h_i is
        `n_parameters`. Rows of weight 0 have leverage 0.

        Notes
        -----
        Pregibon, 1981, doi:10.1214/aos/1176345513.
        """
        return self._data.likelihood.leverage(self._data.at)

    def __repr__(self) -> str:
        penalised = self.penalised_log_likelihood
        parts = (
            f"{self.n_rows:.10g} rows",
            f"log-likelihood {self.log_likelihood:.6g}",
            *(() if penalised is None else (f"penalised log-likelihood {penalised:.6g}",)),
            f'covariance "{self.covariance_type}"',
        )
        lines = [f"Inference: {', '.join(parts)}", *self._table()]
        if len(self.names) > SHOWN:
            lines.append(f"  … ({len(self.names)} in all)")
        if self.left_out:
            lines.append(f"  left out: {', '.join(self.left_out)}")
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """The lines of the printed table: a header, and the first coefficients."""
        ends = self.confidence_intervals()
        rows = [("", "estimate", "std. error", "z", "p", "95 % interval", "odds ratio")]
        values = zip(
            self.names, self.estimates, self.standard_errors, self.z, self.p, ends, self.odds_ratios, strict=True
        )
        for name, estimate, error, z, p, (low, high), ratio in list(values)[:SHOWN]:
            interval = f"{low:.6g} to {high:.6g}"
            rows.append((name, f"{estimate:.6g}", f"{error:.6g}", f"{z:.2f}", f"{p:.3g}", interval, f"{ratio:.6g}"))
        return [f"  {line}" for line in aligned(rows)]

    def _needs_fisher(self, argument: str, *expected: str) -> None:
        if self.covariance_type != "fisher":
            wanted, *asked = expected
            robust = f'covariance="{self.covariance_type}"'
            got = f"{asked[0]} with {robust}" if asked else robust
            raise ValueError(
                f"{argument} must be {wanted}: likelihood ratios suppose that the model is right, got {got}"
            )

    def _coefficients(self, columns: Iterable[int | str], *, estimated: bool = True) -> NDArray[np.intp]:
        """Positions in `estimates` of the coefficients of these columns, for all classes, without repetitions."""
        width = len(self._data.columns)
        positions = [self._data.position(column) for column in columns]
        if not positions:
            raise ValueError("columns must name at least one column, got none")
        found = np.unique(np.add.outer(np.arange(0, len(self.names), width), positions))
        for position in positions:
            if estimated and math.isnan(self.estimates[position]):
                raise ValueError(
                    f"columns must be some that the fit did not leave out, got {self._data.columns[position]!r}"
                )
        return found


def infer(
    optimum: Optimum,
    X: Features,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    fit_bias: bool = True,
    names: Iterable[str] | None = None,
    reference: int = 0,
    covariance: Literal["fisher", "HC0", "HC1", "cluster"] = "fisher",
    clusters: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Inference:
    """Standard errors, tests and intervals of the coefficients of a fit without penalty, or with ``firth=True``.

    Parameters
    ----------
    optimum : Optimum
        The result of `gradstep.fit` without penalty or with ``firth=True``, for the same `X`, `y`, `sample_weight`,
        `offset` and `fit_bias`.
    X : features, shape (m, n)
    y : array_like, shape (m,)
        Described in `gradstep`. The result refers to them without copying.
    sample_weight : array_like, shape (m,), optional
        Frequencies: a weight of 3 counts as three rows. With weights of another meaning, such as inverse sampling
        probabilities, the standard errors would be wrong.
    offset : array_like, shape (m,) or (m, K), optional
        The offsets of the fit. They count as known: the model without columns has them, too.
    fit_bias : bool, default True
        Whether the bias was estimated.
    names : iterable of str, optional
        Names of the columns; by default the names in a data frame, here or in the fit, else "x0", "x1", ….
    reference : int, default 0
        For K >= 3 classes, the class with which the others are compared. For two classes it is label 0.
    covariance : {"fisher", "HC0", "HC1", "cluster"}, default "fisher"
        "fisher" is the inverse of the Fisher information, which is valid if the model is right. The others are robust:
        they are valid even if the model is wrong. "HC0" is White's; "HC1" is "HC0" times N / (N - k), for N rows and k
        estimated coefficients. "cluster" allows dependence between rows of the same cluster: gradients are summed over
        each of G clusters, and the factor is G / (G - 1) · (N - 1) / (N - k). With ``firth=True`` it must be "fisher".
    clusters : array_like, shape (m,), optional
        With ``covariance="cluster"``: the cluster of each row, a number or a string.
    n_threads : int, optional
        Described in `gradstep`.

    Returns
    -------
    Inference
        Printed as a table of the coefficients.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes or values do not fit; or if standard errors would be meaningless because the fit had a penalty, the
        labels are separated, the optimum is not proved, or it is not the optimum for these data.

    Warns
    -----
    UserWarning
        If the optimum was not proved because no Hessian was made (``stop_reason="uncertified"``).

    Notes
    -----
    Fisher information: McCullagh and Nelder, *Generalized Linear Models*, 2nd ed., section 4.4. Robust covariances:
    White, 1982, doi:10.2307/1912526; Liang and Zeger, 1986, doi:10.1093/biomet/73.1.13. N is Σ s_i. The "HC0" and
    "cluster" of statsmodels 0.15 are the same; the "HC1" of its Logit is "HC0", without the factor.

    Whether `optimum` belongs to the data is checked by a step of Newton's method: it must be within 0.01 standard
    errors of the maximum of the likelihood.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2))
    >>> y = rng.random(500) < gradstep.sigmoid(X @ [1.0, -0.5] + 0.25)
    >>> found = gradstep.inference.infer(gradstep.fit(X, y), X, y, covariance="HC1")
    >>> found.standard_errors.round(4)
    array([0.1134, 0.1072, 0.1013])
    """
    if not isinstance(optimum, Optimum):
        raise TypeError(f"optimum must be an Optimum, got {kind(optimum)}")
    table = matrix(X)
    if not isinstance(table, np.ndarray):
        table = table.tocsr()
    shape = tuple(table.shape)
    if len(shape) != 2 or shape[1] != optimum.weights.shape[-1]:
        raise ValueError(f"X must have the {optimum.weights.shape[-1]} columns of the fit, got shape {shape}")
    labels = real("y", y)
    s, shift = optional_real("sample_weight", sample_weight), optional_real("offset", offset)
    options: dict[str, Any] = {"sample_weight": s, "offset": shift, "n_threads": n_threads}
    slopes = loss_gradient(table, labels, optimum.weights, optimum.bias, **options)  # also checks shapes and values
    columns = _names(names, optimum, X, shape[1])
    rows = float(len(labels) if s is None else s.sum())
    _check_optimum(optimum, columns, rows)
    if not flag("fit_bias", fit_bias) and np.any(optimum.bias):
        raise ValueError(f"fit_bias must be True for a fit with a bias, got False and a bias of {text(optimum.bias)}")
    others = _others(reference, optimum)
    if word("covariance", covariance) not in COVARIANCES:
        raise ValueError(f"covariance must be one of 'fisher', 'HC0', 'HC1', 'cluster', got {covariance!r}")
    if optimum.solver == "firth" and covariance != "fisher":
        raise ValueError(f"covariance must be 'fisher' for a fit with firth=True, got {covariance!r}")
    if (clusters is not None) != (covariance == "cluster"):
        raise ValueError(f"clusters must be given with covariance='cluster' and only then, got {covariance!r}")

    labels = labels.astype(np.float64)
    s, shift = (None if given is None else given.astype(np.float64) for given in (s, shift))
    kept = np.setdiff1d(np.arange(shape[1]), [alias.column for alias in optimum.aliased]).astype(np.intp)
    if not len(kept) and not fit_bias:
        raise ValueError("optimum must have a column or a bias that was not left out, got none")
    basis, fisher = _basis(table, optimum, kept, s, shift, fit_bias, n_threads)
    firth = optimum.solver == "firth"
    known = shift
    if shift is not None:
        known = shift.reshape(len(labels), -1) if others is None else shift[:, others] - shift[:, [reference]]
    likelihood = (PenalisedLikelihood if firth else Likelihood)(table, labels, s, known, basis, kept, others)
    data = _Data(likelihood, shift, _estimates(optimum, reference, fit_bias), columns + (BIAS,) * fit_bias, n_threads)

    # `away` is the length of Newton's step from the optimum, in standard errors: large if the fit was to other data.
    if firth:
        here = likelihood.objective(data.at)
        away = math.sqrt(max(float(here.gradient @ np.linalg.solve(here.information, here.gradient)), 0.0))
    elif others is None:
        score = rows * np.append(slopes.weights[kept], slopes.bias if fit_bias else ()) @ basis.transform()
        away = float(np.linalg.norm(score))
    else:
        here = likelihood.expand(data.at)
        inverse = np.linalg.inv(here.information)
        fisher = likelihood.covariance(inverse)
        away = math.sqrt(max(float(here.gradient @ inverse @ here.gradient), 0.0))
    if not away <= NEAR:
        raise ValueError(
            f"optimum must be within {NEAR} standard errors of the maximum of the likelihood of X, y, sample_weight "
            f"and offset, with a bias if fit_bias, got one that is some {away:.2g} away: pass what was fitted, or fit "
            "more exactly"
        )
    found = fisher
    if covariance != "fisher":
        found = _robust(data, covariance, clusters, rows)

    entropy = _entropy(labels, s)
    null = rows * _null(labels, s, shift, None if others is None else len(others) + 1, fit_bias)
    full = np.full((len(data.estimates),) * 2, np.nan)
    full[np.ix_(data.estimated, data.estimated)] = (found + found.T) / 2
    estimates = np.full(len(full), np.nan)
    estimates[data.estimated] = data.estimates[data.estimated]
    log_likelihood = -rows * optimum.loss
    prefixes = [""] if others is None else [f"{code}:" for code in others]
    return Inference(
        names=tuple(prefix + column for prefix in prefixes for column in data.columns),
        estimates=estimates,
        covariance=full,
        covariance_type=covariance,
        left_out=tuple(columns[alias.column] for alias in optimum.aliased),
        n_rows=rows,
        log_likelihood=log_likelihood,
        penalised_log_likelihood=-rows * optimum.objective if firth else None,
        null_log_likelihood=null,
        deviance=-2 * (log_likelihood + entropy),
        null_deviance=-2 * (null + entropy),
        _data=data,
    )


class _Data:
    """The rows of a fit, and the coefficients estimated from them, for tests and intervals."""

    def __init__(
        self,
        likelihood: Likelihood,
        offset: Numbers | None,
        estimates: Numbers,
        columns: tuple[str, ...],
        n_threads: int | None,
    ) -> None:
        """`estimates` has shape (classes, columns). `columns` are names; the last is the bias's, if there is one.
        `offset` is that of the fit."""
        self.likelihood, self.offset, self.columns, self.n_threads = likelihood, offset, columns, n_threads
        self.estimates = estimates.ravel()
        kept = likelihood.columns
        self.has_bias = likelihood.basis.constant is not None
        within = np.append(kept, len(columns) - 1) if self.has_bias else kept
        self.estimated = np.add.outer(np.arange(0, estimates.size, len(columns)), within).ravel()
        bias = estimates[:, -1] if self.has_bias else np.zeros(len(estimates))
        self.at = likelihood.basis.coefficients(estimates[:, kept], bias).ravel()

    def position(self, column: Any) -> int:
        """The index, among one class's coefficients, of a column given by name or number, or of the bias by name."""
        if isinstance(column, str):
            if column in self.columns:
                return self.columns.index(column)
            raise ValueError(f"columns must be of {', '.join(map(repr, self.columns))}, got {column!r}")
        if isinstance(column, (int, np.integer)) and not isinstance(column, bool):
            if 0 <= column < len(self.columns) - self.has_bias:
                return int(column)
            raise ValueError(f"columns must be from 0 to {len(self.columns) - self.has_bias - 1}, got {column}")
        raise TypeError(f"columns must be named, or integers, got {kind(column)}")

    def profile(self, wanted: NDArray[np.intp], quantile: float) -> Numbers:
        best, top = self.likelihood.maximum(self.at)
        transform = self.likelihood.transform()

        def end(along: Numbers, root: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):  # a step that overflows is halved
                return float(along @ best) + self.likelihood.profile_bound(best, top, along, root)

        ends = np.full((len(wanted), 2), np.nan)
        for pair, coefficient in zip(ends, wanted, strict=True):
            if coefficient in self.estimated:
                along = transform[np.searchsorted(self.estimated, coefficient)]
                pair[:] = end(along, -quantile), end(along, quantile)
                if np.isnan(pair).any():
                    warnings.warn(
                        f"the profile interval of coefficient {coefficient} has an end that was not found, and is nan: "
                        "the labels may be nearly separated",
                        stacklevel=3,
                    )
        return ends

    def log_likelihood_without(self, coefficients: NDArray[np.intp], null: float) -> float:
        """The largest log-likelihood with these coefficients fixed at zero."""
        width = len(self.columns)
        remaining = np.setdiff1d(self.likelihood.columns, coefficients % width)
        fit_bias = self.has_bias and width - 1 not in coefficients
        if not len(remaining) and fit_bias == self.has_bias:
            return null
        y, s = self.likelihood.y, self.likelihood.sample_weight
        if not len(remaining):  # neither columns nor a bias: offsets alone
            classes = None if self.likelihood.classes is None else self.likelihood.scores + 1
            return (len(y) if s is None else float(s.sum())) * _null(y, s, self.offset, classes, fit_bias=False)
        options: dict[str, Any] = {"sample_weight": s, "offset": self.offset, "n_threads": self.n_threads}
        best = fit(self.likelihood.X[:, remaining], y, fit_bias=fit_bias, **options)
        if not best.converged:
            warnings.warn(f"the fit without the columns is not proved: {distance(best)}", stacklevel=3)
        return -(len(y) if s is None else float(s.sum())) * best.loss

    def penalised_ratio(self, coefficients: NDArray[np.intp]) -> float:
        """Twice the difference of the largest penalised log-likelihoods, overall and with these coefficients at 0."""
        assert isinstance(self.likelihood, PenalisedLikelihood)
        best, top = self.likelihood.maximum(self.at)
        along = self.likelihood.transform()[np.searchsorted(self.estimated, coefficients)]
        return 2 * (top.value - self.likelihood.constrained(best, along))

    def same_labels(self, other: _Data) -> bool:
        one, two = self.likelihood, other.likelihood
        s, t = (np.ones(len(each.y)) if each.sample_weight is None else each.sample_weight for each in (one, two))
        o, p = (0.0 if each.offset is None else each.offset for each in (self, other))
        are_same = one.scores == two.scores and np.array_equal(one.y, two.y) and np.array_equal(s, t)
        return are_same and bool(np.all(np.equal(o, p)))


def _names(names: Iterable[str] | None, optimum: Optimum, X: Any, n: int) -> tuple[str, ...]:
    """Names of the columns: those given, else those of the frame that `X` or the fit's X is, else x0, x1, …."""
    if names is None:
        names = feature_names(X) or optimum.feature_names or [f"x{column}" for column in range(n)]
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"names must be of type str, got {kind(name)}")
    if len(found) != n or len({*found, BIAS}) != n + 1:
        raise ValueError(f"names must be {n} different ones (one per column of X), none of them '(bias)', got {found}")
    return found


def _check_optimum(optimum: Optimum, columns: tuple[str, ...], rows: float) -> None:
    """Raise ValueError if standard errors would be meaningless for this optimum, and say why."""
    if optimum.objective != optimum.loss and optimum.solver != "firth":
        raise ValueError(
            "optimum must be a fit without penalty, since a penalty biases the weights, which standard errors do not "
            f"show, got a penalty of {optimum.objective - optimum.loss:.3g} in its objective: fit with l1=0 and l2=0, "
            "with firth=True, or resample rows and fit each time (bootstrap)"
        )
    if optimum.separation is not None:
        along = np.flatnonzero(np.atleast_2d(optimum.separation.weights).any(axis=0))
        apart = ", ".join(columns[column] for column in along) or BIAS
        raise ValueError(
            "optimum must be that of labels that are not separated, since else the likelihood has no maximum, got "
            f"labels that are separated along {apart}: leave such columns out, merge rare categories, or "
            f"{'fit with firth=True' if optimum.weights.ndim == 1 else 'compare two classes at a time with firth=True'}"
        )
    away = distance(optimum)
    if optimum.stop_reason == "uncertified":
        warnings.warn(f"the optimum is not proved, since no Hessian was made: {away}", stacklevel=3)
    elif not optimum.converged and not 2 * rows * optimum.gap <= NEAR**2:
        raise ValueError(
            f"optimum must be proved (converged), got one that was stopped by '{optimum.stop_reason}', where {away}: "
            "fit with more max_passes, and without tol"
        )


def _others(reference: Any, optimum: Optimum) -> list[int] | None:
    """The classes except the reference; None for two classes."""
    classes = len(optimum.weights) if optimum.weights.ndim == 2 else 1
    if not isinstance(reference, (int, np.integer)) or isinstance(reference, bool):
        raise TypeError(f"reference must be an integer, got {kind(reference)}")
    if not 0 <= reference < classes:
        raise ValueError(f"reference must be from 0 to {classes - 1}, got {reference}")
    return None if classes == 1 else [code for code in range(classes) if code != reference]


def _estimates(optimum: Optimum, reference: int, fit_bias: bool) -> Numbers:
    """Weights and bias of each class minus those of the reference class, shape (classes, columns). For two classes, the
    weights and bias as they are, shape (1, columns)."""
    found: Numbers = np.atleast_2d(optimum.weights).astype(np.float64)
    if fit_bias:
        found = np.column_stack([found, np.atleast_1d(optimum.bias).astype(np.float64)])
    return found if optimum.weights.ndim == 1 else np.delete(found - found[reference], reference, axis=0)


def _basis(
    X: Any,
    optimum: Optimum,
    kept: NDArray[np.intp],
    s: Numbers | None,
    offset: Numbers | None,
    fit_bias: bool,
    n_threads: int | None,
) -> tuple[Basis, Numbers]:
    """A linear transform of the rows (x_i, 1) to q_i with Σ v_i q_i q_iᵀ = 1; and (Σ v_i (x_i, 1) (x_i, 1)ᵀ)⁻¹.

    v_i is s_i times the variance of the row's label: σ'(z_i) for two classes, so that the inverse is the covariance of
    the estimates, and 1 - Σ_k p_ik² for more classes, with scores z_i and probabilities p_ik.
    """
    m, n = X.shape
    z = decision_function(X, optimum.weights, optimum.bias, n_threads=n_threads)
    z = z if offset is None else z + offset
    binary = z.ndim == 1
    v = sigmoid_derivative(z) if binary else 1 - (softmax(z) ** 2).sum(axis=1)
    v = v.astype(np.float64) if s is None else s * v
    total = float(v.sum())
    constant = 1 / math.sqrt(total) if fit_bias else None
    if not len(kept):
        return Basis(np.zeros(0), np.zeros((0, 0)), constant), np.full((int(fit_bias),) * 2, 1 / total)
    columns = X if len(kept) == n else X[:, kept]
    options: dict[str, Any] = {"fit_bias": fit_bias, "n_threads": n_threads}
    if binary:
        of_rows: dict[str, Any] = {"sample_weight": s, "offset": offset}
        inverse = _formulas.covariance(columns, optimum.weights[kept], optimum.bias, **of_rows, **options)
    else:  # `covariance` at scores of 0 has σ' = 1/4, hence the factor 4
        inverse = _formulas.covariance(columns, np.zeros(len(kept)), sample_weight=4 * v, **options)
    centre = np.zeros(len(kept))
    if fit_bias:  # at weights 0 and labels 0, residuals are 1/2, so the gradient is half the weighted mean of the rows
        means = gradient(X, np.zeros(m), np.zeros(n), sample_weight=v, n_threads=n_threads).weights
        centre = 2 * means[kept].astype(np.float64)
    return Basis(centre, np.linalg.cholesky(inverse[: len(kept), : len(kept)]), constant), inverse


def _robust(data: _Data, covariance: str, clusters: ArrayLike | None, rows: float) -> Numbers:
    """The robust covariance I⁻¹ G I⁻¹ times its factor.

    I is the Fisher information, and G is Σ g gᵀ over the gradients g of the log-likelihood of each row or cluster.
    """
    likelihood = data.likelihood
    codes = groups = None
    if clusters is not None:
        codes, groups = _codes(clusters, likelihood)
        if groups <= len(data.estimated):
            warnings.warn(
                f"the covariance by {groups} clusters of {len(data.estimated)} coefficients is singular: errors by so "
                "few clusters mean little",
                stacklevel=4,
            )
    k = len(data.estimated)
    factor = 1.0
    if covariance != "HC0":
        if not rows > k:
            raise ValueError(f"covariance must be 'fisher' or 'HC0' for {rows:g} rows, got {k} coefficients")
        factor = rows / (rows - k) if groups is None else groups / (groups - 1) * (rows - 1) / (rows - k)
    inverse = np.linalg.inv(likelihood.expand(data.at).information)
    return factor * likelihood.covariance(inverse @ likelihood.scatter(data.at, codes) @ inverse)


def _codes(clusters: ArrayLike, likelihood: Likelihood) -> tuple[NDArray[np.intp], int]:
    """An integer from 0 on for each row's cluster, and the number of clusters with a row of positive weight."""
    given = np.asarray(clusters)
    m, s = len(likelihood.y), likelihood.sample_weight
    if given.shape != (m,):
        raise ValueError(f"clusters must have length {m} (one per row of X), got shape {given.shape}")
    missing = np.flatnonzero(given != given)
    if len(missing):
        raise ValueError(f"clusters must name the cluster of every row, got {given[missing[0]]} at row {missing[0]}")
    try:
        codes = np.unique(given, return_inverse=True)[1]
    except TypeError as error:
        raise TypeError(f"clusters must be all numbers or all text, got {error}") from error
    groups = len(np.unique(codes if s is None else codes[s > 0]))
    if groups < 2:
        raise ValueError(f"clusters must be at least two, got {groups}")
    return codes, groups


def _entropy(y: Numbers, s: Numbers | None) -> float:
    """Σ s_i times the entropy of label y_i: the least cross-entropy that predictions can have; 0 for labels 0 and 1."""
    between = (y > 0) & (y < 1)
    part, weight = y[between], 1.0 if s is None else s[between]
    return float(-(weight * (part * np.log(part) + (1 - part) * np.log1p(-part))).sum())


def _null(y: Numbers, s: Numbers | None, offset: Numbers | None, classes: int | None, fit_bias: bool) -> float:
    """The largest mean log-likelihood of a model without columns."""
    if offset is not None:
        return 0.0 if fit_bias and np.all(y == y[0]) and y[0] in (0, 1) else -bias_alone(y, s, offset, fit_bias).loss
    if not fit_bias:
        return -math.log(classes or 2)
    if classes is None:
        share = float(np.average(y, weights=s))
        shares = np.array([1 - share, share])
    else:
        counts = np.bincount(y.astype(np.intp), weights=s, minlength=classes)
        shares = counts / counts.sum()
    shares = shares[shares > 0]
    return float(shares @ np.log(shares))


def _test(statistic: float, df: int) -> ChiSquareTest:
    """The chi-squared test with this statistic and these degrees of freedom.

    p is Q(df/2, x) with x = statistic / 2 and the regularised incomplete gamma function Q: Q(1/2, x) = erfc(√x),
    Q(1, x) = e^-x, and Q(a + 1, x) = Q(a, x) + x^a e^-x / Γ(a + 1) (Abramowitz and Stegun, 6.5.21). All terms are
    positive, so that p is accurate even if tiny.
    """
    statistic = max(statistic, 0.0)
    x = statistic / 2
    p, a = (math.erfc(math.sqrt(x)), 0.5) if df % 2 else (math.exp(-x), 1.0)
    while a < df / 2 and x > 0:
        p += math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        a += 1
    return ChiSquareTest(statistic, df, min(p, 1.0))
