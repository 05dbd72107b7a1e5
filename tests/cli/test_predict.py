"""`predict`: the predictions of the model, to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import gradstep
from helpers.commands import pl, problem, run, trained
from helpers.program import ROWS, ok, one_line


def test_predict_to_the_last_bit(folder: Path) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    frame.select("answer", "flag", pl.lit("ignored").alias("note"), "count", "a").write_parquet("other.parquet")
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    model = json.loads((folder / "model.json").read_text())
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy()
    want = gradstep.predict_proba(X, model["weights"], model["bias"])

    printed = ok("predict", "model.json", "data.csv", cwd=folder)
    lines = printed.splitlines()
    assert lines[0] == "probability_yes,label"
    assert [float(line.split(",")[0]) for line in lines[1:]] == want.tolist()
    assert [line.split(",")[1] for line in lines[1:]] == np.where(want > 0.5, "yes", "no").tolist()
    assert {"yes", "no"} == {line.split(",")[1] for line in lines[1:]}

    assert ok("predict", "model.json", "other.parquet", cwd=folder) == printed, "by name, whatever the order"
    assert ok("predict", "model.json", "data.csv", "--out", "p.csv", cwd=folder) == ""
    assert (folder / "p.csv").read_text() == printed
    assert ok("predict", "model.json", "data.csv", "--out", "p.parquet", cwd=folder) == ""
    assert pl.read_parquet("p.parquet")["probability_yes"].to_list() == want.tolist()
    rows = json.loads(ok("predict", "model.json", "data.csv", "--json", cwd=folder))
    assert [row["probability_yes"] for row in rows] == want.tolist()
    assert rows[0].keys() == {"probability_yes", "label"}


def test_predict_standardizes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", "--standardize", "--out", "model.json")
    assert run(["predict", "model.json", "data.csv", "--json"]) == 0
    got = [row["probability_yes"] for row in json.loads(capfd.readouterr().out)]
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy()
    x = (X - np.array(model["standardize"]["mean"])) / np.array(model["standardize"]["scale"])
    assert got == gradstep.predict_proba(x, model["weights"], model["bias"]).tolist()


def test_predict_without_header(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [(0.5, 1, 1), (1.5, -2, 1), (0.25, 3, 0), (2.5, 0, 0)]
    files: dict[str, list[tuple[float, ...]]] = {
        "with.csv": [*rows],
        "without.csv": [(a, b) for a, b, _ in rows],
        "first.csv": [(y, a, b) for a, b, y in rows],
        "one.csv": [(a,) for a, _, _ in rows],
    }
    for name, table in files.items():
        (folder / name).write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    (folder / "named.csv").write_text("p,q\n" + (folder / "without.csv").read_text())

    def predicted(model: str, name: str) -> str:
        assert run(["predict", model, name]) == 0
        return capfd.readouterr().out

    trained(capfd, "with.csv", "--l2", 0.1, "--out", "last.json")
    trained(capfd, "first.csv", "--l2", 0.1, "--target", "column_1", "--out", "first.json")
    assert len({predicted("last.json", "with.csv"), predicted("last.json", "without.csv")}) == 1
    assert len({predicted("first.json", "first.csv"), predicted("first.json", "without.csv")}) == 1
    assert len(predicted("last.json", "with.csv").splitlines()) == 5

    for name, words in [("one.csv", "1 columns and no header; the model needs 2"), ("named.csv", "lacks 'column_1'")]:
        assert run(["predict", "last.json", name]) == 1
        assert words in one_line(capfd.readouterr().err)


def test_predict_knows_a_header_of_numbers(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "train.csv").write_text("0,1,label\n1,5,0\n2,4,1\n3,7,0\n4,1,1\n")
    trained(capfd, "train.csv", "--header", "--l2", 0.1, "--out", "model.json")
    (folder / "new.csv").write_text("0,1\n10,20\n20,10\n")
    (folder / "swapped.csv").write_text("1,0\n20,10\n10,20\n")
    (folder / "bare.csv").write_text("10,20\n20,10\n")
    printed = set()
    for name in ("new.csv", "swapped.csv", "bare.csv"):
        assert run(["predict", "model.json", name]) == 0
        printed.add(capfd.readouterr().out)
    assert len(printed) == 1 and len(printed.pop().splitlines()) == 3


def test_predict_refuses(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    trained(capfd, "data.csv", "--out", "model.json")
    (folder / "broken.json").write_text((folder / "model.json").read_text()[:-20])
    for content, model, words in [
        ("x1,y\n1,no\n", "model.json", "lacks 'x2', needed by the model; the columns are 'x1', 'y'"),
        ("x1,x2\n1,2\n3,\n", "model.json", "'x2', data row 2: missing value"),
        ("x1,x2\n1,2\n3,u\n", "model.json", "'x2', data row 2: must hold numbers, got 'u'"),
        ("x1,x2\n", "model.json", "no data rows"),
        (ROWS, "broken.json", "model file broken.json must be JSON"),
        (ROWS, "none.json", "none.json: No such file"),
        (ROWS, "data.csv", "model file data.csv must be JSON"),
    ]:
        (folder / "data.csv").write_text(content)
        assert run(["predict", model, "data.csv", "--out", "p.csv"]) == 1
        assert words in one_line(capfd.readouterr().err)
        assert not (folder / "p.csv").exists()
    assert sorted(os.listdir(folder)) == ["broken.json", "data.csv", "model.json"]
