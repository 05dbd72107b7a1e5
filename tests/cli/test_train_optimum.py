"""`train` finds the optimum, of two classes or several, and says how it is proved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.commands import codes, pl, problem, run, trained
from helpers.program import ok


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ([], {}),
        (["--l2", 0.01], {"l2": 0.01}),
        (["--solver", "lbfgs", "--tol", 1e-3], {"tol": 1e-3}),
        (["--gap-tol", 1e-3, "--no-certify"], {"gap_tol": 1e-3, "certify": False}),
        (["--solver", "gd", "--l2", 0.01], {"solver": "gd", "l2": 0.01}),
        (["--max-passes", 3.5], {"max_passes": 3.5}),
    ],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_optimum_and_its_certificate(
    folder: Path, capfd: pytest.CaptureFixture[str], classes: int, args: list[object], options: dict[str, Any]
) -> None:
    frame = problem(classes=classes)
    frame.write_csv("data.csv")
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")
    want = gradstep.fit(X, codes(frame), **options)
    model = trained(capfd, "data.csv", *args, "--out", "model.json")
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), np.asarray(want.bias).tolist())
    defaults = {
        "l1": 0.0,
        "l2": 0.0,
        "firth": False,
        "gap_tol": 1e-8,
        "tol": None,
        "certify": True,
        "solver": "lbfgs",
        "max_passes": 1000.0,
    }
    defaults |= {"fit_bias": True}
    assert model["options"] == defaults | options
    certificate = {name: getattr(want, name) for name in (
        "loss", "objective", "gradient_norm", "gap", "converged", "passes", "n_iterations", "solver", "stop_reason",
    )}  # fmt: skip
    certificate |= {"gap": want.gap if np.isfinite(want.gap) else None, "aliased": []}
    besides = {name: model["result"][name] for name in ("accuracy", "trained_on")}
    assert model["result"] == certificate | {"rows": len(X)} | besides
    assert want.converged or "certify" in options or "max_passes" in options
    assert json.loads((folder / "model.json").read_text()) == model
    # The accuracy, computed without gradstep: the largest score, or the sign of the only one, tells the class.
    z = X @ np.atleast_2d(model["weights"]).T + model["bias"]
    guess = z.argmax(axis=1) if classes > 2 else (z > 0)[:, 0]
    assert model["result"]["accuracy"] == np.mean(guess == codes(frame))


def test_l1_leaves_weights_at_zero(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")
    want = gradstep.fit(X, codes(frame), l1=0.1, l2=0.01)
    model = trained(capfd, "data.csv", "--l1", 0.1, "--l2", 0.01)
    assert model["weights"] == want.weights.tolist() and 0.0 in model["weights"]
    assert model["options"]["l1"] == 0.1 and model["result"]["solver"] == "proximal"


def test_a_bound_that_is_not_known_is_null(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A gap that is not known is infinite in Python. JSON has no infinity."""
    from gradstep import _training

    got = replace(gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1), gap=float("inf"))
    problem().select("a", "answer").write_csv("data.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_training, "fit", lambda *args, **options: got)
        assert trained(capfd, "data.csv")["result"]["gap"] is None


def test_summary_of_the_optimum(folder: Path) -> None:
    problem().write_csv("data.csv")
    for args in ([], ["--l2", 0.01]):
        result = json.loads(ok("train", "data.csv", *args, "--json", cwd=folder))["result"]
        brief = {
            "rows": "60",
            "features": "3",
            "target": "answer",
            "standardized": "no",
            "probability of": "yes",
            "loss": f"{result['loss']:.6f}",
            "accuracy": f"{100 * result['accuracy']:.2f} %",
            "optimum": f"reached, proved within {result['gap']:.1e} of the minimum",
        }
        details = {
            "objective": f"{result['objective']:.6f}",
            "gradient norm": f"{result['gradient_norm']:.1e}",
            "passes": f"{result['passes']:.1f}",
            "solver": "lbfgs",
            "stopped by": "tolerance",
        }
        for flag, want in (([], brief), (["--details"], brief | details)):
            shown = ok("train", "data.csv", *args, *flag, cwd=folder)
            facts = dict(line.split("  ", 1) for line in shown.split("\n\n")[0].splitlines())
            assert {name: value.strip() for name, value in facts.items()} == want


def test_several_classes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem(classes=3)
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", "--standardize", "--out", "model.json")
    assert model["classes"] == ["maybe", "no", "yes"]
    assert run(["train", "data.csv", "--standardize"]) == 0
    facts, weights = capfd.readouterr().out.split("\n\n")
    assert "\nclasses       maybe, no, yes\n" in facts
    lines = weights.splitlines()
    assert [line.split() for line in lines] == [
        ["feature", "maybe", "no", "yes"],
        *(
            [name, *(f"{weights[j]:.6g}" for weights in model["weights"])]
            for j, name in enumerate(["a", "count", "flag"])
        ),
        ["(bias)", *(f"{bias:.6g}" for bias in model["bias"])],
    ]

    # Softmax by hand, from the means, scales, weights and biases in the model file.
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy()
    x = (X - np.array(model["standardize"]["mean"])) / np.array(model["standardize"]["scale"])
    power = np.exp(x @ np.array(model["weights"]).T + model["bias"])
    want = power / power.sum(axis=1, keepdims=True)
    names = ["probability_maybe", "probability_no", "probability_yes"]

    assert run(["predict", "model.json", "data.csv"]) == 0
    printed = capfd.readouterr().out
    assert printed.splitlines()[0] == ",".join([*names, "label"])
    assert run(["predict", "model.json", "data.csv", "--out", "p.csv"]) == 0
    assert (folder / "p.csv").read_text() == printed
    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    assert run(["predict", "model.json", "data.csv", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert pl.read_parquet("p.parquet").to_dicts() == rows
    assert pl.read_csv("p.csv").to_dicts() == rows
    got = np.array([[row[name] for name in names] for row in rows])
    np.testing.assert_allclose(got, want, rtol=1e-13)
    labels = [row["label"] for row in rows]
    assert labels == [model["classes"][k] for k in want.argmax(axis=1)]
    assert set(labels) == {"maybe", "no", "yes"}
    assert model["result"]["accuracy"] == np.mean(np.array(labels) == frame["answer"].to_numpy())


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["10", "9", "-1"], [-1, 9, 10]),
        (["1.0", "3", "2"], [1.0, 2.0, 3.0]),
        (["18446744073709551615", "7", "18446744073709551614"], [7, 2**64 - 2, 2**64 - 1]),
        (["é", 'say ""z""', "a, b"], ["a, b", 'say "z"', "é"]),
        (["true", "false", "maybe"], ["false", "maybe", "true"]),
        (["1", "2", "x"], ["1", "2", "x"]),
    ],
)
def test_kinds_of_several_classes(
    folder: Path, capfd: pytest.CaptureFixture[str], values: list[str], classes: list[object]
) -> None:
    rng = np.random.default_rng(1)
    which = rng.permutation(np.arange(30) % 3)
    a = which + rng.normal(size=30)
    (folder / "data.csv").write_text("a,y\n" + "".join(f'{x},"{values[k]}"\n' for x, k in zip(a, which, strict=True)))
    model = trained(capfd, "data.csv", "--l2", 0.01, "--out", "model.json")
    assert [(type(value), value) for value in model["classes"]] == [(type(value), value) for value in classes]
    # The feature grows from the first of the values to the last; so the weights of their classes grow, too.
    unquoted = [value.replace('""', '"') for value in values]
    order = [next(k for k, value in enumerate(classes) if str(value) in (text, f"{text}.0")) for text in unquoted]
    weights = [model["weights"][k][0] for k in order]
    assert weights == sorted(weights) and weights[0] < 0 < weights[2]
    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    predicted = pl.read_parquet("p.parquet")
    assert predicted.columns == [*(f"probability_{value}" for value in classes), "label"]
    assert set(predicted["label"]) <= set(classes)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (["--learning-rate", 0.1], {}),
        (["--epochs", 100], {}),
        (["--batch-size", "full"], {}),
        (["--shuffle", "--seed", 3], {"shuffle": True, "seed": 3}),
        (["--epochs", 7, "--tol", 1e-30], {"epochs": 7, "tol": 1e-30}),
    ],
)
def test_options_of_the_descent_select_it(
    folder: Path, capfd: pytest.CaptureFixture[str], args: list[object], options: dict[str, Any]
) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")
    model = trained(capfd, "data.csv", *args)
    want = gradstep.Trainer(**options).fit(X, codes(frame))
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)
    assert model["options"]["learning_rate"] == 0.1
    assert model["result"].keys() == {"rows", "loss", "accuracy", "n_epochs", "stop_reason", "trained_on"}


def test_numbers_whose_squares_are_not_finite(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,b,y\n1,1,0\n2,-3e200,1\n2,1,0\n1,1,1\n1,-1e200,0\n")
    model = trained(capfd, "data.csv")
    (folder / "data.csv").write_text("a,b,y\n1,0,0\n2,-3,1\n2,0,0\n1,0,1\n1,-1,0\n")
    want = trained(capfd, "data.csv")
    assert model["result"]["converged"] and want["result"]["converged"]
    np.testing.assert_allclose(model["weights"], [want["weights"][0], want["weights"][1] / 1e200], rtol=1e-6)


SEPARATED = "hours,slept,passed\n1,7,no\n2,5,no\n3,8,yes\n4,6,yes\n5,7,yes\n"


def test_firth_fits_what_is_separated(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(SEPARATED)
    assert run(["train", "data.csv"]) == 1
    assert "a penalty, such as --l2 0.001 or --firth, makes them finite" in " ".join(capfd.readouterr().err.split())
    model = trained(capfd, "data.csv", "--firth")
    want = gradstep.fit([[1, 7], [2, 5], [3, 8], [4, 6], [5, 7]], [0, 0, 1, 1, 1], firth=True)
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)
    assert model["options"]["firth"] and model["options"]["solver"] == "auto"
    assert model["result"]["converged"] and model["result"]["gap"] is None and model["result"]["solver"] == "firth"
    assert run(["train", "data.csv", "--firth"]) == 0
    assert "optimum         reached, a local one: that no other is better is not proved" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--l2", "1"], "it excludes --l2"),
        (["--l1", "1"], "it excludes --l1"),
        (["--solver", "gd"], "it excludes --solver"),
        (["--cv", "3"], "it excludes --cv"),
        (["--path", "path.csv"], "it excludes --path"),
        (["--epochs", "3"], "--epochs is for a descent, --firth for the optimum"),
    ],
)
def test_what_firth_excludes(folder: Path, capfd: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    (folder / "data.csv").write_text(SEPARATED)
    assert run(["train", "data.csv", "--firth", *args]) == 2
    assert words in " ".join(capfd.readouterr().err.split())


def test_firth_is_for_two_classes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem(classes=3).write_csv("data.csv")
    assert run(["train", "data.csv", "--firth"]) == 2
    assert "--firth is for two classes, target 'answer' has 3" in " ".join(capfd.readouterr().err.split())
