"""A page refers to itself alone, and what it is made of cannot leave its place."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.report import figures
from stages.report.document import Code, Column, Details, Document, Figure, Section, Table, Text
from stages.report.html import to_html, write_html
from tests.examples import examples

ROOT = Path(__file__).parents[3]
HOSTILE = "\"><script src='http://evil.example/x.js'></script><p onclick=\"run()\" style='x'>&amp;"


class Parsed(HTMLParser):
    """Elements with their attributes, and the text within each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.within: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within.setdefault(tag, []).append("")
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.within[self._open[-1]][-1] += data

    def values(self, *names: str) -> list[str]:
        return [value for _, every in self.elements for name, value in every.items() if name in names and value]


def forest(name: str, label: str = "a") -> Figure:
    rows = [{"name": label, "difference": 0.1, "low": 0.05, "high": 0.2, "n": label}]
    return Figure(name, HOSTILE, lambda: figures.forest(rows, label), HOSTILE)


def section(*blocks: Text | Table | Figure | Code | Details) -> Document:
    return Document("t", [], [Section("s", blocks)])


def test_a_text_in_an_attribute_stays_its_value() -> None:
    table = Table([Column("n")], [["1"]], HOSTILE)
    page = Parsed(to_html(section(table, forest("f"))))
    assert page.values("aria-label") == [HOSTILE, HOSTILE]
    assert page.within["caption"] == page.within["figcaption"] == [HOSTILE]


def test_labels_in_a_figure_are_text_and_neither_elements_nor_comments_that_end_early() -> None:
    label = "--><p>&"
    page = Parsed(to_html(section(forest("f", label))))
    assert "p" not in {tag for tag, _ in page.elements}
    assert page.within["text"].count(label) == 3


def test_a_page_names_no_host_but_the_namespaces_of_svg() -> None:
    page = to_html(section(forest("one"), Text("plain"), Code("a: 1")))
    hosts = re.findall(r"(?:https?:)?//[^\s\"'<>)]+", page.replace(HOSTILE, ""))
    named = {host for host in hosts if "evil.example" not in host}
    assert named == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not {"link", "img", "iframe", "script", "object"} & {tag for tag, _ in Parsed(page).elements}
    assert "@import" not in page
    assert [value for value in Parsed(page).values("content") if value.startswith("default-src 'none'")]


def test_each_figure_refers_to_its_own_parts_though_two_are_alike() -> None:
    page = Parsed(to_html(section(forest("one"), forest("two"))))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    wanted = [value[1:] for value in page.values("href", "xlink:href")]
    wanted += re.findall(r"url\(#([^)]+)\)", " ".join(page.values("clip-path", "style", "fill")))
    assert {name.partition("-")[0] for name in wanted} == {"one", "two"}
    assert set(wanted) <= set(ids)


@examples(40)
@given(st.lists(st.sampled_from(["a", "A", "a 2", "a-3", "?", "節", "section", ""]), max_size=6))
def test_every_section_can_be_linked_to_whatever_it_is_called(titles: list[str]) -> None:
    page = Parsed(to_html(Document("t", [], [Section(title, []) for title in titles])))
    anchors = [str(every["id"]) for tag, every in page.elements if tag == "h2"]
    assert len(anchors) == len(set(anchors)) == len(titles)
    assert all(re.fullmatch(r"[a-z0-9-]+", anchor) for anchor in anchors)
    links = [every["href"] for tag, every in page.elements if tag == "a"]
    assert links == ([f"#{anchor}" for anchor in anchors] if len(titles) > 2 else [])


def test_a_config_keeps_its_lines_and_its_indentation() -> None:
    config = "data:\n  run: <x>\n\n  depth: 10\n"
    assert Parsed(to_html(section(Details("config", [Code(config)])))).within["code"] == [config]


def test_a_table_without_headings_has_no_empty_row_of_them() -> None:
    rows = [["pairs", "1,000"]]
    assert "thead" not in Parsed(to_html(section(Table([Column(""), Column("")], rows)))).within
    assert "thead" in Parsed(to_html(section(Table([Column(""), Column("n")], rows)))).within


def test_a_figure_within_what_is_folded_is_drawn_too(tmp_path: Path) -> None:
    document = section(Details("more", [Details("still more", [forest("deep")])]), forest("flat"))
    write_html(document, tmp_path / "page.html", tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["deep.png", "flat.png"]


def test_nothing_half_written_stays_beside_the_page(tmp_path: Path) -> None:
    write_html(section(Text("new")), tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    (tmp_path / "page.html").write_text("earlier")
    with pytest.raises(ZeroDivisionError):
        write_html(section(forest("f"), Figure("b", "b", lambda: 1 / 0)), tmp_path / "page.html")  # type: ignore[arg-type,return-value]
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "earlier"


def test_a_page_is_drawn_without_a_window_and_leaves_the_settings_of_matplotlib_as_they_were() -> None:
    code = (
        "import sys, matplotlib\n"
        "before = matplotlib.rcParams.copy()\n"
        "from tests.stages.report.test_html import forest, section\n"
        "from stages.report.html import to_html\n"
        "assert '<svg' in to_html(section(forest('f')))\n"
        "print('matplotlib.pyplot' in sys.modules, matplotlib.rcParams.copy() == before)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]
