"""Which part a process is, by titles as Ray 2.60 and vLLM 0.32 write them and by our own modules."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from pipelines.base.titles import TITLES, part_of
from stages.speed.benchmark import ENGINE_ROLES

ROOT = Path(__file__).parents[3]
RAY = "/venv/lib/python3.11/site-packages/ray"
SERVE = "ray::ServeReplica:rerank-180779ba69f3"


@pytest.mark.parametrize(
    ("title", "name", "role"),
    [
        ("VLLM::EngineCore", "engine core", "engine"),
        ("VLLM::EngineCore_DP0", "engine core", "engine"),
        (
            f"python -c import sys; sys.path[:] = ['{RAY}/_private/workers']; from serve_app.engine.warm_start",
            "engine core",
            "engine",
        ),
        ("VLLM::Worker_TP0", "engine worker", "engine"),
        ("VLLM::APIServer_1", "vLLM server", "api"),
        ("VLLM::DPCoordinator", "vLLM server", "engine"),
        ("python -m vllm.entrypoints.openai.api_server --port 1", "vLLM server", None),
        (f"{SERVE}:reranker.initialize_and_get_metadata", "replica", "replica"),
        (f"{SERVE}:reranker.score", "replica", "replica"),
        (f"{SERVE}-api:api", "HTTP api", "api"),
        ("ray::ServeReplica:mine:Ingress", "HTTP api", "api"),
        ("ray::ProxyActor", "Serve proxy", "proxy"),
        ("ray::HTTPProxyActor", "Serve proxy", "proxy"),
        ("ray::ServeController", "Serve controller", "ray"),
        ("ray::Collector", "collector", "ray"),
        ("ray::IDLE", "readers", "ray"),
        ("ray::IDLE_SpillWorker", "readers", "ray"),
        ("ray::MapWorker(MapBatches(RerankBatches)).submit()", "workers", None),
        ("ray::ReadParquet", "readers", None),
        ("ray::DashboardAgent", "raylet and agents", "ray"),
        ("ray::RuntimeEnvAgent", "raylet and agents", "ray"),
        (f"ray-dashboard-NodeHead-0 (python -u {RAY}/dashboard/dashboard.py)", "raylet and agents", "ray"),
        (f"{RAY}/core/src/ray/raylet/raylet --raylet_socket_name=/tmp/ray/s", "raylet and agents", "ray"),
        (f"{RAY}/core/src/ray/gcs/gcs_server --log_dir=/tmp/ray", "GCS", "ray"),
        (f"/venv/bin/python -u {RAY}/_private/log_monitor.py", "raylet and agents", "ray"),
        (f"/venv/bin/python -u {RAY}/autoscaler/_private/monitor.py", "raylet and agents", "ray"),
        ("python -m pipelines.run --config f", "driver", None),
        ("python -m pipelines.speed.bench.host job.json", "driver", None),
        ("python -m pipelines.speed.bench.client job.json", "client", None),
        ("python -m pipelines.speed.bench.library job.json", "library", None),
        ("python -m serve_app.engine.bare_engine job.json", "caller", None),
        ("/venv/bin/python worker.py --raylet-name=raylet", "other", None),
        ("/home/ray/bin/python worker.py", "other", None),
        ("sleep 3", "other", None),
        ("", "other", None),
    ],
)
def test_a_title_tells_the_part_and_its_role_in_a_service(title: str, name: str, role: str | None) -> None:
    assert part_of(title) == (name, role)


def test_modules_of_ours_that_a_title_names_are_there() -> None:
    ours = [mark for mark in TITLES if mark.startswith(("serve_app.", "pipelines."))]
    assert len(ours) == 5
    assert [mark for mark in ours if importlib.util.find_spec(mark) is None] == []


def test_what_a_benchmark_takes_for_the_engine_is_what_titles_call_so() -> None:
    assert set(ENGINE_ROLES) <= {part.name for part in TITLES.values()}


def test_no_other_module_tells_processes_apart_by_their_titles() -> None:
    """A mark of the table stands nowhere else as a text of its own; but for how all that Ray runs begins."""
    marks = {mark for mark in TITLES if not mark.startswith(("serve_app.", "pipelines."))} - {"ray::"}
    found = {
        str(path.relative_to(ROOT))
        for folder in ("stages", "serve_app", "pipelines")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in marks
    }
    assert found == {"pipelines/base/titles.py"}
