"""`train` as the lesson: a table of epochs while the descent goes on, its start, the perceptron, a loss that rises."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.commands import codes, pl, problem, run, trained
from helpers.program import PROGRAM, ok

LESSON = ["--learning-rate", 0.01, "--epochs", 25, "--batch-size", 1]


def matrix(frame: Any) -> Any:
    return frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(("every", "epochs"), [(10, [0, 1, 10, 20, 25]), (1, range(26)), (100, [0, 1, 25])])
def test_the_table_has_the_loss_and_the_accuracy_of_the_functions(
    folder: Path, capfd: pytest.CaptureFixture[str], every: int, epochs: Any, standardize: bool
) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    args = [*LESSON, "--log-every", every, *["--standardize"] * standardize]
    X, y = matrix(frame), codes(frame)
    X = (X - X.mean(axis=0)) / X.std(axis=0) if standardize else X
    losses, right = {}, {}
    for epoch in epochs:
        end = gradstep.Trainer(0.01, epoch, batch_size=1).fit(X, y) if epoch else gradstep.Parameters(np.zeros(3), 0.0)
        losses[epoch] = gradstep.loss(X, y, end.weights, end.bias)
        right[epoch] = np.mean((X @ end.weights + end.bias > 0) == y)
    assert losses[0] == pytest.approx(np.log(2), rel=1e-15)

    assert run(["train", "data.csv", *map(str, args)]) == 0
    table, facts, _ = capfd.readouterr().out.split("\n\n")
    head, *rows = table.splitlines()
    assert head.split() == ["epoch", "loss", "accuracy"]
    assert [row.split() for row in rows] == [
        [f"{epoch}", f"{losses[epoch]:.6f}", f"{100 * right[epoch]:.2f}", "%"] for epoch in epochs
    ]
    assert len({len(line) for line in table.splitlines()}) == 1, "aligned"
    assert "\nstart           zero\n" in facts

    model = trained(capfd, "data.csv", *args, "--out", "model.json")
    history = model.pop("history")
    assert [at["epoch"] for at in history] == list(epochs)
    np.testing.assert_allclose([at["loss"] for at in history], list(losses.values()), rtol=1e-14)
    assert [at["accuracy"] for at in history] == list(right.values())
    assert json.loads((folder / "model.json").read_text()) == model == trained(capfd, "data.csv", *args[:6], *args[8:])


def test_the_table_is_printed_while_the_descent_goes_on(folder: Path) -> None:
    """Lines must appear during the descent: its end would take hours."""
    problem().write_csv("data.csv")
    command = [*PROGRAM, "train", "data.csv", "--epochs", str(10**12), "--log-every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout
        lines = [process.stdout.readline().split() for _ in range(3)]
        process.kill()
    assert lines[0] == ["epoch", "loss", "accuracy"]
    assert [line[0] for line in lines[1:]] == ["0", "1"]


def test_the_last_epoch_is_in_the_table_where_the_descent_stops_early(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    problem().write_csv("data.csv")
    model = trained(capfd, "data.csv", "--tol", 0.05, "--epochs", 10_000, "--log-every", 1000)
    assert [at["epoch"] for at in model["history"]] == [0, 1, model["result"]["n_epochs"]]
    assert model["history"][-1]["loss"] == model["result"]["loss"]


def test_start_reduction_and_activation_reach_the_trainer(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    X, y = matrix(frame), codes(frame)
    start = [-0.53076475663005060, 0.9308051907683095, 1 / 3, -0.25]
    model = trained(capfd, "data.csv", *LESSON, "--reduction", "sum", "--start", ",".join(map(repr, start)))
    want = gradstep.Trainer(0.01, 25, batch_size=1, reduction="sum").fit(X, y, start[:-1], start[-1])
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)
    assert model["options"]["start"] == ",".join(map(repr, start)) and model["options"]["reduction"] == "sum"
    whole = trained(capfd, "data.csv", "--epochs", 4, "--reduction", "sum", "--learning-rate", 0.01)
    assert whole["bias"] == gradstep.Trainer(0.01, 4, reduction="sum").fit(X, y).bias

    assert run(["train", "data.csv", "--start", " -1, 2,0,.5 ", "--epochs", "2"]) == 0
    assert "\nstart           -1.0,2.0,0.0,0.5\n" in capfd.readouterr().out


def test_three_classes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem(classes=3)
    frame.write_csv("data.csv")
    X, y = matrix(frame), codes(frame)
    model = trained(capfd, "data.csv", *LESSON, "--log-every", 10, "--out", "model.json")
    want = gradstep.Trainer(0.01, 25, batch_size=1).fit(X, y)
    assert model["classes"] == ["maybe", "no", "yes"]
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias.tolist())
    assert model["result"]["loss"] == want.history[-1]
    assert [at["loss"] for at in model["history"]] == [want.start_loss, *want.history[[0, 9, 19, 24]]]
    assert model["result"]["accuracy"] == np.mean(want.predict(X) == y) == model["history"][-1]["accuracy"]

    assert run(["train", "data.csv", *map(str, LESSON)]) == 0
    assert "\nclasses       maybe, no, yes\n" in capfd.readouterr().out
    loaded = gradstep.load("model.json")
    np.testing.assert_array_equal(loaded.predict_proba(frame), want.predict_proba(X))
    printed = ok("predict", "model.json", "data.csv", cwd=folder).splitlines()
    assert printed[0] == "probability_maybe,probability_no,probability_yes,label"
    assert [line.split(",")[3] for line in printed[1:]] == [model["classes"][k] for k in want.predict(X)]

    start = [*np.column_stack([want.weights, want.bias]).ravel().tolist()]
    rest = trained(capfd, "data.csv", *LESSON, "--start", ",".join(map(repr, start)))
    on = gradstep.Trainer(0.01, 25, batch_size=1).fit(X, y, want.weights, want.bias)
    assert (rest["weights"], rest["bias"]) == (on.weights.tolist(), on.bias.tolist())


def test_a_descent_of_three_classes_is_noted_where_a_constant_is_better(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = problem(classes=3)
    frame.write_csv("data.csv")
    assert run(["train", "data.csv", "--learning-rate", "300", "--epochs", "3"]) == 0
    shares = np.bincount(codes(frame).astype(int)) / len(frame)
    constant = -(shares * np.log(shares)).sum()
    assert f"a constant prediction has a smaller loss ({constant:.6f})" in " ".join(capfd.readouterr().err.split())


def test_the_regions_of_a_descent_of_three_classes_are_drawn(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem(classes=3).write_csv("data.csv")
    for more in ([], ["--drop", "count"]):
        args = ["train", "data.csv", *more, "--epochs", "5", "--plot", "fit.svg", "--quiet"]
        assert run(args) == 0 and capfd.readouterr() == ("", "")
        assert (folder / "fit.svg").read_text().startswith("<?xml")


def test_the_perceptron(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    X, y = matrix(frame), codes(frame)
    args = ["--activation", "step", "--learning-rate", 1, "--epochs", 6, "--batch-size", 1, "--log-every", 2]
    model = trained(capfd, "data.csv", *args, "--out", "model.json")
    want = gradstep.Trainer(1.0, 6, batch_size=1, activation="step").fit(X, y)
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)
    start, *after = (at["misclassified"] for at in model["history"])
    assert after == want.history[[0, 1, 3, 5]].tolist()
    assert start == pytest.approx(want.start_loss, rel=1e-15) and model["history"][0]["accuracy"] == np.mean(y == 1)
    assert model["result"]["misclassified"] == want.history[-1] and "loss" not in model["result"]
    assert model["result"]["accuracy"] == pytest.approx(1 - want.history[-1])

    printed = ok("predict", "model.json", "data.csv", cwd=folder).splitlines()
    assert [line.split(",") for line in printed[1:]] == [
        [f"{label}.0", ["no", "yes"][label]] for label in want.predict(X)
    ]
    shown = ok("train", "data.csv", *args, cwd=folder)
    assert shown.splitlines()[0].split() == ["epoch", "misclassified", "accuracy"]
    assert "\npredicts       yes\n" in shown and "probability" not in shown


def test_without_bias(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", "--no-bias")
    want = gradstep.fit(matrix(frame), codes(frame), fit_bias=False)
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), 0.0)
    assert model["options"]["fit_bias"] is False
    model = trained(capfd, "data.csv", "--no-bias", "--l1", 0.01, "--epochs", 20, "--learning-rate", 0.1)
    descent = gradstep.Trainer(0.1, 20, l1=0.01, fit_bias=False).fit(matrix(frame), codes(frame))
    assert (model["weights"], model["bias"]) == (descent.weights.tolist(), 0.0)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--log-every", "3", "--solver", "gd"], 2, "--log-every is for a descent, --solver for the optimum"),
        (["--start", "1,2", "--max-passes", "3"], 2, "--start is for a descent, --max-passes for the optimum"),
        (["--activation", "step", "--no-certify"], 2, "--activation is for a descent, --no-certify for the optimum"),
        (["--reduction", "median"], 2, "'median' is not one of 'mean', 'sum'"),
        (["--log-every", "0"], 2, "'0' is not a whole number from 1"),
        (["--start", "1,x,3"], 2, "'1,x,3' is not finite numbers with commas between them"),
        (["--start", "1,inf,3,4"], 2, "is not finite numbers"),
        (["--start", ""], 2, "'' is not finite numbers"),
        (
            ["--start", "1,2,3"],
            1,
            "a weight for each of 3 features ('a', 'count', 'flag'), and the bias, got 3 numbers",
        ),
    ],
)
def test_refused(folder: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, words: str) -> None:
    problem().write_csv("data.csv")
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == code
    out, err = capfd.readouterr()
    assert out == "" and words in " ".join(err.split())
    assert os.listdir(folder) == ["data.csv"]


def test_the_demo_sends_files_to_train(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    assert run(["demo", "data.csv"]) == 2
    err = " ".join(capfd.readouterr().err.split())
    command = err.partition("For those of a file: gradstep ")[2]
    assert command.split()[:2] == ["train", "data.csv"]
    assert run(command.split()) == 0, "what it says works"
    assert capfd.readouterr().out.startswith("epoch ")


def test_a_loss_that_rises_is_said_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,y\n0.5,0\n1,0\n1.5,1\n2,0\n2.5,1\n3,1\n")
    X, y = np.array([[0.5], [1.0], [1.5], [2.0], [2.5], [3.0]]), [0, 0, 1, 0, 1, 1]
    path = gradstep.Trainer(10.0, epochs=5).fit(X, y)
    first, second, third, fourth, fifth = path.history
    assert np.log(2) < first < second < third > fourth < fifth
    note = "gradstep: note: the loss rose from {:.7g} to {:.7g} in epoch {}: a smaller learning rate?"
    for epochs in ("5", "1"):
        assert run(["train", "data.csv", "--learning-rate", "10", "--epochs", epochs, "--log-every", "1"]) == 0
        said = [line for line in capfd.readouterr().err.splitlines() if "rose" in line]
        assert said == [note.format(np.log(2), first, 1)]
    start = f"{float(path.path.weights[2][0])},{float(path.path.bias[2])}"
    assert run(["train", "data.csv", "--learning-rate", "10", "--epochs", "2", "--start", start]) == 0
    assert note.format(fourth, fifth, 2) in capfd.readouterr().err.splitlines()
    assert run(["train", "data.csv", "--learning-rate", "0.1", "--epochs", "5"]) == 0
    assert capfd.readouterr().err == ""
    assert run(["demo", "--learning-rate", "50", "--epochs", "3", "--json"]) == 0
    out, err = capfd.readouterr()
    assert "in epoch" in err and err.count("the loss rose from") == 1
    assert len(json.loads(out)["history"]) == 4


def test_the_published_run(folder: Path, capfd: pytest.CaptureFixture[str], data_folder: Path) -> None:
    """The losses and accuracies that a notebook of a course prints, from its weights, to every digit printed here."""
    source = data_folder / "udacity"
    published = json.loads((source / "expected.json").read_text())
    start = [*published["initial_weights"], published["initial_bias"]]
    (folder / "data.csv").write_bytes((source / "data.csv").read_bytes())
    args = ["data.csv", "--learning-rate", 0.01, "--epochs", 100, "--batch-size", 1, "--log-every", 1]
    args += ["--start", ",".join(map(repr, start))]
    assert run(["train", *map(str, args)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    _, of_start, *rows = (line.split() for line in out.split("\n\n")[0].splitlines())
    assert of_start[0] == "0"
    assert [row[:3] for row in rows] == [
        [f"{number}", f"{at['loss']:.6f}", f"{100 * at['accuracy']:.2f}"]
        for number, at in enumerate(published["epochs"], 1)
    ]
    assert len(rows) == 100
    for at in published["printed"]:
        assert rows[at["epoch"]] == [
            f"{at['epoch'] + 1}", f"{float(at['loss']):.6f}", f"{100 * at['accuracy']:.2f}", "%"
        ]  # fmt: skip
    assert len(published["printed"]) == 10
