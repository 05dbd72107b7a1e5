"""sigmoid, sigmoid_derivative and log_sigmoid, element by element, and cross_entropy."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gradstep
from helpers import exact, oracle
from helpers.layouts import layouts
from helpers.problems import both_dtypes, cases
from helpers.results import bits

Array = npt.NDArray[Any]

FUNCTIONS: list[tuple[Callable[..., Any], Callable[[float], Any]]] = [
    (gradstep.sigmoid, exact.sigmoid),
    (gradstep.sigmoid_derivative, exact.sigmoid_derivative),
    (gradstep.log_sigmoid, exact.log_sigmoid),
]
WIDTHS: dict[Any, Literal[32, 64]] = {np.float32: 32, np.float64: 64}
each_function = pytest.mark.parametrize(("function", "truth"), FUNCTIONS, ids=[f.__name__ for f, _ in FUNCTIONS])

# Where the functions change their character, in float64 and in float32: the last nonzero sigmoid, the overflow of
# 1 + exp(-z) in a naive formula, the last normal sigmoid, the first sigmoid that rounds to 1, the first that a naive
# formula rounds to 1, and where 1 + e^-z still differs from 1.
LANDMARKS = [745.1332191019411, 745.1332191019412, 709.78, 708.40, 708.3964185322641, 37.43, 37.42994775023705, 36.74]
LANDMARKS += [103.97207641601562, 103.97208404541016, 103.97, 88.72, 87.34, 87.33654022216797, 17.33, 17.32868003845215]
LANDMARKS += [14.55609130859375, 33.27106466687738, 0.6931471805599453, 0.00034526700619608164, 1.49e-8, 1e3, 1e30]
TINY = [5e-324, 1e-323, 2.2250738585072009e-308, 2.2250738585072014e-308, 1e-45, 1e-40, 1.1754943e-38, 1e-17, 6e-8]


def points(dtype: Any) -> Array:
    """Signed zeros, infinities, NaN, subnormals, the largest number, and every landmark with its four neighbours."""
    largest = float(np.finfo(dtype).max)
    some = [0.0, np.inf, np.nan, largest, 0.5, 1.0, 2.0, 20.0, *LANDMARKS, *TINY]
    with np.errstate(over="ignore", under="ignore"):
        z = np.array(some, dtype=np.float64).astype(dtype)
        near = [z]
        for towards in (-np.inf, np.inf):
            one = np.nextafter(z, dtype(towards))
            near += [one, np.nextafter(one, dtype(towards))]
    z = np.concatenate(near)
    return np.concatenate([z, -z])


def neighbours(start: float, count: int, dtype: Any) -> Array:
    """`count` consecutive floating-point numbers, from `start` on and away from zero."""
    integer = np.int64 if dtype is np.float64 else np.int32
    first: Array = np.array([start], dtype=dtype).view(integer)
    return np.asarray((first + np.arange(count, dtype=integer)).view(dtype))


def number(text: str) -> float:
    return float.fromhex(text) if "0x" in text else float(text)


# --- accuracy: at most one spacing from the correctly rounded value ---------------------------------------------------


@each_function
@both_dtypes
def test_fixed_points(function: Callable[..., Any], truth: Any, dtype: Any, measured: Callable[[str], None]) -> None:
    z = points(dtype)
    got, want = function(z), exact.rounded(truth, z, dtype)
    distance = exact.ulps(got, want)
    worst = int(np.argmax(distance))
    measured(f"{function.__name__} {np.dtype(dtype)}: {distance.max():.0f} ULP at most over {len(z)} fixed points")
    assert got.dtype == dtype
    assert distance.max() <= 1, f"{function.__name__}({z[worst]!r}) = {got[worst]!r}, correctly rounded {want[worst]!r}"


@both_dtypes
def test_values_known_by_heart(dtype: Any) -> None:
    z = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], dtype=dtype)
    np.testing.assert_array_equal(gradstep.sigmoid(z), [0.0, 0.5, 0.5, 1.0, np.nan])
    np.testing.assert_array_equal(gradstep.sigmoid_derivative(z), [0.0, 0.25, 0.25, 0.0, np.nan])
    half = dtype(-0.6931471805599453)
    np.testing.assert_array_equal(gradstep.log_sigmoid(z), [-np.inf, half, half, 0.0, np.nan])


@each_function
@both_dtypes
def test_any_float(function: Callable[..., Any], truth: Any, dtype: Any, count_case: Callable[[], None]) -> None:
    width = WIDTHS[dtype]
    floats = st.floats(width=width) | st.floats(-800, 800, width=width) | st.floats(-40, 40, width=width)

    @settings(max_examples=cases(250))
    @given(st.lists(floats, min_size=1, max_size=20))
    def check(values: list[float]) -> None:
        count_case()
        z = np.array(values, dtype=dtype)
        assert exact.ulps(function(z), exact.rounded(truth, z, dtype)).max() <= 1

    check()


@both_dtypes
def test_function_tables(dtype: Any, data_folder: Path, measured: Callable[[str], None]) -> None:
    """3000 points each, correctly rounded from hundreds of digits."""
    name = "f64" if dtype is np.float64 else "f32"
    with open(data_folder / "functions" / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    z = np.array([number(row["x"]) for row in rows], dtype=dtype)
    assert len(z) == 3000
    for function, column in [
        (gradstep.sigmoid, "sigmoid"),
        (gradstep.sigmoid_derivative, "dsigmoid"),
        (gradstep.log_sigmoid, "log_sigmoid"),
    ]:
        want = np.array([number(row[column]) for row in rows], dtype=dtype)
        distance = exact.ulps(function(z), want)
        worst = int(np.argmax(distance))
        measured(
            f"{function.__name__} {name}.csv: {distance.max():.0f} ULP at most from the correctly rounded value, "
            f"{(distance > 0).mean():.2%} of {len(z)} points not correctly rounded"
        )
        assert distance.max() <= 1, f"{function.__name__}({z[worst]!r}) = {function(z)[worst]!r}, not {want[worst]!r}"


@both_dtypes
def test_breakpoints(dtype: Any, data_folder: Path) -> None:
    """Where each function saturates: at most one spacing off there and at the neighbour before; exact where it is 0."""
    name = "f64" if dtype is np.float64 else "f32"
    lines = (data_folder / "functions" / f"breakpoints_{name}.txt").read_text().split("\n")
    at = {line.split()[0]: dtype(number(line.split()[2])) for line in lines if line.strip()}
    below, above = dtype(-np.inf), dtype(np.inf)
    normal = np.finfo(dtype).smallest_normal

    # One ULP may move a breakpoint between rounded values, but never one between zero and nonzero by more than
    # the one neighbour whose value is half a subnormal; nor may 1 be exceeded or a half be undercut for z ≥ 0.
    assert gradstep.sigmoid(at["sigmoid_becomes_1"]) >= 1 - np.finfo(dtype).epsneg
    assert gradstep.sigmoid(dtype(40)) == 1
    assert gradstep.sigmoid(np.nextafter(at["sigmoid_becomes_1"], below)) >= 1 - 2 * np.finfo(dtype).epsneg
    assert gradstep.sigmoid(np.nextafter(at["sigmoid_leaves_0"], above)) > 0
    assert gradstep.sigmoid(np.nextafter(at["sigmoid_leaves_0"], below) - dtype(1)) == 0
    assert gradstep.sigmoid(at["sigmoid_normal"]) >= normal - np.finfo(dtype).smallest_subnormal
    assert gradstep.sigmoid(at["sigmoid_above_half"]) >= 0.5
    assert gradstep.sigmoid(at["sigmoid_reaches_half"]) <= 0.5
    assert gradstep.sigmoid_derivative(np.nextafter(at["dsigmoid_becomes_0"], above) + dtype(1)) == 0
    assert gradstep.log_sigmoid(np.nextafter(at["logsig_becomes_0"], above) + dtype(1)) == 0
    for function, truth in FUNCTIONS:
        for point in at.values():
            z = np.array([np.nextafter(point, below), point, np.nextafter(point, above)], dtype=dtype)
            assert exact.ulps(function(z), exact.rounded(truth, z, dtype)).max() <= 1


# --- order and symmetry -----------------------------------------------------------------------------------------------


def assert_monotone(z: Array) -> None:
    """σ never falls as z grows, not by a single bit."""
    z = z[~np.isnan(z)]
    z = z[np.argsort(z, kind="stable")]
    value = gradstep.sigmoid(z)
    assert (value[1:] >= value[:-1]).all()


@both_dtypes
def test_monotone_over_the_range(dtype: Any) -> None:
    random = np.random.default_rng(1)
    assert_monotone(points(dtype))
    for scale in (1e-8, 0.1, 1.0, 10.0, 300.0):
        assert_monotone(random.normal(scale=scale, size=20_000).astype(dtype))


@both_dtypes
def test_monotone_between_neighbours(dtype: Any) -> None:
    starts = [0.0, *LANDMARKS, *np.random.default_rng(2).uniform(0, 45, size=30)]
    for start in starts:
        for sign in (1.0, -1.0):
            assert_monotone(neighbours(sign * start, 1500, dtype))


@both_dtypes
def test_range_and_symmetry(dtype: Any, count_case: Callable[[], None]) -> None:
    width = WIDTHS[dtype]
    eps = np.finfo(dtype).eps

    @settings(max_examples=cases(300))
    @given(st.lists(st.floats(width=width, allow_nan=False) | st.floats(-50, 50, width=width), min_size=1, max_size=20))
    def check(values: list[float]) -> None:
        count_case()
        z = np.array(values, dtype=dtype)
        up, down = gradstep.sigmoid(z), gradstep.sigmoid(-z)
        assert ((up >= 0) & (up <= 1)).all()
        # σ(z) + σ(-z) = 1: each within one ULP of the rounded value, so 1.5 ULP of the true one, and the larger of
        # them has a spacing of at most eps/2.
        assert (np.abs((up.astype(np.longdouble) + down) - 1) <= 1.5 * eps).all()
        slope = gradstep.sigmoid_derivative(z)
        assert ((slope >= 0) & (slope <= 0.25)).all()
        # Both results are within one spacing of the same correctly rounded value.
        assert (np.abs(slope - gradstep.sigmoid_derivative(-z)) <= 2 * np.spacing(slope)).all()
        log = gradstep.log_sigmoid(z)
        assert (log <= 0).all()
        # ln σ(-z) = ln σ(z) - z for finite z. Each logarithm is within 1.5 ULP of its true value.
        finite = np.isfinite(z)
        a, b, c = log[finite].astype(np.longdouble), gradstep.log_sigmoid(-z)[finite].astype(np.longdouble), z[finite]
        room = 1.5 * (exact.spacing(a.astype(dtype)) + exact.spacing(b.astype(dtype)))
        long = float(np.finfo(np.longdouble).eps)  # the rounding of the two subtractions below
        assert (np.abs(b - (a - c)) <= room + 2 * long * np.abs(c)).all()

    check()


# --- what goes in and what comes out ----------------------------------------------------------------------------------


@each_function
@both_dtypes
def test_no_warning(function: Callable[..., Any], truth: Any, dtype: Any) -> None:
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        function(points(dtype))
        for z in points(dtype)[:8]:
            function(z)


@each_function
def test_types(function: Callable[..., Any], truth: Any) -> None:
    for z in (0.5, 1, True, np.float64(0.5), np.int8(1), np.float16(0.5), np.longdouble(0.5), np.uint64(3)):
        got = function(z)
        assert type(got) is np.float64
        assert got == function(np.array([z], dtype=np.float64))[0]
    assert type(function(np.float32(0.5))) is np.float32
    assert np.ndim(function(np.array(0.5))) == 0
    assert function([0.5, -0.5]).dtype == np.float64
    assert function(np.array([1, 2], np.uint8)).dtype == np.float64
    assert function(np.array([1, 2], np.float16)).dtype == np.float64
    assert function(np.array([1, 2], np.float32)).dtype == np.float32
    np.testing.assert_array_equal(function([[1, 0], [2, 3]]), function(np.array([[1.0, 0.0], [2.0, 3.0]])))
    np.testing.assert_array_equal(function(np.array([0, 3, 255], np.uint8).view(bool)), function([0.0, 1.0, 1.0]))


@each_function
@both_dtypes
@pytest.mark.parametrize("shape", [(0,), (3, 0), (1,), (7,), (8,), (17,), (33,), (2, 3, 5), (1, 1, 1, 1), (40_000,)])
def test_shapes(function: Callable[..., Any], truth: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    z = np.random.default_rng(3).normal(scale=20, size=shape).astype(dtype)
    got = function(z)
    assert got.shape == shape
    assert got.dtype == dtype
    # The result for an element does not depend on its place in the array.
    one_by_one = np.array([function(value) for value in z.ravel()[-200:]], dtype=dtype)
    np.testing.assert_array_equal(got.ravel()[-200:], one_by_one)


@each_function
@both_dtypes
def test_layouts(function: Callable[..., Any], truth: Any, dtype: Any, tmp_path: Path) -> None:
    z = np.random.default_rng(4).normal(scale=20, size=(37, 5)).astype(dtype)
    want = bits(function(z))
    for name, view in layouts(z, tmp_path):
        before = view.tobytes()
        assert bits(np.ascontiguousarray(function(view))) == want, name
        assert view.tobytes() == before, name


@each_function
@both_dtypes
def test_out(function: Callable[..., Any], truth: Any, dtype: Any) -> None:
    z = np.random.default_rng(5).normal(scale=20, size=(41, 3)).astype(dtype)
    want = function(z)

    out = np.full_like(z, np.nan)
    assert function(z, out=out) is out
    np.testing.assert_array_equal(out, want)

    out = np.full((3, 41), np.nan, dtype).T
    assert function(z, out=out) is out
    np.testing.assert_array_equal(out, want)

    wide = np.full((82, 6), 7, dtype)
    assert function(z, out=wide[::-2, 1::2]) is not None
    np.testing.assert_array_equal(wide[::-2, 1::2], want)
    assert (wide[::2] == 7).all() and (wide[:, ::2] == 7).all()

    assert function(z.tolist(), out=np.empty(z.shape)).dtype == np.float64


@each_function
@both_dtypes
def test_out_overlapping_the_input(function: Callable[..., Any], truth: Any, dtype: Any) -> None:
    line = np.random.default_rng(6).normal(scale=20, size=1001).astype(dtype)

    same = line.copy()
    assert function(same, out=same) is same
    np.testing.assert_array_equal(same, function(line))

    for source, target in [
        (slice(0, -1), slice(1, None)),
        (slice(1, None), slice(0, -1)),
        (slice(None), slice(None, None, -1)),
        (slice(0, 500), slice(0, 1000, 2)),
    ]:
        shared = line.copy()
        function(shared[source], out=shared[target])
        np.testing.assert_array_equal(shared[target], function(line[source]))


@each_function
@both_dtypes
def test_large_arrays(function: Callable[..., Any], truth: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of more than one block of work have the same bits with any number of threads, in a new array, in `out`,
    and in place."""
    line = np.random.default_rng(8).normal(scale=20, size=100_003).astype(dtype)
    want = bits(np.concatenate([function(part) for part in np.array_split(line, 50)]))
    for n_threads in (1, 2, 3, 8):
        monkeypatch.setenv("GRADSTEP_NUM_THREADS", str(n_threads))
        assert bits(function(line)) == want
        out = np.full_like(line, np.nan)
        assert bits(function(line, out=out)) == want
        shared = line.copy()
        assert bits(function(shared, out=shared)) == want
        for source, target in ((slice(0, -7), slice(7, None)), (slice(7, None), slice(0, -7))):
            shared = line.copy()
            assert bits(function(shared[source], out=shared[target])) == bits(function(line[source]))


@each_function
@both_dtypes
def test_out_misaligned(function: Callable[..., Any], truth: Any, dtype: Any) -> None:
    z = np.random.default_rng(9).normal(scale=20, size=33).astype(dtype)
    out: Array = np.zeros(z.nbytes + 1, np.uint8)[1:].view(dtype)
    assert function(z, out=out) is out
    assert bits(out.copy()) == bits(function(z))
    out[...] = z
    assert bits(function(out)) == bits(function(z))


# --- cross_entropy ----------------------------------------------------------------------------------------------------


@both_dtypes
def test_cross_entropy_matches_oracle(dtype: Any, count_case: Callable[[], None]) -> None:
    eps = float(np.finfo(dtype).eps)

    @settings(max_examples=cases(500))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        count_case()
        m = data.draw(st.integers(1, 35))
        raw = np.frombuffer(data.draw(st.binary(min_size=2 * m, max_size=2 * m)), np.uint8)
        probabilities = np.concatenate([[0.0, 1.0, 0.5, 1e-30, 1 - 1e-6], np.random.default_rng(7).random(251)])
        y_hat = probabilities[raw[:m]].astype(dtype)
        y = (raw[m:] / 255.0 if data.draw(st.booleans()) else raw[m:] % 2).astype(dtype)
        weight = data.draw(st.none() | st.integers(0, 2**32).map(lambda s: np.random.default_rng(s).random(m) + 0.25))
        got = gradstep.cross_entropy(y, y_hat, sample_weight=weight)
        want = oracle.cross_entropy(y, y_hat, weight)
        # Every E_i is a sum of two terms ≥ 0, each from 1 - y or 1 - ŷ (exact in float64, one rounding in float32,
        # whose effect on ln(1 - ŷ) is eps·1/(1 - ŷ)·(1 - ŷ)), a logarithm of ≤ 2 ULP and a product: 6·eps each;
        # the mean adds (m + 3)·eps. ln(1 - ŷ) near ŷ = 0 loses eps64/2 absolutely in the oracle's 1 - ŷ.
        assert got == want or abs(got - want) <= (m + 9) * eps * want + np.finfo(np.float64).eps
        assert type(got) is float

    check()


def test_cross_entropy_at_certainty() -> None:
    with np.errstate(all="raise"):
        assert gradstep.cross_entropy([0, 1], [0.0, 1.0]) == 0.0  # 0 · ln 0 = 0
        assert gradstep.cross_entropy([1, 1], [0.0, 1.0]) == np.inf  # certain and wrong, not clipped
        assert gradstep.cross_entropy([0, 1], [1.0, 1.0]) == np.inf
        assert gradstep.cross_entropy([0.5], [1.0]) == np.inf
        tiny = gradstep.cross_entropy([1.0], [5e-324])
        assert abs(tiny - 744.4400719213812) <= 2 * np.spacing(744.4400719213812)  # 1074 ln 2
        small = gradstep.cross_entropy([0.0], [1e-20])
        assert abs(small - 1e-20) <= 4 * np.spacing(1e-20)  # log1p(-ŷ): 1 - ŷ would round to 1


@example(m=3)
@given(m=st.integers(1, 50))
@settings(max_examples=cases(50))
def test_cross_entropy_weighs_like_repeated_rows(m: int) -> None:
    random = np.random.default_rng(m)
    y, y_hat, times = random.integers(0, 2, m), random.uniform(0.01, 0.99, m), random.integers(0, 4, m)
    times[0] = 1
    got = gradstep.cross_entropy(y, y_hat, sample_weight=times)
    want = gradstep.cross_entropy(np.repeat(y, times), np.repeat(y_hat, times))
    # Both are means of the same terms ≥ 0, with as many roundings as there are rows in each.
    assert abs(got - want) <= (m + times.sum() + 6) * np.finfo(np.float64).eps / 2 * want
