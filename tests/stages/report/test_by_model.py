"""Whatever may be cut out of a report says that a model judged: titles, tables, figures, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure as Drawing

from stages.report.by_model import marked
from stages.report.document import Cell, Column, Details, Document, Figure, Section, Table, Text
from stages.report.html import to_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown
from stages.report.second_opinion import inference_lead, inference_section, inferred_tone

MARK = "by model judgement (tiny@0123456789ab)"
TABLE = Table([Column("metric"), Column("change")], [["ndcg@10", Cell("+0.1", "good")]], "The change.")
DOCUMENT = Document(
    "A run",
    [Text("It helps.", "good")],
    [
        Section("Did it help?", [TABLE, Details("More", [TABLE]), Figure("f", "A figure", Drawing)]),
        Section("At what speed?", [Table([Column("pairs")], [["7"]])]),
    ],
)


def test_without_a_mark_the_document_is_as_it_was() -> None:
    assert marked(DOCUMENT, None) is DOCUMENT


@pytest.mark.parametrize("form", [to_markdown, to_latex, to_html])
def test_titles_captions_and_pictures_have_the_mark_in_every_form(form: Any) -> None:
    told = form(marked(DOCUMENT, MARK, plain=["At what speed?"]))
    assert told.count("By model judgement (tiny@0123456789ab)") >= 3  # both tables and the figure
    assert "Did it help? (by model judgement)" in told
    assert "A run (by model judgement)" in told
    assert "At what speed? (by" not in told


def test_nothing_is_green_or_red_and_the_picture_itself_says_it(tmp_path: Path) -> None:
    (section, _) = marked(DOCUMENT, MARK).sections
    table, details, figure = section.blocks
    assert isinstance(table, Table) and isinstance(details, Details) and isinstance(figure, Figure)
    assert table.rows == [["ndcg@10", Cell("+0.1")]]
    assert details.title == "More (by model judgement)"
    assert figure.draw().get_suptitle() == "by model judgement"


def found(interval: Any, method: str | None = "people") -> dict[str, Any]:
    inferred = {"mean": 0.1, "interval": interval, "method": method, "rho": 0.5, "n": 9, "population": 20}
    empty = {"mean": None, "interval": None}
    return {
        "judge": "tiny",
        "change": inferred,
        "first": empty,
        "second": empty,
        "by_model": 0.2,
        "error": None,
        "words": ["ndcg@10 rises", "it is a relative", "only 9 are judged"],
    }


@pytest.mark.parametrize(
    ("interval", "tone"), [((0.1, 0.2), "good"), ((-0.2, -0.1), "bad"), ((-0.1, 0.1), "unsure"), (None, "unsure")]
)
def test_the_verdict_is_good_or_bad_by_people_s_interval_alone(interval: Any, tone: str) -> None:
    assert inferred_tone(found(interval)) == tone
    first, *others = inference_lead(found(interval))
    assert (first.text, first.tone) == ("ndcg@10 rises.", tone)
    assert [one.text for one in others] == ["It is a relative.", "Only 9 are judged."]


def test_what_is_known_of_the_judge_has_a_table_and_dashes_where_it_is_not() -> None:
    assert inference_section({}) is None
    section = inference_section({"inference": {"ndcg@10": found((0.1, 0.2)), "mrr": found(None, None)}})
    assert section is not None
    table = section.blocks[1]
    assert isinstance(table, Table)
    assert table.rows[0][:5] == ["ndcg@10", "+0.1000", "+0.1000 to +0.2000", "people", "9 of 20"]
    assert table.rows[1][2:4] == ["–", "–"]
