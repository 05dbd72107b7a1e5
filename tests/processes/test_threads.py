"""Threads: how many gradstep uses, that any number gives the same bits, and that other threads of Python can run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy import sparse

import gradstep
from helpers.class_optima import overlapping as overlapping_classes
from helpers.configuration import DICTS, VARIABLES, python, sections
from helpers.matrices import CONTAINERS, drawn_labels, everything, labelled, retyped, text_like
from helpers.optima import both_solvers, overlapping
from helpers.problems import CLASS_SHAPES, blobs, both_dtypes, ordinary_class_problem, ordinary_problem
from helpers.results import bits, every_formula, numbers, parts
from helpers.scripts import run

# --- how many ---------------------------------------------------------------------------------------------------------


def test_threads_of_the_process() -> None:
    found = sections()["threads"]
    assert 1 <= found["n_threads=None means"] == found["CPUs available"] <= found["CPUs in the affinity"]
    assert "NUM_THREADS" not in found["why"]


@pytest.mark.parametrize("variable", ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_of_the_environment(variable: str) -> None:
    found = sections(**{variable: "1"})["threads"]
    assert (found["n_threads=None means"], found["why"], found[variable]) == (1, variable, "1")
    found = sections(**{variable: "100000"})["threads"]
    assert found["n_threads=None means"] == found["CPUs available"]
    assert found["why"].startswith(f"{variable}=100000, but not more than ")


def test_the_first_variable_counts() -> None:
    found = sections(GRADSTEP_NUM_THREADS="1", OMP_NUM_THREADS="2")["threads"]
    assert (found["n_threads=None means"], found["why"]) == (1, "GRADSTEP_NUM_THREADS")
    found = sections(GRADSTEP_NUM_THREADS="", OMP_NUM_THREADS="1")["threads"]
    assert (found["n_threads=None means"], found["why"]) == (1, "OMP_NUM_THREADS")
    assert sections(OMP_NUM_THREADS="1,2")["threads"]["n_threads=None means"] == 1  # the first level counts


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_of_the_affinity() -> None:
    """The CPU affinity is read in every call: one that is set while the process runs counts."""
    cpu = min(os.sched_getaffinity(0))
    done = python(f"import gradstep, os; gradstep.show_config(); os.sched_setaffinity(0, [{cpu}]); {DICTS}")
    found = json.loads(done.stdout.splitlines()[-1])["threads"]
    assert (found["n_threads=None means"], found["CPUs in the affinity"]) == (1, 1)
    if (os.cpu_count() or 1) > 1:
        assert found["why"] == "the CPU affinity"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize("variable", ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_that_are_none(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call refuses a bad number of threads, however small its work."""
    for name in VARIABLES[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    message = rf"{variable} must be a positive integer, got '{value}'"
    for call in (
        lambda: gradstep.show_config(),
        lambda: gradstep.sigmoid([0.0]),
        lambda: gradstep.loss([[1.0]], [1], [0.0]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


COUNT_THREADS = """
import os, threading, time
import numpy as np
import gradstep

X, y, weights = np.ones((400_000, 28)), np.ones(400_000), np.zeros(28)
done = threading.Event()

def call():
    while not done.is_set():
        gradstep.loss_gradient(X, y, weights)

def threads():
    return len(os.listdir("/proc/self/task"))

def most_seen(seconds, enough=1000):
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and most < enough:
        most = max(most, threads() - alone)
    return most

caller = threading.Thread(target=call)
alone = threads() + 1
caller.start()
shared = most_seen(30, enough=1)
os.sched_setaffinity(caller.native_id, [min(os.sched_getaffinity(0))])
time.sleep(1)
print(shared, most_seen(1))
done.set()
caller.join()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_set_while_the_process_runs() -> None:
    """A call starts threads while the process may use several CPUs, and none once it may use only one."""
    if gradstep.show_config(mode="dicts")["threads"]["CPUs available"] == 1:
        pytest.skip("one CPU")
    done = python(COUNT_THREADS)
    assert done.returncode == 0, done.stderr
    shared, alone = map(int, done.stdout.split())
    assert shared >= 1
    assert alone == 0


# --- the same bits ----------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 1), (17, 3), (1000, 28), (8192, 4), (50_001, 33), (200_000, 3)])
def test_formulas_have_the_same_bits_on_any_number_of_threads(m: int, n: int, dtype: Any) -> None:
    problem = ordinary_problem(m, n, dtype)
    weight = np.linspace(2, 0, m).astype(dtype)
    plain, weighted = every_formula(problem), every_formula(problem, sample_weight=weight)
    assert every_formula(problem) == plain
    for n_threads in (1, 2, 3, 8):
        assert every_formula(problem, n_threads=n_threads) == plain, n_threads
        assert every_formula(problem, sample_weight=weight, n_threads=n_threads) == weighted, n_threads


@both_dtypes
def test_threads_and_layouts_together(dtype: Any) -> None:
    problem = ordinary_problem(60_000, 7, dtype)
    want = every_formula(problem, n_threads=1)
    for X in (np.asfortranarray(problem.X), np.repeat(problem.X, 2, axis=0)[::2]):
        for n_threads in (1, 3, 8):
            assert every_formula(problem._replace(X=X), n_threads=n_threads) == want


@both_dtypes
@pytest.mark.parametrize(("m", "n", "classes"), [*CLASS_SHAPES, (40_000, 9, 3), (5000, 100, 7)])
def test_class_formulas_have_the_same_bits_on_any_number_of_threads(dtype: Any, m: int, n: int, classes: int) -> None:
    problem = ordinary_class_problem(m, n, classes, dtype)
    s = np.arange(m) % 3 + 1
    for X in (problem.X, sparse.csr_array(np.where(problem.X > 1, problem.X, 0).astype(dtype))):
        given = problem._replace(X=X)
        want = every_formula(given, sample_weight=s, n_threads=1)
        for n_threads in (1, 2, 3, 8):
            assert every_formula(given, sample_weight=s, n_threads=n_threads) == want


@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 1), (40, 3), (300, 2000), (5000, 40), (30_000, 200)])
def test_sparse_formulas_have_the_same_bits_for_threads_indices_and_orientations(m: int, n: int, dtype: Any) -> None:
    problem = labelled(text_like(m, n, dtype), dtype)
    weight = np.linspace(2, 0.5, m).astype(dtype)
    plain, weighted = everything(problem), everything(problem, sample_weight=weight)
    for container in CONTAINERS:
        for integers in (np.int32, np.int64):
            same = problem._replace(X=retyped(container(problem.X), integers))
            for n_threads in (None, 1, 2, 3, 8):
                assert everything(same, n_threads=n_threads) == plain, (container, integers, n_threads)
            assert everything(same, sample_weight=weight, n_threads=3) == weighted


@pytest.mark.parametrize("batch_size", [None, 1, 7, 200])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_sparse_descent_has_the_same_bits_on_any_number_of_threads(batch_size: int | None, l2: float) -> None:
    problem = labelled(text_like(600, 900))
    options = {"batch_size": batch_size, "l2": l2, "shuffle": True, "seed": 3}
    want = gradstep.Trainer(0.25, 3, **options).fit(*problem)
    for X in (problem.X.tocsc(), retyped(problem.X.copy(), np.int64), scipy.sparse.csr_matrix(problem.X)):
        for n_threads in (1, 2, 3, 8):
            got = gradstep.Trainer(0.25, 3, n_threads=n_threads, **options).fit(X, *problem[1:])
            assert bits(parts(got)[:4]) == bits(parts(want)[:4])


@pytest.mark.parametrize("batch_size", [None, 1, 5000])
def test_descent_has_the_same_bits_on_any_number_of_threads(batch_size: int | None) -> None:
    X, y = blobs(40_001, 3)
    fits = [gradstep.Trainer(0.5, 2, batch_size=batch_size, n_threads=k).fit(X, y) for k in (1, 2, 3, 8, None)]
    for fit in fits[1:]:
        assert bits(parts(fit)[:4]) == bits(parts(fits[0])[:4])


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(500, 3), (40_000, 9), (3000, 130)])
def test_fit_has_the_same_bits_on_any_number_of_threads(solver: Any, dtype: Any, m: int, n: int) -> None:
    X, y = overlapping(m, n, dtype=dtype)
    s = np.arange(m) % 3 + 1
    runs = [gradstep.fit(X, y, l2=1e-3, sample_weight=s, solver=solver, tol=1e-6, n_threads=k) for k in (1, 1, 2, 3, 8)]
    assert all(numbers(run) == numbers(runs[0]) for run in runs)
    if m == 40_000 and solver == "lbfgs":
        assert runs[0].history["rows"].min() < m  # some iterations used samples of the rows


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n", "classes"), [(500, 3, 3), (40_000, 9, 4), (2500, 130, 3)])
def test_class_fit_has_the_same_bits_on_any_number_of_threads(
    solver: Any, dtype: Any, m: int, n: int, classes: int
) -> None:
    X, y = overlapping_classes(m, n, classes, dtype=dtype)
    s = np.arange(m) % 3 + 1
    runs = [gradstep.fit(X, y, l2=1e-3, sample_weight=s, solver=solver, tol=1e-6, n_threads=k) for k in (1, 2, 3, 8)]
    assert all(numbers(run) == numbers(runs[0]) for run in runs)
    if m == 40_000 and solver == "lbfgs":
        assert runs[0].history["rows"].min() < m  # some iterations used samples of the rows


@both_solvers
@both_dtypes
@pytest.mark.parametrize(("m", "n"), [(700, 30), (20_000, 12), (3000, 5000)])
def test_sparse_fit_has_the_same_bits_for_threads_indices_and_orientations(
    solver: Any, dtype: Any, m: int, n: int
) -> None:
    X = text_like(m, n, dtype, density=0.02 if n > 1000 else 0.2)
    y = drawn_labels(X)
    options = {"l2": 1e-3, "tol": 1e-6, "solver": solver, "max_passes": 60}
    want = numbers(gradstep.fit(X, y, **options, n_threads=1))
    for container in CONTAINERS:
        for integers, n_threads in [(np.int32, 2), (np.int64, 5)]:
            assert numbers(gradstep.fit(retyped(container(X), integers), y, **options, n_threads=n_threads)) == want


# --- at the same time -------------------------------------------------------------------------------------------------


def longest_silence(work: Callable[[], Any]) -> tuple[float, float]:
    """How long `work` takes, and the longest time in it that another thread had to wait for its turn."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        while len(ticks) < 3:
            time.sleep(0.001)
        started = time.monotonic()
        work()
        ended = time.monotonic()
    finally:
        stop.set()
        thread.join()
    inside = [started, *(moment for moment in ticks if started < moment < ended), ended]
    return ended - started, float(np.diff(inside).max())


def test_other_threads_run_during_a_fit() -> None:
    X, y = blobs(2000, 3)
    epochs = 10
    while True:  # until the fit is long enough to tell, on any machine
        trainer = gradstep.Trainer(0.01, epochs, batch_size=1, n_threads=1)
        whole, silence = longest_silence(partial(trainer.fit, X, y))
        if whole > 0.4:
            break
        epochs *= 2
    # If the fit held the GIL, the other thread would be silent for all of the fit. A busy machine may pause it, too.
    assert silence < whole / 2


def test_other_threads_run_during_a_formula() -> None:
    rows = 100_000
    while True:
        X, y = np.broadcast_to(np.linspace(-1, 1, 8), (rows, 8)), np.ones(rows, bool)
        whole, silence = longest_silence(partial(gradstep.loss_gradient, X, y, np.ones(8), n_threads=1))
        if whole > 0.4:
            break
        rows *= 2
    assert silence < whole / 2


def test_fits_side_by_side_on_one_array() -> None:
    X, y = blobs(3000, 5)
    trainer = gradstep.Trainer(0.01, 5, batch_size=1)
    want = bits(parts(trainer.fit(X, y))[:4])
    got: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: got.append(bits(parts(trainer.fit(X, y))[:4]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [want] * 6


def test_a_first_import_in_several_threads() -> None:
    code = """
        import threading
        results, gate = [], threading.Barrier(8)
        def work():
            gate.wait()
            import gradstep
            results.append(gradstep.sigmoid(0.0))
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert results == [0.5] * 8, results
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_fits_at_the_same_time_on_the_same_arrays() -> None:
    script = """
        from concurrent.futures import ThreadPoolExecutor
        X, y, _ = LARGE
        codes = random.integers(0, 3, len(y))
        calls = [
            lambda: gradstep.fit(X, y, l2=1e-3),
            lambda: gradstep.fit(X, codes, l2=1e-3),
            lambda: gradstep.Trainer(0.5, 5).fit(X, y),
            lambda: gradstep.Trainer(0.5, 1, batch_size=100, shuffle=True, seed=3).fit(X, y),
        ]
        bits = lambda fit: np.asarray(fit.weights).tobytes()
        want = [bits(call()) for call in calls]
        before = X.tobytes(), y.tobytes()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda call: bits(call()), calls * 4)) == want * 4
        assert (X.tobytes(), y.tobytes()) == before
    """
    run(script, 120)


def test_input_that_another_thread_writes_to() -> None:
    """Results may then mean nothing, or be an error that says so; nothing outside the arrays is read or written."""
    script = """
        import scipy.sparse
        X = scipy.sparse.random_array((20_000, 300), density=0.05, format="csr", rng=np.random.default_rng(0))
        y, weights, stop = random.integers(0, 2, 20_000).astype(float), np.zeros(300), threading.Event()
        good = X.indices.copy(), X.indptr.copy()
        def write():
            hostile = np.random.default_rng(1)
            while not stop.is_set():
                X.indices[hostile.integers(0, X.nnz, 1000)] = hostile.integers(-2**31, 2**31 - 1, 1000)
                X.indptr[hostile.integers(0, 20_001, 5)] = hostile.integers(-2**31, 2**31 - 1, 5)
                y[hostile.integers(0, 20_000, 100)] = hostile.normal(size=100)
                time.sleep(0.005)
                X.indices[:], X.indptr[:] = good
                y[:] = 1.0
                time.sleep(0.005)
        thread = threading.Thread(target=write)
        thread.start()
        outcomes = set()
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                for call in (
                    lambda: gradstep.loss_gradient(X, y, weights),
                    lambda: gradstep.predict_proba(X, weights),
                    lambda: gradstep.Trainer(0.1, 1, batch_size=1).fit(X, y),
                    lambda: gradstep.fit(X, y, l2=0.1, max_passes=3),
                ):
                    try:
                        call()
                        outcomes.add("result")
                    except ValueError:
                        outcomes.add("error")
        finally:
            stop.set()
            thread.join()
        print(*sorted(outcomes))
    """
    assert run(script).split() == ["error", "result"]  # both occur: changes were noticed, and not all of them
