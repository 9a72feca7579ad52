"""What `rerank-eval watch` shows: a table of readings coloured by tone, what is not well in words, and its course."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stages.core.words import first_up, number, share
from stages.report.terminal import COLOURS
from stages.telemetry.readings import NOT_TOLD, Reading, duration
from stages.telemetry.traffic import Traffic

BLOCKS = "▁▂▃▄▅▆▇█"
KEPT = 60


@dataclass(slots=True)
class Course:
    """Three numbers of the last looks, oldest first; None where nothing happened. `since` is when watching began."""

    queue_p95_s: deque[float | None] = field(default_factory=lambda: deque(maxlen=KEPT))
    pairs_per_s: deque[float | None] = field(default_factory=lambda: deque(maxlen=KEPT))
    kv_usage: deque[float | None] = field(default_factory=lambda: deque(maxlen=KEPT))
    since: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def add(self, traffic: Traffic) -> None:
        self.queue_p95_s.append(traffic.queue_s.quantile(0.95) if traffic.queue_s else None)
        self.pairs_per_s.append(traffic.pairs_per_s)
        self.kv_usage.append(traffic.kv_usage)


@dataclass(frozen=True, slots=True)
class View:
    """One look: `traffic` since the start where nobody asked for the last `quiet_s` seconds, or it is the first look.

    `model` is empty where the service does not name it; `replicas` is how many it should have, where it says so.
    """

    url: str
    model: str
    replicas: Any
    traffic: Traffic
    readings: tuple[Reading, ...]
    quiet_s: float | None
    course: Course


def screen(view: View, full: bool = False) -> RenderableType:
    """The readings that the service tells, and words for what is not well; `full`: for every one."""
    told = [one for one in view.readings if one.zone != NOT_TOLD]
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    for reading in told:
        table.add_row(reading.name, *(_plain(text, reading.tone) for text in (reading.text, reading.zone)))
    notes = [one for one in told if full or one.tone in ("bad", "unsure")]
    blocks: list[list[RenderableType]] = [_head(view), [table], [_note(one) for one in notes], _courses(view.course)]
    if full and (untold := [one.name for one in view.readings if one.zone == NOT_TOLD]):
        blocks.append([_plain(f"Not told by this service: {', '.join(untold)}.")])
    return Group(*(line for block in blocks if block for line in (*block, Text())))


def unanswered(url: str, error: Exception, every_s: float) -> RenderableType:
    """In the table's place while nobody answers."""
    return Group(_plain(url), _plain(str(error), "bad"), _plain(f"Asked again every {number(every_s, ' s')}."))


def sparkline(values: Sequence[float | None], most: float | None = None) -> str:
    """A block for each value, the highest for `most` or the highest value; a blank where there is none."""
    top = max((value for value in values if value is not None), default=0.0) if most is None else most
    steps = len(BLOCKS) - 1
    return "".join(
        " " if value is None else BLOCKS[min(steps, round(steps * value / top)) if top > 0 else 0] for value in values
    )


def _head(view: View) -> list[RenderableType]:
    ready, wanted = view.traffic.ready_replicas, view.replicas
    engines = f"{view.traffic.replicas} engine{'' if view.traffic.replicas == 1 else 's'} seen"
    if ready is not None:
        engines = f"{ready:,.0f}" + (f" of {wanted}" if wanted is not None else "") + " replicas ready"
    began = view.course.since.strftime("%H:%M:%S")
    named = [view.url, view.model, engines, f"watched since {began}"]
    return [
        _plain("  ".join(part for part in named if part)),
        _plain(_span(view), "unsure" if view.quiet_s is not None else "plain"),
    ]


def _span(view: View) -> str:
    if view.quiet_s is not None:
        nothing = "nobody has asked yet" if view.traffic.idle else "counts and times are of all since its start"
        return f"No traffic in the last {number(view.quiet_s, ' s')}: {nothing}."
    if view.traffic.seconds is None:
        return "Counts and times are of all since its start."
    return f"Counts and times are of the last {number(view.traffic.seconds, ' s')}."


def _note(reading: Reading) -> Text:
    return _plain(f"{first_up(reading.name)}: {reading.words}.", reading.tone)


def _courses(course: Course) -> list[RenderableType]:
    """Nothing before there are two looks to draw."""
    lines: list[tuple[str, Sequence[float | None], float | None, Callable[[float | None], str]]] = [
        ("queue p95", course.queue_p95_s, None, duration),
        ("pairs/s", course.pairs_per_s, None, number),
        ("KV cache", course.kv_usage, 1.0, share),
    ]
    drawn: list[RenderableType] = []
    for name, values, most, told in lines:
        known = [value for value in values if value is not None]
        if len(known) > 1:
            drawn.append(Text(f"{name:<10} {sparkline(values, most)}  highest {told(max(known))}"))
    return drawn


def _plain(text: str, tone: str = "plain") -> Text:
    """What the service says of itself must not move the cursor."""
    kept = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return Text(kept, style=COLOURS[tone])
