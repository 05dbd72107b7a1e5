"""surface: in each cell the least error over all biases, and the path and the optimum where they belong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from matplotlib import pyplot
from scipy.optimize import minimize_scalar

import gradstep
from gradstep import _valley

RNG = np.random.default_rng(8)
X = RNG.normal(size=(50, 3)) * [1.0, 10.0, 1.0] + [0.0, 30.0, 1.0]
Y = (RNG.random(50) < gradstep.sigmoid(X @ [1.0, -0.1, 0.5] + 2.5)).astype(float)


def least(scores: np.ndarray, y: np.ndarray) -> float:
    """The least error over all biases, by another method: SciPy's, of the textbook's formula."""

    def error(bias: float) -> float:
        z = scores + bias
        return float(np.mean(np.logaddexp(0, z) - y * z))

    middle = -np.median(scores)
    return float(minimize_scalar(error, bracket=(middle - 1, middle + 1), options={"xtol": 1e-12}).fun)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("soft", [False, True])
def test_each_cell_has_the_best_bias(scale: float, soft: bool) -> None:
    scores = RNG.normal(size=(50, 7)) * scale + RNG.normal(size=7) * 100
    y = RNG.random(50) if soft else Y
    got = _valley.least_error(scores, y[:, None])
    # At a minimum, an error of the bias counts by its square. So only the rounding of the cross-entropy is left, a mean
    # of terms of up to `size`.
    size = np.ptp(scores, axis=0).max() + 1
    np.testing.assert_allclose(got, [least(each, y) for each in scores.T], rtol=0, atol=64 * np.finfo(float).eps * size)


def test_one_label_among_many_has_the_best_bias() -> None:
    y = np.zeros(4000)
    y[17] = 1.0
    scores = RNG.normal(size=(4000, 3)) * [1.0, 50.0, 1e4]
    np.testing.assert_allclose(
        _valley.least_error(scores, y[:, None]), [least(each, y) for each in scores.T], rtol=0, atol=1e-11
    )


def drawn(
    monkeypatch: pytest.MonkeyPatch, *args: Any, **options: Any
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """The Axes of a surface, and the arrays that its contours were drawn from."""
    calls: list[Any] = []
    contourf = pyplot.Axes.contourf

    def recording(self: Any, *data: Any, **style: Any) -> Any:
        calls.append(data)
        return contourf(self, *data, **style)

    monkeypatch.setattr(pyplot.Axes, "contourf", recording)
    ax = gradstep.plot.surface(*args, **options)
    ((across, up, heights),) = calls
    return ax, across, up, heights


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_heights_are_the_least_objectives_with_all_else_at_the_optimum(
    monkeypatch: pytest.MonkeyPatch, l2: float
) -> None:
    best = gradstep.fit(X, Y, l2=l2)
    ax, across, up, heights = drawn(monkeypatch, X, Y, columns=(2, 0), l2=l2, grid_resolution=9)
    assert heights.shape == (9, 9)
    for row, column in [(0, 0), (3, 7), (8, 2), (8, 8)]:
        weights = best.weights.copy()
        weights[2], weights[0] = across[column], up[row]
        want = least(X @ weights, Y) + l2 / 2 * (weights @ weights)
        assert abs(heights[row, column] - want) <= 1e-12
    assert heights.min() >= best.objective - 1e-15
    assert ax.lines[-1].get_label() == "optimum"
    assert np.array_equal(ax.lines[-1].get_xydata(), [best.weights[[2, 0]]])
    assert (ax.get_xlim(), ax.get_ylim()) == ((across[0], across[-1]), (up[0], up[-1]))
    assert ax.get_xlabel() == "weight of $x_{3}$ (nats per unit)"
    assert ax.figure.axes[1].get_ylabel() == ("objective (nats)" if l2 else "mean cross-entropy E (nats)")


def test_the_cell_of_the_optimum_has_its_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    best = gradstep.fit(X, Y)
    first, second = best.weights[:2]
    limits = [(first - 1, first + 1), (second - 0.1, second + 0.1)]
    ax, _, _, heights = drawn(monkeypatch, X, Y, limits=limits, grid_resolution=3)
    assert heights.argmin() == 4
    assert abs(heights[1, 1] - best.objective) <= best.gap + 1e-14
    assert (ax.get_xlim(), ax.get_ylim()) == tuple(limits)


def test_cells_do_not_depend_on_how_many_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *whole = drawn(monkeypatch, X, Y, grid_resolution=6)
    monkeypatch.undo()
    monkeypatch.setattr(_valley, "ELEMENTS", 130)
    _, *parts = drawn(monkeypatch, X, Y, grid_resolution=6)
    np.testing.assert_allclose(parts[2], whole[2], rtol=1e-14)


def test_sparse_rows_have_the_heights_of_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *dense = drawn(monkeypatch, X, Y, l2=0.1, grid_resolution=4)
    monkeypatch.undo()
    _, *sparse = drawn(monkeypatch, scipy.sparse.csr_array(X), Y, l2=0.1, grid_resolution=4)
    # The optima for dense and sparse X agree to within their gaps, at most 1e-8 of the objective.
    np.testing.assert_allclose(sparse[2], dense[2], rtol=1e-6)


def test_the_path_is_that_of_the_descent() -> None:
    seen = []
    trainer = gradstep.Trainer(0.001, epochs=12, batch_size=1)
    descent = trainer.fit(X, Y, callback=lambda epoch, loss, weights, bias: seen.append((weights, bias)))
    weights, _ = zip(*seen, strict=True)
    ax = gradstep.plot.surface(X, Y, columns=(0, 2), grid_resolution=4, descent=descent)
    assert ax.lines[0].get_label() == "descent, by epoch"
    assert np.array_equal(ax.lines[0].get_xydata(), np.array(weights)[:, [0, 2]])
    for place in ax.lines[0].get_xydata():
        assert ax.get_xlim()[0] < place[0] < ax.get_xlim()[1]
    pathless = replace(trainer, path=False).fit(X, Y)
    alone = gradstep.plot.surface(X, Y, columns=(0, 2), grid_resolution=4, descent=pathless)
    assert np.array_equal(alone.lines[0].get_xydata(), [descent.weights[[0, 2]]])


def test_limits_hold_all_of_it_and_are_as_wide_in_scores() -> None:
    descent = gradstep.Trainer(0.001, epochs=12, batch_size=1, trace=True).fit(X, Y, [2.0, 0.5, -1.0])
    best = gradstep.fit(X, Y)
    ax = gradstep.plot.surface(X, Y, columns=(0, 1), descent=descent, grid_resolution=4)
    for place in [(0.0, 0.0), tuple(best.weights[:2]), *descent.trace["weights"][49::50, :2]]:
        assert ax.get_xlim()[0] < place[0] < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < place[1] < ax.get_ylim()[1]
    widths = np.ptp([ax.get_xlim(), ax.get_ylim()], axis=1)
    np.testing.assert_allclose(*(widths * X[:, :2].std(axis=0)), rtol=1e-12)


def test_without_an_optimum_there_is_no_star() -> None:
    data, labels = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
    descent = gradstep.Trainer(0.5, epochs=5, trace=True).fit(data, labels)
    assert gradstep.fit(data, labels).separation is not None
    ax = gradstep.plot.surface(data, labels, descent=descent, grid_resolution=5)
    assert [line.get_label() for line in ax.lines] == ["descent, by epoch"]
    assert gradstep.plot.surface(data, labels, grid_resolution=5).get_legend() is None


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots()
    assert gradstep.plot.surface(X, Y, grid_resolution=3, ax=given) is given
    assert len(pyplot.get_fignums()) == 1
