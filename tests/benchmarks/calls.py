"""How long one call takes on few rows, where the arithmetic is a small part of it."""

from __future__ import annotations

from collections.abc import Iterator

import gradstep
from problem import formulas, random_problem
from timing import Figure, Settings, at_least, medians


def figures(settings: Settings) -> Iterator[Figure]:
    problem = random_problem(300, 28)
    rivals = {"gradstep": lambda: gradstep.loss_gradient(*problem), "NumPy": lambda: formulas(problem)}
    seconds = medians(rivals, settings.repeats(101), calls=100)
    yield at_least(3.0, "loss_gradient f64 300×28, one call: NumPy ÷ gradstep", seconds, "NumPy")
