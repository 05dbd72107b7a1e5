"""Descents over rows that are read in batches: the bits of arrays, point by point, in batches and over all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep

M = 150_001
"""More rows than are read at once of 12 columns, and no multiple of any batch."""


@pytest.fixture(scope="module")
def problem() -> tuple[Any, Any, Any]:
    """Features of 12 columns, labels and sample weights."""
    random = np.random.default_rng(4)
    X = random.standard_normal((M, 12))
    y = (X[:, 0] - X[:, 1] + random.logistic(size=M) > 0).astype(float)
    s = np.where(random.random(M) < 0.1, 0.0, 0.5 + random.random(M))
    return X, y, s


def batches(size: int, *arrays: Any) -> Callable[[], Iterator[tuple[Any, ...]]]:
    """A function that returns batches of `size` rows."""
    return lambda: (tuple(array[at : at + size] for array in arrays) for at in range(0, len(arrays[0]), size))


def same(a: gradstep.Descent, b: gradstep.Descent) -> bool:
    """Whether two descents have the same bits, traces included."""
    traces = [None if descent.trace is None else descent.trace.tobytes() for descent in (a, b)]
    assert a.path is not None and b.path is not None
    return (
        a.weights.tobytes() == b.weights.tobytes()
        and a.weights.dtype == b.weights.dtype
        and np.asarray(a.bias).tobytes() == np.asarray(b.bias).tobytes()
        and a.history.tobytes() == b.history.tobytes()
        and a.start_loss == b.start_loss
        and a.path.weights.tobytes() == b.path.weights.tobytes()
        and a.stop_reason == b.stop_reason
        and traces[0] == traces[1]
    )


@pytest.mark.parametrize("batch", [1, 7, 64, 100_000, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_give_the_bits_of_arrays(problem: Any, batch: int | None, weighted: bool) -> None:
    X, y, s = problem
    trainer = gradstep.Trainer(0.05, 2, batch_size=batch, l2=1e-3)
    want = trainer.fit(X, y, sample_weight=s if weighted else None)
    assert same(trainer.fit(batches(10_007, *((X, y, s) if weighted else (X, y))), None), want)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1, "l1": 1e-3},
        {"batch_size": 1, "fit_bias": False},
        {"batch_size": 16, "reduction": "sum", "tol": 1e-9},
        {"batch_size": 1, "activation": "step"},
        {"activation": "step"},
        {"learning_rate": "auto", "epochs": 6},
        {"learning_rate": "auto", "epochs": 6, "l2": 1e-3},
        {"shuffle": True, "seed": 1},
    ],
)
def test_options(problem: Any, options: dict[str, Any]) -> None:
    X, y, _ = problem
    trainer = gradstep.Trainer(**{"learning_rate": 0.05, "epochs": 2, **options})
    assert same(trainer.fit(batches(50_000, X, y), None), trainer.fit(X, y))


@pytest.mark.parametrize(("rows", "batch"), [(3000, 1), (3000, 7), (150_001, 100_000), (3000, None)])
def test_a_trace_names_the_rows_of_the_whole_source(problem: Any, rows: int, batch: int | None) -> None:
    X, y, _ = problem
    X, y = (X, y) if rows == M else (np.repeat(X[:rows], 40, axis=1), y[:rows])  # wide rows: several chunks
    trainer = gradstep.Trainer(0.01, 1, batch_size=batch, trace=True)
    want = trainer.fit(X, y)
    assert same(trainer.fit(batches(999, X, y), None), want)
    assert want.trace is not None and want.trace["row"].max() == rows - 1


@pytest.mark.parametrize("batch", [1, 32, None])
def test_three_classes(batch: int | None) -> None:
    random = np.random.default_rng(2)
    X = random.standard_normal((70_000, 3))
    y = (X + random.gumbel(size=X.shape)).argmax(axis=1)
    trainer = gradstep.Trainer(0.1, 2, batch_size=batch)
    assert same(trainer.fit(batches(1234, X, y), None), trainer.fit(X, y))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("batch", [1, 1000, None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_files(problem: Any, tmp_path: Path, cached: bool, batch: int | None, dtype: type) -> None:
    pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    X, y, s = problem
    X = X.astype(dtype)
    o = np.linspace(-1, 1, len(y))
    columns = {f"x{j}": X[:, j] for j in range(12)}
    table = pyarrow.table(columns | {"label": y.astype(np.int8), "weight": s, "offset": o})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=30_000)
    np.save(tmp_path / "rows.npy", X)
    folder = tmp_path / "cache"
    folder.mkdir()
    cache = folder if cached else None
    trainer = gradstep.Trainer(0.05, 2, batch_size=batch)
    want = trainer.fit(X, y, sample_weight=s, offset=o)
    names = {"sample_weight": "weight", "offset": "offset"}
    got = trainer.fit(tmp_path / "rows.parquet", "label", **names, cache=cache)
    assert same(got, want) and got.feature_names == tuple(columns)
    assert same(trainer.fit(table, "label", **names, cache=cache), want)
    assert same(trainer.fit([tmp_path / "rows.npy"], y, sample_weight=s, offset=o, cache=cache), want)
    assert list(folder.iterdir()) == []


def test_a_descent_goes_on_from_another_and_calls_back(problem: Any) -> None:
    X, y, _ = problem
    rows = batches(40_000, X, y)
    first = gradstep.Trainer(0.05, 1, batch_size=1).fit(rows, None)
    both = gradstep.Trainer(0.05, 1, batch_size=1).fit(rows, None, first.weights, first.bias)
    whole = gradstep.Trainer(0.05, 2, batch_size=1).fit(X, y)
    assert both.weights.tobytes() == whole.weights.tobytes()
    seen: list[float] = []
    ended = gradstep.Trainer(0.05, 9).fit(rows, None, callback=lambda epoch, loss, *_: seen.append(loss) or epoch == 1)
    assert ended.stop_reason == "callback" and seen == list(ended.history) and len(seen) == 2


def test_each_epoch_reads_once_or_twice(problem: Any) -> None:
    X, y, _ = problem
    times: list[int] = []

    def counted() -> Iterator[tuple[Any, Any]]:
        times.append(1)
        yield X, y

    gradstep.Trainer(0.05, 3).fit(counted, None)
    assert len(times) == 1 + 1 + 3  # labels, the loss at the start, and after each epoch
    times.clear()
    gradstep.Trainer(0.05, 3, batch_size=1).fit(counted, None)
    assert len(times) == 1 + 1 + 2 * 3  # and the updates of each epoch


def test_rows_that_are_read_are_not_shuffled(problem: Any) -> None:
    X, y, _ = problem
    with pytest.raises(ValueError, match=r"^shuffle must be False where X is read in batches: write its rows in a ran"):
        gradstep.Trainer(0.05, 1, batch_size=10, shuffle=True).fit(batches(1000, X, y), None)


def test_errors_name_the_row_and_the_column(problem: Any, tmp_path: Path) -> None:
    X, y, _ = problem
    wrong = X.copy()
    wrong[140_000, 3] = np.nan
    for batch in (1, None):
        with pytest.raises(ValueError, match=r"^X must be finite, got nan at row 140000, column 3"):
            gradstep.Trainer(0.05, 1, batch_size=batch).fit(batches(1000, wrong, y), None)
    with pytest.raises(ValueError, match=r"^cache must be None where X is in memory"):
        gradstep.Trainer(0.05, 1).fit(X, y, cache=tmp_path)
