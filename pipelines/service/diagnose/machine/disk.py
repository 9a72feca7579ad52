"""The disk that holds the model's weights: which kind it is, and how it is read meanwhile."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]

from pipelines.service.diagnose.machine.rate import Clock, Rate
from stages.telemetry.machine import DiskKind, DiskUse

SYS = Path("/sys")
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "virtiofs",
    "wekafs",
}  # fmt: skip
NETWORK_DEVICES = ("rbd", "nbd", "drbd")
# Disks of virtual machines: "rotational" is what the hypervisor left there, and no word about the disk.
VIRTUAL_DEVICES = ("vd", "xvd")
VIRTUAL_MODELS = ("virtual", "persistentdisk", "qemu", "vbox")


class DiskCounters(NamedTuple):
    """Since the machine started. `busy_s` is the time in which the disk had a request; None where it is not counted."""

    read_bytes: int
    busy_s: float | None


class Place(NamedTuple):
    """Where a path lies. `device` is the kernel's name of the disk or its part, else what is mounted there."""

    device: str
    kind: DiskKind


Reader = Callable[[], Mapping[str, DiskCounters]]


class DiskWatch:
    """How the disk under `weights` is read between the first and the last look."""

    def __init__(self, weights: Path, reader: Reader | None = None, clock: Clock = time.monotonic) -> None:
        self._file, self._weights_mb = _weights(weights)
        self._path = weights
        self._place = place_of(self._file)
        self._reader = reader or disk_counters
        self._read, self._busy = Rate(clock), Rate(clock)

    def look(self) -> None:
        with contextlib.suppress(OSError, NotImplementedError):  # a system without such counters
            if (now := self._reader().get(self._place.device)) is not None:
                self._read.see(now.read_bytes / 1e6)
                if now.busy_s is not None:
                    self._busy.see(now.busy_s)

    def result(self, read_by_service_mb_s: float | None) -> DiskUse:
        """A disk without counters (network, memory) is known by what the service's processes read alone.

        Counters of another reader are not of a disk that these processes read.
        """
        by_service = read_by_service_mb_s if self._reader is disk_counters else None
        rate = self._read.per_s()
        read_mb_s = by_service if rate is None else rate
        return DiskUse(str(self._path), *self._place, read_mb_s, self._busy.share(), self._weights_mb, by_service)


def disk_counters() -> dict[str, DiskCounters]:
    """Of every disk and its parts, by the kernel's names."""
    counters = psutil.disk_io_counters(perdisk=True, nowrap=True) or {}
    return {name: DiskCounters(one.read_bytes, _busy_s(one)) for name, one in counters.items()}


def place_of(path: Path, sys: Path = SYS) -> Place:
    """The disk under `path`. A file system of its own kind (memory, network) says so by its mount."""
    device, fstype = _mount(path)
    if fstype in MEMORY:
        return Place(device, "memory")
    if fstype in NETWORK or fstype.startswith("fuse."):
        return Place(device, "network")
    folder = _block_device(path, device, sys)
    return Place(folder.name, block_kind(folder)) if folder else Place(device, "unknown")


def block_kind(folder: Path) -> DiskKind:
    """The kind of a disk by its folder in /sys/block; a part of a disk is asked by the disk's own."""
    disk = folder if (folder / "queue").exists() else folder.parent
    if disk.name.startswith(NETWORK_DEVICES):
        return "network"
    try:
        rotates = (disk / "queue" / "rotational").read_text().strip() == "1"
    except OSError:
        return "unknown"
    if not rotates:
        return "ssd"
    model = ""
    with contextlib.suppress(OSError):
        model = (disk / "device" / "model").read_text().lower()
    virtual = disk.name.startswith(VIRTUAL_DEVICES) or any(word in model for word in VIRTUAL_MODELS)
    return "unknown" if virtual else "hdd"


def _mount(path: Path) -> tuple[str, str]:
    """(device, type) of the file system that is mounted nearest above the path."""
    real = path.resolve()
    mounts = [one for one in psutil.disk_partitions(all=True) if real.is_relative_to(one.mountpoint)]
    nearest = max(mounts, key=lambda one: len(one.mountpoint), default=None)
    return (nearest.device, nearest.fstype) if nearest else ("", "")


def _block_device(path: Path, device: str, sys: Path) -> Path | None:
    """Its folder under /sys: by the file's device number, else by the mounted device's name (btrfs, overlays)."""
    with contextlib.suppress(OSError):
        number = path.stat().st_dev
        by_number = sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
        if by_number.exists():
            return by_number.resolve()
        by_name = sys / "class" / "block" / Path(device).resolve().name
        if device.startswith("/dev/") and by_name.exists():
            return by_name.resolve()
    return None


def _weights(path: Path) -> tuple[Path, float | None]:
    """The largest file of weights under `path` (a hub's folder holds links to files elsewhere), and their megabytes."""
    files = [path] if path.is_file() else [one for pattern in WEIGHT_FILES for one in path.glob(pattern)]
    sizes = {}
    for one in files:
        with contextlib.suppress(OSError):
            sizes[one.resolve()] = one.stat().st_size
    return (max(sizes, key=lambda one: sizes[one]), sum(sizes.values()) / 1e6) if sizes else (path, None)


def _busy_s(counters: Any) -> float | None:
    busy_ms = getattr(counters, "busy_time", None)
    return None if busy_ms is None else busy_ms / 1000
