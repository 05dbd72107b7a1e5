from __future__ import annotations

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click")
pl = pytest.importorskip("polars")
pytest.importorskip("rich")

import gradstep  # noqa: E402
from gradstep._cli import demo_points, run  # noqa: E402

PROGRAM = [sys.executable, "-m", "gradstep"]
ROWS = "x1,x2,y\n0.5,1,no\n1.5,-2,yes\n0.25,3,no\n2.5,0,no\n1,1,yes\n"
"""No line separates them: the last one is within the triangle of those that say no."""


def program(*args: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The real program, in a process of its own."""
    command = [*PROGRAM, *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def ok(*args: object, cwd: Path) -> str:
    """What the real program prints; it must succeed, and say nothing on stderr."""
    done = program(*args, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(capfd: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    """The model that train prints with --json, trained in this process."""
    code = run(["train", *map(str, args), "--json"])
    out, err = capfd.readouterr()
    assert (code, "error" in err) == (0, False), err
    model: dict[str, Any] = json.loads(out)
    return model


def problem(rows: int = 60, classes: int = 2) -> Any:
    """A data frame with a float, an integer and a boolean feature, and a target in two or three words."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=rows) / 3
    label = np.where(a + rng.normal(size=rows) > 0, "yes", "no")
    frame = pl.DataFrame({"a": a, "count": rng.integers(0, 9, rows), "flag": rng.random(rows) < 0.5, "answer": label})
    if classes == 2:
        return frame
    doubt = frame["count"].to_numpy() > rng.integers(0, 12, rows)
    return frame.with_columns(answer=np.where(doubt, "maybe", label))


def codes(frame: Any) -> Any:
    """The target of `problem` as the places of its words in sorted order."""
    return np.unique(frame["answer"].to_numpy(), return_inverse=True)[1].astype(float)


# --- demo -----------------------------------------------------------------------------------------------------------


def test_demo(folder: Path) -> None:
    shown = ok("demo", cwd=folder).splitlines()
    model = json.loads(ok("demo", "--json", cwd=folder))
    X, y = demo_points(7)
    want = gradstep.Trainer(0.01, 100, batch_size=1).fit(X, y)
    assert model["weights"] == want.weights.tolist()
    assert model["bias"] == want.bias
    assert [at["loss"] for at in model["history"]] == want.history[[0, *range(9, 100, 10)]].tolist()
    assert model["history"][-1]["accuracy"] == model["result"]["accuracy"] > 0.9
    assert model["result"]["loss"] < model["history"][0]["loss"] / 2, "it learns"

    assert [line.split()[0] for line in shown[1:12]] == ["1", *map(str, range(10, 101, 10))]
    assert shown[11].split()[1] == f"{model['result']['loss']:.6f}"
    assert shown[-2].split("  ")[-1].strip() == "w1·x1 + w2·x2 + b = 0"
    numbers = shown[-1].replace(" - ", " -").replace(" + ", " ").replace("·x1", "").replace("·x2", "").split()
    assert numbers[:3] == [f"{value:.6f}" for value in (*model["weights"], model["bias"])]
    assert os.listdir(folder) == []


def test_demo_options(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--epochs", "3", "--learning-rate", "0.1", "--seed", "5", "--json"]) == 0
    model = json.loads(capfd.readouterr().out)
    want = gradstep.Trainer(0.1, 3, batch_size=1).fit(*demo_points(5))
    assert model["weights"] == want.weights.tolist()
    assert [at["epoch"] for at in model["history"]] == [1, 2, 3]


# --- train: what is read --------------------------------------------------------------------------------------------


def test_csv_and_parquet_give_the_same_model(folder: Path) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    frame.write_csv("data.tsv", separator="\t")
    frame.write_csv("data.txt", separator="\t")
    frame.write_parquet("data.parquet")
    (folder / "data").write_bytes((folder / "data.parquet").read_bytes())  # known by its first bytes
    names = ("data.csv", "data.parquet", "data.tsv", "data.txt", "data")
    for name in names:
        assert run(["train", name, "--standardize", "--quiet", "--out", f"{name}.json"]) == 0
    models = {(folder / f"{name}.json").read_bytes() for name in names}
    assert len(models) == 1

    model = json.loads(models.pop())
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy(order="c")
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    want = gradstep.fit(x, (frame["answer"] == "yes").to_numpy().astype(float))
    assert (model["features"], model["target"], model["classes"]) == (["a", "count", "flag"], "answer", ["no", "yes"])
    assert (model["weights"], model["bias"], model["result"]["loss"]) == (want.weights.tolist(), want.bias, want.loss)
    assert model["standardize"] == {"mean": X.mean(axis=0).tolist(), "scale": X.std(axis=0).tolist()}


@pytest.mark.parametrize(
    ("content", "args", "features", "rows"),
    [
        ("a,b,y\n1,2,0\n3,4,1\n", [], ["a", "b"], 2),
        ("1,2,0\n3,4,1\n", [], ["column_1", "column_2"], 2),
        ("1,2,no\n3,4,yes\n", [], ["column_1", "column_2"], 2),
        ("1,2,0\n3,4,1\n1,5,0\n", ["--header", "--target", "0"], ["1", "2"], 2),
        ("1,2,0\n3,4,1\n", ["--target", "column_2"], ["column_1", "column_3"], 2),
        (",b,y\n1,2,0\n3,4,1\n", [], ["", "b"], 2),
        ('"a, b",b,y\r\n1,2,0\r\n3,4,1\r\n\r\n', [], ["a, b", "b"], 2),
        ("\ufeffa , b,y\n 1, 2 ,0\n3,4,1\n\n\n", [], ["a", "b"], 2),
        ("é,b,y\n1,2,0\n3,4,1", [], ["é", "b"], 2),
        ("a,b,y\n1e-3,+2,0\n.5,TRUE,1\n", [], ["a", "b"], 2),
        ("y,b\n0,1\n1,2\n0,3\n", ["--target", "y"], ["b"], 3),
        ("a;b;y\n1;2;0\n3;4;1\n", [], ["a", "b"], 2),
        ("a\tb\ty\n1\t2\t0\n3\t4\t1\n", [], ["a", "b"], 2),
        ("a;1,b;2,y\n1,2,0\n3,4,1\n", [], ["a;1", "b;2"], 2),
        ("a,b,y\r1,2,0\r3,4,1\r", [], ["a", "b"], 2),
        ("true,1,yes\nfalse,2,no\n", [], ["column_1", "column_2"], 2),
        ("true,false,yes\nfalse,false,no\ntrue,true,no\n", [], ["column_1", "column_2"], 3),
        ("0,1,label\n1,2,0\n3,4,1\n", ["--header"], ["0", "1"], 2),
        ("0,1,x\n1,2,y\n3,4,x\n", [], ["column_1", "column_2"], 3),
        ("x^2,y\n1,0\n3,1\n", [], ["x^2"], 2),  # the first two bytes of a zlib stream, too
        ("x\x01,y\n1,0\n3,1\n", [], ["x\x01"], 2),
    ],
)
def test_headers(
    folder: Path, capfd: pytest.CaptureFixture[str], content: str, args: list[str], features: list[str], rows: int
) -> None:
    (folder / "data.csv").write_bytes(content.encode())
    model = trained(capfd, "data.csv", "--l2", 0.1, *args)
    assert (model["features"], model["result"]["rows"]) == (features, rows)


@pytest.mark.parametrize(
    ("cells", "classes", "second"),
    [
        (["yes", "no", "yes"], ["no", "yes"], True),
        (["no", "yes", "no"], ["no", "yes"], False),
        (["true", "false", "true"], [False, True], True),
        (["True", "False", "true"], [False, True], True),
        (["2", "1", "2"], [1, 2], True),
        (["9", "10", "9"], [9, 10], False),
        (["1", "-1", "1.0"], [-1.0, 1.0], True),
        (["01", "1", "01"], ["01", "1"], False),
        (["1" + "0" * 22 + "1", "1" + "0" * 23, "1" + "0" * 23], ["1" + "0" * 23, "1" + "0" * 22 + "1"], True),
        (["9007199254740993", "9007199254740992", "9007199254740992"], [2**53, 2**53 + 1], True),
        (["0.5", "0.25", "0.5"], [0.25, 0.5], True),
        (["b", "B", "b"], ["B", "b"], True),
        (["1", "x", "1"], ["1", "x"], False),
        (["é", "z", "é"], ["z", "é"], True),
        (["18446744073709551615", "18446744073709551614", "18446744073709551615"], [2**64 - 2, 2**64 - 1], True),
    ],
)
def test_targets(
    folder: Path, capfd: pytest.CaptureFixture[str], cells: list[str], classes: list[object], second: bool
) -> None:
    (folder / "data.csv").write_text("a,y\n" + "".join(f"{x},{c}\n" for x, c in zip([1, -1, 2], cells, strict=True)))
    model = trained(capfd, "data.csv", "--l2", 0.1)
    assert model["classes"] == classes
    assert [type(value) for value in model["classes"]] == [type(value) for value in classes]
    # The feature is positive where the first cell's class is, so the weight is positive if that is the second class.
    assert (model["weights"][0] > 0) == second


def test_parquet_targets(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a = [1.0, -1.0, 2.0]
    cases: list[tuple[Any, list[object]]] = [
        (pl.Series([True, False, True]), [False, True]),
        (pl.Series([7, 3, 7], dtype=pl.UInt8), [3, 7]),
        (pl.Series(["n", "m", "n"], dtype=pl.Categorical), ["m", "n"]),
        (pl.Series([2**63 + 1, 5, 2**63 + 1], dtype=pl.UInt64), [5, 2**63 + 1]),
    ]
    for y, classes in cases:
        pl.DataFrame({"a": a, "y": y}).write_parquet("data.parquet")
        model = trained(capfd, "data.parquet", "--l2", 0.1, "--out", "model.json")
        assert model["classes"] == classes
        assert model["weights"][0] > 0
        assert run(["predict", "model.json", "data.parquet", "--out", "p.parquet"]) == 0
        labels = pl.read_parquet("p.parquet")["label"].to_list()
        assert set(labels) <= set(classes)
        assert labels[2] == classes[1]


# --- train: what is told --------------------------------------------------------------------------------------------


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
        "classes": "no (0), yes (1)",
        "loss": f"{result['loss']:.6f}",
        "accuracy": f"{100 * result['accuracy']:.2f} %",
        "epochs": "50",
        "stopped by": "epochs",
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
        "l2": 0.5,
        "tol": 0.0,
        "reduction": "mean",
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
    assert err.startswith("gradstep: note: a constant prediction has a smaller loss")
    assert err.count("\n") == 1
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
            f"gradstep: note: the optimum is not proved: after {result['passes']:.0f} passes {far}; "
            "a larger --max-passes goes on\n"
        )
        shown = out.split("\n\n")[0]
        assert f"\noptimum        not proved: {far.rpartition(', and ')[2]}\n" in shown
        assert shown.endswith("stopped by     passes")
        assert run(["train", "data.csv", "--max-passes", "1", "--solver", "gd", *args, "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("args", "words", "stop_reason"),
    [
        (["--gap-tol", "0"], r"no step improves, and {far}, more than --gap-tol 0 allows; --standardize may leave less",
         "precision"),
        (["--gap-tol", "0", "--standardize"], r"no step improves, and {far}, more than --gap-tol 0 allows",
         "precision"),
        (["--tol", "0.1"], r"stopped by --tol 0.1, where {far}", "tolerance"),
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
    assert err == f"gradstep: note: the optimum is not proved: {words.format(far=far)}\n"
    assert f"\noptimum        not proved: {far}\n" in out


def test_a_fit_without_proof_says_so(folder: Path) -> None:
    problem().write_csv("data.csv")
    shown = ok("train", "data.csv", "--no-certify", "--out", "model.json", cwd=folder)
    result = json.loads((folder / "model.json").read_text())["result"]
    assert (result["gap"], result["converged"], result["stop_reason"]) == (None, False, "uncertified")
    assert "\noptimum        not proved: left out by --no-certify\n" in shown and "\ngap " not in shown
    shown = ok("train", "data.csv", "--no-certify", "--l2", 0.01, cwd=folder)
    assert "\noptimum        proved, within " in shown, "by duality"


def test_too_many_weights_for_a_proof(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from gradstep import _training

    got = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], certify=False)
    problem().select("a", "answer").write_csv("data.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_training, "fit", lambda *args, **options: got)
        assert run(["train", "data.csv"]) == 0
    out, err = capfd.readouterr()
    assert "\noptimum        not proved: too many weights for a proof\n" in out and err == ""


def test_note_when_classes_are_nearly_separated(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,y\n0,0\n1,1\n0.25,0\n0.75,1\n")
    assert run(["train", "data.csv", "--l2", "1e-100"]) == 0
    assert re.fullmatch(
        r"gradstep: note: the optimum is not proved: no step improves, the gradient is \d.*, and how far the objective "
        r"is above its minimum is not known; the classes may nearly be separated, which a larger --l2 would mend, "
        r"or a column may hold values far beyond its others\n",
        capfd.readouterr().err,
    )


def rides(rows: int = 200) -> Any:
    """Seconds since 1970, what follows from them, and a target that depends on how long a ride takes."""
    rng = np.random.default_rng(0)
    start, x = 1_700_000_000 + rng.integers(0, 10**6, rows), rng.integers(1, 1000, rows)
    late = np.where(rng.random(rows) < gradstep.sigmoid((x - 500) / 300), "yes", "no")
    return pl.DataFrame({"start": start, "x": x, "end2": start + 2 * x, "late": late})


@pytest.mark.parametrize("standardize", [False, True])
def test_columns_that_others_make_up_are_named(
    folder: Path, capfd: pytest.CaptureFixture[str], standardize: bool
) -> None:
    """… with the numbers that the file holds, standardized or not."""
    frame, args = rides(), ["--standardize"] * standardize
    frame.write_csv("data.csv")
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == 0
    out, err = capfd.readouterr()
    assert err == "gradstep: note: column 'end2' is 'start' + 2 * 'x', its weight is 0\n"
    model = json.loads((folder / "model.json").read_text())
    assert model["result"]["aliased"] == ["end2"] and model["weights"][2] == 0
    assert model["result"]["converged"] and f"\noptimum        proved, within {model['result']['gap']:.1e}\n" in out
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
    assert capfd.readouterr().err == ""


def test_a_combination_of_many_columns_is_cut(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    level = np.random.default_rng(0).integers(0, 9, 300)
    frame = pl.DataFrame({f"is_{k}": (level == k).astype(int) for k in range(9)})
    frame.with_columns(y=np.random.default_rng(1).integers(0, 2, 300)).write_csv("data.csv")
    assert run(["train", "data.csv"]) == 0
    assert capfd.readouterr().err == (
        "gradstep: note: column 'is_8' is a combination of 'is_0', 'is_1', 'is_2', 'is_3', 'is_4', 'is_5', … "
        "(8 in all), its weight is 0\n"
    )


# --- train: the optimum ---------------------------------------------------------------------------------------------


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
    defaults = {"l2": 0.0, "gap_tol": 1e-8, "tol": None, "certify": True, "solver": "lbfgs", "max_passes": 1000.0}
    assert model["options"] == defaults | options
    certificate = {name: getattr(want, name) for name in (
        "loss", "objective", "gradient_norm", "gap", "converged", "passes", "n_iterations", "solver", "stop_reason",
    )}  # fmt: skip
    certificate |= {"gap": want.gap if np.isfinite(want.gap) else None, "aliased": []}
    assert model["result"] == certificate | {"rows": len(X), "accuracy": model["result"]["accuracy"]}
    assert want.converged or "certify" in options or "max_passes" in options
    assert json.loads((folder / "model.json").read_text()) == model
    # The accuracy by nothing of ours: the largest predictor, or the sign of the only one, tells the class.
    z = X @ np.atleast_2d(model["weights"]).T + model["bias"]
    guess = z.argmax(axis=1) if classes > 2 else (z >= 0)[:, 0]
    assert model["result"]["accuracy"] == np.mean(guess == codes(frame))


def test_a_bound_that_is_not_known_is_null(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """JSON has no infinity, which is what stands for a gap of which nothing is known."""
    from gradstep import _training

    got = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)._replace(gap=float("inf"))
    problem().select("a", "answer").write_csv("data.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_training, "fit", lambda *args, **options: got)
        assert trained(capfd, "data.csv")["result"]["gap"] is None


def test_summary_of_the_optimum(folder: Path) -> None:
    problem().write_csv("data.csv")
    for args in ([], ["--l2", 0.01]):
        shown = ok("train", "data.csv", *args, cwd=folder)
        result = json.loads(ok("train", "data.csv", *args, "--json", cwd=folder))["result"]
        facts = dict(line.split("  ", 1) for line in shown.split("\n\n")[0].splitlines())
        facts = {name: value.strip() for name, value in facts.items()}
        assert {name: value for name, value in facts.items() if name not in ("rows", "features", "classes")} == {
            "target": "answer",
            "standardized": "no",
            "loss": f"{result['loss']:.6f}",
            "accuracy": f"{100 * result['accuracy']:.2f} %",
            "objective": f"{result['objective']:.6f}",
            "gradient norm": f"{result['gradient_norm']:.1e}",
            "gap": f"{result['gap']:.1e}",
            "optimum": f"proved, within {result['gap']:.1e}",
            "passes": f"{result['passes']:.1f}",
            "solver": "lbfgs",
            "stopped by": "tolerance",
        }


def test_several_classes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem(classes=3)
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", "--standardize", "--out", "model.json")
    assert model["classes"] == ["maybe", "no", "yes"]
    assert run(["train", "data.csv", "--standardize"]) == 0
    lines = capfd.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split() for line in lines] == [
        ["feature", "maybe", "no", "yes"],
        *(
            [name, *(f"{weights[j]:.6g}" for weights in model["weights"])]
            for j, name in enumerate(["a", "count", "flag"])
        ),
        ["(bias)", *(f"{bias:.6g}" for bias in model["bias"])],
    ]

    # Softmax by hand from what the file says.
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
    # The feature grows from the first of the values to the last, and with it their weights.
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
    assert model["result"].keys() == {"rows", "loss", "accuracy", "n_epochs", "stop_reason"}


def test_numbers_whose_squares_are_not_finite(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text("a,b,y\n1,1,0\n2,-3e200,1\n2,1,0\n1,1,1\n1,-1e200,0\n")
    model = trained(capfd, "data.csv")
    (folder / "data.csv").write_text("a,b,y\n1,0,0\n2,-3,1\n2,0,0\n1,0,1\n1,-1,0\n")
    want = trained(capfd, "data.csv")
    assert model["result"]["converged"] and want["result"]["converged"]
    np.testing.assert_allclose(model["weights"], [want["weights"][0], want["weights"][1] / 1e200], rtol=1e-6)


# --- errors ---------------------------------------------------------------------------------------------------------

BAD_FILES: dict[str, tuple[bytes, list[str], list[str]]] = {
    "empty": (b"", [], ["is empty"]),
    "blank lines only": (b"\n\n", [], ["is empty"]),
    "header only": (b"a,b,y\n", [], ["no data rows"]),
    "text in a feature": (b"a,b,y\n1,2,0\n1,x,1\n1,z,1\n", [], ["'b'", "data row 2", "'x'"]),
    "text feature": (b"a,b,y\n1,x,0\n1,y,1\n", [], ["'b'", "data row 1", "'x'"]),
    "number in the header": (b"a,2019,y\n1,2,0\n3,4,1\n", ["--target", "column_1"], ["'a' stands", "--no-header"]),
    "numbers in the header": (b"0,1,label\n1,2,0\n3,4,1\n", [], ["'label' stands above numbers", "--header"]),
    "target of a header": (b"0,1,2\n1,2,0\n3,4,1\n", ["--target", "y"], ["no column 'y'", "--header"]),
    "NA": (b"a,b,y\n1,2,0\n1,NA,1\n", [], ["'b'", "data row 2", "missing"]),
    "N/A": (b"a,b,y\n1,2,0\n1, N/A,1\n", [], ["'b'", "data row 2", "missing"]),
    "nan": (b"a,b,y\n1,nan,0\n1,2,1\n", [], ["'b'", "data row 1", "missing"]),
    "null": (b"1,2,0\n1,null,1\n", [], ["'column_2'", "data row 2", "missing"]),
    "empty cell": (b"a,b,y\n1,2,0\n,3,1\n", [], ["'a'", "data row 2", "missing"]),
    "empty line": (b"a,b,y\n1,2,0\n\n3,3,1\n", [], ["data row 2", "missing"]),
    "empty target": (b"a,b,y\n1,2,0\n1,2,\n1,2,1\n", [], ["'y'", "data row 2", "missing"]),
    "NA in a target of words": (b"a,y\n1,u\n2,v\n3,NA\n", [], ["'y'", "data row 3", "missing"]),
    "inf": (b"a,b,y\n1,2,0\n1,-inf,1\n", [], ["'b'", "data row 2", "finite", "-inf"]),
    "beyond double": (b"a,b,y\n1,2,0\n1,1e999,1\n", [], ["'b'", "data row 2", "finite", "1e999"]),
    "inf in the target": (b"a,y\n1,2\n1,inf\n", [], ["'y'", "data row 2", "finite"]),
    "one class": (b"a,y\n1,0\n2,0\n", [], ["'y'", "two values or more, got 1: 0"]),
    "one row": (b"a,y\n1,0\n", [], ["'y'", "two values or more, got 1: 0"]),
    "a class a row": (b"a,y\n1,u\n2,v\n3,w\n", [], ["'y'", "half as many", "rows, 3, got 3: 'u', 'v', 'w'"]),
    "many classes": (b"a,y\n" + b"".join(b"1,%d\n" % (j % 501) for j in range(1001)), [], ["got 501: 0, 1", "… (501"]),
    "too many classes": (b"a,y\n" + b"".join(b"1,%d\n" % (j % 1001) for j in range(2002)), [], ["1000", "got 1001"]),
    "continuous": (b"a,y\n" + b"1,1\n1,2\n1,2.5\n" * 9, [], ["'y' is continuous", "got 3: 1.0, 2.0, 2.5"]),
    "separated": (
        b"a,b,y\n1,0,0\n2,0,1\n1,0,1\n2,0,0\n1,1,1\n",
        [],
        ["no optimum: along column 'b' some or all", "--l2"],
    ),
    "separated by one of two": (
        b"a,b,y\n0,1,0\n1,0,0\n1,1,1\n2,1,1\n",
        [],
        ["along column 'a' some or all labels are separated"],
    ),
    "separated columns": (
        b"a,b,y\n0,1,0\n1,0,0\n0,2,1\n2,0,1\n",
        [],
        ["along columns 'a', 'b' some or all labels are separated"],
    ),
    "separated, three": (b"a,y\n1,u\n2,u\n3,v\n4,v\n5,w\n6,w\n", [], ["no optimum", "separated", "--l2"]),
    "descent of three": (
        b"a,y\n" + b"1,u\n2,v\n3,w\n" * 2,
        ["--epochs", "5"],
        ["'y' has 3 values: a descent is for two"],
    ),
    "huge numbers": (
        b"a,b,y\n1,1,0\n2,-3e300,1\n2,2e300,0\n1,3e300,1\n",
        ["--l2", "0.1"],
        ["'b'", "numbers too large"],
    ),
    "no such target": (b"a,b,y\n1,2,0\n1,3,1\n", ["--target", "z"], ["'z'", "'a', 'b', 'y'"]),
    "target alone": (b"y\n0\n1\n", [], ["feature", "'y'"]),
    "same name twice": (b"a,b,a,y\n1,2,3,0\n1,2,4,1\n", [], ["two columns", "'a'"]),
    "long line": (b"a,y\n1,0\n2,1,3\n", [], ["line 3 has 3 cells, line 1 has 2"]),
    "long lines": (b"a,y\n1,0,0\n2,1,3\n", [], ["line 2 has 3 cells, line 1 has 2"]),
    "short line": (b"a,b,y\n1,0,0\n2,1\n", [], ["line 3 has 2 cells, line 1 has 3"]),
    "open quote": (b'a,y\n1,"0\n2,1\n', [], ["not a table"]),
    "Latin-1": (b"a,y\n1,s\xed\n2,no\n", [], ["UTF-8"]),
    "UTF-16": ("a,y\n1,0\n2,1\n".encode("utf-16"), [], ["UTF-8"]),
    "binary": (bytes(range(256)) * 20, [], ["UTF-8"]),
    "UTF-16 without a mark": ("a,y\n1,0\n2,1\n".encode("utf-16-be"), [], ["UTF-8"]),
    "gzip": (gzip.compress(b"a,y\n1,0\n2,1\n"), [], ["data.csv: not a CSV file in UTF-8"]),
    "zlib": (zlib.compress(b"a,y\n1,0\n2,1\n"), [], ["data.csv: not a CSV file in UTF-8"]),
    "half of gzip": (gzip.compress(b"a,y\n1,0\n2,1\n")[:20], [], ["data.csv"]),
    "zero bytes": (bytes(1000), [], ["UTF-8"]),
    "a zero in a name": (b"a\0,y\n1,0\n2,1\n", [], ["UTF-8"]),
    "semicolons and decimal commas": (b"a;b;y\n1,5;2;0\n2,5;3;1\n", [], ["'a'", "data row 1", "'1,5'"]),
    "Latin-1 far down": (b"a,y\n" + b"1,n\n" * 50_000 + b"1,s\xed\n", [], ["UTF-8"]),
    "too large to standardize": (b"a,b,y\n1,1e308,0\n2,-1e308,1\n", ["--standardize"], ["'b'", "too large"]),
    "divergence": (b"a,y\n1e300,0\n-1e300,1\n2e300,1\n", ["--learning-rate", "1e300"], ["diverged", "--standardize"]),
    "escape in a name": (b"\x1b[2Ja,y\nx,0\n2,1\n", [], [r"\x1b[2Ja"]),
}


def one_line(err: str) -> str:
    assert err.startswith("gradstep: error: "), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(("content", "args", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(
    folder: Path, capfd: pytest.CaptureFixture[str], content: bytes, args: list[str], words: list[str]
) -> None:
    (folder / "data.csv").write_bytes(content)
    assert run(["train", "data.csv", "--out", "model.json", *args]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    for word in words:
        assert word in one_line(err), (word, err)
    assert os.listdir(folder) == ["data.csv"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"a,y\n1,0\n2,1\n"],
    ids=["empty", "magic", "zeros", "CSV"],
)
def test_bad_parquet(folder: Path, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    (folder / "data.parquet").write_bytes(content)
    assert run(["train", "data.parquet", "--out", "model.json"]) == 1
    assert "not a readable Parquet file" in one_line(capfd.readouterr().err)
    assert os.listdir(folder) == ["data.parquet"]


def test_damaged_parquet_is_one_line_or_fine(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_parquet("good.parquet")
    good = (folder / "good.parquet").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            damaged[place] = rng.integers(256)
        (folder / "data.parquet").write_bytes(damaged)
        code = run(["train", "data.parquet", "--epochs", "1"])
        err = capfd.readouterr().err
        assert code in (0, 1)
        assert not code or one_line(err)


def test_bad_parquet_columns(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    y = [0, 1]
    for column, words in [
        (pl.Series([1.0, None]), ["data row 2", "missing"]),
        (pl.Series([float("nan"), 1.0]), ["data row 1", "missing"]),
        (pl.Series([1.0, float("inf")]), ["data row 2", "finite"]),
        (pl.Series([True, None]), ["data row 2", "missing"]),
        (pl.Series([None, None]), ["data row 1", "missing"]),
        (pl.Series(["1", "x"]), ["data row 2", "'x'"]),
        (pl.Series([[1], [2]]), ["List"]),
        (pl.Series([0, 1]).cast(pl.Date), ["Date"]),
    ]:
        pl.DataFrame({"a": column, "y": y}).write_parquet("data.parquet")
        assert run(["train", "data.parquet"]) == 1
        err = one_line(capfd.readouterr().err)
        assert all(word in err for word in ["'a'", *words]), err


BAD_USAGE = [
    ["train"],
    ["train", "data.csv", "more.csv"],
    ["train", "data.csv", "--wat"],
    ["train", "data.csv", "--epochs", "0"],
    ["train", "data.csv", "--epochs", "many"],
    ["train", "data.csv", "--epochs", str(2**63)],
    ["train", "data.csv", "--learning-rate", "-1"],
    ["train", "data.csv", "--learning-rate", "0"],
    ["train", "data.csv", "--learning-rate", "nan"],
    ["train", "data.csv", "--learning-rate", "inf"],
    ["train", "data.csv", "--batch-size", "0"],
    ["train", "data.csv", "--batch-size", "half"],
    ["train", "data.csv", "--seed", "1"],
    ["train", "data.csv", "--seed", "1", "--epochs", "5"],
    ["train", "data.csv", "--solver", "newton"],
    ["train", "data.csv", "--max-passes", "0"],
    ["train", "data.csv", "--max-passes", "inf"],
    ["train", "data.csv", "--gap-tol", "-1"],
    ["train", "data.csv", "--gap-tol", "nan"],
    ["train", "data.csv", "--gap-tol", "1e-6", "--epochs", "5"],
    ["train", "data.csv", "--no-certify", "--epochs", "5"],
    ["train", "data.csv", "--solver", "gd", "--learning-rate", "0.1"],
    ["train", "data.csv", "--solver", "lbfgs", "--epochs", "100"],
    ["train", "data.csv", "--solver", "lbfgs", "--batch-size", "full"],
    ["train", "data.csv", "--max-passes", "10", "--shuffle"],
    ["train", "data.csv", "--shuffle", "--seed", "-1"],
    ["train", "data.csv", "--shuffle", "--seed", str(2**64)],
    ["train", "data.csv", "--l2", "-0.1"],
    ["train", "data.csv", "--tol", "-1"],
    ["train", "data.csv", "--json", "--quiet"],
    ["train", "data.csv", "--out", "data.csv"],
    ["predict", "data.csv"],
    ["predict", "model.json", "data.csv", "--out", "p.xlsx"],
    ["predict", "model.json", "data.csv", "--out", "data.csv"],
    ["predict", "model.json", "data.csv", "--out", "p.csv", "--json"],
    ["demo", "--epochs", "0"],
    ["demo", "--seed", "x"],
    ["fit"],
    [],
]


def test_what_excludes_each_other_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    assert run(["train", "data.csv", "--max-passes", "10", "--batch-size", "2"]) == 2
    assert "--batch-size is for a descent, --max-passes for the optimum" in capfd.readouterr().err
    assert run(["train", "data.csv", "--no-certify", "--epochs", "2"]) == 2
    assert "--epochs is for a descent, --no-certify for the optimum" in capfd.readouterr().err


@pytest.mark.parametrize("args", BAD_USAGE, ids=" ".join)
def test_bad_usage(folder: Path, capfd: pytest.CaptureFixture[str], args: list[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    assert run(args) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Usage: gradstep" in err
    assert "Traceback" not in err
    assert os.listdir(folder) == ["data.csv"]
    assert (folder / "data.csv").read_text() == ROWS


def test_files_that_cannot_be_used(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    (folder / "sub.csv").mkdir()
    for args, words in [
        (["none.csv"], "none.csv: No such file"),
        (["sub.csv"], "sub.csv: Is a directory"),
        (["data.csv", "--out", "none/model.json"], "no such folder"),
        (["data.csv", "--out", "sub.csv"], "must be a regular file"),
        (["data.csv", "--out", "/dev/null"], "must be a regular file"),
        (["/dev/null"], "/dev/null: must be a file or a pipe"),
        (["/dev/zero"], "/dev/zero: must be a file or a pipe"),
    ]:
        assert run(["train", *args]) == 1
        assert words in one_line(capfd.readouterr().err)
    assert sorted(os.listdir(folder)) == ["data.csv", "sub.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    (folder / "data.csv").chmod(0)
    assert run(["train", "data.csv"]) == 1
    assert "data.csv: Permission denied" in one_line(capfd.readouterr().err)
    (folder / "data.csv").chmod(0o600)
    (folder / "model.json").write_text("kept")
    (folder / "model.json").chmod(0o400)
    assert run(["train", "data.csv", "--out", "model.json"]) == 1
    assert "model.json: Permission denied" in one_line(capfd.readouterr().err)
    assert (folder / "model.json").read_text() == "kept"
    (folder / "model.json").unlink()
    folder.chmod(0o500)
    assert run(["train", "data.csv", "--out", "model.json"]) == 1
    assert "Permission denied" in one_line(capfd.readouterr().err)
    folder.chmod(0o700)


def test_errors_of_the_real_program(folder: Path) -> None:
    (folder / "data.csv").write_text("a,b,y\n1,2,0\n1,x,1\n")
    (folder / "model.json").write_text("{")
    for args, code in [
        (["train", "none.csv"], 1),
        (["train", "data.csv", "--out", "new.json"], 1),
        (["predict", "model.json", "data.csv"], 1),
        (["train", "data.csv", "--seed", "1"], 2),
    ]:
        done = program(*args, cwd=folder)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert "Traceback" not in done.stderr
        assert code == 2 or one_line(done.stderr)
    assert sorted(os.listdir(folder)) == ["data.csv", "model.json"]


@pytest.mark.parametrize("library", ["click", "polars", "rich"])
def test_without_a_library(folder: Path, library: str) -> None:
    (folder / f"{library}.py").write_text(f"raise ModuleNotFoundError('hidden', name={library!r})\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    done = program("demo", cwd=folder, env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) == (
        f"gradstep: error: the command line needs {library}: pip install 'gradstep[cli]'\n"
    )


# --- predict --------------------------------------------------------------------------------------------------------


def test_predict_to_the_last_bit(folder: Path) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    frame.select("answer", "flag", pl.lit("ignored").alias("note"), "count", "a").write_parquet("other.parquet")
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    model = json.loads((folder / "model.json").read_text())
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy()
    want = gradstep.predict_proba(X, model["weights"], model["bias"])

    printed = ok("predict", "model.json", "data.csv", cwd=folder)
    lines = printed.splitlines()
    assert lines[0] == "probability,label"
    assert [float(line.split(",")[0]) for line in lines[1:]] == want.tolist()
    assert [line.split(",")[1] for line in lines[1:]] == np.where(want >= 0.5, "yes", "no").tolist()
    assert {"yes", "no"} == {line.split(",")[1] for line in lines[1:]}

    assert ok("predict", "model.json", "other.parquet", cwd=folder) == printed, "by name, whatever the order"
    assert ok("predict", "model.json", "data.csv", "--out", "p.csv", cwd=folder) == ""
    assert (folder / "p.csv").read_text() == printed
    assert ok("predict", "model.json", "data.csv", "--out", "p.parquet", cwd=folder) == ""
    assert pl.read_parquet("p.parquet")["probability"].to_list() == want.tolist()
    rows = json.loads(ok("predict", "model.json", "data.csv", "--json", cwd=folder))
    assert [row["probability"] for row in rows] == want.tolist()
    assert rows[0].keys() == {"probability", "label"}


def test_predict_standardizes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    model = trained(capfd, "data.csv", "--standardize", "--out", "model.json")
    assert run(["predict", "model.json", "data.csv", "--json"]) == 0
    got = [row["probability"] for row in json.loads(capfd.readouterr().out)]
    X = frame.select(pl.exclude("answer").cast(pl.Float64)).to_numpy()
    x = (X - np.array(model["standardize"]["mean"])) / np.array(model["standardize"]["scale"])
    assert got == gradstep.predict_proba(x, model["weights"], model["bias"]).tolist()


def test_predict_without_header(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [(0.5, 1, 1), (1.5, -2, 1), (0.25, 3, 0), (2.5, 0, 0)]
    files: dict[str, list[tuple[float, ...]]] = {
        "with.csv": [*rows],
        "without.csv": [(a, b) for a, b, _ in rows],
        "first.csv": [(y, a, b) for a, b, y in rows],
        "one.csv": [(a,) for a, _, _ in rows],
    }
    for name, table in files.items():
        (folder / name).write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    (folder / "named.csv").write_text("p,q\n" + (folder / "without.csv").read_text())

    def predicted(model: str, name: str) -> str:
        assert run(["predict", model, name]) == 0
        return capfd.readouterr().out

    trained(capfd, "with.csv", "--l2", 0.1, "--out", "last.json")
    trained(capfd, "first.csv", "--l2", 0.1, "--target", "column_1", "--out", "first.json")
    assert len({predicted("last.json", "with.csv"), predicted("last.json", "without.csv")}) == 1
    assert len({predicted("first.json", "first.csv"), predicted("first.json", "without.csv")}) == 1
    assert len(predicted("last.json", "with.csv").splitlines()) == 5

    for name, words in [("one.csv", "1 columns and no header; the model needs 2"), ("named.csv", "lacks 'column_1'")]:
        assert run(["predict", "last.json", name]) == 1
        assert words in one_line(capfd.readouterr().err)


def test_predict_knows_a_header_of_numbers(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "train.csv").write_text("0,1,label\n1,5,0\n2,4,1\n3,7,0\n4,1,1\n")
    trained(capfd, "train.csv", "--header", "--l2", 0.1, "--out", "model.json")
    (folder / "new.csv").write_text("0,1\n10,20\n20,10\n")
    (folder / "swapped.csv").write_text("1,0\n20,10\n10,20\n")
    (folder / "bare.csv").write_text("10,20\n20,10\n")
    printed = set()
    for name in ("new.csv", "swapped.csv", "bare.csv"):
        assert run(["predict", "model.json", name]) == 0
        printed.add(capfd.readouterr().out)
    assert len(printed) == 1 and len(printed.pop().splitlines()) == 3


def test_predict_refuses(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(ROWS)
    trained(capfd, "data.csv", "--out", "model.json")
    (folder / "broken.json").write_text((folder / "model.json").read_text()[:-20])
    for content, model, words in [
        ("x1,y\n1,no\n", "model.json", "lacks 'x2', needed by the model; the columns are 'x1', 'y'"),
        ("x1,x2\n1,2\n3,\n", "model.json", "'x2', data row 2: missing value"),
        ("x1,x2\n1,2\n3,u\n", "model.json", "'x2', data row 2: must hold numbers, got 'u'"),
        ("x1,x2\n", "model.json", "no data rows"),
        (ROWS, "broken.json", "model file broken.json must be JSON"),
        (ROWS, "none.json", "none.json: No such file"),
        (ROWS, "data.csv", "model file data.csv must be JSON"),
    ]:
        (folder / "data.csv").write_text(content)
        assert run(["predict", model, "data.csv", "--out", "p.csv"]) == 1
        assert words in one_line(capfd.readouterr().err)
        assert not (folder / "p.csv").exists()
    assert sorted(os.listdir(folder)) == ["broken.json", "data.csv", "model.json"]


# --- terminals, pipes, signals --------------------------------------------------------------------------------------


def test_no_progress_bar_in_a_pipe(folder: Path) -> None:
    problem().write_csv("data.csv")
    assert program("train", "data.csv", "--epochs", 300, cwd=folder).stderr == ""


@contextmanager
def on_a_terminal(*args: object, cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program with its stderr on a terminal, whose other end is given."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    command = [*PROGRAM, *map(str, args)]
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def heard(terminal: int, until: bytes | None = None, seconds: float = 60) -> bytes:
    """What arrives at the terminal, up to the text `until`, or up to the end."""
    said = b""
    end = time.monotonic() + seconds
    while (until is None or until not in said) and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not more:
                break
            said += more
    return said


def test_progress_bar_on_a_terminal(folder: Path) -> None:
    problem().write_csv("data.csv")
    with on_a_terminal("train", "data.csv", "--epochs", 500, "--json", cwd=folder) as (process, terminal):
        said = heard(terminal)
        assert process.stdout
        model = json.loads(process.stdout.read())
        assert process.wait(60) == 0
    assert b"epoch" in said
    assert b"/500" in said
    assert b"loss" in said
    assert model == json.loads(ok("train", "data.csv", "--epochs", 500, "--json", cwd=folder)), "the same fit"
    for args in (["--epochs", 500], []):
        with on_a_terminal("train", "data.csv", *args, "--quiet", cwd=folder) as (process, terminal):
            assert heard(terminal) == b""
            assert process.wait(60) == 0


def test_progress_of_the_optimum_on_a_terminal(folder: Path) -> None:
    problem().write_csv("data.csv")
    with on_a_terminal("train", "data.csv", "--l2", 0.01, "--json", cwd=folder) as (process, terminal):
        said = heard(terminal)
        assert process.stdout
        model = json.loads(process.stdout.read())
        assert process.wait(60) == 0
    for word in (b"passes", b"objective 0.", b"gradient"):
        assert word in said
    assert model == json.loads(ok("train", "data.csv", "--l2", 0.01, "--json", cwd=folder)), "the same fit"


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_interrupt_of_the_optimum(folder: Path, solver: str) -> None:
    """… of a fit that goes on for a minute: twenty thousand rows of 500 classes, and no tolerance."""
    rng = np.random.default_rng(0)
    columns = {f"x{j}": rng.normal(size=20_000) for j in range(10)}
    pl.DataFrame({**columns, "y": np.arange(20_000) % 500}).write_parquet("data.parquet")
    args = ["train", "data.parquet", "--solver", solver, "--tol", 0, "--max-passes", 10**9, "--out", "model.json"]
    with on_a_terminal(*args, cwd=folder) as (process, terminal):
        assert b"objective 6." in heard(terminal, until=b"objective 6.")
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        said = heard(terminal)
        assert process.wait(60) == 130
        assert time.monotonic() - sent < 10
        assert process.stdout
        assert process.stdout.read() == b""
    assert b"Traceback" not in said
    assert os.listdir(folder) == ["data.parquet"]


def test_interrupt(folder: Path) -> None:
    problem().write_csv("data.csv")
    (folder / "model.json").write_text("old")
    args = ["train", "data.csv", "--epochs", 10**9, "--out", "model.json"]
    with on_a_terminal(*args, cwd=folder) as (process, terminal):
        assert b"loss 0." in heard(terminal, until=b"loss 0.")
        process.send_signal(signal.SIGINT)
        said = heard(terminal)
        assert process.wait(60) == 130
        assert process.stdout
        assert process.stdout.read() == b""
    assert b"Traceback" not in said
    assert sorted(os.listdir(folder)) == ["data.csv", "model.json"]
    assert (folder / "model.json").read_text() == "old"


def test_interrupt_without_a_terminal(folder: Path) -> None:
    problem().write_csv("data.csv")
    command = [*PROGRAM, "train", "data.csv", "--epochs", str(10**9), "--out", "model.json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(3)  # nothing tells that it has begun; an interrupt before then must end the same way
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert os.listdir(folder) == ["data.csv"]


def test_closed_pipe(folder: Path) -> None:
    (folder / "data.csv").write_text(ROWS)
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "predict", "model.json", "data.csv"]
    done = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_closed_in_the_middle(folder: Path, unbuffered: str) -> None:
    """… of more than it holds: unbuffered, Python's own write would take a part of it and say nothing."""
    (folder / "data.csv").write_text(ROWS + ROWS.partition("\n")[2] * 20_000)
    ok("train", "data.csv", "--quiet", "--out", "model.json", cwd=folder)
    command = [*PROGRAM, "predict", "model.json", "data.csv"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1)
        time.sleep(0.2)  # the pipe is full now, and the program waits
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_pipes_are_read(folder: Path) -> None:
    (folder / "data.csv").write_text(ROWS)
    want = ok("train", "data.csv", "--json", cwd=folder)
    command = f"cat data.csv | '{sys.executable}' -m gradstep train /dev/stdin --json"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, want, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "demo"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert one_line(done.stderr) == "gradstep: error: standard output: No space left on device\n"


def test_closed_streams(folder: Path) -> None:
    problem().write_parquet("data.parquet")
    command = f"'{sys.executable}' -m gradstep train data.parquet --out model.json <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0
    assert json.loads((folder / "model.json").read_text())["features"] == ["a", "count", "flag"]


def test_help_and_version(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"gradstep, version {version('gradstep')}\n"
    for command, words in [("", "Commands:"), ("demo", "--seed"), ("train", "N|full"), ("predict", "MODEL FILE")]:
        assert run([*command.split(), "--help"]) == 0
        assert words in capfd.readouterr().out


# --- real files -----------------------------------------------------------------------------------------------------


def test_admissions(folder: Path, data_folder: Path) -> None:
    data = data_folder / "sets/admissions/data.csv"
    frame = pl.read_csv(data)
    frame.write_parquet("admissions.parquet")
    args = ["--target", "y", "--standardize", "--tol", 1e-14]
    shown = ok("train", data, *args, "--json", cwd=folder)
    assert ok("train", "admissions.parquet", *args, "--json", cwd=folder) == shown
    model = json.loads(shown)
    assert model["features"] == ["gre", "gpa", "rank2", "rank3", "rank4"]

    # At the optimum the residuals are orthogonal to every feature and to 1, here computed by nothing of ours.
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
    """Left out are those whose rows have weights."""
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
