"""Tables from seeds: kinds of columns that make fits hard, and labels that depend on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from helpers.hostile.integers import quiet

Array = npt.NDArray[Any]


class Table(NamedTuple):
    """The arguments of a fit, and the kinds of columns that they were made of."""

    X: Any
    y: Array
    options: dict[str, Any]
    traits: tuple[str, ...]


KINDS = ("plain", "integer", "times", "near copy", "dependent", "constant", "rare", "heavy", "powers", "factor")


def _standard(x: Array) -> Array:
    x = x - x.mean()
    size = np.abs(x).max()
    return x / (size * (x / size).std()) if size > 0 else x


def _columns(kind: str, random: Any, m: int, made: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Columns of one kind, each with the part of it that the labels depend on."""
    x = random.normal(size=m)
    chosen = random.choice(len(made), size=min(len(made), int(random.integers(1, 4))), replace=False) if made else []
    match kind:
        case "integer":
            x = random.integers(-3, 4, m).astype(float)
        case "times":  # seconds, milliseconds or nanoseconds since 1970, start and end
            start = 1_700_000_000 + random.integers(0, int(10 ** random.uniform(3, 8)), m)
            duration = random.integers(1, int(10 ** random.uniform(1, 5)), m)
            unit = int(random.choice([1, 1, 1000, 10**9]))
            ends = ((start * unit).astype(float), ((start + duration) * unit).astype(float))
            return [(ends[0], _standard(start)), (ends[1], _standard(duration))]
        case "near copy":  # a column or a sum of several plus little noise, on which labels may depend
            copied = sum(made[j][0] * (1.0 if len(chosen) == 1 else random.normal()) for j in chosen)
            part = x if random.random() < 0.5 else made[chosen[0]][1]
            return [(copied + 10 ** random.uniform(-14, -1) * copied.std() * x, part)]
        case "dependent":  # an integer combination: exact where the columns are integers, else up to rounding
            return [(sum(made[j][0] * random.choice([-2, -1, 1, 3]) for j in chosen), made[chosen[0]][1])]
        case "constant":
            return [(np.full(m, random.choice([0.0, 1.0, 0.1, 10 ** random.uniform(-3, 6)])), np.zeros(m))]
        case "rare":  # nonzero in a few rows
            x = np.isin(np.arange(m), random.choice(m, size=int(random.integers(1, 6)))).astype(float)
            return [(x, random.choice([0, 1, 5]) * x)]
        case "heavy":
            x = random.standard_t(1.5, m) if random.random() < 0.5 else np.exp(3 * x)
            return [(x, _standard(x) if random.random() < 0.5 else random.choice([-1, 1]) * np.clip(x, -2, 2))]
        case "powers":
            x = np.round(random.uniform(18, 80, m), int(random.integers(0, 3)))
            return [(x**k, _standard(x) * (k == 1)) for k in range(1, int(random.integers(3, 6)))]
        case "factor":  # dummies of all levels or of an interaction: with the bias they are dependent
            levels = random.integers(2, 7)
            level = random.choice(levels, size=m, p=random.dirichlet(np.ones(levels)))
            level = level + levels * random.integers(0, 2, m) * (random.random() < 0.4)
            return [((level == k).astype(float), random.normal() * (level == k)) for k in np.unique(level)]
    return [(x, _standard(x))]


def _labels(random: Any, parts: Array, integers: list[Array], classes: int) -> tuple[Array, str]:
    """Labels from a logistic model of the columns' informative parts, some of them made separable, or nearly so."""
    m, n = parts.shape
    scores = 10 ** random.uniform(-0.7, 0.9) * parts @ random.normal(size=(n, classes)) / np.sqrt(n)
    kind = random.choice(["drawn", "separated", "nearly", "ties", "fractional"], p=[0.66, 0.08, 0.12, 0.06, 0.08])
    if classes > 2:
        clean = kind in ("separated", "nearly")
        y = (scores if clean else scores + random.gumbel(size=scores.shape)).argmax(axis=1).astype(float)
        y[random.integers(m)] = y[0] if kind == "separated" else random.integers(classes)
        return y, str(kind) if clean else "drawn"
    z = scores[:, 0] - (np.median(scores[:, 0]) if random.random() < 0.7 else 0)
    y = (random.random(m) < 1 / (1 + np.exp(-np.clip(z, -700, 700)))).astype(float)
    if kind in ("separated", "nearly"):
        y = (z > 0).astype(float)
        near = np.argsort(np.abs(z))[: int(random.integers(1, 3)) * (kind == "nearly")]
        y[near] = 1 - y[near]
    elif kind == "ties" and integers:
        x = integers[random.integers(len(integers))]
        threshold = random.choice(x)
        y = np.where(x == threshold, y, x > threshold).astype(float)
    elif kind == "fractional":
        y = np.where(random.random(m) < random.choice([0.1, 1.0]), random.random(m), y)
    return y, str(kind)


@quiet
def hostile(seed: int) -> Table:
    """A table of one or several kinds of columns that make fits hard, and labels that depend on them."""
    random = np.random.default_rng(seed)
    classes = int(random.choice([2, 3, 4], p=[0.8, 0.12, 0.08]))
    low, high = [(20, 121), (120, 401), (2000, 4000)][random.choice(3, p=[0.64, 0.3, 0.06])]
    m = int(random.integers(low, high))
    most = (6 if m > 1000 else 40) if classes == 2 else (2 if m > 1000 else 10)
    n = min(most, 1 + int(random.exponential(6)), m // 3)
    single, sparse, offset = random.random() < 0.2, random.random() < 0.25, random.random() < 0.3
    hard, made = random.choice(KINDS, size=int(random.integers(1, 4)), replace=False), []
    traits = set(hard.tolist()) | ({"offsets"} if offset else set())
    while len(made) < n:
        kind = random.choice(hard) if made and random.random() < 0.7 else random.choice(KINDS[:2])
        for x, part in _columns(kind, random, m, made):
            far = x.std() * 10 ** random.uniform(0, 12) if offset and random.random() < 0.5 else 0.0
            made.append((x + far, part))
    made = [made[j] for j in random.permutation(len(made))[:n]] if random.random() < 0.5 else made[:n]
    columns, whole = [x for x, _ in made], [x for x, _ in made if (x % 1 == 0).all()]
    y, kind = _labels(random, np.column_stack([part for _, part in made]), whole, classes)
    if n < most and random.random() < 0.1:
        traits.add("one class only")
        inside = (y == y[random.integers(m)]) & (random.random(m) < random.choice([0.1, 0.5]))
        columns.insert(int(random.integers(n + 1)), np.where(inside, np.abs(random.normal(size=m)), 0.0))
    weight = random.choice(["none", "integers", "powers"], p=[0.65, 0.2, 0.15])
    s = random.integers(0, 5, m).astype(float) if weight == "integers" else 10 ** random.uniform(-6, 6, m)
    s[:4] = np.maximum(s[:4], 1)
    for k in range(classes if classes > 2 else 0):
        if not (y[s > 0] == k).any():
            y[k] = k
    X, scale = np.column_stack(columns), np.ones(len(columns))
    if random.random() < 0.5:
        low, high = ((-30, 30) if single else (-200, 100)) if random.random() < 0.3 else (-4, 4)
        scale = 10 ** random.uniform(low, high, len(columns))
        traits.add("wild scales" if high > 4 else "scales")
    if single:
        largest = np.abs(X).max(axis=0)
        scale = np.where(largest * scale < 1e30, scale, 1 / np.where(largest > 0, largest, 1))
    X = (X * scale).astype(np.float32 if single else np.float64)
    options: dict[str, Any] = {
        "l2": 0.0 if random.random() < 0.65 else float(10 ** random.uniform(-12, 0)),
        "fit_bias": bool(random.random() < 0.9),
        "solver": str(random.choice(["lbfgs", "gd"], p=[0.85, 0.15])),
    }
    options |= {} if weight == "none" else {"sample_weight": s}
    return Table(csr_array(X) if sparse else X, y, options, (str(kind), *sorted(traits)))
