"""loss, learning_rates: the errors are those of the weights at the start and after each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

import gradstep

RNG = np.random.default_rng(6)
X = RNG.normal(size=(40, 2))
Y = (RNG.random(40) < gradstep.sigmoid(X @ [1.0, -1.0])).astype(float)


def test_loss_is_that_of_the_weights_at_the_start_and_after_each_epoch() -> None:
    start = [0.5, -2.0], 0.25
    losses = [gradstep.loss(X, Y, *start)]
    descent = gradstep.Trainer(0.5, epochs=7, batch_size=1).fit(
        X, Y, *start, callback=lambda epoch, loss, weights, bias: losses.append(gradstep.loss(X, Y, weights, bias))
    )
    ax = gradstep.plot.loss(descent)
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(line.get_ydata(), losses, rtol=1e-15)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "mean cross-entropy E (nats)")
    assert ax.get_legend() is None and ax.get_yscale() == "linear"


def test_several_have_labels_and_looks_of_their_own() -> None:
    descents = [gradstep.Trainer(rate, epochs=50 + 10 * at).fit(X, Y) for at, rate in enumerate((0.1, 1.0, 2.0))]
    ax = gradstep.plot.loss(*descents, labels=["slow", "_fast", "$"], log=True)
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["slow", " _fast", r"\$"]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 3
    for line, descent in zip(ax.lines, descents, strict=True):
        assert np.array_equal(line.get_ydata(), [descent.start_loss, *descent.history])
    numbered = gradstep.plot.loss(*descents)
    assert [text.get_text() for text in numbered.get_legend().get_texts()] == ["1", "2", "3"]


def test_perceptrons_have_another_error() -> None:
    descent = gradstep.Trainer(0.5, epochs=7, batch_size=1, activation="step").fit(X, Y)
    ax = gradstep.plot.loss(descent)
    assert ax.get_ylabel() == "misclassified rows (fraction)"
    assert ax.lines[0].get_ydata()[[0, -1]].tolist() == [(Y == 0).mean(), (descent.predict(X) != Y).mean()]


def test_a_fit_shows_its_objective() -> None:
    seen: list[Any] = []
    best = gradstep.fit(X, Y, l2=0.1, callback=seen.append)
    model = gradstep.LogisticRegression(l2=0.1).fit(X, Y)
    ax = gradstep.plot.loss(best, model, labels=["function", "estimator"])
    for line in ax.lines:
        assert line.get_xdata().tolist() == list(range(1, best.n_iterations + 1))
        assert line.get_ydata().tolist() == [iteration.objective for iteration in seen]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("iteration", "objective (nats)")


def test_iterations_over_samples_of_the_rows_are_left_out() -> None:
    many = RNG.normal(size=(200_000, 2))
    best = gradstep.fit(many, RNG.random(200_000) < gradstep.sigmoid(many @ [1.0, -1.0]))
    whole = best.history["rows"] == 200_000
    assert 0 < whole.sum() < len(whole)
    (line,) = gradstep.plot.loss(best).lines
    assert np.array_equal(line.get_xdata(), np.arange(1, len(whole) + 1)[whole])
    assert np.array_equal(line.get_ydata(), best.history["objective"][whole])


def test_learning_rates_are_descents() -> None:
    trainer = gradstep.Trainer(epochs=9, batch_size=5, l2=0.1)
    ax = gradstep.plot.learning_rates(X, Y, [0.01, np.float32(0.5), 2], trainer=trainer, log=True)
    assert [line.get_label() for line in ax.lines] == ["α = 0.01", "α = 0.5", "α = 2"]
    for line, rate in zip(ax.lines, (0.01, 0.5, 2.0), strict=True):
        descent = gradstep.Trainer(rate, 9, batch_size=5, l2=0.1).fit(X, Y)
        assert np.array_equal(line.get_ydata(), [descent.start_loss, *descent.history])
    assert ax.get_yscale() == "log"


def test_auto_and_a_rate_that_diverges_say_so() -> None:
    ax = gradstep.plot.learning_rates(X * 1e5, Y, ["auto", 1e308])
    assert [line.get_label() for line in ax.lines] == ["α = auto", "α = 1e+308, diverged"]


@pytest.mark.parametrize("epochs", [3, 200])
def test_few_epochs_are_marked_one_by_one(epochs: int) -> None:
    (line,) = gradstep.plot.loss(gradstep.Trainer(0.1, epochs).fit(X, Y)).lines
    assert line.get_marker() == ("." if epochs == 3 else "None")


def test_given_axes_are_drawn_into() -> None:
    _, given = pyplot.subplots(1, 2)
    assert gradstep.plot.loss(gradstep.Trainer().fit(X, Y), ax=given[0]) is given[0]
    assert gradstep.plot.learning_rates(X, Y, [0.1], ax=given[1]) is given[1]
    assert len(pyplot.get_fignums()) == 1
