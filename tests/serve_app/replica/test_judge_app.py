"""A judge is hosted and called as a reranker is: named by all its settings, asked with patience, wary of pairs that
kill, and of replicas that judge otherwise.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve

from serve_app.engine.judge_model import JudgeModel
from serve_app.engine.models import ModelInfo
from serve_app.judge_settings import JudgeModelSettings
from serve_app.replica import client, judge_app
from serve_app.replica.judge_app import JudgeSettings, start_judge
from serve_app.replica.judge_client import ServedJudge
from serve_app.replica.judge_deployment import JudgeReplica
from serve_app.replica.options import deployment_options
from serve_app.settings import DeploymentSettings, EngineSettings
from stages.core.errors import ConfigError, EngineDiedError, EngineError, IdentityError
from stages.core.grades import Message, Reply
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Asked

MODEL = JudgeModel(
    ModelInfo("tiny", "/models/tiny", None, None, 512, "0123"), "qwen3", ("Qwen3ForCausalLM",), ("ab",), False
)
PROMPT = JudgePrompt("p", (Message("user", "<query>{query}</query><document>{document}</document>"),))
REPLIES = [Reply(probabilities=(0.1, 0.2, 0.3, 0.4)), Reply(text="2")]


def settings(model: JudgeModel = MODEL, prompt: JudgePrompt = PROMPT, **more: Any) -> JudgeSettings:
    told = {name: more.pop(name) for name in ("answer", "max_length") if name in more}
    engine = EngineSettings(**more.pop("engine", {}))
    return JudgeSettings(model, JudgeModelSettings(name="tiny", **told), prompt, engine, DeploymentSettings(**more))


# --- the application ---


def test_all_that_decides_a_judge_decides_its_name() -> None:
    changed = [
        settings(replace(MODEL, info=replace(MODEL.info, digest="4567"))),
        settings(prompt=replace(PROMPT, answer_prefix="Grade: ")),
        settings(answer="text"),
        settings(max_length=100),
        settings(engine={"dtype": "float32"}),
        settings(replicas=2),
    ]
    names = {one.name for one in (settings(), *changed)}
    assert len(names) == 7 and all(name.startswith("judge-") for name in names)
    assert settings(prompt=replace(PROMPT, name="other"), start_timeout_s=5).name == settings().name
    assert settings(application="mine").name == "mine"


def test_a_judge_gets_the_places_and_gpus_that_its_settings_say() -> None:
    options = deployment_options(settings(replicas=3, engine={"tensor_parallel": 2}), gpus_in_cluster=True)
    replica, made_with = settings().replica()
    deployed = serve.deployment(**options)(replica)
    assert (deployed.name, deployed.num_replicas) == ("judge", 3)
    assert deployed.ray_actor_options["num_gpus"] == 2
    assert replica is JudgeReplica and made_with[0] == MODEL and PROMPT in made_with


def test_another_backend_is_refused_before_anything_starts() -> None:
    engine = EngineSettings(backend="transformers")
    with pytest.raises(ConfigError, match="backend transformers: a judge is computed by vLLM alone"):
        start_judge(JudgeModelSettings(name="tiny"), PROMPT, engine, DeploymentSettings())


def test_what_runs_under_the_chosen_name_and_is_no_judge_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    running = SimpleNamespace(applications={"mine": SimpleNamespace(deployments={"reranker": object()})})
    monkeypatch.setattr(judge_app, "describe_judge", lambda _: MODEL)
    monkeypatch.setattr(judge_app, "load_judge_encoder", lambda *_: None)
    monkeypatch.setattr(
        judge_app, "JudgeApp", lambda one: SimpleNamespace(name=one.name, started_here=False, settings=one)
    )
    monkeypatch.setattr(judge_app, "serve", SimpleNamespace(status=lambda: running))
    with pytest.raises(ConfigError, match="mine: what runs there is no judge"):
        start_judge(JudgeModelSettings(name="tiny"), PROMPT, EngineSettings(), DeploymentSettings(application="mine"))


# --- the replica ---


def replica(grade: Any, digest: str = "abc") -> Any:
    """One whose engine stands there already."""
    made = JudgeReplica.__new__(JudgeReplica)
    made._name, made._places = "r1", asyncio.Semaphore(8)
    made._engine = SimpleNamespace(identity=SimpleNamespace(digest=digest), grade=grade, shutdown=lambda: None)
    return made


async def graded(query: str, documents: Sequence[str]) -> list[Reply]:
    if query == "dead":
        raise EngineError("the engine died")
    return [Reply(text=f"{query} {document}") for document in documents]


def test_the_queries_of_a_batch_are_judged_together_and_one_that_fails_fails_alone() -> None:
    batch = [Asked("q", ("a", "b")), Asked("dead", ("c",)), Asked("r", ("d",))]
    first, failed, last = asyncio.run(replica(graded).grade_batch(batch, "abc"))
    assert [one.text for one in (*first, *last)] == ["q a", "q b", "r d"]
    assert isinstance(failed, EngineError)


def test_a_replica_that_judges_otherwise_does_not_answer() -> None:
    with pytest.raises(IdentityError, match="replica r1 scores as abc, the job as other"):
        asyncio.run(replica(graded).grade_batch([Asked("q", ("a",))], "other"))


# --- the client ---


class Handle:
    """A Serve handle that answers, in turn, what the test says; an exception is raised."""

    def __init__(self, *course: Any) -> None:
        self.course, self.calls = list(course), list[tuple[Any, ...]]()
        self.grade_batch = SimpleNamespace(remote=self._remote)

    async def _remote(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        outcome = self.course.pop(0) if len(self.course) > 1 else self.course[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome(arguments[0]) if callable(outcome) else outcome


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [0.0]

    async def sleep(seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(client, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: slept[0]))
    random.seed(7)


def grade(handle: Handle, *documents: str, retry_for_s: float = 600) -> list[Reply]:
    return asyncio.run(ServedJudge(handle, retry_for_s, "abc").grade("q", documents))


def test_a_call_that_a_replica_could_not_answer_is_made_again() -> None:
    handle = Handle(EngineError("the engine died"), [REPLIES])
    assert grade(handle, "a", "b") == REPLIES
    assert handle.calls == [([Asked("q", ("a", "b"))], "abc")] * 2


def test_when_nobody_answers_in_time_the_reason_is_told() -> None:
    with pytest.raises(EngineError, match="no replica could judge the query: the engine died"):
        grade(Handle(EngineError("the engine died")), "a", retry_for_s=5)


def test_a_pair_that_kills_the_engine_is_found_and_the_others_are_judged() -> None:
    def answer(batch: Sequence[Asked]) -> Any:
        (asked,) = batch
        if "killer" in asked.documents:
            raise EngineDiedError("the engine died while it scored")
        return [[Reply(text=document) for document in asked.documents]]

    replies = grade(Handle(answer), "a", "killer", "b")
    assert [reply.text for reply in replies] == ["a", "", "b"]
    assert replies[1].error == "judging this pair kills the engine: the engine died while it scored"
