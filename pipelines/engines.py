"""What a job scores with: an application of engines behind Ray Serve, or no engine at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from ray import serve

from pipelines.config import RunConfig
from serve_app.app import AppSettings, RunningApp
from serve_app.client import ServedScorer, check_canaries
from serve_app.models import ModelInfo
from stages.scoring import OverlapScorer, Scorer


class ServedEngine:
    """The application of these settings: started when made, or found running. The data is prepared meanwhile."""

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self._app = RunningApp(AppSettings(model, config.model, config.engine, config.serve))
        self.application = self._app.name
        self.started_here = self._app.started_here
        self.make_scorer: Callable[[], Scorer] = partial(connect_scorer, self._app.name, config.serve.retry_for_s)

    def wait_until_ready(self) -> None:
        """Block until the engines answer, and answer sensibly. Raises EngineError or CanaryError."""
        self._app.wait_until_ready()
        asyncio.run(check_canaries(self.make_scorer()))

    def replicas(self) -> list[dict[str, Any]]:
        return self._app.replicas()

    def stop(self) -> None:
        self._app.stop()


class NoEngine:
    """`model.name: overlap`: each Ray Data worker scores by itself."""

    application = None
    started_here = True
    make_scorer: Callable[[], Scorer] = OverlapScorer

    def wait_until_ready(self) -> None: ...

    def replicas(self) -> list[dict[str, Any]]:
        return []

    def stop(self) -> None: ...


def connect_scorer(application: str, retry_for_s: float) -> Scorer:
    """A scorer over the application's handle; called in the process that uses it."""
    return ServedScorer(serve.get_app_handle(application), retry_for_s)
