"""gradient_step: one step of descent, on copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from helpers import oracle
from helpers.problems import Problem, both_dtypes, cases, problems, sample_weights
from helpers.tolerances import shift, tolerance

RATES = [1e-3, 0.1, 1.0, 7.5]


@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_step_matches_oracle(dtype: Any, reduction: str, count_case: Callable[[], None]) -> None:
    eps = float(np.finfo(dtype).eps)

    @settings(max_examples=cases(400))
    @given(problems(dtype), st.sampled_from(RATES), st.data())
    def check(problem: Problem, rate: float, data: st.DataObject) -> None:
        count_case()
        weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
        got = gradstep.gradient_step(*problem, rate, reduction=reduction, sample_weight=weight)
        want = oracle.gradient_step(*problem, rate, reduction, weight)
        grad = oracle.gradient(*problem, weight)
        total = 1.0 if reduction == "mean" else len(problem.y) if weight is None else float(weight.sum(dtype=float))
        # α times the gradient's own bound; α (where it is read as float32), the product and the total are rounded:
        # 3·eps of α·g; then one addition.
        near = tolerance(problem, dtype, weight)
        a = rate * total
        spread = a * near.weights + 3 * eps * a * np.abs(grad.weights)
        assert type(got) is gradstep.Step
        assert got.weights.dtype == dtype
        assert type(got.bias) is float
        assert (np.abs(got.weights - want.weights) <= spread + shift(a * grad.weights, problem.weights, dtype)).all()
        spread_b = a * near.bias + 3 * eps * a * abs(grad.bias)
        assert abs(got.bias - want.bias) <= spread_b + shift(a * grad.bias, problem.bias, dtype)

    check()


@both_dtypes
@settings(max_examples=cases(300))
@given(data=st.data())
def test_sum_with_a_over_m_is_mean_with_a(dtype: Any, data: st.DataObject) -> None:
    """With "sum" and the learning rate α/m, a step is that with "mean" and α."""
    problem = data.draw(problems(dtype, tame=True))
    m, rate = len(problem.y), 0.75
    mean = gradstep.gradient_step(*problem, rate, reduction="mean")
    total = gradstep.gradient_step(*problem, rate / m, reduction="sum")
    grad, near = oracle.gradient(*problem), tolerance(problem, dtype)
    # Both steps have the same gradient g, each within its bound; α/m and the products add 4·eps of α·g.
    eps = float(np.finfo(dtype).eps)
    spread = rate * (2 * near.weights + 4 * eps * np.abs(grad.weights))
    assert (np.abs(mean.weights - total.weights) <= spread + shift(rate * grad.weights, problem.weights, dtype)).all()
    spread_b = rate * (2 * near.bias + 4 * eps * abs(grad.bias))
    assert abs(mean.bias - total.bias) <= spread_b + shift(rate * grad.bias, problem.bias, dtype)


def test_mean_is_the_default() -> None:
    X, y = [[1.0], [1.0]], [1, 1]
    got = gradstep.gradient_step(X, y, [0.0], 0.0, 1.0)
    assert got == gradstep.Step(np.array([0.5]), 0.5)  # residual -1/2 in either row, and their mean
    got = gradstep.gradient_step(X, y, [0.0], 0.0, 1.0, reduction="sum")
    assert got == gradstep.Step(np.array([1.0]), 1.0)
    assert got._fields == ("weights", "bias")


@both_dtypes
def test_inputs_are_not_changed(dtype: Any) -> None:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(20, 3)).astype(dtype), random.random(20).astype(dtype)
    weights, weight = random.normal(size=3).astype(dtype), random.random(20).astype(dtype)
    before = [values.tobytes() for values in (X, y, weights, weight)]
    got = gradstep.gradient_step(X, y, weights, 0.5, 0.1, sample_weight=weight)
    assert [values.tobytes() for values in (X, y, weights, weight)] == before
    assert not np.shares_memory(got.weights, weights)
    got.weights[:] = 0  # writing to the result must change no argument
    for values in (X, y, weights, weight):
        values.flags.writeable = False
    gradstep.gradient_step(X, y, weights, 0.5, 0.1, sample_weight=weight)


@both_dtypes
@settings(max_examples=cases(300))
@given(data=st.data())
def test_loss_falls_as_it_must(dtype: Any, data: st.DataObject) -> None:
    """For α ≤ 1/L a step lowers the loss by α/2·‖∇E‖² at least, where L is the largest curvature of E."""
    problem = data.draw(problems(dtype, tame=True))
    weight = data.draw(st.none() | sample_weights(len(problem.y), dtype))
    a = data.draw(st.sampled_from([1.0, 0.5, 0.1])) / oracle.lipschitz(problem.X, weight)
    after = gradstep.gradient_step(*problem, a, sample_weight=weight)
    grad = oracle.gradient(*problem, weight)
    descent = a / 2 * (grad.weights @ grad.weights + grad.bias**2)

    before = gradstep.loss(*problem, sample_weight=weight)
    now = gradstep.loss(problem.X, problem.y, *after, sample_weight=weight)
    # The exact step descends by `descent`; the computed one is off by δ, which moves E by at most ‖∇E‖·‖δ‖ + L/2·‖δ‖²
    # with ‖∇E‖ after the step no larger than before. Both losses are within their bounds.
    eps = float(np.finfo(dtype).eps)
    near = tolerance(problem, dtype, weight)
    delta_w = a * (near.weights + 3 * eps * np.abs(grad.weights)) + shift(a * grad.weights, problem.weights, dtype)
    delta_b = a * (near.bias + 3 * eps * abs(grad.bias)) + float(shift(a * grad.bias, problem.bias, dtype))
    delta = np.hypot(np.linalg.norm(delta_w), delta_b)
    slope = np.hypot(np.linalg.norm(grad.weights), grad.bias)
    room = slope * delta + delta**2 / (2 * a)
    stepped = Problem(problem.X, problem.y, after.weights, after.bias)
    room += near.loss + tolerance(stepped, dtype, weight).loss
    assert now <= before - descent + room
