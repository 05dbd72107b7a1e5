"""l1 on the norm of the weights that all classes give to a column: where such fits end, and what is proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import gradstep
from helpers.class_objective import ClassObjective
from helpers.layouts import layouts
from helpers.problems import Array, both_dtypes


def problem(seed: int, m: int = 120, n: int = 8, classes: int = 3) -> tuple[Array, Array]:
    """Columns of which half say something of the class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, n))
    W = rng.normal(size=(n, classes)) * (rng.random(n) < 0.5)[:, None]
    y = (X @ W + rng.gumbel(size=(m, classes))).argmax(axis=1)
    y[:classes] = np.arange(classes)
    return X, y


class Whole(ClassObjective):
    """The whole objective, and its minimum by proximal gradient descent with momentum (FISTA)."""

    def at(self, W: Array, b: Array) -> float:
        return float(self.smooth(W, b)[0] + self.l1 * (self.factors * np.linalg.norm(W, axis=0)).sum())

    def minimum(self, W: Array, b: Array) -> float:
        """The least objective found from a start near the minimum."""
        step = 1 / (0.5 * (self.s @ ((self.X**2).sum(axis=1) + 1)) + self.l2 * self.factors.max())
        best, seen = self.at(W, b), (W, b)
        ahead, t = seen, 1.0
        for _ in range(3000):
            _, by_weights, by_biases = self.smooth(*ahead)
            moved = ahead[0] - step * by_weights
            norms = np.linalg.norm(moved, axis=0)
            kept = np.maximum(0, 1 - step * self.l1 * self.factors / np.where(norms > 0, norms, 1))
            new = moved * kept, ahead[1] - step * by_biases
            faster = (1 + (1 + 4 * t * t) ** 0.5) / 2
            ahead = tuple(after + (t - 1) / faster * (after - before) for after, before in zip(new, seen, strict=True))
            seen, t = new, faster
            best = min(best, self.at(*seen))
        return best


@pytest.mark.parametrize("seed", range(30))
def test_the_gap_is_an_upper_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(3, 6)), int(rng.integers(1, 9))
    X, y = problem(seed, n=n, classes=classes)
    some = {
        "l2": 10 ** rng.uniform(-3, 0),
        "penalty_factors": rng.uniform(0.1, 3, n),
        "prior": rng.normal(size=(classes, n)),
        "offset": rng.normal(size=(len(y), classes)),
        "sample_weight": rng.integers(0, 3, len(y)) + 0.5 * (np.arange(len(y)) < classes),
        "fit_bias": False,
    }
    options: dict[str, Any] = {"l1": 10 ** rng.uniform(-2.5, -0.8)}
    options |= {name: value for name, value in some.items() if rng.random() < 0.5}
    best = gradstep.fit(X, y, grouped=True, **options)
    whole = Whole(X, y, options)
    assert best.converged and best.solver == "proximal"
    assert_allclose(whole.at(best.weights, best.bias), best.objective, rtol=1e-12)
    assert best.objective - best.gap <= whole.minimum(best.weights, best.bias) * (1 + 1e-13)
    assert best.gap >= 0
    few = gradstep.fit(X, y, grouped=True, **options, max_passes=3)
    assert few.objective - few.gap <= best.objective * (1 + 1e-13)


def test_a_column_has_weights_for_all_classes_or_for_none() -> None:
    X, y = problem(1, m=500, n=30, classes=4)
    together = gradstep.fit(X, y, l1=0.05, grouped=True, gap_tol=1e-11)
    single = gradstep.fit(X, y, l1=0.05)
    assert together.converged
    kept = (together.weights != 0).any(axis=0)
    assert 0 < kept.sum() < 30 and (together.weights[:, kept] != 0).all()
    assert ((single.weights != 0).sum(axis=0) % 4 != 0).any()
    # At the optimum, the slopes of a column without weights are not longer than l1. Those of the others are as long.
    slopes = np.linalg.norm(gradstep.gradient(X, y, together.weights, together.bias).weights, axis=0)
    assert (slopes[~kept] <= 0.05 + 1e-5).all()
    assert_allclose(slopes[kept], 0.05, atol=1e-5)
    assert_allclose(together.weights.sum(axis=0), 0, atol=1e-5)
    assert together.gradient_norm < 1e-5


def test_with_one_score_nothing_is_grouped() -> None:
    X, y = problem(2)
    binary = (y > 0).astype(float)
    for options in ({"l1": 0.02}, {"l1": 0.02, "l2": 0.1, "lower": 0.0, "penalty_factors": np.arange(8.0)}):
        assert gradstep.fit(X, binary, grouped=True, **options) == gradstep.fit(X, binary, **options)
    assert gradstep.fit(X, y, l2=0.1, grouped=True) == gradstep.fit(X, y, l2=0.1)


def test_many_columns() -> None:
    """More columns than are iterated over at once."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 900))
    X *= 10.0 ** rng.uniform(-2, 2, 900)
    z = (X[:, :5] / X[:, :5].std(axis=0)) @ rng.normal(size=(5, 3))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    factors = X.std(axis=0)
    best = gradstep.fit(X, y, l1=0.05, penalty_factors=factors, grouped=True)
    assert best.converged and 0 < (best.weights != 0).any(axis=0).sum() < 300
    scaled = gradstep.fit(X / factors, y, l1=0.05, grouped=True)
    assert_allclose(best.objective, scaled.objective, rtol=1e-7)
    sparse = gradstep.fit(sp.csr_array(X), y, l1=0.05, penalty_factors=factors, grouped=True)
    assert sparse.converged
    assert_allclose(sparse.objective, best.objective, rtol=2e-8)


@both_dtypes
def test_the_same_bits_in_every_layout(dtype: Any, tmp_path: Path) -> None:
    X, y = problem(4, m=400, n=12)
    X = X.astype(dtype)
    best = gradstep.fit(X, y, l1=0.03, l2=0.01, grouped=True, n_threads=1)
    assert best.converged and best.weights.dtype == dtype and not best.weights.all()
    for name, same in layouts(X, tmp_path):
        for threads in (1, 3):
            assert gradstep.fit(same, y, l1=0.03, l2=0.01, grouped=True, n_threads=threads) == best, name
    parts = [(X[some], y[some]) for some in (slice(0, 150), slice(150, 400))]
    assert gradstep.fit(lambda: iter(parts), None, l1=0.03, l2=0.01, grouped=True) == best
    many = gradstep.fit_many(X, y, l1=[0.03, 0.1], l2=0.01, grouped=True)
    assert many[0] == best


def test_a_path_of_groups() -> None:
    X, y = problem(5, m=400, n=20)
    path = gradstep.path(X, y, grouped=True, n=20)
    assert path.converged.all()
    assert_array_equal(path.weights[0], np.zeros((3, 20)))
    below = gradstep.fit(X, y, l1=path.strengths[0] * 0.999, grouped=True)
    assert (below.weights != 0).any(axis=0).sum() == 1
    at = len(path.strengths) // 2
    alone = gradstep.fit(X, y, l1=path.strengths[at], grouped=True)
    assert_allclose(path.objective[at], alone.objective, rtol=2e-8)
    assert path.n_nonzero[-1] > path.n_nonzero[1]
    groups = (path.weights != 0).sum(axis=1)
    assert set(np.unique(groups)) <= {0, 3}


def test_a_start_and_its_limits() -> None:
    X, y = problem(6)
    best = gradstep.fit(X, y, l1=0.05, grouped=True)
    warm = gradstep.fit(X, y, l1=0.05, grouped=True, weights=best.weights, bias=best.bias)
    assert warm.converged and warm.passes < best.passes
    all_zero = gradstep.fit(X, y, l1=10.0, grouped=True)
    assert not all_zero.weights.any() and all_zero.converged
    drawn = gradstep.fit(X, y, l1=0.1, l2=1e6, grouped=True, prior=np.ones((3, 8)))
    assert_allclose(drawn.weights, 1 - 1e-7 / np.sqrt(3), atol=1e-5)


@pytest.mark.parametrize("bounds", [{"lower": 0.0}, {"upper": np.ones((3, 8))}], ids=str)
def test_groups_have_no_bounds(bounds: dict[str, Any]) -> None:
    X, y = problem(7)
    with pytest.raises(ValueError, match="grouped must be False with bounds, got True"):
        gradstep.fit(X, y, l1=0.1, grouped=True, **bounds)
    with pytest.raises(TypeError, match="grouped must be True or False, got str"):
        gradstep.fit(X, y, l1=0.1, grouped="yes")
