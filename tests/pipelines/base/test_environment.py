"""The record of what a run ran on tells what is so, and null where that cannot be known."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from pipelines.base.environment import describe_environment, instructions
from stages.telemetry.cores import core_share

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b.c")


def test_the_record_names_data_versions_hardware_and_engines() -> None:
    told = describe_environment("demo", [{"dtype": "bfloat16"}])
    assert (told["dataset"], told["engines"]) == ("demo", [{"dtype": "bfloat16"}])
    assert told["python"] == platform.python_version()
    assert told["packages"]["ray"] == version("ray")
    assert told["hardware"]["cores"] == core_share()
    assert told["hardware"]["memory_gib"] > 0 and told["hardware"]["processor"]
    assert json.loads(json.dumps(told)) == told


def test_the_instructions_that_decide_a_processors_speed_are_told(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert instructions(cpuinfo) is None
    cpuinfo.write_text("processor : 0\nflags : fpu avx2 avx512f amx_tile\n")
    assert instructions(cpuinfo) == "AMX, AVX-512, AVX2"
    cpuinfo.write_text("processor : 0\nflags : fpu\n")
    assert instructions(cpuinfo) is None


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.base.environment.PACKAGES", ("ray", "no-such-package"))
    assert list(describe_environment("demo", [])["packages"]) == ["ray"]


def test_the_commit_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_environment("demo", [])["git_commit"] is None
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert describe_environment("demo", [])["git_commit"] is None
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", "first"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert describe_environment("demo", [])["git_commit"] == head
