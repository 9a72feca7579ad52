"""`judge --dry-run`: what would be asked, stored and paid. Reads runs and store; asks nobody, writes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from pipelines.base.judge_config import JudgeConfig
from pipelines.base.judge_sections import Answer
from pipelines.grading.console import plan_lines
from pipelines.grading.folder import JudgeFolder
from pipelines.grading.judge import asking_of, hosted_identity, oldest_used_s
from pipelines.grading.order import JudgeOrder, Read, read_order, store_folder
from pipelines.hosted.chat import ChatMeter, ChatRequest, Tokens, chat_endpoint
from pipelines.hosted.meter import CHARS_PER_TOKEN
from stages.core.errors import DataError
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Candidates
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS
from stages.store.records import query_keys
from stages.store.replies import REPLIES, ReplyStore

DAY_S = 24 * 60 * 60


def make_plan(order: JudgeOrder) -> dict[str, Any]:
    """Raises ConfigError and DataError, as the command does."""
    read = read_order(order)
    config, asked = order.config, read.wanted
    counted = _Counted(read)
    for query, texts in _pairs(read):
        counted.add(query, texts)
    counted.close()
    settings = config.judge
    samples = min(settings.repeat, counted.asked) + 2 * min(settings.planted, counted.asked)
    mean = counted.chars / counted.asked if counted.asked else 0.0
    tokens = math.ceil((counted.new_chars + samples * mean) / CHARS_PER_TOKEN)
    overlap = sum(len(set(asked.ask[one]) & read.people.grades.get(one, {}).keys()) for one in asked.overlap)
    return {
        "judge": settings.model or f"{settings.served_as or '(unnamed)'} at {settings.url}",
        "answer": read.answer,
        "prompt": read.prompt.name,
        "depth": config.depth,
        "queries": len(asked.pool),
        "lists": 2 * len(read.runs),
        "pairs": sum(map(len, asked.pool.values())),
        "people": read.people.name,
        "judged_pairs": overlap + asked.skipped,
        "skipped_pairs": asked.skipped,
        "overlap_queries": len(asked.overlap),
        "overlap_share": overlap / asked.pairs,
        "asked_pairs": counted.asked,
        "pairs_without_text": asked.pairs - counted.asked,
        "stored_pairs": counted.asked - counted.new,
        "new_pairs": counted.new,
        "sample_pairs": samples,
        "about_tokens": tokens,
        **_hosted(config, read, counted.new + samples, tokens),
    }


def print_plan(order: JudgeOrder, *, as_json: bool) -> None:
    plan = make_plan(order)
    if as_json:
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if order.config.judge.url is not None:
        settings = order.config.judge
        endpoint = chat_endpoint(order.config.judge.url, settings.served_as, settings.key_env, keyless=True)
        console.print(escape(endpoint.sent_to()), soft_wrap=True)
    for label, text in plan_lines(plan):
        console.print(f"{label:<11} {escape(text)}", soft_wrap=True)
    console.print("nothing was asked")


class _Counted:
    """Adds up the pairs that are to be asked for: in the texts that a judge would read of each, cut as it would be."""

    def __init__(self, read: Read) -> None:
        self.asked = self.new = 0
        self.chars = self.new_chars = 0
        self._seen: set[bytes] = set()
        config = read.order.config
        self._prompt = sum(len(one.content) for one in read.prompt.filled("", ""))
        self._most = config.judge.max_chars if config.judge.url is not None else None
        self._asking = asking_of(foreseen_identity(config, read.prompt, read.answer))
        self._since_s = oldest_used_s(config)
        self._store: ReplyStore | None = None
        folder = store_folder(config, JudgeFolder(read.order.out))
        if (folder / REPLIES.file).is_file():
            self._store = ReplyStore(folder, read_only=True, untouched=True)

    def add(self, query: str, texts: Sequence[str]) -> None:
        keys = query_keys(self._asking, None, query, texts).pairs
        known = self._known(query, texts)
        for key, text in zip(keys, texts, strict=True):
            size = self._prompt + len(query) + len(text[: self._most])
            self.asked, self.chars = self.asked + 1, self.chars + size
            if key not in known and key not in self._seen:
                self.new, self.new_chars = self.new + 1, self.new_chars + size
            self._seen.add(key)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _known(self, query: str, texts: Sequence[str]) -> set[bytes]:
        if self._store is None:
            return set()
        try:
            return set(self._store.lookup(query_keys(self._asking, None, query, texts), self._since_s))
        except FILE_ERRORS as error:
            raise DataError(f"judge.store {self._store.path.parent}: cannot be read ({error}). Move it away") from error


def _pairs(read: Read) -> Iterator[tuple[str, list[str]]]:
    """A query's text with those of its documents that are to be asked for, run by run."""
    left = {query_id: set(doc_ids) for query_id, doc_ids in read.wanted.ask.items()}
    for one in read.runs:
        for query in read_candidates(one.run.folder.candidates):
            some = _some(query, left.get(query.query_id, set()))
            left.get(query.query_id, set()).difference_update(some)
            if some:
                yield query.query, list(some.values())


def _some(query: Candidates, wanted: set[str]) -> dict[str, str]:
    if not query.query.strip():
        return {}
    return {doc_id: text for doc_id, text in zip(query.doc_ids, query.texts, strict=True) if doc_id in wanted}


def _hosted(config: JudgeConfig, read: Read, requests: int, prompt_tokens: int) -> dict[str, Any]:
    """What only a judge over an API takes: requests, and money where there is a price."""
    if config.judge.url is None:
        return {"requests": None, "least_s": None, "money": None}
    grades = read.prompt.highest + 1 if read.answer == "prefill" else None
    request = ChatRequest(config.judge.max_generated_tokens, config.judge.seed, grades)
    generated = requests * (1 if request.grades else request.max_tokens)
    meter, per_minute = ChatMeter(config.hosted), config.hosted.requests_per_minute
    priced = config.hosted.priced
    return {
        "requests": requests,
        "least_s": 60 * requests / per_minute if per_minute else None,
        "money": meter.price(Tokens(prompt_tokens, generated), requests) if priced else None,
    }


def foreseen_identity(config: JudgeConfig, prompt: JudgePrompt, answer: Answer) -> Mapping[str, Any]:
    """As it can be known without asking or starting anything. Raises ConfigError where there is no such judge."""
    if config.judge.url is not None:
        return hosted_identity(config, prompt, answer)
    from pipelines.grading.served import served_identity

    return served_identity(config, prompt, answer)
