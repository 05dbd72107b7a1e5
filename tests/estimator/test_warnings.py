"""What LogisticRegression warns of, and what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import gradstep
from gradstep import LogisticRegression
from helpers.estimators import problem

Array = Any


def test_separated_classes_are_a_warning_that_names_columns() -> None:
    data = pd.DataFrame({"length": [1, 2, 1, 2, 1], "is_big": [0, 0, 0, 0, 1]})
    with pytest.warns(ConvergenceWarning, match=r"'separated'.*along column is_big some or all labels are separated"):
        model = LogisticRegression(l2=0).fit(data, [0, 1, 1, 0, 1])
    assert np.isfinite(model.coef_).all() and model.separation_.weights.tolist() == [0, 1]
    assert model.predict(data)[-1] == 1 and (model.gap_, model.converged_) == (np.inf, False)


def test_a_rare_dummy_that_separates_is_named() -> None:
    """The column is 1 in three of 500 rows, which have the same label; nothing else separates the rows."""
    X, y = problem(m=500, n=2)
    data = pd.DataFrame(X, columns=["height", "girth"]).assign(is_rare=np.isin(np.arange(500), [7, 100, 300]))
    y[[7, 100, 300]] = "beech"
    model = LogisticRegression(l2=0)
    with pytest.warns(ConvergenceWarning, match=r"no optimum \(stopped by 'separated'\): along column is_rare some"):
        model.fit(data, y)
    assert np.flatnonzero(model.separation_.weights).tolist() == [2]
    with (
        pytest.warns(ConvergenceWarning, match="along column is_rare"),
        pytest.raises(ValueError, match=r"^standard_errors must be False without a proved optimum, .*'separated'"),
    ):
        model.set_params(standard_errors=True).fit(data, y)


def test_too_few_passes_are_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"\(stopped by 'passes', max_passes=1\)") as caught:
        model = LogisticRegression(solver="gd", max_passes=1).fit(*problem())
    assert not model.converged_ and model.gap_ > 1e-8 * model.objective_
    assert f"the objective may be up to {model.gap_:.1e} above its minimum" in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("dtype", "advice"), [(np.float64, "columns nearer to zero"), (np.float32, "features in float64")]
)
def test_what_rounding_leaves_of_the_gap_is_a_warning(dtype: Any, advice: str) -> None:
    X, y = problem()
    words = rf"'precision'.* may be up to \d.\de-\d\d above its minimum, more than gap_tol=0 allows; {advice}"
    with pytest.warns(ConvergenceWarning, match=words):
        model = LogisticRegression(l2=0, gap_tol=0).fit(X.astype(dtype), y)
    assert (str(model.stop_reason_), model.converged_) == ("precision", False) and 0 < model.gap_ < 1e-12


def test_what_was_not_asked_to_be_proved_is_no_warning() -> None:
    X, y = problem()
    model = LogisticRegression(l2=0, certify=False).fit(X, y)
    assert (str(model.stop_reason_), model.gap_, model.converged_) == ("uncertified", np.inf, False)
    assert model.gradient_norm_ <= 1e-8
    model = LogisticRegression(l2=0.1, certify=False).fit(X, y)  # with a penalty, the bound by duality is enough
    assert (str(model.stop_reason_), model.converged_) == ("tolerance", True)
    model = LogisticRegression(l2=0, tol=0.1).fit(X, y)
    assert (str(model.stop_reason_), model.converged_) == ("tolerance", False)
    assert 1e-8 < model.gradient_norm_ <= 0.1 and 1e-8 * model.objective_ < model.gap_ < np.inf
    looser = LogisticRegression(l2=0, tol=0.1, gap_tol=1.0).fit(X, y)
    assert looser.gap_ == model.gap_ and looser.converged_
    stricter = LogisticRegression(l2=0, tol=0).fit(X, y)  # it is proved, although rounding leaves a gradient
    assert (str(stricter.stop_reason_), stricter.converged_) == ("precision", True)


def times(m: int = 400) -> tuple[Array, Array]:
    """Start and end of rides, in seconds since 1970; labels that depend on how long they take."""
    rng = np.random.default_rng(0)
    start, duration = 1_700_000_000 + rng.integers(0, 10**7, m), rng.integers(60, 3600, m)
    y = rng.random(m) < gradstep.sigmoid((duration - 1800) / 600)
    return np.column_stack([start, start + duration]).astype(float), y


def test_times_since_1970_reach_the_loss_of_centred_columns() -> None:
    X, y = times()
    model = LogisticRegression(l2=0).fit(X, y)
    start, duration = X[:, 0] - X[0, 0], X[:, 1] - X[:, 0]
    want = LogisticRegression(l2=0).fit(np.column_stack([start, duration / 600]), y)
    assert model.converged_ and want.converged_ and model.aliased_ == ()
    # Objectives are evaluated in float64: a few units in the last place are rounding.
    assert abs(model.objective_ - want.objective_) <= model.gap_ + want.gap_ + 1e-14
    np.testing.assert_allclose(model.coef_[0, 1], want.coef_[0, 1] / 600, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), want.predict_proba(np.column_stack([start, duration / 600])),
                               atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_columns_that_others_make_up_are_told_and_weigh_nothing(solver: Any) -> None:
    X, y = problem()
    level = np.eye(3)[np.random.default_rng(2).integers(0, 3, len(y))]
    model = LogisticRegression(l2=0, solver=solver).fit(np.column_stack([X, level, X[:, 0] - 2 * X[:, 1]]), y)
    assert [(alias.column, alias.columns) for alias in model.aliased_] == [(6, (4, 5)), (7, (0, 1))]
    np.testing.assert_allclose(model.aliased_[1].coefficients, [1, -2], rtol=1e-12)
    assert model.converged_ and model.coef_[0, 6:].tolist() == [0, 0]
    want = LogisticRegression(l2=0, solver=solver).fit(np.column_stack([X, level[:, :2]]), y)
    np.testing.assert_allclose(model.coef_[:, :6], want.coef_, atol=1e-6)
    with_penalty = LogisticRegression(l2=0.1).fit(np.column_stack([X, X[:, 0]]), y)
    assert with_penalty.aliased_ == () and with_penalty.coef_[0, 4] != 0


def test_a_penalty_next_to_none_is_a_warning() -> None:
    far = "the objective may be up to .* above its minimum"
    on = "a larger max_passes goes on"
    with pytest.warns(ConvergenceWarning, match=f"'passes', max_passes=300.*: {far}; {on}"):
        model = LogisticRegression(l2=1e-300, max_passes=300).fit([[0.0], [1.0]], [0, 1])
    # Nothing else is proved than that the objective is nowhere negative.
    assert model.gradient_norm_ <= 1e-8 and model.objective_ <= model.gap_ <= 1e-30
    with pytest.warns(ConvergenceWarning, match=f"'precision'.*: {far}; the classes may nearly be separated"):
        model = LogisticRegression(l2=1e-100).fit([[0.0], [1.0]], [0, 1])
    far = "the gradient is .*, and how far the objective is above its minimum is not known"
    with pytest.warns(ConvergenceWarning, match=f"'precision'.*: {far}; certify=False leaves the proof out"):
        LogisticRegression(l2=0, certify=False).fit(*times())


def test_verbose_shows_progress_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    LogisticRegression(verbose=True).fit(*problem())
    assert "gradient" in capsys.readouterr().err
    LogisticRegression().fit(*problem())
    assert capsys.readouterr() == ("", "")
