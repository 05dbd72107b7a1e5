"""calibration, roc, coefficients: the rates that are drawn are counts of rows, and weights are where they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba

import gradstep

RNG = np.random.default_rng(9)
P = RNG.random(200).round(2)  # rounded, so that some are equal
Y = (RNG.random(200) < P).astype(int)


def test_roc_counts_rows() -> None:
    ax = gradstep.plot.roc(Y, P)
    diagonal, curve = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    rates = {(float((P[Y == 0] >= t).mean()), float((P[Y == 1] >= t).mean())) for t in [*np.unique(P), 2.0]}
    corners = {tuple(place) for place in curve.get_xydata().tolist()}
    assert {(0, 0), (1, 1)} <= corners <= rates
    # The area is how often a row of label 1 is put before one of label 0; ties count half.
    before = (P[Y == 1][:, None] > P[Y == 0]).mean() + 0.5 * (P[Y == 1][:, None] == P[Y == 0]).mean()
    assert curve.get_label() == f"AUC = {before:.2f}"
    false, true = curve.get_xydata().T
    assert np.diff(false) @ (true[1:] + true[:-1]) / 2 == pytest.approx(before, rel=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("false positive rate", "true positive rate")


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_calibration_counts_rows(strategy: str) -> None:
    p = RNG.permutation(np.linspace(0.001, 0.999, 200) ** 2)
    y = (RNG.random(200) < p).astype(int)
    ax = gradstep.plot.calibration(y, p, n_bins=5, strategy=strategy)
    if strategy == "quantile":
        bins = np.array_split(np.argsort(p), 5)
    else:
        bins = [np.flatnonzero((p >= low) & (p < low + 0.2)) for low in (0.0, 0.2, 0.4, 0.6, 0.8)]
    want = [[p[rows].mean(), y[rows].mean()] for rows in bins]
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), want, rtol=1e-12)
    assert ax.get_legend() is None
    assert ax.get_xlabel() == "mean predicted probability of label 1"


@pytest.mark.parametrize("draw", [gradstep.plot.roc, gradstep.plot.calibration])
def test_a_second_curve_goes_into_the_same_axes(draw: Any) -> None:
    ax = draw(Y, P, label="one")
    again = draw(Y, P**2, label="_two", ax=ax)
    assert again is ax
    _, one, two = ax.lines
    assert one.get_label().startswith("one") and two.get_label().startswith(" _two")
    assert (one.get_color(), one.get_linestyle()) != (two.get_color(), two.get_linestyle())
    assert len(ax.get_legend().get_texts()) == 2


def test_coefficients_are_below_each_other() -> None:
    estimates = np.array([0.5, -1.0, 2.0])
    intervals = np.array([[0.4, 0.8], [-1.2, -0.8], [1.7, 2.1]])
    ax = gradstep.plot.coefficients(["age", "$dose$", "_x"], estimates, intervals)
    zero, weights = ax.lines
    assert zero.get_xdata() == [0, 0]
    assert weights.get_xydata().tolist() == [[0.5, 0], [-1.0, 1], [2.0, 2]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["age", r"\$dose\$", " _x"]
    (bars,) = ax.collections
    for row, bar in enumerate(bars.get_segments()):
        assert bar.tolist() == [[intervals[row, 0], row], [intervals[row, 1], row]]
    assert ax.get_ylim() == (2.5, -0.5)  # the first weight is on top
    assert ax.get_xlabel() == "weight (nats per unit of the feature)"


def test_coefficients_without_intervals_have_no_bars() -> None:
    assert len(gradstep.plot.coefficients(["a"], [1.0]).collections) == 0


def test_coefficients_of_classes_are_beside_each_other() -> None:
    weights = RNG.normal(size=(3, 2))
    bounds = np.stack([weights - 1, weights + 1], axis=-1)
    ax = gradstep.plot.coefficients(["a", "b"], weights, bounds)
    for code, (line, bars) in enumerate(zip(ax.lines[1:], ax.collections, strict=True)):
        assert line.get_label() == f"class {code}"
        assert line.get_xdata().tolist() == weights[code].tolist()
        np.testing.assert_allclose(line.get_ydata(), np.arange(2) + [-0.25, 0, 0.25][code])
        assert [bar[:, 0].tolist() for bar in bars.get_segments()] == bounds[code].tolist()
        assert to_rgba(line.get_color()) == tuple(bars.get_color()[0])


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots(1, 3)
    height = given[0].figure.get_figheight()
    assert gradstep.plot.roc(Y, P, ax=given[0]) is given[0]
    assert gradstep.plot.calibration(Y, P, ax=given[1]) is given[1]
    assert gradstep.plot.coefficients(list("abcdefgh"), np.ones(8), ax=given[2]) is given[2]
    assert len(pyplot.get_fignums()) == 1 and given[0].figure.get_figheight() == height
