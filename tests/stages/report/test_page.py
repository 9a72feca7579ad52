"""The page is one file that needs nothing else, shows every text as it is, and fits a phone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure as Drawing
from matplotlib.image import imread

from stages.report import figures
from stages.report.document import Code, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.report.html import to_html, write_html
from tests.browser import chromium
from tests.examples import examples

ROOT = Path(__file__).parents[3]
HOSTILE = '<script>alert(1)</script> " onload="alert(2)" \'><img src=x onerror=alert(3)> {{ 7 * 7 }} $x$ -->'


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def forest(name: str, label: str = "a group") -> Figure:
    row = {"name": label, "group": label, "difference": 0.1, "low": 0.05, "high": 0.15, "n": label}
    return Figure(name, label, lambda: figures.forest([row], "change"), label)


def sample(text: str = "a text", *drawn: Figure) -> Document:
    """Every kind of block, each with `text` wherever it has one."""
    table = Table([Column(text, numeric=False), Column(text)], [[text, text]], text)
    blocks = [Text(text, "bad"), Items([text]), table, Code(text), Details(text, [Text(text), table]), *drawn]
    return Document(text, [Text(text, "good")], [Section(text, blocks), Section(text, []), Section("Last", [])])


def test_a_text_from_the_data_is_shown_and_never_run() -> None:
    page = Page(to_html(sample(HOSTILE, forest("one", HOSTILE))))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "link", "object"})
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in page.texts) >= 12
    assert [told["aria-label"] for told in page.named("div") if told.get("role") == "img"] == [HOSTILE]


@examples(40)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_comes_out_of_the_page_as_it_went_in(text: str) -> None:
    page = Page(to_html(Document("t", [], [Section("s", [Text(text)])])))
    place = page.texts.index("s")
    assert text in page.texts[place + 1 : place + 4]


def test_the_page_asks_for_nothing_from_anywhere() -> None:
    page = Page(to_html(sample("a text", forest("one"))))
    links = [
        value or "" for _, told in page.tags for name, value in told.items() if name in ("src", "href", "xlink:href")
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    (policy,) = [told["content"] for told in page.named("meta") if told.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'")


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    text = to_html(sample("a text", forest("one"), forest("two")))
    ids = [str(told["id"]) for _, told in Page(text).tags if "id" in told]
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert len(targets) > 3
    assert {one or other for one, other in targets} <= set(ids)


def test_the_same_document_gives_the_same_bytes() -> None:
    document = sample("a text", forest("one"))
    assert to_html(document) == to_html(document)


def test_there_is_one_heading_for_the_document_and_one_for_each_section_with_a_link_to_it() -> None:
    page = Page(to_html(sample()))
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h2", "h2"]
    assert [told["href"] for told in page.named("a")] == [f"#{told['id']}" for told in page.named("h2")]


def test_what_a_row_is_about_is_its_heading_and_a_table_without_headings_has_no_row_of_them() -> None:
    table = Table([Column("", numeric=False), Column("")], [["pairs", "12"]])
    page = Page(to_html(Document("t", [], [Section("s", [table])])))
    assert page.named("th") == [{"scope": "row"}]
    assert not page.named("thead")


def test_the_page_and_the_figures_are_written_and_nothing_else(tmp_path: Path) -> None:
    write_html(sample("a text", forest("one")), tmp_path / "report.html", tmp_path / "figures")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["figures/one.png", "report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == to_html(sample("a text", forest("one")))
    height, width, _ = imread(tmp_path / "figures" / "one.png").shape
    assert (width, height) == (920, 268)


def test_a_page_that_cannot_be_drawn_leaves_the_one_before(tmp_path: Path) -> None:
    def fails() -> Drawing:
        raise ValueError("no data")

    page = tmp_path / "report.html"
    page.write_text("before", encoding="utf-8")
    with pytest.raises(ValueError, match="no data"):
        write_html(sample("a text", Figure("one", "alt", fails)), page, tmp_path / "figures")
    assert page.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table wider than any phone, words without a place to break, a long config."""
    columns = [Column("metric", numeric=False), *(Column(f"a long heading {place}") for place in range(9))]
    table = Table(columns, [["ndcg@10", *["-0.0434 to +0.0261"] * 9]])
    blocks = [table, Text("/a/path/" + "x" * 200), Code("key: " + "y" * 300), forest("one", "z" * 80)]
    folded = Details("q" * 200, [table, *blocks[1:3]])
    page = tmp_path_factory.mktemp("wide") / "report.html"
    sections = [Section("w" * 120, [*blocks, folded]), Section("Two", []), Section("Three", [])]
    write_html(Document("v" * 120, [Text("u" * 120)], sections), page)
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways_and_its_text_stands_out(
    browser: Any, wide_page: Path, width: int, scheme: str
) -> None:
    contrast: Callable[[str, str], float] = _contrast
    tab = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    tab.goto(wide_page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator(".table").first
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")
    colour = "one => getComputedStyle(one).color"
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    # WCAG 2.2, 1.4.3: text needs 4.5 to 1.
    assert contrast(tab.locator("td").first.evaluate(colour), ground) > 4.5
    assert contrast(tab.locator("svg").first.evaluate(colour), ground) > 4.5


def _contrast(one: str, other: str) -> float:
    """Of two `rgb(r, g, b)`, by the formula of WCAG 2.2, "contrast ratio"."""
    lights = []
    for colour in (one, other):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_importing_every_module_of_reports_loads_nothing_that_draws_or_renders() -> None:
    names = sorted(f"stages.report.{path.stem}" for path in (ROOT / "stages" / "report").glob("*.py"))
    code = f"import sys, {', '.join(names).replace('.__init__', '')}\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert "stages.report.html" in loaded
    assert loaded.isdisjoint({"matplotlib", "jinja2", "pandas", "torch", "scipy"})
