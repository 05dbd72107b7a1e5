"""Several classes: softmax; and predict_proba, loss, gradient and loss_gradient with weights for each class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import gradstep
from helpers import oracle
from helpers.layouts import layouts, other_types, repeating
from helpers.problems import (
    CLASS_SHAPES,
    ClassProblem,
    both_dtypes,
    cases,
    class_problems,
    ordinary_class_problem,
    sample_weights,
)
from helpers.results import bits, every_formula
from helpers.tolerances import class_tolerance, shift

Array = npt.NDArray[Any]


def softmax_bound(z: Array, dtype: Any) -> Array:
    """How far probabilities may be apart: the oracle and gradstep each round z_k - z_l; then exp, K additions, a
    division."""
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    z = z.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        distance = np.minimum(z.max(axis=-1, keepdims=True) - z, 1e4)
        return np.asarray(oracle.softmax(z) * eps * (8 + z.shape[-1] + 4 * distance) + tiny + 1e-308)


@both_dtypes
@settings(max_examples=cases(500))
@given(data=st.data())
def test_softmax_matches_oracle(dtype: Any, data: st.DataObject) -> None:
    rows, classes = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 20))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scale = data.draw(st.sampled_from([1e-3, 1.0, 30.0, 1e3]))
    z = (random.normal(size=(rows, classes)) * scale).astype(dtype)
    got = gradstep.softmax(z)
    assert got.dtype == dtype and got.shape == z.shape
    assert (np.abs(got - oracle.softmax(z)) <= softmax_bound(z, dtype)).all()
    assert (np.abs(got.astype(np.float64).sum(axis=1) - 1) <= (8 + classes) * np.finfo(dtype).eps).all()


@both_dtypes
def test_softmax_along_the_last_axis_of_any_array(dtype: Any, tmp_path: Path) -> None:
    z = np.random.default_rng(1).normal(size=(7, 300, 5)).astype(dtype)
    want = gradstep.softmax(z)
    for index in np.ndindex(7, 300):
        assert bits(gradstep.softmax(z[index])) == bits(want[index])
    for name, layout in layouts(z[0], tmp_path):
        assert bits(gradstep.softmax(layout)) == bits(want[0]), name
    assert gradstep.softmax(z.tolist()).dtype == np.float64
    assert gradstep.softmax(np.empty((0, 3), dtype)).shape == (0, 3)
    assert gradstep.softmax(np.empty((3, 0), dtype)).shape == (3, 0)


@both_dtypes
def test_softmax_into_out(dtype: Any) -> None:
    z = np.random.default_rng(1).normal(size=(70, 5)).astype(dtype)
    want = gradstep.softmax(z)
    for out in (np.empty_like(z), np.empty((5, 70), dtype).T, np.empty((140, 5), dtype)[::2]):
        assert gradstep.softmax(z, out=out) is out
        assert bits(out) == bits(want)
    for view in (slice(None), slice(None, None, -1)):
        buffer = z.copy()
        gradstep.softmax(buffer, out=buffer[view])
        assert bits(buffer[view]) == bits(want)


@both_dtypes
def test_softmax_at_the_extremes(dtype: Any) -> None:
    big = float(np.finfo(dtype).max)
    inf, nan = np.inf, np.nan
    for z, want in [
        ([0.0, -0.0], [0.5, 0.5]),
        ([big, -big, 0.0], [1, 0, 0]),
        ([big, big], [0.5, 0.5]),
        ([-big, -big, -big, -big], [0.25] * 4),
        ([inf, 0.0, -inf], [1, 0, 0]),
        ([inf, inf, 5.0, -5.0], [0.5, 0.5, 0, 0]),
        ([-inf, -inf], [0.5, 0.5]),
        ([0.0, nan, 1.0], [nan] * 3),
        ([nan, 1.0, 2.0], [nan] * 3),
        ([3.0], [1]),
    ]:
        with np.errstate(all="raise"):
            np.testing.assert_array_equal(gradstep.softmax(np.array(z, dtype)), np.array(want, dtype))
    # The tails keep their digits, down to the last subnormal.
    lowest = -745.0 if dtype is np.float64 else -103.0
    assert gradstep.softmax(np.array([0.0, lowest], dtype))[1] > 0


@both_dtypes
def test_formulas_match_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=cases(1300))
    @given(class_problems(dtype), st.data())
    def check(problem: ClassProblem, data: st.DataObject) -> None:
        count_case()
        s = data.draw(st.none() | sample_weights(len(problem.y), dtype))
        X, _, weights, biases = problem
        near = class_tolerance(problem, dtype, s)
        p = gradstep.predict_proba(X, weights, biases)
        assert p.dtype == dtype and p.shape == (len(X), len(biases))
        assert (np.abs(p - oracle.softmax(oracle.class_score(X, weights, biases))) <= near.y_hat).all()
        z = gradstep.decision_function(X, weights, biases)
        assert bits(gradstep.softmax(z)) == bits(p)
        want, (want_weights, want_biases) = oracle.class_loss(*problem, s), oracle.class_gradient(*problem, s)
        loss, got_weights, got_biases = gradstep.loss_gradient(*problem, sample_weight=s)
        assert type(loss) is float and got_weights.dtype == got_biases.dtype == dtype
        assert abs(loss - want) <= near.loss
        assert got_weights.shape == weights.shape and got_biases.shape == biases.shape
        assert (np.abs(got_weights - want_weights) <= near.weights).all()
        assert (np.abs(got_biases - want_biases) <= near.bias).all()
        # loss and gradient return the same numbers as loss_gradient.
        assert gradstep.loss(*problem, sample_weight=s) == loss
        assert bits(gradstep.gradient(*problem, sample_weight=s)) == bits((got_weights, got_biases))

    check()


@both_dtypes
@pytest.mark.parametrize(("m", "n", "classes"), CLASS_SHAPES)
def test_larger_shapes_match_oracle(dtype: Any, m: int, n: int, classes: int) -> None:
    problem = ordinary_class_problem(m, n, classes, dtype)
    s = (np.arange(m) % 4 + 0.5).astype(dtype)
    for weight in (None, s):
        near = class_tolerance(problem, dtype, weight)
        got, (weights, biases) = (
            gradstep.loss_gradient(*problem, sample_weight=weight),
            oracle.class_gradient(*problem, weight),
        )
        assert abs(got.loss - oracle.class_loss(*problem, weight)) <= near.loss
        assert (np.abs(got.weights - weights) <= near.weights).all()
        assert (np.abs(got.bias - biases) <= near.bias).all()
        # With sparse features, the same numbers are added in another order.
        thin = gradstep.loss_gradient(sparse.csr_array(problem.X), *problem[1:], sample_weight=weight)
        assert abs(thin.loss - got.loss) <= near.loss
        assert (np.abs(thin.weights - got.weights) <= near.weights).all()
        assert (np.abs(thin.bias - got.bias) <= near.bias).all()


def test_two_classes_are_the_binary_model() -> None:
    X, y, weights, biases = problem = ordinary_class_problem(60, 4, 2)
    one = ClassProblem(X, y, weights[1] - weights[0], biases[1] - biases[0])
    two, binary = gradstep.loss_gradient(*problem), gradstep.loss_gradient(*one)
    near = class_tolerance(problem, np.float64)
    assert abs(two.loss - binary.loss) <= 2 * near.loss
    assert (np.abs(two.weights - [-binary.weights, binary.weights]) <= 2 * near.weights).all()
    assert (np.abs(two.bias - [-binary.bias, binary.bias]) <= 2 * near.bias).all()


def test_a_bias_for_all_classes_changes_nothing() -> None:
    X, y, weights, _ = ordinary_class_problem(60, 4, 3)
    assert gradstep.loss(X, y, weights) == gradstep.loss(X, y, weights, 0.0)
    assert abs(gradstep.loss(X, y, weights, 7.0) - gradstep.loss(X, y, weights)) <= 1e-14


@both_dtypes
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_gradient_is_the_central_difference_of_the_loss(dtype: Any, weighted: bool, seed: int) -> None:
    problem = ordinary_class_problem(14, 5, 4, dtype, seed)
    s = (np.random.default_rng(seed + 100).random(14) + 0.1).astype(dtype) if weighted else None
    got, near = gradstep.gradient(*problem, sample_weight=s), class_tolerance(problem, dtype, s)
    exactly = ClassProblem(*(values.astype(np.float64) for values in problem))

    def loss_at(theta: Array) -> float:
        return gradstep.loss(exactly.X, exactly.y, theta[:, :-1], theta[:, -1], sample_weight=s)

    # As for two classes; the third derivative of ln Σ exp along one predictor is at most 1/(6√3), too.
    h = 1e-4
    third = np.average(np.abs(np.column_stack([exactly.X, np.ones(14)])) ** 3, axis=0, weights=s) / (6 * np.sqrt(3))
    rounding = 2 * class_tolerance(exactly, np.float64, s).loss / h
    bound = h**2 / 6 * third + rounding + np.column_stack([near.weights, near.bias])
    theta = np.column_stack([exactly.weights, exactly.biases])
    gradient = np.column_stack([got.weights, got.bias])
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = h
        difference = (loss_at(theta + step) - loss_at(theta - step)) / (2 * h)
        assert abs(gradient[index] - difference) <= bound[index], index
    sizeable = np.abs(gradient) > 0.02
    assert sizeable.sum() >= 8
    assert (bound[sizeable] < 0.5e-3 * np.abs(gradient[sizeable])).all()


@both_dtypes
@pytest.mark.parametrize(("m", "n", "classes"), CLASS_SHAPES)
def test_same_bits_for_any_layout(dtype: Any, m: int, n: int, classes: int, tmp_path: Path) -> None:
    problem = ordinary_class_problem(m, n, classes, dtype)
    want = every_formula(problem)
    for name, layout in layouts(problem.X, tmp_path):
        assert every_formula(problem._replace(X=layout)) == want, name
    for name, layout in repeating(problem.X):
        assert every_formula(problem._replace(X=layout)) == every_formula(problem._replace(X=np.array(layout))), name


def test_integers_and_bools_are_their_floats() -> None:
    _, y, weights, biases = problem = ordinary_class_problem(40, 11, 3)
    small = ClassProblem(problem.X, y, weights * 1e-3, biases)
    for name, X, floats in other_types(40, 11):
        assert every_formula(small._replace(X=X)) == every_formula(small._replace(X=floats)), name
    for kind in (np.int8, np.uint16, np.int64, np.float32, np.float64):
        assert every_formula(problem._replace(y=y.astype(kind))) == every_formula(problem)


@both_dtypes
def test_csr_and_csc_give_the_same_bits(dtype: Any) -> None:
    X, y, weights, biases = ordinary_class_problem(700, 60, 5, dtype)
    X[np.abs(X) < 1.2] = 0
    want = every_formula(ClassProblem(sparse.csr_array(X), y, weights, biases))
    for index in (np.int32, np.int64):
        for matrix in (sparse.csr_array(X), sparse.csc_array(X), sparse.csc_matrix(X)):
            matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
            assert every_formula(ClassProblem(matrix, y, weights, biases)) == want


@both_dtypes
@settings(max_examples=cases(300))
@given(data=st.data())
def test_never_nan_from_finite_input(dtype: Any, data: st.DataObject) -> None:
    big = 1e300 if dtype is np.float64 else 1e30
    values = np.array([0.0, -0.0, 1.0, -1.0, 1e-3, -36.0, 745.2, big, -big, 1 / big, np.finfo(dtype).tiny, 1e6], dtype)
    m, n, classes = (data.draw(st.integers(1, 19)) for _ in range(3))
    count = m * n + classes * n + m
    raw = np.frombuffer(data.draw(st.binary(min_size=count, max_size=count)), np.uint8)
    X = values[raw[: m * n] % len(values)].reshape(m, n)
    # |w| ≤ 1e4: the largest score is 19 · 1e304 in float64 and 19 · 1e34 in float32, and finite.
    weights = np.clip(values[raw[m * n : -m] % len(values)], -1e4, 1e4).reshape(classes, n)
    y = raw[-m:] % classes
    with np.errstate(all="raise"):
        p = gradstep.predict_proba(X, weights, np.ones(classes))
        result = gradstep.loss_gradient(X, y, weights, np.ones(classes))
    assert ((p >= 0) & (p <= 1)).all()
    assert np.isfinite(result.loss) and result.loss >= 0
    assert np.isfinite(result.weights).all() and (np.abs(result.bias) <= 1).all()


@both_dtypes
def test_scores_up_to_the_largest_number_and_beyond(dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    W = np.array([[1.0], [0.0], [-1.0]], dtype)
    for z in (1e3, 1e30, largest):
        X = np.array([[z], [-z]], dtype)
        np.testing.assert_array_equal(gradstep.predict_proba(X, W), [[1, 0, 0], [0, 0, 1]])
        right = gradstep.loss_gradient(X, [0, 2], W)
        assert right.loss == 0 and not right.weights.any() and not right.bias.any()
        wrong = gradstep.loss_gradient(X[:1], [1], W)
        assert wrong.loss == float(X[0, 0]) and wrong.bias.tolist() == [1, -1, 0]
    # A score that overflows is a certain prediction: its loss is 0 if it is right, and inf if it is wrong.
    X = np.array([[largest]], dtype)
    assert gradstep.loss(X, [0], 4 * W) == 0
    assert gradstep.loss(X, [1], 4 * W) == np.inf
    assert gradstep.loss(X, [2], 4 * W) == np.inf


@both_dtypes
def test_tails_keep_their_digits(dtype: Any) -> None:
    """Loss and residual of a point on the side of its class lose no digits by cancellation."""
    eps = float(np.finfo(dtype).eps)
    for z in (1.0, 17.0, 40.0, 80.0, *((300.0, 700.0) if dtype is np.float64 else ())):
        right = gradstep.loss_gradient(np.ones((1, 1), dtype), [1], np.array([[0.0], [z], [0.0]], dtype))
        tail = np.exp(-z)
        assert abs(right.loss - np.log1p(2 * tail)) <= 8 * eps * np.log1p(2 * tail)
        assert np.allclose(right.bias, np.array([tail, -2 * tail, tail]) / (1 + 2 * tail), rtol=8 * eps, atol=0)


def test_nan_propagates() -> None:
    X, y, weights, biases = ordinary_class_problem(35, 5, 4)
    clean = gradstep.predict_proba(X, weights, biases)
    X[7, 2] = np.nan
    got = gradstep.predict_proba(X, weights, biases)
    assert np.isnan(got[7]).all()
    np.testing.assert_array_equal(np.delete(got, 7, 0), np.delete(clean, 7, 0))
    assert np.isnan(gradstep.loss(X, y, weights, biases))


@both_dtypes
@settings(max_examples=cases(200))
@given(data=st.data())
def test_a_step_matches_oracle(dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(class_problems(dtype))
    weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
    reduction, rate = data.draw(st.sampled_from(["mean", "sum"])), data.draw(st.sampled_from([1e-3, 1.0, 7.5]))
    got = gradstep.gradient_step(*problem, rate, reduction=reduction, sample_weight=weight)
    want = oracle.gradient_step(*problem, rate, reduction, weight)
    grad, near = oracle.class_gradient(*problem, weight), class_tolerance(problem, dtype, weight)
    total = 1.0 if reduction == "mean" else len(problem.y) if weight is None else float(weight.sum(dtype=float))
    a, eps = rate * total, float(np.finfo(dtype).eps)
    assert type(got) is gradstep.Step and got.weights.dtype == got.bias.dtype == dtype
    # As for one score: α times the gradient's own bound, three roundings of α·g, and one addition.
    for part, other, gradient, room, before in zip(
        got, want, grad, (near.weights, near.bias), (problem.weights, problem.biases), strict=True
    ):
        spread = a * np.asarray(room) + 3 * eps * a * np.abs(gradient)
        assert part.shape == before.shape
        assert (np.abs(part - other) <= spread + shift(a * gradient, before, dtype)).all()


@both_dtypes
@settings(max_examples=cases(100))
@given(data=st.data())
def test_cross_entropy_of_classes_matches_oracle(dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(class_problems(dtype).filter(lambda problem: len(problem.weights) > 1))
    weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
    p = gradstep.predict_proba(problem.X, problem.weights, problem.biases)
    with np.errstate(divide="ignore"):
        errors = -np.log(p[np.arange(len(p)), problem.y].astype(float))
    if weight is not None:
        errors[weight == 0] = 0.0  # even where a probability of 0 makes the error infinite
    want = float(np.average(errors, weights=weight))
    for labels in (problem.y, problem.y.astype(float)):
        got = gradstep.cross_entropy(labels, p, sample_weight=weight)
        # A mean of terms ≥ 0. Each term is a logarithm within 2 ULP, here and in NumPy.
        assert got == want or abs(got - want) <= (len(p) + 8) * np.finfo(np.float64).eps * want


def test_cross_entropy_of_two_classes_is_that_of_one_probability() -> None:
    y, p = np.array([0, 1, 1]), np.array([0.25, 0.75, 0.125])
    assert gradstep.cross_entropy(y, np.column_stack([1 - p, p])) == pytest.approx(
        gradstep.cross_entropy(y, p), rel=1e-15
    )
    assert gradstep.cross_entropy([0, 1], [[1.0, 0.0], [1.0, 0.0]]) == np.inf
    assert np.isnan(gradstep.cross_entropy([0, 1], [[np.nan, 0.0], [1.0, 0.0]]))
