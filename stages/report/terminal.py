"""What the terminal shows: the tables at the end of a job, and documents without their figures, folded parts told by
their titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text as RichText

from stages.core.judges import BY_MODEL, mark_of
from stages.core.metrics import CachePart, CoveragePart, Metrics, QualityPart, ThroughputPart
from stages.core.words import first_up, number, written_name
from stages.report.document import Block, Code, Details, Document, Figure, Items, Table, Text, cell

# A text from the data must not move the cursor or rename the window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COLOURS = {"plain": "", "good": "green", "bad": "red", "unsure": "yellow"}
# A column of texts may be squeezed to this, and what stands in a column of numbers but is longer is a text.
NARROW = 22


def print_document(document: Document, console: Console | None = None) -> None:
    """To stdout, or to `console`."""
    console = console or Console(highlight=False)
    console.print(_text(document.title, style="bold"))
    console.print(*_blocks(document.lead, console.width), sep="\n")
    for section in document.sections:
        console.print()
        console.print(_text(section.title, style="bold underline"))
        for shown in _blocks(section.blocks, console.width):
            console.print(shown)


def _blocks(blocks: Sequence[Block], width: int) -> Iterator[RenderableType]:
    for block in blocks:
        match block:
            case Text():
                yield _text(block.text, style=COLOURS[block.tone])
            case Items():
                yield from (Padding(_text(f"- {item}"), (0, 0, 0, 2)) for item in block.items)
            case Table():
                yield from (_table(block, places) for places in _parts(block, width))
            case Figure():
                continue  # it is in the page
            case Details():
                yield _folded(block.title)
            case Code():
                yield _text(block.text)


def print_table(table: Table, console: Console) -> None:
    """By itself, in several parts where it is wider than the terminal."""
    for places in _parts(table, console.width):
        console.print(_table(table, places))


def _parts(table: Table, width: int) -> list[list[int]]:
    """The columns that stand beside each other, the first one in every part: rich would cut numbers to make room."""
    least = [_least(table, place) for place in range(len(table.columns))]
    parts = [[0]]
    for place in range(1, len(least)):
        beside = [*parts[-1], place]
        # Each column has a blank at both sides and a line; one more line ends the row.
        if len(parts[-1]) > 1 and sum(least[one] + 3 for one in beside) + 1 > width:
            beside = [0, place]
            parts.append(beside)
        parts[-1] = beside
    return parts


def _least(table: Table, place: int) -> int:
    """How narrow a column may be: the words of its heading, and its numbers, stay in one piece."""
    words = table.columns[place].heading.split()
    return min(NARROW, max(map(cell_len, [*words, *_texts(table, place), "-"])))


def _texts(table: Table, place: int) -> list[str]:
    return [cell(row[place]).text for row in table.rows]


def _table(table: Table, places: Sequence[int]) -> RichTable:
    title = _text(table.caption) if table.caption and places[1:2] in ([], [1]) else None
    shown = RichTable(title=title, title_justify="left", header_style="bold", title_style="italic")
    shown.show_header = any(column.heading for column in table.columns)
    for place in places:
        column = table.columns[place]
        whole = column.numeric and max(map(cell_len, _texts(table, place)), default=0) <= NARROW
        # What is not wrapped has a heading that is not, either.
        lines = wrap(column.heading, _least(table, place)) if whole else [column.heading]
        shown.add_column(
            _text("\n".join(lines)), justify="right" if column.numeric else "left", overflow="fold", no_wrap=whole
        )
    for row in table.rows:
        several = (cell(row[place]) for place in places)
        shown.add_row(*(_text(one.text, style=COLOURS[one.tone]) for one in several))
    return shown


def _folded(title: str) -> RichText:
    told = _text(f"  {title}")
    told.overflow, told.no_wrap = "ellipsis", True
    return told


def _text(text: str, style: str = "") -> RichText:
    """Never markup: a bracket in a text is a bracket."""
    return RichText(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), style=style)


def quality_table(metrics: Metrics, runs: Mapping[str, Metrics] | None = None) -> RichTable:
    """First stage against reranked, one row per metric, from the content of metrics.json.

    With several first stages, `runs` holds each one's own metrics, `metrics` those of all candidates together.
    """
    mark = next(filter(None, map(mark_of, (metrics, *(runs or {}).values()))), None)
    title = _text(first_up(mark)) if mark else None
    table = RichTable(title=title, title_justify="left", header_style="bold", title_style="italic")
    table.add_column(f"quality, {BY_MODEL}" if mark else "quality")
    for heading in ("first stage", "reranked", "change"):
        table.add_column(heading, justify="right")
    for name, of_run in (runs or {"": metrics}).items():
        _add_quality(table, of_run["quality"], name, sure=not mark)
    if runs:
        _add_quality(table, _against_fusion(metrics), "all together", sure=not mark)
        if "fused_first_stages" in metrics:
            table.caption = "All together, the first stage is their fusion, tuned on other queries."
    if not metrics["quality"]["reranked"]:
        table.add_row("no judgements", "-", "-", "-")
    return table


def _against_fusion(metrics: Metrics) -> QualityPart:
    """What was reranked together has no first stage but their fusion."""
    if not (fused := metrics.get("fused_first_stages")):
        return metrics["quality"]
    before, delta = dict(fused["tuned"]), dict(fused["delta"])
    return {"first_stage": before, "reranked": metrics["quality"]["reranked"], "delta": delta}


def _add_quality(table: RichTable, quality: QualityPart, run: str, *, sure: bool) -> None:
    """Green and red where people judged."""
    for name, after in (quality["reranked"] or {}).items():
        cells = ["", f"{after:.4f}", ""]
        if (before := quality["first_stage"]) and (changes := quality["delta"]):
            change = changes[name]
            colour = "default" if not sure else "green" if change > 0 else "red" if change < 0 else "default"
            cells = [f"{before[name]:.4f}", f"{after:.4f}", f"[{colour}]{change:+.4f}[/]"]
        table.add_row(f"{run} {written_name(name)}".strip(), *cells)
    table.add_section()


def cost_table(metrics: Metrics) -> RichTable:
    """What was reranked, how fast, and how the engine fared."""
    coverage, throughput = metrics["coverage"], metrics["throughput"]
    rows = {
        "queries": f"{coverage['answered']:,} of {coverage['queries']:,} answered",
        "pairs": f"{coverage['pairs']:,}{_scored(throughput)}",
        "pairs/s": _number(throughput["pairs_per_s"]),
        "prompt tokens/s": _number(throughput["prompt_tokens_per_s"]),
        "queue p95": _number(metrics["queue"]["time_ms"]["p95"], " ms"),
        "prefix hit rate": _share(metrics["cache"]["prefix_hit_rate"]),
        **_reused(metrics["cache"]),
        **_asked(metrics),
        "documents cut": "not told" if coverage["truncated_pairs"] is None else f"{coverage['truncated_pairs']:,}",
        **_in_passages(coverage),
        "tied neighbours": _share(metrics["scores"]["tied_share"]),
        "failed pairs": f"{coverage['failed_pairs']:,}",
        **_unasked(coverage),
        "rows set aside": _count(coverage["set_aside_rows"]),
    }
    table = RichTable(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def forecast_words(metrics: Metrics) -> str | None:
    """How far off what an earlier run foretold was; None where none did."""
    forecast, took_s = metrics.get("forecast"), metrics["throughput"]["wall_s"]
    if not forecast or forecast["scoring_s"] is None or forecast["error"] is None or took_s is None:
        return None
    told, took = number(forecast["scoring_s"], " s"), number(took_s, " s")
    return f"{told} of scoring by the rates of run {forecast['run']}, took {took} ({forecast['error']:+.0%})"


def _scored(throughput: ThroughputPart) -> str:
    """Nothing for one first stage of several, whose pairs were scored with the others'."""
    if throughput["wall_s"] is None:
        return ""
    return f", {throughput['scored_pairs']:,} scored in {throughput['wall_s']:.1f} s"


def _asked(metrics: Metrics) -> dict[str, str]:
    """Nothing but for a hosted model."""
    if not (hosted := metrics.get("hosted")):
        return {}
    money = "" if hosted["cost"] is None else f", {number(hosted['cost'])} by the prices set"
    return {
        "requests": f"{hosted['requests']:,}, {hosted['answered_requests']:,} answered",
        "request p95": _number(hosted["latency_ms"]["p95"], " ms"),
        "billed": f"{number(hosted['billed_units'])} {hosted['billed_unit'].replace('_', ' ')}{money}",
    }


def _in_passages(coverage: CoveragePart) -> dict[str, str]:
    """Nothing where documents are cut."""
    if (pairs := coverage.get("pairs_in_passages")) is None:
        return {}
    return {"read in passages": f"{pairs:,} documents, in {coverage.get('passages') or 0:,}"}


def _unasked(coverage: CoveragePart) -> dict[str, str]:
    """Nothing where every candidate has a text."""
    return {"without a text": f"{unasked:,} candidates"} if (unasked := coverage.get("unasked_pairs")) else {}


def _reused(cache: CachePart) -> dict[str, str]:
    """Nothing but for embedding models."""
    if (reused := cache.get("reused_vectors")) is None:
        return {}
    return {"vectors known": f"for {reused:,} pairs, {_share(cache.get('reused_vector_rate'))}"}


def _count(value: int | None) -> str:
    return "does not apply" if value is None else f"{value:,}"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "does not apply"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:,.1f}{unit}"


def _share(value: float | None) -> str:
    return "does not apply" if value is None else f"{value:.1%}"
