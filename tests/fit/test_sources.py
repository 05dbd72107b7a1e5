"""Rows that are read in batches: the fit has the bits of the fit of arrays, however the batches are cut."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.results import numbers

M = 150_000
"""The number of rows: more than are read at once, with 28 columns."""


@pytest.fixture(scope="module")
def problem() -> tuple[Any, Any, Any]:
    """Features of 28 columns, labels and sample weights."""
    random = np.random.default_rng(8)
    X = random.standard_normal((M, 28))
    X[:, 3] = 1000 + X[:, 3] * 0.01
    y = (X[:, 0] - X[:, 1] + random.logistic(size=M) > 0).astype(float)
    s = np.where(random.random(M) < 0.1, 0.0, 0.5 + random.random(M))
    return X, y, s


def batches(size: int, *arrays: Any) -> Callable[[], Iterator[tuple[Any, ...]]]:
    """A function that returns batches of `size` rows."""
    rows = len(arrays[0])
    return lambda: (tuple(array[at : at + size] for array in arrays) for at in range(0, rows, size))


@pytest.mark.parametrize("size", [999, 65_536, 100_001, M])
@pytest.mark.parametrize("options", [{"l2": 1e-3}, {}, {"l1": 1e-2, "l2": 1e-3}], ids=["l2", "none", "l1"])
def test_batches_give_the_bits_of_arrays(problem: Any, size: int, options: dict[str, Any]) -> None:
    X, y, s = problem
    want = gradstep.fit(X, y, sample_weight=s, **options)
    got = gradstep.fit(batches(size, X, y, s), None, **options)
    assert numbers(got) == numbers(want)
    assert got.gap == want.gap and got.converged


@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
def test_batches_of_other_types(dtype: type) -> None:
    random = np.random.default_rng(1)
    X = random.integers(0, 2, (40_000, 9)).astype(dtype)
    y = (X[:, 0] + random.logistic(size=len(X)) > 1).astype(float)
    want = gradstep.fit(X, y, l2=1e-3)
    got = gradstep.fit(batches(777, X, y), None, l2=1e-3)
    assert numbers(got) == numbers(want) and got.weights.dtype == want.weights.dtype


@pytest.mark.parametrize("options", [{"l2": 1e-3}, {}])
def test_three_classes(options: dict[str, Any]) -> None:
    random = np.random.default_rng(2)
    X = random.standard_normal((30_000, 70))
    y = (X[:, :3] + random.gumbel(size=(len(X), 3))).argmax(axis=1)
    want = gradstep.fit(X, y, **options)
    assert numbers(gradstep.fit(batches(1234, X, y), None, **options)) == numbers(want)


def test_separated_labels_are_found() -> None:
    X = np.arange(20_000.0)[:, None] % 100
    y = (X[:, 0] > 50).astype(float)
    best = gradstep.fit(batches(500, X, y), None)
    assert best.stop_reason == "separated" and numbers(best) == numbers(gradstep.fit(X, y))


@pytest.mark.parametrize("rows", [255, 100_001, 1 << 17])
def test_parquet_gives_the_bits_of_arrays(problem: Any, tmp_path: Path, rows: int) -> None:
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    datasets = pytest.importorskip("pyarrow.dataset", exc_type=ImportError)
    X, y, s = (array[: 4 * rows] for array in problem)
    columns = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {"label": y.astype(np.int8), "weight": s}
    table = pyarrow.table(columns)
    parquet.write_table(table, tmp_path / "all.parquet", row_group_size=rows)
    for k, at in enumerate(range(0, len(y), len(y) // 2 + 1)):
        parquet.write_table(table.slice(at, len(y) // 2 + 1), tmp_path / f"part{k}.parquet", row_group_size=rows)
    (tmp_path / "parts" / "second").mkdir(parents=True)
    (tmp_path / "parts" / "_log").mkdir()
    (tmp_path / "parts" / "_log" / "1").write_text("no rows")
    shutil.copy(tmp_path / "part0.parquet", tmp_path / "parts" / "first")
    shutil.copy(tmp_path / "part1.parquet", tmp_path / "parts" / "second" / "rows")
    want = gradstep.fit(X, y, sample_weight=s, l2=1e-3)
    for source in (
        tmp_path / "all.parquet",
        str(tmp_path / "part*.parquet"),
        [tmp_path / "part0.parquet", tmp_path / "part1.parquet"],
        tmp_path / "parts",
        datasets.dataset(tmp_path / "all.parquet"),
        datasets.dataset(table),
    ):
        assert numbers(gradstep.fit(source, "label", sample_weight="weight", l2=1e-3)) == numbers(want)


def test_float32_of_a_file_stays_float32(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    random = np.random.default_rng(3)
    X = random.standard_normal((5000, 3)).astype(np.float32)
    y = (X[:, 0] > random.standard_normal(5000)).astype(float)
    parquet.write_table(pyarrow.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y}), tmp_path / "single.parquet")
    best = gradstep.fit(tmp_path / "single.parquet", "y", l2=0.1)
    assert numbers(best) == numbers(gradstep.fit(X, y, l2=0.1)) and best.weights.dtype == np.float32


def test_a_callback_stops_it_and_its_error_comes_through(problem: Any) -> None:
    X, y, s = problem
    best = gradstep.fit(batches(50_000, X, y, s), None, l2=1e-3, callback=lambda iteration: iteration.number == 1)
    assert best.stop_reason == "callback" and best.n_iterations == 2

    def broken() -> Iterator[tuple[Any, Any]]:
        yield X[:1000], y[:1000]
        if times.append(1) or len(times) > 3:
            raise OSError("disk full")

    times: list[int] = []
    with pytest.raises(OSError, match="disk full"):
        gradstep.fit(broken, None, l2=1e-3)


@pytest.mark.parametrize("options", [{"l2": 1e-3}, {}, {"l1": 1e-2, "l2": 1e-3}], ids=["l2", "none", "l1"])
def test_each_pass_reads_once(problem: Any, options: dict[str, Any]) -> None:
    X, y, s = problem
    times = []

    def counted() -> Iterator[tuple[Any, ...]]:
        times.append(1)
        return batches(10_000, X, y, s)()

    best = gradstep.fit(counted, None, **options)
    # The labels are read first. All samples, of which passes count fractions, and the rows that units of columns are
    # estimated from, take one read.
    assert len(times) <= best.passes + 1


def test_names_of_frames_and_empty_batches() -> None:
    pd = pytest.importorskip("pandas")
    random = np.random.default_rng(4)
    frame = pd.DataFrame(random.standard_normal((400, 2)), columns=["a", "b"])
    y = (frame["a"] + random.logistic(size=400) > 0).astype(float)
    parts = [slice(0, 0), slice(0, 250), slice(250, 250), slice(250, 400), slice(400, 400)]
    best = gradstep.fit(lambda: ((frame[part], y[part]) for part in parts), None, l2=0.1)
    assert numbers(best) == numbers(gradstep.fit(frame, y, l2=0.1)) and best.feature_names == ("a", "b")


def test_an_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", exc_type=ImportError)
    frame = pd.DataFrame({"a": [0.0, 5.0, 1.0, 2.0, 3.0], "y": [0, 1, 1, 0, 1]}, index=list("vwxyz"))
    frame.to_parquet(tmp_path / "rows.parquet")
    best = gradstep.fit(tmp_path / "rows.parquet", "y", l2=0.1)
    assert best.feature_names == ("a",) and numbers(best) == numbers(gradstep.fit(frame[["a"]], frame["y"], l2=0.1))


def sources_of(X: Any, y: Any, s: Any, folder: Path) -> Iterator[tuple[str, Any, Any, Any]]:
    """The same rows as every kind of source: its name, X, y and the sample weights."""
    columns = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {"label": y, "weight": s}
    cuts = [0, 1, len(X) // 3, len(X)]
    paths = [folder / f"{place}.npy" for place in range(3)]
    for path, first, end in zip(paths, cuts, cuts[1:], strict=False):
        np.save(path, np.asfortranarray(X[first:end]) if first else X[first:end])
    yield "files of NumPy", paths, y, s
    yield "maps", [np.load(path, mmap_mode="r") for path in paths], y, s
    np.save(folder / "all.npy", X)
    yield "one file of NumPy", folder / "all.npy", y, s
    yield "function", batches(777, X, y, s), None, None
    try:
        import pyarrow
    except ImportError:
        return
    table = pyarrow.table(columns)
    yield "table", table, "label", "weight"
    yield "readers", lambda: table.to_reader(max_chunksize=999), "label", "weight"
    try:
        import polars
    except ImportError:
        return
    frame = polars.DataFrame(columns)
    yield "frame", frame, "label", "weight"
    yield "lazy frame", frame.lazy(), "label", "weight"
    frame.write_parquet(folder / "lazy.parquet", row_group_size=1000)
    yield "scan", polars.scan_parquet(folder / "lazy.parquet"), "label", "weight"
    yield "lazy frames", lambda: polars.scan_parquet(folder / "lazy.parquet"), "label", "weight"


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
@pytest.mark.parametrize("cached", [False, True])
def test_every_source_gives_the_bits_of_arrays(problem: Any, tmp_path: Path, solver: Any, cached: bool) -> None:
    X, y, s = (part[:90_000] for part in problem)
    folder = tmp_path / "cache"
    folder.mkdir()
    options: dict[str, Any] = {"l2": 1e-3, "solver": solver}
    want = numbers(gradstep.fit(X, y, sample_weight=s, **options))
    for name, rows, label, weight in sources_of(X, y, s, tmp_path):
        best = gradstep.fit(rows, label, sample_weight=weight, **options, cache=folder if cached else None)
        assert numbers(best) == want, name
        assert list(folder.iterdir()) == [], name
        assert not reading(), name


def reading() -> list[str]:
    """The threads that read rows."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("gradstep")]


def test_a_cache_reads_the_source_once_and_goes_away_after_an_error(problem: Any, tmp_path: Path) -> None:
    X, y, s = problem
    times: list[int] = []

    def counted() -> Iterator[tuple[Any, ...]]:
        times.append(1)
        return batches(10_000, X, y, s)()

    want = gradstep.fit(X, y, sample_weight=s, l2=1e-3)
    assert numbers(gradstep.fit(counted, None, l2=1e-3, cache=tmp_path)) == numbers(want)
    assert len(times) == 2  # one read for the labels, and one that writes the file

    def broken(iteration: gradstep.Iteration) -> None:
        raise OSError("stop")

    with pytest.raises(OSError, match="stop"):
        gradstep.fit(counted, None, l2=1e-3, cache=tmp_path, callback=broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ends", ["callback", "error", "data"])
def test_no_thread_outlives_a_fit_that_ends_early(tmp_path: Path, ends: str) -> None:
    random = np.random.default_rng(5)
    X = random.standard_normal((200_000, 12))
    y = (X[:, 0] + random.logistic(size=len(X)) > 0).astype(np.int8)
    if ends == "data":
        X[150_000, 3] = np.nan
    np.save(tmp_path / "rows.npy", X)
    seen: list[list[str]] = []

    def callback(_: gradstep.Iteration) -> bool:
        seen.append(reading())
        if ends == "error":
            raise RuntimeError("enough")
        return True

    if ends == "callback":
        gradstep.fit([tmp_path / "rows.npy"], y, l2=1e-3, callback=callback)
        assert seen[0]  # during the fit a thread reads rows
    else:
        with pytest.raises((RuntimeError, ValueError), match="enough" if ends == "error" else "row 150000, column 3"):
            gradstep.fit([tmp_path / "rows.npy"], y, l2=1e-3, callback=callback if ends == "error" else None)
    assert not reading()


def test_a_function_is_called_on_the_thread_of_the_caller() -> None:
    """The function may use connections and contexts that belong to the caller's thread."""
    random = np.random.default_rng(6)
    X = random.standard_normal((5000, 2))
    y = (X[:, 0] + random.logistic(size=len(X)) > 0).astype(float)
    threads = set()

    def rows() -> Iterator[tuple[Any, Any]]:
        threads.add(threading.get_ident())
        yield X, y

    gradstep.fit(rows, None, l2=0.1)
    assert threads == {threading.get_ident()}


def test_sparse_rows_in_maps_are_fitted_where_they_lie(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    random = np.random.default_rng(7)
    X = sparse.random_array((3000, 40), density=0.1, format="csr", rng=random)
    y = (X.sum(axis=1) + random.logistic(size=3000) > 2).astype(float)
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(X, name))
    parts = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr")]
    mapped = sparse.csr_array(tuple(parts), shape=X.shape)
    assert np.shares_memory(mapped.data, parts[0])
    assert numbers(gradstep.fit(mapped, y, l2=0.01)) == numbers(gradstep.fit(X, y, l2=0.01))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32])
def test_labels_and_weights_of_a_file_may_be_of_any_type(tmp_path: Path, dtype: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    random = np.random.default_rng(9)
    X, s = random.standard_normal((6000, 3)), random.integers(0, 3, 6000)
    y = X[:, 0] + random.logistic(size=6000) > 0
    columns = {f"x{j}": X[:, j] for j in range(3)}
    table = pyarrow.table(columns | {"y": y.astype(dtype), "s": s.astype(dtype)})
    want = gradstep.fit(X, y.astype(float), sample_weight=s.astype(dtype).astype(float), l2=0.1)
    assert numbers(gradstep.fit(table, "y", sample_weight="s", l2=0.1)) == numbers(want)


@pytest.mark.parametrize("rows", ["rows.parquet", Path("rows.parquet"), lambda: iter([])])
def test_what_takes_arrays_says_what_reads_files(rows: Any) -> None:
    fitted = gradstep.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
    for call in (
        lambda: gradstep.loss(rows, [0, 1], [1.0]),
        lambda: fitted.predict(rows),
    ):
        with pytest.raises(
            TypeError, match=r"^X must be .*, got .*: files, .* are read by fit, path, Trainer\.fit and"
        ):
            call()


def test_the_cross_validation_says_what_reads_files() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(TypeError, match=r"^X must be .*, got str: files, .* are read by fit, path, Trainer\.fit and"):
        gradstep.LogisticRegressionCV().fit("rows.parquet", "y")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_path_has_the_bits_of_arrays(tmp_path: Path, weighted: bool, dtype: type) -> None:
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    random = np.random.default_rng(11)
    X = random.standard_normal((40_000, 6)).astype(dtype)
    y = (X[:, 0] - X[:, 1] + random.logistic(size=len(X)) > 0).astype(float)
    s = random.random(len(X)) if weighted else None
    table = pyarrow.table({f"x{j}": X[:, j] for j in range(6)} | {"y": y} | ({} if s is None else {"s": s}))
    want = gradstep.path(X, y, n=6, ratio=0.1, sample_weight=s)
    for cache in (None, tmp_path):
        assert gradstep.path(table, "y", n=6, ratio=0.1, sample_weight="s" if weighted else None, cache=cache) == want
    rows = batches(999, X, y) if s is None else batches(999, X, y, s)
    assert gradstep.path(rows, None, n=6, ratio=0.1) == want
    assert list(tmp_path.iterdir()) == [] and not reading()


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"l1": 1e-3}, {"C": 3.0}])
def test_the_estimator_has_the_bits_of_arrays(tmp_path: Path, options: dict[str, Any]) -> None:
    pytest.importorskip("sklearn")
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    random = np.random.default_rng(12)
    X = random.standard_normal((9000, 4))
    s = random.random(len(X))
    for names in (np.array(["no", "yes"]), np.array(["late", "early", "never"]), np.array([3, 7])):
        y = names[(X[:, : len(names)] + random.gumbel(size=(len(X), len(names)))).argmax(axis=1)]
        want = gradstep.LogisticRegression(**options).fit(X, y, sample_weight=s)
        table = pyarrow.table({f"x{j}": X[:, j] for j in range(4)} | {"label": y, "weight": s})
        parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=1000)
        sources = [tmp_path / "rows.parquet", table, table.to_pandas()]
        with suppress(ImportError):
            import polars

            frame = polars.from_arrow(table)
            sources += [frame, frame.lazy()]
            if names.dtype.kind == "U":
                sources.append(frame.with_columns(polars.col("label").cast(polars.Categorical)).lazy())
        for source in sources:
            got = gradstep.LogisticRegression(**options).fit(source, "label", sample_weight="weight")
            assert got.coef_.tobytes() == want.coef_.tobytes() and got.intercept_.tobytes() == want.intercept_.tobytes()
            assert got.classes_.tolist() == want.classes_.tolist() and got.converged_ == want.converged_
            assert got.feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]
            assert got.predict(table.to_pandas()[["x0", "x1", "x2", "x3"]][:5]).tolist() == want.predict(X[:5]).tolist()


def test_a_label_that_is_a_text_and_changes_is_named() -> None:
    pytest.importorskip("sklearn")
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    times: list[int] = []

    def table() -> Any:
        times.append(1)
        return pyarrow.table({"x": [1.0, 2.0], "y": ["no", "yes"] if len(times) < 3 else ["no", "perhaps"]})

    with pytest.raises(ValueError, match=r"same labels whenever it is read, got 'perhaps' in row 1, and 'yes' the fir"):
        gradstep.LogisticRegression(l2=0.1).fit(table, "y")


def test_train_says_that_a_file_is_too_large_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "y": [0, 1, 0, 1]})
    frame.write_parquet(tmp_path / "rows.parquet")
    gradstep.train(tmp_path / "rows.parquet", "y", l2=0.1)
    monkeypatch.setattr("gradstep._files._memory", lambda: 127)
    with pytest.raises(ValueError, match=r"rows\.parquet: has 4 rows of 2 columns, 6\.4e-08 GB .* gradstep\.fit reads"):
        gradstep.train(tmp_path / "rows.parquet", "y", l2=0.1)


@pytest.mark.parametrize("dtype", [">f8", ">f4", np.float32, np.int16, bool, np.float16])
def test_files_of_numpy_of_any_type(tmp_path: Path, dtype: Any) -> None:
    random = np.random.default_rng(10)
    X = random.integers(0, 2, (9000, 5)).astype(dtype)
    y = (X[:, 0] + random.logistic(size=9000) > 1).astype(float)
    paths = [tmp_path / "1.npy", tmp_path / "2.npy"]
    np.save(paths[0], X[:4000])
    np.save(paths[1], X[4000:])
    want = gradstep.fit(X, y, l2=0.1)
    for best in (gradstep.fit(paths, y, l2=0.1), gradstep.fit(batches(999, X, y), None, l2=0.1)):
        assert numbers(best) == numbers(want) and best.weights.dtype == want.weights.dtype
