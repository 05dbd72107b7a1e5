"""z, p-values, intervals and odds ratios, from estimates and their standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep._options import number, text

Numbers = NDArray[np.float64]


class Wald:
    """Base class of results with estimates and their standard errors, both of shape (q,); NaN where there is none."""

    estimates: Numbers
    standard_errors: Any

    @property
    def z(self) -> Numbers:
        """Wald's z: the estimates divided by their standard errors, shape (q,)."""
        ratios: Numbers = self.estimates / self.standard_errors
        return ratios

    @property
    def p(self) -> Numbers:
        """Two-sided p-values of `z` for a standard normal distribution, shape (q,); accurate even if tiny."""
        return np.array([math.erfc(abs(z) / math.sqrt(2)) for z in self.z.tolist()])

    @property
    def odds_ratios(self) -> Numbers:
        """e to the power of the estimates, shape (q,): the factor of the odds per unit of the column."""
        with np.errstate(over="ignore"):
            ratios: Numbers = np.exp(self.estimates)
        return ratios

    def wald_intervals(self, level: float = 0.95) -> Numbers:
        """The estimates plus and minus the normal quantile times their standard errors, shape (q, 2)."""
        margin = quantile(level)
        ends: Numbers = self.estimates[:, None] + np.outer(self.standard_errors, [-margin, margin])
        return ends


@dataclass(frozen=True, eq=False)
class Coefficients(Wald):
    """The coefficients of a model, as its report has them.

    First come the coefficients of the features, in their order, then that of the bias. For K >= 3 classes they are
    given class by class, for each class except the first, and are differences: the change of the log-odds of that class
    against the first.

    Attributes
    ----------
    names : tuple of str
        The features, and "(bias)".
    classes : tuple of str
        For each coefficient the class whose log-odds it changes.
    reference : str
        The class with which each of `classes` is compared.
    estimates : ndarray of float64, shape (q,)
        The coefficients; per standard deviation of the feature where the model standardizes.
    standard_errors : ndarray of float64, shape (q,)
        NaN where there is none: see `Report.no_errors`.

    Examples
    --------
    >>> hours, passed = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], [0, 0, 1, 0, 1, 0, 1, 1]
    >>> table = {"hours": hours, "passed": passed}
    >>> coefficients = gradstep.train(table).report(table).coefficients
    >>> coefficients.names, coefficients.standard_errors.round(3), coefficients.p.round(3)
    (('hours', '(bias)'), array([0.864, 2.121]), array([0.169, 0.207]))
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    reference: str
    estimates: Numbers
    standard_errors: Numbers


def quantile(level: Any) -> float:
    """The q for which a standard normal variable is between -q and q with probability `level`."""
    level = number("level", level)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {text(level)}")
    return -NormalDist().inv_cdf((1 - level) / 2)
