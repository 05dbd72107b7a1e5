"""The model file: read back to the last bit, replaced as a whole, and refused where it is broken or hostile."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import gradstep
from gradstep import _model
from gradstep._encoding import Column, Encoding, Format
from gradstep._model import Model, Standardize, load, write_file
from helpers.documents import good, good_encoded, good_of_three
from helpers.pages import ROOT

finite = st.floats(allow_nan=False, allow_infinity=False)
errors = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | text
classes: st.SearchStrategy[Any] = st.one_of(
    st.just([False, True]),
    st.lists(text, min_size=2, max_size=4, unique=True),
    st.lists(st.integers(-(2**63), 2**64 - 1) | finite, min_size=2, max_size=4, unique=True),
)


dates = st.dates().map(lambda day: day.isoformat())


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from(["number", "categories", "date"]))
    indicator = draw(st.booleans())
    if kind == "categories":
        levels = draw(st.lists(text, min_size=1, max_size=3, unique=True))
        return Column(name, kind, levels, fill=draw(st.none() | st.sampled_from(levels)), indicator=indicator)
    since, format = (draw(dates), draw(st.none() | text)) if kind == "date" else (None, None)
    return Column(name, kind, since=since, format=format, fill=draw(st.none() | finite), indicator=indicator)


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    names = draw(st.lists(text, min_size=1, max_size=3, unique=True))
    formats = st.builds(
        Format,
        st.sampled_from([None, ",", "\t", "|"]),
        st.sampled_from([None, ".", ","]),
        st.sampled_from([None, "utf-8", "latin-1"]),
        st.lists(text, max_size=2),
    )
    return Encoding(
        [draw(columns(name)) for name in names],
        draw(st.sampled_from(["refuse", "drop", "mean", "indicator"])),
        draw(st.lists(text, max_size=2)),
        draw(formats),
    )


@st.composite
def models(draw: st.DrawFn) -> Model:
    encoding = draw(st.none() | encodings())
    features = encoding.features if encoding else draw(st.lists(text, min_size=1, max_size=6, unique=True))
    assume(features and len(set(features)) == len(features))
    n = len(features)

    def several(values: st.SearchStrategy[Any], count: int = n) -> st.SearchStrategy[list[Any]]:
        return st.lists(values, min_size=count, max_size=count)

    names = draw(classes)
    is_binary = len(names) == 2
    return Model(
        features=features,
        target=draw(text),
        classes=names,
        weights=draw(several(finite) if is_binary else several(several(finite), len(names))),
        bias=draw(finite if is_binary else several(finite, len(names))),
        standardize=draw(st.none() | st.builds(Standardize, several(finite), several(positive))),
        options=draw(st.dictionaries(text, scalar, max_size=4)),
        result=draw(st.dictionaries(text, scalar | st.lists(text, max_size=3), max_size=4)),
        gradstep=draw(text),
        activation=draw(st.sampled_from(["sigmoid", "step"])) if is_binary else "sigmoid",
        encoding=encoding,
        standard_errors=draw(
            st.none() | several(several(st.none() | errors, n + 1), 1 if is_binary else len(names) - 1)
        ),
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


def test_the_good_model_is_good() -> None:
    model = Model.from_json(json.dumps(good()))
    assert model.weights == [1.5, -2.0]
    assert Model.from_json(json.dumps({**good(), "certificate": {"gap": 1e-9}})) == model, "unknown fields are ignored"
    assert Model.from_json(json.dumps({**good(), "weights": [1, 2]})).weights == [1.0, 2.0], "a whole number will do"


def test_the_good_model_of_three_classes_is_good() -> None:
    model = Model.from_json(json.dumps(good_of_three()))
    assert model.weights == [[1.5, -2.0], [0.5, 0.0], [-2.0, 2.0]]
    assert model.bias == [0.25, 0.5, -0.75]


def test_the_good_model_of_version_2_is_good() -> None:
    model = Model.from_json(json.dumps(good_encoded()))
    assert json.loads(model.to_json())["encoding"] == good_encoded()["encoding"]
    assert json.loads(model.to_json())["version"] == 2
    assert model.encoding and model.encoding.describe() == [
        "missing values: 'a' (a feature says where), 'port' ('S')",
        "categories: 'port' (against 'C')",
        "dates, as days: 'day' (since 2024-01-31)",
    ]
    # The scores z by hand. In the second row `a` is missing: its fill is 1.5, and "a missing" is 1; port is Q, and the
    # day is two days after the first.
    X = {"a": ["2,0", "-", "2"], "port": ["C", "Q", ""], "day": ["31/01/2024", "02/02/2024", "01/02/2024"]}
    z = [0.25 + 1.5 * 2, 0.25 + 1.5 * 1.5 - 2.0 + 0.5 - 1.0 * 2, 0.25 + 1.5 * 2 + 0.25 - 1.0]
    pytest.importorskip("polars")
    np.testing.assert_allclose(model.predict_proba(X), 1 / (1 + np.exp(-np.array(z))), rtol=1e-14)
    document = good_encoded()
    del document["encoding"]["columns"][0]["fill"]
    with pytest.raises(ValueError, match="X: column 'a', data row 2: missing value"):
        Model.from_json(json.dumps(document)).predict_proba(X)


def schema() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    path = ROOT / "docs" / "model.schema.json"
    if not path.is_file():
        pytest.skip("the sources are not here")
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@given(models())
def test_what_is_written_fits_the_schema(model: Model) -> None:
    assert list(schema().iter_errors(json.loads(model.to_json()))) == []


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    for document in (good(), good_of_three(), good_encoded(), json.loads(OLD)):
        assert schema().is_valid(document)
        Model.from_json(json.dumps(document))
        for name in document:
            assert not schema().is_valid({key: value for key, value in document.items() if key != name})
    wrong = [{**good(), field: value} for field, value in WRONG_FIELDS]
    wrong += [{**good_encoded(), field: value} for field, value in WRONG_ENCODINGS]
    missed = [document for document in wrong if schema().is_valid(document)]
    # `missed` are faults that a schema cannot express: lengths and names that must agree (11), numbers of 64 bits (3),
    # surrogates, 1.0 and 1, and which encodings there are (2).
    assert len(wrong) > 90 and len(missed) <= 18


def test_standard_errors_are_of_all_coefficients() -> None:
    for document, rows in ((good(), 1), (good_of_three(), 2)):
        width = len(document["features"]) + 1
        Model.from_json(json.dumps(document | {"standard_errors": [[0.5] * width] * rows}))
        for wrong in ([[0.5] * (width - 1)] * rows, [[0.5] * width] * (rows + 1), []):
            with pytest.raises(ValueError, match=r"have .* values in field 'standard_errors', got"):
                Model.from_json(json.dumps(document | {"standard_errors": wrong}))


OLD = """{
  "format": "gradstep-model",
  "version": 1,
  "formula": "probability of classes[1] = 1 / (1 + exp(-(bias + sum over j of weights[j] * x[j]))), with x[j] = (the value of features[j] - standardize.mean[j]) / standardize.scale[j]",
  "features": ["x1", "x2"],
  "target": "y",
  "classes": ["no", "yes"],
  "weights": [1.3957870669325445, -0.7345570644895646],
  "bias": -0.002092416882499287,
  "standardize": {
    "mean": [1.1666666666666667, 0.5166666666666667],
    "scale": [0.7312470322826768, 1.4948987330994103]
  },
  "options": {
    "learning_rate": 0.5, "epochs": 40, "batch_size": "full", "shuffle": false, "seed": null, "l2": 0.01, "tol": 0.0,
    "reduction": "mean"
  },
  "result": {
    "rows": 6, "loss": 0.3920434464076981, "accuracy": 0.6666666666666666, "n_epochs": 40, "stop_reason": "epochs"
  },
  "gradstep": "0.1.0"
}
"""  # noqa: E501
"""A model file of version 1, as gradstep wrote it before it had optima and several classes; with line breaks added."""


def test_an_old_file_loads() -> None:
    model = Model.from_json(OLD)
    X = np.array([[0.5, 1], [1.5, -2], [0.25, 3], [2.5, 0], [1, 1], [1.25, 0.1]])
    # What predict printed for these rows when the file was written.
    want = [0.18062655165872532, 0.8665502944034272, 0.04870446751984019, 0.9425037549539849, 0.36407514414400877,
            0.5894548460067836]  # fmt: skip
    assert model.predict_proba(X).tolist() == want
    assert json.loads(model.to_json()) == json.loads(OLD), "and is still written so"


WRONG_FIELDS: list[tuple[str, object]] = [
    ("format", "pickle"),
    ("format", None),
    ("version", 3),
    ("version", True),
    ("version", 1.0),
    ("version", "1"),
    ("formula", 3),
    ("standard_errors", "none"),
    ("standard_errors", [1.0, 1.0]),
    ("standard_errors", [["1"]]),
    ("standard_errors", [[-1.0, None, 1.0]]),
    ("features", []),
    ("features", ["a"]),
    ("features", ["a", "b", "c"]),
    ("features", ["a", "a"]),
    ("features", ["a", 1]),
    ("features", "ab"),
    ("features", ["a", "\ud800"]),
    ("target", None),
    ("classes", [0]),
    ("weights", [[1.5, -2.0], [1.0, 2.0]]),
    ("classes", []),
    ("classes", [None, None]),
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
    ("activation", None),
    ("activation", "softmax"),
    ("activation", ["step"]),
    ("options", []),
    ("options", {"epochs": [1]}),
    ("options", {"epochs": {"a": {}}}),
    ("result", None),
    ("result", {"aliased": ["a", 1]}),
    ("result", {"aliased": [["a"]]}),
    ("result", {"aliased": {"a": 0}}),
    ("gradstep", 1),
]


def encoded(**parts: object) -> tuple[str, object]:
    return "encoding", {**good_encoded()["encoding"], **parts}


def with_column(place: int, **parts: object) -> tuple[str, object]:
    several = good_encoded()["encoding"]["columns"]
    several[place] |= parts
    return encoded(columns=several)


WRONG_ENCODINGS: list[tuple[str, object]] = [
    ("encoding", None),
    ("encoding", []),
    ("encoding", {}),
    encoded(columns=[]),
    encoded(columns=[{}]),
    encoded(columns=[1]),
    encoded(columns={"a": 1}),
    encoded(missing="fill"),
    encoded(missing=None),
    encoded(ids="a"),
    encoded(ids=[1]),
    encoded(format=None),
    encoded(format={}),
    encoded(format={"delimiter": 1, "decimal": None, "encoding": None, "na": []}),
    encoded(format={"delimiter": "::", "decimal": None, "encoding": None, "na": []}),
    encoded(format={"delimiter": None, "decimal": None, "encoding": "klingon", "na": []}),
    encoded(format={"delimiter": None, "decimal": None, "encoding": "hex", "na": []}),
    encoded(format={"delimiter": None, "decimal": ";", "encoding": None, "na": []}),
    encoded(format={"delimiter": None, "decimal": None, "encoding": None, "na": None}),
    with_column(0, name=1),
    with_column(0, name="port"),
    with_column(0, name="b"),
    with_column(0, kind="text"),
    with_column(0, fill="1"),
    with_column(0, fill=True),
    with_column(0, fill=10**400),
    with_column(0, indicator=1),
    with_column(0, indicator=False),
    with_column(0, levels=["a"]),
    with_column(0, since="2024-01-31"),
    with_column(1, levels=[]),
    with_column(1, levels=["C", "C", "S"]),
    with_column(1, levels=["C", "Q"]),
    with_column(1, levels=["C", "Q", None]),
    with_column(1, fill="X"),
    with_column(1, fill=1.5),
    with_column(2, since=None),
    with_column(2, since="31.1.2024"),
    with_column(2, since=20240131),
    with_column(2, format=1),
]


@pytest.mark.parametrize(("field", "value"), WRONG_ENCODINGS)
def test_wrong_encoding(tmp_path: Path, field: str, value: object) -> None:
    refused(tmp_path, json.dumps({**good_encoded(), field: value}).encode(), field)


def test_version_2_needs_an_encoding(tmp_path: Path) -> None:
    refused(tmp_path, json.dumps({**good(), "version": 2}).encode(), "encoding")


@pytest.mark.parametrize(("field", "value"), WRONG_FIELDS)
def test_wrong_field(tmp_path: Path, field: str, value: object) -> None:
    refused(tmp_path, json.dumps({**good(), field: value}).encode(), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", ["a", "b"]),
        ("classes", ["a", "b", "c", "d"]),
        ("classes", ["a", "b", "a"]),
        ("classes", ["a", "b", None]),
        ("classes", ["a", "b", 1]),
        ("classes", [0, 1, 1.0]),
        ("classes", [0, True, 2]),
        ("classes", [0, 1, 2**64]),
        ("weights", [1.5, -2.0]),
        ("weights", [1.5, -2.0, 0.5]),
        ("weights", [[1.5, -2.0], [0.5, 0.0]]),
        ("weights", [[1.5, -2.0], [0.5, 0.0], [-2.0]]),
        ("weights", [[1.5, -2.0], [0.5, 0.0], [-2.0, True]]),
        ("weights", [[1.5, -2.0], [0.5, 0.0], [-2.0, [2.0]]]),
        ("weights", [[1.5, -2.0], [0.5, 0.0], [-2.0, 10**400]]),
        ("weights", [[1.5, -2.0], [0.5, 0.0], {"a": -2.0, "b": 2.0}]),
        ("bias", 0.25),
        ("bias", [0.25, 0.5]),
        ("bias", [0.25, 0.5, None]),
        ("activation", "step"),
    ],
)
def test_wrong_field_of_three_classes(tmp_path: Path, field: str, value: object) -> None:
    field_named = "weights" if value == ["a", "b"] or value == ["a", "b", "c", "d"] else field
    refused(tmp_path, json.dumps({**good_of_three(), field: value}).encode(), field_named)


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
        load(path)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.from_json(json.dumps(good_of_three()))
    size = len(model.to_json().encode())
    monkeypatch.setattr(_model, "MAX_BYTES", size)
    model.save(tmp_path / "a.json")
    assert load(tmp_path / "a.json") == model
    monkeypatch.setattr(_model, "MAX_BYTES", size - 1)
    with pytest.raises(ValueError, match=f"must have at most {size - 1} bytes, got {size}"):
        model.save(tmp_path / "b.json")
    assert os.listdir(tmp_path) == ["a.json"]


def test_long_and_many_categories_are_not_all_listed(tmp_path: Path) -> None:
    for levels in (["C", "Q", "9" * 400], [f"{k}" * 9 for k in range(200)]):
        document = good_encoded()
        document["encoding"]["columns"][1] |= {"levels": levels, "fill": "S"}
        refused(tmp_path, json.dumps(document).encode(), f"be {levels[0]!r} or ", "got 'S'")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_endless_file() -> None:
    with pytest.raises(ValueError, match="must have at most"):
        load(Path("/dev/zero"))


def refused(folder: Path, content: bytes, *words: str) -> None:
    path = folder / "model.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        load(path)
    message = str(caught.value)
    assert message.startswith(f"model file {path} must "), message
    assert ", got " in message, message
    assert len(message) < len(str(path)) + 300, message
    for word in words:
        assert word in message


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")


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


def test_the_formula_of_several_classes_gives_the_prediction() -> None:
    document = good_of_three()
    model = Model.from_json(json.dumps(document))
    text = json.loads(model.to_json())["formula"]
    assert "exp(z[k]) / (sum over c of exp(z[c]))" in text and "standardize.mean[j]" in text
    row = [-3.0, 0.5]
    x = [
        (value - document["standardize"]["mean"][j]) / document["standardize"]["scale"][j]
        for j, value in enumerate(row)
    ]
    z = [document["bias"][k] + sum(document["weights"][k][j] * x[j] for j in range(2)) for k in range(3)]
    want = [math.exp(z[k]) / sum(math.exp(z[c]) for c in range(3)) for k in range(3)]
    # Every z errs by at most 8 eps of the sum of its terms' sizes, which is below 4, and so do their exponentials.
    np.testing.assert_allclose(model.predict_proba(np.array([row])), [want], rtol=64 * np.finfo(float).eps)


def test_labels_are_those_of_the_functions() -> None:
    """Class 1 where the score is positive, and not at a probability of exactly 0.5; a perceptron's also at 0."""
    X = np.array([[0.0], [-1.0], [1.0], [5e-324]])
    two = {**good(), "features": ["a"], "weights": [1.0], "bias": 0.0, "standardize": None}
    for activation, labels, probability in [
        ("sigmoid", [0, 0, 1, 1], [0.5, 1 / (1 + math.e), 1 / (1 + 1 / math.e), 0.5]),
        ("step", [1, 0, 1, 1], [1.0, 0.0, 1.0, 1.0]),
    ]:
        got = Model.from_json(json.dumps({**two, "activation": activation})).probabilities(X)
        assert got[1].tolist() == labels
        np.testing.assert_allclose(got[0], probability, rtol=1e-15)
        descent = gradstep.Trainer(activation=activation, epochs=1).fit(X, [0, 0, 1, 1])
        assert dataclasses.replace(descent, weights=np.ones(1), bias=0.0).predict(X).tolist() == labels
    three = {**good_of_three(), "standardize": None, "weights": [[0.0, 0.0]] * 3, "bias": [0.0, 1.0, 1.0]}
    assert Model.from_json(json.dumps(three)).probabilities(np.zeros((1, 2)))[1].tolist() == [1]


def test_a_perceptron_says_that_it_is_one() -> None:
    model = Model.from_json(json.dumps({**good(), "activation": "step"}))
    document = json.loads(model.to_json())
    assert document["activation"] == "step" and "a perceptron" in document["formula"]
    assert Model.from_json(model.to_json()) == model
    assert "activation" not in json.loads(Model.from_json(json.dumps(good())).to_json())


def test_prediction_is_predict_proba() -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = Model.from_json(json.dumps({**good(), "standardize": None}))
    np.testing.assert_array_equal(model.predict_proba(X), gradstep.predict_proba(X, [1.5, -2.0], 0.25))


def test_standardize() -> None:
    X = np.column_stack([np.arange(7.0), np.full(7, 0.1), np.linspace(-1e6, 1e6, 7)])
    scaling = Standardize.of(X)
    assert scaling.mean[:2] == [3.0, 0.1]
    assert scaling.scale[:2] == [2.0, 1.0]  # population deviation: the mean of 9, 4, 1, 0, 1, 4, 9 is 4
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
