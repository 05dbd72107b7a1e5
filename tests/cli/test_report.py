"""`report`: its numbers are scikit-learn's and the textbook's, and it says which rows they are of."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep
from gradstep._evaluation import Predicted, calibration, evaluate, roc
from helpers.commands import pl, problem, run, trained
from helpers.pages import ROOT
from helpers.program import ok

metrics = pytest.importorskip("sklearn.metrics")


def table(rows: int = 150, classes: int = 2, seed: int = 5) -> dict[str, Any]:
    """Two numbers, a category and whole weights, and a target in words."""
    rng = np.random.default_rng(seed)
    x, kind = rng.normal(size=rows), rng.choice(["a", "b", "c"], rows)
    scores = np.column_stack([x + (kind == "c"), rng.normal(size=rows), rng.normal(size=rows)])[:, :classes]
    scores = scores if classes > 2 else np.column_stack([scores[:, 0], np.zeros(rows)])
    label = np.array(["low", "high", "none"])[(scores + rng.gumbel(size=scores.shape)).argmax(axis=1)]
    return {"x": x, "z": 50 + 10 * rng.normal(size=rows), "kind": kind, "n": rng.integers(1, 4, rows), "y": label}


def design(model: gradstep.Model, data: dict[str, Any]) -> Any:
    """The features and a column of ones, computed without gradstep."""
    columns = [data["x"], data["z"], *(np.asarray(data["kind"]) == level for level in "bc")]
    assert model.features == ["x", "z", "kind=b", "kind=c"]
    return np.column_stack([*columns, np.ones(len(data["x"]))]).astype(float)


def labels(model: gradstep.Model, data: dict[str, Any]) -> Any:
    return np.array([model.classes.index(value) for value in data["y"].tolist()])


@pytest.mark.parametrize("weight", [None, "n"])
@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_are_those_of_scikit_learn(classes: int, weight: str | None) -> None:
    data, new = table(classes=classes), table(rows=70, classes=classes, seed=6)
    drop = [] if weight else ["n"]
    model = gradstep.train(data, "y", weight=weight, drop=drop, l2=0.01)
    found = model.report(new)
    assert found.evaluated_on == "other" and found.fold_errors is None
    y, s = labels(model, new), new["n"] if weight else np.ones(70)
    z = design(model, new) @ np.column_stack([np.atleast_2d(model.weights), np.atleast_1d(model.bias)]).T
    scores = np.column_stack([np.zeros(70), z]) if classes == 2 else z
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    guess = p.argmax(axis=1)
    got = found.evaluation
    assert got.rows == 70
    assert got.weights.tolist() == np.bincount(y, weights=s).tolist()
    # Each is a mean of numbers whose relative error is some 1e-16.
    near = {"rel": 1e-12}
    assert got.log_loss == pytest.approx(metrics.log_loss(y, p, sample_weight=s), **near)
    assert got.accuracy == pytest.approx(metrics.accuracy_score(y, guess, sample_weight=s), **near)
    assert got.confusion.tolist() == metrics.confusion_matrix(y, guess, sample_weight=s).tolist()
    if classes == 2:
        assert got.auc == pytest.approx(metrics.roc_auc_score(y, p[:, 1], sample_weight=s), **near)
        assert got.brier_score == pytest.approx(metrics.brier_score_loss(y, p[:, 1], sample_weight=s), **near)
    else:
        area = metrics.roc_auc_score(y, p, sample_weight=s, multi_class="ovr", average="macro")
        assert got.auc == pytest.approx(area, **near)
        squares = ((p - np.eye(3)[y]) ** 2).sum(axis=1)
        assert got.brier_score == pytest.approx(np.average(squares, weights=s), **near)
    assert len(got.roc) == (1 if classes == 2 else 3)
    assert got.calibration is not None and got.calibration.weight.sum() == s.sum()
    hit = y if classes == 2 else y == guess
    assert got.calibration.weight @ got.calibration.observed == pytest.approx(s @ hit, **near)


def test_coefficients_are_those_of_the_textbook() -> None:
    data = table()
    model = gradstep.train(data, "y", weight="n")
    coefficients = model.report(table(seed=6)).coefficients  # the errors are those in the model, for any rows
    X, s = design(model, data), np.asarray(data["n"], float)
    beta = np.append(np.asarray(model.weights), model.bias)
    p = 1 / (1 + np.exp(-X @ beta))
    covariance = np.linalg.inv((X * (s * p * (1 - p))[:, None]).T @ X)
    errors = np.sqrt(np.diag(covariance))
    assert coefficients.names == (*model.features, "(bias)") and set(coefficients.classes) == {"low"}
    np.testing.assert_array_equal(coefficients.estimates, beta)
    # A column's correlation with the constant is some 0.98. The errors are 1e-16 times the condition of the matrix.
    np.testing.assert_allclose(coefficients.standard_errors, errors, rtol=1e-9)
    np.testing.assert_allclose(coefficients.z, beta / errors, rtol=1e-9)
    np.testing.assert_allclose(
        coefficients.p, [math.erfc(abs(b / e) / math.sqrt(2)) for b, e in zip(beta, errors, strict=True)], rtol=1e-7
    )
    ends = coefficients.wald_intervals()
    np.testing.assert_allclose(
        ends, beta[:, None] + np.outer(errors, [-1.959963984540054, 1.959963984540054]), rtol=1e-9
    )
    np.testing.assert_array_equal(coefficients.odds_ratios, np.exp(beta))


def test_coefficients_of_classes_are_those_of_statsmodels() -> None:
    """The numbers of statsmodels 0.15.0 (MNLogit) are written here: estimates, then standard errors."""
    data = table(rows=400, classes=3)
    model = gradstep.train(data, "y", drop=["n"])
    got = model.report(data).coefficients
    assert model.classes == ["high", "low", "none"] and got.reference == "high"
    assert got.classes == ("low",) * 5 + ("none",) * 5
    estimates = [
        0.9147448773506294, 0.009398140446735979, 0.09424609557431546, 0.28097713202033137, -0.5641801015325253,
        -0.18894213483527567, -0.00024297554235572723, 0.011578816367099842, -0.42756053043645564, 0.052349570396789495,
    ]  # fmt: skip
    errors = [
        0.15128778605797794, 0.013354809807632935, 0.3199810533313779, 0.3221348139409043, 0.7114047909383381,
        0.1471767104687654, 0.013180320952042076, 0.3040910616856845, 0.31892515938339344, 0.6923778985136401,
    ]  # fmt: skip
    np.testing.assert_allclose(got.estimates, estimates, atol=1e-9)
    np.testing.assert_allclose(got.standard_errors, errors, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"l2": 0.1}, "a penalty biases the weights"),
        ({"cv": 3}, "a penalty biases the weights"),
        ({"trainer": gradstep.Trainer(0.01, 5)}, "a descent ends before the optimum"),
        ({"certify": False}, "the optimum is not proved"),
    ],
)
def test_why_there_are_no_standard_errors(options: dict[str, Any], words: str) -> None:
    found = gradstep.train(table(), "y", standardize=True, **options).report(table())
    assert found.no_errors and words in found.no_errors and "; " in found.no_errors
    assert np.isnan(found.coefficients.standard_errors).all()
    assert found.no_errors in repr(found) and "std. error" not in repr(found)
    assert "per standard deviation of the feature" in repr(found)


def test_columns_that_are_left_out_and_no_bias_have_no_error() -> None:
    data = table()
    found = gradstep.train({"twice": 2 * data["x"], **data}, "y", drop=["n"], fit_bias=False).report(
        {"twice": 2 * data["x"], **data}
    )
    known = np.isfinite(found.coefficients.standard_errors)
    assert known.sum() == 4 and not known[-1]
    rows = found.sections()[1].rows
    assert [row[2] == "–" for row in rows] == (~known).tolist()


def test_it_knows_the_rows_trained_on(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame(table()).drop("n")
    frame.write_csv("data.csv")
    frame.write_parquet("data.parquet")
    of_pandas = pd.DataFrame(frame.to_dict(as_series=False))
    frame.head(100).write_csv("part.csv")
    trained(capfd, "data.csv", "--out", "all.json")
    trained(capfd, "data.csv", "--test", 0.3, "--seed", 7, "--out", "test.json")
    model, split = gradstep.load("all.json"), gradstep.load("test.json")
    for same in ("data.csv", "data.parquet", frame, of_pandas, frame.select("y", "kind", "z", "x")):
        assert model.report(same).evaluated_on == "trained on"
        held = split.report(same)
        assert held.evaluated_on == "held out"
        assert held.evaluation.rows == round(0.3 * (frame["y"] == "low").sum()) + round(
            0.3 * (frame["y"] == "high").sum()
        )
    first = frame.head(1).with_columns(y=pl.lit("low" if frame["y"][0] == "high" else "high"))
    flipped = pl.concat([first, frame.tail(-1)])
    assert model.report(flipped).evaluated_on == "other"
    for other in ("part.csv", frame.head(100), frame.reverse(), frame.with_columns(x=pl.col("x") + 1e-12)):
        assert model.report(other).evaluated_on == split.report(other).evaluated_on == "other"
    # The rows held out were not trained on: training on the other rows gives the same model.
    rest = held_in(split, frame)
    again = gradstep.train(rest)
    assert (again.weights, again.bias, again.result["trained_on"]) == (
        split.weights,
        split.bias,
        split.result["trained_on"],
    )
    assert again.report(rest).evaluated_on == split.report(rest).evaluated_on == "trained on"
    text = json.loads(Path("test.json").read_text())
    text["options"]["test_seed"] = 8  # no longer the seed of the model's split
    assert gradstep.Model.from_json(json.dumps(text)).report(frame).evaluated_on == "other"
    del text["result"]["trained_on"]
    assert gradstep.Model.from_json(json.dumps(text)).report(frame).evaluated_on == "unknown"


def held_in(split: gradstep.Model, frame: Any) -> Any:
    """The rows that a model was trained on, found by trying: they have its digest."""
    from gradstep._encoding import Format
    from gradstep._files import of_data
    from gradstep._kinds import Asked
    from gradstep._split import held_out
    from gradstep._training import Problem

    problem = Problem.of(of_data("data", frame, None, Format(), []), "y", Asked())
    return frame.filter(pl.Series(~held_out(problem, 0.3, 7)))


def test_the_part_held_out_is_drawn_by_the_seed_from_each_class() -> None:
    data = table()
    reports = {seed: gradstep.train(data, "y", test=0.2, seed=seed).report(data) for seed in (0, 1, 2**63)}
    shares = {str(found.evaluation.weights.tolist()) for found in reports.values()}
    assert len(shares) == 1  # every seed holds out as many rows of each class
    assert len({found.evaluation.log_loss for found in reports.values()}) == 3
    again = gradstep.train(data, "y", test=0.2).report(data)
    assert again.evaluation.log_loss == reports[0].evaluation.log_loss


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_folds_are_predicted_by_models_of_the_others(classes: int, standardize: bool) -> None:
    data = table(classes=classes)
    options: dict[str, Any] = {"weight": "n", "l2": 0.02, "standardize": standardize}
    model = gradstep.train(data, "y", **options)
    found = model.report(data, folds=3)
    y = labels(model, data)
    fold = np.array([np.sum(y[:row] == y[row]) % 3 for row in range(len(y))])
    each = []
    for k in range(3):
        rest, out = ({name: values[chosen] for name, values in data.items()} for chosen in (fold != k, fold == k))
        each.append(gradstep.train(rest, "y", **options).report(out).evaluation)
    assert found.evaluated_on == "left out in turn" and found.evaluation.rows == 150
    assert found.fold_errors and found.fold_errors.keys() == {"log_loss", "brier_score", "auc", "accuracy"}
    for name, error in found.fold_errors.items():
        values = [getattr(part, name) for part in each]
        assert getattr(found.evaluation, name) == pytest.approx(np.mean(values), rel=1e-12)
        assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(3), rel=1e-10)
    np.testing.assert_array_equal(found.evaluation.confusion, sum(part.confusion for part in each))
    assert model == gradstep.train(data, "y", **options)


def test_folds_choose_the_penalty_anew() -> None:
    data = table(rows=90)
    model = gradstep.train(data, "y", cv=3, drop=["n"])
    found = model.report(data, folds=2)
    y = labels(model, data)
    fold = np.array([np.sum(y[:row] == y[row]) % 2 for row in range(len(y))])
    losses = []
    for k in range(2):
        rest, out = ({name: values[chosen] for name, values in data.items()} for chosen in (fold != k, fold == k))
        losses.append(gradstep.train(rest, "y", cv=3, drop=["n"]).report(out).evaluation.log_loss)
    assert found.evaluation.log_loss == pytest.approx(np.mean(losses), rel=1e-12)


def test_folds_that_cannot_be_trained_are_named() -> None:
    data = {"x": [1.0, 2.0, 3.0, 4.0, 2.5, 2.6], "y": [0, 0, 1, 1, 1, 0]}
    with pytest.raises(ValueError, match=r"^without fold \d of 2: no optimum: along column 'x' .* l2=0.001"):
        gradstep.train(data).report(data, folds=2)
    with pytest.raises(ValueError, match="target 'y' has 3 rows with 0, fewer than folds=4: take fewer folds"):
        gradstep.train(data, l2=0.1).report(data, folds=4)
    estimator = gradstep.LogisticRegression(l2=0.1).fit(np.array(data["x"])[:, None], data["y"])
    model = estimator.to_model(features=["x"], target="y")
    assert model.report(data).evaluated_on == "unknown"
    with pytest.raises(ValueError, match="folds trains the model again"):
        model.report(data, folds=2)


scores = st.integers(0, 4).map(lambda k: k / 4)
samples = st.lists(st.tuples(scores, st.booleans(), st.integers(0, 3)), min_size=2, max_size=30).filter(
    lambda rows: {label for _, label, s in rows if s} == {True, False}
)


@given(samples)
def test_the_area_counts_pairs_and_half_of_ties(rows: Any) -> None:
    p, y, s = (np.array(column) for column in zip(*rows, strict=True))
    pairs = np.outer(s[y], s[~y])
    first = p[y][:, None]
    area = (pairs * ((first > p[~y]) + 0.5 * (first == p[~y]))).sum() / pairs.sum()
    curve = roc(y, p, s.astype(float))
    assert curve.area == area  # all sums are multiples of 1/2, and exact
    assert np.diff(curve.false) @ (curve.true[1:] + curve.true[:-1]) / 2 == pytest.approx(area, rel=1e-12)


@given(samples)
def test_a_weight_is_a_repeated_row(rows: Any) -> None:
    p, y, s = (np.array(column) for column in zip(*rows, strict=True))
    once = Predicted(y.astype(float), p, (p > 0.5).astype(np.intp), s.astype(float), 0.5)
    several = Predicted(*(np.repeat(part, s) for part in once[:3]), None, 0.5)
    one, other = evaluate(once, 2), evaluate(several, 2)
    assert one.auc == other.auc and one.confusion.tolist() == other.confusion.tolist()
    assert one.brier_score == pytest.approx(other.brier_score, rel=1e-12)
    assert one.calibration is not None and other.calibration is not None
    for mine, theirs in zip(one.calibration, other.calibration, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_bins_hold_equal_weight_and_equal_predictions_are_together() -> None:
    p = np.repeat([0.1, 0.2, 0.9], [50, 30, 20])
    found = calibration(p > 0.5, p, np.ones(100))
    assert found.weight.tolist() == [50, 30, 20] and found.observed.tolist() == [0, 0, 1]
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    found = calibration(rng.random(1000) < p, p, np.ones(1000))
    assert found.weight.tolist() == [100] * 10 and (np.diff(found.predicted) > 0).all()


def test_rows_that_lack_something() -> None:
    data = {name: values[:40].astype(object) for name, values in table().items()}
    gaps = {name: values.copy() for name, values in data.items()}
    gaps["x"][3] = None
    gaps["kind"][5] = "new"
    gaps["y"][7] = None
    model = gradstep.train(data, "y", l2=0.1)
    for options, words in [
        (
            {},
            "data: column 'kind', data row 6: must hold one of the categories .* unknown='reference' takes it for 'a'",
        ),
        ({"unknown": "reference"}, "data: column 'x', data row 4: missing value; missing='drop' leaves the row out"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.report(gaps, **options)
    found = model.report(gaps, unknown="reference", missing="drop")
    assert found.evaluation.rows == 38
    assert found.notes == (
        "1 of 40 rows lack a value and are left out", "1 of 40 rows have no target and are left out",
    )  # fmt: skip
    assert all(note in repr(found) and note in found.to_html() for note in found.notes)
    with pytest.raises(ValueError, match="column 'y', data row 1: must hold one of the classes 'high', 'low', got 'H'"):
        model.report(data | {"y": ["H"] * 40})
    with pytest.raises(ValueError, match="data: has no column 'y'"):
        model.report({name: data[name] for name in ("x", "z", "kind", "n")})
    one = model.report({name: values[data["y"] == "low"] for name, values in data.items()})
    assert one.evaluation.auc is None and one.evaluation.roc == () and "\nAUC" not in repr(one)
    weighted = gradstep.train(data, "y", weight="n", l2=0.1)
    without = {name: data[name] for name in ("x", "z", "kind", "y")}
    assert "no column 'n', the weights of training" in weighted.report(without).notes[0]
    assert weighted.report(data, weight="n").evaluation.accuracy == weighted.report(data).evaluation.accuracy


@pytest.mark.parametrize(
    ("classes", "cells"),
    [
        ([0, 1], ["0", "1.0", "1", "0"]),
        (["01", "2"], ["01", "2", "2", "01"]),
        ([False, True], ["False", "true", "TRUE", "false"]),
        ([1.5, 2.5], ["1.5", "2.50", "2.5", "15e-1"]),
    ],
)
def test_labels_are_known_again_as_they_are_written(folder: Path, classes: list[Any], cells: list[str]) -> None:
    written = [str(value) for value in classes] * 10
    lines = [f"{k % 7},{cell}" for k, cell in enumerate(written)]
    Path("train.csv").write_text("\n".join(["x,y", *lines]))
    Path("new.csv").write_text("\n".join(["x,y", *(f"{k},{cell}" for k, cell in enumerate(cells))]))
    model = gradstep.train("train.csv")
    assert model.classes == classes
    assert model.report("new.csv").evaluation.weights.tolist() == [2, 2]
    assert model.report({"x": [1, 2], "y": classes}).evaluation.weights.tolist() == [1, 1]
    if isinstance(classes[0], bool):
        with pytest.raises(ValueError, match="data row 1: must hold one of the classes False, True, got 0"):
            model.report({"x": [1, 2], "y": [0, 1]})


def schema() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    path = ROOT / "docs" / "report.schema.json"
    if not path.is_file():  # an installed wheel does not have the pages
        pytest.skip("the sources are not here")
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.mark.parametrize("classes", [2, 3])
def test_json_fits_the_schema_and_is_what_python_has(
    folder: Path, capfd: pytest.CaptureFixture[str], classes: int
) -> None:
    problem(classes=classes).write_csv("data.csv")
    for args in (
        [],
        ["--l2", 0.1, "--test", 0.3],
        ["--l1", 0.01, "--standardize"],
        ["--learning-rate", 0.1, "--activation", "step"],
    ):
        if classes == 3 and "--activation" in args:
            continue
        trained(capfd, "data.csv", *args, "--out", "model.json")
        for more in ([], ["--folds", 2]):
            assert run(["report", "model.json", "data.csv", "--json", *map(str, more)]) == 0
            document = json.loads(capfd.readouterr().out)
            assert list(schema().iter_errors(document)) == []
            folds = 2 if more else None
            assert document == json.loads(
                json.dumps(gradstep.load("model.json").report("data.csv", folds=folds).to_dict())
            )
            assert not schema().is_valid(document | {"evaluated_on": "the moon"})
    for name in document:
        assert not schema().is_valid({key: value for key, value in document.items() if key != name}), name


def test_training_reports_on_request(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    for args, rows, note in [
        (["--test", 0.25], "held out", "16 of 60 rows are held out; the model is trained on the other 44"),
        (
            ["--folds", 4],
            "left out in turn",
            "the model is trained on all 60 rows; the predictions reported are of 4 others",
        ),
    ]:
        model = trained(capfd, "data.csv", *args, "--out", "model.json")
        assert model["report"]["evaluated_on"] == rows
        assert run(["report", "model.json", "data.csv", "--json", *(map(str, args) if "--folds" in args else [])]) == 0
        assert json.loads(capfd.readouterr().out) == model["report"]
        assert run(["train", "data.csv", *map(str, args)]) == 0
        out, err = capfd.readouterr()
        assert f"gradstep: note: {note}\n" in err
        assert all(title in out for title in ("Coefficients", "Predictions: ", "Confusion: ", "Calibration: "))
        assert run(["train", "data.csv", *map(str, args), "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")
    assert json.loads(Path("model.json").read_text())["result"]["rows"] == 60


def test_the_command_prints_what_python_has(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    assert run(["report", "model.json", "data.csv"]) == 0
    out = capfd.readouterr().out
    found = gradstep.load("model.json").report("data.csv")
    assert out.startswith("Report: answer in data.csv\n\nModel\n")
    words = " ".join(out.split())
    for section in found.sections():
        for row in section.rows:
            assert " ".join(" ".join(row).split()) in words
    assert " ".join(repr(found).replace("\n  ", "\n").split()) == words


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["report", "model.json", "data.csv", "--html", "page.txt"], "'--html': must end in .html."),
        (["report", "model.json", "data.csv", "--plot", "page.html"], "'--plot': must end in .png, .svg, .pdf."),
        (["report", "model.json", "data.csv", "--html", "a.html", "--plot", "none/a.png"], "none: no such folder"),
        (["report", "model.json", "data.csv", "--folds", "1"], "is not a whole number from 2"),
        (["report", "model.json", "absent.csv"], "absent.csv: No such file"),
        (["report", "model.json", "data.csv", "--weight", "w"], "has no column 'w'"),
        (["report", "model.json", "other.csv"], "other.csv: has no column 'answer'"),
        (["report", "model.json", "data.csv", "--folds", "99"], "fewer than --folds 99"),
        (["train", "data.csv", "--test", "1"], "'--test': 1.0 is not in the range"),
        (["train", "data.csv", "--test", "0.2", "--folds", "3"], "--test and --folds exclude each other."),
        (["train", "data.csv", "--seed", "3"], "--seed needs --shuffle or --test."),
    ],
)  # fmt: skip
def test_what_is_refused(folder: Path, capfd: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    problem().write_csv("data.csv")
    problem().drop("answer").write_csv("other.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    assert run(args) in (1, 2)
    out, err = capfd.readouterr()
    assert out == "" and words in err.replace("\n", " "), err


@pytest.mark.parametrize("classes", [2, 3])
def test_the_picture(folder: Path, capfd: pytest.CaptureFixture[str], classes: int) -> None:
    plot = pytest.importorskip("gradstep.plot")
    problem(classes=classes).write_csv("data.csv")
    trained(capfd, "data.csv", "--l2", 0.1, "--out", "model.json")
    ok("report", "model.json", "data.csv", "--plot", "picture.png", "--html", "page.html", cwd=folder)
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG") and "<svg" in Path("page.html").read_text()
    found = gradstep.load("model.json").report("data.csv")
    roc_axes, calibration_axes = plot.evaluation(found)
    assert found.evaluation.calibration is not None
    assert len(roc_axes.lines) == 1 + len(found.evaluation.roc)
    for line, curve in zip(roc_axes.lines[1:], found.evaluation.roc, strict=True):
        assert line.get_xydata().T.tolist() == [curve.false.tolist(), curve.true.tolist()]
    assert calibration_axes.lines[-1].get_ydata().tolist() == found.evaluation.calibration.observed.tolist()


@pytest.mark.parametrize(("classes", "kept"), [(2, ["yes"]), (3, ["maybe"]), (3, ["no", "yes"])])
def test_rows_that_lack_a_class_have_no_curve(
    folder: Path, capfd: pytest.CaptureFixture[str], classes: int, kept: list[str]
) -> None:
    plot = pytest.importorskip("gradstep.plot")
    frame = problem(classes=classes)
    frame.write_csv("data.csv")
    frame.filter(pl.col("answer").is_in(kept)).write_csv("some.csv")
    trained(capfd, "data.csv", "--l2", "0.1", "--out", "model.json")
    model = gradstep.load("model.json")
    assert run(["report", "model.json", "some.csv", "--plot", "picture.png", "--html", "page.html"]) == 0
    out, err = capfd.readouterr()
    absent = ", ".join(repr(value) for value in model.classes if value not in kept)
    reason = f"no ROC curve and no AUC: no row that counts is of class {absent}"
    assert f"note: {reason}" in err and "Calibration: " in out and "AUC " not in out
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
    assert html.escape(reason) in Path("page.html").read_text()
    found = model.report("some.csv")
    assert found.notes == (reason,) and found.evaluation.auc is None and found.to_dict()["roc"] == []
    roc_axes, calibration_axes = plot.evaluation(found)
    assert [text.get_text() for text in roc_axes.texts] == [reason] and len(roc_axes.lines) == 1
    assert len(calibration_axes.lines) == 2


def test_a_perceptron_has_a_page_but_no_picture(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gradstep.plot")
    problem().write_csv("data.csv")
    trained(capfd, "data.csv", "--activation", "step", "--epochs", "3", "--out", "model.json")
    assert run(["report", "model.json", "data.csv", "--plot", "picture.png", "--html", "page.html"]) == 1
    out, err = capfd.readouterr()
    assert "accuracy" in out and "report must have probabilities to be drawn, got that of a perceptron" in err
    assert Path("page.html").exists() and not Path("picture.png").exists()
