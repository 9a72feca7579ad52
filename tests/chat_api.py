"""A stub of an OpenAI-compatible API that judges, made from its public documentation; with faults."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.hosted_api import Fault, StubApi, listening, send

TEXTS = re.compile(r"<query>\n(.*)\n</query>\n\n<document>\n(.*)\n</document>", re.DOTALL)
KNOWN = {"model", "messages", "temperature", "max_tokens", "seed", "logprobs", "top_logprobs"}


def shared_words(query: str, document: str) -> int:
    """A judge: as many words of the query as the document has, up to 3."""
    return min(3, len({*query.lower().split()} & {*document.lower().split()}))


@dataclass
class ChatStub(StubApi):
    """Grades by `judge`, which may say any text; `bodies` are the requests as they came."""

    judge: Callable[[str, str], int | str] = shared_words
    bodies: list[dict[str, Any]] = field(default_factory=list)
    gives_logprobs: bool = True
    most_characters: int = 1_000_000

    async def _answer(self, body: Any, writer: asyncio.StreamWriter) -> bool:
        assert {"messages", "temperature", "max_tokens"} <= body.keys() <= KNOWN and body["temperature"] == 0
        self.bodies.append(body)
        said = body["messages"][-1]["content"]
        found = TEXTS.search(said)
        assert found is not None, said
        query, document = found.groups()
        fault = self.faults.pop(0) if self.faults else self.refuses(query, [document]) or Fault()
        if fault.dropped:
            return False
        if fault.status != 200:
            return await send(writer, fault.status, fault.headers, fault.body)
        if len(said) > self.most_characters:
            told = {"error": {"message": "This model's maximum context length is 8192 tokens", "code": 400}}
            return await send(writer, 400, {}, told)
        content = completion(self.judge(query, document), body, gives_logprobs=self.gives_logprobs)
        if fault.spoilt:
            content = fault.spoilt(content)
        if not fault.cut:
            self.asked.append((query, [document]))
            self.when_answered()
        return await send(writer, 200, fault.headers, content, fault)


def completion(said: int | str, body: Any, *, gives_logprobs: bool = True) -> dict[str, Any]:
    """An answer of chat completions."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": str(said), "refusal": None},
        "finish_reason": "stop",
        "logprobs": None,
    }
    if body.get("logprobs") and gives_logprobs:
        tops = [{"token": str(said), "logprob": math.log(0.7)}, {"token": f" {said}", "logprob": math.log(0.1)}]
        tops += [{"token": str((int(said) + 1) % 4), "logprob": math.log(0.1)}, {"token": "The", "logprob": -3.0}]
        choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}]}
        choice["finish_reason"] = "length"
    words = sum(len(one["content"].split()) for one in body["messages"])
    usage = {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


@contextmanager
def chat_api(**settings: Any) -> Iterator[ChatStub]:
    """One that listens, in a thread of its own."""
    stub = ChatStub("chat", **settings)
    with listening(stub):
        yield stub
