"""Memory: giant views are refused, and nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from helpers.scripts import posix, run


@posix
@pytest.mark.parametrize(
    "call",
    [
        "gradstep.sigmoid(giant((2**55,)))",
        "gradstep.loss(giant((2**52, 8)), giant((2**52,)), np.zeros(8))",
        "gradstep.loss_gradient(giant((8, 2**52)), np.zeros(8), giant((2**52,)))",
        "gradstep.predict_proba(giant((2**52, 8)), np.zeros(8))",
        "gradstep.hessian(giant((8, 2**40)), giant((2**40,)))",
        "gradstep.hessian(np.zeros((2, 200_000)), np.zeros(200_000))",
        "gradstep.covariance(giant((8, 2**40)), giant((2**40,)))",
        "gradstep.covariance(np.zeros((2, 200_000)), np.zeros(200_000))",
        "gradstep.Trainer(0.1, 1, trace=True).fit(giant((2**52, 8)), giant((2**52,)))",
        "gradstep.fit(giant((8, 2**52)), [0, 1] * 4)",
        "gradstep.fit(giant((2**54, 2)), giant((2**54,)))",
        "gradstep.fit(giant((8, 2**32)), [0, 1, 2, 1] * 2, l2=1.0)",
        "gradstep.fit(giant((2**22, 2**14)), np.arange(2**22) % 2)",
        "gradstep.softmax(giant((2**52, 8)))",
        "gradstep.cross_entropy(giant((2**55,)), np.zeros(3))",
    ],
)
def test_giant_views_are_refused(call: str) -> None:
    """With strides of 0, 8 bytes look like 2**55 elements. The process must neither abort nor ask for that memory."""
    script = f"""
        import resource
        giant = lambda shape: np.lib.stride_tricks.as_strided(np.zeros(1), shape, (0,) * len(shape))
        gradstep.loss_gradient(*LARGE)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
        try:
            {call}
        except (MemoryError, ValueError) as error:
            print(type(error).__name__)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no way to ask how much address space a process has")
    assert run(script).strip() in ("MemoryError", "ValueError")


def test_ten_thousand_calls_leave_no_memory_behind() -> None:
    script = """
        import resource, scipy.sparse
        X, y, weights = random.normal(size=(40, 6)), random.integers(0, 2, 40), random.normal(size=6)
        S, codes, W = scipy.sparse.csr_array(X), random.integers(0, 3, 40), random.normal(size=(3, 6))
        frame = np.asfortranarray(X)[::2]
        def refused():
            try:
                gradstep.fit(X, y[1:])
            except ValueError:
                pass
        calls = [
            lambda: gradstep.sigmoid(X), lambda: gradstep.log_sigmoid(y), lambda: gradstep.sigmoid_derivative(0.5),
            lambda: gradstep.softmax(X), lambda: gradstep.predict_proba(X, weights),
            lambda: gradstep.cross_entropy(y, np.full(40, 0.5)), lambda: gradstep.loss(S, y, weights),
            lambda: gradstep.gradient(frame, y[::2], weights), lambda: gradstep.loss_gradient(X, codes, W, np.zeros(3)),
            lambda: gradstep.gradient_step(X, y, weights, 0.0, 0.1), lambda: gradstep.hessian(X, weights),
            lambda: gradstep.covariance(S, weights), lambda: gradstep.fit(np.column_stack([X, X]), y),
            lambda: gradstep.Trainer(0.1, 2, batch_size=8, trace=True).fit(X, y, callback=lambda *_: None),
            lambda: gradstep.Trainer("auto", 3).fit(X, y), lambda: gradstep.fit(X, y, l2=0.1, callback=lambda _: None),
            lambda: gradstep.fit(S, codes, l2=0.1), refused,
        ]
        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        def rounds(count):
            for _ in range(count):
                for call in calls:
                    call()
        rounds(100)
        before = resident()
        rounds(10_000 // len(calls) + 1)
        print(resident() - before)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no way to ask how much memory a process holds")
    assert int(run(script, 120)) < 4 << 20


@posix
@pytest.mark.parametrize("options", ["", ", cache=folder"])
def test_a_file_larger_than_the_memory_is_fitted(tmp_path: Path, options: str) -> None:
    """Features of 470 MB, in a process that may take 320 MB more, 115 MB of them for a sample of the rows."""
    pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    script = f"""
        import resource
        import pyarrow, pyarrow.parquet
        folder = {str(tmp_path)!r}
        rows, columns = 1 << 21, 28
        schema = pyarrow.schema([(f"x{{j}}", pyarrow.float64()) for j in range(columns)] + [("y", pyarrow.int8())])
        with pyarrow.parquet.ParquetWriter(folder + "/rows.parquet", schema, compression="none") as writer:
            for _ in range(16):
                X = random.normal(size=(rows // 16, columns)).round(2)
                y = (X[:, 0] - X[:, 1] + random.logistic(size=len(X)) > 0).astype(np.int8)
                writer.write_table(pyarrow.table([*X.T, y], schema=schema))
        del X, y
        with open("/proc/self/status") as file:
            used = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + (320 << 20),) * 2)
        try:
            np.ones((rows, columns))
        except MemoryError:
            best = gradstep.fit(folder + "/rows.parquet", "y", l2=1e-4{options})
            print(best.converged, os.listdir(folder))
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no way to ask how much memory a process holds")
    with_little_reserved = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
    assert run(script, 300, **with_little_reserved) == "True ['rows.parquet']\n"
