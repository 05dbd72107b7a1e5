"""What the command line refuses: in one line that names what was wrong."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import pl, problem, run
from helpers.program import ROWS, one_line, program

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
    "perceptron of three": (
        b"a,y\n" + b"1,u\n2,v\n3,w\n" * 2,
        ["--activation", "step"],
        ["'y' has 3 values: a perceptron, --activation step, is for two"],
    ),
    "start of three": (
        b"a,y\n" + b"1,u\n2,v\n3,w\n" * 2,
        ["--start", "1,2"],
        [
            "--start must have a weight for each of 1 features ('a'), and the bias, of each of 3 classes",
            "got 2 numbers",
        ],
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
    "gzip of no table": (gzip.compress(b"a\0,y\n1,0\n2,1\n"), [], ["data.csv: not a CSV file in UTF-8"]),
    "zlib": (zlib.compress(b"a,y\n1,0\n2,1\n"), [], ["data.csv: not a CSV file in UTF-8"]),
    "half of gzip": (gzip.compress(b"a,y\n1,0\n2,1\n")[:20], [], ["data.csv: a damaged gzip file"]),
    "zero bytes": (bytes(1000), [], ["UTF-8"]),
    "a zero in a name": (b"a\0,y\n1,0\n2,1\n", [], ["UTF-8"]),
    "semicolons and decimal commas": (b"a;b;y\n1,5;2;0\n2,5;3;1\n", [], ["'a'", "data row 1", "'1,5'"]),
    "Latin-1 far down": (b"a,y\n" + b"1,n\n" * 50_000 + b"1,s\xed\n", [], ["UTF-8"]),
    "too large to standardize": (b"a,b,y\n1,1e308,0\n2,-1e308,1\n", ["--standardize"], ["'b'", "too large"]),
    "divergence": (b"a,y\n1e300,0\n-1e300,1\n2e300,1\n", ["--learning-rate", "1e300"], ["diverged", "--standardize"]),
    "escape in a name": (b"\x1b[2Ja,y\nx,0\n2,1\n", [], [r"\x1b[2Ja"]),
}


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
        (pl.Series([0, 1]).cast(pl.Duration("us")), ["Duration"]),
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
