"""lines, regions, perceptron: what the Axes hold is what the functions and results give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from matplotlib import pyplot

import gradstep

pa = pytest.importorskip("pyarrow", exc_type=ImportError)  # with an old NumPy it cannot be imported

RNG = np.random.default_rng(3)
Y = np.arange(60) % 2
X = RNG.normal(size=(60, 3)) * [1.0, 20.0, 0.1] + np.outer(Y, [1.0, 20.0, 0.1]) + [0.0, 50.0, -2.0]
START = [-0.5, 0.02, 3.0]
TRAINER = gradstep.Trainer(0.001, epochs=30, trace=True)
CODES = np.arange(60) % 3
SPREAD = RNG.normal(size=(60, 4)) + np.eye(3, 4)[CODES] * 2

EPS = np.finfo(float).eps


def walk(**options: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """A descent, and the weights and biases after each epoch, as a callback sees them."""
    seen = []
    descent = gradstep.Trainer(0.001, epochs=30, **options).fit(
        X, Y, START, 0.25, callback=lambda epoch, loss, weights, bias: seen.append((weights, bias))
    )
    weights, biases = zip(*seen, strict=True)
    return descent, np.array(weights), np.array(biases)


def assert_on_the_line(line: Any, weights: np.ndarray, bias: float, columns: tuple[int, int]) -> None:
    """Assert that the score is 0 at both ends of the line, with the other columns at their means, and that the ends are
    on the limits of the picture."""
    for place in line.get_xydata():
        row = X.mean(axis=0)
        row[list(columns)] = place
        # The bound is rounding: the score is a sum of terms of this size, and the coordinate of an end is such a sum
        # divided by a weight.
        assert abs(row @ weights + bias) <= 16 * EPS * (np.abs(row) @ np.abs(weights) + abs(bias))
    ends, ax = line.get_xydata(), line.axes
    assert tuple(ends[:, 0]) == ax.get_xlim() or tuple(ends[:, 1]) == ax.get_ylim()


@pytest.mark.parametrize("columns", [(0, 1), (2, 1), (0, 2)])
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_lines_of_epochs_are_those_of_their_weights(columns: tuple[int, int], batch_size: int | None) -> None:
    descent, weights, biases = walk(batch_size=batch_size)
    ax = gradstep.plot.lines(descent, X, Y, columns=columns)
    assert [line.get_label() for line in ax.lines] == [f"epoch {epoch}" for epoch in (1, 2, 4, 8, 15, 30)]
    for line in ax.lines:
        epoch = int(line.get_label().split()[1])
        assert_on_the_line(line, weights[epoch - 1], biases[epoch - 1], columns)
    assert [line.get_linewidth() for line in ax.lines] == [1.2] * 5 + [2.5]
    assert ax.lines[-1].get_color() == "black"


def test_a_path_that_was_not_kept_is_not_drawn() -> None:
    descent, weights, biases = walk(path=False)
    ax = gradstep.plot.lines(descent, X, Y)
    assert [line.get_label() for line in ax.lines] == ["W·x + b = 0"]
    assert_on_the_line(ax.lines[0], weights[-1], biases[-1], (0, 1))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_no_more_lines_than_epochs(epochs: int) -> None:
    descent = gradstep.Trainer(0.001, epochs=epochs, trace=True).fit(X, Y, START)
    labels = [line.get_label() for line in gradstep.plot.lines(descent, X, Y, n_lines=50).lines]
    assert labels == ([f"epoch {epoch + 1}" for epoch in range(epochs)] if epochs > 1 else ["W·x + b = 0"])


def test_without_a_path_only_the_last_line() -> None:
    best = gradstep.fit(X, Y, l2=0.01)
    model = gradstep.LogisticRegression(l2=0.01).fit(X, Y)
    for result in (best, model):
        ax = gradstep.plot.lines(result, X, Y)
        assert [line.get_label() for line in ax.lines] == ["W·x + b = 0"]
        assert_on_the_line(ax.lines[0], best.weights, best.bias, (0, 1))


def test_all_rows_are_drawn_each_with_its_label() -> None:
    names = np.where(Y == 1, "_ripe", "gr$een")
    model = gradstep.LogisticRegression().fit(X, names)
    ax = gradstep.plot.lines(model, X, names, columns=(1, 2))
    first, second = (points.get_offsets() for points in ax.collections)
    # Classes are sorted: "_ripe" is before "gr$een". Both are drawn literally, although matplotlib gives _ and $ a
    # meaning.
    assert np.array_equal(first, X[Y == 1][:, [1, 2]])
    assert np.array_equal(second, X[Y == 0][:, [1, 2]])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [" _ripe", r"gr\$een", "W·x + b = 0"]


def test_limits_and_names() -> None:
    descent = TRAINER.fit(X, Y)
    frame = pd.DataFrame(X, columns=["age", "dose", "size"])
    for data, names, shown in [
        (X, None, ("$x_{3}$", "$x_{2}$")),
        (frame, None, ("size", "dose")),
        (pa.table({name: frame[name] for name in frame}), None, ("size", "dose")),
        (frame, ["a", "b", "c"], ("c", "b")),
    ]:
        ax = gradstep.plot.lines(descent, data, Y, columns=(2, 1), names=names)
        assert (ax.get_xlabel(), ax.get_ylabel()) == shown
        for column, (low, high) in ((2, ax.get_xlim()), (1, ax.get_ylim())):
            margin = 0.05 * np.ptp(X[:, column])
            assert (low, high) == (X[:, column].min() - margin, X[:, column].max() + margin)


def test_soft_labels_are_drawn_by_halves() -> None:
    soft = np.linspace(0, 1, 60)
    ax = gradstep.plot.lines(TRAINER.fit(X, soft), X, soft)
    assert [len(points.get_offsets()) for points in ax.collections] == [30, 30]
    assert "label below 0.5" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_weights_of_zero_have_no_line() -> None:
    descent = gradstep.Trainer(0.1, epochs=1, trace=True).fit([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    assert descent.weights.tolist() == [0.0, 0.0]
    assert len(gradstep.plot.lines(descent, [[1.0, 0.0], [1.0, 0.0]], [0, 1]).lines) == 0


def test_a_descent_that_diverged_has_the_lines_that_are_finite() -> None:
    descent = gradstep.Trainer(1e308, epochs=9, batch_size=1, trace=True).fit(X * 1e5, Y)
    assert descent.stop_reason == "diverged"
    for line in gradstep.plot.lines(descent, X * 1e5, Y).lines:
        assert np.isfinite(line.get_xydata()).all()


@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.csr_matrix])
def test_sparse_rows_are_drawn_like_dense_ones(form: Any) -> None:
    best = gradstep.fit(SPREAD, CODES, l2=0.1)
    dense, sparse = (gradstep.plot.regions(best, data, CODES, columns=(3, 1)) for data in (SPREAD, form(SPREAD)))
    for one, other in zip(dense.collections, sparse.collections, strict=True):
        assert np.array_equal(one.get_array(), other.get_array()) or one.get_array() is other.get_array() is None
        assert np.array_equal(one.get_offsets(), other.get_offsets())


@pytest.mark.parametrize("estimator", [False, True])
def test_regions_are_the_most_probable_classes(estimator: bool) -> None:
    best = gradstep.fit(SPREAD, CODES, l2=0.1)
    names = np.array(["ash", "beech", "elm"])
    model = gradstep.LogisticRegression(l2=0.1).fit(SPREAD, names[CODES]) if estimator else best
    ax = gradstep.plot.regions(model, SPREAD, names[CODES] if estimator else CODES, columns=(2, 0), grid_resolution=23)
    mesh, *classes = ax.collections
    rows = np.tile(SPREAD.mean(axis=0), (23 * 23, 1))
    rows[:, 2], rows[:, 0] = (
        each.ravel() for each in np.meshgrid(*(np.linspace(*limits, 23) for limits in (ax.get_xlim(), ax.get_ylim())))
    )
    inside = mesh.get_array().ravel()
    assert set(inside) == {0, 1, 2}
    assert np.array_equal(inside, best.predict_proba(rows).argmax(axis=1))
    assert [len(points.get_offsets()) for points in classes] == [20, 20, 20]
    assert [points.get_label() for points in classes] == (
        names.tolist() if estimator else ["class 0", "class 1", "class 2"]
    )
    # A region has the colour of its points, but paler.
    for code, points in enumerate(classes):
        assert np.array_equal(mesh.cmap(mesh.norm(code))[:3], points.get_facecolor()[0][:3])


def test_regions_of_a_perceptron_and_of_two_classes() -> None:
    for activation in ("sigmoid", "step"):
        descent = gradstep.Trainer(0.1, 5, batch_size=1, activation=activation).fit(SPREAD[:, :2], Y)
        ax = gradstep.plot.regions(descent, SPREAD[:, :2], Y, grid_resolution=9)
        places = np.meshgrid(*(np.linspace(*limits, 9) for limits in (ax.get_xlim(), ax.get_ylim())))
        want = descent.predict(np.column_stack([place.ravel() for place in places]))
        assert np.array_equal(ax.collections[0].get_array().ravel(), want)


def test_regions_of_a_descent_of_classes() -> None:
    descent = gradstep.Trainer(0.1, 20, batch_size=1).fit(SPREAD[:, :2], CODES)
    ax = gradstep.plot.regions(descent, SPREAD[:, :2], CODES, grid_resolution=9)
    places = np.meshgrid(*(np.linspace(*limits, 9) for limits in (ax.get_xlim(), ax.get_ylim())))
    inside = ax.collections[0].get_array().ravel()
    assert np.array_equal(inside, descent.predict(np.column_stack([place.ravel() for place in places])))
    assert set(inside) == {0, 1, 2}
    with pytest.raises(ValueError, match="descent must be of two classes, got 3: regions draws them"):
        gradstep.plot.lines(descent, SPREAD[:, :2], CODES)


def test_a_perceptron_says_one_where_the_score_is_zero() -> None:
    rows, labels = [[0.0, 1.0], [1.0, 0.0]], [1, 1]
    for activation, code in (("step", 1), ("sigmoid", 0)):
        trainer = gradstep.Trainer(1e-300, 1, activation=activation)
        ax = gradstep.plot.regions(trainer.fit(rows, [1, 1] if code else [0.5, 0.5]), rows, labels, grid_resolution=3)
        assert (ax.collections[0].get_array() == code).all()


def test_perceptron_beside_the_sigmoid() -> None:
    trainer = gradstep.Trainer(0.01, epochs=12, batch_size=1)
    axes = gradstep.plot.perceptron(X, Y, trainer=trainer, columns=(0, 1))
    assert axes.shape == (2,) and axes[0].figure is axes[1].figure
    for ax, activation in zip(axes, ("sigmoid", "step"), strict=True):
        descent = gradstep.Trainer(0.01, epochs=12, batch_size=1, activation=activation).fit(X, Y)
        assert_on_the_line(ax.lines[-1], descent.weights, descent.bias, (0, 1))
        wrong = int((descent.predict(X) != Y).sum())
        assert ax.get_title() == f"{activation.capitalize()}: {wrong} of 60 rows wrong"
    assert axes[0].get_xlim() == axes[1].get_xlim()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e6])
def test_lines_that_leave_the_frame_of_the_rows_do_not_widen_it(shared: bool, rate: float) -> None:
    """The limits are those of the rows and a margin, also after drawing; lines are cut off there."""
    rows, trainer = X[:, :2] * [1.0, 0.05] + [5.0, 5.0], gradstep.Trainer(rate, epochs=12, batch_size=1)
    given = pyplot.subplots(1, 2, sharex=True, sharey=True)[1] if shared else None
    axes = gradstep.plot.perceptron(rows, Y, trainer=trainer, axes=given)
    alone = gradstep.plot.lines(trainer.fit(rows, Y), rows, Y)
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = 0.05 * (high - low)
    leaving = 0
    for ax in (*axes, alone):
        ax.figure.canvas.draw()
        limits = np.array([ax.get_xlim(), ax.get_ylim()])
        np.testing.assert_allclose(limits, np.column_stack([low - margin, high + margin]), rtol=1e-15)
        for line in ax.lines:
            ends = line.get_xydata()
            leaving += bool(((ends < limits[:, 0]) | (ends > limits[:, 1])).any())
            assert line.get_clip_on() and line.get_clip_box().bounds == ax.bbox.bounds
    assert leaving > 5


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots(1, 2)
    assert gradstep.plot.lines(TRAINER.fit(X, Y), X, Y, ax=given[0]) is given[0]
    assert gradstep.plot.regions(TRAINER.fit(X, Y), X, Y, ax=given[1], grid_resolution=5) is given[1]
    assert list(gradstep.plot.perceptron(X, Y, axes=given)) == list(given)
    assert len(pyplot.get_fignums()) == 1
