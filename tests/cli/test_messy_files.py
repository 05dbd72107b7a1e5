"""Files as people have them: three commands lead from the file to predictions, and each names the next one."""

from __future__ import annotations

import csv
import datetime
import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.commands import pl, reading, run

ROWS = 200


def passengers(rng: np.random.Generator) -> bytes:
    """A list of passengers: names and tickets, missing ages, most cabins missing, two ports of embarkation lacking."""
    lines = ["PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Fare,Cabin,Embarked"]
    for k in range(ROWS):
        sex = rng.choice(["male", "female"])
        age = "" if k % 6 == 5 else f"{rng.uniform(1, 70):.1f}"
        survived = {61: 1, 190: 0}.get(k, int(rng.random() < (0.7 if sex == "female" else 0.3)))
        ticket = f"A/5 {1000 + k}" if k % 2 else str(2000 + k)
        cabin = f"C{k}" if k % 5 == 0 else ""
        port = "" if k in (61, 190) else rng.choice(["S", "C", "Q"])
        fare = f"{rng.uniform(5, 80):.2f}"
        row = [k + 1, survived, rng.integers(1, 4), f'"Kim, Dr. {k}"', sex, age, ticket, fare, cabin, port]
        lines.append(",".join(map(str, row)))
    return "\n".join(lines).encode()


def semicolons(rng: np.random.Generator) -> bytes:
    """A file as a spreadsheet saves it where the decimal sign is a comma: a byte order mark, CRLF, and a blank line."""
    lines = ["größe;gewicht;ja"]
    for _ in range(ROWS):
        x, w = rng.normal(1.7, 0.1), rng.normal(70, 9)
        answer = "ja" if rng.random() < 1 / (1 + np.exp(-(w - 70) / 9)) else "nein"
        lines.append(f"{x:.2f};{w:.1f};{answer}".replace(".", ","))
    lines.insert(7, "")
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def dates(rng: np.random.Generator) -> bytes:
    """Two columns of dates; those of one are written so that each may be two days."""
    lines = ["joined,last_seen,left"]
    for k in range(ROWS):
        joined = datetime.date(2023, 1, 2) + datetime.timedelta(days=int(rng.integers(0, 700)))
        seen = joined + datetime.timedelta(days=int(rng.integers(0, 300)))
        lines.append(f"{joined.isoformat()},{seen:%d/%m/%Y},{'yes' if k % 3 else 'no'}")
    return "\n".join(lines).encode()


def money(rng: np.random.Generator) -> bytes:
    """Ids, sums with a currency sign, and per cent."""
    lines = ["account,balance,rate,default"]
    for k in range(ROWS):
        balance = rng.uniform(500, 90_000)
        late = rng.random() < balance / 100_000
        lines.append(f'AB-{k:05},"${balance:,.2f}",{rng.uniform(0, 20):.1f}%,{int(late)}')
    return "\n".join(lines).encode()


def latin(rng: np.random.Generator) -> bytes:
    """A file in Latin-1, with points between groups of digits, and words with accents."""
    lines = ["année;région;revenu;oui"]
    for k in range(ROWS):
        income = f"{rng.uniform(1000, 2_000_000):,.1f}".translate(str.maketrans(",.", ".,"))
        lines.append(f"{rng.integers(1990, 2020)};{rng.choice(['Île', 'Côte', 'Forêt'])};{income};{k % 2}")
    return "\n".join(lines).encode("latin-1")


FILES = {
    "passengers": (passengers, ["--target", "Survived"], ["Name", "Age", "Ticket", "Cabin", "Embarked"]),
    "semicolons": (semicolons, [], ["größe", "gewicht"]),
    "dates": (dates, [], ["last_seen"]),
    "money": (money, [], ["account"]),
    "latin": (latin, [], ["revenu"]),
}


@pytest.fixture(params=[reading.HEAD, 700], ids=["short", "long"])
def head(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the number of bytes above which a file is long: then columns with numbers in the first lines are read so."""
    monkeypatch.setattr(reading, "HEAD", request.param)


@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("name", FILES)
def test_three_commands(folder: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    make, args, columns = FILES[name]
    (folder / "data.csv").write_bytes(make(np.random.default_rng(7)))
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == 1
    err = capfd.readouterr().err
    for column in columns:
        assert f"column {column!r}" in err, "every column that needs a decision is named"
    added = shlex.split(err.rpartition("for example, add: ")[2])
    assert added, err
    assert run(["train", "data.csv", *args, "--out", "model.json", *added]) == 0
    out, err = capfd.readouterr()
    assert "probability of" in out
    assert run(["predict", "model.json", "data.csv", "--out", "p.csv"]) == 0
    predicted = pl.read_csv("p.csv")
    assert predicted.height == ROWS
    assert predicted.columns[-2:] == [
        f"probability_{json.loads(Path('model.json').read_text())['classes'][1]}",
        "label",
    ]
    assert predicted["label"].null_count() == (35 if name == "passengers" else 0), "ages or ports of 35 are missing"


def trained(capfd: pytest.CaptureFixture[str], args: Sequence[str]) -> tuple[dict[str, Any], str]:
    assert run(["train", "data.csv", *args, "--out", "model.json"]) == 0, capfd.readouterr()
    return json.loads(Path("model.json").read_text()), capfd.readouterr().err


@pytest.mark.usefixtures("head")
def test_what_is_asked_about_passengers(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "data.csv").write_bytes(passengers(np.random.default_rng(7)))
    assert run(["train", "data.csv", "--target", "Survived"]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "gradstep: error: data.csv: 5 things to decide",
        "  column 'Name', data row 1: text with 200 different values in 200 rows, such as 'Kim, Dr. 0': "
        "--drop or --id leaves it out, --categorical takes it all the same",
        "  column 'Age', data row 6: missing value, 33 of 200 are missing: --missing drop, mean or indicator",
        "  column 'Ticket', data row 2: text with 200 different values in 200 rows, such as 'A/5 1001': "
        "--drop or --id leaves it out, --categorical takes it all the same",
        "  column 'Cabin', data row 1: text with 40 different values in 40 rows, such as 'C0': "
        "--drop or --id leaves it out, --categorical takes it all the same",
        "  column 'Embarked', data row 62: missing value, 2 of 200 are missing: --missing drop, mean or indicator",
        "  for example, add: --drop Name,Ticket,Cabin --missing drop",
    ]
    model, err = trained(capfd, ["--target", "Survived", "--drop", "Name,Ticket,Cabin", "--missing", "indicator"])
    assert model["features"] == [
        "PassengerId", "Pclass", "Sex=male", "Age", "Age missing", "Fare",
        "Embarked=Q", "Embarked=S", "Embarked missing",
    ]  # fmt: skip
    assert "column 'PassengerId' numbers the rows: --drop PassengerId leaves it out, as --id does" in err
    assert "categories: 'Sex' (against 'female'), 'Embarked' (against 'C')" in err
    assert run(["predict", "model.json", "data.csv", "--out", "p.parquet"]) == 0
    assert pl.read_parquet("p.parquet").null_count().row(0) == (0, 0)


@pytest.mark.usefixtures("head")
def test_numbers_of_each_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is read is what was written: the model is that of the same table in plain numbers."""
    for make, args, read in [
        (semicolons, ["--decimal", ","], lambda cell: float(cell.replace(",", "."))),
        (money, ["--drop", "account"], lambda cell: float(cell.strip("$%").replace(",", "")) / (1, 100)["%" in cell]),
        (latin, ["--decimal", ",", "--encoding", "latin-1", "--drop", "région"],
         lambda cell: float(cell.replace(".", "").replace(",", "."))),
    ]:  # fmt: skip
        data = make(np.random.default_rng(7))
        Path("data.csv").write_bytes(data)
        model, _ = trained(capfd, [*args, "--l2", "0.1", "--standardize"])
        text = data.decode("latin-1" if make is latin else "utf-8-sig")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raw = pl.read_csv("\n".join(lines).encode(), separator="," if make is money else ";", infer_schema=False)
        features = [
            pl.col(name).map_elements(read, return_dtype=pl.Float64)
            for name in raw.columns
            if name in model["features"]
        ]
        plain = raw.select(*features, raw.to_series(-1))
        plain.write_csv("data.csv")
        want, _ = trained(capfd, ["--l2", "0.1", "--standardize"])
        assert (model["weights"], model["bias"]) == (want["weights"], want["bias"])


CELLS = [
    "", "1", "2.5", "-3", "1e3", "NA", "?", "n/a", "x", "y z", "$1,200.50", "12 €", "5%", "1,5", "1.234,5", "1 000",
    "true", "False", "2024-01-31", "31.12.2023", "1/2/2024", "13/2/2024", "2024-01-31 12:30", "12:30", "inf", "1e999",
    "nan", "é", '"', "'", "=1+1", "-", "--", "a=b", "\t", "0x10", "01234", "١", "\x00", "[1]", "a,b",
]  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A file whose columns hold a few kinds of cells each, with a target of two or three values."""
    rows = draw(st.integers(2, 14))
    several = [draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4)) for _ in range(draw(st.integers(1, 4)))]
    columns = [draw(st.lists(st.sampled_from(pool), min_size=rows, max_size=rows)) for pool in several]
    target = draw(st.lists(st.sampled_from(["no", "yes", "0", "1", ""]), min_size=rows, max_size=rows))
    names = draw(st.lists(st.sampled_from(["a", "b", "a=x", "a missing", "-c", "d,e", "f g", "ü", "1"]), unique=True))
    names = [*names, *(f"column {k}" for k in range(len(columns)))][: len(columns)]
    file = io.StringIO()
    csv.writer(file, delimiter=draw(st.sampled_from(",;"))).writerows(
        [[*names, "y"], *zip(*columns, target, strict=True)]
    )
    return file.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sampled_from(["utf-8", "latin-1", "utf-16"]))
def test_any_table_ends_in_a_model_or_in_what_cannot_be_mended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, encoding: str
) -> None:
    """Each step adds the options that the last message asked for. A model must then predict its rows of training."""
    data, model = tmp_path / "data.csv", tmp_path / "model.json"
    data.write_bytes(content.encode(encoding, "replace"))
    args = ["--l2", "0.1", "--header"]
    for _ in range(8):
        code = run(["train", str(data), *args, "--out", str(model)])
        out, err = capfd.readouterr()
        assert code in (0, 1) and "Traceback" not in err
        if code == 0 or "for example, add: " not in err:
            break
        args += shlex.split(err.rpartition("for example, add: ")[2])
    else:
        raise AssertionError(f"{args}: {err}")
    if code == 0:
        code = run(["predict", str(model), str(data), "--header"])
        out, err = capfd.readouterr()
        assert code == 0, (args, err)
        assert out.startswith("probability_") and "Traceback" not in err
