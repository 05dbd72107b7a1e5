"""How soon a penalty is chosen by cross-validation: 10 values of C, 5 folds, against scikit-learn's solvers.

    python tests/benchmarks/cross_validation.py [--quick] [PROBLEM ...]

The gap is how far the worst fit of the first fold is above the least objective that any rival found, as a part of that
objective. Compare the seconds of rivals only where their gaps are equal.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import sklearn.linear_model as peers
from sklearn.model_selection import StratifiedKFold

import gradstep
import regimes
from problem import Array
from timing import Settings, duration

CS = np.logspace(-4, 4, 10)
FOLDS = StratifiedKFold(5)
OPTIONS: dict[str, Any] = {"Cs": CS, "cv": FOLDS, "scoring": "neg_log_loss"}
RIVALS = {
    "gradstep": lambda: gradstep.LogisticRegressionCV(**OPTIONS),
    "newton-cholesky": lambda: peers.LogisticRegressionCV(solver="newton-cholesky", **OPTIONS),
    "newton-cholesky, tol 1e-8": lambda: peers.LogisticRegressionCV(solver="newton-cholesky", tol=1e-8, **OPTIONS),
    "lbfgs": lambda: peers.LogisticRegressionCV(solver="lbfgs", max_iter=10_000, **OPTIONS),
    "lbfgs, tol 1e-8": lambda: peers.LogisticRegressionCV(solver="lbfgs", max_iter=10_000, tol=1e-8, **OPTIONS),
}


def mid(settings: Settings) -> regimes.Samples:
    """The problem `mid` of `regimes`, with half of its columns."""
    n, random = 100, np.random.default_rng(7)
    X = random.standard_normal((settings.rows(100_000), n))
    return regimes.labelled(X @ (0.3 * random.standard_normal((n, n)) + np.eye(n)), random, 0.0)


PROBLEMS = {"mid": mid, "tall": regimes.tall}


def objectives(samples: regimes.Samples, model: Any) -> Array:
    """The objectives of the fits of the first fold, one for each C."""
    rows, _ = next(FOLDS.split(samples.X, samples.y))
    X, y = samples.X[rows], samples.y[rows]
    paths = model.coefs_paths_[1.0][0].reshape(len(CS), -1)
    return np.array(
        [regimes.Samples(X, y, 1 / (C * len(y))).objective(w[:-1], w[-1:]) for C, w in zip(CS, paths, strict=True)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    arguments = parser.parse_args()
    if unknown := set(arguments.problems) - set(PROBLEMS):
        parser.error(f"no problem {', '.join(sorted(unknown))}: there are {', '.join(PROBLEMS)}")
    for name in arguments.problems or PROBLEMS:
        samples = PROBLEMS[name](Settings(arguments.quick))
        seconds, found, chosen = {}, {}, {}
        for rival, make in RIVALS.items():
            start = time.perf_counter()
            with warnings.catch_warnings(action="ignore"):
                model = make().fit(samples.X, samples.y)
            seconds[rival] = time.perf_counter() - start
            found[rival], chosen[rival] = objectives(samples, model), float(np.ravel(model.C_)[0])
        least = np.min(list(found.values()), axis=0)
        for rival in RIVALS:
            gap = (found[rival] / least - 1).max()
            print(
                f"{name:6} {samples.size:12} {rival:26} {duration(seconds[rival]):>8}  "
                f"{seconds[rival] / seconds['gradstep']:5.1f}×  gap {gap:.0e}  C {chosen[rival]:.3g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
