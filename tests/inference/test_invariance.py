"""What must not change what is inferred: units, offsets and layouts of columns, repeated rows, the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep
from gradstep.inference import Inference, infer
from helpers.inferences import inferred, table
from helpers.problems import cases

T = table()

Array = npt.NDArray[Any]

LABELS = {"two classes": T.y, "three classes": T.classes}
both_labels = pytest.mark.parametrize("y", list(LABELS.values()), ids=list(LABELS))

COVARIANCES: dict[str, dict[str, Any]] = {
    "fisher": {},
    "HC0": {},
    "HC1": {},
    "cluster": {"clusters": T.clusters},
}
each_covariance = pytest.mark.parametrize("covariance", COVARIANCES)


def scalars(found: Inference) -> list[float]:
    return [found.log_likelihood, found.null_log_likelihood, found.deviance, found.null_deviance, found.aic]


def check_same(found: Inference, want: Inference, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(scalars(found), scalars(want), rtol=1e-12)
    np.testing.assert_allclose(found.estimates, want.estimates, rtol=rtol)
    errors = want.standard_errors
    np.testing.assert_allclose(found.standard_errors, errors, rtol=rtol)
    off = np.outer(errors, errors)
    np.testing.assert_allclose(found.covariance / off, want.covariance / off, rtol=0, atol=rtol)
    assert (found.names, found.n_rows, found.n_parameters) == (want.names, want.n_rows, want.n_parameters)


@settings(max_examples=cases(20))
@given(
    scales=st.lists(st.floats(-9, 9), min_size=3, max_size=3),
    shifts=st.lists(st.floats(-100, 100), min_size=3, max_size=3),
    covariance=st.sampled_from(list(COVARIANCES)),
    labels=st.sampled_from(list(LABELS)),
)
def test_units_and_offsets_of_columns(scales: list[float], shifts: list[float], covariance: str, labels: str) -> None:
    """Columns are (standardised X + shift) · 10^scale: standard errors are those of weights in these units."""
    standard = (T.X - T.X.mean(axis=0)) / T.X.std(axis=0)
    moved = (standard + shifts) * 10.0 ** np.array(scales)
    options = {"covariance": covariance, **COVARIANCES[covariance]}
    want = inferred(standard, LABELS[labels], **options)
    got = inferred(moved, LABELS[labels], **options)
    # `back` maps weights and bias for the moved columns to those for the standardised ones. In the bias and in the
    # scores, terms cancel that are some 1e3 times as large as the result.
    units = 10.0 ** np.array(scales)
    back = np.diag(np.append(units, 1.0))
    back[3, :3] = units * shifts
    back = np.kron(np.eye(len(want.names) // 4), back)
    errors = want.standard_errors
    np.testing.assert_allclose((back @ got.estimates - want.estimates) / errors, 0, atol=1e-9)
    np.testing.assert_allclose(
        (back @ got.covariance @ back.T - want.covariance) / np.outer(errors, errors), 0, atol=1e-8
    )
    np.testing.assert_allclose(got.deviance, want.deviance, rtol=1e-12)
    np.testing.assert_allclose(got.leverage(), want.leverage(), rtol=1e-8)
    np.testing.assert_allclose(got.wald_test(1, 2), want.wald_test(1, 2), rtol=1e-7)
    if covariance == "fisher":
        np.testing.assert_allclose(got.drop(1), want.drop(1), rtol=1e-7)
        ends, as_before = (
            found.confidence_intervals(0.9, method="profile", columns=[0]) * unit
            for found, unit in ((got, units[0]), (want, 1.0))
        )
        np.testing.assert_allclose((ends - as_before) / errors[::4, None], 0, atol=1e-8)


@both_labels
@each_covariance
@pytest.mark.parametrize("fit_bias", [False, True])
def test_columns_far_from_zero(y: Array, covariance: str, fit_bias: bool) -> None:
    """Columns are 5e5 deviations from zero, and whole numbers, so that they are exact. The weights of the fit are exact
    to 1e-10 of the scores."""
    near = np.column_stack([T.X[:, 0] * 50, T.X[:, 1] - 700, T.X[:, 2] * 8900]).round()
    far = near + (5e5 * near.std(axis=0)).round()
    options = {"covariance": covariance, **COVARIANCES[covariance]}
    if fit_bias:
        want, got = inferred(near, y, **options), inferred(far, y, **options)
    else:  # a column of ones is the bias
        ones = np.ones((120, 1))
        want, got = (inferred(np.hstack([X, ones]), y, fit_bias=False, **options) for X in (near, far))
    slopes = np.arange(len(want.names)) % 4 < 3
    np.testing.assert_allclose(got.standard_errors[slopes], want.standard_errors[slopes], rtol=1e-9)
    np.testing.assert_allclose(got.leverage(), want.leverage(), rtol=1e-8)
    back = np.eye(4)
    back[3, :3] = (5e5 * near.std(axis=0)).round()
    back = np.linalg.inv(np.kron(np.eye(len(want.names) // 4), back))
    errors = np.sqrt(np.diagonal(back @ want.covariance @ back.T))
    np.testing.assert_allclose(got.standard_errors, errors, rtol=1e-9)


@both_labels
@each_covariance
def test_nearly_dependent_columns(y: Array, covariance: str) -> None:
    """The second column is the first up to one part in 10^5: what is left of it keeps its digits."""
    standard = (T.X - T.X.mean(axis=0)) / T.X.std(axis=0)
    mix = np.array([[1.0, 1.0, 0.0], [0.0, 2.0**-17, 0.0], [0.0, 0.0, 1.0]])
    options = {"covariance": covariance, **COVARIANCES[covariance]}
    want, got = inferred(standard, y, **options), inferred(standard @ mix, y, **options)
    back = np.kron(
        np.eye(len(want.names) // 4), np.block([[mix, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])
    )
    errors = want.standard_errors
    # The second column is rounded to eps, which is 2^17 eps, 3e-11, of the part that differs from the first column. In
    # the covariance, numbers of 2^34 cancel to numbers of 1, with an error of 4e-6 at most.
    off = (back @ got.covariance @ back.T - want.covariance) / np.outer(errors, errors)
    np.testing.assert_allclose(off, 0, atol=1e-5)
    second = slice(1, None, 4)
    np.testing.assert_allclose(got.standard_errors[second] / 2**17, want.standard_errors[second], rtol=1e-9)


@both_labels
@each_covariance
@pytest.mark.parametrize("fit_bias", [False, True])
def test_weights_are_repeated_rows(y: Array, covariance: str, fit_bias: bool) -> None:
    """A row of weight 3 counts as three rows, and a row of weight 0 as none, whatever its columns and its cluster."""
    clusters = COVARIANCES[covariance].get("clusters")
    if clusters is not None:
        clusters = np.where(T.counts > 0, clusters, 1000 + np.arange(120))
    again = np.repeat(np.arange(120), T.counts)
    X = np.where(T.counts[:, None] > 0, T.X, 1e300)
    some = inferred(X, y, sample_weight=T.counts, fit_bias=fit_bias, covariance=covariance, clusters=clusters)
    all_of_them = inferred(
        T.X[again], y[again],
        fit_bias=fit_bias, covariance=covariance, clusters=None if clusters is None else clusters[again],
    )  # fmt: skip
    check_same(some, all_of_them)
    assert some.n_rows == T.counts.sum()
    np.testing.assert_allclose(some.bic, all_of_them.bic, rtol=1e-12)
    np.testing.assert_allclose(some.leverage()[again], all_of_them.leverage(), rtol=1e-9)
    np.testing.assert_allclose(T.counts @ some.leverage(), some.n_parameters, rtol=1e-12)
    np.testing.assert_allclose(some.wald_test(0, 2), all_of_them.wald_test(0, 2), rtol=1e-9)
    if covariance == "fisher":
        np.testing.assert_allclose(some.drop(0), all_of_them.drop(0), rtol=1e-8)
        one, other = (found.confidence_intervals(method="profile", columns=[0, 1]) for found in (some, all_of_them))
        np.testing.assert_allclose(one, other, rtol=1e-8)


@both_labels
def test_many_rows_are_read_in_blocks(y: Array) -> None:
    """Two hundred copies of the table have 24 000 rows, and two hundred times the information of one."""
    X, labels = np.tile(T.X, (200, 1)), np.tile(y, 200)
    for covariance in ("fisher", "HC0"):
        few, many = inferred(T.X, y, covariance=covariance), inferred(X, labels, covariance=covariance)
        np.testing.assert_allclose(many.covariance * 200, few.covariance, rtol=1e-9)
        np.testing.assert_allclose(many.leverage() * 200, np.tile(few.leverage(), 200), rtol=1e-9)
    clustered = inferred(X, labels, covariance="cluster", clusters=np.tile(np.arange(120), 200))
    k = clustered.n_parameters
    # Clusters of 200 equal rows: the gradient of a cluster is 200 times that of one row.
    white = inferred(T.X, y, covariance="HC0").covariance
    np.testing.assert_allclose(clustered.covariance, white * 120 / 119 * 23_999 / (24_000 - k), rtol=1e-9)


@both_labels
def test_clusters_of_one_row_are_hc1(y: Array) -> None:
    for names in (np.arange(120), np.arange(120)[::-1].astype(str), np.arange(120) / 7):
        clustered = inferred(T.X, y, covariance="cluster", clusters=names)
        check_same(clustered, inferred(T.X, y, covariance="HC1"), rtol=1e-12)


@both_labels
def test_a_column_of_ones_is_a_bias(y: Array) -> None:
    for covariance, options in COVARIANCES.items():
        ones = inferred(np.column_stack([T.X, np.ones(120)]), y, fit_bias=False, covariance=covariance, **options)
        bias = inferred(T.X, y, covariance=covariance, **options)
        np.testing.assert_allclose(ones.estimates, bias.estimates, rtol=1e-9)
        np.testing.assert_allclose(ones.covariance, bias.covariance, rtol=1e-8)
        assert ones.n_parameters == bias.n_parameters and "(bias)" not in ones.names
        # With a column of ones instead of a bias, the model without columns has no bias.
        np.testing.assert_allclose(ones.null_log_likelihood, -120 * np.log(len(np.unique(y))), rtol=1e-12)


@each_covariance
def test_the_class_of_reference(covariance: str) -> None:
    """Coefficients against another class are differences of those against class 0."""
    options = {"covariance": covariance, **COVARIANCES[covariance]}
    first = inferred(T.X, T.classes, **options)
    of_0, eye = np.zeros((4, 8)), np.eye(4)
    of_1, of_2 = np.kron([[1, 0]], eye), np.kron([[0, 1]], eye)
    fitted = gradstep.fit(T.X, T.classes, gap_tol=1e-24)
    for reference, contrasts in ((1, [of_0 - of_1, of_2 - of_1]), (2, [of_0 - of_2, of_1 - of_2])):
        other = infer(fitted, T.X, T.classes, reference=reference, **options)
        to_other = np.vstack(contrasts)
        np.testing.assert_allclose(other.estimates, to_other @ first.estimates, rtol=1e-9)
        np.testing.assert_allclose(other.covariance, to_other @ first.covariance @ to_other.T, rtol=1e-8)
        np.testing.assert_allclose(other.wald_test(0), first.wald_test(0), rtol=1e-9)
        assert scalars(other) == scalars(first)
        codes = [code for code in range(3) if code != reference]
        assert other.names == tuple(f"{code}:{name}" for code in codes for name in ("x0", "x1", "x2", "(bias)"))


LAYOUTS: dict[str, Callable[[Array], Any]] = {
    "columns": np.asfortranarray,
    "reversed": lambda X: X[::-1].copy()[::-1],
    "lists": lambda X: X.tolist(),
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
    "frame": lambda X: pandas.DataFrame(X, columns=["x0", "x1", "x2"]),
}


@both_labels
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, y: Array) -> None:
    X = LAYOUTS[layout](T.X)
    for covariance, options in COVARIANCES.items():
        check_same(inferred(X, y, covariance=covariance, **options), inferred(T.X, y, covariance=covariance, **options))
    found, want = inferred(X, y), inferred(T.X, y)
    np.testing.assert_allclose(found.leverage(), want.leverage(), rtol=1e-9)
    np.testing.assert_allclose(found.drop(0, 2), want.drop(0, 2), rtol=1e-9)


@both_labels
def test_float32(y: Array) -> None:
    """Weights are rounded to float32, which moves errors by some eps times the largest score; all else is float64."""
    X = T.X.astype(np.float32)
    single, double = infer(gradstep.fit(X, y), X, y), inferred(X.astype(np.float64), y)
    np.testing.assert_allclose(single.standard_errors, double.standard_errors, rtol=1e-5)
    assert single.covariance.dtype == single.estimates.dtype == np.float64
    # The profile begins at the maximum, not at the rounded weights.
    one, other = (found.confidence_intervals(method="profile") for found in (single, double))
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_fishers_errors_have_the_bits_of_covariance() -> None:
    """They have, and the estimates have the bits of the optimum."""
    found = infer(best := gradstep.fit(T.X, T.y), T.X, T.y)
    assert np.array_equal(found.covariance, gradstep.covariance(T.X, best.weights, best.bias))
    assert np.array_equal(found.estimates, np.append(best.weights, best.bias))


@both_labels
@each_covariance
@pytest.mark.parametrize("fit_bias", [False, True])
def test_an_offset_that_is_a_part_of_the_scores(y: Array, covariance: str, fit_bias: bool) -> None:
    """What the offsets say already, the coefficients leave out. Nothing else changes."""
    options = {"covariance": covariance, **COVARIANCES[covariance], "fit_bias": fit_bias, "sample_weight": T.counts}
    known = np.array([0.5, -0.001, 20.0])
    if y is T.classes:
        known = np.stack([known, -known, 2 * known])
    want, got = inferred(T.X, y, **options), inferred(T.X, y, offset=T.X @ known.T, **options)
    left = known[1:] - known[0] if known.ndim > 1 else known[None]
    left = np.column_stack([left, np.zeros(len(left))]) if fit_bias else left
    errors = want.standard_errors
    np.testing.assert_allclose((got.estimates - want.estimates + left.ravel()) / errors, 0, atol=1e-8)
    np.testing.assert_allclose(got.covariance / np.outer(errors, errors), want.covariance / np.outer(errors, errors),
                               rtol=0, atol=1e-8)  # fmt: skip
    np.testing.assert_allclose([got.log_likelihood, got.aic], [want.log_likelihood, want.aic], rtol=1e-12)
    np.testing.assert_allclose(got.leverage(), want.leverage(), rtol=1e-7)
    if covariance == "fisher":
        ends, before = (found.confidence_intervals(0.9, method="profile", columns=[0]) for found in (got, want))
        np.testing.assert_allclose((ends - before + left[:, :1]) / errors[:: left.shape[1], None], 0, atol=1e-7)


@both_labels
def test_models_without_some_columns_have_the_offsets_too(y: Array) -> None:
    shape = (120,) if y is T.y else (120, 3)
    offset = np.cos(np.arange(np.prod(shape))).reshape(shape)
    whole = inferred(T.X, y, offset=offset)
    smaller = inferred(T.X[:, 1:], y, offset=offset)
    assert whole.null_log_likelihood == smaller.null_log_likelihood
    np.testing.assert_allclose(whole.drop(0), whole.likelihood_ratio_test(smaller), rtol=1e-7)
    none = gradstep.fit(np.zeros((120, 1)), y, offset=offset, gap_tol=0.0)
    np.testing.assert_allclose(whole.null_log_likelihood, -120 * none.loss, rtol=1e-12)
    np.testing.assert_allclose(
        whole.drop(0, 1, 2).statistic, 2 * (whole.log_likelihood - whole.null_log_likelihood), rtol=1e-9
    )
    flat = inferred(T.X, y, offset=offset, fit_bias=False)
    at_zero = np.zeros(3) if y is T.y else np.zeros((3, 3))
    np.testing.assert_allclose(flat.null_log_likelihood, -120 * gradstep.loss(T.X, y, at_zero, offset=offset))
    np.testing.assert_allclose(
        flat.drop(0, 1, 2).statistic, 2 * (flat.log_likelihood - flat.null_log_likelihood), rtol=1e-9
    )


def test_an_offset_with_firth() -> None:
    offset = 0.3 * T.X[:, 0]
    options: dict[str, Any] = {"firth": True}
    want = infer(gradstep.fit(T.X, T.y, **options), T.X, T.y)
    got = infer(gradstep.fit(T.X, T.y, offset=offset, **options), T.X, T.y, offset=offset)
    np.testing.assert_allclose(got.estimates, want.estimates - [0.3, 0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(got.standard_errors, want.standard_errors, rtol=1e-5)
    np.testing.assert_allclose(got.drop(1), want.drop(1), rtol=1e-5)
