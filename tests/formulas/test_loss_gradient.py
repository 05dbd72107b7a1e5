"""predict_proba, loss, gradient and loss_gradient: one pass over the rows of X."""

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
from helpers import exact, oracle
from helpers.layouts import layouts, other_types, repeating
from helpers.problems import Problem, both_dtypes, cases, ordinary_problem, problems, sample_weights
from helpers.results import bits, every_formula
from helpers.tolerances import tolerance

Array = npt.NDArray[Any]

# Four formulas in two types at this many cases each make more than 10 000.
CASES = cases(1300)

SHAPES = [(1, 1), (1, 9), (3, 2), (19, 17), (701, 13), (3, 5001)]  # one number, tails, several tiles, one wide row


@both_dtypes
def test_predict_proba_matches_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=CASES)
    @given(problems(dtype))
    def check(problem: Problem) -> None:
        count_case()
        got = gradstep.predict_proba(problem.X, problem.weights, problem.bias)
        want = oracle.predict_proba(problem.X, problem.weights, problem.bias)
        assert got.dtype == dtype
        assert got.shape == problem.y.shape
        assert (np.abs(got - want) <= tolerance(problem, dtype).y_hat).all()
        z = gradstep.decision_function(problem.X, problem.weights, problem.bias)
        assert bits(gradstep.sigmoid(z)) == bits(got)

    check()


@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 3), (40, 19), (300, 129)])
def test_decision_function_of_whole_numbers_is_exact(dtype: Any, m: int, n: int) -> None:
    random = np.random.default_rng(m)
    X, weights = random.integers(-9, 10, (m, n)), random.integers(-9, 10, n)
    z = gradstep.decision_function(X.astype(dtype), weights, 3)
    assert z.dtype == dtype
    np.testing.assert_array_equal(z, X @ weights + 3)


@both_dtypes
def test_loss_matches_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=CASES)
    @given(problems(dtype), st.data())
    def check(problem: Problem, data: st.DataObject) -> None:
        count_case()
        weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
        got = gradstep.loss(*problem, sample_weight=weight)
        assert type(got) is float
        assert abs(got - oracle.loss(*problem, weight)) <= tolerance(problem, dtype, weight).loss

    check()


@both_dtypes
def test_gradient_matches_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=CASES)
    @given(problems(dtype), st.data())
    def check(problem: Problem, data: st.DataObject) -> None:
        count_case()
        weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
        got, want = gradstep.gradient(*problem, sample_weight=weight), oracle.gradient(*problem, weight)
        near = tolerance(problem, dtype, weight)
        assert type(got) is gradstep.Gradient
        assert got.weights.dtype == dtype
        assert got.weights.shape == problem.weights.shape
        assert type(got.bias) is float
        assert (np.abs(got.weights - want.weights) <= near.weights).all()
        assert abs(got.bias - want.bias) <= near.bias

    check()


@both_dtypes
def test_loss_gradient_matches_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    @settings(max_examples=CASES)
    @given(problems(dtype), st.data())
    def check(problem: Problem, data: st.DataObject) -> None:
        count_case()
        weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
        got, want = gradstep.loss_gradient(*problem, sample_weight=weight), oracle.gradient(*problem, weight)
        near = tolerance(problem, dtype, weight)
        assert type(got) is gradstep.LossGradient
        assert got.weights.dtype == dtype
        assert type(got.loss) is float and type(got.bias) is float
        assert abs(got.loss - oracle.loss(*problem, weight)) <= near.loss
        assert (np.abs(got.weights - want.weights) <= near.weights).all()
        assert abs(got.bias - want.bias) <= near.bias

    check()


@both_dtypes
@pytest.mark.parametrize("columns", [1, 3, 28])
@pytest.mark.parametrize("one_sided", [False, True])
def test_many_rows(dtype: Any, columns: int, one_sided: bool) -> None:
    """A mean over 200 000 rows is as good as its terms: the error does not grow with the number of rows."""
    problem = ordinary_problem(200_000, columns, dtype)
    if one_sided:  # no term cancels another: the sum grows, and with it the rounding of a running sum
        problem = problem._replace(X=np.abs(problem.X), y=np.zeros_like(problem.y))
    got, want = gradstep.loss_gradient(*problem), oracle.gradient(*problem)
    X, y, weights, bias = (np.asarray(values, np.float64) for values in problem)
    z = X @ weights + bias
    residual = np.abs(1 / (1 + np.exp(-z)) - y)
    # Each term: dz as in `tolerance`, and 8·eps of itself. The sum: 32·eps of the mean magnitude allows for a few
    # additions in a row, but not for 200 000 of them, whose error would be a hundred times larger.
    eps = float(np.finfo(dtype).eps)
    dz = (columns + 2) * eps * (np.abs(X) @ np.abs(weights) + abs(bias))
    each = dz / 4 + (8 + 32) * eps * residual
    assert (np.abs(got.weights - want.weights) <= each @ np.abs(X) / len(y) + eps * np.abs(want.weights)).all()
    assert abs(got.bias - want.bias) <= each.mean() + eps * abs(want.bias)
    errors = oracle.errors(z, y)
    assert abs(got.loss - errors.mean()) <= (dz * residual + dz**2 + (8 + 32) * eps * errors).mean()


def test_parts_agree() -> None:
    """loss_gradient is loss and gradient; the bias is 0 unless given; NumPy scalars are numbers."""
    X, y, weights, bias = problem = ordinary_problem(37, 5)
    both = gradstep.loss_gradient(*problem)
    # Both functions compute the same sums: they differ by at most twice the bound.
    near = tolerance(problem, np.float64)
    assert abs(both.loss - gradstep.loss(*problem)) <= 2 * near.loss
    assert (np.abs(both.weights - gradstep.gradient(*problem).weights) <= 2 * near.weights).all()
    assert abs(both.bias - gradstep.gradient(*problem).bias) <= 2 * near.bias

    assert every_formula(Problem(X, y, weights, 0.0)) == [
        *bits(gradstep.decision_function(X, weights)),
        *bits(gradstep.predict_proba(X, weights)),
        *bits(gradstep.loss(X, y, weights)),
        *bits(gradstep.gradient(X, y, weights)),
        *bits(gradstep.loss_gradient(X, y, weights)),
    ]
    assert every_formula(problem) == every_formula(problem._replace(bias=np.float64(bias)))  # type: ignore[arg-type]
    assert every_formula(problem._replace(bias=2.0)) == every_formula(problem._replace(bias=2))
    assert both._fields == ("loss", "weights", "bias")
    assert gradstep.gradient(*problem)._fields == ("weights", "bias")


@both_dtypes
@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_every_layout_gives_the_same_bits(m: int, n: int, dtype: Any, tmp_path: Path) -> None:
    problem = ordinary_problem(m, n, dtype)
    weight = np.linspace(0.5, 2, m).astype(dtype)
    plain, weighted = every_formula(problem), every_formula(problem, sample_weight=weight)
    for name, X in layouts(problem.X, tmp_path):
        before = X.tobytes()
        view = problem._replace(X=X)
        assert every_formula(view) == plain, name
        assert every_formula(view, sample_weight=weight) == weighted, name
        assert X.tobytes() == before, name


@both_dtypes
@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_a_stride_of_zero_repeats(m: int, n: int, dtype: Any) -> None:
    problem = ordinary_problem(m, n, dtype)
    for name, X in repeating(problem.X):
        assert every_formula(problem._replace(X=X)) == every_formula(problem._replace(X=np.array(X, order="C"))), name


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_other_types_are_float64(m: int, n: int) -> None:
    _, y, weights, bias = ordinary_problem(m, n)
    for name, X, same in other_types(m, n):
        # With all integers of a type, predictions would only be 0 or 1. So weights are scaled to give scores of a few
        # units.
        scaled = weights / max(1.0, np.abs(same).max())
        assert every_formula(Problem(X, y, scaled, bias)) == every_formula(Problem(same, y, scaled, bias)), name


@both_dtypes
def test_vectors_of_any_layout_and_type(dtype: Any, tmp_path: Path) -> None:
    _, y, weights, _ = problem = ordinary_problem(35, 33, dtype)
    weight = np.linspace(0, 3, 35).astype(dtype)
    want = every_formula(problem, sample_weight=weight)
    for name, view in layouts(np.column_stack([y, weight]), tmp_path):
        assert every_formula(problem._replace(y=view[:, 0]), sample_weight=view[:, 1]) == want, name
    for name, view in layouts(weights[:, None], tmp_path):
        assert every_formula(problem._replace(weights=view[:, 0]), sample_weight=weight) == want, name

    whole = np.arange(35) % 3
    for kind in (bool, np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.longdouble, list):
        labels = y.astype(int).tolist() if kind is list else y.astype(kind)
        times = whole.tolist() if kind is list else whole.astype(kind)
        same = np.asarray(times).astype(dtype)
        got = every_formula(problem._replace(y=labels), sample_weight=times)
        assert got == every_formula(problem, sample_weight=same), kind


def test_result_types() -> None:
    """float32 X decides; every other type is float64, whatever the vectors are."""
    for kind, result in [(np.float32, np.float32), (np.float64, np.float64), (np.int8, np.float64), (bool, np.float64)]:
        X = np.array([[0, 1], [1, 1]], kind)
        for other in (np.float32, np.float64, np.int64):
            y, weights = np.array([0, 1], other), np.array([1, 2], other)
            assert gradstep.predict_proba(X, weights).dtype == result
            assert gradstep.gradient(X, y, weights).weights.dtype == result
            assert gradstep.loss_gradient(X, y, weights).weights.dtype == result


@both_dtypes
@settings(max_examples=cases(300))
@given(data=st.data())
def test_a_whole_weight_is_a_repeated_row(dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype, tame=True))
    m = len(problem.y)
    times = np.frombuffer(data.draw(st.binary(min_size=m, max_size=m)), np.uint8) % 4
    times = np.where(times.any(), times, 1)
    repeated = Problem(np.repeat(problem.X, times, axis=0), np.repeat(problem.y, times), *problem[2:])
    got, want = gradstep.loss_gradient(*problem, sample_weight=times), gradstep.loss_gradient(*repeated)
    # The same terms are summed in two orders; each sum is within its own bound of the exact value.
    one, other = tolerance(problem, dtype, times), tolerance(repeated, dtype)
    assert abs(got.loss - want.loss) <= one.loss + other.loss
    assert (np.abs(got.weights - want.weights) <= one.weights + other.weights).all()
    assert abs(got.bias - want.bias) <= one.bias + other.bias


@both_dtypes
def test_a_row_of_weight_zero_does_not_count(dtype: Any) -> None:
    problem = ordinary_problem(40, 6, dtype)
    X = problem.X.copy()
    weight = np.ones(40, dtype)
    weight[[0, 7, 8, 39]] = 0
    X[[0, 7, 8, 39]] = 1e4  # large points with wrong predictions: they would show in the sum
    got = gradstep.loss_gradient(X, *problem[1:], sample_weight=weight)
    kept = Problem(X[weight > 0], problem.y[weight > 0], *problem[2:])
    want, near = gradstep.loss_gradient(*kept), tolerance(kept, dtype)
    # The four other rows add exact zeros: the results differ by at most twice the bound of the rows that count.
    assert abs(got.loss - want.loss) <= 2 * near.loss
    assert (np.abs(got.weights - want.weights) <= 2 * near.weights).all()
    assert abs(got.bias - want.bias) <= 2 * near.bias


@both_dtypes
def test_only_ratios_of_weights_count(dtype: Any) -> None:
    problem = ordinary_problem(40, 6, dtype)
    weight = np.linspace(0, 2, 40).astype(dtype)
    # A power of two scales every product and the sum exactly.
    assert every_formula(problem, sample_weight=weight) == every_formula(problem, sample_weight=weight * 1024)
    ones = gradstep.loss_gradient(*problem, sample_weight=np.full(40, 0.5, dtype))
    plain, near = gradstep.loss_gradient(*problem), tolerance(problem, dtype)
    assert abs(ones.loss - plain.loss) <= 2 * near.loss
    assert (np.abs(ones.weights - plain.weights) <= 2 * near.weights).all()


@both_dtypes
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_gradient_is_the_central_difference_of_the_loss(dtype: Any, soft: bool, weighted: bool, seed: int) -> None:
    X, y, weights, bias = problem = ordinary_problem(12, 5, dtype, seed)
    if soft:
        y = np.random.default_rng(seed).random(12).astype(dtype)
        problem = problem._replace(y=y)
    weight = (np.random.default_rng(seed + 100).random(12) + 0.1).astype(dtype) if weighted else None
    got = gradstep.gradient(*problem, sample_weight=weight)

    # The differences are computed in float64 from the same numbers. For float32, the bound of the gradient is added.
    exactly = Problem(X.astype(np.float64), y.astype(np.float64), weights.astype(np.float64), bias)
    theta = np.append(exactly.weights, bias)

    def loss_at(point: Array) -> float:
        return gradstep.loss(exactly.X, exactly.y, point[:-1], float(point[-1]), sample_weight=weight)

    # (E(θ + h) - E(θ - h)) / 2h = ∂E + h²/6·E''' + rounding of E / h, where |E'''| ≤ max|σ''|·mean|x|³ and
    # max|σ''| = 1/(6√3). The rounding of E is `tolerance`, up to 2 h·|x| away.
    h = 1e-4
    near = tolerance(problem, dtype, weight)
    points = np.column_stack([exactly.X, np.ones(12)])
    third = np.average(np.abs(points) ** 3, axis=0, weights=weight) / (6 * np.sqrt(3))
    rounding = 2 * tolerance(exactly, np.float64, weight).loss / h
    bound = h**2 / 6 * third + rounding + np.append(near.weights, near.bias)

    gradient = np.append(got.weights, got.bias)
    for j, step in enumerate(h * np.eye(6)):
        difference = (loss_at(theta + step) - loss_at(theta - step)) / (2 * h)
        assert abs(gradient[j] - difference) <= bound[j], j
    # Wherever a component is not tiny by chance, the test must notice an error of one part in a thousand.
    sizeable = np.abs(gradient) > 0.02
    assert sizeable.sum() >= 3
    assert (bound[sizeable] < 0.5e-3 * np.abs(gradient[sizeable])).all()


@both_dtypes
@settings(max_examples=cases(300))
@given(data=st.data())
def test_size_of_one_points_gradient(dtype: Any, data: st.DataObject) -> None:
    """|∇E_i| = |y - ŷ|·‖(x, 1)‖: the farther the prediction from the label, the larger the step."""
    problem = data.draw(problems(dtype, tame=True))
    one = Problem(problem.X[:1], problem.y[:1], *problem[2:])
    grad, near = gradstep.gradient(*one), tolerance(one, dtype)
    length = np.hypot(np.linalg.norm(grad.weights.astype(np.float64)), grad.bias)
    distance = abs(one.y[0] - oracle.predict_proba(one.X, one.weights, one.bias)[0])
    want = distance * np.hypot(np.linalg.norm(one.X[0].astype(np.float64)), 1.0)
    # | ‖a‖ - ‖b‖ | ≤ ‖a - b‖, and a few roundings of the norms themselves, in float64.
    room = np.hypot(np.linalg.norm(near.weights), near.bias) + 8 * len(one.weights) * np.finfo(np.float64).eps * want
    assert abs(length - want) <= room


@both_dtypes
@pytest.mark.parametrize("label", [0, 1])
def test_gradient_grows_with_the_distance_and_vanishes_with_it(dtype: Any, label: int) -> None:
    x = np.array([[0.5, -1.25, 2.0]], dtype)
    towards = np.linspace(-12, 12, 97) * (1 if label else -1)  # bias: ever closer to the label
    sizes, distances = [], []
    for bias in towards:
        grad = gradstep.gradient(x, [label], np.zeros(3), bias)
        sizes.append(np.hypot(np.linalg.norm(grad.weights.astype(np.float64)), grad.bias))
        distances.append(abs(label - float(gradstep.predict_proba(x, np.zeros(3), bias)[0])))
    assert (np.diff(distances) < 0).all()
    assert (np.diff(sizes) < 0).all()
    vanished = gradstep.gradient(x, [label], np.zeros(3), 800.0 * (1 if label else -1))
    assert not vanished.weights.any()
    assert vanished.bias == 0
    exactly_half = gradstep.gradient(x, [0.5], np.zeros(3), 0.0)
    assert not exactly_half.weights.any()
    assert exactly_half.bias == 0


def test_two_formulas_for_one_loss() -> None:
    """loss(), computed from scores, is cross_entropy() of predict_proba(), as long as ŷ has digits left."""
    X, y, weights, bias = problem = ordinary_problem(300, 4)
    y_hat = gradstep.predict_proba(X, weights, bias)
    # ŷ is within 1.5 ULP of its own score's σ and the scores of the two differ by nothing: the same kernel.
    # d ln ŷ = dŷ/ŷ and d ln(1 - ŷ) = -dŷ/(1 - ŷ), with dŷ ≤ 1.5·eps·ŷ (+ dz, if the scores were computed twice).
    eps = np.finfo(np.float64).eps
    shifted = np.where(y == 1, 1.5 * eps, 1.5 * eps * y_hat / (1 - y_hat)).mean()
    want = gradstep.cross_entropy(y, y_hat)
    assert abs(gradstep.loss(*problem) - want) <= shifted + 2 * tolerance(problem, np.float64).loss
    weight = np.arange(300) % 3
    want = gradstep.cross_entropy(y, y_hat, sample_weight=weight)
    room = 3 * shifted + 2 * tolerance(problem, np.float64, weight).loss  # no weight exceeds 3 × the mean weight
    assert abs(gradstep.loss(*problem, sample_weight=weight) - want) <= room


@both_dtypes
def test_tails_keep_their_digits(dtype: Any) -> None:
    """Loss and residual of a point on the right side lose no digits by cancellation: both are about e^-|z|, not 0."""
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    for z in (1e-3, 0.5, 5.0, 17.0, 20.0, 37.0, 40.0, 80.0, *((300.0, 700.0) if dtype is np.float64 else ())):
        z = float(dtype(z))
        for label, sign in ((1, 1.0), (0, -1.0)):
            right = gradstep.loss_gradient(np.ones((1, 1), dtype), [label], [sign * z])
            wrong = gradstep.loss_gradient(np.ones((1, 1), dtype), [label], [-sign * z])
            # z = 1·w is not rounded. exp is within 2 ULP, then there are at most four roundings: 6·eps of the value.
            for got, want in [
                (right.loss, -float(exact.log_sigmoid(z))),
                (wrong.loss, -float(exact.log_sigmoid(-z))),
                (-sign * right.bias, float(exact.sigmoid(-z))),
                (-sign * wrong.bias, float(exact.sigmoid(z))),
                (-sign * float(right.weights[0]), float(exact.sigmoid(-z))),
                (-sign * float(wrong.weights[0]), float(exact.sigmoid(z))),
            ]:
                assert abs(got - want) <= 6 * eps * want + tiny, (z, label)


@both_dtypes
def test_small_losses_add_up(dtype: Any) -> None:
    """Among separable points the loss is a sum of small numbers, none of which may vanish beside 1."""
    z = np.linspace(16, 30, 2000).astype(dtype)
    y = (np.arange(2000) % 2).astype(dtype)
    X = np.where(y == 1, z, -z)[:, None]
    want = np.mean([-float(exact.log_sigmoid(float(score))) for score in z])
    # Every term is within 6·eps, and 2000 terms ≥ 0 are added in float64; in float32, blocks of them may be.
    assert abs(gradstep.loss(X, y, [1.0]) - want) <= 64 * np.finfo(dtype).eps * want + 2000 * 1.2e-16 * want


@both_dtypes
@settings(max_examples=cases(400))
@given(data=st.data())
def test_never_nan_from_finite_input(dtype: Any, data: st.DataObject) -> None:
    big = 1e300 if dtype is np.float64 else 1e30
    values = np.array([0.0, -0.0, 1.0, -1.0, 1e-3, -36.0, 745.2, big, -big, 1 / big, np.finfo(dtype).tiny, 1e6], dtype)
    m, n = data.draw(st.integers(1, 19)), data.draw(st.integers(1, 19))
    raw = np.frombuffer(data.draw(st.binary(min_size=m * n + m + n, max_size=m * n + m + n)), np.uint8)
    X = values[raw[: m * n] % len(values)].reshape(m, n)
    y = raw[m * n : m * n + m] % 3 / 2
    # |w| ≤ 1e4: the largest score is 19 · 1e304 in float64 and 19 · 1e34 in float32, and finite.
    weights = np.clip(values[raw[m * n + m :] % len(values)], -1e4, 1e4)
    with np.errstate(all="raise"):
        y_hat = gradstep.predict_proba(X, weights, 1.0)
        result = gradstep.loss_gradient(X, y, weights, 1.0)
    assert ((y_hat >= 0) & (y_hat <= 1)).all()
    assert np.isfinite(result.loss) and result.loss >= 0
    assert np.isfinite(result.weights).all()
    assert abs(result.bias) <= 1


@both_dtypes
def test_scores_up_to_the_largest_number_and_beyond(dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    for z in (1e3, 1e6, 1e30, largest / 2, largest):
        X = np.array([[z], [-z]], dtype)
        np.testing.assert_array_equal(gradstep.predict_proba(X, [1.0]), [1.0, 0.0])
        right = gradstep.loss_gradient(X, [1, 0], [1.0])
        assert right.loss == 0 and not right.weights.any() and right.bias == 0
        # A prediction that is wrong by a huge score z has loss z, and its gradient is the point x.
        wrong = gradstep.loss_gradient(X[:1], [0], [1.0])
        assert wrong.loss == float(X[0, 0]) and wrong.weights[0] == X[0, 0] and wrong.bias == 1
    # A score that overflows to ±inf is a certain prediction. If it is right, the loss is 0: 0 · inf must not occur.
    root = dtype(np.sqrt(largest) * 4)
    X = np.array([[root], [-root]])
    np.testing.assert_array_equal(gradstep.predict_proba(X, [root]), [1.0, 0.0])
    right = gradstep.loss_gradient(X, [1, 0], [root])
    assert right.loss == 0 and not right.weights.any() and right.bias == 0
    wrong = gradstep.loss_gradient(X, [0, 1], [root])
    assert wrong.loss == np.inf
    assert wrong.weights[0] == root and wrong.bias == 0


@both_dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 8, 16, 34])
def test_nan_and_inf_propagate_as_arithmetic_does(dtype: Any, bad: float, row: int) -> None:
    X, y, weights, bias = ordinary_problem(35, 5, dtype)
    clean = gradstep.predict_proba(X, weights, bias)
    X[row, 3] = bad
    got = gradstep.predict_proba(X, weights, bias)
    others = np.arange(35) != row
    np.testing.assert_array_equal(got[others], clean[others])  # no other row is touched
    score = bad * float(weights[3])
    expected = np.nan if np.isnan(score) else float(score > 0)
    np.testing.assert_array_equal(got[row], expected)

    if np.isnan(bad):
        result = gradstep.loss_gradient(X, y, weights, bias)
        assert np.isnan(result.loss) and np.isnan(gradstep.loss(X, y, weights, bias))
        assert np.isnan(result.weights).all() and np.isnan(result.bias)
    else:
        y[row] = expected
        assert np.isfinite(gradstep.loss(X, y, weights, bias))  # certain and right
        y[row] = 1 - expected
        assert gradstep.loss(X, y, weights, bias) == np.inf  # certain and wrong


@both_dtypes
def test_nan_parameters_propagate(dtype: Any) -> None:
    X, y, weights, bias = ordinary_problem(19, 5, dtype)
    assert np.isnan(gradstep.predict_proba(X, weights, np.nan)).all()
    assert np.isnan(gradstep.loss(X, y, weights, np.nan))
    weights[4] = np.nan
    assert np.isnan(gradstep.predict_proba(X, weights, bias)).all()
    assert np.isnan(gradstep.loss_gradient(X, y, weights, bias).weights).all()


@both_dtypes
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_offsets_are_columns_whose_weights_are_1(dtype: Any, classes: int, is_sparse: bool) -> None:
    """Of several classes, the column of a class has the weight 0 for the others."""
    rng = np.random.default_rng(9)
    X, s = rng.normal(size=(70, 5)).astype(dtype), rng.integers(0, 4, 70).astype(float)
    shape = (classes,) if classes else ()
    weights, bias = rng.normal(size=(*shape, 5)), rng.normal(size=shape)[()]
    y = rng.integers(0, classes or 2, 70)
    offset = rng.normal(size=(70, *shape)).astype(dtype)
    wide = np.column_stack([X, offset])
    known = np.column_stack([weights, np.eye(classes)]) if classes else np.append(weights, 1.0)
    rows, all_rows = (sparse.csr_array(each) if is_sparse else each for each in (X, wide))
    got = gradstep.loss_gradient(rows, y, weights, bias, sample_weight=s, offset=offset)
    want = gradstep.loss_gradient(all_rows, y, known, bias, sample_weight=s)
    # The scores are sums of the same terms in another order, which differ by a few roundings.
    room = {"rtol": 0, "atol": 64 * np.finfo(dtype).eps}
    np.testing.assert_allclose(got.loss, want.loss, **room)
    np.testing.assert_allclose(got.weights, want.weights[..., :5], **room)
    np.testing.assert_allclose(got.bias, want.bias, **room)
    assert gradstep.loss(rows, y, weights, bias, sample_weight=s, offset=offset) == got.loss
    slopes = gradstep.gradient(rows, y, weights, bias, sample_weight=s, offset=offset)
    assert bits(slopes) == bits(got[1:])
    step = gradstep.gradient_step(rows, y, weights, bias, 0.5, sample_weight=s, offset=offset)
    np.testing.assert_allclose(step.weights, weights - 0.5 * got.weights, **room)
    one = gradstep.loss(X[3], y[3], weights, bias, offset=offset[3])
    np.testing.assert_allclose(one, gradstep.loss(wide[3], y[3], known, bias), **room)
    if not classes:
        places = np.ix_([0, 1, 2, 3, 4, 6], [0, 1, 2, 3, 4, 6])
        second = gradstep.hessian(rows, weights, bias, sample_weight=s, offset=offset)
        whole = gradstep.hessian(all_rows, known, bias, sample_weight=s)
        np.testing.assert_allclose(second, whole[places], rtol=0, atol=1e-14)
        inverse = gradstep.covariance(rows, weights, bias, sample_weight=s, offset=offset)
        np.testing.assert_allclose(inverse @ second * s.sum(), np.eye(6), rtol=0, atol=1e-12)
