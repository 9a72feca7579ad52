"""NVML is asked in one place; what it does not tell is None there, and no error anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.replica.gpus import Gpu, GpuProcess, Gpus, open_gpus

ROOT = Path(__file__).parents[3]


class NotSupportedError(Exception):
    """As pynvml's NVMLError_NotSupported, a kind of its NVMLError."""


def refuses(*_: object) -> Any:
    raise NotSupportedError


def nvml(**answers: Callable[..., Any]) -> Any:
    """A module like pynvml, with two GPUs; `answers` take the place of its own, by what follows nvmlDeviceGet."""
    own: dict[str, Callable[..., Any]] = {
        "Count": lambda: 2,
        "HandleByIndex": lambda index: f"handle {index}",
        "Name": lambda gpu: b"NVIDIA H100",  # older ones give bytes
        "UtilizationRates": lambda gpu: SimpleNamespace(gpu=87 if gpu == "handle 0" else 0, memory=3),
        "MemoryInfo": lambda gpu: SimpleNamespace(used=20, total=80),
        "ComputeRunningProcesses": lambda gpu: [SimpleNamespace(pid=11, usedGpuMemory=5)] * (gpu == "handle 1"),
    }
    functions = {f"nvmlDeviceGet{name}": answer for name, answer in (own | answers).items()}
    return SimpleNamespace(NVMLError=NotSupportedError, **functions)


def test_each_gpu_is_a_record_and_so_is_each_process_on_it() -> None:
    gpus = Gpus(nvml())
    assert gpus.look() == [Gpu(0, "NVIDIA H100", 87, 20, 80), Gpu(1, "NVIDIA H100", 0, 20, 80)]
    assert gpus.processes() == {0: (), 1: (GpuProcess(11, 5),)}
    assert gpus.look()[0].memory_share == 0.25


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Name", Gpu(0, "GPU", 87, 20, 80)),
        ("UtilizationRates", Gpu(0, "NVIDIA H100", None, 20, 80)),
        ("MemoryInfo", Gpu(0, "NVIDIA H100", 87, None, None)),
    ],
)
def test_what_a_gpu_does_not_tell_is_none_and_the_rest_is_told(question: str, told: Gpu) -> None:
    answers = getattr(nvml(), f"nvmlDeviceGet{question}")
    gpus = Gpus(nvml(**{question: lambda gpu: refuses() if gpu == "handle 0" else answers(gpu)}))
    assert gpus.look() == [told, Gpu(1, "NVIDIA H100", 0, 20, 80)]


def test_a_driver_that_keeps_processes_or_their_memory_to_itself_says_so() -> None:
    assert Gpus(nvml(ComputeRunningProcesses=refuses)).processes() == {0: None, 1: None}
    nameless = Gpus(nvml(ComputeRunningProcesses=lambda gpu: [SimpleNamespace(pid=7, usedGpuMemory=None)]))
    assert nameless.processes()[0] == (GpuProcess(7, None),)


def test_a_gpu_that_is_lost_and_a_driver_that_is_are_left_out() -> None:
    lost = Gpus(nvml(HandleByIndex=lambda index: refuses() if index == 0 else f"handle {index}"))
    assert [gpu.index for gpu in lost.look()] == [*lost.processes()] == [1]
    assert (Gpus(nvml(Count=refuses)).look(), Gpus(nvml(Count=refuses)).processes()) == ([], {})


def test_a_gpu_without_memory_of_its_own_has_no_share_of_it() -> None:
    (gpu, _) = Gpus(nvml(MemoryInfo=lambda gpu: SimpleNamespace(used=0, total=0))).look()
    assert gpu.memory_share is None


def test_another_error_than_nvmls_own_is_not_hushed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        Gpus(nvml(Name=lambda gpu: 1 // 0)).look()


def test_a_machine_without_nvidias_driver_or_without_the_module_has_no_gpus() -> None:
    # A module that is not pynvml stands for a driver that is not there.
    for gpus in (Gpus(), open_gpus(("no_such_module",)), open_gpus(("json",))):
        assert (gpus.look(), gpus.processes()) == ([], {})


def test_nobody_else_asks_nvml() -> None:
    files = [path for package in ("stages", "serve_app", "pipelines") for path in (ROOT / package).rglob("*.py")]
    asking = {str(path.relative_to(ROOT)) for path in files if "nvmlDevice" in path.read_text(encoding="utf-8")}
    assert asking == {"serve_app/replica/gpus.py"}
