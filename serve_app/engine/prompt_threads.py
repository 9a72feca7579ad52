"""Prompts made in threads, so that the event loop of a replica answers meanwhile whatever texts are long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from serve_app.engine.prompts import Prompt, PromptEncoder

# A call computes on all cores anyway; a second one fills the moments in which the first holds Python's lock.
THREADS = 2
# A call with more text than this waits for its like: one at a time, so that short ones pass, and the memory that a text
# without an edge takes is taken once.
LONG_CHARS = 2_000_000


class PromptThreads:
    """Threads for one encoder, those of online calls apart from a batch job's. A call that is cancelled before its turn
    never runs; one that runs ends in its thread.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        self._pools = {
            (online, long): ThreadPoolExecutor(1 if long else THREADS, "prompts")
            for online in (True, False)
            for long in (True, False)
        }

    async def encode(
        self,
        query: str,
        instruction: str | None,
        documents: Sequence[str],
        max_document_tokens: int | None,
        *,
        online: bool,
    ) -> list[Prompt]:
        """As the encoder does, and raises what it raises."""
        chars = len(query) + len(instruction or "") + sum(map(len, documents))
        return await asyncio.get_running_loop().run_in_executor(
            self._pools[online, chars > LONG_CHARS],
            self._encoder.encode,
            query,
            instruction,
            documents,
            max_document_tokens,
        )

    def shutdown(self) -> None:
        """What has not begun never does."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
