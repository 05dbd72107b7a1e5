"""What `train` reads: headers, targets, CSV and Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gradstep
from helpers.commands import pl, problem, run, trained


def test_csv_and_parquet_give_the_same_model(folder: Path) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    frame.write_csv("data.tsv", separator="\t")
    frame.write_csv("data.txt", separator="\t")
    frame.write_parquet("data.parquet")
    (folder / "data").write_bytes((folder / "data.parquet").read_bytes())  # its first bytes tell the format
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
        ("x^2,y\n1,0\n3,1\n", [], ["x^2"], 2),  # these two bytes may also begin a zlib stream
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
