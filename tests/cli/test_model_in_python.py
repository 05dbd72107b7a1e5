"""The model in Python, from a model file or from an estimator: it finds the columns of a frame by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradstep
from helpers.commands import codes, pl, problem, run, trained

pa = pytest.importorskip("pyarrow", exc_type=ImportError)  # with an old NumPy it cannot be imported


def test_it_predicts_what_the_command_line_predicts(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for classes in (2, 3):
        frame = problem(classes=classes)
        frame.write_csv("data.csv")
        for args in ([], ["--standardize"]):
            trained(capfd, "data.csv", *args, "--out", "model.json")
            model = gradstep.load("model.json")
            assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
            want = pl.read_parquet("p.parquet")
            probability, label = want.drop("label").to_numpy(), want["label"].to_list()
            swapped = frame.select("answer", "flag", "a", "count")
            mapping = {name: swapped[name].to_list() for name in swapped.columns}
            array = frame.drop("answer").cast(pl.Float64).to_numpy()
            for table in (swapped, swapped.to_pandas(), swapped.to_arrow(), mapping, array):
                got = model.predict_proba(table)
                assert got.shape == ((60,) if classes == 2 else (60, 3))
                np.testing.assert_array_equal(got.reshape(60, -1), probability)
                assert model.predict(table).tolist() == label


def mixed(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({
        "x": rng.normal(size=rows),
        "port": rng.choice(["S", "C", "Q"], rows),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 200, rows), unit="D"),
    })  # fmt: skip
    frame["y"] = np.where(frame.x + (frame.port == "Q") + rng.logistic(size=rows) > 0, "yes", "no")
    return frame


def test_text_and_dates_of_frames(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = mixed()
    frame.to_csv("data.csv", index=False)
    trained(capfd, "data.csv", "--out", "model.json")
    model = gradstep.load("model.json")
    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    want = pl.read_parquet("p.parquet")["probability_yes"].to_list()
    frames = {
        "objects": frame.astype({"port": object}),
        "categories": frame.astype({"port": "category"}),
        "strings": frame.astype({"port": "string"}),
        "polars": pl.from_pandas(frame),
        "days": pl.from_pandas(frame).with_columns(pl.col("day").cast(pl.Date)),
        "arrow": pa.Table.from_pandas(frame),
        "dict": {name: frame[name].tolist() for name in frame},
        "text": frame.astype({"day": str}),
    }
    for name, table in frames.items():
        assert model.predict_proba(table).tolist() == want, name
    frame.loc[3, "port"] = None
    for dtype in (object, "category", "string"):
        with pytest.raises(ValueError, match="X: column 'port', data row 4: missing value"):
            model.predict_proba(frame.astype({"port": dtype}))
    Path("data.csv").write_text(frame.to_csv(index=False))
    trained(capfd, "data.csv", "--missing", "drop", "--out", "drop.json")
    assert np.isnan(gradstep.load("drop.json").predict_proba(frame)).nonzero()[0].tolist() == [3]
    frame.loc[3, "port"] = "X"
    with pytest.raises(
        ValueError, match="X: column 'port', data row 4: must hold one of the categories 'C', 'Q', 'S', got 'X'"
    ):
        model.predict(frame)


def test_missing_values(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    gaps = frame.with_columns(a=pl.when(pl.int_range(60) != 7).then("a"))
    for args, answer in [([], None), (["--missing", "drop"], None), (["--missing", "mean"], "filled")]:
        source = gaps if answer else frame
        source.write_csv("data.csv")
        trained(capfd, "data.csv", *args, "--out", "model.json")
        model = gradstep.load("model.json")
        for table in (gaps, gaps.to_pandas(), gaps.to_pandas().convert_dtypes(), gaps.to_arrow()):
            if not args:
                with pytest.raises(ValueError, match="X: column 'a', data row 8: missing value"):
                    model.predict_proba(table)
                continue
            probability, labels = model.predict_proba(table), model.predict(table)
            assert np.isnan(probability).nonzero()[0].tolist() == ([] if answer else [7])
            assert [label is None for label in labels].count(True) == (0 if answer else 1)
    with pytest.raises(ValueError, match="column 'count', data row 1: must hold finite numbers, got inf"):
        model.predict_proba(frame.with_columns(count=np.inf))


def test_a_frame_that_lacks_a_column(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    model = gradstep.load("model.json")
    for table in (problem().drop("flag"), problem().drop("flag").to_pandas(), {"a": [1.0], "count": [2]}):
        with pytest.raises(ValueError, match="X: lacks 'flag', needed by the model"):
            model.predict_proba(table)
    with pytest.raises(ValueError, match="X"):
        model.predict_proba(np.zeros((3, 2)))


def test_save_and_load(tmp_path: Path) -> None:
    frame = problem()
    estimator = gradstep.LogisticRegression(l2=0.1).fit(frame.drop("answer").to_pandas(), frame["answer"].to_list())
    model = estimator.to_model(target="answer")
    model.save(tmp_path / "model.json")
    assert gradstep.load(tmp_path / "model.json") == gradstep.load(str(tmp_path / "model.json")) == model
    assert isinstance(model, gradstep.Model)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_model_of_an_estimator(
    tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str], classes: int
) -> None:
    frame = problem(classes=classes)
    X, y = frame.drop("answer").to_pandas().astype(float), frame["answer"].to_numpy()
    estimator = gradstep.LogisticRegression(l2=0.01).fit(X, y)
    model = estimator.to_model(target="answer")
    got = model.predict_proba(frame)
    np.testing.assert_array_equal(got.reshape(60, -1), estimator.predict_proba(X)[:, 1 if classes == 2 else 0 :])
    np.testing.assert_array_equal(model.predict(frame), estimator.predict(X))
    assert (model.features, model.options["l2"], model.result["converged"]) == (["a", "count", "flag"], 0.01, True)
    model.save("model.json")
    frame.write_csv("data.csv")
    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    np.testing.assert_array_equal(pl.read_parquet("p.parquet").drop("label").to_numpy(), got.reshape(60, -1))
    # A model that train makes of the same rows has the same weights.
    want = trained(capfd, "data.csv", "--l2", 0.01)
    assert (model.weights, model.bias) == (want["weights"], want["bias"])


def test_names_of_an_estimators_model() -> None:
    X = problem().drop("answer").to_numpy().astype(float)
    estimator = gradstep.LogisticRegression(l2=0.1).fit(X, codes(problem()).astype(int))
    assert estimator.to_model().features == ["column_1", "column_2", "column_3"]
    assert estimator.to_model(features=["p", "q", "r"]).predict(
        {"r": X[:, 2], "q": X[:, 1], "p": X[:, 0]}
    ).tolist() == (estimator.predict(X).tolist())
    with pytest.raises(ValueError, match="features must hold 3 different names, got \\['p', 'p', 'q'\\]"):
        estimator.to_model(features=["p", "p", "q"])


def test_numbers_need_numpy_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mixed().to_csv("data.csv", index=False)
    trained(capfd, "data.csv", "--features", "x", "--missing", "mean", "--out", "numbers.json")
    trained(capfd, "data.csv", "--out", "text.json")
    program = (
        "import sys; sys.modules.update(polars=None, pandas=None, sklearn=None)\n"
        "import gradstep\n"
        "print(gradstep.load('numbers.json').predict_proba({'x': [0.5, 1.5]}).shape)\n"
        "try: gradstep.load('text.json').predict_proba({'x': [1], 'port': ['C'], 'day': ['2024-01-01']})\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "(2,)\ncolumns of a frame that do not hold numbers need polars: pip install 'gradstep[cli]'\n"
    assert json.loads(Path("text.json").read_text())["version"] == 2
