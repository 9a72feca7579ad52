"""A judge on Ray Serve: found again while it runs, replaced where its engine dies, gone when it stops."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from serve_app.judge_settings import JudgeModelSettings
from serve_app.replica.judge_app import JudgeApp, connect_judge, start_judge
from serve_app.settings import DeploymentSettings, EngineSettings
from stages.core.errors import EngineError
from stages.core.grades import Message, Reply
from stages.core.judge_prompt import JudgePrompt
from tests.tiny_models import POISON, make_judge

PROMPT = JudgePrompt("p", (Message("user", "<query>{query}</query>\n<document>{document}</document>\nWhich grade?"),))
DOCUMENTS = ["one", "two words", f"poison {POISON}", "many words " * 500]
ENGINE = EngineSettings(compile=False, kv_cache_gib=0.5)
DEPLOYMENT = DeploymentSettings(health_check_period_s=1.0, retry_for_s=240.0)

pytestmark = [pytest.mark.heavy, pytest.mark.thorough]


@pytest.fixture(scope="module")
def model(tiny_qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> JudgeModelSettings:
    made = make_judge(tiny_qwen3, tmp_path_factory.mktemp("judge"), poisoned=True)
    return JudgeModelSettings(name=str(made), max_length=300)


@pytest.fixture(scope="module")
def judge(local_ray: None, model: JudgeModelSettings) -> Iterator[JudgeApp]:
    app = start_judge(model, PROMPT, ENGINE, DEPLOYMENT)
    app.wait_until_ready()
    yield app
    (living,) = (one["process_id"] for one in app.replicas() if one["ended_s"] is None)
    processes = [psutil.Process(living), *psutil.Process(living).children(recursive=True)]
    app.stop()
    assert not psutil.wait_procs(processes, timeout=60)[1], "nothing outlives the application"


def grade(app: JudgeApp) -> list[Reply]:
    return asyncio.run(app.handle.grade("a query", DOCUMENTS))


def test_each_pair_has_its_reply_in_order_and_the_one_that_cannot_be_judged_its_reason(judge: JudgeApp) -> None:
    replies = grade(judge)
    assert [bool(reply.error) for reply in replies] == [False, False, True, False]
    assert [len(reply.probabilities) for reply in replies] == [4, 4, 0, 4]
    assert [reply.truncated for reply in replies] == [False, False, False, True]
    assert judge.identity["answer"] == "prefill" and judge.identity["prompt"] == PROMPT.digest


def test_the_same_settings_find_it_running_and_others_start_their_own(
    judge: JudgeApp, model: JudgeModelSettings
) -> None:
    again = start_judge(model, PROMPT, ENGINE, DEPLOYMENT)
    assert (again.name, again.started_here, again.identity) == (judge.name, False, judge.identity)
    again.stop()
    assert grade(judge)[0].probabilities, "whoever found it leaves it running"


def test_an_engine_that_is_killed_is_replaced_and_its_call_answered(judge: JudgeApp) -> None:
    before = grade(judge)
    (process,) = (one["process_id"] for one in judge.replicas() if one["ended_s"] is None)
    engine = next(one for one in psutil.Process(process).children(recursive=True) if "VLLM" in one.name())

    async def killed_meanwhile() -> list[Reply]:
        caller = connect_judge(judge.name, 240.0, judge.wait_until_identified().digest)
        call = asyncio.ensure_future(caller.grade("a query", DOCUMENTS))
        await asyncio.sleep(0)
        os.kill(engine.pid, signal.SIGKILL)
        return await call

    after = asyncio.run(killed_meanwhile())
    assert [reply.error for reply in after] == [reply.error for reply in before]
    for one, other in zip(after, before, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=0.05)


def test_a_model_that_does_not_start_says_why_in_one_line(local_ray: None, model: JudgeModelSettings) -> None:
    app = start_judge(model, PROMPT, ENGINE.model_copy(update={"extra": {"quantization": "none-such"}}), DEPLOYMENT)
    try:
        with pytest.raises(EngineError, match="none-such") as raised:
            app.wait_until_identified()
        assert "\n" not in str(raised.value)
    finally:
        app.stop()
