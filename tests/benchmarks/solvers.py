"""How soon the optimum is found, by gradstep and by its peers, all in one run: seconds to an objective within 1e-8 of
the best that any of them finds. Objectives are computed in NumPy from the coefficients, whoever found them.

    python tests/benchmarks/solvers.py [--quick] [--l1 PART] [--json FILE] [--limit SECONDS] [PROBLEM ...]

Each contender has a process of its own for each problem, and the loosest of its tolerances that is tight enough;
gradstep has two, before and after the others. Peers that are not installed are named as such; scikit-learn is the only
one that the tests bring along, the others are scikit-learn-intelex, glum, snapml, cyanure and statsmodels. With --l1,
the peers are adelie, glum and skglm; l1 is this part of the least strength for which all weights are 0.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path

import regimes
from peers import CONTENDERS, quietly
from timing import Figure, Settings, at_least, duration, line, write

GAP = 1e-8
TOLERANCES = [10.0**-k for k in range(1, 14)]
REPEATS = 7
"""Timed solutions, of which the median counts."""


@dataclass
class Trial:
    """What one contender reached: objectives by tolerance, and the seconds to the first that is near enough."""

    objective: float = float("inf")
    tol: float | None = None
    seconds: float | None = None
    note: str = ""


def compete(name: str, folder: str, best: float, limit: float, repeats: int, results: Connection) -> None:
    """Solve a problem with ever smaller tolerances, in a process of its own; send the trial whenever it has grown."""
    contender, trial = CONTENDERS[name], Trial()
    samples = contender.prepared(regimes.read(Path(folder)))
    for tol in TOLERANCES:
        start = time.perf_counter()
        try:
            trial.objective = samples.objective(*quietly(contender, samples, tol))
        except Exception as error:  # if a peer fails, its error is its result
            trial.note = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}" if str(error) else repr(error)
            break
        first = time.perf_counter() - start
        results.send(trial)
        if trial.objective - best <= GAP:
            times = []
            while len(times) < repeats and sum(times) + first < limit / 2:
                start = time.perf_counter()
                quietly(contender, samples, tol)
                times.append(time.perf_counter() - start)
            trial.tol, trial.seconds = tol, statistics.median(times or [first])
            break
    results.send(trial)


def contest(name: str, folder: str, best: float, limit: float, repeats: int) -> Trial:
    try:
        version(CONTENDERS[name].package)
    except PackageNotFoundError:
        return Trial(note="not installed")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=compete, args=(name, folder, best, limit, repeats, sender))
    process.start()
    sender.close()
    trial, end = Trial(), time.monotonic() + limit
    try:
        while receiver.poll(max(0.0, end - time.monotonic())):
            trial = receiver.recv()
        trial.note = trial.note or f"given up after {limit:g} s"
    except EOFError:  # the process has ended, and sends no more
        process.join(10)
        if process.exitcode:
            trial.note = trial.note or f"ended with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return trial


def figures(problem: str, settings: Settings, limit: float, only: list[str], l1: float | None) -> Iterator[Figure]:
    regime = regimes.REGIMES[problem]
    samples, target = regime.make(settings), regime.target
    if l1 is not None:
        samples, target = samples.with_l1(l1), regime.l1_targets.get(l1, 1.0)
    names = [name for name in only if samples.kind in CONTENDERS[name].kinds]
    best = samples.objective(*quietly(CONTENDERS["gradstep"], samples, 1e-12))
    repeats = settings.repeats(REPEATS)
    with tempfile.TemporaryDirectory() as folder:
        regimes.write(samples, Path(folder))
        trials = [(name, contest(name, folder, best, limit, repeats)) for name in ["gradstep", *names, "gradstep"]]
    best = min([best, *(trial.objective for _, trial in trials)])
    print(f"{problem} {samples.size}, l2 {samples.l2:g}, l1 {samples.l1:g}, best objective {best:.12f}")
    seconds: dict[str, list[float]] = {}
    for name, trial in trials:
        print("   ", described(name, trial, best), flush=True)
        if trial.seconds is not None and trial.objective - best <= GAP:
            seconds.setdefault(name, []).append(trial.seconds)
    fastest = {name: statistics.mean(times) for name, times in seconds.items()}
    peer = min((name for name in fastest if name != "gradstep"), key=fastest.__getitem__, default=None)
    if peer is not None and "gradstep" in fastest:
        both = {name: fastest[name] for name in ("gradstep", peer)}
        yield at_least(target, f"{problem}: the fastest peer, {peer} ÷ gradstep", both, peer)


def described(name: str, trial: Trial, best: float) -> str:
    gap = f"gap {max(trial.objective - best, 0.0):.1e}" if trial.objective < float("inf") else ""
    if trial.seconds is None:
        return f"{name:<28} {'—':>8}  {gap} {trial.note}".rstrip()
    return f"{name:<28} {duration(trial.seconds):>8}  {gap} at tol {trial.tol:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"some of {', '.join(regimes.REGIMES)}")
    parser.add_argument("--quick", action="store_true", help="small problems and one peer: to see that everything runs")
    parser.add_argument("--l1", type=float, metavar="PART", help="an l1 penalty instead of l2, e.g. 0.1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for each contender and problem [120; quick: 3]")
    options = parser.parse_args()
    unknown = [problem for problem in options.problems if problem not in regimes.REGIMES]
    if unknown:
        parser.error(f"PROBLEM must be one of {', '.join(regimes.REGIMES)}, got {unknown[0]}")
    settings = Settings(options.quick)
    limit = options.limit or (3.0 if options.quick else 120.0)
    peers = [name for name in CONTENDERS if name != "gradstep"]
    with_l1 = [problem for problem, regime in regimes.REGIMES.items() if regime.l1_targets]
    found = []
    for problem in options.problems or (regimes.REGIMES if options.l1 is None else with_l1):
        only = peers[:1] if options.quick else peers
        for figure in figures(problem, settings, limit, only, options.l1):
            found.append(figure)
            print(line(figure), flush=True)
    missed = sum(not figure.reached for figure in found)
    print(f"{len(found) - missed} of {len(found)} targets reached")
    if options.json:
        write(options.json, found, settings)


if __name__ == "__main__":
    main()
