"""`train` chooses the strength of a penalty by cross-validation, and writes the weights at every strength."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.commands import codes, pl, problem, run, trained
from helpers.program import ok


def data(classes: int = 2) -> tuple[Any, Any]:
    """The features and the target of data.csv, which is written."""
    frame = problem(rows=90, classes=classes)
    frame.write_csv("data.csv")
    return frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c"), codes(frame)


def dealt(y: Any, folds: int) -> Any:
    """The fold of each row: each class is dealt out in turn."""
    return np.array([np.sum(y[:row] == y[row]) % folds for row in range(len(y))])


@pytest.mark.parametrize(("classes", "ratio"), [(2, None), (2, 0.5), (2, 0.0), (3, None)])
def test_the_strength_with_the_least_error_on_rows_left_out(
    folder: Path, capfd: pytest.CaptureFixture[str], classes: int, ratio: float | None
) -> None:
    X, y = data(classes)
    args = ["--cv", 3] if ratio is None else ["--cv", 3, "--l1-ratio", ratio]
    model = trained(capfd, "data.csv", *args)
    records = model.pop("cross_validation")
    part = 1.0 if ratio is None else ratio
    path = gradstep.path(X, y, l1_ratio=part, n=30)
    assert [record["strength"] for record in records] == path.strengths.tolist()
    assert [record["nonzero"] for record in records] == path.n_nonzero.tolist()
    fold = dealt(y, 3)
    errors = np.array(
        [
            [
                gradstep.loss(X[fold == k], y[fold == k], best.weights, best.bias)
                for s in path.strengths
                for best in [gradstep.fit(X[fold != k], y[fold != k], l1=part * s, l2=(1 - part) * s)]
            ]
            for k in range(3)
        ]
    )
    # The objective is within 1e-8 of its minimum. Weights, and so errors on other rows, are within the root of 1e-8.
    np.testing.assert_allclose([record["loss"] for record in records], errors.mean(axis=0), atol=1e-4)
    spread = errors.std(axis=0, ddof=1) / np.sqrt(3)  # as exact as the errors
    np.testing.assert_allclose([record["standard_error"] for record in records], spread, atol=1e-4)
    losses = np.array([record["loss"] for record in records])
    best = int(losses.argmin())
    simplest = int(np.flatnonzero(losses <= losses[best] + records[best]["standard_error"])[0])
    marks = {place: record["mark"] for place, record in enumerate(records) if record["mark"]}
    assert marks == (
        {simplest: "within one standard error", best: "best"}
        if best != simplest
        else {best: "best, within one standard error"}
    )
    chosen = records[best]
    assert (chosen["l1"], chosen["l2"]) == (part * chosen["strength"], (1 - part) * chosen["strength"])
    want = gradstep.fit(X, y, l1=chosen["l1"], l2=chosen["l2"])
    assert model["weights"] == want.weights.tolist()
    expected = {"cv": 3, "l1_ratio": part, "l1": chosen["l1"], "l2": chosen["l2"]}
    assert model["options"] == model["options"] | expected


def test_it_prints_the_errors_and_marks_two(folder: Path) -> None:
    data()
    errors, facts, weights = ok("train", "data.csv", "--cv", 4, cwd=folder).split("\n\n")
    head, *lines = errors.splitlines()
    assert head.split() == ["strength", "columns", "loss", "±"]
    assert 5 <= len(lines) <= 30
    assert sum("best" in line for line in lines) == sum("within one standard error" in line for line in lines) == 1
    assert facts.startswith("rows") and weights.startswith("feature")


@pytest.mark.parametrize(("suffix", "read"), [("csv", "read_csv"), ("parquet", "read_parquet")])
def test_the_path_is_written(folder: Path, capfd: pytest.CaptureFixture[str], suffix: str, read: str) -> None:
    X, y = data()
    args = ["--path", f"path.{suffix}", "--l1-ratio", 0.5, "--l2", 0.1]
    model = trained(capfd, "data.csv", *args)
    want = gradstep.path(X, y, l1_ratio=0.5)
    got = getattr(pl, read)(f"path.{suffix}")
    assert got.columns == ["strength", "nonzero", "deviance_explained", "loss", "objective", "gap", "bias",
                           "weight_a", "weight_count", "weight_flag"]  # fmt: skip
    assert got["strength"].to_list() == want.strengths.tolist() and got["gap"].to_list() == want.gap.tolist()
    assert got.select("^weight_.*$").to_numpy().tolist() == want.weights.tolist()
    assert model["weights"] == gradstep.fit(X, y, l2=0.1).weights.tolist()  # the path does not change the model


def test_standardized_columns(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = data()
    model = trained(capfd, "data.csv", "--standardize", "--cv", 3, "--path", "path.csv")
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    want = gradstep.path(Z, y, n=30)
    np.testing.assert_allclose([row["strength"] for row in model["cross_validation"]], want.strengths, rtol=1e-12)
    assert np.isclose(pl.read_csv("path.csv")["strength"][0], want.strengths[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--l1-ratio", 0.5], 2, "--l1-ratio needs --cv or --path"),
        (["--cv", 1], 2, "'1' is not a whole number from 2"),
        (["--cv", 5, "--l1", 0.1], 2, "--cv chooses the strength of the penalty: it excludes --l1"),
        (["--cv", 5, "--l2", 0.1], 2, "it excludes --l2"),
        (["--cv", 5, "--epochs", 3], 2, "--epochs is for a descent, --cv for the optimum"),
        (["--cv", 60], 1, "fewer than --cv 60: take fewer folds"),
        (["--path", "path.txt"], 2, "'--path': must end in .csv or .parquet"),
        (["--path", "data.csv"], 2, "'--path': is one of the files to read"),
        (["--cv", 3, "--l1-ratio", 2], 2, "'--l1-ratio': 2.0 is not in the range"),
    ],
)
def test_what_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], args: list[object], code: int, message: str
) -> None:
    data()
    assert run(["train", "data.csv", *map(str, args)]) == code
    out, err = capfd.readouterr()
    assert message in err and out == ""


def test_the_file_of_a_path_is_for_two_classes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data(3)
    assert run(["train", "data.csv", "--path", "path.csv"]) == 2
    assert "--path is for two classes, target 'answer' has 3" in capfd.readouterr().err
