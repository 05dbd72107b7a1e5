"""Ctrl-C ends long work within a second, and leaves what was there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.optima import both_solvers
from helpers.program import PROGRAM, heard, on_a_terminal
from helpers.scripts import PROBLEM, posix


def check_that_it_ends(script: str, seconds: float) -> None:
    """Assert that Ctrl-C, `seconds` after the script prints "ready", ends it within a second, with "interrupted"."""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(seconds)  # by then the script is in the midst of its work
            assert process.poll() is None
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - started < 1.0
            assert process.wait(10) == 0
        finally:
            timer.cancel()
            process.kill()


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
        "gradstep.fit(maps, y, tol=0)",
        "gradstep.fit(lambda: ((part, y[:100_000]) for part in maps), None, tol=0)",
    ],
)
def test_ctrl_c_ends_long_work(call: str) -> None:
    script = PROBLEM + textwrap.dedent(f"""
        import scipy.sparse, tempfile
        X = random.normal(size=(400_000, 30))
        y, classes = random.integers(0, 2, 400_000), random.integers(0, 5, 400_000)
        wide = random.normal(size=(20_000, 2000))
        gradstep.LogisticRegression  # imported now: its imports take a second
        maps = [np.memmap(tempfile.TemporaryFile(), float, "w+", shape=(100_000, 30)) for _ in range(4)]
        for part in maps:
            part[...] = random.normal(size=part.shape)
        print("ready", flush=True)
        try:
            while True:
                {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    check_that_it_ends(script, 1.0)


@posix
@both_solvers
def test_ctrl_c_ends_a_long_fit(solver: str) -> None:
    script = textwrap.dedent(f"""
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=(600_000, 30)), random.random(600_000)
        print("ready", flush=True)
        try:
            while True:
                gradstep.fit(X, y, tol=0, solver="{solver}", n_threads=1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    check_that_it_ends(script, 0.3)


@posix
@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (100, "batch_size=1"),
        (100, "batch_size=7"),
        (1, ""),
        (300_000, ""),
        (300_000, "batch_size=1, shuffle=True, seed=1"),
    ],
)
def test_ctrl_c_ends_a_long_descent(rows: int, options: str) -> None:
    script = textwrap.dedent(f"""
        import numpy as np, gradstep
        random = np.random.default_rng(0)
        X, y = random.normal(size=({rows}, 3)), random.integers(0, 2, {rows})
        trainer = gradstep.Trainer(0.01, 10**9, {options})
        print("ready", flush=True)
        try:
            trainer.fit(X, y)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    check_that_it_ends(script, 0.5)


def test_ctrl_c_leaves_the_best_coefficients() -> None:
    program = textwrap.dedent("""
        import os, signal, numpy as np, gradstep
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(2000, 5)), rng.integers(0, 2, 2000)
        seen = []
        def interrupt(iteration):
            seen.append(iteration)
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGINT)
        model = gradstep.LogisticRegression(l2=0, solver="gd", callback=interrupt)
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            assert model.coef_.tolist() == [seen[-1].weights.tolist()] and not hasattr(model, "gap_")
            print(model.predict_proba(X[:1]).shape)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("(1, 2)\n", "")


@posix
@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_interrupt_of_the_optimum(folder: Path, solver: str) -> None:
    """The fit would take a minute: twenty thousand rows of 500 classes, and a tolerance of 0."""
    from helpers.commands import pl  # imported here: without the extra `cli` only this test is skipped

    rng = np.random.default_rng(0)
    columns = {f"x{j}": rng.normal(size=20_000) for j in range(10)}
    pl.DataFrame({**columns, "y": np.arange(20_000) % 500}).write_parquet("data.parquet")
    args = ["train", "data.parquet", "--solver", solver, "--tol", 0, "--max-passes", 10**9, "--out", "model.json"]
    with on_a_terminal(*args, cwd=folder) as (process, terminal):
        assert b"objective 6." in heard(terminal, until=b"objective 6.")
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        said = heard(terminal)
        assert process.wait(60) == 130
        assert time.monotonic() - sent < 10
        assert process.stdout
        assert process.stdout.read() == b""
    assert b"Traceback" not in said
    assert os.listdir(folder) == ["data.parquet"]


@posix
def test_interrupt(folder: Path) -> None:
    from helpers.commands import problem  # imported here: without the extra `cli` only this test is skipped

    problem().write_csv("data.csv")
    (folder / "model.json").write_text("old")
    args = ["train", "data.csv", "--epochs", 10**9, "--out", "model.json"]
    with on_a_terminal(*args, cwd=folder) as (process, terminal):
        assert b"loss 0." in heard(terminal, until=b"loss 0.")
        process.send_signal(signal.SIGINT)
        said = heard(terminal)
        assert process.wait(60) == 130
        assert process.stdout
        assert process.stdout.read() == b""
    assert b"Traceback" not in said
    assert sorted(os.listdir(folder)) == ["data.csv", "model.json"]
    assert (folder / "model.json").read_text() == "old"


@posix
def test_interrupt_without_a_terminal(folder: Path) -> None:
    from helpers.commands import problem  # imported here: without the extra `cli` only this test is skipped

    problem().write_csv("data.csv")
    command = [*PROGRAM, "train", "data.csv", "--epochs", str(10**9), "--out", "model.json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(3)  # nothing shows that it has begun; an earlier interrupt must end it, too
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert os.listdir(folder) == ["data.csv"]
