"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gradstep._train import DESCENT


class FiniteRange(click.FloatRange):
    """A range of finite numbers. click only compares with the ends of the range, so nan and inf may pass there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Whole(click.ParamType[Any]):
    """A whole number in a range, or one of the `words`."""

    name = "integer"

    def __init__(self, minimum: int, bits: int, *words: str) -> None:
        self.minimum = minimum
        self.maximum = 2**bits - 1
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value in self.words:
            return str(value)
        try:
            number = int(value)
        except ValueError:
            number = self.minimum - 1
        if not self.minimum <= number <= self.maximum:
            words = "".join(f" or {word!r}" for word in self.words)
            self.fail(f"{value!r} is not a whole number from {self.minimum} to {self.maximum}{words}.", param, ctx)
        return number


class Start(click.ParamType[Any]):
    """Finite numbers with commas between them. The value stays text, since the model file has it as text."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            numbers = [math.nan]
        if not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r} is not finite numbers with commas between them.", param, ctx)
        return ",".join(map(repr, numbers))


class ByName(click.ParamType[Any]):
    """A finite number for all features, or NAME=VALUE for one name. It is converted to a pair of name and number."""

    name = "number"

    def __init__(self, minimum: float = -math.inf) -> None:
        self.minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        name, _, written = value.rpartition("=")  # a feature of categories has a = in its name
        try:
            number = float(written)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= self.minimum):
            positive = "" if self.minimum < 0 else f" of at least {self.minimum:g}"
            self.fail(f"{value!r} is not a finite number{positive}, nor NAME=NUMBER.", param, ctx)
        return name, number


COUNT = Whole(1, 63)
BATCH_SIZE = Whole(1, 63, "full")
SEED = Whole(0, 64)
FOLDS = Whole(2, 63)
POSITIVE = FiniteRange(min=0, min_open=True)
RATIO = FiniteRange(min=0, max=1)
FRACTION = FiniteRange(min=0, max=1, min_open=True, max_open=True)
NOT_NEGATIVE = FiniteRange(min=0)
PATH = click.Path(path_type=Path)

header_option = click.option(
    "--header/--no-header", default=None, help="Whether the first row of a CSV file names the columns.  [default: look]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

target_option = click.option("--target", metavar="COLUMN", help="Column to predict.  [default: the last]")
l2_option = click.option(
    "--l2", metavar="L", type=NOT_NEGATIVE, default=0.0, help="Add L/2·‖weights‖² to the loss.  [default: 0]"
)
standardize_option = click.option(
    "--standardize", is_flag=True, help="Bring every feature to mean 0 and standard deviation 1 first."
)
feature_options = (
    click.option(
        "--penalty-factor",
        "penalty_factors",
        metavar="NAME=F",
        multiple=True,
        type=ByName(0),
        help="Multiply --l1 and --l2 by F for this feature or column: 0 leaves its weight without penalty.",
    ),
    click.option(
        "--lower", metavar="[NAME=]B", multiple=True, type=ByName(), help="Let no weight, or this one, be below B."
    ),
    click.option(
        "--upper", metavar="[NAME=]B", multiple=True, type=ByName(), help="Let no weight, or this one, be above B."
    ),
    click.option(
        "--prior",
        metavar="MODEL",
        type=PATH,
        help="Let --l2 draw the weights to those of this model, such as yesterday's, instead of 0.",
    ),
    click.option(
        "--grouped",
        is_flag=True,
        help="Of three classes or more: --l1 leaves the weights of a feature at 0 for all classes or for none.",
    ),
)
"""Options of the objective about single features."""
DESCENT_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "--learning-rate": (
        f"the learning rate.  [default: {DESCENT['learning_rate']}]", {"metavar": "A", "type": POSITIVE}
    ),
    "--epochs": (f"passes over the rows.  [default: {DESCENT['epochs']}]", {"metavar": "N", "type": COUNT}),
    "--batch-size": ("rows per step.  [default: full]", {"metavar": "N|full", "type": BATCH_SIZE}),
    "--reduction": (
        "whether a step goes along the mean or the sum over its rows.  [default: mean]",
        {"type": click.Choice(("mean", "sum"))},
    ),
    "--activation": (
        "what makes predictions of scores; step is the perceptron, for two classes.  [default: sigmoid]",
        {"type": click.Choice(("sigmoid", "step"))},
    ),
    "--start": (
        "the weights to start from, in the order of the columns, and the bias; of several classes one class after the "
        "other.  [default: zero]",
        {"metavar": "W1,W2,…,B", "type": Start()},
    ),
    "--shuffle": ("take the rows in a new random order in every epoch.", {"is_flag": True}),
    "--seed": ("seed of that order.  [default: drawn, and kept in the result]", {"metavar": "S", "type": SEED}),
}  # fmt: skip


def descent_options(before: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds the options of a descent to a command; their help texts begin with `before`."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name, (told, rest) in reversed(DESCENT_OPTIONS.items()):
            told = before + told if before else told[0].upper() + told[1:]
            command = click.option(name, help=told, **rest)(command)
        return command

    return add
