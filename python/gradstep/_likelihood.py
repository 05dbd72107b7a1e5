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

SAFE = 0.5
"""How much a step of Newton's method may change a score, in nats, to be the last.

No curvature changes by more than a factor of e^0.5 then, and the next step would be at most half as long: Bach, 2010,
doi:10.1214/09-EJS521.
"""

FAR = 1.0
"""How far, in nats, a point may be below the profile for Newton's method to go there from it."""

CLOSE = 1e-9
"""Relative tolerance of the ends of profile intervals."""

MOST_STEPS = 100
"""Steps along the profile, or to it, that the search of an end of an interval may take."""


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


class _Ridge(NamedTuple):
    """A point of the profile of along·coefficients."""

    at: Numbers
    """Its coefficients, after Newton's last step."""
    value: float
    """The log-likelihood there, by the second order of that step."""
    gain: float
    """How much of it is by that step."""
    tangent: Numbers
    """How the coefficients change along the profile, by one unit of along·coefficients."""
    slope: float
    """How the log-likelihood does: the multiplier of Lagrange."""


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
        """The leverage of each row: the trace of its block of the hat matrix; 0 for rows of weight 0.

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
        1988, doi:10.2307/2347496. The root is bracketed, and a step that leads too far from the profile is halved.
        NaN if the root is not found.
        """
        sign, wanted = math.copysign(1.0, root), abs(root)
        slack = CLOSE * wanted + 16 * np.finfo(float).eps * abs(top.value) / wanted
        inverse = np.linalg.solve(top.information, along)
        variance = float(along @ inverse)
        reached, on_profile, tangent = 0.0, best, sign * inverse / variance
        nearer, farther = 0.0, math.inf
        distance = wanted * math.sqrt(variance)
        for _ in range(MOST_STEPS):
            ridge = self._ridge(on_profile + (distance - reached) * tangent, along)
            if ridge is None:
                distance = (reached + distance) / 2
                continue
            found = math.sqrt(max(2 * (top.value - ridge.value), 0.0))
            step = (wanted - found) * found / max(-sign * ridge.slope, np.finfo(float).tiny)
            if abs(ridge.gain) ** 1.5 <= slack * wanted:  # which is the order of what it is off by
                if abs(wanted - found) <= slack:
                    return sign * (distance + step)
                nearer, farther = (distance, farther) if found < wanted else (nearer, distance)
            reached, on_profile, tangent = distance, ridge.at, sign * ridge.tangent
            distance += step
            if not nearer < distance < farther:
                distance = 2 * reached if farther == math.inf else (nearer + farther) / 2
        return math.nan

    def _ridge(self, at: Numbers, along: Numbers) -> _Ridge | None:
        """The profile at the same along·coefficients, by Newton's method; None if it is too far away."""
        free = np.linalg.qr(along[:, None], mode="complete")[0][:, 1:]
        unit = along / (along @ along)
        here = self.expand(at)
        for _ in range(MOST_STEPS):
            # Along the profile the likelihood may be flat: only the information of other directions is solved with.
            try:
                solved = np.linalg.solve(
                    free.T @ here.information @ free,
                    free.T @ np.column_stack([here.gradient, here.information @ unit]),
                )
            except np.linalg.LinAlgError:
                return None
            step, tangent = free @ solved[:, 0], unit - free @ solved[:, 1]
            gain = float(here.gradient @ step) / 2
            if not gain <= FAR:
                return None
            if self._reach(step) <= SAFE:
                return _Ridge(at + step, here.value + gain, gain, tangent, float(here.gradient @ tangent))
            at = at + step
            here = self.expand(at)
        return None

    def _reach(self, step: Numbers) -> float:
        """How much a step changes the score of a row's class, at most, compared with that of another class."""
        reach = 0.0
        for Q, _, s, _ in self._blocks():
            changes = (s > 0)[:, None] * (Q @ step.reshape(self.scores, self.width).T)
            ranges = np.maximum(changes.max(axis=1), 0.0) - np.minimum(changes.min(axis=1), 0.0)
            reach = max(reach, float(ranges.max()))
        return reach

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
