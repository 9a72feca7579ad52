"""A benchmark -> its report: what came out in sentences, the table of all contenders, what each costs, what was run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from stages.core.words import NONE, count, number, share
from stages.quality.agreement import Agreement
from stages.report.benchmark_drawing import speeds
from stages.report.document import Block, Cell, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.speed.benchmark import Benchmark, Measurement, middle

# What the lead compares our contenders with, the first that has a figure of each line.
BASELINES = {
    "engine-defaults": "vLLM offline with its defaults",
    "transformers": "Transformers",
    "cross-encoder": "sentence-transformers' CrossEncoder",
}


def benchmark_document(benchmark: Benchmark) -> Document:
    name, pairs = benchmark.model["name"], benchmark.pairs
    told = f"{count(pairs.pairs)} pairs of {pairs.tokens / pairs.pairs:.0f} tokens, {_rounds(benchmark)}"
    sections = [
        Section("Who is how fast?", [_speeds(benchmark), *_figure(benchmark)]),
        Section("What does it cost?", [_costs(benchmark), *_processors(benchmark)]),
        Section("Do all compute the same?", [_agreements(benchmark)]),
        Section("What was measured?", list(_measured(benchmark))),
    ]
    return Document(f"Benchmark of {name}: {told}", list(_lead(benchmark)), sections)


def _lead(benchmark: Benchmark) -> Iterator[Text]:
    if benchmark.quick:
        yield Text("--quick: one round, few pairs, not all contenders. Ratios of this size may be chance.", "unsure")
    if benchmark.interrupted:
        yield Text("It was interrupted: what is told is of what was finished by then.", "unsure")
    ceiling = benchmark.ceiling
    if ceiling is None:
        yield Text("The bare engine with our settings has no figure, so there is no ceiling to compare with.", "bad")
    else:
        yield Text(f"The ceiling is {ceiling.title}: {_rate(ceiling)}{_of_limit(benchmark, ceiling)}.")
    for one in benchmark.measurements:
        told = one.kind in ("job", "service") or one.name == "service-alone"
        if told and one.pairs_per_s and not one.differs:
            yield Text(_compared(benchmark, one))
    for one in benchmark.measurements:
        if one.differs:
            yield Text(f"{one.title} does not give the reference's scores: its speed is no result.", "bad")
        elif one.error:
            yield Text(f"{one.title} has no figure: {one.error}", "bad")


def _compared(benchmark: Benchmark, one: Measurement) -> str:
    parts = [f"{_spread(shares)} of the ceiling"] if (shares := benchmark.shares(one)) else []
    for other, title in BASELINES.items() if one.kind != "alone" else ():
        if times := benchmark.against(one.name, other):
            parts.append(f"{number(middle(times))} times {title}")
    if one.kind == "service" and (times := benchmark.against(one.name, f"server-ours-text-{one.clients}")):
        parts.append(f"{_spread(times)} of vLLM's own server with as many clients and the same texts")
    if one.kind == "alone" and (times := benchmark.against(one.name, "engine-alone")):
        parts.append(f"{_spread(times)} of the bare engine, which then gets a query at a time too")
    if first := benchmark.first_pair_shares(one):
        parts.append(f"the first pair is scored after {_spread(first)} of the bare engine's time")
    title = one.title[:1].upper() + one.title[1:]
    return f"{title}: {_rate(one)}" + (f"; {', '.join(parts)}." if parts else ".")


def _speeds(benchmark: Benchmark) -> Table:
    headings = ("pairs/s", "slowest to fastest", "tokens/s", "of the ceiling", "of the limit")
    rows: list[list[Cell | str]] = []
    for one in benchmark.measurements:
        tone = Cell(one.title, "bad" if one.error or one.differs else "plain")
        low, high = one.spread or (None, None)
        rows.append(
            [
                tone,
                number(one.pairs_per_s),
                NONE if low is None else f"{number(low)} to {number(high)}",
                number(one.tokens_per_s),
                _spread(benchmark.shares(one)),
                share(benchmark.to_limit(one), 0),
            ]
        )
    columns = [Column("contender", numeric=False), *map(Column, headings)]
    limit = benchmark.limit_pairs_per_s
    caption = "--quick: one round, few pairs; who is left out is told below. " if benchmark.quick else ""
    caption += (
        "Medians over the rounds. pairs/s are from the first pair handed over, the engine being ready, to the last "
        "score; where all pairs are stored, of the whole command. In brackets: how many clients ask a server at once. "
        "vLLM has our settings where it does not say defaults. A warm job's time holds the start of its workers; a "
        "cold one has that behind it when the engine is ready."
    )
    if limit is not None:
        caption += f" The limit is {number(limit)} pairs/s."
    return Table(columns, rows, caption)


def _costs(benchmark: Benchmark) -> Table:
    on_gpu = any(one.peak_gpu_mib is not None for one in benchmark.measurements)
    gpu = ["peak GPU memory, MiB"] if on_gpu else []
    times = ["first pair after, s", "over the bare engine's", "whole command, s"]
    processors = ["processor s per 1,000 pairs", "of them the replica", "all but the engine"]
    columns = [*times, "peak memory, MiB", *gpu, *processors]
    rows = []
    for one in benchmark.measurements:
        spent = one.processor_s_per_1000
        total = sum(spent.values()) if spent else None
        first = [number(one.start_up_s), _spread(benchmark.first_pair_shares(one)), number(one.whole_s)]
        memory = [one.peak_mib, *([one.peak_gpu_mib] if on_gpu else [])]
        figures = [*memory, total, spent.get("replica"), one.outside_engine_s_per_1000]
        rows.append([one.title, *first, *map(number, figures)])
    caption = (
        "The first pair is counted from the command on. Memory is that of all processes of a contender at once, what "
        "they share counted once. Shares are medians of the rounds' own."
    )
    return Table([Column("contender", numeric=False), *map(Column, columns)], rows, caption)


def _processors(benchmark: Benchmark) -> Iterator[Block]:
    """Of every role that costs anything, for every contender."""
    spent = {one.title: one.processor_s_per_1000 for one in benchmark.measurements if one.processor_s_per_1000}
    roles = list(dict.fromkeys(role for some in spent.values() for role, value in some.items() if value >= 0.005))
    if not roles:
        return
    rows = [[title, *(number(some.get(role)) for role in roles)] for title, some in spent.items()]
    table = Table([Column("contender", numeric=False), *map(Column, roles)], rows)
    yield Details("Processor seconds per 1,000 pairs in each kind of process", [table])


def _agreements(benchmark: Benchmark) -> Block:
    compared = [one for one in benchmark.measurements if one.agreement is not None]
    if not compared or benchmark.reference is None:
        return Text("No scores were had, so none could be compared.", "unsure")
    rows: list[list[Cell | str]] = []
    for one in compared:
        assert one.agreement is not None
        found = one.agreement
        rows.append(
            [
                one.title,
                number(found.largest),
                number(found.mean),
                NONE if found.rank_correlation is None else f"{found.rank_correlation:.4f}",
                f"{one.more_tokens:+,}" if one.more_tokens else "equal",
                _same(one, found),
            ]
        )
    reference = benchmark.of(benchmark.reference)
    title = reference.title if reference else benchmark.reference
    headings = ("largest difference", "mean difference", "rank correlation", "tokens read")
    columns = [Column("contender", numeric=False), *map(Column, headings), Column("the same", numeric=False)]
    return Table(columns, rows, f"Probabilities of the first round, pair by pair, against those of: {title}.")


def _same(one: Measurement, found: Agreement) -> Cell:
    """Where all pairs score alike, as with made-up weights, equal scores prove nothing."""
    if one.differs:
        return Cell("no", "bad")
    return Cell("cannot be told", "unsure") if found.rank_correlation is None else Cell("yes", "good")


def _measured(benchmark: Benchmark) -> Iterator[Block]:
    pairs, machine = benchmark.pairs, benchmark.machine
    rate = middle(benchmark.matrix_flops)
    saved = 1 - pairs.shared.tokens / pairs.alone.tokens
    rows = [
        ["model", str(benchmark.model["name"])],
        ["machine", _machine(machine)],
        ["pairs", f"{count(pairs.queries)} queries x {count(pairs.documents)} documents"],
        ["tokens a pair", f"{pairs.tokens / pairs.pairs:.0f}, from {count(pairs.shortest)} to {count(pairs.longest)}"],
        ["queries that repeat another's text", share(pairs.repeats, 0)],
        ["operations a pair, each by itself", _gflop(pairs.alone.flop / pairs.pairs)],
        ["the same, beginnings shared to the token", _gflop(pairs.shared.flop / pairs.pairs)],
        ["the same, shared in the engine's blocks", _gflop(pairs.in_blocks.flop / pairs.pairs)],
        ["tokens that sharing saves at most", share(saved)],
        ["rate of a large matrix product", NONE if rate is None else f"{number(rate / 1e9)} GFLOP/s"],
    ]
    yield Table([Column("", numeric=False), Column("", numeric=False)], rows)
    yield Text(
        "The limit is that rate over the operations that remain when no beginning of a prompt is computed twice"
        + ("." if benchmark.prefix_caching else "; here sharing is off, so over all of them.")
    )
    if benchmark.notes:
        yield Items(list(benchmark.notes))
    failures = [
        f"{one.title}, round {r.number}: {r.error}" for one in benchmark.measurements for r in one.rounds if r.error
    ]
    if failures:
        yield Details("Rounds that failed", [Items(failures)])


def _machine(machine: Mapping[str, Any]) -> str:
    known = f" ({machine['instructions']})" if machine.get("instructions") else ""
    return f"{machine['device'] or 'not told'}; {machine['processor']}{known}, {machine['cores']} cores"


def _figure(benchmark: Benchmark) -> Iterator[Figure]:
    shown = [one for one in benchmark.measurements if one.pairs_per_s and one.kind != "stored"]
    if shown:
        alt = "Pairs per second of each contender, from its slowest to its fastest round"
        ceiling, limit = benchmark.ceiling, benchmark.limit_pairs_per_s
        top = ceiling.pairs_per_s if ceiling else None
        caption = (
            "The dashed line is the ceiling, the dotted one the limit" if limit else "The dashed line is the ceiling"
        )
        yield Figure(
            "pairs-per-second", alt, lambda: speeds(shown, top, limit), f"{caption}; thin lines are the spread."
        )


def _spread(shares: Sequence[float]) -> str:
    """The median, and from the least to the most where there are several rounds."""
    if len(shares) < 2:
        return share(middle(shares), 0)
    return f"{share(median(shares), 0)} ({share(min(shares), 0)} to {share(max(shares), 0)})"


def _rate(one: Measurement) -> str:
    return f"{number(one.pairs_per_s)} pairs/s"


def _of_limit(benchmark: Benchmark, one: Measurement) -> str:
    reached = benchmark.to_limit(one)
    return "" if reached is None else f", {share(reached, 0)} of what the machine's arithmetic allows"


def _rounds(benchmark: Benchmark) -> str:
    number_of = max((len(one.rounds) for one in benchmark.measurements), default=0)
    return f"{number_of} round" if number_of == 1 else f"{number_of} rounds"


def _gflop(value: float) -> str:
    return f"{number(value / 1e12)} TFLOP" if value >= 1e11 else f"{number(value / 1e9)} GFLOP"
