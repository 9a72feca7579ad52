"""Markdown, LaTeX and the terminal say what the document says, and no text of it is read as markup."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from stages.report import figures
from stages.report.document import Block, Cell, Code, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.report.latex import escaped, to_latex
from stages.report.markdown import to_markdown
from stages.report.terminal import print_document
from tests.examples import examples

SPECIAL = r"a_b & 50% of $5 #1 {x} ~ ^ \n <c> | " + '"quoted" [1] *two* `three`'
FIGURE = Figure("strata", "Change by group", lambda: figures.forest([], "change"), "The change in each group.")
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)


def document(*blocks: Block) -> Document:
    return Document("A title", [Text("The verdict.", "unsure")], [Section("A section", blocks)])


def printed(*blocks: Block) -> str:
    stream = io.StringIO()
    print_document(document(*blocks), Console(file=stream, width=100, highlight=False))
    return stream.getvalue()


# Markdown


def read_back(*blocks: Block) -> list[tuple[str, str]]:
    """Each token of a Markdown reader that opens something or holds text, with its text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(document(*blocks)))
    return [(token.type, _text(token)) for token in tokens if token.type in ("inline", "fence", "hr", "code_block")][3:]


def _text(token: object) -> str:
    children = getattr(token, "children", None)
    parts = [one.content for one in children if one.type in ("text", "text_special")] if children else []
    return "".join(parts) if children else str(getattr(token, "content", ""))


@examples(200)
@given(ANY_TEXT.filter(lambda text: text.strip()))
def test_any_text_is_one_paragraph_of_markdown_and_is_read_back(text: str) -> None:
    assert read_back(Text(text)) == [("inline", " ".join(text.split()))]


@pytest.mark.parametrize(
    "text", ["- no list", "+ none", "1. none", "2) none", "---", "===", "# none", "> none", "\tnone", SPECIAL]
)
def test_what_looks_like_markdown_stays_as_it_was_written(text: str) -> None:
    assert read_back(Text(text), Items([text])) == [("inline", " ".join(text.split()))] * 2


def test_numbers_are_not_littered_with_escapes() -> None:
    table = Table([Column("metric", numeric=False), Column("change")], [["mrr", "+0.0085"], ["map", "-0.5 to +0.1"]])
    assert to_markdown(document(table)).endswith(
        "| metric | change |\n|---|---:|\n| mrr | +0.0085 |\n| map | -0.5 to +0.1 |\n"
    )


def test_a_cell_with_bars_and_line_breaks_stays_one_cell() -> None:
    told = read_back(Table([Column("a | b", numeric=False)], [["one\n\ntwo | three"]]))
    assert told == [("inline", "a | b"), ("inline", "one two | three")]


def test_a_config_with_backticks_stays_one_block() -> None:
    config = "a: 1\n```\n# no heading\n````\nb: 2"
    assert read_back(Code(config), Text("after")) == [("fence", f"{config}\n"), ("inline", "after")]


def test_a_figure_is_linked_and_folds_within_folds_have_smaller_headings() -> None:
    told = to_markdown(document(FIGURE, Details("outer", [Details("inner", [Text("deep")])])))
    assert "![Change by group](figures/strata.png)\n\nThe change in each group." in told
    assert "\n### outer\n\n#### inner\n\ndeep\n" in told


# LaTeX


@examples(200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_special_character_of_latex_is_left_alone(text: str) -> None:
    told = escaped(text)
    commands = r"\\[{}$&#%_]|\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|ldots)\{\}"
    left = re.sub(rf"{commands}|\\symbol\{{34\}}|\\ensuremath\{{(?:\\rightarrow|-|\\pm)\}}", "", told)
    assert not set(left) & set('\\{}$&#%_~^<>|"→−±–…')
    assert not re.search(r"[\x00-\x1f\x7f]", told)


@examples(50)
@given(ANY_TEXT)
def test_braces_and_environments_of_latex_are_balanced_whatever_the_texts(text: str) -> None:
    table = Table([Column(text, numeric=False), Column("n")], [[text, text]], text)
    told = to_latex(document(Text(text), Items([text]), table, FIGURE, Code(text), Details(text, [table])))
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", told):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", told):
        opened.append(name) if kind == "begin" else opened.remove(name)
    assert opened == []


def test_a_table_of_latex_has_rules_and_as_many_cells_as_columns() -> None:
    table = Table(
        [Column("metric", numeric=False), Column("change")], [["a_b", Cell("+0.1 & more", "good")]], "50% of all"
    )
    assert (
        "\\begin{longtable}{lr}\n\\caption{50\\% of all}\\\\\n\\toprule\nmetric & change \\\\\n\\midrule\n\\endhead\n"
        "a\\_b & +0.1 \\& more \\\\\n\\bottomrule\n\\end{longtable}\n"
    ) in to_latex(document(table))


def test_a_table_of_latex_without_headings_has_no_row_of_them_and_long_texts_break() -> None:
    told = to_latex(document(Table([Column("", numeric=False), Column("", numeric=False)], [["packages", "x" * 80]])))
    assert "\\begin{longtable}{lp{0.5\\linewidth}}\n\\toprule\n\\endhead\npackages & " in told


@pytest.mark.parametrize("text", ["[2pt] no length", "* no star"])
def test_no_row_or_item_of_latex_is_read_as_an_option(text: str) -> None:
    told = to_latex(document(Items([text]), Table([Column(text, numeric=False)], [["first"], [text]])))
    assert told.count("{}" + text) == 3
    assert not re.search(r"(\\\\|\\item|\\midrule|\\endhead)\s*[\[*]", told)


def test_a_config_of_latex_keeps_its_indentation() -> None:
    assert "\\texttt{data:}\\\\\n\\texttt{~~depth: 20}\n" in to_latex(document(Code("data:\n  depth: 20\n")))


def test_a_figure_of_latex_is_the_png_beside_it() -> None:
    told = to_latex(document(FIGURE))
    assert "\\includegraphics[width=\\linewidth]{figures/strata.png}\n\\caption{The change in each group.}" in told


# The terminal


def test_the_terminal_shows_texts_and_tables_and_names_what_is_folded() -> None:
    table = Table([Column("metric", numeric=False), Column("change")], [["mrr", "+0.1"]], "All metrics")
    told = printed(Text("A sentence."), Items(["one", "two"]), table, FIGURE, Details("More of it", [Text("hidden")]))
    for shown in (
        "A title",
        "The verdict.",
        "A section",
        "A sentence.",
        "- one",
        "All metrics",
        "metric",
        "+0.1",
        "More of it",
    ):
        assert shown in told
    assert "hidden" not in told
    assert "Change by group" not in told


def test_a_text_cannot_colour_clear_or_rename_the_terminal() -> None:
    hostile = "red \x1b[31m title \x1b]0;gone\x07 bell \x9b2J [bold]kept[/bold]"
    told = printed(
        Text(hostile),
        Items([hostile]),
        Table([Column(hostile)], [[hostile]], hostile),
        Details(hostile, []),
        Code(hostile),
    )
    assert not set(told) & set("\x1b\x07\x9b")
    assert told.count("[bold]kept[/bold]") == 7


def test_a_table_without_headings_has_no_row_of_them_on_the_terminal() -> None:
    table = Table([Column("", numeric=False), Column("")], [["pairs", "12"]])
    rows = [line for line in printed(table).splitlines() if line.strip(" │┃┌─┬┐└┴┘├┼┤┏━┳┓┡╇┩")][3:]
    assert [line.strip("│ ").split() for line in rows] == [["pairs", "│", "12"]]
