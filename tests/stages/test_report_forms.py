"""A document says the same in every form, and nothing in it is taken for markup."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from stages.report import figures
from stages.report.document import Cell, Code, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.report.html import to_html, write_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown
from stages.report.terminal import print_document

ROOT = Path(__file__).parents[2]
HOSTILE = '<script>alert(1)</script> & "quotes" | `code` $x_1$ 100% #1 {a} ~b^c \\d [link](http://x) \'><img onerror=x>'
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=30).map(
    lambda text: " ".join(text.split()) or "x"
)


def document(text: str) -> Document:
    """Everything that can hold a text holds this one."""
    table = Table([Column(text, numeric=False), Column("n")], [[text, Cell("0.5", "good")]], text)
    blocks = [Text(text, "bad"), Items([text]), table, Code(text), Details(text, [Text(text)])]
    return Document(text, [Text(text, "good")], [Section(text, blocks), Section(text, []), Section("end", [])])


def drawing() -> Figure:
    rows = [{"name": "<b>a</b>", "difference": 0.1, "low": 0.05, "high": 0.2, "n": "3"}]
    return Figure("strata", HOSTILE, lambda: figures.forest(rows, "change"))


class Page(HTMLParser):
    """The elements, ids and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


def test_nothing_in_a_page_is_markup_but_its_own() -> None:
    page = Page(to_html(document(HOSTILE)))
    assert not {"script", "img", "b"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.texts.count(HOSTILE) >= 9


def test_a_page_loads_nothing_from_anywhere() -> None:
    made = Document("t", [], [Section("s", [drawing()])])
    page = Page(to_html(made))
    assert "script" not in {tag for tag, _ in page.elements}
    links = [attributes.get(name) for _, attributes in page.elements for name in ("src", "href", "xlink:href")]
    assert all(link.startswith("#") for link in links if link)
    assert "<b>a</b>" in " ".join(page.texts)  # a label of a figure is text, too


@settings(max_examples=30, deadline=None)
@given(words)
def test_a_page_holds_every_text_as_it_is(text: str) -> None:
    assert [one.strip() for one in Page(to_html(document(text))).texts].count(text.strip()) >= 9


def test_ids_of_sections_and_figures_are_unique_and_the_contents_point_at_them() -> None:
    other = Figure("depth", "d", lambda: figures.fusion_sweep([{"weight": 0, "means": {"mrr": 1}}], "mrr", [0], 0.5))
    page = Page(to_html(Document("t", [], [Section("Same", [drawing()]), Section("Same", [other]), Section("x", [])])))
    assert len(page.ids) == len(set(page.ids)) > 5
    targets = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert [str(target)[1:] in page.ids for target in targets] == [True] * 3


def test_figures_are_also_pngs_and_two_pages_of_the_same_are_equal(tmp_path: Path) -> None:
    made = Document("t", [], [Section("s", [Details("more", [drawing()])])])
    write_html(made, tmp_path / "one.html", tmp_path / "figures")
    write_html(made, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    png = (tmp_path / "figures" / "strata.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") >= 900


def test_a_figure_that_cannot_be_drawn_leaves_the_earlier_page(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("earlier")
    broken = Figure("broken", "b", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):
        write_html(Document("t", [], [Section("s", [broken])]), page)
    assert page.read_text() == "earlier"


@settings(max_examples=50, deadline=None)
@given(words)
def test_markdown_gives_each_text_back_as_plain_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(document(text)))
    plain = [
        "".join(child.content for child in token.children or [] if child.type in ("text", "text_special"))
        for token in tokens
        if token.type == "inline" and all(c.type in ("text", "text_special") for c in token.children or [])
    ]
    assert plain.count(text) >= 5


def test_a_cell_of_markdown_stays_one_cell_whatever_is_in_it() -> None:
    table = Table([Column("a", numeric=False), Column("b")], [["x | y\nz", "1"]])
    tokens = MarkdownIt().enable("table").parse(to_markdown(Document("t", [], [Section("s", [table])])))
    assert [token.content for token in tokens if token.type == "inline"][-2:] == ["x | y z", "1"]


@settings(max_examples=50, deadline=None)
@given(words | st.just(HOSTILE))
def test_latex_is_balanced_and_holds_no_bare_special_character(text: str) -> None:
    told = to_latex(document(text))
    body = re.sub(r"^%.*\n", "", told)
    assert len(re.findall(r"(?<!\\)\{", body)) == len(re.findall(r"(?<!\\)\}", body))
    assert sorted(re.findall(r"\\begin\{(\w+)\}", body)) == sorted(re.findall(r"\\end\{(\w+)\}", body))
    without_cells = body.replace(" & ", " ")
    assert not re.search(r"(?<!\\)[$#%_^~<>|\"]", without_cells.replace("\\_", ""))


def test_the_terminal_shows_texts_tables_and_the_titles_of_what_is_folded() -> None:
    stream = io.StringIO()
    print_document(document("[red]as it is[/red]"), Console(file=stream, width=60))
    assert stream.getvalue().count("[red]as it is[/red]") >= 6
    assert "0.5" in stream.getvalue()


def test_a_figure_is_drawn_in_the_colour_of_the_page_and_with_its_words_as_text() -> None:
    svg = figures.to_svg(
        figures.forest([{"name": "wörd", "difference": 0, "low": None, "high": None, "n": 1}], "l"), "f"
    )
    assert "currentColor" in svg and figures.INK not in svg
    assert "wörd" in svg


POINT = {"elapsed_s": 1.0, "prompt_tokens_per_s": 5.0, "queue_p95_ms": None, "waiting": 0, "prefix_hit_rate": None}


def test_a_timeline_shows_what_was_measured_alone() -> None:
    points = [POINT, POINT | {"elapsed_s": 2.0, "waiting": 3}]
    assert [column for column, *_ in figures.timeline_panels(points)] == ["prompt_tokens_per_s", "waiting"]
    assert len(figures.timeline(points).axes) == 2


def test_figures_of_a_single_point_are_drawn() -> None:
    points = [{"depth": 3, "means": {"mrr": 0.5}}]
    bins = [{"pairs": 0}, {"pairs": 2, "mean_probability": 0.5, "relevant_share": 1.0}]
    systems = [{"name": "a", "quality": 0.5, "cost": 1.0}]
    drawn = [
        figures.depth_curve(points, "mrr", 0.4, None),
        figures.calibration(bins),
        figures.cost_quality(systems, "mrr", "s"),
        figures.sorted_differences([0.1], "mrr"),
    ]
    assert all("<svg" in figures.to_svg(one, "f") for one in drawn)


def test_the_tables_of_a_job_load_neither_matplotlib_nor_jinja() -> None:
    code = "import sys, stages.report; print([name for name in ('matplotlib', 'jinja2') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
