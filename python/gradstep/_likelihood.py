"""The log-likelihood of rows around its maximum, and how it falls off: what `gradstep.inference` is computed from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[Any]
"""float64."""

BLOCK = 2**16
"""Numbers of a block of rows, so that temporary arrays are small beside X and fit into a cache."""

RIDGE = 0.05
"""How far, in nats, a point may be below the profile that it is taken to lie on; Newton's method is safe then."""

CLOSE = 1e-9
"""Relative tolerance of the ends of profile intervals, and the nats that may be left to the profile."""


class Basis(NamedTuple):
    """Columns that are centred, uncorrelated and of one size: q = ((x - centre) @ root, constant).

    In them nothing cancels where columns of X are far from zero or nearly dependent.
    """

    centre: Numbers
    root: Numbers
    constant: float | None
    """None where there is no bias."""

    def columns(self, X: Numbers) -> Numbers:
        Q = (X - self.centre) @ self.root
        return Q if self.constant is None else np.column_stack([Q, np.full(len(Q), self.constant)])

    def transform(self) -> Numbers:
        """From coefficients of these columns to weights and bias: the transpose takes the gradient the other way."""
        if self.constant is None:
            return self.root
        n = len(self.root)
        transform = np.zeros((n + 1, n + 1))
        transform[:n, :n] = self.root
        transform[n, :n] = -self.centre @ self.root
        transform[n, n] = self.constant
        return transform

    def coefficients(self, weights: Numbers, bias: Numbers) -> Numbers:
        """Of weights of shape (classes, n) and one bias per class, the coefficients of these columns."""
        of_columns = np.linalg.solve(self.root, weights.T).T
        if self.constant is None:
            return of_columns
        return np.column_stack([of_columns, (bias + weights @ self.centre) / self.constant])


class Expansion(NamedTuple):
    """The log-likelihood at some coefficients to second order: Σ s_i ln p_i, its gradient, and minus its Hessian."""

    value: float
    gradient: Numbers
    information: Numbers


class Likelihood:
    """The log-likelihood of rows, as a function of coefficients of the columns of a `Basis`.

    There is a vector of coefficients per class but the reference, whose score is 0; of two classes, one vector.
    Coefficients are flat, class by class. The rows are read in blocks.
    """

    def __init__(
        self,
        X: Any,
        y: Numbers,
        sample_weight: Numbers | None,
        basis: Basis,
        columns: NDArray[np.intp],
        classes: list[int] | None,
    ) -> None:
        """`X` is an array or CSR, of which `columns` count; `classes` are those but the reference, or None of two."""
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.basis, self.columns, self.classes = basis, columns, classes
        self.scores = 1 if classes is None else len(classes)
        self.width = len(columns) + (basis.constant is not None)

    def expand(self, at: Numbers) -> Expansion:
        """The log-likelihood and its first two derivatives; McCullagh and Nelder, 2nd ed., sections 4.4 and 5.2."""
        value = 0.0
        gradient = np.zeros((self.width, self.scores))
        information = self._square()
        for Q, targets, s, _ in self._blocks():
            z, p, normaliser = self._predict(Q, at)
            value += float(s @ ((targets * z).sum(axis=1) - normaliser))
            gradient += Q.T @ (s[:, None] * (targets - p))
            _add_moments(information, Q, s[:, None, None] * _variances(p))
        return Expansion(value, gradient.T.ravel(), self._flat(information))

    def scatter(self, at: Numbers, clusters: NDArray[np.intp] | None) -> Numbers:
        """Σ g_i g_iᵀ, g_i being the gradient by one row, s_i times; or by all rows of cluster i.

        White, 1982, doi:10.2307/1912526; Liang and Zeger, 1986, doi:10.1093/biomet/73.1.13.
        """
        scatter = self._square()
        sums = np.zeros((0 if clusters is None else clusters.max() + 1, self.scores * self.width))
        for Q, targets, s, rows in self._blocks():
            residuals = targets - self._predict(Q, at)[1]
            if clusters is None:
                _add_moments(scatter, Q, s[:, None, None] * residuals[:, :, None] * residuals[:, None, :])
            else:
                gradients = (s[:, None] * residuals)[:, :, None] * Q[:, None, :]
                np.add.at(sums, clusters[rows], gradients.reshape(len(Q), -1))
        return self._flat(scatter) if clusters is None else sums.T @ sums

    def leverage(self, at: Numbers) -> Numbers:
        """The trace of each row's block of the hat matrix, 0 for rows that do not count.

        Pregibon, 1981, doi:10.1214/aos/1176345513.
        """
        inverse = np.linalg.inv(self.expand(at).information).reshape(self._square().shape)
        found = np.empty(len(self.y))
        for Q, _, s, rows in self._blocks():
            variances = _variances(self._predict(Q, at)[1])
            found[rows] = (s > 0) * sum(
                variances[:, k, m] * ((Q @ inverse[k, :, m, :]) * Q).sum(axis=1)
                for k in range(self.scores)
                for m in range(self.scores)
            )
        return found

    def covariance(self, matrix: Numbers) -> Numbers:
        """The covariance of weights and biases, from that of the coefficients here."""
        transform = self.transform()
        return transform @ matrix @ transform.T

    def transform(self) -> Numbers:
        """Its rows make weights and bias, class by class, from the coefficients here."""
        return np.kron(np.eye(self.scores), self.basis.transform())

    def maximum(self, at: Numbers) -> tuple[Numbers, Expansion]:
        """Coefficients of the maximum near `at`, to the last digits, and the log-likelihood there."""
        found = self.expand(at)
        for _ in range(10):
            step = np.linalg.solve(found.information, found.gradient)
            gain = float(found.gradient @ step) / 2
            if gain <= CLOSE**2:
                break
            at = at + step
            found = self.expand(at)
        return at, found._replace(value=found.value + gain)

    def profile_bound(self, best: Numbers, top: Expansion, along: Numbers, root: float) -> float:
        """How far along·coefficients is from its maximum where the profile's signed root of the deviance is `root`.

        The profile is the largest log-likelihood for each value of along·coefficients. Each step is one of Newton's
        towards the profile, and at the same time one of Newton's along it, towards the root: Venzon and Moolgavkar,
        1988, doi:10.2307/2347496. The root is bracketed, and steps along the profile are made only from near it.
        """
        sign, wanted = math.copysign(1.0, root), abs(root)
        slack = CLOSE * wanted + 16 * np.finfo(float).eps * abs(top.value) / wanted
        inverse_along = np.linalg.solve(top.information, along)
        distance = wanted * math.sqrt(float(along @ inverse_along))
        nearer, farther = 0.0, math.inf
        at = best + inverse_along * (sign * distance / (along @ inverse_along))
        before: tuple[Numbers, float] | None = None  # of a step towards the profile, at the same distance
        for _ in range(200):
            here = self.expand(at)
            if before is not None and not here.value >= before[1]:  # it was too long
                at = (at + before[0]) / 2
                continue
            to_top, inverse_along = np.linalg.solve(here.information, np.column_stack([here.gradient, along])).T
            slope = float(along @ to_top / (along @ inverse_along))  # of the profile: the multiplier of Lagrange
            to_profile = to_top - slope * inverse_along
            gain = float(here.gradient @ to_profile) / 2
            if gain > RIDGE:
                before = at, here.value
                at = at + to_profile
                continue
            before = None
            found = math.sqrt(max(2 * (top.value - here.value - gain), 0.0))
            step = (wanted - found) * found / max(-sign * slope, np.finfo(float).tiny)
            if abs(wanted - found) <= slack and gain <= CLOSE:
                return sign * (distance + step)
            nearer, farther = (distance, farther) if found < wanted else (nearer, distance)
            further = distance + step
            if not nearer < further < farther:
                further = 2 * distance if farther == math.inf else (nearer + farther) / 2
            at = at + to_profile + inverse_along * (sign * (further - distance) / (along @ inverse_along))
            distance = further
        return math.nan

    def _blocks(self) -> Iterator[tuple[Numbers, Numbers, Numbers, slice]]:
        """Columns of the basis, targets (1 for the row's class, else 0; or `y` itself) and weights of some rows."""
        length = max(BLOCK // ((self.width + 1) * (self.scores + 1)), 1)
        everything = len(self.columns) == self.X.shape[1]
        for start in range(0, len(self.y), length):
            rows = slice(start, start + length)
            block = self.X[rows]
            block = np.asarray(block.toarray() if hasattr(block, "toarray") else block, np.float64)
            block = block if everything else block[:, self.columns]
            y = self.y[rows, None]
            s = np.ones(len(y)) if self.sample_weight is None else self.sample_weight[rows]
            if not s.all():  # what does not count may be so large that it overflows
                block = np.where(s[:, None] > 0, block, self.basis.centre)
            targets = y if self.classes is None else (y == self.classes).astype(np.float64)
            yield self.basis.columns(block), targets, s, rows

    def _predict(self, Q: Numbers, at: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Scores and probabilities of the classes but the reference, and the logarithm of the sum of e^z of all."""
        z = Q @ at.reshape(self.scores, self.width).T
        top = np.maximum(z.max(axis=1), 0.0)
        powers = np.exp(z - top[:, None])
        total = powers.sum(axis=1) + np.exp(-top)
        return z, powers / total[:, None], top + np.log(total)

    def _square(self) -> Numbers:
        return np.zeros((self.scores, self.width, self.scores, self.width))

    def _flat(self, square: Numbers) -> Numbers:
        return square.reshape(self.scores * self.width, -1)


def _variances(p: Numbers) -> Numbers:
    """diag(p) - p pᵀ of each row."""
    variances = -p[:, :, None] * p[:, None, :]
    diagonal = np.arange(p.shape[1])
    variances[:, diagonal, diagonal] += p
    return variances


def _add_moments(square: Numbers, Q: Numbers, weights: Numbers) -> None:
    """Add Σ weights_ikl q_i q_iᵀ to each block (k, l); both are symmetric."""
    for k in range(weights.shape[1]):
        for m in range(k + 1):
            moments = Q.T @ (weights[:, k, m, None] * Q)
            square[k, :, m, :] += moments
            if m < k:
                square[m, :, k, :] += moments.T
