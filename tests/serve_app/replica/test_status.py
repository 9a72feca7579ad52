"""What Ray Serve says of an application, in a line."""

from __future__ import annotations

import pytest
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, DeploymentStatusOverview, ServeStatus

from serve_app.replica.status import reason

TRACEBACK = """The deployment failed to start 2 times in a row. See logs for details. Error:
\x1b[36mray::ServeReplica:rerank:reranker.initialize_and_get_metadata()\x1b[39m (pid=11, ip=10.0.0.1)
  File "/site-packages/vllm/v1/engine/utils.py", line 980, in wait_for_engine_startup
    raise RuntimeError(f"Engine core initialization failed: {reason}")
RuntimeError: Engine core initialization failed. See root cause above.
"""


def status(message: str, *of_deployments: str) -> ServeStatus:
    deployments = {
        f"d{place}": DeploymentStatusOverview("UNHEALTHY", "CONFIG_UPDATE_COMPLETED", {}, text)
        for place, text in enumerate(of_deployments)
    }
    overview = ApplicationStatusOverview(ApplicationStatus.DEPLOY_FAILED, message, 0.0, deployments)
    return ServeStatus(applications={"rerank": overview})


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (status("", TRACEBACK), "RuntimeError: Engine core initialization failed. See root cause above."),
        (status("The deployments ['reranker'] are UNHEALTHY.", TRACEBACK), "RuntimeError: Engine core"),
        (status("", f"{TRACEBACK}stages.core.errors.EngineError: no room for 3 layers\n"), "no room for 3 layers"),
        (status("Deploying.", "Not enough GPUs: 1 of 2."), "Deploying."),
        (status("", "Not enough GPUs: 1 of 2.\n\n"), "Not enough GPUs: 1 of 2."),
        (status(""), "no reason was given"),
        (ServeStatus(), "Ray Serve does not know the application"),
    ],
)
def test_the_reason_is_the_last_line_that_names_an_error(told: ServeStatus, why: str) -> None:
    assert reason(told, "rerank").startswith(why)
    assert "\n" not in reason(told, "rerank")
