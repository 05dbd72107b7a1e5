"""What `train` tells: the summary, the model as JSON, and notes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.commands import pl, problem, run, trained
from helpers.program import ROWS, ok, program


def test_summary_json_quiet(folder: Path) -> None:
    (folder / "data.csv").write_text(ROWS)
    shown = ok("train", "data.csv", "--epochs", 50, "--out", "a.json", cwd=folder)
    printed = ok("train", "data.csv", "--epochs", 50, "--json", cwd=folder)
    assert ok("train", "data.csv", "--epochs", 50, "--quiet", "--out", "b.json", cwd=folder) == ""
    assert printed == (folder / "a.json").read_text() == (folder / "b.json").read_text()

    model = json.loads(printed)
    facts, weights = (dict(line.rsplit("  ", 1) for line in part.splitlines()) for part in shown.split("\n\n"))
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    weights = {name.strip(): value.strip() for name, value in weights.items()}
    result = model["result"]
    assert facts == {
        "rows": "5",
        "features": "2",
        "target": "y",
        "standardized": "no",
        "probability of": "yes",
        "start": "zero",
        "loss": f"{result['loss']:.6f}",
        "accuracy": f"{100 * result['accuracy']:.2f} %",
        "epochs": "50",
    }
    w1, w2 = model["weights"]
    bias = model["bias"]
    assert weights == {"feature": "weight", "x1": f"{w1:.6g}", "x2": f"{w2:.6g}", "(bias)": f"{bias:.6g}"}


def test_nothing_is_cut_or_coloured(folder: Path) -> None:
    name = "a very long name " * 20 + "[bold]end[/bold]"
    (folder / "data.csv").write_text(f"{name},\x1b[31mred,y\n1,2,0\n2,1,1\n1,2,1\n2,1,0\n")
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "40"}
    done = program("train", "data.csv", cwd=folder, env=env)
    assert any(line.startswith(name + "  ") for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout
    assert r"\x1b[31mred" in done.stdout

    (folder / "data.csv").write_text("a,y\n" + '1,"\x1b[2J\nu"\n2,v\n3,w\n2,"\x1b[2J\nu"\n1,v\n2,w\n' * 2)
    done = program("train", "data.csv", "--l2", 0.1, cwd=folder, env=env)
    assert "\x1b" not in done.stdout
    assert done.stdout.split("\n\n")[1].splitlines()[0].split() == ["feature", r"\x1b[2J\nu", "v", "w"]


def test_options_reach_the_trainer(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")
    y = (frame["answer"] == "yes").to_numpy().astype(float)
    args = ["--learning-rate", 0.03, "--epochs", 7, "--batch-size", 8, "--shuffle", "--seed", 11, "--l2", 0.5]
    model = trained(capfd, "data.csv", *args)
    want = gradstep.Trainer(0.03, 7, batch_size=8, shuffle=True, seed=11, l2=0.5).fit(X, y)
    assert model["weights"] == want.weights.tolist()
    assert model["options"] == {
        "learning_rate": 0.03,
        "epochs": 7,
        "batch_size": 8,
        "shuffle": True,
        "seed": 11,
        "l1": 0.0,
        "l2": 0.5,
        "fit_bias": True,
        "tol": 0.0,
        "reduction": "mean",
        "activation": "sigmoid",
        "start": "zero",
    }
    early = trained(capfd, "data.csv", "--tol", 0.05, "--epochs", 10_000)
    assert early["result"]["stop_reason"] == "tolerance"
    assert early["result"]["n_epochs"] < 10_000


def test_a_drawn_seed_is_kept(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    args = ["data.csv", "--shuffle", "--batch-size", "4", "--epochs", "3"]
    first = trained(capfd, *args)
    assert trained(capfd, *args, "--seed", first["options"]["seed"]) == first
    assert trained(capfd, *args)["options"]["seed"] != first["options"]["seed"]


def test_note_when_worse_than_a_constant(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,y\n1,0\n1000,1\n900,0\n1100,0\n800,1\n")
    assert run(["train", "data.csv", "--epochs", "100"]) == 0
    err = capfd.readouterr().err
    rise, constant = err.splitlines()
    assert re.fullmatch(r"gradstep: note: the loss rose from 0\.6931472 to 723\.\d+ in epoch 1: a smaller .*\?", rise)
    assert constant.startswith("gradstep: note: a constant prediction has a smaller loss")
    assert run(["train", "data.csv", "--epochs", "100", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert run(["train", "data.csv", "--epochs", "100", "--standardize"]) == 0
    assert capfd.readouterr().err == ""
    assert run(["train", "data.csv"]) == 0
    assert capfd.readouterr().err == ""


def test_note_when_passes_are_used_up(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    for args in ([], ["--l2", "0.01"]):
        assert run(["train", "data.csv", "--max-passes", "1", "--solver", "gd", *args, "--out", "model.json"]) == 0
        out, err = capfd.readouterr()
        result = json.loads((folder / "model.json").read_text())["result"]
        assert (result["converged"], result["stop_reason"]) == (False, "passes")
        assert (result["gap"] is None) == (args == [])
        if result["gap"] is None:
            gradient = f"{result['gradient_norm']:.1e}"
            far = f"the gradient is {gradient}, and how far the objective is above its minimum is not known"
        else:
            far = f"the objective may be up to {result['gap']:.1e} above its minimum"
        assert err == (
            f"gradstep: note: the optimum is not proved (stopped by 'passes', --max-passes 1): {far}; "
            "a larger --max-passes goes on\n"
        )
        assert out.split("\n\n")[0].endswith(f"\noptimum         not proved, {far.rpartition(', and ')[2]}")
        assert run(["train", "data.csv", "--max-passes", "1", "--solver", "gd", *args, "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("args", "words", "stop_reason"),
    [
        (["--gap-tol", "0"], "as no step improves): {far}, more than --gap-tol 0 allows; --standardize may leave less, "
         "and a larger --gap-tol accepts it", "precision"),
        (["--gap-tol", "0", "--standardize"], "as no step improves): {far}, more than --gap-tol 0 allows; "
         "a larger --gap-tol accepts it", "precision"),
        (["--tol", "0.1"], "--tol 0.1): {far}", "tolerance"),
    ],
)  # fmt: skip
def test_note_when_the_gap_is_too_large(
    folder: Path, capfd: pytest.CaptureFixture[str], args: list[str], words: str, stop_reason: str
) -> None:
    problem().write_csv("data.csv")
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == 0
    out, err = capfd.readouterr()
    result = json.loads((folder / "model.json").read_text())["result"]
    assert (result["converged"], result["stop_reason"]) == (False, stop_reason)
    far = f"the objective may be up to {result['gap']:.1e} above its minimum"
    words = f"(stopped by '{stop_reason}', {words.format(far=far)}"
    assert err == f"gradstep: note: the optimum is not proved {words}\n"
    assert f"\noptimum         not proved, {far}\n" in out


UNCERTIFIED = "not proved, how far the objective is above its minimum is not known (no Hessian was made)"


def test_a_fit_without_proof_says_so(folder: Path) -> None:
    problem().write_csv("data.csv")
    shown = ok("train", "data.csv", "--no-certify", "--out", "model.json", cwd=folder)
    result = json.loads((folder / "model.json").read_text())["result"]
    assert (result["gap"], result["converged"], result["stop_reason"]) == (None, False, "uncertified")
    assert f"\noptimum         {UNCERTIFIED}\n" in shown
    shown = ok("train", "data.csv", "--no-certify", "--l2", 0.01, cwd=folder)
    assert "\noptimum         reached, proved within " in shown, "by duality"


def test_too_many_weights_for_a_proof(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from gradstep import _training

    got = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], certify=False)
    problem().select("a", "answer").write_csv("data.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_training, "fit", lambda *args, **options: got)
        assert run(["train", "data.csv"]) == 0
    out, err = capfd.readouterr()
    assert f"\noptimum         {UNCERTIFIED}\n" in out and err == ""


def test_note_when_classes_are_nearly_separated(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,y\n0,0\n1,1\n0.25,0\n0.75,1\n")
    assert run(["train", "data.csv", "--l2", "1e-100"]) == 0
    assert re.fullmatch(
        r"gradstep: note: the optimum is not proved \(stopped by 'precision', as no step improves\): the objective may "
        r"be up to \d.* above its minimum; the classes may nearly be separated, and "
        r"a larger --l2 would help, or a column may hold values far beyond its others\n",
        capfd.readouterr().err,
    )


def rides(rows: int = 200) -> Any:
    """Seconds since 1970, columns that are computed from them, and a target that depends on how long a ride takes."""
    rng = np.random.default_rng(0)
    start, x = 1_700_000_000 + rng.integers(0, 10**6, rows), rng.integers(1, 1000, rows)
    late = np.where(rng.random(rows) < gradstep.sigmoid((x - 500) / 300), "yes", "no")
    return pl.DataFrame({"start": start, "x": x, "end2": start + 2 * x, "late": late})


@pytest.mark.parametrize("standardize", [False, True])
def test_columns_that_others_make_up_are_named(
    folder: Path, capfd: pytest.CaptureFixture[str], standardize: bool
) -> None:
    """Combinations of columns are written in the numbers of the file, whether the columns are standardized or not."""
    frame, args = rides(), ["--standardize"] * standardize
    frame.write_csv("data.csv")
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == 0
    out, err = capfd.readouterr()
    assert err == "gradstep: note: column 'end2' is 'start' + 2 * 'x', its weight is 0\n"
    model = json.loads((folder / "model.json").read_text())
    assert model["result"]["aliased"] == ["end2"] and model["weights"][2] == 0
    assert (
        model["result"]["converged"]
        and f"\noptimum         reached, proved within {model['result']['gap']:.1e} of" in out
    )
    frame.drop("end2").write_csv("fewer.csv")
    fewer = trained(capfd, "fewer.csv", *args)
    assert fewer["result"]["aliased"] == []
    np.testing.assert_allclose(model["weights"][:2], fewer["weights"], rtol=1e-6)

    more = frame.with_columns(one=7.5, half=pl.col("start") / 2, zero=0, left=1 - pl.col("x"))
    more.select("late", pl.exclude("late")).write_csv("more.csv")
    assert run(["train", "more.csv", "--target", "late", *args, "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == (
        "gradstep: note: column 'end2' is 'start' + 2 * 'x', column 'one' is constant, column 'half' is 0.5 * 'start', "
        "and 2 more: their weights are 0\n"
    )
    assert json.loads(out)["result"]["aliased"] == ["end2", "one", "half", "zero", "left"]
    more.select("x", "left", "one", "late").write_csv("more.csv")
    assert run(["train", "more.csv", *args]) == 0
    assert capfd.readouterr().err == (
        "gradstep: note: column 'left' is 1 - 'x', column 'one' is constant: their weights are 0\n"
    )
    assert run(["train", "more.csv", *args, "--quiet"]) == 0
    assert run(["train", "more.csv", *args, "--l2", "0.1"]) == 0, "with a penalty all columns have weights"
    assert capfd.readouterr().err == "gradstep: note: column 'one' is constant: --drop one leaves it out\n"


def test_a_combination_of_many_columns_is_cut(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    level = np.random.default_rng(0).integers(0, 9, 300)
    frame = pl.DataFrame({f"is_{k}": (level == k).astype(int) for k in range(9)})
    frame.with_columns(y=np.random.default_rng(1).integers(0, 2, 300)).write_csv("data.csv")
    assert run(["train", "data.csv"]) == 0
    assert capfd.readouterr().err == (
        "gradstep: note: column 'is_8' is a combination of 'is_0', 'is_1', 'is_2', 'is_3', 'is_4', 'is_5', … "
        "(8 in all), its weight is 0\n"
    )
