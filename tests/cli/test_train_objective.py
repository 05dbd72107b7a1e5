"""`train` takes the whole objective: offsets, factors, bounds and a prior of features by name, and grouped l1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import gradstep
from helpers.commands import pl, run, trained

ROOT = Path(__file__).parents[2]


def data(rows: int = 120) -> tuple[Any, Any, Any]:
    """A frame with two numbers, a column of three categories, an offset and a target; its features and codes."""
    rng = np.random.default_rng(1)
    a, b, known = rng.normal(size=(3, rows))
    school = np.resize(["east", "north", "west"], rows)
    z = a - b + (school == "west") + known
    frame = pl.DataFrame({"a": 3 * a, "b": b, "school": school, "known": known, "y": z + rng.logistic(size=rows) > 0})
    X = np.column_stack([3 * a, b, school == "north", school == "west"]).astype(float)
    return frame, X, frame["y"].to_numpy().astype(float)


OFFSET = ["--offset", "known"]


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(
    ("args", "options"),
    [
        ([], {}),
        (["--l2", 0.1, "--penalty-factor", "a=0", "--penalty-factor", "school=3"], {
            "l2": 0.1, "penalty_factors": [0, 1, 3, 3]}),
        (["--l2", 0.1, "--lower", 0, "--lower", "school=-0.2", "--lower", "school=west=0.3", "--upper", "a=0.1"], {
            "l2": 0.1, "lower": [0, 0, -0.2, 0.3], "upper": [0.1, np.inf, np.inf, np.inf]}),
        (["--l1", 0.02, "--upper", 0.5], {"l1": 0.02, "upper": 0.5}),
    ],
)  # fmt: skip
def test_the_fit_of_the_options(
    folder: Path, capfd: pytest.CaptureFixture[str], args: list[Any], options: dict[str, Any], standardize: bool
) -> None:
    frame, X, y = data()
    frame.write_csv("data.csv")
    if standardize:
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = trained(capfd, "data.csv", *OFFSET, *args, *["--standardize"] * standardize, "--out", "model.json")
    want = gradstep.fit(X, y, offset=frame["known"].to_numpy(), **options)
    np.testing.assert_allclose(model["weights"], want.weights, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model["bias"], want.bias, rtol=1e-6)
    assert model["result"]["converged"] and model["options"]["offset"] == "known"
    z = X @ want.weights + want.bias + frame["known"].to_numpy()
    np.testing.assert_allclose(model["result"]["accuracy"], np.mean((z > 0) == y))
    jsonschema.validate(model, json.loads((ROOT / "docs/model.schema.json").read_text()))
    read = gradstep.load("model.json")
    assert read.to_json() == Path("model.json").read_text()
    np.testing.assert_allclose(read.predict_proba(frame), gradstep.sigmoid(z), atol=1e-6)
    assert run(["predict", "model.json", "data.csv", "--out", "p.csv"]) == 0
    np.testing.assert_allclose(pl.read_csv("p.csv")["probability_true"], gradstep.sigmoid(z), atol=1e-6)
    assert ("the column named by options.offset is added" in read.to_json()) and ("standard_errors" in model) == (
        not options
    )


def test_a_prior_is_the_model_of_an_earlier_training(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, X, y = data()
    frame.drop("known").write_csv("data.csv")
    frame.drop("known", "b").write_csv("less.csv")
    old = trained(capfd, "less.csv", "--l2", 0.1, "--standardize", "--out", "old.json")
    raw = np.array(old["weights"]) / old["standardize"]["scale"]
    prior = [raw[0], 0.0, raw[1], raw[2]]
    new = trained(capfd, "data.csv", "--l2", 0.5, "--prior", "old.json", "--out", "new.json")
    np.testing.assert_allclose(new["weights"], gradstep.fit(X, y, l2=0.5, prior=prior).weights, rtol=1e-6)
    assert new["options"]["prior"] == dict(zip(["a", "school=north", "school=west"], raw, strict=True))
    scaled = trained(capfd, "data.csv", "--l2", 0.5, "--prior", "old.json", "--standardize")
    deviation = X.std(axis=0)
    best = gradstep.fit((X - X.mean(axis=0)) / deviation, y, l2=0.5, prior=prior * deviation)
    np.testing.assert_allclose(scaled["weights"], best.weights, rtol=1e-6)
    assert run(["train", "data.csv", "--l2", "0.5", "--prior", "old.json"]) == 0
    assert "old.json has no weight for 'b': drawn to 0" in capfd.readouterr().err
    again = gradstep.train(frame.drop("known"), "y", l2=0.5, prior=gradstep.load("old.json"))
    assert again.weights == new["weights"] and again.options["prior"] == new["options"]["prior"]
    # A cross-validated report trains with the same prior.
    assert run(["report", "new.json", "data.csv", "--folds", "2", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    fold = np.array([np.sum(y[:row] == y[row]) % 2 for row in range(len(y))])
    losses = []
    for k in range(2):
        part = gradstep.fit(X[fold != k], y[fold != k], l2=0.5, prior=prior)
        losses.append(gradstep.loss(X[fold == k], y[fold == k], part.weights, part.bias))
    np.testing.assert_allclose(told["metrics"]["log_loss"]["value"], np.mean(losses), rtol=1e-5)


def test_paths_folds_and_reports_have_them_too(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, X, y = data()
    frame.write_csv("data.csv")
    args = [*OFFSET, "--penalty-factor", "a=0", "--lower", "b=-0.2"]
    model = trained(capfd, "data.csv", *args, "--cv", 3, "--path", "path.csv", "--out", "model.json")
    options: dict[str, Any] = {
        "penalty_factors": [0, 1, 1, 1],
        "lower": [-np.inf, -0.2, -np.inf, -np.inf],
        "offset": frame["known"].to_numpy(),
    }
    path = gradstep.path(X, y, **options)
    np.testing.assert_allclose(pl.read_csv("path.csv")["strength"], path.strengths, rtol=1e-9)
    np.testing.assert_allclose(pl.read_csv("path.csv")["weight_b"], path.weights[:, 1], rtol=1e-9, atol=1e-12)
    record, known = model["cross_validation"][4], options.pop("offset")
    fold = np.zeros(len(y), int)
    for code in (0, 1):
        fold[y == code] = np.arange((y == code).sum()) % 3
    losses = []
    for k in range(3):
        rest, out = fold != k, fold == k
        part = gradstep.fit(X[rest], y[rest], l1=record["l1"], offset=known[rest], **options)
        losses.append(gradstep.loss(X[out], y[out], part.weights, part.bias, offset=known[out]))
    np.testing.assert_allclose(record["loss"], np.mean(losses), rtol=1e-7)
    options["offset"] = known
    l1 = model["options"]["l1"]
    np.testing.assert_allclose(model["weights"], gradstep.fit(X, y, l1=l1, **options).weights, atol=1e-5)
    assert run(["report", "model.json", "data.csv", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    np.testing.assert_allclose(told["metrics"]["log_loss"]["value"], model["result"]["loss"], rtol=1e-12)
    held = gradstep.train(frame, "y", offset="known", test=0.3, lower=0.0)
    assert held.report(frame).evaluated_on == "held out" and min(held.weights) == 0


def test_a_descent_takes_offsets(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, X, y = data()
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", *OFFSET, "--epochs", 5, "--learning-rate", 0.1, "--log-every", 5)
    known = frame["known"].to_numpy()
    end = gradstep.Trainer(0.1, 5).fit(X, y, offset=known)
    np.testing.assert_allclose(model["weights"], end.weights, rtol=1e-12)
    assert model["history"][0]["loss"] == gradstep.loss(X, y, np.zeros(4), offset=known)
    of_trainer = gradstep.train(frame, "y", offset="known", trainer=gradstep.Trainer(0.1, 5))
    assert of_trainer.weights == model["weights"]


def test_grouped(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, X, _ = data()
    kinds = np.digitize(X[:, 0] - X[:, 1] + np.random.default_rng(2).logistic(size=120), [-1, 1])
    frame.drop("known", "y").with_columns(kind=kinds).write_csv("data.csv")
    model = trained(capfd, "data.csv", "--l1", 0.05, "--grouped", "--out", "model.json")
    np.testing.assert_allclose(
        model["weights"], gradstep.fit(X, kinds, l1=0.05, grouped=True).weights, rtol=1e-5, atol=1e-7
    )
    assert model["options"]["grouped"] is True
    assert run(["report", "model.json", "data.csv", "--folds", "2"]) == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--lower", "nope=1"], "--lower must name a feature, got 'nope'"),
        (["--lower", "x"], "'x' is not a finite number, nor NAME=NUMBER"),
        (["--upper", "a=inf"], "'a=inf' is not a finite number"),
        (["--penalty-factor", "a=-1"], "'a=-1' is not a finite number of at least 0"),
        (["--offset", "nope"], "has no column 'nope'"),
        (["--offset", "school"], "column 'school', data row 1: must hold numbers, got 'east'"),
        (["--prior", "old.json"], "--prior needs --l2"),
        (["--prior", "old.json", "--cv", 3], "--prior is for l2 alone: with --cv it needs --l1-ratio 0"),
        (["--prior", "old.json", "--l2", 1], "--prior must be a model of the classes of the training"),
        (["--epochs", 3, "--lower", 0], "--epochs is for a descent, --lower for the optimum"),
        (["--epochs", 3, "--penalty-factor", "a=0"], "--epochs is for a descent, --penalty-factor for the optimum"),
        (["--grouped"], "--grouped needs a strength of l1"),
        (["--grouped", "--cv", 3, "--l1-ratio", 0], "--grouped needs a strength of l1"),
        (["--grouped", "--l1", 0.1], "--grouped is for three classes or more, target 'y' has 2"),
        (["--penalty-factor", "a=0"], "--penalty-factor needs --l1 or --l2"),
        (["--firth", "--upper", 0], "--firth has a penalty and a solver of its own: it excludes --upper"),
    ],
)
def test_what_is_refused(folder: Path, capfd: pytest.CaptureFixture[str], args: list[Any], message: str) -> None:
    frame, *_ = data()
    frame.write_csv("data.csv")
    gradstep.train(frame.with_columns(y=pl.when("y").then(pl.lit("yes")).otherwise(pl.lit("no"))), "y").save("old.json")
    assert run(["train", "data.csv", *map(str, args)]) in (1, 2)
    assert message in capfd.readouterr().err


def test_rows_to_predict_need_the_offset(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, X, _ = data()
    frame.write_csv("data.csv")
    frame.drop("known").write_csv("less.csv")
    frame.with_columns(pl.col("known").replace(frame["known"][4], None)).write_csv("missing.csv")
    model = gradstep.train(frame, "y", offset="known")
    model.save("model.json")
    for command in ("predict", "report"):
        assert run([command, "model.json", "less.csv"]) == 1
        assert "'known'" in capfd.readouterr().err
        assert run([command, "model.json", "missing.csv"]) == 1
        assert "column 'known', data row 5: missing value" in capfd.readouterr().err
    with pytest.raises(ValueError, match="X: lacks 'known', needed by the model"):
        model.predict(frame.drop("known"))
    with pytest.raises(ValueError, match="X must be a frame with the column 'known', the offset, got ndarray"):
        model.predict_proba(X)
    three = frame.with_columns(y=pl.Series(np.resize([0, 1, 2], 120)))
    with pytest.raises(ValueError, match="offset is for a target with two values, and 'y' has 3"):
        gradstep.train(three, "y", offset="known")


def test_arguments_in_python() -> None:
    frame, *_ = data()
    for options, kind, message in [
        ({"lower": "a"}, TypeError, "lower must be a real number, got str"),
        ({"upper": {1: 0.0}}, TypeError, "upper must be a number, or numbers by the names of features"),
        ({"penalty_factors": -1}, ValueError, "penalty_factors must be finite and not negative, got -1"),
        ({"lower": np.nan}, ValueError, "lower must be finite, got nan"),
        ({"prior": "old.json"}, TypeError, "prior must be a Model, got str"),
        ({"trainer": gradstep.Trainer(), "lower": 0}, ValueError, "trainer must come without lower"),
        ({"trainer": gradstep.Trainer(), "grouped": True}, ValueError, "trainer must come without grouped"),
    ]:
        with pytest.raises(kind, match=message):
            gradstep.train(frame, "y", **options)
