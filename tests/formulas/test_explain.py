"""`explain`: the numbers of one update are those of the functions to the bit, and its printed formulas are true."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers import oracle
from helpers.problems import cases, class_problems, problems
from helpers.results import bits

UPDATE = gradstep.explain([1.0, 2.0], 1, [0.5, -0.25], 0.25, learning_rate=0.5)


@settings(max_examples=cases(300))
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), rate=st.sampled_from([1e-3, 0.1, 1 / 3, 10.0]))
def test_the_numbers_are_those_of_the_functions(data: st.DataObject, dtype: Any, rate: float) -> None:
    X, labels, weights, bias = data.draw(problems(dtype))
    x, y = X[0], float(labels[0])
    update = gradstep.explain(x, y, weights, bias, rate)
    assert bits(update.z) == bits(float(gradstep.decision_function(x, weights, bias)))
    assert bits(update.y_hat) == bits(float(gradstep.predict_proba(x, weights, bias)))
    assert bits(update.error) == bits(gradstep.loss(x, y, weights, bias))
    assert bits(update.gradient) == bits(gradstep.gradient(x, y, weights, bias))
    step = gradstep.gradient_step(x, y, weights, bias, rate)
    assert bits((update.new_weights, update.new_bias)) == bits(step)
    assert update.residual == -update.gradient.bias
    if dtype is np.float64:
        assert (weights + update.delta_weights == step.weights).all() and bias + update.delta_bias == step.bias
    else:  # in float32, the step does not round the change before adding it: three roundings, of ∇E, Δw and the sum
        room = np.finfo(dtype).eps * (np.abs(step.weights) + 2 * np.abs(update.delta_weights)) + 1e-44
        assert (np.abs(weights.astype(float) + update.delta_weights - step.weights) <= room).all()
        room = np.finfo(dtype).eps * (abs(step.bias) + 2 * abs(update.delta_bias)) + 1e-44
        assert abs(bias + update.delta_bias - step.bias) <= room
    assert bits((update.x, update.weights, update.bias, update.y, update.learning_rate)) == bits(
        (x, weights, bias, y, rate)
    )


@settings(max_examples=cases(100))
@given(problem=problems(np.float64, tame=True), rate=st.floats(1e-3, 10))
def test_they_are_the_textbooks(problem: Any, rate: float) -> None:
    X, labels, weights, bias = problem
    update = gradstep.explain(X[0], labels[0], weights, bias, rate)
    y_hat = oracle.sigmoid(X[0] @ weights + bias)
    near = {
        "rtol": 1e-9,
        "atol": 1e-9,
    }  # far above the rounding of 35 products below a hundred: only the formula is tested
    np.testing.assert_allclose(update.y_hat, y_hat, **near)
    np.testing.assert_allclose(update.residual, labels[0] - y_hat, **near)
    np.testing.assert_allclose(update.error, oracle.loss(X[:1], labels[:1], weights, bias), **near)
    np.testing.assert_allclose(update.gradient.weights, -(labels[0] - y_hat) * X[0], **near)
    np.testing.assert_allclose(update.delta_weights, rate * (labels[0] - y_hat) * X[0], **near)
    np.testing.assert_allclose(update.delta_bias, rate * (labels[0] - y_hat), **near)
    np.testing.assert_allclose(update.new_weights, weights + update.delta_weights, **near)
    np.testing.assert_allclose(update.new_bias, bias + update.delta_bias, **near)


@pytest.mark.parametrize(("y", "z", "numbers"), [
    (0, 20.0, "max(20, 0) - 0·20 + ln (1 + e^(-|20|)) = 20"),
    (1, -800.0, "max(-800, 0) - 1·(-800) + ln (1 + e^(-|-800|)) = 800"),
    (1, 800.0, "max(800, 0) - 1·800 + ln (1 + e^(-|800|)) = 0"),
])  # fmt: skip
def test_e_is_written_without_a_prediction_of_which_no_digit_is_left(y: int, z: float, numbers: str) -> None:
    """If ŷ rounds to 0 or 1, the formula with ln ŷ and ln (1 - ŷ) would show ln 0."""
    update = gradstep.explain([1.0], y, [z], 0.0, 0.1)
    assert f"E = max(z, 0) - y z + ln (1 + e^(-|z|)) = {numbers}\n" in str(update)
    assert r"E &= \max(z, 0) - y z + \ln (1 + e^{-|z|}) = \max(" in update._repr_latex_()


def test_it_shows_the_formulas_with_their_numbers() -> None:
    # z = 0.5 - 0.5 + 0.25; σ(0.25) = 0.5621765, of which the logarithm is -0.5759394.
    assert (
        repr(UPDATE)
        == str(UPDATE)
        == """\
    z = W x + b = 0.5·1 + (-0.25)·2 + 0.25 = 0.25
    ŷ = σ(z) = 1 / (1 + e^(-0.25)) = 0.562177
    E = -y ln ŷ - (1 - y) ln (1 - ŷ) = -1·ln 0.562177 - (1 - 1)·ln (1 - 0.562177) = 0.575939
y - ŷ = 1 - 0.562177 = 0.437823
   ∇E = -(y - ŷ)·(x_1, …, x_n, 1) = -0.437823·(1, 2, 1) = (-0.437823, -0.875647, -0.437823)
   Δw = α (y - ŷ)·x = 0.5·0.437823·(1, 2) = (0.218912, 0.437823)
   Δb = α (y - ŷ) = 0.5·0.437823 = 0.218912
    w ← w + Δw = (0.718912, 0.187823)
    b ← b + Δb = 0.468912"""
    )


def test_the_text_is_true_where_signs_are_negative() -> None:
    """The text between equals signs, read as Python, has the same value on both sides, to the digits shown."""
    update = gradstep.explain([-1.5, 2.0, 0.0], 0.25, [-0.5, -0.25, 3.0], -0.75, learning_rate=0.3)
    lines = dict(line.strip().split(" = ", 1) for line in repr(update).splitlines() if "←" not in line)
    for name in ("z", "ŷ", "E", "y - ŷ", "Δb"):
        *_, worked, value = lines[name].split(" = ") if name != "y - ŷ" else ("", *lines[name].split(" = "))
        code = worked.replace("·", "*").replace("e^", "np.e**").replace("^", "**")
        code = re.sub(r"ln (\([^()]*\)|[\d.]+)", r"np.log(\1)", code)
        assert eval(code, {"np": np}) == pytest.approx(float(value), rel=1e-4), lines[name]


@settings(max_examples=cases(150))
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), rate=st.sampled_from([1e-3, 0.1, 10.0]))
def test_of_classes_the_numbers_are_those_of_the_functions(data: st.DataObject, dtype: Any, rate: float) -> None:
    X, labels, weights, biases = data.draw(class_problems(dtype))
    x, y = X[0], int(labels[0])
    update = gradstep.explain(x, y, weights, biases, rate)
    assert bits(update.z) == bits(gradstep.decision_function(x, weights, biases))
    assert bits(update.y_hat) == bits(gradstep.predict_proba(x, weights, biases))
    assert bits(update.error) == bits(gradstep.loss(x, y, weights, biases))
    assert bits(update.gradient) == bits(gradstep.gradient(x, y, weights, biases))
    step = gradstep.gradient_step(x, y, weights, biases, rate)
    assert bits((update.new_weights, update.new_bias)) == bits(step)
    assert (update.residual == -update.gradient.bias).all()
    # Three roundings, of ∇E, of Δw and of the sum.
    room = np.finfo(dtype).eps * (np.abs(step.weights) + 2 * np.abs(update.delta_weights)) + 1e-44
    assert (np.abs(weights.astype(float) + update.delta_weights - step.weights) <= room).all()
    room = np.finfo(dtype).eps * (np.abs(step.bias) + 2 * np.abs(update.delta_bias)) + 1e-44
    assert (np.abs(biases.astype(float) + update.delta_bias - step.bias) <= room).all()
    assert bits((update.x, update.weights, update.bias, update.y)) == bits((x, weights, biases, float(y)))
    assert update == copy.deepcopy(update) and repr(update) == repr(pickle.loads(pickle.dumps(update)))


def test_of_classes_it_shows_a_line_for_each() -> None:
    """The text between equals signs, read as Python, has the same value on both sides, a number or a tuple."""
    weights = np.array([[0.5, -0.25], [0.0, 1.0], [-1.0, 0.25]])
    update = gradstep.explain([-1.0, 2.0], 1, weights, [0.25, 0.0, -0.5], 0.5)
    lines = [line.strip() for line in repr(update).splitlines()]
    assert [re.split(" = | ← ", line)[0] for line in lines] == [
        *("z_0", "z_1", "z_2", "p", "E", "y - p", "Δw_0", "Δw_1", "Δw_2", "Δb", "w_0", "w_1", "w_2", "b")
    ]
    z = weights @ [-1.0, 2.0] + [0.25, 0.0, -0.5]
    p = np.exp(z) / np.exp(z).sum()
    step = 0.5 * (np.array([0, 1, 0]) - p)
    want = [*z, p, -np.log(p[1]), step / 0.5, *(s * np.array([-1.0, 2.0]) for s in step), step]
    moved = weights + np.outer(step, [-1.0, 2.0])
    want += [*moved, np.add(step, [0.25, 0.0, -0.5])]
    for line, value in zip(lines, want, strict=True):
        assert eval(line.rsplit(" = ", 1)[1]) == pytest.approx(value, rel=1e-4), line
    worked = {line.split(" = ")[0]: line.split(" = ")[-2] for line in lines}
    assert eval(worked["z_2"].replace("·", "*")) == z[2] and worked["E"] == f"-ln {p[1]:.6g}"
    numerators, total = worked["p"].replace("e^", "np.e**").split(" / ")
    np.testing.assert_allclose(np.array(eval(numerators)) / eval(total), p, rtol=1e-5)
    assert lines[5] == f"y - p = (0, 1, 0) - ({p[0]:.6g}, {p[1]:.6g}, {p[2]:.6g}) = " + lines[5].rsplit(" = ", 1)[1]
    assert lines[7].startswith(f"Δw_1 = α (y_1 - p_1)·x = 0.5·{1 - p[1]:.6g}·(-1, 2) = ")
    latex = update._repr_latex_()
    assert latex.count("{") == latex.count("}") and latex.count("(") == latex.count(")")
    assert all(line.count("&") == 1 for line in latex.splitlines()[1:-1])
    assert r"z_{0} &= W_{0} x + b_{0} = 0.5 \cdot (-1) + (-0.25) \cdot 2 + 0.25 = -0.75" in latex


@pytest.mark.parametrize("y", [0, 1])
def test_of_classes_e_is_written_without_a_probability_of_which_no_digit_is_left(y: int) -> None:
    update = gradstep.explain([1.0], y, [[800.0], [2.0], [-3.0]], 0.0, 0.1)
    filled = f"ln (e^(800) + e^(2) + e^(-3)) - {[800, 2][y]} = {[0, 798][y]}"
    assert f"E = ln Σ_l e^(z_l) - z_{y} = {filled}\n" in str(update)


@pytest.mark.parametrize("y", [0, 2, 4, 9, 10])
def test_of_many_classes_the_first_the_last_and_that_of_the_label_are_written(y: int) -> None:
    update = gradstep.explain(np.ones(9), y, np.zeros((11, 9)), 0.0, 0.2)
    lines = [line.strip() for line in repr(update).splitlines()]
    shown = [int(line[2:].split(" ")[0]) for line in lines if line.startswith("z_")]
    assert shown == sorted({0, 1, 2, y, 8, 9, 10})
    gaps = sum(after > before + 1 for before, after in itertools.pairwise(shown))
    assert lines.count("…") == 3 * gaps
    assert all(line == line.rstrip() for line in repr(update).splitlines())
    assert repr(update).count("(0.0909091, 0.0909091, 0.0909091, …, 0.0909091, 0.0909091, 0.0909091)") == 2


def test_a_notebook_shows_latex() -> None:
    latex = replace(UPDATE, delta_bias=1.25e-7, z=-np.inf)._repr_latex_()
    assert latex.startswith("$$\\begin{aligned}\n") and latex.endswith("\n\\end{aligned}$$")
    lines = latex.splitlines()[1:-1]
    assert len(lines) == 9 and all(line.count("&") == 1 for line in lines)
    assert r"\hat y &= \sigma(z) = 1 / (1 + e^{-(-\infty)}) = 0.562177" in latex
    assert r"= 1.25 \times 10^{-7}" in latex and "e-07" not in latex
    assert latex.count("{") == latex.count("}") and latex.count("(") == latex.count(")")


def test_many_columns_are_not_all_written() -> None:
    update = gradstep.explain(np.arange(1000.0), 1, np.zeros(1000), 0.0, 1e-6)
    lines = repr(update).splitlines()
    assert len(lines) == 9 and max(map(len, lines)) < 200
    assert "0·0 + 0·1 + 0·2 + … + 0·997 + 0·998 + 0·999 + 0 = 0" in lines[0]
    assert "(0, 1, 2, …, 998, 999, 1)" in lines[4] and r"\ldots" in update._repr_latex_()


def test_an_explanation_is_a_value() -> None:
    for again in (copy.deepcopy(UPDATE), pickle.loads(pickle.dumps(UPDATE)), replace(UPDATE)):
        assert again == UPDATE and repr(again) == repr(UPDATE)
    for field in fields(UPDATE):
        assert replace(UPDATE, **{field.name: "another"}) != UPDATE, field.name
    with pytest.raises(FrozenInstanceError):
        UPDATE.z = 1.0  # type: ignore[misc]


def test_nothing_is_modified_and_nothing_is_shared() -> None:
    x, weights = np.array([1.0, 2.0]), np.array([0.5, -0.25])
    update = gradstep.explain(x, 1, weights, 0.25, 0.5)
    x[:], weights[:] = 7, 7
    assert update == UPDATE


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"x": [[1.0, 2.0]]}, ValueError, r"^x must be one point, of shape \(n,\), got shape \(1, 2\)$"),
        ({"x": 1.0}, ValueError, r"^x must be one point, of shape \(n,\), got shape \(\)"),
        ({"x": ["a", "b"]}, TypeError, r"^x must be an array of real numbers, got dtype <U1$"),
        ({"x": []}, ValueError, r"^X must have at least one row and one column, got shape \(1, 0\)$"),
        ({"x": [1.0]}, ValueError, r"^weights must have length 1 \(one weight per column of X\), got length 2$"),
        ({"y": [1]}, TypeError, r"^y must be a real number, got list$"),
        ({"y": 2}, ValueError, r"^y must be labels in \[0, 1\], got 2 at row 0$"),
        ({"bias": None}, TypeError, r"^bias must be a real number, got NoneType$"),
        ({"learning_rate": 0}, ValueError, r"^learning_rate must be positive and finite, got 0$"),
        ({"learning_rate": "auto"}, TypeError, r"^learning_rate must be a real number, got str$"),
    ],
)
def test_refused(given: dict[str, Any], kind: type[Exception], words: str) -> None:
    call = {"x": [1.0, 2.0], "y": 1, "weights": [0.5, -0.25], "bias": 0.25, "learning_rate": 0.5, **given}
    with pytest.raises(kind, match=words):
        gradstep.explain(**call)


def test_two_rows_of_weights_are_a_softmax_of_two_classes() -> None:
    """The functions take two rows of weights for two classes, too. The difference of their scores is the score of label
    1 against label 0."""
    rng = np.random.default_rng(0)
    x, W, b = np.array([1.0, -2.0, 0.5]), rng.normal(size=(2, 3)), rng.normal(size=2)
    for y in (0, 1):
        found = gradstep.explain(x, y, W, b, 0.25)
        step = gradstep.gradient_step(x, y, W, b, 0.25)
        assert found.new_weights.tolist() == step.weights.tolist() and found.new_bias.tolist() == step.bias.tolist()
        one = gradstep.explain(x, y, W[1] - W[0], b[1] - b[0], 0.25)
        np.testing.assert_allclose(found.y_hat, [1 - one.y_hat, one.y_hat], rtol=1e-14)
        np.testing.assert_allclose(found.delta_weights, np.outer([-1, 1], one.delta_weights), rtol=1e-14)
        assert abs(found.error - one.error) < 1e-14 and "p = e^(z_k)" in str(found)
