"""What `rerank-eval verify` found -> its report: are the scores right, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.core.words import NONE, count, number, share
from stages.report.document import Block, Cell, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.report.drawing import AFTER, BAD, BEFORE, in_style, panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

WORST = 10
LONGEST_TEXT = 80


def agreement_document(content: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Document:
    """`content` is that of verify.json, `rows` are those of pairs.parquet."""
    found = content["agreement"]
    sections = [Section("How far apart are they?", [*_difference(content, found, rows)])] if found else []
    if content["fault"]:
        sections.append(Section("What explains it?", [*_fault(content)]))
    sections.append(Section("Tokens", [*_tokens(content["tokens"])]))
    if found:
        sections.append(Section("The pairs that differ most", [_worst(rows)]))
    sections.append(Section("What was compared", [_compared(content)]))
    return Document(f"Are the scores of {content['url']} right?", [*_lead(content, found)], sections)


def _lead(content: Mapping[str, Any], found: Mapping[str, Any] | None) -> Iterator[Text]:
    if found is None:
        yield Text("No pair was scored by both sides, so nothing can be said.", "bad")
    elif content["agrees"]:
        yield Text(
            f"Yes: over {count(found['pairs'])} pairs the largest difference from Transformers is "
            f"{number(found['largest'])}, and {number(content['tolerance']['value'])} is allowed.",
            "good",
        )
    else:
        yield Text(
            f"No: {count(found['beyond'])} of {count(found['pairs'])} pairs differ from Transformers by more than "
            f"{number(content['tolerance']['value'])}, at most by {number(found['largest'])}.",
            "bad",
        )
    if fault := content["fault"]:
        yield Text(f"{fault['says']}.", "bad" if fault["kind"] != "unknown" else "unsure")
        setting = f" ({fault['setting']})" if fault["setting"] else ""
        yield Text(f"To mend it{setting}: {fault['mend']}.")
    for note in content["notes"]:
        yield Text(f"Mind: {note}.", "unsure")


def _difference(
    content: Mapping[str, Any], found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[Block]:
    named = [
        ("pairs compared", count(found["pairs"])),
        ("beyond the tolerance", f"{count(found['beyond'])} ({share(found['beyond'] / found['pairs'])})"),
        ("tolerance", f"{number(content['tolerance']['value'])}: {content['tolerance']['origin']}"),
        ("largest difference", number(found["largest"])),
        ("mean difference", number(found["mean"])),
        ("served less direct, mean", number(found["bias"])),
        ("largest difference of logits", number(found["logit_largest"])),
        ("mean difference of logits", f"{number(found['logit_mean'])}, over {count(found['logit_pairs'])} pairs"),
        ("Kendall's tau per query, mean", f"{_tau(found['tau_mean'])}, over {count(found['tau_queries'])} queries"),
        ("lowest", f"{_tau(found['tau_lowest'])}, query {found['tau_lowest_query'] or NONE}"),
    ]
    yield Table([Column("", numeric=False), Column("", numeric=False)], named)
    both = [row for row in rows if row["difference"] is not None]
    yield Figure(
        "served-direct",
        "Each pair's score from the service over its score from Transformers; on the line they are the same.",
        lambda: served_over_direct(both, content["tolerance"]["value"]),
    )


def _fault(content: Mapping[str, Any]) -> Iterator[Block]:
    if content["fault"]["evidence"]:
        yield Items([f"{sentence}." for sentence in content["fault"]["evidence"]])
    rows: list[list[Cell | str]] = [
        [
            Cell(one["says"], "good" if one["explains"] else "plain"),
            number(one["mean"]),
            number(one["largest"]),
            "yes" if one["explains"] else "no",
        ]
        for one in content["tried"]
    ]
    columns = [Column("assumed", numeric=False), Column("mean difference left"), Column("largest"), Column("explains")]
    if rows:
        yield Table(columns, rows, "Scored directly under each assumption; what explains the scores leaves little.")


def _tokens(tokens: Mapping[str, Any]) -> Iterator[Block]:
    encoder, service = tokens["encoder"], tokens["service"]
    if encoder["differing"]:
        yield Text(f"Our encoder: {encoder['differing']} of {encoder['pairs']} prompts differ.", "bad")
        first = encoder["first"]
        yield Text(
            f"First at token {first['position'] + 1} of {first['doc_id']}: {first['one']}, not {first['other']}."
        )
    else:
        yield Text(
            f"Our encoder: {count(encoder['pairs'])} prompts compared id by id, all are the published ones.", "good"
        )
    if not service["requests"]:
        yield Text("The service does not say how many tokens it read.", "unsure")
    elif service["differing"]:
        name, read, direct = service["first"]
        yield Text(
            f"The service: {service['differing']} of {service['requests']} requests have another number of tokens; "
            f"first {name}, {read:,} instead of {direct:,}.",
            "bad",
        )
    else:
        yield Text(f"The service: the number of tokens is right in all {service['requests']} requests.", "good")
    if service["longest"] is not None:
        yield Text(
            f"Of the document too long it reads {service['longest']:,} tokens; the published way keeps "
            f"{service['longest_direct']:,}."
        )


def _worst(rows: Sequence[Mapping[str, Any]]) -> Table:
    both = [row for row in rows if row["difference"] is not None]
    worst = sorted(both, key=lambda row: -abs(row["difference"]))[:WORST]
    columns = [Column("query", numeric=False), Column("document", numeric=False)]
    columns += [Column(name) for name in ("tokens", "served", "direct", "difference")]
    return Table(
        columns,
        [
            [
                _short(row["query"]),
                _short(row["document"]),
                f"{row['tokens']:,}{', cut' if row['truncated'] else ''}",
                f"{row['served']:.5f}",
                f"{row['direct']:.5f}",
                f"{row['difference']:+.5f}",
            ]
            for row in worst
        ],
    )


def _compared(content: Mapping[str, Any]) -> Details:
    model, direct, sample = content["model"], content["direct"], content["sample"]
    told = [f"{name}: {value}" for name, value in {**model, **content["dtype"]}.items() if value is not None]
    told.append(f"sample: {sample['pairs']} pairs of {sample['queries']} queries, {sample['origin']}")
    told.append(
        f"directly: {direct['dtype']} on {direct['device']}, {number(direct['pairs_per_s'])} pairs/s "
        f"({number(direct['seconds'])} s)"
    )
    return Details("Model, sample and machine", [Items(told)])


@in_style
def served_over_direct(rows: Sequence[Mapping[str, Any]], tolerance: float) -> Drawing:
    """A point for each pair, those beyond the tolerance in another colour, and the line on which all should be."""
    figure, axes = panel(3.4)
    for beyond, colour in ((False, AFTER), (True, BAD)):
        some = [row for row in rows if (abs(row["difference"]) > tolerance) is beyond]
        axes.scatter([row["direct"] for row in some], [row["served"] for row in some], 14, color=colour, alpha=0.8)
    ends = [edge(row[side] for row in rows for side in ("served", "direct")) for edge in (min, max)]
    axes.plot(ends, ends, color=BEFORE, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set(xlabel="score from Transformers", ylabel="score from the service")
    return figure


def _tau(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
