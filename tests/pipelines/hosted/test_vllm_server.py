"""vLLM's own server, unmodified, asked as a hosted model: the numbers of the same model in Transformers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.base.paid_sections import HostedSettings
from pipelines.base.ports import free_port
from pipelines.direct.scorer import DirectScorer
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of, told_by
from pipelines.hosted.meter import Meter
from serve_app.engine.models import describe
from serve_app.settings import ModelSettings
from stages.core.records import PairScore

pytestmark = [pytest.mark.heavy, pytest.mark.thorough]
QUERY = "how deep is the sea"
DOCUMENTS = ["the sea is deep", "a hill", "nothing at all", "how to bake bread", "the deepest part of the sea"]
START_S = 300.0
SERVER = ("-m", "vllm.entrypoints.openai.api_server", "--runner", "pooling", "--dtype", "float32", "--enforce-eager")


@pytest.fixture
def url(tiny_cross_encoder: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, *SERVER, "--model", str(tiny_cross_encoder), "--served-model-name", "tiny"]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"},
        )
    try:
        deadline = time.monotonic() + START_S
        while not _answers(port):
            told = (tmp_path / "server.log").read_text(encoding="utf-8")[-2000:]
            assert server.poll() is None and time.monotonic() < deadline, told
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_scores_are_those_of_the_model_and_the_server_says_which_it_is(url: str, tiny_cross_encoder: Path) -> None:
    endpoint = endpoint_of(ModelSettings(name=url, api="vllm", served_as="tiny"))
    settings = HostedSettings(batch_documents=2)
    meter = Meter(endpoint.shape, settings)

    async def ask() -> tuple[dict[str, Any], list[PairScore]]:
        async with HostedScorer(endpoint, settings, meter) as scorer:
            return told_by(endpoint, await scorer.tell()), await scorer.score(QUERY, DOCUMENTS)

    told, found = asyncio.run(ask())
    here = ModelSettings(name=str(tiny_cross_encoder))
    expected = DirectScorer(describe(here), here, device="cpu").score(QUERY, DOCUMENTS)
    assert [pair.score for pair in found] == [pytest.approx(pair.score, abs=1e-5) for pair in expected]
    assert told["id"] == "tiny" and "version" in told and "max_model_len" in told
    assert (meter.answered, meter.guessed) == (3, 0) and meter.units > len(DOCUMENTS)
