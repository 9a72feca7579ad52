"""`rerank-eval judge`: finished runs -> pool -> grades -> agreement and verdicts, in a folder and in MLflow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.base.interruption import Interruption
from pipelines.base.judge_config import JudgeConfig
from pipelines.base.logs import libraries_log_to
from pipelines.base.redaction import write_config
from pipelines.grading.console import GradingConsole
from pipelines.grading.folder import JudgeFolder, Row
from pipelines.grading.judge import Asked, Judge, oldest_used_s
from pipelines.grading.order import JudgeOrder, Read, marks_of, read_order, store_folder
from pipelines.grading.outcome import Found, called, judgements_of, notes_of, record_of, rows_of
from pipelines.grading.pool import write_pairs
from pipelines.grading.samples import Sampled, Samples
from pipelines.grading.tracking import log_judging
from pipelines.grading.verdicts import verdicts_of
from pipelines.job.store_faults import describe_faults
from pipelines.judging.journal import alone_with
from pipelines.tracking.uri import check_tracking
from stages.core.errors import (
    DataError,
    InterruptedRunError,
    RerankEvalError,
    TooManyFailuresError,
    TrackingError,
    gravest,
)
from stages.core.grades import Reply
from stages.core.records import Judgements
from stages.core.words import counted
from stages.grading.record import JudgeRecord, told
from stages.report.html import write_html
from stages.report.judge_report import judge_report
from stages.store.file import set_aside_if_damaged
from stages.store.replies import REPLIES, ReplyStore
from stages.store.scorer import ForgivingStore


def run_judge(order: JudgeOrder, console: GradingConsole) -> JudgeFolder:
    """Judge, and leave everything in the folder, then in MLflow.

    Raises InputError (exit 2), EngineError (1), TooManyFailuresError (3, results kept), TrackingError (4, results
    complete), InterruptedRunError (130): whatever was replied is stored, and the same command goes on.
    """
    read = read_order(order)
    if note := check_tracking(order.config.tracking.uri):
        console.note(note)
    folder = JudgeFolder(order.out)
    word = folder.make(marks_of(read))
    with alone_with(folder.path, "end it with Ctrl-C first"), libraries_log_to(folder.logs):
        write_config(folder.config, order.config.to_yaml(), order.config.model_dump(mode="json"))
        console.pooled(read.wanted, read.people, order.config.depth, 2 * len(read.runs))
        with contextlib.closing(_store(order.config, folder, console)) as store, Interruption(console.say) as stops:
            found = _grade(read, folder, store.forgiving, word, console, stops)
        return _conclude(read, folder, found, console)


@dataclass(slots=True)
class _Store:
    """The store, and what to say of it in the end."""

    forgiving: ForgivingStore[Reply]
    console: GradingConsole

    def close(self) -> None:
        if told_faults := describe_faults(
            self.forgiving.faults, "replies", "What was not kept is asked for again next time."
        ):
            self.console.note(f"judge.store {self.forgiving.store.path.parent}: {told_faults}")
        self.forgiving.store.close()


def _store(config: JudgeConfig, folder: JudgeFolder, console: GradingConsole) -> _Store:
    """A damaged one is set aside first."""
    path = store_folder(config, folder)
    if aside := set_aside_if_damaged(path, REPLIES):
        console.note(f"judge.store {path}: damaged, and set aside as {aside.name}; a new store is started")
    store = ReplyStore(path.resolve())
    return _Store(ForgivingStore(store, lambda _: None, oldest_used_s(config)), console)


def _grade(
    read: Read,
    folder: JudgeFolder,
    store: ForgivingStore[Reply],
    word: str,
    console: GradingConsole,
    stops: Interruption,
) -> Found:
    """Ask for every pair, and for both samples. Raises what asking stopped of."""
    pairs = folder.scratch / "pool"
    with console.working("reading texts"):
        without = write_pairs([one.run for one in read.runs], read.wanted.ask, pairs)
    asked_pairs = read.wanted.pairs - len(without)
    judge = make_judge(read, folder, store, console)
    try:
        with console.asking("grading", asked_pairs) as tell:
            asked = judge.ask(pairs, "", tell, stops)
        _require_whole(asked, asked_pairs, store)
        rows = rows_of(asked, read.prompt)
        samples = Samples(read.order.config, folder, pairs, read.prompt, judge, word)
        most = read.order.config.judge.repeat + 2 * read.order.config.judge.planted
        with console.asking("samples", most) as tell:
            sampled: Sampled = samples.ask(rows, tell, stops)
        for one in sampled.asked:
            _require_whole(one, most, store)
    finally:
        for note in judge.close():
            console.note(note)
    return Found(
        read.order.config,
        read.runs,
        read.people,
        read.wanted,
        read.prompt,
        read.answer,
        judge,
        asked,
        rows,
        without,
        sampled,
    )


def make_judge(read: Read, folder: JudgeFolder, store: ForgivingStore[Reply], console: GradingConsole) -> Judge:
    """The one that the config names. Raises ConfigError and EngineError."""
    config, prompt, answer = read.order.config, read.prompt, read.answer
    if config.judge.url is not None:
        from pipelines.grading.hosted import HostedJudge  # httpx

        judge = HostedJudge(config, prompt, answer, store)
        console.say(judge.endpoint.sent_to())
        return judge
    from pipelines.grading.served import OwnJudge  # Ray

    return OwnJudge(config, prompt, answer, store, folder.logs, console)


def _require_whole(asked: Asked, pairs: int, store: ForgivingStore[Reply]) -> None:
    """Raises what asking stopped of; InterruptedRunError for Ctrl-C."""
    if asked.whole:
        return
    done = max(0, sum(not one.reply.failed for one in asked.told.values()) - store.faults.unkept_scores)
    kept = (
        f"{done:,} of {counted(pairs, 'pair')} have a reply, which {store.store.path.parent} keeps: the same command "
        "goes on"
    )
    if asked.stopped is None:
        raise InterruptedRunError(f"stopped: {kept}")
    raise type(asked.stopped)(f"{str(asked.stopped).rstrip('.')}. {kept}") from asked.stopped


def _conclude(read: Read, folder: JudgeFolder, found: Found, console: GradingConsole) -> JudgeFolder:
    """Write everything, then log it. Raises the gravest of what is wrong with it."""
    rows = found.rows
    judge = called(found.judge)
    scale = read.people.scale(read.order.config.judge.highest)
    judgements = judgements_of(judge, rows, read.people, read.wanted.pool, scale)
    verdicts = verdicts_of(read.order.config, read.runs, judgements, read.people, found.judge)
    record = record_of(found, verdicts, list(notes_of(found)))
    if left_out := _write(folder, record, rows, judgements):
        console.note(
            f"{left_out:,} pairs are not in {folder.qrels}: their ids hold a tab or a line break, or a blank at an end"
        )
    console.found(record)
    console.say(f"report      {folder.report}")
    faults = list(_faults(read.order.config, folder, record, rows))
    worst = gravest(faults)
    for other in faults:
        if other is not worst:
            console.note(str(other))
    console.say(f"judging     {folder.path}")
    if worst is not None:
        raise worst
    return folder


def _write(folder: JudgeFolder, record: JudgeRecord, rows: Sequence[Row], found: Judgements) -> int:
    """Gives how many pairs qrels.tsv cannot hold. Raises DataError where the folder cannot be written."""
    try:
        folder.write_grades(rows)
        left_out = folder.write_qrels(str(found.judge), found.by_model, found.by_people)
        content = told(record)
        write_html(judge_report(content), folder.report, folder.figures)
        folder.write_json(content)
    except OSError as error:
        raise DataError(
            f"--out {folder.path}: cannot be written ({error.strerror}). Make room; the same command asks for nothing "
            "that is stored"
        ) from error
    folder.clear()
    return left_out


def _faults(
    config: JudgeConfig, folder: JudgeFolder, record: JudgeRecord, rows: Sequence[Row]
) -> Iterator[RerankEvalError]:
    try:
        log_judging(config, folder, record)
    except TrackingError as error:
        yield error
    failed = sum(row.reply.failed for row in rows)
    if failed > config.judge.max_failed_share * len(rows):
        yield TooManyFailuresError(
            f"{failed:,} of {counted(len(rows), 'pair')} got no reply, more than judge.max_failed_share "
            f"{config.judge.max_failed_share:g} allows. Results are kept; reasons are in {folder.grades}, and the same "
            "command asks for these again"
        )


def print_judging(order: JudgeOrder, *, as_json: bool) -> None:
    """The command. With `as_json` the content of judge.json alone is printed."""
    folder = run_judge(order, GradingConsole(quiet=as_json))
    if as_json:
        print(json.dumps(folder.read_json(), indent=2, ensure_ascii=False))
