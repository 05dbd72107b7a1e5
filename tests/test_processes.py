"""What shows only in a process of its own: forks, interrupts, threads, memory. Each has a hard limit of time."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="there are no forks, limits of memory or signals to one process"
)

PROBLEM = """
import gc, os, sys, threading, time
import numpy as np
import gradstep

random = np.random.default_rng(0)
SMALL = random.normal(size=(1, 3)), np.array([1.0]), np.zeros(3)
LARGE = random.normal(size=(300_000, 10)), random.integers(0, 2, 300_000), random.normal(size=10)

def both():
    return [part.tobytes() if hasattr(part, "tobytes") else part
            for problem in (SMALL, LARGE) for part in gradstep.loss_gradient(*problem, n_threads=4)]
"""
"""What the scripts begin with. `both()` is a call that stays in its thread and one that starts others."""


def run(script: str, timeout: float = 60) -> str:
    code = PROBLEM + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- other processes --------------------------------------------------------------------------------------------------


@posix
def test_a_fork_after_use_and_its_own_fork() -> None:
    """A pool of threads that outlived a call would hang the child for ever."""
    script = """
        want = both()
        def descend(generations):
            child = os.fork()
            if child == 0:
                same = both() == want and (generations == 1 or descend(generations - 1))
                os._exit(0 if same else 1)
            return os.waitpid(child, 0)[1] == 0
        assert descend(2)
        assert both() == want
    """
    run(script)


@posix
def test_a_fork_while_another_thread_computes() -> None:
    script = """
        want, stop = both(), threading.Event()
        def work():
            while not stop.is_set():
                both()
        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    os._exit(0 if both() == want else 1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            stop.set()
            thread.join()
    """
    run(script)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_multiprocessing(method: str) -> None:
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("the system has no forks")
    script = f"""
        import multiprocessing
        multiprocessing.set_start_method("{method}")
        want = gradstep.loss(*LARGE)
        with multiprocessing.Pool(2) as pool:
            assert pool.starmap(gradstep.loss, [LARGE] * 4) == [want] * 4
    """
    run(script)


def test_joblib_workers_share_the_cpus() -> None:
    """A worker process of joblib is told through the environment how many threads are its share."""
    script = """
        import joblib
        def threads():
            return gradstep.show_config(mode="dicts")["threads"]["n_threads=None means"]
        cpus = threads()
        each = joblib.Parallel(n_jobs=cpus)(joblib.delayed(threads)() for _ in range(4))
        assert max(each) * cpus <= cpus, each
    """
    run(script)


# --- interrupts -------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "call",
    [
        "gradstep.fit(X, classes, tol=0)",
        "gradstep.fit(scipy.sparse.csr_array(X), y, tol=0)",
        "gradstep.fit(scipy.sparse.csr_array(X), classes, tol=0, solver='gd')",
        "gradstep.Trainer(0.1, 10**9).fit(scipy.sparse.csr_array(X), y)",
        "gradstep.Trainer('auto', 10**9).fit(X, y)",
        "gradstep.hessian(wide, np.zeros(2000))",
        "gradstep.covariance(wide, np.zeros(2000))",
        "gradstep.loss_gradient(X, y, np.zeros(30), n_threads=1)",
        "gradstep.LogisticRegression(tol=0).fit(X, classes)",
    ],
)
def test_ctrl_c_ends_long_work(call: str) -> None:
    script = PROBLEM + textwrap.dedent(f"""
        import scipy.sparse
        X = random.normal(size=(400_000, 30))
        y, classes = random.integers(0, 2, 400_000), random.integers(0, 5, 400_000)
        wide = random.normal(size=(20_000, 2000))
        gradstep.LogisticRegression  # what it imports takes its time
        print("ready", flush=True)
        try:
            while True:
                {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(1.0)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - started < 1.0
            assert process.wait(10) == 0
        finally:
            timer.cancel()
            process.kill()


# --- threads ----------------------------------------------------------------------------------------------------------


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
    assert run(script).split() == ["error", "result"]  # else nothing was written meanwhile, or nothing got through


# --- memory -----------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "call",
    [
        "gradstep.sigmoid(giant((2**55,)))",
        "gradstep.loss(giant((2**52, 8)), giant((2**52,)), np.zeros(8))",
        "gradstep.loss_gradient(giant((8, 2**52)), np.zeros(8), giant((2**52,)))",
        "gradstep.predict_proba(giant((2**52, 8)), np.zeros(8))",
        "gradstep.hessian(giant((8, 2**40)), giant((2**40,)))",
        "gradstep.hessian(np.zeros((2, 200_000)), np.zeros(200_000))",
        "gradstep.covariance(giant((8, 2**40)), giant((2**40,)))",
        "gradstep.covariance(np.zeros((2, 200_000)), np.zeros(200_000))",
        "gradstep.Trainer(0.1, 1, trace=True).fit(giant((2**52, 8)), giant((2**52,)))",
        "gradstep.fit(giant((8, 2**52)), [0, 1] * 4)",
        "gradstep.fit(giant((2**54, 2)), giant((2**54,)))",
        "gradstep.fit(giant((8, 2**32)), [0, 1, 2, 1] * 2, l2=1.0)",
        "gradstep.fit(giant((2**22, 2**14)), np.arange(2**22) % 2)",
        "gradstep.softmax(giant((2**52, 8)))",
        "gradstep.cross_entropy(giant((2**55,)), np.zeros(3))",
    ],
)
def test_giant_views_are_refused(call: str) -> None:
    """A stride of zero presents 2**55 elements over 8 bytes. No abort, and no memory taken that is not there."""
    script = f"""
        import resource
        giant = lambda shape: np.lib.stride_tricks.as_strided(np.zeros(1), shape, (0,) * len(shape))
        gradstep.loss_gradient(*LARGE)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
        try:
            {call}
        except (MemoryError, ValueError) as error:
            print(type(error).__name__)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no way to ask how much address space a process has")
    assert run(script).strip() in ("MemoryError", "ValueError")


def test_ten_thousand_calls_leave_no_memory_behind() -> None:
    script = """
        import resource, scipy.sparse
        X, y, weights = random.normal(size=(40, 6)), random.integers(0, 2, 40), random.normal(size=6)
        S, codes, W = scipy.sparse.csr_array(X), random.integers(0, 3, 40), random.normal(size=(3, 6))
        frame = np.asfortranarray(X)[::2]
        def refused():
            try:
                gradstep.fit(X, y[1:])
            except ValueError:
                pass
        calls = [
            lambda: gradstep.sigmoid(X), lambda: gradstep.log_sigmoid(y), lambda: gradstep.sigmoid_derivative(0.5),
            lambda: gradstep.softmax(X), lambda: gradstep.predict_proba(X, weights),
            lambda: gradstep.cross_entropy(y, np.full(40, 0.5)), lambda: gradstep.loss(S, y, weights),
            lambda: gradstep.gradient(frame, y[::2], weights), lambda: gradstep.loss_gradient(X, codes, W, np.zeros(3)),
            lambda: gradstep.gradient_step(X, y, weights, 0.0, 0.1), lambda: gradstep.hessian(X, weights),
            lambda: gradstep.covariance(S, weights), lambda: gradstep.fit(np.column_stack([X, X]), y),
            lambda: gradstep.Trainer(0.1, 2, batch_size=8, trace=True).fit(X, y, callback=lambda *_: None),
            lambda: gradstep.Trainer("auto", 3).fit(X, y), lambda: gradstep.fit(X, y, l2=0.1, callback=lambda _: None),
            lambda: gradstep.fit(S, codes, l2=0.1), refused,
        ]
        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        def rounds(count):
            for _ in range(count):
                for call in calls:
                    call()
        rounds(100)
        before = resident()
        rounds(10_000 // len(calls) + 1)
        print(resident() - before)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no way to ask how much memory a process holds")
    assert int(run(script, 120)) < 4 << 20
