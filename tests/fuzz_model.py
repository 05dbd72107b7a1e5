"""Coverage-guided fuzzing of the model file's reader, by atheris: `python tests/fuzz_model.py -max_total_time=60`.

Whatever the bytes, the reader gives a model that can be written and read again to the last bit, or a ValueError with a
message of bounded length. The options are libFuzzer's.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import atheris

import gradstep  # noqa: F401 - all but the reader stays as it is
from helpers.documents import good, good_encoded, good_of_three

with atheris.instrument_imports(include=["gradstep._model", "gradstep._encoding", "gradstep._document"]):
    import gradstep._model as reader

FOLDER = tempfile.TemporaryDirectory(prefix="gradstep-fuzz-")
PATH = Path(FOLDER.name, "model.json")

# Values that a hostile writer might put in place of others.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, 2**64, 10**30, 0.0, -0.0, 5e-324, 1e308, "", "a", "\ud800", "\0", "é",
    [], {}, [[]], [None], [0, 0.0], [True, 1], ["a", "a"], ["a", "b"], [1, 2], [1, 2, 3], {"mean": [0.0, 0.0]},
    [[1.0, 2.0]] * 3, [[1, 2], [3]], ["a", "b", "c"], {"scale": [1, 1]},
    {"mean": [0, 0], "scale": [1, 1]}, {"": ""}, {"a": {}}, [1e308, -1e308],
]  # fmt: skip
PARTS = ["mean", "scale", "loss", "a", "\ud800", "columns", "missing", "ids", "format"]
TOKENS = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"9" * 400, b"[" * 300, b'{"a":' * 300]
TOKENS += [b'"\\ud800"', b'"\\u0000"', b"\xff", b"\xef\xbb\xbf", b"\x00", b"null", b"true", b"0", b"[]", b"{}", b'""']


def check(data: bytes) -> None:
    PATH.write_bytes(data)
    try:
        model = reader.load(PATH)
    except ValueError as error:
        message = str(error)
        assert message.startswith(f"model file {PATH} must ") and ", got " in message, message
        assert len(message) < len(str(PATH)) + 300, message
        return
    text = model.to_json()
    again = reader.Model.from_json(text.encode())
    assert again.to_json() == text, data
    assert repr(again) == repr(model), data


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Three times of four a valid document with other fields, or other text in it; else libFuzzer's own mutations."""
    dice = random.Random(seed)
    choice = dice.randrange(4)
    if choice == 0:
        return atheris.Mutate(data, max_size)
    if choice == 1:
        at = dice.randrange(len(data) + 1)
        end = at + dice.choice([0, 0, 1, 4])
        return (data[:at] + dice.choice(TOKENS) + data[end:])[:max_size]
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or choice == 2:
        document = dice.choice([good, good_of_three, good_encoded])()
    for _ in range(dice.randrange(1, 3)):
        value = deepcopy(dice.choice(VALUES))
        name = dice.choice(list(good_encoded()))
        if dice.randrange(8) == 0:
            document.pop(name, None)
        elif isinstance(document.get(name), dict) and dice.randrange(2):
            document[name][
                dice.choice(["mean", "scale", "loss", "a", "\ud800", "columns", "missing", "ids", "format"])
            ] = value
        elif isinstance(document.get(name), list) and document[name] and dice.randrange(2):
            document[name][dice.randrange(len(document[name]))] = value
        else:
            document[name] = value
    return json.dumps(document).encode()[:max_size]


if __name__ == "__main__":
    for document in (good(), good_of_three(), good_encoded()):
        reader.Model.from_json(json.dumps(document))
    atheris.Setup([sys.argv[0], "-max_len=4096", *sys.argv[1:]], check, custom_mutator=mutate)
    atheris.Fuzz()
