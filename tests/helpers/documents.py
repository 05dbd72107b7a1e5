"""The contents of good model files; tests and fuzzing spoil one part after the other."""

from typing import Any


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
        "result": {"loss": 0.5, "aliased": ["b"]},
        "gradstep": "0.1.0",
    }


def good_of_three() -> dict[str, Any]:
    three = {"classes": ["a", "b", "c"], "weights": [[1.5, -2.0], [0.5, 0.0], [-2.0, 2.0]], "bias": [0.25, 0.5, -0.75]}
    return {**good(), **three}


def good_encoded() -> dict[str, Any]:
    """A model file of version 2: features are made of a number, categories, and a date."""
    columns = [
        {"name": "a", "kind": "number", "fill": 1.5, "indicator": True},
        {"name": "port", "kind": "categories", "levels": ["C", "Q", "S"], "fill": "S"},
        {"name": "day", "kind": "date", "since": "2024-01-31", "format": "%d/%m/%Y"},
    ]
    written = {"delimiter": ";", "decimal": ",", "encoding": "latin-1", "na": ["-"]}
    return {
        **good(),
        "version": 2,
        "features": ["a", "a missing", "port=Q", "port=S", "day"],
        "weights": [1.5, -2.0, 0.5, 0.25, -1.0],
        "standardize": None,
        "encoding": {"columns": columns, "missing": "mean", "ids": ["id"], "format": written},
    }
