"""A judge behind an OpenAI-compatible API, asked from the command's own process, without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.base.interruption import Interruption
from pipelines.base.judge_config import JudgeConfig
from pipelines.base.judge_sections import Answer
from pipelines.grading.judge import Asked, Progress, Tell, asking_of, hosted_identity
from pipelines.grading.pool import Pair
from pipelines.hosted.chat import ChatEndpoint, ChatMeter, ChatRequest, chat_endpoint
from pipelines.hosted.chat_client import ChatJudge
from pipelines.job.hosted_stream import every_query, in_a_thread
from stages.core.errors import DataError
from stages.core.grades import Reply
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Candidates
from stages.store.grader import StoredGrader
from stages.store.records import QueryKeys
from stages.store.scorer import ForgivingStore


class HostedJudge:
    """Raises ConfigError where it cannot be asked; `keyless`: nobody is, so that no key is needed."""

    def __init__(
        self,
        config: JudgeConfig,
        prompt: JudgePrompt,
        answer: Answer,
        store: ForgivingStore[Reply],
        *,
        keyless: bool = False,
    ) -> None:
        judge = config.judge
        assert judge.url is not None
        self.endpoint: ChatEndpoint = chat_endpoint(judge.url, judge.served_as, judge.key_env, keyless=keyless)
        self.name = judge.served_as or self.endpoint.host
        self.meter = ChatMeter(config.hosted)
        grades = prompt.highest + 1 if answer == "prefill" else None
        self.request = ChatRequest(judge.max_generated_tokens, judge.seed, grades)
        self.identity: Mapping[str, Any] = hosted_identity(config, prompt, answer)
        self._config, self._prompt, self._store = config, prompt, store
        self._chat: ChatJudge | None = None

    def ask(self, pairs: Path, salt: str, tell: Tell, stops: Interruption) -> Asked:
        asked, progress, began_s = Asked(), Progress(), time.monotonic()
        asking = asking_of(self.identity, salt)

        def meanwhile() -> None:
            progress.waits = self._waits(progress)
            tell(progress)

        with stops.finishing_work():
            in_a_thread(lambda: self._all(pairs, asking, asked, progress, lambda: stops.requested), meanwhile)
        asked.seconds = time.monotonic() - began_s
        meanwhile()
        return asked

    def phase(self) -> str:
        return self._chat.waits.told() if self._chat else "nothing"

    def cost(self) -> Mapping[str, Any]:
        return self.meter.told()

    def close(self) -> list[str]:
        return []

    def _waits(self, progress: Progress) -> str:
        if self._chat is None:
            return ""
        return self._chat.waits.held() if progress.pairs else self._chat.waits.told()

    async def _all(self, pairs: Path, asking: str, asked: Asked, progress: Progress, stop: Callable[[], bool]) -> None:
        settings, max_chars = self._config.hosted, self._config.judge.max_chars
        chat = ChatJudge(self.endpoint, settings, self.meter, self.request, self._prompt.filled, max_chars)
        grader = StoredGrader(chat, PaidStore(self._store, chat), asking, self.name, each=True)
        self._chat = chat
        async with chat:
            asked.whole = await every_query(
                pairs,
                chat.places,
                lambda one: _one(one, grader, asked, progress),
                lambda: stop() or chat.stopped is not None,
            )
        asked.stopped = chat.stopped
        asked.whole = asked.whole and chat.stopped is None


class PaidStore:
    """A store of what is paid for: where a reply cannot be kept, nothing more is asked, as it would be paid again."""

    def __init__(self, store: ForgivingStore[Reply], chat: ChatJudge) -> None:
        self._store, self._chat = store, chat

    def lookup(self, keys: QueryKeys) -> dict[bytes, Reply]:
        return self._store.lookup(keys)

    def write(self, query: int, scores: Mapping[bytes, Reply], identity: str, model: str) -> None:
        self._store.write(query, scores, identity, model)
        faults = self._store.faults
        if faults.unkept_scores and self._chat.stopped is None:
            self._chat.stopped = DataError(
                f"judge.store {self._store.store.path.parent}: a reply cannot be kept ({faults.reason}), and would be "
                "paid for again, so no more is asked. Make room, or move a damaged store away"
            )


async def _one(one: Candidates, grader: StoredGrader, asked: Asked, progress: Progress) -> None:
    told = await grader.grade(one.query, one.texts)
    for doc_id, reply in zip(one.doc_ids, told, strict=True):
        asked.told[Pair(one.query_id, doc_id)] = reply
        progress.pairs += 1
        progress.stored += reply.stored
        progress.failed += reply.reply.failed
