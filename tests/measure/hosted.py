"""How busy a hosted run keeps its rate limit: a stub with 200 ms of latency, five minutes. By hand, as it takes these.

`python tests/measure/hosted.py [minutes] [requests a minute]` prints the share of the allowed requests that were sent,
the most in any 60 s as the stub saw them, and the process's peak memory. From the root, in the project's environment.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections import deque
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of
from pipelines.hosted.meter import Meter
from serve_app.settings import ModelSettings
from tests.hosted_api import stub_api


async def ask(url: str, minutes: float, per_minute: float) -> None:
    """One document a request, so that requests are all there is."""
    settings = HostedSettings(requests_per_minute=per_minute)
    endpoint = endpoint_of(ModelSettings(name=url, api="jina", served_as="m"))
    numbers, ends_s = count(), time.monotonic() + 60 * minutes
    async with HostedScorer(endpoint, settings, Meter(endpoint.shape, settings)) as scorer:

        async def work() -> None:
            while time.monotonic() < ends_s:
                await scorer.score(f"query {next(numbers)}", ["a document"])

        await asyncio.gather(*(work() for _ in range(64)))


def most_in_a_minute(times: list[float]) -> int:
    window: deque[float] = deque()
    most = 0
    for one in times:
        window.append(one)
        while window[0] <= one - 60:
            window.popleft()
        most = max(most, len(window))
    return most


def main(minutes: float = 5, per_minute: float = 1200) -> None:
    with stub_api("jina", delay_s=0.2) as stub:
        asyncio.run(ask(stub.url, minutes, per_minute))
        times = stub.arrivals_s
    within = sum(one < times[0] + 60 * minutes for one in times)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{within} of {minutes * per_minute:.0f} allowed requests sent in {minutes:g} min: ", end="")
    print(
        f"{within / (minutes * per_minute):.3f}; at most {most_in_a_minute(times)} in 60 s; peak memory {mib:.0f} MiB"
    )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
