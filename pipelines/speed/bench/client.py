"""Clients of an HTTP server, in a process of their own: `python -m pipelines.speed.bench.client JOB.json`.

Each of `clients` sends its next request when it has the answer to the one before. Bodies are made before the clock
starts, and answers are read after it has stopped, so that the clients cost the machine as little as they can.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages.core.errors import EngineError

POLL_S = 0.25


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Wait until the server at `url` is ready, warm it up, and send all requests."""
    return asyncio.run(_measure(job))


async def _measure(job: dict[str, Any]) -> dict[str, Any]:
    import aiohttp

    bodies = [json.dumps(one["body"]).encode() for one in job["requests"]]
    warm_up = [json.dumps(one["body"]).encode() for one in job["warm_up"]]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        base_url=job["url"], connector=connector, timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        await _until_ready(session, job["ready_path"])
        await _post(session, job["path"], warm_up[0])
        first_s = time.time()
        await _send(session, job["path"], warm_up[1:], job["clients"])
        began_s = time.time()
        answers = await _send(session, job["path"], bodies, job["clients"])
        ended_s = time.time()
    return {"first_s": first_s, "began_s": began_s, "ended_s": ended_s, **_read(job, answers)}


async def _until_ready(session: Any, path: str) -> None:
    """For ever: whoever started the server knows how long to wait, and whether it lives."""
    import aiohttp

    while True:
        try:
            async with session.get(path) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(POLL_S)


async def _send(session: Any, path: str, bodies: Sequence[bytes], clients: int) -> list[bytes]:
    answers: list[bytes] = [b""] * len(bodies)
    left: Iterator[tuple[int, bytes]] = iter(enumerate(bodies))

    async def client() -> None:
        for place, body in left:
            answers[place] = await _post(session, path, body)

    await asyncio.gather(*(client() for _ in range(min(clients, len(bodies)))))
    return answers


async def _post(session: Any, path: str, body: bytes) -> bytes:
    async with session.post(path, data=body, headers={"Content-Type": "application/json"}) as answer:
        content: bytes = await answer.read()
        if answer.status != 200:
            raise EngineError(f"{path} answers {answer.status}: {content[:300].decode(errors='replace')}")
        return content


def _read(job: dict[str, Any], answers: Sequence[bytes]) -> dict[str, Any]:
    """The scores in the pairs' order, and the tokens that the server counted."""
    scores: list[float | None] = [None] * job["pairs"]
    tokens = 0
    for request, content in zip(job["requests"], answers, strict=True):
        answer = json.loads(content)
        tokens += answer["usage"]["prompt_tokens"]
        for index, score in _scores(answer):
            scores[request["first"] + index] = score
    if None in scores:
        raise EngineError(f"{scores.count(None)} of {len(scores)} pairs have no score in the answers")
    return {"scores": scores, "tokens": tokens}


def _scores(answer: dict[str, Any]) -> Iterator[tuple[int, float]]:
    """Of /v1/rerank, /v1/score or /classify."""
    for one in answer.get("results") or answer["data"]:
        probabilities = one.get("probs")
        yield one["index"], probabilities[0] if probabilities else one.get("relevance_score", one.get("score"))


def main(path: Path) -> None:
    job = json.loads(path.read_text(encoding="utf-8"))
    Path(job["out"]).write_text(json.dumps(measure(job)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
