"""Estimates, errors and tests against statsmodels 0.15.0 (Logit, MNLogit), whose numbers are written here.

statsmodels' parameters were brought to the last digits by a few more steps of Newton's method. "HC1" and "cluster" are
those of its functions cov_white_simple(…, use_correction=True) and cov_cluster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.inferences import inferred, table

T = table()

# Columns in their order, then the bias.
ESTIMATES = [0.6270651645605013, -0.0010253482022787401, -111.73225173579318, 0.544923032094322]
ERRORS = {
    "fisher": [0.3525944883962616, 0.000729296391505093, 65.64138835266431, 0.6373953295155906],
    "HC0": [0.3561625401841896, 0.0007690082013036904, 66.20740223262982, 0.6616558143021173],
    "HC1": [0.36225122978366886, 0.0007821545929336767, 67.33923468523386, 0.672966989455161],
    "cluster": [0.38688711268733267, 0.0006329643137464167, 80.47529432463688, 0.5986028445912062],
}
P = [0.07533300383865672, 0.15974143988085632, 0.08872507583245445, 0.3925945543088296]
INTERVALS = [
    [-0.06400733384349744, 1.3181376629645],
    [-0.0024547428636837454, 0.00040404645912626535],
    [-240.38700880222223, 16.922505330635843],
    [-0.7043488576702758, 1.79419492185892],
]

# Classes 1 and 2 against 0, each with its columns and its bias.
CLASS_ESTIMATES = [
    0.357340132502527, -0.0010733865756192183, 24.465137712040768, 1.0137242617016131,
    0.8819211452097065, -0.000624838721553456, 29.725284425026153, -0.16033098698300974,
]  # fmt: skip
CLASS_ERRORS = {
    "fisher": [
        0.3681229115785533, 0.000752605064082993, 68.32109391379716, 0.6836871834392566,
        0.45823205273722206, 0.000930187570002351, 83.38649991825164, 0.8515271879755701,
    ],
    "HC0": [
        0.38283421747219226, 0.0007370235340250309, 69.38808196555489, 0.6766818163905979,
        0.4322463485784511, 0.0009352485019189471, 86.4480299130431, 0.8536351252097861,
    ],
    "HC1": [
        0.3962710626230112, 0.0007628918358831922, 71.82348838988062, 0.7004322241865673,
        0.4474174774582186, 0.0009680741709011956, 89.48221217398299, 0.8835963002282574,
    ],
    "cluster": [
        0.3949454286351228, 0.0008014955704934555, 46.24622789076325, 0.5768992663277908,
        0.2950408749780559, 0.0010305078386682932, 101.5128183023896, 0.9630764505971376,
    ],
}  # fmt: skip


def of(covariance: str) -> dict[str, Any]:
    return {"covariance": covariance, **({"clusters": T.clusters} if covariance == "cluster" else {})}


def test_the_table_of_coefficients() -> None:
    found = inferred(T.X, T.y)
    np.testing.assert_allclose(found.estimates, ESTIMATES, rtol=1e-10)
    np.testing.assert_allclose(found.z, np.divide(ESTIMATES, ERRORS["fisher"]), rtol=1e-10)
    np.testing.assert_allclose(found.p, P, rtol=1e-10)
    np.testing.assert_allclose(found.confidence_intervals(), INTERVALS, rtol=1e-10)
    np.testing.assert_allclose(found.odds_ratios, np.exp(ESTIMATES), rtol=1e-8)


@pytest.mark.parametrize("covariance", ERRORS)
def test_errors(covariance: str) -> None:
    np.testing.assert_allclose(inferred(T.X, T.y, **of(covariance)).standard_errors, ERRORS[covariance], rtol=1e-10)


@pytest.mark.parametrize("covariance", CLASS_ERRORS)
def test_errors_of_several_classes(covariance: str) -> None:
    found = inferred(T.X, T.classes, **of(covariance))
    np.testing.assert_allclose(found.estimates, CLASS_ESTIMATES, rtol=1e-10)
    np.testing.assert_allclose(found.standard_errors, CLASS_ERRORS[covariance], rtol=1e-10)


@pytest.mark.parametrize(
    ("y", "likelihood", "null", "aic", "bic", "r2"),
    [
        (T.y, -71.4835273628316, -75.66972340838123, 150.9670547256632, 162.11702169679137, 0.05532194194707429),
        (T.classes, -123.49721966408026, -126.36552026887067, 262.9944393281605, 285.2943732704169, 0.0226984433624573),
    ],
)
def test_measures_of_fit(y: Any, likelihood: float, null: float, aic: float, bic: float, r2: float) -> None:
    found = inferred(T.X, y)
    got = [found.log_likelihood, found.null_log_likelihood, found.aic, found.bic, found.mcfadden_r2]
    # statsmodels fits its null model by iterations, which leaves an error of some 1e-10 in r2.
    np.testing.assert_allclose(got, [likelihood, null, aic, bic, r2], rtol=1e-8)
    np.testing.assert_allclose([found.deviance, found.null_deviance], [-2 * likelihood, -2 * null], rtol=1e-8)
    assert found.n_rows == 120


def test_tests_of_columns() -> None:
    found = inferred(T.X, T.y)
    np.testing.assert_allclose(found.wald_test(0, 1), [4.555376356662321, 2, 0.10252094310171936], rtol=1e-10)
    np.testing.assert_allclose(found.drop(1), [2.013020648759692, 1, 0.1559545364419082], rtol=1e-8)


def test_leverage() -> None:
    """The leverages of the first four rows."""
    hat = [0.07963390254139015, 0.03298508565375742, 0.04880256831298026, 0.04108829223530093]
    np.testing.assert_allclose(inferred(T.X, T.y).leverage()[:4], hat, rtol=1e-10)
