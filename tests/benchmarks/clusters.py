"""How long a fit over a cluster takes, against the same rows in memory, and against what else fits them there.

Of Dask, this is dask-ml, if it is installed; of Spark, its own MLlib. A cluster of Dask has two worker processes of one
thread each, and Spark is local with two threads; the fit in memory has two threads. The least of several times is
printed. Run this file with `python -P`: a file beside it has the name of a package that Dask looks for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask
import dask.array
import distributed
import numpy as np
import psutil

import gradstep
import gradstep.dask

N = 28
L2 = 1e-6
EVALUATE = b"\x00\x01"
"""How the request for a loss and its gradient begins."""


def rows(first: int, count: int) -> Any:
    """Features, and labels as a last column, of rows from `first` on."""
    random = np.random.default_rng(first)
    X = random.standard_normal((count, N + 1))
    X[:, N] = X[:, :N] @ np.linspace(-1, 1, N) + random.logistic(size=count) > 0
    return X


def report(what: str, work: Callable[[], Any], times: int) -> Any:
    """Print the least time of several, and return the last result."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    print(f"{what:44} {min(taken) * 1e3:9.1f} ms", flush=True)
    return result


def of_blocks(distant: Any) -> gradstep.Optimum:
    """Measure the requests to blocks that are already made: how many, and how long they take; return the optimum."""
    requests: list[bytes] = []

    def noted(request: bytes) -> Any:
        requests.append(request)
        return distant.ask(request)

    fit: Any = gradstep.fit
    best: gradstep.Optimum = fit(replace(distant, ask=noted), None, l2=L2)
    evaluation = [request for request in requests if request.startswith(EVALUATE)][-1]
    report("one evaluation over the cluster", lambda: distant.ask(evaluation), 20)
    report("a fit over the cluster, from blocks", lambda: fit(distant, None, l2=L2), 3)
    return best


def on_cluster(client: distributed.Client, m: int, parts: int) -> tuple[gradstep.Optimum, Any]:
    """Measure the cluster; returns the optimum, and the coefficients of dask-ml if it is there."""
    before = {pid: psutil.Process(pid).memory_info().rss for pid in client.run(os.getpid).values()}
    size = m // parts
    made = [dask.array.from_delayed(dask.delayed(rows)(k * size, size), (size, N + 1), float) for k in range(parts)]
    data = dask.array.concatenate(made)
    X, y = data[:, :N], data[:, N]

    def prepared() -> Any:
        return gradstep.dask.Partitions(X, y, None, None, client, gradstep.dask.TIMEOUT).distant()

    distant = report("partitions made, checked and cut into blocks", prepared, 1)
    above = [psutil.Process(pid).memory_info().rss - rss - m * N * 8 / 2 for pid, rss in before.items()]
    print(f"{'memory of a worker above its features':44} {max(above) / 2**20:9.0f} MiB")
    best = of_blocks(distant)
    distant = None
    report("gradstep.dask.fit, partitions made anew", lambda: gradstep.dask.fit(X, y, l2=L2), 2)
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError:
        return best, None
    data = client.persist(data)
    distributed.wait(data)
    X, y = data[:, :N], data[:, N]
    report("gradstep.dask.fit, of persisted rows", lambda: gradstep.dask.fit(X, y, l2=L2), 2)
    theirs = LogisticRegression(solver="lbfgs", C=1 / (L2 * m), tol=1e-6)
    report("dask-ml, of persisted rows", lambda: theirs.fit(X, y), 1)
    return best, (theirs.coef_.ravel(), float(np.ravel(theirs.intercept_)[0]))


def on_dask(m: int, parts: int) -> tuple[gradstep.Optimum, Any]:
    """Measure a cluster of Dask that is started for it."""
    options: dict[str, Any] = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with distributed.LocalCluster(n_workers=2, **options) as cluster, distributed.Client(cluster) as client:
        return on_cluster(client, m, parts)


def on_spark(m: int, parts: int) -> tuple[gradstep.Optimum, Any]:
    """Measure Spark, with files of Parquet that it has not cached; returns the optimum, and MLlib's coefficients."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    import gradstep.spark

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options = {"spark.driver.memory": "6g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    names = [f"x{j}" for j in range(N)]
    with tempfile.TemporaryDirectory() as folder:
        for k in range(parts):
            table = pa.table(dict(zip([*names, "y"], rows(k * (m // parts), m // parts).T, strict=True)))
            pq.write_table(table, f"{folder}/{k:05}.parquet")
        session = SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        df = session.read.parquet(folder)
        df.mapInArrow(lambda batches: batches, df.schema).where("x0 > 1e9").count()  # starts the workers of Spark
        best: gradstep.Optimum = report(
            "gradstep.spark.fit, of uncached Parquet",
            lambda: gradstep.spark.fit(df, "y", l2=L2, order=gradstep.spark.FILES),
            2,
        )
        theirs = LogisticRegression(labelCol="y", regParam=L2, standardization=False, maxIter=1000, tol=1e-9)
        vectors = VectorAssembler(inputCols=names, outputCol="features")
        model = report("MLlib, of uncached Parquet", lambda: theirs.fit(vectors.transform(df)), 2)
        print(f"MLlib took {model.summary.totalIterations} iterations")
        found = model.coefficients.toArray(), model.intercept
        session.stop()
    return best, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=["dask", "spark"], default="dask")
    parser.add_argument("--rows", type=int, default=1 << 22)
    parser.add_argument("--parts", type=int, default=32)
    on, m, parts = vars(parser.parse_args()).values()
    best, theirs = on_spark(m, parts) if on == "spark" else on_dask(m, parts)
    whole = np.concatenate([rows(k * (m // parts), m // parts) for k in range(parts)])
    X, y = np.ascontiguousarray(whole[:, :N]), whole[:, N].copy()
    weights, bias = best.weights, best.bias
    report("one evaluation in memory", lambda: gradstep.loss_gradient(X, y, weights, bias, n_threads=2), 20)
    ours = report("a fit in memory", lambda: gradstep.fit(X, y, l2=L2, n_threads=2), 3)
    assert ours.weights.tobytes() == best.weights.tobytes()
    print(f"{best.passes:.1f} passes, gap {best.gap:.1e}")
    if theirs is not None:
        objective = gradstep.loss(X, y, *theirs) + L2 / 2 * (theirs[0] @ theirs[0])
        print(f"the objective of {'MLlib' if on == 'spark' else 'dask-ml'} is {objective - best.objective:.1e} above")


if __name__ == "__main__":
    main()
