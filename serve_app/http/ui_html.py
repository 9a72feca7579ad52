"""What the page shows, as HTML: plain functions, no Gradio, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from serve_app.http.api_models import RerankResponse

FOLDED_CHARS = 300
STYLE = """
.model, .summary, .hint, .ranking small, .ranking th, .ranking em {color: var(--block-title-text-color)}
.model h1 {color: var(--body-text-color); font-size: 1.3rem; font-weight: 600; margin-bottom: .3rem}
.model b, .summary b:not(.down) {color: var(--body-text-color)} .model b {font-weight: 600}
.model span + span::before, .summary span + span::before {content: "· "}
.summary {margin-bottom: .8rem; line-height: 1.5}
.notice {border-left: 4px solid #d97706; border-radius: 4px; padding: .7rem 1rem; overflow-wrap: anywhere}
.notice {background: var(--background-fill-secondary); line-height: 1.5} .notice b {font-weight: 600}
.ranking {width: 100%; border-collapse: collapse; line-height: 1.5}
.ranking th {font-size: .8rem; font-weight: 400; text-align: left; padding: .2rem .7rem}
.ranking td {border-top: 1px solid var(--border-color-primary); padding: .6rem .7rem; vertical-align: top}
.ranking b, .summary b, .rank {font-weight: 600} .ranking small {display: block; font-size: .8rem}
.moved, .score {white-space: nowrap; font-variant-numeric: tabular-nums; width: 1%}
.up {color: #15803d} .dark .up {color: #4ade80} .down {color: #b45309} .dark .down {color: #fbbf24}
.bar {display: block; width: 6rem; height: .4rem; margin-top: .3rem; background: var(--border-color-primary)}
.bar i {display: block; height: 100%; background: var(--color-accent)} .bar, .bar i {border-radius: 1rem}
.passage {overflow-wrap: anywhere; white-space: pre-wrap} .passage em {display: block; font-size: .85rem}
.passage summary {cursor: pointer; display: inline} .passage [open] i {display: none}
.passage i {color: var(--link-text-color); font-style: normal; white-space: nowrap}
.html-container {padding: 0 !important}
@media (max-width: 600px) {
  .ranking tr {display: grid; grid-template-columns: 2rem 1fr auto} .ranking tr:first-child {display: none}
  .ranking td {padding: .5rem .2rem; width: auto} .ranking .passage {grid-column: 1 / -1; border: 0; padding-top: 0}
  .ranking small {display: inline; margin-left: .5rem}
}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ranking. `rank` and `was`, the place among the passages as given, count from 1. `note` says what
    became of one that did not fit the model.
    """

    rank: int
    was: int
    score: float
    text: str
    note: str

    @property
    def moved(self) -> int:
        """Places won; negative where the passage fell."""
        return self.was - self.rank


def rows(answer: RerankResponse, passages: Sequence[str]) -> list[Row]:
    """The ranking, best first."""
    return [
        Row(rank, result.index + 1, result.relevance_score, passages[result.index], _note(answer, result.index))
        for rank, result in enumerate(answer.results, start=1)
    ]


def _note(answer: RerankResponse, index: int) -> str:
    parts = (answer.passages or {}).get(index, 1)
    read = [f"read in {parts} parts, the best one counts"] if parts > 1 else []
    return "; ".join([*read, *(["cut to fit the model"] if index in answer.truncated else [])])


def notice_html(title: str, message: str) -> str:
    """A message in place of a ranking."""
    return f'<div class="notice" role="alert"><b>{escape(title)}</b><p>{escape(message)}</p></div>'


def ranking_html(answer: RerankResponse, passages: Sequence[str]) -> str:
    """The summary and the table."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Rank", "Moved", "Score", "Passage"))
    body = "".join(_row_html(row) for row in rows(answer, passages))
    return f'{_summary_html(answer, len(passages))}<table class="ranking"><tr>{head}</tr>{body}</table>'


def _summary_html(answer: RerankResponse, passages: int) -> str:
    times = answer.meta.get("timings_ms", {})
    parts = ", ".join(f"{name} {times[name]:.1f}" for name in ("queue", "tokenize", "engine") if name in times)
    facts = [f"<b>{passages}</b> passage{'s' * (passages != 1)}"]
    if "total" in times:
        facts.append(f"<b>{times['total']:.1f} ms</b>" + (f" ({parts})" if parts else ""))
    facts.append(f"<b>{answer.usage.prompt_tokens:,}</b> tokens, {answer.usage.cached_tokens:,} of them cached")
    if answer.passages:
        facts.append(f"<b>{len(answer.passages)}</b> read in parts")
    if answer.truncated:
        facts.append(f'<b class="down">{len(answer.truncated)} cut</b> to fit the model')
    return f'<p class="summary">{" ".join(f"<span>{fact}</span>" for fact in facts)}</p>'


def _row_html(row: Row) -> str:
    width = 100 * min(max(row.score, 0.0), 1.0)  # a cosine may be negative
    return (
        f'<tr><td class="rank">{row.rank}</td><td class="moved">{_moved_html(row)}<small>was {row.was}</small></td>'
        f'<td class="score" title="{row.score!r}">{row.score:.4f}'
        f'<span class="bar"><i style="width:{width:.1f}%"></i></span></td>'
        f'<td class="passage">{_passage_html(row.text)}{f"<em>{row.note}</em>" if row.note else ""}</td></tr>'
    )


def _moved_html(row: Row) -> str:
    if not row.moved:
        return '<b aria-label="same place">=</b>'
    kind, arrow = ("up", "▲") if row.moved > 0 else ("down", "▼")
    return f'<b class="{kind}" aria-label="{kind} {abs(row.moved)}">{arrow} {abs(row.moved)}</b>'


def _passage_html(text: str) -> str:
    """The passage as text, never as markup; a long one unfolds."""
    if len(text) <= FOLDED_CHARS:
        return escape(text)
    start = text[:FOLDED_CHARS].rsplit(maxsplit=1)[0]
    return f"<details><summary>{escape(start)}<i> … more</i></summary>{escape(text[len(start) :])}</details>"
