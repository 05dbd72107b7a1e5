"""`path`: its strengths, that each model is the optimum, how much deviance the models explain, and where it stops."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import gradstep
from helpers.problems import Array, both_dtypes

EPS = np.finfo(np.float64).eps


def problem(m: int = 150, n: int = 12, seed: int = 0) -> tuple[Array, Array]:
    """Features and labels. Columns have different scales; the labels depend on three of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-1, 1, n)
    z = X[:, 0] / X[:, 0].std() - 2 * X[:, 3] / X[:, 3].std() + X[:, 5] / X[:, 5].std()
    return X, (z + rng.logistic(size=m) > 0).astype(float)


def weights_of_rows(m: int) -> Array:
    return np.random.default_rng(1).integers(0, 4, m).astype(float)


@pytest.mark.parametrize("fit_bias", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.3])
def test_strengths_fall_from_the_least_that_makes_all_weights_zero(
    l1_ratio: float, weighted: bool, fit_bias: bool
) -> None:
    X, y = problem()
    s = weights_of_rows(len(y)) if weighted else np.ones(len(y))
    path = gradstep.path(X, y, l1_ratio=l1_ratio, n=7, ratio=0.01, sample_weight=s, fit_bias=fit_bias)
    mean = np.average(y, weights=s) if fit_bias else 0.5
    slopes = (s * (y - mean)) @ X / s.sum()
    # Slopes are sums of 150 terms, each right to a few ε of itself, and are a tenth of their terms or so.
    assert_allclose(path.strengths, np.abs(slopes).max() / l1_ratio * np.geomspace(1, 0.01, 7), rtol=1e-12)
    assert not path.weights[0].any()
    assert_allclose(path.bias[0], np.log(mean / (1 - mean)), rtol=1e-9, atol=1e-9)
    below = path.strengths[0] * (1 - 1e-6)
    just_below = gradstep.fit(
        X, y, l1=l1_ratio * below, l2=(1 - l1_ratio) * below, sample_weight=s, fit_bias=fit_bias, gap_tol=1e-13
    )
    assert np.flatnonzero(just_below.weights).tolist() == [np.abs(slopes).argmax()]
    assert path.stop_reason == "strengths" and path.l1_ratio == l1_ratio


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
@both_dtypes
def test_each_is_the_optimum_of_fit(dtype: Any, l1_ratio: float) -> None:
    X, y = problem(seed=2)
    X = X.astype(dtype)
    path = gradstep.path(X, y, l1_ratio=l1_ratio, n=9)
    assert path.converged.all() and path.weights.dtype == dtype and path.weights.shape == (9, 12)
    for k, strength in enumerate(path.strengths):
        l1, l2 = l1_ratio * strength, (1 - l1_ratio) * strength
        best = gradstep.fit(X, y, l1=l1, l2=l2)
        assert abs(path.objective[k] - best.objective) <= path.gap[k] + best.gap + 8 * EPS
        w = path.weights[k].astype(float)
        # The loss and the objective in the path are those of its weights.
        assert_allclose(path.loss[k], gradstep.loss(X.astype(float), y, w, path.bias[k]), rtol=1e-13)
        assert_allclose(path.objective[k], path.loss[k] + l1 * np.abs(w).sum() + l2 / 2 * w @ w, rtol=1e-13)
        assert path.n_nonzero[k] == np.count_nonzero(w)
    assert (np.diff(path.loss) <= 0).all()


def test_three_classes_without_l1() -> None:
    X, y = problem(seed=3)
    y = y + (X[:, 5] > 0) * (y > 0)
    path = gradstep.path(X, y, l1_ratio=0, n=6)
    assert path.weights.shape == (6, 3, 12) and path.bias.shape == (6, 3) and path.converged.all()
    shares = np.bincount(y.astype(int)) / len(y)
    slopes = (np.eye(3)[y.astype(int)] - shares).T @ X / len(y)
    assert_allclose(path.strengths[0], np.abs(slopes).max() / 1e-3, rtol=1e-12)
    entropy = -(shares * np.log(shares)).sum()
    assert_allclose(path.deviance_explained, 1 - path.loss / entropy, rtol=1e-9)
    best = gradstep.fit(X, y, l2=path.strengths[4])
    assert abs(path.objective[4] - best.objective) <= path.gap[4] + best.gap + 8 * EPS
    assert (path.n_nonzero == 12).all()


def test_three_classes_with_l1() -> None:
    X, y = problem(seed=3)
    y = (y + (X[:, 5] > 0) * (y > 0)).astype(int)
    path = gradstep.path(X, y, n=8, ratio=0.05)
    assert path.weights.shape == (8, 3, 12) and path.converged.all()
    assert path.n_nonzero[0] == 0 < path.n_nonzero[-1] and (np.diff(path.deviance_explained) > 0).all()
    shares = np.bincount(y) / len(y)
    slopes = (np.eye(3)[y] - shares).T @ X / len(y)
    assert_allclose(path.strengths[0], np.abs(slopes).max(), rtol=1e-9)
    best = gradstep.fit(X, y, l1=path.strengths[4])
    assert abs(path.objective[4] - best.objective) <= path.gap[4] + best.gap + 8 * EPS


@pytest.mark.parametrize("fit_bias", [True, False])
def test_deviance_explained_of_labels_between_zero_and_one(fit_bias: bool) -> None:
    X, y = problem(seed=4)
    y, s = 0.1 + 0.8 * y * np.random.default_rng(0).random(len(y)), weights_of_rows(len(y))
    path = gradstep.path(X, y, n=5, sample_weight=s, fit_bias=fit_bias)

    def error(p: Any) -> Any:
        return np.average(-y * np.log(p) - (1 - y) * np.log(1 - p), weights=s)

    none = error(np.average(y, weights=s) if fit_bias else 0.5)
    want = (none - path.loss) / (none - error(y))
    assert_allclose(path.deviance_explained, want, atol=1e-12)
    assert path.deviance_explained[0] == pytest.approx(0, abs=1e-9) and 0 < path.deviance_explained[-1] < 1


def test_sparse_features_give_sparse_weights() -> None:
    rng = np.random.default_rng(8)
    X = sp.random_array((300, 80), density=0.1, rng=rng, format="csr")
    y = (X @ rng.normal(size=80) * 3 + rng.logistic(size=300) > 0).astype(float)
    sparse, dense = gradstep.path(X, y, n=10, gap_tol=1e-11), gradstep.path(X.toarray(), y, n=10, gap_tol=1e-11)
    assert isinstance(sparse.weights, sp.csr_array) and isinstance(dense.weights, np.ndarray)
    assert_array_equal(sparse.n_nonzero, dense.n_nonzero)
    assert sparse.weights.nnz == sparse.n_nonzero.sum()
    assert_allclose(sparse.weights.toarray(), dense.weights, atol=1e-4)
    assert_allclose(sparse.objective, dense.objective, rtol=1e-10)


def test_it_stops_where_the_deviance_does_not_change() -> None:
    X = np.linspace(-1, 1, 40)[:, None]
    y = X[:, 0] > 0  # separated: all of the deviance can be explained
    path = gradstep.path(X, y, ratio=1e-6)
    assert path.stop_reason == "deviance" and len(path.strengths) < 100
    assert path.deviance_explained[-1] > 0.999 >= path.deviance_explained[-2]
    noise = gradstep.path(*problem(seed=5), ratio=1e-9)
    growth = np.diff(noise.deviance_explained)
    assert noise.stop_reason == "deviance" and growth[-1] < 1e-5 <= growth[3:-1].min()
    given = gradstep.path(X, y, strengths=path.strengths[0] * np.geomspace(1, 1e-6, 100))
    assert given.stop_reason == "strengths" and len(given.strengths) == 100


def test_strengths_that_are_given_are_taken_from_the_largest_down() -> None:
    X, y = problem()
    path = gradstep.path(X, y, strengths=[0.0, 0.1, 0.01])
    assert path.strengths.tolist() == [0.1, 0.01, 0.0]
    plain = gradstep.fit(X, y)
    assert abs(path.objective[-1] - plain.objective) <= path.gap[-1] + plain.gap + 8 * EPS
    assert_array_equal(gradstep.path(X, y, strengths=0.1).weights, path.weights[:1])


def test_a_start_from_the_strength_before_saves_passes() -> None:
    X, y = problem(m=400, n=30)
    path = gradstep.path(X, y, n=50)
    cold = [gradstep.fit(X, y, l1=strength).passes for strength in path.strengths]
    assert path.passes.sum() < 0.8 * sum(cold)


@pytest.mark.parametrize(
    ("shape", "density", "options"),
    [
        ((20_000, 20), 1.0, {}),
        ((4000, 350), 1.0, {"ratio": 0.03}),
        ((4000, 350), 1.0, {"ratio": 0.03, "l1_ratio": 0.6}),
        ((6000, 400), 0.03, {"ratio": 0.05}),
        ((20_000, 20), 1.0, {"lower": -0.1, "upper": 0.3, "penalty_factors": [0.0, *[1.0] * 18, 3.0]}),
    ],
)
def test_proofs_along_a_path_with_many_rows(shape: tuple[int, int], density: float, options: dict[str, Any]) -> None:
    """With many rows, proofs are by the Hessian of some of them; with many columns, for sets of columns."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=shape) + 0.7 * rng.normal(size=(shape[0], 1))
    X[rng.random(shape) > density] = 0.0
    y = (X @ (rng.normal(size=shape[1]) * (rng.random(shape[1]) < 0.3)) + rng.logistic(size=shape[0]) > 0).astype(float)
    features: Any = X if density == 1 else sp.csr_array(X)
    path = gradstep.path(features, y, n=12, **options)
    assert path.converged.all()
    of_fit = {name: value for name, value in options.items() if name not in ("ratio", "l1_ratio")}
    weights = path.weights if density == 1 else path.weights.toarray()
    for at in range(0, len(path.strengths), 3):
        l1, l2 = path.l1_ratio * path.strengths[at], (1 - path.l1_ratio) * path.strengths[at]
        best = gradstep.fit(X, y, l1=l1, l2=l2, gap_tol=1e-13, **of_fit)
        assert path.objective[at] - best.objective <= path.gap[at] + 4 * EPS
        assert path.gap[at] >= 0
        assert_allclose(weights[at], best.weights, atol=1e-6)


def test_a_path_goes_on_with_what_it_knows() -> None:
    rng = np.random.default_rng(9)
    X = rng.normal(size=(30_000, 15))
    y = (X @ rng.normal(size=15) + rng.logistic(size=30_000) > 0).astype(float)
    path = gradstep.path(X, y, n=30, ratio=0.1)
    passes, start = 0.0, (path.weights[0], path.bias[0])
    for strength in path.strengths[1:]:
        best = gradstep.fit(X, y, l1=strength, weights=start[0], bias=start[1])
        passes, start = passes + best.passes, (best.weights, best.bias)
    assert path.passes[1:].sum() < 0.75 * passes


def test_the_same_bits_on_any_number_of_threads_and_in_any_layout() -> None:
    X, y = problem(m=600)
    path = gradstep.path(X, y, n=8, n_threads=1)
    assert gradstep.path(X, y, n=8, n_threads=3) == path == gradstep.path(np.asfortranarray(X), y, n=8)
    assert pickle.loads(pickle.dumps(path)) == path != gradstep.path(X, y, n=7)


def drawn(classes: int) -> tuple[Array, Array, dict[str, Any]]:
    """A problem with offsets, weights of rows, and factors, of which some are 0."""
    X, y = problem(m=200, n=8, seed=6)
    X = X / X.std(axis=0)
    y = y if classes == 2 else (y + (X[:, 5] > 0) * (y > 0)).astype(int)
    rng = np.random.default_rng(7)
    return X, y, {
        "offset": rng.normal(size=200 if classes == 2 else (200, 3)),
        "sample_weight": weights_of_rows(200),
        "penalty_factors": np.array([0.0, 1.0, 2.0, 0.5, 1.0, 1.0, 0.0, 1.0]),
    }  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "more", [{}, {"lower": 0.0}, {"lower": 0.05, "upper": 0.5, "l1_ratio": 0.6}, {"grouped": True}], ids=str
)
def test_the_first_strength_is_the_least_with_all_penalised_weights_at_their_start(
    classes: int, more: dict[str, Any]
) -> None:
    X, y, options = drawn(classes)
    options |= more
    path = gradstep.path(X, y, n=4, ratio=0.1, **options)
    ratio = options.pop("l1_ratio", 1.0)
    penalised = options["penalty_factors"] > 0
    start = more.get("lower", 0.0)
    assert (path.weights[0][..., penalised] == start).all() and path.weights[0][..., ~penalised].any()
    assert (path.weights[1][..., penalised] != start).any()
    below, above = (path.strengths[0] * part for part in (1 - 1e-5, 1 + 1e-9))
    for strength, moves in ((below, True), (above, False)):
        found = gradstep.fit(X, y, l1=ratio * strength, l2=(1 - ratio) * strength, gap_tol=1e-14, **options)
        assert (found.weights[..., penalised] != start).any() == moves


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "more",
    [{}, {"prior": 0.3, "l1_ratio": 0.0}, {"lower": -0.1, "upper": 0.4, "l1_ratio": 0.5}, {"fit_bias": False}],
    ids=str,
)
def test_each_is_the_optimum_of_fit_with_its_options(classes: int, more: dict[str, Any]) -> None:
    X, y, options = drawn(classes)
    if classes == 3:
        del options["penalty_factors"]
    options |= more
    path = gradstep.path(X, y, n=5, ratio=0.01, **options)
    ratio = options.pop("l1_ratio", 1.0)
    assert path.converged.all()
    for k, strength in enumerate(path.strengths):
        best = gradstep.fit(X, y, l1=ratio * strength, l2=(1 - ratio) * strength, **options)
        assert best.converged
        assert abs(path.objective[k] - best.objective) <= path.gap[k] + best.gap + 8 * EPS
    none = gradstep.fit(np.zeros((200, 1)), y, **{n: options[n] for n in ("offset", "sample_weight")}, **{
        "fit_bias": options.get("fit_bias", True), "gap_tol": 1e-14})  # fmt: skip
    assert_allclose(path.deviance_explained, 1 - path.loss / none.loss, atol=1e-9)


def test_without_l1_the_weights_start_from_the_prior() -> None:
    X, y, options = drawn(2)
    prior = np.linspace(-1, 1, 8)
    path = gradstep.path(X, y, l1_ratio=0, prior=prior, n=4, **options)
    # The same path without a prior, whose scores are known in part.
    offset = options.pop("offset") + X @ (prior * (options["penalty_factors"] > 0))
    same = gradstep.path(X, y, l1_ratio=0, offset=offset, n=4, **options)
    assert_allclose(path.strengths, same.strengths, rtol=1e-9)
    known = prior * (options["penalty_factors"] > 0)
    assert_allclose(path.weights, same.weights + known, atol=1e-6)
    given = gradstep.path(X, y, l1_ratio=0.5, prior=prior, strengths=[0.1, 0.01], **options)
    assert given.converged.all()


def test_rows_that_are_read_and_sparse_rows_take_them_too() -> None:
    X, y, options = drawn(2)
    path = gradstep.path(X, y, n=4, **options)
    sparse = gradstep.path(sp.csr_array(X), y, n=4, **options)
    assert_allclose(sparse.strengths, path.strengths, rtol=1e-9)
    assert_allclose(sparse.weights.toarray(), path.weights, atol=1e-6)
    pa = pytest.importorskip("pyarrow", exc_type=ImportError)
    columns = {f"x{j}": X[:, j] for j in range(8)} | {"y": y, "o": options["offset"], "s": options["sample_weight"]}
    names = {"offset": "o", "sample_weight": "s", "penalty_factors": options["penalty_factors"]}
    read = gradstep.path(pa.table(columns), "y", n=4, **names)
    assert read == path


def test_what_it_shows() -> None:
    X, y = problem()
    path = gradstep.path(X, y, n=4, ratio=0.1)
    first, *lines = repr(path).splitlines()
    assert first == f"Path: 4 strengths from {path.strengths[0]:.6g} to {path.strengths[-1]:.6g}"
    assert lines[1] == f"  columns    0 to {path.n_nonzero.max()} with weights that are not 0"
    assert lines[2] == f"  explained  {path.deviance_explained[-1]:.2%} of the deviance at the last strength"
    assert lines[3].startswith("  proved     all of 4")
