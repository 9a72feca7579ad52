"""A judge computed here: an application of engines behind Ray Serve, fed by Ray Data, or the store alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.base.interruption import Interruption
from pipelines.base.judge_config import JudgeConfig
from pipelines.base.judge_sections import Answer
from pipelines.grading.console import GradingConsole
from pipelines.grading.judge import Asked, Progress, Tell, asking_of
from pipelines.grading.pool import Pair
from pipelines.job.connection import LateCluster
from pipelines.job.device import cluster_device, known_device
from serve_app.engine.judge_identity import foresee_judge
from serve_app.engine.judge_model import describe_judge
from serve_app.judge_settings import JudgeModelSettings
from stages.core.errors import EngineError
from stages.core.grades import Reply
from stages.core.judge_prompt import JudgePrompt
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS
from stages.store.grader import Told
from stages.store.records import query_keys
from stages.store.replies import reply_from
from stages.store.scorer import ForgivingStore

# Queries that are one range of the stream at most.
BATCH_QUERIES = 4


class OwnJudge:
    """The engine is started by the first pair that the store does not know.

    Raises ConfigError where there is no such model, or it cannot judge.
    """

    def __init__(
        self,
        config: JudgeConfig,
        prompt: JudgePrompt,
        answer: Answer,
        store: ForgivingStore[Reply],
        logs: Path,
        console: GradingConsole,
    ) -> None:
        self._config, self._prompt, self._store, self._logs, self._console = config, prompt, store, logs, console
        self._settings = model_settings(config, answer)
        self._cluster = LateCluster(config.serve)
        self._cluster.__enter__()
        self._app: Any = None
        self._used = False  # whether a reply was told of this identity
        model = describe_judge(self._settings)
        self.name = Path(config.judge.model or "").name or str(config.judge.model)
        if known_device(config.serve) is None:
            self._cluster.connect()
        device = known_device(config.serve) or cluster_device()
        foreseen = foresee_judge(model, self._settings, prompt, config.engine, device)
        self._foreseen: Mapping[str, Any] = foreseen.told
        self.identity: Mapping[str, Any] = self._last_told() or self._foreseen

    def ask(self, pairs: Path, salt: str, tell: Tell, stops: Interruption) -> Asked:
        began_s = time.monotonic()
        if self._app is None and (known := self._all_stored(pairs, asking_of(self.identity, salt), tell)) is not None:
            self._used = True
            return Asked(known, time.monotonic() - began_s)
        self._start()
        asked = self._stream(pairs, asking_of(self.identity, salt), tell, stops)
        self._used = True
        return asked

    def phase(self) -> str:
        return str(self._app.phase()) if self._app else "a Ray cluster is waited for"

    def cost(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> list[str]:
        try:
            if self._app is not None:
                from pipelines.base.cluster import session_logs
                from pipelines.base.logs import copy_process_logs

                copy_process_logs(session_logs(), [one["process_id"] for one in self._app.replicas()], self._logs)
                self._app.stop()
        finally:
            self._cluster.__exit__(None, None, None)
        return []

    def _start(self) -> None:
        """Raises EngineError where none starts, or it judges otherwise than stored replies that are told already."""
        if self._app is not None:
            return
        from serve_app.replica.judge_app import start_judge

        began_s = time.monotonic()
        with self._console.waiting("engine      starts", self.phase):
            self._cluster.connect()
            self._app = start_judge(self._settings, self._prompt, self._config.engine, self._config.serve)
            told: Mapping[str, Any] = self._app.wait_until_identified().told
            self._remember(told)
            if self._used and dict(told) != dict(self.identity):
                raise EngineError(
                    "the engine judges otherwise than the one whose replies are stored: call again to ask it for all"
                )
            self.identity = told
            self._app.wait_until_ready()
        found = f"ready after {time.monotonic() - began_s:.0f} s" if self._app.started_here else "found running, reused"
        self._console.say(f"engine      {found}")

    def _stream(self, pairs: Path, asking: str, tell: Tell, stops: Interruption) -> Asked:
        from pipelines.grading.served_stream import GradeBatches, make_grader, reply_access
        from pipelines.job.stream import Feed, Stream
        from serve_app.replica.judge_app import JudgeSettings

        began_s, retry_for_s = time.monotonic(), self._config.serve.retry_for_s
        access = reply_access(self._store, asking, self.name)
        digest = self._app.wait_until_identified().digest
        make = partial(make_grader, self._app.name, retry_for_s, digest, access)
        feed = Feed(
            make,
            self._config.serve.replicas,
            BATCH_QUERIES,
            stops.flag,
            deployed=JudgeSettings.deployed,
            batches=GradeBatches,
        )
        out = pairs.with_name(f"{pairs.name}.replies")
        stream = Stream(pairs, out, feed, self._app.name)
        ready_s = min((one["ready_s"] for one in self._app.replicas() if "ready_s" in one), default=None)
        # Not while the engine starts: there is nothing then that a first Ctrl-C would wait for.
        with stops.finishing_work():
            stream.finish(ready_s, lambda done, _: tell(Progress(done.pairs, failed=done.failed_pairs)))
        self._store.faults += access.faults()
        access.forget_faults()
        told = dict(_replies(out / "part-00000.parquet"))
        return Asked(told, time.monotonic() - began_s, whole=not stops.requested)

    def _all_stored(self, pairs: Path, asking: str, tell: Tell) -> dict[Pair, Told] | None:
        """The replies, where the store knows each of them."""
        found: dict[Pair, Told] = {}
        for one in read_candidates(pairs):
            keys = query_keys(asking, None, one.query, one.texts)
            known = self._store.lookup(keys)
            if not known.keys() >= set(keys.pairs):
                return None
            pairs_of = (Pair(one.query_id, doc_id) for doc_id in one.doc_ids)
            found |= {pair: Told(known[key], True) for pair, key in zip(pairs_of, keys.pairs, strict=True)}
        tell(Progress(len(found), len(found)))
        return found

    def _last_told(self) -> Mapping[str, Any] | None:
        """What an engine told last where this was foreseen."""
        try:
            last = self._store.store.told(asking_of(self._foreseen))
        except FILE_ERRORS:  # a store that fails says so in the end
            return None
        found: Mapping[str, Any] | None = json.loads(last) if last else None
        return found

    def _remember(self, told: Mapping[str, Any]) -> None:
        try:
            self._store.store.remember(asking_of(self._foreseen), asking_of(told))
        except FILE_ERRORS:
            return


def model_settings(config: JudgeConfig, answer: Answer) -> JudgeModelSettings:
    """As the engine has them."""
    judge = config.judge
    return JudgeModelSettings(
        name=judge.model or "",
        revision=judge.revision,
        answer=answer,
        max_length=judge.max_length,
        max_generated_tokens=judge.max_generated_tokens,
        trust_remote_code=judge.trust_remote_code,
        code_revision=judge.code_revision,
    )


def served_identity(config: JudgeConfig, prompt: JudgePrompt, answer: Answer) -> Mapping[str, Any]:
    """As an engine will tell it that runs on a machine like this one. Raises ConfigError."""
    settings = model_settings(config, answer)
    device = known_device(config.serve) or "cpu"
    told: Mapping[str, Any] = foresee_judge(describe_judge(settings), settings, prompt, config.engine, device).told
    return told


def _replies(file: Path) -> Iterator[tuple[Pair, Told]]:
    for row in pq.read_table(file, partitioning=None).to_pylist():
        for doc_id, reply, stored in zip(row["doc_ids"], row["replies"], row["stored"], strict=True):
            yield Pair(row["query_id"], doc_id), Told(reply_from(json.loads(reply)), stored)
