"""What a pass over X costs by its number of columns, beside a mere sum of X: the tables of docs/speed.md.

    python tests/benchmarks/passes.py [--quick]

Prints nanoseconds for each number of X, the least of many repetitions. One and two threads need two idle CPUs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import gradstep
from problem import Array
from timing import Run, Settings, best

COLUMNS = (1, 2, 4, 8, 16, 28, 64, 200, 1000, 10_000)
SIZES = {"in the cache": 4 << 20, "from memory": 256 << 20}
"""Bytes of X."""
THREADS = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows: to see that everything runs")
    settings = Settings(parser.parse_args().quick)
    for where, size in SIZES.items():
        drawn = np.random.default_rng(7).standard_normal(settings.rows(size) // 16 * 2)
        both = [drawn, np.concatenate([drawn, drawn]).astype(np.float32)]  # of as many bytes
        print(f"\n| X {where} | float64, 1 thread | 2 threads | float32, 1 thread | 2 threads |")
        print("|---|--:|--:|--:|--:|", flush=True)
        line("a sum", (of_sum(settings, numbers, n_threads) for numbers in both for n_threads in THREADS))
        for n in COLUMNS:
            line(f"n = {n}", (of_pass(settings, numbers, n, n_threads) for numbers in both for n_threads in THREADS))


def of_pass(settings: Settings, numbers: Array, n: int, n_threads: int) -> float:
    """Seconds of `loss_gradient` for each number of X, which has n columns."""
    m = len(numbers) // n
    X = numbers[: m * n].reshape(m, n)
    y = (np.arange(m) % 2).astype(X.dtype)
    weights = np.full(n, 2 / np.sqrt(n), X.dtype)
    return least(settings, lambda: gradstep.loss_gradient(X, y, weights, n_threads=n_threads)) / X.size


def of_sum(settings: Settings, numbers: Array, n_threads: int) -> float:
    """Seconds of a sum over the bytes of X, taken as float64, for each number of X."""
    parts = np.array_split(numbers.view(np.float64), n_threads)
    sums = max(1, (64 << 20) // numbers.nbytes)  # so many that starting the threads takes little of the time

    def add(part: Array) -> None:
        for _ in range(sums):
            np.add.reduce(part)

    with ThreadPoolExecutor(n_threads) as pool:
        return least(settings, lambda: list(pool.map(add, parts))) / sums / len(numbers)


def least(settings: Settings, run: Run) -> float:
    return best({"": run}, settings.repeats(25))[""]


def line(name: str, seconds: Iterable[float]) -> None:
    print(f"| {name} | {' | '.join(f'{each / 1e-9:.2f}' for each in seconds)} |", flush=True)


if __name__ == "__main__":
    main()
