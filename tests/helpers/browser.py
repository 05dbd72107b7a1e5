"""A headless Chromium without a network, for pages of descents. Tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WHERE = os.environ.get("GRADSTEP_BROWSER") or next(filter(None, map(shutil.which, PROGRAMS)), None)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, by playwright. If GRADSTEP_BROWSER names one, the test fails without it instead of being skipped."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if WHERE is None:
        pytest.skip(
            f"no Chromium is installed: none of {', '.join(PROGRAMS)} is found, and GRADSTEP_BROWSER is not set"
        )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=WHERE,
            # Every request to a network fails, also those that the browser makes by itself.
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"],
        )
        yield browser
        browser.close()


class Watched:
    """An open page, with the requests that it has made and the errors that it has reported."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message) or dialog.dismiss())

    def until(self, expression: str) -> None:
        """Wait until the expression is true. It is evaluated from outside: the page's own policy forbids evaluation."""
        for _ in range(400):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(expression)

    def lines(self) -> list[str]:
        """The formulas with their numbers."""
        pairs = "[...document.querySelectorAll('#lines dt')].map(e => e.textContent + e.nextElementSibling.textContent)"
        return list(self.page.evaluate(pairs))


@contextmanager
def opened(
    browser: Any, path: Path, size: dict[str, int] = WIDE, scheme: str = "light", part: str = ""
) -> Iterator[Watched]:
    """Opens a page in the browser, offline. It must request nothing but its own file, and report no error."""
    context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
    watched = Watched(context.new_page())
    watched.page.goto(path.as_uri() + part)
    yield watched
    assert watched.requests == [path.as_uri()]
    assert watched.complaints == []
    context.close()
