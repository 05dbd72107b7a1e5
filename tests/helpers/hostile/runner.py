"""Many tables, their fits and the verdicts: the command line of `tests/hostile.py`."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from scipy.sparse import issparse
from threadpoolctl import threadpool_limits

from helpers.hostile.integers import Wide
from helpers.hostile.oracles import counted, find_truth
from helpers.hostile.tables import Table, hostile
from helpers.hostile.verdicts import Verdict, fit, judge


def describe(table: Table) -> str:
    s = table.options.get("sample_weight")
    shown = table.options | ({} if s is None else {"sample_weight": f"{s.min():.3g} to {s.max():.3g}"})
    kind = f"{'CSR' if issparse(table.X) else 'dense'} {table.X.dtype}, {max(2, int(table.y.max()) + 1)} classes"
    return f"{table.X.shape[0]} x {table.X.shape[1]} {kind}, {', '.join(table.traits)}; {shown}"


def check(seed: int) -> dict[str, Any]:
    table = hostile(seed)
    start = time.perf_counter()
    best = fit(table)
    seconds = time.perf_counter() - start
    try:
        verdict = judge(table, best)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        verdict = Verdict("unclear", [], [f"no truth: {error}"], {})
    return {"seed": seed, "table": describe(table), "seconds": seconds, **verdict._asdict()}


def replay(seed: int) -> None:
    """Everything about one table and its fit."""
    table, result = hostile(seed), check(seed)
    best, truth = fit(table), find_truth(table)
    print("column  largest    mean       sd         own part of its length, after the bias and the columns before it")
    for j, x in enumerate(counted(table)[0].astype(Wide).T):
        part = "exactly dependent" if j in truth.dependent else f"{truth.own.get(j, np.nan):.3g}"
        print(f"{j:6d}  {np.abs(x).max():<9.3g}  {x.mean():<9.3g}  {x.std():<9.3g}  {part}")
    for name in getattr(best, "__dataclass_fields__", None) or ["args"]:
        if name != "history":
            print(f"{name:>16}: {getattr(best, name)}")
    print(f"{'all columns':>16}: {truth._replace(own={})}")
    for name, value in (result | result["numbers"]).items():
        if name != "numbers":
            print(f"{name:>16}: {value}")


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the verdicts, and how much larger than the true gap the proved one is."""
    seeds, ratios = defaultdict(list), []
    for result in results:
        numbers = result["numbers"]
        if numbers.get("exists") and numbers["true gap"] > 1e-12 and np.isfinite(numbers["gap"]):
            ratios.append(numbers["gap"] / numbers["true gap"])
        for fault in result["faults"]:
            seeds[fault].append(result["seed"])
    return {
        "verdicts": dict(Counter(result["word"] for result in results).most_common()),
        "notes": dict(Counter(note for result in results for note in set(result["notes"])).most_common()),
        "faults": {fault: len(set(found)) for fault, found in seeds.items()},
        "gap / true gap, median": float(np.median(ratios)) if ratios else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Fits hostile tables, and checks every claim against the truth.")
    parser.add_argument("--fits", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="where to write every verdict")
    parser.add_argument("--replay", type=int, metavar="SEED", help="show everything about one table")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        replay(arguments.replay)
        return 0
    start, results = time.perf_counter(), []
    with ProcessPoolExecutor(arguments.jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        for result in pool.map(check, range(arguments.seed, arguments.seed + arguments.fits), chunksize=20):
            results.append(result)
            if result["faults"]:
                numbers = {name: result["numbers"].get(name) for name in ("reason", "gap", "true gap", "J")}
                print(
                    f"seed {result['seed']}: {', '.join(result['faults'])}: {numbers}\n    {result['table']}",
                    flush=True,
                )
    report = summary(results) | {"seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(report, indent=2))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"summary": report, "fits": results}, file)
    return int(len(report["faults"]) > 0)
