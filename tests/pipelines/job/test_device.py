"""Where a job's engine will compute, known without Ray as Ray itself would have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.job import device
from pipelines.job.device import cluster_device, known_device, local_gpus
from serve_app.settings import DeploymentSettings


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster is named, and none is connected."""
    for name in ("RAY_ADDRESS", device.OVERRIDES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device, "in_cluster", lambda: False)


@pytest.mark.heavy
@pytest.mark.parametrize("visible", [None, "", "NoDevFiles", "-1", "0", "0,1", "0,1,2,3,4,5,6,7"])
@pytest.mark.parametrize("there", [None, 2])
def test_gpus_are_counted_as_ray_counts_them(
    there: int | None, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of this machine, and two, as NVIDIA's library would tell both: with none, any count is right."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec
    from ray._private.thirdparty import pynvml

    if there is not None:
        for name, answer in (("nvmlInit", None), ("nvmlShutdown", None), ("nvmlDeviceGetCount", there)):
            monkeypatch.setattr(pynvml, name, lambda answer=answer: answer)
        monkeypatch.setattr(device, "nvidia_gpus", lambda: there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    _, counted = ResourceAndLabelSpec._get_current_node_accelerator(None, {})
    assert local_gpus() == counted


@pytest.mark.parametrize(
    ("there", "visible", "counted"),
    [(0, None, 0), (2, None, 2), (2, "", 0), (2, "NoDevFiles", 0), (2, "1", 1), (2, "0,1,2", 2), (0, "0", 0)],
)
def test_no_more_gpus_are_counted_than_there_are_and_than_may_be_seen(
    there: int, visible: str | None, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "nvidia_gpus", lambda: there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert local_gpus() == counted
    assert known_device(DeploymentSettings()) == ("cuda" if counted else "cpu")


@pytest.mark.parametrize("given", [{"gpus_per_replica": 0}, {"gpus_per_replica": 0, "ray_address": "10.0.0.1:6379"}])
def test_what_the_config_says_needs_no_look(given: dict[str, Any]) -> None:
    assert known_device(DeploymentSettings(**given)) == "cpu"
    assert known_device(DeploymentSettings(**given | {"gpus_per_replica": 0.5})) == "cuda"


def test_only_the_cluster_knows_its_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert known_device(DeploymentSettings(ray_address="10.0.0.1:6379")) is None
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert known_device(DeploymentSettings()) is None
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr(device, "AMD", tmp_path)
    assert local_gpus() is None and known_device(DeploymentSettings()) is None
    monkeypatch.setattr(device, "AMD", tmp_path / "missing")
    monkeypatch.setenv(device.OVERRIDES, '{"GPU": 4}')
    assert local_gpus() is None
    monkeypatch.delenv(device.OVERRIDES)
    assert local_gpus() is not None
    monkeypatch.setattr("sys.platform", "darwin")
    assert local_gpus() is None, "Ray counts Apple's there"


@pytest.mark.parametrize(
    ("nodes", "computes_on"),
    [
        ([{"CPU": 4}], "cpu"),
        ([{"CPU": 4}, {"CPU": 8, "GPU": 2, "accelerator_type:A100": 1}], "cuda"),
        ([{"CPU": 8, "GPU": 1, "accelerator_type:M2-Max": 1}], "cpu"),
        ([{"CPU": 8, "GPU": 1, "accelerator_type:M4": 1}, {"GPU": 1, "accelerator_type:L4": 1}], "cuda"),
        ([{"CPU": 4, "GPU": 1}], "cuda"),
    ],
)
def test_the_gpu_of_a_mac_in_the_cluster_computes_nothing(
    nodes: list[dict[str, float]], computes_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"Alive": False, "Resources": {"GPU": 8}}
    alive = [{"Alive": True, "Resources": resources} for resources in nodes]
    monkeypatch.setattr("ray.nodes", lambda: [*alive, gone])
    assert cluster_device() == computes_on
