"""What is refused: each row of the table of `helpers/refusals`, which has every message of the sources."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.refusals import EVERYTHING, ROWS, X, Y, replaced


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.* no sample of positive weight:UserWarning")
@pytest.mark.parametrize(("call", "kind", "argument", "facts"), ROWS)
def test_refused(call: Callable[[], Any], kind: type[Exception], argument: str, facts: str) -> None:
    before = [values.tobytes() for values in EVERYTHING]
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert re.fullmatch(rf"({argument}) must \S.*, got \S.*", message), message
    assert re.search(facts, message), message
    assert [values.tobytes() for values in EVERYTHING] == before
    # The exact type: UnicodeDecodeError is a ValueError, but not one for callers.
    assert type(caught.value) in (ValueError, TypeError, MemoryError)


def test_out_is_untouched_when_refused() -> None:
    for z, out in [
        (np.zeros(3), np.full(4, 7.0)),
        (np.zeros(3), np.full(3, 7.0, np.float32)),
        (np.array([1j, 1j]), np.full(2, 7.0)),
    ]:
        before = out.tobytes()
        with pytest.raises((TypeError, ValueError)):
            gradstep.sigmoid(z, out=out)
        assert out.tobytes() == before


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_the_callback_is_not_called_for_a_fit_that_is_refused(batch_size: int | None) -> None:
    calls: list[Any] = []
    trainer = gradstep.Trainer(0.1, 5, batch_size=batch_size)
    with pytest.raises(ValueError, match=r"^X must"):
        trainer.fit(replaced(X, (3, 2), np.nan), Y, callback=lambda *call: calls.append(call))
    assert calls == []


def test_the_first_bad_entry_is_named_in_a_large_array() -> None:
    """The first entry is that of the first row, in every layout, however the search is cut into pieces."""
    large = np.zeros((30_000, 5))
    large[29_999, 0] = large[17_001, 4] = large[17_001, 2] = large[20_000, 1] = np.nan
    y = np.zeros(30_000)
    for view in (large, np.asfortranarray(large), large.astype(np.float32), np.repeat(large, 2, axis=0)[::2]):
        for options in ({}, {"batch_size": 1}, {"batch_size": 64, "shuffle": True, "seed": 0}):
            with pytest.raises(ValueError, match=r"^X must .*row 17001, column 2"):
                gradstep.Trainer(epochs=1, **options).fit(view, y)
    y[25_000] = y[25_001] = -0.5
    with pytest.raises(ValueError, match=r"^y must .*row 25000"):
        gradstep.loss(np.zeros((30_000, 5)), y, np.zeros(5))
    with pytest.raises(ValueError, match=r"^y must .*row 25000"):
        gradstep.Trainer(epochs=1).fit(np.zeros((30_000, 5)), y)


SOURCES = Path(__file__).parents[2]
REFUSING = (
    "_arrays", "_checkpoint", "_classifier", "_config", "_cross_validation", "_descent", "_estimator", "_explain",
    "_fitted", "_formulas", "_many", "_optimum", "_options", "_path", "_sources", "_arrow", "_reading",
    "inference", "_page/__init__", "_page/_contents",
    "plot/_canvas", "plot/_columns", "plot/_evaluation", "plot/_history", "plot/_overview", "plot/_path",
    "plot/_results", "plot/_surface", "plot/_textbook",
)  # fmt: skip
NOT_HERE = (
    "columns must have at most .* coefficients",  # comes after a warning: in inference/test_results.py
    "GRADSTEP_ISA must",  # decided once for each process: in processes/test_instruction_sets.py
    ".* must be unchanged during the call",  # while another thread writes: in processes/test_threads.py
    ".* must lie within its buffer",  # for slices in Rust: every array of NumPy does
    ".* must be a positive integer or None",  # for Rust's callers: Python checks counts before
)


def templates() -> set[str]:
    """Every message "… must …, got …" in the sources, as a regular expression in which values may be anything."""
    found = set()
    files = [file for file in SOURCES.glob("rust/*/src/**/*.rs") if file.name != "tests.rs"]
    for file in [*files, *(SOURCES / f"python/gradstep/{name}.py" for name in REFUSING)]:
        code = re.split(r"#\[cfg\(test\)\]\s*(?:#\[allow.*\]\s*)?mod tests \{", file.read_text())[0]
        code = re.sub(r"\\\n\s*|\"\n\s*f?\"|^ *//.*$", "", code, flags=re.MULTILINE)  # joins strings of several lines
        found |= set(re.findall(r'"([^"\n]* must [^"\n]*, got [^"\n]*)"', code))
        found |= {f"{{}} must be {words}, got {{}}" for words in re.findall(r'expected: "([^"\n]*)"', code)}
    found = {re.sub(r"\\{.*?\\}", ".*", re.escape(text)).replace("\\ ", " ") for text in found}
    return {text for text in found if not text.startswith(NOT_HERE)}


def test_every_message_is_in_the_table() -> None:
    """Every message that is in the sources; an installed wheel does not have them."""
    if not (SOURCES / "python/gradstep/_estimator.py").is_file():
        pytest.skip("the sources are not here")
    messages = []
    for row in ROWS:
        call, kind, *_ = row.values
        with warnings.catch_warnings(action="ignore"), pytest.raises(kind) as caught:
            call()
        messages.append(str(caught.value))
    assert len(templates()) > 50
    assert [text for text in templates() if not any(re.fullmatch(text, message) for message in messages)] == []
