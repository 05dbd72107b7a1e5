"""The command line on real files: the reference optima."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import gradstep
from helpers.commands import pl, run, trained
from helpers.program import ok, one_line


def test_admissions(folder: Path, data_folder: Path) -> None:
    data = data_folder / "sets/admissions/data.csv"
    frame = pl.read_csv(data)
    frame.write_parquet("admissions.parquet")
    args = ["--target", "y", "--standardize", "--tol", 1e-14]
    shown = ok("train", data, *args, "--json", cwd=folder)
    assert ok("train", "admissions.parquet", *args, "--json", cwd=folder) == shown
    model = json.loads(shown)
    assert model["features"] == ["gre", "gpa", "rank2", "rank3", "rank4"]

    # At the optimum the residuals are orthogonal to every feature and to 1. This is computed without gradstep.
    X = frame.select(model["features"]).cast(pl.Float64).to_numpy()
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    residual = 1 / (1 + np.exp(-(x @ np.array(model["weights"]) + model["bias"]))) - frame["y"].to_numpy()
    assert np.abs(np.column_stack([x, np.ones(len(x))]).T @ residual).max() / len(x) < 1e-12
    assert model["result"]["rows"] == 400


SETS = [
    "admissions", "digits", "german", "hsb2", "iris", "iris_vv", "isl_default", "letter", "lgb_binary", "mammography",
    "pima_tr", "skin", "spector", "udacity_gd", "wdbc",
]  # fmt: skip


def test_the_list_of_sets_is_complete(data_folder: Path) -> None:
    """`SETS` has all sets except those whose rows have weights."""
    tables = sorted((data_folder / "sets").glob("*/data.csv"))
    headers = {table.parent.name: table.read_bytes().partition(b"\n")[0] for table in tables}
    assert [name for name, header in headers.items() if b"_weight" not in header] == SETS


@pytest.mark.parametrize("name", SETS)
def test_reference_optima(name: str, folder: Path, capfd: pytest.CaptureFixture[str], data_folder: Path) -> None:
    """The coefficients are those of an 80-bit Newton solve, which other tools confirm, to 1e-8 of the largest."""
    source = data_folder / "sets" / name
    reference = json.loads((source / "oracle.json").read_text())
    problems = {key: each for key, each in reference["problems"].items() if each["intercept"]}
    assert problems
    for key, want in problems.items():
        args = ["--target", "y", "--l2", want["l2"], *(["--standardize"] if want["scaling"] == "std" else [])]
        model = trained(capfd, source / "data.csv", *args)
        assert len(model["classes"]) == reference["K"]
        for got, expected in [(model["weights"], want["coef"]), (model["bias"], want["intercept_value"])]:
            error = np.abs(np.ravel(got) - np.ravel(expected)).max()
            assert error <= 1e-8 * np.abs(expected).max(), (key, error)
    if "mle" not in reference["problems"]:
        assert run(["train", str(source / "data.csv"), "--target", "y", "--out", "model.json"]) == 1
        assert "labels are separated" in one_line(capfd.readouterr().err)
        assert os.listdir(folder) == []


def test_udacity(folder: Path, data_folder: Path) -> None:
    data = data_folder / "udacity/data.csv"
    args = ["--batch-size", 1, "--learning-rate", 0.01, "--epochs", 100]
    model = json.loads(ok("train", data, *args, "--json", "--out", "model.json", cwd=folder))
    table = np.loadtxt(data, delimiter=",")
    want = gradstep.Trainer(0.01, 100, batch_size=1).fit(table[:, :2], table[:, 2])
    assert (model["features"], model["target"], model["classes"]) == (["column_1", "column_2"], "column_3", [0, 1])
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)
    assert model["result"]["accuracy"] > 0.9
    lines = ok("predict", "model.json", data, cwd=folder).splitlines()[1:]
    right = np.mean([int(line.split(",")[1]) == y for line, y in zip(lines, table[:, 2], strict=True)])
    assert right == model["result"]["accuracy"]
