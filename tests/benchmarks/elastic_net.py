"""How soon `gradstep.fit` proves the optimum with an l1 penalty: seconds, reads of X and the gap.

    python tests/benchmarks/elastic_net.py [--quick] [PROBLEM ...]

l1 is a part of the least strength for which all weights are 0; the problems are those of `regimes.py` with two classes.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import gradstep
import regimes
from timing import Settings, duration

PROBLEMS = ("tiny", "tall", "mid", "wide", "sparse")
PARTS = (0.1, 0.01)
REPEATS = 5
"""Timed fits, of which the median counts."""


def largest_l1(samples: regimes.Samples) -> float:
    """The largest slope at weights of 0 and the best bias for them."""
    mean = samples.y.mean()
    start = np.zeros(samples.X.shape[1])
    return float(np.abs(gradstep.gradient(samples.X, samples.y, start, np.log(mean / (1 - mean))).weights).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, one repetition")
    arguments = parser.parse_args()
    if unknown := set(arguments.problems) - set(PROBLEMS):
        parser.error(f"no problem {', '.join(sorted(unknown))}: there are {', '.join(PROBLEMS)}")
    settings = Settings(arguments.quick)
    for name in arguments.problems or PROBLEMS:
        samples = regimes.REGIMES[name].make(settings)
        largest = largest_l1(samples)
        for part in PARTS:
            times = []
            for _ in range(1 + settings.repeats(REPEATS)):
                start = time.perf_counter()
                best = gradstep.fit(samples.X, samples.y, l1=part * largest)
                times.append(time.perf_counter() - start)
            if not best.converged:
                raise SystemExit(f"{name}, l1 {part} of the largest: {best}")
            print(
                f"{name:6} {samples.size:30} l1 {part:4} of the largest  {duration(statistics.median(times[1:])):>8}  "
                f"{best.passes:5.1f} reads  {np.count_nonzero(best.weights):5} weights  "
                f"gap {best.gap / best.objective:.1e} of the objective"
            )


if __name__ == "__main__":
    main()
