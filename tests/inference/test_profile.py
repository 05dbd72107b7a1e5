"""Profile intervals against bisection of the profile, each point of which is a fit of its own by Newton's method."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import scipy.special

import gradstep
from gradstep.inference import infer
from helpers.inferences import inferred, table

T = table()

Array = npt.NDArray[Any]


def likelihood(scores: Array, y: Array) -> tuple[float, Array, Array]:
    """The log-likelihood by the textbook, with its derivatives by the scores of all classes but the first, whose score
    is 0."""
    z = np.column_stack([np.zeros(len(y)), scores])
    logarithms = z - np.logaddexp.reduce(z, axis=1)[:, None]
    p = np.exp(logarithms)
    targets = np.eye(z.shape[1])[y.astype(int)]
    curvature = p[:, 1:, None] * (np.eye(scores.shape[1]) - p[:, None, 1:])
    return float((targets * logarithms).sum()), (targets - p)[:, 1:], curvature


def largest(points: Array, y: Array, classes: int, fixed: int | None = None, value: float = 0.0) -> tuple[float, Array]:
    """The largest log-likelihood with one coefficient fixed, and its place; by damped Newton steps over the others."""
    free = [at for at in range(classes * points.shape[1]) if at != fixed]
    v = np.zeros(classes * points.shape[1])
    if fixed is not None:
        v[fixed] = value
    now, r, c = likelihood(points @ v.reshape(classes, -1).T, y)
    for _ in range(100):
        g = (r.T @ points).ravel()[free]
        H = np.einsum("ia,ikl,ib->kalb", points, c, points).reshape(len(v), -1)[np.ix_(free, free)]
        step = np.linalg.solve(H, g)
        while True:
            trial = v.copy()
            trial[free] += step
            then, r, c = likelihood(points @ trial.reshape(classes, -1).T, y)
            if then >= now - 1e-12 * abs(now):
                break
            step = step / 2
        now, v = then, trial
        if g @ step < 1e-22:
            break
    return now, v


def bisected(points: Array, y: Array, classes: int, level: float) -> Array:
    """Both ends of every interval."""
    top, best = largest(points, y, classes)
    drop = NormalDist().inv_cdf((1 + level) / 2) ** 2 / 2
    ends = np.empty((len(best), 2))
    for at, estimate in enumerate(best):
        for side, sign in enumerate((-1, 1)):
            near, far = 0.0, abs(estimate) + 1.0
            while top - largest(points, y, classes, at, estimate + sign * far)[0] < drop:
                far *= 2
            while far - near > 1e-13 * (abs(estimate) + far):
                middle = (near + far) / 2
                inside = top - largest(points, y, classes, at, estimate + sign * middle)[0] < drop
                near, far = (middle, far) if inside else (near, middle)
            ends[at, side] = estimate + sign * (near + far) / 2
    return ends


# The columns in similar units: the oracle solves their normal equations without scaling.
X = T.X * [1, 1 / 300, 300] - [0, 2, 1]

# But for two rows, these labels would be separated: so the interval is far from symmetric.
NEARLY = np.linspace(-3, 3, 30)
ALMOST = (NEARLY > 0) ^ np.isin(np.arange(30), (14, 15))

# Columns of long tails: predictions of most rows are certain long before the end of the interval.
HARD = {
    "exponential": np.exp(NEARLY),
    "more of it": np.exp(3 * NEARLY),
    "cubes": NEARLY**3,
}


@pytest.mark.parametrize(
    ("points", "y", "classes", "level"),
    [
        pytest.param(X, T.y, 1, 0.95, id="two classes"),
        pytest.param(X, T.y, 1, 0.5, id="narrow"),
        pytest.param(X, T.y, 1, 1 - 1e-9, id="wide"),
        pytest.param(X[:, :1], T.classes, 2, 0.95, id="three classes"),
        pytest.param(NEARLY[:, None], ALMOST.astype(float), 1, 0.99, id="nearly separated"),
    ],
)
def test_ends_are_those_of_bisection(points: Array, y: Array, classes: int, level: float) -> None:
    """Ends agree to 1e-8 of the width: the oracle's likelihood has an error of 1e-14 of 100, and the root of the
    deviance one of 1e-12."""
    want = bisected(np.column_stack([points, np.ones(len(y))]), y, classes, level)
    found = inferred(points, y)
    got = found.confidence_intervals(level, method="profile")
    assert (np.abs(got - want) <= 1e-8 * np.diff(want)).all(), (got, want)
    assert (got[:, 0] < found.estimates).all() and (found.estimates < got[:, 1]).all()


@pytest.mark.parametrize("level", [0.3, 0.95, 0.999, 1 - 1e-9])
@pytest.mark.parametrize("column", HARD)
def test_ends_of_hard_columns(column: str, level: float) -> None:
    """One of two coefficients is fixed at the end of its interval. The other is where its slope, which falls, is 0."""
    x, y = HARD[column], ALMOST.astype(float)
    found = inferred(x[:, None], y)

    def profile(fixed: int, value: float) -> float:
        def score(free: float) -> Array:
            return x * value + free if fixed == 0 else x * free + value

        def slope(free: float) -> float:
            return float(((y - scipy.special.expit(score(free))) * (1 if fixed == 0 else x)).sum())

        z = score(scipy.optimize.brentq(slope, -1e5, 1e5, xtol=1e-300, rtol=1e-15, maxiter=2000))
        return float((y * z - np.logaddexp(0, z)).sum())

    wanted = NormalDist().inv_cdf((1 + level) / 2) ** 2
    for fixed, (low, high) in enumerate(found.confidence_intervals(level, method="profile")):
        near = 1e-8 * (high - low)
        for value, outwards in ((low, -near), (high, near)):
            inside, outside = profile(fixed, value - outwards), profile(fixed, value + outwards)
            assert 2 * (found.log_likelihood - inside) < wanted < 2 * (found.log_likelihood - outside)


@pytest.mark.parametrize("seed", [22, 45, 51, 54, 55, 59])
def test_columns_of_long_tails(seed: int) -> None:
    """Here Newton's method may take a point far from the profile for one near it. All ends are found all the same."""
    rng = np.random.default_rng(seed)
    points = np.exp(2 * rng.normal(size=(25, 2)))
    y = rng.random(25) < gradstep.sigmoid(points @ [1, -1])
    found = inferred(points, y)
    ends = found.confidence_intervals(method="profile")
    assert (ends[:, 0] < found.estimates).all() and (found.estimates < ends[:, 1]).all()
    # Zero is inside the 95 % interval of a column exactly if its likelihood-ratio test does not reject at 5 %.
    for column, (low, high) in enumerate(ends[:2]):
        assert (found.drop(column).p > 0.05) == (low < 0 < high)


def test_they_hold_what_the_likelihood_ratio_test_does_not_reject() -> None:
    """An interval ends at zero where its level is 1 minus the p of dropping the column."""
    found = inferred(T.X, T.y)
    for column in range(3):
        ends = found.confidence_intervals(1 - found.drop(column).p, method="profile", columns=[column])[0]
        assert min(abs(ends)) <= 1e-8 * (ends[1] - ends[0])


def test_an_end_that_is_not_found_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = inferred(T.X, T.y)
    monkeypatch.setattr("gradstep._likelihood.MOST_STEPS", 1)
    with pytest.warns(UserWarning, match=r"^the profile interval of coefficient 2 has an end that was") as caught:
        ends = found.confidence_intervals(method="profile", columns=[2])
    assert np.isnan(ends).all() and caught[0].filename == __file__


def test_of_many_rows_they_are_walds() -> None:
    """The profile's third derivative changes the ends by about one part in the root of the number of rows."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200_000, 2))
    y = rng.random(200_000) < gradstep.sigmoid(points @ [0.5, -1.0] + 0.25)
    found = infer(gradstep.fit(points, y), points, y)
    wald, profile = found.confidence_intervals(), found.confidence_intervals(method="profile")
    assert (np.abs(profile - wald) <= 5e-3 * np.diff(wald)).all()
    assert (profile != wald).all()


def test_far_columns_keep_their_digits() -> None:
    near = inferred(T.X[:, :1], T.y).confidence_intervals(method="profile")[0]
    far = T.X[:, :1] + 5e5 * T.X[:, 0].std()
    ends = infer(gradstep.fit(far, T.y), far, T.y).confidence_intervals(method="profile")[0]
    # The shifted columns are rounded, to 5e5 eps, 1e-10, of their deviation.
    np.testing.assert_allclose(ends, near, rtol=1e-8)


@pytest.mark.parametrize("firth", [False, True])
@pytest.mark.parametrize("level", [1e-300, 1e-12, 1e-6, 1e-3])
def test_ends_of_tiny_levels(level: float, firth: bool) -> None:
    """The ends are those of the quadratic expansion at the maximum: the third derivative changes them by their distance
    in standard errors, which is tiny. Firth's second derivative is within a tenth of the information for 120 rows."""
    found = infer(gradstep.fit(X, T.y, firth=firth), X, T.y)
    low, high = found.confidence_intervals(level, method="profile").T
    away = NormalDist().inv_cdf((1 + level) / 2) * found.standard_errors
    near = (0.1 * firth + 1e-4) * away + away**2 / found.standard_errors + 1e-15 * np.abs(found.estimates)
    assert (np.abs(low - (found.estimates - away)) <= near).all()
    assert (np.abs(high - (found.estimates + away)) <= near).all()


@pytest.mark.parametrize("level", [1 - 1e-6, 1 - 1e-9, 1 - 1e-12, 1 - 2**-52])
@pytest.mark.parametrize("column", HARD)
@pytest.mark.parametrize("firth", [False, True])
def test_levels_that_are_nearly_one(level: float, column: str, firth: bool) -> None:
    """Both ends are found, and lie outside the interval of a level that is twice as far from 1."""
    x, y = HARD[column][:, None], ALMOST.astype(float)
    found = infer(gradstep.fit(x, y, firth=firth), x, y)
    inner, outer = (found.confidence_intervals(each, method="profile") for each in (1 - 2 * (1 - level), level))
    assert (outer[:, 0] < inner[:, 0]).all() and (inner[:, 1] < outer[:, 1]).all()


def test_one_column_may_be_named_alone() -> None:
    found = inferred(X, T.y)
    for column in (1, "x1", np.int64(1)):
        np.testing.assert_array_equal(found.confidence_intervals(columns=column), found.confidence_intervals()[[1]])


def test_labels_that_are_all_equal_have_no_r2() -> None:
    found = infer(gradstep.fit([[0.0], [1.0]], [1, 1], firth=True), [[0.0], [1.0]], [1, 1])
    assert found.null_log_likelihood == 0 and np.isnan(found.mcfadden_r2) and np.isfinite(found.z).all()
