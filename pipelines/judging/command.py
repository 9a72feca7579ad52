"""`rerank-eval plan-judging`: make a plan, go on with one, or open its page."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.base.ports import free_port
from pipelines.judging.campaign import Campaign
from pipelines.judging.folder import Plan, PlanFolder
from pipelines.judging.journal import alone_with
from pipelines.judging.plan import PlanOrder, make_plan
from pipelines.judging.server import JudgingServer
from pipelines.judging.tasks import read_tasks, write_tasks
from stages.core.errors import ConfigError
from stages.core.words import counted, number, percent
from stages.judging.number import LEAST_CHANGED
from stages.quality.compiling import Compiling


@dataclass(frozen=True, slots=True)
class Continuing:
    """What to do with a plan: read `filled` files, beside its own tasks.jsonl; and `serve` its page."""

    filled: Sequence[Path] = ()
    overwrite: bool = False
    serve: bool = False
    host: str = "127.0.0.1"
    port: int | None = None
    open_to_all: bool = False


def start_plan(order: PlanOrder, then: Continuing, *, as_json: bool) -> None:
    """Make a plan, and go on with it. Raises ConfigError and DataError as `make_plan` does."""
    _check_host(then)
    continue_plan(make_plan(order), then, as_json=as_json, new=True)


def continue_plan(folder: PlanFolder, then: Continuing, *, as_json: bool, new: bool = False) -> None:
    """Take what was filled in, say how far it is, write what is left; in the end the verdict.

    Raises DataError where the plan cannot be read, is open in another process, or a filled line cannot be used.
    """
    _check_host(then)
    with alone_with(folder.path):
        campaign = Campaign(folder)
        taken = _take(campaign, then)
        if campaign.progress().complete and not then.serve:
            campaign.finish()
        write_tasks(campaign)
        _tell(campaign, taken, as_json=as_json, new=new)
        if then.serve:
            _serve(campaign, then)
            write_tasks(campaign)


def _take(campaign: Campaign, then: Continuing) -> int:
    """How many grades came from files."""
    own = campaign.folder.tasks
    files = [*([own] if own.is_file() else []), *then.filled]
    grades = [grade for file in files for grade in read_tasks(file, campaign, overwrite=then.overwrite)]
    campaign.record(grades)
    return len(grades)


def _tell(campaign: Campaign, taken: int, *, as_json: bool, new: bool) -> None:
    plan = campaign.plan
    if as_json:
        content: dict[str, Any] = {
            "plan": str(campaign.folder.path),
            "metric": plan.metric,
            "population": plan.population,
            "unchanged": plan.unchanged,
            "taken": taken,
            "progress": asdict(campaign.progress()),
            "remarks": list(plan.remarks),
            "verdict": campaign.verdict,
        }
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for label, text in [*(_planned(plan) if new else []), *_so_far(campaign, taken)]:
        print(f"{label:<11} {text}")


def _planned(plan: Plan) -> Iterator[tuple[str, str]]:
    whom = "exactly these queries" if plan.about == "these" else "queries like these"
    yield (
        "change",
        f"{plan.metric}, {plan.before} to {plan.after}: +-{plan.width:g} at {percent(plan.confidence)}, of {whom}",
    )
    same = (
        f"; of {plan.unchanged:,} it sees the same before and after, so they need no judgement"
        if plan.unchanged
        else ""
    )
    yield "population", f"{counted(plan.population, 'query', 'queries')}{same}"
    if plan.stratify:
        sizes = ", ".join(f"{name or '(none)'} {size:,}" for name, size in plan.sizes.items())
        yield "strata", f"{plan.stratify}: {sizes}"
    spread = f"{number(plan.sd)}, " if plan.sd else ""
    yield "spread", f"{spread}{plan.sd_source}"
    yield "pool", f"the first {plan.pool} of every list, grades 0 to {plan.highest}; drawn with seed {plan.seed}"
    yield from (("mind", remark) for remark in plan.remarks)


def _so_far(campaign: Campaign, taken: int) -> Iterator[tuple[str, str]]:
    found, path = campaign.progress(), campaign.folder.path
    if taken:
        yield "taken", counted(taken, "grade")
    pilot = found.number == campaign.plan.first and campaign.plan.sd is None and not found.complete
    why = ", the pilot; its spread decides on the rest" if pilot else ""
    if found.number > campaign.plan.first:
        why = (
            f", {campaign.plan.first:,} at first: judged, they gave a wider interval than asked, or fewer than "
            f"{LEAST_CHANGED} of them changed"
        )
    yield "number", f"{counted(found.number, 'query', 'queries')}{why}"
    reused = f", {found.reused:,} of them known before" if found.reused else ""
    skipped = f", {counted(found.skipped, 'query', 'queries')} skipped" if found.skipped else ""
    yield "judged", f"{found.done:,} queries, {found.judged:,} of {found.pairs:,} documents{reused}{skipped}"
    reach = "not known yet" if found.reach is None else f"+-{found.reach:.4f} so far"
    yield "width", f"{reach}, asked +-{found.asked:g}"
    if campaign.verdict is None:
        yield "tasks", f"{campaign.folder.tasks}  (fill in grade, then: rerank-eval plan-judging {path})"
        yield "page", f"rerank-eval plan-judging {path} --serve"
        return
    yield "verdict", campaign.verdict["words"]
    yield from (("mind", told) for told in campaign.verdict["broken"])
    yield "qrels", str(campaign.folder.qrels)


def _check_host(then: Continuing) -> None:
    """Raises ConfigError where others could come in."""
    if then.serve and then.host not in ("127.0.0.1", "::1", "localhost") and not then.open_to_all:
        raise ConfigError(
            f"--host {then.host} lets others on the network ask for the page, over HTTP that anybody between can read. "
            "Listen on 127.0.0.1 (from elsewhere: ssh -L), or say --open-to-all"
        )


def _serve(campaign: Campaign, then: Continuing) -> None:
    """Until Ctrl-C, or SIGTERM, which counts as it. A key that is being saved is saved."""
    compiling = Compiling([campaign.plan.metric])
    compiling.require_loaded()
    server = JudgingServer(campaign, then.host, then.port or free_port())
    with server, _stopped_by_signals(server):
        print(f"open        {server.url}", flush=True)
        server.serve_forever(poll_interval=0.1)
        with server.lock:
            found = campaign.progress()
    print(f"stopped     {found.done:,} of {found.number:,} queries judged; the same command goes on", flush=True)


@contextlib.contextmanager
def _stopped_by_signals(server: JudgingServer) -> Iterator[None]:
    def stop(*_: object) -> None:
        # `shutdown` waits for the loop, which this very thread runs.
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
