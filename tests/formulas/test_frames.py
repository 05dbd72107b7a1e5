"""Frames of pandas, polars and pyarrow with columns of several types give what the array of their numbers gives."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gradstep
from helpers.results import bits, numbers, parts

pa = pytest.importorskip("pyarrow", exc_type=ImportError)  # with an old NumPy it cannot be imported

A, B, C = [True, False, True, True], [1.5, -2.0, 0.25, 3.0], [3, 1, -4, 1]
X = np.column_stack([A, B, C]).astype(float)
Y = [1, 0, 1, 0]
WEIGHTS = [0.5, -1.0, 0.25]


class Interchange:
    """A frame of another library, by the older of two protocols."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __dataframe__(self, *args: Any, **options: Any) -> Any:
        return self.frame.__dataframe__(*args, **options)


class Stream:
    """A frame of another library, by Arrow's protocol."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, schema: Any = None) -> Any:
        return self.frame.__arrow_c_stream__(schema)


FRAMES: dict[str, Any] = {
    "pandas": pd.DataFrame({"a": A, "b": B, "c": C}),
    "pandas, nullable": pd.DataFrame(
        {"a": pd.array(A, "boolean"), "b": pd.array(B, "Float64"), "c": pd.array(C, "Int64")}
    ),
    "pandas, some nullable": pd.DataFrame({"a": A, "b": B, "c": pd.array(C, "Int8")}),
    "pandas, by pyarrow": pd.DataFrame({"a": A, "b": B, "c": C}).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, single and double": pd.DataFrame({"a": A, "b": np.float32(B), "c": np.int64(C)}),
    "pandas, objects": pd.DataFrame({"a": A, "b": B, "c": C}, dtype=object),
    "pandas, the same name thrice": pd.DataFrame({"a": A, "b": B, "c": C}).set_axis(["a"] * 3, axis=1),
    "polars": pl.DataFrame({"a": A, "b": B, "c": C}),
    "pyarrow": pa.table({"a": A, "b": B, "c": C}),
    "pyarrow, a batch": pa.RecordBatch.from_pydict({"a": A, "b": B, "c": C}),
    "pyarrow, decimals": pa.table({"a": A, "b": [Decimal(str(b)) for b in B], "c": C}),
    "polars, decimals": pl.DataFrame({"a": A, "b": pl.Series(B).cast(pl.Decimal(6, 2)), "c": C}),
    "pandas, one sparse column": pd.DataFrame({"a": A, "b": pd.arrays.SparseArray(B), "c": C}),
    "pandas, sparse around nan": pd.DataFrame({"a": A, "b": B, "c": C}).astype(pd.SparseDtype("float64", np.nan)),
    "another library's, by columns": Interchange(pa.table({"a": A, "b": B, "c": C})),
    "another library's, by Arrow": Stream(pa.table({"a": A, "b": B, "c": C})),
}
of_frames = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


@of_frames
def test_every_function_computes_with_them(frame: Any) -> None:
    for function in (gradstep.decision_function, gradstep.predict_proba, gradstep.hessian):
        assert bits(function(frame, WEIGHTS)) == bits(function(X, WEIGHTS))
    for function in (gradstep.loss, gradstep.gradient, gradstep.loss_gradient):
        assert bits(function(frame, Y, WEIGHTS)) == bits(function(X, Y, WEIGHTS))
    assert bits(gradstep.gradient_step(frame, Y, WEIGHTS, 0, 0.5)) == bits(
        gradstep.gradient_step(X, Y, WEIGHTS, 0, 0.5)
    )
    assert bits(gradstep.covariance(frame, WEIGHTS)) == bits(gradstep.covariance(X, WEIGHTS))
    assert numbers(gradstep.fit(frame, Y, l2=0.1)) == numbers(gradstep.fit(X, Y, l2=0.1))
    trainer = gradstep.Trainer(0.5, 3, batch_size=1)
    assert bits(parts(trainer.fit(frame, Y))[:3]) == bits(parts(trainer.fit(X, Y))[:3])
    assert gradstep.fit(X, Y, l2=0.1).predict(frame).tolist() == gradstep.fit(X, Y, l2=0.1).predict(X).tolist()


@pytest.mark.parametrize("name", [name for name in FRAMES if name.startswith("pandas")])
def test_a_row_of_a_frame_is_a_row(name: str) -> None:
    """A row of a frame is one row, although pandas makes an array of objects of it if types differ."""
    for number in range(4):
        got = gradstep.predict_proba(FRAMES[name].iloc[number], WEIGHTS)
        assert got == gradstep.predict_proba(X[number], WEIGHTS)


def test_single_precision_stays_where_all_columns_have_it() -> None:
    for kind in ("float32", "Float32"):
        frame = pd.DataFrame({"a": B, "b": C}, dtype=kind)
        assert gradstep.decision_function(frame, [1, 2]).dtype == np.float32
        assert gradstep.decision_function(frame.assign(c=[1.0, 2.0, 3.0, 4.0]), [1, 2, 3]).dtype == np.float64


def test_labels_and_weights_of_rows_may_be_series() -> None:
    for y in (pd.Series(Y), pd.Series(Y, dtype="Int64"), pd.Series(Y, dtype="boolean"), pl.Series(Y), pa.array(Y)):
        assert gradstep.loss(X, y, WEIGHTS, sample_weight=y) == gradstep.loss(X, Y, WEIGHTS, sample_weight=Y)


MIXED = {"size": [1.0, 2.0, 3.0], "colour": ["red", "green", "a" * 100]}
TEXT = "holds text ('red'); encode it as numbers, or leave it out"
MISSING = "has a missing value"
DAYS = pd.DatetimeIndex(["2024-01-02", "2024-01-03"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pd.DataFrame(MIXED), f"got dtype object: row 0, column 'colour' {TEXT} (gradstep.train does)"),
        (pd.DataFrame(MIXED).astype({"colour": "category"}), f"got dtype object: row 0, column 'colour' {TEXT}"),
        (pd.DataFrame(MIXED).to_numpy(), f"got dtype object: column 1 {TEXT}"),
        (pd.DataFrame(MIXED).set_axis([0, 1], axis=1), f"got dtype object: row 0, column 1 {TEXT}"),
        (pd.DataFrame({"a": [1.0, b"red"]}), "got dtype object: row 1, column 'a' holds text"),
        (pl.DataFrame(MIXED), f"got dtype object: row 0, column 'colour' {TEXT}"),
        (pa.table(MIXED), f"got dtype object: row 0, column 'colour' {TEXT}"),
        ([[1.0, "red"], [2.0, "green"]], f"got dtype <U.*: column 1 {TEXT}"),
        ([[1.0, 2.0], [2.0, "a" * 100]], "column 1 holds text ('" + "a" * 40 + "…')"),
        (pd.DataFrame({"a": [True, None], "b": [1.0, 2.0]}, dtype=object), f"column 'a' {MISSING} (None)"),
        (pd.DataFrame({"a": pd.array([True, None], "boolean"), "b": [1.0, 2.0]}), f"column 'a' {MISSING} (<NA>)"),
        (pl.DataFrame({"a": [True, None]}), f"column 'a' {MISSING} (None); fill it in, or leave its row out"),
        (pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="s"), "b": [1.0, 2.0]}), "column 'a' holds a Timedelta"),
        (pd.DataFrame({"a": DAYS}), "row 0, column 'a' holds a Timestamp (2024-01-02 00:00:00); make a number of it"),
        (pd.DataFrame({"b": [1.0, 2.0], "a": DAYS.tz_localize("UTC")}), "column 'a' holds a Timestamp (2024-01-02"),
        (
            pl.DataFrame({"b": [1.0, 2.0], "a": DAYS.to_pydatetime()}),
            "column 'a' holds a datetime (2024-01-02 00:00:00)",
        ),
        (
            pa.table({"b": [1.0, 2.0], "a": DAYS.date}),
            "row 0, column 'a' holds a date (2024-01-02); make a number of it",
        ),
        (pl.DataFrame({"b": [1.0, 2.0], "a": [[1], [2]]}), "row 0, column 'a' holds a Series"),
        (pl.LazyFrame({"b": [1.0, 2.0]}), "got LazyFrame: .collect() makes a frame of it"),
        (np.array([[1, 2.5], [3, True]], object), "its elements are numbers, of which .astype(float) makes one"),
        (pd.DataFrame(MIXED).iloc[0], f"got dtype object: index 1 {TEXT}"),
    ],
)
def test_what_is_no_number_is_named_by_its_column(given: Any, words: str) -> None:
    expected = "X must be an array of real numbers, "
    for call in (lambda: gradstep.predict_proba(given, WEIGHTS), lambda: gradstep.fit(given, Y)):
        with pytest.raises(TypeError) as caught:
            call()
        message = str(caught.value)
        assert message.startswith(expected), message
        assert all(part in message for part in words.split(".*")), message
        assert len(message) < 200


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["no", "yes", "no", "no"], "'no', 'yes'"),
        (np.array(["no", "yes", "no", "no"]), "'no', 'yes'"),
        (pd.Series(["no", "yes", "no", "no"]), "'no', 'yes'"),
        (pd.Series(["yes", "no", "yes", "no"], dtype="category"), "'yes', 'no'"),
        (pl.Series(["no", "yes", "no", "no"]), "'no', 'yes'"),
        (pa.array(["no", "yes", "no", "no"]), "'no', 'yes'"),
        (["no", "yes", "no", "perhaps"], "'no', 'yes', 'perhaps'"),
        (np.array([f"{k}" for k in range(20)]), "'0', '1', '2', '3', '4', '5', '6', '7', …"),
    ],
)
def test_labels_that_are_words_are_shown(y: Any, words: str) -> None:
    codes = "0 and 1" if words.count(",") == 1 else "codes 0, 1, 2, …"
    expected = f"y must be an array of real numbers, got words ({words}): use LogisticRegression, or {codes}"
    for call in (gradstep.fit, gradstep.Trainer().fit, lambda X, y: gradstep.loss(X, y, WEIGHTS)):
        with pytest.raises(TypeError) as caught:
            call(X, y)
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("y", "advice"),
    [
        ([1, 2, 1, 2], "labels are 1 and 2: subtract 1, or use LogisticRegression"),
        ([-1, 1, 1, -1], "labels are -1 and 1: use 0 and 1 for them, or LogisticRegression"),
        ([0, 2.5, 0, 2.5], "labels are 0 and 2.5: use 0 and 1 for them, or LogisticRegression"),
        ([0, 1, 2, 2.5], None),
    ],
)
def test_labels_by_other_numbers_are_told_what_to_do(y: Any, advice: str | None) -> None:
    for call in (
        lambda: gradstep.Trainer().fit(X, y),
        lambda: gradstep.loss(X, y, WEIGHTS),
        lambda: gradstep.gradient(X, y, WEIGHTS),
        lambda: gradstep.loss_gradient(X, y, WEIGHTS),
        lambda: gradstep.gradient_step(X, y, WEIGHTS, 0.0, 0.5),
        lambda: gradstep.fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"^y must be .*, got ") as caught:
            call()
        message = str(caught.value)
        assert message.endswith(f": {advice}") if advice else "labels are" not in message
    with pytest.raises(ValueError, match=r"labels are 1, 2 and 3: subtract 1, or use LogisticRegression$"):
        gradstep.fit(X, [1, 2, 3, 3])


@pytest.mark.parametrize("name", [name for name in FRAMES if "thrice" not in name])  # scikit-learn refuses these frames
def test_estimators_pictures_and_pages_take_them(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    frame = FRAMES[name]
    estimator = gradstep.LogisticRegression(l2=0.1)
    want = gradstep.LogisticRegression(l2=0.1).fit(X, Y)
    assert bits(estimator.fit(frame, Y).coef_) == bits(want.coef_)
    assert bits(estimator.predict_proba(frame)) == bits(want.predict_proba(X))
    chosen, wanted = (gradstep.LogisticRegressionCV(strengths=3, cv=2).fit(data, Y) for data in (frame, X))
    assert bits(chosen.coef_) == bits(wanted.coef_)
    assert gradstep.path(frame, Y, n=3) == gradstep.path(X, Y, n=3)
    descent = gradstep.Trainer(0.1, 3).fit(X, Y)
    page = gradstep.show(descent, frame, Y, open_browser=False, file=tmp_path / "page.html")
    assert page.exists()
    plot = pytest.importorskip("gradstep.plot")
    assert plot.lines(descent, frame, Y, columns=(1, 2)).get_xlabel() in ("b", "a")
    long = {"x": np.tile([0.0, 1.0, 2.0, 3.0], 10), "y": np.tile([0, 1, 1, 0, 1], 8)}
    for of in (pd.DataFrame, pl.DataFrame, pa.table):
        table = of({"x": long["x"]})
        found = gradstep.inference.infer(gradstep.fit(table, long["y"]), table, long["y"])
        assert found.names == ("x", "(bias)")


def test_a_sparse_frame_is_never_made_dense() -> None:
    """A sparse frame gives what SciPy's matrix of the same numbers gives."""
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(3)
    dense = (rng.random((60, 4)) < 0.3) * rng.integers(1, 5, (60, 4))
    y = rng.integers(0, 2, 60)
    matrix = sparse.csc_array(dense.astype(float))
    kinds = {
        "floats": pd.DataFrame(dense.astype(float), columns=list("abcd")).astype(pd.SparseDtype("float64", 0.0)),
        "several": pd.DataFrame({
            name: pd.arrays.SparseArray(dense[:, j].astype("f8" if j % 2 else "i4"), fill_value=0)
            for j, name in enumerate("abcd")
        }),
        "scipy": pd.DataFrame.sparse.from_spmatrix(matrix, columns=list("abcd")),
    }  # fmt: skip
    best = gradstep.fit(matrix, y)
    for name, frame in kinds.items():
        assert numbers(gradstep.fit(frame, y)) == numbers(best), name
        assert bits(gradstep.decision_function(frame, [1, 2, 3, 4])) == bits(
            gradstep.decision_function(matrix, [1, 2, 3, 4])
        )
        found, want = (gradstep.inference.infer(best, data, y) for data in (frame, matrix))
        assert found.names == ("a", "b", "c", "d", "(bias)")
        assert bits(found.standard_errors) == bits(want.standard_errors)
        estimator = gradstep.LogisticRegression(l2=0.1).fit(frame, y)
        assert estimator.feature_names_in_.tolist() == list("abcd")
        assert bits(estimator.coef_) == bits(gradstep.LogisticRegression(l2=0.1).fit(matrix, y).coef_)
        assert gradstep.plot.training(best, frame, y)[1].get_yticklabels()[0].get_text() == "a"
    wide = pd.DataFrame.sparse.from_spmatrix(sparse.random_array((200, 2000), density=0.001, format="csc", rng=rng))
    gradstep.decision_function(wide, np.ones(2000))
    tracemalloc.start()
    gradstep.decision_function(wide, np.ones(2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2000 * 8 / 2


def test_what_is_missing_is_named_by_its_column() -> None:
    gaps = {"a": [1.0, 2.0, 3.0, 4.0], "n": [1.0, None, 3.0, 4.0]}
    words = "X must be finite, got nan at row 1, column 'n': fill the missing value in, or leave its row out"
    sparse = pd.DataFrame(gaps).fillna(0).astype(pd.SparseDtype("float64", 0.0))
    sparse["n"] = pd.arrays.SparseArray([1.0, np.nan, 3.0, 0.0], fill_value=0.0)
    plain = pd.DataFrame(gaps)
    by_arrow = plain.convert_dtypes(dtype_backend="pyarrow")
    for frame in (plain, plain.convert_dtypes(), by_arrow, pl.DataFrame(gaps), pa.table(gaps), sparse):
        for call in (
            gradstep.fit,
            gradstep.Trainer().fit,
            gradstep.path,
            gradstep.LogisticRegression().fit,
            lambda frame, y: gradstep.LogisticRegression().fit(X[:, :2], y).predict(frame),
        ):
            with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match=re.escape(words)):
                call(frame, Y)
    with pytest.raises(ValueError, match=r"^X must be finite, got inf at row 0, column 'a'$"):
        gradstep.fit(pd.DataFrame({"a": [np.inf, 1.0], "b": [1, 2]}), [0, 1])


def test_without_any_library_of_frames_it_says_so() -> None:
    program = (
        "import importlib.util as u; u.find_spec = lambda name: None\nimport gradstep\n"
        "class Frame:\n def __arrow_c_stream__(self, schema=None): raise SystemExit(1)\n"
        "try: gradstep.fit(Frame(), [0, 1])\nexcept TypeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "X must be a frame of pandas, polars or pyarrow, or come with pyarrow installed, got Frame\n"
    )


@pytest.mark.parametrize("of", [pd.DataFrame, pl.DataFrame, pa.table])
def test_results_know_the_columns_they_were_fitted_to(of: Any) -> None:
    columns = {"age": B, "dose": C, "twice": [2 * value for value in C]}
    frame, other, fewer = of(columns), of({"dose": C, "age": B, "twice": B}), of({"age": B, "dose": C})
    for result in (gradstep.fit(frame, Y, l2=0.1), gradstep.Trainer(0.1, 3).fit(frame, Y)):
        assert result.feature_names == ("age", "dose", "twice")
        plain = np.column_stack(list(columns.values()))
        assert bits(result.predict_proba(frame)) == bits(result.predict_proba(plain))
        for predict in (result.decision_function, result.predict_proba, result.predict):
            with pytest.raises(
                ValueError, match="the columns of the fit in their order: column 0 is 'age' there, got 'dose'"
            ):
                predict(other)
            with pytest.raises(ValueError, match="in their order: column 2 is 'twice' there, got none"):
                predict(fewer)
    assert gradstep.fit(X, Y, l2=0.1).feature_names is None
    rng = np.random.default_rng(0)
    long = {"age": rng.normal(size=50), "dose": rng.normal(size=50)}
    y, long["twice"] = rng.integers(0, 2, 50), 2 * long["dose"]
    best = gradstep.fit(of(long), y)
    assert "left out    column 'twice'" in repr(best)
    found = gradstep.inference.infer(best, np.column_stack(list(long.values())), y)
    assert found.names == ("age", "dose", "twice", "(bias)") and found.left_out == ("twice",)
