"""Tables that are hard to fit, the truth about each of them, and what a fit claimed beside it.

`hostile` makes a table from a seed. `find_truth` finds its minimum, or that there is none, without gradstep:

* The columns are exact integers times powers of two. Which of them depend on the columns before them follows from
  elimination modulo a prime.
* A change of parameters T makes the others nearly orthonormal. T is rounded, but the product X T is exact: the new
  parameters reach exactly the scores that the weights reach.
* Newton's method there, in extended precision, gives a value that is attained, an upper bound of the minimum. A gap is
  called false where such a value refutes it, however well Newton's method converged.
* That a minimum exists is proved from the last iterate, because the loss is self-concordant. That none exists is proved
  by a direction from linear programming, with the rank of the rows on its hyperplane again modulo a prime.

Run as a script it fits many tables, counts the verdicts and lists the seeds of false claims; `--replay` shows one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, solve_triangular
from scipy.optimize import linprog
from scipy.sparse import csr_array, issparse
from threadpoolctl import threadpool_limits

import gradstep

Array = npt.NDArray[Any]
Wide = np.longdouble
EPS = Wide(np.finfo(Wide).eps)
TINY = Wide("1e-4000")
PRIME = 2147483629  # below 2^31: the product of two residues is an int64
TOLERANCE = 1e-8  # of a fit that converged: gap <= TOLERANCE · objective
# The part of its length up to which a column may be left out.
ALIASED = {"float64": 64 * 2.0**-52, "float32": 64 * 2.0**-23}
PARAMETERS = 1024  # up to which a fit has to see a separation
quiet = np.errstate(all="ignore")


# --- the generator ----------------------------------------------------------------------------------------------------


class Table(NamedTuple):
    """What is given to a fit, and how it was made."""

    X: Any
    y: Array
    options: dict[str, Any]
    traits: tuple[str, ...]


KINDS = ("plain", "integer", "times", "near copy", "dependent", "constant", "rare", "heavy", "powers", "factor")


def _standard(x: Array) -> Array:
    x = x - x.mean()
    size = np.abs(x).max()
    return x / (size * (x / size).std()) if size > 0 else x


def _columns(kind: str, random: Any, m: int, made: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Columns of one kind, each with the part of it that the labels depend on."""
    x = random.normal(size=m)
    chosen = random.choice(len(made), size=min(len(made), int(random.integers(1, 4))), replace=False) if made else []
    match kind:
        case "integer":
            x = random.integers(-3, 4, m).astype(float)
        case "times":  # seconds, milliseconds or nanoseconds since 1970, start and end
            start = 1_700_000_000 + random.integers(0, int(10 ** random.uniform(3, 8)), m)
            duration = random.integers(1, int(10 ** random.uniform(1, 5)), m)
            unit = int(random.choice([1, 1, 1000, 10**9]))
            ends = ((start * unit).astype(float), ((start + duration) * unit).astype(float))
            return [(ends[0], _standard(start)), (ends[1], _standard(duration))]
        case "near copy":  # of a column or a sum of several; the little noise sometimes decides the labels
            copied = sum(made[j][0] * (1.0 if len(chosen) == 1 else random.normal()) for j in chosen)
            part = x if random.random() < 0.5 else made[chosen[0]][1]
            return [(copied + 10 ** random.uniform(-14, -1) * copied.std() * x, part)]
        case "dependent":  # an integer combination: exact where the columns are integers, else up to rounding
            return [(sum(made[j][0] * random.choice([-2, -1, 1, 3]) for j in chosen), made[chosen[0]][1])]
        case "constant":
            return [(np.full(m, random.choice([0.0, 1.0, 0.1, 10 ** random.uniform(-3, 6)])), np.zeros(m))]
        case "rare":  # nonzero in a few rows
            x = np.isin(np.arange(m), random.choice(m, size=int(random.integers(1, 6)))).astype(float)
            return [(x, random.choice([0, 1, 5]) * x)]
        case "heavy":
            x = random.standard_t(1.5, m) if random.random() < 0.5 else np.exp(3 * x)
            return [(x, _standard(x) if random.random() < 0.5 else random.choice([-1, 1]) * np.clip(x, -2, 2))]
        case "powers":
            x = np.round(random.uniform(18, 80, m), int(random.integers(0, 3)))
            return [(x**k, _standard(x) * (k == 1)) for k in range(1, int(random.integers(3, 6)))]
        case "factor":  # dummies of every level, or of an interaction: with the bias one is too many
            levels = random.integers(2, 7)
            level = random.choice(levels, size=m, p=random.dirichlet(np.ones(levels)))
            level = level + levels * random.integers(0, 2, m) * (random.random() < 0.4)
            return [((level == k).astype(float), random.normal() * (level == k)) for k in np.unique(level)]
    return [(x, _standard(x))]


def _labels(random: Any, parts: Array, integers: list[Array], classes: int) -> tuple[Array, str]:
    """Labels from a logistic model of the columns' informative parts, some of them made separable, or nearly so."""
    m, n = parts.shape
    scores = 10 ** random.uniform(-0.7, 0.9) * parts @ random.normal(size=(n, classes)) / np.sqrt(n)
    kind = random.choice(["drawn", "separated", "nearly", "ties", "fractional"], p=[0.66, 0.08, 0.12, 0.06, 0.08])
    if classes > 2:
        clean = kind in ("separated", "nearly")
        y = (scores if clean else scores + random.gumbel(size=scores.shape)).argmax(axis=1).astype(float)
        y[random.integers(m)] = y[0] if kind == "separated" else random.integers(classes)
        return y, str(kind) if clean else "drawn"
    z = scores[:, 0] - (np.median(scores[:, 0]) if random.random() < 0.7 else 0)
    y = (random.random(m) < 1 / (1 + np.exp(-np.clip(z, -700, 700)))).astype(float)
    if kind in ("separated", "nearly"):
        y = (z > 0).astype(float)
        near = np.argsort(np.abs(z))[: int(random.integers(1, 3)) * (kind == "nearly")]
        y[near] = 1 - y[near]
    elif kind == "ties" and integers:
        x = integers[random.integers(len(integers))]
        threshold = random.choice(x)
        y = np.where(x == threshold, y, x > threshold).astype(float)
    elif kind == "fractional":
        y = np.where(random.random(m) < random.choice([0.1, 1.0]), random.random(m), y)
    return y, str(kind)


@quiet
def hostile(seed: int) -> Table:
    """A table of one or several kinds of columns that make fits hard, and labels that depend on them."""
    random = np.random.default_rng(seed)
    classes = int(random.choice([2, 3, 4], p=[0.8, 0.12, 0.08]))
    low, high = [(20, 121), (120, 401), (2000, 4000)][random.choice(3, p=[0.64, 0.3, 0.06])]
    m = int(random.integers(low, high))
    most = (6 if m > 1000 else 40) if classes == 2 else (2 if m > 1000 else 10)
    n = min(most, 1 + int(random.exponential(6)), m // 3)
    single, sparse, offset = random.random() < 0.2, random.random() < 0.25, random.random() < 0.3
    hard, made = random.choice(KINDS, size=int(random.integers(1, 4)), replace=False), []
    traits = set(hard.tolist()) | ({"offsets"} if offset else set())
    while len(made) < n:
        kind = random.choice(hard) if made and random.random() < 0.7 else random.choice(KINDS[:2])
        for x, part in _columns(kind, random, m, made):
            far = x.std() * 10 ** random.uniform(0, 12) if offset and random.random() < 0.5 else 0.0
            made.append((x + far, part))
    made = [made[j] for j in random.permutation(len(made))[:n]] if random.random() < 0.5 else made[:n]
    columns, whole = [x for x, _ in made], [x for x, _ in made if (x % 1 == 0).all()]
    y, kind = _labels(random, np.column_stack([part for _, part in made]), whole, classes)
    if n < most and random.random() < 0.1:
        traits.add("one class only")
        inside = (y == y[random.integers(m)]) & (random.random(m) < random.choice([0.1, 0.5]))
        columns.insert(int(random.integers(n + 1)), np.where(inside, np.abs(random.normal(size=m)), 0.0))
    weight = random.choice(["none", "integers", "powers"], p=[0.65, 0.2, 0.15])
    s = random.integers(0, 5, m).astype(float) if weight == "integers" else 10 ** random.uniform(-6, 6, m)
    s[:4] = np.maximum(s[:4], 1)
    for k in range(classes if classes > 2 else 0):
        if not (y[s > 0] == k).any():
            y[k] = k
    X, scale = np.column_stack(columns), np.ones(len(columns))
    if random.random() < 0.5:
        low, high = ((-30, 30) if single else (-200, 100)) if random.random() < 0.3 else (-4, 4)
        scale = 10 ** random.uniform(low, high, len(columns))
        traits.add("wild scales" if high > 4 else "scales")
    if single:
        largest = np.abs(X).max(axis=0)
        scale = np.where(largest * scale < 1e30, scale, 1 / np.where(largest > 0, largest, 1))
    X = (X * scale).astype(np.float32 if single else np.float64)
    options: dict[str, Any] = {
        "l2": 0.0 if random.random() < 0.65 else float(10 ** random.uniform(-12, 0)),
        "fit_bias": bool(random.random() < 0.9),
        "solver": str(random.choice(["lbfgs", "gd"], p=[0.85, 0.15])),
    }
    options |= {} if weight == "none" else {"sample_weight": s}
    return Table(csr_array(X) if sparse else X, y, options, (str(kind), *sorted(traits)))


# --- exact columns ----------------------------------------------------------------------------------------------------

_length = np.frompyfunc(lambda value: abs(value).bit_length(), 1, 1)
_shift = np.frompyfunc(lambda value, bits: value << bits if bits >= 0 else (value + (1 << (-bits - 1))) >> -bits, 2, 1)
_int = np.frompyfunc(int, 1, 1)


def _integers(values: Array) -> tuple[Array, Array]:
    """Floats as Python's integers, and the exponent of two of each column."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    exponent = np.where(values == 0, 10**6, exponent.astype(int) - 53)
    least = exponent.min(axis=0) * (values != 0).any(axis=0)
    return _shift(_int(np.ldexp(mantissa, 53)), np.where(values == 0, 0, exponent - least).astype(object)), least


def exact_columns(X: Array, bias: bool) -> tuple[Array, Array]:
    """The columns of `X`, after one of ones for the bias: integers, the largest of each of equal length, and exponents
    of two, one for each column."""
    whole, exponents = _integers(np.column_stack([np.ones(len(X)), X]) if bias else X)
    lengths = _length(whole).max(axis=0).astype(int)
    more = np.where(lengths > 0, lengths.max() - lengths, 0)
    return _shift(whole, more.astype(object)), exponents - more


def _extended(whole: Array, exponents: Any) -> Array:
    """Integers times powers of two, correctly rounded to extended precision or nearly so."""
    excess = max(int(_length(whole).max(initial=0)) - 1000, 0)
    whole = _shift(whole, -excess) if excess else whole
    high = whole.astype(np.float64)
    low = (whole - _int(high)).astype(np.float64)
    return np.ldexp(high.astype(Wide) + low.astype(Wide), np.asarray(exponents) + excess)


def exact_scores(X: Array, bias: Any, weights: Any) -> Array:
    """Scores of float64 weights (K, n) or (n,), by exact arithmetic, rounded once to extended precision: (m, K)."""
    whole, exponents = exact_columns(X, True)
    scores = []
    for b, w in zip(np.atleast_1d(bias), np.atleast_2d(weights), strict=True):
        factors, exponent = _integers(np.append(b, w).astype(np.float64)[:, None])
        shifts = np.where(factors[:, 0] == 0, 0, exponents)
        factors = _shift(factors[:, 0], (shifts - shifts.min()).astype(object))
        scores.append(_extended(whole @ factors, int(exponent[0] + shifts.min())))
    return np.column_stack(scores)


def rank_profile(residues: Array) -> list[int]:
    """Columns that are no combination of the columns before them, by elimination modulo PRIME."""
    left, independent = residues.copy(), []
    for j in range(left.shape[1]):
        pivots = np.flatnonzero(left[:, j])
        if len(pivots) > 0:
            independent.append(j)
            row = left[pivots[0]] * pow(int(left[pivots[0], j]), -1, PRIME) % PRIME
            left = np.delete(left, pivots[0], axis=0)
            left[:, j:] = (left[:, j:] - left[:, [j]] * row[j:]) % PRIME
    return independent


def find_basis(whole: Array, penalty: Array) -> tuple[Array, Array, Array]:
    """A and P with scores `A` θ and penalty ½ |`P` θ|², nearly orthonormal together; without penalty also the part of
    each column that is orthogonal to the columns before it, relative to its length.

    The triangular factor is inverted again and again, as Rump does for matrices of any condition. `penalty` holds the
    roots of the penalties of the columns, which are integers.
    """
    r, length = whole.shape[1], int(_length(whole).max())
    lengths = np.sqrt((_extended(whole, -length) ** 2).sum(axis=0))
    T, exponents = np.eye(r, dtype=int).astype(object), np.full(r, -length)
    for turn in range(1, 9):
        A = _extended(whole @ T if turn > 1 else whole, exponents)
        P = (penalty[:, None] * _extended(T, exponents))[penalty > 0]
        norms = np.sqrt((A**2).sum(axis=0) + (P**2).sum(axis=0))
        R = qr((np.vstack([A, P]) / norms).astype(np.float64), mode="r")[0][:r]
        if np.linalg.cond(R) < 1e3:
            diagonal = np.abs(_extended(np.diag(T), exponents))
            return A, P, np.abs(np.diag(R)) * norms / diagonal / np.ldexp(lengths, length)
        R[np.diag_indices(r)] = np.where(np.abs(np.diag(R)) < 1e-17, 1e-17, np.diag(R))
        S = (solve_triangular(R, np.eye(r)) / norms[:, None]).astype(np.float64)
        shift = 80 - np.frexp(np.abs(S).max(axis=0))[1].astype(int)
        T = _shift(T, (exponents - exponents.min()).astype(object)) @ _int(np.rint(np.ldexp(S, shift)))
        trim = np.minimum(60 * (turn + 1) - _length(T).max(axis=0).astype(int), 0)
        T, exponents = _shift(T, trim.astype(object)), exponents.min() - shift - trim
    raise ArithmeticError("no basis was found")


# --- the minimum ------------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """Scores `A` θ `C`ᵀ of rows with one label each and weights that sum to 1, and the penalty ½ |`P` θ|²."""

    A: Array
    P: Array
    labels: Array
    weights: Array
    C: Array  # (K, c): a score of each class from the c scores of a row


class Value(NamedTuple):
    """The objective, its gradient and the probabilities of the classes, and bounds of the rounding."""

    objective: Any
    error: Any
    gradient: Array
    gradient_error: Array
    p: Array


def contrasts(classes: int) -> Array:
    """Two classes: scores 0 and z. More: an orthonormal basis of the scores that sum to zero, with the same penalty."""
    if classes == 2:
        return np.array([[0], [1]], Wide)
    C = np.zeros((classes, classes - 1), Wide)
    for k in range(1, classes):
        C[:k, k - 1], C[k, k - 1] = 1, -k
    return C / np.sqrt((C**2).sum(axis=0))


def losses(scores: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Without cancellation: cross-entropy of each row, probabilities, and these less one for the label."""
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
    size, sizes = np.abs(A) @ np.abs(theta) @ np.abs(C).T, np.abs(P) @ np.abs(theta)  # what rounding is relative to
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
    """The last value of Newton's method, how much lower the minimum may be (infinitely if it is not proved to exist),
    and whether there is none, which `separable` decides where the method is slow."""
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
    """Whether a direction puts no row on the wrong side of its label and another class's, and some on the right one.

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
    for _ in range(5):  # until rows of length 1 lie in no direction more than in another
        D = D / np.sqrt((D**2).sum(axis=1, keepdims=True))
        R = qr(D.astype(np.float64), mode="r", check_finite=False)[0][: D.shape[1]]
        if np.abs(np.diag(R)).min() < 1e-13 * np.abs(np.diag(R)).max():
            break
        D = D @ solve_triangular(R, np.eye(len(R)))
    D = (D / np.sqrt((D**2).sum(axis=1, keepdims=True))).astype(np.float64)
    # HiGHS' presolve finds no direction but zero where rounding moves rows off a hyperplane that holds both labels.
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

    minimum: Any  # of the objective, or a bound of its infimum from above
    error: Any  # of its computation
    below: Any  # how much less it may be at most; infinite if no minimum was proved to exist
    exists: bool | None  # None: neither was proved
    dependent: list[int]  # columns that are exactly combinations of the bias and the columns before them
    own: dict[int, float]  # of the others: the part that no combination gives, if there is no penalty


def _counted(table: Table) -> tuple[Array, Array, Array, Array, int]:
    """The rows that count, and once for each label that a row has: row, label, share of the weight; classes."""
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
    X, row, labels, share, classes = _counted(table)
    l2, bias, C = table.options["l2"], table.options["fit_bias"], contrasts(classes)
    kept = list(range(X.shape[1])) if kept is None else kept
    if bias and l2 > 0 and (labels == labels[0]).all():
        return Truth(Wide(0), Wide(0), Wide(np.inf), False, [], {})
    # With a penalty, a column as small as this changes the minimum by no more than max|x|² / l2.
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
    X, row, labels, share, classes = _counted(table)
    scores = exact_scores(X, bias, weights)[row]
    scores = np.column_stack([0 * scores, scores]) if classes == 2 else scores
    loss, _, residual = losses(scores, labels)
    J = (share * loss).sum() + Wide(table.options["l2"]) * (np.asarray(weights, Wide) ** 2).sum() / 2
    return J, EPS * (2 * (share * np.abs(residual).max(axis=1) * np.abs(scores).max(axis=1)).sum() + (len(X) + 32) * J)


# --- what a fit claimed -----------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """One word for a fit, its faults, what else is noted of it, and the numbers they come from."""

    word: str
    faults: list[str]
    notes: list[str]
    numbers: dict[str, Any]


def fit(table: Table) -> Any:
    """The optimum that gradstep finds, or the exception it raises."""
    try:
        return gradstep.fit(table.X, table.y, n_threads=1, **table.options)
    except Exception as error:
        return error


def own_part(X: Array, others: list[int], column: int, bias: bool) -> float:
    """How much of a column no combination of others gives, relative to its length."""
    whole, _ = exact_columns(X[:, [*others, column]], bias)
    profile = rank_profile((whole % PRIME).astype(np.int64))
    if whole.shape[1] - 1 not in profile:
        return 0.0
    return float(find_basis(whole[:, profile], np.zeros(len(profile)))[2][-1])


def _aliases(table: Table, best: Any) -> tuple[list[int], list[str], list[str]]:
    """Columns that a fit has left out, and what is wrong with its reasons: faults, and notes."""
    X, faults, notes = _counted(table)[0], [], []
    aliases, limit = list(getattr(best, "aliased", None) or ()), ALIASED[str(table.X.dtype)]
    aliased = [int(alias.column) for alias in aliases]
    kept = [j for j in range(X.shape[1]) if j not in aliased]
    s = table.options.get("sample_weight", np.ones(len(table.y)))
    for alias in aliases:
        if np.any(np.atleast_2d(best.weights)[:, alias.column] != 0):
            faults.append("weight of an aliased column")
        w = np.zeros(X.shape[1])
        w[np.asarray(alias.columns, int)] = alias.coefficients
        terms = np.abs(X).astype(Wide) @ np.abs(w) + abs(alias.constant)
        w[alias.column] -= 1
        residual, x = exact_scores(X, alias.constant, w)[:, 0] ** 2, X[:, alias.column].astype(Wide) ** 2
        bias, sizes = table.options["fit_bias"], (np.ones(len(X)), s[s > 0])
        # Relative to the lengths of the column and of what it is a combination of, with or without the rows' weights.
        near = any((r * residual).sum() <= limit**2 * (r * (x + terms**2)).sum() for r in sizes)
        if near and (bias or alias.constant == 0):
            continue
        stretch = np.sqrt(1 + (terms**2).sum() / x.sum())
        if not own_part(X, kept, alias.column, bias) <= limit * stretch:
            faults.append(f"false alias, {table.X.dtype}")
        elif not residual.sum() <= limit**2 * (x + terms**2).sum():
            notes.append("rough alias")  # there is a combination that gives the column, but it is not the one named
    return aliased, faults, notes


def _separates(table: Table, separation: Any) -> bool:
    """Whether a direction puts no row clearly on the wrong side, and some on the right one."""
    X, row, labels, _, classes = _counted(table)
    scores = exact_scores(X, separation.bias, separation.weights)[row]
    size = (np.abs(X).astype(Wide) @ np.abs(np.atleast_2d(separation.weights)).T + np.abs(separation.bias))[row]
    if classes == 2:
        scores, size = np.column_stack([0 * scores, scores]), np.column_stack([0 * size, size])
    margins = scores[np.arange(len(labels)), labels][:, None] - scores
    # What is on the hyperplane is told to 1e-13 of a row, with the 1 of the bias.
    least = np.maximum(1e-9 * size.max(axis=1, keepdims=True), 1e-12 * np.abs(separation.weights).max())
    return bool((margins >= -least).all() and (margins > 0).any())


@quiet
def judge(table: Table, best: Any) -> Verdict:
    """Compares what a fit claims with the truth about the columns it kept."""
    if isinstance(best, Exception):
        named = isinstance(best, ValueError) and str(best).startswith(("X", "y", "l2", "sample_weight"))
        words = " ".join(word for word in str(best).split() if word.isalpha())
        return Verdict(f"refused: {words}" if named else "error", ["error"] * (not named), [], {"error": repr(best)})
    gap, converged, reason = best.gap, bool(best.converged), str(best.stop_reason)
    if gap is None:  # where there is no gap without penalty, to converge claims this much
        gap = TOLERANCE * best.objective if converged else np.inf
    if not (np.isfinite(best.weights).all() and np.isfinite(best.bias).all() and gap >= 0):
        return Verdict("not finite", ["not finite"], [], {"gap": gap, "reason": reason})
    aliased, faults, notes = _aliases(table, best)
    truth = find_truth(table, [j for j in range(table.X.shape[1]) if j not in aliased])
    J, rounding = objective(table, best.weights, best.bias)
    true, unsure, off = J - truth.minimum, rounding + truth.error, abs(best.objective - J)
    rounded = 8 * float(np.finfo(np.float64).eps) * J  # a fault all the same, but one of another kind
    classes = np.size(best.bias) if np.size(best.bias) > 1 else 1
    wrong = gap + 1e-7 * max(J, 1) if np.asarray(best.weights).dtype == np.float32 else 1e-9 * J + unsure
    checks = {
        "false converged": converged and true > gap + unsure + rounded,
        "false gap": not converged and true > gap + unsure + rounded,
        "false gap, by rounding": gap + unsure < true <= gap + unsure + rounded,
        "converged without an optimum": converged and truth.exists is False,
        "converged without a gap": converged and not gap <= TOLERANCE * best.objective * (1 + 1e-12),
        "false separated": reason == "separated" and truth.exists,
        "wrong direction": reason == "separated"
        and (best.separation is None or not _separates(table, best.separation)),
        "missed separation": reason != "separated" and truth.exists is False and not converged
        and classes * (table.X.shape[1] + 1) <= PARAMETERS,
        "wrong objective": off > wrong and (off > gap or converged),
        "the truth is wrong": true < -unsure - truth.below and "weight of an aliased column" not in faults,
    }  # fmt: skip
    faults += [fault for fault, found in checks.items() if found]
    checks = {
        "wrong objective, not claimed": off > wrong and not (off > gap or converged),
        "unnamed": converged and table.options["l2"] == 0 and len(truth.dependent) > 0,
    }  # fmt: skip
    notes += [note for note, found in checks.items() if found]
    bucket = next((f"< {part}" for part in (1e-8, 1e-4) if true < part * max(truth.minimum, TINY)), ">= 0.0001")
    if faults:
        word = faults[0]
    elif truth.exists is None:
        word = "unclear"
    elif reason == "separated":
        word = "separated"
    elif converged:
        word = "proved, aliased" if aliased else "proved"
    else:
        word = f"{'uncertified' if reason == 'uncertified' else f'short, {reason}'}, true gap {bucket}"
    numbers = {"reason": reason, "gap": float(gap), "true gap": float(true), "J": float(J), "unsure": float(unsure),
               "minimum": float(truth.minimum), "exists": truth.exists, "below": float(truth.below),
               "objective": float(best.objective), "aliased": aliased, "dependent": truth.dependent}  # fmt: skip
    return Verdict(word, faults, notes, numbers)


# --- the command line -------------------------------------------------------------------------------------------------


def describe(table: Table) -> str:
    s = table.options.get("sample_weight")
    shown = table.options | ({} if s is None else {"sample_weight": f"{s.min():.3g} to {s.max():.3g}"})
    kind = f"{'CSR' if issparse(table.X) else 'dense'} {table.X.dtype}, {max(2, int(table.y.max()) + 1)} classes"
    return f"{table.X.shape[0]} x {table.X.shape[1]} {kind}, {', '.join(table.traits)}; {shown}"


def check(seed: int) -> dict[str, Any]:
    table = hostile(seed)
    start = time.perf_counter()
    best = fit(table)
    seconds = time.perf_counter() - start
    try:
        verdict = judge(table, best)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        verdict = Verdict("unclear", [], [f"no truth: {error}"], {})
    return {"seed": seed, "table": describe(table), "seconds": seconds, **verdict._asdict()}


def replay(seed: int) -> None:
    """Everything about one table and its fit."""
    table, result = hostile(seed), check(seed)
    best, truth = fit(table), find_truth(table)
    print("column  largest    mean       sd         own part of its length, after the bias and the columns before it")
    for j, x in enumerate(_counted(table)[0].astype(Wide).T):
        part = "exactly dependent" if j in truth.dependent else f"{truth.own.get(j, np.nan):.3g}"
        print(f"{j:6d}  {np.abs(x).max():<9.3g}  {x.mean():<9.3g}  {x.std():<9.3g}  {part}")
    for name in getattr(best, "_fields", None) or getattr(best, "__dict__", None) or ["args"]:
        if name != "history":
            print(f"{name:>16}: {getattr(best, name)}")
    print(f"{'all columns':>16}: {truth._replace(own={})}")
    for name, value in (result | result["numbers"]).items():
        if name != "numbers":
            print(f"{name:>16}: {value}")


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the verdicts, and how much larger than the true gap the proved one is."""
    seeds, ratios = defaultdict(list), []
    for result in results:
        numbers = result["numbers"]
        if numbers.get("exists") and numbers["true gap"] > 1e-12 and np.isfinite(numbers["gap"]):
            ratios.append(numbers["gap"] / numbers["true gap"])
        for fault in result["faults"]:
            seeds[fault].append(result["seed"])
    return {
        "verdicts": dict(Counter(result["word"] for result in results).most_common()),
        "notes": dict(Counter(note for result in results for note in set(result["notes"])).most_common()),
        "faults": {fault: len(set(found)) for fault, found in seeds.items()},
        "gap / true gap, median": float(np.median(ratios)) if ratios else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Fits hostile tables, and checks every claim against the truth.")
    parser.add_argument("--fits", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="where to write every verdict")
    parser.add_argument("--replay", type=int, metavar="SEED", help="show everything about one table")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        replay(arguments.replay)
        return 0
    start, results = time.perf_counter(), []
    with ProcessPoolExecutor(arguments.jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        for result in pool.map(check, range(arguments.seed, arguments.seed + arguments.fits), chunksize=20):
            results.append(result)
            if result["faults"]:
                numbers = {name: result["numbers"].get(name) for name in ("reason", "gap", "true gap", "J")}
                print(
                    f"seed {result['seed']}: {', '.join(result['faults'])}: {numbers}\n    {result['table']}",
                    flush=True,
                )
    report = summary(results) | {"seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(report, indent=2))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"summary": report, "fits": results}, file)
    return int(len(report["faults"]) > 0)


if __name__ == "__main__":
    sys.exit(main())
