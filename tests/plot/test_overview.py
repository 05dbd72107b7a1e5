"""training: the error beside the lines, the regions or the weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import gradstep

RNG = np.random.default_rng(10)
CODES = np.arange(90) % 3
X = RNG.normal(size=(90, 25)) * np.geomspace(0.1, 10, 25) + np.eye(3, 25)[CODES]
Y = CODES > 0


def test_two_columns_of_two_classes() -> None:
    descent = gradstep.Trainer(0.5, epochs=20).fit(X[:, :2], Y)
    error, rows = gradstep.plot.training(descent, X[:, :2], Y, ["a", "b"])
    assert np.array_equal(error.lines[0].get_ydata(), [descent.start_loss, *descent.history])
    want = gradstep.plot.lines(descent, X[:, :2], Y)
    assert np.array_equal(rows.lines[0].get_xydata(), want.lines[0].get_xydata())
    assert (rows.get_xlabel(), rows.get_ylabel()) == ("a", "b")


def test_two_columns_of_three_classes() -> None:
    best = gradstep.fit(X[:, :2], CODES, l2=0.1)
    error, rows = gradstep.plot.training(best, X[:, :2], CODES)
    assert np.array_equal(error.lines[0].get_ydata(), best.history["objective"])
    want = gradstep.plot.regions(best, X[:, :2], CODES)
    assert np.array_equal(rows.collections[0].get_array(), want.collections[0].get_array())


@pytest.mark.parametrize("columns", [1, 3, 20])
def test_other_numbers_of_columns(columns: int) -> None:
    frame = pd.DataFrame(X[:, :columns], columns=[f"${column}" for column in range(columns)])
    names = np.where(Y, "yes", "no")
    model = gradstep.LogisticRegression().fit(frame, names)
    error, weights = gradstep.plot.training(model, frame, names)
    assert np.array_equal(error.lines[0].get_ydata(), model.history_["objective"])
    assert np.array_equal(weights.lines[1].get_xdata(), model.coef_[0])
    assert [text.get_text() for text in weights.get_yticklabels()] == [rf"\${column}" for column in range(columns)]
    assert weights.get_title() == "Weights"


@pytest.mark.parametrize("labels", [Y, CODES])
def test_of_many_columns_the_largest_weights(labels: np.ndarray) -> None:
    best = gradstep.fit(X, labels, l2=0.01)
    _, weights = gradstep.plot.training(best, X, labels)
    rows = np.atleast_2d(best.weights)
    smallest = np.sort(np.abs(rows).max(axis=0))[5]
    shown = np.flatnonzero(np.abs(rows).max(axis=0) >= smallest)
    assert len(shown) == 20
    for line, row in zip(weights.lines[1:], rows, strict=True):
        assert line.get_xdata().tolist() == row[shown].tolist()
    assert [text.get_text() for text in weights.get_yticklabels()] == [f"$x_{{{column + 1}}}$" for column in shown]
    assert weights.get_title() == "The 20 largest of 25 weights"


def test_weights_of_named_classes_have_their_names() -> None:
    names = np.array(["ash", "_beech", "elm"])
    model = gradstep.LogisticRegression().fit(X[:, :4], names[CODES])
    _, weights = gradstep.plot.training(model, X[:, :4], names[CODES])
    assert [text.get_text() for text in weights.get_legend().get_texts()] == [" _beech", "ash", "elm"]
    for line, row in zip(weights.lines[1:], model.coef_, strict=True):
        assert line.get_xdata().tolist() == row.tolist()


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots(2)
    assert list(gradstep.plot.training(gradstep.fit(X, Y, l2=0.1), X, Y, axes=given)) == list(given)
    assert len(pyplot.get_fignums()) == 1
