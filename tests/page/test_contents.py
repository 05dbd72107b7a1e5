"""What the page of a descent holds: the bits of `Trainer`, of every run, and the errors over two weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.optimize import minimize_scalar

import gradstep
from gradstep import _valley
from gradstep._page import _contents, _runs
from helpers.shown import LESSON, RNG, START, X, Y, held, html, numbers

pa = pytest.importorskip("pyarrow", exc_type=ImportError)  # with an old NumPy it cannot be imported

WIDE = RNG.normal(size=(60, 4)) * [1.0, 20.0, 0.1, 3.0] + [0.0, 50.0, -2.0, 1.0]
WIDE_Y = (RNG.random(60) < gradstep.sigmoid((WIDE - WIDE.mean(axis=0)) @ [1.0, 0.1, 5.0, 0.1])).astype(float)


def contents(trainer: gradstep.Trainer, folder: Path, x: Any = X, y: Any = Y, *start: Any, **options: Any) -> Any:
    return held(html(trainer.fit(x, y, *start), x, y, folder, **options))


@pytest.mark.parametrize(
    "trainer",
    [
        LESSON,
        replace(LESSON, activation="step", epochs=7),
        gradstep.Trainer(0.3, 9),
        gradstep.Trainer(0.3, 9, reduction="sum", l2=0.01),
        gradstep.Trainer(2.0, 5, batch_size=30, shuffle=True, seed=3),
        gradstep.Trainer(1e4, 5, batch_size=7),
        gradstep.Trainer(0.3, 50, tol=0.1),
    ],
    ids=repr,
)
def test_every_run_is_that_of_the_trainer(trainer: gradstep.Trainer, tmp_path: Path) -> None:
    page = contents(trainer, tmp_path, X, Y, START, 0.25)
    assert len(page["rates"]) == 25 and page["rates"] == sorted(page["rates"])
    assert page["rates"][page["rate"]] == trainer.learning_rate
    assert page["activation"] == trainer.activation
    assert set(page["runs"]) == {"sigmoid", "step"}
    for activation, runs in page["runs"].items():
        for rate, run in zip(page["rates"], runs, strict=True):
            want = replace(trainer, activation=activation, learning_rate=rate, path=True).fit(X, Y, START, 0.25)
            path, errors = numbers(run["path"]).reshape(-1, 3), numbers(run["errors"])
            assert np.array_equal(path[1:], np.column_stack(want.path)), (activation, rate)
            assert path[0].tolist() == [*START, 0.25]
            assert np.array_equal(errors[1:], want.history)
            z = X @ START + 0.25
            first = np.mean((z >= 0) != Y) if activation == "step" else gradstep.loss(X, Y, START, 0.25)
            assert errors[0] == first
            assert run["rise"] == (None if want.rose_in is None else want.rose_in + 1)
    assert np.array_equal(numbers(page["X"]).reshape(100, 2), X) and np.array_equal(numbers(page["y"]), Y)
    assert page["batch"] == min(trainer.batch_size or 100, 100)
    assert page["averages"] is (trainer.reduction == "mean") and page["l2"] == trainer.l2


def test_the_rates_cover_what_is_too_small_and_too_large(tmp_path: Path) -> None:
    rates = contents(LESSON, tmp_path)["rates"]
    assert rates[0] == 0.001 and rates[-1] == 1000.0
    assert max(np.diff(np.log10(rates))) < 0.3
    other = contents(replace(LESSON, learning_rate=0.0123), tmp_path)["rates"]
    assert 0.0123 in other and 0.01 not in other and len(other) == 25


@pytest.mark.parametrize("batch_size", [1, 7])
def test_shuffled_rows_come_in_the_order_of_the_descent(batch_size: int, tmp_path: Path) -> None:
    trainer = gradstep.Trainer(0.1, 6, batch_size=batch_size, shuffle=True)
    descent = trainer.fit(X, Y)
    page = held(html(descent, X, Y, tmp_path))
    order = numbers(page["order"], "<u2").reshape(6, 100)
    traced = replace(descent.trainer, trace=True).fit(X, Y).trace
    rows = traced["row"].reshape(6, -1)
    assert np.array_equal(order, rows[rows >= 0].reshape(6, 100))
    assert not np.array_equal(order[0], order[1])


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"batch_size": 1}, {"batch_size": 100, "shuffle": True}])
def test_an_order_is_held_only_where_there_is_one(options: dict[str, Any], tmp_path: Path) -> None:
    assert contents(gradstep.Trainer(0.1, 3, **options), tmp_path)["order"] is None


def test_a_descent_that_a_callback_stopped_has_its_epochs(tmp_path: Path) -> None:
    descent = LESSON.fit(X, Y, callback=lambda epoch, loss, weights, bias: epoch == 6)
    page = held(html(descent, X, Y, tmp_path))
    path = numbers(page["runs"]["sigmoid"][page["rate"]]["path"]).reshape(-1, 3)
    assert len(path) == 8 and path[-1].tolist() == [*descent.weights, descent.bias]


def test_one_that_diverged_at_once_has_its_start(tmp_path: Path) -> None:
    huge = X * 1e200
    descent = gradstep.Trainer(1e200, 3).fit(huge, Y)
    assert descent.n_epochs == 0
    page = held(html(descent, huge, Y, tmp_path))
    run = page["runs"]["sigmoid"][page["rate"]]
    assert numbers(run["path"]).tolist() == [0, 0, 0] and numbers(run["errors"]).tolist() == [
        gradstep.loss(huge, Y, [0, 0])
    ]


def test_of_many_rows_a_sample_is_shown_and_the_descent_is_of_all(tmp_path: Path) -> None:
    many = RNG.normal(size=(5000, 2))
    y = (RNG.random(5000) < 0.5).astype(float)
    trainer = gradstep.Trainer(0.5, 4, batch_size=10, shuffle=True, seed=1)
    page = contents(trainer, tmp_path, many, y)
    rows = np.array(page["rows"])
    assert page["rowsInAll"] == 5000 and len(set(rows)) == 2000 and (np.diff(rows) > 0).all()
    assert page["rows"] == contents(trainer, tmp_path, many, y)["rows"], "the same again"
    assert np.array_equal(numbers(page["X"]).reshape(2000, 2), many[rows])
    assert np.array_equal(numbers(page["y"]), y[rows])
    want = trainer.fit(many, y)
    path = numbers(page["runs"]["sigmoid"][page["rate"]]["path"]).reshape(-1, 3)
    assert np.array_equal(path[1:], np.column_stack(want.path))
    assert page["order"] is None and not page["isWhole"]


def test_an_order_that_is_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainer = gradstep.Trainer(0.1, 6, batch_size=1, shuffle=True, seed=1)
    for limit, has_order in ((600, True), (599, False)):
        monkeypatch.setattr(_runs, "MOST_VISITS", limit)
        page = contents(trainer, tmp_path)
        assert page["isWhole"] is has_order and (page["order"] is not None) is has_order
        assert "sample" not in page["facts"]
        assert contents(replace(trainer, shuffle=False, seed=None), tmp_path)["isWhole"]


def test_of_many_columns_fewer_rows_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_runs, "MOST_NUMBERS", 130)
    assert len(contents(gradstep.Trainer(0.1, 2), tmp_path, WIDE, WIDE_Y)["rows"]) == 130 // 4


@pytest.mark.parametrize(
    ("limit", "affordable", "rates", "activations"),
    [
        # A run takes 9 · (2 + 2) numbers, or 9 · 100 · 2 elements.
        ("MOST_NUMBERS", 36 * 50, 25, 2),
        ("MOST_NUMBERS", 36 * 10, 5, 2),
        ("MOST_NUMBERS", 36 * 3, 1, 2),
        ("MOST_NUMBERS", 36, 1, 1),
        ("MOST_WORK", 1800 * 9, 4, 2),
        ("MOST_WORK", 5, 1, 1),
    ],
)
def test_what_takes_too_much_is_run_with_fewer_rates(
    limit: str, affordable: int, rates: int, activations: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_runs, limit, affordable)
    page = contents(gradstep.Trainer(0.1, 9, activation="step"), tmp_path)
    assert len(page["rates"]) == rates and len(page["runs"]) == activations and "step" in page["runs"]
    assert page["rates"][page["rate"]] == 0.1
    if rates == 5:
        assert page["rates"] == [0.032, 0.056, 0.1, 0.18, 0.32], "the nearest"


def test_columns_and_names(tmp_path: Path) -> None:
    trainer = gradstep.Trainer(0.001, 20)
    page = contents(trainer, tmp_path, WIDE, WIDE_Y)
    change = np.abs(trainer.fit(WIDE, WIDE_Y).weights) * WIDE.std(axis=0)
    assert page["columns"] == sorted(np.argsort(-change)[:2])
    assert page["names"] == ["x₁", "x₂", "x₃", "x₄"] and page["labels"] == ["0", "1"]
    np.testing.assert_allclose(numbers(page["means"]), WIDE.mean(axis=0), rtol=1e-14)
    frame = pd.DataFrame(WIDE, columns=["age", "dose", "size", "shape"])
    page = contents(trainer, tmp_path, frame, WIDE_Y, columns=(3, 1), labels=["no", "yes"], title="a < b")
    assert (page["columns"], page["labels"], page["title"]) == ([3, 1], ["no", "yes"], "a < b")
    assert page["names"] == ["age", "dose", "size", "shape"]
    assert contents(trainer, tmp_path, frame, WIDE_Y, names=list("abcd"))["names"] == list("abcd")
    table = pa.table({name: frame[name] for name in frame})
    assert contents(trainer, tmp_path, table, WIDE_Y)["names"] == page["names"]
    assert contents(trainer, tmp_path, WIDE[:, :1], WIDE_Y)["columns"] == [0]


@pytest.mark.parametrize("form", ["csr_array", "csc_matrix"])
def test_sparse_rows_are_shown_as_dense_ones(form: str, tmp_path: Path) -> None:
    trainer = gradstep.Trainer(0.001, 5, batch_size=8)
    sparse = getattr(scipy.sparse, form)(WIDE)
    got, want = contents(trainer, tmp_path, sparse, WIDE_Y), contents(trainer, tmp_path, WIDE, WIDE_Y)
    assert got["X"] == want["X"] and got["columns"] == want["columns"]
    np.testing.assert_allclose(numbers(got["means"]), numbers(want["means"]), rtol=1e-12)


def test_float32_is_that_of_the_descent(tmp_path: Path) -> None:
    single = X.astype(np.float32)
    page = contents(LESSON, tmp_path, single, Y)
    want = LESSON.fit(single, Y)
    path = numbers(page["runs"]["sigmoid"][page["rate"]]["path"]).reshape(-1, 3)
    assert want.path.weights.dtype == np.float32
    assert np.array_equal(path[1:, :2], want.path.weights) and np.array_equal(path[1:, 2], want.path.bias)


def heights(one: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights along either axis of a map, and the errors, rows upwards. A byte of the map is the root of the
    height, rounded to 1/255."""
    cells = numbers(one["cells"], "u1").reshape(_contents.CELLS, _contents.CELLS)
    across, up = (np.linspace(*limits, _contents.CELLS) for limits in one["limits"])
    return across, up, cells


def least(scores: np.ndarray, y: np.ndarray) -> float:
    """The least error over all biases, by SciPy."""

    def error(bias: float) -> float:
        return float(np.mean(np.logaddexp(0, scores + bias) - y * (scores + bias)))

    middle = -np.median(scores)
    return float(minimize_scalar(error, bracket=(middle - 1, middle + 1), options={"xtol": 1e-12}).fun)


def least_wrong(scores: np.ndarray, y: np.ndarray) -> float:
    """The least fraction misclassified, by trying a bias between all scores and beyond them."""
    edges = np.concatenate(
        [[scores.min() - 1], (np.unique(scores)[1:] + np.unique(scores)[:-1]) / 2, [scores.max() + 1]]
    )
    return min(float(np.mean((scores >= edge) != y)) for edge in edges)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["sigmoid", "step"])
def test_heights_are_the_least_errors(l2: float, activation: str, tmp_path: Path) -> None:
    page = contents(gradstep.Trainer(0.001, 20, l2=l2), tmp_path, WIDE, WIDE_Y, columns=(2, 0))
    best = gradstep.fit(WIDE, WIDE_Y, l2=l2)
    assert page["valleys"]["optimum"] == best.weights[[2, 0]].tolist()
    one = page["valleys"][activation]["maps"][0]
    across, up, cells = heights(one)
    for j, i in [(0, 0), (3, 30), (20, 20), (31, 5)]:
        weights = best.weights.copy()
        weights[2], weights[0] = across[i], up[j]
        error = least_wrong if activation == "step" else least
        want = error(WIDE @ weights, WIDE_Y) + (l2 / 2 * (weights @ weights) if activation == "sigmoid" else 0.0)
        root = np.sqrt((want - one["low"]) / (one["high"] - one["low"]))
        assert abs(cells[j, i] - 255 * root) <= 0.501
    assert cells.min() == 0 and cells.max() == 255


def test_of_one_column_the_other_axis_is_the_bias(tmp_path: Path) -> None:
    x = WIDE[:, :1]
    page = contents(gradstep.Trainer(0.1, 20), tmp_path, x, WIDE_Y)
    best = gradstep.fit(x, WIDE_Y)
    assert page["valleys"]["optimum"] == [*best.weights, best.bias]
    for activation in ("sigmoid", "step"):
        one = page["valleys"][activation]["maps"][0]
        across, up, cells = heights(one)
        for j, i in [(0, 0), (20, 31)]:
            z = across[i] * x[:, 0] + up[j]
            want = np.mean((z >= 0) != WIDE_Y) if activation == "step" else gradstep.loss(x, WIDE_Y, [across[i]], up[j])
            root = np.sqrt((want - one["low"]) / (one["high"] - one["low"]))
            assert abs(cells[j, i] - 255 * root) <= 0.501


def test_every_path_is_on_its_map(tmp_path: Path) -> None:
    page = contents(LESSON, tmp_path)
    for activation, runs in page["runs"].items():
        valley = page["valleys"][activation]
        assert len(valley["of"]) == len(runs) and 1 < len(valley["maps"]) < 12
        for run, which in zip(runs, valley["of"], strict=True):
            path = numbers(run["path"]).reshape(-1, 3)
            for column, (low, high) in enumerate(valley["maps"][which]["limits"]):
                assert (low <= path[:, column]).all() and (path[:, column] <= high).all()
    ratio = np.ptp(page["valleys"]["sigmoid"]["maps"][1]["limits"][0]) / np.ptp(
        page["valleys"]["sigmoid"]["maps"][0]["limits"][0]
    )
    assert ratio == pytest.approx(4.0) or ratio > 4.0


def test_without_an_optimum_there_is_none(tmp_path: Path) -> None:
    x, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
    assert contents(gradstep.Trainer(0.5, 5), tmp_path, x, y)["valleys"]["optimum"] is None
    assert contents(gradstep.Trainer(0.5, 5), tmp_path, x, [1, 1, 1, 1])["valleys"] is None


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_the_least_fraction_misclassified(ties: bool, soft: bool) -> None:
    scores = RNG.normal(size=(30, 9))
    scores = np.round(scores) if ties else scores
    y = RNG.choice([0.0, 0.5, 1.0] if soft else [0.0, 1.0], size=30)
    got = _valley.least_misclassified(scores, y[:, None])
    assert got.tolist() == [least_wrong(each, y) for each in scores.T]
    assert _valley.misclassified(scores, y[:, None]).tolist() == [np.mean((each >= 0) != y) for each in scores.T]
