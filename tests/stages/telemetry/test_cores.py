"""A container's share of the cores counts, not its host's: with trees of files like a pod's, and a real affinity."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.telemetry.control_group import ControlGroup
from stages.telemetry.cores import core_share, usable_cores
from tests.stages.telemetry.test_control_group import write

ROOT = Path(__file__).parents[3]
# What a pod sees: of version 2 its own group as the root, of version 1 the host's path and its own group as the root.
VERSION_2 = {"self/cgroup": "0::/\n", "fs/cpu.max": "{quota}\n"}
VERSION_1 = {
    "self/cgroup": "4:cpu,cpuacct:/kubepods/burstable/pod1\n0::/\n",
    "fs/cpu,cpuacct/cpu.cfs_quota_us": "{quota}\n",
    "fs/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
}


def pod(root: Path, files: dict[str, str], quota: str) -> ControlGroup:
    write(root, {name: text.format(quota=quota) for name, text in files.items()})
    return ControlGroup(proc=root, root=root / "fs")


@pytest.mark.parametrize(
    ("files", "quota", "share"),
    [
        (VERSION_2, "200000 100000", 2),
        (VERSION_2, "150000 100000", 2),  # two threads use it up, one would not
        (VERSION_2, "5000 100000", 1),
        (VERSION_2, "max 100000", 192),
        (VERSION_2, "99900000 100000", 192),
        (VERSION_1, "200000", 2),
        (VERSION_1, "-1", 192),
    ],
)
def test_a_pod_of_two_cpus_on_a_machine_of_192_has_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: str, share: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(192)))
    assert core_share(pod(tmp_path, files, quota)) == share


def test_where_there_are_no_control_groups_it_is_the_affinity(tmp_path: Path) -> None:
    assert core_share(ControlGroup(proc=tmp_path, root=tmp_path)) == len(usable_cores())


@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset, of util-linux")
def test_what_taskset_leaves_is_what_is_used() -> None:
    code = "from stages.telemetry.cores import core_share, usable_cores; print(usable_cores(), core_share())"
    last = usable_cores()[-1]
    done = subprocess.run(
        ["taskset", "-c", str(last), sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [f"[{last}]", "1"]
