"""A load test's result -> its report: how much the service bears, how long answers take, what failed, what was sent."""

from __future__ import annotations

from collections.abc import Iterator

from stages.core.words import NONE, count, number, share
from stages.report import load_figures
from stages.report.document import Block, Cell, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.telemetry.load import LEAST_GROWTH, LoadResult, LoadStep
from stages.telemetry.load_table import COLUMNS, step_row

MODES = {
    "closed": "Closed loop: each client sends its next request when the last one is answered.",
    "open": (
        "Open loop: requests arrive at random (Poisson), whether or not earlier ones are answered. A latency counts "
        "from the moment at which its request was due."
    ),
}
SECONDS = {
    "closed": "Throughput is over the time from a step's first request to its last answer.",
    "open": "Throughput is over the length of a step, or from its first answer to its last where that is longer.",
}
LEVEL = {"closed": "clients", "open": "offered, requests/s"}


def load_document(result: LoadResult) -> Document:
    sections = [
        Section("How much does it bear?", [*_bears(result)]),
        Section("How long do answers take?", [*_takes(result)]),
        Section("What failed?", [*_failed(result)]),
        Section("What was sent?", [*_sent(result)]),
    ]
    return Document(f"Load test of {result.url}", [*_lead(result)], sections)


def load_blocks(result: LoadResult) -> tuple[Block, ...]:
    """Its figures, for a report that says itself what they mean."""
    return (*_ending(result), *_bears(result), *_takes(result))


def _lead(result: LoadResult) -> Iterator[Text]:
    best = result.knee_step
    if best is None or best.latency is None:
        yield Text("No step was answered well enough to work at.", "bad")
    else:
        yield Text(
            f"It works best with {best.level_words}: {number(best.requests_per_s)} requests/s, "
            f"{number(best.pairs_per_s)} pairs/s, answered in {number(best.latency.mean_ms)} ms on average and within "
            f"{number(best.latency.p95_ms)} ms for 95 %.",
            "good",
        )
    yield from _ending(result)


def _ending(result: LoadResult) -> Iterator[Text]:
    yield Text(f"Why the test ended: {result.ended}.")
    if not result.saturated:
        yield Text("The service was not saturated: it may bear more.", "unsure")
    yield from (Text(f"Mind: {note}", "bad") for note in result.notes)


def _bears(result: LoadResult) -> Iterator[Block]:
    columns = [LEVEL[result.mode], "requests/s", "pairs/s", "prompt tokens/s", "mean, ms", "p95, ms", "failed"]
    rows = [_bears_row(result, index) for index in range(len(result.steps))]
    yield Table([Column(name) for name in columns], rows, "* the knee")
    points = [step_row(result, index) for index in range(len(result.steps))]
    if load_figures.answered(points):
        yield Figure(
            "throughput-latency",
            "Latency over throughput, one point for each level of load",
            lambda: load_figures.throughput_latency(points),
            "The knee is the level with the most throughput for its latency (Kleinrock's power): more load brings "
            f"more delay than throughput. A service is saturated when twice the load brings less than "
            f"{LEAST_GROWTH:.0%} more.",
        )


def _bears_row(result: LoadResult, index: int) -> list[Cell | str]:
    step = result.steps[index]
    knee = index == result.knee
    return [
        Cell(f"{'* ' if knee else ''}{_level(step)}", "good" if knee else "plain"),
        number(step.requests_per_s),
        number(step.pairs_per_s),
        number(step.prompt_tokens_per_s),
        number(step.latency.mean_ms if step.latency else None),
        number(step.latency.p95_ms if step.latency else None),
        Cell(share(step.error_share), "bad" if step.errors else "plain"),
    ]


def _takes(result: LoadResult) -> Iterator[Block]:
    columns = [LEVEL[result.mode], "answered", "p50, ms", "p90, ms", "p95, ms", "p99, ms", "longest, ms"]
    rows = [_takes_row(step) for step in result.steps]
    yield Table([Column(name) for name in columns], rows)
    points = [step_row(result, index) for index in range(len(result.steps))]
    if load_figures.answered(points):
        yield Figure(
            "latency-percentiles",
            "Percentiles of latency at each level of load",
            lambda: load_figures.latency_percentiles(points),
        )


def _takes_row(step: LoadStep) -> list[str]:
    times = step.latency
    if times is None:
        return [_level(step), count(step.answered), *[NONE] * 5]
    told = (times.p50_ms, times.p90_ms, times.p95_ms, times.p99_ms, times.max_ms)
    return [_level(step), count(step.answered), *(number(value) for value in told)]


def _failed(result: LoadResult) -> Iterator[Block]:
    if not any(step.errors for step in result.steps):
        yield Text("Nothing: every request was answered.", "good")
        return
    rows = [
        [_level(step), kind, count(number_of)]
        for step in result.steps
        for kind, number_of in sorted(step.errors.items(), key=lambda one: -one[1])
    ]
    yield Table([Column(LEVEL[result.mode]), Column("kind", numeric=False), Column("requests")], rows)
    yield Text("Latencies are of answered requests alone.")


def _sent(result: LoadResult) -> Iterator[Block]:
    read = result.tokens_per_pair
    told = "" if read is None else f" The service read {number(read)} prompt tokens for a pair."
    yield Text(f"{result.payload[:1].upper()}{result.payload[1:]}.{told}")
    yield Items([MODES[result.mode], SECONDS[result.mode], f"Model: {result.model or 'not told'}.", _when(result)])
    rows = [[name, meaning] for name, meaning in COLUMNS.items()]
    columns = [Column("column", numeric=False), Column("what it holds", numeric=False)]
    yield Details("The columns of steps.csv", [Table(columns, rows)])


def _level(step: LoadStep) -> str:
    return f"{step.level:,.6g}"


def _when(result: LoadResult) -> str:
    return f"Started {result.started}; {count(len(result.steps))} steps after a warm-up that is not counted."
