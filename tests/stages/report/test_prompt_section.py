"""The report says what fits in a prompt, what reranking saves there, and how sure that is."""

from __future__ import annotations

from typing import Any

from stages.report.document import Figure, Table, Text, cell
from stages.report.run.prompt import prompt_section


def told(**changed: Any) -> dict[str, Any]:
    saving = {
        "budget": 2000,
        "recall": 0.5,
        "reranked_recall": 0.625,
        "first_tokens": 1980,
        "reranked_tokens": 1210,
        "saved": 770,
        "interval": [300.0, 1010.0],
        "confidence": 0.9,
    }
    return {
        "prompt": {
            "queries": 1000,
            "never": 120,
            "tokenizer": "tiny",
            "savings": [saving | changed],
            "curve": [
                {"tokens": tokens, "first_stage": tokens / 9000, "reranked": tokens / 8000}
                for tokens in (10, 2000, 4000)
            ],
        }
    }


def first_words(content: dict[str, Any]) -> Text:
    section = prompt_section(content)
    assert section is not None
    block = section.blocks[0]
    assert isinstance(block, Text)
    return block


def test_what_is_saved_is_said_with_its_interval() -> None:
    assert first_words(told()) == Text(
        "With 2,000 tokens the first stage has an answer for 50.0% of the queries, the reranked list for 62.5%. At the "
        "recall of the first stage reranking saves 770 tokens a prompt (90 % interval of what it saves +300 to +1,010):"
        " it needs 1,210 instead of 1,980.",
        "good",
    )
    section = prompt_section(told())
    assert section is not None
    [table] = [block for block in section.blocks if isinstance(block, Table)]
    assert [cell(one).text for one in table.rows[0]] == [
        "2,000",
        "50.0%",
        "62.5%",
        "1,980",
        "1,210",
        "+770",
        "+300 to +1,010",
    ]
    [figure] = [block for block in section.blocks if isinstance(block, Figure)]
    assert "120 have no answer in any candidate" in figure.caption
    assert len(figure.draw().axes[0].lines) == 3


def test_a_cost_a_doubt_and_what_cannot_be_said_are_told_as_such() -> None:
    cost = first_words(told(saved=-70, reranked_tokens=2050, interval=[-100.0, -20.0]))
    assert cost.tone == "bad" and "reranking costs 70 tokens a prompt" in cost.text
    assert first_words(told(interval=[-5.0, 900.0])).tone == "unsure"
    assert first_words(told(interval=None)).tone == "unsure"
    nothing = first_words(told(saved=None, first_tokens=None, reranked_tokens=None, interval=None))
    assert nothing.text.endswith("What reranking saves at equal recall cannot be said.")


def test_without_a_budget_there_is_no_section() -> None:
    assert prompt_section({}) is None
