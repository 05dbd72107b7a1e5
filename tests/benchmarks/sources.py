"""Rows that are read in batches: the time and memory of a fit, against reading the same file as often.

python tests/benchmarks/sources.py [--rows M] [--columns N] [--folder FOLDER] [KIND ...]
python tests/benchmarks/sources.py --rows 7500000 --columns 500 --folder FOLDER numpy    # 30 GB, removed at the end

Each kind is one file of M rows of N columns of float64, which is made, read and fitted in a process of its own, and
then removed. "read" is the time of reading alone: all columns decoded, or all bytes of the file, on two threads. Memory
is the most that the process has, without pages of files (RssAnon).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gradstep

STEP = 1 << 17
"""The number of rows that are made at once; a row group of a Parquet file has as many."""
PARQUET: dict[str, dict[str, Any]] = {
    "plain": {"compression": "none", "use_dictionary": False},
    "dictionary": {"compression": "none"},
    "snappy": {"compression": "snappy", "use_dictionary": False},
    "zstd": {"compression": "zstd", "use_dictionary": False},
}
KINDS = ("array", *PARQUET, "snappy, cache", "numpy", "function", "polars")
TARGET = 1.15
"""A fit may take this many times as long as reading alone."""


def made(rows: int, columns: int) -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=columns) * 1.5 / columns**0.5
    for first in range(0, rows, STEP):
        X = rng.normal(size=(min(STEP, rows - first), columns)).round(2)
        yield X, (X @ weights + rng.logistic(size=len(X)) > 0).astype(np.int8)


def write(kind: str, folder: Path, rows: int, columns: int) -> None:
    """Make the file of a kind."""
    if kind in ("numpy", "function", "array"):
        from numpy.lib.format import open_memmap

        X, y = open_memmap(folder / "X.npy", "w+", float, (rows, columns)), np.empty(rows, np.int8)
        for place, (part, labels) in enumerate(made(rows, columns)):
            at = slice(place * STEP, place * STEP + len(part))
            X[at], y[at] = part, labels
        np.save(folder / "y.npy", y)
        return
    import pyarrow
    from pyarrow import parquet

    names = [f"x{j}" for j in range(columns)]
    schema = pyarrow.schema([(name, pyarrow.float64()) for name in names] + [("y", pyarrow.int8())])
    written = PARQUET.get(kind.partition(",")[0], PARQUET["snappy"])
    with parquet.ParquetWriter(folder / "rows.parquet", schema, **written) as writer:
        for X, y in made(rows, columns):
            writer.write_table(pyarrow.table([*X.T, y], schema=schema), row_group_size=STEP)


def arguments(kind: str, folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """X, y and options of the fit of a kind."""
    if kind in ("numpy", "function", "array"):
        y, path = np.load(folder / "y.npy"), folder / "X.npy"
        if kind == "numpy":
            return [path], y, {}
        if kind == "array":
            return np.load(path), y, {}

        def batches() -> Iterator[tuple[Any, Any]]:
            X = np.load(path, mmap_mode="r")
            return ((X[at : at + STEP], y[at : at + STEP]) for at in range(0, len(X), STEP))

        return batches, None, {}
    path = folder / "rows.parquet"
    if kind == "polars":
        import polars

        return polars.scan_parquet(path), "y", {}
    return path, "y", {"cache": folder} if "cache" in kind else {}


def reading(kind: str, folder: Path) -> Callable[[], None]:
    """A function that reads the file, and does nothing else."""
    if kind in ("numpy", "function", "array"):
        memory = bytearray(1 << 24)

        def read() -> None:
            with open(folder / "X.npy", "rb", buffering=0) as file:
                while file.readinto(memory):
                    pass
    else:
        from pyarrow.parquet import ParquetFile

        def read() -> None:
            for _ in ParquetFile(folder / "rows.parquet", buffer_size=1 << 18, pre_buffer=False).iter_batches():
                pass

    return read


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def most_memory(stop: threading.Event) -> Iterator[int]:
    """Yields the bytes of memory that are no pages of files, again and again until `stop`."""
    while not stop.wait(0.02):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        yield next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon"))


def measured(kind: str, folder: Path) -> dict[str, float]:
    """The figures of one kind, in a process of its own."""
    reads = [0]
    read_once = reading(kind, folder)
    once = min(seconds_of(read_once)[0] for _ in range(2))
    stop, most = threading.Event(), [0]
    watch = threading.Thread(target=lambda: most.append(max(most_memory(stop), default=0)), daemon=True)
    watch.start()
    X, y, options = arguments(kind, folder)
    if kind != "array":
        from gradstep import _reading

        begin = _reading.Reader.__call__

        def counted(self: Any, first: int, *asked: int) -> Any:
            reads[0] += first == 0
            return begin(self, first, *asked)

        _reading.Reader.__call__ = counted  # type: ignore[method-assign]
    seconds, best = seconds_of(lambda: gradstep.fit(X, y, l2=1e-4, **options))
    stop.set()
    watch.join()
    assert best.converged
    return {"read": once, "fit": seconds, "reads": reads[0], "passes": best.passes, "memory": max(most)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--rows", type=int, default=1 << 22)
    parser.add_argument("--columns", type=int, default=28)
    parser.add_argument("--folder", help="where the files are made; by default that of temporary files")
    parser.add_argument("--in", dest="made", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.made:
        print(json.dumps(measured(given.kinds[0], Path(given.made))))
        return
    print(f"{given.rows} rows of {given.columns} columns, {given.rows * given.columns * 8 / 1e9:.3g} GB")
    print(f"{'kind':14}{'read':>8}{'fit':>8}{'reads':>7}{'fit / (reads x read)':>22}{'memory':>9}")
    for kind in given.kinds:
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="gradstep-sources-") as folder:
            needed = given.rows * given.columns * 8 * (2 if "cache" in kind else 1)
            if shutil.disk_usage(folder).free < 1.05 * needed:
                sys.exit(f"{folder}: no room for {needed / 1e9:.3g} GB")
            write(kind, Path(folder), given.rows, given.columns)
            command = [sys.executable, __file__, kind, "--in", folder]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        ratio = found["fit"] / (found["reads"] * found["read"]) if found["reads"] else float("nan")
        print(
            f"{kind:14}{found['read']:7.2f}s{found['fit']:7.2f}s{found['reads']:7}"
            f"{ratio:15.2f} of {TARGET:g}{found['memory'] / 1e6:7.0f}MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
