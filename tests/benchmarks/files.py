"""How soon a CSV file is a matrix of features: a million rows of 20 columns, three of them text, against polars.

python tests/benchmarks/files.py [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from gradstep._training import Problem
from timing import Settings, duration, medians

ROWS = 1_000_000
REPEATS = 9
TARGET = 2.0
"""gradstep may take this many times as long as polars."""


def write(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{j}": rng.normal(size=rows).round(3 if j % 4 == 0 else 15) for j in range(12)}
    columns |= {f"n{j}": rng.integers(0, 10_000, rows) for j in range(4)}
    for name, levels in (("sex", 2), ("port", 3), ("state", 10)):
        columns[name] = rng.choice([f"{name} {k}" for k in range(levels)], rows)
    pl.DataFrame({**columns, "y": rng.integers(0, 2, rows)}).write_csv(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, one repetition")
    settings = Settings(parser.parse_args().quick)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.csv")
        write(path, settings.rows(ROWS))
        rivals = {"polars": lambda: pl.read_csv(path), "gradstep": lambda: Problem.read(path)}
        seconds = medians(rivals, settings.repeats(REPEATS))
    ratio = seconds["gradstep"] / seconds["polars"]
    times = ", ".join(f"{name} {duration(time)}" for name, time in seconds.items())
    print(f"{settings.rows(ROWS)} rows: {times}: {ratio:.2f} times as long, of at most {TARGET:g}")


if __name__ == "__main__":
    main()
