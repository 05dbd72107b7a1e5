"""The page in a headless Chromium with the network cut off: what is seen, pressed and computed there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.browser import NARROW, WIDE, Watched, chromium, opened
from helpers.shown import LESSON, RNG, START, X, Y

FOUR = RNG.normal(size=(80, 4)) * [1.0, 20.0, 0.1, 3.0] + [0.0, 50.0, -2.0, 1.0]
FOUR_Y = (RNG.random(80) < gradstep.sigmoid((FOUR - FOUR.mean(axis=0)) @ [1.0, 0.1, 5.0, 0.1])).astype(float)
FLAT = (FOUR - FOUR.mean(axis=0)) / FOUR.std(axis=0)

TRAINERS = {
    "point by point": LESSON,
    "perceptron": gradstep.Trainer(0.1, 12, batch_size=1, activation="step"),
    "all rows": gradstep.Trainer(0.5, 30),
    "batches": gradstep.Trainer(0.5, 10, batch_size=7, l2=0.01),
    "shuffled": gradstep.Trainer(0.1, 10, batch_size=1, shuffle=True, seed=5),
    "summed": gradstep.Trainer(0.05, 10, batch_size=30, shuffle=True, seed=5, reduction="sum"),
}


COLOURS = """(name) => {
  const canvas = document.getElementById(name), { width, height } = canvas;
  return new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer)).size;
}"""
"""A function of JavaScript: the number of different colours in a canvas."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def page_of(trainer: gradstep.Trainer, folder: Path, x: Any = X, y: Any = Y, **options: Any) -> Path:
    descent = trainer.fit(x, y, np.resize(START, np.shape(x)[1]), 0.25)
    return gradstep.show(descent, x, y, file=folder / "page.html", open_browser=False, **options)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_is_drawn_and_fits_the_window(browser: Any, tmp_path: Path, size: dict[str, int], scheme: str) -> None:
    with opened(browser, page_of(LESSON, tmp_path, title="data.csv"), size, scheme) as watched:
        page = watched.page
        assert page.title() == "The descent: data.csv"
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        for name in ("points", "valley", "errors", "scores"):
            assert page.evaluate(COLOURS, name) > 20, name
            assert len(page.get_attribute(f"#{name}", "aria-label")) > 30
        height = page.evaluate("document.documentElement.scrollHeight")
        assert height < (1100 if size is WIDE else 2600)
        for rate, epoch in [(4, 100), (20, 30), (24, 0)]:
            go(watched, epoch, 12, rate)
            page.screenshot(full_page=True)  # as in a window of the page's height
        assert abs(page.evaluate("document.documentElement.scrollHeight") - height) < 60, "only captions may be longer"
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("name", TRAINERS)
def test_its_own_check_passes_with_the_bits_of_the_trainer(browser: Any, tmp_path: Path, name: str) -> None:
    """Every embedded epoch is `Trainer`'s, to the bit; every epoch computed in the page ends where the next begins."""
    trainer = TRAINERS[name]
    with opened(browser, page_of(trainer, tmp_path), part="#check") as watched:
        assert watched.page.title().startswith("check passed: 50 runs, within ")
        runs = json.loads(watched.page.text_content("#check"))
    for run in runs:
        other = replace(trainer, activation=run["activation"], learning_rate=run["rate"], path=True)
        path = np.column_stack(other.fit(X, Y, START, 0.25).path)
        assert bytes.fromhex(run["path"]) == np.vstack([[*START, 0.25], path]).astype("<f8").tobytes()
        assert run["drift"] <= 1e-12


def test_where_rounding_would_grow_within_an_epoch_the_page_is_given_weights(browser: Any, tmp_path: Path) -> None:
    """For such data, with α around 50, an update by a point near the line multiplies an error of the weights."""
    x = np.random.default_rng(3).normal(size=(100, 2)) * [0.9, 0.6] + np.outer(Y - 0.5, [1.5, 1.0])
    descent = LESSON.fit(x, Y, START)
    page = gradstep.show(descent, x, Y, file=tmp_path / "page.html", open_browser=False)
    with opened(browser, page) as watched:
        assert max(run["drift"] for run in watched.page.evaluate("check()")) <= 1e-12
        watched.page.evaluate("data.runs.sigmoid.forEach((run) => run.marks.clear())")
        assert max(run["drift"] for run in watched.page.evaluate("check()")) > 1e-12


def test_the_check_sees_one_changed_bit(browser: Any, tmp_path: Path) -> None:
    page = page_of(LESSON, tmp_path)
    descent = LESSON.fit(X, Y, START, 0.25)
    bits = descent.path.weights[40, 0].tobytes().hex()
    with opened(browser, page, part="#check") as watched:
        ours = json.loads(watched.page.text_content("#check"))
        (own,) = [run for run in ours if run["activation"] == "sigmoid" and run["rate"] == 0.01]
        assert own["path"][41 * 48 : 41 * 48 + 16] == bits
        watched.page.evaluate("data.runs.sigmoid[data.rate].path[3 * 41] *= 1 + 1e-11")
        assert max(run["drift"] for run in watched.page.evaluate("check()")) > 1e-12


@pytest.mark.parametrize("name", TRAINERS)
def test_each_update_is_that_of_the_trace(browser: Any, tmp_path: Path, name: str) -> None:
    """For every learning rate, each update of an epoch agrees within 1e-12 of the largest weight."""
    trainer = TRAINERS[name]
    with opened(browser, page_of(trainer, tmp_path)) as watched:
        rates = watched.page.evaluate("data.rates")
        assert rates[0] <= 0.01 and rates[-1] == 1000
        for at, rate in enumerate(rates):
            traced = replace(trainer, learning_rate=rate, trace=True).fit(X, Y, START, 0.25)
            script = (
                f"JSON.stringify(Array.from({{length: {traced.n_epochs}}}, (_, epoch) =>"
                f" updates('{trainer.activation}', {at}, epoch).slice(1).map((v) => Array.from(v))).flat())"
            )
            ours = np.array(json.loads(watched.page.evaluate(script)))
            want = np.column_stack([traced.trace["weights"], traced.trace["bias"]])
            size = np.abs(want).max(axis=1, keepdims=True)
            assert len(ours) == len(want)
            assert (np.abs(ours - want) <= 1e-12 * size).all(), rate


def go(watched: Watched, epoch: int, place: int, rate: int | None = None) -> None:
    """Move the sliders of the page to an epoch, a place in its order and a learning rate."""
    for name, value in (("rate", rate), ("epoch", epoch), ("place", place)):
        if value is not None:
            watched.page.locator(f"#{name}").fill(str(value))


@pytest.mark.parametrize("case", [(X, Y), (FLAT, FOUR_Y), (X[:, :1], Y)], ids=["two columns", "four", "one"])
def test_the_formulas_are_those_of_explain(browser: Any, tmp_path: Path, case: Any) -> None:
    """For the same update, the page's formulas are those of `explain`, letter by letter."""
    x, y = case
    trainer = gradstep.Trainer(0.01, 8, batch_size=1, trace=True)
    start = np.resize(START, x.shape[1])
    with opened(browser, page_of(trainer, tmp_path, x, y)) as watched:
        for at, rate in [(None, 0.01), (0, 0.001), (16, 10.0), (24, 1000.0)]:
            traced = replace(trainer, learning_rate=rate).fit(x, y, start, 0.25).trace
            same = 0
            for epoch, place in [(0, 0), (0, 1), (3, 17), (7, len(x) - 1)]:
                go(watched, epoch, place, at)
                number = epoch * len(x) + place
                before = traced[number - 1] if number else {"weights": start, "bias": 0.25}
                want = str(gradstep.explain(x[place], y[place], before["weights"], before["bias"], rate))
                # Weights computed in the page may differ in their last bits, and then in the last of six digits.
                got = watched.lines()
                assert len(got) == 9
                for ours, theirs in zip(got, want.splitlines(), strict=True):
                    same += ours == theirs.strip()
                    shape = [re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "0", line) for line in (ours, theirs.strip())]
                    assert shape[0].replace("-0", "0") == shape[1].replace("-0", "0")
            assert same >= 34


def values(text: str) -> list[float]:
    """The value of an expression of the page, as a list: the numbers of a vector, without those hidden by "…"."""
    text = text.strip().removeprefix("after epoch").replace("…, ", "")
    python = re.sub(r"\|([^|]+)\|", r"abs(\1)", text).replace("·", "*").replace("e^(", "exp(")
    python = re.sub(r"\bln ([\d.e+-]+)", r"np.log(\1)", python).replace("ln (", "np.log(")
    # A pair of brackets with a comma is a vector.
    python = re.sub(r"(?<![a-z])\(([^()]*,[^()]*)\)", r"np.array([\1])", python)
    names = {"np": np, "max": max, "abs": abs, "exp": np.exp, "step": lambda z: float(z >= 0)}
    with np.errstate(all="ignore"):  # e^-z may overflow, where ŷ is 0, and the last digit of ŷ may lead beyond 1
        return [float(value) for value in np.atleast_1d(eval(python, names))]


NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]\d+)?")


def room(number: str) -> float:
    """Half a unit in the last of the six digits that a number is rounded to."""
    value = abs(float(number))
    return 0.5 * 10.0 ** (math.floor(math.log10(value)) - 5) if value else 0.0


def assert_reparses(line: str) -> None:
    """Assert that the numbers in the formula give its result, within the rounding of each number to six digits."""
    _, _, rest = re.split(r"(=|←)", line, maxsplit=1)
    *formula, result = rest.split(" = ")
    if len(formula) < 2:  # there is only a result: w ← w + Δw = …
        return
    expression = formula[-1]
    try:
        want, got = np.array(values(result)), np.array(values(expression))
    except (SyntaxError, NameError) as error:
        raise AssertionError(line) from error
    if "…" in line:
        got = got[: len(want)]
    slack = np.array([room(part) for part in NUMBER.findall(result)]) * 1.01
    for number in NUMBER.finditer(expression):
        moves = []
        for sign in (1, -1):
            moved = float(number[0]) + sign * room(number[0])
            text = f"{expression[: number.start()]}{moved!r}{expression[number.end() :]}"
            moves.append(np.abs(np.array(values(text))[: len(want)] - got))
        slack = slack + np.nan_to_num(np.maximum(*moves), nan=np.inf) * 1.05
    assert (np.abs(got - want) <= slack + 1e-15).all(), line


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("activation", ["sigmoid", "step"])
def test_the_formulas_reparse_to_their_own_results(browser: Any, tmp_path: Path, name: str, activation: str) -> None:
    x, y = (FLAT, FOUR_Y) if name == "batches" else (X, Y)
    checked = set()
    with opened(browser, page_of(TRAINERS[name], tmp_path, x, y)) as watched:
        watched.page.select_option("#activation", activation)
        for rate in (0, 4, 12, 24):
            for epoch, place in [(0, 0), (2, 33), (9, 79)]:
                go(watched, epoch, place, rate)
                for line in watched.lines():
                    assert_reparses(line)
                    checked.add(re.split(r"[ =←]", line)[0])
    assert checked >= {"z", "ŷ", "y", "Δw", "Δb", "w", "b", "wrong" if activation == "step" else "∇E"}


def test_buttons_sliders_and_keys(browser: Any, tmp_path: Path) -> None:
    with opened(browser, page_of(LESSON, tmp_path)) as watched:
        page = watched.page

        def at() -> str:
            return str(page.text_content("#status").partition(":")[0])

        assert at() == "Epoch 1, update 1 of 100" and page.is_disabled("#back")
        page.click("#next")
        assert at() == "Epoch 1, update 2 of 100" and "row 2," in page.text_content("#status")
        page.click("#back")
        page.locator("h1").click()  # takes the focus from the buttons
        for key, want in [
            ("ArrowRight", "Epoch 1, update 2 of 100"),
            ("Shift+ArrowRight", "Epoch 2, update 2 of 100"),
            ("ArrowLeft", "Epoch 2, update 1 of 100"),
            ("ArrowLeft", "Epoch 1, update 100 of 100"),
            ("End", "After the last epoch"),
            ("ArrowRight", "After the last epoch"),
            ("ArrowLeft", "Epoch 100, update 100 of 100"),
            ("Home", "Epoch 1, update 1 of 100"),
            ("ArrowLeft", "Epoch 1, update 1 of 100"),
        ]:
            page.keyboard.press(key)
            assert at() == want, key
        page.keyboard.press("ArrowUp")
        assert page.text_content("#rate-value") == "0.018"
        page.keyboard.press("ArrowDown")
        assert page.text_content("#rate-value") == "0.01"
        page.locator("#epoch").focus()
        page.keyboard.press("ArrowRight")
        assert at() == "Epoch 2, update 1 of 100", "the slider's own key"
        page.select_option("#stride", "epoch")
        page.click("#next")
        assert at() == "Epoch 3, update 1 of 100"
        page.select_option("#activation", "step")
        assert "misclassified" in page.text_content("#errors-caption")
        assert page.evaluate("document.getElementById('errors-caption').textContent.split(': ')[1]") == (
            f"{replace(LESSON, activation='step').fit(X, Y, START, 0.25).history[1]:.6g}"
        )


def test_it_plays_to_the_end_and_pauses(browser: Any, tmp_path: Path) -> None:
    with opened(browser, page_of(gradstep.Trainer(0.5, 30), tmp_path)) as watched:
        page = watched.page
        assert page.is_hidden("#stride"), "an update is an epoch"
        page.locator("h1").click()
        page.keyboard.press("Space")
        watched.until("Number(document.getElementById('epoch').value) >= 2")
        assert "pause" in page.text_content("#play")
        page.keyboard.press("Space")
        stopped = page.input_value("#epoch")
        page.wait_for_timeout(300)
        assert page.input_value("#epoch") == stopped
        page.click("#play")
        watched.until("document.getElementById('status').textContent.startsWith('After the last epoch')")
        watched.until("document.getElementById('play').textContent === '▶ play'")
        page.click("#play")
        watched.until("Number(document.getElementById('epoch').value) < 30")


def test_a_point_that_is_clicked_becomes_the_row(browser: Any, tmp_path: Path) -> None:
    with opened(browser, page_of(LESSON, tmp_path)) as watched:
        page = watched.page
        place = page.evaluate("[pointsPanel.toX(placeOf(41)[0]), pointsPanel.toY(placeOf(41)[1])]")
        page.locator("#points").click(position={"x": place[0], "y": place[1]})
        assert page.text_content("#place-value") == "42 of 100"
        page.locator("#errors").click(position={"x": page.evaluate("errorsPanel.toX(30)"), "y": 60})
        assert page.text_content("#epoch-value") == "30 of 100"


def test_of_a_sample_the_epochs_are_shown(browser: Any, tmp_path: Path) -> None:
    many = RNG.normal(size=(3000, 3))
    y = (RNG.random(3000) < gradstep.sigmoid(many @ [1.0, -1.0, 0.5])).astype(float)
    trainer = gradstep.Trainer(0.5, 6, batch_size=10)
    with opened(browser, page_of(trainer, tmp_path, many, y)) as watched:
        assert "A sample of 2000 rows is shown" in watched.page.text_content("#facts")
        end = trainer.fit(many, y, np.resize(START, 3), 0.25)
        go(watched, 5, 0)
        assert watched.lines()[-1] == f"b after epoch 6 = {end.bias:.6g}"
        go(watched, 6, 1999)
        assert len(watched.lines()) == 5
        assert watched.page.text_content("#errors-caption").endswith(f"{end.history[-1]:.6g}")


NAMES = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>\"'&amp;",
    "🌲 emoji 👩‍🔬",
    "עברית עם (סוגריים)",
    "long " * 40,
    "",
]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", NAMES, ids=["script", "image", "emoji", "rtl", "long", "empty"])
def test_hostile_names_are_shown(browser: Any, tmp_path: Path, name: str, size: dict[str, int]) -> None:
    page = page_of(LESSON, tmp_path, names=[name, "b"], labels=[name, "other"], title=name)
    with opened(browser, page, size) as watched:
        assert watched.page.text_content("#title") == (f": {name}" if name else "")
        assert watched.page.locator("#legend .label").first.text_content() == name
        assert f" by {name} and b;" in watched.page.get_attribute("#points", "aria-label")
        assert watched.page.evaluate("document.documentElement.scrollWidth") == size["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(browser: Any, tmp_path: Path, size: dict[str, int], scheme: str) -> None:
    """Neither against WCAG 2, A and AA, nor against what axe-core calls best practice: at the start, where the error
    rises, at the end, and with the list of checks."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    file = page_of(LESSON, tmp_path, title="data.csv", labels=["failed", "passed"])
    for part in ("", "#check"):
        with opened(browser, file, size, scheme, part) as watched:
            for rate, key in [(4, "Home"), (24, "ArrowRight"), (20, "End")]:
                go(watched, 0, 0, rate)
                watched.page.locator("#next").focus()
                watched.page.keyboard.press(key)
                found = axe.run(watched.page).response["violations"]
                assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def told(watched: Watched) -> list[dict[str, Any]]:
    """The page as Chromium hands it to a screen reader: role, name, value and properties of each part."""
    tree = watched.page.context.new_cdp_session(watched.page).send("Accessibility.getFullAXTree")
    found = []
    for node in tree["nodes"]:
        if not node["ignored"]:
            part = {key: node.get(key, {}).get("value", "") for key in ("role", "name", "value")}
            part |= {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
            found.append(part)
    return found


def test_what_a_screen_reader_is_told(browser: Any, tmp_path: Path) -> None:
    """Each control has a name, without the arrow that is drawn on it; each picture has its numbers in words."""
    with opened(browser, page_of(LESSON, tmp_path)) as watched:
        parts = told(watched)
        controls = [part for part in parts if part["role"] in ("button", "slider", "combobox")]
        assert sorted((part["role"], part["name"]) for part in controls) == [
            ("button", "back"), ("button", "play"), ("button", "step"),
            ("combobox", "prediction"), ("combobox", "step by"),
            ("slider", "epochs"), ("slider", "learning rate α"), ("slider", "row"),
        ]  # fmt: skip
        values = "['epoch', 'place', 'rate'].map((id) => document.getElementById(id).getAttribute('aria-valuetext'))"
        assert watched.page.evaluate(values) == ["0 of 100", "1 of 100", "0.01"]
        pictures = [part["name"] for part in parts if part["role"] == "image"]
        assert len(pictures) == 4 and all(len(NUMBER.findall(name)) >= 3 for name in pictures), pictures
        assert [part["name"] for part in parts if part["role"] == "heading"] == [
            "The descent", "The formulas, with the numbers of this row and update",
        ]  # fmt: skip
        assert [part["live"] for part in parts if part.get("live")] == ["polite"], "one place that speaks"


def test_it_is_said_where_the_descent_is_and_not_while_it_plays(browser: Any, tmp_path: Path) -> None:
    watching = """() => { const said = document.getElementById("said"); window.told = [];
      new MutationObserver(() => told.push(said.textContent)).observe(said, { childList: true }); }"""
    with opened(browser, page_of(gradstep.Trainer(0.5, 200), tmp_path)) as watched:
        page = watched.page
        watched.until("document.getElementById('said').textContent.startsWith('Epoch 1:')")
        page.evaluate(watching)
        page.locator("#play").focus()
        page.keyboard.press("Enter")
        watched.until("Number(document.getElementById('epoch').value) >= 12")
        assert page.evaluate("told") == []
        page.keyboard.press("Enter")
        watched.until("told.length > 0")
        assert page.evaluate("told") == [page.text_content("#status")]
        press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))"
        page.evaluate(f"for (let i = 0; i < 10; i++) {press}")  # faster than a screen reader speaks
        watched.until("told.length > 1")
        assert page.evaluate("told.slice(1)") == [page.text_content("#status")]
        go(watched, 5, 0, 24)  # a screen reader also says that the error rises
        watched.until("told.at(-1).includes('a smaller learning rate?')")


def test_by_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    """Tab goes through the controls as they are seen, and no key takes the focus away from where it is."""
    focused = "document.activeElement.id"
    with opened(browser, page_of(gradstep.Trainer(0.5, 3), tmp_path)) as watched:
        page = watched.page
        order = []
        for _ in range(7):
            page.keyboard.press("Tab")
            order.append(page.evaluate(focused))
        assert order == ["back", "play", "next", "epoch", "place", "rate", "activation"]
        for name in order:
            page.locator(f"#{name}").focus()
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", name
        page.locator("#next").focus()
        for key, epoch in [("Enter", "1"), ("Space", "2"), ("ArrowRight", "3"), ("Enter", "3"), ("ArrowLeft", "2")]:
            page.keyboard.press(key)
            assert (page.evaluate(focused), page.input_value("#epoch")) == ("next", epoch), key
        for name, key, want in [("place", "End", "99"), ("rate", "Home", "0"), ("activation", "p", "step")]:
            page.locator(f"#{name}").focus()
            page.keyboard.press(key)
            assert page.input_value(f"#{name}") == want
