"""Published tables of coefficients, errors and tests, to the digits that are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.inferences import inferred
from helpers.reference_sets import read

TABLES = [
    "ucla_admissions", "isl_4_1", "isl_4_2", "isl_4_3", "pima_tr", "menarche", "iris_vv", "spector", "hsb2_multinom",
]  # fmt: skip

# Relative tolerances. R's glm takes standard errors from the weights before its last step, and nnet stops early: their
# errors differ from those at the maximum in the sixth digit, which other tables do not print. The coefficients of nnet
# differ in the fifth digit.
EARLY = {"pima_tr": {"se": 1e-6}, "menarche": {"se": 1e-5}, "hsb2_multinom": {"se": 1e-5, "coef": 5e-5}}


def columns(folder: Path) -> list[str]:
    header = (folder / "data.csv").read_text().partition("\n")[0]
    return [name for name in header.strip().split(",") if name not in ("_weight", "y")]


def agrees(printed: str, value: float, relative: float = 0.0) -> bool:
    """Whether a number is the one that was printed, to half a unit of its last digit."""
    mantissa, _, power = printed.lower().partition("e")
    half = 0.5 * 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return abs(value - float(printed)) <= max(half * (1 + 1e-9), relative * abs(value))


def test_every_published_table_is_listed(data_folder: Path) -> None:
    assert [each["id"] for each in json.loads((data_folder / "published.json").read_text())["tables"]] == TABLES


@pytest.mark.parametrize("name", TABLES)
def test_table(name: str, data_folder: Path) -> None:
    tables = json.loads((data_folder / "published.json").read_text())["tables"]
    published = next(each for each in tables if each["id"] == name)
    folder = data_folder / "sets" / published["set"]
    X, y, weight = read(folder)
    X = X[:, [columns(folder).index(feature) for feature in published["features"]]]
    found = inferred(X, y, sample_weight=weight, names=published["features"])
    position = {coefficient: at for at, coefficient in enumerate(found.names)}
    compared = 0
    for part, values in (("coef", found.estimates), ("se", found.standard_errors)):
        for coefficient, printed in flat(published, part).items():
            value = values[position[coefficient]]
            assert agrees(printed, value, EARLY.get(name, {}).get(part, 0.0)), (part, coefficient, printed, value)
            compared += 1
    for coefficient, exact in flat(published, "exact_se").items():
        np.testing.assert_allclose(found.standard_errors[position[coefficient]], float(exact), rtol=1e-9)
    for part, value in (
        ("residual_deviance", found.deviance),
        ("null_deviance", found.null_deviance),
        ("log_likelihood", found.log_likelihood),
    ):
        if published[part]:
            # For spector, all digits were printed of a likelihood that Newton's method had reached only to 1e-6.
            assert agrees(published[part], value, 1e-7 if name == "spector" else 0.0), (part, published[part], value)
    assert compared >= len(published["features"]) + 1


def flat(published: dict[str, Any], part: str) -> dict[str, str]:
    """Printed numbers by the name of the coefficient."""
    printed = published.get(part) or {}
    if published["classes"]:
        codes = {name: code for code, name in enumerate(published["classes"])}
        return {f"{codes[name]}:{bias(key)}": text for name in printed for key, text in printed[name].items()}
    return {bias(key): text for key, text in printed.items()}


def bias(key: str) -> str:
    return "(bias)" if key == "intercept" else key


NAMES = ["gre", "gpa", "rank2", "rank3", "rank4"]


def admissions(data_folder: Path) -> Any:
    X, y, _ = read(data_folder / "sets" / "admissions")
    return inferred(X, y, names=NAMES)


def test_tests_and_intervals_of_admissions(data_folder: Path) -> None:
    """For this table: the output of R's summary, confint.default and aod's wald.test, and of SAS's PROC LOGISTIC."""
    found = admissions(data_folder)
    assert [f"{z:.3f}" for z in found.z] == ["2.070", "2.423", "-2.134", "-3.881", "-3.713", "-3.500"]
    assert [f"{p:.3g}" for p in found.p] == ["0.0385", "0.0154", "0.0328", "0.000104", "0.000205", "0.000465"]
    printed = [
        ("0.0001202298", "0.004408622"), ("0.1536836760", "1.454391423"), ("-1.2957512650", "-0.055134591"),
        ("-2.0169920597", "-0.663415773"), ("-2.3703986294", "-0.732528724"), ("-6.2242418514", "-1.755716295"),
    ]  # fmt: skip
    for (low, high), interval in zip(printed, found.confidence_intervals(), strict=True):
        # R's standard errors are those before its last step: 7 digits of the ends agree.
        assert agrees(low, interval[0], 1e-7) and agrees(high, interval[1], 1e-7)
    ranks = found.wald_test("rank2", "rank3", "rank4")
    assert (f"{ranks.statistic:.1f}", ranks.df, f"{ranks.p:.2g}") == ("20.9", 3, "0.00011")
    assert f"{found.drop(*NAMES).statistic:.4f}" == "41.4590" and found.drop(*NAMES).df == 5
    assert agrees("36.1390", found.wald_test(*NAMES).statistic, 2e-5)  # SAS stops its iterations early
    assert (f"{found.aic:.3f}", f"{found.bic:.3f}") == ("470.517", "494.466")
    assert (f"{found.deviance:.3f}", f"{found.null_deviance:.3f}") == ("458.517", "499.977")


def test_profile_intervals_of_admissions(data_folder: Path) -> None:
    """The output of R's confint, which interpolates between points of the profile: right to 2e-5 of the width."""
    printed = np.array([
        [0.0001375921, 0.004435874], [0.1602959439, 1.464142727], [-1.3008888002, -0.056745722],
        [-2.0276713127, -0.670372346], [-2.4000265384, -0.753542605], [-6.2716202334, -1.792547080],
    ])  # fmt: skip
    found = admissions(data_folder).confidence_intervals(method="profile")
    assert (np.abs(found - printed) <= 2e-5 * np.diff(printed)).all()


def test_deviance_of_grouped_labels(data_folder: Path) -> None:
    """Labels are shares of girls, weighted by their number. R's glm: Venables and Ripley, 4th ed., section 7.2."""
    X, y, weight = read(data_folder / "sets" / "menarche")
    assert weight is not None
    ages = np.unique(X)
    totals = np.array([weight[X[:, 0] == age].sum() for age in ages])
    shares = np.array([(weight * y)[X[:, 0] == age].sum() for age in ages]) / totals
    found = inferred(ages[:, None], shares, sample_weight=totals)
    assert (f"{found.deviance:.3f}", f"{found.null_deviance:.3f}") == ("26.703", "3693.884")
    rows = inferred(X, y, sample_weight=weight)
    np.testing.assert_allclose(found.covariance, rows.covariance, rtol=1e-9)
    np.testing.assert_allclose(found.log_likelihood, rows.log_likelihood, rtol=1e-12)
    assert found.n_rows == rows.n_rows
