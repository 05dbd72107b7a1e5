"""sigmoid on one thread, against SciPy's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit

import gradstep
from timing import Figure, Settings, at_least, environment, medians


def figures(settings: Settings) -> Iterator[Figure]:
    for dtype, target in ((np.float64, 2.5), (np.float32, 3.5)):
        z = np.random.default_rng(7).normal(scale=5, size=1_000_000).astype(dtype)
        out = np.empty_like(z)
        with environment(GRADSTEP_NUM_THREADS="1"):
            fresh = {"gradstep": lambda z=z: gradstep.sigmoid(z), "expit": lambda z=z: expit(z)}
            name = f"sigmoid {np.dtype(dtype)} 1000000, 1 thread: expit ÷ gradstep"
            yield at_least(target, name, medians(fresh, settings.repeats(51)), "expit")
            given = {
                "gradstep": lambda z=z, out=out: gradstep.sigmoid(z, out=out),
                "expit": lambda z=z, out=out: expit(z, out=out),
            }
            yield at_least(target, f"{name}, out=", medians(given, settings.repeats(51)), "expit")
