"""The page of a report: one file that needs nothing else, in which no text is code, and which all can read."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.browser import NARROW, WIDE, chromium, opened
from helpers.commands import run

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    '"><img src=x onerror=alert(1)>',
    "' onclick='alert(1)",
    "<!--",
    "]]>&amp;",
    "🧪 µg/m³ \u202egnp",
    "{{data}}",
]


def reported(name: str = "x", classes: int = 2, label: str = "b", **options: Any) -> gradstep.Report:
    rng = np.random.default_rng(1)
    x, group = rng.normal(size=200), rng.choice(["in", "out"], 200)
    scores = np.column_stack([x, rng.normal(size=200), np.zeros(200)])[:, 3 - max(classes, 2) :]
    y = np.array(["a", label, "c"])[:classes][(scores + rng.gumbel(size=scores.shape)).argmax(axis=1)]
    table = {name: x, f"group of {name}": group, f"target {name}": y}
    return gradstep.train(table, **options).report(table)


def test_it_needs_nothing_else_and_has_no_script() -> None:
    text = reported(classes=3).to_html()
    assert not re.search(r"<script|\bsrc=|\bhref=|@import|url\(|\sstyle=|\son\w+=", text)
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}  # SVG's name, not loaded
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    style = text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "style-src": f"'sha256-{digest}'",
    }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_is_code(name: str) -> None:
    plain, found = reported(), reported(name, label=name)
    for make in (gradstep.Report.to_html, gradstep.Report._repr_html_):  # type: ignore[attr-defined]
        text = make(found)
        for piece in ("<script", "</script", "<img", "<!--", "<style", "</style"):
            assert text.count(piece) == make(plain).count(piece), piece
        seen = markup.unescape(re.sub(r"<[^>]*>", "\n", text))
        assert f"Report: target {name} in data" in seen and f"group of {name}=out" in seen


def test_a_file_of_a_hostile_name_and_hostile_cells(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = "<b>\"'& 🧪.csv"
    lines = ['"<i>\x1b[31m","y"', *(f"{k % 9},{'<u>' if (k * k) % 7 > 3 else 'no'}" for k in range(40))]
    Path(name).write_text("\n".join(lines))
    assert run(["train", name, "--out", "model.json", "--quiet"]) == 0
    assert run(["report", "model.json", name, "--html", "page.html"]) == 0
    assert "\x1b" not in capfd.readouterr().out
    text = Path("page.html").read_text()
    assert "<b>" not in text and "<i>" not in text and "<u>" not in text
    assert f"<h1>{markup.escape(f'Report: y in {name}')}</h1>" in text


def test_what_is_shown_is_what_is_printed() -> None:
    for found in (
        reported(),
        reported(classes=3, l2=0.1),
        reported(trainer=gradstep.Trainer(0.1, 5, activation="step")),
    ):
        text = found.to_html()
        for section in found.sections():
            assert f"<h2>{section.title}</h2>" in text
            for head, *cells in section.rows:
                row = f'<th scope="row">{markup.escape(head)}</th>' + "".join(
                    f"<td>{markup.escape(c)}</td>" for c in cells
                )
                assert row in text
        assert text.count("<polyline") == len(found.evaluation.roc) + (found.evaluation.calibration is not None)
        assert found._repr_html_().count("<table") == len(found.sections())


def test_curves_are_drawn_where_their_numbers_are() -> None:
    found = reported()
    drawn = [
        np.array([[float(part) for part in point.split(",")] for point in points.split()])
        for points in re.findall(r'<polyline points="([^"]+)"', found.to_html())
    ]
    assert found.evaluation.calibration is not None
    (curve,), (_, predicted, observed) = found.evaluation.roc, found.evaluation.calibration
    for points, across, up in zip(drawn, (curve.false, predicted), (curve.true, observed), strict=True):
        np.testing.assert_allclose(points[:, 0], 44 + 244 * across, atol=0.051)  # coordinates are rounded to a tenth
        np.testing.assert_allclose(points[:, 1], 256 - 244 * up, atol=0.051)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_fits_and_all_can_read_it(tmp_path: Path, size: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with chromium() as browser:
        for k, found in enumerate((reported("a name that is long " * 8), reported(classes=3, label=HOSTILE[0]))):
            path = tmp_path / f"{k}.html"
            path.write_text(found.to_html(), encoding="utf-8")
            with opened(browser, path, size, scheme) as seen:
                assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
                violations = axe.Axe().run(seen.page).response["violations"]
                assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == []
