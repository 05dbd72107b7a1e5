"""The optimum for several classes: against independent tools, an 80-bit solve, and its own certificate."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_svmlight_file

import gradstep
import oracle
from problems import DTYPES, ClassProblem, bits, cases, class_tolerance, is_separable, layouts, table
from test_fit import check_huge_rows_of_weight_zero, numbers
from test_real_data import read

Array = npt.NDArray[Any]
SOLVERS = ["lbfgs", "gd"]
EPS = float(np.finfo(np.float64).eps)

both_solvers = pytest.mark.parametrize("solver", SOLVERS)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def overlapping(m: int, n: int, classes: int, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Labels drawn from a softmax model, each class among them: nothing separates them, at these sizes."""
    random = np.random.default_rng([seed, m, n, classes])
    X = random.normal(size=(m, n))
    p = oracle.softmax(X @ random.normal(size=(n, classes)) / np.sqrt(n) - 0.3 * np.arange(classes) / classes)
    y = (random.random(m)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    y[:classes] = np.arange(classes)
    return X.astype(dtype), y


# --- extended precision -----------------------------------------------------------------------------------------------


def extended(X: Array, y: Array, V: Array, l2: float, s: Array, fit_bias: bool) -> tuple[Any, Array, Array]:
    """Objective, gradient and Hessian by V = (W, b), shape (K, n + 1); the first two in 80 bits."""
    wide = np.longdouble
    A = np.column_stack([X, np.ones(len(X)) if fit_bias else np.zeros(len(X))]).astype(wide)
    V, s, K = V.astype(wide), s.astype(wide) / s.sum(), len(V)
    z = A @ V.T
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    is_label = np.eye(K, dtype=wide)[y]
    distance = z - (z * is_label).sum(axis=1, keepdims=True)
    error = np.log1p((np.exp(distance) * (1 - is_label)).sum(axis=1))  # without cancellation
    penalty = np.append(np.full(X.shape[1], wide(l2)), wide(0))
    objective = (s * error).sum() + wide(0.5) * (penalty * V * V).sum()
    gradient = (s[:, None] * (p - is_label)).T @ A + penalty * V
    q, B = p.astype(np.float64), A.astype(np.float64)
    d = (np.eye(K)[None] * q[:, :, None] - q[:, :, None] * q[:, None, :]) * s.astype(np.float64)[:, None, None]
    hessian = np.einsum("ikl,ia,ib->kalb", d, B, B, optimize=True).reshape(V.size, V.size)
    return objective, gradient, hessian + np.diag(np.tile(penalty.astype(np.float64), K))


def exact_optimum(X: Array, y: Array, l2: float, s: Array, fit_bias: bool = True) -> tuple[Array, Any]:
    """Newton's method; what all classes have in common, which changes nothing, is left at 0 by the pseudo-inverse."""
    V = np.zeros((int(y.max()) + 1, X.shape[1] + 1), np.longdouble)
    value, gradient, hessian = extended(X, y, V, l2, s, fit_bias)
    for _ in range(100):
        diagonal = np.diag(hessian)
        scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), 0)
        scaled = hessian * scale * scale[:, None]
        step = scale * (np.linalg.pinv(scaled, rcond=1e-13, hermitian=True) @ (scale * gradient.ravel().astype(float)))
        step = step.reshape(V.shape)
        step -= step.mean(axis=0)
        length = np.longdouble(1)
        while True:
            trial = extended(X, y, V - length * step, l2, s, fit_bias)
            if trial[0] <= value or length < 1e-3:
                break
            length /= 2
        V = V - length * step
        value, gradient, hessian = trial
        if np.abs(step).max() <= 1e-17 * np.abs(V).max():
            break
    assert np.abs(gradient).max() < 1e-15 * (1 + np.abs(X).max())
    return V, value


def check_certificate(
    X: Any, y: Any, l2: float, s: Array | None, best: gradstep.Optimum, tol: float, fit_bias: bool = True
) -> None:
    """Loss, objective and gradient are those of the returned weights; these sum to zero over the classes."""
    at = ClassProblem(np.asarray(X), np.asarray(y), best.weights, best.bias)
    near = class_tolerance(at, best.weights.dtype, s)
    w, b = best.weights.astype(np.float64), best.bias.astype(np.float64)
    assert abs(best.loss - oracle.class_loss(*at, sample_weight=s)) <= 2 * near.loss
    assert abs(best.objective - best.loss - 0.5 * l2 * float((w * w).sum())) <= 4 * EPS * best.objective
    by_weights, by_bias = oracle.class_gradient(*at, sample_weight=s)
    norm = max(np.abs(by_weights + l2 * w).max(), np.abs(by_bias).max() if fit_bias else 0.0)
    room = max(float((2 * near.weights + 4 * EPS * l2 * np.abs(w)).max()), float(np.max(2 * near.bias)))
    assert abs(best.gradient_norm - norm) <= room
    assert best.converged == (best.gap <= 1e-8 * best.objective)
    # The start and each step are rounded once a class, and centred once.
    eps = len(b) * (best.n_iterations + 2) * float(np.finfo(best.weights.dtype).eps)
    assert np.abs(w.sum(axis=0)).max() <= eps * (np.abs(w).max() + 1)
    assert abs(b.sum()) <= eps * (np.abs(b).max() + 1)


# --- the reference sets -----------------------------------------------------------------------------------------------

SETS = ["digits", "hsb2", "iris", "letter", "trec"]


def read_classes(folder: Path, columns: int) -> tuple[Any, Array, Array | None]:
    if (folder / "data.csv").exists():
        return read(folder)
    X, y = load_svmlight_file(str(folder / "data.svm"), n_features=columns, zero_based=False)
    return X, y, None


def test_the_list_of_sets_is_complete(data_folder: Path) -> None:
    folders = sorted((data_folder / "sets").iterdir())
    assert [f.name for f in folders if json.loads((f / "oracle.json").read_text())["K"] > 2] == SETS


@pytest.mark.parametrize("name", SETS)
def test_coefficients_of_the_reference_sets(name: str, data_folder: Path, measured: Callable[[str], None]) -> None:
    """Raw columns, default options: the coefficients of an 80-bit Newton solve, as far as the tools agree on them."""
    folder = data_folder / "sets" / name
    reference = json.loads((folder / "oracle.json").read_text())
    raw, y, weight = read_classes(folder, reference["p"])
    worst, passes = 0.0, []
    for key, problem in reference["problems"].items():
        X, l2 = raw, problem["l2"]
        if problem["scaling"] == "std":
            X = (raw - np.array(reference["standardize"]["mean"])) / np.array(reference["standardize"]["sd"])
        best = gradstep.fit(X, y, l2=l2, sample_weight=weight, fit_bias=problem["intercept"])
        coefficients = problem["coef"]
        if isinstance(coefficients, str):
            coefficients = np.load(folder / "oracle_coefs.npz")[f"{key}_coef"]
        want = np.column_stack([coefficients, problem["intercept_value"]])
        difference = np.abs(np.column_stack([best.weights, best.bias]) - want).max() / np.abs(want).max()
        assert best.converged and best.stop_reason == "tolerance" and best.gradient_norm <= 1e-8, key
        assert difference <= max(1e-8, *problem["agree_rel"]), (key, difference)
        if l2 > 0:
            # The reference objective is rounded to float64; ours is summed anew, or its rounding would count.
            W = best.weights.astype(np.longdouble)
            errors = oracle.class_errors(X @ best.weights.T + best.bias, y).astype(np.longdouble)
            objective = np.average(errors, weights=weight) + l2 / 2 * (W * W).sum()
            assert best.gap >= objective - problem["objective"] - 4 * EPS * objective, key
            assert best.gap <= 1e-10, key
        worst = max(worst, float(difference))
        passes.append(best.passes)
    measured(f"{name}: coefficients within {worst:.1e}, {min(passes):.1f} to {max(passes):.1f} passes")


@pytest.mark.parametrize("name", ["digits", "iris", "trec"])
def test_separable_reference_sets(name: str, data_folder: Path) -> None:
    reference = json.loads((data_folder / "sets" / name / "oracle.json").read_text())
    X, y, _ = read_classes(data_folder / "sets" / name, reference["p"])
    best = gradstep.fit(X, y)
    assert best.stop_reason == "separated" and not best.converged and best.gap == np.inf
    assert np.isfinite(best.weights).all() and np.isfinite(best.objective)
    assert np.abs(best.weights).max() < 1e6
    check_separation(X.toarray() if sparse.issparse(X) else X, y, best)


# --- the certificate --------------------------------------------------------------------------------------------------


def random_problem(seed: int) -> tuple[Array, Array, float, Array, bool]:
    """Small, of any scale, centred or not, weighted or not, some classes rare."""
    random = np.random.default_rng(seed)
    classes = int(random.integers(3, 7))
    m, n = int(random.integers(classes, 60)), int(random.integers(1, 7))
    scale = 10.0 ** random.uniform(-2, 2, n)
    X = (random.normal(size=(m, n)) + random.choice([0.0, 3.0]) * random.normal(size=n)) * scale
    y = (classes * random.random(m) ** random.choice([1.0, 2.0])).astype(int)
    y[:classes] = np.arange(classes)
    s = random.integers(0, 4, m).astype(float) if seed % 3 == 0 else np.ones(m)
    s[:classes] = 1
    return X, y, float(10.0 ** random.uniform(-5, 0)), s, seed % 7 != 0


@functools.cache
def random_optimum(seed: int) -> Any:
    return exact_optimum(*random_problem(seed))[1]


@both_solvers
@pytest.mark.parametrize("block", range(3))
def test_the_gap_is_an_upper_bound(solver: Any, block: int, measured: Callable[[str], None]) -> None:
    """Wherever the fit stops: against the optimum in 80 bits."""
    ratios = []
    for seed in range(30 * block, 30 * block + 30):
        X, y, l2, s, fit_bias = random_problem(seed)
        optimum = random_optimum(seed)
        random = np.random.default_rng(seed)
        tol = float(10.0 ** random.uniform(-10, -1))
        limit = float(random.choice([3, 6, 1000]))
        best = gradstep.fit(X, y, l2=l2, sample_weight=s, fit_bias=fit_bias, solver=solver, tol=tol, max_passes=limit)
        check_certificate(X, y, l2, s, best, tol, fit_bias)
        at, _, _ = extended(X, y, np.column_stack([best.weights, best.bias]), l2, s, fit_bias)
        true = float(at - optimum)
        rounding = 64 * float(np.finfo(np.longdouble).eps * at)  # of the two objectives
        assert best.gap >= 0
        assert true >= -rounding
        assert best.gap >= true - rounding, f"seed {seed}: {best.gap} < {true}"
        if true > 1e3 * rounding and np.isfinite(best.gap):
            ratios.append(best.gap / true)
    if block == 0:
        measured(f"{solver}: reported gap / true gap, median {np.median(ratios):.1f}, largest {max(ratios):.1f}")


def test_three_classes_told_apart_by_the_time_between_two_columns() -> None:
    """Start and end in seconds since 1970: the same loss as of the columns centred and made orthogonal."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        start, took, other = 1.6e9 + 1e7 * random.random(600), random.normal(300, 300, 600), random.normal(size=600)
        z = np.outer(took / 300, [1, -1, 0]) + np.outer(other, [0, 1, -1])
        y = (z + random.gumbel(size=(600, 3))).argmax(axis=1)
        X = np.column_stack([start, start + took, other])
        easy = np.column_stack([(start - start.mean()) / 1e7, (X[:, 1] - start - 300) / 300, other])
        best, want = gradstep.fit(X, y), gradstep.fit(easy, y)
        assert best.converged and want.converged and best.aliased == ()
        assert abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS


def test_a_near_copy_of_a_column_separates_nothing() -> None:
    """A column that is another plus some noise, down to 2^-26 of it: the optimum is that of the noise alone."""
    proved = 0
    for seed in range(40):
        random = np.random.default_rng([seed, 12])
        m, n, small = int(random.integers(100, 1000)), int(random.integers(2, 7)), 2.0 ** -int(random.integers(10, 27))
        X = random.normal(size=(m, n))
        y = (X @ random.normal(size=(n, 3)) + random.gumbel(size=(m, 3))).argmax(axis=1)
        first, noise = (np.round(64 * X[:, j]) / 64 for j in (0, -1))  # sums are exact
        easy = np.column_stack([first, X[:, 1:-1], noise])
        best = gradstep.fit(np.column_stack([first, X[:, 1:-1], first + small * noise]), y)
        want = gradstep.fit(easy, y)
        assert (best.stop_reason == "separated") == (want.stop_reason == "separated"), seed
        if want.converged:
            assert best.converged and abs(best.loss - want.loss) <= best.gap + want.gap + 8 * EPS, seed
            proved += 1
    assert proved > 20


def test_biases_far_from_their_optimum_leave_a_finite_gap() -> None:
    """One Newton step closes them first: the bound from where they are is infinite here."""
    X, y = overlapping(300, 3, 4)
    best = gradstep.fit(X + 2, y, l2=1e-2, solver="gd", tol=1e-12, max_passes=6)
    assert best.stop_reason == "passes" and best.gap < 10


@both_solvers
@both_dtypes
@pytest.mark.parametrize(
    ("m", "n", "classes", "l2"),
    [
        (m, n, classes, l2)
        for m, n, classes in [(60, 1, 3), (200, 7, 4), (400, 17, 5), (40, 50, 3), (12_000, 5, 3)]
        for l2 in [0.0, 1e-3]
        if l2 > 0 or n <= m  # else separable
    ],
)
@pytest.mark.parametrize("fit_bias", [True, False])
def test_optimum_and_certificate(
    solver: Any, dtype: Any, m: int, n: int, classes: int, l2: float, fit_bias: bool
) -> None:
    X, y = overlapping(m, n, classes, dtype=dtype)
    tol = 1e-8 if dtype == np.float64 else 1e-5
    best = gradstep.fit(X, y, l2=l2, fit_bias=fit_bias, solver=solver, tol=tol)
    assert best.stop_reason == "tolerance" and best.converged and best.separation is None
    assert best.weights.dtype == best.bias.dtype == dtype
    assert best.weights.shape == (classes, n) and best.bias.shape == (classes,)
    assert best.solver == solver
    check_certificate(X, y, l2, None, best, tol, fit_bias)
    assert fit_bias or not best.bias.any()
    double, ones = X.astype(np.float64), np.ones(m)
    _, optimum = exact_optimum(double, y, l2, ones, fit_bias)
    at, _, _ = extended(double, y, np.column_stack([best.weights, best.bias]), l2, ones, fit_bias)
    true, rounding = float(at - optimum), 64 * float(np.finfo(np.longdouble).eps * at)
    assert true >= -rounding
    assert true - rounding <= best.gap
    assert true <= (1e-14 if dtype == np.float64 else 1e-8)


def test_units_of_the_columns_do_not_matter() -> None:
    X, y = overlapping(500, 4, 3)
    plain = gradstep.fit(X, y)
    scale, shift = np.array([1e-7, 1e-2, 1e3, 1e6]), np.array([1e-6, -1.0, 5e3, 0.0])
    best = gradstep.fit(X * scale + shift, y)
    assert best.converged
    assert np.allclose(best.weights * scale, plain.weights, rtol=1e-6, atol=0)


@both_solvers
@both_dtypes
def test_what_rounding_forbids_ends_by_its_own_reason(solver: Any, dtype: Any) -> None:
    X, y = overlapping(300, 5, 4, dtype=dtype)
    best = gradstep.fit(X, y, tol=0, solver=solver)
    assert best.stop_reason == "precision" and best.converged  # it is proved all the same
    assert best.gradient_norm <= 60 * np.finfo(dtype).eps
    assert best.history["passes"][-1] < 600  # without the search for what separates


# --- what a fit does not depend on ------------------------------------------------------------------------------------


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n", "classes"), [(500, 3, 3), (40_000, 9, 4), (2500, 130, 3)])
def test_same_bits_for_any_number_of_threads(solver: Any, dtype: Any, m: int, n: int, classes: int) -> None:
    X, y = overlapping(m, n, classes, dtype=dtype)
    s = np.arange(m) % 3 + 1
    runs = [gradstep.fit(X, y, l2=1e-3, sample_weight=s, solver=solver, tol=1e-6, n_threads=k) for k in (1, 2, 3, 8)]
    assert all(numbers(run) == numbers(runs[0]) for run in runs)
    if m == 40_000 and solver == "lbfgs":
        assert runs[0].history["rows"].min() < m  # there were samples


@both_solvers
@both_dtypes
def test_same_bits_for_any_layout(solver: Any, dtype: Any, tmp_path: Path) -> None:
    X, y = overlapping(700, 11, 4, dtype=dtype)
    want = numbers(gradstep.fit(X, y, l2=1e-2, solver=solver))
    for name, layout in layouts(X, tmp_path):
        assert numbers(gradstep.fit(layout, y, l2=1e-2, solver=solver)) == want, name


@both_dtypes
def test_sparse_features(dtype: Any) -> None:
    X, y = overlapping(3000, 40, 4, dtype=dtype)
    X[np.abs(X) < 1] = 0
    options: dict[str, Any] = {"l2": 1e-3, "tol": 1e-8 if dtype == np.float64 else 1e-5}
    dense = gradstep.fit(X, y, **options)
    thin = gradstep.fit(sparse.csr_array(X), y, **options)
    assert thin.converged
    check_certificate(X, y, 1e-3, None, thin, options["tol"])
    assert np.allclose(thin.weights, dense.weights, rtol=0, atol=1e-6 if dtype == np.float64 else 1e-2)
    for matrix in (sparse.csc_array(X), sparse.csr_matrix(X)):
        assert numbers(gradstep.fit(matrix, y, **options)) == numbers(thin)
    for n_threads in (1, 2, 3, 8):
        assert numbers(gradstep.fit(sparse.csr_array(X), y, n_threads=n_threads, **options)) == numbers(thin)


def test_same_bits_on_every_instruction_set() -> None:
    script = textwrap.dedent("""
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=(3000, 11)), random.integers(0, 4, 3000)
        for A in (X, X.astype("f4"), X[:, :3]):
            for solver in ("lbfgs", "gd"):
                best = gradstep.fit(A, y, l2=1e-3, solver=solver, tol=1e-6, n_threads=1)
                print(solver, best.weights.tobytes().hex(), best.bias.tobytes().hex(), best.gap.hex(), best.passes)
    """)
    seen = set()
    for isa in ("portable", "avx2", "avx512"):
        run = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "GRADSTEP_ISA": isa}, capture_output=True, text=True
        )
        if "GRADSTEP_ISA must be one of" not in run.stderr:  # which this machine may not have
            assert run.returncode == 0, run.stderr
            seen.add(run.stdout)
    assert len(seen) == 1


def test_samples_do_not_need_shuffled_rows() -> None:
    X, y = overlapping(60_000, 5, 3)
    mixed = gradstep.fit(X, y, l2=1e-4)
    order = np.argsort(y, kind="stable")
    sorted_ = gradstep.fit(X[order], y[order], l2=1e-4)
    assert sorted_.history["rows"].min() < len(X)
    assert sorted_.converged and sorted_.passes <= mixed.passes + 6
    assert np.allclose(sorted_.weights, mixed.weights, rtol=0, atol=1e-7)


class Weighted(NamedTuple):
    X: Array
    y: Array
    times: Array
    l2: float
    fit_bias: bool


@st.composite
def weighted(draw: st.DrawFn) -> Weighted:
    classes = draw(st.integers(3, 5))
    m, n = draw(st.integers(classes, 20)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    X = np.round(random.normal(size=(m, n)) * 4) / 4
    y, times = random.integers(0, classes, m), random.integers(0, 4, m)
    times[:classes], y[:classes] = 1, np.arange(classes)
    return Weighted(X, y, times, draw(st.sampled_from([1e-3, 0.1, 1.0])), draw(st.booleans()))


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=cases(1000))
@given(problem=weighted())
def test_weights_are_repetition(solver: Any, problem: Weighted, count_case: Callable[[], None]) -> None:
    """The curvature is l2 at least along the weights, so both are within √(2·gap/l2) of the one optimum."""
    count_case()
    X, y, times, l2, fit_bias = problem
    options: dict[str, Any] = {"l2": l2, "fit_bias": fit_bias, "solver": solver}
    once = gradstep.fit(X, y, sample_weight=times, **options)
    repeated = gradstep.fit(np.repeat(X, times, axis=0), np.repeat(y, times), **options)
    assert max(once.gap, repeated.gap) <= 1e-12
    radius = np.sqrt(2 * once.gap / l2) + np.sqrt(2 * repeated.gap / l2)
    assert np.linalg.norm(once.weights - repeated.weights) <= radius
    assert abs(once.objective - repeated.objective) <= max(once.gap, repeated.gap) + 16 * EPS


@both_solvers
@pytest.mark.parametrize("held", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_a_row_of_weight_zero_may_be_huge(solver: Any, held: Any) -> None:
    check_huge_rows_of_weight_zero(*overlapping(400, 100, 3), held, solver)


@both_solvers
def test_a_warm_start_saves_passes(solver: Any) -> None:
    X, y = overlapping(2000, 10, 4)
    cold = gradstep.fit(X, y, l2=1e-2, solver=solver)
    for common in (0.0, 3.0):  # what all classes have in common is taken out
        warm = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=cold.weights + common, bias=cold.bias - common)
        assert warm.converged and warm.n_iterations <= 1 and warm.passes < cold.passes
    far = gradstep.fit(X, y, l2=1e-2, solver=solver, weights=1e6 * cold.weights)
    assert far.converged and np.allclose(far.weights, cold.weights, rtol=0, atol=1e-7)


# --- no optimum, or many ----------------------------------------------------------------------------------------------


def check_separation(X: Any, y: Any, best: gradstep.Optimum, tie: float = 1e-8) -> None:
    """No other class above a row's own, by more than the part `tie` of what has cancelled; some below."""
    assert best.stop_reason == "separated" and not best.converged and best.gap == np.inf
    assert best.separation is not None
    weights, bias = best.separation
    assert weights.shape == best.weights.shape and bias.shape == best.bias.shape
    assert max(np.abs(weights).max(), np.abs(bias).max()) == 1.0
    z, y = oracle.class_score(X, weights, bias), np.asarray(y).astype(int)
    margin = z[np.arange(len(y)), y][:, None] - z
    size = np.abs(X) @ np.abs(weights).T + np.abs(bias)
    size = size[np.arange(len(y)), y][:, None] + size
    assert (margin >= -tie * size).all()
    assert (margin > tie * size).any()
    assert np.isfinite(best.weights).all() and np.isfinite(best.bias).all() and np.isfinite(best.objective)


@both_solvers
@both_dtypes
@pytest.mark.parametrize("fit_bias", [True, False])
@pytest.mark.parametrize(("m", "n"), [(30, 2), (100, 3), (30, 40), (5000, 4)])
def test_complete_separation(solver: Any, dtype: Any, fit_bias: bool, m: int, n: int) -> None:
    X, _ = overlapping(m, n, 3, dtype=dtype)
    y = np.argmax(X[:, :2] @ [[1, 0, -1], [0, 1, -1]], axis=1)
    best = gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, max_passes=5000)
    check_separation(X, y, best)
    assert np.abs(best.weights).max() < 1e6
    # A penalty makes an optimum of it.
    assert gradstep.fit(X, y, solver=solver, fit_bias=fit_bias, l2=0.1, tol=1e-4).converged


@pytest.mark.parametrize("m", [300, 20_000])
def test_one_class_apart_from_two_that_overlap(m: int) -> None:
    X, y = overlapping(m, 3, 3)
    X[:, 1] += 10.0 * (y == 2)
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    # A column that occurs in one class only.
    X, y = overlapping(m, 3, 3)
    X = np.column_stack([X, (y == 1) & (np.arange(m) % 3 == 0)])
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    assert best.separation is not None
    assert not best.separation.weights[:, :3].any() and not best.separation.bias.any()


def test_a_column_that_says_nothing_new_changes_no_prediction() -> None:
    X, y = overlapping(300, 3, 4)
    want = gradstep.fit(X, y)
    for extra in (np.full(300, 5.0), np.zeros(300), X[:, 1], X @ [1.0, -2.0, 0.5] + 3):
        best = gradstep.fit(np.column_stack([X, extra]), y)
        assert best.converged
        assert np.isfinite(best.weights).all()
        assert abs(best.objective - want.objective) <= 1e-14


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
@pytest.mark.parametrize("seed", [17, 50, 138, 948, 1286, 1341])
def test_ties_at_the_mean_of_a_column(seed: int, scale: float) -> None:
    """There the mean's rounding is all that centring leaves of the column: it must not be blown up."""
    random = np.random.default_rng(seed)
    m, n = int(random.integers(3, 13)), int(random.integers(1, 7))
    X = scale * random.integers(-1, 2, (m, n))
    y = np.append([0, 1, 2], random.integers(0, 3, m - 3))
    best = gradstep.fit(X, y)
    check_separation(X, y, best)
    assert np.abs(best.weights).max() * scale <= 1e7  # 1e6 standard deviations, of a column that varies


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("classes", [3, 4])
def test_separated_is_what_a_linear_program_can_separate(classes: int, scale: float) -> None:
    separable = 0
    for seed in range(150):
        X, y, options, rows, labels = table(seed, classes, scale)
        expected = is_separable(rows, labels, options.get("fit_bias", True))
        separable += expected
        for solver in SOLVERS:
            best = gradstep.fit(X, y, solver=solver, **options)  # type: ignore[arg-type]
            if solver == "gd" and best.stop_reason == "passes":
                continue  # it has not come far enough to tell
            assert (best.stop_reason == "separated") == expected, (seed, solver)
            if expected:
                check_separation(rows, labels, best)
    assert 25 < separable < 125


@settings(max_examples=cases(150))
@given(data=st.data())
def test_degenerate_tables_get_an_answer(data: st.DataObject, count_case: Callable[[], None]) -> None:
    """Small integers: constant, repeated, dependent and separating columns in any mixture. Never NaN."""
    count_case()
    m, n = data.draw(st.integers(3, 12)), data.draw(st.integers(1, 6))
    cells = st.integers(-1, 1)
    X = np.array(data.draw(st.lists(st.lists(cells, min_size=n, max_size=n), min_size=m, max_size=m)), float)
    y = np.array([0, 1, 2, *data.draw(st.lists(st.integers(0, 2), min_size=m - 3, max_size=m - 3))])
    scale = data.draw(st.sampled_from([1.0, 1e-5, 1e5]))
    for l2 in (0.0, 1e-3):
        best = gradstep.fit(X * scale, y, l2=l2)
        assert np.isfinite(best.weights).all() and np.isfinite(best.bias).all()
        assert np.isfinite(best.objective) and np.isfinite(best.gradient_norm)
        if best.stop_reason == "separated":
            assert l2 == 0
            check_separation(X * scale, y, best)
        else:
            assert best.stop_reason in ("tolerance", "precision")
            assert best.gradient_norm <= 1e-8 * max(1.0, scale)


# --- progress, and ends before the end --------------------------------------------------------------------------------


@both_solvers
@both_dtypes
def test_history_and_callback_tell_the_same(solver: Any, dtype: Any) -> None:
    X, y = overlapping(30_000, 6, 3, dtype=dtype)
    seen: list[gradstep.Iteration] = []
    best = gradstep.fit(X, y, l2=1e-3, solver=solver, tol=1e-5, callback=seen.append)
    assert len(best.history) == best.n_iterations == len(seen)
    assert seen[-1].weights.shape == (3, 6) and seen[-1].bias.shape == (3,)
    assert seen[-1].weights.dtype == seen[-1].bias.dtype == dtype
    assert bits((seen[-1].weights,)) == bits((best.weights,))
    assert seen[-1].objective == best.history["objective"][-1]
    # What is returned is evaluated anew, in float64 at the rounded weights.
    assert abs(seen[-1].objective - best.objective) <= 64 * np.finfo(dtype).eps * best.objective
    stopped = gradstep.fit(X, y, l2=1e-3, solver=solver, callback=lambda iteration: iteration.number == 1)
    assert stopped.stop_reason == "callback" and stopped.n_iterations == 2
    check_certificate(X, y, 1e-3, None, stopped, 1e-8)


@both_solvers
@pytest.mark.parametrize("limit", [1, 4, 8])
def test_passes_are_limited(solver: Any, limit: float) -> None:
    X, y = overlapping(3000, 20, 3)
    best = gradstep.fit(X * 10.0 ** np.linspace(-3, 3, 20), y, l2=1e-6, tol=1e-14, solver=solver, max_passes=limit)
    assert best.stop_reason == "passes"
    # What is under way is finished, a Hessian of each class among it, and the certificate made: by duality, and then by
    # the Hessian, which is a matrix for each of six pairs of classes and one for the columns.
    assert best.passes <= limit + 19
    assert np.isfinite(best.objective)


def test_weights_sum_to_zero_over_the_classes() -> None:
    """To rounding, also where a small penalty leaves what all classes share to it."""
    for X, y, l2 in [
        ([[1000.0], [-2], [2]], [0, 1, 2], 1e-6),
        (
            [[3.84, 0.35], [1.17, 0.12], [10.61, 0.39], [0.0, 235.13], [0.0, 0.46], [2.43, 6.25]],
            [0, 1, 2, 3, 4, 4],
            1e-8,
        ),
    ]:
        best = gradstep.fit(X, y, l2=l2)
        assert best.converged
        assert np.abs(best.weights.sum(axis=0)).max() <= 64 * np.finfo(float).eps * np.abs(best.weights).max()
        assert abs(best.bias.sum()) <= 64 * np.finfo(float).eps * max(
            np.abs(best.bias).max(), np.abs(best.weights).max()
        )


def test_one_far_value_among_classes() -> None:
    """Where L-BFGS crawls, Newton's method goes on with half of the passes."""
    X = [[3.8439, 0.3525], [1.1728, 0.1209], [10.6131, 0.3886], [0.0015, 235.133], [0.0006, 0.4578], [2.4303, 6.2532],
         [0.0154, 7.1277]]  # fmt: skip
    best = gradstep.fit(X, [0, 1, 2, 3, 4, 4, 4], l2=1e-8)
    assert best.converged and best.objective < 4.75e-6


@pytest.mark.parametrize("K", [20, 60])
def test_many_classes_take_no_hessian_that_passes_do_not_allow(K: int) -> None:
    X = np.random.default_rng(K).normal(size=(20 * K, 3))
    best = gradstep.fit(X, np.arange(20 * K) % K, max_passes=1)
    assert best.stop_reason == "passes" and best.passes <= 2 * K + 10
