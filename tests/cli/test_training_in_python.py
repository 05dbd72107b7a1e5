"""`gradstep.train` makes of files and of frames the model that `gradstep train` makes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gradstep
from helpers.commands import trained

pa = pytest.importorskip("pyarrow", exc_type=ImportError)

N = 80


def messy() -> pd.DataFrame:
    """Numbers, text, dates, booleans and missing values, with a target in words."""
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({
        "x": rng.normal(size=N).round(3),
        "port": rng.choice(["S", "C", "Q"], N),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 200, N), unit="D"),
        "flag": rng.random(N) < 0.5,
        "n": rng.integers(1, 4, N),
        "name": [f"person {k}" for k in range(N)],
    })  # fmt: skip
    frame["y"] = np.where(frame.x + (frame.port == "Q") + rng.logistic(size=N) > 0, "yes", "no")
    frame.loc[[3, 17], "x"] = np.nan
    frame.loc[5, "port"] = None
    return frame


ASKED: dict[str, Any] = {"missing": "indicator", "ids": ["name"], "weight": "n", "l2": 0.01, "positive": "no"}
OPTIONS = ["--missing", "indicator", "--id", "name", "--weight", "n", "--l2", 0.01, "--positive", "no"]


def test_a_file_and_a_frame_give_the_model_of_the_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = messy()
    frame.to_csv("data.csv", index=False)
    trained(capfd, "data.csv", *OPTIONS, "--out", "model.json")
    want = gradstep.load("model.json")
    assert gradstep.train("data.csv", **ASKED) == gradstep.train(Path("data.csv"), "y", **ASKED) == want
    frame.to_parquet("data.parquet", index=False)
    assert want.encoding
    by_text = ("weights", "bias", "classes", "features", "result", "standard_errors")
    tables = {
        "parquet": "data.parquet",
        "pandas": frame,
        "strings": frame.astype({"port": "string"}),
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame, preserve_index=False),
        "dict": {name: frame[name].to_numpy(object).tolist() for name in frame} | {"day": frame.day.tolist()},
    }
    for name, table in tables.items():
        got = gradstep.train(table, "y", **ASKED)
        assert [getattr(got, part) for part in by_text] == [getattr(want, part) for part in by_text], name
        if not isinstance(table, str):
            assert got.predict(table).tolist() == want.predict(frame).tolist()


@pytest.mark.parametrize(
    ("options", "args"),
    [
        ({"cv": 3, "l1_ratio": 0.5}, ["--cv", 3, "--l1-ratio", 0.5]),
        ({"l1": 0.05}, ["--l1", 0.05]),
        ({"standardize": True, "solver": "gd"}, ["--standardize", "--solver", "gd"]),
        ({"fit_bias": False, "certify": False}, ["--no-bias", "--no-certify"]),
        ({"test": 0.25, "seed": 4}, ["--test", 0.25, "--seed", 4]),
        (
            {"trainer": gradstep.Trainer(0.5, 20, batch_size=8, shuffle=True, seed=3, l2=0.1)},
            ["--learning-rate", 0.5, "--epochs", 20, "--batch-size", 8, "--shuffle", "--seed", 3, "--l2", 0.1],
        ),
        ({"trainer": gradstep.Trainer(0.5, 20, activation="step")},
         ["--learning-rate", 0.5, "--epochs", 20, "--activation", "step"]),
    ],
)  # fmt: skip
def test_options_are_those_of_the_command(
    folder: Path, capfd: pytest.CaptureFixture[str], options: dict[str, Any], args: list[object]
) -> None:
    messy().drop(columns="name").dropna().to_csv("data.csv", index=False)
    trained(capfd, "data.csv", *args, "--out", "model.json")
    with warnings.catch_warnings(action="ignore"):
        assert gradstep.train("data.csv", **options) == gradstep.load("model.json")


def test_what_must_be_decided_is_told_in_arguments() -> None:
    frame = messy()
    with pytest.raises(ValueError, match="data: 3 things to decide") as caught:
        gradstep.train(frame)
    assert str(caught.value).splitlines() == [
        "data: 3 things to decide",
        "column 'x', data row 4: missing value, 2 of 80 are missing: missing='drop', 'mean' or 'indicator'",
        "column 'port', data row 6: missing value, the only one of 80: missing='drop', 'mean' or 'indicator'",
        "column 'name', data row 1: text with 80 different values in 80 rows, such as 'person 0': "
        "drop or ids leaves it out, categorical takes it all the same",
        "for example, add: missing='drop', drop=['name']",
    ]
    advice = str(caught.value).rpartition("add: ")[2]
    assert eval(f"gradstep.train(frame, {advice})").result["rows"] == N - 3
    for cells, words in [
        (["1,5", "2,0"] * 4, "decimal=',' reads it"),
        (["1/2/2024", "3/4/2024"] * 4, "date_format='%d/%m/%Y' or date_format='%m/%d/%Y' reads it"),
        (["1", "2", "3", "4", "5", "6", "7", "x"], "add: na=['x']"),
        ([None] * 8, "add: drop=['a']"),
    ]:
        with pytest.raises(ValueError, match="column 'a'") as caught:
            gradstep.train({"a": cells, "b": range(8), "y": [0, 1] * 4})
        assert words in str(caught.value) and "--" not in str(caught.value)
    with pytest.raises(
        ValueError, match=r"no optimum: along column 'x' .* such as l2=0\.001 or firth=True, makes them finite"
    ):
        gradstep.train({"x": [1, 2, 3, 4], "y": [0, 0, 1, 1]})
    with pytest.raises(ValueError, match="must hold one of the categories 'C', 'Q', 'S', got 'X'"):
        gradstep.train(frame, **ASKED).report(frame.assign(port="X"))


def test_what_is_not_as_it_should_be_is_warned_of() -> None:
    table = {"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "y": [0, 1, 0, 1, 0, 1]}
    with pytest.warns(UserWarning, match=r"not proved \(stopped by 'passes', max_passes=2\.0\).* a larger max_passes"):
        gradstep.train(table, max_passes=2.0)
    with pytest.warns(UserWarning, match="a") as said:
        gradstep.train({"x": [1e3, 2e3, 3e3, 4e3], "y": [0, 1, 0, 1]}, trainer=gradstep.Trainer(1.0, 3))
    rise, constant = (str(warning.message) for warning in said)
    assert rise.startswith("the loss rose from 0.6931472 to 250000 in epoch 1: a smaller learning rate?")
    assert constant.endswith("try more epochs or a smaller learning_rate, or standardize=True")
    gradstep.train(table)  # pytest turns a warning into an error


TABLE = {"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}


@pytest.mark.parametrize(
    ("kind", "words", "data", "options"),
    [
        (TypeError, "data must be a path, a data frame, or a mapping of names to columns, got list", [[1.0]], {}),
        (TypeError, "data must be a path, a data frame, .*, got ndarray", np.ones((3, 2)), {}),
        (ValueError, r"data must have at least one column and one row, got shape \(0, 0\)", {}, {}),
        (ValueError, "data must have columns of one length, got", {"a": [1], "y": [1, 2]}, {}),
        (ValueError, "data: has no column 'z'; the columns are 'x', 'y'", TABLE, {"target": "z"}),
        (ValueError, "cv chooses the strength of the penalty: it excludes l2", TABLE, {"cv": 2, "l2": 1}),
        (ValueError, "cv must be an integer of at least 2, got 1", TABLE, {"cv": 1}),
        (TypeError, "l2 must be a real number, got str", TABLE, {"l2": "1"}),
        (TypeError, "standardize must be True or False, got int", TABLE, {"standardize": 1}),
        (ValueError, "missing must be one of 'drop', .*, or None, got 'keep'", TABLE, {"missing": "keep"}),
        (TypeError, "drop must be a list of str, got 3", TABLE, {"drop": 3}),
        (ValueError, "test must be between 0 and 1, got 1", TABLE, {"test": 1.0}),
        (
            ValueError, "target 'y' has 1 rows with 1: test=0.5 needs two of each class",
            {"x": [1, 2, 3], "y": [0, 0, 1]}, {"test": 0.5},
        ),
        (ValueError, "l1_ratio must be from 0 to 1, got 2", TABLE, {"l1_ratio": 2}),
        (TypeError, "trainer must be a Trainer, got float", TABLE, {"trainer": 0.1}),
        (ValueError, "trainer must come without l2, which is", TABLE, {"trainer": gradstep.Trainer(), "l2": 0.1}),
        (ValueError, "delimiter must be one ASCII character, got ';;'", TABLE, {"delimiter": ";;"}),
        (ValueError, "encoding must be one that Python knows, such as 'latin-1', got 'x'", TABLE, {"encoding": "x"}),
        (ValueError, "l2 must be", TABLE, {"l2": -1}),
        (TypeError, "train has no 'lr'", TABLE, {"lr": 1}),
        (FileNotFoundError, "absent.csv", "absent.csv", {}),
    ],
)  # fmt: skip
def test_what_is_refused(kind: type[Exception], words: str, data: Any, options: dict[str, Any]) -> None:
    with pytest.raises(kind, match=words):
        gradstep.train(data, **options)


def test_without_polars_an_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules.update(polars=None)\nimport gradstep\n"
        "try: gradstep.train\nexcept ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "gradstep.train needs polars: pip install 'gradstep[cli]'\n"


def test_two_columns_of_one_name_are_refused_by_name(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    rng = np.random.default_rng(0)
    numbers, words = rng.normal(size=20), np.array(["u", "v"] * 10)
    y = rng.integers(0, 2, 20)
    model = gradstep.train({"a": numbers, "b": numbers**2, "y": y}, "y", l2=0.1)
    for second in (numbers, words):
        frames = [
            pd.concat([pd.Series(values) for values in (numbers, second, y)], axis=1, keys=["a", "a", "y"]),
            pa.Table.from_arrays([pa.array(values) for values in (numbers, second, y)], names=["a", "a", "y"]),
        ]
        parquet.write_table(frames[1], tmp_path / "twice.parquet")
        for frame in frames:
            for refuse in (
                lambda frame: gradstep.train(frame, "y"),
                model.report,
                lambda frame: gradstep.LogisticRegression().fit(frame, y),
                lambda frame: gradstep.LogisticRegression().fit(np.ones((20, 3)), y).predict(frame),
            ):
                with pytest.raises(ValueError, match=r"^(data|X) must have columns of different names, .* named 'a'$"):
                    refuse(frame)
            with pytest.raises(ValueError, match=r"^X: lacks 'b', needed by the model; the columns are 'a', 'a', 'y'$"):
                model.predict(frame)
        for refuse in (gradstep.train, model.report):
            with pytest.raises(ValueError, match=r"twice.parquet: column with name 'a' has more than one occurrence"):
                refuse(tmp_path / "twice.parquet")
    both = pd.DataFrame(np.column_stack([numbers, numbers, numbers]), columns=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"^X must have columns of different names, got two that are named 'a'$"):
        model.predict(both)
    extra = both.set_axis(["a", "b", "c"], axis=1)
    assert len(model.predict(pd.concat([extra, extra["c"]], axis=1))) == 20  # the model needs no "c"
    with pytest.raises(ValueError, match=r"^data must have columns of different names, got two that are named '1'$"):
        gradstep.train({1: numbers, "1": numbers, "y": y})


def test_columns_without_names_are_numbered() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(20, 2)))
    frame[2] = ["no", "yes"] * 10
    model = gradstep.train(frame, l2=0.1)
    assert model.features == ["0", "1"] and model.target == "2"
    assert set(model.predict(frame)) <= {"no", "yes"}
    frame[1] = np.where(frame[1] > 0, "u", "v")
    assert len(gradstep.train(frame, l2=0.1).predict(frame)) == 20
