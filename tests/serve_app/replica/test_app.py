"""Settings decide an application's name and its options; what failed is told in one line."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import DeploymentUnavailableError

from serve_app.engine.models import ModelInfo
from serve_app.replica import app as app_module
from serve_app.replica.app import AppSettings, deployment_options, told_by_all
from serve_app.replica.deployment import RerankReplica
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from tests.recipes import recipe_of

MODEL = ModelInfo("tiny", "/models/tiny", None, recipe_of("qwen3-reranker"), 512, "0123456789abcdef")


def app(
    model: ModelInfo = MODEL,
    prompt: dict[str, Any] | None = None,
    engine: dict[str, Any] | None = None,
    **deployment: Any,
) -> AppSettings:
    return AppSettings(
        model, ModelSettings(**(prompt or {})), EngineSettings(**(engine or {})), DeploymentSettings(**deployment)
    )


# --- the name ---


def test_equal_settings_have_one_name_fit_for_a_url() -> None:
    assert app().name == app().name
    assert app().name.removeprefix("rerank-").isalnum()


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "/models/other"},
        {"revision": "v2"},
        {"recipe": recipe_of("cross-encoder")},
        {"max_length": 256},
        {"digest": "fedcba9876543210"},
    ],
    ids=str,
)
def test_another_model_has_another_name(changed: dict[str, Any]) -> None:
    assert app(model=replace(MODEL, **changed)).name != app().name


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": {"template": "blank_line"}},
        {"prompt": {"instruction": "find the answer"}},
        {"prompt": {"max_length": 100}},
        {"engine": {"dtype": "float32"}},
        {"engine": {"tensor_parallel": 2}},
        {"engine": {"prefix_caching": False}},
        {"engine": {"load_format": "dummy"}},
        {"engine": {"extra": {"quantization": "fp8"}}},
        {"replicas": 2},
        {"gpus_per_replica": 1},
        {"max_ongoing_queries": 8},
    ],
    ids=str,
)
def test_another_prompt_engine_or_deployment_has_another_name(changed: dict[str, Any]) -> None:
    assert app(**changed).name != app().name


def test_what_is_asked_of_an_engine_before_it_scores_does_not_change_the_name() -> None:
    assert app(prompt={"canaries": "finite"}).name == app().name


@pytest.mark.parametrize("changed", [{"start_timeout_s": 5}, {"retry_for_s": 5}, {"ray_address": "ray://a"}], ids=str)
def test_how_long_a_caller_waits_and_where_it_connects_does_not_change_the_name(changed: dict[str, Any]) -> None:
    assert app(**changed).name == app().name


# --- the options ---


def test_every_option_is_one_that_serve_takes() -> None:
    options = deployment_options(app(accelerator_type="A100", max_replicas_per_node=2, replicas=4), True)
    deployment = serve.deployment(**options)(RerankReplica)
    assert (deployment.name, deployment.num_replicas, deployment.max_ongoing_requests) == ("reranker", 4, 256)
    assert deployment.ray_actor_options["accelerator_type"] == "A100"


@pytest.mark.parametrize(
    ("settings", "gpus_in_cluster", "gpus"),
    [
        (app(), False, 0),
        (app(), True, 1),
        (app(engine={"tensor_parallel": 2}), True, 2),
        (app(engine={"tensor_parallel": 2}), False, 0),
        (app(gpus_per_replica=0), True, 0),
        (app(gpus_per_replica=0.5), True, 0.5),
        (app(gpus_per_replica=4, engine={"tensor_parallel": 2}), True, 4),
    ],
)
def test_a_replica_takes_the_gpus_of_its_tensor_parallelism_where_there_are_any(
    settings: AppSettings, gpus_in_cluster: bool, gpus: float
) -> None:
    assert deployment_options(settings, gpus_in_cluster)["ray_actor_options"]["num_gpus"] == gpus


def test_what_is_set_about_the_deployment_reaches_serve() -> None:
    options = deployment_options(
        app(
            replicas=3,
            cpus_per_replica=2.5,
            max_ongoing_queries=7,
            health_check_period_s=1.5,
            health_check_timeout_s=9,
            graceful_shutdown_timeout_s=4,
            max_replicas_per_node=1,
        ),
        gpus_in_cluster=False,
    )
    assert options["ray_actor_options"]["num_cpus"] == 2.5
    assert (options["num_replicas"], options["max_ongoing_requests"], options["max_replicas_per_node"]) == (3, 7, 1)
    assert (options["health_check_period_s"], options["health_check_timeout_s"]) == (1.5, 9)
    assert options["graceful_shutdown_timeout_s"] == 4


def test_what_is_not_set_is_left_to_serve() -> None:
    options = deployment_options(app(), gpus_in_cluster=False)
    assert "max_replicas_per_node" not in options
    assert "accelerator_type" not in options["ray_actor_options"]


def test_replicas_report_nothing_home_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def environment() -> dict[str, str]:
        options = deployment_options(app(), gpus_in_cluster=False)
        variables: dict[str, str] = options["ray_actor_options"]["runtime_env"]["env_vars"]
        return variables

    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    assert environment()["VLLM_NO_USAGE_STATS"] == "1"
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    assert environment()["VLLM_NO_USAGE_STATS"] == "0"


# --- the last counts ---


class Broadcasting:
    """A handle whose broadcasts come to, in turn, what the test says."""

    def __init__(self, *course: Any) -> None:
        self.course, self.asked = list(course), list[str]()

    def broadcast(self, method: str) -> Any:
        self.asked.append(method)
        return SimpleNamespace(results=self._results)

    def _results(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
        outcome = self.course.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return list(outcome)


@pytest.mark.parametrize(
    ("course", "told"),
    [
        ([[None, None]], True),
        ([[None, ActorDiedError()]], True),
        ([[None, RuntimeError("the collector is away")]], False),
        ([DeploymentUnavailableError(SimpleNamespace(name="reranker", app_name="a")), [None]], True),
        ([TimeoutError()], False),
    ],
    ids=["all", "one died", "one failed", "not there yet", "late"],
)
def test_the_last_counts_are_there_when_every_replica_that_lives_has_told_them(
    course: list[Any], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Broadcasting(*course)
    monkeypatch.setattr(app_module, "engine_handle", lambda *_: handle)
    assert told_by_all("a", 60) == told
    assert handle.course == [] and set(handle.asked) == {"tell"}


def test_replicas_that_are_not_there_in_time_are_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [DeploymentUnavailableError(SimpleNamespace(name="reranker", app_name="a"))] * 1000
    monkeypatch.setattr(app_module, "engine_handle", lambda *_: Broadcasting(*missing))
    monkeypatch.setattr(app_module, "POLL_S", 0.01)
    assert not told_by_all("a", 0.05)
