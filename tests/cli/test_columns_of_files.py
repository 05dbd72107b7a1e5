"""What kinds the columns of a file are found or told to be, and what predict does with the columns of a new file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from gradstep._kinds import Asked
from gradstep._table import Table
from gradstep._training import Problem
from helpers.commands import pl, problem, reading, run, trained
from helpers.program import one_line


def table(rows: int = 60) -> Any:
    """A number, a category of three values, a date, and a target that depends on all."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame({
        "x": rng.normal(size=rows),
        "port": rng.choice(["S", "C", "Q"], rows, p=[0.5, 0.3, 0.2]),
        "day": pl.Series(rng.integers(19_000, 19_400, rows)).cast(pl.Date),
    })  # fmt: skip
    z = frame["x"].to_numpy() + (frame["port"] == "Q").to_numpy() + rng.logistic(size=rows)
    return frame.with_columns(y=pl.Series(np.where(z > 0.3, "yes", "no")))


def as_numbers(frame: Any, days_since: int) -> Any:
    """The features of `table` by hand: the number, two columns for the ports, days."""
    return np.column_stack([
        frame["x"].to_numpy(),
        (frame["port"] == "Q").to_numpy(),
        (frame["port"] == "S").to_numpy(),
        frame["day"].to_physical().to_numpy() - days_since,
    ]).astype(float)  # fmt: skip


@pytest.mark.parametrize("name", ["data.csv", "data.parquet", "data.csv.gz"])
def test_categories_and_dates(folder: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    frame = table()
    frame.write_parquet(name) if name.endswith("parquet") else frame.write_csv("plain.csv")
    if name.endswith("gz"):
        Path(name).write_bytes(gzip.compress(Path("plain.csv").read_bytes()))
    elif name.endswith("csv"):
        Path("plain.csv").rename(name)
    assert run(["train", name, "--out", "model.json"]) == 0
    err = capfd.readouterr().err
    first = frame["day"].min()
    assert err == (
        f"gradstep: note: categories: 'port' (against 'C')\ngradstep: note: dates, as days: 'day' (since {first})\n"
    )
    model = json.loads(Path("model.json").read_text())
    assert (model["version"], model["features"]) == (2, ["x", "port=Q", "port=S", "day"])
    X = as_numbers(frame, frame["day"].to_physical().min())
    want = gradstep.fit(X, (frame["y"] == "yes").to_numpy().astype(float))
    assert (model["weights"], model["bias"]) == (want.weights.tolist(), want.bias)

    assert run(["predict", "model.json", name, "--json"]) == 0
    got = [row["probability_yes"] for row in json.loads(capfd.readouterr().out)]
    assert got == want.predict_proba(X).tolist()


def test_moments_are_parts_of_days(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_text(
        "t,y\n2024-02-28 12:00:00,0\n2024-03-01 06:00:00,1\n2024-02-29 00:00:00,1\n2024-03-02 00:00:00,0\n"
    )
    model = trained(capfd, "data.csv", "--standardize", "--l2", 1)
    days = np.array([0.5, 2.25, 1.0, 3.0])
    assert model["encoding"]["columns"] == [
        {"name": "t", "kind": "date", "since": "2024-02-28", "format": "%Y-%m-%d %H:%M:%S%.f"}
    ]
    assert model["standardize"] == {"mean": [days.mean()], "scale": [days.std()]}


def test_columns_are_chosen(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem().with_columns(pl.lit("x").alias("a,b"))
    frame.select("a,b", pl.exclude("a,b")).write_csv("data.csv")
    for args, features in [
        (["--features", "a,flag"], ["a", "flag"]),
        (["--features", "flag", "--features", "a"], ["flag", "a"]),
        (["--drop", "a,b"], ["a", "count", "flag"]),
        (["--drop", "count,flag", "--drop", "a,b"], ["a"]),
        (["--id", "count", "--drop", "a,b"], ["a", "flag"]),
    ]:
        assert trained(capfd, "data.csv", *args)["features"] == features
    assert trained(capfd, "data.csv", "--drop", "answer", "--l2", 1)["target"] == "flag"
    for args, words in [
        (["--drop", "b"], "has no column 'b'"),
        (["--features", "a,none"], "has no column 'none'"),
        (["--weight", "none"], "has no column 'none'"),
        (["--weight", "count,a"], "has no column 'count,a'"),
        (["--target", "a,count"], "has no column 'a,count'"),
        (["--categorical", "answer"], "--categorical must name a feature, got 'answer'"),
        (["--features", "answer"], "must have a feature column beside 'answer'"),
    ]:
        assert run(["train", "data.csv", *args]) == 1
        assert words in one_line(capfd.readouterr().err)


def test_numbers_as_categories(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem().with_columns(count=pl.col("count") % 3)
    for name in ("data.csv", "data.parquet"):
        frame.write_csv(name) if name.endswith("csv") else frame.write_parquet(name)
        model = trained(capfd, name, "--categorical", "count")
        assert model["features"] == ["a", "count=1", "count=2", "flag"]
        X = np.column_stack([frame["a"], frame["count"] == 1, frame["count"] == 2, frame["flag"]]).astype(float)
        want = gradstep.fit(X, (frame["answer"] == "yes").to_numpy().astype(float))
        assert model["weights"] == want.weights.tolist()


def test_weights(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A row with a whole weight counts as so many rows, standardized or not."""
    frame = problem()
    frame.write_csv("data.csv")
    frame.select(pl.exclude("count").repeat_by("count").explode(empty_as_null=False)).write_csv("rows.csv")
    for args in ([], ["--standardize"], ["--l2", "0.1", "--standardize"]):
        model = trained(capfd, "data.csv", "--weight", "count", *args)
        want = trained(capfd, "rows.csv", *args)
        assert (model["features"], model["options"]["weight"]) == (["a", "flag"], "count")
        np.testing.assert_allclose(model["weights"], want["weights"], rtol=1e-6)
        assert model["result"]["accuracy"] == pytest.approx(want["result"]["accuracy"], rel=1e-12)
    model = trained(capfd, "data.csv", "--weight", "count", "--epochs", "5")
    want = trained(capfd, "rows.csv", "--epochs", "5")
    np.testing.assert_allclose(model["weights"], want["weights"], rtol=1e-12)
    assert model["result"]["loss"] == pytest.approx(want["result"]["loss"], rel=1e-12)
    gaps = frame.with_columns(a=pl.when(pl.int_range(60) % 7 != 3).then("a"))
    gaps.write_csv("gaps.csv")
    gaps.drop_nulls().write_csv("data.csv")
    model = trained(capfd, "gaps.csv", "--weight", "count", "--missing", "drop")
    assert model["weights"] == trained(capfd, "data.csv", "--weight", "count")["weights"]
    frame.with_columns(count=pl.col("count") - 1).write_csv("data.csv")
    assert run(["train", "data.csv", "--weight", "count"]) == 1
    assert "column 'count'" in (err := capfd.readouterr().err) and "must not be negative, got -1" in one_line(err)


def test_the_positive_class(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.write_csv("data.csv")
    usual = trained(capfd, "data.csv")
    model = trained(capfd, "data.csv", "--positive", "no", "--out", "model.json")
    assert (usual["classes"], model["classes"]) == (["no", "yes"], ["yes", "no"])
    np.testing.assert_allclose(model["weights"], [-w for w in usual["weights"]], rtol=1e-6)
    assert run(["predict", "model.json", "data.csv"]) == 0
    assert capfd.readouterr().out.startswith("probability_no,label\n")
    assert run(["train", "data.csv", "--positive", "perhaps"]) == 1
    err = capfd.readouterr().err
    assert "--positive must be a value of the target 'answer', 'no', 'yes', got 'perhaps'" in one_line(err)
    for answers, positive, classes in [
        ([1, 0], "0", [1, 0]),
        ([2.5, 1.0], "1", [2.5, 1.0]),
        ([True, False], "FALSE", [True, False]),
    ]:
        again = frame.with_columns(answer=pl.when(pl.col("answer") == "yes").then(answers[0]).otherwise(answers[1]))
        again.write_csv("data.csv")
        assert trained(capfd, "data.csv", "--positive", positive)["classes"] == classes
    problem(classes=3).write_csv("data.csv")
    assert run(["train", "data.csv", "--positive", "yes"]) == 1
    assert "--positive is for a target with two values, and 'answer' has 3" in one_line(capfd.readouterr().err)


def with_gaps(frame: Any) -> Any:
    """The table with every fifth number and two ports missing."""
    row = pl.int_range(pl.len())
    return frame.with_columns(
        x=pl.when(row % 5 == 2).then(None).otherwise("x"), port=pl.when(row.is_in([3, 8])).then(None).otherwise("port")
    )


@pytest.mark.parametrize("missing", ["drop", "mean", "indicator"])
def test_missing_values(folder: Path, capfd: pytest.CaptureFixture[str], missing: str) -> None:
    whole = table()
    frame = with_gaps(whole)
    frame.write_csv("data.csv")
    assert run(["train", "data.csv", "--missing", missing, "--out", "model.json"]) == 0
    err = capfd.readouterr().err
    model = json.loads(Path("model.json").read_text())
    X = as_numbers(frame.with_columns(port=pl.col("port").fill_null("")), whole["day"].to_physical().min())
    y = (frame["y"] == "yes").to_numpy().astype(float)
    gaps = frame["x"].is_null().to_numpy(), frame["port"].is_null().to_numpy()
    kept = ~(gaps[0] | gaps[1])
    if missing == "drop":
        want = gradstep.fit(X[kept], y[kept])
        assert "14 of 60 rows lack a value and are left out" in err
    else:
        mean = np.nanmean(X[:, 0])
        X[gaps[0], 0] = mean
        ports = frame["port"].drop_nulls()
        most = max(sorted(ports.unique()), key=lambda port: (ports == port).sum())
        assert most == "S", "and not the reference"
        if missing == "mean":
            X[gaps[1], 1:3] = most == "Q", most == "S"
            assert f"missing values: 'x' ({mean:.6g}), 'port' ({most!r})" in err
        else:
            X = np.column_stack([X[:, 0], gaps[0], X[:, 1:3], gaps[1], X[:, 3]])
            assert model["features"] == ["x", "x missing", "port=Q", "port=S", "port missing", "day"]
        want = gradstep.fit(X, y)
    np.testing.assert_allclose(model["weights"], want.weights, rtol=1e-12)

    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    err = capfd.readouterr().err
    predicted = pl.read_parquet("p.parquet")
    if missing == "drop":
        assert (
            predicted["probability_yes"].is_null().to_list()
            == predicted["label"].is_null().to_list()
            == (~kept).tolist()
        )
        assert err == "gradstep: note: 14 of 60 rows lack a value, and their predictions are empty\n"
        assert run(["predict", "model.json", "data.csv"]) == 0
        assert capfd.readouterr().out.splitlines()[3] == ",", "an empty probability and no label"
    else:
        assert err == ""
        np.testing.assert_allclose(predicted["probability_yes"], want.predict_proba(X), rtol=1e-12)


def test_missing_values_that_training_had_not(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table().write_csv("data.csv")
    with_gaps(table()).write_csv("new.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    assert run(["predict", "model.json", "new.csv"]) == 1
    assert "column 'x', data row 3: missing value; --missing empty" in one_line(capfd.readouterr().err)
    assert run(["predict", "model.json", "new.csv", "--missing", "empty", "--json"]) == 0
    out, err = capfd.readouterr()
    assert [row["probability_yes"] is None for row in json.loads(out)].count(True) == 14
    assert json.loads(out)[2] == {"probability_yes": None, "label": None}
    assert "14 of 60 rows lack a value" in err


def test_rows_without_a_target(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem()
    frame.with_columns(answer=pl.when(pl.int_range(pl.len()) < 50).then("answer")).write_csv("data.csv")
    assert run(["train", "data.csv"]) == 1
    assert "column 'answer', data row 51: missing value, 10 of 60 rows have no target" in one_line(
        capfd.readouterr().err
    )
    model = trained(capfd, "data.csv", "--missing", "drop")
    frame.head(50).write_csv("data.csv")
    assert model["weights"] == trained(capfd, "data.csv")["weights"]
    assert model["result"]["rows"] == 50


def test_unknown_categories(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table().write_csv("data.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    (folder / "new.csv").write_text("x,port,day\n1,C,2023-01-01\n1,X,2023-01-01\n")
    assert run(["predict", "model.json", "new.csv"]) == 1
    assert one_line(capfd.readouterr().err) == (
        "gradstep: error: new.csv: column 'port', data row 2: must hold one of the categories 'C', 'Q', 'S', got 'X'; "
        "--unknown reference takes it for 'C'\n"
    )
    assert run(["predict", "model.json", "new.csv", "--unknown", "reference"]) == 0
    _, one, other = capfd.readouterr().out.splitlines()
    assert one == other
    (folder / "new.csv").write_text("x,port,day\n1,C,2023-01-01\n1,C,1.1.2023\n")
    assert run(["predict", "model.json", "new.csv"]) == 1
    assert "column 'day', data row 2: must hold dates as %Y-%m-%d, got '1.1.2023'" in one_line(capfd.readouterr().err)


def test_ids_and_kept_columns(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem().with_columns(who=pl.format("n{}", pl.int_range(pl.len())))
    frame.select("who", pl.exclude("who")).write_csv("data.csv")
    trained(capfd, "data.csv", "--id", "who", "--out", "model.json")
    assert run(["predict", "model.json", "data.csv"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "who,probability_yes,label"
    assert [line.split(",")[0] for line in lines[1:]] == frame["who"].to_list()
    assert run(["predict", "model.json", "data.csv", "--keep", "count,answer", "--out", "p.parquet"]) == 0
    kept = pl.read_parquet("p.parquet")
    assert kept.columns == ["who", "count", "answer", "probability_yes", "label"]
    assert kept["count"].cast(pl.Int64).to_list() == frame["count"].to_list()
    frame.select("a", "count", "flag", label="who").write_csv("data.csv")
    assert run(["predict", "model.json", "data.csv", "--keep", "label"]) == 1
    assert "column 'label' cannot be kept" in one_line(capfd.readouterr().err)
    assert run(["predict", "model.json", "data.csv", "--keep", "none"]) == 1
    assert "has no column 'none'" in one_line(capfd.readouterr().err)
    frame = table()
    frame.write_parquet("data.parquet")
    trained(capfd, "data.parquet", "--out", "model.json")
    assert run(["predict", "model.json", "data.parquet", "--keep", "day", "--json"]) == 0
    assert [row["day"] for row in json.loads(capfd.readouterr().out)] == frame["day"].cast(str).to_list()


def test_threshold(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem().write_csv("data.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    assert run(["predict", "model.json", "data.csv", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    limit = sorted(row["probability_yes"] for row in rows)[20]
    assert run(["predict", "model.json", "data.csv", "--threshold", str(limit), "--json"]) == 0
    labels = [row["label"] for row in json.loads(capfd.readouterr().out)]
    assert labels == ["yes" if row["probability_yes"] > limit else "no" for row in rows]
    assert labels.count("yes") == 39
    problem(classes=3).write_csv("data.csv")
    trained(capfd, "data.csv", "--out", "model.json")
    assert run(["predict", "model.json", "data.csv", "--threshold", "0.8"]) == 2
    assert "--threshold is for a model of two classes; model.json has 3" in capfd.readouterr().err


CELLS: list[tuple[list[str], list[str], list[float]]] = [
    (["1,234", "5", "1,234,567.5"], [], [1234.0, 5.0, 1234567.5]),
    (["1.234,5", "-2", "1.234.567"], ["--decimal", ","], [1234.5, -2.0, 1234567.0]),
    (["1 234", "5", "1\xa0234\u202f567"], [], [1234.0, 5.0, 1234567.0]),
    (["1'234.5", "5", "7"], [], [1234.5, 5.0, 7.0]),
    (["$5", "-$1,200.50", "$ 7"], [], [5.0, -1200.5, 7.0]),
    (["5 €", "−3 €", "7€"], [], [5.0, -3.0, 7.0]),
    (["50%", "12.5 %", "0.5"], [], [0.5, 0.125, 0.5]),
    (["5", "unknown", "7"], ["--na", "unknown", "--missing", "mean"], [5.0, 6.0, 7.0]),
    (["5", "?", "7"], ["--missing", "mean"], [5.0, 6.0, 7.0]),
    (["5", "-", "7"], ["--na", "-", "--missing", "mean"], [5.0, 6.0, 7.0]),
]


@pytest.mark.parametrize(("cells", "args", "numbers"), CELLS)
def test_cells(
    folder: Path, capfd: pytest.CaptureFixture[str], cells: list[str], args: list[str], numbers: list[float]
) -> None:
    (folder / "data.csv").write_text("a|y\n" + "".join(f"{cell}|{k % 2}\n" for k, cell in enumerate(cells)))
    more = [] if "--decimal" in args or not any("," in cell for cell in cells) else ["--decimal", "."]
    model = trained(capfd, "data.csv", "--l2", 1, "--standardize", *args, *more)
    assert model["features"] == ["a"]
    assert model["standardize"] == {"mean": [np.mean(numbers)], "scale": [np.std(numbers)]}


REFUSED = [
    ("a;y\n1,5;0\n2,25;1\n3;0\n", [], ["column 'a', data row 1: a decimal comma in '1,5'", "add: --decimal ,"]),
    ("a;y\n1,500;0\n2,250;1\n", [], ["'a'", "may have a decimal comma or a thousands separator", "--decimal , or"]),
    ("a,y\n1.5,0\n2.25,1\n", ["--decimal", ","], ["column 'a', data row 1", "'1.5'"]),
    ("a,y\n1/2/2024,0\n3/4/2024,1\n", [], ["a date, '1/2/2024'", "'%d/%m/%Y' or --date-format '%m/%d/%Y'"]),
    ("a,y\n1/2/2024,0\n3/14/2024,1\n", [], ["add: --date-format %m/%d/%Y"]),
    ("a,y\n1,0\n2,1\n3,0\nlow,1\n", [], ["column 'a', data row 4: must hold numbers", "'low'", "add: --na low"]),
    ("a,y\n1,0\n2,1\n3,0\n-,1\n", [], ["add: --na=-"]),
    ("a,y\n1,0\n2,1\n,0\n", [], ["column 'a', data row 3: missing value, the only one of 3", "add: --missing drop"]),
    ("a,b,y\n1,,0\n2,,1\n3,1,0\n", [], ["column 'b', data row 1: missing value, 2 of 3 are missing", "add: --drop b"]),
    ("a,b,y\n1,,0\n2,,1\n3,NA,0\n", [], ["'b', data row 1: missing value, and so are all others", "add: --drop b"]),
    ("a,y\n1,0\n2,1\nn/a,1\n", ["--missing", "drop"], []),
]  # fmt: skip


@pytest.mark.parametrize(("content", "args", "words"), REFUSED)
def test_what_must_be_decided(
    folder: Path, capfd: pytest.CaptureFixture[str], content: str, args: list[str], words: list[str]
) -> None:
    (folder / "data.csv").write_text(content)
    assert run(["train", "data.csv", "--l2", "1", *args]) == (1 if words else 0)
    err = capfd.readouterr().err
    for word in words:
        assert word in one_line(err), (word, err)


def test_text_in_other_encodings(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{k},{'ja' if k % 3 else 'nein'},{k % 2}\n" for k in range(12))
    for name, suggested in [("latin-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", "utf-16")]:
        head = "größe,antwort €,y\n" if name != "latin-1" else "größe,antwort,y\n"
        (folder / "data.csv").write_bytes((head + rows).encode(name))
        assert run(["train", "data.csv"]) == 1
        err = one_line(capfd.readouterr().err)
        assert "not a CSV file in UTF-8" in err and err.endswith(f"add: --encoding {suggested}\n")
        model = trained(capfd, "data.csv", "--l2", 1, "--encoding", name, "--out", "model.json")
        assert model["features"][0] == "größe"
        assert run(["predict", "model.json", "data.csv", "--out", "p.csv"]) == 0, "the model says how it is written"
    (folder / "utf8.csv").write_text("a,y\n1,0\n2,1\n3,0\n")
    trained(capfd, "utf8.csv", "--l2", 1, "--out", "plain.json")
    (folder / "latin.csv").write_bytes("a,größe\n1,2\n".encode("latin-1"))
    assert run(["predict", "plain.json", "latin.csv"]) == 1
    assert one_line(capfd.readouterr().err).endswith("for example, add: --encoding latin-1\n")
    assert run(["predict", "plain.json", "latin.csv", "--encoding", "latin-1"]) == 0
    assert run(["predict", "model.json", "data.csv", "--encoding", "utf-8"]) == 1
    assert "not text in 'utf-8'" in one_line(capfd.readouterr().err)
    assert run(["train", "data.csv", "--encoding", "klingon"]) == 2
    assert run(["train", "data.csv", "--encoding", "hex"]) == 2
    assert run(["train", "data.csv", "--delimiter", "::"]) == 2


def test_blank_lines_and_row_labels(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A blank line is no row; a line of delimiters is a row in which every value is missing."""
    (folder / "data.csv").write_text("a,b,y\n1,2,0\n\n2,1,1\n\r\n3,5,0\n4,3,1\n5,9,1\n6,1,0\n\n\n")
    assert trained(capfd, "data.csv")["result"]["rows"] == 6
    trained(capfd, "data.csv", "--out", "model.json")
    (folder / "new.csv").write_text("a,b\n1,2\n\n,\n3,4\n")
    assert run(["predict", "model.json", "new.csv", "--missing", "empty", "--json"]) == 0
    assert [row["label"] is None for row in json.loads(capfd.readouterr().out)] == [False, True, False]
    pl.read_csv("data.csv").drop_nulls().with_columns(__index_level_0__=pl.int_range(6)).write_parquet("data.parquet")
    model = trained(capfd, "data.parquet")
    assert (model["features"], model["target"]) == (["a", "b"], "y")


def test_columns_that_say_nothing_are_noted_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = problem().select(number=pl.int_range(1, 61), one=pl.lit(3), a="a", copy="a", answer="answer")
    frame.write_csv("data.csv")
    remarks = {
        "number": "column 'number' numbers the rows",
        "one": "column 'one' is constant",
        "copy": "column 'copy' is",
    }
    for args in ([], ["--l2", "0.1"], ["--epochs", "3", "--standardize"]):
        assert run(["train", "data.csv", *args]) == 0
        err = capfd.readouterr().err
        assert [err.count(remark) for remark in remarks.values()] == [1, 1, 1], err
    assert "column 'copy' is the same as 'a': --drop number,one,copy leaves them out" in err
    frame.select("a", "answer", two=pl.lit("x")).select("two", "a", "answer").write_csv("data.csv")
    assert run(["train", "data.csv"]) == 0
    assert "column 'two' is constant" in capfd.readouterr().err


@pytest.mark.parametrize("row", [1, 250, 999])
def test_a_single_row_tells_columns_apart(row: int) -> None:
    """Columns are first compared at a few rows. They may be equal there and differ in a single other row."""
    count = np.random.default_rng(row).permutation(1000).astype(float)
    same, one = count.copy(), np.full(1000, 3.0)

    def remarks() -> dict[str, str]:
        frame = pl.DataFrame({"count": count, "same": same, "one": one, "y": np.arange(1000) % 2})
        return Problem.of(Table("data", frame), "y", Asked()).remarks

    assert remarks() == {"count": "numbers the rows", "same": "is the same as 'count'", "one": "is constant"}
    same[row], one[row] = -1.0, 4.0
    assert remarks() == {"count": "numbers the rows"}
    count[row] += 0.5
    assert remarks() == {}


def test_a_comma_in_a_number_is_not_guessed_by_predict(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A model trained on decimal points would take 0,942 for 942; whoever wrote it may mean 0.942."""
    (folder / "data.csv").write_text("x,y\n" + "".join(f"{k}.5,{'no' if k % 3 else 'yes'}\n" for k in range(20)))
    trained(capfd, "data.csv", "--out", "model.json")
    for cells, words in {
        "1,200;2": "column 'x': '1,200' may have a decimal comma or a thousands separator: --decimal , or --decimal .",
        "0,942;2": "column 'x', data row 1: must hold numbers, got '0,942': a decimal comma, --decimal , reads it",
        "1,5;2": "column 'x', data row 1: must hold numbers, got '1,5': a decimal comma, --decimal , reads it",
        "word;2": "column 'x', data row 1: must hold numbers, got 'word'",
    }.items():
        (folder / "new.csv").write_text(f"x;z\n{cells}\n")
        assert run(["predict", "model.json", "new.csv"]) == 1
        assert words in one_line(capfd.readouterr().err)
        (folder / "plain.csv").write_text(f"x;z\n{cells.replace(',', '.')}\n")
        if "word" not in cells:
            printed = []
            for name, args in (("new.csv", ["--decimal", ","]), ("plain.csv", [])):
                assert run(["predict", "model.json", name, *args]) == 0
                printed.append(capfd.readouterr().out)
            assert printed[0] == printed[1]
    assert run(["predict", "model.json", "new.csv", "--decimal", "."]) == 1
    (folder / "new.csv").write_text("x;z\n1,200;2\n")
    (folder / "plain.csv").write_text("x;z\n1200;2\n")
    capfd.readouterr()
    assert run(["predict", "model.json", "new.csv", "--decimal", "."]) == 0
    grouped = capfd.readouterr().out
    assert run(["predict", "model.json", "plain.csv"]) == 0 and capfd.readouterr().out == grouped


def test_a_very_long_cell_is_neither_a_category_nor_an_option(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{k}.5,{'uv'[k % 2]},{'no' if k % 3 else 'yes'}\n" for k in range(20))
    for cells, words in {
        f"1.5,{'w' * 1001},no": "text with 3 different values of up to 1001 characters in 21 rows, such as 'u': --drop",
        f"{'9' * 1001},u,no": "add: --drop x",
        f"{'w' * 1001},u,no": "add: --drop x",
        "word,u,no": "add: --na word",
    }.items():
        (folder / "data.csv").write_text(f"x,k,y\n{rows}{cells}\n")
        assert run(["train", "data.csv"]) == 1
        err = one_line(capfd.readouterr().err)
        assert words in err and len(err) < 300
    (folder / "data.csv").write_text(f"x,k,y\n{rows}1.5,{'w' * 1000},no\n")
    assert len(trained(capfd, "data.csv", "--l2", "0.1")["features"]) == 3
    (folder / "data.csv").write_text(" \n \n")
    assert run(["train", "data.csv"]) == 1
    assert "target '' must have two values or more, got only missing values" in one_line(capfd.readouterr().err)


def test_features_of_one_name_are_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table().with_columns(pl.lit(1.5).alias("port=Q")).select("port=Q", pl.exclude("port=Q")).write_csv("data.csv")
    assert run(["train", "data.csv"]) == 1
    assert "two features would be named 'port=Q'" in one_line(capfd.readouterr().err)


LONG = "a,b,c,y\n" + "".join(f"{k % 7}.5,{k % 5},{'uvw'[k % 3]},{k * k % 11 % 2}\n" for k in range(60))
FAR_DOWN = {
    "all numbers": LONG,
    "a missing value": LONG + ",2,u,1\n",
    "NA": LONG + "NA,2,u,1\n",
    "a word": LONG + "word,2,u,1\n",
    "true": LONG + "true,2,u,1\n",
    "a number with spaces": LONG + " 3 ,2,u,1\n",
    "thousands": LONG + '"3,000.5",2,u,1\n',
    "an infinite number": LONG + "1e999,2,u,1\n",
    "no target": LONG + "3,2,u,\n",
    "a short line": LONG + "3,2,u\n",
    "a long line": LONG + "3,2,u,1,5\n",
    "blank lines": LONG + "\n3,2,u,1\n\n\n",
    "a line of commas": LONG + ",,,\n3,2,u,1\n",
    "an open quote": LONG + '"3,2,u,1\n',
    "Latin-1": LONG + "3,2,\xed,1\n",
    "carriage returns": LONG.replace("\n", "\r\n"),
    "no header": LONG.partition("\n")[2],
    "a header of numbers": LONG.replace("a,b,c,y", "1,2,3,4"),
    "spaces in the header": LONG.replace("a,b,c,y", " a, b ,c,y"),
    "a name twice": LONG.replace("a,b,c,y", "a,a,c,y"),
    "a cell of several lines": LONG.replace("u", '"u\nv"'),
}


@pytest.mark.parametrize("args", [[], ["--missing", "mean"], ["--categorical", "b"]], ids=" ".join)
@pytest.mark.parametrize("content", FAR_DOWN.values(), ids=FAR_DOWN)
def test_long_files_are_read_as_short_ones_are(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: str, args: list[str]
) -> None:
    """In a long file, columns with numbers in the first lines are read as numbers at once; the result is the same."""
    (folder / "data.csv").write_bytes(content.encode("latin-1"))
    got = set()
    for head in (1 << 16, 400):
        monkeypatch.setattr(reading, "HEAD", head)
        code = run(["train", "data.csv", "--l2", "0.1", *args, "--out", "model.json"])
        got.add((code, *capfd.readouterr()))
        if code == 0:
            assert run(["predict", "model.json", "data.csv", "--keep", "b" if "a,b" in content else ""]) in (0, 1)
            got.add(capfd.readouterr())
    assert len(got) == 1 + (code == 0)
