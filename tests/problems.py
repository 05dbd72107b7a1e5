"""Random problems and their number, every way to hold one array, and how far float arithmetic may be from exact."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array

import oracle

Array = npt.NDArray[Any]

DTYPES = [np.float32, np.float64]

# One vector is 8 doubles or 16 floats: sizes reach 2 · 16 + 3, so that every tail of one and of two vectors occurs.
LARGEST = 35

# A byte of entropy picks a value, so that a problem is one short string for hypothesis to shrink, towards zeros.
_RANDOM = np.random.default_rng(20240229)
_ORDINARY = np.concatenate([[0.0, 1.0, -1.0, 0.5], _RANDOM.normal(scale=1.5, size=252)])
_EXTREME = np.concatenate(
    [
        [0.0, -0.0, 1.0, -1.0, 1e3, -1e3, 1e-30, -1e-30, 36.74, 37.43, -88.72, 103.97, -708.4, 745.13, 17.33, 1e-7],
        _RANDOM.normal(size=240) * 10.0 ** _RANDOM.uniform(-6, 3, size=240),
    ]
)


def cases(count: int) -> int:
    """How many cases hypothesis draws of a test: `count`, times the number in the environment's GRADSTEP_CASES."""
    return max(1, round(count * float(os.environ.get("GRADSTEP_CASES", "1"))))


class Problem(NamedTuple):
    X: Array
    y: Array
    weights: Array
    bias: float


@st.composite
def problems(draw: st.DrawFn, dtype: Any, largest: int = LARGEST, tame: bool = False) -> Problem:
    """A problem in `dtype`: labels 0 and 1 or anything between; saturated, unless `tame`."""
    m = draw(st.integers(1, largest))
    n = draw(st.integers(1, largest))
    table = _ORDINARY if tame or draw(st.booleans()) else _EXTREME
    values = table[np.frombuffer(draw(st.binary(min_size=(m + 1) * n + 1, max_size=(m + 1) * n + 1)), np.uint8)]
    labels = np.frombuffer(draw(st.binary(min_size=m, max_size=m)), np.uint8)
    y = labels / 255.0 if draw(st.booleans()) else labels % 2
    scale = draw(st.sampled_from([0.125, 1.0]))  # a power of two keeps the values exact
    return Problem(
        X=values[: m * n].reshape(m, n).astype(dtype),
        y=y.astype(dtype),
        weights=(values[m * n : -1] * scale).astype(dtype),
        bias=float(dtype(values[-1])),  # representable, so that reading it as float32 changes nothing
    )


class ClassProblem(NamedTuple):
    X: Array
    y: Array
    weights: Array
    biases: Array


@st.composite
def class_problems(draw: st.DrawFn, dtype: Any, largest: int = LARGEST) -> ClassProblem:
    """A problem of 1 to 11 classes in `dtype`, saturated or not; not every class need have a sample."""
    m, n, classes = draw(st.integers(1, largest)), draw(st.integers(1, largest)), draw(st.integers(1, 11))
    table = draw(st.sampled_from([_ORDINARY, _EXTREME]))
    count = m * n + classes * (n + 1)
    values = table[np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)]
    labels = np.frombuffer(draw(st.binary(min_size=m, max_size=m)), np.uint8)
    scale = draw(st.sampled_from([0.125, 1.0]))  # a power of two keeps the values exact
    return ClassProblem(
        X=values[: m * n].reshape(m, n).astype(dtype),
        y=labels % classes,
        weights=(values[m * n : -classes] * scale).reshape(classes, n).astype(dtype),
        biases=values[-classes:].astype(dtype),
    )


def sample_weights(m: int, dtype: Any) -> st.SearchStrategy[Array]:
    """Weights with zeros among them, never all zero."""
    return (
        st.binary(min_size=m, max_size=m)
        .map(lambda raw: (np.frombuffer(raw, np.uint8) % 5 * 0.75).astype(dtype))
        .filter(lambda weights: bool(weights.any()))
    )


class Tolerance(NamedTuple):
    y_hat: Array
    loss: float
    weights: Array
    bias: float


def tolerance(problem: Problem, dtype: Any, sample_weight: Any = None) -> Tolerance:
    r"""How far two honest evaluations in `dtype` may be apart, in whatever order they add.

    With u = eps/2 the unit roundoff, first order in u:

    * z = x · w + b is a sum of n + 1 terms: each evaluation errs by at most (n + 1)·u·(|x|·|w| + |b|)
      (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1), two of them by dz = (n + 2)·eps·(…).
      A product that underflows adds half the smallest number.
    * d ln σ/dz = 1 - σ and d ln(1 - σ)/dz = -σ lie in [-1, 1], so a shift dz changes σ by at most
      min(σ, 1 - σ)·(e^dz - 1); d ln softplus/du = σ(u)/softplus(u) ≤ 1, so it changes E_i, a combination of
      softplus(z) and softplus(-z) with coefficients ≥ 0, by at most E_i·(e^dz - 1), and also by dz, as |E_i'| ≤ 1.
    * Evaluating from z: exp within 2 ULP, then at most four roundings, one evaluation; the oracle's route has as many.
      8·eps covers both for ŷ, for E_i, and for the two terms (1 - y)·σ and y·(1 - σ) whose difference is the
      residual. The oracle subtracts ŷ - y, in float64: eps64·(ŷ + y) more, and its e^-z overflows where the true
      σ is still nonzero, a subnormal below 1/max.
    * A mean of m terms, weighted, divided, and rounded to the result's type: (m + 3)·eps of the sum of magnitudes.
    """
    X, y, w = (np.asarray(values, dtype=np.float64) for values in problem[:3])
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    m, n = X.shape
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)

    z = X @ w + problem.bias
    dz = (n + 2) * (eps * (np.abs(X) @ np.abs(w) + abs(problem.bias)) + tiny)
    with np.errstate(over="ignore"):
        growth = np.expm1(np.minimum(dz, 700.0))
        sigma, tail = 1.0 / (1.0 + np.exp(-z)), 1.0 / (1.0 + np.exp(z))
    tiny += 1.0 / float(np.finfo(np.float64).max)
    y_hat = np.minimum(np.minimum(sigma, tail) * growth, 1.0) + 8 * eps * sigma + tiny

    errors = y * np.logaddexp(0.0, -z) + (1.0 - y) * np.logaddexp(0.0, z)
    each = np.minimum(errors * growth, dz) + (m + 3 + 8) * eps * errors + tiny
    loss = float(s @ each / s.sum())

    terms = (1.0 - y) * sigma + y * tail
    residual = (
        np.minimum(np.minimum(sigma, tail) * growth, 1.0) + 8 * eps * terms + np.finfo(np.float64).eps * (sigma + y)
    )
    spread = residual + (m + 3) * eps * np.abs(sigma - y) + tiny
    return Tolerance(y_hat, loss, (s * spread) @ np.abs(X) / s.sum() + tiny, float(s @ spread / s.sum() + tiny))


def class_tolerance(problem: ClassProblem, dtype: Any, sample_weight: Any = None) -> Tolerance:
    r"""`tolerance` for several classes; the bounds of `weights` and `bias` are those of their rows.

    * Predictors are as there; the differences z_k - z_l that exponentials are taken of, and logarithms of the oracle,
      are rounded, at magnitudes up to 2·max|z|. Let d be the largest shift of a row's predictors by all that.
    * Then p_k = 1/Σ_l e^(z_l - z_k) changes by at most min(p_k, 1 - p_k)·(e^2d - 1), as does p_k - [y = k], and
      E_i = ln(1 + Σ_{l ≠ y} e^(z_l - z_y)) by at most E_i·(e^2d - 1), and by 2d.
    * From z: as there, and K - 1 additions of positive terms.
    * A mean of m terms, as there.
    """
    X, w, b = (np.asarray(values, dtype=np.float64) for values in (problem.X, problem.weights, problem.biases))
    y = np.asarray(problem.y).astype(int)
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    (m, n), classes = X.shape, len(b)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)

    z = X @ w.T + b
    size = np.abs(X) @ np.abs(w).T + np.abs(b)
    dz = ((n + 2) * (eps * size + tiny)).max(axis=1) + 4 * eps * np.abs(z).max(axis=1)
    with np.errstate(over="ignore"):
        growth = np.expm1(np.minimum(2 * dz, 700.0))[:, None]
    tiny += 1.0 / float(np.finfo(np.float64).max)
    p, errors = oracle.softmax(z), oracle.class_errors(z, y)
    is_label = np.eye(classes)[y]
    others = np.where(is_label > 0, -np.expm1(-errors)[:, None], 1 - p)  # 1 - p_k; of the label without cancellation
    terms = (8 + classes) * eps
    change = np.minimum(np.minimum(p, others) * growth, 1.0)
    y_hat = change + terms * p + tiny

    each = np.minimum(errors * growth[:, 0], 2 * dz) + (m + 3) * eps * errors + terms * errors + tiny
    loss = float(s @ each / s.sum())
    magnitude = np.where(is_label > 0, others, p)
    residual = change + (terms + (m + 3) * eps) * magnitude + 2 * np.finfo(np.float64).eps * is_label + tiny
    rows = s[:, None] * residual / s.sum()
    return Tolerance(y_hat, loss, rows.T @ np.abs(X) + tiny, rows.sum(axis=0) + tiny)  # type: ignore[arg-type]


def shift(delta: Any, weights: Any, dtype: Any) -> Any:
    """Rounding, or underflow, of w + delta for a delta that is itself rounded, in two evaluations."""
    finfo = np.finfo(dtype)
    size = np.abs(np.asarray(weights, np.float64)) + 2 * np.abs(delta)
    return finfo.eps * size + 2 * float(finfo.smallest_subnormal)


def rounding_of_a_step(batch: Problem, rate: float, l2: float, dtype: Any, scaled: bool = False) -> tuple[Array, float]:
    """How far one computed update of the mean may be from the exact one, started from the same weights.

    A penalised descent point by point is `scaled`: its weights are a scale times values. An update rounds both,
    and their product where it is read, before the update and after it: four times eps/2·|w|, where the addition alone
    is allowed two.
    """
    grad, near = oracle.gradient(*batch), tolerance(batch, dtype)
    penalty = l2 * np.abs(batch.weights.astype(np.float64))
    # The gradient's own bound, five roundings of α, l2, k and their products, and the addition to the weights.
    eps = float(np.finfo(dtype).eps)
    size = rate * (np.abs(grad.weights) + penalty)
    weights = rate * near.weights + 5 * eps * size + shift(size, batch.weights, dtype)
    if scaled and l2 > 0:
        weights = weights + eps * np.abs(batch.weights.astype(np.float64))
    size_b = rate * abs(grad.bias)
    bias = rate * near.bias + 5 * eps * size_b + float(shift(size_b, batch.bias, dtype))
    return weights, bias


def layouts(X: Array, folder: Path) -> Iterator[tuple[str, Array]]:
    """The same values in every layout of memory that NumPy can describe; `X` is C-contiguous, (m, n)."""
    m, n = X.shape
    yield "C", X
    yield "Fortran", np.asfortranarray(X)
    yield "transposed", np.ascontiguousarray(X.T).T

    wide = np.full((2 * m, 3 * n + 1), np.nan, X.dtype)
    wide[::2, 1::3] = X
    yield "strided in both axes", wide[::2, 1::3]

    columns = np.full((m, n + 3), np.nan, X.dtype)
    columns[:, 2:-1] = X
    yield "columns of a wider array", columns[:, 2:-1]

    yield "rows reversed", np.ascontiguousarray(X[::-1])[::-1]
    yield "columns reversed", np.ascontiguousarray(X[:, ::-1])[:, ::-1]
    yield "both reversed, Fortran", np.asfortranarray(X[::-1, ::-1])[::-1, ::-1]

    frozen = X.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen

    raw = np.zeros(X.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(X.dtype).reshape(m, n)
    misaligned[...] = X
    yield "misaligned", misaligned

    records = np.zeros((m, n), np.dtype([("before", "i1"), ("x", X.dtype), ("after", "i2")]))
    records["x"] = X
    yield "field of a packed structured array", records["x"]

    yield "byte-swapped", X.astype(X.dtype.newbyteorder())

    mapped = np.memmap(folder / "X.bin", dtype=X.dtype, mode="w+", shape=(m, n))
    mapped[...] = X
    mapped.flush()
    yield "memory-mapped", np.memmap(folder / "X.bin", dtype=X.dtype, mode="r", shape=(m, n))

    yield "one axis more, sliced away", np.stack([X, -X], axis=2)[:, :, 0]


def repeating(X: Array) -> Iterator[tuple[str, Array]]:
    """Layouts with a stride of zero: their values repeat along an axis."""
    yield "one row, broadcast", np.broadcast_to(X[0], X.shape)
    yield "one column, broadcast", np.broadcast_to(X[:, :1], X.shape)
    yield "one number, broadcast", np.broadcast_to(X[-1, -1], X.shape)


def other_types(m: int, n: int) -> Iterator[tuple[str, Any, Array]]:
    """What is not float32 or float64, beside the float64 array it stands for."""
    random = np.random.default_rng(m * 1000 + n)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        info = np.iinfo(name)
        X = random.integers(info.min, info.max, size=(m, n), dtype=name, endpoint=True)
        X.flat[0], X.flat[-1] = info.min, info.max
        yield name, X, X.astype(np.float64)
        yield name + ", Fortran", np.asfortranarray(X), X.astype(np.float64)
        yield name + ", every second row", np.repeat(X, 2, axis=0)[::2], X.astype(np.float64)
        yield name + ", byte-swapped", X.astype(X.dtype.newbyteorder()), X.astype(np.float64)

    truth = random.integers(0, 2, size=(m, n)).astype(bool)
    yield "bool", truth, truth.astype(np.float64)
    yield "bool, Fortran", np.asfortranarray(truth), truth.astype(np.float64)
    sloppy = random.choice(np.array([0, 1, 2, 127, 255], np.uint8), size=(m, n))
    yield "bool over bytes other than 0 and 1", sloppy.view(bool), (sloppy != 0).astype(np.float64)
    yield "bool over such bytes, Fortran", np.asfortranarray(sloppy).view(bool), (sloppy != 0).astype(np.float64)

    X = random.normal(size=(m, n))
    yield "float16", X.astype(np.float16), X.astype(np.float16).astype(np.float64)
    yield "longdouble", X.astype(np.longdouble), X
    yield "list of lists", X.tolist(), X
    yield "tuple of arrays", tuple(X), X
    yield "list of lists of int", truth.astype(int).tolist(), truth.astype(np.float64)


class Table(NamedTuple):
    """What is given to a fit, and the rows that count."""

    X: Any
    y: Array
    options: dict[str, Any]
    rows: Array
    labels: Array


def table(seed: int, classes: int, scale: float) -> Table:
    """A few rows, every second time of small whole numbers, with labels that are more or less random; some with weights
    of zero, without bias, sparse, or in float32."""
    random = np.random.default_rng([seed, classes])
    m, n = int(random.integers(2 * classes, 40)), int(random.integers(1, 6))
    X = random.integers(-2, 3, (m, n)).astype(float) if seed % 2 else random.normal(size=(m, n))
    scores = (X - X.mean(axis=0)) @ random.normal(size=(n, classes)) * random.choice([0.3, 1.0, 3.0])
    y = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    X = scale * (X + (seed % 3 == 0) * np.round(random.normal(size=n) * 100))
    match seed % 5:
        case 1:
            s = random.integers(0, 3, m)
            s[:classes] = 1
            return Table(X, y, {"sample_weight": s}, X[s > 0], y[s > 0])
        case 2:
            return Table(X, y, {"fit_bias": False}, X, y)
        case 3:
            return Table(csr_array(X), y, {}, X, y)
        case 4:
            single = X.astype(np.float32)
            return Table(single, y, {}, single.astype(float), y)
    return Table(X, y, {}, X, y)


def is_separable(X: Array, y: Array, fit_bias: bool = True) -> bool:
    """Whether there are weights and biases that put no row on the wrong side of its label and another class's, and some
    on the right one, by linear programming."""
    classes = np.arange(max(y) + 1)
    largest = np.abs(X).max(axis=0)
    rows = np.column_stack([X / np.where(largest > 0, largest, 1.0), np.full(len(X), float(fit_bias))])
    pairs = [(row, label, k) for row, label in zip(rows, y, strict=True) for k in classes if k != label]
    margins = np.zeros((len(pairs), len(classes), rows.shape[1]))
    for margin, (row, label, k) in zip(margins, pairs, strict=True):
        margin[label], margin[k] = row, -row
    margins = margins.reshape(len(pairs), -1)
    best = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=(-1, 1))
    assert best.status == 0
    # The solver allows each of the margins that are summed here 1e-7; what separates moves a row by its largest column.
    return bool(-best.fun > 1e-5)


def bits(result: Any) -> list[bytes]:
    """The raw bytes of every array and float of a result: equal to the last bit, the sign of zero and NaN included."""
    parts = result if isinstance(result, tuple) else (result,)
    return [np.asarray(part).tobytes() for part in parts]
