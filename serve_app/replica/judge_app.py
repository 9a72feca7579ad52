"""A judge as an application on Ray Serve: started and found as a reranker's is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ray import serve

from serve_app.engine.judge_encoder import load_judge_encoder
from serve_app.engine.judge_identity import JudgeIdentity, parse_judge
from serve_app.engine.judge_model import JudgeModel, describe_judge
from serve_app.judge_settings import JudgeModelSettings
from serve_app.replica.app import EngineApp, engine_handle, of_another_version
from serve_app.replica.hosting import EngineReplica
from serve_app.replica.judge_client import ServedJudge
from serve_app.replica.judge_deployment import JudgeReplica
from serve_app.replica.options import application_name
from serve_app.settings import DeploymentSettings, EngineSettings
from stages.core.errors import ConfigError
from stages.core.judge_prompt import JudgePrompt


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """HostedSettings of a judge."""

    deployed: ClassVar[str] = "judge"

    model: JudgeModel
    settings: JudgeModelSettings
    prompt: JudgePrompt
    engine: EngineSettings
    deployment: DeploymentSettings

    @property
    def name(self) -> str:
        parts = (
            repr(self.model),
            self.settings.model_dump_json(),
            self.prompt.digest,
            self.engine.model_dump_json(),
        )
        return application_name("judge", self.deployment, parts)

    def replica(self) -> tuple[type[EngineReplica], tuple[Any, ...]]:
        return JudgeReplica, (self.model, self.settings, self.prompt, self.engine, self.deployment.max_text_chars)


class JudgeApp(EngineApp):
    """`wait_until_ready` and `stop` as any application's."""

    _identity: JudgeIdentity | None = None

    def wait_until_identified(self) -> JudgeIdentity:
        """Block until an engine tells what decides its grades, which is before it can judge.

        Raises EngineError where none starts, ConfigError for an application that is no judge of this version.
        """
        if self._identity is None:
            if (found := parse_judge(self.told_identity())) is None:
                raise of_another_version(self.name)
            self._identity = found
        return self._identity

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a grade, as JSON has it: as `wait_until_identified`."""
        return self.wait_until_identified().told

    @property
    def handle(self) -> ServedJudge:
        """Asks the judge, of this identity alone."""
        return connect_judge(self.name, self.settings.deployment.retry_for_s, self.wait_until_identified().digest)


def start_judge(
    model: JudgeModelSettings,
    prompt: JudgePrompt,
    engine: EngineSettings,
    deployment: DeploymentSettings,
) -> JudgeApp:
    """The judge of these settings, started on the connected Ray cluster or found running there; returns before it is
    ready.

    Raises ConfigError where the model cannot judge, or be asked with this prompt, and where the chosen name is another
    application's.
    """
    if engine.backend != "vllm":
        raise ConfigError(f"engine.backend {engine.backend}: a judge is computed by vLLM alone. Leave it out")
    described = describe_judge(model)
    load_judge_encoder(described, prompt, model.answer)
    app = JudgeApp(JudgeSettings(described, model, prompt, engine, deployment))
    if not app.started_here and JudgeSettings.deployed not in serve.status().applications[app.name].deployments:
        raise ConfigError(f"serve.application {app.name}: what runs there is no judge. Choose another name")
    return app


def connect_judge(application: str, retry_for_s: float, identity: str | None = None) -> ServedJudge:
    """A caller of the application's replicas, from any process of the cluster; with `identity`, a JudgeIdentity's
    digest, of none that judges otherwise.
    """
    return ServedJudge(engine_handle(JudgeSettings.deployed, application), retry_for_s, identity)
