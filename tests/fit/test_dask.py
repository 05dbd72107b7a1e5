"""Rows on the workers of a Dask cluster: the bits of the fit of arrays, on any workers, in any partitions."""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.results import numbers

pytest.importorskip("dask", reason="Dask is not installed")
pytest.importorskip("distributed", reason="Dask's distributed scheduler is not installed")
pd = pytest.importorskip("pandas", exc_type=ImportError)
pytest.importorskip("dask.dataframe", exc_type=ImportError)  # its pyarrow cannot be imported with an old NumPy
import dask.array  # noqa: E402
import dask.dataframe  # noqa: E402
import distributed  # noqa: E402

from gradstep import _partitions  # noqa: E402
from gradstep import dask as on_dask  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

M = 30_011


def cluster(workers: int) -> Iterator[distributed.Client]:
    """A client of a cluster of so many worker processes."""
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "memory_limit": 0}
    with distributed.LocalCluster(n_workers=workers, **options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module", params=[1, 2, 3])
def several(request: pytest.FixtureRequest) -> Iterator[distributed.Client]:
    yield from cluster(request.param)


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    yield from cluster(2)


@pytest.fixture
def two() -> Iterator[distributed.Client]:
    """A client of a cluster whose workers may be killed."""
    yield from cluster(2)


def problem(classes: int = 2, dtype: type = np.float64, n: int = 7) -> tuple[Any, Any, Any]:
    """Features, labels and sample weights, of which some are 0."""
    random = np.random.default_rng(11)
    X = random.standard_normal((M, n)).astype(dtype)
    y = (X[:, :classes] + random.gumbel(size=(M, classes))).argmax(axis=1)
    X[:, 2] = 1000 + X[:, 2]
    return X, y, np.where(random.random(M) < 0.1, 0.0, 0.5 + random.random(M))


def frame(X: Any, **columns: Any) -> Any:
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(**columns)


def cut(whole: Any, sizes: list[int]) -> Any:
    """A dataframe of Dask with partitions of these sizes, the last one of all other rows."""
    ends = np.cumsum([0, *sizes]).tolist()
    parts = [whole.iloc[a:b] for a, b in zip(ends, [*ends[1:], len(whole)], strict=True)]
    # A function of this module could not be imported by the workers, which would die.
    return dask.dataframe.from_map(copy.copy, parts, meta=whole.iloc[:0])


UNALIGNED = [0, 1, 1, 5000, 0, 2047, 2049, 9999]
"""Sizes of partitions: some are empty, some have one row, and none but the empty ones has a multiple of 2048 rows."""


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (2, {"l2": 1e-3}),
        (2, {}),
        (2, {"l1": 1e-2, "l2": 1e-3}),
        (2, {"l2": 1e-3, "lower": -0.3}),
        (2, {"firth": True}),
        (2, {"l2": 1e-3, "solver": "gd"}),
        (3, {"l2": 1e-3}),
        (3, {}),
        (3, {"l1": 1e-2}),
    ],
    ids=str,
)
def test_partitions_give_the_bits_of_arrays(several: Any, classes: int, options: dict[str, Any]) -> None:
    X, y, s = problem(classes)
    want = gradstep.fit(frame(X), y, sample_weight=s, **options)
    rows = cut(frame(X, label=y, s=s), UNALIGNED)
    got = on_dask.fit(rows, "label", sample_weight="s", client=several, **options)
    assert numbers(got) == numbers(want) and got.feature_names == want.feature_names
    assert got.gap == want.gap and got.aliased == want.aliased and got.converged == want.converged


@pytest.mark.parametrize("small", [0, 100_000, 10**9])
@pytest.mark.parametrize("sizes", [UNALIGNED, [2048] * 5, [4096, 1, 2047, 6144], [1] * 9, [3, 12_000, 0, 5]], ids=str)
def test_blocks_are_whole_units(sizes: list[int], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks have the rows in their order. Large partitions are copied only where they meet their neighbours."""
    monkeypatch.setattr(_partitions, "SMALL", small)
    X, y, s = problem()
    counts = [*sizes, M - sum(sizes)]
    ends = np.cumsum([0, *counts])
    parts = [_partitions.Rows(X[a:b], y[a:b], s[a:b], None) for a, b in pairwise(ends)]
    for blocks in (1, 2, 3, 7):
        begins = _partitions.cuts(counts, blocks)
        assert begins[0] == 0 and begins[-1] == M and all(at % _partitions.UNIT == 0 for at in begins[:-1])
        at, copied = 0, 0
        for start, stop in pairwise(begins):
            pieces = [parts[k].part(a, b) for k, a, b in _partitions.pieces(counts, start, stop)]
            for first, rows in _partitions.block(start, False, None, None, *pieces).runs:
                assert first == at and at % _partitions.UNIT == 0 and len(rows)
                assert np.array_equal(rows.X, X[at : at + len(rows)]) and np.array_equal(rows.y, y[at : at + len(rows)])
                at += len(rows)
                copied += 0 if np.shares_memory(rows.X, X) else len(rows)
        assert at == M
        assert copied <= len(counts) * 2 * _partitions.UNIT or small


@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
def test_other_types(client: Any, dtype: type) -> None:
    X, y, _ = problem()
    X = X.astype(dtype) if dtype == np.float32 else (X > 0.5).astype(dtype)
    want = gradstep.fit(X, y, l2=1e-3)
    got = on_dask.fit(cut(frame(X, label=y), UNALIGNED), "label", l2=1e-3)
    assert numbers(got) == numbers(want) and got.weights.dtype == want.weights.dtype
    arrays = dask.array.from_array(X, chunks=(7001, 3)), dask.array.from_array(y, chunks=999)
    assert numbers(on_dask.fit(*arrays, l2=1e-3)) == numbers(want)


def test_offsets_and_series(client: Any) -> None:
    X, y, s = problem()
    offset = np.linspace(-1, 1, M)
    want = gradstep.fit(X, y, sample_weight=s, offset=offset, l2=1e-3)
    whole = cut(frame(X, y=y, s=s, o=offset), UNALIGNED)
    features = whole[[f"x{j}" for j in range(X.shape[1])]]
    got = on_dask.fit(features, whole["y"], sample_weight=whole["s"], offset=whole["o"], l2=1e-3)
    assert numbers(got) == numbers(want)
    unknown = features.to_dask_array(), whole["y"].to_dask_array()  # the lengths of their chunks are not known
    best = on_dask.fit(*unknown, sample_weight=whole["s"].to_dask_array(), offset=whole["o"].to_dask_array(), l2=1e-3)
    assert numbers(best) == numbers(want)


def test_offsets_of_classes(client: Any) -> None:
    X, y, s = problem(3)
    offset = np.random.default_rng(12).normal(size=(M, 3))
    want = gradstep.fit(X, y, sample_weight=s, offset=offset, l2=1e-3, penalty_factors=[1, 1, 0.5, 1, 1, 2, 1])
    options = {"l2": 1e-3, "penalty_factors": [1, 1, 0.5, 1, 1, 2, 1]}
    names = ["o0", "o1", "o2"]
    whole = cut(frame(X, y=y, s=s, **dict(zip(names, offset.T, strict=True))), UNALIGNED)
    assert numbers(on_dask.fit(whole, "y", sample_weight="s", offset=names, **options)) == numbers(want)
    arrays = {
        name: dask.array.from_array(array, chunks=(7001, 2) if array.ndim > 1 else 999)
        for name, array in (("X", X), ("y", y), ("sample_weight", s), ("offset", offset))
    }
    assert numbers(on_dask.fit(**arrays, **options)) == numbers(want)
    model = on_dask.LogisticRegression(**options).fit(whole, "y", "s", offset=names)
    np.testing.assert_array_equal(model.coef_, want.weights)
    assert (
        model.predict_proba(X[:5], offset=offset[:5]).tolist() == want.predict_proba(X[:5], offset=offset[:5]).tolist()
    )
    with pytest.raises(ValueError, match="offset must be None for predictions of rows of Dask, got"):
        model.predict(arrays["X"], offset=arrays["offset"])
    with pytest.raises(ValueError, match=r"offset must be one of the columns .*, got 'o9'"):
        on_dask.fit(whole, "y", offset=["o0", "o1", "o9"])
    offset[77, 1] = np.nan
    with pytest.raises(ValueError, match="offset must have no missing or infinite values, got nan at row 77"):
        on_dask.fit(arrays["X"], arrays["y"], offset=dask.array.from_array(offset, chunks=(7001, 3)))


def test_separated_labels_and_aliased_columns(client: Any) -> None:
    X, y, _ = problem()
    X[:, 4] = X[:, 0] + X[:, 1]
    best = on_dask.fit(cut(frame(X, y=y), UNALIGNED), "y")
    assert numbers(best) == numbers(gradstep.fit(X, y)) and best.aliased[0].column == 4
    y = (X[:, 0] + X[:, 1] > 0.5).astype(int)
    best = on_dask.fit(cut(frame(X[:, :3], y=y), UNALIGNED), "y")
    assert numbers(best) == numbers(gradstep.fit(X[:, :3], y)) and best.stop_reason == "separated"


def test_a_worker_is_killed(two: Any) -> None:
    X, y, _ = problem()
    want = gradstep.fit(X, y, l2=1e-6)
    pids = list(two.run(os.getpid).values())
    killed = []

    def callback(iteration: gradstep.Iteration) -> None:
        if iteration.number == 2:
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    got = on_dask.fit(cut(frame(X, label=y), UNALIGNED), "label", l2=1e-6, callback=callback)
    assert numbers(got) == numbers(want) and killed
    assert pids[0] not in two.run(os.getpid).values()


def test_a_fit_goes_on_from_its_checkpoint(two: Any, tmp_path: Any) -> None:
    X, y, _ = problem()
    rows = cut(frame(X, label=y), UNALIGNED)

    def callback(iteration: gradstep.Iteration) -> None:
        if iteration.number == 3:
            raise OSError("stop")

    path = tmp_path / "fit"
    with pytest.raises(OSError, match="stop"):
        on_dask.fit(rows, "label", l2=1e-6, callback=callback, checkpoint=path)
    assert path.stat().st_size > 1000
    assert numbers(on_dask.fit(rows, "label", l2=1e-6, checkpoint=path)) == numbers(gradstep.fit(X, y, l2=1e-6))
    assert not path.exists()


def test_no_worker_is_a_time_out(two: Any) -> None:
    X, y, _ = problem()

    def callback(iteration: gradstep.Iteration) -> None:
        if iteration.number == 1:
            two.cluster.scale(0)
            while two.nthreads():
                time.sleep(0.05)

    with pytest.raises(TimeoutError, match="the cluster must have a worker, got none for 1 seconds"):
        on_dask.fit(cut(frame(X, label=y), []), "label", l2=1e-6, callback=callback, timeout=1)


def test_rows_stay_on_the_workers(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks return few bytes compared with the rows, except the labels and the rows that are sampled."""
    X, y, _ = problem(n=28)
    returned = []
    gather = distributed.Client.gather

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        result = gather(self, *args, **options)
        returned.append(max(len(part) for answer in result for part in (answer if isinstance(answer, list) else [b""])))
        return result

    monkeypatch.setattr(distributed.Client, "gather", counted)
    on_dask.fit(cut(frame(X, label=y), []), "label", l2=1e-3, certify=False)
    samples = [size for size in returned if size > 10_000]
    assert len(returned) > 10 and len(samples) <= 3 and sum(samples) < X.nbytes / 2


def test_the_estimator(client: Any) -> None:
    X, y, s = problem(3)
    names = np.array(["oak", "elm", "ash"])[y]
    whole = cut(frame(X, tree=names, s=s), UNALIGNED)
    for options in ({"l2": 1e-3}, {"C": 2.0}, {"class_weight": "balanced"}, {"class_weight": {"oak": 2.0}}):
        want = gradstep.LogisticRegression(**options).fit(frame(X), names, s)
        model = on_dask.LogisticRegression(**options).fit(whole, "tree", "s")
        assert model.coef_.tobytes() == want.coef_.tobytes(), options
        assert model.intercept_.tobytes() == want.intercept_.tobytes() and model.gap_ == want.gap_
        assert model.classes_.tolist() == ["ash", "elm", "oak"] and model.n_features_in_ == X.shape[1]
    probabilities = model.predict_proba(whole)
    assert dask.is_dask_collection(probabilities)
    computed = probabilities.compute()
    assert computed.columns.tolist() == ["ash", "elm", "oak"] and computed.index.equals(frame(X).index)
    assert computed.to_numpy().tobytes() == model.predict_proba(frame(X)).tobytes()
    assert model.predict(whole).compute().tolist() == model.predict(frame(X)).tolist()
    rows = dask.array.from_array(X, chunks=(999, 7))
    model = on_dask.LogisticRegression(l2=1e-3).fit(rows, dask.array.from_array(names, chunks=999))
    lazy = model.predict_proba(rows), model.predict(rows), model.decision_function(rows), model.predict_log_proba(rows)
    for method, collection in zip(
        ("predict_proba", "predict", "decision_function", "predict_log_proba"), lazy, strict=True
    ):
        want_array = getattr(model, method)(X)
        assert collection.shape == want_array.shape and collection.dtype == want_array.dtype
        assert (collection.compute() == want_array).all()


def test_two_classes_of_the_estimator(client: Any) -> None:
    X, y, _ = problem()
    want = gradstep.LogisticRegression(l2=1e-3).fit(X, y)
    model = on_dask.LogisticRegression(l2=1e-3).fit(cut(frame(X, y=y), UNALIGNED), "y")
    assert model.coef_.tobytes() == want.coef_.tobytes() and model.predict_proba(frame(X)).shape == (M, 2)


REFUSED: list[tuple[str, type[Exception], str]] = [
    (
        "missing",
        TypeError,
        r"^X must be a dataframe or an array of Dask with rows and columns, got ndarray, which grad",
    ),
    ("column", ValueError, r"^y must be one of the columns x0, x1, .*, got 'lable'"),
    ("text", TypeError, r"^X must have numbers, got column 'town' of type .*: encode it, or leave it out"),
    ("nan", ValueError, r"^X must be finite, got nan at row 2, column 'x1': fill .* \(in partition 3, whose rows"),
    ("inf", ValueError, r"^X must be finite, got inf at row 2, column 1 \(in partition 1, whose rows"),
    ("label", ValueError, r"^y must have no missing or infinite values, got nan at row 2 \(in partition 3"),
    ("none", ValueError, r"^X must have at least one row, got none"),
    ("parts", ValueError, r"^y must have the partitions of X, which are 2, got 3: make it a column"),
    ("lengths", ValueError, r"^y must have the length of X, 30011, got 20"),
    ("array", TypeError, r"^y must be a collection of Dask with a number for each row, got ndarray"),
    ("alone", ValueError, r"^X must have columns beside y, got none"),
    ("words", TypeError, r"^y must be an array of real numbers, got words .*\(in partition 0"),
    ("range", ValueError, r"^y must be labels in \[0, 1\], got 7.5 at row 5002"),
    ("one class", ValueError, r"^y must hold two or more classes, got one class"),
    ("weightless", ValueError, r"^sample_weight must be positive for a row of each class, got only zeros for 1"),
    ("stopping", ValueError, r"^early_stopping must be False for rows of Dask, got True"),
]


@pytest.mark.parametrize(("case", "kind", "message"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_refused(client: Any, case: str, kind: type[Exception], message: str) -> None:
    X, y, _ = problem()
    y = y.astype(float)
    whole, place = frame(X, y=y), 5002 + 2
    parts = [5000, 1, 1]
    target: Any = "y"
    fit: Any = on_dask.fit
    if case == "missing":
        rows: Any = X
    elif case == "column":
        rows, target = cut(whole, parts), "lable"
    elif case == "text":
        rows = cut(whole.assign(town="Ulm"), parts)
    elif case == "nan":
        rows = cut(whole.assign(x1=np.where(np.arange(M) == place, np.nan, X[:, 1])), parts)
    elif case == "inf":
        X[7003, 1] = np.inf
        rows, target = dask.array.from_array(X, chunks=(7001, 7)), dask.array.from_array(y, chunks=M)
    elif case == "label":
        rows = cut(whole.assign(y=np.where(np.arange(M) == place, np.nan, y)), parts)
    elif case == "none":
        rows = cut(whole.iloc[:0], [0, 0])
    elif case == "parts":
        rows, target = cut(whole[["x0"]], [100]), cut(whole, [5, 6])["y"]
    elif case == "lengths":
        rows, target = dask.array.from_array(X), dask.array.from_array(y[:20])
    elif case == "array":
        rows, target = dask.array.from_array(X), y
    elif case == "alone":
        rows = cut(whole[["y"]], parts)
    elif case == "words":
        rows = cut(whole.assign(y="oak"), parts)
    elif case == "range":
        rows = cut(whole.assign(y=np.where(np.arange(M) == 5002, 7.5, y)), parts)
    elif case == "one class":
        rows, fit = cut(whole.assign(y=1), parts), on_dask.LogisticRegression().fit
    elif case == "weightless":
        rows, fit = cut(whole.assign(y=y.astype(int), s=1 - y), parts), on_dask.LogisticRegression().fit
        with pytest.raises(kind, match=message):
            fit(rows, target, "s")
        return
    else:
        rows, fit = cut(whole, parts), on_dask.LogisticRegression(early_stopping=True).fit
    with pytest.raises(kind, match=message):
        fit(rows, target)


def test_without_a_client_or_with_another_version(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, _ = problem()
    rows = cut(frame(X, y=y), [])
    with pytest.raises(TypeError, match=r"^client must be a distributed\.Client, got str"):
        on_dask.fit(rows, "y", client="localhost")
    with monkeypatch.context() as patch:
        patch.setattr(gradstep._native, "__version__", "0.0.0")
        with pytest.raises(
            RuntimeError, match=r"^gradstep must be of one version, got .* on a worker and 0\.0\.0 here"
        ):
            on_dask.fit(rows, "y")
