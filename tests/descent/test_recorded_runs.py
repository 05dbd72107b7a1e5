"""Descents that were recorded elsewhere, number by number."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradstep

Array = npt.NDArray[Any]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_hundred_recorded_epochs(data_folder: Path, reduction: str, measured: Callable[[str], None]) -> None:
    """Point by point in file order, as the epochs were recorded. Of one point, mean and sum are the same."""
    expected = json.loads((data_folder / "udacity" / "expected.json").read_text())
    points = np.loadtxt(data_folder / "udacity" / "data.csv", delimiter=",")
    got: list[tuple[int, float, Array, float]] = []
    trainer = gradstep.Trainer(learning_rate=0.01, epochs=100, batch_size=1, reduction=reduction)
    fit = trainer.fit(
        points[:, :2], points[:, 2], expected["initial_weights"], expected["initial_bias"],
        callback=lambda *call: got.append(call),
    )  # fmt: skip
    assert fit.n_epochs == len(got) == len(expected["epochs"]) == 100
    worst = 0.0
    for (epoch, loss, weights, bias), want in zip(got, expected["epochs"], strict=True):
        assert epoch == want["epoch"]
        difference = [loss - want["loss"], *(weights - want["w"]), bias - want["b"]]
        worst = max(worst, float(np.abs(difference).max()))
        accuracy = ((gradstep.predict_proba(points[:, :2], weights, bias) > 0.5) == points[:, 2]).mean()
        assert accuracy == want["accuracy"]
    measured(f"100 recorded epochs, {reduction}: weights, bias and loss within {worst:.1e} of the recorded ones")
    assert worst <= 1e-12
    # The losses that were printed, to all digits printed.
    for line in expected["printed"]:
        assert abs(fit.history[line["epoch"]] - float(line["loss"])) <= 1e-12


def test_recorded_epochs_without_a_bias(data_folder: Path) -> None:
    """Full batch, summed gradient, and no bias: a bias of 0 in every step, or points mirrored to make it stay 0."""
    expected = json.loads((data_folder / "udacity" / "expected_admissions.json").read_text())["all_rows"]
    with open(data_folder / "udacity" / "student_data.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ranks = [[float(int(float(row["rank"])) == rank) for rank in (1, 2, 3, 4)] for row in rows]
    X = np.column_stack([[float(r["gre"]) / 800 for r in rows], [float(r["gpa"]) / 4 for r in rows], ranks])
    y = np.array([float(row["admit"]) for row in rows])
    assert X.shape == (expected["n"], 6)
    rate, epochs = 0.0001, expected["printed"][-1]["epoch"] + 1

    weights, recorded = np.array(expected["initial"]), {line["epoch"]: line for line in expected["printed"]}
    for epoch in range(epochs):
        weights = gradstep.gradient_step(X, y, weights, 0.0, rate, reduction="sum").weights
        if epoch in recorded:
            assert np.abs(weights - recorded[epoch]["w"]).max() <= 1e-12
            assert abs(gradstep.loss(X, y, weights) - recorded[epoch]["loss"]) <= 1e-12

    # (-x, 1 - y) has the gradient of (x, y) by the weights, and minus its gradient by the bias. So with both, the step
    # is twice as long, and the bias stays 0.
    seen: dict[int, tuple[float, Array, float]] = {}
    gradstep.Trainer(rate / 2, epochs, reduction="sum").fit(
        np.vstack([X, -X]), np.concatenate([y, 1 - y]), expected["initial"],
        callback=lambda epoch, *rest: seen.update({epoch: rest}),
    )  # fmt: skip
    for epoch, line in recorded.items():
        loss, weights, bias = seen[epoch]
        assert np.abs(weights - line["w"]).max() <= 1e-12
        assert abs(loss - line["loss"]) <= 1e-12
        assert abs(bias) <= 1e-12
