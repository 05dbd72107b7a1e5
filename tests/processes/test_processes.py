"""Other processes: forks, multiprocessing, joblib."""

from __future__ import annotations

import sys

import pytest

from helpers.scripts import posix, run


@posix
def test_a_fork_after_use_and_its_own_fork() -> None:
    """If a pool of threads outlived its call, the child of a fork would wait for these threads for ever."""
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
