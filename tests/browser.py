"""A real browser for tests of pages and reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
# Chromium's own chatter is off, so that what leaves the machine is the page's doing.
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000  # a busy machine; what is awaited comes within a second otherwise


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium, headless. Skips the test where it or Playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not there: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


def fill(tab: Any, query: str, passages: str) -> None:
    tab.get_by_label("Query").fill(query)
    tab.get_by_label("Passages", exact=True).fill(passages)


def press_rank(tab: Any) -> None:
    tab.get_by_role("button", name="Rank", exact=True).click()


def first_of_ranking(tab: Any) -> str:
    """The ranking's first row. Fails with what the page shows instead, where no ranking comes."""
    from playwright.sync_api import TimeoutError as NothingCame

    try:
        row: str = tab.locator(".ranking tr").nth(1).inner_text()  # below the header
    except NothingCame:
        pytest.fail(f"no ranking, but: {tab.locator('body').inner_text()}")
    return row
