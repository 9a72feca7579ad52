"""`rerank-eval watch`: the golden metrics of a running service, looked at again and again, or once."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from pipelines.service.scrape import Look, between, look_at, since_start
from pipelines.service.target import Target
from pipelines.service.watch_screen import Course, View, screen, unanswered
from stages.core.errors import ConfigError, EngineError
from stages.telemetry.health import Zones
from stages.telemetry.histogram import Histogram
from stages.telemetry.readings import readings

# Engines publish their counts every 2 s: over a shorter time their rates would jump.
WINDOW_S = 10.0


def run_watch(target: Target, every_s: float, zones: Zones, once: bool = False, as_json: bool = False) -> None:
    """Show the readings every `every_s` seconds until Ctrl-C; `once`: of one such stretch, and end.

    `as_json` prints a line of JSON for each. Raises EngineError where `once` nobody answers, ConfigError for an
    `every_s` that is no time. Otherwise a service that does not answer is asked again.
    """
    if not 0 < every_s <= 3600:
        raise ConfigError(f"--every {every_s:g}: write seconds above 0, at most 3600")
    console = Console(highlight=False)
    watcher = Watcher(target, zones)
    if once:
        watcher.look()
        time.sleep(every_s)
        _print(console, watcher.look(), as_json, full=True)
        return
    try:
        _watch(console, watcher, every_s, as_json)
    except KeyboardInterrupt:
        return


class Watcher:
    """Looks at a service, keeps the looks of the last WINDOW_S, and tells what happened between them."""

    def __init__(self, target: Target, zones: Zones) -> None:
        self._target, self._zones = target, zones
        self._looks: deque[Look] = deque()
        self._model: dict[str, Any] = {}
        self.course = Course()

    @property
    def url(self) -> str:
        return self._target.url

    def look(self) -> View:
        """Look once more. The first look tells of the time since the start, as does one after a quiet stretch.

        Raises EngineError where the service does not answer.
        """
        now = look_at(self._target)
        if not self._model:
            with contextlib.suppress(EngineError, ValueError):  # metrics alone are enough
                self._model = self._target.model()
        if self._looks:
            self.course.add(between(self._looks[-1], now))
        self._looks.append(now)
        while len(self._looks) > 2 and self._looks[1].at_s <= now.at_s - WINDOW_S:
            self._looks.popleft()
        return self._view(now)

    def _view(self, now: Look) -> View:
        first = self._looks[0]
        recent = between(first, now) if first is not now else None
        traffic = since_start(now) if recent is None or recent.idle else recent
        return View(
            url=self._target.url,
            model=str(self._model.get("id", "")),
            replicas=self._model.get("replicas"),
            traffic=traffic,
            readings=readings(traffic, self._zones),
            quiet_s=recent.seconds if recent is not None and recent.idle else None,
            course=self.course,
        )


def as_numbers(view: View) -> dict[str, Any]:
    """What `--json` prints. `seconds` is null for the time since the start; `quiet_s` tells how long nobody asked."""
    traffic = view.traffic
    return {
        "url": view.url,
        "model": view.model or None,
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": traffic.seconds,
        "quiet_s": view.quiet_s,
        "answered": traffic.answered,
        "rejected": dict(traffic.rejected),
        "failed": dict(traffic.failed),
        "request_s": _percentiles(traffic.request_s),
        "queue_s": _percentiles(traffic.queue_s),
        "stage_shares": traffic.stage_shares,
        "readings": [asdict(reading) for reading in view.readings],
    }


def _percentiles(times: Histogram | None) -> dict[str, float | None] | None:
    if times is None or not times.count:
        return None
    return {"mean": times.mean} | {f"p{part}": times.quantile(part / 100) for part in (50, 95, 99)}


def _watch(console: Console, watcher: Watcher, every_s: float, as_json: bool) -> None:
    if as_json or not console.is_terminal:
        for seen in _looks(watcher, every_s):
            _print(console, seen, as_json, full=False)
        return
    with Live(console=console, auto_refresh=False) as live:
        for seen in _looks(watcher, every_s):
            shown = screen(seen) if isinstance(seen, View) else unanswered(watcher.url, seen, every_s)
            live.update(shown, refresh=True)


def _looks(watcher: Watcher, every_s: float) -> Iterator[View | EngineError]:
    """One after the other, for ever; an error where the service did not answer."""
    while True:
        began_s = time.monotonic()
        try:
            yield watcher.look()
        except EngineError as error:
            yield error
        time.sleep(max(0.0, began_s + every_s - time.monotonic()))


def _print(console: Console, seen: View | EngineError, as_json: bool, full: bool) -> None:
    if as_json:
        numbers = as_numbers(seen) if isinstance(seen, View) else {"error": str(seen)}
        print(json.dumps(numbers, ensure_ascii=False), flush=True)
    elif isinstance(seen, View):
        console.print(screen(seen, full=full))
    else:
        console.print(str(seen), soft_wrap=True, markup=False)
