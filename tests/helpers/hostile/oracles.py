"""The truth about a table, found without gradstep: its minimum, or that there is none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, solve_triangular
from scipy.optimize import linprog
from scipy.sparse import issparse

from helpers.hostile.integers import EPS, PRIME, Wide, exact_columns, exact_scores, find_basis, quiet, rank_profile
from helpers.hostile.tables import Table

Array = npt.NDArray[Any]
TINY = Wide("1e-4000")


# --- the minimum ------------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """Scores `A` θ `C`ᵀ of rows with one label each and weights that sum to 1, and the penalty ½ |`P` θ|²."""

    A: Array
    P: Array
    labels: Array
    weights: Array
    C: Array  # (K, c): from the c scores of a row to a score for each class


class Value(NamedTuple):
    """The objective, its gradient and the probabilities of the classes, and bounds of the rounding."""

    objective: Any
    error: Any
    gradient: Array
    gradient_error: Array
    p: Array


def contrasts(classes: int) -> Array:
    """The matrix `C` of `Rows`. For two classes scores are 0 and z; for more, C is an orthonormal basis of the scores
    that sum to zero, which leaves the penalty as it is."""
    if classes == 2:
        return np.array([[0], [1]], Wide)
    C = np.zeros((classes, classes - 1), Wide)
    for k in range(1, classes):
        C[:k, k - 1], C[k, k - 1] = 1, -k
    return C / np.sqrt((C**2).sum(axis=0))


def losses(scores: Array, labels: Array) -> tuple[Array, Array, Array]:
    """The cross-entropy of each row, the probabilities, and the probabilities minus 1 for the label, without
    cancellation."""
    row = np.arange(len(labels))
    distance = scores - scores[row, labels][:, None]
    top = distance.argmax(axis=1)
    e = np.exp(distance - distance[row, top][:, None])
    p = e / e.sum(axis=1, keepdims=True)
    residual = p.copy()
    residual[row, labels] = 0
    residual[row, labels] = -residual.sum(axis=1)
    e[row, top] = 0
    return distance[row, top] + np.log1p(e.sum(axis=1)), p, residual


def evaluate(rows: Rows, theta: Array) -> Value:
    A, P, labels, s, C = rows
    loss, p, residual = losses(A @ theta @ C.T, labels)
    weighted, penalised = s[:, None] * residual, P @ theta
    size, sizes = np.abs(A) @ np.abs(theta) @ np.abs(C).T, np.abs(P) @ np.abs(theta)  # rounding is relative to these
    objective = (s * loss).sum() + (penalised**2).sum() / 2
    error = (len(A) + sum(theta.shape) + 6) * ((np.abs(weighted) * size).sum() + (np.abs(penalised) * sizes).sum())
    gradient = A.T @ (weighted @ C) + P.T @ penalised
    spread = np.abs(weighted) + s[:, None] * p * (1 - p) * size
    gradient_error = 4 * EPS * (np.abs(A).T @ (spread @ np.abs(C)) + np.abs(P).T @ sizes)
    return Value(objective, EPS * (error + 16 * objective), gradient, gradient_error, p)


def newton(rows: Rows, at: Value, damped: bool = False) -> tuple[Array, Any, Any]:
    """Newton's step, the square of its length under the Hessian, and a function that bounds `at.objective` − minimum.

    The Hessian is RᵀR, from roots of its rows, the largest first. Where it is damped, rows far on the wrong side, whose
    curvature vanishes, get that of a parabola through their loss.

    The bound is Bach's (Self-concordant analysis for logistic regression, 2010): on a line along which no difference of
    two scores changes by more than ρ per unit of length, φ'' falls at most by e^(-ρt). With a step of length λ and
    λρ < 1 there is a minimum, and it is at most −λt + (ρt − 1 + e^(-ρt))/ρ² lower, where e^(-ρt) = 1 − λρ.
    """
    A, P, labels, s, C = rows
    p, c = at.p, C.shape[1]
    if damped:
        right = p[np.arange(len(labels)), labels][:, None]
        part = (1 - right) / (1 - np.log(np.maximum(right, TINY)))
        p = (1 - part) * p + part * np.eye(len(C))[labels]
    if len(C) == 2:
        root = np.sqrt(s * p[:, 0] * p[:, 1])[:, None] * A
    else:
        root = (np.sqrt(s[:, None] * p)[:, :, None] * (C[None] - (p @ C)[:, None]))[..., None] * A[:, None, None]
    root = np.vstack([root.reshape(-1, c * A.shape[1]), np.kron(np.eye(c), P)])
    norms = np.maximum(np.sqrt((root**2).sum(axis=0)), Wide(1e-300))
    root = (root / norms).astype(np.float64)
    R, order = qr(root[np.argsort(-np.abs(root).max(axis=1))], mode="r", pivoting=True, check_finite=False)
    R, norms = R[: len(norms)], norms.astype(np.float64)
    R[np.diag_indices(len(norms))] += np.where(np.diag(R) == 0, 1e-300, 0)

    def solve(u: Array) -> Array:
        return solve_triangular(R, (u / norms)[..., order].T.astype(np.float64), trans="T", check_finite=False)

    y, step = solve(at.gradient.T.ravel()), np.zeros(len(norms), Wide)
    step[order] = -solve_triangular(R, y, check_finite=False)

    def bound() -> Any:
        rounding = np.abs(solve(np.eye(len(norms)))) @ at.gradient_error.T.ravel().astype(np.float64)
        pairs = [C[k] - C[j] for k in range(len(C)) for j in range(k)]
        rho = 1.01 * Wide(max(np.linalg.norm(solve(np.kron(pair, A)), axis=0).max() for pair in pairs))
        length = 1.01 * Wide(np.linalg.norm(y) + np.linalg.norm(rounding))  # 1.01: R is rounded
        diagonal, product = np.abs(np.diag(R)), length * rho
        if not product < 0.9 or diagonal.min() < 1e-13 * diagonal.max():
            return Wide(np.inf)
        return (
            length**2 / 2 * (1 + product) if product < 1e-6 else (product + (1 - product) * np.log1p(-product)) / rho**2
        )

    return (step / norms).reshape(c, -1).T, Wide(y @ y), bound


def search(rows: Rows, theta: Array, at: Value, damped: bool, step: Array, squared: Any) -> tuple[Any, Array, Value]:
    """Halves the step until the objective decreases enough; scores grow tenfold at most."""
    largest = np.abs(rows.A @ theta).max()
    length = min(Wide(1), 10 * max(largest, Wide(10)) / np.abs(rows.A @ step).max(initial=TINY))
    trial = evaluate(rows, theta + length * step)
    while not trial.objective <= at.objective - 1e-4 * length * squared and length > 1e-30:
        length /= 2
        trial = evaluate(rows, theta + length * step)
    if length < 0.3 and not damped:
        other = search(rows, theta, at, True, *newton(rows, at, damped=True)[:2])
        if other[2].objective < trial.objective:
            return other
    return length, theta + length * step, trial


def minimise(rows: Rows, separable: Any) -> tuple[Value, Any, bool]:
    """The last value of Newton's method; how much lower the minimum may be, infinite if no minimum is proved to exist;
    and whether there is no minimum. `separable` decides that if the method is slow."""
    theta = np.zeros((rows.A.shape[1], rows.C.shape[1]), Wide)
    at, separated, before = evaluate(rows, theta), None, Wide(np.inf)
    for turn in range(300):
        step, squared, bound = newton(rows, at)
        invisible = squared < 1e-13 * at.objective  # the decrease of the objective is nearly its rounding
        converged = squared <= 1e-20 * at.objective and (separated or np.isfinite(bound()))
        if converged or (invisible and squared > 0.7 * before) or (separated and (turn > 90 or at.objective < 1e-30)):
            break
        if turn in (12, 100) and separated is None:
            separated = separable(theta)
        before, trial = squared, (Wide(1), theta + step, evaluate(rows, theta + step))
        if not invisible:
            trial = search(rows, theta, at, False, step, squared)
            if not trial[2].objective < at.objective:
                break
        _, theta, at = trial
    below = Wide(np.inf) if separated else newton(rows, at)[2]()
    if separated is None and not np.isfinite(below):
        separated = separable(theta)
    return at, below, bool(separated)


# --- separation -------------------------------------------------------------------------------------------------------


def find_separation(A: Array, labels: Array, C: Array, residues: Array) -> bool | None:
    """Whether a direction puts no row on the wrong side between its label and another class, and some on the right one.

    `True` is proved: of the rows on the hyperplane the rank is known exactly, from their residues modulo PRIME, and
    the direction, projected on their null space, has the other rows clearly on the right side. `False` is what linear
    programming says, and `None` is that it found a direction which was not proved.
    """
    K = len(C)
    pairs = [(labels == y, y, k) for y in range(K) for k in range(K) if k != y]
    D = np.vstack([np.kron(C[y] - C[k], A[chosen]) for chosen, y, k in pairs])
    sign = np.eye(K, dtype=np.int64)[:, 1:]
    exact = np.vstack([np.kron(sign[y] - sign[k], residues[chosen]) for chosen, y, k in pairs]) % PRIME
    D, first = np.unique(D, axis=0, return_index=True)
    D, exact = D[(D != 0).any(axis=1)], exact[first][(D != 0).any(axis=1)]
    for _ in range(5):  # makes rows of length 1 spread evenly over all directions
        D = D / np.sqrt((D**2).sum(axis=1, keepdims=True))
        R = qr(D.astype(np.float64), mode="r", check_finite=False)[0][: D.shape[1]]
        if np.abs(np.diag(R)).min() < 1e-13 * np.abs(np.diag(R)).max():
            break
        D = D @ solve_triangular(R, np.eye(len(R)))
    D = (D / np.sqrt((D**2).sum(axis=1, keepdims=True))).astype(np.float64)
    # If rounding moves rows off a hyperplane that has rows of both labels, the presolve of HiGHS finds only zero.
    options = {"presolve": False}
    best = linprog(-D.sum(axis=0), A_ub=-D, b_ub=np.zeros(len(D)), bounds=(-1, 1), method="highs-ds", options=options)
    if best.status != 0:
        return None
    margins = D @ best.x
    if margins.max() < 1e-5:
        return False
    for threshold in (1e-9, 3e-8, 1e-6, 1e-5, 1e-4):
        ties, direction, certainty = margins < threshold, best.x, 1e-11
        rank = len(rank_profile(exact[ties]))
        if ties.all() or rank == D.shape[1]:
            continue
        if rank > 0:
            _, singular, V = np.linalg.svd(D[ties], full_matrices=False)
            if singular[rank - 1] < 1e-6 * singular[0]:
                continue
            certainty *= singular[0] / singular[rank - 1]
            direction = direction - V[:rank].T @ (V[:rank] @ direction)
        if (D[~ties] @ direction).min() > certainty * max(np.linalg.norm(direction), 1e-3):
            return True
    return None


# --- the truth about a table ------------------------------------------------------------------------------------------


class Truth(NamedTuple):
    """What is known of the model of some of a table's columns."""

    minimum: Any  # the minimum of the objective, or an upper bound of its infimum
    error: Any  # a bound of the rounding error of `minimum`
    below: Any  # how far the minimum may be below `minimum`; infinite if none is proved to exist
    exists: bool | None  # whether a minimum exists; None if neither was proved
    dependent: list[int]  # columns that are exactly combinations of the bias and the columns before them
    own: dict[int, float]  # for the other columns, without penalty: the part that no combination gives


def counted(table: Table) -> tuple[Array, Array, Array, Array, int]:
    """The rows of positive weight; then, for each label that a row has, the row, the label and its share of the weight;
    and the number of classes."""
    y, s = table.y, table.options.get("sample_weight", np.ones(len(table.y)))
    X, y, s = np.asarray(table.X.toarray() if issparse(table.X) else table.X, np.float64)[s > 0], y[s > 0], s[s > 0]
    share, place, classes = s.astype(Wide) / s.astype(Wide).sum(), np.arange(len(y)), max(2, int(table.y.max()) + 1)
    if classes > 2:
        return X, place, y.astype(int), share, classes
    both = np.concatenate([share * (1 - y.astype(Wide)), share * y.astype(Wide)])
    place = np.flatnonzero(both > 0)
    return X, place % len(y), place // len(y), both[place], 2


@quiet
def find_truth(table: Table, kept: list[int] | None = None) -> Truth:
    """The minimum over the columns `kept`, by default all, or that there is none."""
    X, row, labels, share, classes = counted(table)
    l2, bias, C = table.options["l2"], table.options["fit_bias"], contrasts(classes)
    kept = list(range(X.shape[1])) if kept is None else kept
    if bias and l2 > 0 and (labels == labels[0]).all():
        return Truth(Wide(0), Wide(0), Wide(np.inf), False, [], {})
    # With a penalty, leaving out a column x raises the minimum by at most max|x|² / l2: tiny columns are left out.
    benefit = {j: Wide(np.abs(X[:, j]).max()) ** 2 / Wide(l2) if l2 > 0 else Wide(1) for j in kept}
    kept, omitted = [j for j in kept if benefit[j] >= 1e-30], sum((b for b in benefit.values() if b < 1e-30), Wide(0))
    names, profile = [-1] * bias + kept, []
    if names:
        whole, exponents = exact_columns(X[:, kept], bias)
        residues = (whole % PRIME).astype(np.int64)
        profile = rank_profile(residues)
    dependent = [name for k, name in enumerate(names) if k not in profile]
    chosen = profile if l2 == 0 else list(range(len(names)))
    if not chosen:
        at = evaluate(
            Rows(np.zeros((len(row), 1)), np.zeros((0, 1)), labels, share, C), np.zeros((1, C.shape[1]), Wide)
        )
        return Truth(at.objective, at.error, omitted, True, dependent, {})
    penalty = np.sqrt(Wide(l2)) * np.ldexp(Wide(1), -exponents[chosen]) * [names[k] >= 0 for k in chosen]
    A, P, parts = find_basis(whole[:, chosen], penalty)
    rows, there = Rows(A[row], P, labels, share, C), np.arange(len(labels))

    def separable(theta: Array) -> bool | None:
        if l2 > 0:
            return False
        scores, size = rows.A @ theta @ C.T, np.abs(rows.A) @ np.abs(theta) @ np.abs(C).T
        margins = scores[there, labels][:, None] - scores - 100 * EPS * size.max(axis=1, keepdims=True)
        margins[there, labels] = 1
        return True if (margins > 0).all() else find_separation(rows.A, labels, C, residues[:, chosen][row])

    at, below, separated = minimise(rows, separable)
    exists = False if separated else True if l2 > 0 or np.isfinite(below) else None
    own = {names[k]: float(part) for k, part in zip(chosen, parts, strict=True)} if l2 == 0 else {}
    return Truth(at.objective, at.error, below + omitted, exists, dependent, own)


@quiet
def objective(table: Table, weights: Any, bias: Any) -> tuple[Any, Any]:
    """The objective at weights and bias, from exact scores, and a bound of its rounding."""
    X, row, labels, share, classes = counted(table)
    scores = exact_scores(X, bias, weights)[row]
    scores = np.column_stack([0 * scores, scores]) if classes == 2 else scores
    loss, _, residual = losses(scores, labels)
    J = (share * loss).sum() + Wide(table.options["l2"]) * (np.asarray(weights, Wide) ** 2).sum() / 2
    return J, EPS * (2 * (share * np.abs(residual).max(axis=1) * np.abs(scores).max(axis=1)).sum() + (len(X) + 32) * J)
