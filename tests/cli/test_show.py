"""`show` and `train --plot`: the page and the picture are those that `gradstep.show` and `gradstep.plot` make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.commands import codes, pl, problem, run
from helpers.program import ok, program
from helpers.shown import held, numbers


def matrix(frame: Any) -> Any:
    return frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")


@pytest.mark.parametrize("standardize", [False, True])
def test_the_page_is_that_of_the_function(folder: Path, standardize: bool) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    options = ["--learning-rate", 0.002, "--epochs", 7, "--batch-size", 4, "--l2", 0.01, "--shuffle", "--seed", 3]
    options += ["--reduction", "sum", "--start", "0.5,-0.25,1,2", "--columns", "flag", "a"]
    options += ["--standardize"] * standardize
    done = program("show", "data.csv", *options, "--out", "page.html", "--no-open", cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"{folder / 'page.html'}\n")
    assert "note: a constant prediction has a smaller loss" in done.stderr, "as train says"
    X = matrix(frame)
    X = (X - X.mean(axis=0)) / X.std(axis=0) if standardize else X
    trainer = gradstep.Trainer(0.002, 7, batch_size=4, l2=0.01, shuffle=True, seed=3, reduction="sum")
    descent = trainer.fit(X, codes(frame), [0.5, -0.25, 1.0], 2.0)
    want = gradstep.show(
        descent, X, codes(frame), columns=(2, 0), names=frame.columns[:3], labels=["no", "yes"],
        title="answer in data.csv", file="other.html", open_browser=False,
    )  # fmt: skip
    assert want.read_text(encoding="utf-8") == (folder / "page.html").read_text(encoding="utf-8")


def test_its_advice_on_columns_can_be_followed(folder: Path) -> None:
    names = pl.Series("name", [f"n{k}" for k in range(len(problem()))])
    frame = problem().with_columns(names, pl.when(names == "n0").then(None).otherwise(pl.col("a")).alias("a"))
    frame.select("name", *problem().columns).write_csv("data.csv")
    command = ["show", "data.csv", "--epochs", 2, "--no-open", "--out", "page.html"]
    refused = program(*command, cwd=folder)
    assert refused.returncode == 1 and refused.stderr.rstrip().endswith("add: --drop name --missing drop")
    assert program(*command, "--drop", "name", "--missing", "drop", cwd=folder).returncode == 0
    assert held((folder / "page.html").read_text(encoding="utf-8"))["names"] == ["a", "count", "flag"]


def test_the_perceptron_of_another_target(folder: Path) -> None:
    frame = problem().drop("answer").select("flag", "a", "count")
    frame.write_csv("data.csv")
    page = Path(
        ok(
            "show", "data.csv", "--target", "flag", "--activation", "step", "--no-open", "--epochs", 3, cwd=folder
        ).strip()
    )
    got = held(page.read_text(encoding="utf-8"))
    page.unlink()
    assert (got["activation"], got["names"], got["labels"]) == ("step", ["a", "count"], ["False", "True"])
    want = gradstep.Trainer(0.1, 3, activation="step").fit(
        frame.select("a", "count").to_numpy(), frame["flag"].to_numpy()
    )
    path = numbers(got["runs"]["step"][got["rate"]]["path"]).reshape(-1, 3)
    assert path[-1].tolist() == [*want.weights, want.bias]
    assert os.listdir(folder) == ["data.csv"]


def test_it_opens_the_browser_unless_told_not_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem().write_csv("data.csv")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(["show", "data.csv", "--epochs", "2", "--out", "page.html"]) == 0
    assert opened == [(folder / "page.html").as_uri()]
    assert run(["show", "data.csv", "--epochs", "2", "--out", "page.html", "--no-open"]) == 0
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["show", "data.csv", "--out", "data.csv"], 2, "is one of the files to read"),
        (["show", "data.csv", "--out", "no/page.html"], 1, "no such folder"),
        (["show", "data.csv", "--seed", "3"], 2, "--seed needs --shuffle"),
        (
            ["show", "data.csv", "--columns", "a", "b"],
            1,
            "there is no feature 'b'; the features are 'a', 'count', 'flag'",
        ),
        (["show", "data.csv", "--columns", "a", "a"], 1, "columns must be two different columns"),
        (
            ["show", "three.csv"],
            1,
            "has 3 values: the page is for two; gradstep train --plot draws the regions of more",
        ),
        (["show", "data.csv", "--start", "1,2"], 1, "--start must have a weight for each"),
        (["train", "data.csv", "--plot", "picture.bmp"], 2, "must end in .png, .svg, .pdf"),
        (["train", "data.csv", "--plot", "data.csv"], 2, "must end in"),
        (["train", "data.csv", "--plot", "no/picture.png"], 1, "no such folder"),
        (["train", "data.csv", "--plot", "a.png", "--out", "a.png"], 2, "is one of the files to read or write"),
    ],
)
def test_refused(folder: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, words: str) -> None:
    problem().write_csv("data.csv")
    problem(classes=3).write_csv("three.csv")
    assert run(args) == code
    out, err = capfd.readouterr()
    assert out == "" and words in " ".join(err.split())
    assert sorted(os.listdir(folder)) == ["data.csv", "three.csv"]


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-"), (".PNG", b"\x89PNG\r\n")]
)
def test_train_draws_the_fit(folder: Path, capfd: pytest.CaptureFixture[str], suffix: str, begins: bytes) -> None:
    problem().write_csv("data.csv")
    for options in ([], ["--epochs", "5"], ["--l1", "0.01"]):
        assert run(["train", "data.csv", *options, "--plot", f"fit{suffix}", "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")
        assert (folder / f"fit{suffix}").read_bytes().startswith(begins)
        (folder / f"fit{suffix}").unlink()


def test_what_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    training = gradstep.plot.training

    def recording(*args: Any) -> Any:
        seen.append(args)
        return training(*args)

    monkeypatch.setattr(gradstep.plot, "training", recording)
    frame = problem()
    frame.write_csv("data.csv")
    assert run(["train", "data.csv", "--epochs", "5", "--standardize", "--plot", "fit.png"]) == 0
    ((result, X, y, names),) = seen
    assert np.array_equal(y, codes(frame)) and names == ["a", "count", "flag"]
    np.testing.assert_allclose(X.std(axis=0), 1.0)
    assert result == gradstep.Trainer(epochs=5).fit(X, y)


def test_without_matplotlib_an_error_names_the_extra(folder: Path) -> None:
    problem().write_csv("data.csv")
    program = "import sys; sys.modules['matplotlib'] = None; from gradstep.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "data.csv", "--plot", "a.png"],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "--plot: gradstep.plot needs matplotlib 3.8 or newer: pip install 'gradstep[plot]'" in done.stderr
