"""What an `Inference` shows and holds, its tests, and what it says of columns that were left out."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas
import pytest
import scipy.stats

import gradstep
from gradstep.inference import Inference, infer
from helpers.inferences import SHARP, inferred, table

T = table()


def test_it_is_loaded_when_it_is_used() -> None:
    code = "import sys, gradstep; assert 'gradstep.inference' not in sys.modules; gradstep.inference.infer"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "inference" in dir(gradstep)


def test_the_table_is_what_is_shown() -> None:
    lines = repr(inferred(T.X, T.y, names=["dose", "weight", "rate"], covariance="HC1")).splitlines()
    assert lines == [
        'Inference: 120 rows, log-likelihood -71.4835, covariance "HC1"',
        "             estimate   std. error      z       p               95 % interval   odds ratio",
        "  dose       0.627065     0.362251   1.73  0.0834       -0.0829342 to 1.33706      1.87211",
        "  weight  -0.00102535  0.000782155  -1.31    0.19  -0.00255834 to 0.000507647     0.998975",
        "  rate       -111.732      67.3392  -1.66  0.0971         -243.715 to 20.2502  2.98744e-49",
        "  (bias)     0.544923     0.672967   0.81   0.418        -0.774068 to 1.86391      1.72448",
    ]


def test_a_long_table_is_cut() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 25))
    y = rng.random(300) < 0.5
    lines = repr(infer(gradstep.fit(X, y), X, y)).splitlines()
    assert len(lines) == 2 + 20 + 1 and lines[-1] == "  … (26 in all)"


def test_names() -> None:
    frame = pandas.DataFrame(T.X, columns=["a", "b", "c"])
    assert inferred(frame, T.y).names == ("a", "b", "c", "(bias)")
    assert inferred(frame, T.y, names=iter("xyz")).names == ("x", "y", "z", "(bias)")
    assert inferred(T.X, T.y, fit_bias=False).names == ("x0", "x1", "x2")


@pytest.mark.parametrize("y", [T.y, T.classes], ids=["two classes", "three classes"])
@pytest.mark.parametrize("covariance", ["fisher", "HC0"])
def test_columns_that_were_left_out(y: np.ndarray, covariance: str) -> None:
    """Columns that were left out have neither estimates nor errors. All else is that of the model without them."""
    X = np.column_stack([np.full(120, 3.0), T.X[:, :2], T.X[:, 0] - 2 * T.X[:, 1], T.X[:, 2]])
    found = inferred(X, y, names=["one", "a", "b", "a-2b", "c"], covariance=covariance)
    want = inferred(T.X, y, names=["a", "b", "c"], covariance=covariance)
    assert found.left_out == ("one", "a-2b")
    assert repr(found).endswith("\n  left out: one, a-2b")
    out = np.array([name.split(":")[-1] in found.left_out for name in found.names])
    assert np.isnan(found.estimates[out]).all() and np.isnan(found.covariance[out]).all()
    assert np.isnan(found.covariance[:, out]).all() and np.isnan(found.p[out]).all()
    np.testing.assert_allclose(found.estimates[~out], want.estimates, rtol=1e-9)
    np.testing.assert_allclose(found.covariance[np.ix_(~out, ~out)], want.covariance, rtol=1e-8)
    assert found.n_parameters == want.n_parameters
    np.testing.assert_allclose([found.aic, found.bic], [want.aic, want.bic], rtol=1e-12)
    np.testing.assert_allclose(found.wald_test("a", "c"), want.wald_test("a", "c"), rtol=1e-8)
    np.testing.assert_allclose(found.leverage(), want.leverage(), rtol=1e-9)
    if covariance == "fisher":
        np.testing.assert_allclose(found.drop("a"), want.drop("a"), rtol=1e-8)
        ends = found.confidence_intervals(method="profile")
        assert np.isnan(ends[out]).all()
        np.testing.assert_allclose(ends[~out], want.confidence_intervals(method="profile"), rtol=1e-8)
    with pytest.raises(ValueError, match=r"^columns must be some that the fit did not leave out, got 'one'$"):
        found.wald_test("one")


def test_where_all_columns_were_left_out() -> None:
    found = inferred(np.full((120, 1), 2.0), T.y)
    share = T.y.mean()
    np.testing.assert_allclose(found.estimates, [np.nan, math.log(share / (1 - share))], rtol=1e-12)
    np.testing.assert_allclose(found.standard_errors, [np.nan, (120 * share * (1 - share)) ** -0.5], rtol=1e-9)
    assert found.mcfadden_r2 == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.leverage(), 1 / 120, rtol=1e-12)
    statistic = 2 * (found.log_likelihood + 120 * math.log(2))
    np.testing.assert_allclose(found.drop("(bias)"), [statistic, 1, scipy.stats.chi2.sf(statistic, 1)], rtol=1e-9)


@pytest.mark.parametrize("y", [T.y, T.classes], ids=["two classes", "three classes"])
@pytest.mark.parametrize("fit_bias", [False, True])
def test_two_fits_and_dropped_columns_are_the_same_test(y: np.ndarray, fit_bias: bool) -> None:
    found = inferred(T.X, y, fit_bias=fit_bias)
    smaller = inferred(T.X[:, [1]], y, fit_bias=fit_bias)
    test = found.likelihood_ratio_test(smaller)
    assert test.df == 2 * (len(np.unique(y)) - 1)
    np.testing.assert_allclose(test.statistic, 2 * (found.log_likelihood - smaller.log_likelihood), rtol=1e-12)
    np.testing.assert_allclose(test.p, scipy.stats.chi2.sf(test.statistic, test.df), rtol=1e-12)
    np.testing.assert_allclose(found.drop("x0", 2), test, rtol=1e-8)
    np.testing.assert_allclose(found.drop(2, 0, "x2"), test, rtol=1e-8)
    everything = found.drop(0, 1, 2)
    np.testing.assert_allclose(everything.statistic, 2 * (found.log_likelihood - found.null_log_likelihood), rtol=1e-9)
    if fit_bias:
        without = inferred(T.X, y, fit_bias=False)
        np.testing.assert_allclose(found.drop("(bias)"), found.likelihood_ratio_test(without), rtol=1e-8)
        chance = 120 * math.log(len(np.unique(y)))
        np.testing.assert_allclose(found.drop(*range(3), "(bias)").statistic, 2 * (found.log_likelihood + chance))


def test_tails_are_right_however_small() -> None:
    """p-values of χ² are sums of positive terms, each right to |exponent| · eps or so."""
    from gradstep.inference import _test

    for df in (*range(1, 12), 40, 101):
        for statistic in (0.0, 1e-9, 0.3, 1.0, 4.0, 30.0, 150.0, 1200.0):
            want = scipy.stats.chi2.sf(statistic, df)
            np.testing.assert_allclose(_test(statistic, df).p, want, rtol=2e-12, err_msg=f"{statistic}, {df}")
    found = inferred(T.X, T.y)
    np.testing.assert_allclose(found.p, 2 * scipy.stats.norm.sf(abs(found.z)), rtol=1e-12)
    for level in (1e-6, 0.5, 0.95, 1 - 1e-9):
        half = np.diff(found.confidence_intervals(level))[:, 0] / 2
        # The level is rounded to eps, and so is 1 - level, which is small: the quantile has fewer digits.
        np.testing.assert_allclose(half / found.standard_errors, scipy.stats.norm.ppf((1 + level) / 2), rtol=1e-7)


def test_one_wald_test_is_z_squared() -> None:
    for found in (inferred(T.X, T.y), inferred(T.X, T.y, covariance="HC1")):
        for position, name in enumerate(found.names):
            test = found.wald_test(name)
            np.testing.assert_allclose(test, [found.z[position] ** 2, 1, found.p[position]], rtol=1e-9)


def test_an_optimum_that_is_not_proved_is_a_warning() -> None:
    fitted = gradstep.fit(T.X, T.y, certify=False)
    assert fitted.stop_reason == "uncertified"
    with pytest.warns(UserWarning, match=r"^the optimum is not proved, since no Hessian was made: ") as caught:
        found = infer(fitted, T.X, T.y)
    assert caught[0].filename == __file__
    np.testing.assert_allclose(found.standard_errors, inferred(T.X, T.y).standard_errors, rtol=1e-6)


def test_an_inference_can_be_pickled() -> None:
    found = inferred(T.X, T.y)
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Inference) and repr(again) == repr(found)
    assert np.array_equal(again.leverage(), found.leverage())
    assert again.drop(0) == found.drop(0)


def test_inputs_are_not_modified_and_results_are_frozen() -> None:
    X, y, s = T.X.copy(), T.y.copy(), T.counts.astype(float)
    inputs = X, y, s, T.clusters
    before = [each.tobytes() for each in inputs]
    found = infer(gradstep.fit(X, y, sample_weight=s), X, y, sample_weight=s, covariance="cluster", clusters=T.clusters)
    found.leverage(), found.wald_test(0)
    assert [each.tobytes() for each in inputs] == before
    with pytest.raises(AttributeError):
        found.n_rows = 3.0  # type: ignore[misc]


def test_memory_does_not_grow_with_the_rows_times_columns_times_classes() -> None:
    """X has 100 000 rows, 10 columns, and 8 MB; there are 6 classes. Gradients by row would take 44 MB, and blocks of
    the information by row more."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 10))
    y = rng.integers(0, 6, size=100_000)
    fitted = gradstep.fit(X, y)
    tracemalloc.start()
    infer(fitted, X, y, covariance="HC0")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Two arrays of the probabilities of all classes, and a few blocks, fit into this limit.
    assert peak < 2.5 * 8 * 6 * 100_000 + 10 * 2**20


def test_shares_as_labels() -> None:
    """The deviance is 0 for a model that predicts each share exactly; the log-likelihood is that of shares."""
    shares = (T.y + T.X[:, 0] / 4 + 0.5) / 2
    found = inferred(T.X, shares)
    p = gradstep.predict_proba(T.X, found.estimates[:3], found.estimates[3])
    likelihood = (shares * np.log(p) + (1 - shares) * np.log1p(-p)).sum()
    np.testing.assert_allclose(found.log_likelihood, likelihood, rtol=1e-12)
    terms = shares * np.log(shares / p) + (1 - shares) * np.log((1 - shares) / (1 - p))
    np.testing.assert_allclose(found.deviance, 2 * terms.sum(), rtol=1e-10)
    mean = shares.mean()
    null = (shares * np.log(shares / mean) + (1 - shares) * np.log((1 - shares) / (1 - mean))).sum()
    np.testing.assert_allclose(found.null_deviance, 2 * null, rtol=1e-10)


def test_wide_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """In 400 data sets, 95 % intervals miss the truth 20 times on average, with a deviation of 4.4; five deviations are
    allowed."""
    rng = np.random.default_rng(5)
    misses = {"wald": 0, "profile": 0, "HC0": 0}
    X = rng.normal(size=(200, 2))
    for _ in range(400):
        y = rng.random(200) < gradstep.sigmoid(X @ [1.0, -0.5] + 0.3)
        fitted = gradstep.fit(X, y, gap_tol=SHARP)
        found = infer(fitted, X, y)
        ends = {
            "wald": found.confidence_intervals(columns=[0]),
            "profile": found.confidence_intervals(method="profile", columns=[0]),
            "HC0": infer(fitted, X, y, covariance="HC0").confidence_intervals(columns=[0]),
        }
        for name, ((low, high),) in ends.items():
            misses[name] += not low <= 1.0 <= high
    assert all(0 <= count <= 42 for count in misses.values()), misses
    assert min(misses.values()) > 0


def test_few_clusters_are_warned_of_and_test_no_more_coefficients_than_they_can() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 4))
    y = (rng.random(200) < gradstep.sigmoid(X[:, 0])).astype(float)
    best = gradstep.fit(X, y)
    with pytest.warns(UserWarning, match="the covariance by 3 clusters of 5 coefficients is singular"):
        table = gradstep.inference.infer(best, X, y, covariance="cluster", clusters=np.arange(200) % 3)
    assert 0 < table.wald_test(0, 1).p < 1
    with pytest.raises(ValueError, match=r"columns must have at most 2 coefficients, got 4: .* singular"):
        table.wald_test(0, 1, 2, 3)
