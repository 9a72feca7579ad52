"""The page at /docs in a real browser: it loads nothing from elsewhere, and shows answers and errors on any screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import RunningApi, running_api
from tests.browser import PATIENCE_MS, chromium

pytestmark = pytest.mark.heavy
KEY = "a-key-0123"
WIDTHS = (360, 1200)
# Where the screens are kept for people to look at.
SHOTS = os.environ.get("RERANK_EVAL_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api(keys=[KEY]) as running:
        yield running


@pytest.fixture(params=WIDTHS)
def tab(browser: Any, api: RunningApi, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, open; fails where it asked for anything but the service, or is wider than the screen."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    page, asked = context.new_page(), []
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda one: asked.append(one.url))
    yield page
    assert [one for one in asked if not one.startswith((api.url, "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if SHOTS:
        name = f"docs-{request.node.name.split('[')[0].removeprefix('test_')}-{request.param}.png"
        page.screenshot(path=str(Path(SHOTS) / name), full_page=True)
    context.close()


def open_path(page: Any, api: RunningApi, path: str, key: str = "") -> Any:
    page.goto(f"{api.url}/docs")
    page.get_by_label("API key").fill(key)
    one = page.locator("details").filter(has=page.get_by_text(path, exact=True)).first
    one.locator("summary").click()
    return one


def test_every_path_is_there_and_can_be_tried(tab: Any, api: RunningApi) -> None:
    one = open_path(tab, api, "/v1/rerank", KEY)
    assert tab.locator("summary").count() == sum(map(len, api.client.get("/openapi.json").json()["paths"].values()))
    assert {"query", "documents", "top_n"} <= set(one.locator("dt code").all_inner_texts())
    one.get_by_role("button", name="Send").click()
    one.get_by_text("HTTP 200").wait_for()
    assert '"relevance_score"' in one.locator("pre").inner_text()


def test_each_shape_of_a_path_can_be_chosen_and_its_example_works(tab: Any, api: RunningApi) -> None:
    one = open_path(tab, api, "/rerank", KEY)
    choice = one.get_by_label("Shape of the body")
    for name in choice.locator("option").all_inner_texts():
        choice.select_option(name)
        one.get_by_role("button", name="Send").click()
        one.get_by_text("HTTP 200").wait_for()
    assert choice.locator("option").count() == 5


def test_an_error_is_told_in_the_services_words(tab: Any, api: RunningApi) -> None:
    one = open_path(tab, api, "/v1/rerank", "wrong")
    one.get_by_role("button", name="Send").click()
    alert = one.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "HTTP 401\ngive an API key: Authorization: Bearer KEY"
    tab.get_by_label("API key").fill(KEY)
    one.locator("textarea").fill('{"query": "a"}')
    one.get_by_role("button", name="Send").click()
    one.get_by_text("HTTP 422").wait_for()
    assert "documents: Field required" in alert.inner_text()


def test_a_service_that_is_gone_is_told(tab: Any, api: RunningApi) -> None:
    one = open_path(tab, api, "/v1/score", KEY)
    tab.route("**/v1/score", lambda route: route.abort())
    one.get_by_role("button", name="Send").click()
    one.get_by_role("alert").wait_for()
    assert "The service does not answer" in one.get_by_role("alert").inner_text()


def test_a_description_that_cannot_be_read_is_told(tab: Any, api: RunningApi) -> None:
    tab.route("**/openapi.json", lambda route: route.abort())
    tab.goto(f"{api.url}/docs")
    tab.get_by_role("alert").wait_for()
    assert "The description cannot be read" in tab.get_by_role("alert").inner_text()
