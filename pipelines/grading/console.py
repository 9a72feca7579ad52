"""What a user sees on the terminal while a judge is asked, and what it found."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from pipelines.base.console import LOG_EVERY_S, Console
from pipelines.grading.judge import Progress, Tell
from pipelines.grading.people import People
from pipelines.grading.pool import Wanted
from stages.core.words import count, counted, number, share
from stages.grading.record import JudgeRecord
from stages.report.judge_report import without_agreement


class GradingConsole(Console):
    """Prints the course of a judging."""

    def pooled(self, wanted: Wanted, people: People, depth: int, lists: int) -> None:
        """What there is to grade, and what people judged of it."""
        pairs = sum(map(len, wanted.pool.values()))
        self.say(
            f"pool        {counted(pairs, 'pair')} of {counted(len(wanted.pool), 'query', 'queries')}: the top {depth} "
            f"of {counted(lists, 'list')}"
        )
        if people.grades:
            told = f"{counted(len(wanted.overlap), 'query', 'queries')} that people judged are graded too"
            skipped = f"; {counted(wanted.skipped, 'pair')} of theirs skipped" if wanted.skipped else ""
            self.say(f"people      {escape(people.name)}: {told}{skipped}")
        else:
            self.say(f"people      {escape(people.name)} judged these queries: agreement cannot be told")

    def note(self, text: str) -> None:
        self.say(f"note        {escape(text)}")

    @contextlib.contextmanager
    def asking(self, what: str, pairs: int) -> Iterator[Tell]:
        """A live line: pairs done, stored, pairs a second. In a log file: a line now and then."""
        pace = Pace()
        if not self.rich.is_terminal:
            yield self._log_line(what, pairs, pace)
            return
        columns = (
            SpinnerColumn(),
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("pairs  {task.fields[pace]}"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=self.rich, transient=True) as bar:
            task = bar.add_task(what, total=pairs, pace="")
            yield lambda done: bar.update(task, completed=done.pairs, pace=pace.words(done))

    def _log_line(self, what: str, pairs: int, pace: Pace) -> Tell:
        told_s = time.monotonic()

        def tell(done: Progress) -> None:
            nonlocal told_s
            words = pace.words(done)
            if time.monotonic() - told_s >= LOG_EVERY_S:
                told_s = time.monotonic()
                self.say(f"{what:<11} {done.pairs:,} of {pairs:,} pairs, {words}")

        return tell

    def found(self, record: JudgeRecord) -> None:
        """Everything, a line each; the verdict last."""
        for label, text in lines_of(record):
            self.say(f"{label:<11} {escape(text)}")


def lines_of(record: JudgeRecord) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    counts = record.counts
    grades = ", ".join(f"{grade}: {number:,}" for grade, number in enumerate(record.grades))
    yield (
        "graded",
        f"{counted(counts.graded, 'pair')} ({grades}); {counts.asked:,} asked now, {counts.stored:,} from the store",
    )
    for reason, pairs in record.missing.items():
        yield "missing", f"{counted(pairs, 'pair')}: {reason}"
    if counts.truncated:
        yield "cut", f"{counted(counts.truncated, 'document was', 'documents were')} cut to fit"
    for words in record.agreement.words if record.agreement else (without_agreement(asdict(counts)),):
        yield "agreement", words
    if record.repeatability:
        yield "repeated", record.repeatability.words
    if record.planted:
        yield "planted", record.planted.words
    yield "cost", cost_words(record)
    for note in record.notes:
        yield "mind", note
    for verdict in record.verdicts:
        of = f"{verdict.second}: " if len(record.runs) > 1 else ""
        first, *rest = verdict.words
        yield "verdict", f"{of}{first}"
        yield from (("mind", f"{of}{words}") for words in rest)


def cost_words(record: JudgeRecord) -> str:
    """What this run took."""
    cost = record.cost
    told = [f"{counted(cost.asked, 'pair')} asked"]
    if cost.requests is not None:
        told.append(counted(cost.requests, "request"))
    told.append(f"{count(cost.prompt_tokens)} prompt and {count(cost.generated_tokens)} generated tokens")
    if cost.pairs_per_s is not None:
        told.append(f"{number(cost.pairs_per_s)} pairs/s")
    if cost.money is not None:
        told.append(f"{cost.money:.4g} at the prices under hosted")
    return ", ".join(told)


def plan_lines(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """As `judge --dry-run` prints it."""
    yield "judge", f"{plan['judge']}, {plan['answer']}, prompt {plan['prompt']}"
    pool = f"{counted(plan['pairs'], 'pair')} of {counted(plan['queries'], 'query', 'queries')}"
    yield "pool", f"{pool}: the top {plan['depth']} of {counted(plan['lists'], 'list')}"
    people = f"{counted(plan['judged_pairs'], 'pair')} of the pool, {plan['skipped_pairs']:,} skipped"
    overlap = f"{counted(plan['overlap_queries'], 'query', 'queries')} of theirs are graded too"
    yield "people", f"{plan['people']}: {people}; {overlap}, {share(plan['overlap_share'])} of what is asked"
    yield "stored", f"{plan['stored_pairs']:,} of {plan['asked_pairs']:,} pairs to ask"
    samples = f"{plan['sample_pairs']:,} of the samples (asked twice, planted)"
    yield "to ask", f"{counted(plan['new_pairs'], 'pair')}, and {samples}"
    yield "tokens", f"about {count(plan['about_tokens'])}: a guess, from characters"
    if plan["requests"] is None:
        return
    yield "requests", f"{plan['requests']:,}, if each is answered at once"
    if plan["least_s"] is not None:
        yield "time", f"at least {number(plan['least_s'], ' s')}, as hosted.requests_per_minute allows"
    if plan["money"] is None:
        yield "cost", "money is not told: set a price under hosted"
    else:
        yield "cost", f"about {number(plan['money'])} at the prices under hosted, at most"


class Pace:
    """From the first word of progress on: while an engine starts nothing is asked."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def words(self, done: Progress) -> str:
        """Pairs a second, stored ones among them, and what is waited for."""
        now_s = time.monotonic()
        first_s, first = self._first = self._first or (now_s, done.pairs)
        rate = (done.pairs - first) / (now_s - first_s) if now_s > first_s else 0.0
        told = f"{rate:,.1f} pairs/s, {done.stored:,} from the store"
        told += f", {done.failed:,} failed" if done.failed else ""
        return f"{told}; {escape(done.waits)}" if done.waits else told
