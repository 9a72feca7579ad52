"""What fits in a prompt of so many tokens, and how many of them reranking saves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import NONE, Tone, percent, share
from stages.report.document import Block, Cell, Column, Figure, Section, Table, Text
from stages.report.prompt_drawing import recall_by_tokens


def prompt_section(analysis: Mapping[str, Any]) -> Section | None:
    told = analysis.get("prompt")
    return Section("What fits in a prompt?", list(_blocks(told))) if told else None


def _blocks(told: Mapping[str, Any]) -> Iterator[Block]:
    savings = told["savings"]
    for one in savings:
        yield Text(_words(one), _tone(one))
    if told["curve"]:
        budgets = [one["budget"] for one in savings]
        yield Figure(
            "prompt",
            "Share of queries with an answer in the prompt, by the tokens that it may take",
            lambda: recall_by_tokens(told["curve"], budgets),
            f"Over {told['queries']:,} judged queries, of which {told['never']:,} have no answer in any candidate.",
        )
    columns = ["tokens", "first stage", "reranked", "first stage needs", "reranked needs", "saved"]
    columns.append(f"{percent(savings[0]['confidence'])} interval")
    yield Table(list(map(Column, columns)), [_row(one) for one in savings])
    yield Text(
        "Contexts go in whole, best first, until the next one does not fit; tokens are those of their texts, by the "
        f"tokenizer of {told.get('tokenizer')}. What a list needs are the fewest tokens with which it has an answer "
        "for as many queries as the first stage has with that budget. The interval is of the paired bootstrap over "
        "queries."
    )


def _words(one: Mapping[str, Any]) -> str:
    told = (
        f"With {one['budget']:,} tokens the first stage has an answer for {share(one['recall'])} of the queries, the "
        f"reranked list for {share(one['reranked_recall'])}."
    )
    if one["saved"] is None:
        return f"{told} What reranking saves at equal recall cannot be said."
    more, verb = abs(one["saved"]), "saves" if one["saved"] >= 0 else "costs"
    ends = one["interval"]
    sure = (
        f" ({percent(one['confidence'])} interval of what it saves {_signed(ends[0])} to {_signed(ends[1])})"
        if ends
        else ""
    )
    return (
        f"{told} At the recall of the first stage reranking {verb} {more:,} tokens a prompt{sure}: it needs "
        f"{one['reranked_tokens']:,} instead of {one['first_tokens']:,}."
    )


def _tone(one: Mapping[str, Any]) -> Tone:
    if not one["interval"] or one["interval"][0] <= 0 <= one["interval"][1]:
        return "unsure"
    return "good" if one["saved"] > 0 else "bad"


def _row(one: Mapping[str, Any]) -> list[Cell | str]:
    needs = [NONE if one[name] is None else f"{one[name]:,}" for name in ("first_tokens", "reranked_tokens")]
    saved = NONE if one["saved"] is None else _signed(one["saved"])
    ends = one["interval"]
    return [
        f"{one['budget']:,}",
        share(one["recall"]),
        share(one["reranked_recall"]),
        *needs,
        Cell(saved, _tone(one)),
        f"{_signed(ends[0])} to {_signed(ends[1])}" if ends else NONE,
    ]


def _signed(tokens: float) -> str:
    return f"{round(tokens):+,}"
