"""The judging page in a real browser, by keyboard and by touch, on a phone and on a desk: what was pressed is what is
in the qrels, also after the page, the browser or the command has gone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.judging.folder import PlanFolder
from pipelines.judging.plan import PlanOrder, make_plan
from stages.sources.formats.nested import read_any_qrels
from tests.browser import PATIENCE_MS, chromium
from tests.pipelines.unjudged_runs import HOSTILE, grade_of, unjudged_run

pytestmark = pytest.mark.heavy
PHONE, DESK = 360, 1200
# Where the screens are kept for people to look at.
SHOTS = os.environ.get("RERANK_EVAL_SCREENSHOTS")
COMMAND = "from pipelines.cli.app import main; main()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def plan_of(folder: Path, text: str = "{}", documents: int = 4) -> PlanFolder:
    unjudged_run(folder / "run", 20, documents=documents, same=0, text=text)
    order = PlanOrder([folder / "run"], folder / "plan", f"ndcg@{documents}", 0.9, pilot=20, seed=4)
    return make_plan(order)


@contextmanager
def served(plan: PlanFolder, *, end: int = signal.SIGINT) -> Iterator[str]:
    """The address that the command prints; it is ended by this signal."""
    command = [sys.executable, "-c", COMMAND, "plan-judging", str(plan.path), "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.match(r"open\s+(http\S+)", line):
                break
        else:
            pytest.fail("".join(said))
        yield found[1]
    finally:
        process.send_signal(end)
        rest = process.communicate(timeout=120)[0]
    assert process.returncode == (0 if end == signal.SIGINT else -end), rest
    assert "Traceback" not in rest


@contextmanager
def opened(browser: Any, url: str, width: int = DESK) -> Iterator[Any]:
    """The page; fails where it asks elsewhere for anything, says a word on the console, or is wider than the screen."""
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=width == PHONE)
    page, asked, said = context.new_page(), [], []
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda one: said.append(str(one)))
    page.goto(url)
    page.locator("#documents li").first.wait_for()
    yield page
    assert [one for one in asked if not one.startswith((url.split("#", maxsplit=1)[0], "data:"))] == []
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"judging-{name}.png"))


def documents(page: Any) -> list[str]:
    """The ids of the query's documents in the order of the page: its texts end with them."""
    return [re.findall(r"q\d+-d\d+", text)[-1] for text in page.locator("#documents .text").all_inner_texts()]


def judge_query(page: Any, place: int, pressed: dict[str, dict[str, int]]) -> None:
    """By keyboard, once the query at `place` is there."""
    page.get_by_text(f"Query {place + 1} of", exact=False).wait_for()
    for doc_id in documents(page):
        query_id = doc_id.partition("-")[0]
        grade = grade_of(query_id, doc_id)
        pressed.setdefault(query_id, {})[doc_id] = grade
        page.keyboard.press(str(grade))


def grades(plan: PlanFolder) -> dict[str, dict[str, int]]:
    return {query_id: dict(found) for query_id, found in read_any_qrels(plan.qrels, lambda _: None).grades.items()}


def test_twenty_queries_are_judged_by_keyboard_closed_killed_and_resumed(browser: Any, tmp_path: Path) -> None:
    plan, pressed = plan_of(tmp_path), dict[str, dict[str, int]]()
    with served(plan) as url:
        with opened(browser, url) as page:
            for place in range(7):
                judge_query(page, place, pressed)
            page.get_by_text("Query 8 of 20").wait_for()
        assert grades(plan) == pressed
        with opened(browser, url, PHONE) as page:  # another tab goes on where the first was closed
            judge_query(page, 7, pressed)
            page.get_by_text("Query 9 of 20").wait_for()
            page.keyboard.press(str(first := 3))
            doc_id = documents(page)[0]
            page.locator("#documents li").first.locator('button[aria-pressed="true"]').wait_for()
            page.locator("#documents[aria-busy=false]").wait_for()
            pressed.setdefault(doc_id.partition("-")[0], {})[doc_id] = first
    assert grades(plan) == pressed
    with served(plan, end=signal.SIGKILL) as url, opened(browser, url) as page:
        page.get_by_text("Query 9 of 20").wait_for()
        assert page.locator('#documents button[aria-pressed="true"]').count() == 1
        rest = documents(page)[1:]
        for doc_id in rest:
            pressed[doc_id.partition("-")[0]][doc_id] = 1
            page.keyboard.press("1")
        for place in range(9, 15):
            judge_query(page, place, pressed)
        page.get_by_text("Query 16 of 20").wait_for()
    assert grades(plan) == pressed
    with served(plan) as url, opened(browser, url) as page:
        for place in range(15, 20):
            judge_query(page, place, pressed)
        page.get_by_text("All 20 queries are judged").wait_for()
        assert not re.search("rises|falls", page.locator("body").inner_text())
        shot(page, "all-judged")
        page.keyboard.press("Enter")
        page.get_by_text(re.compile(r"ndcg@4 (rises|falls) by")).wait_for()
        shot(page, "verdict")
        assert page.get_by_role("button", name="0 not relevant").first.is_disabled()
    assert grades(plan) == pressed and len(pressed) == 20
    assert json.loads(plan.verdict.read_text())["number"] == 20


def test_undo_going_back_and_skipping_by_keyboard(browser: Any, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with served(plan) as url, opened(browser, url) as page:
        first = documents(page)
        for key in "012":
            page.keyboard.press(key)
        page.keyboard.press("u")
        page.locator("#documents li").nth(2).locator('button[aria-pressed="true"]').wait_for(state="detached")
        assert grades(plan) == {"q" + first[0][1:4]: {first[0]: 0, first[1]: 1}}
        page.keyboard.press("3")
        page.keyboard.press("3")
        page.get_by_text("Query 2 of").wait_for()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("Query 1 of").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("2")
        page.locator("#documents[aria-busy=false]").wait_for()
        assert grades(plan)[first[0][:4]] == dict(zip(first, (0, 2, 3, 3), strict=True))
        page.keyboard.press("ArrowRight")
        page.get_by_text("Query 2 of").wait_for()
        page.keyboard.press("s")
        page.get_by_text("Query 3 of").wait_for()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("This query is skipped").wait_for()
        shot(page, "skipped")


def test_by_touch_on_a_phone(browser: Any, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with served(plan) as url, opened(browser, url, PHONE) as page:
        first = documents(page)
        for number in range(4):
            page.locator("#documents li").nth(number).get_by_role("button", name=re.compile(f"^{number} ")).tap()
        page.get_by_text("Query 2 of").wait_for()
        shot(page, "phone-next")
        sizes = page.eval_on_selector_all("button", "all => all.map(one => one.getBoundingClientRect().height)")
        assert min(size for size in sizes if size) >= 44
    assert grades(plan) == {first[0][:4]: dict(zip(first, range(4), strict=True))}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_text_is_text_however_long_and_whichever_way_it_runs(browser: Any, tmp_path: Path, width: int) -> None:
    long = HOSTILE + " " + "مرحبا بالعالم " * 20 + "unbroken" * 80 + "\nline " * 300 + "{}"
    plan = plan_of(tmp_path, text=long)
    with served(plan) as url, opened(browser, url, width) as page:
        shot(page, f"long-{width}")
        assert page.title() == "Judging"
        assert page.locator("#documents script, #documents img").count() == 0
        assert HOSTILE in page.locator("#documents .text").first.inner_text()
        box = page.locator("#documents .text").first
        assert box.get_attribute("dir") == "auto"
        assert box.evaluate("one => one.scrollHeight > one.clientHeight && one.clientHeight < window.innerHeight / 2")
        box.focus()
        page.keyboard.press("End")
        assert box.evaluate("one => new Promise(done => setTimeout(() => done(one.scrollTop > 0), 300))")


def test_right_to_left_queries_and_documents_stand_right(browser: Any, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, text="هذا نص عربي طويل بما يكفي {}")
    with served(plan) as url, opened(browser, url) as page:
        assert page.locator("#documents .text").first.evaluate("one => getComputedStyle(one).direction") == "rtl"
        shot(page, "right-to-left")


def test_two_tabs_on_one_query_do_not_undo_each_other(browser: Any, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with served(plan) as url, opened(browser, url) as one, opened(browser, url) as other:
        ids = documents(one)
        one.keyboard.press("3")
        one.locator("#documents[aria-busy=false]").wait_for()
        other.keyboard.press("ArrowDown")
        for key in "12":
            other.keyboard.press(key)
        other.locator("#documents[aria-busy=false]").wait_for()
        other.locator("#documents li").first.locator('button[data-grade="3"][aria-pressed="true"]').wait_for()
        assert grades(plan) == {ids[0][:4]: {ids[0]: 3, ids[1]: 1, ids[2]: 2}}


def test_without_the_command_or_its_token_the_page_says_what_to_do(browser: Any, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with served(plan) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url.split("#")[0])
        page.get_by_text("Open the address that the command printed").wait_for()
        page.goto(url.split("#")[0] + "#wrong")
        page.reload()
        page.get_by_text("open the address that the command printed last").wait_for()
        page = context.new_page()
        page.goto(url)
        page.locator("#documents li").first.wait_for()
    page.keyboard.press("2")
    page.get_by_text("does not answer: start it again").wait_for()
    context.close()
    assert grades_or_none(plan) == {}


def grades_or_none(plan: PlanFolder) -> dict[str, dict[str, int]]:
    return grades(plan) if len(plan.qrels.read_text().splitlines()) > 1 else {}
