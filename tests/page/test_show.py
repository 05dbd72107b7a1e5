"""`show` writes one file that needs nothing else, in which no text of the user becomes code; its import is lazy."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
import subprocess
import sys
import webbrowser
from importlib.resources import files
from pathlib import Path

import pytest

import gradstep
from helpers.shown import LESSON, START, X, Y, held, html

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "]]>&amp;",
    "{{data}}",
    "\u2028",
]
CODE = files("gradstep._page").joinpath("page.js").read_text(encoding="utf-8")


def test_it_needs_nothing_else_and_is_small(tmp_path: Path) -> None:
    text = html(LESSON.fit(X, Y, START), X, Y, tmp_path, title="data.csv")
    assert len(text.encode()) < 300_000
    assert len(held(text)["runs"]["step"]) == 25
    outside = re.sub(r'<script id="data".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|//[a-z]|\bsrc=|\bhref=|@import|url\(|fetch\(|XMLHttp|WebSocket|\beval\b", outside)


def test_only_its_own_script_and_style_can_take_effect(tmp_path: Path) -> None:
    text = html(LESSON.fit(X, Y), X, Y, tmp_path)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in re.split(r";\s+", policy[1]))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, element in (("script-src", "<script>"), ("style-src", "<style>")):
        inside = text.split(element)
        assert len(inside) == 2
        digest = hashlib.sha256(inside[1].split("</")[0].encode()).digest()
        assert rules[name] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert not re.search(r"\sstyle=|\son\w+=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))


def test_the_script_can_be_read() -> None:
    lines = CODE.splitlines()
    assert len(lines) < 600 and max(map(len, lines)) <= 120
    assert "innerHTML" not in CODE and "insertAdjacentHTML" not in CODE and "document.write" not in CODE


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_is_code(name: str, tmp_path: Path) -> None:
    plain = html(LESSON.fit(X, Y), X, Y, tmp_path)
    text = html(LESSON.fit(X, Y), X, Y, tmp_path, names=[name, "b"], labels=[name, "c"], title=name)
    page = held(text)
    assert page["names"] == [name, "b"] and page["labels"] == [name, "c"] and page["title"] == name
    for piece in ("<script", "</script", "<img", "<!--"):
        assert text.count(piece) == plain.count(piece), piece
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    assert title and markup.unescape(title[1]) == f"The descent: {name}"


def test_where_it_goes_and_whether_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.chdir(tmp_path)
    descent = LESSON.fit(X, Y)
    page = gradstep.show(descent, X, Y, file="here #1.html")
    assert page == tmp_path / "here #1.html" and page.is_file()
    assert opened == [page.as_uri()] and "%231" in opened[0]
    other = gradstep.show(descent, X, Y, open_browser=False)
    assert len(opened) == 1 and other.suffix == ".html" and other.read_bytes() == page.read_bytes()
    other.unlink()
    with pytest.raises(FileNotFoundError):
        gradstep.show(descent, X, Y, file=tmp_path / "no" / "page.html")


def test_import_does_not_load_it() -> None:
    program = (
        "import gradstep, sys; assert 'show' in dir(gradstep)\n"
        "assert not {'gradstep._page', 'webbrowser', 'tempfile', 'json'} & set(sys.modules) - before"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, numpy; before = set(sys.modules)\n{program}"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    needed = "import gradstep, sys; gradstep.show; assert not {'matplotlib', 'polars', 'sklearn'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", needed], capture_output=True, text=True).stderr == ""
