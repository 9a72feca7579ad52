from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.http.api_models import RerankResponse, Result, Usage
from serve_app.http.ui import EXAMPLES, build_page, launch_page, model_html, rerank_html, split_passages
from serve_app.http.ui_html import FOLDED_CHARS, ranking_html, rows
from stages.core.errors import ConfigError
from tests.browser import PATIENCE_MS, chromium, fill, first_of_ranking, press_rank
from tests.fake_service import FakeService, refusal

pytestmark = pytest.mark.heavy


def answer(
    order: list[int],
    scores: list[float] | None = None,
    truncated: list[int] | None = None,
    passages: dict[int, int] | None = None,
) -> RerankResponse:
    """The service's answer that puts documents in this order."""
    values = scores or [1.0 / rank for rank in range(1, len(order) + 1)]
    return RerankResponse(
        id="rerank-1",
        model="overlap",
        results=[Result(index=i, relevance_score=score) for i, score in zip(order, values, strict=True)],
        truncated=truncated or [],
        passages=passages,
        usage=Usage(prompt_tokens=1234, total_tokens=1234, cached_tokens=1000),
        meta={"timings_ms": {"queue": 1.0, "tokenize": 2.0, "engine": 9.0, "total": 12.34}},
    )


def text_of(html: str) -> str:
    """What a reader sees of it."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def rerank(url: str, key: str | None = None, query: str = "freeze layers", top_n: int = 0) -> str:
    return rerank_html(url, key, query, "water freezes\nfreeze the layers", "line", "", top_n)


# --- plain functions


def test_lines_and_blocks_become_passages() -> None:
    text = "  one\r\nstill one\n\n \t\ntwo\n"
    assert split_passages(text, "line") == ["one", "still one", "two"]
    assert split_passages(text, "block") == ["one\r\nstill one", "two"]
    assert split_passages(" \n\n ", "line") == split_passages(" \n\n ", "block") == []


@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1)), st.sampled_from(["line", "block"]))
def test_passages_come_back_as_they_were_joined(passages: list[str], separator: Any) -> None:
    joint = "\n" if separator == "line" else "\n \n"
    assert split_passages(joint.join(passages), separator) == passages


def test_a_row_says_where_its_passage_was() -> None:
    ranking = rows(answer([2, 0, 1], [0.9, 0.5, 0.1], truncated=[0]), ["a", "b", "c"])
    assert [(row.rank, row.was, row.moved, row.text, row.note) for row in ranking] == [
        (1, 3, 2, "c", ""),
        (2, 1, -1, "a", "cut to fit the model"),
        (3, 2, -1, "b", ""),
    ]


def test_a_row_says_of_a_document_that_was_read_in_parts_in_how_many() -> None:
    given = answer([0, 1, 2], truncated=[1], passages={0: 3, 1: 32})
    assert [row.note for row in rows(given, ["a", "b", "c"])] == [
        "read in 3 parts, the best one counts",
        "read in 32 parts, the best one counts; cut to fit the model",
        "",
    ]
    seen = text_of(ranking_html(given, ["a", "b", "c"]))
    assert "2 read in parts 1 cut to fit the model" in seen


@given(st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))))
def test_what_some_passages_win_others_lose(order: list[int]) -> None:
    ranking = rows(answer(list(order)), [str(i) for i in range(len(order))])
    assert sum(row.moved for row in ranking) == 0
    assert [int(row.text) + 1 for row in ranking] == [row.was for row in ranking]


def test_the_table_shows_order_movement_scores_cuts_time_and_tokens() -> None:
    html = ranking_html(answer([1, 0, 2], [0.75, -0.25, 1.5], truncated=[1]), ["a", "b", "c"])
    assert re.findall(r'aria-label="([^"]*)"', html) == ["up 1", "down 1", "same place"]
    assert re.findall(r"width:([\d.]+)%", html) == ["75.0", "0.0", "100.0"]
    seen = text_of(html)
    assert "3 passages 12.3 ms (queue 1.0, tokenize 2.0, engine 9.0) 1,234 tokens, 1,000 of them cached" in seen
    assert "1 cut to fit the model" in seen
    assert "bcut to fit the model" in seen
    assert "acut to fit the model" not in seen


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror='alert(1)'>" + "x " * FOLDED_CHARS])
def test_markup_in_a_passage_is_shown_not_run(text: str) -> None:
    html = ranking_html(answer([0]), [text])
    assert "<script" not in html
    assert "<img" not in html
    assert "alert(1)" in text_of(html)


@given(st.text(min_size=1, max_size=3 * FOLDED_CHARS).map(str.strip).filter(bool))
def test_no_character_of_a_passage_is_lost_in_folding(text: str) -> None:
    assert text in text_of(ranking_html(answer([0]), [text])).replace(" … more", "", 1)


@pytest.mark.parametrize(("query", "passages", "separator", "instruction"), EXAMPLES)
def test_an_example_has_a_query_and_passages(query: str, passages: str, separator: Any, instruction: str) -> None:
    assert query
    assert len(split_passages(passages, separator)) >= 3


def test_importing_the_page_does_not_load_gradio() -> None:
    code = "import sys, serve_app.http.ui; print('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- against a service


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        yield running


def test_the_service_gets_what_was_typed(service: FakeService) -> None:
    html = rerank_html(service.url, None, " freeze layers ", "water\n\nfreeze layers", "line", " names a cause ", 1)
    (request,) = service.requests
    assert (request.query, request.documents, request.top_n) == ("freeze layers", ["water", "freeze layers"], 1)
    assert request.instruction == "names a cause"
    assert "1was 2" in text_of(html)
    assert "water" not in text_of(html)


def test_zero_and_blank_mean_the_services_own(service: FakeService) -> None:
    assert "water freezes" in rerank(service.url, top_n=0)
    assert service.requests[0].top_n is None
    assert service.requests[0].instruction is None


def test_nothing_is_sent_without_a_query_or_passages(service: FakeService) -> None:
    assert "Nothing to rank yet" in rerank(service.url, query="  ")
    assert "Nothing to rank yet" in rerank_html(service.url, None, "q", "\n", "line", "", 0)
    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (413, "This is too much for one request"),
        (422, "The service refused the request"),
        (429, "The service is busy"),
        (503, "No engine is ready"),
        (504, "The service took too long"),
    ],
)
def test_a_refusal_shows_the_services_own_words(service: FakeService, status: int, title: str) -> None:
    service.refusal = refusal(status, "why <b>not</b>", {"Retry-After": "7"} if status in (429, 503) else None)
    html = rerank(service.url)
    assert "<b>not" not in html
    retry = " Try again in 7 s." if status in (429, 503) else ""
    assert text_of(html) == f"{title}why <b>not</b> (HTTP {status}).{retry}"


def test_a_key_is_needed_where_the_service_asks_for_one() -> None:
    with FakeService(key="sesame") as service:
        assert "give an API key" in text_of(rerank(service.url))
        assert "asks for an API key" in text_of(model_html(service.url, "clé"))
        assert "was 2" in text_of(rerank(service.url, "sesame"))
        assert "float32" in model_html(service.url, "sesame")


def test_a_service_that_is_down_is_said_to_be_down(service: FakeService) -> None:
    service.stop()
    assert re.search(r"does not answer.*Connection refused.*rerank-eval serve", text_of(rerank(service.url)))
    assert service.url in text_of(model_html(service.url, None))


def test_another_kind_of_server_is_not_taken_for_the_service(service: FakeService) -> None:
    assert "HTTP 404" in rerank(f"{service.url}/elsewhere")
    service.refusal = other_html("<html>It works!</html>", 200)
    assert "no answer of a rerank-eval service" in rerank(service.url)
    service.refusal = other_html("<html>Bad gateway</html>", 502)
    assert "<html>Bad gateway</html> (HTTP 502)" in text_of(rerank(service.url))


def other_html(body: str, status: int) -> Any:
    from starlette.responses import HTMLResponse

    return HTMLResponse(body, status_code=status)


def test_the_model_and_its_settings_are_shown(service: FakeService) -> None:
    seen = text_of(model_html(service.url, None))
    assert seen == "rerank-evaloverlap overlap up to 64 tokens float32 replicas: 1 template single_newline"


# --- the page


@pytest.fixture
def contacted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every host that this process asks for or connects to by internet protocol."""
    hosts: list[str] = []
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def note_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            hosts.append(address[0])
        connect(self, address)

    def note_lookup(host: Any, *rest: Any, **named: Any) -> Any:
        hosts.append(str(host))
        return getaddrinfo(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", note_connect)
    monkeypatch.setattr(socket, "getaddrinfo", note_lookup)
    return hosts


def test_the_page_keeps_the_key_to_itself_and_contacts_nobody_else(
    contacted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio")
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED")  # the page has to set it
    with FakeService(key="secret-key") as service:
        page = launch_page(service.url, port=0, api_key="secret-key")
        try:
            html = httpx.get(page.local_url).text
            config = httpx.get(f"{page.local_url}config").text
            assert page.analytics_enabled is False
        finally:
            page.close(verbose=False)
    assert "rerank-eval" in html
    assert "secret-key" not in html + config
    assert "API key" not in config
    assert contacted
    assert set(contacted) <= {"127.0.0.1", "localhost"}


def test_without_a_key_of_its_own_the_page_asks_for_the_visitors() -> None:
    pytest.importorskip("gradio")
    assert "API key" in str(build_page("http://127.0.0.1:1").get_config_file())


def test_a_port_that_is_taken_is_an_error_that_names_it(service: FakeService) -> None:
    pytest.importorskip("gradio")
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{service.port}: choose another port"):
        launch_page(service.url, port=service.port)


# --- the page in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("gradio")
    with chromium() as one:
        yield one


class Site(NamedTuple):
    """The page's address, and the service behind it."""

    url: str
    service: FakeService


@pytest.fixture(scope="module")
def shared_site(browser: Any) -> Iterator[Site]:
    """One page for all browser tests: it takes seconds to start, and keeps nothing of its visitors."""
    with FakeService() as service:
        page = launch_page(service.url, port=0)
        yield Site(page.local_url, service)
        page.close(verbose=False)


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The shared site, with a service that answers and has not been asked yet."""
    shared_site.service.requests.clear()
    yield shared_site
    shared_site.service.refusal = shared_site.service.held = None
    if not shared_site.service.running:
        shared_site.service.start()


@pytest.fixture
def tab(browser: Any, site: Site) -> Iterator[Any]:
    """A tab that shows the page. Afterwards: no request of it may have left loopback, and no script of it failed."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    tab, urls, faults = context.new_page(), [], []
    context.on("request", lambda request: urls.append(request.url))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.goto(site.url)
    tab.get_by_label("Query").wait_for()
    yield tab
    context.close()
    assert {urlsplit(url).hostname for url in urls if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    assert faults == []


def test_a_visitor_ranks_passages_and_sees_what_moved(tab: Any) -> None:
    tab.get_by_text("up to 64 tokens").wait_for()
    fill(tab, "freeze layers", "water ${alert(1)} {{x}}\nfreeze it <script>alert(1)</script>\nfreeze the layers")
    press_rank(tab)
    tab.locator(".ranking").wait_for()
    assert tab.locator(".passage").all_inner_texts() == [
        "freeze the layers",
        "freeze it <script>alert(1)</script>",
        "water ${alert(1)} {{x}}",
    ]
    assert [text.split() for text in tab.locator(".moved").all_inner_texts()] == [
        ["▲", "2", "was", "3"],
        ["=", "was", "2"],
        ["▼", "2", "was", "1"],
    ]
    bars = [bar.bounding_box()["width"] for bar in tab.locator(".bar i").all()]
    assert bars[0] > bars[1] > bars[2] == 0


def test_a_visitor_uses_an_example_with_instruction_and_blocks(tab: Any, site: Site) -> None:
    tab.get_by_role("button", name="What made the nightly evaluation slow?").click()
    tab.get_by_label("Instruction").and_(tab.locator("textarea, input")).wait_for()
    tab.wait_for_function("document.querySelectorAll('textarea')[1].value.includes('Incident review')")
    press_rank(tab)
    tab.locator(".ranking").wait_for()
    assert tab.locator(".passage").first.inner_text().startswith("Incident review.")
    assert site.service.requests[0].instruction == "Retrieve passages that name the cause"
    assert len(site.service.requests[0].documents) == 3
    assert tab.locator(".passage em").count() == 0
    tab.get_by_text("… more").click()
    assert tab.locator(".passage").first.inner_text().endswith("to six minutes.")


def test_a_visitor_whose_answer_takes_long_keeps_no_other_waiting(tab: Any, site: Site) -> None:
    site.service.held = "slow"
    fill(tab, "slow", "water\nslow water")
    press_rank(tab)
    other = tab.context.new_page()
    other.goto(site.url)
    fill(other, "freeze layers", "water\nfreeze layers")
    press_rank(other)
    assert "freeze layers" in first_of_ranking(other)
    assert tab.locator(".ranking").count() == 0
    site.service.held = None
    assert "slow water" in first_of_ranking(tab)


def test_a_visitor_learns_that_the_service_is_busy_down_and_back(tab: Any, site: Site) -> None:
    press_rank(tab)
    tab.get_by_text("Nothing to rank yet").wait_for()
    fill(tab, "freeze layers", "water\nfreeze layers")
    site.service.refusal = refusal(429, "256 requests wait", {"Retry-After": "2"})
    press_rank(tab)
    tab.get_by_text("256 requests wait (HTTP 429). Try again in 2 s.").wait_for()
    site.service.stop()
    tab.get_by_label("Query").press("Enter")
    tab.get_by_text("Connection refused").wait_for()
    tab.get_by_text("Model unknown").wait_for()
    site.service.refusal = None
    site.service.start()
    press_rank(tab)
    tab.locator(".ranking").wait_for()
    tab.get_by_text("up to 64 tokens").wait_for()


def test_on_a_phone_nothing_is_wider_than_the_screen(tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    fill(tab, "freeze layers", "unbreakable" * 30 + "\nfreeze layers")
    press_rank(tab)
    tab.locator(".ranking").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [cell.bounding_box() for cell in tab.locator(".ranking td").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
