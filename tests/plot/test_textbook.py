"""sigmoid, gradient_sizes: what the Axes hold is what the formulas give."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot

import gradstep

RNG = np.random.default_rng(5)
X = RNG.normal(size=(25, 4)) * 3
Y = RNG.random(25)
WEIGHTS, BIAS = RNG.normal(size=4), 0.3

EPS = np.finfo(float).eps


def test_sigmoid_and_its_slope() -> None:
    ax = gradstep.plot.sigmoid(limits=(-3.0, 5.0))
    value, slope = ax.lines
    z = value.get_xdata()
    assert (z[0], z[-1], ax.get_xlim()) == (-3.0, 5.0, (-3.0, 5.0))
    # Each is within 1 ULP of the exact value; the textbook's formula takes four roundings.
    s = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(value.get_ydata(), s, rtol=8 * EPS, atol=0)
    np.testing.assert_allclose(slope.get_ydata(), s * (1 / (1 + np.exp(z))), rtol=16 * EPS, atol=0)
    assert (value.get_label(), slope.get_label()) == ("σ(z)", "σ′(z), per nat")
    assert ax.get_xlabel() == "score z (nats)"


def test_gradient_sizes_obey_the_law() -> None:
    ax = gradstep.plot.gradient_sizes(X, Y, WEIGHTS, BIAS)
    points = ax.collections[0]
    distances, sizes = points.get_offsets().data.T
    norms = np.sqrt((X**2).sum(axis=1) + 1)
    assert np.array_equal(points.get_array(), np.hypot(np.linalg.norm(X, axis=1), 1))
    # |∇E_i| = |y - ŷ| ‖(x, 1)‖, by the textbook's formulas. A score is a sum of five terms, at most 32 together, with
    # at most six roundings, and σ' is at most 1/4: a prediction has an error of 32 * 6 / 4 units of EPS, and two more.
    y_hat = 1 / (1 + np.exp(-(X @ WEIGHTS + BIAS)))
    assert (np.abs(X) @ np.abs(WEIGHTS) + abs(BIAS)).max() < 32
    np.testing.assert_allclose(distances, np.abs(Y - y_hat), rtol=0, atol=50 * EPS)
    np.testing.assert_allclose(sizes, np.abs(Y - y_hat) * norms, rtol=0, atol=(50 + 4) * EPS * norms.max())
    longest, shortest = ax.lines
    for line, norm in ((longest, norms.max()), (shortest, norms.min())):
        (left, right), (low, high) = line.get_xdata(), line.get_ydata()
        assert (left, low, right) == (0, 0, distances.max())
        np.testing.assert_allclose(high, norm * right, rtol=8 * EPS)


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots(1, 2)
    assert gradstep.plot.sigmoid(ax=given[0]) is given[0]
    assert gradstep.plot.gradient_sizes(X, Y, WEIGHTS, ax=given[1]) is given[1]
    assert len(pyplot.get_fignums()) == 1
