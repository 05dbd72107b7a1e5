"""Rows of a Spark DataFrame: the bits of the fit of arrays, in any partitions, if the order of rows is told."""

from __future__ import annotations

import doctest
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed", exc_type=ImportError)
pytest.importorskip("pyspark", reason="Spark for Python is not installed")
if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("Spark needs Java, which is not installed", allow_module_level=True)
import pyarrow.parquet as pq  # noqa: E402
from pyspark.sql import SparkSession, functions  # noqa: E402

from gradstep import _spark_records as records  # noqa: E402
from gradstep import _spark_rows  # noqa: E402
from gradstep import spark as on_spark  # noqa: E402
from gradstep._partitions import UNIT, Rows  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("spark"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]

M = 15_011
UNALIGNED = [0, 1, 1, 5000, 0, 2047, 2049]
"""Sizes of files: some are empty, some have one row, and none but the empty ones has a multiple of 2048 rows."""


def started(folder: Path) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options = {
        "spark.driver.memory": "1g",
        "spark.local.dir": str(folder),
        "spark.sql.adaptive.enabled": "false",  # it joins small partitions, which are to be seen here
        "spark.sql.files.openCostInBytes": "128m",  # each file is a partition
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    with warnings.catch_warnings(action="ignore"):
        session = SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    session = started(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


def problem(classes: int = 2, dtype: type = np.float64, n: int = 5) -> tuple[Any, Any, Any]:
    """Features, labels and sample weights, of which some are 0."""
    random = np.random.default_rng(11)
    X = random.standard_normal((M, n)).astype(dtype)
    y = (X[:, :classes] + random.gumbel(size=(M, classes))).argmax(axis=1)
    X[:, 2] = 1000 + X[:, 2]
    return X, y, np.where(random.random(M) < 0.1, 0.0, 0.5 + random.random(M))


def table(X: Any, **columns: Any) -> Any:
    return pa.table({**{f"x{j}": np.ascontiguousarray(X[:, j]) for j in range(X.shape[1])}, **columns})


def written(whole: Any, folder: Path, sizes: list[int]) -> str:
    """A folder with a Parquet file of each of these sizes, and one of all other rows. Larger files are read first."""
    ends = np.cumsum([0, *sizes]).tolist()
    for k, (start, stop) in enumerate(zip(ends, [*ends[1:], len(whole)], strict=True)):
        pq.write_table(whole.slice(start, stop - start), folder / f"{k}.parquet")
    return str(folder)


def all_but_times(best: gradstep.Optimum) -> dict[str, Any]:
    """Every field of an optimum, arrays as bytes, without the seconds of the history."""
    history = best.history[[name for name in best.history.dtype.names if name != "seconds"]]
    fields = {**asdict(best), "history": np.array(history.tolist())}
    return {name: value.tobytes() if isinstance(value, np.ndarray) else repr(value) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("classes", "dtype", "options"),
    [
        (2, np.float64, {"l2": 1e-3}),
        (2, np.float64, {}),
        (2, np.float64, {"l1": 1e-2, "l2": 1e-3, "upper": 0.5}),
        (2, np.float32, {"l2": 1e-3, "solver": "gd"}),
        (3, np.float32, {"l2": 1e-3}),
        (3, np.float64, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("partitions", [2, 5])
def test_sorted_rows_give_the_bits_of_arrays(
    spark: Any, tmp_path: Path, partitions: int, classes: int, dtype: type, options: dict[str, Any]
) -> None:
    X, y, s = problem(classes, dtype)
    want = gradstep.fit(table(X), y, sample_weight=s, **options)
    shuffled = np.random.default_rng(3).permutation(M)
    whole = table(X, label=y, s=s, number=np.arange(M)).take(shuffled)
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    df = spark.read.parquet(written(whole, tmp_path, [7000]))
    got = on_spark.fit(df, "label", sample_weight="s", order="number", **options)
    assert all_but_times(got) == all_but_times(want)


def test_files_give_the_bits_of_arrays(spark: Any, tmp_path: Path) -> None:
    X, y, _ = problem()
    offset = np.linspace(-1, 1, M)
    df = spark.read.parquet(written(table(X, label=y, o=offset), tmp_path, UNALIGNED))
    assert df.rdd.getNumPartitions() >= 5
    want = all_but_times(gradstep.fit(table(X), y, offset=offset, l2=1e-3))
    assert all_but_times(on_spark.fit(df, "label", offset="o", l2=1e-3, order=on_spark.FILES)) == want
    joined = df.coalesce(2)  # partitions with files that do not follow each other
    assert all_but_times(on_spark.fit(joined, "label", offset="o", l2=1e-3, order=on_spark.FILES)) == want
    # A frame without some of the rows keeps their order.
    some = X[:, 0] > 0
    got = on_spark.fit(df.where("x0 > 0").drop("o"), "label", l2=1e-3, order=on_spark.FILES)
    assert all_but_times(got) == all_but_times(gradstep.fit(table(X[some]), y[some], l2=1e-3))
    with pytest.raises(ValueError, match=r"^order must be that of columns, got gradstep\.spark\.FILES for rows that"):
        on_spark.fit(df.repartition(3, "x0"), "label", order=on_spark.FILES)
    with pytest.raises(ValueError, match=r"^order must be that of columns, got .* not read from Parquet"):
        on_spark.fit(spark.range(5).selectExpr("id", "id % 2 as y"), "y", order=on_spark.FILES)


def test_without_an_order_the_optimum_is_the_same(spark: Any, tmp_path: Path) -> None:
    X, y, _ = problem()
    df = spark.read.parquet(written(table(X, label=y), tmp_path, UNALIGNED)).repartition(4)
    want, got = gradstep.fit(X, y, l2=1e-3), on_spark.fit(df, "label", l2=1e-3)
    assert got.converged and got.gap < 1e-9 and want.gap < 1e-9
    # l2/2 |w - w*|² is at most the gap, of each of both.
    away = np.sqrt(2 * got.gap / 1e-3) + np.sqrt(2 * want.gap / 1e-3)
    assert np.linalg.norm(got.weights - want.weights) <= away


def test_records_are_whole_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows come once, at their place, by records and by the pieces that are cut from them."""
    monkeypatch.setattr(records, "RECORD_BYTES", 1000 * 8 * 5)
    X, y, s = problem()
    whole = table(X, y=y, s=s)
    files = records.Files(str(tmp_path / "record"))
    packing = records.Packing(
        gradstep.__version__, [f"x{j}" for j in range(5)], True, ("y", "s", None), [], False, files
    )
    ends = np.cumsum([0, *UNALIGNED, M - sum(UNALIGNED)]).tolist()
    packed: list[Any] = []
    for number, (start, stop) in enumerate(pairwise(ends)):
        part = whole.slice(start, stop - start).add_column(0, records.PARTITION, [np.full(stop - start, number)])
        packed += packing(part.to_batches(max_chunksize=700))
    facts = [records_row(batch) for batch in packed]
    starts = np.cumsum([0, *(row.rows for row in facts)]).tolist()
    firsts = {(row.partition, row.number): first for row, first in zip(facts, starts, strict=False)}
    known: dict[str, Any] = {"places": _spark_rows._places(facts, firsts, M), "dtype": "float64", "columns": 5}
    pieces = sorted(records.cut(packed, **known), key=lambda batch: batch["number"][0].as_py())
    assert pieces and len(packed) > 10
    asking = records.Asking(b"", **known, is_single=False, classes=None, factors=None, n_threads=1, files=files)
    found = [*records.consecutive(asking._parts(packed)), *records.consecutive(asking._parts(pieces))]
    assert all(first % UNIT == 0 and (len(rows) % UNIT == 0 or first + len(rows) == M) for first, rows in found)
    found.sort(key=lambda run: run[0])
    assert [first for first, _ in found] == np.cumsum([0, *(len(rows) for _, rows in found)])[:-1].tolist()
    for k, array in enumerate((X, y, s)):
        parts = [(rows.X, rows.y, rows.sample_weight)[k] for _, rows in found]
        assert np.array_equal(np.concatenate(parts), array)


def records_row(batch: Any) -> Any:
    from pyspark.sql import Row

    return Row(**batch.to_pylist()[0])


def test_files_of_workers_are_not_needed(spark: Any, tmp_path: Path) -> None:
    """The bits are the same where files are gone; and no file is left."""
    X, y, _ = problem()
    df = spark.read.parquet(written(table(X, label=y), tmp_path, [5000]))
    removed = []

    def lose(iteration: gradstep.Iteration) -> None:
        for file in there():
            if iteration.number == 1 and "-0-" in file.name:  # of one of two partitions
                file.unlink()
                removed.append(file)

    def there() -> list[Path]:
        return [*Path(spark.conf.get("spark.local.dir")).rglob("gradstep-*")]

    got = on_spark.fit(df, "label", l2=1e-6, order=on_spark.FILES, callback=lose)
    assert all_but_times(got) == all_but_times(gradstep.fit(table(X), y, l2=1e-6))
    assert removed and not there()


def test_one_job_reads_the_source(spark: Any, tmp_path: Path) -> None:
    """A DataFrame is computed once, and nothing of it is kept when the fit has ended, however that happens."""
    X, y, _ = problem()
    df = spark.read.parquet(written(table(X, label=y), tmp_path, [5000]))
    calls = spark.sparkContext.accumulator(0)

    def counted(batches: Any) -> Any:
        calls.add(1)
        yield from batches

    rows = df.mapInArrow(counted, df.schema)
    on_spark.fit(rows, "label", l2=1e-3)
    assert calls.value == df.rdd.getNumPartitions()
    with pytest.raises(ValueError, match="got -1"):
        on_spark.fit(df, "label", l2=-1)
    assert not spark.sparkContext._jsc.getPersistentRDDs()


def test_rows_that_change_are_an_error(spark: Any, tmp_path: Path) -> None:
    X, y, _ = problem()
    df = spark.read.parquet(written(table(X, label=y), tmp_path, [5000]))

    def other_each_time(batches: Any) -> Any:
        for batch in batches:
            yield batch.set_column(0, "x0", pa.array(np.random.default_rng().random(len(batch))))

    def lose(iteration: gradstep.Iteration) -> None:
        if iteration.number == 1:  # as where an executor is lost
            spark.catalog.clearCache()

    df = df.mapInArrow(other_each_time, df.schema)
    rows = _spark_rows.Partitions(df, "label", None, None, None)
    with rows, pytest.raises(ValueError, match=r"^X must have the same rows each time .*, got others for partition"):
        gradstep.fit(rows.distant(), None, l2=1e-6, callback=lose)  # type: ignore[arg-type]


def test_a_fit_goes_on_from_its_checkpoint(spark: Any, tmp_path: Path) -> None:
    X, y, _ = problem()
    (tmp_path / "rows").mkdir()
    df = spark.read.parquet(written(table(X, label=y), tmp_path / "rows", [5000]))

    def callback(iteration: gradstep.Iteration) -> None:
        if iteration.number == 2:
            raise OSError("stop")

    given: dict[str, Any] = {"order": on_spark.FILES, "l2": 1e-6, "checkpoint": tmp_path / "fit"}
    with pytest.raises(OSError, match="stop"):
        on_spark.fit(df, "label", callback=callback, **given)
    assert all_but_times(on_spark.fit(df, "label", **given)) == all_but_times(gradstep.fit(table(X), y, l2=1e-6))


def test_the_estimator(spark: Any, tmp_path: Path) -> None:
    X, y, s = problem(3)
    names = np.array(["oak", "elm", "ash"])[y]
    df = spark.read.parquet(written(table(X, tree=names, s=s), tmp_path, UNALIGNED))
    want = gradstep.LogisticRegression(class_weight="balanced").fit(table(X), names, s)
    model = on_spark.LogisticRegression(class_weight="balanced").fit(df, "tree", "s", order=on_spark.FILES)
    assert model.coef_.tobytes() == want.coef_.tobytes() and model.intercept_.tobytes() == want.intercept_.tobytes()
    assert model.gap_ == want.gap_ and model.classes_.tolist() == ["ash", "elm", "oak"]
    assert model.predict(table(X[:5])).tolist() == want.predict(table(X[:5])).tolist()
    lazy = model.predict_log_proba(model.predict_proba(model.decision_function(model.predict(df))))
    columns = ["prediction", "score", "probability", "log_probability"]
    assert lazy.columns == [*df.columns, *columns]
    found = lazy.toArrow()
    rows = found.select(table(X).column_names)
    for method, column in zip(
        ("predict", "decision_function", "predict_proba", "predict_log_proba"), columns, strict=True
    ):
        got = np.array(found[column].to_pylist())
        assert len(got) == M and np.array_equal(got, getattr(want, method)(rows))
    with pytest.raises(ValueError, match=r"^X must have no column 'prediction', which the result gets"):
        model.predict(lazy)
    with pytest.raises(ValueError, match=r"^X must have the columns of the fit, got none that is named 'x1'"):
        model.predict(df.drop("x1"))


REFUSED: list[tuple[str, type[Exception], str]] = [
    ("array", TypeError, r"^X must be a DataFrame of Spark, got ndarray, which gradstep\.fit takes"),
    ("column", ValueError, r"^y must be one of the columns x0, x1, .*, got 'lable'"),
    ("no name", TypeError, r"^y must be the name of a column, got ndarray"),
    ("order", ValueError, r"^order\[0\] must be one of the columns x0, .*, got 'when'"),
    ("order kind", TypeError, r"^order must be the name of a column, a list of them, FILES or None, got 5"),
    (
        "ties",
        ValueError,
        r"^order must differ from row to row, got day = 7 in several rows \(in partition [0-9]+ of the sor",
    ),
    (
        "no key",
        ValueError,
        r"^order must have no missing values, got one in column 'day' \(in partition [0-9]+ of the sor",
    ),
    ("text", TypeError, r"^X must have numbers, got column 'town' of type string: encode it, or leave it out"),
    ("decimal", TypeError, r"^X must have numbers, got column 'x0' of type decimal\(10,2\): encode it"),
    ("nan", ValueError, r"^X must be finite, got nan at row 2, column 'x1': fill .* \(in partition 1, whose rows are"),
    ("null", ValueError, r"^X must be finite, got nan at row 1, column 'x1': fill .* \(in partition 1, whose rows are"),
    ("label", ValueError, r"^y must have no missing or infinite values, got nan at row 2 \(in partition 1, whose"),
    ("none", ValueError, r"^X must have at least one row, got none"),
    ("alone", ValueError, r"^X must have columns beside y, got none"),
    ("words", TypeError, r"^y must be an array of real numbers, got words .*\(in partition 0"),
    ("range", ValueError, r"^y must be labels in \[0, 1\], got 7.5 at row 4"),
    ("one class", ValueError, r"^y must hold two or more classes, got one class"),
    ("stopping", ValueError, r"^early_stopping must be False for rows of Spark, got True"),
]


@pytest.mark.parametrize(("case", "kind", "message"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_refused(spark: Any, tmp_path: Path, case: str, kind: type[Exception], message: str) -> None:
    X, y = np.arange(16.0).reshape(8, 2), np.array([0.0, 1, 0, 1, 0, 1, 0, 1])
    columns: dict[str, Any] = {"y": y}
    target: Any = "y"
    options: dict[str, Any] = {}
    fit: Any = on_spark.fit
    if case == "column":
        target = "lable"
    elif case == "no name":
        target = y
    elif case.startswith("order"):
        options = {"order": "when" if case == "order" else 5}
    elif case in ("ties", "no key"):
        days = [7, 1, 2, 3, 4, 5, 6, 7] if case == "ties" else [None, 1, 2, 3, 4, 5, 6, 7]
        columns["day"], options = days, {"order": "day"}
    elif case == "text":
        columns["town"] = ["Ulm"] * 8
    elif case == "nan":
        X[7, 1] = np.nan
    elif case == "label":
        y[7] = np.nan
    elif case == "words":
        columns["y"] = ["oak"] * 8
    elif case == "range":
        y[4] = 7.5
    elif case == "one class":
        columns["y"], fit = np.ones(8), on_spark.LogisticRegression().fit
    elif case == "stopping":
        fit = on_spark.LogisticRegression(early_stopping=True).fit
    df: Any = spark.read.parquet(written(table(X, **columns), tmp_path, [5]))
    if case == "array":
        df = X
    elif case == "decimal":
        df = df.withColumn("x0", functions.col("x0").cast("decimal(10,2)"))
    elif case == "null":
        df = df.withColumn("x1", functions.expr("if(x1 = 13, null, x1)"))
    elif case == "none":
        df = df.where("x0 < 0")
    elif case == "alone":
        df = df.select("y")
    with pytest.raises(kind, match=message):
        fit(df, target, **options)


@pytest.mark.parametrize("name", ["", "fit", "LogisticRegression"])
def test_documented_by_examples_that_are_true(spark: Any, name: str) -> None:
    text = (getattr(on_spark, name) if name else on_spark).__doc__ or ""
    test = doctest.DocTestParser().get_doctest(text, {"gradstep": gradstep}, name, None, None)
    result = doctest.DocTestRunner(verbose=False).run(test)
    assert result.attempted > 4 and result.failed == 0


def test_a_session_that_is_stopped(spark: Any) -> None:
    """Comes last: it stops the session of the tests, and makes another one."""
    df = spark.range(50).selectExpr("double(id % 7) as x", "id % 2 as y")
    rows = _spark_rows.Partitions(df, "y", None, None, None)
    with rows, pytest.raises(ValueError, match=r"^X must be of a running session of Spark, got one that is stopped"):
        gradstep.fit(rows.distant(), None, l2=1e-6, callback=lambda _: spark.stop())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^X must be of a running session of Spark, got one that is stopped"):
        on_spark.fit(df, "y")


def test_rows_keep_their_types() -> None:
    """Labels come back from bytes as they were, texts as objects."""
    X = np.zeros((3, 1))
    for y in (np.array([0, 1, 1], np.int8), np.array([True, False, True]), np.array(["a", "b", "a"], object)):
        stored = records._stored(0, 0, Rows(X, y, None, None))
        got = records.rows_of(stored["of_rows"], X)
        assert got.y.dtype == y.dtype and got.y.tolist() == y.tolist() and got.sample_weight is None
