"""path: the lines are the weights of a path, and the columns that come in first are named."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep

RNG = np.random.default_rng(4)
X = RNG.normal(size=(200, 9))
Y = (RNG.random(200) < gradstep.sigmoid(X @ [1, -1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0])).astype(float)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_lines_are_the_weights(make: type) -> None:
    path = gradstep.path(make(X), Y, n=20)
    weights = path.weights if make is np.asarray else path.weights.toarray()
    ax = gradstep.plot.path(path)
    zero, *lines = ax.lines
    assert zero.get_ydata() == [0, 0]
    entry = np.where(weights.any(axis=0), (weights != 0).argmax(axis=0), 99)
    order = [j for j in np.argsort(entry, kind="stable") if entry[j] < 99]
    assert len(order) > 6
    for line, j in zip(lines, order, strict=True):
        assert np.array_equal(line.get_xdata(), path.strengths) and np.array_equal(line.get_ydata(), weights[:, j])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"$x_{{{j + 1}}}$" for j in order[:6]]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines[:6]}) == 6
    assert ax.get_xscale() == "log" and ax.get_xlim() == (path.strengths[0], path.strengths[-1])


def test_a_strength_of_zero_is_left_out() -> None:
    path = gradstep.path(X, Y, strengths=[0.1, 0.01, 0.0])
    assert gradstep.plot.path(path).lines[1].get_xdata().tolist() == [0.1, 0.01]
