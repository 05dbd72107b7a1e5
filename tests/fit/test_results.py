"""Descent and Optimum as results: they predict, compare, are copied and pickled, and print in a few lines."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import gradstep

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0], [0.5, 2.0], [2.5, 0.5]])
Y = np.array([0, 1, 0, 1, 0, 1])
CLASSES = np.array([0, 1, 2, 1, 0, 2])
SEPARATED = ([[1.0, 0], [2.0, 0], [1.0, 0], [2.0, 0], [1.0, 1]], [0, 1, 1, 0, 1])

RESULTS: dict[str, Any] = {
    "optimum": gradstep.fit(X, Y, l2=0.1),
    "single": gradstep.fit(X.astype(np.float32), Y, l2=0.1),
    "classes": gradstep.fit(X, CLASSES, l2=0.1),
    "aliased": gradstep.fit(np.column_stack([X, X @ [1.0, 2.0]]), Y),
    "separated": gradstep.fit(*SEPARATED),
    "unproved": gradstep.fit(X, Y, certify=False),
    "stopped": gradstep.fit(X, Y, l2=0.1, callback=lambda iteration: True),
    "descent": gradstep.Trainer(0.5, 20).fit(X, Y),
    "traced": gradstep.Trainer(0.5, 3, batch_size=2, trace=True).fit(X, Y),
    "perceptron": gradstep.Trainer(1.0, 4, batch_size=1, activation="step").fit(X, Y),
    "diverged": gradstep.Trainer(1e308, 5).fit(1e3 * X, Y),
}
by_name = pytest.mark.parametrize("name", sorted(RESULTS))


@by_name
def test_predicts_as_the_functions_do(name: str) -> None:
    result = RESULTS[name]
    rows = np.column_stack([X, X @ [1.0, 2.0]]) if name == "aliased" else X
    z = gradstep.decision_function(rows, result.weights, result.bias)
    assert result.decision_function(rows, n_threads=1).tobytes() == z.tobytes()
    labels = result.predict(rows, n_threads=1)
    assert labels.shape == (len(rows),) and labels.dtype == np.intp
    if name == "perceptron":
        want = np.where(z >= 0, 1.0, 0.0)
        assert labels.tolist() == want.tolist() == [1.0 if score >= 0 else 0.0 for score in z]
    else:
        want = gradstep.predict_proba(rows, result.weights, result.bias)
        assert labels.tolist() == (want.argmax(axis=1) if name == "classes" else z > 0).astype(int).tolist()
    got = result.predict_proba(rows, n_threads=1)
    assert got.dtype == z.dtype and got.tobytes() == want.astype(z.dtype).tobytes()


def test_ties_go_to_the_first_label_but_for_the_perceptron() -> None:
    level = replace(RESULTS["optimum"], weights=np.zeros(2), bias=0.0)
    assert level.predict(X[:1]).tolist() == [0] and level.predict_proba(X[:1]).tolist() == [0.5]
    level = replace(RESULTS["classes"], weights=np.zeros((3, 2)), bias=np.zeros(3))
    assert level.predict(X[:1]).tolist() == [0]
    level = replace(RESULTS["descent"], weights=np.zeros(2), bias=0.0)
    assert level.predict(X[:1]).tolist() == [0]
    level = replace(level, trainer=gradstep.Trainer(activation="step"))
    assert level.predict(X[:1]).tolist() == [1] and level.predict_proba(X[:1]).tolist() == [1.0]


@by_name
def test_what_does_not_fit_is_refused_as_by_the_functions(name: str) -> None:
    for method in ("decision_function", "predict_proba", "predict"):
        with pytest.raises(ValueError, match=r"^(weights must|X must be 2-dimensional)"):
            getattr(RESULTS[name], method)(np.ones((2, 7)))
        with pytest.raises(ValueError, match=r"^n_threads must be a positive integer \(at least 1\), got 0$"):
            getattr(RESULTS[name], method)(X, n_threads=0)


@by_name
def test_shows_itself_in_a_few_lines(name: str) -> None:
    result = RESULTS[name]
    lines = repr(result).splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 120
    assert lines[0].startswith(f"{type(result).__name__}: ")
    assert all(line.startswith("  ") for line in lines[1:])
    assert str(result) == repr(result)
    assert f"'{result.stop_reason}'" in repr(result)


@by_name
def test_a_notebook_shows_the_same_and_the_curve_of_a_descent(name: str) -> None:
    result = RESULTS[name]
    page = ElementTree.fromstring(result._repr_html_())
    (head, table, *drawing), cells = page, [cell.text for cell in page.iter() if cell.tag in ("th", "td")]
    lines = repr(result).splitlines()
    assert "".join(head.itertext()) == lines[0]
    for line, fact, value in zip(lines[1:], cells[::2], cells[1::2], strict=True):
        assert line.split() == f"{fact} {value}".split()
    assert table.tag == "table" and len(drawing) == (name in ("descent", "traced", "perceptron"))
    for svg in drawing:
        line = next(part for part in svg if part.tag.endswith("polyline"))
        points = np.array([point.split(",") for point in line.get("points", "").split()], float)
        assert len(points) == result.n_epochs and (np.diff(points[:, 0]) > 0).all()
        heights = -points[:, 1]  # y grows downwards
        # The values span some 74 pixels, and are rounded to a tenth of a pixel.
        spread = np.ptp(result.history) / np.ptp(heights) if np.ptp(heights) else 0
        np.testing.assert_allclose(
            (heights - heights.min()) * spread, result.history - result.history.min(), atol=0.11 * spread
        )
        words = [part.text for part in svg if part.tag.endswith(("text", "title"))]
        kind = "misclassified" if name == "perceptron" else "loss"
        assert words[0].startswith(f"{kind} after each of {result.n_epochs} epochs: from {result.history[0]:.6g} to ")
        assert words[2:] == ["epoch 1", f"epoch {result.n_epochs}"]
    text = result._repr_html_()
    assert "script" not in text and "#" not in text.replace("&#x27;", ""), "no code, no colours of its own"


def test_what_a_notebook_shows_is_escaped_and_small() -> None:
    strange = replace(RESULTS["descent"], stop_reason='<b>&"', history=np.array([np.inf, 1.0, np.nan, 1.0]))
    text = strange._repr_html_()
    for page in (text, replace(RESULTS["optimum"], stop_reason='<b>&"')._repr_html_()):
        assert "<b>" not in page and "&lt;b&gt;&amp;&quot;" in page
    line = next(part for part in ElementTree.fromstring(text).iter() if part.tag.endswith("polyline"))
    assert len(line.get("points", "").split()) == 2, "of the finite ones"
    for history in (np.empty(0), np.ones(1), np.full(5, np.nan), np.full(3, np.inf)):
        assert "<svg" not in replace(RESULTS["descent"], history=history)._repr_html_()
    long = replace(RESULTS["descent"], history=np.linspace(1, 0, 10**6), n_epochs=10**6)._repr_html_()
    assert "epoch 1000000<" in long and len(long) < 20_000


def test_a_proved_optimum_says_so_and_others_do_not() -> None:
    heads = {name: repr(result).splitlines()[0] for name, result in RESULTS.items()}
    assert "reached, proved within" in heads["optimum"] and "not proved" not in heads["optimum"]
    assert "there is none" in heads["separated"] and "separated   column 1" in repr(RESULTS["separated"])
    assert "not proved, how far" in heads["unproved"]
    assert "not proved" in heads["stopped"]
    near = replace(RESULTS["stopped"], gap=0.25)
    assert "not proved, the objective may be up to 2.5e-01 above its minimum" in repr(near).splitlines()[0]
    assert "left out    column 2" in repr(RESULTS["aliased"])
    assert "misclassified" in repr(RESULTS["perceptron"]) and "misclassified" not in repr(RESULTS["descent"])


def test_a_long_run_shows_no_more() -> None:
    trace = np.zeros(10**6, RESULTS["traced"].trace.dtype)
    long = replace(RESULTS["traced"], weights=np.arange(1e4), history=np.ones(10**6), n_epochs=10**6, trace=trace)
    lines = repr(long).splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 120
    assert "  weights  [0, 1, 2, …, 9997, 9998, 9999], 10000 in all" in lines
    fields = "epoch, row, y, z, y_hat, error, residual, delta_weights, delta_bias, weights, bias"
    assert f"  trace    1000000 updates: {fields}" in lines
    aliases = tuple(gradstep.Alias(column, (), (), 1.0) for column in range(500))
    many = replace(RESULTS["classes"], weights=np.zeros((30, 500)), bias=np.zeros(30), aliased=aliases)
    lines = repr(many).splitlines()
    assert len(lines) <= 8 and max(map(len, lines)) <= 120
    assert "  weights     shape (30, 500), float64" in lines
    assert "  left out    columns 0, 1, 2, 3, 4, 5, 6, 7, … (500 in all)" in lines


def test_a_descent_that_diverged_at_once_shows_itself() -> None:
    none = replace(RESULTS["diverged"], history=np.empty(0), n_epochs=0)
    assert repr(none).splitlines()[0] == "Descent: 0 epochs, stopped by 'diverged'"


@by_name
def test_equal_by_what_it_holds(name: str) -> None:
    result = RESULTS[name]
    for again in (copy.copy(result), copy.deepcopy(result), replace(result)):
        assert again == result
    for field in fields(result):
        value = getattr(result, field.name)
        other: Any = "another"
        if isinstance(value, np.ndarray) and value.dtype.names is None:
            other = np.full_like(value, 7.5) if value.size else np.ones(1)
        assert replace(result, **{field.name: other}) != result, field.name
    assert result != repr(result) and result != 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


def test_equality_sees_dtype_shape_and_every_record_but_not_the_clock() -> None:
    best, traced = RESULTS["optimum"], RESULTS["traced"]
    assert gradstep.fit(X, Y, l2=0.1) == best
    assert gradstep.fit(X, Y, l2=0.1).history["seconds"].tolist() != best.history["seconds"].tolist()
    assert replace(best, weights=best.weights.astype(np.float32).astype(np.float64)) != best
    assert replace(best, weights=best.weights[None]) != best
    whole = replace(best, weights=np.ones(2))
    assert replace(best, weights=np.ones(2, np.float32)) != whole
    for name in traced.trace.dtype.names:
        trace = traced.trace.copy()
        trace[name][-1] += 1
        assert replace(traced, trace=trace) != traced, name
    missing = replace(best, weights=np.array([np.nan, 1.0]), gap=np.nan)
    assert missing == copy.deepcopy(missing)
    assert RESULTS["separated"] == gradstep.fit(*SEPARATED)
    turned = gradstep.Separation(-RESULTS["separated"].separation.weights, 0.0)
    assert replace(RESULTS["separated"], separation=turned) != RESULTS["separated"]


@by_name
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(name: str, protocol: int) -> None:
    result = RESULTS[name]
    again = pickle.loads(pickle.dumps(result, protocol))
    assert type(again) is type(result) and again == result
    assert again.stop_reason is result.stop_reason
    assert repr(again) == repr(result)
    for field in fields(result):
        ours, theirs = getattr(result, field.name), getattr(again, field.name)
        assert type(ours) is type(theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes(), field.name


@by_name
def test_cannot_be_changed(name: str) -> None:
    result = RESULTS[name]
    for field in ("weights", "stop_reason"):
        with pytest.raises(FrozenInstanceError):
            setattr(result, field, None)
    with pytest.raises((AttributeError, TypeError)):
        result.another = 1
    assert not hasattr(result, "__dict__")


def test_parts_are_those_that_are_named() -> None:
    separated, aliased = RESULTS["separated"], RESULTS["aliased"]
    assert type(separated.separation) is gradstep.Separation
    assert [type(alias) for alias in aliased.aliased] == [gradstep.Alias]
    assert type(separated.stop_reason) is type(RESULTS["descent"].stop_reason) is gradstep.StopReason
    assert all(result.n_iterations == len(result.history) for result in (separated, aliased, RESULTS["classes"]))
    assert RESULTS["descent"].n_epochs == len(RESULTS["descent"].history) == 20
    assert [RESULTS[name].activation for name in ("descent", "perceptron")] == ["sigmoid", "step"]


def test_a_trainer_is_changed_by_replacing_it() -> None:
    trainer = gradstep.Trainer(0.5, 7)
    with pytest.raises(FrozenInstanceError):
        trainer.epochs = 8  # type: ignore[misc]
    assert replace(trainer, epochs=8) == gradstep.Trainer(0.5, 8)
    assert trainer == gradstep.Trainer(0.5, 7)
    with pytest.raises(ValueError, match=r"^epochs must be a positive integer \(at least 1\), got 0$"):
        replace(trainer, epochs=0)


def test_resumes_where_it_stopped() -> None:
    """A descent that goes on from the weights and bias of another has the same bits as one long descent."""
    whole, half = gradstep.Trainer(0.5, 20).fit(X, Y), gradstep.Trainer(0.5, 10).fit(X, Y)
    rest = gradstep.Trainer(0.5, 10).fit(X, Y, half.weights, half.bias)
    assert rest.weights.tobytes() == whole.weights.tobytes() and rest.bias == whole.bias
    assert np.concatenate([half.history, rest.history]).tobytes() == whole.history.tobytes()
