"""The report of a verification answers first, then explains, then proves."""

from __future__ import annotations

from typing import Any

from stages.report.agreement_report import agreement_document
from stages.report.document import Document, Figure, Items, Table, Text, figures
from stages.report.html import to_html
from stages.report.markdown import to_markdown

FOUND: dict[str, Any] = {
    "pairs": 200,
    "beyond": 0,
    "largest": 0.0004,
    "mean": 0.0001,
    "typical": 0.0001,
    "rms": 0.0001,
    "bias": 0.00002,
    "logit_largest": 0.003,
    "logit_mean": 0.001,
    "logit_pairs": 180,
    "tau_mean": 0.998,
    "tau_lowest": 0.95,
    "tau_lowest_query": "q7",
    "tau_queries": 20,
}
CONTENT: dict[str, Any] = {
    "url": "http://127.0.0.1:8000",
    "model": {"name": "a-model", "family": "qwen3-reranker", "template": "single_newline", "max_length": 8192},
    "dtype": {"expected": "bfloat16", "origin": "engine.dtype"},
    "sample": {"origin": "built in", "queries": 20, "pairs": 200, "unanswered": 0, "reason": None},
    "tolerance": {"value": 0.001, "origin": "float32 on both sides"},
    "tokens": {
        "encoder": {"pairs": 200, "differing": 0, "first": None},
        "service": {
            "requests": 20,
            "differing": 0,
            "first": None,
            "excess": 0,
            "longest": 8192,
            "longest_direct": 8192,
        },
    },
    "direct": {"seconds": 40.0, "pairs_per_s": 5.0, "device": "cpu", "dtype": "float32"},
    "notes": [],
    "agrees": True,
    "agreement": FOUND,
    "fault": None,
    "tried": [],
}
FAULT: dict[str, Any] = {
    "name": "other_template",
    "kind": "template",
    "says": "The service writes the blank_line prompt, the config says single_newline",
    "mend": "set model.template",
    "setting": "model.template",
    "evidence": ["The first token that differs is number 44"],
}
WRONG = CONTENT | {
    "agrees": False,
    "agreement": FOUND | {"beyond": 190, "largest": 0.2},
    "fault": FAULT,
    "tried": [
        {"name": "other_template", "says": FAULT["says"], "mean": 0.0001, "largest": 0.001, "explains": True},
        {"name": "no_template", "says": "No template at all", "mean": 0.1, "largest": 0.4, "explains": False},
    ],
}


def row(place: int, difference: float | None = 0.0001) -> dict[str, Any]:
    served = None if difference is None else 0.5 + difference
    texts = {"query_id": "q", "doc_id": f"d{place}", "query": "a query", "document": f"document <b>{place}</b> " * 20}
    return texts | {"tokens": 100, "truncated": place == 1, "served": served, "direct": 0.5, "difference": difference}


ROWS = [row(place, 0.0001 * place) for place in range(1, 15)] + [row(99, None)]


def lead(document: Document) -> list[tuple[str, str]]:
    return [(text.text, text.tone) for text in document.lead]


def test_a_healthy_service_is_called_so_in_the_first_sentence() -> None:
    document = agreement_document(CONTENT, ROWS)
    ((text, tone),) = lead(document)
    assert text.startswith("Yes: over 200 pairs the largest difference from Transformers is 0.0004")
    assert tone == "good"
    assert "What explains it?" not in [section.title for section in document.sections]


def test_a_fault_is_named_with_its_remedy_and_its_evidence() -> None:
    document = agreement_document(WRONG, ROWS)
    told = lead(document)
    assert told[0] == ("No: 190 of 200 pairs differ from Transformers by more than 0.001, at most by 0.200.", "bad")
    assert told[1] == (f"{FAULT['says']}.", "bad")
    assert told[2][0] == "To mend it (model.template): set model.template."
    (explained,) = [section for section in document.sections if section.title == "What explains it?"]
    assert Items(["The first token that differs is number 44."]) in explained.blocks
    (tried,) = [block for block in explained.blocks if isinstance(block, Table)]
    assert [cells[-1] for cells in tried.rows] == ["yes", "no"]


def test_an_unknown_fault_is_not_told_as_if_it_were_certain() -> None:
    unknown = WRONG | {"fault": FAULT | {"kind": "unknown", "says": "Nothing explains it", "setting": None}}
    assert lead(agreement_document(unknown, ROWS))[1] == ("Nothing explains it.", "unsure")


def test_the_worst_pairs_come_first_shortened_and_without_those_that_have_no_score() -> None:
    document = agreement_document(CONTENT, ROWS)
    (section,) = [section for section in document.sections if section.title == "The pairs that differ most"]
    (worst,) = section.blocks
    assert isinstance(worst, Table)
    assert len(worst.rows) == 10
    assert worst.rows[0][-1] == "+0.00140"
    assert str(worst.rows[0][1]).endswith("…")


def test_tokens_that_differ_are_told_with_the_place_and_the_pieces() -> None:
    first = {"query_id": "q", "doc_id": "d3", "position": 43, "one": r"'\n\n'", "other": r"'\n'"}
    tokens = {
        "encoder": {"pairs": 200, "differing": 5, "first": first},
        "service": CONTENT["tokens"]["service"] | {"differing": 20, "first": ("q1", 2100, 2000)},
    }
    text = to_markdown(agreement_document(CONTENT | {"tokens": tokens}, ROWS))
    assert "5 of 200 prompts differ" in text
    assert "token 44 of d3" in text
    assert "2,100 instead of 2,000" in text


def test_a_service_that_tells_no_tokens_is_no_fault() -> None:
    silent = CONTENT["tokens"]["service"] | {"requests": 0, "longest": None}
    document = agreement_document(CONTENT | {"tokens": CONTENT["tokens"] | {"service": silent}}, ROWS)
    (section,) = [section for section in document.sections if section.title == "Tokens"]
    assert Text("The service does not say how many tokens it read.", "unsure") in section.blocks


def test_where_no_pair_was_scored_by_both_sides_nothing_is_claimed() -> None:
    document = agreement_document(CONTENT | {"agrees": False, "agreement": None}, [row(1, None)])
    assert lead(document)[0][0].startswith("No pair was scored by both sides")
    assert figures(document) == []


def test_the_page_holds_the_figure_and_escapes_what_documents_hold() -> None:
    document = agreement_document(WRONG, ROWS)
    (figure,) = figures(document)
    assert isinstance(figure, Figure)
    page = to_html(document)
    assert "<svg" in page
    assert "document &lt;b&gt;14&lt;/b&gt;" in page
    assert "<b>14</b>" not in page
