"""loss_gradient on matrices larger than the cache, against the memory's speed, NumPy's formulas and scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import gradstep
from problem import Problem, Reader, formulas, random_problem, scikit_learn
from timing import Figure, Settings, at_least, at_most, medians

# Rows, columns, and four targets, each a least ratio to our time: of the time to read and add X, in float64, and in
# float32 with twice the rows; of NumPy's time, and of scikit-learn's time, both in float64.
SHAPES = [
    (5_000_000, 2, None, None, 10.0, 7.0),
    (1_000_000, 28, 0.80, 0.75, 6.0, 6.0),
    (200_000, 200, 0.88, 0.85, 2.6, 2.6),
    (100_000, 1000, 0.90, 0.90, 1.85, 3.5),
]
FORTRAN = 1.35


def figures(settings: Settings) -> Iterator[Figure]:
    for m, n, double, single, numpy, sklearn in SHAPES:
        yield from in_double(settings, settings.rows(m), n, double, numpy, sklearn)
        if double is not None and single is not None:
            yield from fortran(settings, settings.rows(m), n)
            yield from in_single(settings, settings.rows(2 * m), n, single)


def ours(problem: Problem) -> object:
    return gradstep.loss_gradient(*problem)


def in_double(settings: Settings, m: int, n: int, read: float | None, numpy: float, sklearn: float) -> Iterator[Figure]:
    problem = random_problem(m, n)
    rivals = {
        "gradstep": lambda: ours(problem),
        "reading": Reader(problem.X),
        "NumPy": lambda: formulas(problem),
        "scikit-learn, 1 thread": scikit_learn(problem, 1),
        "scikit-learn, 2 threads": scikit_learn(problem, 2),
    }
    seconds = medians(rivals, settings.repeats(25))
    name = f"loss_gradient f64 {m}×{n}"
    if read is not None:
        yield at_least(read, f"{name}: reading ÷ gradstep", pick(seconds, "gradstep", "reading"), "reading")
    yield at_least(numpy, f"{name}: NumPy ÷ gradstep", pick(seconds, "gradstep", "NumPy"), "NumPy")
    fastest = min(("scikit-learn, 1 thread", "scikit-learn, 2 threads"), key=seconds.__getitem__)
    yield at_least(sklearn, f"{name}: scikit-learn ÷ gradstep", pick(seconds, "gradstep", fastest), fastest)


def fortran(settings: Settings, m: int, n: int) -> Iterator[Figure]:
    rows = random_problem(m, n)
    columns = rows._replace(X=np.asfortranarray(rows.X))
    seconds = medians({"C": lambda: ours(rows), "Fortran": lambda: ours(columns)}, settings.repeats(15))
    yield at_most(FORTRAN, f"loss_gradient f64 {m}×{n}: Fortran ÷ C order", seconds["Fortran"] / seconds["C"], seconds)


def in_single(settings: Settings, m: int, n: int, read: float) -> Iterator[Figure]:
    problem = random_problem(m, n, np.float32)
    seconds = medians({"gradstep": lambda: ours(problem), "reading": Reader(problem.X)}, settings.repeats(15))
    yield at_least(read, f"loss_gradient f32 {m}×{n}: reading ÷ gradstep", seconds, "reading")


def pick(seconds: dict[str, float], *names: str) -> dict[str, float]:
    return {name: seconds[name] for name in names}
