"""The log-likelihood near its maximum, its derivatives and its profile, for `gradstep.inference`.

The profile of a coefficient is the largest log-likelihood, over all other coefficients, for each of its values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[Any]
"""An array of float64."""

BLOCK = 2**16
"""Size of a block of rows, in numbers: so small that temporary arrays fit into a cache."""

SAFE = 0.5
"""Newton's method may end after a step that changes no score by more than this (in nats).

Over such a step, second derivatives change by a factor of at most e^0.5, and the next step would be at most half as
long: Bach, 2010, doi:10.1214/09-EJS521.
"""

FAR = 1.0
"""Newton's method goes on from a point only if the log-likelihood there is at most this many nats below the profile."""

CLOSE = 1e-9
"""Relative tolerance for the ends of profile intervals."""

MOST_STEPS = 100
"""The largest number of steps along the profile in the search for an end of an interval; also the largest number of
Newton steps from a point to the profile."""

MOST_CLIMBED = 30
"""The largest number of Newton steps from a point to the profile if steps are halved."""


class Basis(NamedTuple):
    """A linear transform of rows x to q = ((x - centre) @ root, constant): uncorrelated columns of mean 0, a constant.

    Computing with q loses no digits, even if columns of X are far from zero or nearly linear combinations of others.
    """

    centre: Numbers
    root: Numbers
    constant: float | None
    """The last component of q, which belongs to the bias; None if there is no bias."""

    def columns(self, X: Numbers) -> Numbers:
        Q = (X - self.centre) @ self.root
        return Q if self.constant is None else np.column_stack([Q, np.full(len(Q), self.constant)])

    def transform(self) -> Numbers:
        """The matrix T with (weights, bias) = T @ coefficients of q; gradients transform by its transpose."""
        if self.constant is None:
            return self.root
        n = len(self.root)
        transform = np.zeros((n + 1, n + 1))
        transform[:n, :n] = self.root
        transform[n, :n] = -self.centre @ self.root
        transform[n, n] = self.constant
        return transform

    def coefficients(self, weights: Numbers, bias: Numbers) -> Numbers:
        """The coefficients of q that give the same scores as these weights, shape (classes, n), and biases."""
        of_columns = np.linalg.solve(self.root, weights.T).T
        if self.constant is None:
            return of_columns
        return np.column_stack([of_columns, (bias + weights @ self.centre) / self.constant])


class Expansion(NamedTuple):
    """The log-likelihood Σ s_i ln p_i at some coefficients (`value`), its gradient, and -Hessian (`information`)."""

    value: float
    gradient: Numbers
    information: Numbers
    bound: Numbers | None = None
    """A positive definite upper bound of `information`, from `PenalisedLikelihood.objective`; else None."""

    def solve(self, free: Numbers, others: Numbers) -> tuple[Numbers, bool]:
        """The inverse of the information within the span of `free`, times `others`; and whether `bound` was inverted
        instead, because the information is not positive definite within this span."""
        within = free.T @ self.information @ free
        if self.bound is not None and not _is_definite(within):
            return free @ np.linalg.solve(free.T @ self.bound @ free, free.T @ others), True
        return free @ np.linalg.solve(within, free.T @ others), False


class _Ridge(NamedTuple):
    """A point of a profile: the maximum of the log-likelihood for a fixed value of along @ coefficients.

    `along` is a vector; along @ coefficients is a weight or a bias.
    """

    at: Numbers
    """The coefficients of the point."""
    value: float
    """The log-likelihood at the point, estimated by the quadratic expansion at the iterate before it."""
    gain: float
    """How much the last Newton step has increased the log-likelihood."""
    tangent: Numbers
    """The change of the coefficients along the profile per unit of along @ coefficients."""
    slope: float
    """The change of the log-likelihood along the profile per unit of along @ coefficients."""


class Likelihood:
    """The log-likelihood of rows, as a function of the coefficients of rows transformed by a `Basis`.

    For two classes there is one vector of coefficients. For more classes there is one for each class except the
    reference, whose score is 0; they are joined to one vector, class by class. The rows are read in blocks.
    """

    def __init__(
        self,
        X: Any,
        y: Numbers,
        sample_weight: Numbers | None,
        offset: Numbers | None,
        basis: Basis,
        columns: NDArray[np.intp],
        classes: list[int] | None,
    ) -> None:
        """`X` is an array or CSR; only its `columns` are used. `classes` are all except the reference; None for two
        classes. `offset` has a column for each of `classes`: the offsets of the class minus those of the reference. For
        two classes it has one column."""
        self.X, self.y, self.sample_weight, self.offset = X, y, sample_weight, offset
        self.basis, self.columns, self.classes = basis, columns, classes
        self.scores = 1 if classes is None else len(classes)
        self.width = len(columns) + (basis.constant is not None)

    def expand(self, at: Numbers) -> Expansion:
        """The log-likelihood and its first two derivatives; McCullagh and Nelder, 2nd ed., sections 4.4 and 5.2."""
        value = 0.0
        gradient = np.zeros((self.width, self.scores))
        information = self._square()
        for Q, targets, s, rows in self._blocks():
            z, p, normaliser = self._predict(Q, at, rows)
            value += float(s @ ((targets * z).sum(axis=1) - normaliser))
            gradient += Q.T @ (s[:, None] * (targets - p))
            _add_moments(information, Q, s[:, None, None] * _variances(p))
        return Expansion(value, gradient.T.ravel(), self._flat(information))

    def scatter(self, at: Numbers, clusters: NDArray[np.intp] | None) -> Numbers:
        """Σ s_i g_i g_iᵀ, with the gradient g_i of the log-likelihood of row i.

        With clusters, Σ G Gᵀ over the clusters, with G = Σ s_i g_i over the rows of a cluster.

        White, 1982, doi:10.2307/1912526; Liang and Zeger, 1986, doi:10.1093/biomet/73.1.13.
        """
        scatter = self._square()
        sums = np.zeros((0 if clusters is None else clusters.max() + 1, self.scores * self.width))
        for Q, targets, s, rows in self._blocks():
            residuals = targets - self._predict(Q, at, rows)[1]
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
            variances = _variances(self._predict(Q, at, rows)[1])
            found[rows] = (s > 0) * sum(
                variances[:, k, m] * ((Q @ inverse[k, :, m, :]) * Q).sum(axis=1)
                for k in range(self.scores)
                for m in range(self.scores)
            )
        return found

    def covariance(self, matrix: Numbers) -> Numbers:
        """The covariance of weights and biases, from `matrix`, the covariance of the coefficients of the basis."""
        transform = self.transform()
        return transform @ matrix @ transform.T

    def transform(self) -> Numbers:
        """The matrix that maps the coefficients of the basis to weights and bias, class by class."""
        return np.kron(np.eye(self.scores), self.basis.transform())

    def objective(self, at: Numbers) -> Expansion:
        """The expansion at these coefficients of the function to maximise: here, of the log-likelihood itself."""
        return self.expand(at)

    def maximum(self, at: Numbers) -> tuple[Numbers, Expansion]:
        """The coefficients of the maximum near `at`, by Newton's method, and the `objective` there."""
        found = self.objective(at)
        for _ in range(10):
            step = np.linalg.solve(found.information, found.gradient)
            gain = float(found.gradient @ step) / 2
            if gain <= CLOSE**2:
                break
            at = at + step
            found = self.objective(at)
        return at, found._replace(value=found.value + gain)

    def profile_bound(self, best: Numbers, top: Expansion, along: Numbers, root: float) -> float:
        """The end of the profile interval of along @ coefficients, minus the estimate; NaN if the end is not found.

        The profile is the largest log-likelihood for each value of along @ coefficients. An end of the interval solves
        the equation profile = maximum `top` - root² / 2; the sign of `root` says on which side. Newton steps for this
        equation alternate with Newton steps to the profile: Venzon and Moolgavkar, 1988, doi:10.2307/2347496. The end
        is bracketed, and a step that leads too far from the profile is halved.
        """
        sign, wanted = math.copysign(1.0, root), abs(root)
        inverse = np.linalg.solve(top.information, along)
        variance = float(along @ inverse)
        rounding = 16 * np.finfo(float).eps * abs(top.value)
        if wanted**3 <= rounding:  # the log-likelihood has fewer digits there than its quadratic expansion
            return sign * wanted * math.sqrt(variance)
        slack = CLOSE * wanted + rounding / wanted
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
            if abs(ridge.gain) ** 1.5 <= slack * wanted:  # the error of ridge.value is of the order gain^1.5
                if abs(wanted - found) <= slack:
                    return sign * (distance + step)
                nearer, farther = (distance, farther) if found < wanted else (nearer, distance)
            reached, on_profile, tangent = distance, ridge.at, sign * ridge.tangent
            distance += step
            if not nearer < distance < farther:
                distance = 2 * reached if farther == math.inf else (nearer + farther) / 2
        return self._searched(best, top, along, root)

    def _searched(self, best: Numbers, top: Expansion, along: Numbers, root: float) -> float:
        """The result of `profile_bound`, where Newton's method from its start does not find it.

        Bisection and secants find the distance from the estimate at which √(2 (maximum - profile)) is |`root`|. They
        are slower, but need no good start. At each distance, Newton's method with halved steps, from a point found
        before, finds a maximum over the other coefficients. The log-likelihood there is taken as the value of the
        profile.
        """
        sign, wanted = math.copysign(1.0, root), abs(root)
        free = np.linalg.qr(along[:, None], mode="complete")[0][:, 1:]
        inverse = np.linalg.solve(top.information, along)
        variance = float(along @ inverse)
        near, far = (0.0, 0.0), (math.inf, math.inf)  # a distance, and √(2 (maximum - profile)) there
        at, tangent = best, sign * inverse / variance
        distance = wanted * math.sqrt(variance)
        for step in range(MOST_STEPS):
            found = self._climbed(at + (distance - near[0]) * tangent, free)
            if found is None:
                distance = (near[0] + distance) / 2
                continue
            there, value = found
            lost = math.sqrt(max(2 * (top.value - value), 0.0))
            if lost < wanted:
                at, tangent = there, (there - at) / (distance - near[0])
                near = distance, lost
            else:
                far = distance, lost
            if far[0] == math.inf:
                distance = 2 * near[0]
            elif far[0] - near[0] <= CLOSE * far[0]:
                return sign * (near[0] + far[0]) / 2
            elif step % 2:
                distance = (near[0] + far[0]) / 2
            else:
                distance = near[0] + (far[0] - near[0]) * (wanted - near[1]) / (far[1] - near[1])
        return math.nan

    def _climbed(self, at: Numbers, free: Numbers) -> tuple[Numbers, float] | None:
        """The maximum that Newton's method with halved steps reaches within the span of `free`, and the value there.

        None if the information is singular on the way.
        """
        here = self._tried(at)
        for _ in range(MOST_CLIMBED if here and free.size else 0):
            assert here is not None
            try:
                step, _ = here.solve(free, here.gradient)
            except np.linalg.LinAlgError:
                return None
            gain = float(here.gradient @ step) / 2
            if gain <= CLOSE**2:
                break
            length = 1.0
            while (then := self._tried(at + length * step)) is None or not then.value >= here.value:
                length /= 2
                if length < 1e-6:
                    return at, here.value
            at, here = at + length * step, then
        return None if here is None else (at, here.value)

    def _tried(self, at: Numbers) -> Expansion | None:
        """The `objective`; None where the information is singular or numbers are not finite."""
        try:
            found = self.objective(at)
        except np.linalg.LinAlgError:
            return None
        return found if np.isfinite(found.information).all() and math.isfinite(found.value) else None

    def _ridge(self, at: Numbers, along: Numbers) -> _Ridge | None:
        """The point of the profile with the same along @ coefficients as `at`, by Newton's method; None if the profile
        is more than `FAR` above an iterate, or is not reached."""
        free = np.linalg.qr(along[:, None], mode="complete")[0][:, 1:]
        unit = along / (along @ along)
        try:
            here = self.objective(at)
            for _ in range(MOST_STEPS):
                # The likelihood may be flat in the direction of the profile, so only the information of the other
                # directions is inverted.
                solved, is_bound = here.solve(free, np.column_stack([here.gradient, here.information @ unit]))
                step, tangent = solved[:, 0], unit - solved[:, 1]
                gain = float(here.gradient @ step) / 2
                if not gain <= FAR:
                    return None
                if self._reach(step) <= SAFE and not is_bound:
                    return _Ridge(at + step, here.value + gain, gain, tangent, float(here.gradient @ tangent))
                at = at + step
                here = self.objective(at)
        except np.linalg.LinAlgError:
            return None
        return None

    def _reach(self, step: Numbers) -> float:
        """The largest change, over the rows, of the difference between the scores of two classes by this step."""
        reach = 0.0
        for Q, _, s, _ in self._blocks():
            changes = (s > 0)[:, None] * (Q @ step.reshape(self.scores, self.width).T)
            ranges = np.maximum(changes.max(axis=1), 0.0) - np.minimum(changes.min(axis=1), 0.0)
            reach = max(reach, float(ranges.max()))
        return reach

    def _blocks(self) -> Iterator[tuple[Numbers, Numbers, Numbers, slice]]:
        """Yield for each block of rows: the transformed rows, targets, sample weights, and which rows these are.

        Targets are `y` for two classes; else a column per class, which is 1 for rows of that class and 0 for others.
        """
        length = max(BLOCK // ((self.width + 1) * (self.scores + 1)), 1)
        everything = len(self.columns) == self.X.shape[1]
        for start in range(0, len(self.y), length):
            rows = slice(start, start + length)
            block = self.X[rows]
            block = np.asarray(block.toarray() if hasattr(block, "toarray") else block, np.float64)
            block = block if everything else block[:, self.columns]
            y = self.y[rows, None]
            s = np.ones(len(y)) if self.sample_weight is None else self.sample_weight[rows]
            if not s.all():  # rows of weight 0 may hold numbers so large that their scores overflow
                block = np.where(s[:, None] > 0, block, self.basis.centre)
            targets = y if self.classes is None else (y == self.classes).astype(np.float64)
            yield self.basis.columns(block), targets, s, rows

    def _predict(self, Q: Numbers, at: Numbers, rows: slice) -> tuple[Numbers, Numbers, Numbers]:
        """Scores and probabilities of the classes except the reference, and ln Σ e^z over all classes."""
        z = Q @ at.reshape(self.scores, self.width).T
        if self.offset is not None:
            z = z + self.offset[rows]
        top = np.maximum(z.max(axis=1), 0.0)
        powers = np.exp(z - top[:, None])
        total = powers.sum(axis=1) + np.exp(-top)
        return z, powers / total[:, None], top + np.log(total)

    def _square(self) -> Numbers:
        return np.zeros((self.scores, self.width, self.scores, self.width))

    def _flat(self, square: Numbers) -> Numbers:
        return square.reshape(self.scores * self.width, -1)


class PenalisedLikelihood(Likelihood):
    """Firth's penalised log-likelihood of two classes: Σ s_i ln p_i + ln det(I) / 2, with the information I.

    Firth, 1993, doi:10.1093/biomet/80.1.27; Heinze and Schemper, 2002, doi:10.1002/sim.1047. I is always the
    information of all coefficients, also where some of them are fixed, as in R's logistf.
    """

    def objective(self, at: Numbers) -> Expansion:
        """Firth's penalised log-likelihood, its gradient, its exact -Hessian, and an upper bound of that as `bound`."""
        value, gradient, information, _ = self.expand(at)
        root = np.linalg.cholesky(information)
        inverse = np.linalg.inv(root)
        less, more = np.zeros_like(information), np.zeros_like(information)
        cubes = np.zeros((self.width**2, self.width))
        for Q, _, s, rows in self._blocks():
            p = self._predict(Q, at, rows)[1][:, 0]
            c, slope = 1 - 2 * p, p * (1 - p)
            U = Q @ inverse.T
            h = s * slope * (U**2).sum(axis=1)
            gradient = gradient + Q.T @ (h * c / 2)
            less += U.T @ ((h * (3 * slope - 0.5))[:, None] * U)
            more += U.T @ ((h * slope)[:, None] * U)
            pairs = (U[:, :, None] * U[:, None, :]).reshape(len(U), -1)
            cubes += pairs.T @ ((s * slope * c)[:, None] * U)
        exact = information + root @ (less + cubes.T @ cubes / 2) @ root.T
        return Expansion(
            value + float(np.log(np.diagonal(root)).sum()), gradient, exact, information + root @ more @ root.T
        )

    def constrained(self, best: Numbers, along: Numbers) -> float:
        """The largest value of the `objective` that is found where ``along @ coefficients == 0``; NaN if none is found.

        Newton's method is started twice: from the point nearest to `best` with ``along @ coefficients == 0``, and from
        zero.
        """
        rows = np.linalg.qr(along.T, mode="complete")[0].T
        fixed, free = rows[: len(along)], rows[len(along) :].T
        found = [self._climbed(at, free) for at in (best - fixed.T @ (fixed @ best), np.zeros(len(best)))]
        return max((value for _, value in filter(None, found)), default=math.nan)


def _is_definite(matrix: Numbers) -> bool:
    """Whether a symmetric matrix is positive definite."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _variances(p: Numbers) -> Numbers:
    """The matrix diag(p) - p pᵀ for the probabilities p of each row."""
    variances = -p[:, :, None] * p[:, None, :]
    diagonal = np.arange(p.shape[1])
    variances[:, diagonal, diagonal] += p
    return variances


def _add_moments(square: Numbers, Q: Numbers, weights: Numbers) -> None:
    """Add Σ_i weights[i, k, l] q_i q_iᵀ to the block `square[k, :, l, :]` for each k, l, where q_i are the rows of Q.

    Only half of the blocks are computed, since the weights are symmetric in k and l.
    """
    for k in range(weights.shape[1]):
        for m in range(k + 1):
            moments = Q.T @ (weights[:, k, m, None] * Q)
            square[k, :, m, :] += moments
            if m < k:
                square[m, :, k, :] += moments.T
