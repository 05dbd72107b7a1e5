"""The demo, the help and the version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import gradstep
from helpers.commands import demo_points, run
from helpers.program import ok


def test_demo(folder: Path) -> None:
    shown = ok("demo", cwd=folder).splitlines()
    model = json.loads(ok("demo", "--json", cwd=folder))
    X, y = demo_points(7)
    want = gradstep.Trainer(0.01, 100, batch_size=1).fit(X, y)
    assert model["weights"] == want.weights.tolist()
    assert model["bias"] == want.bias
    assert [at["loss"] for at in model["history"]] == [want.start_loss, *want.history[[0, *range(9, 100, 10)]]]
    assert model["history"][-1]["accuracy"] == model["result"]["accuracy"] > 0.9
    assert model["result"]["loss"] < model["history"][0]["loss"] / 2, "it learns"

    assert [line.split()[0] for line in shown[1:13]] == ["0", "1", *map(str, range(10, 101, 10))]
    assert shown[12].split()[1] == f"{model['result']['loss']:.6f}"
    assert shown[-2].split("  ")[-1].strip() == "w1·x1 + w2·x2 + b = 0"
    numbers = shown[-1].replace(" - ", " -").replace(" + ", " ").replace("·x1", "").replace("·x2", "").split()
    assert numbers[:3] == [f"{value:.6f}" for value in (*model["weights"], model["bias"])]
    assert os.listdir(folder) == []


def test_demo_options(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--epochs", "3", "--learning-rate", "0.1", "--seed", "5", "--json"]) == 0
    model = json.loads(capfd.readouterr().out)
    want = gradstep.Trainer(0.1, 3, batch_size=1).fit(*demo_points(5))
    assert model["weights"] == want.weights.tolist()
    assert [at["epoch"] for at in model["history"]] == [0, 1, 2, 3]


def test_help_and_version(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"gradstep, version {version('gradstep')}\n"
    for command, words in [("", "Commands:"), ("demo", "--seed"), ("train", "N|full"), ("predict", "MODEL FILE")]:
        assert run([*command.split(), "--help"]) == 0
        assert words in capfd.readouterr().out
