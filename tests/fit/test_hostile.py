"""Fits of tables that are hard to fit claim nothing false. The oracles that say so are checked by exact arithmetic."""

from __future__ import annotations

import decimal
import itertools
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

from helpers import oracle
from helpers.hostile.integers import EPS, exact_scores, rank_profile
from helpers.hostile.oracles import find_truth, objective
from helpers.hostile.runner import check, summary
from helpers.hostile.tables import Table, hostile
from helpers.hostile.verdicts import fit, judge, own_part

Array = npt.NDArray[Any]
BLOCKS, FITS = 8, 30


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread for NumPy: small matrices are slower on several."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("block", range(BLOCKS))
def test_fits_claim_no_more_than_is_true(block: int) -> None:
    results = [check(seed) for seed in range(FITS * block, FITS * (block + 1))]
    faults = {result["seed"]: result["faults"] for result in results if result["faults"]}
    assert not faults, f"python tests/hostile.py --replay {min(faults)}"
    verdicts = summary(results)["verdicts"]
    assert verdicts.get("unclear", 0) <= 1
    assert verdicts.get("proved", 0) > 0 and verdicts.get("separated", 0) > 0


# --- the truth --------------------------------------------------------------------------------------------------------


def small(seed: int) -> Table:
    """The first rows and columns of a hostile table, with every class."""
    table = hostile(seed)
    m, n = min(20, len(table.y)), min(3, table.X.shape[1])
    X = table.X.toarray() if hasattr(table.X, "toarray") else table.X
    y, options = table.y[:m].copy(), dict(table.options)
    if "sample_weight" in options:
        options["sample_weight"] = options["sample_weight"][:m]
    if table.y.max() > 1:
        y[:4] = np.arange(4) % (table.y.max() + 1)
    return Table(X[:m, :n], y, options, table.traits)


def margins(table: Table) -> list[list[Fraction]]:
    """For each row of positive weight and each class other than its label, a list of factors. Their product with the
    biases and weights of all classes but the first is the score of the label minus the score of the other class."""
    s = table.options.get("sample_weight", np.ones(len(table.y)))
    classes = max(2, int(table.y.max()) + 1)
    found = set()
    for x, y, weight in zip(table.X, table.y, s, strict=True):
        values = [Fraction(1)] * table.options["fit_bias"] + [Fraction(float(value)) for value in x]
        labels = [int(y)] if y % 1 == 0 else [0, 1]
        for label, other in itertools.product(labels if weight > 0 else [], range(classes)):
            signs = [(k == label) - (k == other) for k in range(1, classes)]
            found.add(tuple(sign * value for sign in signs for value in values))
    found.discard((Fraction(0),) * len(next(iter(found))))
    return [list(row) for row in found]


def is_separated(rows: list[list[Fraction]]) -> bool:
    """Whether a vector b exists with row · b >= 0 for all rows, and > 0 for some. It does if the sum of row · b has no
    upper bound under row · b >= 0: the simplex method decides that, in fractions. It starts at b = 0, where all ratios
    are zero, so that Bland's rule alone chooses each pivot."""
    if not rows:
        return False
    n = len(rows[0])
    scale = [max(abs(row[j]) for row in rows) or Fraction(1) for j in range(n)]
    rows = [[value / size for value, size in zip(row, scale, strict=True)] for row in rows]
    tableau = [[-value for value in row] + row for row in rows]
    cost = [-sum(column) for column in zip(*tableau, strict=True)]
    entering, basic = list(range(2 * n)), [2 * n + i for i in range(len(rows))]
    while True:
        _, j = min(((name, j) for j, name in enumerate(entering) if cost[j] > 0), default=(0, None))
        if j is None:
            return False
        _, i = min(((name, i) for i, name in enumerate(basic) if tableau[i][j] > 0), default=(0, None))
        if i is None:
            return True
        pivot = tableau[i][j]
        row = tableau[i] = [(Fraction(1) if k == j else value) / pivot for k, value in enumerate(tableau[i])]
        for other in [*(t for k, t in enumerate(tableau) if k != i), cost]:
            factor, other[j] = other[j], Fraction(0)
            if factor != 0:
                other[:] = [a - factor * b for a, b in zip(other, row, strict=True)]
        entering[j], basic[i] = basic[i], entering[j]


def minimum(table: Table) -> Decimal | None:
    """The least objective by Newton's method with 100 digits, in the weights themselves, if it takes few steps. Without
    penalty no column may depend on others."""
    l2, s = Decimal(table.options["l2"]), table.options.get("sample_weight", np.ones(len(table.y)))
    rows = [(*([Decimal(1)] * table.options["fit_bias"]), *map(Decimal, map(float, x))) for x in table.X]
    shares = [Decimal(float(weight)) / sum(map(Decimal, map(float, s))) for weight in s]
    d, first = len(rows[0]), int(table.options["fit_bias"])
    classes = max(2, int(table.y.max()) + 1)
    targets = [[1 - Decimal(float(y)), Decimal(float(y))] if classes == 2 else
               [Decimal(int(k == y)) for k in range(classes)] for y in table.y]  # fmt: skip
    # With several classes and a penalty, all classes have parameters; else all but the first.
    free = range(0 if classes > 2 and l2 > 0 else 1, classes)
    w = [[Decimal(0)] * d for _ in free]

    def evaluate(w: list[list[Decimal]]) -> tuple[Decimal, list[list[Decimal]]]:
        value, p = l2 / 2 * sum((v * v for row in w for v in row[first:]), Decimal(0)), []
        for x, share, target in zip(rows, shares, targets, strict=True):
            z = [sum(a * b for a, b in zip(x, row, strict=True)) for row in w]
            z = z if len(free) == classes else [Decimal(0), *z]
            e = [(a - max(z)).exp() for a in z]
            value += share * (max(z) + sum(e).ln() - sum(t * a for t, a in zip(target, z, strict=True)))
            p.append([a / sum(e) for a in e])
        return value, p

    value, p = evaluate(w)
    for _ in range(40):
        size = len(free) * d
        gradient, hessian = [Decimal(0)] * size, [[Decimal(0)] * size for _ in range(size)]
        for a, k in enumerate(free):
            for j in range(d):
                penalty = l2 if j >= first else Decimal(0)
                gradient[a * d + j] += penalty * w[a][j]
                hessian[a * d + j][a * d + j] += penalty
            for x, share, target, q in zip(rows, shares, targets, p, strict=True):
                for j in range(d):
                    gradient[a * d + j] += share * (q[k] - target[k]) * x[j]
                for b, other in enumerate(free):
                    factor = share * q[k] * ((k == other) - q[other])
                    for i, j in itertools.product(range(d), range(d)):
                        hessian[a * d + i][b * d + j] += factor * x[i] * x[j]
        if len(free) > 2 and first:  # a bias common to all classes changes nothing
            for a, b in itertools.product(range(len(free)), range(len(free))):
                hessian[a * d][b * d] += 1
        step = solve(hessian, gradient)
        decrement = sum(a * b for a, b in zip(step, gradient, strict=True))
        if decrement <= Decimal("1e-40") * value:
            return value
        length = Decimal(1)
        while True:
            trial = [[w[a][j] - length * step[a * d + j] for j in range(d)] for a in range(len(free))]
            lower, after = evaluate(trial)
            if lower <= value - length * decrement / 10000:
                break
            length /= 4
        w, value, p = trial, lower, after
    return None


def solve(matrix: list[list[Decimal]], right: list[Decimal]) -> list[Decimal]:
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(len(rows)):
        pivot = max(range(k, len(rows)), key=lambda i: abs(rows[i][k]) / max(map(abs, rows[i][:-1])))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k and rows[i][k] != 0:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


@pytest.mark.parametrize("block", range(4))
def test_the_truth_is_that_of_exact_arithmetic(block: int) -> None:
    """Separation by the simplex method with fractions; minima with 100 digits."""
    minima, separated = 0, 0
    for seed in range(15 * block, 15 * (block + 1)):
        table = small(seed)
        truth = find_truth(table)
        if table.options["l2"] == 0:
            assert truth.exists is None or is_separated(margins(table)) == (not truth.exists), seed
            separated += truth.exists is False
            chosen = [j for j in range(table.X.shape[1]) if j not in truth.dependent]
            table = table._replace(X=table.X[:, chosen])
        if truth.exists and table.X.shape[1] > 0:
            with decimal.localcontext(prec=100, Emin=-999999, Emax=999999):
                exact = minimum(table)
                if exact is not None:
                    attained = Decimal(np.format_float_positional(truth.minimum, unique=True))
                    assert -truth.error <= float(attained - exact) <= truth.error + truth.below, seed
                    minima += 1
    assert minima >= 4 and separated > 0


def test_separation_of_tiny_integer_tables() -> None:
    """Against trying every direction in which two rows have a margin of 0. One of them separates the labels if any
    direction does: the columns are independent, so that the cone of the separating directions has no lines."""
    separated = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        X, y = random.integers(-2, 3, (int(random.integers(4, 12)), 2)).astype(float), None
        y = (
            (random.random(len(X)) < 0.5).astype(float)
            if seed % 2
            else (X[:, 0] + X[:, 1] > random.integers(-1, 2)) * 1.0
        )
        points = np.column_stack([np.ones(len(X)), X])
        if np.linalg.matrix_rank(points) < 3:
            continue
        rows = np.unique(points * (2 * y - 1)[:, None], axis=0)
        rays = [sign * np.cross(a, b) for a, b in itertools.combinations(rows, 2) for sign in (1, -1)]
        want = any((rows @ ray >= 0).all() and (rows @ ray > 0).any() for ray in rays)
        options = {"l2": 0.0, "fit_bias": True, "solver": "lbfgs"}
        assert find_truth(Table(X, y, options, ())).exists is (not want), seed
        separated += want
    assert 5 < separated < 35


def test_exact_scores_and_objective() -> None:
    for seed in range(40):
        table = small(seed)
        X = table.X.astype(float)
        random = np.random.default_rng(seed)
        w, b = random.normal(size=X.shape[1]) / np.maximum(np.abs(X).max(axis=0), 1e-250), float(random.normal())
        want = [sum((Fraction(a) * Fraction(v) for a, v in zip(x, w, strict=True)), Fraction(b)) for x in X.tolist()]
        got = exact_scores(X, b, w)[:, 0]
        assert all(abs(Fraction(*z.as_integer_ratio()) - exact) <= float(EPS) * abs(exact)
                   for z, exact in zip(got, want, strict=True))  # fmt: skip
        if table.y.max() <= 1:
            s = table.options.get("sample_weight")
            mean = (
                oracle.loss(X, table.y, w, b, s) + np.longdouble(table.options["l2"]) / 2 * (w * np.longdouble(w)).sum()
            )
            size = 1 + float((np.abs(X) @ np.abs(w)).max())
            assert abs(objective(table, w, b)[0] - mean) <= 1e-13 * (size + mean)


def test_rank_and_own_part() -> None:
    random = np.random.default_rng(0)
    integers = random.integers(-3, 4, (30, 3)).astype(np.int64)
    columns = np.column_stack([integers, integers @ [1, 2, -3], random.integers(0, 2, 30), 0 * integers[:, 0]])
    assert rank_profile(columns % 2147483629) == [0, 1, 2, 4]
    x, e = random.normal(size=200), random.normal(size=200)
    far = 1e6 + x
    for size in (1e-2, 1e-8, 1e-13):
        X = np.column_stack([x, 2 * x, x + size * e, far, 7 * np.ones(200)])
        others = np.column_stack([np.ones(200), x])
        residual = e - others @ np.linalg.lstsq(others, e, rcond=None)[0]
        want = size * np.linalg.norm(residual) / np.linalg.norm(X[:, 2])
        assert own_part(X, [0], 2, True) == pytest.approx(want, rel=1e-16 / size + 1e-9)
        assert own_part(X, [0], 1, True) == own_part(X, [0, 2], 4, True) == 0
        assert own_part(X, [], 3, True) == pytest.approx(1e-6 * x.std(), rel=1e-5)
        assert 0 < own_part(X, [0], 3, True) < 1e-15  # the rounding of 1e6 + x


def test_false_claims_are_seen() -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(60, 3))
    y = (random.random(60) < oracle.sigmoid(X[:, 0])).astype(float)
    table = Table(X, y, {"l2": 0.0, "fit_bias": True, "solver": "lbfgs"}, ())
    best = fit(table)
    fields = {name: getattr(best, name) for name in ("weights", "bias", "objective", "separation", "stop_reason")}
    fields |= {"gap": 1e-12, "converged": True, "aliased": ()}

    def verdict(**changes: Any) -> list[str]:
        return judge(table, SimpleNamespace(**(fields | changes))).faults

    assert verdict() == []
    worse = best.weights + np.array([1e-4, 0, 0])
    value = float(objective(table, worse, best.bias)[0])
    assert verdict(weights=worse, objective=value) == ["false converged"]
    assert verdict(weights=worse, objective=value, gap=1e-12, converged=False) == ["false gap"]
    assert verdict(weights=worse, objective=value, gap=1.0, converged=False) == []
    assert verdict(gap=1e-3) == ["converged without a gap"]
    assert verdict(objective=best.objective * (1 + 1e-6)) == ["wrong objective"]
    assert verdict(converged=False, stop_reason="separated") == ["false separated", "wrong direction"]
    assert verdict(gap=float("nan")) == ["not finite"]
    alias = SimpleNamespace(column=2, columns=(0,), coefficients=(0.5,), constant=0.0)
    assert "weight of an aliased column" in verdict(aliased=(alias,))
    assert "false alias, float64" in verdict(aliased=(alias,))
    table = table._replace(y=(X[:, 0] > 0).astype(float))
    assert verdict(gap=np.inf, converged=False, stop_reason="precision") == ["missed separation"]
    right, wrong = SimpleNamespace(weights=np.eye(3)[0], bias=0.0), SimpleNamespace(weights=-np.eye(3)[0], bias=0.0)
    assert verdict(gap=np.inf, converged=False, stop_reason="separated", separation=right) == []
    assert verdict(gap=np.inf, converged=False, stop_reason="separated", separation=wrong) == ["wrong direction"]
    assert "converged without an optimum" in verdict(gap=1e-9)
    assert "false gap" in verdict(converged=False, stop_reason="separated")
    assert judge(table, ValueError("X must be finite, got …")).word == "refused: X must be got …".replace(" …", "")
    assert judge(table, RuntimeError("no")).faults == ["error"]
