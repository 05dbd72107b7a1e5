"""Fits with whole sample weights, offsets, bounds and an elastic net, and paths, against R's glmnet.

The figures of `FITS` are those of glmnet 4.1-6 in R 4.2.2, without further options of `glmnet.control`, from

    glmnet(X, cbind(1 - y, y), family = "binomial", weights = s, offset = offset, alpha = alpha, lambda = strength,
           intercept = fit_bias, standardize = FALSE, penalty.factor = factors, lower.limits = lower,
           upper.limits = upper, thresh = 1e-20, maxit = 1e7)

Its penalty of the mean error is lambda Σ f_j (alpha |w_j| + (1 - alpha) w_j² / 2), with factors f_j whose sum it makes
the number of columns (Friedman, Hastie and Tibshirani, 2010, doi:10.18637/jss.v033.i01).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gradstep
from helpers.problems import Array

NEAR = 1e-8
"""The tolerance for weights and parts of the deviance. glmnet ends once no update of a weight lowers the objective by
more than 1e-20 of the null deviance. Updates are below 1e-10 then; where they shrink slowly, weights are off by some
1e-9. Ten digits are written down."""

FITS = [
    (0.25, 1.0, True, -0.8582706646, [0, 0.0316482781, -0.1627903586]),
    (0.125, 0.5, True, -0.4955459985, [-0.125, -0.0628793425, -0.2408108476, 0.3559683625, 0]),
    (0.25, 0.25, True, 0.4785089333, [-0.25, -0.125, 0, 0.1607662496, 0.0279696171, 0, 0.0118118853]),
    (0.0625, 0.75, False, 0, [0, -0.0602376716, 0.125, 0.3500576239, 0.0382118391, 0.0404276116, -0.1190318079,
     -0.2751010882, -0.1556748899]),
    (0.03125, 0.9, True, -0.6179538347, [0, 0, 0.25, 0, -0.0024923431, -0.2637955774, 0, 0, 0.25, 0.4254612815,
     0.043701451]),
    (0.125, 0.5, True, -1.7877174584, [0, -0.340977842, -0.2956743205, 0.25, 0, 0, 0, 0.001882266, 0.1429782888,
     1.078841044, 0, 0, -0.25]),
    (0.015625, 1.0, True, -0.2146504823, [0, -0.9993572082, 0, -0.3484462575, 0, -0.9410701962, -0.1605955051,
     1.2309010497, 0.25, -0.25, 0.125, 0.8843179788, 0, 0.7230578876, 0.1179484163]),
    (0.25, 0.1, True, 0.2625874836, [0.0016006439, 0, -0.125, 0, -0.25, -0.2166339663, -0.1893726365, 0.0903742931,
     0.125, 0.5476529602, -0.1880481161, -0.3629013207, -0.125, 0.0765320472, 0, 0, 0.1699825365]),
    (0.0625, 0.5, False, 0, [-0.3513799781, 0.0420226263, -0.2226856891, -0.0995913623, 0.2129657263, 0, 0,
     0.1658077961, 0.2001016391, 0.25, 0, 0, 0.25, 0, -0.1087600315, -0.0932731873, -0.1872499988, 0.1941551913, 0]),
    (0.125, 0.8, True, -0.2949605947, [0, 0.3793125223, 0, -0.0310425405, -0.0178008923, 0, -0.25, 0, -0.1383978913,
     0, 0, 0, -0.0881241543, 0.2352030475, -0.0706965461, 0, 0, 0.2255067855, 0.3595410502, 0, 0.0252877151]),
]  # fmt: skip
"""For each table: lambda, alpha, whether there is a bias, bias, weights."""


class Table(NamedTuple):
    """Whole numbers and simple fractions: exact, and small enough to be looked at."""

    X: Array
    y: Array
    s: Array
    offset: Array
    factors: Array
    lower: Array
    upper: Array


def table(number: int) -> Table:
    """One of ten tables, of 12 to 60 rows and 3 to 21 columns; the last two have labels between 0 and 1."""
    random = np.random.RandomState(number)  # NumPy guarantees the numbers of this generator

    def whole(low: int, high: int, *shape: int) -> Array:
        return random.randint(low, high + 1, shape, dtype=np.int64)

    m, n = 12 + 12 * (number % 5), 3 + 2 * number
    X = whole(-4, 4, m, n)
    X[:, 1] += X[:, 0]
    z = X @ whole(-2, 2, n) + whole(-9, 9, m)
    y = np.where(z > 0, 1.0, 0.0) if number < 8 else (np.clip(z // 8, -2, 2) + 2) / 4
    return Table(
        X=X.astype(float),
        y=y,
        s=whole(0, 3, m).astype(float),
        offset=whole(-4, 4, m) / 4,
        factors=whole(0, 4, n) / 2,
        lower=np.where(whole(0, 1, n) == 0, -np.inf, -whole(0, 2, n) / 8),
        upper=np.where(whole(0, 1, n) == 0, np.inf, whole(0, 2, n) / 8),
    )


@pytest.mark.parametrize("number", range(10))
def test_fits_are_those_of_glmnet(number: int) -> None:
    X, y, s, offset, factors, lower, upper = table(number)
    strength, alpha, fit_bias, bias, figures = FITS[number]
    best = gradstep.fit(
        X,
        y,
        l1=alpha * strength,
        l2=(1 - alpha) * strength,
        penalty_factors=factors * len(factors) / factors.sum(),
        sample_weight=s,
        offset=offset,
        lower=lower,
        upper=upper,
        fit_bias=fit_bias,
        gap_tol=1e-15,
    )
    want = np.array(figures)
    assert best.converged
    assert_allclose(np.append(best.weights, best.bias), np.append(want, bias), rtol=0, atol=NEAR)
    # Weights that are 0 or at a bound are so exactly.
    exact = (want == 0) | (want == lower) | (want == upper)
    assert exact.any()
    assert_array_equal(best.weights[exact], want[exact])
    assert best.weights[~exact].all()


PATHS: list[tuple[int, float, dict[str, Any]]] = [
    (
        4,
        1.0,
        {
            "strengths": [0.8539700973, 0.5618552998, 0.3696632692, 0.2432137468, 0.1600184047, 0.105281425,
                          0.0692681474, 0.0455738156, 0.0299845275, 0.0197278168, 0.0129795862, 0.008539701],
            "n_nonzero": [0, 1, 2, 6, 6, 8, 9, 10, 10, 10, 10, 10],
            "deviance_explained": [0, 0.0974968345, 0.1535465348, 0.2714334557, 0.3987367841, 0.4868768874,
                                   0.5629256415, 0.6128325319, 0.6450438803, 0.6669230025, 0.6831340518, 0.6972205788],
            "weights": [0.7544429474, 0.3801098742, 0.4285051302, -0.6219789321, -0.0272548631, -0.9341277103,
                        -0.1234059524, 0.9878186592, 0, 0.7263703144, 0.3734964294],
            "bias": -0.662741945,
        },
    ),
    (
        9,
        0.5,
        {
            "strengths": [1.13171875, 0.7445953666, 0.4898940306, 0.3223175593, 0.2120634312, 0.1395235771,
                          0.091797197, 0.0603964258, 0.0397368152, 0.026144171, 0.0172011187, 0.0113171875],
            "n_nonzero": [0, 2, 5, 8, 9, 15, 18, 19, 21, 21, 21, 21],
            "deviance_explained": [0, 0.1151683366, 0.2473058968, 0.4178709019, 0.566959933, 0.6729743632,
                                   0.7544788572, 0.813366868, 0.8531920184, 0.8800967596, 0.8969415617, 0.9072608503],
            "weights": [0.0136961815, 0.3665338906, -0.1151312199, -0.3190539928, -0.1930574135, 0.2307922358,
                        -0.448271054, 0.038613942, -0.151369898, -0.1021188477, -0.3749699413, 0.1064474654,
                        -0.1138542287, 0.2091797596, -0.2664277788, -0.0798798138, 0.123882703, 0.1653787527,
                        0.4465301834, -0.3714459162, 0.1007273875],
            "bias": -0.5515418677,
        },
    ),
]  # fmt: skip
"""Table, alpha, and lambda, df and dev.ratio of ``glmnet(X, cbind(1 - y, y), family = "binomial", weights = s, alpha =
alpha, nlambda = 12, lambda.min.ratio = 0.01, standardize = FALSE, thresh = 1e-20, maxit = 1e7)``; its last model."""


@pytest.mark.parametrize(("number", "alpha", "want"), PATHS)
def test_paths_are_those_of_glmnet(number: int, alpha: float, want: dict[str, Any]) -> None:
    X, y, s, *_ = table(number)
    path = gradstep.path(X, y, sample_weight=s, l1_ratio=alpha, n=12, ratio=0.01, gap_tol=1e-15)
    assert path.converged.all()
    assert path.n_nonzero.tolist() == want["n_nonzero"]
    for name in ("strengths", "deviance_explained"):
        assert_allclose(getattr(path, name), want[name], rtol=0, atol=NEAR, err_msg=name)
    for name in ("weights", "bias"):
        assert_allclose(getattr(path, name)[-1], want[name], rtol=0, atol=NEAR, err_msg=name)


@pytest.mark.parametrize(
    ("number", "alpha", "fit_bias", "length"),
    [
        (4, 1.0, True, 100),
        (4, 1.0, False, 87),
        (4, 0.5, False, 93),
        (9, 1.0, True, 84),
        (9, 0.5, True, 87),
        (9, 1.0, False, 83),
        (9, 0.5, False, 86),
    ],
)
def test_paths_stop_where_those_of_glmnet_do(number: int, alpha: float, fit_bias: bool, length: int) -> None:
    """The lengths are those of glmnet's paths with ``nlambda = 100, lambda.min.ratio = 1e-4, intercept = fit_bias,
    thresh = 1e-14``."""
    X, y, s, *_ = table(number)
    path = gradstep.path(X, y, sample_weight=s, l1_ratio=alpha, ratio=1e-4, fit_bias=fit_bias)
    assert len(path.strengths) == length
    assert path.stop_reason == ("deviance" if length < 100 else "strengths")
