"""A control group's limits, read from trees of files like those of the kernel, of both versions of the interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.telemetry.control_group import ControlGroup, Throttling


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_system_without_linuxs_files_tells_none(tmp_path: Path) -> None:
    group = ControlGroup(proc=tmp_path, root=tmp_path)
    assert (group.quota_cores(), group.throttling(), group.memory_share()) == (None, None, None)


def test_a_quota_of_the_group_or_of_one_above_limits_the_cores(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "7/cgroup": "0::/pods/engine\n",
            "fs/pods/cpu.max": "150000 100000\n",
            "fs/pods/engine/cpu.max": "200000 100000\n",
            "fs/pods/engine/cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 20\n",
            "fs/pods/engine/memory.max": "1000\n",
            "fs/pods/engine/memory.current": "900\n",
            "fs/pods/engine/memory.stat": "anon 1\ninactive_file 300\n",
            "fs/pods/memory.max": "max\n",
            "fs/pods/memory.current": "900\n",
        },
    )
    group = ControlGroup(7, tmp_path, tmp_path / "fs")
    assert group.quota_cores() == 1.5
    assert group.throttling() == Throttling(50, 20)
    assert group.memory_share() == pytest.approx(0.6)


def test_version_one_has_files_of_its_own_and_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "self/cgroup": "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n",
            "fs/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
            "fs/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "fs/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "fs/memory/memory.usage_in_bytes": "5\n",
        },
    )
    group = ControlGroup(proc=tmp_path, root=tmp_path / "fs")
    assert (group.quota_cores(), group.throttling(), group.memory_share()) == (4.0, None, None)
