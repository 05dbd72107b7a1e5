from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep
from gradstep._model import Model, Standardize, write_file

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | text
classes: st.SearchStrategy[Any] = st.one_of(
    st.just([False, True]),
    st.lists(text, min_size=2, max_size=2, unique=True),
    st.lists(st.integers(-(2**63), 2**64 - 1) | finite, min_size=2, max_size=2, unique=True),
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    n = draw(st.integers(1, 6))

    def several(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
        return st.lists(values, min_size=n, max_size=n)

    return Model(
        features=draw(st.lists(text, min_size=n, max_size=n, unique=True)),
        target=draw(text),
        classes=draw(classes),
        weights=draw(several(finite)),
        bias=draw(finite),
        standardize=draw(st.none() | st.builds(Standardize, several(finite), several(positive))),
        options=draw(st.dictionaries(text, scalar, max_size=4)),
        result=draw(st.dictionaries(text, scalar, max_size=4)),
        gradstep=draw(text),
    )


def bits(value: Any) -> Any:
    """The value with every float as its eight bytes, so that -0.0 and 0.0, or 1 and 1.0, differ."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bits(item) for item in value]
    if hasattr(value, "__dict__"):
        return bits(vars(value))
    return type(value), value


@given(models())
def test_round_trip_to_the_last_bit(model: Model) -> None:
    again = Model.from_json(model.to_json().encode())
    assert bits(again) == bits(model)
    assert again.to_json() == model.to_json()


@given(st.lists(finite, min_size=1, max_size=4), finite)
def test_weights_of_any_size_survive(weights: list[float], bias: float) -> None:
    features = [f"x{j}" for j in range(len(weights))]
    document = {**good(), "features": features, "weights": weights, "bias": bias, "standardize": None}
    model = Model.from_json(json.dumps(document))
    assert (bits(model.weights), bits(model.bias)) == (bits(weights), bits(bias))


def good() -> dict[str, Any]:
    return {
        "format": "gradstep-model",
        "version": 1,
        "formula": "p",
        "features": ["a", "b"],
        "target": "y",
        "classes": ["no", "yes"],
        "weights": [1.5, -2.0],
        "bias": 0.25,
        "standardize": {"mean": [1.0, 2.0], "scale": [3.0, 4.0]},
        "options": {"epochs": 10},
        "result": {"loss": 0.5},
        "gradstep": "0.1.0",
    }


def test_the_good_model_is_good() -> None:
    model = Model.from_json(json.dumps(good()))
    assert model.weights == [1.5, -2.0]
    assert Model.from_json(json.dumps({**good(), "certificate": {"gap": 1e-9}})) == model, "unknown fields are ignored"
    assert Model.from_json(json.dumps({**good(), "weights": [1, 2]})).weights == [1.0, 2.0], "a whole number will do"


WRONG_FIELDS: list[tuple[str, object]] = [
    ("format", "pickle"),
    ("format", None),
    ("version", 2),
    ("version", True),
    ("version", 1.0),
    ("version", "1"),
    ("formula", 3),
    ("features", []),
    ("features", ["a"]),
    ("features", ["a", "b", "c"]),
    ("features", ["a", "a"]),
    ("features", ["a", 1]),
    ("features", "ab"),
    ("features", ["a", "\ud800"]),
    ("target", None),
    ("classes", [0]),
    ("classes", [0, 1, 2]),
    ("classes", [0, 0.0]),
    ("classes", [True, 1]),
    ("classes", ["a", 1]),
    ("classes", ["a", "a"]),
    ("classes", [None, "a"]),
    ("classes", [[0], [1]]),
    ("classes", [0, 2**64]),
    ("classes", {"0": 1}),
    ("weights", [1.0]),
    ("weights", [1.0, True]),
    ("weights", [1.0, "2"]),
    ("weights", [1.0, None]),
    ("weights", [1.0, [2.0]]),
    ("weights", [1.0, 10**400]),
    ("weights", {"a": 1.0, "b": 2.0}),
    ("bias", None),
    ("bias", False),
    ("bias", [0.0]),
    ("bias", "0"),
    ("standardize", []),
    ("standardize", {"mean": [1.0, 2.0]}),
    ("standardize", {"mean": [1.0], "scale": [1.0, 2.0]}),
    ("standardize", {"mean": [1.0, 2.0], "scale": [1.0, 0.0]}),
    ("standardize", {"mean": [1.0, 2.0], "scale": [1.0, -1.0]}),
    ("options", []),
    ("options", {"epochs": [1]}),
    ("options", {"epochs": {"a": {}}}),
    ("result", None),
    ("gradstep", 1),
]


@pytest.mark.parametrize(("field", "value"), WRONG_FIELDS)
def test_wrong_field(tmp_path: Path, field: str, value: object) -> None:
    refused(tmp_path, json.dumps({**good(), field: value}).encode(), field)


@pytest.mark.parametrize("field", sorted(good()))
def test_missing_field(tmp_path: Path, field: str) -> None:
    refused(tmp_path, json.dumps({key: value for key, value in good().items() if key != field}).encode(), field)


GOOD = json.dumps(good())
HOSTILE = {
    "nothing": b"",
    "not JSON": b"gradstep",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "NaN": GOOD.replace("0.25", "NaN").encode(),
    "Infinity": GOOD.replace("0.25", "Infinity").encode(),
    "-Infinity": GOOD.replace("0.25", "-Infinity").encode(),
    "a number beyond double": GOOD.replace("0.25", "1e999").encode(),
    "beyond double in the options": GOOD.replace("10}", "1e999}").encode(),
    "a number of 100 000 digits": GOOD.replace("0.25", "9" * 100_000).encode(),
    "a field twice": GOOD.replace('"bias"', '"bias": 1.0, "bias"').encode(),
    "a field of a field twice": GOOD.replace('"mean"', '"mean": [0.0, 0.0], "mean"').encode(),
    "two documents": (GOOD + GOOD).encode(),
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 1_000_000,
    "deep options": GOOD.replace("10}", "[" * 400 + "]" * 400 + "}").encode(),
    "Latin-1": GOOD.replace("yes", "s\xed").encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "zeros": bytes(1000),
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a million names twice": ("{" + ", ".join(f'"{j}": 0' for j in range(300_000)) + ', "299999": 1}').encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_file(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


def test_every_truncation(tmp_path: Path) -> None:
    for length in range(len(GOOD)):
        refused(tmp_path, GOOD[:length].encode())


def test_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: no disk is used, but reading it would take a terabyte
    with pytest.raises(ValueError, match="must have at most 67108864 bytes, got 1099511627776"):
        Model.load(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_endless_file() -> None:
    with pytest.raises(ValueError, match="must have at most"):
        Model.load(Path("/dev/zero"))


def refused(folder: Path, content: bytes, *words: str) -> None:
    path = folder / "model.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        Model.load(path)
    message = str(caught.value)
    assert message.startswith(f"model file {path} must "), message
    assert ", got " in message, message
    assert len(message) < len(str(path)) + 300, message
    for word in words:
        assert word in message


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Model.load(tmp_path / "none.json")


def test_the_formula_in_the_file_gives_the_prediction() -> None:
    X = np.array([[1.0, 2.0], [-3.0, 0.5], [4.0, 100.0]])
    for document in (good(), {**good(), "standardize": None}):
        model = Model.from_json(json.dumps(document))
        text = json.loads(model.to_json())["formula"]
        assert ("standardize.mean[j]" in text) == (document["standardize"] is not None)
        for row, got in zip(X.tolist(), model.predict_proba(X), strict=True):
            x = row
            if document["standardize"]:
                mean, scale = document["standardize"]["mean"], document["standardize"]["scale"]
                x = [(value - mean[j]) / scale[j] for j, value in enumerate(row)]
            terms = [w * v for w, v in zip(document["weights"], x, strict=True)]
            want = 1 / (1 + math.exp(-document["bias"] - math.fsum(terms)))
            # z errs by at most 8 eps of the sum of its terms' sizes, and σ relatively by that and a few eps more.
            bound = 8 * np.finfo(float).eps * (1 + sum(map(abs, terms)))
            assert got == pytest.approx(want, rel=bound, abs=0)


def test_prediction_is_predict_proba() -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = Model.from_json(json.dumps({**good(), "standardize": None}))
    np.testing.assert_array_equal(model.predict_proba(X), gradstep.predict_proba(X, [1.5, -2.0], 0.25))


def test_standardize() -> None:
    X = np.column_stack([np.arange(7.0), np.full(7, 0.1), np.linspace(-1e6, 1e6, 7)])
    scaling = Standardize.of(X)
    assert scaling.mean[:2] == [3.0, 0.1]
    assert scaling.scale[:2] == [2.0, 1.0]  # population: the mean of 9, 4, 1, 0, 1, 4, 9 is 4
    x = scaling.apply(X)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(x.std(axis=0), [1, 0, 1], rtol=1e-15)


def test_write_file_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    longest = tmp_path / ("a" * 250 + ".json")
    write_file(longest, b"new")
    assert longest.read_bytes() == b"new"
    longest.unlink()
    link = tmp_path / "link.json"
    link.symlink_to(path)
    write_file(link, b"newer")
    assert link.is_symlink()
    assert path.read_bytes() == b"newer"
    assert sorted(os.listdir(tmp_path)) == ["a.json", "link.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_write_file_leaves_nothing_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_file(path, b"new")
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.read_bytes() == b"old"


def test_write_file_refuses_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="must be a regular file"):
        write_file(pipe, b"new")
    assert os.listdir(tmp_path) == ["pipe"]
